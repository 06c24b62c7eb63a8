# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The model: from tokens to score and map, as a PyTorch module, in anomalib, exported, and as a predictor."""

from .lightning_model import AdaptCLIP
from .predictor import AdaptCLIPPredictor
from .torch_model import AdaptCLIPModel

__all__ = ["AdaptCLIP", "AdaptCLIPModel", "AdaptCLIPPredictor"]
