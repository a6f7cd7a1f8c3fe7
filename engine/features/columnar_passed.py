"""Hits of rules with `once` in one batch: what was let through is carried from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.backends.columnar_layout import unpacked
from engine.backends.holding import Answer
from engine.features.passed import Passed, Passing
from engine.features.store import HistoryFrom, complete_since
from engine.plan import NOW, ROW, TICK
from engine.values import Missing, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from polars import DataFrame

    from engine.backends.holding import Ask
    from engine.record import Record


class _Row(NamedTuple):
    """A row by its place in the batch: the key of its event, none where it is a tick, which version that is, and the row's time."""

    place: int
    key: tuple[Value, ...] | None
    revision: Value
    time: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a frame, by columns; the first stands at place `first`. `numbers` gives for what stands in `@row` which row it is."""

    first: int = 0
    numbers: Mapping[int, int] = field(default_factory=dict)
    keys: Sequence[Sequence[Value]] = ()
    ticks: Sequence[bool] | None = None
    revisions: Sequence[Value] | None = None
    times: Sequence[int] = ()

    def of(self, number: int) -> _Row:
        return self._row(self.numbers[number])

    def __iter__(self) -> Iterator[_Row]:
        return map(self._row, range(len(self.numbers)))

    def _row(self, at: int) -> _Row:
        if self.ticks is not None and self.ticks[at]:
            return _Row(self.first + at, None, None, self.times[at])
        key = tuple(part[at] for part in self.keys)
        return _Row(self.first + at, key, None if self.revisions is None else self.revisions[at], self.times[at])


class BatchHolder:
    """Made once a batch. `over` says which frame comes next; its rows, numbered in `@row`, are in order of arrival."""

    def __init__(self, record: Record, history_from: HistoryFrom = None) -> None:
        self._passing = Passing(record)
        self._since = complete_since(history_from, record)
        self._begin = 0
        """The place of the first event: history begins there, and a tick before it knows of no moment but its own."""
        self._passed: dict[str, Passed] = {}
        self._told: dict[str, Answer] = {}
        self._frame: DataFrame | None = None
        self._first = 0
        self._rows = _Rows()
        self._corrections = _Corrections(self._passing)

    def over(self, frame: DataFrame) -> None:
        """Rules ask next about rows of this frame."""
        self._first += 0 if self._frame is None else self._frame.height
        self._frame, self._rows = frame, _Rows()
        if self._since is None:
            begin = next((row for row in self._read(frame) if row.key is not None), None)
            self._since, self._begin = (None, self._first + frame.height) if begin is None else (begin.time, begin.place)
        if self._passing.record.revision is not None:
            self._rows = self._read(frame)
            self._corrections.come(self._rows)

    def ask(self, ask: Ask) -> Answer:
        """The answer to a row of the frame."""
        if not self._rows.numbers and self._frame is not None:
            self._rows = self._read(self._frame)
        row = self._rows.of(ask.number)
        question = self._passing.question(ask, None if row.key is None else self._passing.event(row.key), row.revision)
        if isinstance(question, Missing):
            return Answer(question)
        if question.again is not None and question.again in self._told:
            return self._told[question.again]
        since = ask.time if self._since is None or row.place < self._begin else self._since
        before = self._corrections.standing(question.name, self._passed.get(question.name, Passed()), row.place)
        answer, self._passed[question.name] = self._passing.judged(question, before, since)
        if question.again is not None:
            self._told[question.again] = answer
            self._corrections.asked[question.name, question.event] = row.place
        return answer

    def _read(self, frame: DataFrame) -> _Rows:
        record = self._passing.record
        keys = [unpacked(frame, name, record.field(name).type) for name in record.key]
        ticks = frame[TICK].fill_null(False).to_list() if TICK in frame.columns else None
        revisions = None if record.revision is None else unpacked(frame, record.revision, record.field(record.revision).type)
        numbers = dict(zip(frame[ROW].to_list(), range(frame.height), strict=True))
        return _Rows(self._first, numbers, keys, ticks, revisions, frame[NOW].to_list())


class _Corrections:
    """The corrections of a batch, by event, where its record has them. `asked` says at which place an event asked last under a name."""

    def __init__(self, passing: Passing) -> None:
        self._passing = passing
        self._newest: dict[tuple[Value, ...], Value] = {}
        self._found: dict[str | None, list[_Row]] = {}
        self.asked: dict[tuple[str, str | None], int] = {}

    def come(self, rows: Iterable[_Row]) -> None:
        """Rows in order of arrival: of two with one key the higher revision corrects the other."""
        for row in rows:
            if row.key is None:
                continue
            if row.key in self._newest and row.revision > self._newest[row.key]:
                self._found.setdefault(self._passing.event(row.key), []).append(row)
            if row.key not in self._newest or row.revision > self._newest[row.key]:
                self._newest[row.key] = row.revision

    def standing(self, name: str, passed: Passed, place: int) -> Passed:
        """The hits under a name that stand at a place of the batch: without those of events that were corrected since they asked."""
        for _, event, _ in passed.hits if self._found else ():
            for row in self._found.get(event, ()):
                if event is not None and self.asked[name, event] < row.place <= place:
                    passed = self._passing.withdrawn(passed, event, row.revision, row.time)
        return passed
