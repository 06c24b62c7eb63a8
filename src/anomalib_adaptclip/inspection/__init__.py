# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From a few good photos to a verdict: learn what a part looks like, keep it, judge new photos of it."""
