"""What a correction does to history: the earlier version leaves, the later one enters, and what came too late touches nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.backends.holding import Ask as Held
from engine.errors import InputError
from engine.features.passed import Passing
from engine.features.spec import FOREVER
from engine.features.store import open_store
from engine.lang import ir
from engine.plan import Row
from engine.values import DATE, DAY, MISSING, Interval, Value, missing
from tests.features import conftest
from tests.features.events import HOUR, INCOMING, bound, corrected, dates, days, event, feature, read, record

ANSWERED = ["oracle", "memory", "sqlite", "redis", "postgres", "batch", "batch by one"]
"""Those who answer an event with corrections in its history."""

UNDER = record(revision="version")
SUM = feature("sum_7d", "sum", days(7), read("amount"), bounded=True)
COUNT = feature("n_7d", "count", days(7))
START = 1000 * DAY
LATE = missing("late")

Ask = Callable[..., list[Any]]


@pytest.fixture(params=ANSWERED)
def ask(request: pytest.FixtureRequest, tmp_path: Any) -> Ask:
    """As `say`, under the record whose events are corrected."""
    say = conftest.asked(request.param, tmp_path)
    return lambda features, rows, history_from=0, under=UNDER: say(features, rows, history_from, under)


def paid(amount: int, at: int = START, **given: Value) -> Row:
    return event(at, amount=amount, version=1, **given)


def test_a_correction_replaces_what_it_corrects_from_its_arrival_on(ask: Ask) -> None:
    first, second = paid(100), paid(20)
    rows = [first, second, corrected(first, amount=3), paid(4)]
    assert ask(SUM, rows) == [100, 120, 23, 27]
    assert ask(COUNT, rows) == [1, 2, 2, 3]


def test_the_corrected_event_does_not_see_its_earlier_version(ask: Ask) -> None:
    first = paid(100)
    before = feature("n", "count", ir.Window("before", 7 * DAY, "microseconds"))
    assert ask([before, feature("last", "last", days(7), read("amount"))], [first, corrected(first, amount=3)]) == [
        {"n": 0, "last": missing("empty")},
        {"n": 0, "last": missing("empty")},
    ]


def test_a_repeat_of_the_newest_version_gets_its_answer_and_counts_once(ask: Ask) -> None:
    first = paid(100)
    second = corrected(first, amount=3)
    assert ask(SUM, [first, first, second, paid(20), second, paid(0)]) == [100, 100, 3, 23, 3, 23]


def test_an_earlier_version_or_other_content_is_refused_and_says_why(ask: Ask) -> None:
    first = {**paid(100), "id": "T1"}
    second = corrected(first, amount=3)
    there = "an event with `id` = 'T1' was there before with "
    lower, same = "a higher revision: `version` is 1, it was 2", "other content and the same revision: `version` is 2"
    rows = [first, {**first, "amount": 1}, second, first, {**second, "amount": 4}, paid(20)]
    refused = [{"refused": f"{there}other content and the same revision: `version` is 1"}]
    assert ask(SUM, rows) == [100, *refused, 3, {"refused": there + lower}, {"refused": there + same}, 23]


def test_revisions_may_leap(ask: Ask) -> None:
    first = paid(100)
    assert ask(SUM, [first, {**first, "amount": 3, "version": 9}, {**first, "amount": 5, "version": 12}]) == [100, 3, 5]


def test_a_higher_revision_that_says_the_same_is_a_correction_all_the_same(ask: Ask) -> None:
    first = paid(100)
    assert ask(SUM, [first, paid(20), {**first, "version": 2}, paid(0)]) == [100, 120, 120, 120]


def test_an_event_moves_to_another_key(ask: Ask) -> None:
    first = paid(100)
    rows = [first, paid(20), corrected(first, account="B"), paid(1), paid(2, account="B")]
    assert ask(SUM, rows) == [100, 120, 100, 21, 102]


def test_an_event_loses_its_key_and_gets_it_back(ask: Ask) -> None:
    first = paid(100)
    lost = corrected(first, account=MISSING)
    assert ask(SUM, [first, lost, paid(1), corrected(lost, account="A1"), paid(2)]) == [100, missing("absent"), 1, 101, 103]


def test_an_event_moves_in_time(ask: Ask) -> None:
    first = paid(100)
    rows = [first, corrected(first, at=START - HOUR), paid(20, START + 7 * DAY - HOUR - 1), paid(1, START + 7 * DAY - HOUR)]
    assert ask(SUM, rows) == [100, 100, 120, 21]


def test_a_correction_takes_the_place_in_the_order_at_which_it_arrives(ask: Ask) -> None:
    first = paid(1)
    rows = [first, paid(2), corrected(first, amount=3), paid(4)]
    assert ask(feature("last", "last", days(7), read("amount")), rows) == [missing("empty"), 1, 2, 3]
    assert ask(feature("first", "first", days(7), read("amount")), rows) == [1, 1, 2, 2]


def test_both_roles_of_an_event_are_corrected(ask: Ask) -> None:
    by_role = feature("n", "count", days(7), matched=("account", "payee"))
    first = paid(1, account="A", payee="B")
    rows = [first, paid(1, account="B", payee="X"), corrected(first, payee="C"), paid(1, account="B", payee="X"), paid(1, account="C")]
    assert ask(by_role, rows) == [1, 2, 1, 2, 2]


def test_a_condition_that_no_longer_holds_takes_the_event_out(ask: Ask) -> None:
    first = paid(1)
    incoming = feature("n", "count", days(7), where=INCOMING)
    rows = [first, corrected(first, direction="out"), paid(1)]
    assert ask(incoming, rows) == [1, 0, 1]


def test_what_could_not_be_judged_is_known_after_its_correction(ask: Ask) -> None:
    first = paid(1, direction=MISSING)
    incoming = feature("n", "count", days(7), where=INCOMING)
    rows = [first, paid(1), corrected(first, direction="in"), paid(1)]
    assert ask(incoming, rows) == [Interval(0, 1, "undecided history"), Interval(1, 2, "undecided history"), 2, 3]


# --- windows that end at rows ----------------------------------------------------------------------------------------


def test_a_row_comes_back_into_the_last_events_when_another_leaves(ask: Ask) -> None:
    rows = [paid(1), paid(10), paid(100), paid(1000)]
    rows += [corrected(rows[2], account="B"), paid(10_000)]
    last = feature("last_3", "sum", ir.Window("events", 3, "events"), read("amount"), bounded=True)
    assert ask(last, rows, FOREVER) == [1, 11, 111, 1110, 100, 11_010]


def test_an_event_that_begins_a_window_is_corrected_to_be_none(ask: Ask) -> None:
    rows = [paid(1, direction="in"), paid(10, direction="out"), paid(100, direction="in"), paid(1000, direction="out")]
    rows += [corrected(rows[2], direction="out"), paid(10_000, direction="out")]
    since = feature("since", "sum", ir.Window("since event", event=INCOMING), read("amount"), bounded=True)
    assert ask(since, rows, FOREVER) == [1, 10, 110, 1000, 1110, 11_110]


# --- late, and what stays --------------------------------------------------------------------------------------------


def test_a_correction_that_is_late_touches_nothing(ask: Ask) -> None:
    first = paid(100)
    rows = [first, paid(20, START + 3 * DAY), corrected(first, amount=3), paid(4, START + 3 * DAY)]
    assert ask(SUM, rows) == [100, 120, LATE, 124]


def test_a_correction_in_time_takes_a_version_away_that_is_long_past(ask: Ask) -> None:
    first = paid(100)
    rows = [first, paid(20, START + 3 * DAY), corrected(first, at=START + 3 * DAY, amount=3), paid(4, START + 3 * DAY)]
    assert ask(SUM, rows) == [100, 120, 23, 27]


def test_lateness_is_judged_for_each_key(ask: Ask) -> None:
    first = paid(100)
    late_for_the_first = corrected(first, account="B", amount=3)
    rows = [first, paid(20, START + 3 * DAY), late_for_the_first, paid(4, START + 3 * DAY), paid(5, account="B")]
    assert ask(SUM, rows) == [100, 120, 3, 124, 8]


def test_every_earlier_version_leaves(ask: Ask) -> None:
    """The second version was late for the key under which the first stands; the third, which is not, takes the first away there."""
    first = paid(100)
    second = corrected(first, account="B", amount=3)
    third = corrected(second, at=START + 3 * DAY, account="C")
    rows = [first, paid(20, START + 3 * DAY), second, third, paid(4, START + 3 * DAY), paid(5, START + 3 * DAY, account="B")]
    assert ask(SUM, rows) == [100, 120, 3, 3, 24, 5]


def test_an_event_that_was_late_enters_by_its_correction(ask: Ask) -> None:
    late = paid(100, START - 3 * DAY)
    rows = [paid(1), late, corrected(late, at=START), paid(2)]
    assert ask(SUM, rows) == [1, LATE, 101, 103]


def test_what_left_history_still_says_how_new_it_is(ask: Ask) -> None:
    ahead = paid(100, START + 30 * DAY)
    rows = [paid(1), ahead, corrected(ahead, account="B"), paid(2), paid(3, START + 30 * DAY)]
    assert ask(SUM, rows) == [1, 100, 100, LATE, 3]


def test_what_left_history_still_says_how_old_the_key_is(ask: Ask) -> None:
    first = paid(100)
    old = feature("n", "count", days(7), needs=("history", DAY, "microseconds"))
    rows = [first, corrected(first, account="B"), paid(1, START + DAY)]
    assert ask(old, rows) == [missing("short history"), missing("short history"), 1]


def test_the_beginning_of_history_stays_the_first_event_that_arrived(ask: Ask) -> None:
    first = paid(100)
    rows = [first, corrected(first, at=START - DAY, account="B"), paid(1, START + 7 * DAY)]
    assert ask(COUNT, rows, None)[-1] == 1


def test_where_time_is_a_date(ask: Ask) -> None:
    under = record(DATE, revision="version")
    first = paid(100, 1000)
    rows = [first, paid(20, 1001), corrected(first, amount=3), paid(4, 1002), corrected(first, version=3, amount=5), paid(4, 1002)]
    assert ask(feature("sum", "sum", dates(7), read("amount"), bounded=True), rows, 0, under) == [100, 120, 3, 27, LATE, 31]


def test_a_correction_that_another_one_overtakes_lets_go_of_no_later_hit(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A higher revision comes, hits and is let through just when it is about to be kept: that hit stands when it is refused."""
    group, passing, once = bound([COUNT], UNDER), Passing(UNDER), ir.Once((read("account"),), days(7), ir.Read("now"))

    def question(row: Row) -> Any:
        return passing.question(Held("rule", once, (row["account"],), row["at"], True), row["id"], row["version"])

    first = paid(100)
    second, third = corrected(first, amount=3), corrected(corrected(first, amount=4))
    url = f"sqlite:{tmp_path / 'history.db'}"
    with open_store(url, [group], UNDER, 0) as one, open_store(url, [group], UNDER, 0) as other:
        one.observe(first)
        assert one.hold(question(first)).held is False
        log = vars(other)["log"]
        append = log.append

        def overtaken(*given: Any) -> Any:
            found = append(*given)
            if found is not None and found.event is not None:  # it knows now that it corrects an event
                monkeypatch.undo()
                one.observe(third)
                assert one.hold(question(third)).held is False
            return found

        monkeypatch.setattr(log, "append", overtaken)
        with pytest.raises(InputError, match="higher revision"):
            other.observe(second)
        later = paid(5, START + HOUR)
        other.observe(later)
        assert other.hold(question(later)).held is True
