"""What the pages say is true: their Python runs, their commands are there, their links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import shutil

import pytest

from engine.cli.main import COMMANDS
from engine.cli.new import TEMPLATES
from tests.architecture.source import ROOT

PAGES = sorted(
    path for path in ROOT.rglob("*.md") if not any(part.startswith(".") or part == "out" for part in path.relative_to(ROOT).parts)
)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def label(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path, *languages):
    return [text for language, text in FENCE.findall(path.read_text(encoding="utf-8")) if language in languages]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """What `engine new` makes, as the working directory."""
    shutil.copytree(TEMPLATES, tmp_path / "payments")
    monkeypatch.chdir(tmp_path / "payments")
    return tmp_path / "payments"


def run(path):
    """Run a page's Python from top to bottom; gives what it printed."""
    printed, names = io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        for block in blocks(path, "python"):
            exec(compile(block, label(path), "exec"), names)
    return printed.getvalue()


def test_the_readme_prints_what_it_says(workspace):
    (output,) = blocks(ROOT / "README.md", "text")
    assert run(ROOT / "README.md") == output


def test_the_readme_shows_files_that_are_there(workspace):
    (rule,) = blocks(ROOT / "README.md", "rules")
    (cascade,) = blocks(ROOT / "README.md", "yaml")
    assert rule in (workspace / "rulesets/shop/checks.rules").read_text()
    assert (workspace / "cascades/screening.yaml").read_text().endswith(cascade)


def test_the_readme_begins_with_what_one_looks_for():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    places = [
        text.index(mark)
        for mark in ("```rules", "```yaml", "```python", "```text", "make demo", "make test", "docs/analyst.md", "## Licence")
    ]
    assert places == sorted(places)


def test_the_developers_page_runs(workspace):
    assert run(ROOT / "docs/developer.md") == ""


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_commands_are_there(path):
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in blocks(path, "", "sh", "bash"):
        for command in re.findall(r"(?:^|&& )engine ([a-z]+)", block, re.MULTILINE):
            assert command in COMMANDS, command
        for target in re.findall(r"^make ([a-z]+)", block, re.MULTILINE):
            assert target in targets, target


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_a_page_is_merged_whole(path):
    assert not re.search(r"^(<{7} |={7}$|>{7} )", path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_links_lead_somewhere(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place) if place else path
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def anchors(path):
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [path for path in PAGES if "decisions" in path.parts], ids=label)
def test_a_decision_takes_one_page(path):
    assert len(path.read_text(encoding="utf-8").split()) <= 700
