"""How typed values lie in a frame, and the way in and out.

A column ``x`` of type T has ``x`` (null where the value is not known), ``x#`` (0 when known, else 1 + rank of the cause), for a type with
intervals ``x<`` and ``x>`` (the bounds; null is open, equal to ``x`` where known), and for money with a currency of its own ``x$``.
It knows nothing of programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.values import CAUSES, MISSING, Interval, Missing, Money, interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.plan import Row, Step
    from engine.values import Type, Value

CODE: Final = {cause: 1 + rank for rank, cause in enumerate(CAUSES)}
"""The code of a cause in ``x#``."""

_PLAIN: Final[dict[str, Any]] = {"text": pl.String, "number": pl.Float64, "flag": pl.Boolean}


def by_currency(type_: Type) -> bool:
    """Whether the currency comes with the data."""
    return type_.kind == "money" and type_.currency is None


def dtype(type_: Type) -> Any:
    """The polars type of the column ``x``. Money inside a calculation (a scale other than 1) has 128 bits, stored money 64."""
    if type_.kind == "list":
        return pl.List(dtype(type_.item)) if type_.item is not None else pl.List(pl.String)
    if type_.kind == "money" and type_.scale != 1:
        return pl.Int128
    return _PLAIN.get(type_.kind, pl.Int64)


def names(name: str, type_: Type) -> tuple[str, ...]:
    """The physical columns of a column, always in this order.

    >>> from engine.values import SCORE, Type
    >>> names("score", SCORE), names("amount", Type("money", by="currency"))
    (('score', 'score#', 'score<', 'score>'), ('amount', 'amount#', 'amount$'))
    """
    bounds = (f"{name}<", f"{name}>") if type_.interval else ()
    return (name, f"{name}#", *bounds, *((f"{name}$",) if by_currency(type_) else ()))


def dtypes(types: Mapping[str, Type]) -> dict[str, Any]:
    """The polars schema of these columns."""
    schema: dict[str, Any] = {}
    for name, type_ in types.items():
        for physical in names(name, type_):
            schema[physical] = {"#": pl.UInt8, "$": pl.String}.get(physical.removeprefix(name), dtype(type_))
    return schema


def pack(rows: Sequence[Row], types: Mapping[str, Type]) -> pl.DataFrame:
    """Rows as a frame of the physical columns of `types`.

    >>> from engine.values import INTEGER, missing
    >>> pack([{"n": 3}, {"n": missing("damaged")}], {"n": INTEGER}).rows()
    [(3, 0), (None, 2)]
    """
    series = [s for name, type_ in types.items() for s in packed(name, [row[name] for row in rows], type_, dtype(type_))]
    return pl.DataFrame(series)


def packed(name: str, values: Sequence[Value], type_: Type, width: Any) -> list[pl.Series]:
    """The physical columns of one column; `width` is the polars type of its values."""
    columns = {name: pl.Series(name, [_exact(value) for value in values], dtype=width)}
    columns[f"{name}#"] = pl.Series(f"{name}#", [_code(value) for value in values], dtype=pl.UInt8)
    if type_.interval:
        for end, at in (("<", "low"), (">", "high")):
            columns[name + end] = pl.Series(name + end, [_bound(value, at) for value in values], dtype=width)
    if by_currency(type_):
        columns[f"{name}$"] = pl.Series(f"{name}$", [_currency(value) for value in values], dtype=pl.String)
    return [columns[physical] for physical in names(name, type_)]


def _exact(value: Value) -> Any:
    cls = value.__class__
    if cls is Missing or cls is Interval:
        return None
    if cls is tuple:  # an item that is not there is null
        return [None if item.__class__ is Missing else item for item in value]
    return value.units if cls is Money else value


def _code(value: Value) -> int:
    return CODE[value.cause] if value.__class__ in (Missing, Interval) else 0


def _bound(value: Value, at: str) -> Any:
    return _exact(getattr(value, at) if value.__class__ is Interval else value)


def _currency(value: Value) -> str | None:
    if value.__class__ is Interval:
        return _currency(value.low if value.low is not None else value.high)
    return value.currency if value.__class__ is Money else None


def unpack(frame: pl.DataFrame, types: Mapping[str, Type]) -> list[Row]:
    """The rows of a frame, of it the columns in `types`. Where there is no ``x#``, null is `absent`.

    >>> from engine.values import INTEGER
    >>> unpack(pl.DataFrame({"n": [3, None]}), {"n": INTEGER})
    [{'n': 3}, {'n': missing (absent)}]
    """
    columns = [unpacked(frame, name, type_) for name, type_ in types.items()]
    return (
        [dict(zip(types, values, strict=True)) for values in zip(*columns, strict=True)] if columns else [{} for _ in range(frame.height)]
    )


def unpacked(frame: pl.DataFrame, name: str, type_: Type) -> list[Value]:
    """The values of one column."""
    values: list[Any] = frame[name].to_list()
    if type_.kind == "list":
        values = [None if value is None else tuple(MISSING if item is None else item for item in value) for value in values]
    lows, highs = _bounds(frame, name, type_, values)
    if by_currency(type_):
        currencies = frame[f"{name}$"].to_list()
        values, lows, highs = (_with(units, currencies) for units in (values, lows, highs))
    if lows is values and None not in values:
        return values
    codes = frame[f"{name}#"].to_list() if f"{name}#" in frame.columns else [None] * len(values)
    whole = zip(values, lows, highs, codes, strict=True)
    return [value if value is not None else interval(low, high, CAUSES[code - 1 if code else 0]) for value, low, high, code in whole]


def _bounds(frame: pl.DataFrame, name: str, type_: Type, values: list[Any]) -> tuple[list[Any], list[Any]]:
    if not type_.interval or f"{name}<" not in frame.columns:
        nothing = values if None not in values else [None] * len(values)
        return nothing, nothing
    return frame[f"{name}<"].to_list(), frame[f"{name}>"].to_list()


def _with(units: list[Any], currencies: list[Any]) -> list[Any]:
    return [None if unit is None else Money(unit, currency) for unit, currency in zip(units, currencies, strict=True)]


def many_from_one(step: Step, frame: pl.DataFrame, types: Mapping[str, Type]) -> pl.DataFrame:
    """`step.many` by way of `step.one`. `types` are those of the columns the step reads."""
    return pack([step.one(row) for row in unpack(frame, types)], step.types)


def one_from_many(step: Step, row: Row, types: Mapping[str, Type]) -> Row:
    """`step.one` by way of `step.many`. `types` are those of the columns the step reads."""
    return unpack(step.many(pack([row], types)), step.types)[0]
