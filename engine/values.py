"""What a value is, what MISSING is and why, and how truth, order and exact money behave.

This page is the semantics: every backend owes it equality, and nothing else may decide what a missing value does.
It knows nothing of rules, records or frames.

At run time a value is one of

=============  =====================================================================================
text           ``str``
integer        ``int`` within 64 bits
number         finite ``float``
money          ``int``: minor units of the type's currency times the type's `scale`; `Money` where the
               currency is only known from the data (``money by FIELD``)
percent        ``int``: hundred-millionths, so that 1% is 1_000_000
flag           ``bool``
date           ``int``: days since 1970-01-01
datetime       ``int``: microseconds since 1970-01-01 00:00 UTC
duration       ``int``: microseconds
months         ``int``: calendar months (a duration that has no exact length)
list           ``tuple`` of values of the item type
not known      `Missing`, with its cause; or `Interval`, where bounds are known
=============  =====================================================================================
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from engine.currencies import DIGITS

CAUSES: Final = (
    "absent",
    "damaged",
    "unavailable",
    "empty",
    "too many",
    "short history",
    "late",
    "undecided history",
    "skipped",
    "undecided",
    "not in force",
    "ambiguous",
    "no row",
    "currency",
    "overflow",
    "division by zero",
)
"""Why a value may be missing, in rank: of several causes the first in this tuple is named."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EXACT_MAX = 2**127 - 1
PERCENT_UNIT = 10**8
PERCENT_MAX = 2**53
MICROSECOND, SECOND = 1, 1_000_000
MINUTE, HOUR, DAY, WEEK = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND, 604_800 * SECOND


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a column or expression.

    `scale` is only for money on its way through a calculation: the value counts ``1/scale`` minor units, so that
    ``90% * limit`` stays exact. `interval` says that the value may be an `Interval`.

    >>> str(Type("money", currency="USD")), str(Type("list", item=Type("text")))
    ('money USD', 'list of text')
    """

    kind: str
    currency: str | None = None
    by: str | None = None
    scale: int = 1
    item: Type | None = None
    choices: tuple[str, ...] | None = None
    interval: bool = False

    def __str__(self) -> str:
        if self.kind == "money":
            return f"money {self.currency}" if self.currency else f"money by {self.by}"
        if self.kind == "list":
            return f"list of {self.item}"
        if self.choices is not None:
            return "one of (" + ", ".join(f'"{choice}"' for choice in self.choices) + ")"
        return self.kind

    def exact(self) -> Type:
        """The same type without interval."""
        return replace(self, interval=False) if self.interval else self


TEXT, INTEGER, NUMBER, PERCENT = Type("text"), Type("integer"), Type("number"), Type("percent")
FLAG, DATE, DATETIME, DURATION, MONTHS = Type("flag"), Type("date"), Type("datetime"), Type("duration"), Type("months")
SCORE = Type("integer", interval=True)


class Money(NamedTuple):
    """Minor units (times the type's scale) and a currency that came with the data."""

    units: int
    currency: str


class Missing:
    """A value that is not there, and why. One object a cause, so that ``is`` compares them.

    >>> missing("damaged"), missing("damaged") is missing("damaged")
    (missing (damaged), True)
    """

    __slots__ = ("cause", "rank")

    def __init__(self, cause: str) -> None:
        self.cause, self.rank = cause, CAUSES.index(cause)

    def __repr__(self) -> str:
        return f"missing ({self.cause})"

    def __bool__(self) -> bool:
        raise TypeError("a missing value is neither true nor false")

    def __reduce__(self) -> tuple[Callable[[str], Missing], tuple[str]]:
        return missing, (self.cause,)


_MISSING: Final = {cause: Missing(cause) for cause in CAUSES}
MISSING: Final = _MISSING["absent"]


def missing(cause: str) -> Missing:
    """The missing value with this cause (one of `CAUSES`)."""
    return _MISSING[cause]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value known only to lie between two bounds, both included; ``None`` is an open end.

    `cause` says why it is not known exactly. At least one bound is known and the two differ; `interval` makes it so.
    """

    low: Any
    high: Any
    cause: str


Value = Any
"""A run-time value as in the table above, `Missing`, or `Interval`. The static `Type` tells which."""


def interval(low: Value, high: Value, cause: str) -> Value:
    """The value between `low` and `high`: exact when they meet, missing when neither is known.

    >>> interval(3, None, "short history"), interval(3, 3, "undecided")
    (Interval(low=3, high=None, cause='short history'), 3)
    """
    if low is None and high is None:
        return missing(cause)
    if low is not None and low == high:
        return low
    return Interval(low, high, cause)


def known(value: Value) -> bool:
    """Whether the value is there and exact: what `is known` asks."""
    cls = value.__class__
    return cls is not Missing and cls is not Interval


def first(values: Iterable[Value]) -> Missing:
    """Of the missing values among `values`, the one whose cause ranks first; open intervals count as `undecided`."""
    lacks = (_MISSING["undecided"] if v.__class__ is Interval else v for v in values if not known(v))
    return min(lacks, key=lambda lack: lack.rank)


# --- truth: strong Kleene ------------------------------------------------------------------------------------------


def not3(a: Value) -> Value:
    return a if a.__class__ is Missing else not a


def and3(items: Iterable[Value]) -> Value:
    """False if any is false; else missing if any is missing; else true. ``all of`` nothing is true."""
    lacks = []
    for item in items:
        if item is False:
            return False
        if item is not True:
            lacks.append(item)
    return first(lacks) if lacks else True


def or3(items: Iterable[Value]) -> Value:
    """True if any is true; else missing if any is missing; else false. ``any of`` nothing is false."""
    lacks = []
    for item in items:
        if item is True:
            return True
        if item is not False:
            lacks.append(item)
    return first(lacks) if lacks else False


# --- comparison ----------------------------------------------------------------------------------------------------

_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def compare(op: str, a: Value, b: Value) -> Value:
    """Three-valued ``a op b`` of two values of one physical type; integer against number is exact.

    Two currencies compare as missing, cause `currency`. Intervals settle what they can.

    >>> compare(">=", Interval(3, None, "short history"), 3), compare(">=", Interval(3, None, "short history"), 4)
    (True, missing (short history))
    """
    if a.__class__ is Missing or b.__class__ is Missing:
        return first(v for v in (a, b) if v.__class__ is Missing)
    if a.__class__ is Interval or b.__class__ is Interval:
        return _compare_intervals(op, a, b)
    if a.__class__ is Money:
        if a.currency != b.currency:
            return _MISSING["currency"]
        return _ORDER[op](a.units, b.units)
    return _ORDER[op](a, b)


def _bounds(value: Value) -> tuple[Any, Any]:
    return (value.low, value.high) if value.__class__ is Interval else (value, value)


def _compare_intervals(op: str, a: Value, b: Value) -> Value:
    lack = min((missing(v.cause) for v in (a, b) if v.__class__ is Interval), key=lambda m: m.rank)
    (a_low, a_high), (b_low, b_high) = _bounds(a), _bounds(b)
    if _foreign(a_low, a_high, b_low, b_high):
        return _MISSING["currency"]
    if op in (">", ">=", "<", "<="):
        if op in ("<", "<="):
            (a_low, a_high), (b_low, b_high), op = (b_low, b_high), (a_low, a_high), ">" if op == "<" else ">="
        if a_low is not None and b_high is not None and _ORDER[op](a_low, b_high):
            return True
        if a_high is not None and b_low is not None and not _ORDER[op](a_high, b_low):
            return False
        return lack
    apart = (a_high is not None and b_low is not None and a_high < b_low) or (a_low is not None and b_high is not None and a_low > b_high)
    return (op == "!=") if apart else lack


def _foreign(*bounds: Any) -> bool:
    """Whether money bounds carry more than one currency."""
    return len({bound.currency for bound in bounds if bound.__class__ is Money}) > 1


# --- checked arithmetic ---------------------------------------------------------------------------------------------


def integer(n: int) -> Value:
    """`n`, or missing with cause `overflow` outside 64 bits."""
    return n if INT64_MIN <= n <= INT64_MAX else _MISSING["overflow"]


def number(x: float) -> Value:
    """`x`, or missing with cause `overflow` where it is no longer finite; negative zero becomes zero."""
    return x + 0.0 if math.isfinite(x) else _MISSING["overflow"]


def exact(n: int) -> Value:
    """Scaled money on its way through a calculation: 128 bits, checked."""
    return n if -EXACT_MAX <= n <= EXACT_MAX else _MISSING["overflow"]


def percent(n: int) -> Value:
    return n if -PERCENT_MAX <= n <= PERCENT_MAX else _MISSING["overflow"]


def divide(a: float, b: float) -> Value:
    """The float64 nearest to ``a / b`` (integers of any size divide exactly first)."""
    if b == 0:
        return _MISSING["division by zero"]
    try:
        return number(a / b)
    except OverflowError:
        return _MISSING["overflow"]


def round_half_even(numerator: int, denominator: int) -> int:
    """The whole number nearest to the quotient, ties to even; the denominator is positive.

    >>> [round_half_even(n, 2) for n in (1, 3, 5)]
    [0, 2, 2]
    """
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def settle(value: Value, scale: int) -> Value:
    """Scaled money at its end: rounded once, half-even, to whole minor units within 64 bits."""
    cls = value.__class__
    if cls is Missing:
        return value
    if cls is Interval:
        return _settle_interval(value, scale)
    if cls is Money:
        units = integer(round_half_even(value.units, scale))
        return units if units.__class__ is Missing else Money(units, value.currency)
    return integer(round_half_even(value, scale))


def _settle_interval(value: Interval, scale: int) -> Value:
    low = None if value.low is None else settle(value.low, scale)
    high = None if value.high is None else settle(value.high, scale)
    # a bound that no longer fits is no bound
    low, high = (None if bound.__class__ is Missing else bound for bound in (low, high))
    return interval(low, high, value.cause)


# --- text of values -------------------------------------------------------------------------------------------------

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
EPOCH_DAY = dt.date(1970, 1, 1)


def currency_digits(currency: str) -> int:
    """Decimals of the minor unit after ISO 4217. Raises `KeyError` for a code that is not in it."""
    return DIGITS[currency]


def decimal(value: Value, type_: Type) -> Decimal:
    """Money or percent as a `Decimal` of major units (percent: of percent points)."""
    if type_.kind == "percent":
        return Decimal(value) / 10**6
    currency = value.currency if value.__class__ is Money else type_.currency
    units = value.units if value.__class__ is Money else value
    fraction = Fraction(units, type_.scale * 10 ** currency_digits(currency or ""))
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)


def show(value: Value, type_: Type) -> str:
    """The value as a reason prints it.

    >>> show(970_000, Type("money", currency="USD")), show(90_000_000, PERCENT), show(Interval(3, None, "undecided"), INTEGER)
    ('9,700.00 USD', '90%', 'at least 3')
    """
    if value.__class__ is Missing:
        return repr(value)
    if value.__class__ is Interval:
        return _show_interval(value, type_)
    return _SHOW[type_.kind](value, type_)


def _show_interval(value: Interval, type_: Type) -> str:
    if value.high is None:
        return f"at least {show(value.low, type_)}"
    if value.low is None:
        return f"at most {show(value.high, type_)}"
    return f"{show(value.low, type_)} to {show(value.high, type_)}"


def _show_money(value: Value, type_: Type) -> str:
    if type_.scale != 1:
        value, type_ = settle(value, type_.scale), replace(type_, scale=1)
        if value.__class__ is Missing:
            return repr(value)
    currency = (value.currency if value.__class__ is Money else type_.currency) or ""
    return f"{decimal(value, type_):,.{currency_digits(currency)}f} {currency}"


def _show_duration(value: int) -> str:
    for name, unit in (("week", WEEK), ("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", SECOND)):
        if value and value % unit == 0 and (name != "week" or value % (DAY * 7) == 0):
            count = value // unit
            return f"{count} {name}" + ("" if count == 1 else "s")
    return f"{Decimal(value) / SECOND:f} seconds"


def date_of(days: int) -> dt.date:
    return EPOCH_DAY + dt.timedelta(days=days)


def datetime_of(microseconds: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=microseconds)


def _plain_number(value: float) -> str:
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


_SHOW: Final[dict[str, Callable[[Any, Type], str]]] = {
    "text": lambda v, _: str(v),
    "money": _show_money,
    "percent": lambda v, _: f"{(Decimal(v) / 10**6).normalize():f}%",
    "number": lambda v, _: _plain_number(v),
    "integer": lambda v, _: f"{v}",
    "flag": lambda v, _: "true" if v else "false",
    "date": lambda v, _: date_of(v).isoformat(),
    "datetime": lambda v, _: datetime_of(v).isoformat().replace("+00:00", "Z"),
    "duration": lambda v, _: _show_duration(v),
    "months": lambda v, _: f"{v} month" + ("" if v == 1 else "s"),
    "list": lambda v, t: ", ".join(show(item, t.item or TEXT) for item in v),
}


def plain(value: Value, type_: Type) -> Any:
    """The value in JSON's own types, without loss: the form of decisions and of the ledger.

    Missing is ``{"missing": cause}``, an interval ``{"low", "high", "cause"}``, money ``"9700.00 USD"``.
    """
    if value.__class__ is Missing:
        return {"missing": value.cause}
    if value.__class__ is Interval:
        low = None if value.low is None else plain(value.low, type_)
        high = None if value.high is None else plain(value.high, type_)
        return {"low": low, "high": high, "cause": value.cause}
    if type_.kind in ("text", "integer", "number", "flag", "months"):
        return value
    if type_.kind == "list":
        return [plain(item, type_.item or TEXT) for item in value]
    return show(value, type_).replace(",", "") if type_.kind == "money" else show(value, type_)
