# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""As many pictures as images, in the folder of the run that drew them."""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.data import Folder, ImageBatch, ImageItem, PredictDataset
from anomalib.engine import Engine
from anomalib.visualization import ImageVisualizer
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPTraining, PredictFolder
from anomalib_adaptclip.results.visualizer import AdaptCLIPVisualizer

WriteImages = Callable[..., Path]


def tiny(**options: Any) -> AdaptCLIP:
    return AdaptCLIP(backbone="tiny", pretrained="seed-0", image_size=56, **options)


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., Engine]:
    quiet: dict[str, Any] = {"enable_progress_bar": False}
    return lambda name="results": Engine(default_root_dir=tmp_path / name, accelerator="cpu", devices=1, **quiet)


@pytest.fixture
def bank_layout(write_images: WriteImages, tmp_path: Path) -> Path:
    """Equal names in folders of categories."""
    for category in "ab":
        write_images(f"parts/{category}/mon", 2)
    return tmp_path / "parts"


def pictures(engine: Engine, folder: str = "images") -> list[str]:
    root = Path(engine.trainer.default_root_dir) / folder
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))


IN_BANK = ["a/mon/000.png", "a/mon/001.png", "b/mon/000.png", "b/mon/001.png"]


@pytest.mark.parametrize("route", ["data_path", "dataset", "dataloaders", "PredictFolder"])
def test_equal_names_in_several_folders(route: str, bank_layout: Path, engine: Any) -> None:
    one, dataset = engine(), PredictDataset(bank_layout)
    if route == "PredictFolder":
        one.predict(tiny(), datamodule=PredictFolder(bank_layout, batch_size=3))
    else:
        loader = DataLoader(dataset, collate_fn=dataset.collate_fn)
        one.predict(tiny(), **{route: {"data_path": bank_layout, "dataset": dataset, "dataloaders": loader}[route]})
    assert pictures(one) == IN_BANK


def test_the_path_below_the_predicted_folder_is_kept_where_the_data_says_it(bank_layout: Path, engine: Any) -> None:
    shutil.rmtree(bank_layout / "b")
    one = engine()
    one.predict(tiny(), datamodule=PredictFolder(bank_layout))
    assert pictures(one) == IN_BANK[:2]


def test_several_data_loaders(bank_layout: Path, engine: Any) -> None:
    datasets = [PredictDataset(bank_layout / name) for name in "ab"]
    one = engine()
    one.predict(tiny(), dataloaders=[DataLoader(data, collate_fn=data.collate_fn) for data in datasets])
    assert pictures(one) == IN_BANK


@pytest.mark.parametrize("root", [None, "root"])
def test_train_draws_what_it_tests(root: str | None, write_images: WriteImages, engine: Any, tmp_path: Path) -> None:
    for name, count in (("good", 3), ("other", 2), ("bad", 2)):
        write_images(f"root/{name}", count)
    below = tmp_path / "root"
    folders = {"normal_dir": "good", "normal_test_dir": "other", "abnormal_dir": "bad"}
    places: dict[str, Any] = folders if root else {key: below / name for key, name in folders.items()}
    data = Folder("mine", root=below if root else None, num_workers=0, val_split_mode="same_as_test", **places)
    one = engine()
    one.train(tiny(k_shot=1), datamodule=data)
    assert pictures(one) == ["bad/000.png", "bad/001.png", "other/000.png", "other/001.png"]


def test_one_model_in_several_runs(write_images: WriteImages, engine: Any) -> None:
    """Each engine has its folder, and each run of an engine too."""
    model, first, second = tiny(), engine("first"), engine("second")
    one, two = write_images("one", 1), write_images("two", 2)
    first.predict(model, data_path=one)
    second.predict(model, data_path=two)
    first.predict(model, data_path=two)
    assert pictures(first) == ["000.png"]
    assert pictures(second) == pictures(first, "images-2") == ["000.png", "001.png"]


def test_a_model_without_pictures_after_one_with_them(write_images: WriteImages, engine: Any) -> None:
    """The trainer keeps the visualizer of the first model."""
    one, queries = engine(), write_images("query", 1)
    one.predict(tiny(), data_path=queries)
    one.predict(tiny(visualizer=False), data_path=queries)
    assert pictures(one) == ["000.png"]
    assert pictures(one, "images-2") == []


class InMemory(torch.utils.data.Dataset[ImageItem]):
    """Images that are no files."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> ImageItem:
        return ImageItem(image=torch.full((3, 56, 56), index / 3))


def test_images_without_a_path(engine: Any) -> None:
    one = engine()
    one.predict(tiny(), dataloaders=DataLoader(InMemory(), collate_fn=ImageBatch.collate, batch_size=2))
    assert pictures(one) == ["image-1.png", "image-2.png", "image-3.png"]


def test_the_last_line_of_the_log_tells_where_they_are(
    write_images: WriteImages, engine: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO):
        engine().predict(tiny(results=tmp_path / "table.csv"), data_path=write_images("query", 3))
    assert caplog.messages[-1] == "3 pictures: results/AdaptCLIP/latest/images"


def test_a_given_folder(write_images: WriteImages, engine: Any, tmp_path: Path) -> None:
    model = tiny(visualizer=AdaptCLIPVisualizer(output_dir=tmp_path / "here", fields=["image"]))
    engine().predict(model, data_path=write_images("query", 2))
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["000.png", "001.png"]


def test_a_full_disk_ends_the_run_with_its_name(
    write_images: WriteImages, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    queries = write_images("query", 1)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"images/000.png' cannot be written: No space left on device"):
        engine().predict(tiny(), data_path=queries)


@pytest.mark.parametrize("model", [AdaptCLIP, AdaptCLIPTraining])
def test_it_is_the_default_of_both_models(model: type[AdaptCLIP]) -> None:
    built = model(backbone="tiny", pretrained="seed-0", image_size=56, visualizer=True)
    assert isinstance(built.visualizer, AdaptCLIPVisualizer)


def test_anomalibs_own_can_be_given() -> None:
    own: Any = ImageVisualizer()
    assert tiny(visualizer=own).visualizer is own


def test_processes_share_the_folder_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path / "second")
    monkeypatch.setattr(trainer.strategy, "broadcast", lambda _: tmp_path / "first")
    monkeypatch.setattr(Trainer, "is_global_zero", False)
    model = tiny()
    visualizer: Any = model.visualizer
    visualizer.on_predict_start(trainer, model)
    assert visualizer._pictures.folder == tmp_path / "first"
    assert not (tmp_path / "second").exists()
