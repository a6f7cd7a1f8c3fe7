"""A circuit over a frame: its columns become codes, what each code says of every fact a table, and the circuit's truths columns of flags.

A column of text is coded by its own values; where it has too many of them, or long ones, its facts are found out row by row by polars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from engine.backends import bit_loops
from engine.backends.circuit import Code, Leaf
from engine.backends.columnar_shared import SHARED
from engine.backends.facts import Facts, classes

Array = np.ndarray[Any, Any]

WORD: Final = 64
MOST: Final = 50_000
"""So many different texts are coded; the codes have 16 bits."""
_FINE: Final = 11
"""Thresholds are looked up by so many bits of a number at first."""
_SHARED_FROM: Final = 50_000
"""So many rows are worth more than one thread."""
_SIGN: Final = np.uint64(1 << 63)


@dataclass(frozen=True, slots=True)
class Truths:
    """A column of flags to be handed out: its bits, and those that say where it is known, both places in what the code hands out. None of
    the first: it is true nowhere; none of the second: it is known everywhere."""

    name: str
    yes: int | None
    known: int | None


@dataclass(frozen=True, slots=True)
class Total:
    """A column of whole numbers: what the bits at these places in what the code hands out are worth together, and `base`."""

    name: str
    worth: Sequence[tuple[int, int]]
    base: int = 0


class Job:
    """A circuit as a function of a frame. `facts` are those of each column, `texts` finds out what they say of a frame of texts."""

    def __init__(
        self,
        code: Code,
        handed: int,
        facts: Mapping[str, Facts],
        texts: Mapping[str, Callable[[pl.DataFrame], list[pl.Series]]],
        truths: Sequence[Truths],
        totals: Sequence[Total],
    ) -> None:
        self.code, self.handed, self.truths, self.totals = code, handed, truths, totals
        self.slots = {leaf: slot for slot, leaf in enumerate(code.leaves)}
        self.instructions = np.array(code.instructions, np.int64).reshape(-1, 4)
        self.sums = [_sums([points for _, points in total.worth]) for total in totals]
        asked: dict[str, list[Leaf]] = {}
        for leaf in code.leaves:
            if leaf.what not in ("true", "false"):
                asked.setdefault(leaf.column, []).append(leaf)
        self.columns: list[_Numbers | _Texts] = [
            _Numbers(name, leaves, facts[name]) if facts[name].numeric else _Texts(name, leaves, facts[name], texts[name])
            for name, leaves in asked.items()
        ]
        self.flags = tuple(dict.fromkeys(leaf.column for leaf in code.leaves if leaf.what in ("true", "false")))

    def __call__(self, frame: pl.DataFrame) -> list[pl.Series]:
        rows = frame.height
        words = -(-rows // (WORD * bit_loops.BLOCK)) * bit_loops.BLOCK
        codes = np.zeros((max(1, len(self.columns)), words * WORD), np.uint16)
        shared = SHARED.get()
        found = side_by_side(
            [_coding(column, frame, codes[at], {} if shared is None else shared) for at, column in enumerate(self.columns)], rows
        )
        wiring = _Wiring(self.slots)
        for at, said in enumerate(found):
            wiring.take(at, said)
        for name in self.flags:
            wiring.give(_said_by_flags(frame[name], words), words)
        out = np.empty((self.handed, words), np.uint64)
        given, looks, table, places = wiring.laid(words)

        def judge(begin: int, end: int) -> None:
            slots = np.empty((self.code.slots, bit_loops.BLOCK), np.uint64)
            bit_loops.judged(codes, table, looks, given, places, self.instructions, slots, out, begin, end)

        side_by_side(_parts(judge, words), rows)
        nothing = np.zeros(words, np.uint64)

        def bits(place: int | None) -> Array:
            return nothing if place is None else out[place]

        made = [flags(one.name, rows, bits(one.yes), None if one.known is None else bits(one.known)) for one in self.truths]
        return made + [self._total(one, sums, out, rows) for one, sums in zip(self.totals, self.sums, strict=True)]

    def _total(self, total: Total, sums: Array, out: Array, rows: int) -> pl.Series:
        worth = np.full(out.shape[1] * WORD, total.base, np.int64)
        if total.worth:
            bits = out[[place for place, _ in total.worth]]
            side_by_side(_parts(lambda begin, end: bit_loops.weighed(bits, sums, worth, begin, end), out.shape[1]), rows)
        return pl.Series(total.name, worth[:rows])


Said = dict[Leaf, Array]
"""For each leaf what every class of its column says; or, of a column without classes, the words of its bits."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a column says: by the classes of its codes, or row by row."""

    said: Said
    by_row: bool = False


@dataclass(frozen=True, slots=True)
class _Judged:
    """Texts, and what each fact says of them: those that have codes, or the whole column."""

    texts: pl.Series
    truths: list[pl.Series]
    by_row: bool


