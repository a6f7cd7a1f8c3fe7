"""What the rows of a frame are to a slot, as arrays: whether they count, whether their value is known, and the value as a whole number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from engine.backends import columnar
from engine.features.columnar_coded import Codes
from engine.features.tallies import OUT, SURE
from engine.lang import ir

if TYPE_CHECKING:
    from types import SimpleNamespace

    from engine.features.columnar_frame import Arrived
    from engine.features.spec import Slot

Array = np.ndarray[Any, Any]

_SIGN: Final = np.int64(2**63 - 1)


class Lane:
    """The judge of one slot. Texts are numbered as they come; numbers are turned into whole ones of the same order."""

    def __init__(self, slot: Slot) -> None:
        asked = {"@where": slot.where} if slot.where is not None else {}
        self._field = slot.of.name if isinstance(slot.of, ir.Read) else None
        if slot.of is not None and self._field is None:
            asked["@of"] = slot.of
        self._judge = columnar.compile_exprs(asked) if asked else None
        self._slot = slot
        self._codes = Codes()

    def cells(self, arrived: Arrived, loops: SimpleNamespace) -> tuple[Array, Array]:
        """For every row its state and its value."""
        judged = pl.DataFrame() if self._judge is None else self._judge(arrived.frame)
        values = self._values(arrived.frame, judged)
        lacks = values is not None and values.null_count() > 0
        states = self._states(judged, arrived.frame.height, values.is_null().to_numpy() if values is not None and lacks else None)
        return states, np.zeros(states.size, np.int64) if values is None else self._whole(values, loops)

    @property
    def texts(self) -> int:
        """How many different texts have come; nought where values are none."""
        return self._codes.number

    def _values(self, frame: pl.DataFrame, judged: pl.DataFrame) -> pl.Series | None:
        if self._slot.of is None:
            return None
        return judged["@of"] if self._field is None else frame[self._field]

    def _states(self, judged: pl.DataFrame, rows: int, lacks: Array | None) -> Array:
        """SURE, and one more where the value is not known, and two more where nobody can say whether the row counts; or OUT."""
        states = np.full(rows, SURE, np.uint8) if lacks is None else SURE + lacks.view(np.uint8)
        if "@where" in judged.columns:
            truth = judged["@where"]
            if truth.null_count():
                states += 2 * truth.is_null().to_numpy().view(np.uint8)
            states[~truth.fill_null(True).to_numpy()] = OUT
        return states

    def _whole(self, values: pl.Series, loops: SimpleNamespace) -> Array:
        kind = values.dtype
        if kind == pl.String:
            codes: Array = self._codes.of([values], loops).astype(np.int64)
            return codes
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
