"""`once per KEY per WINDOW` while rules run: who is asked whether a hit is held back, and what becomes of the answer.

It knows no store: a `Holder` does, and is asked only about hits, and about what may be one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from engine.lang import ir
from engine.plan import DAY_OF_EVENT, Row, Step
from engine.values import MISSING, Value, missing

UNASKED: Final = missing("skipped")


class Ask(NamedTuple):
    """A hit of a rule, or what may be one (`hit` false): `place` says which rule, `once` and `key` since when and for whom it asks.
    `number` is the event's row in a frame."""

    place: str
    once: ir.Once
    key: tuple[Value, ...]
    time: int
    hit: bool
    number: int = 0


class Answer(NamedTuple):
    """Whether a hit is `held` back, or the missing value that says why nobody knows; and by which one, as text: its event and time."""

    held: Value
    by: Value = MISSING


class Holder(Protocol):
    """What remembers the hits that were let through."""

    def ask(self, ask: Ask) -> Answer:
        """The answer; a hit that is let through is remembered. The same event gets the same answer again."""
        ...


def bound(steps: Iterable[Step], holder: Holder, within: str = "") -> tuple[Step, ...]:
    """The steps, of which those that hold rules with `once` ask `holder`; `within` leads through nested cascades."""
    return tuple(step.bind(holder, within) if hasattr(step, "bind") else step for step in steps)


UNAVAILABLE: Final = Answer(missing("unavailable"))


def hold(run: Callable[[Row], Row], rules: Iterable[ir.Rule], row: Row, ask: Callable[[ir.Rule, ir.Once, bool], Answer]) -> tuple[Row, Row]:
    """What `run` gives once every one of these rules that has `once` knows whether it is held back, and the row with what each was told.

    Rules are asked in their order, each when those before it are settled, so that one may read the state of another.
    """
    asking = [(rule, rule.once.on(row[DAY_OF_EVENT]) if rule.once.dated else rule.once) for rule in rules if rule.once is not None]
    known, told = dict(row), dict[str, Answer]()
    known.update(dict.fromkeys((ir.held(rule.id) for rule, _ in asking), False))
    result = run(known)
    for rule, once in asking:
        before = result[ir.before(rule.id)]
        if before is not False:
            told[rule.id] = answer = ask(rule, once, before is True)
            known[ir.held(rule.id)] = answer.held
            result = result if answer.held is False else run(known)
    for rule, _ in asking:
        known[ir.held(rule.id)], known[ir.held_by(rule.id)] = told.get(rule.id, _NOT_ASKED)
    return result, known


_NOT_ASKED: Final = Answer(UNASKED, UNASKED)
