"""Keys and texts as small numbers, the same from frame to frame, by 128 bits of their hashes (see `columnar_seen` for how sure that is)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import SimpleNamespace

Array = np.ndarray[Any, Any]


_AT_ONCE: Final = 1 << 15
"""So many hashes stay in a core's own cache."""


class Codes:
    """The numbers given so far: the first new value gets nought, the next one."""

    def __init__(self) -> None:
        self.number = 0
        self._seeds = secrets.randbits(64), secrets.randbits(64)
        self._slots = np.full(1024, -1, np.int32)
        self._known = np.empty((256, 2), np.int64)

    def of(self, columns: Sequence[pl.Series], loops: SimpleNamespace) -> Array:
        """For every row of these columns its number; where one is null it means nothing."""
        codes = np.empty(columns[0].len(), np.int32)
        for start in range(0, codes.size, _AT_ONCE):
            self._code([column[start : start + _AT_ONCE] for column in columns], codes[start : start + _AT_ONCE], loops)
        return codes

    def _code(self, columns: Sequence[pl.Series], codes: Array, loops: SimpleNamespace) -> None:
        if columns[0].dtype.is_integer() and len(columns) == 1:
            first = second = _spread(columns[0].fill_null(0).cast(pl.Int64).to_numpy())
        else:
            first, second = (self._hashed(columns, seed) for seed in self._seeds)
        row = 0
        while row < codes.size:
            if 4 * self.number >= self._slots.size:
                self._grow(loops)
            row, self.number = loops.coded(first, second, row, self._slots, self._known, self.number, codes)

    def _hashed(self, columns: Sequence[pl.Series], seed: int) -> Array:
        found = columns[0].hash(seed).to_numpy()
        for place, column in enumerate(columns[1:], 1):
            found = found + column.hash(seed).to_numpy() * np.uint64(2 * place + 1)
        return found.view(np.int64)

    def _grow(self, loops: SimpleNamespace) -> None:
        known, number = self._known[: self.number], self.number
        size = 4 * self._slots.size
        self._slots = np.full(size, -1, np.int32)
        self._known = np.empty((size // 4, 2), np.int64)
        loops.coded(known[:, 0].copy(), known[:, 1].copy(), 0, self._slots, self._known, 0, np.empty(number, np.int32))


def _spread(values: Array) -> Array:
    """The same numbers, one for one, with their bits spread: neighbours would crowd the slots of a table."""
    found = values.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (found ^ (found >> np.uint64(32))).view(np.int64)
