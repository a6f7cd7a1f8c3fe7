"""The bundled example: its data are whole, its rules pass their own tests, and its pages say what is so."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

import pytest

from engine.cascade.components import Components
from engine.testkit.runner import run_tests
from engine.testkit.sources import check, find, formatted

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "purchase_cards"
LICENCE = "Contains public sector information licensed under the Open Government Licence v3.0; Birmingham City Council."
RULES = find([FOLDER / "rulesets"])


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


def test_everything_checks_without_a_single_remark() -> None:
    assert check(FOLDER) == []


@pytest.mark.parametrize("found", RULES, ids=lambda found: found.path.stem)
def test_every_file_has_the_usual_look(found) -> None:
    text = found.path.read_text(encoding="utf-8")
    assert formatted(text) == text


@pytest.mark.parametrize("found", RULES, ids=lambda found: found.path.stem)
def test_every_rule_set_passes_its_own_tests(found) -> None:
    tested = run_tests(Components(found.workspace), found)
    if tested is not None:
        assert [str(failure) for failure in tested.failures] == []
        assert tested.cases > 0


def test_every_rule_is_tested_hit_and_clear() -> None:
    for found in RULES:
        tested = run_tests(Components(found.workspace), found)
        for rule, states in tested.untested.items() if tested else ():
            assert not {"hit", "clear"} & set(states), (found.path.stem, rule, states)


def test_the_rules_cite_sections_that_the_policy_has() -> None:
    policy = (FOLDER / "POLICY.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^(?:## )?(\d(?:\.\d)?)[. ]", policy, re.MULTILINE))
    cited = [
        section
        for found in RULES
        for section in re.findall(r'"Purchase card policy \(example\) ([\d.]+)"', found.path.read_text(encoding="utf-8"))
    ]
    assert len(cited) > 20
    assert set(cited) <= sections
