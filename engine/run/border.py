"""The border for frames: raw columns become typed ones in the physical layout, row for row what `record.read_event` gives.

A column is read by its own type where that provably gives the same, else through the one reading function over its distinct values.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.backends.columnar_layout import dtype, names, packed
from engine.currencies import DIGITS
from engine.features.columnar_frame import days_of, local_days
from engine.plan import ROW as ROW
from engine.reading import BEYOND, CLASH, SAFE_TIME, shown
from engine.record import Border, Field, Record, border
from engine.values import CAUSES, EPOCH_DAY, INT64_MAX, MISSING, Value, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NUMBER: Final = "@n"
"""A column that files bring: it counts their rows from 1, rejected ones included. It is no data."""
AGAIN: Final = "@"
"""A second column of the same name is called ``NAME@2``."""

_DAYS: Final = (1 - EPOCH_DAY.toordinal(), dt.date.max.toordinal() - EPOCH_DAY.toordinal())


@dataclass(frozen=True, slots=True)
class Typed:
    """Typed rows, and those that cannot be decided.

    `frame` has the physical columns of every field of the record, `now` and `@date` (Int64, known in every row) and `@row` (Int64).
    `rejects` has `@row`, `reason` and `raw`, the arrived cells as JSON. Every raw row is in one of the two, in order.
    """

    frame: pl.DataFrame
    rejects: pl.DataFrame


def typed(record: Record, frame: pl.DataFrame) -> Typed:
    """The rows of a raw frame, dotted or with structs, as typed columns. Trouble in the data never raises.

    >>> from engine.values import Type
    >>> at, amount = Field("at", Type("date")), Field("amount", Type("money", currency="USD"))
    >>> record = Record("bank/payment", "1.0.0", "UTC", ("at",), "at", (at, amount))
    >>> done = typed(record, pl.DataFrame({"at": ["1970-01-02", "soon"], "amount": ["1.50", "2"]}))
    >>> done.frame["amount"].to_list(), done.rejects["reason"].to_list()
    ([150], ['key `at` cannot be read as date (like `2026-03-31`): `soon`'])
    """
    edge = border(record)
    arrived = flattened(edge, frame)
    columns: dict[str, pl.DataFrame] = {}
    for field in edge.plain:
        found = _candidates(field, arrived) or [pl.Series(field.name, [None] * frame.height, dtype=pl.Null)]
        currency = columns[field.type.by].select(pl.nth(0).alias("@text"), pl.nth(1).alias("@code")) if field.type.by else None
        columns[field.name] = _column(edge, field, found, currency)
    whole = pl.concat([columns[field.name] for field in record.fields], how="horizontal").with_row_index(ROW)
    whole = whole.with_columns(pl.col(ROW).cast(pl.Int64))
    good = whole.select(pl.all_horizontal(pl.col(f"{name}#") == 0 for name in edge.required)).to_series()
    kept = (whole if good.all() else whole.filter(good)).with_columns(pl.col(record.time).alias("now"))
    kept = kept.with_columns(local_days(record, kept["now"]).alias("@date"))
    far = _far(edge, kept)
    reasons = _lacking(edge, arrived, whole.filter(~good)) + _too_far(edge, kept.filter(far))
    there = kept.filter(~far) if far.any() else kept
    return Typed(there.select(pl.exclude(ROW), ROW), _rejects(frame, arrived, sorted(reasons)))


def _far(edge: Border, frame: pl.DataFrame) -> pl.Series:
    """For every row whether its time lies too far ahead."""
    ahead = edge.ahead
    if ahead.field is None:
        since: pl.Series | int = ahead.now()
    else:
        since = days_of(edge.record, frame[ahead.field]) if ahead.local else frame[ahead.field]
    return frame["@date" if ahead.days else "now"] - since > ahead.most


def _too_far(edge: Border, bad: pl.DataFrame) -> list[tuple[int, str]]:
    fields = [ROW, "now"] + ([] if edge.ahead.field is None else [edge.ahead.field])
    return [(row[0], edge.ahead.words(row[1], row[-1])) for row in bad.select(fields).iter_rows()]


def _lacking(edge: Border, arrived: Mapping[str, pl.Series], bad: pl.DataFrame) -> list[tuple[int, str]]:
    """Why the rows of `bad` cannot be ordered, by number."""
    rows = bad[ROW].to_list()
    cells = {name: raws(series.gather(rows)) for name, series in arrived.items() if name != NUMBER} if rows else {}
    reasons = []
    for at, row in enumerate(bad.iter_rows(named=True)):
        name = next(name for name in edge.required if row[f"{name}#"] != 0)
        found = [cells[s.name][at] for s in _candidates(edge.record.field(name), arrived)]
        reasons.append((row[ROW], edge.problem(name, CAUSES[row[f"{name}#"] - 1], [raw for raw in found if raw is not None])))
    return reasons


def _rejects(frame: pl.DataFrame, arrived: Mapping[str, pl.Series], bad: Sequence[tuple[int, str]]) -> pl.DataFrame:
    """The rows that cannot be decided, why, and what had arrived."""
    rows, reasons = [row for row, _ in bad], [reason for _, reason in bad]
    cells = {name: raws(series.gather(rows)) for name, series in arrived.items() if name != NUMBER} if rows else {}
    texts = [_json({name: column[at] for name, column in cells.items() if column[at] is not None}) for at in range(len(rows))]
    schema = {ROW: pl.Int64, "reason": pl.String, "raw": pl.String}
    return pl.DataFrame({ROW: rows, "reason": reasons, "raw": texts}, schema=schema)


def written(frame: pl.DataFrame, rows: pl.Series) -> list[str]:
    """These rows of a raw frame, each as the JSON text of its filled cells."""
    cells = {series.name: raws(series.gather(rows)) for series in frame if series.name != NUMBER}
    return [_json({name: column[at] for name, column in cells.items() if column[at] is not None}) for at in range(len(rows))]


def _json(cells: Mapping[str, Any]) -> str:
    text = json.dumps(cells, default=lambda raw: shown(raw, 1_000), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


# --- what arrived ----------------------------------------------------------------------------------------------------


def flattened(edge: Border, frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Columns by dotted name, each series under that name; structs that the record knows are opened."""
    found: dict[str, pl.Series] = {}

    def add(name: str, series: pl.Series) -> None:
        if isinstance(series.dtype, pl.Struct) and name in edge.nested:
            for inner in series.struct.unnest():
                add(f"{name}.{inner.name}", inner)
        else:
            found[name] = (_both(found[name], series) if name in found else series).alias(name)

    for series in frame:
        add(series.name, series)
    return found


