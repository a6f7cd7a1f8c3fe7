"""What a decision found in reference tables and rates: the row and since when it holds, the rate and its day. For explanations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from engine.backends import reference
from engine.cascade.phrase import phrase
from engine.lang import ir
from engine.plan import Row
from engine.values import Interval, Missing, known, show


def found_lines(expressions: Iterable[ir.Expr], row: Row) -> list[str]:
    """One line for every row and every conversion that the expressions looked up, in the order in which they stand."""
    return list(dict.fromkeys(line for expr in expressions for node in _asking(expr) for line in _told(node, row)))


def _asking(expr: ir.Expr) -> Iterator[ir.Lookup | ir.Convert]:
    """The parts that look something up for the event itself, not for the items of a list."""
    if isinstance(expr, ir.Quantifier):
        yield from _asking(expr.of)
        return
    for child in ir.children(expr):
        yield from _asking(child)
    if isinstance(expr, ir.Lookup | ir.Convert):
        yield expr


def _told(node: ir.Lookup | ir.Convert, row: Row) -> Iterator[str]:
    yield from _row_found(node, row) if isinstance(node, ir.Lookup) else _rates_found(node, row)


def _row_found(node: ir.Lookup, row: Row) -> Iterator[str]:
    values = [reference.evaluate(key, row) for key in node.keys]
    if not all(map(known, values)):
        return
    at = None if node.at is None else reference.evaluate(node.at, row)
    kind = "" if node.at is None else node.at.type.kind
    number = node.table.find(values[0] if len(values) == 1 else tuple(values), at, kind, node.zone)
    called = node.name.rpartition(".")[0] if node.name is not None else node.table.name
    key = ", ".join(f"{phrase(part)} = {show(value, part.type)}" for part, value in zip(node.keys, values, strict=True))
    found = node.table.told(number) if number >= 0 else f"no row of {node.table.file or node.table.name}"
    yield f"{called} by {key}: {found} ({node.table.name}@{node.table.version})"


def _rates_found(node: ir.Convert, row: Row) -> Iterator[str]:
    value, at = reference.evaluate(node.item, row), reference.evaluate(node.at, row)
    bound: Any = next((end for end in (value.low, value.high) if end is not None), value) if value.__class__ is Interval else value
    if bound.__class__ is Missing or not known(at):
        return
    source, target, rates = node.item.type.currency or bound.currency, node.type.currency or "", node.rates
    if source != target:
        told = [rates.told(currency, at, node.at.type.kind, node.zone) for currency in (source, target) if currency != rates.base]
        yield f"{phrase(node)}: {', '.join(told)} ({rates.name}@{rates.version})"
