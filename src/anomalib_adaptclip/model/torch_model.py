# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIP as a plain PyTorch module: frozen CLIP, adapters, prompts in memory.

Letters: B batch, K normal prompt images (shots), S layers, L patches, D joint embedding width, H and W pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from anomalib.data import InferenceBatch
from anomalib.models.components import DynamicBufferMixin
from torch import nn

from anomalib_adaptclip.adapters import ADAPTERS, AdapterName, AdapterOutput, Alignment, Mode
from anomalib_adaptclip.adapters.adapter_file import AdapterFile, load_adapter_file, read_adapter_file
from anomalib_adaptclip.adapters.run_adapters import run_adapters
from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.clip import (
    Clip,
    ImageTokens,
    TextTower,
    encode_image,
    join_tokens,
    require_blocks,
    require_context_length,
    require_image_size,
    require_standard_clip,
    require_whole_patches,
    static_text_pair,
)
from anomalib_adaptclip.files.region_of_interest import RegionOfInterest
from anomalib_adaptclip.prompts.bank import PromptBank
from anomalib_adaptclip.prompts.memory import Precision, PromptMemory
from anomalib_adaptclip.results.explanation import Explanation

from .explanation import explain, maps_by_adapter
from .finite import finite_tokens
from .fusion import Fusion
from .model_options import ModelOptions, require_window
from .prediction import predict_images, predict_images_each
from .tiling import TILE_OVERLAP, TileLayout, Tiling

Size = tuple[int, int]

NO_ADAPTERS = (
    "The adapters are not loaded yet: adapters='auto' waits for the data under test, and random ones must not judge. "
    "Call prepare() of the model, use it in an Engine, or name adapters, such as adapters='mvtec' or a file."
)


