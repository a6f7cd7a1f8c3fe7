"""What features say, by every way of asking: the definition, the live stores, and the batch at once and event by event. The servers of
these tests end with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.features.store import complete_since, open_store
from engine.lang import ir
from engine.plan import Row
from engine.record import Record
from tests.features import oracle, servers
from tests.features.events import batch, bound, live, record


@pytest.fixture(scope="session", autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    servers.stop()


@pytest.fixture(params=["oracle", "memory", "sqlite", "redis", "postgres", "batch", "batch by one"])
def say(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A function from features and events to what the features say at each event."""
    return asked(request.param, tmp_path)


def asked(way: str, folder: Path) -> Any:
    """`say`, for one way of asking."""

    def run(features: ir.Feature | list[ir.Feature], rows: list[Row], history_from: Any = 0, under: Record | None = None) -> list[Any]:
        wanted = features if isinstance(features, list) else [features]
        under = under or record()
        group = bound(wanted, under)
        if way == "oracle":
            found = oracle.features(rows, group, under, complete_since(history_from, under))
        elif way.startswith("batch"):
            chunks = [rows] if way == "batch" else [[row] for row in rows]
            found = batch(chunks, [group], under, history_from)
        else:
            with open_store(servers.address(way, folder), [group], under, history_from) as store:
                found = live(rows, store)
        return [row.get(wanted[0].name, row) for row in found] if not isinstance(features, list) else found

    return run
