"""How the steps of one cascade read one another: names in `with` and `when` -> columns, checked, and steps built from it.

It finds nothing itself (`components` does) and orders nothing (`graph` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.backends.rules import ComputeStep, RuleStep, expressions, input_types
from engine.cascade.components import Components
from engine.cascade.spec import CascadeSpec, Placed, StepSpec
from engine.cascade.steps import GateStep, NestedStep
from engine.diagnostics import Diagnostic, Span, suggest
from engine.features.spec import BoundFeatures
from engine.lang import ir
from engine.lang.check import check_expression
from engine.lang.parse import parse_expression
from engine.plan import NOW, Step
from engine.reading import read_value
from engine.record import Record
from engine.values import FLAG, MISSING, Missing, Type, Value, known

WITH, GATE = "@with.", "@gate"


@dataclass(slots=True)
class StepBuild:
    """One step while it is put together. `reads` are the steps it reads and the columns that tie them."""

    name: str
    reads: dict[str, frozenset[str]]
    closed: Step | None = None
    open: Step | None = None
    inner: Any = None
    rules: ir.RuleSet | None = None
    nested: Any = None
    model: bool = False
    gate: ir.Expr | None = None
    before: ComputeStep | None = None


@dataclass(slots=True)
class _Wanted:
    """What a component takes: name -> type, and which may stay away; `features` are columns of history, `remembered` fields they read,
    `states` columns of the steps whose rule sets it reads; `members` are the names it has for these."""

    types: dict[str, Type]
    optional: frozenset[str] = frozenset()
    inputs: frozenset[str] = frozenset()
    features: dict[str, str] = field(default_factory=dict)
    remembered: frozenset[str] = frozenset()
    states: dict[str, str] = field(default_factory=dict)
    members: frozenset[str] = frozenset()


class Wiring:
    """Builds the steps of a cascade. `nested` links a cascade by name; problems go to the components' diagnostics."""

    def __init__(self, spec: CascadeSpec, components: Components, nested: Callable[[str, str | None, Span], Any]) -> None:
        self.spec, self.components, self._link_nested = spec, components, nested
        self.record: Record | None = None
        self.history: dict[str, BoundFeatures] = {}
        self.columns: dict[str, Type] = {}
        self.owner: dict[str, str] = {}
        self._loaded: dict[str, Any] = {}

    def build(self) -> list[StepBuild]:
        """The steps as written, not yet in order. Steps whose component did not load are left out; their columns are not missed."""
        self.record = self.components.record(self.spec.record.name, self.spec.record.range, self.spec.record.span)
        if self.record is None:
            return []
        self.columns = {f.name: f.type for f in self.record.fields} | {NOW: self.record.field(self.record.time).type}
        for step in self.spec.steps:
            self._check_name(step)
            self._loaded[step.name] = self._load(step)
        for step in self.spec.steps:
            self._publish(step)
        if any(component is None for component in self._loaded.values()):
            return []  # what depends on a lost component would only be reported again
        return [self._build(step) for step in self.spec.steps]

    @property
    def _zone(self) -> str:
        return "UTC" if self.record is None else self.record.zone

    def report(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        self.components.diagnostics.append(Diagnostic(code, message, span, hint=hint))

    def _check_name(self, step: StepSpec) -> None:
        assert self.record is not None
        clash = [f.name for f in self.record.fields if f.name.split(".")[0] == step.name]
        if clash:
            self.report(
                "name-clash", f"step `{step.name}` has the name of the record's field `{clash[0]}`", step.span, "call the step otherwise"
            )
        for key, given in (("otherwise", step.otherwise), ("on_missing", step.on_missing)):
            if given and step.kind != "model" and key == "on_missing":
                self.report(
                    "on-missing-not-model", "only a model step has `on_missing`", step.places[key], "rules say `on missing` themselves"
                )
            if given and step.when is None and key == "otherwise":
                self.report("otherwise-without-when", f"`otherwise` of step `{step.name}` needs a `when`", step.places[key])
        if step.kind == "features" and step.when is not None:
            hint = "put `when` on the steps that read the features"
            self.report("gate-on-features", "history remembers every event; a features step has no `when`", step.places["when"], hint)

    def _load(self, step: StepSpec) -> Any:
        name, wanted, span = step.component.name, step.component.range, step.component.span
        if step.kind == "rules":
            return self.components.rules(name, wanted, span)
        if step.kind == "features":
            return self.components.features(name, wanted, span)
        if step.kind == "model":
            return self.components.model(name, wanted, span)
        return self._link_nested(name, wanted, span)

    def decides(self, name: str) -> bool:
        """Whether the step of this name is a rule set with a `decide`; a component that was lost is not held against it."""
        component = self._loaded.get(name)
        return component is None or getattr(component, "decide", None) is not None

    # --- what each step offers --------------------------------------------------------------------------------------------

    def _offer(self, step: StepSpec, columns: Mapping[str, Type], *, history: bool = False) -> None:
        """Let others read these columns; those of history belong to no step, and are there before the first of them."""
        for column in sorted(self.columns.keys() & columns.keys()):
            self.report("name-clash", f"step `{step.name}` would give a second `{column}`", step.span, "call the step otherwise")
        self.columns |= columns
        if not history:
            self.owner |= dict.fromkeys(columns, step.name)

    def _publish(self, step: StepSpec) -> None:
        component = self._loaded[step.name]
        if component is None:
            return
        if step.kind == "rules":
            self._offer(step, {f"{step.name}.{c.name}": c.type for c in component.outputs()})
        elif step.kind == "model":
            self._offer(step, {f"{step.name}.{o.name}": o.type for o in component.outputs})
        elif step.kind == "cascade":
            probe = NestedStep(step.name, component.plan, {})
            self._offer(step, {c: t for c, t in probe.types.items() if "@" not in c})
        for prefix, features, names in self._brought(step, component):
            self._bind(prefix, features, step, names)

    def _brought(self, step: StepSpec, component: Any) -> Iterator[tuple[str, ir.FeatureSet, Mapping[str, str]]]:
        """The history a step brings: where its columns stand, the features, and how the step's component calls the fields they read."""
        if step.kind == "features":
            yield f"{step.name}.", component, {}
        elif step.kind == "cascade":
            for group in component.plan.history:
                yield f"{step.name}.{group.prefix}", group.features, group.renames
        elif step.kind == "rules":
            if component.features is not None:
                yield f"{step.name}.", component.features, {}
            for use in component.uses:
                features = self.components.features(use.path, use.range, step.component.span) if use.kind == "features" else None
                if features is not None and not self._own_steps(use):  # a step of its own says under which names it reads
                    yield self._feature_prefix(use, features, step), features, {}

    def _own_steps(self, use: ir.Use) -> list[str]:
        """The steps that a used feature set has for itself."""
        return [s.name for s in self.spec.steps if s.kind == "features" and s.component.name == use.path]

    def _feature_prefix(self, use: ir.Use, features: ir.FeatureSet, step: StepSpec) -> str:
        """Where the columns of a used feature set stand: at its own step if there is one, else under its alias, which the steps share
        that do not rename what it reads."""
        own = self._own_steps(use)
        if own:
            return f"{use.alias if use.alias in own else own[0]}."
        return f"{step.name}.{use.alias}." if any(column.name in step.renames for column in features.fields) else f"{use.alias}."

    def _bind(self, prefix: str, features: ir.FeatureSet, step: StepSpec, names: Mapping[str, str]) -> None:
        """Bind features to the record's fields; `names` are those by which the step's `with` knows what they read."""
        assert self.record is not None
        there = self.history.get(prefix)
        if there is not None:
            if there.features.name != features.name:
                message = f"`{prefix[:-1]}` would be both `{there.features.name}` and `{features.name}`"
                self.report("name-clash", message, step.component.span, "give one of them a features step of its own name")
            return
        fields, renames = {field.name for field in self.record.fields}, dict[str, str]()
        for column in features.fields:
            name = names.get(column.name, column.name)
            placed = step.renames.get(name)
            renames[column.name] = name if placed is None else placed.text.strip()
            if placed is not None and renames[column.name] not in fields:
                message = f"`{features.name}` reads `{name}` in history, which holds the record's fields only, not `{placed.text}`"
                hint = "name a field" if step.kind == "features" else "name a field, or give the features a step of their own"
                self.report("not-in-history", message, placed.span, hint)
            else:
                self._field_fits(column.name, renames[column.name], column.type, step.component.span, features.name)
        self.history[prefix] = BoundFeatures(features, prefix, renames, self.record)
        self._offer(step, self.history[prefix].types, history=True)

    def _field_fits(self, local: str, column: str, wanted: Type, span: Span, reader: str) -> bool:
        assert self.record is not None
        there = {f.name: f.type for f in self.record.fields}
        if column not in there:
            hint = suggest(column, there) or f"write `with: {{{local}: FIELD}}`"
            self.report(
                "field-not-in-record", f"`{reader}` reads `{local}`, which the record `{self.record.name}` does not have", span, hint
            )
            return False
        if not assignable(there[column], wanted):
            self.report("with-type", f"`{reader}` reads `{local}` as {wanted}, but `{column}` is {there[column]}", span)
            return False
        return True

    # --- building ---------------------------------------------------------------------------------------------------------

    def _wanted(self, step: StepSpec) -> _Wanted:
        component = self._loaded[step.name]
        if step.kind == "rules":
            types, inputs = input_types(component), {c.name for c in component.inputs}
            features = {local: column for local in types if (column := self._feature_column(step, component, local)) is not None}
            optional = frozenset(c.name for c in component.inputs if c.optional)
            remembered = frozenset(column.name for _, brought, _ in self._brought(step, component) for column in brought.fields)
            members = frozenset(use.alias for use in component.uses if use.kind == "ruleset")
            read = {local for local in types if local.partition(".")[0] in members and local not in features}
            states = self._states(step, component, read)
            taken = {n: t for n, t in types.items() if n not in features and n not in read}
            return _Wanted(taken, optional, frozenset(inputs), features, remembered, states, members)
        if step.kind == "model":
            return _Wanted({i.name: i.type for i in component.inputs}, inputs=frozenset(i.name for i in component.inputs))
        if step.kind == "cascade":
            record, history = component.plan.record, component.plan.history
            features = {column: f"{step.name}.{column}" for group in history for column in group.types}
            return _Wanted({f.name: f.type for f in record.fields}, features=features)
        return _Wanted({c.name: c.type for c in component.fields})

    def _states(self, step: StepSpec, rules: ir.RuleSet, read: set[str]) -> dict[str, str]:
        """The columns of the steps whose states a rule set reads; where it cannot be told which step is meant, that is reported."""
        running = {use.alias: self._member(step, use) for use in rules.uses if use.kind == "ruleset"}
        found: dict[str, str] = {}
        for local in sorted(read):
            alias, _, state = local.partition(".")
            if running[alias] is not None:
                found[local] = f"{running[alias]}.{state}"
        return found

    def _member(self, step: StepSpec, use: ir.Use) -> str | None:
        """The step that runs a rule set whose states are read: the one that `with` names, that of the same name, or the only one."""
        running = [s.name for s in self.spec.steps if s.kind == "rules" and s.component.name == use.path and s.name != step.name]
        placed, reader = step.renames.get(use.alias), f"`{step.component.name}` reads the states of `{use.path}`"
        names = ", ".join(f"`{name}`" for name in running)
        if placed is not None:
            named = placed.text.strip()
            if named in running:
                return named
            hint = suggest(named, running) or (f"it is run by {names}" if running else f"add a step with `rules: {use.path}`")
            self.report("states-not-wired", f"{reader}, and `{named}` is no step that runs it", placed.span, hint)
        elif use.alias in running or len(running) == 1:
            return use.alias if use.alias in running else running[0]
        elif running:
            hint = f"write `with: {{{use.alias}: {running[0]}}}`"
            self.report("states-not-wired", f"{reader}, and several steps run it: {names}", step.component.span, hint)
        else:
            hint = f"add a step like `{use.alias}: {{rules: {use.path}}}`"
            self.report("states-not-wired", f"{reader}, and no step runs it", step.component.span, hint)
        return None

    def _feature_column(self, step: StepSpec, rules: ir.RuleSet, local: str) -> str | None:
        """The column of a feature a rule set reads, or none when the name is no feature."""
        if rules.features is not None and any(f.name == local for f in rules.features.features):
            return f"{step.name}.{local}"
        for use in rules.uses:
            if use.kind == "features" and local.startswith(f"{use.alias}."):
                features = self.components.features(use.path, use.range, step.component.span)
                if features is not None:
                    return self._feature_prefix(use, features, step) + local.removeprefix(f"{use.alias}.")
        return None

    def _build(self, step: StepSpec) -> StepBuild:
        build = StepBuild(step.name, {})
        wanted = self._wanted(step)
        for name, placed in step.renames.items():
            if name not in wanted.types and name not in wanted.remembered and name not in wanted.members:
                takes = sorted({*wanted.types, *wanted.remembered, *wanted.members})
                hint = suggest(name, takes) or "it takes " + (", ".join(f"`{n}`" for n in takes) or "nothing")
                self.report("unknown-input", f"`{step.component.name}` takes no `{name}`", placed.span, hint)
        if step.kind == "features":
            return build
        self._time_fits(step)
        sources, computed, types = self._sources(step, wanted, build)
        for column in wanted.states.values():
            self._tie(build, column)
        build.gate = self._gate(step, build)
        if build.gate is not None:
            computed[f"{step.name}.{GATE}"], types[f"{step.name}.{GATE}"] = build.gate, FLAG
        if computed:
            build.before = ComputeStep(f"{step.name}.{WITH}", computed, types)
        self._make(step, build, {**sources, **wanted.features, **wanted.states})
        return build

    def _time_fits(self, step: StepSpec) -> None:
        """`now` is the time of the cascade's own record, whatever a step's record calls its time."""
        assert self.record is not None
        component, there = self._loaded[step.name], self.columns[NOW]
        wanted: list[Type] = []
        if step.kind == "rules":
            nodes = [node for expr in expressions(component) for node in ir.walk(expr)]
            wanted = [node.type for node in nodes if isinstance(node, ir.Read) and node.name == NOW]
        elif step.kind == "cascade":
            wanted = [component.plan.types[NOW]]
        if any(type_.kind != there.kind for type_ in wanted):
            message = f"`{step.component.name}` takes `now` for {wanted[0]}, but the time of `{self.record.name}` is {there}"
            self.report("with-type", message, step.component.span)

    def _sources(
        self, step: StepSpec, wanted: _Wanted, build: StepBuild
    ) -> tuple[dict[str, str], dict[str, ir.Expr | None], dict[str, Type]]:
        """For every name the component takes the column it comes from, and the columns that have to be computed for it."""
        sources: dict[str, str] = {}
        computed: dict[str, ir.Expr | None] = {}
        types: dict[str, Type] = {}
        for local, type_ in wanted.types.items():
            column = f"{step.name}.{WITH}{local}"
            if local in step.renames:
                expr = self._expression(step.renames[local], build)
                if expr is None:
                    continue
                if not self._fits(expr, type_, local, step):
                    continue
                plain = isinstance(expr, ir.Read) and (type_.interval or not expr.type.interval) and expr.type.kind == type_.kind
                if plain and isinstance(expr, ir.Read):
                    sources[local] = expr.name
                else:
                    computed[column], types[column], sources[local] = converted(expr, type_), type_, column
            elif local in wanted.inputs and local in wanted.optional:
                computed[column], types[column], sources[local] = None, type_, column
            elif local in wanted.inputs and step.kind == "rules":
                self.report(
                    "input-not-wired", f"`{step.component.name}` needs `{local}`", step.component.span, f"write `with: {{{local}: ...}}`"
                )
            elif self._field_fits(local, local, type_, step.component.span, step.component.name):
                sources[local] = local
        return sources, computed, types

    def _fits(self, expr: ir.Expr, wanted: Type, local: str, step: StepSpec) -> bool:
        if assignable(expr.type, wanted):
            return True
        message = f"`{local}` of `{step.component.name}` is {wanted}, but `{step.renames[local].text}` is {expr.type}"
        self.report("with-type", message, step.renames[local].span)
        return False

    def _expression(self, placed: Placed, build: StepBuild) -> ir.Expr | None:
        """An expression of `with` or `when`; the steps it reads are noted."""
        file, span = self.spec.file, placed.span
        tree, problems = parse_expression(placed.text, file, span.line, span.column)
        self.components.diagnostics += problems
        if tree is None:
            return None
        expr, problems = check_expression(tree, self.columns, file, self._zone)
        self.components.diagnostics += problems
        if expr is not None:
            for column in sorted(ir.reads(expr)):
                self._tie(build, column)
        return expr

    def _tie(self, build: StepBuild, column: str) -> None:
        """Note that a step reads a column of another."""
        if column in self.owner:
            owner = self.owner[column]
            build.reads[owner] = build.reads.get(owner, frozenset()) | {column}

    def _gate(self, step: StepSpec, build: StepBuild) -> ir.Expr | None:
        if step.when is None:
            return None
        expr = self._expression(step.when, build)
        if expr is not None and expr.type.kind != "flag":
            self.report("when-not-condition", f"`when` must be true or false, but `{step.when.text}` is {expr.type}", step.when.span)
            return None
        return expr

    def _given(self, step: StepSpec, given: Mapping[str, Placed]) -> dict[str, Value]:
        """The typed values of `otherwise` or `on_missing`, by column."""
        offered = {c.removeprefix(f"{step.name}."): t for c, t in self.columns.items() if self.owner.get(c) == step.name}
        values: dict[str, Value] = {}
        for name, placed in given.items():
            if name not in offered:
                hint = suggest(name, offered) or "it gives: " + ", ".join(f"`{n}`" for n in sorted(offered))
                self.report("unknown-output", f"step `{step.name}` gives no `{name}`", placed.span, hint)
                continue
            value = read_value(offered[name], placed.value if offered[name].kind in ("number", "integer", "flag") else placed.text)
            if value.__class__ is Missing:
                self.report("value-type", f"`{name}` is {offered[name]}, but `{placed.text}` is not", placed.span)
            values[f"{step.name}.{name}"] = value
        return values

    def _check_ranges(self, step: StepSpec, on_missing: Mapping[str, Value]) -> None:
        """What stands for an output that a model lacks must be one that it can give."""
        for output in self._loaded[step.name].outputs if step.kind == "model" and on_missing else ():
            value = on_missing.get(f"{step.name}.{output.name}", MISSING)
            if output.range is not None and known(value) and not output.range[0] <= value <= output.range[1]:
                placed, (low, high) = step.on_missing[output.name], output.range
                message = f"`{output.name}` of `{step.component.name}` is from {low:g} to {high:g}, and `{placed.text}` is not"
                self.report("value-type", message, placed.span, "to say that there is no score, leave `on_missing` out")

    def _make(self, step: StepSpec, build: StepBuild, sources: dict[str, str]) -> None:
        """The step itself in both readings, with what goes before it."""
        otherwise, on_missing = self._given(step, step.otherwise), self._given(step, step.on_missing)
        self._check_ranges(step, on_missing)
        if self.components.failed:
            return
        component = self._loaded[step.name]
        made: list[Step] = []
        for open_ in (False, True):
            inner = self._inner(step, component, sources, {} if open_ else on_missing, open_)
            build.inner = build.inner or inner
            if build.gate is not None:
                inner = GateStep(inner, f"{step.name}.{GATE}", otherwise, {} if open_ else on_missing)
            made.append(inner)
        build.closed, build.open = made
        build.rules = component if step.kind == "rules" else None
        build.nested = component if step.kind == "cascade" else None
        build.model = step.kind == "model"

    def _inner(self, step: StepSpec, component: Any, sources: dict[str, str], on_missing: dict[str, Value], open_: bool) -> Step:
        if step.kind == "rules":
            return RuleStep(step.name, component, sources, self.columns[NOW], open_=open_)
        if step.kind == "cascade":
            return NestedStep(step.name, component.plan, sources, open_=open_)
        from engine.models.step import ModelStep

        values = {column.removeprefix(f"{step.name}."): value for column, value in on_missing.items()}
        return ModelStep(step.name, component, sources, values or None, open_)


def assignable(given: Type, wanted: Type) -> bool:
    """Whether a value of one type may be wired to a reader of another: the same kind, or a whole number or percentage for a number."""
    if wanted.kind == "number" and given.kind in ("integer", "percent", "number"):
        return True
    if wanted.kind == "money" and given.kind == "money":
        return given.currency == wanted.currency
    return given.kind == wanted.kind and given.item == wanted.item


def converted(expr: ir.Expr, wanted: Type) -> ir.Expr:
    """The expression with the conversion its reader needs."""
    if expr.type.kind == wanted.kind:
        return expr
    number = Type("number", interval=expr.type.interval)
    return ir.Call(f"{expr.type.kind}->number", (expr,), type=number, span=expr.span)
