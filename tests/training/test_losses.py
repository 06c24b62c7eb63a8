# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Losses in closed form, and their gradients."""

import math

import pytest
import torch

from anomalib_adaptclip.adapters import AdapterOutput
from anomalib_adaptclip.training.losses import SMOOTHING, adapter_loss, dice_loss, focal_loss, segmentation_loss


@pytest.mark.parametrize(("probability", "target"), [(0.9, 1.0), (0.9, 0.0), (0.5, 1.0)])
def test_focal_loss_of_one_pixel(probability: float, target: float) -> None:
    correct = probability if target else 1 - probability
    smoothed = (1 - SMOOTHING) * correct + SMOOTHING * (1 - correct) + SMOOTHING
    loss = focal_loss(torch.tensor([probability]), torch.tensor([target]))
    torch.testing.assert_close(loss, torch.tensor(-((1 - smoothed) ** 2) * math.log(smoothed)))


def test_focal_loss_is_finite_at_the_ends() -> None:
    wrong = focal_loss(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(wrong, torch.tensor(-math.log(2 * SMOOTHING)), rtol=1e-3, atol=0)
    right = focal_loss(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(right, torch.tensor(0.0), rtol=0, atol=1e-9)


def test_dice_loss_is_taken_by_image() -> None:
    target = torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]])
    probability = torch.tensor([[[1.0, 0.0]], [[0.5, 0.5]]])
    expected = ((1 - 3 / 4) + (1 - 1 / 2)) / 2
    torch.testing.assert_close(dice_loss(probability, target), torch.tensor(expected))
    torch.testing.assert_close(dice_loss(target, target), torch.tensor(0.0))


def test_opinion_loss_compares_at_the_resolution_of_the_mask() -> None:
    output = AdapterOutput(torch.zeros(1, 2), torch.full((1, 1, 1, 1), 0.5))
    mask = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    loss = adapter_loss(output, torch.tensor([1]), mask)
    torch.testing.assert_close(loss.classification, torch.tensor(math.log(2)))
    half = torch.full((1, 2, 2), 0.5)
    expected = focal_loss(half, mask) + dice_loss(half, mask) + dice_loss(half, 1 - mask)
    torch.testing.assert_close(loss.segmentation, expected)


def test_images_without_mask_take_part_with_their_logits_alone() -> None:
    maps = torch.tensor([[[[0.2]]], [[[0.9]]]], requires_grad=True)
    output, label = AdapterOutput(torch.zeros(2, 2), maps), torch.tensor([1, 1])
    mask, has_mask = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]]), torch.tensor([True, False])
    loss = adapter_loss(output, label, mask, has_mask)
    torch.testing.assert_close(loss.classification, torch.tensor(math.log(2)))
    torch.testing.assert_close(loss.segmentation, segmentation_loss(maps[:1], mask[:1]) / 2)
    [gradient] = torch.autograd.grad(loss.segmentation, maps)
    assert gradient.flatten().ne(0).tolist() == [True, False]


def test_a_batch_without_masks_has_no_gradient_of_maps() -> None:
    maps = torch.full((2, 1, 1, 1), 0.5, requires_grad=True)
    loss = adapter_loss(
        AdapterOutput(torch.zeros(2, 2), maps), torch.tensor([0, 1]), torch.zeros(2, 1, 1), torch.tensor([False] * 2)
    )
    [gradient] = torch.autograd.grad(loss.segmentation, maps)
    assert (loss.segmentation.item(), gradient.any().item()) == (0, False)
    assert adapter_loss(AdapterOutput(torch.zeros(2, 2), maps), torch.tensor([0, 1]), None).segmentation == 0


@pytest.mark.parametrize("loss", [focal_loss, dice_loss])
def test_gradients(loss: object) -> None:
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(2, 3, 3, generator=generator, dtype=torch.float64) > 0.5).double()
    probability = torch.rand(2, 3, 3, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    assert torch.autograd.gradcheck(lambda p: loss(p, target), probability.requires_grad_())  # type: ignore[operator]
