# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the README and the pages of `docs` show works: their commands and blocks are run as they stand, with `tiny`.

A block that is not run says why, in a comment above it. Its commands are parsed all the same.
"""

import inspect
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from anomalib.cli.cli import AnomalibCLI
from PIL import Image, ImageDraw

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPTraining, SyntheticDefects
from anomalib_adaptclip.comparison.sweep import list_runs, read_sweep
from anomalib_adaptclip_cli.main import main
from anomalib_adaptclip_cli.parser import COMMANDS, build_parser, normalize
from scripts.site_hooks import PLACE, help_of_all, on_page_markdown

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
RUN_BY_CI = ("ci: main job", "ci: tests")

pytestmark = pytest.mark.filterwarnings(
    "ignore:The '\\w+_dataloader' does not have many workers:UserWarning",
    "ignore:Starting from v1.9.0, `tensorboardX`:UserWarning",
    "ignore:The number of training batches:UserWarning",
    "ignore:This DataLoader will create:UserWarning",  # anomalib's data modules ask for 8 workers
    "ignore:`log_model=True` is deprecated:FutureWarning",
)


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    text: str
    mark: str

    @property
    def is_run(self) -> bool:
        return self.language in {"bash", "python"} and not self.mark.startswith(("not run: ", *RUN_BY_CI))

    @property
    def commands(self) -> list[list[str]]:
        lines = self.text.replace("\\\n", " ").splitlines() if self.language == "bash" else []
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks_of(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["language"], match["text"], match["mark"] or "") for match in found]


def with_tiny(words: list[str]) -> list[str]:
    """The same command with the model that needs no download."""
    if words[0] == "anomalib":
        return words if "--config" in words else [*words, "--model.backbone", "tiny"]
    takes = {"inspect", "calibrate", "predict", "finetune", "bank-add"} & {words[1]}
    return [*words, "--backbone", "tiny"] if takes and not {"--backbone", "--ckpt_path"} & {*words} else words


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pages speak of."""
    root = tmp_path_factory.mktemp("stock")
    few = {"num_normal_test_images": 3, "num_images_per_defect": 2, "image_size": 112}
    SyntheticDefects(root / "datasets" / "SyntheticDefects", "wood", num_train_images=8, **few).prepare_data()
    wood = root / "datasets" / "SyntheticDefects" / "wood"
    shutil.copytree(wood, root / "datasets" / "MVTecAD" / "hazelnut")
    for name in ("good", "parts/bottles", "parts/cables", "mine/good"):
        shutil.copytree(wood / "train" / "good", root / name)
    for name in ("new", "images", "images/bottle"):
        (root / name).mkdir()
        for index in range(2):
            shutil.copy(wood / "test" / "good" / f"00{index}.png", root / name / f"{index}.png")
    (root / "mine" / "bad").mkdir()
    for file in (wood / "test").rglob("*.png"):
        if file.parent.name != "good":
            shutil.copy(file, root / "mine" / "bad" / f"{file.parent.name}-{file.name}")
    mask = Image.new("L", (112, 112))
    ImageDraw.Draw(mask).ellipse((10, 10, 100, 100), fill=255)
    mask.save(root / "mask.png")
    main(["calibrate", str(root / "good"), "-o", str(root / "model.ckpt"), "--backbone", "tiny"])
    return root


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.is_run for block in blocks_of(page))], ids=lambda page: page.stem
)
def test_what_a_page_shows_runs(page: Path, stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the page, in one folder."""
    shutil.copytree(stock, tmp_path / "work")
    shutil.copytree(ROOT / "configs", tmp_path / "work" / "configs")
    monkeypatch.chdir(tmp_path / "work")
    for block in blocks_of(page):
        if block.is_run and block.language == "python":
            exec(compile(block.text, page.name, "exec"), {})  # noqa: S102
        for words in block.commands if block.is_run else []:
            run = with_tiny(words)
            if run[0] == "anomalib":
                AnomalibCLI(run[1:])
            else:
                assert run[0] == "anomalib-adaptclip"
                assert main(run[1:]) in {0, None}


def test_files_that_pages_show_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep by ``compare``, the data set by anomalib's command."""
    monkeypatch.setattr(AnomalibCLI, "instantiate_classes", lambda _: None)
    shown = [block.text for page in PAGES for block in blocks_of(page) if block.language == "yaml"]
    sweep, data = (tmp_path / f"{number}.yaml" for number in range(2))
    for path, text in zip((sweep, data), sorted(shown, key=lambda text: "models:" not in text), strict=True):
        path.write_text(text, encoding="utf-8")
    assert {run.model for run in list_runs(read_sweep(sweep))} == {"AdaptCLIP", "PatchCore"}
    parsed = AnomalibCLI(["test", "--model", "AdaptCLIP", "--data", str(data)], run=False)
    assert parsed.config["test"]["data"]["init_args"]["mask_dir"] == "masks"


COMMANDS_SHOWN = [
    pytest.param(words, id=f"{page.stem}: {shlex.join(words[:3])}")
    for page in PAGES
    for block in blocks_of(page)
    for words in block.commands
    if words[0].startswith("anomalib") and "--print_shtab" not in words  # tests/cli/test_completion.py
]


@pytest.mark.parametrize("words", COMMANDS_SHOWN)
def test_all_commands_parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, arguments and types; with the weights that they want, which cannot be had here."""
    monkeypatch.chdir(ROOT)
    if words[0] == "anomalib":
        monkeypatch.setattr(AnomalibCLI, "instantiate_classes", lambda _: None)
        parsed = AnomalibCLI(words[1:], run=False)
        subcommand = parsed.config[parsed.config["subcommand"]]
        name = "AdaptCLIPTraining" if parsed.config["subcommand"] == "fit" else "AdaptCLIP"
        assert subcommand["model"]["class_path"] == f"anomalib_adaptclip.{name}"
    else:
        given = normalize(words[1:])
        assert build_parser().parse_args(given, defaults=given[0] != "predict")["subcommand"] == given[0]


def test_the_readme_is_short_and_shows_all_ways() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert [block.mark for block in blocks_of(ROOT / "README.md")][:2] == list(RUN_BY_CI)
    [python] = [block.text for block in blocks_of(ROOT / "README.md") if block.language == "python"]
    assert len([line for line in python.splitlines() if line.strip()]) == 8


def test_what_is_not_run_says_why() -> None:
    marks = [block.mark for page in PAGES for block in blocks_of(page) if block.mark]
    assert all(mark in RUN_BY_CI or len(mark.removeprefix("not run: ")) > 20 for mark in marks)
    languages = {block.language for page in PAGES for block in blocks_of(page)}
    assert languages <= {"bash", "python", "yaml", "text"}


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md"), *ROOT.glob("configs/**/*.md")], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Files and headings of this repository; the site's own are checked by ``mkdocs build --strict`` too."""
    for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        if link.startswith("https://"):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), f"{page.name}: {link}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, link


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    assert sorted(re.findall(r"(\w+\.md)", menu)) == sorted(page.name for page in DOCS.glob("*.md"))


@pytest.mark.parametrize("model", [AdaptCLIP, AdaptCLIPTraining])
def test_every_argument_is_explained(model: type) -> None:
    text = (DOCS / "arguments.md").read_text(encoding="utf-8")
    missing = [name for name in inspect.signature(model).parameters if f"`{name}`" not in text]
    assert missing == []


def test_the_site_has_the_help_of_all_commands() -> None:
    page = on_page_markdown((DOCS / "commands.md").read_text(encoding="utf-8"))
    assert PLACE not in page
    assert help_of_all() in page
    for command in COMMANDS:
        assert f"## {command}\n\n```text\nusage: anomalib-adaptclip {command}" in page
    assert on_page_markdown("other") == "other"
