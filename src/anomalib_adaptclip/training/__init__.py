# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Training of the adapters on a base data set."""

from .lightning_model import AdaptCLIPTraining

__all__ = ["AdaptCLIPTraining"]
