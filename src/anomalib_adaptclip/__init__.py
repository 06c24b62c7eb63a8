# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIP for anomalib: zero- and few-shot visual anomaly detection on any image domain.

Importing the package registers its models and data modules with anomalib.
"""

from .data import AbnormalFolder, DTDSynthetic, PredictFolder, QueryPromptDataModule, SyntheticDefects
from .lightning_model import AdaptCLIP
from .predictor import AdaptCLIPPredictor
from .prompt_bank import PromptBank
from .registration import register
from .torch_model import AdaptCLIPModel
from .training import AdaptCLIPTraining
from .version import __version__

__all__ = [
    "AbnormalFolder",
    "AdaptCLIP",
    "AdaptCLIPModel",
    "AdaptCLIPPredictor",
    "AdaptCLIPTraining",
    "DTDSynthetic",
    "PredictFolder",
    "PromptBank",
    "QueryPromptDataModule",
    "SyntheticDefects",
    "__version__",
]

register()
