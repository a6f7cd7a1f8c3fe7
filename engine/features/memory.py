"""History kept in memory: for every key sorted lists of times and cells. It is lost with the process."""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from engine.errors import StoreError
from engine.features.judging import OUT
from engine.features.live import Event, Key, LiveStore, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.features.asking import Asked
    from engine.features.spec import BoundFeatures
    from engine.plan import Row
    from engine.record import Record


class _Lane:
    """The cells of one slot under one key, by time; those of one time in the order they arrived."""

    __slots__ = ("cells", "times")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.cells: list[Any] = []

    def between(self, after: int, upto: int) -> tuple[list[int], list[Any]]:
        part = slice(bisect_right(self.times, after), bisect_right(self.times, upto))
        return self.times[part], self.cells[part]

    def add(self, time: int, cell: Any) -> None:
        place = bisect_right(self.times, time)
        self.times.insert(place, time)
        self.cells.insert(place, cell)

    def drop(self, gone: int) -> None:
        cut = bisect_right(self.times, gone)
        del self.times[:cut], self.cells[:cut]


class MemoryStore(LiveStore, Turn):
    """A store of this process alone; threads take turns.

    >>> from engine.record import Field, Record
    >>> from engine.values import DATETIME, TEXT
    >>> record = Record("r", "1.0.0", "UTC", ("id",), "at", (Field("id", TEXT), Field("at", DATETIME)))
    >>> with MemoryStore((), record, None) as store:
    ...     store.observe({"id": "T1", "at": 0})
    {}
    """

    def __init__(self, groups: Sequence[BoundFeatures], record: Record, since: int | None) -> None:
        super().__init__(groups, record)
        self._lock = threading.Lock()
        self._since = since
        self._events: dict[Key, tuple[bytes, Row]] = {}
        self._known: dict[tuple[int, Key], tuple[int, int]] = {}
        self._lanes: dict[tuple[int, int, Key], _Lane] = {}
        self._open = True

    def atomic(self, asked: Asked, record: bool, work: Callable[[Turn], Row]) -> Row:
        with self._lock:
            if not self._open:
                raise StoreError("the store is closed")
            return work(self)

    def release(self) -> None:
        with self._lock:
            self._open = False
            self._events, self._known, self._lanes = {}, {}, {}

    def seen(self, key: Key) -> tuple[bytes, Row] | None:
        found = self._events.get(key)
        return None if found is None else (found[0], dict(found[1]))

    def since(self) -> int | None:
        return self._since

    def known(self, history: int, key: Key) -> tuple[int, int] | None:
        return self._known.get((history, key))

    def rows(self, history: int, slot: int, key: Key, after: int, upto: int) -> tuple[list[int], list[Any]]:
        lane = self._lanes.get((history, slot, key))
        return ([], []) if lane is None else lane.between(after, upto)

    def write(self, event: Event) -> None:
        self._since = event.since
        self._events[event.key] = (event.content, dict(event.answer))
        for entry in event.entries:
            self._known[entry.history, entry.key] = (entry.oldest, entry.newest)
            for slot, cell in enumerate(entry.cells):
                place = (entry.history, slot, entry.key)
                if cell is not OUT:
                    self._lanes.setdefault(place, _Lane()).add(entry.time, cell)
                if place in self._lanes:
                    self._lanes[place].drop(entry.gone[slot])
