"""Features over history, typed, and all those of a file as one set. It computes nothing; windows are run elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.lang import aggregates, ast, ir, networks
from engine.lang.environment import record_use
from engine.lang.expressions import Typer

if TYPE_CHECKING:
    from engine.lang.program import Program


def feature(node: ast.Feature, program: Program) -> ir.Feature | None:
    """One typed feature, or none with the problems noted."""
    if isinstance(node.value, ast.Aggregate | ast.Network):
        made = aggregates.aggregate(node.value, program) if isinstance(node.value, ast.Aggregate) else networks.network(node.value, program)
        if made is None:
            return None
        value, type_ = made
        return ir.Feature(node.name.text, type_, value, node.title, span=node.span)
    formula = Typer(program.history.formulas(), program.report).typed(node.value)
    if formula is None:
        return None
    return ir.Feature(node.name.text, replace(formula.type, scale=1), formula, node.title, span=node.span)


def feature_set(program: Program) -> ir.FeatureSet | None:
    """The file's features as one set, in an order in which each comes after those it reads; none where there are none."""
    from_record = program.env.record
    features = tuple(program.features.values())
    read: set[str] = {from_record.time}
    for one in features:
        read |= _aggregate_reads(one.value) if isinstance(one.value, ir.Aggregate) else _expression_reads(one.value)
    fields = tuple(ir.Column(f.name, f.type, f.optional, f.title) for f in from_record.fields if f.name in read)
    return ir.FeatureSet(
        program.tree.name.text, program.tree.version.text, record_use(program.tree, program.env), fields, features, program.tree.title
    )


def _aggregate_reads(value: ir.Aggregate) -> set[str]:
    """The fields an aggregate reads, of rows of history and of this event."""
    read = {*value.per, *value.matched} | ({value.window.field} if value.window.field is not None else set())
    for part in expressions(value):
        read |= {name.removeprefix("this.") for name in _expression_reads(part)}
    return read if value.inner is None else read | _aggregate_reads(value.inner)


def expressions(value: ir.Aggregate | ir.Expr) -> list[ir.Expr]:
    """The expressions of a feature, without those of an aggregate inside it."""
    if not isinstance(value, ir.Aggregate):
        return [value]
    return [part for part in (value.of, value.where, value.among, value.window.event) if part is not None]


def _expression_reads(expr: ir.Expr) -> set[str]:
    return ir.reads(expr) | {node.type.by for node in ir.walk(expr) if node.type.by}
