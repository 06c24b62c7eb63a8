# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Executors make the runs of a sweep: in this process, in several processes of this machine, or on a Ray cluster."""

from .executor import Executor
from .in_process import InProcess
from .process_pool import ProcessPool
from .ray_cluster import RayCluster, require_ray

__all__ = ["Executor", "InProcess", "ProcessPool", "RayCluster", "require_ray"]
