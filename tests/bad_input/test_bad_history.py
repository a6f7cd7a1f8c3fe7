"""History as it comes: times out of order and out of reach, keys of any kind, conditions and windows that make no sense, and stores that
are in the way. What a feature can say is said by the store as by the batch; what it cannot is missing, with its cause.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine import Engine, InputError
from engine.features.store import open_store
from engine.values import DAY
from tests.bad_input.conftest import CASCADE, Command
from tests.features.events import batch, bound, days, event, feature, live, read, record

EVENT = {"id": "P-1", "paid_at": "2026-03-06T18:20:00", "card": "tok_2", "amount": "49.90", "country": "GB", "delivery": "home"}
HABITS = ("habits.payments_1d", "habits.spent_7d")


def payment(number: int, at: str, card: str = "tok_2", **more: Any) -> dict[str, Any]:
    return {**EVENT, "id": f"P-{number}", "paid_at": at, "card": card, **more}


def pence(value: Any) -> Any:
    return int(value * 100) if isinstance(value, Decimal) else value


@pytest.fixture(params=["memory", "sqlite", "batch"])
def say(request: pytest.FixtureRequest, shop: Path) -> Callable[[list[dict[str, Any]]], list[tuple[Any, ...]]]:
    """What the features say of these events, by each door; a cause in place of what is missing."""

    def told(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        engine, begin = Engine.load(CASCADE), "2019-01-01"
        if request.param == "batch":
            done = engine.decide_batch(pl.DataFrame(events), values=True, history_from=begin)
            assert done.rejects.height == 0
            return [tuple(pence(row[name]) if row[name] is not None else row[f"{name}#"] for name in HABITS) for row in done.to_dicts()]
        url = "memory:" if request.param == "memory" else "sqlite:h.db"
        with engine.open_store(url, history_from=begin) as store:
            rows = [engine.decide(one, store=store).row for one in events]
        return [tuple(getattr(row[name], "cause", row[name]) for name in HABITS) for row in rows]

    return told


# --- times -----------------------------------------------------------------------------------------------------------


def test_a_time_that_goes_back_by_years_has_no_history_and_leaves_none(say: Any) -> None:
    said = say([payment(1, "2026-03-06T18:20:00"), payment(2, "2019-03-06T18:20:00"), payment(3, "2026-03-06T18:21:00")])
    assert said == [(1, 4990), ("late", "late"), (2, 9980)]


def test_a_stream_that_runs_backwards_is_late_all_along(say: Any) -> None:
    said = say([payment(year, f"{year}-03-06T18:20:00") for year in range(2026, 2019, -1)])
    assert said == [(1, 4990)] + [("late", "late")] * 6


def test_a_time_far_ahead_is_refused_at_every_door_and_harms_nobody(engine: Command, shop: Path) -> None:
    """A year typed wrong would otherwise make every later payment with the card late, for good."""
    events = [payment(1, "2026-03-06T18:20:00"), payment(2, "9026-03-06T18:20:00"), payment(3, "2026-03-06T18:21:00")]
    loaded, said = Engine.load(CASCADE), "time `paid_at` is too far ahead: 9026-03-06"
    with loaded.open_store("memory:", history_from="2019-01-01") as store:
        with pytest.raises(InputError, match=said):
            [loaded.decide(one, store=store) for one in events]
        assert loaded.decide(events[2], store=store).row["habits.payments_1d"] == 2
    assert engine("decide", CASCADE, stdin=json.dumps(events[1])).err.startswith(f"engine: {said}")
    done = loaded.decide_batch(pl.DataFrame(events), values=True, history_from="2019-01-01")
    assert done["habits.payments_1d"].to_list() == [1, 2]
    assert [reason.startswith(said) for reason in done.rejects["reason"]] == [True]


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "card",
    ["x" * 1_000_000, "", " ", "tok\0", "\0", "'; DROP TABLE event; --", "ключ", "\u202etok", "('a',)", "{}"],
    ids=["a million letters", "empty", "blank", "zero byte", "zero alone", "SQL", "cyrillic", "bidi", "a tuple", "braces"],
)
def test_a_key_may_be_any_text_and_is_nobody_elses(say: Any, card: str) -> None:
    near = card + "\0" if len(card) < 100 else card[:-1]
    said = say([payment(number, "2026-03-06T18:20:00", key) for number, key in enumerate((card, near, card, card.strip("\0") + "y"))])
    assert [count for count, _ in said] == [1, 1, 2, 1]


def test_half_a_character_in_a_key_has_no_history_and_does_not_stop_the_next(shop: Path) -> None:
    loaded = Engine.load(CASCADE)
    with loaded.open_store("sqlite:h.db") as store:
        lost = loaded.decide(json.dumps(payment(1, "2026-03-06T18:20:00")).replace("tok_2", "\\ud800"), store=store)
        assert lost.row["habits.payments_1d"].cause == "damaged"
        assert loaded.decide(payment(2, "2026-03-06T18:20:00"), store=store).row["habits.payments_1d"].low == 1


GROUP = bound(
    [
        feature("n", "count", days(900)),
        feature("sum", "sum", days(900), read("amount"), bounded=True),
        feature("largest", "max", days(900), read("amount")),
        feature("merchants", "distinct", days(900), read("merchant")),
    ],
    record(),
)


@pytest.mark.parametrize("door", ["memory", "batch"])
def test_a_key_with_very_many_events_costs_each_of_them_the_same(door: str) -> None:
    """All rows of a window stand in it; an event must not look at every one. Twice as many events may take twice as long, and not four
    times. What a million take follows from that."""

    def spent(number: int) -> float:
        rows = [event(1000 * DAY + at, merchant=f"M{at % 97}", amount=(at * 7919) % 10_007) for at in range(number)]
        began = time.process_time()
        if door == "batch":
            last = batch([rows], [GROUP], record(), 0)[-1]
        else:
            with open_store("memory:", [GROUP], record(), 0) as store:
                last = live(rows, store)[-1]
        assert (last["n"], last["merchants"]) == (number, 97)
        return time.process_time() - began

    spent(1_000)
    few, many = min(spent(5_000) for _ in range(2)), min(spent(40_000) for _ in range(2))
    assert many < 8 * few * 2.5  # eight times the events; looking at every row would be sixty-four times


# --- what is written -------------------------------------------------------------------------------------------------

FEATURE = "feature payments_1d"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('feature payments_1d "Again" = count over 2 days per card\n\n', "error[duplicate-name]: `payments_1d` is already the name of a"),
        ("feature x = count over 0 days per card\n\n", "error[bad-window]: the length of a window is more than nothing"),
        ("feature x = count over 101 years per card\n\n", "error[bad-window]: the length of a window is at most 100 years"),
        ("feature x = count over last 0 events per card\n\n", "error[bad-window]: the number of events is a whole number from 1"),
        ("feature x = count over 1 day per card where false\n\n", "error[where-never]: no event can ever meet this condition"),
        ("feature x = count over 1 day per card where amount > 5 GBP and amount < 3 GBP\n\n", "error[where-never]"),
    ],
    ids=range(6),
)
def test_a_feature_that_makes_no_sense_is_told_with_its_place(engine: Command, shop: Path, text: str, said: str) -> None:
    rules = Path("rulesets/shop/habits.rules")
    rules.write_text(rules.read_text().replace(FEATURE, text + FEATURE))
    result = engine("check")
    assert result.code == 1 and said in result.out and "habits.rules:" in result.out


@pytest.mark.parametrize("window", ["100 years", "1 second", "last 1_000_000 events"])
@pytest.mark.parametrize("where", ["", " where true", " where 1 = 1"])
def test_the_longest_window_and_a_condition_that_always_holds_count_everything(say: Any, window: str, where: str) -> None:
    rules = Path("rulesets/shop/habits.rules")
    text = rules.read_text()
    assert "count over 1 day per card" in text
    rules.write_text(text.replace("count over 1 day per card", f"count over {window} per card{where}"))
    said = say([payment(number, "2026-03-06T18:20:00") for number in range(3)])
    at_least = window != "1 second"  # reaches back beyond where history is complete: the number is a bound only
    assert [count for count, _ in said] == (["short history"] * 3 if at_least else [1, 2, 3])


# --- stores that are in the way --------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that waits for a lock for a moment only."""
    connect = sqlite3.connect
    monkeypatch.setattr("engine.features.sqlite.sqlite3.connect", lambda path, **how: connect(path, **{**how, "timeout": 0.01}))


