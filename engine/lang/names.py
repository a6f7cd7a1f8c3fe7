"""Comparisons of names with a list: `resembles any in`, and `match`, what such a comparison found."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from engine.diagnostics import Span
from engine.lang import ast, ir
from engine.lang.arithmetic import describe
from engine.lang.dated import Fixed, is_fixed
from engine.lang.entries import Entries
from engine.lang.functions import Typer
from engine.lang.lists import Held, Ids, ListValue
from engine.lang.scope import Refusal
from engine.screening.names import LIBRARIES, Entry, Names
from engine.values import PERCENT, PERCENT_UNIT, TEXT, Type, show

if TYPE_CHECKING:
    from engine.lang.problems import Report

PARTS: Final = {"match": "text", "match.name": "name", "match.id": "id", "match.score": "score", "match.list": "list"}
"""What a rule that compares names can say of the entry that was found."""
_LEAST: Final = PERCENT_UNIT // 100
_LOOSE: Final = 60 * _LEAST


def resembles(typer: Typer, node: ast.Resembles) -> ir.Expr | None:
    """The typed comparison, or none with every problem noted."""
    item, least = typer.typed(node.item), _least(typer, node.least)
    found = typer.scope.lookup(node.listed.path, node.listed.span)
    if found is None:
        typer.scope.explain(node.listed.path, node.listed.span, typer.report)
        return None
    listed = _text_list(found, node.listed, typer.report)
    sound = item is not None and _is_text(item, typer.report)
    if listed is None or item is None or not sound or least is None or not _installed(node.span, typer.report):
        return None

    _point_out_nameless(listed, node.listed.span, typer.report)

    def ask(held: Held, by: int) -> ir.Expr:
        day = ir.day_of_event() if isinstance(held, Entries) else None
        return ir.Resembles(item, names(held, listed.ids), by, day, listed.name, listed.version, span=node.span)

    if isinstance(least, ir.Const):
        return listed.asked(partial(ask, by=least.value), node.span)
    items = tuple(listed.asked(partial(ask, by=each.value), node.span) for each in least.items if isinstance(each, ir.Const))
    return ir.Dated(least.day, least.spans, items, least.name, span=node.span)


@lru_cache(maxsize=64)
def names(held: Held, ids: Ids) -> Names:
    """What a list holds as names, made once however many rules look in it."""
    bearers: dict[str, list[str]] = {}
    for name, bearer in ids:
        bearers.setdefault(name, []).append(bearer)
    days = held if isinstance(held, Entries) else {}
    return Names(Entry(name, bearer, days.get(name, ())) for name in held for bearer in bearers.get(name, [""]))


def _point_out_nameless(listed: ListValue, span: Span, report: Report) -> None:
    """Entries that are on the list and that no name can resemble, told once however many rules look in it."""
    lost = sorted(entry.name for held, ids in ((held, listed.ids) for _, held in listed.holds) for entry in names(held, ids).nameless())
    if lost:
        more = f", and {len(lost) - 1:_} more" if len(lost) > 1 else ""
        message = f"the list `{listed.name}` has an entry that no name resembles: `{lost[0][:40]}`{more}"
        if all(one.message != message for one in report.found):
            report.warning("nameless-entry", message, span, "a name has a letter or a digit, and at most 1_000 characters")


def _least(typer: Typer, node: ast.Expr) -> Fixed | None:
    """How alike two names must be, as a percentage, on all days or on each."""
    found = typer.typed(node)
    if found is None:
        return None
    hint = "write a percentage like `85%`"
    if found.type.kind != "percent":
        typer.report.error("bad-threshold", f"how alike names must be is a percentage, this is {describe(found.type)}", node.span, hint)
        return None
    if not is_fixed(found):
        typer.report.error("not-constant", "how alike names must be is fixed in the text, this depends on the event", node.span, hint)
        return None
    sizes = [each.value for each in ([found] if isinstance(found, ir.Const) else found.items) if isinstance(each, ir.Const)]
    outside = next((size for size in sizes if not _LEAST <= size <= PERCENT_UNIT), None)
    if outside is not None:
        message = f"names are alike by 1% to 100%, not by {show(outside, PERCENT)}"
        typer.report.error("bad-threshold", message, node.span, hint)
        return None
    if min(sizes) < _LOOSE:
        message = f"most names are alike by {show(min(sizes), PERCENT)}"
        typer.report.warning("loose-threshold", message, node.span, "85% is a good start")
    return found


def _text_list(found: ir.Expr | ListValue, name: ast.Name, report: Report) -> ListValue | None:
    if not isinstance(found, ListValue):
        message = f"`resembles` looks in a list, and `{name.path}` is {describe(found.type)}"
        hint = "name a list that is declared here or used" if found.type.kind == "list" else None
        report.error("type-mismatch", message, name.span, hint)
        return None
    if found.type.kind != "text":
        report.error("type-mismatch", f"`resembles` compares names, and the list `{name.path}` holds {describe(found.type)}", name.span)
        return None
    return found


def _is_text(item: ir.Expr, report: Report) -> bool:
    if item.type.kind == "text":
        return True
    hint = None
    if item.type == TEXT or (item.type.item is not None and item.type.item.kind == "text"):
        hint = "say which items with `any of ... where (it resembles any in ...)`"
    report.error("type-mismatch", f"`resembles` compares names, this is {describe(item.type)}", item.span, hint)
    return False


def _installed(span: Span, report: Report) -> bool:
    """Whether the libraries are there that names are compared with."""
    lost = [library for library in LIBRARIES if importlib.util.find_spec(library) is None]
    if lost:
        message = f"names are compared with a library that is not installed: {', '.join(lost)}"
        report.error("library-missing", message, span, "install `kaskade[screening]`")
    return not lost


# --- what was found --------------------------------------------------------------------------------------------------

NO_MATCH: Final = Refusal(
    "no-match",
    "`match` is the entry that a name was found to resemble, and stands only in `then set` and `because` of a rule that compares names",
    "compare with `resembles any in` after `when` of this rule",
)


def matches(condition: ir.Expr, defines: Mapping[str, ir.Expr]) -> dict[str, ir.Expr]:
    """The names by which a rule with this condition speaks of what it found, if it compares names at all."""
    asked = tuple(dict.fromkeys(_asked(condition, defines, set())))
    if not asked:
        return {}
    return {name: ir.Match(part, asked, type=PERCENT if part == "score" else TEXT) for name, part in PARTS.items()}


def _asked(expr: ir.Expr, defines: Mapping[str, ir.Expr], seen: set[str]) -> Iterator[ir.Expr]:
    """The comparisons in a condition and in the defines it reads, each with what chooses among items or days around it."""
    if isinstance(expr, ir.Read) and expr.name in defines and expr.name not in seen:
        seen.add(expr.name)
        yield from _asked(defines[expr.name], defines, seen)
    elif isinstance(expr, ir.Resembles) or (isinstance(expr, ir.Quantifier | ir.Dated) and compares(expr)):
        yield expr
    else:
        for child in ir.children(expr):
            yield from _asked(child, defines, seen)


def compares(thing: Any) -> bool:
    """Whether names are compared anywhere in an expression, a rule set or a feature set."""
    waiting = [thing]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ir.Resembles):
            return True
        if isinstance(node, tuple):
            waiting.extend(node)
        elif is_dataclass(node) and not isinstance(node, Type | Span):
            waiting.extend(getattr(node, part.name) for part in fields(node))
    return False
