"""Rules with `once per KEY per WINDOW`: what is held back, what goes through, and what the decision says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.api import Engine
from engine.errors import StoreDown
from engine.ledger.decision import Decision
from tests.cascade.alerts import RECORD, written

RULES = """ruleset bank/checks version {version}
  record bank/payment ^1

rule BIG-01 "A big amount"
  when amount > {limit} EUR
  then score 50, flag big
  because "{because}"
  {missing}
  once per account per {window}

decide outcome first match
  review when score >= 50
  accept otherwise
"""
CASCADE = "cascade: bank/screening\nversion: 1.0.0\nrecord: bank/payment@^1\nsteps:\n  checks: {rules: bank/checks@^1}\ndecision: checks\n"
USUAL = {"version": "1.0.0", "limit": "100", "because": "{amount}", "missing": "", "window": "7 days"}


def engine(folder: Path, **rules: str) -> Engine:
    files = {
        "rulesets/bank/payment.rules": RECORD.format(zone="UTC", late="3 days", time="datetime"),
        "rulesets/bank/checks.rules": RULES.format(**USUAL | rules),
        "cascades/screening.yaml": CASCADE,
    }
    return Engine.load(written(folder, files))


def paid(number: int, at: str, account: str | None = "A", amount: str = "200 EUR") -> dict[str, Any]:
    event = {"id": f"T{number}", "at": f"2024-{at}Z", "amount": amount}
    return event if account is None else {**event, "account": account}


def decided(made: Engine, *events: dict[str, Any], since: str = "2020-01-01") -> list[Decision]:
    with made.open_store(history_from=since) as store:
        return [made.decide(event, store=store) for event in events]


def through(decisions: list[Decision]) -> list[bool]:
    return [decision.hits == ("BIG-01",) for decision in decisions]


def test_a_week_is_half_open_and_counts_from_the_last_hit_let_through(tmp_path: Path) -> None:
    times = ("03-01T12:00:00", "03-05T12:00:00", "03-08T11:59:59", "03-08T12:00:00", "03-09T12:00:00", "03-15T12:00:00")
    found = decided(engine(tmp_path), *(paid(number, time) for number, time in enumerate(times)))
    assert through(found) == [True, False, False, True, False, True]
    assert [decision.held for decision in found[:2]] == [(), ("BIG-01",)]
    assert (found[1].score, found[1].flags, found[1].outcome, found[1].robust) == (0, (), "accept", True)


def test_a_calendar_month_ends_with_the_month_and_keys_do_not_mix(tmp_path: Path) -> None:
    events = paid(0, "02-29T23:00:00"), paid(1, "03-01T00:00:00"), paid(2, "03-31T23:59:59"), paid(3, "03-31T23:59:59", "B")
    assert through(decided(engine(tmp_path, window="calendar month"), *events)) == [True, True, False, True]


def test_only_what_arrived_before_and_lies_in_the_window_holds_back(tmp_path: Path) -> None:
    """What comes too late behind the newest alert goes through, and holds nothing back."""
    events = paid(0, "03-10T00:00:00"), paid(1, "03-09T00:00:00"), paid(2, "03-12T00:00:00"), paid(3, "03-01T00:00:00")
    found = decided(engine(tmp_path), *events, paid(4, "03-07T12:00:00"))
    assert through(found) == [True, True, False, True, True]
    assert "lacks earlier hits of BIG-01 (late); so the hit goes through" in found[3].explain()
    assert "(event T0, 2024-03-10T00:00:00Z)" in found[2].explain(), "of two alerts the last in time"


def test_the_explanation_names_the_alert_that_is_already_there(tmp_path: Path) -> None:
    for window, words in (
        ("7 days", "within the 7 days before"),
        ("1 year", "within the year before"),
        ("calendar day", "in the same calendar day"),
    ):
        found = decided(engine(tmp_path / words, window=window), paid(0, "03-01T09:00:00"), paid(1, "03-01T10:00:00"))
        assert f"  BIG-01 clear: A big amount\n    held back: it hit {words} (event T0, 2024-03-01T09:00:00Z)\n" in found[1].explain()


def test_nothing_is_lost_where_nobody_knows(tmp_path: Path) -> None:
    made = engine(tmp_path)
    without = made.decide(paid(0, "03-01T09:00:00"))
    short = decided(made, paid(0, "03-01T09:00:00"), since="2024-02-28")[0]
    keyless = decided(made, paid(0, "03-01T09:00:00", None), paid(1, "03-01T09:00:00", None))
    for decision in (without, short, *keyless):
        assert (decision.hits, decision.outcome, decision.possible) == (("BIG-01",), "review", ("review", "accept"))
    assert without.unsettled == (("earlier hits of BIG-01", "unavailable"),)
    assert short.unsettled == (("earlier hits of BIG-01", "short history"),)
    assert keyless[1].settled_by == ("account",) and keyless[1].missing == {"account": "absent"}


def test_a_store_that_is_down_lets_through_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    made = engine(tmp_path)
    with made.open_store(history_from="2020-01-01") as store:
        made.decide(paid(0, "03-01T09:00:00"), store=store)

        def down(*_: Any) -> Any:
            raise StoreDown("the store `here` is down: gone")

        with monkeypatch.context() as patched:
            patched.setattr(store, "hold", down)
            lost = made.decide(paid(1, "03-02T09:00:00"), store=store)
        assert lost.hits == ("BIG-01",) and lost.missing == {"earlier hits of BIG-01": "unavailable"}
        assert "nobody knows of an earlier one" in caplog.text
        assert made.decide(paid(2, "03-03T09:00:00"), store=store).held == ("BIG-01",)


def test_looking_leaves_no_trace_and_a_repeat_gets_its_answer(tmp_path: Path) -> None:
    made = engine(tmp_path)
    with made.open_store(history_from="2020-01-01") as store:
        for _ in range(2):
            assert made.decide(paid(0, "03-01T09:00:00"), store=store, record=False).hits == ("BIG-01",)
        first = [made.decide(paid(number, f"03-0{number + 1}T09:00:00"), store=store) for number in range(3)]
        assert [made.decide(paid(number, f"03-0{number + 1}T09:00:00"), store=store) for number in range(3)] == first
    assert through(first) == [True, False, False]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"because": "much: {amount}", "version": "1.0.1"}, True),
        ({"limit": "101", "version": "1.1.0"}, False),
        ({"window": "8 days", "version": "1.1.0"}, False),
        ({"missing": "on missing alert", "version": "1.1.0"}, False),
    ],
)
def test_a_rule_that_means_something_else_begins_anew(tmp_path: Path, change: dict[str, str], kept: bool) -> None:
    url = f"sqlite:{tmp_path / 'history.db'}"
    for rules, event, held in (({}, paid(0, "03-01T09:00:00"), False), (change, paid(1, "03-02T09:00:00"), kept)):
        made = engine(tmp_path, **rules)
        with made.open_store(url) as store:
            assert (made.decide(event, store=store).held == ("BIG-01",)) is held


def test_a_tick_is_let_through_once_like_an_event_and_never_the_same(tmp_path: Path) -> None:
    rules = RULES.replace("rule BIG-01", "feature payments = count over 30 days per account\n\nrule BIG-01").replace(
        "amount > {limit} EUR", "payments < 1"
    )
    made = Engine.load(engine(tmp_path).workspace.folder / "cascades/screening.yaml")
    path = tmp_path / "rulesets/bank/checks.rules"
    path.write_text(rules.format(**USUAL | {"because": "idle"}))
    made = Engine.load(tmp_path / "cascades/screening.yaml")
    with made.open_store(history_from="2020-01-01") as store:
        days = ("A", "01"), ("B", "02"), ("A", "03"), ("A", "08"), ("A", "08")
        found = [made.tick({"account": account}, f"2024-03-{day}T00:00:00Z", store=store) for account, day in days]
    assert through(found) == [True, True, False, True, False]
    assert "(tick, 2024-03-01T00:00:00Z)" in found[2].explain()


def test_a_batch_says_what_it_held_back_and_a_decision_in_json_too(tmp_path: Path) -> None:
    made = engine(tmp_path)
    events = [paid(0, "03-01T09:00:00"), paid(1, "03-02T09:00:00"), paid(2, "03-02T10:00:00", amount="5 EUR")]
    for detail, wanted in (("names", [[], ["BIG-01"], []]), ("bits", [[0], [1], [0]])):
        assert [list(held) for held in made.decide_batch(pl.DataFrame(events), detail=detail, history_from="2020-01-01")["held"]] == wanted
    said = [json.loads(decision.to_json()) for decision in decided(made, *events)]
    assert [one.get("held") for one in said] == [None, ["BIG-01"], None]


def test_a_cascade_without_such_rules_has_no_such_column(tmp_path: Path) -> None:
    files = {"rulesets/bank/checks.rules": RULES.format(**USUAL).replace("  once per account per 7 days\n", "")}
    engine(tmp_path)
    made = Engine.load(written(tmp_path, files))
    assert "held" not in made.decide_batch(pl.DataFrame([paid(0, "03-01T09:00:00")])).columns
    assert made.plan.held == {}
