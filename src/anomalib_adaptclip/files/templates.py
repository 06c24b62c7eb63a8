# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Templates of pages, which lie in the package that fills them in."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def templates_of(package: str) -> Environment:
    """Find the templates of a package. What is filled into HTML is escaped. A name that nobody gives is an error.

    Args:
        package: Name of the package.
    """
    return Environment(
        loader=PackageLoader(package, ""),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
