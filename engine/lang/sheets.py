"""The rows of a table that stand in a file: CSV, or a sheet of an XLSX workbook. What a spreadsheet can hide is refused by its cell.

It knows cells as text, not what they say.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.currencies import DIGITS
from engine.lang.beside import BadFile, inside, line_at_fault, look_over

if TYPE_CHECKING:
    from engine.lang import ast
    from engine.lang.problems import Report

MOST_ROWS: Final = 10_000
"""So many rows a table may have."""
MOST_BYTES: Final = 10_000_000
_MOST_UNPACKED: Final = 100_000_000
_MOST_COLUMNS: Final = 100
_MOST_LETTERS: Final = 1_000
_SEPARATORS: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_WORKBOOKS: Final = (".xlsx", ".xlsm")
_OTHERS: Final = (".xls", ".xlsb", ".ods", ".numbers", ".xltx", ".xltm")


class Finding(NamedTuple):
    """What is wrong with a file, or with one of its cells: severity, code, where (a cell like ``C7``, or nothing), message, hint."""

    severity: str
    code: str
    where: str
    message: str
    hint: str | None


class Grid(NamedTuple):
    """The rows of a file that are not empty: the number of each, and its cells as text. The first is the header."""

    rows: tuple[tuple[int, tuple[str, ...]], ...]
    findings: tuple[Finding, ...] = ()


class _Unreadable(Exception):
    """A file that is no table; the finding."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.finding = Finding("error", code, "", message, hint)


def label(source: ast.Sheet) -> str:
    """How messages call the file."""
    return source.file + (f", sheet {source.sheet}" if source.sheet is not None else "")


def cell_name(row: int, column: int) -> str:
    """A cell as spreadsheets name it, both counted from 1.

    >>> cell_name(7, 3), cell_name(1, 28)
    ('C7', 'AB1')
    """
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row}"


def read(report: Report, source: ast.Sheet, folder: Path | None, workspace: Path | None) -> Grid | None:
    """What the file holds, or none; every problem is noted, with the cell where there is one."""
    path = inside(report, source.span, source.file, folder, workspace, "sheet-unreadable")
    if path is None:
        return None
    try:
        status = path.stat()
        grid = _grid(path, source.sheet, source.separator, status.st_mtime_ns, status.st_size)
    except OSError as problem:
        reason = "there is no such file" if isinstance(problem, FileNotFoundError) else (problem.strerror or "unknown reason").lower()
        report.error("sheet-unreadable", f"the file `{source.file}` cannot be read: {reason}", source.span)
        return None
    for finding in grid.findings:
        place = label(source) + (f", cell {finding.where}" if finding.where else "")
        message = f"in {place}: {finding.message}"
        if finding.severity == "error":
            report.error(finding.code, message, source.span, finding.hint)
        else:
            report.warning(finding.code, message, source.span, finding.hint)
    return None if any(finding.severity == "error" for finding in grid.findings) else grid


@lru_cache(maxsize=8)
def _grid(path: Path, sheet: str | None, separator: str | None, changed: int, size: int) -> Grid:
    """Read once as long as the file does not change: a rule set is checked again for every test that overrides a param."""
    try:
        if size > MOST_BYTES:
            raise _Unreadable("table-too-large", f"this file has {size:_} bytes, and at most {MOST_BYTES:_} are read", "split the table")
        if path.suffix.lower() in _OTHERS:
            raise _Unreadable("sheet-unreadable", f"files of the kind `{path.suffix}` are not read", "save it as .xlsx, or as CSV in UTF-8")
        if path.suffix.lower() in _WORKBOOKS:
            return _trimmed(*_workbook(path, sheet))
        if sheet is not None:
            raise _Unreadable("sheet-unreadable", "a CSV file has no sheets", "leave out `sheet`")
        return _trimmed(_csv(path, separator), [])
    except _Unreadable as problem:
        return Grid((), (problem.finding,))


def _trimmed(rows: list[tuple[int, list[str]]], findings: list[Finding]) -> Grid:
    """Without empty rows, and empty columns behind the header's last; rows of another length are noted."""
    kept = [(number, cells) for number, cells in rows if any(cells)]
    if not kept:
        return Grid((), (*findings, Finding("error", "table-without-rows", "", "nothing stands in it", "the first row names the columns")))
    if len(kept) > MOST_ROWS + 1:
        message = f"a table has at most {MOST_ROWS:_} rows, this one has {len(kept) - 1:_}"
        return Grid((), (Finding("error", "table-too-large", "", message, "split it"),))
    width = max(place for place, text in enumerate(kept[0][1], 1) if text)
    made: list[tuple[int, tuple[str, ...]]] = []
    for number, cells in kept:
        if any(cells[width:]) or len(cells) < width:
            count = max((place for place, text in enumerate(cells, 1) if text), default=0)
            message = f"this row has {max(count, min(len(cells), width))} cells, the first row has {width}"
            hint = "every row has as many cells as the first; a cell that holds a comma stands in quotes"
            findings.append(Finding("error", "ragged-row", cell_name(number, min(len(cells), width) or 1), message, hint))
        long = next((place for place, text in enumerate(cells, 1) if len(text) > _MOST_LETTERS), None)
        if long is not None:
            message = f"this cell has more than {_MOST_LETTERS:_} letters"
            findings.append(Finding("error", "table-too-large", cell_name(number, long), message, "make a list of what it names"))
        made.append((number, tuple(text.strip() for text in cells[:width])))
    return Grid(tuple(made), tuple(findings))


