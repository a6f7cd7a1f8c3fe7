"""What stands in a working tree and is not published is called a draft, wherever a decision is shown, and as long as it is kept."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import jsonschema
import pytest

from engine import Engine, replay
from engine.cli.main import main
from engine.ledger.decision import Decision
from engine.ledger.log import Ledger
from engine.loaded import Loaded
from engine.resources import grammar_text
from tests.registry.test_published import CASCADE, SALE, cash, locked, published, shop, write

__all__ = ["shop"]

TREE = "cascades/screening.yaml"
ALL = {"shop/cash", "shop/sale", "shop/screening"}
SCHEMA = jsonschema.Draft202012Validator(json.loads(grammar_text("decision.schema.json")))


def marked(decision: Decision) -> set[str]:
    """The components that a decision calls drafts, as others read it."""
    said = json.loads(decision.to_json())
    SCHEMA.validate(said)
    assert {one["name"] for one in said["versions"]} == ALL
    return {one["name"] for one in said["versions"] if one.get("draft") is True}


def test_what_is_not_published_is_a_draft_in_every_decision(shop: Path) -> None:
    engine = Engine.load(TREE)
    assert marked(engine.decide(SALE)) == ALL and set(engine.drafts) == set(engine.versions)
    assert "cash: shop/cash@1.0.0 (draft)" in engine.explain(SALE)
    published(shop, "shop/sale")
    assert marked(Engine.load(TREE).decide(SALE)) == {"shop/cash", "shop/screening"}
    published(shop)
    engine = Engine.load(TREE)
    assert marked(engine.decide(SALE)) == set() and engine.lock is None
    assert "draft" not in engine.explain(SALE) and "draft" not in engine.decide(SALE).to_json()
    cash(shop, limit=600)
    assert marked(Engine.load(TREE).decide(SALE)) == {"shop/cash"}, "the same version in other bytes"


def test_a_registry_of_another_place_counts(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    published(shop)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "registry"
    (shop / "registry").rename(elsewhere)
    assert marked(Engine.load(TREE).decide(SALE)) == ALL
    assert marked(Engine.load(TREE, registry=elsewhere).decide(SALE)) == set()


def test_what_a_lock_took_from_a_registry_is_no_draft(shop: Path) -> None:
    published(shop)
    lock = locked(shop)
    cash(shop, version="1.0.1", limit=500, more="# a comment\n")
    assert marked(Engine.load(lock).decide(SALE)) == set()
    lock = locked(shop, "--draft")
    engine = Engine.load(lock)
    assert marked(engine.decide(SALE)) == {"shop/cash"} and engine.lock is not None
    published(shop)
    assert marked(Engine.load(lock).decide(SALE)) == {"shop/cash"}, "a lock says what it locked"


@pytest.mark.parametrize(
    ("name", "data"), [("index.json", b"{"), ("index.json", b'{"manifests": [{"digest": "md5:1"}]}'), ("oci-layout", b"")]
)
def test_a_broken_registry_marks_all_and_stops_nothing(shop: Path, name: str, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    published(shop)
    (shop / "registry" / name).write_bytes(data)
    engine = Engine.load(TREE)
    assert marked(engine.decide(SALE)) == ALL
    (warning,) = engine.diagnostics
    assert (warning.code, warning.severity) == ("registry-unread", "warning") and name in warning.message
    write(shop, "event.json", json.dumps(SALE))
    assert main(["decide", TREE, "event.json"]) == 0
    assert "warning: the registry cannot be read, so that every component counts as a draft: " in capsys.readouterr().err


def test_a_run_says_what_it_was_made_of(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(shop, "in.jsonl", json.dumps(SALE))
    where = ["--input", "in.jsonl", "--output", "out.csv", "--rejects", "rejects.csv"]
    assert main(["run", TREE, *where, "--report", "report.html"]) == 0
    line = "drafts: shop/screening@1.0.0, shop/sale@1.0.0, shop/cash@1.0.0"
    assert line in capsys.readouterr().out and line in (shop / "report.html").read_text(encoding="utf-8")
    published(shop)
    assert main(["run", TREE, *where]) == 0
    assert "draft" not in capsys.readouterr().out
    lock = locked(shop)
    capsys.readouterr()
    assert main(["run", str(lock), *where]) == 0
    assert f"lock {Engine.load(lock).lock}" in capsys.readouterr().out
    assert main(["run", str(lock), *where, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lock"] == Engine.load(lock).lock and found["drafts"] == []


# --- what was recorded --------------------------------------------------------------------------------------------------


def recorded(engine: Engine, event: dict[str, str]) -> Decision:
    assert engine.ledger is not None
    with engine.ledger:
        return engine.decide(event)


def test_drafts_are_recorded_and_replayed_whatever_is_published_since(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = recorded(Engine.load(TREE, ledger="ledger.db"), SALE)
    published(shop)
    second = recorded(Engine.load(TREE, ledger="ledger.db"), SALE | {"id": "S2"})
    assert (marked(first), marked(second)) == (ALL, set())
    (shop / "registry/index.json").unlink()
    found = replay("ledger.db")
    assert (found.count, found.same, found.altered) == (2, 2, ())
    assert main(["replay", "ledger.db", "--explain", "S1"]) == 0
    assert "ruleset shop/cash@1.0.0 sha256:" in (out := capsys.readouterr().out) and out.count(" draft\n") == 3
    assert main(["replay", "ledger.db", "--explain", "S2"]) == 0
    assert "draft" not in capsys.readouterr().out


def test_a_ledger_of_before_there_were_drafts_is_replayed(shop: Path) -> None:
    """Such a ledger has settings without the word, and decisions that call nothing a draft."""
    today = Engine.load(TREE)
    before = Loaded(today.linked, today.workspace, today.path)
    engine = Engine(before, ledger=Ledger.open(shop / "ledger.db", before.setting()))
    assert marked(recorded(engine, SALE)) == set()
    with sqlite3.connect(shop / "ledger.db") as there:
        assert "drafts" not in there.execute("SELECT data FROM setting").fetchone()[0]
    there.close()
    found = replay("ledger.db")
    assert (found.count, found.same, found.altered) == (1, 1, ())


def test_a_nested_cascade_says_so_too(shop: Path) -> None:
    published(shop)
    inner = CASCADE.replace("version: 1.0.0", "version: 1.0.1")
    write(shop, TREE, inner)
    outer = CASCADE.replace("cascade: shop/screening", "cascade: shop/outer").replace(
        "steps:", "steps:\n  inner: {cascade: shop/screening@^1}"
    )
    write(shop, "cascades/outer.yaml", outer)
    engine = Engine.load("cascades/outer.yaml")
    assert {one[:3] for one in engine.drafts} == {("cascade", "shop/screening", "1.0.1"), ("cascade", "shop/outer", "1.0.0")}
