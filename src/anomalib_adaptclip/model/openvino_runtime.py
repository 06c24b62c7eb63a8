# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A prepared model run by OpenVINO on the processor, in float32: faster than PyTorch on many, once it is compiled."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import torch
from anomalib.data import InferenceBatch

from anomalib_adaptclip.choices import require_choice

from .export import ONNX_PACKAGES, copy_to_predict, require_fixed_tiles, require_packages

if TYPE_CHECKING:
    from .lightning_model import AdaptCLIP

Runtime = Literal["torch", "openvino"]

_HINTS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


def require_runtime(runtime: str, device: torch.device, model: "AdaptCLIP") -> None:
    """Check that a runtime is there, and can run a model.

    Raises:
        ValueError: If it is unknown, or OpenVINO is to run a prompt bank, tiles of a number of pixels, or on a GPU.
        ModuleNotFoundError: If a package is missing.
    """
    require_choice("runtime", runtime, Runtime)
    if runtime == "torch":
        return
    require_packages([*ONNX_PACKAGES, "openvino"], "OpenVINO")
    if model.prompt_bank is not None:
        msg = "runtime='openvino' runs one category, and the model has a prompt bank. Leave one of them out."
        raise ValueError(msg)
    require_fixed_tiles(model.hparams.get("tiles"))
    if device.type != "cpu":
        msg = f"runtime='openvino' runs on the processor; got device={device}. Leave one of them out."
        raise ValueError(msg)


def compile_openvino(model: "AdaptCLIP") -> Callable[..., InferenceBatch]:
    """Compile a prepared model for any number of images of its input size.

    Returns:
        A function of preprocessed images ``(B, 3, H, W)``; what it returns are raw scores and maps, as of the model.
    """
    import openvino  # noqa: PLC0415  of the extra

    height, width = model.expected_size or model.default_image_size
    inner, size = copy_to_predict(model), (height, width)
    inner.pre_processor = inner.post_processor = None
    with TemporaryDirectory() as folder:
        path = inner.to_onnx(folder, input_size=size, optimize=False)
        compiled = openvino.Core().compile_model(openvino.Core().read_model(Path(path)), "CPU", _HINTS)

    def _detect(images: torch.Tensor, categories: Sequence[str] | None = None) -> InferenceBatch:
        del categories  # there is one
        if (images.shape[-2], images.shape[-1]) != size:
            msg = (
                f"runtime='openvino' is compiled for images of {size} pixels; got {tuple(images.shape[-2:])}. Resize "
                "them, with the pre-processor for instance, or take runtime='torch'."
            )
            raise ValueError(msg)
        found = {output.any_name: value for output, value in compiled(images.numpy()).items()}
        score, anomaly_map = (torch.from_numpy(found[name].copy()) for name in ("pred_score", "anomaly_map"))
        return InferenceBatch(pred_score=score, anomaly_map=anomaly_map)

    return _detect
