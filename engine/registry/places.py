"""Where a registry is, as people write it: a folder, or a place on an OCI registry server such as ``localhost:5000/bank``.

It opens nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.errors import RegistryError

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HOST: Final = re.compile(r"localhost|\[[0-9a-f:]+\](:\d{1,5})?|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9.-]+:\d{1,5}", re.IGNORECASE)
_NAMED: Final = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Address:
    """A place on a server: components stand below `prefix`, which may be empty. `plain` is http."""

    host: str
    prefix: str
    plain: bool

    def __str__(self) -> str:
        return f"{self.host}/{self.prefix}" if self.prefix else self.host

    def repository(self, kind: str, name: str) -> str:
        """Where a component stands below the host.

        >>> Address("localhost:5000", "bank", True).repository("ruleset", "aml/cash")
        'bank/ruleset/aml/cash'
        """
        return "/".join(part for part in (self.prefix, kind, name) if part)


def place(text: str | Path, *, insecure: bool = False) -> Path | Address:
    """The folder or the place on a server that a text means. A server is what begins with a scheme, or with a host as container tools know
    one: ``localhost``, a port, or a dot in it; a folder that is there already is a folder.

    http is used for this machine alone, unless `insecure` is said. Raises `RegistryError` for what is neither.

    >>> place("localhost:5000/bank")
    Address(host='localhost:5000', prefix='bank', plain=True)
    >>> place("https://registry.bank.example/rules/").plain, str(place("./registry.old"))
    (False, 'registry.old')
    """
    if isinstance(text, Path):
        return text
    named = _SCHEME.match(text)
    scheme = named[1].lower() if named else ""
    if scheme not in ("", "http", "https", "oci"):
        raise RegistryError(f"`{text[:80]}` is no place of a registry: write a folder, `HOST/PATH`, or `https://HOST/PATH`")
    host, _, rest = text[named.end() :].partition("/") if named else text.partition("/")
    if not scheme and (not _HOST.fullmatch(host.rpartition("@")[2]) or (Path(text) / "oci-layout").is_file()):
        return Path(text)
    _check(text, host, rest.strip("/"), bool(scheme))
    local = is_local(host)
    if scheme == "http" and not (local or insecure):
        raise RegistryError(f"`{host}` is not asked over http, which anybody between could read and change: use https, or say --insecure")
    return Address(host.lower(), rest.strip("/"), scheme == "http" or (scheme != "https" and (local or insecure)))


def is_local(host: str) -> bool:
    """Whether a host, with its port or without, is this machine.

    >>> is_local("localhost:5000"), is_local("[::1]"), is_local("localhost.bank.example")
    (True, True, False)
    """
    return (urlsplit(f"//{host}").hostname or "") in _LOCAL


def folder(where: Path | Address) -> Path:
    """The folder where one is needed. Raises `RegistryError` for a place on a server, with the way out."""
    if isinstance(where, Address):
        raise RegistryError(
            f"`{where}` is on a server, here a folder is needed: `engine pull --all --from {where} --registry FOLDER` fetches into one"
        )
    return where


def _check(text: str, host: str, rest: str, sure: bool) -> None:
    """Raises `RegistryError` for a host or a path on it that are none."""
    if "@" in host or "@" in rest:
        raise RegistryError(
            f"`{text[text.rindex('@') + 1 :][:80]}` takes no user in its address: log in with `docker login`, or `skopeo login`"
        )
    if not _HOST.fullmatch(host) and not (sure and re.fullmatch(r"[a-zA-Z0-9-]+", host)):
        raise RegistryError(f"`{text[:80]}` names no host: write a place on a server like `localhost:5000/bank`")
    wrong = [part for part in rest.split("/") if rest and not _NAMED.fullmatch(part)]
    if wrong:
        told = f"`{wrong[0][:80]}` cannot stand in a place on a server, which has a-z, 0-9 and single `.`, `-` or `_` between"
        raise RegistryError(f"{told}; a folder of this name is written `./{text[:80]}`" if not sure else told)
