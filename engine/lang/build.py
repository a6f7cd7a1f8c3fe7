"""From what the parser has recognised to the syntax tree: one method a rule of `grammar/rules.lark`, under the rule's name.

It resolves no names and knows no types; it refuses what the grammar takes but this release does not, and what is said twice.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.diagnostics import Diagnostic, Span
from engine.lang import ast
from engine.lang.scan import Tok

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_DEPTH: Final = 60

Children = list[Any]


class Part(NamedTuple):
    """A header item, a clause, or an optional piece of a declaration on its way into its node."""

    tag: str
    value: Any
    span: Span


class Builder:
    """The callbacks of the parser. One parse at a time: `begin` clears what the last one left."""

    def __init__(self) -> None:
        self.begin({})

    def begin(self, ends: dict[int, int]) -> None:
        """`ends` maps a line to the column after its last token."""
        self.ends = ends
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

    def _problem(self, code: str, message: str, span: Span, hint: str | None = None, *related: tuple[str, Span]) -> None:
        self.problems.append(Diagnostic(code, message, span, related=related, hint=hint))

    def _later(self, what: str, children: Children) -> None:
        self._problem("not-yet", f"{what} with a later release of the language", self._from(children[0], children[-1]))

    def _deeper(self, node: Any, *items: Any) -> Any:
        """Note how deep `node` goes; past the limit the expression is refused, once a declaration."""
        depth = 1 + max(self._depths.get(id(item), 1) for item in items)
        self._depths[id(node)] = depth
        if depth > MAX_DEPTH and not self._too_deep:
            self._too_deep = True
            self.problems.append(too_deep(node.span))
        return node

    def _once(self, parts: Iterable[Part], single: Sequence[str], where: str) -> dict[str, list[Any]]:
        """The parts by tag; those that may stand once only are refused the second time."""
        found: dict[str, list[Any]] = {}
        first: dict[str, Span] = {}
        for tag, value, span in parts:
            if tag in first and tag in single:
                hint = "join the conditions with `and` or `or`" if tag == "when" else "keep one of them"
                self._problem("repeated-clause", f"a second `{tag}` in this {where}", span, hint, ("the first is here", first[tag]))
            first.setdefault(tag, span)
            found.setdefault(tag, []).append(value)
        return found

    def _new(self) -> None:
        self._too_deep = False

    # --- file and header

    def file(self, c: Children) -> ast.File:
        header: ast.File = c[0]
        parts = self._once((p for p in c[1:] if isinstance(p, Part)), _HEADER_ONCE, header.kind)
        items = {name: values[0] for name, values in parts.items() if name in _HEADER_FIELDS}
        if "arrival by" in items:
            items["arrival_by_time"] = bool(items.pop("arrival by"))
        if "on missing" in items:
            items["on_missing"] = items.pop("on missing")
        return replace(
            header,
            cites=tuple(parts.get("cites", ())),
            uses=tuple(u for tag in ("record", "uses") for u in parts.get(tag, ())),
            declarations=tuple(p for p in c[1:] if not isinstance(p, Part) and p is not None),
            **items,
        )

    def declarations(self, c: Children) -> tuple[ast.Declaration, ...]:
        return tuple(declaration for declaration in c if declaration is not None)

    def header(self, c: Children) -> ast.File:
        title = _text(c[4]) if len(c) > 4 else None
        return ast.File(c[0].type.lower(), c[1], _word(c[3]), title, span=self._from(c[0], c[-1]))

    def component(self, c: Children) -> ast.Word:
        return ast.Word("".join(token.value for token in c), span=self._from(c[0], c[-1]))

    def owner(self, c: Children) -> Part:
        return Part("owner", _text(c[1]), self._from(*c))

    def cites(self, c: Children) -> Part:
        return Part("cites", ast.Word(_text(c[1]), span=c[1].span), self._from(*c))

    def record(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("record", ast.Uses("record", c[1].text, c[2].value if len(c) > 2 else None, span=span), span)

    def uses(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("uses", ast.Uses(c[1].type.lower(), c[2].text, c[3].value if len(c) > 3 else None, span=span), span)

    def uses_later(self, c: Children) -> Part:
        self._later(f"`uses {c[1].value}` comes", c)
        return Part("later", None, c[0].span)

    def on_missing(self, c: Children) -> Part:
        return Part("on missing", ast.Word(c[2].type.lower(), span=c[2].span), self._from(c[0], c[-1]))

    def zone(self, c: Children) -> Part:
        return Part("zone", ast.Word(_text(c[1]), span=c[1].span), self._from(*c))

    def key(self, c: Children) -> Part:
        return Part("key", tuple(_word(token) for token in c[1:]), self._from(c[0], c[-1]))

    def time(self, c: Children) -> Part:
        return Part("time", _word(c[1]), self._from(*c))

    def arrival(self, c: Children) -> Part:
        return Part("arrival", _word(c[1]), self._from(*c))

    def arrival_by_time(self, c: Children) -> Part:
        return Part("arrival by", True, self._from(c[0], c[-1]))

    def late(self, c: Children) -> Part:
        return Part("late", c[3], self._from(c[0], c[-1]))

    def language(self, c: Children) -> Part:
        if c[1].value != "en":
            self._problem("unknown-language", f"there is no table of keywords for the language `{c[1].value}`", c[1].span, "there is `en`")
        return Part("language", _word(c[1]), self._from(*c))

    def effective(self, c: Children) -> Part:
        for token in c[2::2]:
            self._whole_day(token)
        span = self._from(c[0], c[-1])
        return Part("effective", ast.Effective(c[2].value, c[4].value if len(c) > 4 else None, span=span), span)

    def _whole_day(self, token: Tok) -> None:
        if len(token.value) > 10:
            self._problem("bad-date", f"a day is meant here, not the time `{token.value}`", token.span, f"write `{token.value[:10]}`")

    # --- fields, inputs, types

    def mark(self, c: Children) -> Part:
        return Part(c[-1].type.lower(), True, self._from(c[0], c[-1]))

    def sources(self, c: Children) -> Part:
        return Part("sources", tuple(_text(token) for token in c[1:]), self._from(c[0], c[-1]))

    def field(self, c: Children) -> ast.Field:
        self._new()
        parts = {part.tag: part.value for part in c[3:] if isinstance(part, Part)}
        title = next((_text(part) for part in c[3:] if isinstance(part, Tok)), None)
        marks = ("negative" in parts, "optional" in parts, "personal" in parts)
        return ast.Field(self._named(c[1]), c[2], *marks, title, parts.get("sources", ()), span=self._from(c[0], c[-1]))

    def input(self, c: Children) -> ast.Input:
        self._new()
        rest = {token.type: token for token in c[3:]}
        title = _text(rest["STRING"]) if "STRING" in rest else None
        return ast.Input(self._named(c[1]), c[2], "OPTIONAL" in rest, title, span=self._from(c[0], c[-1]))

    def _named(self, token: Tok) -> ast.Word:
        """A name that is declared; words that begin an expression could never be read again."""
        if token.value in _RESERVED:
            message = f"`{token.value}` is a word of the language and cannot name anything"
            self._problem("reserved-name", message, token.span, "choose another name; `from` can map the name a feed uses")
        return _word(token)

    def plain_type(self, c: Children) -> ast.TypeName:
        return ast.TypeName(c[0].type.removesuffix("_WORD").lower(), span=c[0].span)

    def money_type(self, c: Children) -> ast.TypeName:
        currency = c[1].value if len(c) == 2 else None
        by = c[2].value if len(c) == 3 else None
        return ast.TypeName("money", currency=currency, by=by, span=self._from(c[0], c[-1]))

    def choice_type(self, c: Children) -> ast.TypeName:
        choices = tuple(self.text([token]) for token in c[2:])
        return ast.TypeName("text", choices=choices, span=self._from(c[0], c[-1]))

    def list_type(self, c: Children) -> ast.TypeName:
        return ast.TypeName("list", item=c[2], span=self._from(c[0], c[-1]))

    # --- names for values and conditions

    def dated(self, c: Children) -> ast.Dated:
        return ast.Dated(c[0], c[1].value if len(c) > 1 else None, span=self._from(c[0], c[-1]))

    dated_choices = dated

    def _one_value(self, values: Children, what: str) -> tuple[ast.Dated, ...]:
        if len(values) > 1:
            self._problem("not-yet", f"{what} with several dated values come with a later release of the language", values[1].span)
        return tuple(values)

    def param(self, c: Children) -> ast.Param:
        self._new()
        type_ = c[2] if isinstance(c[2], ast.TypeName) else None
        values = self._one_value([part for part in c if isinstance(part, ast.Dated)], "params")
        cites = c[-1].value.text if isinstance(c[-1], Part) else None
        return ast.Param(self._named(c[1]), type_, values, cites, span=self._from(c[0], c[-1]))

    def file_source(self, c: Children) -> Part:
        texts = [_text(token) for token in c if isinstance(token, Tok) and token.type == "STRING"]
        return Part("source", (texts[0], texts[1] if len(texts) > 1 else None), self._from(c[0], c[-1]))

    def valid_later(self, c: Children) -> Part:
        self._later("entries with their own dates come", c)
        return Part("valid", None, self._from(c[0], c[-1]))

    def named_list(self, c: Children) -> ast.ListDecl:
        self._new()
        return self._list(_word(c[1]), c)

    def listing(self, c: Children) -> ast.ListDecl:
        self._new()
        return self._list(None, c)

    def _list(self, name: ast.Word | None, c: Children) -> ast.ListDecl:
        values = self._one_value([part for part in c if isinstance(part, ast.Dated)], "lists")
        parts = {part.tag: part.value for part in c if isinstance(part, Part)}
        file, column = parts.get("source", (None, None))
        cites = parts["cites"].text if "cites" in parts else None
        return ast.ListDecl(name, values, file, column, None, cites, span=self._from(c[0], c[-1]))

    def define(self, c: Children) -> ast.Define:
        self._new()
        return ast.Define(self._named(c[1]), _title(c), c[-1], span=self._from(c[0], c[-1]))

    # --- features

    def feature(self, c: Children) -> ast.Feature:
        self._new()
        return ast.Feature(self._named(c[1]), _title(c), c[-1], span=self._from(c[0], c[-1]))

    def aggregate(self, c: Children) -> ast.Aggregate:
        parts = {part.tag: part for part in c if isinstance(part, Part)}
        function, of = parts["measure"].value
        where, needs = parts.get("where"), parts.get("needs")
        return ast.Aggregate(
            function,
            of,
            next(part for part in c if isinstance(part, ast.Window)),
            parts["per"].value,
            where.value if where else None,
            needs.value if needs else None,
            span=self._from(c[0], c[-1]),
        )

    def measure(self, c: Children) -> Part:
        function = c[0].type.lower().removesuffix("_of").replace("_", " ")
        return Part("measure", (function, c[1] if len(c) > 1 else None), self._from(c[0], c[-1]))

    def measure_later(self, c: Children) -> Part:
        self._later(f"`{'time since last' if c[0].type == 'TIME' else c[0].value}` comes", c)
        return Part("measure", ("count", None), self._from(c[0], c[-1]))

    def window(self, c: Children) -> ast.Window:
        length = self.name(c) if isinstance(c[0], Tok) else c[0]
        return ast.Window("trailing", length, span=c[0].span)

    def window_later(self, c: Children) -> ast.Window:
        self._later("this kind of window comes", c)
        return ast.Window("trailing", ast.Literal("duration", "1 day"), span=self._from(c[0], c[-1]))

    def per(self, c: Children) -> Part:
        keys = [token for token in c[1:] if token is not None]
        return Part("per", tuple(self.name([token]) for token in keys), self._from(c[0], keys[-1]))

    def matched_later(self, c: Children) -> None:
        self._later("`matched as` comes", c)

    def where(self, c: Children) -> Part:
        return Part("where", c[1], self._from(*c))

    def needs(self, c: Children) -> Part:
        amount = f"{c[1].text} of history" if isinstance(c[1], ast.Literal) else f"{c[1].value} events"
        return Part("needs", amount, self._from(c[0], c[-1]))

    # --- rules

    def rule(self, c: Children) -> ast.Rule:
        self._new()
        parts = self._once((part for part in c[3:] if part is not None), _RULE_ONCE, "rule")
        one = {tag: values[0] for tag, values in parts.items() if tag in _RULE_ONCE}
        return ast.Rule(
            _word(c[1]),
            _text(c[2]),
            tuple(parts.get("cites", ())),
            one.get("severity"),
            one.get("when"),
            tuple(parts.get("unless", ())),
            tuple(effect for effects in parts.get("then", ()) for effect in effects),
            one.get("because"),
            one.get("on missing"),
            tuple(parts.get("assume", ())),
            one.get("effective"),
            span=self._from(*c[:3:2]),
        )

    def severity(self, c: Children) -> Part:
        return Part("severity", c[1].type.lower(), self._from(*c))

    def when(self, c: Children) -> Part:
        return Part("when", c[1], self._from(*c))

    def unless(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("unless", ast.Unless(c[1], _text(c[3]), span=span), span)

    def then(self, c: Children) -> Part:
        return Part("then", tuple(c[1:]), self._from(c[0], c[-1]))

    def because(self, c: Children) -> Part:
        return Part("because", ast.Template(_text(c[1]), span=c[1].span), self._from(*c))

    def assume(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("assume", ast.Assume(_word(c[2]), c[4], span=span), span)

    def once_later(self, c: Children) -> None:
        self._later("`once` comes", c)

    def add_score(self, c: Children) -> ast.Effect:
        return ast.Effect("score", value=c[1], span=self._from(*c))

    def raise_flag(self, c: Children) -> ast.Effect:
        return ast.Effect("flag", self._named(c[1]), span=self._from(*c))

    def set_value(self, c: Children) -> ast.Effect:
        return ast.Effect("set", self._named(c[1]), c[3], span=self._from(c[0], c[-1]))

    def give_outcome(self, c: Children) -> ast.Effect:
        return ast.Effect("outcome", _word(c[1]), span=self._from(*c))

    def table_later(self, c: Children) -> None:
        self._new()
        self._later("tables come", c[:2])

    def decide(self, c: Children) -> ast.Decide:
        self._new()
        rows = tuple(row for row in c if isinstance(row, ast.DecideRow))
        undecided = self._once((part for part in c if isinstance(part, Part)), ("otherwise undecided",), "decide")
        left = undecided.get("otherwise undecided", [None])[0]
        return ast.Decide(rows, left, span=self._from(c[0], c[1]))

    def decision(self, c: Children) -> ast.DecideRow:
        return ast.DecideRow(_word(c[0]), c[2] if len(c) > 2 else None, span=self._from(c[0], c[-1]))

    def left_open(self, c: Children) -> Part:
        return Part("otherwise undecided", _word(c[2]), self._from(c[0], c[-1]))

    # --- tests

    def test(self, c: Children) -> ast.Test:
        self._new()
        parts = self._once((part for part in c if isinstance(part, Part)), (), "test")
        params = tuple(binding for bindings in parts.get("with", ()) for binding in bindings)
        given = tuple(binding for bindings in parts.get("given", ()) for binding in bindings)
        expect = tuple(one for several in parts.get("expect", ()) for one in several)
        return ast.Test(ast.Word(_text(c[1]), span=c[1].span), params, given, expect, span=self._from(c[0], c[1]))

    def overrides(self, c: Children) -> Part:
        pairs = zip(c[1::3], c[3::3], strict=True)
        bindings = tuple(ast.Binding(_word(name), value, span=self._from(name, value)) for name, value in pairs)
        return Part("with", bindings, self._from(c[0], c[-1]))

    def given(self, c: Children) -> Part:
        return Part("given", tuple(c[1:]), self._from(c[0], c[-1]))

    def binding(self, c: Children) -> ast.Binding:
        return ast.Binding(_word(c[0]), c[2] if len(c) > 2 else None, span=self._from(c[0], c[-1]))

    def expect(self, c: Children) -> Part:
        return Part("expect", tuple(c[1:]), self._from(c[0], c[-1]))

    def expect_rule(self, c: Children) -> ast.Expectation:
        return ast.Expectation("rule", _word(c[0]), c[1].type.lower(), span=self._from(*c))

    def expect_score(self, c: Children) -> ast.Expectation:
        return ast.Expectation("score", low=c[1], high=c[3] if len(c) > 3 else None, span=self._from(c[0], c[-1]))

    def expect_outcome(self, c: Children) -> ast.Expectation:
        return ast.Expectation("outcome", _word(c[1]), span=self._from(*c))

    def expect_possible(self, c: Children) -> ast.Expectation:
        names = tuple(_word(token) for token in c[1::2])
        return ast.Expectation("possible", names=names, span=self._from(c[0], c[-1]))

    def expect_robust(self, c: Children) -> ast.Expectation:
        return ast.Expectation("robust", span=c[0].span)

    def expect_flag(self, c: Children) -> ast.Expectation:
        return ast.Expectation("flag", _word(c[1]), span=self._from(*c))

    def expect_no_flag(self, c: Children) -> ast.Expectation:
        return ast.Expectation("no flag", _word(c[2]), span=self._from(c[0], c[-1]))

    def expect_value(self, c: Children) -> ast.Expectation:
        return ast.Expectation("value", _word(c[0]), low=c[2], span=self._from(c[0], c[-1]))

    def expect_missing(self, c: Children) -> ast.Expectation:
        return ast.Expectation("missing", _word(c[0]), span=self._from(*c))

    def history(self, c: Children) -> Part:
        if c[-1].type == "DATE":
            self._whole_day(c[-1])
        return Part("history", c[-1].value if c[-1].type == "DATE" else "complete", self._from(c[0], c[-1]))

    def story(self, c: Children) -> ast.Story:
        self._new()
        parts = {part.tag: part.value for part in c if isinstance(part, Part)}
        header, rows = self._rows([part for part in c if isinstance(part, Tok) and part.type == "ROW"])
        title = ast.Word(_text(c[1]), span=c[1].span)
        return ast.Story(title, parts.get("with", ()), parts.get("history"), header, rows, span=self._from(c[0], c[1]))

    def examples(self, c: Children) -> ast.Examples:
        self._new()
        header, rows = self._rows(c[2:])
        return ast.Examples(_word(c[1]), header, rows, span=self._from(c[0], c[1]))

    def _rows(self, tokens: list[Tok]) -> tuple[ast.Row, tuple[ast.Row, ...]]:
        header, arrow = _cells(tokens[0])
        if arrow is None:
            self._problem(
                "no-arrow", "the first row does not say which columns are expected", tokens[0].span, "put `=>` before the first of them"
            )
            arrow = len(header)
        rows = []
        for token in tokens[1:]:
            cells, at = _cells(token)
            if len(cells) != len(header):
                message = f"this row has {_count(len(cells), 'cell')}, the first row has {len(header)}"
                self._problem("ragged-row", message, token.span, None, ("the first row is here", tokens[0].span))
            elif at not in (None, arrow):
                self._problem("ragged-row", "`=>` does not stand where it stands in the first row", token.span)
            rows.append(ast.Row(tuple(cells[:arrow]), tuple(cells[arrow:]), span=token.span))
        return ast.Row(tuple(header[:arrow]), tuple(header[arrow:]), span=tokens[0].span), tuple(rows)

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

    def conversion_later(self, c: Children) -> Any:
        self._later("conversion between currencies comes", c)
        return c[0]

    def resembles_later(self, c: Children) -> Any:
        self._later("`resembles` comes", c)
        return c[0]

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
        return ast.Literal("duration", f"{c[0].value} {c[1].value}", span=self._from(*c))

    def date(self, c: Children) -> ast.Literal:
        return ast.Literal("date" if len(c[0].value) == 10 else "datetime", c[0].value, span=c[0].span)

    def text(self, c: Children) -> ast.Literal:
        return ast.Literal("text", _text(c[0]), span=c[0].span)

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


_HEADER_ONCE: Final = ("owner", "record", "on missing", "zone", "key", "time", "arrival", "arrival by", "late", "language")
_HEADER_FIELDS: Final = frozenset(_HEADER_ONCE) - {"record"}
_RULE_ONCE: Final = ("severity", "when", "because", "on missing", "effective")
_RESERVED: Final = frozenset(("true", "false", "not", "flag"))


def too_deep(span: Span) -> Diagnostic:
    """The refusal of an expression that nests past `MAX_DEPTH`."""
    hint = "name parts of it with `define`"
    return Diagnostic("too-deep", f"this expression goes more than {MAX_DEPTH} levels deep", span, hint=hint)


def _text(token: Tok) -> str:
    return token.value[1:-1]


def _word(token: Tok) -> ast.Word:
    return ast.Word(token.value, span=token.span)


def _title(c: Children) -> str | None:
    return _text(c[2]) if isinstance(c[2], Tok) and c[2].type == "STRING" else None


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


_CELL: Final = re.compile(r'\|((?:[^|"]|"[^"]*"|")*)')


def _cells(row: Tok) -> tuple[list[ast.Cell], int | None]:
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
        cells.append(ast.Cell(body, span=Span(row.file, row.line, column, column + max(len(body), 1))))
    return cells, arrow
