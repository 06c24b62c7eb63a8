# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""One model, many categories: the prompt bank alone, in anomalib's Engine, and on the command line."""

import copy
import json
import logging
import os
import pickle
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
import torch
from anomalib import LearningType
from anomalib.engine import Engine
from safetensors import safe_open
from safetensors.torch import save_file

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, PromptBank, SyntheticDefects
from anomalib_adaptclip.files.locks import locked
from anomalib_adaptclip.prompts.bank_file import read_bank, write_bank
from anomalib_adaptclip.prompts.categories import categories_by_path, categories_of, category_of_folder
from anomalib_adaptclip.prompts.selection import prompts_from_folder
from anomalib_adaptclip_cli.main import main
from tests.files.test_tensors import full_disk

SIZE = 56


def images(count: int, seed: int, size: int = SIZE) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def bank(golden_model: AdaptCLIPModel) -> PromptBank:
    """One good bottle, two good cables."""
    bank = PromptBank(golden_model)
    bank.add("bottle", images(1, seed=1))
    bank.add("cable", images(2, seed=2))
    return bank


def predict(bank: PromptBank, queries: torch.Tensor, categories: list[str]) -> Any:
    """What the bank's model says, each image with the prompts of its category."""
    return model_of(bank).detect(queries, categories, bank)


def model_of(bank: PromptBank) -> Any:
    """A bank knows of its model only that it encodes."""
    return bank.model


def alone(model: AdaptCLIPModel, queries: torch.Tensor, prompts: torch.Tensor | None) -> Any:
    """What the model says with one set of prompts, or without."""
    model.clear_prompts()
    if prompts is not None:
        model.set_prompts(prompts)
    return model(queries)


# The bank


def test_a_mixed_batch_is_each_image_with_its_own_prompts(bank: PromptBank) -> None:
    queries = images(5, seed=3)
    found = predict(bank, queries, ["cable", "bottle", "screw", "cable", "bottle"])
    prompts = {"bottle": images(1, seed=1), "cable": images(2, seed=2), "screw": None}
    for name, rows in {"cable": [0, 3], "bottle": [1, 4], "screw": [2]}.items():
        expected = alone(model_of(bank), queries[rows], prompts[name])
        torch.testing.assert_close(found.pred_score[rows], expected.pred_score, rtol=0, atol=1e-5)
        torch.testing.assert_close(found.anomaly_map[rows], expected.anomaly_map, rtol=0, atol=1e-5)
    other = predict(bank, queries, ["bottle"] * 5)
    assert not torch.allclose(found.anomaly_map[0], other.anomaly_map[0], rtol=0, atol=1e-4)


def test_a_batch_may_be_empty(bank: PromptBank) -> None:
    found, one = predict(bank, images(0, seed=3), []), predict(bank, images(1, seed=3), ["cable"])
    torch.testing.assert_close(found.pred_score, torch.as_tensor(one.pred_score)[:0])
    torch.testing.assert_close(found.anomaly_map, torch.as_tensor(one.anomaly_map)[:0])


def test_adding_is_incremental(bank: PromptBank) -> None:
    """Two and one are three; what was there is not encoded again."""
    calls: list[int] = []
    encode = model_of(bank).encode

    def count(batch: torch.Tensor, layers: Any) -> Any:
        calls.append(len(batch))
        return encode(batch, layers)

    model_of(bank).encode = count
    bank.add("cable", images(1, seed=4))
    assert calls == [1]
    assert bank.k_shot("cable") == 3
    queries = images(2, seed=3)
    expected = alone(model_of(bank), queries, torch.cat([images(2, seed=2), images(1, seed=4)]))
    found = predict(bank, queries, ["cable", "cable"])
    torch.testing.assert_close(found.anomaly_map, expected.anomaly_map, rtol=0, atol=1e-5)


def test_removing(bank: PromptBank) -> None:
    bank.remove("bottle")
    assert bank.names == ["cable"]
    assert bank.k_shot("bottle") == 0
    with pytest.raises(ValueError, match=r"lacks 'bottle'; it has \['cable'\]"):
        bank.remove("bottle")