class _Numbers:
    """A column of numbers: its thresholds, and what each class between them says."""

    def __init__(self, name: str, leaves: Sequence[Leaf], facts: Facts) -> None:
        found = classes(facts)
        self.name, self.whole, self.asked = name, facts.type.kind != "number", tuple(facts.asked)
        truths = [[None if truth is None else bool(truth) for truth in row] for row in found.truths]
        self.said = _Answer({leaf: np.array([_says(leaf, row, at > 0) for at, row in enumerate(truths)]) for leaf in leaves})
        given = np.array(found.thresholds, np.int64 if self.whole else np.float64).view(np.uint64)
        self.thresholds = np.unique(given ^ _SIGN if self.whole else np.where(given >> np.uint64(63), ~given, given ^ _SIGN))
        base, last = (int(self.thresholds[at]) if self.thresholds.size else 0 for at in (0, -1))
        self.base, self.shift = np.uint64(base), np.uint64(max(0, (last - base).bit_length() - _FINE))
        begins = range(base, last + 1, 1 << int(self.shift))
        self.table = np.array([0, *(np.searchsorted(self.thresholds, np.uint64(at)) for at in begins[1:])], np.uint16)

    def coded(self, series: pl.Series, array: Any, codes: Array) -> None:
        """Fill in the class of every row."""
        nulls, values = array.buffers()
        words = np.frombuffer(values, np.uint64, len(array))
        bit_loops.ranked(words, not self.whole, _valid(nulls), self.thresholds, self.table, self.base, self.shift, codes)

    def answer(self, coded: None, words: int) -> _Answer:
        return self.said


