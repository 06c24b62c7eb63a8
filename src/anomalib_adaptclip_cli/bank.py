# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The commands ``bank-add``, ``bank-remove`` and ``bank-list``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .console import say
from .options import Precision

if TYPE_CHECKING:
    from anomalib_adaptclip.prompts.bank_scores import ModelScores


def bank_add(
    bank: Path,
    name: str,
    folder: Path,
    k_shot: int | None = None,
    backbone: str | None = None,
    pretrained: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    adapters: str | Path = "auto",
    class_name: str = "object",
    calibrate: bool = True,
    prompt_precision: Precision = "float32",
    prompt_budget: int | None = None,
    tiles: int | tuple[int, int] | None = None,
    tile_overlap: float = 0.25,
    roi: Sequence[float] | Path | str | None = None,
    white_level: float | None = None,
) -> None:
    """Add good images to a category of a prompt bank. The bank's file is created if it does not exist.

    Images that the category has already are not added again. Two images and more are calibrated on, for
    calibration=normal: each of them is scored by comparison with all others of the category. The thresholds hold for
    models with the same adapters.

    Args:
        bank: Safetensors file of the bank.
        name: Name of the category.
        folder: Folder of good images of the category.
        k_shot: Number of images to add, in file-name order. By default all are added.
        backbone: Backbone of CLIP. By default the bank's backbone is used.
        pretrained: Weights of CLIP: a tag of open_clip or a local file. By default the backbone's usual weights are
            used.
        image_size: Height and width of the input in pixels. By default the bank's input size is used.
        adapters: Adapters to calibrate with: those of the model that is to use the bank.
        class_name: Name of what the images show, as of that model.
        calibrate: Whether to calibrate. If not, no adapters are needed.
        prompt_precision: Precision in which tokens of a new category are stored.
        prompt_budget: Largest number of patches to keep of this category.
        tiles: Cut images into tiles, as that model does: side in pixels of the image, or [rows,columns].
        tile_overlap: Share of a tile that the next one repeats, 0 to 0.75.
        roi: Region of interest of this category, which alone is judged: a mask file, white inside, a box
            [left,top,right,bottom] or a polygon [x,y,...] in shares of width and height.
        white_level: Value of white in images with more than 8 bits, such as 4095 for 12 bits in files of 16.

    Raises:
        ValueError: If an argument or a file is wrong, or the bank was made with another model.
        FileNotFoundError: If there is no such folder.
        ConnectionError: If weights of CLIP or adapters cannot be downloaded.
        OSError: If the file cannot be written.
    """
    from anomalib_adaptclip import AdaptCLIP, PromptBank
    from anomalib_adaptclip.files.atomic import require_file
    from anomalib_adaptclip.files.locks import locked
    from anomalib_adaptclip.files.region_of_interest import read_region
    from anomalib_adaptclip.prompts.bank_file import read_header
    from anomalib_adaptclip.prompts.selection import prompts_from_folder

    require_file(bank)
    region = read_region(roi)
    files = prompts_from_folder(folder, k_shot, "folder")
    header = read_header(bank) if bank.exists() else None
    model = AdaptCLIP(
        backbone=backbone or (header.backbone if header else "") or "ViT-L-14-336",
        pretrained=pretrained,
        adapters=adapters if calibrate else "none",
        class_name=class_name,
        image_size=image_size or (header.input_size if header else None),
        prompt_precision=prompt_precision,
        prompt_budget=prompt_budget,
        tiles=tiles,
        tile_overlap=tile_overlap,
        white_level=white_level,
    )
    with locked(bank, wait=True):  # read again here, because another command may have changed it
        prompts = (
            PromptBank.load(bank, model.model, model.backbone.name, image_size=model.expected_size, as_stored=True)
            if bank.exists()
            else PromptBank(model.model, model.backbone.name)
        )
        before = prompts.k_shot(name)
        if calibrate:
            model.add_to_bank(name, files, prompts, region)
        else:
            prompts.add(name, model.read_images(files), roi=region)
        prompts.save(bank)
    added = f"{prompts.k_shot(name)} good images, {prompts.k_shot(name) - before} of them new"
    say(f"{bank}: {name} has {added}; {_describe_thresholds(prompts.scores(name), 0.1)}.")


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
    say(f"{bank}: {name} is removed.")


def bank_list(bank: Path, false_positive_rate: float = 0.1) -> None:
    """Print the categories of a prompt bank: good images, and thresholds of those that are calibrated.

    Args:
        bank: Safetensors file of the bank.
        false_positive_rate: Share of normal images that may exceed the thresholds.

    Raises:
        ValueError: If the file is not a bank, or the rate is out of range.
        FileNotFoundError: If there is no such file.
    """
    from anomalib_adaptclip.model.calibration import require_rate
    from anomalib_adaptclip.prompts.bank_file import read_bank

    require_rate(false_positive_rate)
    sets, header = read_bank(bank)
    for name, tokens in sets.items():
        thresholds = _describe_thresholds(header.scores.get(name, {}), false_positive_rate)
        say(f"{name}: {tokens.shape[1]} good images; {thresholds}")


def _describe_thresholds(scores: "ModelScores", rate: float) -> str:
    """Thresholds of a category in words, for each model that it was calibrated with."""
    from anomalib_adaptclip.model.bank_calibration import category_record

    records = [record for model in scores if (record := category_record(scores, model, rate))]
    texts = [
        f"thresholds {record.thresholds.image:.4f} (image) and {record.thresholds.pixel:.4f} (pixels) by "
        f"{len(record.files)} of them for {rate:g} false positives"
        for record in records
    ]
    return " or, with other adapters, ".join(texts) or "not calibrated (give all of them to bank-add, two at least)"
