# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command line, from a bare install: what users type."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from anomalib.cli.cli import AnomalibCLI
from anomalib.models import get_model, list_models

from anomalib_adaptclip import AbnormalFolder, AdaptCLIP, SyntheticDefects
from anomalib_adaptclip.data.catalogue import find_data_configs
from tests.data.miniatures import LAYOUTS

SMALL = ("--model.backbone", "tiny", "--model.image_size", "112")
CPU = ("--trainer.accelerator", "cpu", "--trainer.devices", "1")

pytestmark = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create:UserWarning",  # anomalib's data modules ask for 8 workers
    "ignore:`log_model=True` is deprecated:FutureWarning",
)


@pytest.fixture(scope="module")
def marble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in MVTec AD layout."""
    root = tmp_path_factory.mktemp("data")
    SyntheticDefects(
        root, "marble", num_train_images=4, num_normal_test_images=3, num_images_per_defect=1
    ).prepare_data()
    return root


@pytest.fixture
def anomalib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AnomalibCLI]:
    """The `anomalib` command, run inside this process in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: AnomalibCLI([str(arg) for arg in args])


def mvtec(root: Path) -> tuple[str, ...]:
    return ("--data", "MVTecAD", "--data.root", str(root), "--data.category", "marble", "--data.num_workers", "0")


def pictures(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.rglob("images/**/*.png"))


def test_train_then_predict_from_the_checkpoint(
    anomalib: Callable[..., AnomalibCLI], marble: Path, tmp_path: Path
) -> None:
    trained = anomalib("train", "--model", "AdaptCLIP", "--model.k_shot", 1, *SMALL, *mvtec(marble), *CPU)
    metrics = trained.engine.trainer.callback_metrics
    names = {f"image_{name}" for name in ("AUROC", "AUPR", "F1Max")}
    assert set(metrics) == names | {f"pixel_{name}" for name in ("AUROC", "AUPR", "F1Max", "AUPRO")}
    assert all(0 <= value <= 1 for value in metrics.values())

    [checkpoint] = tmp_path.rglob("model.ckpt")
    folder = marble / "marble" / "test" / "stain"
    done = anomalib("predict", "--model", "AdaptCLIP", *SMALL, "--data", folder, "--ckpt_path", checkpoint, *CPU)
    assert isinstance(done.model, AdaptCLIP)
    assert isinstance(trained.model, AdaptCLIP)
    assert done.model.prompt_files == trained.model.prompt_files != []
    assert len(pictures(tmp_path)) > 0


def test_a_data_set_of_the_paper_by_its_file(anomalib: Callable[..., AnomalibCLI], tmp_path: Path) -> None:
    """One-shot where nothing is normal: the prompt is one of the images under test."""
    LAYOUTS["kvasir"](tmp_path / "polyps")
    data = ("--data", find_data_configs() / "kvasir.yaml", "--data.init_args.root", "polyps")
    done = anomalib("test", "--model", "AdaptCLIP", "--model.k_shot", 1, *SMALL, *data, "--data.num_workers", 0, *CPU)
    assert isinstance(done.datamodule, AbnormalFolder)
    [prompt] = done.model.prompt_files
    assert prompt in set(done.datamodule.test_data.samples.image_path)
    assert 0 < done.engine.trainer.callback_metrics["pixel_AUPR"] <= 1


def test_predict_on_a_folder_alone(anomalib: Callable[..., AnomalibCLI], marble: Path, tmp_path: Path) -> None:
    """Zero-shot, without checkpoint or data module; then with good images beside it."""
    folder, good = marble / "marble" / "test" / "good", marble / "marble" / "train" / "good"
    zero_shot = anomalib("predict", "--model", "AdaptCLIP", *SMALL, "--data", folder, *CPU)
    assert len(pictures(tmp_path)) == 3
    assert zero_shot.model.model.prompt_memory.k_shot == 0
    few_shot = anomalib(
        "predict",
        "--model",
        "AdaptCLIP",
        "--model.k_shot",
        4,
        "--model.few_shot_source",
        good,
        *SMALL,
        "--data",
        folder,
        *CPU,
    )
    assert few_shot.model.model.prompt_memory.k_shot == 4


