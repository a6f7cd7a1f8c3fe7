"""Decision tables over frames: every column becomes the number of what its value leaves, and the table is asked once for every
combination of these that occurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.backends import single
from engine.backends.columnar_exprs import Col, Program, literal
from engine.backends.columnar_layout import by_currency, dtype
from engine.backends.tables import Column, Lookup
from engine.lang import ir
from engine.lang.axes import Masks
from engine.values import INTEGER, SCORE, Type, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEARCHED: Final = ("integer", "money", "percent", "number", "date", "datetime", "duration", "months")
"""Kinds of values whose classes polars finds by itself."""


def columns(program: Program, table: ir.Table) -> dict[str, Col]:
    """What a table writes, as `ir.written` names it."""
    lookup = Lookup(table, single.compile_expr)
    left = [_left(program, column, cells) for column, cells in zip(lookup.columns, _cells(table), strict=True)]
    numbers = [number for number, _ in left]
    reads = sorted(set().union(*map(ir.reads, table.values()))) if not lookup.fixed else []
    types = {node.name: node.type for value in table.values() for node in ir.walk(value) if isinstance(node, ir.Read)}
    values = [program.read(name, types[name], True) for name in reads]

    def answer(place: int) -> Callable[..., Value]:
        def said(*given: Value) -> Value:
            sure = may = lookup.every
            for (_, masks), number in zip(left, given, strict=False):
                holds, might = masks[number]
                sure, may = sure & holds, may & might
            return lookup.said(Masks(sure, may), dict(zip(reads, given[len(left) :], strict=True)))[place]

        return said

    made: dict[str, Col] = {}
    written: list[Type] = [*(column.type for column in table.outputs), *([SCORE] if table.gives_points else [])]
    for place, (name, type_) in enumerate(zip(ir.written(table), written, strict=True)):
        made[name] = program.python(answer(place), [*numbers, *values], type_, type_.interval, True)
    return made


def _cells(table: ir.Table) -> list[list[ir.Expr]]:
    """Every distinct cell, column by column."""
    return [
        list({id(cell): cell for row in table.rows if (cell := row.cells[place]) is not None}.values())
        for place in range(len(table.inputs))
    ]


class _Numbered(list[Masks]):
    """What values leave of the rows, each kind of leaving with a number."""

    def __init__(self) -> None:
        self._numbers: dict[Masks, int] = {}

    def number(self, masks: Masks) -> int:
        if masks not in self._numbers:
            self._numbers[masks] = len(self)
            self.append(masks)
        return self._numbers[masks]


def _left(program: Program, column: Column, cells: Sequence[ir.Expr]) -> tuple[Col, list[Masks]]:
    """What the values of a column leave: its number in every row, and what the numbers stand for."""
    subject, numbered = column.axis.subject, _Numbered()
    if column.plain and column.axis.named is None and _is_searched(subject):
        numbered.extend(map(Masks, column.sure, column.may))
        numbered.append(column.lack)
        return _searched(program, column, program.place(program.expr(subject, False))), numbered
    asked = [subject] if column.plain else [subject, *cells]
    types = {node.name: node.type for expr in asked for node in ir.walk(expr) if isinstance(node, ir.Read)}
    names = sorted(types)

    if not names:
        return literal(numbered.number(column.rows({})), INTEGER, False), numbered

    def number(*given: Value) -> Value:
        return numbered.number(column.rows(dict(zip(names, given, strict=True))))

    return program.python(number, [program.read(name, types[name], False) for name in names], INTEGER, False, False), numbered


def _is_searched(subject: ir.Expr) -> bool:
    """Whether a column is of 64 bits and no more than its value."""
    return subject.type.kind in _SEARCHED and (
        subject.type.kind != "money" or (isinstance(subject, ir.Read) and not by_currency(subject.type))
    )


def _searched(program: Program, column: Column, value: Col) -> Col:
    name, source, lost = program.fresh(), value.value.meta.output_name(), len(column.sure)
    cuts = pl.Series(column.axis.cuts, dtype=dtype(value.type))

    def classes(frame: pl.DataFrame) -> list[pl.Series]:
        values = frame[source]
        found = cuts.search_sorted(values, side="right").cast(pl.Int64)
        return [found.zip_with(values.is_not_null(), pl.Series([lost], dtype=pl.Int64)).alias(name)]

    program.stage(value.level).calls.append(classes)
    return Col(INTEGER, pl.col(name), level=value.level + 1, height=0)
