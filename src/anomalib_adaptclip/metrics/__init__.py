# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Ranking metrics of scores and anomaly maps, whose memory does not grow with the number of pixels."""
