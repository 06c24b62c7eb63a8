# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Several processes: batch norms over the global batch, on any device; one folder of results; an image each."""

import shutil
from collections.abc import Sized
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import nn
from torch.distributed.nn.functional import all_reduce  # with a gradient
from torch.utils.data import DataLoader

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def _sum(values: torch.Tensor) -> torch.Tensor:
    """Sum over all processes, in both directions."""
    return cast("torch.Tensor", all_reduce(values))  # type: ignore[no-untyped-call]


class _Synchronized(nn.Module):
    """Mixin for batch norms: in training, statistics over the rows of all processes.

    ``torch.nn.SyncBatchNorm`` does the same on GPUs only.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``(B, C, ...)``."""
        norm = cast("Any", self)
        if not (self.training and torch.distributed.is_initialized()):
            return cast("torch.Tensor", super().forward(x))
        wide = x.float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = _sum(torch.tensor(float(wide.numel() // wide.shape[1]), device=x.device))
        mean = _sum(wide.sum(axes)) / count  # (C,)
        centred = wide - mean.view(shape)
        variance = _sum(centred.square().sum(axes)) / count
        self._move_statistics(mean.detach(), (variance * count / (count - 1)).detach())
        scale = norm.weight * (variance + norm.eps).rsqrt()
        normalised: torch.Tensor = centred * scale.view(shape) + norm.bias.view(shape)
        return normalised.to(x.dtype)

    @torch.no_grad()
    def _move_statistics(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        norm = cast("Any", self)
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance, norm.momentum)


class SynchronizedBatchNorm1d(_Synchronized, nn.BatchNorm1d):
    """Batch norm of ``(B, C)`` over all processes."""


class SynchronizedBatchNorm2d(_Synchronized, nn.BatchNorm2d):
    """Batch norm of ``(B, C, H, W)`` over all processes."""


def synchronize_batch_norms(module: ModuleT) -> ModuleT:
    """Let the batch norms of a module see the rows of all processes; names and weights stay.

    Args:
        module: Changed in place.

    Returns:
        The module.
    """
    for child in module.modules():
        if type(child) is nn.BatchNorm1d:
            child.__class__ = SynchronizedBatchNorm1d
        elif type(child) is nn.BatchNorm2d:
            child.__class__ = SynchronizedBatchNorm2d
    return module


def results_name(name: str) -> str:
    """Name for the folder of the results, in which anomalib makes a new version in each process.

    Args:
        name: What the first process takes.

    Returns:
        A hidden folder for each of the others, so that they do not take the versions and the link of the first.
    """
    rank = cast("Any", rank_zero_only).rank
    return f"{name}/.process-{rank}" if rank else name


def share_results_folder(trainer: Trainer) -> None:
    """Let all processes use the results folder of the first, and remove the empty ones of the others.

    Args:
        trainer: Whose processes are connected already.
    """
    own = Path(trainer.default_root_dir)
    shared = trainer.strategy.broadcast(str(own))
    if own.parent.name == f".process-{trainer.global_rank}":
        cast("Any", trainer)._default_root_dir = shared  # noqa: SLF001  # has no setter
        shutil.rmtree(own.parent, ignore_errors=True)


def require_an_image_each(trainer: Trainer) -> None:
    """Check that each process gets an image to predict, which Lightning's way of sharing them asserts.

    Args:
        trainer: About to predict. Data loaders that it was given are checked, not those of a data module.

    Raises:
        ValueError: If there are fewer images than processes.
    """
    loaders = getattr(getattr(trainer.predict_loop, "_data_source", None), "instance", None)
    for loader in loaders if isinstance(loaders, list) else [loaders]:
        dataset: Any = loader.dataset if isinstance(loader, DataLoader) else None
        if isinstance(dataset, Sized) and 0 < len(dataset) < trainer.world_size:
            msg = (
                f"{trainer.world_size} processes need an image each at least to predict; there are {len(dataset)}. "
                "Take fewer devices, or PredictFolder, which may leave some without."
            )
            raise ValueError(msg)
