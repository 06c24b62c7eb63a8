# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``serve``: verdicts by HTTP, and on the files of a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .console import say
from .inspect import remedy_of_missing_weights
from .options import Runtime


def serve(
    model: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str | Sequence[str] = "cpu",
    workers: int = 1,
    batch_size: int = 8,
    runtime: Runtime = "torch",
    max_images: int = 64,
    max_mib: int = 64,
    watch: Path | None = None,
    table: Path | None = None,
    *,
    options: dict[str, Any],
) -> None:
    """Judge images that are sent by HTTP: POST them to /judge as files of a form. Runs until Ctrl-C or SIGTERM.

    Only this machine can reach it, unless a host says otherwise. Where the environment variable
    ANOMALIB_ADAPTCLIP_TOKEN is set, requests must hold it: 'Authorization: Bearer TOKEN'. With a watched folder the
    files that come into it are judged as well, once each, into a table.

    Args:
        model: part.ckpt of an inspection, another checkpoint, or a prompt bank.
        host: Address to bind to: 127.0.0.1, or 0.0.0.0 or :: for all networks, which need a token.
        port: Port, from 1024 on.
        device: Where to compute: cpu, cuda, cuda:1 and so on; several as [cuda:0,cuda:1].
        workers: Processes for each device, each with the model.
        batch_size: Most images that are judged together, of all requests.
        runtime: OpenVINO is often faster on processors.
        max_images: Most images of a request.
        max_mib: Most MiB of a request.
        watch: Folder whose images are judged as they are completed, also those that came before.
        table: CSV file for the verdicts on them. By default FOLDER-verdicts.csv beside the folder.
        options: Those of PartOptions that are given.

    Raises:
        ValueError: If an argument or a file is wrong, or an extra is not installed.
        FileNotFoundError: If there is no such file.
        ConnectionError: If weights cannot be downloaded.
    """
    from anomalib_adaptclip.app.models import require_model_file
    from anomalib_adaptclip.argument_types import require_at_least
    from anomalib_adaptclip.model.predictor import require_device
    from anomalib_adaptclip.service.limits import Limits, require_place, require_serve, token_of_environment

    require_serve()
    token = token_of_environment()
    require_place(host, port, token)
    require_at_least(1, workers=workers, batch_size=batch_size, max_images=max_images, max_mib=max_mib)
    devices = [device] if isinstance(device, str) else list(device)
    if not devices:
        msg = "device must name at least one; got []. Take cpu."
        raise ValueError(msg)
    for one in devices:
        require_device(one)
    if not model.exists():
        msg = f"There is no file {model}. Name a checkpoint, such as part.ckpt of an inspection, or a prompt bank."
        raise FileNotFoundError(msg)
    require_model_file(model)
    if table is not None and watch is None:
        msg = f"table={table} is for the verdicts on a watched folder. Name the folder by --watch, or leave it out."
        raise ValueError(msg)

    from anomalib_adaptclip.service.judge import Opening
    from anomalib_adaptclip.service.server import Place, Server
    from anomalib_adaptclip.service.watching import Watched, require_watched

    watched = Watched(watch, table or default_table(watch)) if watch is not None else None
    if watched is not None:
        require_watched(watched)
    opening = Opening(model, options, runtime)
    with remedy_of_missing_weights():
        known = opening.predictor("cpu").model  # workers that cannot open it would say so in a log alone
    categories = None if known.prompt_bank is None else list(known.prompt_bank.names)
    del known
    limits = Limits(max_images, max_mib * 1024**2)
    place = Place(host, port, devices, workers, token)
    server = Server(opening, place, batch_size, limits, categories, watched)
    say(f"Starting {place.all_workers} worker{'s' if place.all_workers > 1 else ''} ...")
    server.serve(lambda: say(f"Images are judged at http://{host}:{port}/judge. Press Ctrl-C to end it."))
    say("The service has ended.")


def default_table(watch: Path) -> Path:
    """Table of a watched folder: beside it, for a table in it might be moved away with its images."""
    folder = watch.absolute()
    return folder.with_name(f"{folder.name}-verdicts.csv")
