"""A folder of locks decides every event by the rules of its day: over the bundled rules, with a limit that changed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine import Engine, replay
from engine.cli.main import main
from engine.errors import InputError
from engine.ledger.log import Ledger
from engine.registry.lock import Lock
from engine.zones import zone
from tests.examples.bookings import SINCE, bookings
from tests.registry.succession import PACK_DAY, SHOWN, one_by_one, pack, rows, told

EVENTS = bookings()
FRAME = pl.DataFrame(EVENTS, infer_schema_length=None)
ODD = {"direction": "in", "channel": "cash", "amount": "9500.00", "account": "A1", "depositor": "A1"}


@pytest.fixture(scope="module")
def locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="module")
def engine(locks: Path) -> Engine:
    return Engine.load(locks)


def later(time: str) -> bool:
    """Whether a time lies on a day of the second lock, where the record's clocks hang."""
    return dt.datetime.fromisoformat(time).astimezone(zone("America/New_York")).date() >= PACK_DAY


def by(engine: Engine, **options: Any) -> pl.DataFrame:
    frame: pl.DataFrame = engine.decide_batch(FRAME, detail="names", history_from=SINCE, **options)
    return frame


def test_every_row_is_decided_by_the_lock_of_its_day(locks: Path, engine: Engine) -> None:
    first, second = (Engine.load(locks / f"{name}.lock") for name in ("first", "second"))
    whole, earlier, after = by(engine, values=True), by(first, values=True), by(second, values=True)
    days = pl.Series([later(event["booked_at"]) for event in EVENTS])
    assert whole["lock"].to_list() == [second.lock if day else first.lock for day in days]
    assert 50 < days.sum() < len(EVENTS) - 50
    assert whole.select(earlier.columns).filter(~days).equals(earlier.filter(~days))
    assert whole.select(after.columns).filter(days).equals(after.filter(days))
    # else nothing would show: the locks differ before the day and after it, in hits and in outcomes
    for part in (days, ~days):
        assert (earlier["outcome"] != after["outcome"]).filter(part).sum() >= 3
        assert (earlier["hits"] != after["hits"]).filter(part).sum() >= 3


def test_the_day_begins_at_midnight_where_the_record_is(locks: Path, engine: Engine) -> None:
    """9,500 USD in cash are reported under the second lock alone."""
    events = [{**EVENTS[0], **ODD, "id": time, "booked_at": time} for time in ("2026-03-10T03:59:59Z", "2026-03-10T04:00:00Z")]
    found = []
    for event in events:
        with engine.open_store(history_from=SINCE) as store:
            found.append(engine.decide(event, store=store))
    assert [("CASH-01" in one.hits, one.outcome) for one in found] == [(False, "approve"), (True, "review")]
    assert ("ruleset", "aml/cash", "1.5.0") in {one[:3] for one in found[0].versions}
    assert ("ruleset", "aml/cash", "1.6.0") in {one[:3] for one in found[1].versions}
    assert "aml/cash@1.5.0" in found[0].explain() and "aml/cash@1.6.0" in found[1].explain()
    assert [one.lock for one in found] == [Lock.read(locks / f"{name}.lock").seal for name in ("first", "second")]


@pytest.mark.parametrize("url", ["memory:", "sqlite:history.db"])
def test_one_by_one_they_are_decided_alike(engine: Engine, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with engine.open_store(url, history_from=SINCE) as store:
        assert one_by_one(engine, EVENTS, store) == rows(by(engine))
        again = engine.decide(EVENTS[0], store=store, record=False)
        assert told(again) == rows(by(engine))[0], "the same event gets the same answer"


def test_bits_stand_for_the_names_of_all(engine: Engine) -> None:
    named, bits = by(engine), engine.decide_batch(FRAME, history_from=SINCE)
    for column, names in {"hits": engine.rule_ids, "undecided": engine.rule_ids, "flags": engine.flag_names}.items():
        for words, wanted in zip(bits[column].to_list(), named[column].to_list(), strict=True):
            found = {name for at, name in enumerate(names) if words[at // 64] >> at % 64 & 1}
            assert found == set(wanted)
    assert bits.columns == named.columns


def test_files_are_decided_and_recorded_by_the_locks_of_their_days(
    locks: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("feed.jsonl").write_text("\n".join(map(json.dumps, EVENTS)), encoding="utf-8")
    where = ["--input", "feed.jsonl", "--rejects", "rejects.csv", "--history-from", SINCE]
    assert main(["run", str(locks), *where, "--output", "all.parquet", "--ledger", "ledger.db", "--report", "report.html"]) == 0
    said = capsys.readouterr().out
    frame = pl.read_parquet("all.parquet")
    assert rows(frame) == rows(by(engine))
    counts = dict(frame["lock"].value_counts().iter_rows())
    for term in engine.following.terms:  # type: ignore[union-attr]
        assert f"{counts[term.seal]:>11,}  {term.name}" in said
        assert term.name in Path("report.html").read_text(encoding="utf-8")
    found = replay("ledger.db")
    assert (found.count, found.same, found.altered) == (len(EVENTS), len(EVENTS), ())
    with Ledger.read(Path("ledger.db")) as ledger:
        bodies = [json.loads(entry.body) for entry in ledger.entries()]
    assert [(one["key"], one["lock"]) for one in bodies] == frame.select("key", "lock").rows()
    assert main(["run", str(locks), *where, "--output", "parted.parquet", "--memory", "10MB"]) == 0
    assert pl.read_parquet("parted.parquet").equals(frame)
    assert main(["run", str(locks), *where, "--output", "newest.parquet", "--newest"]) == 0
    newest = pl.read_parquet("newest.parquet")
    assert newest.select(SHOWN).equals(by(Engine.load(locks / "second.lock")).select(SHOWN))


def test_the_newest_alone_is_what_that_lock_is(locks: Path) -> None:
    newest, second = Engine.load(locks, versions="newest"), Engine.load(locks / "second.lock")
    assert newest.lock == second.lock and by(newest).equals(by(second)) and "lock" not in by(newest).columns
    with pytest.raises(InputError, match='versions are "in force" or "newest", not `latest`'):
        Engine.load(locks, versions="latest")


def test_history_is_built_for_the_features_of_all(
    locks: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store of the first lock alone is refused; one that is built for all of them goes on as a batch does."""
    monkeypatch.chdir(tmp_path)
    half = len(EVENTS) // 2
    Path("past.jsonl").write_text("\n".join(map(json.dumps, EVENTS[:half])), encoding="utf-8")
    Path("event.json").write_text(json.dumps(EVENTS[half]), encoding="utf-8")
    assert main(["decide", str(locks / "first.lock"), "event.json", "--store", "sqlite:history.db", "--history-from", SINCE]) == 0
    assert main(["decide", str(locks), "event.json", "--store", "sqlite:history.db"]) == 2
    assert "made for other features" in capsys.readouterr().err
    build = ["--store", "sqlite:history.db", "--input", "past.jsonl", "--rejects", "rejects.csv", "--history-from", SINCE]
    assert main(["backfill", str(locks), *build]) == 0
    assert main(["features", str(locks), "--store", "sqlite:history.db", "--key", f"account={EVENTS[half]['account']}"]) == 0
    assert "near_misses_7d" in capsys.readouterr().out
    with engine.open_store("sqlite:history.db") as store:
        assert one_by_one(engine, EVENTS[half:], store) == rows(by(engine))[half:]
