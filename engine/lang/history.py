"""Features over history, typed, and all those of a file as one set. It computes nothing; windows are run elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.lang import aggregates, ast, dated, ir, networks
from engine.lang.effective import ALWAYS
from engine.lang.entries import Days
from engine.lang.environment import record_use
from engine.lang.expressions import Typer
from engine.lang.order import mentioned
from engine.values import DATE, show

if TYPE_CHECKING:
    from engine.lang.program import Program


def feature(node: ast.Feature, program: Program) -> tuple[ir.Feature, ...] | None:
    """One typed feature, or none with the problems noted. Where its lengths have several dated values, there is one of its own for each,
    before the feature, which is the one whose day it is."""
    if isinstance(node.value, ast.Aggregate | ast.Network):
        return _aggregates(node, node.value, program)
    formula = Typer(program.history.formulas(), program.report).typed(node.value)
    if formula is None:
        return None
    return (ir.Feature(node.name.text, replace(formula.type, scale=1), formula, node.title, span=node.span),)


def _aggregates(node: ast.Feature, value: ast.Aggregate | ast.Network, program: Program) -> tuple[ir.Feature, ...] | None:
    name, stretches = node.name.text, program.stretches(sorted(mentioned(*_lengths(value))))
    found = program.for_each(
        stretches,
        lambda: aggregates.aggregate(value, program) if isinstance(value, ast.Aggregate) else networks.network(value, program),
    )
    if not found:
        return None
    if stretches == [ALWAYS]:
        made, type_ = found[0][1]
        return (ir.Feature(name, type_, made, node.title, span=node.span),)
    each = [ir.Feature(f"{name}@{_begin(days)}", type_, made, node.title, span=node.span) for days, (made, type_) in found]
    reads = [ir.Read(one.name, type=one.type, span=node.span) for one in each]
    chosen = dated.joined([(days, read) for (days, _), read in zip(found, reads, strict=True)], reads[0])
    chosen = replace(chosen, name=name)
    return (*each, ir.Feature(name, chosen.type, chosen, node.title, span=node.span))


def _begin(days: Days) -> str:
    """What tells one stretch of days from another."""
    return show(days[0], DATE) if days[0] is not None else "first"


def _lengths(value: ast.Aggregate | ast.Network) -> Iterator[ast.Expr | None]:
    """The parts of an aggregate that are fixed numbers and lengths."""
    yield from (value.window.length, value.window.lag, None if value.needs is None else value.needs.amount)
    if isinstance(value, ast.Network):
        yield from (value.hops, value.within, value.effort)
    elif isinstance(value.of, ast.Aggregate):
        yield from _lengths(value.of)


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
