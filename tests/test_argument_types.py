# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Arguments of a wrong type, or without a meaning, are told by name wherever they are given."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from anomalib_adaptclip import (
    AbnormalFolder,
    AdaptCLIP,
    AdaptCLIPModel,
    AdaptCLIPPredictor,
    AdaptCLIPTraining,
    DTDSynthetic,
    LabelledFolder,
    PredictFolder,
    PromptBank,
    QueryPromptDataModule,
    SyntheticDefects,
)
from anomalib_adaptclip.argument_types import require_at_least, require_types
from anomalib_adaptclip.clip import load_clip
from anomalib_adaptclip.comparison import read_sweep, run_all
from anomalib_adaptclip.comparison.ablation import read_rows, run_rows
from anomalib_adaptclip.comparison.report import write_report
from anomalib_adaptclip.data.check import check_data_set
from anomalib_adaptclip.data.image_files import enough_workers, list_image_files
from anomalib_adaptclip.data.rendering import render_sample
from anomalib_adaptclip.paper import read_table
from anomalib_adaptclip.prompts.memory import PromptMemory
from anomalib_adaptclip.prompts.selection import Shots

# The check


def function(
    count: int = 0,
    rate: float = 0.1,
    flag: bool = True,
    name: str = "",
    path: Path | str | None = None,
    size: int | tuple[int, int] | None = None,
    names: Sequence[Literal["a", "b"]] = (),
    table: Mapping[str, int] | None = None,
    anything: Any = None,
    tensor: torch.Tensor | None = None,
    do: Callable[[int], int] | None = None,
) -> None:
    """Something that takes arguments of all kinds."""


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"count": 3, "rate": 1, "flag": False, "name": "a", "path": "a", "size": (1, 2), "names": ("a",)},
        {"count": np.int64(3), "rate": np.float32(0.5), "flag": np.bool_(False), "size": [1, 2], "names": ["b", "a"]},
        {"name": "", "path": Path("a"), "size": 3, "table": {"a": 1}, "anything": object(), "do": abs},
        {"tensor": torch.zeros(1), "no argument": 3},
    ],
)
def test_what_fits(values: dict[str, Any]) -> None:
    require_types(function, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": "1"}, "count must be an int; got '1'."),
        ({"count": 1.0}, "count must be an int; got 1.0."),
        ({"count": True}, "count must be an int; got True."),
        ({"count": None}, "count must be an int; got None."),
        ({"count": 2**64}, "count must be an int; got 18446744073709551616."),
        ({"rate": float("nan")}, "rate must be a finite number; got nan."),
        ({"rate": float("inf")}, "rate must be a finite number; got inf."),
        ({"rate": False}, "rate must be a finite number; got False."),
        ({"flag": "false"}, "flag must be True or False; got 'false'."),
        ({"flag": 0}, "flag must be True or False; got 0."),
        ({"name": 3}, "name must be a text; got 3."),
        ({"path": ""}, "path must be a path or None; got ''."),
        ({"path": 3}, "path must be a path or None; got 3."),
        ({"size": 56.0}, "size must be an int, (an int, an int) or None; got 56.0."),
        ({"size": (1, 2, 3)}, "size must be an int, (an int, an int) or None; got (1, 2, 3)."),
        ({"names": "a"}, "names must be a list, each one of ['a', 'b']; got 'a'."),
        ({"names": [1]}, "names must be a list, each one of ['a', 'b']; got [1]."),
        ({"table": [1]}, "table must be a dictionary or None; got [1]."),
        ({"table": {1: 1}}, "table must be a dictionary or None; got {1: 1}."),
        ({"tensor": [1]}, "tensor must be a Tensor or None; got [1]."),
        ({"name": b"x" * 200}, f"name must be a text; got {repr(b'x' * 200)[:100]}...."),
    ],
)
def test_what_does_not(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        require_types(function, values)
    assert str(error.value) == message


def test_numbers_too_small() -> None:
    require_at_least(1, count=1)
    with pytest.raises(ValueError, match="count must be at least 1; got 0"):
        require_at_least(1, count=0)


# Who checks

TINY: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": 56, "visualizer": False}


@pytest.fixture(scope="module")
def model() -> AdaptCLIP:
    return AdaptCLIP(**TINY)


TARGETS: dict[str, tuple[Any, dict[str, Any]]] = {
    "AdaptCLIP": (AdaptCLIP, TINY),
    "AdaptCLIPTraining": (AdaptCLIPTraining, TINY),
    "AdaptCLIPModel": (AdaptCLIPModel, {"clip": load_clip("tiny", "seed-0").clip, "layers": (2,), "first_vv_block": 3}),
    "AdaptCLIPPredictor": (AdaptCLIPPredictor, {"model": None}),
    "from_checkpoint": (AdaptCLIPPredictor.from_checkpoint, {"path": "model.ckpt"}),
    "PredictFolder": (PredictFolder, {"path": "images"}),
    "QueryPromptDataModule": (QueryPromptDataModule, {"base": "MVTecAD"}),
    "AbnormalFolder": (AbnormalFolder, {"name": "mine", "root": "mine"}),
    "LabelledFolder": (LabelledFolder, {"name": "mine", "root": "mine"}),
    "DTDSynthetic": (DTDSynthetic, {}),
    "SyntheticDefects": (SyntheticDefects, {}),
    "PromptBank": (PromptBank, {"model": None}),
    "PromptBank.load": (PromptBank.load, {"path": "bank.safetensors", "model": None}),
    "PromptMemory": (PromptMemory, {}),
    "Shots": (Shots, {}),
    "render_sample": (render_sample, {"category": "gear", "index": 0}),
    "list_image_files": (list_image_files, {"path": "images"}),
    "read_sweep": (read_sweep, {"path": Path("sweep.yaml")}),
    "read_rows": (read_rows, {"folder": Path("rows")}),
    "run_rows": (run_rows, {"rows": [], "data": {}, "output": Path("rows")}),
    "run_all": (run_all, {"runs": []}),
    "check_data_set": (check_data_set, {"name": "mvtec"}),
    "write_report": (write_report, {"results": Path("results")}),
    "read_table": (read_table, {"number": 1}),
}


def names_of(function: Any) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind in kinds]


