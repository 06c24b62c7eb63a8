# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Fine-tuning by one command: what it writes, what it says, and that a seed decides all of it."""

import csv
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from anomalib_adaptclip import AdaptCLIP
from anomalib_adaptclip.adapters.adapter_file import read_adapter_file
from anomalib_adaptclip.training.finetuning import Figure, FineTuning, warn_if_worse
from anomalib_adaptclip_cli.main import main

from .products import draw_product

SMALL = ["--backbone", "tiny", "--image_size", "56", "--epochs", "1", "--accelerator", "cpu"]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_product(tmp_path_factory.mktemp("data") / "caps", good=8, bad=6, masks=6)


def test_adapters_and_figures(product: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        assert main(["finetune", str(product), "-o", str(tmp_path / name), *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "base: caps, 1 category (caps), 7 queries, 57% abnormal, 3 normal images for prompts" in printed
    assert "target: caps, held out, 1 category (caps, held out), 4 queries, 50% abnormal" in printed
    one, two = (tmp_path / name for name in ("one", "two"))
    torch.testing.assert_close(
        load_file(one / "adapters.safetensors"), load_file(two / "adapters.safetensors"), rtol=0, atol=0
    )
    assert (one / "figures.csv").read_text() == (two / "figures.csv").read_text()
    with (one / "figures.csv").open() as file:
        figures = [Figure(row["name"], float(row["before"]), float(row["after"])) for row in csv.DictReader(file)]
    metrics = ("image AUROC", "pixel AUPR")
    assert [figure.name for figure in figures] == [f"{k}-shot {name}" for k in ("zero", "3") for name in metrics]
    assert all(str(figure) in printed for figure in figures)
    header = read_adapter_file(one / "adapters.safetensors").header
    assert (header.base, header.base_categories, header.started_from) == ("LabelledFolder", ("caps",), "generated")
    assert AdaptCLIP(backbone="tiny", image_size=56, adapters=one / "adapters.safetensors").model.adapters.keys()


def test_figures_before_are_those_of_the_adapters_it_goes_on_from(product: Path, tmp_path: Path) -> None:
    """And random adapters are no good ones to compare with: there it is plain CLIP."""
    small: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": 56, "accelerator": "cpu"}
    first = FineTuning(product, tmp_path / "first", "none").run(1e-3, 1, **small)
    tuned = tmp_path / "first/adapters.safetensors"
    second = FineTuning(product, tmp_path / "second", str(tuned)).run(1e-4, 1, **small)
    assert [figure.before for figure in second] == [figure.after for figure in first]
    assert read_adapter_file(tmp_path / "second/adapters.safetensors").header.earlier_bases == {
        "LabelledFolder": ("caps",)
    }


def test_what_became_worse_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    warn_if_worse([Figure("a", 0.5, 0.6), Figure("b", 0.9001, 0.9), Figure("c", 0.5, 0.5)])
    assert not caplog.text
    warn_if_worse([Figure("zero-shot image AUROC", 0.912, 0.9), Figure("b", 0.5, 0.6)])
    assert "worse than those before: zero-shot image AUROC: 0.912 before, 0.900 after. Keep those" in caplog.text


def test_adapters_are_not_replaced_unless_told(product: Path, tmp_path: Path) -> None:
    (tmp_path / "adapters.safetensors").touch()
    with pytest.raises(ValueError, match=r"holds adapters\. Name another folder"):
        FineTuning(product, tmp_path)
    assert FineTuning(product, tmp_path, overwrite=True).k_shot == 3
