# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts of many categories for one model: each image of a batch is compared with its own.

Letters: B batch, K normal prompt images (shots), S layers, L patches, D joint embedding width.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.clip import Clip, ImageTokens, fingerprint
from anomalib_adaptclip.files.region_of_interest import RegionOfInterest

from .bank_choice import UnknownCategory
from .bank_file import BankHeader, read_bank, require_same_model, require_width, write_bank
from .bank_scores import Judge, ModelScores, OldImages, image_hash, judge_images, merge_scores
from .coreset import select_coreset
from .memory import PromptMemory

logger = logging.getLogger(__name__)

Size = tuple[int, int]

_WRITING = threading.Lock()  # of the process, not of a bank: banks are pickled and copied with their model


@runtime_checkable
class PromptEncoder(Protocol):
    """What a bank needs of its model; ``AdaptCLIPModel`` has it."""

    clip: Clip
    layers: tuple[int, ...]
    first_vv_block: int
    prompt_memory: PromptMemory
    static_pair: torch.Tensor
    tile_size: Size | None
    tile_overlap: float

    def encode_prompts(self, images: torch.Tensor, region: torch.Tensor | None = None) -> ImageTokens:
        """Tokens of preprocessed images ``(K, 3, H, W)`` at all layers, of a part of them or of all."""
        ...


