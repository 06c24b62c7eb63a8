# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Writes predictions to a table, and to files of other formats beside it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, get_args

from anomalib.data import InferenceBatch

from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.files.atomic import require_file

from .coco_file import CocoFile
from .geometry import FileGeometry
from .image_result import ImageResult, image_results
from .picture_folder import absolute
from .prediction_row import row_of
from .prediction_table import PredictionTable, require_names, require_results
from .saved_images import SavedImages, draw_map, draw_mask
from .score_scale import ScoreScale

if TYPE_CHECKING:
    from typing_extensions import Self

SaveFormat = Literal["csv", "parquet", "jsonl", "coco", "masks", "maps"]
_TABLES = ("csv", "parquet", "jsonl")  # which are copies of the table


class ResultsWriter:
    """Writes predictions to a table, and beside it what else is wanted, image by image.

    Args:
        path: Table to create or replace, ``.csv`` or ``.parquet``; the names of all else begin as its name.
        save: Further formats: the table as ``"csv"``, ``"parquet"`` or ``"jsonl"``; ``"coco"``, regions as COCO's
            annotations; ``"masks"`` and ``"maps"``, PNG and TIFF files as large as the image files.
        roots: Folders that images come from. The first that holds an image is left out of its name.
        resume: Go on with an interrupted run, or add to its results.

    Attributes:
        table: The table.
        outputs: What is written beside it.

    Raises:
        ValueError: As of :class:`PredictionTable`, or if results of the run to go on with are lost.

    Example:
        >>> with ResultsWriter("results.csv", ["masks", "coco"], [folder]) as writer:  # doctest: +SKIP
        ...     for paths, predictions in predictor.stream(files):
        ...         writer.write(paths, predictions, predictor.geometry, predictor.scale)
    """

    def __init__(
        self, path: Path | str, save: Sequence[SaveFormat] = (), roots: Sequence[Path | str] = (), resume: bool = False
    ) -> None:
        path = require_results(path)
        require_save(save, path)
        self._copies = _copies(path, save)
        self._beside = [name for name in get_args(SaveFormat) if name in save and name not in _TABLES]
        self.table = PredictionTable(path, resume)
        try:
            self._parts = [self._part(name, [absolute(root) for root in roots]) for name in self._beside]
        except BaseException:
            self.table.abandon()
            raise
        self.outputs = [*self._copies, *(part.path for part in self._parts)]

    def _part(self, name: str, roots: Sequence[Path]) -> CocoFile | SavedImages:
        table = self.table
        if name == "coco":
            return CocoFile(_beside(table.path, ".coco.json"), roots, table.paths)
        suffix, draw = (".png", draw_mask) if name == "masks" else (".tiff", draw_map)
        folder = _beside(table.path, f"-{name}")
        return SavedImages(folder, suffix, draw, roots, table.paths, is_resumed=table.is_resumed)

    def require_names(self, paths: Iterable[str]) -> None:
        """Check that all tables can hold the names of images.

        Raises:
            ValueError: If one cannot.
        """
        paths = list(paths)
        for table in (self.table.path, *self._copies):
            require_names(table, paths)

    def require_same_run(self, identity: Mapping[str, str]) -> None:
        """Check that earlier results were made like those of this run, as of :meth:`PredictionTable.require_same_run`.

        Args:
            identity: All that the scores depend on, by name.
        """
        saved = {"saved files": ", ".join(self._beside)} if self._beside else {}
        self.table.require_same_run({**identity, **saved})

    def write(
        self,
        paths: Sequence[str],
        predictions: Any,  # noqa: ANN401
        geometry: FileGeometry | None = None,
        scale: ScoreScale | Sequence[ScoreScale] | None = None,
        raw: InferenceBatch | None = None,
    ) -> None:
        """Write the predictions of a batch. Their rows come last, so that no row lacks what else is wanted.

        Args:
            paths: As of :func:`image_results`.
            predictions: Likewise.
            geometry: Likewise.
            scale: Likewise.
            raw: Likewise.

        Raises:
            ValueError: If the predictions lack what is wanted.
            OSError: If something cannot be written. The table's draft is kept.
        """
        self.require_names(paths)
        self.write_results(image_results(paths, predictions, geometry, scale, raw))

    def write_results(self, results: Iterable[ImageResult]) -> None:
        """Write what predictions say of images, as :meth:`write` does.

        Args:
            results: As :func:`image_results` gives them.

        Raises:
            ValueError: If the predictions lack what is wanted.
            OSError: If something cannot be written. The table's draft is kept.
        """
        rows = []
        for result in results:
            for part in self._parts:
                part.write(result)
            rows.append(row_of(result))
        self.table.write(rows)

    def finish(self) -> None:
        """Complete all files, the table last."""
        try:
            for copy in self._copies:
                self.table.copy_to(copy)
            for part in self._parts:
                part.finish()
            self.table.finish()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Stop without finishing. Drafts stay."""
        for part in self._parts:
            part.abandon()
        self.table.abandon()

    def __enter__(self) -> "Self":
        """Return the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish, or abandon if there was an error."""
        if kind is None:
            self.finish()
        else:
            self.abandon()


def require_save(save: Sequence[str], path: Path | str | None) -> None:
    """Check further formats, before any work is done.

    Args:
        save: Names of formats.
        path: Table that they are written beside.

    Raises:
        ValueError: If there is no such format, no table, or something is not installed.
    """
    for name in save:
        require_choice("save", name, SaveFormat)
    if save and path is None:
        msg = f"save={list(save)} is written beside a table of results. Name it too: results=results.csv."
        raise ValueError(msg)
    if path is not None:
        _copies(Path(path), save)


def _copies(path: Path, save: Sequence[str]) -> list[Path]:
    """Further tables that are wanted."""
    copies = [path.with_suffix(f".{name}") for name in _TABLES if name in save and path.suffix != f".{name}"]
    for copy in copies:
        require_file(copy)
        if copy.suffix == ".parquet":
            require_results(copy)
    return copies


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.stem}{ending}")
