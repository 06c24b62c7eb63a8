# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of scores and maps, in memory that does not grow with the number of pixels."""
