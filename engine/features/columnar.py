"""History features over frames whose rows are in order of arrival: the same values as a store gives row by row, bit for bit.

Which rows are new is found out in `columnar_seen`; of each history, `columnar_plain` takes what it can, `columnar_rows` the rest.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.backends.columnar_layout import names, pack
from engine.errors import InputError
from engine.features.columnar_answers import Answers
from engine.features.columnar_frame import arrived
from engine.features.columnar_rows import RowByRow
from engine.features.columnar_seen import ANSWER, CONTENT, Reject, Seen, content
from engine.features.spec import BoundFeatures, Layout, formula_steps, part_of
from engine.features.store import HistoryFrom, complete_since
from engine.plan import NOW, Row
from engine.values import Type

_AT_ONCE: Final = 1 << 16

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.features.columnar_plain import Plain
    from engine.record import Record

__all__ = ["ANSWER", "CONTENT", "Observed", "Reject", "WindowState", "answered", "content", "features", "many", "observe", "sort_out"]


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
        self.seen = Seen()
        self.answers = Answers()
        self.answered = 0
        self.histories = list(_takers(self.layout))
        self.formulas = formula_steps(self.layout)


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
    if _all_new(frame[ANSWER], state.answered):
        answers = features(frame, state)
        state.answers.keep(answers, state.answered)
        state.answered += frame.height
        return frame.hstack(answers)
    return _with_others(frame, state)


def _all_new(numbers: pl.Series, first: int) -> bool:
    """Whether these are the next numbers, one after the other."""
    places = range(0, numbers.len(), _AT_ONCE)
    parts = ((numbers[place : place + _AT_ONCE], first + place) for place in places)
    return all((part == pl.int_range(number, number + part.len(), eager=True)).all(ignore_nulls=False) for part, number in parts)


def _with_others(frame: pl.DataFrame, state: WindowState) -> pl.DataFrame:
    """The same of a frame that has ticks, or events that are not new."""
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


def sort_out(frame: pl.DataFrame, state: WindowState) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
    """The rows that can be taken, with the number of the answer each of them gets in `@answer` (null for a tick); and the others.

    Where the frame brings `@content`, it is what `content` says of whole rows, and of the record key, time and revision are enough.
    """
    return state.seen.sort_out(frame, state.layout.record)


def features(frame: pl.DataFrame, state: WindowState) -> pl.DataFrame:
    """The features alone, of rows of which it is known that they are new, or ticks."""
    rows = arrived(frame, state.layout.record, state.since, state.layout.dated)
    state.since = rows.since
    answers = pl.DataFrame([column for history in state.histories for column in history.observe(rows)])
    return completed(rows.frame, answers, state)


def completed(frame: pl.DataFrame, answers: pl.DataFrame, state: WindowState) -> pl.DataFrame:
    """What history says of the rows of `frame`, with the features that are worked out from it, in their order."""
    judged = frame.with_columns(pl.lit(0, pl.UInt8).alias(f"{NOW}#"))
    for formula in state.formulas:
        answers = answers.hstack(formula.many(judged.hstack(answers)))
    return answers.select(columns(state.layout.types))


def _takers(layout: Layout) -> Iterator[RowByRow | Plain]:
    """Who takes the histories of a layout: the plain measures of each as arrays, the others row by row; all of them row by row
    where the loops cannot be compiled, and where events may be corrected."""
    if importlib.util.find_spec("numba") is None or layout.record.revision is not None:
        yield from (RowByRow(history, layout) for history in layout.histories)
        return
    from engine.features.columnar_plain import Plain, is_plain

    for history in layout.histories:
        plain = [measure for measure in history.measures if is_plain(measure, history)]
        others = [measure for measure in history.measures if measure not in plain]
        if plain:
            yield Plain(part_of(history, plain), layout)
        if others:
            yield RowByRow(part_of(history, others), layout)
