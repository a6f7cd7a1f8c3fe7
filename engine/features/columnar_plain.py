"""Histories whose measures are plain: counts, sums, means, extremes and different values over windows of time, taken as arrays.

Rows are sorted by key and time, windows become places among them, and loops over the places (`kernels`) say what stands in each window.
What that means is said for all rows at once (`columnar_said`). Kept from frame to frame is, for every key, what a later window may see.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import polars as pl

from engine.backends.columnar_layout import CODE
from engine.features import kernels, spans
from engine.features.columnar_coded import Codes
from engine.features.columnar_lane import Lane
from engine.features.columnar_said import Counts, said
from engine.features.spec import FOREVER, History, Layout, Measure
from engine.features.tallies import MAYBE, MAYBE_LACKING, OUT, SURE, SURE_LACKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import SimpleNamespace

    from engine.features.columnar_frame import Arrived
    from engine.features.windows import Reach

T = TypeVar("T")
Array = np.ndarray[Any, Any]
Cells = tuple[Array, Array]
"""What rows are to a slot, and their values."""

_SHARED_FROM: Final = 100_000
_NOTHING: Final = np.empty(0, np.int64)
_HALF: Final = 2**32 - 1


def is_plain(measure: Measure, history: History) -> bool:
    """Whether a measure can be taken as arrays."""
    slot, aggregate = history.slots[measure.slot], measure.aggregate
    rows = measure.inner is None and not slot.looks and not slot.share and slot.event is None
    patient = aggregate.needs is None or aggregate.needs[0] == "history"
    length = max(measure.reach.window.length, measure.reach.window.lag)
    return rows and patient and measure.reach.window.kind in spans.BY_ARRAY and length < 2**60 and _plain_values(measure)


def _plain_values(measure: Measure) -> bool:
    of, function = measure.of, measure.aggregate.function
    if function == "count":
        return True
    if of.scale != 1 or of.by is not None:
        return False
    return of.kind in _KINDS.get(function, ())


_WHOLE: Final = frozenset({"integer", "money", "percent", "duration"})
_ORDERED: Final = _WHOLE | {"date", "datetime", "number"}
_KINDS: Final = {"sum": _WHOLE, "mean": _WHOLE, "max": _ORDERED, "min": _ORDERED, "distinct": _ORDERED | {"text", "flag"}}


class Plain:
    """One history, carried from frame to frame."""

    def __init__(self, history: History, layout: Layout) -> None:
        self._history, self._layout = history, layout
        self._codes = Codes()
        self._lanes = [Lane(slot) for slot in history.slots]
        self._kept = _Kept(len(history.slots))

    def observe(self, arrived: Arrived) -> list[pl.Series]:
        """The physical columns of every measure."""
        loops = kernels.loops(arrived.frame.height)
        self._kept.catch_up()
        entries = self._entries(arrived, loops)
        self._kept.know(self._codes.number)
        cells = side_by_side([partial(lane.cells, arrived, loops) for lane in self._lanes], arrived.frame.height)
        part = _Part(self._history, self._layout, arrived, entries, cells, [lane.texts for lane in self._lanes], self._kept, loops)
        self._kept.later = partial(self._keep, part.keys, part.begin, part.moments, part.entered, part.cells)
        said = side_by_side([partial(part.say, measure) for measure in self._history.measures], arrived.frame.height)
        return [column for columns in said for column in columns]

    def _keep(self, keys: Array, begin: Array, moments: Array, entered: Array, cells: list[Cells]) -> None:
        """Keep of these rows what a later window may see."""
        newest = self._kept.newest[keys]
        seen = np.where(newest == FOREVER, 0, newest) - self._layout.late
        reaches = {reach for some in self._history.reaches for reach in some}
        gone = np.minimum.reduce([spans.seen_before(reach, seen) for reach in reaches])
        stays = entered & (moments > np.repeat(gone, np.diff(begin)))
        stays &= np.logical_or.reduce([states != OUT for states, _ in cells])
        self._kept.replace(keys, begin, moments, cells, stays)

    def _entries(self, arrived: Arrived, loops: SimpleNamespace) -> _Entries:
        history = self._history
        missing = arrived.causes(history.per).to_numpy()
        looks, ticks = missing == 0, arrived.ticks.to_numpy()
        columns = [column for name in history.per for column in arrived.key_columns(name)]
        if not history.matched:
            codes = self._codes.of(columns, loops)
            rows = np.arange(codes.size, dtype=np.int32)
            if not looks.all():
                rows = rows[looks]
                codes = codes[looks]
            return _Entries(rows, codes, ~ticks[rows], np.ones(rows.size, bool), missing)
        return _matched(arrived, self._codes, columns, history.matched, missing, loops)


class _Entries:
    """Rows under keys, in order of arrival: the row, the key's code, whether it enters there, whether it looks there; and for each row of
    the frame why it looks nowhere, or nought."""

    def __init__(self, rows: Array, codes: Array, enters: Array, looks: Array, missing: Array) -> None:
        self.rows, self.codes, self.enters, self.looks, self.missing = rows, codes, enters, looks, missing


def _matched(
    arrived: Arrived, codes: Codes, columns: list[pl.Series], fields: tuple[str, ...], missing: Array, loops: SimpleNamespace
) -> _Entries:
    """Rows that enter under every value that they bear in one of these fields."""
    own = np.where(missing == 0, codes.of(columns, loops), -1)
    borne = [np.where(arrived.frame[name].is_null().to_numpy(), -1, codes.of(arrived.key_columns(name), loops)) for name in fields]
    whole = np.stack([own, *borne], axis=1)
    events = ~arrived.ticks.to_numpy()
    enters = np.repeat(events[:, None], whole.shape[1], axis=1)
    enters[:, 0] &= (whole[:, 1:] == whole[:, :1]).any(axis=1)
    for place in range(1, whole.shape[1]):  # each key once
        whole[(whole[:, :place] == whole[:, place : place + 1]).any(axis=1), place] = -1
        whole[~events, place] = -1
    rows, places = np.nonzero(whole >= 0)
    return _Entries(rows.astype(np.int32), whole[rows, places].astype(np.int32), enters[rows, places], places == 0, missing)


class _Kept:
    """What is carried for every key: its oldest and newest time, and where in the arrays its rows lie."""

    def __init__(self, slots: int) -> None:
        self.newest, self.oldest = np.empty(0, np.int64), np.empty(0, np.int64)
        self.start, self.number = np.empty(0, np.int64), np.empty(0, np.int64)
        self.times = np.empty(0, np.int64)
        self.states = [np.empty(0, np.uint8) for _ in range(slots)]
        self.values = [np.empty(0, np.int64) for _ in range(slots)]
        self.later: Callable[[], None] | None = None

    def know(self, keys: int) -> None:
        """There are so many keys by now."""
        more = keys - self.newest.size
        self.newest = np.concatenate([self.newest, np.full(more, FOREVER)])
        self.oldest = np.concatenate([self.oldest, np.full(more, kernels.NEVER)])
        self.start, self.number = (np.concatenate([old, np.zeros(more, np.int64)]) for old in (self.start, self.number))

    def catch_up(self) -> None:
        """Do what was left for later: nothing is kept of a frame before another one follows."""
        if self.later is not None:
            self.later()
            self.later = None

    def replace(self, keys: Array, begin: Array, moments: Array, cells: list[Cells], stays: Array) -> None:
        """Keep of these keys the rows that stay, and of the others what there is."""
        self.number[keys] = 0
        others = np.flatnonzero(self.number)
        if 2 * int(self.number[others].sum()) < self.times.size:
            self._move(others)
        running = _running(stays)[begin]
        self.start[keys], self.number[keys] = self.times.size + running[:-1], np.diff(running)
        self.times = np.concatenate([self.times, moments[stays]])
        for slot, (states, values) in enumerate(cells):
            self.states[slot] = np.concatenate([self.states[slot], states[stays]])
            self.values[slot] = np.concatenate([self.values[slot], values[stays]])

    def _move(self, keys: Array) -> None:
        """Keep the rows of these keys and no others."""
        number = self.number[keys]
        begin = np.concatenate([[0], np.cumsum(number)])
        places = np.arange(begin[-1]) + np.repeat(self.start[keys] - begin[:-1], number)
        self.start[keys] = begin[:-1]
        self.times = self.times[places]
        self.states = [states[places] for states in self.states]
        self.values = [values[places] for values in self.values]


class _Part:
    """The rows of one frame with those kept of the same keys, sorted, and what their windows hold."""

    def __init__(
        self,
        history: History,
        layout: Layout,
        arrived: Arrived,
        entries: _Entries,
        cells: list[Any],
        texts: list[int],
        kept: _Kept,
        loops: SimpleNamespace,
    ) -> None:
        self.history, self.layout, self.arrived, self.entries, self.loops = history, layout, arrived, entries, loops
        self._all = arrived.times.to_numpy()
        self.texts = texts
        self._arrange(kept)
        placed = [partial(self._placed, states, values, kept, slot) for slot, (states, values) in enumerate(cells)]
        self.cells = side_by_side(placed, self._all.size)
        self._alike = [self._first_alike(slot) for slot in range(len(cells))]
        self._made: dict[Any, Any] = {}
        self._making: dict[Any, Lock] = {}

    def _first_alike(self, slot: int) -> int:
        """The first slot in which the same rows stand as in this one: what is counted there need not be counted again."""
        slots, states = self.history.slots, self.cells[slot][0]
        same = (one for one in range(slot) if slots[one].where == slots[slot].where and np.array_equal(self.cells[one][0], states))
        return next(same, slot)

    def _arrange(self, kept: _Kept) -> None:
        loops, codes, entries = self.loops, self.entries.codes, self.entries
        times = self._all[entries.rows]
        tardy, self.before = np.empty(codes.size, bool), np.empty(codes.size, np.int64)
        loops.came(codes, times, entries.enters, self.layout.late, kept.newest, kept.oldest, tardy, self.before)
        counts, keys, begin = np.zeros(kept.number.size, np.int64), np.empty(codes.size, np.int64), np.zeros(codes.size + 1, np.int64)
        number = loops.counted(codes, tardy, kept.number, counts, keys, begin)
        self.keys, self.begin = keys[:number].copy(), begin[: number + 1].copy()
        size = int(self.begin[-1])
        self.source, self.moments = np.empty(size, np.int32), np.empty(size, np.int64)
        ordered = loops.arranged(codes, times, tardy, self.keys, self.begin, kept.number, kept.start, kept.times, self.source, self.moments)
        self.unseen = np.empty(0, np.int32)
        if not ordered:
            self.unseen = np.empty(size, np.int32)
            loops.put_in_order(self.begin, self.source, self.moments, self.unseen)
        self.dead = entries.missing.copy()
        self.dead[entries.rows[tardy & entries.looks]] = CODE["late"]
        self._place()

    def _place(self) -> None:
        """Where each place's row stands in the frame, where its answer goes, and whether it is part of the history."""
        entries, new = self.entries, self.source >= 0
        if entries.rows.size == self._all.size and entries.looks.all() and entries.enters.all():  # an entry is a row
            self.row = self.wanted = self.source if new.all() else np.where(new, self.source, -1).astype(np.int32)
            self.entered = np.ones(self.source.size, bool)
            return
        source = np.where(new, self.source, 0)
        if not entries.rows.size:
            self.row = self.wanted = np.full(self.source.size, -1, np.int32)
            self.entered = np.ones(self.source.size, bool)
            return
        self.row = np.where(new, entries.rows[source], -1).astype(np.int32)
        self.wanted = np.where(new & entries.looks[source], entries.rows[source], -1).astype(np.int32)
        self.entered = ~new | entries.enters[source]

    def _placed(self, states: Array, values: Array, kept: _Kept, slot: int) -> tuple[Array, Array]:
        """What the rows are to a slot, by place."""
        new = self.source >= 0
        if new.all():
            found = (
                states[self.row]
                if states.size and states.min() != states.max()
                else np.full(new.size, states[:1].max(initial=OUT), np.uint8)
            )
            worth = np.zeros(new.size, np.int64) if self.history.slots[slot].of is None else values[self.row]
        else:
            found, worth = np.empty(new.size, np.uint8), np.empty(new.size, np.int64)
            found[new], worth[new] = states[self.row[new]], values[self.row[new]]
            old = -1 - self.source[~new]
            found[~new], worth[~new] = kept.states[slot][old], kept.values[slot][old]
        return found * self.entered if not self.entered.all() else found, worth

    # --- what windows hold ---

    def say(self, measure: Measure) -> list[pl.Series]:
        """The physical columns of a measure."""
        return said(measure, self.layout.types[measure.column], self._counts(measure), self._dead(measure))

    def _dead(self, measure: Measure) -> Array:
        needs = measure.aggregate.needs
        if needs is None:
            return self.dead
        reach = measure.reach
        window = replace(reach.window, kind="trailing", length=needs[1], unit=needs[2])
        bound, _ = spans.bounds(replace(reach, window=window), self._all)
        young = np.zeros(self._all.size, bool)
        entries = self.entries
        young[entries.rows[entries.looks]] = (self.before > bound[entries.rows])[entries.looks]
        return np.where((self.dead == 0) & young, CODE["short history"], self.dead).astype(np.uint8)

    def _counts(self, measure: Measure) -> Counts:
        function = measure.aggregate.function
        reach, slot = measure.reach, measure.slot
        states, _ = self.cells[slot]
        doubtful = self._once(("doubtful", slot), lambda: bool((states > SURE).any()))
        short = self._once(("short", reach), lambda: self._short(reach))
        counts = Counts(self._rows(reach, slot, (SURE,)), short)
        if doubtful:
            counts.lacking = self._rows(reach, slot, (SURE_LACKING,))
            counts.maybe = self._rows(reach, slot, (MAYBE,))
            counts.maybe_lacking = self._rows(reach, slot, (MAYBE_LACKING,))
        if function in _LOW:
            counts.low = _LOW[function](self, reach, slot, (SURE,))
            counts.high = _LOW[function](self, reach, slot, (SURE, MAYBE)) if doubtful else counts.low
        return counts

    def _short(self, reach: Reach) -> Array | None:
        """Which windows begin before history does; none where none does."""
        arrived, length = self.arrived, reach.length
        if length is not None and arrived.since is not None and not arrived.unfounded and self._first - length + 1 >= arrived.since:
            return None
        since = np.full(self._all.size, 0 if arrived.since is None else arrived.since)
        since[: arrived.unfounded] = self._all[: arrived.unfounded]
        after, upto = self._bounds(reach)
        short = (after + 1 < since) if upto is None else (after + 1 < since) & (after < upto)
        short &= after < self._all
        return short if short.any() else None

    @cached_property
    def _first(self) -> int:
        return int(self._all.min(initial=kernels.NEVER))

    def _bounds(self, reach: Reach) -> tuple[Array, Array | None]:
        found: tuple[Array, Array | None] = self._once(("bounds", reach), lambda: spans.bounds(reach, self._all))
        return found

    def _windows(self, reach: Reach) -> tuple[Array, Array]:
        """The places of each row's window."""
        after = upto = _NOTHING
        if reach.length is None:
            after, last = self._bounds(reach)
            rows = self.entries.rows
            after, upto = after[rows], _NOTHING if last is None else last[rows]
        low, high = np.empty(self.source.size, np.int32), np.empty(self.source.size, np.int32)
        own = reach.window.kind != "before"
        self.loops.spanned(self.moments, self.wanted, self.source, self.begin, reach.length or 0, after, upto, own, low, high)
        return low, high

    def _rows(self, reach: Reach, slot: int, states: tuple[int, ...]) -> Array:
        """How many rows in one of these states stand in each window."""

        slot = self._alike[slot]
        every = states == (SURE,) and self._once(("sure", slot), lambda: bool((self.cells[slot][0] == SURE).all()))
        # where all rows are in, all slots have one count
        return self._total(reach, ("rows", None if every else slot, states), lambda: _running(self._in(slot, states)))

    def _sums(self, reach: Reach, slot: int, states: tuple[int, ...]) -> Array:
        values = self.cells[slot][1]
        largest = max(-int(values.min(initial=0)), int(values.max(initial=0)))
        if largest * values.size < 2**62:
            return self._total(reach, ("sums", slot, states), lambda: _running(np.where(self._in(slot, states), values, 0)))
        # what may not fit is summed in halves
        low = self._total(reach, ("low", slot, states), lambda: _running(np.where(self._in(slot, states), values & _HALF, 0)))
        high = self._total(reach, ("high", slot, states), lambda: _running(np.where(self._in(slot, states), values >> 32, 0)))
        whole: Array = high.astype(object) * 2**32 + low.astype(object)
        return whole

    def _total(self, reach: Reach, what: Any, running: Callable[[], Array]) -> Array:
        def make() -> Array:
            sums = self._once(("running", what), running)
            low, high = self._once(("windows", reach), lambda: self._windows(reach))
            out = np.zeros(self._all.size, np.int64)
            self.loops.totals(sums, low, high, self.source, self.unseen, self.wanted, out)
            return out

        found: Array = self._once((what, reach), make)
        return found

    def _largest(self, reach: Reach, slot: int, states: tuple[int, ...]) -> Array:
        return self._extreme(reach, slot, states, 0)

    def _smallest(self, reach: Reach, slot: int, states: tuple[int, ...]) -> Array:
        # turned over bit by bit, the smallest is the largest
        return ~self._extreme(reach, slot, states, -1)

    def _extreme(self, reach: Reach, slot: int, states: tuple[int, ...], turned: int) -> Array:
        low, high = self._once(("windows", reach), lambda: self._windows(reach))
        values, counts = self.cells[slot][1], self._in(slot, states)
        values = values ^ turned if turned else values
        out = np.zeros(self._all.size, np.int64)
        self.loops.largest(values, counts, low, high, self.source, self.unseen, self.wanted, out)
        return out

    def _distinct(self, reach: Reach, slot: int, states: tuple[int, ...]) -> Array:
        low, high = self._once(("windows", reach), lambda: self._windows(reach))
        counts = self._in(slot, states)
        previous, following = self._once(("links", slot, states), lambda: self._links(slot, counts))
        out = np.zeros(self._all.size, np.int64)
        self.loops.distinct(previous, following, counts, low, high, self.source, self.unseen, self.wanted, out)
        return out

    def _links(self, slot: int, counts: Array) -> tuple[Array, Array]:
        codes, number = self._once(("codes", slot), lambda: self._dense(slot))
        previous, following = np.empty(codes.size, np.int64), np.empty(codes.size, np.int64)
        self.loops.linked(codes, counts, self.begin, np.full(number, -1), previous, following)
        return previous, following

    def _dense(self, slot: int) -> tuple[Array, int]:
        """The values of a slot as small numbers, and how many these are."""
        if self.texts[slot]:
            return self.cells[slot][1], self.texts[slot]
        codes = Codes()
        return codes.of([pl.Series(self.cells[slot][1])], self.loops), codes.number

    def _in(self, slot: int, states: tuple[int, ...]) -> Array:
        slot = self._alike[slot]

        def make() -> Array:
            held = self.cells[slot][0]
            there: Array = np.logical_or.reduce([held == state for state in states])
            return there

        found: Array = self._once(("in", slot, states), make)
        return found

    def _once(self, what: Any, make: Callable[[], Any]) -> Any:
        with self._making.setdefault(what, Lock()):
            if what not in self._made:
                self._made[what] = make()
        return self._made[what]


_LOW: Final[dict[str, Callable[[_Part, Reach, int, tuple[int, ...]], Array]]] = {
    "sum": _Part._sums,
    "mean": _Part._sums,
    "max": _Part._largest,
    "min": _Part._smallest,
    "distinct": _Part._distinct,
}


def side_by_side(work: Sequence[Callable[[], T]], rows: int) -> list[T]:
    """What each of these gives; where there are many rows on as many threads as polars has."""
    if rows < _SHARED_FROM or len(work) < 2:
        return [one() for one in work]
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return list(pool.map(lambda one: one(), work))


def _running(values: Array) -> Array:
    sums = np.zeros(values.size + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums
