# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Predictions as rows of a table: what a row holds, its file, and the callback that writes it."""
