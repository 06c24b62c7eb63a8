# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""WinCLIP for comparisons: one as its paper intends, and a small untrained one to try out a comparison."""

from typing import Any
from unittest.mock import patch

import open_clip
import torch
from anomalib.models.image import WinClip
from anomalib.pre_processing import PreProcessor


class NormalizedWinClip(WinClip):
    """WinCLIP that normalises reference images like the images under test, which anomalib's ``WinClip`` does not.

    Args:
        *args: Positional arguments of anomalib's ``WinClip``.
        **kwargs: Keyword arguments of anomalib's ``WinClip``.
    """

    def collect_reference_images(self, dataloader: Any) -> torch.Tensor:  # noqa: ANN401
        """Take the first K train images and pre-process them.

        Args:
            dataloader: Loader of the train images.

        Returns:
            Reference images ``(K, 3, H, W)``.
        """
        images = super().collect_reference_images(dataloader)
        transform = self.pre_processor.transform if isinstance(self.pre_processor, PreProcessor) else None
        return torch.as_tensor(images if transform is None else transform(images))


class UntrainedWinClip(NormalizedWinClip):
    """WinCLIP around a small CLIP with random weights: it needs no network, but its metrics are meaningless.

    Everything but the weights and their number is WinCLIP. It is a class because a patch in a test would not reach the
    processes that a sweep starts.

    Args:
        class_name: Name of the class in the texts, as for anomalib's ``WinClip``.
        k_shot: Number of reference images, as for anomalib's ``WinClip``.
    """

    def __init__(self, class_name: str | None = None, k_shot: int = 0) -> None:
        # anomalib's model always builds its CLIP by name and downloads the weights; see docs/hosts.md.
        with patch.object(open_clip, "create_model_and_transforms", build_small_clip):
            super().__init__(class_name, k_shot)


def build_small_clip(*args: Any, **kwargs: Any) -> tuple[open_clip.CLIP, None, None]:  # noqa: ANN401
    """Build a small CLIP with random weights for WinCLIP's input size, which it divides into 5 x 5 patches.

    Args:
        *args: Positional arguments of open_clip's ``create_model_and_transforms``, which are not used.
        **kwargs: Keyword arguments of the same function, which are not used.

    Returns:
        The CLIP, and None in place of both transforms, because anomalib's model has its own.
    """
    del args, kwargs
    vision = {"layers": 2, "width": 64, "patch_size": 48, "image_size": 240}
    return open_clip.CLIP(32, vision, {"width": 64, "layers": 1, "heads": 1}).eval(), None, None
