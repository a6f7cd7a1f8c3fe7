"""What features say of the past with what history knows today: held against the definition, over everything that ever arrived."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends import reference
from engine.features.hindsight import Hindsight
from engine.features.spec import FOREVER, BoundFeatures
from engine.lang import ir
from engine.plan import NOW, Row
from engine.record import Record
from engine.values import DATE, DATETIME, DAY, Value
from tests.features import oracle
from tests.features.events import HOUR, REFUSED, bound, corrected, event, feature, record
from tests.properties.test_law2 import exactly, features, long_stream
from tests.properties.test_law2_corrections import with_corrections


class Today(oracle.History):
    """What one event sees of all that ever arrived, those after it included: what happened before it, as it is known in the end."""

    def __init__(self, under: Record, since: int, everything: list[Row], number: int) -> None:
        super().__init__(under, since, everything[:number], everything[number])
        self.number, self.everything = number, everything

    def of_key(self, a: ir.Aggregate, key: tuple[Value, ...]) -> tuple[list[Row], list[int]]:
        _, before = super().of_key(a, key)
        rows, ever = oracle.History(self.record, self.since, self.everything, self.this).of_key(a, key)
        places = sorted((row[NOW], self.place(row), at) for at, row in enumerate(rows))
        seen = [rows[at] for time, place, at in places if (time, place) < (self.now, self.number)]
        # what it is late for was settled when it arrived; how old the key is may have been learnt since
        return seen, before + [time for time in ever if time <= self.now]

    def place(self, row: Row) -> int:
        """Where an event stands among those of the same time: where it arrived as it is; to one of that time that came before, where it
        arrived first."""
        versions = [at for at, other in enumerate(self.everything) if self.same(row, other)]
        own = next(at for at in versions if self.everything[at] is row)
        return own if own < self.number or row[NOW] < self.now else versions[0]


def today(everything: list[Row], number: int, group: BoundFeatures, under: Record, since: int) -> Row:
    history = Today(under, since, everything, number)
    answer: Row = {}
    for one in group.bound:
        if isinstance(one.value, ir.Aggregate):
            answer[one.name] = history.value(one.value)
        else:
            answer[one.name] = reference.evaluate(one.value, {**history.this, **answer})
    return answer


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_the_past_is_what_it_would_have_been(seed: int) -> None:
    random = Random(seed)
    time, revised = random.choice([DATE, DATETIME]), random.choice([None, "version"])
    under = record(time, late=random.choice([0, DAY, 3 * DAY, 1000 * DAY]), revision=revised)
    group = bound(features(random.choice, 6, time), under)
    stream = long_stream(random, time)[:25]
    given = with_corrections(random, stream) if revised else [{**row, "version": 1} for row in stream]
    since = random.choice([FOREVER, stream[0]["at"] - 1])
    taken = arrivals(
        [row[0] for row in zip(given, oracle.features(given, group, under, since), strict=True) if REFUSED not in row[1]], under
    )
    hindsight = Hindsight([group], under)
    assert [hindsight.arrive(row) for row in taken] == list(range(len(taken)))
    last: dict[Any, int] = {row["id"]: number for number, row in enumerate(taken)}
    said = dict(hindsight.say(taken.__getitem__, since))
    assert sorted(said) == sorted(last.values())
    for number, answer in said.items():
        assert exactly([answer]) == exactly([today(taken, number, group, under, since)]), number


def test_a_hop_that_came_late_closes_a_cycle() -> None:
    under = record(late=DAY, revision="version")
    window = ir.Window("trailing", 10 * DAY, "microseconds")
    network = {"per": ("account", "payee"), "network": ir.Network(10_000, 4, None)}
    group = bound([feature("cycles", "cycles", window, **network), feature("n", "count", window)], under)
    hops = [("A", "B", 0), ("C", "A", 5), ("B", "C", 3)]
    rows = [event(1000 * DAY + hour * HOUR, one, payee=other, version=1) for one, other, hour in hops]
    rows = [{**row, NOW: row["at"]} for row in [*rows, corrected(rows[0], payee="X")]]
    hindsight = Hindsight([group], under)
    for row in rows[:3]:
        hindsight.arrive(row)
    assert {number: answer["cycles"] for number, answer in hindsight.say(rows.__getitem__, FOREVER)} == {0: 0, 1: 1, 2: 0}
    assert hindsight.causes({1: (1, ["cycles"])}, rows.__getitem__) == {1: [2]}
    hindsight.arrive(rows[3])
    assert dict(hindsight.say(rows.__getitem__, FOREVER))[1]["cycles"] == 0


def arrivals(rows: list[Row], under: Record) -> list[Row]:
    """Without repeats; each says what time it is."""
    found: list[Row] = []
    for row in rows:
        if not any(row["id"] == other["id"] and row["version"] == other["version"] for other in found):
            found.append(oracle.timed(row, under))
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_changed_has_a_cause_that_came_later(seed: int) -> None:
    random = Random(seed)
    time = random.choice([DATE, DATETIME])
    under = record(time, late=random.choice([DAY, 30 * DAY]), revision="version")
    group = bound([one for one in features(random.choice, 6, time) if one.name != "often"], under)
    given = with_corrections(random, long_stream(random, time)[:25])
    since = FOREVER
    before = [
        (row, answer) for row, answer in zip(given, oracle.features(given, group, under, since), strict=True) if REFUSED not in answer
    ]
    taken = arrivals([row for row, _ in before], under)
    told = {(row["id"], row["version"]): answer for row, answer in reversed(before)}
    hindsight = Hindsight([group], under)
    for row in taken:
        hindsight.arrive(row)
    changed = {}
    for number, answer in hindsight.say(taken.__getitem__, since):
        was = exactly([told[taken[number]["id"], taken[number]["version"]]])[0]
        columns = [name for name, value in exactly([answer])[0].items() if value != was[name]]
        changed |= {number: (number, columns)} if columns else {}
    for number, found in hindsight.causes(changed, taken.__getitem__).items():
        assert found and min(found) > number
