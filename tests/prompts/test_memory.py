# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Many shots: the search in chunks, half precision, the budget."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.models.components import KCenterGreedy
from torch import nn
from torch.nn.functional import normalize

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.adapters import align
from anomalib_adaptclip.adapters.alignment import CHUNK
from anomalib_adaptclip.clip import seeded
from anomalib_adaptclip.prompts.coreset import coreset_indices, select_coreset
from anomalib_adaptclip.prompts.memory import PromptMemory, align_layers

Golden = dict[str, torch.Tensor]


GROWTH = """
import resource, torch
from anomalib_adaptclip.prompts.coreset import coreset_indices
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
pool, before = torch.randn(4, 31_000, 128), peak()
coreset_indices(pool, 150)
print(peak() - before)
"""


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize("chunk", [1, 7, 16, 37])
@pytest.mark.parametrize("per_query", [False, True])
def test_chunks_change_nothing(chunk: int, per_query: bool) -> None:
    """Aligned tokens and distances equal those of one search over all, bit by bit."""
    query = unit(3, 20, 32)
    prompt = unit(3, 37, 32, seed=1) if per_query else unit(37, 32, seed=1)
    whole, parts = align(query, prompt, chunk=100), align(query, prompt, chunk)
    torch.testing.assert_close(parts, whole, rtol=0, atol=0)
    torch.testing.assert_close(parts.aligned, whole.aligned, rtol=0, atol=0)
    cosine, nearest = (query @ prompt.mT).max(dim=-1)  # in plain words
    torch.testing.assert_close(parts.nearest, nearest)
    torch.testing.assert_close(parts.score, 1 - cosine, rtol=0, atol=1e-6)


def test_of_equal_patches_the_first_is_taken() -> None:
    """Within a chunk and over chunks; the cosines of these have no rounding."""
    prompt = torch.eye(3).repeat(5, 1)
    for chunk in (1, 2, 4, 5, 100):
        assert align(torch.eye(3)[None, [2, 0, 1]], prompt, chunk).nearest.tolist() == [[2, 0, 1]]


