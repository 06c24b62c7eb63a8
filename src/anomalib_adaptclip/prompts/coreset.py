# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A budget for prompt patches: the coreset that represents all of them best, by anomalib's greedy k-center.

Letters: K normal prompt images (shots), S layers, L patches of an image, N patches of all of them, D joint embedding
width.
"""

import numpy as np
import torch
from anomalib.models.components import KCenterGreedy

from anomalib_adaptclip.clip import seeded


def select_coreset(pool: torch.Tensor, shots: int, budget: int | None) -> torch.Tensor:
    """Keep the patches that represent all others best, the same at all layers.

    Args:
        pool: Patches ``(S, N, D)`` of all images.
        shots: Number K of images that they come from.
        budget: Patches to keep at most; ``None`` keeps all.

    Returns:
        ``(S, K, L, D)``: K rows of equal length L, together no more than the budget. If nothing had to go, a row is an
        image, unless K does not divide N: then the first patches come twice, to fill the last row.

    Raises:
        ValueError: If there are more images than patches to keep.
    """
    patches = pool.shape[1]
    if budget is not None:
        require_budget(budget, shots)
    lacking = -patches % shots  # for rows of equal length, where a set of another budget is among them
    if budget is not None and patches + lacking > budget:
        pool = pool[:, coreset_indices(pool, budget // shots * shots)]
    elif lacking:
        pool = torch.cat([pool, pool[:, :lacking]], dim=1)  # second copies change nothing: the first of equals wins
    return pool.reshape(pool.shape[0], shots, -1, pool.shape[-1])


class _Sampler(KCenterGreedy):
    """anomalib's, with its largest tensor made once.

    One made a step, between indices that stay, leaves holes in the heap: gigabytes for some ten thousand patches.
    """

    def update_distances(self, cluster_center: int | torch.Tensor | None) -> None:
        """Update the smallest distances of all patches by those from one centre."""
        if cluster_center is None:
            return
        is_first = self.min_distances is None
        if is_first:
            self._differences = torch.empty_like(self.features)
        torch.sub(self.features, self.features[cluster_center].squeeze(), out=self._differences)
        distances = torch.linalg.norm(self._differences, ord=2, dim=1, keepdim=True)
        self.min_distances = distances if is_first else torch.minimum(self.min_distances, distances)


def coreset_indices(pool: torch.Tensor, count: int) -> torch.Tensor:
    """Choose patches such that no other is far from all of them, by anomalib's greedy k-center.

    Args:
        pool: Patches ``(S, N, D)``.
        count: Patches to choose, less than N.

    Returns:
        Their indices ``(count,)``, ascending. The same patches give the same choice.
    """
    embedding = pool.movedim(0, 1).flatten(1).float()  # (N, S * D)
    embedding = embedding if embedding.is_cuda else embedding.cpu()  # whose generators can be seeded alone
    sampler = _Sampler(embedding, (count + 0.5) / len(embedding))  # it rounds down
    sampler.model.random_state = np.random.RandomState(0)  # type: ignore[assignment]  # a number would repeat each row
    with seeded(0, embedding.device):
        kept = sampler.select_coreset_idxs()
    return torch.tensor(sorted(kept), device=pool.device)


def require_budget(budget: int, shots: int) -> None:
    """Check that a budget is at least one patch, and one for each image.

    Raises:
        ValueError: If it is less.
    """
    if budget < max(shots, 1):
        msg = (
            f"prompt_budget is the number of patches to keep of all normal images together, at least one for each. Got "
            f"{budget} for {shots} images. Raise it, or leave it out to keep all."
        )
        raise ValueError(msg)
