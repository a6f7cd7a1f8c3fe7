"""A registry server that lives as long as the tests do; and nobody's logins or caches but those of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry.servers import DockerRegistry


@pytest.fixture(scope="session")
def _docker_registry() -> Iterator[DockerRegistry]:
    server = DockerRegistry()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def remote(_docker_registry: DockerRegistry) -> str:
    """A place on a registry server that nobody has used."""
    return _docker_registry.url()


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("KASKADE_CACHE", "XDG_CACHE_HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home
