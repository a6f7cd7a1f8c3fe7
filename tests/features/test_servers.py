"""Stores on servers: several processes lose nothing, a server that goes down takes nothing with it, and law 2 holds there too."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from engine.api import Engine
from engine.cli.new import TEMPLATES
from engine.errors import InputError, StoreDown, StoreError
from engine.features import missed
from engine.features.single import HistoryStep
from engine.features.store import open_store
from engine.values import DAY, missing
from tests.features import oracle
from tests.features.events import bound, days, event, feature, read, record
from tests.features.servers import Postgres, Redis, Server, server
from tests.features.test_stores import GROUP, START
from tests.properties.test_law2 import exactly, streams

KINDS = ("redis", "postgres")


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest) -> Server:
    return server(request.param)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "PAUSE", 0.0)


# --- law 2 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=streams())
def test_a_server_says_what_features_mean(kind: str, case: Any) -> None:
    under, group, stream, chunks, since = case
    url, kept = server(kind).url(), []
    for chunk in chunks:
        with open_store(url, [group], under, since) as store:
            for row in chunk:
                looked = store.observe(row, record=False)
                kept.append(store.observe(row))
                assert exactly([looked]) == exactly(kept[-1:])
    assert exactly(kept) == exactly(oracle.features(stream, group, under, since))


# --- several processes -----------------------------------------------------------------------------------------------

ROLES = bound(
    [
        feature("mine", "count", days(7)),
        feature("ours", "count", days(7), matched=("account", "payee")),
        feature("branch", "sum", days(7), read("size"), per=("branch",)),
        feature("pair", "count", days(30), per=("account", "branch")),
    ],
    record(),
)
WORKER = """
import json, sys
from engine.features.store import open_store
from tests.features.events import event, record
from tests.features.test_servers import ROLES
url, name, events = sys.argv[1:]
with open_store(url, [ROLES], record()) as store:
    sys.stdin.readline()
    for number in range(int(events)):
        pair = {"account": "A", "payee": "B"} if (number + (name == "a")) % 2 else {"account": "B", "payee": "A"}
        told = store.observe(event(1, id=f"{name}{number}", **pair))
        print(json.dumps([told[said] for said in ("ours", "branch")]))
        store.observe(event(1, id=f"all{number}", account="C", payee="C", branch=2))
"""


def together(url: str, events: int, names: str = "abc") -> list[list[list[int]]]:
    """What each of several processes is told, all at work at the same time."""
    command = [sys.executable, "-c", WORKER, url]
    workers = [subprocess.Popen([*command, name, str(events)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in names]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    said = [[json.loads(line) for line in worker.communicate()[0].splitlines()] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(workers)
    return said


def test_processes_on_the_same_keys_lose_no_event_and_count_none_twice(there: Server) -> None:
    """Every event enters the lanes of both its parties, in either order, so that processes that lock badly would wait forever."""
    url, events = there.url(), 60
    open_store(url, [ROLES], record(), -DAY * 99).close()
    said = together(url, events)
    for column in (0, 1):
        assert sorted(told[column] for worker in said for told in worker) == list(range(1, 3 * events + 1))  # no two saw the same
    with open_store(url, [ROLES], record()) as store:
        found = store.observe(event(1, account="C", payee="C", branch=2), record=False)
        assert (found["mine"], found["ours"], found["branch"]) == (events + 1, events + 1, events + 1)  # sent by all, counted once


def test_an_event_a_look_and_a_repeat_are_one_round_trip_where_the_keys_are_known() -> None:
    there = server("redis")
    assert isinstance(there, Redis)

    def scripts() -> int:
        with there.client() as client:
            return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])

    with open_store(there.url(), [GROUP, ROLES], record()) as store:
        store.observe(event(START))
        before, given = scripts(), event(START)
        trips = []
        for look in (True, False, True):
            store.observe(given, record=not look)
            trips.append(scripts() - before)
            before = scripts()
    assert trips == [1, 1, 1]


def test_of_two_that_send_one_key_at_once_the_second_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the event's own key is touched by both, and one comes between the other's reading and writing."""
    url = server("redis").url()
    with open_store(url, [GROUP], record(), 0) as one, open_store(url, [GROUP], record()) as two:
        log = vars(one)["log"]
        real: Callable[..., Any] = log.append

        def later(*given: Any) -> Any:
            monkeypatch.undo()
            two.observe(event(START, missing("damaged"), id="given", amount=2))
            return real(*given)

        monkeypatch.setattr(log, "append", later)
        with pytest.raises(InputError, match="`id` = 'given' was there before with other content"):
            one.observe(event(START, "A", id="given", amount=1))
        assert one.observe(event(START, "A"))["profile.n"] == 1


