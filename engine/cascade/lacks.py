"""From an answer that is open back to what was lacking: through rules, gates, models and nested cascades to the fields themselves.

It reads recorded rows only and decides nothing anew; the reference backend says what each part of an expression was worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.backends import reference
from engine.backends.rules import RuleStep
from engine.cascade.phrase import phrase
from engine.cascade.steps import NestedStep
from engine.cascade.wiring import WITH, StepBuild
from engine.features.spec import BoundFeatures, asked
from engine.lang import ir
from engine.plan import Plan, Row
from engine.values import Interval, Missing, Value, known


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that was not known: a field or feature of the record, or a calculation that failed. `curable` when giving the named
    field could have helped."""

    name: str
    cause: str
    curable: bool


@dataclass(frozen=True, slots=True)
class Level:
    """One cascade in one reading, with its row; `outer` is the level a nested cascade stands in, and the step it is there."""

    plan: Plan
    builds: tuple[StepBuild, ...]
    row: Row
    open_: bool
    outer: tuple[Level, NestedStep] | None = None

    def column(self, name: str) -> Iterator[Lack]:
        """What a column of this level lacked, if its value is not known."""
        if known(self.row[name]):
            return
        build = next((b for b in self.builds if name.startswith(f"{b.name}.") and name not in self._history()), None)
        if build is None:
            yield from self._base(name)
        elif build.before is not None and name in build.before.types:
            if name in build.before.expressions:
                yield from self.expression(build.before.expressions[name], self.row)
            else:  # an optional input that the cascade wires nothing to
                yield Lack(name.replace(WITH, ""), cause_of(self.row[name]), False)
        elif build.gate is not None and build.before is not None and not known(self.row[_gate(build)]):
            yield from self.expression(build.gate, self.row)
        elif build.rules is not None:
            yield from self.rule_set(build.inner).output(name.removeprefix(f"{build.name}."))
        elif build.nested is not None:
            yield from self.inside(build).column(build.inner.outputs[name])
        else:
            yield from self._model(build, name)

    def _history(self) -> set[str]:
        return {column for group in self.plan.history for column in group.types}

    def inside(self, build: StepBuild) -> Level:
        """The level of a nested cascade."""
        nested = build.nested
        return Level(nested.plan, nested.builds, build.inner.restore(self.row), self.open_, (self, build.inner))

    def rule_set(self, step: RuleStep) -> RuleSetLevel:
        work, states = reference.work_out(step.rules, step.local(self.row), self.open_)
        return RuleSetLevel(self, step, work, states)

    def _base(self, name: str) -> Iterator[Lack]:
        """A field of the record or a history feature: of the outermost record, whatever it is called inside."""
        if self.outer is not None:
            level, nested = self.outer
            yield from level.column(nested.sources[name])
            return
        value = self.row[name]
        fields = [field for group in self.plan.history for field in history_fields(group, name)]
        lost = [field for field in dict.fromkeys(fields) if not known(self.row[field])]
        if lost:
            for field in lost:
                yield Lack(field, self.row[field].cause, True)
        else:
            yield Lack(name, value.cause, name not in self._history())

    def _model(self, build: StepBuild, name: str) -> Iterator[Lack]:
        inputs = [column for column in build.inner.reads if not known(self.row[column])]
        if not inputs:
            yield Lack(name, self.row[name].cause, False)
        for column in inputs:
            yield from self.column(column)

    def expression(self, expr: ir.Expr, row: Row) -> Iterator[Lack]:
        """What an expression over this level's columns lacked."""
        for leaf in unknown_leaves(reference.trace(expr, row)):
            if isinstance(leaf.expr, ir.Read):
                yield from self.column(leaf.expr.name)
            else:
                yield _calculation(leaf)


