"""Bad doors to stores on servers: wrong passwords, what is no server or does not answer, and histories that no engine wrote."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import psycopg
import pytest
import redis

from engine.errors import StoreDown, StoreError
from engine.features.store import open_store
from tests.features.events import event, record
from tests.features.servers import Postgres, Redis, Server, server
from tests.features.test_servers import KINDS, database
from tests.features.test_stores import GROUP, START


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest) -> Server:
    return server(request.param)


@contextlib.contextmanager
def behind_a_password(there: Server) -> Iterator[str]:
    if isinstance(there, Redis):
        with there.client() as client:
            client.config_set("requirepass", "right")
        try:
            yield f"redis://:secret@127.0.0.1:{there.port}/0"
        finally:
            with redis.Redis(port=there.port, password="right") as client:
                client.config_set("requirepass", "")
        return
    assert isinstance(there, Postgres)
    yield f"postgresql://nobody:secret@127.0.0.1:{there.port}/postgres"


def test_a_wrong_password_or_user_is_refused_without_repeating_it(there: Server) -> None:
    with behind_a_password(there) as url, pytest.raises(StoreError, match=r"cannot be used: .*(password|role)") as found:
        open_store(url, [GROUP], record())
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0?socket_timeout=0.3", "postgresql://127.0.0.1:{}/none?connect_timeout=1"])
def test_what_is_no_server_or_never_answers_is_named(url: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StoreError, match=r"cannot be used: .*(timeout|timed out)"):
            open_store(url.format(silent.getsockname()[1]), [GROUP], record())


JUNK = [b"", b"junk", b"\0" * 7 + b"\1" + b"\x80" + b"\0" * 7 + b"[1]", b"\0" * 7 + b"\1" + b"\x80" + b"\0" * 7 + b'[9,0,["x"],"no",[]]']


def spoil_redis(there: Redis, url: str, junk: bytes) -> None:
    with there.client(database(url)) as client:
        (lane,) = client.keys("kaskade:*:rows:*")
        client.rpush(lane, junk)


def spoil_postgres(url: str, junk: bytes) -> None:
    with psycopg.connect(url) as client:
        client.execute("INSERT INTO kaskade_change SELECT lane, 2, 0, %b FROM kaskade_change", (junk[16:],))


@pytest.mark.parametrize("junk", JUNK)
def test_rows_that_no_engine_wrote_are_named(there: Server, junk: bytes) -> None:
    url = there.url()
    with open_store(url, [GROUP], record(), 0) as store:
        store.observe(event(START))
    spoil_redis(there, url, junk) if isinstance(there, Redis) else spoil_postgres(url, junk)
    with open_store(url, [GROUP], record(), 0) as store, pytest.raises(StoreError, match=REBUILD):
        store.observe(event(START))


REBUILD = "what the store `.*` holds does not fit; rebuild it from history with `engine backfill`|cannot be used: .*"


def spoilt_answer(there: Server, url: str) -> None:
    if isinstance(there, Redis):
        with there.client(database(url)) as client:
            (events,) = client.keys("kaskade:*:events")
            client.hset(events, '["given"]', "x" * 20)
        return
    with psycopg.connect(url) as client:
        client.execute("UPDATE kaskade_event SET kept = 'xxxxxxxxxxxxxxxxxxxx'")


def test_an_answer_that_no_engine_gave_is_named(there: Server) -> None:
    url = there.url()
    with open_store(url, [GROUP], record(), 0) as store:
        store.observe(event(START, id="given"))
        spoilt_answer(there, url)
        with pytest.raises(StoreError, match="holds does not fit; rebuild it from history with `engine backfill`"):
            store.observe(event(START, id="given"))


def test_a_history_that_was_taken_away_in_postgres_counts_as_down() -> None:
    url = server("postgres").url()
    with open_store(url, [GROUP], record(), 0) as store, psycopg.connect(url, autocommit=True) as client:
        store.observe(event(START))
        client.execute("DROP TABLE kaskade_change, kaskade_event, kaskade_fact")
        with pytest.raises(StoreDown, match="it has lost its history; open it again"):
            store.observe(event(START))


def test_a_history_of_the_first_schema_is_refused_and_can_be_replaced(there: Server) -> None:
    url = there.url()
    if isinstance(there, Redis):
        with there.client(database(url)) as client:
            client.hset("kaskade:facts", mapping={"schema": "1", "features": "other"})
    else:
        with psycopg.connect(url) as client:
            client.execute("CREATE TABLE kaskade_fact (name text PRIMARY KEY, value text NOT NULL)")
            client.execute("INSERT INTO kaskade_fact VALUES ('schema', '1'), ('features', 'other')")
    with pytest.raises(StoreError, match="has schema 1, this engine reads 2; rebuild it from history with `engine backfill`"):
        open_store(url, [GROUP], record())
    with open_store(url, [GROUP], record(), 0, afresh=True) as store:
        store.observe(event(START))
    with open_store(url, [GROUP], record()) as store:
        assert store.look(event(START))["profile.n"] == 1
