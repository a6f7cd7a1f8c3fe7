"""Which keyword a word is, by what the grammar can take at its place. It knows no lark, only the terminals that are accepted.

A word of another language's keyword is taken for that keyword, and reported: so one slip does not hide the next.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from engine.diagnostics import Diagnostic, Fix, Span
from engine.lang.letters import foreign_word, in_latin, odd_letter, straightened
from engine.lang.words import LANGUAGES, RESERVED, load_words, verbatim

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from engine.lang.scan import Tok
    from engine.lang.words import Words

_MOST: Final = 200
"""Slips that are noted at most."""


class Tokens(list["Tok"]):
    """What the parser is given to read: tokens, the words of their language, and where slips are noted."""

    def __init__(self, tokens: Iterable[Tok], words: Words, problems: list[Diagnostic]) -> None:
        super().__init__(tokens)
        self.words, self.problems = words, problems


def settle(token: Tok, tokens: Tokens, position: int, accepted: Container[str], takes: Callable[[str], bool]) -> int:
    """Give the word its terminal; the number of further words that belong to it. `position` is that of the word behind it.

    `accepted` are the terminals the parser has an action for; whether it can take one in the end, which `takes` says, is slower to know.
    """
    words = tokens.words
    phrases, english = words.phrases.get(token.written, ()), words.language == "en"
    for rest, terminal in phrases:
        if terminal in accepted and _follow(rest, tokens, position) and (token.written not in words.shared or takes(terminal)):
            token.type = terminal
            if not english:
                token.value = _first(terminal)
            return len(rest)
    if not token.written.isascii() or token.written in _elsewhere(words.language):
        more = _foreign(token, tokens, position, accepted, takes)
        if more is not None:
            return more
    for rest, terminal in (*phrases, *(() if english else load_words().phrases.get(token.written, ()))):
        # a name that is reserved in English is refused everywhere: a file can be put into English
        if not rest and terminal in RESERVED:
            token.type, token.value = terminal, _first(terminal)
            return 0
    token.type = "NAME" if "." not in token.written and "PATH" not in accepted else "PATH"
    token.value = token.written
    if phrases and not token.written.isascii():
        # it cannot be a name, so the mistake is seen here
        token.type, token.value = "WORD", _first(phrases[-1][1])
    return 0


def _first(terminal: str) -> str:
    return load_words().forms[terminal][0].words[0]


def _follow(rest: tuple[str, ...], tokens: Tokens, position: int) -> bool:
    return all(position + i < len(tokens) and tokens[position + i].written == word for i, word in enumerate(rest))


@cache
def _elsewhere(language: str) -> frozenset[str]:
    """First words of the keywords of the other languages, and of what looks like a keyword of this one and is written in other letters."""
    others = {first for code in LANGUAGES if code != language for first in load_words(code).phrases}
    return frozenset(others | {latin for word in load_words(language).phrases if (latin := in_latin(word)) is not None})


def _foreign(token: Tok, tokens: Tokens, position: int, accepted: Container[str], takes: Callable[[str], bool]) -> int | None:
    """How many further words make a keyword of another language that fits here; none if there is none. What is wrong is noted."""
    word, named = token.written, takes("NAME") or takes("PATH")
    meant = straightened(word, tokens.words.phrases)
    if meant is not None and not (named and word.isascii()):
        for rest, terminal in tokens.words.phrases[meant]:
            if terminal in accepted and takes(terminal) and _follow(rest, tokens, position):
                _note_letters(token, meant, tokens)
                token.type, token.value = terminal, _first(terminal)
                return len(rest)
    for code in LANGUAGES:
        if code == tokens.words.language:
            continue
        for rest, terminal in load_words(code).phrases.get(word, ()):
            sure = not named or not word.isascii() or bool(rest) or terminal in RESERVED or _no_name(terminal, code, tokens, position)
            if sure and terminal in accepted and takes(terminal) and _follow(rest, tokens, position):
                _note_language(tokens[position - 1 : position + len(rest)], code, terminal, tokens)
                token.type, token.value = terminal, _first(terminal)
                return len(rest)
    if not word.isascii() and word not in tokens.words.phrases and len(tokens.problems) < _MOST:
        tokens.problems.append(Diagnostic(*_strange(token)))
    return None


def _no_name(terminal: str, code: str, tokens: Tokens, position: int) -> bool:
    """Whether what follows a word tells that it is no name: a number, a name on its line, or a word that only the other language has."""
    if position >= len(tokens):
        return False
    following = tokens[position]
    if terminal == "COUNT":
        return following.written in (load_words(code).shown["OVER"], tokens.words.shown["OVER"])
    if following.kind != "WORD":
        return following.kind == "NUMBER"
    return following.written not in tokens.words.phrases and (following.line == tokens[position - 1].line)


def _note_language(found: list[Tok], code: str, terminal: str, tokens: Tokens) -> None:
    if len(tokens.problems) >= _MOST:
        return
    token, last = found[0], found[-1]
    one_line = last.line == token.line
    span = Span(token.file, token.line, token.column, last.end_column) if one_line else token.span
    written = " ".join(one.written for one in found)
    ours = tokens.words.shown[terminal]
    message = f"`{verbatim(written)}` is a word of {LANGUAGES[code]}, and this file is in {LANGUAGES[tokens.words.language]}"
    hint = f"write `{verbatim(ours)}`; a file is in one language, and `engine fmt --to` puts it into another"
    fix = Fix(span, ours, safe=True) if one_line else None
    tokens.problems.append(Diagnostic("other-language", message, span, hint=hint, fix=fix))


def _note_letters(token: Tok, meant: str, tokens: Tokens) -> None:
    message = f"in the word `{verbatim(meant)}` the letter {odd_letter(token.written, meant)}"
    fix = Fix(token.span, meant, safe=True)
    tokens.problems.append(Diagnostic("mixed-script", message, token.span, hint=f"write `{verbatim(meant)}` anew", fix=fix))


def _strange(token: Tok) -> tuple[str, str, Span, tuple[()], str]:
    code, message, hint = foreign_word(token.written)
    return code, message, token.span, (), hint
