# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Runs the ablations of the paper's Table 5 on any base and target: one configuration file per row, and one table."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import ArgumentError, ArgumentParser, Namespace
from rich.table import Table

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.data import QueryPromptDataModule
from anomalib_adaptclip.files.config import ClassSpec, read_config
from anomalib_adaptclip.files.csv_rows import describe_error
from anomalib_adaptclip.files.messages import in_one_line
from anomalib_adaptclip.training.lightning_model import AdaptCLIPTraining
from anomalib_adaptclip.version import __version__

from .accelerators import require_accelerator, require_precision
from .file_contents import hash_files
from .interruption import is_interruption
from .run_table import RunTable

logger = logging.getLogger(__name__)

TABLE_FILE = "ablation.csv"
_UNIMPORTANT = ("cache_dir", "num_workers")  # arguments that do not change the metrics


@dataclass
class RowConfig:
    """Content of the configuration file of a row.

    Attributes:
        model: Class AdaptCLIPTraining and its arguments.
    """

    model: ClassSpec


class Row(NamedTuple):
    """A row of Table 5 that is to be run.

    Attributes:
        number: Number of the row in the table; its file name begins with it.
        method: Name of the method, which is the rest of the file name.
        config: Configuration with the model and its arguments under the key ``model``.
    """

    number: int
    method: str
    config: Namespace

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that are trained."""
        return tuple(self.config.model.init_args.adapter_names)

    @property
    def shots(self) -> int:
        """Number of normal images at test time: one if the prompt-query adapter is used, else none."""
        return int("prompt_query" in self.adapters)


@dataclass(frozen=True)
class AblationRow:
    """Result of a row, as it is stored in the table.

    Attributes:
        number: Number of the row.
        method: Name of the method that is trained.
        shots: Number of normal images at test time, 0 or 1.
        textual: Whether the textual adapter is used.
        visual: Whether the visual adapter is used.
        prompt_query: Whether the prompt-query adapter is used.
        image_AUROC: Image AUROC averaged over the target's categories, in [0, 1], or None if it is undefined.
        pixel_AUPR: Pixel AUPR averaged over the target's categories, in [0, 1], or None if it is undefined.
        error: Error message if the row failed, otherwise empty.
        configuration: All settings that the metrics depend on, as JSON.
    """

    number: int
    method: str
    shots: int
    textual: bool
    visual: bool
    prompt_query: bool
    image_AUROC: float | None  # noqa: N815
    pixel_AUPR: float | None  # noqa: N815
    error: str
    configuration: str


def find_configs() -> Path:
    """Return the folder of the eight configuration files, inside an installed package or in the repository."""
    shipped = Path(__file__).parents[1] / "configs" / "ablation"
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "configs" / "ablation"


def read_rows(folder: Path, numbers: Sequence[int] | None = None) -> list[Row]:
    """Read the configuration files of the rows.

    Args:
        folder: Folder with files named like ``4_alternating.yaml``, each with a section ``model``.
        numbers: Numbers of the rows to read. By default all are read.

    Returns:
        The rows, sorted by number.

    Raises:
        ValueError: If a file cannot be understood, two files have the same number, or a number has no file.
    """
    require_types(read_rows, locals())
    files: dict[int, Path] = {}
    for path in sorted(folder.glob("[0-9]*_*.yaml")):
        number = path.stem.split("_")[0]
        if not number.isdecimal() or int(number) in files:
            msg = f"{path} should begin with a number of its own, got {number}, as in 4_alternating.yaml. Rename it."
            raise ValueError(msg)
        files[int(number)] = path
    absent = sorted({*(numbers if numbers is not None else files)} - {*files})
    if absent or not files:
        msg = (
            f"{folder} holds the rows {sorted(files)}, expected {absent or 'some'} as well. Choose among those, or a "
            "folder with files like 4_alternating.yaml."
        )
        raise ValueError(msg)
    chosen = sorted(files if numbers is None else {*numbers})
    return [Row(number, files[number].stem.split("_", 1)[1], _read_config(files[number])) for number in chosen]


def run_rows(rows: Sequence[Row], data: Mapping[str, Any], output: Path, **trainer: Any) -> list[AblationRow]:  # noqa: ANN401
    """Run rows one after the other, and store each result as soon as it is known.

    Finished rows with the same configuration are not run again. A row that fails does not stop the others.

    Args:
        rows: Rows to run.
        data: Arguments of :class:`QueryPromptDataModule`.
        output: Folder for the table and for the results of each row.
        **trainer: Arguments of Lightning's trainer.

    Returns:
        One result per row.

    Raises:
        ValueError: If there is no such accelerator, the file of the table is not a table of ablations, or another run
            is writing it.
    """
    require_types(run_rows, locals())
    require_accelerator(str(trainer.get("accelerator", "auto")))
    require_precision(trainer.get("precision"))
    table = ablation_table(output)
    results = []
    with table.locked():
        finished = table.finished()
        for row in rows:
            configuration = configuration_of(row, data, trainer.get("precision"))
            result = finished.get(configuration)
            if result:
                logger.info("Row %d is finished already.", row.number)
            else:
                result = _try_row(row, configuration, data, output, **trainer)
                table.store(result)
            results.append(result)
    return results


def ablation_table(output: Path) -> RunTable[AblationRow]:
    """Return the result table of an ablation, whose rows are sorted by number.

    Args:
        output: Folder of the ablation's results.
    """
    return RunTable(output / TABLE_FILE, AblationRow, attrgetter("number"))


def _try_row(row: Row, configuration: str, data: Mapping[str, Any], output: Path, **trainer: Any) -> AblationRow:  # noqa: ANN401
    scores, problem = {}, ""
    try:
        scores = run_row(row, QueryPromptDataModule(**data), output / f"{row.number}_{row.method}", **trainer)
    except BaseException as error:  # no error of one row may stop the others, nor may an exit
        if is_interruption(error):
            raise KeyboardInterrupt from error
        logger.warning("Row %d failed.", row.number, exc_info=True)
        problem = describe_error(error)
    return result_of(row, configuration, scores, problem)


def run_row(row: Row, datamodule: QueryPromptDataModule, folder: Path, **trainer: Any) -> dict[str, float]:  # noqa: ANN401
    """Train and test a row in an Engine of its own. A row without adapters is only tested.

    Args:
        row: Row to run.
        datamodule: Data module of the base and the target.
        folder: Folder for the Engine's results.
        **trainer: Arguments of Lightning's trainer.

    Returns:
        Metrics by name, such as ``image_AUROC``.

    Raises:
        ValueError: If no metric is defined on the target.
    """
    from anomalib.engine import Engine  # noqa: PLC0415  imports all models

    model: AdaptCLIPTraining = _model_parser().instantiate_classes(row.config).model
    # Only the test at the end counts, so validation during training would waste time.
    options: dict[str, Any] = {"limit_val_batches": 0, "enable_model_summary": False}
    engine = Engine(default_root_dir=folder, devices=1, max_epochs=model.epochs, **options, **trainer)
    if row.adapters:
        engine.fit(model, datamodule=datamodule)
        if engine.trainer.interrupted:  # some releases of Lightning return normally from an interrupted training
            raise KeyboardInterrupt
    [found] = engine.test(model, datamodule=datamodule, verbose=False)
    prefix = ("test_zero_shot_", "test_one_shot_")[row.shots]
    scores = {name.removeprefix(prefix): float(value) for name, value in found.items() if name.startswith(prefix)}
    if not scores:
        msg = (
            f"No {row.shots}-shot figures on {datamodule.name}. Each category of the target needs normal and abnormal "
            "test images, and for one-shot a normal train image."
        )
        raise ValueError(msg)
    return scores


def configuration_of(row: Row, data: Mapping[str, Any], precision: str | None) -> str:
    """Describe all settings that the metrics of a row depend on, so that a finished row is not run again.

    Args:
        row: Row of the ablation.
        data: Arguments of the data module.
        precision: Precision of Lightning's trainer.

    Returns:
        The settings as JSON with sorted keys.
    """
    model = row.config.model.init_args.as_dict()
    model, used = ({k: v for k, v in part.items() if k not in _UNIMPORTANT} for part in (model, data))
    parts = {"row": row.number, "version": __version__, "precision": precision, "data": used, "model": model}
    parts["files"] = hash_files(model)
    return json.dumps(parts, sort_keys=True, default=str)


def result_of(row: Row, configuration: str, scores: Mapping[str, float], error: str = "") -> AblationRow:
    """Build the stored result of a row that was run.

    Args:
        row: Row that was run.
        configuration: All settings that the metrics depend on, as JSON.
        scores: Metrics by name, empty if the row failed.
        error: Error message if the row failed.
    """
    return AblationRow(
        row.number,
        row.method,
        row.shots,
        "textual" in row.adapters,
        "visual" in row.adapters,
        "prompt_query" in row.adapters,
        scores.get("image_AUROC"),
        scores.get("pixel_AUPR"),
        error,
        configuration,
    )


def build_table(results: Sequence[AblationRow], title: str) -> Table:
    """Lay out the results like the paper's Table 5, in percent, for the terminal."""
    table = Table("No.", "Method", "Shots", "TA", "VA", "PQA", "image AUROC / pixel AUPR", title=title)
    for result in results:
        switches = ("✓" if on else "✗" for on in (result.textual, result.visual, result.prompt_query))
        figures = " / ".join(_percent(score) for score in (result.image_AUROC, result.pixel_AUPR))
        table.add_row(
            str(result.number), result.method, str(result.shots), *switches, "failed" if result.error else figures
        )
    return table


def _model_parser() -> ArgumentParser:
    """Build a parser that reads the section ``model`` as anomalib's command line does."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=AdaptCLIPTraining, required=True)
    return parser


def _read_config(path: Path) -> Namespace:
    row = read_config(path, RowConfig)
    try:
        return _model_parser().parse_object(asdict(row))
    except (ArgumentError, TypeError) as error:
        what = f"{path} should hold a section `model` for AdaptCLIPTraining and nothing else"
        msg = f"{what}: {in_one_line(error)} Correct it."
        raise ValueError(msg) from error


def _percent(score: float | None) -> str:
    return "–" if score is None else f"{100 * score:.1f}"  # noqa: RUF001
