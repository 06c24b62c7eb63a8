# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Arguments that data modules hand on to anomalib's are known to Python, command line and YAML."""

from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from anomalib.data import AnomalibDataModule
from anomalib.data.utils import ValSplitMode
from jsonargparse import ArgumentParser

from anomalib_adaptclip.data import AbnormalFolder, DTDSynthetic, LabelledFolder, SyntheticDefects
from anomalib_adaptclip.data.constructor_arguments import constructor_arguments

MODULES = [AbnormalFolder, DTDSynthetic, LabelledFolder, SyntheticDefects]
SHARED = {
    "train_batch_size": 32,
    "eval_batch_size": 32,
    "train_augmentations": None,
    "val_augmentations": None,
    "test_augmentations": None,
    "augmentations": None,
    "val_split_mode": ValSplitMode.SAME_AS_TEST,
}
OWN: dict[type[AnomalibDataModule], dict[str, Any]] = {
    AbnormalFolder: {"name": None, "root": None, "num_workers": 8, "seed": None},
    DTDSynthetic: {"category": "Blotchy_099", "num_workers": 8, "test_split_ratio": 0.2, "seed": None},
    LabelledFolder: {"name": None, "root": None, "num_workers": 8, "seed": None, "held_out_ratio": 0.0},
    SyntheticDefects: {"category": "hex_nut", "num_workers": 0, "test_split_ratio": 0.2, "seed": 0},
}


def parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(AnomalibDataModule, "data")
    return parser


def required(module: type[AnomalibDataModule]) -> dict[str, str]:
    return {"name": "polyps", "root": "here"} if module in {AbnormalFolder, LabelledFolder} else {}


@pytest.mark.parametrize("module", MODULES)
def test_defaults(module: type[AnomalibDataModule]) -> None:
    found = constructor_arguments(module)
    expected = SHARED | OWN[module]
    assert {name: found[name] for name in expected} == expected


def test_the_test_split_of_abnormal_folder_is_not_to_choose() -> None:
    assert not {"test_split_mode", "test_split_ratio"} & {*constructor_arguments(AbnormalFolder)}
    assert AbnormalFolder("polyps", "here").test_split_mode.value == "none"
    with pytest.raises(TypeError, match="test_split_mode"):
        AbnormalFolder("polyps", "here", test_split_mode="from_dir")


@pytest.mark.parametrize("module", MODULES)
def test_command_line(module: type[AnomalibDataModule]) -> None:
    arguments = {**required(module), "train_batch_size": 4, "val_split_mode": "none", "val_split_ratio": 0.25}
    path = f"{module.__module__}.{module.__name__}"
    words = ["--data", path, *(f"--data.{name}={value}" for name, value in arguments.items())]
    built = parser().instantiate_classes(parser().parse_args(words)).data
    assert (built.train_batch_size, built.eval_batch_size) == (4, 32)
    assert (built.val_split_mode, built.val_split_ratio) == (ValSplitMode.NONE, 0.25)


@pytest.mark.parametrize("module", MODULES)
def test_yaml(module: type[AnomalibDataModule], tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    arguments = {**required(module), "eval_batch_size": 5, "augmentations": {"class_path": "RandomEqualize"}}
    spec = {"class_path": f"{module.__module__}.{module.__name__}", "init_args": arguments}
    file.write_text(yaml.safe_dump(spec))
    built = parser().instantiate_classes(parser().parse_args(["--data", str(file)])).data
    assert built.eval_batch_size == 5
    assert type(built.test_augmentations).__name__ == "RandomEqualize"


@pytest.mark.parametrize("module", MODULES)
def test_help_lists_them(module: type[AnomalibDataModule], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([f"--data.help={module.__module__}.{module.__name__}"])
    listed = capsys.readouterr().out
    assert all(f"--data.{name}" in listed for name in [*SHARED, "val_split_ratio"])


@pytest.mark.parametrize("module", MODULES)
def test_unknown_arguments_are_refused_by_name(module: type[AnomalibDataModule]) -> None:
    with pytest.raises(TypeError, match="train_batchsize"):
        cast("Any", module)(**required(module), train_batchsize=4)
    spec = {"class_path": f"{module.__module__}.{module.__name__}", "init_args": {"train_batchsize": 4}}
    with pytest.raises(Exception, match="train_batchsize"):
        parser().parse_object({"data": spec})