def _both(first: pl.Series, second: pl.Series) -> pl.Series:
    """One field that came nested and dotted."""
    if not _any(second) or not _any(first):
        return second if _any(second) else first
    pairs = zip(raws(first), raws(second), strict=True)
    cells = [CLASH if a is not None and b is not None else (b if a is None else a) for a, b in pairs]
    return pl.Series(cells, dtype=pl.Object)


def _any(series: pl.Series) -> bool:
    return series.null_count() < len(series)


def _candidates(field: Field, arrived: Mapping[str, pl.Series]) -> list[pl.Series]:
    """The columns, with anything in them, that may hold the field: under its name, its source names, and their repetitions."""
    found = []
    for name in (field.name, *field.sources):
        again, number = name, 1
        while again in arrived:
            found.append(arrived[again])
            number += 1
            again = f"{name}{AGAIN}{number}"
    return [series for series in found if _any(series)]


def raws(series: pl.Series) -> list[Any]:
    """The cells as Python values, none for null; a time that Python cannot hold is `reading.BEYOND`."""
    kind = series.dtype
    if isinstance(kind, pl.Datetime | pl.Duration):
        start = None
        if isinstance(kind, pl.Datetime):
            start = dt.datetime(1970, 1, 1, tzinfo=dt.UTC if kind.time_zone else None)
        return [None if cell is None else _moment(start, cell) for cell in _micros(series)]
    if kind == pl.Date:
        days = series.to_physical().to_list()
        return [None if day is None else EPOCH_DAY + dt.timedelta(day) if _DAYS[0] <= day <= _DAYS[1] else BEYOND for day in days]
    if isinstance(kind, pl.List | pl.Array):
        return [None if cell is None else raws(cell) for cell in series]
    if isinstance(kind, pl.Struct):
        return [None if empty else {} for empty in series.is_null()]
    return series.cast(pl.String).to_list() if isinstance(kind, pl.Categorical | pl.Enum) else series.to_list()


