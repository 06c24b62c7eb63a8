# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIPTraining in anomalib's Engine: losses, what moves and what does not, what is written."""

import csv
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.cli.cli import AnomalibCLI
from anomalib.data import MVTecAD
from anomalib.engine import Engine
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins import MixedPrecision
from safetensors import safe_open

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPTraining, QueryPromptDataModule, SyntheticDefects
from anomalib_adaptclip.adapters.adapter_file import read_adapter_file
from anomalib_adaptclip.clip import Backbone, LoadedClip
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch
from anomalib_adaptclip.training import lightning_model
from tests.conftest import GOLDEN

FEW = {"image_size": 64, "num_train_images": 3, "num_normal_test_images": 3, "num_images_per_defect": 1}
PARTS = [
    f"{name}_{part}" for name in ("visual", "textual", "prompt_query") for part in ("classification", "segmentation")
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def pairs(root: Path, **options: Any) -> QueryPromptDataModule:
    defaults: dict[str, Any] = {
        "base": "SyntheticDefects",
        "base_root": root,
        "base_categories": ["gear"],
        "base_args": FEW,
        "target": "SyntheticDefects",
        "target_categories": ["wood", "carpet"],
        "target_args": FEW,
        "num_workers": 0,
        "train_batch_size": 4,
    }
    return QueryPromptDataModule(**defaults | options)


def tiny(**options: Any) -> AdaptCLIPTraining:
    return AdaptCLIPTraining(**{"backbone": "tiny", "pretrained": "seed-0", "image_size": 56, **options})


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., Engine]:
    def make(**options: Any) -> Engine:
        defaults: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "logger": False, "max_epochs": 1}
        return Engine(default_root_dir=tmp_path / "results", **defaults | options)

    return make


def adapters_of(engine: Engine) -> Path:
    return Path(engine.trainer.checkpoint_callback.dirpath) / "adapters.safetensors"  # type: ignore[union-attr]


