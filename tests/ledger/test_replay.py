"""Law 5: a recorded decision comes out the same, byte for byte, from the ledger alone; and what was altered shows."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3

import pytest

from engine import Engine, replay
from engine.ledger.log import Ledger, entry_hash

EVENTS = 300

FILES = {
    "rulesets/shop/payment.rules": """
record shop/payment version 1.0.0
  zone "Europe/Berlin"
  key id
  time paid_at
  late up to 2 days
  field id: text
  field paid_at: datetime
  field card: text
  field amount: money by currency not negative
  field currency: text
  field pounds: money GBP
  field country: text optional
  field tags: list of text optional
  field trust: number optional
""",
    "rulesets/shop/habits.rules": """
features shop/habits version 1.0.0
  record shop/payment ^1
feature payments_1d = count over 1 day per card
feature spent_7d = sum of pounds over 7 days per card where pounds > 0 GBP
feature largest_7d = max of amount over 7 days per card, currency
""",
    "rulesets/geo/far.rules": 'list geo/far version 2026.6.0\nfrom "far.csv" column "iso2"\n',
    "rulesets/geo/far.csv": "iso2,name\nIR,Iran\nKP,Korea\n",
    "rulesets/shop/checks.rules": """
ruleset shop/checks version 1.2.0
  record shop/payment ^1
  uses features shop/habits ^1
  uses list geo/far ^2026
  on missing refer
param large: money = 500 GBP
rule LARGE-01 "Large"
  when pounds >= 90% * large
  then score 30, flag large
  because "{pounds} is near {large}"
  on missing alert
rule FAR-01 "Far away"
  when country in geo.far
  then score 20, set region = "far"
  because "issued in {country}"
  on missing country assume "DE"
rule RAPID-01 "Rapid"
  when habits.payments_1d >= 3
  then score 40, flag rapid
  because "{habits.payments_1d} payments"
rule WEEK-01 "Week"
  when habits.spent_7d > large
  then score -5
  because "{habits.spent_7d} in a week"
  on missing ignore
rule TAG-01 "Tagged"
  when any of tags where (it starts with "x")
  then score 5
""",
    "rulesets/shop/verdict.rules": """
ruleset shop/verdict version 1.0.0
  record shop/payment ^1
  on missing refer
input points: integer
input fraud: number optional
rule FRAUD-01 "Model"
  when fraud > 0.5
  then score 50, flag fraud
  because "the model gives {fraud}"
decide outcome first match
  block when flag fraud and points >= 30
  review when points >= 30 or flag fraud
  accept otherwise
  otherwise undecided review
""",
    "cascades/inner.yaml": """
cascade: shop/inner
version: 1.0.0
record: shop/payment@^1
steps:
  checks: {rules: shop/checks@^1}
  risk:
    model: shop/risk@1.0.0
    with: {pounds: pounds, country: country, risk: trust, score: checks.score else 0}
    when: checks.score < 60
    otherwise: {probability: 1.0}
    on_missing: {probability: 0.25}
  verdict:
    rules: shop/verdict@^1
    with: {points: checks.score, fraud: risk.probability}
decision: verdict
""",
    "cascades/outer.yaml": """
cascade: shop/outer
version: 1.0.0
record: shop/payment@^1
steps:
  inner:
    cascade: shop/inner@^1
    when: trust is missing or trust < 0.9
  second:
    model: shop/risk@1.0.0
    with: {pounds: pounds, country: country, risk: inner.risk.probability, score: 0}
  verdict:
    rules: shop/verdict@^1
    with: {points: inner.checks.score, fraud: second.probability}
decision: verdict
""",
}


def event(rng, number):
    """A payment with something missing or unreadable now and then."""
    given = {
        "id": f"P{number}",
        "paid_at": f"2026-03-{1 + number // 20:02}T{number % 20:02}:{rng.randrange(60):02}:00",
        "card": rng.choice(["a", "b", "c", None]),
        "amount": rng.choice(["12.50", 100, "9e9", "12,5", None]),
        "currency": rng.choice(["GBP", "JPY", "USD", "???", None]),
        "pounds": rng.choice(["12.50", "460", "450.00", "-3", "1.234,50", None, 700.25]),
        "country": rng.choice(["IR", "DE", "GB", None, "XX"]),
        "tags": rng.choice([["x1", "y"], [], ["y", None], None]),
        "trust": rng.choice([0.1, 0.95, "nan", None, 0.5]),
    }
    return {name: value for name, value in given.items() if value is not None or rng.random() < 0.5}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The workspace, its ledger with `EVENTS` decisions, and the decisions."""
    folder = tmp_path_factory.mktemp("workspace")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.lstrip("\n"))
    package(folder)
    engine = Engine.load(folder / "cascades/outer.yaml", ledger=folder / "ledger.db")
    rng = random.Random(5)
    with engine.open_store("memory:", history_from="2026-03-03") as store:
        decisions = [engine.decide(event(rng, number), store=store if number % 7 else None) for number in range(EVENTS)]
    engine.ledger.close()
    return folder, decisions


