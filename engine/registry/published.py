"""Components in a registry: each version an OCI artefact of its files, with what it needs; published once, and never changed again.

It knows components as names, versions and bytes, and no language. A version that turned out bad is yanked: it is marked, and stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from engine.diagnostics import suggest
from engine.errors import RegistryError
from engine.registry.changes import change
from engine.registry.manifest import REFERENCE, Component, fits, in_order, parse_version
from engine.registry.oci import MANIFEST_TYPE, REF, TITLE, Descriptor, Layout, as_json, as_manifest, described, renamed

ARTIFACT: Final = "application/vnd.kaskade.component.v1+json"
CONFIG: Final = "application/vnd.kaskade.component.config.v1+json"
FILE: Final = "application/vnd.kaskade.file.v1"
KINDS: Final = ("record", "list", "table", "rates", "templates", "features", "model", "ruleset", "cascade")
"""In an order in which hardly any needs one after it."""
LARGEST_FILE: Final = 4_000_000_000
_REF: Final = re.compile(r"([a-z0-9]+((_|-|--)[a-z0-9]+)*/)+[a-z0-9]+((_|-|--)[a-z0-9]+)*:[a-z0-9]+((\.|-|--)[a-z0-9]+)*")
_LONGEST_NAME, _LONGEST_VERSION = 200, 100
_KIND, _NAME, _VERSION, _HASH, YANKED = (f"dev.kaskade.{part}" for part in ("kind", "name", "version", "hash", "yanked"))


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """A component that another asks for; any version where `range` is none."""

    kind: str
    name: str
    range: str | None

    def __str__(self) -> str:
        return self.name if self.range is None else f"{self.name}@{self.range}"


@dataclass(frozen=True, slots=True)
class Packed:
    """A component as it is published: its files by their place in a workspace, what it needs, and `facts` to compare versions by."""

    component: Component
    files: Mapping[str, bytes]
    needs: tuple[Need, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """A version in a registry; `yanked` says why it should not be used any more, where that is so."""

    component: Component
    manifest: Descriptor
    yanked: str | None = None

    def __str__(self) -> str:
        return str(self.component)


@dataclass(frozen=True, slots=True)
class Config:
    """What a published version says of itself."""

    needs: tuple[Need, ...]
    facts: Mapping[str, Any]
    notes: Mapping[str, str]


class Source(Protocol):
    """Where the parts of a version come from."""

    def pieces(self, one: Published, part: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob."""