# --- what a server holds ---------------------------------------------------------------------------------------------


def database(url: str) -> int:
    return int(url.rpartition("=" if "=" in url else "/")[2])


def test_what_no_window_can_see_any_more_is_dropped(there: Server) -> None:
    url = there.url()
    with open_store(url, [GROUP], record()) as store:
        for day in range(100):
            store.observe(event(START + day * DAY))
        measured = store.measured()
    assert (measured.keys, measured.events) == (1, 100)
    assert measured.rows == 100 - (96 - 31)  # looked after at the 96th: what the longest window sees, and a day more for what comes late


def test_a_store_goes_on_where_it_stopped_and_keeps_since_when_it_is_complete(there: Server) -> None:
    url = there.url()
    with open_store(url, [GROUP], record(), START) as store:
        first = store.observe(event(START, id="given"))
    with open_store(url, [GROUP], record()) as store:
        assert store.observe(event(START, id="given")) == first
        assert store.observe(event(START + 7 * DAY - 1))["profile.n"] == 2
    open_store(url, [GROUP], record(), START).close()
    with pytest.raises(StoreError, match="has its history from another time; open it without `history_from`, or rebuild it"):
        open_store(url, [GROUP], record(), START + 1)


def test_a_store_made_for_other_features_is_refused_with_what_to_do(there: Server) -> None:
    url = there.url()
    open_store(url, [GROUP], record()).close()
    for groups, under in (([ROLES], record()), ([GROUP, ROLES], record()), ([GROUP], record(late=2 * DAY))):
        with pytest.raises(StoreError, match=r"was made for other features; rebuild it from history with `engine backfill`"):
            open_store(url, groups, under)


def test_a_store_of_another_schema_is_refused(there: Server) -> None:
    url = there.url()
    open_store(url, [GROUP], record()).close()
    if isinstance(there, Redis):
        with there.client(database(url)) as client:
            client.hset("kaskade:facts", "schema", 99)
    else:
        with psycopg.connect(url) as client:
            client.execute("UPDATE kaskade_fact SET value = 99 WHERE name = 'schema'")
    with pytest.raises(StoreError, match="has schema 99, this engine reads 2; rebuild it from history with `engine backfill`"):
        open_store(url, [GROUP], record())


def test_keys_may_be_long_and_hold_anything(there: Server) -> None:
    keys = ["x" * 5000 + end for end in ("a", "b")] + ["a\0b", "ü\ud800", "'; DROP TABLE kaskade_event; --", "{}", ""]
    with open_store(there.url(), [GROUP], record(), 0) as store:
        for key in (*keys, *keys):
            store.observe(event(START, key, id=f"{key} {time.monotonic_ns()}", merchant=key))
        assert [store.observe(event(START, key), record=False)["profile.n"] for key in keys] == [3] * len(keys)


@pytest.mark.parametrize("at", [-(2**62), -1, 2**53 + 1, 2**62])
def test_times_are_exact_to_their_last_bit(there: Server, at: int) -> None:
    with open_store(there.url(), [GROUP], record(), -(2**63)) as store:
        for offset in (0, 1, 7 * DAY - 1):
            store.observe(event(at + offset))
        assert store.observe(event(at + 7 * DAY), record=False)["profile.n"] == 3
        assert store.observe(event(at + 7 * DAY + 1), record=False)["profile.n"] == 2


# --- servers that are not there, go and come back ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:secret@127.0.0.1:1/0",
        "unix://user:secret@/nowhere/socket",
        "redis://127.0.0.1/0?socket_timeout=secret",
        "postgresql://user:secret@127.0.0.1:1/none",
        "postgresql://user:secret@127.0.0.1/none?nothing=1",
        "mysql://user:secret@127.0.0.1/none",
    ],
)
def test_a_server_that_cannot_be_opened_is_named_without_the_password(url: str) -> None:
    with pytest.raises(StoreError, match=r"the store `.*` (cannot be used: .*|is of no known kind.*)") as found:
        open_store(url, [GROUP], record())
    assert "user:" not in str(found.value) and "\n" not in str(found.value)
    assert "secret" not in str(found.value) or "socket_timeout" in url


