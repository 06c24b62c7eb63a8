# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Headless Chromium that is clicked through, and the page's command that it visits."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.ui import WebDriverWait

from tests.comparison.browser import FLAGS, require_chromium, require_program

SECONDS = 40


class Visitor:
    """A browser's tab on the page.

    Args:
        driver: The browser.
        address: Address of the page.
        downloads: Where the browser saves files.
    """

    def __init__(self, driver: webdriver.Chrome, address: str, downloads: Path) -> None:
        self.driver = driver
        self.address = address
        self.downloads = downloads
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})

    def open(self) -> None:
        """Open the page anew."""
        self.driver.get(self.address)
        self.until("#judge")

    def until(self, selector: str, text: str = "") -> WebElement:
        """Wait for a visible element that has a text."""

        def find(driver: webdriver.Chrome) -> WebElement | None:
            found = driver.find_elements(By.CSS_SELECTOR, selector)
            return next((one for one in found if one.is_displayed() and text in one.text), None)

        message = f"{selector} with {text!r}"
        found = WebDriverWait(self.driver, SECONDS, 0.05, [StaleElementReferenceException]).until(find, message)
        assert found is not None
        return found

    def drop(self, zone: str, files: Sequence[Path]) -> None:
        """Give files to an upload field, and wait until several are there; a single one may be taken at once."""
        present = presence_of_element_located((By.CSS_SELECTOR, f"{zone} input[type=file]"))  # it is never visible
        field = WebDriverWait(self.driver, SECONDS, 0.05).until(present, zone)
        field.send_keys("\n".join(map(str, files)))
        if len(files) > 1:
            rows = f"return document.querySelectorAll('{zone} .file-preview tr').length == {len(files)}"
            WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: self.run(rows), zone)

    def click(self, selector: str) -> None:
        self.until(selector).click()

    def captions(self) -> list[str]:
        """What stands below the small pictures, from the first to the last."""
        self.until("#list .caption-label")
        return [one.text for one in self.driver.find_elements(By.CSS_SELECTOR, "#list .caption-label")]

    def resize(self, width: int, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def downloaded(self, name: str) -> Path:
        """Wait for a file."""
        file = self.downloads / name
        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: file.exists() and file.stat().st_size > 0)
        return file

    def requests(self) -> set[str]:
        """Addresses that were asked for since the last call."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = (one["params"] for one in messages if one["method"].startswith("Network."))
        return {one["request"]["url"] for one in asked if "request" in one} | {
            one["url"] for one in asked if "url" in one
        }


@contextmanager
def visitor(address: str, folder: Path) -> Iterator[Visitor]:
    """A new browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = require_chromium()
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    program = require_program("chromedriver", package="chromium-driver")
    driver = webdriver.Chrome(options, webdriver.ChromeService(program))
    try:
        yield Visitor(driver, address, folder)
    finally:
        driver.quit()


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[str]:
    """The command `app` as a process whose temporary files lie in a folder: the page's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # nothing may go there
    environment = os.environ | nowhere | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    process = subprocess.Popen(
        [sys.executable, "-m", "anomalib_adaptclip_cli.main", "app", *arguments, "--port", str(port)],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert "The page is at " in line, line
        yield line.split()[4]
        process.send_signal(signal.SIGINT)
        assert "what was sent to it is removed" in process.communicate(timeout=20)[0]
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
