# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Pairs of queries and prompts: which data sets, which files, which draws, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from PIL import Image
from torchvision.transforms.v2 import Resize

from anomalib_adaptclip.data import QueryPromptDataModule, SyntheticDefects
from anomalib_adaptclip.data.data_source import DataSource
from anomalib_adaptclip.data.query_prompt_loader import Pair, QueryPromptSampler

FEW = {"image_size": 64, "num_train_images": 3, "num_normal_test_images": 2, "num_images_per_defect": 1}
SIZES = {"gear": 6, "wood": 6, "carpet": 5}  # test images: two normal ones, and one a defect


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three categories in MVTec AD layout."""
    root = tmp_path_factory.mktemp("drawn")
    for category in SIZES:
        SyntheticDefects(root, category, **FEW).prepare_data()
    return root


@pytest.fixture
def copied(drawn: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(drawn, tmp_path / "copied"))


def pairs(root: Path, **options: Any) -> QueryPromptDataModule:
    datamodule = QueryPromptDataModule(**{"base": "MVTecAD", "base_root": root, "num_workers": 0, **options})
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def category_of(path: str) -> str:
    return Path(path).parents[2].name


def test_a_batch(drawn: Path) -> None:
    datamodule = pairs(drawn, train_batch_size=4)
    assert len(datamodule.train_data) == sum(SIZES.values())
    batch = next(iter(datamodule.train_dataloader()))
    assert batch.image.shape == batch.prompt_image.shape == (4, 3, 64, 64)
    assert batch.gt_mask.shape == (4, 64, 64)
    torch.testing.assert_close(batch.gt_mask.flatten(1).any(dim=1), batch.gt_label)
    for query, prompt, category in zip(batch.image_path, batch.prompt_path, batch.category, strict=True):
        assert category == category_of(query) == category_of(prompt)
        assert Path(query).parts[-3] == "test"
        assert Path(prompt).parts[-3:-1] == ("train", "good")


def test_a_pair_is_what_the_files_hold(drawn: Path) -> None:
    datamodule = pairs(drawn, base_categories=["gear"])
    item = datamodule.train_data[Pair(0, 2)]
    assert item.prompt_path == str(drawn / "gear/train/good/002.png")
    for path, image in ((item.image_path, item.image), (item.prompt_path, item.prompt_image)):
        expected = torch.from_numpy(np.asarray(Image.open(str(path)), dtype=np.float32) / 255).permute(2, 0, 1)
        torch.testing.assert_close(torch.as_tensor(image), expected)


def test_every_query_once_an_epoch(drawn: Path) -> None:
    datamodule = pairs(drawn, train_batch_size=5)
    seen = [path for batch in datamodule.train_dataloader() for path in batch.image_path]
    assert sorted(seen) == sorted(datamodule.base_samples.queries.image_path)


def test_sixteen_bits_are_read_in_full(copied: Path) -> None:
    grey = np.full((64, 64), 0x4000, dtype=np.uint16)
    for path in (copied / "gear/test/good/000.png", copied / "gear/train/good/000.png"):
        Image.fromarray(grey).save(path)
    datamodule = pairs(copied, base_categories=["gear"])
    item = datamodule.train_data[Pair(list(datamodule.train_data.samples.label_index).index(0), 0)]
    for image in (item.image, item.prompt_image):
        torch.testing.assert_close(torch.as_tensor(image), torch.full((3, 64, 64), 0x4000 / 0xFFFF))


def test_images_of_several_sizes_fit_into_a_batch(copied: Path) -> None:
    for path in (copied / "gear").rglob("*.png"):
        image = Image.open(path)
        image.resize((96, 80), Image.Resampling.NEAREST).save(path)
    datamodule = pairs(copied, train_batch_size=17)
    datamodule.train_data.augmentations = Resize((56, 56))  # what anomalib takes from the model
    batch = next(iter(datamodule.train_dataloader()))
    assert batch.image.shape == batch.prompt_image.shape == (17, 3, 56, 56)
    assert batch.gt_mask.shape == (17, 56, 56)


class Store:
    """Stored tokens, the same for every file."""

    def read(self, path: str) -> torch.Tensor:
        del path
        return torch.zeros(5, 8)


def test_stored_tokens_stand_in_for_images_and_masks_stay_the_same(drawn: Path) -> None:
    datamodule = pairs(drawn, train_batch_size=sum(SIZES.values()))
    datamodule.train_data.augmentations = Resize((56, 56))  # what anomalib takes from the model
    read = next(iter(datamodule.train_dataloader()))
    datamodule.use_tokens(Store())
    stored = next(iter(datamodule.train_dataloader()))
    assert stored.image is None
    assert stored.tokens.shape == stored.prompt_tokens.shape == (sum(SIZES.values()), 5, 8)
    assert stored.image_path == read.image_path
    torch.testing.assert_close(stored.gt_mask, read.gt_mask, rtol=0, atol=0)


class TestDraws:
    @staticmethod
    def draw(epoch: int = 0, **options: Any) -> list[Pair]:
        sampler = QueryPromptSampler(**{"prompt_counts": [5] * 40 + [9] * 41, "batch_size": 8, "seed": 3, **options})
        sampler.set_epoch(epoch)
        drawn = list(sampler)
        assert len(drawn) == len(sampler)
        return drawn

    def test_the_same_seed_and_epoch_draw_the_same(self) -> None:
        assert self.draw(epoch=2) == self.draw(epoch=2)

    @pytest.mark.parametrize("change", [{"epoch": 1}, {"seed": 4}])
    def test_another_seed_or_epoch_draws_anew(self, change: dict[str, int]) -> None:
        before, after = dict(self.draw()), dict(self.draw(**change))
        same = sum(before.get(query) == prompt for query, prompt in after.items())
        assert list(before) != list(after)
        assert 0 < same < 30  # of 80, by chance about 12

    def test_all_prompts_are_drawn_and_none_beyond(self) -> None:
        prompts: dict[bool, set[int]] = {True: set(), False: set()}
        for epoch in range(10):
            for query, prompt in self.draw(epoch):
                prompts[query < 40].add(prompt)
        assert prompts == {True: set(range(5)), False: set(range(9))}

    def test_processes_share_one_drawing(self) -> None:
        together = self.draw(num_replicas=1, batch_size=8)
        apart = [self.draw(num_replicas=2, rank=rank, batch_size=4) for rank in (0, 1)]
        for step in range(10):
            own = [pair for drawn in apart for pair in drawn[4 * step : 4 * step + 4]]
            assert sorted(own) == sorted(together[8 * step : 8 * step + 8])

    def test_a_single_query_left_over_is_passed_over(self) -> None:
        assert len(self.draw(batch_size=8)) == 80
        assert len(self.draw(batch_size=9)) == 81
        assert len({pair.query for pair in self.draw(batch_size=8)}) == 80

    def test_uneven_processes_start_over(self) -> None:
        apart = [self.draw(num_replicas=2, rank=rank) for rank in (0, 1)]
        assert [len(drawn) for drawn in apart] == [41, 41]
        assert {pair.query for drawn in apart for pair in drawn} == set(range(81))

    def test_workers_change_nothing(self, drawn: Path) -> None:
        seen = []
        for workers in (0, 2):
            loader = pairs(drawn, num_workers=workers, train_batch_size=4).train_dataloader()
            loader.sampler.set_epoch(1)  # type: ignore[attr-defined]
            seen.append([(batch.image_path, batch.prompt_path) for batch in loader])
        assert seen[0] == seen[1]


class TestTarget:
    def test_held_out_categories(self, drawn: Path) -> None:
        datamodule = pairs(drawn, holdout_categories=["wood"])
        assert datamodule.base_samples.categories == ["carpet", "gear"]
        paths = [path for batch in datamodule.val_dataloader() for path in batch.image_path]
        assert {category_of(path) for path in paths} == {"wood"}
        assert len(paths) == SIZES["wood"]

    def test_another_data_set(self, drawn: Path, tmp_path: Path) -> None:
        datamodule = pairs(
            drawn,
            target="SyntheticDefects",
            target_root=tmp_path / "more",
            target_categories=["coin", "key"],
            target_args=FEW,
        )
        assert datamodule.base_samples.categories == ["carpet", "gear", "wood"]
        assert datamodule.name == "MVTecAD-SyntheticDefects"
        batch = next(iter(datamodule.test_dataloader()))
        assert {category_of(path) for path in batch.image_path} <= {"coin", "key"}
        assert batch.prompt_image is None

    def test_prompts_are_drawn_as_published(self, drawn: Path) -> None:
        prompts = pairs(drawn, base_categories=["gear"], holdout_categories=["wood", "carpet"]).target_prompts(20)
        index = int(torch.randint(0, 3, (1,), generator=torch.Generator().manual_seed(20)))
        assert prompts == {name: [str(drawn / name / f"train/good/00{index}.png")] for name in ("carpet", "wood")}

    def test_no_target(self, drawn: Path) -> None:
        datamodule = pairs(drawn)
        assert datamodule.val_dataloader() == []
        assert "target: none" in datamodule.summary()

    def test_summary(self, drawn: Path) -> None:
        base, target = pairs(drawn, holdout_categories=["wood"]).summary().splitlines()
        assert base == (
            "base: MVTecAD, 2 categories (carpet, gear), 11 queries, 64% abnormal, 6 normal images for prompts"
        )
        assert target == "target: MVTecAD, 1 category (wood), 6 queries, 67% abnormal, 3 normal images for prompts"


class TestDataSets:
    """Data modules of anomalib by name, in miniature."""

    @pytest.mark.parametrize("name", ["MVTecAD", "MPDD", "anomalib.data.MVTecAD"])
    def test_layout_of_mvtec(self, drawn: Path, name: str) -> None:
        assert pairs(drawn, base=name).base_samples.categories == ["carpet", "gear", "wood"]

    def test_visa(self, drawn: Path, tmp_path: Path) -> None:
        shutil.copytree(drawn, tmp_path / "visa_pytorch")
        datamodule = pairs(tmp_path, base="Visa")
        assert datamodule.base_samples.categories == ["carpet", "gear", "wood"]
        assert len(datamodule.train_data) == sum(SIZES.values())

    def test_btech(self, drawn: Path, tmp_path: Path) -> None:
        for source in (drawn / "gear").rglob("*.png"):
            kind = "ok" if source.parent.name == "good" else source.parent.name
            name = source.name.replace("_mask", "")
            target = tmp_path / "01" / source.parts[-3] / kind / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        datamodule = pairs(tmp_path, base="BTech")
        assert datamodule.base_samples.categories == ["01"]
        assert len(datamodule.train_data) == SIZES["gear"]
        items = map(datamodule.train_data.__getitem__, every_query(datamodule))
        assert [bool(item.gt_label) for item in items].count(True) == 4

    def test_folder_is_one_category(self, drawn: Path) -> None:
        datamodule = pairs(drawn / "gear", base="Folder", base_args=folder("mine"))
        assert datamodule.base_samples.categories == ["mine"]
        assert len(datamodule.train_data) == SIZES["gear"]
        assert len(datamodule.base_samples.prompts["mine"]) == 3

    def test_ours(self, tmp_path: Path) -> None:
        datamodule = pairs(tmp_path, base="SyntheticDefects", base_categories=["gear"], base_args=FEW)
        assert len(datamodule.train_data) == SIZES["gear"]

    def test_by_the_command_line(self, drawn: Path) -> None:
        parser = ArgumentParser()
        parser.add_subclass_arguments(QueryPromptDataModule, "data")
        arguments = ["--data", "QueryPromptDataModule", "--data.base", "MVTecAD", "--data.base_root", str(drawn)]
        arguments += ["--data.holdout_categories", "[wood]", "--data.base_args.train_batch_size", "4"]
        datamodule = parser.instantiate_classes(parser.parse_args(arguments)).data
        assert datamodule.base.arguments == {"root": drawn, "train_batch_size": 4}
        assert datamodule.base.categories == ["carpet", "gear"]


def folder(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "normal_dir": "train/good",
        "normal_test_dir": "test/good",
        "abnormal_dir": [f"test/{defect}" for defect in ("foreign_part", "missing_part", "scratch", "stain")],
        "mask_dir": [f"ground_truth/{defect}" for defect in ("foreign_part", "missing_part", "scratch", "stain")],
    }


def every_query(datamodule: QueryPromptDataModule) -> list[Pair]:
    return [Pair(index, 0) for index in range(len(datamodule.train_data))]


class TestLeakage:
    def refused(self, root: Path, match: str, **options: Any) -> None:
        with pytest.raises(ValueError, match=match):
            pairs(root, **options)
        assert pairs(root, **options, allow_leakage=options.get("base", "MVTecAD")).target_samples is not None

    def test_base_as_target(self, drawn: Path) -> None:
        self.refused(drawn, "Leakage: base MVTecAD and target MVTecAD are the same data set", target="MVTecAD")

    def test_a_category_in_both(self, drawn: Path) -> None:
        options = {"base_categories": ["gear", "wood"], "target_categories": ["wood"], "target": "MVTecAD"}
        self.refused(drawn, r"share the categories \['wood'\]", **options)

    def test_images_in_both_under_other_names(self, drawn: Path) -> None:
        options = {"target": "Folder", "target_root": drawn / "gear", "target_args": folder("mine")}
        self.refused(drawn, "sharing 6 images", **options)

    def test_another_name_allows_nothing(self, drawn: Path) -> None:
        with pytest.raises(ValueError, match="allow_leakage must be the name of the base"):
            pairs(drawn, target="MVTecAD", allow_leakage="Visa")

    def test_categories_apart_are_no_leakage(self, drawn: Path) -> None:
        datamodule = pairs(drawn, base_categories=["gear"], target="MVTecAD", target_categories=["wood"])
        assert datamodule.target_samples is not None


Damage = Callable[[Path], object]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda gear: shutil.rmtree(gear / "train/good"),
            "category gear of MVTecAD has no normal train images",
        ),
        (
            lambda gear: [*map(shutil.rmtree, (gear / "test", gear / "ground_truth"))],
            "category gear of MVTecAD has no test images",
        ),
        (
            lambda gear: shutil.rmtree(gear / "ground_truth"),
            "category gear of MVTecAD cannot be read",
        ),
        (
            lambda gear: Image.new("L", (32, 64)).save(gear / "ground_truth/stain/000_mask.png"),
            r"category gear of MVTecAD has 1 masks of another size.*stain/000_mask.png is 64 x 32",
        ),
        (
            lambda gear: (gear / "ground_truth/stain/000_mask.png").write_bytes(b"garbage"),
            "stain/000_mask.png",
        ),
    ],
    ids=["no train images", "no test split", "no masks", "another size", "garbage"],
)
def test_damaged_categories_are_named(copied: Path, damage: Damage, message: str) -> None:
    damage(copied / "gear")
    with pytest.raises(Exception, match=message):
        pairs(copied, base_categories=["carpet", "gear"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "MVTecDA"}, "no anomalib data module 'MVTecDA'"),
        ({"base": "anomalib.nowhere.MVTecAD"}, "no anomalib data module"),
        ({"base": "MVTecADDataset"}, "no anomalib data module"),
        ({"target": "Nothing"}, "no anomalib data module 'Nothing'"),
        ({"base_categories": ["gear", "gaer"]}, r"MVTecAD has no categories \['gaer'\]; it has \['carpet', 'gear'"),
        ({"holdout_categories": ["gaer"]}, r"no categories \['gaer'\]"),
        ({"holdout_categories": ["gear"], "target": "Visa"}, "either target='Visa' or holdout_categories"),
        ({"base_args": {"catgory": "gear"}}, r"MVTecAD has no arguments \['catgory'\]; it has"),
        ({"base_categories": []}, "no categories"),
        ({"holdout_categories": ["carpet", "gear", "wood"]}, "no categories"),
    ],
)
def test_wrong_arguments(drawn: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pairs(drawn, **options)


def test_a_batch_of_one_is_refused(drawn: Path) -> None:
    datamodule = pairs(drawn, train_batch_size=1)
    with pytest.raises(ValueError, match="train_batch_size must be at least 2"):
        datamodule.train_dataloader()


def test_a_target_may_lack_masks(drawn: Path) -> None:
    """As some medical data sets do: image scores alone."""
    scans = {**folder("scans"), "mask_dir": None}
    datamodule = pairs(
        drawn, base_categories=["carpet"], target="Folder", target_root=drawn / "gear", target_args=scans
    )
    batch = next(iter(datamodule.val_dataloader()))
    assert batch.gt_mask is None
    assert int(batch.gt_label.sum()) == 4


def test_a_base_may_lack_masks(drawn: Path) -> None:
    scans = {**folder("scans"), "mask_dir": None}
    datamodule = pairs(drawn / "gear", base="Folder", base_args=scans, train_batch_size=6)
    assert not datamodule.trains_maps
    assert "0 of 4 abnormal ones with a mask" in datamodule.summary()
    batch = next(iter(datamodule.train_dataloader()))
    assert batch.gt_mask is None
    assert batch.has_mask.tolist() == [not label for label in batch.gt_label]


def test_a_base_may_lack_some_masks(copied: Path) -> None:
    gear = copied / "gear"
    for name in ("stain", "scratch"):
        (gear / f"ground_truth/{name}/000_mask.png").unlink()
    mine = {"name": "mine", "normal_dir": "train/good", "abnormal_dir": "test", "mask_dir": "ground_truth"}
    shutil.rmtree(gear / "test/good")
    datamodule = pairs(gear, base="LabelledFolder", base_args=mine, train_batch_size=8)
    batch = next(iter(datamodule.train_dataloader()))
    for path, label, has_mask, mask in zip(
        batch.image_path, batch.gt_label, batch.has_mask, batch.gt_mask, strict=True
    ):
        assert has_mask == (Path(path).parent.name not in {"stain", "scratch"})
        assert mask.any() == (label and has_mask)


def test_masks_that_are_named_must_be_there(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collect = DataSource._read

    def read(source: DataSource, category: str) -> Any:
        module = collect(source, category)
        module.test_data.samples.loc[module.test_data.samples.label_index == 1, "mask_path"] = "nowhere.png"
        return module

    monkeypatch.setattr(DataSource, "_read", read)
    with pytest.raises(ValueError, match="gear of MVTecAD names masks of 4 abnormal images, and these files are not"):
        pairs(drawn, base_categories=["gear"])


def test_a_seed_decides_the_splits_that_are_drawn(drawn: Path) -> None:
    mine = {"name": "mine", "normal_dir": "train/good", "abnormal_dir": "test/stain", "test_split_ratio": 0.4}
    drawn_twice = []
    for seed in (1, 1, 2, 3, 4):
        torch.seed()
        module = pairs(drawn / "gear", base="Folder", base_args=mine, seed=seed)
        drawn_twice.append(module.base_samples.prompts["mine"])
    assert drawn_twice[0] == drawn_twice[1]
    assert any(other != drawn_twice[0] for other in drawn_twice)
