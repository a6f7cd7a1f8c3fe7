"""Every function and operator of the language, one table entry each: what it takes, what it does, what it keeps, examples.

It knows values only: no names, no syntax tree, no rows. Checker, backends and documentation read this table and nothing else.
"""

from __future__ import annotations

import calendar
import datetime as dt
import operator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import re2

from engine import values, zones
from engine.lang.intervals import One, extreme, falling, minus, product, quotient, rising
from engine.values import DAY, PERCENT_UNIT, Missing, Money, Value, missing

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Builtin:
    """One function or operator.

    `one` takes known values and gives a value or a missing one; it never raises on values of the kinds in `takes`.
    `interval`, if there is one, takes values of which some are open intervals; without it an open interval in is missing,
    cause `undecided`, out. `surface` is how an author writes it, none for conversions the checker puts in. The kinds in `takes`
    are those of `values.Type`, and `bymoney` (money whose currency comes with the data), `zone` (the record's, put in by the
    checker), `pattern` (a constant regular expression).
    """

    name: str
    surface: str | None
    takes: tuple[str, ...]
    gives: str
    one: One
    doc: str
    examples: tuple[tuple[tuple[Value, ...], Value], ...]
    interval: One | None = None


BUILTINS: Final[dict[str, Builtin]] = {}
"""Every builtin by its key, which `ir.Call.function` names."""


def _add(
    name: str,
    surface: str | None,
    takes: str,
    gives: str,
    one: One,
    doc: str,
    *examples: tuple[tuple[Value, ...], Value],
    interval: One | None = None,
) -> None:
    BUILTINS[name] = Builtin(name, surface, tuple(takes.split()), gives, one, doc, examples, interval)


# --- exact arithmetic ----------------------------------------------------------------------------------------------


def _checked(op: Callable[[Any, Any], Any], check: Callable[[Any], Value]) -> One:
    return lambda a, b: check(op(a, b))


def _number(op: Callable[[float, float], float]) -> One:
    return lambda a, b: values.number(op(a, b))


def _bymoney(op: Callable[[int, int], int]) -> One:
    def one(a: Money, b: Money) -> Value:
        return missing("currency") if a.currency != b.currency else _money(op(a.units, b.units), a.currency)

    return one


def _money(units: int, currency: str) -> Value:
    exact = values.exact(units)
    return exact if exact.__class__ is Missing else Money(exact, currency)


def _bymoney_times(a: Money, b: int) -> Value:
    return _money(a.units * b, a.currency)


def _bymoney_ratio(a: Money, b: Money) -> Value:
    return missing("currency") if a.currency != b.currency else values.divide(a.units, b.units)


def _money_times(a: int, b: int) -> Value:
    return values.exact(a * b)


def _integer_times(a: int, b: int) -> Value:
    return values.integer(a * b)


def _percent_times(a: int, b: int) -> Value:
    return values.percent(a * b)


def _duration_times(a: int, b: int) -> Value:
    return values.integer(a * b)


def _number_times(a: float, b: float) -> Value:
    return values.number(a * b)


_PLAIN: Final = (
    # kind, check, examples of + and of -
    ("integer", values.integer, ((2, 3), 5), ((2, 3), -1)),
    ("percent", values.percent, ((1_000_000, 500_000), 1_500_000), ((1_000_000, 500_000), 500_000)),
    ("money", values.exact, ((100, 250), 350), ((100, 250), -150)),
    ("duration", values.integer, ((DAY, DAY), 2 * DAY), ((3 * DAY, DAY), 2 * DAY)),
)

for _kind, _check, _plus, _less in _PLAIN:
    _one = _checked(operator.add, _check)
    _add(f"{_kind}+{_kind}", "+", f"{_kind} {_kind}", _kind, _one, "sum, exact and checked", _plus, interval=rising(_one))
    _one = _checked(operator.sub, _check)
    _add(f"{_kind}-{_kind}", "-", f"{_kind} {_kind}", _kind, _one, "difference, exact and checked", _less, interval=minus(_one))

