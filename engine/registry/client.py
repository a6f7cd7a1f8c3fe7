"""The library oras, which speaks with OCI registry servers, held to our terms: it waits for nobody for ever, reads no answer without end,
sends no login elsewhere, asks no other machine over http unless that was said, and what goes wrong is told in one line.

It knows repositories, tags and blobs, and no component.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import oras.auth
import oras.container
import oras.provider
import requests
import requests.adapters
import urllib3

from engine.errors import RegistryError
from engine.registry.oci import LARGEST_MANIFEST
from engine.registry.places import Address, is_local

_PATIENCE: Final = (5.0, 30.0)
"""Seconds to wait for a connection, and for the next bytes of an answer."""
_SLOWEST: Final = 20_000
"""Bytes a second: what comes more slowly, beyond the first seconds, is given up."""
_PIECE: Final = 1 << 20
_WITHOUT: Final = "a server without https is written without `https://`, and takes --insecure where it is not this machine"


def repository(address: Address, path: str) -> oras.container.Container:
    """A repository on a server as the library names it, which takes the first part for a host only where it looks like one."""
    host = address.host
    shown = host if "." in host or ":" in host else f"{host}:{80 if address.plain else 443}"
    return oras.container.Container(f"{shown}/{path}")


class Client(oras.provider.Registry):  # type: ignore[misc]
    """The library's client, which waits for nobody for ever, reads no answer without end, and tells apart what goes wrong."""

    def do_request(
        self, url: str, method: str = "GET", data: Any = None, headers: Any = None, json: Any = None, stream: bool = False
    ) -> requests.Response:
        if urlsplit(url).hostname != urlsplit(f"//{self.hostname}").hostname:
            raise RegistryError(f"`{self.hostname}` sends us to `{urlsplit(url).hostname}`, where its logins do not belong")
        answer: requests.Response = _once(self, url, method, data, headers, json, True)
        if not stream or answer.status_code >= 400:
            answer.raw = io.BytesIO(_bounded(answer, self.hostname))
        if answer.status_code in (401, 403):
            raise RegistryError(self.auth.refused(answer.status_code))
        if answer.status_code >= 400 and not (answer.status_code == 404 and method in ("GET", "HEAD")):
            raise RegistryError(f"`{self.hostname}` says {answer.status_code} to {method} {urlsplit(url).path[:120]}: {reason(answer)}")
        return answer


_once: Final = inspect.unwrap(oras.provider.Registry.do_request)
"""One request with its login, without the library's retries, which wait for two minutes whatever the trouble is."""


