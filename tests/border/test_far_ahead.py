"""An event whose time lies far ahead of its arrival is refused at every door, with field, value and bound; nowhere else."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine import Engine, InputError, arrived, replay
from engine.cli.main import main
from engine.values import EPOCH
from tests.revisions.bank import deposit, workspace

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrived, "clock", lambda: (NOW - EPOCH) // dt.timedelta(microseconds=1))


def doors(cascade: Path, event: dict[str, Any], folder: Path) -> list[str | None]:
    """What each door says of an event: a single one, a frame, and a file of a run; none where it is taken."""
    engine = Engine.load(cascade)
    said: list[str | None] = [None]
    try:
        engine.decide(event)
    except InputError as error:
        said = [str(error)]
    frame = engine.decide_batch(pl.DataFrame([event], schema_overrides={"account": pl.String}))
    said.append(next(iter(frame.rejects["reason"]), None))
    (folder / "in.jsonl").write_text(json.dumps(event) + "\n", encoding="utf-8")
    arguments = ["--input", folder / "in.jsonl", "--output", folder / "out.jsonl", "--rejects", folder / "rejects.jsonl", "--json"]
    assert main([str(part) for part in ("run", cascade, *arguments)]) == 0
    rejects = [json.loads(line) for line in (folder / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]
    said.append(next((one["reason"] for one in rejects), None))
    assert len((folder / "out.jsonl").read_text(encoding="utf-8").splitlines()) == (said[-1] is None)
    return said


CASES = {
    "a year and a day, to the microsecond": ("", "datetime", {"booked_at": "2027-03-11T12:00:00Z"}, None),
    "a microsecond more": (
        "",
        "datetime",
        {"booked_at": "2027-03-11T12:00:00.000001Z"},
        "time `booked_at` is too far ahead: 2027-03-11T12:00:00.000001Z is more than 366 days after now, 2026-03-10T12:00:00Z",
    ),
    "what the record says": (
        "  ahead up to 2 days\n",
        "datetime",
        {"booked_at": "2026-03-13T00:00:00Z"},
        "time `booked_at` is too far ahead: 2026-03-13T00:00:00Z is more than 2 days after now, 2026-03-10T12:00:00Z",
    ),
    "after its own arrival": (
        "  ahead up to 2 days\n  arrival received_at\n",
        "datetime",
        {"booked_at": "2019-01-04T00:00:01Z", "received_at": "2019-01-02T00:00:00Z"},
        "time `booked_at` is too far ahead: 2019-01-04T00:00:01Z is more than 2 days after `received_at`, 2019-01-02T00:00:00Z",
    ),
    "in time for its own arrival, whatever the clock says": (
        "  ahead up to 2 days\n  arrival received_at\n",
        "datetime",
        {"booked_at": "2031-01-04T00:00:00Z", "received_at": "2031-01-02T00:00:00Z"},
        None,
    ),
    "days after a day of arrival": (
        "  ahead up to 36 hours\n  arrival received_at\n",
        "date",
        {"booked_at": "2019-01-03T23:00:00Z", "received_at": "2019-01-02"},  # the local day is the fourth
        None,
    ),
    "more days after a day of arrival": (
        "  ahead up to 36 hours\n  arrival received_at\n",
        "date",
        {"booked_at": "2019-01-04T23:00:00Z", "received_at": "2019-01-02"},
        "time `booked_at` is too far ahead: 2019-01-04T23:00:00Z is more than 36 hours after `received_at`, 2019-01-02",
    ),
    "an order of arrival that is no time": (
        "  ahead up to 1 day\n  arrival version\n",
        "datetime",
        {"booked_at": "2026-03-12T00:00:00Z", "version": 3},
        "time `booked_at` is too far ahead: 2026-03-12T00:00:00Z is more than 1 day after now, 2026-03-10T12:00:00Z",
    ),
    "years back is late, and no reason to refuse": ("  late up to 1 day\n", "datetime", {"booked_at": "1996-03-12T00:00:00Z"}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_every_door_says_the_same(tmp_path: Path, case: str) -> None:
    clauses, arrival, given, said = CASES[case]
    cascade = workspace(tmp_path, clauses, arrival=arrival)
    assert doors(cascade, deposit("D1", "") | given, tmp_path) == [said] * 3


DATES = {
    "2026-03-12": None,
    "2026-03-13": "time `booked_at` is too far ahead: 2026-03-13 is more than 2 days after now, 2026-03-10T12:00:00Z",
}


@pytest.mark.parametrize("day", DATES)
def test_records_of_dates_count_local_days(tmp_path: Path, day: str) -> None:
    cascade = workspace(tmp_path, "  ahead up to 2 days\n", time="date")
    assert doors(cascade, deposit("D1", day), tmp_path) == [DATES[day]] * 3


def test_the_local_day_of_the_clock_is_that_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = NOW + dt.timedelta(hours=11, minutes=30)  # in Berlin it is the eleventh already
    monkeypatch.setattr(arrived, "clock", lambda: (late - EPOCH) // dt.timedelta(microseconds=1))
    cascade = workspace(tmp_path, "  ahead up to 2 days\n", time="date")
    assert doors(cascade, deposit("D1", "2026-03-13"), tmp_path) == [None] * 3


def test_a_frame_keeps_its_order_and_its_other_rejects(tmp_path: Path) -> None:
    engine = Engine.load(workspace(tmp_path))
    rows = [deposit("D1", "2026-03-01T09:00"), deposit("D2", "3026-03-01T09:00"), deposit("D3", "soon"), deposit("D4", "2026-03-02T09:00")]
    done = engine.decide_batch(pl.DataFrame(rows))
    assert (done["key"].to_list(), done.rejects["row"].to_list()) == (["D1", "D4"], [1, 2])
    assert json.loads(done.rejects["raw"][0])["booked_at"] == "3026-03-01T09:00"
    assert "too far ahead" in done.rejects["reason"][0] and "cannot be read" in done.rejects["reason"][1]


def test_an_event_that_is_refused_leaves_no_trace_in_history(tmp_path: Path) -> None:
    engine = Engine.load(workspace(tmp_path))
    with engine.open_store("memory:", history_from="2020-01-01") as store:
        with pytest.raises(InputError, match="too far ahead"):
            engine.decide(deposit("D1", "2206-03-01T09:00"), store=store)
        assert engine.decide(deposit("D2", "2026-03-01T09:00"), store=store).row["habits.deposits_7d"] == 1


def test_stories_and_what_is_given_again_know_no_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A story may lie two thousand years ahead. What was decided stays decided."""
    cascade = workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["test"]) == 0
    with monkeypatch.context() as later:
        later.setattr(arrived, "clock", lambda: (NOW + dt.timedelta(days=20_000) - EPOCH) // dt.timedelta(microseconds=1))
        engine = Engine.load(cascade, ledger=tmp_path / "ledger.db")
        assert engine.ledger is not None
        with engine.ledger:
            engine.decide(deposit("D1", "2066-03-01T09:00"))
    assert replay(tmp_path / "ledger.db").fine
