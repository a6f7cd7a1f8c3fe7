"""The history of a network: all its rows in one lane, each also a hop of a graph, and windows that follow the hops."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from engine.features.network import Asker, Graph, Hop, followed, stands
from engine.features.sliding import Course, Lane, Window
from engine.features.spec import THIS
from engine.features.tallies import RAW, SURE
from engine.values import Missing, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.features.looking import Asked, Cell, Waiting
    from engine.features.spec import History, Measure


class _Hops(Lane):
    """The rows of one slot, and the hop that each of them is."""

    __slots__ = ("graph", "hops", "number")

    def __init__(self) -> None:
        super().__init__()
        self.graph, self.number = Graph(), 0
        self.hops: list[Hop] = []

    def insert(self, place: int, time: int, one: Cell, key: Any) -> None:
        super().insert(place, time, one, key)
        state, value = one
        (source, target, amount), counts = value if state == RAW else (value, True if state == SURE else None)
        hop = Hop(time, self._number(place, time), source, target, counts, amount)
        self.hops.insert(place, hop)
        self.graph.add(hop)

    def _number(self, place: int, time: int) -> Fraction | int:
        """The next number; for a row that is put back between others of its time one between theirs."""
        if place == len(self.hops) or self.hops[place].time > time:
            self.number += 1
            return self.number
        above = self.hops[place].number
        below = self.hops[place - 1].number if place and self.hops[place - 1].time == time else above - 2
        return Fraction(below + above) / 2

    def remove(self, place: int) -> None:
        super().remove(place)
        self.graph.remove(self.hops.pop(place))

    def cut(self, number: int) -> None:
        super().cut(number)
        for hop in self.hops[:number]:
            self.graph.remove(hop)
        del self.hops[:number]


class _Following(Window):
    """One measure that follows the hops of its lane."""

    __slots__ = ("ends",)

    def __init__(self, measure: Measure, lane: Lane, waiting: Waiting | None) -> None:
        super().__init__(measure, lane, waiting)
        self.ends = tuple(f"{THIS}{name}" for name in measure.aggregate.per)

    def value(self, asked: Asked, own: int | None) -> Value:
        seen, lane, network = self.seen(asked, own), self.lane, self.measure.aggregate.network
        if isinstance(seen, Missing):
            return seen
        assert network is not None and isinstance(lane, _Hops)
        judge = None if self.waiting is None else self.waiting.judge(asked.this)
        hop = None if own is None else lane.hops[own]
        counts: bool | None = False
        if hop is not None and seen.own:
            counts = hop.counts if judge is None else judge(hop.counts)
        source, target = (asked.this[end] for end in self.ends)
        begin, end = (seen.span[0] + 1,), (asked.time, inf) if hop is None else hop[:2]
        near = stands(None if hop is None else hop.amount, network.within, judge)
        return followed(self.measure.aggregate.function, lane.graph, Asker(source, target, begin, end, seen.short, counts, near), network)


class _Network(Course):
    """A history whose lanes are graphs."""

    def lanes(self) -> list[Lane]:
        return [_Hops() for _ in self.history.slots]

    def window(self, measure: Measure, lanes: Sequence[Lane]) -> Window:
        return _Following(measure, lanes[measure.slot], self.waiting[measure.slot])


def course(history: History, late: int, corrected: bool = False) -> Course:
    """What the keys of a history have in common."""
    return (_Network if history.network else Course)(history, late, corrected)
