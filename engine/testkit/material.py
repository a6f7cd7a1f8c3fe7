"""What events are made of in a search: for every column a rule set reads, values around what its own conditions compare it with.

It knows conditions and values, and decides nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.backends import single
from engine.backends.rules import expressions, input_types
from engine.lang import ir
from engine.plan import DAY_OF_EVENT, NOW
from engine.record import border
from engine.values import DAY, FLAG, HOUR, MISSING, SECOND, TEXT, Money, Type, Value, known, round_half_even

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from engine.features.spec import BoundFeatures
    from engine.plan import Row
    from engine.record import Record

STEP: Final = {"integer": 1, "money": 1, "percent": 1, "date": 1, "datetime": 1, "duration": SECOND, "months": 1}
"""How far the nearest other value of a kind is away; of durations the nearest that a test can write down."""

_FURTHEST: Final = {
    "integer": 10**9,
    "money": 10**12,
    "percent": 10**10,
    "date": 100_000,
    "datetime": 10**16,
    "duration": 10**10 * SECOND,
    "months": 12_000,
}
_PLAIN: Final[dict[str, tuple[Any, ...]]] = {
    "text": ("other",),
    "integer": (0, 1, 2, 1_000_000),
    "number": (0.0, 1.0, 0.5, 1_000_000.0),
    "money": (0, 1, 100, 100_000_000),
    "percent": (0, 50_000_000, 100_000_000),
    "flag": (False, True),
    "duration": (0, HOUR, DAY, 400 * DAY),
    "months": (0, 1, 12),
}
_MOST_PARTS: Final = 2_000
_MOST_MEMBERS: Final = 4
_MOST_DAYS: Final = 50
_WORD: Final = re.compile(r"(?<!\\)[^\W\d_]{2,}")


class Condition(NamedTuple):
    """An expression with defines and formulas put in: how to judge it (none where it is too large), the columns it rests on, what it reads
    that no event brings, and whether it reads the time."""

    expr: ir.Expr
    judge: Callable[[Row], Value] | None
    leaves: list[str]
    made: frozenset[str]
    timed: bool


class Material:
    """The columns that may be given to one rule set, and what may be given: `columns` by type, the record's time among them.

    `looked` are those that look back over history, `formulas` what is worked out from them.
    """

    def __init__(
        self,
        rules: ir.RuleSet,
        record: Record,
        history: Iterable[BoundFeatures],
        told: Mapping[str, Type],
        more: Iterable[ir.Expr],
        start: int,
    ) -> None:
        self.rules, self.record, self.start = rules, record, start
        self.day = border(record).day
        features = [feature for group in history for feature in group.bound]
        self.formulas = {one.name: one.value for one in features if not isinstance(one.value, ir.Aggregate)}
        self.conditions = [*expressions(rules), *more]
        self.columns = self._columns(features, told)
        self.looked = frozenset(one.name for one in features if one.name in self.columns)
        self._sizes: dict[str, int] = {}
        self._conditions: dict[int, Condition] = {}

    def _columns(self, features: list[ir.Feature], told: Mapping[str, Type]) -> dict[str, Type]:
        givable = {field.name: field.type for field in self.record.fields} | {one.name: one.type for one in self.rules.inputs}
        givable |= told
        givable |= {one.name: one.type for one in features if isinstance(one.value, ir.Aggregate)}
        read = {*input_types(self.rules)}.union(*(ir.reads(expr) for expr in (*self.conditions, *self.formulas.values())))
        found = {name: type_.exact() for name, type_ in givable.items() if name in read or name == self.record.time}
        currencies = {type_.by for type_ in found.values()}
        return {name: type_ for name, type_ in found.items() if name not in currencies}

    # --- conditions --------------------------------------------------------------------------------------------------

    def condition(self, expr: ir.Expr) -> Condition:
        """What is known of an expression, worked out once."""
        known_already = self._conditions.get(id(expr))
        if known_already is None:
            whole = ir.transform(expr, self._put_in) if self._size(expr) <= _MOST_PARTS else None
            read = set() if whole is None else ir.reads(whole)
            timed = bool(read & {NOW, DAY_OF_EVENT})
            leaves = [name for name in self.columns if name in read or (timed and name == self.record.time)]
            judge = None if whole is None else single.compile_expr(whole)
            known_already = Condition(expr, judge, leaves, frozenset(read - set(self.columns) - {NOW, DAY_OF_EVENT}), timed)
            self._conditions[id(expr)] = known_already
        return known_already

    @cached_property
    def _inside(self) -> Mapping[str, ir.Expr]:
        return {**self.formulas, **self.rules.defines}

    def _size(self, expr: ir.Expr) -> int:
        if isinstance(expr, ir.Read) and expr.name in self._inside:
            if expr.name not in self._sizes:
                self._sizes[expr.name] = self._size(self._inside[expr.name])
            return self._sizes[expr.name]
        return min(_MOST_PARTS + 1, 1 + sum(self._size(child) for child in ir.children(expr)))

    def _put_in(self, node: ir.Expr) -> ir.Expr:
        return ir.transform(self._inside[node.name], self._put_in) if isinstance(node, ir.Read) and node.name in self._inside else node

    def leaves(self, expr: ir.Expr) -> list[str]:
        """The columns on which an expression rests in the end, in a fixed order."""
        return self.condition(expr).leaves

    def made(self, expr: ir.Expr) -> frozenset[str]:
        """What an expression reads that no event brings: states, flags, the outcome and the like."""
        return self.condition(expr).made

    def judge(self, expr: ir.Expr, given: Mapping[str, Value]) -> Value:
        """What a condition on leaves comes to."""
        condition = self.condition(expr)
        if condition.judge is None or condition.made:
            return MISSING
        row = {name: given.get(name, MISSING) for name in condition.leaves}
        if condition.timed:
            now = given[self.record.time]
            row |= {NOW: now, DAY_OF_EVENT: self.day(now)}
        return condition.judge(row)

    def row(self, given: Mapping[str, Value]) -> Row:
        """The event as rules see it, before features that are formulas; amounts bring the currency they are in."""
        now = given[self.record.time]
        row = {**self._blank, **given, NOW: now, DAY_OF_EVENT: self.day(now)}
        for name, by in self._currencies:
            row[by] = row[name].currency if row[name].__class__ is Money else MISSING
        return row

    @cached_property
    def _blank(self) -> Row:
        return dict.fromkeys([*(field.name for field in self.record.fields), *input_types(self.rules)], MISSING)

    @cached_property
    def _currencies(self) -> list[tuple[str, str]]:
        return [(name, type_.by) for name, type_ in self.columns.items() if type_.by is not None]

    # --- values ------------------------------------------------------------------------------------------------------

    @cached_property
    def pools(self) -> dict[str, list[Value]]:
        """Values worth trying, by column; plain ones first."""
        found: dict[str, dict[Value, None]] = {name: dict.fromkeys(self._plain(name)) for name in self.columns}
        for expr in self.conditions:
            for atom in _atoms(expr):
                for name in self.leaves(atom):
                    found[name] |= dict.fromkeys(self._around(atom, name))
        for day in self._days():
            found[self.record.time] |= dict.fromkeys(self._moments(day))
        return {name: [value for value in values if self._may_be(name, value)] for name, values in found.items()}

    def _days(self) -> list[int]:
        """Days on which something begins or ends: rules, dated values, entries of lists."""
        spans = [rule.effective for rule in self.rules.rules]
        for expr in self.conditions:
            for node in ir.walk(expr):
                if isinstance(node, ir.Dated):
                    spans += node.spans
                elif isinstance(node, ir.Listed):
                    spans += [span for entry in nsmallest(_MOST_MEMBERS, node.entries, key=repr) for span in node.entries[entry]]
        return sorted({day for span in spans for day in span if day is not None})[-_MOST_DAYS:]

    def _plain(self, name: str) -> Iterator[Value]:
        type_ = self.columns[name]
        if name == self.record.time or type_.kind in ("date", "datetime"):
            day, unit = self.day(self.start), DAY if type_.kind == "datetime" else 1
            first = self.start if name == self.record.time else day * unit
            yield from (first, first + unit, first - 200 * unit, first + 5 * unit + (23 * HOUR if unit == DAY else 0))
        elif type_.kind == "list":
            yield ("other",) if (type_.item or TEXT).kind == "text" else ()
        elif type_.choices is not None:
            yield from type_.choices
        elif type_.by is not None:
            yield from (Money(units, "USD") for units in _PLAIN["money"])
        else:
            yield from _PLAIN[type_.kind]

    def _around(self, atom: ir.Expr, name: str) -> Iterator[Value]:
        """The constants of a comparison as values of a column, and their neighbours."""
        type_ = self.columns[name]
        item = type_.item if type_.kind == "list" else type_
        for node in ir.walk(atom):
            values = [] if item is None else _named(node, item)
            for value in values:
                near = value if item is None or item.kind == "text" else None
                yield from [(near,) if type_.kind == "list" else near] if near is not None else neighbours(value, item or TEXT)
        if type_.kind in STEP and type_.by is None and self.leaves(atom) == [name] and not self.made(atom):
            for value in self.edge(atom, name, {name: self.pools_start(name)}):
                yield from neighbours(value, type_)

    def pools_start(self, name: str) -> Value:
        return self.start if name == self.record.time else MISSING

    def edge(self, atom: ir.Expr, name: str, given: Mapping[str, Value]) -> list[Value]:
        """The two neighbouring values of a column between which a condition turns over, all else as given; none where it does not."""
        type_ = self.columns[name]
        if type_.kind not in STEP or type_.by is not None:
            return []
        step = STEP[type_.kind]
        event = {self.record.time: self.start, **given}

        def truth(count: int) -> Value:
            event[name] = count * step
            return self.judge(atom, event)

        low, high = (0 if self._signless(name) else -(_FURTHEST[type_.kind] // step)), _FURTHEST[type_.kind] // step
        below, above = truth(low), truth(high)
        if below.__class__ is not bool or above.__class__ is not bool or below == above:
            return []
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if truth(middle) is below else (low, middle)
        return [low * step, high * step]

    def _signless(self, name: str) -> bool:
        declared = next((field for field in self.record.fields if field.name == name), None)
        return declared is not None and declared.not_negative

    def _may_be(self, name: str, value: Value) -> bool:
        type_ = self.columns[name]
        if type_.choices is not None and value not in type_.choices:
            return False
        if type_.kind in ("text", "list") and '"' in repr(value):
            return False  # no test could say it
        units = value.units if value.__class__ is Money else value
        return value != () and not (type_.kind in ("money", "integer", "number", "duration") and self._signless(name) and units < 0)

    def _moments(self, day: int) -> Iterator[Value]:
        unit = DAY if self.columns[self.record.time].kind == "datetime" else 1
        yield from ((day + shift) * unit for shift in (-1, 0, 1))

    def value(self, name: str, random: Random) -> Value:
        """A value of a column at random: mostly one worth trying, sometimes any, sometimes missing."""
        lot = random.random()
        if lot < 0.15 and name != self.record.time:
            return MISSING
        type_ = self.columns[name]
        if lot < 0.3 and type_.by is None and type_.kind in ("integer", "money", "number"):
            size = random.randrange(10 ** random.randrange(1, 10))
            return float(size) / 100 if type_.kind == "number" else size
        pool = self.pools[name]
        return random.choice(pool) if pool else MISSING


def _named(node: ir.Expr, type_: Type) -> list[Value]:
    """The values of a type that one node of a comparison names: a constant, members of a list, the words of a pattern."""
    if isinstance(node, ir.Const) and known(node.value) and node.type.kind == type_.kind:
        return [_settled(node.value, node.type.scale)]
    if isinstance(node, ir.In | ir.Listed) and node.item.type.kind == type_.kind:
        return nsmallest(_MOST_MEMBERS, node.values if isinstance(node, ir.In) else node.entries, key=repr)
    if isinstance(node, ir.Resembles) and type_.kind == "text":
        return [entry.name for entry in node.names.entries[:_MOST_MEMBERS]]
    if isinstance(node, ir.Call) and node.function == "matches" and isinstance(node.args[1], ir.Const) and type_.kind == "text":
        return list(dict.fromkeys(_WORD.findall(str(node.args[1].value))))[:_MOST_MEMBERS]
    return []


def _atoms(expr: ir.Expr) -> Iterator[ir.Expr]:
    """The parts of a condition that are no combination of others."""
    if isinstance(expr, ir.And | ir.Or | ir.Not):
        for child in ir.children(expr):
            yield from _atoms(child)
    else:
        yield expr


def _settled(value: Value, scale: int) -> Value:
    if value.__class__ is Money:
        return Money(round_half_even(value.units, scale), value.currency)
    return value if scale == 1 else round_half_even(value, scale)


def neighbours(value: Value, type_: Type) -> list[Value]:
    """The value and those next to it, as far as a test can write them down."""
    if value.__class__ is Money:
        return [Money(units, value.currency) for units in (value.units - 1, value.units, value.units + 1)]
    if type_.by is not None:
        return []
    if type_.kind in STEP:
        step = STEP[type_.kind]
        whole = value - value % step
        return [whole - step, whole, whole + step]
    if type_.kind == "number":
        return [math.nextafter(value, -math.inf), value, math.nextafter(value, math.inf)]
    return [value, not value] if type_ == FLAG else [value]
