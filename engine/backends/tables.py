"""A decision table that is looked up, not read through: every column says at once which rows a value leaves, whatever their number.

What the rows that are left come to is asked of `matching`. It knows neither generated code nor frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter, xor
from typing import TYPE_CHECKING, Final

from engine.backends import matching
from engine.backends.outline import may_open
from engine.backends.reference import evaluate
from engine.lang import ir
from engine.lang.axes import Axis, Masks, axis, bits, lacking, runs
from engine.values import Interval, Missing, Value, settle

if TYPE_CHECKING:
    from engine.plan import Row

_REMEMBERED: Final = 20_000
"""So many different answers of one table are kept at hand."""
_FEW: Final = 64

Compile = Callable[[ir.Expr], Callable[["Row"], Value]]


@dataclass(slots=True)
class Column:
    """One input of a table. `sure` and `may` are, class by class, the rows for which a value of the class holds or may hold, as bits;
    `lack` are those of a missing value, `cells` every distinct cell with its rows, `free` the rows that ask nothing. Where a value is
    `placed` its class says all, where the column is `plain` nothing but values and missing ones come."""

    axis: Axis
    of: Callable[[Row], Value]
    sure: list[int]
    may: list[int]
    lack: Masks
    cells: list[tuple[Callable[[Row], Value], int]]
    free: int
    placed: bool
    plain: bool

    def rows(self, row: Row) -> Masks:
        """The rows that hold, and those that may, for the value in this row."""
        value = self.of(row)
        if value.__class__ is Missing and self.placed:
            return self.lack
        if self.plain or (self.placed and value.__class__ is not Interval):
            place = self.axis.place(value)
            return Masks(self.sure[place], self.may[place])
        return self.judged(row)

    def judged(self, row: Row) -> Masks:
        """The same by asking every cell."""
        sure = may = self.free
        for cell, rows in self.cells:
            state = cell(row)
            if state is not False:
                may |= rows
            if state is True:
                sure |= rows
        return Masks(sure, may)


def column(subject: ir.Expr, cells: list[tuple[ir.Expr, int]], free: int, of: Callable[[Row], Value], compile_: Compile) -> Column:
    """The column of a subject that `of` gives, from its cells, each once and with its rows as bits; `free` are rows that ask nothing."""
    made = axis(subject, (cell for cell, _ in cells))
    # an amount that carries its currency is no plain number
    placed = made.exact and made.currency is None
    plain = placed and not may_open(subject)
    lacks = [(lacking(cell, subject), rows) for cell, rows in cells]
    lack = Masks(
        free | sum(rows for lacks_it, rows in lacks if lacks_it is True),
        free | sum(rows for lacks_it, rows in lacks if lacks_it is not False),
    )
    masks = [(made.masks[id(cell)], rows) for cell, rows in cells]
    sure = _by_class(made.size, free, [(mask.sure, rows) for mask, rows in masks])
    may = sure if made.exact else _by_class(made.size, free, [(mask.may, rows) for mask, rows in masks])
    # what many cells ask is walked through: to compile them all would take longer than it saves
    ask = compile_ if len(cells) <= _FEW else _walked
    return Column(made, of, sure, may, lack, [(ask(cell), rows) for cell, rows in cells] if not plain else [], free, placed, plain)


class Lookup:
    """A table as a function of a row that holds everything it reads; it gives what it writes, as `ir.written` names it."""

    def __init__(self, table: ir.Table, compile_: Compile) -> None:
        self.table, self._compile = table, compile_
        self.columns = [self._column(place, subject) for place, (_, subject) in enumerate(table.inputs)]
        self.every = (1 << len(table.rows)) - 1
        self._values = {id(expr): self._stored(expr) for expr in table.values()}
        self.fixed = all(isinstance(expr, ir.Const) for expr in table.values())
        self._remembered: dict[Masks, tuple[Value, ...]] = {}

    def _column(self, place: int, subject: ir.Expr) -> Column:
        having: dict[int, int] = {}
        cells: dict[int, ir.Expr] = {}
        free = 0
        for number, row in enumerate(self.table.rows):
            cell = row.cells[place]
            if cell is None:
                free |= 1 << number
            else:
                cells[id(cell)] = cell
                having[id(cell)] = having.get(id(cell), 0) | 1 << number
        return column(subject, [(cell, having[key]) for key, cell in cells.items()], free, self._light(subject), self._compile)

    def _light(self, expr: ir.Expr) -> Callable[[Row], Value]:
        """An expression as a function of the row; the commonest kinds need no compiler."""
        match expr:
            case ir.Read():
                return itemgetter(expr.name)
            case ir.Const():
                return lambda row: expr.value
        return self._compile(expr)

    def _stored(self, expr: ir.Expr) -> Callable[[Row], Value]:
        value = self._light(expr)
        return (lambda row: settle(value(row), expr.type.scale)) if expr.type.kind == "money" else value

    def __call__(self, row: Row) -> tuple[Value, ...]:
        sure = may = self.every
        for column in self.columns:
            holds, might = column.rows(row)
            sure &= holds
            may &= might
        return self.said(Masks(sure, may), row)

    def said(self, left: Masks, row: Row) -> tuple[Value, ...]:
        """What the rows that are left come to."""
        if not self.fixed:
            return self._said(left, row)
        if left not in self._remembered:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[left] = self._said(left, row)
        return self._remembered[left]

    def _said(self, left: Masks, row: Row) -> tuple[Value, ...]:
        rows, sure = self.table.rows, left.sure
        judged = ((rows[number], True if sure >> number & 1 else matching.UNDECIDED) for number in bits(left.may))
        return tuple(matching.written(self.table, judged, lambda expr: self._values[id(expr)](row)).values())


def _walked(expr: ir.Expr) -> Callable[[Row], Value]:
    return lambda row: evaluate(expr, row)


def _by_class(size: int, free: int, cells: list[tuple[int, int]]) -> list[int]:
    """The rows class by class, from the classes cell by cell."""
    turns = [0] * (size + 1)
    turns[0] = free
    for mask, rows in cells:
        for low, high in runs(mask):
            turns[low] ^= rows
            turns[high] ^= rows
    return list(accumulate(turns[:-1], xor))