_one = _number(operator.add)
_add(
    "number+number",
    "+",
    "number number",
    "number",
    _one,
    "sum",
    ((0.5, 0.25), 0.75),
    ((1e308, 1e308), missing("overflow")),
    interval=rising(_one),
)
_one = _number(operator.sub)
_add("number-number", "-", "number number", "number", _one, "difference", ((0.5, 0.25), 0.25), interval=minus(_one))
_one = _bymoney(operator.add)
_USD, _EUR = Money(100, "USD"), Money(100, "EUR")
_add(
    "bymoney+bymoney", "+", "bymoney bymoney", "bymoney", _one, "sum; two currencies are missing", ((_USD, _USD), Money(200, "USD")),
    ((_USD, _EUR), missing("currency")), interval=rising(_one),
)  # fmt: skip
_one = _bymoney(operator.sub)
_add(
    "bymoney-bymoney", "-", "bymoney bymoney", "bymoney", _one, "difference; two currencies are missing", ((_USD, _USD), Money(0, "USD")),
    ((_USD, _EUR), missing("currency")), interval=minus(_one),
)  # fmt: skip

_add("integer*integer", "*", "integer integer", "integer", _integer_times, "product, exact and checked", ((6, 7), 42),
     ((2**62, 2), missing("overflow")), interval=product(_integer_times))  # fmt: skip
_add("number*number", "*", "number number", "number", _number_times, "product", ((0.5, 4.0), 2.0), interval=product(_number_times))
_add("percent*integer", "*", "percent integer", "percent", _percent_times, "a percentage so many times", ((1_000_000, 3), 3_000_000),
     interval=product(_percent_times))  # fmt: skip
_add("duration*integer", "*", "duration integer", "duration", _duration_times, "a duration so many times", ((DAY, 7), 7 * DAY),
     interval=product(_duration_times))  # fmt: skip
_add("money*integer", "*", "money integer", "money", _money_times, "money so many times, exact within 128 bits", ((250, 4), 1000),
     ((2**126, 4), missing("overflow")), interval=product(_money_times))  # fmt: skip
_add("money*percent", "*", "money percent", "money", _money_times, "a part of money; the result counts hundred-millionths more finely",
     ((100, 50_000_000), 5_000_000_000), interval=product(_money_times))  # fmt: skip
_add("bymoney*integer", "*", "bymoney integer", "bymoney", _bymoney_times, "money so many times", ((_USD, 3), Money(300, "USD")),
     interval=product(_bymoney_times))  # fmt: skip
_add("bymoney*percent", "*", "bymoney percent", "bymoney", _bymoney_times, "a part of money",
     ((_USD, 50_000_000), Money(5_000_000_000, "USD")),
     interval=product(_bymoney_times))  # fmt: skip

for _kind, _pair, _half in (
    ("integer", (1, 2), 0.5), ("number", (1.0, 2.0), 0.5), ("percent", (1_000_000, 2_000_000), 0.5),
    ("money", (100, 200), 0.5), ("duration", (DAY, 2 * DAY), 0.5),
):  # fmt: skip
    _zero = (_pair[0], type(_pair[0])(0))
    _add(f"{_kind}/{_kind}", "/", f"{_kind} {_kind}", "number", values.divide, "ratio, the nearest number", (_pair, _half),
         (_zero, missing("division by zero")), interval=quotient(values.divide))  # fmt: skip
_add("bymoney/bymoney", "/", "bymoney bymoney", "number", _bymoney_ratio, "ratio; two currencies are missing", ((_USD, _USD), 1.0),
     ((_USD, _EUR), missing("currency")), interval=quotient(_bymoney_ratio))  # fmt: skip


# --- conversions the checker puts in -------------------------------------------------------------------------------


def _percent_number(a: int) -> Value:
    return values.divide(a, PERCENT_UNIT)


def _number_of(a: int) -> Value:
    return values.number(float(a))


def _to_bymoney(units: int, currency: str) -> Value:
    return _money(units, currency)


_add("integer->number", None, "integer", "number", _number_of, "the nearest number", ((3,), 3.0), interval=rising(_number_of))
_add("percent->number", None, "percent", "number", _percent_number, "the nearest number: 50% is 0.5", ((50_000_000,), 0.5),
     interval=rising(_percent_number))  # fmt: skip
_add("rescale:money", None, "money integer", "money", _money_times, "the same money, counted so many times more finely", ((100, 10), 1000),
     interval=product(_money_times))  # fmt: skip
_add("rescale:bymoney", None, "bymoney integer", "bymoney", _bymoney_times, "the same money, counted so many times more finely",
     ((_USD, 10), Money(1000, "USD")), interval=product(_bymoney_times))  # fmt: skip
_one = _to_bymoney
_add(
    "money->bymoney", None, "money text", "bymoney", _one, "money with its currency beside it", ((100, "USD"), _USD), interval=rising(_one)
)


# --- one argument, the greater and the less ------------------------------------------------------------------------


def _negated(check: Callable[[Any], Value]) -> One:
    return lambda a: check(-a)