@dataclass(frozen=True, slots=True)
class RuleSetLevel:
    """One rule set with everything it worked out."""

    level: Level
    step: RuleStep
    work: Row
    states: dict[str, reference.State]

    def output(self, name: str) -> Iterator[Lack]:
        """What one of its names lacked: a rule's state, a flag, the score, a value it set, a define."""
        statements = {
            f"flags.{s.name}" if isinstance(s, ir.Flag) else s.name: s for s in self.step.rules.body if not isinstance(s, ir.Rule)
        }
        statement = statements.get(name)
        rules = {ir.hit(rule.id): rule for rule in self.step.rules.rules}
        if name in rules:
            yield from self.rule(rules[name])
        elif isinstance(statement, ir.Define):
            yield from self.expression(statement.value)
        elif isinstance(statement, ir.Flag):
            yield from self._undecided([rules[ir.hit(rule)] for rule in statement.rules])
        elif isinstance(statement, ir.Set):
            yield from self._undecided([rules[ir.hit(rule)] for rule, _ in statement.values])
            for rule, value in statement.values:
                if self.states[rule].state is True:
                    yield from self.expression(value)
        elif name == "score":
            yield from self._undecided([rule for rule in self.step.rules.rules if rule.points])
        elif name == "outcome":
            yield from self.decision()
        else:
            yield from self.level.column(self.step.sources[name])

    def _undecided(self, rules: list[ir.Rule]) -> Iterator[Lack]:
        for rule in rules:
            yield from self.rule(rule)

    def rule(self, rule: ir.Rule) -> Iterator[Lack]:
        """What an undecided rule lacked."""
        if self.states[rule.id].state.__class__ is Missing:
            yield from self.expression(ir.condition(rule))

    def decision(self) -> Iterator[Lack]:
        """What the rows of `decide` that stay open lacked; nothing when only one outcome is left."""
        decide = self.step.rules.decide
        if decide is None:
            return
        judged = [(name, True if when is None else reference.evaluate(when, self.work)) for name, when in decide.rows]
        if len(reference.walk(judged)) < 2:
            return
        for (_, when), (_, value) in zip(decide.rows, judged, strict=True):
            if value is True:
                return
            if value is not False and when is not None:
                yield from self.expression(when)

    def expression(self, expr: ir.Expr) -> Iterator[Lack]:
        for leaf in unknown_leaves(reference.trace(expr, self.work)):
            if isinstance(leaf.expr, ir.Read):
                yield from self.output(leaf.expr.name)
            else:
                yield _calculation(leaf)


def unknown_leaves(trace: reference.Trace) -> Iterator[reference.Trace]:
    """The parts that are not known although they read a column, or although all their own parts are known."""
    if known(trace.value) or trace.expr.__class__ is ir.Const:
        return
    lost = [child for child in trace.children if not known(child.value)]
    if not lost:
        yield trace
    for child in lost:
        yield from unknown_leaves(child)


def history_fields(group: BoundFeatures, column: str) -> tuple[str, ...]:
    """The fields an event needs to see the history behind a feature; of a feature computed from others, those of the others."""
    for feature in group.bound:
        if feature.name == column:
            if isinstance(feature.value, ir.Aggregate):
                return asked(feature.value)
            return tuple(key for name in sorted(ir.reads(feature.value)) for key in history_fields(group, name))
    return ()


def _calculation(leaf: reference.Trace) -> Lack:
    return Lack(phrase(leaf.expr), cause_of(leaf.value), isinstance(leaf.expr, ir.Item))


def cause_of(value: Value) -> str:
    """Why a value is missing or open."""
    cause: str = value.cause if value.__class__ in (Missing, Interval) else ""
    return cause


def _gate(build: StepBuild) -> str:
    assert build.before is not None
    return next(name for name in build.before.types if name.endswith("@gate"))


def top(plan: Plan, builds: tuple[StepBuild, ...], row: Any, *, open_: bool) -> Level:
    """The level of the cascade itself."""
    return Level(plan, builds, dict(row), open_)
