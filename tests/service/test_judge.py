# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a worker answers: the predictor's own figures, and refusals by name."""

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi import HTTPException
from PIL import Image

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PromptBank
from anomalib_adaptclip.results.prediction_row import prediction_rows
from anomalib_adaptclip.service.answers import Answer
from anomalib_adaptclip.service.judge import Judge, Photo
from anomalib_adaptclip.service.requests import _category_of_each
from tests.inspection.parts import part


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("parts")
    for name, seed, is_scratched in (("good.png", 100, False), ("scratched.png", 101, True)):
        part(seed, is_scratched=is_scratched).save(folder / name)
    return [folder / "good.png", folder / "scratched.png"]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> AdaptCLIPPredictor:
    folder = tmp_path_factory.mktemp("good")
    for seed in range(8):
        part(seed).save(folder / f"{seed}.png")
    model = AdaptCLIP(backbone="tiny", k_shot=8, few_shot_source=folder, calibration="normal")
    return AdaptCLIPPredictor(model)


def photos(files: list[Path], **wanted: bool) -> list[Photo]:
    return [Photo(file.name, file.read_bytes(), **wanted) for file in files]  # type: ignore[arg-type]


def judged(judge: Judge, sent: list[Photo]) -> list[dict[str, Any]]:
    answers = judge.judge(sent)
    Answer(images=answers)  # type: ignore[arg-type]  # raises where one is not what OpenAPI says
    return answers


def test_answers_are_the_rows_of_predict(predictor: AdaptCLIPPredictor, files: list[Path]) -> None:
    [(paths, output)] = predictor.stream([str(file) for file in files], 2)
    rows = prediction_rows(paths, output, predictor.geometry, predictor.scale)
    for answer, row in zip(judged(Judge(predictor), photos(files)), rows, strict=True):
        assert (answer["label"], answer["score"], answer["threshold"]) == (row.label, row.raw_score, row.raw_threshold)
        assert (answer["normalized_score"], answer["normal_share"]) == (row.score, row.normal_share)
        assert [tuple(region["box"]) for region in answer["regions"]] == row.boxes
        assert [region["score"] for region in answer["regions"]] == [*row.region_scores]
        assert [region["area"] for region in answer["regions"]] == [*row.region_areas]


def test_the_verdict_is_on_the_side_of_the_threshold(predictor: AdaptCLIPPredictor, files: list[Path]) -> None:
    good, scratched = judged(Judge(predictor), photos(files))
    assert (good["verdict"], scratched["verdict"]) == ("good", "abnormal")
    assert good["score"] <= good["threshold"] < scratched["score"]
    assert scratched["size"] == [60, 80]


def test_a_bad_image_does_not_spoil_the_others(predictor: AdaptCLIPPredictor, files: list[Path]) -> None:
    text, half = Photo("notes.txt", b"no image"), Photo("half.png", files[0].read_bytes()[:500])
    sent = photos(files)
    answers = judged(Judge(predictor), [text, sent[0], half, sent[1]])
    assert [answer.get("reason") for answer in answers] == ["kind", None, "damaged", None]
    assert "notes.txt" in answers[0]["error"]
    assert "half.png: image file is truncated" in answers[2]["error"]


def test_images_with_too_many_pixels_are_refused(
    predictor: AdaptCLIPPredictor, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 * 80 - 1)
    [answer] = judged(Judge(predictor), photos(files[:1]))
    assert answer["reason"] == "damaged"
    assert "good.png: Image size (4800 pixels) exceeds limit" in answer["error"]


def test_the_map_on_request_is_the_models(predictor: AdaptCLIPPredictor, files: list[Path]) -> None:
    without, answer = judged(Judge(predictor), photos(files[:1]) + photos(files[1:], wants_map=True))
    assert without["map"] is None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["map"]["png"]))))
    raw = predictor([str(files[1])]).raw.anomaly_map[0, 0]  # type: ignore[attr-defined]
    found = torch.from_numpy(pixels.astype(np.float32) / 65535)
    torch.testing.assert_close(found, raw, atol=2 / 65535, rtol=1e-4)
    assert answer["map"]["box"] == [0, 0, 80, 60]


def test_the_picture_on_request_is_a_png(predictor: AdaptCLIPPredictor, files: list[Path]) -> None:
    [answer] = judged(Judge(predictor), photos(files[1:], wants_picture=True))
    assert Image.open(io.BytesIO(base64.b64decode(answer["picture"]))).width > 320


