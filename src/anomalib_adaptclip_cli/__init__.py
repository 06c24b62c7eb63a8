# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``anomalib-adaptclip``.

This package is not a part of ``anomalib_adaptclip``, because importing any part of that imports torch and anomalib, to
register its models. Help and completion must not wait for that, so nothing here imports ``anomalib_adaptclip`` before a
command runs.
"""
