# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The commands ``bank-add``, ``bank-remove`` and ``bank-list``."""

from pathlib import Path

from .console import say
from .options import Precision


def bank_add(
    bank: Path,
    name: str,
    folder: Path,
    k_shot: int | None = None,
    backbone: str | None = None,
    pretrained: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    prompt_precision: Precision = "float32",
    prompt_budget: int | None = None,
    white_level: float | None = None,
) -> None:
    """Add good images to a category of a prompt bank. The bank's file is created if it does not exist.

    Images that the category has already are passed over.

    Args:
        bank: Safetensors file of the bank.
        name: Name of the category.
        folder: Folder of good images of the category.
        k_shot: Number of images to add, in file-name order. By default all are added.
        backbone: Backbone of CLIP. By default the bank's backbone is used.
        pretrained: Weights of CLIP: a tag of open_clip or a local file. By default the backbone's usual weights are
            used.
        image_size: Height and width of the input in pixels. By default the bank's input size is used.
        prompt_precision: Precision in which tokens of a new category are stored.
        prompt_budget: Largest number of patches to keep of this category.
        white_level: Value of white in images with more than 8 bits, such as 4095 for 12 bits in files of 16.

    Raises:
        ValueError: If an argument or a file is wrong, or the bank was made with another model.
        FileNotFoundError: If there is no such folder.
        ConnectionError: If CLIP's weights cannot be downloaded.
        OSError: If the file cannot be written.
    """
    from anomalib_adaptclip import AdaptCLIP, PromptBank
    from anomalib_adaptclip.files.atomic import require_file
    from anomalib_adaptclip.files.locks import locked
    from anomalib_adaptclip.prompts.bank_file import read_header
    from anomalib_adaptclip.prompts.selection import prompts_from_folder

    require_file(bank)
    files = prompts_from_folder(folder, k_shot, "folder")
    header = read_header(bank) if bank.exists() else None
    model = AdaptCLIP(
        backbone=backbone or (header.backbone if header else "") or "ViT-L-14-336",
        pretrained=pretrained,
        adapters="none",
        image_size=image_size or (header.image_size if header else None),
        prompt_precision=prompt_precision,
        prompt_budget=prompt_budget,
        white_level=white_level,
    )
    images = model.read_images(files)
    with locked(bank, wait=True):  # read again here, because another command may have changed it
        prompts = (
            PromptBank.load(bank, model.model, model.backbone.name, image_size=model.input_size, as_stored=True)
            if bank.exists()
            else PromptBank(model.model, model.backbone.name)
        )
        before = prompts.k_shot(name)
        prompts.add(name, images)
        prompts.save(bank)
    say(f"{bank}: {name} has {prompts.k_shot(name)} good images, {prompts.k_shot(name) - before} of them new.")


def bank_remove(bank: Path, name: str) -> None:
    """Remove a category from a prompt bank.

    Args:
        bank: Safetensors file of the bank.
        name: Name of the category.

    Raises:
        ValueError: If the file is not a bank, or lacks the category.
        FileNotFoundError: If there is no such file.
    """
    from anomalib_adaptclip.files.locks import locked
    from anomalib_adaptclip.prompts.bank import without
    from anomalib_adaptclip.prompts.bank_file import read_bank, read_header, write_bank

    read_header(bank)  # so that no lock is created beside a file that is not a bank
    with locked(bank, wait=True):
        sets, header = read_bank(bank)
        write_bank(bank, without(sets, name), header)


def bank_list(bank: Path) -> None:
    """Print the categories of a prompt bank.

    Args:
        bank: Safetensors file of the bank.

    Raises:
        ValueError: If the file is not a bank.
        FileNotFoundError: If there is no such file.
    """
    from anomalib_adaptclip.prompts.bank_file import read_bank

    for name, tokens in read_bank(bank)[0].items():
        say(f"{name}: {tokens.shape[1]} good images")
