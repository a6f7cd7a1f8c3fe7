"""The words of the rule language, read from `grammar/keywords/`. It knows no tokens and no tree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from engine.resources import grammar_text

DECLARATIONS = (
    "FIELD", "INPUT", "PARAM", "LIST", "DEFINE", "FEATURE", "RULE", "TEMPLATE", "EXCEPTION", "TABLE", "DECIDE",
    "TEST", "STORY", "EXAMPLES",
)  # fmt: skip
"""Terminals that begin a declaration."""

UNITS = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR")
"""Terminals that make a duration of a number."""


RESERVED = (
    "AND", "OR", "NOT", "IN", "IS", "ELSE", "TRUE", "FALSE", "FLAG", "WHEN", "THEN", "UNLESS", "BECAUSE", "OTHERWISE", "GIVEN", "EXPECT",
)  # fmt: skip
"""Terminals that are never a name, so that a mistake is seen where it is made."""


@dataclass(frozen=True)
class Words:
    """The keywords of one language.

    `phrases` maps a first word to the keywords that begin with it, longest first: the words that follow, and the terminal.
    `shown` maps a terminal to how it is written; `every` holds every single word, `declarations` those
    that begin a declaration, `units` those that follow the number of a duration.
    """

    phrases: dict[str, tuple[tuple[tuple[str, ...], str], ...]]
    shown: dict[str, str]
    every: frozenset[str]
    declarations: frozenset[str]
    units: frozenset[str]


@cache
def load_words(language: str = "en") -> Words:
    """The keywords of `language`. Raises `FileNotFoundError` when there is no table for it.

    >>> load_words().shown["ANY_OF"], load_words().phrases["number"]
    ('any of', ((('of',), 'NUMBER_OF'), ((), 'NUMBER_WORD')))
    """
    phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    shown: dict[str, str] = {}
    for line in grammar_text(f"keywords/{language}").splitlines():
        if not line or line.startswith("#"):
            continue
        terminal, _, forms = line.partition(" ")
        for form in forms.split("|"):
            first, *rest = form.split()
            shown.setdefault(terminal, " ".join((first, *rest)))
            phrases.setdefault(first, []).append((tuple(rest), terminal))
    ordered = {first: tuple(sorted(ends, key=lambda end: -len(end[0]))) for first, ends in phrases.items()}
    every = frozenset(word for first, ends in phrases.items() for word in (first, *(w for end in ends for w in end[0])))
    units = frozenset(first for first, ends in phrases.items() for rest, terminal in ends if not rest and terminal in UNITS)
    return Words(ordered, shown, every, frozenset(shown[terminal] for terminal in DECLARATIONS), units)
