# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Large images in overlapping tiles: the layout, the stitching, and the model that sees tile by tile."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.data import Folder, ImageBatch
from anomalib.deploy import OpenVINOInferencer
from anomalib.engine import Engine
from PIL import Image

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, AdaptCLIPPredictor, PromptBank
from anomalib_adaptclip.model.tile_resize import TileResize, canvas_of
from anomalib_adaptclip.model.tiling import Tiling
from anomalib_adaptclip_cli.main import main

PATCH = (14, 14)
SIZE = 56


def tiny(**options: Any) -> AdaptCLIP:
    defaults: dict[str, Any] = {"backbone": "tiny", "image_size": SIZE, "visualizer": False}
    return AdaptCLIP(**defaults | options)


def photo(seed: int, size: tuple[int, int] = (224, 280), spot: tuple[int, int, int, int] | None = None) -> Image.Image:
    """A noisy grey plate, of height and width, perhaps with a dark spot (left, top, right, bottom)."""
    rng = np.random.default_rng(seed)
    pixels = 150 + 8 * rng.standard_normal((*size, 3))
    pixels[::28] -= 40
    if spot:
        left, top, right, bottom = spot
        pixels[top:bottom, left:right] = 20
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """``good`` with three photos, ``new`` with a good one and one with a spot."""
    for folder, seeds in (("good", range(3)), ("new", range(10, 11))):
        (tmp_path / folder).mkdir()
        for seed in seeds:
            photo(seed).save(tmp_path / folder / f"{seed}.png")
    photo(11, spot=(200, 150, 212, 162)).save(tmp_path / "new" / "spot.png")
    return tmp_path


