"""The page on cascades is true: its files check beside those of `engine new`, their tests pass, and the cascade decides."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from engine.api import Engine
from engine.cascade.components import Components
from engine.cli.new import TEMPLATES
from engine.testkit.runner import run_tests
from engine.testkit.sources import check, find, formatted

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cascades.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    for text in blocks("rules"):
        (tmp_path / f"rulesets/{text.split()[1]}.rules").write_text(text, encoding="utf-8")
    (tmp_path / "cascades/full.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    return tmp_path


def test_every_file_checks_and_every_test_passes(workspace: Path) -> None:
    assert check(workspace) == []
    tested = [run_tests(Components(found.workspace), found) for found in find([workspace / "rulesets"])]
    assert [str(failure) for one in tested if one for failure in one.failures] == []
    assert all(formatted(text) == text for text in blocks("rules"))


def test_the_gate_does_what_the_page_says(workspace: Path) -> None:
    engine = Engine.load(workspace / "cascades/full.yaml")
    event = {"id": "1", "paid_at": "2026-03-06T18:20:00", "card": "tok_2", "country": "GB", "delivery": "locker"}
    with engine.open_store(history_from="2026-01-01") as store:
        through = engine.decide({**event, "amount": "640.00"}, store=store, record=False)
        assert through.hits == ("LARGE-01", "PARCEL-01", "VERDICT-01") and through.outcome == "review"
        shut = engine.decide({**event, "amount": "1640.00"}, store=store, record=False)
        assert shut.hits == ("LARGE-01", "WEEK-01", "VERDICT-01")
        assert "skipped: checks.score < 50 is false (checks.score = 60)" in shut.explain()
        unknown = engine.decide(event, store=store, record=False)
        assert unknown.values["parcel.score"] == {"missing": "undecided"}
