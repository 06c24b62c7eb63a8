# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIP in anomalib: zero- and few-shot detection for the command line and the Engine.

Glue only: :mod:`~anomalib_adaptclip.model.torch_model` computes, and each concern has an object of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from anomalib import LearningType
from anomalib.data import Batch, InferenceBatch
from anomalib.metrics import Evaluator
from anomalib.models.components import AnomalibModule
from anomalib.post_processing import PostProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import nn

from anomalib_adaptclip.adapters import ADAPTERS, AdapterName
from anomalib_adaptclip.adapters.adapter_choice import NONE, require_adapters, require_revision
from anomalib_adaptclip.adapters.adapter_slot import AdapterSlot
from anomalib_adaptclip.clip import load_clip
from anomalib_adaptclip.data.empty_dataloader import empty_dataloader
from anomalib_adaptclip.data.good_images import keep_good_images
from anomalib_adaptclip.data.reading import ReadingCallback, require_images
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.files.region_of_interest import RegionSource, read_region
from anomalib_adaptclip.prompts.bank import PromptBank
from anomalib_adaptclip.prompts.bank_choice import NEEDS_CATEGORIES, UnknownCategory, require_bank
from anomalib_adaptclip.prompts.categories import categories_by_path
from anomalib_adaptclip.prompts.memory import Precision, require_memory
from anomalib_adaptclip.prompts.selection import Draw, Shots
from anomalib_adaptclip.results.callback import ResultsCallback
from anomalib_adaptclip.results.results_writer import SaveFormat

from .bank_calibration import new_calibrator
from .calibration import Calibration, require_calibration
from .category_mixin import CategoryMixin
from .checkpoint_mixin import CheckpointMixin
from .clip_mixin import FrozenClipMixin, build_model, resolve_backbone
from .explain_mixin import ExplainMixin
from .export import WholeExportMixin
from .fusion import Fusion
from .given_arguments import require_arguments
from .given_thresholds import GivenThresholds
from .missing_data import SkipMissingData
from .model_options import ModelOptions, require_window, resolve_fusion
from .precision import keep_float32
from .prompt_encoding import PromptImages, read_prompts, update_prompts
from .thresholds import warn_if_uncalibrated
from .tile_resize import require_tiles, tile_pre_processor
from .tiling import TILE_OVERLAP


