"""Law 2 where events are corrected: whoever answers says what the definition says, refusals and their words included."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.features.spec import FOREVER, BoundFeatures
from engine.features.store import open_store
from engine.plan import Row
from engine.record import Record
from engine.values import DATE, DATETIME, DAY, MISSING
from tests.features import oracle
from tests.features.events import REFUSED, batch, bound, corrected, live, record
from tests.properties.strategies import FUZZ
from tests.properties.test_law2 import THIS, WHERES, exactly, features, long_stream

Answer = Callable[[list[Row], BoundFeatures, Record, int | None, Random], list[Row]]


def with_corrections(random: Random, stream: list[Row], most: int = 3) -> list[Row]:
    """The stream with events corrected once or several times, soon or much later: other values, keys, roles and times; and with versions
    sent again, versions that come too late, and other content under a revision that is known."""
    found: list[tuple[float, Row]] = []
    for place, first in enumerate(stream):
        row = {**first, "version": random.choice([1, 1, 5])}
        found.append((place, row))
        at = float(place)
        for _ in range(random.choice([0, 0, 0, 0, 1, 1, 2, most])):
            at += random.choice([0.5, 0.5, 1.5, 4.5, 30.5, 200])
            found.append((at, row := again(random, row, first)))
    found.sort(key=lambda pair: pair[0])
    return [row for _, row in found]


def again(random: Random, row: Row, first: Row) -> Row:
    """What comes under the key of `row` after it: mostly its correction."""
    match random.choice(["other", "other", "key", "role", "time", "nothing", "repeat", "lower", "same"]):
        case "repeat":
            return dict(row)
        case "lower":
            return {**row, "version": row["version"] - random.choice([1, 3])}
        case "same":
            return {**row, "amount": 77}
        case "key":
            return corrected(row, account=random.choice(["A", "B", "C", MISSING]), branch=random.choice([1, 2, MISSING]))
        case "role":
            return corrected(row, payee=random.choice(["A", "B", "C", MISSING]))
        case "time":
            return corrected(
                row, at=first["at"] + random.choice([-200, -30, -1, 1, 2, 30, 200]) * (DAY // 24 if first["at"] > 10**6 else 1)
            )
        case "other":
            more = {"direction": random.choice(["in", "out", MISSING]), "merchant": random.choice(["M", "N", MISSING])}
            return corrected(row, amount=random.choice([0, 5, 99, MISSING]), balance=random.randint(-9, 9), **more)
    return corrected(row)


def cases(seed: int, number: int = 8) -> tuple[Record, BoundFeatures, list[Row], int | None, Random]:
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    under = record(time, late=random.choice([0, DAY, 3 * DAY]), zone=random.choice(["America/New_York", "UTC"]), revision="version")
    group = bound(features(random.choice, number, time), under)
    stream = with_corrections(random, long_stream(random, time))
    return under, group, stream, random.choice([None, FOREVER, stream[0]["at"] - random.choice([0, 1, 30])]), random


def by_memory(stream: list[Row], group: BoundFeatures, under: Record, since: int | None, _: Random) -> list[Row]:
    with open_store("memory:", [group], under, since) as store:
        return live(stream, store)


def by_file(stream: list[Row], group: BoundFeatures, under: Record, since: int | None, random: Random) -> list[Row]:
    """Opened anew for every chunk."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for chunk in chunks(random, stream):
            with open_store(f"sqlite:{Path(folder) / 'history.db'}", [group], under, since) as store:
                found += live(chunk, store)
    return found


def by_batch(stream: list[Row], group: BoundFeatures, under: Record, since: int | None, random: Random) -> list[Row]:
    return batch(chunks(random, stream), [group], under, since)


def chunks(random: Random, stream: list[Row]) -> list[list[Row]]:
    found, rest = [], stream
    while rest:
        size = random.choice([1, 2, 7, 50, 1000])
        found.append(rest[:size])
        rest = rest[size:]
    return found


ANSWERED: list[Answer] = [by_memory, by_file, by_batch]
"""Those who answer an event with corrections in its history."""


@pytest.mark.parametrize("answer", ANSWERED)
@settings(max_examples=15 * FUZZ, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_corrections_mean_the_same_everywhere(answer: Answer, seed: int) -> None:
    under, group, stream, since, random = cases(seed)
    assert exactly(answer(stream, group, under, since, random)) == exactly(oracle.features(stream, group, under, since))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_after_its_corrections_history_is_what_it_would_be_without_the_versions_before(seed: int) -> None:
    """Where nothing comes late, and no feature asks how long a key has been there."""
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    under = record(time, late=10_000 * DAY, revision="version")
    made = [one for one in features(random.choice, 6, time, (*WHERES, *THIS)) if getattr(one.value, "needs", None) is None]
    group = bound([one for one in made if one.name not in ("often", "by_day")], under)
    stream = with_corrections(random, long_stream(random, time)[:40])
    probes = [{**row, "id": f"probe {row['id']}"} for row in random.sample(stream, 5)]
    said = oracle.features([*stream, *probes], group, under, FOREVER)
    taken = [row for row, answer in zip(stream, said, strict=False) if REFUSED not in answer]
    last = {row["id"]: row["version"] for row in taken}
    once = {row["id"]: row for row in reversed(taken) if row["version"] == last[row["id"]]}
    only = [row for row in taken if row is once[row["id"]]]
    assert exactly(oracle.features([*only, *probes], group, under, FOREVER)[len(only) :]) == exactly(said[len(stream) :])
