"""What a feature sees and says, sentence by sentence of the language page; every case on all live stores and in the batch."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from engine import zones
from engine.features.store import open_store
from engine.lang import ir
from engine.plan import NOW
from engine.values import DATE, DATETIME, DAY, MISSING, Interval, Money, Value, missing
from tests.features.events import HOUR, INCOMING, bound, dates, days, equals, event, feature, months, read, record

COUNT = feature("n_7d", "count", days(7))
SUM = feature("sum_7d", "sum", days(7), read("amount"), bounded=True)
START = 1000 * DAY


def at_least(low: Value, cause: str = "short history") -> Interval:
    return Interval(low, None, cause)


# --- what a window holds ---------------------------------------------------------------------------------------------


def test_this_event_is_in_its_window(say: Any) -> None:
    assert say(COUNT, [event(START)]) == [1]


def test_an_event_exactly_seven_days_old_is_out_and_one_a_moment_younger_is_in(say: Any) -> None:
    assert say(COUNT, [event(START), event(START + 1), event(START + 7 * DAY)]) == [1, 2, 2]


def test_where_time_is_a_date_seven_days_are_seven_dates(say: Any) -> None:
    by_date = feature("n", "count", dates(7))
    assert say(by_date, [event(1000), event(1001), event(1006), event(1007)], under=record(DATE)) == [1, 2, 3, 3]


def test_a_month_is_a_calendar_month_and_ends_with_the_shorter_one(say: Any) -> None:
    monthly = feature("n", "count", months(1))
    ends = [19_781, 19_782, 19_783, 19_812]  # 2024-02-28, 29, 2024-03-01 and 30: a month before the 30th is the 29th of February
    assert say(monthly, [event(day) for day in ends], under=record(DATE)) == [1, 2, 3, 2]


def test_a_month_is_counted_in_the_local_time_of_the_record(say: Any) -> None:
    monthly = feature("n", "count", months(1))
    noon = 19_783 * DAY + 17 * HOUR  # 2024-03-01 12:00 in New York; a month later the clock is an hour ahead
    assert say(monthly, [event(noon), event(noon + 31 * DAY - HOUR - 1), event(noon + 31 * DAY - HOUR)]) == [1, 2, 2]


def test_of_two_events_at_one_instant_only_the_second_sees_both(say: Any) -> None:
    assert say(COUNT, [event(START), event(START)]) == [1, 2]


def test_an_event_that_arrives_later_with_an_earlier_time_does_not_see_what_is_later(say: Any) -> None:
    assert say(COUNT, [event(START), event(START - HOUR), event(START)]) == [1, 1, 3]


def test_keys_have_their_own_histories(say: Any) -> None:
    assert say(COUNT, [event(START, "A"), event(START, "B"), event(START, "A")]) == [1, 1, 2]


def test_several_keys_are_one(say: Any) -> None:
    both = feature("n", "count", days(7), per=("account", "branch"))
    assert say(both, [event(START, branch=1), event(START, branch=2), event(START, branch=1)]) == [1, 1, 2]


def test_where_says_which_rows_count_and_this_event_need_not_be_one(say: Any) -> None:
    incoming = feature("n", "count", days(7), where=INCOMING)
    assert say(incoming, [event(START), event(START, direction="out"), event(START)]) == [1, 1, 2]


def test_a_row_is_judged_at_its_own_time(say: Any) -> None:
    early = ir.Compare("<", ir.Read(NOW, type=DATETIME), ir.Const(START + HOUR, type=DATETIME))
    assert say(feature("n", "count", days(7), where=early), [event(START), event(START + HOUR), event(START + 2 * HOUR)]) == [1, 1, 1]


def test_features_may_be_expressions_over_others(say: Any) -> None:
    often = ir.Feature("often", INCOMING.type, ir.Compare(">=", ir.Read("n_7d", type=COUNT.type), ir.Const(2, type=COUNT.type)))
    found = say([COUNT, often], [event(START), event(START), event(START, MISSING)])
    assert [row["often"] for row in found] == [False, True, MISSING]


# --- aggregates ------------------------------------------------------------------------------------------------------


def test_nothing_counts_zero_sums_to_zero_and_has_no_largest(say: Any) -> None:
    wanted = [
        feature("count", "count", days(7), where=INCOMING),
        feature("sum", "sum", days(7), read("amount"), INCOMING),
        feature("number", "sum", days(7), read("rate"), INCOMING),
        feature("distinct", "distinct", days(7), read("merchant"), INCOMING),
        feature("max", "max", days(7), read("amount"), INCOMING),
        feature("by", "sum", days(7), read("price"), INCOMING),
    ]
    (found,) = say(wanted, [event(START, direction="out", currency="JPY")])
    assert found == {"count": 0, "sum": 0, "number": 0.0, "distinct": 0, "max": missing("empty"), "by": Money(0, "JPY")}


def test_sums_of_numbers_are_exact_in_any_order_and_rounded_once(say: Any) -> None:
    wanted = feature("s", "sum", days(7), read("rate"))
    assert say(wanted, [event(START, rate=rate) for rate in (1e16, 1.0, 1.0, -1e16)])[-1] == 2.0
    assert say(wanted, [event(START, rate=rate) for rate in (1e308, 1e308, -1e308)])[1:] == [missing("overflow"), 1e308]


def test_a_sum_that_does_not_fit_is_missing_and_comes_back_when_it_does(say: Any) -> None:
    wanted = feature("s", "sum", days(7), read("size"))
    assert say(wanted, [event(START, size=2**63 - 1), event(START, size=1), event(START, size=-1)]) == [
        2**63 - 1,
        missing("overflow"),
        2**63 - 1,
    ]


@pytest.mark.parametrize(("field", "largest"), [("size", 2**63 - 1), ("amount", 2**63 - 1), ("price", Money(2**63 - 1, "USD"))])
def test_a_row_whose_own_sum_does_not_fit_has_no_value(say: Any, field: str, largest: Value) -> None:
    """What one event adds up to must fit before it enters history, and not only what all of them come to."""
    plus = {"size": "integer+integer", "amount": "money+money", "price": "bymoney+bymoney"}[field]
    twice = ir.Call(plus, (read(field), read(field)), type=read(field).type)
    wanted = [feature(function, function, days(7), twice) for function in ("sum", "max", "last")]
    found = say(wanted, [event(START, **{field: largest}), event(START)])[-1]
    cause = "undecided history"
    assert found["sum"] == missing(cause) and found["last"] == missing(cause)
    assert found["max"] == (missing(cause) if field == "price" else at_least(2 if field == "size" else 2_00, cause))


def test_a_sum_keeps_fractions_of_a_cent_until_its_end(say: Any) -> None:
    third = ir.Type("money", currency="USD", scale=10**8)
    part = ir.Call("money*percent", (read("balance"), ir.Const(50_000_000, type=ir.Type("percent"))), type=third)
    assert say(feature("s", "sum", days(7), part), [event(START, balance=1), event(START, balance=1)]) == [0, 1]


def test_two_currencies_do_not_add_up(say: Any) -> None:
    wanted = [feature("sum", "sum", days(7), read("price")), feature("max", "max", days(7), read("price"))]
    prices = [Money(5, "USD"), Money(7, "USD"), Money(1, "EUR")]
    found = say(wanted, [event(START, price=price, currency=price.currency) for price in prices])
    assert [row["sum"] for row in found] == [Money(5, "USD"), Money(12, "USD"), missing("currency")]
    assert [row["max"] for row in found] == [Money(5, "USD"), Money(7, "USD"), missing("currency")]


def test_an_empty_sum_has_no_currency_where_this_event_has_none(say: Any) -> None:
    wanted = feature("sum", "sum", days(7), read("price"), INCOMING)
    rows = [event(START, direction="out", currency=missing("damaged")), event(START, direction="out", currency="XQQ")]
    assert say(wanted, rows) == [missing("damaged"), missing("damaged")]


# --- late events and missing keys ------------------------------------------------------------------------------------


def test_an_event_that_comes_too_late_has_no_features_and_leaves_none(say: Any) -> None:
    rows = [event(START), event(START - DAY), event(START - DAY - 1), event(START)]
    assert say(COUNT, rows) == [1, 1, missing("late"), 3]


def test_late_is_judged_for_each_key_by_its_own_newest_time(say: Any) -> None:
    wanted = [COUNT, feature("by_branch", "count", days(7), per=("branch",))]
    found = say(wanted, [event(START, "A", branch=1), event(START - 2 * DAY, "B", branch=1), event(START, "B", branch=2)])
    assert [row["n_7d"] for row in found] == [1, 1, 2]
    assert [row["by_branch"] for row in found] == [1, missing("late"), 1]


def test_late_up_to_counts_whole_days_where_time_is_a_date(say: Any) -> None:
    by_date = feature("n", "count", dates(7))
    assert say(by_date, [event(1000), event(999), event(998)], under=record(DATE, late=DAY + HOUR)) == [1, 1, missing("late")]


def test_without_its_key_an_event_has_no_feature_and_belongs_to_no_key(say: Any) -> None:
    rows = [event(START, missing("damaged")), event(START, MISSING), event(START, "A")]
    assert say(COUNT, rows) == [missing("damaged"), MISSING, 1]


def test_of_several_missing_keys_the_first_cause_in_rank_is_named(say: Any) -> None:
    both = feature("n", "count", days(7), per=("branch", "account"))
    assert say(both, [event(START, missing("damaged"), branch=MISSING)]) == [MISSING]


# --- what it cannot see, it does not guess ---------------------------------------------------------------------------


def test_a_window_that_reaches_before_history_counts_at_least_what_it_saw(say: Any) -> None:
    rows = [event(START), event(START + 7 * DAY - 2), event(START + 7 * DAY - 1)]
    assert say(COUNT, rows, START) == [at_least(1), at_least(2), 3]


def test_where_days_count_the_first_full_window_begins_with_history(say: Any) -> None:
    by_date = feature("n", "count", dates(7))
    assert say(by_date, [event(1000), event(1005), event(1006)], 1000, record(DATE)) == [at_least(1), at_least(2), 3]


def test_history_begins_with_the_first_event_unless_said_otherwise(say: Any) -> None:
    rows = [event(START), event(START + 7 * DAY - 2), event(START + 7 * DAY - 1)]
    assert say(COUNT, rows, None) == [at_least(1), at_least(2), 3]


@pytest.mark.parametrize("since", ["2024-03-01", "2024-03-01T00:00:00-05:00", "2024-03-01T05:00:00Z", 1_709_269_200_000_000])
def test_history_may_begin_at_a_day_or_time_of_the_records_zone(say: Any, since: Any) -> None:
    midnight = zones.utc(dt.datetime(2024, 3, 1), "America/New_York")
    assert midnight == 1_709_269_200_000_000
    assert say(feature("n", "count", days(1)), [event(midnight + DAY - 2), event(midnight + DAY - 1)], since) == [at_least(1), 2]


def test_short_history_bounds_what_it_can_and_is_missing_otherwise(say: Any) -> None:
    wanted = [
        feature("distinct", "distinct", days(7), read("merchant")),
        SUM,
        feature("unbounded", "sum", days(7), read("balance")),
        feature("max", "max", days(7), read("amount")),
        feature("none", "max", days(7), read("amount"), ir.Not(INCOMING)),
        feature("by", "sum", days(7), read("price"), bounded=True),
    ]
    (found,) = say(wanted, [event(START, price=Money(5, "USD"))], START)
    assert found == {
        "distinct": at_least(1),
        "sum_7d": at_least(1_00),
        "unbounded": missing("short history"),
        "max": at_least(1_00),
        "none": missing("short history"),
        "by": missing("short history"),  # what nobody saw may be in another currency
    }


UNKNOWN = {"direction": MISSING}


def test_rows_that_cannot_be_judged_may_count_or_not(say: Any) -> None:
    wanted = [
        feature("count", "count", days(7), where=INCOMING),
        feature("distinct", "distinct", days(7), read("merchant"), INCOMING),
        feature("sum", "sum", days(7), read("amount"), INCOMING, bounded=True),
        feature("unbounded", "sum", days(7), read("balance"), INCOMING),
        feature("max", "max", days(7), read("amount"), INCOMING),
    ]
    rows = [event(START, merchant="M"), event(START, merchant="N", amount=5_00, **UNKNOWN), event(START, merchant="M", amount=2, **UNKNOWN)]
    cause = "undecided history"
    assert say(wanted, rows)[-1] == {
        "count": Interval(1, 3, cause),
        "distinct": Interval(1, 2, cause),
        "sum": Interval(1_00, 6_02, cause),
        "unbounded": missing(cause),
        "max": Interval(1_00, 5_00, cause),
    }


def test_what_a_row_in_doubt_cannot_change_stays_exact(say: Any) -> None:
    wanted = [
        feature("distinct", "distinct", days(7), read("merchant"), INCOMING),
        feature("sum", "sum", days(7), read("amount"), INCOMING, bounded=True),
        feature("max", "max", days(7), read("amount"), INCOMING),
    ]
    assert say(wanted, [event(START), event(START, amount=0, **UNKNOWN)])[-1] == {"distinct": 1, "sum": 1_00, "max": 1_00}


def test_with_no_row_surely_in_there_may_be_no_largest_at_all(say: Any) -> None:
    wanted = feature("max", "max", days(7), read("amount"), INCOMING)
    assert say(wanted, [event(START, **UNKNOWN)]) == [missing("undecided history")]


def test_a_missing_value_leaves_a_sum_open_and_is_perhaps_one_more_distinct(say: Any) -> None:
    wanted = [
        COUNT,
        SUM,
        feature("unbounded", "sum", days(7), read("balance")),
        feature("max", "max", days(7), read("amount")),
        feature("distinct", "distinct", days(7), read("merchant")),
    ]
    rows = [event(START), event(START, amount=MISSING, balance=missing("damaged"), merchant=MISSING)]
    cause = "undecided history"
    assert say(wanted, rows)[-1] == {
        "n_7d": 2,
        "sum_7d": at_least(1_00, cause),
        "unbounded": missing(cause),
        "max": at_least(1_00, cause),
        "distinct": Interval(1, 2, cause),
    }


def test_short_and_undecided_is_short(say: Any) -> None:
    wanted = feature("n", "count", days(7), where=INCOMING)
    assert say(wanted, [event(START), event(START, **UNKNOWN)], START)[-1] == at_least(1)


def test_doubt_leaves_with_its_row(say: Any) -> None:
    wanted = feature("n", "count", days(1), where=INCOMING)
    assert say(wanted, [event(START, **UNKNOWN), event(START + DAY)]) == [Interval(0, 1, "undecided history"), 1]


def test_money_in_doubt_is_bounded_only_while_one_currency_is_sure(say: Any) -> None:
    wanted = feature("s", "sum", days(7), read("price"), INCOMING, bounded=True)
    usd = event(START, price=Money(5, "USD"))
    same, other = (event(START, price=Money(7, currency), currency=currency, **UNKNOWN) for currency in ("USD", "EUR"))
    found = say(wanted, [usd, same, other])
    assert found == [Money(5, "USD"), Interval(Money(5, "USD"), Money(12, "USD"), "undecided history"), missing("undecided history")]


def test_equal_conditions_on_one_field_share_what_is_kept() -> None:
    wanted = bound(
        [feature("a", "count", days(7), where=equals("size", 1)), feature("b", "count", days(1), where=equals("size", 1))], record()
    )
    with open_store("memory:", [wanted], record(), 0) as store:
        (history,) = store.layout.histories  # type: ignore[attr-defined]
    assert len(history.slots) == 1
    assert [reach.window.length for reach in history.reaches[0]] == [7 * DAY, DAY]
