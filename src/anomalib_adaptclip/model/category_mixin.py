# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What AdaptCLIP does with a prompt bank: categories of a batch, good images of one, and verdicts by category."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from anomalib.data import Batch, InferenceBatch

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.files.region_of_interest import RegionOfInterest, RegionSource, read_region
from anomalib_adaptclip.prompts.bank import PromptBank
from anomalib_adaptclip.prompts.categories import categories_of

from .bank_calibration import BankCalibrator, BankJudge, scoring_identity
from .calibration import Calibrator, make_variants
from .torch_model import AdaptCLIPModel

if TYPE_CHECKING:
    from anomalib.models.components import AnomalibModule as _Host

    from .image_input import ImageInput
else:
    _Host = object


class CategoryMixin(_Host):
    """Methods of AdaptCLIP that concern its prompt bank."""

    model: AdaptCLIPModel
    prompt_bank: PromptBank | None
    calibrator: Calibrator | None
    image_reader: ImageReader
    category_of: Callable[[str], str] | None
    _categories: dict[str, str]

    if TYPE_CHECKING:

        @property
        def image_input(self) -> "ImageInput":
            """Reads and preprocesses images for this model."""

        def prepare(self) -> None:
            """Get what depends on the data."""

    @property
    def scoring_identity(self) -> str:
        """Tells by content what the scores of the prepared model depend on, besides CLIP and prompts."""
        return scoring_identity(self.model, self.image_input.description)

    def add_to_bank(
        self,
        category: str,
        files: Sequence[str | Path],
        bank: PromptBank | None = None,
        roi: RegionSource | RegionOfInterest | None = None,
    ) -> None:
        """Add good images to a category of a bank, and calibrate it on them for this model.

        Each image is scored by comparison with all others of the category. Images that the category has already are not
        added again, but scored again.

        Args:
            category: Name of the category.
            files: Image files, at least one. Two make a calibrated category, eight a better one.
            bank: Bank of this model's CLIP; its own by default.
            roi: Region of interest of the category, as of the model. A category that has one keeps it.

        Raises:
            ValueError: If there is no bank, an image cannot be read, or the region is another.
            ConnectionError: If adapters cannot be downloaded.
        """
        require_types(CategoryMixin.add_to_bank, locals())
        bank = bank or self.prompt_bank
        if bank is None:
            msg = "The model has no prompt bank to add images to. Build it with prompt_bank, or give a PromptBank."
            raise ValueError(msg)
        region = read_region(roi)
        images = self.image_input.read(files)
        self.prepare()
        judge = BankJudge(self.model, lambda row: self._variants(files[row]), self.scoring_identity)
        bank.add(category, images.to(self.device), judge, region)

    def _variants(self, file: str | Path) -> torch.Tensor:
        """A preprocessed image and its mildly changed variants: ``(A, 3, H, W)``."""
        return self.image_input.preprocess(make_variants(self.image_reader.read(file))).to(self.device)

    def prepare_bank(self, bank: PromptBank) -> None:
        """Bring a bank to where the model is, and tell which of its categories have no thresholds."""
        bank.to(self.device)
        if isinstance(self.calibrator, BankCalibrator):
            self.calibrator.prepare(self.scoring_identity, bank)

    def categories_of(self, batch: Batch[Any]) -> list[str] | None:
        """What each image of a batch shows, B names; None without a prompt bank.

        Raises:
            ValueError: If the batch tells neither categories nor paths.
        """
        if self.prompt_bank is None:
            return None
        return categories_of(batch, self.prompt_bank.names, self._categories, self.category_of)

    def detect(self, images: torch.Tensor, categories: Sequence[str] | None = None) -> InferenceBatch:
        """Score and segment preprocessed images with this model's prompts: the one way, which all others take.

        Args:
            images: Preprocessed images ``(B, 3, H, W)``.
            categories: What each image shows, B names; with a prompt bank only.

        Returns:
            Raw scores and maps; with a prompt bank and ``calibration="normal"`` they are normalised such that the
            thresholds of each image's category become 0.5.

        Raises:
            ValueError: If a shape is another, or categories and prompt bank do not go together.
        """
        if self.prompt_bank is None and categories is None:
            output: InferenceBatch = self.model(images)  # a call, for the sake of hooks and torch.compile
            return output
        output = self.model.detect(images, categories, self.prompt_bank)
        if self.prompt_bank and categories is not None and isinstance(self.calibrator, BankCalibrator):
            return self.calibrator.normalise(output, categories, self.prompt_bank)
        return output

    def unjudged(self, categories: Sequence[str] | None) -> list[str] | None:
        """Why images get no verdict, empty for those that do: thresholds of other prompts do not fit their scores.

        Args:
            categories: What each image shows, B names.

        Returns:
            B texts. None without a prompt bank: then all get one.
        """
        bank = self.prompt_bank
        if bank is None or categories is None:
            return None
        has_thresholds = [True] * len(categories)
        if isinstance(self.calibrator, BankCalibrator):
            has_thresholds = [limits is not None for limits in self.calibrator.thresholds_of(categories, bank)]
        return [_reason(name, bank, has) for name, has in zip(categories, has_thresholds, strict=True)]


def _reason(category: str, bank: PromptBank, has_thresholds: bool) -> str:
    if category not in bank.names:
        return f"No verdict: the prompt bank lacks {category!r}."
    return "" if has_thresholds else f"No verdict: {category!r} is not calibrated."
