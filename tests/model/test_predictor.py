# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Prediction of many images: the predictor, the command, and anomalib's Engine with a table of results."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.data import PredictDataset
from anomalib.engine import Engine
from lightning.pytorch import Callback
from PIL import Image
from safetensors.torch import save_file

from anomalib_adaptclip import (
    AdaptCLIP,
    AdaptCLIPModel,
    AdaptCLIPPredictor,
    PredictFolder,
    PromptBank,
    SyntheticDefects,
)
from anomalib_adaptclip.clip import load_clip
from anomalib_adaptclip.data.image_files import list_image_files
from anomalib_adaptclip.inspection.part import save_checkpoint
from anomalib_adaptclip.model.run_identity import run_identity
from anomalib_adaptclip.results.prediction_row import PredictionRow, prediction_rows
from anomalib_adaptclip.results.prediction_table import draft_of, read_predictions
from anomalib_adaptclip_cli.main import main

REPOSITORY = Path(__file__).parents[2]
SIZE = 56  # pixels, 4 x 4 patches
SMALL = ("--backbone", "tiny", "--pretrained", "seed-0", "--image_size", str(SIZE))


def tiny(**options: Any) -> AdaptCLIP:
    defaults: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": SIZE, "visualizer": False}
    return AdaptCLIP(**defaults | options)


