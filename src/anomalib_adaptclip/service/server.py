# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Starts and ends the service: LitServe's workers, and one process that speaks HTTP."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from fastapi import FastAPI
from litserve import LitServer
from starlette.middleware import Middleware

from anomalib_adaptclip.app.guard import guards

from .dispatch import Dispatcher
from .endpoints import Service
from .guard import Forms, Sizes, Token
from .judge import Opening, Photo
from .limits import LOOPBACK, NAMES, Limits
from .metrics import Metrics
from .watching import FolderWatch, Watched
from .worker import JudgeAPI


@dataclass(frozen=True)
class Place:
    """Where the service runs.

    Attributes:
        host: Address to bind to.
        port: Its port.
        devices: Where to compute.
        workers: Processes for each device.
        token: What requests must know; empty for nothing.
    """

    host: str = LOOPBACK
    port: int = 8000
    devices: Sequence[str] = ("cpu",)
    workers: int = 1
    token: str = field(default="", repr=False)

    @property
    def all_workers(self) -> int:
        """Number of worker processes."""
        return self.workers * len(self.devices)


class Server(LitServer):  # type: ignore[misc]  # LitServe has no types
    """LitServe's server with paths and guards of ours: of its own it needs none.

    Args:
        opening: How workers open the model.
        place: Where it runs.
        batch_size: Most images of a batch.
        limits: What is taken.
        categories: Names that the model's prompt bank knows; None without a bank.
        watched: Folder to watch; None for none.
    """

    def __init__(
        self,
        opening: Opening,
        place: Place,
        batch_size: int = 8,
        limits: Limits | None = None,
        categories: Sequence[str] | None = None,
        watched: Watched | None = None,
    ) -> None:
        limits = limits or Limits()
        metrics = Metrics()
        self.dispatcher = Dispatcher(metrics.lost)
        self.place = place
        self._watched, self._categories = watched, categories
        self._is_ready, self._pid = False, os.getpid()
        kind = torch.device(place.devices[0]).type
        threads = max(1, torch.get_num_threads() // place.all_workers) if kind == "cpu" else 0
        super().__init__(
            JudgeAPI(opening, batch_size, threads, self.dispatcher),
            accelerator="cpu",  # the devices follow: LitServe would choose among all that there are
            workers_per_device=place.workers,
            timeout=False,
            restart_workers=True,
            disable_openapi_url=True,
        )
        self.devices = list(place.devices)
        self.monitor_internal = 0.5  # seconds until a worker that ended is missed
        self.service = Service(self.dispatcher, metrics, limits, place.all_workers, categories)
        self.app = self._guarded(self.service.application(self.lifespan), limits)

    def _guarded(self, app: FastAPI, limits: Limits) -> FastAPI:
        own = guards(NAMES if self.place.host == LOOPBACK else ["*"])
        token = [Middleware(Token, token=self.place.token)] if self.place.token else []
        app.user_middleware = [*own, *token, Middleware(Forms, path="/judge"), Middleware(Sizes, limits=limits)]
        app.response_queue_id = None  # type: ignore[attr-defined]  # as LitServe has it
        return app

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """What is done in the process that speaks HTTP, while it does."""
        tasks = [
            asyncio.create_task(self.dispatcher.look_after_workers()),
            asyncio.create_task(_end_with(os.getppid())),
        ]
        async with super().lifespan(app):
            watch = self._watch(asyncio.get_running_loop())
            if watch is not None:
                watch.start()
            yield
            if watch is not None:
                await asyncio.to_thread(watch.stop)
            for task in tasks:
                task.cancel()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> FolderWatch | None:
        def judge(photos: Sequence[Photo]) -> list[dict[str, Any]]:
            verdicts = asyncio.run_coroutine_threadsafe(self.service.verdicts(photos), loop).result()
            return [verdict.answer for verdict in verdicts]

        return None if self._watched is None else FolderWatch(self._watched, judge, self._categories)

    def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGINT or SIGTERM comes.

        Args:
            on_ready: Called when images can be judged.
        """
        self._on_ready = on_ready
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._end)
        try:
            self.run(
                host=self.place.host,
                port=self.place.port,
                num_api_servers=1,  # all that is counted is counted there
                log_level="warning",
                generate_client_file=False,
                access_log=False,
                server_header=False,
            )
        except (KeyboardInterrupt, EOFError, ConnectionError):
            pass  # before it was ready, or all its processes got the signal
        finally:
            for child in multiprocessing.active_children():
                child.terminate()

    def _end(self, *_: object) -> None:
        """End when a signal came.

        LitServe is told by its event: when an interrupt ends it, it replaces the workers that it ends.
        """
        if os.getpid() != self._pid:
            return  # the process that speaks HTTP, which has ended by itself
        if not self._is_ready:
            raise KeyboardInterrupt
        # In a thread: this one is amid a call to the process that has the event.
        threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        with suppress(OSError, EOFError):  # it has ended meanwhile
            self._shutdown_event.set()

    def _start_server(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # as of LitServe
        started = super()._start_server(*arguments, **options)
        self._is_ready = True
        self._on_ready()
        return started


async def _end_with(parent: int) -> None:
    """End this process when the one that started it is killed."""
    while os.getppid() == parent:
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
