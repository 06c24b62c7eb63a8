# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Explanations tell what a prediction is made of, and which good patch comes nearest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, AdaptCLIPPredictor
from anomalib_adaptclip.model.explanation import components
from anomalib_adaptclip.model.fusion import Prediction, fuse
from anomalib_adaptclip.results.explanation import Explanation
from anomalib_adaptclip.results.geometry import FileGeometry

Golden = dict[str, torch.Tensor]

SIZE = (300, 400)  # of the photos
SPOT = (120, 180, 180, 240)  # left, top, right, bottom


def paint(path: Path, seed: int, spot: tuple[int, int, int, int] | None = None, shade: int = 230) -> Path:
    """Write a photo of smooth noise, perhaps with a spot."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(Image.fromarray(rng.integers(90, 120, (15, 20), dtype=np.uint8)).resize(SIZE[::-1]))
    pixels = np.stack([pixels] * 3, axis=-1)
    if spot:
        pixels[spot[1] : spot[3], spot[0] : spot[2]] = (shade, 30, 30)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def predictor(folder: Path, shots: int, **options: Any) -> AdaptCLIPPredictor:
    for index in range(shots):
        paint(folder / "good" / f"{index}.png", index)
    return AdaptCLIPPredictor(
        AdaptCLIP(k_shot=shots, few_shot_source=folder / "good", backbone="tiny", visualizer=False, **options)
    )


def explain(model: AdaptCLIPPredictor, path: Path) -> Explanation:
    """Explain in pixels of the file."""
    [found] = model.explain(path)
    return found.in_file(model.geometry.of(SIZE, found.anomaly_map.shape))  # type: ignore[arg-type]


def overlap(box: Any, other: tuple[int, int, int, int]) -> bool:
    return bool(box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3])


@pytest.mark.parametrize("is_few_shot", [False, True])
def test_the_parts_are_those_of_the_prediction(golden_model: AdaptCLIPModel, golden: Golden, is_few_shot: bool) -> None:
    if is_few_shot:
        golden_model.set_prompts(golden["prompt"])
    output: Any = golden_model(golden["query"])
    for index, found in enumerate(golden_model.explain(golden["query"])):
        torch.testing.assert_close(found.anomaly_map, output.anomaly_map[index, 0])
        assert found.score == pytest.approx(float(output.pred_score[index]), abs=1e-6)
        parts = {
            name: Prediction(torch.tensor([found.scores[name]]), found.maps[name][None, None]) for name in found.maps
        }
        alignment = None if found.alignment is None else found.alignment[None, None]
        assert (alignment is not None) == is_few_shot
        torch.testing.assert_close(fuse(parts, alignment, "published").anomaly_map[0, 0], found.anomaly_map)


def test_a_painted_square_is_the_top_region(tmp_path: Path) -> None:
    model = predictor(tmp_path, 2, calibration="normal")
    first, *_ = explain(model, paint(tmp_path / "new.png", 9, SPOT)).regions
    assert overlap(first.patch, SPOT)
    assert overlap(first.box, SPOT)
    assert first.score > model.model.calibrator.record.thresholds.pixel  # type: ignore[union-attr]
    assert first.distance is not None
    assert 0 < first.distance < 2
    assert first.layer in model.model.model.layers


def test_the_nearest_good_patch_is_found_in_its_file(tmp_path: Path) -> None:
    """One of the good photos has such a square, somewhere else."""
    elsewhere = (280, 60, 340, 120)
    model = predictor(tmp_path, 2)
    paint(tmp_path / "good" / "1.png", 1, elsewhere)
    model = AdaptCLIPPredictor(
        AdaptCLIP(k_shot=2, few_shot_source=tmp_path / "good", backbone="tiny", visualizer=False)
    )
    regions = explain(model, paint(tmp_path / "new.png", 9, SPOT, shade=200)).regions
    [spot] = [region for region in regions if overlap(region.patch, SPOT)][:1]
    assert Path(spot.prompt_file).name == "1.png"
    assert overlap(spot.prompt_box, elsewhere)


def test_a_good_photo_of_its_own_is_at_no_distance(tmp_path: Path) -> None:
    model = predictor(tmp_path, 2)
    first = explain(model, tmp_path / "good" / "1.png").regions[0]
    assert first.distance == pytest.approx(0, abs=1e-5)
    assert Path(first.prompt_file).name == "1.png"
    assert first.prompt_box == first.patch


def test_a_budget_keeps_no_positions(tmp_path: Path) -> None:
    first = explain(predictor(tmp_path, 2, prompt_budget=100), paint(tmp_path / "new.png", 9, SPOT)).regions[0]
    assert first.distance is not None
    assert (first.shot, first.prompt_file, first.prompt_box) == (None, "", None)


def test_zero_shot_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    model = AdaptCLIPPredictor(AdaptCLIP(backbone="tiny", visualizer=False))
    found = explain(model, paint(tmp_path / "new.png", 9, SPOT))
    assert found.alignment is None
    assert {(region.patch, region.distance, region.prompt_box) for region in found.regions} == {(None, None, None)}


def test_a_good_photo_that_has_gone_is_named_still(tmp_path: Path) -> None:
    model = predictor(tmp_path, 1)
    (tmp_path / "good" / "0.png").unlink()
    first = explain(model, paint(tmp_path / "new.png", 9, SPOT)).regions[0]
    assert (Path(first.prompt_file).name, first.prompt_box) == ("0.png", None)


def test_a_prompt_bank_explains_with_the_prompts_of_the_category(
    write_images: Callable[..., Path], tmp_path: Path
) -> None:
    maker = AdaptCLIP(backbone="tiny", pretrained="seed-0", image_size=56, visualizer=False)
    from anomalib_adaptclip.prompts.bank import PromptBank  # noqa: PLC0415

    bank = PromptBank(maker.model, "tiny")
    images = maker.read_images(sorted(write_images("a", 2).iterdir()))
    bank.add("a", images[:1])
    bank.add("b", images[1:])
    bank.save(tmp_path / "bank.safetensors")
    model = AdaptCLIP(
        backbone="tiny", pretrained="seed-0", image_size=56, visualizer=False, prompt_bank=tmp_path / "bank.safetensors"
    )
    own, other = model.explain(images[:1].repeat(2, 1, 1, 1), ["a", "b"])
    assert own.regions[0].distance == pytest.approx(0, abs=1e-5)
    assert (other.regions[0].distance or 0) > 1e-4
    assert own.regions[0].prompt_file == ""
    with pytest.raises(ValueError, match="category"):
        model.explain(images)


def test_components_are_those_of_the_largest_values() -> None:
    values = torch.zeros(8, 8)
    for index, (row, column) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        values[row : row + 2, column : column + 2] = 0.5 + index / 10
    found = components(values, 0.4)
    assert [float(values[part].max()) for part in found] == pytest.approx([0.8, 0.7, 0.6])
    assert [float(values[part].max()) for part in components(values, 0.9)] == pytest.approx([0.8, 0.7, 0.6])
    assert components(torch.zeros(4, 4), None)[0].all()


def test_regions_beside_the_file_are_left_out(tmp_path: Path) -> None:
    found = explain(predictor(tmp_path, 1), paint(tmp_path / "new.png", 9, SPOT))
    geometry = FileGeometry().of(SIZE, (100, 100))
    shifted = geometry._replace(across=geometry.across._replace(offset=10_000))
    assert found.in_file(shifted).regions == ()
