"""From an answer that is open back to what was lacking: through rules, gates, models and nested cascades to the fields themselves.

It reads recorded rows and decides nothing anew; the reference backend says what each part of an expression was worth. Only behind a gate
that could not be judged there is no record: there it looks at what the step would have lacked, had the gate let the row through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from engine.backends import matching, reference
from engine.backends.matching import UNDECIDED
from engine.backends.rules import RuleStep
from engine.cascade.phrase import phrase
from engine.cascade.steps import NestedStep
from engine.cascade.wiring import GATE, WITH, StepBuild
from engine.cascade.worked import States, Worked
from engine.features.spec import THIS, BoundFeatures, asked
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


Lacks = tuple[Lack, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """One cascade in one reading, with its row; `outer` is the level a nested cascade stands in, and the step it is there."""

    plan: Plan
    builds: tuple[StepBuild, ...]
    row: Row
    open_: bool
    outer: tuple[Level, NestedStep] | None = None
    _found: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def called(self, name: str) -> str:
        """A column of this level as the outermost cascade calls it."""
        return name if self.outer is None else self.outer[0].called(f"{self.outer[1].name}.{name}")

    def gate(self, build: StepBuild) -> Value:
        """Whether a step's gate let the row through; true where there is none."""
        return True if build.gate is None else self.row[f"{build.name}.{GATE}"]

    def column(self, name: str, item: Value = None) -> Lacks:
        """What a column of this level lacked, if it is not known. `item` is given for a known list with an item like this."""
        lack = self.row[name] if item is None else item
        if known(lack):
            return ()
        return _once(self._found, name, lambda: self._column(name, item), Lack(self.called(name), cause_of(lack), False))

    def _column(self, name: str, item: Value) -> Iterator[Lack]:
        build = next((b for b in self.builds if name.startswith(f"{b.name}.") and name not in self._history()), None)
        if build is None:
            yield from self._base(name, item)
        elif build.before is not None and name in build.before.types:
            if name in build.before.expressions:
                yield from self.expression(build.before.expressions[name], self.row)
            else:  # an optional input that the cascade wires nothing to
                yield Lack(self.called(name.replace(WITH, "")), cause_of(self.row[name]), False)
        elif self.gate(build) is not False:
            yield from self.shut(build)
            yield from self._made(build, name, item)

    def shut(self, build: StepBuild) -> Lacks:
        """What kept a step's gate from being judged."""
        return () if build.gate is None or known(self.gate(build)) else self.expression(build.gate, self.row)

    def _made(self, build: StepBuild, name: str, item: Value) -> Iterator[Lack]:
        """What a step lacked for one of its columns."""
        if build.rules is not None:
            yield from self.rule_set(build.inner).output(name.removeprefix(f"{build.name}."), item)
        elif build.nested is not None:
            yield from self.inside(build).column(build.inner.outputs[name], item)
        else:
            for lacking in build.inner.lacking(self.row):
                yield from self.column(lacking)

    def _history(self) -> set[str]:
        return {column for group in self.plan.history for column in group.types}

    def inside(self, build: StepBuild) -> Level:
        """The level of a nested cascade; behind a gate that could not be judged as it would be without the gate."""
        row = build.inner.restore(self.row) if self.gate(build) is True else imagined(build, self.row, self.open_)
        return Level(build.nested.plan, build.nested.builds, row, self.open_, (self, build.inner))

    def rule_set(self, step: RuleStep) -> RuleSetLevel:
        """A rule set with all it worked out; its gate, if it has one, is not asked."""
        if step not in self._found:
            ran = any(build.inner is step and self.gate(build) is True for build in self.builds)
            self._found[step] = RuleSetLevel(self, step, Worked(step, step.local(self.row), self.open_, self.row if ran else None))
        found: RuleSetLevel = self._found[step]
        return found

    def _base(self, name: str, item: Value) -> Iterator[Lack]:
        """A field of the record or a history feature: of the outermost record, whatever it is called inside."""
        if self.outer is not None:
            level, nested = self.outer
            yield from level.column(nested.sources[name], item)
            return
        feature = feature_of(self.plan.history, name)
        if feature is None:
            yield Lack(name, cause_of(self.row[name] if item is None else item), True)
        elif isinstance(feature.value, ir.Aggregate):
            yield from self._aggregate(name, feature.value)
        else:
            yield from self.expression(feature.value, self.row)

    def _aggregate(self, name: str, aggregate: ir.Aggregate) -> Iterator[Lack]:
        """What this event itself did not say: its key, or whether and with what it counts. Other events and the past are beyond cure."""
        cause = cause_of(self.row[name])
        lost = [name for name in asked(aggregate) if not known(self.row[name])]
        # a key that is missing names its own cause; what rows are compared with only leaves them open
        lost = [name for name in lost if name not in aggregate.per or self.row[name].cause == cause]
        for lost_field in lost:
            yield from self.column(lost_field)
        if lost or cause in ("undecided history", "short history"):
            for part in own_parts(aggregate, self.row):
                yield from self.expression(part, self.row)
        if cause in ("short history", "too many"):
            yield Lack(name.partition("@")[0], cause, False)  # whatever its length on that day

    def expression(self, expr: ir.Expr, row: Row) -> Lacks:
        """What an expression over this level's columns lacked."""
        return lacks_of(expr, row, self.column)


