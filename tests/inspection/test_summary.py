# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The page of an inspection says what its pictures say."""

from pathlib import Path

import pytest

from anomalib_adaptclip.inspection.summary import JudgedImage, Summary, write_summary


@pytest.mark.parametrize(("share", "text"), [(0.0001, "less than 0.1%"), (0.0123, "1.2%"), (0.79, "79%")])
def test_shares_are_written_as_in_pictures(tmp_path: Path, share: float, text: str) -> None:
    image = JudgedImage("a<b>.png", 0.3, False, share, 0, "")
    write_summary(tmp_path / "page.html", Summary("Title", "0 of 1 abnormal.", [], 0.5), [image])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"{text} of good photos score as high" in page
    assert "a&lt;b&gt;.png" in page
