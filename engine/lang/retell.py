"""A syntax tree as text in any language of keywords: what the formatter says in English, with every keyword put into the other words.

So a new construct needs its English formatter only. Lines are broken where the English ones are.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from engine.lang import ast
from engine.lang.format import format_file
from engine.lang.parse import settled
from engine.lang.translate import Piece, from_english, retold
from engine.lang.words import load_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lang.scan import Tok
    from engine.lang.words import Words


def format_in(tree: ast.File, language: str | None = None) -> str:
    """The text of a file in its canonical look, with the keywords of `language`, by default of its own. Reading it gives the same tree.

    >>> from engine.lang.parse import parse
    >>> print(format_in(parse('list geo/a version 1.0.0 values("IR" , "KP") # two', "geo.rules")[0], "da"), end="")
    liste geo/a version 1.0.0
      sprog da
    <BLANKLINE>
    værdier ("IR", "KP")  # two
    """
    own = "en" if tree.language is None else tree.language.text
    wanted = language or own
    if wanted != own:
        named = ast.Word(wanted) if tree.language is None else replace(tree.language, text=wanted)
        tree = replace(tree, language=None if wanted == "en" else named)
    text = format_file(tree)
    return text if wanted == "en" else _in_words(text, load_words(wanted))


def _in_words(text: str, words: Words) -> str:
    tokens = settled(text)
    rows = [token for token in tokens if token.type == "ROW"]
    lines = retold(text, _pieces(tokens), words).split("\n")
    for _, block in groupby(enumerate(rows), lambda each: each[1].line - each[0]):
        _align([row for _, row in block], lines, words)
    return "\n".join(lines)


def _pieces(tokens: Sequence[Tok]) -> list[Piece]:
    """The tokens with the places of keywords, those of several words in one."""
    words, pieces, at = load_words(), [], 0
    while at < len(tokens):
        token, length = tokens[at], 1
        if token.kind == "WORD" and token.type not in ("NAME", "PATH"):
            length = 1 + _further(token, tokens[at + 1 : at + 6], words)
            # before a currency `in` is a sign of its own
            terminal = "IN" if token.type == "INTO" else token.type
            pieces.append(Piece(token.value, terminal, token.start_pos, tokens[at + length - 1].end_pos))
        else:
            pieces.append(Piece(token.value, token.type, token.start_pos, token.end_pos))
        at += length
    return pieces


def _further(token: Tok, following: Sequence[Tok], words: Words) -> int:
    values = [one.value for one in following]
    ends = [rest for rest, terminal in words.phrases[token.value] if terminal == token.type]
    return next((len(rest) for rest in ends if tuple(values[: len(rest)]) == rest), 0)


_CELL = re.compile(r'\|((?:[^|"]|"[^"]*"|")*)')


def _align(rows: Sequence[Tok], lines: list[str], words: Words) -> None:
    """Put the cells of one table into other words, each column as wide as its widest cell; what stands behind a row stays there."""
    grid = [[_cell(match[1].strip(), words) for match in list(_CELL.finditer(row.value))[:-1]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    for row, cells in zip(rows, grid, strict=True):
        line = lines[row.line - 1]
        start = row.column - 1
        drawn = "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
        lines[row.line - 1] = line[:start] + drawn + line[start + len(row.value) :]


def _cell(text: str, words: Words) -> str:
    arrow, body = ("=> ", text[2:].strip()) if text.startswith("=>") else ("", text)
    return arrow + from_english(body, words)
