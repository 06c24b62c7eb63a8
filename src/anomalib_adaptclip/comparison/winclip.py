# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""WinCLIP as its paper means it, for comparisons."""

from typing import Any

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
