# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIP in anomalib's Engine: prompts, adapters, checkpoints, thresholds."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib import LearningType
from anomalib.data import Folder, ImageBatch, ImageItem, MVTecAD, PredictDataset
from anomalib.data.utils import read_image
from anomalib.engine import Engine
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, SyntheticDefects
from anomalib_adaptclip.clip import load_clip

SIZE = 56  # pixels, small and fast; 4 x 4 patches


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def datamodule(data_root: Path) -> SyntheticDefects:
    return SyntheticDefects(
        data_root, "gear", image_size=64, num_train_images=6, num_normal_test_images=3, num_images_per_defect=1
    )


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[], Engine]:
    """Engines anew, as each command of the CLI has one."""
    return lambda: Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)


def tiny(**options: Any) -> AdaptCLIP:
    defaults: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": SIZE}
    defaults["visualizer"] = False
    return AdaptCLIP(**defaults | options)


def checkpoint_of(engine: Engine) -> Path:
    return Path(engine.trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]


def adapters_for_tiny(path: Path, base: str = "Visa", **options: Any) -> Path:
    """Random adapters of tiny in our layout."""
    torch.manual_seed(0)
    model = AdaptCLIPModel(tiny().model.clip, (2, 4, 6, 8), 3, **options)
    save_file(model.adapters.state_dict(), path, metadata={"base": base})
    return path


def scores(predictions: Any) -> torch.Tensor:
    return torch.cat([batch.pred_score for batch in predictions])


def preprocess(model: AdaptCLIP, images: torch.Tensor) -> torch.Tensor:
    assert model.pre_processor is not None
    assert model.pre_processor.transform is not None
    transformed: torch.Tensor = model.pre_processor.transform(images)
    return transformed


# Prompts


def source_and_base(model: AdaptCLIP) -> tuple[str, str]:
    origin = model.adapter_slot.origin
    return origin.source, origin.bases[0].name if origin.bases else ""


