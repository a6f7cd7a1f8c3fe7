"""Values that are fixed for each day: time is cut where one of them changes, and between two cuts all are constants.

It knows typed expressions alone, neither how a param is declared nor what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeGuard

from engine.lang import ir
from engine.lang.entries import Days, holds
from engine.values import Missing, missing

Fixed = ir.Const | ir.Dated
"""A value that is fixed in the text, for all days or for each."""

NOT_IN_FORCE = missing("not in force")


def is_fixed(expr: ir.Expr | None) -> TypeGuard[Fixed]:
    """Whether the value is fixed in the text, for all days or for each.

    >>> is_fixed(ir.Dated(ir.day_of_event(), ((0, None),), (ir.Const(1),))), is_fixed(ir.Read("n"))
    (True, False)
    """
    return isinstance(expr, ir.Const) or (isinstance(expr, ir.Dated) and all(isinstance(item, ir.Const) for item in expr.items))


def cuts(exprs: Iterable[ir.Expr]) -> set[int]:
    """The days on which some part of the expressions becomes another."""
    return {
        cut
        for expr in exprs
        for node in ir.walk(expr)
        if isinstance(node, ir.Dated)
        for start, end in node.spans
        for cut in (start, None if end is None else end + 1)
        if cut is not None
    }


def stretches(cuts: Iterable[int]) -> Iterator[Days]:
    """All days, in stretches that begin at these.

    >>> list(stretches({5, 10}))
    [(None, 4), (5, 9), (10, None)]
    """
    start: int | None = None
    for cut in sorted(cuts):
        yield start, cut - 1
        start = cut
    yield start, None


def a_day(stretch: Days) -> int:
    """One of its days."""
    start, end = stretch
    return start if start is not None else end if end is not None else 0


def on(expr: ir.Expr, day: int) -> ir.Expr:
    """The expression on one day: what stands for a dated value then, a constant without value where none does."""

    def change(node: ir.Expr) -> ir.Expr:
        if not isinstance(node, ir.Dated):
            return node
        found = next((item for days, item in zip(node.spans, node.items, strict=True) if holds(days, day)), None)
        return ir.Const(NOT_IN_FORCE, type=node.type, span=node.span) if found is None else found

    return ir.transform(expr, change)


def in_force(expr: ir.Expr) -> bool:
    """Whether it is anything but a constant without value because no day of it is meant."""
    return not (isinstance(expr, ir.Const) and expr.value.__class__ is Missing and expr.value.cause == NOT_IN_FORCE.cause)


def by_day(make: Callable[..., ir.Expr | None], *operands: ir.Expr, strict: bool = True) -> tuple[tuple[Days, ir.Expr], ...] | None:
    """What `make` gives of the operands for each stretch of days in which none of them changes; days on which there is nothing are left
    out, with `strict` also those on which one of the dated operands is not in force. None where `make` gives none."""
    tops = [operand for operand in operands if isinstance(operand, ir.Dated)]
    found: list[tuple[Days, ir.Expr]] = []
    for stretch in stretches(cuts(tops)):
        there = [on(operand, a_day(stretch)) if isinstance(operand, ir.Dated) else operand for operand in operands]
        if strict and not all(map(in_force, there)):
            continue
        made = make(*there)
        if made is None:
            return None
        if not in_force(made):
            continue
        if found and found[-1][1] == made and found[-1][0][1] == (stretch[0] or 0) - 1:
            found[-1] = ((found[-1][0][0], stretch[1]), made)
        else:
            found.append((stretch, made))
    return tuple(found)


def joined(found: Iterable[tuple[Days, ir.Expr]], like: ir.Expr) -> ir.Dated:
    """Items of one type as one dated value, at the place of `like`."""
    pairs = tuple(found)
    items = tuple(item for _, item in pairs)
    type_ = items[0].type if items else like.type
    type_ = replace(type_, choices=None, interval=any(item.type.interval for item in items))
    return ir.Dated(ir.day_of_event(), tuple(days for days, _ in pairs), items, type=type_, span=like.span)


def each(change: Callable[[ir.Const], ir.Const | None], fixed: Fixed) -> Fixed | None:
    """The value with every constant of it changed; none where one cannot be."""
    if isinstance(fixed, ir.Const):
        return change(fixed)
    made = [change(item) if isinstance(item, ir.Const) else None for item in fixed.items]
    items = tuple(item for item in made if item is not None)
    return None if len(items) < len(made) else replace(fixed, items=items, type=items[0].type if items else fixed.type)
