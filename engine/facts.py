"""The facts by which versions of a component are compared: what its own text takes, gives, says and holds, and what it needs.

What other components hold is left to their versions: a rule means the same whatever entries the list has that it asks. Wording is left out.
It judges no change: `registry.changes` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import singledispatch
from typing import Any, Final

from engine.backends.rules import input_types
from engine.cascade.link import Linked
from engine.cascade.spec import Placed, StepSpec
from engine.lang import ast, ir
from engine.lang.environment import TemplateSet
from engine.lang.format import format_template, slot_text
from engine.lang.lists import ListValue
from engine.lang.meaning import canonical, digest, of_rule, wordless
from engine.models.package import Model
from engine.rates import Rates
from engine.record import Record
from engine.reference_table import ReferenceTable

LIBRARIES: Final = "libraries"

Facts = dict[str, Any]


@singledispatch
def facts(made: Any) -> Facts:
    """What a component takes, gives, says and holds, as `registry.changes` compares it.

    >>> facts(Rates("bank/rates", "1.0.0", "EUR", 4, 7, {"USD": ([0], [10_000])}))["outputs"]
    {'USD': 'rates'}
    """
    raise TypeError(f"nothing that is published: {made!r}")


# --- rule sets ---------------------------------------------------------------------------------------------------------


@facts.register
def _(written: ir.RuleSet) -> Facts:
    made = _by_meaning(written)
    parts = dict(_rule_parts(made))
    for one in made.exemptions:
        said = replace(one, because="", cites=())
        parts[f"the exception `{one.id}`"] = digest([canonical(said), _own(made, made.defines[ir.excepted(one.id)])])
    for table in made.tables:
        read = set[str]().union(*map(ir.reads, table.expressions()))
        parts[f"the table `{table.name}`"] = digest([canonical(replace(table, cites=()), own=True), _defined(made, read)])
    decided = [] if made.decide is None else [condition for _, condition in made.decide.rows]
    floors = [condition for _, condition in made.scoring.floors]
    parts["`decide`"] = digest([canonical(made.decide, own=True), _defined(made, _read(decided))])
    parts["how points come together"] = digest([canonical(made.scoring, own=True), _defined(made, _read(floors))])
    members = {use.alias for use in made.uses if use.kind == "ruleset"}
    states = {name: str(type_) for name, type_ in input_types(made).items() if name.partition(".")[0] in members}
    return {
        "inputs": {column.name: str(column.type) for column in made.fields} | _columns(made.inputs) | states,
        "outputs": {one.name: str(one.type) for one in made.outputs()},
        "parts": parts,
        "marks": {f"the severity of the rule `{rule.id}`": rule.severity or "none" for rule in made.rules},
    }


def _by_meaning(made: ir.RuleSet) -> ir.RuleSet:
    """The rule set with its defines called by what they mean: how they are called is nobody else's business."""
    names: dict[str, str] = {}
    body: list[ir.Statement] = []
    for statement in made.body:  # in an order in which a define comes after those it reads
        now = _renamed(statement, names)
        if isinstance(now, ir.Define) and not now.name.startswith("@"):
            names[now.name] = f"@{digest(canonical(now.value, own=True))}"
            now = replace(now, name=names[now.name])
        body.append(now)
    return replace(made, body=tuple(body), decide=_renamed(made.decide, names), scoring=_renamed(made.scoring, names))


def _renamed(thing: Any, names: Mapping[str, str]) -> Any:
    """A part of the program with other names for what it reads."""
    if isinstance(thing, ir.Read):
        return replace(thing, name=names[thing.name]) if thing.name in names else thing
    if isinstance(thing, tuple):
        return tuple(_renamed(item, names) for item in thing)
    if is_dataclass(thing) and not isinstance(thing, type) and type(thing).__module__ == ir.__name__:
        return replace(thing, **{part.name: _renamed(getattr(thing, part.name), names) for part in fields(thing) if part.init})
    return thing


def _rule_parts(made: ir.RuleSet) -> Iterator[tuple[str, str]]:
    """When each rule hits and what becomes of that; its flags and what it sets by themselves, for these may be added."""
    for rule in made.rules:
        bare = replace(wordless(rule), when=ir.Const(True), unless=(), flags=(), sets=())
        yield f"the rule `{rule.id}`", digest([of_rule(made, rule, own=True), canonical(bare, own=True)])
        for flag in rule.flags:
            yield f"the rule `{rule.id}`: its flag `{flag}`", ""
        for name, value in rule.sets:
            yield f"the rule `{rule.id}`: what it sets `{name}` to", digest(_own(made, value))


def _own(made: ir.RuleSet, expr: ir.Expr) -> Any:
    return [canonical(expr, own=True), _defined(made, ir.reads(expr))]


def _read(conditions: Iterable[ir.Expr | None]) -> set[str]:
    return {name for condition in conditions if condition is not None for name in ir.reads(condition)}


