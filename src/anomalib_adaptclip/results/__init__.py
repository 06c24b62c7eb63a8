# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Stores predictions in a table: the rows, the file, and the callback that writes it."""
