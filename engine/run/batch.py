"""Many events through a plan: a frame at once, or files in chunks with history carried along. The same steps as for one event.

Rows go through in the record's order of arrival and come back in their own; rows that cannot be decided come back with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from engine.backends.columnar_layout import names
from engine.backends.columnar_shared import sharing
from engine.backends.holding import bound
from engine.backends.rules import ComputeStep, RuleStep
from engine.features.columnar import ANSWER, WindowState, answered, sort_out
from engine.features.columnar_passed import BatchHolder
from engine.plan import NOW, Plan, Step
from engine.run.border import ROW, like, to_polars, typed, written
from engine.run.decided import Columns

_FEW = 4
"""Where more than one row in so many has to be looked at again, all are: that is quicker than choosing them."""


class Decisions(pl.DataFrame):
    """A frame of decisions; `rejects` holds the rows that could not be decided, with `row` (from 0) and `reason`."""

    rejects: pl.DataFrame


def decide_frame(run: BatchRun, frame: Any) -> Any:
    """Decide every row of a polars, pandas or Arrow frame and give the same kind back. See `Engine.decide_batch`."""
    raw = to_polars(frame)
    read = typed(run.plan.record, raw)
    admitted, early = run.admitted(read.frame)
    done = run.decide(in_arrival_order(run.plan, admitted))
    again = pl.DataFrame([*early, *done.refused], {ROW: pl.Int64, "reason": pl.String}, orient="row")
    again = again.with_columns(pl.Series("raw", written(raw, again[ROW]), dtype=pl.String))
    rejects = pl.concat([read.rejects, again]).sort(ROW).rename({ROW: "row"})
    decided = done.decisions
    result = Decisions((decided if decided[ROW].is_sorted() else decided.sort(ROW)).drop(ROW))
    result.rejects = rejects
    return like(result, frame, rejects)


def in_arrival_order(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows in the order in which they arrived: as they stand, by a field, or by time (equal times as they stand)."""
    arrival = plan.record.arrival
    by = NOW if arrival == "time" else arrival
    return frame if arrival == "stream" or frame[by].is_sorted() else frame.sort(by, maintain_order=True)


class Decided(NamedTuple):
    """One chunk: its rows with everything the first reading added; those the second reading looked at, with what it added; the decisions
    in the order of the rows (with `@row`); and what was refused, as (`@row`, reason). Where several plans decided, `parts` has for each
    what it did, and the chunk itself has rows as they were before."""

    rows: pl.DataFrame
    opened: pl.DataFrame
    decisions: pl.DataFrame
    refused: Sequence[tuple[int, str]] = ()
    parts: tuple[tuple[Plan, Decided], ...] = ()


class Readings:
    """Both readings of a plan over rows that have their history. `holder` is what rules with `once` ask, `per` are the fields of ticks.

    Unless `whole` the rows hold of the steps' columns only those that are read.
    """

    def __init__(
        self, plan: Plan, holder: BatchHolder, *, detail: str, values: bool, per: Sequence[str] | None, whole: bool = True
    ) -> None:
        self.plan, self.off = plan, Columns(plan, detail=detail, values=values, per=per)
        self.closed = bound(plan.closed, holder) if plan.held else plan.closed
        self.wanted = None if whole else self._wanted()
        self.cheap = all(isinstance(step, RuleStep | ComputeStep) for step in plan.open)
        """Whether looking at a row again costs little, less than choosing rows."""

    def _wanted(self) -> frozenset[str]:
        """The physical columns of steps that other steps or decisions read."""
        types = {name: type_ for step in (*self.plan.closed, *self.plan.open) for name, type_ in step.types.items()}
        read = {name for step in (*self.plan.closed, *self.plan.open) for name in step.reads if name in types}
        return self.off.reads.union(part for name in read for part in names(name, types[name]))

    def conclude(self, frame: pl.DataFrame) -> Decided:
        """Decide rows; a holder knows them already."""
        with sharing():
            closed, opened, places = self._rows(frame)
        return Decided(closed, opened, self.off.of(closed, opened, places))

    def _rows(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
        """Both readings of a frame that holds its history; the second has the rows alone in which a policy changed something, or all of
        them where these are many. Their places come with them."""
        closed = _through(self.closed, frame, self.wanted)
        if not self.plan.policies:
            return closed, closed.clear(), pl.Series([], dtype=pl.UInt32)
        touched = closed.select(pl.any_horizontal(self.plan.policies)).to_series()
        told = closed.select(part for held in self.plan.held.values() for name in (held.held, held.by) for part in (name, f"{name}#"))
        asked = frame.hstack(told)
        many = self.cheap and touched.sum() > frame.height // _FEW
        places = pl.int_range(frame.height, dtype=pl.UInt32, eager=True) if many else touched.arg_true()
        return closed, _through(self.plan.open, asked if many else asked.filter(touched), self.wanted), places


class BatchRun:
    """One run over chunks of typed rows in arrival order; history is carried from chunk to chunk. `per` are the key fields of ticks.

    Unless `whole` the rows hold of the steps' columns only those that are read.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        detail: str,
        values: bool = False,
        history_from: str | None = None,
        per: Sequence[str] | None = None,
        whole: bool = True,
    ) -> None:
        self.plan = plan
        self.state = WindowState(plan.history, plan.record, history_from)
        self.holder = BatchHolder(plan.record, history_from)
        self.readings = Readings(plan, self.holder, detail=detail, values=values, per=per, whole=whole)

    def admitted(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
        """The rows that this run decides, whatever came before, and the others, as (`@row`, reason)."""
        return frame, []

    def decide(self, frame: pl.DataFrame) -> Decided:
        """Decide the next chunk. A key that came before with other content is refused."""
        kept, refused = self.sort_out(frame)
        return self.answer(kept)._replace(refused=refused)

    def sort_out(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
        """The rows of the next chunk that can be decided, and the others, as (`@row`, reason)."""
        kept, rejects = sort_out(frame, self.state)
        numbers = frame[ROW].to_list() if rejects else []
        return kept, [(numbers[reject.row], reject.message) for reject in rejects]

    def answer(self, kept: pl.DataFrame) -> Decided:
        """Decide rows that can be decided, and ticks between them."""
        return self.conclude(answered(kept, self.state).drop(ANSWER))

    def conclude(self, frame: pl.DataFrame) -> Decided:
        """Decide rows that have their history."""
        if self.plan.held:
            self.holder.over(frame)
        return self.readings.conclude(frame)


def _through(steps: Sequence[Step], frame: pl.DataFrame, wanted: frozenset[str] | None) -> pl.DataFrame:
    for step in steps:
        frame = frame.hstack(step.lean(frame, wanted) if isinstance(step, RuleStep) and wanted is not None else step.many(frame))
    return frame