@pytest.fixture
def queries(write_images: Callable[..., Path]) -> Path:
    """Seven images."""
    return write_images("queries", 7)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of one shot, with thresholds."""
    data = SyntheticDefects(
        tmp_path / "data", "gear", image_size=64, num_train_images=2, num_normal_test_images=2, num_images_per_defect=1
    )
    engine = Engine(default_root_dir=tmp_path / "trained", accelerator="cpu", devices=1)
    engine.validate(tiny(k_shot=1), datamodule=data)
    return Path(engine.trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]


def damage(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:200])
    return path


def rows_of(predictions: Any) -> list[PredictionRow]:
    return [row for batch in predictions for row in prediction_rows(batch.image_path, batch)]


def assert_same_rows(found: Any, expected: Any) -> None:
    """As far as all routes tell: predictions in memory tell nothing of raw scores."""
    found, expected = list(found), list(expected)
    torch.testing.assert_close([r.score for r in found], [r.score for r in expected], rtol=0, atol=1e-4)
    assert [(r.path, r.label, r.boxes) for r in found] == [(r.path, r.label, r.boxes) for r in expected]
    for row in found:
        assert row.raw_threshold is None or row.label == (row.raw_score > row.raw_threshold)


# The predictor


def test_the_predictor_says_what_the_engine_says(checkpoint: Path, queries: Path, engine: Engine) -> None:
    expected = rows_of(engine.predict(tiny(), data_path=queries, ckpt_path=checkpoint))
    predictor = AdaptCLIPPredictor.from_checkpoint(checkpoint)
    batches = list(predictor.stream(sorted(queries.iterdir()), batch_size=3))
    assert [len(paths) for paths, _ in batches] == [3, 3, 1]
    assert_same_rows([row for paths, output in batches for row in prediction_rows(paths, output)], expected)
    assert any(row.boxes for row in expected)
    assert {row.label for row in expected} != {None}


def test_images_in_predictions_out(checkpoint: Path) -> None:
    predictor = AdaptCLIPPredictor.from_checkpoint(checkpoint)
    output = predictor(torch.rand(2, 3, 70, 40))
    assert output.pred_score is not None
    assert output.anomaly_map is not None
    assert output.pred_score.shape == (2,)
    assert output.anomaly_map.shape == (2, 1, SIZE, SIZE)
    wrong: dict[str, Any] = {
        r"got torch\.float32 of shape \(1, 4, 70, 40\)": torch.rand(1, 4, 70, 40),
        "got values from 0 to 255": torch.linspace(0, 255, 3).view(1, 3, 1, 1).expand(1, 3, 70, 40),
        "got values from nan to nan": torch.full((1, 3, 70, 40), torch.nan),
        r"a tensor must be \(3, H, W\) or \(1, H, W\)": torch.rand(2, 70, 40),
        r"Cannot read the image image\.png: No such file": "image.png",
        "needs at least one image": [],
    }
    for problem, images in wrong.items():
        with pytest.raises(ValueError, match=problem):
            predictor(images)
    with pytest.raises(ValueError, match="takes a list of image files, and got 'images' alone"):
        predictor.stream("images")


def test_images_of_any_kind(tmp_path: Path) -> None:
    predictor = AdaptCLIPPredictor(tiny(post_processor=False))
    pixels = np.random.default_rng(0).integers(0, 256, (70, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    given: list[Any] = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        pixels,
        pixels / 255,
        pixels.astype(np.uint16) * 257,
        Image.fromarray(pixels),
        torch.from_numpy(pixels).permute(2, 0, 1),
        torch.from_numpy(pixels / 255).permute(2, 0, 1),
    ]
    one: Any = predictor(torch.from_numpy(pixels / 255).permute(2, 0, 1).float()[None])
    several: Any = predictor(given)
    torch.testing.assert_close(several.anomaly_map, one.anomaly_map.expand(len(given), -1, -1, -1), rtol=0, atol=1e-6)
    for images in (*given, pixels[None], torch.from_numpy(pixels).permute(2, 0, 1)[None]):
        torch.testing.assert_close(predictor(images).pred_score, one.pred_score, rtol=0, atol=1e-6)
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    torch.testing.assert_close(predictor(bgr, channel_order="bgr").pred_score, one.pred_score, rtol=0, atol=1e-6)
    assert float(torch.as_tensor(predictor(bgr).pred_score)) != float(one.pred_score)
    with pytest.raises(ValueError, match="channel_order must be"):
        predictor(bgr, channel_order="gbr")  # type: ignore[arg-type]


def test_workers_share_the_images(queries: Path) -> None:
    predictor = AdaptCLIPPredictor(tiny())
    paths = [
        path for batch, _ in predictor.stream(sorted(queries.iterdir()), batch_size=2, num_workers=2) for path in batch
    ]
    assert sorted(paths) == sorted(map(str, queries.iterdir()))


def test_images_are_read_when_they_are_needed(queries: Path) -> None:
    files = [*sorted(queries.iterdir())[:2], queries / "missing.png"]
    stream = AdaptCLIPPredictor(tiny()).stream(files, batch_size=2)
    assert next(stream)[0] == list(map(str, files[:2]))
    with pytest.raises(ValueError, match=r"Cannot read the image .*missing.png"):
        next(stream)


def test_damaged_images_are_skipped_by_name(queries: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = sorted(queries.iterdir())
    for path in (files[0], files[3], files[4]):
        damage(path)
    (queries / "text.png").write_text("no image")
    predictor = AdaptCLIPPredictor(tiny())
    with pytest.raises(ValueError, match=r"Cannot read the image .*000\.png.*unreadable=skip"):
        list(predictor.stream(files))
    paths = [
        path for batch, _ in predictor.stream([*files, queries / "text.png"], 2, unreadable="skip") for path in batch
    ]
    assert paths == [str(files[index]) for index in (1, 2, 5, 6)]
    skipped = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Skipped")]
    assert [name in text for name, text in zip(("000", "003", "004", "text"), skipped, strict=True)] == [True] * 4


def test_a_link_to_an_image_that_is_gone_is_one_damaged_image(queries: Path) -> None:
    (queries / "003.png").unlink()
    (queries / "003.png").symlink_to("nowhere.png")
    files = list_image_files(queries)
    assert [Path(file).stem for file in files] == [f"00{number}" for number in range(7)]
    paths = [path for batch, _ in AdaptCLIPPredictor(tiny()).stream(files, unreadable="skip") for path in batch]
    assert paths == [file for file in files if "003" not in file]


def test_a_folder_that_is_a_link_keeps_its_name(queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bottle").symlink_to(queries)
    assert list_image_files(tmp_path / "bottle") == [
        str(tmp_path / "bottle" / f"00{number}.png") for number in range(7)
    ]
    monkeypatch.chdir(queries)
    assert list_image_files(".") == list_image_files("../queries") == list(map(str, sorted(queries.iterdir())))


def test_what_is_no_image_is_not_listed(queries: Path) -> None:
    (queries / "folder.png").mkdir()
    (queries / "notes.txt").touch()
    assert len(list_image_files(queries)) == 7
    assert list_image_files(queries / "000.png") == [str(queries / "000.png")]
    with pytest.raises(ValueError, match=r"Found 0 images in .*notes\.txt"):
        list_image_files(queries / "notes.txt")


def test_all_images_damaged(queries: Path) -> None:
    for path in queries.iterdir():
        damage(path)
    assert list(AdaptCLIPPredictor(tiny()).stream(list(queries.iterdir()), unreadable="skip")) == []


def test_categories_of_a_bank_by_folder(tmp_path: Path, write_images: Callable[..., Path]) -> None:
    model = tiny()
    bank = PromptBank(model.model, "tiny")
    for name in ("bottle", "cable"):
        bank.add(name, model.read_images(sorted(write_images(f"good {name}", 1).iterdir())))
    bank.save(tmp_path / "bank.safetensors")
    files = sorted(write_images("mixed/bottle", 1).iterdir()) + sorted(write_images("mixed/cable", 1).iterdir())
    predictor = AdaptCLIPPredictor(tiny(prompt_bank=tmp_path / "bank.safetensors"))
    [(_, found)] = predictor.stream(files)
    expected = predictor.model.detect(model.read_images(files), ["bottle", "cable"])
    torch.testing.assert_close(found.pred_score, expected.pred_score)
    other = predictor.model.detect(model.read_images(files), ["cable", "bottle"])
    assert not torch.allclose(torch.as_tensor(found.pred_score), torch.as_tensor(other.pred_score), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"unreadable": "ignore"}, r"unreadable must be one of \['error', 'skip'\]; got 'ignore'"),
    ],
)
def test_wrong_options(queries: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptCLIPPredictor(tiny()).stream([], **options)
    with pytest.raises(ValueError, match=message):
        PredictFolder(queries, **options)


def test_other_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no checkpoint .*a\.ckpt"):
        AdaptCLIPPredictor.from_checkpoint(tmp_path / "a.ckpt")
    for content in (b"", b"no checkpoint at all", b"PK\3\4"):
        (tmp_path / "damaged.ckpt").write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged\.ckpt (is damaged|was refused)"):
            AdaptCLIPPredictor.from_checkpoint(tmp_path / "damaged.ckpt")
    torch.save({"state_dict": {}, "hyper_parameters": {"backbone": "resnet18"}}, tmp_path / "patchcore.ckpt")
    with pytest.raises(ValueError, match="This is no checkpoint of AdaptCLIP: it lacks the record"):
        AdaptCLIPPredictor.from_checkpoint(tmp_path / "patchcore.ckpt")
    model = tiny()
    model.prepare()
    save_checkpoint(model, tmp_path / "newer.ckpt")
    content = torch.load(tmp_path / "newer.ckpt", weights_only=True)
    content["hyper_parameters"]["colour"] = "blue"
    torch.save(content, tmp_path / "newer.ckpt")
    with pytest.raises(ValueError, match=r"arguments that AdaptCLIP does not know here: \['colour'\]. Load it with"):
        AdaptCLIPPredictor.from_checkpoint(tmp_path / "newer.ckpt")
    with pytest.raises(ValueError, match="There is no device tpu"):
        AdaptCLIPPredictor(tiny(), "tpu")
    with pytest.raises(FileNotFoundError, match="There is no folder or image"):
        PredictFolder(tmp_path / "nowhere")


# The command


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_command(
    checkpoint: Path, queries: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prompts and thresholds come out of the checkpoint, also where options are given beside it."""
    table = tmp_path / f"table{suffix}"
    main(["predict", str(queries), str(table), "--ckpt_path", str(checkpoint), "--prompt_precision", "float16"])
    assert "7 new rows." in capsys.readouterr().out
    predictor = AdaptCLIPPredictor.from_checkpoint(checkpoint)
    [(paths, output)] = predictor.stream(sorted(queries.iterdir()))
    assert_same_rows(read_predictions(table), prediction_rows(paths, output))


