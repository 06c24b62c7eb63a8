# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""CLIP files of Hugging Face: the same weights, under other names and cut in other pieces."""

from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from anomalib_adaptclip.clip import fingerprint, load_clip

from .test_backbones import SMALL, small

__all__ = ["small"]
BLOCK = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
VISION = {
    "visual.class_embedding": "embeddings.class_embedding",
    "visual.conv1.weight": "embeddings.patch_embedding.weight",
    "visual.positional_embedding": "embeddings.position_embedding.weight",
    "visual.ln_pre": "pre_layrnorm",
    "visual.ln_post": "post_layernorm",
}
TEXT = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final": "final_layer_norm",
}


def to_huggingface(clip: open_clip.CLIP) -> dict[str, torch.Tensor]:
    """As transformers' `CLIPModel` names them."""
    state = clip.state_dict()
    theirs = {
        "logit_scale": state["logit_scale"],
        "visual_projection.weight": state["visual.proj"].T.contiguous(),
        "text_projection.weight": state["text_projection"].T.contiguous(),
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
        "text_model.embeddings.position_ids": torch.arange(77)[None],
    }
    for model, names, blocks in (("vision_model", VISION, "visual.transformer"), ("text_model", TEXT, "transformer")):
        for ours, name in names.items():
            for ending in ("", ".weight", ".bias"):
                if ours + ending in state:
                    theirs[f"{model}.{name}{ending}"] = state[ours + ending]
        for key in [key for key in state if key.startswith(f"{blocks}.resblocks.")]:
            number, rest = key.removeprefix(f"{blocks}.resblocks.").split(".", 1)
            layer = f"{model}.encoder.layers.{number}"
            if rest.startswith("attn.in_proj_"):
                for name, part in zip("qkv", state[key].chunk(3), strict=True):
                    theirs[f"{layer}.self_attn.{name}_proj.{rest.removeprefix('attn.in_proj_')}"] = part.clone()
            else:
                place, ending = rest.rsplit(".", 1)
                theirs[f"{layer}.{BLOCK.get(place, place.replace('attn', 'self_attn'))}.{ending}"] = state[key]
    return theirs


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_the_same_weights_come_out(tmp_path: Path, file: str) -> None:
    torch.manual_seed(1)
    clip = open_clip.CLIP(**SMALL)
    theirs = to_huggingface(clip)
    assert not set(theirs) & (set(clip.state_dict()) - {"logit_scale"})
    save_file(theirs, tmp_path / file) if file.endswith("safetensors") else torch.save(theirs, tmp_path / file)
    loaded = load_clip("ViT-B-16-plus-240", tmp_path / file).clip
    torch.testing.assert_close(loaded.state_dict(), clip.state_dict(), rtol=0, atol=0)
    assert fingerprint(loaded) == fingerprint(clip)


@pytest.mark.usefixtures("small")
def test_a_part_of_a_model_is_told(tmp_path: Path) -> None:
    theirs = {key: tensor for key, tensor in to_huggingface(open_clip.CLIP(**SMALL)).items() if "k_proj" not in key}
    save_file(theirs, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="are not those of a ViT-B-16-plus-240"):
        load_clip("ViT-B-16-plus-240", tmp_path / "model.safetensors")
