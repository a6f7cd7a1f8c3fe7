"""Which field would settle an answer that hangs on history: the key, the time a window begins at, what rows are compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.api import Engine

RECORD = """record bank/payment version 1.0.0
  zone "Europe/Berlin"
  key id
  time at
  field id: text
  field at: datetime
  field account: text optional
  field payee: text optional
  field opened: date optional
  field amount: money EUR not negative
"""
RULES = """ruleset bank/checks version 1.0.0
  record bank/payment ^1
feature many = {feature}
rule MANY-01 "Many of them"
  when many >= 3
  then score 50
decide outcome first match
  review when score >= 50
  accept otherwise
  otherwise undecided review
"""
CASCADE = "cascade: bank/screening\nversion: 1.0.0\nrecord: bank/payment@^1\nsteps:\n  checks: {rules: bank/checks@^1}\ndecision: checks\n"
EVENT = {"id": "T1", "at": "2024-05-15T12:00:00Z", "account": "A", "payee": "B", "opened": "2024-05-01", "amount": "10.00 EUR"}


@pytest.mark.parametrize(
    ("feature", "left_out", "settling"),
    [
        ("count over 7 days per account", ("account",), ("account",)),
        ("count over since opened per account", ("opened",), ("opened",)),
        ("count over since opened per account", ("account", "opened"), ("account", "opened")),
        ("count over 7 days per account, matched as account or payee", ("account", "payee"), ("account",)),
        ("count over 7 days per account where payee is known and payee = this.payee", ("payee",), ("payee",)),
        ('count over 7 days per account where amount > 5 EUR and this.payee = "B"', ("payee",), ("payee",)),
        ("max of (count over calendar month per account) over calendar year per account", ("account",), ("account",)),
    ],
)
def test_a_missing_field_of_this_event_is_what_would_settle_it(
    tmp_path: Path, feature: str, left_out: tuple[str, ...], settling: tuple[str, ...]
) -> None:
    for name, text in (
        ("rulesets/bank/payment.rules", RECORD),
        ("rulesets/bank/checks.rules", RULES),
        ("cascades/screening.yaml", CASCADE),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{feature}", feature))
    engine = Engine.load(tmp_path / "cascades/screening.yaml")
    with engine.open_store("memory:", history_from="2000-01-01") as store:
        for number in range(3):
            engine.decide({**EVENT, "id": f"before {number}"}, store=store)
        decision = engine.decide({name: value for name, value in EVENT.items() if name not in left_out}, store=store)
    assert not decision.robust
    assert decision.settled_by == settling
    assert decision.unsettled == ()
