"""`amount in EUR`: money into another currency, by the rates that the file uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.currencies import DIGITS
from engine.lang import ast, ir, literals
from engine.lang.arithmetic import describe
from engine.lang.environment import NO_RATES
from engine.rates import RATE_MAX
from engine.values import EXACT_MAX, Type

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.functions import Typer
    from engine.rates import Rates

USED: Final = "rates are used"
"""What stands among the names used where something is converted."""


def convert(typer: Typer, node: ast.Convert) -> ir.Expr | None:
    """The conversion, typed, or none with the problem noted; an amount of that currency as it is."""
    item, target, report = typer.typed(node.item), node.currency.text, typer.report
    if not literals.known_currency(target, node.currency.span, report) or item is None:
        return None
    if item.type.kind != "money":
        hint = f'write `= "{target}"`' if item.type.kind == "text" else None
        report.error("type-mismatch", f"only money is converted, this is {describe(item.type)}", item.span, hint)
        return None
    typer.scope.used.add(USED)
    rates, now = typer.scope.rates, _now(typer)
    if rates is None:
        if not typer.scope.is_silent(NO_RATES):
            message = "amounts are converted by exchange rates, and this file uses none"
            report.error("no-rates", message, node.span, "add `uses rates NAME` below its header")
        return None
    if not all(
        [_has(rates, target, node.currency.span, typer), item.type.by is not None or _has(rates, item.type.currency, item.span, typer)]
    ):
        return None
    if item.type.currency == target:
        return item
    if item.type.scale * RATE_MAX * 10 ** max(DIGITS.values()) > EXACT_MAX // 2:
        report.error("number-too-large", "this amount has more decimals than can be converted exactly", item.span, "use fewer decimals")
        return None
    type_ = Type("money", currency=target, interval=item.type.interval)
    return ir.Convert(item, rates, now, typer.scope.zone, type=type_, span=node.span)


def _now(typer: Typer) -> ir.Read:
    return ir.Read("now", type=typer.scope.time)


def _has(rates: Rates, currency: str | None, span: Span, typer: Typer) -> bool:
    if currency is None or currency in rates:
        return True
    there = (rates.base, *rates.published)
    hint = typer.report.suggest(currency, there) or "there are " + ", ".join(f"`{code}`" for code in there[:20])
    typer.report.error("no-rate", f"the rates `{rates.name}` have none of `{currency}`", span, hint)
    return False
