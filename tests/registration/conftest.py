# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from .environments import REPOSITORY, Environment, link_dependencies


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_dependencies(tmp_path_factory.mktemp("installed") / "dependencies")


@pytest.fixture(scope="session")
def wheel_environment(tmp_path_factory: pytest.TempPathFactory, dependencies: Path) -> Environment:
    """An environment into which the wheel was installed, and nothing else done."""
    environment = Environment(tmp_path_factory.mktemp("wheel") / "environment", dependencies)
    environment.install(str(REPOSITORY))
    return environment
