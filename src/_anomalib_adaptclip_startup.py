# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""Loads AdaptCLIP whenever ``anomalib.models`` is imported.

anomalib has no plugin mechanism, so the installed ``anomalib_adaptclip.pth`` (or ``.start``, from Python 3.15 on) calls
:func:`install` at interpreter start. This module is top-level and imports nothing that is not loaded by then: importing
the package here would import torch into every Python process.

``ANOMALIB_ADAPTCLIP_AUTOLOAD=0`` switches it off; ``import anomalib_adaptclip`` then does the same by hand.
"""

import os
import sys

TYPE_CHECKING = False  # importing typing would cost more than all the rest
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class _HostFinder:
    """Finds ``anomalib.models`` where the finders after it find it, and nothing else."""

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        if fullname != "anomalib.models" or os.environ.get("ANOMALIB_ADAPTCLIP_AUTOLOAD") == "0":
            return None
        if self not in sys.meta_path:  # called by a finder that took this one's place
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = _ask(finder, fullname, path, target)
            if spec is not None:
                _load_plugin_after(spec.loader)
                return spec
        return None


def _ask(
    finder: "Any",  # noqa: ANN401 - whatever others installed
    fullname: str,
    path: "Sequence[str] | None",
    target: "ModuleType | None",
) -> "ModuleSpec | None":
    """Ask a finder as Python does: from 3.12 on it passes over those of the time before ``find_spec``."""
    if hasattr(finder, "find_spec"):
        spec: ModuleSpec | None = finder.find_spec(fullname, path, target)
        return spec
    if sys.version_info >= (3, 12) or not hasattr(finder, "find_module"):
        return None
    from importlib.util import spec_from_loader  # noqa: PLC0415

    loader = finder.find_module(fullname, path)
    return None if loader is None else spec_from_loader(fullname, loader)


def _load_plugin_after(loader: "Any") -> None:  # noqa: ANN401 - whatever the other finders use
    original = getattr(loader, "exec_module", None)
    if original is None or isinstance(loader, type):  # nothing to execute, or a loader that others share
        return

    def exec_module(module: "ModuleType") -> None:
        loader.exec_module = original
        original(module)
        _load_plugin()

    try:
        loader.exec_module = exec_module
    except AttributeError as error:  # a loader that takes no attributes
        _tell(error)


def _load_plugin() -> None:
    try:
        import anomalib_adaptclip  # noqa: PLC0415

        # Importing it registers it. Once more, because anomalib.models may have been reloaded; absent while the
        # package is itself the importer of anomalib.models.
        if hasattr(anomalib_adaptclip, "register"):
            anomalib_adaptclip.register()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - anomalib must go on without the plugin, even if that exits
        _tell(error)


def _tell(error: BaseException) -> None:
    """Warn of a plugin that did not load, or write to standard error where a warning would be an error itself."""
    import warnings  # noqa: PLC0415
    from contextlib import suppress  # noqa: PLC0415

    reason = type(error).__name__
    with suppress(Exception):  # its text may fail too
        reason = f"{reason}: {error}"
    message = (
        f"anomalib-adaptclip is installed but failed to load, so anomalib does not know AdaptCLIP. The reason was "
        f"{reason}. `import anomalib_adaptclip` shows the traceback; reinstall the package, or set "
        f"ANOMALIB_ADAPTCLIP_AUTOLOAD=0 to do without it."
    )
    try:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    except Exception:  # noqa: BLE001 - of `python -W error`, or of a stream that is closed
        with suppress(Exception):
            sys.stderr.write(f"RuntimeWarning: {message}\n")


def install() -> None:
    """Watch for the import of ``anomalib.models``; a second call changes nothing."""
    if not any(isinstance(finder, _HostFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HostFinder())
