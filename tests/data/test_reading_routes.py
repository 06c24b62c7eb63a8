# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Every kind of image file, through every route to the model: all see the same image, or refuse the same file."""

import csv
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.cli.cli import main as anomalib
from anomalib.data import Folder, ImageItem, PredictDataset
from anomalib.data.utils import read_image
from anomalib.engine import Engine
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import CenterCrop, Resize

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PredictFolder
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip_cli.main import main
from tests.files.image_rows import EIGHT, GREY, READ, REFUSED, Row, exif, picture, stored, write_rows

REPOSITORY = Path(__file__).parents[2]
SIZE = 56
OPTIONS: dict[str, Any] = {
    "backbone": "tiny",
    "image_size": SIZE,
    "post_processor": False,
    "visualizer": False,
    "evaluator": False,
}
SMALL = ("--backbone", "tiny", "--image_size", str(SIZE))

Scores = dict[str, float]
pytestmark = pytest.mark.filterwarnings("ignore:.*num_workers:UserWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files that can be read, and masks for a data module."""
    root = tmp_path_factory.mktemp("rows")
    write_rows(READ, root / "images")
    (root / "good").mkdir()
    Image.fromarray(EIGHT[::-1].copy()).save(root / "good" / "good.png")
    return root / "images"


@pytest.fixture(scope="module")
def model() -> AdaptCLIP:
    return AdaptCLIP(**OPTIONS)


@pytest.fixture(scope="module")
def scores(folder: Path, model: AdaptCLIP) -> Scores:
    """Scores of the predictor, given what the reader reads, which `tests/files/test_image_reader.py` has checked."""
    reader = ImageReader()
    return {row.name: score_of(model, reader.read(folder / row.name).unsqueeze(0)) for row in READ}


def score_of(model: AdaptCLIP, image: Any, *categories: str) -> float:
    return float(torch.as_tensor(AdaptCLIPPredictor(model)(image, categories).pred_score))


def engine(tmp_path: Path) -> Engine:
    return Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1, logger=False)


def by_engine(tmp_path: Path, model: AdaptCLIP, **given: Any) -> Scores:
    batches: Any = engine(tmp_path).predict(model=model, **given)
    return {
        Path(path).name: float(score)
        for batch in batches
        for path, score in zip(batch.image_path, batch.pred_score, strict=True)
    }


def from_table(path: Path) -> Scores:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return {Path(row["path"]).name: float(row["score"]) for row in csv.DictReader(file)}


def data_path(folder: Path, tmp_path: Path, model: AdaptCLIP) -> Scores:
    return by_engine(tmp_path, model, data_path=folder)


def dataset(folder: Path, tmp_path: Path, model: AdaptCLIP) -> Scores:
    return by_engine(tmp_path, model, dataset=PredictDataset(folder))


def loader_with_workers(folder: Path, tmp_path: Path, model: AdaptCLIP) -> Scores:
    files = PredictDataset(folder, transform=Resize((SIZE, SIZE), interpolation=3))
    loader = DataLoader(files, batch_size=5, num_workers=1, collate_fn=files.collate_fn)
    return by_engine(tmp_path, model, dataloaders=loader)


def data_module(folder: Path, tmp_path: Path, model: AdaptCLIP) -> Scores:
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in folder.iterdir():
        if path.name.isprintable():  # pandas takes no names that are not UTF-8
            (linked / path.name).symlink_to(path)
    good = folder.parent / "good"
    module = Folder(
        "rows", good, abnormal_dir=linked, normal_test_dir=good, val_split_mode="same_as_test", num_workers=0
    )
    return by_engine(tmp_path, model, datamodule=module)


def predict_folder(folder: Path, tmp_path: Path, model: AdaptCLIP) -> Scores:
    return by_engine(tmp_path, model, datamodule=PredictFolder(folder, batch_size=3))


def command(folder: Path, tmp_path: Path, model: AdaptCLIP) -> Scores:
    del model
    assert main(["predict", str(folder), str(tmp_path / "a.csv"), *SMALL]) == 0
    return from_table(tmp_path / "a.csv")


def stream(folder: Path, tmp_path: Path, model: AdaptCLIP) -> Scores:
    del tmp_path
    files = sorted(folder.iterdir())
    batches = AdaptCLIPPredictor(model).stream(files)
    return {
        Path(path).name: float(score)
        for paths, output in batches
        for path, score in zip(paths, torch.as_tensor(output.pred_score), strict=True)
    }


def paths(folder: Path, tmp_path: Path, model: AdaptCLIP) -> Scores:
    del tmp_path
    files = sorted(folder.iterdir())
    found: Any = AdaptCLIPPredictor(model)(files).pred_score
    return dict(zip([file.name for file in files], found.tolist(), strict=True))


ROUTES = [data_path, dataset, loader_with_workers, data_module, predict_folder, command, stream, paths]