@pytest.mark.parametrize("target", TARGETS)
def test_each_argument_is_checked(target: str, model: AdaptCLIP) -> None:
    """Any object is none of the right type."""
    function, arguments = TARGETS[target]
    inner = model if target == "AdaptCLIPPredictor" else model.model
    arguments = {name: inner if name == "model" else value for name, value in arguments.items()}
    for name in names_of(function):
        if (target, name) == ("AdaptCLIPModel", "clip"):
            continue  # a TypeError that says what a CLIP must be
        with pytest.raises(ValueError, match=rf"^{name} must be .*; got <object object at [^\n]*$"):
            list(function(**arguments | {name: object()}) or ())


def test_methods_check_too(model: AdaptCLIP) -> None:
    bank, predictor = PromptBank(model.model, "tiny"), AdaptCLIPPredictor(model)
    wrong: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
        (bank.add, {"name": "", "images": torch.zeros(1, 3, 56, 56)}, "needs a name; got an empty one"),
        (bank.add, {"name": "a", "images": [1]}, "images must be a Tensor"),
        (bank.remove, {"name": 3}, "name must be a text"),
        (bank.save, {"path": 3}, "path must be a path"),
        (model.model.set_prompts, {"images": "a.png"}, "images must be a Tensor"),
        (model.model.load_adapters, {"source": 3}, "path must be a path; got 3"),
        (model.read_images, {"files": "a.png"}, "files must be a list"),
        (predictor, {"images": torch.zeros(1, 3, 56, 56), "categories": "a"}, "categories must be a list"),
        (predictor, {"images": torch.zeros(1, 3, 56, 56), "categories": ["a"]}, "no prompt bank that knows them"),
        (predictor.stream, {"files": [], "batch_size": "8"}, "batch_size must be an int; got '8'"),
        (predictor.stream, {"files": [], "num_workers": -1}, "num_workers must be at least 0; got -1"),
        (predictor.stream, {"files": [3]}, "files must be a list, each a path"),
    ]
    for method, arguments, message in wrong:
        with pytest.raises(ValueError, match=message):
            method(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k_shot": "1"}, "k_shot must be an int; got '1'"),
        ({"k_shot": True}, "k_shot must be an int; got True"),
        ({"image_size": 56.0}, "image_size must be an int, "),
        ({"image_size": 0}, "multiple of the backbone's patch, 14 pixels; got 0x0"),
        ({"prompt_budget": "5"}, "prompt_budget must be an int or None; got '5'"),
        ({"context": "false"}, "context must be True or False; got 'false'"),
        ({"adapter_names": "visual"}, "adapter_names must be a list"),
        ({"adapter_names": ["visual", "visual"]}, r"Each adapter can be named once; got \['visual', 'visual'\]"),
        ({"revision": "main"}, "with adapters='auto' and the backbone tiny none are downloaded; got 'main'"),
        ({"pretrained": ""}, "pretrained must be a path or None; got ''"),
        ({"few_shot_source": "", "k_shot": 1}, "few_shot_source must be a path or None; got ''"),
        ({"topk": 0}, "topk must be at least 1; got 0"),
        ({"topk": "10"}, "topk must be an int; got '10'"),
        ({"seed": 1.5}, "seed must be an int; got 1.5"),
        ({"false_positive_rate": float("nan"), "calibration": "normal", "k_shot": 2}, "finite number; got nan"),
        ({"false_positive_rate": 0.2}, "false_positive_rate=0.2 is for calibration='normal'"),
        ({"unknown_category": "error"}, "unknown_category='error' is for a prompt bank"),
        ({"pre_processor": 3}, "pre_processor must be a Module or True or False; got 3"),
        ({"evaluator": "false"}, "evaluator must be a Evaluator or True or False; got 'false'"),
    ],
)
def test_wrong_arguments_of_the_model(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptCLIP(**TINY | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"learning_rate": 0}, "learning_rate must be more than 0, such as 0.001; got 0"),
        ({"learning_rate": True}, "learning_rate must be a finite number; got True"),
        ({"betas": (0.5, 1)}, "betas must be two numbers from 0 to less than 1"),
        ({"betas": 0.5}, r"betas must be \(a finite number, a finite number\); got 0.5"),
        ({"hidden_dim": 0}, "hidden_dim must be at least 1; got 0"),
        ({"reduction": 10**6}, "reduction divides the width of the tokens, 128; got 1000000"),
    ],
)
def test_wrong_arguments_of_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptCLIPTraining(**TINY | options)


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (QueryPromptDataModule, {"base": "MVTecAD", "target_root": "a"}, "target_root say more of a target, and there"),
        (
            QueryPromptDataModule,
            {"base": "MVTecAD", "target_args": {}, "target_categories": ["a"]},
            "target_categories, target_args say more of a target",
        ),
        (QueryPromptDataModule, {"base": "MVTecAD", "base_categories": "bottle"}, "base_categories must be a list"),
        (QueryPromptDataModule, {"base": "MVTecAD", "train_batch_size": 0}, "train_batch_size must be at least 1"),
        (QueryPromptDataModule, {"base": "MVTecAD", "num_workers": -1}, "num_workers must be at least 0"),
        (SyntheticDefects, {"image_size": 63}, "image_size must be at least 64, got 63"),
        (SyntheticDefects, {"num_workers": -1}, "num_workers must be at least 0; got -1"),
        (SyntheticDefects, {"train_batch_size": "8"}, "train_batch_size must be an int; got '8'"),
        (DTDSynthetic, {"val_split_ratio": "0.5"}, "val_split_ratio must be a finite number or None; got '0.5'"),
        (DTDSynthetic, {"eval_batch_size": 0}, "eval_batch_size must be at least 1; got 0"),
    ],
)
def test_wrong_arguments_of_data_modules(module: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(**options)


def test_numbers_of_numpy_are_numbers(tmp_path: Path, write_images: Any) -> None:
    """Also in a checkpoint, which holds plain data, and in the file beside generated images."""
    source = write_images("good", 2)
    model = AdaptCLIP(**TINY | {"k_shot": np.int64(2), "few_shot_source": source, "seed": np.int32(3)})
    model = model.eval()
    assert len(model(torch.rand(1, 3, 56, 56)).pred_score) == 1
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "model.ckpt")
    saved = torch.load(tmp_path / "model.ckpt", weights_only=True)["hyper_parameters"]
    assert (saved["k_shot"], saved["seed"]) == (2, 3)
    few: dict[str, Any] = {"num_train_images": 1, "num_normal_test_images": 1, "num_images_per_defect": 1}
    few = {name: np.int64(value) for name, value in few.items()} | {"image_size": np.int64(64)}
    SyntheticDefects(tmp_path / "data", "gear", **few).prepare_data()


# Workers


@pytest.mark.parametrize(("wanted", "images", "expected"), [(40, 1, 1), (40, 17, 3), (2, 100, 2), (0, 5, 0), (3, 0, 0)])
def test_no_more_workers_than_batches(wanted: int, images: int, expected: int) -> None:
    assert enough_workers(wanted, images, batch_size=8) == expected


def test_a_folder_starts_no_idle_workers(write_images: Any) -> None:
    assert PredictFolder(write_images("images", 3), batch_size=2, num_workers=40).predict_dataloader().num_workers == 2
