# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The adapters published with the paper, and their download from Hugging Face."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download

REPOSITORY = "csgaobb/AdaptCLIP"


@dataclass(frozen=True)
class PublishedAdapters:
    """Adapters for ViT-L-14-336 with OpenAI's weights, as released with the paper.

    Attributes:
        filename: File in the Hugging Face repository ``csgaobb/AdaptCLIP``.
        base: anomalib's data module of the data set that they were trained on.
    """

    filename: str
    base: str


PUBLISHED_ADAPTERS = {
    name: PublishedAdapters(f"adaptclip_checkpoints/12_4_128_train_on_{name}_3adapters_batch8/epoch_15.pth", base)
    for name, base in (("mvtec", "MVTecAD"), ("visa", "Visa"))
}


def fetch_published(name: str, revision: str | None = None) -> Path:
    """Path of published adapters, downloaded from Hugging Face unless they are in its cache.

    Args:
        name: ``"mvtec"`` or ``"visa"``, the base data set.
        revision: Branch, tag or commit of the repository. The newest by default.

    Returns:
        The cached file.

    Raises:
        ConnectionError: If it is not in the cache and cannot be downloaded.
    """
    filename = PUBLISHED_ADAPTERS[name].filename
    try:
        return Path(hf_hub_download(REPOSITORY, filename, revision=revision))
    except Exception as error:  # the hub raises errors of its own, of requests, and of the file system
        msg = (
            f"Could not get {filename} from the Hugging Face repository {REPOSITORY} "
            f"(revision {revision or 'newest'}): {error}\nDownload that file from there on a machine with access and "
            "pass its path: --model.adapters PATH, or AdaptCLIP(adapters=PATH)."
        )
        raise ConnectionError(msg) from error
