"""Who depends on a component: in a working tree, in the locks of its workspace and in a registry; directly, or through whom.

Files are read, not checked: what cannot be read is passed over, and named.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.cascade import parse as yaml_parse
from engine.cascade.components import Components
from engine.cascade.needs import of_cascade, of_file
from engine.diagnostics import suggest
from engine.errors import RegistryError
from engine.lang.source import read_text
from engine.registry.lock import SUFFIX, Lock, Locked
from engine.registry.manifest import Component, fits, in_order
from engine.registry.oci import MANIFEST_TYPE, Descriptor
from engine.registry.published import Need, Published, Registry
from engine.registry.store import FOLDERS, Workspace

TREE: Final = "tree"
PUBLISHED: Final = "registry"
LOCKED: Final = "lock"


@dataclass(frozen=True, slots=True)
class User:
    """One that depends on a component. `asks` is the range with which it asks for the next in the chain that `through` names, itself and
    the component left out; of a lock, `component` is its cascade and `holds` the version that it holds."""

    where: str
    component: Component
    asks: str | None = None
    through: tuple[str, ...] = ()
    lock: str | None = None
    holds: str | None = None

    def to_dict(self) -> dict[str, Any]:
        one = self.component
        said = {"where": self.where, "kind": one.kind, "name": one.name, "version": one.version}
        return said | {name: value for name, value in asdict(self).items() if name not in ("where", "component")}


@dataclass(frozen=True, slots=True)
class Uses:
    """What was found: which versions there are, who depends on them, and what could not be read."""

    kind: str
    name: str
    version: str | None
    published: tuple[str, ...]
    tree: tuple[str, ...]
    users: tuple[User, ...]
    passed_over: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "users": [one.to_dict() for one in self.users]}


def uses(workspace: Workspace, registry: Registry, name: str, version: str | None = None, kind: str | None = None) -> Uses:
    """Everything that depends on a component, or on one version of it. Raises `RegistryError` for one that is nowhere.

    >>> found = uses(Workspace(Path("examples/reuse")), Registry(Path("examples/reuse/registry")), "shared/activity")
    >>> [(one.lock, one.holds) for one in found.users if one.lock]
    [('cascades/cards.lock', '1.0.0'), ('cascades/transfers.lock', '1.1.0')]
    """
    versions, tree = Versions(registry), Tree(workspace)
    found = list(locks_below(workspace))
    locks = {path: lock for path, lock in found if isinstance(lock, Lock)}
    everything = [*tree.needs, *versions.needs_of_all(), *(one.component for lock in locks.values() for one in lock.components)]
    wanted = meant(name, version, kind, everything, tree.passed_over)
    users = [
        *_of_locks(wanted, locks, versions, tree),
        *_who(TREE, wanted, tree.needs),
        *_who(PUBLISHED, wanted, versions.needs_of_all()),
    ]
    passed = (*tree.passed_over, *(lock for _, lock in found if isinstance(lock, str)), *versions.passed_over)
    published, lying = _versions(versions.needs_of_all(), wanted), _versions(tree.needs, wanted)
    return Uses(wanted.kind, name, version, published, lying, tuple(users), passed)


def meant(name: str, version: str | None, kind: str | None, everything: Iterable[Component], unread: Iterable[str] = ()) -> Component:
    """The one that is meant of all there are, its version empty where none is said. Raises `RegistryError`, saying what there is, and
    what could not be read."""
    lost = "".join(f"; {one}" for one in unread if f"`rulesets/{name}.rules`" in one)
    there = [one for one in everything if kind in (None, one.kind)]
    kinds = sorted({one.kind for one in there if one.name == name})
    if not kinds:
        hint = suggest(name, {one.name for one in there})
        called = f"component `{name}`" if kind is None else f"`{kind}:{name}`"
        message = f"there is no {called} in the working tree, in the registry or in a lock"
        raise RegistryError(message + (f"; {hint}" if hint and not lost else "") + lost)
    if len(kinds) > 1:
        names = " or ".join(f"`{one}:{name}`" for one in kinds)
        raise RegistryError(f"several components are called `{name}`: say {names}")
    versions = sorted({one.version for one in there if one.name == name}, key=in_order)
    if version is not None and version not in versions:
        raise RegistryError(f"`{name}` has no version `{version[:40]}`; there are {', '.join(versions[-10:])}{lost}")
    return Component(kinds[0], name, version or "", "")


def _versions(where: Iterable[Component], wanted: Component) -> tuple[str, ...]:
    return tuple(sorted({one.version for one in where if (one.kind, one.name) == (wanted.kind, wanted.name)}, key=in_order))


# --- who asks ----------------------------------------------------------------------------------------------------------


def _who(where: str, wanted: Component, needs: Mapping[Component, Iterable[Need]]) -> list[User]:
    """Everyone who asks for what is wanted (any version of it, where its version is empty), or for one who does: the shortest chains."""
    askers: dict[tuple[str, str], list[tuple[Component, str | None]]] = defaultdict(list)
    for one, asked in needs.items():
        for need in asked:
            askers[need.kind, need.name].append((one, need.range))
    found: dict[Component, User] = {}
    taken: dict[tuple[str, str | None], bool] = {}
    front = deque([(wanted, tuple[str, ...]())])
    while front:
        one, through = front.popleft()
        for user, asks in askers[one.kind, one.name]:
            if user in found:
                continue
            pair = (one.version, asks)
            if pair not in taken:
                taken[pair] = not one.version or fits(one.version, asks)
            if taken[pair]:
                found[user] = User(where, user, asks, through)
                front.append((user, (str(user), *through)))
    return sorted(found.values(), key=lambda user: (user.component.kind, user.component.name, in_order(user.component.version)))


def _of_locks(wanted: Component, locks: Mapping[str, Lock], versions: Versions, tree: Tree) -> Iterator[User]:
    """The locks that hold what is wanted, each with the chain from its cascade."""
    for path, lock in locks.items():
        held = next((entry.component for entry in lock.components if _is(entry.component, wanted)), None)
        if held is not None:
            needs = {entry.component: needs_of(entry, versions, tree) for entry in lock.components}
            cascade = next((entry for entry in needs if (entry.kind, entry.name) == ("cascade", lock.name)), held)
            chain = next((user for user in _who(LOCKED, held, needs) if user.component == cascade), User(LOCKED, cascade))
            yield User(LOCKED, cascade, chain.asks, chain.through, path, held.version)


def _is(held: Component, wanted: Component) -> bool:
    return (held.kind, held.name) == (wanted.kind, wanted.name) and wanted.version in ("", held.version)


def needs_of(entry: Locked, versions: Versions, tree: Tree | None) -> tuple[Need, ...]:
    """What a component of a lock asks for, a draft in the tree; nothing where it is not there."""
    if entry.manifest is not None:
        return versions.needs(Published(entry.component, Descriptor(MANIFEST_TYPE, entry.manifest, entry.size)))
    own = entry.component
    return () if tree is None else tree.needs.get(Component(own.kind, own.name, own.version, ""), ())


# --- where is looked ---------------------------------------------------------------------------------------------------


class Versions:
    """What every version in a registry asks for; the index is read once, and each version once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.passed_over: list[str] = []
        self._needs: dict[str, tuple[Need, ...]] = {}
        self._all: dict[Component, tuple[Need, ...]] | None = None

    def needs_of_all(self) -> Mapping[Component, tuple[Need, ...]]:
        if self._all is None:
            self._all = {one.component: self.needs(one) for one in self.registry.all()}
        return self._all

    def needs(self, one: Published) -> tuple[Need, ...]:
        digest = one.manifest.digest
        if digest not in self._needs:
            try:
                self._needs[digest] = self.registry.config(one).needs
            except RegistryError as error:
                self._needs[digest] = ()
                self.passed_over.append(str(error))
        return self._needs[digest]


