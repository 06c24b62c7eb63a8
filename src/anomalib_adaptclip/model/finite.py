# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Keeps NaN and infinity out of prompts, scores and maps: compared with a threshold, they would count as normal.

Letters: B batch, K normal prompt images (shots), H and W pixels.
"""

from collections.abc import Sequence

import torch
from anomalib.data import InferenceBatch

from anomalib_adaptclip.clip import ImageTokens

from .fusion import Prediction


def finite_output(prediction: Prediction) -> InferenceBatch:
    """Turn what was fused into the output of a model. Exported and compiled graphs do not check it: they cannot raise.

    Args:
        prediction: Score ``(B,)`` and map ``(B, 1, H, W)``.

    Raises:
        ValueError: If a score or a map is not finite; the places in the batch are told.
    """
    if not torch.compiler.is_compiling():
        _require_finite([prediction.score, prediction.anomaly_map], "Scores or maps", "images")
    return InferenceBatch(pred_score=prediction.score, anomaly_map=prediction.anomaly_map)


def finite_tokens(tokens: ImageTokens) -> ImageTokens:
    """Return the tokens of K normal images as they are.

    Raises:
        ValueError: If a token is not finite; the places of the images are told.
    """
    _require_finite([tokens.global_token, *tokens.layers], "Tokens", "prompt images")
    return tokens


def _require_finite(tensors: Sequence[torch.Tensor], what: str, of: str) -> None:
    """Check tensors ``(B, ...)``. A single value is fetched from the device where all is well."""
    good = torch.stack([tensor.unsqueeze(-1).isfinite().flatten(1).all(dim=1) for tensor in tensors]).all(dim=0)  # (B,)
    if not good.all():
        rows = (~good).nonzero().flatten().tolist()
        msg = (
            f"{what} of the {of} {rows} of the batch are NaN or infinite. Look for such values in the images, the "
            "adapters and CLIP's weights; in half precision numbers may overflow: take float32 or bf16-mixed."
        )
        raise ValueError(msg)
