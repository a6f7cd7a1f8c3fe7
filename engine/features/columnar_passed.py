"""Hits of rules with `once` in one batch: what was let through is carried from frame to frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.backends.columnar_layout import unpacked
from engine.backends.holding import Answer
from engine.features.passed import Passed, Passing
from engine.features.store import HistoryFrom, complete_since
from engine.plan import NOW, ROW, TICK
from engine.values import Missing, Value

if TYPE_CHECKING:
    from collections.abc import Collection

    from polars import DataFrame

    from engine.backends.holding import Ask
    from engine.record import Record


class BatchHolder:
    """Made once a batch. `over` says which frame comes next; its rows, numbered in `@row`, are in order of arrival."""

    def __init__(self, record: Record, history_from: HistoryFrom = None) -> None:
        self._passing = Passing(record)
        self._since = complete_since(history_from, record)
        self._passed: dict[str, Passed] = {}
        self._told: dict[str, Answer] = {}
        self._frame: DataFrame
        self._keys: dict[int, tuple[Value, ...] | None] = {}
        self._early: Collection[int] = ()

    def over(self, frame: DataFrame) -> None:
        """Rules ask next about rows of this frame."""
        self._frame, self._keys, self._early = frame, {}, ()
        if self._since is None:  # history begins with the first event; a tick before it knows of no moment but its own
            numbers, ticks = frame[ROW].to_list(), _ticks(frame)
            begin = next((place for place, tick in enumerate(ticks) if not tick), len(ticks))
            self._since, self._early = frame[NOW][begin] if begin < len(ticks) else None, frozenset(numbers[:begin])

    def ask(self, ask: Ask) -> Answer:
        """The answer to a row of the frame."""
        key = self._key(ask.number)
        question = self._passing.question(ask, None if key is None else self._passing.event(key))
        if isinstance(question, Missing):
            return Answer(question)
        if question.again is not None and question.again in self._told:
            return self._told[question.again]
        since = ask.time if self._since is None or ask.number in self._early else self._since
        answer, self._passed[question.name] = self._passing.judged(question, self._passed.get(question.name, ()), since)
        if question.again is not None:
            self._told[question.again] = answer
        return answer

    def _key(self, number: int) -> tuple[Value, ...] | None:
        """The key of a row's event; none where it is a tick."""
        if not self._keys:
            record, frame = self._passing.record, self._frame
            keys = zip(*(unpacked(frame, name, record.field(name).type) for name in record.key), strict=True)
            known = (None if tick else key for key, tick in zip(keys, _ticks(frame), strict=True))
            self._keys = dict(zip(frame[ROW].to_list(), known, strict=True))
        return self._keys[number]


def _ticks(frame: DataFrame) -> list[bool]:
    ticks: list[bool] = frame[TICK].fill_null(False).to_list() if TICK in frame.columns else [False] * frame.height
    return ticks
