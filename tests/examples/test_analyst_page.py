"""The analyst's page is true: its files check and pass their tests, and its mistakes are reported in the words it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.cascade.components import Components
from engine.diagnostics import NOWHERE
from engine.registry.store import Workspace
from engine.testkit.runner import run_tests
from engine.testkit.sources import check, find, formatted

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "analyst.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for text in blocks("rules"):
        put(tmp_path, text)
    for name, text in re.findall(r"^```csv (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        (tmp_path / "rulesets" / name).write_text(text, encoding="utf-8")
    return tmp_path


def put(folder: Path, text: str) -> str:
    name = text.split()[1]
    path = folder / "rulesets" / f"{name}.rules"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return name


def test_every_file_on_the_page_checks_without_a_remark(workspace: Path) -> None:
    assert len(blocks("rules")) >= 6
    assert check(workspace) == []


def test_every_test_on_the_page_passes(workspace: Path) -> None:
    tested = [run_tests(Components(found.workspace), found) for found in find([workspace])]
    assert [str(failure) for one in tested if one for failure in one.failures] == []
    assert sum(one.expectations for one in tested if one) > 30


@pytest.mark.parametrize("text", blocks("rules"), ids=lambda text: text.split()[1])
def test_every_file_on_the_page_has_the_usual_look(text: str) -> None:
    assert formatted(text) == text


def test_the_mistakes_on_the_page_are_reported_as_it_says(workspace: Path) -> None:
    wrong, report, *_ = blocks("text")
    components = Components(Workspace(workspace))
    components.rules(put(workspace, wrong), None, NOWHERE)
    assert components.rendered() == report.rstrip("\n")


@pytest.mark.parametrize("link", re.findall(r"\]\(#([a-z-]+)\)", PAGE))
def test_every_link_within_the_page_leads_somewhere(link: str) -> None:
    anchors = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)]
    assert link in anchors
