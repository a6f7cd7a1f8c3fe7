"""What the rows of a frame are to each slot, as arrays: whether they count, whether their value is known, the value as a whole number."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from engine.backends import columnar
from engine.features.columnar_coded import Codes
from engine.features.tallies import SURE
from engine.lang import ir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import SimpleNamespace

    from engine.features.spec import Slot

Array = np.ndarray[Any, Any]
Cells = tuple[Array, Array]
"""What rows are to a slot, and their values; these are empty where the slot has none."""

_SIGN: Final = np.int64(2**63 - 1)
_NONE: Final = np.empty(0, np.int64)


class Lanes:
    """The judge of the slots of a history: each condition and each value is judged once, whatever number of slots have it, and slots with
    the same rows share one array of them. Texts are numbered as they come; numbers are turned into whole ones of the same order."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._wheres = {slot.where: f"@where{place}" for place, slot in enumerate(slots) if slot.where is not None}
        self._ofs = {slot.of: f"@of{place}" for place, slot in enumerate(slots) if slot.of is not None}
        computed = {of: name for of, name in self._ofs.items() if not isinstance(of, ir.Read)}
        asked = {name: expr for exprs in (self._wheres, computed) for expr, name in exprs.items()}
        self._judge = columnar.compile_exprs(asked) if asked else None
        self._codes = {of: Codes() for of in self._ofs}

    def judge(self, frame: pl.DataFrame, loops: SimpleNamespace) -> Judged:
        """Of the rows of a frame; the values are still to be made whole numbers."""
        judged = pl.DataFrame() if self._judge is None else self._judge(frame)
        values = {of: frame[of.name] if isinstance(of, ir.Read) else judged[name] for of, name in self._ofs.items()}
        truths = {where: judged[name] for where, name in self._wheres.items()}
        return Judged(self._slots, frame.height, truths, values, self._codes, loops)


class Judged:
    """What the rows of a frame are to the slots. `work` is to be done before `cells` are asked for, side by side where there is room."""

    def __init__(
        self,
        slots: Sequence[Slot],
        rows: int,
        truths: Mapping[ir.Expr, pl.Series],
        values: Mapping[ir.Expr, pl.Series],
        codes: Mapping[ir.Expr, Codes],
        loops: SimpleNamespace,
    ) -> None:
        self._slots, self._rows, self._truths, self._values = slots, rows, truths, values
        self._wholes: dict[ir.Expr, Array] = {}
        self.work: list[Callable[[], None]] = [partial(self._make, of, codes[of], loops) for of in values]

    def _make(self, of: ir.Expr, codes: Codes, loops: SimpleNamespace) -> None:
        self._wholes[of] = whole(self._values[of], codes, loops)

    def cells(self) -> list[Cells]:
        """One pair a slot."""
        states: dict[tuple[ir.Expr | None, ir.Expr | None], Array] = {}
        found = []
        for slot in self._slots:
            lacks = slot.of if slot.of is not None and self._values[slot.of].null_count() else None
            if (slot.where, lacks) not in states:
                states[slot.where, lacks] = self._states(slot.where, lacks)
            found.append((states[slot.where, lacks], _NONE if slot.of is None else self._wholes[slot.of]))
        return found

    def _states(self, where: ir.Expr | None, lacks: ir.Expr | None) -> Array:
        """SURE, and one more where the value is not known, and two more where nobody can say whether the row counts; or OUT."""
        states = np.full(self._rows, SURE, np.uint8)
        if lacks is not None:
            states += self._values[lacks].is_null().to_numpy().view(np.uint8)
        if where is not None:
            truth = self._truths[where]
            if truth.null_count():
                states += 2 * truth.is_null().to_numpy().view(np.uint8)
                truth = truth.fill_null(True)
            states *= truth.to_numpy().view(np.uint8)  # OUT is nought
        return states


def whole(values: pl.Series, codes: Codes, loops: SimpleNamespace) -> Array:
    """Values as whole numbers of the same order, or, where they are texts, by `codes`; where they are null, any."""
    kind = values.dtype
    if kind == pl.String:
        return codes.of([values], loops)
    if kind == pl.Float64:
        return of_floats(values.fill_null(0.0).to_numpy())
    found: Array = values.cast(pl.Int64).fill_null(0).to_numpy()
    return found


def of_floats(values: Array) -> Array:
    """Whole numbers in the same order, one for each float; both noughts are one.

    >>> floats(of_floats(np.array([-1.5, -0.0, 2.5])))
    array([-1.5,  0. ,  2.5])
    """
    bits = (values + 0.0).view(np.int64)
    whole: Array = bits ^ ((bits >> 63) & _SIGN)
    return whole


def floats(whole: Array) -> Array:
    """The floats again."""
    found: Array = (whole ^ ((whole >> 63) & _SIGN)).view(np.float64)
    return found
