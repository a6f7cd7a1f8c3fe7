"""Many events through a plan: a frame at once, or files in chunks with history carried along. The same steps as for one event.

Rows go through in the record's order of arrival and come back in their own; rows that cannot be decided come back with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from engine.backends.columnar_steps import UNDECIDED
from engine.backends.holding import bound
from engine.backends.rules import POSSIBLE
from engine.features.columnar import WindowState, observe
from engine.features.columnar_passed import BatchHolder
from engine.plan import NOW, Plan, Step
from engine.run.border import ROW, like, to_polars, typed, written
from engine.run.shown import shown

WORD = 64


class Decisions(pl.DataFrame):
    """A frame of decisions; `rejects` holds the rows that could not be decided, with `row` (from 0) and `reason`."""

    rejects: pl.DataFrame


def decide_frame(plan: Plan, frame: Any, *, detail: str, values: bool, history_from: str | None) -> Any:
    """Decide every row of a polars, pandas or Arrow frame and give the same kind back. See `Engine.decide_batch`."""
    raw = to_polars(frame)
    read = typed(plan.record, raw)
    run = BatchRun(plan, detail=detail, values=values, history_from=history_from)
    done = run.decide(in_arrival_order(plan, read.frame))
    again = pl.DataFrame(done.refused, {ROW: pl.Int64, "reason": pl.String}, orient="row")
    again = again.with_columns(pl.Series("raw", written(raw, again[ROW]), dtype=pl.String))
    rejects = pl.concat([read.rejects, again]).sort(ROW).rename({ROW: "row"})
    result = Decisions(done.decisions.sort(ROW).drop(ROW))
    result.rejects = rejects
    return like(result, frame, rejects)


def in_arrival_order(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows in the order in which they arrived: as they stand, by a field, or by time (equal times as they stand)."""
    arrival = plan.record.arrival
    return frame if arrival == "stream" else frame.sort(NOW if arrival == "time" else arrival, maintain_order=True)


@dataclass(frozen=True, slots=True)
class Decided:
    """One chunk: its rows with everything the first reading added; those the second reading looked at, with what it added; the decisions
    in the order of the rows (with `@row`); and what was refused, as (`@row`, reason)."""

    rows: pl.DataFrame
    opened: pl.DataFrame
    decisions: pl.DataFrame
    refused: list[tuple[int, str]]


