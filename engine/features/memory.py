"""A log of this process alone: it knows the events again, and nothing is left of it when the process ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from engine.features.log import Log, Measured, Told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.features.log import Assumed, Event, Found, Key


class MemoryLog(Log):
    """What it keeps are the answers; the rows are where the store answers from."""

    lasting = False

    def __init__(self, since: int | None) -> None:
        self._since = since
        self.events: dict[Key, tuple[Any, ...]] = {}
        """Of every event the hash of its content and the answer, and what else `Told` has where events are corrected."""
        self._notes: dict[str, str] = {}

    def since(self) -> int | None:
        return self._since

    def seen(self, key: Key) -> Told | None:
        found = self.events.get(key)
        return None if found is None else Told(*found)

    def append(self, event: Event, assumed: Assumed) -> Found | None:
        self.events[event.key] = event.told if event.told.revision is not None else event.told[:2]
        return None

    def look(self, key: Key | None, assumed: Assumed) -> Found | None:
        return None

    def notes(self, names: Sequence[str]) -> list[str | None]:
        return [self._notes.get(name) for name in names]

    def note(self, changes: Mapping[str, tuple[str | None, str]]) -> bool:
        if any(self._notes.get(name) != before for name, (before, _) in changes.items()):
            return False
        self._notes.update((name, after) for name, (_, after) in changes.items())
        return True

    def measured(self) -> Measured:
        return Measured(0, 0, len(self.events), sys.getsizeof(self.events))

    def close(self, failed: bool = False) -> None:
        self.events, self._notes = {}, {}
