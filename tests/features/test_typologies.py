"""What analysts look for, said with features: each case on both live stores and in the batch."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from engine import zones
from engine.lang import ir
from engine.plan import Row
from engine.values import DAY, FLAG, MISSING, Interval, Type, missing
from tests.features.events import HOUR, INCOMING, calendar, days, equals, event, feature, full, read, this
from tests.features.oracle import FOREVER

START = 1000 * DAY
OUTGOING = ir.Not(INCOMING)


def at(*when: int, zone: str = "America/New_York") -> int:
    """A local time of the record's zone."""
    moment = zones.utc(dt.datetime(*when), zone)  # type: ignore[arg-type]
    assert moment is not None
    return moment


def test_money_in_and_80_percent_of_it_out_within_3_days(say: Any) -> None:
    money_in = feature("money_in", "sum", days(3), read("amount"), INCOMING, bounded=True)
    money_out = feature("money_out", "sum", days(3), read("amount"), OUTGOING, bounded=True)
    share = ir.Const(80_000_000, type=Type("percent"))
    most = ir.Call("money*percent", (ir.Read("money_in", type=money_in.type), share), type=Type("money", currency="USD", scale=10**8))
    scaled = ir.Call(
        "rescale:money",
        (ir.Read("money_out", type=money_out.type), ir.Const(10**8, type=Type("integer"))),
        type=Type("money", currency="USD", scale=10**8),
    )
    passed = ir.Feature("passed_on", FLAG, ir.Compare(">=", scaled, most))
    rows = [
        event(START, amount=1_000_00),
        event(START + DAY, amount=799_99, direction="out"),
        event(START + 2 * DAY, amount=1, direction="out"),
        event(START + 3 * DAY, amount=1, direction="out"),  # what came in is now exactly three days old
    ]
    found = say([money_in, money_out, passed], rows, FOREVER)
    assert [row["passed_on"] for row in found] == [False, False, True, True]
    assert found[3]["money_in"] == 0


def test_dormant_then_active(say: Any) -> None:
    idle = feature("idle", "time since last", days(365))
    busy = feature("busy", "count", days(2))
    rows = [event(START), event(START + 200 * DAY), event(START + 200 * DAY + HOUR), event(START + 201 * DAY)]
    found = say([idle, busy], rows, FOREVER)
    assert [row["idle"] for row in found] == [missing("empty"), 200 * DAY, HOUR, DAY - HOUR]
    assert [row["busy"] for row in found] == [1, 1, 2, 3]


def transfer(time: int, payer: str, payee: str, amount: int = 1_00) -> Row:
    return event(time, payer, payee=payee, amount=amount)


def test_fan_in_counts_who_pays_one_account(say: Any) -> None:
    fan_in = feature("payers", "distinct", days(7), read("account"), per=("payee",))
    rows = [transfer(START, "A", "X"), transfer(START, "B", "X"), transfer(START, "B", "X"), transfer(START, "X", "A")]
    assert say(fan_in, rows) == [1, 2, 2, 1]


def test_fan_out_counts_whom_one_account_pays(say: Any) -> None:
    fan_out = feature("payees", "distinct", days(7), read("payee"))
    assert say(fan_out, [transfer(START, "X", payee) for payee in ("A", "B", "B")]) == [1, 2, 2]


BOTH = {"matched": ("account", "payee")}


def test_a_payer_matched_as_payer_or_payee_is_found_on_either_side(say: Any) -> None:
    seen = feature("n", "count", days(7), **BOTH)
    rows = [transfer(START, "A", "B"), transfer(START, "B", "C"), transfer(START, "C", "A"), transfer(START, "B", "D")]
    assert say(seen, rows) == [1, 2, 2, 3]


def test_a_transfer_to_oneself_is_one_event(say: Any) -> None:
    assert say(feature("n", "count", days(7), **BOTH), [transfer(START, "A", "A"), transfer(START, "A", "B")]) == [1, 2]


def test_an_event_without_payer_looks_nowhere_and_is_still_found_on_the_other_side(say: Any) -> None:
    rows = [event(START, missing("damaged"), payee="B"), event(START, "B", payee=MISSING), transfer(START, "B", "A")]
    assert say(feature("n", "count", days(7), **BOTH), rows) == [missing("damaged"), 2, 3]


