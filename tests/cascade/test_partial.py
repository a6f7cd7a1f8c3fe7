"""A file that does not read as a whole: what is said of the rest of it is true, and no dependent file is blamed for it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from engine.cascade.components import Components
from engine.diagnostics import errors
from engine.registry.store import Workspace
from engine.testkit.sources import check_rules, find
from tests.architecture.source import ROOT

WORKSPACES = {"shop": ROOT / "engine/cli/templates", "council": ROOT / "examples/purchase_cards", "bank": ROOT}
SOME = {"shop": 1, "council": 4, "bank": 24}
DECLARATION = re.compile(
    r"^(?:field|param|list|define|feature|input|rule|exception|template|table|never|more|decide|test|story|examples)\b", re.MULTILINE
)


def problems(folder: Path) -> list[str]:
    """Every error in the rule files of a workspace, by place."""
    components = Components(Workspace(folder))
    for one in find([folder / "rulesets"]):
        check_rules(components, one)
    return [f"{one.span.file}:{one.span.line} {one.code}" for one in errors(components.diagnostics)]


@pytest.mark.parametrize("name", WORKSPACES)
def test_a_declaration_that_does_not_read_brings_no_false_findings(name: str, tmp_path: Path) -> None:
    shutil.copytree(WORKSPACES[name] / "rulesets", tmp_path / "rulesets")
    assert problems(tmp_path) == []
    for path in sorted((tmp_path / "rulesets").rglob("*.rules")):
        text = path.read_text(encoding="utf-8")
        label = path.relative_to(tmp_path).as_posix()
        # of the larger workspaces some are enough
        for match in list(DECLARATION.finditer(text))[:: SOME[name]]:
            path.write_text(text[: match.end()] + " = =" + text[match.end() :], encoding="utf-8")
            line = text.count("\n", 0, match.start()) + 1
            assert problems(tmp_path) == [f"{label}:{line} syntax"]
        path.write_text(text, encoding="utf-8")


def test_what_the_sound_part_means_amiss_is_told_beside_what_does_not_read(tmp_path: Path) -> None:
    shutil.copytree(WORKSPACES["shop"] / "rulesets", tmp_path / "rulesets")
    rules = tmp_path / "rulesets/shop/checks.rules"
    text = rules.read_text(encoding="utf-8").replace("severity high", "severity hi").replace("country not in", "contry not in")
    rules.write_text(text.replace("param large: money = 500 GBP", "param large: money = 500"), encoding="utf-8")
    assert problems(tmp_path) == [
        "rulesets/shop/checks.rules:27 syntax",
        "rulesets/shop/checks.rules:8 type-mismatch",
        "rulesets/shop/checks.rules:34 unknown-name",
    ]
