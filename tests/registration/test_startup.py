# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""The start-up files in real interpreters, next to a small stand-in for anomalib."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .environments import SOURCE, START_UP_FILES, Environment

HOST = {
    "anomalib/__init__.py": "",
    "anomalib/data.py": "",
    "anomalib/models/components.py": "class AnomalibModule: ...",
    "anomalib/models/__init__.py": """
from anomalib.models.components import AnomalibModule

ALLOWED_MODULES = {"anomalib.models"}

def list_models():
    return sorted(model.__name__ for model in AnomalibModule.__subclasses__())
""",
}
PLUGIN = {
    "anomalib_adaptclip/__init__.py": """
from .data import LabelledFolder, PredictFolder, QueryPromptDataModule, SyntheticDefects
from .model.lightning_model import AdaptCLIP
from .registration import register
register()
""",
    "anomalib_adaptclip/data.py": """
class LabelledFolder: ...
class PredictFolder: ...
class QueryPromptDataModule: ...
class SyntheticDefects: ...
""",
    "anomalib_adaptclip/model/__init__.py": "",
    "anomalib_adaptclip/model/lightning_model.py": """
from anomalib.models.components import AnomalibModule
class AdaptCLIP(AnomalibModule): ...
""",
    "anomalib_adaptclip/training/__init__.py": "",
    "anomalib_adaptclip/training/lightning_model.py": """
from anomalib.models.components import AnomalibModule
class AdaptCLIPTraining(AnomalibModule): ...
""",
    "anomalib_adaptclip/registration.py": (SOURCE / "anomalib_adaptclip" / "registration.py").read_text(),
}
STATE = """
import anomalib.data, anomalib.models
result = {
    "listed": anomalib.models.list_models(),
    "models": [name for name in dir(anomalib.models) if name.startswith("AdaptCLIP")],
    "data": [name for name in dir(anomalib.data) if name[0].isupper()],
    "allowed": sorted(anomalib.models.ALLOWED_MODULES),
}
"""
REGISTERED = {
    "listed": ["AdaptCLIP", "AdaptCLIPTraining"],
    "models": ["AdaptCLIP", "AdaptCLIPTraining"],
    "data": ["LabelledFolder", "PredictFolder", "QueryPromptDataModule", "SyntheticDefects"],
    "allowed": ["anomalib.models", "anomalib_adaptclip"],
}
UNTOUCHED = {"listed": [], "models": [], "data": [], "allowed": ["anomalib.models"]}

