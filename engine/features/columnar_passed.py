"""Hits of rules with `once` in one batch: what was let through is carried from frame to frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.backends.columnar_layout import unpacked
from engine.backends.holding import Answer
from engine.features.passed import Passed, Passing
from engine.plan import ROW, TICK
from engine.values import Missing, Value

if TYPE_CHECKING:
    from polars import DataFrame

    from engine.backends.holding import Ask
    from engine.record import Record


class BatchHolder:
    """Made once a batch. `over` says of which frame, whose rows have numbers and are in order of arrival, rules ask next."""

    def __init__(self, record: Record) -> None:
        self._passing = Passing(record)
        self._passed: dict[str, Passed] = {}
        self._told: dict[str, Answer] = {}
        self._keys: dict[int, tuple[Value, ...] | None] = {}
        self._frame: DataFrame
        self._since = 0

    def over(self, frame: DataFrame, since: int) -> None:
        """`since` is when history begins."""
        self._frame, self._since, self._keys = frame, since, {}

    def ask(self, ask: Ask) -> Answer:
        """The answer to a row of the frame."""
        question = self._passing.question(ask, self._event(ask.number))
        if isinstance(question, Missing):
            return Answer(question)
        if question.again is not None and question.again in self._told:
            return self._told[question.again]
        answer, passed = self._passing.judged(question, self._passed.get(question.name, ()), self._since)
        self._passed[question.name] = passed
        if question.again is not None:
            self._told[question.again] = answer
        return answer

    def _event(self, number: int) -> str | None:
        if not self._keys:
            record, frame = self._passing.record, self._frame
            keys = zip(*(unpacked(frame, name, record.field(name).type) for name in record.key), strict=True)
            ticks = frame[TICK].fill_null(False).to_list() if TICK in frame.columns else [False] * frame.height
            known = (None if tick else key for key, tick in zip(keys, ticks, strict=True))
            self._keys = dict(zip(frame[ROW].to_list(), known, strict=True))
        key = self._keys[number]
        return None if key is None else self._passing.event(key)
