"""CSV: rows of cells as frames of text, block by block. What provably means the same to polars goes through polars, the rest through `csv`.

Every row comes out once: in a frame, or among the rejects with its text. It knows no record and guesses nothing.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.errors import InputError
from engine.run.border import NUMBER
from engine.run.lines import HEAD, LIMIT, Long

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCH: Final = 1 << 22
_PATIENCE: Final = 50
"""A broken row over more lines than this is refused as one; over fewer, only its first line is."""

_QUOTED = re.compile(rb'"[^"\n]*"')
_MISPLACED = re.compile(rb"[^,\n]\0|\0[^,\n]")
_REASONS: Final = (
    ("unexpected end of data", "a quote is opened and never closed"),
    ("expected after", "something follows a closing quote"),
    ("new-line character", "a carriage return stands within the row"),
    ("field larger", f"a cell is longer than {LIMIT} characters"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows: raw columns and `@n`. `rejects` are number, reason and text of rows that could not be cut into cells."""

    frame: pl.DataFrame
    rejects: list[tuple[int, str, str]] = field(default_factory=list)


class Table:
    """The rows of one CSV file. `header` is its first row; iterating gives the parts."""

    def __init__(self, name: str, blocks: Iterator[bytes | Long]) -> None:
        self.name = name
        self.lines = _Lines(blocks)
        self.number = 0
        # the module's own limit holds for all readers of a process: raised, never lowered
        csv.field_size_limit(max(csv.field_size_limit(), LIMIT))
        self.header = self._header()

    def _header(self) -> list[str]:
        while True:
            if self.lines.empty() and not self.lines.pull():
                raise InputError(f"`{self.name}` holds nothing but empty lines")
            long = self.lines.blocked
            if long is not None and b"\0" not in long.head:
                raise InputError(f"the first line of `{self.name}` is longer than {LIMIT} bytes")
            cells, reason = self.lines.record()
            if long is not None or "\0" in "".join(self.lines.taken):
                raise InputError(f"`{self.name}` is no text: its first line holds zero bytes; for UTF-16 say `--encoding utf-16-le`")
            if reason is not None:
                hint = "; save it with line feeds" if "carriage return" in reason else ""
                raise InputError(f"the first row of `{self.name}` cannot be read: {reason}{hint}")
            if cells:
                return cells

    def __iter__(self) -> Iterator[Part]:
        clean: list[bytes] = []
        size = 0
        yield from self._slowly()
        while (block := self.lines.block()) is not None:
            good = _clean(block, len(self.header)) if isinstance(block, bytes) else None
            if good is not None:
                clean.append(good)
                size += len(good)
            if clean and (good is None or size > _BATCH):
                yield self._fast(b"".join(clean))
                clean, size = [], 0
            if good is None:
                yield from self._long(block) if isinstance(block, Long) else self._dirty(block)
        if clean:
            yield self._fast(b"".join(clean))

    def _fast(self, data: bytes) -> Part:
        """Lines that are cut at their commas and nowhere else."""
        names = [str(at) for at in range(len(self.header))]
        quoted = b'"' in data
        frame = pl.read_csv(
            BytesIO(data),
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            quote_char='"' if quoted else None,
        )
        if quoted:
            frame = _emptied(frame)
        return self._part(frame)

    def _part(self, frame: pl.DataFrame) -> Part:
        numbers = pl.int_range(self.number + 1, self.number + 1 + frame.height, dtype=pl.Int64, eager=True).alias(NUMBER)
        self.number += frame.height
        return Part(frame.with_columns(numbers))

    def _long(self, line: Long) -> Iterator[Part]:
        self.number += 1
        text = line.head.decode("utf-8", "ignore")
        yield Part(self.empty(), [(self.number, f"the line has {line.size} bytes, more than {LIMIT}", text)])

    def _dirty(self, block: bytes) -> Iterator[Part]:
        self.lines.push(block)
        yield from self._slowly()

    def _slowly(self) -> Iterator[Part]:
        """The lines at hand, one record at a time; a quoted cell may reach into the next block."""
        rows: list[list[str]] = []
        numbers: list[int] = []
        rejects: list[tuple[int, str, str]] = []
        width = len(self.header)
        while not self.lines.empty():
            cells, reason = self.lines.record()
            if reason is None and not cells:
                continue
            self.number += 1
            if reason is None and len(cells) != width:
                reason = f"{len(cells)} cells where the header has {width}"
            if reason is None:
                rows.append(cells)
                numbers.append(self.number)
            else:
                rejects.append((self.number, reason, "".join(self.lines.taken).rstrip("\r\n")))
        frame = self.empty()
        if rows:
            columns = [pl.Series(str(at), column, dtype=pl.String) for at, column in enumerate(zip(*rows, strict=True))]
            frame = _emptied(pl.DataFrame(columns)).with_columns(pl.Series(NUMBER, numbers, dtype=pl.Int64))
        if rows or rejects:
            yield Part(frame, rejects)

    def empty(self) -> pl.DataFrame:
        """The columns, called ``0``, ``1`` and so on, without rows."""
        return pl.DataFrame(schema={**{str(at): pl.String for at in range(len(self.header))}, NUMBER: pl.Int64})


