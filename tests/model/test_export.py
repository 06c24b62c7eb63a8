# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Exported models say what the model says: ONNX Runtime, OpenVINO, and anomalib's inferencers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from anomalib.cli.cli import AnomalibCLI
from anomalib.data.utils import read_image
from anomalib.deploy import CompressionType, OpenVINOInferencer, TorchInferencer
from anomalib.engine import Engine
from anomalib.models.components.base.export_mixin import ExportMixin
from torchmetrics.functional.classification import binary_auroc
from torchvision.transforms.v2.functional import InterpolationMode, resize

from anomalib_adaptclip import AdaptCLIP, SyntheticDefects
from anomalib_adaptclip.model.antialias_resize import AntialiasResize

SIZE = 112  # pixels, 8 x 8 patches
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}  # some processors would compute in bfloat16
TOLERANCES = {None: 1e-4, "fp16": 1e-2, "int8": 5e-2}

Outputs = dict[str, torch.Tensor]


class Trained(NamedTuple):
    """A calibrated one-shot model, its checkpoint, and the images of its test split."""

    model: AdaptCLIP
    checkpoint: Path
    images: torch.Tensor
    labels: torch.Tensor
    predictions: list[Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("trained")
    data = SyntheticDefects(
        root, "marble", image_size=160, num_train_images=3, num_normal_test_images=6, num_images_per_defect=1
    )
    model = AdaptCLIP(k_shot=1, backbone="tiny", image_size=SIZE, visualizer=False)
    engine = Engine(default_root_dir=root / "results", accelerator="cpu", devices=1)
    engine.validate(model, datamodule=data)
    checkpoint = Path(engine.trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]
    predictions: Any = engine.predict(model, data_path=data.root / "marble" / "test", ckpt_path=checkpoint)
    files = [Path(path) for batch in predictions for path in batch.image_path]
    images = torch.stack([torch.as_tensor(read_image(file, as_tensor=True)) for file in files])
    labels = torch.tensor([int(file.parent.name != "good") for file in files])
    return Trained(model.eval(), checkpoint, images, labels, predictions)


@pytest.fixture(scope="module")
def export(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that exports the checkpoint through the Engine, each kind once."""
    root, done = tmp_path_factory.mktemp("export"), {}

    def run(kind: str, compression: str | None = None) -> Path:
        if (kind, compression) not in done:
            name = compression or "model"
            engine = Engine(default_root_dir=root, accelerator="cpu", devices=1)
            done[kind, compression] = engine.export(
                AdaptCLIP(backbone="tiny", visualizer=False),
                kind,
                model_file_name=name,
                compression_type=CompressionType(compression) if compression else None,
                ckpt_path=trained.checkpoint,
            )
        path = done[kind, compression]
        assert path is not None
        return path

    return run


def run_onnx(path: Path, images: torch.Tensor) -> Outputs:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {"input": images.numpy()})
    return {name: torch.from_numpy(value) for name, value in zip(names, values, strict=True)}


def run_openvino(path: Path, images: torch.Tensor) -> Outputs:
    outputs = openvino.Core().compile_model(path, "CPU", FLOAT32)(images.numpy())
    return {output.any_name: torch.from_numpy(value) for output, value in outputs.items()}


def assert_same(found: Outputs, model: AdaptCLIP, images: torch.Tensor, tolerance: float) -> None:
    """Scores and maps; labels and masks but for those within the tolerance of the threshold."""
    expected = model(images)._asdict()
    assert set(found) == set(expected)
    for name in ("pred_score", "anomaly_map"):
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=tolerance)
    for decision, of in (("pred_label", "pred_score"), ("pred_mask", "anomaly_map")):
        clear = (expected[of] - 0.5).abs() > tolerance
        assert torch.equal(found[decision][clear], expected[decision][clear])


def test_the_engine_and_the_model_agree(trained: Trained) -> None:
    """Without the Engine images are antialiased too, and thresholds are its own."""
    expected = torch.cat([batch.anomaly_map for batch in trained.predictions])
    found: Any = trained.model(trained.images).anomaly_map
    torch.testing.assert_close(found.squeeze(1), expected.squeeze(1), rtol=0, atol=1e-4)
    assert found.std() > 0.01
    assert trained.images.shape[-1] > SIZE


@pytest.mark.parametrize("size", [(160, 160), (300, 90), (SIZE, SIZE)])
def test_resizing_is_that_of_torchvision(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = resize(images, [56, SIZE], interpolation=InterpolationMode.BICUBIC, antialias=True)
    torch.testing.assert_close(AntialiasResize((56, SIZE))(images), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_onnx(trained: Trained, export: Callable[..., Path], batch: int) -> None:
    images = trained.images[-batch:]
    assert_same(run_onnx(export("onnx"), images), trained.model, images, 1e-4)


def test_onnx_of_another_size(trained: Trained, export: Callable[..., Path]) -> None:
    images = torch.rand(2, 3, 130, 250, generator=torch.Generator().manual_seed(0))
    assert_same(run_onnx(export("onnx"), images), trained.model, images, 1e-4)


def test_zero_shot_onnx(tmp_path: Path) -> None:
    """Not calibrated: raw scores, and 0.5 is the threshold."""
    model = AdaptCLIP(backbone="tiny", image_size=SIZE, visualizer=False).eval()
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    path = model.to_onnx(tmp_path, input_size=(SIZE, SIZE), optimize=False)
    assert path == tmp_path / "weights" / "onnx" / "model.onnx"
    for batch in (1, 3):
        assert_same(run_onnx(path, images[:batch]), model, images[:batch], 1e-4)


def test_onnx_without_a_pre_processor(tmp_path: Path) -> None:
    """Images are the model's own input then, of its size."""
    model = AdaptCLIP(backbone="tiny", image_size=56, pre_processor=False, visualizer=False).eval()
    images = torch.randn(3, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    assert_same(run_onnx(model.to_onnx(tmp_path, optimize=False), images), model, images, 1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"adapters": "none"},
        {"k_shot": 3, "calibration": "normal", "prompt_precision": "float16", "prompt_budget": 100},
    ],
    ids=["zero-shot", "no adapters", "condensed prompts"],
)
def test_openvino_of_other_models(trained: Trained, tmp_path: Path, options: dict[str, Any]) -> None:
    if "k_shot" in options:
        options = {**options, "few_shot_source": Path(trained.model.prompt_files[0]).parent}
    model = AdaptCLIP(backbone="tiny", image_size=SIZE, visualizer=False, **options).eval()
    images = trained.images[-3:]
    path = model.to_openvino(tmp_path)
    assert_same(run_openvino(path, images), model, images, 1e-4)
    image_tower = sum(tensor.nbytes for tensor in model.model.clip.visual.state_dict().values())
    weights = path.with_suffix(".bin").stat().st_size
    assert 0.9 * image_tower < weights < image_tower + 3e6  # no text tower, nor what the last block does for patches


@pytest.mark.parametrize("compression", TOLERANCES)
@pytest.mark.parametrize("batch", [1, 3])
def test_openvino(trained: Trained, export: Callable[..., Path], compression: str | None, batch: int) -> None:
    images = trained.images[-batch:]
    found = run_openvino(export("openvino", compression), images)
    assert_same(found, trained.model, images, TOLERANCES[compression])


def test_int8_detects_as_well(trained: Trained, export: Callable[..., Path]) -> None:
    scores = run_openvino(export("openvino", "int8"), trained.images)["pred_score"]
    expected: Any = trained.model(trained.images).pred_score
    assert abs(binary_auroc(scores, trained.labels) - binary_auroc(expected, trained.labels)) <= 0.02
    sizes = [export("openvino", kind).with_suffix(".bin").stat().st_size for kind in TOLERANCES]
    assert sizes[0] > 1.8 * sizes[1] > 3 * sizes[2]


def test_inferencers(
    trained: Trained, export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # OpenVINO's leaves a cache
    monkeypatch.setenv("TRUST_REMOTE_CODE", "1")
    torch_path, openvino_path = export("torch"), export("openvino")
    expected = trained.model(trained.images)
    found = TorchInferencer(torch_path, "cpu").predict(trained.images)
    assert torch.equal(torch.as_tensor(found.pred_score), torch.as_tensor(expected.pred_score))
    exported: Any = OpenVINOInferencer(openvino_path, "CPU", FLOAT32).predict(trained.images)
    np.testing.assert_allclose(exported.pred_score, expected.pred_score, rtol=0, atol=1e-4)
    shape = expected.anomaly_map.shape
    np.testing.assert_allclose(exported.anomaly_map.reshape(shape), expected.anomaly_map, rtol=0, atol=1e-4)


def test_idle_parts_stay_behind(trained: Trained, export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """And the model that was exported keeps them."""
    monkeypatch.setenv("TRUST_REMOTE_CODE", "1")
    exported: Any = TorchInferencer(export("torch"), "cpu").model
    names = set(exported.state_dict())
    assert "model.clip.visual.proj" in names
    assert not [name for name in names if "text_projection" in name or "token_embedding" in name or "contexts" in name]
    image_tower = sum(tensor.nbytes for tensor in trained.model.model.clip.visual.state_dict().values())
    memory = trained.model.model.prompt_memory.tokens.nbytes
    adapters = sum(tensor.nbytes for tensor in trained.model.model.adapters.state_dict().values())
    weights = sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in onnx.load(export("onnx")).graph.initializer)
    assert image_tower < weights < image_tower + memory + adapters + 1e6

    trained.model.to_torch(export("torch").parents[2], "again")
    assert "text_projection" in trained.model.model.clip.state_dict()
    assert trained.model.trainer is not None


def test_zero_shot_needs_no_prompt_query_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUST_REMOTE_CODE", "1")
    model = AdaptCLIP(backbone="tiny", image_size=SIZE, visualizer=False).eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    exported: Any = TorchInferencer(model.to_torch(tmp_path), "cpu").model
    assert not [name for name in exported.state_dict() if "prompt_query" in name]
    torch.testing.assert_close(exported(images).anomaly_map, model(images).anomaly_map)
    assert [file.name for file in tmp_path.rglob("*.*")] == ["model.pt"]  # no draft is left


@pytest.mark.parametrize(("kind", "name"), [("torch", "model.pt"), ("onnx", "model.onnx"), ("openvino", "model.bin")])
def test_the_command(trained: Trained, tmp_path: Path, kind: str, name: str) -> None:
    command = f"export --model AdaptCLIP --model.backbone tiny --export_type {kind} --ckpt_path {trained.checkpoint}"
    fast = ["--onnx_kwargs", '{"optimize": false}']
    AnomalibCLI([*command.split(), *fast, "--default_root_dir", str(tmp_path)])
    assert sum(file.stat().st_size for file in (tmp_path / "weights" / kind).iterdir()) > 1e6
    assert (tmp_path / "weights" / kind / name).exists()


@pytest.fixture
def idle_model(monkeypatch: pytest.MonkeyPatch) -> AdaptCLIP:
    """A model that must not get as far as exporting."""
    for name in ("to_torch", "to_onnx", "to_openvino"):
        monkeypatch.setattr(ExportMixin, name, lambda *_, **__: pytest.fail("too late"))
    return AdaptCLIP(backbone="tiny", pretrained="seed-0", image_size=56, visualizer=False)


@pytest.mark.parametrize(
    ("package", "kind", "options"),
    [
        ("onnxscript", "onnx", {}),
        ("openvino", "openvino", {}),
        ("nncf", "openvino", {"compression_type": CompressionType.INT8}),
    ],
)
def test_a_missing_package_is_told_first(
    idle_model: AdaptCLIP,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    package: str,
    kind: str,
    options: dict[str, Any],
) -> None:
    monkeypatch.setattr("anomalib_adaptclip.model.export.find_spec", lambda name: None if name == package else object())
    with pytest.raises(ModuleNotFoundError, match=rf"needs {package}: pip install .*\[openvino\]"):
        Engine(default_root_dir=tmp_path).export(idle_model, kind, **options)


def test_bad_requests_are_told_first(idle_model: AdaptCLIP, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'pickle' is not a valid ExportType"):
        Engine(default_root_dir=tmp_path).export(idle_model, "pickle")
    wrong: Any = "int4"
    with pytest.raises(ValueError, match=r"Unknown compression_type 'int4'; choose one of \['fp16', 'int8'"):
        idle_model.to_openvino(tmp_path, compression_type=wrong)
    with pytest.raises(ValueError, match="calibrates with images: give a data module"):
        idle_model.to_openvino(tmp_path, compression_type=CompressionType.INT8_PTQ)
