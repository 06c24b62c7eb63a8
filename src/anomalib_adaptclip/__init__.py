# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIP for anomalib: zero- and few-shot visual anomaly detection on any image domain.

Importing the package registers its models and data modules with anomalib. anomalib's command then says each message of
the package once, and ends with what a constructor refuses.
"""

from anomalib_adaptclip.data import (
    AbnormalFolder,
    DTDSynthetic,
    LabelledFolder,
    PredictFolder,
    QueryPromptDataModule,
    SyntheticDefects,
)
from anomalib_adaptclip.host_console import end_with_reason, say_once
from anomalib_adaptclip.model import AdaptCLIP, AdaptCLIPModel, AdaptCLIPPredictor
from anomalib_adaptclip.prompts import PromptBank
from anomalib_adaptclip.registration import register
from anomalib_adaptclip.results.visualizer import AdaptCLIPVisualizer
from anomalib_adaptclip.training import AdaptCLIPTraining
from anomalib_adaptclip.version import __version__

__all__ = [
    "AbnormalFolder",
    "AdaptCLIP",
    "AdaptCLIPModel",
    "AdaptCLIPPredictor",
    "AdaptCLIPTraining",
    "AdaptCLIPVisualizer",
    "DTDSynthetic",
    "LabelledFolder",
    "PredictFolder",
    "PromptBank",
    "QueryPromptDataModule",
    "SyntheticDefects",
    "__version__",
]

say_once()
end_with_reason()
register()
