"""Loops over columns and bits as machine code: values become codes, codes facts, facts truths, truths points. Loads numba.

Bits lie as in Arrow: row ``n`` is bit ``n % 64`` of word ``n // 64``. Code 0 stands for what is missing. They know no rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np

from engine.backends.circuit import AND, AND_NOT, NOT, OR

Array = np.ndarray[Any, Any]

BLOCK: Final = 8
"""So many words are worked on at once: their slots fit the processor's nearest memory."""
_SIGN: Final = np.uint64(1 << 63)
_ONE: Final = np.uint64(1)
_BYTE: Final = np.uint64(255)
_SPREAD: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(40))


def _machine_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled: kept beside this file where that can be written, else in the user's folder for caches, else nowhere."""
    try:
        made = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        made = numba.njit(nogil=True)(function)
    return made


@_machine_code
def coded(
    first: Array, second: Array, valid: Array, slots: Array, firsts: Array, seconds: Array, heads: Array, most: int, codes: Array
) -> int:
    """Give every pair of words its code, in order of appearance, and note the row in which it stood first; how many there are, or -1 where
    there are more than `most`."""
    mask, count = np.uint64(slots.size - 1), 0
    for row in range(first.size):
        if valid.size and not (valid[row >> 3] >> (row & 7)) & 1:
            codes[row] = 0
            continue
        one, other = first[row], second[row]
        place = (((one ^ (other * _SPREAD[0])) * _SPREAD[1]) >> _SPREAD[2]) & mask
        code = slots[place]
        while code >= 0 and (firsts[code] != one or seconds[code] != other):
            place = (place + _ONE) & mask
            code = slots[place]
        if code < 0:
            if count == most:
                return -1
            code = count
            slots[place], firsts[code], seconds[code], heads[code] = code, one, other, row
            count += 1
        codes[row] = code + 1
    return count


@_machine_code
def ranked(bits: Array, floats: bool, valid: Array, thresholds: Array, table: Array, base: int, shift: int, codes: Array) -> None:
    """Give every number its class: 1 and how many thresholds it has reached. Numbers and thresholds are compared as rising whole numbers;
    the first of these in each stretch of ``2 ** shift``, from `base` on, is found in `table`."""
    top = np.uint64(table.size - 1)
    for row in range(bits.size):
        if valid.size and not (valid[row >> 3] >> (row & 7)) & 1:
            codes[row] = 0
            continue
        number = bits[row]
        number = ~number if floats and number >> np.uint64(63) else number ^ _SIGN
        place = min((number - base) >> shift, top) if number > base else np.uint64(0)
        rank = np.int64(table[place])
        while rank < thresholds.size and number >= thresholds[rank]:
            rank += 1
        codes[row] = rank + 1


@_machine_code
def turned(rows: Array) -> None:
    """Turn a square of 64 words of 64 bits about its diagonal."""
    width, mask = np.int64(32), np.uint64(0x00000000FFFFFFFF)
    while width:
        shift, at = np.uint64(width), np.int64(0)
        while at < 64:
            swapped = ((rows[at] >> shift) ^ rows[at + width]) & mask
            rows[at + width] ^= swapped
            rows[at] ^= swapped << shift
            at = ((at | width) + 1) & ~width
        width >>= 1
        mask ^= mask << np.uint64(width)


@_machine_code
def judged(
    codes: Array,
    table: Array,
    looks: Array,
    given: Array,
    places: Array,
    instructions: Array,
    slots: Array,
    out: Array,
    begin: int,
    end: int,
) -> None:
    """Run a circuit over the words from `begin` to `end`. `looks` are (word of facts, column of `codes`, where in `table` its classes
    begin), in order of words; `places` the slot of each bit of these words, or -1; then of each row of `given`."""
    square = np.empty(64, np.uint64)
    words = (places.size - given.shape[0]) // 64
    for base in range(begin, end, BLOCK):
        for k in range(BLOCK):
            row, look = (base + k) * 64, 0
            for word in range(words):
                square[:] = np.uint64(0)
                while look < looks.shape[0] and looks[look, 0] == word:
                    column, start = looks[look, 1], looks[look, 2]
                    for at in range(64):
                        square[at] |= table[start + codes[column, row + at]]
                    look += 1
                turned(square)
                for at in range(64):
                    if places[word * 64 + at] >= 0:
                        slots[places[word * 64 + at], k] = square[at]
            for number in range(given.shape[0]):
                slots[places[words * 64 + number], k] = given[number, base + k]
        for number in range(instructions.shape[0]):
            op, to, left, right = instructions[number]
            if op == AND:
                for k in range(BLOCK):
                    slots[to, k] = slots[left, k] & slots[right, k]
            elif op == OR:
                for k in range(BLOCK):
                    slots[to, k] = slots[left, k] | slots[right, k]
            elif op == AND_NOT:
                for k in range(BLOCK):
                    slots[to, k] = slots[left, k] & ~slots[right, k]
            elif op == NOT:
                for k in range(BLOCK):
                    slots[to, k] = ~slots[left, k]
            else:
                for k in range(BLOCK):
                    out[to, base + k] = slots[left, k]


@_machine_code
def weighed(bits: Array, sums: Array, out: Array, begin: int, end: int) -> None:
    """Add to every row what its bits are worth together: `sums` has for each eight of them what each byte comes to."""
    square = np.empty(64, np.uint64)
    for word in range(begin, end):
        for first in range(0, bits.shape[0], 64):
            some = np.uint64(0)
            for number in range(64):
                square[number] = bits[first + number, word] if first + number < bits.shape[0] else np.uint64(0)
                some |= square[number]
            if some == 0:
                continue
            turned(square)
            for at in range(64):
                left, eight, worth = square[at], first >> 3, np.int64(0)
                while left:
                    worth += sums[eight, left & _BYTE]
                    left >>= np.uint64(8)
                    eight += 1
                out[word * 64 + at] += worth


@_machine_code
def across(bits: Array, out: Array, begin: int, end: int) -> None:
    """Lay the bits of many columns out by rows, 64 columns to a word."""
    square = np.empty(64, np.uint64)
    for word in range(begin, end):
        for first in range(0, bits.shape[0], 64):
            for number in range(64):
                square[number] = bits[first + number, word] if first + number < bits.shape[0] else np.uint64(0)
            turned(square)
            for at in range(min(64, out.shape[0] - word * 64)):
                out[word * 64 + at, first >> 6] = square[at]
