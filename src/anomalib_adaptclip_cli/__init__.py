# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``anomalib-adaptclip``.

It is a package beside ``anomalib_adaptclip`` and not inside it: importing anything of that package imports torch and
anomalib, for it registers its models with anomalib. Help and completion must not wait for that, so nothing here imports
``anomalib_adaptclip`` before a command runs.
"""
