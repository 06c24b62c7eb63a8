# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What one visitor of the page has: a model, photos that were judged, a threshold. Knows nothing of the page itself."""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from anomalib_adaptclip.files.image_reader import ImageReader, UnreadableImageError
from anomalib_adaptclip.inspection.judging import introduction
from anomalib_adaptclip.inspection.part import MOST_SHOTS, save_checkpoint
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.results.explanation import Explanation
from anomalib_adaptclip.results.geometry import FileGeometry
from anomalib_adaptclip.results.item_picture import region_of
from anomalib_adaptclip.results.picture import Verdict, render_picture
from anomalib_adaptclip.results.picture_folder import PictureFolder
from anomalib_adaptclip.results.row_files import write_csv

from .levels import Level, Levels, Span, levels_of
from .models import Settings, keeping
from .photos import JudgedPhoto, judge_photo
from .uploads import MOST_GOOD, MOST_NEW, fault_of, require_number, sorted_out, take

Tell = Callable[[float, str], None]  # share of the work that is done, and what is being done
MOST_TOLD = 8  # files by name

NOTHING_YET = "Nothing has been judged yet. Drop new photos, and press Judge."


@dataclass
class Judgement:
    """Photos that were judged.

    Attributes:
        model: By this model.
        category: As this, where the model has a prompt bank.
        levels: Thresholds that can be set.
        photos: The most abnormal first.
        remarks: What is to be said of them.
        level: Threshold that is set.
        explanations: Why photos score as they do, by their place, as far as it was asked.
    """

    model: AdaptCLIP
    category: str | None
    levels: Levels
    photos: Sequence[JudgedPhoto]
    remarks: Sequence[str]
    level: Level
    explanations: dict[int, Explanation] = field(default_factory=dict)

    def verdict(self, photo: JudgedPhoto) -> Verdict:
        """What is said of a photo."""
        return self.levels.verdict(photo.score, self.level)

    @property
    def result(self) -> str:
        """The result in a sentence."""
        number = len(self.photos)
        photos = f"{number} photo{'' if number == 1 else 's'}"
        if not self.levels.is_calibrated:
            return f"{photos}, ranked by score: there is no threshold to judge by."
        return f"{sum(self.verdict(photo).is_abnormal is True for photo in self.photos)} of {photos} abnormal"

    @property
    def position(self) -> int:
        """Where the threshold stands, from 0 to ``STEPS``; 0 without one."""
        return 0 if self.level.image is None else self._span.position(self.level.image)

    @property
    def is_moved(self) -> bool:
        """Whether the threshold is another than the calibrated one."""
        return self.level.image != self.levels.start.image

    def move(self, position: int | None) -> None:
        """Judge again at another threshold, without computing scores again.

        Args:
            position: Where to, from 0 to ``STEPS``; None for the calibrated one.
        """
        start = self.levels.start.image
        is_start = position is None or start is None or position == self._span.position(start)
        self.level = self.levels.at(None if is_start else self._span.threshold(position or 0))

    @cached_property
    def _span(self) -> Span:
        return self.levels.span([photo.score for photo in self.photos])

    def explanation(self, place: int) -> Explanation:
        """Why the photo at a place scores as it does; it goes through CLIP once more, the first time."""
        if place not in self.explanations:
            images = self.model.image_input.read([self.photos[place].path]).to(self.model.device)
            categories = None if self.category is None else [self.category]
            self.explanations[place] = self.model.explain(images, categories, self.level.pixel)[0]
        return self.explanations[place]

    def picture(self, photo: JudgedPhoto) -> Image.Image:
        """A photo as `inspect` draws it, at the threshold that is set."""
        pixels = self.model.image_reader.read(photo.path)
        facts: dict[str, Any] = {"geometry": photo.geometry, "region": self.region, "name": photo.name}
        return render_picture(pixels, photo.anomaly_map, self.level.heat, self.verdict(photo), **facts)

    @cached_property
    def region(self) -> torch.Tensor | None:
        """What is judged of the photos, a mask over each as a whole; None for all."""
        return region_of(self.model, self.category)


