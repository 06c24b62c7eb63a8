# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Training of the backbone: alignment of pairs as few-shot detection does it, and contrast of images and texts.

Letters: B pairs, L patches, S taps, D joint embedding width, C categories.
"""

import logging
import math
import time
from pathlib import Path

import torch
from anomalib.models.image.winclip.prompting import create_prompt_ensemble
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    max_pool2d,
    normalize,
)
from torchvision.transforms.v2.functional import normalize as standardize

from anomalib_adaptclip.adapters.similarity import text_logits
from anomalib_adaptclip.clip import CLIP_MEAN, CLIP_STD, Clip, ImageTokens, encode_image, get_backbone
from anomalib_adaptclip.clip.backbones import build_tiny
from anomalib_adaptclip.clip.text_encoder import encode_prompts, tokenize
from anomalib_adaptclip.data.rendering import get_category
from anomalib_adaptclip.fusion import harmonic_mean
from anomalib_adaptclip.weight_files import replace_file

from .augment import Pairs, draw_pairs
from .products import TRAINED, Products

logger = logging.getLogger(__name__)

BATCH = 16
RATE = 8e-4
WARM_UP = 100
STATES = (("flawless", "perfect", "undamaged"), ("damaged", "broken", "defective"))
ENSEMBLE = create_prompt_ensemble("object")


class Heads(nn.Module):
    """What is needed in training alone: scale and threshold of alignment scores, and linear probes.

    The probes let tokens tell normal from abnormal long before the texts, which start out alike, could ask for it.
    """

    def __init__(self, taps: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((taps,), math.log(12.0)))
        self.threshold = nn.Parameter(torch.full((taps,), 0.25))
        self.probes = nn.ModuleDict({name: nn.Linear(width, 1) for name in ("image", "patch")})

    def probe(self, name: str, tokens: torch.Tensor) -> torch.Tensor:
        """Logits ``(...)`` of tokens ``(..., D)``."""
        logits: torch.Tensor = self.probes[name](8 * normalize(tokens, dim=-1)).squeeze(-1)
        return logits

    def calibrate(self, scores: torch.Tensor) -> torch.Tensor:
        """Logits of scores ``(S, ...)``."""
        shape = (-1, *[1] * (scores.ndim - 1))
        return self.scale.exp().view(shape) * (scores - self.threshold.view(shape))


def train_backbone(products: Products, checkpoint: Path, steps: int, save_every: int = 50) -> Clip:
    """Train `tiny` from its seed, or go on from ``checkpoint``.

    Images grow from 112 to 168 pixels a side, which halves the work of the full 224. Each step seeds its own draws: a
    run that was interrupted ends like one that was not. In float32: processors without bfloat16 are slowed down by it.
    """
    torch.manual_seed(0)
    clip = build_tiny().train()
    heads = Heads(len(get_backbone("tiny").taps) + 1, clip.visual.proj.shape[1])
    model = nn.ModuleDict({"clip": clip, "heads": heads})
    table = clip.token_embedding.weight  # not decayed: rows that no prompt uses keep the values of the seed
    decayed = [parameter for parameter in model.parameters() if parameter is not table]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": [table], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    began, recent = time.monotonic(), []
    for step in range(start, steps):
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, steps)
        parts = _losses(clip, heads, draw_pairs(products, BATCH, _side(step, steps)))
        optimizer.zero_grad()
        torch.stack([*parts.values()]).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(torch.stack([*parts.values()]).detach())
        if (step + 1) % save_every == 0 or step + 1 == steps:
            means = torch.stack(recent).mean(dim=0).tolist()
            figures = ", ".join(f"{name} {value:.3f}" for name, value in zip(parts, means, strict=True))
            logger.info("Step %d of %d, %.0f s: %s", step + 1, steps, time.monotonic() - began, figures)
            recent = []
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            replace_file(checkpoint, lambda draft, state=state: torch.save(state, draft))  # type: ignore[misc]
    return clip.eval()


def export_backbone(clip: Clip, path: Path) -> None:
    """Save what training changed, in half precision. Of the token embedding that is the rows it has touched."""
    ids = torch.cat([tokenize(clip, prompts) for prompts in _all_prompts()]).unique()  # type: ignore[no-untyped-call]
    state = {name: tensor.half().contiguous() for name, tensor in clip.state_dict().items() if name != "attn_mask"}
    state["token_embedding.rows"] = state.pop("token_embedding.weight")[ids]
    state["token_embedding.ids"] = ids.int()
    replace_file(path, lambda draft: save_file(state, draft, {"format": "pt"}))


def _side(step: int, steps: int) -> int:
    """Pixels a side: small images for the first half of the steps."""
    return 112 if step < 0.5 * steps else 168


def _rate(step: int, steps: int) -> float:
    """Learning rate: a warm-up, then a cosine that ends at a tenth."""
    return RATE * min((step + 1) / WARM_UP, 0.5 * (1 + math.cos(0.8 * math.pi * step / steps)) + 0.01)


def _losses(clip: Clip, heads: Heads, pairs: Pairs) -> dict[str, torch.Tensor]:
    images = standardize(torch.cat([pairs.query, pairs.prompt]), list(CLIP_MEAN), list(CLIP_STD))
    backbone = get_backbone("tiny")
    tokens = encode_image(clip.visual, images, backbone.taps, backbone.first_vv_block)
    share, label = _patch_targets(pairs.mask)
    alignment, image = _alignment_losses(tokens, heads, share, label)
    count = len(label)
    probe = binary_cross_entropy_with_logits(heads.probe("image", tokens.global_token[:count]), label.float())
    probe = probe + _balanced(heads.probe("patch", tokens.taps[-1][:count, 1:]), share)
    texts = _text_losses(clip, tokens, share, label, pairs.category)
    return {"alignment": alignment, "image": 0.5 * image, "probes": 0.5 * probe, **texts}


def _patch_targets(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Abnormal share of each patch ``(B, L)``, and the label of each image ``(B,)``."""
    side = get_backbone("tiny").patch_size
    share = torch.nn.functional.avg_pool2d(mask, side).flatten(1)
    return share, (share.amax(dim=1) > 0.05).long()


