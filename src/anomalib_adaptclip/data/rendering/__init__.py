# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Draws images of textures and objects, with and without defects, from nothing but a seed.

`render_sample` is a pure function: it reads and writes no file. Imports only point up this list:

* ``shapes``, ``fields``, ``colours``, ``noise`` and ``lighting``: the arithmetic;
* ``canvas``: what a drawing works with; ``scene``: what it returns;
* ``textures``, ``metal_parts``, ``everyday_objects`` and ``circuit_board``: the drawings;
* ``placement``, ``foreign_parts`` and ``defects``: the damage;
* ``categories``: the list of what can be drawn; ``sample``: from a category and an index to an image and its mask.
"""

from .categories import CATEGORIES, Category, get_category
from .sample import MIN_IMAGE_SIZE, Sample, render_sample

__all__ = ["CATEGORIES", "MIN_IMAGE_SIZE", "Category", "Sample", "get_category", "render_sample"]