@pytest.mark.parametrize("route", ROUTES)
def test_queries(route: Callable[..., Scores], folder: Path, tmp_path: Path, model: AdaptCLIP, scores: Scores) -> None:
    found = route(folder, tmp_path, model)
    expected = {name: score for name, score in scores.items() if name.isprintable() or route is not data_module}
    assert found.keys() - {"good.png"} == expected.keys()
    far = {name: (found[name], score) for name, score in expected.items() if abs(found[name] - score) > 1e-6}
    assert not far


def test_the_command_line_of_anomalib(folder: Path, tmp_path: Path, scores: Scores) -> None:
    arguments = ["predict", "--model", "AdaptCLIP", "--model.backbone", "tiny", "--model.image_size", str(SIZE)]
    options = ["--model.results", str(tmp_path / "a.csv"), "--model.visualizer", "false", "--data", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setattr("sys.argv", ["anomalib", *arguments, *options])
        anomalib()
    found = from_table(tmp_path / "a.csv")
    assert {name for name in scores if abs(found[name] - scores[name]) > 1e-6} == set()


@pytest.mark.parametrize(
    "row",
    [row for row in READ[::3] if row.name.isprintable()],
    ids=lambda row: row.name.encode(errors="replace").decode()[:24],
)
def test_prompts(row: Row, folder: Path, tmp_path: Path) -> None:
    query = ImageReader().read(folder.parent / "good" / "good.png").unsqueeze(0)
    image = ImageReader().read(folder / row.name)
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / row.name).symlink_to(folder / row.name)
    shots = AdaptCLIP(k_shot=1, few_shot_source=tmp_path / "good", **OPTIONS)
    found = score_of(shots, query)
    inputs = shots.image_input.preprocess(image[None])
    shots.model.prompt_memory.store(shots.model.prompt_memory.pack(shots.model.encode_prompts(inputs)))
    assert found == pytest.approx(score_of(shots, query), abs=1e-6)
    assert main(["bank-add", str(tmp_path / "bank"), "a", str(tmp_path / "good"), *SMALL]) == 0
    bank = AdaptCLIP(prompt_bank=tmp_path / "bank", **OPTIONS)
    assert score_of(bank, query, "a") == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("route", [*ROUTES, None])
@pytest.mark.parametrize("name", ["nan.tif", "signed32.tif", "truncated.jpg"])
def test_refusals(
    route: Callable[..., Scores] | None, name: str, tmp_path: Path, model: AdaptCLIP, capsys: Any
) -> None:
    (row,) = [row for row in REFUSED if row.name == name]
    (tmp_path / "good").mkdir()
    Image.fromarray(EIGHT).save(tmp_path / "good" / "good.png")
    (path,) = write_rows([row], tmp_path / "images")
    if route is command:
        with pytest.raises(SystemExit):
            route(path.parent, tmp_path, model)
        message = capsys.readouterr().err
    elif route is None:
        with pytest.raises(ValueError, match="Cannot read the image") as caught:
            AdaptCLIP(k_shot=1, few_shot_source=path, **OPTIONS)
        message = str(caught.value)
    else:
        with pytest.raises(ValueError, match="Cannot read the image") as caught:
            route(path.parent, tmp_path, model)
        message = str(caught.value)
    assert f"{path.name}: " in message
    assert row.refusal in message


def test_other_models_read_as_before(folder: Path, tmp_path: Path, model: AdaptCLIP) -> None:
    files = PredictDataset(folder)
    by_engine(tmp_path, model, dataset=files)
    assert "__getitems__" not in vars(files)
    assert sys.modules["anomalib.data.predict"].read_image is read_image


def test_an_error_puts_the_reading_back(tmp_path: Path, model: AdaptCLIP) -> None:
    (row,) = [row for row in REFUSED if row.name == "nan.tif"]
    write_rows([row], tmp_path / "images")
    files = PredictDataset(tmp_path / "images")
    with pytest.raises(ValueError, match="not finite"):
        by_engine(tmp_path, model, dataset=files)
    assert "__getitems__" not in vars(files)


# Augmentations


