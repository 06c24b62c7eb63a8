# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A region of interest: what is outside has no say in anything, wherever the model is used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.engine import Engine
from anomalib.pre_processing import PreProcessor
from PIL import Image, ImageDraw
from torchvision.transforms.v2 import CenterCrop, Compose, Pad, Resize, Transform

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, AdaptCLIPPredictor, PromptBank
from anomalib_adaptclip.files.region_of_interest import read_region
from anomalib_adaptclip.results.item_picture import region_of
from anomalib_adaptclip_cli.main import main

BOX = [0.1, 0.2, 0.6, 0.9]
INSIDE, OUTSIDE = (60, 100), (180, 20)  # left and top of a spot in photos of 160 x 240 pixels


def tiny(**options: Any) -> AdaptCLIP:
    defaults: dict[str, Any] = {"backbone": "tiny", "image_size": 112, "visualizer": False}
    return AdaptCLIP(**defaults | options)


def photo(seed: int, spot: tuple[int, int] | None = None) -> Image.Image:
    """A noisy grey plate, perhaps with a dark spot."""
    pixels = 150 + 8 * np.random.default_rng(seed).standard_normal((160, 240, 3))
    if spot:
        pixels[spot[1] : spot[1] + 24, spot[0] : spot[0] + 24] = 20
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folders ``good`` and ``new``: a good photo, and photos with a spot inside and outside of the box."""
    for folder in ("good", "new"):
        (tmp_path / folder).mkdir()
    for seed in range(3):
        photo(seed).save(tmp_path / "good" / f"{seed}.png")
    for name, spot in {"good": None, "inside": INSIDE, "outside": OUTSIDE}.items():
        photo(10, spot).save(tmp_path / "new" / f"{name}.png")
    return tmp_path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """The box as a mask of the photos' size."""
    image = Image.new("L", (240, 160))
    ImageDraw.Draw(image).rectangle((24, 32, 143, 143), fill=255)
    image.save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def core(options: dict[str, Any]) -> tuple[AdaptCLIPModel, torch.Tensor]:
    """A model with two random prompts, unless it is to be zero-shot, and two images of its size."""
    shots = options.pop("shots", 2)
    model = tiny(k_shot=shots, **options)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2 + shots, 3, *(model.input_size or ()), generator=generator)
    if shots:
        model.model.set_prompts(images[2:])
    return model.model, images[:2]


OPTIONS: list[dict[str, Any]] = [
    {"shots": 0},
    {"shots": 0, "adapter_names": []},
    {},
    {"fusion": "published"},
    {"fusion": "paper", "shots": 0},
    {"context": False},
    {"match_window": 2},
    {"tiles": (2, 3), "image_size": 56},
    {"tiles": (2, 2), "image_size": 56, "match_window": 1},
]


class TestModel:
    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_what_is_outside_has_no_say(self, options: dict[str, Any]) -> None:
        model, images = core({"roi": BOX} | options)
        inside = model.layout((images.shape[-2], images.shape[-1])).inside
        assert inside is not None
        assert inside.pixels.float().mean() == pytest.approx(0.35, abs=0.02)
        one, other = model(images), model(images.where(inside.pixels, 5.0))
        assert torch.equal(one.pred_score, other.pred_score)
        assert torch.equal(one.anomaly_map, other.anomaly_map)
        assert not one.anomaly_map[..., ~inside.pixels].any()
        assert one.anomaly_map[..., inside.pixels].min() > 0

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_a_region_of_all_changes_nothing(self, options: dict[str, Any]) -> None:
        (whole, images), (region, _) = core(dict(options)), core({"roi": [0, 0, 1, 1]} | options)
        one, other = whole(images), region(images)
        torch.testing.assert_close(one.pred_score, other.pred_score, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.anomaly_map, other.anomaly_map, rtol=0, atol=1e-6)

    def test_prompts_are_of_the_region_alone(self) -> None:
        model, _ = core({"roi": [0, 0, 0.5, 0.25]})
        assert model.prompt_memory.tokens.shape[1:3] == (2, 2 * 4)
        prompt = torch.rand(1, 3, 112, 112)
        other = prompt.clone()
        other[..., 28:, :] = 0
        tokens = [model.prompt_memory.pack(model.encode_prompts(images)) for images in (prompt, other)]
        assert torch.equal(*tokens)

    def test_maps_keep_to_what_the_patches_inside_say(self) -> None:
        """Neither resizing nor smoothing lets in what is outside."""
        model, _ = core({"roi": [0.1, 0.1, 0.7, 0.1, 0.4, 0.9], "shots": 0, "adapter_names": []})
        images = torch.full((1, 3, 112, 112), 0.3)
        inside = model.layout((112, 112)).inside
        assert inside is not None
        maps = model.maps_by_adapter(images)["fused"][0, 0]
        patches = model.maps_by_adapter(images)["plain"][0, 0][inside.pixels]
        assert maps[inside.pixels].min() >= patches.min() - 1e-6
        assert maps[inside.pixels].max() <= patches.max() + 1e-6

    def test_regions_explained_lie_inside(self, photos: Path) -> None:
        model = tiny(roi=BOX, k_shot=3, few_shot_source=photos / "good", calibration="normal")
        [explanation] = AdaptCLIPPredictor(model).explain(photos / "new" / "inside.png")
        region = explanation.regions[0]
        assert region.prompt_box is not None
        left, top, right, bottom = region.prompt_box  # in pixels of the file
        assert (left < 0.6 * 240, right > 0.1 * 240, top < 0.9 * 160, bottom > 0.2 * 160) == (True,) * 4


