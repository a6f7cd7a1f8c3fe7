"""Expressions of the syntax tree as text, on one line or broken where they are too long, with parentheses only where they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from engine.lang import ast
from engine.lang.layout import WIDTH, Line

OR, _AND, _NOT, _COMPARISON, SUM, _PRODUCT, _SIGNED, _ELSE, _CONVERTED, ATOM = range(10)
"""How tightly things bind, loosest first: the chain of rules in `grammar/rules.lark`."""

_BINARY: Final = {
    "+": (SUM, SUM, _PRODUCT),
    "-": (SUM, SUM, _PRODUCT),
    "*": (_PRODUCT, _PRODUCT, _SIGNED),
    "/": (_PRODUCT, _PRODUCT, _SIGNED),
}
"""Per operator: its own tightness, and what its sides must have; all others are comparisons."""


def format_expression(node: ast.Expr) -> str:
    """The expression on one line, with parentheses only where they are needed.

    >>> from engine.lang.parse import parse_expression
    >>> format_expression(parse_expression("(a and (b or c)) and ((x + 1) * 2 > 3)", "", 1, 1)[0])
    '(a and (b or c)) and (x + 1) * 2 > 3'
    """
    return show(node, OR)


def show(node: ast.Expr, least: int) -> str:
    text = _EXPRESSIONS[type(node)](node)
    return f"({text})" if _tightness(node) < least else text


def _tightness(node: ast.Expr) -> int:
    if isinstance(node, ast.Logic):
        return OR if node.op == "or" else _AND
    if isinstance(node, ast.Binary):
        return _BINARY[node.op][0] if node.op in _BINARY else _COMPARISON
    return _TIGHTNESS.get(type(node), ATOM)


def _logic(node: ast.Logic) -> str:
    return f" {node.op} ".join(show(item, _AND if node.op == "or" else _NOT) for item in node.items)


def _binary(node: ast.Binary) -> str:
    _, left, right = _BINARY.get(node.op, (_COMPARISON, SUM, SUM))
    return f"{show(node.left, left)} {node.op} {show(node.right, right)}"


def _between(node: ast.Between) -> str:
    return f"{show(node.item, SUM)} between {show(node.low, SUM)} and {show(node.high, SUM)}"


def _within(node: ast.Within) -> str:
    return f"{show(node.item, SUM)} within {show(node.tolerance, SUM)} around {show(node.center, SUM)}"


def _membership(node: ast.Membership) -> str:
    return f"{show(node.item, SUM)} {'not in' if node.negated else 'in'} {show(node.choices, OR)}"


def _resembles(node: ast.Resembles) -> str:
    return f"{show(node.item, SUM)} resembles any in {node.listed.path} by {show(node.least, SUM)}"


def _else(node: ast.Else) -> str:
    # a minus may stand in front of the fallback, though it binds less tightly
    least = _SIGNED if isinstance(node.fallback, ast.Negate) else _ELSE
    return f"{show(node.item, _CONVERTED)} else {show(node.fallback, least)}"


def _call(node: ast.Call) -> str:
    if node.name in ("hour of", "weekday of"):
        return f"{node.name} {show(node.args[0], ATOM)}"
    return f"{node.name}({', '.join(show(arg, OR) for arg in node.args)})"


def _quantifier(node: ast.Quantifier) -> str:
    return f"{node.kind} of {node.of.path} where ({show(node.where, OR)})"


def literal(node: ast.Literal) -> str:
    return f'"{node.text}"' if node.kind == "text" else node.text


_EXPRESSIONS: Final[dict[type, Callable[[Any], str]]] = {
    ast.Literal: literal,
    ast.Name: lambda node: node.path,
    ast.Binary: _binary,
    ast.Logic: _logic,
    ast.Not: lambda node: f"not {show(node.item, _NOT)}",
    ast.Negate: lambda node: f"-{show(node.item, _SIGNED)}",
    ast.Between: _between,
    ast.Within: _within,
    ast.IsMissing: lambda node: f"{show(node.item, SUM)} is {'known' if node.known else 'missing'}",
    ast.Membership: _membership,
    ast.Resembles: _resembles,
    ast.Tuple: lambda node: f"({', '.join(show(item, OR) for item in node.items)})",
    ast.Else: _else,
    ast.Call: _call,
    ast.Quantifier: _quantifier,
    ast.Convert: lambda node: f"{show(node.item, _CONVERTED)} in {node.currency.text}",
    ast.HasFlag: lambda node: f"flag {node.name}",
}
_TIGHTNESS: Final[dict[type, int]] = {
    ast.Not: _NOT,
    ast.Between: _COMPARISON,
    ast.Within: _COMPARISON,
    ast.IsMissing: _COMPARISON,
    ast.Membership: _COMPARISON,
    ast.Resembles: _COMPARISON,
    ast.HasFlag: _COMPARISON,
    ast.Negate: _SIGNED,
    ast.Else: _ELSE,
    ast.Convert: _CONVERTED,
}


def broken(start: str, node: ast.Expr, end: str, indent: str, least: int = OR) -> list[Line]:
    """`start`, the expression, `end`; a condition that is too long is broken before each `and` or `or` of its top."""
    flat = start + show(node, least) + end
    if len(flat) <= WIDTH or not isinstance(node, ast.Logic):
        return [Line(flat, node.span.line)]
    opened, closed = ("(", ")") if _tightness(node) < least else ("", "")
    inner = _AND if node.op == "or" else _NOT
    lines: list[Line] = []
    for index, item in enumerate(node.items):
        before = start + opened if index == 0 else f"{indent}{node.op} "
        behind = closed + end if index == len(node.items) - 1 else ""
        lines += broken(before, item, behind, indent + "  ", inner)
    return lines


def title(title: str | None) -> str:
    return "" if title is None else f' "{title}"'