class Spy(Callback):
    """Keeps what a run logs at each step, and looks at the model in the middle of it."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.epochs: list[dict[str, float]] = []
        self.without_gradient: set[str] = set()
        self.clip_in_training = False

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        del trainer, optimizer
        for name, parameter in pl_module.named_parameters():
            if parameter.grad is None or not parameter.grad.any():
                self.without_gradient.add(name)
        self.clip_in_training |= any(module.training for module in pl_module.model.clip.modules())

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        del pl_module, args
        logged = trainer.logged_metrics
        names = [*PARTS, "loss"]
        self.steps.append({n: logged[f"train_{n}_step"].item() for n in names if f"train_{n}_step" in logged})

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        del pl_module
        self.epochs.append({name: value.item() for name, value in trainer.callback_metrics.items()})


class StopAtOnce(Callback):
    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        trainer.should_stop = True


class Golden(QueryPromptDataModule):
    """One batch, as it is in the golden tensors; the images are preprocessed already."""

    def __init__(self, root: Path, golden: dict[str, torch.Tensor], batches: int = 1) -> None:
        super().__init__("SyntheticDefects", root, ["gear"], FEW, num_workers=0)
        self.golden, self.batches = golden, batches

    def train_dataloader(self) -> Any:
        names = [str(index) for index in range(4)]
        batch = {
            "image": self.golden["train.query"],
            "prompt_image": self.golden["train.prompt"],
            "gt_label": self.golden["train.label"].long(),
            "gt_mask": self.golden["train.mask"] > 0.5,
        }
        return torch.utils.data.DataLoader(
            [QueryPromptBatch(**batch, image_path=names, prompt_path=names)] * self.batches,  # type: ignore[arg-type]
            batch_size=None,
        )


@pytest.fixture
def golden_training(
    golden_clip: Any, golden_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> AdaptCLIPTraining:
    """The training that the golden losses come from, before its first step."""
    backbone = Backbone("golden", tuple(golden_config["features"]), 3, 84, 14)
    monkeypatch.setattr("anomalib_adaptclip.model.clip_mixin.get_backbone", lambda _: backbone)
    monkeypatch.setattr(lightning_model, "load_clip", lambda *_: LoadedClip(golden_clip, backbone, "golden"))
    model = AdaptCLIPTraining("golden", hidden_dim=golden_config["mid_dim"], pre_processor=False)
    model.model.load_adapters(GOLDEN / "adapters_before_training.pth")
    return model


@pytest.fixture(scope="module")
def trace() -> list[dict[str, float]]:
    """The golden losses, a row a step, by our names."""
    rows = json.loads((GOLDEN / "golden.json").read_text())["loss_trace"]
    renamed = {"_ce": "_classification", "_local": "_segmentation", "total": "loss"}
    return [{re.sub("_ce|_local|total", lambda m: renamed[m[0]], key): row[key] for key in row} for row in rows]


def test_the_golden_loss_trace(
    root: Path,
    golden: dict[str, torch.Tensor],
    golden_training: AdaptCLIPTraining,
    trace: list[dict[str, float]],
    engine: Callable[..., Engine],
) -> None:
    """Through the Engine, every part of the loss at every step."""
    spy = Spy()
    engine(callbacks=[spy], max_epochs=len(trace)).fit(golden_training, datamodule=Golden(root, golden))
    assert spy.steps == [pytest.approx(expected, rel=1e-5) for expected in trace]


def test_accumulated_gradients(
    root: Path,
    golden: dict[str, torch.Tensor],
    golden_training: AdaptCLIPTraining,
    trace: list[dict[str, float]],
    engine: Callable[..., Engine],
) -> None:
    """The mean gradient of a batch and the same batch is that of the batch: the golden losses, each twice."""
    spy, data = Spy(), Golden(root, golden, batches=2)
    engine(callbacks=[spy], max_epochs=len(trace), accumulate_grad_batches=2).fit(golden_training, datamodule=data)
    assert golden_training.global_step == len(trace)
    assert spy.steps == [pytest.approx(expected, rel=1e-5) for expected in trace for _ in range(2)]


@pytest.mark.filterwarnings("ignore:.*AMP with fp16 is not supported on CPU:UserWarning")
@pytest.mark.filterwarnings("ignore:Precision .* is not supported by the model summary:UserWarning")
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "16-mixed with a scaler"])
def test_mixed_precision(
    root: Path,
    golden: dict[str, torch.Tensor],
    golden_training: AdaptCLIPTraining,
    trace: list[dict[str, float]],
    engine: Callable[..., Engine],
    precision: str,
) -> None:
    """Lightning takes bfloat16 for `16-mixed` on a CPU, unless one gives it the plugin that it takes on a GPU."""
    scaler = torch.amp.GradScaler("cpu", init_scale=256)  # from 65536 on the first steps are skipped, as they should
    scaled = {"plugins": [MixedPrecision("16-mixed", "cpu", scaler)]}
    spy, chosen = Spy(), scaled if "scaler" in precision else {"precision": precision}
    engine(callbacks=[spy], max_epochs=len(trace), **chosen).fit(golden_training, datamodule=Golden(root, golden))
    assert [row["loss"] for row in spy.steps] == pytest.approx([row["loss"] for row in trace], rel=2e-2)
    assert all(parameter.dtype == torch.float32 for parameter in golden_training.parameters())


@pytest.mark.parametrize("mode", ["alternating", "joint"])
def test_only_the_adapters_move_and_all_of_them(root: Path, engine: Callable[..., Engine], mode: Any) -> None:
    model, spy = tiny(mode=mode), Spy()
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    engine(callbacks=[spy]).fit(model, datamodule=pairs(root))
    moved = {n for n, tensor in model.model.state_dict().items() if n in before and not torch.equal(tensor, before[n])}
    parameters = {f"adapters.{name}" for name, _ in model.model.adapters.named_parameters()}
    assert parameters <= moved
    assert not {name for name in moved if name.startswith("clip.")}
    assert all(name.startswith("model.clip.") for name in spy.without_gradient)
    assert not spy.clip_in_training


def test_losses_fall_and_targets_are_logged(root: Path, engine: Callable[..., Engine]) -> None:
    spy = Spy()
    engine(callbacks=[spy], max_epochs=3).fit(tiny(), datamodule=pairs(root))
    assert spy.epochs[-1]["train_loss_epoch"] < spy.epochs[0]["train_loss_epoch"]
    for epoch in spy.epochs:
        assert sum(epoch[f"train_{part}_epoch"] for part in PARTS) == pytest.approx(epoch["train_loss_epoch"], rel=1e-5)
        for shot in ("zero_shot", "one_shot"):
            assert 0 <= epoch[f"val_{shot}_image_AUROC"] <= 1
            assert 0 < epoch[f"val_{shot}_pixel_AUPR"] <= 1


def test_a_seed_repeats_a_run(root: Path, engine: Callable[..., Engine]) -> None:
    runs = []
    for seed in (3, 3, 4):
        spy = Spy()
        engine(callbacks=[spy]).fit(tiny(seed=seed), datamodule=pairs(root))
        runs.append(spy.steps)
    assert runs[0] == runs[1] != runs[2]


def test_loggers(root: Path, engine: Callable[..., Engine], tmp_path: Path) -> None:
    loggers = [CSVLogger(tmp_path, "csv"), TensorBoardLogger(tmp_path, "board")]
    engine(logger=loggers, log_every_n_steps=1).fit(tiny(), datamodule=pairs(root))
    rows = list(csv.DictReader((tmp_path / "csv/version_0/metrics.csv").read_text().splitlines()))
    assert {f"train_{part}_step" for part in PARTS} <= {key for row in rows for key, value in row.items() if value}
    assert float(rows[-1]["train_loss_epoch"]) > 0
    assert list((tmp_path / "board").rglob("events.out.*"))


class TestResult:
    @pytest.fixture
    def trained(self, root: Path, engine: Callable[..., Engine]) -> tuple[AdaptCLIPTraining, Engine]:
        model, used = tiny(), engine(max_epochs=2)
        used.fit(model, datamodule=pairs(root))
        return model, used

    def test_the_file_holds_the_adapters(self, trained: tuple[AdaptCLIPTraining, Engine]) -> None:
        model, used = trained
        with safe_open(adapters_of(used), framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            header = file.metadata()
        expected = model.model.adapters.state_dict()
        assert set(state) == set(expected)
        for key, tensor in expected.items():
            torch.testing.assert_close(state[key], tensor, rtol=0, atol=0)
        assert header["base"] == "SyntheticDefects"
        assert json.loads(header["base_categories"]) == ["gear"]
        assert (header["backbone"], header["weights"], header["epochs"]) == ("tiny", "seed-0", "2")
        assert json.loads(header["layers"]) == [2, 4, 6, 8]
        assert (header["context"], header["topk"], header["mode"]) == ("true", "10", "alternating")
        assert set(json.loads(header["versions"])) == {"anomalib-adaptclip", "anomalib", "open_clip_torch", "torch"}

    def test_the_detector_repeats_what_training_measured(
        self, trained: tuple[AdaptCLIPTraining, Engine], root: Path, engine: Callable[..., Engine]
    ) -> None:
        """anomalib's own metrics, one category at a time, on raw scores."""
        _, used = trained
        measured = used.trainer.callback_metrics
        for shots, name in ((0, "zero_shot"), (1, "one_shot")):
            found = []
            for category in ("wood", "carpet"):
                detector = AdaptCLIP(
                    k_shot=shots,
                    backbone="tiny",
                    pretrained="seed-0",
                    image_size=56,
                    adapters=adapters_of(used),
                    post_processor=False,
                    visualizer=False,
                )
                data = SyntheticDefects(root, category, **FEW)
                [metrics] = engine().test(detector, datamodule=data)
                found.append((metrics["image_AUROC"], metrics["pixel_AUPR"]))
            for index, metric in enumerate(("image_AUROC", "pixel_AUPR")):
                mean = sum(scores[index] for scores in found) / 2
                assert measured[f"val_{name}_{metric}"].item() == pytest.approx(mean, abs=1e-3)

    def test_a_test_repeats_the_validation(
        self, trained: tuple[AdaptCLIPTraining, Engine], root: Path, engine: Callable[..., Engine]
    ) -> None:
        model, used = trained
        validated = {name[4:]: value.item() for name, value in used.trainer.callback_metrics.items() if "shot" in name}
        [tested] = engine().test(model, datamodule=pairs(root))
        assert {name[5:]: value for name, value in tested.items()} == validated

    def test_a_checkpoint_loads(self, trained: tuple[AdaptCLIPTraining, Engine]) -> None:
        model, used = trained
        loaded = AdaptCLIPTraining.load_from_checkpoint(str(used.best_model_path))
        expected, found = model.model.adapters.state_dict(), loaded.state_dict()
        for key, tensor in expected.items():
            torch.testing.assert_close(found[f"model.adapters.{key}"], tensor, rtol=0, atol=0)

    def test_another_clip_is_refused(self, trained: tuple[AdaptCLIPTraining, Engine], tmp_path: Path) -> None:
        model, used = trained
        state = {key: tensor + 1 for key, tensor in model.model.clip.state_dict().items()}
        torch.save(state, tmp_path / "other.pt")
        with pytest.raises(ValueError, match="backbone tiny and weights seed-0, and this is another CLIP"):
            AdaptCLIP(backbone="tiny", pretrained=tmp_path / "other.pt", adapters=adapters_of(used))


