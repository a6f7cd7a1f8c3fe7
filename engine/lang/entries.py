"""The entries of a list that have dates of their own. It knows neither files nor how a list is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.values import Value

Days = tuple[int | None, int | None]
"""From a day to a day, both included, in days since 1970-01-01; an open end is none."""


def holds(days: Days, day: int) -> bool:
    """Whether the day lies in the span.

    >>> holds((10, None), 10), holds((10, 12), 13), holds((None, 12), 12)
    (True, False, True)
    """
    return (days[0] is None or day >= days[0]) and (days[1] is None or day <= days[1])


class Entries(Mapping["Value", tuple[Days, ...]]):
    """Each entry with the spans in which it is on the list. It never changes, so that it can be part of a typed program.

    >>> watched = Entries({"A1": ((10, 20), (30, None))})
    >>> watched.has("A1", 20), watched.has("A1", 25), watched.has("B2", 20), watched == Entries({"A1": ((10, 20), (30, None))})
    (True, False, False, True)
    """

    __slots__ = ("_hash", "_spans")

    def __init__(self, spans: Mapping[Value, tuple[Days, ...]]) -> None:
        self._spans = dict(spans)
        self._hash: int | None = None

    def has(self, value: Value, day: int) -> bool:
        """Whether the value is on the list on a day."""
        spans = self._spans.get(value)
        return spans is not None and any(holds(days, day) for days in spans)

    def __getitem__(self, value: Value) -> tuple[Days, ...]:
        return self._spans[value]

    def __iter__(self) -> Iterator[Value]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Entries) and self._spans == other._spans)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._spans))
        return self._hash
