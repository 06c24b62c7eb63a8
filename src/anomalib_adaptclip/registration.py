# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""Make anomalib find the classes of this package by their bare names."""

from importlib import import_module

from anomalib_adaptclip.data import LabelledFolder, PredictFolder, QueryPromptDataModule, SyntheticDefects
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.training.lightning_model import AdaptCLIPTraining


def register() -> None:
    """Add the models and the data modules to ``anomalib.models`` and ``anomalib.data``.

    What goes by subclass (``get_model("AdaptCLIP")``, ``list_models()``, the command line) needs the import alone. The
    attributes serve what goes by attribute (``class_path: AdaptCLIP``, ``anomalib benchmark``), and the allowed module
    serves ``class_path: anomalib_adaptclip.AdaptCLIP``. Calling it again changes nothing.
    """
    # Not `import anomalib.models`: while that module is still being imported, the parent lacks the attribute.
    models = import_module("anomalib.models")
    data = import_module("anomalib.data")
    for model in (AdaptCLIP, AdaptCLIPTraining):
        setattr(models, model.__name__, model)
    for datamodule in (LabelledFolder, PredictFolder, QueryPromptDataModule, SyntheticDefects):
        setattr(data, datamodule.__name__, datamodule)
    models.ALLOWED_MODULES.add("anomalib_adaptclip")