@pytest.mark.parametrize(
    "options", [{"mode": "joint", "adapter_names": ["visual", "textual"]}, {"context": False}, {"topk": 1}]
)
def test_the_detector_takes_over_how_the_adapters_were_trained(
    root: Path, engine: Callable[..., Engine], options: dict[str, Any]
) -> None:
    model, used = tiny(**options), engine()
    used.fit(model, datamodule=pairs(root))
    detector = AdaptCLIP(backbone="tiny", pretrained="seed-0", image_size=56, adapters=adapters_of(used))
    assert detector.model.options.mode == model.model.options.mode
    assert set(detector.model.adapters) == set(model.model.adapters)
    images = torch.rand(2, 3, 56, 56)
    torch.testing.assert_close(detector.model(images), model.model.eval()(images))
    if "prompt_query" in detector.model.adapters:
        adapter = detector.model.adapters["prompt_query"]
        assert (adapter.context, adapter.topk) == (options.get("context", True), options.get("topk", 10))


class Poison(Callback):
    """Breaks the adapters in the second epoch."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        del batch
        if (trainer.current_epoch, batch_idx) == (1, 1):
            pl_module.model.adapters["visual"].local_mlp.layers[0].weight.data.fill_(torch.nan)


def test_nan_stops_the_run_and_keeps_the_last_good_adapters(root: Path, engine: Callable[..., Engine]) -> None:
    used = engine(max_epochs=3, callbacks=[Poison()])
    with pytest.raises(
        FloatingPointError, match=r"(?s)became nan with this batch.*gear/test/.* with prompt .*train/good"
    ):
        used.fit(tiny(), datamodule=pairs(root))
    kept = read_adapter_file(adapters_of(used))
    assert kept.header.epochs == 1
    assert all(tensor.isfinite().all() for tensor in kept.state.values())


class TestArguments:
    def test_published_defaults(self) -> None:
        model = tiny()
        optimizer = model.configure_optimizers()
        assert isinstance(optimizer, torch.optim.Adam)
        assert (optimizer.defaults["lr"], optimizer.defaults["betas"], model.epochs) == (1e-3, (0.5, 0.999), 15)
        assert QueryPromptDataModule("MVTecAD").train_batch_size == 8
        assert list(optimizer.param_groups[0]["params"]) == list(model.model.adapters.parameters())

    def test_epochs_where_the_trainer_has_none(self, root: Path, engine: Callable[..., Engine]) -> None:
        used = engine(max_epochs=None)
        used.fit(tiny(epochs=2), datamodule=pairs(root))
        assert used.trainer.current_epoch == 2

    @pytest.mark.parametrize(
        ("limit", "epochs"),
        [
            ({"max_epochs": 1000}, 1000),  # what Lightning makes of None
            ({"max_epochs": -1}, -1),
            ({"max_epochs": None, "max_steps": 1}, -1),
            ({"max_epochs": None, "max_time": "00:01:00:00"}, -1),
        ],
    )
    def test_a_limit_of_the_trainer_is_kept(
        self, limit: dict[str, Any], epochs: int, root: Path, engine: Callable[..., Engine]
    ) -> None:
        used = engine(callbacks=[StopAtOnce()], **limit)
        used.fit(tiny(epochs=2), datamodule=pairs(root))
        assert used.trainer.max_epochs == epochs

    def test_the_command_line_overrides(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        model = ["--model", "AdaptCLIPTraining", "--model.backbone", "tiny", "--model.pretrained", "seed-0"]
        model += ["--model.image_size", "56", "--optimizer", "SGD", "--optimizer.lr", "0.01"]
        data = ["--data", "QueryPromptDataModule", "--data.base", "SyntheticDefects", "--data.base_root", str(root)]
        data += ["--data.base_categories", "[gear]", "--data.base_args", json.dumps(FEW), "--data.num_workers", "0"]
        data += ["--data.holdout_categories", "[]", "--data.train_batch_size", "5"]
        trainer = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.devices", "1"]
        done = AnomalibCLI(["fit", *model, *data, *trainer])
        [optimizer] = done.engine.trainer.optimizers
        assert isinstance(optimizer, torch.optim.SGD)
        assert done.engine.trainer.num_training_batches == 2
        assert (
            tmp_path / "results/AdaptCLIPTraining/SyntheticDefects/v0/weights/lightning/adapters.safetensors"
        ).is_file()

    def test_another_data_module_is_refused(self, root: Path, engine: Callable[..., Engine]) -> None:
        with pytest.raises(TypeError, match="learns from pairs of queries and prompts and got MVTecAD"):
            engine().fit(tiny(), datamodule=MVTecAD(root, "gear", num_workers=0))

    def test_nothing_to_train(self, root: Path, engine: Callable[..., Engine]) -> None:
        with pytest.raises(ValueError, match="nothing to train"):
            engine().fit(tiny(adapter_names=[]), datamodule=pairs(root))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"mode": "alternate"}, "mode must be one of"),
            ({"mode": "joint", "adapter_names": ["visual"]}, "needs the visual and the textual adapter"),
            ({"adapter_names": ["vision"]}, r"Unknown adapters \['vision'\]"),
        ],
    )
    def test_wrong_ones(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            tiny(**options)


def test_the_summary_is_logged(root: Path, engine: Callable[..., Engine], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    engine().fit(tiny(), datamodule=pairs(root))
    assert "base: SyntheticDefects, 1 category (gear), 7 queries, 57% abnormal" in caplog.text
    assert "Epoch 0, target: zero shot image AUROC" in caplog.text
