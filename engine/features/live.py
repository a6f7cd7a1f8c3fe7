"""How one event meets history: which rows its windows hold, what they say, and what the event leaves behind.

The stores only keep and find rows; nothing here knows where. A store's turn makes reading and writing one atomic step.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from engine.backends import single
from engine.errors import InputError, StoreError
from engine.features import aggregate
from engine.features.spec import BoundFeatures, History, Layout, Measure, Slot, formula_steps
from engine.plan import NOW, Row
from engine.values import INTEGER, Money, Value, first, known, missing, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from engine.record import Record

LATE: Final = missing("late")

Key = tuple[Value, ...]


class Doubt(NamedTuple):
    """A row that a slot cannot take at its word: `sure` where `where` holds but the value is not known; else `where` is missing, and
    `value` is none where that is not known either."""

    sure: bool
    value: Value


class Entry(NamedTuple):
    """What an event leaves in one history: for each slot its value, a `Doubt`, or ``OUT`` where the row does not count.

    `gone` gives for each slot the last moment that no later window can see.
    """

    history: int
    key: Key
    time: int
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


OUT: Final = object()


class Turn(ABC):
    """One event's view of the rows kept, from its first read to its write."""

    @abstractmethod
    def seen(self, key: Key) -> tuple[bytes, Row] | None:
        """Content and answer of the event with this key, if it has been observed."""

    @abstractmethod
    def since(self) -> int | None:
        """The first moment of complete history; none while nothing is known of it."""

    @abstractmethod
    def newest(self, history: int, key: Key) -> int | None:
        """The newest time that has entered this key's history."""

    @abstractmethod
    def cells(self, history: int, slot: int, key: Key, after: int, upto: int) -> list[Any]:
        """What a slot keeps of the rows with ``after < time <= upto``: a fresh list of values and doubts."""

    @abstractmethod
    def write(self, event: Event) -> None:
        """Keep everything of this event; called at most once."""


class LiveStore(ABC):
    """A store as `engine.features.store.Store` describes it, but for the keeping of rows."""

    def __init__(self, groups: Sequence[BoundFeatures], record: Record) -> None:
        self.layout = Layout(record, tuple(groups))
        self._judges = [_judge(history) for history in self.layout.histories]
        self._formulas = formula_steps(self.layout)
        self._fields = tuple(sorted(field.name for field in record.fields))

    @abstractmethod
    def turn(self, record: bool) -> AbstractContextManager[Turn]:
        """One atomic step; leaving it by an exception, or without `record`, undoes it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the rows or of the file; safe to call twice."""

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
        was observed with other content; `StoreError` where the rows cannot be read or kept.
        """
        key = self._key(row)
        row = {**row, NOW: row[self.layout.record.time]}
        content = content_hash(row, self._fields)
        judged = [judge(row) for judge in self._judges]
        with self.turn(record) as turn:
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

    def _key(self, row: Row) -> Key:
        record = self.layout.record
        for name in (*record.key, record.time):
            if not known(row[name]):
                raise InputError(f"an event needs `{name}`: it is {row[name]!r}")
        return tuple(row[name] for name in record.key)

    def _meet(self, row: Row, since: int, judged: list[tuple[Any, ...]], turn: Turn) -> tuple[Row, list[Entry]]:
        values: Row = {}
        entries = []
        for index, history in enumerate(self.layout.histories):
            key = tuple(row[name] for name in history.per)
            time, newest = row[NOW], None
            lack = None if all(map(known, key)) else first(key)
            if lack is None:
                newest = turn.newest(index, key)
                lack = LATE if newest is not None and time < newest - self.layout.late else None
            if lack is not None:
                values.update((measure.column, lack) for measure in history.measures)
                continue
            for measure in history.measures:
                after = measure.start(time)
                cells = turn.cells(index, measure.slot, key, after, time)
                if judged[index][measure.slot] is not OUT:
                    cells.append(judged[index][measure.slot])
                values[measure.column] = conclude(measure, cells, after + 1 < since, row)
            newest = time if newest is None else max(newest, time)
            gone = tuple(newest - self.layout.late - reach for reach in history.reaches)
            entries.append(Entry(index, key, time, newest, judged[index], gone))
        return values, entries

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


def _judge(history: History) -> Callable[[Row], tuple[Any, ...]]:
    """From a row to the cells of a history's slots."""
    judges = [_judge_slot(slot) for slot in history.slots]
    return lambda row: tuple(judge(row) for judge in judges)


