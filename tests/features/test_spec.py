"""Bound feature sets: names, fingerprints, calendar windows."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from engine import zones
from engine.diagnostics import Span
from engine.features.spec import FOREVER, BoundFeatures, Layout
from engine.features.store import open_store
from engine.features.windows import Clock, Reach
from engine.lang import ir
from engine.values import DAY, Type
from tests.features.events import INCOMING, bound, days, event, feature, live, months, read, record

COUNT = feature("n", "count", days(7), where=INCOMING)


def test_renamed_fields_reach_conditions_values_keys_and_currencies() -> None:
    price = ir.Read("sum_of", type=Type("money", by="code"))
    wanted = [feature("s", "sum", days(7), price, ir.Compare("=", ir.Read("way", type=INCOMING.type), ir.Const("in")), per=("iban",))]
    renames = {"iban": "account", "sum_of": "price", "code": "currency", "way": "direction"}
    group = BoundFeatures(bound(wanted, record()).features, "p.", renames, record())
    assert group.reads == ("account", "currency", "direction", "price")
    (bound_feature,) = group.bound
    assert isinstance(bound_feature.value, ir.Aggregate)
    assert bound_feature.value.of == read("price")


def test_a_feature_that_reads_another_reads_its_column() -> None:
    often = ir.Feature("often", INCOMING.type, ir.Compare(">", ir.Read("n", type=COUNT.type), ir.Read("size")))
    group = bound([COUNT, often], record(), "p.")
    assert group.reads == ("account", "direction", "size")
    assert ir.reads(group.bound[1].value) == {"p.n", "size"}  # type: ignore[arg-type]


def start_of(window: ir.Window, zone: str, dates: bool) -> Callable[[int], int]:
    """From an event's time to the last moment before its window."""
    reach = Reach(window, Clock(zone, dates))

    def start(time: int) -> int:
        bounds = reach.bounds(time)
        assert isinstance(bounds, tuple)
        return bounds[0]

    return start


def fingerprint(*features: ir.Feature, prefix: str = "") -> str:
    return bound(features, record(), prefix).fingerprint


def test_the_fingerprint_is_of_the_meaning_and_not_of_places_titles_or_names_of_constants() -> None:
    spanned = ir.Compare("=", read("direction"), ir.Const("in", type=read("direction").type, name="way"), span=Span("a.rules", 3, 4))
    moved = feature("n", "count", days(7), where=spanned)
    assert fingerprint(replace(moved, title="So many", span=Span("a.rules", 1, 1))) == fingerprint(COUNT)


@pytest.mark.parametrize(
    "other",
    [
        feature("m", "count", days(7), where=INCOMING),
        feature("n", "count", days(8), where=INCOMING),
        feature("n", "count", months(7), where=INCOMING),
        feature("n", "count", days(7)),
        feature("n", "count", days(7), where=ir.Not(INCOMING)),
        feature("n", "count", days(7), where=INCOMING, per=("branch",)),
        feature("n", "distinct", days(7), read("merchant"), INCOMING),
    ],
)
def test_any_change_of_meaning_changes_the_fingerprint(other: ir.Feature) -> None:
    assert fingerprint(other) != fingerprint(COUNT)


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    program = (
        "from tests.features.test_spec import *\n"
        "print(fingerprint(feature('n', 'count', days(7), where=ir.In(read('merchant'), frozenset('abcdefg')))))"
    )
    said = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout for _ in range(3)}
    assert len(said) == 1


def test_windows_of_a_month_step_back_where_the_month_before_is_shorter() -> None:
    start = start_of(months(1), "UTC", dates=True)
    day = (dt.date(2023, 3, 28) - dt.date(1970, 1, 1)).days
    assert [start(day + i) - day for i in range(5)] == [-28, -28, -28, -28, -28 + 1]


def test_a_month_back_to_an_hour_that_never_was_counts_with_the_clock_before_the_gap() -> None:
    asked = zones.utc(dt.datetime(2024, 4, 10, 2, 30), "America/New_York")
    gone = dt.datetime(2024, 3, 10, 2, 30)
    assert asked is not None
    assert zones.utc(gone, "America/New_York") is None
    start = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=start_of(months(1), "America/New_York", dates=False)(asked))
    assert start == dt.datetime(2024, 3, 10, 7, 30)


@pytest.mark.parametrize("dates", [True, False])
def test_a_window_longer_than_the_calendar_reaches_before_everything(dates: bool) -> None:
    assert start_of(months(12 * 5000), "UTC", dates)(0) == FOREVER


def test_a_window_of_a_hundred_years_is_a_window() -> None:
    group = bound([feature("old", "count", months(1200))], record())
    with open_store("memory:", [group], record(), -(10**17)) as store:
        assert [row["old"] for row in live([event(0), event(30_000 * DAY)], store)] == [1, 2]


def test_one_history_serves_all_feature_sets_with_the_same_key() -> None:
    layout = Layout(record(), (bound([COUNT], record(), "a."), bound([feature("m", "count", days(1), where=INCOMING)], record(), "b.")))
    (history,) = layout.histories
    assert [measure.column for measure in history.measures] == ["a.n", "b.m"]
    assert len(history.slots) == 1
