"""History features over frames whose rows are in order of arrival: the same values as a store gives row by row, bit for bit.

It finds out which rows are new, judges them by columns, and lets `sliding` do the arithmetic key by key.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.backends import columnar, single
from engine.backends.columnar_layout import dtype, names, pack, packed, unpack
from engine.errors import InputError
from engine.features.looking import Asked, Cell, cell
from engine.features.sliding import Course, Past
from engine.features.spec import THIS, BoundFeatures, History, Layout, Slot, formula_steps
from engine.features.store import HistoryFrom, complete_since
from engine.features.tallies import OUT, RAW, SURE
from engine.lang import ir
from engine.plan import NOW, TICK, Row
from engine.values import Interval, Missing, Type, Value, first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.record import Record

ANSWER: Final = "@answer"
"""A column: the number of the answer a row gets, which is that of the first row that said the same."""
CONTENT: Final = "@content"
"""A column: the hash of what a row says in the record's fields."""

_KEPT_ROWS: Final = 1 << 16
"""Answers to so many rows stay in memory, for events that come again; older ones wait on disk."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be taken: its place in the frame it came in, and why."""

    row: int
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """`frame` is what was given without the rejected rows, and with every feature; the order is as it was."""

    frame: pl.DataFrame
    rejects: tuple[Reject, ...]


class WindowState:
    """What one batch remembers from frame to frame. Made once a batch, never shared by two."""

    def __init__(self, groups: Sequence[BoundFeatures], record: Record, history_from: HistoryFrom = None) -> None:
        self.layout = Layout(record, tuple(groups))
        self.since = complete_since(history_from, record)
        self.pasts: list[dict[tuple[Value, ...], Past]] = [{} for _ in self.layout.histories]
        self.answered = 0
        # one entry a row is what a batch remembers without end: the number of a key's event, and by number a hash of what it said
        self.seen: dict[Value, int] = {}
        self.contents = array("Q")
        self.answers = _Answers()
        self.formulas = formula_steps(self.layout)
        self.judges = [[_Judge(slot, self.layout) for slot in history.slots] for history in self.layout.histories]
        self.courses = [Course(history, self.layout.late) for history in self.layout.histories]


def observe(frame: pl.DataFrame, state: WindowState) -> Observed:
    """All features of the rows of `frame`, typed and in order of arrival, going on from the frames before.

    A row without key or time is rejected, and one whose key came before with other content; one that came before with the same content
    counts once and gets the answer it got then. A row that the flag column `@tick` marks looks and does not enter: it needs no key, comes
    never again, and counts in no window.
    """
    kept, rejects = sort_out(frame, state)
    return Observed(answered(kept, state).drop(ANSWER), rejects)


def answered(frame: pl.DataFrame, state: WindowState) -> pl.DataFrame:
    """What `sort_out` kept, with every feature. Ticks may have come in between, `@answer` of which is null."""
    if not state.layout.types:
        return frame
    new = frame.select(pl.col(ANSWER).is_null() | (pl.col(ANSWER).is_first_distinct() & (pl.col(ANSWER) >= state.answered))).to_series()
    fresh = frame.filter(new)
    answers = features(fresh, state)
    events = answers.filter(fresh[ANSWER].is_not_null())
    state.answers.keep(events, state.answered)
    state.answered += events.height
    if new.all():
        return frame.hstack(answers)
    answers = pl.concat([answers, state.answers.rows(frame[ANSWER].filter(~new).to_list())])
    order = pl.select(pl.when(new).then(new.cum_sum()).otherwise(fresh.height + (~new).cum_sum()) - 1).to_series()
    return frame.hstack(answers[order])


def many(frame: pl.DataFrame, state: WindowState) -> pl.DataFrame:
    """The features alone. Raises `InputError` where `observe` would reject a row."""
    observed = observe(frame, state)
    if observed.rejects:
        raise InputError(observed.rejects[0].message)
    return observed.frame.select(columns(state.layout.types))


def columns(types: Mapping[str, Type]) -> list[str]:
    """The physical columns of these."""
    return [physical for name, type_ in types.items() for physical in names(name, type_)]


def constant(row: Row, types: Mapping[str, Type], height: int) -> pl.DataFrame:
    """A frame that says the same in every row."""
    return pack([row] * height, types)


# --- which rows are new ----------------------------------------------------------------------------------------------


