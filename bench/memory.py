"""What a run takes in memory and time with and without `--memory`, each in a process of its own. See README.md beside it."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from engine.api import Engine
from engine.run.files import run_files
from engine.run.through import Options

RECORD = """\
record bench/payment version 1.0.0
  zone "UTC"
  key id
  time at
  field id: text
  field at: datetime
  field account: text
  field merchant: text
  field amount: money EUR not negative
"""
FEATURES = """\
features bench/past version 1.0.0
  record bench/payment ^1
feature spent = sum of amount over 10 years per account
feature times = count over 10 years per account
feature largest = max of amount over 10 years per account
feature sold = sum of amount over 10 years per merchant
"""
RULES = """\
ruleset bench/checks version 1.0.0
  record bench/payment ^1
  uses features bench/past ^1
rule MUCH-01 "Much"
  when past.spent > 100_000 EUR and past.sold > 1_000 EUR
  then score 10
decide outcome first match
  look when score >= 10
  pass otherwise
  otherwise undecided look
"""
CASCADE = """\
cascade: bench/memory
version: 1.0.0
record: bench/payment@^1
steps:
  past: {features: bench/past@^1}
  checks: {rules: bench/checks@^1}
decision: checks
"""


class Quiet:
    """Hears of a run and says nothing."""

    def on_read(self, rows: int, file: str) -> None: ...
    def on_rejected(self, rejects: pl.DataFrame) -> None: ...
    def on_decided(self, rows: pl.DataFrame, decisions: pl.DataFrame) -> None: ...
    def on_stage(self, text: str) -> None: ...
    def on_event(self, raw: object, row: object, open_row: object) -> None: ...


def prepare(folder: Path, rows: int) -> None:
    """A workspace, and payments of a hundred thousand accounts over two years."""
    texts = {"rulesets/bench/payment.rules": RECORD, "rulesets/bench/past.rules": FEATURES, "rulesets/bench/checks.rules": RULES}
    for name, text in {**texts, "cascades/memory.yaml": CASCADE}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    number = pl.int_range(pl.len(), dtype=pl.Int64)
    for part, start in enumerate(range(0, rows, 1_000_000)):
        frame = pl.DataFrame({"n": pl.int_range(start, min(rows, start + 1_000_000), eager=True)}).select(
            id=pl.format("P{}", pl.col("n")),
            at=(pl.col("n") * (63_072_000 // rows or 1) + 1_700_000_000).cast(pl.Int64).mul(1_000_000).cast(pl.Datetime("us", "UTC")),
            account=pl.format("A{}", (pl.col("n") * 7_919) % 100_000),
            merchant=pl.format("M{}", (number * 104_729) % 5_000),
            amount=pl.col("n") % 9_973,
        )
        frame.write_parquet(folder / f"in-{part:03}.parquet")


def measure(folder: Path, memory: int | None) -> None:
    """One run; prints its seconds of this process and of the clock, and the most memory it held."""
    engine = Engine.load(folder / "cascades/memory.yaml")
    began, clock = time.process_time(), time.monotonic()
    output, aside = folder / f"d-{memory}.parquet", folder / "aside"
    aside.mkdir(exist_ok=True)
    paths = sorted(folder.glob("in-*.parquet"))
    beside = run_files(engine.plan, paths, output, folder / "r.csv", Quiet(), Options(memory=memory, aside=aside))
    # what the system's own count (`ru_maxrss`) takes over from the process that started this one is left out
    peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")) / 1e3
    name = "whole" if memory is None else f"{memory / 1e6:,.0f} MB"
    print(
        f"{name:>10} {time.process_time() - began:>8.0f} {time.monotonic() - clock:>8.0f} {peak:>8,.0f}  {'; '.join(beside.notes)}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure memory and time of a run with long windows on this machine.")
    parser.add_argument("--rows", type=int, default=5_000_000, help="how many (default: %(default)s)")
    parser.add_argument("--memory", type=int, nargs="*", default=[1_000, 300], help="limits in MB (default: %(default)s)")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        measure(Path(given.folder), given.memory[0] * 1_000_000 if given.memory else None)
        return
    print(f"{'--memory':>10} {'CPU s':>8} {'clock s':>8} {'peak MB':>8}  {given.rows:,} rows")
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), given.rows)
        for memory in ([], *([one] for one in given.memory)):
            subprocess.run([sys.executable, "-m", "bench.memory", "--folder", name, "--memory", *map(str, memory)], check=True)
        outputs = [Path(name) / f"d-{one * 1_000_000 if one else None}.parquet" for one in (None, *given.memory)]
        first = outputs[0].read_bytes()
        print("every output has the same bytes" if all(one.read_bytes() == first for one in outputs[1:]) else "OUTPUTS DIFFER")


if __name__ == "__main__":
    main()
