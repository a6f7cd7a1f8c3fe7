"""Commands with arguments that cannot be meant: told in one line, before anything is lost."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from tests.bad_input.conftest import CASCADE, Command

RUN = {"--input": "events.csv", "--output": "d.csv", "--rejects": "r.csv"}


def run_with(**changes: str) -> list[str]:
    options = RUN | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return ["run", CASCADE, *(part for pair in options.items() for part in pair)]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- nothing is overwritten -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output": "events.csv"}, "--output `events.csv` is an input too, and would overwrite it"),
        ({"rejects": "./events.csv"}, "--rejects `./events.csv` is an input too, and would overwrite it"),
        ({"output": "r.csv"}, "--rejects `r.csv` is --output too, and would overwrite it"),
        ({"report": "d.csv"}, "--report `d.csv` is --output too, and would overwrite it"),
        ({"report": CASCADE}, f"--report `{CASCADE}` is the cascade too, and would overwrite it"),
        ({"report": "rulesets/shop/checks.rules"}, "is a file of the cascade too, and would overwrite it"),
        ({"ledger": "events.csv"}, "--ledger `events.csv` is an input too"),
        ({"output": "link.csv"}, "--output `link.csv` is an input too"),
    ],
    ids=range(8),
)
def test_a_file_that_is_needed_is_not_overwritten(engine: Command, shop: Path, changes: dict[str, str], said: str) -> None:
    (shop / "link.csv").symlink_to("events.csv")
    before = files(shop)
    result = engine(*run_with(**changes))
    assert (result.code, result.out) == (2, "") and said in result.err
    assert files(shop) == before


@pytest.mark.parametrize("option", ["output", "rejects", "report", "ledger"])
def test_a_folder_in_place_of_a_file_is_told_before_anything_is_written(engine: Command, shop: Path, option: str) -> None:
    (shop / "out.csv").mkdir()
    before = files(shop)
    result = engine(*run_with(**{option: "out.csv"}))
    assert (result.code, result.out) == (2, "") and f"--{option} `out.csv` is a folder: name a file in it" in result.err
    assert files(shop) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output": "d.xlsx"}, "cannot write `d.xlsx`: a file ends with .parquet, .csv or .jsonl"),
        ({"rejects": "r"}, "cannot write `r`: a file ends with .parquet, .csv or .jsonl"),
        ({"rejects": "event.json/r.csv"}, "event.json"),
        ({"output": "/proc/d.csv"}, "cannot write `/proc/d.csv`: no such file or directory"),
        ({"input": "no-*.csv"}, "there is no file `no-*.csv`"),
        ({"input": "rulesets"}, "cannot read `rulesets`: it is a folder; name the files in it, like `rulesets/*.csv`"),
        ({"input": "."}, "it is a folder"),
        ({"input": "README.md"}, "cannot read `README.md`: a file ends with .csv"),
        ({"history_from": "31/01/2026"}, "`31/01/2026` is no date or time to have history from; write it as `2020-01-31`"),
        ({"history_from": "2026-13-01"}, "`2026-13-01` is no date or time"),
        ({"history_from": ""}, "`` is no date or time"),
        ({"ledger": "no/l.db"}, "there is no folder `no`"),
    ],
    ids=range(12),
)
def test_what_a_run_cannot_do_is_told_and_nothing_is_written(engine: Command, shop: Path, changes: dict[str, str], said: str) -> None:
    (shop / "d.csv").write_text("old")
    before = files(shop)
    result = engine(*run_with(**changes))
    assert (result.code, result.out) == (2, "") and said in result.err and len(result.err.splitlines()) == 1
    assert files(shop) == before


def test_both_files_appear_or_neither(engine: Command, shop: Path) -> None:
    """The second input cannot be read to its end: what was decided before is not half a result."""
    (shop / "two.csv").write_bytes((shop / "events.csv").read_bytes() + b"\xff\n")
    result = engine("run", CASCADE, "--input", "events.csv", "two.csv", "--output", "d.parquet", "--rejects", "r.csv")
    assert result.code == 2 and "`two.csv` is not UTF-8" in result.err
    assert not [path.name for path in shop.iterdir() if path.name in ("d.parquet", "r.csv") or path.name.startswith(".")]


def test_a_full_disk_is_told_and_neither_file_appears(engine: Command, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rejects are written to their end before the decisions are, and still do not appear without them."""

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device (os error 28)")

    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", full)
    before = files(shop)
    result = engine(*run_with(output="d.parquet"))
    assert (result.code, result.err) == (2, "engine: cannot write `d.parquet`: no space left on device (os error 28)\n")
    assert files(shop) == before


