# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``report``: figures by hand, incomplete and wrong tables, and the page in a real browser."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from math import isnan
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pytest
from PIL import Image

from anomalib_adaptclip.comparison import METRICS, RunRow, RunTable
from anomalib_adaptclip.comparison.gallery_file import Panel, Pictures, pack
from anomalib_adaptclip.comparison.report.averages import Comparison, Entry, over_seeds
from anomalib_adaptclip.comparison.report.csv_files import write_csv
from anomalib_adaptclip.comparison.report.grids import category_grid, main_grids
from anomalib_adaptclip.comparison.report.runs import read_runs
from anomalib_adaptclip.comparison.report.templates import escape_markdown
from anomalib_adaptclip.comparison.run_files import gallery_path
from anomalib_adaptclip.paper import read_table
from anomalib_adaptclip_cli.main import main

from .browser import look_at, open_page
from .made_up import COLUMNS, MODELS, Row, made_up_row, made_up_rows, write_table

FILES = ["averages.csv", "categories.csv", "report.html", "report.md"]
NUMBERS = [*METRICS, "images", "fit_seconds", "test_seconds", "image_seconds", "peak_memory_mb"]
NASTY = '<img src="https://example.org/x.png"> & "quoted" | `code`'


def picture(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 90)).save(buffer, kind)
    return buffer.getvalue()


def pictures() -> bytes:
    """An archive as a run makes it."""
    ranks = ("best", "median", "worst")
    panels = [Panel("query", "query.jpg", picture("JPEG"), f"bottle/{NASTY}.png")]
    panels += [Panel("prompt", "prompt_0.jpg", picture("JPEG"), "bottle/train/good/000.png")]
    panels += [
        Panel(name, f"{name}.png", picture("PNG"), low=0.1, high=0.9)
        for name in ("visual", "textual", "prompt_query", "alignment", "fused")
    ]
    panels += [Panel("mask", "mask.png", picture("PNG"))]
    return pack([Pictures(rank, "pixel AP", 0.5, 0.25, panels) for rank in ranks])