Packages = Callable[[dict[str, str]], str]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The start-up files and the standard library."""
    environment = Environment(tmp_path_factory.mktemp("startup") / "environment")
    for name in START_UP_FILES:
        shutil.copy(SOURCE / name, environment.site_packages)
    return environment


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    """Write modules; returns the folder for ``PYTHONPATH``."""

    def write(modules: dict[str, str]) -> str:
        for name, code in modules.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
        return str(tmp_path)

    return write


@pytest.mark.parametrize(
    "first",
    [
        pytest.param("", id="host first"),
        pytest.param("import anomalib_adaptclip", id="plugin first"),
        pytest.param("import anomalib_adaptclip.model.lightning_model", id="module of the plugin first"),
        pytest.param("import anomalib.models, importlib; importlib.reload(anomalib.models)", id="reloaded"),
        pytest.param("import sys, anomalib.models; del sys.modules['anomalib.models']", id="imported again"),
        pytest.param("import anomalib_adaptclip as a; a.register(); a.register()", id="registered by hand"),
    ],
)
def test_importing_the_host_registers_once(environment: Environment, packages: Packages, first: str) -> None:
    assert environment.evaluate(f"{first}\n{STATE}", PYTHONPATH=packages(HOST | PLUGIN)) == REGISTERED


def test_opting_out_leaves_the_explicit_import(environment: Environment, packages: Packages) -> None:
    variables = {"PYTHONPATH": packages(HOST | PLUGIN), "ANOMALIB_ADAPTCLIP_AUTOLOAD": "0"}
    assert environment.evaluate(STATE, **variables) == UNTOUCHED
    assert environment.evaluate(f"import anomalib_adaptclip\n{STATE}", **variables) == REGISTERED


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        pytest.param({"anomalib_adaptclip/__init__.py": "import no_such_module"}, "no_such_module", id="import"),
        pytest.param({"anomalib_adaptclip/__init__.py": "def"}, "SyntaxError", id="syntax"),
        pytest.param({"anomalib_adaptclip/data.py": "1 / 0"}, "ZeroDivisionError", id="submodule"),
        pytest.param({"anomalib/models/__init__.py": ""}, "ALLOWED_MODULES", id="another host"),
    ],
)
def test_broken_plugin_costs_one_warning(
    environment: Environment, packages: Packages, broken: dict[str, str], reason: str
) -> None:
    code = "import anomalib.models; assert anomalib.models.__spec__"
    finished = environment.run(code, PYTHONPATH=packages(HOST | PLUGIN | broken))
    assert finished.stderr.count("Warning: ") == 1
    assert "RuntimeWarning: anomalib-adaptclip is installed but failed to load" in finished.stderr
    assert reason in finished.stderr


def test_missing_plugin_costs_one_warning(environment: Environment, packages: Packages) -> None:
    finished = environment.run(f"{STATE}\nassert result == {UNTOUCHED}", PYTHONPATH=packages(HOST))
    assert finished.stderr.count("RuntimeWarning: anomalib-adaptclip is installed but failed to load") == 1


BROKEN = {"anomalib_adaptclip/data.py": "1 / 0"}
TOLD = "RuntimeWarning: anomalib-adaptclip is installed but failed to load"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("1 / 0", id="error"),
        pytest.param("raise SystemExit(3)", id="exit"),
        pytest.param("class Unknown(BaseException): ...\nraise Unknown", id="base"),
        pytest.param(
            "class Silent(Exception):\n    def __str__(self): raise ValueError\nraise Silent", id="without text"
        ),
        pytest.param("import warnings; warnings.warn('old', DeprecationWarning)", id="warning"),
    ],
)
def test_the_host_lives_where_warnings_are_errors(environment: Environment, packages: Packages, broken: str) -> None:
    code = "import anomalib.models; print(anomalib.models.list_models())"
    folder = packages(HOST | PLUGIN | {"anomalib_adaptclip/data.py": broken})
    finished = environment.run(code, PYTHONPATH=folder, PYTHONWARNINGS="error")
    assert finished.stdout == "[]\n"
    assert finished.stderr.count(TOLD) == 1


@pytest.mark.parametrize("stream", ["None", "open(sys.stderr.fileno(), 'w', closefd=False); sys.stderr.close()"])
@pytest.mark.parametrize("warnings", ["default", "error"])
def test_the_host_lives_without_standard_error(
    environment: Environment, packages: Packages, stream: str, warnings: str
) -> None:
    code = f"import sys; sys.stderr = {stream}\nimport anomalib.models; print('alive')"
    finished = environment.run(code, PYTHONPATH=packages(HOST | PLUGIN | BROKEN), PYTHONWARNINGS=warnings)
    assert finished.stdout == "alive\n"


def test_an_interruption_stays_one(environment: Environment, packages: Packages) -> None:
    code = """
try:
    import anomalib.models
except KeyboardInterrupt:
    result = "interrupted"
"""
    folder = packages(HOST | PLUGIN | {"anomalib_adaptclip/data.py": "raise KeyboardInterrupt"})
    assert environment.evaluate(code, PYTHONPATH=folder) == "interrupted"


def test_finders_without_find_spec_are_passed_over(environment: Environment, packages: Packages) -> None:
    finder = "class Finder:\n    def find_module(self, name, path=None): return None"
    code = f"import sys\n{finder}\nsys.meta_path.insert(1, Finder())\n{STATE}"
    assert environment.evaluate(code, PYTHONPATH=packages(HOST | PLUGIN)) == REGISTERED


def test_old_finders_may_find_the_host(environment: Environment, packages: Packages) -> None:
    code = f"""
