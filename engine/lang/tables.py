"""Decision tables, typed: columns resolved, cells made conditions about their column, outputs given a type; then what is proved of
them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from engine.diagnostics import Span
from engine.lang import ast, ir, judge, sheets
from engine.lang.build_tables import OTHERWISE, SUBJECT
from engine.lang.expressions import Typer, as_choice, converted, join, negation
from engine.lang.order import Declared, mentioned
from engine.lang.parse import parse_cell, parse_condition, parse_expression
from engine.lang.problems import Report
from engine.lang.proof import prove
from engine.lang.rules import points
from engine.lang.sheets import MOST_ROWS
from engine.lang.translate import in_english
from engine.lang.words import load_words
from engine.values import INTEGER, TEXT, Type, missing

if TYPE_CHECKING:
    from engine.diagnostics import Diagnostic
    from engine.lang.program import Program
    from engine.lang.scope import Scope

_MOST_PROBLEMS: Final = 100
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")
_SAYS_NOTHING: Final = missing("no row")


def node_name(table: str) -> str:
    """How a table is called among the declarations that are put in order."""
    return f'table("{table}")'


@dataclass(slots=True)
class Draft:
    """A table as read, before any type is known: its columns, and of every distinct text in a column what it says."""

    node: ast.Table
    inputs: list[tuple[str, ast.Expr | None]] = field(default_factory=list)
    outputs: list[ast.Word] = field(default_factory=list)
    rows: tuple[ast.Row, ...] = ()
    cells: dict[tuple[int, str], ast.Expr] = field(default_factory=dict)
    sound: bool = True
    header: ast.Row | None = None
    report: Report = field(default_factory=Report)

    def tell(self, report: Report) -> None:
        """Hand on what was found in a file: said of its cell, and placed where the rules name the file."""
        if self.report is report:
            return
        source = self.node.source
        for one in self.report.found:
            if source is not None and one.span.file.startswith(sheets.label(source)):
                one = replace(one, message=f"in {one.span.file}: {one.message}", span=source.span, related=())
            report.found.append(one)
        self.report = Report()

    @property
    def writes(self) -> list[str]:
        """The names it gives its readers; its points are none."""
        return [word.text for word in self.outputs if word.text != "score"]

    @property
    def gives_points(self) -> bool:
        return len(self.writes) < len(self.outputs)


# --- reading ---------------------------------------------------------------------------------------------------------


def collect(program: Program) -> dict[str, Draft]:
    """Read every table, declare what it writes, and put it into the graph; gives them by the name of their node."""
    found: dict[str, Draft] = {}
    for node in program.tree.declarations:
        if not isinstance(node, ast.Table):
            continue
        name = node_name(node.name.text)
        if name in found:
            related = (("the first is here", found[name].node.name.span),)
            message = f"there is a second table `{node.name.text}`"
            program.report.error("duplicate-name", message, node.name.span, "give it a name of its own", related)
            continue
        found[name] = draft = _draft(node, program)
        reads = mentioned(*(expr for _, expr in draft.inputs), *draft.cells.values())
        program.nodes[name] = Declared(f"table `{node.name.text}`", node.name.span, reads - {SUBJECT, OTHERWISE})
        for word in draft.outputs:
            word = word if node.source is None else replace(word, span=node.source.span)
            if word.text != "score" and program.declare(word, "value that a table gives"):
                program.nodes[word.text] = Declared(f"`{word.text}`", word.span, {name})
    return found


def _draft(node: ast.Table, program: Program) -> Draft:
    draft, report = Draft(node), program.report
    if node.source is not None:
        draft.report = Report()
        draft.header, draft.rows = _from_file(node.source, draft.report, program)
    else:
        draft.report, draft.header, draft.rows = report, node.header, node.rows
    if draft.header is None:
        draft.sound = False
    elif not draft.rows or not draft.header.inputs:
        what = "a row" if draft.header.inputs else "a column before `=>`"
        message = f"the table `{node.name.text}` has not even {what}"
        draft.report.error("table-without-rows", message, draft.header.span, "or leave the table out")
        draft.sound = False
    elif len(draft.rows) > MOST_ROWS:
        message = f"the table `{node.name.text}` has {len(draft.rows):_} rows; a table has at most {MOST_ROWS:_}"
        draft.report.error("table-too-large", message, node.span, "split it, or make a list of what it looks up")
        draft.sound = False
    else:
        _header(draft, draft.header, draft.report)
        _cells(draft, draft.report)
    draft.tell(report)
    return draft


def _from_file(source: ast.Sheet, report: Report, program: Program) -> tuple[ast.Row | None, tuple[ast.Row, ...]]:
    """The header and the rows of a file; every cell is placed where a spreadsheet would name it."""
    grid = sheets.read(report, source, program.env.folder, program.env.workspace)
    if grid is None:
        return None, ()
    file = sheets.label(source)
    (number, first), *rest = grid.rows
    arrow = next((place for place, text in enumerate(first) if text.startswith("=>")), None)
    if arrow is None:
        message = f"in {file}: the first row does not say which columns come out"
        report.error("no-arrow", message, source.span, "put `=>` before the name of the first of them; in a workbook after an apostrophe")
        return None, ()
    words = load_words(program.tree.language.text if program.tree.language is not None else "en")
    names = {*program.names, *program.scope.columns, *program.scope.lists}
    header = [text.removeprefix("=>").strip() for text in first]
    rows = [(number, header), *((row, [sheets.quoted(in_english(text, words), names) for text in cells]) for row, cells in rest)]
    made = []
    for row, cells in rows:
        placed = [
            ast.Cell(text, span=Span(f"{file}, cell {sheets.cell_name(row, place)}", row, 1, 2)) for place, text in enumerate(cells, 1)
        ]
        made.append(ast.Row(tuple(placed[:arrow]), tuple(placed[arrow:]), span=Span(file, row, 1, 2)))
    return made[0], tuple(made[1:])


def _header(draft: Draft, header: ast.Row, report: Report) -> None:
    seen: dict[str, ast.Cell] = {}
    for cell in (*header.inputs, *header.outputs):
        if cell.text in seen:
            related = (("the first is here", seen[cell.text].span),)
            report.error("duplicate-name", f"there are two columns `{cell.text}`", cell.span, related=related)
            draft.sound = False
        seen.setdefault(cell.text, cell)
    for cell in header.inputs:
        expr, problems = parse_expression(cell.text, cell.span.file, cell.span.line, cell.span.column)
        draft.inputs.append((cell.text, expr))
        draft.sound &= _told(problems, report)
    for cell in header.outputs:
        draft.outputs.append(ast.Word(cell.text, span=cell.span))
        if not _NAME.fullmatch(cell.text):
            message = f"`{cell.text}` is no name for what a table gives"
            report.error("bad-cell", message, cell.span, "write a name in small letters, or `score` for points")
            draft.sound = False


def _told(problems: list[Diagnostic], report: Report) -> bool:
    """Whether nothing was found that stops a load; what was found is noted."""
    report.found += problems
    return not any(problem.severity == "error" for problem in problems)


def _cells(draft: Draft, report: Report) -> None:
    """What every distinct text says; `otherwise` and the cells left empty beside it say nothing."""
    width, bad = len(draft.inputs), 0
    for row in draft.rows:
        apart = is_otherwise(row)
        for place, cell in enumerate((*row.inputs, *row.outputs)):
            if (apart and place < width) or (place, cell.text) in draft.cells:
                continue
            expr = _cell(cell, place < width, report)
            if expr is not None:
                draft.cells[place, cell.text] = expr
                continue
            draft.sound, bad = False, bad + 1
            if bad >= _MOST_PROBLEMS:
                report.error("too-many-problems", f"{bad} cells that do not read; the rest was not looked at", row.span, "mend these first")
                return


def _cell(cell: ast.Cell, is_input: bool, report: Report) -> ast.Expr | None:
    if not cell.text:
        hint = "write `any` where every value will do" if is_input else "write a value, or `missing` where this row gives none"
        report.error("bad-cell", "this cell is empty", cell.span, hint)
        return None
    expr, problems = parse_condition(cell) if is_input else parse_cell(cell)
    if is_input and isinstance(expr, ast.Name) and expr.path == OTHERWISE:
        report.error("bad-cell", "`otherwise` stands in the first cell of the last row", cell.span, "where every value will do write `any`")
        return None
    return expr if _told(problems, report) else None


def is_otherwise(row: ast.Row) -> bool:
    """Whether the row is the one for all other events."""
    return bool(row.inputs) and row.inputs[0].text == OTHERWISE


# --- typing ----------------------------------------------------------------------------------------------------------


def check(draft: Draft, program: Program, is_late: bool) -> ir.Table | None:
    """The typed table, or none with the problems noted. With `is_late` it reads the score of its own rule set."""
    if is_late and draft.gives_points:
        message = f"the table `{draft.node.name.text}` gives points, so it cannot read the `score` of its own rule set"
        program.report.error("reads-own-result", message, draft.node.name.span, "read it in `decide`, or in a rule set of its own")
        draft.sound = False
    made = _Typed(draft, program, program.late if is_late else program.scope).table() if draft.sound else None
    if made is None:
        draft.tell(program.report)
        program.scope.silent.update(draft.writes)
        return None
    columns = program.late_columns if is_late else program.scope.columns
    columns.update({column.name: column.type for column in made.outputs})
    # a test may well set a param to where rows overlap; then they do in that test
    proved = prove(made, Report() if program.overrides else draft.report, _signless(program))
    draft.tell(program.report)
    return proved


def _signless(program: Program) -> set[str]:
    """The columns whose values are never below zero."""
    fields = {each.name for each in program.env.record.fields if each.not_negative}
    own = {name for name, each in program.features.items() if isinstance(each.value, ir.Aggregate) and judge.counts_up(each.value, fields)}
    return fields | own


class _Typed:
    """One table on its way to its type; cells that say the same in the same column are typed once."""

    def __init__(self, draft: Draft, program: Program, scope: Scope) -> None:
        self.draft, self.program, self.report, self.scope = draft, program, draft.report, scope
        self.typed: dict[tuple[int, str], ir.Expr | None] = {}
        self.lost = False

    def table(self) -> ir.Table | None:
        draft, node = self.draft, self.draft.node
        inputs = [(name, Typer(self.scope, self.report).typed(expr)) for name, expr in draft.inputs if expr is not None]
        subjects = [subject for _, subject in inputs if subject is not None]
        if len(subjects) < len(inputs):
            return None
        for (place, text), expr in draft.cells.items():
            key = place, text
            self.typed[key] = self._condition(expr, subjects[place]) if place < len(subjects) else self._value(expr, place)
        types = [self._output(place, word) for place, word in enumerate(draft.outputs, len(subjects))]
        rows = self._rows(subjects)
        if self.lost or rows is None or None in types:
            return None
        outputs = tuple(
            ir.Column(word.text, type_, optional=True)
            for word, type_ in zip(draft.outputs, types, strict=True)
            if word.text != "score" and type_ is not None
        )
        last = rows.pop() if is_otherwise(draft.rows[-1]) else None
        names = tuple((name, subject) for (name, _), subject in zip(inputs, subjects, strict=True))
        self._warn_unsaid(names)
        return ir.Table(
            node.name.text,
            node.match,
            names,
            outputs,
            tuple(rows),
            last,
            gives_points=draft.gives_points,
            title=node.title,
            cites=tuple(word.text for word in node.cites),
            span=node.name.span,
        )

    # --- cells -------------------------------------------------------------------------------------------------------

    def _condition(self, expr: ast.Expr, subject: ir.Expr) -> ir.Expr | None:
        """What a cell asks of its column; true where it asks nothing."""
        place = replace(self.scope, inlined={**self.scope.inlined, SUBJECT: subject})
        found = Typer(place, self.report).condition(expr, "what stands in a cell")
        if found is None:
            self.lost = True
        return found

    def _value(self, expr: ast.Expr, place: int) -> ir.Expr | None:
        """What a row writes into one of the outputs."""
        typer, word = Typer(self.scope, self.report), self.draft.outputs[place - len(self.draft.inputs)]
        if word.text == "score":
            worth = points(expr, typer)
            found: ir.Expr | None = ir.Const(worth, type=INTEGER) if isinstance(worth, int) else None
            if isinstance(worth, ir.Dated):
                hint = "write the numbers, or let rules give the points"
                self.report.error("bad-score", "the points of a table are the same on all days", expr.span, hint)
        elif isinstance(expr, ast.Name) and expr.path == "missing":
            return ir.Const(_SAYS_NOTHING, type=TEXT, span=expr.span)
        else:
            found = typer.typed(expr)
        if found is None:
            self.lost = True
        return found

    def _asks(self, place: int) -> bool:
        """Whether a column has a cell for missing, so that missing is one more value of it."""
        return any(isinstance(expr, ast.IsMissing) for (column, _), expr in self.draft.cells.items() if column == place)

    # --- outputs -----------------------------------------------------------------------------------------------------

    def _output(self, place: int, word: ast.Word) -> Type | None:
        """The type that holds whatever the rows write into an output; what does not fit is noted."""
        said = [(key, value) for key, value in self.typed.items() if key[0] == place and value is not None and not _is_nothing(value)]
        texts = [value.value for _, value in said if isinstance(value, ir.Const) and value.type.kind == "text" and not value.type.choices]
        if said and len(texts) == len(said):
            type_: Type | None = Type("text", choices=tuple(dict.fromkeys(texts)))
        else:
            type_ = self._joined(word, [value for _, value in said])
        if type_ is None:
            return None
        for key, given in said:
            self.typed[key] = converted(given, type_)
        for key, value in self.typed.items():
            if key[0] == place and value is not None and _is_nothing(value):
                self.typed[key] = replace(value, type=type_)
        return type_ if self.draft.node.match != "all" or word.text == "score" else self._listed(word, type_)

    def _joined(self, word: ast.Word, values: list[ir.Expr]) -> Type | None:
        if not values:
            if not self.lost:
                self.report.error("bad-cell", f"no row gives a value for `{word.text}`", word.span, "give one, or leave the column out")
            return None
        distinct: dict[Type, ir.Expr] = {}
        for value in values:
            distinct.setdefault(as_choice(value), value)
        first, *rest = distinct.items()
        for type_, value in rest:
            if join([first[0], type_]) is None:
                message = f"`{word.text}` is {value.type} here, and {first[1].type} elsewhere"
                related = (("it is given here", first[1].span),)
                self.report.error("set-type", message, value.span, "one name holds values of one type", related)
                return None
        return join(list(distinct))

    def _listed(self, word: ast.Word, type_: Type) -> Type | None:
        if type_.kind == "list" or type_.by is not None:
            message = f"all that match is a list, and a list cannot hold {type_}"
            self.report.error("type-mismatch", message, word.span, "let the first row that applies count: `first match`")
            return None
        return Type("list", item=type_.exact())

    # --- rows --------------------------------------------------------------------------------------------------------

    def _rows(self, subjects: list[ir.Expr]) -> list[ir.TableRow] | None:
        asks = [self._asks(place) for place in range(len(subjects))]
        asked: dict[tuple[int, str], ir.Expr | None] = {}
        for (place, text), cell in self.typed.items():
            if place < len(subjects):
                asked[place, text] = _asked(cell, subjects[place], asks[place])
        rows, last = [], len(self.draft.rows) - 1
        for at, row in enumerate(self.draft.rows):
            apart = is_otherwise(row)
            if apart and not self._ends(row, at == last):
                return None
            cells = () if apart else tuple(asked.get((place, cell.text)) for place, cell in enumerate(row.inputs))
            rows.append(self._row(row, row.span.line if self.draft.node.source is not None else at + 1, cells))
        return rows

    def _row(self, row: ast.Row, number: int, cells: tuple[ir.Expr | None, ...]) -> ir.TableRow:
        values: list[ir.Expr] = []
        worth = 0
        for place, (word, cell) in enumerate(zip(self.draft.outputs, row.outputs, strict=True), len(self.draft.inputs)):
            value = self.typed.get((place, cell.text))
            if word.text == "score":
                worth = value.value if isinstance(value, ir.Const) else 0
            elif value is not None:
                values.append(value)
        return ir.TableRow(number, cells, tuple(values), worth, row.span)

    def _ends(self, row: ast.Row, is_last: bool) -> bool:
        if not is_last:
            message = "the row of `otherwise` is the last one of a table"
            self.report.error("after-otherwise", message, row.span, "put it at the end")
            return False
        said = next((cell for cell in row.inputs[1:] if cell.text), None)
        if said is not None:
            hint = "leave the cells beside it empty"
            self.report.error("bad-cell", "`otherwise` is for all other events, so that nothing can be asked beside it", said.span, hint)
        return said is None

    def _warn_unsaid(self, inputs: tuple[tuple[str, ir.Expr], ...]) -> None:
        """Point out columns that are often missing, and that say nothing of it."""
        optional = {each.name for each in self.program.env.record.fields if each.optional}
        header = self.draft.header
        for place, (name, subject) in enumerate(inputs):
            asking = any(key[0] == place and not _is_any(cell) for key, cell in self.typed.items())
            if isinstance(subject, ir.Read) and subject.name in optional and asking and not self._asks(place):
                message = f"`{name}` is optional, and no cell says what holds where it is missing"
                span = header.inputs[place].span if header is not None and place < len(header.inputs) else self.draft.node.span
                self.report.warning("missing-unsaid", message, span, "add a row with `missing`; without one the table is undecided there")


def _asked(cell: ir.Expr | None, subject: ir.Expr, asks: bool) -> ir.Expr | None:
    """A cell as the table has it: none for `any`, and in a column that asks for missing false where it is missing."""
    if cell is None or _is_any(cell):
        return None
    if not asks or any(isinstance(node, ir.IsMissing) for node in ir.walk(cell)):
        return cell
    return ir.And((negation(ir.IsMissing(subject, span=cell.span), cell.span), cell), span=cell.span)


def _is_any(cell: ir.Expr | None) -> bool:
    return isinstance(cell, ir.Const) and cell.value is True


def _is_nothing(value: ir.Expr) -> bool:
    return isinstance(value, ir.Const) and value.value is _SAYS_NOTHING
