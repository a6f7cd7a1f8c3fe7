"""What an aggregate says once the rows of its window are summed up: exact, an interval where that is sound, or missing with its cause.

The live stores and the batch sum up each in their own way; what follows from it is decided here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.currencies import DIGITS
from engine.values import Missing, Money, Type, Value, integer, interval, missing, number, percent, settle

if TYPE_CHECKING:
    from collections.abc import Iterable


def lack(short: bool) -> Missing:
    """Why a window is not fully known, first in rank: it reaches before the start of history, or holds rows that cannot be judged."""
    return missing("short history") if short else missing("undecided history")


def count(sure: int, maybe: int, short: bool) -> Value:
    """`sure` rows are in, `maybe` cannot be judged.

    >>> count(3, 0, False), count(3, 2, False), count(3, 2, True)
    (3, Interval(low=3, high=5, cause='undecided history'), Interval(low=3, high=None, cause='short history'))
    """
    return interval(sure, None if short else sure + maybe, lack(short).cause)


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


def summed(low: Value, high: Value, *, unsure: bool, lacking: bool, short: bool, bounded: bool) -> Value:
    """`low` is the sum of the rows that are in, `high` with those that may be; `unsure` says that there are such rows,
    `lacking` that some row's value is not known. With `bounded` no value is negative, so that a part is a lower bound."""
    if not (unsure or lacking or short):
        return low
    if not bounded:
        return lack(short)
    return _between(low, high, open_end=lacking or short, short=short)


def largest(low: Value, high: Value, *, unsure: bool, lacking: bool, short: bool) -> Value:
    """The same of the largest value; `low` is missing with cause `empty` where no row is surely in, and then nothing can be said."""
    if not (unsure or lacking or short):
        return low
    if low.__class__ is Missing and low.cause != "overflow":
        return lack(short)
    return _between(low, high, open_end=lacking or short, short=short)


def _between(low: Value, high: Value, *, open_end: bool, short: bool) -> Value:
    if Money in (low.__class__, high.__class__) and not _one_currency(low, high, open_end):
        return lack(short)
    # a bound that does not fit is no bound
    bottom = None if low.__class__ is Missing else low
    top = None if open_end or high.__class__ is Missing else high
    return interval(bottom, top, lack(short).cause)


def _one_currency(low: Value, high: Value, open_end: bool) -> bool:
    """Whether it is sure that only one currency takes part: rows nobody has seen might hold another one."""
    if open_end or Missing in (low.__class__, high.__class__):
        return False
    return bool(low.currency == high.currency)
