"""A workspace whose cascade was locked twice, with other rules from a day on."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from engine import Engine
from engine.errors import InputError
from engine.locking import make_lock
from engine.publish import publish
from engine.registry.lock import Lock
from engine.registry.published import Registry
from engine.registry.store import Workspace

ROOT = Path(__file__).resolve().parents[2]
PACK_DAY = dt.date(2026, 3, 10)
"""From this day on the second lock of the pack holds; the first from the beginning of the year."""


def lock(workspace: Path, since: dt.date | None, name: str, cascade: str = "cascades/screening.yaml", folder: str = "locks") -> Path:
    """Publish what is new, and lock the cascade from a day on."""
    there = Workspace(workspace)
    names = [one for kind, one, *_ in Engine.load(workspace / cascade).versions if kind != "method"]
    publish(there, Registry(workspace / "registry"), names, "for the test")
    target = workspace / folder / f"{name}.lock"
    target.parent.mkdir(exist_ok=True)
    target.write_text(make_lock(workspace / cascade, Registry(workspace / "registry"), since=since).text(), encoding="utf-8")
    return target


def pack(workspace: Path) -> Path:
    """The bundled screening, and again with a reporting limit of 9,000 USD instead of 10,000; gives the folder of both locks."""
    for name in ("aml", "bank", "geo"):
        shutil.copytree(ROOT / "rulesets" / name, workspace / "rulesets" / name)
    (workspace / "cascades").mkdir()
    shutil.copy(ROOT / "cascades/screening.yaml", workspace / "cascades")
    lock(workspace, dt.date(2026, 1, 1), "first")
    path = workspace / "rulesets/aml/cash.rules"
    rules, _, _ = path.read_text(encoding="utf-8").partition('\ntest "')
    assert "limit: money = 10_000 USD" in rules and "version 1.5.0" in rules
    rules = rules.replace("limit: money = 10_000 USD", "limit: money = 9_000 USD").replace("version 1.5.0", "version 1.6.0")
    path.write_text(rules + "\n", encoding="utf-8")
    return lock(workspace, PACK_DAY, "second").parent


SHOWN = ("key", "time", "outcome", "possible", "robust", "score", "score_low", "score_high", "flags", "hits", "undecided")


def told(decision: Any) -> tuple[Any, ...]:
    """What a decision and a row of a batch both say."""
    if isinstance(decision, dict):
        row = [decision[name] for name in SHOWN]
        time = decision["time"].strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(decision["time"], "strftime") else decision["time"]
        return tuple(tuple(one) if isinstance(one, list) else one for one in [row[0], time, *row[2:], decision["lock"]])
    low, high = decision.score_range
    said = (decision.key, decision.time, decision.outcome, decision.possible, decision.robust, decision.score, low, high)
    return (*said, decision.flags, decision.hits, decision.undecided, decision.lock)


def rows(frame: Any) -> list[tuple[Any, ...]]:
    return [told(row) for row in frame.to_dicts()]


def one_by_one(engine: Engine, events: Iterable[dict[str, Any]], store: Any) -> list[tuple[Any, ...]]:
    """What each event gets, or why it gets nothing."""
    found: list[tuple[Any, ...]] = []
    for event in events:
        try:
            found.append(told(engine.decide(event, store=store)))
        except InputError as error:
            found.append((str(error),))
    return found


def with_rejects(decisions: Any) -> list[tuple[Any, ...]]:
    """The rows of a batch and the reasons of its rejects, in the order in which they were given."""
    rejects = dict(decisions.rejects.select("row", "reason").iter_rows())
    decided = iter(rows(decisions))
    return [(rejects[at],) if at in rejects else next(decided) for at in range(len(rejects) + len(decisions))]


# --- a small shop, whose record, features and rules all change ----------------------------------------------------------

RECORD = """record shop/sale version {version}
  zone "Europe/Berlin"
  key id
  time at
  late up to 2 days
  field id: text
  field at: datetime
  field account: text optional
  field amount: money EUR
{more}"""
HABITS = """features shop/habits version {version}
  record shop/sale ^1

feature spent = sum of amount over {days} days per account
feature often = count over {days} days per account
"""
CHECKS = """ruleset shop/checks version {version}
  record shop/sale ^1
  uses features shop/habits {habits}

rule BIG-01 "A big amount"
  when amount > {limit} EUR
  then score 50, flag big
  once per account per 6 days

rule OFTEN-02 "Again and again"
  when habits.often >= 3
  then score 20
  once per account per 4 days
{more}
decide outcome first match
  stop when score >= 50
  look when score >= 20
  pass otherwise
  otherwise undecided look
"""
RULE = """
rule LAND-03 "From abroad"
  when country is known and country != "DE" and habits.spent > 100 EUR
  then score 30, flag abroad
"""
CASCADE = """cascade: shop/screening
version: {version}
record: shop/sale@^1
steps:
  habits: {{features: shop/habits@{habits}}}
  checks: {{rules: shop/checks@{checks}}}
decision: checks
"""
BEGINS = dt.date(2026, 7, 5), dt.date(2026, 7, 10), dt.date(2026, 7, 15)


def write(workspace: Path, name: str, text: str) -> None:
    (workspace / name).parent.mkdir(parents=True, exist_ok=True)
    (workspace / name).write_text(text, encoding="utf-8")


def old_rules(workspace: Path) -> None:
    write(workspace, "rulesets/shop/sale.rules", RECORD.format(version="1.0.0", more=""))
    write(workspace, "rulesets/shop/habits.rules", HABITS.format(version="1.0.0", days=7))
    write(workspace, "rulesets/shop/checks.rules", CHECKS.format(version="1.0.0", habits="^1", limit=100, more=""))
    write(workspace, "cascades/screening.yaml", CASCADE.format(version="1.0.0", habits="^1", checks="^1"))


def new_rules(workspace: Path) -> None:
    """Another window, another limit, one rule more, and a field that only this record has."""
    write(workspace, "rulesets/shop/sale.rules", RECORD.format(version="1.1.0", more="  field country: text optional\n"))
    write(workspace, "rulesets/shop/habits.rules", HABITS.format(version="2.0.0", days=3))
    write(workspace, "rulesets/shop/checks.rules", CHECKS.format(version="2.0.0", habits="^2", limit=80, more=RULE))
    write(workspace, "cascades/screening.yaml", CASCADE.format(version="2.0.0", habits="^2", checks="^2"))


def shop(workspace: Path) -> Path:
    """The old rules, the new ones, and from another day on the old ones again; gives the folder of the locks."""
    old_rules(workspace)
    first = lock(workspace, BEGINS[0], "a")
    new_rules(workspace)
    lock(workspace, BEGINS[1], "b")
    back = first.with_name("c.lock")
    back.write_text(replace(Lock.read(first), since=BEGINS[2]).text(), encoding="utf-8")
    return first.parent


def sales(random: Random, size: int) -> list[dict[str, Any]]:
    """Sales from before the first lock until after the last, some of them late, some twice, some of nobody."""
    begin, found = dt.datetime(2026, 7, 3), list[dict[str, Any]]()
    for number in range(size):
        if found and random.random() < 0.05:
            found.append(random.choice(found))
            continue
        at = begin + dt.timedelta(days=16 * number / size, minutes=random.choice((0, 0, 0, -600, -3000, 900)))
        found.append(
            {
                "id": f"S{number}",
                "at": at.isoformat(),
                "account": random.choice(("A", "A", "B", None)),
                "amount": random.choice(("20.00", "85.00", "150.00", "x")),
                "country": random.choice(("DE", "FR", None)),
            }
        )
    return found
