# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The commands ``compare`` and ``report``."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import TextColumn, TimeRemainingColumn
from rich.table import Table

from .console import progress_bar, say
from .options import ExecutorName

if TYPE_CHECKING:
    from anomalib_adaptclip.comparison import Run, RunOutcome, RunRow, RunTable

LISTED = 10  # largest number of failed runs that are told one by one
LONGEST = 300  # characters of an error message that are printed


def compare(
    config: Path,
    output: Path | None = None,
    dry_run: bool = False,
    workers: int = 1,
    accelerator: str = "auto",
    executor: ExecutorName = "processes",
    ray_address: str | None = None,
    overrides: Sequence[str] = (),
) -> int:
    """Test models on data sets, and store a row for each run as soon as it has finished.

    Finished runs with the same configuration are not run again, but failed runs are.

    Args:
        config: YAML file with models, data sets and seeds, such as configs/compare/smoke.yaml.
        output: Folder for runs.csv. By default it is results/compare/NAME, where NAME is that of the YAML file.
        dry_run: Only list the runs and the data that is missing.
        workers: Number of runs at a time. They take turns in the available GPUs.
        accelerator: Lightning's accelerator.
        executor: Where to run: processes for this machine, or ray for a Ray cluster, which needs the extra ray.
        ray_address: Address of the Ray cluster. By default the environment variable RAY_ADDRESS is used. Without it,
            Ray is started on this machine.
        overrides: Values that override those of the file, such as seeds=[10] or data_sets.visa.init_args.root=/data.

    Returns:
        0, or 1 if a run failed.

    Raises:
        ValueError: If arguments or files are wrong, another sweep is writing the table, or Ray or the package on its
            workers is missing.
        FileNotFoundError: If there is no such file.
        ConnectionError: If there is no Ray cluster at the address.
    """
    from anomalib_adaptclip.comparison import RunRow, RunTable, list_runs, missing_data, read_sweep, run_all

    _require_workers(workers, executor, ray_address, accelerator)
    runs = list_runs(read_sweep(config, overrides))
    table = RunTable((output or Path("results/compare") / config.stem) / "runs.csv", RunRow)
    if dry_run:
        Console().print(_table_of_runs(runs, _unfinished(runs, table)))
        for problem in missing_data(runs):
            say(f"Missing: {problem}")
        return 0
    with table.locked():
        left = _unfinished(runs, table)
        outcomes = run_all(left, workers, accelerator, executor, ray_address)
        failed = _store(outcomes, len(left), len(runs), table)
    say(f"{table.path}: {len(runs) - failed} of {len(runs)} runs are finished, {failed} failed.")
    return int(failed > 0)


def report(results: Path) -> None:
    """Write the report of a comparison beside its table, as HTML, Markdown and CSV.

    Args:
        results: Folder that compare wrote, or its runs.csv.

    Raises:
        ValueError: If the file is not a table of runs, or has no rows.
        FileNotFoundError: If there is no table.
    """
    from anomalib_adaptclip.comparison.report import write_report

    for path in write_report(results):
        say(str(path))


def _require_workers(workers: int, executor: ExecutorName, ray_address: str | None, accelerator: str) -> None:
    from anomalib_adaptclip.comparison import require_ray
    from anomalib_adaptclip.comparison.accelerators import require_accelerator

    if workers < 1:
        msg = f"workers must be at least 1, got {workers}."
        raise ValueError(msg)
    require_accelerator(accelerator)
    if executor == "ray":
        require_ray()
    elif ray_address:
        msg = f"ray_address={ray_address} has no effect with executor={executor!r}. Give --executor ray."
        raise ValueError(msg)


def _unfinished(runs: Sequence["Run"], table: "RunTable[RunRow]") -> list["Run"]:
    finished = table.finished()
    return [run for run in runs if run.configuration not in finished]


def _store(outcomes: Iterable["RunOutcome"], left: int, total: int, table: "RunTable[RunRow]") -> int:
    """Store the outcomes while a progress bar is shown, and return the number of failed runs."""
    from anomalib_adaptclip.comparison import in_words

    failed = 0
    with progress_bar(TextColumn("left"), TimeRemainingColumn()) as progress:
        task = progress.add_task("Runs", total=total, completed=total - left)
        for outcome in outcomes:
            outcome.store(table)
            row = outcome.row
            failed += bool(row.error)
            progress.advance(task)
            if row.error and failed <= LISTED:
                what = in_words(row.model, row.data_set, row.category, row.shots)
                say(f"{what}, seed {row.seed} failed: {_shorten(row.error)}", progress.console)
    if failed > LISTED:
        say(f"{failed - LISTED} more runs failed. The column error of {table.path} says why.")
    return failed


def _shorten(error: str) -> str:
    """Cut the message of a failed run to a line. The table has the whole."""
    text = " ".join(error.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _table_of_runs(runs: Sequence["Run"], left: Sequence["Run"]) -> Table:
    """Lay out the runs of a sweep, with a line for each model, data set and number of shots."""
    table = Table("model", "data set", "shots", "categories", "seeds", "runs", "left", title=f"{len(runs)} runs")
    for model, data_set, shots in dict.fromkeys((run.model, run.data_set, run.shots) for run in runs):
        own = [run for run in runs if (run.model, run.data_set, run.shots) == (model, data_set, shots)]
        categories, seeds = len({run.category for run in own}), ",".join(map(str, dict.fromkeys(r.seed for r in own)))
        ahead = sum((run.model, run.data_set, run.shots) == (model, data_set, shots) for run in left)
        table.add_row(model, data_set, str(shots), str(categories), seeds, str(len(own)), str(ahead))
    return table
