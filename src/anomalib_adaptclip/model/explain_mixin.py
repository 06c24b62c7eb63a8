# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What AdaptCLIP tells of why images score as they do: explanations that name the good photos."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from anomalib.data import Batch

from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.prompts.bank import PromptBank
from anomalib_adaptclip.prompts.bank_choice import NEEDS_CATEGORIES
from anomalib_adaptclip.prompts.selection import Shots
from anomalib_adaptclip.results.explanation import Explanation, Region
from anomalib_adaptclip.results.geometry import FileGeometry
from anomalib_adaptclip.results.score_scale import score_scales

from .explanation import explain
from .torch_model import AdaptCLIPModel

if TYPE_CHECKING:
    from .clip_mixin import FrozenClipMixin as _Host
else:
    _Host = object


class ExplainMixin(_Host):
    """Methods of AdaptCLIP that explain predictions; to stand before :class:`FrozenClipMixin`."""

    model: AdaptCLIPModel
    image_reader: ImageReader
    prompt_bank: PromptBank | None
    shots: Shots
    categories_of: Callable[[Batch[Any]], list[str] | None]

    def explain(
        self, images: torch.Tensor, categories: Sequence[str] | None = None, pixel_threshold: float | None = None
    ) -> list[Explanation]:
        """Explain the predictions of preprocessed images, for which each goes through CLIP once more.

        Args:
            images: Preprocessed images ``(B, 3, H, W)``.
            categories: What each image shows, B names; with a prompt bank only.
            pixel_threshold: Raw value that abnormal pixels exceed. By default the model's, if it has one.

        Returns:
            Explanations on the CPU. Boxes are in pixels of the input, those of good photos in pixels of their files.

        Raises:
            ValueError: If categories and prompt bank do not go together.
        """
        thresholds: list[float | None] = [pixel_threshold] * len(images)
        if pixel_threshold is None:
            scales = score_scales(self, categories or [None] * len(images))
            thresholds = [scale.pixel.threshold if scale.pixel else None for scale in scales]
        prompts = self._prompts_of(images, categories)
        bank = self.prompt_bank
        regions = bank.regions_of(categories) if bank and categories else [None] * len(images)
        found = explain(self.model, images, prompts, thresholds, regions)
        if self.prompt_bank is not None:
            return found  # a bank knows no files
        files = FileGeometry(self.image_input.like_test_images(self.current_datamodule()).transforms)
        size = (images.shape[-2], images.shape[-1])
        return [
            replace(one, regions=tuple(self._with_file(region, files, size) for region in one.regions)) for one in found
        ]

    def explain_batch(self, batch: Batch[Any]) -> list[Explanation]:
        """Explain the predictions of a batch whose images the pre-processor has seen, as :meth:`explain`."""
        return self.explain(torch.as_tensor(batch.image), self.categories_of(batch))

    def _prompts_of(self, images: torch.Tensor, categories: Sequence[str] | None) -> list[torch.Tensor | None]:
        if self.prompt_bank is None:
            return [self.model.own_prompts()] * len(images)
        if categories is None or len(categories) != len(images):
            raise ValueError(NEEDS_CATEGORIES)
        return self.prompt_bank.prompts_of(categories)

    def _with_file(self, region: Region, files: FileGeometry, size: tuple[int, int]) -> Region:
        """Add the good photo's file, and bring the box to it; no box where the file cannot be read any more."""
        if region.shot is None or region.prompt_box is None or region.shot >= len(self.shots.files):
            return region
        file = self.shots.files[region.shot]
        try:
            box = files.of(self.image_reader.size(file), size).box_to_file(*region.prompt_box)
        except (ValueError, OSError):  # it has gone, or its images are turned or warped
            box = None
        return replace(region, prompt_file=file, prompt_box=box)
