"""Keywords of one language in the words of another: in the text the formatter makes, in cells, and in what diagnostics quote.

Names, texts, numbers and comments stay as they are. Which form of a keyword is written says `grammar/keywords/README.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from engine.diagnostics import Diagnostic, Fix
from engine.lang.words import RESERVED, load_words, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.lang.words import Form, Words


@dataclass(frozen=True, slots=True)
class Piece:
    """A keyword, or what is none, with its terminal where one is known; `start` and `end` are its place in the text."""

    text: str
    terminal: str | None = None
    start: int = 0
    end: int = 0


# --- choosing a form -------------------------------------------------------------------------------------------------

_NEAR: Final = 6
_AHEAD: Final = 2


def written(pieces: Sequence[Piece], at: int, words: Words) -> str:
    """How the keyword at `at` is written in `words`: the form most of whose conditions hold, all of them; of several, the first."""
    best, most = words.forms[pieces[at].terminal or ""][0], 0
    for form in words.forms[pieces[at].terminal or ""]:
        if len(form.fits) > most and _fits(form, pieces, at, words.language):
            best, most = form, len(form.fits)
    return best.text


def _fits(form: Form, pieces: Sequence[Piece], at: int, language: str) -> bool:
    around = {
        "after": pieces[max(at - 1, 0) : at],
        "before": pieces[at + 1 : at + 2],
        "near": pieces[max(at - _NEAR, 0) : at],
        "ahead": pieces[at + 1 : at + 1 + _AHEAD],
    }
    for relation, terminals in form.fits:
        if relation in around:
            if not any(piece.terminal in terminals for piece in around[relation]):
                return False
        elif relation != _counted(pieces, at, language):
            return False
    return True


def _counted(pieces: Sequence[Piece], at: int, language: str) -> str:
    """Which number stands before a unit: `one`, `few` or `many`; empty where none does."""
    before = [piece for piece in pieces[max(at - 2, 0) : at] if piece.terminal != "FULL"]
    number = before[-1].text.replace("_", "") if before else ""
    if not re.fullmatch(r"\d+", number):
        # a fraction: two and a half days, in Russian as for two
        return ("few" if language == "ru" else "many") if re.fullmatch(r"\d+\.\d+", number) else ""
    if language != "ru":
        return "one" if int(number) == 1 else "many"
    last, two = int(number) % 10, int(number) % 100
    return "one" if last == 1 and two != 11 else "few" if 2 <= last <= 4 and not 12 <= two <= 14 else "many"


# --- cells -----------------------------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(r'\u2063[\w. ]+|--\w+|"[^"]*"?|\d[\w.:-]*|[^\W\d][\w.]*(?:-[\w]+)*|\S')
CELLS: Final = frozenset((
    "AND", "OR", "NOT", "TRUE", "FALSE", "FLAG", "CONTAINS", "MATCHES", "STARTS", "WITH", "BETWEEN", "WITHIN", "AROUND", "IS", "MISSING",
    "KNOWN", "IN", "ELSE", "HOUR_OF", "WEEKDAY_OF", "ANY_OF", "ALL_OF", "NUMBER_OF", "WHERE", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK",
    "MONTH", "YEAR", "HIT", "CLEAR", "UNDECIDED", "SILENCED", "SILENCED_BY", "SCORE", "OUTCOME", "POSSIBLE",
    "ROBUST", "ANY", "OTHERWISE", "TO",
))  # fmt: skip
"""Terminals that a cell may hold. No two of them share a word in any language, for cells are put into English before they are read."""


def phrases(text: str, words: Words, among: frozenset[str] | None = None) -> list[Piece]:
    """The words of a short text, keywords among them taken as long as can be; without a parser, so only where names are rare."""
    tokens = list(_TOKEN.finditer(text))
    pieces, at = [], 0
    while at < len(tokens):
        found = words.phrase([token.group() for token in tokens[at : at + 6]], among)
        if found is not None:
            last = tokens[at + found[0] - 1]
            pieces.append(Piece(last.group(), found[1], tokens[at].start(), last.end()))
            at += found[0]
        else:
            pieces.append(Piece(tokens[at].group(), None, tokens[at].start(), tokens[at].end()))
            at += 1
    return pieces


def retold(text: str, pieces: Sequence[Piece], words: Words) -> str:
    """The text with its keywords in `words`."""
    out, end = [], 0
    for at, piece in enumerate(pieces):
        if piece.terminal in words.forms:
            out += [text[end : piece.start], written(pieces, at, words)]
            end = piece.end
    return "".join([*out, text[end:]])


def in_english(cell: str, words: Words) -> str:
    """A cell as it would stand in an English file.

    >>> in_english('в ("a", "да") или не сработало', load_words("ru"))
    'in ("a", "да") or clear'
    """
    return cell if words.language == "en" or not cell else retold(cell, phrases(cell, words, CELLS), load_words())


def from_english(cell: str, words: Words) -> str:
    """A cell of an English file as it stands in another.

    >>> from_english('between 1 day and 5 days', load_words("ru"))
    'между 1 день и 5 дней'
    """
    return retold(cell, phrases(cell, load_words(), CELLS), words)


# --- what diagnostics quote ------------------------------------------------------------------------------------------

_NO_NAMES: Final = frozenset(
    (*RESERVED, "HIT", "CLEAR", "UNDECIDED", "SILENCED", "MISSING", "DECIDE", "EXAMPLES", "RULE", "ONCE", "ASSUME", "EFFECTIVE")
)
"""Terminals whose words an author hardly gives to anything."""

_QUOTED: Final = re.compile(r"`([^`]*)`")


def speaking(found: Iterable[Diagnostic], words: Words, *, sure: bool = True) -> list[Diagnostic]:
    """Diagnostics with the keywords they quote in `words`. Where it is not `sure` that a single quoted word is none of the author's
    names, only words that are never names are put into the other language."""
    return [_speaking(one, words, sure) for one in found]


def _speaking(one: Diagnostic, words: Words, sure: bool) -> Diagnostic:
    if words.language == "en":
        said = [plain(text) if text else text for text in (one.message, one.hint)]
    else:
        said = [
            _QUOTED.sub(lambda match: f"`{_quoted(match[1], words, sure)}`", text) if text else text for text in (one.message, one.hint)
        ]
    fix = None if one.fix is None else Fix(one.fix.span, plain(one.fix.text), one.fix.safe)
    return one if (one.message, one.hint, one.fix) == (*said, fix) else replace(one, message=said[0] or "", hint=said[1], fix=fix)


def _quoted(text: str, words: Words, sure: bool) -> str:
    pieces = phrases(text, load_words()) if not text.startswith("engine ") else []
    if len(pieces) == 1 and not sure and pieces[0].terminal not in _NO_NAMES:
        return plain(text)
    return plain(retold(text, pieces, words))
