"""What live history costs an event in every store, with the fifteen features of the speed point. See README.md beside it."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator

from engine.features.store import Store, open_store
from engine.plan import Row
from engine.values import DAY
from tests.features.events import bound, days, event, feature, read, record
from tests.features.servers import Postgres, Redis

AMOUNT, MERCHANT = read("amount"), read("merchant")
WANTED = [
    ("sum", AMOUNT),
    ("count", None),
    ("mean", AMOUNT),
    ("max", AMOUNT),
    ("distinct", MERCHANT),
]
FEATURES = bound([feature(f"{kind}_{length}", kind, days(length), of) for kind, of in WANTED for length in (1, 7, 30)], record())
PER_KEY = 20


def stream(number: int) -> Iterator[Row]:
    """Events at distinct times, twenty a key in 30 days."""
    keys = number // PER_KEY
    for place in range(number):
        at = 20_000 * DAY + place * (30 * DAY // number)
        yield event(at, f"K{place % keys}", id=f"T{place}", amount=place % 9_973, merchant=f"M{place % 7}")


def measure(store: Store, number: int) -> list[float]:
    """Microseconds of each event."""
    found = []
    for row in stream(number):
        start = time.perf_counter()
        store.observe(row)
        found.append((time.perf_counter() - start) * 1e6)
    return found


def stores(folder: str) -> Iterator[tuple[str, str]]:
    """What is measured, and its address."""
    yield "memory", "memory:"
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
    number = parser.parse_args().events
    print(f"{'mean':>8} {'median':>8} {'99 %':>8} {'own CPU':>8}  us per event, {len(FEATURES.types)} features, {number:,} events")
    with tempfile.TemporaryDirectory() as folder:
        for label, url in stores(folder):
            with open_store(url, [FEATURES], record(), 0) as store:
                began = time.process_time()
                found = sorted(measure(store, number))
                own = (time.process_time() - began) * 1e6 / number
            print(
                f"{statistics.fmean(found):>8.1f} {found[number // 2]:>8.1f} {found[number * 99 // 100]:>8.1f} {own:>8.1f}  {label}",
                flush=True,
            )


if __name__ == "__main__":
    main()
