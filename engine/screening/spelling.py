"""How a name is spelt for comparison: in the letters a to z and digits, in words, without punctuation and legal forms.

Letters of other scripts are transliterated by anyascii, whose version is part of what a decision means. It compares nothing.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from engine.values import Missing, missing

LONGEST: Final = 1_000
"""How many characters a name may have; a longer text is none, and stays undecided with cause `overflow`."""
VOWELS: Final = frozenset("aeiouy")
_FORMS: Final = """
    ab ag ao as asa bv co company corp corporation gmbh inc incorporated jsc kg limited llc llp lp ltd nv oao ojsc ooo oy oyj pao pjsc plc
    pte pty sa sarl spa srl zao
"""
LEGAL_FORMS: Final = frozenset(_FORMS.split())
"""Words that say what kind of company it is; they do not count where they begin or end a name."""

_APOSTROPHES: Final = "'\u2018\u2019\u02bc\u02bb\u02be\u02bf`\u00b4\u05f3\u05f4\u00b7"
_DROPPED: Final = {ord(letter): None for letter in _APOSTROPHES}
_ABBREVIATED: Final = re.compile(r"\b(\w)\.(?=\w\b)")
_SYLLABLE: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WITHOUT_VOWELS: Final = re.compile("[\u0590-\u077f\u0800-\u08ff]")
_SYLLABIC: Final = re.compile("[\u2e80-\ud7ff\U00020000-\U0003ffff]")
_WORD: Final = re.compile("[a-z0-9]+")


class Spelling(NamedTuple):
    """The words of a name, and whether its script writes vowels: Arabic and Hebrew leave most of them out."""

    words: tuple[str, ...]
    vowels: bool = True


def spell(name: str) -> Spelling | Missing:
    """The name as it is compared; missing where there is nothing to compare: no letter or digit (`damaged`), or far too many (`overflow`).

    >>> spell("O\u2019BRIEN-Smith, J.R. Ltd."), spell("!?")
    (Spelling(words=('jr', 'ltd', 'obrien', 'smith'), vowels=True), missing (damaged))
    >>> spell("\u041e\u041e\u041e \u00ab\u0420\u043e\u043c\u0430\u0448\u043a\u0430\u00bb").words, spell("\u674e\u660e").words
    (('romashka',), ('li', 'ming'))
    """
    if len(name) > LONGEST:
        return missing("overflow")
    if name.isascii():
        words, vowels = _words(name), True
    else:
        name = _plain(unicodedata.normalize("NFKC", name))
        words, vowels = _words(_latin(name)), _WITHOUT_VOWELS.search(name) is None
    return Spelling(tuple(words), vowels) if words else missing("damaged")


def bare(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words as a script without vowels would have them: consonants only, doubled ones once; as they are where nothing is left.

    >>> bare(("mohammed", "ali")), bare(("aya",))
    (('mhmd', 'l'), ('aya',))
    """
    kept = (re.sub(r"(.)\1+", r"\1", re.sub("[aeiouyw]", "", word)) for word in words)
    return tuple(word for word in kept if word) or words


def _plain(name: str) -> str:
    """Without invisible characters and signs: a letter, a mark on one, a digit and the two signs that are looked at later stay."""
    letters = []
    for letter in name:
        kind = unicodedata.category(letter)
        if kind[0] in "LMN" or letter in ",.":
            letters.append(letter)
        elif kind != "Cf" and letter not in _APOSTROPHES:
            letters.append(" ")
    return "".join(letters)


def _latin(name: str) -> str:
    """In the letters a to z; scripts that write syllables give a word for each."""
    from anyascii import anyascii

    parts = (
        part
        if part.isascii()
        else _SYLLABLE.sub(" ", anyascii(part).replace("'", "").replace("`", ""))
        if _SYLLABIC.search(part)
        else anyascii(part).replace("'", "").replace("`", "")
        for part in name.split(" ")
    )
    return " ".join(parts)


def _words(name: str) -> list[str]:
    name = name.translate(_DROPPED)
    if "." in name:
        name = _ABBREVIATED.sub(r"\1", name)
    if name.count(",") == 1:
        # `BIN LADIN, Usama` is Usama BIN LADIN
        family, _, given = name.partition(",")
        name = f"{given} {family}"
    words = _WORD.findall(name.lower())
    while len(words) > 1 and words[-1] in LEGAL_FORMS:
        words.pop()
    while len(words) > 1 and words[0] in LEGAL_FORMS:
        words.pop(0)
    return words
