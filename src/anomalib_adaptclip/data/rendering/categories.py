# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The categories: what the generator can draw, and which defects each category can have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from anomalib_adaptclip.data.rendering import everyday_objects, metal_parts, textures

from .canvas import Canvas
from .circuit_board import circuit_board
from .scene import Scene


@dataclass(frozen=True)
class Category:
    """The facts about one category.

    Attributes:
        name: Name of the category and of its folder.
        kind: ``texture`` if the material fills the image, ``object`` if an object lies on a background.
        noun: What a caption calls it, without an article.
        draw: Draws a defect-free scene.
        defects: Names of the defects it can have, see `defects.DEFECTS`.
    """

    name: str
    kind: Literal["texture", "object"]
    noun: str
    draw: Callable[[Canvas], Scene]
    defects: tuple[str, ...]


_SURFACE = ("scratch", "stain", "hole", "foreign_part")
_METAL = ("scratch", "stain", "missing_part", "foreign_part")
_CLOTH = ("stain", "hole", "missing_part", "foreign_part")
_ALL = ("scratch", "stain", "hole", "missing_part", "foreign_part")

_REGISTRY = (
    Category("brushed_metal", "texture", "brushed metal sheet", textures.brushed_metal, _SURFACE),
    Category("carpet", "texture", "carpet", textures.carpet, ("stain", "hole", "foreign_part")),
    Category("leather", "texture", "leather", textures.leather, _SURFACE),
    Category("marble", "texture", "marble slab", textures.marble, ("scratch", "stain", "foreign_part")),
    Category("perforated_sheet", "texture", "perforated metal sheet", textures.perforated_sheet, _METAL),
    Category("terrazzo", "texture", "terrazzo floor", textures.terrazzo, ("scratch", "stain", "hole")),
    Category("tiles", "texture", "tiled wall", textures.tiles, _METAL),
    Category("weave", "texture", "woven fabric", textures.weave, _CLOTH),
    Category("wire_mesh", "texture", "wire mesh", textures.wire_mesh, ("hole", "missing_part", "foreign_part")),
    Category("wood", "texture", "wooden board", textures.wood, _SURFACE),
    Category(
        "battery", "object", "battery", everyday_objects.battery, ("scratch", "stain", "missing_part", "foreign_part")
    ),
    Category("bearing", "object", "ball bearing", metal_parts.bearing, _METAL),
    Category("bottle_cap", "object", "bottle cap", everyday_objects.bottle_cap, _ALL),
    Category("button", "object", "button", everyday_objects.button, _ALL),
    Category("capsule", "object", "capsule", everyday_objects.capsule, _ALL),
    Category("circuit_board", "object", "circuit board", circuit_board, _METAL),
    Category("coin", "object", "coin", everyday_objects.coin, _ALL),
    Category("cookie", "object", "cookie", everyday_objects.cookie, ("hole", "missing_part", "foreign_part")),
    Category("gear", "object", "gear wheel", metal_parts.gear, _METAL),
    Category("hex_nut", "object", "hex nut", metal_parts.hex_nut, _METAL),
    Category("key", "object", "key", metal_parts.key, _METAL),
    Category("pill", "object", "pill", everyday_objects.pill, _ALL),
    Category("screw", "object", "screw", metal_parts.screw, _METAL),
    Category("washer", "object", "washer", metal_parts.washer, _METAL),
)

CATEGORIES: tuple[str, ...] = tuple(category.name for category in _REGISTRY)


def get_category(name: str) -> Category:
    """Return the facts about a category.

    Raises:
        ValueError: If there is no category of that name.
    """
    for category in _REGISTRY:
        if category.name == name:
            return category
    msg = f"There is no category {name!r}. Choose one of: {', '.join(CATEGORIES)}."
    raise ValueError(msg)
