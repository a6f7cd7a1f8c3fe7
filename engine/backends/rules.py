"""Rule sets and `with` expressions as steps. A rule set reads columns of the whole row under its own local names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from engine.backends import single
from engine.backends.holding import UNASKED, UNAVAILABLE, Answer, Ask, Holder, hold
from engine.lang import ir
from engine.lang.meaning import of_rule
from engine.plan import DAY_OF_EVENT, NOW, POLICY, Row
from engine.values import DATE, FLAG, MISSING, TEXT, Interval, Type, Value, missing, settle

if TYPE_CHECKING:
    from polars import DataFrame

POSSIBLE = "@possible"
"""A column of a rule step that decides: the outcomes its `decide` still allows in this reading. It is the engine's own: who could read it
would learn more from knowing less."""


class ComputeStep:
    """Columns computed by expressions: what `with` and `when` of a cascade say.

    Money is settled to whole minor units. `types` is what the reader of each column wants: where that is no interval type, an open
    interval is missing with cause `undecided`. A column without expression is missing with cause `absent`.
    """

    def __init__(self, name: str, expressions: Mapping[str, ir.Expr | None], types: Mapping[str, Type]) -> None:
        self.name, self.types, self.writes = name, types, tuple(types)
        self.expressions = {column: expr for column, expr in expressions.items() if expr is not None}
        self.reads = tuple(sorted(set().union(*(ir.reads(expr) for expr in self.expressions.values()))))
        self._compiled = {column: single.compile_expr(expr) for column, expr in self.expressions.items()}

    def one(self, row: Row) -> Row:
        return {column: self._value(column, row) for column in self.types}

    def _value(self, column: str, row: Row) -> Value:
        if column not in self._compiled:
            return MISSING
        value, type_ = self._compiled[column](row), self.expressions[column].type
        value = settle(value, type_.scale) if type_.kind == "money" else value
        return missing("undecided") if value.__class__ is Interval and not self.types[column].interval else value

    @cached_property
    def _columnar(self) -> Any:
        # loads polars: only batch runs come here
        from engine.backends import columnar_steps

        return columnar_steps.compute(self.expressions, self.types)

    def many(self, frame: DataFrame) -> DataFrame:
        result: DataFrame = self._columnar(frame)
        return result


class RuleStep:
    """One rule set in one reading. `sources` says which column of the row stands for each local name; `open_` leaves policies out.

    Rules with `once`: the first reading asks the holder it is bound to whether a hit is held back and writes down what it was told, the
    second reads that. Where the row says it already, as in a replay, nobody is asked; unbound, nobody knows.
    """

    holder: Holder | None = None
    within = ""

    def __init__(self, name: str, rules: ir.RuleSet, sources: Mapping[str, str], time: Type, *, open_: bool = False) -> None:
        self.name, self.rules, self.open = name, rules, open_
        self.once = tuple(rule for rule in rules.rules if rule.once is not None)
        self.told_types = {local: type_ for rule in self.once for local, type_ in told(rule).items()}
        self.told = {local: f"{name}.{local}" for local in self.told_types}
        self.sources = {**sources, NOW: NOW, DAY_OF_EVENT: DAY_OF_EVENT}
        self.input_types = {**input_types(rules), NOW: time, DAY_OF_EVENT: DATE}
        local_types = {column.name: column.type for column in rules.outputs()} | {POLICY: FLAG}
        self.outputs = {local: f"{name}.{local}" for local in local_types}
        if rules.decide is not None:
            local_types["possible"], self.outputs["possible"] = Type("list", item=TEXT), f"{name}.{POSSIBLE}"
        if not open_:
            local_types |= {**{column.name: column.type for column in rules.asides()}, **self.told_types}
            self.outputs |= {local: f"{name}.{local}" for local in local_types if local not in self.outputs}
        self.types: Mapping[str, Type] = {self.outputs[local]: type_ for local, type_ in local_types.items()}
        self.writes = tuple(self.types)
        self.reads = tuple(sorted({*self.sources.values(), *(self.told.values() if open_ else ())}))
        # the outcome named for an open answer is a policy too: the open reading must not take it for the answer
        self.leaves_open = not open_ and rules.decide is not None

    @cached_property
    def _run(self) -> Callable[[Row], Row]:
        # most cascades of rules alone never ask for it: see `run.straight`
        return single.compile_rules(self.rules, self.open)

    @cached_property
    def writers(self) -> dict[str, ir.Statement]:
        """Which statement writes a name."""
        return {name: statement for statement in self.rules.body for name in ir.written(statement)}

    @cached_property
    def defines(self) -> dict[str, ir.Expr]:
        return self.rules.defines

    @cached_property
    def states(self) -> tuple[tuple[ir.Rule, str], ...]:
        """The rules, each with the column that holds its state."""
        return tuple((rule, self.outputs[ir.hit(rule.id)]) for rule in self.rules.rules)

    @property
    def code(self) -> str:
        """The Python that runs the rules."""
        return single.source(self._run)

    def bind(self, holder: Holder, within: str) -> Self:
        """The same step, which asks `holder`; `within` leads through nested cascades."""
        if not self.once or self.open:
            return self
        bound = copy.copy(self)
        bound.holder, bound.within, bound._places, bound._run = holder, within, self._places, self._run
        return bound

    def local(self, row: Row) -> Row:
        """The row as the rule set sees it."""
        given = {local: row[column] for local, column in self.sources.items()}
        return given | {local: row[column] for local, column in self.told.items() if column in row} if self.told else given

    def one(self, row: Row) -> Row:
        return self.decided(self.local(row))

    def decided(self, given: Row, number: int = 0) -> Row:
        """What becomes of a row as the rule set sees it; `number` is its place in a frame."""
        if not self.once or ir.held(self.once[0].id) in given:
            result = self._run(given)
        elif self.open:
            result = self._run(given | dict.fromkeys(self.told, UNASKED))
        else:
            result, given = hold(self._run, self.once, given, lambda rule, once, hit: self._ask(rule, once, given, hit, number))
        if self.leaves_open:
            result[POLICY] = result[POLICY] or len(result["possible"]) != 1
        result |= {local: given[local] for local in self.told if local in self.outputs}
        return {column: result[local] for local, column in self.outputs.items()}

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcome of each row of `decide`."""
        return () if self.rules.decide is None else tuple(name for name, _ in self.rules.decide.rows)

    @property
    def asks(self) -> bool:
        """Whether it is for this step to find out what is held back."""
        return bool(self.once) and not self.open

    @cached_property
    def _places(self) -> dict[str, str]:
        """Under which name the hits of each rule are remembered: a rule that means something else begins anew."""
        return {rule.id: f"{self.name}.{rule.id}:{of_rule(self.rules, rule)[:16]}" for rule in self.once}

    def _ask(self, rule: ir.Rule, once: ir.Once, given: Row, hit: bool, number: int) -> Answer:
        if self.holder is None:
            return UNAVAILABLE
        key = tuple(given[field.name] for field in once.per)
        return self.holder.ask(Ask(self.within + self._places[rule.id], once, key, given[NOW], hit, number))

    @cached_property
    def _columnar(self) -> Any:
        # loads polars: only batch runs come here
        from engine.backends import columnar_steps

        return columnar_steps.rules(self)

    def lean(self, frame: DataFrame, wanted: frozenset[str]) -> DataFrame:
        """`many`, but only those of its columns that are in `wanted`. Among these may be ``NAME.@allowed``, which says by bits which rows
        of `decide` allow their outcome, where they are not too many for that: then it stands for `POSSIBLE`."""
        result: DataFrame = self.many(frame) if self.once else self._columnar(frame, wanted)
        return result

    def many(self, frame: DataFrame) -> DataFrame:
        if not self.asks:
            result: DataFrame = self._columnar(frame)
            return result
        from engine.backends import columnar_steps

        return columnar_steps.holding(self, self._columnar, frame)


