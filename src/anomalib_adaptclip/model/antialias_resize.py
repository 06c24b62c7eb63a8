# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Pre-processing that gives the same images in the Engine, without it, and in exported models.

anomalib drops antialiasing outside the Engine, because the runtimes of exported models do not all know it: OpenVINO
passes over it in silence. Scores of images that shrink would then not fit their thresholds. Resizing is linear in the
pixels, so here it is a product with two matrices, which every runtime knows.

Letters: B batch, C channels, h and w pixels that come, H and W pixels that are wanted.
"""

from typing import Any

import torch
from anomalib.pre_processing.utils.transform import get_exportable_transform
from torch import nn
from torchvision.transforms.v2 import Compose, InterpolationMode, Resize, Transform


class AntialiasResize(nn.Module):
    """Resize images ``(B, C, h, w)`` to ``(B, C, H, W)``, bicubic with antialias, as torchvision's ``Resize`` does.

    Args:
        size: Height H and width W.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Resize a batch of any size."""
        rows, columns = (
            resize_matrix(length, wanted, images.device).to(images.dtype)
            for length, wanted in zip(images.shape[-2:], self.size, strict=True)
        )
        return rows @ images @ columns.T


def resize_matrix(length: int, wanted: int, device: torch.device | None = None) -> torch.Tensor:
    """Weights of bicubic resizing with antialias along one axis.

    Args:
        length: Pixels that come.
        wanted: Pixels that are wanted.
        device: Where the matrix shall be.

    Returns:
        ``(wanted, length)``; each row sums up to 1.
    """
    scale = length / wanted
    pixels = torch.arange(length, device=device, dtype=torch.float32) + 0.5
    centres = (torch.arange(wanted, device=device, dtype=torch.float32) + 0.5) * scale
    distances = pixels - centres.unsqueeze(1)  # (wanted, length)
    ratio: Any = torch.sym_max(scale, 1.0)
    x = distances.abs() / ratio
    # Keys' cubic kernel with a = -0.5, which torchvision has with antialias, and -0.75 without
    near, far = (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    return weights / weights.sum(dim=1, keepdim=True)


def exportable(transform: Transform | None) -> Transform | None:
    """A form of a transform that exporters take: antialiased resizing by matrices, the rest as anomalib has it.

    It serves as ``export_transform`` of anomalib's pre-processor.
    """
    if isinstance(transform, Compose):
        return Compose([exportable(part) for part in transform.transforms])
    if isinstance(transform, Resize) and transform.antialias and len(transform.size or ()) == 2:  # noqa: SIM102
        if transform.interpolation == InterpolationMode.BICUBIC:
            return AntialiasResize((transform.size[0], transform.size[1]))
    exported: Transform | None = get_exportable_transform(transform)
    return exported
