# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Half precision, compilation and devices: the model runs as it is put, and says the same."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.engine import Engine
from anomalib.post_processing import PostProcessor
from torch._subclasses.fake_tensor import FakeTensorMode

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, SyntheticDefects
from anomalib_adaptclip.prompts.bank import PromptBank

SIZE = 112  # pixels, 8 x 8 patches
PRECISIONS = ("bf16-mixed", "16-mixed", "bf16-true")

pytestmark = pytest.mark.filterwarnings(  # on the CPU; it takes bf16-mixed then
    "ignore:You passed `Trainer.accelerator='cpu', precision='16-mixed'.`:UserWarning"
)


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[str], Engine]:
    return lambda precision: Engine(
        default_root_dir=tmp_path / "results", accelerator="cpu", devices=1, precision=precision
    )


@pytest.fixture
def source(tmp_path: Path) -> SyntheticDefects:
    return SyntheticDefects(
        tmp_path, "gear", image_size=128, num_train_images=2, num_normal_test_images=2, num_images_per_defect=1
    )


def tiny(**options: Any) -> AdaptCLIP:
    return AdaptCLIP(backbone="tiny", image_size=SIZE, visualizer=False, **options)


def maps(predictions: Any) -> torch.Tensor:
    return torch.cat([batch.anomaly_map for batch in predictions])


def require_close(found: torch.Tensor, expected: torch.Tensor, k_shot: int) -> None:
    """Zero-shot, single pixels of bfloat16 may differ by more, depending on the processor: see the README."""
    difference = (found - expected).abs()
    assert (difference <= 2e-2).float().mean() >= (1 if k_shot else 0.99)
    assert difference.mean() <= 5e-3


@pytest.mark.parametrize("k_shot", [0, 1])
def test_predictions_in_half_precision(source: SyntheticDefects, engine: Callable[[str], Engine], k_shot: int) -> None:
    source.prepare_data()
    good, queries = source.root / "gear" / "train" / "good", source.root / "gear" / "test" / "good"
    options: dict[str, Any] = {"k_shot": k_shot, "few_shot_source": good} if k_shot else {}
    expected = maps(engine("32-true").predict(tiny(**options), data_path=queries))
    assert expected.std() > 0
    for precision in PRECISIONS:
        found = maps(engine(precision).predict(tiny(**options), data_path=queries))
        require_close(found, expected, k_shot)


@pytest.mark.parametrize("category", ["marble", "gear"])
def test_abnormal_images_in_half_precision(tmp_path: Path, engine: Callable[[str], Engine], category: str) -> None:
    data = SyntheticDefects(
        tmp_path, category, image_size=256, num_train_images=1, num_normal_test_images=1, num_images_per_defect=1
    )
    data.prepare_data()
    queries, good = data.root / category / "test", data.root / category / "train" / "good"
    shots: list[dict[str, Any]] = [{}, {"k_shot": 1, "few_shot_source": good}]
    for options in shots:
        expected = maps(engine("32-true").predict(AdaptCLIP(backbone="tiny", **options), data_path=queries))
        for precision in ("bf16-mixed", "bf16-true"):
            found = maps(engine(precision).predict(AdaptCLIP(backbone="tiny", **options), data_path=queries))
            require_close(found, expected, options.get("k_shot", 0))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tests_in_half_precision(source: SyntheticDefects, engine: Callable[[str], Engine], precision: str) -> None:
    """With thresholds of float32, and a checkpoint that other precisions take."""
    model, first = tiny(k_shot=1), engine(precision)
    [metrics] = first.train(model, datamodule=source)  # it validates, saves and tests
    assert all(0 <= value <= 1 for value in metrics.values())
    assert len(metrics) == 7
    assert isinstance(model.post_processor, PostProcessor)
    assert model.post_processor.image_threshold.dtype == torch.float32
    checkpoint: Any = first.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]
    loaded = tiny()
    engine(precision).test(loaded, datamodule=source, ckpt_path=checkpoint)
    for name, tensor in loaded.state_dict().items():
        if "adapters" in name or name.startswith("post_processor"):
            assert torch.equal(tensor, stored[name]), name
    found = maps(engine("32-true").predict(tiny(), datamodule=source, ckpt_path=checkpoint))
    expected = maps(engine(precision).predict(tiny(), datamodule=source, ckpt_path=checkpoint))
    scale = model.post_processor.pixel_max - model.post_processor.pixel_min  # maps were divided by it
    torch.testing.assert_close(found * scale, expected * scale, rtol=0, atol=2e-2)


def test_outputs_are_float32_at_any_precision(golden_model: AdaptCLIPModel) -> None:
    images = torch.rand(2, 3, 56, 56)
    golden_model.set_prompts(images[:1])
    expected = golden_model(images)
    for dtype in (torch.bfloat16, torch.float16):
        output: Any = copy.deepcopy(golden_model).to(dtype)(images)
        assert output.anomaly_map.dtype == output.pred_score.dtype == torch.float32
        torch.testing.assert_close(output.anomaly_map, expected.anomaly_map, rtol=0, atol=5e-2)


def test_a_bank_in_half_precision_remembers_its_clip(golden_model: AdaptCLIPModel) -> None:
    bank = PromptBank(golden_model)
    before = bank.header()
    golden_model.to(torch.bfloat16)
    assert bank.header() == before


@pytest.mark.parametrize("k_shot", [0, 1])
def test_compilation_without_graph_breaks(k_shot: int) -> None:
    torch.compiler.reset()
    model = tiny().eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    model.prepare()
    if k_shot:
        model.model.set_prompts(torch.rand(1, 3, SIZE, SIZE))
    for module, batch in ((model.model, images), (model, torch.rand(2, 3, 128, 90))):
        compiled: Any = torch.compile(module, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(batch).anomaly_map, module(batch).anomaly_map, rtol=0, atol=1e-5)


def test_no_device_is_taken_for_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a pretended GPU, where any tensor that was left on the CPU is an error. Its values cannot be checked."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    model = tiny().eval()
    model.prepare()
    model.model.set_prompts(torch.rand(1, 3, SIZE, SIZE))
    tensors = model.state_dict()
    with FakeTensorMode():
        state = {name: torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda") for name, tensor in tensors.items()}
        images = torch.empty(2, 3, 128, 90, device="cuda")
        output: Any = torch.func.functional_call(model, state, images)
    for tensor in (output.pred_score, output.anomaly_map, output.pred_mask):
        assert tensor.device.type == "cuda"


def test_tensors_follow_the_model() -> None:
    model = tiny()
    model.prepare()
    model.model.set_prompts(torch.rand(1, 3, SIZE, SIZE))
    state = model.to("meta").state_dict()
    assert {tensor.device.type for tensor in state.values()} == {"meta"}
    assert {"model.prompt_memory.tokens", "model.static_pair", "model.learned_pair"} <= set(state)
