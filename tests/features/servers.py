"""Real servers for the tests of stores: Redis and PostgreSQL from Debian's packages, on spare ports of this machine, in a folder that goes.

Where one is not installed its tests are skipped, loudly; where the environment variable CI is set they fail.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis


class Server(ABC):
    """A server that can be killed and started again over the same data."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kaskade-"))
        self.port = _spare_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.numbers = itertools.count()

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    @abstractmethod
    def ready(self) -> None:
        """Raises an error of the client's while it is not."""

    @abstractmethod
    def url(self) -> str:
        """The address of a store that nobody has used."""

    def start(self, **how: Any) -> None:
        end = time.monotonic() + 30
        while True:
            if self.process is None or self.process.poll() is not None:
                with (self.folder / "log").open("ab") as log:
                    self.process = subprocess.Popen([*_WITH_US, *self.command()], stdout=log, stderr=log, cwd=self.folder, **how)
            try:
                return self.ready()
            except (redis.RedisError, psycopg.Error, OSError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        """End it and its children, without a word to them."""
        if self.process is not None and self.process.poll() is None:
            for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
            self.process.kill()
            self.process.wait()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """Its databases are handed out in turn, emptied."""

    def command(self) -> list[str]:
        # every command is in the file before it is answered, so that a killed server comes back with all it has said
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.folder / "socket"), "--save", ""]
        return [_redis(), *options, "--appendonly", "yes", "--appendfsync", "always", "--dir", str(self.folder)]

    def client(self, database: int = 0) -> redis.Redis:
        return redis.Redis(port=self.port, db=database, retry=None)

    def ready(self) -> None:
        with self.client() as client:
            client.ping()

    def url(self) -> str:
        number = next(self.numbers) % 16
        with self.client(number) as client:
            client.flushdb()
        return [f"redis://127.0.0.1:{self.port}/{number}", f"unix://{self.folder}/socket?db={number}"][number % 2]


class Postgres(Server):
    """Every address has a schema of its own. Only a `safe` one waits for the disk at every commit: killed it comes back either way."""

    def __init__(self, safe: bool = False) -> None:
        super().__init__()
        self.safe = safe
        self.binaries = _postgres()
        self.who: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            who = next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
            self.who = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
            os.chown(self.folder, who.pw_uid, who.pw_gid)
        options = ["--username", "kaskade", "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C"]
        made = [self.binaries / "initdb", "--pgdata", self.folder / "data", *options]
        subprocess.run(made, check=True, capture_output=True, cwd=self.folder, **self.who)

    def command(self) -> list[str]:
        where = ["-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1"]
        return [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), *where, "-c", f"fsync={'on' if self.safe else 'off'}"]

    def start(self, **how: Any) -> None:
        super().start(**self.who, **how)

    def client(self) -> psycopg.Connection[Any]:
        return psycopg.connect(f"host=127.0.0.1 port={self.port} user=kaskade dbname=postgres", autocommit=True)

    def ready(self) -> None:
        self.client().close()

    def url(self) -> str:
        schema = f"s{next(self.numbers)}"
        with contextlib.closing(self.client()) as client:
            client.execute(f"CREATE SCHEMA {schema}")  # type: ignore[call-overload]
        return f"postgresql://kaskade@127.0.0.1:{self.port}/postgres?options=-csearch_path%3D{schema}"


_WITH_US = ["setpriv", "--pdeathsig", "QUIT"] if shutil.which("setpriv") else []
"""A server ends with the process that started it, however that ends."""


def _spare_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _redis() -> str:
    return shutil.which("redis-server") or shutil.which("valkey-server") or ""


def _postgres() -> Path:
    named = shutil.which("initdb")
    found = [Path(named).parent] if named else sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found and (found[-1] / "postgres").exists() else Path()


def lacking(kind: str) -> str:
    """Why there is no such server here; nothing where there is one."""
    there = _redis() if kind == "redis" else _postgres().name
    package = {"redis": "redis-server", "postgres": "postgresql"}[kind]
    return "" if there else f"NOT TESTED: no {kind} server on this machine; install Debian's package `{package}`"


_RUNNING: dict[str, Server] = {}


def server(kind: str) -> Server:
    """The running server of this kind, started where it is not."""
    why = lacking(kind)
    if why and os.environ.get("CI"):
        pytest.fail(why)
    if why:
        pytest.skip(why)
    if kind not in _RUNNING:
        _RUNNING[kind] = Redis() if kind == "redis" else Postgres()
    _RUNNING[kind].start()
    return _RUNNING[kind]


def stop() -> None:
    """End the servers that were started, and remove their data."""
    for one in _RUNNING.values():
        one.remove()
    _RUNNING.clear()


def address(kind: str, folder: Path) -> str:
    """The address of a new store: of this kind of server, of a file in `folder`, or in memory."""
    if kind in ("redis", "postgres"):
        return server(kind).url()
    return "memory:" if kind == "memory" else f"sqlite:{folder / f'history{next(_FILES)}.db'}"


_FILES = itertools.count()
