"""The rules in Russian and Danish check without a remark, pass their tests, and say the same in English."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.cascade.components import Components
from engine.lang.parse import parse
from engine.testkit.runner import run_tests
from engine.testkit.sources import check, find, formatted

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "languages"
FILES = sorted((FOLDER / "rulesets").rglob("*.rules"))


def results(folder: Path) -> list[tuple[str, int, int, dict[str, tuple[str, ...]]]]:
    tested = [run_tests(Components(found.workspace), found) for found in find([folder])]
    assert [str(failure) for one in tested if one for failure in one.failures] == []
    return [(one.name, one.cases, one.expectations, one.untested) for one in tested if one]


def test_they_check_and_pass_their_tests_in_every_language(tmp_path: Path) -> None:
    assert check(FOLDER) == []
    own = results(FOLDER)
    assert [name for name, *_ in own] == ["dk/cash", "rf/cash"] and all(not untested for *_, untested in own)
    for language in ("en", "ru", "da"):
        folder = tmp_path / language
        shutil.copytree(FOLDER / "rulesets", folder / "rulesets")
        for path in folder.rglob("*.rules"):
            path.write_text(formatted(path.read_text(encoding="utf-8"), path.name, language), encoding="utf-8")
        assert check(folder) == [] and results(folder) == own


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_is_in_its_language_and_has_the_usual_look(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree, problems = parse(text, path.name)
    assert tree is not None and not problems and tree.language is not None
    assert tree.language.text == {"rf": "ru", "dk": "da"}[path.parent.name]
    assert formatted(text) == text
