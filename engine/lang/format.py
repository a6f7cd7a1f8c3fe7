"""From the syntax tree to the one look of rule text. It knows no types and no meaning, and never changes what a file says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from engine.lang import ast
from engine.lang.layout import WIDTH, Line, fill, put_back

# --- expressions -----------------------------------------------------------------------------------------------------

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGNED, _ELSE, _ATOM = range(9)
"""How tightly things bind, loosest first: the chain of rules in `grammar/rules.lark`."""

_BINARY: Final = {
    "+": (_SUM, _SUM, _PRODUCT),
    "-": (_SUM, _SUM, _PRODUCT),
    "*": (_PRODUCT, _PRODUCT, _SIGNED),
    "/": (_PRODUCT, _PRODUCT, _SIGNED),
}
"""Per operator: its own tightness, and what its sides must have; all others are comparisons."""


def format_expression(node: ast.Expr) -> str:
    """The expression on one line, with parentheses only where they are needed.

    >>> from engine.lang.parse import parse_expression
    >>> format_expression(parse_expression("(a and (b or c)) and ((x + 1) * 2 > 3)", "", 1, 1)[0])
    '(a and (b or c)) and (x + 1) * 2 > 3'
    """
    return _show(node, _OR)


def _show(node: ast.Expr, least: int) -> str:
    text = _EXPRESSIONS[type(node)](node)
    return f"({text})" if _tightness(node) < least else text


def _tightness(node: ast.Expr) -> int:
    if isinstance(node, ast.Logic):
        return _OR if node.op == "or" else _AND
    if isinstance(node, ast.Binary):
        return _BINARY[node.op][0] if node.op in _BINARY else _COMPARISON
    return _TIGHTNESS.get(type(node), _ATOM)


def _logic(node: ast.Logic) -> str:
    return f" {node.op} ".join(_show(item, _AND if node.op == "or" else _NOT) for item in node.items)


def _binary(node: ast.Binary) -> str:
    _, left, right = _BINARY.get(node.op, (_COMPARISON, _SUM, _SUM))
    return f"{_show(node.left, left)} {node.op} {_show(node.right, right)}"


def _between(node: ast.Between) -> str:
    return f"{_show(node.item, _SUM)} between {_show(node.low, _SUM)} and {_show(node.high, _SUM)}"


def _within(node: ast.Within) -> str:
    return f"{_show(node.item, _SUM)} within {_show(node.tolerance, _SUM)} around {_show(node.center, _SUM)}"


def _membership(node: ast.Membership) -> str:
    return f"{_show(node.item, _SUM)} {'not in' if node.negated else 'in'} {_show(node.choices, _OR)}"


def _else(node: ast.Else) -> str:
    # a minus may stand in front of the fallback, though it binds less tightly
    least = _SIGNED if isinstance(node.fallback, ast.Negate) else _ELSE
    return f"{_show(node.item, _ATOM)} else {_show(node.fallback, least)}"


def _call(node: ast.Call) -> str:
    if node.name in ("hour of", "weekday of"):
        return f"{node.name} {_show(node.args[0], _ATOM)}"
    return f"{node.name}({', '.join(_show(arg, _OR) for arg in node.args)})"


def _quantifier(node: ast.Quantifier) -> str:
    return f"{node.kind} of {node.of.path} where ({_show(node.where, _OR)})"


def _literal(node: ast.Literal) -> str:
    return f'"{node.text}"' if node.kind == "text" else node.text


_EXPRESSIONS: Final[dict[type, Callable[[Any], str]]] = {
    ast.Literal: _literal,
    ast.Name: lambda node: node.path,
    ast.Binary: _binary,
    ast.Logic: _logic,
    ast.Not: lambda node: f"not {_show(node.item, _NOT)}",
    ast.Negate: lambda node: f"-{_show(node.item, _SIGNED)}",
    ast.Between: _between,
    ast.Within: _within,
    ast.IsMissing: lambda node: f"{_show(node.item, _SUM)} is {'known' if node.known else 'missing'}",
    ast.Membership: _membership,
    ast.Tuple: lambda node: f"({', '.join(_show(item, _OR) for item in node.items)})",
    ast.Else: _else,
    ast.Call: _call,
    ast.Quantifier: _quantifier,
    ast.HasFlag: lambda node: f"flag {node.name}",
}
_TIGHTNESS: Final[dict[type, int]] = {
    ast.Not: _NOT,
    ast.Between: _COMPARISON,
    ast.Within: _COMPARISON,
    ast.IsMissing: _COMPARISON,
    ast.Membership: _COMPARISON,
    ast.HasFlag: _COMPARISON,
    ast.Negate: _SIGNED,
    ast.Else: _ELSE,
}


def _broken(start: str, node: ast.Expr, end: str, indent: str, least: int = _OR) -> list[Line]:
    """`start`, the expression, `end`; a condition that is too long is broken before each `and` or `or` of its top."""
    flat = start + _show(node, least) + end
    if len(flat) <= WIDTH or not isinstance(node, ast.Logic):
        return [Line(flat, node.span.line)]
    opened, closed = ("(", ")") if _tightness(node) < least else ("", "")
    inner = _AND if node.op == "or" else _NOT
    lines: list[Line] = []
    for index, item in enumerate(node.items):
        before = start + opened if index == 0 else f"{indent}{node.op} "
        behind = closed + end if index == len(node.items) - 1 else ""
        lines += _broken(before, item, behind, indent + "  ", inner)
    return lines


# --- files -----------------------------------------------------------------------------------------------------------


def format_file(tree: ast.File) -> str:
    """The text of a file in its canonical look, comments kept; reading it gives the same tree.

    >>> from engine.lang.parse import parse
    >>> print(format_file(parse('list geo/a version 1.0.0 values("IR" , "KP") # two', "geo.rules")[0]), end="")
    list geo/a version 1.0.0
      values ("IR", "KP")  # two
    """
    lines = _header(tree)
    before: ast.Declaration | None = None
    for declaration in tree.declarations:
        block = _DECLARATIONS[type(declaration)](declaration)
        block[0].top, block[0].gap = True, _apart(before, declaration)
        if not block[0].source:
            block[0].source = declaration.span.line
        lines += block
        before = declaration
    return put_back(lines, tree.comments)


def _apart(before: ast.Declaration | None, declaration: ast.Declaration) -> bool:
    """Whether a blank line stands between the two; fields stand close to the header, params and lists close together."""
    if isinstance(declaration, ast.Field) or (isinstance(declaration, ast.ListDecl) and declaration.name is None):
        return False
    close = (ast.Input,), (ast.Param, ast.ListDecl)
    return not any(isinstance(before, kinds) and isinstance(declaration, kinds) for kinds in close)


def _header(tree: ast.File) -> list[Line]:
    places = {tag: span.line for tag, span in tree.places}
    lines = [Line(f"{tree.kind} {tree.name.text} version {tree.version.text}", tree.span.line, top=True)]
    if tree.title is not None:
        lines.append(Line(f'  "{tree.title}"', places.get("title", 0)))
    if tree.owner is not None:
        lines.append(Line(f'  owner "{tree.owner}"', places.get("owner", 0)))
    lines += _cites(tree.cites)
    lines += [Line("  " + _uses(use), use.span.line) for use in tree.uses]
    key = ast.Word(", ".join(word.text for word in tree.key), span=tree.key[0].span) if tree.key else None
    by_time = ast.Word("by time") if tree.arrival_by_time else None
    items = (
        ("on missing ", tree.on_missing, ""),
        ('zone "', tree.zone, '"'),
        ("key ", key, ""),
        ("revision ", tree.revision, ""),
        ("time ", tree.time, ""),
        ("arrival ", by_time, ""),
        ("arrival ", tree.arrival, ""),
        ("late up to ", tree.late, ""),
        ("ahead up to ", tree.ahead, ""),
        ("language ", tree.language, ""),
    )
    for before, item, behind in items:
        if item is not None:
            place = places.get("arrival by", 0) if item is by_time else item.span.line
            lines.append(Line(f"  {before}{item.text}{behind}", place))
    return lines


def _cites(words: Iterable[ast.Word]) -> list[Line]:
    return [Line(f'  cites "{word.text}"', word.span.line) for word in words]


def _uses(use: ast.Uses) -> str:
    text = f"{use.kind} {use.path}" + (f" {use.range}" if use.range else "")
    return text if use.kind == "record" else f"uses {text}"


def _type(node: ast.TypeName) -> str:
    if node.choices:
        return "one of (" + ", ".join(_literal(choice) for choice in node.choices) + ")"
    if node.item is not None:
        return f"list of {_type(node.item)}"
    return node.kind + (f" {node.currency}" if node.currency else "") + (f" by {node.by}" if node.by else "")


def _title(title: str | None) -> str:
    return "" if title is None else f' "{title}"'


def _field(node: ast.Field) -> list[Line]:
    marks = (" not negative" * node.not_negative, " optional" * node.optional, " personal" * node.personal)
    text = f"  field {node.name.text}: {_type(node.type)}{''.join(marks)}{_title(node.title)}"
    if not node.sources:
        return [Line(text, node.span.line)]
    return fill(f"{text} from ", [(f'"{source}"', 0) for source in node.sources], node.span.line)


def _input(node: ast.Input) -> list[Line]:
    return [Line(f"input {node.name.text}: {_type(node.type)}{' optional' * node.optional}{_title(node.title)}", node.span.line)]


def _effective(node: ast.Effective | None) -> str:
    if node is None:
        return ""
    return f" effective from {node.start}" + (f" to {node.end}" if node.end else "")


def _dated(start: str, values: Sequence[ast.Dated], end: str, source: int) -> list[Line]:
    if len(values) == 1 and isinstance(values[0].value, ast.Tuple):
        items = [(_show(item, _OR), item.span.line) for item in values[0].value.items]
        return fill(f"{start}(", items, source, end=f"){_effective(values[0].effective)}{end}")
    parts = [(_show(value.value, _OR) + _effective(value.effective), value.span.line) for value in values]
    return fill(start, parts, source, end=end)


def _param(node: ast.Param) -> list[Line]:
    type_ = f": {_type(node.type)}" if node.type else ""
    cites = f' cites "{node.cites}"' if node.cites is not None else ""
    return _dated(f"param {node.name.text}{type_} = ", node.values, cites, node.span.line)


def _list(node: ast.ListDecl) -> list[Line]:
    cites = f' cites "{node.cites}"' if node.cites is not None else ""
    if node.values:
        start = f"list {node.name.text} = " if node.name else "  values "
        return _dated(start, node.values, cites, node.span.line)
    start = f"list {node.name.text}" if node.name else " "
    column = f' column "{node.column}"' if node.column is not None else ""
    return [Line(f'{start} from "{node.file}"{column}{cites}', node.span.line)]


def _define(node: ast.Define) -> list[Line]:
    start = f"define {node.name.text}{_title(node.title)}"
    flat = f"{start} = {_show(node.value, _OR)}"
    if len(flat) <= WIDTH or (node.title is None and not isinstance(node.value, ast.Logic)):
        return [Line(flat, node.span.line)]
    return [Line(start, node.span.line), *_broken("  = ", node.value, "", "    ")]


def _feature(node: ast.Feature) -> list[Line]:
    start = f"feature {node.name.text}{_title(node.title)}"
    flat = f"{start} = {_flat_value(node.value)}"
    if len(flat) <= WIDTH:
        return [Line(flat, node.span.line)]
    return [Line(start, node.span.line), *_long_value(node.value)]


def _flat_value(node: ast.Aggregate | ast.Network | ast.Expr) -> str:
    if isinstance(node, ast.Network):
        return _network(node)
    return _aggregate(node) if isinstance(node, ast.Aggregate) else _show(node, _OR)


def _long_value(node: ast.Aggregate | ast.Network | ast.Expr) -> list[Line]:
    if isinstance(node, ast.Network):
        return _long_network(node)
    return _long_aggregate(node) if isinstance(node, ast.Aggregate) else _broken("  = ", node, "", "    ")


def _aggregate(node: ast.Aggregate) -> str:
    where = f" where {_show(node.where, _OR)}" if node.where is not None else ""
    return f"{_measure(node)} {_over(node)}{where}{_needs(' needs', node.needs)}"


def _measure(node: ast.Aggregate) -> str:
    if node.of is None:
        return node.function
    of = f"({_aggregate(node.of)})" if isinstance(node.of, ast.Aggregate) else _show(node.of, _SUM)
    if node.part is not None and node.among is not None:
        return f"share of {of} where {_show(node.part, _OR)} among {_show(node.among, _OR)}"
    return f"{node.function} {of}" if node.function in ("count of distinct", "most repeated") else f"{node.function} of {of}"


def _over(node: ast.Aggregate) -> str:
    matched = f", matched as {' or '.join(name.path for name in node.matched)}" if node.matched else ""
    return f"over {_window(node.window)} per {', '.join(name.path for name in node.per)}{matched}"


def _window(node: ast.Window) -> str:
    length = "" if node.length is None else _show(node.length, _ATOM)
    match node.kind:
        case "before":
            return f"{length} before this"
        case "lagged" if node.lag is not None:
            return f"{length} ending {_show(node.lag, _ATOM)} ago"
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
            return f"since last event where ({_show(node.event, _OR)})"
        case _:
            return length


def _needs(start: str, node: ast.Needs | None) -> str:
    if node is None:
        return ""
    amount = _literal(node.amount)
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
        lines += _broken("    where ", node.where, "", "      ")
    return lines + [Line(_needs("    needs", one), one.span.line) for one in (node.needs,) if one is not None]


def _network(node: ast.Network) -> str:
    where = f" where {_show(node.where, _OR)}" if node.where is not None else ""
    return f"{_paths(node)} {_within_window(node)}{where}{_needs(' needs', node.needs)}{_effort(' ', node)}"


def _paths(node: ast.Network) -> str:
    source, target = node.ends
    hops = "" if node.hops is None else f" of up to {_show(node.hops, _ATOM)} hops"
    return f"count of {node.function} from {source.path} to {target.path}{hops}"


def _within_window(node: ast.Network) -> str:
    close = ""
    if node.amount is not None and node.within is not None:
        close = f" with {_show(node.amount, _SUM)} within {_show(node.within, _SUM)}"
    return f"over {_window(node.window)}{close}"


def _effort(start: str, node: ast.Network) -> str:
    if node.effort is None:
        return ""
    number = _show(node.effort, _ATOM)
    return f"{start}looking at no more than {number} event{'' if number == '1' else 's'}"


def _long_network(node: ast.Network) -> list[Line]:
    """The same on several lines, as `_long_aggregate` breaks them."""
    flat = f"  = {_network(node)}"
    if len(flat) <= WIDTH:
        return [Line(flat, node.span.line)]
    lines = [Line(f"  = {_paths(node)}", node.span.line), Line(f"    {_within_window(node)}", node.window.span.line)]
    if node.where is not None:
        lines += _broken("    where ", node.where, "", "      ")
    lines += [Line(_needs("    needs", one), one.span.line) for one in (node.needs,) if one is not None]
    return lines + [Line(_effort("    ", node), one.span.line) for one in (node.effort,) if one is not None]


# --- rules and the outcome -------------------------------------------------------------------------------------------


def _rule(node: ast.Rule) -> list[Line]:
    places = {tag: span.line for tag, span in node.places}
    lines = [Line(f'rule {node.id.text} "{node.title}"', node.span.line), *_cites(node.cites)]
    if node.severity is not None:
        lines.append(Line(f"  severity {node.severity}", places.get("severity", 0)))
    if node.when is not None:
        lines += _broken("  when ", node.when, "", "    ")
    for unless in node.unless:
        lines += _unless(unless)
    if node.then:
        lines += fill("  then ", [(_effect(effect), effect.span.line) for effect in node.then], node.then[0].span.line)
    if node.because is not None:
        lines.append(Line(f'  because "{node.because.text}"', node.because.span.line))
    if node.on_missing is not None:
        lines.append(Line(f"  on missing {node.on_missing.text}", node.on_missing.span.line))
    lines += [Line(f"  on missing {one.name.text} assume {_show(one.value, _OR)}", one.span.line) for one in node.assume]
    if node.effective is not None:
        lines.append(Line(f" {_effective(node.effective)}", node.effective.span.line))
    if node.once is not None:
        keys = ", ".join(name.path for name in node.once.per)
        lines.append(Line(f"  once per {keys} per {_window(node.once.window)}", node.once.span.line))
    return lines


def _unless(node: ast.Unless) -> list[Line]:
    because = f'because "{node.because}"'
    flat = f"  unless {_show(node.condition, _OR)} {because}"
    if len(flat) <= WIDTH:
        return [Line(flat, node.span.line)]
    return [*_broken("  unless ", node.condition, "", "    "), Line(f"    {because}", 0)]


def _effect(node: ast.Effect) -> str:
    if node.kind == "score" and node.value is not None:
        return f"score {_show(node.value, _SUM)}"
    name = node.name.text if node.name else ""
    return f"{node.kind} {name}" + (f" = {_show(node.value, _OR)}" if node.value is not None else "")


def _decide(node: ast.Decide) -> list[Line]:
    width = max((len(row.outcome.text) for row in node.rows), default=0)
    lines = [Line("decide outcome first match", node.span.line)]
    for row in node.rows:
        start = f"  {row.outcome.text:<{width}} "
        if row.when is None:
            lines.append(Line(f"{start}otherwise", row.span.line))
        else:
            lines += _broken(f"{start}when ", row.when, "", "    ")
    if node.undecided is not None:
        lines.append(Line(f"  otherwise undecided {node.undecided.text}", node.undecided.span.line))
    return lines


# --- tests -----------------------------------------------------------------------------------------------------------


def _bindings(bindings: Iterable[ast.Binding]) -> list[tuple[str, int]]:
    return [(_binding(binding), binding.span.line) for binding in bindings]


def _binding(node: ast.Binding) -> str:
    return f"{node.name.text} missing" if node.value is None else f"{node.name.text} = {_show(node.value, _OR)}"


def _test(node: ast.Test) -> list[Line]:
    start = f'test "{node.title.text}"'
    lines = fill(f"{start} with ", _bindings(node.params), node.span.line) if node.params else [Line(start, node.span.line)]
    if node.given:
        lines += fill("  given ", _bindings(node.given), node.given[0].span.line)
    return lines + fill("  expect ", [(_expectation(one), one.span.line) for one in node.expect], node.expect[0].span.line)


def _expectation(node: ast.Expectation) -> str:
    name = node.name.text if node.name else ""
    low = "" if node.low is None else _show(node.low, _SUM)
    high = "" if node.high is None else f" to {_show(node.high, _SUM)}"
    shapes = {
        "rule": f"{name} {node.word}",
        "score": f"score {low}{high}",
        "outcome": f"outcome {name}",
        "possible": "possible " + " or ".join(word.text for word in node.names),
        "robust": "robust",
        "flag": f"flag {name}",
        "no flag": f"no flag {name}",
        "value": f"{name} = {low}",
        "missing": f"{name} missing",
    }
    return shapes[node.kind]


def _story(node: ast.Story) -> list[Line]:
    start = f'story "{node.title.text}"'
    history = {None: "", "complete": " history complete"}.get(node.history, f" history from {node.history}")
    if node.params:
        lines = fill(f"{start} with ", _bindings(node.params), node.span.line, end=history)
    else:
        lines = [Line(start + history, node.span.line)]
    return lines + _rows(node.header, node.rows)


def _examples(node: ast.Examples) -> list[Line]:
    return [Line(f"examples {node.rule.text}", node.span.line), *_rows(node.header, node.rows)]


def _rows(header: ast.Row, rows: Sequence[ast.Row]) -> list[Line]:
    """A table with its columns aligned; `=>` stands in the first row only."""
    first = [cell.text for cell in header.inputs] + [f"=> {cell.text}" if i == 0 else cell.text for i, cell in enumerate(header.outputs)]
    grid = [first] + [[cell.text for cell in (*row.inputs, *row.outputs)] for row in rows]
    widths = [max(len(cells[i]) for cells in grid) for i in range(len(first))]
    lines = ["  | " + " | ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)) + " |" for cells in grid]
    return [Line(text, row.span.line) for text, row in zip(lines, (header, *rows), strict=True)]


_DECLARATIONS: Final[dict[type, Callable[[Any], list[Line]]]] = {
    ast.Field: _field,
    ast.Input: _input,
    ast.Param: _param,
    ast.ListDecl: _list,
    ast.Define: _define,
    ast.Feature: _feature,
    ast.Rule: _rule,
    ast.Decide: _decide,
    ast.Test: _test,
    ast.Story: _story,
    ast.Examples: _examples,
}
