# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The adapters published with the paper, and their download from Hugging Face."""

from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError, RevisionNotFoundError

from anomalib_adaptclip.files.messages import in_one_line

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
        ValueError: If the repository has no such revision.
        ConnectionError: If it is not in the cache and cannot be downloaded.
    """
    filename = PUBLISHED_ADAPTERS[name].filename
    place = f"{filename} from the Hugging Face repository {REPOSITORY} (revision {revision or 'newest'})"
    try:
        return Path(hf_hub_download(REPOSITORY, filename, revision=revision))
    except (RevisionNotFoundError, HFValidationError) as error:
        msg = f"Could not get {place}: there is no such revision. Name a branch, a tag or a full commit that it has."
        raise ValueError(msg) from error
    except Exception as error:  # the hub raises errors of its own, of its HTTP client, and of the file system
        msg = (
            f"Could not get {place}: {in_one_line(error)} Download that file from there on a machine with access and "
            "pass its path: --model.adapters PATH, or AdaptCLIP(adapters=PATH)."
        )
        raise ConnectionError(msg) from error


def hf_hub_download(repo_id: str, filename: str, revision: str | None) -> str:
    """Hugging Face's, which without a cached copy waits minutes for a silent server: here that ends in ten seconds."""
    if not isinstance(huggingface_hub.try_to_load_from_cache(repo_id, filename, revision=revision), str):
        url = huggingface_hub.hf_hub_url(repo_id, filename, revision=revision)
        huggingface_hub.get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    return huggingface_hub.hf_hub_download(repo_id, filename, revision=revision)
