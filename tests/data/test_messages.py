# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

import pytest

from anomalib_adaptclip.data.messages import abbreviate


@pytest.mark.parametrize(
    ("items", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a; b"), (["a", "b", "c"], "a; b ...")]
)
def test_abbreviate(items: list[str], text: str) -> None:
    assert abbreviate(items, count=2) == text
