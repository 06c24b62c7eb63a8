# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Backbones by name: which blocks are read, and where their weights come from."""

import hashlib
import logging
import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch

from anomalib_adaptclip.files.tensors import State, read_safetensors, read_torch_file, sha256_of

from .types import Clip, TextTower

logger = logging.getLogger(__name__)

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
TINY_SEED = 0
TINY_WEIGHTS = "generated"  # name of the weights that the package ships, and of their adapters
TINY_FOLDER = Path(__file__).parents[1] / "tiny"


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


class LoadedClip(NamedTuple):
    """A CLIP with its weights.

    Attributes:
        clip: The model, on the CPU in float32.
        backbone: How it is read.
        weights: open_clip's tag, or the name of the local file.
    """

    clip: Clip
    backbone: Backbone
    weights: str


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone("ViT-L-14-336", (6, 12, 18, 24), 6, 518, 14, "openai", True, ("mvtec", "visa")),
        Backbone("ViT-B-16-plus-240", (3, 6, 9, 12), 4, 512, 16, "laion400m_e31"),
        Backbone("tiny", (2, 4, 6, 8), 3, 224, 14, TINY_WEIGHTS, adapters=(TINY_WEIGHTS,)),
    )
}

# A few million parameters, half of them in the token embedding.
_TINY_CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 224, "layers": 8, "width": 192, "head_width": 64, "patch_size": 14},
    "text_cfg": {"width": 64, "heads": 2, "layers": 2},
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


def load_clip(name: str, pretrained: str | Path | None = None) -> LoadedClip:
    """Build a CLIP with its weights.

    Args:
        name: Backbone, see :func:`get_backbone`.
        pretrained: open_clip's tag of the weights, or the path of a local file: a state dict (``.safetensors``,
            ``.pt``, ``.bin``), or OpenAI's own archive. The backbone's usual weights by default. `tiny` has
            ``"generated"``, trained on generated images, and ``"seed-0"``, untrained.

    Returns:
        The CLIP and how to read it.

    Raises:
        ValueError: If backbone or tag is unknown, or the file is missing or does not fit.
        ConnectionError: If the weights cannot be downloaded.
    """
    backbone = get_backbone(name)
    pretrained = pretrained or backbone.pretrained
    if name == "tiny" and str(pretrained) != TINY_WEIGHTS:
        backbone = replace(backbone, adapters=())  # they belong to the shipped weights
    if name == "tiny" and str(pretrained) in {TINY_WEIGHTS, f"seed-{TINY_SEED}"}:
        clip, weights = load_tiny() if pretrained == TINY_WEIGHTS else build_tiny(), str(pretrained)
    elif str(pretrained) in open_clip.list_pretrained_tags_by_model(name):
        clip, weights = _load_tag(backbone, str(pretrained)), str(pretrained)
    else:
        path = _require_weights(backbone, pretrained)
        clip, weights = _load_file(backbone, path), path.name
    return LoadedClip(clip.eval(), backbone, weights)


