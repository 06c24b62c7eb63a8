# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The header of adapters that were trained here."""

from importlib.metadata import version
from pathlib import Path

from anomalib_adaptclip.adapters.adapter_choice import NONE
from anomalib_adaptclip.adapters.adapter_header import AdapterHeader
from anomalib_adaptclip.adapters.adapter_slot import AdapterOrigin
from anomalib_adaptclip.adapters.leakage import merge_bases
from anomalib_adaptclip.clip import ClipIdentity
from anomalib_adaptclip.data.query_prompt_data_module import QueryPromptDataModule
from anomalib_adaptclip.model.torch_model import AdaptCLIPModel

_PACKAGES = ("anomalib-adaptclip", "anomalib", "open_clip_torch", "torch")


def trained_header(
    model: AdaptCLIPModel,
    clip: ClipIdentity,
    origin: AdapterOrigin,
    datamodule: QueryPromptDataModule,
    image_size: tuple[int, int] | None,
    epochs: int,
) -> AdapterHeader:
    """What adapters were trained on, and which CLIP they belong to.

    Args:
        model: Model with the adapters.
        clip: Its CLIP.
        origin: What training started from.
        datamodule: What it was trained on.
        image_size: Height and width of the input in pixels.
        epochs: Epochs of training.
    """
    options = model.options
    has_origin = origin.source != NONE
    return AdapterHeader(
        backbone=clip.backbone,
        weights=clip.weights,
        fingerprint=clip.fingerprint,
        layers=model.layers,
        image_size=image_size,
        class_name=options.class_name,
        context=options.context,
        topk=options.topk,
        mode=options.mode,
        base=datamodule.base.module_class.__name__,
        base_categories=tuple(datamodule.base_samples.categories),
        started_from=Path(origin.source).name if has_origin else "",
        started_from_sha256=origin.sha256,
        earlier_bases={base.name: base.categories for base in merge_bases(origin.bases)},
        epochs=epochs,
        versions={name: version(name) for name in _PACKAGES},
    )