class TestLayout:
    @pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
    @pytest.mark.parametrize("size", [(56, 56), (70, 56), (196, 322), (1120, 406)])
    def test_tiles_cover_the_image_and_overlap_enough(self, size: tuple[int, int], overlap: float) -> None:
        layout = Tiling((56, 56), overlap, PATCH).layout(size)
        for axis, length in zip((layout.down, layout.across), size, strict=True):
            assert (axis.starts[0], axis.starts[-1] + axis.tile) == (0, length // 14)
            steps = np.diff(axis.starts)
            assert all(0 < step <= 4 * (1 - overlap) for step in steps)

    def test_rows_and_columns_are_those_asked_for(self) -> None:
        for tiles in ((1, 1), (2, 3), (7, 4)):
            size = canvas_of(tiles, (224, 112), 0.25, 14)
            layout = Tiling((224, 112), 0.25, PATCH).layout(size)
            assert (len(layout.down.starts), len(layout.across.starts)) == tiles

    @pytest.mark.parametrize("cells", [1, 4])
    def test_what_was_cut_is_put_together_again(self, cells: int) -> None:
        layout = Tiling((56, 42), 0.25, PATCH).layout((126, 112))
        maps = torch.rand(2, 1, 9 * cells, 8 * cells)
        tiles = torch.stack(
            [
                maps[..., cells * top : cells * (top + 4), cells * left : cells * (left + 3)]
                for top, left in map(layout.place, range(layout.tiles))
            ],
            dim=1,
        ).flatten(0, 1)
        torch.testing.assert_close(layout.stitch(tiles), maps, rtol=0, atol=1e-6)

    def test_seams_fade(self) -> None:
        """Tiles that disagree by 1 give a map that changes gradually, everywhere within their overlap."""
        layout = Tiling((224, 224), 0.5, PATCH).layout((224, 336))
        maps = torch.zeros(layout.tiles, 1, 16, 16)
        maps[1::2] = 1
        row = layout.stitch(maps)[0, 0, 0]
        assert (float(row[0]), float(row[-1])) == (0, 1)
        assert row.diff().min() >= 0
        assert row.diff().max() < 0.25

    def test_cut_tiles_are_parts_of_the_image(self) -> None:
        layout = Tiling((56, 56), 0.25, PATCH).layout((98, 98))
        images = torch.rand(2, 3, 98, 98)
        tiles = layout.cut(images, range(layout.tiles))
        assert tiles.shape == (8, 3, 56, 56)
        torch.testing.assert_close(tiles[5], images[1, :, :56, 42:])

    def test_boxes_of_patches(self) -> None:
        assert Tiling(None, 0, (10, 20)).layout((20, 60)).box(4) == (20, 10, 40, 20)
        layout = Tiling((56, 56), 0.25, PATCH).layout((98, 98))
        for patch, (row, column) in enumerate(layout.patches().flatten(0, 1).tolist()):
            assert layout.box(patch)[:2] == (14 * column, 14 * row)

    def test_images_smaller_than_a_tile_are_told(self) -> None:
        with pytest.raises(ValueError, match="Tiles are 56 x 56 pixels, and images of 28 x 112 are smaller"):
            Tiling((56, 56), 0.25, PATCH).layout((28, 112))


class TestModel:
    @pytest.fixture
    def model(self) -> AdaptCLIPModel:
        core = tiny(k_shot=0, tiles=(2, 2)).model
        assert isinstance(core, AdaptCLIPModel)
        return core

    def test_one_tile_is_the_whole_image(self, model: AdaptCLIPModel) -> None:
        whole = tiny().model
        images, prompts = torch.rand(2, 2, 3, 56, 56)
        for shots in (0, 2):
            if shots:
                model.set_prompts(prompts)
                whole.set_prompts(prompts)
            one, other = model(images), whole(images)
            torch.testing.assert_close(one.pred_score, other.pred_score, rtol=0, atol=1e-5)
            torch.testing.assert_close(one.anomaly_map, other.anomaly_map, rtol=0, atol=1e-5)

    def test_a_constant_image_gives_a_constant_map(self, model: AdaptCLIPModel) -> None:
        """With itself as its prompt; what differs within a tile is the model's, so no more varies than in one tile."""
        image = torch.full((1, 3, 140, 182), 0.3)
        model.set_prompts(image)
        alignment = model.maps_by_adapter(image)["alignment"]
        assert alignment.max() - alignment.min() < 1e-6
        single = tiny().model
        single.set_prompts(image[..., :56, :56])
        whole, tile = model(image).anomaly_map, single(image[..., :56, :56]).anomaly_map
        assert whole.max() - whole.min() <= tile.max() - tile.min() + 1e-6

    def test_prompts_are_tiled_alike(self, model: AdaptCLIPModel) -> None:
        model.set_prompts(torch.rand(3, 3, 98, 98))
        assert model.prompt_memory.tokens.shape[1:3] == (3, 4 * 16)
        image = torch.rand(1, 3, 98, 98)
        model.set_prompts(torch.cat([image, torch.rand(1, 3, 98, 98)]))
        assert model.maps_by_adapter(image)["alignment"].max() < 1e-6

    def test_a_batch_is_its_images(self, model: AdaptCLIPModel) -> None:
        images = torch.rand(3, 3, 98, 140)
        model.set_prompts(torch.rand(1, 3, 98, 140))
        batch = model(images)
        for row, image in enumerate(images):
            torch.testing.assert_close(batch.anomaly_map[row], model(image[None]).anomaly_map[0], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("shots", [0, 2])
    def test_a_graph_leaves_the_number_of_images_open(self, model: AdaptCLIPModel, shots: int) -> None:
        if shots:
            model.set_prompts(torch.rand(shots, 3, 98, 98))
        model.encode_texts()
        shapes = {"images": {0: torch.export.Dim("batch", min=1, max=16)}}
        program = torch.export.export(model, (torch.rand(2, 3, 98, 98),), dynamic_shapes=shapes, strict=False)
        images = torch.rand(3, 3, 98, 98)
        found = program.module()(images)
        torch.testing.assert_close(found.anomaly_map, model(images).anomaly_map, rtol=0, atol=1e-5)


class TestWindow:
    def test_places_far_away_do_not_count(self) -> None:
        """A part that is moved fits its prompt anywhere, and with a window only near its old place."""
        generator = torch.Generator().manual_seed(0)
        prompt = torch.rand(1, 3, 56, 112, generator=generator)
        moved = torch.cat([prompt[..., 56:], prompt[..., :56]], dim=-1)
        for options in ({}, {"tiles": (1, 3), "tile_overlap": 0.5}):
            found = {}
            for window in (None, 0, 8):
                model = tiny(k_shot=1, match_window=window, few_shot_source=None, **options).model
                model.set_prompts(prompt)
                assert model.maps_by_adapter(prompt)["alignment"].max() < 1e-6
                found[window] = model.maps_by_adapter(moved)["alignment"].mean()
            assert found[8] == pytest.approx(float(found[None]), abs=1e-6)
            assert found[0] > 1.5 * found[None]

    def test_prompts_of_another_size_are_refused(self) -> None:
        model = tiny(k_shot=1, tiles=56, match_window=1).model
        model.set_prompts(torch.rand(1, 3, 98, 98))
        with pytest.raises(ValueError, match="match_window compares places, and the images have 32 patches"):
            model(torch.rand(1, 3, 56, 98))


class TestRoutes:
    @pytest.mark.parametrize("tiles", [(4, 5), 56, 80])
    def test_a_small_spot_is_found_at_its_place(self, photos: Path, tiles: int | tuple[int, int]) -> None:
        """By a checkpoint of the Engine, whose predictor gives the same; boxes are in pixels of the file."""
        options: dict[str, Any] = {"tiles": tiles, "k_shot": 3, "few_shot_source": photos / "good"}
        model = tiny(calibration="normal", **options)
        engine = Engine(default_root_dir=photos / "runs", logger=False)
        predictions: Any = engine.predict(model, data_path=photos / "new")
        checkpoint = photos / "model.ckpt"
        engine.trainer.save_checkpoint(checkpoint)
        predictor = AdaptCLIPPredictor.from_checkpoint(checkpoint)
        for batch in predictions:
            for row, path in enumerate(batch.image_path):
                output: Any = predictor(path)
                torch.testing.assert_close(output.pred_score[0], batch.pred_score[row], rtol=0, atol=1e-5)
                found = predictor.geometry.of((224, 280), output.anomaly_map.shape[-2:]).to_file(
                    output.anomaly_map[0, 0]
                )
                if Path(path).stem == "spot":
                    row_of, column = divmod(int(found.argmax()), 280)
                    assert abs(column - 206) <= 14
                    assert abs(row_of - 156) <= 14
                    region = predictor.explain(path)[0].regions[0]
                    assert Path(str(region.prompt_file)).parent == photos / "good"
                    assert region.prompt_box is not None

    def test_an_engine_goes_on_with_a_model_without_tiles(self, photos: Path) -> None:
        engine = Engine(default_root_dir=photos / "runs", logger=False)
        engine.predict(tiny(tiles=80), data_path=photos / "new")
        after: Any = engine.predict(tiny(), data_path=photos / "new")
        alone: Any = Engine(default_root_dir=photos / "runs", logger=False).predict(tiny(), data_path=photos / "new")
        for one, other in zip(after, alone, strict=True):
            torch.testing.assert_close(one.anomaly_map, other.anomaly_map)

    def test_images_of_several_sizes(self, photos: Path) -> None:
        """Tiles of a number of pixels: one by one in the package's own loaders, refused where anomalib would warp."""
        photo(12, (280, 224)).save(photos / "new" / "portrait.png")
        model = tiny(tiles=80, k_shot=3, few_shot_source=photos / "good")
        predictor = AdaptCLIPPredictor(model)
        files = sorted((photos / "new").glob("*.png"))
        shapes = {paths[0]: torch.as_tensor(output.anomaly_map).shape for paths, output in predictor.stream(files)}
        assert len(set(shapes.values())) == 2
        table = photos / "table.csv"
        common = ["--backbone", "tiny", "--image_size", "56", "--tiles", "80", "--k_shot", "3"]
        assert (
            main(["predict", str(photos / "new"), str(table), *common, "--few_shot_source", str(photos / "good")]) == 0
        )
        assert len(table.read_text().splitlines()) == 4
        folder = Folder(
            "mixed",
            "good",
            photos,
            normal_test_dir="new",
            eval_batch_size=3,
            val_split_mode="same_as_test",
            num_workers=0,
        )
        with pytest.raises(ValueError, match=r"sizes \[\(224, 280\), \(280, 224\)\].*eval_batch_size=1"):
            Engine(default_root_dir=photos / "runs", logger=False).test(model, datamodule=folder)

    def test_prompts_of_several_sizes_are_refused(self, photos: Path) -> None:
        photo(12, (280, 224)).save(photos / "good" / "portrait.png")
        with pytest.raises(ValueError, match=r"must have one size.*tiles as rows and columns"):
            tiny(tiles=80, k_shot=4, few_shot_source=photos / "good")

    def test_a_bank_remembers_its_tiles(self, photos: Path) -> None:
        bank = photos / "bank.safetensors"
        command = ["bank-add", str(bank), "new", str(photos / "good"), "--backbone", "tiny", "--image_size", "56"]
        assert main([*command, "--tiles", "[3,4]"]) == 0
        model = tiny(prompt_bank=bank, tiles=(3, 4), calibration="normal")
        files = [photos / "new" / "10.png", photos / "new" / "spot.png"]
        output: Any = AdaptCLIPPredictor(model)(files, ["new", "new"])
        assert output.pred_score[1] > output.pred_score[0]
        assert bool(output.pred_label[1])
        with pytest.raises(ValueError, match=r"tile_size \[56, 56\], not None"):
            tiny(prompt_bank=bank, image_size=canvas_of((3, 4), (56, 56), 0.25, 14))
        alone = PromptBank(model.model)
        alone.add("new", model.read_images(sorted((photos / "good").glob("*.png"))))
        assert alone.k_shot("new") == 3

    def test_exports_have_the_tiles_in_them(self, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(photos)  # OpenVINO leaves a cache
        model = tiny(tiles=(2, 3), k_shot=2, few_shot_source=photos / "good", calibration="normal")
        path = model.to_openvino(photos / "exported", input_size=(224, 280))
        expected: Any = AdaptCLIPPredictor(model)(photos / "new" / "spot.png")
        image = np.asarray(Image.open(photos / "new" / "spot.png"), np.float32) / 255
        found: Any = OpenVINOInferencer(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).predict(image)
        np.testing.assert_allclose(found.pred_score, expected.pred_score, rtol=0, atol=1e-4)
        np.testing.assert_allclose(
            np.squeeze(found.anomaly_map), expected.anomaly_map.squeeze().numpy(), rtol=0, atol=1e-4
        )
        with pytest.raises(ValueError, match="a fixed number of tiles; got tiles=80 pixels"):
            tiny(tiles=80).to_onnx(photos / "exported")


def test_resizing_keeps_the_scale_of_tiles() -> None:
    """A tile of 80 pixels becomes one of 56; masks and images alike, and nothing smaller than a tile."""
    resize = TileResize(80, (56, 56), 14)
    assert resize.scaled((800, 1600)) == (560, 1120)
    assert resize.scaled((40, 400)) == (56, 280)
    batch = ImageBatch(image=torch.rand(1, 3, 160, 240), gt_mask=torch.zeros(1, 160, 240, dtype=torch.bool))
    image, mask = resize(batch.image, batch.gt_mask)
    assert (image.shape, mask.shape, mask.dtype) == ((1, 3, 112, 168), (1, 112, 168), torch.bool)
