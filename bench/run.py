"""How long things take: prints one line a measurement. See README.md beside it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from engine import Engine

ROOT = Path(__file__).parents[1]
SMALL = ROOT / "engine/cli/templates/cascades/screening.yaml"
LARGE = ROOT / "examples/purchase_cards/cascades/audit.yaml"
ROUNDS = 5


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest round."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def imports() -> Iterator[tuple[str, float, str]]:
    for label, code in (("import engine", "import engine"), ("from engine import Engine", "from engine import Engine")):
        timed = f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
        seconds = min(float(subprocess.check_output([sys.executable, "-c", timed], cwd=ROOT)) for _ in range(ROUNDS))
        yield label, seconds * 1e3, "ms"


def payment(number: int) -> dict[str, object]:
    time_ = f"2026-03-{1 + number // 1440 % 28:02}T{number // 60 % 24:02}:{number % 60:02}:00"
    return {
        "id": f"P{number}",
        "paid_at": time_,
        "card": f"tok_{number % 50}",
        "amount": f"{number % 900}.50",
        "country": "GB",
        "delivery": "home",
    }


def single(folder: Path) -> Iterator[tuple[str, float, str]]:
    yield "load a small cascade", best(lambda: Engine.load(SMALL)) * 1e3, "ms"
    engine, count = Engine.load(SMALL), 2_000
    events = [payment(number) for number in range(count)]
    yield "decide one event, no history", best(lambda: [engine.decide(event) for event in events]) / count * 1e6, "us"

    def live(url: str) -> None:
        with engine.open_store(url) as store:
            for event in events:
                engine.decide(event, store=store)

    yield "decide one event, history in memory", best(lambda: live("memory:")) / count * 1e6, "us"
    stores = iter(range(ROUNDS))
    yield "decide one event, history in SQLite", best(lambda: live(f"sqlite:{folder}/{next(stores)}.db"), 2) / count * 1e6, "us"
    yield "decision as JSON, with reasons", best(lambda: [engine.decide(event).to_json() for event in events[:500]]) / 500 * 1e6, "us"
    recording = Engine.load(SMALL, ledger=folder / "ledger.db")
    yield "decide and record one event", best(lambda: [recording.decide(event) for event in events[:200]], 2) / 200 * 1e6, "us"


def batch() -> Iterator[tuple[str, float, str]]:
    import polars

    yield "load the purchase-card cascade", best(lambda: Engine.load(LARGE), 3) * 1e3, "ms"
    engine = Engine.load(LARGE)
    files = sorted(LARGE.parents[1].glob("2015-0*.csv.gz"))
    frames = [polars.read_csv(file, infer_schema=False, truncate_ragged_lines=True).with_row_index("row", 1) for file in files]
    frame = polars.concat(
        [f.with_columns(polars.lit(path.name).alias("file")) for f, path in zip(frames, files, strict=True)], how="diagonal_relaxed"
    )
    seconds = best(lambda: engine.decide_batch(frame, history_from="2014-12-01"), 2)
    yield f"decide a frame of {frame.height:,} purchases", frame.height / seconds, "rows/s"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the engine on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in (imports(), single(Path(folder)), batch()):
            for label, number, unit in part:
                found[label] = {"value": number, "unit": unit}
                if not as_json:
                    print(f"{number:>12,.1f} {unit:<7} {label}", flush=True)
    if as_json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