class AdaptCLIPModel(DynamicBufferMixin, nn.Module):
    """Detect and segment anomalies with a frozen CLIP and three small adapters.

    Zero-shot until :meth:`set_prompts` has been given normal images, few-shot from then on. The rows of the paper's
    Table 5 are subsets of ``adapters``, with ``context=False`` for its line 5; without any, plain CLIP with the static
    texts stands in (line 0).

    Args:
        clip: Any open_clip CLIP with a standard ViT image tower. It is frozen, and stays in eval mode.
        layers: CLIP's layers (blocks) whose tokens are used, counted from 1, ascending.
        first_vv_block: First block with a V-V stream, counted from 1.
        prompt_length: Context vectors of each learned text prompt.
        reduction: Bottleneck of the visual adapter's residual MLPs.
        hidden_dim: Features in the heads of the prompt-query adapter.
        context: Let the prompt-query adapter see the query itself, not only the aligned residual.
        topk: Largest positions that its image head pools; the paper's eq. 8 has 1.
        fusion: ``"published"``, ``"paper"`` for plain averages, or ``"log_odds"``, see :func:`.fuse`.
        adapters: Which adapters to build. They are untrained until :meth:`load_adapters`.
        class_name: What the images show, for the static texts. The published adapters were trained with ``"object"``.
        mode: ``"alternating"``: the visual adapter sees the static texts, the textual one tokens as CLIP has them.
            ``"joint"`` (line 3): both see adapted tokens and learned texts. To be used as it was trained.
        prompt_precision: Precision of the tokens of normal images in memory, ``"float32"`` or ``"float16"``.
        prompt_budget: Patches of normal images to keep at most, all images together; the most representative ones.
        tile_size: Height and width in pixels of overlapping tiles that images, prompts too, are cut into; multiples of
            the patch. Images go through CLIP as a whole by default.
        tile_overlap: Share of a tile, at least, that it has in common with the next one.
        match_window: Rows and columns of patches that a patch and its nearest normal one may lie apart at most, for
            parts that always lie at the same place. Everything is compared with everything by default.
        roi: Region of interest, see :func:`.read_region`: nothing outside has a say, and maps are 0 there.

    Attributes:
        awaits_adapters: Whether weights are still to come, so that nothing must be predicted by what is there.

    Raises:
        TypeError: If ``clip`` is no CLIP with standard towers.
        ValueError: If an argument is out of range; the message says what is possible.

    Example:
        >>> clip = open_clip.create_model("ViT-L-14-336", pretrained="openai")  # doctest: +SKIP
        >>> model = AdaptCLIPModel(clip, layers=(6, 12, 18, 24), first_vv_block=6).eval()  # doctest: +SKIP
        >>> model.load_adapters("epoch_15.pth")  # doctest: +SKIP
        >>> model.set_prompts(good_images)  # doctest: +SKIP
        >>> model(images).anomaly_map.shape  # doctest: +SKIP
        torch.Size([8, 1, 518, 518])
    """

    clip: Clip
    prompt_memory: PromptMemory
    region: torch.Tensor | None
    static_pair: torch.Tensor
    learned_pair: torch.Tensor

    def __init__(
        self,
        clip: Clip,
        layers: Sequence[int],
        first_vv_block: int,
        prompt_length: int = 12,
        reduction: int = 4,
        hidden_dim: int = 128,
        context: bool = True,
        topk: int = 10,
        fusion: Fusion = "published",
        adapters: Sequence[AdapterName] = ADAPTERS,
        class_name: str = "object",
        mode: Mode = "alternating",
        prompt_precision: Precision = "float32",
        prompt_budget: int | None = None,
        tile_size: Size | None = None,
        tile_overlap: float = TILE_OVERLAP,
        match_window: int | None = None,
        roi: RegionOfInterest | None = None,
    ) -> None:
        super().__init__()
        require_types(AdaptCLIPModel.__init__, locals())
        require_standard_clip(clip)
        require_blocks(len(clip.visual.transformer.resblocks), layers, first_vv_block)
        self.options = ModelOptions(
            *(tuple(adapters), context, topk, mode, prompt_length, reduction, hidden_dim, class_name, fusion),
            *(tile_size, tile_overlap, match_window, roi),
        )
        if tile_size is not None:
            require_image_size(tile_size, clip.visual.conv1.kernel_size[0])
        require_context_length(getattr(clip, "text", clip), prompt_length)
        self.clip = clip.requires_grad_(False).eval()
        self.layers, self.first_vv_block = tuple(layers), first_vv_block
        self.tile_size, self.tile_overlap = tile_size, tile_overlap
        width, text_width = clip.visual.proj.shape[1], self.text_tower.token_embedding.embedding_dim
        self.adapters = self.options.build(width, text_width, len(self.layers))
        self.awaits_adapters = False
        self.prompt_memory = PromptMemory(prompt_precision, prompt_budget)
        # The text pairs depend on no image. They are computed when first needed and kept, in checkpoints too.
        self.register_buffer("region", roi.mask if roi else None, persistent=False)
        self.register_buffer("static_pair", torch.empty(0, width))
        self.register_buffer("learned_pair", torch.empty(0, width))

    @property
    def text_tower(self) -> TextTower:
        """CLIP's text tower: a module of its own, or the CLIP itself."""
        return getattr(self.clip, "text", self.clip)

    @property
    def patch_size(self) -> tuple[int, int]:
        """Height and width of a patch in pixels."""
        height, width = self.clip.visual.conv1.kernel_size
        return height, width

    def train(self, mode: bool = True) -> "AdaptCLIPModel":
        """Set the mode of the adapters. CLIP stays in eval mode."""
        super().train(mode)
        self.clip.eval()
        return self

    def load_adapters(self, source: str | Path | AdapterFile) -> AdapterFile:
        """Load adapter weights from the published layout or from our safetensors.

        Args:
            source: File to load, or one that was read already. Adapters in it that this model lacks are passed over.

        Returns:
            What was read, with its SHA-256.

        Raises:
            FileNotFoundError, ValueError: If the file is missing, damaged, or does not fit; all keys are listed.
        """
        file = source if isinstance(source, AdapterFile) else read_adapter_file(source)
        load_adapter_file(file, self.adapters)
        self._forget_learned_pair()
        self.awaits_adapters = False
        return file

    def set_prompts(self, images: torch.Tensor) -> None:
        """Remember normal images, in place of any before.

        Args:
            images: Preprocessed images ``(K, 3, H, W)``, K at least 1; else a ValueError is raised.
        """
        self.prompt_memory.store(self.prompt_memory.pack(self.encode_prompts(images)))

    @torch.inference_mode(mode=False)  # what is kept must not be an inference tensor
    @torch.no_grad()
    def encode_prompts(self, images: torch.Tensor, region: torch.Tensor | None = None) -> ImageTokens:
        """Tokens of normal images at all layers, a few images at a time, so that many fit in memory.

        Args:
            images: Preprocessed images ``(K, 3, H, W)``, K at least 1.
            region: As of :meth:`layout`.

        Returns:
            Tokens of CLIP's own precision, also under autocast: what is kept serves other precisions too. Of images in
            T tiles there are K * T.

        Raises:
            ValueError: If the shape is another.
        """
        require_types(self.encode_prompts, locals())
        if images.ndim != 4 or len(images) == 0:
            msg = f"Prompts must be a batch of at least one image (K, 3, H, W); got shape {tuple(images.shape)}."
            raise ValueError(msg)
        layout = self.layout((images.shape[-2], images.shape[-1]), region)
        batches = (layout.cut(part, range(layout.tiles)) for part in torch.split(images, max(8 // layout.tiles, 1)))
        chunks = (chunk for batch in batches for chunk in torch.split(batch, 8))
        with torch.autocast(images.device.type, enabled=False):
            tokens = finite_tokens(join_tokens([self.encode(chunk, self.layers) for chunk in chunks]))
        region = layout.inside.pixels if layout.inside else None
        return tokens._replace(tiles=layout.tiles, region=region, kept=layout.judged())

    def clear_prompts(self) -> None:
        """Forget the normal images: zero-shot again."""
        self.prompt_memory.clear()

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def encode_texts(self) -> None:
        """Compute the text pairs that are not there yet. :meth:`detect` does so when it has to."""
        if len(self.static_pair) > 0 and (len(self.learned_pair) > 0 or "textual" not in self.adapters):
            return  # before any context manager, so that exporters see none
        with torch.autocast(self.static_pair.device.type, enabled=False):
            if len(self.static_pair) == 0:
                self.static_pair = static_text_pair(self.text_tower, self.options.class_name)
            if len(self.learned_pair) == 0 and "textual" in self.adapters:
                self.learned_pair = self.adapters["textual"](self.text_tower)

    def forward(self, images: torch.Tensor) -> InferenceBatch:
        """Score and segment a batch, few-shot if there are prompts in memory.

        Args:
            images: Preprocessed images ``(B, 3, H, W)``, H and W multiples of the patch.

        Returns:
            ``pred_score`` ``(B,)`` and ``anomaly_map`` ``(B, 1, H, W)``, both in [0, 1], 1 being abnormal. They are
            float32, also where CLIP is not.

        Raises:
            ValueError: If the shape is another.
        """
        return self.detect(images)

    @torch.no_grad()
    def detect(
        self, images: torch.Tensor, categories: Sequence[str] | None = None, bank: PromptBank | None = None
    ) -> InferenceBatch:
        """Score and segment a batch: the one way from images to predictions, which :meth:`forward` takes too.

        Args:
            images: Preprocessed images ``(B, 3, H, W)``, H and W multiples of the patch. B may be 0 with a bank.
            categories: What each image shows, B names; only with a bank.
            bank: Prompts of many categories, in place of those in memory. Each image is compared with its own.

        Raises:
            ValueError: If a shape is another, categories and bank do not go together, or something was said of how to
                keep prompts and there are none.
        """
        require_whole_patches(images, self.patch_size)
        size = (images.shape[-2], images.shape[-1])
        if bank is None:
            if categories is not None:
                msg = f"Got the categories {list(categories)} and no prompt bank that knows them. Leave them out."
                raise ValueError(msg)
            return predict_images(self, images, self.own_prompts())
        if categories is None or len(categories) != len(images):
            msg = f"Each image needs its category: got {len(images)} images and {len(categories or ())} names."
            raise ValueError(msg)
        if self.tile_size is None:
            bank.require_size(images)
        if len(images) == 0:
            none = torch.empty(0, device=images.device)
            return InferenceBatch(pred_score=none, anomaly_map=none.reshape(0, 1, *size))
        return predict_images_each(self, images, bank.prompts_of(categories), bank.regions_of(categories))

    def own_prompts(self) -> torch.Tensor | None:
        """The prompts in memory, packed ``(S, K, L, D)``; None for zero-shot.

        Raises:
            ValueError: If there are none, and something was said of how to keep or to match them.
        """
        if self.prompt_memory.k_shot:
            return self.prompt_memory.tokens
        self.prompt_memory.require_no_options()
        require_window(self.options.match_window, 0, None, None)
        return None

    @torch.no_grad()
    def maps_by_adapter(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Maps ``(B, 1, H, W)`` of preprocessed images ``(B, 3, H, W)``, in [0, 1].

        By the names of the adapters, or ``"plain"`` without any; with prompts ``"alignment"``, if the fusion uses it;
        and ``"fused"``, which is smoothed, the map of :meth:`forward`.
        """
        return maps_by_adapter(self, images)

    def explain(self, images: torch.Tensor, threshold: float | None = None) -> list[Explanation]:
        """Why preprocessed images ``(B, 3, H, W)`` score as they do; regions exceed a raw ``threshold`` if given."""
        count = len(images)
        return explain(self, images, [self.own_prompts()] * count, [threshold] * count, [None] * count)

    def layers_for(self, prompts: torch.Tensor | None) -> tuple[int, ...]:
        """CLIP's layers whose tokens are needed: the last alone for zero-shot."""
        return self.layers[-1:] if prompts is None else self.layers

    def layout(self, size: Size, region: torch.Tensor | None = None) -> TileLayout:
        """Where the tiles of images of H x W pixels lie, whole images being one, as :meth:`.Tiling.layout`.

        ``region`` is the model's own by default.
        """
        tiling = Tiling(self.tile_size, self.tile_overlap, self.patch_size)
        return tiling.layout(size, self.region if region is None else region)

    def encode(self, images: torch.Tensor, layers: Sequence[int]) -> ImageTokens:
        """Tokens of preprocessed images ``(B, 3, H, W)``, or of tiles, at some of the layers, ascending."""
        require_whole_patches(images, self.patch_size)
        return encode_image(self.clip.visual, images.to(self.clip.visual.proj.dtype), layers, self.first_vv_block)

    def adapter_outputs(
        self, tokens: ImageTokens, alignments: Sequence[Alignment] = (), judged: torch.Tensor | None = None
    ) -> dict[str, list[AdapterOutput]]:
        """What the adapters make of a batch.

        Args:
            tokens: Tokens of the queries.
            alignments: Alignments of the queries with their prompts, one for each layer. None for zero-shot.
            judged: Which patches count ``(B, L)``, all by default.

        Returns:
            Outputs by adapter, see :func:`~anomalib_adaptclip.adapters.run_adapters.run_adapters`.
        """
        if self.awaits_adapters and self.adapters:
            raise ValueError(NO_ADAPTERS)
        learned_pair = self.learned_pair
        if "textual" in self.adapters and self.training:
            learned_pair = self.adapters["textual"](self.text_tower)  # it carries a gradient
            self._forget_learned_pair()  # each step moves it
        joint, pair = self.options.mode == "joint", self.static_pair
        return run_adapters(self.adapters, tokens, alignments, pair, learned_pair, joint=joint, judged=judged)

    def _forget_learned_pair(self) -> None:
        self.learned_pair = self.learned_pair.new_empty(0, self.learned_pair.shape[1])
