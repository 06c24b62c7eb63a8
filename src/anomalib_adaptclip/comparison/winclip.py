# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""WinCLIP for comparisons: as its paper means it, and a small untrained one to try a comparison out with."""

from typing import Any
from unittest.mock import patch

import open_clip
import torch
from anomalib.models.image import WinClip
from anomalib.pre_processing import PreProcessor


class NormalizedWinClip(WinClip):
    """WinCLIP whose reference images are normalised as the images under test are. Those of anomalib's are not.

    Args:
        *args: As for anomalib's ``WinClip``.
        **kwargs: Likewise.
    """

    def collect_reference_images(self, dataloader: Any) -> torch.Tensor:  # noqa: ANN401
        """Take the first K train images, pre-processed: ``(K, 3, H, W)``."""
        images = super().collect_reference_images(dataloader)
        transform = self.pre_processor.transform if isinstance(self.pre_processor, PreProcessor) else None
        return torch.as_tensor(images if transform is None else transform(images))


class UntrainedWinClip(NormalizedWinClip):
    """WinCLIP around a small CLIP with random weights: it needs no network, and its figures say nothing.

    All but the weights and their number is WinCLIP. A class, since a patch of a test's would not reach the processes
    that a sweep starts.

    Args:
        class_name: As for anomalib's ``WinClip``.
        k_shot: Likewise.
    """

    def __init__(self, class_name: str | None = None, k_shot: int = 0) -> None:
        # anomalib's model builds its CLIP by name, with weights to download, and takes no other; see docs/hosts.md.
        with patch.object(open_clip, "create_model_and_transforms", build_small_clip):
            super().__init__(class_name, k_shot)


def build_small_clip(*args: Any, **kwargs: Any) -> tuple[open_clip.CLIP, None, None]:  # noqa: ANN401
    """Build a CLIP with WinCLIP's input and few, random weights: 5 x 5 patches.

    Args:
        *args: As for open_clip's ``create_model_and_transforms``; not used.
        **kwargs: Likewise.

    Returns:
        The CLIP; and for transforms nothing, since anomalib's model has its own.
    """
    del args, kwargs
    vision = {"layers": 2, "width": 64, "patch_size": 48, "image_size": 240}
    return open_clip.CLIP(32, vision, {"width": 64, "layers": 1, "heads": 1}).eval(), None, None
