"""A `table` file: what it declares, held against the file it names, and the table that comes of it. Every problem is told at once.

A cell that cannot be read refuses the table: what is looked up years later must not have fallen silent when it was loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.lang import ast, beside, literals, records
from engine.lang.arithmetic import describe
from engine.reading import read_value, shown
from engine.reference_table import Bounds, ReferenceTable, TableColumn
from engine.values import DATE, DATETIME, MISSING, TEXT, Missing, Money, Type, Value

if TYPE_CHECKING:
    from collections.abc import Hashable

    from engine.lang.problems import Report

_KEYS: Final = ("text", "integer", "date", "datetime", "flag", "percent", "duration")
_MOST_CELLS: Final = 20
"""How many bad cells of a column are told one by one."""


def table(tree: ast.File, report: Report, folder: Path | None, workspace: Path | None) -> ReferenceTable | None:
    """The table that a `table` file declares, loaded; none with the problems noted."""
    declared = _declared(tree, report)
    if tree.rows is None:
        report.error("table-incomplete", f"the table `{tree.name.text}` names no file", tree.name.span, 'add `rows from "FILE.csv"`')
        return None
    source = beside.columns(report, tree.rows, folder, workspace)
    if source is None:
        return None
    places = {name: _place(node, source, report) for name, (node, _) in declared.items()}
    bounds = [
        place for word in (*tree.valid, *([tree.known] if tree.known is not None else [])) for place in [_named(word, source, report)]
    ]
    if report.failed:
        return None
    reader = _Reader(tree, declared, {name: place or 0 for name, place in places.items()}, [place or 0 for place in bounds], report)
    beside.guarded(report, tree.rows, source.path, lambda: reader.read(source))
    return None if report.failed else _whole(tree, reader, source.path, report)


def _declared(tree: ast.File, report: Report) -> dict[str, tuple[ast.TableColumn, Type]]:
    """The columns by name, each with its type; what is wrong with them, and with the key, is noted."""
    found: dict[str, tuple[ast.TableColumn, Type]] = {}
    nodes = [node for node in tree.declarations if isinstance(node, ast.TableColumn)]
    if not nodes:
        report.error("table-incomplete", f"the table `{tree.name.text}` has no column", tree.name.span, "add `column NAME: TYPE`")
    for node in nodes:
        name, type_ = node.name.text, literals.type_of(node.type, report)
        if name in found:
            first = (("the first is here", found[name][0].name.span),)
            report.error("duplicate-name", f"there is a second column `{name}`", node.name.span, related=first)
        elif type_ is not None and type_.kind == "list":
            report.error("table-column", "a cell holds one value, not a list", node.type.span)
        elif type_ is not None and type_.kind == "money" and type_.currency is None and type_.by is None:
            hint = "write `money USD`, or `money by` the column that holds it"
            report.error("money-currency", "a column of money needs its currency", node.type.span, hint)
        elif type_ is not None:
            found[name] = (node, type_)
    _check_currencies(found, report)
    _check_key(tree, found, report)
    return found


def _check_currencies(found: dict[str, tuple[ast.TableColumn, Type]], report: Report) -> None:
    for node, type_ in found.values():
        if type_.by is not None and (type_.by not in found or found[type_.by][1].kind != "text"):
            message = f"`{type_.by}` is no column of text, so it cannot hold a currency"
            report.error("money-currency", message, node.type.span, report.suggest(type_.by, found))


def _check_key(tree: ast.File, found: dict[str, tuple[ast.TableColumn, Type]], report: Report) -> None:
    if not tree.key:
        hint = "add `key COLUMN`: what its rows are looked up by"
        report.error("table-incomplete", f"the table `{tree.name.text}` names no key", tree.name.span, hint)
    seen: set[str] = set()
    for word in tree.key:
        if word.text in seen:
            report.error("duplicate-name", f"`{word.text}` stands twice in the key", word.span)
        elif word.text not in found:
            report.error("unknown-name", f"there is no column `{word.text}`", word.span, report.suggest(word.text, found))
        elif found[word.text][1].kind not in _KEYS:
            message = f"`{word.text}` is {describe(found[word.text][1])}; rows are looked up by a text, an integer, a date or a flag"
            report.error("key-type", message, word.span)
        seen.add(word.text)


def _place(node: ast.TableColumn, source: beside.Columns, report: Report) -> int | None:
    """Where in the file a column stands: under one of the names it may have there, or its own."""
    names = (*node.sources, node.name.text)
    there = [place for place, name in enumerate(source.header) if name in names]
    if len(there) == 1:
        return there[0]
    if there:
        both = " and ".join(f"`{source.header[place]}`" for place in there[:2])
        report.error("unknown-column", f"the file has {both}, and both may be the column `{node.name.text}`", node.span)
    else:
        _no_column(ast.Word(names[0], span=node.span), source, report)
    return None


def _named(word: ast.Word, source: beside.Columns, report: Report) -> int | None:
    if word.text in source.header:
        return source.header.index(word.text)
    _no_column(word, source, report)
    return None


def _no_column(word: ast.Word, source: beside.Columns, report: Report) -> None:
    there = ", ".join(f"`{name}`" for name in source.header[:20])
    hint = report.suggest(word.text, source.header)
    report.error("unknown-column", f"the file `{source.path.name}` has no column `{word.text}`; it has {there}", word.span, hint)


# --- cells -----------------------------------------------------------------------------------------------------------


class _Values(dict[Any, Value]):
    """What the cells of one column mean, each different one read once. `bad` are those that are no value of its type."""

    def __init__(self, type_: Type, zone: str) -> None:
        super().__init__()
        self.type, self.zone, self.bad = type_, zone, set[Any]()

    def __missing__(self, cell: Any) -> Value:
        raw, currency = cell if self.type.by is not None else (cell, MISSING)
        value = read_value(self.type, raw, zone=self.zone, currency=currency)
        if value.__class__ is Missing and raw is not None:
            self.bad.add(cell)
        self[cell] = value
        return value


@dataclass
class _Reader:
    """Reads a file block by block into columns, bounds as they stand there; what cannot be read is noted with row and column."""

    tree: ast.File
    declared: dict[str, tuple[ast.TableColumn, Type]]
    places: dict[str, int]
    bounds: list[int]
    report: Report
    numbers: list[int] = field(default_factory=list)
    values: dict[str, list[Value]] = field(default_factory=dict)
    raw: list[list[Any]] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The file as the text names it."""
        return self.tree.rows.text if self.tree.rows is not None else ""

    def read(self, source: beside.Columns) -> None:
        zone = records.zone(self.tree, self.report)
        self.values, self.raw = {name: [] for name in self.declared}, [[] for _ in self.bounds]
        readers = {name: _Values(type_, zone) for name, (_, type_) in self.declared.items()}
        names = sorted(self.declared, key=lambda name: self.declared[name][1].by is not None)
        for numbers, cells in source.cells([*(self.places[name] for name in names), *self.bounds]):
            start = len(self.numbers)
            self.numbers += numbers
            for name, column in zip(names, cells, strict=False):
                by = self.declared[name][1].by
                self._take(name, readers[name], column if by is None else list(zip(column, self.values[by][start:], strict=True)), numbers)
            for raw, column in zip(self.raw, cells[len(names) :], strict=True):
                raw += column
        self._tell(readers)

    def _take(self, name: str, reader: _Values, cells: Sequence[Any], numbers: Sequence[int]) -> None:
        values, bad = self.values[name], len(reader.bad)
        if reader.type == TEXT and cells.__class__ is tuple:
            # what stands in a file of text is a text; most columns of it are keys, in which every value is another
            values += cells
            return
        values += map(reader.__getitem__, cells)
        if bad or reader.bad:
            for cell, number in zip(cells, numbers, strict=True):
                if cell in reader.bad:
                    self._bad(name, cell[0] if reader.type.by is not None else cell, number)
        if name in {word.text for word in self.tree.key} and None in cells:
            self.cell(name, numbers[list(cells).index(None)], f"the column `{name}` is part of the key, and here it is empty")

    def _bad(self, name: str, raw: Any, number: int) -> None:
        self.cell(name, number, f"`{shown(raw, 40)}` in the column `{name}` is not {describe(self.declared[name][1])}")

    def cell(self, name: str, number: int, what: str) -> None:
        """Note what is wrong with a cell, as long as there are few such cells."""
        self.told[name] = self.told.get(name, 0) + 1
        if self.told[name] <= _MOST_CELLS:
            node = self.declared[name][0] if name in self.declared else None
            span = node.span if node is not None else self.tree.name.span
            self.report.error("table-cell", f"row {number} of the file `{self.file}`: {what}", span)

    def _tell(self, readers: dict[str, _Values]) -> None:
        for name, number in self.told.items():
            if number > _MOST_CELLS:
                message = f"and {number - _MOST_CELLS:_} more cells of the column `{name}`"
                self.report.error("table-cell", message, self.declared[name][0].span)
        key = {word.text for word in self.tree.key}
        self._tell_spaces(key)
        for name, (node, _) in self.declared.items():
            empty = sum(value is MISSING for value in self.values[name]) if None in readers[name] or readers[name].type.by else 0
            if empty and not node.optional and name not in key:
                message = f"{_count(empty, 'cell')} of the column `{name}` {'is' if empty == 1 else 'are'} empty"
                self.report.warning("table-empty", message, node.span, "add `optional` where that is normal")

    def _tell_spaces(self, key: set[str]) -> None:
        """A key that begins or ends with a space is found by nobody who does not write it so."""
        for name in sorted(key):
            for value, number in zip(self.values[name], self.numbers, strict=True) if self.declared[name][1].kind == "text" else ():
                if value.__class__ is str and value != value.strip():
                    message = f"row {number} of the file `{self.file}`: the key `{shown(value, 40)}` begins or ends with a space"
                    self.report.warning("edge-space", message, self.declared[name][0].span, "if that is meant, leave it so")
                    break


