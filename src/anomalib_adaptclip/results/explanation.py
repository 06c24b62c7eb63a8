# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Why an image scores as it does: what each adapter says, and the good patches that come nearest.

Letters: h and w pixels of the model's input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from .geometry import Box, Geometry


@dataclass(frozen=True)
class Region:
    """One of the most abnormal regions of an image. Boxes are left, top, right and bottom, the latter two exclusive.

    Attributes:
        box: Where it lies.
        score: Largest value of the image's map in it.
        patch: Its patch that is farthest from the good ones. None where there are no good images.
        distance: Cosine distance of that patch from the nearest good one, from 0 to 2, at the layer where it is
            smallest: that layer counts most in the alignment map. None where there are no good images.
        layer: That layer of CLIP, counted from 1.
        shot: Which of the good images the nearest patch belongs to, from 0. None where that is not known: a budget of
            prompt patches keeps no positions.
        prompt_file: File of that good image, empty where it is not known.
        prompt_box: Where in that image the nearest patch lies. None where that is not known.
    """

    box: Box
    score: float
    patch: Box | None = None
    distance: float | None = None
    layer: int | None = None
    shot: int | None = None
    prompt_file: str = ""
    prompt_box: Box | None = None


@dataclass(frozen=True)
class Explanation:
    """What a prediction is made of; raw values in [0, 1], 1 being abnormal.

    Attributes:
        score: Score of the image, after fusion.
        anomaly_map: Map ``(h, w)``, after fusion.
        scores: Score of the image by each adapter, before fusion; ``"plain"`` is CLIP without adapters.
        maps: Map ``(h, w)`` by each adapter, before fusion.
        alignment: Distance ``(h, w)`` from the nearest good patch, all layers together. None without good images.
        regions: The most abnormal regions, up to three, the highest first. Their boxes are in pixels of the model's
            input, or of the files after :meth:`in_file`; those of good images in pixels of their files where
            `prompt_file` is known.
    """

    score: float
    anomaly_map: torch.Tensor
    scores: Mapping[str, float]
    maps: Mapping[str, torch.Tensor]
    alignment: torch.Tensor | None
    regions: tuple[Region, ...]

    def in_file(self, geometry: Geometry) -> "Explanation":
        """The same with the image's boxes in pixels of its upright file. Regions beside the file are left out."""
        boxes = [(region, geometry.box_to_file(*region.box)) for region in self.regions]
        regions = (
            replace(region, box=box, patch=region.patch and geometry.box_to_file(*region.patch))
            for region, box in boxes
            if box is not None
        )
        return replace(self, regions=tuple(regions))
