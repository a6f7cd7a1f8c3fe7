"""Rows dealt out by key, so that one part after the other fits into memory, and put together again. It knows no history and no decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.run.order import cut
from engine.run.shelf import Run, Shelf
from engine.run.source import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PART: Final = "@part"
"""A column: the part a row goes to."""
HELD_ROWS: Final = 200_000
"""How many rows wait in memory for their part to be written, or are at hand when all parts are read."""
LEAST_ROWS: Final = 1_000
"""A block on disk has more rows than this."""


@dataclass
class Parts:
    """Rows in `count` parts on a shelf, each in the order in which they were dealt."""

    shelf: Shelf
    count: int
    rows: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [0] * self.count
        self._files: list[list[Path]] = [[] for _ in range(self.count)]
        self._held: list[pl.DataFrame] = []
        self._size = 0

    def deal(self, frame: pl.DataFrame) -> None:
        """Put rows aside, each into the part that `@part` says."""
        self._held.append(frame)
        self._size += frame.height
        if self._size >= HELD_ROWS:
            self._put()

    def _put(self) -> None:
        whole, self._held, self._size = pl.concat(self._held), [], 0
        for (part,), rows in whole.partition_by(PART, as_dict=True, include_key=False, maintain_order=True).items():
            self._files[part].append(self.shelf.put(rows))
            self.rows[part] += rows.height

    def take(self, part: int) -> Iterator[pl.DataFrame]:
        """The rows of one part, which then is no longer there."""
        if self._held:
            self._put()
        files, self._files[part] = self._files[part], []
        return cut((self.shelf.take(file) for file in files), CHUNK_ROWS)


class Joined:
    """Rows that were written in `count` parts, each part sorted by the column `by`, read in its order."""

    def __init__(self, shelf: Shelf, by: str, count: int) -> None:
        self._shelf, self._by = shelf, by
        # while they are read, memory holds a block of every part
        self._block_rows = max(LEAST_ROWS, HELD_ROWS // count)
        self._files: list[list[Path]] = []
        self._runs: list[Run] | None = None

    def part(self) -> None:
        """What is added from now on is another part."""
        self._files.append([])

    def add(self, frame: pl.DataFrame) -> None:
        """The next rows of the part."""
        self._files[-1] += [self._shelf.put(block) for block in frame.iter_slices(self._block_rows) if block.height]

    def files(self) -> list[Path]:
        """What was added to the part."""
        return self._files[-1]

    def upto(self, end: int, schema: Any) -> pl.DataFrame:
        """The next rows, those before `end`, in order; where there are none, none with this schema. Nothing can be added from now on."""
        if self._runs is None:
            self._runs = [Run(self._shelf, self._by, files) for files in self._files]
        found = [frame for run in self._runs for frame in run.upto(end)]
        return pl.concat(found).sort(self._by) if found else pl.DataFrame(schema=schema)