class Registry:
    """The components in an OCI layout."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder)

    @property
    def place(self) -> Path:
        return self.layout.folder

    # --- what is there -------------------------------------------------------------------------------------------------

    def all(self) -> list[Published]:
        """Every version of every component, by name and version, oldest first. Other artefacts in the layout are passed over."""
        return self._read(map(self._labelled, self.layout.manifests()))

    def _read(self, manifests: Iterable[Descriptor]) -> list[Published]:
        found: dict[str, Published] = {}
        # an entry that another tool wrote says nothing of it, so that its manifest was asked
        for one in (_published(one) for one in manifests if _NAME in one.annotations):
            other = found.setdefault(ref(one.component), one)
            if other.manifest.digest != one.manifest.digest:
                told = f"`{self.place}` has `{one}` twice, as {other.manifest.digest} and as {one.manifest.digest}"
                raise RegistryError(f"{told}: take the wrong one out of its `index.json`")
        return sorted(found.values(), key=lambda one: (one.component.name, in_order(one.component.version), one.component.kind))

    def _labelled(self, one: Descriptor) -> Descriptor:
        if _NAME in one.annotations or one.type != MANIFEST_TYPE or one.artifact not in (None, ARTIFACT):
            return one
        what = f"`{one.ref or one.digest}`"
        data = self.layout.manifest_bytes(one, what)
        if as_manifest(data, what).get("artifactType") != ARTIFACT:
            return one
        named = published(data, what).manifest
        return renamed(named, **{YANKED: one.annotations.get(YANKED)})

    def known(self, wanted: Sequence[Published]) -> dict[str, Published]:
        """What is there of the versions of these names, by their names in an index."""
        names = {ref(one.component) for one in wanted}
        return {name: one for one in self.all() if (name := ref(one.component)) in names}

    def has(self, kind: str, name: str, wanted: str | None) -> bool:
        """Whether there is a version that fits and is not yanked."""
        return any(one.yanked is None and fits(one.component.version, wanted) for one in self.versions(name, kind))

    def versions(self, name: str, kind: str | None = None) -> list[Published]:
        """The versions of a component, oldest first; a cascade, a model and a component of the language may have one name."""
        return [one for one in self.all() if one.component.name == name and kind in (None, one.component.kind)]

    def get(self, name: str, version: str, kind: str | None = None) -> Published:
        """One version. Raises `RegistryError`, saying which there are."""
        there = self.versions(name, kind)
        if len({one.component.kind for one in there}) > 1:
            kinds = " or ".join(sorted({f"`{one.component.kind}:{name}`" for one in there}))
            raise RegistryError(f"several components are called `{name}`: say {kinds}")
        for one in there:
            if one.component.version == version:
                return one
        if there:
            versions = ", ".join(one.component.version for one in there[-10:])
            raise RegistryError(f"`{name}` has no version {version} in `{self.place}`; it has {versions}")
        hint = suggest(name, {one.component.name for one in self.all()})
        raise RegistryError(f"there is no component `{name}` in `{self.place}`" + (f"; {hint}" if hint else ""))

    def newest(self, name: str, wanted: str | None = None, kind: str | None = None) -> Published:
        """The newest version that fits and is not yanked; one that is no release only where it is asked for by its full name."""
        fitting = [one for one in self.versions(name, kind) if one.yanked is None and fits(one.component.version, wanted)]
        return self.get(name, fitting[-1].component.version if fitting else wanted or "that may be used", kind)

    def config(self, one: Published) -> Config:
        """What a version says of itself."""
        config, *_ = self.parts(one)
        return as_config(self.layout.blob(config, f"`{one}`"), one)

    def files(self, one: Published) -> dict[str, bytes]:
        """The files of a version by their place in a workspace, each held against its digest."""
        found: dict[str, bytes] = {}
        for file in self.parts(one)[1:]:
            path = file.annotations[TITLE]
            found[path] = self.layout.blob(file, f"`{one}`, file `{path}`")
        return found

    def manifest_bytes(self, one: Published) -> bytes:
        """The manifest of a version, as it was published."""
        return self.layout.manifest_bytes(one.manifest, f"`{one}`")

    def parts(self, one: Published) -> list[Descriptor]:
        """What a version is made of: its config, and its files. Raises `RegistryError` where its manifest is that of another."""
        return parts(one, self.manifest_bytes(one))

    def digests(self, one: Published) -> dict[str, str]:
        """The digests of the files of a version by their place in a workspace; no file is opened."""
        return {file.annotations[TITLE]: file.digest for file in self.parts(one)[1:]}

    # --- what is changed -----------------------------------------------------------------------------------------------

    def publish(self, packed: Sequence[Packed]) -> list[Component]:
        """Keep these versions, all or none; gives those that were not there. Raises `RegistryError` for a version that is there and says
        something else: published versions never change."""
        for one in packed:
            check_name(one.component)
        with self.layout.turn():
            named = list(map(self._labelled, self.layout.manifests()))
            there = {ref(one.component): one for one in self._read(named)}
            new: list[Descriptor] = []
            for one in packed:
                known = there.get(ref(one.component))
                if known is None:
                    new.append(self._store(one))
                elif known.component.hash != one.component.hash:
                    raise RegistryError(self._altered(known, one))
            if new:
                self.layout.put_index([*named, *new])
            return [_published(one).component for one in new]

    def _add(self, new: Sequence[Descriptor]) -> None:
        self.layout.change_index(lambda manifests: [*map(self._labelled, manifests), *new])

    def pieces(self, one: Published, part: Descriptor) -> Iterator[bytes]:
        """The bytes of a part of a version; whoever takes them holds them against its digest."""
        return self.layout.pieces(part, f"`{one}`")

    def whole(self, one: Published) -> bool:
        """Whether every blob of a version is here, as it was published."""
        layout = self.layout
        return layout.whole(one.manifest) and all(layout.whole(part) for part in self.parts(one))

    def receive(self, one: Published, manifest: bytes, parts: Sequence[Descriptor], source: Source) -> None:
        """Take the blobs of a version, which is there when it is kept."""
        for part in parts:
            if not self.layout.whole(part):
                self.layout.take(part, source.pieces(one, part), f"`{one}`")
        self.layout.put(manifest, MANIFEST_TYPE)
        self.config(one)

    def keep(self, taken: Sequence[Published]) -> None:
        """Name versions that were received, all or none. Raises `RegistryError` for one that is there as another."""
        with self.layout.turn():
            there = self.known(taken)
            for one in taken:
                if (known := there.get(ref(one.component))) is not None:
                    check_same(known, str(self.place), one, "what was sent")
            new = [renamed(one.manifest, **{YANKED: one.yanked}) for one in taken if ref(one.component) not in there]
            if new:
                self._add(new)

    def _store(self, one: Packed) -> Descriptor:
        layers = [self.layout.put(data, FILE, {TITLE: path}).to_dict() for path, data in sorted(one.files.items())]
        component = one.component
        said = {"kind": component.kind, "name": component.name, "version": component.version, "hash": component.hash}
        needs = [{"kind": need.kind, "name": need.name, "range": need.range} for need in one.needs]
        config = self.layout.put(as_json({**said, "needs": needs, "facts": one.facts, "notes": one.notes}), CONFIG)
        notes = {f"dev.kaskade.{name}": text for name, text in said.items()}
        manifest = as_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "artifactType": ARTIFACT,
                "config": config.to_dict(),
                "layers": layers,
                "annotations": notes,
            }
        )
        self.layout.put(manifest, MANIFEST_TYPE)
        return described(manifest, MANIFEST_TYPE, {**notes, REF: ref(component)}, ARTIFACT)

    def _altered(self, known: Published, given: Packed) -> str:
        before, now = self.files(known), given.files
        changed = [f"`{path}` differs" for path in sorted(before.keys() & now.keys()) if before[path] != now[path]]
        changed += [f"`{path}` is new" for path in sorted(now.keys() - before.keys())]
        changed += [f"`{path}` is gone" for path in sorted(before.keys() - now.keys())]
        return (
            f"`{known}` is published and never changes: it has the hash {known.component.hash}, this one {given.component.hash}; "
            f"{', '.join(changed) or 'what it needs differs'}, {change(self.config(known).facts, given.facts)}; give it a new version"
        )

    def yank(self, name: str, version: str, why: str | None, kind: str | None = None) -> Published:
        """Mark a version as one that should not be used, and say why; without reason take the mark away."""
        self.mark(self.get(name, version, kind), why)
        return self.get(name, version, kind)

    def mark(self, one: Published, why: str | None) -> None:
        """What `yank` does, to a version that was found."""
        with self.layout.turn():
            wanted = ref(one.component)
            if wanted not in self.known([one]):
                raise RegistryError(f"`{one}` is not in `{self.place}`")
            self.layout.change_index(
                lambda named: [renamed(each, **{YANKED: why}) if each.ref == wanted else each for each in map(self._labelled, named)]
            )


def ref(component: Component) -> str:
    """The name of a version in an index: repository and tag, as any OCI registry takes them.

    >>> ref(Component("ruleset", "aml/cash", "1.4.0", ""))
    'ruleset/aml/cash:1.4.0'
    """
    return f"{component.kind}/{component.name}:{component.version}"


def inside(path: str, whose: str) -> str:
    """A place in a workspace. Raises `RegistryError` for one that leads out of it, or is none.

    >>> inside("rulesets/aml/cash.rules", "`aml/cash@1.0.0`")
    'rulesets/aml/cash.rules'
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ":" in path or ".." in parts or path != str(PurePosixPath(path)):
        raise RegistryError(f"{whose} holds a file named `{path[:80]}`, which is no place in a workspace")
    return path


