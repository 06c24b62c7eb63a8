# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the service counts, for Prometheus."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from .dispatch import Verdict

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: Any = {"registry": self.registry, "namespace": "anomalib_adaptclip"}
        self._requests = Counter("requests", "Requests to judge images, by status of the answer.", ["status"], **own)
        self._seconds = Histogram("request_seconds", "Time until a request to judge images is answered.", **own)
        self._images = Counter("images", "Images by verdict: good, abnormal, none, or refused.", ["verdict"], **own)
        self._batch = Histogram("batch_images", "Images that were judged together.", buckets=_BATCHES, **own)
        self._waiting = Gauge("waiting_images", "Images that wait for an answer.", **own)
        self._ready = Gauge("ready_workers", "Workers that can judge now.", **own)
        self._losses = Counter("lost_workers", "Workers that ended and were replaced.", **own)

    def answered(self, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def judged(self, verdict: Verdict) -> None:
        """Count an image."""
        answer = verdict.answer
        self._images.labels("refused" if "error" in answer else answer["verdict"] or "none").inc()
        if verdict.batch:
            self._batch.observe(verdict.batch)

    def lost(self) -> None:
        """Count a worker that ended."""
        self._losses.inc()

    def text(self, waiting: int, ready: int) -> bytes:
        """All figures in Prometheus' format.

        Args:
            waiting: Images that wait for an answer.
            ready: Workers that can judge now.
        """
        self._waiting.set(waiting)
        self._ready.set(ready)
        return generate_latest(self.registry)
