"""What an author says must hold of every event, typed. It searches for no event that breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.lang import ast, fit, ir
from engine.lang.arithmetic import describe
from engine.lang.cases import Invariant
from engine.lang.expressions import Typer
from engine.lang.format import invariant_text
from engine.lang.format_expressions import format_expression
from engine.lang.scope import Refusal, Scope
from engine.values import FLAG, SCORE, TEXT, Type

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.program import Program


def invariants(program: Program, decide: ir.Decide | None) -> tuple[Invariant, ...]:
    """The sound invariants of a file whose rules are typed; problems of the others are noted."""
    maker = _Maker(program, decide)
    found: list[Invariant | None] = []
    for node in program.tree.declarations:
        if isinstance(node, ast.Never):
            found.append(maker.never(node))
        elif isinstance(node, ast.Trend):
            found.append(maker.trend(node))
    return tuple(one for one in found if one is not None)


class _Maker:
    """Types the invariants of one file. They may read what rules may, and what came out."""

    def __init__(self, program: Program, decide: ir.Decide | None) -> None:
        self.program, self.report = program, program.report
        rows = [] if decide is None else [name for name, _ in decide.rows]
        self.order = tuple(reversed(dict.fromkeys(rows)))
        outcomes = tuple(dict.fromkeys((*rows, decide.undecided))) if decide is not None else ()
        made = {"outcome": replace(TEXT, choices=outcomes), "possible": Type("list", item=replace(TEXT, choices=outcomes)), "robust": FLAG}
        none = Refusal("unknown-name", "there is no outcome here", "add `decide outcome`")
        self.scope: Scope = replace(
            program.late,
            extra={**program.late.extra, **(made if decide is not None else {})},
            refused=dict.fromkeys((*made,), none) if decide is None else {},
        )

    def never(self, node: ast.Never) -> Invariant | None:
        claim = self._condition(node.claim, "what stands after `never`")
        when = None if node.when is None else self._condition(node.when, "what stands after `when`")
        if claim is None or (node.when is not None and when is None):
            return None
        parts: list[tuple[ast.Expr, ir.Expr]] = []
        if node.when is not None and when is not None:
            parts.append((node.when, when))
        elif isinstance(node.claim, ast.Logic) and isinstance(claim, ir.And) and len(node.claim.items) == len(claim.items):
            parts += zip(node.claim.items, claim.items, strict=True)
        said = tuple((format_expression(written), expr) for written, expr in parts)
        return Invariant(invariant_text(node), claim, when, parts=said, span=node.span)

    def trend(self, node: ast.Trend) -> Invariant | None:
        moved = self._moved(node.of)
        when = None if node.when is None else self._condition(node.when, "what stands after `when`")
        claim, order = self._answer(node.what)
        if not moved or claim is None or (node.when is not None and when is None):
            return None
        parts = () if node.when is None or when is None else ((format_expression(node.when), when),)
        return Invariant(invariant_text(node), claim, when, node.of.text, node.more, node.lowers, order, parts, node.span)

    def _moved(self, word: ast.Word) -> bool:
        """Whether a name is that of something an event brings, which can be more or less."""
        found = Typer(self.program.scope, self.report).typed(ast.Name(word.text, span=word.span))
        if found is None:
            return False
        if not isinstance(found, ir.Read) or word.text not in self._given():
            hint = "name a field, an input or a feature"
            self.report.error("bad-invariant", f"`{word.text}` is worked out here; no event brings more or less of it", word.span, hint)
            return False
        return self._ordered(found, word.text, word.span)

    def _given(self) -> set[str]:
        inputs = {node.name.text for node in self.program.tree.declarations if isinstance(node, ast.Input)}
        features = set(self.program.features) | {
            f"{use.path.rpartition('/')[2]}.{one.name}"
            for use in self.program.tree.uses
            if use.kind == "features" and use.path in self.program.env.features
            for one in self.program.env.features[use.path].features
        }
        return {field.name for field in self.program.env.record.fields} | inputs | features

    def _ordered(self, expr: ir.Expr, name: str, span: Span) -> bool:
        if expr.type.kind in fit.ORDERED and expr.type.kind != "text":
            return True
        self.report.error("bad-invariant", f"`{name}` is {describe(expr.type)}, of which there is no more or less", span)
        return False

    def _answer(self, word: ast.Word) -> tuple[ir.Expr | None, tuple[str, ...]]:
        """What may not fall or rise, and the rank of outcomes."""
        if word.text == "score":
            return ir.Read("score", type=SCORE, span=word.span), ()
        found = Typer(self.scope, self.report).typed(ast.Name(word.text, span=word.span))
        if word.text == "outcome" and found is not None:
            return found, self.order
        if found is None or not self._ordered(found, word.text, word.span):
            return None, ()
        return self._whole(found, word.span), ()

    # --- conditions --------------------------------------------------------------------------------------------------

    def _condition(self, node: ast.Expr, what: str) -> ir.Expr | None:
        typed = Typer(self.scope, self.report).condition(node, what)
        if typed is None or sum(not self._is_possible(found) for found in _members(typed)):
            return None
        if isinstance(typed, ir.Const):
            self.report.error("bad-invariant", f"{what} is the same for every event", node.span, "name a field, a flag or an outcome")
            return None
        return self._whole(typed, node.span)

    def _is_possible(self, found: tuple[ir.Const, Type]) -> bool:
        constant, of = found
        if of.choices is None or constant.value in of.choices:
            return True
        hint = self.report.suggest(str(constant.value), of.choices)
        self.report.error("unknown-outcome", f"`decide` has no outcome `{constant.value}`", constant.span, hint)
        return False

    def _whole(self, expr: ir.Expr, span: Span) -> ir.Expr | None:
        """The expression with the defines it reads put in."""
        defines = self.program.defines
        if defines.too_much(expr):
            self.report.error("too-deep", "too much stands behind this to be looked at", span, "use simpler defines here")
            return None
        return ir.transform(expr, lambda one: defines.expanded(one.name) if isinstance(one, ir.Read) and one.name in defines else one)


def _members(expr: ir.Expr) -> Iterator[tuple[ir.Const, Type]]:
    """Constants that are looked for in a list, with what the list can hold."""
    for node in ir.walk(expr):
        if isinstance(node, ir.Call) and node.function == "member" and isinstance(node.args[0], ir.Const):
            yield node.args[0], node.args[1].type.item or TEXT
