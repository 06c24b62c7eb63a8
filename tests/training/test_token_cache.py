# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The token cache: what is found again, what is computed anew, and training from it."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.engine import Engine
from lightning.pytorch.callbacks import Callback

from anomalib_adaptclip import AdaptCLIPTraining, QueryPromptDataModule
from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.model.torch_model import AdaptCLIPModel
from anomalib_adaptclip.training import token_cache
from anomalib_adaptclip.training.token_cache import TokenCache, module_digest, pack_tokens, packed_rows, unpack_tokens

SHAPE = (6, 4)
FEW = {"image_size": 64, "num_train_images": 3, "num_normal_test_images": 4, "num_images_per_defect": 1}
PARTS = [
    f"{name}_{part}" for name in ("visual", "textual", "prompt_query") for part in ("classification", "segmentation")
]


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Files; the cache itself looks at their bytes alone."""
    files = [tmp_path / f"{index}.png" for index in range(8)]
    for index, file in enumerate(files):
        file.write_bytes(bytes([index]) * 10)
    return [str(file) for file in files]


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return TokenCache(tmp_path / "cache", ["recipe"], SHAPE)


def fresh(cache: TokenCache, *recipe: str) -> TokenCache:
    """The same folder, as another process sees it."""
    return TokenCache(cache.folder, recipe or ["recipe"], SHAPE)


def encode(files: Sequence[str]) -> torch.Tensor:
    """Tokens that tell the files apart."""
    return torch.stack([torch.full(SHAPE, float(Path(file).stem), dtype=torch.half) for file in files])


def run(mode: str, cache: TokenCache, images: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start a process that fills the folder."""
    command = [sys.executable, "-c", WRITER, mode, str(cache.folder), *images]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


class TestEntries:
    def test_what_was_written_is_read(self, cache: TokenCache, images: list[str]) -> None:
        cache.fill(images, encode, 3)
        for image in images:
            torch.testing.assert_close(fresh(cache).read(image), encode([image])[0], rtol=0, atol=0)

    def test_what_tokens_have_in_common_costs_no_precision(self) -> None:
        """Half precision is relative: alone it would be wrong by up to 0.25 here."""
        tokens = ImageTokens(1000 + torch.rand(2, 4), (1000 + torch.rand(2, 7, 4),), (2, 3))
        found = unpack_tokens(pack_tokens(tokens), 1, (2, 3))
        torch.testing.assert_close(found.layers, tokens.layers, rtol=0, atol=1e-3)
        torch.testing.assert_close(found.global_token, tokens.global_token, rtol=0, atol=1e-3)

    def test_packing_is_undone_up_to_half_precision(self) -> None:
        tokens = ImageTokens(torch.rand(2, 4), (torch.rand(2, 7, 4), torch.rand(2, 7, 4)), (2, 3))
        found = unpack_tokens(pack_tokens(tokens), 2, (2, 3))
        torch.testing.assert_close(found.global_token, tokens.global_token, rtol=1e-3, atol=0)
        torch.testing.assert_close(found.layers, tokens.layers, rtol=0, atol=5e-4)
        assert found.grid == (2, 3)
        assert pack_tokens(tokens).shape == (2, packed_rows(2, (2, 3)), 4)
        assert pack_tokens(tokens).dtype == torch.half

    def test_reads_are_mapped_from_the_file(self, cache: TokenCache, images: list[str]) -> None:
        cache.fill(images[:1], encode, 1)
        tokens = cache.read(images[0])
        start = tokens.data_ptr()
        ranges = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if ".safetensors" in line]
        bounds = [
            [int(end, 16) for end in fields[0].split("-")]
            for fields in ranges
            if fields[-1] == str(cache.locate(images[0]))
        ]
        assert any(low <= start < high for low, high in bounds)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda _: b"",
            lambda content: content[:-1],
            lambda content: content[: len(content) // 2],
            lambda content: content + b"x",
            lambda content: bytes(len(content)),
            lambda content: b"\xff" * len(content),
            lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        ],
        ids=["empty", "truncated", "halved", "longer", "zeros", "garbage", "flipped"],
    )
    def test_damage_counts_as_missing(
        self, cache: TokenCache, images: list[str], damage: Callable[[bytes], bytes]
    ) -> None:
        cache.fill(images, encode, 3)
        entry = cache.locate(images[2])
        entry.write_bytes(damage(entry.read_bytes()))
        assert fresh(cache).missing(images) == [images[2]]

    def test_no_flipped_byte_changes_what_is_read(self, cache: TokenCache, images: list[str]) -> None:
        cache.fill(images[3:4], encode, 1)
        entry, expected = cache.locate(images[3]), encode(images[3:4])[0]
        content = entry.read_bytes()
        for position in range(len(content)):
            entry.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
            if not cache.missing(images[3:4]):
                torch.testing.assert_close(cache.read(images[3]), expected, rtol=0, atol=0)

    @pytest.mark.parametrize("wrong", [torch.zeros(5, 4).half(), torch.zeros(SHAPE), torch.zeros(4, 6).half()])
    def test_another_shape_or_precision_counts_as_missing(
        self, cache: TokenCache, images: list[str], wrong: torch.Tensor
    ) -> None:
        cache.write(images[0], wrong)
        assert cache.missing(images[:1]) == images[:1]

    def test_another_image_under_the_same_name_is_missing(self, cache: TokenCache, images: list[str]) -> None:
        cache.fill(images, encode, 3)
        Path(images[1]).write_bytes(b"another")
        assert fresh(cache).missing(images) == [images[1]]

    def test_an_image_that_moved_is_found(self, cache: TokenCache, images: list[str], tmp_path: Path) -> None:
        cache.fill(images, encode, 3)
        moved = shutil.copy(images[4], tmp_path / "moved.png")
        torch.testing.assert_close(fresh(cache).read(str(moved)), encode([images[4]])[0])

    def test_another_recipe_finds_nothing(self, cache: TokenCache, images: list[str]) -> None:
        cache.fill(images, encode, 3)
        assert fresh(cache, "other").missing(images) == images

    def test_an_entry_that_vanished_names_the_image(self, cache: TokenCache, images: list[str]) -> None:
        cache.fill(images, encode, 3)
        cache.locate(images[5]).unlink()
        with pytest.raises(OSError, match=r"tokens of .*/5\.png cannot be read.* Start again"):
            cache.read(images[5])

    def test_an_image_that_cannot_be_read_is_named(self, cache: TokenCache) -> None:
        with pytest.raises(ValueError, match=r"Cannot read the image /nowhere/1\.png"):
            cache.missing(["/nowhere/1.png"])


