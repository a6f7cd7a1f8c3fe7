"""The auditor's page is true: its queries answer, and what it says of a ledger that was altered is what is said."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, replay
from engine.cli.main import main
from engine.cli.new import TEMPLATES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "auditor.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of the run that the page shows."""
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    files = ["--input", "events.csv", "--output", "d.csv", "--rejects", "r.csv", "--history-from", "2026-01-01"]
    assert main(["run", "cascades/screening.yaml", *files, "--ledger", "ledger.db"]) == 0
    Engine.load("cascades/screening.yaml", ledger="ledger.db").decide((tmp_path / "event.json").read_text())
    return tmp_path / "ledger.db"


def ask(ledger: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(ledger)) as connection:
        found = connection.execute(query).fetchall()
        connection.commit()
    return found


def test_the_queries_answer(ledger: Path) -> None:
    day, hits, rules, revised, head = (ask(ledger, query) for query in blocks("sql"))
    assert [row[1] for row in day] == ["P-1001", "P-1002", "P-1003", "P-1004"]
    assert ("P-1004", "WEEK-01", '["House rule 2"]', "1,125.50 GBP in seven days is above 1,000.00 GBP") in hits
    assert dict(rules)["rulesets/shop/checks.rules"] == (TEMPLATES / "rulesets/shop/checks.rules").read_text(encoding="utf-8")
    assert revised == []
    assert [row[0] for row in head] == [7]


def test_a_ledger_says_what_the_page_says(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fine, altered = blocks("text")
    assert main(["replay", "ledger.db"]) == 0 and capsys.readouterr().out.endswith(fine)
    ask(ledger, """UPDATE entry SET body = replace(body, '"watch"', '"accept"') WHERE seq = 2""")
    assert main(["replay", "ledger.db"]) == 1
    (identity,) = ask(ledger, "SELECT id FROM entry WHERE seq = 2")[0]
    assert capsys.readouterr().out == re.sub(r"\(.*?\)", f"({identity})", altered)
    assert replay(ledger).same == 6


def test_an_explanation_holds_what_the_page_lists(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["replay", "ledger.db", "--explain", "P-1002"]) == 0
    shown = capsys.readouterr().out
    assert re.match(r'entry 2, [0-9a-f-]{36}\nevent {"id": "P-1002", .*\n', shown)
    assert "ruleset shop/checks@1.0.0 sha256:" in shown and "outcome watch, robust" in shown and "[House rule 2]" in shown