class BatchRun:
    """One run over chunks of typed rows in arrival order; history is carried from chunk to chunk."""

    def __init__(self, plan: Plan, *, detail: str, values: bool = False, history_from: str | None = None) -> None:
        self.plan, self.detail, self.values = plan, detail, values
        self.state = WindowState(plan.history, plan.record, history_from)
        self.holder = BatchHolder(plan.record, history_from)
        self.closed = bound(plan.closed, self.holder) if plan.held else plan.closed

    def decide(self, frame: pl.DataFrame) -> Decided:
        """Decide the next chunk. A key that came before with other content is refused."""
        observed = observe(frame, self.state)
        numbers = frame[ROW].to_list()
        refused = [(numbers[reject.row], reject.message) for reject in observed.rejects]
        closed, opened = self.rows(observed.frame)
        return Decided(closed, opened, self.read_off(closed, opened), refused)

    def rows(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Both readings of a frame that holds its history; the second has the rows alone in which a policy changed something."""
        if self.plan.held:
            self.holder.over(frame)
        closed = _through(self.closed, frame)
        if not self.plan.policies:
            return closed, closed.clear()
        touched = closed.select(pl.any_horizontal(self.plan.policies)).to_series()
        told = closed.select(part for held in self.plan.held.values() for name in (held.held, held.by) for part in (name, f"{name}#"))
        return closed, _through(self.plan.open, frame.hstack(told).filter(touched))

    def read_off(self, closed: pl.DataFrame, opened: pl.DataFrame) -> pl.DataFrame:
        """The decision columns of both readings, in the order of the rows."""
        if not opened.height:
            return self._columns(closed, closed)
        touched = closed[ROW].is_in(opened[ROW].implode())
        plain = closed.filter(~touched)
        parts = pl.concat([self._columns(plain, plain), self._columns(closed.filter(touched), opened)])
        return closed.select(ROW).join(parts, on=ROW, how="left", maintain_order="left")

    def _columns(self, closed: pl.DataFrame, opened: pl.DataFrame) -> pl.DataFrame:
        plan, decided = self.plan, f"{self.plan.decision}."
        first = closed.select(
            pl.col(ROW),
            self._key(),
            _time(plan).alias("time"),
            pl.col(f"{decided}outcome").alias("outcome"),
            self._score().alias("score"),
            pl.col(f"{decided}{POSSIBLE}").alias("closed"),
            self._names(plan.flags, _true, "flags", sort=True),
            self._names(plan.rules, _true, "hits"),
            *((self._names(plan.rules, self._held, "held"),) if plan.held else ()),
            *(self._values() if self.values else ()),
        )
        second = opened.select(
            pl.col(f"{decided}{POSSIBLE}").alias("opened"),
            pl.col(f"{decided}score<").alias("score_low"),
            pl.col(f"{decided}score>").alias("score_high"),
            self._names(plan.rules, _unjudged, "undecided"),
        )
        order = [ROW, "key", "time", "outcome", "possible", "robust", "score", "score_low", "score_high", "flags", "hits", "undecided"]
        both = first.hstack(second).with_columns(possible=pl.concat_list("opened", "closed").list.unique(maintain_order=True))
        both = both.with_columns(robust=pl.col("possible").list.len() == 1).drop("opened", "closed")
        return both.select(order + [column for column in both.columns if column not in order])

    def _key(self) -> pl.Expr:
        parts = [shown(name, self.plan.types[name])[0] for name in self.plan.record.key]
        return (parts[0] if len(parts) == 1 else pl.struct(parts)).alias("key")

    def _score(self) -> pl.Expr:
        worth = [_true(column).cast(pl.Int64) * points for column, points in self.plan.points.items()]
        return pl.sum_horizontal(worth) if worth else pl.lit(0, dtype=pl.Int64)

    def _names(self, columns: Any, test: Any, name: str, *, sort: bool = False) -> pl.Expr:
        """A list of the names whose column passes the test, or bits, 64 to a word."""
        names = list(dict.fromkeys(columns.values()))
        names = sorted(names) if sort else names
        flags = [pl.any_horizontal(test(c) for c, n in columns.items() if n == wanted) for wanted in names]
        if self.detail == "bits":
            return _bits(flags).alias(name)
        if not flags:
            return pl.lit([], dtype=pl.List(pl.String)).alias(name)
        marks = [pl.when(flag).then(pl.lit(text)) for flag, text in zip(flags, names, strict=True)]
        return pl.concat_list(marks).list.drop_nulls().alias(name)

    def _held(self, column: str) -> pl.Expr:
        held = self.plan.held.get(self.plan.rules[column])
        return pl.lit(False) if held is None else _true(held.before) & _true(held.held)

    def _values(self) -> Sequence[pl.Expr]:
        return [column for name, type_ in self.plan.outputs.items() for column in shown(name, type_)]


def _through(steps: Sequence[Step], frame: pl.DataFrame) -> pl.DataFrame:
    for step in steps:
        frame = frame.hstack(step.many(frame))
    return frame


def _true(column: str) -> pl.Expr:
    return pl.col(column).fill_null(False)


def _unjudged(column: str) -> pl.Expr:
    return pl.col(f"{column}#") == UNDECIDED


def _bits(flags: Sequence[pl.Expr]) -> pl.Expr:
    words = [
        pl.sum_horizontal(
            flag.cast(pl.UInt64) * pl.lit(2**place, dtype=pl.UInt64) for place, flag in enumerate(flags[start : start + WORD])
        )
        for start in range(0, max(len(flags), 1), WORD)
        if flags
    ]
    return pl.concat_arr(words or [pl.lit(0, dtype=pl.UInt64)])


def _time(plan: Plan) -> pl.Expr:
    if plan.types[NOW].kind == "date":
        return pl.col(NOW).cast(pl.Int32).cast(pl.Date)
    return pl.col(NOW).cast(pl.Datetime("us", "UTC"))
