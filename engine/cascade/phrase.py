"""A typed expression in the words of the language, for explanations: what an author would have written, near enough to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from engine.lang import ir
from engine.lang.builtins import BUILTINS
from engine.lang.entries import Days
from engine.values import DAY, HOUR, MINUTE, PERCENT, SECOND, date_of, show

_LOOSE, _OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _TIGHT = range(8)
_INFIX = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}


def phrase(expr: ir.Expr) -> str:
    """The expression as text.

    >>> from engine.lang.ir import Compare, Const, IsMissing, Not, Read
    >>> from engine.values import INTEGER
    >>> hits = Read("hits", type=INTEGER)
    >>> phrase(Not(Compare(">=", hits, Const(3, type=INTEGER)))), phrase(Not(IsMissing(hits)))
    ('not hits >= 3', 'hits is known')
    """
    return _phrase(expr, _LOOSE)


def within(window: ir.Window) -> str:
    """Where `once` looks for an earlier hit.

    >>> from engine.lang.ir import Window
    >>> within(Window("trailing", 7, "days")), within(Window("trailing", 1, "months")), within(Window("calendar", period="month"))
    ('within the 7 days before', 'within the month before', 'in the same calendar month')
    """
    if window.kind == "calendar":
        return f"in the same calendar {window.period}"
    number, unit = window.length, window.unit
    if unit == "microseconds":
        names = (("days", DAY), ("hours", HOUR), ("minutes", MINUTE), ("seconds", SECOND), ("microseconds", 1))
        number, unit = next((number // size, name) for name, size in names if number % size == 0)
    elif unit == "months" and number % 12 == 0:
        number, unit = number // 12, "years"
    return f"within the {unit[:-1] if number == 1 else f'{number} {unit}'} before"


def _phrase(expr: ir.Expr, around: int) -> str:
    text, level = _PHRASES[type(expr)](expr)
    return f"({text})" if level < around else text


def _const(expr: ir.Const) -> tuple[str, int]:
    if expr.name:
        return expr.name, _TIGHT
    return (f'"{expr.value}"' if expr.type.kind == "text" else show(expr.value, expr.type)), _TIGHT


def _read(expr: ir.Read) -> tuple[str, int]:
    return (f"flag {expr.name.removeprefix('flags.')}" if expr.name.startswith("flags.") else expr.name), _TIGHT


def _not(expr: ir.Not) -> tuple[str, int]:
    """As one says it: `not in`, `is known`, `!=`; else `not` before the whole."""
    item = expr.item
    if isinstance(item, ir.In | ir.Listed):
        return _membership(item, "not in")
    if isinstance(item, ir.Dated) and _is_list(item):
        return _dated(item, "not in")
    if isinstance(item, ir.IsMissing):
        return f"{_phrase(item.item, _SUM)} is known", _COMPARE
    if isinstance(item, ir.Compare) and item.op == "=":
        return f"{_phrase(item.left, _SUM)} != {_phrase(item.right, _SUM)}", _COMPARE
    return f"not {_phrase(item, _COMPARE)}", _NOT


def _membership(expr: ir.In | ir.Listed, word: str = "in") -> tuple[str, int]:
    kind = expr.item.type
    if isinstance(expr, ir.Listed):
        return f"{_phrase(expr.item, _SUM)} {word} {expr.name or 'a dated list'}", _COMPARE
    choices = expr.name or "(" + ", ".join(sorted(f'"{v}"' if kind.kind == "text" else show(v, kind) for v in expr.values)) + ")"
    return f"{_phrase(expr.item, _SUM)} {word} {choices}", _COMPARE


def _resembles(expr: ir.Resembles) -> tuple[str, int]:
    return f"{_phrase(expr.item, _SUM)} resembles any in {expr.name or 'a list'} by {show(expr.least, PERCENT)}", _COMPARE


def _call(expr: ir.Call) -> tuple[str, int]:
    surface, args = BUILTINS[expr.function].surface, expr.args
    if surface is None:
        return _phrase(args[0], _TIGHT), _TIGHT
    if surface in _INFIX and len(args) == 2:
        level = _INFIX[surface]
        return f"{_phrase(args[0], level)} {surface} {_phrase(args[1], level + 1)}", level
    if surface in ("starts with", "contains", "matches", "in") and len(args) >= 2:
        return f"{_phrase(args[0], _SUM)} {surface} {_phrase(args[1], _SUM)}", _COMPARE
    if surface.endswith(" of") or surface == "-":
        return f"{surface} {_phrase(args[0], _TIGHT)}".replace("- ", "-"), _PRODUCT
    return f"{surface}({', '.join(phrase(arg) for arg in args)})", _TIGHT


def _is_list(expr: ir.Dated) -> bool:
    """Whether it asks a list that holds other values from day to day."""
    return bool(expr.items) and all(isinstance(item, ir.In | ir.Listed) and item.name == expr.name for item in expr.items)


def _dated(expr: ir.Dated, word: str = "in") -> tuple[str, int]:
    if expr.items and isinstance(expr.items[0], ir.Resembles):
        return _resembles(expr.items[0])
    if _is_list(expr):
        return _membership(expr.items[0], word)  # type: ignore[arg-type]  # `_is_list` says so
    if expr.name:
        return expr.name, _TIGHT
    values = [f"{_phrase(item, _TIGHT)}{_effective(days)}" for days, item in zip(expr.spans, expr.items, strict=True)]
    return f"({', '.join(values)})", _TIGHT


def _effective(days: Days) -> str:
    start, end = (None if day is None else date_of(day).isoformat() for day in days)
    return (f" from {start}" if start else "") + (f" to {end}" if end else "")


def _quantifier(expr: ir.Quantifier) -> tuple[str, int]:
    return f"{expr.kind} of {_phrase(expr.of, _TIGHT)} where ({phrase(expr.where)})", _TIGHT


_PHRASES: Final[dict[type[ir.Expr], Callable[[Any], tuple[str, int]]]] = {
    ir.Const: _const,
    ir.Read: _read,
    ir.Item: lambda _: ("it", _TIGHT),
    ir.Compare: lambda e: (f"{_phrase(e.left, _SUM)} {e.op} {_phrase(e.right, _SUM)}", _COMPARE),
    ir.And: lambda e: (" and ".join(_phrase(item, _NOT) for item in e.items), _AND),
    ir.Or: lambda e: (" or ".join(_phrase(item, _AND) for item in e.items), _OR),
    ir.Not: _not,
    ir.IsMissing: lambda e: (f"{_phrase(e.item, _SUM)} is missing", _COMPARE),
    ir.In: _membership,
    ir.Resembles: _resembles,
    ir.Match: lambda e: ("match" if e.part == "text" else f"match.{e.part}", _TIGHT),
    ir.Call: _call,
    ir.Else: lambda e: (f"{_phrase(e.item, _TIGHT)} else {_phrase(e.fallback, _TIGHT)}", _TIGHT),
    ir.Quantifier: _quantifier,
    ir.Lookup: lambda e: (e.name or f"{e.table.name}.{e.column}", _TIGHT),
    ir.Convert: lambda e: (f"{_phrase(e.item, _TIGHT)} in {e.type.currency}", _TIGHT),
    ir.Dated: _dated,
    ir.Listed: _membership,
}
