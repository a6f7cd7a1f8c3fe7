"""Ticks: when they are, before which events they come, of which keys they tell, and that live and batch say the same of them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import Engine
from engine.errors import InputError
from engine.features.columnar import ANSWER
from engine.features.windows import Clock
from engine.plan import NOW, TICK
from engine.rerun import replay
from engine.run import batch, ticks
from engine.run.border import typed
from engine.run.moments import Every, next_tick
from engine.run.ticks import Ticks
from tests.run.test_parted import feed, run, workspace

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
DAY = 86_400_000_000


def utc(text: str) -> int:
    return (dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("zone", "period", "after", "then"),
    [
        ("UTC", "day", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("UTC", "day", "2026-01-01T23:59:59.999999", "2026-01-02T00:00"),
        ("Europe/Berlin", "day", "2026-03-28T23:00", "2026-03-29T22:00"),  # a day of 23 hours
        ("Europe/Berlin", "day", "2026-10-24T22:00", "2026-10-25T23:00"),  # and one of 25
        ("Europe/Berlin", "hour", "2026-10-25T00:30", "2026-10-25T01:00"),  # two o'clock, and an hour later again
        ("Europe/Berlin", "hour", "2026-10-25T01:00", "2026-10-25T02:00"),
        ("Asia/Kolkata", "hour", "2026-01-01T00:00", "2026-01-01T00:30"),
        ("Australia/Lord_Howe", "hour", "2026-10-03T15:00", "2026-10-03T16:00"),  # at two the clock goes on by half an hour
        ("Africa/Cairo", "day", "2026-04-23T10:00", "2026-04-23T22:00"),  # a day without midnight begins with its first moment
        ("America/Havana", "day", "2020-11-01T04:30", "2020-11-02T05:00"),  # midnight comes twice: only the first begins a day
        ("Pacific/Apia", "day", "2011-12-29T11:00", "2011-12-30T10:00"),  # a day that was left out
        ("UTC", "week", "2026-01-01T00:00", "2026-01-05T00:00"),
        ("UTC", "month", "2026-01-31T12:00", "2026-02-01T00:00"),
        ("UTC", "month", "2026-12-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_a_tick_is_where_a_period_begins(zone: str, period: str, after: str, then: str) -> None:
    assert next_tick(Clock(zone, False), period, utc(after)) == utc(then)


def test_where_time_counts_days_a_tick_is_a_day() -> None:
    clock = Clock("Europe/Berlin", True)
    assert [next_tick(clock, period, 20_454) for period in ("day", "week", "month")] == [20_455, 20_458, 20_485]


def test_after_the_calendar_there_is_none() -> None:
    assert next_tick(Clock("UTC", False), "day", utc("9999-12-31T12:00")) is None
    assert next_tick(Clock("UTC", False), "hour", utc("9999-12-31T23:30")) is None
    assert next_tick(Clock("UTC", True), "month", (dt.date(9999, 12, 5) - dt.date(1970, 1, 1)).days) is None


# --- where they stand -------------------------------------------------------------------------------------------------


def expected(events: Sequence[tuple[int, str | None, str | None]], until: int | None) -> list[tuple[bool, int, str | None]]:
    """By brute force, over (hour, payer, payee): what comes in which order. A key is an account that paid or was paid."""
    found: list[tuple[bool, int, str | None]] = []
    keys: list[str] = []
    newest: int | None = None

    def passed(begin: int, end: int) -> None:
        for day in range(begin // 24 + 1, end // 24 + 1):
            if until is None or day * 24 <= until:
                found.extend((True, day * 24, key) for key in keys)

    for hour, payer, payee in events:
        if newest is not None and hour > newest:
            passed(newest, hour)
        newest = hour if newest is None else max(newest, hour)
        found.append((False, hour, payer))
        keys += [name for name in dict.fromkeys((payer, payee)) if name is not None and name not in keys]
    if until is not None and newest is not None:
        passed(newest, until)
    return found


ACCOUNT = st.sampled_from(["A", "B", "C", None])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 150), ACCOUNT, ACCOUNT), max_size=25), st.integers(1, 8), st.none() | st.integers(0, 9))
def test_ticks_stand_before_the_first_event_that_is_not_earlier(
    roles: Engine, events: list[tuple[int, str | None, str | None]], chunk: int, until: int | None
) -> None:
    every = Every("day", ("payer",), None if until is None else until * DAY)
    rows = [{"id": str(n), "at": at(hour), "payer": a, "payee": b, "currency": "EUR"} for n, (hour, a, b) in enumerate(events)]
    among, found = Ticks(every, roles.plan), list[tuple[bool, int, str | None]]()
    for start in range(0, len(rows), chunk):
        frame = typed(
            roles.record, pl.DataFrame(rows[start : start + chunk], schema_overrides={"payer": pl.String, "payee": pl.String})
        ).frame
        for part in among.among(frame.with_columns(pl.int_range(frame.height).alias(ANSWER))):
            found += part.select(TICK, pl.col(NOW) // (DAY // 24), "payer").rows()
    for part in among.rest():
        found += part.select(TICK, pl.col(NOW) // (DAY // 24), "payer").rows()
    assert found == expected(events, None if until is None else until * 24)


def at(hour: int) -> str:
    return (EPOCH + dt.timedelta(hours=hour)).isoformat()


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("roles")
    workspace(folder)
    record = folder / "rulesets/bank/transfer.rules"
    record.write_text(record.read_text().replace("Europe/Berlin", "UTC"))
    return Engine.load(folder / "cascades/screening.yaml")


# --- what they say ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_live_says_what_the_batch_says(tmp_path: Path, seed: int) -> None:
    """Law 2: a service that ticks when the stream's time passes a midnight decides as a run over the file does."""
    engine = workspace(tmp_path)
    files = feed(tmp_path, seed, 300)
    since = "2024-10-01"
    raw, *_ = run(engine, files, tmp_path, ticks=Every.of(engine.plan, "day", ["payer"]), history_from=since)
    decisions = [json.loads(line) for line in raw.splitlines()]
    events = iter([line for file in files for line in file.read_text().splitlines()])
    compared = 0
    with engine.open_store(history_from=since) as store:
        for wanted in decisions:
            if wanted["tick"]:
                moment = dt.datetime.fromisoformat(wanted["time"])
                found = engine.tick({"payer": wanted["per.payer"]}, moment, store=store)
                assert found.key is None and found.tick == {"payer": wanted["per.payer"]} and found.explain()
                compared += 1
            else:
                found = decide_next(engine, events, store)
                assert found.key == wanted["key"]
            assert (found.outcome, list(found.possible), found.score) == (wanted["outcome"], wanted["possible"], wanted["score"])
            assert (list(found.hits), list(found.undecided)) == (wanted["hits"], wanted["undecided"])
    assert compared > 15


