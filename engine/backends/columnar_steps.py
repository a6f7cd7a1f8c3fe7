"""Rule sets and computed columns over frames, under the names of a whole row: what `rules.RuleStep` and `ComputeStep` do for many."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from engine.backends import columnar
from engine.lang import ir
from engine.plan import POLICY
from engine.values import CAUSES, MISSING, Type

UNDECIDED = 1 + CAUSES.index("undecided")


def renamed(frame: pl.DataFrame, columns: Mapping[str, str], types: Mapping[str, Type]) -> pl.DataFrame:
    """The columns of `columns` (new name -> name in the frame) under their new names; `types` are those of the new names.

    A column that has no bounds serves a reader of intervals: where it is known, it is its own bounds.
    """
    return frame.select(expr for new, old in columns.items() for expr in _physical(frame, new, old, types[new]))


def _physical(frame: pl.DataFrame, new: str, old: str, type_: Type) -> list[pl.Expr]:
    found = []
    for target, source in zip(columnar.names(new, type_), columnar.names(old, type_), strict=True):
        if source in frame.columns:
            found.append(pl.col(source).alias(target))
        elif source[-1:] in "<>":
            found.append(pl.col(old).alias(target))
    return found


def rules(
    ruleset: ir.RuleSet,
    sources: Mapping[str, str],
    input_types: Mapping[str, Type],
    outputs: Mapping[str, str],
    types: Mapping[str, Type],
    open_: bool,
    leaves_open: bool,
) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The function from a frame to a rule set's outputs under the step's names; `leaves_open` as in `RuleStep`."""
    run = columnar.compile_rules(ruleset, open_)
    back = {outer: local for local, outer in outputs.items()}

    def step(frame: pl.DataFrame) -> pl.DataFrame:
        result = run(renamed(frame, sources, input_types))
        if leaves_open:
            result = result.with_columns(pl.col(POLICY) | (pl.col("possible").list.len() != 1))
        return renamed(result, back, types)

    return step


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
        absent = columnar.pack([{name: MISSING}], {name: type_})
        return [absent[column].gather(pl.repeat(0, height, dtype=pl.UInt32, eager=True)) for column in absent.columns]
    if expr.type.interval and not type_.interval:
        open_ = pl.col(name).is_null() & (pl.col(f"{name}<").is_not_null() | pl.col(f"{name}>").is_not_null())
        cause = pl.when(open_).then(pl.lit(UNDECIDED, dtype=pl.UInt8)).otherwise(pl.col(f"{name}#")).alias(f"{name}#")
        return [cause if column == f"{name}#" else pl.col(column) for column in columnar.names(name, type_)]
    return list(_physical(computed, name, name, type_))
