"""Law 2 for networks: cycles and middlemen are the same live and in batch, and what the brute force says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.features.spec import BoundFeatures
from engine.features.store import open_store
from engine.lang import ir
from engine.plan import TICK, Row
from engine.record import Record
from engine.values import DATE, DATETIME, DAY, MISSING, Interval, Missing, Money, Type, Value, known, missing
from tests.features import oracle
from tests.features.events import HOUR, INCOMING, batch, bound, calendar, feature, read, record, this, tick
from tests.properties.test_law2 import FOREVER, Choose, everywhere, exactly
from tests.properties.test_law2_corrections import ANSWERED, Answer, with_corrections

ENDS = ("account", "payee")
BEGIN = 19_783
LARGE = ir.Compare(">=", read("amount"), ir.Const(50, type=read("amount").type))
SAME = ir.Compare("=", read("merchant"), this("merchant"))
SMALLER = ir.Or((ir.Compare("<", read("amount"), this("amount")), INCOMING))
WHERES = [None, None, None, INCOMING, LARGE, SAME, SMALLER]
AMOUNTS = [read("amount"), read("balance"), read("rate"), read("price"), read("size")]


def features(choose: Choose, number: int, time: Type) -> list[ir.Feature]:
    """Cycles and middlemen of every kind, and beside them a count, so that histories of both kinds stand side by side."""
    made = [feature("n", "count", window(choose, time), per=ENDS)]
    for index in range(number):
        function, amount, within = choose(["cycles", "cycles", "middlemen"]), None, None
        if function == "cycles" and choose([True, False]):
            amount, within = choose(AMOUNTS), choose([0, 10_000_000, 12_345_678, 50_000_000, 100_000_000])
        network = ir.Network(choose([1, 2, 3, 5, 8, 100, 10_000, 10_000]), choose([2, 3, 4, 4, 5]), within)
        needs = choose([None] * 5 + [("history", 2 * unit(time), kind(time))])
        more: dict[str, Any] = {"per": ends(choose), "network": network, "needs": needs}
        made.append(feature(f"f{index}", function, window(choose, time), amount, choose(WHERES), **more))
    return made


def ends(choose: Choose) -> tuple[str, ...]:
    return choose([ENDS, ENDS, ENDS, ENDS[::-1]])


def unit(time: Type) -> int:
    return 1 if time == DATE else DAY


def kind(time: Type) -> str:
    return "days" if time == DATE else "microseconds"


def window(choose: Choose, time: Type) -> ir.Window:
    kinds = ["trailing", "trailing", "trailing", "months", "calendar", "since", *(["business"] if time != DATE else [])]
    match choose(kinds):
        case "trailing":
            return ir.Window("trailing", choose([1, 3, 30]) * unit(time), kind(time))
        case "months":
            return ir.Window("trailing", 1, "months")
        case "calendar":
            return calendar(choose(["day", "week", "month"]))
        case "since":
            return ir.Window("since", field=choose(["opened", "login"]))
        case _:
            return ir.Window("business", closing=14 * HOUR)


def rows(random: Random, time: Type, number: int, accounts: str, lacking: float) -> list[Row]:
    """A stream over few accounts, with many at the same time, some late, some lacking something, some that come again."""
    step = 1 if time == DATE else HOUR
    at, found = BEGIN * (1 if time == DATE else DAY), []
    for index in range(number):
        at += random.choice([0] * 5 + [1, 1, 2, 5, -1, -2] + [30 if time == DATE else 300]) * step

        def lack(value: Value) -> Value:
            return value if random.random() >= lacking else random.choice([MISSING, missing("damaged")])

        row = {"id": f"T{index}", "at": at, "account": lack(random.choice(accounts)), "payee": lack(random.choice(accounts))}
        row |= {"direction": lack(random.choice(["in", "in", "out"])), "merchant": lack(random.choice("MMN")), "branch": 1}
        row |= {"amount": lack(random.choice([100, 100, 99, 90, 89, 110, 111, 50, 0])), "balance": lack(random.choice([10, 9, -10, -9, 0]))}
        row |= {"rate": lack(random.choice([0.1, 0.09, 0.11, 1e308, 5e-324])), "size": lack(random.choice([10, 9, 2**63 - 1, -(2**63)]))}
        today = at // (1 if time == DATE else DAY)
        row |= {"currency": random.choice(["USD", "USD", "EUR"]), "opened": lack(today - random.randint(-1, 9))}
        units = lack(random.choice([10, 9, 11]))
        row |= {"price": Money(units, row["currency"]) if known(units) else units, "login": lack(at - random.randint(-1, 9) * step)}
        found.append(row)
        if random.random() < 0.05:
            found.append(dict(random.choice(found)))
    return found


def cut(choose: Choose, stream: Sequence[Row]) -> list[list[Row]]:
    chunks, rest = [], list(stream)
    while rest:
        size = choose([1, 2, 7, 50])
        chunks.append(rest[:size])
        rest = rest[size:]
    return chunks


def case(seed: int, revision: str | None = None) -> tuple[Record, BoundFeatures, list[Row], int | None, Random]:
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    late, zone = random.choice([0, DAY, 3 * DAY]), random.choice(["America/New_York", "UTC"])
    under = record(time, late=late, zone=zone, revision=revision)
    group = bound(features(random.choice, 5, time), under)
    stream = rows(random, time, random.choice([10, 40]), random.choice(["ABC", "ABCD", "ABCDE"]), random.choice([0, 0, 0.05]))
    return under, group, stream, random.choice([None, FOREVER, FOREVER, BEGIN * (1 if time == DATE else DAY)]), random


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32))
def test_networks_say_what_they_mean_live_and_in_batch(seed: int) -> None:
    under, group, stream, since, random = case(seed)
    everywhere(under, group, stream, cut(random.choice, stream), since)


@pytest.mark.parametrize("answer", ANSWERED)
@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_corrected_networks_mean_the_same_everywhere(answer: Answer, seed: int) -> None:
    under, group, stream, since, random = case(seed, "version")
    stream = with_corrections(random, stream)
    assert exactly(answer(stream, group, under, since, random)) == exactly(oracle.features(stream, group, under, since))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_moments_look_and_are_no_hops(seed: int) -> None:
    under, group, stream, since, random = case(seed)
    ends = [random.choice(stream) for _ in range(5)]
    moments = [tick(row["at"], under, **{name: random.choice(stream)[name] for name in ENDS}) for row in ends]
    mixed = sorted([*stream, *moments], key=lambda row: row["at"])
    true = exactly(oracle.features(mixed, group, under, since))
    assert exactly(batch(cut(random.choice, mixed), [group], under, since)) == true
    with open_store("memory:", [group], under, since) as store:
        assert exactly([store.look(row) if row.get(TICK) else store.observe(row) for row in mixed]) == true


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_more_knowledge_only_narrows(seed: int) -> None:
    """Filling in what conditions and amounts lacked, of this event and of those before it; law 6, for walks that come to their end."""
    random = Random(seed)
    under = record(late=100 * DAY)
    wanted = [one for one in features(random.choice, 8, DATETIME) if one.name != "n"]
    unbounded = [replace(one, value=replace(one.value, network=replace(one.value.network, effort=10**6))) for one in wanted]  # type: ignore[type-var]
    group = bound(unbounded, under)
    stream = list({row["id"]: row for row in rows(random, DATETIME, 30, "ABC", 0.0)}.values())
    vital = {"id", "at", *ENDS, "login", "opened"}
    lacking = [{name: value if name in vital or random.random() < 0.8 else MISSING for name, value in row.items()} for row in stream]
    before, after = (batch([given], [group], under, FOREVER) for given in (lacking, stream))
    for vague, sharp in zip(before, after, strict=True):
        for name, value in vague.items():
            low, high = (value.low, value.high) if isinstance(value, Interval) else (value, value)
            assert isinstance(value, Missing) or (low <= lowest(sharp[name]) and highest(sharp[name]) <= high)


def lowest(value: Value) -> int:
    return int(value.low if isinstance(value, Interval) else value)


def highest(value: Value) -> int:
    return int(value.high if isinstance(value, Interval) else value)