@dataclass(frozen=True, slots=True)
class RuleSetLevel:
    """One rule set with everything it worked out."""

    level: Level
    step: RuleStep
    work: Worked
    _found: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def states(self) -> States:
        return self.work.states

    def output(self, name: str, item: Value = None) -> Lacks:
        """What one of its names lacked: a rule's state, a flag, the score, a value it set, a define. `item` as in `Level.column`."""
        # `outcome` is no name of the rule set's own: who asks for it found it open
        lack = self.work.said(name) if item is None else item
        if known(lack):
            return ()
        called = self.level.called(f"{self.step.name}.{name}")
        return _once(self._found, name, lambda: self._output(name, item), Lack(called, cause_of(lack), False))

    def _output(self, name: str, item: Value) -> Iterator[Lack]:
        statement = self.step.writers.get(name)
        if isinstance(statement, ir.Rule):
            yield from self.rule(statement)
        elif isinstance(statement, ir.Define) and item is None:
            yield from self.expression(statement.value)
        elif isinstance(statement, ir.Define):
            for read in sorted(ir.reads(statement.value)):
                yield from self.output(read, item)
        elif isinstance(statement, ir.Flag):
            yield from self._undecided(statement.rules)
        elif isinstance(statement, ir.Set):
            yield from self._undecided([rule for rule, _ in statement.values])
            for rule, value in statement.values:
                if self.work[ir.hit(rule)] is not False:
                    yield from self.expression(value)
        elif isinstance(statement, ir.Table):
            yield from self._table(statement, name)
        elif name == "score":
            yield from self._score()
        elif name == "outcome":
            yield from self.decision()
        else:
            yield from self.level.column(self.step.sources[name], item)

    def candidates(self, table: ir.Table) -> tuple[ir.TableRow | None, ...]:
        """The rows of a table that apply or may apply; none stands for no row."""
        judged = reference.judged_rows(table, self.work)
        if table.match == "all":
            return tuple(row for row, _ in matching.matches(table, judged)) or (None,)
        return matching.match(table, judged).rows

    def undecided_rows(self, table: ir.Table) -> Iterator[Lack]:
        """What the rows of a table lacked that may apply."""
        for row in self.candidates(table):
            for cell in () if row is None else row.cells:
                if cell is not None:
                    yield from self.expression(cell)

    def _table(self, table: ir.Table, name: str) -> Iterator[Lack]:
        yield from self.undecided_rows(table)
        place = [column.name for column in table.outputs].index(name)
        for row in self.candidates(table):
            if row is not None and not matching.says_nothing(row.values[place]):
                yield from self.expression(row.values[place])

    def _score(self) -> Iterator[Lack]:
        """What the rules and floors lacked that could still move the score."""
        scoring, score = self.step.rules.scoring, self.work["score"]
        for rule in self.step.rules.rules:
            worth = reference.worth(rule, self.work)
            if worth > score.low if scoring.how == "max" else worth:
                yield from self.rule(rule)
        for table in self.step.rules.tables:
            if table.gives_points and not known(self.work[ir.points(table.name)]):
                yield from self.undecided_rows(table)
        for least, when in scoring.floors:
            if when is not None and least > score.low:
                yield from self.expression(when)

    def _undecided(self, rules: Iterable[str]) -> Iterator[Lack]:
        for id_ in rules:
            rule = self.step.writers[ir.hit(id_)]
            assert isinstance(rule, ir.Rule)  # only a rule writes a state
            yield from self.rule(rule)

    def rule(self, rule: ir.Rule) -> Lacks:
        """What an undecided rule lacked."""
        if self.work[ir.hit(rule.id)].__class__ is not Missing:
            return ()
        lacks = self.expression(ir.condition(rule))
        return tuple(dict.fromkeys((*lacks, *self._earlier_hits(rule, rule.once, asked=not lacks)))) if rule.once is not None else lacks

    def _earlier_hits(self, rule: ir.Rule, once: ir.Once, *, asked: bool) -> Iterator[Lack]:
        """What kept `once` from knowing; where nobody had to ask, nothing."""
        held = self.work[ir.held(rule.id)]
        keys = [field.name for field in once.per if not known(self.work[field.name])]
        if known(held) or not (asked or held.cause != "skipped"):
            return
        for key in keys:
            yield from self.output(key)
        if not keys:
            yield Lack(f"earlier hits of {rule.id}", cause_of(held), False)

    def decision(self) -> Iterator[Lack]:
        """What the rows of `decide` that can still move the outcome lacked; nothing when only one outcome is left."""
        decide = self.step.rules.decide
        rows: list[tuple[str, ir.Expr]] = []
        for name, when in decide.rows if decide is not None else ():
            value = True if when is None else reference.evaluate(when, self.work)
            if value is True or when is None:
                # rows that would only give what comes out without them move nothing
                while rows and rows[-1][0] == name:
                    rows.pop()
                break
            if value is not False:
                rows.append((name, when))
        for _, when in rows:
            yield from self.expression(when)

    def expression(self, expr: ir.Expr) -> Lacks:
        return lacks_of(expr, self.work, self.output)


