"""From typed values to the floats a model reads: what a text, a flag, a date or an amount of money becomes.

=====================  ==================================================================================================
number, integer        the nearest float64
flag                   1.0 or 0.0
text                   the place of the text among the input's codes, from 0.0
date                   days since 1970-01-01
datetime, duration     microseconds (since 1970-01-01 00:00 UTC)
money                  major units: the float64 nearest to minor units / 10**digits, so that 12.34 USD is 12.34
percent                a fraction: 90% is 0.9
=====================  ==================================================================================================

A missing value is NaN where the input takes missing values; else nothing is scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from engine.currencies import DIGITS
from engine.models.adapter import Input
from engine.values import CAUSES, PERCENT_UNIT, Interval, Missing, Money, Type, Value, missing

KINDS: Final = ("number", "integer", "flag", "text", "date", "datetime", "duration", "percent")
FLOAT32_MAX: Final = 3.4028234663852886e38
_UNDECIDED, _DAMAGED, _OVERFLOW, _CURRENCY = missing("undecided"), missing("damaged"), missing("overflow"), missing("currency")


def parse_type(text: str) -> Type | None:
    """The type a package names, such as ``number`` or ``money USD``; none where there is no such type.

    >>> str(parse_type("money USD")), parse_type("money XXX")
    ('money USD', None)
    """
    kind, _, currency = text.partition(" ")
    if kind == "money":
        return Type("money", currency=currency) if currency in DIGITS else None
    return Type(kind) if text in KINDS else None


def divisor(type_: Type) -> int:
    """How many of the value's units make one of the model's."""
    if type_.kind == "money":
        return int(10 ** DIGITS[type_.currency or ""])
    return PERCENT_UNIT if type_.kind == "percent" else 1


def encoder(declared: Input, width: int) -> Callable[[Value], Any]:
    """The function that turns a value into the input's float, or into the `Missing` for which nothing can be scored.

    An open interval counts as missing, cause `undecided`; a text without a code as missing, cause `damaged`. In a model of 32-bit
    floats (`width`) a value beyond their range is missing, cause `overflow`.

    >>> from engine.values import Type
    >>> encoder(Input("amount", Type("money", currency="USD")), 64)(1234)
    12.34
    """
    lack = _lack(declared)
    return _text_encoder(declared, lack) if declared.type.kind == "text" else _number_encoder(declared, width, lack)


def _lack(declared: Input) -> Callable[[Missing], Any]:
    return (lambda _: math.nan) if declared.missing else (lambda cause: cause)


def text_codes(declared: Input) -> dict[Value, float]:
    """The float of every text that a text input knows, and of every cause where it takes missing values.

    >>> from engine.values import TEXT
    >>> text_codes(Input("channel", TEXT, codes=("cash", "atm")))
    {'cash': 0.0, 'atm': 1.0}
    """
    codes: dict[Value, float] = {text: float(place) for place, text in enumerate(declared.codes)}
    return codes | {missing(cause): math.nan for cause in CAUSES} if declared.missing else codes


def _text_encoder(declared: Input, lack: Callable[[Missing], Any]) -> Callable[[Value], Any]:
    codes = text_codes(declared)
    unseen = lack(_DAMAGED) if declared.unseen == "missing" else _DAMAGED

    def encode(value: Value) -> Any:
        return lack(value) if value.__class__ is Missing else codes.get(value, unseen)

    return encode


def _number_encoder(declared: Input, width: int, lack: Callable[[Missing], Any]) -> Callable[[Value], Any]:
    units, currency, limit = divisor(declared.type), declared.type.currency, math.inf if width == 64 else FLOAT32_MAX

    def encode(value: Value) -> Any:
        cls = value.__class__
        if cls is Missing:
            return lack(value)
        if cls is Interval:
            return lack(_UNDECIDED)
        if cls is Money:
            if value.currency != currency:
                return lack(_CURRENCY)
            value = value.units
        x = value / units
        return x if -limit <= x <= limit else _OVERFLOW

    return encode
