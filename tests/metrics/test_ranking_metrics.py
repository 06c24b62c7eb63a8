# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of raw scores against scikit-learn and anomalib, exact and merged, and where they are undefined."""

import numpy as np
import pytest
import torch
from anomalib.data import ImageBatch
from anomalib.metrics.aupro import _AUPRO
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from anomalib_adaptclip.comparison import METRICS, ComparisonEvaluator
from anomalib_adaptclip.metrics import ranking_metrics as ranking

SIDE = 24


def pictures(count: int, scale: float, offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps ``(B, 1, H, W)`` and masks ``(B, H, W)``: half have two abnormal regions, a little brighter; with ties."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(count, SIDE, SIDE)
    masks[::2, 2:5, 3:9] = 1
    masks[::2, 12:20, 12:14] = 1
    maps = torch.randn(count, SIDE, SIDE, generator=generator) + 1.5 * masks
    maps[:, :3] = maps[:, :3].round()
    return (maps * scale + offset).unsqueeze(1), masks


def expected(scores: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    precision, recall, _ = precision_recall_curve(labels.flatten(), scores.flatten())
    return {
        "AUROC": roc_auc_score(labels.flatten(), scores.flatten()),
        "AP": average_precision_score(labels.flatten(), scores.flatten()),
        "F1Max": float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))),
    }


def evaluate(
    maps: torch.Tensor, masks: torch.Tensor | None, labels: torch.Tensor, size: int | None = None
) -> dict[str, float | None]:
    evaluator = ComparisonEvaluator(size)
    for part in torch.arange(len(maps)).split(3):  # type: ignore[no-untyped-call]
        evaluator.update(
            ImageBatch(
                image=torch.zeros(len(part), 3, SIDE, SIDE),
                pred_score=maps[part].amax((-3, -2, -1)),
                anomaly_map=maps[part],
                gt_label=labels[part],
                gt_mask=None if masks is None else masks[part].bool(),
            )
        )
    assert evaluator.images == len(maps)
    return evaluator.scores()


# The last is the scale of PatchCore's distances: a sigmoid in float32 makes them all 1.
@pytest.mark.parametrize(("scale", "offset"), [(0.1, 0.5), (1e-6, 1e-5), (3, 40)])
def test_exact(scale: float, offset: float) -> None:
    maps, masks = pictures(8, scale, offset)
    labels = masks.flatten(1).any(1)
    found = evaluate(maps, masks, labels)
    assert tuple(found) == METRICS
    for level, want in (
        ("image", expected(maps.amax((-3, -2, -1)), labels)),
        ("pixel", expected(maps.squeeze(1), masks)),
    ):
        for name, value in want.items():
            assert found[f"{level}_{name}"] == pytest.approx(value, abs=1e-6)
    anomalib = _AUPRO()
    anomalib.update(maps.squeeze(1), masks)
    assert found["pixel_AUPRO"] == pytest.approx(anomalib.compute().item(), abs=1e-5)


@pytest.mark.parametrize(("scale", "offset"), [(0.1, 0.5), (1e-6, 1e-5), (3, 40)])
def test_merged_within_a_thousandth(scale: float, offset: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so low that pixels are merged again and again; normal pictures come first, as in many data sets."""
    maps, masks = pictures(40, scale, offset)
    order = masks.flatten(1).any(1).int().argsort()
    maps, masks = maps[order], masks[order]
    exact = evaluate(maps, masks, masks.flatten(1).any(1))
    monkeypatch.setattr(ranking, "EXACT", 12_000)
    monkeypatch.setattr(ranking, "GROUPS", 6000)
    found = evaluate(maps, masks, masks.flatten(1).any(1))
    assert found != exact
    for name, value in expected(maps.squeeze(1), masks).items():
        assert found[f"pixel_{name}"] == pytest.approx(value, abs=1e-3)
    assert found["pixel_AUPRO"] == pytest.approx(exact["pixel_AUPRO"], abs=1e-3)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "EXACT", 1000)
    monkeypatch.setattr(ranking, "GROUPS", 100)
    counts = ranking.Ranking()
    for seed in range(30):
        scores = torch.rand(700, generator=torch.Generator().manual_seed(seed))
        counts.update(scores, scores > 0.9)
        assert len(counts.values) <= 1000
        assert sum(len(part[0]) for part in counts._pending) <= 1000
    counts.scores()
    assert counts.weights[:2].sum() == 30 * 700


class TestUndefined:
    def test_without_masks(self) -> None:
        maps, masks = pictures(6, 1, 0)
        found = evaluate(maps, None, masks.flatten(1).any(1))
        assert [name for name, value in found.items() if value is None] == [n for n in METRICS if "pixel" in n]

    @pytest.mark.parametrize("label", [0, 1])
    def test_with_one_class_of_images(self, label: int) -> None:
        maps, masks = pictures(6, 1, 0)
        found = evaluate(maps, masks, torch.full((6,), label))
        assert [name for name, value in found.items() if value is None] == [n for n in METRICS if "image" in n]

    @pytest.mark.parametrize("fill", [0, 1])
    def test_with_one_class_of_pixels(self, fill: int) -> None:
        maps, masks = pictures(6, 1, 0)
        found = evaluate(maps, torch.full_like(masks, fill), masks.flatten(1).any(1))
        assert [name for name, value in found.items() if value is None] == [n for n in METRICS if "pixel" in n]


def test_pixels_may_be_counted_at_another_size() -> None:
    maps, masks = pictures(6, 1, 0)
    twice = torch.nn.functional.interpolate(maps, scale_factor=2, mode="nearest")
    found = evaluate(twice, masks.repeat_interleave(2, 1).repeat_interleave(2, 2), masks.flatten(1).any(1), SIDE)
    assert found["pixel_AUROC"] == pytest.approx(expected(maps.squeeze(1), masks)["AUROC"], abs=1e-6)


def test_scores_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(ValueError, match="Scores must be finite"):
        ranking.Ranking().update(torch.tensor([0.0, float("nan")]), torch.tensor([0, 1]))
