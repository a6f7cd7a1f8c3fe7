"""Aggregates over history, typed: what is taken together, of which rows, by which key. It computes nothing; windows are run elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lang import ast, fit, ir, judge, windows
from engine.lang.arithmetic import describe
from engine.lang.expressions import Typer
from engine.values import DAY, DURATION, NUMBER, Type

if TYPE_CHECKING:
    from engine.lang.program import Program

_FUNCTIONS = {"count of distinct": "distinct"}
_SUMMABLE = ("integer", "number", "money", "percent", "duration")
_ANY = (*fit.ORDERED, "flag")
_TAKES = {
    "sum": (_SUMMABLE, "added up"),
    "mean": (_SUMMABLE, "averaged"),
    "stddev": (_SUMMABLE, "averaged"),
    "share": (_SUMMABLE, "added up"),
    "min": (fit.ORDERED, "put in order"),
    "max": (fit.ORDERED, "put in order"),
    "distinct": (_ANY, "counted"),
    "most repeated": (_ANY, "counted"),
    "first": (_ANY, "kept"),
    "last": (_ANY, "kept"),
}
"""What each function can take, and what it does to it, for the message."""

_KEYS = ("text", "integer", "date", "datetime", "flag", "percent", "duration")
_FITS = {
    "day": ("day", "week", "month", "quarter", "year"),
    "week": ("week",),
    "month": ("month", "quarter", "year"),
    "quarter": ("quarter", "year"),
    "year": ("year",),
}
"""The periods that are made up of whole ones of each kind."""

_PERIODS = {"day": (1, 1), "week": (7, 1), "month": (31, 1), "quarter": (92, 3), "year": (366, 12)}
"""At most how many days, and in how many calendar months, each period is over."""


def aggregate(node: ast.Aggregate, program: Program) -> tuple[ir.Aggregate, Type] | None:
    """The typed aggregate and the type of its value, or none with every problem noted."""
    return _nested(node, node.of, program) if isinstance(node.of, ast.Aggregate) else _plain(node, program)


def _plain(node: ast.Aggregate, program: Program) -> tuple[ir.Aggregate, Type] | None:
    function = _FUNCTIONS.get(node.function, node.function)
    rows = Typer(program.history.rows(), program.report)
    of = rows.typed(node.of) if node.of is not None and not isinstance(node.of, ast.Aggregate) else None
    where, among, sound = _conditions(node, program)
    over = _window(node.window, program)
    per, matched = _keys(node, program)
    needed, needs = windows.needs(node.needs, over, program) if over is not None else (False, None)
    if over is None or per is None or matched is None or not sound or not needed or (node.of is not None and of is None):
        return None
    if of is not None and not _takes(function, of.type, node, program):
        return None
    bounded = of is not None and function == "sum" and judge.never_negative(of, _signless(program))
    made = ir.Aggregate(function, of, over, per, where, bounded, among, None, matched, needs)
    return made, _result(function, None if of is None else of.type, bounded)


def _takes(function: str, type_: Type, node: ast.Aggregate, program: Program) -> bool:
    kinds, verb = _TAKES[function]
    if type_.kind in kinds:
        return True
    span = node.of.span if node.of is not None else node.span
    program.report.error("aggregate-type", f"values of {describe(type_)} cannot be {verb}", span)
    return False


def _result(function: str, of: Type | None, bounded: bool) -> Type:
    """The type of an aggregate's value, which is money in whole minor units, and in percent and time what rounds to their smallest unit."""
    if function == "most repeated":
        return Type("integer")
    if function in ("count", "distinct"):
        return Type("integer", interval=True)
    if of is None:
        return DURATION
    if function == "share" or (function in ("mean", "stddev") and of.kind == "integer"):
        return NUMBER
    return replace(of, scale=1, interval=bounded or function in ("min", "max"))


# --- conditions ------------------------------------------------------------------------------------------------------


