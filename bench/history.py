"""What live history costs an event in every store, with the fifteen features of the speed point. See README.md beside it."""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from typing import NamedTuple

from engine.features.spec import BoundFeatures
from engine.features.store import Store, open_store
from engine.lang import ir
from engine.plan import Row
from engine.values import DAY
from tests.features.events import bound, days, event, feature, read, record
from tests.features.servers import Postgres, Redis

LENGTHS = (1, 7, 30)
PER_KEY = 20


def features(of: ir.Expr, *more: str) -> BoundFeatures:
    """Sum, count, mean, max of a value, and `more`, and count of distinct merchants, each over three windows."""
    wanted = [("sum", of), ("count", None), ("mean", of), ("max", of), ("distinct", read("merchant")), *((kind, of) for kind in more)]
    return bound([feature(f"{kind}_{length}", kind, days(length), what) for kind, what in wanted for length in LENGTHS], record())


FEATURES = features(read("amount"))


class Case(NamedTuple):
    """What is measured in memory: features, and how many events a key has in the longest window."""

    label: str
    features: BoundFeatures
    per_key: int


CASES = [
    Case("memory, money", FEATURES, PER_KEY),
    Case("memory, number", features(read("rate")), PER_KEY),
    Case("memory, money, 10,000 events a key", FEATURES, 10_000),
    Case("memory, number, 10,000 events a key", features(read("rate")), 10_000),
    Case("memory, money with stddev, 10,000 events a key", features(read("amount"), "stddev"), 10_000),
]


def stream(number: int, per_key: int = PER_KEY, spans: int = 1) -> Iterator[Row]:
    """Events at distinct times, so many a key in each of so many spans of 30 days."""
    keys = max(1, number // (per_key * spans))
    for place in range(number):
        at = 20_000 * DAY + place * (30 * DAY * spans // number)
        yield event(at, f"K{place % keys}", id=f"T{place}", amount=place % 9_973, rate=place % 9_973 / 7, merchant=f"M{place % 701}")


def measure(store: Store, rows: Iterator[Row]) -> list[float]:
    """Microseconds of each event."""
    found = []
    for row in rows:
        start = time.perf_counter()
        store.observe(row)
        found.append((time.perf_counter() - start) * 1e6)
    return found


def in_memory(number: int) -> None:
    """Windows that have filled: what is told of are the last events, after as many that fill them."""
    for case in CASES:
        rows = stream(2 * number, case.per_key, spans=2)
        with open_store("memory:", [case.features], record(), 0) as store:
            for _ in range(number):
                store.observe(next(rows))
            report(case.label, store, rows, number, len(case.features.types))


def report(label: str, store: Store, rows: Iterator[Row], number: int, features: int) -> None:
    gc.collect()
    given = list(rows)
    began = time.process_time()
    found = sorted(measure(store, iter(given)))
    own = (time.process_time() - began) * 1e6 / number
    told = f"{statistics.fmean(found):>8.1f} {found[number // 2]:>8.1f} {found[number * 99 // 100]:>8.1f} {own:>8.1f}"
    print(f"{told}  {label}, {features} features", flush=True)


def space(number: int) -> None:
    """Bytes of this process for each event that is remembered, and for each key."""
    for per_key in (1, 20, 1000):
        tracemalloc.start()
        with open_store("memory:", [FEATURES], record(), 0) as store:
            for row in stream(number, per_key):
                store.observe(row)
            row = {}
            taken, measured = tracemalloc.get_traced_memory()[0], store.measured()
        tracemalloc.stop()
        print(
            f"{taken / number:>8.0f} bytes an event with {per_key} events a key; the store says {measured.bytes / number:.0f}", flush=True
        )


def stores(folder: str) -> Iterator[tuple[str, str]]:
    """What is measured, and its address."""
    yield "SQLite", f"sqlite:{folder}/history.db"
    redis, postgres = Redis(), Postgres(safe=True)
    try:
        redis.start()
        with redis.client() as client:
            client.config_set("appendfsync", "everysec")
        yield "Redis, unix socket", f"unix://{redis.folder}/socket?db=1"
        yield "Redis, 127.0.0.1", f"redis://127.0.0.1:{redis.port}/2"
        postgres.start()
        yield "PostgreSQL", postgres.url()
        yield "PostgreSQL, synchronous_commit off", f"{postgres.url()}%20-csynchronous_commit%3Doff"
    finally:
        redis.remove()
        postgres.remove()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure live history in every store on this machine.")
    parser.add_argument("--events", type=int, default=20_000, help="how many (default: %(default)s)")
    parser.add_argument("--memory", action="store_true", help="only the store in memory")
    arguments = parser.parse_args()
    number = arguments.events
    print(f"{'mean':>8} {'median':>8} {'99 %':>8} {'own CPU':>8}  us per event, {number:,} events")
    in_memory(number)
    space(number)
    if arguments.memory:
        return
    with tempfile.TemporaryDirectory() as folder:
        for label, url in stores(folder):
            with open_store(url, [FEATURES], record(), 0) as store:
                report(label, store, stream(number), number, len(FEATURES.types))


if __name__ == "__main__":
    main()
