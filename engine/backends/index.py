"""The rules of a rule set, found by what they ask: each subject's value says at once which rules it leaves, whatever their number.

A rule is a bit, and where it can be hit in several ways each way is one more. It knows neither generated code nor frames.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from math import gcd
from operator import or_
from typing import Final

from engine.backends import single
from engine.backends.outline import may_open
from engine.backends.tables import Column, column
from engine.backends.terms import Term, key_of, terms
from engine.lang import ir
from engine.plan import DAY_OF_EVENT
from engine.values import DATE, Type, Value

VALUE: Final = "value"


@dataclass(frozen=True, slots=True)
class Sense:
    """One subject: the bits that ask about it, how many cells that is, and the column that says which of them a value leaves."""

    subject: ir.Expr
    asked: int
    cells: int
    column: Column

    def told(self, value: Value) -> tuple[int, int]:
        """The bits that hold or may hold for a value, and those of them that only may."""
        sure, may = self.column.rows({VALUE: value})
        return may, may & ~sure


@dataclass(frozen=True, slots=True)
class Index:
    """Rules as bits, in the order of `rules`. `start` are the bits that hold where nothing is asked. Behind those of the rules stand the
    ways of rules that have several; `ways` says from the first on whose they are."""

    rules: tuple[ir.Rule, ...]
    senses: tuple[Sense, ...]
    start: int
    ways: tuple[int, ...]

    def gathered(self, hits: int, open_: int) -> tuple[int, int]:
        """The rules that are hit, and those that may be, from all bits that hold, and those that may."""
        count, ways = len(self.rules), self.ways
        ways_hit, ways_open = hits >> count, open_ >> count
        every = (1 << count) - 1
        hits, open_ = hits & every, open_ & every
        while ways_hit:
            last = ways_hit.bit_length() - 1
            hits |= 1 << ways[last]
            ways_hit ^= 1 << last
        while ways_open:
            last = ways_open.bit_length() - 1
            open_ |= 1 << ways[last]
            ways_open ^= 1 << last
        return hits, open_ & ~hits

    def chosen(self, chosen: Callable[[ir.Rule], bool]) -> int:
        """The bits of the rules that are chosen."""
        return sum(1 << place for place, rule in enumerate(self.rules) if chosen(rule))


def index(rules: Iterable[ir.Rule], defines: dict[str, ir.Expr]) -> Index:
    """The index of rules that read nothing of one another. Flags that are defined are looked through; values that are defined are read."""
    found = tuple(rules)
    start, ways, rows = 0, list[int](), dict[int, Term]()
    for place, rule in enumerate(found):
        alternatives = terms(asked(rule, defines))
        for term in alternatives:
            bit = place if len(alternatives) == 1 else len(found) + len(ways)
            if len(alternatives) > 1:
                ways.append(place)
            start |= 1 << bit
            rows[bit] = term
    return Index(found, tuple(_senses(rows, start)), start, tuple(ways))


def asked(rule: ir.Rule, defines: dict[str, ir.Expr]) -> ir.Expr:
    """The condition of a rule with the days on which it is in force, and the flags it reads written out."""

    def change(node: ir.Expr) -> ir.Expr:
        if isinstance(node, ir.Read) and node.name in defines and defines[node.name].type.kind == "flag":
            return ir.transform(defines[node.name], change)
        return node

    day = ir.Read(DAY_OF_EVENT, type=DATE)
    first, last = rule.effective
    days = [] if first is None else [ir.Compare(">=", day, ir.Const(first, type=DATE))]
    days += [] if last is None else [ir.Compare("<=", day, ir.Const(last, type=DATE))]
    condition = ir.transform(ir.condition(rule), change)
    return ir.And((*days, condition)) if days else condition


def _senses(rows: dict[int, Term], start: int) -> Iterable[Sense]:
    """The subjects, those first whose values are at hand."""
    subjects: dict[Hashable, ir.Expr] = {}
    cells: dict[Hashable, dict[Hashable, tuple[ir.Expr, list[int]]]] = {}
    for bit, term in rows.items():
        for key, (subject, cell) in term.items():
            subjects[key] = subject
            cells.setdefault(key, {}).setdefault(key_of(cell), (cell, []))[1].append(bit)
    for key in sorted(subjects, key=lambda key: not isinstance(subjects[key], ir.Read)):
        subject = subjects[key]
        value = ir.Read(VALUE, type=_open(subject))
        given = [(_about(cell, subject, value), sum(1 << bit for bit in having)) for cell, having in cells[key].values()]
        mask = reduce(or_, (having for _, having in given))
        made = column(value, given, start & ~mask, lambda row: row[VALUE], single.compile_expr)
        yield Sense(subject, mask, len(given), made)


def _open(subject: ir.Expr) -> Type:
    return replace(subject.type, interval=may_open(subject))


def _about(cell: ir.Expr, subject: ir.Expr, value: ir.Expr) -> ir.Expr:
    """What is asked, as a question about the value alone."""
    if cell is subject or cell == subject:
        return value
    match cell:
        case ir.Const():
            return cell
        case ir.Compare(op, left, right):
            return ir.Compare(op, _about(left, subject, value), right)
        case ir.In(item, values, name):
            return ir.In(_about(item, subject, value), values, name)
        case ir.Not(item) | ir.IsMissing(item):
            return type(cell)(_about(item, subject, value))
        case ir.And(items) | ir.Or(items):
            return type(cell)(tuple(_about(item, subject, value) for item in items))
        case ir.Call(function, args):
            return ir.Call(function, (_about(args[0], subject, value), *args[1:]), type=cell.type)
    raise TypeError(f"no question about one subject: {cell!r}")


# --- points ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worth:
    """What bits of rules come to, looked up by the bits of points: `unit` times, for the nth of `gives`, 2 to the n for each of them that
    is hit; `takes` likewise is taken away. Where the most counts, `ladder` is what one gives and those that give it, downwards."""

    unit: int
    gives: tuple[int, ...]
    takes: tuple[int, ...]
    ladder: tuple[tuple[int, int], ...]


def worth(index_: Index, points: Callable[[ir.Rule], int]) -> Worth:
    """The points of the rules of an index."""
    given = [points(rule) for rule in index_.rules]
    unit = gcd(*given) or 1
    positive = _slices([max(0, one) // unit for one in given])
    negative = _slices([max(0, -one) // unit for one in given])
    steps = sorted({one for one in given if one > 0}, reverse=True)
    return Worth(unit, positive, negative, tuple((step, sum(1 << n for n, one in enumerate(given) if one == step)) for step in steps))


def _slices(counts: list[int]) -> tuple[int, ...]:
    length = max(counts, default=0).bit_length()
    return tuple(sum(1 << n for n, count in enumerate(counts) if count >> place & 1) for place in range(length))
