"""What holds under a key at a moment: spans of time, each with a number, found by bisection. It knows neither rows nor rates.

A moment is what a record's time is: microseconds, or days where that is a date.
"""

from __future__ import annotations

import datetime as dt
import heapq
from array import array
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Final

from engine import zones
from engine.values import DAY, INT64_MAX, INT64_MIN, date_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

NOTHING: Final = -1
"""The number of what is not there."""

Span = tuple[int, int, int, int]
"""From a moment up to before another, what counts more where several hold, and the number."""


class Steps:
    """For every key the moments at which something else begins to hold, and what does; `NOTHING` before the first.

    >>> steps = Steps({"A": [(0, 5)], "B": [(10, 6), (20, NOTHING)]})
    >>> [steps.find("B", at) for at in (9, 10, 19, 20)], steps.find("A", 99), steps.find("C", 99)
    ([-1, 6, 6, -1], 5, -1)
    """

    __slots__ = ("ends", "keys", "numbers", "starts")

    def __init__(self, changes: Mapping[Hashable, Sequence[tuple[int, int]]]) -> None:
        self.keys: dict[Hashable, int] = dict(zip(changes, range(len(changes)), strict=True))
        together = list(chain.from_iterable(changes.values()))
        self.starts, self.numbers = array("q", [start for start, _ in together]), array("q", [number for _, number in together])
        self.ends = array("q", accumulate(map(len, changes.values()), initial=0))

    def find(self, key: Hashable, at: int) -> int:
        """The number that holds under the key at that moment."""
        place = self.keys.get(key)
        if place is None:
            return NOTHING
        first = self.ends[place]
        found = bisect_right(self.starts, at, first, self.ends[place + 1])
        return self.numbers[found - 1] if found > first else NOTHING


def changes(spans: list[Span]) -> list[tuple[int, int]]:
    """When the number changes that holds among `spans`, the one that counts most where several do.

    >>> changes([(0, 100, 1, 7), (20, 30, 2, 8)])
    [(0, 7), (20, 8), (30, 7), (100, -1)]
    """
    if len(spans) == 1:
        start, end, _, number = spans[0]
        return [] if start >= end else [(start, number), (end, NOTHING)] if end < INT64_MAX else [(start, number)]
    begins = sorted(span for span in spans if span[0] < span[1])
    moments = sorted({moment for start, end, _, _ in begins for moment in (start, end) if moment < INT64_MAX})
    found: list[tuple[int, int]] = []
    holding: list[tuple[int, int, int]] = []
    place = 0
    for moment in moments:
        while place < len(begins) and begins[place][0] <= moment:
            _, end, rank, number = begins[place]
            heapq.heappush(holding, (-rank, number, end))
            place += 1
        while holding and holding[0][2] <= moment:
            heapq.heappop(holding)
        number = holding[0][1] if holding else NOTHING
        if not found or found[-1][1] != number:
            found.append((moment, number))
    return found


@lru_cache(maxsize=100_000)
def start_of(day: int, zone: str) -> int:
    """The first moment of a local day, in microseconds; of a day outside the calendar the end of time on its side.

    >>> start_of(0, "America/New_York") == 5 * 3_600_000_000
    True
    """
    try:
        midnight = dt.datetime.combine(date_of(day), dt.time())
        # where clocks skip midnight the day begins at the first quarter of an hour that exists
        quarters = (zones.utc(midnight + dt.timedelta(minutes=15 * quarter), zone) for quarter in range(100))
        return next((moment for moment in quarters if moment is not None), day * DAY)
    except OverflowError:
        return INT64_MIN if day < 0 else INT64_MAX


def first_day(moment: int, zone: str) -> int:
    """The first local day that begins at or after a moment: from then on a record that knows days only can be sure of it.

    >>> first_day(0, "UTC"), first_day(1, "UTC")
    (0, 1)
    """
    day = zones.local_day(moment, zone)
    if day is None:
        return moment // DAY + 1
    return day if start_of(day, zone) >= moment else day + 1


def moment_of(bound: int, kind: str, at: str, zone: str) -> int:
    """A bound of kind `date` (its day begins) or `datetime`, as a moment of a record whose time is of kind `at`."""
    if kind == at:
        return bound
    return start_of(bound, zone) if at == "datetime" else first_day(bound, zone)
