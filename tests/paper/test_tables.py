# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The paper's figures: whole, without doubles, and in agreement with each other where the paper agrees with itself."""

from typing import Any

import pytest

from anomalib_adaptclip.paper import TABLES, read_table

COUNTS = {
    1: 16 * 12,  # methods and shots by data sets and averages
    2: 16 * 12,
    3: 12 * 3,
    4: (9 * 3 - 3) * 2,  # three cells hold a dash
    5: 8 * 2 * 2,
}
KEYS = {3: ["backbone", "input_size"], 5: ["row"]}
INDUSTRIAL = ["MVTec", "VisA", "BTAD", "MVTec3D", "DTD", "KSDD", "MPDD", "Real-IAD"]
MEDICAL = {1: ["Br35H", "Covid"], 2: ["Kvasir", "Endo"]}


def cell(number: int, **wanted: str | int) -> float:
    table = read_table(number)
    for column, value in wanted.items():
        table = table[table[column] == value]
    return float(table.value.item())


@pytest.mark.parametrize("number", TABLES)
def test_structure(number: int) -> None:
    table = read_table(number)
    assert len(table) == COUNTS[number]
    assert set(table.table) == {number}
    assert not table.duplicated(["dataset", "method", "shots", "metric", *KEYS.get(number, [])]).any()
    assert table.value.notna().all()
    assert (table.value >= 0).all()
    assert number == 3 or (table.value <= 100).all()


@pytest.mark.parametrize("number", MEDICAL)
def test_deviations_are_those_of_repeated_draws(number: int) -> None:
    """Few-shot figures of data sets have one; zero-shot figures and averages have none."""
    table = read_table(number)
    repeated = (table.shots != "0") & ~table.dataset.str.startswith("AVG")
    assert (table["std"].notna() == repeated).all()


@pytest.mark.parametrize("number", MEDICAL)
@pytest.mark.parametrize("domain", ["industrial", "medical"])
def test_averages_are_the_means_of_their_rows(number: int, domain: str) -> None:
    """To 0.1: half of a last digit for the cells, and half for the average."""
    members = INDUSTRIAL if domain == "industrial" else MEDICAL[number]
    rows: Any = read_table(number).pivot_table(index=["method", "shots"], columns="dataset", values="value", sort=False)
    off = (rows[members].mean(axis=1) - rows[f"AVG {domain}"]).abs()
    assert len(off) == 16
    assert (off < 0.1).all()
    # Here the mean of the printed cells would round to another last digit.
    other = {(1, "WinCLIP+", "1"), (1, "AdaptCLIP", "2"), (2, "AdaptCLIP-Zero", "0")}
    expected = {(method, shots) for table, method, shots in other if (table, domain) == (number, "industrial")}
    assert set(off[off > 0.0501].index) == expected


@pytest.mark.parametrize("dataset", ["MVTec", "VisA", "BTAD"])
@pytest.mark.parametrize("shots", ["1", "4"])
def test_table_4_repeats_tables_1_and_2(dataset: str, shots: str) -> None:
    wanted = {"method": "AdaptCLIP", "dataset": dataset, "shots": shots}
    for number, metric in ((1, "image_AUROC"), (2, "pixel_AUPR")):
        assert cell(4, metric=metric, **wanted) == cell(number, **wanted)


@pytest.mark.parametrize("dataset", ["MVTec", "VisA"])
def test_table_5_repeats_the_zero_shot_rows_but_not_the_one_shot_rows(dataset: str) -> None:
    """Its last line is near the averages over three draws, and not the same."""
    for number, metric in ((1, "image_AUROC"), (2, "pixel_AUPR")):
        zero_shot = cell(5, dataset=dataset, row=4, metric=metric)
        assert zero_shot == cell(number, dataset=dataset, method="AdaptCLIP-Zero")
        one_shot = cell(5, dataset=dataset, row=7, metric=metric)
        assert 0 < abs(one_shot - cell(number, dataset=dataset, method="AdaptCLIP", shots="1")) < 2


def test_table_5_says_which_adapters_there_are() -> None:
    rows = read_table(5).drop_duplicates("row").set_index("row")[["textual", "visual", "prompt_query"]]
    assert rows.sum(axis=1).tolist() == [0, 1, 1, 2, 2, 1, 1, 3]
    assert rows.loc[1].tolist() == [True, False, False]
    assert rows.loc[6].tolist() == [False, False, True]


def test_parameters_of_table_3_are_those_the_text_compares() -> None:
    wanted = {"shots": "0", "backbone": "ViT-L/14@336px", "metric": "learnable_parameters_M"}
    ours = cell(3, method="AdaptCLIP-Zero", **wanted)
    assert (ours, cell(3, method="AdaCLIP", **wanted)) == (0.6, 10.7)
    assert int(cell(3, method="AdaCLIP", **wanted) / ours) == 17
    assert round(cell(3, method="AnomalyCLIP", **wanted) / ours) == 9


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tables \(1, 2, 3, 4, 5\); got 6"):
        read_table(6)
