# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Arguments that are given beside a checkpoint: each wins, or is refused by name."""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn

from anomalib_adaptclip.adapters.adapter_slot import AdapterOrigin
from anomalib_adaptclip.adapters.pinning import split_pin
from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.files.region_of_interest import read_region
from anomalib_adaptclip.files.tensors import sha256_of
from anomalib_adaptclip.prompts.selection import prompts_from_folder

from .calibration import FALSE_POSITIVE_RATE
from .checkpoint_record import CheckpointRecord
from .model_options import ModelOptions
from .thresholds import adopt_thresholds, takes_thresholds

COMPONENTS = ("pre_processor", "post_processor", "evaluator", "visualizer")
_OPTIONS = {"adapter_names": "adapters"} | {
    field.name: field.name for field in fields(ModelOptions) if field.name != "adapters"
}  # attributes of the options by argument
_PROMPTS = ("k_shot", "prompt_budget", "seed", "draw")
_OF_BANK = ("unknown_category", "calibration", "false_positive_rate")
_THRESHOLDS = ("image_threshold", "pixel_threshold")
_SENSITIVITIES = ("image_sensitivity", "pixel_sensitivity")
_WITHOUT = {"unknown_category": "zero_shot", "calibration": "labels", "false_positive_rate": FALSE_POSITIVE_RATE}


def require_arguments(cls: type[Any], arguments: Mapping[str, object]) -> frozenset[str]:
    """Check the types of a model's arguments, and find which of anomalib's components it was given.

    Args:
        cls: Class of the model.
        arguments: Arguments of its constructor.

    Returns:
        Names of the components that are not the default.

    Raises:
        ValueError: If an argument has another type than its annotation says.
    """
    require_types(cls.__init__, arguments)
    defaults = _defaults(cls)
    return frozenset(name for name in COMPONENTS if arguments[name] is not defaults[name])


def given_arguments(cls: type[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that are other than their default. A command line hands over all, so no more can be known."""
    defaults = _defaults(cls)
    return {name: value for name, value in arguments.items() if name in defaults and not _equal(value, defaults[name])}


def require_known(cls: type[Any], names: Mapping[str, object]) -> None:
    """Check that a constructor has some arguments. Lightning would drop the others without a word.

    Raises:
        ValueError: If it lacks one; all that it has are listed.
    """
    known = [*_defaults(cls)]
    if unknown := [name for name in names if name not in known]:
        msg = f"{cls.__name__} has no arguments {unknown}; it has {known}."
        raise ValueError(msg)


def require_known_saved(cls: type[Any], saved: Mapping[str, object]) -> None:
    """Check that a constructor has the arguments of a checkpoint. Lightning would drop the others without a word.

    Raises:
        ValueError: If it lacks one: another class or another version made the checkpoint.
    """
    known = _defaults(cls)
    if unknown := [name for name in saved if name not in known and not name.startswith("_")]:  # Lightning's own
        msg = (
            f"The checkpoint has arguments that {cls.__name__} does not know here: {unknown}. Load it with the class, "
            "and a version of anomalib-adaptclip, that it was made with."
        )
        raise ValueError(msg)


def require_undecided(given: Mapping[str, Any], saved: Mapping[str, Any], record: CheckpointRecord) -> None:
    """Check that arguments do not contradict a checkpoint where that has the last word.

    Args:
        given: Arguments that were given.
        saved: Arguments in the checkpoint.
        record: Its record.

    Raises:
        ValueError: If they do; all of them are told.
    """
    decided = {name: _decided(name, given, saved, record) for name in given}
    differing = [
        f"{name}={given[name]!r} (checkpoint: {values[0]!r})"
        for name, values in decided.items()
        if values and not any(_equal(given[name], value) for value in values)
    ]
    if differing:
        msg = f"The checkpoint decides {', '.join(differing)}. Leave out what differs, or the checkpoint."
        raise ValueError(msg)


def with_dependents(given: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments given beside a checkpoint, and those that are left out with them: what it says of them goes, too.

    Args:
        given: Arguments that were given.
        saved: Arguments in the checkpoint.
    """
    dependents: list[str] = []
    if given.get("prompt_bank", True) is None:
        dependents += _OF_BANK if saved.get("prompt_bank") else _OF_BANK[:1]
    if (own := given.get("post_processor", True)) is not True:  # sensitivities of its own, perhaps thresholds
        dependents += _SENSITIVITIES if takes_thresholds(own) else (*_SENSITIVITIES, *_THRESHOLDS)
    return {name: _WITHOUT.get(name) for name in dependents if name in saved} | dict(given)


def _decided(name: str, given: Mapping[str, Any], saved: Mapping[str, Any], record: CheckpointRecord) -> list[Any]:
    """Values that agree with a checkpoint, none if the argument is free."""
    if name == "roi":
        own = record.options.roi
        return [given[name] if read_region(given[name]) == own else str(own or "the whole image")]
    if name in _OPTIONS:
        return [getattr(record.options, _OPTIONS[name]), saved.get(name)]
    if name == "adapters":
        return [given[name] if _is_origin(given[name], record.origin) else record.origin.source]
    if name == "image_size":
        return [record.options.tile_size or record.input_size, saved.get(name)]
    if name in {"revision", "tiles"}:
        return [saved.get(name)]
    return _decided_by_prompts(name, given, saved, record.prompt_files)


def _decided_by_prompts(
    name: str, given: Mapping[str, Any], saved: Mapping[str, Any], files: tuple[str, ...]
) -> list[Any]:
    if not files or given.get("prompt_bank") is not None:  # a bank comes before them
        return []
    if name == "k_shot":
        return [len(files)]
    if name == "few_shot_source":
        same = given[name] is not None and prompts_from_folder(given[name])[: len(files)] == list(files)
        return [given[name] if same else files]
    if name == "prompt_precision" and given[name] == "float32":  # what was rounded stays so
        return [saved.get(name)]
    return [saved.get(name)] if name in _PROMPTS else []


def _is_origin(adapters: str | Path, origin: AdapterOrigin) -> bool:
    name, pin = split_pin(str(adapters))
    is_same_file = Path(name).is_file() and sha256_of(Path(name)) == origin.sha256
    return (is_same_file or name == origin.source) and pin in {"", origin.sha256}


def keep_given(names: Collection[str], checkpoint: dict[str, Any]) -> None:
    """Take out of a checkpoint what anomalib would put over components that were given.

    Args:
        names: Names of the components.
        checkpoint: Changed in place.
    """
    for name in names:
        checkpoint.pop(f"anomalib_{name}_config", None)
        checkpoint.get("anomalib_components_enabled", {}).pop(name, None)


def put_state_in(name: str, component: object, checkpoint: dict[str, Any]) -> None:
    """Put a component's own state in place of that in a checkpoint. A post-processor takes thresholds if it has none.

    Args:
        name: Its name, one of anomalib's four.
        component: The component, ``None`` for none.
        checkpoint: Changed in place.
    """
    state, prefix = checkpoint["state_dict"], f"{name}."
    saved = {key.removeprefix(prefix): state.pop(key) for key in [*state] if key.startswith(prefix)}
    if isinstance(component, nn.Module):
        adopt_thresholds(component, saved)
        state |= {f"{prefix}{key}": tensor for key, tensor in component.state_dict().items()}


def _defaults(cls: type[Any]) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind != parameter.VAR_KEYWORD}


def _equal(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Whether arguments say the same; a list is a tuple, a path its text, and a side a square."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list | tuple):
        parts = tuple(value)
        return parts[0] if len(parts) == 2 and parts[0] == parts[1] else parts
    return str(value) if isinstance(value, Path) else value
