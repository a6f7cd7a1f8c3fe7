"""Histories whose rows are looked at one after the other: judged by columns, grouped by key, and given to `sliding`, which does the
arithmetic. It takes every measure there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.backends import columnar, single
from engine.backends.columnar_layout import dtype, packed, unpack
from engine.features.looking import Asked, Cell, cell
from engine.features.networked import course
from engine.features.sliding import Past
from engine.features.spec import THIS, History, Layout, Slot
from engine.features.tallies import OUT, RAW, SURE
from engine.lang import ir
from engine.plan import Row
from engine.values import Interval, Missing, Type, Value, first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.features.columnar_frame import Arrived
    from engine.record import Record


class RowByRow:
    """One history, carried from frame to frame: for every key its `Past`."""

    def __init__(self, history: History, layout: Layout) -> None:
        self._history, self._layout = history, layout
        self._pasts: dict[tuple[Value, ...], Past] = {}
        self._judges = [_Judge(slot, layout) for slot in history.slots]
        self._corrected = layout.record.revision is not None
        self._course = course(history, layout.late, self._corrected)
        # where events are corrected: under which keys an event may stand, and under each of these at what time it does
        self._under: dict[Any, dict[tuple[Value, ...], None]] = {}
        self._stands: dict[tuple[Value, ...], dict[Any, int]] = {}

    def observe(self, arrived: Arrived) -> list[pl.Series]:
        """The physical columns of every measure."""
        history, types = self._history, self._layout.types
        cells = [judge.cells(arrived.frame) for judge in self._judges]
        found: list[list[Value]] = [[]] * arrived.frame.height
        for key, events in self._by_key(arrived, found).items():
            past = self._pasts.get(key)
            if past is None:
                past = self._pasts[key] = Past(self._course)
            stands = self._stands.setdefault(key, {}) if self._corrected else None
            for asked, values in zip(events, past.walk(events, cells, stands), strict=True):
                if asked.looks:
                    found[asked.row] = values
        said = ((measure.column, [values[place] for values in found]) for place, measure in enumerate(history.measures))
        return [part for column, values in said for part in packed(column, values, types[column], dtype(types[column]))]

    def _by_key(self, arrived: Arrived, found: list[list[Value]]) -> dict[tuple[Value, ...], list[Asked]]:
        """For every key the events that look or enter under it; those without a key find that it is missing."""
        history, record, frame, times, sinces = self._history, self._layout.record, arrived.frame, arrived.moments, arrived.sinces
        currencies, this = _currencies(frame, history, record), _this(frame, history, self._layout)
        by_key: dict[tuple[Value, ...], list[Asked]] = {}
        for row, ((key, entered), event) in enumerate(zip(_entered(arrived, history), self._events(arrived), strict=True)):
            looked = () if key.__class__ is Missing else (key,)
            if not looked:
                found[row] = [key] * len(history.measures)
            under = {} if event is None else self._under.setdefault(event, {})
            for one in dict.fromkeys((*looked, *entered, *under)):
                asked = Asked(row, times[row], currencies[row], sinces[row], this[row], one in looked, one in entered, event)
                by_key.setdefault(one, []).append(asked)
            under.update(dict.fromkeys(entered))
        return by_key

    def _events(self, arrived: Arrived) -> list[Any]:
        """For every row its record's key, where events are corrected; none for a tick."""
        if not self._corrected:
            return [None] * arrived.frame.height
        keys = _keys(arrived.frame, arrived.record.key, arrived.record)
        return [None if tick else key for key, tick in zip(keys, arrived.ticks, strict=True)]


def _entered(arrived: Arrived, history: History) -> list[tuple[Any, tuple[tuple[Value, ...], ...]]]:
    """For every row the key it looks under, or the missing value that stands in its place, and the keys it is kept under, each once."""
    frame, record, moments = arrived.frame, arrived.record, arrived.ticks
    keys = _keys(frame, history.ends or history.per, record)
    if history.ends:
        keys = [key if key.__class__ is Missing else () for key in keys]
    if not history.matched:
        return [(key, () if tick or key.__class__ is Missing else (key,)) for key, tick in zip(keys, moments, strict=True)]
    bearing = zip(*(_values(frame, name, record.field(name).type) for name in history.matched), strict=True)
    kept = [tuple(dict.fromkeys((value,) for value in values if value.__class__ is not Missing)) for values in bearing]
    return [(key, () if tick else keys) for key, keys, tick in zip(keys, kept, moments, strict=True)]


