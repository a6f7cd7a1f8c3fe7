"""Rules that compare names, from file to decision: live and in batch, in conditions of features, explained, recorded and replayed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import polars as pl
import pytest

import engine
from engine import Engine
from engine.errors import SourceError
from engine.locking import make_lock
from engine.publish import publish
from engine.registry.published import Registry
from engine.registry.store import Workspace
from tests.architecture.source import ROOT

FILES = {
    "rulesets/bank/payment.rules": """record bank/payment version 1.0.0
  zone "UTC"
  key id
  time at
  field id: text
  field at: datetime
  field account: text
  field payee: text optional
""",
    "rulesets/geo/watched.rules": """list geo/watched version 3.0.0
  from "watched.csv" column "name" or "alias" id "entry" valid "from" to "to"
""",
    "rulesets/geo/watched.csv": 'entry,name,alias,from,to\n1,"PETROV, Ivan",Vanya the Terrible,,2020-06-30\n2,Gülen Çelik,,2020-01-01,\n',
    "rulesets/bank/names.rules": """ruleset bank/names version 1.0.0
  record bank/payment ^1
  uses list geo/watched ^3

param near: percent = 85% effective from 2019-01-01 to 2020-12-31, 95% effective from 2021-01-01

feature watched_7d = count over 7 days per account where payee is known and payee resembles any in geo.watched by near

rule N-1 "watched"
  when payee resembles any in geo.watched by near
  then score 10, set bearer = match.id, set alike = match.score, set list = match.list
  because "{payee} resembles {match}"

rule N-2 "again"
  when watched_7d >= 2
  then score 5

decide outcome first match
  review when score >= 10
  pass otherwise
""",
    "cascades/names.yaml": """cascade: bank/names_all
version: 1.0.0
record: bank/payment@^1
steps:
  names: {rules: bank/names@^1}
decision: names
""",
}
EVENTS = [
    ("2018-12-31", "Ivan Petrov"),
    ("2020-01-01", "ivan petrow"),
    ("2020-01-02", "Vanya the terible"),
    ("2020-01-03", None),
    ("2020-01-04", "иван петров"),
    ("2020-07-01", "Ivan Petrov"),
    ("2020-07-02", "Gulen Celik"),
    ("2021-01-02", "Gulem Celik"),
    ("2021-01-03", "--"),
]


@pytest.fixture
def workspace(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def events():
    return [{"id": str(n), "at": f"{day}T12:00:00", "account": "A", "payee": payee} for n, (day, payee) in enumerate(EVENTS)]


def test_live_and_batch_say_the_same(workspace):
    loaded = Engine.load(workspace / "cascades/names.yaml")
    with loaded.open_store(history_from="2018-01-01") as store:
        live = [loaded.decide(event, store=store) for event in events()]
    frame = loaded.decide_batch(pl.DataFrame(events()), detail="names", history_from="2018-01-01")
    assert [one.hits for one in live] == [(), ("N-1",), ("N-1", "N-2"), ("N-2",), ("N-1", "N-2"), (), ("N-1",), (), ()]
    assert [one.values["names.bearer"] for one in live][:3] == [{"missing": "undecided"}, "1", "1"]
    assert [one.undecided for one in live][-2:] == [(), ("N-1",)]
    assert frame["hits"].to_list() == [list(one.hits) for one in live]
    assert frame["outcome"].to_list() == [one.outcome for one in live]


def test_what_was_found_is_told(workspace):
    loaded = Engine.load(workspace / "cascades/names.yaml")
    found = loaded.decide(events()[2])
    assert found.reasons[0].text == 'Vanya the terible resembles "Vanya the Terrible" (1) in geo.watched 3.0.0 by 95.83%'
    assert (found.values["names.alike"], found.values["names.list"]) == ("95.83%", "geo.watched 3.0.0")
    clear = loaded.decide(events()[7]).explain()
    assert 'nearest is "Gülen Çelik" (2) in geo.watched 3.0.0 by 87.5%' in clear
    assert "payee resembles any in geo.watched by 95% is false" in clear
    assert ("method", "screening/names", "1.0.0") in [version[:3] for version in found.versions]


def test_a_decision_is_replayed(workspace, tmp_path):
    loaded = Engine.load(workspace / "cascades/names.yaml", ledger=tmp_path / "ledger.db")
    for event in events():
        loaded.decide(event)
    loaded.ledger.close()
    (workspace / "rulesets/geo/watched.csv").write_text("entry,name,alias,from,to\n")
    done = engine.replay(tmp_path / "ledger.db")
    assert (done.same, done.count, done.fine) == (len(EVENTS), len(EVENTS), True)


def test_without_the_library_the_check_says_so(workspace, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "rapidfuzz" else there(name, *rest))
    with pytest.raises(SourceError, match=r"names are compared with a library that is not installed: rapidfuzz"):
        Engine.load(workspace / "cascades/names.yaml")


def test_the_demo_s_lists_are_what_was_published():
    folder = ROOT / "examples/purchase_cards/rulesets/sanctions"
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) - 1 for path in sorted(Path(folder).glob("*.csv"))}
    assert lines == {"ofac_2019.csv": 6_839, "ofac_2021.csv": 20_020, "un.csv": 3_507}


def test_a_published_cascade_that_compares_names_is_locked_with_its_transliterator(workspace):
    """The method comes with the engine: it is no component to publish, and decisions by the lock name it."""
    registry = Registry(workspace / "registry")
    publish(Workspace(workspace), registry, None, None)
    lock = make_lock(workspace / "cascades/names.yaml", registry)
    assert lock.libraries == {"anyascii": importlib.metadata.version("anyascii")}
    assert not lock.draft
    (workspace / "names.lock").write_text(lock.text(), encoding="utf-8")
    decided = Engine.load(workspace / "names.lock").decide(events()[1])
    assert decided.hits == ("N-1",)
    assert "method" in {version[0] for version in decided.versions}
