"""What the analyst's page shows is so: its files check cleanly, and its mistakes are reported in the words it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.cascade.components import Components
from engine.diagnostics import NOWHERE
from engine.registry.store import Workspace

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "analyst.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def checked(folder: Path, files: list[str]) -> Components:
    for text in files:
        path = folder / "rulesets" / f"{text.split()[1]}.rules"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    components = Components(Workspace(folder))
    load = {"ruleset": components.rules, "record": components.record, "features": components.features, "list": components.list_values}
    for text in files:
        kind, name = text.split()[:2]
        load[kind](name, None, NOWHERE)
    return components


def test_every_file_on_the_page_checks_cleanly(tmp_path: Path) -> None:
    files = blocks("rules")
    assert len(files) >= 6
    assert checked(tmp_path, files).rendered() == ""


def test_the_mistakes_on_the_page_are_reported_as_it_says(tmp_path: Path) -> None:
    wrong, report = blocks("text")
    assert checked(tmp_path, [*blocks("rules"), wrong]).rendered() == report.rstrip("\n")


@pytest.mark.parametrize("link", re.findall(r"\]\(#([a-z-]+)\)", PAGE))
def test_every_link_within_the_page_leads_somewhere(link: str) -> None:
    anchors = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)]
    assert link in anchors