def decide_next(engine: Engine, events: Any, store: Any) -> Any:
    for event in events:
        try:
            return engine.decide(event, store=store)
        except InputError:
            continue
    raise AssertionError


def test_an_event_that_is_refused_moves_no_clock_and_brings_no_key(tmp_path: Path) -> None:
    engine = workspace(tmp_path)
    event = {"id": "1", "at": "2024-10-01T10:00:00", "payer": "A", "payee": "B", "amount": "1", "currency": "EUR"}
    again = event | {"at": "2025-10-01T10:00:00", "payer": "X"}
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, [event, again, event | {"id": "2", "at": "2024-10-02T10:00:00"}])))
    raw, rejects, *_ = run(engine, [tmp_path / "x.jsonl"], tmp_path, ticks=Every.of(engine.plan, "day", ["payer"]))
    decisions = [json.loads(line) for line in raw.splitlines()]
    assert [(one["key"], one["tick"], one["per.payer"]) for one in decisions] == [
        ("1", False, "A"),
        (None, True, "A"),
        (None, True, "B"),
        ("2", False, "A"),
    ]
    assert rejects.count(b"was there before with other content") == 1


def test_many_keys_and_ticks_come_in_frames_that_are_not_too_large(roles: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticks, "CHUNK_ROWS", 10)
    rows = [{"id": str(n), "at": at(n // 25), "payer": f"A{n}", "payee": None, "currency": "EUR"} for n in range(25)]
    rows.append({"id": "x", "at": at(24 * 5), "payer": "A0", "payee": None, "currency": "EUR"})
    frame = typed(roles.record, pl.DataFrame(rows)).frame.with_columns(pl.int_range(26).alias(ANSWER))
    found = list(Ticks(Every("day", ("payer",)), roles.plan).among(frame))
    assert [part.height for part in found] == [10] * 15 + [1] and len({row for part in found for row in part["@row"]}) == 151


def test_decisions_of_ticks_are_recorded_and_given_again(tmp_path: Path) -> None:
    workspace(tmp_path)
    engine = Engine.load(tmp_path / "cascades/screening.yaml", ledger=tmp_path / "l.db")
    assert engine.ledger is not None
    with engine.ledger, engine.open_store(history_from="2024-01-01") as store:
        engine.decide({"id": 1, "at": "2024-10-01T10:00:00", "payer": "A", "payee": "B", "amount": 1, "currency": "EUR"}, store=store)
        kept = engine.tick({"payer": "A"}, "2024-11-15T00:00:00", store=store)
        assert kept.id is not None and kept.hits == ("QUIET-01",) and kept.to_dict()["tick"] == {"payer": "A"}
        assert engine.tick({"payer": "A"}, "2024-10-02T00:00:00", store=store, record=False).hits == ()
        (entry,) = list(engine.ledger.entries())[1:]
        assert json.loads(entry.event) == {"tick": "2024-11-14T23:00:00Z", "payer": "A"}
    found = replay(tmp_path / "l.db")
    assert (found.count, found.same) == (2, 2)


@pytest.mark.parametrize(
    ("keys", "at_", "said"),
    [
        ({"payer": "A"}, "soon", "time `at` cannot be read as datetime (like `2026-03-31T14:30:00`): `soon`"),
        ({"payer": None}, "2024-10-01T00:00", "key `payer` is missing"),
        ({"branch": "x"}, "2024-10-01", "key `branch` cannot be read as integer: `x`"),
        ({"payor": "A"}, "2024-10-01", "`bank/transfer` has no field `payor`; did you mean `payer`?"),
        (
            {"currency": "EUR"},
            "2024-10-01",
            "no feature is per `currency`; they are per `payer` or `branch` or `payer, payee`",
        ),
    ],
)
def test_what_is_no_tick_is_told(roles: Engine, keys: dict[str, Any], at_: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        roles.tick(keys, at_)
    assert str(caught.value) == said


def test_hours_of_days_are_refused(tmp_path: Path) -> None:
    workspace(tmp_path)
    record = tmp_path / "rulesets/bank/transfer.rules"
    record.write_text(record.read_text().replace("at: datetime", "at: date"))
    plan = Engine.load(tmp_path / "cascades/screening.yaml").plan
    with pytest.raises(InputError, match="`at` of `bank/transfer` counts days: a tick is a day, week or month"):
        Every.of(plan, "hour", ["payer"])
    assert Every.of(plan, "day", ["payer"], "1970-01-31").until == 30
    assert batch.BatchRun(plan, detail="names", per=["payer"]).readings.off.per == ["payer"]
