"""Expressions of the syntax tree -> typed expressions: names resolved, operands made to fit, sugar taken apart.

A part with an error gives none, and what stands around it says nothing further. It knows nothing of declarations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine import values
from engine.lang import arithmetic, ast, conversions, dated, fit, functions, ir, literals, names
from engine.lang.builtins import BUILTINS
from engine.lang.dated import Fixed, is_fixed
from engine.lang.entries import Entries
from engine.lang.lists import Held, ListValue
from engine.values import FLAG, Type

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report
    from engine.lang.scope import Scope

DEEPEST = 120
"""How deeply expressions may be nested; far beyond what anyone can read, far below what the machine can walk."""

_TEXT_FUNCTIONS = ("starts with", "contains", "matches")


class Typer:
    """Types the expressions that stand in one scope; problems go to `report`. On a `day`, constants are what they are then."""

    def __init__(self, scope: Scope, report: Report, day: int | None = None) -> None:
        self.scope, self.report, self.day = scope, report, day
        self._depth = 0

    def condition(self, node: ast.Expr, what: str) -> ir.Expr | None:
        """The expression as a condition; `what` names its place for the message."""
        expr = self.typed(node)
        return None if expr is None or not self.is_flag(expr, node.span, what) else expr

    def is_flag(self, expr: ir.Expr, span: Span, what: str) -> bool:
        if expr.type.kind == "flag":
            return True
        hint = "compare it with something" if expr.type.kind != "list" else "say which items with `any of ... where (...)`"
        self.report.error("not-a-condition", f"{what} must be true or false, this is {arithmetic.describe(expr.type)}", span, hint)
        return False

    def constant(self, node: ast.Expr, what: str) -> ir.Const | None:
        """The expression as a value fixed in the text."""
        expr = self.typed(node)
        if expr is None:
            return None
        if self.day is not None and is_fixed(expr):
            expr = dated.on(expr, self.day)
            if not dated.in_force(expr):
                self.report.error(
                    "constant-missing", f"this has no value on {values.date_of(self.day).isoformat()}: not in force", node.span
                )
                return None
        if isinstance(expr, ir.Const):
            return expr
        varies = "has other values on other days" if is_fixed(expr) else "depends on the event"
        self.report.error("not-constant", f"{what} must be fixed in the text, this {varies}", node.span)
        return None

    def fixed(self, node: ast.Expr, what: str) -> Fixed | None:
        """The expression as a value fixed in the text, for all days or for each."""
        expr = self.typed(node)
        return expr if expr is None or is_fixed(expr) else self.constant(node, what)

    def fit_fixed(self, value: Fixed, wanted: Type, what: str) -> Fixed | None:
        """As `fitted`, whatever days it holds for."""
        return dated.each(lambda constant: self.fitted(constant, wanted, what), value)

    def fitted(self, constant: ir.Const, wanted: Type, what: str) -> ir.Const | None:
        """The constant as a value of a declared type, or none with the problem noted; `what` is what was declared so."""
        made = fit.to_type(constant, wanted)
        if made is not None:
            return made if self._is_among(wanted.choices, made, what) else None
        have = arithmetic.describe(constant.type)
        if constant.type.kind == wanted.kind == "money":
            self.report.error("currency-mismatch", f"{what} is {arithmetic.describe(wanted)}, this is {have}", constant.span)
        else:
            self.report.error(
                "type-mismatch", f"{what} is {arithmetic.describe(wanted)}, this is {have}", constant.span, _declared(constant, wanted)
            )
        return None

    def typed(self, node: ast.Expr) -> ir.Expr | None:
        """The typed expression, or none with every problem in it noted."""
        if self._depth >= DEEPEST:
            self.report.error("too-deep", "this is nested too deeply to be read", node.span, "give parts of it names with `define`")
            return None
        self._depth += 1
        try:
            expr = self._dispatch(node)
        finally:
            self._depth -= 1
        never = expr is not None and _never(expr)
        if never:
            self.report.error("constant-missing", f"this never has a value: {never}", node.span)
            return None
        return expr

    def _dispatch(self, node: ast.Expr) -> ir.Expr | None:
        match node:
            case ast.Literal():
                return literals.constant(node, self.report, self.scope.zone)
            case ast.Name():
                return self._name(node)
            case ast.Binary():
                return self._binary(node)
            case ast.Logic():
                return self._logic(node)
            case ast.Not():
                return self._not(node.item, "what stands after `not`", node.span)
            case ast.Negate():
                return self._negate(node)
            case ast.Between():
                return self._between(node)
            case ast.Within():
                return self._within(node)
            case _:
                return self._dispatch_rest(node)

    def _dispatch_rest(self, node: ast.Expr) -> ir.Expr | None:
        match node:
            case ast.IsMissing():
                return self._is_missing(node)
            case ast.Membership():
                return self._membership(node)
            case ast.Resembles():
                return names.resembles(self, node)
            case ast.Else():
                return self._else(node)
            case ast.Call():
                return functions.call(self, node)
            case ast.Quantifier():
                return self._quantifier(node)
            case ast.Convert():
                return conversions.convert(self, node)
            case ast.HasFlag():
                return self.read(f"flags.{node.name}", node.span, "unknown-flag", f"no rule raises the flag `{node.name}`")
            case _:
                self.report.error("type-mismatch", "a row of values stands only after `in`", node.span)
                return None

    # --- names ---------------------------------------------------------------------------------------------------------

    def _name(self, node: ast.Name) -> ir.Expr | None:
        found = self.scope.lookup(node.path, node.span)
        if isinstance(found, ListValue):
            self.report.error("type-mismatch", f"the list `{node.path}` stands only after `in`", node.span)
            return None
        if found is None:
            self.scope.explain(node.path, node.span, self.report)
        return found

    def read(self, column: str, span: Span, code: str, message: str) -> ir.Expr | None:
        """A column that is not written as a plain name: a flag, or a rule's state."""
        found = self.scope.lookup(column, span)
        if isinstance(found, ir.Expr):
            return found
        if column in self.scope.refused:
            self.scope.explain(column, span, self.report)
        elif not self.scope.is_silent(column):
            start, quote, written = column.partition('"') if '"' in column else column.partition(".")
            near = (name[len(start + quote) :].removesuffix('")') for name in self.scope.names() if name.startswith(start + quote))
            self.report.error(code, message, span, self.report.suggest(written.removesuffix('")'), near))
        return None

    # --- conditions ----------------------------------------------------------------------------------------------------

    def _logic(self, node: ast.Logic) -> ir.Expr | None:
        items = [self.condition(item, f"what stands beside `{node.op}`") for item in node.items]
        there = tuple(item for item in items if item is not None)
        if len(there) < len(items):
            return None
        if all(isinstance(item, ir.Const) for item in there):
            known = [item.value for item in there if isinstance(item, ir.Const)]
            return ir.Const(all(known) if node.op == "and" else any(known), type=FLAG, span=node.span)
        return (ir.And if node.op == "and" else ir.Or)(there, span=node.span)

    def _not(self, node: ast.Expr, what: str, span: Span) -> ir.Expr | None:
        item = self.condition(node, what)
        return None if item is None else negation(item, span)

    def _is_missing(self, node: ast.IsMissing) -> ir.Expr | None:
        item = self.typed(node.item)
        if item is None:
            return None
        asked: ir.Expr = ir.IsMissing(item, span=node.span)
        if isinstance(item, ir.Const):
            asked = ir.Const(False, type=FLAG, span=node.span)
        return negation(asked, node.span) if node.known else asked

    def _quantifier(self, node: ast.Quantifier) -> ir.Expr | None:
        of = self.typed(node.of)
        if of is None:
            return None
        if of.type.kind != "list" or of.type.item is None:
            self.report.error("type-mismatch", f"`{node.of.path}` is {arithmetic.describe(of.type)}, not a list", node.of.span)
            return None
        inner = Typer(self.scope.within(of.type.item), self.report)
        inner._depth = self._depth
        where = inner.condition(node.where, "the condition of a list's items")
        if where is None:
            return None
        type_ = Type("integer", interval=True) if node.kind == "number" else FLAG
        return ir.Quantifier(node.kind, of, where, type=type_, span=node.span)

    # --- comparison ----------------------------------------------------------------------------------------------------

    def _binary(self, node: ast.Binary) -> ir.Expr | None:
        if node.op in _TEXT_FUNCTIONS:
            return functions.text(self, node)
        left, right = self.typed(node.left), self.typed(node.right)
        if left is None or right is None:
            return None
        if node.op in "+-*/":
            return arithmetic.binary(node.op, left, right, node.span, self.report)
        return self.compare(node.op, left, right, node.span)

    def compare(self, op: str, left: ir.Expr, right: ir.Expr, span: Span) -> ir.Expr | None:
        """A comparison of two typed operands, or none with the problem noted."""
        fitted = self._comparable(op, left, right, span)
        if fitted is None:
            return None
        left, right = fitted
        if is_fixed(left) and is_fixed(right) and ir.Dated in (type(left), type(right)):
            made = fit.by_day(lambda a, b: ir.Const(values.compare(op, a.value, b.value), type=FLAG, span=span), left, right)
            return replace(made, name=fit.worded(op, (left, right)), type=FLAG) if isinstance(made, ir.Dated) else made
        if isinstance(left, ir.Const) and isinstance(right, ir.Const):
            return ir.Const(values.compare(op, left.value, right.value), type=FLAG, span=span)
        if left == right:
            self.report.warning("self-comparison", "both sides of this comparison are the same", span)
        return ir.Compare(op, left, right, span=span)

    def _comparable(self, op: str, left: ir.Expr, right: ir.Expr, span: Span) -> tuple[ir.Expr, ir.Expr] | None:
        fitted = fit.pair(left, right)
        if fitted is None:
            arithmetic.misfit(left.type, right.type, "compare", span, self.report)
            return None
        first = fitted[0].type
        if first.kind == "list" or (first.kind not in fit.ORDERED and op not in ("=", "!=")):
            hint = "look at its items with `any of ... where (...)`" if first.kind == "list" else "true and false have no order"
            self.report.error("type-mismatch", f"{arithmetic.describe(first)} cannot be compared with `{op}`", span, hint)
            return None
        if op in ("=", "!=") and not (self._is_choice(left, right) and self._is_choice(right, left)):
            return None
        return fitted

    def _is_choice(self, expr: ir.Expr, constant: ir.Expr) -> bool:
        """Whether a constant is one of the choices of what it is compared with; if not, that is noted."""
        if not is_fixed(constant) or is_fixed(expr):
            return True
        what = f"`{expr.name}`" if isinstance(expr, ir.Read) else "this"
        parts = constant.items if isinstance(constant, ir.Dated) else (constant,)
        return all(self._is_among(expr.type.choices, part, what) for part in parts if isinstance(part, ir.Const))

    def _is_among(self, choices: tuple[str, ...] | None, constant: ir.Const, what: str) -> bool:
        if choices is None or constant.value in choices:
            return True
        hint = self.report.suggest(str(constant.value), choices) or "the choices are " + ", ".join(f"`{choice}`" for choice in choices[:20])
        self.report.error("not-a-choice", f"{what} is never `{constant.value}`", constant.span, hint)
        return False

    def _between(self, node: ast.Between) -> ir.Expr | None:
        item, low, high = self.typed(node.item), self.typed(node.low), self.typed(node.high)
        if item is None or low is None or high is None:
            return None
        return self._range(item, low, high, node.span)

    def _range(self, item: ir.Expr, low: ir.Expr, high: ir.Expr, span: Span) -> ir.Expr | None:
        first, last = self.compare(">=", item, low, span), self.compare("<=", item, high, span)
        if first is None or last is None:
            return None
        if isinstance(first, ir.Const) and isinstance(last, ir.Const):
            return ir.Const(first.value and last.value, type=FLAG, span=span)
        return ir.And((first, last), span=span)

    def _within(self, node: ast.Within) -> ir.Expr | None:
        """`center - d` to `center + d`, where d is the tolerance, or that percentage of the center's size."""
        item, tolerance, center = self.typed(node.item), self.typed(node.tolerance), self.typed(node.center)
        if item is None or tolerance is None or center is None:
            return None
        distance: ir.Expr | None = tolerance
        if tolerance.type.kind == "percent" and center.type.kind != "percent":
            center = fit.to_number(center) if center.type.kind == "integer" else center
            size = functions.absolute(center, node.span, self.report)
            distance = None if size is None else arithmetic.binary("*", size, tolerance, node.span, self.report)
        if distance is None:
            return None
        low = arithmetic.binary("-", center, distance, node.span, self.report)
        high = None if low is None else arithmetic.binary("+", center, distance, node.span, self.report)
        return None if low is None or high is None else self._range(item, low, high, node.span)

    # --- lists ---------------------------------------------------------------------------------------------------------

    def _membership(self, node: ast.Membership) -> ir.Expr | None:
        item = self.typed(node.item)
        found = self._in_tuple(item, node.choices, node) if isinstance(node.choices, ast.Tuple) else self._in_name(item, node.choices, node)
        return negation(found, node.span) if found is not None and node.negated else found

    def _in_name(self, item: ir.Expr | None, name: ast.Name, node: ast.Membership) -> ir.Expr | None:
        found = self.scope.lookup(name.path, name.span)
        if found is None:
            self.scope.explain(name.path, name.span, self.report)
            return None
        if item is None:
            return None
        if isinstance(found, ListValue):
            return self._in_list(item, found, node)
        if found.type.kind != "list" or found.type.item is None:
            self.report.error("type-mismatch", f"`{name.path}` is {arithmetic.describe(found.type)}, not a list", name.span)
            return None
        fitted = fit.pair(item, ir.Item(type=found.type.item))
        if fitted is None or fitted[0].type.kind != found.type.item.kind or fitted[0].type.scale != 1:
            self.report.error(
                "type-mismatch", f"`{name.path}` holds {found.type.item}, this is {arithmetic.describe(item.type)}", node.span
            )
            return None
        return fit.call("member", [fitted[0], found], FLAG)

    def _in_list(self, item: ir.Expr, found: ListValue, node: ast.Membership) -> ir.Expr | None:
        if item.type.kind != found.type.kind or item.type.currency != found.type.currency or item.type.scale != 1:
            message = f"the list `{found.name}` holds {arithmetic.describe(found.type)}, this is {arithmetic.describe(item.type)}"
            self.report.error("type-mismatch", message, node.span)
            return None

        def ask(held: Held) -> ir.Expr:
            if isinstance(held, Entries):
                return ir.Listed(item, ir.day_of_event(), held, found.name, span=node.span)
            if isinstance(item, ir.Const):
                return ir.Const(item.value in held, type=FLAG, span=node.span)
            return ir.In(item, held, found.name, span=node.span)

        return found.asked(ask, node.span)

    def _in_tuple(self, item: ir.Expr | None, choices: ast.Tuple, node: ast.Membership) -> ir.Expr | None:
        there = [self.typed(choice) for choice in choices.items]
        if item is None or any(choice is None for choice in there):
            return None
        tests = [self.compare("=", item, choice, choice.span) for choice in there if choice is not None]
        if any(test is None for test in tests):
            return None
        fixed = [test.right for test in tests if isinstance(test, ir.Compare) and test.left == item and isinstance(test.right, ir.Const)]
        if len(fixed) == len(tests) and len({fit.kind(choice.type) for choice in fixed} | {fit.kind(item.type)}) == 1:
            return ir.In(item, frozenset(choice.value for choice in fixed if isinstance(choice, ir.Const)), span=node.span)
        parts = tuple(test for test in tests if test is not None)
        if all(isinstance(part, ir.Const) for part in parts):
            return ir.Const(any(part.value for part in parts if isinstance(part, ir.Const)), type=FLAG, span=node.span)
        return parts[0] if len(parts) == 1 else ir.Or(parts, span=node.span)

    # --- arithmetic ----------------------------------------------------------------------------------------------------

    def _negate(self, node: ast.Negate) -> ir.Expr | None:
        if isinstance(node.item, ast.Literal) and node.item.kind in ("number", "money", "percent", "duration"):
            return literals.constant(replace(node.item, span=node.span), self.report, self.scope.zone, negative=True)
        item = self.typed(node.item)
        if item is None:
            return None
        function = f"negate:{fit.kind(item.type)}"
        if function not in BUILTINS:
            self.report.error("type-mismatch", f"{arithmetic.describe(item.type)} has no opposite", node.span)
            return None
        return fit.call(function, [item], item.type)

    def _else(self, node: ast.Else) -> ir.Expr | None:
        item, fallback = self.typed(node.item), self.typed(node.fallback)
        if item is None or fallback is None:
            return None
        fitted = fit.alike(item, fallback)
        if fitted is None:
            arithmetic.misfit(item.type, fallback.type, "put in place of each other", node.span, self.report)
            return None
        if isinstance(item, ir.Const):
            return item
        first, second = fitted
        if is_fixed(first) and is_fixed(second):
            return fit.joined(dated.by_day(lambda a, b: a if dated.in_force(a) else b, first, second, strict=False) or (), first)
        type_ = replace(first.type, interval=second.type.interval, choices=either(first.type, second))
        return ir.Else(first, second, type=type_, span=node.span)


