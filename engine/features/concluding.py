"""From the picked rows of a window to what an aggregate says of them: live history's arithmetic, by looking at every row.

It must not share code with the batch's; both end in `aggregate`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from engine.features import aggregate
from engine.features.aggregate import EMPTY, Doubts
from engine.features.judging import Doubt
from engine.features.picking import Picked
from engine.features.windows import FOREVER, periods
from engine.plan import NOW
from engine.values import DAY, Interval, Missing, Money, Type, Value, first, known, missing, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.features.spec import Measure
    from engine.plan import Row


@dataclass(slots=True)
class _Window:
    """The rows of one window: values of rows that are in, values of rows that may be, and how many of each have no known value. It is
    `exact` where none is in doubt and none may be unseen."""

    picked: Picked
    sure: list[Any]
    maybe: list[Any]
    sure_lacks: int
    maybe_lacks: int
    cause: Missing
    exact: bool = False

    @property
    def doubts(self) -> Doubts:
        lacking = self.sure_lacks + self.maybe_lacks > 0
        return Doubts(bool(self.maybe) or self.maybe_lacks > 0, lacking, self.picked.short, self.cause)


def _sort_out(picked: Picked, cause: Missing) -> _Window:
    cells = picked.cells
    doubts = [cell for cell in cells if cell.__class__ is Doubt]
    if not doubts:
        return _Window(picked, cells, [], 0, 0, cause, not picked.short)
    sure = [cell for cell in cells if cell.__class__ is not Doubt]
    sure_lacks = sum(doubt.sure for doubt in doubts)
    maybe = [doubt.value for doubt in doubts if doubt.value is not None]
    return _Window(picked, sure, maybe, sure_lacks, len(doubts) - sure_lacks - len(maybe), cause)


def conclude(measure: Measure, picked: Picked, row: Row) -> Value:
    """The measure's value from the rows picked for it; `row` is the event that asks."""
    needs = measure.aggregate.needs
    if needs is not None and needs[0] == "events" and _surely(picked) < needs[1]:
        return missing("short history")
    if measure.inner is not None:
        return _over_periods(measure, measure.inner, picked, row)
    return _concluded(measure, picked, row, aggregate.lack(picked.short))


def _concluded(measure: Measure, picked: Picked, row: Row, cause: Missing) -> Value:
    window = picked.sorted_out
    if window is None:
        window = picked.sorted_out = _sort_out(picked, cause)
    return _CONCLUDE[measure.aggregate.function](measure, window, row)


def _surely(picked: Picked) -> int:
    return picked.least if picked.most is not None else sum(cell.__class__ is not Doubt or cell.sure for cell in picked.cells)


# --- one aggregate inside another ------------------------------------------------------------------------------------


def _over_periods(measure: Measure, inner: Measure, picked: Picked, row: Row) -> Value:
    """The outer aggregate over the inner values, one a period; a period of which nothing can be said lacks its value."""
    times, cells, causes = [], [], []
    for begin, end in periods(measure.reach.clock, inner.reach.window.period, *picked.span, row[NOW]):
        low, high = bisect_right(picked.times, begin), bisect_right(picked.times, end)
        own = picked.own and high == len(picked.cells)
        short = begin + 1 < picked.since
        rows = Picked(picked.times[low:high], picked.cells[low:high], (begin, end), picked.since, own, short)
        value = _concluded(inner, rows, row, aggregate.lack(rows.short))
        if value is EMPTY:
            continue
        times.append(begin + 1)
        cells.append(value if known(value) else Doubt(inner.aggregate.function in aggregate.NEVER_EMPTY, None))
        if not known(value):
            causes.append(missing(value.cause) if isinstance(value, Interval) else value)
    cause = first(causes) if causes else aggregate.lack(False)
    return _concluded(measure, Picked(times, cells, picked.span, FOREVER), row, cause)


# --- counts and sums -------------------------------------------------------------------------------------------------


def _count(_: Measure, window: _Window, row: Row) -> Value:
    picked = window.picked
    sure = len(window.sure) + window.sure_lacks
    maybe = len(window.maybe) + window.maybe_lacks
    if picked.most is not None:
        sure, maybe = picked.least, sure + maybe - picked.least
    return aggregate.count(sure, maybe, picked.short, window.cause, picked.most)


def _distinct(_: Measure, window: _Window, row: Row) -> Value:
    sure = set(window.sure)
    maybe = len(sure.union(window.maybe)) - len(sure) + window.sure_lacks + window.maybe_lacks
    return aggregate.count(len(sure), maybe, window.picked.short, window.cause, window.picked.most)


def _most_repeated(_: Measure, window: _Window, row: Row) -> Value:
    if window.doubts:
        return window.cause
    return max(Counter(window.sure).values(), default=EMPTY)


def _sum(measure: Measure, window: _Window, row: Row) -> Value:
    type_ = measure.of

    def add(values: list[Any]) -> Value:
        if type_.by is not None:
            return aggregate.total(aggregate.currency_sum(values, row[type_.by]), type_)
        if type_.kind == "number":
            return exact_sum(values)
        return aggregate.total(sum(values), type_)

    low = add(window.sure)
    if window.exact:
        return low
    high = add(window.sure + window.maybe) if window.maybe else low
    return aggregate.summed(low, high, window.doubts, measure.aggregate.bounded)


