"""Locks that follow one another, and of which everything differs: many is one by one all the same. What cannot follow is refused."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from engine import Engine, replay
from engine.cli.main import main
from engine.errors import InputError, RegistryError
from engine.record import read_event
from engine.registry.lock import Lock
from tests.registry.succession import BEGINS, CASCADE, lock, new_rules, old_rules, one_by_one, sales, shop, with_rejects, write

SCHEMA = dict.fromkeys(("id", "at", "account", "amount", "country"), pl.String)


@pytest.fixture(scope="module")
def locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def engine(locks: Path) -> Engine:
    return Engine.load(locks)


def frame(events: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(events, SCHEMA)


@pytest.mark.parametrize("seed", range(8))
def test_many_are_decided_as_one_by_one(engine: Engine, seed: int) -> None:
    events = sales(Random(seed), 120)
    batch = engine.decide_batch(frame(events), detail="names", history_from="2026-06-01")
    with engine.open_store(history_from="2026-06-01") as store:
        assert one_by_one(engine, events, store) == with_rejects(batch)
    assert set(batch["lock"].unique()) == set(engine.locks) and batch.rejects.height
    held = batch.filter(pl.col("held").list.len() > 0)
    assert held.height and set(held["lock"].unique()) == set(engine.locks)


def test_a_rule_that_stayed_knows_what_it_said_under_the_lock_before(engine: Engine) -> None:
    """OFTEN-02 reads features that changed, and begins anew; BIG-01 has another limit, and begins anew; going back, both remember."""
    days = ("2026-07-08", "2026-07-09", "2026-07-10", "2026-07-11", "2026-07-15", "2026-07-16")
    events = [{"id": day, "at": f"{day}T12:00:00", "account": "A", "amount": "150.00"} for day in days]
    with engine.open_store(history_from="2026-06-01") as store:
        found = [engine.decide(event, store=store) for event in events]
    assert ["BIG-01" in one.held for one in found] == [False, True, False, True, False, True]
    batch = engine.decide_batch(frame(events), detail="names", history_from="2026-06-01")
    assert [one.held for one in found] == [tuple(names) for names in batch["held"].to_list()]


def test_events_before_the_first_lock_enter_history_and_are_not_decided(engine: Engine) -> None:
    early = {"id": "E", "at": "2026-07-04T23:59:59", "account": "A", "amount": "150.00"}
    with pytest.raises(InputError) as error:
        engine.decide(early)
    assert str(error.value) == engine.decide_batch(frame([early])).rejects["reason"][0]
    assert str(error.value).startswith("no lock is in force yet, the first, `")
    assert str(error.value).endswith("a.lock`, holds from 2026-07-05: it is of 2026-07-04")
    with pytest.raises(InputError, match="no lock is in force yet"):
        engine.tick({"account": "A"}, "2026-07-04T12:00:00")
    with engine.open_store(history_from="2026-06-01") as store:
        engine.remember(read_event(engine.record, early), store)
        assert engine.decide({**early, "id": "F", "at": "2026-07-05T00:00:00"}, store=store).row["habits.spent"] == 30_000


def test_a_tick_is_decided_by_the_lock_of_its_moment(engine: Engine) -> None:
    found = [engine.tick({"account": "A"}, time) for time in ("2026-07-09T23:59:59", "2026-07-10T00:00:00", "2026-07-15T00:00:00")]
    assert [one.lock for one in found] == list(engine.locks)


def test_a_run_with_ticks_and_a_ledger(locks: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events = sales(Random(5), 80)
    Path("feed.jsonl").write_text("\n".join(map(json.dumps, events)), encoding="utf-8")
    where = ["--input", "feed.jsonl", "--rejects", "r.jsonl", "--history-from", "2026-06-01", "--tick", "day", "--per", "account"]
    assert main(["run", str(locks), *where, "--output", "d.jsonl", "--ledger", "ledger.db", "--values"]) == 0
    found = pl.read_ndjson("d.jsonl", infer_schema_length=None)
    begins = dict(zip(engine.locks, BEGINS, strict=True))
    ticks = found.filter("tick")
    for time, seal in ticks.select("time", "lock").rows():
        day = (dt.datetime.fromisoformat(time) + dt.timedelta(hours=2)).date()
        assert begins[seal] == max(begin for begin in BEGINS if begin <= day)
    events_alone = found.filter(~pl.col("tick"))
    batch = engine.decide_batch(frame(events), detail="names", history_from="2026-06-01")
    assert events_alone["key"].to_list() == batch["key"].to_list() and events_alone["lock"].to_list() == batch["lock"].to_list()
    assert pl.read_ndjson("r.jsonl")["reason"].sort().to_list() == batch.rejects["reason"].sort().to_list()
    again = replay("ledger.db")
    assert (again.count, again.same, again.altered) == (found.height, found.height, ())
    assert main(["run", str(locks), *where, "--output", "parted.jsonl", "--values", "--memory", "10MB"]) == 0
    assert Path("parted.jsonl").read_bytes() == Path("d.jsonl").read_bytes()


def test_a_store_built_from_their_ledger_goes_on(locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with what each record read of events of its time."""
    monkeypatch.chdir(tmp_path)
    engine = Engine.load(locks, ledger="ledger.db")
    assert engine.ledger is not None
    after = {"id": "N", "at": "2026-07-18T12:00:00", "account": "A", "amount": "20.00", "country": "FR"}
    with engine.ledger, engine.open_store(history_from="2026-06-01") as store:
        one_by_one(engine, sales(Random(3), 80), store)
        wanted = engine.decide(after, store=store, record=False)
    build = ["--store", "sqlite:history.db", "--ledger", "ledger.db", "--history-from", "2026-06-01"]
    assert main(["backfill", str(locks), *build]) == 0
    with engine.open_store("sqlite:history.db") as store:
        assert engine.decide(after, store=store, record=False).to_json() == wanted.to_json()


