"""Arrival by time, or by a field: typed chunks sorted on disk, so that memory stays flat. It knows nothing of what the rows mean.

Rows of equal rank keep the order in which they were read: by file, then row.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.run.source import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    with tempfile.TemporaryDirectory(prefix="kaskade-", dir=folder) as place:
        held: list[pl.DataFrame] = []
        runs: list[_Run] = []
        size = 0
        for frame in frames:
            held.append(frame)
            size += frame.height
            if size >= run_rows:
                runs.append(_Run.write(Path(place), len(runs), _sorted(held, by), block_rows))
                held, size = [], 0
        if not runs:
            yield from _cut(iter([_sorted(held, by)] if size else []), chunk_rows)
            return
        if size:
            runs.append(_Run.write(Path(place), len(runs), _sorted(held, by), block_rows))
        held = []
        yield from _cut(_merged(runs, by), chunk_rows)


def _sorted(frames: list[pl.DataFrame], by: str) -> pl.DataFrame:
    return pl.concat(frames).sort(by, maintain_order=True)


class _Run:
    """Sorted rows on disk, in blocks; `block` is the one at hand, none when the run is used up."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files[::-1]
        self.block: pl.DataFrame | None = None
        self.more()

    @classmethod
    def write(cls, place: Path, number: int, frame: pl.DataFrame, block_rows: int) -> _Run:
        files = []
        for at in range(0, frame.height, block_rows):
            files.append(place / f"{number}-{at}.arrow")
            frame.slice(at, block_rows).write_ipc(files[-1])
        return cls(files)

    def more(self) -> None:
        """Takes the next block, and its file off the disk."""
        self.block = None
        if self.files:
            file = self.files.pop()
            self.block = pl.read_ipc(file.read_bytes())
            file.unlink()


def _merged(runs: list[_Run], by: str) -> Iterator[pl.DataFrame]:
    """Each round gives out the rest of the block that ends first, and of the others what comes before its end."""
    while runs:
        ends = [(run.block[by][-1], at) for at, run in enumerate(runs) if run.block is not None]
        end, first = min(ends)
        taken = []
        for at, run in enumerate(runs):
            if run.block is None:
                continue
            # of equal rank, the earlier run was read first
            count = run.block[by].search_sorted(end, side="right" if at <= first else "left")
            taken.append(run.block.head(count))
            run.block = run.block.slice(count)
            if not run.block.height:
                run.more()
        runs = [run for run in runs if run.block is not None]
        yield _sorted(taken, by)


def _cut(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
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
