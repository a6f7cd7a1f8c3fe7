"""Cascade file + workspace -> `Linked`: components found, versions fitted, everything checked, steps put in order and bound.

It collects every problem of every file before it gives up, and raises none of them itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cascade.components import Components
from engine.cascade.graph import circles, order
from engine.cascade.parse import parse
from engine.cascade.spec import CascadeSpec
from engine.cascade.wiring import StepBuild, Wiring
from engine.diagnostics import Diagnostic, Span, in_order, suggest
from engine.features.spec import BoundFeatures
from engine.lang import ir
from engine.plan import POLICY, Held, Plan, Silenced
from engine.registry.manifest import Component
from engine.registry.store import Workspace
from engine.values import DATE, Type, date_of


@dataclass(frozen=True, slots=True)
class View:
    """One rule set as it stands in the cascade: how to get from the whole row to the row it saw, and what it is called there.

    `prefix` leads its columns, `step` is its name; `path` leads through nested cascades: the steps to enter before it.
    """

    step: str
    prefix: str
    rules: ir.RuleSet
    rule_step: Any
    path: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model step as it stands in the cascade; `path` as in `View`."""

    step: Any
    path: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """A cascade ready to run. `edges` are who reads whom through which columns; `files` what was read to make it."""

    plan: Plan
    spec: CascadeSpec
    components: tuple[Component, ...]
    views: tuple[View, ...]
    models: tuple[ModelView, ...]
    builds: tuple[StepBuild, ...]
    edges: Mapping[str, Mapping[str, frozenset[str]]]
    files: tuple[Path, ...]


def link(path: Path, workspace: Workspace, allow: frozenset[str] = frozenset(), *, models: bool = True) -> tuple[Linked | None, Components]:
    """The cascade at `path`, or none when a problem stops it; the components hold all diagnostics and the texts they point into.

    `allow` names the types that model archives may hold. Without `models` no artefact is opened: only what packages say of themselves
    is read, as a replay from recorded outputs needs.
    """
    components = Components(workspace, allow, models=models)
    linked = link_with(path, components, ())
    components.diagnostics[:] = in_order(components.diagnostics)
    return (None if components.failed else linked), components


def link_with(path: Path, components: Components, within: tuple[str, ...]) -> Linked | None:
    """Link one cascade with components that are shared with others; `within` are the cascades it is nested in."""
    text = components.read(path)
    if text is None:
        return None
    spec, problems = parse(text, components.workspace.label(path))
    components.diagnostics += problems
    if spec is None:
        return None
    wiring = Wiring(spec, components, lambda name, wanted, span: _nested(name, wanted, span, components, (*within, spec.name)))
    builds = wiring.build()
    edges = {build.name: build.reads for build in builds}
    for circle in circles(edges):
        components.diagnostics.append(_circle(circle, spec))
    if not _decision_found(spec, wiring, components) or components.failed or wiring.record is None:
        return None
    components.add("cascade", spec.name, spec.version, [(path.name, text.encode())])
    ranked = {name: position for position, name in enumerate(order(edges))}
    builds.sort(key=lambda build: ranked[build.name])
    plan = _plan(spec, wiring, builds)
    views = tuple(view for build in builds for view in _views(build))
    models = tuple(view for build in builds for view in _models(build))
    return Linked(plan, spec, components.taking_part(), views, models, tuple(builds), edges, tuple(sorted(components.workspace.used)))


def _nested(name: str, wanted: str | None, span: Span, components: Components, within: tuple[str, ...]) -> Linked | None:
    if name in within:
        chain = " -> ".join((*within, name))
        components.diagnostics.append(Diagnostic("cascade-circle", f"the cascade `{name}` stands inside itself: {chain}", span))
        return None
    path = components.cascade_file(name, wanted, span)
    return None if path is None else link_with(path, components, within)