def _this(frame: pl.DataFrame, history: History, layout: Layout) -> list[Row]:
    """For every row what conditions and windows read of the event that looks, under names that say so."""
    types = {name: type_ for slot in history.slots for name, type_ in slot.fields(this=True).items()}
    fields = {*history.ends, *(measure.reach.window.field for measure in history.measures)}
    types |= {name: layout.record.field(name).type for name in fields if name is not None}
    if not types:
        return [{}] * frame.height
    return [{f"{THIS}{name}": value for name, value in row.items()} for row in unpack(frame, types)]


def _currencies(frame: pl.DataFrame, history: History, record: Record) -> list[list[Value]]:
    """For every row and slot the event's currency, where a sum by currency asks for it."""
    by = [None if slot.of is None else slot.of.type.by for slot in history.slots]
    parts = [[None] * frame.height if name is None else _values(frame, name, record.field(name).type) for name in by]
    return [list(row) for row in zip(*parts, strict=True)]


class _Judge:
    """What each row of a frame is to one slot."""

    def __init__(self, slot: Slot, layout: Layout) -> None:
        self.slot, self._fields = slot, slot.fields()
        conditions = {"@where": slot.where, "@part": slot.part, "@event": slot.event}
        asked = {} if slot.looks else {name: condition for name, condition in conditions.items() if condition is not None}
        self._conditions = columnar.compile_exprs(asked) if asked else None
        self._of = None if slot.of is None else _judged(slot.of, layout)
        self._ends = {name: layout.record.field(name).type for name in slot.ends}

    def cells(self, frame: pl.DataFrame) -> list[Cell]:
        """One cell a row; `frame` also holds `now`."""
        if self.slot.looks:
            fields = unpack(frame, self._fields) if self._fields else [{}] * frame.height
            return [(RAW, pair) for pair in zip(self._values(frame), fields, strict=True)]
        bare = self._of is None and not self.slot.share and not self.slot.ends
        if self._conditions is None and bare:
            return [(SURE, True)] * frame.height
        judged = pl.DataFrame() if self._conditions is None else self._conditions(frame)
        truths, parts, events = (
            judged[name].to_list() if name in judged.columns else [True] * frame.height for name in ("@where", "@part", "@event")
        )
        if bare and self.slot.event is None:
            return [_COUNTED[truth] for truth in truths]
        cells = [cell(*given, self.slot.share) for given in zip(truths, self._values(frame), parts, strict=True)]
        return cells if self.slot.event is None else [_marked(event, one) for event, one in zip(events, cells, strict=True)]

    def _values(self, frame: pl.DataFrame) -> list[Any]:
        """The values; none where they are not known."""
        if self._of is None:
            values: list[Any] = [True] * frame.height
        else:
            values = [None if value.__class__ in (Missing, Interval) else value for value in self._of(frame)]
        if not self.slot.ends:
            return values
        return list(zip(*(_values(frame, name, self._ends[name]) for name in self.slot.ends), values, strict=True))


def _judged(of: ir.Expr, layout: Layout) -> Callable[[pl.DataFrame], list[Value]]:
    if of.type.scale == 1:
        compute = columnar.compile_exprs({"@of": of})
        return lambda frame: _values(compute(frame), "@of", of.type)
    # a frame settles money to whole minor units, history keeps it exact until it is summed up
    types = {name: layout.column(name) for name in ir.reads(of)}
    one = single.compile_expr(of)
    return lambda frame: [one(row) for row in unpack(frame, types)]


_COUNTED: Final[dict[bool | None, Cell]] = {truth: cell(truth, None if truth is False else True) for truth in (True, None, False)}


def _marked(event: bool | None, one: Cell) -> Cell:
    """A row with whether it is the event a window begins with; one that is neither that nor counts is not kept."""
    state, value = one
    return one if state == OUT and event is False else (state, (event, value))


def _keys(frame: pl.DataFrame, fields: Sequence[str], record: Record) -> list[Any]:
    """For every row its key, or the missing value that stands in its place."""
    parts = [_values(frame, name, record.field(name).type) for name in fields]
    if not any(value.__class__ is Missing for part in parts for value in part):
        return list(zip(*parts, strict=True))
    return [
        key if not any(part.__class__ is Missing for part in key) else first(part for part in key if part.__class__ is Missing)
        for key in zip(*parts, strict=True)
    ]


def _values(frame: pl.DataFrame, name: str, type_: Type) -> list[Value]:
    if type_.kind not in ("list", "money") and not type_.interval and not frame[name].null_count():
        plain: list[Value] = frame[name].to_list()
        return plain
    return [row[name] for row in unpack(frame, {name: type_})]
