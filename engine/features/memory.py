"""A log of this process alone: it knows the events again, and nothing is left of it when the process ends."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any, Final

from engine.features.log import Log, Measured, Told

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.features.log import Assumed, Event, Found, Key


_WEIGHED: Final = 200
"""So many things are weighed where there are more."""


class MemoryLog(Log):
    """What it keeps are the answers; the rows are where the store answers from."""

    lasting = False

    def __init__(self, since: int | None) -> None:
        self._since = since
        self.events: dict[Key, tuple[Any, ...]] = {}
        """Of every event the hash of its content and the values it was told; a `Told` where events are corrected."""
        self._notes: dict[str, str] = {}

    def since(self) -> int | None:
        return self._since

    def seen(self, key: Key) -> Told | None:
        found = self.events.get(key)
        return found if found is None or isinstance(found, Told) else Told(found[0], found[1:])

    def append(self, event: Event, assumed: Assumed) -> Found | None:
        self.events[event.key] = event.told if event.told.revision is not None else (event.told.content, *event.told.answer)
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
        return Measured(0, 0, len(self.events), sys.getsizeof(self.events) + weighed(self.events.items()))

    def close(self, failed: bool = False) -> None:
        self.events, self._notes = {}, {}


def weighed(things: Collection[Any], *shared: Any) -> int:
    """Bytes that things take with all they hold but what is shared, from some of them all over.

    >>> weighed([[1000]] * 3) >= 3 * 60
    True
    """
    step, seen = max(1, len(things) // _WEIGHED), {id(one) for one in shared}
    some = list(itertools.islice(things, 0, None, step))
    return sum(_weight(thing, seen) for thing in some) * len(things) // max(1, len(some))


def _weight(thing: Any, seen: set[int]) -> int:
    if id(thing) in seen or thing is None:
        return 0
    seen.add(id(thing))
    inside: list[Any] = []
    if isinstance(thing, dict):
        inside = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple):
        inside = list(thing)
    elif hasattr(thing, "__slots__"):
        inside = [getattr(thing, name) for name in thing.__slots__ if hasattr(thing, name)]
    return sys.getsizeof(thing) + sum(_weight(one, seen) for one in inside)
