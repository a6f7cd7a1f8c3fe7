"""The column of a decision table as a line of values: those that no cell tells apart are one class, and missing may be a class too.

Every type has a smallest step, numbers among them, so that a half-open run says exactly which values it holds. It knows no rows.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from typing import Any, Final, NamedTuple

from engine.lang import ir
from engine.values import DAY, INT64_MAX, INT64_MIN, Money, Type, Value, known

MOST_VALUES: Final = 2_000_000
"""So many values the lists in one column may name before nobody looks at each of them."""
_MOST_CUTS: Final = 50_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_LIMITS: Final = {"date": (_FIRST_DAY, _LAST_DAY), "datetime": (_FIRST_DAY * DAY, (_LAST_DAY + 1) * DAY - 1)}

Run = tuple[Any, Any]
"""The values from the first up to, and without, the second; none is no end."""
Runs = tuple[Run, ...]
ALL: Final[Runs] = ((None, None),)


class Masks(NamedTuple):
    """The classes for which a cell surely holds, and those for which it may, as bits. They differ where the value alone does not say."""

    sure: int
    may: int


@dataclass(slots=True)
class Axis:
    """One column: `size` classes, of which `missing` is the last where some cell asks for it; those below `floor` never occur.

    A class is what lies between two `cuts`, or, where values are `named`, those of one number; `other` is that of all others. `masks` are
    by the identity of the cell. `exact` says that a known value settles every cell, `currency` is that of the cells where amounts carry
    their own.
    """

    subject: ir.Expr
    size: int = 0
    missing: int | None = None
    floor: int = 0
    cuts: list[Any] = field(default_factory=list)
    named: dict[Any, int] | None = None
    other: int | None = None
    masks: dict[int, Masks] = field(default_factory=dict)
    exact: bool = True
    currency: str | None = None

    @property
    def type(self) -> Type:
        """The type of its values; where amounts carry a currency, that of the cells."""
        type_ = self.subject.type
        return replace(type_, by=None, currency=self.currency) if self.currency is not None else type_

    @property
    def every(self) -> int:
        """The bits of all classes that there are."""
        return ((1 << self.size) - 1) & ~((1 << self.floor) - 1)

    def place(self, value: Value) -> int:
        """The class of a known value."""
        if self.named is None:
            return bisect_right(self.cuts, value)
        return self.named.get(value, self.other or 0)

    def of(self, cell: ir.Expr | None) -> Masks:
        """What a cell of this column says; none is `any`."""
        return Masks(self.every, self.every) if cell is None else self.masks[id(cell)]


def axis(subject: ir.Expr, cells: Iterable[ir.Expr], *, least: int | None = None) -> Axis:
    """The column that has these cells; `least` is the least value there can be."""
    distinct = list({id(cell): cell for cell in cells}.values())
    named = [_points(cell, subject) for cell in distinct]
    points = [one for one in named if one is not None]
    if distinct and len(points) == len(named) and sum(len(one.values) for one in points) <= MOST_VALUES:
        made, masks = _by_name(subject, points)
    else:
        made, masks = _by_order(subject, distinct, least)
    lacks = [lacking(cell, subject) for cell in distinct]
    if any(map(_asks, distinct)):
        made.missing, made.size = made.size, made.size + 1
    for cell, mask, lack in zip(distinct, masks, lacks, strict=True):
        made.exact &= mask is not None
        made.masks[id(cell)] = _with_missing(made, mask, lack)
    return made


def _asks(cell: ir.Expr) -> bool:
    """Whether a cell asks for missing."""
    match cell:
        case ir.Not():
            return _asks(cell.item)
        case ir.And() | ir.Or():
            return any(map(_asks, cell.items))
    return isinstance(cell, ir.IsMissing)


def _with_missing(made: Axis, mask: int | None, lack: bool | None) -> Masks:
    if mask is None:
        return Masks(0, made.every)
    if made.missing is None:
        return Masks(mask, mask)
    gone = 1 << made.missing
    return Masks(mask | (gone if lack is True else 0), mask | (0 if lack is False else gone))


def lacking(cell: ir.Expr, subject: ir.Expr) -> bool | None:
    """What a cell comes to where its column is missing."""
    match cell:
        case ir.Const():
            return bool(cell.value) if known(cell.value) else None
        case ir.IsMissing():
            return True if cell.item == subject else None
        case ir.Not():
            inner = lacking(cell.item, subject)
            return None if inner is None else not inner
        case ir.And() | ir.Or():
            truths = {lacking(item, subject) for item in cell.items}
            ends = isinstance(cell, ir.Or)
            return ends if ends in truths else None if None in truths else not ends
    return None


# --- values that can be named ----------------------------------------------------------------------------------------


class _Points(NamedTuple):
    """The values for which a cell holds, or with `others` those for which it does not."""

    values: frozenset[Any]
    others: bool


def _points(cell: ir.Expr, subject: ir.Expr) -> _Points | None:
    """The known values for which a cell holds; none where it orders values or says something else."""
    match cell:
        case ir.Const() if known(cell.value):
            return _Points(frozenset(), bool(cell.value))
        case ir.IsMissing() if cell.item == subject:
            return _Points(frozenset(), False)
        case ir.Compare(op="=" | "!=", left=left, right=ir.Const() as right) if left == subject:
            alike = left.type.kind == right.type.kind and right.value.__class__ is not Money and known(right.value)
            return _Points(frozenset((right.value,)), cell.op == "!=") if alike else None
        case ir.In() if cell.item == subject:
            return _Points(cell.values, False)
        case ir.Not():
            inner = _points(cell.item, subject)
            return None if inner is None else _Points(inner.values, not inner.others)
        case ir.And() | ir.Or():
            parts = [_points(item, subject) for item in cell.items]
            return reduce(_either if isinstance(cell, ir.Or) else _both, parts)
    return None


def _both(one: _Points | None, other: _Points | None) -> _Points | None:
    if one is None or other is None:
        return None
    if one.others and other.others:
        return _Points(one.values | other.values, True)
    if one.others or other.others:
        named, left_out = (other, one) if one.others else (one, other)
        return _Points(named.values - left_out.values, False)
    return _Points(one.values & other.values, False)


def _either(one: _Points | None, other: _Points | None) -> _Points | None:
    if one is None or other is None:
        return None
    none = _both(_Points(one.values, not one.others), _Points(other.values, not other.others))
    return None if none is None else _Points(none.values, not none.others)


def _by_name(subject: ir.Expr, points: list[_Points]) -> tuple[Axis, list[int | None]]:
    """The column where every cell names values: one class for those that the same cells hold for."""
    rest = sum(1 << number for number, one in enumerate(points) if one.others)
    told: dict[Any, int] = {}
    for number, one in enumerate(points):
        for value in one.values:
            told[value] = told.get(value, rest) ^ (1 << number)
    domain = (False, True) if subject.type.kind == "flag" else subject.type.choices
    if domain is not None:
        told = {value: told.get(value, rest) for value in domain}
    classes: dict[int, int] = {}
    made = Axis(subject, named={value: classes.setdefault(cells, len(classes)) for value, cells in told.items()})
    if domain is None:
        made.other = classes.setdefault(rest, len(classes))
    made.size = len(classes)
    masks = [0] * len(points)
    for cells, place in classes.items():
        for number in bits(cells):
            masks[number] |= 1 << place
    return made, list(masks)


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def runs(mask: int) -> Iterator[tuple[int, int]]:
    """The stretches of bits that are set: from the first up to, and without, the second."""
    done = 0
    while mask:
        low = (mask & -mask).bit_length() - 1
        mask >>= low
        length = (~mask & (mask + 1)).bit_length() - 1
        yield done + low, done + low + length
        mask >>= length
        done += low + length


# --- values in order -------------------------------------------------------------------------------------------------


def _by_order(subject: ir.Expr, cells: list[ir.Expr], least: int | None) -> tuple[Axis, list[int | None]]:
    """The column where some cell orders values: a class from each value at which some cell changes to the next."""
    currencies = _currencies(cells) if subject.type.by is not None else set()
    said = [None if len(currencies) > 1 else _runs(cell, subject) for cell in cells]
    ends = {end for one in said for run in one or () for end in run if end is not None}
    if subject.type.kind == "flag":
        ends &= {1}
    elif subject.type.kind not in ("text", "number") and (subject.type.kind != "money" or isinstance(subject, ir.Read)):
        # on its way through a calculation money has 128 bits
        first, last = _LIMITS.get(subject.type.kind, (INT64_MIN, INT64_MAX))
        ends = {end for end in ends if first < end <= last}
    ends -= {math.inf, -math.inf}
    ends |= set() if least is None else {least}
    made = Axis(subject, size=len(ends) + 1, cuts=sorted(ends), currency=next(iter(currencies), None))
    made.floor = 0 if least is None else bisect_right(made.cuts, least)
    return made, [None if one is None else _mask(one, made.cuts) for one in said]


def _mask(values: Runs, cuts: list[Any]) -> int:
    mask = 0
    for start, end in values:
        low = 0 if start is None else _class_from(start, cuts)
        high = len(cuts) + 1 if end is None else _class_from(end, cuts)
        mask |= (1 << max(low, high)) - (1 << low)
    return mask


def _class_from(value: Any, cuts: list[Any]) -> int:
    """The class that begins at a value; what is no cut lies before or behind all values there can be."""
    place = bisect_left(cuts, value)
    if place < len(cuts) and cuts[place] == value:
        return place + 1
    return 0 if value <= 0 else len(cuts) + 1


def _currencies(cells: Iterable[ir.Expr]) -> set[str]:
    """The currencies of amounts that carry their own."""
    nodes = (node.value for cell in cells for node in ir.walk(cell) if isinstance(node, ir.Const))
    return {value.currency for value in nodes if value.__class__ is Money}


def _runs(cell: ir.Expr, subject: ir.Expr) -> Runs | None:
    """The known values for which a cell holds; none where that does not depend on the value alone."""
    match cell:
        case ir.Const() if known(cell.value):
            return ALL if cell.value else ()
        case ir.IsMissing() if cell.item == subject:
            return ()
        case ir.Compare():
            return _compared(cell, subject)
        case ir.In() if cell.item == subject and len(cell.values) <= _MOST_CUTS and subject.type.by is None:
            return tuple((value, following(value)) for value in sorted(cell.values))
        case ir.Call(function="starts_with", args=(item, ir.Const(value=str() as start))) if item == subject:
            return ((start, _behind(start)),)
        case ir.Not():
            inner = _runs(cell.item, subject)
            return None if inner is None else _complement(inner)
        case ir.And() | ir.Or():
            parts = [_runs(item, subject) for item in cell.items]
            there = [part for part in parts if part is not None]
            if len(there) < len(parts):
                return None
            if isinstance(cell, ir.And):
                return reduce(_meet, there)
            return _complement(reduce(_meet, map(_complement, there)))
    return None


def following(value: Any) -> Any:
    """The smallest value greater than this one."""
    if isinstance(value, str):
        return value + "\0"
    return math.nextafter(value, math.inf) if isinstance(value, float) else int(value) + 1


def _behind(start: str) -> str | None:
    """The smallest text greater than all that begin so; none where there is none."""
    while start and ord(start[-1]) == sys.maxunicode:
        start = start[:-1]
    if not start:
        return None
    last = ord(start[-1]) + 1
    # halves of characters are no text
    return start[:-1] + chr(0xE000 if 0xD800 <= last < 0xE000 else last)


def _compared(node: ir.Compare, subject: ir.Expr) -> Runs | None:
    factor = _factor(node.left, subject)
    if factor is None or not isinstance(node.right, ir.Const) or not known(node.right.value):
        return None
    bound = node.right.value.units if node.right.value.__class__ is Money else node.right.value
    first, beyond = (_from(bound, factor, subject.type.kind, above=above) for above in (False, True))
    match node.op:
        case ">=":
            return ((first, None),)
        case ">":
            return ((beyond, None),)
        case "<":
            return ((None, first),)
        case "<=":
            return ((None, beyond),)
    point = ((first, beyond),) if first != beyond else ()
    return point if node.op == "=" else _complement(point)


def _factor(side: ir.Expr, subject: ir.Expr) -> int | None:
    """By how much the column is multiplied in a comparison, so that parts of a cent stay whole; none where it is something else."""
    if side == subject:
        return 1
    if isinstance(side, ir.Call) and side.function.startswith("rescale:") and side.args[0] == subject:
        factor = side.args[1]
        return factor.value if isinstance(factor, ir.Const) else None
    return None


def _from(bound: Any, factor: int, kind: str, *, above: bool) -> Any:
    """The first value of the column that is not below `bound / factor`, or with `above` the first beyond it."""
    if kind == "text":
        return following(bound) if above else bound
    if factor == 1 and isinstance(bound, int) and kind != "number":
        return bound + above
    exact = Fraction(bound) / factor
    if kind != "number":
        return math.floor(exact) + 1 if above else math.ceil(exact)
    if abs(exact) > sys.float_info.max:
        return math.copysign(math.inf, exact)
    near = float(exact)
    return math.nextafter(near, math.inf) if Fraction(near) < exact or (above and Fraction(near) == exact) else near


def _complement(values: Runs) -> Runs:
    found: list[Run] = []
    begin: Any = None
    for start, end in values:
        if start is not None and start != begin:
            found.append((begin, start))
        if end is None:
            return tuple(found)
        begin = end
    return (*found, (begin, None))


def _meet(one: Runs, other: Runs) -> Runs:
    found: list[Run] = []
    for a_start, a_end in one:
        for b_start, b_end in other:
            start = a_start if b_start is None else b_start if a_start is None else max(a_start, b_start)
            end = a_end if b_end is None else b_end if a_end is None else min(a_end, b_end)
            if start is None or end is None or start < end:
                found.append((start, end))
    return tuple(found)
