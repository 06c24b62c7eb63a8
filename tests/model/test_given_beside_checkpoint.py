# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Whatever is given beside a checkpoint wins, or is refused by name: all arguments, by all ways."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from anomalib.engine import Engine
from anomalib.metrics import AUROC, Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.visualization import ImageVisualizer
from safetensors.torch import save_file

from anomalib_adaptclip import (
    AdaptCLIP,
    AdaptCLIPModel,
    AdaptCLIPPredictor,
    AdaptCLIPTraining,
    PromptBank,
    SyntheticDefects,
)

SIZE = 56
CLIP: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0"}


def tiny(**options: Any) -> AdaptCLIP:
    return AdaptCLIP(**CLIP | {"image_size": SIZE, "visualizer": False} | options)


def run_engine(folder: Path) -> Engine:
    return Engine(default_root_dir=folder / "results", accelerator="cpu", devices=1)


def make_checkpoint(folder: Path, **options: Any) -> Path:
    data = SyntheticDefects(
        folder / "data", "gear", image_size=70, num_train_images=6, num_normal_test_images=2, num_images_per_defect=1
    )
    engine = run_engine(folder)
    engine.validate(tiny(**options), datamodule=data)
    return Path(engine.trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two shots, with thresholds."""
    return make_checkpoint(tmp_path_factory.mktemp("two shots"), k_shot=2)


@pytest.fixture(scope="module")
def zero_shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("zero shot"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> dict[str, Path]:
    """What arguments name: a bank, adapters, good images, a query."""
    folder, model = tmp_path_factory.mktemp("files"), tiny()
    bank = PromptBank(model.model, "tiny")
    bank.add("bottle", torch.zeros(1, 3, SIZE, SIZE))
    bank.save(folder / "bank.safetensors")
    adapters = AdaptCLIPModel(model.model.clip, (2, 4, 6, 8), 3).adapters
    save_file(adapters.state_dict(), folder / "adapters.safetensors")
    gear = next(checkpoint.parents[i] for i in range(9) if (checkpoint.parents[i] / "data").is_dir()) / "data" / "gear"
    return {
        "bank": folder / "bank.safetensors",
        "adapters": folder / "adapters.safetensors",
        "table": folder / "table.csv",
        "good": gear / "train" / "good",
        "query": gear / "test" / "good" / "000.png",
    }


def thresholds(post_processor: Any) -> list[float]:
    return [getattr(post_processor, f"_{name}_threshold").item() for name in ("image", "pixel")]


class Case(NamedTuple):
    """An argument beside the checkpoint: options, and what becomes of them.

    Attributes:
        options: The argument, and others that it needs. A text of angle brackets stands for a file.
        refused: Pattern of the error; empty if the argument wins.
        won: Whether it did.
        refused_by_predictor: Pattern of the predictor's error, where it is another.
    """

    options: dict[str, Any]
    refused: str = ""
    won: Callable[[Any], bool] = lambda _: True
    refused_by_predictor: str = ""


def decides(name: str) -> str:
    return rf"The checkpoint decides .*{name}="


SENSITIVE = PostProcessor(image_sensitivity=0.9, enable_normalization=False)
METRIC = Evaluator(test_metrics=[AUROC(fields=["pred_score", "gt_label"])])
PICTURES = ImageVisualizer()
CASES = {
    "k_shot": Case({"k_shot": 3}, decides("k_shot")),
    "few_shot_source": Case({"k_shot": 2, "few_shot_source": "<good>"}, decides("few_shot_source")),
    "class_name": Case({"class_name": "nut"}, decides("class_name")),
    "backbone": Case({"backbone": "RN50"}, "no standard ViT"),
    "pretrained": Case({"pretrained": "generated"}, "made with the backbone tiny and weights seed-0"),
    "adapters": Case({"adapters": "<adapters>"}, decides("adapters")),
    "seed": Case({"seed": 20}, decides("seed")),
    "draw": Case({"k_shot": 2, "draw": "distinct"}, decides("draw")),
    "image_size": Case({"image_size": 112}, decides("image_size")),
    "revision": Case({"revision": "main"}, "revision"),
    "adapter_names": Case({"adapter_names": ["visual"]}, decides("adapter_names")),
    "context": Case({"context": False}, decides("context")),
    "topk": Case({"topk": 3}, decides("topk")),
    "fusion": Case({"fusion": "paper"}, decides("fusion")),
    "prompt_precision": Case(
        {"prompt_precision": "float16"}, won=lambda model: model.model.prompt_memory.tokens.dtype == torch.float16
    ),
    "prompt_budget": Case({"prompt_budget": 4}, decides("prompt_budget")),
    "tiles": Case({"tiles": (2, 2)}, decides("tiles")),
    "tile_overlap": Case({"tiles": (2, 2), "tile_overlap": 0.5}, decides("tile_overlap")),
    "match_window": Case({"k_shot": 2, "match_window": 1}, decides("match_window")),
    "roi": Case({"roi": [0, 0, 1, 0.5]}, decides("roi")),
    "prompt_bank": Case(
        {"prompt_bank": "<bank>", "k_shot": 0, "image_size": SIZE},
        won=lambda model: model.prompt_bank.names == ["bottle"],
        refused_by_predictor="k_shot",
    ),
    "unknown_category": Case({"unknown_category": "error"}, "is for a prompt bank, and there is none"),
    "calibration": Case(
        {"calibration": "normal", "k_shot": 2},
        won=lambda model: model.calibrator is not None,
        refused_by_predictor="k_shot",
    ),
    "false_positive_rate": Case({"false_positive_rate": 0.3}, "is for calibration='normal'"),
    "image_threshold": Case(
        {"image_threshold": 0.25}, won=lambda model: thresholds(model.post_processor)[0] == pytest.approx(0.25)
    ),
    "pixel_threshold": Case(
        {"pixel_threshold": 0.75}, won=lambda model: thresholds(model.post_processor)[1] == pytest.approx(0.75)
    ),
    "image_sensitivity": Case(
        {"image_sensitivity": 0.75}, won=lambda model: model.post_processor.image_sensitivity == 0.75
    ),
    "pixel_sensitivity": Case(
        {"pixel_sensitivity": 0.25}, won=lambda model: model.post_processor.pixel_sensitivity == 0.25
    ),
    "white_level": Case({"white_level": 4095.0}, won=lambda model: model.image_reader.white_level == 4095),
    "results": Case(
        {"results": "<table>"},
        won=lambda model: Path(model.hparams["results"]).name == "table.csv",
        refused_by_predictor="A predictor writes no table",
    ),
    "save": Case(
        {"results": "<table>", "save": ["jsonl"]},
        won=lambda model: [*model.hparams["save"]] == ["jsonl"],
        refused_by_predictor="A predictor writes no table",
    ),
    "pre_processor": Case(
        {"pre_processor": AdaptCLIP.configure_pre_processor((112, 112))}, "The checkpoint was made with images"
    ),
    "post_processor": Case(
        {"post_processor": SENSITIVE},
        won=lambda model: (
            model.post_processor is SENSITIVE
            and (SENSITIVE.image_sensitivity, SENSITIVE.enable_normalization) == (0.9, False)
            and bool(SENSITIVE.image_threshold.isfinite())
        ),
    ),
    "evaluator": Case(
        {"evaluator": METRIC},
        won=lambda model: model.evaluator is METRIC,
        refused_by_predictor="A predictor computes no metrics",
    ),
    "visualizer": Case(
        {"visualizer": PICTURES},
        won=lambda model: model.visualizer is PICTURES,
        refused_by_predictor="draws no pictures",
    ),
}


def load(path: Path, files: dict[str, Path], options: dict[str, Any]) -> Any:
    del files
    return AdaptCLIP.load_from_checkpoint(path, **options)


def engine(path: Path, files: dict[str, Path], options: dict[str, Any]) -> Any:
    """As `anomalib predict` has it, which hands over the defaults of all that is not given."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(AdaptCLIP).parameters.items()}
    model = AdaptCLIP(**defaults | CLIP | {"visualizer": False} | options)
    run_engine(files["table"].parent).predict(model, data_path=files["query"], ckpt_path=path)
    return model


def predictor(path: Path, files: dict[str, Path], options: dict[str, Any]) -> Any:
    del files
    return AdaptCLIPPredictor.from_checkpoint(path, **options).model


def test_each_argument_has_a_case() -> None:
    assert [*CASES] == [*inspect.signature(AdaptCLIP).parameters]


@pytest.mark.parametrize("way", [load, engine, predictor])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_wins_or_is_refused(way: Any, case: Case, checkpoint: Path, files: dict[str, Path]) -> None:
    options = {
        name: files[value[1:-1]] if str(value).startswith("<") and isinstance(value, str) else value
        for name, value in case.options.items()
    }
    refused = (way is predictor and case.refused_by_predictor) or case.refused
    if refused:
        pattern = "decides" if way is predictor and refused.startswith("The checkpoint decides") else refused
        with pytest.raises(ValueError, match=pattern) as error:
            way(checkpoint, files, options)
        assert any(name in str(error.value).lower() for name in ("weights", *case.options))
    else:
        assert case.won(way(checkpoint, files, options))


# Components


@pytest.mark.parametrize("way", [load, engine, predictor])
@pytest.mark.parametrize("name", ["post_processor", "evaluator", "visualizer"])
def test_none_is_wanted(way: Any, name: str, checkpoint: Path, files: dict[str, Path]) -> None:
    assert getattr(way(checkpoint, files, {name: False}), name) is None


@pytest.mark.parametrize("way", [load, engine, predictor])
def test_a_post_processor_takes_the_thresholds_of_the_checkpoint_unless_it_has_some(
    way: Any, checkpoint: Path, files: dict[str, Path]
) -> None:
    expected = thresholds(AdaptCLIP.load_from_checkpoint(checkpoint).post_processor)
    assert thresholds(way(checkpoint, files, {"post_processor": PostProcessor()}).post_processor) == expected
    own = PostProcessor()
    own._image_threshold.fill_(0.25)
    assert way(checkpoint, files, {"post_processor": own}).post_processor.image_threshold == 0.25


def test_another_module_may_post_process(checkpoint: Path) -> None:
    model = AdaptCLIP.load_from_checkpoint(checkpoint, post_processor=torch.nn.Identity())
    assert isinstance(model.post_processor, torch.nn.Identity)


@pytest.mark.parametrize("way", [load, engine, predictor])
def test_the_same_pre_processor_is_no_contradiction(way: Any, checkpoint: Path, files: dict[str, Path]) -> None:
    same = AdaptCLIP.configure_pre_processor((SIZE, SIZE))
    assert way(checkpoint, files, {"pre_processor": same}).pre_processor is same


@pytest.mark.parametrize("way", [load, engine, predictor])
def test_a_pre_processor_that_the_checkpoint_could_not_keep_must_be_given(
    way: Any, tmp_path: Path, files: dict[str, Path]
) -> None:
    """Else the default would stand in for it in silence."""
    own = torch.nn.Sequential(torch.nn.Identity())
    checkpoint = make_checkpoint(tmp_path, pre_processor=own, image_size=70)
    with pytest.raises(ValueError, match=r"images preprocessed by Sequential.*Give the pre_processor"):
        way(checkpoint, files, {})
    assert way(checkpoint, files, {"pre_processor": own}).pre_processor is own


def test_thresholds_of_a_sensitivity_are_those_of_the_checkpoint(checkpoint: Path, files: dict[str, Path]) -> None:
    """Scores are normalised as before; only the labels move."""
    query = [files["query"]]
    [(_, usual)] = AdaptCLIPPredictor.from_checkpoint(checkpoint).stream(query)
    for sensitivity in (0.0, 1.0):
        given = AdaptCLIPPredictor.from_checkpoint(
            checkpoint, post_processor=PostProcessor(image_sensitivity=sensitivity)
        )
        [(_, output)] = given.stream(query)
        torch.testing.assert_close(output.pred_score, usual.pred_score)
        assert torch.as_tensor(output.pred_label).tolist() == [sensitivity == 1.0]


# Names and values


@pytest.mark.parametrize("way", [load, predictor])
def test_unknown_arguments(way: Any, checkpoint: Path, files: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"AdaptCLIP has no arguments \['zzz'\]; it has \['k_shot'"):
        way(checkpoint, files, {"zzz": 1})


@pytest.mark.parametrize("way", [load, engine])
def test_what_agrees_is_welcome(way: Any, checkpoint: Path, files: dict[str, Path]) -> None:
    options = {"k_shot": 2, "seed": 10, "image_size": (SIZE, SIZE), "fusion": "log_odds", "adapters": "none"}
    assert len(way(checkpoint, files, options).prompt_files) == 2


def test_a_default_that_is_named_is_given(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, fusion="paper", k_shot=1, prompt_precision="float16")
    named: dict[str, Any] = {"fusion": "published", "prompt_precision": "float32", "k_shot": 0}
    for name, value in named.items():
        with pytest.raises(ValueError, match=decides(name)):
            AdaptCLIP.load_from_checkpoint(checkpoint, **{name: value})


@pytest.mark.parametrize("way", [load, engine, predictor])
def test_a_checkpoint_without_prompts_leaves_them_to_the_arguments(
    way: Any, zero_shot: Path, files: dict[str, Path]
) -> None:
    model = way(zero_shot, files, {"k_shot": 2, "few_shot_source": files["good"], "prompt_budget": 4})
    model.prepare()
    assert model.model.prompt_memory.tokens.shape[1:3] == (2, 2)


def test_the_files_of_the_prompts_are_the_same_folder(checkpoint: Path) -> None:
    first = Path(AdaptCLIP.load_from_checkpoint(checkpoint).prompt_files[0])
    with pytest.raises(ValueError, match=decides("few_shot_source")):
        AdaptCLIP.load_from_checkpoint(checkpoint, few_shot_source=first.parent)


def test_a_file_of_arguments_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The checkpoint holds its arguments itself; got hparams_file="):
        AdaptCLIP.load_from_checkpoint(checkpoint, hparams_file=tmp_path / "hparams.yaml")


def test_the_predictor_of_a_model_with_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="A predictor writes no table"):
        AdaptCLIPPredictor(tiny(results=tmp_path / "table.csv"))