def sort_out(frame: pl.DataFrame, state: WindowState) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
    """The rows that can be taken, with the number of the answer each of them gets in `@answer` (null for a tick); and the others.

    Where the frame brings `@content`, it is what `content` says of whole rows, and of the record key, time and revision are enough.
    """
    record = state.layout.record
    keys = _keys(frame, record.key, record)
    times = frame[record.time].to_list()
    hashes = (frame[CONTENT] if CONTENT in frame.columns else content(frame, record)).to_list()
    several = len(record.key) > 1
    kept: list[int] = []
    places: list[int | None] = []
    rejects: list[Reject] = []
    for row, (key, time, said, tick) in enumerate(zip(keys, times, hashes, _ticks(frame), strict=True)):
        if time is None or (key.__class__ is Missing and not tick):
            rejects.append(Reject(row, _lacks(frame[row], record, (record.time,) if tick else (*record.key, record.time))))
            continue
        place = None if tick else state.seen.setdefault(key if several else key[0], len(state.contents))
        if place == len(state.contents):
            state.contents.append(said)
        elif place is not None and state.contents[place] != said:
            rejects.append(Reject(row, _other_content(record, key)))
            continue
        kept.append(row)
        places.append(place)
    taken = frame[kept] if rejects else frame
    return taken.with_columns(pl.Series(ANSWER, places, dtype=pl.Int64)), tuple(rejects)


def _ticks(frame: pl.DataFrame) -> list[bool]:
    """For every row whether it is a moment and no event."""
    return frame[TICK].fill_null(False).to_list() if TICK in frame.columns else [False] * frame.height


def _other_content(record: Record, key: tuple[Value, ...]) -> str:
    shown = ", ".join(f"`{name}` = {value!r}" for name, value in zip(record.key, key, strict=True))
    return f"an event with {shown} was there before with other content"


def _lacks(row: pl.DataFrame, record: Record, needed: Sequence[str]) -> str:
    values = unpack(row, {name: record.field(name).type for name in needed})[0]
    name, value = next((name, value) for name, value in values.items() if value.__class__ is Missing)
    return f"an event needs `{name}`: it is {value!r}"


def content(frame: pl.DataFrame, record: Record) -> pl.Series:
    """A hash of what each row says in the record's fields."""
    parts = []
    for field in record.fields:
        for physical in names(field.name, field.type):
            if physical in frame.columns:
                parts.append(pl.col(physical))
            elif physical == f"{field.name}#":
                parts.append(pl.col(field.name).is_null().cast(pl.UInt8).alias(physical))
    return frame.select(pl.struct(parts).hash()).to_series()


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


# --- features --------------------------------------------------------------------------------------------------------


def features(frame: pl.DataFrame, state: WindowState) -> pl.DataFrame:
    """The features alone, of rows of which it is known that they are new, or ticks."""
    layout = state.layout
    times: list[int] = frame[layout.record.time].to_list()
    sinces = _sinces(frame, times, state)
    judged = frame.with_columns(pl.col(layout.record.time).alias(NOW), pl.lit(0, pl.UInt8).alias(f"{NOW}#"))
    found: dict[str, list[Value]] = {}
    for index in range(len(layout.histories)):
        found |= _history(judged, times, sinces, state, index)
    series = [
        part for column, values in found.items() for part in packed(column, values, layout.types[column], dtype(layout.types[column]))
    ]
    answers = pl.DataFrame(series)
    for formula in state.formulas:
        answers = answers.hstack(formula.many(judged.hstack(answers)))
    return answers.select(columns(layout.types))


def _sinces(frame: pl.DataFrame, times: list[int], state: WindowState) -> list[int]:
    """For every row since when history is complete, as far as was known then; a moment before the first event knows of none but itself."""
    if state.since is not None:
        return [state.since] * len(times)
    begin = next((row for row, tick in enumerate(_ticks(frame)) if not tick), len(times))
    if begin < len(times):
        state.since = times[begin]
    return times[:begin] + times[begin : begin + 1] * (len(times) - begin)


def _history(frame: pl.DataFrame, times: list[int], sinces: list[int], state: WindowState, index: int) -> dict[str, list[Value]]:
    """Every measure of one history, by column; `frame` also holds `now`."""
    layout, history, pasts = state.layout, state.layout.histories[index], state.pasts[index]
    cells = [judge.cells(frame) for judge in state.judges[index]]
    currencies, this = _currencies(frame, history, layout.record), _this(frame, history, layout)
    found: list[list[Value]] = [[]] * frame.height
    by_key: dict[tuple[Value, ...], list[Asked]] = {}
    for row, (key, entered) in enumerate(_entered(frame, history, layout.record)):
        if key.__class__ is Missing:
            found[row] = [key] * len(history.measures)
        for one in entered if key.__class__ is Missing or key in entered else (key, *entered):
            asked = Asked(row, times[row], currencies[row], sinces[row], this[row], one == key, one in entered)
            by_key.setdefault(one, []).append(asked)
    for key, events in by_key.items():
        past = pasts.get(key)
        if past is None:
            past = pasts[key] = Past(state.courses[index])
        for asked, values in zip(events, past.walk(events, cells), strict=True):
            if asked.looks:
                found[asked.row] = values
    return {measure.column: [values[place] for values in found] for place, measure in enumerate(history.measures)}