import sys
from importlib.machinery import PathFinder
class Finder:
    def find_module(self, name, path=None):
        spec = PathFinder.find_spec(name, path) if name == "anomalib.models" else None
        return spec and spec.loader
sys.meta_path.insert(1, Finder())
{STATE}
"""
    assert environment.evaluate(code, PYTHONPATH=packages(HOST | PLUGIN)) == REGISTERED


def test_a_finder_that_fails_fails_as_without_the_plugin(environment: Environment, packages: Packages) -> None:
    code = """
import sys
class Finder:
    calls = 0
    def find_spec(self, name, path=None, target=None):
        if name == "anomalib.models":
            Finder.calls += 1
            raise OSError("of the finder")
sys.meta_path.insert(1, Finder())
try:
    import anomalib.models
except OSError as error:
    result = [str(error), Finder.calls, "anomalib_adaptclip" in sys.modules]
"""
    assert environment.evaluate(code, PYTHONPATH=packages(HOST | PLUGIN)) == ["of the finder", 1, False]


def test_a_loader_that_takes_no_attributes_costs_one_warning(environment: Environment, packages: Packages) -> None:
    code = """
import sys
from importlib.machinery import PathFinder
class Loader:
    __slots__ = ("exec_module", "create_module")
    def __setattr__(self, name, value): raise AttributeError(name)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "anomalib.models":
            spec, loader = PathFinder.find_spec(name, path), Loader()
            for method in Loader.__slots__:
                object.__setattr__(loader, method, getattr(spec.loader, method))
            spec.loader = loader
            return spec
sys.meta_path.insert(1, Finder())
import anomalib.models; print(anomalib.models.list_models())
"""
    finished = environment.run(code, PYTHONPATH=packages(HOST | PLUGIN))
    assert finished.stdout == "[]\n"
    assert finished.stderr.count(TOLD) == 1


def test_a_finder_in_the_place_of_ours(environment: Environment, packages: Packages) -> None:
    code = """
import sys
class Finder:
    def __init__(self, inner): self.inner = inner
    def find_spec(self, name, path=None, target=None): return self.inner.find_spec(name, path, target)
sys.meta_path[0] = Finder(sys.meta_path[0])
import anomalib.models
result = anomalib.models.list_models()
"""
    assert environment.evaluate(code, PYTHONPATH=packages(HOST | PLUGIN)) == []


def test_explicit_import_of_a_broken_plugin_raises(environment: Environment, packages: Packages) -> None:
    folder = packages(HOST | PLUGIN | {"anomalib_adaptclip/data.py": "1 / 0"})
    code = """
import warnings
warnings.simplefilter("error")
try:
    import anomalib_adaptclip
except ZeroDivisionError:
    result = "raised"
"""
    assert environment.evaluate(code, PYTHONPATH=folder) == "raised"


def test_failing_host_raises_its_own_error(environment: Environment, packages: Packages) -> None:
    folder = packages(HOST | PLUGIN | {"anomalib/models/__init__.py": "raise OSError('the host')"})
    code = """
import sys
result = []
for attempt in range(2):
    try:
        import anomalib.models
    except OSError as error:
        result.append([str(error), "anomalib_adaptclip" in sys.modules])
"""
    assert environment.evaluate(code, PYTHONPATH=folder) == [["the host", False]] * 2


def test_absent_host_costs_nothing(environment: Environment, packages: Packages) -> None:
    code = """
