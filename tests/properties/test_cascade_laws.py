"""The laws on whole cascades: live equals batch, the order of independent steps is nobody's concern, more knowledge only narrows."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import Engine
from engine.errors import InputError
from engine.ledger.decision import Decision
from engine.plan import Plan, Step
from engine.run.event import decide
from tests.cascade.models import scored

CASCADES = Path(__file__).parent.parent / "cascade" / "workspace" / "cascades"
NAMES = ("screening", "gated", "wires", "scored")
EXAMPLES = 40 * int(os.environ.get("FUZZ", "1") or 1)

FIELDS: dict[str, list[Any]] = {
    "account": ["A", "B"],
    "direction": ["in", "out"],
    "channel": ["cash", "card", "atm"],
    "amount": ["9500.00", "9999.99", "10000.00", "12000", 40, "0"],
    "counterparty.country": ["IR", "DE"],
    "customer.segment": ["retail", "cash_in_transit"],
}
UNREADABLE = {"direction": "sideways", "amount": "12,5"}
WIRE = {"id": "reference", "booked_at": "sent_at", "account": "payer", "amount": "value", "channel": "method", "direction": "direction"}


@cache
def engine(name: str) -> Engine:
    return Engine.load(scored() if name == "scored" else CASCADES / f"{name}.yaml")


def fields(*, whole: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """The fields of an event besides key and time; unless `whole`, any may be missing or unreadable."""
    return st.fixed_dictionaries(
        {n: st.sampled_from(values + ([] if whole else [None, UNREADABLE.get(n)])) for n, values in FIELDS.items()}
    )


streams = st.lists(st.tuples(st.sampled_from([0, 0, 1, 20, 100, -30, -80]), st.sampled_from([0, 0, 0, 0, 0, 1]), fields()), max_size=25)


def events(stream: list[tuple[int, int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Events from steps in hours (some back in time), keys that sometimes come again, and their fields."""
    time, made = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), list[dict[str, Any]]()
    for number, (hours, again, values) in enumerate(stream):
        time += dt.timedelta(hours=hours)
        made.append({"id": f"T{number - again}", "booked_at": time.isoformat(), **values})
    return made


def shaped(name: str, event: dict[str, Any]) -> dict[str, Any]:
    return {WIRE[n]: value for n, value in event.items() if n in WIRE} if name == "wires" else event


def columns(decision: Decision) -> dict[str, Any]:
    """The decision as a row of a batch shows it."""
    low, high = decision.score_range
    return {
        "key": decision.key,
        "outcome": decision.outcome,
        "possible": list(decision.possible),
        "robust": decision.robust,
        "score": decision.score,
        "score_low": low,
        "score_high": high,
        "flags": list(decision.flags),
        "hits": list(decision.hits),
        "undecided": list(decision.undecided),
    }


@pytest.mark.parametrize("name", NAMES)
@given(stream=streams)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_batch_decides_what_live_decides(name: str, stream: list[tuple[int, int, dict[str, Any]]]) -> None:
    given_events = [shaped(name, event) for event in events(stream)]
    live, refused = [], []
    with engine(name).open_store() as store:
        for number, event in enumerate(given_events):
            try:
                live.append(columns(engine(name).decide(event, store=store)))
            except InputError:
                refused.append(number)
    schema = dict.fromkeys(shaped(name, {"id": 0, "booked_at": 0, **FIELDS}), pl.String)
    texts = [{n: None if v is None else str(v) for n, v in event.items()} for event in given_events]
    batch = engine(name).decide_batch(pl.DataFrame(texts, schema=schema), detail="names")
    assert batch.select(list(columns_shown())).to_dicts() == live
    assert batch.rejects["row"].to_list() == refused


def columns_shown() -> tuple[str, ...]:
    return "key", "outcome", "possible", "robust", "score", "score_low", "score_high", "flags", "hits", "undecided"


def shuffled(steps: tuple[Step, ...], draw: Any) -> tuple[Step, ...]:
    """The steps in another order in which each still comes after those it reads."""
    left, made = list(steps), list[Step]()
    while left:
        pending = {column for step in left for column in step.writes}
        ready = [step for step in left if not pending & set(step.reads) - set(step.writes)]
        made.append(draw(st.sampled_from(ready)))
        left.remove(made[-1])
    return tuple(made)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), values=fields())
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_order_of_independent_steps_changes_nothing(name: str, data: st.DataObject, values: dict[str, Any]) -> None:
    plan = engine(name).plan
    other: Plan = replace(plan, closed=shuffled(plan.closed, data.draw), open=shuffled(plan.open, data.draw))
    event = shaped(name, {"id": "T", "booked_at": "2026-03-01T00:00:00Z", **values})
    row = dict(engine(name).decide(event).row)
    base = {column: row[column] for column in row if not any(column in step.writes for step in plan.closed)}
    assert decide(other, base) == decide(plan, base)


@pytest.mark.parametrize("name", NAMES)
@given(stream=streams, values=fields(), more=fields(whole=True), kept=st.sets(st.sampled_from(sorted(FIELDS))))
@settings(max_examples=EXAMPLES, deadline=None)
def test_more_knowledge_only_narrows(
    name: str, stream: list[tuple[int, int, dict[str, Any]]], values: dict[str, Any], more: dict[str, Any], kept: set[str]
) -> None:
    """Filling in some of what is missing or unreadable never adds to `possible`, and never changes a robust outcome."""
    if name == "scored":  # the model takes a missing direction for an answer
        values = {**values, "direction": more["direction"]}
    filled = {n: more[n] if n not in kept and v in (None, UNREADABLE.get(n)) else v for n, v in values.items()}
    with engine(name).open_store(history_from="2020-01-01") as store:
        for event in events(stream):
            try:
                engine(name).decide(shaped(name, event), store=store)
            except InputError:
                continue
        last = {"id": "last", "booked_at": "2026-03-20T00:00:00Z"}
        before = engine(name).decide(shaped(name, {**last, **values}), store=store, record=False)
        after = engine(name).decide(shaped(name, {**last, **filled}), store=store, record=False)
    assert set(after.possible) <= set(before.possible)
    if before.robust:
        assert after.outcome == before.outcome
    low, high = before.score_range
    assert low <= after.score_range[0] and after.score_range[1] <= high
    if not before.robust:
        assert set(before.settled_by) or before.unsettled
