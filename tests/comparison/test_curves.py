# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""ROC and precision-recall curves: as torchmetrics has them, kept in bounded size, and drawn with the table's."""

import logging
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.classification import binary_precision_recall_curve, binary_roc

from anomalib_adaptclip.comparison import RunRow, RunTable
from anomalib_adaptclip.comparison.curves import (
    POINTS,
    Curve,
    Line,
    curve_of,
    mean_line,
    pack_curves,
    read_curves,
    thin,
)
from anomalib_adaptclip.comparison.report.curve_plots import TOLERANCE
from anomalib_adaptclip.comparison.run_files import curves_path
from anomalib_adaptclip.metrics.ranking_metrics import Ranking
from anomalib_adaptclip_cli.main import main

from .made_up import Row, made_up_row, write_table


def drawn(count: int, seed: int, share: float = 0.5, gap: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores in [0, 1], those of abnormal samples somewhat higher, with labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(count, generator=generator) < share
    return (torch.randn(count, generator=generator) + gap * labels).sigmoid(), labels


def ranking_of(scores: torch.Tensor, labels: torch.Tensor) -> Ranking:
    ranking = Ranking()
    ranking.update(scores, labels)
    return ranking


def known_curve(scores: torch.Tensor, labels: torch.Tensor) -> Curve:
    curve = curve_of(ranking_of(scores, labels))
    assert curve is not None
    return curve


class TestCurve:
    def test_points_are_those_of_torchmetrics(self) -> None:
        scores, labels = drawn(200, 1)
        scores = scores.mul(50).round().div(50)  # with ties
        curve = known_curve(scores, labels)
        rates = [torch.from_numpy(values).float() for values in curve.roc()]
        torch.testing.assert_close(rates, list(binary_roc(scores, labels.int())[:2]))
        precision, recall, thresholds = binary_precision_recall_curve(scores, labels.int())
        torch.testing.assert_close(torch.from_numpy(curve.precision).float(), precision[:-1].flip(0))
        torch.testing.assert_close(torch.from_numpy(curve.precision_recall().x[1::2]).float(), recall[:-1].flip(0))
        torch.testing.assert_close(torch.from_numpy(curve.thresholds).float(), thresholds.flip(0))

    def test_on_any_scale(self) -> None:
        """torchmetrics would apply a sigmoid, which makes large distances equal."""
        scores, labels = drawn(200, 1)
        first, second = known_curve(scores, labels), known_curve(scores * 1000, labels)
        np.testing.assert_array_equal(first.roc().y, second.roc().y)

    def test_areas_are_the_metrics(self) -> None:
        ranking = ranking_of(*drawn(300, 2))
        curve, metrics = curve_of(ranking), ranking.scores()
        assert curve is not None
        assert curve.roc().area == pytest.approx(metrics["AUROC"], abs=1e-12)
        assert curve.precision_recall().area == pytest.approx(metrics["AP"], abs=1e-12)

    @pytest.mark.parametrize(("share", "gap"), [(0.5, 1.0), (0.002, 3.0), (0.01, 0.2), (0.0001, 1.0)])
    def test_thinned_ones_have_few_points_and_nearly_the_same_areas(self, share: float, gap: float) -> None:
        ranking = ranking_of(*drawn(200_000, 3, share, gap))
        curve, metrics = curve_of(ranking), ranking.scores()
        assert curve is not None
        assert len(curve.thresholds) <= POINTS + 1
        assert curve.roc().area == pytest.approx(metrics["AUROC"], abs=TOLERANCE / 2)
        assert curve.precision_recall().area == pytest.approx(metrics["AP"], abs=TOLERANCE / 2)

    def test_thinning_keeps_the_ends_and_short_curves(self) -> None:
        curve = Curve(np.arange(3.0)[::-1], np.array([0.0, 1, 2]), np.array([1.0, 1, 2]))
        assert thin(curve) is curve
        scores, labels = drawn(5000, 4)
        curve = known_curve(scores, labels)
        assert curve.thresholds[-1] == pytest.approx(float(scores.min()))
        assert (curve.false_positives[-1], curve.true_positives[-1]) == (int((~labels).sum()), int(labels.sum()))

    @pytest.mark.parametrize("label", [0, 1])
    def test_of_one_class_there_is_none(self, label: int) -> None:
        assert curve_of(ranking_of(torch.rand(4), torch.full((4,), label))) is None
        assert curve_of(Ranking()) is None


class TestMean:
    def test_of_two_steps(self) -> None:
        """One curve rises at 0, the other at 0.5: their mean rises half way at each."""
        first = Line(np.array([0.0, 0, 1]), np.array([0.0, 1, 1]))
        second = Line(np.array([0.0, 0.5, 0.5, 1]), np.array([0.0, 0, 1, 1]))
        x, y = mean_line([first, second])
        np.testing.assert_allclose(x, [0, 0, 0.5, 0.5, 1, 1])
        np.testing.assert_allclose(y, [0, 0.5, 0.5, 1, 1, 1])

    def test_its_area_is_the_mean_of_the_areas(self) -> None:
        curves = [known_curve(*drawn(60, seed)) for seed in range(3)]
        for lines in ([curve.roc() for curve in curves], [curve.precision_recall() for curve in curves]):
            assert mean_line(lines).area == pytest.approx(np.mean([line.area for line in lines]), abs=1e-12)

    def test_of_one_is_that_one(self) -> None:
        line = known_curve(*drawn(20, 5)).roc()
        assert mean_line([line]) is line


class TestFile:
    def test_curves_come_back(self, tmp_path: Path) -> None:
        curves = {"image": known_curve(*drawn(30, 6)), "pixel": known_curve(*drawn(3000, 7))}
        (tmp_path / "curves.csv").write_bytes(pack_curves(curves))
        found = read_curves(tmp_path / "curves.csv")
        assert list(found) == ["image", "pixel"]
        for level, curve in curves.items():
            np.testing.assert_allclose(np.stack(found[level]), np.stack(curve), rtol=1e-6)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a,b\n1,2\n",
            "level,threshold,false_positives,true_positives\nvideo,1,1,1\n",
            "level,threshold,false_positives,true_positives\nimage,1,1\n",
            "level,threshold,false_positives,true_positives\nimage,1,1,1\nimage,0.5,2\n",
            "level,threshold,false_positives,true_positives\nimage,high,1,1\n",
            "level,threshold,false_positives,true_positives\nimage,nan,1,1\n",
            "level,threshold,false_positives,true_positives\nimage,1,2,1\nimage,0.5,1,2\n",
            "level,threshold,false_positives,true_positives\nimage,1,0,0\nimage,0.5,1,2\n",
            "level,threshold,false_positives,true_positives\nimage,1,0,1\n",
        ],
    )
    def test_what_is_no_curve_is_told(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "curves.csv").write_text(text)
        with pytest.raises(ValueError, match=r"curves.csv is damaged, or holds no curves of a run: .* Remove it, or"):
            read_curves(tmp_path / "curves.csv")