def _circle(circle: list[tuple[str, str, list[str]]], spec: CascadeSpec) -> Diagnostic:
    spans = {step.name: step.span for step in spec.steps}
    names = [reader for reader, _, _ in circle]
    ties = tuple((f"`{reader}` reads " + ", ".join(f"`{c}`" for c in columns), spans[reader]) for reader, _, columns in circle)
    message = "the steps " + " -> ".join(f"`{name}`" for name in [*names, names[0]]) + " read one another in a circle"
    return Diagnostic("cascade-circle", message, spans[names[0]], related=ties, hint="a step can only read steps that do not need it")


def _decision_found(spec: CascadeSpec, wiring: Wiring, components: Components) -> bool:
    """Whether the deciding step is there, decides, and is always reached; what is wrong with it is reported."""
    wanted, span = spec.decision.text, spec.decision.span
    step = next((step for step in spec.steps if step.name == wanted), None)
    if step is None:
        hint = suggest(wanted, [s.name for s in spec.steps]) or "name one of the steps"
        components.report("unknown-step", f"there is no step `{wanted}` to decide", span, hint)
    elif not wiring.decides(wanted):
        hint = "the deciding step is a rule set with `decide outcome first match`"
        components.report("decision-without-decide", f"step `{wanted}` decides nothing", span, hint)
    elif step.when is not None:
        components.report(
            "decision-gated", f"step `{wanted}` decides and cannot stand behind `when`", span, "put the condition into its `decide` rows"
        )
    else:
        return True
    return False


def _views(build: StepBuild) -> list[View]:
    if build.rules is not None:
        return [View(build.name, f"{build.name}.", build.rules, build.inner)]
    if build.nested is not None:
        enter = build.inner
        return [
            View(f"{build.name}.{v.step}", f"{build.name}.{v.prefix}", v.rules, v.rule_step, (enter, *v.path)) for v in build.nested.views
        ]
    return []


def _models(build: StepBuild) -> list[ModelView]:
    if build.model:
        return [ModelView(build.inner)]
    return [ModelView(v.step, (build.inner, *v.path)) for v in build.nested.models] if build.nested is not None else []


def _plan(spec: CascadeSpec, wiring: Wiring, builds: list[StepBuild]) -> Plan:
    record = wiring.record
    assert record is not None  # `link_with` has returned without one
    types: dict[str, Type] = {field.name: field.type for field in record.fields}
    types |= {"now": record.field(record.time).type, "@date": DATE}
    given = frozenset(types)
    history: list[BoundFeatures] = list(wiring.history.values())
    for group in history:
        types |= group.types
    closed = [step for build in builds for step in (build.before, build.closed) if step is not None]
    for step in closed:
        types |= step.types
    views = [view for build in builds for view in _views(build)]
    ids = [rule.id for view in views for rule in view.rules.rules]
    rules = {
        view.prefix + ir.hit(rule.id): rule.id if ids.count(rule.id) == 1 else f"{view.step}.{rule.id}"
        for view in views
        for rule in view.rules.rules
    }
    flags = {view.prefix + f"flags.{s.name}": s.name for view in views for s in view.rules.body if isinstance(s, ir.Flag)}
    return Plan(
        spec.name,
        spec.version,
        record,
        spec.decision.text,
        tuple(history),
        tuple(closed),
        tuple(step for build in builds for step in (build.before, build.open) if step is not None),
        types,
        {name: type_ for name, type_ in types.items() if name not in given and "@" not in name},
        rules,
        flags,
        f"{spec.decision.text}.{ir.POINTS}",
        tuple(name for name in types if name.endswith("." + POLICY)),
        {rules[view.prefix + ir.hit(rule.id)]: _held(view.prefix, rule) for view in views for rule in view.rule_step.once},
        {
            view.prefix + ir.silenced(rule, one.id): _silenced(rules[view.prefix + ir.hit(rule)], one)
            for view in views
            for one in view.rules.exemptions
            for rule in one.rules
        },
    )


def _silenced(rule: str, one: ir.Exemption) -> Silenced:
    return Silenced(rule, one.id, one.approved, date_of(one.days[1]).isoformat(), one.because)


def _held(prefix: str, rule: ir.Rule) -> Held:
    return Held(prefix + ir.before(rule.id), prefix + ir.held(rule.id), prefix + ir.held_by(rule.id))
