# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What commands print: what a user needs, and nothing of the libraries."""

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tqdm import tqdm

from anomalib_adaptclip.files.quiet import HOSTS, is_quiet, quiet_hosts, silenced, without_bars

# Runs several commands as a shell would, one after the other: importing the libraries takes long.
SCRIPT = """
import sys
from anomalib_adaptclip_cli.main import main

for command in sys.stdin.read().splitlines():
    sys.argv = ["anomalib-adaptclip", *command.split()]
    print(f"> {command}", flush=True)
    print(f"> {command}", file=sys.stderr, flush=True)
    assert main() == 0
    sys.stdout.flush()
"""
SMALL = "--backbone tiny --image_size 56"
COMPARISON = """
models:
  AdaptCLIP:
    model: {class_path: AdaptCLIP, init_args: {backbone: tiny, image_size: 56}}
    shots: [0]
  PatchCore:  # shows a progress bar of its own
    model: {class_path: Patchcore, init_args: {backbone: resnet18, layers: [layer1], pre_trained: false}}
    shots: [1]
data_sets:
  generated:
    data:
      class_path: SyntheticDefects
      init_args: {root: data, image_size: 64, num_train_images: 2, num_normal_test_images: 1, num_images_per_defect: 1}
    categories: [marble]
seeds: [10]
"""
DATA = '{"image_size":64,"num_train_images":2,"num_normal_test_images":1,"num_images_per_defect":1}'
ABLATION = f"ablation --rows 0 {SMALL} --base SyntheticDefects --base_root data --base_categories [carpet]"
ABLATION += f" --base_args {DATA} --target_categories [marble] --target SyntheticDefects --target_root data"
ABLATION += f" --target_args {DATA} --allow_leakage SyntheticDefects --num_workers 0 --output ablation"
COMMANDS = {  # lines of standard output
    f"inspect good new -o out {SMALL} --save masks": 2,
    f"calibrate good -o part.ckpt {SMALL}": 2,
    "predict new a.csv --ckpt_path part.ckpt": 1,
    f"bank-add bank.safetensors part good {SMALL}": 1,
    "bank-list bank.safetensors": 1,
    "bank-remove bank.safetensors part": 1,
    "compare --config compare.yaml --output compare --accelerator cpu": 2,
    "compare --config compare.yaml --output two --accelerator cpu --workers 2": 2,
    "report compare": 5,
    ABLATION: 7,
}


def run(folder: Path, *commands: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Lines of standard output, and of standard error, by command."""
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        input="\n".join(commands),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return by_command(finished.stdout), by_command(finished.stderr)


def by_command(printed: str) -> dict[str, list[str]]:
    parts = [part.splitlines() for part in f"\n{printed}".split("\n> ")[1:]]
    return {command: [line for line in lines if line] for command, *lines in parts}


@pytest.fixture
def photos(write_images: Callable[..., Path], tmp_path: Path) -> Path:
    write_images("good", 3)
    write_images("new", 2)
    (tmp_path / "compare.yaml").write_text(COMPARISON)
    return tmp_path


def test_commands_print_what_a_user_needs(photos: Path) -> None:
    printed, errors = run(photos, *COMMANDS)
    assert {command: lines for command, lines in errors.items() if lines} == {}
    assert {command: len(lines) for command, lines in printed.items()} == COMMANDS
    [_, result] = printed[next(iter(COMMANDS))]
    assert result.endswith(" of 2 abnormal. Pictures, table and model: out")


def test_verbose_prints_what_the_libraries_say(photos: Path) -> None:
    command = f"calibrate good -o part.ckpt {SMALL} --verbose"
    printed, errors = run(photos, command)
    assert len(printed[command]) == 2
    said = "\n".join(errors[command])
    assert "FutureWarning: Importing from timm.models.layers is deprecated" in said
    assert "INFO anomalib.models.components.base.anomalib_module: Initializing AdaptCLIP model." in said
    assert said.count("INFO anomalib_adaptclip.model.calibration: Calibrating on the good images.") == 1


@pytest.fixture
def quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that is quiet until the end of the test."""
    del capsys  # which takes the place of standard error, before that is looked up
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setenv("PYTHONWARNINGS", "")
    with warnings.catch_warnings(), silenced(*HOSTS):  # puts their levels back
        quiet_hosts()
        yield


@pytest.mark.usefixtures("quiet")
def test_what_a_quiet_process_says(capsys: pytest.CaptureFixture[str]) -> None:
    quiet_hosts()  # a second call changes nothing
    assert is_quiet()
    ours, host = logging.getLogger("anomalib_adaptclip.model"), logging.getLogger("anomalib.engine")
    for _ in range(2):
        ours.warning("Nothing is %s.", "calibrated")
    ours.info("a detail")
    host.warning("a tip")
    logging.getLogger("lightning.pytorch").warning("a tip")
    warnings.warn("deprecated", FutureWarning, stacklevel=1)
    host.error("It broke.")
    assert capsys.readouterr().err == "Nothing is calibrated.\nIt broke.\n"


@pytest.mark.usefixtures("quiet")
def test_a_traceback_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("anomalib_adaptclip").warning("Row 0 failed.", exc_info=ValueError("why"))
    assert capsys.readouterr().err == "Row 0 failed.\n"


@pytest.mark.usefixtures("quiet")
def test_the_hosts_bars_are_hidden_for_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    with without_bars():
        assert list(tqdm(range(2), desc="Selecting")) == [0, 1]
    assert capsys.readouterr().err == ""
    list(tqdm(range(2), desc="Selecting"))
    assert "Selecting" in capsys.readouterr().err


def test_a_process_that_is_not_quiet_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    with without_bars():
        list(tqdm(range(2), desc="Selecting"))
    assert "Selecting" in capsys.readouterr().err