# --- commands that look at files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "test", "fmt"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "`nowhere`: there is no such file or folder"),
        ("events.csv", "`events.csv`: this is neither a rule file (.rules) nor a cascade (.yaml)"),
        ("empty", "`empty`: no rule file in `rulesets/` and no cascade in `cascades/` stands below it"),
    ],
)
def test_a_name_that_stands_for_no_rules_is_no_success(engine: Command, shop: Path, command: str, name: str, said: str) -> None:
    (shop / "empty").mkdir()
    result = engine(command, name)
    assert (result.code, result.out, result.err) == (2, "", f"engine: {said}\n")


@pytest.mark.parametrize(("folder", "count"), [("rulesets/shop", 3), ("rulesets", 3), ("cascades", 1), (".", 4), ("..", 4)])
def test_a_folder_within_a_workspace_is_looked_through(engine: Command, shop: Path, folder: str, count: int) -> None:
    assert engine("check", folder, "--json").json["files"] == count


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["decide", "nowhere.yaml", "event.json"], "nowhere.yaml"),
        (["decide", "cascades", "event.json"], "cascades"),
        (["decide", CASCADE, "nowhere.json"], "`nowhere.json`: no such file or directory"),
        (["explain", CASCADE, "cascades"], "`cascades`: is a directory"),
        (["decide", CASCADE, "event.json", "--store", ""], "the store `` is of no known kind; use `memory:`, `sqlite:PATH`"),
        (["decide", CASCADE, "event.json", "--store", "mongo://x"], "is of no known kind"),
        (["decide", CASCADE, "event.json", "--store", "sqlite:"], "names no file"),
        (["decide", CASCADE, "event.json", "--store", "sqlite://host/h.db"], "a file has three strokes"),
        (["decide", CASCADE, "event.json", "--store", "sqlite:cascades"], "is a folder; name a file in it"),
        (["decide", CASCADE, "event.json", "--store", "sqlite:no/h.db"], "there is no folder `no`"),
        (["decide", CASCADE, "event.json", "--history-from", "2026-01-01"], "--history-from says since when a store is complete: name one"),
        (["decide", CASCADE, "event.json", "--store", "memory:", "--history-from", "soon"], "`soon` is no date or time"),
        (["graph", "cascades"], "cascades"),
        (["replay", "nowhere.db"], "there is no ledger `nowhere.db`"),
        (["replay", "events.csv"], "`events.csv` is not a ledger"),
        (["new", "event.json"], "`event.json` is there already"),
        (["new", "event.json/x"], "not a directory"),
        (["new", "."], "is there already and is not an empty folder"),
    ],
    ids=range(18),
)
def test_what_cannot_be_meant_is_told_in_a_line(engine: Command, shop: Path, args: list[str], said: str) -> None:
    before = files(shop)
    result = engine(*args)
    assert (result.code, result.out) == (2, "") and said in result.err and len(result.err.splitlines()) == 1
    assert files(shop) == before


# --- names that are no text -------------------------------------------------------------------------------------------

ODD = [b"caf\xe9.csv", "имя.csv".encode(), b"two\nlines.csv", b"a[1]*.csv", b"%s{x}`.csv"]


@pytest.mark.parametrize("name", ODD, ids=range(5))
def test_a_file_may_have_any_name(engine: Command, shop: Path, name: bytes) -> None:
    odd = os.fsdecode(name)
    (shop / "events.csv").rename(shop / odd)
    result = engine("run", CASCADE, "--input", odd, "--output", f"d{odd}", "--rejects", f"r{odd}")
    assert result.code == 0 and (shop / f"d{odd}").is_file()
    shown = name.decode("utf-8", "backslashreplace")
    assert f"{shown}" in (shop / f"r{odd}").read_text(encoding="utf-8")


def test_a_parquet_file_needs_a_name_in_utf_8_and_it_is_said(engine: Command, shop: Path) -> None:
    odd, before = os.fsdecode(b"caf\xe9.parquet"), files(shop)
    told = engine(*run_with(output=odd))
    assert told.code == 2 and "cannot write `caf\\xe9.parquet`: its name, or that of its folder, is not UTF-8; choose another" in told.err
    assert files(shop) == before
    (shop / odd).write_bytes(b"PAR1")
    assert "cannot read `caf\\xe9.parquet`: its name, or that of its folder, is not UTF-8; rename it" in engine(*run_with(input=odd)).err


def test_every_command_takes_odd_names(engine: Command, shop: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    (shop / "event.json").rename(shop / odd)
    assert engine("decide", CASCADE, odd, "--ledger", f"{odd}.db", "--store", f"sqlite:{odd}.s").code == 0
    assert engine("replay", f"{odd}.db").code == 0
    assert "caf\\udce9.no" in engine("replay", f"{odd}.no").err and "caf\\udce9.no" in engine("check", f"{odd}.no").err
    assert engine("new", f"{odd}.d").code == 0 and engine("check", f"{odd}.d").code == 0
    (shop / "rulesets" / f"{odd}.rules").write_text("x")
    assert "rulesets/caf\\udce9.rules:1:1: error[no-header]" in engine("check").out
