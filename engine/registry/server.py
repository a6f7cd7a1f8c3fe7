"""Components on an OCI registry server: each a repository, its versions tags. Manifests and blobs are held against their digests.

A version that is yanked has a second tag beside its own, `yanked-VERSION`, which points to a mark with the reason.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from engine.diagnostics import suggest
from engine.errors import RegistryError
from engine.registry.client import Client, connected, in_time, plainly, reason, repository
from engine.registry.manifest import REFERENCE, Component, fits, in_order, parse_version
from engine.registry.oci import LARGEST_MANIFEST, MANIFEST_TYPE, Descriptor, as_json, as_manifest, described
from engine.registry.places import Address
from engine.registry.published import KINDS, YANKED, Config, Published, Registry, as_config, check_same, parts, published, ref

if TYPE_CHECKING:
    from oras.container import Container

MARK: Final = "application/vnd.kaskade.yanked.v1+json"
_MARKED: Final = "yanked-"
_MOST: Final = 10_000_000
_CHUNKED: Final = 64_000_000
_LONGEST: Final = 1_000
_SMALL: Final = 65_536
_PAGE: Final = 1_000
_EMPTY: Final = b"{}"
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"


class Server:
    """The components below an address. Nothing is asked before the first question is put."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._client: Client | None = None
        self._seen: dict[str, bytes] = {}

    @property
    def place(self) -> str:
        return str(self.address)

    # --- what is there -------------------------------------------------------------------------------------------------

    def all(self) -> list[Published]:
        """Every version of every component, by name and version, oldest first. Raises `RegistryError` also where the server does not tell
        what it holds, which none has to."""
        return _sorted(one for kind, name in self._components() for one in self._of(kind, name))

    def versions(self, name: str, kind: str | None = None) -> list[Published]:
        """The versions of a component, oldest first, of any kind where none is said."""
        return _sorted(one for each in ((kind,) if kind else KINDS) for one in self._of(each, name))

    def newest(self, name: str, wanted: str | None = None, kind: str | None = None) -> Published:
        """The newest version that fits and is not yanked; one that is no release only where it is asked for by its full name."""
        named = [(each, self._tags(each, name)) for each in ((kind,) if kind else KINDS)]
        there = [(each, tags) for each, tags in named if any(parse_version(tag) for tag in tags)]
        if len(there) > 1:
            raise RegistryError(f"several components are called `{name}`: say {' or '.join(f'`{each}:{name}`' for each, _ in there)}")
        if not there:
            raise RegistryError(f"there is no component `{name}` in `{self.place}`{self._hint(name)}")
        found, tags = there[0]
        versions = sorted((tag for tag in tags if parse_version(tag)), key=in_order)
        for version in reversed(versions):
            if fits(version, wanted):
                one = self._read(Component(found, name, version, ""), tags)
                if one.yanked is None or version == wanted:
                    return one
        told = f"`{name}` has no version {wanted or 'that may be used'} in `{self.place}`"
        raise RegistryError(f"{told}; it has {', '.join(versions[-10:])}")

    def has(self, kind: str, name: str, wanted: str | None) -> bool:
        """Whether there is a version that fits and is not yanked."""
        tags = self._tags(kind, name)
        return any(parse_version(tag) and fits(tag, wanted) and _MARKED + tag not in tags for tag in tags)

    def known(self, wanted: Sequence[Published]) -> dict[str, Published]:
        """What is there of the versions of these names, by their names in an index."""
        there = (self._find(one.component) for one in wanted)
        return {ref(one.component): one for one in there if one is not None}

    def _find(self, component: Component) -> Published | None:
        data = self._manifest(component.kind, component.name, component.version)
        return None if data is None else self._marked(published(data, f"`{component}` in `{self.place}`"), component)

    def manifest_bytes(self, one: Published) -> bytes:
        """The manifest of a version, as it was published; found by its digest."""
        if one.manifest.digest in self._seen:
            return self._seen[one.manifest.digest]
        data = self._manifest(one.component.kind, one.component.name, one.manifest.digest)
        if data is None:
            raise RegistryError(f"`{one}` is not in `{self.place}`: there is no manifest {one.manifest.digest}")
        if described(data, MANIFEST_TYPE).digest != one.manifest.digest:
            raise RegistryError(f"`{one}`: `{self.place}` gave other bytes for the manifest {one.manifest.digest}")
        return data

    def config(self, one: Published) -> Config:
        """What a version says of itself."""
        part = parts(one, self.manifest_bytes(one))[0]
        if part.size > LARGEST_MANIFEST:
            raise RegistryError(f"the config of `{one}` has more than {LARGEST_MANIFEST:_} bytes")
        data = bytearray()
        for piece in self.pieces(one, part):
            data += piece
            if len(data) > part.size:
                break
        if described(bytes(data), part.type).digest != part.digest:
            raise RegistryError(f"`{one}`: `{self.place}` gave other bytes for its config {part.digest}")
        return as_config(bytes(data), one)

    def pieces(self, one: Published, part: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob as they come; whoever takes them holds them against its digest."""
        container = self._container(one.component.kind, one.component.name)
        with plainly(self.address.host), self._asked().get_blob(container, part.digest, stream=True) as answer:
            if answer.status_code != 200:
                raise RegistryError(f"`{one}`: `{self.place}` does not give the blob {part.digest}: {reason(answer)}")
            yield from in_time(answer, self.address.host)

    def is_yanked(self, one: Published) -> str | None:
        """Why a version should not be used, where it is marked."""
        data = self._manifest(one.component.kind, one.component.name, _MARKED + one.component.version)
        said = as_manifest(data, f"the mark of `{one}`") if data is not None else {}
        about = said.get("subject")
        notes = said.get("annotations")
        if said.get("artifactType") != MARK or not isinstance(about, dict) or about.get("digest") != one.manifest.digest:
            return None
        text = str(notes.get(YANKED) or "") if isinstance(notes, dict) else ""
        return "".join(letter if letter.isprintable() else " " for letter in text)[:_LONGEST].strip() or None

    # --- what is changed -----------------------------------------------------------------------------------------------

    def receive(self, one: Published, manifest: bytes, parts: Sequence[Descriptor], source: Registry) -> None:
        """Take a version from a registry on disk: its blobs, and when they are there its manifest, by which it is one."""
        container = self._container(one.component.kind, one.component.name)
        for part in parts:
            if not source.layout.whole(part):
                source.layout.blob(part, f"`{one}`")  # says what is wrong
            self._send(container, part, source.layout.path(part.digest))
        self._name(one.component.kind, one.component.name, one.component.version, manifest)
        there = self._find(one.component)
        if there is None:
            raise RegistryError(f"`{self.place}` took `{one}`, and does not have it")
        check_same(there, self.place, one, str(source.place))

    def keep(self, taken: Sequence[Published]) -> None:
        """Nothing more is to be done: whatever was received is named."""

    def yank(self, name: str, version: str, why: str | None, kind: str | None = None) -> Published:
        """Mark a version as one that should not be used, and say why; without reason take the mark away."""
        one = self.newest(name, version, kind)
        self.mark(one, why)
        return replace(one, yanked=why)

    def mark(self, one: Published, why: str | None) -> None:
        """What `yank` does, to a version that was found."""
        container = self._container(one.component.kind, one.component.name)
        nothing = described(_EMPTY, _EMPTY_TYPE)
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(_EMPTY)
            self._send(container, nothing, Path(file.name))
        mark = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": MARK,
            "config": nothing.to_dict(),
            "layers": [nothing.to_dict()],
            "subject": described(self.manifest_bytes(one), MANIFEST_TYPE).to_dict(),
            "annotations": {YANKED: why or ""},
        }
        self._name(one.component.kind, one.component.name, _MARKED + one.component.version, as_json(mark))

    # --- questions -----------------------------------------------------------------------------------------------------

    def _asked(self) -> Client:
        if self._client is None:
            self._client = connected(self.address)
        return self._client

    def _container(self, kind: str, name: str) -> Container:
        return repository(self.address, self.address.repository(kind, name))

    def _manifest(self, kind: str, name: str, reference: str) -> bytes | None:
        """A manifest by its tag or digest; none where there is none."""
        client, container = self._asked(), self._container(kind, name)
        url = f"{client.prefix}://{container.manifest_url(reference)}"
        with plainly(self.address.host):
            answer = client.do_request(url, "GET", headers={"Accept": MANIFEST_TYPE})
        if answer.status_code == 404:
            return None
        data = bytes(answer.content)
        if len(data) < _SMALL:
            self._seen[described(data, MANIFEST_TYPE).digest] = data
        return data

    def _pages(self, url: str, part: str) -> Iterator[str]:
        """The names in a list that a server gives page by page; none where it has no such list."""
        client, seen = self._asked(), 0
        url = f"{client.prefix}://{url}"
        with plainly(self.address.host):
            while True:
                answer = client.do_request(url, "GET")
                if answer.status_code == 404:
                    return
                names = json.loads(answer.content)[part] or []
                yield from (str(name) for name in names)
                seen += len(names)
                following = answer.links.get("next", {}).get("url")
                if not following or not names or seen > _MOST:
                    return
                url = urljoin(url, following)

    def _has_catalog(self) -> bool:
        client = self._asked()
        with plainly(self.address.host):
            return client.do_request(f"{client.prefix}://{self.address.host}/v2/_catalog", "GET").status_code == 200

    def _tags(self, kind: str, name: str) -> frozenset[str]:
        return frozenset(self._pages(self._container(kind, name).tags_url(N=_PAGE), "tags"))

    def _components(self) -> Iterator[tuple[str, str]]:
        """The components that the server says it holds below the address."""
        self._asked()
        begin = self.address.repository("", "") + "/" if self.address.prefix else ""
        try:
            found = list(self._pages(f"{self._container('any', 'any').registry}/v2/_catalog?n={_PAGE}", "repositories"))
            if not found and not self._has_catalog():
                raise RegistryError(f"`{self.address.host}` does not say what it holds")
        except RegistryError as error:
            raise RegistryError(f"{error}; where a server does not list what it holds, name components, or a lock") from None
        for path in found:
            kind, _, name = path.removeprefix(begin).partition("/")
            match = REFERENCE.fullmatch(name)
            if path.startswith(begin) and kind in KINDS and match and not match["range"]:
                yield kind, name

    def _hint(self, name: str) -> str:
        """What was probably meant, where the server can say what it holds."""
        try:
            near = suggest(name, {there for _, there in self._components()})
        except RegistryError:
            return ""
        return f"; {near}" if near else ""

    def _of(self, kind: str, name: str) -> Iterator[Published]:
        tags = self._tags(kind, name)
        yield from (self._read(Component(kind, name, tag, ""), tags) for tag in tags if parse_version(tag))

    def _read(self, component: Component, tags: frozenset[str]) -> Published:
        what = f"`{component}` in `{self.place}`"
        data = self._manifest(component.kind, component.name, component.version)
        if data is None:
            raise RegistryError(f"{what} is listed, and not there")
        return self._marked(published(data, what), component, marked=_MARKED + component.version in tags)

    def _marked(self, one: Published, asked: Component, *, marked: bool = True) -> Published:
        known = one.component
        if (known.kind, known.name, known.version) != (asked.kind, asked.name, asked.version):
            raise RegistryError(f"`{self.place}` gives the {known.kind} `{known}` where the {asked.kind} `{asked}` should be")
        return Published(known, one.manifest, self.is_yanked(one) if marked else None)

    # --- what is sent --------------------------------------------------------------------------------------------------

    def _send(self, container: Container, part: Descriptor, file: Path) -> None:
        with plainly(self.address.host):
            answer = self._asked().upload_blob(str(file), container, part.to_dict(), do_chunked=part.size > _CHUNKED)
        if answer.status_code not in (200, 201, 202):
            raise RegistryError(f"`{self.place}` does not take the blob {part.digest}: {reason(answer)}")

    def _name(self, kind: str, name: str, tag: str, manifest: bytes) -> None:
        client, container = self._asked(), self._container(kind, name)
        url = f"{client.prefix}://{container.manifest_url(tag)}"
        with plainly(self.address.host):
            client.do_request(url, "PUT", data=manifest, headers={"Content-Type": MANIFEST_TYPE})


def _sorted(found: Iterator[Published]) -> list[Published]:
    return sorted(found, key=lambda one: (one.component.name, in_order(one.component.version), one.component.kind))