def exact_sum(values: list[float]) -> Value:
    """The float64 nearest to the true sum, whatever the order; missing where that is out of range.

    >>> exact_sum([1e308, 1e308, -1e308]), exact_sum([0.1] * 10), exact_sum([1e308, 1e308])
    (1e+308, 1.0, missing (overflow))
    """
    try:
        return math.fsum(values) + 0.0
    except OverflowError:
        pass  # fsum also gives up where only a partial sum is out of range
    try:
        return float(sum(map(Fraction, values), Fraction(0)))
    except OverflowError:
        return missing("overflow")


# --- means and shares ------------------------------------------------------------------------------------------------


def _currency(values: list[Any]) -> str | Missing | None:
    """The one currency of values that carry one."""
    if not values or values[0].__class__ is not Money:
        return None
    currency: str = values[0].currency
    return currency if all(value.currency == currency for value in values) else missing("currency")


def _exactly(values: list[Any]) -> tuple[int, int]:
    """The exact sum as a fraction."""
    if values and values[0].__class__ is float:
        return sum(map(Fraction, values), Fraction(0)).as_integer_ratio()
    return sum(value.units if value.__class__ is Money else value for value in values), 1


def _mean(measure: Measure, window: _Window, row: Row) -> Value:
    if window.doubts or not window.sure:
        return window.cause if window.doubts else EMPTY
    currency = _currency(window.sure)
    if isinstance(currency, Missing):
        return currency
    numerator, denominator = _exactly(window.sure)
    return aggregate.mean(numerator, denominator * len(window.sure), measure.of, currency)


def _stddev(measure: Measure, window: _Window, row: Row) -> Value:
    rows = len(window.sure)
    if window.doubts or rows < 2:
        return window.cause if window.doubts else EMPTY
    currency = _currency(window.sure)
    if isinstance(currency, Missing):
        return currency
    values = [Fraction(value) if value.__class__ is float else value.units if currency else value for value in window.sure]
    variance = Fraction(rows * sum(value * value for value in values) - sum(values) ** 2, rows * (rows - 1))
    return aggregate.deviation(variance.numerator, variance.denominator, measure.of, currency)


def _share(measure: Measure, window: _Window, row: Row) -> Value:
    if window.doubts:
        return window.cause
    if measure.aggregate.of is None:
        return aggregate.share(sum(part for _, part in window.sure), len(window.sure), len(window.sure))
    currency = _currency([value for value, _ in window.sure])
    if isinstance(currency, Missing):
        return currency
    whole, of_whole = _exactly([value for value, _ in window.sure])
    part, of_part = _exactly([value for value, is_part in window.sure if is_part])
    return aggregate.share(part * of_whole, whole * of_part, len(window.sure))


# --- the largest and the smallest ------------------------------------------------------------------------------------


def _best(pick: Callable[[list[Any]], Any], values: list[Any], type_: Type) -> Value:
    if not values:
        return EMPTY
    if isinstance(_currency(values), Missing):
        return missing("currency")
    return _settled(pick(values), type_)


def _settled(value: Value, type_: Type) -> Value:
    return value if type_.scale == 1 else settle(value, type_.scale)


def _max(measure: Measure, window: _Window, row: Row) -> Value:
    low = _best(max, window.sure, measure.of)
    if window.exact:
        return low
    high = _best(max, window.sure + window.maybe, measure.of) if window.maybe else low
    return aggregate.largest(low, high, window.doubts)


def _min(measure: Measure, window: _Window, row: Row) -> Value:
    high = _best(min, window.sure, measure.of)
    low = _best(min, window.sure + window.maybe, measure.of) if window.maybe else high
    return aggregate.smallest(low, high, window.doubts)


# --- the first and the last ------------------------------------------------------------------------------------------


def _first(measure: Measure, window: _Window, row: Row) -> Value:
    picked = window.picked
    if picked.short or (picked.cells and picked.cells[0].__class__ is Doubt):
        return window.cause
    return _settled(picked.cells[0], measure.of) if picked.cells else EMPTY


def _newest(window: _Window) -> int | Missing:
    """The place of the last row before this event."""
    picked = window.picked
    place = len(picked.cells) - 1 - picked.own
    if place < 0:
        return window.cause if picked.short else EMPTY
    return place


def _last(measure: Measure, window: _Window, row: Row) -> Value:
    picked, place = window.picked, _newest(window)
    if isinstance(place, Missing):
        return place
    # a row from before history was complete may have been followed by others that nobody saw
    if picked.cells[place].__class__ is Doubt or picked.times[place] < picked.since:
        return window.cause
    return _settled(picked.cells[place], measure.of)


def _time_since_last(measure: Measure, window: _Window, row: Row) -> Value:
    picked, place = window.picked, _newest(window)
    if isinstance(place, Missing):
        return place
    cell = picked.cells[place]
    if (cell.__class__ is Doubt and not cell.sure) or picked.times[place] < picked.since:
        return window.cause
    return (row[NOW] - picked.times[place]) * (DAY if measure.reach.clock.dates else 1)


_CONCLUDE: Final[dict[str, Callable[[Measure, _Window, Row], Value]]] = {
    "count": _count,
    "sum": _sum,
    "distinct": _distinct,
    "max": _max,
    "min": _min,
    "mean": _mean,
    "stddev": _stddev,
    "first": _first,
    "last": _last,
    "time since last": _time_since_last,
    "share": _share,
    "most repeated": _most_repeated,
}
