# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``app``: the inspection as a page in a browser."""

import signal
import threading
from contextlib import suppress
from pathlib import Path

from .console import say
from .inspect import given_options, remedy_of_missing_weights


def app(
    model: Path | None = None,
    port: int | None = None,
    backbone: str | None = None,
    pretrained: str | None = None,
    adapters: str | None = None,
    class_name: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    false_positive_rate: float | None = None,
    white_level: float | None = None,
    device: str = "cpu",
) -> None:
    """Judge photos on a page in the browser: drop good ones and new ones. It is served to this machine alone.

    Args:
        model: part.ckpt of an inspection, or a prompt bank, to begin with. By default the page asks for good photos.
        port: Port of the page. By default the first free one from 7860 on.
        backbone: ViT-L-14-336, which is the default, ViT-B-16-plus-240, tiny (which needs no network) or another
            standard ViT of open_clip.
        pretrained: Weights of CLIP: a tag of open_clip or a local file. By default the backbone's usual weights.
        adapters: Source of the adapters: auto, mvtec, visa, generated, none or a file. By default auto.
        class_name: Name of what the photos show, for the texts. By default object.
        image_size: Height and width of the input in pixels. By default the backbone's usual size.
        false_positive_rate: Share of good photos that may be judged abnormal. By default 0.1.
        white_level: Value of white in images with more than 8 bits, such as 4095 for 12 bits in files of 16.
        device: Where to compute: cpu, cuda, cuda:1 and so on.

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
    options = given_options(
        backbone=backbone,
        pretrained=pretrained,
        adapters=adapters,
        class_name=class_name,
        image_size=image_size,
        false_positive_rate=false_positive_rate,
        white_level=white_level,
    )
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
