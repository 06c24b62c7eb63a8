# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The commands `inspect` and `calibrate`, end to end."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from anomalib_adaptclip import AdaptCLIPPredictor
from anomalib_adaptclip.inspection.labels import Agreement, agreement, labels_of
from anomalib_adaptclip_cli.main import main

from .parts import part

SMALL = ("--backbone", "tiny", "--image_size", "56")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Four good photos."""
    (tmp_path / "good").mkdir()
    for index in range(4):
        part(index).save(tmp_path / "good" / f"{index}.png")
    return tmp_path / "good"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Two good photos and two with a scratch, in folders that say so."""
    for kind in ("good", "scratched"):
        (tmp_path / "new" / kind).mkdir(parents=True)
        for index in range(2):
            picture = part(100 + index, is_scratched=kind == "scratched")
            picture.save(tmp_path / "new" / kind / f"{index}.png")
    return tmp_path / "new"


def run(capsys: Any, *arguments: object) -> list[str]:
    assert main([str(argument) for argument in arguments]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if line]


def refusal(capsys: Any, *arguments: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    return str(capsys.readouterr().err)


def test_from_photos_to_verdicts(good: Path, new: Path, tmp_path: Path, capsys: Any) -> None:
    lines = run(capsys, "inspect", good, new, "--out", tmp_path / "out", *SMALL)
    assert len(lines) <= 15
    assert lines[0] == "4 good photos; about 10% of good photos will be judged abnormal."
    assert lines[-2].startswith("By the names of folders: 2 of 2 abnormal images found, ")
    table = pd.read_csv(tmp_path / "out" / "verdicts.csv")
    assert lines[-1] == f"{table.label.sum()} of 4 abnormal. Pictures, table and model: {tmp_path / 'out'}"
    assert [Path(path).parent.name for path in table.path] == ["good"] * 2 + ["scratched"] * 2
    assert table.score[2:].min() > table.score[:2].max()
    pictures = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out" / "pictures").rglob("*.png")}
    assert pictures == {f"pictures/{kind}/{index}.png" for kind in ("good", "scratched") for index in range(2)}
    page = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert all(f'src="{picture}"' in page for picture in pictures)
    assert page.index("scratched/0.png") < page.index("good/0.png")  # the most abnormal first


def test_the_part_stands_in_place_of_the_photos(good: Path, new: Path, tmp_path: Path, capsys: Any) -> None:
    run(capsys, "inspect", good, new, "--out", tmp_path / "first", *SMALL)
    run(capsys, "inspect", tmp_path / "first" / "part.ckpt", new, "--out", tmp_path / "second")
    first, second = (pd.read_csv(tmp_path / name / "verdicts.csv") for name in ("first", "second"))
    pd.testing.assert_frame_equal(first, second)
    output = AdaptCLIPPredictor.from_checkpoint(tmp_path / "first" / "part.ckpt")(new / "good" / "0.png")
    assert float(output.pred_score) == pytest.approx(first.score[0], abs=1e-6)  # type: ignore[arg-type]


def test_calibrate_is_the_first_half(good: Path, new: Path, tmp_path: Path, capsys: Any) -> None:
    lines = run(capsys, "calibrate", good, "-o", tmp_path / "part.ckpt", "--k_shot", 3, *SMALL)
    assert lines[0].startswith("3 good photos; ")
    assert f"inspect {tmp_path / 'part.ckpt'} PHOTOS" in lines[-1]
    run(capsys, "inspect", tmp_path / "part.ckpt", new, "--out", tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "verdicts.csv")) == 4


