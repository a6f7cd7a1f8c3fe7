"""Features that follow money from one account to the next, typed: which fields are the ends of a hop, how many hops, how close amounts are.

It follows nothing; that is done elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.lang import ast, ir, windows
from engine.lang.aggregates import condition, named
from engine.lang.arithmetic import describe
from engine.lang.expressions import Typer
from engine.values import PERCENT_UNIT, Type

if TYPE_CHECKING:
    from engine.lang.program import Program

EFFORT: Final = 10_000
"""How many events a feature looks at where it does not say."""
_MOST_EFFORT: Final = 1_000_000
_HOPS: Final = (2, 8)
_AMOUNTS: Final = ("integer", "number", "money")
_ENDS_NOW: Final = ("trailing", "calendar", "business", "since")


def network(node: ast.Network, program: Program) -> tuple[ir.Aggregate, Type] | None:
    """The typed feature and the type of its value, or none with every problem noted."""
    ends = _ends(node, program)
    over = _window(node.window, program)
    hops = _number(node.hops, "the number of hops", _HOPS, _HOPS[0], program)
    effort = _number(node.effort, "the number of events looked at", (1, _MOST_EFFORT), EFFORT, program)
    amount, within, close = _tolerance(node, program)
    where = None if node.where is None else condition(node.where, program)
    needs = _needs(node.needs, over, program)
    sound = close and (node.where is None or where is not None) and (node.needs is None or needs is not None)
    if ends is None or over is None or hops is None or effort is None or not sound:
        return None
    made = ir.Aggregate(node.function, amount, over, ends, where, needs=needs, network=ir.Network(effort, hops, within))
    return made, Type("integer", interval=True)


def _ends(node: ast.Network, program: Program) -> tuple[str, ...] | None:
    ends = named(node.ends, "the two ends of a hop", program)
    if ends is None:
        return None
    source, target = (program.history.fields[name] for name in ends)
    if (source.kind, source.currency) == (target.kind, target.currency):
        return ends
    message = f"`{ends[1]}` is {describe(target)} and `{ends[0]}` is {describe(source)}, so no account is ever both"
    program.report.error("bad-network", message, node.ends[1].span, "name two fields that hold the same kind of account")
    return None


def _window(node: ast.Window, program: Program) -> ir.Window | None:
    if node.kind in _ENDS_NOW:
        return windows.window(node, program)
    message = "the last hop is this event, so the window is a time that ends with it"
    program.report.error("bad-network", message, node.span, "write for example `over 10 days` or `over calendar month`")
    return None


def _number(node: ast.Expr | None, what: str, bounds: tuple[int, int], usual: int, program: Program) -> int | None:
    if node is None:
        return usual
    number = Typer(program.scope, program.report, program.day).constant(node, what)
    if number is None:
        return None
    if number.type.kind == "integer" and bounds[0] <= number.value <= bounds[1]:
        return int(number.value)
    have = f", this is {describe(number.type)}" if number.type.kind != "integer" else ""
    low, high = bounds
    program.report.error("bad-network", f"{what} is a whole number from {low} to {high:_}{have}", node.span)
    return None


def _tolerance(node: ast.Network, program: Program) -> tuple[ir.Expr | None, int | None, bool]:
    """The amount, how far others may be from it, and whether both are sound."""
    if node.amount is None or node.within is None:
        return None, None, True
    amount = Typer(program.history.rows(), program.report).typed(node.amount)
    within = Typer(program.scope, program.report, program.day).constant(node.within, "how far amounts may lie apart")
    if amount is not None and amount.type.kind not in _AMOUNTS:
        message = f"amounts are compared, and this is {describe(amount.type)}"
        program.report.error("bad-network", message, node.amount.span)
        amount = None
    if within is not None and (within.type.kind != "percent" or not 0 <= within.value <= PERCENT_UNIT):
        have = f", this is {describe(within.type)}" if within.type.kind != "percent" else ""
        message = f"how far amounts may lie apart is a part of this event's, from 0% to 100%{have}"
        program.report.error("bad-network", message, node.within.span, "write for example `10%`")
        within = None
    return amount, None if within is None else within.value, amount is not None and within is not None


def _needs(node: ast.Needs | None, over: ir.Window | None, program: Program) -> tuple[str, int, str] | None:
    if node is None or over is None:
        return None
    if node.kind == "events":
        message, hint = "a network has no number of events that is enough", "write for example `needs 1 month of history`"
        program.report.error("bad-needs", message, node.span, hint)
        return None
    return windows.needs(node, over, program)[1]