def test_unknown_categories_warn_once(bank: PromptBank, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        predict(bank, images(3, seed=3), ["screw", "cable", "pill"])
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [str(record.args[0]) for record in warnings if record.args] == ["screw", "pill"]  # type: ignore[index]
    assert "thresholds that were found with prompts do not fit them" in caplog.text


def test_unknown_categories_may_be_an_error(bank: PromptBank) -> None:
    bank.unknown_category = "error"
    model_of(bank).encode = lambda *_: pytest.fail("encoded before the check")
    with pytest.raises(ValueError, match=r"lacks \['screw', 'pill'\]; it has \['bottle', 'cable'\]"):
        predict(bank, images(3, seed=3), ["screw", "cable", "pill"])


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda bank: bank.add("", images(1, seed=0)), "needs a name"),
        (lambda bank: bank.add("pill", images(1, seed=0)[0]), r"at least one image \(K, 3, H, W\)"),
        (lambda bank: bank.add("pill", images(1, seed=0, size=84)), r"\(56, 56\) pixels; got \(84, 84\)"),
        (lambda bank: predict(bank, images(1, seed=0, size=84), ["cable"]), r"\(56, 56\) pixels; got \(84, 84\)"),
        (lambda bank: predict(bank, images(2, seed=0), ["cable"]), "got 2 images and 1 names"),
        (lambda bank: model_of(bank).detect(images(1, seed=0), bank=bank), "got 1 images and 0 names"),
        (lambda bank: model_of(bank).detect(images(1, seed=0), ["cable"]), "no prompt bank that knows them"),
        (
            lambda bank: PromptBank(model_of(bank), unknown_category=cast("Any", "skip")),
            "unknown_category must be one of",
        ),
    ],
)
def test_wrong_use(bank: PromptBank, use: Callable[[PromptBank], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use(bank)
    assert bank.names == ["bottle", "cable"]


def test_precision_and_budget_hold_for_each_set(golden_clip: Any) -> None:
    """16 patches an image at 56 px."""
    options: dict[str, Any] = {"adapters": (), "prompt_precision": "float16", "prompt_budget": 20}
    bank = PromptBank(AdaptCLIPModel(golden_clip, (1, 3, 4, 6), 3, **options).eval())
    for number in range(3):
        bank.add("cable", images(1, seed=number))
    [tokens] = bank._sets.values()
    assert tokens.dtype == torch.float16
    assert tokens.shape[:3] == (4, 3, 6)  # 18 patches, a multiple of the three images
    assert torch.as_tensor(predict(bank, images(1, seed=3), ["cable"]).anomaly_map).isfinite().all()


def test_precision_and_budget_hold_for_a_file(golden_clip: Any, bank: PromptBank, tmp_path: Path) -> None:
    """As if the bank had been made with them."""
    bank.save(tmp_path / "bank.safetensors")
    options: dict[str, Any] = {"adapters": (), "prompt_precision": "float16", "prompt_budget": 20}
    model = AdaptCLIPModel(golden_clip, (1, 3, 4, 6), 3, **options).eval()
    made = PromptBank(model)
    made.add("bottle", images(1, seed=1))
    made.add("cable", images(2, seed=2))
    loaded = PromptBank.load(tmp_path / "bank.safetensors", model)
    assert [loaded._sets[name].shape[:3] for name in ("bottle", "cable")] == [(4, 1, 16), (4, 2, 10)]
    torch.testing.assert_close(loaded._sets, made._sets, rtol=0, atol=0)


# Threads


def test_good_images_may_be_added_while_another_thread_predicts(golden_model: AdaptCLIPModel) -> None:
    """Each prediction is that with some number of good images, never of something in between."""
    bank, queries = PromptBank(golden_model), images(2, seed=3)
    expected = []
    for number in range(4):
        bank.add("cable", images(1, seed=10 + number))
        expected.append(predict(bank, queries, ["cable"] * 2).anomaly_map)
    bank.remove("cable")
    bank.add("cable", images(1, seed=10))

    found: list[torch.Tensor] = []
    done = threading.Event()

    def serve() -> None:
        while not done.is_set() or len(found) < 2:
            found.append(torch.as_tensor(predict(bank, queries, ["cable"] * 2).anomaly_map))

    server = threading.Thread(target=serve)
    server.start()
    for number in range(1, 4):
        bank.add("cable", images(1, seed=10 + number))
    done.set()
    server.join()
    for anomaly_map in found:
        assert min((anomaly_map - one).abs().max() for one in expected) < 1e-5


def test_a_prediction_goes_on_with_what_it_began_with(bank: PromptBank) -> None:
    queries = images(1, seed=3)
    expected = predict(bank, queries, ["cable"])
    encode = model_of(bank).encode

    def interrupted(batch: torch.Tensor, layers: Any) -> Any:
        model_of(bank).encode = encode
        bank.add("cable", queries)
        bank.remove("bottle")
        return encode(batch, layers)

    model_of(bank).encode = interrupted
    torch.testing.assert_close(predict(bank, queries, ["cable"]), expected)
    assert bank.k_shot("cable") == 3
    assert predict(bank, queries, ["cable"]).anomaly_map.max() < 1e-4 < expected.anomaly_map.max()


def test_of_two_that_add_none_is_lost(golden_model: AdaptCLIPModel) -> None:
    bank = PromptBank(golden_model)
    threads = [threading.Thread(target=bank.add, args=("cable", images(1, seed=number))) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bank.k_shot("cable") == 8


def test_a_bank_is_copied_and_pickled(bank: PromptBank) -> None:
    """As models are that hold one."""
    for other in (copy.deepcopy(bank), pickle.loads(pickle.dumps(bank))):  # noqa: S301
        queries = images(2, seed=3)
        torch.testing.assert_close(predict(other, queries, ["cable", "x"]), predict(bank, queries, ["cable", "x"]))


# The file


def test_a_file_brings_back_the_bank(bank: PromptBank, tmp_path: Path) -> None:
    path = tmp_path / "new" / "bank.safetensors"
    bank.add("__metadata__", images(1, seed=7))  # any name will do
    bank.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["bank.safetensors"]
    loaded = PromptBank.load(path, model_of(bank))
    assert sorted(loaded.names) == sorted(bank.names)
    assert [loaded.k_shot(name) for name in bank.names] == [1, 2, 1]
    queries = images(2, seed=3)
    torch.testing.assert_close(
        predict(loaded, queries, ["cable", "bottle"]), predict(bank, queries, ["cable", "bottle"]), rtol=0, atol=0
    )
    with pytest.raises(ValueError, match=r"got \(84, 84\)"):
        loaded.add("cable", images(1, seed=0, size=84))


def test_half_precision_stays_in_the_file(bank: PromptBank, tmp_path: Path) -> None:
    model_of(bank).prompt_memory.precision = "float16"
    bank.add("pill", images(1, seed=5))
    bank.save(tmp_path / "bank.safetensors")
    with safe_open(tmp_path / "bank.safetensors", "pt") as file:
        dtypes = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert dtypes == {
        "prompts.bottle": torch.float32,
        "prompts.cable": torch.float32,
        "prompts.pill": torch.float16,
    }


def test_the_file_has_the_permissions_of_new_files(
    bank: PromptBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out without setting the umask, which would be that of all threads."""
    set_umask = os.umask
    before = set_umask(0o027)
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was set"))
    try:
        bank.save(tmp_path / "bank.safetensors")
    finally:
        set_umask(before)
    assert [oct(file.stat().st_mode) for file in tmp_path.iterdir()] == ["0o100640"]


def test_an_empty_bank_is_saved_too(golden_model: AdaptCLIPModel, tmp_path: Path) -> None:
    PromptBank(golden_model).save(tmp_path / "bank.safetensors")
    assert PromptBank.load(tmp_path / "bank.safetensors", golden_model, image_size=(SIZE, SIZE)).names == []


def test_a_bank_of_another_model_is_refused(bank: PromptBank, golden_clip: Any, tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    bank.save(path)
    with pytest.raises(ValueError, match=r"another model: .* image_size \[56, 56\], not \[70, 56\]. Build"):
        PromptBank.load(path, bank.model, image_size=(70, 56))
    other = AdaptCLIPModel(golden_clip, (2, 4), 3, adapters=())
    with pytest.raises(ValueError, match=r"layers \[1, 3, 4, 6\], not \[2, 4\]"):
        PromptBank.load(path, other)
    with torch.no_grad():
        other.clip.visual.proj.add_(1)
    with pytest.raises(ValueError, match=r"fingerprint \w{16}, not \w{16}; layers"):
        PromptBank.load(path, other)


def test_what_is_no_bank_is_refused(golden_model: AdaptCLIPModel, tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    with pytest.raises(FileNotFoundError, match=r"There is no prompt bank .*bank-add"):
        PromptBank.load(path, golden_model)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged or not a safetensors file"):
        PromptBank.load(path, golden_model)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="is no prompt bank: its header says None"):
        PromptBank.load(path, golden_model)


def test_the_same_image_does_not_count_twice(bank: PromptBank, caplog: pytest.LogCaptureFixture) -> None:
    again = torch.cat([images(2, seed=2), images(1, seed=9), images(1, seed=9)])
    bank.add("cable", again)
    assert bank.k_shot("cable") == 3
    assert "3 images of 'cable' are copies of others in the prompt bank, and were not added." in caplog.text
    bank.add("cable", again)
    assert bank.k_shot("cable") == 3
    bank.add("bottle", again)  # another category
    assert bank.k_shot("bottle") == 4


def test_copies_are_known_after_reading(bank: PromptBank, tmp_path: Path) -> None:
    bank.remove("bottle")
    bank.save(tmp_path / "bank.safetensors")
    loaded = PromptBank.load(tmp_path / "bank.safetensors", model_of(bank))
    loaded.add("cable", images(2, seed=2))
    loaded.add("bottle", images(1, seed=1))
    assert [loaded.k_shot(name) for name in ("cable", "bottle")] == [2, 1]


def test_prompts_that_are_not_finite_are_refused(bank: PromptBank) -> None:
    bad = images(2, seed=5)
    bad[1, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"Tokens of the prompt images \[1\] of the batch are NaN or infinite"):
        bank.add("cable", bad)
    assert bank.k_shot("cable") == 2


TOKENS = torch.rand(4, 1, 16, 64)


@pytest.mark.parametrize(
    ("name", "tokens", "message"),
    [
        ("prompts.pill", TOKENS.index_put((torch.tensor(0),) * 4, torch.tensor(torch.nan)), r"NaN .* in prompts\.pill"),
        ("prompts.pill", TOKENS[0, 0, 0], r"expected floats \(4, K, L, D\) under prompts\.NAME, got prompts\.pill"),
        ("prompts.pill", TOKENS > 0, r"got prompts\.pill, torch\.bool of shape"),
        ("prompts.pill", TOKENS.int(), r"got prompts\.pill, torch\.int32 of shape"),
        ("prompts.pill", TOKENS[:, :0], r"of shape \(4, 0, 16, 64\)"),
        ("prompts.pill", TOKENS[:, :, :0], r"of shape \(4, 1, 0, 64\)"),
        ("prompts.pill", TOKENS[:2], r"of shape \(2, 1, 16, 64\)"),
        ("prompts.pill", TOKENS[..., :32], r"The prompts of 'pill' in .* are 32 wide, not 64"),
        ("pill", TOKENS, "got pill, torch.float32 of shape"),
    ],
)
def test_a_bank_that_is_wrong_inside(
    bank: PromptBank, tmp_path: Path, name: str, tokens: torch.Tensor, message: str
) -> None:
    save_file({name: tokens.contiguous()}, tmp_path / "bank.safetensors", metadata=bank.header().to_metadata())
    with pytest.raises(ValueError, match=message) as error:
        PromptBank.load(tmp_path / "bank.safetensors", model_of(bank))
    assert str(tmp_path / "bank.safetensors") in str(error.value)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("fingerprint", None),
        ("fingerprint", ""),
        ("layers", "3"),
        ("image_size", "[1]"),
        ("images", "[1]"),
        ("images", "x"),
    ],
)
def test_a_header_that_is_damaged(bank: PromptBank, tmp_path: Path, entry: str, value: str | None) -> None:
    metadata = {key: text for key, text in (bank.header().to_metadata() | {entry: value}).items() if text is not None}
    save_file({"prompts.pill": TOKENS}, tmp_path / "bank.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=r"bank\.safetensors is a prompt bank with a damaged header .* Make the bank"):
        PromptBank.load(tmp_path / "bank.safetensors", model_of(bank))


def test_a_bank_behind_a_link_stays_there(bank: PromptBank, tmp_path: Path) -> None:
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "bank.safetensors")
    bank.save(tmp_path / "link.safetensors")
    assert (tmp_path / "link.safetensors").is_symlink()
    assert (tmp_path / "bank.safetensors").is_file()


# Categories


def test_the_nearest_known_folder_names_the_category() -> None:
    known = {"cable", "bottle"}
    for path, expected in {
        "/data/bottle/0.png": "bottle",
        "/data/bottle/test/broken/rgb/0.png": "bottle",
        "/data/bottle/a/b/c/d/0.png": "d",  # too far above
        "/cable/bottle/test/0.png": "bottle",
        "/data/screw/0.png": "screw",
    }.items():
        assert category_of_folder(path, known) == expected


def test_function_then_field_then_column_then_folder() -> None:
    batch: Any = SimpleNamespace(image_path=["/a/x.png", "/b/y.png"], category=["c", "d"])
    assert categories_of(batch, ["a", "b"], {}, lambda path: path[-5]) == ["x", "y"]
    assert categories_of(batch, ["a", "b"], {"/a/x.png": "e"}, None) == ["c", "d"]
    batch.category = None
    assert categories_of(batch, ["a", "b"], {"/a/x.png": "e"}, None) == ["e", "b"]
    batch.image_path = None
    with pytest.raises(ValueError, match="no paths to tell it by"):
        categories_of(batch, ["a", "b"], {}, None)


def test_the_column_of_a_data_module() -> None:
    samples = pd.DataFrame({"image_path": ["a.png", "b.png"], "category": ["cable", "bottle"]})
    datamodule: Any = SimpleNamespace(
        val_data=SimpleNamespace(samples=pd.DataFrame({"image_path": ["c.png"]})),
        test_data=SimpleNamespace(samples=samples),
    )
    assert categories_by_path(datamodule) == {"a.png": "cable", "b.png": "bottle"}
    assert categories_by_path(None) == {}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["cable", float("nan")], {"a.png": "cable"}),
        (["cable", None], {"a.png": "cable"}),
        ([pd.NA, "cable"], {"b.png": "cable"}),
        ([1, 20], {"a.png": "1", "b.png": "20"}),
        ([1, None], {"a.png": "1"}),
    ],
)
def test_numbers_and_gaps_in_the_column(column: list[Any], expected: dict[str, str]) -> None:
    """Names are text, as those of folders and of the bank; the folder tells where the column does not."""
    samples = pd.DataFrame({"image_path": ["a.png", "b.png"], "category": column})
    datamodule: Any = SimpleNamespace(test_data=SimpleNamespace(samples=samples))
    assert categories_by_path(datamodule) == expected


# In anomalib


def tiny(**options: Any) -> AdaptCLIP:
    defaults: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": SIZE, "visualizer": False}
    return AdaptCLIP(**defaults | options)


@pytest.fixture
def good(write_images: Callable[..., Path]) -> dict[str, Path]:
    """Folders of good images."""
    return {"bottle": write_images("good/bottle", 1), "cable": write_images("good/cable", 2)}


@pytest.fixture
def bank_file(good: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "bank.safetensors"
    for name, folder in good.items():
        options = ["--backbone", "tiny", "--pretrained", "seed-0", "--image_size", str(SIZE)]
        assert main(["bank-add", str(path), name, str(folder), *options]) == 0
    return path


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[], Engine]:
    return lambda: Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)


def by_path(predictions: Any) -> dict[str, torch.Tensor]:
    return {
        path: score for batch in predictions for path, score in zip(batch.image_path, batch.pred_score, strict=True)
    }


def test_predict_on_a_folder_of_categories(
    bank_file: Path,
    good: dict[str, Path],
    write_images: Callable[..., Path],
    engine: Callable[[], Engine],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folders = {name: write_images(f"queries/{name}", 2) for name in ("bottle", "cable", "screw")}
    model = tiny(prompt_bank=str(bank_file))
    assert model.learning_type == LearningType.FEW_SHOT
    found = by_path(engine().predict(model, data_path=tmp_path / "queries"))
    assert len(found) == 6
    assert "lacks 'screw'" in caplog.text
    for name, folder in folders.items():
        prompts = {"k_shot": len(list(good[name].iterdir())), "few_shot_source": good[name]} if name in good else {}
        for path, score in by_path(engine().predict(tiny(**prompts), data_path=folder)).items():
            torch.testing.assert_close(found[path], score, rtol=0, atol=1e-5)

    model.category_of = lambda path: "bottle" if "cable" in path else "cable"
    swapped = by_path(engine().predict(model, data_path=folders["cable"]))
    assert all(abs(swapped[path] - found[path]) > 1e-5 for path in swapped)


def test_test_and_checkpoint(
    bank_file: Path, engine: Callable[[], Engine], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The data module's category is a folder above its images; the bank stays in its file."""
    datamodule = SyntheticDefects(
        tmp_path, "gear", image_size=64, num_train_images=2, num_normal_test_images=2, num_images_per_defect=1
    )
    model, first = tiny(prompt_bank=bank_file, unknown_category="error"), engine()
    with pytest.raises(ValueError, match="lacks"):
        first.test(model, datamodule=datamodule)
    assert model.prompt_bank is not None
    files = sorted((tmp_path / "gear" / "train" / "good").iterdir())
    model.prompt_bank.add("gear", model.read_images(files))
    model.prompt_bank.save(bank_file)
    [metrics] = first.test(model, datamodule=datamodule)
    [expected] = engine().test(tiny(k_shot=2, few_shot_source=files[0].parent), datamodule=datamodule)
    assert metrics["pixel_AUROC"] == pytest.approx(expected["pixel_AUROC"], abs=1e-4)

    first.validate(model, datamodule=datamodule)
    checkpoint = first.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    loaded: Any = AdaptCLIP.load_from_checkpoint(checkpoint)
    assert loaded.prompt_bank.names == ["bottle", "cable", "gear"]
    assert torch.load(checkpoint, weights_only=True)["hyper_parameters"]["prompt_bank"] == str(bank_file)
    assert "thresholds do not fit" not in caplog.text
    assert AdaptCLIP.load_from_checkpoint(checkpoint, prompt_bank=None).prompt_bank is None
    assert f"made with a prompt bank, {bank_file}, and the model has no prompts" in caplog.text


def test_precision_and_budget_of_a_model_hold_for_its_bank(bank_file: Path) -> None:
    model = tiny(prompt_bank=bank_file, prompt_precision="float16", prompt_budget=6)
    assert model.prompt_bank is not None
    for tokens in model.prompt_bank._sets.values():
        assert (tokens.dtype, tokens[0].shape[:2].numel()) == (torch.float16, 6)


def test_images_alone_do_not_tell_their_categories(bank_file: Path) -> None:
    with pytest.raises(ValueError, match="With a prompt bank each image needs its category"):
        tiny(prompt_bank=bank_file)(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k_shot": 1}, ValueError, "or by k_shot=1, not both"),
        ({"unknown_category": "skip"}, ValueError, "unknown_category must be one of"),
        ({"prompt_bank": "nowhere.safetensors"}, FileNotFoundError, "There is no prompt bank nowhere.safetensors"),
        ({"image_size": 70}, ValueError, r"image_size \[56, 56\], not \[70, 70\]"),
    ],
)
def test_wrong_arguments(bank_file: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny(**{"prompt_bank": bank_file} | options)


# The command line


def test_commands(bank_file: Path, good: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Backbone and size come out of the file."""
    main(["bank-add", str(bank_file), "bottle", str(good["cable"]), "--k_shot", "1", "--pretrained", "seed-0"])
    assert "bottle has 2 good images" in capsys.readouterr().out
    main(["bank-list", str(bank_file)])
    bottle, cable = capsys.readouterr().out.splitlines()
    assert bottle == "bottle: 2 good images; not calibrated (give all of them to bank-add, two at least)"
    assert re.fullmatch(
        r"cable: 2 good images; thresholds 0\.\d{4} \(image\) and 0\.\d{4} \(pixels\) by 2 of them for 0\.1 false.*",
        cable,
    )
    main(["bank-remove", str(bank_file), "cable"])
    assert capsys.readouterr().out == f"{bank_file}: cable is removed.\n"
    main(["bank-list", str(bank_file)])
    assert capsys.readouterr().out.splitlines() == [bottle]
    with safe_open(bank_file, "pt") as file:
        assert json.loads(file.metadata()["image_size"]) == [SIZE, SIZE]
        assert file.metadata()["backbone"] == "tiny"


def test_options_of_a_command_hold_for_its_category(bank_file: Path, good: dict[str, Path]) -> None:
    before = read_bank(bank_file)[0]
    options = ["--pretrained", "seed-0", "--prompt_budget", "6", "--prompt_precision", "float16"]
    main(["bank-add", str(bank_file), "pill", str(good["cable"]), *options])
    after = read_bank(bank_file)[0]
    pill = after.pop("pill")
    assert (pill.dtype, pill.shape[1:3]) == (torch.float16, (2, 3))
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("bank-add {bank} pill {good} --pretrained seed-0", {"bottle", "cable", "screw", "pill"}),
        ("bank-remove {bank} cable", {"bottle", "screw"}),
    ],
)
def test_of_two_commands_that_write_one_waits(
    bank_file: Path, good: dict[str, Path], command: str, names: set[str]
) -> None:
    other = threading.Thread(target=main, args=(command.format(bank=bank_file, good=good["cable"]).split(),))
    with locked(bank_file, wait=True):
        sets, header = read_bank(bank_file)
        other.start()
        other.join(timeout=2)
        write_bank(bank_file, sets | {"screw": sets["cable"].clone()}, header)
    other.join()
    assert set(read_bank(bank_file)[0]) == names


def test_errors_of_commands(bank_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, message in {
        ("bank-remove", str(bank_file), "screw"): "lacks 'screw'",
        ("bank-list", str(tmp_path / "other")): "There is no prompt bank",
        ("bank-add", str(bank_file), "screw", str(tmp_path / "other")): "folder must be a folder of normal images",
    }.items():
        with pytest.raises(SystemExit) as left:
            main(command)
        assert left.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("k_shot", ["0", "-1"])
def test_a_number_of_shots_is_positive(
    bank_file: Path, good: dict[str, Path], k_shot: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bank_file.read_bytes()
    with pytest.raises(SystemExit):
        main(["bank-add", str(bank_file), "bottle", str(good["cable"]), "--k_shot", k_shot])
    assert f"at least 1; got {k_shot}." in capsys.readouterr().err
    assert bank_file.read_bytes() == before


def test_only_regular_files_are_good_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    for name in ("folder.png/a.png", "b.png"):
        (tmp_path / name).touch()
    assert prompts_from_folder(tmp_path) == [str(tmp_path / "b.png"), str(tmp_path / "folder.png" / "a.png")]
    assert all(name in caplog.text for name in ("folder.png", "pipe.png", "broken.png"))


def test_a_full_disk_leaves_the_bank(
    bank_file: Path, good: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = bank_file.read_bytes()
    with full_disk(), pytest.raises(SystemExit) as ended:
        main(["bank-add", str(bank_file), "pill", str(good["cable"]), "--pretrained", "seed-0"])
    assert ended.value.code == 2
    assert re.search(r"Cannot write .*\. Free space, or name a folder", capsys.readouterr().err)
    assert bank_file.read_bytes() == before