@pytest.fixture
def locked(shop: Path, impatient: None) -> Iterator[tuple[Engine, Any, sqlite3.Connection]]:
    loaded = Engine.load(CASCADE)
    with loaded.open_store("sqlite:h.db", history_from="2019-01-01") as store, closing(sqlite3.connect("h.db")) as other:
        loaded.decide(payment(1, "2026-03-06T18:20:00"), store=store)
        other.execute("BEGIN EXCLUSIVE")
        yield loaded, store, other


def test_while_another_process_holds_the_file_decisions_go_on_and_nothing_is_lost(locked: tuple[Engine, Any, sqlite3.Connection]) -> None:
    loaded, store, other = locked
    down = loaded.decide(payment(2, "2026-03-06T18:21:00"), store=store)
    assert down.row["habits.payments_1d"].cause == "unavailable" and "RAPID-01" in down.undecided
    other.execute("ROLLBACK")
    deadline = time.monotonic() + 10
    while (after := loaded.decide(payment(3, "2026-03-06T18:22:00"), store=store).row["habits.payments_1d"]) != 3:
        assert getattr(after, "cause", "") == "unavailable" and time.monotonic() < deadline
        time.sleep(0.05)


def test_a_disk_that_is_full_is_a_store_that_is_down(shop: Path) -> None:
    """The file may not grow: the decision goes on without history, and says so."""
    code = f"""
import sys
from engine import Engine
loaded = Engine.load({CASCADE!r})
event = {payment(1, "2026-03-06T18:20:00")!r}
with loaded.open_store("sqlite:h.db", history_from="2019-01-01") as store:
    for number in range(400):
        one = loaded.decide({{**event, "id": f"P-{{number}}", "card": "x" * 2_000}}, store=store)
        if getattr(one.row["habits.payments_1d"], "cause", "") == "unavailable":
            print("down", number)
            break
"""

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, preexec_fn=small)
    assert done.stdout.startswith("down ") and "Traceback" not in done.stderr, done.stderr


