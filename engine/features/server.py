"""What logs on servers have in common: one question on one connection, and what follows where that breaks.

A server keeps of a lane its changes, numbered one after the other. One process after another appends to them; whoever comes later is told
what happened since.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.errors import StoreDown, StoreError
from engine.features.cells import Coding
from engine.features.log import CLOSED, Entered, Found, Kept, Left, Log, More, check_features
from engine.features.sliding import NOTHING, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from engine.features.log import Assumed, Change, Event, Key, Lane, Told
    from engine.features.spec import Layout

T = TypeVar("T")
SCHEMA: Final = 2
SECONDS: Final = 5
"""How long connecting may take, and one answer, unless address or server say otherwise."""
_UNKNOWN: Final = -1
"""Where a lane stands of which nothing is believed."""
_HASH: Final = 16


class ServerLog(Log):
    """A log on the server at `place`. `_made` says which history it is: another is there once it was lost, or built anew."""

    def __init__(self, place: str, layout: Layout, broken: type[Exception], afresh: bool) -> None:
        self.place, self._layout, self._coding, self._afresh = place, layout, Coding(layout), afresh
        self._broken = broken
        """The library's error for a connection that broke, and perhaps for more."""
        self._closed, self._made = False, ""
        self._connection: Any = None
        self._anew = False
        """Whether the server may have lost what it said: it may have been started again since. Nobody has been told yet."""

    def append(self, event: Event, assumed: Assumed) -> Found | None:
        return self._said(event.key, assumed, event)

    def look(self, key: Key | None, assumed: Assumed) -> Found | None:
        return self._said(key, assumed, None)

    def _said(self, key: Key | None, assumed: Assumed, event: Event | None) -> Found | None:
        def ask() -> Found | None:
            if not self._anew:
                return self._ask(key, assumed, event)
            found = self._ask(key, assumed._replace(lanes=dict.fromkeys(assumed.lanes, _UNKNOWN)), None)
            self._anew = False
            return Found(None, assumed.since, {}, anew=True) if found is None else found._replace(anew=True)

        return self._turn(ask)

    def _turn(self, work: Callable[[], T]) -> T:
        """Do work on the connection; once more on another where that broke, for it may be dead though the server lives."""
        if self._closed:
            raise StoreError(CLOSED)
        with self._trouble():
            if self._connection is not None:
                try:
                    return work()
                except self._broken:
                    if self._connection is not None:
                        raise
            if self._afresh:  # what it had said may be lost
                raise StoreError(f"the store `{self.place}` was not built to its end: its connection broke; build it again")
            self._connect()
            self._anew = True
            return work()

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

    @abstractmethod
    def _replace(self) -> None:
        """Put what was built afresh in the place of what is there."""

    def close(self, failed: bool = False) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if self._afresh and not failed:
                with self._trouble():
                    self._replace()
        finally:
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
        content: bytes = told.content
        return content + (answer if places is None else f"{answer}\n{places}").encode()

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
