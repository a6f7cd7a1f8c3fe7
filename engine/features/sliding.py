"""Windows that slide over one key's rows: what came in is added, what fell out is taken away, and nothing is summed twice.

The batch's way of the arithmetic that `live` does by looking at every row of a window; it must not share code with it. It knows no frames.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.features import aggregate
from engine.values import INTEGER, Money, Type, Value, missing, settle

if TYPE_CHECKING:
    from engine.features.spec import Measure

OUT, SURE, SURE_LACKING, MAYBE, MAYBE_LACKING = range(5)
"""What a row is to a slot: not in; in, its value known or not; perhaps in, its value known or not."""

NEVER: Final = 2**63
_FLOAT_SHIFT: Final = 1074
"""Every float64 is a whole number of ``2**-1074``: sums of them are sums of integers, exact in any order."""


def prepared(value: Value, type_: Type | None) -> Any:
    """A known value as the sums below take it: a number as a whole number of ``2**-1074``."""
    if type_ is None or type_.kind != "number":
        return value
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_FLOAT_SHIFT + 1 - denominator.bit_length())


def _float_of(units: int) -> Value:
    try:
        return units / (1 << _FLOAT_SHIFT)
    except OverflowError:
        return missing("overflow")


class Tally(ABC):
    """The running sums of one window. `in_doubt` counts rows that may be in, `lacking` those whose value is not known."""

    __slots__ = ("in_doubt", "lacking", "type")

    def __init__(self, measure: Measure) -> None:
        of = measure.aggregate.of
        self.type = INTEGER if of is None else of.type
        self.in_doubt = self.lacking = 0

    @abstractmethod
    def add(self, state: int, value: Any, time: int) -> None: ...

    @abstractmethod
    def drop(self, state: int, value: Any) -> None: ...

    @abstractmethod
    def read(self, after: int, short: bool, currency: Value) -> Value:
        """The aggregate of the window that begins after `after`; `currency` is that of an empty sum."""


class _Count(Tally):
    __slots__ = ("rows",)

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.rows = 0

    def add(self, state: int, value: Any, time: int) -> None:
        if state <= SURE_LACKING:
            self.rows += 1
        else:
            self.in_doubt += 1

    def drop(self, state: int, value: Any) -> None:
        if state <= SURE_LACKING:
            self.rows -= 1
        else:
            self.in_doubt -= 1

    def read(self, after: int, short: bool, currency: Value) -> Value:
        return aggregate.count(self.rows, self.in_doubt, short) if short or self.in_doubt else self.rows


class _Distinct(Tally):
    __slots__ = ("maybe", "sure")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.sure: dict[Any, int] = {}
        self.maybe: dict[Any, int] = {}

    def add(self, state: int, value: Any, time: int) -> None:
        if state in (SURE, MAYBE):
            held = self.sure if state == SURE else self.maybe
            held[value] = held.get(value, 0) + 1
        else:
            self.lacking += 1

    def drop(self, state: int, value: Any) -> None:
        if state in (SURE, MAYBE):
            held = self.sure if state == SURE else self.maybe
            held[value] -= 1
            if not held[value]:
                del held[value]
        else:
            self.lacking -= 1

    def read(self, after: int, short: bool, currency: Value) -> Value:
        if not (short or self.lacking or self.maybe):
            return len(self.sure)
        return aggregate.count(len(self.sure), len(self.maybe.keys() - self.sure.keys()) + self.lacking, short)


class _Sum(Tally):
    __slots__ = ("bounded", "maybe", "sure")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.bounded = measure.aggregate.bounded
        self.sure = self.maybe = 0

    def add(self, state: int, value: Any, time: int) -> None:
        self._count(state, 1)
        if state == SURE:
            self.sure += value
        elif state == MAYBE:
            self.maybe += value

    def drop(self, state: int, value: Any) -> None:
        self._count(state, -1)
        if state == SURE:
            self.sure -= value
        elif state == MAYBE:
            self.maybe -= value

    def _count(self, state: int, step: int) -> None:
        if state != SURE:
            self.in_doubt += step * (state >= MAYBE)
            self.lacking += step * (state != MAYBE)

    def _total(self, units: int) -> Value:
        return _float_of(units) if self.type.kind == "number" else aggregate.total(units, self.type)

    def read(self, after: int, short: bool, currency: Value) -> Value:
        low = self._total(self.sure)
        if not (short or self.in_doubt or self.lacking):
            return low
        high = self._total(self.sure + self.maybe)
        unsure, lacking = self.in_doubt > 0, self.lacking > 0
        return aggregate.summed(low, high, unsure=unsure, lacking=lacking, short=short, bounded=self.bounded)


class _CurrencySum(_Sum):
    """Sums by currency: `units` and `rows` of those that are in, and of those that may be."""

    __slots__ = ("rows", "units")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.units: dict[int, Counter[str]] = {SURE: Counter(), MAYBE: Counter()}
        self.rows: dict[int, Counter[str]] = {SURE: Counter(), MAYBE: Counter()}

    def add(self, state: int, value: Any, time: int) -> None:
        self._count(state, 1)
        if state in self.units:
            self.units[state][value.currency] += value.units
            self.rows[state][value.currency] += 1

    def drop(self, state: int, value: Any) -> None:
        self._count(state, -1)
        if state in self.units:
            self.units[state][value.currency] -= value.units
            self.rows[state][value.currency] -= 1

    def _sums(self, states: tuple[int, ...]) -> dict[str, int]:
        units: dict[str, int] = {}
        for state in states:
            for currency, rows in self.rows[state].items():
                if rows:
                    units[currency] = units.get(currency, 0) + self.units[state][currency]
        return units

    def read(self, after: int, short: bool, currency: Value) -> Value:
        low = aggregate.total(aggregate.currency_total(self._sums((SURE,)), currency), self.type)
        high = aggregate.total(aggregate.currency_total(self._sums((SURE, MAYBE)), currency), self.type)
        unsure, lacking = self.in_doubt > 0, self.lacking > 0
        return aggregate.summed(low, high, unsure=unsure, lacking=lacking, short=short, bounded=self.bounded)


class _Last(str):
    """A text that comes before those it is greater than: what a heap needs to have the greatest on top."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def _descending(value: Any) -> Any:
    if isinstance(value, str):
        return _Last(value)
    return -value.units if isinstance(value, Money) else -value