def _count(number: int, what: str) -> str:
    return f"{number:_} {what}" + ("" if number == 1 else "s")


# --- when rows hold --------------------------------------------------------------------------------------------------


def _whole(tree: ast.File, reader: _Reader, path: Path, report: Report) -> ReferenceTable | None:
    zone, valid, known = records.zone(tree, report), None, None
    if tree.valid:
        kind, (start, end) = _moments(tree.valid, reader.raw[:2], zone, reader, report)
        valid = Bounds(kind, start, end)
    if tree.known is not None:
        kind, (start,) = _moments((tree.known,), reader.raw[-1:], zone, reader, report)
        known = Bounds(kind, start)
    if report.failed:
        return None
    if valid is not None:
        _check_spans(valid, tree.valid[0], reader, report)
    if known is not None and tree.known is not None and None in known.start:
        row = reader.numbers[known.start.index(None)]
        report.error("table-cell", f"row {row} of the file `{reader.file}`: nobody says from when it is known", tree.known.span)
    if report.failed:
        return None
    columns = {
        name: TableColumn(name, type_, reader.values[name], node.optional, node.title) for name, (node, type_) in reader.declared.items()
    }
    key = tuple(word.text for word in tree.key)
    keys: Sequence[Hashable] = reader.values[key[0]] if len(key) == 1 else list(zip(*(reader.values[name] for name in key), strict=True))
    made = ReferenceTable(
        tree.name.text, tree.version.text, key, keys, columns, valid, known, _digest(tree, columns, zone, path), path.name, reader.numbers
    )
    _check_rows(made, tree, report)
    return None if report.failed else made


