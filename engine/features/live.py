"""How one event meets history: which rows its windows hold, what they say, and what the event leaves behind.

What is kept of a row is judged in `judging`, which rows a window holds is settled in `picking`, what they say in `concluding`. The
stores only keep and find rows; nothing here knows where. A store makes reading and writing one atomic step.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from engine.errors import InputError, StoreDown, StoreError
from engine.features.asking import Asked, Asking
from engine.features.concluding import conclude
from engine.features.judging import OUT, Cell, Judge
from engine.features.missed import LOG, Missed
from engine.features.picking import Picked, gone_events, gone_since_event, last_events, since_event, without
from engine.features.spec import BoundFeatures, History, Layout, Measure, formula_steps
from engine.features.windows import FOREVER, Clock, Reach
from engine.plan import NOW, Row
from engine.values import Missing, Value, first, known, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.record import Record

LATE: Final = missing("late")

Key = tuple[Value, ...]


class Entry(NamedTuple):
    """What an event leaves in one history: for each slot its cell.

    `oldest` and `newest` are the key's with this row; `gone` gives for each slot the last moment that no later window can see.
    """

    history: int
    key: Key
    time: int
    oldest: int
    newest: int
    cells: tuple[Any, ...]
    gone: tuple[int, ...]


class Event(NamedTuple):
    """All that an event leaves: its key and content, the answer it got, since when history is complete, and its entries."""

    key: Key
    content: bytes
    answer: Row
    since: int
    entries: tuple[Entry, ...]


class Turn(ABC):
    """One event's view of the rows kept, from its first read to its write."""

    @abstractmethod
    def seen(self, key: Key) -> tuple[bytes, Row] | None:
        """Content and answer of the event with this key, if it has been observed."""

    @abstractmethod
    def since(self) -> int | None:
        """The first moment of complete history; none while nothing is known of it."""

    @abstractmethod
    def known(self, history: int, key: Key) -> tuple[int, int] | None:
        """The oldest and the newest time that have entered this key's history; none while nothing has."""

    @abstractmethod
    def rows(self, history: int, slot: int, key: Key, after: int, upto: int) -> tuple[list[int], list[Cell]]:
        """What a slot keeps of the rows with ``after < time <= upto``: fresh lists of their times and cells, by time and arrival."""

    @abstractmethod
    def write(self, event: Event) -> None:
        """Keep everything of this event; called at most once."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One event looking at one key's history; `oldest` is the time of the first row that ever entered it, `sights` what measures saw."""

    row: Row
    since: int
    turn: Turn
    history: int
    key: Key
    oldest: int | None
    sights: dict[int, Picked | Missing] = field(default_factory=dict)

    def old_enough(self, kind: str, length: int, unit: str, clock: Clock) -> bool:
        """Whether the key has been there for as long as is needed."""
        return kind != "history" or (self.oldest is not None and self.oldest <= clock.back(self.row[NOW], length, unit))