# Training


TRAINING = {
    "backbone": Case({"backbone": "RN50"}, "no standard ViT"),
    "pretrained": Case({"pretrained": "generated"}, "made with the backbone tiny and weights seed-0"),
    "class_name": Case({"class_name": "nut"}, decides("class_name")),
    "image_size": Case({"image_size": 112}, decides("image_size")),
    "mode": Case({"mode": "joint"}, decides("mode")),
    "adapter_names": Case({"adapter_names": ["visual"]}, decides("adapter_names")),
    "context": Case({"context": False}, decides("context")),
    "topk": Case({"topk": 3}, decides("topk")),
    "prompt_length": Case({"prompt_length": 4}, decides("prompt_length")),
    "reduction": Case({"reduction": 2}, decides("reduction")),
    "hidden_dim": Case({"hidden_dim": 16}, decides("hidden_dim")),
    "learning_rate": Case({"learning_rate": 0.1}, won=lambda model: model.learning_rate == 0.1),
    "betas": Case({"betas": (0.1, 0.2)}, won=lambda model: model.betas == (0.1, 0.2)),
    "epochs": Case({"epochs": 2}, won=lambda model: model.epochs == 2),
    "seed": Case({"seed": 20}, won=lambda model: model.seed == 20),
    "cache_dir": Case({"cache_dir": "tokens"}, won=lambda model: model.cache_dir == Path("tokens")),
    "fusion": Case({"fusion": "paper"}, decides("fusion")),
    "white_level": Case({"white_level": 4095}, won=lambda model: model.image_reader.white_level == 4095),
    "adapters": Case({"adapters": "generated"}, decides("adapters") + "|belong to tiny with its usual weights"),
    "k_shot": Case({"k_shot": 4}, won=lambda model: model.k_shot == 4),
    "pre_processor": Case({"pre_processor": AdaptCLIP.configure_pre_processor((112, 112))}, "made with images"),
    "post_processor": Case({"post_processor": SENSITIVE}, won=lambda model: model.post_processor is SENSITIVE),
    "evaluator": Case({"evaluator": METRIC}, won=lambda model: model.evaluator is METRIC),
    "visualizer": Case({"visualizer": PICTURES}, won=lambda model: model.visualizer is PICTURES),
}


