"""Pieces through a run, in the order of arrival: in memory while their history fits there, else in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.run.arrived import in_order
from engine.run.parted import Aside, Parted
from engine.run.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.run.arrived import Arrived, Piece, Refusals
    from engine.run.batch import BatchRun, Decided
    from engine.run.moments import Every
    from engine.run.shelf import Shelf
    from engine.run.succession import Succession

SORTED_BYTES: Final = 2_000
"""With a limit, so many bytes of it stand for each row that is sorted in memory."""


@dataclass(frozen=True, slots=True)
class Options:
    """How files are decided: since when history is complete, what text files are encoded in, whether the outputs of steps are written too,
    whether the watcher is given every event by itself, which ticks there are, how many bytes history may take at a time (none: what it
    needs), the folder in which rows are put aside, and which plans follow one another, where there are several."""

    history_from: str | None = None
    encoding: str | None = None
    values: bool = False
    each: bool = False
    ticks: Every | None = None
    memory: int | None = None
    aside: Path | None = None
    following: Succession | None = None


def decided(run: BatchRun, arrived: Arrived, refusals: Refusals, options: Options, shelf: Shelf) -> Iterator[Decided]:
    """Every piece that arrives, decided."""
    if options.memory is None:
        return _in_memory(run, in_order(arrived, refusals, options.aside), arrived, refusals, options.ticks)
    parted = Parted(run, options.ticks, shelf, options.memory, arrived.hearing.on_stage, arrived.notes)
    aside = Aside(shelf, in_order(arrived, refusals, options.aside, max(1, options.memory // SORTED_BYTES)), arrived)
    fits = parted.bytes(aside.rows) <= options.memory
    arrived.notes.append(parted.plan(aside.rows))
    return _in_memory(run, aside.pieces(), arrived, refusals, options.ticks) if fits else parted.decided(aside, arrived, refusals)


def _in_memory(run: BatchRun, pieces: Iterator[Piece], arrived: Arrived, refusals: Refusals, every: Every | None) -> Iterator[Decided]:
    ticks = None if every is None else Ticks(every, run.plan)
    for piece in pieces:
        refusals.add(piece.rejects)
        kept, refused = run.sort_out(piece.frame)
        refusals.add(arrived.rejects(refused))
        for frame in [kept] if ticks is None else ticks.among(kept):
            yield run.answer(frame)
    for frame in () if ticks is None else ticks.rest():
        yield run.answer(frame)