def test_a_store_of_another_schema_is_refused_with_what_to_do(engine: Command, shop: Path) -> None:
    assert engine("decide", CASCADE, "event.json", "--store", "sqlite:h.db").code == 0
    with closing(sqlite3.connect("h.db")) as database:
        database.execute("PRAGMA user_version = 1")
    result = engine("decide", CASCADE, "event.json", "--store", "sqlite:h.db")
    assert (result.code, result.out) == (2, "")
    assert "the store `h.db` has schema 1, this engine reads" in result.err and "rebuild it from history" in result.err


@pytest.mark.parametrize(("name", "said"), [("cascades", "is a folder"), ("no/h.db", "there is no folder `no`"), ("", "names no file")])
def test_a_place_where_no_store_can_be_is_told(engine: Command, shop: Path, name: str, said: str) -> None:
    result = engine("decide", CASCADE, "event.json", "--store", f"sqlite:{name}")
    assert (result.code, result.out) == (2, "") and said in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="whoever may do everything may write everywhere")
def test_a_store_that_may_not_be_written_is_told(engine: Command, shop: Path) -> None:
    assert engine("decide", CASCADE, "event.json", "--store", "sqlite:h.db").code == 0
    Path("h.db").chmod(0o400)
    result = engine("decide", CASCADE, "event.json", "--store", "sqlite:h.db")
    assert "h.db" in result.out + result.err and "Traceback" not in result.err


def test_two_commands_on_one_file_take_turns_and_lose_nothing(shop: Path) -> None:
    code = f"""
import sys
from engine import Engine
loaded = Engine.load({CASCADE!r})
with loaded.open_store("sqlite:h.db", history_from="2019-01-01") as store:
    for number in range(50):
        loaded.decide({{**{EVENT!r}, "id": sys.argv[1] + str(number)}}, store=store)
"""
    both = [subprocess.Popen([sys.executable, "-c", code, name], stderr=subprocess.PIPE, text=True) for name in "ab"]
    assert [process.communicate(timeout=120)[1] for process in both] == ["", ""]
    loaded = Engine.load(CASCADE)
    with loaded.open_store("sqlite:h.db") as store:
        assert loaded.decide(payment(1, EVENT["paid_at"]), store=store).row["habits.payments_1d"] == 101
