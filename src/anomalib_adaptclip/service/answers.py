# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What is answered: plain data that becomes JSON, described for OpenAPI.

Letters: h and w pixels of a map.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Reason = Literal["kind", "damaged", "category", "internal"]
"""Why an image is not judged: it is no image, or of an unknown kind; it is damaged or too large; the prompt bank does
not know what it shows; or it is the service's fault."""
Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=0)]


class RegionAnswer(BaseModel):
    """An abnormal region: pixels above the threshold that are connected."""

    box: Annotated[list[Pixels], Field(min_length=4, max_length=4)] = Field(
        description="Left, top, right and bottom in pixels of the upright image; right and bottom are exclusive."
    )
    area: int = Field(ge=1, description="Marked pixels of the image.")
    score: Share | None = Field(description="Largest value of the map in the region.")


class MapAnswer(BaseModel):
    """The anomaly map in its own pixels, before normalisation."""

    png: str = Field(description="PNG of 16 bits grey in base64: a value in [0, 1] is the pixel divided by 65535.")
    box: Annotated[list[float], Field(min_length=4, max_length=4)] = Field(
        description="Left, top, right and bottom of the map in pixels of the upright image."
    )


class Judged(BaseModel):
    """What is said of an image."""

    name: str = Field(description="Its file's name, as it was sent.")
    label: Literal[0, 1] | None = Field(description="1 for abnormal, 0 for good, null where there is no threshold.")
    verdict: Literal["good", "abnormal"] | None = Field(description="The label in a word.")
    score: Share = Field(description="Anomaly score before normalisation.")
    threshold: Share | None = Field(description="Scores above it are abnormal; null without one.")
    normalized_score: Share = Field(description="Anomaly score as anomalib shows it: 0.5 is the threshold.")
    normal_share: Share | None = Field(description="Share of good images that are expected to score as high.")
    category: str | None = Field(description="What it was compared with, for a model with a prompt bank.")
    size: Annotated[list[int], Field(min_length=2, max_length=2)] = Field(
        description="Height and width of the upright image in pixels."
    )
    regions: list[RegionAnswer] = Field(description="Abnormal regions, from top to bottom.")
    map: MapAnswer | None = Field(description="On request.")
    picture: str | None = Field(description="On request: photo, heat map and outlines, a PNG in base64.")


class Refused(BaseModel):
    """Why an image is not judged."""

    name: str = Field(description="Its file's name, as it was sent.")
    reason: Reason
    error: str = Field(description="What was expected, what came, what to do.")


class Answer(BaseModel):
    """An answer for each image, in the order in which they were sent."""

    images: list[Judged | Refused]


class Problem(BaseModel):
    """Why a whole request is refused."""

    detail: str


class Health(BaseModel):
    """Whether images can be judged."""

    status: Literal["ok", "starting"]
    workers: int = Field(description="Workers that there should be.")
    ready: int = Field(description="Workers that can judge now.")
