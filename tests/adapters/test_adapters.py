# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Adapters and cosines on numbers small enough to check by hand."""

import pytest
import torch

from anomalib_adaptclip.adapters import (
    Alignment,
    PromptQueryAdapter,
    ResidualMLP,
    VisualAdapter,
    align,
    compare_with_text,
    normalized_patches,
    text_logits,
)

PAIR = torch.tensor([[2.0, 0.0], [0.0, 3.0]])  # normal along x, abnormal along y


def test_text_logits_are_cosines_over_the_temperature() -> None:
    tokens = torch.tensor([[5.0, 0.0], [1.0, 1.0]])
    expected = torch.tensor([[1.0, 0.0], [0.5**0.5, 0.5**0.5]]) / 0.07
    torch.testing.assert_close(text_logits(tokens, PAIR), expected)


def test_compare_with_text_fills_the_grid_row_by_row() -> None:
    patches = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    output = compare_with_text(torch.tensor([[1.0, 1.0]]), patches, PAIR, (2, 3))
    torch.testing.assert_close(output.score, torch.tensor([0.5]))
    expected = torch.tensor([[[[0.0, 1.0, 0.5], [0.0, 1.0, 0.5]]]])
    torch.testing.assert_close(output.patch_probabilities, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("per_query", [False, True])
def test_align_finds_the_most_similar(per_query: bool) -> None:
    query = torch.tensor([[[1.0, 0.0], [0.6, 0.8]]])
    prompt = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    alignment = align(query, prompt.unsqueeze(0) if per_query else prompt)
    torch.testing.assert_close(alignment.aligned, torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    torch.testing.assert_close(alignment.score, torch.tensor([[0.0, 0.2]]))


def test_align_score_is_never_negative() -> None:
    query = torch.nn.functional.normalize(torch.randn(1, 50, 64, generator=torch.Generator().manual_seed(0)), dim=-1)
    score = align(query, query[0]).score
    assert score.min() >= 0
    torch.testing.assert_close(score, torch.zeros(1, 50), rtol=0, atol=1e-6)


def test_normalized_patches_drop_the_class_position() -> None:
    tokens = torch.tensor([[[9.0, 9.0], [3.0, 4.0]]])
    torch.testing.assert_close(normalized_patches(tokens), torch.tensor([[[0.6, 0.8]]]))


def test_residual_mlp_sees_every_token_as_a_sample() -> None:
    mlp = ResidualMLP(4, 2)
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mlp(x), mlp(x.flatten(0, 1)).view(3, 5, 4))
    hidden: torch.Tensor = mlp.layers[0](x.flatten(0, 1))
    torch.testing.assert_close(mlp.layers[1].running_mean, hidden.mean(0) * (1 - 0.9**2))  # two forward passes


def test_residual_mlp_changes_nothing_with_zero_weights() -> None:
    mlp = ResidualMLP(4, 2)
    torch.nn.init.zeros_(mlp.layers[3].get_parameter("weight"))
    x = torch.randn(3, 4)
    torch.testing.assert_close(mlp(x), x)


def test_visual_adapter_drops_the_class_position() -> None:
    global_token, patches = VisualAdapter(4, 2)(torch.randn(2, 4), torch.randn(2, 7, 4))
    assert global_token.shape == (2, 4)
    assert patches.shape == (2, 6, 4)


@pytest.mark.parametrize("context", [True, False])
def test_joint_feature(context: bool) -> None:
    adapter = PromptQueryAdapter(2, num_layers=1, hidden_dim=4, context=context, topk=1)
    nearest, prompt = torch.tensor([[1]]), torch.tensor([[9.0, 9.0], [0.4, 0.5]])
    alignment = Alignment(torch.tensor([[[1.0, 0.2]]]), prompt, nearest, torch.zeros(1, 1))
    expected = torch.tensor([[[1.6, 0.5]]]) if context else torch.tensor([[[0.6, 0.3]]])
    torch.testing.assert_close(adapter.joint_feature(alignment), expected)


@pytest.mark.parametrize(("topk", "expected"), [(1, (2.5 + 4) / 2), (2, (2.5 + 3.5) / 2), (10, 2.5)])
def test_pool_averages_the_mean_with_the_largest(topk: int, expected: float) -> None:
    adapter = PromptQueryAdapter(1, num_layers=1, hidden_dim=4, context=True, topk=topk)
    torch.testing.assert_close(adapter.pool(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])), torch.tensor([[expected]]))


def test_heads_are_shared_by_the_taps() -> None:
    adapter = PromptQueryAdapter(4, num_layers=2, hidden_dim=4, context=True, topk=1).eval()
    alignment = Alignment(torch.rand(1, 6, 4), torch.rand(6, 4), torch.arange(6).unsqueeze(0), torch.zeros(1, 6))
    first, second = adapter([alignment, alignment], (2, 3))
    assert first.patch_probabilities.shape == (1, 1, 8, 12)
    torch.testing.assert_close(first, second)