class _Max(Tally):
    """Heaps of what came in; what fell out of the window is thrown away when it comes to the top. `currencies` counts rows."""

    __slots__ = ("by", "currencies", "heaps")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.by = self.type.by is not None
        self.heaps: dict[int, list[tuple[Any, int, Any]]] = {SURE: [], MAYBE: []}
        self.currencies: dict[int, Counter[str]] = {SURE: Counter(), MAYBE: Counter()}

    def add(self, state: int, value: Any, time: int) -> None:
        if state in self.heaps:
            heapq.heappush(self.heaps[state], (_descending(value), time, value))
        self._count(state, value, 1)

    def drop(self, state: int, value: Any) -> None:
        self._count(state, value, -1)

    def _count(self, state: int, value: Any, step: int) -> None:
        self.in_doubt += step * (state >= MAYBE)
        self.lacking += step * (state in (SURE_LACKING, MAYBE_LACKING))
        if self.by and value is not None:
            self.currencies[state][value.currency] += step

    def _top(self, state: int, after: int) -> Any:
        heap = self.heaps[state]
        while heap and heap[0][1] <= after:
            heapq.heappop(heap)
        return heap[0][2] if heap else None

    def _value(self, values: list[Any], states: tuple[int, ...]) -> Value:
        there = [value for value in values if value is not None]
        if not there:
            return missing("empty")
        if self.by and len({c for state in states for c, rows in self.currencies[state].items() if rows}) > 1:
            return missing("currency")
        value = max(there)
        if self.type.kind == "number":
            return _float_of(value)
        return value if self.type.scale == 1 else settle(value, self.type.scale)

    def read(self, after: int, short: bool, currency: Value) -> Value:
        sure = self._top(SURE, after)
        low = self._value([sure], (SURE,))
        if not (short or self.in_doubt or self.lacking):
            return low
        high = self._value([sure, self._top(MAYBE, after)], (SURE, MAYBE))
        return aggregate.largest(low, high, unsure=self.in_doubt > 0, lacking=self.lacking > 0, short=short)


_TALLIES: Final[dict[str, type[Tally]]] = {"count": _Count, "distinct": _Distinct, "sum": _Sum, "max": _Max}


