# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``export-adapters``."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from .console import say

if TYPE_CHECKING:
    from anomalib_adaptclip.adapters.adapter_file import AdapterFile

logger = logging.getLogger(__name__)

PUBLISHED_TOPK = 10


def export_adapters(adapters: Path, published: Path, pretrained: str | None = None) -> None:
    """Convert adapters trained here to the layout of the published files, for other implementations.

    Args:
        adapters: File adapters.safetensors of a training.
        published: File to write, with the suffix .pth.
        pretrained: Weights of CLIP: a tag of open_clip or a local file. By default the weights that the adapters were
            trained with are used.

    Raises:
        ValueError: If the layout cannot hold these adapters, or they were trained with other weights.
        FileNotFoundError: If there is no such file.
        ConnectionError: If CLIP's weights cannot be downloaded.
        OSError: If the file cannot be written.
    """
    from anomalib_adaptclip.adapters.adapter_file import read_adapter_file
    from anomalib_adaptclip.adapters.published_layout import export_published
    from anomalib_adaptclip.clip import load_clip
    from anomalib_adaptclip.files.atomic import require_file
    from anomalib_adaptclip.model.clip_mixin import build_model
    from anomalib_adaptclip.model.model_options import ModelOptions

    file = read_adapter_file(adapters)
    _require_expressible(file, published)
    require_file(published)
    loaded = load_clip(file.header.backbone, pretrained or file.header.weights)
    file.require_same_clip(loaded.identity())
    model = build_model(loaded.clip, loaded.backbone, file.applied_to(ModelOptions()))
    model.load_adapters(file)
    export_published(published, model.adapters, model.text_tower)
    say(f"{published}: the adapters of {adapters} in the published layout.")


def _require_expressible(file: "AdapterFile", published: Path) -> None:
    """Check that the published layout can express the adapters and their options."""
    from anomalib_adaptclip.adapters import ADAPTERS, AdapterOptions

    missing = [name for name in ADAPTERS if name not in file.adapters]
    options = file.applied_to(AdapterOptions(topk=PUBLISHED_TOPK))
    problem = ""
    if published.suffix == ".safetensors":
        problem = f"The published layout is not a safetensors file. Give {published} another name, such as epoch_15.pth"
    elif file.published or not file.header.backbone:
        problem = f"{file.path} is not adapters.safetensors of a training: its header names no backbone. Give that file"
    elif missing:
        problem = f"The published layout holds all three adapters, but {file.path} lacks {missing}. Train all three"
    elif options.mode != "alternating" or not options.context:
        problem = (
            f"{file.path} was trained with mode={options.mode!r} and context={options.context}. The published layout "
            "cannot express this and would be misread as 'alternating' and True. Keep the safetensors file"
        )
    if problem:
        msg = f"{problem}."
        raise ValueError(msg)
    if options.topk != PUBLISHED_TOPK:
        logger.warning("The layout cannot express topk=%d: readers will use %d.", options.topk, PUBLISHED_TOPK)
