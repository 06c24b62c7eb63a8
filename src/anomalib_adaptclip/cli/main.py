# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``anomalib-adaptclip``: predictions, ablations, comparisons, adapters, prompt banks, data sets."""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from anomalib_adaptclip.adapters import ADAPTERS
from anomalib_adaptclip.adapters.adapter_file import AdapterFile, read_adapter_file
from anomalib_adaptclip.adapters.published_layout import export_published
from anomalib_adaptclip.clip import load_clip
from anomalib_adaptclip.comparison import (
    ExecutorName,
    Run,
    RunOutcome,
    RunRow,
    RunTable,
    in_words,
    list_runs,
    missing_data,
    read_sweep,
    require_ray,
    run_all,
)
from anomalib_adaptclip.comparison.ablation import build_table, find_configs, read_rows, run_rows
from anomalib_adaptclip.comparison.report import write_report
from anomalib_adaptclip.data import QueryPromptDataModule
from anomalib_adaptclip.data.check import check_data_set
from anomalib_adaptclip.data.image_files import Unreadable, list_image_files, require_batch_size
from anomalib_adaptclip.files.locks import locked
from anomalib_adaptclip.model.frozen_clip import build_model
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.model.options import ModelOptions
from anomalib_adaptclip.model.predictor import AdaptCLIPPredictor, require_device
from anomalib_adaptclip.prompts.bank import PromptBank, without
from anomalib_adaptclip.prompts.bank_file import read_bank, read_header, write_bank
from anomalib_adaptclip.prompts.memory import Precision
from anomalib_adaptclip.prompts.selection import prompts_from_folder
from anomalib_adaptclip.results.prediction import prediction_rows
from anomalib_adaptclip.results.table import PredictionTable, require_names, require_results

logger = logging.getLogger(__name__)

