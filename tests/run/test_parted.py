"""A run in parts gives the very bytes of a run in memory: with several histories, roles, late events, repeats, rejects and ticks."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from engine.api import Engine
from engine.errors import EngineError
from engine.run import order, parts, source
from engine.run.files import run_files
from engine.run.moments import Every
from engine.run.parted import size
from engine.run.through import Options

RECORD = """
record bank/transfer version 1.0.0
  zone "Europe/Berlin"
  key id
  time at{arrival}
  late up to 1 day
  field id: text
  field at: datetime
  field payer: text
  field payee: text
  field branch: integer optional
  field amount: money by currency not negative
  field currency: text
  field version: integer optional
"""
FEATURES = """
features bank/past version 1.0.0
  record bank/transfer ^1

feature out_7d = sum of amount over 7 days per payer
feature count_7d = count over 7 days per payer
feature usual = mean of amount over last 5 events per payer
feature touched = count over 30 days per payer, matched as payer or payee
feature same = count over 30 days per payer where payee = this.payee
feature here = count of distinct payee over 3 days per branch
feature pairs = time since last over 60 days per payer, payee
feature rounds = count of cycles from payer to payee of up to 3 hops over 2 days
feature ratio = touched / count_7d
"""
RULES = """
ruleset bank/checks version 1.0.0
  record bank/transfer ^1
  uses features bank/past ^1

rule BUSY-01 "Busy"
  when past.count_7d >= 3
  then score 10

rule QUIET-01 "Quiet"
  when past.touched = 0
  once per payer per 7 days
  then score 20
  on missing ignore

rule RATIO-01 "Ratio"
  when past.ratio > 2 and past.here >= 2
  then score 30

decide outcome first match
  look when score >= 30
  pass otherwise
  otherwise undecided look
"""
CASCADE = """
cascade: bank/screening
version: 1.0.0
record: bank/transfer@^1
steps:
  past: {features: bank/past@^1}
  checks: {rules: bank/checks@^1}
decision: checks
"""


class Silent:
    """A watcher that keeps what it hears."""

    def __init__(self) -> None:
        self.rows = self.decided = self.rejected = 0
        self.stages: list[str] = []
        self.events: list[tuple[str | None, Any]] = []

    def on_read(self, rows: int, file: str) -> None:
        self.rows += rows

    def on_rejected(self, rejects: pl.DataFrame) -> None:
        self.rejected += rejects.height

    def on_decided(self, rows: pl.DataFrame, decisions: pl.DataFrame) -> None:
        self.decided += decisions.height

    def on_stage(self, text: str) -> None:
        self.stages.append(text)

    def on_event(self, raw: str | None, row: Any, open_row: Any) -> None:
        self.events.append((raw, row))


def workspace(folder: Path, arrival: str = "") -> Engine:
    texts = {"rulesets/bank/transfer.rules": RECORD.format(arrival=arrival), "rulesets/bank/past.rules": FEATURES}
    texts |= {"rulesets/bank/checks.rules": RULES, "cascades/screening.yaml": CASCADE}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.lstrip())
    return Engine.load(folder / "cascades/screening.yaml")


def feed(folder: Path, seed: int, rows: int = 420) -> list[Path]:
    """Transfers between few accounts, some far too late, some again, some again with other content, some without key or account."""
    random = Random(seed)
    lines: list[str] = []
    for number in range(rows):
        hour = number // 2 - random.choice([0, 0, 0, 3, 60])
        event: dict[str, Any] = {"id": f"T{number}", "at": f"{20_000 * 86_400 + hour * 3_600}"}
        event["at"] = str(pl.select(pl.from_epoch(pl.lit(20_000 * 86_400 + hour * 3_600))).item())
        event |= {"payer": random.choice(["A", "B", "C", "D", None]), "payee": random.choice("ABCDEF")}
        event |= {"branch": random.choice([1, 2, None, "no"]), "amount": random.choice(["1.00", "20.5", "x"])}
        event["currency"] = random.choice(["EUR", "EUR", "USD"])
        again = json.loads(random.choice(lines)) if lines and random.random() < 0.1 else event
        again = again | {"amount": "77"} if again is not event and random.random() < 0.3 else again
        again = {"version": 1} | again
        if (
            again["id"] != event["id"] and random.random() < 0.5
        ):  # another account, a later version: where nobody asks for it the content is another
            again |= {"payer": random.choice("ABCD"), "version": again["version"] + random.choice([-1, 1, 1])}
        lines.append(json.dumps(again | ({"id": None} if random.random() < 0.02 else {})))
    files = [folder / "a.jsonl", folder / "b.jsonl"]
    for place, file in enumerate(files):
        file.write_text("\n".join(lines[place * rows // 2 : (place + 1) * rows // 2]) + "\n")
    return files


def run(engine: Engine, files: list[Path], into: Path, **options: Any) -> tuple[bytes, bytes, Silent, tuple[str, ...]]:
    watcher = Silent()
    beside = run_files(engine.plan, files, into / "d.jsonl", into / "r.csv", watcher, Options(values=True, **options))
    return (into / "d.jsonl").read_bytes(), (into / "r.csv").read_bytes(), watcher, beside.notes


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and blocks so small that there are many of each."""
    monkeypatch.setattr(source.Source.__init__, "__defaults__", (100,))
    for module in (source, order, parts):
        monkeypatch.setattr(module, "CHUNK_ROWS", 100)
    monkeypatch.setattr(parts, "HELD_ROWS", 130)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("arrival", ["", "\n  arrival by time", "\n  revision version"])
