# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Every rung of the golden tensors: the published implementation's numbers on a small CLIP."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.adapters import Alignment, align, normalized_patches
from anomalib_adaptclip.adapters.run_adapters import plain_clip_output
from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.model.fusion import Prediction, alignment_map, average_layers
from anomalib_adaptclip.prompts.memory import align_layers
from anomalib_adaptclip.training.losses import AdapterLoss, adapter_loss
from tests.conftest import GOLDEN

SIZE = (84, 84)
TOKENS, MAPS = 1e-5, 5e-6  # absolute, float32, CPU

Golden = dict[str, torch.Tensor]


@pytest.fixture
def tokens(golden_model: AdaptCLIPModel, golden: Golden) -> ImageTokens:
    golden_model.encode_texts()
    with torch.no_grad():
        return golden_model.encode(golden["query"], golden_model.layers)


@pytest.fixture
def alignments(golden_model: AdaptCLIPModel, golden: Golden, tokens: ImageTokens) -> list[Alignment]:
    golden_model.set_prompts(golden["prompt"])
    return align_layers(tokens.layers, golden_model.prompt_memory.tokens)


def close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


def matches(prediction: Prediction, golden: Golden, name: str, suffix: str = "") -> None:
    close(prediction.anomaly_map.squeeze(1), golden[f"{name}.map{suffix}"], MAPS)
    close(prediction.score, golden[f"{name}.score{suffix}"], MAPS)


def test_image_tokens(tokens: ImageTokens, golden: Golden) -> None:
    close(tokens.global_token, golden["clip.global"], TOKENS)
    for index, layer in enumerate(tokens.layers):
        close(layer, golden[f"clip.patch.{index}"], TOKENS)


def test_one_tap_alone_is_the_same(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    with torch.no_grad():
        alone = golden_model.encode(golden["query"], golden_model.layers[1:2])
    close(alone.layers[0], golden["clip.patch.1"], TOKENS)
    close(alone.global_token, golden["clip.global"], TOKENS)


def test_texts(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    golden_model.encode_texts()
    close(golden_model.static_pair, golden["text.static"], TOKENS)
    close(golden_model.learned_pair, golden["text.learned"], TOKENS)


def test_opinions_of_texts(golden_model: AdaptCLIPModel, golden: Golden, tokens: ImageTokens) -> None:
    with torch.no_grad():
        outputs = {
            "baseline": [plain_clip_output(tokens, golden_model.static_pair)],
            **golden_model.adapter_outputs(tokens),
        }
    assert list(outputs) == ["baseline", "visual", "textual"]
    for name, output in outputs.items():
        matches(average_layers(output, SIZE), golden, name)


def test_alignment(golden: Golden, tokens: ImageTokens, alignments: list[Alignment]) -> None:
    close(
        alignment_map([one.score.view(-1, 1, *tokens.grid) for one in alignments], SIZE).squeeze(1),
        golden["align.map"],
        MAPS,
    )
    for index, alignment in enumerate(alignments):
        close(
            alignment_map([alignment.score.view(-1, 1, *tokens.grid)], SIZE).squeeze(1),
            golden[f"align.map.{index}"],
            MAPS,
        )


def test_prompt_query(
    golden_model: AdaptCLIPModel, golden: Golden, tokens: ImageTokens, alignments: list[Alignment]
) -> None:
    with torch.no_grad():
        outputs = golden_model.adapters["prompt_query"](alignments, tokens.grid)
    matches(average_layers(outputs, SIZE), golden, "prompt_query")
    for index, output in enumerate(outputs):
        matches(average_layers([output], SIZE), golden, "prompt_query", f".{index}")


def test_zero_and_few_shot(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    for name, prepare in (("zero_shot", golden_model.clear_prompts), ("few_shot", with_prompts(golden_model, golden))):
        prepare()
        output = golden_model(golden["query"])
        matches(Prediction(output.pred_score, output.anomaly_map), golden, name)


def with_prompts(model: AdaptCLIPModel, golden: Golden) -> Callable[[], None]:
    return lambda: model.set_prompts(golden["prompt"])


def test_training_reproduces_the_loss_trace(
    golden_clip: torch.nn.Module, golden: Golden, golden_config: dict[str, Any]
) -> None:
    """Every part of the loss at every step, the optimiser's included."""
    model = AdaptCLIPModel(golden_clip, golden_config["features"], 3, hidden_dim=golden_config["mid_dim"])
    model.load_adapters(GOLDEN / "adapters_before_training.pth")
    model.encode_texts()
    model.train()
    optimizer = torch.optim.Adam(model.adapters.parameters(), lr=golden_config["lr"], betas=(0.5, 0.999))
    label, mask = golden["train.label"].long(), (golden["train.mask"] > 0.5).float()
    for expected in json.loads((GOLDEN / "golden.json").read_text())["loss_trace"]:
        losses = {
            name: total([adapter_loss(output, label, mask) for output in layers])
            for name, layers in outputs_of(model, golden)
        }
        parts = {f"{name}_ce": loss.classification for name, loss in losses.items()}
        parts |= {f"{name}_local": loss.segmentation for name, loss in losses.items()}
        loss = torch.stack(list(parts.values())).sum()
        for name, part in {**parts, "total": loss}.items():
            torch.testing.assert_close(part.item(), expected[name], rtol=1e-5, atol=0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def outputs_of(model: AdaptCLIPModel, golden: Golden) -> Any:
    with torch.no_grad():
        query, prompt = (model.encode(golden[f"train.{name}"], model.layers) for name in ("query", "prompt"))
    pairs = zip(query.layers, prompt.layers, strict=True)
    return model.adapter_outputs(query, [align(normalized_patches(q), normalized_patches(p)) for q, p in pairs]).items()


def total(losses: list[AdapterLoss]) -> AdapterLoss:
    return AdapterLoss(*(torch.stack(part).sum() for part in zip(*losses, strict=True)))
