"""Frames of other libraries come in and go out without loss."""

import datetime as dt
import json
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from engine.record import Field, Record
from engine.run.border import like, once, to_polars, typed
from engine.values import DATETIME, INTEGER, TEXT, Type

RECORD = Record(
    "bank/payment",
    "1.0.0",
    "UTC",
    ("id",),
    "at",
    (Field("id", TEXT), Field("at", DATETIME), Field("count", INTEGER), Field("amount", Type("money", currency="USD"))),
)
BIG = 2**53 + 1
MOMENT = dt.datetime(2014, 4, 29, 9, tzinfo=dt.UTC)
COLUMNS: dict[str, list[Any]] = {"id": ["A", "B", "C"], "at": [MOMENT] * 3, "count": [BIG, None, 3], "amount": ["1.50", None, "12,5"]}
EXPECTED = [(BIG, 0, 150, 0), (None, 1, None, 1), (3, 0, None, 2)]

FRAMES = {
    "polars": pl.DataFrame(COLUMNS),
    "lazy": pl.LazyFrame(COLUMNS),
    "arrow": pa.table(COLUMNS),
    "reader": pa.table(COLUMNS).to_reader(),
    "pandas": pd.DataFrame({**COLUMNS, "count": pd.array(COLUMNS["count"], dtype="Int64")}, index=[7, 8, 9]),
    "objects": pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in COLUMNS.items()}),
    "mixed": pd.DataFrame(
        {**COLUMNS, "count": pd.Series([BIG, None, "3"], dtype=object), "id": pd.Series(["A", "B", "C"], dtype="category")}
    ),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_reads_alike(kind: str) -> None:
    frame = typed(RECORD, to_polars(FRAMES[kind])).frame
    assert frame.select("count", "count#", "amount", "amount#").rows() == EXPECTED
    assert frame["id"].to_list() == ["A", "B", "C"] and frame["now"][0] == int(MOMENT.timestamp()) * 1_000_000


def test_not_a_number_in_pandas_is_nothing_that_arrived() -> None:
    frame = to_polars(pd.DataFrame({"count": [1.0, float("nan")]}))
    assert typed(RECORD, frame.with_columns(id=pl.lit("A"), at=pl.lit(MOMENT))).frame.select("count", "count#").rows() == [
        (1, 0),
        (None, 1),
    ]


def test_two_columns_of_one_name_are_both_read() -> None:
    for frame in (
        pd.DataFrame([["A", MOMENT, 1, 1], ["B", MOMENT, 1, 2]], columns=["id", "at", "count", "count"]),
        pa.Table.from_arrays([pa.array(c) for c in (["A", "B"], [MOMENT] * 2, [1, 1], [1, 2])], names=["id", "at", "count", "count"]),
    ):
        assert typed(RECORD, to_polars(frame)).frame.select("count", "count#").rows() == [(1, 0), (None, 2)]
    assert once(["x", "y", "x", "x"]) == ["x", "y", "x@2", "x@3"]


def test_a_batch_that_is_no_frame_is_refused() -> None:
    with pytest.raises(TypeError, match="a batch is a polars, pandas or Arrow frame"):
        to_polars([{"id": "A"}])


def test_results_come_back_in_the_kind_that_went_in() -> None:
    result = pl.DataFrame({"n": [BIG, None], "robust": [True, None]})
    rejects = pl.DataFrame({"row": [1], "reason": ["no key"]})
    assert like(result, FRAMES["polars"], rejects) is result
    arrow = like(result, FRAMES["arrow"], rejects)
    assert arrow.to_pydict() == {"n": [BIG, None], "robust": [True, None]}
    assert json.loads(arrow.schema.metadata[b"rejects"]) == [{"row": 1, "reason": "no key"}]
    pandas = like(result, FRAMES["pandas"], rejects)
    assert list(pandas.index) == [7, 9]
    assert pandas["n"][7] == BIG and pandas["n"][9] is pd.NA and pandas["robust"].dtype == "boolean"
    assert pandas.rejects["reason"].tolist() == ["no key"]
    assert pandas.attrs["rejects"] == pd.concat([pandas, pandas]).attrs["rejects"] == [{"row": 1, "reason": "no key"}]


def test_structs_are_opened_and_clash_with_dotted_columns() -> None:
    record = Record("r", "1.0.0", "UTC", ("id",), "at", (*RECORD.fields[:2], Field("party.country", TEXT)))
    frame = pl.DataFrame({"id": ["A", "B", "C", "D"], "at": [MOMENT] * 4})
    nested = pl.Series("party", [{"country": "IR"}, {"country": None}, None, {"country": "GB"}])
    dotted = pl.Series("party.country", [None, "FR", None, "GB"])
    assert typed(record, frame.with_columns(nested)).frame["party.country"].to_list() == ["IR", None, None, "GB"]
    both = typed(record, frame.with_columns(nested, dotted)).frame
    assert both.select("party.country", "party.country#").rows() == [("IR", 0), ("FR", 0), (None, 1), (None, 2)]


@pytest.mark.parametrize(
    ("dtype", "cells", "reason"),
    [
        (pl.Datetime("us", "UTC"), [2**62], "time `at` is out of range"),
        (pl.Datetime("ms"), [-(2**62)], "time `at` is out of range"),
        (pl.Date, [2**31 - 1], "time `at` is out of range"),
    ],
)
def test_times_that_no_calendar_holds_are_rejected(dtype: Any, cells: list[int], reason: str) -> None:
    frame = pl.DataFrame({"id": ["A"], "at": pl.Series(cells).cast(pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)})
    assert typed(RECORD, frame).rejects["reason"].to_list() == [reason]


def test_every_rejected_row_says_where_it_was_why_and_what_had_come() -> None:
    frame = pl.DataFrame({"id": ["A", None, "C"], "at": ["2014-04-29T09:00Z", "2014-04-29T09:00Z", "soon"], "extra": [1, 2, 3]})
    assert typed(RECORD, frame).rejects.rows() == [
        (1, "key `id` is missing", '{"at": "2014-04-29T09:00Z", "extra": 2}'),
        (2, "time `at` cannot be read as datetime (like `2026-03-31T14:30:00`): `soon`", '{"id": "C", "at": "soon", "extra": 3}'),
    ]
