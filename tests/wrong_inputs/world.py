# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A folder with files that are right, and files that are wrong in every way that the tables name."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from PIL import Image

from anomalib_adaptclip import AdaptCLIP
from anomalib_adaptclip.results.prediction_row import PredictionRow
from tests.comparison.made_up import COLUMNS, made_up_row, write_table

from .weights import write_weights

NAN = float("nan")
CONFIG = """models:
  A: {model: {class_path: AdaptCLIP, init_args: {backbone: tiny, image_size: 56}}, shots: [0, 1]}
  P: {model: {class_path: Patchcore, init_args: {backbone: resnet18, pre_trained: false}}, shots: [1, full]}
data_sets:
  screws: {data: {class_path: Folder, init_args: {name: screws, root: mine, normal_dir: good, abnormal_dir: bad}}}
  made: {data: {class_path: SyntheticDefects, init_args: {root: made, image_size: 64}}, categories: [gear]}
seeds: [10]
"""


def build_world(folder: Path, model: AdaptCLIP) -> None:
    """Fill a folder, which is the working directory of all calls.

    Args:
        folder: Folder, empty.
        model: AdaptCLIP on `tiny` with its own weights, at 56 px.
    """
    _write_folders(folder)
    _write_images(folder)
    write_weights(folder, model)
    _write_tables(folder)
    _write_runs(folder)
    _write_galleries(folder)


