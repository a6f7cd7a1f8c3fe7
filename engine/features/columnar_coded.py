"""Keys and texts as small numbers, the same from frame to frame, by 128 bits of their hashes (see `columnar_seen` for how sure that is)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import SimpleNamespace

Array = np.ndarray[Any, Any]


class Codes:
    """The numbers given so far: the first new value gets nought, the next one."""

    def __init__(self) -> None:
        self.number = 0
        self._seeds = secrets.randbits(64), secrets.randbits(64)
        self._slots = np.full(1024, -1, np.int32)
        self._firsts, self._seconds = np.empty(513, np.int64), np.empty(513, np.int64)

    def of(self, columns: Sequence[pl.Series], loops: SimpleNamespace) -> Array:
        """For every row of these columns its number; where one is null it means nothing."""
        whole = columns[0].dtype.is_integer() and len(columns) == 1
        if whole:
            first = second = _spread(columns[0].fill_null(0).cast(pl.Int64).to_numpy())
        else:
            first, second = (self._hashed(columns, seed) for seed in self._seeds)
        codes = np.empty(first.size, np.int32)
        row = 0
        while row < first.size:
            if 2 * self.number >= self._slots.size:
                self._grow(loops)
            row, self.number = loops.coded(first, second, row, self._slots, self._firsts, self._seconds, self.number, codes)
        return codes

    def _hashed(self, columns: Sequence[pl.Series], seed: int) -> Array:
        found = np.zeros(columns[0].len(), np.uint64)
        for place, column in enumerate(columns):
            own = column.hash(seed).to_numpy()
            found += own * np.uint64(2 * place + 1)
        return found.view(np.int64)

    def _grow(self, loops: SimpleNamespace) -> None:
        firsts, seconds, number = self._firsts, self._seconds, self.number
        size = 4 * self._slots.size
        self._slots = np.full(size, -1, np.int32)
        self._firsts, self._seconds = np.empty(size // 2 + 1, np.int64), np.empty(size // 2 + 1, np.int64)
        again = np.empty(number, np.int32)
        loops.coded(firsts[:number], seconds[:number], 0, self._slots, self._firsts, self._seconds, 0, again)


def _spread(values: Array) -> Array:
    """The same numbers, one for one, with their bits spread: neighbours would crowd the slots of a table."""
    found = values.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (found ^ (found >> np.uint64(32))).view(np.int64)
