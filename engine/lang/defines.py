"""The defines of one file as they become known: what each stands for, how much that is, and what can be said of it beforehand.

A define may be read many times over by other defines, so nothing here walks what it stands for more than once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from engine.lang import dated, ir, judge
from engine.values import DATETIME

MOST_PARTS, DEEPEST = 5_000, 150
"""How much an expression may be once every define in it is put in; far beyond what anyone can read."""
_MOST_CUTS = 50
"""Of how many stretches of days is looked at whether a condition may hold."""

_DAY = ir.day_of_event().name

NOW = "now"
_UNDATED = ir.Const(0, type=DATETIME)


class Defines(Mapping[str, ir.Expr]):
    """Name -> expression, in an order in which each comes after those it reads."""

    def __init__(self) -> None:
        self.statements: dict[str, ir.Define] = {}
        self.verdicts: dict[str, bool | None] = {}
        self._weights: dict[str, tuple[int, int]] = {}
        self._leaves: dict[str, frozenset[str]] = {}
        self._expanded: dict[str, ir.Expr] = {}
        self._now: dict[str, bool] = {}
        self._cuts: dict[str, frozenset[int]] = {}
        self._days: dict[int, _OnDay] = {}

    def __getitem__(self, name: str) -> ir.Expr:
        return self.statements[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self.statements)

    def __len__(self) -> int:
        return len(self.statements)

    def add(self, define: ir.Define) -> None:
        """The next define; those it reads are there already."""
        self.statements[define.name] = define
        self._weights[define.name] = self._weight(define.value)
        self._cuts[define.name] = self._changes(define.value)
        self.verdicts[define.name] = self.verdict(define.value) if define.value.type.kind == "flag" else None

    def verdict(self, expr: ir.Expr) -> bool | None:
        """False where a condition can never be true, whatever the day, true where it always is, else none."""
        cuts = self._changes(expr)
        if not cuts:
            return judge.verdict(expr, self, self.verdicts)
        if len(cuts) > _MOST_CUTS:
            return None
        found = {self.on(day).verdict(expr) for day in map(dated.a_day, dated.stretches(cuts))}
        return found.pop() if len(found) == 1 else None

    def _changes(self, expr: ir.Expr) -> frozenset[int]:
        """The days on which the expression, or a define it reads, becomes another."""
        return frozenset(dated.cuts([expr])).union(*(self._cuts[name] for name in ir.reads(expr) if name in self._cuts))

    def on(self, day: int) -> _OnDay:
        """The defines as they are on one day."""
        return self._days.setdefault(day, _OnDay(self, day))

    def _weight(self, expr: ir.Expr) -> tuple[int, int]:
        """Nodes and depth with every define put in; both stop counting where it is too much anyway."""
        if isinstance(expr, ir.Read) and expr.name in self._weights:
            return self._weights[expr.name]
        inside = [self._weight(child) for child in ir.children(expr)]
        size, depth = 1 + sum(size for size, _ in inside), 1 + max((depth for _, depth in inside), default=0)
        return min(size, MOST_PARTS + 1), min(depth, DEEPEST + 1)

    def too_much(self, expr: ir.Expr) -> bool:
        """Whether the expression is too large with its defines put in."""
        size, depth = self._weight(expr)
        return size > MOST_PARTS or depth > DEEPEST

    def leaves(self, name: str) -> frozenset[str]:
        """The columns that are no defines and that a define reads in the end."""
        if name not in self._leaves:
            self._leaves[name] = frozenset(read for read in judge.closure({name}, self.get) if read not in self.statements)
        return self._leaves[name]

    def asks_now(self, name: str) -> bool:
        """Whether a define reads the event's time by its name. Where a table is looked up the time is that of whoever looks."""
        if name not in self._now:
            here = ir.transform(self[name], lambda node: replace(node, at=_UNDATED) if isinstance(node, ir.Lookup | ir.Convert) else node)
            reads = ir.reads(here)
            self._now[name] = NOW in reads or any(self.asks_now(read) for read in reads if read in self.statements)
        return self._now[name]

    def expanded(self, name: str) -> ir.Expr:
        """What a define stands for, with the defines it reads put in. Ask `too_much` first."""
        if name not in self._expanded:
            needed = judge.closure({name}, self.get)
            for each in (statement for statement in needed if statement in self.statements):
                if each != name and each not in self._expanded:
                    self.expanded(each)
            self._expanded[name] = ir.transform(self[name], self._put_in)
        return self._expanded[name]

    def _put_in(self, node: ir.Expr) -> ir.Expr:
        return self._expanded.get(node.name, node) if isinstance(node, ir.Read) else node


class _OnDay(Mapping[str, ir.Expr]):
    """The defines on one day, and what can be said of conditions then."""

    def __init__(self, defines: Defines, day: int) -> None:
        self._defines, self._day = defines, day
        self._verdicts: dict[str, bool | None] = {}

    def verdict(self, expr: ir.Expr) -> bool | None:
        """As `Defines.verdict`, on this day."""
        for name in ir.reads(expr):
            if name in self._defines and name not in self._verdicts:
                value = self._defines[name]
                self._verdicts[name] = self.verdict(value) if value.type.kind == "flag" else None
        return judge.verdict(dated.on(expr, self._day), self, self._verdicts)

    def __getitem__(self, name: str) -> ir.Expr:
        return dated.on(self._defines[name], self._day)

    def __iter__(self) -> Iterator[str]:
        return iter(self._defines)

    def __len__(self) -> int:
        return len(self._defines)


class Inlined(Mapping[str, ir.Expr]):
    """The defines that read nothing but `may`, each with the defines it reads put in."""

    def __init__(self, defines: Defines, may: Mapping[str, object]) -> None:
        self._defines, self._may = defines, may

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or name not in self._defines or self._defines.too_much(self._defines[name]):
            return False
        return all(leaf in self._may or leaf == _DAY or self._is_when(leaf, name) for leaf in self._defines.leaves(name))

    def _is_when(self, leaf: str, name: str) -> bool:
        """Whether it is only the time at which a table or a rate is looked up."""
        return leaf == NOW and not self._defines.asks_now(name)

    def __getitem__(self, name: str) -> ir.Expr:
        return self._defines.expanded(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._defines if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
