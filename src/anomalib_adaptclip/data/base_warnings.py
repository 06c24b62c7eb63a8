# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What to expect of a base that is small, one-sided, or lacks masks."""

from .data_source import DataSetSamples

_FEW = 20  # queries of a class below which adapters learn these images rather than what they have in common
_LARGE_SHARE = 0.9  # of one class, above which image scores learn that class


def base_warnings(samples: DataSetSamples) -> list[str]:
    """Say what to expect of a base, in a sentence for each fault; none if there is nothing to say.

    Args:
        samples: Files of the base.
    """
    total, abnormal = len(samples.queries), len(samples.abnormal)
    normal, masked = total - abnormal, int(samples.abnormal.has_mask.sum())
    found = []
    if min(normal, abnormal) < _FEW:
        found.append(
            f"The base is small: {normal} normal and {abnormal} abnormal queries. Expect adapters that know these "
            "images and may do worse on others: go on from trained adapters, with a small learning rate and few "
            "epochs, and look at images that were held out."
        )
    for count, name, other in ((abnormal, "abnormal", "normal"), (normal, "normal", "abnormal")):
        if count > _LARGE_SHARE * total:
            found.append(
                f"{count / total:.0%} of the base's queries are {name}. Expect image scores that call nearly "
                f"everything {name}; they still rank, but no threshold fits. Add {other} images."
            )
    if 0 < masked < abnormal:
        found.append(
            f"{abnormal - masked} of {abnormal} abnormal images of the base have no mask: they take part with the "
            "image losses alone."
        )
    return found