@pytest.fixture(params=["8 bits", "16 bits", "turned"])
def cropped(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A data module whose images have their scratch at the border, which a crop removes, as masks or not."""
    kinds: dict[str, Callable[[Path], None]] = {
        "8 bits": lambda path: Image.fromarray(EIGHT).save(path),
        "16 bits": lambda path: Image.fromarray(picture(65536)[..., 0]).save(path),
        "turned": lambda path: Image.fromarray(stored(EIGHT, 6)).save(path, exif=exif(6)),
    }
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        kinds[request.param](tmp_path / name / "a.png")
    mask = np.zeros(EIGHT.shape[:2], dtype=np.uint8)
    mask[5:8, 10:40] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    return Folder(
        "cropped",
        tmp_path / "good",
        abnormal_dir=tmp_path / "bad",
        mask_dir=tmp_path / "masks",
        normal_test_dir=tmp_path / "good",
        augmentations=CenterCrop(20),
        val_split_mode="same_as_test",
        num_workers=0,
    )


def test_augmentations_change_images_and_masks_alike(cropped: Folder, tmp_path: Path, model: AdaptCLIP) -> None:
    whole = ImageReader().read(tmp_path / "bad" / "a.png")
    expected = score_of(model, CenterCrop(20)(whole)[None])
    batches: Any = engine(tmp_path).predict(model=model, datamodule=cropped)
    scores = [float(score) for batch in batches for score in batch.pred_score]
    assert scores == pytest.approx([expected] * 2, abs=1e-6)
    assert not any(batch.gt_mask.any() for batch in batches if batch.gt_mask is not None)


def test_prompts_are_augmented_like_test_images(cropped: Folder, tmp_path: Path) -> None:
    shots = AdaptCLIP(k_shot=1, few_shot_source=tmp_path / "good", **OPTIONS)
    batches: Any = engine(tmp_path).predict(model=shots, datamodule=cropped)
    drawn = AdaptCLIP(k_shot=1, **OPTIONS)
    others: Any = engine(tmp_path).predict(model=drawn, datamodule=cropped)
    whole = ImageReader().read(tmp_path / "good" / "a.png")
    image = shots.image_input.preprocess(CenterCrop(20)(whole)[None])
    packed = shots.model.prompt_memory.pack(shots.model.encode_prompts(image))
    torch.testing.assert_close(shots.model.prompt_memory.state_dict(), drawn.model.prompt_memory.state_dict())
    shots.model.prompt_memory.store(packed)
    torch.testing.assert_close(shots.model.prompt_memory.state_dict(), drawn.model.prompt_memory.state_dict())
    assert [float(b.pred_score[0]) for b in batches] == pytest.approx(
        [float(b.pred_score[0]) for b in others], abs=1e-6
    )


# Images in memory


class InMemory(Dataset[ImageItem]):
    """Items that other code has made."""

    def __init__(self, images: list[torch.Tensor], path: str | None) -> None:
        self.items = [ImageItem(image=image, image_path=path) for image in images]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> ImageItem:
        return self.items[index]


@pytest.mark.parametrize("named", [True, False])
def test_images_in_memory_are_not_read_again(named: bool, tmp_path: Path, model: AdaptCLIP) -> None:
    Image.fromarray(picture(65536)[..., 0]).save(tmp_path / "a.png")
    whole = ImageReader().read(tmp_path / "a.png")
    crops = [whole[:, :20, :20], whole[:, 20:40, 20:40], whole.flip(2)[:, :20, :20]]
    data = InMemory(crops, str(tmp_path / "a.png") if named else None)
    loader = DataLoader(data, batch_size=3, collate_fn=PredictDataset(tmp_path).collate_fn)
    batches: Any = engine(tmp_path).predict(model=model, dataloaders=loader)
    expected: Any = AdaptCLIPPredictor(model)(torch.stack(crops)).pred_score
    torch.testing.assert_close(torch.as_tensor(batches[0].pred_score).cpu(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("image", [torch.full((3, 20, 20), 200.0), torch.full((3, 20, 20), torch.nan)])
def test_images_out_of_range_are_refused(image: torch.Tensor, tmp_path: Path, model: AdaptCLIP) -> None:
    Image.fromarray(EIGHT).save(tmp_path / "a.png")
    loader = DataLoader(InMemory([image], None), collate_fn=PredictDataset(tmp_path).collate_fn)
    with pytest.raises(ValueError, match=r"must be a tensor of floats \(B, 3, H, W\) in \[0, 1\]; got values from"):
        engine(tmp_path).predict(model=model, dataloaders=loader)
    with pytest.raises(ValueError, match="got values from"):
        model(image[None])


def test_a_white_level_holds_everywhere(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(GREY.astype(np.uint16) * 16).save(tmp_path / "images" / "a.png")
    Image.fromarray(GREY).save(tmp_path / "eight.png")
    model = AdaptCLIP(white_level=255 * 16, k_shot=1, few_shot_source=tmp_path / "images", **OPTIONS)
    plain = AdaptCLIP(k_shot=1, few_shot_source=tmp_path / "eight.png", **OPTIONS)
    expected = score_of(plain, tmp_path / "eight.png")
    routes = (data_path, predict_folder, stream, paths)
    assert [route(tmp_path / "images", tmp_path, model)["a.png"] for route in routes] == pytest.approx(
        [expected] * 4, abs=1e-6
    )
    assert main(["predict", str(tmp_path / "images"), str(tmp_path / "b.csv"), *SMALL, "--white_level", "4080"]) == 0
    zero_shot = score_of(AdaptCLIP(**OPTIONS), tmp_path / "eight.png")
    assert from_table(tmp_path / "b.csv")["a.png"] == pytest.approx(zero_shot, abs=1e-6)


# The page


def test_the_page_has_a_row_for_each_file() -> None:
    page = (REPOSITORY / "docs" / "images.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([\w.]+\.(?:png|jpg|tif|webp|bmp|ppm|pgm))`", page))
    files = {row.name for row in [*READ, *REFUSED] if row.name.isascii() and re.fullmatch(r"[a-z0-9_.]+", row.name)}
    files = {name for name in files if not re.match("orientation_[2-8]|long", name)}
    assert files <= listed
    assert {name for name in listed if not name.startswith("orientation")} <= files
