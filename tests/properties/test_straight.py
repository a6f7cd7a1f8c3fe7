"""Law 1 for the straight way: the function of a whole cascade says of every row, and of every event, what the definition says."""

from __future__ import annotations

import datetime as dt
import linecache
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.workload import events, workload, write
from engine import Engine, InputError
from engine.backends import reference
from engine.backends.fused import fits
from engine.backends.rules import RuleStep
from engine.cascade.explain import CascadeExplainer
from engine.lang import ir
from engine.ledger.decision import canonical
from engine.plan import Plan
from engine.record import Field, Record
from engine.run.event import bounds, unjudged
from engine.run.later import Later
from engine.run.straight import of_rows, one_step
from engine.values import DATETIME
from tests.backends.programs import over
from tests.properties.strategies import FIELDS, FUZZ, Values, program, row

SLOTS = (
    "key", "time", "outcome", "possible", "score", "score_range", "flags", "hits", "undecided", "held", "silenced", "versions", "row",
    "open_row", "outputs", "tick", "lock", "drafts", "id", "revises",
)  # fmt: skip


def plainly(made: ir.RuleSet, random: Random) -> ir.RuleSet:
    """What of a program stands by itself: its rules without `once`, assumptions and dated points, and what reads nothing of one another."""
    names, body, rules = {*FIELDS, "@date"}, list[ir.Statement](), set[str]()
    for statement in made.body:
        if isinstance(statement, ir.Rule):
            points = statement.points if isinstance(statement.points, int) else 5
            alone = replace(statement, once=None, assume=(), points=points, flags=())
            if ir.reads(ir.condition(alone)) <= names:
                body.append(alone)
                rules.add(alone.id)
        elif isinstance(statement, ir.Define) and ir.reads(statement.value) <= names:
            names.add(statement.name)
            body.append(statement)
        elif isinstance(statement, ir.Flag):
            raised = tuple(rule for rule in statement.rules if rule in rules)
            body.append(replace(statement, rules=raised))
    rows = [(f"over {n}", over(n)) for n in (40, 5)]
    flags = [statement.name for statement in body if isinstance(statement, ir.Flag)]
    rows += [(f"flag {name}", ir.Read(f"flags.{name}")) for name in flags[:2]]
    rows += [(f"state {id_}", ir.Not(ir.Read(ir.hit(id_)))) for id_ in sorted(rules)[:1] if random.random() < 0.3]
    if made.decide is not None and random.random() < 0.5:
        rows += [(name, when) for name, when in made.decide.rows if when is not None and ir.reads(when) <= names]
    scoring = replace(made.scoring, floors=tuple((least, None) for least, _ in made.scoring.floors))
    return replace(made, body=tuple(body), decide=ir.Decide((*rows, ("none", None)), "several"), scoring=scoring)


def planned(rules: ir.RuleSet) -> Plan:
    sources = {name: name for name in FIELDS}
    closed, open_ = (RuleStep("s", rules, sources, DATETIME, open_=open_) for open_ in (False, True))
    columns = {f"s.{ir.hit(rule.id)}": rule.id for rule in rules.rules}
    fields = tuple(Field(name, type_) for name, type_ in FIELDS.items())
    record = Record("law/record", "1.0.0", "UTC", ("text_a",), "datetime_a", fields)
    return Plan("law", "1.0.0", record, "s", (), (closed,), (open_,), closed.types, {}, columns, {}, "s.@points", ("s.@policy",))


@settings(max_examples=300 * FUZZ, deadline=None, derandomize=FUZZ == 1)
@given(st.integers(0, 2**63), st.integers(1, 14))
def test_the_straight_way_is_the_definition(seed: int, size: int) -> None:
    values = Values(Random(seed))
    rules = plainly(program(values, size), values.random)
    assert fits(rules)
    plan = planned(rules)
    straight = of_rows(plan, plan.closed[0], Later(plan, rules.rules, (), (), CascadeExplainer.__new__(CascadeExplainer), None))  # type: ignore[arg-type]
    for _ in range(6):
        one = row(values)
        closed, opened = (reference.run(rules, one, open_) for open_ in (False, True))
        found = straight(one)
        opened = opened if closed["@policy"] or len(closed["possible"]) != 1 else closed
        assert found.outcome == closed["outcome"]
        assert found.possible == tuple(dict.fromkeys((*opened["possible"], *closed["possible"])))
        assert (found.score, found.score_range) == (closed[ir.POINTS], bounds(opened["score"]))
        assert found.hits == tuple(rule.id for rule in rules.rules if closed[ir.hit(rule.id)] is True)
        assert found.undecided == tuple(rule.id for rule in rules.rules if unjudged(opened[ir.hit(rule.id)]))