def _judge_slot(slot: Slot) -> Callable[[Row], Any]:
    where = None if slot.where is None else single.compile_expr(slot.where)
    of = None if slot.of is None else single.compile_expr(slot.of)

    def judge(row: Row) -> Any:
        truth = True if where is None else where(row)
        if truth is False:
            return OUT
        value = True if of is None else of(row)
        if truth is True and known(value):
            return value
        return Doubt(truth is True, value if known(value) else None)

    return judge


# --- from the rows of a window to the value ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Window:
    """The rows of one window: values of rows that are in, values of rows that may be, and how many of each have no known value."""

    sure: list[Any]
    maybe: list[Any]
    sure_lacks: int
    maybe_lacks: int

    @property
    def unsure(self) -> bool:
        return bool(self.maybe) or self.maybe_lacks > 0

    @property
    def lacking(self) -> bool:
        return self.sure_lacks + self.maybe_lacks > 0


def _sorted_out(cells: list[Any]) -> _Window:
    doubts = [cell for cell in cells if cell.__class__ is Doubt]
    if not doubts:
        return _Window(cells, [], 0, 0)
    sure = [cell for cell in cells if cell.__class__ is not Doubt]
    sure_lacks = sum(doubt.sure for doubt in doubts)
    maybe = [doubt.value for doubt in doubts if doubt.value is not None]
    return _Window(sure, maybe, sure_lacks, len(doubts) - sure_lacks - len(maybe))


def conclude(measure: Measure, cells: list[Any], short: bool, row: Row) -> Value:
    """The measure's value from the cells of its window; `row` is the event that asks."""
    return _CONCLUDE[measure.aggregate.function](measure, _sorted_out(cells), short, row)


def _count(_: Measure, window: _Window, short: bool, row: Row) -> Value:
    return aggregate.count(len(window.sure) + window.sure_lacks, len(window.maybe) + window.maybe_lacks, short)


def _distinct(_: Measure, window: _Window, short: bool, row: Row) -> Value:
    sure = set(window.sure)
    return aggregate.count(len(sure), len(sure.union(window.maybe)) - len(sure) + window.sure_lacks + window.maybe_lacks, short)


def _sum(measure: Measure, window: _Window, short: bool, row: Row) -> Value:
    of = measure.aggregate.of
    type_ = INTEGER if of is None else of.type

    def add(values: list[Any]) -> Value:
        if type_.by is not None:
            return aggregate.total(aggregate.currency_sum(values, row[type_.by]), type_)
        if type_.kind == "number":
            return exact_sum(values)
        return aggregate.total(sum(values), type_)

    low = add(window.sure)
    high = add(window.sure + window.maybe) if window.maybe else low
    unsure, lacking = window.unsure, window.lacking
    return aggregate.summed(low, high, unsure=unsure, lacking=lacking, short=short, bounded=measure.aggregate.bounded)


def exact_sum(values: list[float]) -> Value:
    """The float64 nearest to the true sum, whatever the order; missing where that is out of range.

    >>> exact_sum([1e308, 1e308, -1e308]), exact_sum([0.1] * 10), exact_sum([1e308, 1e308])
    (1e+308, 1.0, missing (overflow))
    """
    try:
        return math.fsum(values) + 0.0
    except OverflowError:
        pass  # fsum also gives up where only a partial sum is out of range
    try:
        return float(sum(map(Fraction, values), Fraction(0)))
    except OverflowError:
        return missing("overflow")


def _max(measure: Measure, window: _Window, short: bool, row: Row) -> Value:
    of = measure.aggregate.of
    scale = 1 if of is None else of.type.scale

    def top(values: list[Any]) -> Value:
        if not values:
            return missing("empty")
        if values[0].__class__ is Money and len({value.currency for value in values}) > 1:
            return missing("currency")
        return max(values) if scale == 1 else settle(max(values), scale)

    low = top(window.sure)
    high = top(window.sure + window.maybe) if window.maybe else low
    return aggregate.largest(low, high, unsure=window.unsure, lacking=window.lacking, short=short)


_CONCLUDE: Final[dict[str, Callable[[Measure, _Window, bool, Row], Value]]] = {
    "count": _count,
    "sum": _sum,
    "distinct": _distinct,
    "max": _max,
}


def failed(place: str, error: Exception) -> StoreError:
    """A store's own trouble, in one line."""
    return StoreError(f"the store `{place}` cannot be used: {str(error).lower().rstrip('.')}")
