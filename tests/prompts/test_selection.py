# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Which images serve as prompts: the published draw, and the one without repetition."""

import logging
from pathlib import Path

import pytest

from anomalib_adaptclip import AdaptCLIP, SyntheticDefects
from anomalib_adaptclip.prompts.selection import Shots, draw_files, prompts_from_datamodule

FILES = [f"{number:03}.png" for number in range(10)]


@pytest.mark.parametrize("seed", [10, 20, 30])
def test_the_published_draw_is_with_replacement_and_the_other_without(seed: int) -> None:
    published, distinct = (draw_files(FILES, 10, seed, draw) for draw in ("published", "distinct"))
    assert len(set(published)) < 10
    assert sorted(distinct) == FILES
    assert distinct != FILES, "not drawn at all"


def test_a_draw_depends_on_its_seed_alone() -> None:
    first = draw_files(FILES, 4, 10, "distinct")
    assert draw_files(FILES, 4, 10, "distinct") == first
    assert draw_files(FILES, 4, 20, "distinct") != first


def test_of_a_data_module(tmp_path: Path) -> None:
    synthetic = SyntheticDefects(tmp_path, image_size=64)
    synthetic.prepare_data()
    synthetic.setup()
    total = len(synthetic.train_data.samples)
    drawn = prompts_from_datamodule(synthetic, total - 1, 10, "distinct")
    assert len(set(drawn)) == total - 1


def test_images_that_were_drawn_twice_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Shots(3).accept(["a.png", "b.png", "a.png"], "")
    assert "1 of the 3 prompts were drawn twice" in caplog.text


def test_nothing_is_told_of_different_ones(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Shots(2).accept(["a.png", "b.png"], "")
    assert "twice" not in caplog.text


def test_unknown_draws_are_refused() -> None:
    with pytest.raises(ValueError, match=r"draw must be one of \['published', 'distinct'\]; got 'all'"):
        AdaptCLIP(k_shot=1, draw="all", backbone="tiny")  # type: ignore[arg-type]
