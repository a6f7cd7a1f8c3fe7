"""What can be said before any event is seen: that a condition never holds, always holds, or may stay undecided; that a value has no sign.

Cautious: it says so only where it is certain. It works on typed expressions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.lang import ir
from engine.values import Missing, Money, known

_MOST_PARTS = 400
_NEGATED = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_TURNED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def verdict(expr: ir.Expr, defines: Mapping[str, ir.Expr], known: Mapping[str, bool | None]) -> bool | None:
    """False where a condition can never be true, true where it always is, else none. `known` holds the verdicts on `defines`."""
    match expr:
        case ir.Const():
            return expr.value is True
        case ir.Compare(left=ir.Const(value=Missing())) | ir.Compare(right=ir.Const(value=Missing())):
            return False
        case ir.Read():
            return known.get(expr.name)
        case ir.Not():
            # `not x` is never true when x always is; that x is never true leaves room for x being missing
            return False if verdict(expr.item, defines, known) is True else True if _is_false(expr.item) else None
        case ir.And():
            found = [verdict(item, defines, known) for item in expr.items]
            if False in found or _contradictory(expr, defines):
                return False
            return True if all(item is True for item in found) else None
        case ir.Or():
            found = [verdict(item, defines, known) for item in expr.items]
            return True if True in found else False if all(item is False for item in found) else None
        case _:
            return None


def _is_false(expr: ir.Expr) -> bool:
    return isinstance(expr, ir.Const) and expr.value is False


@dataclass(slots=True)
class _Range:
    """What the parts of a conjunction say about one expression: bounds as (value, included), and values it must or must not have."""

    low: tuple[Any, bool] | None = None
    high: tuple[Any, bool] | None = None
    among: set[Any] | None = None
    never: set[Any] = field(default_factory=set)

    def add(self, op: str, value: Any) -> None:
        if op in (">", ">="):
            bound = (value, op == ">=")
            if self.low is None or (value, not bound[1]) > (self.low[0], not self.low[1]):
                self.low = bound
        elif op in ("<", "<="):
            bound = (value, op == "<=")
            if self.high is None or (value, bound[1]) < self.high:
                self.high = bound
        elif op == "=":
            self.among = {value} if self.among is None else self.among & {value}
        else:
            self.never.add(value)

    def empty(self) -> bool:
        if self.low and self.high:
            (low, low_in), (high, high_in) = self.low, self.high
            if low > high or (low == high and not (low_in and high_in)):
                return True
        if self.among is None:
            return False
        return not any(value not in self.never and self._inside(value) for value in self.among)

    def _inside(self, value: Any) -> bool:
        if self.low and not (value > self.low[0] or (value == self.low[0] and self.low[1])):
            return False
        return not (self.high and not (value < self.high[0] or (value == self.high[0] and self.high[1])))


def _contradictory(condition: ir.And, defines: Mapping[str, ir.Expr]) -> bool:
    ranges: dict[tuple[Any, ...], _Range] = {}
    for part in _parts(condition, defines):
        found = _simple(part)
        if found is not None:
            subject, op, value = found
            about = ranges.setdefault(subject, _Range())
            if op == "in":
                about.among = set(value) if about.among is None else about.among & set(value)
            else:
                about.add(op, value)
    return any(about.empty() for about in ranges.values())


def _parts(condition: ir.Expr, defines: Mapping[str, ir.Expr]) -> Iterator[ir.Expr]:
    """What must all be true, with nested `and` and defines taken apart."""
    waiting, seen = [condition], 0
    while waiting and seen < _MOST_PARTS:
        part = waiting.pop()
        seen += 1
        if isinstance(part, ir.And):
            waiting.extend(part.items)
        elif isinstance(part, ir.Read) and part.name in defines:
            waiting.append(defines[part.name])
        elif isinstance(part, ir.Not) and isinstance(part.item, ir.Or):
            waiting.extend(ir.Not(item) for item in part.item.items)
        else:
            yield part


def _simple(part: ir.Expr) -> tuple[tuple[Any, ...], str, Any] | None:
    """A comparison of a column with a constant, as (what, operator, constant); none for anything else."""
    negated = False
    while isinstance(part, ir.Not):
        part, negated = part.item, not negated
    if isinstance(part, ir.In) and isinstance(part.item, ir.Read) and not negated and len(part.values) < 1000:
        return (part.item.name, part.item.type.kind, part.item.type.scale), "in", part.values
    if isinstance(part, ir.Read) and part.type.kind == "flag":
        return (part.name,), "=", not negated
    if not isinstance(part, ir.Compare):
        return None
    left, op, right = part.left, part.op, part.right
    if isinstance(left, ir.Const):
        left, op, right = right, _TURNED[op], left
    if isinstance(left, ir.Call) and left.function.startswith("rescale:"):
        return None
    if not isinstance(left, ir.Read) or not isinstance(right, ir.Const) or right.value.__class__ in (Money, Missing):
        return None
    kind = "number" if left.type.kind in ("integer", "number") else left.type.kind
    return (left.name, kind, left.type.scale), _NEGATED[op] if negated else op, right.value


# --- what may be missing -------------------------------------------------------------------------------------------


def lacking(expr: ir.Expr, name: str) -> bool:
    """Whether a condition may stay undecided while the column `name` is missing and everything else is there."""
    return None in _truths(expr, name)


def may_hold_without(expr: ir.Expr, name: str) -> bool:
    """Whether a condition may be true while the column `name` is missing."""
    return True in _truths(expr, name)


def _truths(expr: ir.Expr, name: str) -> frozenset[bool | None]:
    """What the condition may come to: true, false, or none for missing."""
    match expr:
        case ir.Const():
            return frozenset({expr.value if known(expr.value) else None})
        case ir.IsMissing():
            return frozenset({_tainted(expr.item, name)})
        case ir.Not():
            return frozenset(None if truth is None else not truth for truth in _truths(expr.item, name))
        case ir.And():
            return _all([_truths(item, name) for item in expr.items])
        case ir.Or():
            return frozenset(_flip(truth) for truth in _all([frozenset(map(_flip, _truths(item, name))) for item in expr.items]))
        case ir.Dated():
            return frozenset[bool | None]().union(*(_truths(item, name) for item in expr.items))
        case ir.Quantifier():
            return frozenset({None}) if _tainted(expr.of, name) or None in _truths(expr.where, name) else frozenset({True, False})
        case _:
            return frozenset({None}) if _tainted(expr, name) else frozenset({True, False})


def _flip(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _all(items: list[frozenset[bool | None]]) -> frozenset[bool | None]:
    """Strong Kleene `and` over every combination."""
    result: frozenset[bool | None] = frozenset({True})
    for item in items:
        result = frozenset(False if False in (a, b) else None if None in (a, b) else True for a in result for b in item)
    return result


def _tainted(expr: ir.Expr, name: str) -> bool:
    """Whether the value is missing while the column `name` is."""
    match expr:
        case ir.Read():
            return expr.name == name
        case ir.Dated():
            return _tainted(expr.day, name) or all(_tainted(item, name) for item in expr.items)
        case ir.Else():
            return _tainted(expr.item, name) and _tainted(expr.fallback, name)
        case ir.IsMissing() | ir.And() | ir.Or() | ir.Not():
            return _truths(expr, name) == frozenset({None})
        case _:
            return any(_tainted(child, name) for child in ir.children(expr))


def asks_about(expr: ir.Expr, name: str, expand: Callable[[str], ir.Expr | None]) -> bool:
    """Whether an expression asks by `is missing`, `is known` or `else` about the column `name`, also through defines."""
    waiting, seen = [expr], set[str]()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ir.IsMissing | ir.Else) and name in closure(ir.reads(node.item), expand):
            return True
        if isinstance(node, ir.Read) and node.name not in seen:
            seen.add(node.name)
            inner = expand(node.name)
            if inner is not None:
                waiting.append(inner)
        waiting.extend(ir.children(node))
    return False


def closure(names: set[str], expand: Callable[[str], ir.Expr | None]) -> set[str]:
    """The names and everything they read through defines."""
    waiting, found = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        inner = expand(name)
        if inner is not None:
            waiting.extend(ir.reads(inner))
    return found


def never_negative(expr: ir.Expr, fields: Container[str]) -> bool:
    """Whether a value computed from `fields`, which are declared `not negative`, can have no sign."""
    match expr:
        case ir.Const():
            return (
                expr.type.kind in ("integer", "number", "money", "percent", "duration")
                and not isinstance(expr.value, Money | Missing)
                and bool(expr.value >= 0)
            )
        case ir.Read():
            return expr.name in fields
        case ir.Else():
            return never_negative(expr.item, fields) and never_negative(expr.fallback, fields)
        case ir.Convert():
            return never_negative(expr.item, fields)
        case ir.Dated():
            return all(never_negative(item, fields) for item in expr.items)
        case ir.Call() if expr.function.startswith("abs:") or expr.function == "length":
            return True
        case ir.Call() if expr.function.startswith("max:"):
            return any(never_negative(arg, fields) for arg in expr.args)
        case ir.Call() if _keeps_sign(expr.function):
            return all(never_negative(arg, fields) for arg in expr.args)
        case _:
            return False


def counts_up(inner: ir.Aggregate, fields: Container[str]) -> bool:
    """Whether the value of an aggregate is never below zero, given the fields declared `not negative`."""
    if inner.function in ("count", "distinct", "most repeated", "stddev") or inner.bounded:
        return True
    return inner.function != "share" and inner.of is not None and never_negative(inner.of, fields)


def _keeps_sign(function: str) -> bool:
    return function.startswith(("min:", "rescale:")) or function.endswith("->number") or any(op in function for op in "+*/")
