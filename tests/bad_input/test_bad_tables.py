"""Parquet and XLSX files as they come, through the command line."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from engine.run import source
from tests.bad_input.conftest import GOOD, HEADER, Run

Refusal = Callable[..., str]
COLUMNS = HEADER.strip().split(",")
CELLS: dict[str, Any] = dict(zip(COLUMNS, GOOD.strip().split(","), strict=True))


@pytest.mark.parametrize("name", ["x.parquet", "x.xlsx"])
@pytest.mark.parametrize("content", [b"", b"\0" * 5_000, (HEADER + GOOD).encode()], ids=["empty", "zeros", "CSV"])
def test_what_is_no_such_file_is_told(refusal: Refusal, name: str, content: bytes) -> None:
    assert refusal(name, content).startswith(f"`{name}` is no whole " if content else f"`{name}` is empty")


# --- Parquet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil", [lambda data: data[: len(data) // 2], lambda data: data[:40] + b"?" * 40 + data[80:]], ids=["cut", "spoilt"]
)
def test_a_damaged_file_is_told_and_nothing_is_written(refusal: Refusal, shop: Path, spoil: Callable[[bytes], bytes]) -> None:
    pl.DataFrame([CELLS] * 1_000).write_parquet(shop / "x.parquet")
    assert "`x.parquet` is no whole Parquet file" in refusal("x.parquet", spoil((shop / "x.parquet").read_bytes()))


@pytest.mark.parametrize(
    "amounts",
    [
        pl.Series([float("nan"), float("inf")]),
        pl.Series([1e300, -1e300]),
        pl.Series([2**64 - 1, 2**63], dtype=pl.UInt64),
        pl.Series([b"\xff", b"12"]),
        pl.Series([[1], [2]]),
        pl.Series([{"x": 1}, {"x": 2}]),
        pl.Series([dt.timedelta(1), None]),
        pl.Series(["12,5", "1.234,50"]),
        pl.Series([None, None]),
    ],
    ids=lambda series: str(series.dtype),
)
def test_amounts_of_any_type_are_read_or_missing(run: Run, shop: Path, amounts: pl.Series) -> None:
    frame = pl.DataFrame([CELLS, CELLS | {"id": "P-2"}]).with_columns(amounts.alias("amount"))
    frame.write_parquet(shop / "x.parquet")
    done = run("x.parquet")
    assert done.keys == ["P-1", "P-2"] and all("LARGE-01" in one["undecided"] for one in done.decisions)


def test_a_time_no_calendar_holds_is_rejected(run: Run, shop: Path) -> None:
    times = pl.Series([2**61, None], dtype=pl.Int64).cast(pl.Datetime("ms"))
    pl.DataFrame([CELLS, CELLS]).with_columns(times.alias("paid_at")).write_parquet(shop / "x.parquet")
    assert run("x.parquet").reasons == ["time `paid_at` is out of range", "time `paid_at` is missing"]


def test_columns_that_are_called_like_the_engines_own_are_no_data(run: Run, shop: Path) -> None:
    pl.DataFrame([CELLS | {"@n": 7, "@row": 9, "now": 1}]).write_parquet(shop / "x.parquet")
    assert run("x.parquet").keys == ["P-1"]


# --- XLSX -------------------------------------------------------------------------------------------------------------


def sheet(path: Path, *rows: list[Any]) -> None:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


def test_cells_of_any_kind_are_read_or_missing(run: Run, shop: Path) -> None:
    kinds: list[Any] = [49.9, "12,5", "#N/A", "=1/0", 1e300, 2**63, True, -0.0]
    sheet(shop / "x.xlsx", COLUMNS, *([*(CELLS | {"id": f"P-{n}", "amount": kind}).values()] for n, kind in enumerate(kinds)))
    done = run("x.xlsx")
    assert [key for key, one in zip(done.keys, done.decisions, strict=True) if "LARGE-01" not in one["undecided"]] == ["P-0", "P-7"]


def test_rows_without_any_cell_are_passed_over_like_blank_lines(run: Run, shop: Path) -> None:
    sheet(shop / "x.xlsx", COLUMNS, [None], list(CELLS.values()), [None], [*CELLS.values()][1:])
    done = run("x.xlsx")
    blank = run("x.csv", HEADER + "\n" + GOOD + "\n" + "," + GOOD.split(",", 2)[2].replace("\n", ",\n"))
    assert done.keys == blank.keys == ["P-1"]
    assert [reject["row"] for reject in done.rejects] == [reject["row"] for reject in blank.rejects] == ["2"]


def test_headers_that_stand_twice_or_not_at_all_are_listed(run: Run, shop: Path) -> None:
    sheet(shop / "x.xlsx", [*COLUMNS, "amount", None], [*CELLS.values(), "1.00", "stray"])
    done = run("x.xlsx")
    assert done.summary["duplicate_headers"] == ["amount"] and done.summary["nameless_cells"] == 1
    assert "LARGE-01" in done.decisions[0]["undecided"]


@pytest.mark.parametrize(("rows", "said"), [([], "`x.xlsx` is empty"), ([["My report"], COLUMNS], "it begins with `My report`")])
def test_a_sheet_without_its_headers_is_told(refusal: Refusal, shop: Path, rows: list[list[Any]], said: str) -> None:
    sheet(shop / "x.xlsx", *rows)
    assert said in refusal("x.xlsx")


def test_an_archive_that_unpacks_to_very_much_is_told_before_it_is_unpacked(
    refusal: Refusal, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MAX_SHEET", 20_000_000)
    sheet(shop / "x.xlsx", COLUMNS, list(CELLS.values()))
    with zipfile.ZipFile(shop / "x.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet2.xml", b" " * 21_000_000)
    assert (shop / "x.xlsx").stat().st_size < 100_000
    assert refusal("x.xlsx") == "`x.xlsx` unpacks to 21 MB, more than 20; save it as CSV"