# --- events ----------------------------------------------------------------------------------------------------------

RECORD = """record t/event version 1.0.0
  zone "{zone}"
  key id
  time at{more}
  field id: {key}
  field at: {time}
  field amount: money USD not negative
  field price: money by currency
  field currency: text optional
  field rate: number not negative
  field share: percent
  field count: integer not negative
  field pep: flag
  field kind: one of ("a", "b", "c")
  field name: text from "NAME", "Full name"
  field since: date
  field seen: datetime
  field lasts: duration
  field tags: list of text
  field other: text optional
  field who.country: text optional
  field who.home.city: text optional
"""
RULES = """ruleset t/rules version 1.0.0
  record t/event ^1
  on missing {policy}

list near = ("a", "b", "é")

define late = seen > 2026-01-01T12:00:00Z

rule R-01 "1" when amount >= 10 USD and kind = "a" then score 10, flag x
rule R-02 "2" when rate > 0.5 or share >= 10% then score -5
rule R-03 "3" when count between 2 and 5 and not pep then score 20, flag y
rule R-04 "4" when name starts with "Jo" or name in near then score 15
rule R-05 "5" when since < 2026-02-01 and late then score 5
rule R-06 "6" when lasts > 2 hours or rate / count > 0.2 then score 7
rule R-07 "7" when any of tags where (it = "a") then score 3
rule R-08 "8" when who.country = "DE" and who.home.city is missing then score 9
rule R-09 "9" when price > 5 EUR or price < 1 USD then score 11 on missing alert
rule R-10 "10" when now >= 2026-03-01T00:00:00Z and amount * 2 > 30 USD then score 1 on missing refer
rule R-11 "11" when kind != "b" and kind is known effective from 2026-01-01 to 2026-06-30 then score 2
rule R-12 "12" when count > 3 or (pep and rate < 2 and kind in ("a", "c")) or amount < 1 USD then score 4
rule R-13 "13" when other contains "z" then score 6

decide outcome first match
  block when score >= 30 or flag x and pep
  review when score >= 10
  approve otherwise
"""
ODD: list[Any] = [
    *(None, "", " ", "é", "\ud800", 0, 1, -1, 5, 2**63, 10**400, 0.0, -0.0, 0.6, -2.5, float("nan"), float("inf"), 1e308, True, False),
    *("true", "12.5", "9999999999999999999999", Decimal("3.25"), Decimal("NaN"), [], ["a"], ["b", None], ("a",), b"a", object()),
    *({}, {"country": "DE"}, {"home": {"city": "x"}}, dt.date(2026, 1, 31), dt.datetime(2026, 1, 1, 12), dt.timedelta(hours=3)),
    *(dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))),
    *(dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, tzinfo=dt.UTC), "2026-01-05", "2026-03-01T00:00:00Z"),
]
GOOD: dict[str, list[Any]] = {
    "amount": ["9.99", "10.00", 50, 0.5, Decimal("12.34")],
    "price": ["5.01", "0.50 USD", 6],
    "currency": ["EUR", "USD", "XXX"],
    "rate": [0.4, 0.6, 3, "0.7"],
    "share": ["10%", 0.05, "0.2"],
    "count": [0, 2, 4, "3", 4.0],
    "pep": [True, False, "true", 1],
    "kind": ["a", "b", "c", "d"],
    "name": ["John", "a", "é", "Ann"],
    "NAME": ["Jo"],
    "Full name": ["John"],
    "since": ["2026-01-05", dt.date(2026, 3, 5)],
    "seen": ["2026-01-01T12:00:01Z", dt.datetime(2025, 1, 1, tzinfo=dt.UTC)],
    "lasts": ["3 hours", "PT1H"],
    "tags": [["a"], ["b"], []],
    "other": ["z", "y", 5],
    "who.country": ["DE", "FR"],
    "who": [{"country": "DE"}, {"home": {"city": "Bonn"}}],
    "who.home.city": ["Bonn"],
    "unknown": [1, [2]],
}
TIMES: dict[str, list[Any]] = {
    "datetime": [dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "2026-02-28T23:30:00-05:00", "2026-03-01T10:00:00"],
    "date": [dt.date(2026, 3, 1), "2026-02-28"],
}


