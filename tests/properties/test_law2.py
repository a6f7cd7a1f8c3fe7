"""Law 2 for history: a live store, in memory or in a file, and the batch in any chunks give the same features, bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.features.spec import FOREVER, BoundFeatures, changed
from engine.features.store import open_store
from engine.lang import ir
from engine.lang.entries import Entries
from engine.plan import TICK, Row
from engine.rates import Rates
from engine.record import Record
from engine.reference_table import Bounds, ReferenceTable, TableColumn
from engine.values import DATE, DATETIME, DAY, MISSING, TEXT, Interval, Missing, Money, Type, Value, known, missing
from tests.features import oracle
from tests.features.events import HOUR, INCOMING, batch, bound, calendar, feature, full, live, read, record, this, tick
from tests.properties.strategies import FUZZ

HALF = Type("money", currency="USD", scale=10**8)
PART = ir.Const(12_345_678, type=Type("percent"))
HALVES = ir.Call("money*percent", (read("balance"), PART), type=HALF)
PRICES = ir.Call("bymoney*percent", (read("price"), PART), type=Type("money", by="currency", scale=10**8))
TOGETHER = ir.Call("money+money", (read("amount"), read("balance")), type=read("amount").type)
SIZES = ir.Call("integer+integer", (read("size"), read("size")), type=read("size").type)
MARCH, NOVEMBER = 19_783, 20_026  # 2024-03-01, a leap year, and 10-30: the clock changes on the tenth of March and the third of November
STRETCHES = ((MARCH, MARCH + 9), (MARCH + 10, NOVEMBER + 4), (NOVEMBER + 5, None))


def by_day(*items: ir.Expr) -> ir.Dated:
    """One after the other in force; before March none."""
    return ir.Dated(ir.day_of_event(), STRETCHES, items, type=items[0].type)


OFTEN = ir.Call(
    "integer*integer", (read("size"), by_day(*(ir.Const(n, type=read("size").type) for n in (1, 3, -1)))), type=read("size").type
)
WHEN = ir.Read("now", type=DATETIME)
EUROS = Type("money", currency="EUR")
FX = Rates("law/fx", "1.0.0", "EUR", 4, 20, {"USD": ([MARCH - 9, MARCH + 8, NOVEMBER], [10_800, 12_503, 9_999])})
IN_EUROS = [ir.Convert(of, FX, WHEN, "America/New_York", type=EUROS) for of in (read("amount"), read("price"), HALVES)]
AMOUNTS = [read("amount"), read("balance"), read("rate"), read("size"), read("price"), HALVES, PRICES, TOGETHER, SIZES, OFTEN, *IN_EUROS]
ANYTHING = [*AMOUNTS, read("merchant"), read("at")]
NEVER_NEGATIVE = (read("amount"), read("rate"), read("price"), IN_EUROS[0])
OFS = [
    *(("sum", of, True) for of in NEVER_NEGATIVE),
    *((function, of, False) for function in ("sum", "mean", "stddev", "share") for of in AMOUNTS),
    *((function, of, False) for function in ("max", "min", "first", "last", "distinct", "most repeated") for of in ANYTHING),
    *(("distinct", of, False) for of in ANYTHING),
    *[("count", None, False), ("time since last", None, False), ("share", None, False)] * 4,
]
LARGE = ir.Compare(">=", read("amount"), ir.Const(50, type=read("amount").type))
LIMIT = by_day(*(ir.Const(limit, type=read("amount").type) for limit in (50, 1, 49)))
LISTED = ir.Listed(
    read("merchant"), ir.day_of_event(), Entries({"M": ((MARCH, MARCH + 5), (NOVEMBER + 3, None)), "N": ((None, MARCH + 20),)})
)
SHOPS = ReferenceTable(
    "law/shops", "1.0.0", ("shop",), ["M", "M", "N", "M"],
    {"shop": TableColumn("shop", TEXT, ["M", "M", "N", "M"]), "kind": TableColumn("kind", TEXT, ["a", "b", "a", MISSING])},
    Bounds("date", [None, MARCH + 4, None, NOVEMBER + 3], [MARCH + 3, NOVEMBER, None, None]),
    Bounds("datetime", [0, (MARCH + 6) * DAY, (MARCH + 2) * DAY + 1, 0]),
)  # fmt: skip
KIND = ir.Lookup(SHOPS, "kind", (read("merchant"),), WHEN, "America/New_York", type=TEXT)
DATED = [ir.Compare(">=", read("amount"), LIMIT), LISTED, ir.Compare("=", KIND, ir.Const("a", type=TEXT))]
WHERES = [None, INCOMING, ir.Not(INCOMING), ir.And((INCOMING, LARGE)), *DATED, ir.IsMissing(read("merchant"))]
THIS = [
    ir.Compare("=", read("merchant"), this("merchant")),
    ir.And((INCOMING, ir.Compare(">", read("amount"), this("amount")))),
    ir.Or((ir.Compare("!=", read("price"), this("price")), ir.IsMissing(this("merchant")))),
    ir.Compare("<", read("at"), this("at")),
]
PERS = [("account",), ("account",), ("account", "branch"), ("branch",), ("price",)]
ROLES = [("account", "payee"), ("payee",), ("account",)]
HOLIDAYS = frozenset({19_783, 19_786, 19_787, 20_033, 20_034})


Choose = Callable[[Sequence[Any]], Any]


PERIODS = ["day", "week", "month", "quarter", "year"]


def window(choose: Choose, time: Type, wheres: Sequence[Any] = WHERES) -> ir.Window:
    """Any window that a record of this kind can have."""
    unit, lengths = ("days", [1, 2, 7, 400]) if time == DATE else ("microseconds", [1, HOUR, 2 * HOUR, DAY, 30 * HOUR, 400 * DAY])

    def length() -> tuple[int, str]:
        some, of = choose([(lengths, unit), (lengths, unit), ([1, 2, 13, 1200], "months")])
        return choose(some), of

    kinds = ["trailing", "before", "lagged", "events", "calendar", "full", "since", "since event", *(["business"] if time != DATE else [])]
    kind = choose(kinds)
    if kind == "lagged":
        return ir.Window(kind, *length(), *length())
    if kind in ("calendar", "full"):
        return ir.Window(kind, choose([1, 2, 3, 12]) if kind == "full" else 0, period=choose(PERIODS))
    if kind == "business":
        return ir.Window(kind, closing=choose([0, 2 * HOUR + HOUR // 2, 14 * HOUR]), holidays=choose([frozenset(), HOLIDAYS]))
    if kind == "since":
        return ir.Window(kind, field=choose(["opened", "login"]))
    if kind == "since event":
        return ir.Window(kind, event=choose([where for where in wheres if where is not None]))
    return ir.Window(kind, choose([1, 2, 3, 10]), "events") if kind == "events" else ir.Window(kind, *length())


def nested(choose: Choose, name: str, time: Type, keys: dict[str, Any], wheres: Sequence[Any]) -> ir.Feature:
    """One aggregate inside another, over calendar periods."""
    function, of, bounded = choose([row for row in OFS if row[0] != "time since last" and row[1] is not read("at")])
    inner = feature(
        name, function, calendar(choose(PERIODS[:3])), of, choose(wheres), bounded=bounded, **keys, **among(choose, function, wheres)
    )
    assert isinstance(inner.value, ir.Aggregate)
    outer = choose(["sum", "mean", "max", "min", "stddev", "count", "distinct", "first", "last", "most repeated"])
    if inner.type.kind in ("text", "datetime", "date"):
        outer = choose(["max", "min", "count", "distinct", "first", "last"])
    over = choose([full(3, "month"), full(1, "month"), full(2, "week"), calendar("month"), calendar("year"), window(choose, time)])
    over = over if over.kind not in ("events", "since event") else full(2, "quarter")
    counts = outer == "sum" and (bounded or inner.value.function in ("count", "distinct"))
    return feature(name, outer, over, inner=inner.value, bounded=counts, **keys, **needs(choose, time))


def among(choose: Choose, function: str, wheres: Sequence[Any]) -> dict[str, Any]:
    return {"among": choose(wheres)} if function == "share" else {}


def needs(choose: Choose, time: Type) -> dict[str, Any]:
    day = 1 if time == DATE else DAY
    unit = "days" if time == DATE else "microseconds"
    return {"needs": choose([None, None, None, None, ("history", 2 * day, unit), ("history", 1, "months"), ("events", 2, "")])}


def features(
    choose: Choose, number: int, time: Type, wheres: Sequence[Any] = (*WHERES, *THIS), pers: Sequence[Any] = PERS
) -> list[ir.Feature]:
    made = []
    for index in range(number):
        per = choose(pers)
        matched = choose([(), *ROLES]) if per == ("account",) else ()
        keys = {"per": per, "matched": matched}
        if choose([True, False, False, False]):
            made.append(nested(choose, f"f{index}", time, keys, wheres))
            continue
        function, of, bounded = choose(OFS)
        more = {**keys, **among(choose, function, wheres), **needs(choose, time)}
        made.append(feature(f"f{index}", function, window(choose, time, wheres), of, choose(wheres), bounded=bounded, **more))
    counts = [f for f in made if f.type.kind == "integer" and f.type.interval]
    if counts:
        value = ir.Compare(">=", ir.Read(counts[0].name, type=counts[0].type), ir.Const(2, type=counts[0].type))
        made.append(ir.Feature("often", value.type, value))
        chosen = by_day(*(ir.Read(choose(counts).name, type=counts[0].type) for _ in STRETCHES))
        made.append(ir.Feature("by_day", chosen.type, chosen))
        made.append(ir.Feature("kind", TEXT, KIND))
    return [replace(one, value=changed(one.value, lambda node: under_time(node, time))) for one in made]


def under_time(node: ir.Expr, time: Type) -> ir.Expr:
    """What is looked up is looked up at the record's time, which may be a date."""
    return replace(node, type=time) if isinstance(node, ir.Read) and node.name == "now" else node


