# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The script that trained what the package ships, in a few small steps."""

from pathlib import Path

import pytest
import torch

from anomalib_adaptclip.clip.text_encoder import tokenize
from anomalib_adaptclip.clip.tiny import build_tiny, load_tiny
from scripts.train_tiny import backbone
from scripts.train_tiny.augment import draw_images, draw_pairs
from scripts.train_tiny.look import Look
from scripts.train_tiny.products import TRAINED, Products, open_products, render_products


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Products:
    """One of each category."""
    folder = tmp_path_factory.mktemp("products")
    render_products(folder, 1, 2)
    return open_products(folder)


def test_products(products: Products) -> None:
    assert products.images.shape == (len(TRAINED), 4, 224, 224, 3)
    assert not products.masks[:, :2].any()
    assert products.masks[:, 2:].any(axis=(2, 3)).all()


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_images(products: Products, share: float) -> None:
    torch.manual_seed(0)
    drawn = draw_images(products, 8, 112, share)
    assert drawn.image.shape == (8, 3, 112, 112)
    assert drawn.image.min() >= 0
    assert drawn.image.max() <= 1
    assert {*drawn.mask.flatten().tolist()} == {0, 1}


@pytest.mark.parametrize("varied", [True, False])
def test_pairs(products: Products, varied: bool) -> None:
    torch.manual_seed(0)
    queries, prompts = draw_pairs(products, 8, 112, varied=varied)
    assert queries.image.shape == prompts.shape == (8, 3, 112, 112)
    assert prompts.min() >= 0
    assert prompts.max() <= 1
    assert {*queries.mask.flatten().tolist()} == {0, 1}
    assert not torch.equal(queries.image, prompts)


def test_looks_are_alike_where_patches_are() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 56, 56)
    look = Look(14, 64)
    look.fit(images)
    embedded = look(torch.cat([images, images.flip(-1), images * 0.5]))
    torch.testing.assert_close(embedded.norm(dim=-1), torch.ones(12, 16))
    torch.testing.assert_close(look.subspace(embedded), embedded, rtol=0, atol=1e-5)
    same, darker = ((embedded[:4] * other).sum(dim=-1) for other in (embedded[:4], embedded[8:]))
    assert (darker < same - 1e-3).all()


def test_training_that_was_broken_off_ends_the_same(
    products: Products, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone, "BATCH", 4)
    unbroken = backbone.train_backbone(products, tmp_path / "unbroken.pt", 4, save_every=2)
    rate = backbone._rate

    def break_off(step: int, steps: int) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return rate(step, steps)

    monkeypatch.setattr(backbone, "_rate", break_off)
    with pytest.raises(KeyboardInterrupt):
        backbone.train_backbone(products, tmp_path / "broken.pt", 4, save_every=2)
    monkeypatch.setattr(backbone, "_rate", rate)
    assert torch.load(tmp_path / "broken.pt", weights_only=True)["step"] == 2
    resumed = backbone.train_backbone(products, tmp_path / "broken.pt", 4, save_every=2)
    for name, tensor in unbroken.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)


def test_what_is_shipped_is_what_was_trained(tmp_path: Path) -> None:
    """In half precision, and without rows of the token embedding that no prompt has touched."""
    clip = build_tiny()
    with torch.no_grad():
        clip.visual.proj.add_(1)
        clip.token_embedding.weight[tokenize(clip, ["damaged"])[0, 1]] += 1
    backbone.export_backbone(clip, tmp_path / "backbone.safetensors")
    loaded = load_tiny(tmp_path / "backbone.safetensors")
    for name, tensor in clip.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
