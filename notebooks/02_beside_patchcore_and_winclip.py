# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

# %% [markdown]
# # AdaptCLIP beside PatchCore and WinCLIP
#
# Three models of anomalib on one data module: the same four good images for each, the same metrics, one table, one
# picture.
#
# **As it stands the figures mean nothing.** So that it needs neither a network nor a GPU, AdaptCLIP runs with `tiny`, a
# small model that the package brings, and the two others with networks that nobody has trained. What is shown is how to
# compare. With the switch turned each is the real one: AdaptCLIP with ViT-L/14 and the published adapters, WinCLIP with
# its own CLIP, PatchCore with a backbone trained on ImageNet. They are downloaded on first use and run best on a GPU.

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
from copy import deepcopy
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from anomalib import LearningType
from anomalib.engine import Engine
from anomalib.models import Patchcore
from anomalib.visualization.image.functional import (
    overlay_images,
    visualize_anomaly_map,
    visualize_gt_mask,
    visualize_image,
)
from lightning import seed_everything
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib_inline.backend_inline import set_matplotlib_formats

from anomalib_adaptclip import AdaptCLIP, SyntheticDefects
from anomalib_adaptclip.comparison import ComparisonEvaluator
from anomalib_adaptclip.comparison.run import restrict_train_split
from anomalib_adaptclip.comparison.winclip import NormalizedWinClip, UntrainedWinClip
from anomalib_adaptclip.prompts.selection import prompts_from_datamodule

set_matplotlib_formats("jpeg", dpi=80, pil_kwargs={"quality": 85})  # of PNG, photographs would make a large file

K_SHOT, SEED = 4, 10

# %% [markdown]
# ## The data, and the same good images for all
#
# Any data module of anomalib will do: `MVTecAD(category="hazelnut")`, `Visa(...)`, or `Folder(...)` for your own
# images. The one here draws its images itself: a woven fabric, which `tiny` was not trained on.
#
# Four train images are drawn as in the AdaptCLIP paper. AdaptCLIP draws them by itself, with the same seed; the two
# others take the train split, so they get a copy of the data module whose train split holds those four alone.

# %%
datamodule = SyntheticDefects("images", "weave", num_train_images=20, num_normal_test_images=8, num_images_per_defect=4)
datamodule.prepare_data()
datamodule.setup(TrainerFn.FITTING)  # a stage of the trainer's, so that the trainer does not undo what follows

prompts = prompts_from_datamodule(datamodule, K_SHOT, SEED)
four_images = deepcopy(datamodule)
restrict_train_split(four_images, prompts)

print("Good images:", ", ".join(Path(path).name for path in prompts))
print("Test images:", len(datamodule.test_data))

# %% [markdown]
# ## The models
#
# `NormalizedWinClip` is anomalib's WinCLIP with its good images normalised as the images under test are, as its paper
# means it; anomalib's own leaves them as they are.

# %%
seed_everything(SEED, verbose=False)
if FULL_SIZE:
    models = {
        "AdaptCLIP": AdaptCLIP(k_shot=K_SHOT, seed=SEED),
        "PatchCore": Patchcore(),
        "WinCLIP": NormalizedWinClip(k_shot=K_SHOT),
    }
else:
    models = {
        "AdaptCLIP (tiny)": AdaptCLIP(k_shot=K_SHOT, seed=SEED, backbone="tiny"),
        "PatchCore (untrained)": Patchcore(backbone="resnet18", pre_trained=False),
        "WinCLIP (untrained)": UntrainedWinClip(k_shot=K_SHOT),
    }

# %% [markdown]
# ## One table
#
# Metrics are of raw scores, for anomalib's normalisation clamps them and makes ties. All models get the same evaluator,
# which counts pixels at one size, whatever the size of a model's maps. Only PatchCore is fitted.

# %%
items = [datamodule.test_data[index] for index in range(0, len(datamodule.test_data), 4)]  # for the picture

scores = {}
for name, model in models.items():
    evaluator = ComparisonEvaluator(pixel_size=256)
    model.evaluator, model.visualizer = evaluator, None
    model.post_processor.enable_normalization = False
    data = datamodule if isinstance(model, AdaptCLIP) else four_images
    engine = Engine(limit_val_batches=0, logger=False, enable_progress_bar=False, enable_model_summary=False)
    if model.learning_type == LearningType.ONE_CLASS:
        engine.fit(model, datamodule=data)
    engine.test(model, datamodule=data, verbose=False)
    scores[name] = evaluator.scores()
    if isinstance(model, AdaptCLIP):
        assert model.prompt_files == prompts

pd.DataFrame(scores).T.round(3)

# %% [markdown]
# Good figures of networks that nobody has trained tell how easy the task is, not how good a model is.
#
# ## One picture
#
# Every fourth test image. The models' maps are no probabilities, and PatchCore's are distances without an upper end, so
# each row has a colour scale of its own, the same for all its images: from the least value, blue, to the upper
# hundredth, dark red.


# %%
@torch.inference_mode()
def heat(model):
    """Maps of the chosen images, in anomalib's colours."""
    model.eval()
    maps = torch.stack([model(item.image[None].to(model.device)).anomaly_map.squeeze().cpu() for item in items])
    low, high = maps.min(), maps.quantile(0.99)
    return [visualize_anomaly_map(values) for values in ((maps - low) / (high - low)).clamp(0, 1)]


images = [visualize_image(item.image) for item in items]
rows = {"image": images, "mask": [visualize_gt_mask(item.gt_mask) for item in items]}
for name, model in models.items():
    rows[name] = [overlay_images(image, overlay, alpha=0.5) for image, overlay in zip(images, heat(model))]

_, axes = plt.subplots(
    len(rows), len(items), figsize=(2 * len(items), 2 * len(rows)), squeeze=False, layout="constrained"
)
for line, (name, pictures) in zip(axes, rows.items()):
    line[0].set_ylabel(name)
    for axis, picture in zip(line, pictures):
        axis.imshow(picture, cmap="gray")
        axis.set(xticks=[], yticks=[])
for axis, item in zip(axes[0], items):
    axis.set_title(Path(item.image_path).parent.name)
plt.show()

# %% [markdown]
# From here: `anomalib-adaptclip compare` runs any models on any data sets, categories, shots and seeds, goes on where
# it was broken off, and spreads over processes. See "Compare models" in the README, and `configs/compare/paper.yaml`.
