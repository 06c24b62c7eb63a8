# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The layout of Hugging Face's CLIP files (``vision_model.``, ``text_model.``), in open_clip's names."""

import torch

from anomalib_adaptclip.files.tensors import State

_PREFIXES = {"vision_model.": "visual.", "text_model.": ""}
_PARTS = {  # theirs, ours; what remains of a name stays as it is
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding.": "conv1.",
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.": "token_embedding.",
    "pre_layrnorm.": "ln_pre.",  # the misspelling is theirs
    "post_layernorm.": "ln_post.",
    "final_layer_norm.": "ln_final.",
    "encoder.layers.": "transformer.resblocks.",
    ".layer_norm1.": ".ln_1.",
    ".layer_norm2.": ".ln_2.",
    ".self_attn.": ".attn.",
    ".mlp.fc1.": ".mlp.c_fc.",
    ".mlp.fc2.": ".mlp.c_proj.",
}
_PROJECTIONS = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}


def is_huggingface(state: State) -> bool:
    """Whether the names are those of Hugging Face's CLIP."""
    return any(key.startswith(tuple(_PREFIXES)) for key in state)


def from_huggingface(state: State) -> State:
    """Rename the tensors of Hugging Face's CLIP, and join what they keep apart. Values stay as they are.

    Args:
        state: Tensors under Hugging Face's names. Buffers of position numbers are left out.

    Returns:
        Tensors under open_clip's names. A query projection whose key or value is missing is left as it is.
    """
    renamed = {_rename(key): tensor for key, tensor in state.items() if not key.endswith(".position_ids")}
    for key in [key for key in renamed if ".q_proj." in key]:
        parts = [key.replace(".q_proj.", f".{name}_proj.") for name in "qkv"]
        if all(part in renamed for part in parts):
            joined = key.replace(".q_proj.", ".in_proj_")  # ...attn.in_proj_weight, ...attn.in_proj_bias
            renamed[joined] = torch.cat([renamed.pop(part) for part in parts])
    for theirs, ours in _PROJECTIONS.items():
        if theirs in renamed:
            renamed[ours] = renamed.pop(theirs).T.contiguous()
    return renamed


def _rename(key: str) -> str:
    for theirs, ours in _PREFIXES.items():
        if key.startswith(theirs):
            key = key.removeprefix(theirs)
            for part, own in _PARTS.items():
                key = key.replace(part, own)
            return ours + key
    return key
