"""Every mistake one can make in a cascade, with the diagnostics it gets. ``RESET=1`` rewrites the expected text; the diff is reviewed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.cascade.link import link
from engine.cascade.parse import parse_deployment
from engine.registry.store import Workspace

WORKSPACE = Path(__file__).parent / "workspace"
BAD = sorted((WORKSPACE / "cascades" / "bad").glob("*.yaml"))


def diagnosed(path: Path) -> str:
    _, components = link(path, Workspace(WORKSPACE))
    return components.rendered() + "\n"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_cascade_gets_its_diagnostics(path: Path) -> None:
    expected = path.with_suffix(".expected")
    text = diagnosed(path)
    if os.environ.get("RESET"):
        expected.write_text(text)
    assert text == expected.read_text()
    assert "error[" in text


@pytest.mark.parametrize("path", sorted((WORKSPACE / "cascades").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_good_cascade_links_without_errors(path: Path) -> None:
    linked, components = link(path, Workspace(WORKSPACE))
    assert linked is not None, components.rendered()


def test_a_deployment_file_names_what_it_does_not_know() -> None:
    (problem,) = parse_deployment("allow: [a.B]\nalow: [a.C]\n", "deployment.yaml")[1]
    assert (problem.code, problem.span.line, problem.message, problem.hint) == (
        "deployment",
        2,
        "unknown key `alow`",
        "did you mean `allow`?",
    )