def sweep_with_curves(folder: Path) -> list[tuple[Row, dict[str, Curve]]]:
    """A table of three models, two with two seeds, and their curves; the zero-shot model's are of images alone."""
    made = []
    for number, (model, shots, seed) in enumerate(
        [("A", "1", "10"), ("A", "1", "20"), ("B", "1", "10"), ("B", "1", "20"), ("C $x$", "0", "10")]
    ):
        rankings = {"image": ranking_of(*drawn(50, number)), "pixel": ranking_of(*drawn(20_000, number, 0.02))}
        if model == "C $x$":
            del rankings["pixel"]
        row = made_up_row(model, "tiles", "blue", shots, seed)
        row |= {f"{level}_{name}": one.scores()[name] for level, one in rankings.items() for name in ("AUROC", "AP")}
        made.append((row, {level: curve for level, one in rankings.items() if (curve := curve_of(one))}))
    table = write_table(folder / "runs.csv", [row for row, _ in made])
    for stored, (_, curves) in zip(RunTable(table, RunRow).rows(), made, strict=True):
        path = curves_path(table, stored)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pack_curves(curves))
    return made


def texts_of(svg: Path) -> list[str]:
    """Texts of a drawing."""
    root = ET.parse(svg).getroot()  # noqa: S314  our own file
    return [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


class TestReport:
    def test_the_legend_has_the_figures_of_the_table(self, tmp_path: Path) -> None:
        made = sweep_with_curves(tmp_path)
        assert main(["report", str(tmp_path)]) == 0
        found = texts_of(tmp_path / "plots" / "curves_tiles_blue_image.svg")
        for metric in ("AUROC", "AP"):
            for model, shots in (("A", "1 shot"), ("B", "1 shot"), ("C $x$", "zero-shot")):
                values = [100 * row[f"image_{metric}"] for row, _ in made if row["model"] == model]
                deviation = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
                assert f"{model}, {shots}: {metric} {np.mean(values):.1f}{deviation} %" in found
        areas = [curves["image"].roc().area for _, curves in made]
        assert areas == pytest.approx([row["image_AUROC"] for row, _ in made])

    def test_the_page_says_what_lacks_curves(self, tmp_path: Path) -> None:
        sweep_with_curves(tmp_path)
        assert main(["report", str(tmp_path)]) == 0
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "<b>tiles, blue: ROC and precision-recall curves of images.</b>" in page
        pixels = page[page.index("<b>tiles, blue: ROC and precision-recall curves of pixels.</b>") :]
        assert "No curves are kept of C $x$." in pixels[: pixels.index("</figcaption>")]

    def test_a_curve_without_one_of_its_seeds_is_left_out(self, tmp_path: Path) -> None:
        sweep_with_curves(tmp_path)
        row = next(row for row in RunTable(tmp_path / "runs.csv", RunRow).rows() if (row.model, row.seed) == ("A", 20))
        curves_path(tmp_path / "runs.csv", row).unlink()
        assert main(["report", str(tmp_path)]) == 0
        found = texts_of(tmp_path / "plots" / "curves_tiles_blue_image.svg")
        assert [text.partition(",")[0] for text in found if "AUROC" in text] == ["B", "C $x$"]

    def test_a_curve_of_another_run_is_told(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        sweep_with_curves(tmp_path)
        first, _, other, *_ = RunTable(tmp_path / "runs.csv", RunRow).rows()
        path = curves_path(tmp_path / "runs.csv", first)
        path.write_bytes(curves_path(tmp_path / "runs.csv", other).read_bytes())
        with caplog.at_level(logging.WARNING):
            assert main(["report", str(tmp_path)]) == 0
        told = f"{path} has the image AUROC "
        assert told in caplog.text
        assert told in (tmp_path / "report.html").read_text(encoding="utf-8")

    def test_without_curves_there_is_no_section(self, tmp_path: Path) -> None:
        write_table(tmp_path / "runs.csv", [made_up_row(image_AUROC="0.5")])
        assert main(["report", str(tmp_path)]) == 0
        assert "ROC and precision-recall" not in (tmp_path / "report.html").read_text(encoding="utf-8")

    def test_plots_are_files(self, tmp_path: Path) -> None:
        sweep_with_curves(tmp_path)
        assert main(["report", str(tmp_path)]) == 0
        names = ["cost", "curves_tiles_blue_image", "curves_tiles_blue_pixel", "shots"]
        assert sorted(path.stem for path in (tmp_path / "plots").glob("*.svg")) == names
        for name in names:
            root = ET.parse(tmp_path / "plots" / f"{name}.svg").getroot()  # noqa: S314  our own file
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            with Image.open(tmp_path / "plots" / f"{name}.png") as picture:
                assert picture.width > 800
                assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)

    def test_no_plot_replaces_another(self, tmp_path: Path) -> None:
        names = ("a/b", "a b", "A b")
        write_table(
            tmp_path / "runs.csv", [made_up_row("M", name, part, image_AUROC="0.5") for name in names for part in "xy"]
        )
        assert main(["report", str(tmp_path)]) == 0
        found = sorted(path.stem for path in (tmp_path / "plots").glob("categories*.svg"))
        assert found == ["categories_A_b-2-2", "categories_a_b", "categories_a_b-2"]
