# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds lie between scores, so that an image at the threshold is judged alike everywhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.data import ImageBatch, InferenceBatch
from anomalib.deploy import TorchInferencer
from anomalib.engine import Engine
from anomalib.post_processing import PostProcessor

from anomalib_adaptclip import AdaptCLIP, SyntheticDefects
from anomalib_adaptclip.model.post_processor import AdaptCLIPPostProcessor, threshold_between

NORMAL_AND_ABNORMAL = ([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 1])
CASES = [
    (NORMAL_AND_ABNORMAL, [0, 0, 1, 1]),
    (([0.1, 0.5, 0.4, 0.8], [0, 0, 1, 1]), [0, 1, 1, 1]),  # overlapping: F1 prefers a false alarm to a miss
    (([0.3, 0.3, 0.3], [0, 1, 1]), [1, 1, 1]),  # all equal
    (([0.3, 0.3, 0.3], [0, 0, 0]), [0, 0, 0]),
    (([0.0, 0.0], [0, 1]), [1, 1]),
    (([1.0, 1.0], [0, 0]), [0, 0]),
    (([0.4], [1]), [1]),
    (([0.4], [0]), [0]),
    (([0.2, 0.4], [0, 1]), [0, 1]),
    (([0.2, 0.4], [1, 1]), [1, 1]),
    (([0.2, 0.4], [0, 0]), [0, 0]),
    (([0.7, 0.7000001, 0.3], [1, 1, 0]), [1, 1, 0]),  # neighbours that float32 can hardly tell apart
    (([0.7, 0.7000001, 0.3], [0, 1, 0]), [1, 1, 0]),
]


def calibrated(scores: list[float], labels: list[int]) -> AdaptCLIPPostProcessor:
    """A post-processor that has validated images of one pixel, in batches of one."""
    processor, no = AdaptCLIPPostProcessor(), None
    for score, label in zip(scores, labels, strict=True):
        batch = ImageBatch(
            image=torch.zeros(1, 3, 1, 1), gt_label=torch.tensor([label]), gt_mask=torch.tensor([[[label]]]),
            pred_score=torch.tensor([score]), anomaly_map=torch.tensor([[[score]]]),
        )  # fmt: skip
        processor.on_validation_batch_end(no, no, batch)  # type: ignore[arg-type]
    processor.on_validation_epoch_end(no, no)  # type: ignore[arg-type]
    return processor


def judged(processor: PostProcessor, scores: list[float]) -> InferenceBatch:
    values = torch.tensor(scores)
    return processor(InferenceBatch(pred_score=values, anomaly_map=values.reshape(-1, 1, 1, 1)))  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:No (negative|positive) samples:UserWarning")
@pytest.mark.parametrize(("validated", "expected"), CASES)
def test_images_are_judged_as_they_were_fitted(validated: tuple[list[float], list[int]], expected: list[int]) -> None:
    output = judged(calibrated(*validated), validated[0])
    assert output.pred_score is not None
    assert output.pred_label.int().tolist() == expected  # type: ignore[union-attr]
    assert (output.pred_score >= 0.5).int().tolist() == expected  # as those that compare with >=
    assert output.pred_mask.int().flatten().tolist() == expected  # type: ignore[union-attr]
    assert torch.as_tensor(output.anomaly_map >= 0.5).int().flatten().tolist() == expected  # type: ignore[operator]


def test_the_threshold_is_in_the_middle_between_its_neighbours() -> None:
    processor = calibrated(*NORMAL_AND_ABNORMAL)
    assert processor.image_threshold.item() == pytest.approx(0.4)
    assert processor.pixel_threshold.item() == pytest.approx(0.4)
    assert judged(processor, [0.4]).pred_score.item() == pytest.approx(0.5)  # type: ignore[union-attr]


@pytest.mark.parametrize(("is_upper", "expected"), [(True, 0.3), (False, 0.6)])
def test_the_middle_is_on_the_far_side_of_what_belongs_to_the_threshold(is_upper: bool, expected: float) -> None:
    scores = torch.tensor([0.2, 0.4, 0.8])
    assert threshold_between(scores, torch.tensor(0.4), is_upper=is_upper).item() == pytest.approx(expected)


def test_the_fitted_images_keep_their_labels_in_every_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engine from the checkpoint and anomalib's inferencer from the exported model, on what was validated."""
    monkeypatch.setenv("TRUST_REMOTE_CODE", "1")
    data = SyntheticDefects(
        tmp_path / "data", "gear", image_size=64, num_train_images=2, num_normal_test_images=3, num_images_per_defect=1
    )
    options: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": 56, "visualizer": False}
    engine = Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)
    model = AdaptCLIP(k_shot=1, **options)
    engine.fit(model, datamodule=data)
    checkpoint = engine.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    predictions: Any = engine.predict(AdaptCLIP(**options), datamodule=data, ckpt_path=checkpoint)
    scores = torch.cat([batch.pred_score for batch in predictions])
    labels = torch.cat([batch.pred_label for batch in predictions])
    assert (scores - 0.5).abs().min() > 1e-6
    assert labels.tolist() == (scores >= 0.5).tolist()
    inferencer = TorchInferencer(model.to_torch(tmp_path), device="cpu")
    for path, label in zip([path for batch in predictions for path in batch.image_path], labels.tolist(), strict=True):
        assert bool(inferencer.predict(path).pred_label) == label
