"""What stands in the windows of a history's rows, as numbers. The keys are taken some at a time, so that all that is at work for these rows
fits into a core's own cache; each number is written in the order of keys, and brought into the order of rows at the end.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import polars as pl

from engine.features import kernels
from engine.features.tallies import SURE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import SimpleNamespace

    from engine.features.columnar_grouped import Grouped
    from engine.features.columnar_lane import Cells
    from engine.features.windows import Reach

T = TypeVar("T")
Array = np.ndarray[Any, Any]

_SHARED_FROM: Final = 100_000
_PIECE: Final = 1 << 15
_NOTHING: Final = np.empty(0, np.int64)
_UNSEEN: Final = np.empty(0, np.int32)
_NUMBERS: Final = frozenset({"rows", "distinct", "repeats"})
"""What is never more than there are rows."""
_HALF: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Stream:
    """A number for every row: what its window of a reach holds of the rows that are in one of these `states` to a slot (none: all rows are
    in); `values` is the slot whose values it takes."""

    what: str
    reach: int
    states: tuple[int, ...]
    slot: int | None
    values: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """All that the windows of a frame depend on; `bounds` are those of each reach, by row, unless it has one length."""

    group: Grouped
    cells: list[Cells]
    reaches: Sequence[Reach]
    bounds: Sequence[tuple[Array, Array | None]]
    loops: SimpleNamespace


def streamed(frame: Frame, streams: Sequence[Stream]) -> list[Array]:
    """Each stream, by row of the frame; nought for rows that look nowhere."""
    group, rows = frame.group, frame.group.times.size
    threads = min(_threads(rows), len(streams))
    # in one piece, memory comes in large pages; what was read of it is written again, so that little of it is needed
    room = np.empty((len(streams) + threads, max(group.nowhere + 1, rows)), np.int64)
    dense = [one.view(np.int32) if stream.what in _NUMBERS else one for stream, one in zip(streams, room, strict=False)]
    cuts = np.unique(np.searchsorted(group.begin, np.arange(0, group.nowhere + _PIECE, _PIECE)).clip(max=group.keys.size))

    def fill(low: int, high: int) -> None:
        piece = _Piece(frame, streams, low, high)
        for stream, out in zip(streams, dense, strict=True):
            piece.fill(stream, out[group.begin[low] : group.begin[high]])

    def fetch(first: int) -> None:
        spare = room[len(streams) + first]
        for which in range(first, len(streams), threads):
            dense[which][group.nowhere] = 0
            frame.loops.fetched(dense[which], group.at, spare[:rows])
            dense[which], spare = spare[:rows], room[which]

    side_by_side([partial(fill, low, high) for low, high in itertools.pairwise(cuts)], rows)
    side_by_side([partial(fetch, first) for first in range(threads)], rows)
    return dense


class _Piece:
    """The rows of some keys, from the key `low` to before `high`."""

    def __init__(self, frame: Frame, streams: Sequence[Stream], low: int, high: int) -> None:
        self.frame, self.streams, self.loops, group = frame, streams, frame.loops, frame.group
        first, end = group.begin[low], group.begin[high]
        self.begin = group.begin[low : high + 1] - first
        self.source = group.source[first:end]
        self.moments = group.moments(self.source)
        self.unseen = _UNSEEN
        if not self.loops.ordered(self.begin, self.moments):
            self.unseen = np.empty(self.source.size, np.int32)
            self.loops.put_in_order(self.begin, self.source, self.moments, self.unseen)
            group.moved(self.source, first)
        self._made: dict[Any, Any] = {}

    def fill(self, stream: Stream, out: Array) -> None:
        low, high = self._once(("windows", stream.reach), lambda: self._windows(stream.reach))
        _FILLS[stream.what](self, stream, low, high, self.source, self.unseen, out)

    def _windows(self, which: int) -> tuple[Array, Array]:
        """The places of each row's window."""
        reach, (after, upto) = self.frame.reaches[which], self.frame.bounds[which]
        low, high = np.empty(self.source.size, np.int32), np.empty(self.source.size, np.int32)
        row, own = self.frame.group.row(self.source), reach.window.kind != "before"
        upto = _NOTHING if upto is None else upto
        self.loops.spanned(self.moments, row, self.begin, reach.length or 0, after, upto, own, low, high)
        return low, high

    def rows(self, stream: Stream, *window: Array) -> None:
        self.loops.totals(self._sums(stream, lambda there: there), *window)

    def sums(self, stream: Stream, *window: Array) -> None:
        self.loops.totals(self._sums(stream, lambda there: self._values(stream) * there), *window)

    def lows(self, stream: Stream, *window: Array) -> None:
        self.loops.totals(self._sums(stream, lambda there: (self._values(stream) & _HALF) * there), *window)

    def highs(self, stream: Stream, *window: Array) -> None:
        self.loops.totals(self._sums(stream, lambda there: (self._values(stream) >> 32) * there), *window)

    def _sums(self, stream: Stream, added: Callable[[Array], Array]) -> Array:
        def make() -> Array:
            sums = np.zeros(self.source.size + 1, np.int64)
            np.cumsum(added(self._there(stream)), out=sums[1:])
            return sums

        found: Array = self._once((stream.what, stream.states, stream.slot, stream.values), make)
        return found

    def largest(self, stream: Stream, *window: Array) -> None:
        self.loops.largest(*self._once((stream.what, stream.states, stream.slot, stream.values), lambda: self._peaks(stream)), *window)

    def smallest(self, stream: Stream, *window: Array) -> None:
        self.largest(stream, *window)
        np.invert(window[-1], out=window[-1])

    def _peaks(self, stream: Stream) -> tuple[Array, Array]:
        """The largest of the next 1, 2, 4, 8 … values, up to the widest window; and which of these is for which width."""
        like = (stream.what, stream.states, stream.slot, stream.values)
        reaches = {one.reach for one in self.streams if (one.what, one.states, one.slot, one.values) == like}
        windows = [self._once(("windows", reach), partial(self._windows, reach)) for reach in reaches]
        widest = max(int((high - low).max(initial=0)) for low, high in windows)
        levels = np.frexp(np.arange(widest + 1))[1] - 1
        values = self._values(stream)
        # turned over bit by bit, the smallest is the largest
        values = ~values if stream.what == "smallest" else values
        peaks = np.empty((levels[-1] + 1 if widest else 1, values.size), np.int64)
        peaks[0] = np.where(self._there(stream), values, kernels.FOREVER)
        for level in range(1, len(peaks)):
            step = 1 << (level - 1)
            np.maximum(peaks[level - 1, :-step], peaks[level - 1, step:], out=peaks[level, :-step])
            peaks[level, -step:] = peaks[level - 1, -step:]
        return peaks, levels

    def distinct(self, stream: Stream, *window: Array) -> None:
        links = self._once(("links", stream.states, stream.slot, stream.values), lambda: self._links(stream))
        self.loops.distinct(*links, *window)

    def repeats(self, stream: Stream, *window: Array) -> None:
        links = self._once(("links", stream.states, stream.slot, stream.values), lambda: self._links(stream))
        self.loops.repeats(*links, *window)

    def squares(self, stream: Stream, *window: Array) -> None:
        """A part of the sum of squares, the one that counts units of ``2**32`` to the power of its number."""
        self.loops.totals(self._sums(stream, lambda there: _square(self._values(stream), int(stream.what[-1])) * there), *window)

    def met(self, stream: Stream, *window: Array) -> None:
        """Of the last row before, or the first one: its state (nought where there is none), its value or its time."""
        which, what = stream.what.split()

        def meet() -> Array:
            found = np.empty(self.source.size, np.int32)
            loop = self.loops.latest if which == "last" else self.loops.earliest
            loop(self._there(stream), *window[:-1], found)
            return found

        place = self._once(("met", which, stream.reach, stream.slot), meet)
        said = self.moments if what == "time" else self._values(stream) if what == "value" else self._states(stream)
        window[-1][:] = np.where(place >= 0, said[place], 0)

    def _links(self, stream: Stream) -> tuple[Array, Array]:
        """For each place those where its value stands before and next."""
        slots = np.full(4 * int(np.diff(self.begin).max(initial=0)), -1, np.int32)
        previous, following = np.empty(self.source.size, np.int32), np.empty(self.source.size, np.int32)
        self.loops.linked(self._values(stream), self._there(stream), self.begin, slots, previous, following)
        return previous, following

    def _there(self, stream: Stream) -> Array:
        """Which rows are in one of the states."""
        slot = stream.slot

        def make() -> Array:
            if slot is None:
                return np.ones(self.source.size, bool)
            held = self._states(stream)
            there: Array = held == stream.states[0]
            for state in stream.states[1:]:
                there |= held == state
            return there

        found: Array = self._once(("in", slot, stream.states), make)
        return found

    def _states(self, stream: Stream) -> Array:
        slot = stream.slot
        if slot is None:
            return np.full(self.source.size, SURE, np.uint8)
        given = self.frame.cells[slot][0]
        found: Array = self._once(("states", slot), lambda: self.frame.group.states(self.source, slot, given))
        return found

    def _values(self, stream: Stream) -> Array:
        slot = stream.values
        given = self.frame.cells[slot][1]
        found: Array = self._once(("values", slot), lambda: self.frame.group.values(self.source, slot, given))
        return found

    def _once(self, what: Any, make: Callable[[], Any]) -> Any:
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]


