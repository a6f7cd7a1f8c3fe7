"""Ticks between the events of a run: for every key that came, a row at each moment that passes. It knows nothing of decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.backends.columnar_layout import names, pack
from engine.features.columnar import ANSWER
from engine.features.spec import Layout
from engine.features.windows import FOREVER
from engine.plan import DAY_OF_EVENT, NOW, TICK, Plan
from engine.run.border import ROW
from engine.run.moments import Every, next_tick
from engine.run.order import cut
from engine.run.source import CHUNK_ROWS
from engine.values import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_AT: Final = "@at"


class Ticks:
    """Puts ticks among the rows of one run, given in the order of arrival; made once a run.

    A tick comes before the first event whose time is at its moment or after it: it sees what arrived before. There is one for every key of
    which an event came before, in the order in which the keys came. Ticks are numbered down from -1 in `@row`.
    """

    def __init__(self, every: Every, plan: Plan) -> None:
        self.per, self._every, self._record = every.per, every, plan.record
        layout = Layout(plan.record, tuple(plan.history))
        self._clock = layout.clock
        self._roles = _roles(layout, every.per)
        self._types = {field.name: field.type for field in plan.record.fields}
        self._columns = [physical for name in every.per for physical in names(name, self._types[name])]
        self._absent = pack([dict.fromkeys(self._types, MISSING)], self._types)
        self._known: pl.DataFrame | None = None
        self._newest = FOREVER
        self._next: int | None = None
        self._made = 0
        self._schema: Mapping[str, pl.DataType] = {}

    def among(self, frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows with the ticks between them, in frames that are not too large; `@tick` says which are which."""
        frame = frame.with_columns(pl.lit(False).alias(TICK))
        yield from cut(self._pieces(frame), CHUNK_ROWS)

    def rest(self) -> Iterator[pl.DataFrame]:
        """The ticks after the last event, where they were asked for until a later moment."""
        yield from cut(self._rest(), CHUNK_ROWS)

    def _pieces(self, frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
        if not frame.height:
            return
        self._schema = frame.schema
        if self._known is None:
            self._known = frame.select(self._columns).clear()
            self._advance(frame[NOW][0])
        before, new = self._known.height, self._new(frame)
        self._known = pl.concat([self._known, new.select(self._columns)])
        reached = frame.select(pl.max_horizontal(pl.col(NOW).cum_max(), self._newest)).to_series()
        start = 0
        while self._next is not None and self._next <= reached[-1]:
            row = int(reached.search_sorted(self._next, side="left"))
            yield frame.slice(start, row - start)
            yield from self._tick(before + int(new[_AT].search_sorted(row, side="left")))
            start = row
        self._newest = reached[-1]
        yield frame.slice(start)

    def _rest(self) -> Iterator[pl.DataFrame]:
        while self._every.until is not None and self._next is not None and self._known is not None:
            yield from self._tick(self._known.height)

    def _new(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The keys that these rows bear for the first time, each with the place of its first row."""
        assert self._known is not None
        frame = frame.with_row_index(_AT)
        bearing = []
        for role in self._roles:
            renamed = {there: here for name, other in zip(self.per, role, strict=True) for there, here in self._pairs(other, name)}
            known = pl.all_horizontal(pl.col(f"{name}#") == 0 for name in role)
            bearing.append(frame.filter(known).select(_AT, *renamed).rename(renamed))
        keys = pl.concat(bearing).sort(_AT, maintain_order=True).unique(self._columns, keep="first", maintain_order=True)
        return keys.join(self._known, on=self._columns, how="anti", nulls_equal=True, maintain_order="left")

    def _pairs(self, other: str, name: str) -> Iterator[tuple[str, str]]:
        return zip(names(other, self._types[other]), names(name, self._types[name]), strict=True)

    def _advance(self, time: int) -> None:
        following = next_tick(self._clock, self._every.period, time)
        late = following is not None and self._every.until is not None and following > self._every.until
        self._next = None if late else following

    def _tick(self, keys: int) -> Iterator[pl.DataFrame]:
        """The next tick for the first so many keys."""
        assert self._known is not None and self._next is not None
        time = self._next
        for start in range(0, keys, CHUNK_ROWS):
            yield self._rows(self._known.slice(start, min(CHUNK_ROWS, keys - start)), time)
        self._advance(time)

    def _rows(self, keys: pl.DataFrame, time: int) -> pl.DataFrame:
        numbers = pl.int_range(-1 - self._made, -1 - self._made - keys.height, -1, eager=True).alias(ROW)
        self._made += keys.height
        at = self._record.time
        given = {at: time, f"{at}#": 0, NOW: time, DAY_OF_EVENT: self._clock.day(time), ANSWER: None, TICK: True}
        rows = self._absent[[0] * keys.height].with_columns(*keys, numbers, *(pl.lit(value).alias(name) for name, value in given.items()))
        lacking = [pl.lit(None, dtype).alias(name) for name, dtype in self._schema.items() if name not in rows.columns]
        return rows.with_columns(lacking).select(pl.col(name).cast(dtype) for name, dtype in self._schema.items())


def _roles(layout: Layout, per: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The fields in which an event bears the key."""
    found: dict[tuple[str, ...], None] = {}
    for history in layout.histories:
        if history.per == per:
            found |= dict.fromkeys((name,) for name in history.matched) if history.matched else {per: None}
    return list(found)
