# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Data modules, and the data sets and files behind them."""

from .abnormal_folder import AbnormalFolder
from .dtd_synthetic import DTDSynthetic
from .labelled_folder import LabelledFolder
from .predict_folder import PredictFolder
from .query_prompt_data_module import QueryPromptDataModule
from .synthetic_defects import SyntheticDefects

__all__ = [
    "AbnormalFolder",
    "DTDSynthetic",
    "LabelledFolder",
    "PredictFolder",
    "QueryPromptDataModule",
    "SyntheticDefects",
]
