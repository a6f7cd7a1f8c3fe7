"""The matrix of + - * /: which operands go together, what they give, and what to say when they do not.

It works on typed operands; it knows neither names nor the syntax tree.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from engine.lang import fit, ir
from engine.lang.dated import is_fixed
from engine.values import DATE, DATETIME, DAY, DURATION, INT64_MAX, NUMBER, PERCENT_UNIT, Type, known

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report

_CALENDAR = {
    ("date", "-", "date"): ("date-date", DURATION),
    ("date", "+", "duration"): ("date+days", DATE),
    ("date", "-", "duration"): ("date-days", DATE),
    ("date", "+", "months"): ("date+months", DATE),
    ("date", "-", "months"): ("date-months", DATE),
    ("datetime", "+", "duration"): ("datetime+duration", DATETIME),
    ("datetime", "-", "duration"): ("datetime-duration", DATETIME),
    ("datetime", "-", "datetime"): ("datetime-datetime", DURATION),
}
_SUMS = ("integer", "number", "percent", "money", "duration")
_WORDS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}


def describe(type_: Type) -> str:
    """The type in the author's words: ``a text``, ``an integer``, ``money USD``."""
    if type_.kind == "money":
        return f"money {type_.currency}" if type_.currency else f"money by `{type_.by}`" if type_.by else "money"
    if type_.kind == "months":
        return "a number of months"
    if type_.kind == "list":
        return f"a {type_}"
    return f"an {type_.kind}" if type_.kind == "integer" else f"a {type_.kind}"


def misfit(a: Type, b: Type, verb: str, span: Span, report: Report) -> None:
    """Say why two operands do not go together, and what would."""
    kinds = {a.kind, b.kind}
    if kinds == {"money"}:
        report.error(
            "currency-mismatch", f"{describe(a)} and {describe(b)} are two currencies", span, "convert one of them, as in `amount in EUR`"
        )
    elif kinds == {"duration", "months"}:
        report.error(
            "ambiguous-duration",
            "a month has no fixed length, so this has no certain answer",
            span,
            "use days on both sides, or months on both",
        )
    else:
        report.error("type-mismatch", f"{describe(a)} and {describe(b)} cannot be {_participle(verb)}", span, misfit_hint(kinds))


def _participle(verb: str) -> str:
    return {"compare": "compared", "add": "added", "subtract": "subtracted", "multiply": "multiplied", "divide": "divided"}.get(verb, verb)


def misfit_hint(kinds: set[str]) -> str | None:
    if "money" in kinds and kinds & {"integer", "number"}:
        return "an amount of money needs its currency, like `100 USD`"
    if kinds == {"money", "percent"}:
        return "a percentage is of something, like `10% * 500 USD`"
    if kinds == {"date", "datetime"}:
        return "write a time, like `2026-01-31 09:00`, or take the day of one with `date_of(...)`"
    if "text" in kinds and kinds & {"date", "datetime"}:
        return "a date stands without quotes, like `2026-01-31` or `2026-01-31 09:00`"
    if "text" in kinds and kinds & {"integer", "number", "money", "percent", "duration"}:
        return "a text stands in double quotes, a number without"
    if "duration" in kinds and kinds & {"integer", "number"}:
        return "a duration needs its unit, like `7 days`"
    return None


def binary(op: str, a: ir.Expr, b: ir.Expr, span: Span, report: Report) -> ir.Expr | None:
    """``a op b``, or none with the problem noted."""
    made = _product(a, b, span, report) if op == "*" else _quotient(a, b, span, report) if op == "/" else _sum(op, a, b, span, report)
    if made is None or not _too_fine(made):
        return made
    report.error("number-too-large", "this calculation with money needs more decimals than can be kept", span, "use fewer decimals")
    return None


def _too_fine(expr: ir.Expr) -> bool:
    """Whether exact money would be counted on a scale, or with a factor, that no longer fits in 64 bits."""
    if isinstance(expr, ir.Dated):
        return any(map(_too_fine, expr.items))
    if expr.type.scale > INT64_MAX:
        return True
    factors = expr.args[1:] if isinstance(expr, ir.Call) and expr.type.kind == "money" else ()
    return any(
        isinstance(arg, ir.Const) and arg.type.kind == "integer" and known(arg.value) and abs(arg.value) > INT64_MAX for arg in factors
    )


