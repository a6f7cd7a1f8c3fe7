"""How far a run has come, on standard error: one line that is rewritten on a terminal, else a line from time to time."""

from __future__ import annotations

import sys
import time
from typing import Final, Self

_EVERY: Final = 5.0
"""Seconds between two lines where nothing can be rewritten."""


class Progress:
    """Shows rows read and decided while a run goes on, or files checked; leaves no trace on a terminal.

    >>> with Progress() as progress:
    ...     progress.read(1_000, "2014-04.csv.gz")
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._started = self._said = time.monotonic()
        self._read = self._decided = 0
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)

    def read(self, rows: int, file: str) -> None:
        """So many rows have been read, the last of them from `file`."""
        self._read = rows
        self._say(f"read {rows:,} rows, at {file}")

    def decided(self, rows: int, ticks: int = 0) -> None:
        """So many rows have been decided, and ticks beside them."""
        self._decided = rows
        self._say(f"read {self._read:,} rows, decided {rows:,}" + (f" and {ticks:,} ticks" if ticks else ""))

    def checked(self, files: int, of: int) -> None:
        """So many files have been checked."""
        self._say(f"checked {files:,} of {of:,} files")

    def stage(self, text: str) -> None:
        """What is done between reading and deciding."""
        self._say(f"read {self._read:,} rows, {text}")

    def _say(self, text: str) -> None:
        now = time.monotonic()
        seconds = now - self._started
        if self._terminal:
            line = f"{text}, {seconds:.0f} s"[:100]
            print("\r" + line.ljust(self._width), end="", file=sys.stderr, flush=True)
            self._width = max(self._width, len(line))
        elif now - self._said >= _EVERY:
            self._said = now
            print(f"{text}, {seconds:.0f} s", file=sys.stderr, flush=True)
