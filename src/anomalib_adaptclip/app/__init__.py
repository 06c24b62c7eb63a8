# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The inspection as a page in a browser: drop good photos and new ones, question the verdicts, keep the results."""
