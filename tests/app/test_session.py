# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a visitor's session does, without a browser."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PromptBank
from anomalib_adaptclip.app.models import Settings
from anomalib_adaptclip.app.session import Session
from anomalib_adaptclip.app.views import card, meaning, summary, thumbnails
from anomalib_adaptclip.results.prediction_table import read_predictions
from tests.inspection.parts import part

SETTINGS = Settings({"backbone": "tiny", "image_size": 56})


def silent(share: float, text: str) -> None:
    assert 0 <= share <= 1
    assert text


def write(folder: Path, count: int, first: int = 0, *, is_scratched: bool = False) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{index}.png" for index in range(count)]
    for index, file in enumerate(files):
        part(first + index, is_scratched=is_scratched).save(file)
    return files


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(tmp_path_factory.mktemp("uploads") / "good", 4)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A photo with a scratch between two good ones; two of the three have the same name."""
    folder = tmp_path_factory.mktemp("uploads")
    fine, scratched = write(folder / "a", 2, 100), write(folder / "b", 1, 200, is_scratched=True)
    return [fine[0], *scratched, fine[1]]


@pytest.fixture(scope="module")
def model(good: list[Path]) -> AdaptCLIP:
    return SETTINGS.learn(good[0].parent)


@pytest.fixture
def session(tmp_path: Path, model: AdaptCLIP) -> Session:
    return Session(tmp_path / "session", SETTINGS, model, "4 good photos")


@pytest.fixture
def judged(session: Session, new: list[Path]) -> Session:
    session.judge(new, None, silent)
    return session


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory, good: list[Path]) -> Path:
    """A bank of a calibrated category and one of a single photo."""
    path = tmp_path_factory.mktemp("bank") / "parts.safetensors"
    maker = AdaptCLIP(backbone="tiny", image_size=56)
    found = PromptBank(maker.model, maker.backbone.name)
    maker.add_to_bank("disc", good, found)
    maker.add_to_bank("lone", good[:1], found)
    found.save(path)
    return path


# From photos to verdicts


def test_from_good_photos_to_verdicts(tmp_path: Path, good: list[Path], new: list[Path]) -> None:
    session = Session(tmp_path / "session", SETTINGS)
    session.learn(good, silent)
    judged = session.judge(new, None, silent)
    assert judged.photos[0].name == "0-2.png"  # the second of that name
    assert {photo.name for photo in judged.photos} == {"0.png", "0-2.png", "1.png"}
    scores = [photo.score for photo in judged.photos]
    assert scores == sorted(scores, reverse=True)
    assert judged.remarks == ["4 good photos; about 10% of good photos will be judged abnormal."]


def test_verdicts_are_those_of_the_predictor(judged: Session, model: AdaptCLIP) -> None:
    photos = judged.judged.photos
    labels = AdaptCLIPPredictor(model)([str(photo.path) for photo in photos]).pred_label
    assert labels is not None
    assert [bool(judged.judged.verdict(photo).is_abnormal) for photo in photos] == labels.tolist()


def test_the_same_good_photos_are_learned_once(tmp_path: Path, good: list[Path]) -> None:
    session = Session(tmp_path / "session", SETTINGS)
    session.learn(good, silent)
    first = session.model
    session.learn(good, silent)
    assert session.model is first
    session.learn(good[:2], silent)
    assert session.model is not first
    assert session.model is not None
    assert len(session.model.prompt_files) == 2


def test_good_photos_that_cannot_be_read_are_told_and_left_out(
    tmp_path: Path, good: list[Path], new: list[Path]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"none")
    (tmp_path / "notes.txt").write_text("none")
    session = Session(tmp_path / "session", SETTINGS)
    session.learn([*good, tmp_path / "bad.png", tmp_path / "notes.txt"], silent)
    remarks = session.judge(new, None, silent).remarks
    assert remarks[0].startswith("4 good photos; ")
    assert [text.split(":")[0] for text in remarks[1:]] == [
        "Cannot read the image bad.png",
        "Cannot read the image notes.txt",
    ]
    with pytest.raises(ValueError, match=r"^None of the good photos can be read. Cannot read the image bad.png"):
        session.learn([tmp_path / "bad.png"], silent)


def test_new_photos_that_cannot_be_read_are_told_of_many_some(
    session: Session, tmp_path: Path, new: list[Path]
) -> None:
    bad = [tmp_path / f"bad-{index}.png" for index in range(10)]
    for file in bad:
        file.write_bytes(b"none")
    judged = session.judge([*bad, *new], None, silent)
    assert len(judged.photos) == 3
    assert judged.remarks[1].startswith("Cannot read the image bad-0.png: ")
    assert judged.remarks[-1] == "And 2 more could not be read."
    assert str(session.folder) not in " ".join(judged.remarks)
    with pytest.raises(ValueError, match=r"^None of the new photos can be read. Cannot read the image bad-0.png"):
        session.judge(bad, None, silent)


def test_one_good_photo_ranks(tmp_path: Path, good: list[Path], new: list[Path]) -> None:
    session = Session(tmp_path / "session", SETTINGS)
    session.learn(good[:1], silent)
    judged = session.judge(new, None, silent)
    assert not judged.levels.is_calibrated
    assert judged.result == "3 photos, ranked by score: there is no threshold to judge by."
    assert "too few different ones for a threshold" in judged.remarks[0]
    judged.move(100)
    assert {judged.verdict(photo).word for photo in judged.photos} == {"no verdict"}
    assert {row.label for row in read_predictions(session.save_table())} == {None}
    assert "no verdict" in card(judged, 0, explain=False)
    assert meaning(judged) == ""


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda session, _: session.judge([Path("a.png")], None, silent), "There is nothing to compare with"),
        (lambda session, _: session.judged, "Nothing has been judged yet"),
        (
            lambda session, good: session.learn(good * 30, silent),
            "At most 100 good photos can be taken at a time; got 120",
        ),
    ],
)
def test_what_cannot_be_done(act: Any, message: str, tmp_path: Path, good: list[Path]) -> None:
    with pytest.raises(ValueError, match=message):
        act(Session(tmp_path / "session", SETTINGS), good)


def test_bounds_of_new_photos(session: Session, new: list[Path]) -> None:
    with pytest.raises(ValueError, match="At most 200 new photos can be taken at a time; got 201"):
        session.judge(new * 67, None, silent)
    with pytest.raises(ValueError, match="There are no new photos"):
        session.judge([], None, silent)


# Another threshold


def test_another_threshold_takes_no_computation(judged: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(judged.judged.model.model), "encode", lambda *_: pytest.fail("computed again"))
    found = judged.judged
    start, first = found.position, [found.verdict(photo).is_abnormal for photo in found.photos]
    outlines = card(found, 0, explain=False)
    found.move(200)
    assert found.result == "0 of 3 photos abnormal"
    assert card(found, 0, explain=False) != outlines
    found.move(0)
    assert found.result == "3 of 3 photos abnormal"
    found.move(start)
    assert not found.is_moved
    assert [found.verdict(photo).is_abnormal for photo in found.photos] == first
    assert card(found, 0, explain=False) == outlines


def test_what_a_threshold_stands_for(judged: Session) -> None:
    found = judged.judged
    assert "(the calibrated one)" in meaning(found)
    assert meaning(found).endswith("About 10% of good photos would be judged abnormal.")
    found.move(found.position + 5)
    share = found.levels.share(found.level.image)
    assert share is not None
    assert 0 < share < 0.1
    assert "calibrated" not in meaning(found)


def test_the_table_follows_the_threshold(judged: Session) -> None:
    found, areas = judged.judged, []
    for position in (0, 200):
        found.move(position)
        rows = list(read_predictions(judged.save_table()))
        assert [row.path for row in rows] == [photo.name for photo in found.photos]
        assert [row.raw_score for row in rows] == pytest.approx([photo.score for photo in found.photos])
        assert [row.raw_threshold for row in rows] == pytest.approx([found.level.image] * 3)
        assert {row.label for row in rows} == {int(position == 0)}
        assert all((row.score > 0.5) == bool(row.label) for row in rows)
        areas.append(sum(sum(row.region_areas) for row in rows))
    assert areas[0] > areas[1]


def test_a_kept_part_has_the_threshold_that_was_set(judged: Session, new: list[Path], tmp_path: Path) -> None:
    found = judged.judged
    before = found.level.image
    found.move(found.position + 5)
    other = Session(tmp_path / "other", SETTINGS)
    other.open(judged.save_part())
    again = other.judge(new, None, silent)
    assert again.level.image == pytest.approx(found.level.image, abs=1e-6)
    assert again.level.pixel == pytest.approx(found.level.pixel, abs=1e-6)
    assert again.level.image != pytest.approx(before, abs=1e-6)
    fresh = judged.judge(new, None, silent)  # the session's own model is what it was
    assert fresh.level.image == before


# Pictures


def test_pictures_of_all_photos_in_an_archive(judged: Session) -> None:
    with zipfile.ZipFile(judged.save_pictures(silent)) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"0.png", "0-2.png", "1.png"}
        assert archive.read("1.png").startswith(b"\x89PNG")


def test_small_pictures_have_new_paths_each_time(judged: Session) -> None:
    first = thumbnails(judged.judged, judged.new_list())
    assert first[0][1].startswith("abnormal ")
    assert first[0][1].endswith(", 0-2.png")
    second = thumbnails(judged.judged, judged.new_list())
    assert not {path for path, _ in first} & {path for path, _ in second}
    assert not any(Path(path).exists() for path, _ in first)
    assert all(Path(path).exists() for path, _ in second)


def test_the_reasons_name_the_good_photo(judged: Session, good: list[Path]) -> None:
    text = card(judged.judged, 0, explain=True)
    assert "nearest good patch" in text
    assert "in this good photo" in text
    assert any(f"good photo: {file.name}" in text for file in good)
    assert "visual: " in text
    assert "Why" not in card(judged.judged, 0, explain=False)


def test_the_reasons_follow_the_threshold(judged: Session) -> None:
    found, areas = judged.judged, []
    for position in (0, 200):
        found.move(position)
        found.explanations.clear()
        left, top, right, bottom = found.explanation(0).regions[0].box
        areas.append((right - left) * (bottom - top))
    assert areas[0] > areas[1]


def test_names_are_no_html(session: Session, tmp_path: Path) -> None:
    (tmp_path / "<b>x.png").write_bytes(b"none")
    part(0).save(tmp_path / "<i>.png")
    judged = session.judge([tmp_path / "<b>x.png", tmp_path / "<i>.png"], None, silent)
    assert "<b>" not in summary(judged)
    assert "&lt;b&gt;x.png" in summary(judged)
    assert "<i>" not in card(judged, 0, explain=False)


def test_photos_of_an_earlier_judgement_are_removed(judged: Session, new: list[Path]) -> None:
    first = judged.judged.photos
    second = judged.judge(new[:2], None, silent).photos
    assert not any(photo.path.exists() for photo in first)
    assert all(photo.path.exists() for photo in second)


# Models that were kept


def test_a_bank_asks_what_the_photos_show(bank: Path, new: list[Path], tmp_path: Path) -> None:
    session = Session(tmp_path / "session", SETTINGS)
    session.open(bank)
    assert session.categories == ["disc", "lone"]
    for category in (None, "bolt"):
        with pytest.raises(ValueError, match=r"The prompt bank knows disc, lone\. Choose what the photos show\."):
            session.judge(new, category, silent)
    judged = session.judge(new, "disc", silent)
    assert judged.remarks == ["4 good photos of disc; about 10% of good photos will be judged abnormal."]
    assert judged.photos[0].name == "0-2.png"
    assert judged.verdict(judged.photos[0]).word == "abnormal"
    assert "nearest good patch" in card(judged, 0, explain=True)
    judged.move(200)
    assert judged.result == "0 of 3 photos abnormal"
    lone = session.judge(new, "lone", silent)
    assert lone.remarks == ["1 good photo of lone, not calibrated for this model: photos are ranked, not judged."]


def test_a_bank_judges_as_its_photos_do(bank: Path, judged: Session, new: list[Path], tmp_path: Path) -> None:
    session = Session(tmp_path / "other", SETTINGS)
    session.open(bank)
    found, own = session.judge(new, "disc", silent), judged.judged
    assert [photo.score for photo in found.photos] == pytest.approx([photo.score for photo in own.photos], abs=1e-5)
    assert found.level.image == pytest.approx(own.level.image, abs=1e-5)
    assert found.level.pixel == pytest.approx(own.level.pixel, abs=1e-5)


def test_other_photos_are_learned_with_the_backbone_of_the_model(
    bank: Path, good: list[Path], new: list[Path], tmp_path: Path
) -> None:
    session = Session(tmp_path / "session", Settings({"image_size": 56}))  # by default it would be a large one
    session.open(bank)
    session.learn(good, silent)
    assert session.categories == []
    assert session.judge(new, "disc", silent).remarks[0].startswith("4 good photos; ")
    session.open(bank)
    session.learn(good, silent)  # the same photos, after another model
    assert session.categories == []


@pytest.mark.parametrize("name", ["x.ckpt", "x.safetensors"])
def test_a_damaged_model_is_told_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / name).write_bytes(b"none")
    with pytest.raises(ValueError, match=name) as caught:
        Session(tmp_path / "session", SETTINGS).open(tmp_path / "hidden" / name)
    assert "hidden" not in str(caught.value)


def test_a_file_of_another_kind_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"A model is a checkpoint, \*\.ckpt, or a prompt bank"):
        Session(tmp_path / "session", SETTINGS).open(tmp_path / "x.png")


def test_a_closed_session_leaves_nothing(judged: Session) -> None:
    judged.save_table()
    assert judged.folder.exists()
    judged.close()
    assert not judged.folder.exists()
