# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Which arguments a class takes, as command line and YAML know them."""

from typing import Any

from jsonargparse import ArgumentParser


def constructor_arguments(cls: type[Any]) -> dict[str, Any]:
    """Find the arguments of a constructor, including those that its ``**kwargs`` hand on to base classes.

    Args:
        cls: Class, such as a data module or a model.

    Returns:
        Defaults by name, None for required arguments.
    """
    parser = ArgumentParser()
    names = parser.add_class_arguments(cls, fail_untyped=False)
    defaults = parser.get_defaults()
    return {name: defaults.get(name) for name in names}
