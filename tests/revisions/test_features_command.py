"""Which deposits? What a store knows of one key, event by event, on the command line; and what is asked wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import Engine
from engine.cli.main import main
from tests.revisions.bank import deposit, workspace

CASCADE = "cascades/deposits.yaml"
STORE = ["features", CASCADE, "--store", "sqlite:history.db"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(tmp_path, "  late up to 30 days\n  revision version\n")
    monkeypatch.chdir(tmp_path)
    engine = Engine.load(CASCADE)
    first = deposit("D1", "2026-03-01T09:00")
    events = [first, deposit("D2", "2026-03-05T09:00", 200), {**first, "amount": 150, "version": 2}, deposit("B1", "2026-03-05T10:00", 5)]
    with engine.open_store("sqlite:history.db", history_from="2026-01-01") as history:
        for event in events:
            engine.decide(event, store=history)


@pytest.mark.usefixtures("store")
def test_the_events_behind_each_feature_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STORE, "--key", "account=A", "--at", "2026-03-05T12:00:00"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "account = A, at 2026-03-05T11:00:00Z",
        "habits.deposits_7d: 3",
        "  D1  2026-03-01T08:00:00Z",
        "  D2  2026-03-05T08:00:00Z",
        "  B1  2026-03-05T09:00:00Z",
        "habits.paid_in_7d: 355.00 EUR",
        "  D1  2026-03-01T08:00:00Z  150.00 EUR",
        "  D2  2026-03-05T08:00:00Z  200.00 EUR",
        "  B1  2026-03-05T09:00:00Z  5.00 EUR",
        "habits.before: 5.00 EUR",
        "  D1  2026-03-01T08:00:00Z  150.00 EUR",
        "  D2  2026-03-05T08:00:00Z  200.00 EUR",
        "  B1  2026-03-05T09:00:00Z  5.00 EUR",
    ]


@pytest.mark.usefixtures("store")
def test_one_feature_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STORE, "--key", "account=A", "--at", "2026-03-08T12:00:00", "--feature", "paid_in_7d", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["features"][0]["value"] == "205.00 EUR" and said["key"] == {"account": "A"}
    assert [(one["key"], one["value"], one["surely"]) for one in said["features"][0]["window"]] == [
        (["D2"], "200.00 EUR", True),
        (["B1"], "5.00 EUR", True),
    ]


@pytest.mark.usefixtures("store")
def test_without_a_key_it_says_how_much_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STORE, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["keys"], said["events"]) == (1, 3) and said["bytes_per_key"] == said["bytes"] > 0
    assert said["oldest"] <= said["newest"]
    assert main(STORE) == 0 and f"from {said['oldest']} to {said['newest']}" in capsys.readouterr().out


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key", "acount=A"], "no feature has the key `acount`; did you mean `account`?"),
        (["--key", "amount=3"], "no feature has the key `amount`; "),
        (["--key", "account"], "`account` is no part of a key: write each field once, like `account=A1`"),
        (["--key", "account=A", "account=B"], "`account=B` is no part of a key"),
        (["--key", "account=A", "--at", "soon"], "`soon` is no datetime, as the time `booked_at` is: write it like `2026-03-31T14:30:00`"),
        (["--key", "account=A", "--feature", "paid_in_7"], "there is no feature `paid_in_7`; did you mean `habits.paid_in_7d`?"),
        (["--feature", "paid_in_7d"], "--at and --feature are for one key"),
    ],
)
def test_what_is_asked_wrongly_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main([*STORE, *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("store")
def test_looking_leaves_nothing_and_makes_no_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STORE, "--key", "account=Z"]) == 0 and "habits.deposits_7d: 0" in capsys.readouterr().out
    assert main(["features", CASCADE, "--store", "sqlite:none.db"]) == 2
    assert "there is no store `sqlite:none.db`" in capsys.readouterr().err and not Path("none.db").exists()


@pytest.mark.usefixtures("store")
def test_an_explanation_names_the_events_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("event.json").write_text(json.dumps(deposit("D9", "2026-03-05T12:00:00", 900)), encoding="utf-8")
    assert main(["explain", CASCADE, "event.json", "--store", "sqlite:history.db", "--events"]) == 0
    said = capsys.readouterr().out
    assert "1,255.00 EUR in a week" in said
    assert "in the store, habits.deposits_7d: 3\n  D1  2026-03-01T08:00:00Z\n  D2 " in said and "D9" not in said
    assert main(["explain", CASCADE, "event.json", "--events"]) == 2 and "--store" in capsys.readouterr().err
