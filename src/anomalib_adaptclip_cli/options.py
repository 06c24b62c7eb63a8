# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Options of the model and the data module, repeated here so that help need not import ``anomalib_adaptclip``.

A test compares them with the constructors. Arguments that only code can give, such as a pre-processor, are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

AdapterName = Literal["visual", "textual", "prompt_query"]
Calibration = Literal["labels", "normal"]
ExecutorName = Literal["processes", "ray"]
Fusion = Literal["published", "paper", "log_odds"]
Precision = Literal["float32", "float16"]
Runtime = Literal["torch", "openvino"]
SaveFormat = Literal["csv", "parquet", "jsonl", "coco", "masks", "maps"]
UnknownCategory = Literal["zero_shot", "error"]
Unreadable = Literal["error", "skip"]


@dataclass
class AdaptCLIPOptions:
    """Options of the model.

    Args:
        k_shot: Normal images as prompts; 0 is zero-shot.
        few_shot_source: Folder of normal images, used by file name.
        class_name: What images show, for the texts.
        backbone: A ViT of open_clip, or tiny.
        pretrained: Weights of CLIP: a tag of open_clip or a file.
        adapters: Adapters: auto, mvtec, visa, generated, none or a file; @sha256:HASH pins them.
        seed: Seed for drawing the prompt images.
        image_size: Height and width in pixels; the backbone's usual.
        revision: Branch, tag or commit of the published adapters.
        adapter_names: Adapters to use, [visual,textual]; all by default.
        context: Whether prompt-query sees the query.
        topk: Positions that the image head pools.
        fusion: How scores become one: published, paper or log_odds.
        prompt_precision: Precision of the prompts in memory.
        prompt_budget: Patches to keep of all prompts together.
        tiles: Side of tiles in pixels, or [rows,columns].
        tile_overlap: Share of a tile that the next repeats.
        match_window: Patches that matching ones may lie apart at most.
        roi: What alone is judged: mask file, box or polygon.
        prompt_bank: File of a prompt bank to use instead of k_shot.
        unknown_category: Images that the bank lacks.
        calibration: What sets the thresholds.
        false_positive_rate: Share of good images above thresholds.
        image_threshold: Raw score that abnormal images exceed.
        pixel_threshold: Raw value that abnormal pixels exceed.
        image_sensitivity: Sensitivity of labels, from 0 to 1.
        pixel_sensitivity: Sensitivity of marked pixels, from 0 to 1.
        white_level: White in images of more than 8 bits, such as 4095.
    """

    k_shot: int = 0
    few_shot_source: Path | str | None = None
    class_name: str = "object"
    backbone: str = "ViT-L-14-336"
    pretrained: Path | str | None = None
    adapters: str | Path = "auto"
    seed: int = 10
    image_size: int | tuple[int, int] | None = None
    revision: str | None = None
    adapter_names: Sequence[AdapterName] = ("visual", "textual", "prompt_query")
    context: bool = True
    topk: int = 10
    fusion: Fusion | None = None
    prompt_precision: Precision = "float32"
    prompt_budget: int | None = None
    tiles: int | tuple[int, int] | None = None
    tile_overlap: float = 0.25
    match_window: int | None = None
    roi: Sequence[float] | Path | str | None = None
    prompt_bank: Path | str | None = None
    unknown_category: UnknownCategory = "zero_shot"
    calibration: Calibration = "labels"
    false_positive_rate: float = 0.1
    image_threshold: float | None = None
    pixel_threshold: float | None = None
    image_sensitivity: float | None = None
    pixel_sensitivity: float | None = None
    white_level: float | None = None


@dataclass
class PartOptions:
    """Options of the model that knows a part, for inspections. What is left out is not given to it.

    Args:
        backbone: ViT-L-14-336, which is the default, ViT-B-16-plus-240, tiny (which needs no network) or another
            standard ViT of open_clip.
        pretrained: Weights of CLIP: a tag of open_clip or a local file. By default the backbone's usual weights.
        adapters: Source of the adapters: auto, mvtec, visa, generated, none or a file. By default auto.
        class_name: Name of what the photos show, for the texts. By default object.
        image_size: Height and width of the input in pixels. By default the backbone's usual size.
        tiles: Cut photos into tiles, for small defects: side in pixels of the photo, or [rows,columns].
        tile_overlap: Share of a tile that the next one repeats, 0 to 0.75. By default 0.25.
        match_window: Patches that a patch and its nearest good one may lie apart, for parts in a fixture.
        roi: Region of interest, which alone is judged: a mask file, white inside, a box [left,top,right,bottom] or a
            polygon [x,y,...] in shares of width and height.
        false_positive_rate: Share of good photos that may be judged abnormal. By default 0.1.
        white_level: Value of white in images with more than 8 bits, such as 4095 for 12 bits in files of 16.
    """

    backbone: str | None = None
    pretrained: str | None = None
    adapters: str | None = None
    class_name: str | None = None
    image_size: int | tuple[int, int] | None = None
    tiles: int | tuple[int, int] | None = None
    tile_overlap: float | None = None
    match_window: int | None = None
    roi: Sequence[float] | Path | str | None = None
    false_positive_rate: float | None = None
    white_level: float | None = None


@dataclass
class TrainingOptions:
    """Options of a model that is trained. What is left out is not given to it.

    Args:
        backbone: ViT-L-14-336, which is the default, ViT-B-16-plus-240, tiny (which needs no network) or another
            standard ViT of open_clip.
        pretrained: Weights of CLIP: a tag of open_clip or a local file. By default the backbone's usual weights.
        class_name: Name of what the images show, for the texts. By default object.
        image_size: Height and width of the input in pixels. By default the backbone's usual size.
        cache_dir: Folder for cached CLIP tokens, with which epochs are many times faster.
        white_level: Value of white in images with more than 8 bits, such as 4095 for 12 bits in files of 16.
    """

    backbone: str | None = None
    pretrained: str | None = None
    class_name: str | None = None
    image_size: int | tuple[int, int] | None = None
    cache_dir: Path | None = None
    white_level: float | None = None


OPTIONS_OF_MODELS = (AdaptCLIPOptions, PartOptions)


@dataclass
class DataModuleOptions:
    """Options of the data.

    Args:
        base: Data set to train on, named by its data module in anomalib, such as MVTecAD, Visa or Folder.
        base_root: Folder of the base. By default the data module's usual folder.
        base_categories: Categories to train on. By default all categories in the folder.
        base_args: Further arguments of the base's data module.
        target: Data set to test on, named like the base.
        target_root: Folder of the target. By default the base's folder if both have the same data module.
        target_categories: Categories to test on. By default all categories in the folder.
        target_args: Further arguments of the target's data module.
        holdout_categories: Categories of the base to test on and not to train on, instead of a target.
        allow_leakage: Name of the base, if the target may be the same data set. The metrics are then meaningless.
        train_batch_size: Number of queries in a training batch of one process. All processes together need at least
            two.
        eval_batch_size: Number of images in a test batch.
        num_workers: Number of worker processes that load images.
        seed: Seed for the order of the queries and for drawing their prompts.
    """

    base: str
    base_root: Path | str | None = None
    base_categories: Sequence[str] | None = None
    base_args: dict[str, Any] | None = None
    target: str | None = None
    target_root: Path | str | None = None
    target_categories: Sequence[str] | None = None
    target_args: dict[str, Any] | None = None
    holdout_categories: Sequence[str] | None = None
    allow_leakage: str | None = None
    train_batch_size: int = 8
    eval_batch_size: int = 8
    num_workers: int = 8
    seed: int = 10