class _Login(oras.auth.TokenAuth):  # type: ignore[misc]
    """The login for one host, given as its server asks for it: as it is, or for a token that opens one repository."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host

    def authenticate_request(
        self, original: requests.Response, headers: dict[str, str], refresh: bool = False
    ) -> tuple[dict[str, str], bool]:
        challenge = original.headers.get("WWW-Authenticate", "")
        self.token = None  # the library would show the one it has again, which opened another repository
        original.close()
        if challenge.lower().startswith("basic"):
            if not hasattr(self, "_basic_auth"):
                raise RegistryError(self.refused(original.status_code))
            self.session.headers["Authorization"] = f"Basic {self._basic_auth}"
            return headers or {}, True
        if not re.search(r'realm="https?://', challenge):
            raise RegistryError(f"`{self.host}` asks for a login of no known kind: `{challenge[:80]}`; is the address right?")
        answered: tuple[dict[str, str], bool] = super().authenticate_request(original, headers, refresh)
        return answered

    def refused(self, status: int) -> str:
        """What to do about a server that does not let us in."""
        way_out = f"`docker login {self.host}`, or `skopeo login --compat-auth-file ~/.docker/config.json {self.host}`"
        if not hasattr(self, "_basic_auth"):
            return f"`{self.host}` asks for a login: {way_out}"
        if status == 403:
            return f"`{self.host}` does not allow this to your login; ask whoever keeps it, or log in as another: {way_out}"
        return f"`{self.host}` does not take your login; log in anew: {way_out}"

    def load(self, address: Address) -> None:
        """Take the login from where `docker login` puts it."""
        folder = os.environ.get("DOCKER_CONFIG")
        files = [str(Path(folder) / "config.json")] if folder and (Path(folder) / "config.json").is_file() else []
        try:
            self.load_configs(repository(address, "any"), files)
        except (ValueError, TypeError, KeyError, AttributeError, OSError):
            place = files[0] if files else "~/.docker/config.json"
            raise RegistryError(
                f"the logins in `{place}` cannot be read; mend it, or make it anew with `docker login {self.host}`"
            ) from None


class _Patient(requests.adapters.HTTPAdapter):
    """Connections with a limit to their patience; http to other machines only where that was said."""

    def __init__(self, insecure: bool) -> None:
        again = urllib3.Retry(
            total=3,
            connect=1,
            read=False,
            status=2,
            backoff_factor=0.2,
            status_forcelist=(502, 503, 504),
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        super().__init__(max_retries=again)
        self.insecure = insecure

    def send(self, request: requests.PreparedRequest, *args: Any, **how: Any) -> requests.Response:
        target = urlsplit(request.url or "")
        if target.scheme == "http" and not self.insecure and not is_local(target.netloc):
            raise RegistryError(
                f"we are sent to `{target.hostname}` over http, which anybody between could read and change; --insecure allows it"
            )
        wait, read = _PATIENCE  # what was sent is put away before it is answered, and that may be much
        return super().send(request, *args, **{**how, "timeout": (wait, read * 10 if request.method == "PUT" else read)})


def connected(address: Address) -> Client:
    """A client with the login for a server. Raises `RegistryError` where there is no registry."""
    logging.getLogger("oras").addHandler(logging.NullHandler())  # what it would print is told by our errors
    client, host = Client(hostname=address.host, insecure=address.plain), address.host
    session = client.session
    session.auth = lambda request: request  # no login from ~/.netrc
    session.headers["Accept-Encoding"] = "identity"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Patient(address.plain and not is_local(host)))
    client.auth = _Login(host)
    client.auth.session, client.auth.prefix, client.auth._tls_verify = session, client.prefix, True
    client.auth.load(address)
    with plainly(host):
        answer = session.get(f"{client.prefix}://{host}/v2/", stream=True)
        answer.close()
    html = "html" in answer.headers.get("Content-Type", "")
    if answer.status_code not in (200, 401, 403) or html or (answer.status_code == 401 and "WWW-Authenticate" not in answer.headers):
        raise RegistryError(f"`{host}` is no OCI registry: to /v2/ it says {answer.status_code}{' and a web page' if html else ''}")
    return client


def reason(answer: requests.Response) -> str:
    """What a server gives as reason."""
    try:
        first = json.loads(answer.content)["errors"][0]
        text = f"{first.get('message') or first.get('code')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        text = answer.reason or "nothing"
    return text[:200].lower()


def in_time(answer: requests.Response, host: str | None) -> Iterator[bytes]:
    """The bytes of an answer as they come, while they come fast enough."""
    begun, size = time.monotonic(), 0
    while piece := answer.raw.read1(_PIECE, decode_content=True):
        size += len(piece)
        if time.monotonic() - begun > _PATIENCE[1] + size / _SLOWEST:
            raise RegistryError(f"`{host}` answers too slowly: {size:_} bytes in {time.monotonic() - begun:.0f} seconds; try again later")
        yield piece


def _bounded(answer: requests.Response, host: str | None) -> bytes:
    """An answer that is read whole."""
    found = bytearray()
    try:
        for piece in in_time(answer, host):
            found += piece
            if len(found) > LARGEST_MANIFEST:
                raise RegistryError(f"`{host}` answers with more than {LARGEST_MANIFEST:_} bytes, where no answer has so many")
    except BaseException:
        answer.close()
        raise
    answer.raw.release_conn()
    return bytes(found)


@contextlib.contextmanager
def plainly(host: str) -> Iterator[None]:
    """What goes wrong between us and a server, in one line."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise RegistryError(f"`{host}` cannot be trusted over https: {_cause(error)}; {_WITHOUT}") from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        raise RegistryError(f"`{host}` does not answer in time; try again later") from None
    except (requests.exceptions.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise RegistryError(f"`{host}` cannot be reached, or hung up: {_cause(error)}; is a registry running there?") from None
    except requests.exceptions.RequestException as error:
        raise RegistryError(f"`{host}` cannot be asked: {_cause(error)}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if "authentication" in str(error):
            raise RegistryError(f"`{host}` gives no token to your login, or to none: log in with `docker login {host}`") from None
        raise RegistryError(f"`{host}` answers nonsense, as no OCI registry does; is the address right?") from None


def _cause(error: BaseException) -> str:
    """The innermost cause, in a few words."""
    inner: BaseException | None = error
    while inner is not None:
        error, inner = (
            inner,
            getattr(inner, "reason", None)
            or inner.__cause__
            or inner.__context__
            or next((a for a in inner.args if isinstance(a, BaseException)), None),
        )
        if not isinstance(inner, BaseException):
            break
    text = getattr(error, "strerror", None) or str(error)
    text = re.sub(r"\[[A-Za-z]+: \w+\] | ?\(_ssl\.c:\d+\)", "", str(text))
    return re.sub(r"\s+", " ", text)[:160].lower().rstrip(".")