import importlib.util, sys
result = [importlib.util.find_spec("anomalib") is None]
for name in ("anomalib", "anomalib.models"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        result.append(error.name)
result.append("anomalib_adaptclip" in sys.modules)
"""
    assert environment.evaluate(code, PYTHONPATH=packages(PLUGIN)) == [True, "anomalib", "anomalib", False]
    assert environment.run(code, PYTHONPATH=packages(PLUGIN)).stderr == ""


def test_folder_left_behind_by_the_host_imports_as_before(environment: Environment, packages: Packages) -> None:
    folder = packages(PLUGIN | {"anomalib/models/left_behind.txt": ""})
    code = "import anomalib.models, sys; result = 'anomalib_adaptclip' in sys.modules"
    assert environment.evaluate(code, PYTHONPATH=folder) is False


def test_finding_the_host_does_not_import_the_plugin(environment: Environment, packages: Packages) -> None:
    code = """
import importlib.util, inspect, sys
from importlib.machinery import SourceFileLoader
from importlib.resources import files
spec = importlib.util.find_spec("anomalib.models")
found = [
    type(spec.loader) is SourceFileLoader,
    "def list_models" in spec.loader.get_source("anomalib.models"),
    spec.loader.is_package("anomalib.models"),
    spec.submodule_search_locations == [spec.origin.removesuffix("/__init__.py")],
    not {"anomalib.models", "anomalib_adaptclip"} & set(sys.modules),
]
import anomalib.models
result = found + [
    type(anomalib.models.__loader__) is SourceFileLoader,
    anomalib.models.__loader__.exec_module.__func__ is SourceFileLoader.exec_module,
    "def list_models" in inspect.getsource(anomalib.models),
    files("anomalib.models").joinpath("notes.txt").read_text() == "of the host",
    "anomalib_adaptclip" in sys.modules,
]
"""
    folder = packages(HOST | PLUGIN | {"anomalib/models/notes.txt": "of the host"})
    assert environment.evaluate(code, PYTHONPATH=folder) == [True] * 10


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_know_the_model(environment: Environment, packages: Packages, method: str) -> None:
    code = f"""
import multiprocessing
import anomalib.models
with multiprocessing.get_context({method!r}).Pool(1) as pool:
    result = pool.apply(anomalib.models.list_models)
"""
    assert environment.evaluate(code, PYTHONPATH=packages(HOST | PLUGIN)) == ["AdaptCLIP", "AdaptCLIPTraining"]


def test_threads_that_import_host_and_plugin_at_once(environment: Environment, packages: Packages) -> None:
    slow = {name: f"import time; time.sleep(0.1)\n{code}" for name, code in (HOST | PLUGIN).items()}
    code = f"""
import threading
names = ("anomalib_adaptclip", "anomalib.models")
threads = [threading.Thread(target=__import__, args=[name], daemon=True) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join(20)
assert not any(thread.is_alive() for thread in threads)
{STATE}
"""
    assert environment.evaluate(code, PYTHONPATH=packages(slow)) == REGISTERED


def test_pth_and_start_file_may_both_run(environment: Environment) -> None:
    code = f"""
import importlib, pathlib, sys
module, function = pathlib.Path({str(SOURCE)!r}, "anomalib_adaptclip.start").read_text().strip().split(":")
install = getattr(importlib.import_module(module), function)
before = list(sys.meta_path)
install()
result = [type(sys.meta_path[0]).__name__, sys.meta_path == before]
"""
    assert environment.evaluate(code) == ["_HostFinder", True]


def test_start_imports_nothing_else(environment: Environment, tmp_path: Path) -> None:
    other = Environment(tmp_path / "other")
    (other.site_packages / "other.pth").write_text("import sys\n")
    with_plugin, without = (set(each.evaluate("import sys; result = [*sys.modules]")) for each in (environment, other))
    assert with_plugin - without == {"_anomalib_adaptclip_startup"}


def test_start_takes_under_two_milliseconds(environment: Environment) -> None:
    code = """
import importlib, pathlib, site, sys, time
line = next(pathlib.Path(folder, "anomalib_adaptclip.pth") for folder in site.getsitepackages()).read_text()

def start():
    del sys.modules["_anomalib_adaptclip_startup"], sys.meta_path[0]
    importlib.invalidate_caches()
    begin = time.process_time()
    exec(line)
    return time.process_time() - begin

result = min(start() for _ in range(20))
"""
    assert 0 < environment.evaluate(code) < 2e-3
