"""Files that are written whole or not at all, whatever ends the process in between."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[BinaryIO]:
    """A file beside `target` that takes its place once all is written, and is gone if anything goes wrong. Raises `OSError`.

    >>> folder = Path(tempfile.mkdtemp())
    >>> with unfinished(folder / "a") as file:
    ...     _ = file.write(b"whole")
    >>> [(path.name, path.read_bytes()) for path in folder.iterdir()]
    [('a', b'whole')]
    """
    number, made = tempfile.mkstemp(dir=target.parent, prefix=".unfinished-")
    try:
        with os.fdopen(number, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(made).chmod(0o644)
        Path(made).replace(target)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
