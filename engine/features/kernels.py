"""Loops over arrays: rows grouped by key, windows as places in them, and what stands in a window. They know neither frames nor types.

All are plain functions. `compiled` gives the same ones as machine code, where numba is installed; small frames are not worth the wait.
Rows lie by key, time and arrival; `begin` gives for every key its first place. Of a place, `source` is the row's number in order of
arrival (negative where it was kept from frames before), and `unseen` the first place before it whose row arrived later; it is empty
where there is none in the whole frame. `wanted` is where the answer of the row at a place goes, or -1.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

COMPILED_FROM: int = 20_000
"""So many rows are worth loading the compiled loops, or waiting for them."""

FOREVER = -(2**63)
NEVER = 2**63 - 1


def coded(first: Array, second: Array, row: int, slots: Array, firsts: Array, seconds: Array, count: int, codes: Array) -> tuple[int, int]:
    """Give every pair of hashes its code, from this row on, until all are done or half of the slots are full; which row is the next, and
    how many codes there are."""
    mask = slots.size - 1
    while row < first.size and 2 * count < slots.size:
        one, other = first[row], second[row]
        place = one & mask
        code = slots[place]
        while code >= 0 and (firsts[code] != one or seconds[code] != other):
            place = (place + 1) & mask
            code = slots[place]
        if code < 0:
            code = count
            slots[place] = code
            firsts[code] = one
            seconds[code] = other
            count += 1
        codes[row] = code
        row += 1
    return row, count


def came(codes: Array, times: Array, enters: Array, late: int, newest: Array, oldest: Array, tardy: Array, before: Array) -> None:
    """In order of arrival: which rows come too late for their key, and how old its oldest row was `before` each."""
    for row in range(codes.size):
        key, time = codes[row], times[row]
        before[row] = oldest[key]
        tardy[row] = newest[key] != FOREVER and time < newest[key] - late
        if enters[row] and not tardy[row]:
            newest[key] = max(newest[key], time)
            oldest[key] = min(oldest[key], time)


def counted(codes: Array, tardy: Array, kept: Array, counts: Array, keys: Array, begin: Array) -> int:
    """How many keys the rows have that are not too late; these, and where each of them begins: its kept rows lie before its new ones."""
    number = 0
    for row in range(codes.size):
        if not tardy[row]:
            key = codes[row]
            if counts[key] == 0:
                keys[number] = key
                number += 1
            counts[key] += 1
    for place in range(number):
        begin[place + 1] = begin[place] + kept[keys[place]] + counts[keys[place]]
    return number


def arranged(
    codes: Array,
    times: Array,
    tardy: Array,
    keys: Array,
    begin: Array,
    kept: Array,
    start: Array,
    before: Array,
    source: Array,
    moments: Array,
) -> bool:
    """Fill in the places by key and arrival: sources and times. Whether the rows of every key are in order of time."""
    cursor = np.zeros(kept.size, np.int64)
    for place in range(keys.size):
        key, at = keys[place], begin[place]
        for row in range(start[key], start[key] + kept[key]):
            source[at] = -1 - row
            moments[at] = before[row]
            at += 1
        cursor[key] = at
    for row in range(codes.size):
        if not tardy[row]:
            at = cursor[codes[row]]
            source[at] = row
            moments[at] = times[row]
            cursor[codes[row]] = at + 1
    for place in range(keys.size):
        for at in range(begin[place] + 1, begin[place + 1]):
            if moments[at] < moments[at - 1]:
                return False
    return True


def put_in_order(begin: Array, source: Array, moments: Array, unseen: Array) -> None:
    """Sort the rows of every key by time, those of one time by arrival, and find what each of them cannot have seen."""
    for key in range(begin.size - 1):
        low, high = begin[key], begin[key + 1]
        order = np.argsort(moments[low:high], kind="mergesort")
        moments[low:high] = moments[low:high][order]
        source[low:high] = source[low:high][order]
        latest = source[low:high].copy()
        for at in range(1, high - low):
            latest[at] = max(latest[at], latest[at - 1])
        for at in range(high - low):
            unseen[low + at] = low + np.searchsorted(latest[: at + 1], source[low + at] + 1)


def spanned(
    moments: Array, wanted: Array, source: Array, begin: Array, length: int, after: Array, upto: Array, own: bool, low: Array, high: Array
) -> None:
    """The places ``low <= place < high`` of the window of each row: so long and up to the row itself, with it or without; or, where
    `after` is given, by row, between these moments."""
    for key in range(begin.size - 1):
        first, end = begin[key], begin[key + 1]
        left = right = first
        for at in range(first, end):
            if wanted[at] < 0:
                continue
            start = moments[at] - length if after.size == 0 else after[source[at]]
            while left > first and moments[left - 1] > start:
                left -= 1
            while left < end and moments[left] <= start:
                left += 1
            low[at] = left
            last = moments[at] if upto.size == 0 else upto[source[at]]
            if last >= moments[at]:
                high[at] = max(left, at + own) if start < last else left
                continue
            while right > first and moments[right - 1] > last:
                right -= 1
            while right < end and moments[right] <= last:
                right += 1
            high[at] = max(left, right)


def totals(sums: Array, low: Array, high: Array, source: Array, unseen: Array, wanted: Array, out: Array) -> None:
    """The sum in every window; `sums` are running ones, with nought before the first place."""
    for at in range(source.size):
        to = wanted[at]
        if to < 0:
            continue
        left, right = low[at], high[at]
        if unseen.size == 0 or unseen[at] >= right:
            out[to] = sums[right] - sums[left]
            continue
        middle = max(left, unseen[at])
        total = sums[middle] - sums[left]
        for place in range(middle, right):
            if source[place] <= source[at]:
                total += sums[place + 1] - sums[place]
        out[to] = total


def largest(values: Array, counts: Array, low: Array, high: Array, source: Array, unseen: Array, wanted: Array, out: Array) -> None:
    """The largest value in every window of the rows that count, of which there is one."""
    best = np.empty(source.size + 1, np.int64)
    head, tail, at, before = 0, 0, 0, 0
    for row in range(source.size):
        to = wanted[row]
        if to < 0:
            continue
        left, right = low[row], high[row]
        if unseen.size and unseen[row] < right:
            top = FOREVER
            for place in range(left, right):
                if counts[place] and source[place] <= source[row]:
                    top = max(top, values[place])
            out[to] = top
            continue
        if left < before or right < at or left >= at:  # it stepped back, or has nothing of what it had
            head, tail, at = 0, 0, left
        before = left
        while at < right:
            if counts[at]:
                while tail > head and values[best[tail - 1]] <= values[at]:
                    tail -= 1
                best[tail] = at
                tail += 1
            at += 1
        while head < tail and best[head] < left:
            head += 1
        out[to] = values[best[head]] if head < tail else FOREVER


def linked(codes: Array, counts: Array, begin: Array, latest: Array, previous: Array, following: Array) -> None:
    """For every row that counts the places of its key's rows with the same code next before and next after it."""
    for key in range(begin.size - 1):
        for at in range(begin[key], begin[key + 1]):
            previous[at] = -1
            following[at] = NEVER
            if counts[at]:
                there = latest[codes[at]]
                if there >= begin[key]:
                    previous[at] = there
                    following[there] = at
                latest[codes[at]] = at