_FILLS: Final[dict[str, Callable[..., None]]] = {
    "rows": _Piece.rows,
    "sums": _Piece.sums,
    "lows": _Piece.lows,
    "highs": _Piece.highs,
    "largest": _Piece.largest,
    "smallest": _Piece.smallest,
    "distinct": _Piece.distinct,
    "repeats": _Piece.repeats,
    **dict.fromkeys(("last state", "last value", "last time", "first state", "first value"), _Piece.met),
    **{f"squares {part}": _Piece.squares for part in range(4)},
}


def _square(values: Array, part: int) -> Array:
    """The squares of whole numbers of 64 bits, in four parts of some 32 bits each.

    >>> [int(_square(np.array([-(2**32) - 3]), part)[0]) for part in range(4)]
    [9, 6, 1, 0]
    """
    whole = np.abs(values).view(np.uint64)
    high, low = whole >> np.uint64(32), whole & np.uint64(_HALF)
    # (high * 2**32 + low) ** 2
    square, mixed = (low * low, high * low) if part < 2 else (high * high, high * low)
    parts = {
        0: square & np.uint64(_HALF),
        1: (square >> np.uint64(32)) + 2 * (mixed & np.uint64(_HALF)),
        2: (square & np.uint64(_HALF)) + 2 * (mixed >> np.uint64(32)),
        3: square >> np.uint64(32),
    }
    found: Array = parts[part].view(np.int64)
    return found


def side_by_side(work: Sequence[Callable[[], T]], rows: int) -> list[T]:
    """What each of these gives; where there are many rows on as many threads as polars has."""
    threads = min(_threads(rows), len(work))
    if threads < 2:
        return [one() for one in work]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda one: one(), work))


def _threads(rows: int) -> int:
    return pl.thread_pool_size() if rows >= _SHARED_FROM else 1