def build_tiny() -> Clip:
    """Build the small CLIP for tests and demonstrations, untrained, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TINY_SEED)
        return open_clip.CLIP(**_TINY_CONFIG)


def load_tiny(path: Path = TINY_FOLDER / "backbone.safetensors") -> Clip:
    """Build the small CLIP with the trained weights. Words that it was not trained on have those of the seed."""
    clip, state = build_tiny(), read_safetensors(path)[0]
    table = clip.token_embedding.weight.detach().clone()
    table[state.pop("token_embedding.ids").long()] = state.pop("token_embedding.rows").float()
    clip.load_state_dict(state | {"token_embedding.weight": table})
    return clip


def fingerprint(clip: Clip) -> str:
    """Short hash that tells weights apart, wherever they were loaded from.

    Args:
        clip: A CLIP.

    Returns:
        Sixteen hexadecimal digits over its two projections.
    """
    digest = hashlib.sha256()
    text_tower: TextTower = getattr(clip, "text", clip)
    for tensor in (clip.visual.proj, text_tower.text_projection):
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _has_standard_vit(config: dict[str, Any]) -> bool:
    vision, text = config["vision_cfg"], config["text_cfg"]
    standard_image = isinstance(vision.get("layers"), int) and not vision.get("attentional_pool", False)
    standard_image &= "timm_model_name" not in vision and vision.get("pool_type", "tok") == "tok"
    standard_text = "hf_model_name" not in text and text.get("pool_type", "argmax") == "argmax"
    standard_text &= not (text.get("embed_cls") or text.get("no_causal_mask") or text.get("proj_bias"))
    return bool(standard_image and standard_text and "hf_tokenizer_name" not in text)


def _load_tag(backbone: Backbone, tag: str) -> Clip:
    try:
        return _create(backbone, tag, quick_gelu=tag == "openai")
    except Exception as error:  # open_clip raises errors of urllib, of the hub, and of its own
        msg = (
            f"Could not load the weights {tag!r} of {backbone.name}: {error}\nDownload them on a machine with "
            "access and pass the file: AdaptCLIP(pretrained=PATH), --model.pretrained PATH with anomalib, "
            "--pretrained PATH with anomalib-adaptclip."
        )
        raise ConnectionError(msg) from error


def _require_weights(backbone: Backbone, pretrained: str | Path | None) -> Path:
    if pretrained and Path(pretrained).is_file():
        return Path(pretrained)
    own = [TINY_WEIGHTS, f"seed-{TINY_SEED}"] if backbone.name == "tiny" else []
    tags = open_clip.list_pretrained_tags_by_model(backbone.name) or own
    what = f"pretrained={str(pretrained)!r} is neither a tag nor a file" if pretrained else "pretrained is not given"
    msg = f"Which weights of {backbone.name} to take? {what}. Its tags are {tags}; or give the path of a local file."
    raise ValueError(msg)


def _load_file(backbone: Backbone, path: Path) -> Clip:
    state, from_openai = _read_state(path)
    clip = _create(backbone, None, quick_gelu=from_openai)
    try:
        clip.load_state_dict(state)
    except RuntimeError as error:
        msg = f"The weights in {path} are not those of a {backbone.name}. Name their backbone. {error}"
        raise ValueError(msg) from error
    logger.info("CLIP %s loaded from %s, with %s.", backbone.name, path, _activation(clip))
    return clip


def _create(backbone: Backbone, tag: str | None, *, quick_gelu: bool) -> Clip:
    if backbone.name == "tiny":
        return build_tiny()
    return open_clip.create_model(backbone.name, tag, force_quick_gelu=quick_gelu or backbone.quick_gelu)


def _read_state(path: Path) -> tuple[State, bool]:
    """State dict of a CLIP, and whether it is OpenAI's own file."""
    content: Any
    if path.suffix == ".safetensors":
        content = read_safetensors(path)[0]
    elif zipfile.is_zipfile(path) and any(name.endswith("/constants.pkl") for name in zipfile.ZipFile(path).namelist()):
        content = _read_openai_archive(path)
    else:
        content = read_torch_file(path)
    content = content.get("state_dict", content)
    state = {key.removeprefix("module."): tensor for key, tensor in content.items()}
    markers = [state.pop(key, None) for key in ("input_resolution", "context_length", "vocab_size")]
    return state, any(marker is not None for marker in markers)


def _read_openai_archive(path: Path) -> State:
    """OpenAI's files are TorchScript, which is code. They are opened only if they are the ones that open_clip knows."""
    if sha256_of(path) not in _openai_hashes():
        msg = (
            f"{path} is a TorchScript archive, which can hold code, and none of OpenAI's files. Save its "
            "state dict, with safetensors for instance, and pass that."
        )
        raise ValueError(msg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated, and the only reader of these files
        return dict(torch.jit.load(path, map_location="cpu").state_dict())  # type: ignore[no-untyped-call]


def _openai_hashes() -> set[str]:
    """SHA-256 of OpenAI's files: open_clip records them in their addresses, ``.../<hash>/<name>.pt``."""
    configs = (open_clip.get_pretrained_cfg(model, "openai") for model in open_clip.list_openai_models())
    return {config["url"].split("/")[-2] for config in configs if config.get("url")}


def _activation(clip: Clip) -> str:
    return type(clip.visual.transformer.resblocks[0].mlp.gelu).__name__
