# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of a target: against torchmetrics' exact ones, and where they are not defined."""

import pytest
import torch
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from anomalib_adaptclip.metrics.target import TargetMetric, average_precision


def updated(metric: TargetMetric, categories: list[str], labels: list[int], seed: int = 0) -> TargetMetric:
    torch.manual_seed(seed)
    maps = torch.rand(len(labels), 1, 40, 50) ** 6  # most values near 0, as of real maps
    masks = (torch.rand(len(labels), 40, 50) < 0.3) * torch.tensor(labels).view(-1, 1, 1)
    metric.update(categories, torch.rand(len(labels)), torch.tensor(labels), maps + 0.02 * masks[:, None], masks)
    return metric


@pytest.mark.parametrize("power", [1, 6, 20])
def test_pixel_aupr_is_near_the_exact_one(power: int) -> None:
    torch.manual_seed(0)
    masks = torch.rand(3, 100, 100) < 0.1
    maps = (torch.rand(3, 100, 100) ** power + 0.3 * masks * torch.rand(3, 100, 100)).clamp(max=1)
    metric = TargetMetric(["a"])
    for anomaly_map, mask in zip(maps, masks, strict=True):
        metric.update(["a"], torch.zeros(1), torch.ones(1), anomaly_map[None, None], mask[None])
    exact = binary_average_precision(maps.flatten(), masks.flatten().long()).item()
    assert metric.compute().pixel_aupr == pytest.approx(exact, abs=1e-3)


def test_average_precision_by_hand() -> None:
    """In falling order: hit, alarm, hit. Precision is 1 at half the recall, 2/3 at all of it."""
    abnormal, normal = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 0])
    assert average_precision(normal, abnormal) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_image_auroc_is_the_mean_over_categories() -> None:
    scores, labels = torch.tensor([0.1, 0.9, 0.8, 0.2, 0.3, 0.7]), torch.tensor([0, 1, 0, 1, 0, 1])
    metric = TargetMetric(["a", "b"])
    metric.update(["a", "a", "b", "b", "a", "b"], scores, labels, torch.rand(6, 1, 4, 4), None)
    own = [binary_auroc(scores[rows], labels[rows]).item() for rows in ([0, 1, 4], [2, 3, 5])]
    assert metric.compute().image_auroc == pytest.approx(sum(own) / 2)


def test_undefined_metrics_are_absent() -> None:
    assert updated(TargetMetric(["a"]), ["a", "a"], [0, 0]).compute() == (None, None)
    one_class = updated(TargetMetric(["a"]), ["a", "a"], [1, 1]).compute()
    assert one_class.image_auroc is None
    assert one_class.pixel_aupr is not None


def test_a_category_without_both_classes_does_not_count() -> None:
    alone = updated(TargetMetric(["a", "b"]), ["a"] * 4, [0, 1, 0, 1])
    beside = updated(TargetMetric(["a", "b"]), ["a"] * 4, [0, 1, 0, 1])
    assert updated(beside, ["b", "b"], [0, 0]).compute() == alone.compute()


def test_memory_does_not_grow_with_pixels() -> None:
    metric = TargetMetric(["a"])
    before = metric.pixels.numel()
    for _ in range(3):
        updated(metric, ["a"] * 4, [0, 1, 0, 1])
    assert metric.pixels.numel() == before
    assert sum(state.numel() for state in metric.scores) == 12
