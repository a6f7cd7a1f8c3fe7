"""How typed values leave the engine in a frame: dates as dates, amounts in major units, causes by name. It decides nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import polars as pl

from engine.backends.columnar_layout import names
from engine.currencies import DIGITS
from engine.values import CAUSES, TEXT, Type

_WIDE: Final = pl.Decimal(38, 0)
_MOST_DIGITS: Final = max(DIGITS.values())


def shown(name: str, type_: Type) -> list[pl.Expr]:
    """A column as users see it: ``x``, ``x#`` (why it is missing, else null), for what may be an interval ``x<`` and ``x>`` (its
    bounds), for money whose currency came with the data ``x$``. Reads the physical columns.

    >>> from engine.values import Type, missing
    >>> from engine.backends.columnar_layout import pack
    >>> paid = {"paid": Type("money", currency="EUR")}
    >>> pack([{"paid": 1999}, {"paid": missing("damaged")}], paid).select(shown("paid", paid["paid"])).rows()
    [(Decimal('19.99'), None), (None, 'damaged')]
    """
    return [_part(physical, name, type_).alias(physical) for physical in names(name, type_)]


def _part(physical: str, name: str, type_: Type) -> pl.Expr:
    column, mark = pl.col(physical), physical.removeprefix(name)
    if mark == "#":
        return column.replace_strict(dict(enumerate(CAUSES, start=1)), default=None, return_dtype=pl.String)
    if mark == "$":
        return column
    if type_.kind == "money" and type_.currency is None:
        digits = pl.col(f"{name}$").replace_strict({code: 10 ** (_MOST_DIGITS - n) for code, n in DIGITS.items()}, return_dtype=pl.Int64)
        return _decimal(column.cast(_WIDE) * digits.cast(_WIDE), _MOST_DIGITS)
    return _value(column, type_)


def _value(column: pl.Expr, type_: Type) -> pl.Expr:
    match type_.kind:
        case "date":
            return column.cast(pl.Int32).cast(pl.Date)
        case "datetime":
            return column.cast(pl.Datetime("us", "UTC"))
        case "duration":
            return column.cast(pl.Duration("us"))
        case "percent":
            return _decimal(column.cast(_WIDE), 8)
        case "money":
            return _decimal(column.cast(_WIDE), DIGITS[type_.currency or ""])
        case "list":
            return column.list.eval(_value(pl.element(), type_.item or TEXT))
    return column


def _decimal(units: pl.Expr, digits: int) -> pl.Expr:
    return units * pl.lit(Decimal(1).scaleb(-digits))
