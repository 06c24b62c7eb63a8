# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Upsampling and smoothing."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from anomalib_adaptclip.model.anomaly_map import mirrored_indices, smooth, upsample


@pytest.mark.parametrize("size", [(84, 84), (70, 112), (10, 7)])
def test_smooth_is_scipys_gaussian(size: tuple[int, int]) -> None:
    maps = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = gaussian_filter(maps.numpy(), sigma=(0, 0, 4, 4), radius=(0, 0, 16, 16), mode="reflect")
    np.testing.assert_allclose(smooth(maps).numpy(), expected, rtol=0, atol=1e-12)


def test_smooth_keeps_a_constant() -> None:
    torch.testing.assert_close(smooth(torch.full((1, 1, 20, 20), 0.3)), torch.full((1, 1, 20, 20), 0.3))


def test_mirror_includes_the_edge() -> None:
    assert mirrored_indices(3, torch.device("cpu"), radius=4).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]


def test_upsample_is_bilinear_between_cell_centres() -> None:
    expected = torch.tensor([0.0, 0.25, 0.75, 1.0]).expand(1, 1, 4, 4)
    torch.testing.assert_close(upsample(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]), (4, 4)), expected)
