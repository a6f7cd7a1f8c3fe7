"""Long lists: loading, checking and hashing a workspace with one, and asking it, row by row and in frames. See README.md beside it."""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from engine import Engine

FILES = {
    "rulesets/bank/transfer.rules": """
record bank/transfer version 1.0.0
  key id
  time at
  field id: text
  field at: datetime
  field account: text
""",
    "rulesets/bank/checks.rules": """
ruleset bank/checks version 1.0.0
  record bank/transfer ^1
  uses list bank/watched ^1
rule LIST-01 "Watched" when account in bank.watched then score 40
decide outcome
  review when score >= 40
  approve otherwise
""",
    "cascades/all.yaml": """
cascade: bank/all
version: 1.0.0
record: bank/transfer@^1
steps:
  checks: {rules: bank/checks@^1}
decision: checks
""",
}
ASKED = 200_000


def account(number: int) -> str:
    return f"DE{number * 7919 % 10**18:018d}"


def written(folder: Path, entries: int, dated: bool) -> Path:
    """A workspace whose list has so many entries; with `dated`, each has dates of its own."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    valid = ' valid "from" to "to"' if dated else ""
    (folder / "rulesets/bank/watched.rules").write_text(f'list bank/watched version 1.0.0\nfrom "watched.csv" column "account"{valid}\n')
    with (folder / "rulesets/bank/watched.csv").open("w") as file:
        file.write("account,from,to\n")
        file.writelines(f"{account(number)},20{number % 20 + 10}-01-01,{'' if number % 3 else '2030-12-31'}\n" for number in range(entries))
    return folder / "cascades/all.yaml"


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    done = work()
    return time.process_time() - start, done


def memory() -> float:
    """The most this process has taken so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(cascade: Path, entries: int) -> Iterator[tuple[str, float, str]]:
    before = memory()
    seconds, engine = timed(lambda: Engine.load(cascade))
    assert isinstance(engine, Engine)
    yield "load, check and hash", seconds, "s"
    yield "memory taken by that", memory() - before, "MB"
    rng = random.Random(1)
    events = [{"id": f"T{n}", "at": "2026-03-01T09:00:00Z", "account": account(rng.randrange(2 * entries))} for n in range(ASKED)]
    few = events[:5_000]
    yield "decide one event", timed(lambda: [engine.decide(event) for event in few])[0] / len(few) * 1e6, "us"
    frame = pl.DataFrame(events)
    engine.decide_batch(frame[:1_000])
    yield "decide a frame of 1,000 rows", timed(lambda: engine.decide_batch(frame[:1_000]))[0] * 1e3, "ms"
    yield f"decide a frame, a row of {ASKED:,}", timed(lambda: engine.decide_batch(frame))[0] / ASKED * 1e6, "us"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--dated", action="store_true", help="entries with dates of their own")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for label, figure, unit in measured(written(Path(folder), args.entries, args.dated), args.entries):
            print(f"{label:40} {figure:12,.1f} {unit}")


if __name__ == "__main__":
    main()
