# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Images on their way to workers and back: none is lost when the worker ends that has it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import uuid4

from litserve import LitServer
from litserve.specs.base import LitSpec
from litserve.utils import ResponseBufferItem, WorkerSetupStatus

from .judge import Photo, refused
from .limits import ATTEMPTS

_LOOK = 0.2  # seconds between two looks at the workers
_GRACE = 0.5  # seconds; longer than a worker that has ended may still be handed an image


class Verdict(NamedTuple):
    """What came back of an image.

    Attributes:
        answer: The fields of a ``Judged`` or a ``Refused``.
        batch: Images that were judged together, 0 if it was not judged.
        seconds: Time that they took.
    """

    answer: dict[str, Any]
    batch: int = 0
    seconds: float = 0.0


@dataclass
class _Sent:
    photo: Photo
    item: ResponseBufferItem
    losses: int = 0


class Dispatcher(LitSpec):  # type: ignore[misc]  # LitServe has no types
    """Hands images to LitServe's queue, and waits for their answers; in the process that speaks HTTP.

    LitServe restarts a worker that ended, and forgets what it had. Here such images are sent again, each to be judged
    alone, for one of them may be what ended it.

    Args:
        on_loss: Told of each worker that ended.
    """

    def __init__(self, on_loss: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.api_path = "/judge"
        self._on_loss = on_loss
        self._sent: dict[str, _Sent] = {}
        self._sender: ThreadPoolExecutor | None = None
        self._statuses: Any = {}

    def __getstate__(self) -> dict[str, Any]:
        """What goes to workers, which use none of it."""
        return dict.fromkeys(self.__dict__) | {"_endpoints": [], "api_path": self.api_path}

    def setup(self, server: LitServer) -> None:
        """Take what LitServe made: the queue, where answers arrive, and what is known of workers."""
        super().setup(server)
        self._statuses = server.workers_setup_status

    @property
    def waiting(self) -> int:
        """Images that wait for an answer."""
        return len(self._sent)

    async def judge(self, photo: Photo) -> Verdict:
        """Have an image judged. Cancelled, it is forgotten.

        Args:
            photo: The image.
        """
        uid = str(uuid4())
        sent = self._sent[uid] = _Sent(photo, ResponseBufferItem(event=asyncio.Event()))
        self.response_buffer[uid] = sent.item
        try:
            await self._send(uid, photo)
            await sent.item.event.wait()
            return Verdict(*sent.item.response[0])
        finally:
            self.response_buffer.pop(uid, None)
            self._sent.pop(uid, None)

    async def _send(self, uid: str, photo: Photo) -> None:
        if self._sender is None:
            self._sender = ThreadPoolExecutor(1, "sender")  # one, which keeps their order
        message = (self.response_queue_id, uid, time.monotonic(), photo)
        await asyncio.get_running_loop().run_in_executor(self._sender, self.request_queue.put, message)

    async def statuses(self) -> dict[str, bool]:
        """Whether each worker is ready, by its number."""
        found: Mapping[str, str] = await asyncio.to_thread(self._statuses.copy)
        return {name.rpartition("_")[2]: status == WorkerSetupStatus.READY for name, status in found.items()}

    async def look_after_workers(self) -> None:
        """Send again what workers had that ended, for ever."""
        before: set[str] = set()
        while True:
            await asyncio.sleep(_LOOK)
            ready = {number for number, is_ready in (await self.statuses()).items() if is_ready}
            if lost := before - ready:
                for _ in lost:
                    self._on_loss()
                await asyncio.sleep(_GRACE)
                await self._send_again({int(number) for number in lost})
            before = ready

    async def _send_again(self, lost: set[int]) -> None:
        """Send what these workers had, and what none has owned to have: it may have been on its way to them.

        What waits in the queue may be there twice then. The first answer counts.
        """
        for uid, sent in [*self._sent.items()]:
            worker = sent.item.worker_id
            if sent.item.event.is_set() or (worker is not None and worker not in lost):
                continue
            if worker is not None:
                sent.losses += 1
                sent.item.worker_id = None
            if sent.losses > ATTEMPTS:
                name = sent.photo.name
                text = f"The worker that judged {name} ended, {sent.losses} times. The service's log may say why."
                sent.item.response = (tuple(Verdict(refused(name, "internal", text))), None)
                sent.item.event.set()
            else:
                await self._send(uid, replace(sent.photo, is_retry=sent.losses > 0))
