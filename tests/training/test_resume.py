# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Training that was broken off goes on as if it had not been."""

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from .command import RUN, column, fit, from_epoch, kill_at, rows

KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    fit(folder, data)
    return folder


@pytest.fixture(scope="module")
def killed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    steps = ["--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint", "--trainer.callbacks.dirpath", "steps"]
    steps += ["--trainer.callbacks.every_n_train_steps", "1", "--trainer.callbacks.save_top_k", "-1"]
    steps += ["--trainer.callbacks.filename", "{step}"]
    fit(folder, data, *steps, *kill_at(1, 2), expected=KILLED)
    return folder


def weights(folder: Path, version: int = 0) -> Path:
    return folder / RUN / f"v{version}/weights/lightning"


def assert_same_adapters(found: Path, expected: Path) -> None:
    torch.testing.assert_close(
        load_file(found / "adapters.safetensors"), load_file(expected / "adapters.safetensors"), rtol=0, atol=0
    )


def test_a_run_killed_in_its_second_epoch_goes_on(data: Path, unbroken: Path, killed: Path) -> None:
    fit(killed, data, "--ckpt_path", weights(killed) / "model.ckpt")
    assert from_epoch(rows(killed, 1), 0) == from_epoch(rows(unbroken), 1)
    assert_same_adapters(weights(killed, 1), weights(unbroken))


def test_a_run_goes_on_in_mid_epoch(data: Path, unbroken: Path, killed: Path, tmp_path: Path) -> None:
    """Losses of the steps; the mean of the broken epoch is over the steps that were left."""
    fit(tmp_path, data, "--ckpt_path", killed / "steps/step=5.ckpt")
    assert len(column(rows(unbroken), "train_loss_step")) == 9
    assert column(rows(tmp_path), "train_loss_step") == column(rows(unbroken), "train_loss_step")[5:]
    assert_same_adapters(weights(tmp_path), weights(unbroken))


def test_a_run_killed_in_its_first_epoch_is_repeated(data: Path, unbroken: Path, tmp_path: Path) -> None:
    fit(tmp_path, data, *kill_at(0, 2), expected=KILLED)
    assert not list(tmp_path.rglob("*.ckpt"))
    fit(tmp_path, data)
    assert rows(tmp_path, 1) == rows(unbroken)


def test_a_finished_run_stays_as_it_is(data: Path, unbroken: Path, tmp_path: Path) -> None:
    fit(tmp_path, data, "--ckpt_path", weights(unbroken) / "model.ckpt")
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("hidden_dim", 64, "hidden_dim was 128 and is 64"),
        ("mode", "joint", 'mode was "alternating" and is "joint"'),
        ("pretrained", "generated", "Build the model with backbone='tiny' and those weights"),
    ],
)
def test_other_options_are_refused(
    data: Path, unbroken: Path, tmp_path: Path, option: str, value: object, message: str
) -> None:
    said = fit(tmp_path, data, f"--model.{option}", value, "--ckpt_path", weights(unbroken) / "model.ckpt", expected=1)
    assert message in " ".join(said.split())
