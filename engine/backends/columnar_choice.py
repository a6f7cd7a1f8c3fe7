"""Which rows of `decide` still allow their outcome, as bits of a whole number, and what follows from them. It knows no rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import polars as pl

MOST_ROWS: Final = 62
"""So many rows have a bit each."""
_SMALL: Final = 1 << 10


def kept(rows: Sequence[str], mask: int) -> tuple[str, ...]:
    """The outcomes that the rows in `mask` name, each once.

    >>> kept(["block", "review", "block"], 0b110)
    ('review', 'block')
    """
    return tuple(dict.fromkeys(name for at, name in enumerate(rows) if mask >> at & 1))


def chosen(bits: pl.Expr, meaning: Callable[[int], Any], kind: Any) -> pl.Expr:
    """What each number in a column means, asked once for every different one."""
    meaning = cache(meaning)

    def over(series: pl.Series) -> pl.Series:
        top = series.max()
        if top is None or top < _SMALL:  # type: ignore[operator]  # whole numbers
            return pl.Series(series.name, [meaning(mask) for mask in range((top or 0) + 1)], dtype=kind).gather(series)  # type: ignore[arg-type,operator]
        different = series.unique()
        means = pl.Series(series.name, [meaning(mask) for mask in different], dtype=kind)
        return means.gather(series.replace_strict(different, pl.int_range(len(different), eager=True)))

    return bits.map_batches(over, return_dtype=kind)
