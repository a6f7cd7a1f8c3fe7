"""Rule sets and computed columns over frames, under the names of a whole row: what `rules.RuleStep` and `ComputeStep` do for many."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import cache
from typing import Protocol

import polars as pl

from engine.backends import columnar
from engine.backends.columnar_choice import MOST_ROWS, chosen, kept
from engine.backends.columnar_layout import pack, unpack
from engine.backends.holding import UNASKED
from engine.lang import ir
from engine.plan import POLICY, ROW, Row
from engine.values import CAUSES, MISSING, Type

UNDECIDED = 1 + CAUSES.index("undecided")


def renamed(frame: pl.DataFrame, columns: Mapping[str, str], types: Mapping[str, Type], *, partly: bool = False) -> pl.DataFrame:
    """The columns of `columns` (new name -> name in the frame) under their new names; `types` are those of the new names.

    A column that has no bounds serves a reader of intervals: where it is known, it is its own bounds; not so where the frame is known to
    hold its columns only `partly`.
    """
    there = set(frame.columns)
    return frame.select(expr for new, old in columns.items() for expr in _physical(there, new, old, types[new], partly=partly))


def _physical(there: Container[str], new: str, old: str, type_: Type, *, partly: bool = False) -> list[pl.Expr]:
    found = []
    for target, source in zip(columnar.names(new, type_), columnar.names(old, type_), strict=True):
        if source in there:
            found.append(pl.col(source).alias(target))
        elif source[-1:] in "<>" and not partly:
            found.append(pl.col(old).alias(target))
    return found


class Rules(Protocol):
    """What is asked here of a `rules.RuleStep`."""

    name: str
    rules: ir.RuleSet
    open: bool
    leaves_open: bool
    once: tuple[ir.Rule, ...]
    sources: dict[str, str]
    input_types: dict[str, Type]
    told: dict[str, str]
    told_types: dict[str, Type]
    outputs: dict[str, str]
    types: Mapping[str, Type]

    @property
    def outcomes(self) -> tuple[str, ...]: ...

    def decided(self, given: Row, number: int = 0) -> Row: ...


class Computed(Protocol):
    """From a frame to columns: all of them, or those that are wanted."""

    def __call__(self, frame: pl.DataFrame, wanted: frozenset[str] | None = None) -> pl.DataFrame: ...


def rules(step: Rules) -> Computed:
    """The function from a frame to a rule set's outputs under the step's names. What no frame says of `once` is not asked here."""
    run = columnar.compile_rules(step.rules, step.open)
    back = {outer: local for local, outer in step.outputs.items()}
    sources, types = {**step.sources, **step.told}, {**step.input_types, **step.told_types}
    told = [column for name, type_ in step.told_types.items() for column in columnar.names(name, type_)]
    outcomes = step.outcomes
    allowed = f"{step.name}.{columnar.ALLOWED}"

    def compute(frame: pl.DataFrame, wanted: frozenset[str] | None = None) -> pl.DataFrame:
        given = renamed(frame, sources, types)
        if told and told[0] not in given.columns:
            given = given.hstack(_constant(dict.fromkeys(step.told_types, UNASKED), step.told_types, frame.height))
        result = run(given, None if wanted is None else asked(wanted))
        if step.leaves_open:
            result = result.with_columns(pl.col(POLICY) | _several(result, outcomes))
        made = renamed(result.hstack(given.select(told)), back, step.types, partly=wanted is not None)
        return made.hstack([result[columnar.ALLOWED].alias(allowed)]) if columnar.ALLOWED in result.columns else made

    @cache
    def asked(wanted: frozenset[str]) -> frozenset[str]:
        """The local names of what is wanted, and of what tells whether it was a policy."""
        pairs = [
            (local, outer)
            for name, local_name in back.items()
            for outer, local in zip(columnar.names(name, step.types[name]), columnar.names(local_name, step.types[name]), strict=True)
        ]
        few = 0 < len(outcomes) <= MOST_ROWS and (allowed in wanted or step.leaves_open)
        locals_ = {local for local, outer in pairs if outer in wanted and not (few and local.startswith("possible"))}
        if step.leaves_open:
            locals_ |= {POLICY} if few else {POLICY, "possible"}
        return frozenset(locals_ | ({columnar.ALLOWED} if few else set()))

    return compute


def _several(result: pl.DataFrame, outcomes: Sequence[str]) -> pl.Expr:
    """Whether not exactly one outcome is possible."""
    if columnar.ALLOWED not in result.columns:
        return pl.col("possible").list.len() != 1
    return chosen(pl.col(columnar.ALLOWED), lambda mask: len(kept(outcomes, mask)) != 1, pl.Boolean)


def holding(step: Rules, run: Callable[[pl.DataFrame], pl.DataFrame], frame: pl.DataFrame) -> pl.DataFrame:
    """What `run` gives, where the rows in which a rule with `once` is or may be hit are decided one by one, in their order."""
    result = run(frame)
    if any(column in frame.columns for column in step.told.values()):
        return result
    may_hit = [pl.col(step.outputs[ir.before(rule.id)]).ne_missing(pl.lit(False)) for rule in step.once]
    places = result.select(pl.any_horizontal(may_hit)).to_series().arg_true()
    if not len(places):
        return result
    asking = frame[places]
    rows = unpack(renamed(asking, step.sources, step.input_types), step.input_types)
    numbers = asking[ROW].to_list() if ROW in frame.columns else [0] * len(rows)
    decided = pack([step.decided(row, number) for row, number in zip(rows, numbers, strict=True)], step.types)
    where = pl.int_range(result.height, eager=True).scatter(places, pl.int_range(result.height, result.height + len(rows), eager=True))
    return pl.concat([result, decided.select(result.columns)])[where]


def _constant(row: Row, types: Mapping[str, Type], height: int) -> pl.DataFrame:
    """A frame that says the same in every row."""
    return pack([row], types).select(pl.all().gather(pl.repeat(0, height, dtype=pl.UInt32, eager=True)))


def compute(expressions: Mapping[str, ir.Expr], types: Mapping[str, Type]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The function from a frame to computed columns; what `ComputeStep` says of missing and open values holds here too."""
    run = columnar.compile_exprs(dict(expressions))

    def step(frame: pl.DataFrame) -> pl.DataFrame:
        computed = run(frame)
        return computed.select(
            part for name, type_ in types.items() for part in _wanted(computed, name, expressions.get(name), type_, frame.height)
        )

    return step


def _wanted(computed: pl.DataFrame, name: str, expr: ir.Expr | None, type_: Type, height: int) -> list[pl.Expr | pl.Series]:
    if expr is None:
        return list(_constant({name: MISSING}, {name: type_}, height))
    if expr.type.interval and not type_.interval:
        open_ = pl.col(name).is_null() & (pl.col(f"{name}<").is_not_null() | pl.col(f"{name}>").is_not_null())
        cause = pl.when(open_).then(pl.lit(UNDECIDED, dtype=pl.UInt8)).otherwise(pl.col(f"{name}#")).alias(f"{name}#")
        return [cause if column == f"{name}#" else pl.col(column) for column in columnar.names(name, type_)]
    return list(_physical(computed.columns, name, name, type_))
