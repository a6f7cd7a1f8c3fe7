"""What a live store does while it is down: it lets the events wait that it should have remembered. It knows no store."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from engine.errors import InputError, StoreDown

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.plan import Row

PAUSE: Final = 1.0
"""Seconds that a store which is down is left alone, so that decisions do not wait for it one after the other."""
MOST_MISSED: Final = 100_000
"""How many events wait; what comes after them is lost to history until it is sent again."""
LOG: Final = logging.getLogger("engine.history")
"""Where it is said that history is down, and that it is back."""


class Missed:
    """The events that a store should have remembered while it was down, in their order, and until when it is left alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: deque[Row] = deque()
        self._lost = 0
        self.down: StoreDown | None = None
        """Why events wait; none while they do not."""
        self._until = 0.0

    def catch_up(self, observe: Callable[[Row], Row], *, at_once: bool = False) -> None:
        """Observe them now. Raises `StoreDown` while the store is left alone, unless `at_once`, or where it is down still."""
        if self.down is None:
            return
        with self._lock:
            if self.down is None:
                return
            if time.monotonic() < self._until and not at_once:
                raise StoreDown(str(self.down))
            entered = 0
            while self._rows:
                entered += self._enter(observe)
            self.down = None
            LOG.warning("history is back: %d events that came meanwhile entered it; %d are lost, send them again", entered, self.forget())

    def _enter(self, observe: Callable[[Row], Row]) -> bool:
        entered = True
        try:
            observe(self._rows[0])
        except InputError as error:
            LOG.warning("an event that came while history was down did not enter it: %s", error)
            entered = False
        self._rows.popleft()
        return entered

    def note(self, row: Row | None, error: StoreDown) -> None:
        """The store is down; `row` is what it should have remembered."""
        with self._lock:
            if self.down is None or time.monotonic() >= self._until:
                self.down, self._until = error, time.monotonic() + PAUSE
            if row is not None and len(self._rows) < MOST_MISSED:
                self._rows.append(dict(row))
            elif row is not None:
                self._lost += 1

    def forget(self) -> int:
        """How many are lost, with those that still wait."""
        number, self._lost = self._lost + len(self._rows), 0
        self._rows.clear()
        return number
