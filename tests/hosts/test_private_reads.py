# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What `docs/hosts.md` lists is still there in the hosts, where no other test would notice that it is gone."""

import inspect
import logging
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import open_clip
import pytest
import torch
from anomalib.data import AnomalibDataModule
from anomalib.loggers import configure_logger
from anomalib.metrics import F1AdaptiveThreshold
from anomalib.models.components import KCenterGreedy
from anomalib.post_processing import PostProcessor
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from rich.logging import RichHandler
from torch import nn

from anomalib_adaptclip.comparison import UntrainedWinClip

EXTREMES = ("image_min", "image_max", "pixel_min", "pixel_max")
ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "anomalib_adaptclip"
PAGE = (ROOT / "docs" / "hosts.md").read_text(encoding="utf-8")


def test_the_page_names_every_file_that_reads_private_attributes() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if "SLF001" in path.read_text(encoding="utf-8")]
    assert files
    assert [path for path in files if f"`{path.relative_to(PACKAGE).as_posix()}`" not in PAGE] == []


def test_the_page_names_tests_and_files_that_exist() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    names = re.findall(r"`(test_\w+)`", PAGE)
    assert names
    assert [name for name in names if f"def {name}(" not in tests] == []
    paths = re.findall(r"`((?:tests|\w+)/[\w/]+\.py)`", PAGE)
    assert [path for path in paths if not any((place / path).is_file() for place in (ROOT, PACKAGE))] == []


@pytest.mark.parametrize(
    ("host", "method", "parameters"),
    [
        (AnomalibDataModule, "_setup", ["self", "_stage"]),
        (AnomalibDataModule, "_create_test_split", ["self"]),
        (AnomalibDataModule, "_create_val_split", ["self"]),
        (nn.Module, "_load_from_state_dict", ["self", "state_dict", "prefix"]),
    ],
)
def test_methods_that_we_override(host: type[Any], method: str, parameters: list[str]) -> None:
    found = list(inspect.signature(getattr(host, method)).parameters)
    assert found[: len(parameters)] == parameters


def test_setup_calls_them() -> None:
    called = []

    class Spy(AnomalibDataModule):
        def _setup(self, _stage: str | None = None) -> None:
            called.append("_setup")

        def _create_test_split(self) -> None:
            called.append("_create_test_split")

        def _create_val_split(self) -> None:
            called.append("_create_val_split")

    Spy(1, 1, 0).setup()
    assert called == ["_setup", "_create_test_split", "_create_val_split"]


def test_a_module_without_a_trainer_has_none() -> None:
    assert LightningModule()._trainer is None
    with pytest.raises(RuntimeError):
        _ = LightningModule().trainer


@pytest.mark.parametrize("name", ["_image_threshold", "_pixel_threshold", *EXTREMES])
def test_buffers_of_the_post_processor(name: str) -> None:
    assert name in dict(PostProcessor().named_buffers())


def test_metrics_of_the_post_processor() -> None:
    names = {name for name, module in PostProcessor().named_children() if isinstance(module, F1AdaptiveThreshold)}
    assert names == {"_image_threshold_metric", "_pixel_threshold_metric"}


def test_thresholds_are_read_from_those_buffers() -> None:
    processor = PostProcessor()
    processor._image_threshold.fill_(0.25)
    processor._pixel_threshold.fill_(0.75)
    assert (float(processor.image_threshold), float(processor.pixel_threshold)) == (0.25, 0.75)


def test_data_loaders_of_a_prediction() -> None:
    loop = Trainer(accelerator="cpu", logger=False).predict_loop
    assert loop._data_source.instance is None
    loop.return_predictions = False
    assert loop.return_predictions is False


def test_anomalibs_command_prints_each_message_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it did so no more, we would not have to keep ours from it."""
    for name in (None, "lightning.pytorch"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    configure_logger()
    assert [type(handler) for handler in logging.getLogger().handlers] == [logging.StreamHandler, RichHandler]


def test_rank_of_the_process() -> None:
    assert cast("Any", rank_zero_only).rank == 0


def test_the_random_state_of_the_coreset_is_used() -> None:
    embedding = torch.rand(12, 4, generator=torch.Generator().manual_seed(0))
    choices = []
    for _ in range(2):
        sampler = KCenterGreedy(embedding, 0.3)
        sampler.model.random_state = np.random.RandomState(0)  # type: ignore[assignment]
        torch.manual_seed(0)
        choices.append(sampler.select_coreset_idxs())
    assert choices[0] == choices[1]
    assert sampler.model.random_state.get_state()[2] > 0  # type: ignore[union-attr]


def test_win_clip_is_built_by_open_clips_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """If anomalib built it in another way, the patch would have no effect, and weights would be downloaded."""

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        pytest.fail("the real CLIP is built")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", refuse)
    model = UntrainedWinClip("nut", 2)
    assert sum(parameter.numel() for parameter in model.parameters()) < 5e6
    assert open_clip.create_model_and_transforms is refuse  # the patch is gone
