"""Whole frames at the border: row for row what one event gives, whatever the columns hold."""

import datetime as dt
from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends.columnar_layout import unpack
from engine.errors import InputError
from engine.record import Field, Record, read_event
from engine.run.border import ROW, raws, typed
from engine.values import DATE, DATETIME, DURATION, FLAG, INTEGER, MONTHS, NUMBER, PERCENT, TEXT, Type

FIELDS = {
    "id": Field("id", TEXT),
    "at": Field("at", DATETIME, sources=("When",)),
    "day": Field("day", DATE),
    "side": Field("side", Type("text", choices=("in", "out"))),
    "count": Field("count", INTEGER, not_negative=True),
    "weight": Field("weight", NUMBER),
    "amount": Field("amount", Type("money", currency="USD"), not_negative=True, sources=("AMOUNT", "Betrag")),
    "yen": Field("yen", Type("money", currency="JPY")),
    "foreign": Field("foreign", Type("money", by="currency")),
    "currency": Field("currency", TEXT),
    "share": Field("share", PERCENT),
    "flag": Field("flag", FLAG),
    "hold": Field("hold", DURATION),
    "term": Field("term", MONTHS),
    "tags": Field("tags", Type("list", item=TEXT)),
    "party.country": Field("party.country", TEXT),
}
RECORD = Record("bank/payment", "1.0.0", "Europe/Berlin", ("id",), "at", tuple(FIELDS.values()))

TEXTS = st.sampled_from(
    [
        *("", "T1", "in", "out", "x", " 12", "12", "-3", "007", "9223372036854775807", "9223372036854775808", "1e3", "1e400", "NaN", "-0"),
        *("9700.00", "9700.000", "1.000", "12,5", "1.234,50", "9700.00 EUR", "9700 USD", "-0.01", "0.1", "12.5%", "0.125", "true", "FALSE"),
        *("2014-04-29", "2014-04-29 00:00:00", "2014-04-29T09:30:00Z", "2014-04-29 09:30", "31/02/2016", "2024-03-31T02:30:00"),
        *("2024-10-27T02:30:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "+10000-01-01", "7 days", "P7D", "3 months", "P1Y"),
        *("USD", "JPY", "KWD", "XXX", "usd", '["a", 1, null]', "[", "Ω"),
    ]
)
MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23))
COLUMNS = {
    pl.String: TEXTS,
    pl.Int64: st.sampled_from([0, 1, -1, 12, 2**63 - 1, -(2**63), 92233720368547758, 92233720368547759]) | st.integers(-(2**63), 2**63 - 1),
    pl.UInt64: st.sampled_from([0, 1, 2**64 - 1]),
    pl.Int8: st.integers(-128, 127),
    pl.Float64: st.sampled_from([0.0, -0.0, 1.5, 52.32, 0.1 + 0.2, 1e16, 1e300, float("nan"), float("inf"), 3.0]) | st.floats(),
    pl.Float32: st.floats(width=32),
    pl.Boolean: st.booleans(),
    pl.Date: st.dates(),
    pl.Datetime("us"): MOMENTS,
    pl.Datetime("us", "America/New_York"): MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
    pl.Datetime("ms"): MOMENTS.map(lambda moment: moment.replace(microsecond=0)),
    pl.Duration("us"): st.timedeltas(dt.timedelta(-(10**8)), dt.timedelta(10**8)),
    pl.Time: st.times(),
    pl.Decimal(38, 3): st.decimals(-(10**20), 10**20, places=3),
    pl.Binary: st.binary(max_size=3),
    pl.List(pl.String): st.lists(TEXTS | st.none(), max_size=3),
    pl.List(pl.Int64): st.lists(st.integers(-5, 5), max_size=3),
    pl.Object: st.one_of(
        TEXTS, st.integers(), st.floats(), st.booleans(), st.dates(), MOMENTS, st.just(Decimal("1e999")), st.just([1, "a"])
    ),
    pl.Struct({"a": pl.Int64}): st.fixed_dictionaries({"a": st.integers(-5, 5)}),
    pl.Null: st.none(),
}
NAMES = [name for field in FIELDS.values() for name in (field.name, *field.sources)] + ["amount@2", "stranger"]


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    height = draw(st.integers(0, 6))
    columns = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=8)):
        dtype = draw(st.sampled_from(list(COLUMNS)))
        cells = draw(st.lists(COLUMNS[dtype] | st.none(), min_size=height, max_size=height))
        columns.append(pl.Series(name, cells, dtype=dtype))
    names = [column.name for column in columns]
    if "amount" not in names:
        columns = [column for column in columns if column.name != "amount@2"]
    if "id" not in names:
        columns.append(pl.Series("id", [f"T{n}" for n in range(height)], dtype=pl.String))
    if not {"at", "When"} & set(names):
        columns.append(pl.Series("at", [1_700_000_000_000_000] * height, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")))
    return pl.DataFrame(columns)


def one_by_one(record: Record, frame: pl.DataFrame) -> tuple[list[dict[str, object]], list[tuple[int, str]]]:
    rows, rejects = [], []
    columns = {series.name: raws(series) for series in frame}
    for at in range(frame.height):
        event = {name: cells[at] for name, cells in columns.items() if not name.endswith("@2")}
        again = columns.get("amount@2", [None] * frame.height)[at]
        if again is not None:  # no mapping holds a key twice: it arrives as one more source
            event["@again"] = again
        try:
            rows.append({**read_event(record, event), ROW: at})
        except InputError as error:
            rejects.append((at, str(error)))
    return rows, rejects


def exact(rows: list[dict[str, object]]) -> list[dict[str, tuple[type, str]]]:
    return [{name: (value.__class__, repr(value)) for name, value in row.items()} for row in rows]


def with_again(record: Record) -> Record:
    """The record under which a second column `amount` is a source."""
    fields = tuple(
        Field(f.name, f.type, not_negative=f.not_negative, sources=(*f.sources, "@again")) if f.name == "amount" else f
        for f in record.fields
    )
    return Record(record.name, record.version, record.zone, record.key, record.time, fields)


@settings(max_examples=400, deadline=None)
@given(frames())
def test_a_frame_is_read_row_for_row_like_single_events(frame: pl.DataFrame) -> None:
    done = typed(RECORD, frame)
    types = {field.name: field.type for field in RECORD.fields} | {"now": DATETIME, "@date": INTEGER, ROW: INTEGER}
    rows, rejects = one_by_one(with_again(RECORD), frame)
    assert exact(unpack(done.frame, types)) == exact(rows)
    assert list(zip(done.rejects[ROW], done.rejects["reason"], strict=True)) == rejects