def test_an_event_may_be_late_for_one_side_and_in_time_for_the_other(say: Any) -> None:
    rows = [transfer(START, "A", "X"), transfer(START - 2 * DAY, "A", "B"), transfer(START - 2 * DAY, "B", "C"), transfer(START, "A", "C")]
    assert say(feature("n", "count", days(7), **BOTH), rows) == [1, missing("late"), 2, 2]


def test_matched_in_the_other_role_alone_does_not_see_this_event(say: Any) -> None:
    received = feature("received", "sum", days(3), read("amount"), bounded=True, matched=("payee",))
    rows = [transfer(START, "A", "X", 5_00), transfer(START + HOUR, "X", "B", 4_00), transfer(START + HOUR, "X", "X", 3_00)]
    assert say(received, rows) == [0, 5_00, 8_00]


def test_pass_through_compares_what_came_in_with_what_goes_out(say: Any) -> None:
    came = ir.Compare("=", read("payee"), this("account"))
    received = feature("received", "sum", days(3), read("amount"), came, bounded=True, **BOTH)
    sent = feature("sent", "sum", days(3), read("amount"), ir.Not(came), bounded=True, **BOTH)
    rows = [transfer(START, "A", "X", 9_00), transfer(START, "B", "X", 1_00), transfer(START + DAY, "X", "C", 9_50)]
    found = say([received, sent], rows)
    assert found[-1] == {"received": 10_00, "sent": 9_50}


def test_many_payments_just_like_this_one(say: Any) -> None:
    alike = ir.And((ir.Compare("=", read("merchant"), this("merchant")), ir.Compare("=", read("amount"), this("amount"))))
    rows = [
        event(START, amount=9),
        event(START, amount=8),
        event(START, amount=9),
        event(START, amount=9, merchant=MISSING),
        event(START, amount=9),
    ]
    cause = "undecided history"
    assert say(feature("n", "count", days(1), where=alike), rows) == [1, 1, 2, Interval(0, 3, cause), Interval(3, 4, cause)]


def test_what_went_out_after_money_last_came_in(say: Any) -> None:
    out = feature("out", "sum", ir.Window("since event", event=INCOMING), read("amount"), OUTGOING, bounded=True)
    rows = [
        event(START),
        event(START, direction="out", amount=5),
        event(START, direction="out", amount=6),
        event(START),
        event(START, direction="out"),
    ]
    assert say(out, rows, FOREVER) == [0, 5, 11, 11, 1_00]


def test_cash_is_most_of_what_came_in_last_week(say: Any) -> None:
    cash = feature("cash", "share", full(1, "week"), read("amount"), equals("merchant", "cash"), among=INCOMING)
    monday = at(2024, 3, 4)
    rows = [
        event(monday, amount=60, merchant="cash"),
        event(monday + DAY, amount=20),
        event(monday + 2 * DAY, amount=99, direction="out", merchant="cash"),
        event(monday + 7 * DAY, amount=7, merchant="cash"),
    ]
    assert say(cash, rows) == [missing("empty"), missing("empty"), missing("empty"), 0.75]


def test_turnover_of_a_usual_month(say: Any) -> None:
    month = feature("month", "sum", calendar("month"), read("amount"), bounded=True)
    assert isinstance(month.value, ir.Aggregate)
    usual = feature("usual", "mean", full(3, "month"), inner=month.value)
    rows = [event(at(2024, 1, 31, 12), amount=3_00), event(at(2024, 3, 1), amount=4_00), event(at(2024, 4, 15), amount=9_00)]
    assert say(usual, rows)[-1] == 2_33  # 3.00, nothing in February, 4.00


@pytest.mark.parametrize("number", [1, 2])
def test_so_many_events_are_needed(say: Any, number: int) -> None:
    wanted = feature("mean", "mean", days(7), read("size"), needs=("events", number, ""))
    assert say(wanted, [event(START, size=2), event(START, size=4)]) == [2.0 if number == 1 else missing("short history"), 3.0]
