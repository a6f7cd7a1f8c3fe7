"""The values of a list: written in the text, or read from a CSV file beside it. The only place of the language that opens files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.lang.letters import mixed_words
from engine.lang.source import check_text
from engine.values import TEXT, Type, Value

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report


MAX_LINE: Final = 1_000_000
"""About how many bytes a line of a table may have."""


@dataclass(frozen=True, slots=True)
class ListValue:
    """A list by its full name, its values as run-time values of `type`. `file` is where they came from, if from a file."""

    name: str
    version: str | None
    type: Type
    values: frozenset[Value]
    file: Path | None = None


class _BadTable(Exception):
    """A table that cannot be read; code, message and hint for the author."""


def read_column(report: Report, span: Span, file: str, column: str | None, folder: Path | None, workspace: Path | None) -> ListValue | None:
    """The distinct texts of a CSV column; none, and a problem noted, when they cannot be read. Empty cells are left out.

    `file` is relative to `folder`; the file must lie in `workspace` (or in `folder`, where there is no workspace).
    """
    path = _inside(report, span, file, folder, workspace)
    if path is None:
        return None
    try:
        status = path.stat()
        values, odd = _column(path, column, status.st_mtime_ns, status.st_size)
    except OSError as problem:
        reason = "there is no such file" if isinstance(problem, FileNotFoundError) else (problem.strerror or "unknown reason").lower()
        report.error("list-unreadable", f"the file `{file}` cannot be read: {reason}", span)
    except UnicodeDecodeError:
        message = f"the file `{file}` is not UTF-8 text: line {_line_at_fault(path)} does not fit"
        report.error("list-unreadable", message, span, "save it as UTF-8")
    except csv.Error as problem:
        report.error("list-unreadable", f"the file `{file}` is not a table: {str(problem).rstrip('.')}", span, "save it as CSV in UTF-8")
    except _BadTable as problem:
        code, message, hint = problem.args
        near = report.suggest(column, hint) if column and hint else None
        report.error(code, f"the file `{file}` {message}", span, near)
    else:
        _tell(report, span, file, odd)
        return ListValue("", None, TEXT, values, path)
    return None


def _inside(report: Report, span: Span, file: str, folder: Path | None, workspace: Path | None) -> Path | None:
    if folder is None:
        report.error("list-unreadable", f"the file `{file}` cannot be read: this text has no folder of its own", span)
        return None
    path, bounds = (folder / file).resolve(), (workspace or folder).resolve()
    if not path.is_relative_to(bounds) or Path(file).is_absolute():
        report.error(
            "path-outside", f"the file `{file}` lies outside the workspace", span, "put it beside the rules and name it from there"
        )
        return None
    return path


@lru_cache(maxsize=8)
def _column(path: Path, column: str | None, changed: int, size: int) -> tuple[frozenset[str], tuple[_Odd, ...]]:
    """Read once as long as the file does not change: a rule set is checked again for every test that overrides a param."""
    _look_over(path)
    values: set[str] = set()
    odd: dict[str, _Odd] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.reader(file, strict=True)
        header = [name.strip() for name in next(table, [])]
        place = _place(header, column)
        for number, text in _cells(table, place, len(header)):
            values.add(text)
            for code, message in _oddities(text):
                there = odd.get(code)
                odd[code] = _Odd(code, message, number, 1) if there is None else replace(there, number=there.number + 1)
    return frozenset(values), tuple(odd.values())


@dataclass(frozen=True, slots=True)
class _Odd:
    """The first entry of a kind that does not read as it is written, the row it stands in, and how many there are."""

    code: str
    message: str
    row: int
    number: int


def edge(text: str) -> str | None:
    """What to say of an entry that begins or ends with a space; none of another.

    >>> edge("argos ltd "), edge("argos ltd")
    ('the entry `argos ltd ` ends with a space', None)
    """
    if text == text.strip():
        return None
    return f"the entry `{text[:40]}` {'begins' if text[:1].isspace() else 'ends'} with a space"


def _oddities(text: str) -> Iterator[tuple[str, str]]:
    """What nobody sees in an entry, so that it is on the list and matches nothing: code and message."""
    space = edge(text)
    if space is not None:
        yield "edge-space", space
    if text.isascii() and text.isprintable():
        return
    for found in check_text(text, ""):
        yield found.code, found.message
    for _, word, letter in mixed_words(text):
        yield "mixed-script", f"the word `{word}` mixes letters that look alike: {letter}"


def _tell(report: Report, span: Span, file: str, odd: tuple[_Odd, ...]) -> None:
    """What hides in a text is an error, as in a rule; what merely looks strange may be meant."""
    for one in odd:
        more = f", and {one.number - 1:_} more" if one.number > 1 else ""
        message = f"{one.message}: row {one.row} of the file `{file}`{more}"
        if one.code in ("edge-space", "mixed-script"):
            report.warning(one.code, message, span, "if that is meant, leave it so")
        else:
            report.error(one.code, message, span, "delete it in the file")


def _look_over(path: Path) -> None:
    """Refuse what only looks like a table: zero bytes, and lines so long that they would fill memory."""
    line = 1
    with path.open("rb") as file:
        while block := file.read(MAX_LINE):
            zero = block.find(b"\0")
            if zero >= 0:
                line += block.count(b"\n", 0, zero)
                raise _BadTable("list-unreadable", f"holds zero bytes in line {line}: it is damaged, or not saved as UTF-8", ())
            if len(block) == MAX_LINE and b"\n" not in block and b"\r" not in block:
                raise _BadTable("list-unreadable", f"has more than {MAX_LINE:_} bytes in line {line}", ())
            line += block.count(b"\n")


def _line_at_fault(path: Path) -> int:
    """The first line that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _place(header: list[str], column: str | None) -> int:
    if not header:
        raise _BadTable("list-unreadable", "is empty", ())
    there = ", ".join(f"`{name}`" for name in header[:20])
    if column is None:
        if len(header) == 1:
            return 0
        raise _BadTable("unknown-column", f"has several columns: {there}; name one with `column`", ())
    if header.count(column) > 1:
        raise _BadTable("list-unreadable", f"has two columns `{column}`", ())
    if column not in header:
        raise _BadTable("unknown-column", f"has no column `{column}`; it has {there}", tuple(header))
    return header.index(column)


def _cells(table: Iterator[list[str]], place: int, width: int) -> Iterator[tuple[int, str]]:
    for number, row in enumerate(table, 2):
        # a comma that should stand in quotes moves every cell after it to another column
        if row and len(row) != width:
            raise _BadTable(
                "list-unreadable", f"has another number of cells in row {number} than in its header: {len(row)}, not {width}", ()
            )
        if row and row[place]:
            yield number, row[place]
