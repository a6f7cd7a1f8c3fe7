"""Runs the tests that stand beside rules: each case against its one rule set, by the reference backend, which defines it.

History is real: the features of a case are computed by a store in memory, where the case does not give them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.backends import reference
from engine.backends.holding import Answer, Ask, Holder, hold
from engine.backends.rules import RuleStep, input_types
from engine.cascade.components import Components
from engine.cascade.explain import decide_lines, rule_lines, score_lines
from engine.cascade.lacks import Level
from engine.diagnostics import Span, errors
from engine.errors import InputError
from engine.features.holder import LiveHolder
from engine.features.passed import Passing
from engine.features.single import HistoryStep
from engine.features.spec import FOREVER, BoundFeatures, changed
from engine.features.store import open_store
from engine.lang import ast, ir
from engine.lang.cases import CaseRow, Expected, TestCase
from engine.lang.check import Environment, check_ruleset, check_tests
from engine.plan import DAY_OF_EVENT, NOW, Plan, Row
from engine.record import border
from engine.testkit.sources import Found, leading
from engine.values import INTEGER, MISSING, Interval, Missing, Type, Value, known, settle, show

STATES = ("hit", "clear", "undecided")


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met; `why` explains what the engine made of the row."""

    span: Span
    title: str
    expected: str
    got: str
    why: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        place = {"file": self.span.file, "line": self.span.line, "column": self.span.column}
        return {**place, "title": self.title, "expected": self.expected, "got": self.got, "why": list(self.why)}

    def __str__(self) -> str:
        lines = [f'{self.span}: failed: "{self.title}"', f"    expected {self.expected}", f"    got      {self.got}"]
        return "\n".join([*lines, *(f"    {line}" for line in self.why)])


@dataclass(slots=True)
class Tested:
    """The tests of one rule set: how many cases and expectations there were, what failed, and which states no test expects of a rule."""

    name: str
    file: str
    cases: int = 0
    expectations: int = 0
    failures: list[Failure] = field(default_factory=list)
    untested: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        counts = {"ruleset": self.name, "file": self.file, "cases": self.cases, "expectations": self.expectations}
        return {**counts, "failures": [one.to_dict() for one in self.failures], "untested": {k: list(v) for k, v in self.untested.items()}}


def run_tests(components: Components, found: Found) -> Tested | None:
    """Run every `test`, `story` and `examples` of a rule file; none for a file that holds no rule set, or one that does not check.

    Problems of the file are left in the components' diagnostics.
    """
    tree = components.tree(found.path)
    if tree is None or tree.kind != "ruleset":
        return None
    name = found.name or tree.name.text
    rules, env = components.rules(name, None, tree.name.span), components.environment(name)
    if rules is None or env is None:
        return None
    cases, problems = check_tests(tree, rules, env)
    components.diagnostics += problems
    tested = Tested(name, leading(found.workspace.folder) + found.workspace.label(found.path), len(cases))
    benches = _Benches(tree, rules, env)
    for case in cases:
        bench = benches.of(case)
        for row, outcome in bench.run(case):
            tested.expectations += len(row.expect)
            tested.failures += [_placed(one, tested.file) for one in _failures(case, row, outcome)]
    tested.untested = dict(_untested(rules, cases))
    return tested


def _placed(one: Failure, file: str) -> Failure:
    return Failure(Span(file, one.span.line, one.span.column, one.span.end), one.title, one.expected, one.got, one.why)


class _Benches:
    """The rule set as written, and with the params a case gives it, and with what it says in place of a table."""

    def __init__(self, tree: ast.File, rules: ir.RuleSet, env: Environment) -> None:
        self.tree, self.env = tree, env
        self.plain = Bench(rules, env)

    def of(self, case: TestCase) -> Bench:
        bench = self.plain if not case.params else Bench(self._with(case.params), self.env)
        told = {name for row in case.rows for name in row.given} & looked_up(bench.rules, self.env)
        return bench if not told else Bench(*instead(bench.rules, self.env, told), frozenset(told))

    def _with(self, params: Mapping[str, ast.Expr]) -> ir.RuleSet:
        rules, problems = check_ruleset(self.tree, self.env, params)
        if rules is None:
            raise InputError(f"with the params of its tests `{self.tree.name.text}` does not check: {errors(problems)[0].message}")
        return rules


def looked_up(rules: ir.RuleSet, env: Environment) -> set[str]:
    """The names that stand for columns of tables, read or not."""
    used = [(use.alias, env.tables[use.path]) for use in rules.uses if use.kind == "table" and use.path in env.tables]
    return {f"{alias}.{column}" for alias, table in used for column in table.columns}


