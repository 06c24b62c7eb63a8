# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Judges new photos of a part, and writes verdicts, pictures, a page and the part itself into a folder."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from anomalib.data import ImageItem, InferenceBatch

from anomalib_adaptclip.data.image_files import Unreadable
from anomalib_adaptclip.files.quiet import silenced
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.model.predictor import AdaptCLIPPredictor
from anomalib_adaptclip.results.image_result import image_results
from anomalib_adaptclip.results.picture_folder import PictureFolder, absolute
from anomalib_adaptclip.results.prediction_row import PredictionRow, row_of
from anomalib_adaptclip.results.results_writer import ResultsWriter, SaveFormat, require_save
from anomalib_adaptclip.results.verdicts import without_verdicts
from anomalib_adaptclip.results.visualizer import AdaptCLIPVisualizer

from .labels import agreement, labels_of
from .part import save_checkpoint
from .summary import JudgedImage, Summary, write_summary

if TYPE_CHECKING:
    from typing_extensions import Self

TABLE, PART, PAGE, PICTURES = "verdicts.csv", "part.ckpt", "summary.html", "pictures"
_MARKS = {"coco", "masks"}  # formats of nothing but what is marked


class Inspection:
    """One inspection, a context in which photos are judged.

    Args:
        model: Model that knows the part, as :func:`~anomalib_adaptclip.inspection.part.learn` gives it.
        out: Folder to write to.
        explain: Draw also why.
        device: Where to compute.
        save: Formats to write beside the table, as of :class:`ResultsWriter`.

    Attributes:
        images: What was judged so far.

    Raises:
        ValueError: If a format cannot be written, or needs thresholds where there are none.
    """

    def __init__(
        self,
        model: AdaptCLIP,
        out: Path,
        *,
        explain: bool = False,
        device: str = "cpu",
        save: Sequence[SaveFormat] = (),
    ) -> None:
        require_save(save, out / TABLE)
        self._save = save
        self.model = model
        self.out = out
        self.images: list[JudgedImage] = []
        self._device = device
        self._visualizer = AdaptCLIPVisualizer(explain=explain)
        self._context = ExitStack()
        self._remarks: list[str] = []
        self._title = ""

    def __enter__(self) -> "Self":
        """Keep the part."""
        self.out.mkdir(parents=True, exist_ok=True)
        save_checkpoint(self.model, self.out / PART)
        with silenced("anomalib_adaptclip.model.thresholds"):  # the introduction says what is not calibrated
            self._predictor = AdaptCLIPPredictor(self.model, self._device)
        if not self.is_calibrated and (marks := sorted({*self._save} & _MARKS)):
            msg = (
                f"save={marks} marks what is abnormal, but there is no threshold. Give two different good photos or "
                "more, or leave it out; maps need none."
            )
            raise ValueError(msg)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the table and the page; after an error the table stays a draft, and the page shows what was judged."""
        self._context.__exit__(kind, error, trace)
        if self.images:
            remarks = [*introduction(self.model), *self._remarks]
            title = f"Inspection of {self._title}"
            result = self.result if kind is None else f"{self.result} It was broken off."
            write_summary(self.out / PAGE, Summary(title, result, remarks, self.threshold), self.images)

    @property
    def is_calibrated(self) -> bool:
        """Whether there are thresholds, and so verdicts."""
        return self.threshold is not None

    @property
    def threshold(self) -> float | None:
        """Threshold of the raw scores; None without."""
        scale = self._predictor.scale.image
        return scale.threshold if scale else None

    def judge(
        self,
        files: Sequence[str],
        root: Path,
        batch_size: int = 8,
        num_workers: int = 0,
        unreadable: Unreadable = "error",
    ) -> Iterator[int]:
        """Judge photos.

        Args:
            files: Photos.
            root: Folder that they lie in.
            batch_size: Photos at a time.
            num_workers: Worker processes that read photos.
            unreadable: What to do with damaged ones.

        Yields:
            Number of photos that were judged since.

        Raises:
            ValueError: If a photo cannot be read, or its name not be written.
        """
        self._title = root.absolute().name
        roots = [absolute(root) if root.is_dir() else absolute(root).parent]
        writer = self._context.enter_context(ResultsWriter(self.out / TABLE, self._save, roots))
        writer.require_names(files)
        pictures = PictureFolder(self.out / PICTURES, roots)
        self._visualizer.use(self.model, roots)
        for paths, output in self._predictor.stream(files, batch_size, num_workers, unreadable):
            judged = output if self.is_calibrated else without_verdicts(output, ["There is no threshold."] * len(paths))
            results = [*image_results(paths, judged, self._predictor.geometry, self._predictor.scale)]
            writer.write_results(results)
            for result, item in zip(results, _items(paths, output), strict=True):
                self.images.append(self._judged(row_of(result), item, pictures, root))
            yield len(paths)
        if len(self.images) < len(files):
            self._remarks.append(f"{len(files) - len(self.images)} of {len(files)} files could not be read.")
        self._compare(files, root)

    def _judged(self, row: PredictionRow, item: ImageItem, pictures: PictureFolder, root: Path) -> JudgedImage:
        explanation = None
        if self._visualizer.explain:
            image = self.model.image_input.read([row.path]).to(self.model.device)
            explanation = self.model.explain(image)[0]
        picture = self._visualizer.render(item, self._predictor.geometry, explanation)
        file = "" if picture is None else pictures.save(picture, row.path).relative_to(self.out).as_posix()
        verdict = bool(row.label) if self.is_calibrated and row.label is not None else None
        path = absolute(row.path)
        name = str(path.relative_to(absolute(root))) if root.is_dir() else path.name
        score = row.score if row.raw_score is None else row.raw_score
        return JudgedImage(name, score, verdict, row.normal_share, len(row.boxes), file)

    def _compare(self, files: Sequence[str], root: Path) -> None:
        """Compare with labels, if the names of folders tell some."""
        if labels := labels_of(files, root):
            names = {str(absolute(file).relative_to(absolute(root))): labels[file] for file in files}
            scores = {image.name: image.score for image in self.images}
            verdicts = {image.name: bool(image.is_abnormal) for image in self.images} if self.is_calibrated else None
            self._remarks.append(str(agreement(names, scores, verdicts)))

    @property
    def result(self) -> str:
        """The result in a sentence."""
        if not self.is_calibrated:
            return f"{len(self.images)} ranked by score, none judged."
        return f"{sum(image.is_abnormal is True for image in self.images)} of {len(self.images)} abnormal."

    def introduction(self) -> list[str]:
        """What is to be said before."""
        return introduction(self.model)

    def conclusion(self) -> list[str]:
        """What is to be said at the end; the last line tells the result and where it is."""
        return [*self._remarks, f"{self.result} Pictures, table and model: {self.out}"]


def introduction(model: AdaptCLIP) -> list[str]:
    """Say what a model knows of a part, and what it cannot tell."""
    photos = len(model.prompt_files)
    if photos == 0:
        return ["There are no good photos: images are scored zero-shot, and ranked."]
    known = f"{photos} good photo{'' if photos == 1 else 's'}"
    if model.calibrator is None or model.calibrator.record is None:
        return [
            f"{known}: too few different ones for a threshold. Images are ranked, not judged; give two, better eight."
        ]
    rate = model.calibrator.rate
    return [f"{known}; about {rate:.0%} of good photos will be judged abnormal."]


def require_folder(out: Path, overwrite: bool) -> None:
    """Check that an inspection can be written to a folder, before any work is done.

    Args:
        out: Folder.
        overwrite: Whether an earlier inspection in it may be replaced. Other files stay, but for PNGs in its pictures.

    Raises:
        ValueError: If it is a file, or holds an inspection.
    """
    if out.exists() and not out.is_dir():
        msg = f"OUT must be a folder; {out} is a file. Name another one."
        raise ValueError(msg)
    if not overwrite and (out / TABLE).exists():
        msg = f"{out} holds an inspection. Name another folder by --out, or replace it by --overwrite."
        raise ValueError(msg)


def require_apart(photos: Iterable[str], out: Path) -> None:
    """Check that no photo is a picture that an inspection drew: it would be judged, and replaced with the others.

    Args:
        photos: Photos to learn from or to judge.
        out: Folder of the inspection.

    Raises:
        ValueError: If one is.
    """
    drawn = tuple(f"{absolute(out) / name}{os.sep}" for name in (PICTURES, f"{Path(TABLE).stem}-masks"))
    if wrong := next((photo for photo in photos if str(absolute(photo)).startswith(drawn)), None):
        msg = f"{wrong} was drawn by an inspection and is no photo. Name a folder outside of the photos by --out."
        raise ValueError(msg)


def clear_folder(out: Path) -> None:
    """Remove the pictures and tables of an earlier inspection, which would stand among the new ones.

    Args:
        out: Folder; nothing is removed if it holds no inspection.
    """
    stem = Path(TABLE).stem
    images = (f"{PICTURES}/**/*.png", f"{stem}-masks*/**/*.png", f"{stem}-maps*/**/*.tiff")
    tables = (f"{stem}.csv", f"{stem}.parquet", f"{stem}.jsonl", f"{stem}.coco.json")
    for pattern in (*images, *tables) if (out / PAGE).exists() else ():
        for path in out.glob(pattern):
            path.unlink()


def _items(paths: Sequence[str], output: InferenceBatch) -> Iterator[ImageItem]:
    """Take a batch of predictions apart, for drawing."""
    for index, path in enumerate(paths):
        fields: dict[str, Any] = {
            name: None if value is None else value[index] for name, value in output._asdict().items()
        }
        blank = torch.zeros(3, *fields["anomaly_map"].shape[-2:])  # the picture shows the file
        yield ImageItem(image=blank, image_path=path, **fields)