class Session:
    """A visitor's work.

    Args:
        folder: Folder for it, which :meth:`close` removes.
        settings: How models are made.
        model: A model to begin with.
        source: What that one is called.

    Attributes:
        model: Model that judges; None before there is one.
        source: What it came from, in words.
        judgement: Photos that were judged last; None before.
    """

    def __init__(self, folder: Path, settings: Settings, model: AdaptCLIP | None = None, source: str = "") -> None:
        self.folder = folder
        self.model = model
        self.source = source
        self.judgement: Judgement | None = None
        self._settings = settings
        self._good: tuple[Path, ...] = ()
        self._remarks: list[str] = []
        self._list = self._download = ""
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def categories(self) -> list[str]:
        """What the model's prompt bank knows; nothing without a bank."""
        bank = self.model.prompt_bank if self.model else None
        return bank.names if bank else []

    def open(self, file: Path) -> None:
        """Open a checkpoint or a prompt bank in place of good photos.

        Args:
            file: Its file.

        Raises:
            ValueError: If it is neither, or cannot be used; its name is told.
            ConnectionError: If weights cannot be downloaded.
        """
        try:
            model = self._settings.open(file)
        except ValueError as error:
            raise ValueError(fault_of(file, error)) from error
        self.model, self.source, self._good, self._remarks = model, file.name, (), []

    def learn(self, files: Sequence[Path], tell: Tell) -> None:
        """Learn from good photos, unless that was done.

        Args:
            files: Good photos. Those that cannot be read are left out, and told.
            tell: Is told how far it is.

        Raises:
            ValueError: If there are too many, or none can be read.
            ConnectionError: If weights cannot be downloaded.
        """
        if tuple(files) == self._good and self.model is not None:
            return
        require_number("good photos", files, MOST_GOOD)
        tell(0.0, "Reading the good photos")
        folder = Path(tempfile.mkdtemp(prefix="good-", dir=self.folder))
        reader = ImageReader(self._settings.options.get("white_level"))
        sound, faults = sorted_out(take(files, folder), reader)
        for file in {*folder.iterdir()} - {*sound}:
            file.unlink()  # or it would be learned from
        if not sound:
            msg = f"None of the good photos can be read. {_listed(faults)[0]}"
            raise ValueError(msg)
        tell(0.1, f"Learning from {len(sound)} good photos")
        self.model = self._settings.learn(folder, self.model)
        self._good, self._remarks = tuple(files), _listed(faults)
        self.source = f"{len(sound)} good photo{'' if len(sound) == 1 else 's'}"
        if len(sound) > MOST_SHOTS:
            self._remarks.append(f"Of {len(sound)} good photos the first {MOST_SHOTS} by name are used.")

    def judge(self, files: Sequence[Path], category: str | None, tell: Tell) -> Judgement:
        """Judge new photos.

        Args:
            files: The photos. Those that cannot be read are left out, and told.
            category: What they show, where the model has a prompt bank.
            tell: Is told how far it is.

        Raises:
            ValueError: If there is no model, no category, no photo that can be read, or too many.
        """
        if self.model is None:
            msg = "There is nothing to compare with. Drop good photos, or open a model."
            raise ValueError(msg)
        if self.categories and category not in self.categories:
            msg = f"The prompt bank knows {', '.join(self.categories)}. Choose what the photos show."
            raise ValueError(msg)
        if not files:
            msg = "There are no new photos. Drop some."
            raise ValueError(msg)
        require_number("new photos", files, MOST_NEW)
        category = category if self.categories else None
        folder = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        taken = take(files, folder)
        photos, faults = [], []
        for place, file in enumerate(taken):
            tell(place / len(taken), f"Judging {file.name}")
            try:
                photos.append(judge_photo(self.model, file.name, file, category))
            except UnreadableImageError as error:
                faults.append(fault_of(file, error))
        if not photos:
            shutil.rmtree(folder)
            msg = f"None of the new photos can be read. {_listed(faults)[0]}"
            raise ValueError(msg)
        photos.sort(key=lambda photo: -photo.score)
        levels = levels_of(self.model, category)
        remarks = [self._introduction(category, levels), *self._remarks, *_listed(faults)]
        earlier = self.judgement
        self.judgement = Judgement(self.model, category, levels, photos, remarks, levels.start)
        if earlier:
            shutil.rmtree(earlier.photos[0].path.parent, ignore_errors=True)
        return self.judgement

    def _introduction(self, category: str | None, levels: Levels) -> str:
        if self.model is None or self.model.prompt_bank is None or category is None:
            return " ".join(introduction(self.model)) if self.model else ""
        number = self.model.prompt_bank.k_shot(category)
        known = f"{number} good photo{'' if number == 1 else 's'} of {category}"
        if levels.record is None:
            return f"{known}, not calibrated for this model: photos are ranked, not judged."
        return f"{known}; about {levels.record.rate:.0%} of good photos will be judged abnormal."

    @property
    def judged(self) -> Judgement:
        """What was judged last.

        Raises:
            ValueError: If nothing was.
        """
        if self.judgement is None:
            raise ValueError(NOTHING_YET)
        return self.judgement

    def save_table(self) -> Path:
        """Write the table of verdicts, as `inspect` writes it."""
        judged, path = self.judged, self._new_file("verdicts.csv")
        files = FileGeometry(judged.model.image_input.transforms)
        write_csv(path, [photo.row(judged.levels, judged.level, files) for photo in judged.photos])
        return path

    def save_pictures(self, tell: Tell) -> Path:
        """Write the pictures of all photos into a zip archive."""
        judged, path = self.judged, self._new_file("pictures.zip")
        folder = path.parent / "pictures"
        pictures = PictureFolder(folder, [photo.path.parent for photo in judged.photos[:1]])
        with zipfile.ZipFile(path, "w") as archive:
            for place, photo in enumerate(judged.photos):
                tell(place / len(judged.photos), f"Drawing {photo.name}")
                file = pictures.save(judged.picture(photo), str(photo.path))
                archive.write(file, file.relative_to(folder).as_posix())
        shutil.rmtree(folder)
        return path

    def save_part(self) -> Path:
        """Write the model with the threshold that is set as a checkpoint, for this page, `inspect` and others."""
        path = self._new_file("part.ckpt")
        with keeping(
            self.judged.model, self.judged.levels.share(self.judged.level.image) if self.judged.is_moved else None
        ):
            save_checkpoint(self.judged.model, path)
        return path

    def new_list(self) -> Path:
        """A new folder for small pictures; the last one is removed."""
        if self._list:
            shutil.rmtree(self._list, ignore_errors=True)
        self._list = tempfile.mkdtemp(prefix="list-", dir=self.folder)
        return Path(self._list)

    def _new_file(self, name: str) -> Path:
        """A file of this name in a folder of its own; earlier ones are removed."""
        if self._download:
            shutil.rmtree(self._download, ignore_errors=True)
        self._download = tempfile.mkdtemp(prefix="download-", dir=self.folder)
        return Path(self._download) / name

    def close(self) -> None:
        """Remove all files of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _listed(faults: Sequence[str]) -> list[str]:
    """What is wrong with files, of many the first."""
    more = len(faults) - MOST_TOLD
    return [*faults[:MOST_TOLD], *([f"And {more} more could not be read."] if more > 0 else [])]
