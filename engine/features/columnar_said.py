"""What aggregates say, for all rows of a frame at once: from how many rows are in a window, surely and perhaps, and from what they add up
to, the physical columns of a measure. It says row by row what `aggregate` says of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from engine.backends.columnar_layout import CODE, dtype, names, packed
from engine.features import aggregate, kernels
from engine.features.aggregate import Doubts
from engine.features.columnar_lane import floats
from engine.features.tallies import OUT, SURE
from engine.values import CAUSES, PERCENT_MAX, missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.features.spec import Measure
    from engine.values import Type, Value

Array = np.ndarray[Any, Any]

_SHORT, _UNDECIDED, _EMPTY, _OVERFLOW = (CODE[cause] for cause in ("short history", "undecided history", "empty", "overflow"))


@dataclass(slots=True)
class Met:
    """Of each row's window the first row or the last one: its state (OUT where there is none), what is asked of it, and where there are
    such, the windows in which nobody has seen what lies before or after it."""

    state: Array
    value: Array
    unseen: Array | None


@dataclass(slots=True)
class Counts:
    """What stands in each row's window: how many rows are in whose value is known, which windows are `short`, and, where there are any,
    how many rows lack their value, may be in, or both. `low` and `high` are what those that are in add up to, and with those that may
    be: none of it in doubt, they are one. `squares` are what the squares add up to. `empty` are the codes of windows without a known
    value, where there are such; a mean may be written into `room`, where there is any."""

    known: Array
    short: Array | None
    lacking: Array | None = None
    maybe: Array | None = None
    maybe_lacking: Array | None = None
    low: Any = None
    high: Any = None
    squares: Any = None
    met: Met | None = None
    room: Array | None = None
    empty: Array | None = None

    @property
    def rows(self) -> Array:
        return self.known if self.lacking is None else self.known + self.lacking

    @property
    def possible(self) -> Array:
        """How many rows may be in besides."""
        return np.zeros_like(self.known) if self.maybe is None else self.maybe + self.maybe_lacking

    @property
    def lacks(self) -> Array:
        """Whether rows may be in whose value is not known."""
        found = np.zeros(self.known.size, bool) if self.lacking is None else (self.lacking + self.maybe_lacking) > 0
        return found if self.short is None else found | self.short

    @property
    def doubts(self) -> Array:
        return self.lacks | (self.possible > 0)

    @property
    def exact(self) -> bool:
        """Whether nothing is in doubt in any row."""
        return self.short is None and self.lacking is None

    @property
    def cause(self) -> Array:
        """The code of what is named where something is not known."""
        return (
            np.full(self.known.size, _UNDECIDED, np.uint8)
            if self.short is None
            else np.where(self.short, _SHORT, _UNDECIDED).astype(np.uint8)
        )


@dataclass(slots=True)
class Said:
    """For each row a value where `code` is nought; else its bounds, where they are known."""

    value: Array
    code: Array | None = None
    low: Array | None = None
    high: Array | None = None
    has_low: Array | None = None
    has_high: Array | None = None


def said(measure: Measure, type_: Type, counts: Counts, dead: Array) -> list[pl.Series]:
    """The physical columns of a measure; `dead` are codes of why nothing can be said of a row."""
    if counts.squares is not None or (counts.low is not None and counts.low.dtype == object):
        return packed(measure.column, _one_by_one(measure, counts, dead), type_, dtype(type_))
    found = _SAYS[measure.aggregate.function](measure, counts)
    if dead.any():
        found.code = np.where(dead > 0, dead, 0 if found.code is None else found.code).astype(np.uint8)
        if found.has_low is not None and found.has_high is not None:
            found.has_low, found.has_high = found.has_low & (dead == 0), found.has_high & (dead == 0)
    if measure.of.kind == "number" and measure.aggregate.function in ("max", "min", "first", "last"):
        found.value = floats(found.value)
        found.low, found.high = (None if part is None else floats(part) for part in (found.low, found.high))
    return _columns(measure.column, type_, found)


def empty(known: Array) -> Array | None:
    """From how many rows of each window are known, the codes of those without any."""
    nothing = known == 0
    return nothing * np.uint8(_EMPTY) if nothing.any() else None


def _columns(name: str, type_: Type, found: Said) -> list[pl.Series]:
    value = pl.Series(name, found.value)
    if found.code is None or not found.code.any():
        code = _no_codes(value.len())
        low = high = value
    else:
        code = pl.Series(found.code)
        value = _where(found.code == 0, value)
        low = value if found.low is None else _where(found.has_low | (found.code == 0), pl.Series(found.low))
        high = value if found.high is None else _where(found.has_high | (found.code == 0), pl.Series(found.high))
    parts = {name: value, f"{name}#": code, f"{name}<": low, f"{name}>": high}
    return [parts[physical].alias(physical) for physical in names(name, type_)]


@lru_cache(maxsize=1)
def _no_codes(rows: int) -> pl.Series:
    """One for all columns of a frame: nobody writes into it."""
    return pl.repeat(0, rows, dtype=pl.UInt8, eager=True)


def _where(there: Any, values: pl.Series) -> pl.Series:
    """The values where they are there, else null."""
    return pl.select(pl.when(pl.Series(there)).then(values)).to_series()


# --- intervals -------------------------------------------------------------------------------------------------------


def _between(low: Array, high: Array, has_low: Array, has_high: Array, cause: Array) -> Said:
    """As `values.interval` says it."""
    exact = has_low & has_high & (low == high)
    return Said(low, np.where(exact, 0, cause).astype(np.uint8), low, high, has_low, has_high)


def _instead(found: Said, where: Array, value: Array, code: Array) -> Said:
    """These values and codes in some rows, without bounds."""
    assert found.code is not None and found.low is not None and found.high is not None
    found.value = np.where(where, value, found.value)
    found.code = np.where(where, code, found.code).astype(np.uint8)
    known = where & (code == 0)
    found.low, found.high = np.where(known, value, found.low), np.where(known, value, found.high)
    assert found.has_low is not None and found.has_high is not None
    found.has_low, found.has_high = np.where(where, known, found.has_low), np.where(where, known, found.has_high)
    return found


# --- functions -------------------------------------------------------------------------------------------------------


def _count(measure: Measure, counts: Counts) -> Said:
    if counts.exact:
        return Said(counts.known)
    return _from(counts.rows, counts.rows + counts.possible, counts)


def _distinct(measure: Measure, counts: Counts) -> Said:
    if counts.exact:
        return Said(counts.low)
    lacking = 0 if counts.lacking is None else counts.lacking + counts.maybe_lacking
    return _from(counts.low, counts.high + lacking, counts)


def _from(low: Array, high: Array, counts: Counts) -> Said:
    closed = np.ones(low.size, bool) if counts.short is None else ~counts.short
    return _between(low, high, np.ones(low.size, bool), closed, counts.cause)


def _sum(measure: Measure, counts: Counts) -> Said:
    most = PERCENT_MAX if measure.of.kind == "percent" else None
    if counts.exact and most is None:
        return Said(counts.low)
    fits, fits_high = (np.ones(sums.size, bool) if most is None else np.abs(sums) <= most for sums in (counts.low, counts.high))
    alone = np.where(fits, np.uint8(0), np.uint8(_OVERFLOW))
    if counts.exact:
        return Said(counts.low, alone)
    doubts, cause = counts.doubts, counts.cause
    if not measure.aggregate.bounded:
        return Said(counts.low, np.where(doubts, cause, alone).astype(np.uint8))
    found = _between(counts.low, counts.high, fits, fits_high & ~counts.lacks, cause)
    return _instead(found, ~doubts, counts.low, alone)


def _without_doubt(counts: Counts) -> Array | None:
    """The codes of what says nothing where there is no row, or where anything is in doubt."""
    if counts.exact:
        return counts.empty
    return np.where(counts.doubts, counts.cause, 0 if counts.empty is None else counts.empty).astype(np.uint8)


def _repeated(measure: Measure, counts: Counts) -> Said:
    return Said(counts.low, _without_doubt(counts))


def _met(measure: Measure, counts: Counts) -> Said:
    met, cause = counts.met, counts.cause
    assert met is not None
    known = met.state == SURE if met.unseen is None else (met.state == SURE) & ~met.unseen
    nothing = np.uint8(_EMPTY) if counts.short is None else np.where(counts.short, np.uint8(_SHORT), np.uint8(_EMPTY))
    return Said(met.value, np.where(known, np.uint8(0), np.where(met.state == OUT, nothing, cause)))


def _mean(measure: Measure, counts: Counts) -> Said:
    code = _without_doubt(counts)
    if measure.of.kind != "integer":
        value = np.empty(counts.known.size, np.int64) if counts.room is None else counts.room
        kernels.loops(value.size).means(counts.low, counts.known, value)
        return Said(value, code)
    mean = counts.low / np.maximum(counts.known, 1) + 0.0
    for row in np.flatnonzero(np.abs(counts.low) >= 2**53):  # more than a float64 holds: divided exactly, rounded once
        mean[row] = int(counts.low[row]) / max(int(counts.known[row]), 1)
    return Said(mean, code)


def _one_by_one(measure: Measure, counts: Counts, dead: Array) -> list[Value]:
    """Spreads, and sums and means of what may not fit into 64 bits: by integers of Python's own."""
    doubts = zip(counts.possible > 0, counts.lacks if counts.short is None else counts.lacks & ~counts.short, strict=True)
    short = np.zeros(dead.size, bool) if counts.short is None else counts.short
    squares = np.zeros(dead.size, np.uint8) if counts.squares is None else counts.squares
    found: list[Value] = []
    every = zip(counts.low, counts.high, squares, counts.known, doubts, short, dead, strict=True)
    for low, high, square, rows, (unsure, lacking), unseen, code in every:
        doubt = Doubts(bool(unsure), bool(lacking), bool(unseen), aggregate.lack(bool(unseen)))
        if code:
            found.append(missing(CAUSES[code - 1]))
        elif measure.aggregate.function == "sum":
            ends = aggregate.total(low, measure.of), aggregate.total(high, measure.of)
            found.append(aggregate.summed(*ends, doubt, measure.aggregate.bounded))
        else:
            found.append(doubt.cause if doubt else _surely(measure, int(low), int(square), int(rows)))
    return found


