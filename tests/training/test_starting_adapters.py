# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Training that goes on from adapters: what it takes over, what it says, and what it refuses."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.engine import Engine

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPTraining, SyntheticDefects
from anomalib_adaptclip.adapters.adapter_file import read_adapter_file
from anomalib_adaptclip.adapters.leakage import Base, merge_bases
from anomalib_adaptclip.files.tensors import sha256_of

from .test_lightning_model import FEW, adapters_of, engine, pairs, root, tiny  # noqa: F401  # fixtures among them


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Adapters that were trained on gears."""
    options: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "logger": False, "max_epochs": 1}
    used = Engine(default_root_dir=tmp_path_factory.mktemp("trained"), **options)
    alone = {"target": None, "target_categories": None, "target_args": None}
    used.fit(tiny(topk=3, hidden_dim=64), datamodule=pairs(root, **alone))
    return adapters_of(used)


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copy(trained, tmp_path))


def fit(make: Callable[..., Engine], root: Path, model: AdaptCLIPTraining, **data: Any) -> Path:  # noqa: F811
    used = make()
    used.fit(model, datamodule=pairs(root, **{"base_categories": ["button"]} | data))
    return adapters_of(used)


def test_own_ones(
    root: Path,  # noqa: F811
    engine: Callable[..., Engine],  # noqa: F811
    own: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    model, before = tiny(adapters=own, learning_rate=1e-4), read_adapter_file(own)
    assert model.configure_optimizers().defaults["lr"] == 1e-4
    torch.testing.assert_close(dict(model.model.adapters.state_dict()), dict(before.state), rtol=0, atol=0)
    header = read_adapter_file(fit(engine, root, model)).header
    assert (header.topk, header.base_categories) == (3, ("button",))
    assert (header.started_from, header.started_from_sha256) == ("adapters.safetensors", sha256_of(own))
    assert header.earlier_bases == {"SyntheticDefects": ("gear",)}
    assert header.bases == (Base("SyntheticDefects", ("button",)), Base("SyntheticDefects", ("gear",)))
    assert f"adapters: those of {own}, trained on SyntheticDefects (gear), SHA-256 {sha256_of(own)}" in caplog.text
    assert "Options of the adapters that training goes on from: topk 3, hidden_dim 64." in caplog.text
    assert "LEAKAGE" not in caplog.text


def test_published_ones(
    root: Path,  # noqa: F811
    engine: Callable[..., Engine],  # noqa: F811
    published_of_tiny: list[str],
) -> None:
    header = read_adapter_file(fit(engine, root, tiny(adapters="visa"))).header
    assert published_of_tiny == ["visa"]
    assert (header.started_from, header.earlier_bases) == ("visa", {"Visa": ()})
    assert len(header.started_from_sha256) == 64


def test_random_ones_are_the_default(root: Path, engine: Callable[..., Engine]) -> None:  # noqa: F811
    path = fit(engine, root, tiny())
    header = read_adapter_file(path).header
    assert (header.started_from, header.started_from_sha256, header.earlier_bases) == ("", "", {})


def test_a_target_that_the_adapters_have_seen(
    root: Path,  # noqa: F811
    engine: Callable[..., Engine],  # noqa: F811
    own: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fit(engine, root, tiny(adapters=own), target_categories=["gear"])
    assert "were trained on the test images of SyntheticDefects, and the target SyntheticDefects shows" in caplog.text


def test_the_detector_judges_leakage_over_all_bases(
    root: Path,  # noqa: F811
    engine: Callable[..., Engine],  # noqa: F811
    own: Path,
) -> None:
    path = fit(engine, root, tiny(adapters=own))
    detector = AdaptCLIP(backbone="tiny", pretrained="seed-0", image_size=56, adapters=path)
    seen = {name: detector.adapter_slot.saw(SyntheticDefects(root, name)) for name in ("gear", "button", "wood")}
    assert seen == {"gear": True, "button": True, "wood": False}


def test_a_checkpoint_needs_their_file_no_more(root: Path, engine: Callable[..., Engine], own: Path) -> None:  # noqa: F811
    used, model = engine(), tiny(adapters=own)
    used.fit(model, datamodule=pairs(root))
    own.unlink()
    checkpoint = str(used.best_model_path)
    loaded = AdaptCLIPTraining.load_from_checkpoint(checkpoint)
    assert loaded.adapter_slot.origin == model.adapter_slot.origin
    state = loaded.model.adapters.state_dict()
    torch.testing.assert_close(dict(state), dict(model.model.adapters.state_dict()), rtol=0, atol=0)
    resumed, again = engine(max_epochs=2), tiny()
    resumed.fit(again, datamodule=pairs(root), ckpt_path=checkpoint)
    header = read_adapter_file(adapters_of(resumed)).header
    assert (header.epochs, header.started_from, header.topk) == (2, "adapters.safetensors", 3)
    with pytest.raises(ValueError, match="The checkpoint decides adapters="):
        engine(max_epochs=2).fit(tiny(adapters=adapters_of(used)), datamodule=pairs(root), ckpt_path=checkpoint)


def test_other_options_than_theirs_are_refused(own: Path) -> None:
    with pytest.raises(ValueError, match=r"other options than their own: topk is 3; hidden_dim is 64. Leave these"):
        tiny(adapters=own, topk=1, hidden_dim=32)


def test_another_clip_is_refused(own: Path) -> None:
    with pytest.raises(ValueError, match="backbone tiny and weights seed-0, and this is another CLIP"):
        AdaptCLIPTraining(backbone="tiny", image_size=56, adapters=own)


def test_bases_are_merged() -> None:
    some = [Base("MVTecAD", ("cable",)), Base("Visa"), Base("MVTecAD", ("bottle",)), Base("Visa", ("pcb1",))]
    assert merge_bases(some) == (Base("MVTecAD", ("bottle", "cable")), Base("Visa"))
