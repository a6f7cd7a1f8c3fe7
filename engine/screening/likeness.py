"""How alike two names are: the share of their letters that they have in common, in order, as a whole or word by word.

Consonants and digits count twice, vowels once: vowels are what spellings of one name differ in. All of it is whole numbers, so that every
machine gives the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from engine.screening.spelling import VOWELS

WHOLE: Final = 10_000
"""A likeness counts hundredths of a percent."""
_TWICE: Final = {ord(letter): letter + chr(ord(letter) + 128) for letter in "abcdefghijklmnopqrstuvwxyz0123456789" if letter not in VOWELS}


class Code(NamedTuple):
    """The words of a name with every letter that counts twice written as two, so that lengths are weights."""

    words: tuple[str, ...]
    weight: int


def code(words: tuple[str, ...]) -> Code:
    """The words, ready to be compared."""
    coded = tuple(word.translate(_TWICE) for word in words)
    return Code(coded, sum(map(len, coded)))


def weight(letter: str) -> int:
    """What a letter counts."""
    return 1 if letter in VOWELS else 2


def likeness(a: Code, b: Code) -> int:
    """Twice what the two have in common by what both weigh, in hundredths of a percent, rounded down.

    >>> likeness(code(("usama", "bin", "ladin")), code(("bin", "laden", "osama")))
    9000
    >>> likeness(code(("abdul", "rahman")), code(("abd", "al", "rahman"))), likeness(code(("a",)), code(("b",)))
    (9444, 0)
    """
    common = max(_as_a_whole(a, b), _word_by_word(a, b))
    return 2 * WHOLE * common // (a.weight + b.weight)


@cache
def _in_common() -> Callable[[str, str], int]:
    """The length of the longest run of letters two texts have in common, in order and with gaps allowed."""
    from rapidfuzz.distance import LCSseq

    return LCSseq.similarity


def _as_a_whole(a: Code, b: Code) -> int:
    """What they have in common over where words begin and end: `Jin Ping` is `Jinping`."""
    return _in_common()("".join(a.words), "".join(b.words))


def _word_by_word(a: Code, b: Code) -> int:
    """The same between words that are paired off, those with most in common first, so that words may stand in any order."""
    in_common = _in_common()
    pairs: list[tuple[int, int, list[str], int, int]] = []
    for i, one in enumerate(a.words):
        for j, other in enumerate(b.words):
            common = in_common(one, other)
            if common:
                # of pairs with as much in common those that leave fewer letters over; the order of words never matters
                pairs.append((-common, len(one) + len(other), sorted((one, other)), i, j))
    total, left, right = 0, set[int](), set[int]()
    for lost, _, _, i, j in sorted(pairs):
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            total -= lost
    return total
