# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Fusion on numbers small enough to check by hand."""

from typing import Any

import pytest
import torch

from anomalib_adaptclip.adapters import AdapterOutput
from anomalib_adaptclip.model.anomaly_map import smooth
from anomalib_adaptclip.model.fusion import (
    LEAST,
    Prediction,
    alignment_map,
    average_layers,
    fuse,
    harmonic_mean,
    log_odds_mean,
)


def constant(score: float, value: float) -> Prediction:
    """A prediction whose map has one value, which smoothing keeps."""
    return Prediction(torch.tensor([score]), torch.full((1, 1, 2, 2), value))


def two_adapters(**others: Prediction) -> dict[str, Prediction]:
    return {"visual": constant(0.2, 0.4), "textual": constant(0.4, 0.8), **others}


def test_harmonic_mean() -> None:
    values = [torch.tensor([1.0, 0.0, -1e-3, 0.5]), torch.tensor([0.5, 1.0, 1.0, 0.5])]
    torch.testing.assert_close(harmonic_mean(values), torch.tensor([2 / 3, 0.0, 0.0, 0.5]))
    torch.testing.assert_close(harmonic_mean([torch.zeros(2), torch.zeros(2)]), torch.zeros(2))


def test_zero_shot_counts_the_maximum_as_a_score() -> None:
    score, anomaly_map = fuse(two_adapters(), None, "published")
    torch.testing.assert_close(anomaly_map, torch.full((1, 1, 2, 2), 0.6))
    torch.testing.assert_close(score, torch.tensor([(0.2 + 0.4 + 0.6) / 3]))


def test_few_shot_takes_harmonic_means() -> None:
    alignment = torch.full((1, 1, 2, 2), 0.3)
    score, anomaly_map = fuse(two_adapters(), alignment, "published")
    torch.testing.assert_close(anomaly_map, torch.full((1, 1, 2, 2), 2 / (1 / 0.6 + 1 / 0.3)))
    torch.testing.assert_close(score, torch.tensor([2 / (1 / 0.3 + 1 / 0.4)]))


@pytest.mark.parametrize("alignment", [None, torch.full((1, 1, 2, 2), 0.1)])
def test_paper_takes_plain_averages(alignment: torch.Tensor | None) -> None:
    score, anomaly_map = fuse(two_adapters(), alignment, "paper")
    torch.testing.assert_close(anomaly_map, torch.full((1, 1, 2, 2), 0.6))
    torch.testing.assert_close(score, torch.tensor([0.3]))


def test_mean_of_log_odds() -> None:
    """Odds of 4 and of 1/4 cancel; ends are not infinite."""
    values = [torch.tensor([0.8, 0.5, 0.0, 1.0]), torch.tensor([0.2, 0.9, 0.0, 0.0])]
    torch.testing.assert_close(log_odds_mean(values), torch.tensor([0.5, 0.75, LEAST, 0.5]), atol=3e-5, rtol=0)


def test_log_odds_zero_shot_counts_the_maximum_as_a_score() -> None:
    score, anomaly_map = fuse(two_adapters(), None, "log_odds")
    torch.testing.assert_close(anomaly_map, torch.full((1, 1, 2, 2), 0.6))
    torch.testing.assert_close(score, torch.tensor([0.2, 0.4, 0.6]).logit().mean().sigmoid().view(1))


def test_log_odds_few_shot_take_what_compared_with_the_prompts() -> None:
    alignment = torch.full((1, 1, 2, 2), 0.1)
    score, anomaly_map = fuse(two_adapters(prompt_query=constant(0.9, 0.6)), alignment, "log_odds")
    fused = torch.tensor([0.6, 0.1, 0.1]).logit().mean().sigmoid()
    torch.testing.assert_close(anomaly_map, fused.expand(1, 1, 2, 2))
    torch.testing.assert_close(score, torch.tensor([0.9, 0.1, fused]).logit().mean().sigmoid().view(1))
    score, _ = fuse(two_adapters(), alignment, "log_odds")  # without that adapter the others' mean stands in
    torch.testing.assert_close(score, torch.tensor([0.3, 0.1, fused]).logit().mean().sigmoid().view(1))


@pytest.mark.parametrize("fusion", ["published", "paper", "log_odds"])
def test_every_final_map_is_smoothed(fusion: Any) -> None:
    spike = torch.zeros(1, 1, 40, 40)
    spike[..., 20, 20] = 1
    anomaly_map = fuse({"visual": Prediction(torch.tensor([0.5]), spike)}, None, fusion).anomaly_map
    torch.testing.assert_close(anomaly_map, smooth(spike))
    assert anomaly_map.max() < 0.02


def test_nothing_abnormal_anywhere_is_zero_not_nan() -> None:
    score, anomaly_map = fuse({"visual": constant(0.5, 0.5)}, torch.zeros(1, 1, 2, 2), "published")
    torch.testing.assert_close(anomaly_map, torch.zeros(1, 1, 2, 2))
    torch.testing.assert_close(score, torch.zeros(1))


def test_predict_averages_probabilities_not_logits() -> None:
    outputs = [
        AdapterOutput(torch.tensor([[0.0, logit]]), torch.full((1, 1, 1, 1), value))
        for logit, value in ((0.0, 0.2), (2.0, 0.4))
    ]
    score, anomaly_map = average_layers(outputs, (2, 2))
    torch.testing.assert_close(score, torch.tensor([(0.5 + torch.sigmoid(torch.tensor(2.0)).item()) / 2]))
    torch.testing.assert_close(anomaly_map, torch.full((1, 1, 2, 2), 0.3))


def test_alignment_map_is_harmonic_over_taps() -> None:
    layers = [torch.full((1, 1, 1, 1), value) for value in (0.2, 0.6)]
    torch.testing.assert_close(alignment_map(layers, (2, 2)), torch.full((1, 1, 2, 2), 0.3))
