"""The steps only a cascade has: a gate before another step, and a cascade inside a cascade."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from engine.backends.holding import Holder, bound
from engine.backends.rules import POSSIBLE
from engine.plan import DAY_OF_EVENT, NOW, POLICY, Plan, Row, Step
from engine.values import Type, Value, missing

if TYPE_CHECKING:
    from polars import DataFrame


class GateStep:
    """A step that only rows reach for which the flag column `gate` is true.

    Where it is false the outputs are `otherwise`, or missing with cause `skipped`; where it is missing they are `on_missing`, or
    missing with cause `undecided`.
    """

    def __init__(self, inner: Step, gate: str, otherwise: Mapping[str, Value], on_missing: Mapping[str, Value]) -> None:
        self.inner, self.gate, self.name = inner, gate, inner.name
        self.reads, self.writes, self.types = (*inner.reads, gate), inner.writes, inner.types
        self.shut = self._filled("skipped", otherwise, applied=False)
        self.unjudged = self._filled("undecided", on_missing, applied=bool(on_missing))

    def _filled(self, cause: str, given: Mapping[str, Value], *, applied: bool) -> Row:
        """A whole row of outputs: what is given, the rest missing; the columns for the engine itself are never missing."""
        row: Row = {}
        for column in self.writes:
            local = column.removeprefix(f"{self.name}.")
            if local.rpartition(".")[2] == POLICY:
                row[column] = applied and local == POLICY
            elif local.rpartition(".")[2] == POSSIBLE:
                row[column] = ()
            else:
                row[column] = given.get(column, missing(cause))
        return row

    def bind(self, holder: Holder, within: str) -> Self:
        """The same step, whose rules with `once` ask `holder`."""
        copied = copy.copy(self)
        (copied.inner,) = bound([self.inner], holder, within)
        return copied

    def one(self, row: Row) -> Row:
        passes = row[self.gate]
        if passes is True:
            return self.inner.one(row)
        return dict(self.shut if passes is False else self.unjudged)

    def many(self, frame: DataFrame) -> DataFrame:
        # loads polars: only batch runs come here
        from engine.cascade import columnar

        return columnar.gated(frame, self.gate, self.inner, self.shut, self.unjudged)


class NestedStep:
    """A whole cascade as a step. `sources` says which column of the outer row stands for each column the inner plan begins with.

    It writes every column of the inner steps under its own name, and besides them those of the deciding step directly:
    ``screening.outcome`` as well as ``screening.verdict.outcome``.
    """

    def __init__(self, name: str, plan: Plan, sources: Mapping[str, str], *, open_: bool = False) -> None:
        self.name, self.plan, self.open = name, plan, open_
        self.sources = {**sources, NOW: NOW, DAY_OF_EVENT: DAY_OF_EVENT}
        self.steps = plan.open if open_ else plan.closed
        self.reads = tuple(sorted(set(self.sources.values())))
        inner = {column: type_ for step in self.steps for column, type_ in step.types.items()}
        self.outputs = {f"{name}.{column}": column for column in inner}
        decided = f"{plan.decision}."
        self.outputs |= {f"{name}.{c.removeprefix(decided)}": c for c in inner if c.startswith(decided) and "@" not in c}
        self.types: Mapping[str, Type] = {outer: inner[column] for outer, column in self.outputs.items()}
        self.writes = tuple(self.types)
        self.told = {column: f"{name}.{column}" for held in plan.held.values() for column in (held.held, held.by)}
        if open_:
            self.reads = tuple(sorted({*self.reads, *self.told.values()}))

    def bind(self, holder: Holder, within: str) -> Self:
        """The same step, whose rules with `once` ask `holder`."""
        copied = copy.copy(self)
        copied.steps = bound(self.steps, holder, f"{within}{self.name}.")
        return copied

    def inside(self, row: Row) -> Row:
        """The row as the inner steps see it before the first of them."""
        inner = {local: row[column] for local, column in self.sources.items()}
        return inner | {local: row[column] for local, column in self.told.items() if column in row} if self.told else inner

    def restore(self, row: Row) -> Row:
        """The inner row after the inner steps, from the outer row after this one.

        The row may be of the other reading, in which a model without `on_missing` says nothing of policies.
        """
        return self.inside(row) | {column: row[outer] for outer, column in self.outputs.items() if outer in row}

    def one(self, row: Row) -> Row:
        inner = self.inside(row)
        for step in self.steps:
            inner.update(step.one(inner))
        return {outer: inner[column] for outer, column in self.outputs.items()}

    def many(self, frame: DataFrame) -> DataFrame:
        # loads polars: only batch runs come here
        from engine.cascade import columnar

        return columnar.nested(frame, self.steps, {**self.sources, **self.told}, self.plan.types, self.outputs, self.types)
