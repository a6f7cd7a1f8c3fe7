"""The history of a network: all its rows in one lane, each also a hop of a graph, and windows that follow the hops."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from engine.backends import single
from engine.features.fused import Fused, any_fused
from engine.features.looking import Rows
from engine.features.network import Asker, Graph, Hop, followed, stands, trails
from engine.features.sliding import Course, Lane, Window
from engine.features.spec import THIS, together
from engine.features.tallies import MAYBE, RAW, SURE
from engine.lang import ir
from engine.values import Missing, Value, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.features.looking import Asked, Cell, Waiting
    from engine.features.network import Place
    from engine.features.sliding import Seen
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

    __slots__ = ("_hops", "ends", "network")

    def __init__(self, measure: Measure, lane: _Hops, network: ir.Network, waiting: Waiting | None) -> None:
        super().__init__(measure, lane, waiting)
        self._hops, self.network = lane, network
        self.ends = tuple(f"{THIS}{name}" for name in measure.aggregate.per)

    def value(self, asked: Asked, own: int | None) -> Value:
        seen = self.seen(asked, own)
        if isinstance(seen, Missing):
            return seen
        hop = None if own is None else self._hops.hops[own]
        judge = None if self.waiting is None else self.waiting.judge(asked.this)
        counts: bool | None = False
        if hop is not None and seen.own:
            counts = hop.counts if judge is None else judge(hop.counts)
        asker = self._asker(asked, seen, (asked.time, inf) if hop is None else hop[:2], counts, None if hop is None else hop.amount)
        return followed(self.measure.aggregate.function, self._hops.graph, asker, self.network)

    def rows(self, asked: Asked, seen: Seen) -> Rows:
        """The hops of what an event would find that says the same as one that looks."""
        covers = seen.span[0] < seen.span[1]
        asker = self._asker(asked, seen, (asked.time, inf), covers, self._amount(asked))
        lane, found = self._hops, trails(self.measure.aggregate.function, self._hops.graph, asker, self.network)
        places = [bisect_left(lane.hops, hop[:2]) for hop in found]
        states = [SURE if asker.stands(hop) else MAYBE for hop in found]
        parts = ([lane.times[place] for place in places], states, [hop.amount for hop in found], [lane.keys[place] for place in places])
        return Rows(*parts, 0, len(found), seen.span, short=seen.short)

    def _amount(self, asked: Asked) -> Value:
        """The amount of the event that looks; none where it is not known."""
        of = self.measure.aggregate.of
        if of is None:
            return None
        amount = single.compile_expr(of)({name: asked.this[f"{THIS}{name}"] for name in ir.reads(of)})
        return amount if known(amount) else None

    def _asker(self, asked: Asked, seen: Seen, end: Place, own: bool | None, amount: Value) -> Asker:
        judge = None if self.waiting is None else self.waiting.judge(asked.this)
        source, target = (asked.this[name] for name in self.ends)
        return Asker(source, target, (seen.span[0] + 1,), end, seen.short, own, stands(amount, self.network.within, judge))


class _Network(Course):
    """A history whose lanes are graphs."""

    def lanes(self) -> list[Lane]:
        return [_Hops() for _ in self.history.slots]

    def window(self, measure: Measure, lanes: Sequence[Lane]) -> Window:
        lane, network = lanes[measure.slot], measure.aggregate.network
        assert isinstance(lane, _Hops) and network is not None
        return _Following(measure, lane, network, self.waiting[measure.slot])


def course(history: History, late: int, corrected: bool = False, one_by_one: bool = False) -> Course:
    """What the keys of a history have in common; where events come one by one, with the generated code for the common windows."""
    if history.network:
        return _Network(history, late, corrected)
    return Course(history, late, corrected, Fused(history, together(history)) if one_by_one and any_fused(history) else None)
