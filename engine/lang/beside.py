"""Files with columns that lie beside rules, CSV or Parquet: where they may lie, and their cells, some thousand rows at a time.

It knows no declaration and reads no value: a cell is what the file holds, an empty one of a CSV file is none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang import ast
    from engine.lang.problems import Report

MAX_LINE: Final = 1_000_000
"""About how many bytes a line of a CSV file may have."""
MAX_ROWS: Final = 10_000_000
"""How many rows a file beside rules may have."""
_BLOCK: Final = 20_000


class BadFile(Exception):
    """A file that cannot be read; code and message for the author, and the names of which one was meant."""

    def __init__(self, message: str, code: str = "table-unreadable", near: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message, self.code, self.near = message, code, near


@dataclass(frozen=True, slots=True)
class Columns:
    """A file that was found and looked over: its `header`, and the file itself for `cells`."""

    path: Path
    header: tuple[str, ...]

    def cells(self, places: Sequence[int]) -> Iterator[tuple[Sequence[int], list[Sequence[Any]]]]:
        """The cells of some columns, block by block: the rows' numbers as an editor counts them, and one sequence a column."""
        return _parquet_cells(self.path, [self.header[place] for place in places]) if _is_parquet(self.path) else _csv_cells(self, places)


def columns(report: Report, word: ast.Word, folder: Path | None, workspace: Path | None) -> Columns | None:
    """The file that `word` names, or none with the problem noted."""
    path = inside(report, word.span, word.text, folder, workspace)
    if path is None:
        return None
    found = guarded(report, word, path, lambda: Columns(path, _header(path)))
    return found if isinstance(found, Columns) else None


def guarded(report: Report, word: ast.Word, path: Path, read: Any) -> Any:
    """What `read` gives, or none, with the reason noted why the file cannot be read."""
    try:
        return read()
    except OSError as problem:
        reason = "there is no such file" if isinstance(problem, FileNotFoundError) else (problem.strerror or "unknown reason").lower()
        _unreadable(report, word, f"cannot be read: {reason}")
    except UnicodeDecodeError:
        _unreadable(report, word, f"is not UTF-8 text: line {line_at_fault(path)} does not fit", "save it as UTF-8")
    except csv.Error as problem:
        _unreadable(report, word, f"is not a table: {str(problem).rstrip('.')}", "save it as CSV in UTF-8")
    except BadFile as problem:
        report.error(problem.code, f"the file `{word.text}` {problem.message}", word.span)
    return None


def _unreadable(report: Report, word: ast.Word, what: str, hint: str | None = None) -> None:
    report.error("table-unreadable", f"the file `{word.text}` {what}", word.span, hint)


def inside(
    report: Report, span: Span, file: str, folder: Path | None, workspace: Path | None, code: str = "table-unreadable"
) -> Path | None:
    """The path of a file that is named from `folder` and must lie in `workspace` (or in `folder`, where there is no workspace)."""
    if folder is None:
        report.error(code, f"the file `{file}` cannot be read: this text has no folder of its own", span)
        return None
    path, bounds = (folder / file).resolve(), (workspace or folder).resolve()
    if not path.is_relative_to(bounds) or Path(file).is_absolute():
        hint = "put it beside the rules and name it from there"
        report.error("path-outside", f"the file `{file}` lies outside the workspace", span, hint)
        return None
    return path


def look_over(path: Path) -> None:
    """Refuse what only looks like CSV: zero bytes, and lines so long that they would fill memory."""
    line = 1
    with path.open("rb") as file:
        while block := file.read(MAX_LINE):
            zero = block.find(b"\0")
            if zero >= 0:
                line += block.count(b"\n", 0, zero)
                raise BadFile(f"holds zero bytes in line {line}: it is damaged, or not saved as UTF-8")
            if len(block) == MAX_LINE and b"\n" not in block and b"\r" not in block:
                raise BadFile(f"has more than {MAX_LINE:_} bytes in line {line}")
            line += block.count(b"\n")


def line_at_fault(path: Path) -> int:
    """The first line that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _header(path: Path) -> tuple[str, ...]:
    if path.is_dir():
        raise BadFile("is a folder")
    if _is_parquet(path):
        import polars as pl

        try:
            return tuple(pl.read_parquet_schema(path))
        except pl.exceptions.PolarsError as problem:
            raise BadFile(f"is no Parquet file: {str(problem).splitlines()[0].rstrip('.')}") from problem
    if path.exists() and path.suffix.lower() != ".csv":
        raise BadFile("is neither CSV nor Parquet; its name tells by `.csv` or `.parquet`")
    look_over(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = tuple(name.strip() for name in next(csv.reader(file, strict=True), []))
    if not header:
        raise BadFile("is empty")
    for name in header:
        if name and header.count(name) > 1:
            raise BadFile(f"has two columns `{name}`")
    return header


def _csv_cells(source: Columns, places: Sequence[int]) -> Iterator[tuple[Sequence[int], list[Sequence[Any]]]]:
    width = len(source.header)
    with source.path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.reader(file, strict=True)
        next(table, None)
        done = 1
        while block := list(islice(table, _BLOCK)):
            numbers: Sequence[int] = range(done + 1, done + 1 + len(block))
            done += len(block)
            if done > MAX_ROWS + 1:
                raise BadFile(f"has more than {MAX_ROWS:_} rows")
            if {len(row) for row in block} != {width}:
                block, numbers = _even(block, numbers, width)
            turned = list(zip(*block, strict=True)) if block else [()] * width
            yield numbers, [_with_gaps(turned[place]) for place in places]


def _with_gaps(cells: Sequence[str]) -> Sequence[Any]:
    """The cells, none for those that are empty."""
    return [cell or None for cell in cells] if "" in cells else cells


def _even(block: list[list[str]], numbers: Sequence[int], width: int) -> tuple[list[list[str]], list[int]]:
    """The block without empty lines. A comma that should stand in quotes moves every cell after it to another column."""
    for row, number in zip(block, numbers, strict=True):
        if row and len(row) != width:
            raise BadFile(f"has another number of cells in row {number} than in its header: {len(row)}, not {width}")
    there = [(row, number) for row, number in zip(block, numbers, strict=True) if row]
    return [row for row, _ in there], [number for _, number in there]


def _parquet_cells(path: Path, names: Sequence[str]) -> Iterator[tuple[Sequence[int], list[Sequence[Any]]]]:
    import polars as pl

    try:
        frame = pl.read_parquet(path, columns=list(dict.fromkeys(names)))
    except pl.exceptions.PolarsError as problem:
        raise BadFile(f"cannot be read as Parquet: {str(problem).splitlines()[0].rstrip('.')}") from problem
    if frame.height > MAX_ROWS:
        raise BadFile(f"has more than {MAX_ROWS:_} rows")
    for name in frame.columns:
        if frame[name].dtype.is_nested() or frame[name].dtype in (pl.Object, pl.Binary):
            raise BadFile(f"holds no plain values in its column `{name}`")
    yield range(1, frame.height + 1), [frame[name].to_list() for name in names]