def distinct(
    previous: Array, following: Array, counts: Array, low: Array, high: Array, source: Array, unseen: Array, wanted: Array, out: Array
) -> None:
    """How many different codes are in every window, by their first occurrences in it."""
    left = right = 0
    number = 0
    for row in range(source.size):
        to = wanted[row]
        if to < 0:
            continue
        if unseen.size and unseen[row] < high[row]:
            out[to] = 0
            for place in range(low[row], high[row]):
                if counts[place] and source[place] <= source[row]:
                    there = previous[place]
                    while there >= low[row] and source[there] > source[row]:
                        there = previous[there]
                    out[to] += there < low[row]
            continue
        if low[row] >= right or high[row] <= left:
            number, left, right = 0, low[row], low[row]
        while right < high[row]:
            number += counts[right] and previous[right] < left
            right += 1
        while right > high[row]:
            right -= 1
            number -= counts[right] and previous[right] < left
        while left < low[row]:
            number -= counts[left] and following[left] >= right
            left += 1
        while left > low[row]:
            left -= 1
            number += counts[left] and following[left] >= right
        out[to] = number


def means(sums: Array, counts: Array, out: Array) -> None:
    """Each sum over its count, half-even to a whole number; where nothing counts, nought."""
    for row in range(sums.size):
        count = counts[row]
        out[row] = 0
        if count > 0:
            down = sums[row] // count
            rest = 2 * (sums[row] - down * count)
            out[row] = down + (rest > count or (rest == count and down % 2 == 1))


FUNCTIONS = (coded, came, counted, arranged, put_in_order, spanned, totals, largest, linked, distinct, means)

plain = SimpleNamespace(**{function.__name__: function for function in FUNCTIONS})
"""The loops as Python runs them."""


def loops(rows: int) -> SimpleNamespace:
    """Those to use for so many rows: compiled ones where they are there already, or are worth the wait."""
    return compiled() if rows >= COMPILED_FROM or compiled.cache_info().currsize else plain


@lru_cache(maxsize=1)
def compiled() -> SimpleNamespace:
    """The loops as machine code: kept beside this file, else in the user's folder for caches (``NUMBA_CACHE_DIR`` names another), and made
    anew in every process where none of these can be written."""
    return SimpleNamespace(**{function.__name__: _compiled(function) for function in FUNCTIONS})


def _compiled(function: Any) -> Any:
    import numba

    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder to keep it in
        return numba.njit(nogil=True)(function)
