# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""CLIP's weights and published adapters: which are on this machine, and which can be had."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import open_clip

from anomalib_adaptclip.adapters.published_download import PUBLISHED_ADAPTERS, REPOSITORY
from anomalib_adaptclip.clip import BACKBONES, Backbone
from anomalib_adaptclip.files.messages import in_one_line

from .finding import Finding

SECONDS = 10  # for a server to answer


def examine_weights(*, online: bool) -> Iterator[Finding]:
    """Tell for each backbone whether it can be used without a network, and of what is missing whether it can be had.

    Args:
        online: Ask the servers. Without it nothing goes over the network.
    """
    for backbone in BACKBONES.values():
        if backbone.name == "tiny":
            yield Finding("ok", "tiny: weights and adapters are in the package; it needs no network")
        else:
            yield _of_backbone(backbone, online=online)
    for name, published in PUBLISHED_ADAPTERS.items():
        cached = huggingface_hub.try_to_load_from_cache(REPOSITORY, published.filename)
        url = huggingface_hub.hf_hub_url(REPOSITORY, published.filename)
        remedy = f"get {published.filename} of {REPOSITORY} elsewhere and give adapters=FILE"
        yield _finding(f"Adapters {name}", cached if isinstance(cached, str) else None, url, remedy, online=online)


def _of_backbone(backbone: Backbone, *, online: bool) -> Finding:
    config = open_clip.get_pretrained_cfg(backbone.name, str(backbone.pretrained))
    url = config.get("url") or ""
    path = Path("~/.cache/clip").expanduser() / url.rpartition("/")[2]  # open_clip's own place
    cached = str(path) if url and path.is_file() else None
    if config.get("hf_hub"):
        repository, _, filename = config["hf_hub"].rpartition("/")
        filename = filename or "open_clip_pytorch_model.bin"
        found = huggingface_hub.try_to_load_from_cache(repository, filename)
        cached = cached or (found if isinstance(found, str) else None)
        url = url or huggingface_hub.hf_hub_url(repository, filename)
    name = f"{backbone.name}, weights {backbone.pretrained}"
    return _finding(name, cached, url, "get the file elsewhere and give pretrained=FILE", online=online)


def _finding(name: str, cached: str | None, url: str, remedy: str, *, online: bool) -> Finding:
    if cached:
        return Finding("ok", f"{name}: {cached}")
    if not online:
        return Finding("note", f"{name}: not on this machine; the first use downloads it. Without a network, {remedy}.")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS):  # noqa: S310  # fixed
            return Finding("ok", f"{name}: can be downloaded")
    except (OSError, ValueError) as error:
        return Finding("fault", f"{name}: cannot be downloaded: {in_one_line(error)} Mend the network, or {remedy}.")