@pytest.mark.parametrize("ticks", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_bytes_are_those_of_a_run_in_memory(tmp_path: Path, arrival: str, ticks: bool, seed: int) -> None:
    engine = workspace(tmp_path, arrival)
    files = feed(tmp_path, seed)
    options: dict[str, Any] = {"history_from": None if seed % 2 else "2024-01-01", "each": seed == 3}
    if ticks:
        options["ticks"] = Every.of(engine.plan, "day", ["payer"], "2024-11-03" if seed else None)
    whole = run(engine, files, tmp_path, **options)
    aside = tmp_path / "aside"
    aside.mkdir()
    parted = run(engine, files, tmp_path, memory=400_000 if "revision" in arrival else 50_000, aside=aside, **options)
    assert parted[0] == whole[0] and len(whole[0].splitlines()) > 350
    assert parted[1] == whole[1]
    assert (b"is no higher" in whole[1]) or b"was there before with other content" in whole[1]
    assert parted[2].events == whole[2].events and bool(whole[2].events) == (seed == 3)
    counts = [(one.rows, one.decided, one.rejected) for one in (whole[2], parted[2])]
    assert counts[0] == counts[1]
    assert sum("per payer, part" in stage for stage in parted[2].stages) > 3
    assert "more than --memory: it was taken key by key, in " in parted[3][0]
    assert not list(aside.iterdir())


def test_what_fits_is_not_taken_apart(tmp_path: Path) -> None:
    engine = workspace(tmp_path)
    files = feed(tmp_path, 0)
    whole, parted = run(engine, files, tmp_path), run(engine, files, tmp_path, memory=10_000_000)
    assert parted[:2] == whole[:2] and not parted[2].stages
    assert "which fits into --memory" in parted[3][0]


@pytest.mark.usefixtures("small")
def test_one_key_with_very_many_events_is_told(tmp_path: Path) -> None:
    engine = workspace(tmp_path)
    one = [{"id": n, "at": "2024-10-01T00:00:00", "payer": "A", "payee": "B", "amount": 1, "currency": "EUR"} for n in range(400)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, one)))
    whole, parted = (run(engine, [tmp_path / "x.jsonl"], tmp_path, **given) for given in ({}, {"memory": 30_000}))
    assert parted[:2] == whole[:2]
    assert "400 rows per `payer` stood in one part, and took more memory: few keys have very many events" in parted[3]
    assert "400 rows per `payer, payee` stood in one part, and took more memory: a network cannot be parted" in parted[3]


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    engine = workspace(tmp_path)
    files = feed(tmp_path, 0, 10)
    with pytest.raises(EngineError, match=r"cannot put rows aside in `.*gone`: no such file or directory; name another folder"):
        run(engine, files, tmp_path, memory=10_000, aside=tmp_path / "gone")
    assert not (tmp_path / "d.jsonl").exists() and not list(tmp_path.glob(".unfinished*"))


def test_sizes_in_words() -> None:
    assert [size(number) for number in (0, 999_999_999, 2_000_000_000)] == ["1 MB", "1000 MB", "2.0 GB"]
