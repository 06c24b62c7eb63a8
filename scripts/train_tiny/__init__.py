# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Trains the weights of the backbone `tiny` that the package ships, on generated images, and on textures that a network of photographs explains."""