def test_the_digest_tells_weights_precision_and_activations_apart() -> None:
    plain, moved = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    moved.load_state_dict({key: tensor + 1e-6 for key, tensor in plain.state_dict().items()})
    half = torch.nn.Linear(2, 2).half()
    modules = [torch.nn.Sequential(layer, torch.nn.GELU()) for layer in (plain, moved, half)]
    modules.append(torch.nn.Sequential(plain, torch.nn.ReLU()))
    assert len({module_digest(module) for module in modules}) == 4
    assert module_digest(modules[0]) == module_digest(torch.nn.Sequential(plain, torch.nn.GELU()))


WRITER = """
import os, signal, sys, torch
from pathlib import Path
from anomalib_adaptclip.training import token_cache
from anomalib_adaptclip.training.token_cache import TokenCache
mode, folder, *images = sys.argv[1:]
cache = TokenCache(Path(folder), ["recipe"], (6, 4))
written = []
def encode(files):
    return torch.stack([torch.full((6, 4), float(Path(file).stem), dtype=torch.half) for file in files])
replace = token_cache.write_atomically
def killed(path, write):
    def half(draft):
        draft.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    replace(path, half if len(written) == 4 else write)
    written.append(path)
if mode == "kill":
    token_cache.write_atomically = killed
for _ in range(1 if mode == "kill" else 50):
    cache.fill(images, encode, 2)
"""