def _micros(series: pl.Series) -> list[int | None]:
    unit = series.dtype.time_unit  # type: ignore[attr-defined]  # the caller has made sure of it
    cells = series.to_physical().to_list()
    if unit == "us":
        return cells
    return [None if cell is None else cell * 1_000 if unit == "ms" else cell // 1_000 for cell in cells]


def _moment(start: dt.datetime | None, micros: int) -> Any:
    try:
        span = dt.timedelta(microseconds=micros)
        return span if start is None else start + span
    except OverflowError:
        return BEYOND


# --- one field -------------------------------------------------------------------------------------------------------


def _column(edge: Border, field: Field, found: Sequence[pl.Series], currency: pl.DataFrame | None) -> pl.DataFrame:
    """The physical columns of one field. `currency` are value (`@text`) and code (`@code`) of the field that a ``money by`` names."""
    first = found[0]
    if len(found) > 1 or (first.dtype.is_nested() or first.dtype == pl.Object):
        cells = zip(*(raws(series) for series in found), strict=True)
        rows = _with(cells, currency)
        return _pack(field, (edge.value(field, [raw for raw in row if raw is not None], code) for row, code in rows))
    if isinstance(first.dtype, pl.Categorical | pl.Enum):
        first = first.cast(pl.String)
    if currency is None:
        return _native(edge, field, first)
    return _distinct(edge, field, first, currency)


def _with(cells: Iterable[Any], currency: pl.DataFrame | None) -> Iterable[tuple[Any, Value]]:
    """Each cell with the value of its currency."""
    if currency is None:
        return ((cell, MISSING) for cell in cells)
    pairs = currency.select("@text", "@code").iter_rows()
    return ((cell, missing(CAUSES[code - 1]) if code else text) for cell, (text, code) in zip(cells, pairs, strict=True))


def _pack(field: Field, values: Iterable[Value]) -> pl.DataFrame:
    return pl.DataFrame(packed(field.name, list(values), field.type, dtype(field.type)))


def _distinct(edge: Border, field: Field, series: pl.Series, currency: pl.DataFrame | None = None) -> pl.DataFrame:
    """Read once per distinct value (and currency), then joined back."""
    keys = pl.DataFrame([series.alias("@raw")])
    if currency is not None:
        keys = keys.hstack(currency)
    table = keys.unique()
    cells = _with(raws(table["@raw"]), None if currency is None else table)
    read = _pack(field, (edge.value(field, [] if raw is None else [raw], code) for raw, code in cells))
    joined = keys.join(table.hstack(read), on=keys.columns, how="left", nulls_equal=True, maintain_order="left")
    return joined.select(names(field.name, field.type))


# --- native: only what is provably the same --------------------------------------------------------------------------


def _native(edge: Border, field: Field, series: pl.Series) -> pl.DataFrame:
    """By the column's own type; cells for which that is not provably the reading function's answer go through that function."""
    how = _NATIVE.get(field.type.kind)
    found = how(field, series) if how is not None and series.dtype != pl.Null else None
    if found is None:
        return _distinct(edge, field, series)
    raw = pl.DataFrame([series.alias("@raw")])
    value, sure = found
    if field.not_negative:
        sure = sure & (value >= 0)
    # where nothing arrived the value is absent, the first of all causes
    answer = raw.select(value.alias(field.name), _RAW.is_null().cast(pl.UInt8).alias(f"{field.name}#"))
    unsure = raw.select(~sure.fill_null(False) & _RAW.is_not_null()).to_series()
    if not unsure.any():
        return answer
    rest = _distinct(edge, field, raw.select(pl.when(unsure).then("@raw")).to_series())
    return answer.select(pl.when(unsure).then(rest[name]).otherwise(name).alias(name) for name in answer.columns)


_RAW: Final = pl.col("@raw")


def _native_text(field: Field, series: pl.Series) -> tuple[pl.Expr, pl.Expr] | None:
    if series.dtype != pl.String:
        return None
    return _RAW, _RAW.is_not_null() if field.type.choices is None else _RAW.is_in(list(field.type.choices))


def _native_integer(field: Field, series: pl.Series) -> tuple[pl.Expr, pl.Expr] | None:
    if series.dtype.is_integer():
        value = _RAW.cast(pl.Int64, strict=False)
        return value, value.is_not_null()
    if series.dtype == pl.String:
        plain = _RAW.str.contains(r"^-?[0-9]{1,18}$")
        return pl.when(plain).then(_RAW).cast(pl.Int64), plain
    return None


def _native_number(field: Field, series: pl.Series) -> tuple[pl.Expr, pl.Expr] | None:
    if series.dtype == pl.Float64:
        return pl.when(_RAW == 0).then(0.0).otherwise(_RAW), _RAW.is_finite()
    return None


def _native_flag(field: Field, series: pl.Series) -> tuple[pl.Expr, pl.Expr] | None:
    return (_RAW, _RAW.is_not_null()) if series.dtype == pl.Boolean else None


def _native_date(field: Field, series: pl.Series) -> tuple[pl.Expr, pl.Expr] | None:
    if series.dtype != pl.Date:
        return None
    days = _RAW.to_physical().cast(pl.Int64)
    return days, days.is_between(*_DAYS)


def _native_datetime(field: Field, series: pl.Series) -> tuple[pl.Expr, pl.Expr] | None:
    kind = series.dtype
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None or kind.time_unit == "ms":
        return None
    micros = _RAW.to_physical() if kind.time_unit == "us" else _RAW.to_physical() // 1_000
    return micros, micros.is_between(*SAFE_TIME)


def _native_money(field: Field, series: pl.Series) -> tuple[pl.Expr, pl.Expr] | None:
    digits = DIGITS.get(field.type.currency or "")
    if digits is None:
        return None
    if series.dtype == pl.String:
        point = rf"\.[0-9]{{{digits}}}" if digits else ""
        # three decimals of a currency that has three are no grouped thousand
        plain = _RAW.str.contains(rf"^-?[0-9]{{1,14}}{point}$")
        return pl.when(plain).then(_RAW.str.replace(".", "", literal=True)).cast(pl.Int64), plain
    if series.dtype.is_integer():
        most = INT64_MAX // 10**digits
        value = _RAW.cast(pl.Int64, strict=False)
        small = value.is_between(-most, most)
        return pl.when(small).then(value) * 10**digits, small
    return None


_NATIVE: Final[dict[str, Callable[[Field, pl.Series], tuple[pl.Expr, pl.Expr] | None]]] = {
    "text": _native_text,
    "integer": _native_integer,
    "number": _native_number,
    "flag": _native_flag,
    "date": _native_date,
    "datetime": _native_datetime,
    "money": _native_money,
}


# --- frames of other libraries ---------------------------------------------------------------------------------------


def _library(frame: Any) -> str:
    return str(frame.__class__.__module__).split(".")[0]


def to_polars(frame: Any) -> pl.DataFrame:
    """A polars, pandas or Arrow frame as a polars frame. A column of mixed Python values stays as it is, for `typed` to read.

    Raises `TypeError` for anything that is no frame.
    """
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if _library(frame) == "pandas":
        return pl.DataFrame([_from_pandas(str(name), frame.iloc[:, at]) for at, name in enumerate(once(map(str, frame.columns)))])
    if not hasattr(frame, "__arrow_c_stream__"):
        raise TypeError("a batch is a polars, pandas or Arrow frame")
    if hasattr(frame, "rename_columns"):
        frame = frame.rename_columns(once(frame.schema.names))
    return pl.DataFrame(frame)


def _from_pandas(name: str, column: Any) -> pl.Series:
    try:
        return pl.Series(name, column.reset_index(drop=True)).alias(name)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        cells = [None if cell is None or cell != cell else cell for cell in column]
        return pl.Series(name, cells, dtype=pl.Object)


def once(headers: Iterable[str]) -> list[str]:
    """Headers, each once: the second `x` is called ``x@2``.

    >>> once(["x", "y", "x"])
    ['x', 'y', 'x@2']
    """
    seen: dict[str, int] = {}
    found = []
    for header in headers:
        seen[header] = seen.get(header, 0) + 1
        found.append(header if seen[header] == 1 else f"{header}{AGAIN}{seen[header]}")
    return found


def like(frame: pl.DataFrame, original: Any, rejects: pl.DataFrame) -> Any:
    """The frame in the kind of `original`, with the rows that were left out; whole numbers stay whole where some are missing.

    pandas: the index is that of the original without those rows, which stand in ``.rejects`` and, since copies lose attributes, in
    ``attrs["rejects"]`` as records. Arrow: they stand in the schema's metadata as JSON, under ``b"rejects"``.
    """
    if _library(original) == "pandas":
        return _to_pandas(frame, original, rejects)
    if _library(original) == "pyarrow":
        records = json.dumps(rejects.to_dicts(), ensure_ascii=False)
        return frame.to_arrow().replace_schema_metadata({b"rejects": records.encode()})
    return frame


def _to_pandas(frame: pl.DataFrame, original: Any, rejects: pl.DataFrame) -> Any:
    import pandas as pd
    import pyarrow as pa

    exact = {pa.int64(): pd.Int64Dtype(), pa.uint8(): pd.UInt8Dtype(), pa.bool_(): pd.BooleanDtype()}
    result = frame.to_arrow().to_pandas(types_mapper=exact.get)
    result.index = original.index.delete(rejects["row"].to_list())
    result.attrs["rejects"] = rejects.to_dicts()  # plain data: pandas compares it when frames meet, and writes it into files as JSON
    object.__setattr__(result, "rejects", rejects.to_arrow().to_pandas(types_mapper=exact.get))  # else taken for a column
    return result
