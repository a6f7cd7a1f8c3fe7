"""Ledgers and stores as they come: what is damaged is named and left alone, and nobody sees a traceback."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.bad_input.conftest import CASCADE, Command

SPOIL: dict[str, Callable[[bytes], bytes]] = {
    "half of it": lambda data: data[: len(data) // 2],
    "its first page": lambda data: data[:4096],
    "its head": lambda data: b"SQLite format 3\0" + b"\0" * 100,
    "noise": lambda data: data[:8192] + bytes(255 - byte for byte in data[8192:]),
    "text": lambda data: b"dear diary\n",
    "zeros": lambda data: b"\0" * 8192,
}


def sql(path: str, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture
def ledger(engine: Command, shop: Path) -> Path:
    ran = engine("run", CASCADE, "--input", "events.csv", "--output", "d.csv", "--rejects", "r.csv", "--ledger", "l.db")
    assert ran.code == 0
    return shop / "l.db"


@pytest.mark.parametrize("kind", SPOIL)
def test_a_damaged_ledger_is_named_and_left_alone(engine: Command, ledger: Path, kind: str) -> None:
    ledger.write_bytes(SPOIL[kind](ledger.read_bytes()))
    before = ledger.read_bytes()
    replayed, decided = engine("replay", "l.db"), engine("decide", CASCADE, "event.json", "--ledger", "l.db")
    assert replayed.code in (1, 2) and "`l.db`" in replayed.out + replayed.err
    assert decided.code == 2 and decided.err.startswith("engine: `l.db`") and decided.out == ""
    assert ledger.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (f"UPDATE entry SET base = '{'[' * 200_000}' WHERE seq = 2", 2, "entry 2 of `l.db` cannot be read"),
        ("UPDATE entry SET calls = '5' WHERE seq = 2", 2, "entry 2 of `l.db` cannot be read"),
        (f"UPDATE entry SET event = '{'[' * 20_000}' WHERE seq = 2", 1, "entry 2 of `l.db` was altered"),
        ("UPDATE setting SET data = x'00'", 1, "is gone or was altered"),
        ("UPDATE blob SET data = 'x'", 1, "is gone or was altered"),
        ("DELETE FROM head", 1, "the end of `l.db` was altered"),
        ("DROP TABLE blob", 1, "no such table: blob"),
        ("PRAGMA user_version = 99", 2, "has the layout 99, this engine reads 1"),
    ],
    ids=range(8),
)
def test_an_altered_ledger_is_told_by_replay(engine: Command, ledger: Path, change: str, code: int, said: str) -> None:
    sql("l.db", change)
    result = engine("replay", "l.db")
    assert result.code == code and said in result.out + result.err


@pytest.mark.parametrize("change", ["DELETE FROM head", "UPDATE head SET seq = 'x'"])
def test_nothing_is_added_to_a_ledger_without_its_end(engine: Command, ledger: Path, change: str) -> None:
    sql("l.db", change)
    result = engine("decide", CASCADE, "event.json", "--ledger", "l.db")
    assert (result.code, result.out) == (2, "") and "so that nothing can be added: begin a new ledger" in result.err


@pytest.mark.parametrize(("name", "said"), [("no/l.db", "there is no folder `no`"), ("cascades", "it is a folder"), ("", "it is a folder")])
def test_a_place_where_no_ledger_can_be_is_told(engine: Command, shop: Path, name: str, said: str) -> None:
    result = engine("decide", CASCADE, "event.json", "--ledger", name)
    assert (result.code, result.out) == (2, "") and said in result.err


# --- stores -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(engine: Command, shop: Path) -> Path:
    assert engine("decide", CASCADE, "event.json", "--store", "sqlite:s.db").code == 0
    return shop / "s.db"


@pytest.mark.parametrize("kind", SPOIL)
def test_a_damaged_store_is_named_and_left_alone(engine: Command, store: Path, kind: str) -> None:
    store.write_bytes(SPOIL[kind](store.read_bytes()))
    before = store.read_bytes()
    result = engine("decide", CASCADE, "event.json", "--store", "sqlite:s.db")
    assert (result.code, result.out) == (2, "") and "the store `s.db` cannot be used" in result.err
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET answer = 'x'",
        f"UPDATE event SET answer = '{'[' * 200_000}'",
        "UPDATE event SET answer = '[]'",
        "UPDATE lane SET newest = 'x'",
        "UPDATE row SET cells = 'x'",
        "UPDATE row SET cells = '[]'",
        "UPDATE row SET time = 'x'",
        "UPDATE row SET event = 7",
        "DROP TABLE row",
    ],
    ids=range(9),
)
def test_an_altered_store_is_told_and_forgets_nothing_else(engine: Command, store: Path, shop: Path, change: str) -> None:
    sql("s.db", change)
    event = (shop / "event.json").read_text()
    told = [engine("decide", CASCADE, "--store", "sqlite:s.db", stdin=one) for one in (event, event.replace("P-1007", "P-1008"))]
    refused = [one for one in told if one.code == 2]
    assert refused and all("the store `s.db` " in one.err and one.out == "" for one in refused)
    with closing(sqlite3.connect("s.db")) as database:
        # what was refused left no trace
        assert database.execute("SELECT count(*) FROM event").fetchone() == (1 + [one.code for one in told[1:]].count(0),)


def test_a_ledger_is_no_store_and_a_store_no_ledger(engine: Command, ledger: Path, store: Path) -> None:
    assert "`l.db` is no history store" in engine("decide", CASCADE, "event.json", "--store", "sqlite:l.db").err
    assert "`s.db` is not a ledger" in engine("decide", CASCADE, "event.json", "--ledger", "s.db").err
    assert "`s.db` is not a ledger" in engine("replay", "s.db").err


def test_a_key_sent_again_with_other_content_is_refused_and_the_first_stays(engine: Command, store: Path, shop: Path) -> None:
    other = (shop / "event.json").read_text().replace("640.00", "1.00")
    result = engine("decide", CASCADE, "--store", "sqlite:s.db", stdin=other)
    assert (result.code, result.out) == (1, "") and "was there before with other content" in result.err
    assert engine("decide", CASCADE, "event.json", "--store", "sqlite:s.db").code == 0