class AdaptCLIP(ExplainMixin, CheckpointMixin, FrozenClipMixin, CategoryMixin, WholeExportMixin, AnomalibModule):
    """AdaptCLIP: zero- and few-shot anomaly detection on images of things it was never trained on.

    Args:
        k_shot: Number K of normal images that serve as prompts; 0 is zero-shot.
        few_shot_source: Folder of normal images. The first K in file-name order are taken. Without it, K train images
            of the data module are drawn.
        class_name: What the images show, for the static texts.
        backbone: ``"ViT-L-14-336"``, ``"ViT-B-16-plus-240"``, ``"tiny"`` or another standard ViT of open_clip.
        pretrained: CLIP's weights: open_clip's tag, or a local file. The backbone's usual weights by default.
        adapters: ``"auto"`` takes the published ones that were not trained on the data under test, where there are
            any, and for `tiny` the shipped ones. ``"mvtec"``, ``"visa"``, ``"generated"``, ``"none"`` or a file.
        seed: Seed for drawing the prompt images; the paper's are 10, 20 and 30.
        draw: ``"published"``: with replacement, as the paper's figures were made, so that an image may come twice;
            ``"distinct"``: without.
        image_size: Height and width of the input in pixels, multiples of the patch. The backbone's usual by default.
        revision: Branch, tag or commit of the published adapters.
        adapter_names: Adapters in use, out of ``"visual"``, ``"textual"`` and ``"prompt_query"``.
        context: Let the prompt-query adapter see the query itself, not only the aligned residual.
        topk: Number of largest positions that its image head pools.
        fusion: ``"published"``, ``"paper"`` (averages) or ``"log_odds"``; the last is the default of `tiny`.
        prompt_precision: Precision of the prompts in memory, ``"float32"`` or ``"float16"``.
        prompt_budget: Patches of the prompts to keep at most, all images together; the most representative ones.
        tiles: Cut images, prompts too, into overlapping tiles, each of which the model sees at its input size, so that
            small defects in large images are found: the side of a tile in pixels of the image, or rows and columns.
        tile_overlap: Share of a tile, at least, that it has in common with the next one, 0 to 0.75.
        match_window: For parts that always lie at the same place: rows and columns of patches that a patch and its
            nearest normal one may lie apart at most.
        roi: Region of interest: outside it nothing is judged, and prompts are used inside alone. A mask file of the
            images' shape, white inside; a box: left, top, right, bottom; or a polygon: x, y of each corner. Numbers are
            shares of width and height, 0 to 1. A category of a bank has its own.
        prompt_bank: File of a :class:`PromptBank`: prompts of many categories, instead of ``k_shot``. Each image is
            compared with those of its category, which its batch names, its data set's column ``category``, or its
            folder; or ``category_of``, if that is set.
        unknown_category: What to do with images that the bank has no prompts for: ``"zero_shot"``, with a warning, or
            ``"error"``.
        calibration: ``"labels"``: anomalib sets thresholds by labelled validation data. ``"normal"``: the prompts alone
            set them, each compared with the others.
        false_positive_rate: Share of normal images that are to exceed the image threshold of ``"normal"``, and to show
            pixels that exceed the pixel threshold.
        image_threshold: Raw score in [0, 1] that abnormal images exceed, in place of one that was found.
        pixel_threshold: Raw value of the map in [0, 1] that abnormal pixels exceed, likewise.
        image_sensitivity: anomalib's sensitivity of images, in [0, 1]; 0.5 leaves the threshold as it is.
        pixel_sensitivity: The same of pixels.
        white_level: Value of white in images with more than 8 bits, such as 4095 for 12 bits in files of 16. By default
            the largest value of their type, or what a TIFF file says.
        results: Table that prediction writes, ``.csv`` or ``.parquet``: path, score, label and boxes of marked regions,
            row by row. Then prediction returns nothing, so that any number of images fits in memory.
        save: Formats to write beside ``results``, out of ``"csv"``, ``"parquet"``, ``"jsonl"``, ``"coco"``, ``"masks"``
            and ``"maps"``.
        pre_processor: Pre-processor or flag to use the default: resize, bicubic, and CLIP's statistics.
        post_processor: Post-processor or flag to use the default.
        evaluator: Evaluator or flag to use the default.
        visualizer: Visualizer or flag to use the default.

    Attributes:
        prompt_bank: The bank, if there is one. Good images may be added while it serves:
            ``model.add_to_bank("bottle", files)``.
        category_of: A function that tells the category by an image's path. ``None`` by default.

    Raises:
        ValueError: If an argument is out of range, or a file does not fit.
        FileNotFoundError: If a file or folder does not exist.
        ConnectionError: If weights cannot be downloaded.
    """

    post_processor: PostProcessor | None
    trainer_arguments: ClassVar[dict[str, Any]] = {}  # none of its own

    def __init__(
        self,
        k_shot: int = 0,
        few_shot_source: Path | str | None = None,
        class_name: str = "object",
        backbone: str = "ViT-L-14-336",
        pretrained: Path | str | None = None,
        adapters: str | Path = "auto",
        seed: int = 10,
        draw: Draw = "published",
        image_size: int | tuple[int, int] | None = None,
        revision: str | None = None,
        adapter_names: Sequence[AdapterName] = ADAPTERS,
        context: bool = True,
        topk: int = 10,
        fusion: Fusion | None = None,
        prompt_precision: Precision = "float32",
        prompt_budget: int | None = None,
        tiles: int | tuple[int, int] | None = None,
        tile_overlap: float = TILE_OVERLAP,
        match_window: int | None = None,
        roi: RegionSource | None = None,
        prompt_bank: Path | str | None = None,
        unknown_category: UnknownCategory = "zero_shot",
        calibration: Calibration = "labels",
        false_positive_rate: float = 0.1,
        image_threshold: float | None = None,
        pixel_threshold: float | None = None,
        image_sensitivity: float | None = None,
        pixel_sensitivity: float | None = None,
        white_level: float | None = None,
        results: Path | str | None = None,
        save: Sequence[SaveFormat] = (),
        pre_processor: nn.Module | bool = True,
        post_processor: nn.Module | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        components = require_arguments(AdaptCLIP, locals())
        spec, size = resolve_backbone(backbone, image_size)
        options = ModelOptions(
            *(tuple(adapter_names), context, topk),
            class_name=class_name,
            fusion=resolve_fusion(fusion, backbone),
            tile_size=None if tiles is None else size,
            tile_overlap=tile_overlap,
            match_window=match_window,
            roi=read_region(roi),
        )
        require_tiles(tiles, spec.patch_size, has_own_pre_processor=pre_processor is not True)
        require_window(match_window, k_shot, prompt_bank, prompt_budget)
        require_memory(prompt_precision, prompt_budget, k_shot)
        require_bank(prompt_bank, unknown_category, k_shot, roi)
        require_calibration(calibration, false_positive_rate, k_shot, prompt_bank, post_processor)
        given = GivenThresholds(image_threshold, pixel_threshold, image_sensitivity, pixel_sensitivity)
        given.require_range(post_processor)
        reader = ImageReader(white_level)
        require_revision(revision, str(adapters), spec)
        require_adapters(str(adapters), spec)
        shots, callback = Shots(k_shot, few_shot_source, seed, draw), ResultsCallback(results, save)
        super().__init__(
            pre_processor=tile_pre_processor(tiles, size, tile_overlap, spec.patch_size)
            if pre_processor is True
            else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.given_components = components
        self.image_reader = reader
        self.require_input_size(size, spec.patch_size)
        self.keep_antialias()
        self.default_image_size = size
        self.shots = shots
        self.given_thresholds = given
        given.apply(self.post_processor)
        self.calibrator = new_calibrator(calibration, false_positive_rate, has_bank=prompt_bank is not None)
        self._source_images: PromptImages | None = None
        if files := shots.source_files:  # read now: damaged ones are told before CLIP is built
            self._source_images = read_prompts(files, self.image_input, with_variants=calibration == "normal")
        self.category_of: Callable[[str], str] | None = None
        self._results_callback = callback
        self._precise_state: dict[str, torch.Tensor] = {}
        self._categories: dict[str, str] = {}
        loaded = load_clip(backbone, pretrained)
        self.backbone = loaded.backbone
        self.clip_identity = loaded.identity()  # now, for a trainer may change the precision
        self.adapter_slot = AdapterSlot(str(adapters), self.backbone, revision)
        file = self.adapter_slot.read_known()
        options = replace(options, adapters=()) if self.adapter_slot.is_empty else options
        options = file.applied_to(options) if file else options
        self.model = build_model(loaded.clip, self.backbone, options, prompt_precision, prompt_budget)
        if file:
            self.adapter_slot.install(file, self.model.load_adapters, self.clip_identity)
        self.model.awaits_adapters = self.adapter_slot.is_automatic and file is None
        self.prompt_bank: PromptBank | None = None
        if prompt_bank is not None:
            self.prompt_bank = PromptBank.load(
                prompt_bank, self.model, self.backbone.name, unknown_category, self.expected_size
            )

    @property
    def expected_size(self) -> tuple[int, int] | None:
        """Height and width of preprocessed images in pixels; None if tiles of a number of pixels decide them."""
        return None if isinstance(self.hparams.get("tiles"), int) else self.input_size or self.default_image_size

    @property
    def prompt_files(self) -> list[str]:
        """Images that serve as prompts, in order; empty until there are some."""
        return self.shots.files

    def on_validation_start(self) -> None:
        """Prepare adapters, texts and prompts: the data module is set up, a checkpoint loaded, the device reached."""
        self.prepare()

    def on_test_start(self) -> None:
        """Prepare as for validation, and tell if thresholds are missing."""
        self.prepare()
        warn_if_uncalibrated(self.post_processor)

    on_predict_start = on_test_start

    def prepare(self) -> None:
        """Get what depends on the data: automatic adapters, text pairs, prompts and their thresholds.

        The Engine's stages and :meth:`forward` call it. What a checkpoint brought along is kept.

        Raises:
            ValueError: If there are fewer normal images than shots, or none to draw from.
            ConnectionError: If adapters cannot be downloaded.
        """
        datamodule = self.current_datamodule()
        if self.model.options.roi:
            self.image_input.like_test_images(datamodule).require_whole_images()
        keep_float32(self, self._precise_state)
        if file := self.adapter_slot.resolve(datamodule):
            self.adapter_slot.install(file, self.model.load_adapters, self.clip_identity)
        self.adapter_slot.warn_of_leakage(datamodule)
        self.model.encode_texts()
        if self.prompt_bank:
            self.prepare_bank(self.prompt_bank)
            self._categories = categories_by_path(datamodule)
        images, self._source_images = self._source_images, None
        update_prompts(self.model, self.shots, datamodule, self.calibrator, self.image_input, images)
        self.given_thresholds.apply(self.post_processor, self.calibrator)

    def on_validation_epoch_end(self) -> None:
        """Keep given thresholds, and those of normal images, where anomalib has just found others by labels."""
        self.given_thresholds.apply(self.post_processor, self.calibrator)

    def predict_step(self, batch: Batch[Any], batch_idx: int, dataloader_idx: int = 0) -> STEP_OUTPUT:
        """Predict a batch whose images the pre-processor has seen."""
        del batch_idx, dataloader_idx
        categories = self.categories_of(batch)
        output = self.detect(torch.as_tensor(batch.image), categories)
        if reasons := self.unjudged(categories):
            batch.explanation = reasons
        updated: STEP_OUTPUT = batch.update(**output._asdict())
        return updated

    def test_step(self, batch: Batch[Any], batch_idx: int, *args: Any, **kwargs: Any) -> STEP_OUTPUT:  # noqa: ANN401
        """Predict a batch, for metrics."""
        del args, kwargs
        return self.predict_step(batch, batch_idx)

    validation_step = test_step

    def forward(self, batch: torch.Tensor, *args: Any, **kwargs: Any) -> InferenceBatch:  # noqa: ANN401
        """Pre-process, detect, post-process: for use without the Engine, and for exported models.

        Args:
            batch: Images ``(B, 3, H, W)`` in [0, 1].
            *args: Not used.
            **kwargs: Not used.

        Raises:
            ValueError: If there is a prompt bank: images alone do not tell their categories; or for other images.
        """
        del args, kwargs
        self.prepare_once()
        if self.pre_processor and not torch.compiler.is_compiling():
            require_images(batch)
        images = self.pre_processor(batch) if self.pre_processor else batch
        output = self.detect(images)
        return self.post_processor(output) if self.post_processor else output

    def prepare_once(self) -> None:
        """Prepare a model for one category, unless it is prepared.

        Raises:
            ValueError: If there is a prompt bank: images alone do not tell their categories.
        """
        if self.prompt_bank is not None:
            raise ValueError(NEEDS_CATEGORIES)
        has_prompts = self.model.prompt_memory.k_shot > 0 or self.shots.k_shot == 0
        is_calibrated = self.calibrator is None or self.calibrator.is_current(self.prompt_files)
        has_adapters = self.adapter_slot.origin.source != NONE or not self.model.options.adapters
        if not (has_prompts and is_calibrated and has_adapters):
            self.prepare()

    def val_dataloader(self) -> list[Any]:
        """No data. anomalib validates zero-shot models before prediction, and that must not fail without data."""
        return empty_dataloader()

    def configure_callbacks(self) -> list[Callback]:
        """Pre-processor and so on; then what writes results. No other hook comes before the data's setup."""
        keep_good_images(self.current_datamodule(), self.shots.k_shot)
        components = cast("list[Callback]", super().configure_callbacks())
        results = self._results_callback
        return [ReadingCallback(), results.before, *components, results, SkipMissingData()]

    def configure_optimizers(self) -> None:
        """Nothing is optimized."""

    @property
    def learning_type(self) -> LearningType:
        """Few-shot with prompts, zero-shot without: nothing is trained."""
        return LearningType.FEW_SHOT if self.shots.k_shot or self.prompt_bank else LearningType.ZERO_SHOT
