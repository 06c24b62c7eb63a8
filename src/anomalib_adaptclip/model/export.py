# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Export by anomalib's exporters: checks before the work, a model without idle parts, whole files."""

import copy
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from anomalib.data import AnomalibDataModule
from anomalib.deploy.export import CompressionType
from anomalib.models.components.base.export_mixin import ExportMixin
from lightning.pytorch import LightningModule
from torch import nn

from anomalib_adaptclip.files.quiet import silenced

from .thresholds import warn_if_uncalibrated
from .torch_model import AdaptCLIPModel

if TYPE_CHECKING:
    from anomalib.models.components import AnomalibModule as _Host
else:
    _Host = object

OPSET = 18  # the lowest that torch's exporter writes without converting
ONNX_PACKAGES = ("onnx", "onnxscript")
CALIBRATED = (CompressionType.INT8_PTQ, CompressionType.INT8_ACQ)

Model = TypeVar("Model", bound=LightningModule)


def require_packages(names: Sequence[str], what: str) -> None:
    """Check that packages are installed, without importing them.

    Args:
        names: Names of the packages.
        what: The kind of export that needs them, for the message.

    Raises:
        ModuleNotFoundError: If one is missing.
    """
    if missing := [name for name in names if find_spec(name) is None]:
        msg = f'Export to {what} needs {" and ".join(missing)}: pip install "anomalib-adaptclip[openvino]"'
        raise ModuleNotFoundError(msg, name=missing[0])


def require_compression(compression_type: str | None, *, has_data: bool) -> None:
    """Check a compression of OpenVINO's weights, its packages and its data.

    Args:
        compression_type: anomalib's ``CompressionType`` or its value; ``None`` for float32.
        has_data: Whether there is a data module.

    Raises:
        ValueError: If it is unknown, or lacks the data that it calibrates with.
        ModuleNotFoundError: If a package is missing.
    """
    known = [kind.value for kind in CompressionType]
    if compression_type is not None and compression_type not in known:
        msg = f"Unknown compression_type {compression_type!r}; choose one of {known}, or leave it out for float32."
        raise ValueError(msg)
    packages = [*ONNX_PACKAGES, "openvino"]
    if compression_type not in {None, CompressionType.FP16}:
        packages.append("nncf")
    require_packages(packages, "OpenVINO")
    if compression_type in CALIBRATED and not has_data:
        kind = CompressionType(compression_type).value
        msg = f"compression_type {kind!r} calibrates with images: give a data module, or take 'int8'."
        raise ValueError(msg)


def require_fixed_tiles(tiles: object) -> None:
    """Check that the number of tiles does not depend on the image: a graph has a fixed one.

    Raises:
        ValueError: If it does.
    """
    if isinstance(tiles, int):
        msg = f"An exported graph has a fixed number of tiles; got tiles={tiles} pixels. Give rows and columns instead."
        raise ValueError(msg)  # noqa: TRY004  # a wrong choice


def copy_structure(model: Model) -> Model:
    """Copy a model's modules but not its tensors, which the copy shares, nor its trainer.

    The copy can be taken apart without harm to the model, and costs no memory worth naming.
    """
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    trainer = model._trainer  # noqa: SLF001  # the property raises where there is none
    return copy.deepcopy(model, {**shared, id(trainer): None})


def drop_idle_parts(model: AdaptCLIPModel) -> None:
    """Take out what a prepared model does not use when it predicts.

    That is the text tower and the learned contexts, whose embeddings are kept, and without prompts the prompt-query
    adapter. The model cannot be trained afterwards, nor take prompts that it had no adapter for.
    """
    model.clip = nn.ModuleDict({"visual": model.clip.visual})
    if "textual" in model.adapters:
        model.adapters["textual"] = nn.Identity()  # the name says that the learned pair is to be used
    if "prompt_query" in model.adapters and model.prompt_memory.k_shot == 0:
        del model.adapters["prompt_query"]


def copy_to_predict(model: "WholeExportMixin") -> "WholeExportMixin":
    """A copy of a prepared model that predicts, and does nothing else. It shares its tensors."""
    model.model.encode_texts()
    copied = copy_structure(model).eval()
    drop_idle_parts(copied.model)
    copied.evaluator = copied.visualizer = None
    return copied


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep the thousands of lines back that the optimizer of ONNX graphs logs, and torch's of what it leaves out."""
    with silenced("onnx_ir", "onnxscript", below=logging.WARNING), silenced("torch.onnx"):
        yield


