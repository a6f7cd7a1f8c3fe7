"""Dated params, lists and entries in a whole cascade: live, in a batch, recorded and replayed, on the days about each of their ends."""

from __future__ import annotations

from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine, replay
from engine.cascade.components import Components
from engine.errors import EngineError
from engine.registry.store import Workspace
from engine.testkit.runner import run_tests
from engine.testkit.sources import find

FILES = {
    "rulesets/bank/transfer.rules": """
record bank/transfer version 1.0.0
  zone "Europe/Moscow"
  key id
  time at
  late up to 0 days
  field id: text
  field at: datetime
  field account: text
  field payee: text
  field amount: money RUB not negative
""",
    "rulesets/bank/watched.csv": "account,from,to\nA1,2025-05-31,2025-06-01\nB2,,2025-05-31\nA1,2025-06-03,\nC3,,\n",
    "rulesets/bank/before.csv": "name\nX\nY\n",
    "rulesets/bank/after.csv": "name\nY\nZ\n",
    "rulesets/bank/sanctioned.rules": """
list bank/sanctioned version 2.0.0
from "before.csv" column "name" effective from 2019-01-15 to 2025-05-31, from "after.csv" effective from 2025-06-01
""",
    "rulesets/bank/habits.rules": """
features bank/habits version 1.0.0
  record bank/transfer ^1
  uses list bank/sanctioned ^2
param limit: money = 600 RUB effective from 2010-01-01 to 2025-05-31, 1_000 RUB effective from 2025-06-01
param span = 4 days effective from 2010-01-01 to 2025-06-02, 1 day effective from 2025-06-03
list watched from "watched.csv" column "account" valid "from" to "to"
feature large = count over 4 days per account where amount >= limit
feature listed = count over span per payee where payee in bank.sanctioned or account in watched
feature shares = sum of 90% * limit over 2 days per account
feature often = large >= 2 and limit > 700 RUB
""",
    "rulesets/bank/checks.rules": """
ruleset bank/checks version 1.0.0
  record bank/transfer ^1
  uses features bank/habits ^1
  uses list bank/sanctioned ^2
param limit: money = 600 RUB effective from 2010-01-01 to 2025-05-31, 1_000 RUB effective from 2025-06-01
param near = 90% effective from 2025-05-31
param pause = 3 days effective from 2010-01-01 to 2025-06-01, 1 day effective from 2025-06-02
list watched from "watched.csv" column "account" valid "from" to "to"
rule LIMIT-01 "Near the limit" when amount >= near * limit then score 10, set least = near * limit
  because "{amount}, and {limit} is the limit"
rule LIST-01 "To somebody listed" when payee in bank.sanctioned then score 20
rule LIST-02 "Watched" when account in watched then score 40
rule OFTEN-01 "Often" when habits.large >= 2 or habits.listed >= 3 then score 80
  effective from 2010-01-01
  once per account per pause
rule OFTEN-02 "Much" when habits.often or habits.shares > 3 * limit then score 160
decide outcome
  review when score >= 40
  approve otherwise
""",
    "rulesets/bank/spells.rules": """
ruleset bank/spells version 1.0.0
  record bank/transfer ^1
param limit: money = 600 RUB effective from 2010-01-01 to 2025-05-31, 1_000 RUB effective from 2025-06-01
param near = 90% effective from 2020-01-01
param span = 7 days effective from 2010-01-01 to 2025-05-31, 3 days effective from 2025-06-01
define just_under = amount >= near * limit and amount < limit
feature near_misses = count over span per account where just_under
rule NEAR-01 "Twice just below the limit"
  when near_misses >= 2
  then score 60
  effective from 2010-01-01
  once per account per span
decide outcome
  review when score >= 40
  approve otherwise
story "rows are judged by their own day, lengths by that of the event"
  | at               | account | amount  | => near_misses | NEAR-01 | just_under |
  | 2025-05-25 09:00 | "A1"    | 550 RUB | 1              | clear   | true       |
  | 2025-05-30 09:00 | "A1"    | 550 RUB | 2              | hit     | true       |
  | 2025-05-31 10:00 | "A1"    | 550 RUB | 3              | clear   | true       |
  | 2025-06-01 09:00 | "A1"    | 550 RUB | 2              | clear   | false      |
  | 2025-06-04 09:00 | "A1"    | 950 RUB | 1              | clear   | true       |
  | 2025-06-05 09:00 | "A1"    | 950 RUB | 2              | hit     | true       |
story "before the share is known nobody can say" with limit = 100 RUB
  | at               | account | amount  | => near_misses | NEAR-01   | just_under |
  | 2019-12-31 09:00 | "A1"    | 95 RUB  | missing        | clear     | missing    |
  | 2020-01-01 09:00 | "A1"    | 95 RUB  | missing        | undecided | true       |
test "the day filled in is that of the latest value" with near = 50%
  given account = "A1", amount = 999.99 RUB
  expect near_misses = 1, just_under = true
test "what a test says of a param holds on all days" with near = 50%, limit = 100 RUB
  given at = 2011-01-01 12:00, account = "A1", amount = limit - 50 RUB
  expect just_under = true
""",
    "cascades/all.yaml": """
cascade: bank/all
version: 1.0.0
record: bank/transfer@^1
steps:
  checks: {rules: bank/checks@^1}
decision: checks
""",
}
DAYS = ["2025-05-30", "2025-05-31", "2025-06-01", "2025-06-02", "2025-06-03", "2025-06-05", "2009-12-31", "2026-01-01"]
CLOCKS = ["00:00", "02:59", "03:00", "12:00", "20:59", "21:00", "23:59"]  # Moscow is three hours ahead of UTC


