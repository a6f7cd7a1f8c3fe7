"""Named exceptions in whole cascades: what a decision, a frame, a ledger and an explanation say of a hit that somebody let pass."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl

from engine.api import Engine
from engine.ledger.decision import Silenced
from engine.monitor.summary import Summary
from engine.rerun import replay
from engine.testkit.sources import check
from tests.cascade.alerts import RECORD, written

RULES = """ruleset bank/checks version 1.0.0
  record bank/payment ^1

rule BIG-01 "A big amount"
  when amount > 100 EUR
  then score 50, flag big
  because "{amount}"
  once per account per 7 days

exception BIG-01-E1 "Treasury" for BIG-01
  when payee = "treasury"
  until 2024-06-30
  approved by "Head of payments, 2024-01-02"
  because "internal transfers are settled daily"

decide outcome first match
  review when score >= 50
  accept otherwise
"""
CASCADE = "cascade: bank/screening\nversion: 1.0.0\nrecord: bank/payment@^1\nsteps:\n  checks: {rules: bank/checks@^1}\ndecision: checks\n"
OUTER = """cascade: bank/outer
version: 1.0.0
record: bank/payment@^1
steps:
  inner: {cascade: bank/screening}
  last: {rules: bank/last@^1, with: {points: inner.score}}
decision: last
"""
LAST = """ruleset bank/last version 1.0.0
  record bank/payment ^1

input points: integer

decide outcome first match
  review when points >= 50
  accept otherwise