def _emptied(frame: pl.DataFrame) -> pl.DataFrame:
    """With empty cells as null."""
    return frame.with_columns(pl.when(pl.all() != "").then(pl.all()))


def _clean(block: bytes, width: int) -> bytes | None:
    """The block, with plain line ends, if every line in it has `width` cells, each quoted as a whole or not at all; else none."""
    if b"\0" in block or len(block) > LIMIT:
        return None
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if b"\r" in block or block.startswith((b"\n", b"\xef\xbb\xbf")) or b"\n\n" in block:
        return None
    bare = block
    if b'"' in block:
        bare = _QUOTED.sub(b"\0", block)
        if b'"' in bare or _MISPLACED.search(bare):
            return None
    return block if _even(bare, width) else None


def _even(bare: bytes, width: int) -> bool:
    """Whether every line has `width - 1` commas."""
    marks = bare.translate(None, _OTHERS)
    line = b"," * (width - 1) + b"\n"
    return len(marks) % len(line) == 0 and marks == line * (len(marks) // len(line))


_OTHERS: Final = bytes(set(range(256)) - set(b",\n"))


class _Broken(Exception):
    """A record cannot end where it should."""


class _Lines:
    """Lines for `csv`, which asks for the next one while a quoted cell is open; `taken` are those of the current record."""

    def __init__(self, blocks: Iterator[bytes | Long]) -> None:
        self.blocks = blocks
        self.blocked: Long | None = None
        self.waiting: deque[str] = deque()
        self.taken: list[str] = []
        self.size = 0
        self.reader = csv.reader(self, strict=True)

    def empty(self) -> bool:
        return not self.waiting

    def block(self) -> bytes | Long | None:
        """The next block, when no line is waiting."""
        blocked, self.blocked = self.blocked, None
        return blocked if blocked is not None else next(self.blocks, None)

    def push(self, block: bytes) -> None:
        text = block.decode()
        self.waiting.extend(line + "\n" for line in text[:-1].split("\n"))

    def pull(self) -> bool:
        """Whether one more block could be had; a line too long for any record stays in `blocked`."""
        if self.blocked is not None:
            return False
        block = next(self.blocks, None)
        if isinstance(block, Long):
            self.blocked = block
        elif block is not None:
            self.push(block)
        return block is not None

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if not self.waiting and not (self.taken and self.pull() and self.waiting):
            raise StopIteration
        line = self.waiting.popleft()
        self.taken.append(line)
        self.size += len(line)
        if self.size > LIMIT:
            raise _Broken
        return line

    def record(self) -> tuple[list[str], str | None]:
        """The next record's cells, or why it has none. A blank line has no cells and no reason."""
        self.taken, self.size = [], 0
        try:
            cells = next(self.reader, [])
        except _Broken:
            return [], self._refused(f"the row is longer than {LIMIT} characters, or a quote is never closed")
        except csv.Error as error:
            return [], self._refused(next((reason for sign, reason in _REASONS if sign in str(error)), str(error)))
        if any("\0" in line for line in self.taken):
            return [], "the row holds zero bytes"
        return cells, None

    def _refused(self, reason: str) -> str:
        """Gives back the lines after the first, so that one stray quote costs one line."""
        if 1 < len(self.taken) <= _PATIENCE:
            self.waiting.extendleft(reversed(self.taken[1:]))
            del self.taken[1:]
        if len(self.taken) == 1 and len(self.taken[0]) > LIMIT:
            self.taken[0] = self.taken[0][:HEAD]
        return reason
