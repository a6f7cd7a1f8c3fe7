"""The ledger keeps what it is handed, and shows every change made to it afterwards."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sqlite3
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from engine.errors import LedgerError
from engine.ledger.codec import decode_row, encode_row, event_text
from engine.ledger.decision import Decision
from engine.ledger.log import SCHEMA_VERSION, Call, Ledger, Setting
from engine.values import CAUSES, INTEGER, TEXT, Interval, Money, missing

SETTING = Setting(
    "cascades/a.yaml",
    (("ruleset", "x/a", "1.0.0", "sha256:00"),),
    {"cascades/a.yaml": b"cascade: x/a", "rulesets/x/a.rules": "правило".encode()},
    ("id", "amount"),
    "0.1.0",
    "0.1",
)


class Silent:
    """An explainer with nothing to say."""

    def reasons(self, decision):
        return ()

    def missing(self, decision):
        return {}

    def settled_by(self, decision):
        return (), ()

    def explain(self, decision):
        return ""


def decision(key="T1", amount=5, outcome="pass"):
    row = {"id": key, "amount": amount, "verdict.outcome": outcome}
    types = {"id": TEXT, "amount": INTEGER, "verdict.outcome": TEXT}
    return Decision(key, "2026-01-01", outcome, (outcome,), 0, (0, 0), (), (), (), SETTING.versions, row, row, types, Silent())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path):
    with Ledger.open(path, SETTING) as ledger:
        yield ledger


def fill(ledger, count=5):
    return [ledger.append({"id": f"T{n}"}, decision(f"T{n}", n)) for n in range(1, count + 1)]


def edit(path, statement, *values):
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


def test_what_goes_in_comes_out(ledger):
    call = Call("x/m@1.0.0", {"amount": 5, "country": missing("absent")}, {"p": 0.1})
    kept = ledger.append('{"id":  "T1", "amount": 5.0}', decision(amount=Interval(3, None, "short history")), [call])
    (entry,) = ledger.entries()
    assert entry.event == '{"id":  "T1", "amount": 5.0}'
    assert entry.base == {"id": "T1", "amount": Interval(3, None, "short history")}
    assert entry.calls == (call,)
    assert entry.body == kept.body() and json.loads(entry.body)["outcome"] == "pass"
    assert entry.id == kept.id and json.loads(kept.to_json())["id"] == kept.id
    assert ledger.setting(entry.setting) == SETTING


def test_a_decision_gets_its_id_when_it_is_recorded(ledger):
    before = decision()
    kept = fill(ledger, 3)
    assert before.id is None and all(one.id[14] == "7" for one in kept)
    assert len({one.id for one in kept}) == 3


def test_every_value_survives():
    row = {
        "text": 'naïve "quoted" 漢',
        "integer": -(2**63),
        "number": 0.1 + 0.2,
        "whole number": 3.0,
        "flag": True,
        "money": Money(-970_000, "JPY"),
        "list": ("a", missing("damaged"), "b"),
        "range": Interval(None, Money(3, "USD"), "undecided history"),
        **{cause: missing(cause) for cause in CAUSES},
    }
    back = decode_row(json.loads(json.dumps(encode_row(row))))
    assert back == row
    assert [type(value) for value in back.values()] == [type(value) for value in row.values()]
    assert all(back[cause] is missing(cause) for cause in CAUSES)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"a": Decimal("9.70")}, '{"a": {"@decimal": "9.70"}}'),
        ({"a": dt.date(2026, 3, 1)}, '{"a": {"@time": "2026-03-01"}}'),
        ({"a": float("nan"), "b": [1, {"c": None}]}, '{"a": {"@number": "nan"}, "b": [1, {"c": null}]}'),
        (b'{"a": "\xd1\x8f"}', '{"a": "я"}'),
        ({"a": 2**70}, '{"a": 1180591620717411303424}'),
    ],
)
def test_the_event_is_kept_as_given(event, text):
    assert event_text(event) == text


def test_half_a_character_is_no_reason_to_lose_the_event(ledger):
    ledger.append({"a": "\ud800"}, decision())
    ledger.append('{"a": "\ud800"}', decision())
    assert ledger.verify() == 2


def test_an_event_too_deep_is_told(ledger):
    deep: list = []
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(LedgerError, match="nested too deep"):
        ledger.append({"a": deep}, decision())
    assert len(ledger) == 0


def test_the_chain_holds(ledger, path):
    fill(ledger)
    assert ledger.verify() == 5
    with Ledger.read(path) as other:
        assert other.verify() == 5


@pytest.mark.parametrize("column", ["id", "event", "base", "calls", "body", "setting", "hash"])
def test_a_change_of_any_column_shows(ledger, path, column):
    fill(ledger)
    edit(path, f"UPDATE entry SET {column} = {column} || ' ' WHERE seq = 3")
    with pytest.raises(LedgerError, match=r"entry 3 of .* was altered"):
        ledger.verify()


def test_a_change_with_a_hash_that_fits_shows_at_the_next_entry(ledger, path):
    from engine.ledger.log import entry_hash

    fill(ledger)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT id, setting, event, base, calls, body FROM entry WHERE seq = 3").fetchone()
        before = connection.execute("SELECT hash FROM entry WHERE seq = 2").fetchone()[0]
    altered = (*rows[:5], rows[5].replace("pass", "stop"))
    edit(path, "UPDATE entry SET body = ?, hash = ? WHERE seq = 3", altered[5], entry_hash(before, 3, altered))
    assert [problem.split(" of ")[0] for problem in ledger.problems()] == ["entry 4"]


@pytest.mark.parametrize(
    ("where", "words"), [("seq = 3", "entry 3 is gone from"), ("seq IN (2, 3)", "entries 2 to 3 are gone from"), ("seq = 5", "the end")]
)
def test_a_lost_entry_shows(ledger, path, where, words):
    fill(ledger)
    edit(path, f"DELETE FROM entry WHERE {where}")
    with pytest.raises(LedgerError, match=words):
        ledger.verify()


def test_an_altered_component_shows(ledger, path):
    fill(ledger)
    edit(path, "UPDATE blob SET data = x'00'")
    with pytest.raises(LedgerError, match=r"the file `cascades/a.yaml` kept in .* was altered"):
        ledger.verify()


def test_an_altered_setting_shows(ledger, path):
    fill(ledger)
    edit(path, "UPDATE setting SET data = replace(data, '1.0.0', '1.0.1')")
    with pytest.raises(LedgerError, match=r"the setting .* was altered"):
        ledger.verify()


def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path):
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("dear diary, " * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    for path in (text, other):
        before = path.read_bytes()
        for opening in (lambda path=path: Ledger.open(path, SETTING), lambda path=path: Ledger.read(path)):
            with pytest.raises(LedgerError, match="is not a ledger"):
                opening()
        assert path.read_bytes() == before
    with pytest.raises(LedgerError, match="there is no ledger"):
        Ledger.read(tmp_path / "none.db")
    with pytest.raises(LedgerError, match="there is no folder"):
        Ledger.open(tmp_path / "no" / "folder.db", SETTING)


def test_an_empty_file_is_no_ledger_to_read(tmp_path):
    (tmp_path / "empty.db").touch()
    with pytest.raises(LedgerError, match="is not a ledger"):
        Ledger.read(tmp_path / "empty.db")


def test_a_later_layout_is_refused(ledger, path):
    ledger.close()
    edit(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(LedgerError, match=f"layout {SCHEMA_VERSION + 1}, this engine reads {SCHEMA_VERSION}"):
        Ledger.read(path)


def test_a_ledger_opened_to_read_takes_nothing(ledger, path):
    fill(ledger, 1)
    with Ledger.read(path) as other, pytest.raises(LedgerError, match="opened to be read"):
        other.append({}, decision())


def test_all_or_none(ledger):
    deep: list = []
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(LedgerError):
        ledger.append_all([({"id": 1}, decision(), ()), ({"id": deep}, decision(), ())])
    assert ledger.verify() == 0


def test_threads_share_one(ledger):
    threads = [threading.Thread(target=fill, args=(ledger, 20)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify() == 120


def test_processes_write_one_chain(path):
    here = Path(__file__)
    program = f"""
import sys; sys.path[:0] = [{str(here.parent)!r}, {str(here.parents[2])!r}]
from test_log import SETTING, Ledger, Path, fill
with Ledger.open(Path({str(path)!r}), SETTING) as ledger:
    fill(ledger, 15)
"""
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with Ledger.read(path) as ledger:
        assert ledger.verify() == 45


def test_it_can_be_read_from_a_place_that_cannot_be_written(ledger, path):
    fill(ledger)
    ledger.close()
    path.parent.chmod(0o555)
    try:
        with Ledger.read(path) as other:
            assert other.verify() == 5
    finally:
        path.parent.chmod(0o755)


def test_an_auditor_can_look_with_sql(ledger, path):
    fill(ledger)
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT seq, outcome, time FROM entry WHERE key = 'T2'").fetchall()
    connection.close()
    assert found == [(2, "pass", "2026-01-01")]
