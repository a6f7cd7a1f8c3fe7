"""Law 2 for history: a live store, in memory or in a file, and the batch in any chunks give the same features, bit for bit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.features.spec import BoundFeatures
from engine.features.store import open_store
from engine.lang import ir
from engine.plan import Row
from engine.record import Record
from engine.values import DATE, DATETIME, DAY, MISSING, Money, Type, known, missing
from tests.features.events import INCOMING, batch, bound, feature, live, read, record

HALF = Type("money", currency="USD", scale=10**8)
OFS = [
    ("sum", read("amount"), True),
    ("sum", read("balance"), False),
    ("sum", read("rate"), True),
    ("sum", read("rate"), False),
    ("sum", read("n"), False),
    ("sum", read("price"), True),
    ("sum", read("price"), False),
    ("sum", ir.Call("money*percent", (read("balance"), ir.Const(12_345_678, type=Type("percent"))), type=HALF), False),
    ("max", read("amount"), False),
    ("max", read("rate"), False),
    ("max", read("price"), False),
    ("max", read("n"), False),
    ("max", ir.Call("money*percent", (read("balance"), ir.Const(12_345_678, type=Type("percent"))), type=HALF), False),
    ("distinct", read("merchant"), False),
    ("distinct", read("rate"), False),
    ("distinct", read("price"), False),
    ("count", None, False),
]
WHERES = [
    None,
    INCOMING,
    ir.Not(INCOMING),
    ir.And((INCOMING, ir.Compare(">=", read("amount"), ir.Const(50, type=read("amount").type)))),
    ir.IsMissing(read("merchant")),
]
PERS = [("account",), ("account", "branch"), ("branch",), ("price",)]


def windows(time: Type) -> st.SearchStrategy[ir.Window]:
    unit, lengths = ("days", [1, 2, 7, 400]) if time == DATE else ("microseconds", [1, 3_600_000_000, DAY, 7 * DAY, 400 * DAY])
    plain = st.sampled_from(lengths).map(lambda length: ir.Window("trailing", length, unit))
    return plain | st.sampled_from([1, 2, 13, 1200]).map(lambda length: ir.Window("trailing", length, "months"))


@st.composite
def sets(draw: st.DrawFn, under: Record) -> BoundFeatures:
    made = []
    for index in range(draw(st.integers(1, 6))):
        function, of, bounded = draw(st.sampled_from(OFS))
        window = draw(windows(under.field("at").type))
        where, per = draw(st.sampled_from(WHERES)), draw(st.sampled_from(PERS))
        made.append(feature(f"f{index}", function, window, of, where, per, bounded))
    counts = [f for f in made if f.type.kind == "integer"]
    if counts:
        value = ir.Compare(">=", ir.Read(counts[0].name, type=counts[0].type), ir.Const(2, type=counts[0].type))
        made.append(ir.Feature("often", value.type, value))
    return bound(made, under, draw(st.sampled_from(["", "profile."])))


def lacking(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Sometimes missing, for one reason or another."""
    return st.one_of(values, values, values, values, st.sampled_from([MISSING, missing("damaged")]))


FLOATS = st.sampled_from([0.1, 0.2, 1e16, 1.0, 3.0, 1e308, 5e-324, 0.0, 1e-9]) | st.floats(0, allow_infinity=False)
MARCH = 19_783  # 2024-03-01: a leap year, and a change of the clock on the tenth


@st.composite
def rows(draw: st.DrawFn, under: Record, keys: bool = True) -> list[Row]:
    time = st.integers(-3, 60) if under.field("at").type == DATE else st.integers(-3 * 24, 60 * 24)
    unit, base = (1, MARCH) if under.field("at").type == DATE else (DAY // 24, MARCH * DAY)
    found: list[Row] = []
    for number in range(draw(st.integers(1, 25))):
        step = draw(st.sampled_from([0, 0, 1, 2, 24, 200, -1, -2, -30]))
        last = (found[-1]["at"] - base) // unit if found else draw(time)
        row = {
            "id": f"T{number}",
            "at": base + (last + step if draw(st.integers(0, 9)) else draw(time)) * unit,
            "account": draw(lacking(st.sampled_from(["A", "B", "'"])) if keys else st.sampled_from(["A", "B"])),
            "branch": draw(lacking(st.integers(1, 2)) if keys else st.just(1)),
            "direction": draw(lacking(st.sampled_from(["in", "out"]))),
            "merchant": draw(lacking(st.sampled_from(["M", "N", "ß", ""]))),
            "amount": draw(lacking(st.sampled_from([0, 1, 49, 50, 2**62]))),
            "balance": draw(lacking(st.integers(-100, 100) | st.just(2**62))),
            "rate": draw(lacking(FLOATS)),
            "currency": draw(lacking(st.sampled_from(["USD", "USD", "EUR", "XQQ"]))),
            "n": draw(lacking(st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)]))),
        }
        units = draw(lacking(st.sampled_from([0, 5, 7])))
        row["price"] = Money(units, row["currency"]) if known(units) and row["currency"] in ("USD", "EUR") else missing("damaged")
        found.append(row)
    for _ in range(draw(st.integers(0, 2))):
        found.insert(draw(st.integers(0, len(found))), dict(draw(st.sampled_from(found))))
    return found


@st.composite
def streams(draw: st.DrawFn) -> tuple[Record, BoundFeatures, list[Row], list[list[Row]], int | None]:
    time = draw(st.sampled_from([DATE, DATETIME]))
    under = record(time, late=draw(st.sampled_from([0, DAY, 3 * DAY])), zone=draw(st.sampled_from(["America/New_York", "UTC"])))
    group, stream = draw(sets(under)), draw(rows(under))
    chunks, rest = [], stream
    while rest:
        size = draw(st.integers(1, len(rest)))
        chunks.append(rest[:size])
        rest = rest[size:]
    since = draw(st.none() | st.sampled_from([MARCH - 500, MARCH, MARCH + 3]))
    return under, group, stream, chunks, since if since is None or time == DATE else since * DAY


def exactly(found: list[Row]) -> list[Any]:
    """With what plain equality would let pass: 1 is not 1.0, and an interval has its cause."""
    return [{name: (type(value).__name__, repr(value)) for name, value in row.items()} for row in found]


@settings(max_examples=300, deadline=None)
@given(streams())
def test_live_and_batch_agree(case: Any) -> None:
    under, group, stream, chunks, since = case
    with open_store("memory:", [group], under, since) as store:
        remembered = live(stream, store)
    assert exactly(batch(chunks, [group], under, since)) == exactly(remembered)


@settings(max_examples=40, deadline=None)
@given(streams())
def test_a_file_says_what_memory_says(case: Any) -> None:
    under, group, stream, chunks, since = case
    with open_store("memory:", [group], under, since) as store:
        remembered = live(stream, store)
    with tempfile.TemporaryDirectory() as folder:
        url, kept = f"sqlite:{Path(folder) / 'history.db'}", []
        for chunk in chunks:
            with open_store(url, [group], under, since) as store:
                kept += live(chunk, store)
    assert exactly(kept) == exactly(remembered)
