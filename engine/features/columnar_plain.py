"""Histories whose measures are plain: counts, sums, spreads, extremes, different, repeated, first and last values over windows of time.

Rows are sorted by key and time, windows become places among them, and loops over the places (`kernels`) say what stands in each window.
What that means is said for all rows at once (`columnar_said`). Kept from frame to frame is, for every key, what a later window may see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from engine.backends.columnar_layout import CODE
from engine.features import kernels, spans
from engine.features.columnar_coded import Codes
from engine.features.columnar_grouped import Grouped, Kept, entries
from engine.features.columnar_lane import Lanes
from engine.features.columnar_pieces import Frame, Stream, side_by_side, streamed
from engine.features.columnar_said import Counts, Met, empty, said
from engine.features.spec import FOREVER, History, Layout, Measure
from engine.features.tallies import MAYBE, MAYBE_LACKING, OUT, SURE, SURE_LACKING
from engine.values import DAY

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from engine.features.columnar_frame import Arrived
    from engine.features.columnar_lane import Cells

Array = np.ndarray[Any, Any]

_NOTHING: Final = np.empty(0, np.int64)


def is_plain(measure: Measure, history: History) -> bool:
    """Whether a measure can be taken as arrays."""
    slot, aggregate = history.slots[measure.slot], measure.aggregate
    rows = measure.inner is None and not slot.looks and not slot.share and slot.event is None
    patient = aggregate.needs is None or aggregate.needs[0] == "history"
    length = max(measure.reach.window.length, measure.reach.window.lag)
    return rows and patient and measure.reach.window.kind in spans.BY_ARRAY and length < 2**60 and _plain_values(measure)


def _plain_values(measure: Measure) -> bool:
    of, function = measure.of, measure.aggregate.function
    if function in ("count", "time since last"):
        return True
    if of.scale != 1 or of.by is not None:
        return False
    return of.kind in _KINDS.get(function, ())


_WHOLE: Final = frozenset({"integer", "money", "percent", "duration"})
_ORDERED: Final = _WHOLE | {"date", "datetime", "number"}
_ANY: Final = _ORDERED | {"text", "flag"}
_KINDS: Final = {
    **dict.fromkeys(("sum", "mean", "stddev"), _WHOLE),
    **dict.fromkeys(("max", "min", "first", "last"), _ORDERED),
    **dict.fromkeys(("distinct", "most repeated"), _ANY),
}


class Plain:
    """One history, carried from frame to frame."""

    def __init__(self, history: History, layout: Layout) -> None:
        self._history, self._layout = history, layout
        self._codes = Codes()
        self._lanes = Lanes(history.slots)
        self._kept = Kept(len(history.slots))
        self._aged = any(measure.aggregate.needs is not None for measure in history.measures)

    def observe(self, arrived: Arrived) -> list[pl.Series]:
        """The physical columns of every measure."""
        loops, rows = kernels.loops(arrived.frame.height), arrived.frame.height
        self._kept.catch_up()
        judged = self._lanes.judge(arrived.frame, loops)
        work: list[Callable[[], Any]] = [partial(self._grouped, arrived, loops), *judged.work]
        group = side_by_side(work, rows)[0]
        part = _Part(self._history, self._layout, arrived, group, judged.cells(), self._kept, loops)
        self._kept.later = partial(self._keep, group, part.cells)
        said = side_by_side([partial(part.say, measure) for measure in self._history.measures], rows)
        return [column for columns in said for column in columns]

    def _grouped(self, arrived: Arrived, loops: SimpleNamespace) -> Grouped:
        given = entries(arrived, self._history, self._codes, loops)
        self._kept.know(self._codes.number)
        times = arrived.times.to_numpy()
        return Grouped(given, times, self._kept, self._layout.late, self._aged, loops)

    def _keep(self, group: Grouped, cells: list[Cells]) -> None:
        """Keep of these rows what a later window may see."""
        newest = self._kept.newest[group.keys]
        seen = np.where(newest == FOREVER, 0, newest) - self._layout.late
        reaches = {reach for some in self._history.reaches for reach in some}
        gone = np.minimum.reduce([spans.seen_before(reach, seen) for reach in reaches])
        moments, entered = group.moments(group.source), group.entered(group.source)
        placed = [
            (group.states(group.source, slot, states), group.values(group.source, slot, values))
            for slot, (states, values) in enumerate(cells)
        ]
        stays = moments > np.repeat(gone, np.diff(group.begin))
        stays &= np.logical_or.reduce([states != OUT for states, _ in placed])
        self._kept.replace(group.keys, group.begin, moments, placed, stays if entered is None else stays & entered)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The streams a measure is said from: rows whose value is known; those that lack it, that may be in, and both, where there are any;
    what those that are in add up to, and with those that may be, in one number or in two halves; the parts of their squares; and what
    the first or last row is."""

    known: Stream
    doubts: tuple[Stream, ...]
    low: tuple[Stream, ...]
    high: tuple[Stream, ...]
    squares: tuple[Stream, ...]
    met: tuple[Stream, ...]

    def all(self) -> tuple[Stream, ...]:
        return (self.known, *self.doubts, *self.low, *self.high, *self.squares, *self.met)


