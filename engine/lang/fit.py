"""Making operands fit: conversions, exact money scales, and calls of builtins with constants computed at once.

It works on typed expressions alone; what to say about operands that do not fit is the caller's concern.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from engine import values
from engine.lang import dated, ir
from engine.lang.builtins import BUILTINS
from engine.lang.dated import is_fixed
from engine.lang.entries import Days
from engine.values import INTEGER, NUMBER, PERCENT_UNIT, TEXT, Missing, Money, Type, Value

NUMERIC = ("integer", "number", "percent")
ORDERED = ("text", "integer", "number", "money", "percent", "date", "datetime", "duration", "months")


def kind(type_: Type) -> str:
    """The kind as builtins name it: money whose currency comes with the data is `bymoney`."""
    return "bymoney" if type_.kind == "money" and type_.by is not None else type_.kind


def call(function: str, args: Sequence[ir.Expr], type_: Type) -> ir.Expr:
    """A call of a builtin of this result type, computed at once where all arguments are constants.

    >>> call("integer+integer", [ir.Const(1, type=INTEGER), ir.Const(2, type=INTEGER)], INTEGER)
    Const(type=Type(kind='integer', currency=None, by=None, scale=1, item=None, choices=None, interval=False), value=3, name=None)
    """
    builtin = BUILTINS[function]
    if all(map(is_fixed, args)) and any(isinstance(arg, ir.Dated) for arg in args):
        made = joined(dated.by_day(lambda *each: call(function, each, type_), *args) or (), args[0])
        return replace(made, name=worded(builtin.surface, args), type=made.type if made.items else type_)
    if all(isinstance(arg, ir.Const) for arg in args):
        known = [arg.value for arg in args if isinstance(arg, ir.Const)]
        lacks = [value for value in known if not values.known(value)]
        return _reduced(values.first(lacks) if lacks else builtin.one(*known), type_, args[0])
    keeps = builtin.interval is not None and any(arg.type.interval for arg in args)
    return ir.Call(function, tuple(args), type=replace(type_, interval=keeps), span=args[0].span)


def worded(surface: str | None, args: Sequence[ir.Expr]) -> str | None:
    """How an author would name what is computed from params: by its formula; none where that has no words."""
    words = [_word(arg) for arg in args]
    if surface is None or not all(words):
        return words[0] or None
    if surface.isalpha() or len(words) != 2:
        return f"{surface}({', '.join(words)})"
    left, right = (f"({word})" if " " in word and surface in "*/" else word for word in words)
    return f"{left} {surface} {right}"


def _word(arg: ir.Expr) -> str:
    if isinstance(arg, ir.Const | ir.Dated) and arg.name:
        return arg.name
    return values.show(arg.value, arg.type) if isinstance(arg, ir.Const) else ""


def by_day(make: Callable[..., ir.Expr | None], *operands: ir.Expr) -> ir.Expr | None:
    """What `make` gives of the operands on each day on which all of them are in force; none where it gives none."""
    found = dated.by_day(make, *operands)
    return None if found is None else joined(found, operands[0])


def joined(found: Sequence[tuple[Days, ir.Expr]], like: ir.Expr) -> ir.Dated:
    """What holds in each stretch of days as one value, money on one scale; `like` has its place."""
    scale = math.lcm(*(item.type.scale for _, item in found))
    return dated.joined([(days, item if item.type.scale == scale else rescaled(item, scale)) for days, item in found], like)


def _reduced(value: Value, type_: Type, like: ir.Expr) -> ir.Const:
    """A constant with its scale made as small as it can be."""
    if type_.scale != 1 and value.__class__ is not Missing:
        units = value.units if value.__class__ is Money else value
        common = math.gcd(units, type_.scale)
        units //= common
        value = Money(units, value.currency) if value.__class__ is Money else units
        type_ = replace(type_, scale=type_.scale // common)
    return ir.Const(value, type=type_.exact(), span=like.span)


def to_number(expr: ir.Expr) -> ir.Expr:
    """An integer or percentage as a number."""
    return expr if expr.type.kind == "number" else call(f"{expr.type.kind}->number", [expr], NUMBER)


def rescaled(expr: ir.Expr, scale: int) -> ir.Expr:
    """Money counted on a finer scale, which its own divides."""
    factor = scale // expr.type.scale
    if factor == 1:
        return expr
    type_ = replace(expr.type, scale=scale)
    if isinstance(expr, ir.Dated):
        return replace(expr, items=tuple(rescaled(item, scale) for item in expr.items), type=type_)
    if isinstance(expr, ir.Const):
        return _rescaled_constant(expr, factor, type_)
    return call(f"rescale:{kind(expr.type)}", [expr, ir.Const(factor, type=INTEGER, span=expr.span)], type_)


def _rescaled_constant(expr: ir.Const, factor: int, type_: Type) -> ir.Const:
    if expr.value.__class__ is Money:
        return replace(expr, value=Money(expr.value.units * factor, expr.value.currency), type=type_)
    return expr if expr.value.__class__ is Missing else replace(expr, value=expr.value * factor, type=type_)


def to_bymoney(expr: ir.Expr, by: str) -> ir.Expr:
    """Money of a fixed currency with that currency beside it."""
    if expr.type.by is not None:
        return expr
    type_ = Type("money", by=by, scale=expr.type.scale, interval=expr.type.interval)
    if isinstance(expr, ir.Dated):
        return replace(expr, items=tuple(to_bymoney(item, by) for item in expr.items), type=type_)
    if isinstance(expr, ir.Const) and expr.value.__class__ is not Missing:
        return replace(expr, value=Money(expr.value, expr.type.currency or ""), type=type_)
    return call("money->bymoney", [expr, ir.Const(expr.type.currency, type=TEXT, span=expr.span)], type_)


def pair(a: ir.Expr, b: ir.Expr) -> tuple[ir.Expr, ir.Expr] | None:
    """Both operands in one physical type, so that they compare or add up; none where they cannot. Integer and number stay apart."""
    first, second = a.type.kind, b.type.kind
    if first == second == "money":
        return _money_pair(a, b)
    if first == second:
        return a, b
    if first in NUMERIC and second in NUMERIC:
        if "percent" in (first, second):
            return (to_number(a) if first == "percent" else a), (to_number(b) if second == "percent" else b)
        return a, b
    return None


def _money_pair(a: ir.Expr, b: ir.Expr) -> tuple[ir.Expr, ir.Expr] | None:
    by = a.type.by or b.type.by
    if by is not None:
        a, b = to_bymoney(a, by), to_bymoney(b, by)
    elif a.type.currency != b.type.currency:
        return None
    scale = math.lcm(a.type.scale, b.type.scale)
    return rescaled(a, scale), rescaled(b, scale)


def alike(a: ir.Expr, b: ir.Expr) -> tuple[ir.Expr, ir.Expr] | None:
    """As `pair`, and integer with number made numbers."""
    fitted = pair(a, b)
    if fitted is None or fitted[0].type.kind == fitted[1].type.kind:
        return fitted
    return to_number(fitted[0]), to_number(fitted[1])


def ratio(expr: ir.Expr) -> Fraction | None:
    """A constant integer, percentage or decimal number as an exact fraction; none for anything else."""
    if not isinstance(expr, ir.Const) or not values.known(expr.value):
        return None
    if expr.type.kind == "percent":
        return Fraction(expr.value, PERCENT_UNIT)
    if expr.type.kind == "integer":
        return Fraction(expr.value)
    return Fraction(Decimal(repr(expr.value))) if expr.type.kind == "number" else None


def times(money: ir.Expr, factor: Fraction) -> ir.Expr:
    """Money times an exact fraction: counted on a scale so fine that nothing is lost."""
    type_ = replace(money.type, scale=money.type.scale * factor.denominator)
    return call(f"{kind(money.type)}*integer", [money, ir.Const(factor.numerator, type=INTEGER, span=money.span)], type_)


def settled(expr: ir.Const) -> ir.Const:
    """Constant money in whole minor units."""
    if expr.type.scale == 1:
        return expr
    return replace(expr, value=values.settle(expr.value, expr.type.scale), type=replace(expr.type, scale=1))


def to_type(expr: ir.Const, wanted: Type) -> ir.Const | None:
    """A constant as a value of a declared type, in the form columns hold; none where it cannot be one. Choices are not looked at."""
    have = expr.type.kind
    made: ir.Expr = expr
    if wanted.kind == "number" and have in ("integer", "percent"):
        made = to_number(expr)
    elif wanted.kind == "money" and have == "money":
        if wanted.currency is not None and expr.type.currency != wanted.currency:
            return None
        made = settled(to_bymoney(expr, wanted.by)) if wanted.by is not None else settled(expr)  # type: ignore[arg-type]  # a constant stays one
    elif have != wanted.kind or (have == "list" and expr.type.item != wanted.item):
        return None
    if not isinstance(made, ir.Const):
        return None
    return replace(made, type=wanted.exact()) if wanted.kind != "money" or wanted.currency or wanted.by else made
