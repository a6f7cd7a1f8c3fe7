"""Publishing: components of a working tree are checked, tested, compared with the version before, and put into a registry for good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.backends.rules import input_types
from engine.cascade.components import Components
from engine.cascade.link import Linked
from engine.diagnostics import NOWHERE, suggest
from engine.errors import RegistryError, SourceError
from engine.lang import ir
from engine.lang.environment import TemplateSet
from engine.lang.format import format_template, slot_text
from engine.lang.lists import ListValue
from engine.lang.meaning import canonical, digest, of_rule
from engine.loaded import deployed, load
from engine.models import package
from engine.rates import Rates
from engine.record import Record
from engine.reference_table import ReferenceTable
from engine.registry.changes import LEVELS, before, change, next_version, promised
from engine.registry.manifest import Component
from engine.registry.published import Need, Packed, Published, Registry, ref
from engine.registry.store import Workspace
from engine.testkit.runner import run_tests
from engine.testkit.sources import Found

LIBRARIES: Final = "libraries"
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
    packed = list(_Tree(workspace).packed(names))
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
        raise RegistryError(f"{told}; call it {next_version(after, step.level)}, or say why")
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
    earlier = before(one.component.version, list(there))
    if earlier is None:
        return None
    found = change(registry.config(there[earlier]).facts, one.facts)
    return Step(one.component, earlier, found.level, str(found))


# --- what is in a working tree -----------------------------------------------------------------------------------------


class _Tree:
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
        needs = tuple(sorted({Need(use.kind, use.path, use.range) for use in tree.uses}, key=str))
        return Packed(components.component(tree.kind, name), files, needs, facts(made))

    def _cascade(self, path: Path) -> Packed:
        linked, components = load(path, Workspace(self.workspace.folder))
        if linked is None:
            raise SourceError(components.diagnostics, components.rendered())
        spec = linked.spec
        needs = {Need("record", spec.record.name, spec.record.range)}
        needs |= {Need(_KINDS[step.kind], step.component.name, step.component.range) for step in spec.steps}
        component = components.component("cascade", spec.name)
        files = {self.workspace.label(path.resolve()): components.texts[self.workspace.label(path.resolve())].encode()}
        return Packed(component, files, tuple(sorted(needs, key=str)), facts(linked))

    def _model(self, folder: Path) -> Packed:
        name = folder.parent.relative_to(self.workspace.folder / "models").as_posix()
        model = self._components.model(name, folder.name, NOWHERE)
        if model is None or self._components.failed:
            raise SourceError(self._components.diagnostics, self._components.rendered())
        files = {self.workspace.label(folder / one): (folder / one).read_bytes() for one in ("model.yaml", *model.manifest.files)}
        libraries = {name: str(version) for name, version in model.manifest.environment.get("libraries", {}).items()}
        return Packed(self._components.component("model", model.name), files, (), {**facts(model), LIBRARIES: libraries})


_KINDS: Final = {"rules": "ruleset", "features": "features", "model": "model", "cascade": "cascade"}


# --- what versions are compared by -------------------------------------------------------------------------------------


def facts(made: Any) -> dict[str, Any]:
    """What a component takes, gives, says and holds, as `registry.changes` compares it."""
    match made:
        case ir.RuleSet():
            return _of_rules(made)
        case ir.FeatureSet():
            given = {feature.name: str(feature.type) for feature in made.features}
            parts = {f"the feature `{feature.name}`": digest(canonical(feature.value)) for feature in made.features}
            return {"inputs": _columns(made.fields), "outputs": given, "parts": parts}
        case Record():
            return _of_record(made)
        case package.Model():
            taken = {one.name: f"{one.type}{' optional' if one.missing else ''}" for one in made.inputs}
            return {
                "inputs": taken,
                "outputs": {one.name: str(one.type) for one in made.outputs},
                "data": digest(sorted(made.manifest.files.items())),
            }
        case Linked():
            return _of_cascade(made)
        case ReferenceTable():
            return _of_table(made)
        case Rates():
            parts = {"the base": made.base, "how old a rate may be": str(made.oldest)}
            return {"outputs": dict.fromkeys(made.published, "rates"), "parts": parts, "data": made.digest}
        case TemplateSet():
            given = {name: ", ".join(slot_text(slot) for slot in node.slots) for name, node in made.templates.items()}
            return {"outputs": given, "parts": {f"the template `{name}`": format_template(node) for name, node in made.templates.items()}}
        case ListValue():
            return {"outputs": {"values": str(made.type)}, "data": digest(canonical([made.holds, sorted(made.ids)]))}
    raise TypeError(f"nothing that is published: {made!r}")


def _of_table(made: ReferenceTable) -> dict[str, Any]:
    given = {name: f"{column.type}{' optional' if column.optional else ''}" for name, column in made.columns.items()}
    dates = [None if bounds is None else bounds.kind for bounds in (made.valid, made.known)]
    return {"outputs": given, "parts": {"the key": list(made.key), "what its dates are": dates}, "data": made.digest}


def _of_rules(made: ir.RuleSet) -> dict[str, Any]:
    parts = {
        f"the rule `{rule.id}`": digest([of_rule(made, rule), canonical(replace(rule, reason=(), cites=(), severity=None))])
        for rule in made.rules
    }
    holds = {one.id: canonical(made.defines[ir.excepted(one.id)]) for one in made.exemptions}
    parts |= {f"the exception `{one.id}`": digest([canonical(one), holds[one.id]]) for one in made.exemptions}
    wordless = ir.Rule | ir.Define | ir.Flag | ir.Set
    parts |= {f"`{getattr(one, 'name', 'a part')}`": digest(canonical(one)) for one in made.body if not isinstance(one, wordless)}
    parts["`decide`"] = digest(canonical(made.decide))
    parts["how points come together"] = digest(canonical(made.scoring))
    members = {use.alias for use in made.uses if use.kind == "ruleset"}
    states = {name: str(type_) for name, type_ in input_types(made).items() if name.partition(".")[0] in members}
    return {
        "inputs": _columns((*made.fields, *made.inputs)) | states,
        "outputs": {one.name: str(one.type) for one in made.outputs()},
        "parts": parts,
    }


def _columns(columns: Iterable[ir.Column]) -> dict[str, str]:
    return {one.name: f"{one.type}{' optional' if one.optional else ''}" for one in columns}


def _of_record(made: Record) -> dict[str, Any]:
    fields = {field.name: str(field.type) for field in made.fields}
    parts = {
        "what a key is": list(made.key),
        "the time": [made.time, made.zone],
        "how late an event may come": made.late,
        "the revision": made.revision,
    }
    taken = {field.name: f"{field.type}{' optional' if field.optional else ''}" for field in made.fields}
    return {"inputs": taken, "outputs": fields, "parts": {name: digest(canonical(part)) for name, part in parts.items()}}


def _of_cascade(made: Linked) -> dict[str, Any]:
    spec, plan = made.spec, made.plan
    steps = {
        f"the step `{step.name}`": digest(
            [
                step.kind,
                step.component.name,
                *(
                    sorted((name, placed.text) for name, placed in named.items())
                    for named in (step.renames, step.otherwise, step.on_missing)
                ),
                step.when and step.when.text,
            ]
        )
        for step in spec.steps
    }
    return {
        "inputs": {field.name: f"{field.type}{' optional' if field.optional else ''}" for field in plan.record.fields},
        "outputs": {name: str(type_) for name, type_ in plan.outputs.items()},
        "parts": {**steps, "which step decides": digest(spec.decision.text)},
    }
