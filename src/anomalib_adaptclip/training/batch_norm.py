# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Batch norms over the batches of all processes, on any device."""

from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.distributed.nn.functional import all_reduce  # with a gradient

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