def written(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine.load(folder / "cascades/all.yaml")


def transfers(seed: int, number: int = 30) -> list[dict[str, str]]:
    random = Random(seed)
    times = sorted(f"{random.choice(DAYS)}T{random.choice(CLOCKS)}:00Z" for _ in range(number))
    return [
        {"id": f"T{place}", "at": at, "account": random.choice(["A1", "A1", "B2", "C3", "D4"]), "payee": random.choice("XYZW"),
         "amount": random.choice(["539.99", "540.00", "600.00", "899.99", "900.00", "1000.00"])}
        for place, at in enumerate(times)
    ]  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_live_and_batch_agree_about_the_ends(engine: Engine, seed: int) -> None:
    events = transfers(seed)
    with engine.open_store("memory:") as store:
        decisions = [engine.decide(event, store=store) for event in events]
    frame = engine.decide_batch(pl.DataFrame(events), detail="names", values=True)
    for decision, row in zip(decisions, frame.iter_rows(named=True), strict=True):
        assert (decision.outcome, sorted(decision.possible), decision.score) == (row["outcome"], sorted(row["possible"]), row["score"])
        assert (sorted(decision.hits), sorted(decision.undecided)) == (sorted(row["hits"]), sorted(row["undecided"]))
        assert decision.score_range == (row["score_low"], row["score_high"])


def test_a_recorded_decision_comes_out_again(folder: Path, tmp_path) -> None:
    engine = Engine.load(folder / "cascades/all.yaml", ledger=tmp_path / "decisions.db")
    with engine.open_store("memory:") as store:
        for event in transfers(1, 60):
            engine.decide(event, store=store)
    assert replay(tmp_path / "decisions.db").same == 60


def hits(engine: Engine, at: str, **more: str) -> set[str]:
    event = {"id": "T1", "at": at, "account": "D4", "payee": "W", "amount": "1.00", **more}
    with engine.open_store("memory:", history_from="2000-01-01T00:00:00Z") as store:
        return set(engine.decide(event, store=store).hits)


@pytest.mark.parametrize(
    ("at", "given", "wanted"),
    [
        ("2025-05-31T20:59:59Z", {"amount": "600.00"}, {"LIMIT-01"}),
        ("2025-05-31T21:00:00Z", {"amount": "600.00"}, set()),  # midnight in Moscow: another limit
        ("2025-05-31T21:00:00Z", {"amount": "900.00"}, {"LIMIT-01"}),
        ("2025-05-31T12:00:00Z", {"payee": "X"}, {"LIST-01"}),
        ("2025-06-01T12:00:00Z", {"payee": "X"}, set()),
        ("2025-06-01T12:00:00Z", {"payee": "Z"}, {"LIST-01"}),
        ("2025-05-30T12:00:00Z", {"account": "A1"}, set()),
        ("2025-06-01T12:00:00Z", {"account": "A1"}, {"LIST-02"}),
        ("2025-06-02T12:00:00Z", {"account": "A1"}, set()),  # between two periods
        ("2025-06-03T12:00:00Z", {"account": "A1"}, {"LIST-02"}),
        ("2009-12-31T12:00:00Z", {"account": "B2"}, {"LIST-02"}),
    ],
)
def test_what_counts_is_what_is_in_force_on_the_local_day(engine: Engine, at, given, wanted) -> None:
    assert hits(engine, at, **given) == wanted


def test_stories_follow_the_days(folder: Path) -> None:
    components = Components(Workspace(folder))
    found = next(one for one in find([folder]) if one.path.name == "spells.rules")
    tested = run_tests(components, found)
    assert tested is not None and not components.diagnostics, components.rendered()
    assert [str(failure) for failure in tested.failures] == [] and tested.expectations == 27


def test_a_list_file_is_part_of_what_identifies_the_rules(engine: Engine, tmp_path) -> None:
    written(tmp_path)
    versions = {name: hash_ for _, name, _, hash_ in engine.versions}
    (tmp_path / "rulesets/bank/after.csv").write_text("name\nY\n", encoding="utf-8")
    (tmp_path / "rulesets/bank/watched.csv").write_text("account,from,to\nA1,2025-05-31,\n", encoding="utf-8")
    changed = {name: hash_ for _, name, _, hash_ in Engine.load(tmp_path / "cascades/all.yaml").versions}
    assert {name for name in versions if versions[name] != changed[name]} == {"bank/sanctioned", "bank/habits", "bank/checks"}


def test_an_explanation_says_what_was_in_force_and_since_when(engine: Engine) -> None:
    event = {"id": "T1", "at": "2025-06-01T12:00:00Z", "account": "A1", "payee": "Z", "amount": "900.00"}
    said = engine.explain(event)
    assert "in force: limit * near = 900.00 RUB since 2025-06-01, limit = 1,000.00 RUB since 2025-06-01" in said
    assert "in force: bank.sanctioned since 2025-06-01" in said and "in force: A1 in watched since 2025-05-31" in said
    old = engine.decide(event | {"at": "2009-01-01T12:00:00Z"})
    assert old.missing["limit * near"] == old.missing["bank.sanctioned"] == old.missing["limit > 700.00 RUB"] == "not in force"


def test_a_file_with_two_encodings_names_its_line(tmp_path) -> None:
    written(tmp_path)
    (tmp_path / "rulesets/bank/after.csv").write_bytes("name\nИван\n".encode() + "Пётр\n".encode("cp1251"))
    with pytest.raises(EngineError, match=r"`after.csv` is not UTF-8 text: line 3 does not fit"):
        Engine.load(tmp_path / "cascades/all.yaml")
