"""Which events a window holds, window by window; every case on both live stores and in the batch."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from engine import zones
from engine.lang import ir
from engine.values import DATE, DAY, MISSING, Interval, missing
from tests.features.events import HOUR, INCOMING, calendar, dates, days, event, feature, full, months, read, record
from tests.features.oracle import FOREVER

START = 1000 * DAY
MINUTE = HOUR // 60
SHORT = "short history"


def at(*when: int) -> int:
    """A local time in New York, the zone of the record."""
    moment = zones.utc(dt.datetime(*when), "America/New_York")  # type: ignore[arg-type]
    assert moment is not None
    return moment


def day(*when: int) -> int:
    return (dt.date(*when) - dt.date(1970, 1, 1)).days


# --- before this, and ending some time ago -----------------------------------------------------------------------------


def test_before_this_leaves_this_event_out_and_keeps_earlier_arrivals_of_the_same_instant(say: Any) -> None:
    week = feature("n", "count", ir.Window("before", 7 * DAY))
    assert say(week, [event(START), event(START), event(START + 7 * DAY - 1), event(START + 7 * DAY)]) == [0, 1, 2, 1]


def test_30_days_ending_30_days_ago(say: Any) -> None:
    earlier = feature("n", "count", ir.Window("lagged", 30 * DAY, lag=30 * DAY))
    rows = [event(START), event(START + 30 * DAY - 1), event(START + 30 * DAY), event(START + 60 * DAY - 1), event(START + 60 * DAY)]
    assert say(earlier, rows) == [0, 0, 1, 2, 2]
    assert say(earlier, [*rows[:4], event(START + 60 * DAY, id="again")])[-1] == 2  # the first, exactly 60 days old, is out


def test_a_month_ending_a_month_ago_stands_end_to_end_with_the_last_month(say: Any) -> None:
    last = feature("last", "count", months(1))
    before = feature("before", "count", ir.Window("lagged", 1, "months", lag=1, lag_unit="months"))
    rows = [event(at(2024, 1, 31, 12)), event(at(2024, 2, 29, 12)), event(at(2024, 2, 29, 12, 1)), event(at(2024, 3, 31, 12))]
    assert say([last, before], rows)[-1] == {"last": 2, "before": 1}


# --- the last events ---------------------------------------------------------------------------------------------------


def test_the_last_three_events_count_after_where(say: Any) -> None:
    total = feature("s", "sum", ir.Window("events", 3, "events"), read("amount"), INCOMING, bounded=True)
    rows = [event(START, amount=1), event(START, amount=50, direction="out"), *(event(START + day, amount=10) for day in range(3))]
    assert say(total, rows, FOREVER) == [1, 1, 11, 21, 30]


def test_fewer_events_than_asked_for_are_short_unless_history_is_complete(say: Any) -> None:
    count = feature("n", "count", ir.Window("events", 3, "events"))
    rows = [event(START), event(START), event(START), event(START)]
    assert say(count, rows) == [Interval(1, 3, SHORT), Interval(2, 3, SHORT), 3, 3]
    assert say(count, rows, FOREVER) == [1, 2, 3, 3]


def test_an_event_from_before_history_may_have_been_followed_by_others(say: Any) -> None:
    largest = feature("m", "max", ir.Window("events", 2, "events"), read("size"))
    rows = [event(START - DAY, size=9), event(START, size=1), event(START, size=2)]
    assert say(largest, rows, START) == [missing(SHORT), Interval(1, None, SHORT), 2]


def test_a_row_in_doubt_may_push_another_out(say: Any) -> None:
    wanted = [feature(name, name, ir.Window("events", 2, "events"), read("size"), INCOMING) for name in ("max", "min", "count")]
    rows = [event(START, size=5), event(START, size=9, direction=MISSING), event(START, size=1)]
    cause = "undecided history"
    found = say(wanted, rows, FOREVER)
    assert found[-1] == {"max": Interval(1, 9, cause), "min": 1, "count": 2}


def test_a_late_event_sees_the_events_before_it(say: Any) -> None:
    total = feature("s", "sum", ir.Window("events", 2, "events"), read("size"))
    rows = [event(START, size=1), event(START + HOUR, size=2), event(START + MINUTE, size=4), event(START + HOUR, size=8)]
    assert say(total, rows, FOREVER) == [1, 3, 5, 10]


# --- calendar periods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "first", "before"),
    [
        ("day", (2024, 5, 15), (2024, 5, 14)),
        ("week", (2024, 5, 13), (2024, 5, 12)),  # a Monday, and the Sunday before
        ("month", (2024, 5, 1), (2024, 4, 30)),
        ("quarter", (2024, 4, 1), (2024, 3, 31)),
        ("year", (2024, 1, 1), (2023, 12, 31)),
    ],
)
def test_a_calendar_period_begins_at_local_midnight(say: Any, period: str, first: tuple[int, ...], before: tuple[int, ...]) -> None:
    last_moment = at(*before, 23, 59)
    found = say(feature("n", "count", calendar(period)), [event(last_moment), event(at(*first)), event(at(2024, 5, 15, 18))])
    assert found == [1, 1, 2]
    by_date = [event(day(*before)), event(day(*first)), event(day(2024, 5, 15))]
    assert say(feature("n", "count", calendar(period)), by_date, under=record(DATE)) == [1, 1, 2]


def test_a_day_of_23_hours_and_one_of_25(say: Any) -> None:
    spring, autumn = at(2024, 3, 10), at(2024, 11, 3)
    count = feature("n", "count", calendar("day"))
    assert say(count, [event(spring), event(spring + 23 * HOUR - 1), event(spring + 23 * HOUR)]) == [1, 2, 1]
    assert say(count, [event(autumn), event(autumn + 25 * HOUR - 1), event(autumn + 25 * HOUR)]) == [1, 2, 1]


def test_last_full_week_is_monday_to_sunday_whatever_today_is(say: Any) -> None:
    rows = [
        event(at(2024, 3, 3, 23)),
        event(at(2024, 3, 4)),
        event(at(2024, 3, 10, 23, 59)),
        event(at(2024, 3, 11)),
        event(at(2024, 3, 17, 23)),
    ]
    assert say(feature("n", "count", full(1, "week")), rows) == [0, 1, 1, 2, 2]


def test_last_3_full_months_are_those_before_this_month(say: Any) -> None:
    rows = [
        event(at(2023, 12, 31, 23)),
        event(at(2024, 1, 1)),
        event(at(2024, 3, 31, 23)),
        event(at(2024, 4, 30, 23)),
        event(at(2024, 5, 1)),
    ]
    assert say(feature("n", "count", full(3, "month")), rows) == [0, 1, 2, 2, 2]


def test_the_first_full_window_after_history_begins(say: Any) -> None:
    begin = at(2024, 1, 1)
    rows = [event(at(2024, 3, 31, 23, 59)), event(at(2024, 4, 1))]
    assert say(feature("n", "count", full(3, "month")), rows, begin) == [Interval(0, None, SHORT), 1]
    assert say(feature("n", "count", full(3, "month")), rows, begin + 1) == [Interval(0, None, SHORT), Interval(1, None, SHORT)]
    assert say(feature("n", "count", calendar("month")), [event(at(2024, 1, 31))], begin + 1) == [Interval(1, None, SHORT)]


# --- business days ---------------------------------------------------------------------------------------------------------

CLOSING = ir.Window("business", closing=14 * HOUR, holidays=frozenset({day(2024, 5, 27)}))  # Memorial Day, a Monday


def test_what_comes_at_closing_time_belongs_to_the_next_business_day(say: Any) -> None:
    rows = [event(at(2024, 5, 14, 13, 59)), event(at(2024, 5, 14, 14)), event(at(2024, 5, 15, 13, 59)), event(at(2024, 5, 15, 14))]
    assert say(feature("n", "count", CLOSING), rows) == [1, 1, 2, 1]


def test_weekends_and_holidays_roll_forward(say: Any) -> None:
    rows = [
        event(at(2024, 5, 24, 13)),  # Friday, before closing
        event(at(2024, 5, 24, 15)),  # after it: Tuesday's, as is all that follows
        event(at(2024, 5, 25, 9)),
        event(at(2024, 5, 27, 9)),
        event(at(2024, 5, 28, 9)),
        event(at(2024, 5, 28, 14)),
    ]
    assert say(feature("n", "count", CLOSING), rows) == [1, 1, 2, 3, 4, 1]


def test_a_business_day_over_a_change_of_the_clock(say: Any) -> None:
    friday, monday = at(2024, 3, 8, 14), at(2024, 3, 11, 14)
    assert monday - friday == 71 * HOUR
    assert say(feature("n", "count", CLOSING), [event(friday), event(monday - 1), event(monday)]) == [1, 2, 1]


# --- since -----------------------------------------------------------------------------------------------------------------


def test_since_a_time_of_this_event(say: Any) -> None:
    since = feature("n", "count", ir.Window("since", field="login"))
    rows = [event(START, login=START), event(START + 1, login=START + 1), event(START + 2, login=START), event(START + 3, login=START + 4)]
    assert say(since, rows) == [1, 1, 3, 0]


def test_since_a_date_is_since_its_first_local_moment(say: Any) -> None:
    since = feature("n", "count", ir.Window("since", field="opened"))
    opened = day(2024, 3, 10)
    rows = [event(at(2024, 3, 9, 23, 59), opened=opened), event(at(2024, 3, 10), opened=opened), event(at(2024, 3, 10, 12), opened=opened)]
    assert say(since, rows) == [0, 1, 2]


def test_where_the_time_is_missing_so_is_the_feature(say: Any) -> None:
    since = feature("n", "count", ir.Window("since", field="opened"))
    assert say(since, [event(START, opened=MISSING), event(START, opened=missing("damaged"))]) == [MISSING, missing("damaged")]


def test_since_before_history_is_short_and_after_now_is_nothing(say: Any) -> None:
    since = feature("n", "count", ir.Window("since", field="login"))
    rows = [event(START, login=START - 1), event(START, login=START), event(START, login=START + 1)]
    assert say(since, rows, START) == [Interval(1, None, SHORT), 2, 0]


SINCE_IN = ir.Window("since event", event=INCOMING)


def test_since_last_event_holds_what_came_after_it_and_this_event(say: Any) -> None:
    rows = [event(START), event(START, direction="out"), event(START + DAY), event(START + DAY, direction="out")]
    assert say(feature("n", "count", SINCE_IN), rows, FOREVER) == [1, 1, 2, 1]


def test_since_last_event_without_one_is_short_unless_history_is_complete(say: Any) -> None:
    rows = [event(START, direction="out"), event(START)]
    assert say(feature("n", "count", SINCE_IN), rows) == [Interval(1, None, SHORT), Interval(2, None, SHORT)]
    assert say(feature("n", "count", SINCE_IN), rows, FOREVER) == [1, 2]


def test_an_event_that_may_be_the_last_leaves_open_what_came_before_it(say: Any) -> None:
    out = {"direction": "out"}
    rows = [event(START), event(START, **out), event(START, direction=MISSING), event(START, **out)]
    assert say(feature("n", "count", SINCE_IN), rows, FOREVER) == [1, 1, 2, Interval(1, 3, "undecided history")]


# --- this, and what is needed ----------------------------------------------------------------------------------------------


def test_so_much_history_of_the_key_is_needed(say: Any) -> None:
    wanted = feature("n", "count", days(7), needs=("history", 3, "months"))
    rows = [event(at(2024, 1, 30)), event(at(2024, 4, 29)), event(at(2024, 4, 30)), event(at(2024, 4, 30), "B")]
    assert say(wanted, rows) == [missing(SHORT), missing(SHORT), 2, missing(SHORT)]


def test_what_is_needed_is_counted_whatever_counts_in_the_window(say: Any) -> None:
    wanted = feature("n", "count", dates(7), where=INCOMING, needs=("history", 30, "days"))
    rows = [event(1000, direction="out"), event(1029), event(1030)]
    assert say(wanted, rows, under=record(DATE)) == [missing(SHORT), missing(SHORT), 2]


def test_events_that_may_count_are_not_events_that_are_there(say: Any) -> None:
    wanted = feature("n", "count", days(7), where=INCOMING, needs=("events", 2, ""))
    assert say(wanted, [event(START), event(START, direction=MISSING), event(START)]) == [
        missing(SHORT),
        missing(SHORT),
        Interval(2, 3, "undecided history"),
    ]