def package(folder):
    import lightgbm
    import polars as pl

    from engine import package_model

    rng = random.Random(1)
    sample = pl.DataFrame(
        {
            "pounds": [rng.randrange(100_000) / 100 for _ in range(400)],
            "country": [rng.choice(["IR", "DE", "GB"]) for _ in range(400)],
            "risk": [rng.choice([rng.random(), None]) for _ in range(400)],
            "score": [rng.randrange(100) for _ in range(400)],
        }
    )
    encoded = sample.with_columns(pl.col("country").cast(pl.Enum(["DE", "GB", "IR"])).to_physical().cast(pl.Float64)).fill_null(
        float("nan")
    )
    target = [int(rng.random() < 0.2 + 0.6 * (pounds > 450)) for pounds in sample["pounds"]]
    data = lightgbm.Dataset(encoded.to_numpy().astype(float), target, feature_name=sample.columns)
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}, data, 10)
    inputs = {"pounds": "money GBP", "country": ("DE", "GB", "IR")}
    package_model(booster, name="shop/risk", version="1.0.0", sample=sample, folder=folder, inputs=inputs, missing={"risk"})


@pytest.fixture
def ledger(made, tmp_path):
    """A copy of the ledger, alone in a folder."""
    shutil.copy(made[0] / "ledger.db", tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def test_the_events_try_everything(made):
    """The law would say little about decisions that are all alike."""
    _, decisions = made
    assert {one.outcome for one in decisions} == {"block", "review", "accept"}
    assert {one.robust for one in decisions} == {True, False}
    assert any(one.open_row is not one.row for one in decisions)
    assert any("inner.LARGE-01" in rule or "LARGE-01" in rule for one in decisions for rule in one.hits)
    causes = {cause for one in decisions for cause in one.missing.values()}
    assert {"absent", "damaged", "unavailable", "short history"} <= causes
    assert any(one.row["inner.risk.probability"] == 0.25 for one in decisions)
    assert any(one.row["inner.risk.probability"] == 1.0 for one in decisions)


def test_every_decision_comes_out_again(made, ledger):
    found = replay(ledger)
    assert (found.count, found.same, found.differences, found.altered) == (EVENTS, EVENTS, (), ())
    with Ledger.read(ledger) as kept:
        assert [entry.body for entry in kept.entries()] == [one.body() for one in made[1]]


def test_every_decision_follows_its_schema(made):
    import jsonschema

    from engine.resources import grammar_text

    schema = jsonschema.Draft202012Validator(json.loads(grammar_text("decision.schema.json")))
    for decision in made[1]:
        schema.validate(json.loads(decision.to_json()))


def test_calls_of_models_are_recorded_each_once_and_only_when_made(made, ledger):
    _, decisions = made
    with Ledger.read(ledger) as kept:
        for entry, decision in zip(kept.entries(), decisions, strict=True):
            inputs = [json.dumps(call.to_dict()["inputs"], sort_keys=True) for call in entry.calls]
            assert len(set(inputs)) == len(inputs)
            shut = decision.row["inner.@gate"] is False
            wanted = decision.row["pounds"].__class__ is int and decision.row.get("country") in ("DE", "GB", "IR")
            if shut and not wanted:
                assert not entry.calls


def test_the_workspace_is_not_needed(made, ledger, monkeypatch):
    folder, _ = made
    aside = folder.with_name("aside")
    folder.rename(aside)
    try:
        assert replay(ledger).fine
    finally:
        aside.rename(folder)


def test_no_model_is_opened(ledger, monkeypatch):
    from engine.models import package

    monkeypatch.setattr(package, "open_package", lambda *_: pytest.fail("a model was opened"))
    assert replay(ledger).fine


def test_changed_rules_make_a_setting_of_their_own(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder)
    rules = folder / "rulesets/shop/checks.rules"
    rules.write_text(rules.read_text().replace("= 500 GBP", "= 5 GBP"))
    engine = Engine.load(folder / "cascades/outer.yaml", ledger=folder / "ledger.db")
    later = engine.decide({"id": "new", "paid_at": "2026-05-01T12:00", "pounds": "100", "country": "DE", "trust": 0.1, "tags": []})
    engine.ledger.close()
    assert "LARGE-01" in later.hits
    found = replay(folder / "ledger.db")
    assert (found.count, found.same) == (EVENTS + 1, EVENTS + 1)


def rewrite(path, change, seq=7):
    """Alter one entry and make its own hash fit, as someone would who knows how; the head too when it is the last."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        before = connection.execute("SELECT hash FROM entry WHERE seq = ?", (seq - 1,)).fetchone()[0]
        names = ["id", "setting", "event", "base", "calls", "body"]
        row = dict(zip(names, connection.execute(f"SELECT {', '.join(names)} FROM entry WHERE seq = ?", (seq,)).fetchone(), strict=True))
        row |= change(row)
        values = tuple(row.values())
        connection.execute(
            "UPDATE entry SET event = ?, base = ?, calls = ?, body = ?, hash = ? WHERE seq = ?",
            (*values[2:], entry_hash(before, seq, values), seq),
        )


def test_an_altered_outcome_is_named(ledger):
    def change(row):
        body = json.loads(row["body"])
        return {"body": row["body"].replace(f'"outcome":"{body["outcome"]}"', '"outcome":"pardon"')}

    rewrite(ledger, change)
    found = replay(ledger)
    (difference,) = found.differences
    assert (difference.seq, difference.path, difference.recorded) == (7, "outcome", "pardon")
    assert found.altered and "entry 8" in found.altered[0]
    assert not found.fine


def test_an_altered_input_is_named(ledger):
    rewrite(ledger, lambda row: {"base": json.dumps(json.loads(row["base"]) | {"country": "XX", "pounds": 99})})
    found = replay(ledger)
    assert [one.seq for one in found.differences] == [7]


def test_a_lost_answer_of_a_model_is_named(ledger):
    with Ledger.read(ledger) as kept:
        seq = next(entry.seq for entry in kept.entries() if entry.calls and entry.seq > 1)
    rewrite(ledger, lambda row: {"calls": "[]"}, seq)
    (difference,) = replay(ledger).differences
    assert difference.seq == seq and "holds no answer of `shop/risk`" in str(difference)


def test_an_altered_component_stops_its_decisions_only(ledger):
    with contextlib.closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE blob SET data = CAST(replace(data, '500 GBP', '501 GBP') AS BLOB)")
    found = replay(ledger)
    assert found.same == 0 and len(found.differences) == EVENTS
    assert "kept in" in str(found.differences[0]) and "altered" in found.altered[0]


def test_a_recorded_path_never_leaves_its_folder(ledger, tmp_path):
    from engine.errors import LedgerError
    from engine.ledger.log import Setting
    from engine.rerun import lay_out

    for label in ("../evil", "/tmp/evil", "a/../../evil"):
        with pytest.raises(LedgerError, match="leads out"):
            lay_out(Setting("c.yaml", (), {label: b"x"}, (), "0", "0"), tmp_path.resolve())
    assert not (tmp_path.parent / "evil").exists()


def test_live_and_batch_record_the_same(made, tmp_path):
    """What `engine run --ledger` keeps of a file is what deciding its rows one by one keeps."""
    from engine.cli.main import main

    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder, ignore=shutil.ignore_patterns("ledger.db*"))
    rng = random.Random(9)
    events = [event(rng, number) for number in range(60)]
    (folder / "feed.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    engine = Engine.load(folder / "cascades/outer.yaml", ledger=folder / "live.db")
    with engine.open_store("memory:", history_from="2026-03-01") as store:
        for one in events:
            engine.decide(one, store=store)
    engine.ledger.close()
    targets = ["--output", folder / "d.jsonl", "--rejects", folder / "r.jsonl", "--ledger", folder / "batch.db"]
    command = ["run", folder / "cascades/outer.yaml", "--input", folder / "feed.jsonl", "--history-from", "2026-03-01", *targets]
    assert main([str(word) for word in command]) == 0
    with Ledger.read(folder / "live.db") as live, Ledger.read(folder / "batch.db") as batch:
        for mine, other in zip(live.entries(), batch.entries(), strict=True):
            assert (mine.body, mine.base, mine.calls, mine.setting) == (other.body, other.base, other.calls, other.setting)
    assert replay(folder / "batch.db").fine


def test_replay_leaves_nothing_behind(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    replay(ledger)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("ledger.db")] == []
