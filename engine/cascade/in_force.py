"""Which dated values, lists and entries of lists an expression met on the day of an event, and since when they hold: for explanations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.backends import reference
from engine.lang import ir
from engine.lang.entries import Days, holds
from engine.plan import DAY_OF_EVENT, Row
from engine.values import date_of, known, show


def in_force(exprs: list[ir.Expr], row: Row, defines: Mapping[str, ir.Expr]) -> list[str]:
    """What was in force, each said once; defines that are read are looked into.

    >>> limit = ir.Dated(ir.day_of_event(), ((0, 9), (10, None)), (ir.Const("low"), ir.Const("high")), "limit")
    >>> in_force([ir.Compare("=", ir.Read("risk"), limit)], {"risk": "low", "@date": 12}, {})
    ['limit = high since 1970-01-11']
    """
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = list(exprs)
    while waiting:
        expr = waiting.pop(0)
        found.update((said, None) for said in _said(reference.trace(expr, row), row))
        names = ir.reads(expr) - seen
        seen |= names
        waiting += [defines[name] for name in sorted(names) if name in defines]
    return list(found)


def _said(trace: reference.Trace, row: Row) -> Iterator[str]:
    expr = trace.expr
    if isinstance(expr, ir.Dated) and expr.name and len(trace.children) == 2:
        days = next(days for days in expr.spans if holds(days, row[DAY_OF_EVENT]))
        value = "" if expr.type.kind == "flag" else f" = {show(trace.value, trace.children[1].expr.type)}"
        yield f"{expr.name}{value}{_since(days)}"
    if isinstance(expr, ir.Listed) and trace.value is True:
        item = trace.children[0].value
        days = next(days for days in expr.entries[item] if holds(days, row[DAY_OF_EVENT]))
        yield f"{show(item, expr.item.type)} in {expr.name}{_since(days)}"
    for child in trace.children:
        if known(child.value) or child.children:
            yield from _said(child, row)


def _since(days: Days) -> str:
    start, end = days
    if start is not None:
        return f" since {date_of(start).isoformat()}"
    return "" if end is None else f" until {date_of(end).isoformat()}"
