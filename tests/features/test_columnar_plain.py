"""Histories taken as arrays say what the definition says, and what the same histories say row by row, down to the physical columns."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.backends.columnar import pack
from engine.features import columnar_pieces, kernels
from engine.features.columnar import WindowState, observe
from engine.features.columnar_plain import Plain
from engine.features.columnar_rows import RowByRow
from engine.features.spec import FOREVER, BoundFeatures
from engine.lang import ir
from engine.plan import TICK, Row
from engine.record import Record
from engine.values import DATE, DATETIME, DAY, MISSING, Interval, Type, missing
from tests.features import oracle
from tests.features.events import HOUR, INCOMING, batch, bound, calendar, days, event, feature, full, read, record, tick
from tests.properties.test_law2 import HOLIDAYS, PERIODS, ROLES, WHERES, exactly, long_stream

pytest.importorskip("numba")

WHOLE = [read("amount"), read("balance"), read("size")]
ORDERED = [*WHOLE, read("rate"), read("at"), read("opened")]
OFS = [
    *[("count", None, False)] * 3,
    ("sum", read("amount"), True),
    *((function, of, False) for function in ("sum", "mean", "stddev") for of in WHOLE),
    *((function, of, False) for function in ("max", "min", "first", "last") for of in ORDERED),
    ("time since last", None, False),
    *((function, of, False) for function in ("distinct", "most repeated") for of in [*ORDERED, read("merchant"), read("direction")]),
]
PERS = [("account",), ("account",), ("account", "branch"), ("branch",), ("price",)]


@pytest.fixture(autouse=True, params=["compiled", "plain"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "loops", lambda rows: kernels.compiled() if request.param == "compiled" else kernels.plain)
    monkeypatch.setattr(columnar_pieces, "_SHARED_FROM", 10)
    monkeypatch.setattr(columnar_pieces, "_PIECE", 7)


def window(choose: Callable[[Sequence[Any]], Any], time: Type) -> ir.Window:
    """Any window that arrays can tell."""
    unit, lengths = ("days", [1, 2, 7, 400]) if time == DATE else ("microseconds", [1, HOUR, 2 * HOUR, DAY, 30 * HOUR, 400 * DAY])

    def length() -> tuple[int, str]:
        some, of = choose([(lengths, unit), (lengths, unit), (lengths, unit), ([1, 2, 13, 1200], "months")])
        return choose(some), of

    kind = choose(["trailing", "trailing", "before", "lagged", "calendar", "full", *(["business"] if time != DATE else [])])
    if kind == "lagged":
        return ir.Window(kind, *length(), *length())
    if kind in ("calendar", "full"):
        return ir.Window(kind, choose([1, 2, 3, 12]) if kind == "full" else 0, period=choose(PERIODS))
    if kind == "business":
        return ir.Window(kind, closing=choose([0, 2 * HOUR + HOUR // 2, 14 * HOUR]), holidays=choose([frozenset(), HOLIDAYS]))
    return ir.Window(kind, *length())


def features(random: Random, number: int, time: Type) -> list[ir.Feature]:
    choose, unit = random.choice, (1, "days") if time == DATE else (DAY, "microseconds")
    needs = [None, None, None, ("history", 2 * unit[0], unit[1]), ("history", 1, "months")]
    made = []
    for index in range(number):
        per = choose(PERS)
        matched = choose([(), *ROLES]) if per == ("account",) else ()
        function, of, bounded = choose(OFS)
        over = window(choose, time)
        made.append(feature(f"f{index}", function, over, of, choose(WHERES), per, bounded, matched=matched, needs=choose(needs)))
    return made


def taken(groups: Sequence[BoundFeatures], under: Record) -> set[type]:
    return {type(history) for history in WindowState(groups, under).histories}


def cut(random: Random, rows: list[Row]) -> list[list[Row]]:
    """A stream in chunks."""
    size = random.choice([3, 20, 1000])
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_arrays_say_what_the_definition_says(seed: int) -> None:
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    under = record(time, late=random.choice([0, DAY, 3 * DAY]), zone=random.choice(["America/New_York", "UTC", "Europe/London"]))
    group = bound(features(random, 8, time), under)
    assert taken([group], under) == {Plain}
    stream = long_stream(random, time)
    if random.random() < 0.5:
        moments = [tick(row["at"] + random.choice([-1, 0, 40]), under, account=random.choice("ABC"), branch=1) for row in stream]
        stream = [row for pair in zip(stream, moments, strict=True) for row in (pair if random.random() < 0.7 else pair[::-1])]
    if random.random() < 0.2:
        stream = [{**row, "size": random.choice([2**63 - 1, -(2**63), 5])} for row in stream]
    since = random.choice([None, FOREVER, -(10**17), stream[0]["at"] - random.choice([0, 1, 30])])
    assert exactly(batch(cut(random, stream), [group], under, since)) == exactly(oracle.features(stream, group, under, since))


def physical(chunks: list[list[Row]], group: BoundFeatures, under: Record, since: int | None) -> pl.DataFrame:
    state = WindowState([group], under, since)
    types = {field.name: field.type for field in under.fields}
    return pl.concat([observe(pack(chunk, types), state).frame for chunk in chunks])


@pytest.mark.parametrize("seed", range(4))
def test_arrays_and_rows_leave_the_same_columns(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of rows, many keys, some of them busy."""
    random = Random(seed)
    under = record(late=random.choice([0, DAY, 10 * DAY]))
    group = bound(features(random, 12, DATETIME), under)
    stream = []
    at = 20_000 * DAY
    for number in range(1500):
        at += random.choice([0, 1, HOUR, 3 * HOUR, -HOUR, -20 * HOUR])
        account = random.choice([f"A{random.randrange(300)}", "busy", MISSING])
        given = {"direction": random.choice(["in", "in", "out", missing("damaged")]), "merchant": random.choice("MNOP")}
        amount = random.choice([random.randrange(10**6), MISSING]) if seed % 2 else random.randrange(10**6)
        stream.append(event(at, account, id=f"T{number}", amount=amount, rate=random.random(), size=random.randrange(-9, 9), **given))
    since = random.choice([None, 0, 20_003 * DAY])
    found = physical([stream[:700], stream[700:707], stream[707:]], group, under, since)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert taken([group], under) == {RowByRow}
    rows = physical([stream], group, under, since)
    assert found.schema == rows.schema
    assert found.equals(rows)


