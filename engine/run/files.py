"""Files in, decisions out: read in chunks, put in order of arrival, decided, written whole or not at all. Memory is flat but for windows.

What a caller wants to count, show or keep it hears through a `Watcher`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import polars as pl

from engine.backends.columnar import unpack
from engine.plan import TICK, Plan, Row
from engine.run.arrived import RAW, Arrived, Refusals
from engine.run.batch import Decided
from engine.run.border import ROW
from engine.run.in_force import run_of
from engine.run.shelf import Shelf
from engine.run.sink import Sink
from engine.run.source import REJECTS, Arrival, Source
from engine.run.through import Options, decided


class Watcher(Protocol):
    """What hears of a run while it goes on."""

    def on_read(self, rows: int, file: str) -> None:
        """So many rows of a file were read, rejected ones among them."""

    def on_rejected(self, rejects: pl.DataFrame) -> None:
        """Rows that will not be decided, with the columns of `source.REJECTS`."""

    def on_decided(self, rows: pl.DataFrame, decisions: pl.DataFrame) -> None:
        """A chunk was decided: its rows with every column, and the decisions in the same order; of a tick its `@tick` is true."""

    def on_stage(self, text: str) -> None:
        """What a run that does not fit into memory is at."""

    def on_event(self, raw: str | None, row: Row, open_row: Row) -> None:
        """One event or tick (without `raw`) was decided; called only where `each` was asked for."""


def run_files(
    plan: Plan, paths: Sequence[str | Path], output: str | Path, rejects: str | Path, watcher: Watcher, options: Options
) -> Arrival:
    """Decide every row of the files and write decisions and rejects; gives what came beside the values.

    Decisions stand in the order of arrival. Raises `InputError` for files that cannot be read or names that cannot be written,
    `EngineError` where the disk refuses.
    """
    source = Source(paths, plan.record, encoding=options.encoding)
    per = None if options.ticks is None else options.ticks.per
    run = run_of(plan, options.following, detail="names", values=options.values, history_from=options.history_from, per=per)
    # both targets appear together, or neither
    with Sink(output) as decisions, Sink(rejects, REJECTS) as sink, Shelf(options.aside) as shelf:
        refusals = Refusals(sink, watcher)
        direct = options.memory is None and plan.record.arrival == "stream"
        arrived = Arrived(source, watcher, None if direct else shelf, keep_raw=options.each, admitted=run.admitted)
        for done in decided(run, arrived, refusals, options, shelf):
            decisions.write(done.decisions.drop(ROW))
            parts = done.parts or ((plan, done),)
            for _, part in parts:
                watcher.on_decided(part.rows, part.decisions)
            if options.each:
                _tell_each(parts, done.decisions, watcher)
        if not decisions.rows:
            decisions.write(run.decide(arrived.empty.with_columns(pl.lit(False).alias(TICK))).decisions.drop(ROW))
        decisions.finish()
        sink.finish()
    return replace(arrived.beside, notes=(*arrived.beside.notes, *arrived.notes))


def _tell_each(parts: Iterable[tuple[Plan, Decided]], decisions: pl.DataFrame, watcher: Watcher) -> None:
    """Every event of a chunk by itself, in the order of the decisions, with its row in both readings."""
    told = {}
    for plan, done in parts:
        opened = dict(zip(done.opened[ROW].to_list(), _rows(plan, done.opened), strict=True))
        for number, raw, row in zip(done.rows[ROW].to_list(), done.rows[RAW].to_list(), _rows(plan, done.rows), strict=True):
            told[number] = raw, row, opened.get(number, row)
    for number in decisions[ROW].to_list():
        watcher.on_event(*told[number])


def _rows(plan: Plan, frame: pl.DataFrame) -> list[Row]:
    return unpack(frame, {name: type_ for name, type_ in plan.types.items() if name in frame.columns})
