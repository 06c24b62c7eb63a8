# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Wrong inputs, each with the sentence that must come: tables in text files, and what they are run with."""
