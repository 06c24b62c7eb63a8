# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The commands ``inspect`` and ``calibrate``: from a few good photos to verdicts on new ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from .console import progress_bar, say
from .options import SaveFormat, Unreadable

if TYPE_CHECKING:
    from anomalib_adaptclip import AdaptCLIP


def inspect(
    good: Path,
    new: Path,
    out: Path = Path("inspection"),
    k_shot: int | None = None,
    explain: bool = False,
    batch_size: int = 8,
    num_workers: int = 0,
    unreadable: Unreadable = "error",
    device: str = "cpu",
    overwrite: bool = False,
    save: SaveFormat | Sequence[SaveFormat] = (),
    *,
    options: dict[str, Any],
) -> None:
    """Judge new photos by a few good ones. Writes a picture of each, a table, a page, and what was learned.

    The good photos, eight or more at best, say what is normal and set the thresholds. The folder OUT then holds
    summary.html, verdicts.csv, pictures/ and part.ckpt, which may stand in place of the good photos next time.

    Args:
        good: Folder of good photos, or part.ckpt of an earlier inspection.
        new: Folder of photos to judge, which is searched with all its subfolders, or a single one.
        out: Folder to write to.
        k_shot: Number of good photos to take, in file-name order. By default all are taken, up to 32.
        explain: Draw also why: what each adapter sees, and the good patches that the regions were compared with.
        batch_size: Number of photos in a batch.
        num_workers: Number of worker processes that read photos.
        unreadable: What to do with damaged photos: error, or skip them with a warning that names them.
        device: Where to compute: cpu, cuda, cuda:1 and so on.
        overwrite: Replace an earlier inspection in OUT.
        save: Also written, beside verdicts.csv: parquet, jsonl, coco, masks, maps; several as [coco,masks].
        options: Those of PartOptions that are given.

    Raises:
        ValueError: If an argument or a file is wrong.
        FileNotFoundError: If a file or folder does not exist.
        ConnectionError: If weights cannot be downloaded.
    """
    from anomalib_adaptclip.data.image_files import list_image_files, require_batch_size
    from anomalib_adaptclip.inspection.judging import TABLE, Inspection, clear_folder, require_apart, require_folder
    from anomalib_adaptclip.model.predictor import require_device
    from anomalib_adaptclip.results.results_writer import require_save

    require_batch_size(batch_size)
    require_device(device)
    require_folder(out, overwrite)
    formats: Sequence[SaveFormat] = [save] if isinstance(save, str) else save
    require_save(formats, out / TABLE)
    files = list_image_files(new)
    require_apart([*files, *map(str, good.rglob("*.png"))], out)
    with remedy_of_missing_weights():
        model = _known_part(good, k_shot, options) if good.is_file() and _is_checkpoint(good) else None
        model = model or _learn(good, k_shot, options)
    if overwrite:
        clear_folder(out)
    with Inspection(model, out, explain=explain, device=device, save=formats) as inspection:
        for line in inspection.introduction():
            say(line)
        with progress_bar(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Photos", total=len(files))
            for count in inspection.judge(files, new, batch_size, num_workers, unreadable):
                progress.advance(task, count)
    for line in inspection.conclusion():
        say(line)


def calibrate(
    good: Path,
    out: Path = Path("part.ckpt"),
    k_shot: int | None = None,
    *,
    options: dict[str, Any],
) -> None:
    """Learn what is normal from a few good photos, and keep it: the first half of inspect.

    Args:
        good: Folder of good photos, eight or more at best.
        out: Checkpoint to write, for inspect, anomalib predict and anomalib export.
        k_shot: Number of good photos to take, in file-name order. By default all are taken, up to 32.
        options: Those of PartOptions that are given.

    Raises:
        ValueError: If an argument or a file is wrong.
        FileNotFoundError: If a file or folder does not exist.
        ConnectionError: If weights cannot be downloaded.
    """
    from anomalib_adaptclip.inspection.judging import introduction
    from anomalib_adaptclip.inspection.part import require_checkpoint_path, save_checkpoint

    require_checkpoint_path(out)
    with remedy_of_missing_weights():
        model = _learn(good, k_shot, options)
    save_checkpoint(model, out)
    for line in introduction(model):
        say(line)
    say(f"The part is kept in {out}. Judge photos with: anomalib-adaptclip inspect {out} PHOTOS --out DIR")


def _is_checkpoint(path: Path) -> bool:
    return path.suffix in {".ckpt", ".pt", ".pth"}


def _learn(good: Path, k_shot: int | None, options: dict[str, Any]) -> "AdaptCLIP":
    from anomalib_adaptclip.inspection.part import learn

    return learn(good, k_shot, **options)


def _known_part(path: Path, k_shot: int | None, options: dict[str, Any]) -> "AdaptCLIP":
    from anomalib_adaptclip import AdaptCLIPPredictor

    if k_shot is not None:
        msg = f"{path} holds its good photos already; got k_shot={k_shot}. Leave it out, or give the folder of photos."
        raise ValueError(msg)
    return AdaptCLIPPredictor.from_checkpoint(path, **options).model


@contextmanager
def remedy_of_missing_weights() -> Iterator[None]:
    """Name the remedy where CLIP's weights cannot be had."""
    try:
        yield
    except ConnectionError as error:
        msg = f"{error}\nWithout a network, or to try it at once: --backbone tiny"
        raise ConnectionError(msg) from error
