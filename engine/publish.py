"""Publishing: components of a working tree are checked, tested, compared with the version before, and put into a registry for good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.cascade.components import Components
from engine.diagnostics import NOWHERE, suggest
from engine.errors import RegistryError, SourceError
from engine.facts import facts
from engine.loaded import deployed, load
from engine.registry.changes import LEVELS, NEEDS, before, change, next_version, promised
from engine.registry.manifest import Component
from engine.registry.published import Need, Packed, Published, Registry, ref
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
    packed = list(Tree(workspace).packed(names))
    there = {ref(one.component): one for one in registry.all()}
    components = [*(one.component for one in there.values()), *(one.component for one in packed)]
    kinds = {(component.kind, component.name) for component in components}
    steps, ready = [], []
    for one in packed:
        known = there.get(ref(one.component))
        if known is not None and known.component.hash == one.component.hash:
            continue
        _check_needs(one, kinds, registry)
        # one that is there and says something else is refused when it is kept, with what differs
        step = None if known is not None else _compared(one, registry, there.values())
        ready.append(one if step is None else _promising(one, step, why))
        steps.append(step or Step(one.component, None, "minor", ""))
    registry.publish(ready)
    return steps


def _promising(one: Packed, step: Step, why: str | None) -> Packed:
    """The component, with the reason where its number promises less than it changes. Raises `RegistryError` where none is given."""
    after = step.after or ""
    if LEVELS.index(step.level) <= LEVELS.index(promised(after, one.component.version)):
        return one
    if why is None:
        told = f"`{one.component}` promises less than it changes: after {after} it is {step.told}"
        raise RegistryError(f"{told}; call it {next_version(after, step.level, one.component.version)}, or say why")
    return replace(one, notes={**one.notes, WHY: why})


def _check_needs(one: Packed, there: set[tuple[str, str]], registry: Registry) -> None:
    lost = [need for need in one.needs if (need.kind, need.name) not in there]
    if lost:
        names = ", ".join(f"`{need}`" for need in lost)
        raise RegistryError(
            f"`{one.component}` needs {names}, which `{registry.place}` does not have: publish that first, or all with --all"
        )


def _compared(one: Packed, registry: Registry, published: Iterable[Published]) -> Step | None:
    """How it differs from the version before; none where there is none."""
    kind, name = one.component.kind, one.component.name
    there = {found.component.version: found for found in published if (found.component.kind, found.component.name) == (kind, name)}
    # one that was yanked is no promise to anybody: it is mended by the next patch
    earlier = before(one.component.version, [version for version, found in there.items() if found.yanked is None])
    if earlier is None:
        return None
    found = change(registry.config(there[earlier]).facts, one.facts)
    return Step(one.component, earlier, found.level, str(found))


# --- what is in a working tree -----------------------------------------------------------------------------------------


class Tree:
    """The components of a workspace, checked and tested as they are packed."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._components = Components(workspace, deployed(workspace)[0])

    def packed(self, names: Sequence[str] | None) -> Iterator[Packed]:
        """Those with these names, or all. Raises what `publish` does."""
        there = self._there()
        for name in names or ():
            if name not in there:
                hint = suggest(name, there)
                raise RegistryError(f"the workspace `{self.workspace.folder}` has no component `{name}`" + (f"; {hint}" if hint else ""))
        for name in sorted(set(there if names is None else names)):
            yield from (self._packed(name, path) for path in there[name])

    def _there(self) -> dict[str, list[Path]]:
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
        if tree.kind == "ruleset":
            tested = run_tests(components, Found(path, self.workspace))
            if tested is not None and tested.failures:
                first = tested.failures[0]
                raise RegistryError(f"`{name}` fails {len(tested.failures)} of its tests, the first is at {first}")
        (_, text), *named = components.parts(path, tree)
        files = {self.workspace.label(path): text}
        files |= {self.workspace.label((path.parent / part).resolve()): data for part, data in named}
        needs = {Need(use.kind, use.path, use.range) for use in tree.uses}
        return _pack(components.component(tree.kind, name), files, needs, made)

    def _cascade(self, path: Path) -> Packed:
        linked, components = load(path, Workspace(self.workspace.folder))
        if linked is None:
            raise SourceError(components.diagnostics, components.rendered())
        spec = linked.spec
        needs = {Need("record", spec.record.name, spec.record.range)}
        needs |= {Need(_KINDS[step.kind], step.component.name, step.component.range) for step in spec.steps}
        component = components.component("cascade", spec.name)
        files = {self.workspace.label(path.resolve()): components.texts[self.workspace.label(path.resolve())].encode()}
        return _pack(component, files, needs, linked)

    def _model(self, folder: Path) -> Packed:
        name = folder.parent.relative_to(self.workspace.folder / "models").as_posix()
        model = self._components.model(name, folder.name, NOWHERE)
        if model is None or self._components.failed:
            raise SourceError(self._components.diagnostics, self._components.rendered())
        files = {self.workspace.label(folder / one): (folder / one).read_bytes() for one in ("model.yaml", *model.manifest.files)}
        return _pack(self._components.component("model", model.name), files, (), model)


def _pack(component: Component, files: Mapping[str, bytes], needs: Iterable[Need], made: Any) -> Packed:
    asked = tuple(sorted(needs, key=str))
    return Packed(component, files, asked, {**facts(made), NEEDS: {f"{need.kind} {need.name}": need.range for need in asked}})


_KINDS: Final = {"rules": "ruleset", "features": "features", "model": "model", "cascade": "cascade"}
