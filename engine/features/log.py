"""What a live store keeps outside this process: a log of events, to which one is appended only while everything stands as it was assumed.

The pasts that answer live in this process (`live`). A log neither reads nor sums up what it keeps; it loads it again after a restart, and
where another process has written meanwhile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.errors import StoreDown, StoreError
from engine.values import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.features.looking import Cell
    from engine.features.sliding import Standing

Key = tuple[Value, ...]
Lane = tuple[int, Key]
"""One key's part of one history."""


class Entered(NamedTuple):
    """A row of a lane: its time, the key of its event, and what it is to each slot."""

    time: int
    key: Key
    cells: Sequence[Cell]


class Left(NamedTuple):
    """A row that left a lane, because its event was corrected: its time, and the key of the event."""

    time: int
    key: Key


class Kept(NamedTuple):
    """A lane as the log has it; `rows` by time and arrival, or by arrival alone."""

    standing: Standing
    rows: Sequence[Entered]


class More(NamedTuple):
    """What happened to a lane since it stood as was assumed, in order, and how it stands now."""

    standing: Standing
    steps: Sequence[Entered | Left]


class Place(NamedTuple):
    """Where a row of an event stands: in which lane, at what time, and which change of the lane it was."""

    lane: Lane
    time: int
    number: int


class Change(NamedTuple):
    """What an event does to one lane: how that stands then, the row that enters, none where no slot keeps it, the place of the row of an
    earlier version of the event, which leaves, and the last moment whose rows no later event sees, where it is time to look for that (else
    `FOREVER`)."""

    standing: Standing
    row: Entered | None
    leaves: Place | None
    gone: int


class Told(NamedTuple):
    """The newest version of an event: a hash of what it said, the answer it got, by column, and where events are corrected its revision,
    and the places of all rows of it that stand."""

    content: Any
    answer: tuple[Value, ...]
    revision: Value = None
    places: tuple[Place, ...] = ()


class Event(NamedTuple):
    """All that an event leaves: its key and what it was told, since when history is complete, and its changes."""

    key: Key
    told: Told
    since: int
    changes: Mapping[Lane, Change]


class Assumed(NamedTuple):
    """What an answer stands on: since when history is complete, how often each lane changed before that the event touches, and the hash of
    the version of it that is known, none where it is new."""

    since: int | None
    lanes: Mapping[Lane, int]
    content: Any = None


class Found(NamedTuple):
    """What stands otherwise than it was assumed: the event is there in another version, history is complete since another moment, these
    lanes changed. `anew` says that the log may have lost what it said before, as a server that was started again: nothing holds that was
    believed."""

    event: Told | None
    since: int | None
    lanes: Mapping[Lane, Kept | More]
    anew: bool = False


class Measured(NamedTuple):
    """How much is kept: keys of histories, their rows, events that are known again, and bytes, as far as that can be told; and the times of
    the oldest row that is kept and of the newest that ever entered, none where there is nothing."""

    keys: int
    rows: int
    events: int
    bytes: int
    oldest: int | None = None
    newest: int | None = None


class Log(ABC):
    """A log for one layout. All methods but `close` may raise `StoreError`, and `StoreDown` for trouble that passes; then nobody knows
    whether an event was appended. One caller at a time."""

    lasting = True
    """Whether what was appended can be loaded again."""

    @abstractmethod
    def since(self) -> int | None:
        """The first moment of complete history; none while nothing is known of it."""

    def seen(self, key: Key) -> Told | None:
        """The event with this key, if that is known without asking anybody."""
        return None

    @abstractmethod
    def append(self, event: Event, assumed: Assumed) -> Found | None:
        """Keep all of an event in one atomic step, instead of what was kept of an earlier version, if everything stands as assumed; else
        nothing, and say what does not."""

    @abstractmethod
    def look(self, key: Key | None, assumed: Assumed) -> Found | None:
        """The same without keeping anything; `key` is none where there is no event."""

    @abstractmethod
    def notes(self, names: Sequence[str]) -> list[str | None]:
        """The texts that stand under these names beside the events, none where nothing does."""

    @abstractmethod
    def note(self, changes: Mapping[str, tuple[str | None, str]]) -> bool:
        """Put new texts (the second) in the place of old ones (the first), all in one atomic step; false, and nothing has happened, where
        another one stands under one of these names."""

    @abstractmethod
    def measured(self) -> Measured: ...

    @abstractmethod
    def close(self, failed: bool = False) -> None:
        """Let go of it; safe to call twice. One that was opened afresh replaces what was there, unless its building `failed`."""


CLOSED: Final = "the store is closed"
_ANEW: Final = "rebuild it from history with `engine backfill`"


def check_features(place: str, schema: str | None, reads: str, features: str | None, wanted: str) -> None:
    """Raises `StoreError` unless a store was made with the schema that is read here, for these features."""
    if schema != reads:
        raise StoreError(f"the store `{place}` has schema {schema or 'none'}, this engine reads {reads}; {_ANEW}")
    if features != wanted:
        raise StoreError(f"the store `{place}` was made for other features; {_ANEW}")


def unfit(place: str) -> StoreError:
    """The error for rows that no engine wrote."""
    return StoreError(f"what the store `{place}` holds does not fit; {_ANEW}")


def check_since(place: str, given: int | None, there: int | None) -> None:
    """Raises `StoreError` where `history_from` is another than the store has."""
    if given is not None and given != there:
        raise StoreError(f"the store `{place}` has its history from another time; open it without `history_from`, or rebuild it")


def failed(place: str, error: Exception) -> StoreError:
    """A store's own trouble, in one line."""
    return StoreError(f"the store `{place}` cannot be used: {_one_line(error)}")


def down(place: str, error: Exception) -> StoreDown:
    """Trouble that passes, in one line."""
    return StoreDown(f"the store `{place}` is down: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).lower().rstrip(".") or type(error).__name__.lower()
