"""Publishing: components of a working tree are checked, tested, compared with the version before, and put into a registry for good."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from engine.cascade.components import Components
from engine.cascade.link import link_with
from engine.cascade.needs import of_cascade, of_file
from engine.diagnostics import NOWHERE, suggest
from engine.errors import RegistryError, SourceError
from engine.facts import facts
from engine.loaded import deployed
from engine.models.package import sha256
from engine.registry.changes import LEVELS, NEEDS, before, change, next_version, promised
from engine.registry.manifest import Component, fits
from engine.registry.published import Need, Packed, Published, Registry
from engine.registry.store import Workspace
from engine.testkit.runner import run_tests
from engine.testkit.sources import Found

WHY: Final = "why"
"""The note that keeps the reason for which a version promises less than it changes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One component that was published: what kind of change it is from the version `after` which it comes, if there is one."""

    component: Component
    after: str | None
    level: str
    told: str

    def __str__(self) -> str:
        return f"{self.component}: " + (f"after {self.after}, {self.told}" if self.after else "its first version")


def publish(workspace: Workspace, registry: Registry, names: Sequence[str] | None, why: str | None = None) -> list[Step]:
    """Publish components of a workspace by name, or all of them; gives those that were not published before, in the order of their names.

    Raises `SourceError` where something does not check, `ModelError` for a model that answers otherwise than it did, and `RegistryError`
    where a test fails, a needed component is not there, a number promises less than what changed (unless `why` is said), or a version is
    there already and says something else.
    """
    tree, there = Tree(workspace), _there(registry)
    packed = list(tree.packed(names, Unchanged(tree, registry, there).is_published))
    made: dict[tuple[str, str], dict[str, Packed]] = defaultdict(dict)
    for one in packed:
        _once(one, made[(one.component.kind, one.component.name)])
    steps, ready = [], []
    for one in packed:
        versions = there[(one.component.kind, one.component.name)]
        known = versions.get(one.component.version)
        if known is not None and known.component.hash == one.component.hash:
            continue
        _check_needs(one, there, made, registry)
        # one that is there and says something else is refused when it is kept, with what differs
        step = None if known is not None else _compared(one, registry, versions)
        ready.append(one if step is None else _promising(one, step, why))
        steps.append(step or Step(one.component, None, "minor", ""))
    if ready:
        registry.publish(ready)
    return steps


def _once(one: Packed, made: dict[str, Packed]) -> None:
    """Note a version. Raises `RegistryError` where another file holds it too."""
    other = made.setdefault(one.component.version, one)
    if other is not one:
        files = " and ".join(f"`{file}`" for file in sorted({*other.files, *one.files}))
        raise RegistryError(f"`{one.component}` stands in two files: {files}; give each its own name")


There = Mapping[tuple[str, str], Mapping[str, Published]]
"""What is published, by kind and name, and by version, oldest first."""


def _there(registry: Registry) -> There:
    found: dict[tuple[str, str], dict[str, Published]] = defaultdict(dict)
    for one in registry.all():
        found[(one.component.kind, one.component.name)][one.component.version] = one
    return found


def packed(workspace: Workspace, name: str) -> list[Packed]:
    """Every component of a workspace that has a name, checked, its tests not run; none where there is none. Raises as `publish` does."""
    tree = Tree(workspace, tested=False)
    return list(tree.packed([name])) if name in tree.there else []


def _promising(one: Packed, step: Step, why: str | None) -> Packed:
    """The component, with the reason where its number promises less than it changes. Raises `RegistryError` where none is given."""
    after = step.after or ""
    if LEVELS.index(step.level) <= LEVELS.index(promised(after, one.component.version)):
        return one
    if why is None:
        told = f"`{one.component}` promises less than it changes: after {after} it is {step.told}"
        raise RegistryError(f"{told}; call it {next_version(after, step.level, one.component.version)}, or say why")
    return replace(one, notes={**one.notes, WHY: why})


def _check_needs(one: Packed, there: There, made: Mapping[tuple[str, str], Mapping[str, Packed]], registry: Registry) -> None:
    """Raises `RegistryError` where no version of what it needs is published, or is published with it, that its range takes."""
    for need in one.needs:
        known = there[(need.kind, need.name)]
        usable = {version for version, found in known.items() if found.yanked is None or version == need.range}
        if any(fits(version, need.range) for version in (*usable, *made[(need.kind, need.name)])):
            continue
        has = f"; it has {', '.join(known)}" if known else ""
        raise RegistryError(
            f"`{one.component}` needs `{need}`, which `{registry.place}` does not have{has}: publish that first, or all with --all"
        )


def _compared(one: Packed, registry: Registry, there: Mapping[str, Published]) -> Step | None:
    """How it differs from the version before; none where there is none."""
    # one that was yanked is no promise to anybody: it is mended by the next patch
    earlier = before(one.component.version, [version for version, found in there.items() if found.yanked is None])
    if earlier is None:
        return None
    found = change(registry.config(there[earlier]).facts, one.facts)
    return Step(one.component, earlier, found.level, str(found))


# --- what is in a working tree -----------------------------------------------------------------------------------------


class Tree:
    """The components of a workspace, checked and tested as they are packed."""

    def __init__(self, workspace: Workspace, *, tested: bool = True) -> None:
        self.workspace, self.tested = workspace, tested
        allowed, _, problems = deployed(workspace)
        self._components = Components(workspace, allowed)
        self._components.diagnostics += problems

    def packed(self, names: Sequence[str] | None, passed: Callable[[str, Path], bool] = lambda name, path: False) -> Iterator[Packed]:
        """Those with these names, or all, but for those that are `passed` over. Raises what `publish` does."""
        for name in names or ():
            if name not in self.there:
                hint = suggest(name, self.there)
                raise RegistryError(f"the workspace `{self.workspace.folder}` has no component `{name}`" + (f"; {hint}" if hint else ""))
        for name in sorted(set(self.there if names is None else names)):
            yield from (self._packed(name, path) for path in self.there[name] if not passed(name, path))
        if names is None:
            listed = {path for paths in self.there.values() for path in paths}
            # what does not read has no name under which it would be listed: linking it says what is amiss
            yield from (self._cascade(path) for path in self.workspace.cascades() if path not in listed)

    @cached_property
    def there(self) -> dict[str, list[Path]]:
        """The files and folders of every component."""
        workspace = self.workspace
        found: dict[str, list[Path]] = {}
        for name in workspace.rule_names():
            found[name] = [workspace.folder / "rulesets" / f"{name}.rules"]
        for name in workspace.model_names():
            versions = (workspace.folder / "models" / name / version for version in workspace.model_versions(name))
            found.setdefault(name, []).extend(versions)
        for name, paths in self._components.cascade_names().items():
            found.setdefault(name, []).extend(paths)
        return found

    def _packed(self, name: str, path: Path) -> Packed:
        if path.suffix == ".rules":
            return self._rules(name, path)
        return self._model(path) if path.is_dir() else self._cascade(path)

    def _rules(self, name: str, path: Path) -> Packed:
        components = self._components
        tree = components.tree(path)
        made = None if tree is None else components.made(tree.kind, name, tree.version.text, NOWHERE)
        if tree is None or made is None or components.failed:
            raise SourceError(components.diagnostics, components.rendered())
        if tree.kind == "ruleset" and self.tested:
            tested = run_tests(components, Found(path, self.workspace))
            if tested is not None and tested.failures:
                first = tested.failures[0]
                raise RegistryError(f"`{name}` fails {len(tested.failures)} of its tests, the first is at {first}")
        (_, text), *named = components.parts(path, tree)
        files = {self.workspace.label(path): text}
        # a link stands for what it leads to, under its own name: so the rules find it wherever they are unpacked
        files |= {self.workspace.label(Path(os.path.normpath(path.parent / part))): data for part, data in named}
        return _pack(components.component(tree.kind, name), files, of_file(tree), made)

    def _cascade(self, path: Path) -> Packed:
        components = self._components
        linked = link_with(path.resolve(), components, ())
        if linked is None or components.failed:
            raise SourceError(components.diagnostics, components.rendered())
        label = self.workspace.label(path.resolve())
        return _pack(
            components.component("cascade", linked.spec.name), {label: components.texts[label].encode()}, of_cascade(linked.spec), linked
        )

    def _model(self, folder: Path) -> Packed:
        name = folder.parent.relative_to(self.workspace.folder / "models").as_posix()
        model = self._components.model(name, folder.name, NOWHERE)
        if model is None or self._components.failed:
            raise SourceError(self._components.diagnostics, self._components.rendered())
        files = {self.workspace.label(folder / one): (folder / one).read_bytes() for one in ("model.yaml", *model.manifest.files)}
        return _pack(self._components.component("model", model.name), files, (), model)


def _pack(component: Component, files: Mapping[str, bytes], needs: tuple[Need, ...], made: Any) -> Packed:
    return Packed(component, files, needs, {**facts(made), NEEDS: {f"{need.kind} {need.name}": need.range for need in needs}})


class Unchanged:
    """Which components of a tree are published as they lie there, with everything they need: there is nothing to check or test."""

    def __init__(self, tree: Tree, registry: Registry, there: There) -> None:
        self._tree, self._registry = tree, registry
        self._there: dict[str, list[Published]] = defaultdict(list)
        for versions in there.values():
            for one in versions.values():
                self._there[one.component.name].append(one)
        self._known: dict[Path, bool] = {}

    def is_published(self, name: str, path: Path) -> bool:
        if path not in self._known:
            self._known[path] = True  # what leads back to it is no reason against it
            try:
                found = self._found(name, path)
                self._known[path] = found is not None and all(map(self._has, self._registry.config(found).needs))
            except RegistryError:  # a damaged version is no reason to say that all is well
                self._known[path] = False
        return self._known[path]

    def _has(self, need: Need) -> bool:
        """Whether what lies in the tree for a need is published as it lies there."""
        if need.kind == "model":
            folder = self._tree.workspace.model(need.name, need.range)
            return folder is not None and self.is_published(need.name, folder)
        suffixes = (".yaml", ".yml") if need.kind == "cascade" else (".rules",)
        paths = [path for path in self._tree.there.get(need.name, ()) if path.suffix in suffixes and not path.is_dir()]
        return bool(paths) and all(self.is_published(need.name, path) for path in paths)

    def _found(self, name: str, path: Path) -> Published | None:
        """The version whose files are all in the tree, byte for byte. Its number stands in the file, or is the folder's name."""
        text = "" if path.is_dir() else path.read_text(encoding="utf-8", errors="replace")
        label = self._tree.workspace.label(path)
        for one in reversed(self._there[name]):
            version = one.component.version
            if version == path.name or version in text:
                files = self._registry.digests(one)
                if any(place == label or place.startswith(f"{label}/") for place in files) and all(map(self._same, files.items())):
                    return one
        return None

    def _same(self, file: tuple[str, str]) -> bool:
        path = self._tree.workspace.folder / file[0]
        return path.is_file() and "sha256:" + sha256(path) == file[1]
