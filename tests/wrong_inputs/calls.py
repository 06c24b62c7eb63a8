# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Runs what a row says."""

import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import anomalib_adaptclip
from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, AdaptCLIPPredictor, PromptBank, clip
from anomalib_adaptclip.comparison import list_runs, read_sweep
from anomalib_adaptclip.comparison.ablation import ablation_table, read_rows
from anomalib_adaptclip.comparison.gallery_file import unpack
from anomalib_adaptclip.comparison.report import write_report
from anomalib_adaptclip.data.check import check_data_set
from anomalib_adaptclip.data.image_files import list_image_files
from anomalib_adaptclip.data.rendering import render_sample
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.paper import read_table
from anomalib_adaptclip.prompts.memory import PromptMemory
from anomalib_adaptclip.results.prediction_table import PredictionTable, read_predictions
from anomalib_adaptclip_cli.main import main

NAME = "anomalib-adaptclip"
TINY: dict[str, Any] = {"backbone": "tiny", "image_size": 56, "visualizer": False}
WORDS = {  # what a table cannot show
    "LONG": "x" * 5000,
    "LONG.csv": "x" * 300 + ".csv",
    "NUL": "a\0b",
    "BYTES": "caf\udce9",
    "NEWLINE": "a\nb",
}


@cache
def special_values(model: AdaptCLIP) -> dict[str, Any]:
    """Values that YAML has not, by the names that the tables give them."""
    return WORDS | {
        "MODEL": model.model,
        "ADAPTCLIP": model,
        "CLIP": model.model.clip,
        "OBJECT": 1j,
        "BINARY": b"abc",
        "ONES": torch.ones(1, 3, 56, 56),
        "NANS": torch.full((1, 3, 56, 56), float("nan")),
        "BRIGHT": torch.full((1, 3, 56, 56), 255.0),
        "GREY": torch.ones(1, 1, 56, 56),
        "ODD": torch.ones(1, 3, 50, 50),
        "NONE": torch.ones(0, 3, 56, 56),
        "VECTOR": torch.ones(3),
        "PLANE": np.ones((56, 56, 5), np.float32),
        "DARK": np.full((56, 56), -1.0, np.float32),
        "WHOLE": np.full((56, 56), 300, np.int32),
        "NANARRAY": np.full((56, 56), np.nan, np.float32),
        "TEXTS": np.array([["a"]]),
        "VOID": np.ones((0, 3), np.uint8),
    }


@cache
def functions(model: AdaptCLIP) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """What is called by name, and arguments that are right."""
    inner, training = model.model, {name: value for name, value in TINY.items() if name != "visualizer"}
    layers = {"clip": inner.clip, "layers": (2,), "first_vv_block": 3}
    bank = PromptBank(inner, "tiny")
    bank.add("gear", torch.rand(1, 3, 56, 56))
    predictor = AdaptCLIPPredictor(model)
    package = anomalib_adaptclip
    return {
        "AdaptCLIP": (AdaptCLIP, TINY),
        "AdaptCLIP.load_from_checkpoint": (AdaptCLIP.load_from_checkpoint, {"checkpoint_path": "model.ckpt"}),
        "AdaptCLIP.read_images": (model.read_images, {}),
        "AdaptCLIPTraining": (package.AdaptCLIPTraining, training),
        "AdaptCLIPModel": (AdaptCLIPModel, layers),
        "AdaptCLIPModel.forward": (inner, {}),
        "AdaptCLIPModel.set_prompts": (inner.set_prompts, {}),
        "AdaptCLIPModel.load_adapters": (inner.load_adapters, {}),
        "AdaptCLIPPredictor": (AdaptCLIPPredictor, {"model": model}),
        "AdaptCLIPPredictor.call": (predictor, {}),
        "AdaptCLIPPredictor.stream": (predictor.stream, {"files": ["good/000.png"]}),
        "AdaptCLIPPredictor.from_checkpoint": (AdaptCLIPPredictor.from_checkpoint, {"path": "model.ckpt"}),
        "PromptBank": (PromptBank, {"model": inner}),
        "PromptBank.add": (bank.add, {"name": "gear", "images": torch.ones(1, 3, 56, 56)}),
        "PromptBank.remove": (bank.remove, {}),
        "PromptBank.save": (bank.save, {}),
        "PromptBank.load": (PromptBank.load, {"model": inner, "backbone": "tiny", "path": "bank.safetensors"}),
        "AdaptCLIPVisualizer": (package.AdaptCLIPVisualizer, {}),
        "PredictFolder": (package.PredictFolder, {"path": "good"}),
        "QueryPromptDataModule": (package.QueryPromptDataModule, {"base": "MVTecAD"}),
        "AbnormalFolder": (package.AbnormalFolder, {"name": "mine", "root": "seg"}),
        "LabelledFolder": (package.LabelledFolder, {"name": "mine", "root": "mine"}),
        "DTDSynthetic": (package.DTDSynthetic, {}),
        "SyntheticDefects": (package.SyntheticDefects, {}),
        "PromptMemory": (PromptMemory, {}),
        "PredictionTable": (PredictionTable, {}),
        "ImageReader": (ImageReader, {}),
        "ImageReader.convert": (ImageReader().convert, {}),
        "load_clip": (clip.load_clip, {"name": "tiny"}),
        "list_image_files": (list_image_files, {}),
        "render_sample": (render_sample, {"category": "gear", "index": 0}),
        "read_table": (read_table, {}),
        "check_data_set": (check_data_set, {"name": "mvtec"}),
        "write_report": (write_report, {}),
    }


