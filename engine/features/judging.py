"""What history keeps of a row: whether it counts and its value, judged when it is observed, as far as that can be done then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.backends import single
from engine.features.looking import cell, truth
from engine.features.spec import Slot
from engine.features.tallies import OUT, RAW
from engine.lang import ir
from engine.values import known, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.features.looking import Cell
    from engine.plan import Row
    from engine.values import Value


class Judge:
    """From rows to the cells of one slot.

    >>> Judge(Slot(None, None)).cell({})
    (1, True)
    """

    def __init__(self, slot: Slot) -> None:
        self._looks, self._share, self._ends, self._fields = slot.looks, slot.share, slot.ends, tuple(slot.fields())
        self._where, self._of, self._part, self._event = map(_compiled, (slot.where, slot.of, slot.part, slot.event))
        self._settles = _is_whole(slot.of)

    def cell(self, row: Row) -> Cell:
        """What is kept of a row, which also says what time it is."""
        if self._looks:
            return RAW, (self._value(row), {name: row[name] for name in self._fields})
        counts = True if self._where is None else truth(self._where(row))
        if counts is False and self._event is None:
            return OUT, None
        part = True if self._part is None else truth(self._part(row))
        state, value = cell(counts, self._value(row), part, self._share)
        if self._event is None:
            return state, value
        event = truth(self._event(row))
        # a row that neither counts nor may be the event a window begins with is not kept
        return (state, value) if state == OUT and event is False else (state, (event, value))

    def _value(self, row: Row) -> Value:
        """None where it is not known."""
        value = True if self._of is None else self._of(row)
        if self._settles:
            value = settle(value, 1)
        value = value if known(value) else None
        return (*(row[name] for name in self._ends), value) if self._ends else value


def _is_whole(of: ir.Expr | None) -> bool:
    """Whether it is a calculation in whole units of money, which ends here: a finer one goes on until it is summed up."""
    return of is not None and of.type.kind == "money" and of.type.scale == 1 and not isinstance(of, ir.Read)


def _compiled(expr: ir.Expr | None) -> Callable[[Row], Value] | None:
    return None if expr is None else single.compile_expr(expr)