PUBLISHED_TOPK = 10
_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: Of the command line, by default those of this process.

    Returns:
        Exit code: 0, or 1 if a row of the ablations or a run of a comparison failed, or a data set has faults.
    """
    commands: dict[str, tuple[Callable[..., int | None], bool]] = {  # and whether arguments go by position
        "predict": (predict, True),
        "ablation": (ablation, False),
        "compare": (compare, False),
        "report": (report, True),
        "export-adapters": (export_adapters, True),
        "bank-add": (bank_add, True),
        "bank-remove": (bank_remove, True),
        "bank-list": (bank_list, True),
        "data": (data, True),
    }
    parser = ArgumentParser(prog="anomalib-adaptclip", description=__doc__)
    subcommands = parser.add_subcommands()
    for name, (function, positional) in commands.items():
        subparser = ArgumentParser(description=(function.__doc__ or "").splitlines()[0])
        subparser.add_function_arguments(function, as_group=False, as_positional=positional)
        for action in subparser._actions:  # noqa: SLF001
            if action.default is False:  # --resume means the same as --resume true
                action.nargs, action.const = "?", True
        subcommands.add_subcommand(name, subparser, help=subparser.description)  # type: ignore[no-untyped-call]
    given = _with_underscores(sys.argv[1:] if arguments is None else arguments)
    # A checkpoint has values of its own, so predict gets what was given and no defaults.
    parsed = parser.parse_args(given, defaults=given[:1] != ["predict"])
    try:
        return commands[parsed.subcommand][0](**parsed[parsed.subcommand].as_dict()) or 0
    except KeyboardInterrupt:
        kept = "What is finished is kept: the same command goes on from it, predict with --resume."
        parser.exit(130, f"anomalib-adaptclip: stopped. {kept}\n")
    except (ValueError, OSError) as error:  # what is wrong with arguments and files
        parser.exit(2, f"anomalib-adaptclip: {error}\n")


def _with_underscores(arguments: Sequence[str]) -> list[str]:
    """Arguments of the command line with ``--dry-run`` as ``--dry_run``, and so for all options."""
    options = [argument.partition("=") if argument.startswith("--") else (argument, "", "") for argument in arguments]
    return [
        ("--" + name[2:].replace("-", "_") if name.startswith("--") else name) + equals + value
        for name, equals, value in options
    ]


def predict(
    images: Path,
    results: Path,
    ckpt_path: Path | None = None,
    batch_size: int = 8,
    num_workers: int = 0,
    unreadable: Unreadable = "error",
    resume: bool = False,
    device: str = "cpu",
    **model: Any,  # noqa: ANN401
) -> None:
    """Predict the images of a folder, any number of them, and write a table: path, score, label, boxes.

    The table appears when all is done; until then the rows stand in a draft beside it, which ``resume`` goes on from.

    Args:
        images: Folder, searched with all below it, or a single image.
        results: Table to make or replace, .csv or .parquet.
        ckpt_path: Checkpoint with adapters, prompts and thresholds.
        batch_size: Images at a time.
        num_workers: Worker processes that read images.
        unreadable: What to do with damaged images: error, or skip them with a warning that names them.
        resume: Go on with a run that was broken off, or predict what the table lacks. The arguments must be the same.
        device: Where to compute: cpu, cuda, cuda:1 and so on.
        **model: Arguments of AdaptCLIP. Those that are given win over the checkpoint's; those that it decides are
            refused: adapters, fusion, image size, class name, and prompts if it has some.

    Raises:
        ValueError: If an argument or a file is wrong, or another run is writing the table.
        FileNotFoundError: If a file or folder does not exist.
        ConnectionError: If weights cannot be downloaded.
    """
    require_results(results)
    require_batch_size(batch_size)
    require_device(device)
    files = list_image_files(images)
    require_names(results, files)
    with PredictionTable(results, resume) as file:
        predictor = (
            AdaptCLIPPredictor(AdaptCLIP(**model), device)
            if ckpt_path is None
            else AdaptCLIPPredictor.from_checkpoint(ckpt_path, device, **model)
        )
        left = [path for path in files if path not in file.paths]
        rows = 0
        with Progress(*_COLUMNS, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Images", total=len(left))
            for paths, predictions in predictor.stream(left, batch_size, num_workers, unreadable):
                file.write(prediction_rows(paths, predictions))
                rows += len(paths)
                progress.advance(task, len(paths))
    Console().print(_summary(results, rows, len(left), len(files)), markup=False, highlight=False, soft_wrap=True)


def _summary(results: Path, rows: int, left: int, found: int) -> str:
    """What a prediction did: ``rows`` of ``left`` images, of the ``found`` that are there."""
    before = f", {found - left} had one before" if left < found else ""
    skipped = f", {left - rows} could not be read" if rows < left else ""
    return f"{results}: {rows} new rows{before}{skipped}."


def ablation(
    configs: Path | None = None,
    rows: str | None = None,
    output: Path = Path("results/ablation"),
    backbone: str | None = None,
    pretrained: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    epochs: int | None = None,
    cache_dir: Path | None = None,
    accelerator: str = "auto",
    precision: str | None = None,
    **data: Any,  # noqa: ANN401
) -> int:
    """Train and test the rows of the paper's Table 5 on a base and a target, and print the table.

    The table is stored after each row. Finished rows with the same configuration are not run again.

    Args:
        configs: Folder of the rows' files, by default the eight that come with the package.
        rows: Numbers of the rows to run, separated by commas. All by default.
        output: Folder for ``ablation.csv``, and for the results of each row.
        backbone: As for AdaptCLIPTraining; where not given, what the row's file says. So for the next four.
        pretrained: Tag or file of CLIP's weights.
        image_size: Height and width of the input in pixels.
        epochs: Epochs to train.
        cache_dir: Folder for CLIP's tokens, which the rows that train share.
        accelerator: Lightning's accelerator. One device is used.
        precision: Lightning's precision.
        **data: Arguments of QueryPromptDataModule.

    Returns:
        0, or 1 if a row failed.

    Raises:
        ValueError: If arguments or files are wrong.
    """
    datamodule = QueryPromptDataModule(**data)  # wrong arguments are told before the first row
    if datamodule.target is None:
        msg = "There is nothing to test on. Give --target Visa, for instance, or --holdout_categories."
        raise ValueError(msg)
    given: dict[str, Any] = {"backbone": backbone, "pretrained": pretrained, "image_size": image_size}
    given |= {"epochs": epochs, "cache_dir": cache_dir}
    chosen = read_rows(configs or find_configs(), _numbers(rows))
    overrides = Namespace(**{key: value for key, value in given.items() if value is not None})  # type: ignore[no-untyped-call]
    for row in chosen:
        row.config.model.init_args.update(overrides)
    results = run_rows(chosen, data, output, accelerator=accelerator, precision=precision)
    console = Console()
    console.print(build_table(results, f"{datamodule.name}, in percent"))
    failed = [result for result in results if result.error]
    for result in failed:
        console.print(f"Row {result.number} failed: {result.error}", markup=False, highlight=False, soft_wrap=True)
    return int(bool(failed))


def compare(
    config: Path,
    output: Path | None = None,
    dry_run: bool = False,
    workers: int = 1,
    accelerator: str = "auto",
    executor: ExecutorName = "processes",
    ray_address: str | None = None,
) -> int:
    """Test models on data sets, and store a row for each run as soon as it is through.

    Finished runs with the same configuration are not run again; failed ones are.

    Args:
        config: YAML file of models, data sets and seeds, such as ``configs/compare/smoke.yaml``.
        output: Folder for ``runs.csv``. By default ``results/compare/NAME``, after the file.
        dry_run: Only list the runs, and what data is missing.
        workers: Runs at a time, each with a GPU where there are some.
        accelerator: Lightning's accelerator.
        executor: Where to run: processes of this machine, or ray, a Ray cluster, which needs the extra ray.
        ray_address: Of the Ray cluster. By default that of RAY_ADDRESS, else Ray is started on this machine.

    Returns:
        0, or 1 if a run failed.

    Raises:
        ValueError: If arguments or files are wrong, another sweep writes to the table, or Ray or what its workers need
            is missing.
        FileNotFoundError: If there is no such file.
        ConnectionError: If there is no Ray cluster at the address.
    """
    if workers < 1:
        msg = f"workers must be at least 1, got {workers}."
        raise ValueError(msg)
    if executor == "ray":
        require_ray()
    elif ray_address:
        msg = f"ray_address={ray_address} is of no use with executor={executor!r}. Give executor: ray."
        raise ValueError(msg)
    runs = list_runs(read_sweep(config))
    table = RunTable((output or Path("results/compare") / config.stem) / "runs.csv", RunRow)
    console = Console()
    if dry_run:
        console.print(_table_of_runs(runs, _unfinished(runs, table)))
        for problem in missing_data(runs):
            console.print(f"Missing: {problem}", markup=False, highlight=False, soft_wrap=True)
        return 0
    with table.locked():
        left = _unfinished(runs, table)
        outcomes = run_all(left, workers, accelerator, executor, ray_address)
        failed = _store(outcomes, len(left), len(runs), table)
    console.print(
        f"{table.path}: {len(runs) - failed} of {len(runs)} runs are finished, {failed} failed.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return int(failed > 0)


def report(results: Path) -> None:
    """Write the report of a comparison beside its table: HTML, Markdown and CSV.

    Args:
        results: Folder that compare wrote, or its runs.csv.

    Raises:
        ValueError: If the table is no table of runs, or has no rows.
        FileNotFoundError: If there is no table.
    """
    for path in write_report(results):
        Console().print(str(path), markup=False, highlight=False, soft_wrap=True)


def _unfinished(runs: Sequence[Run], table: RunTable[RunRow]) -> list[Run]:
    finished = table.finished()
    return [run for run in runs if run.configuration not in finished]


def _store(outcomes: Iterable[RunOutcome], left: int, total: int, table: RunTable[RunRow]) -> int:
    """Store what comes, with a progress bar. Returns the number of failures."""
    failed = 0
    with Progress(*_COLUMNS, TextColumn("left"), TimeRemainingColumn()) as progress:
        task = progress.add_task("Runs", total=total, completed=total - left)
        for outcome in outcomes:
            outcome.store(table)
            row = outcome.row
            failed += bool(row.error)
            progress.advance(task)
            if row.error:
                what = f"{in_words(row.model, row.data_set, row.category, row.shots)}, seed {row.seed}"
                progress.console.print(f"{what} failed: {row.error}", markup=False, highlight=False, soft_wrap=True)
    return failed


def _table_of_runs(runs: Sequence[Run], left: Sequence[Run]) -> Table:
    """Runs of a sweep, a line for each model, data set and number of shots."""
    table = Table("model", "data set", "shots", "categories", "seeds", "runs", "left", title=f"{len(runs)} runs")
    for model, data_set, shots in dict.fromkeys((run.model, run.data_set, run.shots) for run in runs):
        own = [run for run in runs if (run.model, run.data_set, run.shots) == (model, data_set, shots)]
        categories, seeds = len({run.category for run in own}), ",".join(map(str, dict.fromkeys(r.seed for r in own)))
        ahead = sum((run.model, run.data_set, run.shots) == (model, data_set, shots) for run in left)
        table.add_row(model, data_set, str(shots), str(categories), seeds, str(len(own)), str(ahead))
    return table


def export_adapters(adapters: Path, published: Path, pretrained: str | None = None) -> None:
    """Convert adapters trained here to the layout of the published files, for other implementations.

    Args:
        adapters: Our ``adapters.safetensors``.
        published: File to write, a ``.pth``.
        pretrained: CLIP's weights, as for AdaptCLIP. By default those that the adapters were trained with.

    Raises:
        ValueError: If the layout cannot hold these adapters, or the weights are others.
        FileNotFoundError: If there is no such file.
        ConnectionError: If CLIP's weights cannot be downloaded.
    """
    file = read_adapter_file(adapters)
    _require_expressible(file, published)
    loaded = load_clip(file.header.backbone, pretrained or file.header.weights)
    file.require_same_clip(loaded.identity())
    model = build_model(loaded.clip, loaded.backbone, file.applied_to(ModelOptions()))
    model.load_adapters(file)
    export_published(published, model.adapters, model.text_tower)
    logger.info("Adapters of %s written to %s in the published layout.", adapters, published)


def bank_add(
    bank: Path,
    name: str,
    folder: Path,
    k_shot: int | None = None,
    backbone: str | None = None,
    pretrained: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    prompt_precision: Precision = "float32",
    prompt_budget: int | None = None,
) -> None:
    """Add good images to a category of a prompt bank. The bank's file is made if need be.

    Args:
        bank: Safetensors file of the bank.
        name: Of the category.
        folder: Good images of it.
        k_shot: How many of them to take, the first by name. All by default.
        backbone: As for AdaptCLIP. By default the bank's.
        pretrained: Tag or file of CLIP's weights.
        image_size: Height and width of the input in pixels. By default the bank's.
        prompt_precision: Of the tokens of a new category, float32 or float16.
        prompt_budget: Patches of this category to keep at most.

    Raises:
        ValueError: If an argument or a file is wrong, or the bank was made with another model.
        FileNotFoundError: If there is no such folder.
        ConnectionError: If CLIP's weights cannot be downloaded.
    """
    files = prompts_from_folder(folder, k_shot, "folder")
    header = read_header(bank) if bank.exists() else None
    model = AdaptCLIP(
        backbone=backbone or (header.backbone if header else None) or "ViT-L-14-336",
        pretrained=pretrained,
        adapters="none",
        image_size=image_size or (header.image_size if header else None),
        prompt_precision=prompt_precision,
        prompt_budget=prompt_budget,
    )
    images = model.read_images(files)
    with locked(bank, wait=True):  # read again here, for another command may have added to it
        prompts = (
            PromptBank.load(bank, model.model, model.backbone.name, image_size=model.input_size, as_stored=True)
            if bank.exists()
            else PromptBank(model.model, model.backbone.name)
        )
        prompts.add(name, images)
        prompts.save(bank)
    Console().print(f"{bank}: {name} has {prompts.k_shot(name)} good images.", markup=False, soft_wrap=True)


def bank_remove(bank: Path, name: str) -> None:
    """Remove a category from a prompt bank.

    Args:
        bank: Safetensors file of the bank.
        name: Of the category.

    Raises:
        ValueError: If the file is no bank, or lacks the category.
        FileNotFoundError: If there is no such file.
    """
    read_header(bank)  # before a lock is put beside what is no bank
    with locked(bank, wait=True):
        sets, header = read_bank(bank)
        write_bank(bank, without(sets, name), header)


def bank_list(bank: Path) -> None:
    """Print the categories of a prompt bank.

    Args:
        bank: Safetensors file of the bank.

    Raises:
        ValueError: If the file is no bank.
        FileNotFoundError: If there is no such file.
    """
    for name, tokens in read_bank(bank)[0].items():
        Console().print(f"{name}: {tokens.shape[1]} good images", markup=False, highlight=False, soft_wrap=True)


def data(action: Literal["check"], name: str, root: Path | None = None) -> int:  # noqa: ARG001  # the action says itself
    """Count the images of a data set of the paper, and tell what is wrong with it.

    Args:
        action: There is one: check.
        name: Of the data set, that of a file in configs/data, such as mvtec.
        root: Folder of the data set. By default what that file says.

    Returns:
        0, or 1 if something is wrong.

    Raises:
        ValueError: If there is no such data set.
    """
    reports = list(check_data_set(name, root))
    table = Table("category", "train normal", "test normal", "test abnormal", "masks", title=name)
    for report in reports:
        table.add_row(report.category, *map(str, report.counts or "????"))
    console = Console()
    console.print(table)
    for report in reports:
        for problem in report.problems:
            console.print(f"{report.category}: {problem}", markup=False, highlight=False, soft_wrap=True)
    return int(any(report.problems for report in reports))


def _require_expressible(file: AdapterFile, published: Path) -> None:
    """Check that the published layout can say what the adapters are."""
    missing = [name for name in ADAPTERS if name not in file.adapters]
    options = file.applied_to(ModelOptions())
    problem = ""
    if published.suffix == ".safetensors":
        problem = f"The published layout is no safetensors file; name {published} otherwise, such as epoch_15.pth"
    elif file.published or not file.header.backbone:
        problem = f"{file.path} is no adapters.safetensors of a training: its header names no backbone. Give that file"
    elif missing:
        problem = f"The published layout holds all three adapters, and {file.path} lacks {missing}. Train all three"
    elif options.mode != "alternating" or not options.context:
        problem = (
            f"{file.path} was trained with mode={options.mode!r} and context={options.context}. The published "
            "layout cannot say so and would be misread: it means 'alternating' and True. Keep the safetensors file"
        )
    if problem:
        msg = f"{problem}."
        raise ValueError(msg)
    if options.topk != PUBLISHED_TOPK:
        logger.warning("The layout cannot say topk=%d: others will take %d.", options.topk, PUBLISHED_TOPK)


def _numbers(rows: str | None) -> list[int] | None:
    try:
        return None if rows is None else [int(number) for number in rows.split(",")]
    except ValueError as error:
        msg = f"rows must be numbers separated by commas, such as 0,4,7; got {rows!r}."
        raise ValueError(msg) from error


if __name__ == "__main__":
    sys.exit(main())
