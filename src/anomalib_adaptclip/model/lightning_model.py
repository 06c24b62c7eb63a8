# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIP in anomalib: zero- and few-shot detection for the CLI and the Engine.

Glue only: what is computed stands in :mod:`anomalib_adaptclip.model.torch_model`.
"""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from anomalib import LearningType
from anomalib.data import AnomalibDataModule, Batch, InferenceBatch
from anomalib.deploy.export import CompressionType
from anomalib.metrics import AUPR, AUPRO, AUROC, Evaluator, F1Max
from anomalib.models.components import AnomalibModule
from anomalib.models.components.base.export_mixin import ExportMixin
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import nn
from torchvision.transforms.v2 import Compose, InterpolationMode, Normalize, Resize

from anomalib_adaptclip.adapters.adapter_file import (
    PUBLISHED_ADAPTERS,
    AdapterFile,
    read_adapter_file,
    require_same_clip,
)
from anomalib_adaptclip.adapters.sources import (
    AUTO,
    NONE,
    choose_adapters,
    locate_adapters,
    warn_of_absence,
    warn_of_leakage,
)
from anomalib_adaptclip.clip import CLIP_MEAN, CLIP_STD, Clip, fingerprint, get_backbone, load_clip, require_image_size
from anomalib_adaptclip.data.empty_dataloader import empty_dataloader
from anomalib_adaptclip.files.images import is_sixteen_bit, read_image
from anomalib_adaptclip.prompts.bank import PromptBank, UnknownCategory, require_bank
from anomalib_adaptclip.prompts.categories import categories_by_path, categories_of
from anomalib_adaptclip.prompts.memory import Precision, require_memory
from anomalib_adaptclip.prompts.selection import prompts_from_datamodule, require_shots
from anomalib_adaptclip.results.callback import ResultsCallback
from anomalib_adaptclip.version import __version__

from .antialias_resize import exportable
from .calibration import Calibration, Limits, apply_limits, distinct, normal_limits, require_calibration
from .export import (
    ONNX_PACKAGES,
    OPSET,
    copy_structure,
    drop_idle_parts,
    quiet_optimizer,
    require_compression,
    require_packages,
    write_whole,
)
from .fusion import Fusion
from .torch_model import ADAPTERS, AdaptCLIPModel, AdapterName, require_options

logger = logging.getLogger(__name__)

CHECKPOINT_KEY = "adaptclip"
CLIP_PREFIX = "model.clip."
PRECISE_PREFIXES = ("model.adapters.", "post_processor.")


class AdaptCLIP(AnomalibModule):
    """AdaptCLIP: zero- and few-shot anomaly detection on images of things it was never trained on.

    Args:
        k_shot: Number K of normal images that serve as prompts; 0 is zero-shot.
        few_shot_source: Folder of normal images. The first K in file-name order are taken. Without it, K train images
            of the data module are drawn.
        class_name: What the images show, for the static texts.
        backbone: ``"ViT-L-14-336"``, ``"ViT-B-16-plus-240"``, ``"tiny"`` or another standard ViT of open_clip.
        pretrained: open_clip's tag of CLIP's weights, or a local file. The backbone's usual weights by default.
        adapters: ``"auto"`` takes the published ones that were not trained on the data under test, where there are
            any, and for `tiny` the shipped ones. ``"mvtec"``, ``"visa"``, ``"generated"``, ``"none"`` or a file.
        seed: Of the draw of prompts; the paper's are 10, 20 and 30.
        image_size: Height and width of the input in pixels, multiples of the patch. The backbone's usual by default.
        revision: Branch, tag or commit of the published adapters.
        adapter_names: Adapters in use, out of ``"visual"``, ``"textual"`` and ``"prompt_query"``.
        context: Let the prompt-query adapter see the query itself, not only the aligned residual.
        topk: Largest positions that its image head pools.
        fusion: ``"published"``, or ``"paper"`` for plain averages.
        prompt_precision: Of the prompts in memory, ``"float32"`` or ``"float16"``.
        prompt_budget: Patches of the prompts to keep at most, all images together; the most representative ones.
        prompt_bank: File of a :class:`PromptBank`: prompts of many categories, instead of ``k_shot``. Each image is
            compared with those of its category, which its batch names, its data set's column ``category``, or its
            folder; or ``category_of``, if that is set.
        unknown_category: Of images that the bank has no prompts for: ``"zero_shot"``, with a warning, or ``"error"``.
        calibration: ``"labels"``: anomalib sets thresholds by labelled validation data. ``"normal"``: the prompts alone
            set them, each judged by the others.
        false_positive_rate: Share of normal images that are to exceed the image threshold of ``"normal"``, and to show
            pixels that exceed the pixel threshold.
        results: Table that prediction writes, ``.csv`` or ``.parquet``: path, score, label and boxes of marked regions,
            row by row. Then prediction returns nothing, so that any number of images fits in memory.
        pre_processor: Pre-processor or flag to use the default: resize, bicubic, and CLIP's statistics.
        post_processor: Post-processor or flag to use the default.
        evaluator: Evaluator or flag to use the default.
        visualizer: Visualizer or flag to use the default.

    Attributes:
        prompt_bank: The bank, if there is one. Good images may be added while it serves:
            ``model.prompt_bank.add("bottle", model.read_images(files))``.
        category_of: A function that tells the category by an image's path. ``None`` by default.

    Raises:
        ValueError: If an argument is out of range, or a file does not fit.
        FileNotFoundError: If a file or folder does not exist.
        ConnectionError: If weights cannot be downloaded.

    Example:
        >>> from anomalib.data import MVTecAD
        >>> from anomalib.engine import Engine
        >>> model = AdaptCLIP(k_shot=1)  # doctest: +SKIP
        >>> Engine().test(model=model, datamodule=MVTecAD(category="hazelnut"))  # doctest: +SKIP
    """

    model: AdaptCLIPModel
    adapter_source: str
    adapter_sha256: str
    adapter_base: str
    post_processor: PostProcessor | None
    pre_processor: PreProcessor | None

    def __init__(
        self,
        k_shot: int = 0,
        few_shot_source: Path | str | None = None,
        class_name: str = "object",
        backbone: str = "ViT-L-14-336",
        pretrained: Path | str | None = None,
        adapters: str | Path = "auto",
        seed: int = 10,
        image_size: int | tuple[int, int] | None = None,
        revision: str | None = None,
        adapter_names: Sequence[AdapterName] = ADAPTERS,
        context: bool = True,
        topk: int = 10,
        fusion: Fusion = "published",
        prompt_precision: Precision = "float32",
        prompt_budget: int | None = None,
        prompt_bank: Path | str | None = None,
        unknown_category: UnknownCategory = "zero_shot",
        calibration: Calibration = "labels",
        false_positive_rate: float = 0.1,
        results: Path | str | None = None,
        pre_processor: nn.Module | bool = True,
        post_processor: nn.Module | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        require_options(adapter_names, fusion)
        require_memory(prompt_precision, prompt_budget, k_shot)
        require_bank(prompt_bank, unknown_category, k_shot)
        require_calibration(calibration, false_positive_rate, k_shot, prompt_bank, post_processor)
        results_callback = ResultsCallback(results)
        spec = get_backbone(backbone)
        size = require_image_size(image_size or spec.image_size, spec.patch_size)
        source_files = require_shots(k_shot, few_shot_source)
        super().__init__(
            pre_processor=self.configure_pre_processor(size) if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        if getattr(self.pre_processor, "transform", None):
            require_image_size(self.input_size or size, spec.patch_size)
        self._keep_antialias()
        self._results_callback = results_callback
        self._image_size = size
        self.k_shot = k_shot
        self.seed = seed
        self.revision = revision
        self.calibration = calibration
        self.false_positive_rate = false_positive_rate
        self._limits: dict[str, Any] = {}
        self._restored: dict[str, torch.Tensor] = {}
        self.prompt_files: list[str] = []
        self._source_files = source_files
        self._prompts_restored = False
        self._categories: dict[str, str] = {}
        clip, self.backbone, self.weights = load_clip(backbone, pretrained)
        self._fingerprint = fingerprint(clip)  # now, for a trainer may change the precision
        self._memory: dict[str, Any] = {"prompt_precision": prompt_precision, "prompt_budget": prompt_budget}
        self._options: dict[str, Any] = {"context": context, "topk": topk, "fusion": fusion, "class_name": class_name}
        self._configure_adapters(clip, str(adapters), adapter_names)
        self.category_of: Callable[[str], str] | None = None
        self.prompt_bank: PromptBank | None = None
        if prompt_bank is not None:
            self.prompt_bank = PromptBank.load(
                prompt_bank, self.model, self.backbone.name, unknown_category, self.input_size or size
            )

    def _configure_adapters(self, clip: Clip, source: str, names: Sequence[AdapterName]) -> None:
        """Build the model with the adapters that were asked for. Published ones wait until the data is known."""
        self.adapter_source, self.adapter_sha256, self.adapter_base = NONE, "", ""
        self.adapter_categories: list[str] = []
        self._automatic = source == AUTO
        if source == NONE or (self._automatic and not self.backbone.adapters):
            names = ()
        elif not self._automatic:
            file = read_adapter_file(locate_adapters(source, self.backbone, self.revision))
            names = [name for name in names if name in file.adapters]
            self._options |= file.options  # the header's mode and context too: weights make sense with theirs only
        self._options["adapters"] = list(names)
        self.model = self._build(clip)
        if source not in {AUTO, NONE}:
            self._load_adapters(source, file)

    def _build(self, clip: Clip) -> AdaptCLIPModel:
        options = self._options | self._memory
        return AdaptCLIPModel(clip, self.backbone.layers, self.backbone.first_vv_block, **options).eval()

    def _load_adapters(self, source: str, file: AdapterFile) -> None:
        require_same_clip(file, self._fingerprint)
        self.model.load_adapters(file)
        published = PUBLISHED_ADAPTERS.get(source)
        self.adapter_source, self.adapter_sha256 = source, file.sha256
        self.adapter_base = published.base if published else file.metadata.get("base", "")
        self.adapter_categories = json.loads(file.metadata.get("base_categories", "[]"))
        logger.info("Adapters %s loaded from %s, SHA-256 %s.", source, file.path, file.sha256)

    def setup(self, stage: str) -> None:
        """Skip the validation that anomalib puts before a test where the data module has no validation split."""
        datamodule = _datamodule_of(self)
        self._limit_val_batches = self.trainer.limit_val_batches
        if stage == "validate" and isinstance(datamodule, AnomalibDataModule) and not hasattr(datamodule, "val_data"):
            self.trainer.limit_val_batches = 0

    def teardown(self, stage: str) -> None:
        """Undo what :meth:`setup` did."""
        del stage
        self.trainer.limit_val_batches = self._limit_val_batches

    def on_validation_start(self) -> None:
        """Prepare adapters, texts and prompts: the data module is set up, a checkpoint loaded, the device reached."""
        self.prepare()

    def on_test_start(self) -> None:
        """Prepare as for validation, and tell if thresholds are missing."""
        self.prepare()
        self.warn_if_uncalibrated()

    def on_predict_start(self) -> None:
        """Prepare as for validation, and tell if thresholds are missing."""
        self.prepare()
        self.warn_if_uncalibrated()

    def prepare(self) -> None:
        """Get what depends on the data: automatic adapters, text pairs and prompts.

        The Engine's stages and :meth:`forward` call it. What a checkpoint brought along is kept.

        Raises:
            ValueError: If there are fewer normal images than shots, or none to draw from.
            ConnectionError: If adapters cannot be downloaded.
        """
        datamodule = _datamodule_of(self)
        self._keep_float32()
        if self._automatic:
            self._take_adapters(choose_adapters(self.backbone, datamodule))
        warn_of_leakage(self.adapter_source, self.adapter_base, datamodule, self.adapter_categories)
        self.model.encode_texts()
        if self.prompt_bank:
            self.prompt_bank.to(self.device)
            self._categories = categories_by_path(datamodule)
        if self.k_shot and not self._prompts_restored:
            files = self._choose_prompts(datamodule)
            if files != self.prompt_files:
                self._remember(files)
        if self.calibration == "normal":
            self._calibrate()

    def _keep_float32(self) -> None:
        """Bring adapters and thresholds back where a trainer put all in 16 bits: small as they are, digits matter."""
        precise: list[nn.Module] = [self.model.adapters]
        if isinstance(self.post_processor, nn.Module):
            precise.append(self.post_processor)
        if any(tensor.dtype != torch.float32 for module in precise for tensor in module.state_dict().values()):
            for module in precise:
                module.float()
            self.load_state_dict(self._restored, strict=False)

    def _take_adapters(self, choice: str) -> None:
        if choice == NONE:
            self._automatic = False  # for this backbone it stays so: one warning is enough
            warn_of_absence(self.backbone)
        elif choice != self.adapter_source:
            self._load_adapters(choice, read_adapter_file(locate_adapters(choice, self.backbone, self.revision)))

    def _choose_prompts(self, datamodule: LightningDataModule | None) -> list[str]:
        if self._source_files:
            return self._source_files
        if not isinstance(datamodule, AnomalibDataModule) or not hasattr(datamodule, "train_data"):
            if self.prompt_files:
                return self.prompt_files  # of the data module seen before
            msg = (
                f"k_shot={self.k_shot} needs normal images, and there is no anomalib data module to draw them from. "
                "Give few_shot_source=FOLDER, a data module, or a checkpoint that holds prompts."
            )
            raise ValueError(msg)
        return prompts_from_datamodule(datamodule, self.k_shot, self.seed)

    def _remember(self, files: list[str]) -> None:
        self.model.set_prompts(self.read_images(files))
        self.prompt_files = files
        logger.info("Few-shot prompts (%d): %s", len(files), ", ".join(files))

    def _calibrate(self) -> None:
        """Set the thresholds by the prompts, unless they are known from before."""
        if self._is_calibrated():
            return
        logger.info("Calibrating on the good images.")
        images = distinct(read_image(file) for file in dict.fromkeys(self.prompt_files))
        limits = normal_limits(self.model, images, self._preprocess, self.false_positive_rate)
        self._limits = {**self._limits_for(), "limits": list(limits)}
        self._apply_limits()
        logger.info(
            "Calibrated on %d normal images for %g false positives: thresholds %.4f (image) and %.4f (pixels).",
            len(images),
            self.false_positive_rate,
            *limits,
        )

    def _limits_for(self) -> dict[str, Any]:
        """What limits of normal images depend on."""
        return {"files": self.prompt_files, "rate": self.false_positive_rate}

    def _is_calibrated(self) -> bool:
        return self._limits_for().items() <= self._limits.items()

    def _apply_limits(self) -> None:
        if self._limits and isinstance(self.post_processor, PostProcessor):
            apply_limits(self.post_processor, Limits(*self._limits["limits"]))

    def on_validation_epoch_end(self) -> None:
        """Keep the thresholds of normal images where anomalib has just found others by labels."""
        if self.calibration == "normal":
            self._apply_limits()

    def read_images(self, files: Sequence[str | Path]) -> torch.Tensor:
        """Read and pre-process images, for prompts.

        Args:
            files: K image files.

        Returns:
            ``(K, 3, H, W)``, where the model is.

        Raises:
            ValueError: If one cannot be read.
        """
        return torch.cat([self._load_image(file) for file in files])

    def _load_image(self, path: str | Path) -> torch.Tensor:
        """Read and pre-process an image: ``(1, 3, H, W)``."""
        return self._preprocess(read_image(path).unsqueeze(0))

    def _preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Pre-process images ``(B, 3, H, W)`` in [0, 1]."""
        transform = getattr(self.pre_processor, "transform", None)
        return (images if transform is None else torch.as_tensor(transform(images))).to(self.device)

    def warn_if_uncalibrated(self) -> None:
        """Tell if thresholds are missing."""
        if isinstance(self.post_processor, PostProcessor) and self.post_processor.image_threshold.isnan():
            logger.warning(
                "Nothing was calibrated, for want of validation data: scores and maps are raw, in [0, 1], and the "
                "threshold is 0.5. Validate on a data module, or predict from such a checkpoint, to calibrate."
            )

    def predict_step(self, batch: Batch[Any], batch_idx: int, dataloader_idx: int = 0) -> STEP_OUTPUT:
        """Predict a batch whose images the pre-processor has seen."""
        self._reread_sixteen_bit(batch)
        if self.prompt_bank is None:
            return super().predict_step(batch, batch_idx, dataloader_idx)
        categories = categories_of(batch, self.prompt_bank.names, self._categories, self.category_of)
        output = self.prompt_bank.predict(torch.as_tensor(batch.image), categories)
        updated: STEP_OUTPUT = batch.update(**output._asdict())
        return updated

    def test_step(self, batch: Batch[Any], batch_idx: int, *args: Any, **kwargs: Any) -> STEP_OUTPUT:  # noqa: ANN401
        """Predict a batch, for metrics."""
        del args, kwargs
        return self.predict_step(batch, batch_idx)

    def validation_step(self, batch: Batch[Any], batch_idx: int, *args: Any, **kwargs: Any) -> STEP_OUTPUT:  # noqa: ANN401
        """Predict a batch, for thresholds and normalization."""
        del args, kwargs
        return self.predict_step(batch, batch_idx)

    def _reread_sixteen_bit(self, batch: Batch[Any]) -> None:
        """Replace images of 16 bits, which anomalib's readers clip to white."""
        images = torch.as_tensor(batch.image)
        for index, path in enumerate(getattr(batch, "image_path", None) or []):
            if is_sixteen_bit(path):
                images[index] = self._load_image(path)[0].to(images)

    def forward(self, batch: torch.Tensor, *args: Any, **kwargs: Any) -> InferenceBatch:  # noqa: ANN401
        """Pre-process, detect, post-process: for use without the Engine.

        Args:
            batch: Images ``(B, 3, H, W)`` in [0, 1].
            *args: Not used.
            **kwargs: Not used.

        Returns:
            Scores, maps, labels and masks.

        Raises:
            ValueError: If there is a prompt bank: images alone do not tell their categories.
        """
        self._require_one_category()
        if not self._is_prepared():
            self.prepare()
        return super().forward(batch, *args, **kwargs)

    def _require_one_category(self) -> None:
        if self.prompt_bank is not None:
            msg = (
                "With a prompt bank each image needs its category, and images alone do not tell it. Predict with the "
                "Engine, or call model.prompt_bank.predict(images, categories) on pre-processed images. To export, "
                "give the prompts of one category by k_shot and few_shot_source instead."
            )
            raise ValueError(msg)

    def _is_prepared(self) -> bool:
        has_prompts = self.model.prompt_memory.k_shot > 0 or self.k_shot == 0
        is_calibrated = self.calibration == "labels" or self._is_calibrated()
        return has_prompts and is_calibrated and (self.adapter_source != NONE or not self._options["adapters"])

    def to_torch(self, export_root: Path | str, model_file_name: str = "model") -> Path:
        """Export to a file for anomalib's ``TorchInferencer``.

        Args:
            export_root: Folder for the export.
            model_file_name: Name of the file, without ending.

        Returns:
            ``weights/torch/<name>.pt`` below the folder.

        Raises:
            ValueError: If there is a prompt bank.
        """
        model = self._for_export()
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
            ValueError: If there is a prompt bank.
        """
        require_packages(ONNX_PACKAGES, "ONNX")
        model, options = self._for_export(), {"opset_version": OPSET, **kwargs}
        if input_size is None and self.pre_processor is None:
            input_size = self._image_size
        with quiet_optimizer():
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
            compression_type: Of the weights, float32 by default.
            datamodule: Images to calibrate with, where the compression does.
            **kwargs: As anomalib's ``to_openvino``.

        Returns:
            ``weights/openvino/<name>.xml`` below the folder, with its ``.bin`` beside it.

        Raises:
            ModuleNotFoundError: If a package is missing.
            ValueError: If the compression is unknown or lacks its data, or there is a prompt bank.
        """
        require_compression(compression_type, has_data=datamodule is not None)
        model = self._for_export()
        return write_whole(
            export_root,
            lambda draft: ExportMixin.to_openvino(
                model, draft, model_file_name, input_size, compression_type, datamodule, **kwargs
            ),
        )

    def _for_export(self) -> "AdaptCLIP":
        """A copy that predicts, and does nothing else. It shares its tensors with this model."""
        self._require_one_category()
        if isinstance(self.model.clip, nn.ModuleDict):
            return self  # it is such a copy
        if not self._is_prepared():
            self.prepare()
        self.model.encode_texts()
        self.warn_if_uncalibrated()
        model = copy_structure(self).eval()
        drop_idle_parts(model.model)
        model.evaluator = model.visualizer = None
        return model

    def val_dataloader(self) -> list[Any]:
        """No data. anomalib validates zero-shot models before prediction, and that must not fail without data."""
        return empty_dataloader()

    def configure_callbacks(self) -> list[Callback]:
        """Pre-processor, post-processor and so on; then what writes results."""
        return [*cast("list[Callback]", super().configure_callbacks()), self._results_callback]

    def configure_optimizers(self) -> None:
        """Nothing is optimized."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save adapters, prompts, texts and thresholds, and where they came from. CLIP stays out."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["state_dict"] = {
            key: tensor for key, tensor in checkpoint["state_dict"].items() if not key.startswith(CLIP_PREFIX)
        }
        # What the first two brought is in the checkpoint: it must load where their files are missing.
        checkpoint["hyper_parameters"] |= {"few_shot_source": None, "adapters": NONE, "results": None}
        if bank := checkpoint["hyper_parameters"].get("prompt_bank"):
            checkpoint["hyper_parameters"]["prompt_bank"] = str(bank)  # a file of its own, and no path object
        checkpoint[CHECKPOINT_KEY] = {
            "version": __version__,
            **self._clip_record(),
            "adapters": {
                "source": self.adapter_source,
                "sha256": self.adapter_sha256,
                "base": self.adapter_base,
                "categories": list(self.adapter_categories),
            },
            "options": dict(self._options),
            "prompt_files": list(self.prompt_files),
            "normal_limits": dict(self._limits) if self.calibration == "normal" else {},  # labels may have set others
            "prompt_bank": str(bank or ""),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what :meth:`on_save_checkpoint` saved, prompts before those of the constructor.

        Raises:
            ValueError: If the checkpoint is no AdaptCLIP's, or belongs to another backbone or other weights.
        """
        super().on_load_checkpoint(checkpoint)
        self._keep_antialias()
        record = require_record(checkpoint)
        self._require_same_clip(record)
        if record["options"] != self._options:
            self._options = dict(record["options"])
            self.model = self._build(self.model.clip)
            if self.prompt_bank:
                self.prompt_bank.model = self.model
        self._warn_of_other_prompts(record)
        adapters = record["adapters"]
        self.adapter_source, self.adapter_sha256 = adapters["source"], adapters["sha256"]
        self.adapter_base, self.adapter_categories = adapters["base"], adapters["categories"]
        self._automatic = False
        self.prompt_files = list(record["prompt_files"])
        self._prompts_restored = bool(self.prompt_files)
        self._limits = dict(record.get("normal_limits", {}))
        if self.prompt_files:
            logger.info("Few-shot prompts out of the checkpoint: %s", ", ".join(self.prompt_files))
            if self._source_files and self._source_files != self.prompt_files:
                logger.warning("few_shot_source is not used: the checkpoint has prompts. To change them, train anew.")
        self._restored = {
            key: tensor for key, tensor in checkpoint["state_dict"].items() if key.startswith(PRECISE_PREFIXES)
        }
        own = self.state_dict()
        checkpoint["state_dict"] |= {key: tensor for key, tensor in own.items() if key.startswith(CLIP_PREFIX)}

    def _warn_of_other_prompts(self, record: dict[str, Any]) -> None:
        """Tell if a checkpoint's thresholds belong to scores of another kind than this model's."""
        bank, files = record.get("prompt_bank"), record["prompt_files"]
        had, has = _kind_of_prompts(bank, files), _kind_of_prompts(self.prompt_bank, self.k_shot or files)
        if had != has and self.calibration == "labels":
            logger.warning(
                "The checkpoint was made with %s, and the model has %s: the checkpoint's thresholds do not fit its "
                "scores. Give the model what the checkpoint had, or validate it anew.",
                f"{had}, {bank}" if bank else had,
                has,
            )

    def _keep_antialias(self) -> None:
        """Let images that come without the Engine be resized as in it."""
        if isinstance(self.pre_processor, PreProcessor):
            self.pre_processor.export_transform = exportable(self.pre_processor.transform)

    def _clip_record(self) -> dict[str, str]:
        """What tells a CLIP from others."""
        return {"backbone": self.backbone.name, "weights": self.weights, "fingerprint": self._fingerprint}

    def _require_same_clip(self, record: dict[str, Any]) -> None:
        if record["backbone"] == self.backbone.name and record["fingerprint"] == self._fingerprint:
            return
        msg = (
            f"The checkpoint was made with the backbone {record['backbone']} and weights {record['weights']}, the "
            f"model has {self.backbone.name} and {self.weights}, and their tokens are not alike. Build the model with "
            f"backbone={record['backbone']!r} and those weights."
        )
        raise ValueError(msg)

    @property
    def learning_type(self) -> LearningType:
        """Few-shot with prompts, zero-shot without: nothing is trained."""
        return LearningType.FEW_SHOT if self.k_shot or self.prompt_bank else LearningType.ZERO_SHOT

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """No arguments of its own."""
        return {}

    @classmethod
    def configure_pre_processor(cls, image_size: tuple[int, int] | None = None) -> PreProcessor:
        """Squash to the input size, bicubic with antialias, and normalise with CLIP's statistics.

        Args:
            image_size: Height and width in pixels, 518 each by default.

        Returns:
            The pre-processor. Checkpoints restore it.
        """
        resize = Resize(image_size or (518, 518), interpolation=InterpolationMode.BICUBIC, antialias=True)
        return PreProcessor(transform=Compose([resize, Normalize(mean=list(CLIP_MEAN), std=list(CLIP_STD))]))

    def configure_post_processor(self) -> PostProcessor:
        """anomalib's, which normalises and thresholds after a validation run."""
        return PostProcessor()

    @staticmethod
    def configure_evaluator() -> Evaluator:
        """AUROC, AUPR and F1Max of images and pixels, and AUPRO."""
        image: dict[str, Any] = {"fields": ["pred_score", "gt_label"], "prefix": "image_"}
        pixel: dict[str, Any] = {"fields": ["anomaly_map", "gt_mask"], "prefix": "pixel_", "strict": False}
        return Evaluator(
            test_metrics=[
                *(metric(**image) for metric in (AUROC, AUPR, F1Max)),
                *(metric(**pixel) for metric in (AUROC, AUPR, F1Max, AUPRO)),
            ]
        )


def require_record(checkpoint: Any) -> dict[str, Any]:  # noqa: ANN401
    """What :meth:`AdaptCLIP.on_save_checkpoint` recorded.

    Raises:
        ValueError: If the checkpoint is no AdaptCLIP's.
    """
    record: dict[str, Any] | None = checkpoint.get(CHECKPOINT_KEY) if isinstance(checkpoint, dict) else None
    if record is None:
        msg = (
            "This is no checkpoint of AdaptCLIP: it lacks the record of backbone and adapters. Give one that "
            "`anomalib train --model AdaptCLIP` wrote, weights/lightning/model.ckpt."
        )
        raise ValueError(msg)
    return record


def _kind_of_prompts(bank: object | None, prompts: object) -> str:
    return "a prompt bank" if bank else "prompts" if prompts else "no prompts"


def _datamodule_of(model: AnomalibModule) -> LightningDataModule | None:
    return getattr(model._trainer, "datamodule", None)  # noqa: SLF001  # `trainer` raises where there is none