def test_a_correction_under_the_next_lock_revises_what_the_one_before_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old_rules(tmp_path)
    path = tmp_path / "rulesets/shop/sale.rules"
    path.write_text(path.read_text().replace("  time at\n", "  time at\n  revision turn\n") + "  field turn: integer\n")
    first = lock(tmp_path, BEGINS[0], "a")
    first.with_name("b.lock").write_text(replace(Lock.read(first), since=BEGINS[1]).text())
    engine = Engine.load(first.parent, ledger="ledger.db")
    event = {"id": "S", "at": "2026-07-09T12:00:00", "account": "A", "amount": "10.00", "turn": 1}
    assert engine.ledger is not None
    with engine.ledger:
        one = engine.decide(event)
        two = engine.decide({**event, "at": "2026-07-10T12:00:00", "turn": 2})
    assert one.lock != two.lock and two.revises is not None and two.revises.id == one.id
    assert replay("ledger.db").fine


def test_an_empty_frame_and_a_frame_of_early_rows_alone(engine: Engine) -> None:
    whole = engine.decide_batch(frame(sales(Random(1), 50)), values=True)
    for events in ([], [{"id": "E", "at": "2026-07-01"}]):
        found = engine.decide_batch(frame(events), values=True)
        assert found.height == 0 and found.schema == whole.schema and found.rejects.height == len(events)


# --- what cannot follow --------------------------------------------------------------------------------------------------


def refused(folder: Path) -> str:
    with pytest.raises(RegistryError) as error:
        Engine.load(folder)
    assert main(["decide", str(folder), "event.json"]) == 2
    return str(error.value)


def test_two_locks_of_one_day(locks: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.lock").write_text(replace(Lock.read(locks / f"{name}.lock"), since=BEGINS[0]).text())
    assert refused(tmp_path) == (
        f"`{tmp_path}/a.lock` and `{tmp_path}/b.lock` both hold from 2026-07-05: one of them must go, or begin another day"
    )


def test_a_lock_without_a_day(locks: Path, tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_text(replace(Lock.read(locks / "a.lock"), since=None).text())
    said = refused(tmp_path)
    assert said.startswith(f"the lock `{tmp_path}/a.lock` does not say from when it holds: make it anew with `engine lock cascades/")


def test_locks_of_two_cascades(tmp_path: Path) -> None:
    old_rules(tmp_path)
    lock(tmp_path, BEGINS[0], "a")
    write(
        tmp_path, "cascades/other.yaml", CASCADE.format(version="1.0.0", habits="^1", checks="^1").replace("shop/screening", "shop/other")
    )
    folder = lock(tmp_path, BEGINS[1], "b", "cascades/other.yaml").parent
    both = f"`{folder}/a.lock` is a lock of `shop/screening`, `{folder}/b.lock` of `shop/other`"
    assert refused(folder) == f"{both}: put those of each cascade into a folder of their own"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('zone "Europe/Berlin"', 'zone "UTC"', "the zone differ"),
        ("field account: text optional", "field account: integer optional", "the field `account` differ"),
        ("late up to 2 days", "late up to 3 days", "how late an event may come differ"),
        ("field amount: money EUR", 'field amount: money EUR from "sum"', "the field `amount` differ"),
    ],
)
def test_records_that_read_events_otherwise(tmp_path: Path, old: str, new: str, said: str) -> None:
    old_rules(tmp_path)
    lock(tmp_path, BEGINS[0], "a")
    path = tmp_path / "rulesets/shop/sale.rules"
    path.write_text(path.read_text().replace(old, new).replace("version 1.0.0", "version 1.1.0"))
    folder = lock(tmp_path, BEGINS[1], "b").parent
    told = refused(folder)
    assert told.startswith(f"`{folder}/a.lock` and `{folder}/b.lock` read events otherwise: of the record `shop/sale` 1.0.0 and ")
    assert said in told and told.endswith("load one of them by itself, or keep them in two folders")
    assert Engine.load(folder, versions="newest").plan.record.version == "1.1.0"


def test_a_folder_without_locks_and_a_file_with_newest(tmp_path: Path, locks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RegistryError, match=r"holds no lock: write one with `engine lock CASCADE --from DAY --output .*DAY.lock`"):
        Engine.load(tmp_path)
    assert main(["decide", str(tmp_path), "event.json"]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert main(["decide", str(locks / "a.lock"), "event.json", "--newest"]) == 2
    assert "--newest picks one of the locks in a folder" in capsys.readouterr().err


def test_values_of_two_types_stand_in_no_column(tmp_path: Path) -> None:
    old_rules(tmp_path)
    habits = tmp_path / "rulesets/shop/habits.rules"
    lock(tmp_path, BEGINS[0], "a")
    new_rules(tmp_path)
    habits.write_text(habits.read_text().replace("often = count over", "often = mean of amount over"))
    rules = tmp_path / "rulesets/shop/checks.rules"
    rules.write_text(rules.read_text().replace("habits.often >= 3", "habits.often >= 3 EUR"))
    engine = Engine.load(lock(tmp_path, BEGINS[1], "b").parent)
    events = frame(sales(Random(2), 40))
    assert set(engine.decide_batch(events)["lock"].unique()) == set(engine.locks)
    with pytest.raises(InputError, match=r"`habits.often` is integer in `.*a.lock` and money EUR in `.*b.lock`, which no column can be"):
        engine.decide_batch(events, values=True)
    with engine.open_store(history_from="2026-06-01") as store:
        wanted = one_by_one(engine, events.to_dicts(), store)
    assert wanted == with_rejects(engine.decide_batch(events, detail="names", history_from="2026-06-01"))
