"""What can be said of a file that does not read as a whole: the declarations that do, and which findings about them to believe.

A declaration that does not read leaves its names unknown; what is said of those names would be false and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from engine.diagnostics import Diagnostic, errors
from engine.lang.words import load_words

if TYPE_CHECKING:
    from engine.lang import ast
    from engine.lang.scan import Tok

_WORD: Final = re.compile(r'"[^"]*"|[^\s"(){},]+')
_OF_NAMES: Final = frozenset(
    {
        "unknown-name", "unknown-rule", "unknown-flag", "reason-unknown-name", "never-used", "assume-unread", "duplicate-name",
        "outcome-only-otherwise", "unknown-outcome", "unknown-template", "slot-type",
    }
)  # fmt: skip
_OF_WHOLES: Final = frozenset({"no-otherwise", "circle", "decision-without-decide"})


@dataclass(frozen=True, slots=True)
class Partial:
    """The declarations of a file that read well, and the words of those that do not; `lines` are those on which something is wrong."""

    tree: ast.File
    lost: frozenset[str]
    lines: frozenset[int]

    def believable(self, found: Iterable[Diagnostic], text: str) -> list[Diagnostic]:
        """Those findings that mending the rest could not take back; `text` is the file's."""
        rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return [one for one in found if self._stands(one, rows)]

    def _stands(self, one: Diagnostic, rows: list[str]) -> bool:
        if one.span.line in self.lines or one.code in _OF_WHOLES:
            return False
        if one.code not in _OF_NAMES:
            return True
        row = rows[one.span.line - 1] if 1 <= one.span.line <= len(rows) else ""
        words = _WORD.findall(row[one.span.column - 1 : (one.span.end or one.span.column) - 1])
        if one.code == "unknown-outcome" and _decide(self.tree) in self.lost:
            return False
        said = [word.strip('"') for word in words]
        return not any(word in self.lost or word.partition(".")[0] in self.lost for word in said)


def _decide(tree: ast.File) -> str:
    return load_words("en" if tree.language is None else tree.language.text).shown["DECIDE"]


def partial(tree: ast.File, pieces: Iterable[Sequence[Tok]], misread: Iterable[Diagnostic], slips: Iterable[Diagnostic]) -> Partial:
    """What of `tree` stands: `pieces` are the tokens of its declarations, `misread` what the parser found, `slips` what was mended."""
    wrong = {one.span.line for one in errors(misread)}
    lost: set[str] = set()
    gone: set[int] = set()
    begun = {node.span.line for node in tree.declarations} | {tree.span.line}
    for piece in pieces:
        lines = range(piece[0].line, piece[-1].line + 1)
        if wrong.intersection(lines) or piece[0].line not in begun:
            lost.update(token.written.strip('"') for token in piece)
            gone.update(lines)
    if _decide(tree) in lost:
        lost |= {"outcome", "possible"}  # what it would have given
    kept = tuple(node for node in tree.declarations if node.span.line not in gone)
    return Partial(replace(tree, declarations=kept), frozenset(lost), frozenset(wrong | {one.span.line for one in slips}))
