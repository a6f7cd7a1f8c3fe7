"""Facts: conditions that one column alone decides, found in a rule set's expressions; and for columns of numbers where their truth changes.

What a fact means is asked of `reference`, once for every class of values between two thresholds. It knows no frames.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from engine.backends.reference import evaluate
from engine.lang import ir
from engine.values import INT64_MAX, MISSING, Type, Value, known

WHOLE: Final = frozenset({"integer", "date", "datetime", "duration", "percent", "money"})
"""The kinds whose values are whole numbers of 64 bits."""
LONG: Final = 5_000
"""A list of more numbers is no fact: each of them would be a class of its own."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is asked of one column. `strict` facts are known wherever the column is."""

    column: str
    type: Type
    asked: dict[ir.Expr, int] = field(default_factory=dict)
    """The facts, each with its number."""

    def number(self, expr: ir.Expr) -> int:
        """The number of a fact, which is new or was asked before."""
        return self.asked.setdefault(expr, len(self.asked))

    @property
    def numeric(self) -> bool:
        return self.type.kind in WHOLE or self.type.kind == "number"


def subject(expr: ir.Expr) -> ir.Read | None:
    """The column which alone decides a condition of a kind that can be a fact; none where there is no such column."""
    found = list({node.name: node for node in ir.walk(expr) if isinstance(node, ir.Read)}.values())
    if len(found) != 1 or found[0].type.interval:
        return None
    read = found[0]
    if read.type.kind == "text":
        return read
    return read if _numeric(read.type) and _about(expr, read) else None


def strict(expr: ir.Expr) -> bool:
    """Whether the condition is known wherever its column is."""
    match expr:
        case ir.Compare(left=ir.Read(), right=ir.Const()) | ir.Compare(left=ir.Const(), right=ir.Read()):
            return True
        case ir.In(item=ir.Read()) | ir.IsMissing():
            return True
    return False


def _numeric(type_: Type) -> bool:
    return type_.kind == "number" or (type_.kind in WHOLE and (type_.kind != "money" or (type_.currency is not None and type_.scale == 1)))


def _about(expr: ir.Expr, read: ir.Read) -> bool:
    """Whether it compares the column, or what stands for it while it is missing, with constants."""
    match expr:
        case ir.IsMissing(item=item):
            return item == read
        case ir.Compare(left=left, right=right):
            item, other = (left, right) if isinstance(right, ir.Const) else (right, left)
            return _stands_for(item, read) and _plain(other)
        case ir.In(item=item):
            return len(expr.values) <= LONG and _stands_for(item, read)
    return False


def _stands_for(item: ir.Expr, read: ir.Read) -> bool:
    return item == read or (isinstance(item, ir.Else) and item.item == read and _plain(item.fallback))


def _plain(expr: ir.Expr) -> bool:
    return isinstance(expr, ir.Const) and known(expr.value) and (expr.type.kind != "money" or expr.type.scale == 1)


# --- numbers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Classes:
    """The values at which the truth of some fact changes, rising: class 0 is what is missing, 1 what is below the first, and so on.

    `truths` has for every class what each fact says of it: true, false, or none where it is not known.
    """

    thresholds: tuple[float | int, ...]
    truths: tuple[tuple[bool | None, ...], ...]


def classes(facts: Facts) -> Classes:
    """The classes of a column of numbers.

    >>> from engine.values import INTEGER
    >>> n = ir.Read("n", type=INTEGER)
    >>> found = classes(Facts("n", INTEGER, {ir.Compare(">", n, ir.Const(3, type=INTEGER)): 0}))
    >>> found.thresholds, found.truths
    ((3, 4), ((None,), (False,), (False,), (True,)))
    """
    whole = facts.type.kind != "number"
    constants = {value for expr in facts.asked for value in _constants(expr)}
    thresholds = sorted({at for value in constants for at in (_around_whole(value) if whole else _around(value))})
    values: list[Value] = [MISSING, *_below(thresholds, whole), *thresholds]
    return Classes(tuple(thresholds), tuple(_truths(facts, value) for value in values))


def _truths(facts: Facts, value: Value) -> tuple[bool | None, ...]:
    found = [evaluate(expr, {facts.column: value}) for expr in facts.asked]
    return tuple(truth if truth is True or truth is False else None for truth in found)


def _constants(expr: ir.Expr) -> list[float | int]:
    found: list[Value] = []
    for node in ir.walk(expr):
        found += [node.value] if isinstance(node, ir.Const) else list(node.values) if isinstance(node, ir.In) else []
    return [value.units if hasattr(value, "units") else value for value in found if known(value)]


def _around(value: float | int) -> tuple[float, ...]:
    """Where a float becomes equal to a number and where it passes it; a whole number may lie between two floats."""
    near = float(max(-sys.float_info.max, min(sys.float_info.max, value)))
    return tuple(at for at in (math.nextafter(near, -math.inf), near, math.nextafter(near, math.inf)) if math.isfinite(at))


def _around_whole(value: float | int) -> tuple[int, ...]:
    exact = Fraction(value)
    ends = (math.floor(exact), math.floor(exact) + 1)
    return tuple(at for at in ends if -INT64_MAX - 1 <= at <= INT64_MAX)


def _below(thresholds: Sequence[float | int], whole: bool) -> list[Value]:
    """A value below all thresholds; where there is none the class is empty, and any value stands for it."""
    if not thresholds:
        return [0 if whole else 0.0]
    first = thresholds[0]
    if whole:
        return [max(-INT64_MAX - 1, int(first) - 1)]
    below = math.nextafter(first, -math.inf)
    return [below if math.isfinite(below) else first]