def _conditions(node: ast.Aggregate, program: Program) -> tuple[ir.Expr | None, ir.Expr | None, bool]:
    """`where` and `among`, and whether they are sound. What stands behind the key of a share narrows both."""
    if node.part is None or node.among is None:
        where = None if node.where is None else condition(node.where, program)
        return where, None, node.where is None or where is not None
    part = condition(node.part, program)
    among = condition(node.among, program)
    only = None if node.where is None else condition(node.where, program)
    if part is None or among is None or (node.where is not None and only is None):
        return None, None, False
    among = among if only is None else ir.And((among, only), span=among.span)
    sound = _may_hold(ir.And((part, among), span=part.span), program)
    return part, among, sound


def condition(node: ast.Expr, program: Program) -> ir.Expr | None:
    """A condition on rows of history, which may compare them with this event; none with the problem noted."""
    made = Typer(program.history.rows(this=True), program.report).condition(node, "the condition of a feature")
    if made is None or not _may_hold(made, program):
        return None
    if program.defines.verdict(made) is True and not (program.overrides or isinstance(node, ast.Literal)):
        # who writes `among true` means it
        message = "every event meets this condition: it leaves nothing out"
        program.report.warning("where-always", message, node.span, "leave `where` out, or is a comparison missing?")
    optional = {field.name for field in program.env.record.fields if field.optional}
    for name in sorted(ir.reads(made)):
        if name.removeprefix("this.") in optional and judge.lacking(made, name):
            hint = f"add `and {name} is known`, or `or {name} is missing`"
            program.report.warning("where-undecided", f"where `{name}` is missing nobody knows whether a row counts", node.span, hint)
    return made


def _may_hold(condition: ir.Expr, program: Program) -> bool:
    """Whether some event may meet the condition; a test may well set a param to where none does."""
    if program.overrides or program.defines.verdict(condition) is not False:
        return True
    program.report.error("where-never", "no event can ever meet this condition: it contradicts itself", condition.span)
    return False


def _window(node: ast.Window, program: Program) -> ir.Window | None:
    over = windows.window(node, program)
    if over is None or node.event is None:
        return over
    event = condition(node.event, program)
    return None if event is None else replace(over, event=event)


# --- keys ------------------------------------------------------------------------------------------------------------


