"""The windows of features, and what a feature needs before it says anything: typed, and refused where they make no sense.

It computes no window of any event; it knows lengths, periods, holidays, and the field a window may begin at.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from engine.lang import ast, ir
from engine.lang.arithmetic import describe
from engine.lang.expressions import Typer
from engine.lang.lists import ListValue
from engine.values import DAY, EPOCH_DAY, HOUR, MINUTE, known

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.program import Program
    from engine.values import Type

_YEARS = 100
_LONGEST = {"days": 36_525, "microseconds": 36_525 * DAY, "months": _YEARS * 12}
_MOST_PERIODS = {"day": 36_525, "week": 5_217, "month": _YEARS * 12, "quarter": _YEARS * 4, "year": _YEARS}
_MOST_EVENTS = 1_000_000
_CLOCK = re.compile(r"(\d|[01]\d|2[0-3]):([0-5]\d)|(24):(00)")
_DAY_TEXT = re.compile(r"\d{4}-\d\d-\d\d")


def window(node: ast.Window, program: Program) -> ir.Window | None:
    """The typed window, or none with the problems noted; that of `since last event` gets its condition from the caller."""
    match node:
        case ast.Window(kind="lagged", length=length, lag=lag) if length is not None and lag is not None:
            return _lagged(length, lag, program)
        case ast.Window(kind="events" | "full", length=length):
            return _counted(node, length, program)
        case ast.Window(kind="calendar", period=period):
            return ir.Window("calendar", period=period or "")
        case ast.Window(kind="business"):
            return _business(node, program)
        case ast.Window(kind="since", field=field) if field is not None:
            return _since(field, program)
        case ast.Window(kind="since event"):
            return ir.Window("since event")
        case ast.Window(kind=kind, length=length) if length is not None:
            made = _length(length, "the length of a window", "bad-window", program)
            return None if made is None else ir.Window(kind, *made)
        case _:
            return None


def counts_dates(program: Program) -> bool:
    """Whether the record's time is a date, so that windows count dates."""
    record = program.env.record
    return any(field.name == record.time and field.type.kind == "date" for field in record.fields)


# --- lengths ---------------------------------------------------------------------------------------------------------


def _length(node: ast.Expr, what: str, code: str, program: Program) -> tuple[int, str] | None:
    """A length and its unit, or none with the problem noted under `code`; `what` names it in messages."""
    length = Typer(program.scope, program.report, program.day).constant(node, what)
    if length is None:
        return None
    if length.type.kind not in ("duration", "months"):
        hint = "write its unit, like `7 days`"
        program.report.error(code, f"{what} is a duration, this is {describe(length.type)}", node.span, hint)
        return None
    value, unit = length.value, "months" if length.type.kind == "months" else "microseconds"
    if value <= 0 or value > _LONGEST[unit]:
        limit = "more than nothing" if value <= 0 else f"at most {_YEARS} years"
        program.report.error(code, f"{what} is {limit}", node.span)
        return None
    if unit == "months" or not counts_dates(program):
        return value, unit
    if value % DAY:
        program.report.error(code, f"the record's time is a date, so {what} is whole days", node.span)
        return None
    return value // DAY, "days"


def _lagged(length: ast.Expr, lag: ast.Expr, program: Program) -> ir.Window | None:
    made = _length(length, "the length of a window", "bad-window", program)
    back = _length(lag, "how long ago a window ends", "bad-window", program)
    return None if made is None or back is None else ir.Window("lagged", *made, *back)


def _counted(node: ast.Window, length: ast.Expr | None, program: Program) -> ir.Window | None:
    """The last so many events, or whole periods."""
    what, most = ("events", _MOST_EVENTS) if node.period is None else (f"full {node.period}s", _MOST_PERIODS[node.period])
    number = 1
    if length is not None:
        constant = Typer(program.scope, program.report, program.day).constant(length, f"the number of {what}")
        if constant is None:
            return None
        if constant.type.kind != "integer" or not 1 <= constant.value <= most:
            have = f", this is {describe(constant.type)}" if constant.type.kind != "integer" else ""
            message = f"the number of {what} is a whole number from 1 to {most:_}{have}"
            program.report.error("bad-window", message, length.span)
            return None
        number = constant.value
    return ir.Window("events", number, "events") if node.period is None else ir.Window("full", number, period=node.period)


