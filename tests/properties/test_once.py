"""The laws of rules with `once`: live, batch and brute force hold back the same hits, on every store; a replay says it again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import Engine
from engine.backends.columnar import pack, unpack
from engine.backends.holding import Answer, Ask
from engine.features.columnar_passed import BatchHolder
from engine.features.passed import Passing
from engine.features.store import complete_since, open_store
from engine.lang import ir
from engine.ledger.decision import Decision
from engine.plan import NOW, Row
from engine.record import Record, read_event
from engine.rerun import replay
from engine.run.batch import BatchRun
from engine.run.border import typed
from engine.values import DATETIME, DAY, MISSING, Missing
from tests.cascade.alerts import Event, chunks, engine, stream
from tests.features import oracle
from tests.features.events import HOUR, calendar, days, event, months, read, record
from tests.features.servers import address
from tests.properties.strategies import FUZZ

SINCE = "2024-02-20"


def told(made: Engine, decision: Decision) -> dict[str, Any]:
    """What a decision says, and of every rule whether it hit, is held back and by what, in both readings."""
    columns = [*made.plan.rules, *(column for held in made.plan.held.values() for column in held)]
    states = {column: repr(decision.row[column]) for column in columns}
    return decision.to_dict() | states | {"open": {column: repr(decision.open_row[column]) for column in made.plan.rules}}


def by_brute_force(made: Engine, events: Sequence[Event], since: str | None) -> list[Decision]:
    """Every event held against all hits that were let through before it."""
    rows = [read_event(made.record, event) for event in events]
    begin = rows[0][NOW] if since is None else complete_since(since, made.record)
    alerts, found = oracle.Alerts(made.record, begin), dict[Any, Decision]()
    for row in rows:
        alerts.this = row
        if row["id"] not in found:
            found[row["id"]] = made.decide_row(row, alerts)
    return [found[row["id"]] for row in rows]


def live(made: Engine, url: str, parts: Sequence[Sequence[Event]], since: str | None, *, look: bool = False) -> list[Decision]:
    """Through a store that is opened anew for every part; with `look` every event looks before it comes."""
    found = []
    for part in parts:
        with made.open_store(url, history_from=since) as store:
            for event in part:
                looked = made.decide(event, store=store, record=False) if look else None
                found.append(made.decide(event, store=store))
                assert looked is None or told(made, looked) == told(made, found[-1])
    return found


def batch(made: Engine, parts: Sequence[Sequence[Event]], since: str | None) -> list[dict[str, Any]]:
    """Through one batch run, with the columns of the decision and those behind them."""
    run, found = BatchRun(made.plan, detail="names", history_from=since), list[dict[str, Any]]()
    names = ("id", "at", "account", "branch", "payee", "amount")
    for part in parts:
        frame = pl.DataFrame([{name: event.get(name) for name in names} for event in part], infer_schema_length=None)
        done = run.decide(typed(made.record, frame).frame)
        columns = [*made.plan.rules, *(column for held in made.plan.held.values() for column in held)]
        states = unpack(done.rows, {column: made.plan.types[column] for column in columns})
        opened = {row["@row"]: row for row in with_rows(done.opened, made)}
        for number, (row, decided) in enumerate(zip(states, done.decisions.to_dicts(), strict=True)):
            shown = {column: repr(value) for column, value in row.items()}
            second = opened.get(number)
            states_ = {column: shown[column] if second is None else repr(second[column]) for column in made.plan.rules}
            found.append(decided | shown | {"open": states_})
    return found


def with_rows(frame: pl.DataFrame, made: Engine) -> list[dict[str, Any]]:
    found = unpack(frame, {column: made.plan.types[column] for column in made.plan.rules})
    return [{**row, "@row": number} for row, number in zip(found, frame["@row"].to_list(), strict=True)]


SHOWN = ("key", "outcome", "possible", "robust", "score", "flags", "hits", "undecided")


def case(seed: int, folder: str, size: int, **more: Any) -> tuple[Engine, list[list[Event]], str | None]:
    random = Random(seed)
    made = engine(Path(folder), random)
    events = stream(random, dates=made.record.field("at").type.kind == "date", size=size, **more)
    return made, chunks(random, events), random.choice((SINCE, SINCE, None))


@settings(max_examples=60 * FUZZ, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_live_and_batch_hold_back_what_brute_force_does(seed: int, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made, parts, since = case(seed, folder, size)
        true = by_brute_force(made, [event for part in parts for event in part], since)
        wanted = [told(made, decision) for decision in true]
        flat = [[event for part in parts for event in part]]
        assert [told(made, one) for one in live(made, "memory:", flat, since, look=True)] == wanted
        assert [told(made, one) for one in live(made, f"sqlite:{folder}/history.db", parts, since)] == wanted
        for cut in (parts, flat):
            for row, decision, one in zip(batch(made, cut, since), true, wanted, strict=True):
                assert {name: row[name] for name in SHOWN} == {name: one[name] for name in SHOWN}
                assert tuple(row["held"]) == decision.held
                assert {name: row[name] for name in one if "@" in name or name == "open"} == {
                    name: one[name] for name in one if "@" in name or name == "open"
                }


@pytest.mark.parametrize("kind", ["redis", "postgres"])
@settings(max_examples=10 * FUZZ, deadline=None)
@given(st.integers(0, 2**32))
def test_servers_hold_back_the_same(kind: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made, parts, since = case(seed, folder, 15)
        true = by_brute_force(made, [event for part in parts for event in part], since)
        found = live(made, address(kind, Path(folder)), parts, since, look=True)
        assert [told(made, one) for one in found] == [told(made, one) for one in true]


@settings(max_examples=30 * FUZZ, deadline=None)
@given(st.integers(0, 2**32))
def test_more_knowledge_only_narrows(seed: int) -> None:
    """Filling in fields of an event, its history as it was, never adds to what is possible."""
    with tempfile.TemporaryDirectory() as folder:
        made, parts, since = case(seed, folder, 25, lacking=0.3)
        whole = {"account": "A", "branch": 1, "payee": "B", "amount": "150 EUR"}
        with made.open_store("memory:", history_from=since) as store:
            for event in {event["id"]: event for part in parts for event in part}.values():
                before = made.decide(event, store=store, record=False)
                for name in whole:
                    after = made.decide({name: whole[name], **event}, store=store, record=False)
                    assert set(after.possible) <= set(before.possible), (event, name)
                filled = made.decide({**whole, **event}, store=store, record=False)
                assert set(filled.possible) <= set(before.possible)
                made.decide(event, store=store)


@settings(max_examples=10 * FUZZ, deadline=None)
@given(st.integers(0, 2**32))
def test_a_ledger_alone_gives_every_decision_again(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _, parts, since = case(seed, folder, 15)
        kept = Engine.load(Path(folder) / "cascades" / "screening.yaml", ledger=Path(folder) / "ledger.db")
        assert kept.ledger is not None
        with kept.ledger:
            live(kept, "memory:", parts, since)
        done = replay(Path(folder) / "ledger.db")
        assert done.fine and done.count == sum(map(len, parts)), done.differences


# --- asked directly: events that are corrected, and ticks -----------------------------------------------------------------


@st.composite
def asked(draw: st.DrawFn) -> tuple[Record, list[Row], list[list[Ask | None]], int | None]:
    """Rows of a record whose events have revisions, of which two rules are asked; corrections come with another time or account."""
    random = Random(draw(st.integers(0, 2**32)))
    under = replace(record(DATETIME, late=random.choice([0, DAY, 3 * DAY])), revision="size")
    windows = [random.choice([days(1), days(7), months(1), calendar("week"), calendar("month")]) for _ in range(2)]
    onces = [
        ir.Once((read("account"),), windows[0], ir.Read("now")),
        ir.Once((read("account"), read("branch")), windows[1], ir.Read("now")),
    ]
    rows: list[Row] = []
    now = 20_000 * DAY
    for number in range(draw(st.integers(1, 40))):
        now += random.choice([0, 1, 6, 24, 24, 100, -3, -30, -80]) * HOUR
        before = random.choice(rows) if rows and random.random() < 0.35 else None
        if before is None:
            rows.append({**event(now, random.choice(["A", "B", MISSING]), id=f"T{number}", size=1), NOW: now})
        elif random.random() < 0.3:
            rows.append(rows[-1])
        else:
            newest = max(row["size"] for row in rows if row["id"] == before["id"])
            at = random.choice([now, before["at"]])
            rows.append({**before, "at": at, NOW: at, "size": newest + 1, "account": random.choice(["A", "B"])})
    # a version that is older than one that came before would be refused
    rows = [row for place, row in enumerate(rows) if not any(o["id"] == row["id"] and o["size"] > row["size"] for o in rows[:place])]
    said: dict[Any, list[Ask | None]] = {}
    for row in rows:
        if (row["id"], row["size"]) not in said:
            hits = [random.choice([None, True, True, False]) for _ in onces]
            said[row["id"], row["size"]] = [
                None if hit is None else Ask(f"rule{place}", once, tuple(row[field.name] for field in once.per), row[NOW], hit)
                for place, (once, hit) in enumerate(zip(onces, hits, strict=True))
            ]
    asks = [said[row["id"], row["size"]] for row in rows]
    return under, rows, asks, draw(st.sampled_from([None, 20_000 * DAY - 40 * DAY]))


def truth(under: Record, rows: list[Row], asks: list[list[Ask | None]], since: int | None) -> list[list[Any]]:
    alerts, told, newest = oracle.Alerts(under, rows[0][NOW] if since is None else since), dict[Any, Any](), dict[Any, int]()
    found = []
    for row, wanted in zip(rows, asks, strict=True):
        version = row["id"], row["size"]
        if version not in told:
            if row["id"] in newest:
                alerts.correct(row)
            newest[row["id"]], alerts.this = row["size"], row
            told[version] = [None if one is None else alerts.ask(one) for one in wanted]
        found.append(told[version])
    return found


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis", "postgres"])
@settings(max_examples=15 * FUZZ, deadline=None)
@given(case=asked())
def test_a_corrected_event_holds_back_only_as_it_now_stands(kind: str, case: Any) -> None:
    under, rows, asks, since = case
    passing, found = Passing(under), []
    with tempfile.TemporaryDirectory() as folder, open_store(address(kind, Path(folder)), (), under, since) as store:
        for row, wanted in zip(rows, asks, strict=True):
            store.observe(row)
            questions = [None if one is None else passing.question(one, row["id"], row["size"]) for one in wanted]
            found.append([None if one is None else Answer(one) if isinstance(one, Missing) else store.hold(one) for one in questions])
    assert found == truth(under, rows, asks, since)


@settings(max_examples=60 * FUZZ, deadline=None)
@given(case=asked(), size=st.integers(1, 20))
def test_a_batch_holds_back_the_same_of_corrected_events(case: Any, size: int) -> None:
    under, rows, asks, since = case
    holder, found = BatchHolder(under, since), []
    types = {field.name: field.type for field in under.fields} | {NOW: DATETIME}
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        holder.over(pack(part, types).with_columns(pl.int_range(len(part), dtype=pl.Int64).alias("@row")))
        columns = [
            [
                None if (one := asks[start + number][rule]) is None else holder.ask(one._replace(number=number))
                for number in range(len(part))
            ]
            for rule in range(2)
        ]
        found += [list(answers) for answers in zip(*columns, strict=True)]
    assert found == truth(under, rows, asks, since)