class TestRoutes:
    def test_a_spot_counts_inside_alone(self, photos: Path, mask: Path) -> None:
        """By Engine, checkpoint and predictor alike; the checkpoint needs no mask file."""
        model = tiny(roi=mask, k_shot=3, few_shot_source=photos / "good", calibration="normal")
        engine = Engine(default_root_dir=photos / "runs", logger=False)
        batches: Any = engine.predict(model, data_path=photos / "new")
        assert {Path(batch.image_path[0]).stem: int(batch.pred_label) for batch in batches} == {
            "good": 0,
            "inside": 1,
            "outside": 0,
        }
        scores = {Path(batch.image_path[0]).stem: float(batch.pred_score) for batch in batches}
        assert scores["outside"] == scores["good"]
        checkpoint = photos / "model.ckpt"
        engine.trainer.save_checkpoint(checkpoint)
        mask.unlink()
        predictor = AdaptCLIPPredictor.from_checkpoint(checkpoint)
        for name, score in scores.items():
            output: Any = predictor(photos / "new" / f"{name}.png")
            assert float(output.pred_score[0]) == pytest.approx(score, abs=1e-6)

    def test_a_checkpoint_decides(self, photos: Path, mask: Path) -> None:
        model = tiny(roi=mask, k_shot=3, few_shot_source=photos / "good")
        engine = Engine(default_root_dir=photos / "runs", logger=False)
        engine.predict(model, data_path=photos / "new")
        engine.trainer.save_checkpoint(photos / "model.ckpt")
        assert AdaptCLIPPredictor.from_checkpoint(photos / "model.ckpt", roi=mask).model.model.options.roi
        with pytest.raises(ValueError, match=r"decides roi=\[0, 0, 1, 0.5\] \(checkpoint: 'a region of 35.0% of"):
            AdaptCLIPPredictor.from_checkpoint(photos / "model.ckpt", roi=[0, 0, 1, 0.5])

    def test_categories_of_a_bank_have_their_own(
        self, photos: Path, mask: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bank = photos / "bank.safetensors"
        command = ["bank-add", str(bank), "part", str(photos / "good"), "--backbone", "tiny", "--image_size", "112"]
        assert main([*command, "--roi", str(mask)]) == 0
        assert main(["bank-add", str(bank), "whole", str(photos / "good")]) == 0
        with pytest.raises(SystemExit):
            main([*command, "--roi", "[0,0,1,0.5]"])
        assert "are of a region of 35.0% of the image" in capsys.readouterr().err
        mask.unlink()
        model, uncalibrated = tiny(prompt_bank=bank, calibration="normal"), tiny(prompt_bank=bank)
        uncalibrated.prepare()
        files = [photos / "new" / f"{name}.png" for name in ("inside", "outside", "outside", "good", "good")]
        categories = ["part", "part", "whole", "part", "none"]
        output: Any = AdaptCLIPPredictor(model)(files, categories)
        assert output.pred_label[:3].tolist() == [True, False, True]
        assert output.pred_score[1] == output.pred_score[3]
        single = tiny(roi=BOX, k_shot=3, few_shot_source=photos / "good")
        single.prepare()
        raw = [
            one.detect(model.read_images(files[:2]), *own)
            for one, own in ((single, ()), (uncalibrated, (["part"] * 2,)))
        ]
        torch.testing.assert_close(raw[0].pred_score, raw[1].pred_score, rtol=0, atol=1e-5)
        explained = model.explain(model.read_images(files[:1]), ["part"])
        assert not explained[0].anomaly_map[:20].any()
        drawn: Any = region_of(model, "part")
        assert drawn.float().mean() == pytest.approx(0.35, abs=0.01)
        assert region_of(single, "part") is single.model.region
        assert region_of(model, "whole") is None
        loaded = PromptBank.load(bank, model.model)
        loaded.remove("part")
        loaded.save(bank)
        assert PromptBank.load(bank, model.model).regions_of(["part", "whole"]) == [None, None]

    @pytest.mark.parametrize(
        "steps", [[Resize((140, 140)), CenterCrop(112)], [Resize((112, 56)), Pad((28, 0))]], ids=str
    )
    def test_parts_of_images_are_refused(self, photos: Path, steps: list[Transform]) -> None:
        pre_processor = PreProcessor(transform=Compose(steps))
        model = tiny(roi=BOX, pre_processor=pre_processor, image_size=None)
        with pytest.raises(ValueError, match="roi is a region of whole images"):
            AdaptCLIPPredictor(model)(photos / "new" / "good.png")
        whole = tiny(roi=BOX, pre_processor=PreProcessor(transform=Resize((112, 112))), image_size=None)
        output: Any = AdaptCLIPPredictor(whole)(photos / "new" / "good.png")
        assert output.anomaly_map[..., 56, 56] > 0

    def test_mask_and_box_are_one(self, mask: Path) -> None:
        images = torch.rand(1, 3, 112, 112)
        one, other = tiny(roi=mask).model(images), tiny(roi=BOX).model(images)
        assert torch.equal(one.anomaly_map, other.anomaly_map)
        assert read_region(mask) != read_region(BOX)  # of other sizes
