# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``ablation``."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console

from .console import say


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
    *,
    options: dict[str, Any],
) -> int:
    """Train and test the rows of the paper's Table 5 on a base and a target, and print the table.

    The table is stored after each row. Finished rows with the same configuration are not run again. The defaults of
    backbone, pretrained, image_size, epochs and cache_dir are read from the configuration file of each row.

    Args:
        configs: Folder of the rows' configuration files. By default the package's own eight rows are run.
        rows: Numbers of the rows to run, separated by commas. By default all are run.
        output: Folder for the table ablation.csv and for the results of each row.
        backbone: Backbone of CLIP.
        pretrained: Weights of CLIP: a tag of open_clip or a local file.
        image_size: Height and width of the input in pixels.
        epochs: Number of epochs to train.
        cache_dir: Folder for cached CLIP tokens, which all rows that train share.
        accelerator: Lightning's accelerator. One device is used.
        precision: Lightning's precision.
        options: Values of DataModuleOptions.

    Returns:
        0, or 1 if a row failed.

    Raises:
        ValueError: If arguments or files are wrong.
    """
    from anomalib_adaptclip import QueryPromptDataModule
    from anomalib_adaptclip.comparison.ablation import build_table, find_configs, read_rows, run_rows

    datamodule = QueryPromptDataModule(**options)  # before the first row, so that wrong arguments are reported at once
    if datamodule.target is None:
        msg = "There is nothing to test on. Give --target Visa, for instance, or --holdout_categories."
        raise ValueError(msg)
    given: dict[str, Any] = {"backbone": backbone, "pretrained": pretrained, "image_size": image_size}
    given |= {"epochs": epochs, "cache_dir": cache_dir}
    chosen = read_rows(configs or find_configs(), _numbers(rows))
    overrides = Namespace(**{key: value for key, value in given.items() if value is not None})  # type: ignore[no-untyped-call]
    for row in chosen:
        _require_buildable(row.config.model.init_args.as_dict() | overrides.as_dict())
        row.config.model.init_args.update(overrides)
    results = run_rows(chosen, options, output, accelerator=accelerator, precision=precision)
    Console().print(build_table(results, f"{datamodule.name}, in percent"))
    failed = [result for result in results if result.error]
    for result in failed:
        say(f"Row {result.number} failed: {result.error}")
    return int(bool(failed))


def _require_buildable(arguments: dict[str, Any]) -> None:
    """Check what would let a row fail, before the first one is run."""
    from anomalib_adaptclip.argument_types import require_at_least
    from anomalib_adaptclip.model.clip_mixin import resolve_backbone

    resolve_backbone(arguments["backbone"], arguments["image_size"])
    require_at_least(1, epochs=arguments["epochs"])


def _numbers(rows: str | None) -> list[int] | None:
    try:
        return None if rows is None else [int(number) for number in rows.split(",")]
    except ValueError as error:
        msg = f"rows must be numbers separated by commas, such as 0,4,7; got {rows!r}."
        raise ValueError(msg) from error
