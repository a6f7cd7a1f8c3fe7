"""Arrival by time, or by a field: typed chunks sorted on disk, so that memory stays flat. It knows nothing of what the rows mean.

Rows of equal rank keep the order in which they were read: by file, then row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.run.shelf import Run, Shelf
from engine.run.source import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

RUN_ROWS: Final = 1_000_000
"""How many rows are sorted in memory at a time."""
BLOCK_ROWS: Final = 10_000
"""How many rows of every sorted run are held while the runs are merged."""


def ordered(
    frames: Iterable[pl.DataFrame],
    by: str = "now",
    *,
    chunk_rows: int = CHUNK_ROWS,
    run_rows: int = RUN_ROWS,
    block_rows: int = BLOCK_ROWS,
    folder: Path | None = None,
) -> Iterator[pl.DataFrame]:
    """The rows of typed frames of one schema in the order of the column `by`, in frames of `chunk_rows`.

    Memory holds `run_rows` rows, and while merging `block_rows` for every `run_rows` that were read; the rest lies in a temporary folder
    under `folder` (by default the system's), which is removed at the end. Up to `run_rows` rows never touch the disk.

    >>> [frame["now"].to_list() for frame in ordered([pl.DataFrame({"now": [3, 1]}), pl.DataFrame({"now": [2]})], chunk_rows=2)]
    [[1, 2], [3]]
    """
    with Shelf(folder) as shelf:
        held: list[pl.DataFrame] = []
        runs: list[Run] = []
        size = 0
        for frame in frames:
            held.append(frame)
            size += frame.height
            if size >= run_rows:
                runs.append(Run.write(shelf, by, _sorted(held, by), block_rows))
                held, size = [], 0
        if not runs:
            yield from cut(iter([_sorted(held, by)] if size else []), chunk_rows)
            return
        if size:
            runs.append(Run.write(shelf, by, _sorted(held, by), block_rows))
        held = []
        yield from cut(_merged(runs, by), chunk_rows)


def _sorted(frames: list[pl.DataFrame], by: str) -> pl.DataFrame:
    return pl.concat(frames).sort(by, maintain_order=True)


def _merged(runs: list[Run], by: str) -> Iterator[pl.DataFrame]:
    """Each round gives out the rest of the block that ends first, and of the others what comes before its end."""
    while runs:
        end, first = min((run.block[by][-1], at) for at, run in enumerate(runs) if run.block is not None)
        # of equal rank, the earlier run was read first
        yield _sorted([part for at, run in enumerate(runs) for part in run.upto(end, with_end=at <= first)], by)
        runs = [run for run in runs if run.block is not None]


def cut(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The same rows in frames of `rows`, the last one smaller."""
    held: list[pl.DataFrame] = []
    size = 0
    for frame in frames:
        held.append(frame)
        size += frame.height
        if size >= rows:
            whole = pl.concat(held)
            full = size - size % rows
            for at in range(0, full, rows):
                yield whole.slice(at, rows)
            held, size = [whole.slice(full)], size - full
    if size:
        yield pl.concat(held)