def test_the_search_is_cut_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """No product has more than CHUNK prompt patches: that bounds the memory."""
    widths: list[int] = []
    original = torch.Tensor.__matmul__

    def spy(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        widths.append(other.shape[-1])
        return original(one, other)

    monkeypatch.setattr(torch.Tensor, "__matmul__", spy)
    align(unit(1, 4, 8), unit(2 * CHUNK + 5, 8))
    assert widths == [CHUNK, CHUNK, 5]


def test_gradients_reach_query_and_prompt() -> None:
    query, prompt = unit(2, 3, 4).double().requires_grad_(), unit(2, 5, 4, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda *tokens: tuple(_outputs(*tokens)), (query, prompt))


def _outputs(query: torch.Tensor, prompt: torch.Tensor) -> list[torch.Tensor]:
    alignment = align(query, prompt, chunk=2)
    return [alignment.aligned, alignment.score]


class Search(nn.Module):
    def __init__(self, prompt: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("prompt", prompt)

    def forward(self, query: torch.Tensor) -> list[torch.Tensor]:
        return _outputs(query, self.get_buffer("prompt"))


def test_the_search_is_exported_and_compiled_in_one_piece() -> None:
    search, query = Search(unit(7, 16, seed=1)).eval(), unit(2, 9, 16)
    batch = torch.export.Dim("batch", min=1, max=8)
    exported = torch.export.export(search, (query,), dynamic_shapes={"query": {0: batch}}).module()
    compiled = torch.compile(search, fullgraph=True, backend="eager")
    for size in (1, 2, 5):
        query = unit(size, 9, 16, seed=size)
        torch.testing.assert_close(exported(query), search(query))
        torch.testing.assert_close(compiled(query), search(query))


def test_half_precision_halves_the_memory_and_hardly_moves_the_result(
    golden_model: AdaptCLIPModel, golden: Golden
) -> None:
    golden_model.set_prompts(golden["prompt"])
    full, expected = golden_model.prompt_memory.tokens, golden_model(golden["query"])
    golden_model.prompt_memory.precision = "float16"
    golden_model.set_prompts(golden["prompt"])
    half = golden_model.prompt_memory.tokens
    assert (half.dtype, half.nbytes) == (torch.float16, full.nbytes // 2)
    found = golden_model(golden["query"])
    assert found.anomaly_map.dtype == torch.float32
    torch.testing.assert_close(found.anomaly_map, expected.anomaly_map, rtol=0, atol=2e-3)
    torch.testing.assert_close(found.pred_score, expected.pred_score, rtol=0, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_state_keeps_precision_and_shots(dtype: torch.dtype) -> None:
    memory = PromptMemory("float16" if dtype == torch.float32 else "float32")
    memory.load_state_dict({"tokens": unit(2, 3, 4, 8).to(dtype)})
    assert memory.k_shot == 3
    torch.testing.assert_close(memory.tokens, unit(2, 3, 4, 8).to(dtype), rtol=0, atol=0)


def test_the_most_representative_patches_stay() -> None:
    """Of many copies of three patches, one each."""
    patches = torch.eye(3).repeat_interleave(torch.tensor([20, 3, 7]), dim=0)
    pool = torch.stack([patches, patches.flip(-1)])
    kept = coreset_indices(pool, 3)
    assert patches[kept].sum(dim=0).tolist() == [1, 1, 1]
    torch.testing.assert_close(coreset_indices(pool, 3), kept)  # no chance in it


def test_the_choice_of_patches_leaves_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    coreset_indices(unit(2, 30, 8), 5)
    torch.testing.assert_close(torch.rand(2), expected)


def test_a_coreset_is_anomalibs() -> None:
    pool = unit(2, 60, 16)
    sampler = KCenterGreedy(pool.movedim(0, 1).flatten(1), 20.5 / 60)
    sampler.model.random_state = np.random.RandomState(0)  # type: ignore[assignment]
    with seeded(0):
        assert coreset_indices(pool, 20).tolist() == sorted(sampler.select_coreset_idxs())


@pytest.mark.skipif(sys.platform != "linux", reason="counts in kilobytes on Linux alone")
def test_memory_does_not_grow_with_the_steps_of_the_coreset() -> None:
    """Beyond the pool of 64 MB: it and its projection once more, and the differences of one step."""
    command = [sys.executable, "-W", "ignore", "-c", GROWTH]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(found.stdout) < 600


@pytest.mark.parametrize(("budget", "rows"), [(None, 10), (100, 10), (30, 10), (29, 9), (12, 4), (3, 1)])
def test_budget(budget: int | None, rows: int) -> None:
    pool = unit(2, 30, 8)
    condensed = select_coreset(pool, 3, budget)
    assert condensed.shape == (2, 3, rows, 8)
    for layer, condensed_tap in zip(pool, condensed.flatten(1, 2), strict=True):
        cosine, position = (condensed_tap @ layer.T).max(dim=-1)
        torch.testing.assert_close(cosine, torch.ones(3 * rows))
        assert position.tolist() == sorted(set(position.tolist()))  # each once


@pytest.mark.parametrize("budget", [None, 36, 100])
def test_no_patch_goes_without_need(budget: int | None) -> None:
    """As when 16 patches of an image come to 18 of three: rows of equal length take two more."""
    pool, query = unit(2, 34, 8), [unit(1, 6, 8, seed=1)] * 2
    condensed = select_coreset(pool, 4, budget)
    assert condensed.shape == (2, 4, 9, 8)
    torch.testing.assert_close(condensed.flatten(1, 2)[:, :34], pool, rtol=0, atol=0)
    for found, expected in zip(align_layers(query, condensed), align_layers(query, pool[:, None]), strict=True):
        torch.testing.assert_close(found.nearest, expected.nearest)
    assert select_coreset(pool, 4, 35).shape == (2, 4, 8, 8)


def test_the_budget_holds_in_the_model(golden_clip: Any, golden: Golden) -> None:
    model = AdaptCLIPModel(golden_clip, (1, 3, 4, 6), 3, hidden_dim=32, adapters=(), prompt_budget=11).eval()
    with torch.inference_mode():
        model.set_prompts(golden["prompt"].repeat(2, 1, 1, 1)[:2])
    assert (model.prompt_memory.k_shot, model.prompt_memory.tokens.shape[2]) == (2, 5)
    assert not model.prompt_memory.tokens.is_inference()
    assert model(golden["query"]).anomaly_map.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PromptMemory("float64"), "prompt_precision must be one of"),  # type: ignore[arg-type]
        (lambda: PromptMemory(budget=0), r"prompt_budget is the number of patches to keep .* Got 0 for 0"),
        (lambda: select_coreset(unit(2, 12, 8), 3, 2), "at least one for each. Got 2 for 3 images"),
    ],
)
def test_wrong_arguments(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_align_taps_goes_tap_by_tap() -> None:
    layers, tokens = [unit(2, 6, 8), unit(2, 6, 8, seed=1)], unit(2, 3, 5, 8, seed=2)
    for layer, prompt, alignment in zip(layers, tokens, align_layers(layers, tokens), strict=True):
        torch.testing.assert_close(alignment, align(normalize(layer[:, 1:], dim=-1), prompt.flatten(0, 1)))
