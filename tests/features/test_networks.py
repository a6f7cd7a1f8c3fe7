"""Cycles and middlemen, case by case, in every store and in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.features.store import Store, open_store
from engine.lang import ir
from engine.plan import Row
from engine.values import DAY, MISSING, Interval, Money, missing
from tests.features import oracle
from tests.features.events import HOUR, INCOMING, bound, corrected, days, event, feature, live, read, record, this, tick
from tests.features.oracle import FOREVER
from tests.features.servers import address

START = 1000 * DAY
AMOUNT = read("amount")
UNDECIDED, SHORT, MANY = "undecided history", "short history", "too many"


def cycles(
    hops: int = 4, length: int = 10, within: int | None = None, effort: int = 10_000, where: Any = None, of: Any = AMOUNT, **more: Any
) -> ir.Feature:
    network = ir.Network(effort, hops, within)
    return feature("n", "cycles", days(length), None if within is None else of, where, per=("account", "payee"), network=network, **more)


def middlemen(length: int = 7, effort: int = 10_000, where: Any = None) -> ir.Feature:
    return feature("n", "middlemen", days(length), None, where, per=("account", "payee"), network=ir.Network(effort))


def pays(source: Any, target: Any, hours: int = 0, amount: Any = 100, **more: Any) -> Row:
    return event(START + hours * HOUR, source, payee=target, amount=amount, **more)


def flow(text: str, step: int = 1) -> list[Row]:
    """`AB BC` is: A pays B, an hour later B pays C."""
    return [pays(pair[0], pair[1], step * hour) for hour, pair in enumerate(text.split())]


# --- cycles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hops", "found"),
    [
        ("AB BA", 2, [0, 1]),
        ("AB BC CA", 3, [0, 0, 1]),
        ("AB BC CA", 2, [0, 0, 0]),
        ("AB BC CD DA", 4, [0, 0, 0, 1]),
        ("AB BC CD DA", 3, [0, 0, 0, 0]),
        ("BC AB CA", 4, [0, 0, 0]),  # B had paid on before it was paid
        ("AB AB BC BC CA", 4, [0, 0, 0, 0, 1]),  # the same three accounts, however often
        ("AB BC BD CA DA", 4, [0, 0, 0, 1, 1]),
        ("BC BD CE DE EA AB AB", 5, [0, 0, 0, 0, 0, 2, 2]),  # two ways from B by E to A
        ("AB BC CB BA", 4, [0, 0, 1, 1]),  # no account twice
        ("AA AB BB BA", 2, [0, 0, 0, 1]),  # who pays himself closes nothing
    ],
)
def test_a_cycle_is_closed_by_the_last_payment_of_a_chain_that_comes_back(say: Any, text: str, hops: int, found: list[int]) -> None:
    rows = flow(text)
    assert say(cycles(hops), rows) == found


def test_payments_of_one_instant_count_in_the_order_in_which_they_arrived(say: Any) -> None:
    assert say(cycles(), flow("AB BC CA AC", step=0)) == [0, 0, 1, 1]
    assert say(cycles(), flow("BC AB CA", step=0)) == [0, 0, 0]


def test_every_hop_lies_in_the_window_of_the_last(say: Any) -> None:
    rows = [pays("A", "B"), pays("B", "C", 24), pays("C", "A", 239), pays("C", "A", 240)]
    assert say(cycles(length=10), rows, FOREVER) == [0, 0, 1, 0]


def test_amounts_lie_within_a_part_of_that_of_the_last(say: Any) -> None:
    rows = [pays("A", "B", 0, 90), pays("B", "A", 1, 100), pays("B", "A", 2, 101), pays("B", "A", 3, 81), pays("B", "A", 4, 82)]
    assert say(cycles(2, within=10_000_000), rows) == [0, 1, 0, 0, 1]
    assert say(cycles(2, within=0), [pays("A", "B", 0, 90), pays("B", "A", 1, 90), pays("B", "A", 2, 91)]) == [0, 1, 0]


def test_negative_amounts_are_as_close_as_others(say: Any) -> None:
    rows = [event(START + hour, *ends, payee=ends[::-1], balance=balance) for hour, ends, balance in [(0, "A", 1), (1, "B", 1)]]
    rows = [
        {**row, "payee": "B" if row["account"] == "A" else "A", "balance": balance} for row, balance in zip(rows, (-95, -100), strict=True)
    ]
    assert say(cycles(2, within=10_000_000, of=read("balance")), rows) == [0, 1]


def test_an_amount_that_is_not_known_may_be_close(say: Any) -> None:
    doubt = Interval(0, 1, UNDECIDED)
    assert say(cycles(2, within=0), [pays("A", "B", 0, MISSING), pays("B", "A", 1), pays("C", "A", 2)]) == [0, doubt, 0]
    assert say(cycles(2, within=0), [pays("A", "B"), pays("B", "A", 1, MISSING), pays("C", "A", 2, MISSING)]) == [0, doubt, 0]


def test_amounts_of_two_currencies_cannot_be_compared(say: Any) -> None:
    rows = [pays(*ends, hour, price=Money(5, code)) for hour, (ends, code) in enumerate([("AB", "USD"), ("BA", "EUR"), ("BA", "USD")])]
    assert say(cycles(2, within=0, of=read("price")), rows) == [0, Interval(0, 1, UNDECIDED), 1]


def test_a_hop_meets_the_condition_and_so_does_this_event(say: Any) -> None:
    rows = [pays("A", "B"), pays("B", "A", 1, direction="out"), pays("B", "A", 2), pays("A", "B", 3, direction="out"), pays("B", "A", 4)]
    assert say(cycles(2, where=INCOMING), rows) == [0, 0, 1, 0, 1]


def test_a_condition_may_compare_hops_with_this_event(say: Any) -> None:
    same = ir.Compare("=", read("merchant"), this("merchant"))
    rows = [pays("A", "B", merchant="M"), pays("B", "A", 1, merchant="N"), pays("B", "A", 2, merchant="M")]
    assert say(cycles(2, where=same), rows) == [0, 0, 1]


def test_a_hop_that_nobody_can_judge_leaves_an_interval(say: Any) -> None:
    rows = [
        pays("A", "B", direction=MISSING),
        pays("B", "A", 1),
        pays("A", "B", 2),
        pays("B", "A", 3),
        pays("A", "B", 4, direction=MISSING),
    ]
    doubt = Interval(0, 1, UNDECIDED)
    assert say(cycles(2, where=INCOMING), rows) == [0, doubt, 1, 1, doubt]


def test_an_event_without_one_of_its_accounts_has_no_cycles_and_is_no_hop(say: Any) -> None:
    rows = [pays("A", MISSING), pays(missing("damaged"), "A", 1), pays("A", "B", 2), pays("B", "A", 3)]
    assert say(cycles(2), rows) == [MISSING, missing("damaged"), 0, 1]


def test_before_history_is_complete_there_are_at_least_so_many(say: Any) -> None:
    rows = [pays("A", "B"), pays("B", "A", 1), pays("B", "A", 240)]
    assert say(cycles(2), rows, START) == [Interval(0, None, SHORT), Interval(1, None, SHORT), 0]
    assert say(cycles(2, where=INCOMING), [pays("A", "B", direction="out")], START) == [0]  # this event closes nothing, whoever paid before


def test_what_a_network_needs_is_how_long_it_has_been_there(say: Any) -> None:
    rows = [pays("X", "Y"), pays("A", "B", 23), pays("B", "A", 24), pays("B", "A", 25)]
    found = say(cycles(2, needs=("history", DAY, "microseconds")), rows)
    assert found == [missing(SHORT), missing(SHORT), 1, 1]


def test_lateness_is_that_of_the_whole_network(say: Any) -> None:
    rows = [pays("A", "B"), pays("X", "Y", 48), pays("B", "A", 23), pays("B", "A", 24), pays("A", "B", 49)]
    found = say(cycles(2), rows, FOREVER)
    assert found == [0, 0, missing("late"), 1, 1]


def test_a_late_payment_is_a_hop_for_those_after_it(say: Any) -> None:
    rows = [pays("A", "B", 10), pays("C", "A", 12), pays("B", "C", 11), pays("C", "A", 13)]
    assert say(cycles(), rows) == [0, 0, 0, 1]


def test_networks_of_other_ends_are_networks_of_their_own(say: Any) -> None:
    back = feature("back", "cycles", days(7), per=("payee", "account"), network=ir.Network(10_000, 3))
    found = say([cycles(3), back], flow("AB BC CA BA"))
    assert [row["n"] for row in found] == [0, 0, 1, 1]
    assert [row["back"] for row in found] == [0, 0, 0, 1]  # A paid B is: B asked A


# --- middlemen -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SM MT", [0, 1]),
        ("MT SM", [0, 0]),  # it had passed on before it received
        ("SM SN MT NT", [0, 0, 1, 2]),
        ("SM SM MT MT", [0, 0, 1, 1]),
        ("SM RN MT NT", [0, 0, 1, 1]),  # from two sources
        ("SM SN RN MT NT RT", [0, 0, 0, 1, 2, 2]),
        ("TM MT", [0, 0]),  # money that came from where it went is a cycle
        ("SS ST", [0, 0]),
        ("SM MT NT SN MT", [0, 1, 1, 0, 1]),
    ],
)
def test_middlemen_received_from_one_source_before_they_passed_on(say: Any, text: str, found: list[int]) -> None:
    assert say(middlemen(), flow(text)) == found


def test_middlemen_stand_in_the_window_and_meet_the_condition(say: Any) -> None:
    rows = [pays("S", "M"), pays("S", "N", 100), pays("M", "T", 101), pays("N", "T", 169), pays("M", "T", 170, direction="out")]
    assert say(middlemen(where=INCOMING), rows, FOREVER) == [0, 0, 1, 1, 1]
    doubtful = [
        pays("S", "M"),
        pays("S", "N", direction=MISSING),
        pays("M", "T", 1),
        pays("N", "T", 2),
        pays("X", "T", 3, direction=MISSING),
    ]
    assert say(middlemen(where=INCOMING), doubtful) == [0, 0, 1, Interval(1, 2, UNDECIDED), Interval(1, 2, UNDECIDED)]


# --- what one event may look at --------------------------------------------------------------------------------------


def test_a_walk_that_looks_at_too_many_says_at_least(say: Any) -> None:
    rows = flow("BC CA BD DA AB")  # closes two cycles; into A lead two rows, from B one that matters and then one that comes too late
    for effort, wanted in [(1, Interval(0, None, MANY)), (2, Interval(0, None, MANY)), (3, Interval(1, None, MANY)), (4, 2)]:
        assert say(cycles(3, effort=effort), rows)[-1] == wanted


def test_the_bound_is_the_same_whether_rows_are_hops_or_not(say: Any) -> None:
    rows = [*flow("CA CA CA"), pays("B", "A", 9, 77), pays("A", "B", 10, 77)]
    assert say(cycles(2, within=0, effort=3), rows)[-1] == Interval(0, None, MANY)
    assert say(cycles(2, within=0, effort=4), rows)[-1] == 1


def test_middlemen_found_before_the_bound_count(say: Any) -> None:
    rows = flow("SM SN MT NT")
    for effort, wanted in [(1, Interval(0, None, MANY)), (2, Interval(1, None, MANY)), (3, 2)]:
        assert say(middlemen(effort=effort), rows)[-1] == wanted


def test_too_many_is_named_before_a_short_history(say: Any) -> None:
    assert say(cycles(3, effort=1), flow("BC CA DA AB"), START)[-1] == Interval(0, None, MANY)


def test_whoever_is_paid_by_everybody_costs_no_more_than_the_bound(say: Any) -> None:
    rows = [pays(f"K{number}", "HUB") for number in range(60)] + [pays("HUB", "A", 1), pays("A", "B", 2), pays("B", "HUB", 3)]
    found = say(cycles(4, effort=20), rows)
    assert found[:60] == [0] * 60 and found[60:] == [Interval(0, None, MANY), 0, 1]


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    near = replace(cycles(3, within=10_000_000), name="near")
    groups = [bound([cycles(3), near, replace(middlemen(), name="through")], record())]
    with open_store(address(request.param, tmp_path), groups, record(), FOREVER) as opened:
        for row in [*flow("AB BC BC XC"), pays("B", "C", 5, 90, id="close"), pays("C", "X", 6, id="other")]:
            opened.observe(row)
        yield opened


def test_a_moment_is_no_hop(store: Store) -> None:
    assert store.observe(pays("C", "A", 7), record=False) == {"n": 1, "near": 1, "through": 1}
    assert store.look(pays("C", "A", 7)) == {"n": 0, "near": 0, "through": 0}
    assert store.look(tick(START + 7 * HOUR, record())) == dict.fromkeys(("n", "near", "through"), MISSING)
    assert store.look(pays("S", "C", 7))["through"] == 1


def test_contents_are_the_hops_of_what_an_event_would_find(store: Store) -> None:
    hops = store.contents("n", pays("C", "A", 7))
    assert [(row.time - START, row.value, row.surely) for row in hops] == [(0, True, True), (5 * HOUR, True, True)]
    assert hops[1].key == ("close",)
    assert [row.value for row in store.contents("near", pays("C", "A", 7, 99))] == [100, 90]
    assert [row.surely for row in store.contents("near", pays("C", "A", 7, MISSING))] == [False, False]
    assert [row.key for row in store.contents("near", pays("C", "A", 7, 150))] == []
    assert [row.time - START for row in store.contents("through", pays("Y", "C", 7))] == [0, 5 * HOUR]
    assert store.contents("n", pays("C", MISSING, 7)) == []


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
def test_two_processes_write_one_network(kind: str, tmp_path: Path) -> None:
    """Each takes every other event, so that half of every chain was written by somebody else."""
    url, group = address(kind, tmp_path), bound([cycles(), replace(middlemen(), name="through")], record())
    rows = flow("AB BC CA SM SN MT NT TS AC CB BA XX AB", step=0) + flow("AB BC CA", step=30)
    with open_store(url, [group], record(), FOREVER) as one, open_store(url, [group], record(), FOREVER) as other:
        found = [(one, other)[number % 2].observe(row) for number, row in enumerate(rows)]
    assert found == oracle.features(rows, group, record(), FOREVER)
    assert sum(row["n"] for row in found) > 5


# --- roles that say the rest -----------------------------------------------------------------------------------------


def test_gather_scatter_is_said_by_degrees_of_one_account(say: Any) -> None:
    """Many pay one account, which pays many: in-degree and out-degree of the account, whichever side of the payment it stands on."""
    payers = feature(
        "payers", "distinct", days(7), read("account"), where=ir.Compare("=", read("payee"), this("account")), matched=("account", "payee")
    )
    payees = feature(
        "payees", "distinct", days(7), read("payee"), where=ir.Compare("=", read("account"), this("account")), matched=("account", "payee")
    )
    found = say([payers, payees], flow("AH BH CH HX HY"))
    assert (found[-1]["payers"], found[-1]["payees"]) == (3, 2)


def test_a_correction_takes_its_version_out_of_the_network() -> None:
    """The laws hold every store and the batch against this."""
    under = record(revision="version")
    rows = [pays("A", "B", version=1), pays("B", "A", 1, version=1)]
    stream = [*rows, corrected(rows[0], payee="C"), pays("B", "A", 2, version=1), pays("C", "A", 3, version=1)]
    group = bound([cycles(2)], under)
    with open_store("memory:", [group], under, FOREVER) as corrected_store:
        assert [row["n"] for row in live(stream, corrected_store)] == [0, 1, 0, 0, 1]
