# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Labels that the names of folders tell, and what they say of verdicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torchmetrics.functional.classification import binary_auroc

GOOD = "good"


class Agreement(NamedTuple):
    """How verdicts agree with labels.

    Attributes:
        good: Number of good images.
        marked: Number of good images that were judged abnormal; None without verdicts.
        abnormal: Number of abnormal images.
        found: Number of abnormal images that were judged abnormal; None without verdicts.
        auroc: AUROC of the scores; None without both kinds of images.
    """

    good: int
    marked: int | None
    abnormal: int
    found: int | None
    auroc: float | None

    def __str__(self) -> str:
        """Say it in a sentence."""
        parts = []
        if self.found is not None and self.abnormal:
            parts.append(f"{self.found} of {self.abnormal} abnormal images found")
        if self.marked is not None and self.good:
            parts.append(f"{self.marked} of {self.good} good ones marked")
        if self.auroc is not None:
            parts.append(f"image AUROC {self.auroc:.3f}")
        return f"By the names of folders: {', '.join(parts) or 'nothing to compare'}."


def labels_of(files: Sequence[str], root: Path | str) -> dict[str, bool] | None:
    """Tell labels by folders: images in ``good`` are good, those in other folders beside it abnormal.

    Args:
        files: Image files.
        root: Folder that they were searched in.

    Returns:
        Whether each file is abnormal; None if there is no folder ``good`` beside others, or an image lies in none.
    """
    folders = {}
    for file in files:
        parts = Path(file).absolute().relative_to(Path(root).absolute()).parts if Path(root).is_dir() else ()
        if len(parts) < 2:
            return None
        folders[file] = parts[-2]
    if GOOD not in folders.values():
        return None
    return {file: folder != GOOD for file, folder in folders.items()}


def agreement(
    labels: Mapping[str, bool], scores: Mapping[str, float], verdicts: Mapping[str, bool] | None
) -> Agreement:
    """Compare verdicts and scores with labels.

    Args:
        labels: Whether each image is abnormal.
        scores: Score of each.
        verdicts: Whether each was judged abnormal; None if nothing was judged.
    """
    judged = [path for path in labels if path in scores]
    bad = [path for path in judged if labels[path]]
    good = [path for path in judged if not labels[path]]
    auroc = None
    if bad and good:
        values = torch.tensor([scores[path] for path in judged], dtype=torch.float64)
        auroc = float(binary_auroc(values, torch.tensor([int(labels[path]) for path in judged])))
    if verdicts is None:
        return Agreement(len(good), None, len(bad), None, auroc)
    return Agreement(
        len(good), sum(verdicts[path] for path in good), len(bad), sum(verdicts[path] for path in bad), auroc
    )
