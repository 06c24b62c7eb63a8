# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The script that trained what the package ships, in a few small steps."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image

from anomalib_adaptclip.clip import Clip
from anomalib_adaptclip.clip.text_encoder import tokenize
from anomalib_adaptclip.clip.tiny import build_tiny, load_tiny
from scripts.train_tiny import backbone, textures
from scripts.train_tiny.augment import TEXTURE, draw_images, draw_pairs, draw_texture_pairs
from scripts.train_tiny.look import Look
from scripts.train_tiny.products import TRAINED, Products, open_products, render_products
from scripts.train_tiny.teacher import MEMBER, LookAndTeacher, Teacher, fetch_teacher


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


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    """One that has learned nothing. Its file has the published one's order of entries, and other names."""
    path = tmp_path_factory.mktemp("teacher") / "weights.pth"
    torch.manual_seed(0)
    state = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    torch.save({f"other.{name}": tensor for name, tensor in state.items()}, path)
    return Teacher(path)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """Cut out of two textures. A map of normals and a flat texture beside them are left out."""
    folder = tmp_path_factory.mktemp("textures")
    (folder / textures.FOLDERS[0]).mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    for name, pixels in {"grass": noise, "stone": 255 - noise, "grass_norm": noise, "flat": noise * 0}.items():
        Image.fromarray(pixels).save(folder / textures.FOLDERS[0] / f"{name}.dds")
    return textures.cut_textures(folder, 1)


def test_crops_of_textures(crops: NDArray[np.uint8]) -> None:
    assert crops.shape == (8, 224, 224, 3)  # four of each: 300 x 400 pixels
    assert all(crop.std() > 5 for crop in crops)


def test_some_textures_are_held_out() -> None:
    held = [textures._is_held_out(Path(f"texture{number}.dds")) for number in range(2)]
    assert held[0] == held[1]  # variants of one texture stay together
    found = [textures._is_held_out(Path(f"{number:06}.dds")) for number in range(500)]
    assert 0.05 < sum(found) / len(found) < 0.15


def test_pairs_of_textures(crops: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    queries, prompts = draw_texture_pairs(crops, 8, 112)
    assert queries.image.shape == prompts.shape == (8, 3, 112, 112)
    assert {*queries.category.tolist()} == {TEXTURE}
    damaged = queries.mask.flatten(1).any(dim=1)
    assert 0 < damaged.sum() < 8


def test_the_teacher_gives_the_features_of_its_weights(teacher: Teacher) -> None:
    images = torch.rand(2, 3, 112, 112)
    with torch.no_grad():
        fine, coarse = teacher._model(2 * images - 1)
    found = teacher(images, 14)
    torch.testing.assert_close(found[0], fine.flatten(2).mT, rtol=1e-3, atol=1e-4)  # at its own stride of 8
    assert [tensor.shape for tensor in found] == [(2, 196, 40), (2, 196, 112)]
    torch.testing.assert_close(teacher(images, 7)[1], coarse.flatten(2).mT, rtol=1e-3, atol=1e-4)


def test_what_is_taught_are_looks_and_features_by_thirds(teacher: Teacher) -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 112, 112)
    look = Look(14, 128)
    look.fit(images)
    taught = LookAndTeacher(look, teacher, 1.0)
    taught.fit(images)
    embedded = taught(images)
    torch.testing.assert_close(embedded.norm(dim=-1), torch.ones(4, 64))
    torch.testing.assert_close(taught.subspace(embedded), embedded, rtol=0, atol=1e-5)
    torch.testing.assert_close(look.subspace(embedded) * 3**0.5, look(images), rtol=0, atol=1e-5)


def test_a_teacher_whose_file_is_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / Path(MEMBER).name).write_bytes(b"something else")
    with pytest.raises(ValueError, match="Expected SHA-256 5793"):
        fetch_teacher(tmp_path)


@pytest.mark.parametrize("stage", ["looks", "features"])
def test_training_that_was_broken_off_ends_the_same(
    stage: str,
    products: Products,
    crops: NDArray[np.uint8],
    teacher: Teacher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"BATCH": 4, "TAUGHT": 5, "FITTED": 16, "SAVE_EVERY": 2}.items():
        monkeypatch.setattr(backbone, name, value)

    def train(checkpoint: Path) -> Clip:
        if stage == "looks":
            return backbone.train_looks(products, checkpoint, 4)[0]
        clip, look = backbone.train_looks(products, tmp_path / "looks.pt", 0)
        backbone.train_features(clip, look, teacher, products, crops, checkpoint, 4)
        return clip

    unbroken = train(tmp_path / "unbroken.pt")
    rate = backbone._rate

    def break_off(step: int, steps: int) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return rate(step, steps)

    monkeypatch.setattr(backbone, "_rate", break_off)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken.pt")
    monkeypatch.setattr(backbone, "_rate", rate)
    assert torch.load(tmp_path / "broken.pt", weights_only=True)["step"] == 2
    resumed = train(tmp_path / "broken.pt")
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