# --- CSV -------------------------------------------------------------------------------------------------------------


def _csv(path: Path, separator: str | None) -> list[tuple[int, list[str]]]:
    mark = {"tab": "\t"}.get(separator or "", separator) or ","
    if mark not in _SEPARATORS:
        raise _Unreadable("sheet-unreadable", f"`{separator}` separates no cells", 'write `separated by ";"`, or `"tab"`')
    try:
        look_over(path)
    except BadFile as problem:
        raise _Unreadable("sheet-unreadable", f"this file {problem.message}", "save it as CSV in UTF-8") from None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(table_line, list(cells)) for table_line, cells in _numbered(csv.reader(file, delimiter=mark, strict=True))]
    except UnicodeDecodeError:
        message = f"this file is not UTF-8 text: line {line_at_fault(path)} does not fit"
        raise _Unreadable("sheet-unreadable", message, "save it as UTF-8") from None
    except csv.Error as error:
        raise _Unreadable("sheet-unreadable", f"this file is no table: {str(error).rstrip('.')}", "save it as CSV in UTF-8") from None
    _look_for_separator(rows, mark)
    return rows


def _numbered(table: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for number, cells in enumerate(table, 1):
        if number > 2 * MOST_ROWS:
            raise _Unreadable("table-too-large", f"a table has at most {MOST_ROWS:_} rows", "split it")
        yield number, cells


def _look_for_separator(rows: list[tuple[int, list[str]]], mark: str) -> None:
    """A header that is one single cell was probably separated in another way."""
    header = rows[0][1] if rows else []
    if len(header) != 1:
        return
    other = next((one for one in _SEPARATORS if one != mark and one in header[0] and "=>" in header[0]), None)
    if other is not None:
        written = "tab" if other == "\t" else other
        message = f"its cells seem to be separated by {_SEPARATORS[other]}, not by {_SEPARATORS[mark]}"
        raise _Unreadable("sheet-unreadable", message, f'write `separated by "{written}"` after the name of the file')


# --- workbooks -------------------------------------------------------------------------------------------------------


def _workbook(path: Path, name: str | None) -> tuple[list[tuple[int, list[str]]], list[Finding]]:
    """The cells of a sheet as text, and what is wrong with them."""
    _look_into(path)
    sheet = _sheet(_opened(path), name)
    if sheet.max_row > 2 * MOST_ROWS or sheet.max_column > _MOST_COLUMNS:
        message = f"this sheet goes down to row {sheet.max_row:_} and has {sheet.max_column:_} columns"
        hint = f"a table has at most {MOST_ROWS:_} rows; delete the rows and columns beyond it, formatted cells count"
        raise _Unreadable("table-too-large", message, hint)
    findings: list[Finding] = [*_hidden(sheet)]
    for merged in sorted(map(str, sheet.merged_cells.ranges)):
        message = "these cells are merged, so that nobody knows which rows and columns their value is meant for"
        findings.append(Finding("error", "sheet-merged", merged, message, "unmerge them, and fill every cell"))
    rows = []
    for number, cells in enumerate(sheet.iter_rows(), 1):
        texts = []
        for cell in cells:
            text, problem = _text(cell)
            texts.append(text)
            findings += [] if problem is None else [Finding("error", problem[0], cell_name(number, cell.column), *problem[1:])]
        rows.append((number, texts))
    return rows, findings


def _look_into(path: Path) -> None:
    """Refuse what is no workbook, what holds a macro, and what would fill memory once unpacked."""
    if not zipfile.is_zipfile(path):
        message = "this is no workbook: the file is damaged, protected by a password, or of another kind"
        raise _Unreadable("sheet-unreadable", message, "save it as .xlsx without a password")
    with zipfile.ZipFile(path) as packed:
        parts = packed.infolist()
    if path.suffix.lower() == ".xlsm" or any(part.filename.endswith("vbaProject.bin") for part in parts):
        raise _Unreadable("sheet-macro", "this workbook may hold a macro, and rules hold no programs", "save it as .xlsx, without macros")
    if sum(part.file_size for part in parts) > _MOST_UNPACKED or len(parts) > 10_000:
        message = f"unpacked this workbook would have more than {_MOST_UNPACKED:_} bytes"
        raise _Unreadable("table-too-large", message, "save the table in a workbook of its own")


def _opened(path: Path) -> Any:
    try:
        import openpyxl
    except ImportError:
        raise _Unreadable("sheet-unreadable", "to read workbooks the package openpyxl is needed", 'install "kaskade[xlsx]"') from None
    try:
        with warnings.catch_warnings():
            # it warns of charts and drop-down lists, which are no part of a table
            warnings.simplefilter("ignore")
            return openpyxl.load_workbook(path, data_only=False, keep_links=False)
    except Exception as error:  # whatever the reader of a damaged file runs into
        reason = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
        raise _Unreadable("sheet-unreadable", f"this workbook cannot be read: {reason}", "open it and save it anew as .xlsx") from None


def _sheet(book: Any, name: str | None) -> Any:
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    there = ", ".join(f"`{title}`" for title in list(sheets)[:20])
    if name is None and len(sheets) == 1:
        return next(iter(sheets.values()))
    if name is None:
        raise _Unreadable("unknown-sheet", f"this workbook has several sheets: {there}", 'name one with `sheet "..."`')
    if name not in sheets:
        raise _Unreadable("unknown-sheet", f"this workbook has no sheet `{name}`; it has {there or 'none'}", None)
    return sheets[name]


def _hidden(sheet: Any) -> Iterator[Finding]:
    """Warnings of what its reader does not see and what counts all the same."""
    hint = "show it, or delete it"
    if sheet.sheet_state != "visible":
        yield Finding("warning", "sheet-hidden", "", "this sheet is hidden, and counts all the same", hint)
    rows = [number for number, row in sheet.row_dimensions.items() if row.hidden and number <= sheet.max_row]
    columns = [letter for letter, column in sheet.column_dimensions.items() if column.hidden]
    for what, hidden in (("row", rows), ("column", columns)):
        if hidden:
            names = ", ".join(map(str, sorted(hidden)[:8])) + (f" and {len(hidden) - 8} more" if len(hidden) > 8 else "")
            one = len(hidden) == 1
            message = f"{what}{'' if one else 's'} {names} {'is' if one else 'are'} hidden, and count{'s' if one else ''} all the same"
            yield Finding("warning", "sheet-hidden", "", message, hint)


Problem = tuple[str, str, str | None]


def _text(cell: Any) -> tuple[str, Problem | None]:
    """What a cell holds, as its author would have typed it; or the code, message and hint of what is wrong with it."""
    value = cell.value
    if value is None:
        return "", None
    if cell.data_type == "f":
        return "", (
            "sheet-formula",
            "this cell holds a formula",
            "paste its value; before a text that begins with `=` type an apostrophe",
        )
    if cell.data_type == "e":
        return "", ("sheet-formula", f"this cell holds the error `{value}`", "mend it, and paste the value")
    if isinstance(value, bool):
        return "true" if value else "false", None
    if isinstance(value, int | float):
        return _number(value, str(cell.number_format)), None
    if isinstance(value, dt.datetime):
        return (value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "seconds")), None
    if isinstance(value, dt.date):
        return value.isoformat(), None
    if isinstance(value, str):
        return value.replace("\n", " ").replace("\r", " ").strip(), None
    return "", ("bad-cell", "this cell holds a time of day or a length of time", "write it out as text, like `7 days`")