def imagined(build: StepBuild, outer: Row, open_: bool) -> Row:
    """The row of a nested cascade as it would be, had its gate let the row through; what models would say is left undecided."""
    row: Row = build.inner.inside(outer)
    for inner in build.nested.builds:
        step = inner.open if open_ else inner.closed
        if step is None:  # features are there from the start
            continue
        if inner.before is not None:
            row.update(inner.before.one(row))
        if inner.rules is not None or row.get(f"{inner.name}.{GATE}", True) is not True:
            row.update(step.one(row))
        elif inner.nested is not None:
            deeper = imagined(inner, row, open_)
            row.update({name: deeper[column] for name, column in inner.inner.outputs.items() if column in deeper})
        else:
            row.update(dict.fromkeys(step.writes, UNDECIDED))
    return row


def lacks_of(expr: ir.Expr, row: Row, column: Callable[..., Lacks]) -> Lacks:
    """What an expression lacked; `column` says it of a column."""
    found: list[Lack] = []
    for leaf, item in unknown_leaves(reference.trace(expr, row)):
        if isinstance(leaf.expr, ir.Read):
            found += column(leaf.expr.name, item)
        else:
            called = leaf.expr.name if isinstance(leaf.expr, ir.Dated) and leaf.expr.name else phrase(leaf.expr)
            found.append(Lack(called, cause_of(leaf.value if item is None else item), False))
    return tuple(dict.fromkeys(found))


def unknown_leaves(trace: reference.Trace) -> Iterator[tuple[reference.Trace, Value]]:
    """The parts that are not known although they read a column, or although all their own parts are known; of a list with such items
    the list, and the item."""
    if known(trace.value) or trace.expr.__class__ is ir.Const:
        return
    lost = [child for child in trace.children if not known(child.value)]
    if not lost:
        yield trace, None
    for child in lost:
        for leaf, item in unknown_leaves(child):
            if isinstance(leaf.expr, ir.Item) and isinstance(trace.expr, ir.Quantifier):
                yield trace.children[0], leaf.value
            else:
                yield leaf, item


def feature_of(history: Iterable[BoundFeatures], column: str) -> ir.Feature | None:
    """The feature that writes a column, if one does."""
    return next((feature for group in history for feature in group.bound if feature.name == column), None)


def own_parts(aggregate: ir.Aggregate, row: Row) -> Iterator[ir.Expr]:
    """What decides whether and with what this event counts in its own history; nothing where it surely does not count."""
    conditions = [of_itself(part) for part in (aggregate.where, aggregate.among) if part is not None]
    if not any(reference.evaluate(condition, row) is False for condition in conditions):
        yield from conditions
        if aggregate.of is not None:
            yield aggregate.of
    if aggregate.inner is not None:
        yield from own_parts(aggregate.inner, row)


def of_itself(condition: ir.Expr) -> ir.Expr:
    """The condition as the event asks it of itself: what it compares a row with is its own."""

    def change(node: ir.Expr) -> ir.Expr:
        return replace(node, name=node.name.removeprefix(THIS)) if isinstance(node, ir.Read) else node

    return ir.transform(condition, change)


def _once(found: dict[Any, Any], name: str, find: Callable[[], Iterable[Lack]], itself: Lack) -> Lacks:
    """What was found for a name, each lack once and looked for once; where nothing stands behind it, it lacks itself."""
    if name not in found:
        found[name] = tuple(dict.fromkeys(find())) or (itself,)
    lacks: Lacks = found[name]
    return lacks


def cause_of(value: Value) -> str:
    """Why a value is missing or open."""
    cause: str = value.cause if value.__class__ in (Missing, Interval) else ""
    return cause


def top(plan: Plan, builds: tuple[StepBuild, ...], row: Any, *, open_: bool) -> Level:
    """The level of the cascade itself."""
    return Level(plan, builds, dict(row), open_)
