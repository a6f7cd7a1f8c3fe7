"""Law 7 for a store built anew: what it says is what a store says that was fed live; and nothing is replaced before it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine import Engine
from engine.cli.main import main
from engine.errors import StoreError
from engine.record import read_event
from tests.revisions.bank import deposit, workspace

FROM = "2026-01-01"
CASCADE = "cascades/deposits.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    workspace(tmp_path, "  late up to 2 days\n  revision version\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stream(seed: int = 1) -> list[dict[str, Any]]:
    """Late events, events too late, corrections, repeats, and versions that are refused."""
    random, found = Random(seed), list[dict[str, Any]]()
    for number in range(120):
        hour = 24 * 60 + number * 3 - random.choice([0, 0, 0, 5, 30, 90])
        at = f"2026-03-{hour // 24 - 50:02}T{hour % 24:02}:00"
        found.append(deposit(f"D{number}", at, random.randint(1, 500), account=random.choice(["A", "B", "C", None])))
        if number % 5 == 0:
            again = random.choice(found)
            found.append({**again, "amount": 7, "version": again["version"] + random.choice([0, 1, 1, -1])})
        if number % 7 == 0:
            found.append(dict(random.choice(found)))
    return found


def fed(events: list[dict[str, Any]], store: str, ledger: str | None = None) -> None:
    engine = Engine.load(CASCADE, ledger=ledger)
    with engine.open_store(store, history_from=FROM) as history:
        for event in events:
            try:
                engine.decide(event, store=history)
            except Exception as error:
                assert "was there before" in str(error)
    if engine.ledger is not None:
        engine.ledger.close()


def says(store: str, events: list[dict[str, Any]]) -> list[Any]:
    """What a store says of these, and of the next event of each."""
    engine = Engine.load(CASCADE)
    with engine.open_store(store) as history:
        probes = [
            read_event(engine.record, deposit(f"probe {event['id']}", event["booked_at"], account=event["account"])) for event in events
        ]
        kept = [read_event(engine.record, event) for event in events[-40:]]
        looked = [repr(history.observe(row, record=False)) for row in probes]
        return [looked, [_again(history, row) for row in kept], history.measured()[:3]]


def _again(history: Any, row: Any) -> str:
    try:
        return repr(history.observe(row, record=False))
    except Exception as error:
        return str(error)


def test_from_a_ledger_it_is_what_was_fed_live(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = stream()
    fed(events, "sqlite:live.db", "ledger.db")
    arguments = ["--store", "sqlite:built.db", "--ledger", "ledger.db", "--history-from", FROM, "--json"]
    assert main(["backfill", CASCADE, *arguments]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rejected"] == 0 and said["entered"] > 120
    assert says("sqlite:built.db", events) == says("sqlite:live.db", events)


def test_from_files_it_is_what_was_fed_live_and_says_what_it_rejected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = stream(2)
    fed(events, "sqlite:live.db")
    bad = [{**events[0], "id": "X1", "booked_at": "soon"}]
    Path("feed.jsonl").write_text("".join(json.dumps(event) + "\n" for event in [*events, *bad]), encoding="utf-8")
    arguments = ["--store", "sqlite:built.db", "--input", "feed.jsonl", "--rejects", "rejects.jsonl", "--history-from", FROM]
    assert main(["backfill", CASCADE, *arguments]) == 0
    rejects = [json.loads(line) for line in Path("rejects.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted("cannot be read as datetime" in one["reason"] for one in rejects) == [False] * (len(rejects) - 1) + [True]
    assert sum("was there before" in one["reason"] for one in rejects) == len(rejects) - 1 > 3
    assert f"{len(events) + 1 - len(rejects)} events entered, {len(rejects)} rejected" in capsys.readouterr().out
    assert says("sqlite:built.db", events) == says("sqlite:live.db", events)


def test_after_a_change_of_the_features_the_old_store_is_refused_and_a_new_one_is_built(folder: Path) -> None:
    events = stream()[:30]
    fed(events, "sqlite:history.db", "ledger.db")
    habits = folder / "rulesets/bank/habits.rules"
    habits.write_text(habits.read_text(encoding="utf-8").replace("over 7 days", "over 3 days"), encoding="utf-8")
    with pytest.raises(StoreError, match="engine backfill"):
        Engine.load(CASCADE).open_store("sqlite:history.db")
    assert main(["backfill", CASCADE, "--store", "sqlite:history.db", "--ledger", "ledger.db", "--history-from", FROM]) == 0
    fed(events, "sqlite:live.db")
    assert says("sqlite:history.db", events) == says("sqlite:live.db", events)


def test_a_record_that_has_grown_reads_the_events_again(folder: Path) -> None:
    events = [{**event, "channel": "cash"} for event in stream()[:20]]
    fed(events, "sqlite:old.db", "ledger.db")
    record, habits = folder / "rulesets/bank/deposit.rules", folder / "rulesets/bank/habits.rules"
    record.write_text(record.read_text(encoding="utf-8") + "  field channel: text optional\n", encoding="utf-8")
    more = 'feature cash_7d = count over 7 days per account where channel = "cash"\n'
    habits.write_text(habits.read_text(encoding="utf-8") + more, encoding="utf-8")
    assert main(["backfill", CASCADE, "--store", "sqlite:built.db", "--ledger", "ledger.db", "--history-from", FROM]) == 0
    fed(events, "sqlite:live.db")
    assert says("sqlite:built.db", events) == says("sqlite:live.db", events)


def test_what_stops_halfway_replaces_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = stream()[:30]
    fed(events, "sqlite:history.db", "ledger.db")
    before = says("sqlite:history.db", events)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Engine, "remember", stop)
        assert main(["backfill", CASCADE, "--store", "sqlite:history.db", "--ledger", "ledger.db"]) == 130
    assert says("sqlite:history.db", events) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--store", "memory:", "--ledger", "ledger.db"], "history in memory ends with the command"),
        (["--store", "sqlite:x.db", "--input", "feed.jsonl"], "--rejects says where rows go"),
        (["--store", "sqlite:x.db", "--ledger", "none.db"], "there is no ledger `none.db`"),
        (["--store", "sqlite:x.db", "--input", "none.csv", "--rejects", "r.csv"], "there is no file `none.csv`"),
    ],
)
def test_wrong_use_is_told(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(["backfill", CASCADE, *arguments]) == 2
    assert said in capsys.readouterr().err and not Path("x.db").exists()


@pytest.mark.parametrize("name", ["ledger.db", "other.db", "feed.csv", "notes.db.new"])
def test_what_is_no_store_is_not_replaced(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    fed(stream()[:5], "memory:", "ledger.db")
    Path("other.db").write_bytes(Path("ledger.db").read_bytes())
    Path("feed.csv").write_text("id,booked_at,account,amount,version\nD1,2026-03-01T09:00:00,A,10,1\n", encoding="utf-8")
    Path("notes.db.new").write_text("somebody's notes", encoding="utf-8")
    before = Path(name).read_bytes()
    assert main(["backfill", CASCADE, "--store", f"sqlite:{name.removesuffix('.new')}", "--ledger", "ledger.db"]) == 2
    assert f"`{name}`" in capsys.readouterr().err and Path(name).read_bytes() == before


def test_ticks_of_a_ledger_are_no_events_that_were_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fed(stream()[:5], "memory:", "ledger.db")
    ticking = Engine.load(CASCADE, ledger="ledger.db")
    with ticking.open_store("memory:", history_from=FROM) as history:
        ticking.tick({"account": "A"}, "2026-04-01T00:00:00", store=history)
    assert ticking.ledger is not None
    ticking.ledger.close()
    assert main(["backfill", CASCADE, "--store", "sqlite:x.db", "--ledger", "ledger.db", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["entered"] > 0 and said["rejects"] == {}


def test_the_ledger_of_another_cascade_is_not_taken_for_an_empty_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fed(stream()[:5], "sqlite:x.db", "ledger.db")
    kept = Path("x.db").read_bytes()
    Path("cascades/other.yaml").write_text(
        Path(CASCADE).read_text(encoding="utf-8").replace("bank/deposits", "bank/other"), encoding="utf-8"
    )
    said = "no decision in the ledger is of cascade `bank/other`; there are those of `bank/deposits`"
    assert main(["backfill", "cascades/other.yaml", "--store", "sqlite:x.db", "--ledger", "ledger.db"]) == 2
    assert said in capsys.readouterr().err and Path("x.db").read_bytes() == kept
    assert main(["stale", "cascades/other.yaml", "--ledger", "ledger.db"]) == 2
    assert said in capsys.readouterr().err


def test_a_file_is_not_both_read_and_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("feed.csv").write_text("id,booked_at,account,amount,version\nD1,2026-03-01T09:00:00,A,10,1\n", encoding="utf-8")
    before = Path("feed.csv").read_bytes()
    assert main(["backfill", CASCADE, "--store", "sqlite:x.db", "--input", "feed.csv", "--rejects", "feed.csv"]) == 2
    assert "--rejects `feed.csv` is an input too" in capsys.readouterr().err and Path("feed.csv").read_bytes() == before


def test_what_no_field_takes_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("feed.csv").write_text("id,booked_at,acount,amount,version\nD1,2026-03-01T09:00:00,A,10,1\n", encoding="utf-8")
    command = ["backfill", CASCADE, "--store", "sqlite:x.db", "--input", "feed.csv", "--rejects", "r.csv"]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "note: columns no field takes: `acount`" in said and "note: fields that no column holds: `received_at`, `account`" in said
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unknown_columns"] == {"acount": 1}