def _never(expr: ir.Expr) -> str | None:
    """Why a value fixed in the text is missing, on some day on which it should be there."""
    if isinstance(expr, ir.Dated) and not expr.items:
        return "what it is computed from is never in force on the same day"
    parts = expr.items if isinstance(expr, ir.Dated) else (expr,)
    return next((part.value.cause for part in parts if isinstance(part, ir.Const) and part.value.__class__ is values.Missing), None)


def negation(expr: ir.Expr, span: Span) -> ir.Expr:
    """Not the condition; a constant at once, and no double negation."""
    if isinstance(expr, ir.Const):
        return replace(expr, value=values.not3(expr.value), name=None)
    return ir.Not(expr, span=span)


def either(type_: Type, fallback: ir.Expr) -> tuple[str, ...] | None:
    """The choices of a value that may come from either of two."""
    if type_.choices is None:
        return None
    if isinstance(fallback, ir.Const):
        return tuple(dict.fromkeys((*type_.choices, fallback.value)))
    return None if fallback.type.choices is None else tuple(dict.fromkeys((*type_.choices, *fallback.type.choices)))


def join(types: list[Type]) -> Type | None:
    """The type that holds values of all these types; none if there is no such type."""
    first, *rest = types
    for other in rest:
        fitted = fit.alike(ir.Item(type=first), ir.Item(type=other))
        if fitted is None:
            return None
        choices = None if first.choices is None or other.choices is None else tuple(dict.fromkeys((*first.choices, *other.choices)))
        interval = first.interval or other.interval
        first = replace(fitted[0].type, choices=choices, interval=interval, scale=1)
    return replace(first, scale=1)


def as_choice(value: ir.Expr) -> Type:
    """The type of a value that is written under a name; a text fixed in the rules is one of the choices readers may compare with."""
    if isinstance(value, ir.Const) and value.type.kind == "text":
        return replace(value.type, choices=(value.value,))
    return value.type


def converted(value: ir.Expr, wanted: Type) -> ir.Expr:
    """A value as one of the type that several were joined to."""
    if wanted.kind == "number" and value.type.kind in ("integer", "percent"):
        return fit.to_number(value)
    return fit.to_bymoney(value, wanted.by) if wanted.by is not None else value


def _declared(constant: ir.Const, wanted: Type) -> str | None:
    """How a value of the declared type is written."""
    if wanted.kind == "percent" and constant.type.kind in ("integer", "number"):
        share = constant.value * 100 if constant.type.kind == "number" else constant.value
        return f"a percentage has its sign, like `{share:g}%`"
    return arithmetic.misfit_hint({wanted.kind, constant.type.kind})