@st.composite
def sets(draw: st.DrawFn, under: Record) -> BoundFeatures:
    made = features(Random(draw(st.integers(0, 2**32))).choice, draw(st.integers(1, 6)), under.field("at").type)
    return bound(made, under, draw(st.sampled_from(["", "profile."])))


def lacking(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Sometimes missing, for one reason or another."""
    return st.one_of(values, values, values, values, st.sampled_from([MISSING, missing("damaged")]))


FLOATS = st.sampled_from([0.1, 0.2, 1e16, 1.0, 3.0, 1e308, 5e-324, 0.0, 1e-9]) | st.floats(0, allow_infinity=False)


@st.composite
def rows(draw: st.DrawFn, under: Record, keys: bool = True) -> list[Row]:
    time = st.integers(-3, 60) if under.field("at").type == DATE else st.integers(-3 * 24, 60 * 24)
    begin = draw(st.sampled_from([MARCH, NOVEMBER]))
    unit, base = (1, begin) if under.field("at").type == DATE else (DAY // 24, begin * DAY)
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
            "size": draw(lacking(st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)]))),
            "payee": draw(lacking(st.sampled_from(["A", "B"]))),
            "opened": draw(lacking(st.integers(begin - 2, begin + 9))),
            "login": draw(lacking(st.integers(-9, 60 * 24).map(lambda hours: base + hours * unit))),
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
    since = draw(st.none() | st.sampled_from([FOREVER, MARCH - 500, MARCH, MARCH + 3, NOVEMBER + 2]))
    return under, group, stream, chunks, since if since in (None, FOREVER) or time == DATE else since * DAY


def exactly(found: list[Row]) -> list[Any]:
    """With what plain equality would let pass: 1 is not 1.0, and an interval has its cause."""
    return [{name: (type(value).__name__, repr(value)) for name, value in row.items()} for row in found]


def everywhere(under: Record, group: BoundFeatures, stream: list[Row], chunks: list[list[Row]], since: int | None) -> None:
    """The oracle, memory, a file opened anew for every chunk, and the batch in these chunks say the same."""
    true = exactly(oracle.features(stream, group, under, since))
    with open_store("memory:", [group], under, since) as store:
        assert exactly(live(stream, store)) == true
    assert exactly(batch(chunks, [group], under, since)) == true
    with tempfile.TemporaryDirectory() as folder:
        url, kept = f"sqlite:{Path(folder) / 'history.db'}", []
        for chunk in chunks:
            with open_store(url, [group], under, since) as store:
                kept += live(chunk, store)
    assert exactly(kept) == true


@settings(max_examples=60, deadline=None)
@given(streams())
def test_live_and_batch_say_what_features_mean(case: Any) -> None:
    everywhere(*case)


@settings(max_examples=25 * FUZZ, deadline=None)
@given(st.integers(0, 2**32))
def test_long_streams_agree(seed: int) -> None:
    """Few keys and many rows, drawn by a plain generator: windows fill, rows come late, and what is forgotten would be missed."""
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    under = record(time, late=random.choice([0, DAY, 3 * DAY]), zone=random.choice(["America/New_York", "UTC"]))
    group = bound(features(random.choice, 8, time), under)
    stream = long_stream(random, time)
    sizes = [random.choice([1, 2, 7, 50]) for _ in stream]
    chunks = [stream[sum(sizes[:i]) : sum(sizes[: i + 1])] for i in range(len(sizes)) if sum(sizes[:i]) < len(stream)]
    everywhere(under, group, stream, chunks, random.choice([None, FOREVER, -(10**17), stream[0]["at"] - random.choice([0, 1, 30])]))


def long_stream(random: Random, time: Type, lacking: float = 0.04) -> list[Row]:
    unit, steps = (
        (1, [0] * 5 + [1, 1, 1, 2, 3, -1, -2, -3]) if time == DATE else (HOUR, [0, 0, 1, 1, 2, 5, 24, 29, 30, 60, -1, -2, -24, -70])
    )
    at, found = random.choice([MARCH, NOVEMBER]) * (1 if time == DATE else DAY), []
    for number in range(random.choice([20, 150])):
        at += random.choice(steps) * unit

        def lack(value: Any) -> Any:
            return MISSING if random.random() < lacking else value

        row = {"id": f"T{number}", "at": at, "account": lack(random.choice("AAB")), "branch": lack(random.choice([1, 1, 1, 2]))}
        row |= {
            "direction": lack(random.choice(["in", "out"])),
            "merchant": lack(random.choice("MNOPQ")),
            "size": lack(random.randint(-9, 9)),
        }
        row |= {"amount": lack(random.randint(0, 100)), "balance": lack(random.randint(-100, 100)), "rate": lack(random.random())}
        row["currency"] = random.choice(["USD"] * 20 + ["EUR"])
        row["price"] = lack(Money(random.randint(0, 9), row["currency"]))
        row |= {"payee": lack(random.choice("AABC")), "opened": lack(at // (1 if time == DATE else DAY) - random.randint(-1, 9))}
        row["login"] = lack(at - random.randint(-1, 30) * unit)
        found.append(row)
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_hidden_only_widens_what_is_said(seed: int) -> None:
    """Hide values, and everything before some moment: what is still said of a window holds for the whole truth."""
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    under = record(time, late=3 * DAY)
    # what asks about missingness is exempt, and a row without its key belongs to no key
    group = bound(features(random.choice, 8, time, [*WHERES[:-1], *THIS[:2]], PERS[:-1]), under)
    truth = long_stream(random, time, lacking=0)
    since = random.choice([row["at"] for row in truth[:30]])
    known_part = [row for row in truth if row["at"] >= since]
    hidden = [{**row, **{name: MISSING for name in HIDDEN if random.random() < 0.1}} for row in known_part]
    with open_store("memory:", [group], under, FOREVER) as whole, open_store("memory:", [group], under, since) as part:
        true = {row["id"]: whole.observe(row) for row in truth}
        for row in hidden:
            for name, said in part.observe(row).items():
                assert holds(said, true[row["id"]][name]), (name, said, true[row["id"]][name])


HIDDEN = ["direction", "merchant", "amount", "balance", "rate", "price", "size"]


def holds(said: Value, truth: Value) -> bool:
    if said.__class__ is Missing:
        # what is looked up by a key that is hidden lacks that key
        return truth is said or said.cause in ("short history", "undecided history", "undecided", "absent")
    if said.__class__ is not Interval:
        return bool(said == truth)
    if isinstance(truth, Money):
        return all(bound is None or bound.currency == truth.currency for bound in (said.low, said.high)) and _between(said, truth)
    return truth.__class__ is not Missing and _between(said, truth)


def _between(said: Interval, truth: Value) -> bool:
    low, high = (truth.low, truth.high) if isinstance(truth, Interval) else (truth, truth)
    above = said.low is None or (low is not None and said.low <= low)
    return above and (said.high is None or (high is not None and high <= said.high))


@settings(max_examples=15 * FUZZ, deadline=None)
@given(st.integers(0, 2**32))
def test_ticks_see_what_events_left(seed: int) -> None:
    """Moments between the events of a stream, in every role a key can have: the batch says of them what the definition does, and of the
    events what it says without them."""
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    under = record(time, late=random.choice([0, DAY]))
    group = bound(features(random.choice, 8, time), under)
    stream = long_stream(random, time)
    moments = [tick(row["at"] + random.choice([-1, 0, 0, 1, 40]), under, account=random.choice("ABC"), branch=1) for row in stream]
    mixed = [row for pair in zip(stream, moments, strict=True) for row in (pair if random.random() < 0.7 else pair[::-1])]
    size = random.choice([1, 3, 1000])
    chunks = [mixed[start : start + size] for start in range(0, len(mixed), size)]
    since = random.choice([None, FOREVER, stream[0]["at"] + 1])
    found = exactly(batch(chunks, [group], under, since))
    assert found == exactly(oracle.features(mixed, group, under, since))
    assert [answer for answer, row in zip(found, mixed, strict=True) if TICK not in row] == exactly(batch([stream], [group], under, since))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_a_store_is_what_was_observed_and_nothing_else(seed: int) -> None:
    """Law 7 in small: looks, repeats and refusals leave nothing, so that the same events build the same store."""
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    under = record(time)
    group = bound(features(random.choice, 5, time), under)
    stream = long_stream(random, time)
    with open_store("memory:", [group], under) as used, open_store("memory:", [group], under) as built:
        for place, row in enumerate(stream):
            used.observe(row)
            used.observe(random.choice(stream), record=False)
            used.observe(random.choice(stream[: place + 1]))
            with pytest.raises(InputError):
                used.observe({**random.choice(stream[: place + 1]), "merchant": "another"})
        live(stream, built)
        probes = [{**row, "id": f"probe {row['id']}"} for row in stream]
        assert exactly([used.observe(row, record=False) for row in probes]) == exactly([built.observe(row, record=False) for row in probes])
        assert used.measured()[:3] == built.measured()[:3]  # lists that shrank may take more bytes
