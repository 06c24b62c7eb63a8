# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""COCO's own reader takes the annotations."""

from pathlib import Path

import numpy as np
import pytest
import torch
from anomalib.data import InferenceBatch
from PIL import Image
from pycocotools.coco import COCO

from anomalib_adaptclip.results.prediction_table import read_predictions
from anomalib_adaptclip.results.results_writer import ResultsWriter
from anomalib_adaptclip.results.score_scale import ScoreScale


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0 with NumPy 2
def test_pycocotools_reads_the_annotations(tmp_path: Path) -> None:
    maps = torch.zeros(3, 1, 20, 30)
    maps[0, 0, 2:6, 3:9], maps[0, 0, 6:10, 9:11], maps[0, 0, 12:20, 25:30] = 0.7, 0.8, 0.9
    maps[1, 0, 0:3, 0:3] = 1.0
    names = [f"{number}.png" for number in range(3)]
    batch = InferenceBatch(maps.amax(dim=(1, 2, 3)), anomaly_map=maps, pred_mask=maps > 0.6)
    with ResultsWriter(tmp_path / "a.csv", ["coco", "masks"], [Path.cwd()]) as writer:
        writer.write(names, batch, scale=ScoreScale())
    coco = COCO(tmp_path / "a.coco.json")
    [category] = coco.loadCats(coco.getCatIds())
    assert category["name"] == "anomaly"
    for row, number in zip(read_predictions(tmp_path / "a.csv"), coco.getImgIds(), strict=True):
        [image] = coco.loadImgs(number)
        assert (image["path"], image["width"], image["height"]) == (row.path, 30, 20)
        found = coco.loadAnns(coco.getAnnIds(number))
        assert [tuple(one["bbox"]) for one in found] == [(x, y, r - x, b - y) for x, y, r, b in row.boxes]
        assert tuple(one["area"] for one in found) == row.region_areas
        assert tuple(one["score"] for one in found) == row.region_scores
        drawn = sum(coco.annToMask(one) for one in found)
        name = Path(image["file_name"]).with_suffix(".png") if image["file_name"].endswith("png") else "upright.jpg.png"
        assert (drawn * 255 == np.array(Image.open(tmp_path / "a-masks" / name))).all()