def readers(model: AdaptCLIP) -> dict[str, Callable[[str], Any]]:
    """What reads each kind of file."""
    inner = model.model
    return {
        "adapters": inner.load_adapters,
        "adapter-file": lambda path: AdaptCLIP(**TINY | {"adapters": path}),
        "bank": lambda path: PromptBank.load(path, inner, "tiny", image_size=(56, 56)),
        "checkpoint": AdaptCLIPPredictor.from_checkpoint,
        "clip": lambda path: clip.load_clip("tiny", path),
        "image": ImageReader().read,
        "mask": ImageReader().read_mask,
        "table": read_predictions,
        "draft": lambda path: PredictionTable(path, resume=True),
        "runs": lambda path: write_report(Path(path)),
        "ablation-table": lambda path: ablation_table(Path(path)).rows(),
        "gallery": lambda path: unpack(Path(path)),
        "config": lambda path: read_sweep(Path(path)),
        "rows": lambda path: read_rows(Path(path)),
        "folder": list_image_files,
        "data": _set_up,
    }


def _set_up(text: str) -> None:
    name, _, arguments = text.partition(" ")
    module = getattr(anomalib_adaptclip, name)(**yaml.safe_load(arguments))
    module.setup()


def run_command(call: str) -> None:
    """Run a command line; words in capitals stand for what a table cannot show."""
    words = [WORDS.get(word, word) for word in shlex.split(call)]
    assert main(words) != 0, "it was accepted"


def run_sweep(call: str, _model: AdaptCLIP | None = None) -> None:
    """Read a sweep, which is text with ``\\n`` for line breaks, or an override of one that is right."""
    what, text = call.split(" ", 1)
    text = text.encode().decode("unicode_escape")
    if what == "text":
        Path("row.yaml").write_text(text)
    list_runs(read_sweep(Path("row.yaml"))) if what == "text" else list_runs(read_sweep(Path("sweep.yaml"), [text]))


def run_function(call: str, model: AdaptCLIP) -> None:
    """Call a function with arguments that are right, but for those that the row gives."""
    name, text = call.split(" ", 1)
    function, arguments = functions(model)[name]
    known = special_values(model)
    given = {key: _special(value, known) for key, value in yaml.safe_load(text).items()}
    exhaust(function(**arguments | given))


def _special(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_special(part, known) for part in value]
    return known.get(value, value) if isinstance(value, str) else value


def run_file(call: str, model: AdaptCLIP) -> None:
    """Read a file of a kind."""
    kind, path = call.split(" ", 1)
    exhaust(readers(model)[kind](path))


def exhaust(result: Any) -> None:
    """Run a generator to its end: it checks when it is used."""
    if hasattr(result, "__next__"):
        for _ in result:
            pass
