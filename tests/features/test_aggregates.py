"""What each aggregate says of the rows of a window; every case on both live stores and in the batch."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.lang import ir
from engine.values import DATE, DAY, MISSING, Interval, Money, Type, missing
from tests.features.events import HOUR, INCOMING, calendar, days, equals, event, feature, full, read, record
from tests.features.oracle import FOREVER

START = 1000 * DAY
WEEK = days(7)
CAUSE, SHORT = "undecided history", "short history"


def sizes(*values: Any) -> list[Any]:
    return [event(START, size=value) for value in values]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("mean", [2.0, 3.0, 8 / 3]),
        ("min", [2, 2, 2]),
        ("max", [2, 4, 4]),
        ("stddev", [missing("empty"), math.sqrt(2), math.sqrt(4 / 3)]),
        ("first", [2, 2, 2]),
        ("last", [missing("empty"), 2, 4]),
        ("most repeated", [1, 1, 2]),
        ("distinct", [1, 2, 2]),
    ],
)
def test_of_two_four_two(say: Any, function: str, said: list[Any]) -> None:
    assert say(feature("x", function, WEEK, read("size")), sizes(2, 4, 2)) == said


@pytest.mark.parametrize("function", ["mean", "min", "max", "stddev", "first", "last", "most repeated", "share"])
def test_of_nothing_there_is_nothing(say: Any, function: str) -> None:
    more = {"among": INCOMING} if function == "share" else {}
    assert say(feature("x", function, WEEK, read("size"), INCOMING, **more), [event(START, direction="out")]) == [missing("empty")]


def test_the_last_value_and_the_time_since_never_are_this_events(say: Any) -> None:
    wanted = [feature("last", "last", WEEK, read("size")), feature("since", "time since last", WEEK)]
    found = say(wanted, [event(START, size=1), event(START + HOUR, size=2), event(START + HOUR, size=3)])
    assert [tuple(row.values()) for row in found] == [(missing("empty"), missing("empty")), (1, HOUR), (2, 0)]


def test_where_time_is_a_date_the_time_since_last_is_whole_days(say: Any) -> None:
    wanted = feature("since", "time since last", ir.Window("trailing", 400, "days"))
    assert say(wanted, [event(1000), event(1100)], under=record(DATE)) == [missing("empty"), 100 * DAY]


def test_first_and_last_go_by_time_and_then_arrival(say: Any) -> None:
    wanted = [feature("first", "first", WEEK, read("size")), feature("last", "last", WEEK, read("size"))]
    rows = [event(START + HOUR, size=1), event(START + HOUR, size=2), event(START, size=3), event(START + HOUR, size=4)]
    assert [tuple(row.values()) for row in say(wanted, rows)] == [(1, missing("empty")), (1, 1), (3, missing("empty")), (3, 2)]


def test_the_last_is_sure_while_no_row_in_doubt_is_newer(say: Any) -> None:
    wanted = [feature("last", "last", WEEK, read("size"), INCOMING), feature("since", "time since last", WEEK, where=INCOMING)]
    rows = [event(START, direction=MISSING), event(START, size=5), event(START + HOUR, direction=MISSING), event(START + HOUR)]
    found = say(wanted, rows, START)
    assert [row["last"] for row in found] == [missing(SHORT), missing(SHORT), 5, missing(SHORT)]
    assert [row["since"] for row in found] == [missing(SHORT), missing(SHORT), HOUR, missing(SHORT)]


def test_the_last_is_sure_however_short_history_is_if_it_lies_in_it(say: Any) -> None:
    rows = [event(START - 1, size=1), event(START, size=2), event(START, size=3)]
    assert say(feature("last", "last", WEEK, read("size")), rows, START) == [missing(SHORT), missing(SHORT), 2]


def test_a_last_row_without_value_still_tells_the_time(say: Any) -> None:
    wanted = [feature("last", "last", WEEK, read("size")), feature("since", "time since last", WEEK)]
    assert say(wanted, [event(START, size=MISSING), event(START + 1)])[-1] == {"last": missing(CAUSE), "since": 1}


def test_the_first_is_not_known_while_history_is_short_or_one_before_it_in_doubt(say: Any) -> None:
    first = feature("first", "first", WEEK, read("size"), INCOMING)
    assert say(first, [event(START), event(START + 7 * DAY - 1)], START) == [missing(SHORT), 1]
    rows = [event(START, size=5), event(START + 6 * DAY, direction=MISSING), event(START + 8 * DAY, size=6)]
    assert say(first, rows) == [5, 5, missing(CAUSE)]


def test_means_of_money_are_settled_half_even_and_others_rounded_once(say: Any) -> None:
    money = feature("m", "mean", WEEK, read("amount"))
    assert say(money, [event(START, amount=amount) for amount in (1, 2, 6)]) == [1, 2, 3]
    number = feature("n", "mean", WEEK, read("rate"))
    assert say(number, [event(START, rate=rate) for rate in (1e308, 1e308, -1e308)]) == [1e308, 1e308, 1e308 / 3]


def test_deviations_of_money_are_settled_half_even(say: Any) -> None:
    assert say(feature("d", "stddev", WEEK, read("amount")), [event(START, amount=amount) for amount in (0, 2, 5)]) == [
        missing("empty"),
        1,
        3,
    ]


@pytest.mark.parametrize("function", ["mean", "stddev", "min", "first", "share"])
def test_two_currencies_do_not_mix_but_one_comes_first(say: Any, function: str) -> None:
    more = {"among": None} if function == "share" else {}
    rows = [event(START, price=Money(5, "USD")), event(START, price=Money(7, "EUR"))]
    said = say(feature("x", function, WEEK, read("price"), **more), rows)[-1]
    assert said == (Money(5, "USD") if function == "first" else missing("currency"))


def test_the_smallest_is_at_most_what_was_seen(say: Any) -> None:
    wanted = feature("x", "min", WEEK, read("size"), INCOMING)
    assert say(wanted, [event(START, size=4)], START) == [Interval(None, 4, SHORT)]
    assert say(wanted, [event(START, size=4), event(START, size=1, direction=MISSING)])[-1] == Interval(1, 4, CAUSE)
    assert say(wanted, [event(START, size=1), event(START, size=4, direction=MISSING)])[-1] == 1
    assert say(wanted, [event(START, direction=MISSING)]) == [missing(CAUSE)]


@pytest.mark.parametrize("function", ["mean", "stddev", "most repeated", "share"])
def test_what_has_no_bounds_is_missing_while_anything_is_in_doubt(say: Any, function: str) -> None:
    more = {"among": INCOMING} if function == "share" else {}
    wanted = feature("x", function, WEEK, read("size"), None if more else INCOMING, **more)
    rows = [event(START), event(START), event(START, direction=MISSING)]
    assert say(wanted, rows)[-1] == missing(CAUSE)
    assert say(wanted, rows, START)[-1] == missing(SHORT)


PART = {"where": equals("merchant", "cash"), "among": INCOMING}


def test_a_share_is_one_sum_over_another(say: Any) -> None:
    share = feature("s", "share", WEEK, read("size"), **PART)
    rows = [
        event(START, size=1),
        event(START, size=2, merchant="cash"),
        event(START, size=9, merchant="cash", direction="out"),
        event(START, size=-3),
    ]
    assert say(share, rows) == [0.0, 2 / 3, 2 / 3, missing("division by zero")]


def test_a_row_that_may_be_in_the_part_leaves_a_share_open(say: Any) -> None:
    share = feature("s", "share", WEEK, read("size"), **PART)
    assert say(share, [event(START, merchant=MISSING), event(START, direction="out", merchant=MISSING)]) == [missing(CAUSE), missing(CAUSE)]


# --- one inside another ----------------------------------------------------------------------------------------------------


def monthly(function: str, inner: str = "sum", over: ir.Window | None = None, **more: Any) -> ir.Feature:
    month = feature("month", inner, calendar("month"), None if inner == "count" else read("size"))
    assert isinstance(month.value, ir.Aggregate)
    return feature("x", function, over or full(3, "month"), inner=month.value, **more)


def months_of(*values: Any) -> list[Any]:
    """An event in January, February and so on of 2024, by date."""
    return [event(day, size=value) for day, value in zip((19_723, 19_754, 19_783, 19_814, 19_844), values, strict=False)]


@pytest.mark.parametrize(
    ("function", "said"), [("mean", 5.0), ("max", 9), ("min", 1), ("sum", 15), ("stddev", 4.0), ("first", 1), ("last", 9)]
)
def test_over_the_sums_of_three_months(say: Any, function: str, said: Any) -> None:
    assert say(monthly(function), months_of(1, 5, 9, 100), FOREVER, record(DATE))[-1] == said


def test_a_month_without_events_sums_to_zero_and_has_no_mean(say: Any) -> None:
    rows = [event(19_723, size=6), event(19_814)]  # January and April
    assert say(monthly("mean"), rows, FOREVER, record(DATE))[-1] == 2.0
    assert say(monthly("mean", "mean"), rows, FOREVER, record(DATE))[-1] == 6.0
    assert say(monthly("min", "count"), rows, FOREVER, record(DATE))[-1] == 0


def test_a_month_before_history_leaves_the_whole_open(say: Any) -> None:
    rows = months_of(1, 5, 9, 100)
    assert say(monthly("mean"), rows, 19_723, record(DATE))[-1] == 5.0
    assert say(monthly("mean"), rows, 19_724, record(DATE))[-1] == missing(SHORT)
    assert say(monthly("max"), rows, 19_724, record(DATE))[-1] == Interval(9, None, SHORT)


def test_this_month_counts_as_far_as_it_has_come_where_the_window_holds_it(say: Any) -> None:
    assert say(monthly("max", over=calendar("year")), months_of(1, 5, 3), FOREVER, record(DATE)) == [1, 5, 5]


def test_percent_and_other_units_round_half_even(say: Any) -> None:
    half = ir.Call("percent*integer", (ir.Const(1, type=Type("percent")), read("size")), type=Type("percent"))
    assert say(feature("x", "mean", WEEK, half), sizes(1, 2, 6)) == [1, 2, 3]
