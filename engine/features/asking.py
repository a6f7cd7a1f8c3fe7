"""What one event will ask of history, known before the first row is read: so that a store far away can fetch all of it in one go."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.features.windows import FOREVER
from engine.plan import NOW
from engine.values import Missing, known

if TYPE_CHECKING:
    from engine.features.live import Key
    from engine.features.spec import Layout, Slot
    from engine.features.windows import Reach
    from engine.plan import Row

LAST: Final = 2**63 - 1
"""The last moment there is."""

Lane = tuple[int, "Key"]
"""One key's part of one history."""


class Span(NamedTuple):
    """The rows of one slot under one key with ``after < time <= upto``."""

    history: int
    slot: int
    key: Key
    after: int
    upto: int


class Asking:
    """What events ask of the histories of a layout; made once."""

    def __init__(self, layout: Layout) -> None:
        self.histories = layout.histories
        self.forgets = [tuple(map(_forgets_by_rows, history.slots, history.reaches)) for history in self.histories]
        """For each slot whether only its rows say which of them no later event can see."""


def _forgets_by_rows(slot: Slot, reaches: tuple[Reach, ...]) -> bool:
    return not slot.looks and not all(reach.by_time for reach in reaches)


class Asked:
    """What the event in `row` asks; `key` is the record's key."""

    def __init__(self, asking: Asking, row: Row, key: Key) -> None:
        self._asking, self._row, self.key = asking, row, key

    @cached_property
    def lanes(self) -> tuple[Lane, ...]:
        """Every lane it looks at or enters."""
        looked = [(index, key) for index in range(len(self._asking.histories)) if (key := self._looks_at(index)) is not None]
        return tuple(dict.fromkeys(looked + [(index, key) for index in range(len(self._asking.histories)) for key in self._enters(index)]))

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """All rows it may read: one span for each slot under each key."""
        found: dict[tuple[int, int, Key], tuple[int, int]] = {}
        for index, history in enumerate(self._asking.histories):
            looked = self._looks_at(index)
            if looked is not None:
                for slot, reaches in enumerate(history.reaches):
                    for reach in reaches:
                        _widen(found, (index, slot, looked), self._bounds(reach))
            for key in self._enters(index):
                for slot, forgets in enumerate(self._asking.forgets[index]):
                    if forgets:
                        _widen(found, (index, slot, key), (FOREVER, LAST))
        return tuple(Span(*place, *bounds) for place, bounds in found.items())

    def _looks_at(self, index: int) -> Key | None:
        key = tuple(self._row[name] for name in self._asking.histories[index].per)
        return key if all(map(known, key)) else None

    def _enters(self, index: int) -> list[Key]:
        return list(self._asking.histories[index].keys(self._row))

    def _bounds(self, reach: Reach) -> tuple[int, int] | None:
        bounds = reach.bounds(self._row[NOW], None if reach.window.field is None else self._row[reach.window.field])
        return None if isinstance(bounds, Missing) or bounds[0] >= bounds[1] else (max(FOREVER, bounds[0]), bounds[1])


def _widen(found: dict[tuple[int, int, Key], tuple[int, int]], place: tuple[int, int, Key], bounds: tuple[int, int] | None) -> None:
    if bounds is not None:
        after, upto = found.get(place, bounds)
        found[place] = min(after, bounds[0]), max(upto, bounds[1])
