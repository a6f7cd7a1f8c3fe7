"""Which rows of a frame were there before: found by hashes of keys, sorted, so that no row is looked at alone unless it may be a repeat.

Two keys count as one where 128 bits of hashes agree, with a seed drawn afresh for every batch: that happens by chance once in some 10^20
batches of a hundred million events, and nobody can bring it about.
"""

from __future__ import annotations

import importlib.util
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from engine.backends.columnar_layout import names, unpack
from engine.errors import InputError
from engine.features import kernels
from engine.features.versions import Version, corrects, needed
from engine.plan import TICK
from engine.values import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.record import Record

ANSWER: Final = "@answer"
"""A column: the number of the answer a row gets, which is that of the first row that said the same."""
CONTENT: Final = "@content"
"""A column: the hash of what a row says in the record's fields."""

_SEED: Final = secrets.randbits(64)
"""Drawn afresh for every process, so that nobody can write an event that passes for another."""
_ODD: Final = 0x9E3779B97F4A7C15
_PART: Final = 1 << 11
_FIRST, _SECOND, _REVISION = "@first", "@second", "@revision"

Ident = tuple[int, int]
"""The two hashes of a key."""
Versions = tuple[Version, Version]
"""What is known of an event, and what came."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be taken: its place in the frame it came in, and why."""

    row: int
    message: str


@dataclass(frozen=True)
class _Run:
    """Some events in a row: by number (the first has the number `begin`) the hashes of their keys and of what they said; and the first
    hashes in order."""

    begin: int
    said: pl.DataFrame
    ordered: pl.Series

    @property
    def end(self) -> int:
        return self.begin + self.said.height

    @cached_property
    def _order(self) -> list[int]:
        """The places of the events by first hash; made when a repeat is looked for, which may never be."""
        return self.said[_FIRST].arg_sort().to_list()

    def with_next(self, other: _Run) -> _Run:
        return _Run(self.begin, pl.concat([self.said, other.said]), pl.concat([self.ordered, other.ordered]).sort())

    def hits(self, ordered: pl.Series) -> pl.Series:
        """Those of these first hashes that are here too."""
        places = self.ordered.search_sorted(ordered, side="left").clip(0, self.said.height - 1)
        return ordered.filter(self.ordered.gather(places) == ordered)

    def find(self, idents: Sequence[Ident]) -> Iterator[tuple[Ident, int, Version]]:
        """The keys that are here, each with the number of its last version, and that."""
        firsts = pl.Series([first for first, _ in idents], dtype=pl.UInt64)
        begins, ends = self.ordered.search_sorted(firsts, side="left"), self.ordered.search_sorted(firsts, side="right")
        seconds, contents, revisions = self.said[_SECOND], self.said[CONTENT], self.said[_REVISION]
        for ident, begin, end in zip(idents, begins, ends, strict=True):
            place = max((place for place in self._order[begin:end] if seconds[place] == ident[1]), default=-1) if begin < end else -1
            if place >= 0:
                yield ident, self.begin + place, Version(contents[place], revisions[place])


def _worth_loops(rows: int) -> bool:
    """Whether compiled loops are there already, or are worth the wait."""
    loaded = kernels.compiled.cache_info().currsize > 0
    return rows > 0 and (loaded or (rows >= kernels.COMPILED_FROM and importlib.util.find_spec("numba") is not None))


