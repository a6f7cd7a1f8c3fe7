"""What arrives from files, on its way to being decided: typed chunks in the order of arrival, and raw rows not forgotten.

It knows what a row said when it arrived, and nothing of what is decided.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import polars as pl

from engine.plan import NOW
from engine.run.border import NUMBER, ROW, written
from engine.run.order import RUN_ROWS, ordered
from engine.run.source import REJECTS, Arrival, Chunk, Source, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from engine.record import Record
    from engine.run.shelf import Shelf
    from engine.run.sink import Sink

RAW: Final = "@raw"
"""The event as it arrived, as JSON text; carried along only where a ledger wants it."""


Admitted = Callable[[pl.DataFrame], tuple[pl.DataFrame, list[tuple[int, str]]]]


class Hearing(Protocol):
    """What hears of rows that were read, and of those that will not be decided."""

    def on_read(self, rows: int, file: str) -> None: ...
    def on_rejected(self, rejects: pl.DataFrame) -> None: ...
    def on_stage(self, text: str) -> None: ...


class Piece(NamedTuple):
    """Typed rows, and the rejected ones that were found on the way to them, with the columns of `source.REJECTS`."""

    frame: pl.DataFrame
    rejects: pl.DataFrame


NONE: Final = pl.DataFrame(schema=REJECTS)


class Refusals:
    """Rejected rows on their way to their file; who watches is told."""

    def __init__(self, sink: Sink, hearing: Hearing) -> None:
        self._sink, self._hearing = sink, hearing

    def add(self, rejects: pl.DataFrame) -> None:
        if rejects.height:
            self._sink.write(rejects)
            self._hearing.on_rejected(rejects)


class Arrived:
    """The files as typed pieces, in the order in which they are read. With a `shelf` what had arrived is kept for all rows, else for those
    of the last piece; with `keep_raw` every row carries it. `admitted` parts the rows from those that must not go on, with reasons."""

    def __init__(
        self, source: Source, hearing: Hearing, shelf: Shelf | None, *, keep_raw: bool, admitted: Admitted = lambda frame: (frame, [])
    ) -> None:
        self.source, self.hearing, self.shelf, self.keep_raw, self._admitted = source, hearing, shelf, keep_raw, admitted
        self.beside, self.notes = Arrival(), list[str]()
        self.empty: pl.DataFrame
        self._starts: list[int] = []
        self._raw: list[pl.DataFrame | Path] = []

    @property
    def record(self) -> Record:
        return self.source.record

    def __iter__(self) -> Iterator[Piece]:
        for number, chunk in enumerate(self.source):
            typed = read(self.record, chunk)
            frame, refused = self._admitted(typed.frame)
            self._keep(chunk)
            if self.keep_raw:
                frame = frame.join(_as_texts(_numbered(chunk)), on=ROW, how="left", maintain_order="left")
            self.hearing.on_read(chunk.frame.height + chunk.rejects.height, chunk.file)
            self.beside = chunk.arrival if number == 0 else self.beside.plus(chunk.arrival)
            self.empty = frame.clear()
            yield Piece(frame, pl.concat([typed.rejects, self.rejects(refused)]) if refused else typed.rejects)

    def _keep(self, chunk: Chunk) -> None:
        if self.shelf is None:
            self._starts, self._raw = [], []
        raw = _numbered(chunk)
        if raw.height:
            if self.shelf is not None and pl.Object in raw.dtypes:  # of mixed JSON, which files cannot hold
                raw = _as_texts(raw)
            self._starts.append(raw[ROW][0])
            self._raw.append(raw if self.shelf is None else self.shelf.put(raw))

    def rejects(self, refused: list[tuple[int, str]]) -> pl.DataFrame:
        """Rows refused after they were read, given as (`@row`, reason), in this order, with the columns of `source.REJECTS`."""
        by_chunk: dict[int, list[int]] = {}
        for row, _ in refused:
            by_chunk.setdefault(bisect_right(self._starts, row) - 1, []).append(row)
        raws = {row: text for at, rows in by_chunk.items() for row, text in zip(rows, self._texts(at, rows), strict=True)}
        rejects = [(*self.source.place(row), reason, raws[row]) for row, reason in refused]
        return pl.DataFrame(rejects, REJECTS, orient="row")

    def _texts(self, at: int, rows: list[int]) -> list[str]:
        """These rows of one chunk, each as the JSON text of its filled cells."""
        raw = self._raw[at]
        if not isinstance(raw, pl.DataFrame):
            assert self.shelf is not None
            raw = self.shelf.take(raw, keep=True)
        picked = raw[raw[ROW].search_sorted(pl.Series(rows))]
        return picked[RAW].to_list() if RAW in picked.columns else written(picked.drop(ROW), pl.int_range(len(rows), eager=True))


def _numbered(chunk: Chunk) -> pl.DataFrame:
    """The raw rows with their numbers over all files."""
    return chunk.frame.with_columns((pl.col(NUMBER) + (chunk.start - 1)).alias(ROW))


def _as_texts(raw: pl.DataFrame) -> pl.DataFrame:
    texts = written(raw.drop(ROW), pl.int_range(raw.height, eager=True))
    return pl.DataFrame({ROW: raw[ROW], RAW: pl.Series(texts, dtype=pl.String)})


def in_order(arrived: Arrived, refusals: Refusals, folder: Path | None, run_rows: int = RUN_ROWS) -> Iterator[Piece]:
    """The pieces in the record's order of arrival; so many rows are sorted in memory, the others in `folder`."""
    arrival = arrived.record.arrival
    if arrival == "stream":
        return iter(arrived)
    frames = ordered(_told(arrived, refusals), NOW if arrival == "time" else arrival, run_rows=min(run_rows, RUN_ROWS), folder=folder)
    return (Piece(frame, NONE) for frame in frames)


def _told(pieces: Iterable[Piece], refusals: Refusals) -> Iterator[pl.DataFrame]:
    for piece in pieces:
        refusals.add(piece.rejects)
        yield piece.frame
