# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Trains the weights of the backbone `tiny` that the package ships, on generated images, textures and a teacher."""
