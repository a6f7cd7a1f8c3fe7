"""The servers of these tests end with them."""

from collections.abc import Iterator

import pytest

from tests.features import servers


@pytest.fixture(scope="session", autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    servers.stop()
