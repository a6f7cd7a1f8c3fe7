"""What a batch answered, kept for events that come again."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEPT_ROWS: Final = 1 << 16
"""Answers to so many rows stay in memory; older ones wait on disk."""


class Answers:
    """Every answer of a batch by its number: the last ones in memory, the others in files that go when the batch does."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._parts: list[pl.DataFrame | Path] = []
        self._folder: Path | None = None

    def keep(self, answers: pl.DataFrame, number: int) -> None:
        """Keep answers, of which the first has this number and the others follow."""
        if not answers.height:
            return
        loose = next((i for i, part in enumerate(self._parts) if isinstance(part, pl.DataFrame)), None)
        if loose is not None and number + answers.height - self._starts[loose] > _KEPT_ROWS:
            self._put_away(loose)
        self._starts.append(number)
        self._parts.append(answers)

    def _put_away(self, begin: int) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="history-"))
            weakref.finalize(self, shutil.rmtree, self._folder, True)
        path = self._folder / f"{begin}.arrow"
        pl.concat(part for part in self._parts[begin:] if isinstance(part, pl.DataFrame)).write_ipc(path)
        self._parts[begin:] = [path]
        self._starts[begin:] = [self._starts[begin]]

    def rows(self, numbers: Sequence[int]) -> pl.DataFrame:
        """The answers with these numbers, in this order."""
        by_part: dict[int, list[int]] = {}
        for place, number in enumerate(numbers):
            by_part.setdefault(bisect_right(self._starts, number) - 1, []).append(place)
        found = []
        for index, places in by_part.items():
            part = self._parts[index]
            frame = part if isinstance(part, pl.DataFrame) else pl.read_ipc(part)
            picked = frame[[numbers[place] - self._starts[index] for place in places]]
            found.append(picked.with_columns(pl.Series("@place", places)))
        return pl.concat(found).sort("@place").drop("@place")
