"""The hits of rules with `once` that were let through, and whether one of them holds the next one back: the same live and in a batch.

It knows neither rules nor where the hits are kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from engine.backends.holding import UNAVAILABLE, Answer
from engine.errors import StoreDown
from engine.features.missed import LOG
from engine.features.windows import FOREVER, Clock, Reach
from engine.values import DAY, Missing, Value, first, known, missing, plain, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backends.holding import Ask
    from engine.features.store import Store
    from engine.lang import ir
    from engine.plan import Row
    from engine.record import Record

LATE, SHORT = missing("late"), missing("short history")

Passed = tuple[tuple[int, str | None], ...]
"""The hits of one rule that were let through under one key, as far as a later event may see them: time and event, in order of arrival."""


class Question(NamedTuple):
    """Whether a hit is held back, or what may be one (`hit` false).

    `name` stands for the rule and its key; `again` for the rule and the event, which gets the same answer whenever it comes. A tick is no
    event and is never the same: `event` and `again` are none.
    """

    name: str
    again: str | None
    event: str | None
    time: int
    hit: bool
    reach: Reach


class Passing:
    """What one record says of hits that were let through: how events are called, how windows reach back, what comes too late."""

    def __init__(self, record: Record) -> None:
        self.record, self._time = record, record.field(record.time).type
        dates = self._time.kind == "date"
        self._clock, self._late = Clock(record.zone, dates), record.late // DAY if dates else record.late
        self._types = [record.field(name).type for name in record.key]
        self._reaches: dict[ir.Window, Reach] = {}

    def event(self, key: Sequence[Value]) -> str:
        """How an event with this key is called: by the key as people write it; one of several fields is a JSON list."""
        parts = [plain(value, type_) for value, type_ in zip(key, self._types, strict=True)]
        return str(parts[0]) if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)

    def question(self, ask: Ask, event: str | None) -> Question | Missing:
        """What is asked; or why nobody can say: something of the key is missing."""
        if not all(map(known, ask.key)):
            lacking: Missing = first(ask.key)
            return lacking
        reach = self._reaches.get(ask.once.window)
        if reach is None:
            reach = self._reaches[ask.once.window] = Reach(ask.once.window, self._clock)
        again = None if event is None else f"told {ask.place} {event!a}"
        return Question(f"passed {ask.place} {ask.key!a}", again, event, ask.time, ask.hit, reach)

    def judged(self, question: Question, passed: Passed, since: int) -> tuple[Answer, Passed]:
        """The answer, and the hits let through after it; history begins at `since`.

        A hit is held back where its window holds another event's that had arrived before and was let through; of several the last in time
        is named. What comes too late is let through and holds nothing back.
        """
        newest = max((time for time, _ in passed), default=FOREVER)
        if question.time < newest - self._late:
            return Answer(LATE), passed
        others = tuple(hit for hit in passed if hit[1] is None or hit[1] != question.event)
        after = question.reach.start(question.time)
        inside = [hit for hit in others if after < hit[0] <= question.time]
        if inside:
            return Answer(True, self._shown(*max(reversed(inside), key=_time))), others
        answer = Answer(SHORT if after + 1 < since else False)
        if not question.hit:
            return answer, others
        gone = question.reach.seen_before(max(newest, question.time) - self._late)
        return answer, (*(hit for hit in others if hit[0] > gone), (question.time, question.event))

    def _shown(self, time: int, event: str | None) -> str:
        return f"{'tick' if event is None else f'event {event}'}, {show(time, self._time)}"


def _time(hit: tuple[int, str | None]) -> int:
    return hit[0]


def text_of(kept: Passed | Answer) -> str:
    """What is kept, as text: `passed_of` and `answer_of` give it back.

    >>> answer_of(text_of(Answer(LATE))), passed_of(text_of(((3, "T1"), (4, None))))
    (Answer(held=missing (late), by=missing (absent)), ((3, 'T1'), (4, None)))
    """
    return json.dumps([{"missing": part.cause} if isinstance(part, Missing) else part for part in kept])


def answer_of(text: str) -> Answer:
    """The answer that was kept."""
    return Answer(*(missing(part["missing"]) if isinstance(part, dict) else part for part in json.loads(text)))


def passed_of(text: str | None) -> Passed:
    """The hits that were kept; of nothing none."""
    return () if text is None else tuple((time, event) for time, event in json.loads(text))


class LiveHolder:
    """Asks a store for one event; while that is down every hit is let through."""

    def __init__(self, store: Store, passing: Passing, row: Row, record: bool) -> None:
        self._store, self._passing, self._record = store, passing, record
        self._event = passing.event([row[name] for name in passing.record.key])

    def ask(self, ask: Ask) -> Answer:
        """The answer of the store. Raises `StoreError` where it cannot be used."""
        question = self._passing.question(ask, self._event)
        if isinstance(question, Missing):
            return Answer(question)
        try:
            return self._store.hold(question, self._record)
        except StoreDown as error:
            LOG.warning("a hit is let through, since nobody knows of an earlier one: %s", error)
            return UNAVAILABLE
