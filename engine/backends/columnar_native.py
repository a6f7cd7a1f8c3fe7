"""Builtins and comparisons that polars can do exactly as Python does, and where it is proved that they fit.

What is not here runs as its own Python function. It knows expressions of one type each, no frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.backends.columnar_layout import CODE
from engine.lang import ir
from engine.values import EXACT_MAX, PERCENT_MAX, Missing, divide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.values import Type

MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""The comparison that says the same with its sides exchanged."""
_BITS = pl.Int128
_FAR: Final = 2.0**64


def compare_exact(op: str, a: pl.Expr, b: pl.Expr, left: Type, right: Type) -> pl.Expr:
    """`a op b` where both are known, null elsewhere; an integer against a number is exact."""
    kinds = (left.kind, right.kind)
    if kinds == ("integer", "number"):
        return _integer_number(op, a, b)
    if kinds == ("number", "integer"):
        return _integer_number(MIRRORED.get(op, op), b, a, number_first=True)
    return _PLAIN[op](a, b)


_PLAIN: Final[dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _integer_number(op: str, whole: pl.Expr, number: pl.Expr, *, number_first: bool = False) -> pl.Expr:
    """Polars would round the integer to a float; so the number is rounded to an integer, on the side that changes nothing.

    With `number_first` that stands on the left: polars loses rows where a literal stands there.
    """
    near = number.clip(-_FAR, _FAR)
    down, up, wide = near.floor().cast(_BITS), near.ceil().cast(_BITS), whole.cast(_BITS)

    def test(side: pl.Expr) -> pl.Expr:
        return _PLAIN[MIRRORED.get(op, op)](side, wide) if number_first else _PLAIN[op](wide, side)

    if op == "=":
        return test(down) & ((down == up) | wide.is_null())
    if op == "!=":
        return test(down) | ((down != up) & wide.is_not_null())
    return test(down if op in ("<=", ">") else up)


@dataclass(frozen=True, slots=True)
class Native:
    """A builtin as a polars expression. `check` makes null of results that do not count; `often` says that arguments are used more than
    once; `own` gives the causes the builtin itself adds, by its arguments; with `whole_columns`, `value` takes and gives series."""

    value: Callable[..., Any]
    check: Callable[[pl.Expr], pl.Expr] | None = None
    often: bool = False
    own: Callable[[Sequence[pl.Expr]], pl.Expr] | None = None
    whole_columns: bool = False


def _overflow(_: Sequence[pl.Expr]) -> pl.Expr:
    return pl.lit(CODE["overflow"], dtype=pl.UInt8)


def _zero(args: Sequence[pl.Expr]) -> pl.Expr:
    return pl.when(args[1] == 0).then(pl.lit(CODE["division by zero"], dtype=pl.UInt8)).otherwise(_overflow(args))


def _fits(result: pl.Expr) -> pl.Expr:
    return result.cast(pl.Int64, strict=False)


def _percent(result: pl.Expr) -> pl.Expr:
    return pl.when(result.is_between(-PERCENT_MAX, PERCENT_MAX)).then(result).cast(pl.Int64)


def _finite(result: pl.Expr) -> pl.Expr:
    """`values.number`: no infinity, and no negative zero (polars leaves out an addition of zero)."""
    return pl.when(result == 0.0).then(pl.lit(0.0)).when(result.is_finite()).then(result)


def _wide(op: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[..., pl.Expr]:
    return lambda a, b: op(a.cast(_BITS), b.cast(_BITS))


def _add(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a + b


def _subtract(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a - b


def _times(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a * b


def _negative(a: pl.Expr) -> pl.Expr:
    return pl.lit(0, dtype=_BITS) - a.cast(_BITS)


def quotient(a: pl.Series, b: pl.Series) -> pl.Series:
    """The nearest number to ``a / b``; infinity or NaN where there is none. On whole columns, because polars divides by a literal
    through its reciprocal, which is one bit off two times in three. Integers divide as floats while they are exact as such."""
    if a.dtype == pl.Float64:
        return a / b
    if all((series.cast(_BITS).abs() <= 2**53).all() for series in (a, b)):
        return a.cast(pl.Float64) / b.cast(pl.Float64)
    pairs = zip(a.to_list(), b.to_list(), strict=True)
    quotients = [None if x is None or y is None else divide(x, y) for x, y in pairs]
    return pl.Series([None if q.__class__ is Missing else q for q in quotients], dtype=pl.Float64)


def _min(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """As Python's: the first of equals; null if either is."""
    return pl.when(b < a).then(b).when(a <= b).then(a)


def _max(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return pl.when(b > a).then(b).when(a >= b).then(a)


def _table() -> dict[str, Native]:
    table: dict[str, Native] = {}
    signs = (("+", _add), ("-", _subtract), ("*", _times))
    for sign, op in signs:
        table[f"integer{sign}integer"] = Native(_wide(op), _fits, own=_overflow)
        table[f"number{sign}number"] = Native(op, _finite, own=_overflow)
        if sign != "*":
            table[f"duration{sign}duration"] = Native(_wide(op), _fits, own=_overflow)
            table[f"percent{sign}percent"] = Native(_wide(op), _percent, own=_overflow)
            table[f"money{sign}money"] = Native(_wide(op))
    table["duration*integer"] = Native(_wide(_times), _fits, own=_overflow)
    table["percent*integer"] = Native(_wide(_times), _percent, own=_overflow)
    for key in ("money*integer", "money*percent", "rescale:money"):
        table[key] = Native(_wide(_times))
    for kind in ("number", "integer", "money", "percent", "duration"):
        table[f"{kind}/{kind}"] = Native(quotient, _finite, often=True, own=_zero, whole_columns=True)
    for kind, check in (("integer", _fits), ("duration", _fits), ("percent", _percent)):
        table[f"negate:{kind}"] = Native(_negative, check, own=_overflow)
        table[f"abs:{kind}"] = Native(lambda a: a.cast(_BITS).abs(), check, own=_overflow)
    table["negate:number"] = Native(lambda a: -a, _finite)
    table["abs:number"] = Native(lambda a: a.abs(), _finite)
    table["negate:money"] = Native(_negative)
    table["abs:money"] = Native(lambda a: a.cast(_BITS).abs())
    for kind in ("integer", "money", "percent", "duration", "date", "datetime", "number"):
        table[f"min:{kind}"], table[f"max:{kind}"] = Native(_min, often=True), Native(_max, often=True)
    table["integer->number"] = Native(lambda a: a.cast(pl.Float64))
    table["starts_with"] = Native(lambda text, start: text.str.starts_with(start))
    table["contains"] = Native(lambda text, part: text.str.contains(part, literal=True))
    table["length"] = Native(lambda text: text.str.len_chars().cast(pl.Int64))
    return table


NATIVE: Final = _table()
"""The builtins polars does by itself, by their key."""


def own_cause(function: str, args: Sequence[pl.Expr]) -> pl.Expr | None:
    """The cause a builtin gives for known arguments without a result."""
    own = NATIVE[function].own
    return None if own is None else own(args)


def provable(expr: ir.Call) -> bool:
    """Whether no intermediate result can leave 128 bits, by the types and constants alone. Money is not checked at run time."""
    return "money" not in expr.function or bound(expr) <= EXACT_MAX


def bound(expr: ir.Expr) -> int:
    """The greatest magnitude the value can have."""
    match expr:
        case ir.Const() if expr.value.__class__ is int:
            return abs(expr.value)
        case ir.Else():
            return max(bound(expr.item), bound(expr.fallback))
        case ir.Dated():
            return max(map(bound, expr.items), default=0)
        case ir.Call() if expr.type.kind == "money":
            sizes = [bound(arg) for arg in expr.args]
            if expr.function in ("money+money", "money-money"):
                return sum(sizes)
            return max(sizes) if expr.function[:3] in ("min", "max", "neg", "abs") else sizes[0] * sizes[1]
    return 2**63
