"""Loops over arrays: rows grouped by key, windows as places in them, and what stands in a window. They know neither frames nor types.

All are plain functions. `compiled` gives the same ones as machine code, where numba is installed; small frames are not worth the wait.
Rows lie by key, time and arrival; `begin` gives for every key its first place. Of a place, `source` is the number of what stands there in
order of arrival (negative where it was kept from frames before), and `unseen` the first place before it that arrived later; it is empty
where none did. The window of a place is ``low <= place < high``; what is said of it goes into `out`, at the same place.
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
NOWHERE = 2**31 - 1
SPREAD = 0x1E3779B97F4A7C15
_SMALL = 2**51


def coded(first: Array, second: Array, row: int, slots: Array, known: Array, count: int, codes: Array) -> tuple[int, int]:
    """Give every pair of hashes its code, from this row on, until all are done or a quarter of the slots are full; which row is the next,
    and how many codes there are. `known` are the pairs by code."""
    mask = slots.size - 1
    while row < first.size and 4 * count < slots.size:
        one, other = first[row], second[row]
        place = one & mask
        code = slots[place]
        while code >= 0 and (known[code, 0] != one or known[code, 1] != other):
            place = (place + 1) & mask
            code = slots[place]
        if code < 0:
            code = count
            slots[place] = code
            known[code, 0] = one
            known[code, 1] = other
            count += 1
        codes[row] = code
        row += 1
    return row, count


def came(
    codes: Array, times: Array, enters: Array, late: int, newest: Array, oldest: Array, tardy: Array, before: Array, counts: Array
) -> None:
    """In order of arrival: which entries come too late for their key, how many of each do not, and, where `before` has room for it, how old
    the oldest one of the key was before each."""
    for entry in range(codes.size):
        key, time = codes[entry], times[entry]
        if before.size:
            before[entry] = oldest[key]
        behind = newest[key] != FOREVER and time < newest[key] - late
        tardy[entry] = behind
        counts[key] += not behind
        if enters[entry] and not behind:
            newest[key] = max(newest[key], time)
            oldest[key] = min(oldest[key], time)


def arranged(codes: Array, tardy: Array, keys: Array, begin: Array, kept: Array, start: Array, source: Array, at: Array) -> None:
    """Fill in the sources by key and arrival, and at which place each entry lies; the `kept` rows of a key lie before its new ones."""
    cursor = np.zeros(kept.size, np.int64)
    for place in range(keys.size):
        key = keys[place]
        first, old = begin[place], start[key]
        for nth in range(kept[key]):
            source[first + nth] = -1 - (old + nth)
        cursor[key] = first + kept[key]
    for entry in range(codes.size):
        if not tardy[entry]:
            place = cursor[codes[entry]]
            source[place] = entry
            at[entry] = place
            cursor[codes[entry]] = place + 1


def fetched(values: Array, places: Array, out: Array) -> None:
    """What stands at these places; at negative ones, nothing is said."""
    for to in range(places.size):
        if places[to] >= 0:
            out[to] = values[places[to]]


def ordered(begin: Array, moments: Array) -> bool:
    """Whether the rows of every key are in order of time."""
    for key in range(begin.size - 1):
        for at in range(begin[key] + 1, begin[key + 1]):
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


def spanned(moments: Array, row: Array, begin: Array, length: int, after: Array, upto: Array, own: bool, low: Array, high: Array) -> None:
    """The window of each place: so long and up to the row itself, with it or without; or, where `after` is given, by `row` of the frame,
    between these moments. A place without a row, where these are asked for, has the window of the place before."""
    for key in range(begin.size - 1):
        first, end = begin[key], begin[key + 1]
        left = right = top = first
        for at in range(first, end):
            if after.size == 0:
                start = moments[at] - length
            elif row[at] >= 0:
                start = after[row[at]]
            else:
                low[at], high[at] = left, top
                continue
            while left > first and moments[left - 1] > start:
                left -= 1
            while left < end and moments[left] <= start:
                left += 1
            last = moments[at] if upto.size == 0 else upto[row[at]]
            if last >= moments[at]:
                top = max(left, at + own) if start < last else left
            else:
                while right > first and moments[right - 1] > last:
                    right -= 1
                while right < end and moments[right] <= last:
                    right += 1
                top = max(left, right)
            low[at], high[at] = left, top


def totals(sums: Array, low: Array, high: Array, source: Array, unseen: Array, out: Array) -> None:
    """The sum in every window; `sums` are running ones, with nought before the first place."""
    for at in range(low.size):
        out[at] = sums[high[at]] - sums[low[at]]
    for at in range(unseen.size):
        if unseen[at] < high[at]:
            middle = max(low[at], unseen[at])
            total = sums[middle] - sums[low[at]]
            for place in range(middle, high[at]):
                if source[place] <= source[at]:
                    total += sums[place + 1] - sums[place]
            out[at] = total


def largest(peaks: Array, levels: Array, low: Array, high: Array, source: Array, unseen: Array, out: Array) -> None:
    """The largest value in every window, `FOREVER` where there is none. `peaks` holds at each level, for each place, the largest of the
    next 1, 2, 4, 8 … values; `levels` says for a width which level covers it twice over."""
    for at in range(low.size):
        width = high[at] - low[at]
        level = levels[width]
        out[at] = max(peaks[level, low[at]], peaks[level, high[at] - (1 << level)]) if width > 0 else FOREVER
    for at in range(unseen.size):
        if unseen[at] < high[at]:
            top = FOREVER
            for place in range(low[at], high[at]):
                if source[place] <= source[at]:
                    top = max(top, peaks[0, place])
            out[at] = top


def linked(values: Array, counts: Array, begin: Array, slots: Array, previous: Array, following: Array) -> None:
    """For every row that counts the places of its key's rows with the same value next before and next after it: -1 and `NOWHERE` where
    there is none; the other way round for rows that do not count. `slots` are four times as many as a key has rows, and hold -1."""
    for key in range(begin.size - 1):
        first, end = begin[key], begin[key + 1]
        mask = 1
        while mask < 2 * (end - first):
            mask *= 2
        mask -= 1
        for at in range(first, end):
            previous[at] = -1 if counts[at] else NOWHERE
            following[at] = NOWHERE if counts[at] else -1
            if counts[at]:
                value = values[at]
                slot = (int(value) * SPREAD >> 31) & mask
                there = slots[slot]
                while there >= first and values[there] != value:  # what other keys left there is nothing
                    slot = (slot + 1) & mask
                    there = slots[slot]
                if there >= first:
                    previous[at] = there
                    following[there] = at
                slots[slot] = at


def distinct(previous: Array, following: Array, low: Array, high: Array, source: Array, unseen: Array, out: Array) -> None:
    """How many different values are in every window, by their first occurrences in it."""
    left = right = number = 0
    for at in range(low.size):
        start, end = low[at], high[at]
        if start >= right or end <= left:
            number, left, right = 0, start, start
        while right < end:
            number += previous[right] < left
            right += 1
        while right > end:
            right -= 1
            number -= previous[right] < left
        while left < start:
            number -= following[left] >= right
            left += 1
        while left > start:
            left -= 1
            number += following[left] >= right
        out[at] = number
    for at in range(unseen.size):
        if unseen[at] < high[at]:
            number = 0
            for place in range(low[at], high[at]):
                if following[place] >= 0 and source[place] <= source[at]:
                    there = previous[place]
                    while there >= low[at] and source[there] > source[at]:
                        there = previous[there]
                    number += there < low[at]
            out[at] = number


def repeats(previous: Array, following: Array, low: Array, high: Array, source: Array, unseen: Array, out: Array) -> None:
    """How often the value that is most often in every window is there."""
    same, often, times = np.empty(low.size, np.int32), np.zeros(low.size, np.int32), np.zeros(low.size + 2, np.int32)
    for at in range(low.size):  # where its value stands first stands for it
        same[at] = same[previous[at]] if 0 <= previous[at] < at else at
    left = right = top = 0
    for at in range(low.size):
        start, end = low[at], high[at]
        while left < right and (left < start or right > end):
            place = left if left < start else right - 1
            left, right = (left + 1, right) if left < start else (left, right - 1)
            if following[place] >= 0:
                number = often[same[place]]
                often[same[place]] = number - 1
                times[number] -= 1
                times[number - 1] += 1
                if times[top] == 0:
                    top -= 1
        if left == right:
            left, right, top = start, start, 0
        while left > start or right < end:
            place = left - 1 if left > start else right
            left, right = (place, right) if left > start else (left, right + 1)
            if following[place] >= 0:
                number = often[same[place]]
                often[same[place]] = number + 1
                times[number] -= 1
                times[number + 1] += 1
                top = max(top, number + 1)
        out[at] = top
    for at in range(unseen.size):
        if unseen[at] < high[at]:
            top = 0
            for place in range(low[at], high[at]):
                if following[place] >= 0 and source[place] <= source[at]:
                    number = 0
                    there = place
                    while there >= low[at]:
                        number += source[there] <= source[at]
                        there = previous[there]
                    top = max(top, number)
            out[at] = top


def latest(there: Array, low: Array, high: Array, source: Array, unseen: Array, out: Array) -> None:
    """The last place of every window, before the row that asks, whose row is there; or -1."""
    before, last = np.empty(low.size + 1, np.int32), -1
    for at in range(low.size):
        before[at] = last
        last = at if there[at] else last
    for at in range(low.size):
        place = before[min(high[at], at)]
        out[at] = place if place >= low[at] else -1
    for at in range(unseen.size):
        if unseen[at] < high[at]:
            place = min(high[at], at) - 1
            while place >= low[at] and not (there[place] and source[place] <= source[at]):
                place -= 1
            out[at] = place if place >= low[at] else -1


def earliest(there: Array, low: Array, high: Array, source: Array, unseen: Array, out: Array) -> None:
    """The first place of every window whose row is there; or -1."""
    after, first = np.empty(low.size + 1, np.int32), NOWHERE
    after[low.size] = first
    for at in range(low.size - 1, -1, -1):
        first = at if there[at] else first
        after[at] = first
    for at in range(low.size):
        place = after[low[at]]
        out[at] = place if place < high[at] else -1
    for at in range(unseen.size):
        if unseen[at] < high[at]:
            place = low[at]
            while place < high[at] and not (there[place] and source[place] <= source[at]):
                place += 1
            out[at] = place if place < high[at] else -1


def means(sums: Array, counts: Array, out: Array) -> None:
    """Each sum over its count, half-even to a whole number; where nothing counts, nought."""
    for row in range(sums.size):
        count = max(counts[row], 1)
        # so small, the float64 next to the quotient lies on the same side of every half, or on a whole number next to it
        down = int(np.floor(sums[row] / count))
        rest = 2 * (sums[row] - down * count)
        out[row] = down + (rest > count or (rest == count and down % 2 == 1))
    for row in range(sums.size):
        if not -_SMALL < sums[row] < _SMALL:
            count = max(counts[row], 1)
            down = sums[row] // count
            rest = 2 * (sums[row] - down * count)
            out[row] = down + (rest > count or (rest == count and down % 2 == 1))


def twice(hashes: Array, begin: Array, parted: Array, slots: Array) -> bool:
    """Whether a hash may occur more than once. They are parted by their lowest bits; `begin` has room for one number more than there are
    parts, `slots`, a power of two, for several times the hashes of a part."""
    parts = begin.size - 1
    begin[:] = 0
    for place in range(hashes.size):
        begin[hashes[place] & (parts - 1)] += 1
    total = 0
    for part in range(parts + 1):
        total += begin[part]
        begin[part] = total
    for place in range(hashes.size):
        part = hashes[place] & (parts - 1)
        begin[part] -= 1
        parted[begin[part]] = hashes[place]
    for part in range(parts):
        slots[:] = 0
        for place in range(begin[part], begin[part + 1]):
            one = parted[place]
            slot = (one >> 24) & (slots.size - 1)
            while slots[slot] != 0 and slots[slot] != one:
                slot = (slot + 1) & (slots.size - 1)
            if slots[slot] == one:
                return True
            slots[slot] = one
    return False


FUNCTIONS = (
    coded,
    came,
    arranged,
    fetched,
    ordered,
    put_in_order,
    spanned,
    totals,
    largest,
    linked,
    distinct,
    repeats,
    latest,
    earliest,
    means,
    twice,
)

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