def _surely(measure: Measure, total: int, squares: int, rows: int) -> Value:
    if measure.aggregate.function == "mean":
        return aggregate.mean(total, rows, measure.of) if rows else aggregate.EMPTY
    if rows < 2:
        return aggregate.EMPTY
    return aggregate.deviation(rows * squares - total * total, rows * (rows - 1), measure.of)


def _max(measure: Measure, counts: Counts) -> Said:
    if counts.exact:
        return Said(counts.low, counts.empty)
    there = counts.known > 0
    alone = np.where(there, np.uint8(0), np.uint8(_EMPTY))
    found = _between(counts.low, counts.high, there, there & ~counts.lacks, counts.cause)
    return _instead(found, ~counts.doubts, counts.low, alone)


def _min(measure: Measure, counts: Counts) -> Said:
    if counts.exact:
        return Said(counts.low, counts.empty)
    there = counts.known > 0
    alone = np.where(there, np.uint8(0), np.uint8(_EMPTY))
    found = _between(counts.high, counts.low, there & ~counts.lacks, there, counts.cause)
    return _instead(found, ~counts.doubts, counts.low, alone)


_SAYS: Final[dict[str, Callable[[Measure, Counts], Said]]] = {
    "count": _count,
    "distinct": _distinct,
    "sum": _sum,
    "mean": _mean,
    "most repeated": _repeated,
    **dict.fromkeys(("first", "last", "time since last"), _met),
    "max": _max,
    "min": _min,
}
