"""What history keeps of a row: whether it counts and its value, judged when it is observed, as far as that can be done then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.backends import single
from engine.features.spec import THIS, Slot
from engine.values import Missing, Value, known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.lang import ir
    from engine.plan import Row


class Doubt(NamedTuple):
    """A row that a slot cannot take at its word: `sure` where it counts but its value is not known; else nobody knows whether it
    counts, and `value` is none where that is not known either."""

    sure: bool
    value: Value


class Marked(NamedTuple):
    """A row in a slot whose windows begin with an event: whether it is such an event (none where nobody knows), and the cell it is."""

    event: bool | None
    cell: Any


class Raw(NamedTuple):
    """A row that cannot be judged before another event looks: its value, none where that is not known, and what its conditions read."""

    value: Value
    fields: tuple[Value, ...]


OUT: Final = object()
"""The cell of a row that does not count, which is not kept."""

Cell = Any
"""A row's value (for a share the value and whether it is in the part), a `Doubt`, `Marked`, `Raw`, or ``OUT``."""


_VALUE: Final = "@value"


class Judge:
    """From rows to the cells of one slot."""

    def __init__(self, slot: Slot) -> None:
        self.looks = slot.looks
        """Whether cells wait for the event that looks."""
        self._share = slot.share
        self._fields, self._this = tuple(slot.fields()), tuple(slot.fields(this=True))
        self._where, self._of, self._part, self._event = map(_compiled, (slot.where, slot.of, slot.part, slot.event))

    def observe(self, row: Row) -> Cell:
        """What is kept of a row."""
        if self.looks:
            value = True if self._of is None else self._of(row)
            return Raw(value if known(value) else None, tuple(row[name] for name in self._fields))
        return self._marked(row, self._of)

    def look(self, cells: Sequence[Cell], row: Row) -> list[Cell]:
        """The kept cells as the event in `row` sees them; what does not count is ``OUT``."""
        this = {f"{THIS}{name}": row[name] for name in self._this}
        return [self._marked({**this, **dict(zip(self._fields, cell.fields, strict=True)), _VALUE: cell.value}, _value) for cell in cells]

    def _marked(self, row: Row, of: Callable[[Row], Value] | None) -> Cell:
        cell = self._cell(row, of)
        if self._event is None:
            return cell
        event = _truth(self._event(row))
        return OUT if cell is OUT and event is False else Marked(event, cell)

    def _cell(self, row: Row, of: Callable[[Row], Value] | None) -> Cell:
        truth = True if self._where is None else self._where(row)
        if truth is False:
            return OUT
        value = True if of is None else of(row)
        if value is not None and not known(value):
            value = None
        if self._share:
            part = True if self._part is None else _truth(self._part(row))
            value = None if value is None or part is None else (value, part)
        return value if truth is True and value is not None else Doubt(truth is True, value)


def _value(row: Row) -> Value:
    return row[_VALUE]


def _compiled(expr: ir.Expr | None) -> Callable[[Row], Value] | None:
    return None if expr is None else single.compile_expr(expr)


def _truth(value: Value) -> bool | None:
    return None if value.__class__ is Missing else value