"""
WORDS = Silenced("BIG-01", "BIG-01-E1", "Head of payments, 2024-01-02", "2024-06-30", "internal transfers are settled daily")


def engine(folder: Path, ledger: str | None = None) -> Engine:
    record = RECORD.format(zone="Europe/Berlin", late="3 days", time="datetime")
    files = {"rulesets/bank/payment.rules": record, "rulesets/bank/checks.rules": RULES, "cascades/screening.yaml": CASCADE}
    return Engine.load(written(folder, files), ledger=ledger)


def paid(number: int, at: str, payee: str | None = "treasury") -> dict[str, Any]:
    return {"id": f"T{number}", "at": at, "account": "A", "amount": "200 EUR"} | ({} if payee is None else {"payee": payee})


EVENTS = [
    paid(1, "2024-06-30T21:59:59Z"),  # the last second of the day in Berlin
    paid(2, "2024-06-30T22:00:00Z"),
    paid(3, "2024-03-01T12:00:00Z", "somebody"),
    paid(4, "2024-03-02T12:00:00Z", None),
]


def test_a_decision_says_who_let_it_pass_until_the_local_day_is_over(tmp_path: Path) -> None:
    made = engine(tmp_path)
    last, after, other, unknown = map(made.decide, EVENTS)
    assert (last.outcome, last.score, last.hits, last.silenced) == ("accept", 0, (), (WORDS,))
    assert last.to_dict()["silenced"] == [
        {
            "rule": "BIG-01",
            "exception": "BIG-01-E1",
            "approved_by": "Head of payments, 2024-01-02",
            "until": "2024-06-30",
            "because": "internal transfers are settled daily",
        }
    ]
    assert (after.hits, after.silenced, "silenced" in after.to_dict()) == (("BIG-01",), (), False)
    assert (other.hits, other.silenced) == (("BIG-01",), ())
    assert (unknown.undecided, unknown.silenced, unknown.missing) == (("BIG-01",), (), {"payee": "absent"} | unknown.missing)
    assert set(unknown.possible) == {"review", "accept"}
    assert "payee" in unknown.settled_by


def test_the_explanation_names_the_exception_and_who_approved_it(tmp_path: Path) -> None:
    made = engine(tmp_path)
    assert (
        "silenced by BIG-01-E1 (Treasury), approved by Head of payments, 2024-01-02, until 2024-06-30: internal transfers are settled daily"
    ) in made.explain(EVENTS[0])
    assert "silenced" not in made.explain(EVENTS[2])


def test_a_silenced_hit_is_no_hit_for_once(tmp_path: Path) -> None:
    made = engine(tmp_path)
    with made.open_store(history_from="2020-01-01") as store:
        silent = made.decide(paid(1, "2024-03-01T12:00:00Z"), store=store)
        loud = made.decide(paid(2, "2024-03-02T12:00:00Z", "somebody"), store=store)
        held = made.decide(paid(3, "2024-03-03T12:00:00Z", "somebody"), store=store)
        both = made.decide(paid(4, "2024-03-04T12:00:00Z"), store=store)
    assert (silent.silenced, silent.held) == ((WORDS,), ())
    assert loud.hits == ("BIG-01",)
    assert held.held == ("BIG-01",)
    assert (both.silenced, both.held) == ((WORDS,), ())


def test_a_frame_says_the_same_and_is_counted(tmp_path: Path) -> None:
    made = engine(tmp_path)
    named = made.decide_batch(pl.DataFrame(EVENTS), detail="names", history_from="2020-01-01")
    assert named["silenced"].to_list() == [["BIG-01 by BIG-01-E1"], [], [], []]
    bits = made.decide_batch(pl.DataFrame(EVENTS), history_from="2020-01-01")
    assert made.silenced_names == ("BIG-01 by BIG-01-E1",)
    assert bits["silenced"].to_list() == [[1], [0], [0], [0]]
    summary = Summary.of(made.linked)
    summary.add(pl.DataFrame(EVENTS).with_columns(at=pl.col("at").str.to_datetime(time_zone="UTC")), named)
    assert summary.silenced == {"BIG-01 by BIG-01-E1": 1}
    assert "hits that exceptions silenced\n          1  BIG-01 by BIG-01-E1" in summary.text()


def test_a_ledger_keeps_it_and_a_replay_finds_it_again(tmp_path: Path) -> None:
    made = engine(tmp_path, str(tmp_path / "decisions.db"))
    for event in EVENTS:
        made.decide(event)
    made.ledger.close()
    replayed = replay(tmp_path / "decisions.db")
    assert replayed.same, replayed


def test_a_check_says_on_which_day_it_asked(tmp_path: Path) -> None:
    engine(tmp_path)

    def past(**on: dt.date) -> list[tuple[str, str]]:
        return [(one.message, one.severity) for one in check(tmp_path, **on) if one.code == "exception-past"]

    assert past() == []  # nothing here asks the clock
    assert past(on=dt.date(2024, 6, 30)) == []
    ((message, severity),) = past(on=dt.date(2024, 7, 1))
    assert severity == "warning"
    assert "ended on 2024-06-30: on 2024-07-01, the day of this check" in message


def test_what_was_let_through_counts_whatever_exceptions_come_and_go(tmp_path: Path) -> None:
    """Who adds an exception does not begin the rule's memory anew."""
    places = []
    for rules in (RULES, RULES.replace("until 2024-06-30", "until 2025-06-30"), RULES.replace("amount > 100", "amount > 101")):
        made = engine(tmp_path)
        (tmp_path / "rulesets/bank/checks.rules").write_text(rules, encoding="utf-8")
        made = Engine.load(tmp_path / "cascades/screening.yaml")
        places.append(json.dumps(made.linked.views[0].rule_step._places))
    assert places[0] == places[1] != places[2]


def test_in_a_nested_cascade_it_is_recorded_too(tmp_path: Path) -> None:
    engine(tmp_path)
    (tmp_path / "rulesets/bank/last.rules").write_text(LAST, encoding="utf-8")
    (tmp_path / "cascades/outer.yaml").write_text(OUTER, encoding="utf-8")
    made = Engine.load(tmp_path / "cascades/outer.yaml")
    assert [made.decide(event).silenced for event in EVENTS] == [(WORDS,), (), (), ()]
    assert made.decide_batch(pl.DataFrame(EVENTS), detail="names")["silenced"].to_list() == [["BIG-01 by BIG-01-E1"], [], [], []]
    assert "silenced by BIG-01-E1" in made.explain(EVENTS[0])
