# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Files: written whole or not at all, and read without running anything that they may hold."""
