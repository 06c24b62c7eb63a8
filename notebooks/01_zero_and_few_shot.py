# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

# %% [markdown]
# # Zero and few shots: defects in a folder of images
#
# AdaptCLIP finds defects on things that it was never trained on: zero-shot, by the image alone, or few-shot, beside a
# few good images that serve as prompts. This notebook takes a folder of images, draws heat maps of both, and goes from
# good images alone to a verdict on each image, with pictures and a table.
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
from anomalib.visualization.image.functional import overlay_images, visualize_anomaly_map
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PromptBank, SyntheticDefects
from anomalib_adaptclip_cli.main import main as anomalib_adaptclip

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
# ## Verdicts
#
# One command does all of it: it takes the good images as prompts, finds by comparing them with one another from which
# score on an image is abnormal, such that about a tenth of the good ones are, and judges the others. In a shell it is
#
#     anomalib-adaptclip inspect images/wood/train/good images/wood/test --out inspection --backbone tiny
#
# Two good images are the least, eight are better.

# %%
options = [f"--{name}={value}" for name, value in MODEL.items()]
command = ["inspect", str(GOOD), str(QUERIES), "--out", "inspection", "--device", DEVICE, *options]
assert anomalib_adaptclip(command) == 0

# %% [markdown]
# The folder `inspection` now holds a page, `summary.html`, with a picture of each image: the most abnormal first. The
# colours are the same in all of them: clear is what good images reach, the middle of the scale is the threshold of
# pixels, and what exceeds it is outlined.


# %%
def show(pictures):
    """Show pictures that are files, one below the other."""
    _, axes = plt.subplots(len(pictures), figsize=(9, 4.2 * len(pictures)), squeeze=False, layout="constrained")
    for axis, picture in zip(axes.flat, pictures):
        axis.imshow(Image.open(picture))
        axis.axis("off")
    plt.show()


pictures = sorted(Path("inspection/pictures").rglob("*.png"))
show(pictures[:: max(1, len(pictures) // 3)][:3])

# %% [markdown]
# The table `verdicts.csv` has a row for each image. `normal_share` is the share of good images that are expected to
# score as high; `boxes` lie around what is marked, in pixels.

# %%
table = pd.read_csv("inspection/verdicts.csv")
paths = table.path.map(Path)
table.insert(0, "image", [f"{path.parent.name}/{path.name}" for path in paths])
table[["image", "raw_score", "raw_threshold", "label", "normal_share", "boxes"]].round(3)

# %% [markdown]
# The folders of these images tell what is wrong with them, so what was found can be counted. Of four good images one
# marked would be no surprise.

# %%
counts = table.groupby([path.parent.name for path in paths]).label.agg(["size", "sum"])
counts.columns = ["images", "marked abnormal"]
counts

# %% [markdown]
# `part.ckpt` is what was learned. It judges further images without the good ones: by `anomalib-adaptclip inspect
# part.ckpt IMAGES`, by `anomalib predict`, or here.

# %%
predictor = AdaptCLIPPredictor.from_checkpoint("inspection/part.ckpt", DEVICE)
output = predictor(shown[0])
print(shown[0].parent.name, "is", "abnormal" if output.pred_label else "good")

# %% [markdown]
# ## Several products
#
# A prompt bank holds good images of many products, each encoded once, in one file. In a folder that mixes products each
# image is then compared with its own, which the folders above it name.

# %%
SyntheticDefects(
    "images", "weave", num_train_images=4, num_normal_test_images=4, num_images_per_defect=2
).prepare_data()

model = AdaptCLIP(**MODEL)
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
