"""Running sums of one window's rows: what comes in is added, what falls out is taken away, in any order. They know no keys."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.features import aggregate
from engine.features.aggregate import EMPTY, Doubts
from engine.values import Missing, Money, Type, Value, missing, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.features.spec import Measure

OUT, SURE, SURE_LACKING, MAYBE, MAYBE_LACKING, RAW = range(6)
"""What a row is to a slot: not in; in, its value known or not; perhaps in, its value known or not; not to be judged before one looks."""

_FLOAT_SHIFT: Final = 1074
"""Every float64 is a whole number of ``2**-1074``: sums of them are sums of integers, exact in any order."""


def units_of(value: float) -> int:
    """A float64 as so many ``2**-1074``."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_FLOAT_SHIFT + 1 - denominator.bit_length())


def float_of(units: int) -> Value:
    """So many ``2**-1074`` as a float64.

    >>> float_of(units_of(0.1) + units_of(0.2)), float_of(2 * units_of(1e308))
    (0.30000000000000004, missing (overflow))
    """
    try:
        return units / (1 << _FLOAT_SHIFT)
    except OverflowError:
        return missing("overflow")


def settled(value: Value, type_: Type) -> Value:
    """A value of history as it leaves: money in whole minor units."""
    return value if type_.scale == 1 else settle(value, type_.scale)


@dataclass(slots=True)
class Asking:
    """How a tally is read: the currency of an empty sum, whether rows may be in that nobody has seen, what is named where something is not
    known, and for windows of so many events how many it holds at most and surely."""

    currency: Value
    short: bool
    cause: Missing
    most: int | None = None
    least: int = 0


class Tally(ABC):
    """The running sums of one window. `in_doubt` counts rows that may be in, `lacking` those whose value is not known."""

    __slots__ = ("in_doubt", "lacking", "type")

    def __init__(self, measure: Measure) -> None:
        self.type = measure.of
        self.in_doubt = self.lacking = 0

    @abstractmethod
    def add(self, state: int, value: Any) -> None: ...

    @abstractmethod
    def drop(self, state: int, value: Any) -> None: ...

    @abstractmethod
    def read(self, asking: Asking) -> Value:
        """What the aggregate says of the rows added and not dropped."""

    def doubts(self, asking: Asking) -> Doubts:
        return Doubts(self.in_doubt > 0, self.lacking > 0, asking.short, asking.cause)

    def _note(self, state: int, step: int) -> None:
        if state != SURE:
            self.in_doubt += step * (state >= MAYBE)
            self.lacking += step * (state != MAYBE)


class _Count(Tally):
    __slots__ = ("rows",)

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.rows = 0

    def add(self, state: int, value: Any) -> None:
        if state <= SURE_LACKING:
            self.rows += 1
        else:
            self.in_doubt += 1

    def drop(self, state: int, value: Any) -> None:
        if state <= SURE_LACKING:
            self.rows -= 1
        else:
            self.in_doubt -= 1

    def read(self, asking: Asking) -> Value:
        if not (asking.short or self.in_doubt):
            return self.rows
        sure = self.rows if asking.most is None else asking.least
        return aggregate.count(sure, self.rows + self.in_doubt - sure, asking.short, asking.cause, asking.most)


class _Distinct(Tally):
    __slots__ = ("maybe", "sure")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.sure: dict[Any, int] = {}
        self.maybe: dict[Any, int] = {}

    def add(self, state: int, value: Any) -> None:
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

    def read(self, asking: Asking) -> Value:
        if not (asking.short or self.lacking or self.maybe):
            return len(self.sure)
        maybe = len(self.maybe.keys() - self.sure.keys()) + self.lacking
        return aggregate.count(len(self.sure), maybe, asking.short, asking.cause, asking.most)


class _MostRepeated(Tally):
    """How often each value occurs, how many values occur so often, and the highest of those numbers."""

    __slots__ = ("often", "times", "top")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.often: Counter[Any] = Counter()
        self.times: Counter[int] = Counter()
        self.top = 0

    def add(self, state: int, value: Any) -> None:
        self._note(state, 1)
        if state == SURE:
            number = self.often[value] = self.often[value] + 1
            self.times[number] += 1
            self.times[number - 1] -= 1
            self.top = max(self.top, number)

    def drop(self, state: int, value: Any) -> None:
        self._note(state, -1)
        if state == SURE:
            number = self.often[value]
            self.times[number] -= 1
            self.times[number - 1] += 1
            if number == 1:
                del self.often[value]
            else:
                self.often[value] = number - 1
            if not self.times[self.top]:
                self.top -= 1

    def read(self, asking: Asking) -> Value:
        return asking.cause if self.doubts(asking) else self.top or EMPTY