def test_one_photo_ranks_and_does_not_judge(good: Path, new: Path, tmp_path: Path, capsys: Any, caplog: Any) -> None:
    lines = run(capsys, "inspect", good / "0.png", new, "--out", tmp_path / "out", *SMALL)
    assert lines[0].startswith("1 good photo: too few different ones for a threshold.")
    assert lines[-1].startswith("4 ranked by score, none judged. ")
    assert "abnormal images found" not in lines[-2]
    assert "image AUROC 1.000" in lines[-2]
    assert "Nothing was calibrated" not in caplog.text  # the first line has said so, in plainer words
    table = pd.read_csv(tmp_path / "out" / "verdicts.csv")
    assert table.label.isna().all()
    assert list(table.boxes) == ["[]"] * 4
    assert "region" not in (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")


def test_copies_of_a_photo_are_one(good: Path, new: Path, tmp_path: Path, capsys: Any) -> None:
    for index in range(1, 4):
        (good / f"{index}.png").write_bytes((good / "0.png").read_bytes())
    lines = run(capsys, "inspect", good, new, "--out", tmp_path / "out", *SMALL)
    assert "too few different ones" in lines[0]


def test_an_inspection_is_not_overwritten_unless_told(good: Path, new: Path, tmp_path: Path, capsys: Any) -> None:
    run(capsys, "inspect", good, new, "--out", tmp_path / "out", *SMALL)
    message = refusal(capsys, "inspect", good, new, "--out", tmp_path / "out", *SMALL)
    assert f"{tmp_path / 'out'} holds an inspection. Name another folder by --out" in message
    (tmp_path / "out" / "pictures" / "mine.txt").touch()
    before = sorted((tmp_path / "out").rglob("*"))
    run(capsys, "inspect", good, new, "--out", tmp_path / "out", "--overwrite", *SMALL)
    assert sorted((tmp_path / "out").rglob("*")) == before  # nothing of the earlier one stands beside it


def test_pictures_of_an_inspection_are_no_photos(good: Path, new: Path, capsys: Any) -> None:
    out = new / "out"
    run(capsys, "inspect", good, new, "--out", out, *SMALL)
    before = sorted(out.rglob("*"))
    for folders in [(good, new), (new, good), (good, out / "pictures"), (out / "pictures", good)]:
        message = refusal(capsys, "inspect", *folders, "--out", out, "--overwrite", *SMALL)
        assert "was drawn by an inspection and is no photo. Name a folder outside of the photos by --out." in message
    assert sorted(out.rglob("*")) == before


def test_damaged_photos_are_told(good: Path, new: Path, tmp_path: Path, capsys: Any) -> None:
    (new / "good" / "0.png").write_bytes(b"none")
    arguments = ("inspect", good, new, "--out", tmp_path / "out", *SMALL)
    assert "good/0.png" in refusal(capsys, *arguments)
    lines = run(capsys, *arguments, "--unreadable", "skip")
    assert "1 of 4 files could not be read." in lines
    assert "of 3 abnormal" in lines[-1]


def test_what_is_saved_is_what_predict_saves(good: Path, new: Path, tmp_path: Path, capsys: Any) -> None:
    out, formats = tmp_path / "out", "[parquet,jsonl,coco,masks,maps]"
    run(capsys, "inspect", good, new, "-o", out, "--save", formats, *SMALL)
    small = ("--backbone", "tiny")  # the checkpoint knows the size
    run(capsys, "predict", new, tmp_path / "p.csv", "--ckpt_path", out / "part.ckpt", "--save", formats, *small)
    endings = [".csv", ".parquet", ".jsonl", ".coco.json"]
    endings += [f"-{kind}/{name}" for kind, end in (("masks", "png"), ("maps", "tiff")) for name in files_of(new, end)]
    assert len(endings) == 12
    for ending in endings:
        assert (out / f"verdicts{ending}").read_bytes() == (tmp_path / f"p{ending}").read_bytes()


def files_of(folder: Path, suffix: str) -> list[str]:
    """Files that are made of the images of a folder."""
    return [str(path.relative_to(folder).with_suffix(f".{suffix}")) for path in sorted(folder.rglob("*.png"))]


@pytest.mark.parametrize("saved", ["masks", "[maps,coco]"])
def test_without_a_threshold_nothing_is_marked(saved: str, good: Path, new: Path, tmp_path: Path, capsys: Any) -> None:
    message = refusal(capsys, "inspect", good / "0.png", new, "--out", tmp_path / "out", *SMALL, "--save", saved)
    assert "marks what is abnormal, but there is no threshold. Give two different good photos" in message
    run(capsys, "inspect", good / "0.png", new, "--out", tmp_path / "out", *SMALL, "--save", "maps")
    assert len([*(tmp_path / "out").rglob("*.tiff")]) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--save": "mask"}, "save must be"),
        ({"good": "nowhere"}, "GOOD must be a folder of normal images, but nowhere does not exist"),
        ({"new": "nowhere"}, "There is no folder or image nowhere"),
        ({"--k_shot": 9}, "k_shot=9 needs 9 normal images"),
        ({"--device": "nothing"}, "There is no device nothing"),
        ({"--batch_size": 0}, "batch_size must be"),
        ({"--false_positive_rate": 2}, "false_positive_rate is a share"),
    ],
)
def test_wrong_arguments(
    change: dict[str, Any], message: str, good: Path, new: Path, tmp_path: Path, capsys: Any
) -> None:
    paths = [change.pop("good", good), change.pop("new", new)]
    options = [str(part) for item in change.items() for part in item]
    assert message in refusal(capsys, "inspect", *paths, "--out", tmp_path / "out", *SMALL, *options)
    assert not (tmp_path / "out" / "verdicts.csv").exists()


def test_missing_weights_name_the_remedy(
    good: Path, new: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        msg = "The weights cannot be downloaded."
        raise ConnectionError(msg)

    monkeypatch.setattr("anomalib_adaptclip.model.lightning_model.load_clip", fail)
    message = refusal(capsys, "inspect", good, new, "--out", tmp_path / "out")
    assert message.splitlines()[-1].endswith("--backbone tiny")


# Labels


def test_what_labels_say() -> None:
    labels = {"a": False, "b": True, "c": True}
    scores = {"a": 0.1, "b": 0.9, "c": 0.05}
    found = agreement(labels, scores, {"a": False, "b": True, "c": False})
    assert found == Agreement(1, 0, 2, 1, 0.5)
    assert (
        str(found)
        == "By the names of folders: 1 of 2 abnormal images found, 0 of 1 good ones marked, image AUROC 0.500."
    )
    assert "found" not in str(agreement(labels, scores, None))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["good/1.png", "bent/1.png"], [False, True]),
        (["x/good/1.png", "x/bent/1.png"], [False, True]),
        (["bent/1.png", "torn/1.png"], None),
        (["good/1.png", "1.png"], None),
    ],
)
def test_folders_that_tell_labels(names: list[str], expected: list[bool] | None, tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in names]
    found = labels_of(files, tmp_path)
    assert (found and list(found.values())) == expected