def tally(measure: Measure) -> Tally:
    """An empty one for this measure."""
    of, function = measure.aggregate.of, measure.aggregate.function
    if function == "sum" and of is not None and of.type.by is not None:
        return _CurrencySum(measure)
    return _TALLIES[function](measure)


class Lane:
    """The rows that one slot holds under one key: three lists, by time and then arrival."""

    __slots__ = ("states", "times", "values")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.states: list[int] = []
        self.values: list[Any] = []

    def insert(self, place: int, time: int, state: int, value: Any) -> None:
        self.times.insert(place, time)
        self.states.insert(place, state)
        self.values.insert(place, value)

    def forget(self, gone: int) -> None:
        """Drop the rows up to and with the moment `gone`."""
        cut = bisect_right(self.times, gone)
        del self.times[:cut], self.states[:cut], self.values[:cut]


class Asked(NamedTuple):
    """One event that asks: its row, its time, for each slot the currency an empty sum has, and since when history is complete."""

    row: int
    time: int
    currencies: list[Value]
    since: int


class Sliding:
    """One measure's window over a lane. It holds the lane's rows from `first` on, all of which lie after `after`."""

    __slots__ = ("after", "first", "lane", "measure", "start", "tally")

    def __init__(self, measure: Measure, lane: Lane) -> None:
        self.measure, self.lane, self.start = measure, lane, measure.start
        self.tally, self.after, self.first = tally(measure), NEVER, len(lane.times)

    def came(self, place: int, time: int) -> None:
        """The lane has a new row at `place`."""
        if time > self.after:
            self.tally.add(self.lane.states[place], self.lane.values[place], time)
        else:
            self.first += 1

    def newest(self, asked: Asked) -> Value:
        """The value for an event that is not older than any row of the lane."""
        after, lane, held = self.start(asked.time), self.lane, self.tally
        first, times = self.first, lane.times
        while first < len(times) and times[first] <= after:
            held.drop(lane.states[first], lane.values[first])
            first += 1
        # a month's start may step back: the 30th of March asks for less of February than the 29th at a later hour
        while first > 0 and times[first - 1] > after:
            first -= 1
            held.add(lane.states[first], lane.values[first], times[first])
        self.first, self.after = first, after
        return held.read(after, after + 1 < asked.since, asked.currencies[self.measure.slot])

    def older(self, asked: Asked) -> Value:
        """The value for an event behind others: only rows up to its time are summed up, from scratch."""
        after, lane, held = self.start(asked.time), self.lane, tally(self.measure)
        for place in range(bisect_right(lane.times, after), bisect_right(lane.times, asked.time)):
            held.add(lane.states[place], lane.values[place], lane.times[place])
        return held.read(after, after + 1 < asked.since, asked.currencies[self.measure.slot])


Cell = tuple[int, Any]


class Past:
    """What one key's history carries from frame to frame: the newest time, and a lane for each slot."""

    __slots__ = ("lanes", "newest")

    def __init__(self, slots: int) -> None:
        self.newest: int | None = None
        self.lanes = [Lane() for _ in range(slots)]

    def walk(self, measures: tuple[Measure, ...], events: list[Asked], cells: list[list[Cell]], late: int) -> list[list[Value]]:
        """For every event, in order of arrival, the values of all measures; `cells` gives for each slot what a row is to it."""
        windows = [Sliding(measure, self.lanes[measure.slot]) for measure in measures]
        by_slot = [[window for window in windows if window.measure.slot == slot] for slot in range(len(self.lanes))]
        tardy = [missing("late")] * len(measures)
        found: list[list[Value]] = []
        for asked in events:
            time = asked.time
            if self.newest is not None and time < self.newest - late:
                found.append(tardy)
                continue
            in_order = self.newest is None or time >= self.newest
            for slot, lane in enumerate(self.lanes):
                state, value = cells[slot][asked.row]
                if state != OUT:
                    place = len(lane.times) if in_order else bisect_right(lane.times, time)
                    lane.insert(place, time, state, value)
                    for window in by_slot[slot]:
                        window.came(place, time)
            if in_order:
                self.newest = time
                found.append([window.newest(asked) for window in windows])
            else:
                found.append([window.older(asked) for window in windows])
        return found

    def forget(self, late: int, reaches: tuple[int, ...]) -> None:
        """Drop what no later window can see."""
        if self.newest is not None:
            for lane, reach in zip(self.lanes, reaches, strict=True):
                lane.forget(self.newest - late - reach)