def broken(row: Row) -> Row:
    """One run of the made-up sweep failed."""
    if (row["model"], row["data_set"], row["category"], row["seed"]) == ("WinCLIP", "visa", "pcb1", "20"):
        metrics = {name: "" for name in row if name.startswith(("image_", "pixel_"))}
        return row | metrics | {"error": f"RuntimeError: no memory {NASTY}"}
    return row


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a made-up sweep over all data sets of the paper: a run failed, a category is missing."""
    folder = tmp_path_factory.mktemp("report") / "made up"
    rows = [row for row in made_up_rows() if (row["model"], row["category"]) != ("PatchCore", "zipper")]
    table = write_table(folder / "runs.csv", rows, broken)
    for row in RunTable(table, RunRow).rows():
        if (row.model, row.shots, row.category, row.seed) == ("AdaptCLIP", "1", "bottle", 10):
            path = gallery_path(table, row)
            path.parent.mkdir()
            path.write_bytes(pictures())
    assert main(["report", str(folder)]) == 0
    return folder


def comparison_of(tmp_path: Path, rows: list[Row]) -> Comparison:
    return Comparison(read_runs(write_table(tmp_path / "runs.csv", rows)).frame)


def figure_of(values: list[list[float | None]]) -> Any:
    """The figure of values by seed and category."""
    cells = pd.DataFrame([(seed, value) for seed, row in enumerate(values) for value in row], columns=["seed", "value"])
    cells = cells.astype({"value": float}).assign(model="A", succeeded=True, leakage=False)
    [figure] = over_seeds(cells, ["model"]).itertuples()
    return figure


class TestFigures:
    def test_categories_first_then_seeds(self) -> None:
        figure = figure_of([[0.5, 0.7], [0.9, 0.9], [0.6, 0.6]])
        assert figure.mean == pytest.approx(70)
        assert figure.std == pytest.approx(17.320508)  # of the sample 60, 90, 60
        assert (figure.found, figure.expected, figure.complete) == (6, 6, True)

    def test_what_is_missing_counts_as_nothing(self) -> None:
        figure = figure_of([[0.5, None], [0.7, 0.9]])
        assert figure.mean == pytest.approx(65)
        assert (figure.found, figure.expected, figure.complete) == (3, 4, False)

    def test_nothing_at_all(self) -> None:
        figure = figure_of([[None], [None]])
        assert isnan(figure.mean)
        assert isnan(figure.std)
        assert (figure.found, figure.expected, figure.complete) == (0, 2, False)

    def test_one_seed_has_no_deviation(self) -> None:
        figure = figure_of([[0.5, 0.75]])
        assert (figure.mean, figure.found, figure.expected) == (62.5, 2, 2)
        assert isnan(figure.std)

    def test_a_failed_and_a_missing_run_are_told(self, tmp_path: Path) -> None:
        rows = [made_up_row(category=name, shots="1", seed=seed, image_AUROC="0.5") for name in "ab" for seed in "12"]
        rows[3] |= {"image_AUROC": "", "error": "RuntimeError: x"}
        rows += [made_up_row("Other", category="a", shots="1", image_AUROC="0.4")]
        comparison = comparison_of(tmp_path, rows)
        [grid] = main_grids(comparison)
        own, other = (line.cells[0] for line in grid.lines)
        assert (own.ours, own.note, own.best) == ("50.0 ± 0.0", "3 of 4", False)
        assert (other.ours, other.note, other.best) == ("40.0", "1 of 2", False)
        by_category = category_grid(comparison, "screws", "b")
        assert [line.cells[0].note for line in by_category.lines] == ["1 of 2", "0 of 1"]

    def test_undefined_is_empty(self, tmp_path: Path) -> None:
        comparison = comparison_of(tmp_path, [made_up_row(image_AUROC="0.5")])
        assert isnan(comparison.averages["mean"]["pixel_AP", "screws", "0", "AdaptCLIP"])
        [line] = category_grid(comparison, "screws", "").lines
        assert [(cell.ours, cell.note) for cell in line.cells] == [("50.0", "")] + [("", "")] * 6

    def test_the_last_configuration_counts(self, tmp_path: Path) -> None:
        old = [made_up_row(category=name, image_AUROC="0.9", version="1") for name in "ab"]
        new = made_up_row(category="a", image_AUROC="0.5", version="2")
        runs = read_runs(write_table(tmp_path / "runs.csv", [*old, new]))
        assert runs.superseded == 2
        averages = Comparison(runs.frame).averages
        assert averages["mean"]["image_AUROC", "screws", "0", "AdaptCLIP"] == pytest.approx(50)

    def test_the_best_of_equal_shots_is_bold(self, tmp_path: Path) -> None:
        rows = [made_up_row(model, image_AUROC=value) for model, value in (("A", "0.6"), ("B", "0.7"), ("C", "0.7"))]
        rows += [made_up_row("A", shots="1", image_AUROC="0.9")]
        [grid] = main_grids(comparison_of(tmp_path, rows))
        assert [(line.entry, line.cells[0].best) for line in grid.lines] == [
            (Entry("0", "A"), False),
            (Entry("0", "B"), True),
            (Entry("0", "C"), True),
            (Entry("1", "A"), False),
        ]

    def test_the_first_batch_is_left_out_of_the_time(self, tmp_path: Path) -> None:
        rows = [made_up_row("A", image_seconds="0.1"), made_up_row("B")]
        runs = read_runs(write_table(tmp_path / "runs.csv", rows)).frame
        assert list(runs.seconds) == [0.1, 0.3]

    def test_chosen_categories_are_a_whole(self, tmp_path: Path) -> None:
        asked = {"shots": "0", "data_set": "mvtec", "data_class": "MVTecAD", "categories": '["bottle", "cable"]'}
        rows = [made_up_row(category="bottle", image_AUROC="0.5", **asked)]
        comparison = comparison_of(tmp_path, rows)
        assert comparison.categories("mvtec") == ["bottle", "cable"]
        assert main_grids(comparison)[0].lines[0].cells[0].note == "1 of 2"
        rows += [made_up_row(category="cable", image_AUROC="0.7", **asked)]
        cell = main_grids(comparison_of(tmp_path, rows))[0].lines[0].cells[0]
        assert (cell.ours, cell.note, cell.paper) == ("60.0", "", "")
        assert main(["report", str(tmp_path)]) == 0
        assert "names 2 of 15 categories of MVTec" in (tmp_path / "report.md").read_text(encoding="utf-8")

    def test_what_was_seen_in_training_is_marked_and_never_the_best(self, tmp_path: Path) -> None:
        rows = [made_up_row(model, image_AUROC=value) for model, value in (("A", "0.6"), ("B", "0.7"))]
        rows += [made_up_row("C", image_AUROC="0.9", leakage="yes")]
        [grid] = main_grids(comparison_of(tmp_path, rows))
        cells = [line.cells[0] for line in grid.lines]
        assert [(cell.note, cell.best) for cell in cells] == [("", False), ("", True), ("seen in training", False)]
        assert main(["report", str(tmp_path)]) == 0
        for name in ("report.html", "report.md"):
            assert "LEAKAGE: C on screws: " in (tmp_path / name).read_text(encoding="utf-8")

    def test_a_table_with_other_columns_is_refused(self, tmp_path: Path) -> None:
        table = write_table(tmp_path / "runs.csv", [made_up_row(image_AUROC="0.5")])
        table.write_text(table.read_text().replace("leakage", "seen"))
        with pytest.raises(ValueError, match="is not a table of runs: its columns are different"):
            read_runs(table)

    def test_a_group_that_the_sweep_has_only_in_part(self, tmp_path: Path) -> None:
        """Of the paper's eight industrial data sets two, and one of the two models on both."""
        places = [("A", "kvasir"), ("A", "mvtec"), ("A", "visa"), ("B", "visa")]
        rows = [made_up_row(model, name, "", image_AUROC="0.5", pixel_AP="0.25") for model, name in places]
        grids = main_grids(comparison_of(tmp_path, rows))
        assert grids[0].heads == ["MVTec", "VisA", "Average"]
        notes = [(line.entry.model, line.cells[2].ours, line.cells[2].note) for line in grids[0].lines]
        assert notes == [("A", "50.0", "2 of 8"), ("B", "50.0", "1 of 8")]