def _number(value: float, shape: str) -> str:
    """A number as text: with its `%`, or the one currency that its format names by its code."""
    exact = Decimal(repr(value))
    text = f"{exact * 100 if '%' in shape else exact:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    codes = {code for code in re.findall(r"(?<![A-Z])[A-Z]{3}(?![A-Z])", shape) if code in DIGITS}
    if "%" in shape:
        return f"{text}%"
    return f"{text} {codes.pop()}" if len(codes) == 1 else text


# --- texts without quotes --------------------------------------------------------------------------------------------

_PLAIN: Final = re.compile(r"[^\W\d_][\w \-/&.']*")
_CELL_WORDS: Final = ("any", "known", "missing", "otherwise", "true", "false", "in", "not", "flag")


def quoted(text: str, names: Sequence[str] | set[str]) -> str:
    """A cell of a file, where a text of letters may stand without quotes, unless it begins with a word of cells or with one of the `names`.

    >>> quoted("retail", set()), quoted("in (1, 2)", set()), quoted("limit", {"limit"}), quoted(">= 5", set())
    ('"retail"', 'in (1, 2)', 'limit', '>= 5')
    """
    if not _PLAIN.fullmatch(text):
        return text
    first = text.split(" ")[0]
    return text if first in _CELL_WORDS or first in names else f'"{text}"'
