"""Every code the engine can tell has a page; the example to avoid triggers the code, the one to prefer triggers nothing."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from engine.cascade.link import link
from engine.registry.store import Workspace
from tests.lang.golden import problems

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path for path in sorted((ROOT / "docs" / "diagnostics").glob("*.md")) if path.stem != "README"}
CASCADES = ROOT / "tests" / "cascade" / "workspace"
TOLD_BY = {
    "Diagnostic",
    "_Unreadable",
    "error",
    "_error",
    "warning",
    "report",
    "Refusal",
    "_BadTable",
    "_problem",
    "_slip",
    "_at",
    "_whole",
}
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*")
BEYOND_TEXT = {
    "cascade-too-large",
    "deployment",
    "file-too-large",
    "library-missing",
    "library-version",
    "model-refused",
    "not-utf8",
    "registry-unread",
    "ruleset-circle",
    "table-too-large",
    "too-many-declarations",
    "too-many-problems",
}


def _texts(node):
    """The texts an argument may be."""
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value) else set()


def codes_of(source):
    """The codes a module tells: first arguments of what makes a diagnostic, and answers that begin with one."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found |= _texts(node.args[0]) if name in TOLD_BY else set()
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
            found |= {code for code in _texts(node.value.elts[0]) if "-" in code}
    return found


def all_codes():
    modules = [*(ROOT / "engine" / "lang").glob("*.py"), *(ROOT / "engine" / "cascade").glob("*.py"), ROOT / "engine" / "loaded.py"]
    return set().union(*(codes_of(path.read_text(encoding="utf-8")) for path in modules))


def drawn_codes():
    """The codes of all golden files."""
    files = [*(ROOT / "tests" / "lang" / "bad").glob("*.expected"), *(CASCADES / "cascades" / "bad").glob("*.expected")]
    return {code for path in files for code in re.findall(r"(?:error|warning)\[([a-z0-9-]+)\]: ", path.read_text(encoding="utf-8"))}


def blocks(code):
    """Language and text of the examples under Avoid and Prefer; a character written as ``\\u202e`` is that character."""
    text = PAGES[code].read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    assert list(parts) == ["Summary", "Avoid", "Prefer", "Why"]
    assert all(part.strip() for part in parts.values())
    assert text.startswith(f"# {code}\n")
    found = [re.fullmatch(r"```(rules|yaml)\n(.*)\n```", parts[name].strip(), re.S) for name in ("Avoid", "Prefer")]
    return [(m[1], re.sub(r"\\u([0-9a-f]{4})", lambda e: chr(int(e[1], 16)), m[2]) + "\n") for m in found if m]


def told(kind, text, folder):
    """The codes of an example: rules beside the small workspace of the golden files, a cascade inside that of the cascades."""
    if kind == "rules":
        whole = re.match(r"#|(ruleset|record|features|list|table|rates|liste|правила) [a-z_]+/", text) or folder.name == "no-header"
        header = "" if whole else "ruleset docs/page version 1.0.0\n  record bank/transaction ^1\n"
        return {problem.code for problem in problems(header + text, "page.rules")}
    shutil.copytree(CASCADES, folder / "workspace", ignore=shutil.ignore_patterns("bad"), dirs_exist_ok=True)
    path = folder / "workspace" / "cascades" / "page.yaml"
    path.write_text(text, encoding="utf-8")
    _, components = link(path, Workspace(folder / "workspace"))
    return {problem.code for problem in components.diagnostics}


def test_every_code_has_a_page():
    assert all_codes() | drawn_codes() == set(PAGES)


@pytest.mark.parametrize("code", sorted(PAGES))
def test_the_examples_of_a_page_hold(code, tmp_path):
    folder = tmp_path / code
    folder.mkdir()
    examples = blocks(code)
    assert len(examples) == (0 if code in BEYOND_TEXT else 2)
    for place, (kind, text) in enumerate(examples):
        found = told(kind, text, folder)
        assert (code in found) == (place == 0), (text, found)
        assert place == 0 or not found, (text, found)
