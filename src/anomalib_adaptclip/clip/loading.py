# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Loading CLIP's weights: by open_clip's tag, from a local file, or those that the package ships."""

import logging
import socket
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.files.messages import in_one_line
from anomalib_adaptclip.files.tensors import (
    State,
    differences,
    read_safetensors,
    read_torch_file,
    require_state,
    sha256_of,
)

from .backbones import TINY_WEIGHTS, Backbone, get_backbone
from .huggingface_layout import from_huggingface, is_huggingface
from .identity import ClipIdentity, fingerprint
from .tiny import UNTRAINED_WEIGHTS, build_tiny, load_tiny
from .types import Clip, TextTower

logger = logging.getLogger(__name__)

_SHOWN = 5  # keys in a message
_MARKERS = ("input_resolution", "context_length", "vocab_size")  # what OpenAI's files hold besides weights
TIMEOUT = 30.0  # seconds that a server may be silent


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

    def identity(self) -> ClipIdentity:
        """Backbone, weights and their hash. To be taken before a trainer changes the precision."""
        return ClipIdentity(self.backbone.name, self.weights, fingerprint(self.clip))


def load_clip(name: str, pretrained: str | Path | None = None) -> LoadedClip:
    """Build a CLIP with its weights.

    Args:
        name: Backbone, see :func:`get_backbone`.
        pretrained: open_clip's tag of the weights, or the path of a local file: a state dict (``.safetensors``,
            ``.pt``, ``.bin``), or OpenAI's own archive. The backbone's usual weights by default. `tiny` has
            ``"generated"``, see its model card, and ``"seed-0"``, untrained.

    Weights in float32 stay in their file, which is mapped into memory: processes share them, and what is written to
    them stays in the process. Replace such a file as a whole; never change it in place while a process uses it.

    Returns:
        The CLIP and how to read it.

    Raises:
        ValueError: If backbone or tag is unknown, or the file is missing, does not fit or is not finite.
        ConnectionError: If the weights cannot be downloaded.
    """
    require_types(load_clip, locals())
    backbone = get_backbone(name)
    pretrained = backbone.pretrained if pretrained is None else pretrained
    if name == "tiny" and str(pretrained) != TINY_WEIGHTS:
        backbone = replace(backbone, adapters=())  # they belong to the shipped weights
    if name == "tiny" and str(pretrained) in {TINY_WEIGHTS, UNTRAINED_WEIGHTS}:
        clip, weights = load_tiny() if str(pretrained) == TINY_WEIGHTS else build_tiny(), str(pretrained)
    elif str(pretrained) in open_clip.list_pretrained_tags_by_model(name):
        clip, weights = _load_tag(backbone, str(pretrained)), str(pretrained)
    else:
        path = _require_weights(backbone, pretrained)
        clip, weights = _load_file(backbone, path), path.name
    return LoadedClip(clip.eval(), backbone, weights)


def _load_tag(backbone: Backbone, tag: str) -> Clip:
    path, is_openai = _download(backbone, tag), tag == "openai"
    return _build(backbone, path, _read_state(path, is_verified=is_openai)[0], quick_gelu=is_openai)


def _download(backbone: Backbone, tag: str) -> Path:
    """File of a tag, from open_clip's cache or the net. Of OpenAI's files open_clip compares the hash."""
    try:
        with _bounded_waiting():
            return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(backbone.name, tag)))
    except Exception as error:  # open_clip raises errors of urllib, of the hub, and of its own
        msg = (
            f"Could not load the weights {tag!r} of {backbone.name}: {in_one_line(error)} "
            "Download them on a machine with access and pass the file: AdaptCLIP(pretrained=PATH), "
            "--model.pretrained PATH with anomalib, --pretrained PATH with anomalib-adaptclip."
        )
        raise ConnectionError(msg) from error


@contextmanager
def _bounded_waiting() -> Iterator[None]:
    """Give a silent server up after a while: open_clip sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT if before is None else before)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _require_weights(backbone: Backbone, pretrained: str | Path | None) -> Path:
    if pretrained and Path(pretrained).is_file():
        return Path(pretrained)
    own = [TINY_WEIGHTS, UNTRAINED_WEIGHTS] if backbone.name == "tiny" else []
    tags = open_clip.list_pretrained_tags_by_model(backbone.name) or own
    what = f"pretrained={str(pretrained)!r} is neither a tag nor a file" if pretrained else "pretrained is not given"
    msg = f"Which weights of {backbone.name} to take? {what}. Its tags are {tags}; or give the path of a local file."
    raise ValueError(msg)


def _load_file(backbone: Backbone, path: Path) -> Clip:
    state, from_openai = _read_state(path)
    clip = _build(backbone, path, state, quick_gelu=from_openai)
    quick = f"{backbone.name}-quickgelu"
    if not from_openai and _activation(clip) == "GELU" and quick in open_clip.list_models():
        logger.warning(
            "%s does not say its activation: GELU is taken. If it was trained with QuickGELU, as OpenAI's weights and "
            "those that open_clip lists for %s were, name that backbone.",
            path,
            quick,
        )
    return clip


def _build(backbone: Backbone, path: Path, state: State, *, quick_gelu: bool) -> Clip:
    """Build a CLIP around the weights of a file. They are the only ones in memory, and mapped where they can be."""
    with torch.device("meta"):  # draws no weights and takes no memory for them
        clip = _create(backbone, quick_gelu=quick_gelu or backbone.quick_gelu)
    if problems := differences(clip.state_dict(), state):
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        msg = (
            f"The weights in {path} are not those of a {backbone.name}. Name their backbone, or give a file in "
            f"open_clip's layout. {'; '.join(problems[:_SHOWN])}{more}."
        )
        raise ValueError(msg)
    for name in state:  # one by one, so that of half precision no second copy of all is held
        state[name] = state[name].float().contiguous()
    clip.load_state_dict(state, assign=True)
    tower: TextTower = getattr(clip, "text", clip)
    tower.attn_mask = torch.full(tower.attn_mask.shape, -torch.inf).triu(1)  # causal; files do not hold it
    logger.info("CLIP %s loaded from %s, with %s.", backbone.name, path, _activation(clip))
    return clip


def _create(backbone: Backbone, *, quick_gelu: bool) -> Clip:
    if backbone.name == "tiny":
        return build_tiny()
    return open_clip.create_model(backbone.name, force_quick_gelu=quick_gelu, device="meta")


def _read_state(path: Path, *, is_verified: bool = False) -> tuple[State, bool]:
    """State dict of a CLIP, and whether it is OpenAI's own file, which may have been verified already."""
    content: Any
    if path.suffix == ".safetensors":
        content = read_safetensors(path)[0]
    elif zipfile.is_zipfile(path) and any(name.endswith("/constants.pkl") for name in zipfile.ZipFile(path).namelist()):
        content = _read_openai_archive(path, is_verified=is_verified)
    else:
        content = read_torch_file(path, mmap=True)
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    from_openai = False
    if isinstance(content, dict):
        content = {str(key).removeprefix("module."): value for key, value in content.items()}
        from_openai = any([content.pop(key, None) is not None for key in _MARKERS])  # noqa: C419  # all are to go
    state = require_state(path, content)
    return from_huggingface(state) if is_huggingface(state) else state, from_openai


def _read_openai_archive(path: Path, *, is_verified: bool) -> State:
    """OpenAI's files are TorchScript, which is code. They are opened only if they are the ones that open_clip knows."""
    if not is_verified and sha256_of(path) not in _openai_hashes():
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
