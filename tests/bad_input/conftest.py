"""The workspace of `engine new`, commands on it, and runs whose rows are counted."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.cli.new import TEMPLATES
from tests.cli.conftest import Result, engine

__all__ = ["CASCADE", "GOOD", "HEADER", "Command", "Ran", "Run", "engine", "refusal", "run", "shop"]

CASCADE = "cascades/screening.yaml"
HEADER = "id,paid_at,card,amount,card_country,delivery\n"
GOOD = "P-1,2026-03-02T09:12:00,tok_1,49.90,GB,home\n"
"""A row that can be decided, and whose amount is known."""

Command = Callable[..., Result]


@dataclass(frozen=True)
class Ran:
    """What a run said and wrote."""

    summary: dict[str, Any]
    decisions: list[dict[str, Any]]
    rejects: list[dict[str, str]]

    @property
    def keys(self) -> list[str]:
        return [one["key"] for one in self.decisions]

    @property
    def reasons(self) -> list[str]:
        return [one["reason"] for one in self.rejects]


Run = Callable[..., Ran]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace, with the working directory in it."""
    folder = tmp_path / "shop"
    shutil.copytree(TEMPLATES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(engine: Command, shop: Path) -> Run:
    """Decide the rows of a file with this content, or of one that is there; every row must be decided or rejected with a reason."""

    def call(name: str, content: str | bytes | None = None, *options: str) -> Ran:
        if content is not None:
            (shop / name).write_bytes(content.encode() if isinstance(content, str) else content)
        result = engine("run", CASCADE, "--input", name, "--output", "d.jsonl", "--rejects", "r.csv", "--json", *options)
        assert (result.code, result.err) == (0, "")
        decisions = [json.loads(line) for line in (shop / "d.jsonl").read_text(encoding="utf-8").splitlines()]
        with (shop / "r.csv").open(encoding="utf-8", newline="") as file:
            rejects = list(csv.DictReader(file))
        summary = result.json
        assert (summary["decided"], summary["rejected"]) == (len(decisions), len(rejects))
        assert summary["rows"] == len(decisions) + len(rejects) and summary["balanced"]
        assert all(one["reason"] and one["file"] == name and int(one["row"]) > 0 for one in rejects)
        return Ran(summary, decisions, rejects)

    return call


@pytest.fixture
def refusal(engine: Command, shop: Path) -> Callable[..., str]:
    """Why a file with this content is refused as a whole: one line, and nothing is written."""

    def call(name: str, content: str | bytes | None = None, *options: str) -> str:
        if content is not None:
            (shop / name).write_bytes(content.encode() if isinstance(content, str) else content)
        before = sorted(shop.iterdir())
        result = engine("run", CASCADE, "--input", name, "--output", "d.jsonl", "--rejects", "r.csv", *options)
        assert (result.code, result.out) == (2, "") and len(result.err.splitlines()) == 1
        assert sorted(shop.iterdir()) == before
        return result.err.removeprefix("engine: ").rstrip("\n")

    return call
