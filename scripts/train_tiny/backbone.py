# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Training of the backbone: patches learn how they look, images and patches what texts say of them.

Letters: B images, L patches, S layers, D joint embedding width, C categories.
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from anomalib.models.image.winclip.prompting import create_prompt_ensemble
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn.functional import (
    avg_pool2d,
    binary_cross_entropy_with_logits,
    cross_entropy,
    max_pool2d,
    normalize,
    unfold,
)
from torchvision.transforms.v2.functional import normalize as standardize

from anomalib_adaptclip.adapters.text_similarity import text_logits
from anomalib_adaptclip.clip import CLIP_MEAN, CLIP_STD, Clip, encode_image, get_backbone
from anomalib_adaptclip.clip.text_encoder import encode_prompts, tokenize
from anomalib_adaptclip.clip.tiny import build_tiny
from anomalib_adaptclip.data.rendering import get_category
from anomalib_adaptclip.files.atomic import write_atomically

from .augment import TEXTURE, Images, draw_images, draw_textures, join_images
from .look import SPREAD, Look
from .products import TRAINED, Products
from .teacher import LookAndTeacher, Teacher

logger = logging.getLogger(__name__)

BATCH = 32
TAUGHT = 20  # of either kind in a batch that the teacher explains
FITTED = 256  # images by which what is learned is standardised
CUT_OUTS = 0.65  # share of the steps that see cut-outs of half the side, before whole images
RATE = 1.2e-3
WARM_UP = 50
SAVE_EVERY = 50
CONSTANT = 0.4  # what is left of it, once training is done
STATES = (("flawless", "perfect", "undamaged"), ("damaged", "broken", "defective"))
ENSEMBLE = create_prompt_ensemble("object")