@pytest.mark.parametrize(("library", "extra"), [("redis", "redis"), ("psycopg", "postgres")])
def test_without_its_library_a_store_names_the_extra(library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(StoreError, match=rf"needs a library that is not here: install `kaskade\[{extra}\]`"):
        open_store(f"{extra}://127.0.0.1/0" if extra == "redis" else "postgresql://127.0.0.1/none", [GROUP], record())


def payment(number: int, card: str = "tok_1") -> dict[str, Any]:
    return {"id": f"P{number}", "paid_at": f"2026-03-06T10:{number:02}:00", "card": card, "amount": 10, "country": "GB", "delivery": "home"}


def test_a_decision_goes_on_while_its_store_is_down_and_nothing_counts_twice(
    there: Server, no_pause: None, caplog: pytest.LogCaptureFixture
) -> None:
    engine, url = Engine.load(TEMPLATES / "cascades/screening.yaml"), there.url()
    with engine.open_store(url, history_from="2026-01-01") as store:

        def decided(number: int, **how: Any) -> Any:
            return engine.decide(payment(number), store=store, **how).row["habits.payments_1d"]

        assert [decided(number) for number in range(3)] == [1, 2, 3]
        there.kill()
        assert not caplog.records
        decision = engine.decide(payment(3), store=store)
        assert decision.missing == {"habits.payments_1d": "unavailable", "habits.spent_7d": "unavailable"}
        assert decision.row["habits.payments_1d"] == missing("unavailable")
        assert [said.levelname for said in caplog.records if said.name == "engine.history"] == ["WARNING"]
        assert "a decision goes on without history: the store" in caplog.text and "is down" in caplog.text
        assert [decided(number) for number in (3, 4, 0)] == [missing("unavailable")] * 3  # sent again, another, one from before
        assert decided(5, record=False) == missing("unavailable")
        there.start()
        assert decided(6) == 6  # 0, 1, 2, then 3 and 4, which came meanwhile
        assert "history is back: 4 events that came meanwhile entered it; 0 are lost" in caplog.text
        assert [decided(number) for number in (3, 4, 0, 6)] == [4, 5, 1, 6]
    with engine.open_store(url) as store:  # and all of it is on the server
        assert decided(7, record=False) == 7


def test_a_store_that_is_down_is_left_alone_for_a_moment(there: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "PAUSE", 60.0)
    with open_store(there.url(), [GROUP], record(), 0) as store:
        store.observe(event(START))
        there.kill()
        with pytest.raises(StoreDown):
            store.observe(event(START))
        there.start()
        with pytest.raises(StoreDown):
            store.observe(event(START))
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 61)
        assert store.observe(event(START))["profile.n"] == 4


def test_what_is_still_missed_at_the_end_is_tried_once_more_or_named(there: Server, caplog: pytest.LogCaptureFixture) -> None:
    url = there.url()
    for back in (True, False):
        with open_store(url, [GROUP], record(), 0) as store:
            there.kill()
            with pytest.raises(StoreDown):
                store.observe(event(START))
            if back:
                there.start()
        assert ("1 events never entered history, send them again" in caplog.text) is not back
    there.start()
    with open_store(url, [GROUP], record()) as store:
        assert store.observe(event(START))["profile.n"] == 2


