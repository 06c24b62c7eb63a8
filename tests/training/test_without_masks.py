# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Training on images of which some or all lack a mask."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.engine import Engine
from safetensors.torch import load_file

from anomalib_adaptclip import AdaptCLIPTraining, QueryPromptDataModule
from anomalib_adaptclip.adapters import align_pairs

from .products import draw_product
from .test_lightning_model import FEW, PARTS, Spy, adapters_of, engine, pairs, root, tiny  # noqa: F401  # fixtures among them


def labelled(folder: Path, **options: Any) -> QueryPromptDataModule:
    base = {"base": "LabelledFolder", "base_root": folder, "base_args": {"name": "mine"}, "num_workers": 0}
    return QueryPromptDataModule(**base | {"train_batch_size": 4} | options)  # type: ignore[arg-type]


def outputs(model: AdaptCLIPTraining) -> dict[str, Any]:
    """Each adapter's scores and maps of some images, and the fused map, beside one prompt."""
    torch.manual_seed(0)
    images = torch.rand(2, 3, 56, 56)
    inner = model.model.eval()
    inner.encode_texts()
    inner.set_prompts(torch.rand(1, 3, 56, 56))
    tokens, prompts = (inner.encode(part, inner.layers) for part in (images, torch.rand(2, 3, 56, 56)))
    with torch.no_grad():
        found = inner.adapter_outputs(tokens, align_pairs(tokens.layers, prompts.layers))
        return dict(found) | {"map": inner(images).anomaly_map}


@pytest.mark.parametrize("mode", ["alternating", "joint"])
def test_a_base_without_masks_trains_the_image_heads_and_leaves_maps(
    root: Path,  # noqa: F811
    tmp_path: Path,
    engine: Callable[..., Engine],  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    mode: Any,
) -> None:
    folder, spy, model = draw_product(tmp_path / "mine", masks=0), Spy(), tiny(mode=mode)
    before = outputs(model)
    target = {"target": "SyntheticDefects", "target_root": root, "target_categories": ["wood"]}
    data = labelled(folder, **target, target_args=FEW)
    engine(max_epochs=2, callbacks=[spy]).fit(model, datamodule=data)
    after = outputs(model)
    torch.testing.assert_close(after["map"], before["map"], rtol=0, atol=0)
    for name in ("visual", "textual", "prompt_query"):
        for one, other in zip(after[name], before[name], strict=True):
            torch.testing.assert_close(one.patch_probabilities, other.patch_probabilities, rtol=0, atol=0)
            assert torch.equal(one.logits, other.logits) == (name == "textual" and mode == "alternating")
    assert not any(value for part, value in spy.epochs[-1].items() if "segmentation_epoch" in part)
    assert "the image heads alone are trained. Maps stay as they were: they are of random adapters" in caplog.text


def test_a_later_base_with_masks_trains_maps_again(
    root: Path,  # noqa: F811
    tmp_path: Path,
    engine: Callable[..., Engine],  # noqa: F811
) -> None:
    model = tiny()
    engine().fit(model, datamodule=labelled(draw_product(tmp_path / "mine", masks=0)))
    engine().fit(model, datamodule=pairs(root))
    assert all(parameter.requires_grad for parameter in model.model.adapters.parameters())


def test_the_textual_adapter_has_no_image_head(tmp_path: Path, engine: Callable[..., Engine]) -> None:  # noqa: F811
    data = labelled(draw_product(tmp_path / "mine", masks=0))
    with pytest.raises(ValueError, match=r"image heads alone learn, and \['textual'\] has none"):
        engine().fit(tiny(adapter_names=["textual"]), datamodule=data)


def test_some_masks_and_the_same_twice(
    tmp_path: Path,
    engine: Callable[..., Engine],  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Bit for bit; and out of the cache."""
    folder, states = draw_product(tmp_path / "mine", bad=8, masks=3), []
    for options in ({}, {}, {"cache_dir": tmp_path / "tokens"}):
        spy = Spy()
        used = engine(callbacks=[spy])
        used.fit(tiny(**options), datamodule=labelled(folder))
        assert not {name for name in spy.without_gradient if not name.startswith("model.clip.")}
        assert {*spy.steps[0]} == {*PARTS, "loss"}
        states.append(load_file(adapters_of(used)))
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)
    torch.testing.assert_close(states[0], states[2], rtol=0, atol=1e-2)
    assert "5 of 8 abnormal images of the base have no mask: they take part with the image losses alone." in caplog.text
    assert "The base is small: 2 normal and 8 abnormal queries." in caplog.text


def test_four_and_four_nearly_all_abnormal(
    tmp_path: Path,
    engine: Callable[..., Engine],  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine().fit(tiny(), datamodule=labelled(draw_product(tmp_path / "few"), train_batch_size=8))
    assert "The base is small: 2 normal and 4 abnormal queries. Expect adapters that know these images" in caplog.text
    caplog.clear()
    folder = draw_product(tmp_path / "onesided", good=2, bad=11)
    engine().fit(tiny(), datamodule=labelled(folder, train_batch_size=8))
    assert "92% of the base's queries are abnormal. Expect image scores that call nearly everything" in caplog.text
