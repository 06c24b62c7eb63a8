# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Options that the command line repeats are those of the constructors and functions that get them."""

import inspect
from collections.abc import Callable, Collection
from typing import Any, get_args, get_type_hints

import pytest

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, AdaptCLIPTraining, QueryPromptDataModule
from anomalib_adaptclip.comparison import run_all
from anomalib_adaptclip.training.finetuning import FineTuning
from anomalib_adaptclip_cli.bank import bank_add
from anomalib_adaptclip_cli.compare import compare
from anomalib_adaptclip_cli.finetune import finetune
from anomalib_adaptclip_cli.options import AdaptCLIPOptions, DataModuleOptions, PartOptions, TrainingOptions
from anomalib_adaptclip_cli.predict import predict

ONLY_CODE_CAN_GIVE = ("pre_processor", "post_processor", "evaluator", "visualizer")


def signature_of(function: Callable[..., Any], left_out: Collection[str] = ()) -> list[tuple[str, Any, Any]]:
    """Names, types and defaults, in their order."""
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    parameters = inspect.signature(function).parameters
    return [(name, hints[name], found.default) for name, found in parameters.items() if name not in left_out]


@pytest.mark.parametrize(
    ("options", "constructor", "left_out"),
    [
        (AdaptCLIPOptions, AdaptCLIP, (*ONLY_CODE_CAN_GIVE, "results", "save", "draw")),  # nothing is drawn
        (DataModuleOptions, QueryPromptDataModule, ()),
    ],
)
def test_options_are_those_of_the_constructor(options: type, constructor: type, left_out: tuple[str, ...]) -> None:
    """Prediction has a table of results by position, and its own option for what is beside it."""
    assert signature_of(options) == signature_of(constructor, left_out)


def test_options_of_a_part_are_the_models_and_left_to_it() -> None:
    assert {name for name, *_ in signature_of(PartOptions)} < {name for name, *_ in signature_of(AdaptCLIP)}
    assert {default for *_, default in signature_of(PartOptions)} == {None}


def test_options_of_fine_tuning_are_the_models_and_left_to_it() -> None:
    assert {name for name, *_ in signature_of(TrainingOptions)} < {name for name, *_ in signature_of(AdaptCLIPTraining)}
    assert {default for *_, default in signature_of(TrainingOptions)} == {None}
    own = {name: default for name, _, default in signature_of(finetune)}
    for name, _, default in signature_of(FineTuning, ("folder", "out")):
        assert own[name] == default


def test_options_of_prediction_are_those_of_the_predictor() -> None:
    own = signature_of(predict)
    for option in signature_of(AdaptCLIPPredictor.stream, ("self", "files")):
        assert option in own


@pytest.mark.parametrize(
    ("command", "called", "name"),
    [(compare, run_all, "executor"), (bank_add, AdaptCLIP.__init__, "prompt_precision")],
)
def test_choices_are_those_of_what_is_called(command: Callable[..., Any], called: Any, name: str) -> None:
    assert get_type_hints(command)[name] == get_type_hints(called)[name]


def test_formats_are_those_of_the_model() -> None:
    _, several = get_args(get_type_hints(predict)["save"])
    assert several == get_type_hints(AdaptCLIP.__init__)["save"]


@pytest.mark.parametrize("options", [AdaptCLIPOptions, PartOptions, DataModuleOptions, TrainingOptions])
def test_every_option_is_described(options: type) -> None:
    described = inspect.getdoc(options) or ""
    for name, *_ in signature_of(options):
        assert f"\n    {name}: " in described