def check_name(component: Component) -> None:
    """Raises `RegistryError` for a name or version that other OCI registries and tools do not take."""
    name = f"{component.kind}/{component.name}"
    if not _REF.fullmatch(ref(component)) or len(name) > _LONGEST_NAME or len(component.version) > _LONGEST_VERSION:
        told = f"`{str(component)[:240]}` cannot be published: OCI registries do not take its name"
        raise RegistryError(f"{told}; parts are a-z and 0-9, with single `-` or `_` between, {_LONGEST_NAME} letters together")


def check_same(known: Published, there: str, given: Published, here: str) -> None:
    """Raises `RegistryError` where one version is another in two places."""
    if known.manifest.digest != given.manifest.digest:
        raise RegistryError(
            f"`{given}` is not the same in two places, and a version never changes: in `{there}` its hash is {known.component.hash}, its "
            f"manifest {known.manifest.digest}; in `{here}` {given.component.hash}, {given.manifest.digest}; give one of them a new version"
        )


def published(manifest: bytes, what: str) -> Published:
    """The version that a manifest says it is. Raises `RegistryError` for the manifest of something else."""
    said = as_manifest(manifest, what)
    notes = said.get("annotations")
    if said.get("artifactType") != ARTIFACT or not isinstance(notes, dict):
        raise RegistryError(f"{what} is no component: its manifest is of the type `{str(said.get('artifactType'))[:80]}`")
    named = {name: str(notes.get(name, "")) for name in (_KIND, _NAME, _VERSION, _HASH)}
    one = _published(described(manifest, MANIFEST_TYPE, named, ARTIFACT))
    return replace(one, manifest=renamed(one.manifest, **{REF: ref(one.component)}))


