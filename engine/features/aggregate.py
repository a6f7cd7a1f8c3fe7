"""What an aggregate says once the rows of its window are summed up: exact, an interval where that is sound, or missing with its cause.

The live stores and the batch sum up each in their own way; what follows from it is decided here and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.currencies import DIGITS
from engine.values import Missing, Money, Type, Value, divide, integer, interval, missing, number, percent, round_half_even, settle

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY: Final = missing("empty")
SHORT: Final = missing("short history")
UNDECIDED: Final = missing("undecided history")
NEVER_EMPTY: Final = frozenset({"count", "distinct", "sum"})
"""What says something of no rows too."""


@dataclass(slots=True)
class Doubts:
    """Why a window is not fully known: rows that may be in it (`unsure`), rows whose value is not known (`lacking`), rows nobody has
    seen (`short`). `cause` is named where one of them matters."""

    unsure: bool
    lacking: bool
    short: bool
    cause: Missing

    def __bool__(self) -> bool:
        return self.unsure or self.lacking or self.short


def lack(short: bool) -> Missing:
    """Why a window is not fully known, first in rank: it reaches before the start of history, or holds rows that cannot be judged."""
    return SHORT if short else UNDECIDED


def count(sure: int, maybe: int, short: bool, cause: Missing | None = None, most: int | None = None) -> Value:
    """`sure` rows are in, `maybe` cannot be judged; there are never more than `most`.

    >>> count(3, 0, False), count(3, 2, False), count(3, 2, True)
    (3, Interval(low=3, high=5, cause='undecided history'), Interval(low=3, high=None, cause='short history'))
    """
    high = None if short else sure + maybe
    if most is not None:
        high = most if high is None else min(high, most)
    return interval(sure, high, (lack(short) if cause is None else cause).cause)


# --- sums ------------------------------------------------------------------------------------------------------------


def total(units: Any, type_: Type) -> Value:
    """An exact sum as a value of `type_`: settled to whole minor units, or missing with cause `overflow` where it does not fit."""
    if units.__class__ is Missing:
        return units
    if type_.kind == "money" and (type_.scale != 1 or units.__class__ is Money):
        return settle(units, type_.scale)
    if type_.kind == "number":
        return number(units)
    return percent(units) if type_.kind == "percent" else integer(units)


def currency_sum(values: Iterable[Money], empty: Value) -> Money | Missing:
    """Sum of `money by`: in the one currency of its values, `empty` (a currency's code or missing) where there are none.

    >>> currency_sum([Money(100, "USD"), Money(50, "USD")], "EUR"), currency_sum([], "EUR")
    (Money(units=150, currency='USD'), Money(units=0, currency='EUR'))
    """
    units: dict[str, int] = {}
    for value in values:
        units[value.currency] = units.get(value.currency, 0) + value.units
    return currency_total(units, empty)


def currency_total(units: dict[str, int], empty: Value) -> Money | Missing:
    """The same from the sums by currency; currencies without rows must not be among them."""
    if len(units) > 1:
        return missing("currency")
    for currency, amount in units.items():
        return Money(amount, currency)
    if isinstance(empty, Missing):
        return empty
    return Money(0, empty) if empty in DIGITS else missing("damaged")


def summed(low: Value, high: Value, doubts: Doubts, bounded: bool) -> Value:
    """`low` is the sum of the rows that are in, `high` with those that may be. With `bounded` no value is negative, so that a part is a
    lower bound."""
    if not doubts:
        return low
    return _between(low, high, doubts) if bounded else doubts.cause


# --- means -----------------------------------------------------------------------------------------------------------


def mean(numerator: int, denominator: int, type_: Type, currency: str | None = None) -> Value:
    """An exact sum over a count, rounded once: to a float64 for integers and numbers, half-even to whole units for the rest.

    >>> mean(10, 4, Type("integer")), mean(10, 4, Type("money", currency="USD"))
    (2.5, 2)
    """
    if type_.kind in ("integer", "number"):
        return divide(numerator, denominator)
    return _whole(round_half_even(numerator, denominator * type_.scale), type_, currency)


def deviation(numerator: int, denominator: int, type_: Type, currency: str | None = None) -> Value:
    """The root of an exact variance, rounded once in the same way.

    >>> deviation(9, 4, Type("integer")), deviation(9, 4, Type("money", currency="USD"))
    (1.5, 2)
    """
    if type_.kind in ("integer", "number"):
        return _root(numerator, denominator)
    denominator *= type_.scale**2
    down = math.isqrt(numerator // denominator)
    excess = 4 * numerator - (2 * down + 1) ** 2 * denominator
    return _whole(down + (excess > 0 or (excess == 0 and down % 2 == 1)), type_, currency)


def _whole(units: int, type_: Type, currency: str | None) -> Value:
    if currency is not None:
        return settle(Money(units, currency), 1)
    return percent(units) if type_.kind == "percent" else integer(units)


def _root(numerator: int, denominator: int) -> Value:
    """The float64 nearest to the root of a fraction: 55 bits of it and whether anything follows leave only one way to round."""
    shift = (numerator.bit_length() - denominator.bit_length() - 109) // 2
    if shift >= 0:
        return divide(_root_odd(numerator, denominator << 2 * shift) << shift, 1)
    return divide(_root_odd(numerator << -2 * shift, denominator), 1 << -shift)


def _root_odd(numerator: int, denominator: int) -> int:
    root = math.isqrt(numerator // denominator)
    return root | (root * root * denominator != numerator)


def share(part: int, whole: int, rows: int) -> Value:
    """One exact sum over another, rounded once; `rows` is how many rows the second has."""
    return divide(part, whole) if rows else EMPTY


# --- the largest and the smallest ------------------------------------------------------------------------------------


def largest(low: Value, high: Value, doubts: Doubts) -> Value:
    """`low` is the largest value of the rows that are in, `high` with those that may be; missing with cause `empty` where there is none,
    and then nothing can be said."""
    if not doubts:
        return low
    if low.__class__ is Missing and low.cause != "overflow":
        return doubts.cause
    return _between(low, high, doubts)


def smallest(low: Value, high: Value, doubts: Doubts) -> Value:
    """The same of the smallest value: here `high` is that of the rows that are in."""
    if not doubts:
        return high
    if high.__class__ is Missing and high.cause != "overflow":
        return doubts.cause
    if Money in (low.__class__, high.__class__) and not _one_currency(low, high, doubts):
        return doubts.cause
    bottom = None if doubts.lacking or doubts.short or low.__class__ is Missing else low
    return interval(bottom, None if high.__class__ is Missing else high, doubts.cause.cause)


def _between(low: Value, high: Value, doubts: Doubts) -> Value:
    if Money in (low.__class__, high.__class__) and not _one_currency(low, high, doubts):
        return doubts.cause
    # a bound that does not fit is no bound
    bottom = None if low.__class__ is Missing else low
    top = None if doubts.lacking or doubts.short or high.__class__ is Missing else high
    return interval(bottom, top, doubts.cause.cause)


def _one_currency(low: Value, high: Value, doubts: Doubts) -> bool:
    """Whether it is sure that only one currency takes part: rows nobody has seen might hold another one."""
    if doubts.lacking or doubts.short or Missing in (low.__class__, high.__class__):
        return False
    return bool(low.currency == high.currency)
