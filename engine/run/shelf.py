"""Frames put aside on disk while a run goes on, and taken back. It knows nothing of what the rows mean, and leaves nothing behind."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Shelf:
    """A temporary folder for frames, made under `folder` (by default the system's, which `TMPDIR` names) when the first one is put there.

    It is gone when the block ends, at the latest with the process. Raises `EngineError` where the disk refuses.

    >>> with Shelf() as shelf:
    ...     shelf.take(shelf.put(pl.DataFrame({"n": [1, 2]})))["n"].to_list()
    [1, 2]
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._place: Path | None = None
        self._frames = 0

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        if self._place is not None:
            self._sweep()
            self._place = None

    def put(self, frame: pl.DataFrame) -> Path:
        """Put a frame aside; gives the file it stands in."""
        with _told(self._folder):
            if self._place is None:
                self._place = Path(tempfile.mkdtemp(prefix="kaskade-", dir=self._folder))
                # whenever Ctrl-C comes, and be it told twice, at the latest the end of the process takes the folder away
                self._sweep = weakref.finalize(self, shutil.rmtree, self._place, ignore_errors=True)
            file = self._place / f"{self._frames}.arrow"
            self._frames += 1
            frame.write_ipc(file, compression="lz4")
        return file

    def take(self, file: Path, columns: Sequence[str] | None = None, *, keep: bool = False) -> pl.DataFrame:
        """A frame that was put aside, or some columns of it; unless it is to be kept it then is no longer there."""
        with _told(self._folder):
            frame = pl.read_ipc(file.read_bytes(), columns=None if columns is None else list(columns))
            if not keep:
                file.unlink()
        return frame


@contextmanager
def _told(folder: Path | None) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0].partition(" (os error")[0] or "output error"
        place = folder or tempfile.gettempdir()
        raise EngineError(f"cannot put rows aside in `{place}`: {reason.lower().rstrip('.')}; name another folder with TMPDIR") from None


class Run:
    """Rows on a shelf, in blocks and sorted by a column; `block` is the one at hand, none when all are used up."""

    def __init__(self, shelf: Shelf, by: str, files: Sequence[Path]) -> None:
        self._shelf, self._by, self._files = shelf, by, list(files)[::-1]
        self.block: pl.DataFrame | None = None
        self._more()

    @classmethod
    def write(cls, shelf: Shelf, by: str, frame: pl.DataFrame, block_rows: int) -> Run:
        """Put the rows of a sorted frame aside."""
        return cls(shelf, by, [shelf.put(frame.slice(at, block_rows)) for at in range(0, frame.height, block_rows)])

    def _more(self) -> None:
        self.block = self._shelf.take(self._files.pop()) if self._files else None

    def upto(self, end: int, *, with_end: bool = False) -> list[pl.DataFrame]:
        """The next rows, those before `end`; of equal rank too where it says so."""
        found = []
        while self.block is not None:
            count = self.block[self._by].search_sorted(end, side="right" if with_end else "left")
            found.append(self.block.head(count))
            if count < self.block.height:
                self.block = self.block.slice(count)
                break
            self._more()
        return [frame for frame in found if frame.height]
