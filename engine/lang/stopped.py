"""Where the reading of a text stopped, as those who explain it and those who mend it look at it. It knows no lark."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.diagnostics import Span
from engine.lang.words import Words, load_words, verbatim

if TYPE_CHECKING:
    from engine.lang.scan import Tok

CLAUSES: Final = frozenset(["CITES", "SEVERITY", "WHEN", "UNLESS", "THEN", "BECAUSE", "ON", "EFFECTIVE", "ONCE"])
"""Terminals that begin a clause."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Where reading stopped: at `found` (none at the end of `tokens`), where one of the terminals `accepts` could have stood.

    `after` is the token that follows `tokens` in the file, `start` the rule that was being read.
    """

    tokens: list[Tok]
    found: Tok | None
    accepts: frozenset[str]
    after: Tok | None
    start: str
    words: Words

    @classmethod
    def of(cls, tokens: list[Tok], found: Tok | None, accepts: frozenset[str], after: Tok | None, start: str, words: Words) -> Mistake:
        """As it is explained: in a file of another language keywords compare as the English ones and are shown as they are written."""
        if words.language != "en":
            tokens, found, after = _told(tokens, words), found and _told([found], words)[0], after and _told([after], words)[0]
        return cls(tokens, found, accepts, after, start, words)

    @property
    def index(self) -> int:
        if self.found is None:
            return len(self.tokens)
        place = (self.found.line, self.found.column)
        return next(i for i, token in enumerate(self.tokens) if (token.line, token.column) == place)

    @property
    def before(self) -> Tok | None:
        """The token in front of the place."""
        return self.tokens[self.index - 1] if self.index else None

    @property
    def clause(self) -> str | None:
        """The terminal of the clause in which the place stands."""
        return next((token.type for token in reversed(self.tokens[: self.index]) if token.type in CLAUSES), None)

    @property
    def next(self) -> Tok | None:
        return self.tokens[self.index + 1] if self.index + 1 < len(self.tokens) else None

    @property
    def span(self) -> Span:
        """The token that does not fit; at the end, the place just after the last one."""
        if self.found is not None:
            return self.found.span
        last = self.tokens[-1]
        return Span(last.file, last.line, last.end_column, last.end_column + 1)


class _Said(str):
    """A word that compares as its English and is shown as it is written."""

    written: str

    def __new__(cls, english: str, written: str) -> _Said:
        said = super().__new__(cls, english)
        said.written = verbatim(written)
        return said

    def __format__(self, _: str) -> str:
        return self.written


def _told(tokens: list[Tok], words: Words) -> list[Tok]:
    told, english, position = [copy(token) for token in tokens], load_words(), 0
    while position < len(told):
        token = told[position]
        following = [one.written for one in told[position : position + _LONGEST]]
        length, terminal = (token.kind == "WORD" and words.phrase(following)) or (1, "")
        meant = english.forms[terminal][0].words if terminal else (token.value,)
        for i, one in enumerate(told[position : position + length]):
            one.value = _Said(meant[i] if i < len(meant) else "", one.written)
        position += length
    return told


_LONGEST: Final = 6
"""Words in a keyword at most."""
