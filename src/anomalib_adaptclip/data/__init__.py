# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Data modules."""

from anomalib_adaptclip.data.abnormal_folder import AbnormalFolder
from anomalib_adaptclip.data.dtd_synthetic import DTDSynthetic
from anomalib_adaptclip.data.image_files import PredictFolder
from anomalib_adaptclip.data.query_prompt import QueryPromptDataModule
from anomalib_adaptclip.data.synthetic_defects import SyntheticDefects

__all__ = ["AbnormalFolder", "DTDSynthetic", "PredictFolder", "QueryPromptDataModule", "SyntheticDefects"]
