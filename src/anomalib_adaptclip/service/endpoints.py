# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The paths of the service: images to judge, health, metrics, and what OpenAPI says of them."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.types import Lifespan

from anomalib_adaptclip.version import __version__

from .answers import Answer, Health, Problem
from .dispatch import Dispatcher, Verdict
from .judge import Photo
from .limits import Limits
from .metrics import CONTENT_TYPE, Metrics
from .requests import photos_of

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "The request cannot be read.",
        401: "The token is missing or wrong.",
        413: "The request is too large, or has too many images.",
        503: "Too many images are waiting, or no worker is ready.",
        504: "There was no answer in time.",
    }.items()
}
_IMAGES: dict[int | str, dict[str, Any]] = {
    415: {"model": Answer | Problem, "description": "The request is no form with files, or none of them is an image."},
    422: {"model": Answer | Problem, "description": "None of the images can be judged, or a field is wrong."},
    500: {"model": Answer | Problem, "description": "The service failed."},
}


class Service:
    """What is answered under each path.

    Args:
        dispatcher: Has images judged.
        metrics: Counts.
        limits: What is taken.
        workers: Number of workers that there should be.
        categories: Names that the model's prompt bank knows; None without a bank.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        metrics: Metrics,
        limits: Limits,
        workers: int,
        categories: Sequence[str] | None = None,
    ) -> None:
        self._dispatcher, self._metrics, self._limits = dispatcher, metrics, limits
        self._workers, self._categories = workers, categories

    def application(self, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
        """The application, without guards. It has no page of documentation: that would load scripts from elsewhere.

        Args:
            lifespan: What is done around its life.
        """
        app = FastAPI(
            title="anomalib-adaptclip",
            version=__version__,
            description="Verdicts on images by a model of anomalib-adaptclip.",
            docs_url=None,
            redoc_url=None,
            lifespan=lifespan,
            exception_handlers={RequestValidationError: _in_words},
        )
        app.add_api_route("/judge", self.judge, methods=["POST"], response_model=Answer, responses=_PROBLEMS | _IMAGES)
        app.add_api_route("/health", self.health, response_model=Health, responses={503: {"model": Health}})
        app.add_api_route(
            "/metrics",
            self.metrics,
            response_class=Response,
            responses={200: {"content": {"text/plain": {}}}, 401: _PROBLEMS[401]},
        )
        return app

    async def judge(
        self,
        images: Annotated[
            list[UploadFile], File(min_length=1, description="Files, one or many: PNG, JPEG, TIFF and others.")
        ],
        category: Annotated[
            list[str] | None, Form(description="For a model with a prompt bank: once for all, or for each.")
        ] = None,
        map: Annotated[bool, Form(description="Whether maps are wanted.")] = False,  # noqa: A002  # their names in the form
        picture: Annotated[bool, Form(description="Whether pictures are wanted.")] = False,
    ) -> Response:
        """Judge images. One that cannot be judged does not spoil the others."""
        start = time.monotonic()
        try:
            response = await self._judge(images, category or [], wants_map=map, wants_picture=picture)
        except HTTPException as error:
            self._metrics.answered(error.status_code, time.monotonic() - start)
            raise
        self._metrics.answered(response.status_code, time.monotonic() - start)
        return response

    async def _judge(
        self, images: Sequence[UploadFile], categories: Sequence[str], *, wants_map: bool, wants_picture: bool
    ) -> Response:
        if self._dispatcher.waiting + len(images) > self._limits.waiting_images:
            raise HTTPException(503, "Too many images are waiting. Send these again later.", {"Retry-After": "1"})
        photos = await photos_of(
            images, categories, self._categories, self._limits, wants_map=wants_map, wants_picture=wants_picture
        )
        try:
            verdicts = await asyncio.wait_for(self.verdicts(photos), self._limits.seconds)
        except TimeoutError as error:
            raise HTTPException(
                504, f"There was no answer in {self._limits.seconds:g} s. Send fewer images."
            ) from error
        answers = [verdict.answer for verdict in verdicts]
        return JSONResponse({"images": answers}, status_of(answers))

    async def verdicts(self, photos: Sequence[Photo]) -> list[Verdict]:
        """Have photos judged, and count them."""
        verdicts = await asyncio.gather(*(self._dispatcher.judge(photo) for photo in photos))
        for verdict in verdicts:
            self._metrics.judged(verdict)
        return verdicts

    async def health(self) -> Response:
        """Whether images can be judged now."""
        ready = sum((await self._dispatcher.statuses()).values())
        content = {"status": "ok" if ready else "starting", "workers": self._workers, "ready": ready}
        return JSONResponse(content, 200 if ready else 503)

    async def metrics(self) -> Response:
        """Counters and times in Prometheus' format."""
        ready = sum((await self._dispatcher.statuses()).values())
        return Response(self._metrics.text(self._dispatcher.waiting, ready), media_type=CONTENT_TYPE)


def status_of(answers: Sequence[dict[str, Any]]) -> int:
    """Status of HTTP: 200 if there is a verdict, else what is wrong with all."""
    if any("error" not in answer for answer in answers):
        return 200
    reasons = {answer["reason"] for answer in answers}
    return 500 if "internal" in reasons else 415 if reasons == {"kind"} else 422


async def _in_words(_: Request, error: Exception) -> Response:
    """Say what is wrong with a form."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    texts = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in found]
    return JSONResponse({"detail": f"The form is wrong. {'; '.join(texts)}. See /openapi.json."}, 422)
