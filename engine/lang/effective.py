"""`effective from ... to ...`: the days it names, and whether several dated values go together, without a hole and without an overlap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.lang import ast, literals
from engine.lang.entries import Days
from engine.values import date_of

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report

ALWAYS: Days = (None, None)


def days(node: ast.Effective | None, report: Report) -> Days | None:
    """The days between the two dates; none with the problem noted."""
    if node is None:
        return ALWAYS
    start = literals.date(node.start, node.span, report)
    end = literals.date(node.end, node.span, report) if node.end is not None else None
    if start is None or (end is None and node.end is not None):
        return None
    if end is not None and end < start:
        report.error("effective-order", f"this ends on {node.end}, before it begins on {node.start}", node.span, "exchange the two dates")
        return None
    return start, end


def together(what: str, dates: Sequence[ast.Effective | None], spans: Sequence[Span], report: Report) -> list[Days] | None:
    """The days of each of several values of `what`; none with every problem noted. `spans` are where the values stand."""
    if len(dates) == 1 and dates[0] is None:
        return [ALWAYS]
    undated = [span for node, span in zip(dates, spans, strict=True) if node is None]
    if undated:
        message = f"{what} has several values, and this one has no dates"
        report.error("value-without-dates", message, undated[0], "write from when it holds, like `effective from 2025-06-01`")
        return None
    found = [days(node, report) for node in dates]
    there = [one for one in found if one is not None]
    return there if len(there) == len(found) and _joined(what, there, spans, report) else None


def throughout(what: str, spans: Sequence[Days], rule: Days, span: Span, report: Report) -> bool:
    """Whether something a rule has on each of its days is in force on all of them; noted where it is not. `spans` leave no hole."""
    start, end = spans[0][0], spans[-1][1]
    if start is not None and (rule[0] is None or rule[0] < start):
        day = date_of(start).isoformat()
        message = f"{what} begins on {day}, and this rule " + ("always holds" if rule[0] is None else "before that")
        report.error("param-not-in-force", message, span, f"let the rule begin with it: `effective from {day}`")
        return False
    if end is not None and (rule[1] is None or rule[1] > end):
        day = date_of(end).isoformat()
        message = f"{what} ends on {day}, and this rule goes on"
        report.error("param-not-in-force", message, span, f"let the rule end with it: `effective from ... to {day}`")
        return False
    return True


def _joined(what: str, found: Sequence[Days], spans: Sequence[Span], report: Report) -> bool:
    """Whether each begins on the day after the one before it ends."""
    ordered = sorted(zip(found, spans, strict=True), key=lambda one: one[0][0] or 0)
    sound = True
    for (first, here), (then, there) in pairwise(ordered):
        start = then[0] or 0
        before = date_of(start - 1).isoformat()
        if first[1] is None or first[1] >= start:
            sound = False
            message = f"{what} has two values on {date_of(start).isoformat()}"
            report.error("effective-overlap", message, there, f"end the earlier one with `to {before}`", (("the other is here", here),))
        elif first[1] < start - 1:
            sound = False
            after = date_of(first[1] + 1).isoformat()
            message = f"{what} has no value " + (f"on {before}" if after == before else f"from {after} to {before}")
            report.error("effective-hole", message, there, "let one of the two reach over these days", (("the one before is here", here),))
    return sound
