# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever part of anomalib or of the plugin is imported first, the model is registered, without a warning."""

from .environments import Environment

FIRST_IMPORTS = (
    "anomalib",
    "anomalib.callbacks",
    "anomalib.callbacks.model_loader",
    "anomalib.cli",
    "anomalib.cli.pipelines",
    "anomalib.cli.utils.help_formatter",
    "anomalib.data",
    "anomalib.data.datamodules.image.mvtecad",
    "anomalib.data.predict",
    "anomalib.deploy",
    "anomalib.deploy.inferencers.torch_inferencer",
    "anomalib.engine",
    "anomalib.engine.engine",
    "anomalib.loggers",
    "anomalib.metrics",
    "anomalib.models",
    "anomalib.models.components",
    "anomalib.models.components.base.anomalib_module",
    "anomalib.models.image",
    "anomalib.models.image.padim.lightning_model",
    "anomalib.models.image.winclip.prompting",
    "anomalib.models.image.winclip.torch_model",
    "anomalib.models.video",
    "anomalib.pipelines",
    "anomalib.pipelines.benchmark.generator",
    "anomalib.pipelines.tiled_ensemble",
    "anomalib.post_processing",
    "anomalib.pre_processing",
    "anomalib.utils",
    "anomalib.visualization",
    "anomalib_adaptclip",
    "anomalib_adaptclip.adapters",
    "anomalib_adaptclip.clip",
    "anomalib_adaptclip.data",
    "anomalib_adaptclip.model.lightning_model",
    "anomalib_adaptclip.registration",
    "anomalib_adaptclip.model.torch_model",
)

# Each import gets a process of its own, forked from one that has loaded what takes most of the time and knows neither
# anomalib nor the plugin.
CODE = f"""
import os, sys, traceback, warnings
from importlib import import_module

for name in ("torch", "torchvision.transforms.v2", "lightning.pytorch.cli", "torchmetrics", "open_clip", "timm",
             "pandas", "sklearn.metrics", "cv2", "kornia", "matplotlib.pyplot", "torch.onnx"):
    import_module(name)
assert not any(name.startswith(("anomalib.", "anomalib_")) for name in sys.modules)

def check(first):
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)
    import_module(first)
    models, data = import_module("anomalib.models"), import_module("anomalib.data")
    assert "AdaptCLIP" in models.list_models("pascal")
    assert models.AdaptCLIP.__module__ == "anomalib_adaptclip.model.lightning_model"
    assert data.SyntheticDefects.__module__.startswith("anomalib_adaptclip.data")
    assert "anomalib_adaptclip" in models.ALLOWED_MODULES

def succeeds_alone(first):
    child = os.fork()
    if child == 0:
        try:
            check(first)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0

failed = [first for first in {FIRST_IMPORTS} if not succeeds_alone(first)]
assert not failed, failed
result = {len(FIRST_IMPORTS)}
"""


def test_any_first_import_registers(wheel_environment: Environment) -> None:
    assert wheel_environment.evaluate(CODE) == len(FIRST_IMPORTS)


def test_spawned_worker_lists_the_model(wheel_environment: Environment) -> None:
    code = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
    result = pool.submit(eval, "__import__('anomalib.models').models.AdaptCLIP.__name__").result()
"""
    assert wheel_environment.evaluate(code) == "AdaptCLIP"
