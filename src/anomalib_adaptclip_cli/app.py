# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``app``: the inspection as a page in a browser."""

import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from .console import say
from .inspect import remedy_of_missing_weights


def app(model: Path | None = None, port: int | None = None, device: str = "cpu", *, options: dict[str, Any]) -> None:
    """Judge photos on a page in the browser: drop good ones and new ones. It is served to this machine alone.

    Args:
        model: part.ckpt of an inspection, or a prompt bank, to begin with. By default the page asks for good photos.
        port: Port of the page. By default the first free one from 7860 on.
        device: Where to compute: cpu, cuda, cuda:1 and so on.
        options: Those of PartOptions that are given.

    Raises:
        ValueError: If an argument or a file is wrong, or Gradio is not installed.
        FileNotFoundError: If there is no such file.
        ConnectionError: If weights cannot be downloaded.
    """
    from anomalib_adaptclip.app.models import Settings, require_model_file
    from anomalib_adaptclip.app.serving import free_port, require_gradio, served
    from anomalib_adaptclip.app.sessions import Beginning
    from anomalib_adaptclip.model.predictor import require_device

    require_gradio()
    require_device(device)
    port = free_port(port)
    if model is not None:
        require_model_file(model)
    settings = Settings(options, device)
    with remedy_of_missing_weights():
        known = settings.open(model, strict=True) if model else None
        if model is None:
            settings.require_weights()
    with served(Beginning(settings, known, model.name if model else ""), port) as address:
        say(f"The page is at {address} for browsers on this machine. Press Ctrl-C to end it.")
        _wait()
    say("The page has ended, and what was sent to it is removed.")


def _wait() -> None:
    """Wait to be told to end."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with suppress(KeyboardInterrupt):
            ended.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
