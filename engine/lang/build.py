"""From what the parser has recognised to the syntax tree: one method a rule of `grammar/rules.lark`, under the rule's name.

It resolves no names and knows no types; it refuses what the grammar takes but this release does not, and what is said twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from engine.diagnostics import Span
from engine.lang import ast
from engine.lang.build_expressions import Children, Part, text_of, word_of
from engine.lang.build_features import title
from engine.lang.build_tables import TableBuilder
from engine.lang.mistakes import bare_unit
from engine.lang.scan import Tok
from engine.lang.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Builder(TableBuilder):
    """The callbacks of the parser for whole files. One parse at a time: `begin` clears what the last one left."""

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

    # --- file and header

    def file(self, c: Children) -> ast.File:
        header: ast.File = c[0]
        parts = self._once((p for p in c[1:] if isinstance(p, Part)), _HEADER_ONCE, header.kind)
        items = {_HEADER_NAMES.get(name, name): values[0] for name, values in parts.items() if name in _HEADER_FIELDS}
        if "arrival by" in items:
            items["arrival_by_time"] = bool(items.pop("arrival by"))
        return replace(
            header,
            cites=tuple(parts.get("cites", ())),
            scoring=parts.get("score", [None])[0],
            floors=tuple(parts.get("score at least", ())),
            uses=tuple(u for tag in ("record", "uses") for u in parts.get(tag, ())),
            declarations=tuple(p for p in c[1:] if not isinstance(p, Part) and p is not None),
            places=header.places + tuple((p.tag, p.span) for p in c[1:] if isinstance(p, Part) and p.tag in ("owner", "arrival by")),
            **items,
        )

    def declarations(self, c: Children) -> tuple[ast.Declaration, ...]:
        return tuple(declaration for declaration in c if declaration is not None)

    def header(self, c: Children) -> ast.File:
        title = text_of(c[4]) if len(c) > 4 else None
        places = (("title", c[4].span),) if len(c) > 4 else ()
        return ast.File(c[0].type.lower(), c[1], word_of(c[3]), title, places=places, span=self._from(c[0], c[-1]))

    def component(self, c: Children) -> ast.Word:
        return ast.Word("".join(token.value for token in c), span=self._from(c[0], c[-1]))

    def owner(self, c: Children) -> Part:
        return Part("owner", text_of(c[1]), self._from(*c))

    def cites(self, c: Children) -> Part:
        return Part("cites", ast.Word(text_of(c[1]), span=c[1].span), self._from(*c))

    def record(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("record", ast.Uses("record", c[1].text, c[2].value if len(c) > 2 else None, span=span), span)

    def uses(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("uses", ast.Uses(c[1].type.lower(), c[2].text, c[3].value if len(c) > 3 else None, span=span), span)

    def uses_table(self, c: Children) -> Part:
        span, place = self._from(c[0], c[-1]), next(i for i, token in enumerate(c) if isinstance(token, Tok) and token.type == "BY")
        end = len(c) - 2 if c[-2].type == "AS" else len(c)
        by = tuple(self.name([token]) for token in c[place + 1 : end])
        called = word_of(c[-1]) if end < len(c) else None
        return Part("uses", ast.Uses("table", c[2].text, c[3].value if place == 4 else None, by, called, span=span), span)

    def rows_from(self, c: Children) -> Part:
        return Part("rows from", ast.Word(text_of(c[1]), span=c[1].span), self._from(*c))

    def rows_valid(self, c: Children) -> Part:
        return Part("valid", tuple(ast.Word(text_of(token), span=token.span) for token in c[1::2]), self._from(c[0], c[-1]))

    def rows_known(self, c: Children) -> Part:
        return Part("known from", ast.Word(text_of(c[2]), span=c[2].span), self._from(c[0], c[-1]))

    def base(self, c: Children) -> Part:
        return Part("base", word_of(c[1]), self._from(*c))

    def oldest(self, c: Children) -> Part:
        return Part("no more than", c[1], self._from(c[0], c[-1]))

    def on_missing(self, c: Children) -> Part:
        return Part("on missing", ast.Word(c[2].type.lower(), span=c[2].span), self._from(c[0], c[-1]))

    def zone(self, c: Children) -> Part:
        return Part("zone", ast.Word(text_of(c[1]), span=c[1].span), self._from(*c))

    def key(self, c: Children) -> Part:
        return Part("key", tuple(word_of(token) for token in c[1:]), self._from(c[0], c[-1]))

    def time(self, c: Children) -> Part:
        return Part("time", word_of(c[1]), self._from(*c))

    def arrival(self, c: Children) -> Part:
        return Part("arrival", word_of(c[1]), self._from(*c))

    def arrival_by_time(self, c: Children) -> Part:
        return Part("arrival by", True, self._from(c[0], c[-1]))

    def late(self, c: Children) -> Part:
        return Part("late", c[3], self._from(c[0], c[-1]))

    def ahead(self, c: Children) -> Part:
        return Part("ahead", c[3], self._from(c[0], c[-1]))

    def revision(self, c: Children) -> Part:
        return Part("revision", word_of(c[1]), self._from(*c))

    def language(self, c: Children) -> Part:
        if c[1].value not in LANGUAGES:
            there = " and ".join(f"`{code}`" for code in LANGUAGES)
            message = f"there is no table of keywords for the language `{c[1].value}`"
            self._problem("unknown-language", message, c[1].span, f"there are {there}")
        return Part("language", word_of(c[1]) if c[1].value in LANGUAGES and c[1].value != "en" else None, self._from(*c))

    def scoring(self, c: Children) -> Part:
        span, words = self._from(c[0], c[-1]), [part.type.lower() for part in c[1:] if isinstance(part, Tok)]
        how = next((word for word in words if word in ("sum", "max")), None)
        return Part("score", ast.Scoring(how, c[-1] if "at_most" in words else None, span=span), span)

    def floor(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("score at least", ast.Floor(c[2], c[4] if len(c) > 4 else None, span=span), span)

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
        return Part("sources", tuple(text_of(token) for token in c[1:]), self._from(c[0], c[-1]))

    def field(self, c: Children) -> ast.Field:
        self._new()
        parts = {part.tag: part.value for part in c[3:] if isinstance(part, Part)}
        title = next((text_of(part) for part in c[3:] if isinstance(part, Tok)), None)
        marks = ("negative" in parts, "optional" in parts, "personal" in parts)
        return ast.Field(word_of(c[1]), c[2], *marks, title, parts.get("sources", ()), span=self._from(c[0], c[-1]))

    def column(self, c: Children) -> ast.TableColumn:
        self._new()
        parts = {part.tag: part.value for part in c[3:] if isinstance(part, Part)}
        rest = {token.type: token for token in c[3:] if isinstance(token, Tok)}
        title = text_of(rest["STRING"]) if "STRING" in rest else None
        marks = ("OPTIONAL" in rest, title, parts.get("sources", ()))
        return ast.TableColumn(word_of(c[1]), c[2], *marks, span=self._from(c[0], c[-1]))

    def input(self, c: Children) -> ast.Input:
        self._new()
        rest = {token.type: token for token in c[3:]}
        title = text_of(rest["STRING"]) if "STRING" in rest else None
        return ast.Input(word_of(c[1]), c[2], "OPTIONAL" in rest, title, span=self._from(c[0], c[-1]))

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

    def param(self, c: Children) -> ast.Param:
        self._new()
        type_ = c[2] if isinstance(c[2], ast.TypeName) else None
        values = tuple(part for part in c if isinstance(part, ast.Dated))
        cites = c[-1].value.text if isinstance(c[-1], Part) else None
        return ast.Param(word_of(c[1]), type_, values, cites, span=self._from(c[0], c[-1]))

    def list_file(self, c: Children) -> ast.ListFile:
        texts = [text_of(token) for token in c if isinstance(token, Tok) and token.type == "STRING"]
        parts = {part.tag: part.value for part in c if isinstance(part, Part)}
        dates = (parts.get("valid"), parts.get("effective"))
        return ast.ListFile(texts[0], tuple(texts[1:]), parts.get("bearer"), *dates, span=self._from(c[0], c[-1]))

    def bearer(self, c: Children) -> Part:
        return Part("bearer", text_of(c[1]), self._from(c[0], c[1]))

    def valid(self, c: Children) -> Part:
        return Part("valid", (text_of(c[1]), text_of(c[3])), self._from(c[0], c[-1]))

    def named_list(self, c: Children) -> ast.ListDecl:
        self._new()
        return self._list(word_of(c[1]), c)

    def listing(self, c: Children) -> ast.ListDecl:
        self._new()
        return self._list(None, c)

    def _list(self, name: ast.Word | None, c: Children) -> ast.ListDecl:
        values = tuple(part for part in c if isinstance(part, ast.Dated))
        files = tuple(part for part in c if isinstance(part, ast.ListFile))
        cites = c[-1].value.text if isinstance(c[-1], Part) else None
        return ast.ListDecl(name, values, files, cites, span=self._from(c[0], c[-1]))

    def define(self, c: Children) -> ast.Define:
        self._new()
        return ast.Define(word_of(c[1]), title(c), c[-1], span=self._from(c[0], c[-1]))

    # --- rules

    def rule(self, c: Children) -> ast.Rule:
        self._new()
        return self._rule(word_of(c[1]), c[2], c[3:], self._from(*c[:3:2]))

    def pattern(self, c: Children) -> ast.Rule:
        return self._rule(ast.Word("", span=c[0].span), c[1], c[2:], self._from(*c[:2]))

    def _rule(self, name: ast.Word, title: Tok, clauses: Children, span: Span) -> ast.Rule:
        parts = self._once((part for part in clauses if part is not None), _RULE_ONCE, "rule")
        one = {tag: values[0] for tag, values in parts.items() if tag in _RULE_ONCE}
        return ast.Rule(
            name,
            text_of(title),
            tuple(parts.get("cites", ())),
            one.get("severity"),
            one.get("when"),
            tuple(parts.get("unless", ())),
            tuple(effect for effects in parts.get("then", ()) for effect in effects),
            one.get("because"),
            one.get("on missing"),
            tuple(parts.get("assume", ())),
            one.get("effective"),
            one.get("once"),
            tuple((part.tag, part.span) for part in clauses if part is not None and part.tag == "severity"),
            span=span,
        )

    def template(self, c: Children) -> ast.RuleTemplate:
        self._new()
        slots = tuple(part for part in c if isinstance(part, ast.Slot))
        body = tuple(part for part in c if isinstance(part, ast.Define | ast.Feature))
        # a slot may well be called `days`, and then `over days` lacks no number
        fine = {bare_unit(slot.name.text)[1] for slot in slots}
        begin = c[0].span
        self.problems = [one for one in self.problems if not (one.code == "bare-unit" and one.message in fine and one.span > begin)]
        return ast.RuleTemplate(word_of(c[1]), title(c), slots, body, c[-1], span=self._from(*c[:2]))

    def slot(self, c: Children) -> ast.Slot:
        return ast.Slot(word_of(c[0]), c[1], c[3] if len(c) > 3 else None, span=self._from(c[0], c[-1]))

    def field_type(self, c: Children) -> ast.TypeName:
        return ast.TypeName("field", item=c[2], span=self._from(c[0], c[-1]))

    def made(self, c: Children) -> ast.MadeRule:
        self._new()
        values = tuple(part for part in c if isinstance(part, ast.Binding))
        template = next(word_of(part) for part in c if isinstance(part, Tok) and part.type == "PATH")
        return ast.MadeRule(word_of(c[1]), title(c), template, values, span=self._from(*c[:2]))

    def severity(self, c: Children) -> Part:
        return Part("severity", c[1].type.lower(), self._from(*c))

    def when(self, c: Children) -> Part:
        return Part("when", c[1], self._from(*c))

    def unless(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("unless", ast.Unless(c[1], text_of(c[3]), span=span), span)

    def then(self, c: Children) -> Part:
        return Part("then", tuple(c[1:]), self._from(c[0], c[-1]))

    def because(self, c: Children) -> Part:
        return Part("because", ast.Template(text_of(c[1]), span=c[1].span), self._from(*c))

    def assume(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        return Part("assume", ast.Assume(word_of(c[2]), c[4], span=span), span)

    def once(self, c: Children) -> Part:
        span = self._from(c[0], c[-1])
        keys = tuple(self.name([token]) for token in c[2:-2] if isinstance(token, Tok))
        return Part("once", ast.Once(keys, c[-1], span=span), span)

    def exception(self, c: Children) -> ast.Exemption:
        self._new()
        parts = self._once((part for part in c if isinstance(part, Part)), _PERMIT_ONCE, "exception")
        one = {tag: values[0] for tag, values in parts.items() if tag in _PERMIT_ONCE}
        rules = tuple(word_of(token) for token in c[4:] if isinstance(token, Tok))
        days = (one.get("from"), one.get("until"))
        grounds = (one.get("approved by"), one.get("because"))
        cites = tuple(parts.get("cites", ()))
        return ast.Exemption(word_of(c[1]), text_of(c[2]), rules, one.get("when"), *days, *grounds, cites, span=self._from(*c[:3:2]))

    def from_day(self, c: Children) -> Part:
        self._whole_day(c[1])
        return Part("from", word_of(c[1]), self._from(*c))

    def until(self, c: Children) -> Part:
        self._whole_day(c[1])
        return Part("until", word_of(c[1]), self._from(*c))

    def approved(self, c: Children) -> Part:
        return Part("approved by", ast.Word(text_of(c[1]), span=c[1].span), self._from(*c))

    def grounds(self, c: Children) -> Part:
        return Part("because", ast.Word(text_of(c[1]), span=c[1].span), self._from(*c))

    def add_score(self, c: Children) -> ast.Effect:
        return ast.Effect("score", value=c[1], span=self._from(*c))

    def raise_flag(self, c: Children) -> ast.Effect:
        return ast.Effect("flag", word_of(c[1]), span=self._from(*c))

    def set_value(self, c: Children) -> ast.Effect:
        return ast.Effect("set", word_of(c[1]), c[3], span=self._from(c[0], c[-1]))

    def give_outcome(self, c: Children) -> ast.Effect:
        return ast.Effect("outcome", word_of(c[1]), span=self._from(*c))

    def decide(self, c: Children) -> ast.Decide:
        self._new()
        rows = tuple(row for row in c if isinstance(row, ast.DecideRow))
        undecided = self._once((part for part in c if isinstance(part, Part)), ("otherwise undecided",), "decide")
        left = undecided.get("otherwise undecided", [None])[0]
        return ast.Decide(rows, left, span=self._from(c[0], c[1]))

    def decision(self, c: Children) -> ast.DecideRow:
        return ast.DecideRow(word_of(c[0]), c[2] if len(c) > 2 else None, span=self._from(c[0], c[-1]))

    def left_open(self, c: Children) -> Part:
        return Part("otherwise undecided", word_of(c[2]), self._from(c[0], c[-1]))

    # --- what must hold of every event

    def never(self, c: Children) -> ast.Never:
        self._new()
        conditions = [part for part in c[1:] if not isinstance(part, Part | Tok)]
        when = conditions[1] if len(conditions) > 1 else None
        return ast.Never(conditions[0], when, *self._about(c, "invariant"), span=self._from(c[0], conditions[-1]))

    def trend(self, c: Children) -> ast.Trend:
        self._new()
        conditions = [part for part in c[5:] if not isinstance(part, Part | Tok)]
        when = conditions[0] if conditions else None
        ways = (c[0].type == "MORE", word_of(c[1]), c[3].type == "LOWERS", word_of(c[4]))
        return ast.Trend(*ways, when, *self._about(c, "invariant"), span=self._from(c[0], when or c[4]))

    def _about(self, c: Children, where: str) -> tuple[tuple[ast.Word, ...], ast.Word | None]:
        parts = self._once((part for part in c if isinstance(part, Part)), ("because",), where)
        because = [ast.Word(text.text, span=text.span) for text in parts.get("because", ())]
        return tuple(parts.get("cites", ())), because[0] if because else None

    # --- tests

    def test(self, c: Children) -> ast.Test:
        self._new()
        parts = self._once((part for part in c if isinstance(part, Part)), (), "test")
        params = tuple(binding for bindings in parts.get("with", ()) for binding in bindings)
        given = tuple(binding for bindings in parts.get("given", ()) for binding in bindings)
        expect = tuple(one for several in parts.get("expect", ()) for one in several)
        return ast.Test(ast.Word(text_of(c[1]), span=c[1].span), params, given, expect, span=self._from(c[0], c[1]))

    def overrides(self, c: Children) -> Part:
        return Part("with", tuple(c[1:]), self._from(c[0], c[-1]))

    def given(self, c: Children) -> Part:
        return Part("given", tuple(c[1:]), self._from(c[0], c[-1]))

    def binding(self, c: Children) -> ast.Binding:
        name, rest = word_of(c[0]), c[1:]
        if isinstance(rest[0], Tok) and rest[0].type == "STRING":
            name, rest = ast.Word(f"{name.text}({rest[0].value})", span=self._from(c[0], rest[0])), rest[1:]
        value, high = (rest[1], rest[3] if len(rest) > 3 else None) if len(rest) > 1 else (None, None)
        return ast.Binding(name, value, high, rest[0].type == "CLEAR", span=self._from(c[0], c[-1]))

    filled = binding

    def expect(self, c: Children) -> Part:
        return Part("expect", tuple(c[1:]), self._from(c[0], c[-1]))

    def expect_rule(self, c: Children) -> ast.Expectation:
        return ast.Expectation("rule", word_of(c[0]), c[1].type.lower(), span=self._from(*c))

    def expect_silenced(self, c: Children) -> ast.Expectation:
        by = tuple(word_of(token) for token in c[2:])
        return ast.Expectation("silenced", word_of(c[0]), names=by, span=self._from(c[0], c[-1]))

    def expect_score(self, c: Children) -> ast.Expectation:
        return ast.Expectation("score", low=c[1], high=c[3] if len(c) > 3 else None, span=self._from(c[0], c[-1]))

    def expect_outcome(self, c: Children) -> ast.Expectation:
        return ast.Expectation("outcome", word_of(c[1]), span=self._from(*c))

    def expect_possible(self, c: Children) -> ast.Expectation:
        names = tuple(word_of(token) for token in c[1::2])
        return ast.Expectation("possible", names=names, span=self._from(c[0], c[-1]))

    def expect_robust(self, c: Children) -> ast.Expectation:
        return ast.Expectation("robust", span=c[0].span)

    def expect_flag(self, c: Children) -> ast.Expectation:
        return ast.Expectation("flag", word_of(c[1]), span=self._from(*c))

    def expect_no_flag(self, c: Children) -> ast.Expectation:
        return ast.Expectation("no flag", word_of(c[2]), span=self._from(c[0], c[-1]))

    def expect_value(self, c: Children) -> ast.Expectation:
        return ast.Expectation("value", word_of(c[0]), low=c[2], span=self._from(c[0], c[-1]))

    def expect_missing(self, c: Children) -> ast.Expectation:
        return ast.Expectation("missing", word_of(c[0]), span=self._from(*c))

    def history(self, c: Children) -> Part:
        if c[-1].type == "DATE":
            self._whole_day(c[-1])
        return Part("history", c[-1].value if c[-1].type == "DATE" else "complete", self._from(c[0], c[-1]))

    def story(self, c: Children) -> ast.Story:
        self._new()
        parts = {part.tag: part.value for part in c if isinstance(part, Part)}
        header, rows = self._rows([part for part in c if isinstance(part, Tok) and part.type == "ROW"], "are expected")
        title = ast.Word(text_of(c[1]), span=c[1].span)
        return ast.Story(title, parts.get("with", ()), parts.get("history"), header, rows, span=self._from(c[0], c[1]))

    def examples(self, c: Children) -> ast.Examples:
        self._new()
        header, rows = self._rows(c[2:], "are expected")
        return ast.Examples(word_of(c[1]), header, rows, span=self._from(c[0], c[1]))


_HEADER_ONCE: Final = (
    "owner", "record", "on missing", "zone", "key", "revision", "time", "arrival", "arrival by", "late", "ahead", "language", "score",
    "rows from", "valid", "known from", "base", "no more than",
)  # fmt: skip
_HEADER_NAMES: Final = {"on missing": "on_missing", "rows from": "rows", "known from": "known", "no more than": "oldest"}
_HEADER_FIELDS: Final = frozenset(_HEADER_ONCE) - {"record", "score"}
_PERMIT_ONCE: Final = ("when", "from", "until", "approved by", "because")
_RULE_ONCE: Final = ("severity", "when", "because", "on missing", "effective", "once")
