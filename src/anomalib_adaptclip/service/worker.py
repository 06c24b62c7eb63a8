# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A worker of the service: a process that takes images from the queue of all requests, and judges them in batches."""

import logging
import multiprocessing
import os
import signal
import sys
import time
import warnings
from queue import Empty, Queue
from typing import Any

import torch
from litserve import LitAPI
from litserve.loops import LitLoop
from litserve.specs.base import LitSpec
from litserve.transport.base import MessageTransport
from litserve.utils import LitAPIStatus, LoopResponseType

from anomalib_adaptclip.files.quiet import quiet_hosts

from .judge import Judge, Opening, Photo, refused

logger = logging.getLogger(__name__)

_PATIENCE = 0.2  # seconds that an idle worker waits for an image before it looks whether the service has ended
_GATHERING = 0.01  # seconds that the first image of a batch waits for others


class JudgeAPI(LitAPI):  # type: ignore[misc]  # LitServe has no types
    """What LitServe runs in each worker.

    Args:
        opening: How the model is opened.
        batch_size: Most images of a batch.
        threads: Threads of each worker for arithmetic; 0 leaves them to torch.
        spec: Takes the requests.
    """

    def __init__(self, opening: Opening, batch_size: int, threads: int, spec: LitSpec) -> None:
        super().__init__(max_batch_size=batch_size, api_path="/judge", loop=JudgeLoop(), spec=spec)
        self._opening, self._threads = opening, threads
        self._judge: Judge | None = None

    def setup(self, device: Any) -> None:  # noqa: ANN401  # a name, or a list with one
        """Open the model, in the worker."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends its workers in order
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        quiet_hosts()
        if self._threads:
            torch.set_num_threads(self._threads)
        self._judge = Judge(self._opening.predictor(device if isinstance(device, str) else device[0]))

    def predict(self, x: Any, **_: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # as LitServe has it
        """Judge a list of photos."""
        assert self._judge is not None  # noqa: S101  # setup came before, for the type checker
        try:
            return self._judge.judge(x)
        except Exception:
            logger.exception("A batch cannot be judged")
            return [
                refused(photo.name, "internal", f"The service failed on {photo.name}; its log says why.") for photo in x
            ]


class JudgeLoop(LitLoop):  # type: ignore[misc]  # LitServe has no types
    """Waits for images without turning in circles, and judges those alone that may have ended a worker before.

    LitServe's own loop asks the queue a thousand times a second while there is nothing to do.
    """

    def __call__(
        self,
        lit_api: LitAPI,
        device: str,
        worker_id: int,
        request_queue: Queue,  # type: ignore[type-arg]  # of LitServe's tuples
        transport: MessageTransport,
        workers_setup_status: Any,  # noqa: ANN401
        callback_runner: Any,  # noqa: ANN401
    ) -> None:
        """Judge until the service ends."""
        del device, worker_id, workers_setup_status, callback_runner
        kept: list[tuple[int, str, Photo]] = []
        while _service_lives():
            batch, kept = self._gather(request_queue, transport, kept, lit_api.max_batch_size)
            if not batch:
                continue
            start = time.perf_counter()
            answers = lit_api.predict([photo for _, _, photo in batch])
            seconds = time.perf_counter() - start
            for (consumer, uid, _), answer in zip(batch, answers, strict=True):
                self._send(transport, consumer, uid, (answer, len(batch), seconds), LitAPIStatus.OK)
        os._exit(0)  # the queues have gone with the service

    def _gather(
        self,
        queue: Queue,  # type: ignore[type-arg]
        transport: MessageTransport,
        kept: list[tuple[int, str, Photo]],
        most: int,
    ) -> tuple[list[tuple[int, str, Photo]], list[tuple[int, str, Photo]]]:
        """A batch, and an image to be judged after it alone."""
        batch = list(kept)
        end = time.monotonic() + (_PATIENCE if not batch else 0)
        while len(batch) < most and not any(photo.is_retry for _, _, photo in batch):
            try:
                consumer, uid, _, photo = queue.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                break
            except (EOFError, OSError):  # the service has ended
                return [], []
            self._send(transport, consumer, uid, (), LitAPIStatus.START)
            if photo.is_retry and batch:
                return batch, [(consumer, uid, photo)]
            if not batch:
                end = time.monotonic() + _GATHERING
            batch.append((consumer, uid, photo))
        return batch, []

    def _send(self, transport: MessageTransport, consumer: int, uid: str, data: object, status: LitAPIStatus) -> None:
        self.put_response(transport, consumer, uid, data, status, LoopResponseType.REGULAR)


def _service_lives() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()
