# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Images that get no verdict, because no threshold fits their scores.

anomalib's batches hold labels as booleans. There such an image has the label False, an empty mask, and the reason in
the field ``explanation``. An ``InferenceBatch`` has no such field: its label is -1, anomalib's ``LabelName.UNKNOWN``.

Letters: B batch.
"""

from collections.abc import Sequence
from typing import Any

import torch
from anomalib.data import InferenceBatch
from anomalib.data.utils import LabelName

NO_VERDICT = "No verdict"  # how the reasons begin


def withhold(batch: Any) -> None:  # noqa: ANN401
    """Empty labels and masks of the images of anomalib's batch that get no verdict, in place."""
    judged = torch.tensor([not text.startswith(NO_VERDICT) for text in getattr(batch, "explanation", None) or []])
    if judged.all():
        return
    for name in ("pred_label", "pred_mask"):
        if (found := getattr(batch, name)) is not None:
            setattr(batch, name, found & judged.to(found.device).reshape(-1, *[1] * (found.ndim - 1)))


def without_verdicts(output: InferenceBatch, reasons: Sequence[str] | None) -> InferenceBatch:
    """Labels as whole numbers, where some images may get no verdict.

    Args:
        output: Output of a post-processor.
        reasons: Why each image gets none, empty for those that do; None if all do.

    Returns:
        Labels 0, 1, and -1 for no verdict. Masks of those are empty.
    """
    if reasons is None or output.pred_label is None or output.pred_mask is None:
        return output
    labels = torch.as_tensor(output.pred_label).to(torch.int8, copy=True)
    masks = torch.as_tensor(output.pred_mask).clone()
    rows = [row for row, reason in enumerate(reasons) if reason]
    labels[rows] = int(LabelName.UNKNOWN)
    masks[rows] = False
    return output._replace(pred_label=labels, pred_mask=masks)


def labels_of(predictions: Any, count: int) -> list[int | None]:  # noqa: ANN401
    """Labels of B images, None for those without a verdict.

    Args:
        predictions: An ``InferenceBatch`` or a batch of anomalib.
        count: Number B of images.
    """
    if predictions.pred_label is None:
        return [None] * count
    labels = predictions.pred_label.flatten().int().tolist()
    reasons = getattr(predictions, "explanation", None) or [""] * count
    return [
        None if label == int(LabelName.UNKNOWN) or reason.startswith(NO_VERDICT) else label
        for label, reason in zip(labels, reasons, strict=True)
    ]