def test_prompts_are_drawn_as_published(
    datamodule: SyntheticDefects, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`torch.randint` over the train images in file-name order, after seeding: 10 by default, 20 and 30 for repeats."""
    drawn = {}
    for seed in (10, 20):
        model = tiny(k_shot=3, seed=seed)
        engine().validate(model, datamodule=datamodule)
        torch.manual_seed(seed)
        files = sorted((datamodule.root / "gear" / "train" / "good").iterdir())
        assert model.prompt_files == [str(files[index]) for index in torch.randint(0, 6, (3,))]
        assert all(name in caplog.text for name in model.prompt_files)
        drawn[seed] = model.prompt_files
    assert drawn[10] != drawn[20]


def test_prompts_are_normalised(datamodule: SyntheticDefects, engine: Any) -> None:
    """A prompt that is the query itself aligns perfectly; without normalisation it would not."""
    model = tiny(k_shot=1, fusion="published")
    engine().validate(model, datamodule=datamodule)
    query = preprocess(model, torch.as_tensor(read_image(model.prompt_files[0], as_tensor=True)).unsqueeze(0))
    output = model.model(query)
    torch.testing.assert_close(output.anomaly_map, torch.zeros(1, 1, SIZE, SIZE), rtol=0, atol=1e-5)


def test_prompts_from_a_folder_are_its_first(write_images: Callable[..., Path], engine: Any) -> None:
    source = write_images("good", 4)
    model = tiny(k_shot=2, few_shot_source=source)
    engine().predict(model, data_path=write_images("query", 1))
    assert model.prompt_files == [str(source / "000.png"), str(source / "001.png")]
    assert model.model.prompt_memory.k_shot == 2
    assert model.learning_type == LearningType.FEW_SHOT


def test_prompts_follow_the_data(data_root: Path, datamodule: SyntheticDefects, engine: Any) -> None:
    """One model tested on two categories takes the prompts of each."""
    model = tiny(k_shot=1)
    engine().validate(model, datamodule=datamodule)
    first = model.prompt_files
    options: dict[str, Any] = {
        "image_size": 64,
        "num_train_images": 2,
        "num_normal_test_images": 2,
        "num_images_per_defect": 1,
    }
    engine().validate(model, datamodule=SyntheticDefects(data_root, "weave", **options))
    assert first != model.prompt_files
    assert "weave" in model.prompt_files[0]


# Checkpoints


def test_prompts_come_out_of_the_checkpoint(
    datamodule: SyntheticDefects, engine: Any, write_images: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Others beside it are refused."""
    queries = write_images("query", 3)
    trained, first = tiny(k_shot=2), engine()
    first.train(trained, datamodule=datamodule)
    expected = scores(engine().predict(trained, data_path=queries, ckpt_path=checkpoint_of(first)))

    caplog.clear()
    model = tiny()
    found = scores(engine().predict(model, data_path=queries, ckpt_path=checkpoint_of(first)))
    torch.testing.assert_close(found, expected)
    assert model.prompt_files == trained.prompt_files
    assert all(name in caplog.text for name in trained.prompt_files)

    others = tiny(k_shot=1, few_shot_source=write_images("others", 1))
    with pytest.raises(ValueError, match=r"The checkpoint decides k_shot=1 \(checkpoint: 2\), few_shot_source="):
        engine().predict(others, data_path=queries, ckpt_path=checkpoint_of(first))


def test_a_zero_shot_checkpoint_leaves_the_prompts_to_the_constructor(
    datamodule: SyntheticDefects, engine: Any
) -> None:
    """Also where the model had prompts of its own before."""
    first, model = engine(), tiny(k_shot=1)
    first.validate(tiny(), datamodule=datamodule)
    engine().validate(model, datamodule=datamodule)
    engine().validate(model, datamodule=datamodule, ckpt_path=checkpoint_of(first))
    assert model.model.prompt_memory.k_shot == 1
    assert len(model.prompt_files) == 1


def test_a_checkpoint_needs_neither_prompts_nor_adapters_of_its_origin(
    tmp_path: Path, write_images: Callable[..., Path], engine: Any, datamodule: SyntheticDefects
) -> None:
    source, adapters = write_images("good", 2), adapters_for_tiny(tmp_path / "a.safetensors", hidden_dim=16)
    model, first = tiny(k_shot=2, few_shot_source=source, adapters=adapters), engine()
    first.validate(model, datamodule=datamodule)
    images = torch.rand(2, 3, 64, 64)
    expected = model.eval()(images)

    for file in (*source.iterdir(), adapters):
        file.unlink()
    loaded: Any = AdaptCLIP.load_from_checkpoint(checkpoint_of(first)).eval()
    torch.testing.assert_close(loaded(images), expected)
    assert loaded.prompt_files == model.prompt_files
    assert source_and_base(loaded) == (str(adapters), "Visa")
    assert loaded.adapter_slot.origin == model.adapter_slot.origin
    assert len(model.adapter_slot.origin.sha256) == 64


def test_a_checkpoint_holds_no_clip(datamodule: SyntheticDefects, engine: Any) -> None:
    first, model = engine(), tiny(k_shot=1)
    first.validate(model, datamodule=datamodule)
    checkpoint = torch.load(checkpoint_of(first), weights_only=True)
    assert not [key for key in checkpoint["state_dict"] if "clip" in key]
    record = checkpoint["adaptclip"]
    assert (record["clip"]["backbone"], record["clip"]["weights"]) == ("tiny", "seed-0")
    assert record["prompt_files"] == model.prompt_files
    for name in ("model.static_pair", "model.prompt_memory.tokens", "post_processor._image_threshold"):
        assert checkpoint["state_dict"][name].isfinite().all()


def test_another_backbone_is_refused(
    datamodule: SyntheticDefects, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = engine()
    first.validate(tiny(), datamodule=datamodule)
    other = load_clip("tiny").clip
    monkeypatch.setattr("anomalib_adaptclip.clip.loading.build_tiny", lambda: other)  # under the same name
    with pytest.raises(ValueError, match="made with the backbone tiny and weights seed-0, the model has tiny"):
        AdaptCLIP.load_from_checkpoint(checkpoint_of(first))
    checkpoint = torch.load(checkpoint_of(first), weights_only=True)
    checkpoint["adaptclip"]["clip"]["backbone"] = "ViT-L-14-336"
    with pytest.raises(ValueError, match="backbone ViT-L-14-336 and weights seed-0, the model has tiny and seed-0"):
        tiny().on_load_checkpoint(checkpoint)


def test_a_foreign_checkpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="no checkpoint of AdaptCLIP"):
        tiny().on_load_checkpoint({"state_dict": {}})


def test_the_pre_processor_is_restored(datamodule: SyntheticDefects, engine: Any) -> None:
    first = engine()
    first.validate(tiny(image_size=(56, 70)), datamodule=datamodule)
    loaded: Any = AdaptCLIP.load_from_checkpoint(checkpoint_of(first))
    assert loaded.input_size == (56, 70)
    other = tiny(image_size=None)
    engine().test(other, datamodule=datamodule, ckpt_path=checkpoint_of(first))
    assert other.input_size == (56, 70)


# Thresholds


def test_without_validation_data_scores_stay_raw(
    write_images: Callable[..., Path], engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny()
    queries = write_images("query", 3)
    predictions = engine().predict(model, data_path=queries)
    assert "Nothing was calibrated" in caplog.text
    raw = torch.cat([model.model(preprocess(model, batch.image)).pred_score for batch in PredictLoader(queries)])
    torch.testing.assert_close(scores(predictions), raw)
    labels = torch.cat([batch.pred_label for batch in predictions])
    assert labels.tolist() == (raw > 0.5).tolist()


class PredictLoader:
    """The images of a folder, one a batch, as prediction reads them."""

    def __init__(self, folder: Path) -> None:
        self.dataset = PredictDataset(folder)

    def __iter__(self) -> Any:
        return iter([self.dataset.collate_fn([item]) for item in self.dataset])  # type: ignore[attr-defined]


def test_a_data_module_without_validation_split(
    data_root: Path, datamodule: SyntheticDefects, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """anomalib validates before it tests, and such a data module fails at that."""
    options: dict[str, Any] = datamodule.parameters
    data: Any = SyntheticDefects(data_root, "gear", val_split_mode="none", **options)
    model, one = tiny(), engine()
    [metrics] = one.test(model, datamodule=data)
    assert 0 <= metrics["image_AUROC"] <= 1
    assert "Nothing was calibrated" in caplog.text
    one.validate(model, datamodule=datamodule)
    assert model.post_processor is not None
    assert model.post_processor.image_threshold.isfinite()


def test_mixed_precision(datamodule: SyntheticDefects, tmp_path: Path) -> None:
    engine = Engine(default_root_dir=tmp_path, accelerator="cpu", devices=1, precision="bf16-mixed")
    [metrics] = engine.test(tiny(k_shot=1), datamodule=datamodule)
    assert 0 <= metrics["image_AUROC"] <= 1


def test_with_validation_data_thresholds_are_set(
    datamodule: SyntheticDefects, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny(k_shot=1)
    engine().predict(model, datamodule=datamodule)
    assert isinstance(model.post_processor, PostProcessor)
    assert model.post_processor.image_threshold.isfinite()
    assert "Nothing was calibrated" not in caplog.text


# Adapters


@pytest.fixture
def published(published_of_tiny: list[str]) -> list[str]:
    """Adapters that were downloaded, of a tiny that has published ones."""
    return published_of_tiny


def mvtec_of(datamodule: SyntheticDefects) -> MVTecAD:
    datamodule.prepare_data()
    return MVTecAD(datamodule.root, "gear", num_workers=0)


def test_auto_takes_mvtec_except_for_mvtec(published: list[str], datamodule: SyntheticDefects, engine: Any) -> None:
    model = tiny()
    assert published == []  # nothing before the data is known
    engine().validate(model, datamodule=datamodule)
    assert (published, *source_and_base(model)) == (
        ["mvtec"],
        "mvtec",
        "MVTecAD",
    )
    engine().validate(model, datamodule=mvtec_of(datamodule))
    assert (published, *source_and_base(model)) == (
        ["mvtec", "visa"],
        "visa",
        "Visa",
    )


def test_auto_works_without_the_engine(published: list[str]) -> None:
    model = tiny().eval()
    assert model(torch.rand(1, 3, 64, 64)).pred_score.isfinite().all()
    model(torch.rand(1, 3, 64, 64))
    assert published == ["mvtec"]


def test_adapters_of_a_checkpoint_win_over_auto(
    published: list[str], datamodule: SyntheticDefects, engine: Any, write_images: Callable[..., Path]
) -> None:
    first = engine()
    first.validate(tiny(adapters="visa"), datamodule=datamodule)
    model = tiny()
    engine().predict(model, data_path=write_images("query", 1), ckpt_path=checkpoint_of(first))
    assert (published, *source_and_base(model)) == (["visa"], "visa", "Visa")


def test_a_subclass_of_a_data_module_is_that_data(
    published: list[str], datamodule: SyntheticDefects, engine: Any
) -> None:
    class MyMVTec(MVTecAD):
        """With another loader, say."""

    datamodule.prepare_data()
    model = tiny()
    engine().validate(model, datamodule=MyMVTec(datamodule.root, "gear", num_workers=0))
    assert (published, model.adapter_slot.origin.source) == (["visa"], "visa")


def test_options_reach_the_model(tmp_path: Path) -> None:
    path = adapters_for_tiny(tmp_path / "a.safetensors")
    model = tiny(adapters=path, adapter_names=["prompt_query"], context=False, topk=3, fusion="paper", class_name="nut")
    assert list(model.model.adapters) == ["prompt_query"]
    adapter: Any = model.model.adapters["prompt_query"]
    assert (adapter.context, adapter.topk, model.model.options.fusion, model.model.options.class_name) == (
        False,
        3,
        "paper",
        "nut",
    )


def test_leakage_is_loud(
    published: list[str], datamodule: SyntheticDefects, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny(adapters="mvtec")
    assert published == ["mvtec"]  # named ones are loaded at once, so that errors come early
    engine().validate(model, datamodule=datamodule)
    assert "LEAKAGE" not in caplog.text
    engine().validate(model, datamodule=mvtec_of(datamodule))
    assert [record.levelno for record in caplog.records if "LEAKAGE" in record.message] == [logging.WARNING]


def test_leakage_of_local_adapters_shows_by_their_header(
    tmp_path: Path, datamodule: SyntheticDefects, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny(adapters=adapters_for_tiny(tmp_path / "a.safetensors", base="MVTecAD"))
    engine().validate(model, datamodule=mvtec_of(datamodule))
    assert "LEAKAGE" in caplog.text


def test_no_adapters_is_a_warning(datamodule: SyntheticDefects, engine: Any, caplog: pytest.LogCaptureFixture) -> None:
    model = tiny()
    engine().validate(model, datamodule=datamodule)
    assert not model.model.adapters
    assert "no trained adapters for the backbone tiny" in caplog.text
    assert "Train adapters" in caplog.text


def test_none_by_hand_is_no_warning(
    datamodule: SyntheticDefects, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine().validate(tiny(adapters="none"), datamodule=datamodule)
    assert "no trained adapters" not in caplog.text


def test_a_file_decides_sizes_and_its_hash_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = adapters_for_tiny(
        tmp_path / "a.safetensors", hidden_dim=16, prompt_length=4, reduction=2, adapters=("textual", "prompt_query")
    )
    model = tiny(adapters=path)
    assert set(model.model.adapters) == {"textual", "prompt_query"}
    assert model.model.adapters["textual"].get_parameter("contexts").shape[1] == 4
    assert model.adapter_slot.origin.sha256 in caplog.text


def test_published_adapters_of_another_backbone() -> None:
    with pytest.raises(ValueError, match="'visa' belong to ViT-L-14-336, and the backbone is tiny"):
        tiny(adapters="visa")


# Images


def test_grey_rgba_and_sixteen_bit_images(tmp_path: Path, engine: Any) -> None:
    """The same picture in other formats gives the same result, as prompt and as query."""
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    rgb = np.stack([grey] * 3, axis=-1)
    pictures = {
        "rgb": Image.fromarray(rgb),
        "grey": Image.fromarray(grey),
        "rgba": Image.fromarray(np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1)),
        "deep": Image.fromarray(grey.astype(np.uint16) * 257),
    }
    prompt = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    results = {}
    for name, picture in pictures.items():
        folder, source = tmp_path / name, tmp_path / f"{name}_good"
        folder.mkdir()
        source.mkdir()
        picture.save(folder / "a.png")
        Image.fromarray(prompt.astype(np.uint16) * 257 if name == "deep" else prompt).save(source / "b.png")
        model = tiny(k_shot=1, few_shot_source=source)
        [batch] = engine().predict(model, data_path=folder)
        results[name] = batch.anomaly_map
    assert results["rgb"].std() > 0
    for name in ("grey", "rgba", "deep"):
        torch.testing.assert_close(results[name], results["rgb"], rtol=0, atol=1e-4)


def test_sixteen_bit_images_of_a_data_module(tmp_path: Path, engine: Any) -> None:
    """These come resized from the data module, and clipped to white."""
    rng = np.random.default_rng(0)
    roots = {}
    for depth in (np.uint8, np.uint16):
        roots[depth] = tmp_path / depth.__name__
        for split in ("train", "good", "bad"):
            (roots[depth] / split).mkdir(parents=True)
    for split in ("train", "good", "bad"):
        for index in range(2):
            grey = rng.integers(0, 256, (60, 70))
            for depth, factor in ((np.uint8, 1), (np.uint16, 257)):
                Image.fromarray((grey * factor).astype(depth)).save(roots[depth] / split / f"{index}.png")
    results = []
    for root in roots.values():
        data = Folder(
            "deep",
            root=root,
            normal_dir="train",
            normal_test_dir="good",
            abnormal_dir="bad",
            num_workers=0,
            val_split_mode="same_as_test",
        )
        results.append(
            scores(
                engine().predict(
                    tiny(k_shot=1, post_processor=PostProcessor(enable_normalization=False)), datamodule=data
                )
            )
        )
    torch.testing.assert_close(*results, rtol=0, atol=1e-4)
    assert results[0].std() > 0


def test_images_that_are_no_files(engine: Any) -> None:
    """A data set may hold its images in memory, and name them as it likes."""
    items = [ImageItem(image=torch.rand(3, 64, 64), image_path=f"frame {index}") for index in range(2)]
    loader: DataLoader[Any] = DataLoader(items, batch_size=2, collate_fn=ImageBatch.collate)  # type: ignore[arg-type]
    assert len(scores(engine().predict(tiny(), dataloaders=loader))) == 2


# Arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k_shot": -1}, "k_shot must be 0 for zero-shot, or the number of normal images; got -1"),
        ({"few_shot_source": "somewhere"}, "k_shot is 0. Say how many"),
        ({"image_size": 100}, "multiple of the backbone's patch, 14 pixels; got 100x100. Take 98x98"),
        ({"image_size": (56, 0)}, "multiple of the backbone's patch"),
        ({"backbone": "RN50"}, "no standard ViT"),
        ({"backbone": "tony"}, "Backbone 'tony' is not known. Choose one of"),
        ({"pretrained": "laion"}, "neither a tag nor a file"),
        ({"adapter_names": ["vision"]}, "Unknown adapters"),
        ({"fusion": "sum"}, "fusion must be one of"),
        ({"pre_processor": AdaptCLIP.configure_pre_processor((30, 30))}, "got 30x30"),
    ],
)
def test_bad_arguments_fail_before_clip_is_built(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not {"backbone", "pretrained"} & set(options):
        monkeypatch.setattr("anomalib_adaptclip.model.lightning_model.load_clip", lambda *_: pytest.fail("too late"))
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_an_unknown_adapter_name() -> None:
    with pytest.raises(FileNotFoundError, match=r"no adapter file mvtek.*\['mvtec', 'visa'\]"):
        tiny(adapters="mvtek")


def test_bad_few_shot_sources(
    tmp_path: Path, write_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anomalib_adaptclip.model.lightning_model.load_clip", lambda *_: pytest.fail("too late"))
    with pytest.raises(
        FileNotFoundError, match=r"few_shot_source must be a folder of normal images, but .*missing does not exist"
    ):
        tiny(k_shot=1, few_shot_source=tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no image")
    for name in ("empty", "texts"):
        with pytest.raises(ValueError, match=rf"k_shot=1 needs 1 normal images, but few_shot_source .*{name} holds 0"):
            tiny(k_shot=1, few_shot_source=tmp_path / name)
    with pytest.raises(ValueError, match=r"k_shot=4 needs 4 normal images, but .* holds 2"):
        tiny(k_shot=4, few_shot_source=write_images("two", 2))
    broken = write_images("broken", 3)
    (broken / "001.png").write_bytes((broken / "001.png").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"Cannot read the image .*broken/001\.png"):
        tiny(k_shot=2, few_shot_source=broken)


def test_fewer_train_images_than_shots(datamodule: SyntheticDefects, engine: Any) -> None:
    with pytest.raises(
        ValueError, match="k_shot=7 needs 7 normal images, but the train split of SyntheticDefects gear holds 6"
    ):
        engine().validate(tiny(k_shot=7), datamodule=datamodule)


def test_shots_from_nowhere(write_images: Callable[..., Path], engine: Any) -> None:
    with pytest.raises(ValueError, match=r"no anomalib data module to draw them from\. Give few_shot_source=FOLDER"):
        engine().predict(tiny(k_shot=1), data_path=write_images("query", 1))


def test_the_default_pre_processor() -> None:
    """Squash to 518 pixels, bicubic with antialias, CLIP's statistics."""
    images = torch.rand(2, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    resized = interpolate(images, size=(518, 518), mode="bicubic", antialias=True, align_corners=False)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    transform: Any = AdaptCLIP.configure_pre_processor().transform
    torch.testing.assert_close(transform(images), (resized - mean) / std)
    transform = AdaptCLIP.configure_pre_processor((14, 28)).transform
    resized = interpolate(images, size=(14, 28), mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(transform(images), (resized - mean) / std)


def test_any_module_may_pre_process(write_images: Callable[..., Path]) -> None:
    model = tiny(pre_processor=torch.nn.Identity(), k_shot=1, few_shot_source=write_images("good", 1, (56, 56))).eval()
    assert model(torch.rand(1, 3, 56, 56)).anomaly_map.shape[-2:] == (56, 56)


def test_prompts_without_the_engine(write_images: Callable[..., Path]) -> None:
    model = tiny(k_shot=2, few_shot_source=write_images("good", 2)).eval()
    images = torch.rand(1, 3, 64, 64)
    few_shot = model(images).anomaly_map
    assert model.model.prompt_memory.k_shot == 2
    assert not torch.equal(few_shot, tiny().eval()(images).anomaly_map)


def test_components_can_be_replaced(datamodule: SyntheticDefects, engine: Any) -> None:
    model = tiny(pre_processor=AdaptCLIP.configure_pre_processor((70, 70)), post_processor=False, evaluator=False)
    engine().test(model, datamodule=datamodule)
    assert model.input_size == (70, 70)
    assert isinstance(model.pre_processor, PreProcessor)
