"""Late events and corrections make earlier decisions stale: which, in what, and because of what; decided again, they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, InputError, replay
from engine.cli.main import main
from engine.ledger.log import Ledger
from engine.stale import decide_again, stale
from tests.revisions.bank import deposit, workspace

FROM = "2026-01-01"


def feed(folder: Path, clauses: str = "  late up to 30 days\n  revision version\n", **more: Any) -> Path:
    return workspace(folder, clauses, **more)


def live(cascade: Path, events: list[dict[str, Any]], ledger: Path) -> None:
    engine = Engine.load(cascade, ledger=ledger)
    assert engine.ledger is not None
    with engine.ledger, engine.open_store(f"sqlite:{ledger.with_suffix('.history')}", history_from=FROM) as store:
        for event in events:
            engine.decide(event, store=store)


def found(cascade: Path, ledger: Path) -> list[tuple[int, dict[str, tuple[str, str]], list[str]]]:
    """Every stale decision: its entry, what would be different, and because of what."""
    said = stale(Engine.load(cascade), ledger, history_from=FROM)
    assert not said.unexplained
    return [
        (
            one.entry.seq,
            {change["feature"].removeprefix("habits."): (change["was"], change["now"]) for change in one.to_dict()["changes"]},
            [str(cause) for cause in one.causes],
        )
        for one in said.stale
    ]


def again(cascade: Path, ledger: Path) -> list[tuple[int, str] | None]:
    engine = Engine.load(cascade, ledger=ledger)
    assert engine.ledger is not None
    with engine.ledger:
        made = decide_again(engine, stale(engine, ledger, history_from=FROM))
    return [None if one.revises is None else (one.revises.seq, one.revises.why) for one in made]


STREAM = [
    deposit("D1", "2026-03-01T09:00"),
    deposit("D2", "2026-03-05T09:00", 200),
    deposit("D3", "2026-03-20T09:00", 300),
    deposit("B1", "2026-03-05T10:00", account="B"),
]
LATE = deposit("D4", "2026-03-03T09:00", 950)


def test_nothing_is_stale_while_everything_comes_in_order(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path), tmp_path / "ledger.db"
    live(cascade, [*STREAM, STREAM[0]], ledger)
    assert found(cascade, ledger) == []


def test_a_late_event_makes_later_decisions_of_its_key_stale(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path), tmp_path / "ledger.db"
    live(cascade, [*STREAM, LATE], ledger)
    because = ["late event D4 (entry 5)"]
    changes = {"deposits_7d": ("2", "3"), "paid_in_7d": ("300.00 EUR", "1,250.00 EUR"), "before": ("100.00 EUR", "950.00 EUR")}
    assert found(cascade, ledger) == [(2, changes, because)]
    assert again(cascade, ledger) == [(2, "late events")]
    assert found(cascade, ledger) == []
    with Ledger.read(ledger) as kept:
        last = list(kept.entries())[-1]
        assert (last.seq, last.key, json.loads(last.body)["outcome"], json.loads(kept.entry(2).body)["outcome"]) == (
            6,
            "D2",
            "review",
            "pass",
        )
    assert replay(ledger).fine


def test_what_was_too_late_changes_nothing(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path, "  late up to 1 day\n  revision version\n"), tmp_path / "ledger.db"
    live(cascade, [*STREAM, LATE], ledger)
    assert found(cascade, ledger) == []


def test_a_correction_makes_later_decisions_stale_and_its_own_takes_the_place(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path), tmp_path / "ledger.db"
    live(cascade, [*STREAM, {**STREAM[0], "amount": 150, "version": 2}], ledger)
    changes = {"paid_in_7d": ("300.00 EUR", "350.00 EUR"), "before": ("100.00 EUR", "150.00 EUR")}
    assert found(cascade, ledger) == [(2, changes, ["corrected event D1 (entry 5)"])]
    assert again(cascade, ledger) == [(2, "correction")]
    assert found(cascade, ledger) == []


def test_an_event_that_leaves_its_key_is_missed_there(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path), tmp_path / "ledger.db"
    live(cascade, [*STREAM, {**STREAM[0], "account": "B", "version": 2}], ledger)
    assert [(seq, changes["deposits_7d"]) for seq, changes, _ in found(cascade, ledger)] == [(2, ("2", "1")), (4, ("1", "2"))]


def test_a_decision_taken_again_may_become_stale_again(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path), tmp_path / "ledger.db"
    live(cascade, [*STREAM, LATE], ledger)
    again(cascade, ledger)
    live(cascade, [deposit("D5", "2026-03-04T09:00", 1)], ledger)
    ((seq, changes, because),) = found(cascade, ledger)
    assert (seq, changes["deposits_7d"], because) == (6, ("3", "4"), ["late event D5 (entry 7)"])
    assert again(cascade, ledger) == [(6, "late events")]
    assert found(cascade, ledger) == [] and replay(ledger).fine


def test_a_repeat_after_that_changes_nothing(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path), tmp_path / "ledger.db"
    live(cascade, [*STREAM, LATE], ledger)
    again(cascade, ledger)
    live(cascade, [STREAM[1]], ledger)
    assert found(cascade, ledger) == []


def test_history_that_is_not_in_the_ledger_is_told_and_not_called_stale(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path), tmp_path / "ledger.db"
    engine = Engine.load(cascade, ledger=ledger)
    assert engine.ledger is not None
    with engine.ledger:
        engine.decide(STREAM[0])  # without a store
    live(cascade, STREAM[1:2], ledger)
    said = stale(Engine.load(cascade), ledger, history_from=FROM)
    assert (said.stale, said.unexplained) == ((), (1, 2))


def test_another_version_is_not_decided_again(tmp_path: Path) -> None:
    cascade, ledger = feed(tmp_path), tmp_path / "ledger.db"
    live(cascade, [*STREAM, LATE], ledger)
    cascade.write_text(cascade.read_text(encoding="utf-8").replace("version: 1.0.0", "version: 1.1.0"), encoding="utf-8")
    with pytest.raises(InputError, match=r"entry 2 was decided by bank/deposits@1\.0\.0 \(\w+\), loaded is bank/deposits@1\.1\.0 "):
        again(cascade, ledger)
    with Ledger.read(ledger) as kept:
        assert len(kept) == 5


def test_a_run_then_stale_then_again_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("feed.jsonl").write_text("".join(json.dumps(event) + "\n" for event in [*STREAM, LATE]), encoding="utf-8")
    files = ["--input", "feed.jsonl", "--output", "d.csv", "--rejects", "r.csv", "--ledger", "ledger.db", "--history-from", FROM]
    assert main(["run", "cascades/deposits.yaml", *files]) == 0
    capsys.readouterr()
    stale_ = ["stale", "cascades/deposits.yaml", "--ledger", "ledger.db", "--history-from", FROM]
    assert main(stale_) == 1
    assert capsys.readouterr().out == (
        "entry 2, D2\n  habits.deposits_7d: 2 -> 3\n  habits.paid_in_7d: 300.00 EUR -> 1,250.00 EUR\n"
        "  habits.before: 100.00 EUR -> 950.00 EUR\n  because of late event D4 (entry 5)\n5 decisions looked at, 1 stale\n"
    )
    assert main([*stale_, "--json", "--again"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["stale"][0]["because"] == [{"seq": 5, "key": "D4", "why": "late events"}]
    assert said["again"][0]["revises"]["seq"] == 2 and said["again"][0]["outcome"] == "review"
    assert main(stale_) == 0 and main(["replay", "ledger.db"]) == 0


def test_a_run_over_corrections_marks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cascade = feed(tmp_path)
    monkeypatch.chdir(tmp_path)
    events = [*STREAM, {**STREAM[0], "amount": 150, "version": 2}]
    Path("feed.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    files = ["--input", "feed.jsonl", "--output", "d.csv", "--rejects", "r.csv", "--ledger", "ledger.db", "--history-from", FROM]
    assert main(["run", "cascades/deposits.yaml", *files]) == 0
    with Ledger.read(tmp_path / "ledger.db") as kept:
        assert str(kept.entry(5).revises).endswith("correction") and kept.entry(5).revises is not None
    assert [(seq, because) for seq, _, because in found(cascade, tmp_path / "ledger.db")] == [(2, ["corrected event D1 (entry 5)"])]


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cascade = feed(tmp_path)
    assert main(["stale", str(cascade), "--ledger", str(tmp_path / "none.db"), "--again"]) == 2
    assert "there is no ledger" in capsys.readouterr().err and not (tmp_path / "none.db").exists()
