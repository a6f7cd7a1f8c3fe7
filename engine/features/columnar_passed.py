"""Hits of rules with `once` in one batch: what was let through is carried from frame to frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.backends.columnar_layout import unpacked
from engine.backends.holding import Answer
from engine.features.passed import Passed, Passing
from engine.features.store import HistoryFrom, complete_since
from engine.plan import NOW, ROW, TICK
from engine.values import Missing, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polars import DataFrame

    from engine.backends.holding import Ask
    from engine.record import Record


class _Row(NamedTuple):
    """A row by its place in the batch: the key of its event, none where it is a tick, which version that is, and the row's time."""

    place: int
    key: tuple[Value, ...] | None
    revision: Value
    time: int


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
        self._rows: dict[int, _Row] = {}
        self._corrections = _Corrections(self._passing)

    def over(self, frame: DataFrame) -> None:
        """Rules ask next about rows of this frame."""
        self._first += 0 if self._frame is None else self._frame.height
        self._frame, self._rows = frame, {}
        if self._since is None:
            begin = next((row for row in self._read(frame).values() if row.key is not None), None)
            self._since, self._begin = (None, self._first + frame.height) if begin is None else (begin.time, begin.place)
        if self._passing.record.revision is not None:
            self._rows = self._read(frame)
            self._corrections.come(self._rows.values())

    def ask(self, ask: Ask) -> Answer:
        """The answer to a row of the frame."""
        if not self._rows and self._frame is not None:
            self._rows = self._read(self._frame)
        row = self._rows[ask.number]
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

    def _read(self, frame: DataFrame) -> dict[int, _Row]:
        record = self._passing.record
        keys = zip(*(unpacked(frame, name, record.field(name).type) for name in record.key), strict=True)
        ticks = frame[TICK].fill_null(False).to_list() if TICK in frame.columns else [False] * frame.height
        revision = record.revision
        revisions = [None] * frame.height if revision is None else unpacked(frame, revision, record.field(revision).type)
        parts = zip(frame[ROW].to_list(), keys, ticks, revisions, frame[NOW].to_list(), strict=True)
        return {
            number: _Row(place, None if tick else key, None if tick else version, time)
            for place, (number, key, tick, version, time) in enumerate(parts, start=self._first)
        }


class _Corrections:
    """The corrections of a batch, by event, where its record has them. `asked` says at which place an event asked last under a name."""

    def __init__(self, passing: Passing) -> None:
        self._passing = passing
        self._newest: dict[tuple[Value, ...], Value] = {}
        self._found: dict[str | None, list[tuple[int, int]]] = {}
        self.asked: dict[tuple[str, str | None], int] = {}

    def come(self, rows: Iterable[_Row]) -> None:
        """Rows in order of arrival: of two with one key the higher revision corrects the other."""
        for row in rows:
            if row.key is None:
                continue
            if row.key in self._newest and row.revision > self._newest[row.key]:
                self._found.setdefault(self._passing.event(row.key), []).append((row.place, row.time))
            if row.key not in self._newest or row.revision > self._newest[row.key]:
                self._newest[row.key] = row.revision

    def standing(self, name: str, passed: Passed, place: int) -> Passed:
        """The hits under a name that stand at a place of the batch: without those of events that were corrected since they asked."""
        for _, event in passed.hits if self._found else ():
            for at, time in self._found.get(event, ()):
                if event is not None and self.asked[name, event] < at <= place:
                    passed = self._passing.withdrawn(passed, event, time)
        return passed
