"""Windows as spans of time: where each begins and ends for an event, on the calendar of the record's zone. It knows no rows.

Times are days where the record's time is a date, else UTC microseconds. A span is ``after < time <= upto``.
"""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from engine import zones
from engine.values import DAY, Missing, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.lang import ir

FOREVER: Final = -(2**63)
"""A window that starts here reaches before everything."""

BY_TIME: Final = frozenset({"trailing", "before", "lagged", "calendar", "full", "business", "since"})
"""Windows that times alone settle; the others look at rows."""

_EPOCH_DAY: Final = dt.date(1970, 1, 1).toordinal()
_PERIOD_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
_PERIOD_DAYS: Final = {"day": 1, "week": 7}
_SLACK_DAYS: Final = 3
"""How far the start of a window on the calendar may step back from one event to a later one: clamped months, changes of the clock."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The calendar of one record: its zone, and whether its time counts days (`dates`)."""

    zone: str
    dates: bool

    def day(self, time: int) -> int | None:
        """The local day of a moment; none outside the calendar's years."""
        return time if self.dates else zones.local_day(time, self.zone)

    def begin(self, day: int, after: int = 0) -> int:
        """The first moment of a local day, or so many microseconds of the clock later; `FOREVER` before the calendar begins."""
        return day if self.dates else _moment(self.zone, day, after)

    def back(self, time: int, length: int, unit: str) -> int:
        """The moment so long before; months go back on the calendar to the same time of day, or the last day of a shorter month."""
        if unit != "months":
            return max(FOREVER, time - length)
        return _months_before_day(time, length) if self.dates else _months_before(time, length, self.zone)


@lru_cache(maxsize=8192)
def _moment(zone: str, day: int, after: int) -> int:
    try:
        local = dt.datetime.combine(_date(day), dt.time()) + dt.timedelta(microseconds=after)
        return _utc(local, zone)
    except (OverflowError, ValueError):
        return FOREVER


def _date(day: int) -> dt.date:
    return dt.date.fromordinal(day + _EPOCH_DAY)


def _utc(local: dt.datetime, zone: str) -> int:
    # a local time that occurs twice is the earlier; one that never occurs counts with the offset before the gap
    moment = local.replace(tzinfo=zones.zone(zone), fold=0).astimezone(dt.UTC)
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _months_before_day(day: int, months: int) -> int:
    try:
        return _back(_date(day), months).toordinal() - _EPOCH_DAY
    except (OverflowError, ValueError):
        return FOREVER


def _months_before(time: int, months: int, zone: str) -> int:
    local = zones.local(time, zone)
    if local is None:
        return FOREVER
    try:
        return _utc(dt.datetime.combine(_back(local.date(), months), local.time()), zone)
    except (OverflowError, ValueError):
        return FOREVER