def _entered(frame: pl.DataFrame, history: History, record: Record) -> list[tuple[Any, tuple[tuple[Value, ...], ...]]]:
    """For every row the key it looks under, or the missing value that stands in its place, and the keys it is kept under, each once."""
    keys, ticks = _keys(frame, history.per, record), _ticks(frame)
    if not history.matched:
        return [(key, () if tick or key.__class__ is Missing else (key,)) for key, tick in zip(keys, ticks, strict=True)]
    bearing = zip(*(_values(frame, name, record.field(name).type) for name in history.matched), strict=True)
    kept = [tuple(dict.fromkeys((value,) for value in values if value.__class__ is not Missing)) for values in bearing]
    return [(key, () if tick else keys) for key, keys, tick in zip(keys, kept, ticks, strict=True)]


def _this(frame: pl.DataFrame, history: History, layout: Layout) -> list[Row]:
    """For every row what conditions and windows read of the event that looks, under names that say so."""
    types = {name: type_ for slot in history.slots for name, type_ in slot.fields(this=True).items()}
    fields = {measure.reach.window.field for measure in history.measures}
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

    def cells(self, frame: pl.DataFrame) -> list[Cell]:
        """One cell a row; `frame` also holds `now`."""
        if self.slot.looks:
            fields = unpack(frame, self._fields) if self._fields else [{}] * frame.height
            return [(RAW, pair) for pair in zip(self._values(frame), fields, strict=True)]
        if self._conditions is None and self._of is None and not self.slot.share:
            return [(SURE, True)] * frame.height
        judged = pl.DataFrame() if self._conditions is None else self._conditions(frame)
        truths, parts, events = (
            judged[name].to_list() if name in judged.columns else [True] * frame.height for name in ("@where", "@part", "@event")
        )
        if self._of is None and not self.slot.share and self.slot.event is None:
            return [_COUNTED[truth] for truth in truths]
        cells = [cell(*given, self.slot.share) for given in zip(truths, self._values(frame), parts, strict=True)]
        return cells if self.slot.event is None else [_marked(event, one) for event, one in zip(events, cells, strict=True)]

    def _values(self, frame: pl.DataFrame) -> list[Any]:
        """The values; none where they are not known."""
        if self._of is None:
            return [True] * frame.height
        return [None if value.__class__ in (Missing, Interval) else value for value in self._of(frame)]


def _judged(of: ir.Expr, layout: Layout) -> Callable[[pl.DataFrame], list[Value]]:
    if of.type.scale == 1:
        compute = columnar.compile_exprs({"@of": of})
        return lambda frame: _values(compute(frame), "@of", of.type)
    # a frame settles money to whole minor units, history keeps it exact until it is summed up
    types = {name: layout.time if name == NOW else layout.record.field(name).type for name in ir.reads(of)}
    one = single.compile_expr(of)
    return lambda frame: [one(row) for row in unpack(frame, types)]


_COUNTED: Final[dict[bool | None, Cell]] = {truth: cell(truth, None if truth is False else True) for truth in (True, None, False)}


def _marked(event: bool | None, one: Cell) -> Cell:
    """A row with whether it is the event a window begins with; one that is neither that nor counts is not kept."""
    state, value = one
    return one if state == OUT and event is False else (state, (event, value))


# --- answers to events that may come again ---------------------------------------------------------------------------


class _Answers:
    """Every answer of a batch by its number: the last ones in memory, the others in files that go when the batch does."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._parts: list[pl.DataFrame | Path] = []
        self._folder: Path | None = None

    def keep(self, answers: pl.DataFrame, number: int) -> None:
        """Keep answers, of which the first has this number and the others follow."""
        if not answers.height:
            return
        loose = next((i for i, part in enumerate(self._parts) if isinstance(part, pl.DataFrame)), None)
        if loose is not None and number + answers.height - self._starts[loose] > _KEPT_ROWS:
            self._put_away(loose)
        self._starts.append(number)
        self._parts.append(answers)

    def _put_away(self, begin: int) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="history-"))
            weakref.finalize(self, shutil.rmtree, self._folder, True)
        path = self._folder / f"{begin}.arrow"
        pl.concat(part for part in self._parts[begin:] if isinstance(part, pl.DataFrame)).write_ipc(path)
        self._parts[begin:] = [path]
        self._starts[begin:] = [self._starts[begin]]

    def rows(self, numbers: Sequence[int]) -> pl.DataFrame:
        """The answers with these numbers, in this order."""
        by_part: dict[int, list[int]] = {}
        for place, number in enumerate(numbers):
            by_part.setdefault(bisect_right(self._starts, number) - 1, []).append(place)
        found = []
        for index, places in by_part.items():
            part = self._parts[index]
            frame = part if isinstance(part, pl.DataFrame) else pl.read_ipc(part)
            picked = frame[[numbers[place] - self._starts[index] for place in places]]
            found.append(picked.with_columns(pl.Series("@place", places)))
        return pl.concat(found).sort("@place").drop("@place")
