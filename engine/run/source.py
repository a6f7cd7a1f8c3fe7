"""Reading files, larger than memory, as chunks of raw rows: CSV, JSON lines, Parquet and XLSX. Every row is in a chunk or in its rejects.

It knows which names a record takes, and nothing of what the values mean: that is the border's.
"""

from __future__ import annotations

import zipfile
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.errors import InputError
from engine.reading import parse_json
from engine.record import Border, Record, border
from engine.run.border import AGAIN, NUMBER, ROW, Typed, flattened, once, typed
from engine.run.cells import Part, Table
from engine.run.lines import HEAD, LIMIT, Long, blocks, label, whole_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

CHUNK_ROWS: Final = 50_000
CHUNK_CELLS: Final = 5_000_000
"""A chunk holds fewer rows where they are wide."""
MAX_COLUMNS: Final = 10_000
MAX_SHEET: Final = 1_000_000_000
"""How many bytes an XLSX file may unpack to: a sheet is held in memory whole."""
REJECTS: Final = {"file": pl.String, "row": pl.Int64, "reason": pl.String, "raw": pl.String}
"""Columns of rejected rows. `file` is named as it was given. `row` counts the data rows of a file from 1; blank lines, and rows of a sheet
without any cell, are none. `raw` is the row's text, or its cells as JSON."""
NAMELESS: Final = "@nameless"
"""Columns without a header, as the cells of a rejected row show them."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came beside the values, of one chunk or of many.

    `unknown` counts the filled cells of each column that no field takes, `nameless` those under no header. `absent` are the fields that no
    column holds, `duplicates` the headers that stand more than once, `notes` what a reader should be told.
    """

    rows: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)
    nameless: int = 0
    absent: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def plus(self, other: Arrival) -> Arrival:
        """Both together; a field is absent if it is in both.

        >>> Arrival(2, {"x": 1}, absent=("a", "b")).plus(Arrival(3, {"x": 2}, absent=("b",)))
        Arrival(rows=5, unknown={'x': 3}, nameless=0, absent=('b',), duplicates=(), notes=())
        """
        return Arrival(
            self.rows + other.rows,
            {name: self.unknown.get(name, 0) + other.unknown.get(name, 0) for name in {**self.unknown, **other.unknown}},
            self.nameless + other.nameless,
            tuple(name for name in self.absent if name in other.absent),
            tuple(dict.fromkeys((*self.duplicates, *other.duplicates))),
            tuple(dict.fromkeys((*self.notes, *other.notes))),
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """Raw rows of one file, which is named as it was given.

    `frame` has a column per header (cells of CSV and XLSX are text), `@n` with the rows' numbers in the file, counted from 1, and where the
    record declares fields `file` and `row` and the data lack them, these. `start` is the number of rows in the files before this one.
    `rejects` are rows that could not be read at all, with the columns of `REJECTS`.
    """

    frame: pl.DataFrame
    file: str
    start: int
    rejects: pl.DataFrame
    arrival: Arrival


class Source:
    """Files as chunks of raw rows, in the order given. Iterating reads; memory holds one chunk (XLSX: one sheet).

    `encoding` is that of text files that are not UTF-8 and carry no byte order mark. Reading raises `InputError` for a file that cannot be
    read as a whole: not there, empty, cut off, wrongly encoded, or without any column the record takes.
    """

    def __init__(
        self, paths: Sequence[str | Path] | str | Path, record: Record, chunk_rows: int = CHUNK_ROWS, *, encoding: str | None = None
    ) -> None:
        self.paths = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self.record, self.chunk_rows, self.encoding = record, chunk_rows, encoding
        self.starts: list[int] = []
        names = [label(path) for path in self.paths]
        twice = next((name for name in names if names.count(name) > 1), None)
        if "file" in record.key and twice is not None:
            raise InputError(f"two files are called `{twice}`, and `file` is part of the key of `{record.name}`")

    def __iter__(self) -> Iterator[Chunk]:
        self.starts = []
        start = 0
        for path in self.paths:
            self.starts.append(start)
            rows = 0
            for chunk in self._file(path, start):
                rows += chunk.frame.height + chunk.rejects.height
                yield chunk
            start += rows

    def place(self, row: int) -> tuple[str, int]:
        """File and row number of a global row number, `@row` of `read`."""
        at = bisect_right(self.starts, row) - 1
        return whole_name(self.paths[at]), row - self.starts[at] + 1

    def _file(self, path: Path, start: int) -> Iterator[Chunk]:
        edge, head = border(self.record), _Head()
        for part in _parts(path, edge, self.chunk_rows, self.encoding, head):
            frame, name = _placed(edge, part.frame, label(path)), whole_name(path)
            rejects = pl.DataFrame([(name, *reject) for reject in part.rejects], REJECTS, orient="row")
            yield Chunk(frame, name, start, rejects, _arrival(edge, frame, rejects.height, head))


def scan(
    paths: Sequence[str | Path] | str | Path, record: Record, chunk_rows: int = CHUNK_ROWS, *, encoding: str | None = None
) -> Iterator[Chunk]:
    """The chunks of `Source`."""
    return iter(Source(paths, record, chunk_rows, encoding=encoding))


def read(record: Record, chunk: Chunk) -> Typed:
    """The typed rows of a chunk, with global row numbers, counted from 0, in `@row`; all its rejects, with the columns of `REJECTS`."""
    done = typed(record, chunk.frame)
    numbers = chunk.frame[NUMBER]
    frame = done.frame.with_columns((numbers.gather(done.frame[ROW]) + (chunk.start - 1)).alias(ROW))
    late = done.rejects.select(
        pl.lit(chunk.file).alias("file"), numbers.gather(done.rejects[ROW]).alias("row"), pl.col("reason"), pl.col("raw")
    )
    return Typed(frame, pl.concat([chunk.rejects, late]).sort("row", maintain_order=True))


# --- what every format gives -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Head:
    """What is learnt at the beginning of a file."""

    header: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _parts(path: Path, edge: Border, most: int, encoding: str | None, head: _Head) -> Iterator[Part]:
    """The rows of a file of any format, at most `most` at a time, and at least one part."""
    name = path.name.lower()
    if path.is_dir():
        raise InputError(f"cannot read `{path}`: it is a folder; name the files in it, like `{path / '*.csv'}`")
    if name.endswith((".csv", ".csv.gz")):
        return _csv(path, edge, most, encoding, head)
    if name.endswith((".jsonl", ".jsonl.gz", ".ndjson")):
        return _json_lines(path, edge, most, encoding, head)
    if name.endswith(".parquet"):
        return _parquet(_plain(path), edge, most)
    if name.endswith(".xlsx"):
        return _sheet(_plain(path), edge, most, head)
    raise InputError(f"cannot read `{label(path)}`: a file ends with .csv or .jsonl (either packed as .gz), .parquet or .xlsx")


def _plain(path: Path) -> Path:
    """A path that libraries take which know UTF-8 names only, of a file that is not empty."""
    try:
        str(path).encode()
        if path.stat().st_size == 0:
            raise InputError(f"`{path.name}` is empty")
    except UnicodeEncodeError:
        raise InputError(f"cannot read `{label(path)}`: its name, or that of its folder, is not UTF-8; rename it") from None
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {(error.strerror or 'input error').lower()}") from None
    return path


def _columns(header: Iterable[str | None], edge: Border, file: str) -> list[str]:
    """A name for every column, each once. Raises `InputError` where the record takes none of them."""
    names = once(text or NAMELESS for text in header)
    if len(names) > MAX_COLUMNS:
        raise InputError(f"`{file}` has {len(names):,} columns, more than {MAX_COLUMNS:,}")
    if not any(name in edge.known or name.partition(".")[0] in edge.nested for name in names):
        shown = ", ".join(f"`{name[:40]}`" for name in names[:5] if not name.startswith(NAMELESS))
        raise InputError(f"no column of `{file}` is a field of `{edge.record.name}`: it begins with {shown or 'empty cells'}")
    return names


def _placed(edge: Border, frame: pl.DataFrame, file: str) -> pl.DataFrame:
    """With `file` and `row` where the record wants them and the data lack them."""
    given = {"file": pl.lit(file), "row": pl.col(NUMBER)}
    wanted = [field for field in edge.record.fields if field.name in given and not {field.name, *field.sources} & set(frame.columns)]
    return frame.with_columns(given[field.name].alias(field.name) for field in wanted)


def _arrival(edge: Border, frame: pl.DataFrame, rejected: int, head: _Head) -> Arrival:
    columns = flattened(edge, frame)
    filled = {name: len(series) - series.null_count() for name, series in columns.items() if name != NUMBER}
    nameless = sum(count for name, count in filled.items() if name.startswith(NAMELESS))
    taken = {name for name in filled if name in edge.known or name.rpartition(AGAIN)[0] in edge.known}
    return Arrival(
        frame.height + rejected,
        {name: count for name, count in filled.items() if name not in taken and not name.startswith(NAMELESS)},
        nameless,
        tuple(field.name for field in edge.record.fields if not {field.name, *field.sources} & set(filled)),
        tuple(text for text, count in Counter(head.header).items() if text and count > 1),
        tuple(head.notes),
    )


def _sliced(frame: pl.DataFrame, most: int) -> Iterator[pl.DataFrame]:
    for at in range(0, max(frame.height, 1), most):
        yield frame.slice(at, most)


def _narrowed(most: int, width: int) -> int:
    """How many rows of this width make a chunk, of which there may be `most` rows."""
    return max(1, min(most, CHUNK_CELLS // max(width, 1)))


def _numbered(frame: pl.DataFrame, start: int) -> pl.DataFrame:
    return frame.with_columns(pl.int_range(start + 1, start + 1 + pl.len(), dtype=pl.Int64).alias(NUMBER))


# --- the formats -----------------------------------------------------------------------------------------------------


def _csv(path: Path, edge: Border, most: int, encoding: str | None, head: _Head) -> Iterator[Part]:
    table = Table(path.name, blocks(path, encoding, head.notes))
    head.header.extend(table.header)
    names = _columns(table.header, edge, label(path))
    most = _narrowed(most, len(names))
    frames, rejects, size, given = [table.empty()], list[tuple[int, str, str]](), 0, False

    def gathered() -> Iterator[Part]:
        for at, frame in enumerate(_sliced(pl.concat(frames), most)):
            yield Part(frame.rename({str(place): name for place, name in enumerate(names)}), [] if at else rejects)

    for part in table:
        frames.append(part.frame)
        rejects.extend(part.rejects)
        size += part.frame.height + len(part.rejects)
        if size >= most:
            yield from gathered()
            frames, rejects, size, given = [table.empty()], [], 0, True
    if size or not given:
        yield from gathered()


def _json_lines(path: Path, edge: Border, most: int, encoding: str | None, head: _Head) -> Iterator[Part]:
    """One JSON object a line; blank lines are passed over."""
    events, numbers, rejects = list[dict[str, Any]](), list[int](), list[tuple[int, str, str]]()
    number, keys = 0, set[str]()
    for line in _lines(blocks(path, encoding, head.notes)):
        number += 1
        event = _event(line)
        if isinstance(event, str):
            start = line.head if isinstance(line, Long) else line if len(line) <= LIMIT else line[:HEAD]
            rejects.append((number, event, start.decode("utf-8", "ignore")))
        else:
            events.append(event)
            numbers.append(number)
            keys.update(event)
        if len(events) + len(rejects) >= _narrowed(most, len(keys)):
            yield Part(_frame(edge, events, numbers), rejects)
            events, numbers, rejects, keys = [], [], [], set()
    if events or rejects or not number:
        yield Part(_frame(edge, events, numbers), rejects)


def _lines(found: Iterable[bytes | Long]) -> Iterator[bytes | Long]:
    for block in found:
        if isinstance(block, Long):
            yield block
        else:
            yield from (line.rstrip(b"\r") for line in block.split(b"\n") if line.strip())


def _event(line: bytes | Long) -> dict[str, Any] | str:
    """The line's object, or why there is none."""
    if isinstance(line, Long) or len(line) > LIMIT:
        return f"the line has {line.size if isinstance(line, Long) else len(line)} bytes, more than {LIMIT}"
    try:
        event = parse_json(line.decode())
    except ValueError as error:
        return str(error)
    return event if isinstance(event, dict) else "the line is no JSON object"


def _frame(edge: Border, events: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> pl.DataFrame:
    """Events as a frame of raw columns; a column of mixed values keeps them as they are."""
    flat = [edge.flatten(event) for event in events]
    names = dict.fromkeys(name for event in flat for name in event)
    columns = [_mixed(name, [event.get(name) for event in flat]) for name in names if name != NUMBER]
    return pl.DataFrame([*columns, pl.Series(NUMBER, numbers, dtype=pl.Int64)])


_DTYPES: Final[dict[type, Any]] = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}


def _mixed(name: str, cells: list[Any]) -> pl.Series:
    kinds = {cell.__class__ for cell in cells if cell is not None}
    dtype = _DTYPES.get(kinds.pop(), pl.Object) if len(kinds) == 1 else pl.Object
    try:
        return pl.Series(name, cells, dtype=dtype)
    except (OverflowError, ValueError, TypeError, pl.exceptions.PolarsError):  # beyond 64 bits, or half a character
        return pl.Series(name, cells, dtype=pl.Object)


def _parquet(path: Path, edge: Border, most: int) -> Iterator[Part]:
    number = 0
    try:
        schema = pl.read_parquet_schema(path)
        most = _narrowed(most, len(_columns(schema, edge, path.name)))
        for frame in pl.scan_parquet(path, glob=False).collect_batches(chunk_size=most, maintain_order=True):
            for piece in _sliced(frame, most):
                yield Part(_numbered(piece, number))
                number += piece.height
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {_first_line(error)}") from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"`{path.name}` is no whole Parquet file: {_first_line(error)}") from None
    if not number:
        yield Part(_numbered(pl.DataFrame(schema=schema), 0))


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0].rstrip(".")
    return text[:1].lower() + text[1:]


def _sheet(path: Path, edge: Border, most: int, head: _Head) -> Iterator[Part]:
    """The first sheet, its cells as text; the first row holds the headers. Rows without any cell are passed over, as blank lines are."""
    try:
        import fastexcel
    except ImportError:
        raise InputError(f"reading `{path.name}` needs an extra: pip install 'kaskade[excel]'") from None
    _unpacks(path)
    try:
        book = fastexcel.read_excel(path)
        sheet = book.load_sheet(0, header_row=None, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise InputError(f"`{path.name}` is no whole XLSX file: {_first_line(error)}") from None
    if len(book.sheet_names) > 1:
        head.notes.append(f"only the first of {len(book.sheet_names)} sheets is read: `{book.sheet_names[0]}`")
    if not sheet.height:
        raise InputError(f"`{path.name}` is empty")
    head.header.extend(text or "" for text in sheet.row(0))
    names = _columns(head.header, edge, path.name)
    body = sheet.slice(1).rename(dict(zip(sheet.columns, names, strict=True)))
    body = body.with_columns(pl.when(pl.all() != "").then(pl.all())).filter(~pl.all_horizontal(pl.all().is_null()))
    most = _narrowed(most, len(names))
    for at, piece in enumerate(_sliced(body, most)):
        yield Part(_numbered(piece, at * most))


def _unpacks(path: Path) -> None:
    """Raises `InputError` for an archive that is none, or far larger than it looks."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise InputError(f"`{path.name}` is no whole XLSX file: it cannot be unpacked") from None
    if size > MAX_SHEET:
        raise InputError(f"`{path.name}` unpacks to {size // 1_000_000:,} MB, more than {MAX_SHEET // 1_000_000:,}; save it as CSV")