def test_without_thresholds_there_is_a_score_and_no_verdict(files: list[Path]) -> None:
    model = AdaptCLIP(backbone="tiny", image_size=112)
    judge = Judge(AdaptCLIPPredictor(model))
    answers = judged(judge, photos(files))
    assert [(answer["label"], answer["verdict"], answer["threshold"]) for answer in answers] == [(None, None, None)] * 2
    assert all(answer["regions"] == [] for answer in answers)
    assert 0 < answers[0]["score"] < 1


def test_with_a_bank_each_photo_is_judged_as_what_it_shows(files: list[Path], tmp_path: Path) -> None:
    model = AdaptCLIP(backbone="tiny", image_size=112)
    bank = PromptBank(model.model, "tiny")
    for category, file in zip(("good", "scratched"), files, strict=True):
        model.add_to_bank(category, [str(file)], bank)
    bank.save(tmp_path / "bank.safetensors")
    banked = AdaptCLIP(backbone="tiny", image_size=112, prompt_bank=tmp_path / "bank.safetensors")
    sent = [replace(photo, category=category) for photo in photos(files) for category in ("good", "scratched")]
    answers = judged(Judge(AdaptCLIPPredictor(banked)), sent)
    assert [answer["category"] for answer in answers] == ["good", "scratched"] * 2
    scores = [answer["score"] for answer in answers]
    assert scores[0] < scores[1]  # each is most like its own prompt, which is the same file
    assert scores[3] < scores[2]


@pytest.mark.parametrize(
    ("categories", "known", "count", "expected"),
    [
        ([], None, 2, [None, None]),
        (["pill"], ["cable", "pill"], 2, ["pill", "pill"]),
        (["pill", "cable"], ["cable", "pill"], 2, ["pill", "cable"]),
    ],
)
def test_a_category_is_for_all_or_for_each(
    categories: list[str], known: list[str] | None, count: int, expected: list[str | None]
) -> None:
    assert list(_category_of_each(categories, known, count)) == expected


@pytest.mark.parametrize(
    ("categories", "known", "said"),
    [
        (["pill"], None, "The model has no prompt bank; got category 'pill'. Leave it out."),
        ([], ["cable"], "once for each; got 0 for 3. The prompt bank knows cable."),
        (["cable"] * 2, ["cable"], "once for each; got 2 for 3. The prompt bank knows cable."),
        (["pill"], ["cable"], "The prompt bank does not know the category 'pill'. It knows cable."),
        ([""], ["cable"], "The prompt bank does not know the category ''. It knows cable."),
    ],
)
def test_a_category_that_does_not_fit_is_refused(categories: list[str], known: list[str] | None, said: str) -> None:
    with pytest.raises(HTTPException) as refused:
        _category_of_each(categories, known, 3)
    assert refused.value.status_code == 422
    assert said in refused.value.detail


def test_photos_of_other_sizes_are_judged_together_where_tiles_keep_sizes(files: list[Path], tmp_path: Path) -> None:
    Image.open(files[1]).resize((160, 100)).save(tmp_path / "large.png")
    judge = Judge(AdaptCLIPPredictor(AdaptCLIP(backbone="tiny", image_size=56, tiles=(1, 2))))
    sent = photos([*files, tmp_path / "large.png"])
    together = judged(judge, sent)
    for answer, photo in zip(together, sent, strict=True):
        [alone] = judged(judge, [photo])
        assert answer["name"] == photo.name
        assert answer["score"] == pytest.approx(alone["score"], rel=1e-4)


def test_what_the_model_fails_on_is_told_and_the_others_are_judged(
    predictor: AdaptCLIPPredictor, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = predictor.predict

    def predict(images: torch.Tensor, categories: Any = None) -> Any:
        if len(images) > 1 or images.max() > 2:
            msg = "out of memory"
            raise RuntimeError(msg)
        return own(images, categories)

    monkeypatch.setattr(predictor, "predict", predict)
    light = Image.new("RGB", (80, 60), (255, 255, 255))
    file = io.BytesIO()
    light.save(file, "PNG")
    answers = judged(Judge(predictor), [*photos(files[:1]), Photo("white.png", file.getvalue())])
    assert [answer.get("reason") for answer in answers] == [None, "internal"]