def test_no_more_events_wait_than_memory_can_bear(
    no_pause: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(missed, "MOST_MISSED", 2)
    there = server("redis")
    with open_store(there.url(), [GROUP], record(), 0) as store:
        there.kill()
        for _ in range(3):
            with pytest.raises(StoreDown):
                store.observe(event(START))
        there.start()
        assert store.observe(event(START))["profile.n"] == 3
    assert "2 events that came meanwhile entered it; 1 are lost, send them again" in caplog.text


def test_an_event_with_other_content_that_came_meanwhile_is_named(no_pause: None, caplog: pytest.LogCaptureFixture) -> None:
    there = server("redis")
    with open_store(there.url(), [GROUP], record(), 0) as store:
        store.observe(event(START, id="given"))
        there.kill()
        with pytest.raises(StoreDown):
            store.observe(event(START, id="given", amount=7))
        there.start()
        assert store.observe(event(START))["profile.n"] == 2
    assert "did not enter it: an event with `id` = 'given' was there before with other content" in caplog.text


def test_an_event_whose_acknowledgement_is_lost_counts_once(there: Server, no_pause: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was kept, but nobody heard of it: the worst moment for a connection to break."""
    with open_store(there.url(), [GROUP], record(), 0) as store:
        store.observe(event(START))
        log = vars(store)["log"]
        real: Callable[..., Any] = log.append

        def breaks(*given: Any) -> None:
            real(*given)
            monkeypatch.undo()
            monkeypatch.setattr(missed, "PAUSE", 0.0)
            raise StoreDown("gone")

        monkeypatch.setattr(log, "append", breaks)
        with pytest.raises(StoreDown):
            store.observe(event(START, id="given"))
        assert store.observe(event(START))["profile.n"] == 3
        assert store.observe(event(START, id="given"))["profile.n"] == 2


@contextlib.contextmanager
def stopped(there: Server) -> Iterator[None]:
    """A server that is there and does not answer."""
    assert there.process is not None
    there.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        there.process.send_signal(signal.SIGCONT)


def test_redis_that_does_not_answer_is_down(no_pause: None) -> None:
    there = server("redis")
    url = there.url()
    with open_store(f"{url}{'&' if '?' in url else '?'}socket_timeout=0.2", [GROUP], record(), 0) as store:
        store.observe(event(START))
        with stopped(there), pytest.raises(StoreDown, match=r"timeout|timed out"):
            store.observe(event(START))
        assert store.observe(event(START))["profile.n"] == 3


def test_redis_that_is_full_is_down_and_keeps_no_half_event(no_pause: None) -> None:
    there = server("redis")
    assert isinstance(there, Redis)
    with open_store(there.url(), [GROUP], record(), 0) as store, there.client() as client:
        store.observe(event(START))
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreDown, match="maxmemory"):
                store.observe(event(START))
            assert store._missed._rows  # type: ignore[attr-defined]
        finally:
            client.config_set("maxmemory", 0)
        assert store.observe(event(START))["profile.n"] == 3


def test_redis_that_drops_keys_by_itself_is_refused() -> None:
    there = server("redis")
    assert isinstance(there, Redis)
    with there.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(StoreError, match=r"drops keys when it is full \(maxmemory-policy allkeys-lru\); set noeviction"):
                open_store(there.url(), [GROUP], record())
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_redis_that_lost_everything_is_not_taken_for_new(no_pause: None) -> None:
    there = server("redis")
    assert isinstance(there, Redis)
    with open_store(there.url(), [GROUP], record(), 0) as store, there.client() as client:
        store.observe(event(START))
        client.flushall()
        with pytest.raises(StoreDown, match="it has lost its history; open it again"):
            store.observe(event(START))


def test_postgres_where_someone_sits_on_a_key_is_down(no_pause: None) -> None:
    url = server("postgres").url()
    with open_store(f"{url}%20-clock_timeout%3D100", [GROUP], record(), 0) as store, psycopg.connect(url, autocommit=True) as other:
        store.observe(event(START))
        other.execute("BEGIN")
        other.execute("LOCK TABLE kaskade_event")
        with pytest.raises(StoreDown, match="lock timeout"):
            store.observe(event(START))
        other.execute("ROLLBACK")
        assert store.observe(event(START))["profile.n"] == 3


def test_postgres_that_may_only_be_read_is_down(no_pause: None) -> None:
    """As after a change of the leading server."""
    there = server("postgres")
    assert isinstance(there, Postgres)
    url = there.url()
    open_store(url, [GROUP], record(), 0).close()
    with (
        open_store(f"{url}%20-cdefault_transaction_read_only%3Don", [GROUP], record()) as store,
        pytest.raises(StoreDown, match="read-only"),
    ):
        store.observe(event(START))


# --- SQLite, when it is down -----------------------------------------------------------------------------------------


def test_a_file_locked_for_too_long_and_a_full_disk_are_down(tmp_path: Path, no_pause: None) -> None:
    path = tmp_path / "history.db"
    with open_store(f"sqlite:{path}", [GROUP], record(), 0) as store, sqlite3.connect(path, isolation_level=None) as other:
        db = vars(vars(store)["log"])["db"]
        db.execute("PRAGMA busy_timeout = 20")
        step = HistoryStep((GROUP,), record()).bind(store)
        assert step.one(event(START))["profile.n"] == 1
        other.execute("BEGIN IMMEDIATE")
        assert step.one(event(START))["profile.n"] == missing("unavailable")
        other.execute("COMMIT")
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
        given = [step.one(event(START, merchant="m" * 9000, id=f"big{number}"))["profile.n"] for number in range(3)]
        assert given[-1] == missing("unavailable")
        db.execute(f"PRAGMA max_page_count = {pages + 1000}")
        assert step.one(event(START))["profile.n"] == 6
    other.close()


# --- what tests need -------------------------------------------------------------------------------------------------


def test_a_missing_server_is_skipped_loudly_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.features.servers.lacking", lambda kind: f"NOT TESTED: no {kind} server")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED"):
        server("redis")
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="NOT TESTED"):
        server("redis")
