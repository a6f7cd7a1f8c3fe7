"""The words of the rule language, read from `grammar/keywords/`, one table a language. It knows no tokens and no tree."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from engine.resources import grammar_text

DECLARATIONS = (
    "FIELD", "COLUMN", "INPUT", "PARAM", "LIST", "DEFINE", "FEATURE", "RULE", "TEMPLATE", "EXCEPTION", "TABLE", "DECIDE",
    "NEVER", "MORE", "LESS",
    "TEST", "STORY", "EXAMPLES",
)  # fmt: skip
"""Terminals that begin a declaration."""

UNITS = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR")
"""Terminals that make a duration of a number."""


RESERVED = (
    "AND", "OR", "NOT", "IN", "IS", "ELSE", "TRUE", "FALSE", "FLAG", "WHEN", "THEN", "UNLESS", "BECAUSE", "OTHERWISE", "GIVEN", "EXPECT",
)  # fmt: skip
"""Terminals that are never a name, so that a mistake is seen where it is made."""

KINDS = ("RULESET", "RECORD", "FEATURES", "LIST", "TABLE", "RATES", "TEMPLATES")
"""Terminals that begin a file."""

_GUARD: Final = "\u2063"


def verbatim(text: str) -> str:
    """A piece of a message that is quoted as it is written, though it may read like a keyword; `speaking` takes the mark away."""
    return _GUARD + text


def plain(text: str) -> str:
    """The text without those marks."""
    return text.replace(_GUARD, "")


LANGUAGES: Final = {"en": "English", "ru": "Russian", "da": "Danish"}
"""The languages there is a table for; the first is the one the engine's own messages and the syntax tree speak."""


@dataclass(frozen=True)
class Form:
    """One way to write a keyword; `fits` says where the formatter writes it so, as pairs of a relation and terminals. Reading takes any."""

    words: tuple[str, ...]
    fits: tuple[tuple[str, frozenset[str]], ...] = ()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Words:
    """The keywords of one language.

    `phrases` maps a first word to the keywords that begin with it, longest first: the words that follow, and the terminal.
    `shown` maps a terminal to how it is written, `forms` to all ways; `every` holds every single word, `declarations` those
    that begin a declaration, `units` those that follow the number of a duration.
    """

    language: str
    phrases: dict[str, tuple[tuple[tuple[str, ...], str], ...]]
    forms: dict[str, tuple[Form, ...]]
    every: frozenset[str]
    declarations: frozenset[str]
    units: frozenset[str]
    shown: dict[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    """First words of keywords that are written alike, so that only the grammar tells them apart."""

    def phrase(self, words: list[str], among: frozenset[str] | None = None) -> tuple[int, str] | None:
        """How many of `words` are a keyword from the first on, and its terminal; the longest `among` some, whatever the grammar could take.

        >>> load_words().phrase(["sum", "of", "amount"]), load_words().phrase(["amount"])
        ((2, 'SUM_OF'), None)
        """
        for rest, terminal in self.phrases.get(words[0], ()):
            if tuple(words[1 : 1 + len(rest)]) == rest and (among is None or terminal in among):
                return 1 + len(rest), terminal
        return None


@cache
def load_words(language: str = "en") -> Words:
    """The keywords of `language`. Raises `FileNotFoundError` when there is no table for it.

    >>> load_words().shown["ANY_OF"], load_words().phrases["number"]
    ('any of', ((('of',), 'NUMBER_OF'), ((), 'NUMBER_WORD')))
    >>> [form.text for form in load_words("da").forms["DAY"]]
    ['dag', 'dage']
    """
    forms: dict[str, tuple[Form, ...]] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for line in grammar_text(f"keywords/{language}").splitlines():
        if not line or line.startswith("#"):
            continue
        terminal, _, written = line.partition(" ")
        forms[terminal] = tuple(_form(text) for text in written.split("|"))
        for form in dict.fromkeys(form.words for form in forms[terminal]):
            phrases.setdefault(form[0], []).append((form[1:], terminal))
    ordered = {first: tuple(sorted(ends, key=lambda end: -len(end[0]))) for first, ends in phrases.items()}
    every = frozenset(word for first, ends in phrases.items() for word in (first, *(w for end in ends for w in end[0])))
    units = frozenset(first for first, ends in phrases.items() for rest, terminal in ends if not rest and terminal in UNITS)
    declarations = frozenset(forms[terminal][0].text for terminal in DECLARATIONS)
    shown = {terminal: several[0].text for terminal, several in forms.items()}
    shared = frozenset(first for first, ends in ordered.items() if len({rest for rest, _ in ends}) < len(ends))
    return Words(language, ordered, forms, every, declarations, units, shown, shared)


def _form(text: str) -> Form:
    """A form with its conditions, as in `lines (after SET; many)`."""
    match = re.fullmatch(r"\s*([^()]+?)\s*(?:\(([^()]*)\))?\s*", text)
    if match is None:
        raise ValueError(f"a form of a keyword is words, and conditions in parentheses: {text!r}")
    conditions = [condition.split() for condition in (match[2] or "").split(";") if condition.strip()]
    return Form(tuple(match[1].split()), tuple((relation, frozenset(terminals)) for relation, *terminals in conditions))


# --- which language a file is in -------------------------------------------------------------------------------------


def language_of(text: str) -> tuple[str, bool]:
    """The language of a file's keywords, and whether the file says so.

    It is the one named after the word `language`, in any language, anywhere in the header; a file that does not name one is
    in the language its first word is of, and in English where that says nothing.

    >>> language_of("regelsæt a/b version 1.0.0\\n  sprog da"), language_of("regelsæt a/b version 1.0.0"), language_of("# none")
    (('da', True), ('da', False), ('en', False))
    """
    header = _BLANKED.sub(" ", text[:_HEADER])
    first = re.search(r"\w+", header)
    begun = _header_ends().search(header, first.end() if first else 0)
    for match in _said().finditer(header, 0, begun.start() if begun else len(header)):
        if match[2] in LANGUAGES:
            return match[2], True
        return next(code for code in LANGUAGES if load_words(code).shown["LANGUAGE"] == match[1]), True
    for code in LANGUAGES:
        if first and any(first[0] == load_words(code).shown[kind].split()[0] for kind in KINDS):
            return code, code == "en"
    return "en", False


_HEADER: Final = 20_000
_BLANKED: Final = re.compile(r'"[^"\n]*"|#[^\n]*')


@cache
def _said() -> re.Pattern[str]:
    words = "|".join(sorted(load_words(code).shown["LANGUAGE"] for code in LANGUAGES))
    return re.compile(rf"(?<![\w./,])(?<!key )(?<!time )({words})[ \t\n]+([a-z]{{2,3}})(?![\w.])")


@cache
def _header_ends() -> re.Pattern[str]:
    words = sorted({word for code in LANGUAGES for word in load_words(code).declarations})
    return re.compile(rf"\n[ \t]*(?:{'|'.join(words)})(?![\w.])")