@dataclass
class Tree:
    """What every component of a working tree asks for."""

    workspace: Workspace
    passed_over: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.needs: dict[Component, tuple[Need, ...]] = {}
        workspace, components = self.workspace, Components(self.workspace, models=False)
        for name in workspace.rule_names():
            tree = components.tree(workspace.folder / "rulesets" / f"{name}.rules")
            if tree is None:
                self.passed_over.append(f"`rulesets/{name}.rules` cannot be read; `engine check` says why")
            else:
                self.needs[Component(tree.kind, tree.name.text, tree.version.text, "")] = of_file(tree)
        for path in workspace.cascades():
            text, _ = read_text(path)
            spec, _ = (None, ()) if text is None else yaml_parse.parse(text, path.name)
            if spec is None:
                self.passed_over.append(f"`{workspace.label(path)}` cannot be read; `engine check` says why")
            else:
                self.needs[Component("cascade", spec.name, spec.version, "")] = of_cascade(spec)
        for name in workspace.model_names():
            self.needs |= {Component("model", name, version, ""): () for version in workspace.model_versions(name)}


def locks_below(workspace: Workspace) -> Iterator[tuple[str, Lock | str]]:
    """The locks of a workspace by their places in it, in order; of one that cannot be read, why. Locks of other programs, hidden folders
    and other workspaces below are passed over."""
    for folder, folders, names in os.walk(workspace.folder):
        place = Path(folder)
        folders[:] = sorted(one for one in folders if not one.startswith(".") and not _is_workspace(place / one))
        for name in sorted(names):
            if name.endswith(SUFFIX) and not name.startswith("."):
                path = place / name
                label = workspace.label(path)
                try:
                    yield label, Lock.read(path)
                except RegistryError as error:
                    if label.startswith(FOLDERS) or b'"seal"' in path.read_bytes():
                        yield label, str(error)


def _is_workspace(folder: Path) -> bool:
    return folder.name not in FOLDERS and any((folder / name).is_dir() for name in FOLDERS)
