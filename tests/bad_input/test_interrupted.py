"""Ctrl-C while a run goes on: a real process and a real signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bad_input.conftest import CASCADE, GOOD, HEADER, Command


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def start(*options: str) -> subprocess.Popen[str]:
    args = [sys.executable, "-m", "engine", "run", CASCADE, "--rejects", "out/r.csv", *options]
    return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stopped(process: subprocess.Popen[str]) -> bool:
    """Whether Ctrl-C ends the process as it should."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode == 130 and out == "" and err.splitlines()[-1] == "engine: stopped" and "Traceback" not in err


def rows(count: int) -> str:
    return HEADER + "".join(GOOD.replace("P-1", f"P-{number}") for number in range(count))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_what_was_there_stays_and_nothing_half_written_is_left(shop: Path, suffix: str) -> None:
    """The first chunk is decided, and the feed falls silent."""
    (shop / "out").mkdir()
    for name in (f"d.{suffix}", "r.csv", "r.html"):
        (shop / "out" / name).write_text("old")
    os.mkfifo(shop / "feed.csv")
    process = start("--input", "feed.csv", "--output", f"out/d.{suffix}", "--report", "out/r.html")
    with (shop / "feed.csv").open("w") as feed:
        feed.write(rows(100_000))
        feed.flush()
        until(lambda: any(path.stat().st_size for path in (shop / "out").glob(".unfinished-*/*")))
        assert stopped(process)
    assert {path.name: path.read_text() for path in (shop / "out").iterdir()} == {f"d.{suffix}": "old", "r.csv": "old", "r.html": "old"}


def test_what_was_put_aside_is_gone(shop: Path) -> None:
    (shop / "aside").mkdir()
    os.mkfifo(shop / "feed.csv")
    process = start("--input", "feed.csv", "--output", "out/d.csv", "--memory", "1GB", "--temp", "aside")
    with (shop / "feed.csv").open("w") as feed:
        feed.write(rows(120_000))
        feed.flush()
        until(lambda: any((shop / "aside").glob("kaskade-*/*")))
        assert stopped(process)
    assert not list((shop / "aside").iterdir()) and not list((shop / "out").iterdir())


def test_what_was_recorded_stays_recorded(engine: Command, shop: Path) -> None:
    (shop / "feed.csv").write_text(rows(20_000))
    process = start("--input", "feed.csv", "--output", "out/d.parquet", "--ledger", "l.db")
    until(lambda: (shop / "l.db-wal").exists() and (shop / "l.db-wal").stat().st_size > 1_000_000)
    assert stopped(process)
    assert not list((shop / "out").iterdir())
    replayed = engine("replay", "l.db", "--json")
    assert replayed.code == 0 and 0 < replayed.json["count"] == replayed.json["same"] < 20_000


@pytest.mark.parametrize("module", ["engine.cli.main", "engine.api", "engine.lang.ir", "networkx", "engine.run.files"])
def test_no_traceback_however_early_it_comes(shop: Path, module: str) -> None:
    """It comes while the command still loads: when this module is looked for."""
    code = f"""
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = ["engine", "run", "{CASCADE}", "--input", "feed.csv", "--output", "out/d.csv", "--rejects", "out/r.csv"]
runpy.run_module("engine", run_name="__main__")
"""
    (shop / "feed.csv").write_text(rows(1))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "engine: stopped\n")