def _absolute(check: Callable[[Any], Value]) -> One:
    return lambda a: check(abs(a))


_SIGNED: Final[tuple[tuple[str, Callable[[Any], Value], Any], ...]] = (
    ("integer", values.integer, 3), ("number", values.number, 3.0), ("money", values.exact, 3), ("percent", values.percent, 3),
    ("duration", values.integer, 3),
)  # fmt: skip

for _kind, _within, _n in _SIGNED:
    _one = _negated(_within)
    _add(f"negate:{_kind}", "-", _kind, _kind, _one, "the same below zero", ((_n,), -_n), interval=falling(_one))
    _add(f"abs:{_kind}", "abs", _kind, _kind, _absolute(_within), "without its sign", ((-_n,), _n), ((_n,), _n))


def _bymoney_negate(a: Money) -> Value:
    return _money(-a.units, a.currency)


def _bymoney_abs(a: Money) -> Value:
    return _money(abs(a.units), a.currency)


_add("negate:bymoney", "-", "bymoney", "bymoney", _bymoney_negate, "the same below zero", ((_USD,), Money(-100, "USD")),
     interval=falling(_bymoney_negate))  # fmt: skip
_add("abs:bymoney", "abs", "bymoney", "bymoney", _bymoney_abs, "without its sign", ((Money(-100, "USD"),), _USD))

for _kind, _few, _many in (
    ("integer", 2, 3), ("number", 2.0, 3.0), ("money", 2, 3), ("percent", 2, 3), ("duration", 2, 3), ("date", 2, 3), ("datetime", 2, 3),
):  # fmt: skip
    _add(f"min:{_kind}", "min", f"{_kind} {_kind}", _kind, min, "the smaller", ((_few, _many), _few), interval=extreme(min, True))
    _add(f"max:{_kind}", "max", f"{_kind} {_kind}", _kind, max, "the greater", ((_few, _many), _many), interval=extreme(max, False))
_one = _bymoney(min)
_add("min:bymoney", "min", "bymoney bymoney", "bymoney", _one, "the smaller; two currencies are missing",
     ((_USD, Money(2, "USD")), Money(2, "USD")),
     ((_USD, _EUR), missing("currency")), interval=extreme(_one, True))  # fmt: skip
_one = _bymoney(max)
_add("max:bymoney", "max", "bymoney bymoney", "bymoney", _one, "the greater; two currencies are missing", ((_USD, Money(2, "USD")), _USD),
     ((_USD, _EUR), missing("currency")), interval=extreme(_one, False))  # fmt: skip


def _round(x: float, digits: int) -> Value:
    try:
        return values.number(round(x, max(-400, min(400, digits))))
    except OverflowError:
        return missing("overflow")


_add(
    "round",
    "round",
    "number integer",
    "number",
    _round,
    "rounded half-even to so many decimals",
    ((2.675, 2), 2.67),
    ((0.5, 0), 0.0),
    ((1.5, 0), 2.0),
)


# --- time ----------------------------------------------------------------------------------------------------------

_FIRST_DAY: Final = dt.date.min.toordinal() - values.EPOCH_DAY.toordinal()
_LAST_DAY: Final = dt.date.max.toordinal() - values.EPOCH_DAY.toordinal()


def _day(days: int) -> Value:
    """A calendar day of the years 1 to 9999, else missing."""
    return days if _FIRST_DAY <= days <= _LAST_DAY else missing("overflow")


def _moment(microseconds: int) -> Value:
    return microseconds if _FIRST_DAY * DAY <= microseconds < (_LAST_DAY + 1) * DAY else missing("overflow")


