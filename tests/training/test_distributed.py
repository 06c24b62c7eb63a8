# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Two processes train as one does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.multiprocessing.spawn import spawn

from anomalib_adaptclip.training.batch_norm import CpuSyncBatchNorm, synchronize_batch_norms

from .command import RUN, column, fit, rows

SHARES = (5, 3)  # rows of each process


def joined(kind: type[nn.Module]) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A module with a batch norm, its input, and the gradient of its output."""
    generator = torch.Generator().manual_seed(0)
    shape = (sum(SHARES), 4) if kind is nn.BatchNorm1d else (sum(SHARES), 4, 3, 2)
    norm: Any = kind(4)
    norm.weight.data.uniform_(0.5, 2, generator=generator)
    images = torch.randn(shape, generator=generator) * 3 + 1
    return nn.Sequential(norm), images, torch.randn(shape, generator=generator)


def run(norm: nn.Module, images: torch.Tensor, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    images.requires_grad_()
    output = norm(images)
    output.backward(gradient)
    assert images.grad is not None
    found = {"output": output.detach(), "input_grad": images.grad, **norm.state_dict()}
    found |= {f"{name}_grad": p.grad for name, p in norm.named_parameters() if p.grad is not None}
    return {name: tensor.cpu() for name, tensor in found.items()}


def process(rank: int, kind: type[nn.Module], device: str, folder: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=len(SHARES))
    norm, images, gradient = joined(kind)
    synchronize_batch_norms(norm, torch.device(device))
    own = (torch.split(tensor, [*SHARES])[rank].to(device) for tensor in (images, gradient))
    torch.save(run(norm.to(device), *own), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_batch_norms_see_the_joined_batch(kind: type[nn.Module], device: str, tmp_path: Path) -> None:
    spawn(process, (kind, device, str(tmp_path)), nprocs=len(SHARES))  # type: ignore[no-untyped-call]
    expected = run(*joined(kind))
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(len(SHARES))]
    for name, tensor in expected.items():
        parts = [result[name] for result in found]
        if name in {"output", "input_grad"}:
            torch.testing.assert_close(torch.cat(parts), tensor)
        elif name.endswith("_grad"):
            torch.testing.assert_close(sum(parts), tensor)  # of the whole batch, as DDP then averages
        else:
            for part in parts:
                torch.testing.assert_close(part, tensor)


@pytest.mark.parametrize(("device", "expected"), [("cpu", CpuSyncBatchNorm), ("cuda", nn.SyncBatchNorm)])
def test_only_the_cpu_needs_our_own(device: str, expected: type[nn.Module]) -> None:
    adapters = nn.ModuleDict({"head": nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), "last": nn.BatchNorm1d(3)})
    before, parameters = adapters.state_dict(), [*adapters.parameters()]
    synchronize_batch_norms(adapters, torch.device(device))
    assert type(adapters["last"]) is type(adapters.get_submodule("head.1")) is expected
    assert list(adapters.state_dict()) == list(before)
    assert all(new is old for new, old in zip(adapters.parameters(), parameters, strict=True))


def test_one_process_alone_and_evaluation() -> None:
    """Without other processes it is torch's."""
    norm, images, gradient = joined(nn.BatchNorm2d)
    own, _, _ = joined(nn.BatchNorm2d)
    synchronize_batch_norms(own, torch.device("cpu"))
    expected = run(norm, images.clone(), gradient)
    for name, tensor in run(own, images.clone(), gradient).items():
        torch.testing.assert_close(tensor, expected[name])
    torch.testing.assert_close(own.eval()(images), norm.eval()(images))


def test_torch_still_has_none_for_the_cpu(tmp_path: Path) -> None:
    """If it gets one, `CpuSyncBatchNorm` can go."""
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="expected input tensor to be on GPU"):
            nn.SyncBatchNorm(4)(torch.rand(2, 4))
    finally:
        torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same training by one process, and by two."""
    data, one, two = (tmp_path_factory.mktemp(name) for name in ("data", "one", "two"))
    double = ("--trainer.precision", "64-true")  # in float32 Adam turns gradients that are only rounding into steps
    fit(one, data, *double)
    fit(two, data, *double, "--trainer.strategy", "ddp", "--trainer.devices", 2, "--data.train_batch_size", 2)
    return one, two


class TestRun:
    """A whole run by command line; the target has seven images, an uneven number."""

    def test_losses_of_every_step(self, runs: tuple[Path, Path]) -> None:
        one, two = (column(rows(run), "train_loss_step") for run in runs)
        assert len(one) == 9
        torch.testing.assert_close(two, one, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("shot", ["zero_shot", "one_shot"])
    @pytest.mark.parametrize("metric", ["image_AUROC", "pixel_AUPR"])
    def test_metrics_are_of_the_whole_set(self, runs: tuple[Path, Path], shot: str, metric: str) -> None:
        one, two = (column(rows(run), f"val_{shot}_{metric}") for run in runs)
        assert len(one) == 3
        torch.testing.assert_close(two, one, rtol=0, atol=1e-6)

    def test_adapters_and_running_statistics(self, runs: tuple[Path, Path]) -> None:
        one, two = (load_file(run / RUN / "v0/weights/lightning/adapters.safetensors") for run in runs)
        assert any("running_var" in key for key in one)
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)

    def test_one_process_writes_files(self, runs: tuple[Path, Path]) -> None:
        one, two = ({str(path.relative_to(run)) for path in run.rglob("*")} for run in runs)
        assert two == one
        assert (runs[1] / RUN / "latest").resolve() == runs[1] / RUN / "v0"
