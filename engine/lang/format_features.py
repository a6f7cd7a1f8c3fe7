"""Features over history as text: on one line, or a line each for measure, window, condition and needs."""

from __future__ import annotations

from engine.lang import ast
from engine.lang.format_expressions import ATOM, OR, SUM, broken, literal, show, title
from engine.lang.layout import WIDTH, Line


def feature_lines(node: ast.Feature) -> list[Line]:
    start = f"feature {node.name.text}{title(node.title)}"
    flat = f"{start} = {_flat_value(node.value)}"
    if len(flat) <= WIDTH:
        return [Line(flat, node.span.line)]
    return [Line(start, node.span.line), *_long_value(node.value)]


def _flat_value(node: ast.Aggregate | ast.Network | ast.Expr) -> str:
    if isinstance(node, ast.Network):
        return _network(node)
    return _aggregate(node) if isinstance(node, ast.Aggregate) else show(node, OR)


def _long_value(node: ast.Aggregate | ast.Network | ast.Expr) -> list[Line]:
    if isinstance(node, ast.Network):
        return _long_network(node)
    return _long_aggregate(node) if isinstance(node, ast.Aggregate) else broken("  = ", node, "", "    ")


def _aggregate(node: ast.Aggregate) -> str:
    where = f" where {show(node.where, OR)}" if node.where is not None else ""
    return f"{_measure(node)} {_over(node)}{where}{_needs(' needs', node.needs)}"


def _measure(node: ast.Aggregate) -> str:
    if node.of is None:
        return node.function
    of = f"({_aggregate(node.of)})" if isinstance(node.of, ast.Aggregate) else show(node.of, SUM)
    if node.part is not None and node.among is not None:
        return f"share of {of} where {show(node.part, OR)} among {show(node.among, OR)}"
    return f"{node.function} {of}" if node.function in ("count of distinct", "most repeated") else f"{node.function} of {of}"


def _over(node: ast.Aggregate) -> str:
    matched = f", matched as {' or '.join(name.path for name in node.matched)}" if node.matched else ""
    return f"over {window(node.window)} per {', '.join(name.path for name in node.per)}{matched}"


def window(node: ast.Window) -> str:
    length = "" if node.length is None else show(node.length, ATOM)
    match node.kind:
        case "before":
            return f"{length} before this"
        case "lagged" if node.lag is not None:
            return f"{length} ending {show(node.lag, ATOM)} ago"
        case "events":
            return f"last {length} event{'' if length == '1' else 's'}"
        case "full":
            return f"last full {node.period}" if node.length is None else f"last {length} full {node.period}{'' if length == '1' else 's'}"
        case "calendar":
            return f"calendar {node.period}"
        case "business" if node.closing is not None:
            holidays = f" except {node.holidays.path}" if node.holidays is not None else ""
            return f"business day closing at {node.closing.text}{holidays}"
        case "since" if node.field is not None:
            return f"since {node.field.path}"
        case "since event" if node.event is not None:
            return f"since last event where ({show(node.event, OR)})"
        case _:
            return length


def _needs(start: str, node: ast.Needs | None) -> str:
    if node is None:
        return ""
    amount = literal(node.amount)
    return f"{start} {amount} of history" if node.kind == "history" else f"{start} {amount} event{'' if amount == '1' else 's'}"


def _long_aggregate(node: ast.Aggregate) -> list[Line]:
    """The measure, then a line each for the window, the condition and what is needed, as far as they do not fit on one."""
    flat = f"  = {_aggregate(node)}"
    if len(flat) <= WIDTH:
        return [Line(flat, node.span.line)]
    lines = [Line(f"  = {_measure(node)} {_over(node)}", node.span.line)]
    if len(lines[0].text) > WIDTH:
        lines = [Line(f"  = {_measure(node)}", node.span.line), Line(f"    {_over(node)}", node.window.span.line)]
    if node.where is not None:
        lines += broken("    where ", node.where, "", "      ")
    return lines + [Line(_needs("    needs", one), one.span.line) for one in (node.needs,) if one is not None]


def _network(node: ast.Network) -> str:
    where = f" where {show(node.where, OR)}" if node.where is not None else ""
    return f"{_paths(node)} {_within_window(node)}{where}{_needs(' needs', node.needs)}{_effort(' ', node)}"


def _paths(node: ast.Network) -> str:
    source, target = node.ends
    hops = "" if node.hops is None else f" of up to {show(node.hops, ATOM)} hops"
    return f"count of {node.function} from {source.path} to {target.path}{hops}"


def _within_window(node: ast.Network) -> str:
    close = ""
    if node.amount is not None and node.within is not None:
        close = f" with {show(node.amount, SUM)} within {show(node.within, SUM)}"
    return f"over {window(node.window)}{close}"


def _effort(start: str, node: ast.Network) -> str:
    if node.effort is None:
        return ""
    number = show(node.effort, ATOM)
    return f"{start}looking at no more than {number} event{'' if number == '1' else 's'}"


def _long_network(node: ast.Network) -> list[Line]:
    """The same on several lines, as `_long_aggregate` breaks them."""
    flat = f"  = {_network(node)}"
    if len(flat) <= WIDTH:
        return [Line(flat, node.span.line)]
    lines = [Line(f"  = {_paths(node)}", node.span.line), Line(f"    {_within_window(node)}", node.window.span.line)]
    if node.where is not None:
        lines += broken("    where ", node.where, "", "      ")
    lines += [Line(_needs("    needs", one), one.span.line) for one in (node.needs,) if one is not None]
    return lines + [Line(_effort("    ", node), one.span.line) for one in (node.effort,) if one is not None]
