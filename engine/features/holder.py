"""What rules with `once` ask for a single event: the store that holds its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.backends.holding import UNAVAILABLE, Answer
from engine.errors import StoreDown
from engine.features.missed import LOG
from engine.values import Missing, known

if TYPE_CHECKING:
    from engine.backends.holding import Ask
    from engine.features.passed import Passing
    from engine.features.store import Store
    from engine.plan import Row


class LiveHolder:
    """Asks a store for one event, or for a tick, which has no key; while that is down every hit is let through."""

    def __init__(self, store: Store, passing: Passing, row: Row, record: bool) -> None:
        self._store, self._passing, self._record = store, passing, record
        self._row = row

    def ask(self, ask: Ask) -> Answer:
        """The answer of the store. Raises `StoreError` where it cannot be used."""
        key, revision = [self._row[name] for name in self._passing.record.key], self._passing.record.revision
        event = self._passing.event(key) if all(map(known, key)) else None
        question = self._passing.question(ask, event, None if revision is None or event is None else self._row[revision])
        if isinstance(question, Missing):
            return Answer(question)
        try:
            return self._store.hold(question, self._record)
        except StoreDown as error:
            LOG.warning("a hit is let through, since nobody knows of an earlier one: %s", error)
            return UNAVAILABLE