def _keys(node: ast.Aggregate, program: Program) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The fields of the key, and those in which a row may bear it."""
    per = named(node.per, "the key", program)
    if not node.matched:
        return per, ()
    if len(node.per) > 1:
        several = f"`matched as` looks for one key in several fields, and this key has {len(node.per)}"
        program.report.error("matched-key", several, node.matched[0].span, "keep one field after `per`")
        return None, None
    matched = named(node.matched, "`matched as`", program)
    if per is None or matched is None:
        return None, None
    key = program.history.fields[per[0]]
    for name in node.matched:
        type_ = program.history.fields[name.path]
        if (type_.kind, type_.currency) != (key.kind, key.currency):
            message = f"`{name.path}` is {describe(type_)} and `{per[0]}` is {describe(key)}, so neither is ever the other"
            program.report.error("matched-key", message, name.span)
            matched = None
    return per, matched


def named(nodes: tuple[ast.Name, ...], what: str, program: Program) -> tuple[str, ...] | None:
    """The fields named, each one that history can be kept by, or none with the problems noted."""
    names: list[str] = []
    for node in nodes:
        type_ = windows.field_type(node.path, node.span, program)
        if type_ is None:
            continue
        if type_.kind not in _KEYS and type_.currency is None:  # money of one currency is a whole number, and as good a key
            message = f"`{node.path}` is {describe(type_)}; history is kept per text, integer, date, flag or money of one currency"
            program.report.error("key-type", message, node.span)
        elif node.path in names:
            program.report.error("duplicate-name", f"`{node.path}` stands twice in {what}", node.span)
        else:
            names.append(node.path)
    return tuple(names) if len(names) == len(nodes) else None


# --- one inside another ----------------------------------------------------------------------------------------------


def _nested(node: ast.Aggregate, inside: ast.Aggregate, program: Program) -> tuple[ir.Aggregate, Type] | None:
    """An aggregate over the values of another, one value a calendar period."""
    function = _FUNCTIONS.get(node.function, node.function)
    shaped = _well_nested(node, inside, program)
    made = None if isinstance(inside.of, ast.Aggregate) else _plain(inside, program)
    over = _window(node.window, program)
    per, matched = _keys(node, program)
    needed, needs = windows.needs(node.needs, over, program) if over is not None else (False, None)
    if not shaped or made is None or over is None or per is None or matched is None or not needed:
        return None
    inner, type_ = made
    if not _same_key(node, inner, matched, program) or not _takes(function, type_, node, program):
        return None
    if not _holds_a_period(over, inner.window.period):
        message = f"no whole {inner.window.period} fits into this window"
        program.report.error("nested-aggregate", message, node.window.span, f"write for example `over last 3 full {inner.window.period}s`")
        return None
    matched = matched or inner.matched
    inner = replace(inner, matched=matched)
    bounded = function == "sum" and judge.counts_up(inner, _signless(program))
    outer = ir.Aggregate(function, None, over, per, None, bounded, None, inner, matched, needs)
    return outer, _result(function, type_, bounded)


def _well_nested(node: ast.Aggregate, inside: ast.Aggregate, program: Program) -> bool:
    """Whether the words stand where they mean something: noted where they do not."""
    found: list[tuple[str, Any, str | None]] = []
    period = inside.window.period or ""
    if isinstance(inside.of, ast.Aggregate):
        found.append(("an aggregate holds one other at most", inside.of.span, "make a feature of the inner one"))
    if inside.window.kind != "calendar":
        hint = "write for example `over calendar month`"
        found.append(("the inner aggregate gives one value a calendar period", inside.window.span, hint))
    elif node.window.kind in ("full", "calendar") and node.window.period not in _FITS[period]:
        found.append(
            (f"this window is not made up of whole {period}s", node.window.span, f"write for example `over last 3 full {period}s`")
        )
    elif node.window.kind in ("events", "business", "since event"):
        found.append(
            (f"no {period}s can be told apart in this window", node.window.span, f"write for example `over last 3 full {period}s`")
        )
    if inside.function == "time since last":
        found.append(("`time since last` looks back from one event, not over a period", inside.span, None))
    if node.where is not None:
        hint = "put it behind the key inside the parentheses"
        found.append(("a condition chooses events, and here stand periods", node.where.span, hint))
    if inside.needs is not None:
        found.append(("what is needed is said once, of the whole", inside.needs.span, "put it behind the parentheses"))
    for message, span, advice in found:
        program.report.error("nested-aggregate", message, span, advice)
    return not found


def _same_key(node: ast.Aggregate, inner: ir.Aggregate, matched: tuple[str, ...], program: Program) -> bool:
    if set(inner.per) == {name.path for name in node.per} and (not matched or not inner.matched or set(matched) == set(inner.matched)):
        return True
    inside = ", ".join(inner.per) + (f", matched as {' or '.join(inner.matched)}" if inner.matched else "")
    message = f"the inner aggregate is kept per `{inside}`, this one by another key"
    program.report.error("nested-aggregate", message, node.per[0].span, "write the same key twice")
    return False


def _holds_a_period(over: ir.Window, period: str) -> bool:
    """Whether a window of a fixed length is at least one period long, however long that one is."""
    days, months = _PERIODS[period]
    if over.kind not in ("trailing", "before", "lagged"):
        return True
    if over.unit == "months":
        return over.length >= months
    return over.length >= days * (1 if over.unit == "days" else DAY)


def _signless(program: Program) -> set[str]:
    """The fields declared `not negative`."""
    return {field.name for field in program.env.record.fields if field.not_negative}
