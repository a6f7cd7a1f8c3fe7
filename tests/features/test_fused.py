"""The generated code of live history against the definition: doubts come and go, so that it and the ordinary windows answer in turn; events
come late; values are such that it must leave them to others."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.features.fused import Fused
from engine.features.spec import BoundFeatures
from engine.features.store import open_store
from engine.lang import ir
from engine.plan import Row
from engine.values import DAY, MISSING, Type, missing
from tests.features import oracle
from tests.features.events import HOUR, INCOMING, batch, bound, event, feature, live, read, record
from tests.properties.test_law2 import exactly

FUNCTIONS = ["count", "sum", "mean", "stddev", "max", "min", "distinct"]
OFS = [read("amount"), read("rate"), read("size"), read("merchant")]
SCALED = ir.Call(
    "money*percent", (read("balance"), ir.Const(12_345_678, type=Type("percent"))), type=Type("money", currency="USD", scale=10**8)
)
LENGTHS = [HOUR, 5 * HOUR, 2 * DAY]
EXTREME = [5e-324, 1e300, 2.0**-204, 2.0**-205, 2.0**766, 2.0**767, 0.0, 1e-9]


def trailing(length: int) -> ir.Window:
    return ir.Window("trailing", length, "microseconds")


def features(random: Random) -> BoundFeatures:
    made = [feature("months", "sum", ir.Window("trailing", 1, "months"), read("amount"))]
    for number in range(random.choice([3, 12])):
        of = random.choice(OFS)
        function = random.choice(FUNCTIONS if of.name != "merchant" else ["count", "max", "min", "distinct"])
        of_what = None if function == "count" else random.choice([SCALED, of, of]) if of.name != "merchant" else of
        where = random.choice([None, None, INCOMING])
        made.append(
            feature(
                f"f{number}", function, trailing(random.choice(LENGTHS)), of_what, where, per=random.choice([("account",), ("branch",)])
            )
        )
    return bound(made, record())


def stream(random: Random, number: int = 80) -> list[Row]:
    at, found, lacking = 20_000 * DAY, [], 0.0
    for place in range(number):
        lacking = random.choice([lacking] * 12 + [0.0, 0.0, 0.4])
        at += random.choice(
            [0, 0, 1, HOUR, HOUR, 2 * HOUR, 9 * HOUR, -1, -HOUR, -3 * HOUR, -30 * HOUR] if random.random() < 0.3 else [HOUR // 3, HOUR]
        )

        def some(value: Any, lacking: float = lacking) -> Any:
            return random.choice([MISSING, missing("damaged")]) if random.random() < lacking else value

        rate = random.choice(EXTREME) if random.random() < lacking / 4 else random.choice([0.1, 0.2, 1e9 / 3, 7.0])
        given: dict[str, Any] = {
            "direction": some(random.choice(["in", "out"])),
            "merchant": some(random.choice("MNOP")),
            "rate": some(rate),
        }
        given |= {
            "amount": some(random.randint(0, 9)),
            "size": some(random.choice([-3, 4, 2**62])),
            "balance": some(random.randint(-99, 99)),
        }
        found.append(event(at, some(random.choice("AAB")), id=f"T{place}", branch=random.choice([1, 1, 2]), **given))
    return found


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_generated_code_and_windows_say_in_turn_what_features_mean(kind: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    random = Random(seed)
    group, rows = features(random), stream(random)
    since = random.choice([None, 0, rows[25]["at"]])
    url = "memory:" if kind == "memory" else f"sqlite:{tmp_path_factory.mktemp('store') / 'history.db'}"
    said = []
    with open_store(url, [group], record(), since) as store:
        for row in rows:
            if random.random() < 0.1:  # looks and repeats leave nothing that the generated code could hold
                store.observe({**random.choice(rows), "id": "look", "at": row["at"] + random.choice([-HOUR, 0, DAY])}, record=False)
                store.look(random.choice(rows))
            said.append(store.observe(row))
            if random.random() < 0.1:
                assert exactly([store.observe(row)]) == exactly(said[-1:])
    assert exactly(said) == exactly(oracle.features(rows, group, record(), since))


def test_parts_of_cents_are_settled_as_they_leave_a_window() -> None:
    wanted = bound([feature(name, name, trailing(HOUR), SCALED) for name in ("max", "min", "mean")], record())
    with open_store("memory:", [wanted], record(), 0) as store:
        said = live([event(DAY, balance=balance) for balance in (62, -33)], store)
    assert said == [{"max": 8, "min": 8, "mean": 8}, {"max": 8, "min": -4, "mean": 2}]


def test_a_key_with_ten_thousand_events_is_told_exactly_as_in_the_batch() -> None:
    random = Random(7)
    group = bound([feature(f"{f}{n}", f, trailing(n), read("rate")) for f in FUNCTIONS[1:] for n in (HOUR, 5 * HOUR)], record())
    rows = [
        event(20_000 * DAY + place * 5_000_000 + random.choice([0] * 60 + [-60_000_000]), id=f"T{place}", rate=random.random())
        for place in range(10_000)
    ]
    with open_store("memory:", [group], record(), 0) as store:
        assert exactly(live(rows, store)) == exactly(batch([rows], [group], record(), 0))
        assert store.measured().rows < 10_000 * len(group.types)  # what lies a day back is gone


def test_the_source_can_be_read() -> None:
    group = bound([feature("n", "count", trailing(HOUR)), feature("m", "max", trailing(HOUR), read("amount"))], record())
    with open_store("memory:", [group], record()) as store:
        (course,) = [history.course for history in vars(store)["_histories"]]
        assert isinstance(course.fused, Fused)
        assert "def tell(state, time, key, cells, since):" in course.fused.source
