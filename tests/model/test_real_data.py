# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Real images: one shot with the untrained `tiny` on hazelnut."""

from pathlib import Path

import pytest
from anomalib.cli.cli import AnomalibCLI

from anomalib_adaptclip import AdaptCLIP

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def test_one_shot_on_hazelnut(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = [
        "--data",
        "MVTecAD",
        "--data.root",
        str(real_data),
        "--data.category",
        "hazelnut",
        "--data.num_workers",
        "0",
    ]
    trained = AnomalibCLI(["train", "--model", "AdaptCLIP", "--model.backbone", "tiny", "--model.k_shot", "1", *data])
    metrics = trained.engine.trainer.callback_metrics
    print({name: round(value.item(), 4) for name, value in metrics.items()})
    assert metrics["image_AUROC"] >= 0.95
    assert metrics["pixel_AUROC"] >= 0.95

    [checkpoint] = tmp_path.rglob("model.ckpt")
    # The threshold is the score of the least abnormal image, which may fall on either side when predicted on its own.
    for kind, expected, on_threshold in (("colour", True, 1), ("good", False, 0)):
        folder = real_data / "hazelnut" / "test" / kind
        arguments = ["--data", str(folder), "--ckpt_path", str(checkpoint), "--return_predictions", "true"]
        done = AnomalibCLI(["predict", "--model", "AdaptCLIP", "--model.backbone", "tiny", *arguments])
        assert isinstance(done.model, AdaptCLIP)
        assert done.model.prompt_files[0].endswith("009.png")
        labels = [bool(batch.pred_label) for batch in done.engine.trainer.predict_loop.predictions]
        wrong = sum(label != expected for label in labels)
        assert wrong <= on_threshold