class TestFilling:
    def test_two_processes_at_once(self, cache: TokenCache, images: list[str]) -> None:
        both = [run("go", cache, images) for _ in range(2)]
        assert [process.wait(120) for process in both] == [0, 0]
        assert fresh(cache).missing(images) == []
        assert len([path for path in cache.folder.rglob("*") if path.is_file()]) == len(images)

    def test_a_killed_run_is_continued(self, cache: TokenCache, images: list[str]) -> None:
        assert run("kill", cache, images).wait(120) == -signal.SIGKILL
        assert [path for path in cache.folder.rglob(".*") if path.is_file()]  # the draft it left
        missing = fresh(cache).missing(images)
        assert missing == images[4:]
        cache.fill(missing, encode, 2)
        assert fresh(cache).missing(images) == []

    def test_a_full_disk_is_told_before(self, cache: TokenCache, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = shutil.disk_usage(cache.folder.parent)._replace(free=10**9)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        cache.require_space(1000)
        with pytest.raises(
            OSError, match=r"needs 960\.0 MB for 20000000 images, and .* has 1000\.0 MB left.* Free space"
        ):
            cache.require_space(20_000_000)

    def test_a_disk_that_fills_up(self, cache: TokenCache, images: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """A limit on the size of files stands for the disk: the error is the operating system's own."""
        wide = TokenCache(cache.folder, ["recipe"], (2000, 500))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        monkeypatch.setattr(token_cache, "track", lambda steps, *_, **__: steps)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, hard))
        try:
            with pytest.raises(OSError, match=r"Cannot write to the token cache .* It needs 16\.0 MB more"):
                wide.fill(images, lambda files: torch.zeros(len(files), 2000, 500).half(), 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not [path for path in cache.folder.rglob("*") if path.is_file()]


def pairs(root: Path, **options: Any) -> QueryPromptDataModule:
    defaults: dict[str, Any] = {
        "base": "SyntheticDefects",
        "base_root": root,
        "base_categories": ["gear"],
        "base_args": FEW,
        "target": "SyntheticDefects",
        "target_categories": ["wood"],
        "target_args": FEW,
        "num_workers": 0,
        "train_batch_size": 4,
        "eval_batch_size": 5,
    }
    return QueryPromptDataModule(**defaults | options)


def tiny(**options: Any) -> AdaptCLIPTraining:
    return AdaptCLIPTraining(**{"backbone": "tiny", "pretrained": "seed-0", "image_size": 56, **options})


class Losses(Callback):
    """Keeps every part of the loss at every step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        del args
        self.steps.append({name: trainer.logged_metrics[f"train_{name}_step"].item() for name in (*PARTS, "loss")})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Images that CLIP has encoded, one number a batch."""
    counts: list[int] = []
    plain = AdaptCLIPModel.encode

    def counting(self: AdaptCLIPModel, images: torch.Tensor, layers: Sequence[int]) -> ImageTokens:
        counts.append(len(images))
        return plain(self, images, layers)

    monkeypatch.setattr(AdaptCLIPModel, "encode", counting)
    return counts


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., Losses]:
    def run_it(model: AdaptCLIPTraining, datamodule: QueryPromptDataModule, epochs: int = 1) -> Losses:
        losses = Losses()
        engine = Engine(
            accelerator="cpu",
            devices=1,
            logger=False,
            max_epochs=epochs,
            callbacks=[losses],
            default_root_dir=tmp_path / "results",
        )
        engine.fit(model, datamodule=datamodule)
        return losses

    return run_it


