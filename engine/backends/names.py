"""What a comparison with a list of names says, and which entry it found, for every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lang import ir
from engine.screening.names import Match
from engine.values import PERCENT, Missing, Value, first, known, missing, show

if TYPE_CHECKING:
    from collections.abc import Sequence


def resembles(expr: ir.Resembles, values: Sequence[Value]) -> Value:
    """Whether an entry of the list resembles the first of the values, on the day that is the second."""
    return expr.names.resembles(values[0], expr.least, *values[1:]) if all(map(known, values)) else first(values)


def found(expr: ir.Resembles, values: Sequence[Value]) -> Match | None:
    """The entry that a comparison found, if it found one."""
    best = expr.names.best(values[0], expr.least, *values[1:]) if all(map(known, values)) else None
    return best if isinstance(best, Match) else None


def match(part: str, compared: Sequence[tuple[ir.Resembles, Sequence[Value]]]) -> Value:
    """What all comparisons found that is alike most, of equals the first; missing while one of them cannot be judged."""
    lacks = [value for value in (resembles(*one) for one in compared) if value.__class__ is Missing]
    matches = [(expr, best) for expr, values in compared if (best := found(expr, values)) is not None]
    if lacks or not matches:
        return first(lacks) if lacks else missing("no row")
    asked, best = max(matches, key=lambda pair: pair[1].likeness)
    match part:
        case "score":
            return best.percent
        case "name":
            return best.entry.name
        case "id":
            return best.entry.id or missing("no row")
        case "list":
            return list_of(asked)
    return told(asked, best)


def list_of(asked: ir.Resembles) -> str:
    """The list a comparison looks in, with its version if it has one."""
    return f"{asked.name or 'a list'} {asked.version or ''}".rstrip()


def told(asked: ir.Resembles, best: Match) -> str:
    """An entry that was found, in words."""
    bearer = f" ({best.entry.id})" if best.entry.id else ""
    return f'"{best.entry.name}"{bearer} in {list_of(asked)} by {show(best.percent, PERCENT)}'
