"""The values of a list: written in the text, or read from a CSV file beside it. The only place of the language that opens files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.lang import ast, beside, ir
from engine.lang.entries import Days, Entries
from engine.lang.letters import mixed_words
from engine.lang.source import check_text
from engine.reading import read_value
from engine.values import DATE, Type, Value, known

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report


Held = frozenset[Value] | Entries
"""What a list holds: values, or entries that have dates of their own."""


Ids = frozenset[tuple[str, str]]
"""Names and the id of who bears them; a name may have several, and a bearer several names."""


@dataclass(frozen=True, slots=True)
class ListValue:
    """A list by its full name: what it `holds`, as run-time values of `type`, in each stretch of days; and the `ids` its files give."""

    name: str
    version: str | None
    type: Type
    holds: tuple[tuple[Days, Held], ...]
    ids: Ids = frozenset()

    @property
    def values(self) -> frozenset[Value]:
        """All values that are ever on the list."""
        parts = [held if isinstance(held, frozenset) else frozenset(held) for _, held in self.holds]
        return parts[0] if len(parts) == 1 else frozenset[Value]().union(*parts)

    @property
    def is_dated(self) -> bool:
        """Whether what is on it depends on the day."""
        return any(days != (None, None) or isinstance(held, Entries) for days, held in self.holds)

    def asked(self, ask: Callable[[Held], ir.Expr], span: Span) -> ir.Expr:
        """What `ask` makes of what the list holds, on the day of the event."""
        if len(self.holds) == 1 and self.holds[0][0] == (None, None):
            return ask(self.holds[0][1])
        items = tuple(ask(held) for _, held in self.holds)
        return ir.Dated(ir.day_of_event(), tuple(days for days, _ in self.holds), items, self.name, type=items[0].type, span=span)


class _BadTable(Exception):
    """A table that cannot be read; code and message for the author, a column that was sought and those that are there."""

    def __init__(self, code: str, message: str, sought: str = "", there: Sequence[str] = ()) -> None:
        super().__init__(code, message, sought, there)


def read_file(report: Report, node: ast.ListFile, folder: Path | None, workspace: Path | None) -> tuple[Held, Ids] | None:
    """The distinct texts of CSV columns, with their dates and ids where the file has them; none, and a problem noted, when they cannot be
    read. Empty cells are left out.

    The file's name is relative to `folder`; the file must lie in `workspace` (or in `folder`, where there is no workspace).
    """
    span, file = node.span, node.file
    path = beside.inside(report, span, file, folder, workspace, "list-unreadable")
    if path is None:
        return None
    try:
        status = path.stat()
        values, ids, odd = _column(path, node.columns, node.id, node.valid, status.st_mtime_ns, status.st_size)
    except OSError as problem:
        reason = "there is no such file" if isinstance(problem, FileNotFoundError) else (problem.strerror or "unknown reason").lower()
        report.error("list-unreadable", f"the file `{file}` cannot be read: {reason}", span)
    except UnicodeDecodeError:
        message = f"the file `{file}` is not UTF-8 text: line {beside.line_at_fault(path)} does not fit"
        report.error("list-unreadable", message, span, "save it as UTF-8")
    except csv.Error as problem:
        report.error("list-unreadable", f"the file `{file}` is not a table: {str(problem).rstrip('.')}", span, "save it as CSV in UTF-8")
    except beside.BadFile as problem:
        report.error("list-unreadable", f"the file `{file}` {problem.message}", span)
    except _BadTable as problem:
        code, message, sought, there = problem.args
        report.error(code, f"the file `{file}` {message}", span, report.suggest(sought, there) if there else None)
    else:
        _tell(report, span, file, odd)
        if not values:
            report.warning("empty-list", f"the file `{file}` holds no entry, so nothing is ever on this list", span)
        return values, ids
    return None


@lru_cache(maxsize=8)
def _column(
    path: Path, columns: tuple[str, ...], bearer: str | None, valid: tuple[str, str] | None, changed: int, size: int
) -> tuple[Held, Ids, tuple[_Odd, ...]]:
    """Read once as long as the file does not change: a rule set is checked again for every test that overrides a param."""
    beside.look_over(path)
    found: dict[Value, tuple[Days, ...]] = {}
    ids: set[tuple[str, str]] = set()
    odd: dict[str, _Odd] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.reader(file, strict=True)
        header = [name.strip() for name in next(table, [])]
        places, dates = [_place(header, name) for name in columns or (None,)], [_place(header, name) for name in valid or ()]
        named = None if bearer is None else _place(header, bearer)
        for number, text, row in _entries(table, places, len(header)):
            if named is not None:
                ids.add((text, row[named].strip()))
            if text not in found:
                found[text] = ()
                _note(odd, number, _oddities(text))
            days = _span(*(row[at].strip() for at in dates)) if dates else _ALWAYS
            if days is None:
                _note(odd, number, _misdated(text, [row[at].strip() for at in dates]))
            elif days not in found[text]:
                found[text] = (*found[text], days)
    return (frozenset(found) if valid is None else Entries(found)), frozenset(ids), tuple(odd.values())


def _note(odd: dict[str, _Odd], row: int, found: Iterable[tuple[str, str]]) -> None:
    for code, message in found:
        there = odd.get(code)
        odd[code] = _Odd(code, message, row, 1) if there is None else replace(there, number=there.number + 1)


_ALWAYS: Days = (None, None)


@lru_cache(maxsize=100_000)
def _span(start: str, end: str) -> Days | None:
    """The days from one date to another, an empty one open; none where that is no span of days.

    >>> _span("1970-01-11", ""), _span("", "1970-01-11"), _span("1970-01-11", "1970-01-10"), _span("11.01.1970", "")
    ((10, None), (None, 10), None, None)
    """
    first, last = _day(start), _day(end)
    if first is None or last is None or (start and end and last < first):
        return None
    return first if start else None, last if end else None


def _day(text: str) -> int | None:
    """The day of an ISO date, some day for an empty cell, and nothing where it is no date."""
    day = read_value(DATE, text) if text else 0
    return day if known(day) else None


def _misdated(text: str, dates: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the dates of an entry: code and message."""
    wrong = next((one for one in dates if _day(one) is None), None)
    if wrong is not None:
        yield "bad-date", f"there is no day `{wrong[:40]}`, which the entry `{text[:40]}` names"
    else:
        yield "effective-order", f"the entry `{text[:40]}` ends on {dates[1]}, before it begins on {dates[0]}"


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
            report.error(one.code, message, span, _MENDED.get(one.code, "delete it in the file"))


_MENDED: Final = {"bad-date": "write dates as `2026-12-25`, or leave the cell empty", "effective-order": "exchange the two dates"}


def _place(header: list[str], column: str | None) -> int:
    if not header:
        raise _BadTable("list-unreadable", "is empty")
    there = ", ".join(f"`{name}`" for name in header[:20])
    if column is None:
        if len(header) == 1:
            return 0
        raise _BadTable("unknown-column", f"has several columns: {there}; name one with `column`")
    if header.count(column) > 1:
        raise _BadTable("list-unreadable", f"has two columns `{column}`")
    if column not in header:
        raise _BadTable("unknown-column", f"has no column `{column}`; it has {there}", column, header)
    return header.index(column)


def _entries(table: Iterator[list[str]], places: Sequence[int], width: int) -> Iterator[tuple[int, str, list[str]]]:
    """The entries with the number of their row, and the row."""
    for number, row in enumerate(table, 2):
        # a comma that should stand in quotes moves every cell after it to another column
        if row and len(row) != width:
            raise _BadTable("list-unreadable", f"has another number of cells in row {number} than in its header: {len(row)}, not {width}")
        yield from ((number, row[place], row) for place in places if row and row[place])