def _alignment_losses(
    tokens: ImageTokens, heads: Heads, share: torch.Tensor, label: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Alignment scores of each tap and of their harmonic mean, by patch; and the largest of an image."""
    scores = []
    for tap in tokens.taps:
        query, prompt = normalize(tap[:, 1:].float(), dim=-1).chunk(2)
        scores.append(1 - (query @ prompt.mT).amax(dim=-1).clamp(max=1 - 1e-4))
    logits = heads.calibrate(torch.stack([*scores, harmonic_mean(scores)]))  # (S + 1, B, L)
    patches = torch.stack([_balanced(tap, share) for tap in logits])
    largest = logits[-1].topk(3, dim=-1).values.mean(dim=-1)
    return patches[:-1].mean() + patches[-1], binary_cross_entropy_with_logits(largest, label.float())


def _balanced(logits: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with equal weight for normal and abnormal patches. Those with a little of both do not count."""
    loss = binary_cross_entropy_with_logits(logits, (share > 0).float(), reduction="none")
    loss = loss + 0.5 * loss**2  # hard patches count more
    near = max_pool2d(share.view(len(share), 1, math.isqrt(share.shape[1]), -1), 3, 1, 1).flatten(1)
    normal, abnormal = (near == 0).float(), (share > 0.15).float()
    return 0.5 * sum(  # type: ignore[return-value]
        (loss * weight).sum() / weight.sum().clamp(min=1) for weight in (normal, abnormal)
    )


def _text_losses(
    clip: Clip, tokens: ImageTokens, share: torch.Tensor, label: torch.Tensor, category: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Images and patches against the pair that inference uses, and images against captions of all categories."""
    count = len(label)
    ensemble = [[prompts[index] for index in torch.randperm(len(prompts))[:12]] for prompts in ENSEMBLE]
    pair = torch.stack([encode_prompts(clip, prompts).mean(dim=0) for prompts in ensemble]).float()
    globals_, patches = tokens.global_token[:count].float(), tokens.taps[-1][:count, 1:].float()
    difference = text_logits(patches, pair) @ torch.tensor([-1.0, 1.0])
    captions = normalize(encode_prompts(clip, _captions()).float(), dim=-1)  # (2 * C, D)
    similar = normalize(globals_, dim=-1) @ captions.T / 0.07
    return {
        "state": 0.5 * cross_entropy(text_logits(globals_, pair), label),
        "patches": 0.5 * _balanced(difference, share),
        "captions": 0.2 * cross_entropy(similar, category + len(TRAINED) * label),
    }


def _captions() -> list[str]:
    """One caption a category, normal ones first, with a state drawn at random."""
    drawn = [states[int(torch.randint(len(states), (1,)))] for states in STATES]
    return [f"a photo of a {state} {get_category(name).noun}." for state in drawn for name in TRAINED]


def _all_prompts() -> list[list[str]]:
    captions = [
        f"a photo of a {state} {get_category(name).noun}." for states in STATES for state in states for name in TRAINED
    ]
    return [*ENSEMBLE, captions]