def _sum(op: str, a: ir.Expr, b: ir.Expr, span: Span, report: Report) -> ir.Expr | None:
    if op == "+" and b.type.kind in ("date", "datetime") and a.type.kind in ("duration", "months"):
        a, b = b, a
    entry = _CALENDAR.get((a.type.kind, op, b.type.kind))
    if entry is not None:
        return _calendar(entry, a, b, span, report)
    fitted = fit.alike(a, b)
    if fitted is None or fitted[0].type.kind not in _SUMS:
        misfit(a.type, b.type, _WORDS[op], span, report)
        return None
    a, b = fitted
    kind = fit.kind(a.type)
    return fit.call(f"{kind}{op}{kind}", [a, b], a.type)


def _calendar(entry: tuple[str, Type], a: ir.Expr, b: ir.Expr, span: Span, report: Report) -> ir.Expr | None:
    function, gives = entry
    parts = b.items if isinstance(b, ir.Dated) else (b,)
    if gives is DATE and b.type.kind == "duration" and any(isinstance(part, ir.Const) and part.value % DAY for part in parts):
        report.error("type-mismatch", "a date moves by whole days only", span, "use a datetime, or whole days")
        return None
    return fit.call(function, [a, b], gives)


def _product(a: ir.Expr, b: ir.Expr, span: Span, report: Report) -> ir.Expr | None:
    if b.type.kind in ("money", "duration") or (b.type.kind == "percent" and a.type.kind == "integer"):
        if a.type.kind == "money":
            return _money_product(a, b, span, report)
        a, b = b, a
    if a.type.kind == "money":
        return _money_product(a, b, span, report)
    if a.type.kind in ("duration", "percent") and b.type.kind == "integer":
        return fit.call(f"{a.type.kind}*integer", [a, b], a.type)
    if a.type.kind not in fit.NUMERIC or b.type.kind not in fit.NUMERIC:
        misfit_product("multiply", a.type, b.type, span, report)
        return None
    if a.type.kind == b.type.kind == "integer":
        return fit.call("integer*integer", [a, b], a.type)
    return fit.call("number*number", [fit.to_number(a), fit.to_number(b)], NUMBER)


def misfit_product(verb: str, a: Type, b: Type, span: Span, report: Report) -> None:
    """As `misfit`, where neither two currencies nor months are the trouble."""
    report.error("type-mismatch", f"{describe(a)} and {describe(b)} cannot be {_participle(verb)}", span)


def _money_product(money: ir.Expr, b: ir.Expr, span: Span, report: Report) -> ir.Expr | None:
    factor = fit.ratio(b)
    if factor is not None:
        return fit.times(money, factor)
    if b.type.kind == "number" and isinstance(b, ir.Dated) and is_fixed(b):
        return fit.by_day(lambda one, factor: _money_product(one, factor, span, report), money, b)
    kind = fit.kind(money.type)
    if b.type.kind == "integer":
        return fit.call(f"{kind}*integer", [money, b], money.type)
    if b.type.kind == "percent":
        type_ = Type("money", currency=money.type.currency, by=money.type.by, scale=money.type.scale * PERCENT_UNIT)
        return fit.call(f"{kind}*percent", [money, b], type_)
    if b.type.kind == "money":
        report.error("money-product", "money times money means nothing", span)
    elif b.type.kind == "number":
        report.error(
            "money-product", "money times a number that varies would not be exact", span, "make it a percent or an integer, or a param"
        )
    else:
        misfit_product("multiply", money.type, b.type, span, report)
    return None


def _quotient(a: ir.Expr, b: ir.Expr, span: Span, report: Report) -> ir.Expr | None:
    if a.type.kind == "money" and b.type.kind != "money":
        return _money_quotient(a, b, span, report)
    fitted = fit.alike(a, b)
    if fitted is None or fitted[0].type.kind not in _SUMS:
        if {a.type.kind, b.type.kind} in ({"money"}, {"duration", "months"}):
            misfit(a.type, b.type, "divide", span, report)
        else:
            misfit_product("divide", a.type, b.type, span, report)
        return None
    a, b = fitted
    kind = fit.kind(a.type)
    return fit.call(f"{kind}/{kind}", [a, b], NUMBER)


def _money_quotient(a: ir.Expr, b: ir.Expr, span: Span, report: Report) -> ir.Expr | None:
    if b.type.kind in fit.NUMERIC and isinstance(b, ir.Dated) and is_fixed(b):
        return fit.by_day(lambda one, divisor: _money_quotient(one, divisor, span, report), a, b)
    divisor = fit.ratio(b)
    if divisor == 0:
        report.error("constant-missing", "this never has a value: division by zero", span)
        return None
    if divisor is not None:
        return fit.times(a, Fraction(1) / divisor)
    if b.type.kind in fit.NUMERIC:
        hint = "divide money by a fixed number, or by money"
        report.error("money-product", "money divided by a number that varies would not be exact", span, hint)
    else:
        misfit_product("divide", a.type, b.type, span, report)
    return None
