"""Components in a registry: each version an OCI artefact of its files, with what it needs; published once, and never changed again.

It knows components as names, versions and bytes, and no language. A version that turned out bad is yanked: it is marked, and stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from engine.diagnostics import suggest
from engine.errors import RegistryError
from engine.registry.changes import change
from engine.registry.manifest import Component, fits, in_order, parse_version
from engine.registry.oci import MANIFEST_TYPE, REF, TITLE, Descriptor, Layout, as_json, described, renamed

ARTIFACT: Final = "application/vnd.kaskade.component.v1+json"
CONFIG: Final = "application/vnd.kaskade.component.config.v1+json"
FILE: Final = "application/vnd.kaskade.file.v1"
_KIND, _NAME, _VERSION, _HASH, _YANKED = (f"dev.kaskade.{part}" for part in ("kind", "name", "version", "hash", "yanked"))


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
        found = [_published(one) for one in self.layout.manifests() if _NAME in one.annotations]
        return sorted(found, key=lambda one: (one.component.name, in_order(one.component.version), one.component.kind))

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
        manifest = self.layout.manifest(one.manifest, str(one))
        data = self.layout.as_data(self.layout.blob(Descriptor.of(manifest.get("config"), f"`{one}`"), str(one)), f"the config of `{one}`")
        try:
            needs = tuple(Need(need["kind"], need["name"], need.get("range")) for need in data["needs"])
            return Config(needs, data["facts"], data.get("notes", {}))
        except (KeyError, TypeError, AttributeError):
            raise RegistryError(f"`{one}` does not say what it needs: its config is none of a component") from None

    def files(self, one: Published) -> dict[str, bytes]:
        """The files of a version by their place in a workspace, each held against its digest."""
        found: dict[str, bytes] = {}
        for layer in self.layout.manifest(one.manifest, f"`{one}`")["layers"]:
            file = Descriptor.of(layer, f"`{one}`")
            path = inside(file.annotations.get(TITLE, ""), f"`{one}`")
            if path in found:
                raise RegistryError(f"`{one}` holds two files `{path}`")
            found[path] = self.layout.blob(file, f"`{one}`, file `{path}`")
        return found

    def digests(self, one: Published) -> dict[str, str]:
        """The digests of the files of a version by their place in a workspace; no file is opened."""
        layers = [Descriptor.of(layer, f"`{one}`") for layer in self.layout.manifest(one.manifest, f"`{one}`")["layers"]]
        return {file.annotations.get(TITLE, ""): file.digest for file in layers}

    # --- what is changed -----------------------------------------------------------------------------------------------

    def publish(self, packed: Sequence[Packed]) -> list[Component]:
        """Keep these versions, all or none; gives those that were not there. Raises `RegistryError` for a version that is there and says
        something else: published versions never change."""
        with self.layout.turn():
            there = {one.manifest.ref: one for one in self.all()}
            new: list[Descriptor] = []
            for one in packed:
                known = there.get(ref(one.component))
                if known is None:
                    new.append(self._store(one))
                elif known.component.hash != one.component.hash:
                    raise RegistryError(self._altered(known, one))
            if new:
                self.layout.change_index(lambda manifests: [*manifests, *new])
            return [_published(one).component for one in new]

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
        with self.layout.turn():
            wanted = self.get(name, version, kind)
            self.layout.change_index(
                lambda manifests: [renamed(one, **{_YANKED: why}) if one.ref == wanted.manifest.ref else one for one in manifests]
            )
        return self.get(name, version, kind)


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


def _published(one: Descriptor) -> Published:
    notes = one.annotations
    kind, name, version, hash_ = (notes.get(key, "") for key in (_KIND, _NAME, _VERSION, _HASH))
    if parse_version(version) is None:
        raise RegistryError(f"the registry names a component `{name[:80]}` of version `{version[:40]}`, which is none")
    return Published(Component(kind, name, version, hash_), one, notes.get(_YANKED))