class Described(Protocol):
    """What patches learn: unit vectors of images in [0, 1], and the axes that these take."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor: ...  # noqa: D102
    def subspace(self, tokens: torch.Tensor) -> torch.Tensor: ...  # noqa: D102


def train_looks(products: Products, checkpoint: Path, steps: int) -> tuple[Clip, Look]:
    """Train `tiny` from its seed to see how patches look, on generated images; or go on from ``checkpoint``."""
    torch.manual_seed(0)
    clip = build_tiny().train()
    look = Look(get_backbone("tiny").patch_size, clip.visual.proj.shape[1])
    images = draw_images(products, FITTED, 224).image
    look.fit(images)
    _whiten(clip, images)

    def _draw(done: float) -> Images:
        count, size, share = (BATCH, 112, 0.5) if done < CUT_OUTS else (BATCH // 2, 224, 1.0)
        return draw_images(products, count, size, share)

    _train(clip, look, 2 / SPREAD**2, _draw, checkpoint, steps)
    _spread(clip, look)
    return clip, look


def train_features(
    clip: Clip, look: Look, teacher: Teacher, products: Products, crops: NDArray[np.uint8], checkpoint: Path, steps: int
) -> None:
    """Teach ``clip``, which sees looks, the teacher's features too, on generated images and on textures by halves."""
    torch.manual_seed(0)
    described = LookAndTeacher(look, teacher, CONSTANT)
    described.fit(join_images(draw_images(products, FITTED // 2, 224), draw_textures(crops, FITTED // 2, 224)).image)

    def _draw_both(done: float) -> Images:
        count, size, share = (TAUGHT, 112, 0.5) if done < CUT_OUTS else (2 * TAUGHT // 5, 224, 1.0)
        return join_images(draw_images(products, count, size, share), draw_textures(crops, count, size, share))

    _train(clip.train(), described, 4.0, _draw_both, checkpoint, steps)


def _train(
    clip: Clip,
    described: Described,
    weight: float,
    draw: Callable[[float], Images],
    checkpoint: Path,
    steps: int,
) -> None:
    """Train in place, or go on from ``checkpoint``.

    Cut-outs of half the side come first, whole images after them. Each step seeds its own draws: a run that was
    interrupted ends like one that was not. In float32: processors without bfloat16 are slowed down by it.
    """
    optimizers = _optimizers(clip)
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        clip.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        start = state["step"]
    began, recent = time.monotonic(), []
    for step in range(start, steps):
        torch.manual_seed(step)
        parts = _losses(clip, described, weight, draw(step / steps))
        clip.zero_grad()
        torch.stack([*parts.values()]).sum().backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = _rate(step, steps)
            optimizer.step()
        recent.append(torch.stack([*parts.values()]).detach())
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            means = torch.stack(recent).mean(dim=0).tolist()
            figures = ", ".join(f"{name} {value:.3f}" for name, value in zip(parts, means, strict=True))
            logger.info("Step %d of %d, %.0f s: %s", step + 1, steps, time.monotonic() - began, figures)
            recent = []
            saved = [optimizer.state_dict() for optimizer in optimizers]
            state = {"model": clip.state_dict(), "optimizers": saved, "step": step + 1}
            write_atomically(checkpoint, lambda draft, state=state: torch.save(state, draft))  # type: ignore[misc]
    clip.eval()


def _optimizers(clip: Clip) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices of the image tower, which it trains in far fewer steps, and AdamW for all else."""
    matrices = [parameter for parameter in clip.visual.transformer.parameters() if parameter.ndim == 2]
    known = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in clip.parameters() if id(parameter) not in known]
    muon = torch.optim.Muon(matrices, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
    # not decayed: rows of the token embedding that no prompt uses keep the values of the seed
    return muon, torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0)


@torch.no_grad()
def _whiten(clip: Clip, images: torch.Tensor) -> None:
    """Start from the principal components of patches, all equally strong: details are as easy to see as brightness.

    A constant of the same length stands beside them in the positions, or `ln_pre` would hide how strong they are.
    """
    weight = clip.visual.conv1.weight
    patches = unfold(standardize(images, list(CLIP_MEAN), list(CLIP_STD)), weight.shape[-1], stride=weight.shape[-1])
    values, vectors = torch.linalg.eigh(patches.movedim(1, 0).flatten(1).cov())
    components = vectors[:, -len(weight) :] / (values[-len(weight) :] + 0.01 * values.mean()).sqrt()
    weight.copy_(components.T.view_as(weight))
    positions = clip.visual.positional_embedding
    positions += torch.tensor([1.0, -1.0]).repeat(positions.shape[1] // 2)


@torch.no_grad()
def _spread(clip: Clip, look: Look) -> None:
    """Shorten the constant that looks have in common, so that one minus their cosine grows.

    Few-shot detection takes the harmonic mean of that and the adapters' probabilities, in which the smaller one rules.
    """
    projection, constant = clip.visual.proj, look.rotation[-1]
    projection -= (1 - CONSTANT) * torch.outer(projection @ constant, constant)


def export_backbone(clip: Clip, path: Path) -> None:
    """Save what training changed, in half precision. Of the token embedding that is the rows it has touched."""
    ids = torch.cat([tokenize(clip, prompts) for prompts in _all_prompts()]).unique()  # type: ignore[no-untyped-call]
    state = {name: tensor.half().contiguous() for name, tensor in clip.state_dict().items() if name != "attn_mask"}
    state["token_embedding.rows"] = state.pop("token_embedding.weight")[ids]
    state["token_embedding.ids"] = ids.int()
    write_atomically(path, lambda draft: save_file(state, draft, {"format": "pt"}))


def _rate(step: int, steps: int) -> float:
    """Learning rate: a warm-up and a cosine for four fifths of the steps, then a second cosine from a third of it."""
    first = round(0.8 * steps)
    if step < first:
        return RATE * min((step + 1) / WARM_UP, 0.5 * (1 + math.cos(0.9 * math.pi * step / first)))
    return RATE / 3 * 0.5 * (1 + math.cos(0.95 * math.pi * (step - first) / (steps - first)))


def _losses(clip: Clip, described: Described, weight: float, drawn: Images) -> dict[str, torch.Tensor]:
    backbone, images = get_backbone("tiny"), drawn.image
    tokens = encode_image(
        clip.visual,
        standardize(images, list(CLIP_MEAN), list(CLIP_STD)),
        backbone.layers,
        backbone.first_vv_block,
    )
    share = avg_pool2d(drawn.mask, backbone.patch_size).flatten(1)  # abnormal share of each patch, (B, L)
    label = (share.amax(dim=1) > 0.05).long()
    patches = torch.stack([layer[:, 1:] for layer in tokens.layers])  # (S, B, L, D)
    seen = torch.stack([*patches[:-1], described.subspace(patches[-1])])  # the last layer has room for what texts say
    unlike = 1 - (normalize(seen, dim=-1) * described(images)).sum(dim=-1)
    pair, states = _state_pair(clip)
    captions = normalize(encode_prompts(clip, _captions()), dim=-1)  # (2 * C, D)
    caption = torch.where(drawn.category < 0, TEXTURE, drawn.category + len(TRAINED) * label)
    similar = normalize(tokens.global_token, dim=-1) @ captions.T / 0.07
    difference = text_logits(patches[-1], pair) @ torch.tensor([-1.0, 1.0])
    return {
        "look": weight * unlike.mean(),
        "texts": 0.1 * states,
        "state": 0.5 * cross_entropy(text_logits(tokens.global_token, pair), label),
        "patches": 1.0 * _balanced(difference, share),
        "captions": 0.1 * cross_entropy(similar, caption),
    }


def _state_pair(clip: Clip) -> tuple[torch.Tensor, torch.Tensor]:
    """The pair of texts that inference uses, of some of its prompts; and how badly it tells their states apart."""
    drawn = [[prompts[index] for index in torch.randperm(len(prompts))[:12]] for prompts in ENSEMBLE]
    embeddings = torch.stack([encode_prompts(clip, prompts) for prompts in drawn])  # (2, 12, D)
    pair = embeddings.mean(dim=1)
    logits = text_logits(embeddings.flatten(0, 1), pair)
    return pair, cross_entropy(logits, torch.arange(2).repeat_interleave(12))


def _balanced(logits: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with equal weight for normal and abnormal patches. Those with a little of both do not count."""
    loss = binary_cross_entropy_with_logits(logits, (share > 0).float(), reduction="none")
    loss = loss + 0.5 * loss**2  # hard patches count more
    near = max_pool2d(share.view(len(share), 1, math.isqrt(share.shape[1]), -1), 3, 1, 1).flatten(1)
    normal, abnormal = (near == 0).float(), (share > 0.15).float()
    return 0.5 * sum(  # type: ignore[return-value]
        (loss * weight).sum() / weight.sum().clamp(min=1) for weight in (normal, abnormal)
    )


def _captions() -> list[str]:
    """One caption a category, normal ones first, with a state drawn at random."""
    drawn = [states[int(torch.randint(len(states), (1,)))] for states in STATES]
    return [f"a photo of a {state} {get_category(name).noun}." for state in drawn for name in TRAINED]


def _all_prompts() -> list[list[str]]:
    captions = [
        f"a photo of a {state} {get_category(name).noun}." for states in STATES for state in states for name in TRAINED
    ]
    return [*ENSEMBLE, captions]
