# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Backbones by name: which layers are read, at which input size, and which weights they take by default."""

from dataclasses import dataclass
from typing import Any

import open_clip

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
TINY_WEIGHTS = "generated"  # name of the weights that the package ships, and of their adapters


@dataclass(frozen=True)
class Backbone:
    """How a CLIP is read.

    Attributes:
        name: open_clip's name of the model, or ``"tiny"``.
        layers: Blocks whose tokens are used, counted from 1.
        first_vv_block: First block with a V-V stream, counted from 1.
        image_size: Side of the square input in pixels.
        patch_size: Side of a patch in pixels.
        pretrained: Weights taken by default, as open_clip's tag. ``None`` where the user has to say.
        quick_gelu: Whether the weights need QuickGELU whatever open_clip's configuration says, as all of OpenAI's do.
        adapters: Names of the adapters that can be had for it, the usual ones first.
    """

    name: str
    layers: tuple[int, ...]
    first_vv_block: int
    image_size: int
    patch_size: int
    pretrained: str | None = None
    quick_gelu: bool = False
    adapters: tuple[str, ...] = ()


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone("ViT-L-14-336", (6, 12, 18, 24), 6, 518, 14, "openai", True, ("mvtec", "visa")),
        Backbone("ViT-B-16-plus-240", (3, 6, 9, 12), 4, 512, 16, "laion400m_e31"),
        Backbone("tiny", (2, 4, 6, 8), 3, 224, 14, TINY_WEIGHTS, adapters=(TINY_WEIGHTS,)),
    )
}


def get_backbone(name: str) -> Backbone:
    """Look a backbone up.

    open_clip's other ViTs are read like the paper's: four layers a quarter of the depth apart, a V-V stream behind the
    first quarter, and about 518 pixels.

    Args:
        name: ``"tiny"`` or one of open_clip's models with a standard ViT.

    Returns:
        How it is read.

    Raises:
        ValueError: If the name is unknown, or the model no standard ViT. Those that can be used are listed.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    config = open_clip.get_model_config(name)
    if config is None or not _has_standard_vit(config):
        problem = "is not known" if config is None else "has no standard ViT, as AdaptCLIP needs"
        msg = f"Backbone {name!r} {problem}. Choose one of {list_backbones()}."
        raise ValueError(msg)
    depth, patch = config["vision_cfg"]["layers"], config["vision_cfg"]["patch_size"]
    layers = tuple(depth * quarter // 4 for quarter in (1, 2, 3, 4))
    return Backbone(name, layers, layers[0] + 1, 518 // patch * patch, patch)


def list_backbones() -> list[str]:
    """Names of all backbones: ours first, then open_clip's standard ViTs."""
    others = (name for name in open_clip.list_models() if _has_standard_vit(open_clip.get_model_config(name)))
    return list(dict.fromkeys([*BACKBONES, *others]))


def _has_standard_vit(config: dict[str, Any]) -> bool:
    vision, text = config["vision_cfg"], config["text_cfg"]
    standard_image = isinstance(vision.get("layers"), int) and not vision.get("attentional_pool", False)
    standard_image &= "timm_model_name" not in vision and vision.get("pool_type", "tok") == "tok"
    standard_text = "hf_model_name" not in text and text.get("pool_type", "argmax") == "argmax"
    standard_text &= not (text.get("embed_cls") or text.get("no_causal_mask") or text.get("proj_bias"))
    return bool(standard_image and standard_text and "hf_tokenizer_name" not in text)
