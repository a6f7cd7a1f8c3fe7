"""Law 2 on servers that several workers use at once: they take turns at random, come between each other's looking and appending, lose
their connections and begin anew, and what they say together is what one says to the whole stream."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.features import live as living
from engine.features.spec import BoundFeatures
from engine.features.store import Store, open_store
from engine.plan import Row
from engine.record import Record
from tests.features import oracle
from tests.features.events import live
from tests.features.servers import server
from tests.properties.test_law2 import exactly
from tests.properties.test_law2_corrections import cases

KINDS = ("redis", "postgres")


class Workers:
    """Three processes on one history, as far as one can be three."""

    def __init__(self, kind: str, group: BoundFeatures, under: Record, since: int | None, random: Random) -> None:
        self.random, self.url = random, server(kind).url()
        self.open: Callable[[], Store] = lambda: open_store(self.url, [group], under, since)
        self.stores = [self.open() for _ in range(3)]

    def one(self) -> Store:
        """Any of them, which may have had bad luck since."""
        place = self.random.randrange(3)
        match self.random.choice(["", "", "", "", "", "", "begins anew", "loses its connection"]):
            case "begins anew":
                self.stores[place].close()
                self.stores[place] = self.open()
            case "loses its connection":
                broken(self.stores[place])
        return self.stores[place]

    def close(self) -> None:
        for store in self.stores:
            store.close()


def broken(store: Store) -> None:
    """Its connection is dead, and it does not know."""
    connection = vars(vars(store)["log"])["_connection"]
    if hasattr(connection, "pgconn"):
        connection.pgconn.finish()
    else:
        connection._sock.close()


@contextlib.contextmanager
def meanwhile(store: Store, work: Callable[[], None]) -> Iterator[None]:
    """`work` is done when the store has computed an answer and is about to append it."""
    log: Any = vars(store)["log"]
    real = log._ask

    def ask(*given: Any) -> Any:
        del log._ask
        work()
        return real(*given)

    log._ask = ask
    yield
    vars(log).pop("_ask", None)


def together(workers: Workers, stream: list[Row]) -> list[Row]:
    """What they say to the stream, in its order."""
    found: list[Row] = []
    rest = list(stream)

    def tell(store: Store) -> None:
        found.extend(live([rest.pop(0)], store))

    while rest:
        store = workers.one()
        if len(rest) == 1 or workers.random.random() < 0.5:
            tell(store)
            continue
        second = rest.pop(1)
        other = next(one for one in workers.stores if one is not store)
        with meanwhile(store, lambda other=other: tell(other)):  # type: ignore[misc]
            found += live([second], store)
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_workers_together_say_what_features_mean(kind: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    under, group, stream, since, random = cases(seed, number=4)
    monkeypatch.setattr(living, "SWEEP", random.choice([1, 3, 32]))
    monkeypatch.setattr(living, "MOST_KEYS", random.choice([1, 3, 1000]))
    workers = Workers(kind, group, under, since, random)
    with contextlib.closing(workers):
        assert exactly(together(workers, stream)) == exactly(oracle.features(stream, group, under, since))