def _defined(made: ir.RuleSet, names: set[str]) -> Any:
    """What the names among these mean that the rule set defines, with those they are defined by."""
    defines, waiting, found = made.defines, list(names), dict[str, Any]()
    while waiting:
        name = waiting.pop()
        if name in defines and name not in found:
            found[name] = canonical(defines[name], own=True)
            waiting += ir.reads(defines[name])
    return sorted(found.items())


def _columns(columns: Iterable[Any]) -> dict[str, str]:
    """The types of columns or fields by name, and whether they may stay away."""
    return {one.name: f"{one.type}{' optional' if one.optional else ''}" for one in columns}


# --- the other components of the language --------------------------------------------------------------------------------


@facts.register
def _(made: ir.FeatureSet) -> Facts:
    given = {feature.name: str(feature.type) for feature in made.features}
    parts = {f"the feature `{feature.name}`": digest(canonical(feature.value, own=True)) for feature in made.features}
    return {"inputs": {column.name: str(column.type) for column in made.fields}, "outputs": given, "parts": parts}


@facts.register
def _(made: Record) -> Facts:
    parts = {
        "what a key is": list(made.key),
        "the time": [made.time, made.zone],
        "how events arrive": made.arrival,
        "how late an event may come": made.late,
        "how far ahead a time may lie": made.ahead,
        "the revision": made.revision,
    }
    parts |= {f"what `{one.name}` may be": "not negative" if one.not_negative else "anything" for one in made.fields}
    parts |= {f"what `{one.name}` may be: its other name `{name}`": "" for one in made.fields for name in one.sources}
    personal = {f"whether `{one.name}` is personal": "yes" if one.personal else "no" for one in made.fields}
    return {"inputs": _columns(made.fields), "parts": {name: digest(part) for name, part in parts.items()}, "marks": personal}


@facts.register
def _(made: ListValue) -> Facts:
    return {"outputs": {"values": str(made.type)}, "data": digest(canonical([made.holds, sorted(made.ids)]))}


@facts.register
def _(made: ReferenceTable) -> Facts:
    dates = [None if bounds is None else bounds.kind for bounds in (made.valid, made.known)]
    parts = {"the key": list(made.key), "what its dates are": dates}
    return {"outputs": _columns(made.columns.values()), "parts": parts, "data": made.digest}


@facts.register
def _(made: Rates) -> Facts:
    parts = {"the base": made.base, "how old a rate may be": str(made.oldest)}
    return {"outputs": dict.fromkeys(made.published, "rates"), "parts": parts, "data": made.digest}


@facts.register
def _(made: TemplateSet) -> Facts:
    severities = {f"the severity of the template `{name}`": node.rule.severity or "none" for name, node in made.templates.items()}
    return {"parts": dict(part for name, node in made.templates.items() for part in _template(name, node)), "marks": severities}


def _template(name: str, node: ast.RuleTemplate) -> Iterator[tuple[str, str]]:
    """What a template makes, with what it must be given; what it may be given by itself, for that may be added."""
    unless = tuple(replace(one, because="") for one in node.rule.unless)
    rule = replace(node.rule, title="", cites=(), severity=None, because=None, unless=unless)
    told = replace(node, title=None, rule=rule, slots=tuple(slot for slot in node.slots if slot.default is None))
    yield f"the template `{name}`", digest(format_template(told))
    for slot in node.slots:
        if slot.default is not None:
            yield f"the template `{name}`: its slot `{slot.name.text}`", slot_text(slot)


# --- models and cascades -------------------------------------------------------------------------------------------------


@facts.register
def _(made: Model) -> Facts:
    manifest = made.manifest
    return {
        "inputs": {one.name: f"{one.type}{' optional' if one.missing else ''}" for one in made.inputs},
        "outputs": {one.name: str(one.type) for one in made.outputs},
        "parts": {f"how `{one.name}` is read": digest([one.codes, one.unseen]) for one in made.inputs if one.codes},
        "marks": {
            f"the range of `{one.name}`": "open" if one.range is None else f"{one.range[0]} to {one.range[1]}" for one in made.outputs
        },
        "data": digest([manifest.kind, manifest.signature.method, manifest.files[manifest.file]]),
        LIBRARIES: {name: str(version) for name, version in manifest.environment.get("libraries", {}).items()},
    }


@facts.register
def _(made: Linked) -> Facts:
    """Its steps and how they are tied; what these take and give is theirs to promise."""
    spec = made.spec
    parts = {f"the step `{step.name}`": digest(_step(step)) for step in spec.steps}
    return {"parts": {**parts, "which step decides": digest(spec.decision.text)}}


def _step(step: StepSpec) -> list[Any]:
    when = None if step.when is None else _words(step.when.text)
    return [step.kind, step.component.name, when, *(_placed(named) for named in (step.renames, step.otherwise, step.on_missing))]


def _placed(named: Mapping[str, Placed]) -> list[tuple[str, str]]:
    return sorted((name, _words(placed.text)) for name, placed in named.items())


def _words(text: str) -> str:
    """A text of one line, however it was broken."""
    return " ".join(text.split())
