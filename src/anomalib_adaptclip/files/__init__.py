# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads and writes files: writing is atomic, and reading never runs code that a file may contain."""
