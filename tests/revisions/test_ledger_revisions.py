"""A decision on a corrected event says in the ledger which decision it takes the place of; a replay gives it so, and old entries as they
were."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine import Engine, replay
from engine.ledger.decision import Decision, Revises
from engine.ledger.log import Ledger, entry_hash
from engine.rerun import recorded
from tests.revisions.bank import REVISED, deposit, workspace

SCHEMA = json.loads((Path(__file__).parents[2] / "grammar" / "decision.schema.json").read_text(encoding="utf-8"))


def decided(cascade: Path, events: list[dict[str, Any]], ledger: Path) -> list[Decision]:
    engine = Engine.load(cascade, ledger=ledger)
    assert engine.ledger is not None
    with engine.ledger:
        return [engine.decide(event) for event in events]


def marks(decisions: list[Decision]) -> list[tuple[int, str] | None]:
    return [None if one.revises is None else (one.revises.seq, one.revises.why) for one in decisions]


FIRST = deposit("D1", "2026-03-01T09:00")


def test_a_correction_names_the_decision_it_takes_the_place_of(tmp_path: Path) -> None:
    cascade, ledger = workspace(tmp_path), tmp_path / "ledger.db"
    events = [FIRST, deposit("D2", "2026-03-01T09:00"), {**FIRST, "amount": 50, "version": 2}, {**FIRST, "amount": 50, "version": 2}]
    events += [{**FIRST, "amount": 60, "version": 7}, {**FIRST, "version": 1}]
    made = decided(cascade, events, ledger)
    assert marks(made) == [None, None, (1, "correction"), None, (4, "correction"), None]
    assert made[2].revises == Revises(1, made[0].id or "", "correction")
    for one in made:
        jsonschema.validate(one.to_dict(), SCHEMA)
    assert "revises" not in made[0].to_dict()
    assert made[2].explain().splitlines()[0] == f"revises entry 1 ({made[0].id}): correction"


def test_a_replay_gives_it_again_byte_for_byte(tmp_path: Path) -> None:
    cascade, ledger = workspace(tmp_path), tmp_path / "ledger.db"
    made = decided(cascade, [FIRST, {**FIRST, "amount": 2_000, "version": 2}], ledger)
    found = replay(ledger)
    assert (found.fine, found.same) == (True, 2)
    (_, second), _ = recorded(ledger, "D1")
    assert second.decision is not None and second.decision.to_json() == made[1].to_json()


def test_a_place_that_is_not_there_shows(tmp_path: Path) -> None:
    cascade, ledger = workspace(tmp_path), tmp_path / "ledger.db"
    decided(cascade, [FIRST, {**FIRST, "version": 2}], ledger)
    with sqlite3.connect(ledger) as db:
        row = list(db.execute("SELECT id, setting, event, base, calls, body FROM entry WHERE seq = 2").fetchone())
        row[5] = row[5].replace('"seq":1', '"seq":2')
        (before,) = db.execute("SELECT hash FROM entry WHERE seq = 1").fetchone()
        hash_ = entry_hash(before, 2, tuple(row))
        db.execute("UPDATE entry SET body = ?, hash = ? WHERE seq = 2", (row[5], hash_))
        db.execute("UPDATE head SET hash = ?", (hash_,))
    found = replay(ledger)
    assert not found.altered and [(one.seq, one.path, one.now) for one in found.differences] == [(2, "revises", "no earlier entry")]


def test_decisions_recorded_together_know_of_one_another(tmp_path: Path) -> None:
    cascade, path = workspace(tmp_path), tmp_path / "ledger.db"
    engine = Engine.load(cascade)
    second = {**FIRST, "version": 2}
    waiting = [(event, engine.decide(event), ()) for event in (FIRST, second)]
    with Engine.load(cascade, ledger=path).ledger as ledger:  # type: ignore[union-attr]
        assert marks(ledger.append_all(waiting)) == [None, (1, "correction")]
    assert replay(path).fine


def test_another_cascade_in_the_same_ledger_is_another_matter(tmp_path: Path) -> None:
    cascade, ledger = workspace(tmp_path), tmp_path / "ledger.db"
    other = cascade.with_name("other.yaml")
    other.write_text(cascade.read_text(encoding="utf-8").replace("bank/deposits", "bank/other"), encoding="utf-8")
    decided(other, [FIRST], ledger)
    assert marks(decided(cascade, [{**FIRST, "version": 2}], ledger)) == [None]


@pytest.mark.parametrize("names", [REVISED.replace("version", "received_at"), REVISED])
def test_revisions_may_be_times_and_keys_may_have_parts(tmp_path: Path, names: str) -> None:
    cascade, ledger = workspace(tmp_path, names), tmp_path / "ledger.db"
    record = tmp_path / "rulesets/bank/deposit.rules"
    record.write_text(record.read_text(encoding="utf-8").replace("key id", "key id, account"), encoding="utf-8")
    first = deposit('D "1" ä', "2026-03-01T09:00", received_at="2026-03-01T10:00")
    second = {**first, "version": 2, "received_at": "2026-03-01T10:00:00.000001"}
    assert marks(decided(cascade, [first, {**second, "account": "B"}, second], ledger)) == [None, None, (1, "correction")]
    assert replay(ledger).fine


def test_without_revisions_nothing_is_marked(tmp_path: Path) -> None:
    cascade, ledger = workspace(tmp_path, ""), tmp_path / "ledger.db"
    assert marks(decided(cascade, [FIRST, {**FIRST, "version": 2}], ledger)) == [None, None]


def test_an_auditor_finds_revisions_with_sql(tmp_path: Path) -> None:
    cascade, path = workspace(tmp_path), tmp_path / "ledger.db"
    decided(cascade, [FIRST, {**FIRST, "version": 2}], path)
    with Ledger.read(path), sqlite3.connect(path) as db:
        query = "SELECT seq, body ->> '$.revises.seq', body ->> '$.revises.why' FROM entry WHERE body ->> '$.revises' IS NOT NULL"
        assert db.execute(query).fetchall() == [(2, 1, "correction")]
