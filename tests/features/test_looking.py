"""What a store tells without an event: looks, what stands in a window, how much there is; and stores that are built anew."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import InputError, StoreError
from engine.features.store import Store, open_store
from engine.values import DAY, MISSING
from tests.features.events import HOUR, INCOMING, bound, days, event, feature, read, record
from tests.features.servers import Redis, address, server

GROUP = bound(
    [
        feature("n", "count", days(7)),
        feature("largest", "max", days(7), read("amount"), INCOMING),
        feature("weekly", "share", days(7), read("amount"), INCOMING),
    ],
    record(),
)
START = 1000 * DAY


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with open_store(address(request.param, tmp_path), [GROUP], record(), 0) as opened:
        yield opened


def test_a_look_counts_itself_nowhere_and_leaves_nothing(store: Store) -> None:
    store.observe(event(START, amount=5))
    tick = {**dict.fromkeys(event(START), MISSING), "at": START + 7 * DAY - 1, "account": "A1"}
    for _ in range(2):
        assert store.look(tick) == {"n": 1, "largest": 5, "weekly": 1.0}
    assert store.look({**tick, "at": START + 7 * DAY})["n"] == 0
    assert store.observe(event(START + 1, amount=3)) == {"n": 2, "largest": 5, "weekly": 1.0}
    with pytest.raises(InputError, match="a look needs `at`"):
        store.look({**tick, "at": MISSING})


def test_contents_name_the_events_of_a_window(store: Store) -> None:
    store.observe(event(START - 7 * DAY, id="old"))
    store.observe(event(START - DAY, id="one", amount=5))
    store.observe(event(START, id="two", direction=MISSING, amount=7))
    store.observe(event(START, id="out", direction="out"))
    store.observe(event(START, "A2", id="other"))
    now = event(START, id="now")
    assert [key for key, *_ in store.contents("n", now)] == [("one",), ("two",), ("out",)]
    assert [tuple(row) for row in store.contents("largest", now)] == [(("one",), START - DAY, 5, True), (("two",), START, 7, False)]
    assert [row.value for row in store.contents("weekly", now)] == [5, None, 100]
    assert list(store.contents("n", {**now, "account": MISSING})) == []
    assert store.observe(now)["n"] == 4


def test_how_much_there_is(store: Store) -> None:
    assert store.measured()[4:] == (None, None)
    for number in range(5):
        store.observe(event(START + number % 3 * HOUR, f"A{number % 2}"))
    measured = store.measured()
    assert (measured.keys, measured.events) == (2, 5)
    assert (measured.oldest, measured.newest) == (START, START + 2 * HOUR)
    assert measured.rows >= 5 and measured.bytes > 0


# --- built anew ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return address(request.param, tmp_path)


OTHER = bound([feature("m", "count", days(1))], record())


def test_what_is_built_afresh_takes_the_place_of_what_is_there_in_the_end(url: str, tmp_path: Path) -> None:
    for _ in range(2):
        with open_store(url, [GROUP], record(), 0, afresh=True) as store:
            store.observe(event(START))
        with open_store(url, [OTHER], record(), 0, afresh=True) as built:
            for _ in range(3):
                built.observe(event(START, id="once"))
            with open_store(url, [GROUP], record()) as store:
                assert store.look(event(START))["n"] == 1
            assert (built.measured().keys, built.measured().events) == (1, 1)
        with open_store(url, [OTHER], record()) as store:
            assert store.look(event(START)) == {"m": 1}
        with pytest.raises(StoreError, match="made for other features; rebuild it from history with `engine backfill`"):
            open_store(url, [GROUP], record())
    assert len(list(tmp_path.iterdir())) <= 1


def test_what_was_there_stays_where_building_fails(url: str, tmp_path: Path) -> None:
    with open_store(url, [GROUP], record(), 0) as store:
        store.observe(event(START))
    with pytest.raises(ZeroDivisionError), open_store(url, [GROUP], record(), 0, afresh=True) as built:
        built.observe(event(START))
        raise ZeroDivisionError
    with open_store(url, [GROUP], record()) as store:
        assert store.look(event(START))["n"] == 1
    assert len(list(tmp_path.iterdir())) <= 1


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_who_uses_a_store_goes_on_with_the_one_that_takes_its_place(kind: str) -> None:
    url = server(kind).url()
    with open_store(url, [GROUP], record(), 0) as store:
        for _ in range(5):
            store.observe(event(START))
        with open_store(url, [GROUP], record(), 0, afresh=True) as built:
            built.observe(event(START, id="one"))
        assert store.observe(event(START))["n"] == 2
        with open_store(url, [OTHER], record(), 0, afresh=True):
            pass
        with pytest.raises(StoreError, match="made for other features"):
            store.observe(event(START))


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_store_whose_building_is_broken_off_is_not_put_in_place(kind: str) -> None:
    there = server(kind)
    url = there.url()
    with open_store(url, [GROUP], record(), 0) as store:
        store.observe(event(START))
    broken = pytest.raises(StoreError, match="was not built to its end: its connection broke; build it again")
    with broken, open_store(url, [GROUP], record(), 0, afresh=True) as built:
        built.observe(event(START))
        there.kill()
        there.start()
        built.observe(event(START))
    with open_store(url, [GROUP], record()) as store:
        assert store.look(event(START))["n"] == 1


def test_only_one_builds_in_postgres_at_a_time() -> None:
    url = server("postgres").url()
    with open_store(url, [GROUP], record(), 0, afresh=True), pytest.raises(StoreError, match="is just being built anew by another"):
        open_store(url, [GROUP], record(), 0, afresh=True)


@pytest.mark.parametrize("fails", [False, True])
def test_of_two_histories_in_redis_one_is_left(fails: bool) -> None:
    there = server("redis")
    assert isinstance(there, Redis)
    url = there.url()
    for _ in range(2):
        with contextlib.suppress(ZeroDivisionError), open_store(url, [GROUP], record(), 0, afresh=True) as built:
            built.observe(event(START))
            if fails:
                raise ZeroDivisionError
    with there.client(int(re.findall(r"\d+$", url)[0])) as client:
        assert len(client.keys()) == (0 if fails else 3)  # what it is, its events and one key's rows
