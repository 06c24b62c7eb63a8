# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The file of a prompt bank: one safetensors file, a tensor for each category.

Letters: K normal prompt images (shots), S layers, L patches, D joint embedding width.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from anomalib_adaptclip.files.plain_data import build_record
from anomalib_adaptclip.files.region_of_interest import RegionOfInterest
from anomalib_adaptclip.files.tensors import State, read_safetensors, read_safetensors_header, write_safetensors
from anomalib_adaptclip.version import __version__

from .bank_scores import ModelScores, read_scores

FORMAT = "adaptclip-prompt-bank-1"
_PREFIX = "prompts."  # of the tensors' names, so that a category may have any name


@dataclass(frozen=True)
class BankHeader:
    """What the prompts of a bank depend on.

    Attributes:
        backbone: Name of the backbone, empty if unknown.
        fingerprint: Hash of CLIP's weights.
        layers: CLIP's layers whose tokens are kept, counted from 1.
        first_vv_block: First block with a V-V stream, counted from 1.
        image_size: Height and width of the images in pixels, None while the bank is empty.
        images: Hashes of the preprocessed images by category, so that none is added twice.
        scores: How they score by category, for thresholds.
        tile_size: Height and width of their tiles in pixels of the model's input, None for whole images.
        tile_overlap: How far the tiles overlap.
        regions: Regions of interest by category, of those that have one.
    """

    backbone: str
    fingerprint: str
    layers: tuple[int, ...]
    first_vv_block: int
    image_size: tuple[int, int] | None
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scores: Mapping[str, ModelScores] = field(default_factory=dict)
    tile_size: tuple[int, int] | None = None
    tile_overlap: float = 0.25
    regions: Mapping[str, RegionOfInterest] = field(default_factory=dict)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "BankHeader":
        """Read the header out of a safetensors file's metadata.

        Raises:
            AttributeError, LookupError, TypeError, ValueError: If an entry is missing, or not what it should be.
        """
        if not metadata["fingerprint"]:
            msg = "it has no fingerprint of CLIP's weights"
            raise ValueError(msg)
        return cls(
            metadata["backbone"],
            metadata["fingerprint"],
            tuple(int(layer) for layer in json.loads(metadata["layers"])),
            int(metadata["first_vv_block"]),
            _size(metadata["image_size"]),
            {name: tuple(map(str, hashes)) for name, hashes in json.loads(metadata["images"]).items()},
            read_scores(json.loads(metadata.get("scores", "{}"))),
            _size(metadata.get("tile_size", "null")),
            float(metadata.get("tile_overlap", cls.tile_overlap)),
            {
                name: build_record(RegionOfInterest, record, name)
                for name, record in json.loads(metadata.get("regions", "{}")).items()
            },
        )

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of what the model sees at a time in pixels, None while the bank is empty."""
        return self.tile_size or self.image_size

    def to_metadata(self) -> dict[str, str]:
        """The header as the metadata of a safetensors file."""
        return {
            "format": FORMAT,
            "version": __version__,
            "backbone": self.backbone,
            "fingerprint": self.fingerprint,
            "layers": json.dumps(self.layers),
            "first_vv_block": str(self.first_vv_block),
            "image_size": json.dumps(self.image_size),
            "images": json.dumps(self.images),
            "scores": json.dumps(self.scores),
            "tile_size": json.dumps(self.tile_size),
            "tile_overlap": str(self.tile_overlap),
            "regions": json.dumps({name: asdict(roi) for name, roi in self.regions.items()}),
        }

    def differences(self, expected: "BankHeader") -> list[str]:
        """What makes prompts of this header useless for a model with the expected one. A missing size fits any."""
        names = ["fingerprint", "layers", "first_vv_block", "tile_size", "tile_overlap"]
        if self.image_size is not None and expected.image_size is not None:
            names.append("image_size")
        pairs = [(name, getattr(self, name), getattr(expected, name)) for name in names]
        return [f"{name} {_text(found)}, not {_text(wanted)}" for name, found, wanted in pairs if found != wanted]


def _size(text: str) -> tuple[int, int] | None:
    size = json.loads(text)
    return None if size is None else (int(size[0]), int(size[1]))


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, tuple) else str(value)


def write_bank(path: Path, sets: Mapping[str, torch.Tensor], header: BankHeader) -> None:
    """Write packed prompts ``(S, K, L, D)`` by category, and a header, whole or not at all."""
    state = {_PREFIX + name: tokens.contiguous().cpu() for name, tokens in sets.items()}
    header = replace(
        header,
        images={name: header.images.get(name, ()) for name in sets},
        scores={name: header.scores[name] for name in sets if name in header.scores},
        regions={name: header.regions[name] for name in sets if name in header.regions},
    )
    write_safetensors(path, state, header.to_metadata())


def read_bank(path: Path) -> tuple[State, BankHeader]:
    """Packed prompts ``(S, K, L, D)`` by category, and the header of a bank's file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or no prompt bank, or a tensor is not finite or no set of prompts.
    """
    header = read_header(path)
    state, _ = read_safetensors(path)
    layers = len(header.layers)
    for name, tokens in state.items():
        is_set = tokens.ndim == 4 and tokens.is_floating_point() and 0 not in tokens.shape and len(tokens) == layers
        if not (is_set and name.startswith(_PREFIX)):
            msg = (
                f"{path} is a damaged prompt bank: expected floats ({layers}, K, L, D) under {_PREFIX}NAME, got "
                f"{name}, {tokens.dtype} of shape {tuple(tokens.shape)}. Make the bank anew."
            )
            raise ValueError(msg)
    sets = {name.removeprefix(_PREFIX): tokens for name, tokens in state.items()}
    return sets, replace(header, scores={name: own for name, own in header.scores.items() if name in sets})


def read_header(path: Path) -> BankHeader:
    """Header of a bank's file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or no prompt bank.
    """
    if not path.is_file():
        msg = f"There is no prompt bank {path}. Make one with `anomalib-adaptclip bank-add`, or PromptBank.save."
        raise FileNotFoundError(msg)
    metadata = read_safetensors_header(path)
    if metadata.get("format") != FORMAT:
        msg = f"{path} is no prompt bank: its header says {metadata.get('format')!r}, not {FORMAT!r}."
        raise ValueError(msg)
    try:
        return BankHeader.from_metadata(metadata)
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        msg = f"{path} is a prompt bank with a damaged header ({error!r}). Make the bank anew."
        raise ValueError(msg) from error


def require_same_model(path: Path, found: BankHeader, expected: BankHeader) -> None:
    """Check that a bank belongs to a model: its prompts live in the embedding space of one CLIP.

    Args:
        path: The bank's file, for the message.
        found: Its header.
        expected: Header that a bank of the model has.

    Raises:
        ValueError: If they differ; all that differs is listed.
    """
    if differing := found.differences(expected):
        msg = (
            f"The prompt bank {path} was made with another model: backbone {found.backbone or 'unknown'}, here "
            f"{expected.backbone or 'unknown'}; {'; '.join(differing)}. Build the model like that, or the bank anew."
        )
        raise ValueError(msg)


def require_width(path: Path, sets: Mapping[str, torch.Tensor], width: int) -> None:
    """Check that packed prompts ``(S, K, L, D)`` have a model's width D.

    Raises:
        ValueError: If they have another.
    """
    for name, tokens in sets.items():
        if tokens.shape[-1] != width:
            msg = f"The prompts of {name!r} in {path} are {tokens.shape[-1]} wide, not {width}. Make the bank anew."
            raise ValueError(msg)
