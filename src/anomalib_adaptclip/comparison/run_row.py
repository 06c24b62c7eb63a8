# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The row that a sweep stores for each run."""

from dataclasses import dataclass

from .evaluation import METRICS


@dataclass(frozen=True)
class RunRow:
    """A row of a sweep's table.

    Attributes:
        model: Name of the model.
        data_set: Name of the data set.
        category: Name of the category, empty if the data set has none.
        shots: Number of normal images that the model saw, ``"0"``, ``"1"`` and so on, or ``"full"`` for all.
        seed: Seed for drawing the normal images.
        image_AUROC: This and all metrics below, by the names of ``METRICS``, are in [0, 1], or None if the metric is
            undefined or the run failed.
        error: Error message if the run failed, otherwise empty.
        images: Number of test images.
        prompts: Files of the normal images that were drawn, as a JSON list.
        adapters: Source of AdaptCLIP's adapters, empty for other models.
        leakage: ``"yes"`` if these adapters were trained on the data under test, otherwise empty.
        fit_seconds: Seconds that the fit took.
        test_seconds: Seconds that the test took.
        image_seconds: Seconds of the test per image, without the first batch, or None if there was only one batch.
        peak_memory_mb: Peak memory in MiB, of the GPU if it was used, else of the process.
        device: Name of the GPU, or ``"cpu"``.
        finished: Time when the run finished or failed, in UTC, in ISO 8601.
        versions: Packages and their versions.
        categories: All categories of the data set that the sweep asks for, as a JSON list, empty if there are none.
        configuration: All settings that the metrics depend on, as JSON.

    Raises:
        ValueError: If a metric is not in [0, 1].
    """

    model: str
    data_set: str
    category: str
    shots: str
    seed: int
    image_AUROC: float | None = None  # noqa: N815
    image_AP: float | None = None  # noqa: N815
    image_F1Max: float | None = None  # noqa: N815
    pixel_AUROC: float | None = None  # noqa: N815
    pixel_AP: float | None = None  # noqa: N815
    pixel_F1Max: float | None = None  # noqa: N815
    pixel_AUPRO: float | None = None  # noqa: N815
    error: str = ""
    images: int | None = None
    prompts: str = ""
    adapters: str = ""
    leakage: str = ""
    fit_seconds: float | None = None
    test_seconds: float | None = None
    image_seconds: float | None = None
    peak_memory_mb: int | None = None
    device: str = ""
    finished: str = ""
    versions: str = ""
    categories: str = ""
    configuration: str = ""

    def __post_init__(self) -> None:
        """Check the metrics."""
        for name in METRICS:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                msg = f"{name} is '{value}', not a number from 0 to 1"
                raise ValueError(msg)
