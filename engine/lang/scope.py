"""What a name means at a place of the text: a column to read, a constant, a list; or why it must not be read there.

It knows names and their types, not expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from engine.lang import ir
from engine.lang.dated import Fixed
from engine.lang.lists import ListValue
from engine.values import DATETIME

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report
    from engine.rates import Rates
    from engine.values import Type

RESERVED = frozenset({"score", "outcome", "now", "it", "this", "flags", "hit", "possible", "robust", "match"})
"""Names the language itself gives a meaning."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A name that is there, but must not be read here."""

    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that can be read at one place. The mappings are shared and filled while declarations are checked in their order.

    `silent` are names whose own declaration is faulty: what reads them is not reported again. A name in `silent_prefixes` belongs
    to a component that was not found. `inlined` names stand for an expression. `extra` and `refused` hold for this place only.
    """

    zone: str = "UTC"
    time: Type = DATETIME
    columns: dict[str, Type] = field(default_factory=dict)
    constants: dict[str, Fixed] = field(default_factory=dict)
    lists: dict[str, ListValue] = field(default_factory=dict)
    inlined: Mapping[str, ir.Expr] = field(default_factory=dict)
    extra: Mapping[str, Type] = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    silent_prefixes: tuple[str, ...] = ()
    used: set[str] = field(default_factory=set)
    item: Type | None = None
    rates: Rates | None = None

    def within(self, item: Type) -> Scope:
        """The same place inside a quantifier over items of this type."""
        return replace(self, item=item)

    def lookup(self, name: str, span: Span) -> ir.Expr | ListValue | None:
        """What the name stands for, or none; marks it as used."""
        self.used.add(name)
        if name == "it" and self.item is not None:
            return ir.Item(type=self.item, span=span)
        if name in self.inlined:
            return self.inlined[name]
        if name in self.constants:
            return replace(self.constants[name], span=span)
        type_ = self.extra.get(name) or self.columns.get(name)
        return ir.Read(name, type=type_, span=span) if type_ is not None else self.lists.get(name)

    def is_silent(self, name: str) -> bool:
        return name in self.silent or name.startswith(self.silent_prefixes)

    def explain(self, name: str, span: Span, report: Report) -> None:
        """Report why the name means nothing here."""
        if name in self.refused:
            refusal = self.refused[name]
            report.error(refusal.code, refusal.message, span, refusal.hint)
        elif name == "it":
            report.error("unknown-name", "`it` is the item of `any of ... where (...)` and stands only there", span)
        elif name.startswith("this."):
            self._explain_this(name, span, report)
        elif not self.is_silent(name):
            report.error("unknown-name", f"nothing here is called `{name}`", span, report.suggest(name, self.names()))

    def _explain_this(self, name: str, span: Span, report: Report) -> None:
        field = name.removeprefix("this.")
        if any(known.startswith("this.") for known in self.extra):
            report.error("unknown-name", f"this event has no field `{field}`", span, report.suggest(name, self.extra))
        else:
            message = f"`{name}` compares rows of history with this event, and stands in a condition of a feature only"
            report.error("this-outside-where", message, span, f"write `{field}`")

    def names(self) -> Iterator[str]:
        """All names that could have been meant."""
        return chain(self.columns, self.extra, self.constants, self.lists, self.inlined)
