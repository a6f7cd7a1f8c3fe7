"""Where the windows of many events begin and end, as arrays: as `windows` says it of one, worked out once for every local day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import zones
from engine.features.windows import FOREVER, Reach
from engine.values import DAY

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

_NOWHERE = -(2**40)
"""A day outside the calendar."""

_ENDING_BEFORE = frozenset({"lagged", "full"})
BY_ARRAY = frozenset({"trailing", "before", "lagged", "calendar", "full", "business"})
"""The windows that can be told for many events at once."""


def bounds(reach: Reach, times: Array) -> tuple[Array, Array | None]:
    """The moments after which the windows of events at `times` begin, and those with which they end, none where that is the event itself.

    >>> from engine.lang.ir import Window
    >>> from engine.features.windows import Clock
    >>> bounds(Reach(Window("full", 1, period="week"), Clock("UTC", True)), np.array([20, 21, 25]))
    (array([10, 10, 17]), array([17, 17, 24]))
    """
    window = reach.window
    if reach.length is not None:
        return times - reach.length, None
    if window.kind == "lagged" and "months" not in (window.unit, window.lag_unit):
        return times - window.lag - window.length, times - window.lag
    groups, which = _groups(reach, times)
    found = [reach.bounds(int(time)) for time in times[groups]]
    after = np.array([bound[0] for bound in found], np.int64)[which]  # type: ignore[index]
    if window.kind not in _ENDING_BEFORE:
        return after, None
    return after, np.array([bound[1] for bound in found], np.int64)[which]  # type: ignore[index]


def seen_before(reach: Reach, times: Array) -> Array:
    """The last moments that are before the windows of all events at or after `times`."""
    if reach.length is not None:
        return times - reach.length
    first, which = _different(times)
    return np.array([reach.seen_before(int(time)) for time in times[first]], np.int64)[which]


def _groups(reach: Reach, times: Array) -> tuple[Array, Array]:
    """Events that have one window: for each group one of them, and for every event its group."""
    window, clock = reach.window, reach.clock
    facts = times
    if not clock.dates and window.kind in ("calendar", "full", "business"):
        days = local_days(times, clock.zone)
        facts = days
        if window.kind == "business":
            closed = _per(days, lambda day: clock.begin(day, window.closing))
            facts = 2 * days + (times >= closed)
    return _different(facts)


def local_days(times: Array, zone: str) -> Array:
    """The local days of UTC moments: by the offset of their UTC day, one by one on days on which it changes.

    >>> local_days(np.array([0, 12 * 3_600_000_000]), "America/New_York")
    array([-1,  0])
    """
    whole = times // DAY
    offset = _per(whole, lambda day: _steady(day, zone))
    odd = np.flatnonzero(offset == FOREVER)
    offset[odd] = 0
    days = (times + offset) // DAY
    found = (zones.local_day(int(time), zone) for time in times[odd])
    days[odd] = [_NOWHERE if day is None else day for day in found]
    return days


def _steady(day: int, zone: str) -> int:
    ahead = zones.steady(day, zone)
    return FOREVER if ahead is None else ahead


def _per(values: Array, of: Callable[[int], int]) -> Array:
    """A function of each value, worked out once for every different one."""
    first, which = _different(values)
    return np.array([of(int(value)) for value in values[first]], np.int64)[which]


def _different(values: Array) -> tuple[Array, Array]:
    """For each different value where it stands first, and for every value which of these it is."""
    span = int(values.max() - values.min()) if values.size else 0
    if not 0 <= span <= 4 * values.size:
        _, first, which = np.unique(values, return_index=True, return_inverse=True)
        return first, which
    offsets = values - values.min() if values.size else values
    first = np.full(span + 1, -1, np.int64)
    first[offsets[::-1]] = np.arange(values.size - 1, -1, -1)
    there = first >= 0
    return first[there], (np.cumsum(there) - 1)[offsets]