def _plus_days(day: int, duration: int) -> Value:
    return _day((day * DAY + duration) // DAY)


def _minus_days(day: int, duration: int) -> Value:
    return _day((day * DAY - duration) // DAY)


def _plus_months(day: int, months: int) -> Value:
    """The same day so many months on, or the month's last where it has no such day."""
    start = values.date_of(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if not dt.MINYEAR <= year <= dt.MAXYEAR:
        return missing("overflow")
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, min(start.day, last)).toordinal() - values.EPOCH_DAY.toordinal()


def _minus_months(day: int, months: int) -> Value:
    return _plus_months(day, -months)


def _date_difference(a: int, b: int) -> Value:
    return (a - b) * DAY


_DATES_UP, _DATES_APART = rising(_plus_days), minus(_minus_days)
_add(
    "date-date",
    "-",
    "date date",
    "duration",
    _date_difference,
    "the time between two days",
    ((10, 3), 7 * DAY),
    interval=minus(_date_difference),
)
_add("date+days", "+", "date duration", "date", _plus_days, "the day so many days on", ((0, 7 * DAY), 7), interval=_DATES_UP)
_add("date-days", "-", "date duration", "date", _minus_days, "the day so many days back", ((7, 7 * DAY), 0), interval=_DATES_APART)
_add("date+months", "+", "date months", "date", _plus_months, "the same day so many months on, at most the month's last", ((30, 1), 58))
_add("date-months", "-", "date months", "date", _minus_months, "the same day so many months back", ((58, 1), 27))
_one = _checked(operator.add, _moment)
_add("datetime+duration", "+", "datetime duration", "datetime", _one, "the moment so much later", ((0, DAY), DAY), interval=rising(_one))
_one = _checked(operator.sub, _moment)
_add("datetime-duration", "-", "datetime duration", "datetime", _one, "the moment so much earlier", ((DAY, DAY), 0), interval=minus(_one))
_one = _checked(operator.sub, values.integer)
_add("datetime-datetime", "-", "datetime datetime", "duration", _one, "the time between two moments", ((DAY, 0), DAY), interval=minus(_one))


def _hour_of(moment: int, zone: str) -> Value:
    here = zones.local(moment, zone)
    return missing("overflow") if here is None else here.hour


def _weekday(day: int) -> Value:
    return (day + 3) % 7 + 1


def _date_of(moment: int, zone: str) -> Value:
    day = zones.local_day(moment, zone)
    return missing("overflow") if day is None else day


def _local_weekday(moment: int, zone: str) -> Value:
    day = _date_of(moment, zone)
    return day if day.__class__ is Missing else _weekday(day)


def _days_between(a: int, b: int) -> Value:
    return b - a


def _local_days_between(a: int, b: int, zone: str) -> Value:
    first, last = _date_of(a, zone), _date_of(b, zone)
    return missing("overflow") if Missing in (first.__class__, last.__class__) else last - first


_NY: Final = "America/New_York"
_add("hour_of", "hour of", "datetime zone", "integer", _hour_of, "the hour of the day, 0 to 23, in the record's zone", ((0, _NY), 19))
_add("weekday_of:date", "weekday of", "date", "integer", _weekday, "1 on Monday to 7 on Sunday", ((0,), 4))
_add(
    "weekday_of:datetime",
    "weekday of",
    "datetime zone",
    "integer",
    _local_weekday,
    "1 on Monday to 7 on Sunday, in the record's zone",
    ((0, _NY), 3),
)
_add("date_of", "date_of", "datetime zone", "date", _date_of, "the calendar day in the record's zone", ((0, _NY), -1))
_add("days_between:date", "days_between", "date date", "integer", _days_between, "days from the first to the second", ((3, 10), 7))
_add("days_between:datetime", "days_between", "datetime datetime zone", "integer", _local_days_between,
     "midnights from the first to the second, in the record's zone", ((0, DAY, _NY), 1))  # fmt: skip


# --- text and lists ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def pattern(text: str) -> Any:
    """A regular expression that runs in linear time. Raises `ValueError` with one line in lower case."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as problem:
        detail = problem.args[0] if problem.args else "not a regular expression"
        raise ValueError(detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)) from problem


def _matches(text: str, expression: str) -> Value:
    return pattern(expression).search(text) is not None


def _starts_with(text: str, start: str) -> Value:
    return text.startswith(start)


def _contains(text: str, part: str) -> Value:
    return part in text


def _member(value: Value, items: tuple[Value, ...]) -> Value:
    return value in items


_add("length", "length", "text", "integer", len, "characters in a text", (("héé",), 3))
_add("lower", "lower", "text", "text", str.lower, "in small letters", (("ABC",), "abc"))
_add("upper", "upper", "text", "text", str.upper, "in capital letters", (("straße",), "STRASSE"))
_add("starts_with", "starts with", "text text", "flag", _starts_with, "whether the text begins so", (("IBAN1", "IBAN"), True))
_add("contains", "contains", "text text", "flag", _contains, "whether the text holds the other", (("a cash b", "cash"), True))
_add(
    "matches",
    "matches",
    "text pattern",
    "flag",
    _matches,
    "whether the pattern is found in the text",
    (("A-17", r"\d+$"), True),
    (("A", "b"), False),
)
_add("member", None, "any list", "flag", _member, "whether the list holds the value", (("a", ("a", "b")), True), (("a", ()), False))
