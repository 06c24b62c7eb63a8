# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

# %% [markdown]
# # Zero and few shots: defects in a folder of images
#
# AdaptCLIP finds defects on things that it was never trained on: zero-shot, by the image alone, or few-shot, beside a
# few good images that serve as prompts. This notebook takes a folder of images, draws heat maps of both, finds
# thresholds from good images alone, and writes a table.
#
# As it stands it needs neither a network nor a GPU: the images are generated, and the model is `tiny`, a small one that
# the package brings. It shows how everything works and no more. For real inspection turn the switch to the model of the
# paper, ViT-L/14 with the published adapters. They are downloaded on first use, and run best on a GPU.

# %%
FULL_SIZE = False

# %%
# Keeps this page short. Leave these lines out to hear more of what goes on.
import logging
import os
import warnings

os.environ["TQDM_DISABLE"] = "1"
logging.disable(logging.WARNING)
warnings.filterwarnings("ignore")

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from anomalib.data.utils import get_image_filenames
from anomalib.engine import Engine
from anomalib.visualization.image.functional import overlay_images, visualize_anomaly_map, visualize_pred_mask
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PredictFolder, PromptBank, SyntheticDefects

set_matplotlib_formats("jpeg", dpi=80, pil_kwargs={"quality": 85})  # of PNG, photographs would make a large file

MODEL = {} if FULL_SIZE else {"backbone": "tiny"}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

# %% [markdown]
# ## The images
#
# Two folders: one with good images, one with those to look at. The images here are of wooden boards, drawn by the
# package. `tiny` was not trained on wood.
#
# **For your own images** name your two folders in the second line of the next cell.

# %%
SyntheticDefects("images", "wood", num_train_images=8, num_normal_test_images=4, num_images_per_defect=4).prepare_data()
GOOD, QUERIES = Path("images/wood/train/good"), Path("images/wood/test")

queries = get_image_filenames(QUERIES)
shown = queries[:: max(1, len(queries) // 5)][:5]
print(len(get_image_filenames(GOOD)), "good images,", len(queries), "to look at, of which", len(shown), "are shown")

# %% [markdown]
# ## Zero-shot and four-shot
#
# `AdaptCLIPPredictor` predicts without Lightning; its `stream` takes any number of files. Four-shot needs two arguments
# more: a number, and a folder, whose first images by name it takes.


# %%
def predict(model, files):
    """Scores, maps and masks of a few images, in one batch."""
    return next(AdaptCLIPPredictor(model, DEVICE).stream(files, batch_size=len(files)))[1]


zero_shot = predict(AdaptCLIP(**MODEL), shown)
four_shot = predict(AdaptCLIP(**MODEL, k_shot=4, few_shot_source=GOOD), shown)

# %% [markdown]
# Maps hold a value for each pixel, in [0, 1]; so do the scores of the images, which stand above them. What a high value
# is differs between zero and four shots, so each row has a colour scale of its own, the same for all its images: from
# the least value, blue, to the upper hundredth, dark red.


# %%
def heat(output):
    """What to lay over each image, its map in anomalib's colours, and what to write above, its score."""
    low, high = output.anomaly_map.min(), output.anomaly_map.quantile(0.99)
    maps = ((output.anomaly_map - low) / (high - low)).clamp(0, 1)
    return [(visualize_anomaly_map(values), f"{score:.2f}") for values, score in zip(maps, output.pred_score)]


def draw(files, rows):
    """Draw images in a row, and below them the same with something laid over."""
    photos = [Image.open(file).convert("RGB") for file in files]
    pictures = {"image": [(photo, file.parent.name) for photo, file in zip(photos, files)]}
    for name, overlays in rows.items():
        pairs = zip(photos, overlays)
        pictures[name] = [(overlay_images(photo, overlay, alpha=0.5), text) for photo, (overlay, text) in pairs]
    size = (2 * len(files), 2.2 * len(pictures))
    _, axes = plt.subplots(len(pictures), len(files), figsize=size, squeeze=False, layout="constrained")
    for line, (name, row) in zip(axes, pictures.items()):
        line[0].set_ylabel(name)
        for axis, (picture, text) in zip(line, row):
            axis.imshow(picture)
            axis.set(title=text, xticks=[], yticks=[])
    plt.show()


draw(shown, {"zero-shot": heat(zero_shot), "four-shot": heat(four_shot)})

# %% [markdown]
# ## Thresholds from good images alone
#
# Where nobody has labelled any defects, good images can tell what is still good: with `calibration="normal"` each of
# them is judged by the others, and the thresholds are set such that about `false_positive_rate` of the good images
# exceed them. Two images are the least, eight are better. Scores and maps then have the threshold at 0.5.
#
# Any number of images can be predicted by anomalib's Engine, which keeps nothing in memory if `results` names a table:
# score, label, and boxes around what is marked, in pixels.

# %%
model = AdaptCLIP(
    **MODEL,
    k_shot=8,
    few_shot_source=GOOD,
    calibration="normal",
    false_positive_rate=0.1,
    results="results.csv",
    visualizer=False,
)
engine = Engine(logger=False, enable_progress_bar=False)
engine.predict(model=model, datamodule=PredictFolder(QUERIES))

table = pd.read_csv("results.csv")
paths = table.pop("path").map(Path)
table.insert(0, "image", [f"{path.parent.name}/{path.name}" for path in paths])
table.round(3)

# %% [markdown]
# The folders of these images tell what is wrong with them, so what was found can be counted. Of four good images one
# marked would be no surprise at a rate of 0.1.

# %%
counts = table.groupby([path.parent.name for path in paths]).label.agg(["size", "sum"])
counts.columns = ["images", "marked abnormal"]
counts

# %%
eight_shot = predict(model, shown)
marks = [visualize_pred_mask(mask.squeeze().byte() * 255, mode="fill", alpha=1.0) for mask in eight_shot.pred_mask]
labels = ["abnormal" if label else "good" for label in eight_shot.pred_label]
draw(shown, {"marked": list(zip(marks, labels))})

# %% [markdown]
# ## Several products
#
# A prompt bank holds good images of many products, each encoded once, in one file. In a folder that mixes products each
# image is then compared with its own, which the folders above it name.

# %%
SyntheticDefects(
    "images", "weave", num_train_images=4, num_normal_test_images=4, num_images_per_defect=2
).prepare_data()

bank = PromptBank(model.model, model.backbone.name)
for product in ("wood", "weave"):
    bank.add(product, model.read_images(get_image_filenames(f"images/{product}/train/good")))
bank.save("bank.safetensors")

predictor = AdaptCLIPPredictor(AdaptCLIP(**MODEL, prompt_bank="bank.safetensors"), DEVICE)
mixed = [path for product in bank.names for path in get_image_filenames(f"images/{product}/test")]
rows = [
    (Path(path).parents[2].name, Path(path).parent.name, float(score))
    for paths, output in predictor.stream(mixed)
    for path, score in zip(paths, output.pred_score)
]
scores = pd.DataFrame(rows, columns=["product", "what is wrong", "mean score"])
scores.pivot_table(index="what is wrong", columns="product", values="mean score").round(3)

# %% [markdown]
# From here: the README tells of the command line, checkpoints, export to ONNX and OpenVINO, and training of adapters;
# `02_beside_patchcore_and_winclip` compares AdaptCLIP with two other models of anomalib.
