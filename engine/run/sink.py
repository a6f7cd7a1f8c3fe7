"""Writing results chunk by chunk: the target appears when all is written, and not at all when anything went wrong.

It knows frames and files, and nothing of what is in them.
"""

from __future__ import annotations

import secrets
import shutil
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

import polars as pl

from engine.errors import EngineError, InputError
from engine.run.lines import label

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


_WHOLE: Final = "whole"
"""What the file is called until it is renamed into place."""


class _Writer(Protocol):
    """Writes frames of one schema to a file that is not the target yet."""

    def write(self, frame: pl.DataFrame) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class Sink:
    """A ``.parquet``, ``.csv`` or ``.jsonl`` file that is written in chunks of one schema.

    Used in a ``with`` block: at its end the file is renamed into place; on an exception or Ctrl-C what was written is removed and an older
    file of this name stays. Without a single chunk an empty file is written, for Parquet and CSV with the columns of `schema`.

    `finish` writes what is left, so that only the renaming can still go wrong: several sinks finish before the first block ends.

    Raises `InputError` for another suffix, `EngineError` where the folder is not there or cannot be written.
    """

    def __init__(self, path: str | Path, schema: Any = None) -> None:
        self.path = Path(path)
        self.rows = 0
        self._schema = schema
        kind = _WRITERS.get(self.path.suffix.lower())
        if kind is None:
            raise InputError(f"cannot write `{self.path.name}`: a file ends with .parquet, .csv or .jsonl")
        if self.path.is_dir():
            raise InputError(f"cannot write `{self.path}`: it is a folder; name a file in it")
        if kind is _Parquet and not _is_utf8(self.path.absolute()):
            raise InputError(f"cannot write `{label(self.path)}`: its name, or that of its folder, is not UTF-8; choose another")
        self._kind = kind
        self._first, self._finished = True, False
        self._folder: Path | None = None
        self._writer: _Writer | None = None

    def __enter__(self) -> Sink:
        self._folder = self.path.parent / f".unfinished-{secrets.token_hex(6)}"
        # whenever Ctrl-C comes, and be it told twice, at the latest the end of the process takes the folder away
        self._sweep = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        try:
            self._folder.mkdir(0o700)
            self._writer = self._kind(self._folder / _WHOLE)
        except OSError as error:
            self._sweep()
            raise self._trouble(error) from None
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Adds the rows of a frame; every frame has the columns of the first."""
        if self._writer is None:
            raise EngineError(f"`{self.path.name}` is not open")
        try:
            self._writer.write(frame)
        except OSError as error:
            raise self._trouble(error) from None
        self._first = False
        self.rows += frame.height

    def finish(self) -> None:
        """Writes the file to its end; nothing can be added. The target appears at the end of the block."""
        if self._writer is None or self._finished:
            return
        try:
            if self._first:
                self._writer.write(pl.DataFrame(schema=self._schema))
            self._writer.finish()
        except OSError as error:
            raise self._trouble(error) from None
        self._finished = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        writer, folder = self._writer, self._folder
        if writer is None or folder is None:
            return
        try:
            if kind is None:
                self.finish()
                (folder / _WHOLE).replace(self.path)
        except OSError as problem:
            raise self._trouble(problem) from None
        finally:
            writer.close()
            self._writer = self._folder = None
            self._sweep()

    def _trouble(self, error: OSError) -> EngineError:
        # polars gives the system's words alone
        reason = error.strerror or str(error).partition("\n")[0] or "output error"
        return EngineError(f"cannot write `{self.path}`: {reason.lower().rstrip('.')}")


def _is_utf8(path: Path) -> bool:
    """Whether the library that writes Parquet can name it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


class _Text:
    """Frames appended to a text file."""

    def __init__(self, path: Path) -> None:
        self.file: BinaryIO = path.open("wb")

    def write(self, frame: pl.DataFrame) -> None:
        frame.write_ndjson(self.file)

    def finish(self) -> None:
        self.file.close()

    def close(self) -> None:
        self.file.close()


class _Csv(_Text):
    header = True

    def write(self, frame: pl.DataFrame) -> None:
        # CSV has no text of its own for a duration: it is that of JSON
        texts = (_as_json(name) for name, dtype in frame.schema.items() if dtype.is_nested())
        spans = (_as_json(name).str.strip_chars('"') for name, dtype in frame.schema.items() if dtype == pl.Duration)
        flat = frame.with_columns(*texts, *spans)
        flat.write_csv(self.file, include_header=self.header)
        self.header = False


def _as_json(name: str) -> pl.Expr:
    """A column as JSON text: the only way to encode a list is inside a struct."""
    text = pl.struct(pl.col(name).alias("v")).struct.json_encode()
    return pl.when(pl.col(name).is_not_null()).then(text.str.slice(len('{"v":')).str.head(-1)).alias(name)


class _Parquet:
    """Frames go to parts first, since a Parquet file is written in one go; then the parts are streamed into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: list[Path] = []

    def write(self, frame: pl.DataFrame) -> None:
        part = self.path.with_name(f"{len(self.parts)}.arrow")
        frame.write_ipc(part, compression="lz4")
        self.parts.append(part)

    def finish(self) -> None:
        pl.scan_ipc(self.parts).sink_parquet(self.path, maintain_order=True)

    def close(self) -> None:
        self.parts.clear()


_WRITERS: Final[dict[str, Callable[[Path], _Writer]]] = {".parquet": _Parquet, ".csv": _Csv, ".jsonl": _Text}
