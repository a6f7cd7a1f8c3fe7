"""The rows of a frame under their keys, after what is kept of the same keys from frames before. It knows no measures."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backends.columnar_layout import CODE
from engine.features import kernels
from engine.features.columnar_coded import Codes
from engine.features.spec import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from engine.features.columnar_frame import Arrived
    from engine.features.columnar_lane import Cells
    from engine.features.spec import History

Array = np.ndarray[Any, Any]


class Entries:
    """Rows under keys, in order of arrival: the row (`rows`; none where every row of the frame is one entry, and enters and looks), the
    key's code, whether it enters there, whether it looks there; and for each row of the frame why it looks nowhere, or nought."""

    def __init__(self, rows: Array | None, codes: Array, enters: Array, looks: Array, missing: Array) -> None:
        self.rows, self.codes, self.enters, self.looks, self.missing = rows, codes, enters, looks, missing

    def of(self, values: Array) -> Array:
        """What a frame says row by row, for every entry."""
        return values if self.rows is None else values[self.rows]


def entries(arrived: Arrived, history: History, codes: Codes, loops: SimpleNamespace) -> Entries:
    """Under which keys of a history the rows of a frame look and enter."""
    missing = arrived.causes(history.per).to_numpy()
    looks, ticks = missing == 0, arrived.ticks.to_numpy()
    columns = [column for name in history.per for column in arrived.key_columns(name)]
    if history.matched:
        return _matched(arrived, codes, columns, history.matched, missing, loops)
    found = codes.of(columns, loops)
    if looks.all() and not ticks.any():
        return Entries(None, found, looks, looks, missing)
    rows = np.flatnonzero(looks).astype(np.int32)
    return Entries(rows, found[rows], ~ticks[rows], np.ones(rows.size, bool), missing)


def _matched(
    arrived: Arrived, codes: Codes, columns: list[Any], fields: tuple[str, ...], missing: Array, loops: SimpleNamespace
) -> Entries:
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
    return Entries(rows.astype(np.int32), whole[rows, places].astype(np.int32), enters[rows, places], places == 0, missing)


class Kept:
    """What is carried for every key: its oldest and newest time, and where in the arrays its rows lie."""

    def __init__(self, slots: int) -> None:
        self.newest, self.oldest = np.empty(0, np.int64), np.empty(0, np.int64)
        self.start, self.number = np.empty(0, np.int64), np.empty(0, np.int64)
        self.times = np.empty(0, np.int64)
        self.cells: list[Cells] = [(np.empty(0, np.uint8), np.empty(0, np.int64)) for _ in range(slots)]
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
        running = np.concatenate([[0], np.cumsum(stays)])[begin]
        self.start[keys], self.number[keys] = self.times.size + running[:-1], np.diff(running)
        self.times = np.concatenate([self.times, moments[stays]])
        both = zip(self.cells, cells, strict=True)
        self.cells = [(np.concatenate([a, b[stays]]), np.concatenate([c, d[stays]])) for (a, c), (b, d) in both]

    def _move(self, keys: Array) -> None:
        """Keep the rows of these keys and no others."""
        number = self.number[keys]
        begin = np.concatenate([[0], np.cumsum(number)])
        places = np.arange(begin[-1]) + np.repeat(self.start[keys] - begin[:-1], number)
        self.start[keys] = begin[:-1]
        self.times = self.times[places]
        self.cells = [(states[places], values[places]) for states, values in self.cells]


class Grouped:
    """Entries by key and arrival, without those that come too late: for each place its `source` (an entry; negative: a row that was kept),
    for each of the `keys` where it begins. `at` says for each row of the frame the place it looks from, `nowhere` where there is none."""

    def __init__(self, given: Entries, times: Array, kept: Kept, late: int, aged: bool, loops: SimpleNamespace) -> None:
        self.entries, self.times, self._kept, self._loops = given, times, kept, loops
        codes = given.codes
        self.tardy, self.before = np.empty(codes.size, bool), np.empty(codes.size if aged else 0, np.int64)
        counts = np.zeros(kept.number.size, np.int64)
        loops.came(codes, given.of(times), given.enters, late, kept.newest, kept.oldest, self.tardy, self.before, counts)
        self.keys = np.flatnonzero(counts)
        self.begin = np.concatenate([[0], np.cumsum(kept.number[self.keys] + counts[self.keys])])
        self.nowhere = int(self.begin[-1])
        self.source = np.empty(self.nowhere, np.int32)
        places = np.full(codes.size, self.nowhere, np.int32)
        loops.arranged(codes, self.tardy, self.keys, self.begin, kept.number, kept.start, self.source, places)
        self.at = places
        if given.rows is not None:
            self.at = np.full(times.size, self.nowhere, np.int32)
            self.at[given.rows[given.looks]] = places[given.looks]

    @cached_property
    def dead(self) -> Array:
        """For every row of the frame the code of why it cannot look, or nought."""
        given, dead = self.entries, self.entries.missing
        if self.tardy.any():
            dead = dead.copy()
            lost = self.tardy & given.looks
            dead[lost if given.rows is None else given.rows[lost]] = CODE["late"]
        return dead

    def moved(self, source: Array, first: int) -> None:
        """Some sources were put into another order, from the place `first` on."""
        looks = (source >= 0) & self._new(self.entries.looks, source)
        self.at[self.row(source)[looks]] = np.flatnonzero(looks) + first

    def row(self, source: Array) -> Array:
        """The row of the frame; -1 for those that were kept."""
        if self.entries.rows is None:
            return source
        row: Array = np.where(source >= 0, self._new(self.entries.rows, source), -1)
        return row

    def moments(self, source: Array) -> Array:
        return self._placed(source, self.times, self._kept.times)

    def entered(self, source: Array) -> Array | None:
        """Which of them are part of the history; none where all are."""
        if self.entries.rows is None:
            return None
        entered: Array = (source < 0) | self._new(self.entries.enters, source)
        return entered

    def states(self, source: Array, slot: int, states: Array) -> Array:
        """What they are to a slot; `states` say it of the rows of the frame."""
        found, entered = self._placed(source, states, self._kept.cells[slot][0]), self.entered(source)
        return found if entered is None else found * entered

    def values(self, source: Array, slot: int, values: Array) -> Array:
        """Their values in a slot, in the same way."""
        return self._placed(source, values, self._kept.cells[slot][1]).astype(np.int64, copy=False)

    def _placed(self, source: Array, new: Array, old: Array) -> Array:
        found = self._new(new, self.row(source))
        if old.size:
            kept = source < 0
            found[kept] = old[-1 - source[kept]]
        return found

    def _new(self, values: Array, places: Array) -> Array:
        """What stands at these places; nought where they are negative."""
        found = np.zeros(places.size, values.dtype)
        if values.size:
            self._loops.fetched(values, places, found)
        return found