# --- sums ------------------------------------------------------------------------------------------------------------


class _Sum(Tally):
    __slots__ = ("bounded", "maybe", "number", "sure")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.bounded, self.number = measure.aggregate.bounded, self.type.kind == "number"
        self.sure = self.maybe = 0

    def add(self, state: int, value: Any) -> None:
        self._note(state, 1)
        if value is not None:
            self._step(state, units_of(value) if self.number else value)

    def drop(self, state: int, value: Any) -> None:
        self._note(state, -1)
        if value is not None:
            self._step(state, -units_of(value) if self.number else -value)

    def _step(self, state: int, units: int) -> None:
        if state == SURE:
            self.sure += units
        else:
            self.maybe += units

    def _total(self, units: int) -> Value:
        return float_of(units) if self.number else aggregate.total(units, self.type)

    def read(self, asking: Asking) -> Value:
        low = self._total(self.sure)
        if not (asking.short or self.in_doubt or self.lacking):
            return low
        return aggregate.summed(low, self._total(self.sure + self.maybe), self.doubts(asking), self.bounded)


class _CurrencySum(_Sum):
    """Sums by currency: `units` and `rows` of those that are in, and of those that may be."""

    __slots__ = ("rows", "units")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.units: dict[int, Counter[str]] = {SURE: Counter(), MAYBE: Counter()}
        self.rows: dict[int, Counter[str]] = {SURE: Counter(), MAYBE: Counter()}

    def add(self, state: int, value: Any) -> None:
        self._note(state, 1)
        if state in self.units:
            self.units[state][value.currency] += value.units
            self.rows[state][value.currency] += 1

    def drop(self, state: int, value: Any) -> None:
        self._note(state, -1)
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

    def read(self, asking: Asking) -> Value:
        low = aggregate.total(aggregate.currency_total(self._sums((SURE,)), asking.currency), self.type)
        high = aggregate.total(aggregate.currency_total(self._sums((SURE, MAYBE)), asking.currency), self.type)
        return aggregate.summed(low, high, self.doubts(asking), self.bounded)


class _Exact(Tally):
    """What says nothing while anything is in doubt: sums of the rows that are in, whose value is known, and their currencies."""

    __slots__ = ("currencies", "number", "rows", "unit")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.rows = 0
        self.number = self.type.kind == "number"
        self.unit = 1 << _FLOAT_SHIFT if self.number else 1
        self.currencies: Counter[str] | None = Counter() if self.type.by is not None else None

    def add(self, state: int, value: Any) -> None:
        self._note(state, 1)
        if state == SURE:
            self._step(value, 1)

    def drop(self, state: int, value: Any) -> None:
        self._note(state, -1)
        if state == SURE:
            self._step(value, -1)

    @abstractmethod
    def _step(self, value: Any, sign: int) -> None: ...

    def _units(self, value: Any, sign: int) -> int:
        """The value without its currency; the row and the currency are counted."""
        self.rows += sign
        if self.currencies is None:
            return units_of(value) if self.number else int(value)
        self.currencies[value.currency] += sign
        return int(value.units)

    def _currency(self) -> str | Missing | None:
        there = [currency for currency, rows in (self.currencies or {}).items() if rows]
        return missing("currency") if len(there) > 1 else there[0] if there else None


class _Mean(_Exact):
    __slots__ = ("sum",)

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.sum = 0

    def _step(self, value: Any, sign: int) -> None:
        self.sum += sign * self._units(value, sign)

    def read(self, asking: Asking) -> Value:
        if self.doubts(asking):
            return asking.cause
        currency = self._currency()
        if not self.rows or isinstance(currency, Missing):
            return currency if isinstance(currency, Missing) else EMPTY
        return aggregate.mean(self.sum, self.rows * self.unit, self.type, currency)


class _Deviation(_Mean):
    __slots__ = ("squares",)

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.squares = 0

    def _step(self, value: Any, sign: int) -> None:
        units = self._units(value, sign)
        self.sum += sign * units
        self.squares += sign * units * units

    def read(self, asking: Asking) -> Value:
        if self.doubts(asking):
            return asking.cause
        currency, rows = self._currency(), self.rows
        if rows < 2 or isinstance(currency, Missing):
            return EMPTY if rows < 2 else currency
        spread = rows * self.squares - self.sum * self.sum
        return aggregate.deviation(spread, rows * (rows - 1) * self.unit**2, self.type, currency)


class _Share(_Exact):
    __slots__ = ("part", "whole")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.part = self.whole = 0

    def _step(self, value: Any, sign: int) -> None:
        worth, is_part = value
        units = sign * self._units(worth, sign)
        self.whole += units
        self.part += units if is_part else 0

    def read(self, asking: Asking) -> Value:
        if self.doubts(asking):
            return asking.cause
        currency = self._currency()
        return currency if isinstance(currency, Missing) else aggregate.share(self.part, self.whole, self.rows)


