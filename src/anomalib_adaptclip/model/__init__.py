# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The model: from tokens to score and map, as a PyTorch module, in anomalib, exported, and as a predictor."""
