"""A lock: the closed set of component versions that decide together, each by its digest, with the engine and the libraries they ran under.

It is a file that a person can read and a program writes; a lock that was edited by hand is refused by its seal.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, Final

from engine.errors import RegistryError
from engine.registry.manifest import METHOD_KIND, Component, parse_version
from engine.registry.oci import MANIFEST_TYPE, Descriptor, as_json
from engine.registry.published import Published, Registry, inside
from engine.registry.unfinished import unfinished

SUFFIX: Final = ".lock"
_LARGEST: Final = 64_000_000
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Locked:
    """One component of a lock. `manifest` and `size` point to it in a registry; a draft has none and is taken from the working tree."""

    component: Component
    manifest: str | None = None
    size: int = 0

    @property
    def draft(self) -> bool:
        return self.manifest is None


@dataclass(frozen=True, slots=True)
class Lock:
    """What a cascade runs as. `path` is the cascade's place in the workspace, `since` the first day on which it holds, if it says so."""

    name: str
    version: str
    path: str
    engine: str
    language: str
    components: tuple[Locked, ...]
    libraries: Mapping[str, str] = field(default_factory=dict)
    since: date | None = None

    @property
    def seal(self) -> str:
        """The hash of everything it says, by which decisions name it."""
        return "sha256:" + hashlib.sha256(as_json(self._said())).hexdigest()

    @property
    def draft(self) -> bool:
        """Whether some component was not published."""
        return any(one.draft for one in self.components)

    def _said(self) -> dict[str, Any]:
        return {
            "lock": self.name,
            "version": self.version,
            "cascade": self.path,
            "effective_from": None if self.since is None else self.since.isoformat(),
            "engine": self.engine,
            "language": self.language,
            "libraries": dict(self.libraries),
            "components": [_entry(one) for one in self.components],
        }

    def text(self) -> str:
        """The file, the same bytes for the same lock."""
        return json.dumps({**self._said(), "seal": self.seal}, indent=2, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all, and the folder it stands in. Raises `RegistryError`."""
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished(path.resolve()) as file:
                file.write(self.text().encode())
        except OSError as error:
            told = f"the lock `{path}` cannot be written: {(error.strerror or str(error)).lower()}"
            raise RegistryError(f"{told}; name another file with --output") from None

    @classmethod
    def read(cls, path: Path) -> Lock:
        """The lock in a file. Raises `RegistryError` for one that is none, or was edited by hand."""
        try:
            with path.open("rb") as file:
                data = file.read(_LARGEST + 1)
        except OSError as error:
            raise RegistryError(f"the lock `{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None
        return cls.of(data, str(path))

    @classmethod
    def of(cls, data: bytes, place: str) -> Lock:
        """The lock in some bytes."""
        try:
            said = json.loads(data)
            lock = cls(
                str(said["lock"]),
                said["version"],
                inside(said["cascade"], f"the lock `{place}`"),
                str(said["engine"]),
                str(said["language"]),
                tuple(_locked(one) for one in said["components"]),
                dict(said["libraries"]),
                None if said["effective_from"] is None else date.fromisoformat(said["effective_from"]),
            )
            seal = said["seal"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise RegistryError(f"`{place}` is no lock; make one with `engine lock CASCADE`") from None
        if seal != lock.seal:
            raise RegistryError(
                f"the lock `{place}` was edited by hand: what it says has the seal {lock.seal}; make it anew with `engine lock`"
            )
        return lock


def _entry(one: Locked) -> dict[str, Any]:
    component = one.component
    said: dict[str, Any] = {"kind": component.kind, "name": component.name, "version": component.version, "hash": component.hash}
    return said | ({"draft": True} if one.manifest is None else {"manifest": one.manifest, "size": one.size})


def _locked(said: Mapping[str, Any]) -> Locked:
    component = Component(str(said["kind"]), str(said["name"]), str(said["version"]), said["hash"])
    if parse_version(component.version) is None or not _HASH.fullmatch(component.hash):
        raise ValueError("no version, or no hash")
    if said.get("draft") is True:
        return Locked(component)
    if not _HASH.fullmatch(said["manifest"]):
        raise ValueError("no digest")
    return Locked(component, said["manifest"], int(said["size"]))


def locked(published: Published) -> Locked:
    return Locked(published.component, published.manifest.digest, published.manifest.size)


def files(lock: Lock, registry: Registry) -> dict[str, bytes]:
    """Every file of the published components of a lock by its place in a workspace, each held against its digest, and nothing else.

    Raises `RegistryError` for what is missing or was altered, and where two components hold different files of one name.
    """
    found: dict[str, tuple[str, bytes]] = {}
    for one in lock.components:
        if one.manifest is None:
            continue
        published = Published(one.component, Descriptor(MANIFEST_TYPE, one.manifest, one.size))
        for path, data in registry.files(published).items():
            whose, before = found.setdefault(path, (str(one.component), data))
            if before != data:
                raise RegistryError(f"`{whose}` and `{one.component}` hold different files `{path}`; publish them anew together")
    _check_side_by_side({path: whose for path, (whose, _) in found.items()})
    return {path: data for path, (_, data) in found.items()}


def _check_side_by_side(held: Mapping[str, str]) -> None:
    """Raises `RegistryError` for files of which some disk would keep one only: names that differ in capitals alone or in how a letter is
    put together, and a file where another wants a folder. `held` says whose each file is."""
    plain: dict[str, str] = {}
    for path in sorted(held):
        other = plain.setdefault(_plain(path), path)
        inside_it = next((plain[folder] for folder in map(str, PurePosixPath(_plain(path)).parents) if folder in plain), other)
        for one in (other, inside_it):
            if one != path:
                raise RegistryError(
                    f"`{held[one]}` and `{held[path]}` hold `{one}` and `{path}`, which cannot lie in one folder everywhere; "
                    "publish one of them anew under another name"
                )


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def unpack(lock: Lock, registry: Registry, folder: Path) -> None:
    """Write the files of a lock into a folder, which then is a workspace of these versions alone. Raises what `files` does."""
    write(files(lock, registry), folder)


def write(held: Mapping[str, bytes], folder: Path) -> None:
    """Write files by their places in a workspace into a folder."""
    for path, data in held.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def check_loaded(lock: Lock, loaded: Iterable[Component], place: str) -> None:
    """Raises `RegistryError` where what was loaded is not what a lock says."""
    wanted, there = (
        {(one.kind, one.name, one.version): one for one in some} for some in ((one.component for one in lock.components), loaded)
    )
    for key, one in wanted.items():
        if key in there and there[key].hash != one.hash:
            raise RegistryError(f"`{one}` is not what the lock `{place}` holds: it has the hash {there[key].hash}, locked is {one.hash}")
    others = [f"`{there[key]}`" for key in sorted(there.keys() - wanted.keys()) if key[0] != METHOD_KIND]
    if others:
        raise RegistryError(f"the lock `{place}` does not hold {', '.join(others)}, which takes part; make it anew with `engine lock`")


def check_engine(lock: Lock, engine: str, language: str, place: str) -> None:
    """Raises `RegistryError` for a lock of a newer engine, or of another language."""
    if _numbers(lock.language) > _numbers(language) or _numbers(lock.engine) > _numbers(engine):
        message = (
            f"the lock `{place}` was made by engine {lock.engine} with language {lock.language}; this is engine {engine} with {language}"
        )
        raise RegistryError(f"{message}: it may not know all that stands in it")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
