"""Tests and invariants as the test runner takes them: what is given, what is expected, what must hold; typed, in the order written.

They know nothing of how a case is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.diagnostics import NOWHERE, Span
from engine.values import Type, Value

if TYPE_CHECKING:
    from engine.lang import ast, ir


@dataclass(frozen=True, slots=True)
class Expected:
    """One thing a row must come to.

    =========  ==========================  =========================================================================
    kind       name                        value
    =========  ==========================  =========================================================================
    rule       the rule's id               ``hit``, ``clear`` or ``undecided``, after policies
    silenced   the rule's id               the exception's id, or true for any
    score      none                        points of the rules that hit, after policies, an int
    range      none                        (low, high): the points before policies
    outcome    none                        the outcome's name
    possible   none                        the outcomes as a frozenset
    robust     none                        true
    flag       the flag's name             true, false, or missing (`undecided`)
    value      a column's name             a run-time value of `type`; missing (`absent`) stands for any cause
    =========  ==========================  =========================================================================
    """

    kind: str
    name: str | None
    value: Value
    type: Type | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One event: run-time values by column name (what is left out is missing), with key and time filled in."""

    given: Mapping[str, Value]
    expect: tuple[Expected, ...]
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class TestCase:
    """A `test` (one row), an `examples` table (independent rows) or a `story` (rows in order, each with those before it as history).

    `params` override the rule set's, for `check_ruleset`. `history` is none (of this event alone, and complete), ``complete``, or
    the day (days since 1970-01-01) from which it is complete.
    """

    __test__ = False

    title: str
    kind: str
    rows: tuple[CaseRow, ...]
    params: Mapping[str, ast.Expr] = field(default_factory=dict)
    history: str | int | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Invariant:
    """What must hold of every event, with defines put in; over the row, what the rule set makes of it, `outcome`, `possible`, `robust`.

    `never`: no event makes `claim` true where `when` is. A trend has `of`, the column that moves up, or down where `more` is false, while
    all else stays: then `claim` must not fall, or must not rise where `lowers` is false. `order` ranks outcomes, the mildest first.
    `parts` are conditions that must be true of some event, or nothing has been tested, with their text.
    """

    text: str
    claim: ir.Expr
    when: ir.Expr | None = None
    of: str | None = None
    more: bool = True
    lowers: bool = True
    order: tuple[str, ...] = ()
    parts: tuple[tuple[str, ir.Expr], ...] = ()
    span: Span = field(default=NOWHERE, compare=False)