def _back(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        raise ValueError
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


# --- periods of the calendar -----------------------------------------------------------------------------------------


def first_day(day: int, period: str) -> int:
    """The first day of the period a day lies in; weeks begin on Monday.

    >>> first_day(20, "week"), first_day(20, "month"), first_day(45, "quarter")
    (18, 0, 0)
    """
    if period == "day":
        return day
    if period == "week":
        return day - (day + 3) % 7
    date = _date(day)
    months = _PERIOD_MONTHS[period]
    return date.replace(month=(date.month - 1) // months * months + 1, day=1).toordinal() - _EPOCH_DAY


def shifted(first: int, period: str, number: int) -> int:
    """The first day of the period so many periods before the one that begins on day `first`; `FOREVER` before the calendar begins."""
    if period in _PERIOD_DAYS:
        return first - number * _PERIOD_DAYS[period]
    return _months_before_day(first, number * _PERIOD_MONTHS[period])


def periods(clock: Clock, period: str, after: int, upto: int, now: int) -> list[tuple[int, int]]:
    """The spans of all periods that lie in the span ``after .. upto``, in order: whole ones, and the one of `now` as far as it has come.

    >>> periods(Clock("UTC", True), "week", 3, 20, 20)
    [(3, 10), (10, 17), (17, 20)]
    """
    found: list[tuple[int, int]] = []
    day = clock.day(now)
    if day is None or after >= upto:
        return found
    first, end = first_day(day, period), now
    while first > FOREVER:
        begin = clock.begin(first)
        if begin == FOREVER or begin <= after:
            break
        if end <= upto:
            found.append((begin - 1, end))
        end = begin - 1
        first = shifted(first, period, 1)
    return found[::-1]


# --- windows ---------------------------------------------------------------------------------------------------------

Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one window reaches. `field` is the kind of the window's field, where it has one: date or datetime.

    >>> from engine.lang.ir import Window
    >>> Reach(Window("full", 2, period="week"), Clock("UTC", True)).bounds(20)
    (3, 17)
    """

    window: ir.Window
    clock: Clock
    field: str = ""
    by_time: bool = dataclass_field(init=False)
    length: int | None = dataclass_field(init=False)
    """How long the window is, where it is always as long and ends with the event."""

    def __post_init__(self) -> None:
        window = self.window
        object.__setattr__(self, "by_time", window.kind in BY_TIME)
        fixed = window.kind in ("trailing", "before") and window.unit != "months"
        object.__setattr__(self, "length", window.length if fixed else None)

    def bounds(self, time: int, given: Value = None) -> Bounds | Missing:
        """The span of the window of an event at `time`; `given` is its value of the window's field. Missing where that is.

        A window that looks at rows may hold any up to the event.
        """
        if self.length is not None:
            return time - self.length, time
        if self.window.kind == "since":
            return given if isinstance(given, Missing) else (max(FOREVER, self._first_moment(given) - 1), time)
        return _BOUNDS[self.window.kind](self.window, self.clock, time)

    def start(self, time: int) -> int:
        """The moment after which the window of an event begins; not for one that begins at a field."""
        return _BOUNDS[self.window.kind](self.window, self.clock, time)[0]

    def _first_moment(self, given: int) -> int:
        if self.field == "date":
            return self.clock.begin(given)
        day = zones.local_day(given, self.clock.zone) if self.clock.dates else given
        return FOREVER if day is None else day

    def seen_before(self, time: int) -> int:
        """The last moment that is before the windows of all events at or after `time`."""
        if self.length is not None:
            return time - self.length
        window, clock = self.window, self.clock
        if window.kind == "since" or not self.by_time:
            return FOREVER
        after = self.start(time)
        if window.kind == "lagged" and "months" not in (window.unit, window.lag_unit):
            return after
        return max(FOREVER, after - _SLACK_DAYS * (1 if clock.dates else DAY))


def _trailing(window: ir.Window, clock: Clock, time: int) -> Bounds:
    return clock.back(time, window.length, window.unit), time


def _lagged(window: ir.Window, clock: Clock, time: int) -> Bounds:
    upto = clock.back(time, window.lag, window.lag_unit)
    if window.unit == window.lag_unit:  # in one go, so that windows of months stand end to end
        return clock.back(time, window.lag + window.length, window.unit), upto
    return clock.back(upto, window.length, window.unit) if upto > FOREVER else FOREVER, upto


def _calendar(window: ir.Window, clock: Clock, time: int) -> Bounds:
    day = clock.day(time)
    return (FOREVER if day is None else _before(clock, first_day(day, window.period))), time


def _full(window: ir.Window, clock: Clock, time: int) -> Bounds:
    day = clock.day(time)
    if day is None:
        return FOREVER, FOREVER
    end = first_day(day, window.period)
    return _before(clock, shifted(end, window.period, window.length)), _before(clock, end)


def _before(clock: Clock, day: int) -> int:
    begin = FOREVER if day == FOREVER else clock.begin(day)
    return begin if begin == FOREVER else begin - 1


def _business(window: ir.Window, clock: Clock, time: int) -> Bounds:
    day = clock.day(time)
    if day is None:
        return FOREVER, time
    if time < clock.begin(day, window.closing):
        day -= 1
    # now the day whose closing was the last one; windows begin at the closing of a business day
    while (day + 3) % 7 >= 5 or day in window.holidays:
        day -= 1
    begin = clock.begin(day, window.closing)
    return (begin if begin == FOREVER else begin - 1), time


def _all(_: ir.Window, clock: Clock, time: int) -> Bounds:
    return FOREVER, time


_BOUNDS: Final[dict[str, Callable[[ir.Window, Clock, int], Bounds]]] = {
    "trailing": _trailing,
    "before": _trailing,
    "lagged": _lagged,
    "calendar": _calendar,
    "full": _full,
    "business": _business,
    "events": _all,
    "since event": _all,
}
