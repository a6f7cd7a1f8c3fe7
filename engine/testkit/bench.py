"""One rule set to try events against: both readings by the reference backend, which defines it, and why it came out so.

History is real: features that an event does not bring are computed by a store in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from engine.backends import reference
from engine.backends.holding import Answer, Ask, Holder, hold
from engine.backends.rules import RuleStep, input_types
from engine.cascade.explain import decide_lines, rule_lines, score_lines
from engine.cascade.lacks import Level
from engine.cascade.why import table_lines
from engine.errors import InputError
from engine.features.holder import LiveHolder
from engine.features.passed import Passing
from engine.features.single import HistoryStep
from engine.features.spec import FOREVER, BoundFeatures, changed
from engine.features.store import open_store
from engine.lang import ir
from engine.lang.cases import CaseRow, TestCase
from engine.lang.environment import Environment
from engine.plan import DAY_OF_EVENT, NOW, Plan, Row
from engine.record import border
from engine.values import MISSING, Missing, Type, Value, settle, show


def looked_up(rules: ir.RuleSet, env: Environment) -> dict[str, Type]:
    """The names that stand for columns of tables, read or not, and their types."""
    used = [(use.alias, env.tables[use.path]) for use in rules.uses if use.kind == "table" and use.path in env.tables]
    return {f"{alias}.{column.name}": column.type for alias, table in used for column in table.columns.values()}


def reading(told: Container[str]) -> Callable[[ir.Expr], ir.Expr]:
    """What makes of a look into a table the name under which a case says what stands there."""

    def change(node: ir.Expr) -> ir.Expr:
        if isinstance(node, ir.Lookup) and node.name is not None and node.name in told:
            return ir.Read(node.name, type=node.type, span=node.span)
        return node

    return change


def instead(rules: ir.RuleSet, env: Environment, told: Container[str]) -> tuple[ir.RuleSet, Environment]:
    """The rule set and its features, which read what a case says where they would look into a table."""
    change = reading(told)

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
        lines += [line for table in self.bench.rules.tables for line in table_lines(table, levels[0]) if not rule]
        return tuple(line.removeprefix("  ") for line in (lines if rule else [*lines, *score_lines(levels[0]), *decide_lines(levels[0])]))


class Bench:
    """One rule set to run cases against."""

    def __init__(self, rules: ir.RuleSet, env: Environment, told: Mapping[str, Type] = MappingProxyType({})) -> None:
        self.rules, self.record, self.told = rules, env.record, told
        used = [(f"{use.alias}.", env.features[use.path]) for use in rules.uses if use.kind == "features" and use.path in env.features]
        own = [("", rules.features)] if rules.features is not None else []
        self.history = tuple(BoundFeatures(features, prefix, {}, env.record) for prefix, features in [*own, *used])
        self.time = env.record.field(env.record.time).type

    def run(self, case: TestCase) -> Iterator[tuple[CaseRow, Outcome]]:
        """Every row of a case with what became of it. The rows of a story see those before them."""
        if case.kind != "story":
            yield from ((row, self.decided(row.given)) for row in case.rows)
            return
        with self._store(case.history if isinstance(case.history, int) else None) as store:
            for row in case.rows:
                yield row, self._decide(row.given, store, record=True)

    def decided(self, given: Mapping[str, Value]) -> Outcome:
        """What becomes of one event, whose history is complete and holds nothing else."""
        return self._decide(given, self._empty, record=False)

    def looked(self, row: Row) -> Row:
        """The features of one event alone."""
        return HistoryStep(self.history, self.record).bind(self._empty, False).one(row)

    @cached_property
    def _empty(self) -> Any:
        """A store that is looked at and never written, so that one is enough."""
        return self._store(None)

    def _store(self, since: int | None) -> Any:
        if since is not None and self.time.kind == "datetime":
            return open_store("memory:", self.history, self.record, history_from=show(since, Type("date")))
        return open_store("memory:", self.history, self.record, history_from=FOREVER if since is None else since)

    def _decide(self, given: Mapping[str, Value], store: Any, *, record: bool) -> Outcome:
        row: Row = {name: given.get(name, MISSING) for name in (*(f.name for f in self.record.fields), *self.told)}
        if row[self.record.time].__class__ is Missing:
            return Outcome(self, row, refused=f"time `{self.record.time}` is missing")
        row |= {NOW: row[self.record.time], DAY_OF_EVENT: border(self.record).day(row[self.record.time])}
        try:
            row |= HistoryStep(self.history, self.record).bind(store, record).one(row)
        except InputError as error:
            return Outcome(self, row, refused=str(error))
        row = dict.fromkeys(input_types(self.rules), MISSING) | row
        row |= {column.name: MISSING for column in self.rules.inputs} | dict(given)
        self._recompute(row, given)
        closed, row = self._held(row, LiveHolder(store, Passing(self.record), row, record))
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
