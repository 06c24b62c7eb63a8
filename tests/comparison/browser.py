# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Headless Chromium: what it makes of a page, and what it complains of."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
# Written into the page when it is loaded: what a reader would miss.
PROBE = """
addEventListener("load", () => {
  document.querySelectorAll("details").forEach((part) => (part.open = true));
  const all = (selector) => [...document.querySelectorAll(selector)];
  const visible = (part) => part.getBoundingClientRect().width > 20 && part.getBoundingClientRect().height > 20;
  document.body.dataset.found = JSON.stringify({
    images: all("img").length,
    broken: all("img").filter((image) => !image.complete || image.naturalWidth === 0).length,
    without_text: all("img").filter((image) => !image.alt).length,
    hidden: all("img, svg, table").filter((part) => !visible(part)).length,
    plots: all("figure svg").length,
    tables: all("table").length,
    without_caption: all("table").filter((table) => !table.caption || !table.caption.textContent.trim()).length,
    headings: all("h1, h2, h3, h4").map((heading) => heading.textContent),
    missing_targets: all("a[href^='#']").filter((link) => !document.querySelector(link.hash)).length,
    loaded: performance
      .getEntriesByType("resource")
      .map((entry) => entry.name)
      .filter((name) => !name.startsWith("data:")),
    twice: all("[id]").map((part) => part.id).filter((id, place, ids) => ids.indexOf(id) !== place),
    too_wide: document.documentElement.scrollWidth > innerWidth,
    cut_galleries: all(".scroll:has(.gallery)").filter((part) => part.scrollWidth > part.clientWidth).length,
    rows_of_averages: new Set(all("#averages table").map((table) => table.getBoundingClientRect().top)).size,
    ink: getComputedStyle(document.body).color,
  });
});
"""


def require_chromium() -> str:
    """The browser. Without it tests are skipped, but fail in CI, which installs it."""
    return require_program("chromium", "chromium-browser")


def require_program(name: str, *others: str, package: str = "") -> str:
    """A program under one of its names. Without it tests are skipped, but fail in CI."""
    found = next(filter(None, map(shutil.which, (name, *others))), None)
    if found is None:
        message = f"There is no {name}: apt-get install {package or name}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def open_page(page: Path, tmp_path: Path, *options: str, width: int = 1400) -> tuple[str, list[str]]:
    """Open a page: what Chromium prints, and the messages of its console."""
    command = [
        require_chromium(), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000",
        "--enable-logging=stderr", *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def look_at(page: Path, tmp_path: Path, *options: str, width: int = 1400, probe: str = PROBE) -> dict[str, Any]:
    """What a probe finds when the page is loaded. A copy is opened that runs it, which the page's policy forbids."""
    text = page.read_text(encoding="utf-8")
    copy = tmp_path / "probed.html"
    probed = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", text)
    copy.write_text(probed.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
    printed, _ = open_page(copy, tmp_path, "--dump-dom", "--virtual-time-budget=5000", *options, width=width)
    [found] = re.findall(r'data-found="([^"]*)"', printed)
    content: dict[str, Any] = json.loads(html.unescape(found))
    return content
