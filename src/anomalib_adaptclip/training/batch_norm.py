# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Batch norms whose statistics are those of the batches of all processes together."""

from typing import cast

import torch
from torch import nn
from torch.distributed.nn.functional import all_reduce  # unlike torch.distributed's, it passes gradients on
from torch.nn.functional import batch_norm


class CpuSyncBatchNorm(nn.Module):
    """``torch.nn.SyncBatchNorm`` for the CPU, where torch's own neither trains nor is let into DDP.

    Args:
        norm: Batch norm with weights and running statistics. Both are shared, not copied.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps, self.momentum = norm.eps, norm.momentum
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self.train(norm.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``(B, C, ...)``: in training by the statistics of all processes, else by the running ones."""
        if not self.training:
            return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = _sum(torch.tensor(float(wide.numel() // wide.shape[1])))
        mean = _sum(wide.sum(axes)) / count  # (C,)
        centred = wide - mean.view(shape)
        variance = _sum(centred.square().sum(axes)) / count
        self._update_statistics(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        normalised = centred * scale.view(shape) + self.bias.view(shape)
        return normalised.to(x.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(variance.to(self.running_var), share)


def synchronize_batch_norms(module: nn.Module, device: torch.device) -> None:
    """Let the batch norms within a module see the rows of all processes; names and weights in the state dict stay.

    Args:
        module: Changed in place. It may not be a batch norm itself.
        device: Where the module will be trained.
    """
    if device.type != "cpu":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return
    for name, child in [*module.named_modules()]:
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            module.set_submodule(name, CpuSyncBatchNorm(child))


def _sum(values: torch.Tensor) -> torch.Tensor:
    """Sum over all processes, if there are several, in both directions."""
    if not torch.distributed.is_initialized():
        return values
    return cast("torch.Tensor", all_reduce(values))  # type: ignore[no-untyped-call]
