"""Boxes over columns of classes: which of them overlap, what none of them reaches, and which lie hidden behind earlier ones.

Exact, as long as the effort lasts; where it does not, `TooMuch` says so. A box holds one set of classes a column, as bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import prod
from operator import or_
from typing import Final

from engine.lang.axes import bits

EFFORT: Final = 500_000
"""How many times a box is looked at before the search is given up: about a second of work."""
_FEW: Final = 12

Box = tuple[int, ...]


class TooMuch(Exception):
    """The boxes lie so that the search would take too long."""


@dataclass(slots=True)
class Space:
    """Boxes in a common space. `whole` is all of it; `effort` is what is left of the patience with it."""

    whole: Box
    boxes: list[Box]
    effort: int = EFFORT
    _touching: list[dict[int, int]] = field(default_factory=list)
    _met: dict[int, int] = field(default_factory=dict)

    # --- who meets whom ----------------------------------------------------------------------------------------------

    def meeting(self, box: Box) -> int:
        """The boxes that have a point in common with this one, as bits."""
        if not self._touching:
            self._touching = [_touching([one[column] for one in self.boxes]) for column in range(len(self.whole))]
        found = (1 << len(self.boxes)) - 1
        for column, cell in enumerate(box):
            touching = self._touching[column]
            if cell not in touching:  # not one of the boxes
                touching[cell] = sum(1 << number for number, one in enumerate(self.boxes) if one[column] & cell)
            found &= touching[cell]
        return found

    def met(self, number: int) -> int:
        """The boxes that have a point in common with one of them, itself among them, as bits."""
        if number not in self._met:
            self._met[number] = self.meeting(self.boxes[number])
        return self._met[number]

    def overlaps(self) -> Iterator[tuple[int, int]]:
        """Pairs of boxes that have a point in common, in order."""
        for number in range(len(self.boxes)):
            for other in bits(self.met(number) >> number + 1):
                yield number, number + 1 + other

    # --- what is left open -------------------------------------------------------------------------------------------

    def hole(self, box: Box, among: Iterable[int], extra: Sequence[Box] = ()) -> Box | None:
        """A part of the box that none of these boxes reaches, and none of the `extra` ones, which lie apart from all; none where they
        cover it."""
        numbers = list(among)
        there = sum(1 << number for number in numbers)
        apart = all(self.met(number) & there == 1 << number for number in numbers)
        return self._open(box, [*(self.boxes[number] for number in numbers), *extra], apart)

    def _open(self, box: Box, covers: list[Box], apart: bool) -> Box | None:
        narrowed = self._narrowed(box, covers)
        if narrowed is None:
            return None
        box, covers, spare = narrowed
        if not covers:
            return box
        if spare:
            return self._descend(box, covers)
        if apart:  # no point is counted twice, so they fill it
            return None
        for half in _halves(box, covers):
            found = self._open(half, covers, apart)
            if found is not None:
                return found
        return None

    def _narrowed(self, box: Box, covers: list[Box]) -> tuple[Box, list[Box], bool] | None:
        """The box without what slabs cover that lie right across it, the boxes that reach into the rest, and whether these are too small
        together to fill it; none where nothing is left."""
        while True:
            self.effort -= len(covers) + 1
            if self.effort < 0:
                raise TooMuch
            kept: list[Box] = []
            slabs = [0] * len(box)
            volume = 0
            for cover in covers:
                inside = tuple(map(int.__and__, cover, box))
                if not all(inside):
                    continue
                open_ = [column for column, cell in enumerate(inside) if cell != box[column]]
                if not open_:
                    return None
                if len(open_) == 1:
                    slabs[open_[0]] |= inside[open_[0]]
                else:
                    kept.append(inside)
                    volume += prod(map(int.bit_count, inside))
            if not any(slabs):
                return box, kept, volume < prod(map(int.bit_count, box))
            box = tuple(cell & ~slab for cell, slab in zip(box, slabs, strict=True))
            if not all(box):
                return None
            covers = kept

    def _descend(self, box: Box, covers: list[Box]) -> Box:
        """Where the boxes are too small together to fill the box, one half of it has the same fate, down to where nothing reaches."""
        while True:
            for half in _halves(box, covers):
                narrowed = self._narrowed(half, covers)
                if narrowed is not None and (narrowed[2] or not narrowed[1]):
                    break
            else:  # one of two halves is too large for what reaches into it
                raise AssertionError
            box, covers, _ = narrowed
            if not covers:
                return box

    def widened(self, box: Box, extra: Sequence[Box] = ()) -> Box:
        """An open box made as large as it can be, one column after the other; the `extra` ones are in the way too."""
        made = list(box)
        for column, cell in enumerate(box):
            around = (*made[:column], self.whole[column], *made[column + 1 :])
            taken = 0
            for number in bits(self.meeting(around)):
                taken |= self.boxes[number][column]
            for other in extra:
                taken |= other[column] if all(map(int.__and__, other, around)) else 0
            made[column] = self.whole[column] & ~taken | cell
        return tuple(made)


def _halves(box: Box, covers: list[Box]) -> tuple[Box, Box]:
    """The box in two parts: along the edge of a box that reaches into it, or where there are many, in the middle of its longest column."""
    if len(covers) <= _FEW:
        cover = max(covers, key=lambda one: prod(map(int.bit_count, one)))
        column = next(column for column, cell in enumerate(cover) if cell & box[column] != box[column])
        first = cover[column] & box[column]
    else:
        column = max(range(len(box)), key=lambda one: box[one].bit_count())
        cell = box[column]
        middle = ((cell & -cell).bit_length() - 1 + cell.bit_length()) // 2
        first = cell & ((1 << middle) - 1)
    rest = box[column] & ~first
    return (*box[:column], first, *box[column + 1 :]), (*box[:column], rest, *box[column + 1 :])


def _touching(cells: list[int]) -> dict[int, int]:
    """Of every cell of a column, the boxes whose cell has a class in common with it."""
    having: dict[int, int] = {}
    for number, cell in enumerate(cells):
        having[cell] = having.get(cell, 0) | 1 << number
    runs = {cell: _run(cell) for cell in having}
    plain = {cell: run for cell, run in runs.items() if run is not None}
    broken = [cell for cell, run in runs.items() if run is None and cell]
    size = max((cell.bit_length() for cell in having), default=0) + 1
    begun, ended = [0] * (size + 1), [0] * (size + 1)
    for cell, (low, high) in plain.items():
        begun[low + 1] |= having[cell]
        ended[high] |= having[cell]
    begun, ended = list(accumulate(begun, or_)), list(accumulate(ended, or_))
    found = {cell: begun[high] & ~ended[low] for cell, (low, high) in plain.items()}
    for cell in broken:
        found[cell] = 0
    for cell in broken:
        for other, boxes in having.items():
            if cell & other:
                found[cell] |= boxes
                if runs[other] is not None:
                    found[other] |= having[cell]
    return {0: 0} | found


def _run(cell: int) -> tuple[int, int] | None:
    """The classes from the first up to, and without, the second, where a cell holds all between."""
    if not cell:
        return None
    low, high = (cell & -cell).bit_length() - 1, cell.bit_length()
    return (low, high) if cell.bit_count() == high - low else None