def instead(rules: ir.RuleSet, env: Environment, told: set[str]) -> tuple[ir.RuleSet, Environment]:
    """The rule set and its features, which read what a case says where they would look into a table."""

    def change(node: ir.Expr) -> ir.Expr:
        if isinstance(node, ir.Lookup) and node.name in told:
            return ir.Read(node.name, type=node.type, span=node.span)
        return node

    def read(features: ir.FeatureSet) -> ir.FeatureSet:
        return replace(features, features=tuple(replace(one, value=changed(one.value, change)) for one in features.features))

    body = tuple(s for s in rules.body if not (isinstance(s, ir.Define) and isinstance(s.value, ir.Lookup) and s.name in told))
    own = None if rules.features is None else read(rules.features)
    return replace(rules, body=body, features=own), replace(env, features={path: read(one) for path, one in env.features.items()})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row: both readings, everything that was worked out in them, or why it could not be decided."""

    bench: Bench
    row: Row
    closed: Row = field(default_factory=dict)
    opened: Row = field(default_factory=dict)
    work: Row = field(default_factory=dict)
    refused: str | None = None

    def value(self, name: str) -> Value:
        """A feature, or what a define or `set` wrote; money in whole minor units."""
        defined = self.bench.rules.defines.get(name)
        if defined is not None and defined.type.kind == "money":
            return settle(self.work[name], defined.type.scale)
        return self.work[name]

    def why(self, rule: str | None) -> tuple[str, ...]:
        """The explanation of one rule, or of the whole."""
        levels = [self.bench.level(self.row, open_=open_) for open_ in (False, True)]
        rules = [one for one in sorted(self.bench.rules.rules, key=lambda one: one.span) if rule in (None, one.id)]
        lines = [line for one in rules for line in rule_lines(one, one.id, levels[0], levels[1])]
        return tuple(line.removeprefix("  ") for line in (lines if rule else [*lines, *score_lines(levels[0]), *decide_lines(levels[0])]))


class Bench:
    """One rule set to run cases against."""

    def __init__(self, rules: ir.RuleSet, env: Environment, told: frozenset[str] = frozenset()) -> None:
        self.rules, self.record, self.told = rules, env.record, told
        used = [(f"{use.alias}.", env.features[use.path]) for use in rules.uses if use.kind == "features" and use.path in env.features]
        own = [("", rules.features)] if rules.features is not None else []
        self.history = tuple(BoundFeatures(features, prefix, {}, env.record) for prefix, features in [*own, *used])
        self.time = env.record.field(env.record.time).type

    def run(self, case: TestCase) -> Iterator[tuple[CaseRow, Outcome]]:
        """Every row of a case with what became of it. The rows of a story see those before them."""
        since = case.history if isinstance(case.history, int) else None
        if case.kind == "story":
            with self._store(since) as store:
                for row in case.rows:
                    yield row, self._decide(row.given, store)
            return
        for row in case.rows:
            with self._store(since) as store:
                yield row, self._decide(row.given, store)

    def _store(self, since: int | None) -> Any:
        if since is not None and self.time.kind == "datetime":
            return open_store("memory:", self.history, self.record, history_from=show(since, Type("date")))
        return open_store("memory:", self.history, self.record, history_from=FOREVER if since is None else since)

    def _decide(self, given: Mapping[str, Value], store: Any) -> Outcome:
        row: Row = {name: given.get(name, MISSING) for name in (*(f.name for f in self.record.fields), *self.told)}
        row |= {NOW: row[self.record.time], DAY_OF_EVENT: border(self.record).day(row[self.record.time])}
        try:
            row |= HistoryStep(self.history, self.record).bind(store).one(row)
        except InputError as error:
            return Outcome(self, row, refused=str(error))
        row |= {column.name: MISSING for column in self.rules.inputs} | dict(given)
        self._recompute(row, given)
        closed, row = self._held(row, LiveHolder(store, Passing(self.record), row, True))
        return Outcome(self, row, closed, reference.run(self.rules, row, True), reference.work_out(self.rules, row, False)[0])

    def _held(self, row: Row, holder: Holder) -> tuple[Row, Row]:
        """The first reading, and the row with which hits are held back."""

        def ask(rule: ir.Rule, once: ir.Once, hit: bool) -> Answer:
            return holder.ask(Ask(rule.id, once, tuple(row[field.name] for field in once.per), row[NOW], hit))

        return hold(lambda given: reference.run(self.rules, given), self.rules.rules, row, ask)

    def _recompute(self, row: Row, given: Mapping[str, Value]) -> None:
        """Features that are expressions over others follow those that a case gives."""
        for group in self.history:
            for feature in group.bound:
                if not isinstance(feature.value, ir.Aggregate) and feature.name not in given:
                    row[feature.name] = reference.stored(feature.value, row)

    # --- explaining ---------------------------------------------------------------------------------------------------

    def level(self, row: Row, *, open_: bool) -> Any:
        """The rule set in one reading, as explanations take it."""
        types = input_types(self.rules)
        step = RuleStep(self.rules.name, self.rules, {name: name for name in types}, self.time, open_=open_)
        plan = Plan(
            name=self.rules.name,
            version=self.rules.version,
            record=self.record,
            decision="",
            history=self.history,
            closed=(),
            open=(),
            types=types,
            outputs={},
            rules={},
            flags={},
            points="",
            policies=(),
        )
        told = {column: row[local] for local, column in step.told.items() if local in row}
        return Level(plan, (), row | told, open_).rule_set(step)


# --- comparing -------------------------------------------------------------------------------------------------------


def _failures(case: TestCase, row: CaseRow, outcome: Outcome) -> Iterator[Failure]:
    if outcome.refused is not None:
        yield Failure(row.span, case.title, "an event that can be decided", outcome.refused)
        return
    for expected in row.expect:
        met, wanted, got = _compare(expected, outcome)
        if not met:
            span = expected.span if expected.span.line else row.span
            yield Failure(span, case.title, wanted, got, outcome.why(expected.name if expected.kind in ("rule", "silenced") else None))


def _compare(expected: Expected, outcome: Outcome) -> tuple[bool, str, str]:
    """Whether an expectation is met; what it wants and what there was, in words."""
    name, value, closed = expected.name, expected.value, outcome.closed
    if expected.kind == "rule":
        state = closed[ir.hit(name or "")]
        got = "hit" if state is True else "clear" if state is False else "undecided"
        return got == value, f"{name} {value}", f"{name} {got}"
    if expected.kind == "silenced":
        return _silenced(name or "", value, outcome)
    if expected.kind == "flag":
        return _same(closed[f"flags.{name}"], value), _flag(name, value), _flag(name, closed[f"flags.{name}"])
    if expected.kind == "range":
        bounds = _bounds(outcome.opened["score"])
        return bounds == value, f"score {value[0]} to {value[1]}", f"score {bounds[0]} to {bounds[1]}"
    if expected.kind == "score":
        return closed[ir.POINTS] == value, f"score {value}", f"score {closed[ir.POINTS]}"
    if expected.kind in ("possible", "robust"):
        return _possible(expected, outcome)
    if expected.kind == "value":
        there, type_ = outcome.value(name or ""), expected.type or INTEGER
        return _same(there, value), f"{name} {_shown(value, type_)}", f"{name} {_shown(there, type_)}"
    return closed["outcome"] == value, f"outcome {value}", f"outcome {closed['outcome']}"


def _silenced(rule: str, by: Value, outcome: Outcome) -> tuple[bool, str, str]:
    """Whether an exception silenced a hit of the rule; `by` is its id, or true for any."""
    exempt = next(one.exempt for one in outcome.bench.rules.rules if one.id == rule)
    found = [one for one in exempt if outcome.closed[ir.silenced(rule, one)] is True]
    state = outcome.closed[ir.hit(rule)]
    word = "hit" if state is True else "clear" if state is False else "undecided"
    got = f"silenced by {' and '.join(found)}" if found else word
    wanted = f"{rule} silenced" if by is True else f"{rule} silenced by {by}"
    return bool(found) if by is True else by in found, wanted, f"{rule} {got}"


def _possible(expected: Expected, outcome: Outcome) -> tuple[bool, str, str]:
    found = tuple(dict.fromkeys((*outcome.opened["possible"], *outcome.closed["possible"])))
    got = f"possible {' or '.join(found)}"
    if expected.kind == "robust":
        return (len(found) == 1) is expected.value, "robust" if expected.value else "not robust", got
    return frozenset(found) == expected.value, f"possible {' or '.join(sorted(expected.value))}", got


def _same(there: Value, wanted: Value) -> bool:
    if wanted.__class__ is Missing:
        return not known(there)
    return known(there) and bool(there == wanted)


def _bounds(score: Value) -> tuple[Any, Any]:
    return (score.low, score.high) if score.__class__ is Interval else (score, score)


def _shown(value: Value, type_: Type) -> str:
    return "missing" if value is MISSING else show(value, type_) if value.__class__ is Missing else f"= {show(value, type_)}"


def _flag(name: str | None, value: Value) -> str:
    return f"flag {name}" if value is True else f"no flag {name}" if value is False else f"flag {name} undecided"


def _untested(rules: ir.RuleSet, cases: Iterable[TestCase]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The states that no test expects of a rule; one whose policy settles it is never undecided. Of an exception, that it silences."""
    cases = list(cases)
    seen = {(one.name, one.value) for case in cases for row in case.rows for one in row.expect if one.kind == "rule"}
    for rule in sorted(rules.rules, key=lambda rule: rule.span):
        wanted = STATES if rule.policy == "refer" else STATES[:2]
        lacking = tuple(state for state in wanted if (rule.id, state) not in seen)
        if lacking:
            yield rule.id, lacking
    silencing = {one.value for case in cases for row in case.rows for one in row.expect if one.kind == "silenced"}
    for exemption in rules.exemptions:
        if exemption.id not in silencing:
            yield exemption.id, ("silenced",)
