"""One event through a plan: both readings, and the decision read off them. It knows steps and columns, not what steps do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.backends.holding import Holder, bound
from engine.backends.rules import POSSIBLE
from engine.ledger.decision import Decision, Explainer, Silenced, Version
from engine.plan import NOW, Plan, Row
from engine.values import Interval, Missing, Value, plain, show


def decide(plan: Plan, row: Row, holder: Holder | None = None) -> tuple[Row, Row]:
    """The row after the first reading, and after the second: the same object where no policy changed anything.

    `row` holds the record's fields, `now`, `@date`, and the history columns; it is not changed. `holder` is what rules with `once` ask.
    """
    closed = dict(row)
    for step in plan.closed if holder is None else bound(plan.closed, holder):
        closed.update(step.one(closed))
    if not any(closed[column] for column in plan.policies):
        return closed, closed
    opened = row | {column: closed[column] for held in plan.held.values() for column in (held.held, held.by)}
    for step in plan.open:
        opened.update(step.one(opened))
    return closed, opened


def read_off(
    plan: Plan,
    row: Row,
    open_row: Row,
    versions: tuple[Version, ...],
    explainer: Explainer,
    lock: str | None = None,
    drafts: tuple[Version, ...] = (),
) -> Decision:
    """The decision that two rows hold; `lock` is the seal of the lock it was made under, `drafts` are those of `versions` that are none."""
    decided = f"{plan.decision}."
    return Decision(
        key=key_of(plan, row),
        time=show(row[NOW], plan.types[NOW]),
        outcome=row[f"{decided}outcome"],
        # the first reading adds only what rules that ask what is missing make of a policy: then no outcome may call itself robust
        possible=tuple(dict.fromkeys((*open_row[f"{decided}{POSSIBLE}"], *row[f"{decided}{POSSIBLE}"]))),
        score=row[plan.points],
        score_range=bounds(open_row[f"{decided}score"]),
        flags=tuple(sorted({name for column, name in plan.flags.items() if row[column] is True})),
        hits=tuple(name for column, name in plan.rules.items() if row[column] is True),
        undecided=tuple(name for column, name in plan.rules.items() if unjudged(open_row[column])),
        held=tuple(name for name, held in plan.held.items() if row[held.before] is True and row[held.held] is True),
        silenced=tuple(Silenced(*silenced) for column, silenced in plan.silenced.items() if row[column] is True),
        versions=versions,
        lock=lock,
        drafts=drafts,
        row=row,
        open_row=open_row,
        outputs=plan.outputs,
        explainer=explainer,
        tick=tick_of(plan, row),
    )


def key_of(plan: Plan, row: Mapping[str, Value]) -> Any:
    """The record's key in JSON's types: one value, or a tuple when the key has several fields; none of a tick."""
    if is_tick(plan, row):
        return None
    parts = tuple(plain(row[name], plan.types[name]) for name in plan.record.key)
    return parts[0] if len(parts) == 1 else parts


def is_tick(plan: Plan, row: Mapping[str, Value]) -> bool:
    """Whether the row is a moment and no event: an event always has its key."""
    return row[plan.record.key[0]].__class__ is Missing


def tick_of(plan: Plan, row: Mapping[str, Value]) -> dict[str, Any] | None:
    """The fields whose history a tick looks at, in JSON's types; none of an event."""
    if not is_tick(plan, row):
        return None
    fields = [field for field in plan.record.fields if field.name != plan.record.time]
    return {field.name: plain(row[field.name], field.type) for field in fields if row[field.name].__class__ is not Missing}


def tick_event(decision: Decision) -> dict[str, Any]:
    """What stands in a ledger where an event would: when a tick looked at what."""
    return {"tick": decision.time, **(decision.tick or {})}


def unjudged(state: Value) -> bool:
    """Whether a rule's state says that it could not be judged; a rule whose step did not run is not among them."""
    return state.__class__ is Missing and state.cause == "undecided"


def bounds(value: Value) -> tuple[int, int]:
    """The low and high end of a score."""
    return (value.low, value.high) if value.__class__ is Interval else (value, value)
