"""From what the parser has recognised to tables: decision tables, the rows of stories and examples, and the conditions in cells.

It resolves no names and knows no types; the cells of a row stay text until somebody knows their column.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from engine.diagnostics import Span
from engine.lang import ast
from engine.lang.build_expressions import Children, Part, text_of, word_of
from engine.lang.build_features import FeatureBuilder, title
from engine.lang.scan import Tok
from engine.lang.translate import in_english

if TYPE_CHECKING:
    from engine.lang.words import Words

SUBJECT: Final = "it"
"""The name by which the condition in a cell calls the value of its column."""

OTHERWISE: Final = "otherwise"


class TableBuilder(FeatureBuilder):
    """The callbacks of the parser for everything that has rows and cells."""

    def match(self, c: Children) -> Part:
        return Part("match", c[0].type.lower(), self._from(*c))

    def sheet_source(self, c: Children) -> Part:
        texts = {before.type: text_of(token) for before, token in zip(c[::2], c[1::2], strict=True)}
        source = ast.Sheet(texts["FROM"], texts.get("SHEET"), texts.get("SEPARATED_BY"), span=self._from(c[0], c[-1]))
        return Part("source", source, source.span)

    def table(self, c: Children) -> ast.Table:
        self._new()
        parts = {part.tag: part.value for part in c if isinstance(part, Part)}
        cites = tuple(part.value for part in c if isinstance(part, Part) and part.tag == "cites")
        tokens = [part for part in c if isinstance(part, Tok) and part.type == "ROW"]
        header, rows = self._rows(tokens, "come out") if tokens else (None, ())
        source = parts.get("source")
        return ast.Table(word_of(c[1]), title(c), parts.get("match", "unique"), cites, header, rows, source, span=self._from(c[0], c[1]))

    def _rows(self, tokens: list[Tok], what: str) -> tuple[ast.Row, tuple[ast.Row, ...]]:
        """The header and the rows under it; `what` says of the columns behind the arrow what they are."""
        header, arrow = _cells(tokens[0], self.words)
        if arrow is None:
            message = f"the first row does not say which columns {what}"
            self._problem("no-arrow", message, tokens[0].span, "put `=>` before the first of them")
            arrow = len(header)
        rows = []
        for token in tokens[1:]:
            cells, at = _cells(token, self.words)
            if len(cells) != len(header):
                message = f"this row has {_count(len(cells), 'cell')}, the first row has {len(header)}"
                self._problem("ragged-row", message, token.span, None, ("the first row is here", tokens[0].span))
            elif at not in (None, arrow):
                self._problem("ragged-row", "`=>` does not stand where it stands in the first row", token.span)
            rows.append(ast.Row(tuple(cells[:arrow]), tuple(cells[arrow:]), span=token.span))
        return ast.Row(tuple(header[:arrow]), tuple(header[arrow:]), span=tokens[0].span), tuple(rows)

    # --- the condition in a cell

    def any_value(self, c: Children) -> ast.Expr:
        return ast.Literal("flag", "true", span=c[0].span)

    def no_value(self, c: Children) -> ast.Expr:
        return ast.IsMissing(_subject(c[0].span), c[0].type == "KNOWN", span=c[0].span)

    def none_of_these(self, c: Children) -> ast.Expr:
        return ast.Name(OTHERWISE, span=c[0].span)

    def compared(self, c: Children) -> ast.Expr:
        return ast.Binary(c[0].value, _subject(c[0].span), c[1], span=self._from(*c))

    def equal(self, c: Children) -> ast.Expr:
        return ast.Binary("=", _subject(c[0].span), c[0], span=c[0].span)

    def among(self, c: Children) -> Any:
        return self._deeper(ast.Membership(_subject(c[0].span), False, c[1], span=self._from(*c)), c[1])

    def not_among(self, c: Children) -> Any:
        return self._deeper(ast.Membership(_subject(c[0].span), True, c[2], span=self._from(c[0], c[2])), c[2])

    def interval(self, c: Children) -> ast.Expr:
        opening, low, _, high, closing = c
        span, subject = self._from(opening, closing), _subject(opening.span)
        from_ = ast.Binary(">=" if opening.type == "LSQB" else ">", subject, low, span=span)
        to = ast.Binary("<=" if closing.type == "RSQB" else "<", subject, high, span=span)
        return ast.Logic("and", (from_, to), span=span)


def _subject(span: Span) -> ast.Name:
    return ast.Name(SUBJECT, span=span)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


_CELL: Final = re.compile(r'\|((?:[^|"]|"[^"]*"|")*)')


def _cells(row: Tok, words: Words) -> tuple[list[ast.Cell], int | None]:
    """The cells of a row, and how many of them stand before the `=>`."""
    cells: list[ast.Cell] = []
    arrow: int | None = None
    for match in list(_CELL.finditer(row.value))[:-1]:
        text, start = match.group(1), match.start(1)
        body = text.strip()
        if body.startswith("=>"):
            arrow = len(cells) if arrow is None else -1
            body = body[2:].strip()
        column = row.column + start + (len(text.rstrip()) - len(body) if body else 1)
        span = Span(row.file, row.line, column, column + max(len(body), 1))
        cells.append(ast.Cell(in_english(body, words), body, words.language, span=span))
    return cells, arrow
