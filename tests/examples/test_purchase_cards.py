"""The bundled example: its data are whole, and its rules, cascades and model do what its README says."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

import pytest

from engine.cascade.components import Components
from engine.diagnostics import NOWHERE
from engine.registry.store import Workspace

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "purchase_cards"
LICENCE = "Contains public sector information licensed under the Open Government Licence v3.0; Birmingham City Council."


def published() -> list[dict[str, str]]:
    with (FOLDER / "FILES.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("month", published(), ids=lambda month: month["published_month"])
def test_every_published_file_is_there_with_all_its_rows(month: dict[str, str]) -> None:
    with gzip.open(FOLDER / f"{month['published_month']}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) - 1 == int(month["rows"])
    assert {len(row) for row in rows} == {int(month["columns"])}


def test_no_file_is_there_that_was_not_published() -> None:
    assert [path.name[:7] for path in sorted(FOLDER.glob("*.csv.gz"))] == sorted(month["published_month"] for month in published())
    assert sum(int(month["rows"]) for month in published()) == 131_680


def test_the_licence_line_stands_word_for_word() -> None:
    for name in ("README.md", "LICENCE.md"):
        assert LICENCE in (FOLDER / name).read_text(encoding="utf-8"), name


def test_every_component_checks_without_a_single_remark() -> None:
    components = Components(Workspace(FOLDER))
    load = {"ruleset": components.rules, "record": components.record, "features": components.features, "list": components.list_values}
    for name in components.workspace.rule_names():
        tree = components.tree(FOLDER / "rulesets" / f"{name}.rules")
        assert tree is not None, components.rendered()
        load[tree.kind](name, None, NOWHERE)
    assert components.rendered() == ""


def test_the_rules_cite_sections_that_the_policy_has() -> None:
    policy = (FOLDER / "POLICY.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^(?:## )?(\d(?:\.\d)?)[. ]", policy, re.MULTILINE))
    cited = [
        section
        for path in (FOLDER / "rulesets").rglob("*.rules")
        for section in re.findall(r'"Purchase card policy \(example\) ([\d.]+)"', path.read_text(encoding="utf-8"))
    ]
    assert len(cited) > 20
    assert set(cited) <= sections
