"""A small workspace: deposits that may be corrected, three features over them, and a rule on each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RECORD = """
record bank/deposit version 1.0.0
  zone "Europe/Berlin"
  key id
  time booked_at
{clauses}  field id: text
  field booked_at: {time}
  field received_at: {arrival} optional
  field account: text optional
  field amount: money EUR not negative
  field version: integer
"""

FILES = {
    "rulesets/bank/habits.rules": """
features bank/habits version 1.0.0
  record bank/deposit ^1
feature deposits_7d = count over 7 days per account
feature paid_in_7d = sum of amount over 7 days per account
feature before = last of amount over 30 days per account
""",
    "rulesets/bank/checks.rules": """
ruleset bank/checks version 1.0.0
  record bank/deposit ^1
  uses features bank/habits ^1
rule MANY-01 "Three deposits in a week"
  when habits.deposits_7d >= 3
  then score 40
  because "{habits.deposits_7d} deposits in a week"
rule LARGE-01 "Much in a week"
  when habits.paid_in_7d > 1_000 EUR
  then score 30
  because "{habits.paid_in_7d} in a week"
decide outcome first match
  review when score >= 30
  pass otherwise
story "two and a half" history complete
  | booked_at        | account | amount  | version | => MANY-01 |
  | 4031-01-01 09:00 | "A"     | 100 EUR | 1       | clear      |
""",
    "cascades/deposits.yaml": """
cascade: bank/deposits
version: 1.0.0
record: bank/deposit@^1
steps:
  checks: {rules: bank/checks@^1}
decision: checks
""",
}

CASCADE = "cascades/deposits.yaml"
REVISED = "  revision version\n"


def workspace(folder: Path, clauses: str = REVISED, time: str = "datetime", arrival: str = "datetime") -> Path:
    """Writes the workspace into a folder; gives its cascade. A record whose time is a date gets stories of dates."""
    record = {"rulesets/bank/deposit.rules": RECORD.format(clauses=clauses, time=time, arrival=arrival)}
    for name, text in (FILES | record).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip() if time == "datetime" else text.lstrip().replace("4031-01-01 09:00", "4031-01-01"), encoding="utf-8")
    return folder / CASCADE


def deposit(id_: str, at: str, amount: int = 100, version: int = 1, account: str | None = "A", **more: Any) -> dict[str, Any]:
    """A raw event."""
    return {"id": id_, "booked_at": at, "account": account, "amount": amount, "version": version, **more}
