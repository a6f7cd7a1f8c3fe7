"""A real registry server for tests: `docker-registry` from Debian's package, on a spare port of this machine, in a folder that goes.

Where a program is not installed its tests are skipped, loudly; where the environment variable CI is set they fail.
"""

from __future__ import annotations

import itertools
import os
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.features.servers import Server

LOGIN = ("analyst", "known to all tests")
_HASH = "analyst:$2y$05$abcdefghijklmnopqrstuudO0zfgApLmtqNz6/mo1F7XDj7F7vbDC"
_NUMBERS = itertools.count()


def program(name: str, package: str) -> str:
    """The path of a program that tests need."""
    found = shutil.which(name)
    why = f"NOT TESTED: no `{name}` on this machine; install Debian's package `{package}`"
    if found is None and os.environ.get("CI"):
        pytest.fail(why)
    if found is None:
        pytest.skip(why)
    return found


class DockerRegistry(Server):
    """An OCI registry; with `login` it takes `LOGIN` alone."""

    def __init__(self, *, login: bool = False) -> None:
        self.program = program("docker-registry", "docker-registry")
        super().__init__()
        self.login = login
        users = self.folder / "users"
        users.write_text(_HASH)
        auth = f"auth: {{htpasswd: {{realm: tests, path: {users}}}}}\n" if login else ""
        (self.folder / "config.yml").write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n"
            f"http: {{addr: '127.0.0.1:{self.port}'}}\n{auth}"
        )

    def command(self) -> list[str]:
        return [self.program, "serve", str(self.folder / "config.yml")]

    def ready(self) -> None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/", timeout=5).close()
        except urllib.error.HTTPError as error:  # it wants a login, and so it is there
            error.close()

    def url(self) -> str:
        return f"localhost:{self.port}/{next(_NUMBERS)}"


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Who asked has hung up, as he should."""


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(answer: Callable[[str, str, dict[str, str]], Answer], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A web server that answers as a function of method, path and headers says, over https where `tls` is given; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = answer(self.command, self.path, dict(self.headers.items()))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = reply

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = _Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