# --- the largest and the smallest ------------------------------------------------------------------------------------


_FEW: Final = 16


class _Last(str):
    """A text that comes before those it is greater than: what a heap needs to have the greatest on top."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def _ascending(value: Any) -> Any:
    return value.units if isinstance(value, Money) else value


def _descending(value: Any) -> Any:
    if isinstance(value, str):
        return _Last(value)
    return -value.units if isinstance(value, Money) else -value


class _Held:
    """Values that come and go in any order, the best of them on top: how often each is there, and a heap of them, from which those that are
    there no more are thrown away when they come to the top, or are more than half."""

    __slots__ = ("dead", "heap", "often", "rank")

    def __init__(self, rank: Callable[[Any], Any]) -> None:
        self.rank = rank
        self.often: dict[Any, int] = {}
        self.heap: list[tuple[Any, Any]] = []
        self.dead = 0

    def add(self, value: Any) -> None:
        often = self.often.get(value)
        if often is None:
            heapq.heappush(self.heap, (self.rank(value), value))
        elif not often:
            self.dead -= 1
        self.often[value] = (often or 0) + 1

    def drop(self, value: Any) -> None:
        often = self.often[value] = self.often[value] - 1
        if not often:
            self.dead += 1
            if self.dead > _FEW and 2 * self.dead > len(self.heap):
                self.often = {value: often for value, often in self.often.items() if often}
                self.heap = sorted((self.rank(value), value) for value in self.often)
                self.dead = 0

    def best(self) -> Any:
        """None where there is no value."""
        while self.heap and not self.often[self.heap[0][1]]:
            del self.often[heapq.heappop(self.heap)[1]]
            self.dead -= 1
        return self.heap[0][1] if self.heap else None


class _Max(Tally):
    """`currencies` counts rows."""

    __slots__ = ("by", "currencies", "held")

    def __init__(self, measure: Measure) -> None:
        super().__init__(measure)
        self.by = self.type.by is not None
        self.held: dict[int, _Held] = {SURE: _Held(self.rank), MAYBE: _Held(self.rank)}
        self.currencies: dict[int, Counter[str]] = {SURE: Counter(), MAYBE: Counter()}

    rank = staticmethod(_descending)

    def add(self, state: int, value: Any) -> None:
        if state in self.held:
            self.held[state].add(value)
        self._count(state, value, 1)

    def drop(self, state: int, value: Any) -> None:
        if state in self.held:
            self.held[state].drop(value)
        self._count(state, value, -1)

    def _count(self, state: int, value: Any, step: int) -> None:
        self._note(state, step)
        if self.by and value is not None:
            self.currencies[state][value.currency] += step

    def _value(self, best: Any, states: tuple[int, ...]) -> Value:
        if best is None:
            return EMPTY
        if self.by and len({c for state in states for c, rows in self.currencies[state].items() if rows}) > 1:
            return missing("currency")
        return settled(best, self.type)

    def read(self, asking: Asking) -> Value:
        sure = self.held[SURE].best()
        inner = self._value(sure, (SURE,))
        if not (asking.short or self.in_doubt or self.lacking):
            return inner
        there = [value for value in (sure, self.held[MAYBE].best()) if value is not None]
        outer = self._value(min(there, key=self.rank, default=None), (SURE, MAYBE))
        return self._bounds(inner, outer, self.doubts(asking))

    def _bounds(self, inner: Value, outer: Value, doubts: Doubts) -> Value:
        return aggregate.largest(inner, outer, doubts)


class _Min(_Max):
    __slots__ = ()

    rank = staticmethod(_ascending)

    def _bounds(self, inner: Value, outer: Value, doubts: Doubts) -> Value:
        return aggregate.smallest(outer, inner, doubts)


_TALLIES: Final[dict[str, type[Tally]]] = {
    "count": _Count,
    "distinct": _Distinct,
    "most repeated": _MostRepeated,
    "sum": _Sum,
    "mean": _Mean,
    "stddev": _Deviation,
    "share": _Share,
    "max": _Max,
    "min": _Min,
}


def tally(measure: Measure) -> Tally:
    """An empty one for this measure, which asks for no order of rows."""
    if measure.aggregate.function == "sum" and measure.of.by is not None:
        return _CurrencySum(measure)
    return _TALLIES[measure.aggregate.function](measure)


def summable(measure: Measure) -> bool:
    """Whether the measure asks for no order of rows."""
    return measure.aggregate.function in _TALLIES