@pytest.mark.parametrize("subcommand", ["fit", "train"])
def test_good_images_alone(subcommand: str, anomalib: Callable[..., AnomalibCLI], marble: Path, tmp_path: Path) -> None:
    """A checkpoint with prompts and thresholds, from which prediction and export work."""
    good, queries = marble / "marble" / "train" / "good", marble / "marble" / "test"
    data = ("--data", "Folder", "--data.name", "mine", "--data.normal_dir", good, "--data.num_workers", 0)
    options = ("--model.k_shot", 4, "--model.calibration", "normal")
    trained = anomalib(subcommand, "--model", "AdaptCLIP", *options, *SMALL, *data, *CPU)
    [checkpoint] = tmp_path.rglob("model.ckpt")
    assert len(set(trained.model.prompt_files)) == 4
    from_it = ("--model", "AdaptCLIP", *SMALL, "--ckpt_path", checkpoint)
    predicted = anomalib("predict", *from_it, "--data", queries, *CPU)
    assert predicted.model.prompt_files == trained.model.prompt_files
    assert predicted.model.post_processor.image_threshold == trained.model.post_processor.image_threshold
    assert len(pictures(tmp_path)) == len([*queries.rglob("*.png")])
    exported = anomalib("export", *from_it, "--export_type", "torch")
    assert exported.model is not None
    assert [*tmp_path.rglob("model.pt")] != []


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test"])
@pytest.mark.parametrize("k_shot", [0, 1])
def test_other_subcommands(anomalib: Callable[..., AnomalibCLI], marble: Path, subcommand: str, k_shot: int) -> None:
    done = anomalib(subcommand, "--model", "AdaptCLIP", "--model.k_shot", k_shot, *SMALL, *mvtec(marble), *CPU)
    assert isinstance(done.model, AdaptCLIP)
    assert done.model.post_processor is not None
    assert done.model.post_processor.image_threshold.isfinite()


def test_names_resolve() -> None:
    assert "adapt_c_l_i_p" in list_models()
    assert "AdaptCLIP" in list_models(case="pascal")
    for model in (
        "AdaptCLIP",
        "adaptclip",
        {"class_path": "AdaptCLIP"},
        {"class_path": "anomalib_adaptclip.AdaptCLIP"},
    ):
        assert isinstance(get_model(model, backbone="tiny"), AdaptCLIP)


def test_every_configuration_runs(configuration: Path, anomalib: Callable[..., AnomalibCLI], tmp_path: Path) -> None:
    """As it stands; the benchmark is one of anomalib's pipelines."""
    if configuration.stem == "benchmark":
        anomalib("benchmark", "--config", configuration)
        [results] = tmp_path.rglob("results.csv")
        rows = list(csv.DictReader(results.read_text().splitlines()))
        assert [row["model.init_args.k_shot"] for row in rows] == ["0", "0", "1", "1"]
        assert all(float(row["pixel_AUROC"]) >= 0.9 for row in rows[2:])
        return
    done = anomalib("train", "--config", configuration)
    assert done.engine.trainer.callback_metrics["pixel_AUROC"] >= 0.9
    assert pictures(tmp_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "configuration" in metafunc.fixturenames:
        configs = Path(__file__).parents[2] / "configs"
        # test_ablation, comparison/test_compare, data/test_data_sets and training/test_configs run these
        folders = ("ablation", "compare", "data", "training")
        others = {path for folder in folders for path in (configs / folder).rglob("*.yaml")}
        files = sorted({*configs.rglob("*.yaml")} - others)
        metafunc.parametrize("configuration", files, ids=[file.stem for file in files])


def test_the_real_command_finds_the_model(marble: Path, tmp_path: Path) -> None:
    """Nothing imports the plugin here but its start-up file."""
    folder = marble / "marble" / "test" / "stain"
    command = [
        str(Path(sys.executable).parent / "anomalib"),
        "predict",
        "--model",
        "AdaptCLIP",
        *SMALL,
        "--data",
        str(folder),
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (result.stdout + result.stderr).count("Nothing was calibrated") == 1
    assert len(pictures(tmp_path)) == 1


def test_an_error_reaches_the_user(anomalib: Callable[..., AnomalibCLI], marble: Path) -> None:
    with pytest.raises(ValueError, match="k_shot must be 0 for zero-shot, or the number of normal images; got -1"):
        anomalib("predict", "--model", "AdaptCLIP", "--model.k_shot", -1, *SMALL, "--data", marble, *CPU)


def test_results_are_the_same_by_command_and_by_api(
    anomalib: Callable[..., AnomalibCLI], marble: Path, tmp_path: Path
) -> None:
    done = anomalib("train", "--model", "AdaptCLIP", "--model.k_shot", 1, *SMALL, *mvtec(marble), *CPU)
    [checkpoint] = tmp_path.rglob("model.ckpt")
    loaded = AdaptCLIP.load_from_checkpoint(checkpoint).eval()
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded(images), done.model.eval()(images))