def needs(node: ast.Needs | None, over: ir.Window, program: Program) -> tuple[bool, tuple[str, int, str] | None]:
    """Whether it makes sense, with the problem noted if not; and the typed form, none where nothing is needed."""
    if node is None:
        return True, None
    if node.kind == "history":
        made = _length(node.amount, "the history that is needed", "bad-needs", program)
        return made is not None, None if made is None else ("history", *made)
    number = Typer(program.scope, program.report, program.day).constant(node.amount, "the number of events that are needed")
    if number is None:
        return False, None
    if number.type.kind != "integer" or not 1 <= number.value <= _MOST_EVENTS:
        program.report.error("bad-needs", f"the events that are needed are a whole number from 1 to {_MOST_EVENTS:_}", node.amount.span)
        return False, None
    if over.kind == "events" and number.value > over.length:
        message = f"{number.value} events are needed of a window that holds {over.length} at most"
        program.report.error("bad-needs", message, node.span)
        return False, None
    return True, ("events", number.value, "")


# --- business days ---------------------------------------------------------------------------------------------------


def _business(node: ast.Window, program: Program) -> ir.Window | None:
    closing = _closing(node.closing, program) if node.closing is not None else None
    holidays = _holidays(node.holidays, program) if node.holidays is not None else frozenset[int]()
    if counts_dates(program):
        message = "the record's time is a date, so nobody knows what came after closing time"
        program.report.error("window-time", message, node.span, "use `calendar day`")
        return None
    return None if closing is None or holidays is None else ir.Window("business", closing=closing, holidays=holidays)


def _closing(word: ast.Word, program: Program) -> int | None:
    clock = _CLOCK.fullmatch(word.text)
    if clock is None:
        program.report.error("bad-window", f"there is no time of day `{word.text}`", word.span, "it goes from `0:00` to `24:00`")
        return None
    hours, minutes = (int(part) for part in clock.groups() if part is not None)
    return hours * HOUR + minutes * MINUTE


def _holidays(node: ast.Name, program: Program) -> frozenset[int] | None:
    """The days of a list, as days since 1970-01-01; a list from a file holds them as ISO text."""
    found = program.scope.lookup(node.path, node.span)
    if found is None:
        program.scope.explain(node.path, node.span, program.report)
        return None
    if not isinstance(found, ListValue):
        program.report.error("holidays-type", f"`{node.path}` is {describe(found.type)}, not a list of dates", node.span)
        return None
    if found.is_dated:
        message = f"the list `{node.path}` has dates of its own, and holidays are dates already"
        program.report.error("holidays-type", message, node.span, "put the holidays of all years into one list")
        return None
    if found.type.kind == "date":
        return frozenset(day for day in found.values if known(day))
    if found.type.kind != "text":
        program.report.error("holidays-type", f"the list `{node.path}` holds {describe(found.type)}, not dates", node.span)
        return None
    days = {text: _day(text) for text in sorted(found.values)}
    odd = next((text for text, day in days.items() if day is None), None)
    if odd is not None:
        hint = "write dates as `2026-12-25`"
        program.report.error("holidays-type", f"the list `{node.path}` holds `{_short(odd)}`, which is no date", node.span, hint)
        return None
    return frozenset(day for day in days.values() if day is not None)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _day(text: str) -> int | None:
    if not _DAY_TEXT.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text).toordinal() - EPOCH_DAY.toordinal()
    except ValueError:
        return None


# --- since -----------------------------------------------------------------------------------------------------------


def _since(node: ast.Name, program: Program) -> ir.Window | None:
    type_ = field_type(node.path, node.span, program)
    if type_ is None:
        return None
    if type_.kind not in ("date", "datetime"):
        message = f"`{node.path}` is {describe(type_)}; a window begins at a date or a time"
        program.report.error("window-time", message, node.span)
        return None
    if type_.kind == "datetime" and counts_dates(program):
        message = f"the record's time is a date, so a window begins at a date, and `{node.path}` is {describe(type_)}"
        program.report.error("window-time", message, node.span)
        return None
    return ir.Window("since", field=node.path)


def field_type(name: str, span: Span, program: Program) -> Type | None:
    """The type of a field of the record, or none with the problem noted."""
    type_ = program.history.fields.get(name)
    if type_ is None:
        scope = program.history.rows()
        if name in scope.refused:
            scope.explain(name, span, program.report)
        elif not scope.is_silent(name):
            program.report.error("unknown-name", f"there is no field `{name}`", span, program.report.suggest(name, program.history.fields))
    return type_
