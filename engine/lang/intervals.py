"""How open intervals pass through the functions that keep them: each wrapper turns a function of exact values into one of bounds.

Sound: the result holds whatever exact values would have given. It knows nothing of any particular function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import values
from engine.values import Interval, Missing, Money, Value, missing

One = Callable[..., Value]


def _bounds(value: Value) -> tuple[Any, Any]:
    return (value.low, value.high) if value.__class__ is Interval else (value, value)


def _cause(*args: Value) -> str:
    return min((missing(v.cause) for v in args if v.__class__ is Interval), key=lambda lack: lack.rank).cause


def _between(low: Value, high: Value, cause: str) -> Value:
    """The interval of two computed bounds: two currencies spoil it, a bound that no longer fits is no bound."""
    for bound in (low, high):
        if bound.__class__ is Missing and bound.cause == "currency":
            return bound
    low, high = (None if bound.__class__ is Missing else bound for bound in (low, high))
    return values.interval(low, high, cause)


def _apply(one: One, *bounds: Value) -> Value:
    return None if any(bound is None for bound in bounds) else one(*bounds)


def rising(one: One) -> One:
    """Intervals through a function that rises in every argument."""

    def through(*args: Value) -> Value:
        lows, highs = zip(*map(_bounds, args), strict=True)
        return _between(_apply(one, *lows), _apply(one, *highs), _cause(*args))

    return through


def minus(one: One) -> One:
    """Intervals through a difference: it rises in the first argument and falls in the second."""

    def through(a: Value, b: Value) -> Value:
        (a_low, a_high), (b_low, b_high) = _bounds(a), _bounds(b)
        return _between(_apply(one, a_low, b_high), _apply(one, a_high, b_low), _cause(a, b))

    return through


def falling(one: One) -> One:
    """An interval through a function of one argument that falls."""

    def through(a: Value) -> Value:
        return _between(_apply(one, a.high), _apply(one, a.low), a.cause)

    return through


def product(one: One) -> One:
    """An interval times a known value, on either side; two intervals are `undecided`."""

    def through(a: Value, b: Value) -> Value:
        if b.__class__ is not Interval:
            return _along(lambda bound: one(bound, b), a, _sign(b))
        if a.__class__ is not Interval:
            return _along(lambda bound: one(a, bound), b, _sign(a))
        return missing("undecided")

    return through


def quotient(one: One) -> One:
    """An interval divided by a known value; an interval below the line is `undecided`."""

    def through(a: Value, b: Value) -> Value:
        if b.__class__ is Interval:
            return missing("undecided")
        return _along(lambda bound: one(bound, b), a, _sign(b))

    return through


def _sign(value: Value) -> int:
    return -1 if (value.units if value.__class__ is Money else value) < 0 else 1


def _along(one: One, a: Interval, sign: int) -> Value:
    low, high = (a.low, a.high) if sign > 0 else (a.high, a.low)
    first, last = _apply(one, low), _apply(one, high)
    if missing("division by zero") in (first, last):
        return missing("division by zero")
    return _between(first, last, a.cause)


def extreme(one: One, low_needs_all: bool) -> One:
    """Intervals through `min` (its low end needs both, its high end either) or `max` (the other way round)."""

    def bound(pair: tuple[Value, Value], needs_all: bool) -> Value:
        there = [b for b in pair if b is not None]
        if len(there) == 2:
            return one(*there)
        return there[0] if there and not needs_all else None

    def through(a: Value, b: Value) -> Value:
        (a_low, a_high), (b_low, b_high) = _bounds(a), _bounds(b)
        low, high = bound((a_low, b_low), low_needs_all), bound((a_high, b_high), not low_needs_all)
        return _between(low, high, _cause(a, b))

    return through