@pytest.fixture(scope="module")
def of_training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as Lightning writes it."""
    model = AdaptCLIPTraining(**CLIP, image_size=SIZE)
    checkpoint: dict[str, Any] = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": "2.6.0",
    }
    model.on_save_checkpoint(checkpoint)
    path = tmp_path_factory.mktemp("training") / "model.ckpt"
    torch.save(checkpoint, path)
    return path


def load_training(path: Path, options: dict[str, Any]) -> Any:
    return AdaptCLIPTraining.load_from_checkpoint(path, **options)


def restore_training(path: Path, options: dict[str, Any]) -> Any:
    """As the Trainer does it for a model that has been built."""
    model = AdaptCLIPTraining(**CLIP | options)
    checkpoint = torch.load(path, weights_only=True)
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    return model


def test_each_argument_of_training_has_a_case() -> None:
    assert [*TRAINING] == [*inspect.signature(AdaptCLIPTraining).parameters]


@pytest.mark.parametrize("way", [load_training, restore_training])
@pytest.mark.parametrize("case", TRAINING.values(), ids=TRAINING)
def test_it_wins_or_is_refused_in_training(way: Any, case: Case, of_training: Path) -> None:
    if case.refused:
        with pytest.raises(ValueError, match=case.refused):
            way(of_training, case.options)
    else:
        assert case.won(way(of_training, case.options))
