"""Files in, decisions out: read in chunks, put in order of arrival, decided, written whole or not at all. Memory is flat but for windows.

What a caller wants to count, show or keep it hears through a `Watcher`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from engine.backends.columnar import unpack
from engine.plan import NOW, Plan, Row
from engine.run.batch import BatchRun, Decided
from engine.run.border import NUMBER, ROW, written
from engine.run.order import ordered
from engine.run.sink import Sink
from engine.run.source import REJECTS, Arrival, Chunk, Source, read

RAW = "@raw"
"""The event as it arrived, as JSON text; carried along only where a ledger wants it."""


class Watcher(Protocol):
    """What hears of a run while it goes on."""

    def on_read(self, rows: int, file: str) -> None:
        """So many rows of a file were read, rejected ones among them."""

    def on_rejected(self, rejects: pl.DataFrame) -> None:
        """Rows that will not be decided, with the columns of `source.REJECTS`."""

    def on_decided(self, rows: pl.DataFrame, decisions: pl.DataFrame) -> None:
        """A chunk was decided: its rows with every column, and the decisions in the same order."""

    def on_event(self, raw: str, row: Row, open_row: Row) -> None:
        """One event was decided; called only where `each` was asked for."""


def run_files(
    plan: Plan,
    paths: Sequence[str | Path],
    output: str | Path,
    rejects: str | Path,
    watcher: Watcher,
    *,
    history_from: str | None = None,
    encoding: str | None = None,
    values: bool = False,
    each: bool = False,
) -> Arrival:
    """Decide every row of the files and write decisions and rejects; gives what came beside the values.

    Decisions stand in the order of arrival. With `each` the watcher is given every event by itself too. Raises `InputError` for files that
    cannot be read or names that cannot be written, `EngineError` where the disk refuses.
    """
    source = Source(paths, plan.record, encoding=encoding)
    run = BatchRun(plan, detail="names", values=values, history_from=history_from)
    arrived = _Arrived(source, plan, watcher, keep_raw=each)
    # both targets appear together, or neither
    with Sink(output) as decisions, Sink(rejects, REJECTS) as refused:
        arrived.refused = refused
        for frame in _in_order(plan, arrived):
            done = run.decide(frame)
            decisions.write(done.decisions.drop(ROW))
            _refuse(done, source, frame, refused, watcher)
            watcher.on_decided(done.rows, done.decisions)
            if each:
                _tell_each(plan, done, watcher)
        if not decisions.rows:
            decisions.write(run.decide(arrived.empty).decisions.drop(ROW))
        decisions.finish()
        refused.finish()
    return arrived.beside


class _Arrived:
    """Typed chunks of the files; rejects go to their file as they are found."""

    def __init__(self, source: Source, plan: Plan, watcher: Watcher, *, keep_raw: bool) -> None:
        self.source, self.plan, self.watcher, self.keep_raw = source, plan, watcher, keep_raw
        self.beside = Arrival()
        self.refused: Sink
        self.empty: pl.DataFrame

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for number, chunk in enumerate(self.source):
            typed = read(self.plan.record, chunk)
            frame = typed.frame
            if self.keep_raw:
                frame = frame.join(_as_arrived(chunk), on=ROW, how="left", maintain_order="left")
            self.watcher.on_read(chunk.frame.height + chunk.rejects.height, chunk.file)
            if typed.rejects.height:
                self.refused.write(typed.rejects)
                self.watcher.on_rejected(typed.rejects)
            self.beside = chunk.arrival if number == 0 else self.beside.plus(chunk.arrival)
            self.empty = frame.clear()
            yield frame


def _as_arrived(chunk: Chunk) -> pl.DataFrame:
    """Every row of a chunk as the JSON text of its filled cells."""
    texts = written(chunk.frame, pl.int_range(chunk.frame.height, eager=True))
    return pl.DataFrame({ROW: chunk.frame[NUMBER] + (chunk.start - 1), RAW: pl.Series(texts, dtype=pl.String)})


def _in_order(plan: Plan, frames: _Arrived) -> Iterator[pl.DataFrame]:
    arrival = plan.record.arrival
    return iter(frames) if arrival == "stream" else ordered(frames, NOW if arrival == "time" else arrival)


def _refuse(done: Decided, source: Source, frame: pl.DataFrame, refused: Sink, watcher: Watcher) -> None:
    """Rows refused on the way: a key that came before with other content."""
    if not done.refused:
        return
    rows = [(*source.place(number), reason) for number, reason in done.refused]
    rejects = pl.DataFrame([(file, row, reason, None) for file, row, reason in rows], REJECTS, orient="row")
    refused.write(rejects)
    watcher.on_rejected(rejects)


def _tell_each(plan: Plan, done: Decided, watcher: Watcher) -> None:
    """Every event of a chunk by itself, with its row in both readings."""
    rows = _rows(plan, done.rows)
    opened = dict(zip(done.opened[ROW].to_list(), _rows(plan, done.opened), strict=True))
    for number, raw, row in zip(done.rows[ROW].to_list(), done.rows[RAW].to_list(), rows, strict=True):
        watcher.on_event(raw, row, opened.get(number, row))


def _rows(plan: Plan, frame: pl.DataFrame) -> list[Row]:
    return unpack(frame, {name: type_ for name, type_ in plan.types.items() if name in frame.columns})