class _Part:
    """The rows of one frame, and what is said of their windows."""

    def __init__(
        self, history: History, layout: Layout, arrived: Arrived, group: Grouped, cells: list[Cells], kept: Kept, loops: SimpleNamespace
    ) -> None:
        self.history, self.layout, self.arrived, self.group, self.cells, self._kept = history, layout, arrived, group, cells, kept
        self._all = group.times
        self._first = int(self._all.min(initial=kernels.NEVER))
        self._reaches = tuple(dict.fromkeys(measure.reach for measure in history.measures))
        self._bounds = [(_NOTHING, None) if reach.length is not None else spans.bounds(reach, self._all) for reach in self._reaches]
        self._short = [self._short_of(which) for which in range(len(self._reaches))]
        self._facts = [self._fact(slot) for slot in range(len(cells))]
        self._asked = {measure.column: self._ask(measure) for measure in history.measures}
        streams = list(dict.fromkeys(stream for asked in self._asked.values() for stream in asked.all()))
        frame = Frame(group, cells, self._reaches, self._bounds, loops)
        self._streams = dict(zip(streams, streamed(frame, streams), strict=True))
        known = {asked.known: self._streams[asked.known] for asked in self._asked.values()}
        empties = side_by_side([partial(empty, numbers) for numbers in known.values()], self._all.size)
        self._empty = dict(zip(known, empties, strict=True))
        means = [measure.column for measure in history.measures if measure.aggregate.function == "mean"]
        # in one piece, memory comes in large pages
        self._room = dict(zip(means, np.empty((len(means), self._all.size), np.int64), strict=True))

    # --- what is asked for ---

    def _fact(self, slot: int) -> _Fact:
        slots, (states, values) = self.history.slots, self.cells[slot]
        kept, worth = self._kept.cells[slot]
        alike = next(one for one in range(slot + 1) if self.cells[one][0] is states and np.array_equal(self._kept.cells[one][0], kept))
        top = max(int(states.max(initial=OUT)), int(kept.max(initial=OUT)))
        least = min(int(states.min(initial=SURE)), int(kept.min(initial=SURE)))
        every = top == least == SURE and bool(self.group.entries.enters.all())
        largest = max(max(-int(some.min(initial=0)), int(some.max(initial=0))) for some in (values, worth))
        same = next(one for one in range(slot + 1) if slots[one].of == slots[slot].of)
        return _Fact(None if every else alike, same, top > SURE, largest * self.group.nowhere >= 2**62, largest >= 2**32)

    def _ask(self, measure: Measure) -> _Asked:
        fact, reach = self._facts[measure.slot], self._reaches.index(measure.reach)

        def rows(*states: int) -> Stream:
            return Stream("rows", reach, states, fact.rows)

        def values(*states: int) -> tuple[Stream, ...]:
            kinds = _WHAT.get(measure.aggregate.function, ())
            return streams(states, ("lows", "highs") if kinds == ("sums",) and fact.wide else kinds)

        def streams(states: tuple[int, ...], kinds: tuple[str, ...]) -> tuple[Stream, ...]:
            return tuple(Stream(kind, reach, states, fact.rows, fact.values) for kind in kinds)

        doubts = tuple(rows(state) for state in (SURE_LACKING, MAYBE, MAYBE_LACKING)) if fact.doubtful else ()
        high = values(SURE, MAYBE) if fact.doubtful and measure.aggregate.function not in _EXACT else values(SURE)
        squares = tuple(f"squares {part}" for part in range(4 if fact.large else 2)) if measure.aggregate.function == "stddev" else ()
        met = streams((SURE, SURE_LACKING, MAYBE, MAYBE_LACKING), _MET.get(measure.aggregate.function, ()))
        return _Asked(rows(SURE), doubts, values(SURE), high, streams((SURE,), squares), met)

    # --- what is said ---

    def say(self, measure: Measure) -> list[pl.Series]:
        """The physical columns of a measure."""
        return said(measure, self.layout.types[measure.column], self._counts(measure), self._dead(measure))

    def _counts(self, measure: Measure) -> Counts:
        asked = self._asked[measure.column]
        counts = Counts(self._streams[asked.known], self._short[self._reaches.index(measure.reach)])
        if asked.doubts:
            counts.lacking, counts.maybe, counts.maybe_lacking = (self._streams[stream] for stream in asked.doubts)
        counts.low, counts.high = self._number(asked.low), self._number(asked.high)
        counts.squares, counts.met = self._number(asked.squares), self._met(measure, asked.met)
        counts.room, counts.empty = self._room.get(measure.column), self._empty[asked.known]
        return counts

    def _number(self, parts: tuple[Stream, ...]) -> Array | None:
        if len(parts) < 2:
            return self._streams[parts[0]] if parts else None
        whole = np.zeros(self._all.size, object)
        for part in reversed(parts):
            whole = whole * 2**32 + self._streams[part].astype(object)
        return whole

    def _met(self, measure: Measure, streams: tuple[Stream, ...]) -> Met | None:
        if not streams:
            return None
        parts = {stream.what.split()[1]: self._streams[stream] for stream in streams}
        short = self._short[self._reaches.index(measure.reach)]
        later = short
        if short is not None and "time" in parts:  # nobody can have missed a later one
            later = short & (parts["time"] < self._since)
        if measure.aggregate.function != "time since last":
            return Met(parts["state"], parts["value"], later)
        ago = (self._all - parts["time"]) * (DAY if measure.reach.clock.dates else 1)
        return Met(np.where(parts["state"] == SURE_LACKING, SURE, parts["state"]), ago, later)

    def _dead(self, measure: Measure) -> Array:
        needs, group, given = measure.aggregate.needs, self.group, self.group.entries
        if needs is None:
            return group.dead
        reach = measure.reach
        window = replace(reach.window, kind="trailing", length=needs[1], unit=needs[2])
        bound, _ = spans.bounds(replace(reach, window=window), self._all)
        young = np.zeros(self._all.size, bool)
        looks = given.looks
        young[slice(None) if given.rows is None else given.rows[looks]] = (group.before > given.of(bound))[looks]
        return np.where((group.dead == 0) & young, CODE["short history"], group.dead).astype(np.uint8)

    @cached_property
    def _since(self) -> Array:
        """For every row since when history is complete."""
        since = np.full(self._all.size, 0 if self.arrived.since is None else self.arrived.since)
        since[: self.arrived.unfounded] = self._all[: self.arrived.unfounded]
        return since

    def _short_of(self, which: int) -> Array | None:
        """Which windows begin before history does; none where none does."""
        arrived, reach = self.arrived, self._reaches[which]
        founded = arrived.since is not None and not arrived.unfounded
        if founded and reach.length is not None and self._first - reach.length + 1 >= (arrived.since or 0):
            return None
        since = self._since
        after, upto = self._bounds[which] if reach.length is None else (self._all - reach.length, None)
        short = (after + 1 < since) if upto is None else (after + 1 < since) & (after < upto)
        short &= after < self._all
        return short if short.any() else None


@dataclass(frozen=True, slots=True)
class _Fact:
    """Of a slot: the first one with the same `rows` (none: all rows are in), the first one with the same `values`, whether any row is
    doubtful, whether sums may not fit into 64 bits, and whether a value does not fit into 32."""

    rows: int | None
    values: int
    doubtful: bool
    wide: bool
    large: bool


_WHAT: Final[dict[str, tuple[str, ...]]] = {
    "sum": ("sums",),
    "mean": ("sums",),
    "stddev": ("sums",),
    "max": ("largest",),
    "min": ("smallest",),
    "distinct": ("distinct",),
    "most repeated": ("repeats",),
}
_MET: Final[dict[str, tuple[str, ...]]] = {
    "first": ("first state", "first value"),
    "last": ("last state", "last value", "last time"),
    "time since last": ("last state", "last time"),
}
_EXACT: Final = frozenset({"mean", "stddev", "most repeated"})
"""What says nothing while anything is in doubt."""
