"""From what the parser has recognised to expressions: one method a rule of `grammar/rules.lark`, under the rule's name.

It knows no declarations, resolves no names and knows no types; how deep an expression goes is counted as it is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.diagnostics import Diagnostic, Fix, Span
from engine.lang import ast
from engine.lang.scan import MAX_DEPTH, Tok, too_deep
from engine.lang.words import load_words

if TYPE_CHECKING:
    from engine.lang.words import Words

Children = list[Any]


class Part(NamedTuple):
    """A header item, a clause, or an optional piece of a declaration on its way into its node."""

    tag: str
    value: Any
    span: Span


def text_of(token: Tok) -> str:
    """A text without its quotes."""
    return token.value[1:-1]


def word_of(token: Tok) -> ast.Word:
    """What a token says, with its place."""
    return ast.Word(token.value, span=token.span)


class ExpressionBuilder:
    """The callbacks of the parser for expressions, and what all callbacks share."""

    def __init__(self) -> None:
        self.begin({}, load_words())

    def begin(self, ends: dict[int, int], words: Words) -> None:
        """`ends` maps a line to the column after its last token."""
        self.ends, self.words = ends, words
        self.problems: list[Diagnostic] = []
        self._depths: dict[int, int] = {}
        self._too_deep = False

    # --- places and problems

    def _from(self, first: Any, last: Any) -> Span:
        start: Span = first.span
        end: Span = last.span
        if start.line == end.line:
            return Span(start.file, start.line, start.column, end.end)
        return Span(start.file, start.line, start.column, self.ends.get(start.line, start.end))

    def _problem(
        self, code: str, message: str, span: Span, hint: str | None = None, *related: tuple[str, Span], fix: Fix | None = None
    ) -> None:
        self.problems.append(Diagnostic(code, message, span, related=related, hint=hint, fix=fix))

    def _deeper(self, node: Any, *items: Any) -> Any:
        """Note how deep `node` goes; past the limit the expression is refused, once a declaration."""
        depth = 1 + max(self._depths.get(id(item), 1) for item in items)
        self._depths[id(node)] = depth
        if depth > MAX_DEPTH and not self._too_deep:
            self._too_deep = True
            self.problems.append(too_deep(node.span))
        return node

    def _new(self) -> None:
        self._too_deep = False

    # --- expressions

    def expression(self, c: Children) -> ast.Expr:
        self._new()
        node: ast.Expr = c[0]
        return node

    def cell(self, c: Children) -> ast.Expr:
        self._new()
        node: ast.Expr = ast.Name("missing", span=c[0].span) if isinstance(c[0], Tok) else c[0]
        return node

    def either(self, c: Children) -> ast.Logic:
        return self._logic("or", tuple(c[::2]))

    def both(self, c: Children) -> ast.Logic:
        return self._logic("and", tuple(c[::2]))

    def _logic(self, op: str, items: tuple[ast.Expr, ...]) -> ast.Logic:
        node: ast.Logic = self._deeper(ast.Logic(op, items, span=self._from(items[0], items[-1])), *items)
        return node

    def negation(self, c: Children) -> Any:
        return self._deeper(ast.Not(c[1], span=self._from(*c)), c[1])

    def has_flag(self, c: Children) -> ast.HasFlag:
        return ast.HasFlag(c[1].value, span=self._from(*c))

    def binary(self, c: Children) -> Any:
        op = c[1].type.lower() if c[1].type in ("CONTAINS", "MATCHES") else c[1].value
        return self._deeper(ast.Binary(op, c[0], c[2], span=self._from(c[0], c[2])), c[0], c[2])

    def starts_with(self, c: Children) -> Any:
        return self._deeper(ast.Binary("starts with", c[0], c[3], span=self._from(c[0], c[3])), c[0], c[3])

    def between(self, c: Children) -> Any:
        return self._deeper(ast.Between(c[0], c[2], c[4], span=self._from(c[0], c[4])), c[0], c[2], c[4])

    def within(self, c: Children) -> Any:
        return self._deeper(ast.Within(c[0], c[2], c[4], span=self._from(c[0], c[4])), c[0], c[2], c[4])

    def is_missing(self, c: Children) -> Any:
        return self._deeper(ast.IsMissing(c[0], c[2].type == "KNOWN", span=self._from(c[0], c[2])), c[0])

    def membership(self, c: Children) -> Any:
        return self._deeper(ast.Membership(c[0], False, c[2], span=self._from(c[0], c[2])), c[0], c[2])

    def no_membership(self, c: Children) -> Any:
        return self._deeper(ast.Membership(c[0], True, c[3], span=self._from(c[0], c[3])), c[0], c[3])

    def conversion(self, c: Children) -> Any:
        return self._deeper(ast.Convert(c[0], word_of(c[2]), span=self._from(c[0], c[2])), c[0])

    def resembles(self, c: Children) -> Any:
        node = ast.Resembles(c[0], self.name(c[4:5]), c[6], span=self._from(c[0], c[6]))
        return self._deeper(node, c[0], c[6])

    def choices(self, c: Children) -> Any:
        return self._deeper(ast.Tuple(tuple(c), span=self._from(c[0], c[-1])), *c)

    def minus(self, c: Children) -> Any:
        return self._deeper(ast.Negate(c[1], span=self._from(*c)), c[1])

    def otherwise(self, c: Children) -> Any:
        return self._deeper(ast.Else(c[0], c[2], span=self._from(c[0], c[2])), c[0], c[2])

    def number(self, c: Children) -> ast.Literal:
        return ast.Literal("number", c[0].value, span=c[0].span)

    def money(self, c: Children) -> ast.Literal:
        return ast.Literal("money", f"{c[0].value} {c[1].value}", span=self._from(*c))

    def percent(self, c: Children) -> ast.Literal:
        return ast.Literal("percent", f"{c[0].value}%", span=self._from(*c))

    def duration(self, c: Children) -> ast.Literal:
        unit = c[1].type.lower() + ("" if c[0].value == "1" else "s")
        return ast.Literal("duration", f"{c[0].value} {unit}", span=self._from(*c))

    def date(self, c: Children) -> ast.Literal:
        return ast.Literal("date" if len(c[0].value) == 10 else "datetime", c[0].value, span=c[0].span)

    def text(self, c: Children) -> ast.Literal:
        return ast.Literal("text", text_of(c[0]), span=c[0].span)

    def flag(self, c: Children) -> ast.Literal:
        return ast.Literal("flag", c[0].type.lower(), span=c[0].span)

    def name(self, c: Children) -> ast.Name:
        return ast.Name(c[0].value, span=c[0].span)

    def call(self, c: Children) -> Any:
        return self._deeper(ast.Call(c[0].value, tuple(c[1:]), span=self._from(c[0], c[-1])), *c[1:])

    def part_of(self, c: Children) -> Any:
        name = c[0].type.lower().replace("_", " ")
        return self._deeper(ast.Call(name, (c[1],), span=self._from(*c)), c[1])

    def quantifier(self, c: Children) -> Any:
        kind = c[0].type.removesuffix("_OF").lower()
        return self._deeper(ast.Quantifier(kind, self.name(c[1:2]), c[3], span=self._from(c[0], c[-1])), c[3])

    def group(self, c: Children) -> Any:
        return self._deeper(c[0], c[0])
