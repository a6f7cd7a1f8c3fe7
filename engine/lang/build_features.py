"""From what the parser has recognised to features: aggregates, their windows and their keys, one method a rule of `grammar/rules.lark`.

It resolves no names and knows no types.
"""

from __future__ import annotations

from engine.diagnostics import Fix, Span
from engine.lang import ast
from engine.lang.build_expressions import Children, ExpressionBuilder, Part, text_of, word_of
from engine.lang.mistakes import bare_unit
from engine.lang.scan import Tok
from engine.lang.words import load_words


class FeatureBuilder(ExpressionBuilder):
    """The callbacks of the parser for `feature` and everything in it."""

    def feature(self, c: Children) -> ast.Feature:
        self._new()
        return ast.Feature(word_of(c[1]), title(c), c[-1], span=self._from(c[0], c[-1]))

    def aggregate(self, c: Children) -> ast.Aggregate:
        parts = {part.tag: part for part in c if isinstance(part, Part)}
        function, of, among, part = parts["measure"].value
        per, matched = parts["per"].value
        where, needs = parts.get("where"), parts.get("needs")
        return ast.Aggregate(
            function,
            of,
            next(part for part in c if isinstance(part, ast.Window)),
            per,
            where.value if where else None,
            needs.value if needs else None,
            matched,
            part,
            among,
            span=self._from(c[0], c[-1]),
        )

    def measure(self, c: Children) -> Part:
        function = load_words().shown[c[0].type] if c[0].type in _WHOLE else c[0].type.removesuffix("_OF").lower()
        return Part("measure", (function, c[1] if len(c) > 1 else None, None, None), self._from(c[0], c[-1]))

    def share(self, c: Children) -> Part:
        return Part("measure", ("share", c[1], c[5], c[3]), self._from(c[0], c[-1]))

    # --- networks

    def network(self, c: Children) -> ast.Network:
        parts = {part.tag: part.value for part in c if isinstance(part, Part)}
        amount, within = parts.get("tolerance", (None, None))
        return ast.Network(
            load_words().shown[c[0].type].removeprefix("count of "),
            (self.name([c[2]]), self.name([c[4]])),
            next(part for part in c if isinstance(part, ast.Window)),
            parts.get("hops"),
            amount,
            within,
            parts.get("where"),
            parts.get("needs"),
            parts.get("effort"),
            span=self._from(c[0], c[-1]),
        )

    def hops(self, c: Children) -> Part:
        return Part("hops", self._counted(c[3]), self._from(c[0], c[-1]))

    def tolerance(self, c: Children) -> Part:
        return Part("tolerance", (c[1], c[3]), self._from(c[0], c[-1]))

    def effort(self, c: Children) -> Part:
        return Part("effort", self._counted(c[1]), self._from(c[0], c[-1]))

    # --- windows

    def _window(self, c: Children, kind: str, **parts: object) -> ast.Window:
        return ast.Window(kind, **parts, span=self._from(c[0], c[-1]))  # type: ignore[arg-type]  # the parts are those of the node

    def _length(self, node: ast.Expr) -> ast.Expr:
        if isinstance(node, ast.Name) and node.path in load_words().units:
            code, message, hint = bare_unit(node.path)
            place = Span(node.span.file, node.span.line, node.span.column, node.span.column)
            # how many was not said, so the edit is a proposal
            self._problem(code, message, node.span, hint, fix=Fix(place, "1 "))
        return node

    def _counted(self, token: Tok) -> ast.Expr:
        return self.number([token]) if token.type == "NUMBER" else self.name([token])

    def trailing(self, c: Children) -> ast.Window:
        return self._window(c, "trailing", length=self._length(c[0]))

    def before(self, c: Children) -> ast.Window:
        return self._window(c, "before", length=self._length(c[0]))

    def lagged(self, c: Children) -> ast.Window:
        return self._window(c, "lagged", length=self._length(c[0]), lag=self._length(c[2]))

    def last_events(self, c: Children) -> ast.Window:
        return self._window(c, "events", length=self._counted(c[1]))

    def full_periods(self, c: Children) -> ast.Window:
        return self._window(c, "full", length=self._counted(c[1]) if len(c) > 3 else None, period=c[-1].type.lower())

    def calendar(self, c: Children) -> ast.Window:
        return self._window(c, "calendar", period=c[1].type.lower())

    def business(self, c: Children) -> ast.Window:
        return self._window(c, "business", closing=word_of(c[4]), holidays=self.name([c[6]]) if len(c) > 5 else None)

    def since(self, c: Children) -> ast.Window:
        return self._window(c, "since", field=self.name([c[1]]))

    def since_event(self, c: Children) -> ast.Window:
        return self._window(c, "since event", event=c[2])

    # --- keys and conditions

    def per(self, c: Children) -> Part:
        keys = [token for token in c[1:] if isinstance(token, Tok)]
        matched = tuple(part.value for part in c if isinstance(part, Part))
        return Part("per", (tuple(self.name([key]) for key in keys), *(matched or ((),))), self._from(c[0], c[-1]))

    def matched(self, c: Children) -> Part:
        span: Span = self._from(c[0], c[-1])
        return Part("matched", tuple(self.name([token]) for token in c[1::2]), span)

    def where(self, c: Children) -> Part:
        return Part("where", c[1], self._from(*c))

    def needs(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        if isinstance(c[1], ast.Literal):
            return Part("needs", ast.Needs("history", c[1], span=span), span)
        return Part("needs", ast.Needs("events", self.number([c[1]]), span=span), span)


_WHOLE = ("COUNT_OF_DISTINCT", "MOST_REPEATED", "TIME_SINCE_LAST")


def title(c: Children) -> str | None:
    """The text after a declaration's name, if it has one."""
    return text_of(c[2]) if isinstance(c[2], Tok) and c[2].type == "STRING" else None
