"""Calls of functions: which builtin is meant, and whether what it is given fits. It reads the table of builtins and adds nothing to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from engine.lang import arithmetic, ast, builtins, fit, ir
from engine.lang.builtins import BUILTINS, Builtin
from engine.lang.dated import is_fixed
from engine.values import FLAG, TEXT, Type

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report
    from engine.lang.scope import Scope


class Typer(Protocol):
    """What types the expressions around a call, and so its arguments."""

    scope: Scope
    report: Report

    def typed(self, node: ast.Expr) -> ir.Expr | None: ...

    def read(self, column: str, span: Span, code: str, message: str) -> ir.Expr | None: ...


_OPERATORS = ("+", "-", "*", "/", "starts with", "contains", "matches")


def _table() -> dict[str, list[Builtin]]:
    """The functions an author calls by name, with what each of them may be given."""
    table: dict[str, list[Builtin]] = {}
    for builtin in BUILTINS.values():
        if builtin.surface is not None and builtin.surface not in _OPERATORS:
            table.setdefault(builtin.surface, []).append(builtin)
    return table


FUNCTIONS = _table()


def call(typer: Typer, node: ast.Call) -> ir.Expr | None:
    """A call by name, or none with the problem noted."""
    if node.name == "hit" or node.name.endswith(".hit"):
        return _hit(typer, node)
    if node.name not in FUNCTIONS:
        typer.report.error("unknown-function", f"there is no function `{node.name}`", node.span, typer.report.suggest(node.name, FUNCTIONS))
        return None
    args = [typer.typed(arg) for arg in node.args]
    there = [arg for arg in args if arg is not None]
    if len(there) < len(args):
        return None
    if node.name in ("min", "max"):
        return _extreme(typer, node, there)
    if node.name == "round" and len(there) == 1:
        there.append(ir.Const(0, type=Type("integer"), span=node.span))
    return _overloaded(typer, node, there)


def _hit(typer: Typer, node: ast.Call) -> ir.Expr | None:
    rule = node.args[0] if len(node.args) == 1 else None
    if not isinstance(rule, ast.Literal) or rule.kind != "text":
        typer.report.error("wrong-arguments", '`hit` takes the id of one rule, like `hit("CASH-01")`', node.span)
        return None
    step = node.name.removesuffix("hit")
    running = {name.partition(".hit(")[0] for name in typer.scope.names() if ".hit(" in name}
    if step and step[:-1] not in running and not typer.scope.is_silent(node.name):
        message = f"no rule set `{step[:-1]}` is read here"
        typer.report.error("unknown-name", message, node.span, typer.report.suggest(step[:-1], running))
        return None
    return typer.read(
        step + ir.hit(rule.text), node.span, "unknown-rule", f"there is no rule `{rule.text}`" + (f" in `{step[:-1]}`" if step else "")
    )


def _overloaded(typer: Typer, node: ast.Call, args: list[ir.Expr]) -> ir.Expr | None:
    overloads = FUNCTIONS[node.name]
    for builtin in overloads:
        given = _fitting(builtin, args, typer)
        if given is not None:
            gives = args[0].type if builtin.name.startswith("abs:") else Type(builtin.gives)
            return fit.call(builtin.name, given, gives)
    wanted = sum(kind != "zone" for kind in overloads[0].takes)
    if len(args) != wanted:
        typer.report.error("wrong-arguments", f"`{node.name}` takes {_count(wanted)}, not {len(args)}", node.span)
        return None
    takes = " or ".join(dict.fromkeys(arithmetic.describe(Type(kind)) for kind in (b.takes[0] for b in overloads) if kind != "bymoney"))
    odd = next((arg for arg in args if all(arg.type.kind not in builtin.takes for builtin in overloads)), args[0])
    typer.report.error("type-mismatch", f"`{node.name}` takes {takes}, this is {arithmetic.describe(odd.type)}", odd.span)
    return None


def _count(wanted: int) -> str:
    return "one value" if wanted == 1 else f"{wanted} values"


def _fitting(builtin: Builtin, args: list[ir.Expr], typer: Typer) -> list[ir.Expr] | None:
    """The arguments as the builtin takes them, with the record's zone added where it asks for it; none where they do not fit."""
    takes = [kind for kind in builtin.takes if kind != "zone"]
    if len(takes) != len(args):
        return None
    fitted: list[ir.Expr] = []
    for kind, arg in zip(takes, args, strict=True):
        if kind == "number" and arg.type.kind in ("integer", "percent") and builtin.name == "round":
            arg = fit.to_number(arg)
        if fit.kind(arg.type) != kind:
            return None
        fitted.append(arg)
    if "zone" in builtin.takes:
        fitted.append(ir.Const(typer.scope.zone, type=TEXT, span=args[0].span))
    return fitted


def _extreme(typer: Typer, node: ast.Call, args: list[ir.Expr]) -> ir.Expr | None:
    if len(args) < 2:
        typer.report.error("wrong-arguments", f"`{node.name}` takes two values or more, not {len(args)}", node.span)
        return None
    made = args[0]
    for arg in args[1:]:
        fitted = fit.alike(made, arg)
        if fitted is None or f"{node.name}:{fit.kind(fitted[0].type)}" not in BUILTINS:
            arithmetic.misfit(made.type, arg.type, "compare", arg.span, typer.report)
            return None
        made = fit.call(f"{node.name}:{fit.kind(fitted[0].type)}", fitted, replace(fitted[0].type, choices=None))
    return made


def absolute(expr: ir.Expr, span: Span, report: Report) -> ir.Expr | None:
    """The size of a value without its sign."""
    function = f"abs:{fit.kind(expr.type)}"
    if function in BUILTINS:
        return fit.call(function, [expr], expr.type)
    report.error("type-mismatch", f"a percentage of {arithmetic.describe(expr.type)} means nothing", span)
    return None


def text(typer: Typer, node: ast.Binary) -> ir.Expr | None:
    """`starts with`, `contains` and `matches`; `contains` also asks whether a list field holds a value."""
    left, right = typer.typed(node.left), typer.typed(node.right)
    if left is None or right is None:
        return None
    if node.op == "contains" and left.type.kind == "list" and left.type.item is not None and left.type.item.kind == right.type.kind:
        return fit.call("member", [right, left], FLAG)
    for side in (left, right):
        if side.type.kind != "text":
            typer.report.error("type-mismatch", f"`{node.op}` looks at texts, this is {arithmetic.describe(side.type)}", side.span)
            return None
    if node.op == "matches" and isinstance(right, ir.Dated) and is_fixed(right):
        return fit.by_day(lambda one: fit.call("matches", [left, one], FLAG) if _is_pattern(one, typer.report) else None, right)
    if node.op == "matches" and not _is_pattern(right, typer.report):
        return None
    return fit.call(node.op.replace(" ", "_"), [left, right], FLAG)


def _is_pattern(expr: ir.Expr, report: Report) -> bool:
    if not isinstance(expr, ir.Const):
        report.error("not-constant", "a pattern must be fixed in the text, this depends on the event", expr.span)
        return False
    try:
        builtins.pattern(expr.value)
    except ValueError as problem:
        report.error("bad-pattern", f"this is no regular expression that can be searched for: {str(problem).rstrip('.')}", expr.span)
        return False
    return True
