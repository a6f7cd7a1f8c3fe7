"""A workspace made by `engine new`, and a way to call commands."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass

import pytest

from engine.cli.main import main


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def engine(capsys, monkeypatch):
    """Call a command in this process."""

    def call(*args, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        code = 0
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as stopped:
            code = stopped.code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def payments(engine, tmp_path, monkeypatch):
    """The workspace of `engine new`, with the working directory in it."""
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["new", "payments"]) == 0
    monkeypatch.chdir(tmp_path / "payments")
    return tmp_path / "payments"
