"""How points come together: what each rule gives, and what all of it comes to, as far as that is known. It knows no rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.values import Interval, Value, interval, known

if TYPE_CHECKING:
    from engine.lang import ir


def given(points: int, state: Value) -> Value:
    """What a rule gives: its points where it is hit, nothing where it is clear, and while it is undecided one of these.

    >>> from engine.values import missing
    >>> given(40, True), given(-5, missing("undecided"))
    (40, Interval(low=-5, high=0, cause='undecided'))
    """
    if state is True:
        return points
    return 0 if state is False else interval(min(0, points), max(0, points), "undecided")


def combined(scoring: ir.Scoring, points: Iterable[Value], floors: Iterable[Value]) -> tuple[Value, int]:
    """The score, and what is sure of it: that with everything undecided left out. `floors` says which of the floors hold.

    >>> from engine.lang.ir import Scoring
    >>> from engine.values import missing
    >>> some = [40, Interval(0, 60, "undecided"), Interval(-5, 0, "undecided")]
    >>> combined(Scoring(), some, []), combined(Scoring("max", most=50), some, [])
    ((Interval(low=35, high=100, cause='undecided'), 40), (Interval(low=40, high=50, cause='undecided'), 40))
    >>> combined(Scoring(floors=((60, None), (70, None))), some, [True, missing("undecided")])
    (Interval(low=60, high=100, cause='undecided'), 60)
    """
    values = list(points)
    together = sum if scoring.how == "sum" else _most
    low = together(value.low if value.__class__ is Interval else value for value in values)
    high = together(value.high if value.__class__ is Interval else value for value in values)
    sure = together(value for value in values if known(value))
    for (least, _), holds in zip(scoring.floors, floors, strict=True):
        if holds is not False:
            high = max(high, least)
        if holds is True:
            low, sure = max(low, least), max(sure, least)
    if scoring.most is not None:
        low, high, sure = (min(end, scoring.most) for end in (low, high, sure))
    return interval(low, high, "undecided"), sure


def _most(points: Iterable[int]) -> int:
    return max((0, *points))
