"""Letters of other scripts that look like Latin ones, and invisible characters that turn text around. It knows no grammar."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_ALIKE: Final = dict(
    zip(
        "аеорсухіјѕԁԛԝһАВЕКМНОРСТУХІЈЅαορνικυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "aeopcyxijsdqwhABEKMHOPCTYXIJSaopvikuABEZHIKMNOPTYX",
        strict=True,
    )
)
"""Letters that a reader takes for a Latin one, and the one they are taken for."""

BIDI: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that change the direction of what follows, so that a text does not read as it runs."""


def script(letter: str) -> str:
    """The script of a letter after its Unicode name: ``latin``, ``cyrillic``, ``greek``, ...; empty for what is no letter.

    >>> script("a"), script("\u0430"), script("1")
    ('latin', 'cyrillic', '')
    """
    return unicodedata.name(letter, "").split(" ")[0].lower() if letter.isalpha() else ""


def describe(letter: str) -> str:
    """The letter, its number and name, and which Latin letter it looks like.

    >>> describe("\u0430")
    '`а` is U+0430 cyrillic small letter a, which looks like `a`'
    """
    name = unicodedata.name(letter, "a nameless character").lower()
    alike = f", which looks like `{_ALIKE[letter]}`" if letter in _ALIKE else ""
    return f"`{letter}` is U+{ord(letter):04X} {name}{alike}"


def foreign_word(word: str) -> tuple[str, str, str]:
    """Code, message and hint for a name with letters outside ASCII.

    >>> foreign_word("\u0430mount")[0], foreign_word("\u0438\u0442\u043e\u0433")[0]
    ('mixed-script', 'foreign-letter')
    """
    word = word if len(word) <= 40 else word[:37] + "..."
    odd = [letter for letter in word if not letter.isascii()]
    latin = "".join(_ALIKE.get(letter, letter) for letter in word)
    if latin.isascii() or (any(letter.isascii() and letter.isalpha() for letter in word) and any(letter in _ALIKE for letter in odd)):
        first = next(letter for letter in odd if letter in _ALIKE)
        hint = f"write `{latin}` with the letters a to z" if latin.isascii() else "write names with the letters a to z"
        return "mixed-script", f"in the name `{word}` the letter {describe(first)}", hint
    return "foreign-letter", f"names are written with the letters a to z: {describe(odd[0])}", "texts in quotes may hold any letter"


_CYRILLIC: Final = {latin: letter for letter, latin in reversed(_ALIKE.items()) if "\u0400" <= letter <= "\u04ff"}


def in_latin(word: str) -> str | None:
    """A word of another script as it looks in Latin letters, where it has such letters only.

    >>> in_latin("\u0432\u0441\u0435"), in_latin("\u0441")
    (None, 'c')
    """
    latin = "".join(_ALIKE.get(letter, letter) for letter in word)
    return latin if latin != word and latin.isascii() else None


def odd_letter(word: str, meant: str) -> str:
    """Where a word is not written with the letters of the one that is meant: what stands there."""
    written, letter = next((a, b) for a, b in zip(word, meant, strict=True) if a != b)
    return f"`{written}` is U+{ord(written):04X} {unicodedata.name(written).lower()}, which looks like `{letter}`"


def straightened(word: str, known: Container[str]) -> str | None:
    """The one of `known` that `word` looks like, where it is written with letters of another script.

    >>> straightened("\u0441\u043f\u0438co\u043a", {"\u0441\u043f\u0438\u0441\u043e\u043a"}) == "\u0441\u043f\u0438\u0441\u043e\u043a"
    True
    """
    for letters in (_ALIKE, _CYRILLIC):
        meant = "".join(letters.get(letter, letter) for letter in word)
        if meant != word and meant in known:
            return meant
    return None


def mixed_words(text: str) -> Iterator[tuple[int, str, str]]:
    """Words of `text` that hold letters of several scripts: offset, word, and the first letter that looks like a Latin one.

    >>> [(offset, word) for offset, word, _ in mixed_words("to P\u0430yPal")]
    [(3, 'PаyPal')]
    """
    for match in re.finditer(r"[^\W\d_]+", text):
        word = match.group()
        if not word.isascii() and len({script(letter) for letter in word}) > 1:
            odd = next((letter for letter in word if letter in _ALIKE), None)
            if odd is not None:
                yield match.start(), word[:40], describe(odd)
