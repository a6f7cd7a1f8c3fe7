"""The batch: events that come again, rows it cannot take, and what stays of a frame."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from engine.backends.columnar import pack, unpack
from engine.errors import InputError
from engine.features import columnar, columnar_answers
from engine.features.columnar import Reject, WindowState, many, observe
from engine.features.single import HistoryStep
from engine.plan import TICK, Row
from engine.record import Record
from engine.values import DAY, MISSING, Interval, missing
from tests.features.events import bound, days, event, feature, read, record, tick

COUNT = feature("n", "count", days(7))
GROUP = bound([COUNT, feature("sum", "sum", days(7), read("amount"), bounded=True)], record(), "profile.")
START = 1000 * DAY


def frame(rows: list[Row], under: Record | None = None) -> pl.DataFrame:
    return pack(rows, {field.name: field.type for field in (under or record()).fields})


def counts(observed: pl.DataFrame) -> list[Any]:
    return [row["profile.n"] for row in unpack(observed, {"profile.n": COUNT.type})]


@pytest.mark.parametrize("chunks", [1, 2])
def test_an_event_that_comes_again_counts_once_and_gets_the_same_answer(chunks: int) -> None:
    one, two, three = event(START), event(START), event(START)
    parts = [[one, two, one, three, two]] if chunks == 1 else [[one, two, one], [three, two]]
    state = WindowState([GROUP], record(), 0)
    found = [observe(frame(part), state) for part in parts]
    assert [n for observed in found for n in counts(observed.frame)] == [1, 2, 1, 3, 2]
    assert not any(observed.rejects for observed in found)


@pytest.mark.parametrize("groups", [[GROUP], []])
def test_a_key_with_other_content_is_rejected_and_the_others_go_on(groups: list[Any]) -> None:
    one, other = event(START, id="T1"), event(START, id="T1", amount=7)
    state = WindowState(groups, record(), 0)
    observed = observe(frame([one, other, event(START, id="T2"), one]), state)
    reject = Reject(1, "an event with `id` = 'T1' was there before with other content")
    assert observed.rejects == (reject,)
    assert observed.frame["id"].to_list() == ["T1", "T2", "T1"]
    assert not groups or counts(observed.frame) == [1, 2, 1]
    again = observe(frame([other, event(START, id="T3")]), state)
    assert [r.row for r in again.rejects] == [0]
    assert not groups or counts(again.frame) == [3]


def test_rows_without_key_or_time_are_rejected_with_the_cause() -> None:
    rows = [event(START, id=missing("damaged")), {**event(START), "at": MISSING}, event(START)]
    observed = observe(frame(rows), WindowState([GROUP], record(), 0))
    assert [reject.message for reject in observed.rejects] == [
        "an event needs `id`: it is missing (damaged)",
        "an event needs `at`: it is missing (absent)",
    ]
    assert counts(observed.frame) == [1]


def test_a_frame_of_rejects_alone_has_its_columns_and_no_rows() -> None:
    observed = observe(frame([event(START, id=MISSING)]), WindowState([GROUP], record()))
    assert observed.frame.height == 0
    assert set(columnar.columns(GROUP.types)) < set(observed.frame.columns)


def test_an_empty_frame_is_no_event() -> None:
    state = WindowState([GROUP], record())
    assert observe(frame([event(START)])[:0], state).frame.height == 0
    assert state.since is None


def test_other_columns_and_the_order_of_rows_stay() -> None:
    given = frame([event(START, "B"), event(START, "A"), event(START, "B")]).with_columns(pl.Series("line", [7, 8, 9]))
    observed = observe(given, WindowState([GROUP], record(), 0)).frame
    assert observed.select(given.columns).equals(given)
    assert counts(observed) == [1, 1, 2]


def test_a_frame_may_leave_causes_out() -> None:
    given = frame([event(START), event(START, MISSING)]).select(pl.exclude("^.*#$"))
    assert counts(observe(given, WindowState([GROUP], record(), 0)).frame) == [1, MISSING]


def test_answers_that_wait_on_disk_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar_answers, "_KEPT_ROWS", 4)
    rows = [event(START + number) for number in range(20)]
    state = WindowState([GROUP], record())
    first = [n for start in range(0, 20, 3) for n in counts(observe(frame(rows[start : start + 3]), state).frame)]
    folder = state.answers._folder
    assert folder is not None
    assert len(list(folder.iterdir())) > 1
    backwards = list(reversed(rows))
    assert counts(observe(frame(backwards), state).frame) == list(reversed(first))
    assert first[-1] == Interval(20, None, "short history")
    del state
    assert not folder.exists()


def test_many_gives_the_features_alone_and_raises_where_a_row_is_rejected() -> None:
    state = WindowState([GROUP], record(), 0)
    assert many(frame([event(START, id="T1")]), state).columns == columnar.columns(GROUP.types)
    with pytest.raises(InputError, match="'T1' was there before with other content"):
        many(frame([event(START, id="T1", amount=7)]), state)


def test_the_step_over_a_state_and_over_none() -> None:
    step, given = HistoryStep((GROUP,), record()), frame([event(START), event(START)])
    assert counts(step.over(WindowState([GROUP], record(), 0)).many(given)) == [1, 2]
    unbound = unpack(step.many(given), step.types)
    assert unbound == [step.one({})] * 2


def ticked(rows: list[Row]) -> pl.DataFrame:
    return frame(rows).with_columns(pl.Series(TICK, [row.get(TICK) for row in rows], pl.Boolean))


def test_a_tick_looks_and_never_enters() -> None:
    rows = [event(START), tick(START, record(), account="A1"), tick(START, record(), account="A1"), event(START + 1)]
    state = WindowState([GROUP], record(), 0)
    observed = observe(ticked(rows), state)
    assert not observed.rejects
    assert observed.frame[TICK].to_list() == [None, True, True, None]
    assert counts(observed.frame) == [1, 1, 1, 2]
    assert counts(observe(ticked([tick(START + 1, record(), account="A1"), rows[0]]), state).frame) == [2, 1]


def test_a_tick_needs_a_time_and_no_key() -> None:
    rows = [event(START, id=MISSING), tick(MISSING, record(), account="A1"), tick(START, record())]
    observed = observe(ticked(rows), WindowState([GROUP], record(), 0))
    assert [(reject.row, reject.message) for reject in observed.rejects] == [
        (0, "an event needs `id`: it is missing (absent)"),
        (1, "an event needs `at`: it is missing (absent)"),
    ]
    assert counts(observed.frame) == [MISSING]


def test_history_does_not_begin_with_a_tick() -> None:
    state = WindowState([GROUP], record())
    first = observe(ticked([tick(START - DAY, record(), account="A1")]), state)
    assert counts(first.frame) == [Interval(0, None, "short history")]
    assert state.since is None
    observe(ticked([tick(START, record(), account="A1"), event(START + 1)]), state)
    assert state.since == START + 1


def test_a_tick_that_comes_too_late_is_told_so() -> None:
    rows = [event(START), tick(START - DAY - 1, record(), account="A1"), tick(START - DAY - 1, record(), account="A2")]
    assert counts(observe(ticked(rows), WindowState([GROUP], record(), 0)).frame) == [1, missing("late"), 0]
