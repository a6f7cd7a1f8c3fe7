"""What logs on servers have in common: one question on one connection, and what follows where that breaks.

A server keeps of a lane its changes, numbered one after the other. One process after another appends to them; whoever comes later is told
what happened since.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.errors import StoreDown, StoreError
from engine.features.cells import Coding, name
from engine.features.log import CLOSED, Entered, Found, Kept, Left, Log, More, check_features
from engine.features.sliding import NOTHING, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from engine.features.log import Assumed, Change, Event, Key, Lane, Told
    from engine.features.spec import Layout

_T = TypeVar("_T")
SCHEMA: Final = 2
SECONDS: Final = 5
"""How long connecting may take, and one answer, unless address or server say otherwise."""
_UNKNOWN: Final = -1
"""Where a lane stands of which nothing is believed."""
_HASH: Final = 16


class ServerLog(Log):
    """A log on the server at `place`. `_made` says which history it is: another is there once it was lost, or built anew."""

    def __init__(self, place: str, layout: Layout, broken: type[Exception]) -> None:
        self.place, self._layout, self._coding = place, layout, Coding(layout)
        self._broken = broken
        """The library's error for a connection that broke, and perhaps for more."""
        self._closed, self._made = False, ""
        self._connection: Any = None

    def append(self, event: Event, assumed: Assumed) -> Found | None:
        return self._said(event.key, assumed, event)

    def look(self, key: Key | None, assumed: Assumed) -> Found | None:
        return self._said(key, assumed, None)

    def _said(self, key: Key | None, assumed: Assumed, event: Event | None) -> Found | None:
        if self._closed:
            raise StoreError(CLOSED)
        with self._trouble():
            if self._connection is not None:
                try:
                    return self._ask(key, assumed, event)
                except self._broken:  # a connection may be dead though the server lives; then it is given up
                    if self._connection is not None:
                        raise
            # the server may have been started again, and be back without what it said last
            self._connect()
            found = self._ask(key, assumed._replace(lanes=dict.fromkeys(assumed.lanes, _UNKNOWN)), None)
            return Found(None, assumed.since, {}, anew=True) if found is None else found._replace(anew=True)

    def notes(self, names: Sequence[str]) -> list[str | None]:
        return self._twice(lambda: self._noted([name(one) for one in names]))

    def note(self, changes: Mapping[str, tuple[str | None, str]]) -> bool:
        # done again it does nothing, and says that something else stands there: what it wrote itself
        return self._twice(lambda: self._note([(name(one), before, after) for one, (before, after) in changes.items()]))

    def _twice(self, ask: Callable[[], _T]) -> _T:
        """One round trip, on a new connection where the one that was there is dead."""
        if self._closed:
            raise StoreError(CLOSED)
        with self._trouble():
            if self._connection is not None:
                try:
                    return ask()
                except self._broken:
                    if self._connection is not None:
                        raise
            self._connect()
            return ask()

    @abstractmethod
    def _noted(self, names: list[str]) -> list[str | None]:
        """The texts under these names."""

    @abstractmethod
    def _note(self, changes: list[tuple[str, str | None, str]]) -> bool:
        """Put texts in the place of others, under these names, if those stand there."""

    @abstractmethod
    def _ask(self, key: Key | None, assumed: Assumed, event: Event | None) -> Found | None:
        """One round trip: look at everything, and append the event, if one is given and all stands as assumed."""

    @abstractmethod
    def _connect(self) -> None:
        """Make a new connection."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Give the connection up, if there is one."""

    @abstractmethod
    def _trouble(self) -> AbstractContextManager[None]:
        """Turns errors of the library into `StoreDown` and `StoreError`."""

    def close(self, failed: bool = False) -> None:
        if not self._closed:
            self._closed = True
            self._disconnect()

    def _check(self, facts: Sequence[str | None]) -> int | None:
        """Take over which history it is, from its schema, features, beginning and name; since when it is complete."""
        if facts[0] is None:
            raise self._lost()
        schema, features, since, made = facts
        check_features(self.place, schema, str(SCHEMA), features, self._layout.fingerprint)
        self._made = made or ""
        return None if since is None else int(since)

    def _lost(self) -> StoreDown:
        return StoreDown(f"the store `{self.place}` is down: it has lost its history; open it again, and rebuild it from history")

    # --- to and from what is kept -----------------------------------------------------------------------------------------

    def _kept(self, event: Event) -> bytes:
        """An event as it is kept: first the hash of what it said."""
        told = event.told
        places = self._coding.places(told)
        answer = self._coding.answer(told.answer)
        return told.content + (answer if places is None else f"{answer}\n{places}").encode()

    def _told(self, kept: bytes) -> Told:
        answer, _, places = kept[_HASH:].partition(b"\n")
        return self._coding.told(kept[:_HASH], answer, places or None)

    def _stood(self, lane: Lane, assumed: int, first: int, changes: Sequence[bytes]) -> Kept | More:
        """A lane of which these changes from number `first` on are kept, to one that assumed another number: what happened since, if that
        is known, else all of it."""
        if not changes:
            return Kept(NOTHING, ())
        found = self._coding.changes(lane[0], changes)
        oldest, newest, _ = found[-1]
        standing = Standing(oldest, newest, first + len(changes) - 1)
        steps = [step for _, _, steps in found for step in steps]
        return More(standing, steps) if assumed > 0 and first == assumed + 1 else Kept(standing, _still_there(steps))


def change_time(change: Change) -> int:
    """When a change is gone: the time of its row, or of the newest there is."""
    return change.standing.newest if change.row is None else change.row.time


def _still_there(steps: Sequence[Entered | Left]) -> list[Entered]:
    rows: list[Entered] = []
    for step in steps:
        if isinstance(step, Entered):
            rows.append(step)
            continue
        place = next((place for place in reversed(range(len(rows))) if rows[place][:2] == step), None)
        if place is not None:
            del rows[place]
    return rows