def parts(one: Published, manifest: bytes) -> list[Descriptor]:
    """The config and the files that a manifest names. Raises `RegistryError` where it is the manifest of another version, or no good."""
    what = f"`{one}`"
    known = published(manifest, what).component
    if known != one.component:
        told = " ".join(f"{part} `{str(getattr(known, part))[:80]}`" for part in ("kind", "name", "version", "hash"))
        raise RegistryError(f"{what}: {one.manifest.digest} is the manifest of another: {told}")
    said = as_manifest(manifest, what)
    found = [Descriptor.of(part, what) for part in (said.get("config"), *said["layers"])]
    titles = [inside(file.annotations.get(TITLE, ""), what) for file in found[1:]]
    for title in titles:
        if titles.count(title) > 1:
            raise RegistryError(f"{what} holds two files `{title}`")
    for part in found:
        if part.size > LARGEST_FILE:
            raise RegistryError(f"{what} holds a file of {part.size:_} bytes; the most is {LARGEST_FILE:_}")
    return found


def as_config(data: bytes, one: Published) -> Config:
    """What a version says of itself. Raises `RegistryError` where that is nothing of a component, or of another."""
    try:
        said = json.loads(data)
        component = Component(said["kind"], said["name"], said["version"], said["hash"])
        needs = tuple(Need(need["kind"], need["name"], need.get("range")) for need in said["needs"])
        config = Config(needs, said["facts"], said.get("notes", {}))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(f"`{one}` does not say what it needs: its config is none of a component") from None
    if component != one.component:
        raise RegistryError(
            f"the config of `{one}` is that of another, {component.kind} `{str(component)[:80]}` with the hash {component.hash}"
        )
    return config


def _published(one: Descriptor) -> Published:
    notes = one.annotations
    kind, name, version, hash_ = (notes.get(key, "") for key in (_KIND, _NAME, _VERSION, _HASH))
    match = REFERENCE.fullmatch(name)
    if parse_version(version) is None or match is None or match["range"] or not kind.isidentifier():
        raise RegistryError(f"the registry names a component `{name[:80]}` of version `{version[:40]}`, which is none")
    return Published(Component(kind, name, version, hash_), one, notes.get(YANKED))