def _moments(
    words: Sequence[ast.Word], columns: list[list[Any]], zone: str, reader: _Reader, report: Report
) -> tuple[str, list[list[int | None]]]:
    """Columns of days, or else of moments, whichever all their cells are."""
    cells = {cell for column in columns for cell in column}
    for type_ in (DATE, DATETIME):
        read = {cell: read_value(type_, cell, zone=zone) for cell in cells}
        if not any(value.__class__ is Missing and cell is not None for cell, value in read.items()):
            return type_.kind, [[None if cell is None else read[cell] for cell in column] for column in columns]
    bad = [
        (number, cell, word)
        for word, column in zip(words, columns, strict=True)
        for number, cell in zip(reader.numbers, column, strict=True)
        if cell is not None and read[cell].__class__ is Missing and read_value(DATE, cell).__class__ is Missing
    ]
    mixed = "the file has days here and moments there; write all in one way"
    for number, cell, word in bad[:_MOST_CELLS]:
        report.error(
            "table-cell", f"row {number} of the file `{reader.file}`: `{shown(cell, 40)}` in the column `{word.text}` is no date", word.span
        )
    if not bad:
        report.error("table-cell", mixed, words[0].span, "write `2026-01-31`, or `2026-01-31 09:00` everywhere")
    return DATE.kind, [[None] * len(column) for column in columns]


def _check_spans(valid: Bounds, word: ast.Word, reader: _Reader, report: Report) -> None:
    found = 0
    for row, (start, number) in enumerate(zip(valid.start, reader.numbers, strict=True)):
        after = valid.after(row)
        if start is not None and after is not None and after <= start and found < _MOST_CELLS:
            found += 1
            message = f"row {number} of the file `{reader.file}` ends before it begins, so that it never holds"
            report.error("table-cell", message, word.span)


def _check_rows(made: ReferenceTable, tree: ast.File, report: Report) -> None:
    for count, (row, other) in enumerate(made.clashes()):
        if count == _MOST_CELLS:
            report.error("table-clash", "and more rows between which nobody could choose", tree.key[0].span)
            break
        key = made.keys[row]
        shown_key = ", ".join(str(part) for part in (key if isinstance(key, tuple) and not isinstance(key, Money) else (key,)))
        first, second = sorted((made.numbers[row], made.numbers[other]))
        when = " and are valid at once" if made.valid is not None else ""
        since = ", known from the same moment" if made.known is not None else ""
        hint = "keep one of them" if made.valid is not None else 'keep one of them, or say with `valid "FROM" to "TO"` when each holds'
        message = f"rows {first} and {second} of the file `{made.file}` have the key `{shown_key}`{when}{since}"
        report.error("table-clash", message, tree.key[0].span, hint)


def _digest(tree: ast.File, columns: dict[str, TableColumn], zone: str, path: Path) -> str:
    """What the table says, as a hash: its declaration without wording, and the bytes of its file."""
    words = [word.text for word in (*tree.key, *tree.valid, *([tree.known] if tree.known is not None else []))]
    sources = [(node.name.text, node.sources) for node in tree.declarations if isinstance(node, ast.TableColumn)]
    said = [words, len(tree.key), len(tree.valid), sources, [(c.name, repr(c.type)) for c in columns.values()], zone]
    digest = hashlib.sha256(repr(said).encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
