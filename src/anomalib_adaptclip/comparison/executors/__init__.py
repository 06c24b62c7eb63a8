# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Where the runs of a sweep are made: in this process, in several of this machine, or on a Ray cluster."""

from .executor import Executor
from .in_process import InProcess
from .process_pool import ProcessPool
from .ray_cluster import RayCluster, require_ray

__all__ = ["Executor", "InProcess", "ProcessPool", "RayCluster", "require_ray"]
