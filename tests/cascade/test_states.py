"""Rule sets that read the states of other rule sets: typologies, wired by themselves, whose ranges go through the whole cascade."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.api import Engine
from engine.cascade.draw import drawing, text
from engine.errors import SourceError
from engine.rerun import replay
from tests.cascade.alerts import written

RECORD = """record t/event version 1.0.0
  zone "UTC"
  key id
  time at
  field id: text
  field at: datetime
  field a: integer optional
  field b: integer optional
  field c: integer optional
"""
SIGNS = 'rule A-1 "a" when a > 0 then score 40, flag red\nrule A-2 "b" when b > 0 then score 30, set tier = "high"\n'
MORE = 'rule C-1 "c" when c > 0 then score 20, flag blue\n'
WEIGHED = """  uses ruleset t/signs ^1
  uses ruleset t/more ^1
  score sum at most 100
  score at least 60 when signs.flags.red and more.flags.blue
rule W-1 "red" when signs.flags.red then score 20
rule W-2 "second" when signs.hit("A-2") and signs.tier = "high" then score 25
rule W-3 "much" when signs.score >= 70 then score 70
decide outcome first match
  block when score >= 90
  review when score >= 45
  approve otherwise
"""
STEPS = "  weighed: {rules: t/weighed@^1}\n  more: {rules: t/more@^1}\n  signs: {rules: t/signs@^1}\n"


def made(folder: Path, steps: str = STEPS, *, ledger: str | None = None, decision: str = "weighed", **rules: str) -> Engine:
    files = {"rulesets/t/event.rules": RECORD}
    for name, body in ({"signs": SIGNS, "more": MORE, "weighed": WEIGHED} | rules).items():
        files[f"rulesets/t/{name}.rules"] = f"ruleset t/{name} version 1.0.0\n  record t/event ^1\n{body}"
    head = "cascade: t/main\nversion: 1.0.0\nrecord: t/event@^1\nsteps:\n"
    files["cascades/main.yaml"] = f"{head}{steps}decision: {decision}\n"
    return Engine.load(written(folder, files).parent / "main.yaml", ledger=ledger)


def event(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"id": f"E{number}", "at": "2026-01-05T00:00:00Z", **fields}


def test_what_is_read_is_wired_by_itself_and_drawn(tmp_path: Path) -> None:
    engine = made(tmp_path)
    decision = engine.decide(event(a=1, b=1, c=0))
    assert (decision.score, decision.outcome, decision.robust) == (100, "block", True)
    assert 'reads signs: flags.red, hit("A-2"), score, tier' in text(drawing(engine.linked))
    assert "score 100: all points 115, at most 100" in decision.explain()


def test_an_undecided_member_is_a_range_all_the_way_and_says_what_would_settle_it(tmp_path: Path) -> None:
    engine = made(tmp_path, ledger=str(tmp_path / "ledger.db"))
    half = engine.decide(event(1, a=1, c=1))  # A-2 is undecided: 40 to 70 points there
    assert (half.score, half.score_range, half.possible) == (60, (60, 100), ("block", "review"))
    assert (half.undecided, half.settled_by) == (("A-2", "W-2", "W-3"), ("b",))
    poor = engine.decide(event(2, b=0, c=0))  # at most 40 points there, so that W-3 is clear
    assert (poor.score_range, poor.possible, poor.robust) == ((0, 20), ("approve",), True)
    events = [event(1, a=1, c=1), event(2, b=0, c=0), event(3, a=1, b=1, c=1), event(4)]
    live = [half, poor, *(engine.decide(one) for one in events[2:])]
    frame = engine.decide_batch(pl.DataFrame(events), detail="names")
    columns = ("score", "score_low", "score_high", "possible")
    assert [(d.score, *d.score_range, list(d.possible)) for d in live] == frame.select(columns).rows()
    engine.ledger.close()
    assert replay(tmp_path / "ledger.db").same


def test_of_several_steps_the_one_of_the_same_name_or_the_one_that_is_named(tmp_path: Path) -> None:
    two = "  more: {rules: t/more@^1}\n  signs: {rules: t/signs@^1}\n  other: {rules: t/signs@^1, with: {a: b, b: a}}\n"
    same = made(tmp_path / "same", two + "  weighed: {rules: t/weighed@^1}\n")
    named = made(tmp_path / "named", two + "  weighed: {rules: t/weighed@^1, with: {signs: other}}\n")
    assert "W-1" in same.decide(event(a=1, b=0, c=0)).hits
    assert "W-1" not in named.decide(event(a=1, b=0, c=0)).hits
    assert "W-1" in named.decide(event(a=0, b=1, c=0)).hits


def test_a_member_that_a_gate_shut_out_lacks_its_states(tmp_path: Path) -> None:
    steps = STEPS.replace("more: {rules: t/more@^1}", "more: {rules: t/more@^1, when: a > 5}")
    decision = made(tmp_path, steps).decide(event(a=1, b=0, c=1))
    assert (decision.score_range, decision.row["more.flags.blue"].cause) == ((20, 60), "skipped")


def test_rule_sets_that_read_one_another_are_told_so(tmp_path: Path) -> None:
    one = '  uses ruleset t/other ^1\nrule O-1 "o" when other.hit("P-1") then score 1\n'
    other = '  uses ruleset t/one ^1\nrule P-1 "p" when one.hit("O-1") then score 1\n'
    with pytest.raises(SourceError) as caught:
        made(tmp_path, STEPS + "  one: {rules: t/one@^1}\n  other: {rules: t/other@^1}\n", one=one, other=other)
    assert [(p.code, p.message) for p in caught.value.diagnostics] == [
        ("ruleset-circle", "these rule sets read one another in a circle: `t/one` -> `t/other` -> `t/one`")
    ]
    itself = '  uses ruleset t/self ^1\nrule S-1 "s" when self.hit("S-1") then score 1\n'
    with pytest.raises(SourceError) as caught:
        made(tmp_path, "  self: {rules: t/self@^1}\n", decision="self", self=itself)
    assert caught.value.diagnostics[0].code == "ruleset-circle"
