# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Whether this machine is ready: packages, devices, weights, and anomalib's sight of the model."""

from .examine import examine
from .finding import Finding

__all__ = ["Finding", "examine"]