class TestPaper:
    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ({"shots": "0"}, 84.8),  # AdaptCLIP-Zero
            ({"shots": "1"}, 90.5),
            ({"shots": "1", "class_path": "anomalib.models.WinClip"}, 80.0),
            ({"shots": "1", "class_path": "anomalib.models.Patchcore"}, None),
            ({"shots": "8"}, None),
            ({"shots": "1", "model_args": {"init_args": {"backbone": "tiny"}}}, None),
            ({"shots": "1", "model_args": {"init_args": {"adapters": "mvtec"}}}, 90.5),
            ({"shots": "1", "model_args": {"init_args": {"context": False}}}, None),
            ({"shots": "1", "data_set": "screws"}, None),
        ],
    )
    def test_its_figure_of_visa(self, tmp_path: Path, row: dict[str, Any], expected: float | None) -> None:
        cells = {"data_set": "visa", "category": "pcb1", "data_class": "Visa", "image_AUROC": "0.5"} | row
        comparison = comparison_of(tmp_path, [made_up_row(**cells)])
        found = comparison.published(comparison.entries[0], cells["data_set"], "image_AUROC")
        assert (found.value if found else None) == expected

    def test_difference_only_of_what_is_complete(self, tmp_path: Path) -> None:
        rows = [row for row in made_up_rows(("btad",)) if row["model"] == "AdaptCLIP" and row["shots"] == "0"]
        complete = main_grids(comparison_of(tmp_path, [row | {"image_AUROC": "0.9"} for row in rows]))[0]
        assert complete.lines[0].cells[0][:3] == ("90.0", "91.0", "\N{MINUS SIGN}1.0")
        lacking = main_grids(comparison_of(tmp_path, rows[:2]))[0]
        assert (lacking.lines[0].cells[0].difference, lacking.lines[0].cells[0].note) == ("", "2 of 3")

    def test_all_of_its_figures_stand_beside_ours(self, whole: Path) -> None:
        with (whole / "averages.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for number, metric in ((1, "image_AUROC"), (2, "pixel_AP")):
            table = read_table(number)
            for paper in table[table.method.isin(["AdaptCLIP", "AdaptCLIP-Zero", "WinCLIP", "WinCLIP+"])].itertuples():
                model = "AdaptCLIP" if paper.method.startswith("Adapt") else "WinCLIP"
                name = paper.dataset if paper.dataset.startswith("AVG") else paper.dataset.lower()
                place = (name, model, paper.shots, metric)
                [row] = [
                    row for row in rows if tuple(row[key] for key in ("data_set", "model", "shots", "metric")) == place
                ]
                assert float(row["paper"]) == paper.value
                if row["difference"]:
                    assert float(row["difference"]) == pytest.approx(float(row["mean"]) - paper.value)
        differences = [row["difference"] for row in rows if row["data_set"] == "visa" and row["model"] == "WinCLIP"]
        assert differences.count("") == len(differences) - 2  # a run of each few-shot mean failed, zero-shot none

    def test_averages_of_the_paper(self, whole: Path) -> None:
        """Industrial and medical, the latter of two data sets each for images and for pixels."""
        page = (whole / "report.md").read_text(encoding="utf-8")
        industrial = "MVTec | VisA | BTAD | MVTec3D | DTD | KSDD | MPDD | Real-IAD | Average"
        assert page.count(f"| Shots | Model | {industrial} | Br35H | Covid | Average |") == 3
        assert page.count(f"| Shots | Model | {industrial} | Kvasir | Endo | Average |") == 4


SORTED = """
addEventListener("load", () => {
  const table = document.querySelector("#averages table");
  const [shots, model, first] = [...table.tHead.rows].at(-1).cells;
  const cell = (row, head) => row.cells[head.cellIndex].textContent.trim();
  const column = (head) => [...table.querySelectorAll("tbody tr")].map((row) => cell(row, head));
  const click = (head) => (head.querySelector("button").click(), column(head));
  const [before, down, up] = [column(first), click(first), click(first)];
  document.body.dataset.found = JSON.stringify({ before, down, up, sort: first.ariaSort, names: click(model) });
});
"""


class TestPage:
    def test_files(self, whole: Path) -> None:
        assert sorted(path.name for path in whole.iterdir()) == sorted([*FILES, "gallery", "plots", "runs.csv"])

    def test_in_a_browser_nothing_is_missing(self, whole: Path, tmp_path: Path) -> None:
        found = look_at(whole / "report.html", tmp_path)
        assert found["images"] == 24  # eight of each of three images
        for fault in ("broken", "without_text", "hidden", "without_caption", "missing_targets"):
            assert found[fault] == 0, fault
        assert found["loaded"] == []
        assert found["twice"] == []
        assert not found["too_wide"]
        assert found["plots"] == 2 + 7  # two, and bars for each data set that has categories
        categories = 15 + 12 + 3 + 10 + 12 + 6 + 30
        assert found["tables"] == 3 + 7 + 12 + categories + 1 + 1  # what was run, metrics, data sets, gallery, failed
        sections = ["What was run", "Averages", "Plots", "Cost", "Data sets and categories", "Failed runs"]
        data_sets = ["MVTec", "VisA", "BTAD", "MVTec3D", "DTD", "KSDD", "MPDD", "Real-IAD", "Br35H", "Covid"]
        assert [name for name in found["headings"] if name in sections] == sections
        assert [name for name in found["headings"] if name in [*data_sets, "Kvasir", "Endo"]][:10] == data_sets
        assert "bottle, AdaptCLIP, 1 shot, seed 10" in found["headings"]

    def test_on_a_small_screen_pictures_are_whole_and_small_tables_side_by_side(
        self, whole: Path, tmp_path: Path
    ) -> None:
        found = look_at(whole / "report.html", tmp_path, width=1300)
        assert found["cut_galleries"] == 0
        assert found["rows_of_averages"] == 7  # of twelve data sets
        write_table(tmp_path / "runs.csv", [made_up_row() | dict.fromkeys(METRICS, "0.5")])
        assert main(["report", str(tmp_path)]) == 0
        assert look_at(tmp_path / "report.html", tmp_path, width=1300)["rows_of_averages"] < 3

    def test_a_click_sorts_a_table(self, whole: Path, tmp_path: Path) -> None:
        found = look_at(whole / "report.html", tmp_path, probe=SORTED)
        leading = re.compile(r"[\d.]+")
        figures = {
            name: [float(number[0]) for text in found[name] if (number := leading.match(text))]
            for name in ("before", "down", "up")
        }
        assert figures["down"] == sorted(figures["before"], reverse=True) != figures["before"]
        assert figures["up"] == sorted(figures["before"])
        assert len(found["up"]) == len(found["before"])
        assert found["sort"] == "ascending"
        assert found["names"] == sorted(found["names"], reverse=True)

    def test_the_gallery_is_linked(self, whole: Path) -> None:
        page = (whole / "report.html").read_text(encoding="utf-8")
        assert (page.count('href="#gallery"'), page.count('id="gallery"')) == (1, 1)

    def test_the_console_is_silent(self, whole: Path, tmp_path: Path) -> None:
        _, console = open_page(whole / "report.html", tmp_path, f"--screenshot={tmp_path / 'page.png'}")
        assert console == []
        with Image.open(tmp_path / "page.png") as screenshot:
            assert len(screenshot.convert("RGB").getcolors(1 << 24) or []) > 100

    def test_narrow_and_dark(self, whole: Path, tmp_path: Path) -> None:
        light = look_at(whole / "report.html", tmp_path, "--blink-settings=preferredColorScheme=1", width=500)
        dark = look_at(whole / "report.html", tmp_path, "--blink-settings=preferredColorScheme=0", width=500)
        assert (light["ink"], dark["ink"]) == ("rgb(22, 25, 29)", "rgb(230, 232, 234)")
        assert not light["too_wide"]

    def test_the_look_finds_faults(self, whole: Path, tmp_path: Path) -> None:
        """Otherwise the tests above would say nothing."""
        fault = '<img src="data:image/png;base64,AAAA"><img src="https://example.org/x.png" alt="x"><a href="#no">x</a>'
        fault += '<table><tr><td style="min-width: 3000px">x</td></tr></table></body>'
        (tmp_path / "bad.html").write_text(
            (whole / "report.html").read_text(encoding="utf-8").replace("</body>", fault)
        )
        found = look_at(tmp_path / "bad.html", tmp_path)
        assert [found[name] for name in ("broken", "without_text", "without_caption", "missing_targets")] == [
            2,
            1,
            1,
            1,
        ]
        assert found["too_wide"]
        _, console = open_page(tmp_path / "bad.html", tmp_path, f"--screenshot={tmp_path / 'page.png'}")
        assert any("Content Security Policy" in line for line in console)

    def test_it_names_nothing_outside(self, whole: Path) -> None:
        page = (whole / "report.html").read_text(encoding="utf-8")
        sources: list[str] = []

        class Collector(HTMLParser):
            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                del tag
                names = ("src", "href", "xlink:href", "srcset", "data", "action", "poster")
                sources.extend(value or "" for name, value in attrs if name in names)

        Collector().feed(page)
        assert len(sources) > 24
        assert {source.partition(":")[0] for source in sources if not source.startswith("#")} == {"data"}
        assert re.findall(r"url\((?!#)|@import|<link(?! rel=\"icon\")|<iframe|<script src|xmlns", page) == []

    def test_what_comes_from_files_is_escaped(self, whole: Path) -> None:
        page = (whole / "report.html").read_text(encoding="utf-8")
        assert NASTY not in page
        assert (
            "RuntimeError: no memory &lt;img src=&#34;https://example.org/x.png&#34;&gt; &amp; &#34;quoted&#34;" in page
        )
        markdown = (whole / "report.md").read_text(encoding="utf-8")
        assert f"RuntimeError: no memory {escape_markdown(NASTY)} |" in markdown
        assert "\\<img" in markdown

    def test_both_kinds_of_winclip_are_explained(self, whole: Path) -> None:
        for name in ("report.html", "report.md"):
            text = (whole / name).read_text(encoding="utf-8").replace("\\", "")
            assert "takes the reference images without normalising them" in text
            assert "WinCLIP normalises them here" in text
            assert "WinCLIP-anomalib is anomalib" in text

    def test_names_of_models_and_categories_are_escaped(self, tmp_path: Path) -> None:
        rows = [
            made_up_row(
                f"A {NASTY} $x$", category=f"{name} {NASTY} $y$", shots=shots, image_AUROC="0.5", pixel_AP="0.4"
            )
            for name in "ab"
            for shots in "01"
        ]
        write_table(tmp_path / "runs.csv", rows)
        assert main(["report", str(tmp_path / "runs.csv")]) == 0
        assert look_at(tmp_path / "report.html", tmp_path)["images"] == 0
        assert len(re.findall(r"<svg", (tmp_path / "report.html").read_text(encoding="utf-8"))) == 3

    def test_many_models(self, tmp_path: Path) -> None:
        rows = [
            made_up_row(f"Model {number}", category=name, image_AUROC="0.5") for number in range(14) for name in "ab"
        ]
        write_table(tmp_path / "runs.csv", rows)
        assert main(["report", str(tmp_path)]) == 0
        assert "Model 13" in (tmp_path / "report.md").read_text(encoding="utf-8")


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (None, "There is no table .*runs.csv. Name the folder that `compare` wrote"),
            ("", "is not a table of runs: its columns are different"),
            ("a,b\n1,2\n", "is not a table of runs: its columns are different"),
            (",".join(COLUMNS) + "\n", "has no runs yet"),
            (",".join(COLUMNS) + "\nAdaptCLIP,mvt", "has no runs yet"),
            ("\x00\xff", "is not a table of runs"),
        ],
    )
    def test_what_is_no_table(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
    ) -> None:
        if text is not None:
            (tmp_path / "runs.csv").write_bytes(text.encode("latin-1"))
        with pytest.raises(SystemExit) as ended:
            main(["report", str(tmp_path)])
        assert ended.value.code == 2
        assert re.search(message, capsys.readouterr().err)
        assert [path.name for path in tmp_path.iterdir()] == ([] if text is None else ["runs.csv"])

    def test_no_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["report", str(tmp_path / "nowhere")])
        assert "There is no table" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            ({"image_AUROC": "high"}, "image_AUROC is 'high', not a number"),
            ({"image_AUROC": "90.5"}, "image_AUROC is '90.5', not a number from 0 to 1"),
            ({"image_AUROC": "nan"}, "image_AUROC is 'nan', not a number"),
            ({"test_seconds": "-1"}, "test_seconds is '-1', not a number of at least 0"),
            ({"configuration": "{}"}, "is not a table of runs: 'data_spec'"),
            ({"configuration": "a"}, "is not a table of runs: Expecting value"),
            ({"configuration": "[]"}, "(line 2). Move it away"),
            ({"configuration": '{"data_spec": 5, "model_spec": {}}'}, "(line 2). Move it away"),
            ({"configuration": "[" * 100_000}, "(line 2). Move it away"),
            ({"categories": "5"}, "categories is '5', not a list of names"),
        ],
    )
    def test_wrong_cells(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], cells: Row, message: str) -> None:
        write_table(tmp_path / "runs.csv", [made_up_row() | cells])
        with pytest.raises(SystemExit):
            main(["report", str(tmp_path)])
        assert message in capsys.readouterr().err

    def test_only_failed_runs(self, tmp_path: Path) -> None:
        write_table(tmp_path / "runs.csv", [made_up_row(error="ValueError: there are no images")])
        assert main(["report", str(tmp_path)]) == 0
        for name in ("report.html", "report.md"):
            text = (tmp_path / name).read_text(encoding="utf-8")
            assert "No run has finished: there are no figures." in text
            assert "ValueError: there are no images" in text
        found = look_at(tmp_path / "report.html", tmp_path)
        assert found["headings"] == [f"Comparison {tmp_path.name}", "What was run", "Failed runs"]
        assert found["missing_targets"] == 0

    def test_an_error_that_names_a_file_in_another_encoding(self, tmp_path: Path) -> None:
        row = RunRow(**made_up_row(error="") | dict.fromkeys(NUMBERS) | {"error": "OSError: no \udcff.png", "seed": 10})
        RunTable(tmp_path / "runs.csv", RunRow).store(row)
        assert main(["report", str(tmp_path)]) == 0
        for name in ("report.html", "report.md"):
            assert b"OSError: no \xff.png" in (tmp_path / name).read_bytes()

    @pytest.mark.parametrize("name", ["=cmd|'/c calc'!A1", "+1", "-1", "@a"])
    def test_names_are_no_formulas(self, tmp_path: Path, name: str) -> None:
        rows = [made_up_row(name, name, name, image_AUROC="0.5")]
        write_table(tmp_path / "runs.csv", rows)
        assert main(["report", str(tmp_path)]) == 0
        for file in ("averages.csv", "categories.csv"):
            with (tmp_path / file).open(encoding="utf-8", newline="") as table:
                found = list(csv.DictReader(table))
            assert found[0]["model"] == f"'{name}"
            assert {row["mean"] for row in found} >= {"50.0"}
            assert not [cell for row in found for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t"))]

    @pytest.mark.parametrize(
        "change",
        [
            {"quality": "high"},
            {"score": float("nan")},
            {"rank": 5},
            {"panels": 5},
            {"panels": [{"name": ["x"], "file": "a.png"}]},
            {"panels": [{"name": "query", "file": "a.png", "low": "x", "high": 1}]},
        ],
    )
    def test_pictures_of_another_shape_are_told(self, tmp_path: Path, change: dict[str, Any]) -> None:
        [stored] = RunTable(write_table(tmp_path / "runs.csv", [made_up_row(image_AUROC="0.5")]), RunRow).rows()
        path = gallery_path(tmp_path / "runs.csv", stored)
        path.parent.mkdir()
        index = [{"rank": "best", "measure": "score", "quality": 0.5, "score": 0.5, "panels": []} | change]
        with ZipFile(path, "w") as archive:
            archive.writestr("index.json", json.dumps(index))
            archive.writestr("a.png", b"")
        assert main(["report", str(tmp_path)]) == 0
        assert f"{path.name} is damaged, or holds no pictures" in (tmp_path / "report.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", pack([]).replace(b"index", b"indes")])
    def test_damaged_pictures_are_told(self, tmp_path: Path, content: bytes) -> None:
        row = made_up_row(image_AUROC="0.5")
        [stored] = RunTable(write_table(tmp_path / "runs.csv", [row]), RunRow).rows()
        path = gallery_path(tmp_path / "runs.csv", stored)
        path.parent.mkdir()
        path.write_bytes(content)
        assert main(["report", str(tmp_path)]) == 0
        assert f"{path.name} is damaged, or holds no pictures" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_tabs_and_numbers_in_csv(tmp_path: Path) -> None:
    write_csv(pd.DataFrame({"model": ["\t=1", "a"], "mean": [-1.5, 2]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"model,mean\r\n'\t=1,-1.5\r\na,2.0\r\n"


def test_the_made_up_sweep_is_that_of_the_paper() -> None:
    """So that the page is looked at with as much as there will be."""
    assert {row["model"] for row in made_up_rows()} == set(MODELS)