def draw(path: Path, size: tuple[int, int] = (40, 48), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _write_folders(folder: Path) -> None:
    for name in ("empty", "folder.png", "folder.csv", "folder.safetensors", "folder.yaml", "texts", "rows-empty"):
        (folder / name).mkdir()
    (folder / "texts" / "a.txt").write_text("no image")
    for number in range(3):
        draw(folder / "good" / f"{number:03}.png", seed=number)
        draw(folder / "mine" / "good" / f"{number:03}.png", seed=number)
    draw(folder / "mine" / "bad" / "000.png", seed=9)
    draw(folder / "damaged" / "a.png")
    (folder / "damaged" / "b.png").write_bytes((folder / "damaged" / "a.png").read_bytes()[:300])
    (folder / "file").write_text("a file")
    (folder / "loop").symlink_to("loop")
    (folder / "broken").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.csv")
    os.mkfifo(folder / "pipe.png")
    (folder / "sweep.yaml").write_text(CONFIG)
    for name in ("rows-twice", "rows-odd", "rows-class", "rows-broken", "rows-argument"):
        (folder / name).mkdir()
    row = "model: {class_path: AdaptCLIPTraining, init_args: {backbone: tiny}}\n"
    (folder / "rows-twice" / "1_a.yaml").write_text(row)
    (folder / "rows-twice" / "01_b.yaml").write_text(row)
    (folder / "rows-odd" / "1x_a.yaml").write_text(row)
    (folder / "rows-class" / "1_a.yaml").write_text("model: {class_path: Patchcore}\n")
    (folder / "rows-broken" / "1_a.yaml").write_text("model: [\n")
    (folder / "rows-argument" / "1_a.yaml").write_text(row.replace("tiny", "tiny, epocs: 3"))
    _write_data_sets(folder)


def _write_data_sets(folder: Path) -> None:
    for name in ("mv-unmasked", "mv-untrained", "mv-broken", "mv-size"):
        root = folder / name / "bottle"
        for split in ("train/good", "test/good", "test/bad"):
            if (name, split) != ("mv-untrained", "train/good"):
                draw(root / split / "000.png")
        if name != "mv-unmasked":
            draw(root / "ground_truth" / "bad" / "000_mask.png", (8, 8) if name == "mv-size" else (40, 48))
    (folder / "mv-broken" / "bottle" / "test" / "bad" / "000.png").write_bytes(b"\x89PNG")
    for product in ("product", "damaged-product"):
        for number in range(4):
            for kind in ("good", "bad", "masks"):
                draw(folder / product / kind / f"{number}.png")
    (folder / "damaged-product" / "bad" / "1.png").write_bytes(b"\x89PNG")
    draw(folder / "seg" / "images" / "a.png")
    (folder / "seg" / "masks").mkdir()


def _write_images(folder: Path) -> None:
    whole = (folder / "good" / "000.png").read_bytes()
    contents: dict[str, bytes] = {
        "empty.png": b"",
        "text.png": b"hello",
        "cut.png": whole[:300],
        "header.png": whole[:8],
        "flipped.png": whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
        "svg.png": b"<svg/>",
        "cut.jpg": b"\xff\xd8",
        "zeros.bmp": bytes(100),
        "html.webp": b"<html>",
        "cut.tif": b"II*\0\xff\xff\xff\xff",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    arrays: dict[str, Any] = {
        "nan.tif": np.full((4, 4), NAN, np.float32),
        "inf.tif": np.full((4, 4), np.inf, np.float32),
        "bright.tif": np.full((4, 4), 2.0, np.float32),
        "negative.tif": np.full((4, 4), -1, np.int16),
        "below.tif": np.full((4, 4), -0.5, np.float32),
        "complex.tif": np.ones((4, 4), np.complex64),
    }
    for name, values in arrays.items():
        tifffile.imwrite(folder / name, values)
    tifffile.imwrite(
        folder / "five.tif", np.zeros((5, 8, 8), "uint16"), photometric="minisblack", planarconfig="separate"
    )
    Image.new("1", (13_000, 13_000)).save(folder / "large.png")


def _write_tables(folder: Path) -> None:
    header = f"{','.join(PredictionRow._fields)}\n"
    rest = ",,,,[],[]"  # what else a row has
    rows = {
        "columns": "a,b\n1,2\n",
        "short": f"{header}a.png,0.5\n",
        "long": f"{header}a.png,0.5,1,[]{rest},x\n",
        "score": f"{header}a.png,high,1,[]{rest}\n",
        "nan": f"{header}a.png,nan,1,[]{rest}\n",
        "label": f"{header}a.png,0.5,2,[]{rest}\n",
        "label-text": f"{header}a.png,0.5,bad,[]{rest}\n",
        "boxes": f"{header}a.png,0.5,1,none{rest}\n",
        "box": f"{header}a.png,0.5,1,[[1]]{rest}\n",
        "box-float": f'{header}a.png,0.5,1,"[[0.5, 1, 2, 3]]"{rest}\n',
        "number": f"{header}a.png,0.5,1,3{rest}\n",
        "blank": f"{header}\n",
        "deep": f"{header}a.png,0.5,1,{'[' * 3000}{rest}\n",
        "large": f"{header}{'x' * 140_000},0.5,1,[]{rest}\n",
        "null": f"{header}a.png,0.5,1,null{rest}\n",
        "quote": f'{header}"a.png,0.5,1,[]{rest}\n',
    }
    for kind, text in rows.items():
        (folder / f"table-{kind}.csv").write_text(text)
        (folder / f"draft-{kind}.csv.part").write_text(text)
    (folder / "table-bytes.csv").write_bytes(header.encode() + b"\xff\xfe,0.5,1\n")
    (folder / "table-record.csv").write_text(f"{header}a.png,0.5,1,[]{rest}\n")
    (folder / "table-other.csv").write_text(f"{header}a.png,0.5,1,[]{rest}\n")
    (folder / "table-other.csv.run.json").write_text('{"model": "another"}')
    (folder / "table-text.parquet").write_text("no parquet")
    (folder / "table-void.parquet").write_bytes(b"")
    pq.write_table(pa.table({"a": [1]}), folder / "table-columns.parquet")
    columns = {"path": ["a"], "score": ["high"], "label": [1], "boxes": [[[1, 2, 3, 4]]]}
    columns |= {name: [None] for name in ("raw_score", "raw_threshold", "normal_share")}
    columns |= {"region_areas": [[4]], "region_scores": [[0.5]]}
    pq.write_table(pa.table(columns), folder / "table-score.parquet")
    pq.write_table(pa.table(columns | {"score": [0.5], "label": [7]}), folder / "table-label.parquet")
    pq.write_table(pa.table(columns | {"score": [0.5], "boxes": [[[1, 2]]]}), folder / "table-boxes.parquet")
    pq.write_table(pa.table(columns | {"score": [0.5], "boxes": [None]}), folder / "table-null.parquet")
    pq.write_table(pa.table(columns | {"score": [0.5], "path": [None]}), folder / "table-nameless.parquet")


def _write_runs(folder: Path) -> None:
    cells: dict[str, dict[str, Any]] = {
        "seed": {"seed": "ten"},
        "metric": {"image_AUROC": "1.5"},
        "nan": {"pixel_AP": "nan"},
        "images": {"images": "-1"},
        "json": {"configuration": "{"},
        "list": {"configuration": "[1]"},
        "void": {"configuration": "{}"},
        "spec": {"configuration": '{"model_spec": 3}'},
        "deep": {"configuration": "[" * 3000},
        "categories": {"categories": "{}"},
        "category": {"categories": "[1]"},
        "seconds": {"test_seconds": "long"},
        "memory": {"peak_memory_mb": "1.5"},
    }
    for kind, changed in cells.items():
        write_table(folder / f"runs-{kind}" / "runs.csv", [made_up_row() | changed])
    write_table(folder / "runs-none" / "runs.csv", [])
    texts = {
        "columns": "a,b\n1,2\n",
        "void": "",
        "short": ",".join(COLUMNS) + "\na,b\n",
        "quote": ",".join(COLUMNS) + '\n"a',
    }
    for kind, text in texts.items():
        (folder / f"runs-text-{kind}").mkdir()
        (folder / f"runs-text-{kind}" / "runs.csv").write_text(text)
    (folder / "runs-bytes").mkdir()
    (folder / "runs-bytes" / "runs.csv").write_bytes(b"\xff\xfe\x00")
    (folder / "runs-folder" / "runs.csv").mkdir(parents=True)
    (folder / "ablation-columns").mkdir()
    (folder / "ablation-columns" / "ablation.csv").write_text("a\n1\n")


def _write_galleries(folder: Path) -> None:
    panel = {"name": "query", "file": "a.png", "path": "", "low": None, "high": None}
    entry = {"rank": "best", "measure": "score", "quality": 0.5, "score": 0.5, "panels": [panel]}
    indices: dict[str, Any] = {
        "list": 3,
        "text": ["a"],
        "rank": [entry | {"rank": 1}],
        "score": [entry | {"score": "high"}],
        "nan": [entry | {"quality": NAN}],
        "more": [entry | {"more": 1}],
        "fewer": [{"rank": "best"}],
        "panel": [entry | {"panels": [3]}],
        "panels": [entry | {"panels": None}],
        "file": [entry | {"panels": [panel | {"file": "b.png"}]}],
        "kind": [entry | {"panels": [panel | {"file": "a.html"}]}],
        "low": [entry | {"panels": [panel | {"low": 0.5}]}],
        "name": [entry | {"panels": [panel | {"name": 3}]}],
    }
    for kind, index in indices.items():
        with zipfile.ZipFile(folder / f"gallery-{kind}.zip", "w") as archive:
            archive.writestr("index.json", json.dumps(index))
            archive.writestr("a.png", b"picture")
    whole = (folder / "gallery-nan.zip").read_bytes()
    for kind, content in {"void": b"", "bytes": b"no archive", "cut": whole[:100]}.items():
        (folder / f"gallery-{kind}.zip").write_bytes(content)
    with zipfile.ZipFile(folder / "gallery-no-index.zip", "w") as archive:
        archive.writestr("a.png", b"picture")
    with zipfile.ZipFile(folder / "gallery-json.zip", "w") as archive:
        archive.writestr("index.json", "{")