def test_a_default_that_is_given_wins_over_the_checkpoint(
    tmp_path: Path, queries: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny()
    bank = PromptBank(model.model, "tiny")
    bank.add("bottle", torch.zeros(1, 3, SIZE, SIZE))
    bank.save(tmp_path / "bank.safetensors")
    data = SyntheticDefects(tmp_path / "data", "gear", image_size=64, num_train_images=2)
    model = tiny(prompt_bank=tmp_path / "bank.safetensors", unknown_category="error")
    model.category_of = lambda _: "bottle"
    engine.validate(model, datamodule=data)
    checkpoint = engine.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    command = ["predict", str(queries), str(tmp_path / "table.csv"), "--ckpt_path", str(checkpoint)]
    with pytest.raises(SystemExit):
        main(command)
    assert "queries" in capsys.readouterr().err
    main([*command, "--unknown_category", "zero_shot"])
    assert len(list(read_predictions(tmp_path / "table.csv"))) == 7


@pytest.mark.parametrize(
    ("name", "value"), [("fusion", "published"), ("image_size", "112"), ("k_shot", "2"), ("prompt_budget", "4")]
)
def test_what_the_checkpoint_decides_is_refused(
    checkpoint: Path, queries: Path, tmp_path: Path, name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["predict", str(queries), str(tmp_path / "a.csv"), "--ckpt_path", str(checkpoint), f"--{name}", value])
    assert left.value.code == 2
    assert f"The checkpoint {checkpoint} decides ['{name}']" in capsys.readouterr().err


def test_a_checkpoint_without_prompts_takes_some(tmp_path: Path, engine: Engine, queries: Path) -> None:
    data = SyntheticDefects(tmp_path / "data", "gear", image_size=64, num_train_images=2)
    engine.validate(tiny(), datamodule=data)
    checkpoint = engine.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    predictor = AdaptCLIPPredictor.from_checkpoint(checkpoint, k_shot=2, few_shot_source=queries)
    assert predictor.model.model.prompt_memory.k_shot == 2


KILLED_AT_THE_FIFTH = """
import os, signal, sys
from anomalib_adaptclip import AdaptCLIPPredictor
from anomalib_adaptclip_cli.main import main
stream = AdaptCLIPPredictor.stream
def killed(*args, **options):
    for paths, predictions in stream(*args, **options):
        if paths[0].endswith("004.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        yield paths, predictions
AdaptCLIPPredictor.stream = killed
main(sys.argv[1:])
"""


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_killed_command_goes_on(queries: Path, tmp_path: Path, suffix: str) -> None:
    table, whole = tmp_path / f"table{suffix}", tmp_path / f"whole{suffix}"
    options = (*SMALL, "--batch_size", "1")
    command = ["predict", str(queries), str(table), *options]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run([sys.executable, "-c", KILLED_AT_THE_FIFTH, *command], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not table.exists()
    kept = draft_of(table).read_text().splitlines()
    assert len(kept) == 1 + 4
    with draft_of(table).open("a") as draft:
        draft.write(kept[-1][:20])  # it might have died in mid-line as well

    main([*command, "--resume", "true"])
    main(["predict", str(queries), str(whole), *options])
    assert_same_rows(read_predictions(table), read_predictions(whole))
    assert len(list(read_predictions(table))) == 7


def test_a_damaged_image_stops_the_command_or_is_skipped(
    queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done before it is not done again."""
    table, damaged = tmp_path / "table.csv", damage(queries / "004.png")
    command = ["predict", str(queries), str(table), *SMALL, "--batch_size", "2"]
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 2
    assert str(damaged) in capsys.readouterr().err
    assert not table.exists()
    assert len(draft_of(table).read_text().splitlines()) == 1 + 4

    main([*command, "--unreadable", "skip", "--resume", "true"])
    assert "2 new rows, 4 had one before, 1 could not be read" in capsys.readouterr().out
    assert [Path(row.path).stem for row in read_predictions(table)] == ["000", "001", "002", "003", "005", "006"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--fusion", "paper"), "fusion was log_odds and is paper"),
        (("--class_name", "screw"), "class_name was object and is screw"),
        (("--adapters", "none"), "adapters' weights was"),
        (("--pretrained", "generated"), "CLIP's weights was"),
        (("--k_shot", "1", "--few_shot_source", "QUERIES"), "prompts was none and is 000.png"),
        (("--image_size", "112"), "pre-processing was"),
    ],
)
def test_another_model_does_not_go_on(
    queries: Path, tmp_path: Path, options: tuple[str, ...], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    adapters = tmp_path / "adapters.safetensors"
    save_file(AdaptCLIPModel(load_clip("tiny", "seed-0").clip, (2, 4, 6, 8), 3).adapters.state_dict(), adapters)
    command = ["predict", str(queries / "000.png"), str(table), *SMALL, "--adapters", str(adapters)]
    main(command)
    before = table.read_bytes()
    command[1] = str(queries)
    with pytest.raises(SystemExit) as left:
        main([*command, "--resume", *(str(queries) if option == "QUERIES" else option for option in options)])
    assert left.value.code == 2
    assert what in capsys.readouterr().err
    assert table.read_bytes() == before
    main([*command, "--resume"])
    assert len(list(read_predictions(table))) == 7


def test_what_a_run_depends_on_is_told_by_content(queries: Path, checkpoint: Path, tmp_path: Path) -> None:
    found = [run_identity(AdaptCLIPPredictor.from_checkpoint(checkpoint).model)]
    content = torch.load(checkpoint, weights_only=True)
    for key in ("model.prompt_memory.tokens", "post_processor._image_threshold"):
        state = content["state_dict"] | {key: content["state_dict"][key] / 2}
        torch.save(content | {"state_dict": state}, tmp_path / "other.ckpt")
        found.append(run_identity(AdaptCLIPPredictor.from_checkpoint(tmp_path / "other.ckpt").model))
    names = [[name for name in one if one[name] != found[0][name]] for one in found]
    assert names == [[], ["prompts"], ["post-processing"]]
    model = tiny(k_shot=1, few_shot_source=queries)
    before = run_identity(AdaptCLIPPredictor(model).model)
    shutil.copy(queries / "001.png", queries / "000.png")
    after = run_identity(AdaptCLIPPredictor(tiny(k_shot=1, few_shot_source=queries)).model)
    assert [name for name in before if before[name] != after[name]] == ["prompts"]


def set_record(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["adaptclip"].__setitem__(key, value)


def set_tensor(key: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["state_dict"].__setitem__(key, change(content["state_dict"][key]))


TOKENS = "model.prompt_memory.tokens"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("state_dict"), "should hold a state dict"),
        (lambda content: content.pop("hyper_parameters"), "lacks the mapping hyper_parameters"),
        (lambda content: content["state_dict"].pop("model.static_pair"), "missing: |expected"),
        (lambda content: content["state_dict"].pop("post_processor.pixel_max"), "missing: |expected"),
        (set_record("clip", 5), r"it\.clip should be a mapping of backbone, weights, fingerprint, and is 5"),
        (set_record("prompt_files", "a.png"), r"it\.prompt_files should be a list, and is 'a\.png'"),
        (set_record("version", None), r"it\.version should be of type str, and is None"),
        (lambda content: content["adaptclip"].pop("options"), r"it should be a mapping of clip, origin, options"),
        (lambda content: content["adaptclip"]["options"].update(topk=0), "topk must be at least 1; got 0"),
        (lambda content: content["adaptclip"]["options"].update(fusion="x"), r"it\.options\.fusion should be one of"),
        (set_tensor(TOKENS, lambda tokens: tokens / 0), rf"NaN or infinite numbers in {TOKENS}"),
        (set_tensor(TOKENS, lambda tokens: tokens[0]), rf"shape: {TOKENS} is"),
        (set_tensor(TOKENS, lambda tokens: tokens > 0), rf"type: {TOKENS} is torch\.bool"),
        (set_tensor(TOKENS, lambda tokens: tokens[..., 1:]), rf"shape: {TOKENS} is"),
        (
            set_tensor("post_processor._image_threshold", lambda value: value * torch.nan),
            "in post_processor._image_thr",
        ),
        (set_tensor("post_processor.pixel_max", lambda value: value / 0), r"in post_processor\.pixel_max"),
        (
            set_tensor("model.static_pair", lambda value: value * torch.nan),
            r"in model\.static_pair",
        ),
    ],
)
def test_a_checkpoint_that_is_wrong_inside(
    checkpoint: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    change(content)
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match=message):
        AdaptCLIPPredictor.from_checkpoint(checkpoint)


def test_wrong_arguments_of_the_command(
    queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anomalib_adaptclip.AdaptCLIP", lambda **_: pytest.fail("too late"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin").mkdir()
    (tmp_path / "latin" / "\udcff.png").touch()
    for arguments, message in {
        (str(queries), "table.txt"): "a file named *.csv or *.parquet",
        (str(tmp_path / "nowhere"), "table.csv"): "There is no folder or image",
        (str(tmp_path / "empty"), "table.csv"): "Found 0 images",
        (str(tmp_path / "latin"), "table.parquet"): r"\udcff.png' is not. Rename it, or name a .csv file.",
        (str(queries), "table.csv", "--batch_size", "0"): "batch_size must be at least 1",
        (str(queries), "table.csv", "--device", "tpu"): "There is no device tpu",
    }.items():
        with pytest.raises(SystemExit) as left:
            main(["predict", *arguments])
        assert left.value.code == 2
        assert message in capsys.readouterr().err


def test_the_command_is_stopped_without_a_traceback(
    queries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anomalib_adaptclip.AdaptCLIP", stop)
    with pytest.raises(SystemExit) as left:
        main(["predict", str(queries), str(tmp_path / "table.csv")])
    assert left.value.code == 130
    assert "stopped. Finished work is kept" in capsys.readouterr().err


# anomalib


class Watch(Callback):
    """How many predictions Lightning holds at the end of a batch, at most."""

    held = 0

    def on_predict_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        self.held = max(self.held, *(len(batches) for batches in trainer.predict_loop._predictions))


def test_the_engine_streams_to_a_table(checkpoint: Path, queries: Path, tmp_path: Path) -> None:
    """Though it was asked to return predictions, which is anomalib's default."""
    watch, table = Watch(), tmp_path / "table.csv"
    engine = Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1, callbacks=[watch])
    assert engine.predict(tiny(results=table), data_path=queries, ckpt_path=checkpoint) is None
    assert watch.held == 0
    expected = rows_of(engine.predict(tiny(), data_path=queries, ckpt_path=checkpoint))
    assert watch.held > 0
    assert_same_rows(read_predictions(table), expected)


def test_a_folder_in_batches(checkpoint: Path, queries: Path, engine: Engine) -> None:
    """Resized before they are put together, and not twice."""
    batches: Any = engine.predict(tiny(), datamodule=PredictFolder(queries, batch_size=4), ckpt_path=checkpoint)
    assert [len(batch.image_path) for batch in batches] == [4, 3]
    one_by_one = rows_of(engine.predict(tiny(), data_path=queries, ckpt_path=checkpoint))
    assert_same_rows(rows_of(batches), one_by_one)


def test_a_folder_without_checkpoint_and_with_damaged_images(queries: Path, engine: Engine, tmp_path: Path) -> None:
    damage(queries / "005.png")
    table = tmp_path / "table.csv"
    engine.predict(tiny(results=table), datamodule=PredictFolder(queries, 2, unreadable="skip"))
    assert len(list(read_predictions(table))) == 6
    with pytest.raises(ValueError, match=r"Cannot read the image .*005\.png"):
        engine.predict(tiny(results=tmp_path / "other.csv"), datamodule=PredictFolder(queries, 2))
    assert not (tmp_path / "other.csv").exists()
    assert draft_of(tmp_path / "other.csv").exists()


def test_a_checkpoint_writes_no_table(tmp_path: Path, engine: Engine, queries: Path) -> None:
    """It may be loaded where there is no such folder, and for other images."""
    data = SyntheticDefects(tmp_path / "data", "gear", image_size=64, num_train_images=2)
    engine.validate(tiny(results=tmp_path / "table.csv"), datamodule=data)
    path = engine.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    assert torch.load(path, weights_only=True)["hyper_parameters"]["results"] is None
    assert engine.predict(AdaptCLIP.load_from_checkpoint(path), data_path=queries) is not None


def test_images_without_paths_make_no_table(engine: Engine, tmp_path: Path, queries: Path) -> None:
    class Nameless(PredictDataset):
        def __getitem__(self, index: int) -> Any:
            item = super().__getitem__(index)
            item.image_path = None
            return item

    with pytest.raises(ValueError, match="the batch has no image_path"):
        engine.predict(tiny(results=tmp_path / "table.csv"), dataset=Nameless(queries))


def test_a_model_that_cannot_be_prepared_leaves_the_draft(engine: Engine, tmp_path: Path, queries: Path) -> None:
    draft_of(tmp_path / "table.csv").write_text("of an earlier run")
    with pytest.raises(ValueError, match="k_shot=2 needs normal images"):
        engine.predict(tiny(results=tmp_path / "table.csv", k_shot=2), data_path=queries)
    assert draft_of(tmp_path / "table.csv").read_text() == "of an earlier run"


def test_a_table_that_cannot_be_made_is_told_before_the_model_is_prepared(
    engine: Engine, tmp_path: Path, queries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(AdaptCLIP, "prepare", lambda _: pytest.fail("too late"))
    with pytest.raises(ValueError, match=r"is a file and no folder\. Name another file"):
        engine.predict(tiny(results=tmp_path / "file" / "table.csv"), data_path=queries)


def test_a_wrong_table_is_told_before_clip_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomalib_adaptclip.model.lightning_model.load_clip", lambda *_: pytest.fail("too late"))
    with pytest.raises(ValueError, match=r"a file named \*.csv or \*.parquet; got table"):
        tiny(results="table")


# Several processes


def test_two_processes_write_a_shard_each(queries: Path, tmp_path: Path) -> None:
    """An uneven number of images, none lost, none twice, by anomalib's own reader and by ours."""
    [expected] = [prediction_rows(*batch) for batch in AdaptCLIPPredictor(tiny()).stream(sorted(queries.iterdir()))]
    model = ["AdaptCLIP", *(f"--model.{part[2:]}" if part.startswith("--") else part for part in SMALL)]
    trainer = ["accelerator", "cpu", "devices", "2", "strategy", "ddp"]
    ours = ["PredictFolder", "--data.path", str(queries), "--data.batch_size", "2"]
    for name, data in (("theirs", [str(queries)]), ("ours", ours)):
        command = ["predict", "--model", *model, "--model.results", f"{name}.csv", "--model.visualizer", "false"]
        command += ["--model.save", "[maps,jsonl]"]
        command += ["--data", *data, *(f"--trainer.{part}" if i % 2 == 0 else part for i, part in enumerate(trainer))]
        done = subprocess.run(
            [str(Path(sys.executable).parent / "anomalib"), *command],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        shards = [list(read_predictions(tmp_path / f"{name}-{rank}-of-2.csv")) for rank in range(2)]
        assert sorted(map(len, shards)) == [3, 4]
        maps = [sorted((tmp_path / f"{name}-{rank}-of-2-maps").glob("*")) for rank in range(2)]
        assert [len(files) for files in maps] == [len(shard) for shard in shards]
        assert [list(read_predictions(tmp_path / f"{name}-{rank}-of-2.jsonl")) for rank in range(2)] == shards
        assert_same_rows(sorted(row for shard in shards for row in shard), expected)
        assert not (tmp_path / f"{name}.csv").exists()


def test_fewer_images_than_processes(queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(default_root_dir=tmp_path, accelerator="cpu", devices=1)
    monkeypatch.setattr("lightning.pytorch.Trainer.world_size", 2)
    with pytest.raises(ValueError, match=r"2 processes need an image each .*, got 1\. Use .* or PredictFolder"):
        engine.predict(tiny(), data_path=queries / "000.png")
