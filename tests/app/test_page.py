# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The page in headless Chromium: photos in, verdicts, another threshold, why, files out."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.inspection.parts import part

from .browser import Visitor, command, visitor

GOOD, NEW = 4, 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four good photos; new ones: two good, one scratched, one that is no image."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(GOOD):
        part(index).save(folder / f"good-{index}.png")
    for index in range(NEW):
        part(100 + index, is_scratched=index == 2).save(folder / f"new-{index}.png")
    (folder / "new-broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Temporary files of the page's process."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def address(uploads: Path) -> Iterator[str]:
    with command(uploads, "--backbone", "tiny", "--image_size", "56") as found:
        yield found
    assert not list(uploads.iterdir()), "uploads outlive the page"


@pytest.fixture(scope="module")
def page(address: str, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """The page with the photos judged."""
    with visitor(address, tmp_path_factory.mktemp("browser")) as found:
        found.resize(1280)
        found.open()
        found.drop("#good", sorted(photos.glob("good-*")))
        found.drop("#new", sorted(photos.glob("new-*")))
        found.click("#judge")
        found.until("#status .result")
        found.until("#card .badge")
        yield found


def test_photos_are_listed_with_verdicts_the_most_abnormal_first(page: Visitor) -> None:
    captions = page.captions()
    assert len(captions) == NEW
    assert captions[0].startswith("abnormal ")
    assert captions[0].endswith("new-2.png")
    scores = [float(caption.split()[1].rstrip(",")) for caption in captions]
    assert scores == sorted(scores, reverse=True)
    abnormal = sum(caption.startswith("abnormal") for caption in captions)
    assert page.until("#status .result").text == f"{abnormal} of 3 photos abnormal"


def test_what_cannot_be_read_is_told_by_name(page: Visitor) -> None:
    assert "new-broken.png" in page.until("#status").text


def test_the_slider_judges_again(page: Visitor) -> None:
    before, picture = page.captions(), page.until("#list img").get_attribute("src")
    meaning = page.until("#meaning").text
    assert "About 10% of good photos" in meaning
    page.until("#slider input[type=range]").send_keys(Keys.END)
    page.until("#status .result", "0 of 3 photos abnormal")
    assert all(caption.startswith("good ") for caption in page.captions())
    assert page.until("#list img").get_attribute("src") != picture  # its frame and colours
    assert page.until("#card .badge").text == "good"
    assert "less than 0.1%" in page.until("#meaning").text
    page.until("#slider input[type=range]").send_keys(Keys.HOME)
    page.until("#status .result", "3 of 3 photos abnormal")
    page.click("#back")
    page.until("#meaning", meaning)
    assert page.captions() == before


def test_a_photo_is_chosen_and_explained(page: Visitor) -> None:
    page.click("#list .gallery-item:nth-child(2) button")
    page.until("#card header", page.captions()[1].rsplit(", ", 1)[1])
    page.click("#why input")
    why = page.until("#card .why")
    assert "nearest good patch" in why.text
    assert "good photo: good-" in why.text
    shown = page.run("return [...document.querySelectorAll('#card img')].map((image) => image.naturalWidth)")
    assert len(shown) >= 3 + 1 + 3 + 4  # panels, legend, a region, adapters and alignment
    assert min(shown) > 0
    page.click("#why input")
    WebDriverWait(page.driver, 20).until(lambda _: page.run("return !document.querySelector('#card .why')"))


def test_table_pictures_and_part_are_downloaded(page: Visitor) -> None:
    for button in ("#table", "#pictures", "#part"):
        page.click(button)
        page.downloaded({"#table": "verdicts.csv", "#pictures": "pictures.zip", "#part": "part.ckpt"}[button])
    table = pd.read_csv(page.downloads / "verdicts.csv")
    assert list(table.path) == [caption.rsplit(", ", 1)[1] for caption in page.captions()]
    assert list(table.label) == [int(caption.startswith("abnormal")) for caption in page.captions()]


def test_a_phone_shows_all_without_scrolling_sideways(page: Visitor) -> None:
    page.resize(390, 844)
    try:
        wide = "return [document.documentElement.scrollWidth, Math.max(...[...document.querySelectorAll('#card *')]"
        assert max(page.run(f"{wide}.map((part) => part.getBoundingClientRect().right))]")) <= 390
        assert page.until("#judge").size["width"] > 200
    finally:
        page.resize(1280)


def test_styles_reach_gradios_components(page: Visitor) -> None:
    style = "return getComputedStyle(document.querySelector('{}'))['{}']"
    assert page.run(style.format("#list .caption-label", "position")) == "static"
    assert page.run(style.format("#slider .tab-like-container", "display")) == "none"
    assert page.run(style.format("#status .html-container", "padding")) == "0px"
    assert page.run(style.format("#list .grid-wrap", "overflow-y")) == "auto"
    assert page.run(style.format("#list .thumbnail-item.selected", "outline-width")) == "2px"


def test_nothing_is_asked_of_other_machines(page: Visitor) -> None:
    asked = {url for url in page.requests() if urlsplit(url).scheme not in {"data", "blob", "chrome"}}
    assert any("assets" in url for url in asked)
    assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}


def test_the_page_names_nothing_to_load_from_elsewhere(address: str) -> None:
    with urllib.request.urlopen(address) as answer:  # noqa: S310  # of loopback
        text = answer.read().decode()
    named = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(https?:)?//([^"')\s]+)""", text)
    assert {host.split(":")[0] for _, host in named} <= {"127.0.0.1"}
    assert '"analytics_enabled":false' in text.replace(" ", "")


def test_uploads_are_bounded(address: str) -> None:
    with urllib.request.urlopen(address) as answer:  # noqa: S310
        assert f'"max_file_size":{512 * 1024**2}' in answer.read().decode().replace(" ", "")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "example.org"}, 400),
        ({"Origin": "https://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_other_names_and_other_pages_are_refused(address: str, headers: dict[str, str], code: int) -> None:
    request = urllib.request.Request(f"{address}gradio_api/upload", b"", headers)  # noqa: S310
    with pytest.raises(urllib.error.HTTPError, match=str(code)):
        urllib.request.urlopen(request)  # noqa: S310


def test_a_part_that_was_kept_takes_the_place_of_good_photos(page: Visitor, photos: Path) -> None:
    page.click("#part")
    part_file = page.downloaded("part.ckpt")
    before = page.captions()
    page.open()
    page.click("#keep > button")
    page.drop("#kept", [part_file])
    page.until("#source", "part.ckpt")
    page.drop("#new", sorted(photos.glob("new-?.png")))
    page.click("#judge")
    page.until("#status .result", "of 3 photos abnormal")
    assert page.captions() == before


def test_a_closed_page_leaves_no_files(page: Visitor, uploads: Path) -> None:
    [root] = uploads.glob("anomalib-adaptclip-*")
    page.driver.get("about:blank")
    WebDriverWait(page.driver, 20).until(lambda _: not [file for file in root.rglob("*") if _has_content(file)])


def _has_content(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