class TestTraining:
    def test_losses_are_those_without_a_cache(
        self, root: Path, tmp_path: Path, fit: Callable[..., Losses], encoded: list[int]
    ) -> None:
        plain = fit(tiny(), pairs(root), epochs=2).steps
        assert encoded.count(8) == 4  # queries and prompts of a batch in one
        cached = fit(tiny(cache_dir=tmp_path / "cache"), pairs(root), epochs=2).steps
        assert len(cached) == len(plain) == 4
        for found, expected in zip(cached, plain, strict=True):
            assert found == {name: pytest.approx(value, abs=1e-2) for name, value in expected.items()}

    def test_a_second_run_computes_nothing(
        self, root: Path, tmp_path: Path, fit: Callable[..., Losses], encoded: list[int]
    ) -> None:
        data = pairs(root)
        first = fit(tiny(cache_dir=tmp_path / "cache"), data, epochs=2).steps
        assert sum(encoded) == len(data.image_files())
        encoded.clear()
        assert fit(tiny(cache_dir=tmp_path / "cache"), pairs(root), epochs=2).steps == first
        assert encoded == []

    def test_a_complete_folder_needs_no_writing(
        self, root: Path, tmp_path: Path, fit: Callable[..., Losses], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fit(tiny(cache_dir=tmp_path / "cache"), pairs(root))
        folders = [tmp_path / "cache", *(path for path in (tmp_path / "cache").iterdir())]
        monkeypatch.setattr(token_cache, "write_atomically", None)
        monkeypatch.setattr(TokenCache, "require_space", None)
        for folder in folders:
            folder.chmod(0o555)
        try:
            assert fit(tiny(cache_dir=tmp_path / "cache"), pairs(root)).steps
        finally:
            for folder in folders:
                folder.chmod(0o755)

    def test_a_damaged_entry_is_computed_anew(
        self, root: Path, tmp_path: Path, fit: Callable[..., Losses], encoded: list[int]
    ) -> None:
        model, data = tiny(cache_dir=tmp_path / "cache"), pairs(root)
        fit(model, data)
        next((tmp_path / "cache").rglob("*.safetensors")).write_bytes(b"")
        encoded.clear()
        fit(model, data)  # the same objects: what they remember of the first run must not stand in
        assert encoded == [1]

    @pytest.mark.parametrize("change", ["blocks", "size", "layers", "normalisation", "first V-V block"])
    def test_what_the_tokens_depend_on(
        self, root: Path, tmp_path: Path, fit: Callable[..., Losses], encoded: list[int], change: str
    ) -> None:
        fit(tiny(cache_dir=tmp_path / "cache"), pairs(root))
        model = tiny(cache_dir=tmp_path / "cache", image_size=70 if change == "size" else 56)
        if change == "blocks":
            model.model.clip.visual.transformer.resblocks[0].mlp.c_fc.bias.data.add_(0.1)
        elif change == "layers":
            model.model.layers = (1, 4, 6, 8)
        elif change == "normalisation":
            model.pre_processor.transform.transforms[1].mean[0] = 0.1  # type: ignore[union-attr]
        elif change == "first V-V block":
            model.model.first_vv_block = 4
        encoded.clear()
        data = pairs(root)
        fit(model, data)
        assert sum(encoded) == len(data.image_files())

    def test_a_data_module_is_not_left_with_the_tokens_of_another_model(
        self, root: Path, tmp_path: Path, fit: Callable[..., Losses], encoded: list[int]
    ) -> None:
        data = pairs(root)
        fit(tiny(cache_dir=tmp_path / "cache"), data)
        encoded.clear()
        assert fit(tiny(), data).steps == fit(tiny(), pairs(root)).steps
        assert encoded

    def test_another_target_after_training(self, root: Path, tmp_path: Path, fit: Callable[..., Losses]) -> None:
        model = tiny(cache_dir=tmp_path / "cache")
        fit(model, pairs(root))
        engine = Engine(accelerator="cpu", devices=1, logger=False, default_root_dir=tmp_path / "results")
        [scores] = engine.test(model, datamodule=pairs(root, target_categories=["carpet"]))
        assert 0 <= scores["test_one_shot_image_AUROC"] <= 1

    def test_a_full_disk_stops_before_training(
        self,
        root: Path,
        tmp_path: Path,
        fit: Callable[..., Losses],
        monkeypatch: pytest.MonkeyPatch,
        encoded: list[int],
    ) -> None:
        usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(OSError, match=r"The token cache needs 0\.4 MB for 22 images"):
            fit(tiny(cache_dir=tmp_path / "cache"), pairs(root))
        assert encoded == []

    def test_an_image_that_is_none_is_named(self, tmp_path: Path, fit: Callable[..., Losses]) -> None:
        data = pairs(tmp_path / "own")
        data.prepare_data()
        broken = sorted((tmp_path / "own/gear/train/good").iterdir())[1]
        broken.write_bytes(b"no image")
        with pytest.raises(ValueError, match=f"Cannot read the image {broken}"):
            fit(tiny(cache_dir=tmp_path / "cache"), data)


PROCESSES = """
import json, os, sys, torch
from pathlib import Path
from anomalib.engine import Engine
from anomalib_adaptclip import AdaptCLIPTraining, QueryPromptDataModule
from anomalib_adaptclip.training import lightning_model
from anomalib_adaptclip.training.token_source import TokenSource
root, cache, few, failing = sys.argv[1:]
rank = int(os.environ.get("LOCAL_RANK", 0))
class Counting(TokenSource):
    def packed(self, files):
        if str(rank) == failing:
            raise OSError("this process fails")
        with open(f"{cache}-{rank}", "a") as log:
            log.writelines(f"{file}\\n" for file in files)
        return super().packed(files)
if __name__ == "__main__":
    torch.set_num_threads(1)
    data = QueryPromptDataModule("SyntheticDefects", root, ["gear"], json.loads(few), num_workers=0, train_batch_size=2)
    lightning_model.TokenSource = Counting
    model = AdaptCLIPTraining("tiny", "seed-0", image_size=56, cache_dir=cache)
    options = {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "logger": False, "max_epochs": 1}
    Engine(**options, default_root_dir=cache + "-results").fit(model, datamodule=data)
"""


class TestProcesses:
    @staticmethod
    def run(root: Path, tmp_path: Path, failing: str) -> "subprocess.CompletedProcess[str]":
        script = tmp_path / "script.py"
        script.write_text(PROCESSES)
        command = [sys.executable, str(script), str(root), str(tmp_path / "cache"), json.dumps(FEW), failing]
        environment = {key: value for key, value in os.environ.items() if key not in {"LOCAL_RANK", "MASTER_PORT"}}
        return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False, env=environment)

    def test_each_fills_its_share(self, root: Path, tmp_path: Path) -> None:
        done = self.run(root, tmp_path, "none")
        assert done.returncode == 0, done.stderr[-3000:]
        shares = [(tmp_path / f"cache-{rank}").read_text().splitlines() for rank in range(2)]
        assert abs(len(shares[0]) - len(shares[1])) <= 1
        assert not {*shares[0]} & {*shares[1]}
        assert len([*(tmp_path / "cache").rglob("*.safetensors")]) == len(shares[0]) + len(shares[1]) == 11

    def test_one_that_fails_ends_the_other(self, root: Path, tmp_path: Path) -> None:
        done = self.run(root, tmp_path, "1")
        assert done.returncode != 0
        assert "this process fails" in done.stderr
        assert "Another process could not fill the token cache" in done.stderr
