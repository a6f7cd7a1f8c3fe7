"""Workspaces whose rules say `once`, made from a few choices, and events for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from engine.api import Engine

Event = dict[str, Any]

RECORD = """record bank/payment version 1.0.0
  zone "{zone}"
  key id
  time at
  late up to {late}
  field id: text
  field at: {time}
  field account: text optional
  field branch: integer optional
  field payee: text optional
  field amount: money EUR not negative
"""
CHECKS = """ruleset bank/checks version 1.0.0
  record bank/payment ^1
param quiet = {quiet}

rule BIG-01 "A big amount"
  when amount > 100 EUR
  then score 50
  on missing {policy}
  once per account per {first}

rule MID-02 "An amount that is not so big, where the big ones were not told"
  when amount > 50 EUR and not hit("BIG-01")
  then score 20, flag middle
  {assume}
  once per account, branch per {second}

rule ANY-03 "One of them"
  when hit("BIG-01") or flag middle
  then flag told
  {assume}
  once per payee per quiet

decide outcome first match
  block when hit("BIG-01") and flag told
  review when score >= 20
  accept otherwise
  otherwise undecided review
"""
VERDICT = """ruleset bank/verdict version 1.0.0
  record bank/payment ^1
input points: integer
input again: integer optional
input blocked: flag

rule SUM-01 "Points enough"
  when points + (again else 0) >= 50
  then score 10
  once per account per {first}

decide outcome first match
  block when blocked
  review when score > 0
  accept otherwise
"""
INNER = "cascade: bank/inner\nversion: 1.0.0\nrecord: bank/payment@^1\nsteps:\n  checks: {rules: bank/checks@^1}\ndecision: checks\n"
OUTER = """cascade: bank/screening
version: 1.0.0
record: bank/payment@^1
steps:
  checks: {rules: bank/checks@^1}
  again: {rules: bank/checks@^1, with: {account: payee, payee: account}, when: checks.score < 50}
  inner: {cascade: bank/inner@^1, when: amount > 20 EUR}
  verdict: {rules: bank/verdict@^1, with: {points: checks.score, again: again.score, blocked: 'inner.outcome = "block"'}}
decision: verdict
"""


def written(folder: Path, files: dict[str, str]) -> Path:
    """The files of a workspace on disk; gives its cascade ``screening``."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "cascades" / "screening.yaml"


def engine(folder: Path, random: Random) -> Engine:
    """An engine over rules with `once` of some windows and policies: side by side, behind one another, behind gates, renamed, nested."""
    dates = random.random() < 0.3
    units = ("days", "months") if dates else ("hours", "days", "days", "months")

    def window() -> str:
        period = random.choice(("day", "week", "month", "quarter", "year"))
        return random.choice((f"{random.choice((1, 2, 7))} {random.choice(units)}", f"calendar {period}"))

    record = {
        "zone": random.choice(("Europe/Berlin", "America/New_York")),
        "late": random.choice(("0 days", "1 day", "3 days")),
        "time": "date" if dates else "datetime",
    }
    rules = {
        "first": window(),
        "second": window(),
        "quiet": f"{random.choice((1, 3))} {units[-1]}",
        "policy": random.choice(("refer", "ignore", "alert")),
        "assume": random.choice(("", "on missing alert", "on missing ignore")),
    }
    files = {
        "rulesets/bank/payment.rules": RECORD.format(**record),
        "rulesets/bank/checks.rules": CHECKS.format(**rules),
        "rulesets/bank/verdict.rules": VERDICT.format(**rules),
        "cascades/inner.yaml": INNER,
        "cascades/screening.yaml": OUTER,
    }
    return Engine.load(written(folder, files))


def stream(random: Random, *, dates: bool, size: int, lacking: float = 0.1) -> list[Event]:
    """Events of few accounts in order of arrival: some at one time, some late, some with gaps, some that come again."""
    time, made = dt.datetime(2024, 2, 27, 12, tzinfo=dt.UTC), list[Event]()
    for number in range(size):
        if made and random.random() < 0.08:
            made.append(random.choice(made))
            continue
        time += dt.timedelta(hours=random.choice((0, 0, 1, 5, 12, 24, 24, 100, 800, -1, -20, -60)))
        fields = {
            "account": random.choice("AB"),
            "branch": random.choice((1, 2)),
            "payee": random.choice("ABC"),
            "amount": random.choice(("10 EUR", "60 EUR", "150 EUR", "150 EUR")),
        }
        known = {name: value for name, value in fields.items() if random.random() >= lacking}
        made.append({"id": f"T{number}", "at": time.date().isoformat() if dates else time.isoformat(), **known})
    return made


def chunks(random: Random, events: Sequence[Event]) -> list[list[Event]]:
    """The stream in parts."""
    left, found = list(events), list[list[Event]]()
    while left:
        size = random.randint(1, len(left))
        found.append(left[:size])
        left = left[size:]
    return found