class PromptBank:
    """Named sets of prompts in one model. CLIP is shared, and each good image is encoded once.

    Several threads may use a bank. Sets are never changed, only replaced: a prediction that is under way goes on with
    those that it began with.

    Args:
        model: Encodes the images; usually an ``AdaptCLIPModel``. Precision and budget of its prompts hold for each set.
        backbone: Name of its backbone, for the file.
        unknown_category: What to do with images of a category that the bank lacks: ``"zero_shot"``, with one warning
            for each category, or ``"error"``. Thresholds that were found with prompts do not fit zero-shot scores.

    Raises:
        ValueError: If ``unknown_category`` is something else.

    Example:
        >>> bank = PromptBank(model)  # doctest: +SKIP
        >>> bank.add("bottle", good_bottles)  # doctest: +SKIP
        >>> bank.add("cable", good_cables)  # doctest: +SKIP
        >>> model.detect(images, ["cable", "bottle", "cable"], bank).pred_score.shape  # doctest: +SKIP
        torch.Size([3])
        >>> bank.save("bank.safetensors")  # doctest: +SKIP
    """

    def __init__(
        self, model: PromptEncoder, backbone: str = "", unknown_category: UnknownCategory = "zero_shot"
    ) -> None:
        require_types(PromptBank.__init__, locals())
        require_choice("unknown_category", unknown_category, UnknownCategory)
        self.model = model
        self.backbone = backbone
        self.unknown_category = unknown_category
        self.image_size: Size | None = None
        self._sets: Mapping[str, torch.Tensor] = {}
        self._images: Mapping[str, tuple[str, ...]] = {}  # hashes by category
        self._scores: Mapping[str, ModelScores] = {}
        self._regions: Mapping[str, RegionOfInterest] = {}
        self._warned: set[str] = set()
        self._fingerprint = fingerprint(model.clip)  # now, for a trainer may change the precision

    @property
    def names(self) -> list[str]:
        """Categories in the bank."""
        return list(self._sets)

    def k_shot(self, name: str) -> int:
        """Number of good images of a category; 0 if it is unknown."""
        return self._sets[name].shape[1] if name in self._sets else 0

    def scores(self, name: str) -> ModelScores:
        """How good images of a category score, by the models that scored them; empty if none did."""
        return self._scores.get(name, {})

    @torch.inference_mode(mode=False)  # what is kept must not be an inference tensor
    @torch.no_grad()
    def add(
        self, name: str, images: torch.Tensor, judge: Judge | None = None, roi: RegionOfInterest | None = None
    ) -> None:
        """Add good images to a category, a new one or one that has some.

        An image that the category has already is passed over, with a warning: it would count twice.

        Args:
            name: Name of the category.
            images: Preprocessed images ``(K, 3, H, W)``, K at least 1, of the size of those before.
            judge: Scores each of them, compared with all others of the category, for thresholds. Copies too.
            roi: Region of interest: what of this category's images is judged. A category that has one keeps it.

        Raises:
            ValueError: If shape, size or region is another, or there is no name.
        """
        if name == "":
            msg = "A category of a prompt bank needs a name; got an empty one."
            raise ValueError(msg)
        require_types(self.add, locals())
        hashes = [image_hash(image) for image in images]
        rows = self._new_rows(name, hashes) if judge is None else _first_rows(hashes)
        if images.ndim == 4 and len(images) > 0 and not rows:
            self._tell_doubles(name, len(images))
            return
        roi = self._region_to_add(name, roi)
        tokens = self.model.encode_prompts(images[rows], roi.mask.to(images.device) if roi else None)
        packed = self.model.prompt_memory.pack(tokens)
        hashes = [hashes[row] for row in rows]
        found = {}
        if judge:
            self.require_size(images)
            old = OldImages(self._sets.get(name), self._images.get(name, ()))
            parts = dict(zip(hashes, packed.unbind(1), strict=True))
            found = judge_images(judge, tokens, dict(zip(hashes, rows, strict=True)), parts, old)
        with _WRITING:
            self.require_size(images)
            left = self._new_rows(name, hashes)  # another thread may have added the same ones
            if left:
                added = tuple(hashes[row] for row in left)
                self._images = {**self._images, name: (*self._images.get(name, ()), *added)}
                self._sets = {**self._sets, name: self._extended(self._sets.get(name), packed[:, left])}
                self._regions = {**self._regions, name: roi} if roi else self._regions
                self.image_size = (images.shape[-2], images.shape[-1])
            if judge and found:
                self._scores = {**self._scores, name: merge_scores(self.scores(name), judge.model, found)}
        self._tell_doubles(name, len(images) - len(left))

    def _region_to_add(self, name: str, roi: RegionOfInterest | None) -> RegionOfInterest | None:
        own = self._regions.get(name)
        if roi is None or roi == own or name not in self._sets:
            return roi or own
        msg = (
            f"The prompts of {name!r} in the bank are of {own or 'whole images'}, and roi is {roi}. Leave roi out, or "
            "remove the category and add its images anew."
        )
        raise ValueError(msg)

    def _new_rows(self, name: str, hashes: Sequence[str]) -> list[int]:
        """Rows of the images that a category lacks, of equal ones the first."""
        known = self._images.get(name, ())
        return [row for row, own in enumerate(hashes) if own not in known and own not in hashes[:row]]

    @staticmethod
    def _tell_doubles(name: str, count: int) -> None:
        if count:
            logger.warning("%d images of %r are copies of others in the prompt bank, and were not added.", count, name)

    def _extended(self, old: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
        """Packed prompts ``(S, K, L, D)`` of two sets together, within the budget."""
        parts = [new] if old is None else [old, new.to(old)]
        pool = torch.cat([part.flatten(1, 2) for part in parts], dim=1)
        return select_coreset(pool, sum(part.shape[1] for part in parts), self.model.prompt_memory.budget)

    def remove(self, name: str) -> None:
        """Forget a category.

        Raises:
            ValueError: If the bank lacks it; what it has is listed.
        """
        require_types(self.remove, locals())
        with _WRITING:
            self._sets = without(self._sets, name)
            self._images = {other: hashes for other, hashes in self._images.items() if other != name}
            self._scores = {other: scores for other, scores in self._scores.items() if other != name}
            self._regions = {other: roi for other, roi in self._regions.items() if other != name}

    def to(self, device: torch.device | str) -> None:
        """Move all prompts to where the model is."""
        with _WRITING:
            self._sets = {name: tokens.to(device) for name, tokens in self._sets.items()}

    def prompts_of(self, categories: Sequence[str]) -> list[torch.Tensor | None]:
        """Prompts for each image of a batch.

        Args:
            categories: What each image shows, B names.

        Returns:
            Packed prompts ``(S, K, L, D)`` of the category of each image. None where the bank lacks it: such an image
            goes zero-shot, and a warning says so once.

        Raises:
            ValueError: If a category is unknown and that is an error.
        """
        sets = self._sets  # those of this batch, whatever others add meanwhile
        self._tell_unknown([name for name in dict.fromkeys(categories) if name not in sets])
        return [sets.get(name) for name in categories]

    def regions_of(self, categories: Sequence[str]) -> list[torch.Tensor | None]:
        """What is judged of each image of a batch, a mask ``(h, w)`` over the whole image; None for all."""
        device = self.model.static_pair.device
        masks = {name: self._regions[name].mask.to(device) for name in {*categories} if name in self._regions}
        return [masks.get(name) for name in categories]

    def _tell_unknown(self, unknown: Sequence[str]) -> None:
        if unknown and self.unknown_category == "error":
            msg = f"The prompt bank lacks {list(unknown)}; it has {self.names}. Add good images, or allow zero-shot."
            raise ValueError(msg)
        for name in unknown:
            if name not in self._warned:
                self._warned.add(name)
                logger.warning(
                    "The prompt bank lacks %r; it has %s. Its images go zero-shot, and thresholds that were found with "
                    "prompts do not fit them: compare their scores with each other, and leave their labels aside.",
                    name,
                    self.names,
                )

    def require_size(self, images: torch.Tensor) -> None:
        """Check that images ``(B, 3, H, W)`` have the size of those in the bank.

        Raises:
            ValueError: If they have another.
        """
        size = (images.shape[-2], images.shape[-1])
        if self.image_size not in {None, size}:
            msg = f"The prompts of the bank are of images of {self.image_size} pixels; got {size}. Resize them alike."
            raise ValueError(msg)

    def save(self, path: Path | str) -> None:
        """Write the bank to one safetensors file, whole or not at all.

        Args:
            path: File to make or replace.

        Raises:
            OSError: If it cannot be written.
        """
        require_types(self.save, locals())
        with _WRITING:
            sets, header = self._sets, self.header()
        write_bank(Path(path), sets, header)

    @classmethod
    def load(
        cls,
        path: Path | str,
        model: PromptEncoder,
        backbone: str = "",
        unknown_category: UnknownCategory = "zero_shot",
        image_size: Size | None = None,
        as_stored: bool = False,
    ) -> "PromptBank":
        """Read a bank that :meth:`save` wrote. Its sets are brought within the model's precision and budget of prompts.

        Args:
            path: File.
            model: Model to use it with, of the same CLIP and layers.
            backbone: Name of its backbone.
            unknown_category: As for the class.
            image_size: Height and width of the model's input in pixels, if known.
            as_stored: Leave the sets as they are in the file; precision and budget then hold for what is added.

        Returns:
            The bank, its prompts where the model is.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged, no prompt bank, or made with another CLIP, other layers or another size, or a
                category has more images than the budget allows.
        """
        require_types(cls.load, locals())
        sets, header = read_bank(Path(path))
        bank = cls(model, backbone, unknown_category)
        bank.image_size = image_size
        require_same_model(Path(path), header, bank.header())
        require_width(Path(path), sets, model.static_pair.shape[1])
        bank.image_size = header.image_size or bank.image_size
        bank._images, bank._regions = header.images, header.regions
        device = model.static_pair.device
        sets = {name: tokens.to(device) for name, tokens in sets.items()}
        bank._sets = sets if as_stored else {name: model.prompt_memory.reduce(tokens) for name, tokens in sets.items()}
        # With fewer patches images score higher than those that were judged.
        bank._scores = {name: own for name, own in header.scores.items() if bank._sets[name].shape == sets[name].shape}
        return bank

    def header(self) -> BankHeader:
        """What prompts of this bank depend on, for its file."""
        return BankHeader(
            self.backbone,
            self._fingerprint,
            tuple(self.model.layers),
            self.model.first_vv_block,
            self.image_size,
            self._images,
            self._scores,
            self.model.tile_size,
            self.model.tile_overlap,
            self._regions,
        )


def without(sets: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """All sets but one.

    Raises:
        ValueError: If it is not among them; they are listed.
    """
    if name not in sets:
        msg = f"The prompt bank lacks {name!r}; it has {list(sets)}."
        raise ValueError(msg)
    return {other: tokens for other, tokens in sets.items() if other != name}


def _first_rows(hashes: Sequence[str]) -> list[int]:
    """Rows of different images, of equal ones the first."""
    return [row for row, own in enumerate(hashes) if own not in hashes[:row]]