def write_whole(root: Path | str, export: Callable[[Path], Path]) -> Path:
    """Export into a draft, and put the files in place when all of them are written.

    Args:
        root: Folder of the exports, as anomalib has it. It is made if need be.
        export: Exports below the folder that it is given, and returns the main file.

    Returns:
        The main file in its place.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root, prefix=".export-") as draft:
        main = export(Path(draft))
        target = root / main.parent.relative_to(draft)
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(main.parent.iterdir(), key=lambda file: file == main):  # the weights beside it first
            file.replace(target / file.name)
    return target / main.name


class WholeExportMixin(_Host):
    """Exports by anomalib's exporters: checked before the work, without idle parts, written whole or not at all."""

    model: AdaptCLIPModel
    default_image_size: tuple[int, int]

    @abstractmethod
    def prepare_once(self) -> None:
        """Prepare the model, unless it is prepared."""

    def copy_for_export(self) -> "WholeExportMixin":
        """A copy that is ready to predict, and does nothing else. It shares its tensors with this model."""
        self.prepare_once()
        if isinstance(self.model.clip, nn.ModuleDict):  # it is such a copy
            return self
        warn_if_uncalibrated(self.post_processor)
        return copy_to_predict(self)

    def to_torch(self, export_root: Path | str, model_file_name: str = "model") -> Path:
        """Export to a file for anomalib's ``TorchInferencer``.

        Args:
            export_root: Folder for the export.
            model_file_name: Name of the file, without ending.

        Returns:
            ``weights/torch/<name>.pt`` below the folder.

        Raises:
            ValueError: If there is a prompt bank, which is not exported.
        """
        model = self.copy_for_export()
        return write_whole(export_root, lambda draft: ExportMixin.to_torch(model, draft, model_file_name))

    def to_onnx(  # type: ignore[override]
        self,
        export_root: Path | str,
        model_file_name: str = "model",
        input_size: tuple[int, int] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Path:
        """Export to ONNX: pre-processing, detection, post-processing; texts, prompts and thresholds are constants.

        Args:
            export_root: Folder for the export.
            model_file_name: Name of the file, without ending.
            input_size: Height and width of the images that will come. Any size by default, or the model's own without
                a pre-processor.
            **kwargs: For ``torch.onnx.export``.

        Returns:
            ``weights/onnx/<name>.onnx`` below the folder. Its weights may be in a file beside it.

        Raises:
            ModuleNotFoundError: If a package is missing.
            ValueError: If there is a prompt bank, which is not exported.
        """
        require_packages(ONNX_PACKAGES, "ONNX")
        require_fixed_tiles(self.hparams.get("tiles"))
        model, options = self.copy_for_export(), {"opset_version": OPSET, "verbose": False, **kwargs}
        if input_size is None and self.pre_processor is None:
            input_size = self.default_image_size
        with quiet_exporter():
            return write_whole(
                export_root, lambda draft: ExportMixin.to_onnx(model, draft, model_file_name, input_size, **options)
            )

    def to_openvino(  # type: ignore[override]
        self,
        export_root: Path | str,
        model_file_name: str = "model",
        input_size: tuple[int, int] | None = None,
        compression_type: CompressionType | None = None,
        datamodule: AnomalibDataModule | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Path:
        """Export to OpenVINO, by way of ONNX.

        Args:
            export_root: Folder for the export.
            model_file_name: Name of the files, without ending.
            input_size: As for :meth:`to_onnx`.
            compression_type: How the weights are compressed. They stay float32 by default.
            datamodule: Images to calibrate with, where the compression does.
            **kwargs: As anomalib's ``to_openvino``.

        Returns:
            ``weights/openvino/<name>.xml`` below the folder, with its ``.bin`` beside it.

        Raises:
            ModuleNotFoundError: If a package is missing.
            ValueError: If the compression is unknown or lacks its data, or there is a prompt bank.
        """
        require_compression(compression_type, has_data=datamodule is not None)
        require_fixed_tiles(self.hparams.get("tiles"))
        model = self.copy_for_export()
        kwargs["onnx_kwargs"] = {"optimize": False} | (kwargs.get("onnx_kwargs") or {})  # OpenVINO does it, and faster
        return write_whole(
            export_root,
            lambda draft: ExportMixin.to_openvino(
                model, draft, model_file_name, input_size, compression_type, datamodule, **kwargs
            ),
        )
