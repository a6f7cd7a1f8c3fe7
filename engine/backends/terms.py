"""Conditions as alternatives: a condition holds where one of its terms does, and a term where all its parts do, each about one subject.

Negation stands at the leaves, so that strong Kleene logic says the same of both forms: what is missing leaves them open alike. It knows
neither rows nor generated code.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Any, Final

from engine.lang import ir
from engine.values import FLAG, Missing, Money, known

_MOST_TERMS: Final = 12
"""A condition with more alternatives is asked as a whole."""
_MOST_VALUES: Final = 2_000
"""A list with more entries is asked by itself, and no entry is looked at."""
_FLIPPED: Final = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

Term = dict[Hashable, tuple[ir.Expr, ir.Expr]]
"""By the key of a subject: the subject, and what is asked of it."""


def terms(condition: ir.Expr) -> list[Term]:
    """The alternatives of a condition; none where it never holds.

    >>> from engine.lang.ir import And, Compare, Const, Or, Read
    >>> cash, big = Compare("=", Read("channel"), Const("cash")), Compare(">", Read("amount"), Const(9))
    >>> [[read.name for read, _ in term.values()] for term in terms(Or((And((cash, big)), big)))]
    [['channel', 'amount'], ['amount']]
    """
    return _part(condition, True)


def _part(expr: ir.Expr, wanted: bool) -> list[Term]:
    """The terms of what is `wanted` to be true or false; what has too many is asked as a whole."""
    found = _alternatives(expr, wanted)
    return [_asked(expr, wanted)] if found is None else found


def _alternatives(expr: ir.Expr, wanted: bool) -> list[Term] | None:
    if isinstance(expr, ir.Const) and known(expr.value):
        return [{}] if expr.value is wanted else []
    if isinstance(expr, ir.Not):
        return _alternatives(expr.item, not wanted)
    if subject_of(expr) is None and isinstance(expr, ir.And | ir.Or):
        parts = [_part(item, wanted) for item in expr.items]
        return _one_of(parts) if isinstance(expr, ir.Or) is wanted else _all_of(parts)
    return [_asked(expr, wanted)]


def _one_of(parts: Iterable[list[Term]]) -> list[Term] | None:
    found = [term for part in parts for term in part]
    return found if len(found) <= _MOST_TERMS else None


def _all_of(parts: Iterable[list[Term]]) -> list[Term] | None:
    found: list[Term] = [{}]
    for part in parts:
        found = [_both(one, other) for one in found for other in part]
        if len(found) > _MOST_TERMS:
            return None
    return found


def _both(one: Term, other: Term) -> Term:
    found = dict(one)
    for key, (subject, cell) in other.items():
        found[key] = (subject, ir.And((found[key][1], cell))) if key in found else (subject, cell)
    return found


def _asked(expr: ir.Expr, wanted: bool) -> Term:
    """A condition about one subject; one that is about several, or none, is a subject of its own."""
    subject = subject_of(expr)
    cell = _plain(expr) if subject is not None else ir.Compare("=", expr, ir.Const(True, type=FLAG))
    subject = expr if subject is None else subject
    return {key_of(subject): (subject, cell if wanted else ir.Not(cell))}


def key_of(expr: ir.Expr) -> Hashable:
    """What tells two subjects apart; what cannot be compared is the same only as itself."""
    try:
        hash(expr)
    except TypeError:
        return id(expr)
    return expr


def subject_of(expr: ir.Expr) -> ir.Expr | None:
    """The one subject that a condition asks about, where its value alone settles it."""
    match expr:
        case ir.Read() if expr.type.kind == "flag":
            return expr
        case ir.Compare(left=ir.Const(), right=ir.Const()):
            return None
        case ir.Compare(left=ir.Const() as bound, right=side) | ir.Compare(left=side, right=ir.Const() as bound):
            return _unscaled(side) if _is_bound(side, bound.value) else None
        case ir.In(item=item) if len(expr.values) <= _MOST_VALUES and item.type.by is None:
            return None if isinstance(item, ir.Const) else item
        case ir.IsMissing(item=item) if not isinstance(item, ir.Const):
            return item
        case ir.Call(function="starts_with", args=(item, ir.Const(value=str()))) if not isinstance(item, ir.Const):
            return item
        case ir.Not():
            return subject_of(expr.item)
        case ir.And() | ir.Or() if expr.items:
            subjects = [subject_of(item) for item in expr.items]
            keys = {None if one is None else key_of(one) for one in subjects}
            return subjects[0] if len(keys) == 1 else None
    return None


def _is_bound(side: ir.Expr, value: Any) -> bool:
    """Whether a comparison with this value asks for an order on a line: amounts of any currency stand on none."""
    return value.__class__ not in (Missing, Money) and known(value) and side.type.by is None


def _unscaled(side: ir.Expr) -> ir.Expr | None:
    """What is compared, without the factor that keeps parts of a cent whole."""
    if isinstance(side, ir.Call) and side.function.startswith("rescale:") and isinstance(side.args[1], ir.Const):
        side = side.args[0]
    return None if isinstance(side, ir.Const) else side


def _plain(expr: ir.Expr) -> ir.Expr:
    """The condition with every constant at the right of its comparison, and every flag compared."""
    match expr:
        case ir.Read():
            return ir.Compare("=", expr, ir.Const(True, type=FLAG))
        case ir.Compare(op, ir.Const() as bound, side):
            return ir.Compare(_FLIPPED[op], side, bound)
        case ir.Not():
            return ir.Not(_plain(expr.item))
        case ir.And() | ir.Or():
            return replace(expr, items=tuple(map(_plain, expr.items)))
    return expr
