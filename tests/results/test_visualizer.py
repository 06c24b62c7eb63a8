# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""As many pictures as images, in the folder of the run that drew them."""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.data import Folder, ImageBatch, ImageItem, PredictDataset
from anomalib.engine import Engine
from anomalib.visualization import ImageVisualizer
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import CenterCrop, RandomHorizontalFlip

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


def drawn(monkeypatch: pytest.MonkeyPatch, function: str = "render_picture") -> list[tuple[Any, ...]]:
    """Arguments of the pictures that are drawn from now on."""
    calls: list[tuple[Any, ...]] = []

    def draw(*arguments: Any, **facts: Any) -> Image.Image:
        calls.append((*arguments, facts))
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(f"anomalib_adaptclip.results.visualizer.{function}", draw)
    return calls


def test_a_run_has_one_scale_and_the_thresholds_that_it_found(
    write_images: WriteImages, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = drawn(monkeypatch)
    model = tiny(k_shot=2, few_shot_source=write_images("good", 2), calibration="normal")
    engine().predict(model, data_path=write_images("query", 3))
    record: Any = model.calibrator and model.calibrator.record
    scales = {call[2] for call in calls}
    assert len(calls) == 3
    assert [scale.threshold for scale in scales] == pytest.approx([record.thresholds.pixel], abs=1e-6)
    assert [scale.typical for scale in scales] == pytest.approx([record.pixel.typical])
    assert calls[0][3].threshold == pytest.approx(record.thresholds.image, abs=1e-6)


def test_maps_and_scores_are_raw(write_images: WriteImages, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = drawn(monkeypatch)
    model = tiny(k_shot=2, few_shot_source=write_images("good", 2), calibration="normal")
    queries = write_images("query", 1)
    engine().predict(model, data_path=queries)
    raw: Any = model.detect(model.image_input.read(sorted(queries.iterdir())))
    torch.testing.assert_close(calls[0][1], raw.anomaly_map[0, 0], atol=1e-5, rtol=0)
    assert calls[0][3].score == pytest.approx(float(raw.pred_score[0]), abs=1e-5)


def test_without_calibration_there_is_no_verdict(
    write_images: WriteImages, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = drawn(monkeypatch)
    engine().predict(tiny(), data_path=write_images("query", 1))
    [(_, _, scale, verdict, _)] = calls
    assert (scale.threshold, verdict.threshold, verdict.is_abnormal) == (None, None, None)


@pytest.mark.parametrize("explain", [False, True])
def test_the_region_of_interest_is_shown(
    explain: bool, write_images: WriteImages, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = drawn(monkeypatch, "render_explanation" if explain else "render_picture")
    model = tiny(roi=[0, 0, 0.5, 1], visualizer=AdaptCLIPVisualizer(explain=explain))
    engine().predict(model, data_path=write_images("query", 1))
    region = calls[0][-1]["region"]
    assert region[:, :512].all()
    assert not region[:, 512:].any()


def test_deep_images_are_drawn_in_their_own_range(engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = drawn(monkeypatch)
    (tmp_path / "query").mkdir()
    Image.fromarray(np.full((40, 48), 2048, np.uint16)).save(tmp_path / "query" / "0.png")
    engine().predict(tiny(white_level=4096), data_path=tmp_path / "query")
    torch.testing.assert_close(calls[0][0], torch.full((3, 40, 48), 0.5))


def test_ground_truth_is_shown_where_it_is(
    write_images: WriteImages, engine: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    for name in ("good", "bad"):
        write_images(f"root/{name}", 2)
    (tmp_path / "root" / "mask").mkdir()
    for index in range(2):
        mask = np.zeros((40, 48), np.uint8)
        mask[:20] = 255
        Image.fromarray(mask).save(tmp_path / "root" / "mask" / f"{index:03}.png")
    data = Folder(
        "mine", root=tmp_path / "root", normal_dir="good", abnormal_dir="bad", mask_dir="mask", num_workers=0,
        val_split_mode="same_as_test", normal_split_ratio=0.5,
    )  # fmt: skip
    calls = drawn(monkeypatch)
    engine().test(tiny(), datamodule=data)
    shares = [float(call[4]["truth"].mean()) for call in calls if "bad" in call[4]["name"]]
    assert shares == pytest.approx([0.5, 0.5], abs=0.02)
    assert None not in {call[3].threshold for call in calls}  # found by labels, before the test


def test_maps_lie_where_the_crop_was(write_images: WriteImages, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = drawn(monkeypatch)
    dataset = PredictDataset(write_images("query", 1))
    dataset.transform = CenterCrop((20, 24))
    engine().predict(tiny(), dataloaders=DataLoader(dataset, collate_fn=dataset.collate_fn))
    photo, _, _, _, facts = calls[0]
    assert photo.shape == (3, 40, 48)
    assert facts["geometry"].box_to_file(0, 0, 56, 56) == (12, 10, 36, 30)


def test_turned_images_are_shown_as_the_model_sees_them(
    write_images: WriteImages, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = drawn(monkeypatch)
    dataset = PredictDataset(write_images("query", 1))
    dataset.transform = RandomHorizontalFlip(1)
    engine().predict(tiny(), dataloaders=DataLoader(dataset, collate_fn=dataset.collate_fn))
    photo, _, _, _, facts = calls[0]
    assert (photo.shape, facts["geometry"]) == ((3, 56, 56), None)


def test_images_in_memory_are_shown_without_normalisation(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = drawn(monkeypatch)
    engine().predict(tiny(), dataloaders=DataLoader(InMemory(), collate_fn=ImageBatch.collate, batch_size=3))
    levels = [float(call[0].mean()) for call in calls]
    assert levels == pytest.approx([0, 1 / 3, 2 / 3], abs=1e-3)


def test_names_are_those_below_the_folder(bank_layout: Path, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = drawn(monkeypatch)
    engine().predict(tiny(), data_path=bank_layout)
    assert [call[4]["name"] for call in calls] == IN_BANK


def test_other_models_do_not_explain() -> None:
    visualizer = AdaptCLIPVisualizer(explain=True)
    model = SimpleNamespace(visualizer=visualizer)
    with pytest.raises(ValueError, match="Only AdaptCLIP explains its predictions; got SimpleNamespace"):
        visualizer.on_test_start(SimpleNamespace(), model)  # type: ignore[arg-type]


def test_pictures_explain(write_images: WriteImages, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    visualizer = AdaptCLIPVisualizer(explain=True)
    model = tiny(k_shot=1, few_shot_source=write_images("good", 1), visualizer=visualizer)
    one = engine()
    one.predict(model, data_path=write_images("query", 2))
    with Image.open(Path(one.trainer.default_root_dir) / "images" / pictures(one)[0]) as picture:
        assert picture.height > 800  # maps of the adapters, and the nearest good patch
    calls = drawn(monkeypatch, "render_explanation")
    one.predict(model, data_path=write_images("more", 1, size=(80, 96)))
    region = calls[0][1].regions[0]
    assert Path(region.prompt_file).name == "000.png"


@pytest.mark.parametrize(("options", "is_ours"), [({}, True), ({"fields": ["image"]}, False)])
def test_the_command_line_gives_the_defaults_of_anomalibs_arguments(options: dict[str, Any], is_ours: bool) -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(AdaptCLIPVisualizer, "visualizer")
    config = parser.parse_object({"visualizer": {"explain": True, **options}})
    made = parser.instantiate_classes(config).visualizer
    made.visualize = lambda _: Image.new("RGB", (8, 8))
    picture = made.render(ImageItem(image=torch.zeros(3, 56, 56), anomaly_map=torch.zeros(56, 56)))
    assert made.explain
    assert (picture.size != (8, 8)) == is_ours


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
