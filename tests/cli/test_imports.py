# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What ``predict`` imports: AdaptCLIP and its hosts, and nothing that other commands alone need."""

import subprocess
import sys
from pathlib import Path

from PIL import Image

NEEDLESS = (
    *("anomalib.cli", "anomalib_adaptclip.app", "anomalib_adaptclip.comparison", "anomalib_adaptclip.inspection"),
    *("gradio", "jinja2", "onnx", "onnxruntime", "openvino", "ray", "transformers"),
)
SCRIPT = f"""
import sys
from anomalib_adaptclip_cli.main import main
main(sys.argv[1:])
loaded = [name for name in {NEEDLESS} if name in sys.modules]
assert not loaded, loaded
"""


def test_predict_imports_nothing_of_other_commands(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    arguments = [
        "predict",
        str(tmp_path / "a.png"),
        str(tmp_path / "a.csv"),
        "--backbone",
        "tiny",
        "--image_size",
        "28",
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, *arguments], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").exists()
