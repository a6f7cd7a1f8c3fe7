"""From the syntax tree to the one look of rule text. It knows no types and no meaning, and never changes what a file says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from engine.lang import ast
from engine.lang.format_expressions import OR, SUM, broken, literal, show, title
from engine.lang.format_features import feature_lines, window
from engine.lang.layout import WIDTH, Line, fill, put_back

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
    if isinstance(declaration, ast.Field | ast.TableColumn) or (isinstance(declaration, ast.ListDecl) and declaration.name is None):
        return False
    close = (ast.Input,), (ast.Param, ast.ListDecl)
    return not any(isinstance(before, kinds) and isinstance(declaration, kinds) for kinds in close)


def _header(tree: ast.File) -> list[Line]:
    places = {tag: span.line for tag, span in tree.places}
    lines = [Line(f"{tree.kind} {tree.name.text} version {tree.version.text}", tree.span.line, top=True)]
    if tree.title is not None:
        lines.append(Line(f'  "{tree.title}"', places.get("title", 0)))
    if tree.language is not None:
        lines.append(Line(f"  language {tree.language.text}", tree.language.span.line))
    if tree.owner is not None:
        lines.append(Line(f'  owner "{tree.owner}"', places.get("owner", 0)))
    lines += _cites(tree.cites)
    lines += [Line("  " + _uses(use), use.span.line) for use in tree.uses]
    key = ast.Word(", ".join(word.text for word in tree.key), span=tree.key[0].span) if tree.key else None
    valid = ast.Word('" to "'.join(word.text for word in tree.valid), span=tree.valid[0].span) if tree.valid else None
    by_time = ast.Word("by time") if tree.arrival_by_time else None
    items = (
        ("on missing ", tree.on_missing, ""),
        ('zone "', tree.zone, '"'),
        ('rows from "', tree.rows, '"'),
        ("key ", key, ""),
        ("revision ", tree.revision, ""),
        ("time ", tree.time, ""),
        ("arrival ", by_time, ""),
        ("arrival ", tree.arrival, ""),
        ("late up to ", tree.late, ""),
        ("ahead up to ", tree.ahead, ""),
        ("base ", tree.base, ""),
        ('valid "', valid, '"'),
        ('known from "', tree.known, '"'),
        ("no more than ", tree.oldest, " old"),
    )
    for before, item, behind in items:
        if item is not None:
            place = places.get("arrival by", 0) if item is by_time else item.span.line
            lines.append(Line(f"  {before}{item.text}{behind}", place))
    return lines + _scoring(tree)


def _scoring(tree: ast.File) -> list[Line]:
    lines = []
    if tree.scoring is not None:
        how = "" if tree.scoring.how is None else f" {tree.scoring.how}"
        most = "" if tree.scoring.most is None else f" at most {show(tree.scoring.most, SUM)}"
        lines.append(Line(f"  score{how}{most}", tree.scoring.span.line))
    for floor in tree.floors:
        start = f"  score at least {show(floor.least, SUM)}"
        lines += [Line(start, floor.span.line)] if floor.when is None else broken(f"{start} when ", floor.when, "", "    ")
    return lines


def _cites(words: Iterable[ast.Word]) -> list[Line]:
    return [Line(f'  cites "{word.text}"', word.span.line) for word in words]


def _uses(use: ast.Uses) -> str:
    text = f"{use.kind} {use.path}" + (f" {use.range}" if use.range else "")
    text += (" by " + ", ".join(name.path for name in use.by) if use.by else "") + (f" as {use.called.text}" if use.called else "")
    return text if use.kind == "record" else f"uses {text}"


def _type(node: ast.TypeName) -> str:
    if node.choices:
        return "one of (" + ", ".join(literal(choice) for choice in node.choices) + ")"
    if node.item is not None:
        return f"{node.kind} of {_type(node.item)}"
    return node.kind + (f" {node.currency}" if node.currency else "") + (f" by {node.by}" if node.by else "")


def _field(node: ast.Field) -> list[Line]:
    marks = (" not negative" * node.not_negative, " optional" * node.optional, " personal" * node.personal)
    text = f"  field {node.name.text}: {_type(node.type)}{''.join(marks)}{title(node.title)}"
    if not node.sources:
        return [Line(text, node.span.line)]
    return fill(f"{text} from ", [(f'"{source}"', 0) for source in node.sources], node.span.line)


def _column(node: ast.TableColumn) -> list[Line]:
    text = f"  column {node.name.text}: {_type(node.type)}{' optional' * node.optional}{title(node.title)}"
    return (
        fill(f"{text} from ", [(f'"{source}"', 0) for source in node.sources], node.span.line)
        if node.sources
        else [Line(text, node.span.line)]
    )


def _input(node: ast.Input) -> list[Line]:
    return [Line(f"input {node.name.text}: {_type(node.type)}{' optional' * node.optional}{title(node.title)}", node.span.line)]


def _effective(node: ast.Effective | None) -> str:
    if node is None:
        return ""
    return f" effective from {node.start}" + (f" to {node.end}" if node.end else "")


def _dated(start: str, values: Sequence[ast.Dated], end: str, source: int) -> list[Line]:
    if len(values) == 1 and isinstance(values[0].value, ast.Tuple):
        items = [(show(item, OR), item.span.line) for item in values[0].value.items]
        return fill(f"{start}(", items, source, end=f"){_effective(values[0].effective)}{end}")
    parts = [(show(value.value, OR) + _effective(value.effective), value.span.line) for value in values]
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
    start = f"list {node.name.text} " if node.name else "  "
    return fill(start, [(_list_file(file), file.span.line) for file in node.files], node.span.line, end=cites)


def _list_file(node: ast.ListFile) -> str:
    column = " column " + " or ".join(f'"{column}"' for column in node.columns) if node.columns else ""
    column += f' id "{node.id}"' if node.id is not None else ""
    valid = f' valid "{node.valid[0]}" to "{node.valid[1]}"' if node.valid is not None else ""
    return f'from "{node.file}"{column}{valid}{_effective(node.effective)}'


def _define(node: ast.Define) -> list[Line]:
    start = f"define {node.name.text}{title(node.title)}"
    flat = f"{start} = {show(node.value, OR)}"
    if len(flat) <= WIDTH or (node.title is None and not isinstance(node.value, ast.Logic)):
        return [Line(flat, node.span.line)]
    return [Line(start, node.span.line), *broken("  = ", node.value, "", "    ")]


# --- rules and the outcome -------------------------------------------------------------------------------------------


def _rule(node: ast.Rule) -> list[Line]:
    places = {tag: span.line for tag, span in node.places}
    name = f"rule {node.id.text}".rstrip()  # the rule of a template has no id
    lines = [Line(f'{name} "{node.title}"', node.span.line), *_cites(node.cites)]
    if node.severity is not None:
        lines.append(Line(f"  severity {node.severity}", places.get("severity", 0)))
    if node.when is not None:
        lines += broken("  when ", node.when, "", "    ")
    for unless in node.unless:
        lines += _unless(unless)
    if node.then:
        lines += fill("  then ", [(_effect(effect), effect.span.line) for effect in node.then], node.then[0].span.line)
    if node.because is not None:
        lines.append(Line(f'  because "{node.because.text}"', node.because.span.line))
    if node.on_missing is not None:
        lines.append(Line(f"  on missing {node.on_missing.text}", node.on_missing.span.line))
    lines += [Line(f"  on missing {one.name.text} assume {show(one.value, OR)}", one.span.line) for one in node.assume]
    if node.effective is not None:
        lines.append(Line(f" {_effective(node.effective)}", node.effective.span.line))
    if node.once is not None:
        keys = ", ".join(name.path for name in node.once.per)
        lines.append(Line(f"  once per {keys} per {window(node.once.window)}", node.once.span.line))
    return lines


def _exemption(node: ast.Exemption) -> list[Line]:
    rules = [(word.text, word.span.line) for word in node.rules]
    lines = [*fill(f'exception {node.id.text} "{node.title}" for ', rules, node.span.line), *_cites(node.cites)]
    if node.when is not None:
        lines += broken("  when ", node.when, "", "    ")
    days = [(word, day) for word, day in (("from", node.start), ("until", node.end)) if day is not None]
    if days:
        lines.append(Line("  " + " ".join(f"{word} {day.text}" for word, day in days), days[0][1].span.line))
    texts = (("approved by", node.approved), ("because", node.because))
    return lines + [Line(f'  {word} "{text.text}"', text.span.line) for word, text in texts if text is not None]


def format_template(node: ast.RuleTemplate) -> str:
    """The text of a template by itself."""
    return "\n".join(line.text for line in _template(node))


def slot_text(slot: ast.Slot) -> str:
    """A slot as it is declared."""
    return f"{slot.name.text}: {_type(slot.type)}{_default(slot)}"


def _template(node: ast.RuleTemplate) -> list[Line]:
    slots = [(slot_text(slot), slot.span.line) for slot in node.slots]
    lines = fill(f"template {node.name.text}{title(node.title)} (", slots, node.span.line, end=")")
    for one in (*node.body, node.rule):
        for line in _DECLARATIONS[type(one)](one):
            line.text = f"  {line.text}"
            lines.append(line)
    return lines


def _default(slot: ast.Slot) -> str:
    return "" if slot.default is None else f" = {show(slot.default, OR)}"


def _made(node: ast.MadeRule) -> list[Line]:
    start = f"rule {node.id.text}{title(node.title)} is {node.template.text}"
    return fill(f"{start} with ", _bindings(node.values), node.span.line) if node.values else [Line(start, node.span.line)]


def _unless(node: ast.Unless) -> list[Line]:
    because = f'because "{node.because}"'
    flat = f"  unless {show(node.condition, OR)} {because}"
    if len(flat) <= WIDTH:
        return [Line(flat, node.span.line)]
    return [*broken("  unless ", node.condition, "", "    "), Line(f"    {because}", 0)]


def _effect(node: ast.Effect) -> str:
    if node.kind == "score" and node.value is not None:
        return f"score {show(node.value, SUM)}"
    name = node.name.text if node.name else ""
    return f"{node.kind} {name}" + (f" = {show(node.value, OR)}" if node.value is not None else "")


def _table(node: ast.Table) -> list[Line]:
    match = "all matches" if node.match == "all" else f"{node.match} match"
    lines = [Line(f"table {node.name.text}{title(node.title)} {match}", node.span.line), *_cites(node.cites)]
    if node.header is not None:
        return lines + _rows(node.header, node.rows)
    if node.source is not None:
        sheet = "" if node.source.sheet is None else f' sheet "{node.source.sheet}"'
        separator = "" if node.source.separator is None else f' separated by "{node.source.separator}"'
        lines.append(Line(f'  from "{node.source.file}"{sheet}{separator}', node.source.span.line))
    return lines


def _decide(node: ast.Decide) -> list[Line]:
    width = max((len(row.outcome.text) for row in node.rows), default=0)
    lines = [Line("decide outcome first match", node.span.line)]
    for row in node.rows:
        start = f"  {row.outcome.text:<{width}} "
        if row.when is None:
            lines.append(Line(f"{start}otherwise", row.span.line))
        else:
            lines += broken(f"{start}when ", row.when, "", "    ")
    if node.undecided is not None:
        lines.append(Line(f"  otherwise undecided {node.undecided.text}", node.undecided.span.line))
    return lines


# --- what must hold of every event -----------------------------------------------------------------------------------


def invariant_text(node: ast.Never | ast.Trend) -> str:
    """What must hold, on one line."""
    if isinstance(node, ast.Never):
        text = f"never {show(node.claim, OR)}"
    else:
        text = f"{'more' if node.more else 'less'} {node.of.text} never {'lowers' if node.lowers else 'raises'} {node.what.text}"
    return text if node.when is None else f"{text} when {show(node.when, OR)}"


def _invariant(node: ast.Never | ast.Trend) -> list[Line]:
    text = invariant_text(node)
    lines = [Line(text, node.span.line)]
    if len(text) > WIDTH and isinstance(node, ast.Never):
        lines = broken("never ", node.claim, "", "  ")
        lines[0].source = node.span.line
        lines += [] if node.when is None else broken("  when ", node.when, "", "    ")
    lines += _cites(node.cites)
    return lines if node.because is None else [*lines, Line(f'  because "{node.because.text}"', node.because.span.line)]


# --- tests -----------------------------------------------------------------------------------------------------------


def _bindings(bindings: Iterable[ast.Binding]) -> list[tuple[str, int]]:
    return [(_binding(binding), binding.span.line) for binding in bindings]


def _binding(node: ast.Binding) -> str:
    if node.value is None:
        return f"{node.name.text} {'clear' if node.clear else 'missing'}"
    return f"{node.name.text} = {show(node.value, OR)}" + ("" if node.high is None else f" to {show(node.high, SUM)}")


def _test(node: ast.Test) -> list[Line]:
    start = f'test "{node.title.text}"'
    lines = fill(f"{start} with ", _bindings(node.params), node.span.line) if node.params else [Line(start, node.span.line)]
    if node.given:
        lines += fill("  given ", _bindings(node.given), node.given[0].span.line)
    return lines + fill("  expect ", [(_expectation(one), one.span.line) for one in node.expect], node.expect[0].span.line)


def _expectation(node: ast.Expectation) -> str:
    name = node.name.text if node.name else ""
    low = "" if node.low is None else show(node.low, SUM)
    high = "" if node.high is None else f" to {show(node.high, SUM)}"
    shapes = {
        "rule": f"{name} {node.word}",
        "silenced": f"{name} silenced" + "".join(f" by {word.text}" for word in node.names),
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
    ast.TableColumn: _column,
    ast.Input: _input,
    ast.Param: _param,
    ast.ListDecl: _list,
    ast.Define: _define,
    ast.Feature: feature_lines,
    ast.Rule: _rule,
    ast.Table: _table,
    ast.Exemption: _exemption,
    ast.RuleTemplate: _template,
    ast.MadeRule: _made,
    ast.Decide: _decide,
    ast.Never: _invariant,
    ast.Trend: _invariant,
    ast.Test: _test,
    ast.Story: _story,
    ast.Examples: _examples,
}
