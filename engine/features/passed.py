"""The hits of rules with `once` that were let through, and whether one of them holds the next one back: the same live and in a batch.

It knows neither rules nor where the hits are kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from engine.backends.holding import Answer
from engine.features.windows import FOREVER, Clock, Reach
from engine.values import DAY, Missing, Value, first, known, missing, plain, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backends.holding import Ask
    from engine.lang import ir
    from engine.record import Record

LATE, SHORT = missing("late"), missing("short history")


class Hit(NamedTuple):
    """The time of a hit, its event, none for a tick, and where events are corrected the revision that hit."""

    time: int
    event: str | None = None
    revision: Value = None


class Passed(NamedTuple):
    """The hits of one rule that were let through under one key: the newest time there ever was, and those that a later event may see, in
    order of arrival."""

    newest: int = FOREVER
    hits: tuple[Hit, ...] = ()


class Question(NamedTuple):
    """Whether a hit is held back, or what may be one (`hit` false).

    `name` stands for the rule and its key; `again` for the rule and this version of the event, which gets the same answer whenever it
    comes. A tick is no event and is never the same: `event` and `again` are none. A hit is kept as long as one of the `reaches` may see it:
    on another day the window may be longer than the `reach` of this one.
    """

    name: str
    again: str | None
    event: str | None
    revision: Value
    time: int
    hit: bool
    reach: Reach
    reaches: tuple[Reach, ...]


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

    def question(self, ask: Ask, event: str | None, revision: Value = None) -> Question | Missing:
        """What is asked; or why nobody can say: something of the key is missing. `revision` says which version of the event it is."""
        if not all(map(known, ask.key)):
            lacking: Missing = first(ask.key)
            return lacking
        reaches = tuple(map(self._reach, ask.once.windows))
        again = None if event is None else f"told {ask.place} {event!a} {'' if revision is None else revision}"
        return Question(f"passed {ask.place} {ask.key!a}", again, event, revision, ask.time, ask.hit, reaches[0], reaches)

    def _reach(self, window: ir.Window) -> Reach:
        reach = self._reaches.get(window)
        if reach is None:
            reach = self._reaches[window] = Reach(window, self._clock)
        return reach

    def judged(self, question: Question, passed: Passed, since: int) -> tuple[Answer, Passed]:
        """The answer, and the hits let through after it; history begins at `since`.

        A hit is held back where its window holds another event's that had arrived before and was let through; of several the last in time
        is named. What comes too late is let through and holds nothing back.
        """
        if self._comes_late(question.time, passed):
            return Answer(LATE), passed
        others = _without(passed, question.event)
        after = question.reach.start(question.time)
        inside = [hit for hit in others.hits if after < hit.time <= question.time]
        if inside:
            return Answer(True, self._shown(max(reversed(inside), key=_time))), others
        answer = Answer(SHORT if after + 1 < since else False)
        if not question.hit:
            return answer, others
        newest = max(passed.newest, question.time)
        gone = min(reach.seen_before(newest - self._late) for reach in question.reaches)
        hit = Hit(question.time, question.event, question.revision)
        return answer, Passed(newest, (*(hit for hit in others.hits if hit.time > gone), hit))

    def withdrawn(self, passed: Passed, event: str, revision: Value, time: int) -> Passed:
        """The hits let through once the event is corrected by this revision, and lies at `time` now: those of earlier ones do not stand,
        unless it comes too late."""
        return passed if self._comes_late(time, passed) else _without(passed, event, revision)

    def _comes_late(self, time: int, passed: Passed) -> bool:
        return time < passed.newest - self._late

    def _shown(self, hit: Hit) -> str:
        return f"{'tick' if hit.event is None else f'event {hit.event}'}, {show(hit.time, self._time)}"


def _without(passed: Passed, event: str | None, revision: Value = None) -> Passed:
    """The hits but those of an event; with a `revision` but those of its earlier ones."""

    def stands(hit: Hit) -> bool:
        return hit.event is None or hit.event != event or (revision is not None and hit.revision is not None and hit.revision >= revision)

    return Passed(passed.newest, tuple(filter(stands, passed.hits)))


def _time(hit: Hit) -> int:
    return hit.time


def text_of(kept: Passed | Answer) -> str:
    """What is kept, as text: `passed_of` and `answer_of` give it back.

    >>> answer_of(text_of(Answer(LATE))), passed_of(text_of(Passed(4, (Hit(4, "T1"),))))
    (Answer(held=missing (late), by=missing (absent)), Passed(newest=4, hits=(Hit(time=4, event='T1', revision=None),)))
    """
    return json.dumps([{"missing": part.cause} if isinstance(part, Missing) else part for part in kept])


def answer_of(text: str) -> Answer:
    """The answer that was kept."""
    return Answer(*(missing(part["missing"]) if isinstance(part, dict) else part for part in json.loads(text)))


def passed_of(text: str | None) -> Passed:
    """The hits that were kept; of nothing none."""
    if text is None:
        return Passed()
    newest, hits = json.loads(text)
    return Passed(newest, tuple(Hit(*hit) for hit in hits))
