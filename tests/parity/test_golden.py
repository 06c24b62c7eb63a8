# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Every rung of the golden tensors: the published implementation's numbers on a small CLIP."""

from collections.abc import Callable

import pytest
import torch

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.adapters import Alignment
from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.fusion import Prediction, alignment_map, predict

SIZE = (84, 84)
TOKENS, MAPS = 1e-5, 5e-6  # absolute, float32, CPU

Golden = dict[str, torch.Tensor]


@pytest.fixture
def tokens(golden_model: AdaptCLIPModel, golden: Golden) -> ImageTokens:
    golden_model.encode_texts()
    with torch.no_grad():
        return golden_model.encode(golden["query"], golden_model.taps)


@pytest.fixture
def alignments(golden_model: AdaptCLIPModel, golden: Golden, tokens: ImageTokens) -> list[Alignment]:
    golden_model.set_prompts(golden["prompt"])
    return golden_model.prompt_memory.align(tokens.taps)


def close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


def matches(prediction: Prediction, golden: Golden, name: str, suffix: str = "") -> None:
    close(prediction.anomaly_map.squeeze(1), golden[f"{name}.map{suffix}"], MAPS)
    close(prediction.score, golden[f"{name}.score{suffix}"], MAPS)


def test_image_tokens(tokens: ImageTokens, golden: Golden) -> None:
    close(tokens.global_token, golden["clip.global"], TOKENS)
    for index, tap in enumerate(tokens.taps):
        close(tap, golden[f"clip.patch.{index}"], TOKENS)


def test_one_tap_alone_is_the_same(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    with torch.no_grad():
        alone = golden_model.encode(golden["query"], golden_model.taps[1:2])
    close(alone.taps[0], golden["clip.patch.1"], TOKENS)
    close(alone.global_token, golden["clip.global"], TOKENS)


def test_texts(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    golden_model.encode_texts()
    close(golden_model.static_pair, golden["text.static"], TOKENS)
    close(golden_model.learned_pair, golden["text.learned"], TOKENS)


def test_opinions_of_texts(golden_model: AdaptCLIPModel, golden: Golden, tokens: ImageTokens) -> None:
    with torch.no_grad():
        opinions = [golden_model.plain_opinion(tokens), *golden_model.text_opinions(tokens)]
    for name, opinion in zip(("baseline", "visual", "textual"), opinions, strict=True):
        matches(predict([opinion], SIZE), golden, name)


def test_alignment(golden: Golden, tokens: ImageTokens, alignments: list[Alignment]) -> None:
    close(alignment_map(alignments, tokens.grid, SIZE).squeeze(1), golden["align.map"], MAPS)
    for index, alignment in enumerate(alignments):
        close(alignment_map([alignment], tokens.grid, SIZE).squeeze(1), golden[f"align.map.{index}"], MAPS)


def test_prompt_query(
    golden_model: AdaptCLIPModel, golden: Golden, tokens: ImageTokens, alignments: list[Alignment]
) -> None:
    with torch.no_grad():
        opinions = golden_model.adapters["prompt_query"](alignments, tokens.grid)
    matches(predict(opinions, SIZE), golden, "prompt_query")
    for index, opinion in enumerate(opinions):
        matches(predict([opinion], SIZE), golden, "prompt_query", f".{index}")


def test_zero_and_few_shot(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    for name, prepare in (("zero_shot", golden_model.clear_prompts), ("few_shot", with_prompts(golden_model, golden))):
        prepare()
        output = golden_model(golden["query"])
        matches(Prediction(output.pred_score, output.anomaly_map), golden, name)


def with_prompts(model: AdaptCLIPModel, golden: Golden) -> Callable[[], None]:
    return lambda: model.set_prompts(golden["prompt"])