class _Texts:
    """A column of texts: what its different values say is found out anew in every frame."""

    def __init__(self, name: str, leaves: Sequence[Leaf], facts: Facts, judge: Callable[[pl.DataFrame], list[pl.Series]]) -> None:
        self.name, self.leaves, self.column, self.judge = name, leaves, facts.column, judge
        self.asked = tuple(facts.asked)

    def coded(self, series: pl.Series, array: Any, codes: Array) -> _Judged:
        """Fill in the code of every row, where there are not too many; and what is said of every code, else of every row."""
        heads = _coded(array, codes, min(MOST, max(1_000, len(array) // 8)))
        if heads is None:
            return _Judged(series, self._truths(series), by_row=True)
        texts = pl.concat([pl.Series(self.name, [None], dtype=pl.String), series.gather(heads)])
        return _Judged(texts, self._truths(texts), by_row=False)

    def answer(self, coded: _Judged, words: int) -> _Answer:
        said = {leaf: _bits_of(leaf, coded.truths, coded.texts) for leaf in self.leaves}
        return _Answer({leaf: _words(bits, words) for leaf, bits in said.items()} if coded.by_row else said, coded.by_row)

    def _truths(self, texts: pl.Series) -> list[pl.Series]:
        return self.judge(texts.alias(self.column).to_frame())


def _says(leaf: Leaf, truths: Sequence[bool | None], known: bool) -> bool:
    return known if leaf.what == "known" else truths[leaf.number] is (leaf.what == "fact")


def _bits_of(leaf: Leaf, truths: Sequence[pl.Series], texts: pl.Series) -> Array:
    if leaf.what == "known":
        return texts.is_not_null().to_numpy()
    found = truths[leaf.number]
    return (found if leaf.what == "fact" else ~found).fill_null(False).to_numpy()


def _words(bits: Array, words: int) -> Array:
    """Bits as words, with nothing behind them."""
    made = np.zeros(words * 8, np.uint8)
    packed = np.packbits(bits, bitorder="little")
    made[: packed.size] = packed
    return made.view(np.uint64)


def _coding(column: _Numbers | _Texts, frame: pl.DataFrame, codes: Array, shared: dict[Any, Any]) -> Callable[[], _Answer]:
    """Code a column, or take over the codes that it was given when the same was asked of the same buffers."""

    def code() -> _Answer:
        series = frame[column.name]
        array = _arrow(series)
        asked = (*(None if buffer is None else buffer.address for buffer in array.buffers()[:2]), len(array), column.asked)
        if asked in shared:
            codes[:] = shared[asked][1]
        else:
            # the array is kept too, lest another one come to lie where it lay
            shared[asked] = array, codes, column.coded(series, array, codes[: len(array)])
        return column.answer(shared[asked][2], codes.size // WORD)

    return code


def _arrow(series: pl.Series) -> Any:
    """One Arrow array that begins with its buffers: a copy, where it is cut out of another."""
    array = series.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    if array.offset:
        array = series.gather(pl.int_range(len(series), eager=True)).to_arrow(compat_level=pl.CompatLevel.newest())
    return array


def _valid(nulls: Any) -> Array:
    return np.empty(0, np.uint8) if nulls is None else np.frombuffer(nulls, np.uint8)


def _coded(array: Any, codes: Array, most: int) -> Array | None:
    """Code texts by the sixteen bytes in which Arrow keeps a short one whole; the rows where each stood first, none where there are more.

    Of a long one they say where it lies, so that every occurrence is another: such a column soon has too many.
    """
    nulls, views = array.buffers()[:2]
    words = np.frombuffer(views, np.uint64).reshape(-1, 2)[: len(array)]
    slots = 1 << (2 * most).bit_length()
    firsts, seconds, heads = np.empty(most, np.uint64), np.empty(most, np.uint64), np.empty(most, np.int64)
    number = bit_loops.coded(words[:, 0], words[:, 1], _valid(nulls), np.full(slots, -1, np.int32), firsts, seconds, heads, most, codes)
    return None if number < 0 else heads[:number]


def _said_by_flags(series: pl.Series, words: int) -> Said:
    return {Leaf("true", series.name): _bitmap(series, words), Leaf("false", series.name): _bitmap(~series, words)}


class _Wiring:
    """Where the bits of the leaves come from in one frame: tables for the codes, 64 leaves to a word, and rows of words."""

    def __init__(self, slots: Mapping[Leaf, int]) -> None:
        self.slots = slots
        self.looks: list[tuple[int, int, int]] = []
        self.table: list[Array] = []
        self.places: list[list[int]] = []
        self.given: list[Array] = []
        self.held: list[int] = []
        self.size = 0

    def take(self, column: int, answer: _Answer) -> None:
        """What the column in this row of the codes says."""
        if answer.by_row:
            self.give(answer.said, 0)
            return
        left = list(answer.said.items())
        while left:
            word = next((at for at, bits in enumerate(self.places) if len(bits) + min(len(left), WORD) <= WORD), len(self.places))
            if word == len(self.places):
                self.places.append([])
            bits = self.places[word]
            some, left = left[: WORD - len(bits)], left[WORD - len(bits) :]
            found = np.zeros(some[0][1].size, np.uint64)
            for leaf, said in some:
                found |= said.astype(np.uint64) << np.uint64(len(bits))
                bits.append(self.slots[leaf])
            self.looks.append((word, column, self.size))
            self.table.append(found)
            self.size += found.size

    def give(self, said: Said, words: int) -> None:
        for leaf, bits in said.items():
            if leaf in self.slots:
                self.given.append(bits)
                self.held.append(self.slots[leaf])

    def laid(self, words: int) -> tuple[Array, Array, Array, Array]:
        """The rows of words, what is looked up where, the tables in one, and the slot of every bit."""
        given = np.stack(self.given) if self.given else np.empty((0, words), np.uint64)
        looks = np.array(sorted(self.looks), np.int64).reshape(-1, 3)
        table = np.concatenate(self.table) if self.table else np.empty(0, np.uint64)
        places = [slot for bits in self.places for slot in (*bits, *[-1] * (WORD - len(bits)))]
        return given, looks, table, np.array([*places, *self.held], np.int64)


def _sums(points: Sequence[int]) -> Array:
    """For each eight bits what each byte of them comes to."""
    found = np.zeros((max(1, -(-len(points) // 8)), 256), np.int64)
    for at, worth in enumerate(points):
        found[at // 8] += worth * ((np.arange(256) >> (at % 8)) & 1)
    return found


def flags(name: str, rows: int, bits: Array, known: Array | None) -> pl.Series:
    """A column of flags over words of bits, without copying them."""
    buffers = [None if known is None else pa.py_buffer(known), pa.py_buffer(bits)]
    return pl.Series(name, pa.Array.from_buffers(pa.bool_(), rows, buffers))


def across(frame: pl.DataFrame) -> pl.Series:
    """Columns of flags as words by row, 64 columns to a word; unknown is false."""
    words = -(-frame.height // (WORD * bit_loops.BLOCK)) * bit_loops.BLOCK
    bits = np.stack([_bitmap(series, words) for series in frame])
    out = np.zeros((frame.height, -(-frame.width // WORD)), np.uint64)
    side_by_side(_parts(lambda begin, end: bit_loops.across(bits, out, begin, end), words), frame.height)
    return pl.Series(out, dtype=pl.Array(pl.UInt64, out.shape[1]))


def _bitmap(series: pl.Series, words: int) -> Array:
    """The true rows of a column of flags as bits."""
    nulls, values = _arrow(series).buffers()
    made = np.zeros(words * 8, np.uint8)
    size = -(-len(series) // 8)
    made[:size] = np.frombuffer(values, np.uint8, size)
    if nulls is not None:
        made[:size] &= np.frombuffer(nulls, np.uint8, size)
    return made.view(np.uint64)


def _parts(work: Callable[[int, int], None], words: int) -> list[Callable[[], None]]:
    """The words in as many parts as there are threads."""
    blocks, count = words // bit_loops.BLOCK, pl.thread_pool_size()
    ends = [blocks * part // count * bit_loops.BLOCK for part in range(count + 1)]
    return [lambda begin=begin, end=end: work(begin, end) for begin, end in pairwise(ends)]  # type: ignore[misc]


def side_by_side(work: Sequence[Callable[[], Any]], rows: int) -> list[Any]:
    """What each of these gives; where there are many rows on as many threads as polars has."""
    if rows < _SHARED_FROM or len(work) < 2:
        return [one() for one in work]
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return list(pool.map(lambda one: one(), work))
