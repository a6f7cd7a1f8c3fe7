"""What the circuits that look at one frame have in common. It knows neither circuits nor frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

SHARED: Final[ContextVar[dict[Any, Any] | None]] = ContextVar("shared", default=None)
"""What was found out about columns already, while they are `sharing`."""


@contextmanager
def sharing() -> Iterator[None]:
    """Within this a column is coded once, however many circuits ask for it: both readings look at the same ones."""
    before = SHARED.set({})
    try:
        yield
    finally:
        SHARED.reset(before)