def test_what_is_kept_from_frame_to_frame_is_what_a_window_may_see() -> None:
    under = record(late=0)
    group = bound([feature("n", "count", days(2)), feature("sum", "sum", days(1), read("amount"), INCOMING)], under)
    state = WindowState([group], under, 0)
    types = {field.name: field.type for field in under.fields}
    for day in range(50):
        observe(pack([event(day * DAY, account) for account in "ABC"], types), state)
    (history,) = state.histories
    assert isinstance(history, Plain)
    history._kept.catch_up()
    assert history._kept.number.tolist() == [2, 2, 2]
    assert history._kept.times.size <= 12


def test_sums_beyond_64_bits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    under = record()
    wanted = [feature(name, name, days(7), read("balance")) for name in ("sum", "mean")]
    rows = [event(DAY, balance=2**62), event(DAY, balance=2**62), event(DAY, balance=2**62 - 1), event(9 * DAY, balance=5)]
    found = batch([rows], [bound(wanted, under)], under, -30 * DAY)
    assert [row["sum"] for row in found] == [2**62, missing("overflow"), missing("overflow"), 5]
    assert [row["mean"] for row in found] == [2**62, 2**62, 2**62, 5]


def test_spreads_beyond_64_bits_are_told() -> None:
    under = record()
    group = bound([feature("spread", "stddev", days(2), read("balance"))], under)
    worths = [2**62, -(2**63), 7, 2**63 - 1, 2**32, -(2**32), 2**32 - 1, 0, 0]
    rows = [event(DAY * (1 + place // 4), balance=worth, id=f"T{place}") for place, worth in enumerate(worths)]
    assert exactly(batch([rows], [group], under, -30 * DAY)) == exactly(oracle.features(rows, group, under, -30 * DAY))


def test_an_interval_that_meets_is_exact() -> None:
    """A row that may be in, and adds nothing."""
    under = record()
    wanted = bound(
        [feature(name, name, days(7), read("amount"), INCOMING, bounded=name == "sum") for name in ("sum", "max")],
        under,
    )
    rows = [event(DAY, amount=5), event(DAY + 1, amount=0, direction=MISSING), event(DAY + 2, amount=9, direction=MISSING)]
    found = batch([rows], [wanted], under, FOREVER)
    assert [row["sum"] for row in found] == [5, 5, Interval(5, 14, "undecided history")]
    assert [row["max"] for row in found] == [5, 5, Interval(5, 9, "undecided history")]


def test_other_measures_of_a_history_go_row_by_row() -> None:
    under = record()
    wanted = [
        feature("n", "count", days(7)),
        feature("last", "last", days(7), read("merchant")),
        feature("top", "max", calendar("day"), read("size")),
    ]
    wanted += [feature("before", "count", full(1, "day")), feature("one", "count", ir.Window("events", 3, "events"))]
    group = bound(wanted, under)
    assert taken([group], under) == {Plain, RowByRow}
    stream = long_stream(Random(1), DATETIME)
    assert exactly(batch([stream[:30], stream[30:]], [group], under)) == exactly(oracle.features(stream, group, under, None))


def test_ticks_and_nothing_else() -> None:
    under = record()
    group = bound([feature("n", "count", days(7))], under)
    rows = [tick(DAY, under), tick(DAY, under, account="A")]
    assert [row["n"] for row in batch([rows], [group], under, -30 * DAY)] == [MISSING, 0]
    assert TICK in rows[0]


def test_loops_are_compiled_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    njit, asked = numba.njit, []

    def read_only(**options: Any) -> Any:
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", read_only)
    out = np.empty(1, np.int64)
    kernels._compiled(kernels.means)(np.array([5]), np.array([2]), out)
    assert out.tolist() == [2]
    assert [options.get("cache") for options in asked] == [True, None]


def test_small_frames_do_not_wait_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    kernels.compiled.cache_clear()
    assert kernels.loops(kernels.COMPILED_FROM - 1) is kernels.plain
    assert kernels.loops(kernels.COMPILED_FROM) is not kernels.plain
    assert kernels.loops(1) is not kernels.plain