def told(rule: ir.Rule) -> dict[str, Type]:
    """What a rule with `once` is told: whether it is held back, and by what."""
    return {ir.held(rule.id): FLAG, ir.held_by(rule.id): TEXT}


def input_types(rules: ir.RuleSet) -> dict[str, Type]:
    """The type of every local name a rule set takes from outside: its fields, inputs and features."""
    types = {column.name: column.type for column in (*rules.fields, *rules.inputs)}
    made = {column.name for column in rules.outputs()} | set(rules.defines)
    for expr in expressions(rules):
        for node in ir.walk(expr):
            if isinstance(node, ir.Read) and node.name not in made and node.name not in (NOW, DAY_OF_EVENT):
                types.setdefault(node.name, node.type)
    return types


def expressions(rules: ir.RuleSet) -> list[ir.Expr]:
    """Every expression of a rule set, those in reasons among them."""
    found: list[ir.Expr] = []
    for statement in rules.body:
        if isinstance(statement, ir.Define):
            found.append(statement.value)
        elif isinstance(statement, ir.Rule):
            found += [] if isinstance(statement.points, int) else [statement.points]
            found += [ir.condition(statement), *(value for _, value in statement.sets)]
            found += [part for part in statement.reason if isinstance(part, ir.Expr)]
            found += [] if statement.once is None else [*statement.once.per, statement.once.now]
        elif isinstance(statement, ir.Set):
            found += [value for _, value in statement.values]
        elif isinstance(statement, ir.Table):
            found += statement.expressions()
    found += [when for _, when in rules.scoring.floors if when is not None]
    return found + [when for _, when in (rules.decide.rows if rules.decide else ()) if when is not None]