class Seen:
    """Every event that was taken, by number: 32 bytes each, which is all that a batch remembers without end. What the events of the last
    frame said is looked into when another one follows, which may never be."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._seeds = secrets.randbits(64), secrets.randbits(64)
        self._later: Callable[[], _Run] | None = None
        self.number = 0
        """That of the next event."""

    def sort_out(self, frame: pl.DataFrame, record: Record) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
        """The rows that can be taken, with the number of the answer each of them gets in `@answer` (null for a tick); and the others."""
        moments = ticks(frame)
        timed, keyed = (frame.select(_known(fields)).to_series() for fields in ((record.time,), needed(record)))
        events = keyed & ~moments
        numbers, refused = self._numbered(frame if events.all() else frame.filter(events), record)
        if not events.all():
            places = events.arg_true()
            numbers = pl.repeat(None, frame.height, dtype=pl.Int64, eager=True).scatter(places, numbers)
            refused = {places[row]: versions for row, versions in refused.items()}
        lacking = ~(keyed | (moments & timed))
        frame = frame.with_columns(numbers.alias(ANSWER))
        if not refused and not lacking.any():
            return frame, ()
        rejects = {row: _lacks(frame[row], record) for row in lacking.arg_true()}
        rejects |= {row: _refusal(frame[row], record, *versions) for row, versions in refused.items()}
        return frame.filter(~lacking & (numbers.fill_null(0) >= 0)), tuple(Reject(*reject) for reject in sorted(rejects.items()))

    def _said(self, frame: pl.DataFrame, record: Record) -> pl.DataFrame:
        """The hashes of the keys of these events and of what they say, and their revisions."""
        keys = (self._hashed_key(frame, record, seed).alias(name) for name, seed in zip((_FIRST, _SECOND), self._seeds, strict=True))
        revision = pl.lit(None) if record.revision is None else pl.col(record.revision)
        return frame.select(*keys, revision.alias(_REVISION)).with_columns(
            frame[CONTENT] if CONTENT in frame.columns else content(frame, record)
        )

    def _hashed_key(self, frame: pl.DataFrame, record: Record, seed: int) -> pl.Expr:
        parts = [part for name in record.key for part in names(name, record.field(name).type) if part != f"{name}#"]
        return _hashed(parts, frame, seed)

    def _numbered(self, frame: pl.DataFrame, record: Record) -> tuple[pl.Series, dict[int, Versions]]:
        """For each event the number of its answer, or -1 where it is refused: then what is known and what came. New ones are remembered."""
        self._catch_up()
        first = frame.select(self._hashed_key(frame, record, self._seeds[0]).alias(_FIRST)).to_series()
        doubtful = self._doubtful(first)
        if not doubtful.len():
            numbers = pl.int_range(self.number, self.number + frame.height, eager=True)
            self._keep(frame, record)
            return numbers, {}
        some = first.is_in(doubtful.implode())
        new, places, refused = self._one_by_one(self._said(frame.filter(some), record), some.arg_true().to_list(), record)
        fresh = (~some).scatter(new, True)
        numbers = fresh.cum_sum().cast(pl.Int64) - 1 + self.number
        again = [numbers[place] if known is None else known for place, known in places.values()]
        self._keep(frame.filter(fresh), record)
        return numbers.scatter([*places, *refused], [*again, *(-1 for _ in refused)]), refused

    def _doubtful(self, first: pl.Series) -> pl.Series:
        """Those of these hashes that come twice, or were there before."""
        if not self._runs and _worth_loops(first.len()) and not _twice(first):
            return first.clear()
        ordered = first.sort()
        twice = (ordered == ordered.shift(1)).fill_null(False)
        return pl.concat([ordered.filter(twice), *(run.hits(ordered) for run in self._runs)])

    def _keep(self, frame: pl.DataFrame, record: Record) -> None:
        """Remember these events, when another frame comes."""
        begin = self.number
        self.number += frame.height
        parts = {CONTENT, *(part for field in record.fields for part in names(field.name, field.type))}
        frame = frame.select(name for name in frame.columns if name in parts)

        def run() -> _Run:
            said = self._said(frame, record)
            return _Run(begin, said, said[_FIRST].sort())

        self._later = run

    def _catch_up(self) -> None:
        if self._later is not None:
            self._add(self._later())
            self._later = None

    def _one_by_one(
        self, said: pl.DataFrame, rows: list[int], record: Record
    ) -> tuple[list[int], dict[int, tuple[int, int | None]], dict[int, Versions]]:
        """Of these rows those that are new, or correct what is known; those that repeat a row or a number; and the refused ones."""
        idents = list(zip(said[_FIRST].to_list(), said[_SECOND].to_list(), strict=True))
        known: dict[Ident, tuple[int, int | None, Version]] = {}
        for run in self._runs:
            known |= {ident: (-1, number, version) for ident, number, version in run.find(list(dict.fromkeys(idents)))}
        new: list[int] = []
        places: dict[int, tuple[int, int | None]] = {}
        refused: dict[int, Versions] = {}
        for row, ident, version in zip(rows, idents, map(Version, said[CONTENT], said[_REVISION]), strict=True):
            before = known.get(ident)
            if before is None or (record.revision is not None and version.revision > before[2].revision):
                known[ident] = row, None, version
                new.append(row)
            elif before[2] == version:
                places[row] = before[:2]
            else:
                refused[row] = before[2], version
        return new, places, refused

    def _add(self, run: _Run) -> None:
        if not run.said.height:
            return
        while self._runs and self._runs[-1].said.height <= 2 * run.said.height:
            run = self._runs.pop().with_next(run)
        self._runs.append(run)


def _twice(hashes: pl.Series) -> bool:
    """Whether one of them may come twice: in parts that fit into a core's own cache."""
    parts = 1 << max(0, (hashes.len() // _PART).bit_length())
    begin, parted, slots = np.empty(parts + 1, np.int64), np.empty(hashes.len(), np.int64), np.empty(8 * _PART, np.int64)
    found: bool = kernels.compiled().twice(hashes.to_numpy().view(np.int64), begin, parted, slots)
    return found


def ticks(frame: pl.DataFrame) -> pl.Series:
    """For every row whether it is a moment and no event."""
    return frame[TICK].fill_null(False) if TICK in frame.columns else pl.repeat(False, frame.height, eager=True)


def content(frame: pl.DataFrame, record: Record) -> pl.Series:
    """A hash of what each row says in the record's fields, other in every process; where a frame leaves the causes out, what is not
    there is absent."""
    parts = [part for field in record.fields for part in names(field.name, field.type)]
    return frame.select(_hashed(parts, frame, _SEED).alias(CONTENT)).to_series()


def _known(fields: Sequence[str]) -> pl.Expr:
    return pl.all_horizontal(pl.col(name).is_not_null() for name in fields)


def _hashed(parts: Sequence[str], frame: pl.DataFrame, seed: int) -> pl.Expr:
    """One hash of several columns: the sum of their own, each times an odd number of its place."""
    found = pl.lit(0, dtype=pl.UInt64)
    for place, part in enumerate(parts):
        found = found + _hash_of(part, frame, seed) * pl.lit((2 * place + 1) * _ODD % 2**64, dtype=pl.UInt64)
    return found


def _hash_of(part: str, frame: pl.DataFrame, seed: int) -> pl.Expr:
    if part.endswith("#"):  # a code is its own hash
        return (pl.col(part) if part in frame.columns else pl.col(part[:-1]).is_null()).cast(pl.UInt64)
    return pl.struct(part).hash(seed) if isinstance(frame.schema[part], pl.List) else pl.col(part).hash(seed)


def _lacks(row: pl.DataFrame, record: Record) -> str:
    values = unpack(row, {name: record.field(name).type for name in ((record.time,) if ticks(row)[0] else needed(record))})[0]
    name, value = next((name, value) for name, value in values.items() if value.__class__ is Missing)
    return f"an event needs `{name}`: it is {value!r}"


def _refusal(row: pl.DataFrame, record: Record, known: Version, given: Version) -> str:
    key = unpack(row, {name: record.field(name).type for name in record.key})[0]
    try:
        corrects(record, tuple(key.values()), known, given)
    except InputError as error:
        return str(error)
    raise AssertionError("what corrects or repeats is not refused")
