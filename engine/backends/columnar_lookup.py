"""Reference tables and rates over frames: the rows and the rates of many keys and moments at once, by a join and by bisection.

It gives columns; what they mean where something is missing is `columnar_exprs`' concern.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from engine.backends.columnar_layout import dtype, packed
from engine.currencies import DIGITS
from engine.periods import NOTHING
from engine.rates import factors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lang import ir
    from engine.periods import Steps
    from engine.rates import Rates
    from engine.reference_table import ReferenceTable

Array = np.ndarray[Any, Any]

_PLACE: Final = "@place"
_ENDS: Final = (".up", ".down")


class Bisection:
    """`Steps.find` of many keys, given by their places, at many moments."""

    def __init__(self, steps: Steps) -> None:
        starts = np.frombuffer(steps.starts, np.int64) if len(steps.starts) else np.zeros(0, np.int64)
        self._numbers = np.append(np.frombuffer(steps.numbers, np.int64), NOTHING) if len(steps.numbers) else np.array([NOTHING])
        self._ends = np.frombuffer(steps.ends, np.int64)
        # place and moment as one number, in the order of both: moments by their rank among all that occur
        self._moments = np.unique(starts)
        self._width = self._moments.size + 1
        places = np.repeat(np.arange(self._ends.size - 1), np.diff(self._ends))
        self._joint = places * self._width + np.searchsorted(self._moments, starts) + 1

    def find(self, places: Array, at: Array) -> Array:
        """The numbers; `NOTHING` for a place below nought too."""
        if not self._joint.size:
            return np.full(places.size, NOTHING)
        wanted = places * self._width + np.searchsorted(self._moments, at, side="right")
        found = np.searchsorted(self._joint, wanted, side="right") - 1
        there = (places >= 0) & (found >= self._ends[np.maximum(places, 0)])
        numbers: Array = self._numbers[np.where(there, found, -1)]
        return numbers


@dataclass(frozen=True)
class LookedUp:
    """The columns of an `ir.Lookup`: of a frame in which `columns` hold the keys, and the moment where rows have dates. Rows in which one
    of them is null get anything."""

    expr: ir.Lookup
    columns: Sequence[str]
    name: str

    def __call__(self, frame: pl.DataFrame) -> list[pl.Series]:
        rows = self._rows(frame)
        return [series.gather(rows).alias(series.name) for series in self._values()]

    def _values(self) -> list[pl.Series]:
        table, column = self.expr.table, self.expr.column
        type_ = table.columns[column].type
        made: list[pl.Series] = table.kept(("packed", column), lambda: packed("", table.values(column), type_, dtype(type_)))
        return [series.alias(self.name + series.name) for series in made]

    def _rows(self, frame: pl.DataFrame) -> Array:
        table, at = self.expr.table, self.expr.at
        keys = self.columns if at is None else self.columns[:-1]
        there: pl.DataFrame = table.kept("keys", lambda: _keys(table))
        given = frame.select(pl.col(name).alias(str(place)) for place, name in enumerate(keys))
        on = [str(place) for place in range(len(keys))]
        joined = given.join(there, on=on, how="left", maintain_order="left")[_PLACE]
        places = joined.fill_null(NOTHING).to_numpy()
        if at is None:
            return np.where(places < 0, len(table), places)
        kind, zone = at.type.kind, self.expr.zone
        bisection: Bisection = table.kept(("bisection", kind, zone), lambda: Bisection(table.steps(kind, zone)))
        found = bisection.find(places, frame[self.columns[-1]].fill_null(0).to_numpy())
        return np.where(found < 0, len(table), found)


def _keys(table: ReferenceTable) -> pl.DataFrame:
    """Every key once, in the order in which `rows` and `steps` number them."""
    keys = list(table.rows)
    several = zip(*keys, strict=True) if len(table.key) > 1 else [keys]
    columns = [list(values) for values in several] or [[] for _ in table.key]
    made = [
        pl.Series(str(place), values, dtype=dtype(table.columns[name].type))
        for place, (name, values) in enumerate(zip(table.key, columns, strict=True))
    ]
    return pl.DataFrame([*made, pl.Series(_PLACE, range(len(keys)), dtype=pl.Int64)])


@dataclass(frozen=True)
class Exchanged:
    """What `ir.Convert` multiplies and divides by in every row, as columns of 128 bits, ``NAME.up`` and ``NAME.down``; null where a rate
    is not in force. `at` holds the moment, `currency` the currency where amounts bring their own."""

    expr: ir.Convert
    at: str
    currency: str | None
    name: str

    def __call__(self, frame: pl.DataFrame) -> list[pl.Series]:
        at, money = frame[self.at].fill_null(0).to_numpy(), self.expr.item.type
        target, source = self.expr.type.currency or "", money.currency
        if self.currency is None:
            return self._factors(source or "", target, at)
        codes = frame[self.currency]
        up, down = (pl.Series(self.name + end, [None] * frame.height, dtype=pl.Int128) for end in _ENDS)
        for code in codes.unique().drop_nulls().to_list():
            if code not in DIGITS:
                continue
            here = np.flatnonzero((codes == code).fill_null(False).to_numpy())
            some = self._factors(code, target, at[here])
            up, down = up.scatter(here, some[0]), down.scatter(here, some[1])
        return [up, down]

    def _factors(self, source: str, target: str, at: Array) -> list[pl.Series]:
        finer, coarser = factors(source, target, self.expr.item.type.scale)
        if source == target:
            parts = [pl.Series([1], dtype=pl.Int128), pl.Series([coarser], dtype=pl.Int128)]
            return [part.gather(np.zeros(at.size, np.int64)).alias(self.name + end) for part, end in zip(parts, _ENDS, strict=True)]
        wanted, given = self._rate(target, at), self._rate(source, at)
        frame = pl.DataFrame([wanted.alias("up"), given.alias("down")])
        there = pl.all_horizontal(pl.all().is_not_null())
        up, down = pl.col("up") * pl.lit(finer, dtype=pl.Int128), pl.col("down") * pl.lit(coarser, dtype=pl.Int128)
        made = (pl.when(there).then(part).alias(self.name + end) for part, end in zip((up, down), _ENDS, strict=True))
        return frame.select(made).get_columns()

    def _rate(self, currency: str, at: Array) -> pl.Series:
        """The rates of one currency; null where none is in force."""
        rates, kind, zone = self.expr.rates, self.expr.at.type.kind, self.expr.zone
        if currency == rates.base:
            return pl.Series([rates.unit], dtype=pl.Int128).gather(np.zeros(at.size, np.int64))
        bisection: Bisection = rates.kept(("bisection", kind, zone), lambda: Bisection(rates.steps(kind, zone)))
        place = rates.steps(kind, zone).keys.get(currency, NOTHING)
        found = bisection.find(np.full(at.size, place), at)
        flat: pl.Series = rates.kept("flat rates", lambda: _flat(rates))
        return flat.gather(np.where(found < 0, len(flat) - 1, found))


def _flat(rates: Rates) -> pl.Series:
    """All rates one after the other, and behind them none."""
    return pl.Series([*rates.flat[1], None], dtype=pl.Int128)
