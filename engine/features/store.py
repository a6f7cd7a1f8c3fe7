"""The small interface of live history, and which store an address names. It must not know what a feature means."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self, runtime_checkable

from engine import zones
from engine.errors import StoreError
from engine.features.live import LiveStore
from engine.features.memory import MemoryLog
from engine.features.postgres import PostgresLog
from engine.features.redis import RedisLog
from engine.features.spec import Layout
from engine.features.sqlite import SqliteLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backends.holding import Answer
    from engine.features.log import Log, Measured
    from engine.features.passed import Question
    from engine.features.sliding import Content
    from engine.features.spec import BoundFeatures
    from engine.plan import Row
    from engine.record import Record

HistoryFrom = int | str | dt.date | None
"""Since when history is complete: in the unit of the record's time, as ISO text in the record's zone, or a date or time; none: the first
event's time."""


@runtime_checkable
class Store(Protocol):
    """Live history for the feature sets it was opened for. Safe to share between threads; used in `with`, or closed by hand."""

    def observe(self, row: Row, record: bool = True) -> Row:
        """All features of one event, read and remembered in one atomic step; without `record` it leaves no trace.

        `row` holds the record's fields. The same event again gets the same answer and counts once. Raises `InputError` where key or
        time are missing or the key was there with other content, `StoreError` where history cannot be read or kept, `StoreDown`
        where that is so for now: then what it should have remembered waits, and enters history before the next answer.
        """
        ...

    def look(self, row: Row) -> Row:
        """All features as they stand at the time of `row`, which is no event: it is in none of its windows, and leaves no trace.

        `row` holds the record's fields; it needs a time, and no key of its own. Raises as `observe` does.
        """
        ...

    def hold(self, question: Question, record: bool = True) -> Answer:
        """Whether a hit of a rule with `once` is held back by one that was let through before; it is remembered if not, unless `record` is
        false. The same event gets the same answer. Raises `StoreError`, and `StoreDown` where nobody knows for now.
        """
        ...

    def contents(self, column: str, row: Row) -> Sequence[Content]:
        """Which events stand in the window of a column for a look with `row`: their keys, times, values, and whether they surely do."""
        ...

    def measured(self) -> Measured:
        """How many keys, rows, remembered events and bytes history takes."""
        ...

    def serves(self, groups: Sequence[BoundFeatures]) -> bool:
        """Whether it was opened for these feature sets, as they stand."""
        ...

    def close(self, failed: bool = False) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None: ...


def open_store(
    url: str, groups: Sequence[BoundFeatures], record: Record, history_from: HistoryFrom = None, *, afresh: bool = False
) -> Store:
    """Open the store that an address names.

    ``memory:``; ``sqlite:PATH``, where ``sqlite:h.db`` and ``sqlite:///h.db`` are relative, ``sqlite:////var/h.db`` is not;
    ``redis://HOST:PORT/DATABASE``, ``rediss://...`` or ``unix://PATH?db=N``, as redis-py takes them; ``postgresql://...``, as libpq does.
    With `afresh` it is built anew, whatever is there, and takes its place when it is closed without an error: at the end of a `with` block
    that ends well; who has the old one open must open it again. Raises `StoreError` for an address nobody knows, a store that cannot be
    reached or was made for other features, and a missing extra.

    >>> from engine.record import Record
    >>> record = Record("r", "1.0.0", "UTC", ("id",), "at", ())
    >>> open_store("redis:here", (), record)
    Traceback (most recent call last):
    engine.errors.StoreError: the store `redis:here` is of no known kind; use `memory:`, `sqlite:PATH`, `redis://...` or `postgresql://...`
    """
    layout = Layout(record, tuple(groups))
    return LiveStore(layout, _log(url, layout, complete_since(history_from, record), afresh))


def _log(url: str, layout: Layout, since: int | None, afresh: bool) -> Log:
    if url in ("memory:", "memory://", "memory"):
        return MemoryLog(since)
    if url.startswith(_REDIS):
        return RedisLog(url, layout, since, afresh)
    if url.startswith(_POSTGRES):
        return PostgresLog(url, layout, since, afresh)
    kind, _, path = url.partition(":")
    if kind != "sqlite":
        shown = re.sub(r"//[^/@]*@", "//...@", url)
        raise StoreError(f"the store `{shown}` is of no known kind; use `memory:`, `sqlite:PATH`, `redis://...` or `postgresql://...`")
    return SqliteLog(_path(url, path), layout, since, afresh)


_REDIS: Final = ("redis://", "rediss://", "unix://")
_POSTGRES: Final = ("postgresql://", "postgres://")


def store_file(url: str) -> Path | None:
    """The file that an address names, where it names one. Raises `StoreError` as `open_store` does.

    >>> store_file("sqlite:///h.db"), store_file("memory:")
    (PosixPath('h.db'), None)
    """
    kind, _, path = url.partition(":")
    return _path(url, path) if kind == "sqlite" else None


def _path(url: str, path: str) -> Path:
    if path.startswith("///"):
        path = path[3:]
    elif path.startswith("//"):
        raise StoreError(f"the store `{url}` names a machine; a file has three strokes: `sqlite:///{path[2:]}`")
    if not path or path == ":memory:":
        raise StoreError(f"the store `{url}` names no file; use `sqlite:PATH`, or `memory:`")
    file = Path(path)
    if not file.parent.is_dir():
        raise StoreError(f"the store `{url}` cannot be made: there is no folder `{file.parent}`")
    if file.is_dir():
        raise StoreError(f"the store `{url}` is a folder; name a file in it")
    return file


def complete_since(given: HistoryFrom, record: Record) -> int | None:
    """`history_from` in the unit of the record's time. Where the record counts days, a day that is only complete from some hour on is not.

    >>> from engine.record import Field, Record
    >>> from engine.values import DATE
    >>> daily = Record("r", "1.0.0", "Europe/Berlin", ("id",), "day", (Field("day", DATE),))
    >>> complete_since("1970-01-02", daily), complete_since("1970-01-02T12:00:00", daily)
    (1, 2)
    """
    if given is None or isinstance(given, int):
        return given
    moment = _moment(given) if isinstance(given, str) else given
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.combine(moment, dt.time())
    if record.field(record.time).type.kind == "date":
        local = moment if moment.tzinfo is None else moment.astimezone(zones.zone(record.zone))
        return (local.date() - dt.date(1970, 1, 1)).days + (local.time() != dt.time())
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zones.zone(record.zone))
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _moment(text: str) -> dt.datetime:
    try:
        if not re.match(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise StoreError(f"`{text}` is no date or time to have history from; write it as `2020-01-31` or `2020-01-31T00:00:00Z`") from None
