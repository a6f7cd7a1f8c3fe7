"""What is written in the text -> typed constants: numbers, money, percentages, durations, dates. Each way to get it wrong is named.

It knows single literals only, not the expressions they stand in.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from engine import zones
from engine.currencies import DIGITS
from engine.lang import ast, ir
from engine.values import (
    DATE,
    DATETIME,
    DAY,
    DURATION,
    EPOCH,
    EPOCH_DAY,
    FLAG,
    HOUR,
    INT64_MAX,
    INT64_MIN,
    INTEGER,
    MINUTE,
    MONTHS,
    NUMBER,
    PERCENT,
    PERCENT_MAX,
    SECOND,
    TEXT,
    WEEK,
    Type,
)  # fmt: skip

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report

UNITS = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY, "week": WEEK}
"""Microseconds of the units whose length is exact."""

CALENDAR = {"month": 1, "year": 12}
"""Calendar months of the units whose length is not."""

_MICROSECOND = dt.timedelta(microseconds=1)


def constant(node: ast.Literal, report: Report, zone: str, negative: bool = False) -> ir.Const | None:
    """The literal as a typed constant, or none with the problem noted. `zone` is where times without offset are local."""
    text = node.text.replace("_", "")
    sign = "-" if negative else ""
    match node.kind:
        case "text":
            return ir.Const(node.text, type=TEXT, span=node.span)
        case "flag":
            return ir.Const(node.text == "true", type=FLAG, span=node.span)
        case "number":
            return _number(sign + text, node.span, report)
        case "money":
            return _money(sign + text, node.span, report)
        case "percent":
            return _percent(sign + text, node.span, report)
        case "duration":
            return _duration(sign + text, node.span, report)
        case "date":
            day = date(node.text, node.span, report)
            return None if day is None else ir.Const(day, type=DATE, span=node.span)
        case _:
            return _datetime(node.text, node.span, report, zone)


def _number(text: str, span: Span, report: Report) -> ir.Const | None:
    if re.fullmatch(r"-?\d+", text):
        if len(text) > 20 or not INT64_MIN <= int(text) <= INT64_MAX:
            report.error(
                "number-too-large",
                f"`{_short(text)}` does not fit in 64 bits",
                span,
                "write it with a decimal point if it need not be exact",
            )
            return None
        return ir.Const(int(text), type=INTEGER, span=span)
    value = float(text)
    if not math.isfinite(value):
        report.error("number-too-large", f"`{_short(text)}` is greater than any number", span)
        return None
    return ir.Const(value + 0.0, type=NUMBER, span=span)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _money(text: str, span: Span, report: Report) -> ir.Const | None:
    amount, _, currency = text.rpartition(" ")
    amount = amount.strip()
    if not known_currency(currency, span, report):
        return None
    digits = DIGITS[currency]
    if -int(Decimal(amount).as_tuple().exponent) > digits:
        decimals = "no decimals" if digits == 0 else f"at most {digits} decimals"
        report.error("too-many-decimals", f"an amount of `{currency}` has {decimals}, `{_short(amount)}` has more", span)
        return None
    units = _scaled(amount, digits)
    if not INT64_MIN <= units <= INT64_MAX:
        report.error("number-too-large", f"the amount `{_short(amount)} {currency}` does not fit in 64 bits of minor units", span)
        return None
    return ir.Const(units, type=Type("money", currency=currency), span=span)


def known_currency(currency: str, span: Span, report: Report) -> bool:
    """Whether ISO 4217 has the code; if not, the problem is noted."""
    if currency in DIGITS:
        return True
    report.error("unknown-currency", f"`{currency}` is not a currency of ISO 4217", span, report.suggest(currency, DIGITS))
    return False


def _scaled(amount: str, digits: int) -> int:
    """The decimal text times ten to the `digits`, exactly, however long it is."""
    sign, whole, fraction = re.fullmatch(r"(-?)(\d*)\.?(\d*)", amount).groups()  # type: ignore[union-attr]  # the grammar lets nothing else through
    units = int(Decimal(whole + fraction.ljust(digits, "0")[:digits] or "0"))
    return -units if sign else units


def _percent(text: str, span: Span, report: Report) -> ir.Const | None:
    amount = text.rstrip("%").strip()
    if -int(Decimal(amount).as_tuple().exponent) > 6:
        report.error("too-many-decimals", f"a percentage has at most 6 decimals, `{_short(text)}` has more", span)
        return None
    units = _scaled(amount, 6)
    if abs(units) > PERCENT_MAX:
        report.error("number-too-large", f"the percentage `{_short(text)}` is too large", span)
        return None
    return ir.Const(units, type=PERCENT, span=span)


def _duration(text: str, span: Span, report: Report) -> ir.Const | None:
    amount, _, unit = text.strip().partition(" ")
    unit = unit.strip().removesuffix("s")
    type_, size = (DURATION, UNITS[unit]) if unit in UNITS else (MONTHS, CALENDAR[unit])
    value = int(amount) * size if len(amount) < 20 else INT64_MAX + 1
    if not INT64_MIN <= value <= INT64_MAX:
        report.error("number-too-large", f"the duration `{_short(text)}` is too long", span)
        return None
    return ir.Const(value, type=type_, span=span)


def date(text: str, span: Span, report: Report) -> int | None:
    """An ISO date as days since 1970-01-01, or none with the problem noted."""
    try:
        return dt.date.fromisoformat(text).toordinal() - EPOCH_DAY.toordinal()
    except ValueError:
        report.error("bad-date", f"there is no day `{text}`", span)
        return None


def _datetime(text: str, span: Span, report: Report, zone: str) -> ir.Const | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        report.error("bad-date", f"there is no time `{text}`", span)
        return None
    if moment.tzinfo is None:
        micros = zones.utc(moment, zone)
        if micros is None:
            report.error("bad-date", f"the time `{text}` never occurs in {zone}", span, "the clocks are put forward over it")
            return None
    else:
        micros = (moment - EPOCH) // _MICROSECOND
    return ir.Const(micros, type=DATETIME, span=span)


def type_of(node: ast.TypeName, report: Report) -> Type | None:
    """The type a declaration names, or none with the problem noted."""
    if node.kind == "list":
        return _list_type(node, report)
    if node.currency is not None and not known_currency(node.currency, node.span, report):
        return None
    if not node.choices:
        return Type(node.kind, currency=node.currency, by=node.by)
    seen: dict[str, ast.Literal] = {}
    for choice in node.choices:
        if choice.text in seen:
            report.error(
                "duplicate-name", f"the choice `{choice.text}` stands twice", choice.span, related=(("first here", seen[choice.text].span),)
            )
        seen.setdefault(choice.text, choice)
    return Type("text", choices=tuple(seen))


def _list_type(node: ast.TypeName, report: Report) -> Type | None:
    item = type_of(node.item, report) if node.item is not None else TEXT
    if item is None:
        return None
    if item.kind == "list" or item.by is not None:
        report.error(
            "type-mismatch", f"a list cannot hold {item}", node.span, "its items are texts, numbers, money of one currency, dates or flags"
        )
        return None
    return Type("list", item=item)