def engine_of(folder: Path, key: str, time: str, zone: str, more: str, policy: str) -> Engine:
    (folder / "rulesets/t").mkdir(parents=True)
    (folder / "cascades").mkdir()
    rules = (
        RULES.replace("{policy}", policy)
        if time == "datetime"
        else RULES.replace("{policy}", policy).replace("2026-03-01T00:00:00Z", "2026-03-01")
    )
    (folder / "rulesets/t/event.rules").write_text(RECORD.format(key=key, time=time, zone=zone, more=more), encoding="utf-8")
    (folder / "rulesets/t/rules.rules").write_text(rules, encoding="utf-8")
    (folder / "cascades/t.yaml").write_text(
        "cascade: t/c\nversion: 1.0.0\nrecord: t/event@^1\nsteps:\n  s: {rules: t/rules@^1}\ndecision: s\n"
    )
    return Engine.load(folder / "cascades/t.yaml")


def answer(decide: Any, event: Any) -> dict[str, Any] | str:
    try:
        decision = decide(event)
    except InputError as error:
        return str(error)
    return {name: getattr(decision, name) for name in SLOTS}


RECORDS = [
    ("text", "datetime", "UTC", ""),
    ("text", "datetime", "America/New_York", "\n  arrival seen"),
    ("integer", "date", "Asia/Kolkata", ""),
    ("text", "date", "UTC", "\n  arrival since\n  ahead up to 30 days"),
]


@pytest.mark.parametrize("policy", ["refer", "ignore", "alert"])
@pytest.mark.parametrize(("key", "time", "zone", "more"), RECORDS)
def test_events_are_read_as_ever(tmp_path: Path, key: str, time: str, zone: str, more: str, policy: str) -> None:
    engine, random = engine_of(tmp_path, key, time, zone, more, policy), Random(len(more) + len(policy))
    assert one_step(engine.plan) is not None
    refused = 0
    for number in range(400 * FUZZ):
        pools = GOOD | {"id": ["E1"] if key == "text" else [7], "at": TIMES[time]}
        event = {name: random.choice(good) for name, good in pools.items() if random.random() < 0.9}
        for name in random.sample(sorted(pools), random.choice((0, 0, 1, 3))):
            event[name] = random.choice(ODD)
        found, wanted = answer(engine.decide, event), answer(engine._ordinary, event)
        refused += isinstance(wanted, str)
        assert found == wanted, (number, event)
        assert repr(found) == repr(wanted)
    assert 0 < refused < 300 * FUZZ


@pytest.mark.parametrize("count", [1, 100])
def test_the_workload_is_decided_alike(tmp_path: Path, count: int) -> None:
    engine = Engine.load(write(tmp_path, workload(count)))
    for event in events(150, missing=0.1):
        assert answer(engine.decide, event) == answer(engine._ordinary, event)
        decision = engine.decide(event)
        assert decision == engine._ordinary(event)
        brief = ("flags", "hits", "key", "outcome", "possible", "robust", "score", "score_range", "time", "undecided")
        assert decision.brief() == canonical({name: getattr(decision, name) for name in brief}).encode()


def test_a_decision_keeps_what_it_read(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, "text", "datetime", "UTC", "", "refer")
    event: dict[str, Any] = {"id": "E1", "at": "2026-03-01T10:00:00", "tags": ["b"], "who": {"country": "DE"}, "count": 4, "other": "z"}
    decision, wanted = engine.decide(event), engine.decide(dict(event)).to_json()
    event["tags"].append("a")
    event["who"]["country"] = "FR"
    event.update(count=0, other=None)
    assert decision.to_json() == wanted
    with pytest.raises(AttributeError, match="cannot be changed"):
        decision.outcome = "approve"
    with pytest.raises(AttributeError, match="has no `outcom`"):
        _ = decision.outcom


def test_what_decides_can_be_read_and_stepped_through(tmp_path: Path) -> None:
    engine = Engine.load(write(tmp_path, workload(100)))
    text, decide = engine.code(), engine._straight
    assert "# amount: " in text and "which part at " in text
    assert len(text.splitlines()) < 400 and max(map(len, text.splitlines())) < 300
    seen = []

    def trace(frame: Any, kind: str, _: Any) -> Any:
        if frame.f_code is decide.__code__ and kind == "line":
            seen.append(linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip())
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        engine.decide(next(events(1, missing=0.0)))
    finally:
        sys.settrace(before)
    assert "may &= AMOUNT_LEAVES[bisect(AMOUNT_CUTS, amount)]" in seen and seen[-1] == "return decision"


def test_its_size_does_not_grow_with_the_rules(tmp_path: Path) -> None:
    sizes = [len(Engine.load(write(tmp_path / str(count), workload(count))).code().splitlines()) for count in (200, 2_000)]
    assert sizes[1] < 1.1 * sizes[0]
