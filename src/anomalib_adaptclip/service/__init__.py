# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Verdicts by HTTP, and on files as they come into a folder."""
