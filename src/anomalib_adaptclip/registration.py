# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""Make anomalib find the classes of this package by their bare names."""

from importlib import import_module

from anomalib_adaptclip.data import SyntheticDefects
from anomalib_adaptclip.lightning_model import AdaptCLIP


def register() -> None:
    """Add the model and the data module to ``anomalib.models`` and ``anomalib.data``.

    What goes by subclass (``get_model("AdaptCLIP")``, ``list_models()``, the command line) needs the import alone. The
    attributes serve what goes by attribute (``class_path: AdaptCLIP``, ``anomalib benchmark``), and the allowed module
    serves ``class_path: anomalib_adaptclip.AdaptCLIP``. Calling it again changes nothing.
    """
    # Not `import anomalib.models`: while that module is still being imported, the parent lacks the attribute.
    models = import_module("anomalib.models")
    data = import_module("anomalib.data")
    setattr(models, AdaptCLIP.__name__, AdaptCLIP)
    setattr(data, SyntheticDefects.__name__, SyntheticDefects)
    models.ALLOWED_MODULES.add("anomalib_adaptclip")