class LiveStore(ABC):
    """A store as `engine.features.store.Store` describes it, but for the keeping of rows.

    While it is down, the events it should have remembered wait in this process, and enter history before the next answer.
    """

    def __init__(self, groups: Sequence[BoundFeatures], record: Record) -> None:
        self.layout = Layout(record, tuple(groups))
        self._judges = [[Judge(slot) for slot in history.slots] for history in self.layout.histories]
        self._formulas = formula_steps(self.layout)
        self._fields = tuple(sorted(field.name for field in record.fields))
        self._asking = Asking(self.layout)
        self._missed = Missed()

    @abstractmethod
    def atomic(self, asked: Asked, record: bool, work: Callable[[Turn], Row]) -> Row:
        """Do `work` in one atomic step, whose rows are what `asked` says; an exception, or not to `record`, undoes it.

        The work may be done again from the start. Raises `StoreDown` for trouble that passes.
        """

    @abstractmethod
    def release(self) -> None:
        """Let go of the rows or of the file; safe to call twice."""

    def close(self) -> None:
        """Let go of the store; what it missed while it was down is tried a last time. Safe to call twice."""
        try:
            self._missed.catch_up(self._observe, at_once=True)
        except StoreError as error:
            LOG.error("%d events never entered history, send them again: %s", self._missed.forget(), error)
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serves(self, groups: Sequence[BoundFeatures]) -> bool:
        """Whether every one of these feature sets is among those the store was opened for."""
        mine = {group.fingerprint for group in self.layout.groups}
        return all(group.fingerprint in mine for group in groups)

    def observe(self, row: Row, record: bool = True) -> Row:
        """The features of one event, which is then part of history; without `record` nothing is left behind.

        An event that was observed before gets the answer it got then. Raises `InputError` where key or time are missing, or where the key
        was observed with other content; `StoreError` where the rows cannot be read or kept, `StoreDown` where that is so for now.
        """
        key = self._key(row)
        try:
            self._missed.catch_up(self._observe)
            return self._observe(row, record, key)
        except StoreDown as error:
            self._missed.note(row if record else None, error)
            raise

    def _observe(self, row: Row, record: bool = True, key: Key | None = None) -> Row:
        key = self._key(row) if key is None else key
        row = {**row, NOW: row[self.layout.record.time]}
        content = content_hash(row, self._fields)
        judged = [tuple(judge.observe(row) for judge in judges) for judges in self._judges]

        def work(turn: Turn) -> Row:
            before = turn.seen(key)
            if before is not None:
                if before[0] != content:
                    raise other_content(self.layout.record, key)
                return before[1]
            since = turn.since()
            since = row[NOW] if since is None else since
            values, entries = self._meet(row, since, judged, turn)
            answer = self._answer(row, values)
            if record:
                turn.write(Event(key, content, answer, since, tuple(entries)))
            return answer

        return self.atomic(Asked(self._asking, row, key), record, work)

    def _key(self, row: Row) -> Key:
        record = self.layout.record
        for name in (*record.key, record.time):
            if not known(row[name]):
                raise InputError(f"an event needs `{name}`: it is {row[name]!r}")
        return tuple(row[name] for name in record.key)

    def _meet(self, row: Row, since: int, judged: list[tuple[Cell, ...]], turn: Turn) -> tuple[Row, list[Entry]]:
        values: Row = {}
        entries: list[Entry] = []
        for index, history in enumerate(self.layout.histories):
            keys = list(history.keys(row))
            key = tuple(row[name] for name in history.per)
            lack = None if all(map(known, key)) else first(key)
            there = None if lack is not None else turn.known(index, key)
            if there is not None and row[NOW] < there[1] - self.layout.late:
                lack = LATE
            if lack is None:
                look = _Look(row, since, turn, index, key, None if there is None else there[0])
                for measure in history.measures:
                    own = judged[index][measure.slot] if key in keys else OUT
                    values[measure.column] = self._value(measure, look, own)
            else:
                values.update((measure.column, lack) for measure in history.measures)
            for entered in keys:
                entries += self._entry(index, history, entered, row[NOW], judged[index], turn)
        return values, entries

    def _value(self, measure: Measure, look: _Look, own: Cell) -> Value:
        """What a measure says to the event that looks, of which it keeps `own`."""
        if measure.aggregate.needs is not None and not look.old_enough(*measure.aggregate.needs, measure.reach.clock):
            return missing("short history")
        picked = look.sights.get(measure.sight)
        if picked is None:
            picked = look.sights[measure.sight] = self._picked(measure, look, own)
        return picked if isinstance(picked, Missing) else conclude(measure, picked, look.row)

    def _picked(self, measure: Measure, look: _Look, own: Cell) -> Picked | Missing:
        """The rows a measure sees; the cause where its window has no beginning."""
        window, time = measure.reach.window, look.row[NOW]
        bounds = measure.reach.bounds(time, look.row[window.field] if window.field is not None else None)
        if isinstance(bounds, Missing):
            return bounds
        after, upto = bounds
        times, cells = look.turn.rows(look.history, measure.slot, look.key, after, upto)
        included = own is not OUT and upto == time and after < upto and window.kind != "before"
        if included:
            times.append(time)
            cells.append(own)
        short = measure.reach.by_time and after < upto and after + 1 < look.since
        picked = Picked(times, cells, bounds, look.since, included, short)
        judge = self._judges[look.history][measure.slot]
        if judge.looks:
            picked.cells = judge.look(cells, look.row)
            picked = without(picked)
        if window.kind == "events":
            return last_events(picked, window.length)
        return since_event(picked) if window.kind == "since event" else picked

    def _entry(self, index: int, history: History, key: Key, time: int, cells: tuple[Cell, ...], turn: Turn) -> list[Entry]:
        """What an event leaves under one key: nothing where it is late for it."""
        oldest, newest = turn.known(index, key) or (time, time)
        if time < newest - self.layout.late:
            return []
        oldest, newest = min(oldest, time), max(newest, time)
        seen = newest - self.layout.late
        gone = tuple(min(self._gone(reach, index, slot, key, seen, turn) for reach in history.reaches[slot]) for slot in range(len(cells)))
        return [Entry(index, key, time, oldest, newest, cells, gone)]

    def _gone(self, reach: Reach, index: int, slot: int, key: Key, seen: int, turn: Turn) -> int:
        """The last moment that no later event sees through this window, where all of them are at `seen` or after it."""
        window = reach.window
        if reach.by_time:
            return reach.seen_before(seen)
        if self._judges[index][slot].looks:
            return FOREVER
        times, cells = turn.rows(index, slot, key, FOREVER, seen)
        return gone_events(times, cells, window.length) if window.kind == "events" else gone_since_event(times, cells)

    def _answer(self, row: Row, values: Row) -> Row:
        if self._formulas:
            seen = {**row, **values}
            for formula in self._formulas:
                answer = formula.one(seen)
                values.update(answer)
                seen.update(answer)
        return {column: values[column] for column in self.layout.types}


def other_content(record: Record, key: Key) -> InputError:
    """The error for an event whose key was observed with other content."""
    shown = ", ".join(f"`{name}` = {value!r}" for name, value in zip(record.key, key, strict=True))
    return InputError(f"an event with {shown} was there before with other content")


def content_hash(row: Row, names: Sequence[str]) -> bytes:
    """What the event says in these fields, as 16 bytes; fields that are absent do not count, so that a record may grow."""
    content = [(name, row[name]) for name in names if row[name] is not _ABSENT]
    return hashlib.blake2b(repr(content).encode(), digest_size=16).digest()


_ABSENT: Final = missing("absent")


def check_features(place: str, schema: str | None, reads: str, features: str | None, wanted: str, where: str) -> None:
    """Raises `StoreError` unless a store was made with the schema that is read here, for these features."""
    if schema != reads:
        raise StoreError(f"the store `{place}` has schema {schema or 'none'}, this engine reads {reads}; rebuild it from history {where}")
    if features != wanted:
        raise StoreError(f"the store `{place}` was made for other features; rebuild it from history {where}")


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
