"""Names by their letters, so that those that can resemble another are found without comparing them one by one, and none is lost.

However two names are compared, they cannot have more in common than the letters that stand in both, each as often as in the one that has
fewer of it. That bound is worked out for all names at once: one bit a name, and counters added up bit by bit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from engine.screening.likeness import WHOLE, weight

_LEVELS: Final = 24
"""How many binary digits a counter has, at most: far more than the letters of the longest name need."""


class Index:
    """Spelt names (words with spaces between), searched by the letters they hold."""

    def __init__(self, names: Sequence[str]) -> None:
        letters = {name: Counter(name.replace(" ", "")) for name in names}
        weights = {name: sum(weight(letter) * number for letter, number in held.items()) for name, held in letters.items()}
        self.names: Final = sorted(letters, key=lambda name: (weights[name], name))
        self._weights: Final = [weights[name] for name in self.names]
        self._needs: dict[tuple[int, int], tuple[int, int, list[int]]] = {}
        planes: dict[tuple[str, int], bytearray] = {}
        size = len(self.names) // 8 + 1
        for place, name in enumerate(self.names):
            byte, bit = place >> 3, 1 << (place & 7)
            for letter, number in letters[name].items():
                for count in range(1, number + 1):
                    plane = planes.get((letter, count))
                    if plane is None:
                        plane = planes[(letter, count)] = bytearray(size)
                    plane[byte] |= bit
        self._planes: Final = {key: int.from_bytes(plane, "little") for key, plane in planes.items()}

    def near(self, words: Sequence[str], least: int) -> Iterator[str]:
        """The names that may be alike by `least` or more; all that are, are among them.

        >>> list(Index(["usama bin ladin", "petrov ivan"]).near(["osama", "bin", "laden"], 8500))
        ['usama bin ladin']
        """
        held = Counter("".join(words))
        whole = sum(weight(letter) * number for letter, number in held.items())
        start, end, need = self._need(whole, least)
        if start >= end:
            return
        window = (1 << (end - start)) - 1
        counters: list[list[int]] = [[] for _ in range(_LEVELS)]
        for letter, number in held.items():
            level = counters[weight(letter) - 1]
            for count in range(1, number + 1):
                plane = self._planes.get((letter, count))
                if plane is None:
                    break
                level.append(plane >> start & window)
        found = _reached(_added(counters), need, window)
        while found:
            lowest = found & -found
            yield self.names[start + lowest.bit_length() - 1]
            found ^= lowest

    def _need(self, whole: int, least: int) -> tuple[int, int, list[int]]:
        """Which names may weigh enough and not too much, and the binary digits of what each must have in common with one of this weight."""
        key = (whole, least)
        if key not in self._needs:
            start = bisect_left(self._weights, -(-least * whole // (2 * WHOLE - least)))
            end = bisect_right(self._weights, whole * (2 * WHOLE - least) // least)
            planes = [0] * _LEVELS
            place = start
            while place < end:
                weighs = self._weights[place]
                after = bisect_right(self._weights, weighs, place, end)
                these = (1 << (after - start)) - (1 << (place - start))
                need = -(-least * (weighs + whole) // (2 * WHOLE))
                for digit in range(need.bit_length()):
                    if need >> digit & 1:
                        planes[digit] |= these
                place = after
            while planes and not planes[-1]:
                planes.pop()
            self._needs[key] = (start, end, planes)
        return self._needs[key]


def _added(counters: list[list[int]]) -> list[int]:
    """For every bit place the number of planes that have it, as binary digits: full adders, three planes of one digit at a time."""
    digits = []
    for level, planes in enumerate(counters):
        while len(planes) > 1:
            a, b = planes.pop(), planes.pop()
            c = planes.pop() if planes else 0
            both = a ^ b
            planes.insert(0, both ^ c)
            counters[level + 1].append(a & b | c & both)
        digits.append(planes[0] if planes else 0)
    while digits and not digits[-1]:
        digits.pop()
    return digits


def _reached(have: list[int], need: list[int], window: int) -> int:
    """The places at which the number in `have` is the one in `need`, or more."""
    reached = window
    for digit in range(max(len(have), len(need))):
        a = have[digit] if digit < len(have) else 0
        b = need[digit] if digit < len(need) else 0
        other = a ^ b
        # where the digits differ the one in `have` decides, elsewhere the digits below
        reached = a & other | reached ^ (reached & other)
    return reached
