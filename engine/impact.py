"""What a new version of a component would mean: what changes with it, which locks could move to it, and who forbids it to the others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.diagnostics import errors
from engine.errors import RegistryError
from engine.loaded import load
from engine.publish import packed
from engine.registry.changes import Change, change
from engine.registry.lock import Lock, Locked, files, locked, write
from engine.registry.manifest import Component
from engine.registry.oci import MANIFEST_TYPE, Descriptor
from engine.registry.published import Config, Need, Packed, Published, Registry
from engine.registry.resolve import Asked, Conflict, resolve
from engine.registry.store import Workspace
from engine.uses import Tree, locks_below, meant


@dataclass(frozen=True, slots=True)
class Move:
    """A lock that holds another version. `also` are the components that would change with it, as before and after; where it could not
    move, `forbidden` says who asks for what, or what would not check, and `instead` names a later version of its cascade that could."""

    lock: str
    cascade: str
    held: str
    could: bool
    also: tuple[tuple[str, str], ...] = ()
    forbidden: tuple[str, ...] = ()
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Impact:
    """`changes` says by the version that a lock holds what is different in the new one, none where that is not known; `have` are the
    locks that hold it already."""

    component: Component
    published: bool
    yanked: str | None
    changes: Mapping[str, Change | None]
    moves: tuple[Move, ...]
    have: tuple[str, ...]
    passed_over: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        one = self.component
        said = {"kind": one.kind, "name": one.name, "version": one.version, "published": self.published, "yanked": self.yanked}
        changes = {before: None if found is None else asdict(found) for before, found in self.changes.items()}
        return said | {
            "changes": changes,
            "locks": [asdict(move) for move in self.moves],
            "have": self.have,
            "passed_over": self.passed_over,
        }


class _Supposed(Registry):
    """A registry as it would be with one version more, a draft if `draft` is given; its index is read once."""

    def __init__(self, registry: Registry, more: Published, config: Config, draft: Packed | None) -> None:
        super().__init__(registry.place)
        self._all = [*(one for one in registry.all() if one.component != more.component), more]
        self._more, self._config, self._draft = more, config, draft

    def all(self) -> list[Published]:
        return self._all

    def config(self, one: Published) -> Config:
        return self._config if one.component == self._more.component else super().config(one)

    def files(self, one: Published) -> dict[str, bytes]:
        if self._draft is not None and one.component == self._draft.component:
            return dict(self._draft.files)
        return super().files(one)


def impact(workspace: Workspace, registry: Registry, name: str, version: str, kind: str | None = None) -> Impact:
    """What it would mean to take a version of a component that is published, or stands in the working tree.

    Raises `RegistryError` for a version that is nowhere, `SourceError` for one of the working tree that does not check.

    >>> place = Path("examples/reuse")
    >>> found = impact(Workspace(place), Registry(place / "registry"), "shared/structuring", "1.1.0")
    >>> [(move.lock, move.could, move.also) for move in found.moves], found.have
    ([('cascades/cards.lock', True, (('shared/activity@1.0.0', 'shared/activity@1.1.0'),))], ('cascades/transfers.lock',))
    """
    new, config, draft = _new(workspace, registry, name, version, kind)
    supposed = _Supposed(registry, new, config, draft)
    found = list(locks_below(workspace))
    passed = tuple(lock for _, lock in found if isinstance(lock, str))
    moves, have, changes = list[Move](), list[str](), dict[str, Change | None]()
    for path, lock in found:
        held = None if isinstance(lock, str) else next((one for one in lock.components if _same(one.component, new.component)), None)
        if held is None or isinstance(lock, str):
            continue
        if held.component.hash == new.component.hash:
            have.append(path)
            continue
        changes[held.component.version] = _changed(held, config, registry)
        moves.append(_move(path, lock, held.component, new, supposed))
    return Impact(new.component, draft is None, new.yanked, changes, tuple(moves), tuple(have), passed)


def _new(workspace: Workspace, registry: Registry, name: str, version: str, kind: str | None) -> tuple[Published, Config, Packed | None]:
    """The version that is meant, what it says of itself, and its files where it is not published."""
    there, tree = registry.all(), Tree(workspace)
    component = meant(name, version, kind, [*(one.component for one in there), *tree.needs], tree.passed_over)
    for one in there:
        if (one.component.name, one.component.version, one.component.kind) == (name, version, component.kind):
            return one, registry.config(one), None
    own = next(one for one in packed(workspace, name) if (one.component.kind, one.component.version) == (component.kind, version))
    return Published(own.component, Descriptor("", "", 0)), Config(own.needs, own.facts, own.notes), own


def _same(one: Component, other: Component) -> bool:
    return (one.kind, one.name) == (other.kind, other.name)


def _changed(held: Locked, config: Config, registry: Registry) -> Change | None:
    if held.manifest is None:
        return None
    try:
        before = registry.config(Published(held.component, Descriptor(MANIFEST_TYPE, held.manifest, held.size)))
    except RegistryError:
        return None
    return change(before.facts, config.facts)


def _move(path: str, lock: Lock, held: Component, new: Published, registry: Registry) -> Move:
    """Whether a lock could take the new version, with as little else as can be."""
    called, one = f"{lock.name}@{lock.version}", new.component
    if lock.draft:
        return Move(path, called, held.version, False, (), ("it holds drafts: publish them, and lock anew",))
    if new.yanked is not None:
        return Move(path, called, held.version, False, (), (f"{one} is yanked: {new.yanked}",))
    taken = Asked(Need(one.kind, one.name, one.version), f"the move to {one}")
    stays = [entry.component for entry in lock.components]

    def tried(cascade: str | None) -> list[Published]:
        asked = [] if _is_cascade(one, lock) else [Asked(Need("cascade", lock.name, cascade), f"`{path}`")]
        return resolve(registry, [*asked, taken], stays)

    try:
        found = tried(lock.version)
        problem = _problem(found, lock, registry)
        also = tuple(_differences(stays, (entry.component for entry in found), one))
        return Move(path, called, held.version, problem is None, also, () if problem is None else (problem,))
    except Conflict as conflict:
        there = {(entry.component.kind, entry.component.name) for entry in registry.all()}
        asked = [by for by in conflict.asked if by != taken]
        forbidden = [
            f"{by.by} asks for {by.need}" + ("" if (by.need.kind, by.need.name) in there else ", which is not there") for by in asked
        ]
    try:
        later = next((str(entry) for entry in tried(None) if _is_cascade(entry.component, lock)), None)
    except Conflict:
        later = None
    return Move(path, called, held.version, False, (), tuple(dict.fromkeys(forbidden)), later)


def _problem(found: Sequence[Published], lock: Lock, registry: Registry) -> str | None:
    """The first thing that would not check where these versions ran together. That they are asked for does not make them fit."""
    cascade = next(one for one in found if _is_cascade(one.component, lock))
    try:
        held, (place,) = files(replace(lock, components=tuple(map(locked, found))), registry), registry.files(cascade)
    except RegistryError as error:
        return str(error)
    with tempfile.TemporaryDirectory(prefix="kaskade-") as made:
        folder = Path(made).resolve()
        write(held, folder)
        _, components = load(folder / place, Workspace(folder), models=False)
    wrong = next(iter(errors(components.diagnostics)), None)
    return None if wrong is None else f"it would not check: {wrong.span.file}:{wrong.span.line}: {wrong.message}"


def _is_cascade(one: Component, lock: Lock) -> bool:
    return (one.kind, one.name) == ("cascade", lock.name)


def _differences(before: Iterable[Component], now: Iterable[Component], but: Component) -> Iterable[tuple[str, str]]:
    """What would be in the lock before and after, each by its full name; empty where it was not there, or is no more."""
    old, new = ({(one.kind, one.name): str(one) for one in some if not _same(one, but)} for some in (before, now))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield old.get(key, ""), new.get(key, "")
