# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The options of a model that its checkpoint and its adapters decide."""

from dataclasses import dataclass

from anomalib_adaptclip.adapters import AdapterOptions
from anomalib_adaptclip.argument_types import require_at_least
from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.files.region_of_interest import RegionOfInterest

from .fusion import Fusion
from .tiling import TILE_OVERLAP, require_overlap


@dataclass(frozen=True)
class ModelOptions(AdapterOptions):
    """Options of :class:`AdaptCLIPModel` that change what it computes.

    Attributes:
        class_name: What the images show, for the static texts.
        fusion: How outputs of the adapters become one score and one map, see :func:`.fuse`.
        tile_size: Height and width of tiles in pixels of the model's input; None for whole images.
        tile_overlap: Share of a tile, at least, that it has in common with the next one.
        match_window: Rows and columns of patches that a patch and its nearest normal one may lie apart at most.
        roi: Region of interest: what is judged; None for all.

    Raises:
        ValueError: If a name is unknown, the known ones are listed, or a number out of range.
    """

    class_name: str = "object"
    fusion: Fusion = "published"
    tile_size: tuple[int, int] | None = None
    tile_overlap: float = TILE_OVERLAP
    match_window: int | None = None
    roi: RegionOfInterest | None = None

    def __post_init__(self) -> None:
        """Check names and numbers."""
        super().__post_init__()
        require_choice("fusion", self.fusion, Fusion)
        if self.match_window is not None:
            require_at_least(0, match_window=self.match_window)
        require_overlap(self.tile_overlap, has_tiles=self.tile_size is not None)


def resolve_fusion(fusion: Fusion | None, backbone: str) -> Fusion:
    """The fusion to use: the given one, or the published one, and for `tiny` what was measured to be better."""
    if fusion is not None:
        return fusion
    return "log_odds" if backbone == "tiny" else "published"


def require_window(window: int | None, k_shot: int, bank: object | None, budget: int | None) -> None:
    """Check that where places of patches are compared there are normal ones with places.

    Args:
        window: Rows and columns of patches that two may lie apart at most; None for all.
        k_shot: Number of shots.
        bank: Prompt bank, if there is one.
        budget: Patches of the prompts to keep at most; None for all.

    Raises:
        ValueError: If there are none.
    """
    if window is None:
        return
    if k_shot == 0 and bank is None:
        msg = f"match_window={window} is for normal images, and the model has none: it is zero-shot. Leave it out."
        raise ValueError(msg)
    if budget is not None:
        msg = f"match_window={window} needs all patches, and prompt_budget={budget} keeps some. Leave one of them out."
        raise ValueError(msg)
