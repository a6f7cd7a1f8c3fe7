"""Making a lock: which versions of everything a cascade needs go together, out of a registry; or, as a draft, the working tree as it is."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from engine.cascade.link import Linked
from engine.errors import RegistryError, SourceError
from engine.facts import LIBRARIES
from engine.loaded import load
from engine.models.step import ModelStep
from engine.registry.lock import Lock, Locked, locked
from engine.registry.manifest import METHOD_KIND, Component
from engine.registry.published import Need, Published, Registry
from engine.registry.resolve import Asked, resolve
from engine.registry.store import Workspace
from engine.screening.names import transliterator
from engine.version import LANGUAGE_VERSION, VERSION


def make_lock(path: Path, registry: Registry, *, draft: bool = False, since: date | None = None) -> Lock:
    """The lock of the cascade at `path`, which must be published as it stands there; `since` is the first day on which it holds.

    With `draft` it locks what lies in the working tree, published or not. Raises `SourceError` for a cascade that does not check, and
    `RegistryError` where something is not published, or no versions go together.
    """
    workspace = Workspace.around(path)
    linked, components = load(path, workspace)
    if linked is None:
        raise SourceError(components.diagnostics, components.rendered())
    spec = linked.spec
    place = workspace.label(path.resolve())
    if draft:
        there = {(one.component.name, one.component.hash): one for one in registry.all()}
        entries = tuple(_draft(one, there.get((one.name, one.hash))) for one in linked.components if one.kind != METHOD_KIND)
        return Lock(spec.name, spec.version, place, VERSION, LANGUAGE_VERSION, entries, _of_tree(linked), since)
    published = _published(components.component("cascade", spec.name), registry)
    (kept,) = registry.digests(published)  # where its file stood when it was published, wherever it stands now
    found = resolve(registry, [Asked(Need("cascade", spec.name, spec.version), f"`{place}`")])
    libraries = _of_methods(linked)
    for one in found:
        libraries |= registry.config(one).facts.get(LIBRARIES, {}) if one.component.kind == "model" else {}
    return Lock(spec.name, spec.version, kept, VERSION, LANGUAGE_VERSION, tuple(map(locked, found)), dict(sorted(libraries.items())), since)


def _published(cascade: Component, registry: Registry) -> Published:
    """The cascade in the registry. Raises `RegistryError` where it is not there as it is here."""
    there = {one.component.version: one for one in registry.versions(cascade.name, "cascade")}
    if cascade.version not in there:
        raise RegistryError(f"`{cascade}` is a draft: publish it with `engine publish {cascade.name}`, or lock the draft with --draft")
    found = there[cascade.version]
    if found.component.hash != cascade.hash:
        raise RegistryError(
            f"`{cascade}` was changed since it was published: it has the hash {cascade.hash}, published is {found.component.hash}; "
            "give it a new version and publish that, or lock the draft with --draft"
        )
    return found


def _draft(component: Component, published: Published | None) -> Locked:
    return Locked(component) if published is None else locked(published)


def _of_methods(linked: Linked) -> dict[str, str]:
    """What comparisons of names depend on, where there are any; the method itself comes with the engine."""
    return transliterator() if any(one.kind == METHOD_KIND for one in linked.components) else {}


def _of_tree(linked: Linked) -> dict[str, str]:
    found: dict[str, Any] = _of_methods(linked)
    for step in (*linked.plan.closed, *linked.plan.open):
        if isinstance(step, ModelStep):
            found |= step.model.manifest.environment.get("libraries", {})
    return {name: str(version) for name, version in sorted(found.items())}
