# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What anomalib's own integration test asks of each of its models, asked of ours."""

from pathlib import Path
from typing import Any

import pytest
from anomalib import LearningType
from anomalib.data import AnomalibDataModule
from anomalib.engine import Engine
from anomalib.models import get_model, list_models
from anomalib.models.components import AnomalibModule

from anomalib_adaptclip import SyntheticDefects

OURS = ["AdaptCLIP"]  # models that detect; the training of adapters asks for a data module of its own


@pytest.fixture(scope="module")
def project_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


def objects(name: str, k_shot: int, root: Path) -> tuple[AnomalibModule, AnomalibDataModule, Engine, dict[str, Any]]:
    """A model, a data module and an engine, and what each call takes of them."""
    data = SyntheticDefects(
        root / "data", "terrazzo", image_size=64, num_train_images=3, num_normal_test_images=3, num_images_per_defect=1
    )
    model = get_model(name, backbone="tiny", pretrained="seed-0", image_size=56, k_shot=k_shot)
    engine = Engine(logger=False, default_root_dir=root / str(k_shot), max_epochs=1, devices=1, accelerator="cpu")
    return model, data, engine, {"model": model, "datamodule": data}


def checkpoint(root: Path, k_shot: int, model: AnomalibModule, data: AnomalibDataModule) -> Path:
    return (
        root / str(k_shot) / model.name / data.name / data.category / "latest" / "weights" / "lightning" / "model.ckpt"
    )


def test_ours_are_listed() -> None:
    classes = {cls.__name__: cls for cls in AnomalibModule.__subclasses__()}
    ours = sorted(name for name, cls in classes.items() if cls.__module__.startswith("anomalib_adaptclip."))
    assert ours == ["AdaptCLIP", "AdaptCLIPTraining"]
    assert set(ours) <= list_models(case="pascal")


def test_the_training_names_the_data_module_that_it_needs(project_path: Path) -> None:
    _, data, engine, _ = objects("AdaptCLIP", 0, project_path)
    training = get_model("AdaptCLIPTraining", backbone="tiny", pretrained="seed-0", image_size=56)
    with pytest.raises(TypeError, match=r"got SyntheticDefects\. Wrap the data set: --data QueryPromptDataModule"):
        engine.fit(training, datamodule=data)


@pytest.mark.parametrize("k_shot", [0, 1])
@pytest.mark.parametrize("name", OURS)
class TestAPI:
    """In this order: later tests take the checkpoint of the first."""

    def test_fit(self, name: str, k_shot: int, project_path: Path) -> None:
        model, data, engine, both = objects(name, k_shot, project_path)
        engine.fit(**both)
        assert model.learning_type == (LearningType.FEW_SHOT if k_shot else LearningType.ZERO_SHOT)
        assert checkpoint(project_path, k_shot, model, data).is_file()

    def test_test(self, name: str, k_shot: int, project_path: Path) -> None:
        model, data, engine, both = objects(name, k_shot, project_path)
        [results] = engine.test(**both, ckpt_path=checkpoint(project_path, k_shot, model, data))
        assert 0 <= results["image_AUROC"] <= 1
        assert 0 <= results["pixel_AUPRO"] <= 1

    def test_train(self, name: str, k_shot: int, project_path: Path) -> None:
        model, data, engine, both = objects(name, k_shot, project_path)
        [results] = engine.train(**both, ckpt_path=checkpoint(project_path, k_shot, model, data))
        assert 0 <= results["pixel_AUROC"] <= 1

    def test_validate(self, name: str, k_shot: int, project_path: Path) -> None:
        model, data, engine, both = objects(name, k_shot, project_path)
        assert engine.validate(**both, ckpt_path=checkpoint(project_path, k_shot, model, data)) == [{}]

    def test_predict(self, name: str, k_shot: int, project_path: Path) -> None:
        model, data, engine, both = objects(name, k_shot, project_path)
        predictions: Any = engine.predict(**both, ckpt_path=checkpoint(project_path, k_shot, model, data))
        assert sum(len(batch.pred_score) for batch in predictions) == 6
        assert all(batch.anomaly_map.shape[-2:] == (56, 56) for batch in predictions)
