# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What adapters and alignment find in a batch, before it is fused; of images in tiles a few tiles at a time.

Letters: B images, T tiles of each (one where images are whole), S layers, K normal prompt images, L patches of a tile,
D joint embedding width, H and W pixels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from anomalib_adaptclip.adapters import AdapterOutput, Window
from anomalib_adaptclip.adapters.run_adapters import plain_clip_output
from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.prompts.memory import align_layers

from .fusion import Prediction, alignment_map, average_layers
from .precision import without_autocast
from .tiling import TileLayout

if TYPE_CHECKING:
    from .torch_model import AdaptCLIPModel

Size = tuple[int, int]
TILES = 8  # at a time


class Match(NamedTuple):
    """Query patches and the nearest prompt patches, of one layer, without the tokens.

    Attributes:
        nearest: Indices ``(B * T, L)`` of prompt patches.
        score: How unlike they are, ``(B * T, L)``, see :class:`.Alignment`.
    """

    nearest: torch.Tensor
    score: torch.Tensor


class Evidence(NamedTuple):
    """What was found in a batch.

    Attributes:
        outputs: Outputs of each adapter by its name, ``"plain"`` where there is none; of tiles put together.
        matches: One for each layer, none without prompts.
        layout: Where the tiles lie.
    """

    outputs: Mapping[str, Sequence[AdapterOutput]]
    matches: Sequence[Match]
    layout: TileLayout

    def predictions(self, size: Size) -> dict[str, Prediction]:
        """Scores and maps of H x W pixels of each adapter."""
        inside = self.layout.inside
        return {name: average_layers(layers, size, inside) for name, layers in self.outputs.items()}

    def alignment_map(self, size: Size) -> torch.Tensor | None:
        """Alignment scores of all layers, fused by their harmonic mean: ``(B, 1, H, W)``; None without prompts."""
        if not self.matches:
            return None
        tiles = (match.score.view(-1, 1, *self.layout.tile_grid) for match in self.matches)
        return alignment_map([self.layout.stitch(scores) for scores in tiles], size, self.layout.inside)


def gather_images(
    model: "AdaptCLIPModel", images: torch.Tensor, prompts: torch.Tensor | None, region: torch.Tensor | None = None
) -> Evidence:
    """What is found in preprocessed images ``(B, 3, H, W)``, of which several have one tile each; as :func:`gather`."""
    layout, layers = model.layout((images.shape[-2], images.shape[-1]), region), model.layers_for(prompts)
    # An exported graph may leave the number of images open, and takes their tiles at once.
    step = layout.tiles if torch.compiler.is_compiling() else TILES
    tiles = (range(start, min(start + step, layout.tiles)) for start in range(0, layout.tiles, step))
    return gather(model, (model.encode(layout.cut(images, part), layers) for part in tiles), prompts, layout)


def gather(
    model: "AdaptCLIPModel", parts: Iterable[ImageTokens], prompts: torch.Tensor | None, layout: TileLayout
) -> Evidence:
    """Run adapters and alignment.

    Args:
        model: The model.
        parts: Tokens of the batch, part by part; each is needed only until the next.
        prompts: Packed prompts ``(S, K, T * L, D)``, None for zero-shot.
        layout: Where the tiles lie.
    """
    device = model.static_pair.device
    prompts = None if prompts is None else prompts.to(device)
    window, judged = window_of(model, prompts, layout), layout.judged()
    outputs: list[dict[str, list[AdapterOutput]]] = []
    matches: list[list[Match]] = []
    first = 0
    for tokens in parts:
        tiles = (first + torch.arange(tokens.global_token.shape[0], device=device)) % layout.tiles
        first += tokens.global_token.shape[0]
        own = window and window._replace(query=window.query[tiles])
        alignments = [] if prompts is None else align_layers(tokens.layers, prompts, own)
        found = model.adapter_outputs(tokens, alignments, None if judged is None else judged[tiles])
        outputs.append(found or {"plain": [plain_clip_output(tokens, model.static_pair)]})
        matches.append([Match(alignment.nearest, alignment.score) for alignment in alignments])
    with without_autocast(device.type):
        joined = {
            name: [_joined([part[name][layer] for part in outputs], layout, judged) for layer in range(len(layers))]
            for name, layers in outputs[0].items()
        }
    merged = [Match(*(_cat(values) for values in zip(*layer, strict=True))) for layer in zip(*matches, strict=True)]
    return Evidence(joined, merged, layout)


def split_tiles(tokens: ImageTokens) -> Iterator[ImageTokens]:
    """Tokens of images, those in tiles a few tiles at a time."""
    size = TILES if tokens.tiles > 1 else len(tokens.global_token)
    for part in zip(*(torch.split(values, size) for values in (tokens.global_token, *tokens.layers)), strict=True):
        yield ImageTokens(part[0], part[1:], tokens.grid)


def window_of(model: "AdaptCLIPModel", prompts: torch.Tensor | None, layout: TileLayout) -> Window | None:
    """Where patches of all tiles ``(T, L)`` are matched; None for everywhere.

    Raises:
        ValueError: If prompts are of another size, so that places cannot be compared.
    """
    reach = model.options.match_window
    if reach is None or prompts is None:
        return None
    places = layout.prompt_places(prompts.device)
    if len(places) != prompts.shape[2]:
        msg = (
            f"match_window compares places, and the images have {len(places)} patches, the normal ones "
            f"{prompts.shape[2]}. Give images of one size, or leave match_window out."
        )
        raise ValueError(msg)
    return Window(layout.patches(prompts.device), places.repeat(prompts.shape[1], 1), reach)


def _cat(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return values[0] if len(values) == 1 else torch.cat(tuple(values))


def _joined(parts: Sequence[AdapterOutput], layout: TileLayout, judged: torch.Tensor | None) -> AdapterOutput:
    """One output of several parts. An image of tiles is as abnormal as its most abnormal one, of those judged."""
    logits, maps = (_cat(values) for values in zip(*parts, strict=True))
    logits = torch.unflatten(logits, 0, (-1, layout.tiles))  # (B, T, 2)
    margin = logits[..., 1:] - logits[..., :1]  # (B, T, 1)
    if judged is not None:
        margin = margin.masked_fill(~judged.any(dim=1, keepdim=True), -torch.inf)
    worst = margin.argmax(dim=1, keepdim=True)  # (B, 1, 1)
    logits = logits.gather(1, worst.expand(-1, -1, 2)).flatten(0, 1)  # take_along_dim would fix B in exported graphs
    return AdapterOutput(logits, layout.stitch(maps))
