"""Files that are written whole or not at all, whatever ends the process in between."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final

_BEGINS: Final = ".unfinished-"
_AT_ONCE: Final = 16
_ABANDONED: Final = 86_400
"""Seconds after which nobody is still writing."""


@contextlib.contextmanager
def unfinished(target: Path, *, synced: bool = True) -> Iterator[BinaryIO]:
    """A file beside `target` that takes its place once all is written, and is gone if anything goes wrong. Raises `OSError`.

    Where it is not `synced`, whoever asked waits for the disk himself before he relies on it.

    >>> folder = Path(tempfile.mkdtemp())
    >>> with unfinished(folder / "a") as file:
    ...     _ = file.write(b"whole")
    >>> [(path.name, path.read_bytes()) for path in folder.iterdir()]
    [('a', b'whole')]
    """
    number, made = tempfile.mkstemp(dir=target.parent, prefix=_BEGINS)
    try:
        with os.fdopen(number, "w+b") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        Path(made).chmod(0o644)
        Path(made).replace(target)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def sync(paths: Sequence[Path]) -> None:
    """Wait until files are on the disk. Many at once, which a disk takes together: one after the other each would wait for its own turn."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(_sync, paths))
    for folder in {path.parent for path in paths}:
        with contextlib.suppress(OSError):  # not every system takes a folder for a file
            _sync(folder, os.O_RDONLY)


def _sync(path: Path, how: int = os.O_RDWR) -> None:
    number = os.open(path, how)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def clear(folder: Path) -> None:
    """Take away what nobody has written to for a day: whoever was to finish it is gone."""
    with os.scandir(folder) as there:
        left = [Path(one.path) for one in there if one.name.startswith(_BEGINS)]
    for path in left:
        with contextlib.suppress(OSError):  # another was here first, or it belongs to somebody else
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
