"""History kept in one SQLite file: every event is one transaction, so that it survives a restart and a killed process.

Threads and processes take turns. What was written last may be lost with the power, never half of an event.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final

from engine.errors import StoreError
from engine.features.cells import CellCodec, from_json, to_json
from engine.features.judging import OUT
from engine.features.live import Entry, Event, Key, LiveStore, Turn, check_features, check_since, down, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.features.asking import Asked
    from engine.features.spec import BoundFeatures
    from engine.plan import Row
    from engine.record import Record

APPLICATION, SCHEMA = 0x6B61736B, 2
_TABLES: Final = (
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE event (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, content BLOB NOT NULL, answer TEXT NOT NULL)",
    "CREATE TABLE lane (id INTEGER PRIMARY KEY, history INTEGER, key TEXT, oldest INTEGER NOT NULL, newest INTEGER NOT NULL,"
    " UNIQUE (history, key))",
    "CREATE TABLE cell (lane INTEGER, slot INTEGER, time INTEGER, event INTEGER, state INTEGER NOT NULL, value,"
    " PRIMARY KEY (lane, slot, time, event)) WITHOUT ROWID",
)
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
"""Locked for too long, a disk that is full or fails, a file that may not be written: the primary codes of trouble that may pass."""


class SqliteStore(LiveStore, Turn):
    """A store in the file at `path`, made when it is not there. Raises `StoreError` for a file made for other features."""

    def __init__(self, path: Path, groups: Sequence[BoundFeatures], record: Record, since: int | None) -> None:
        super().__init__(groups, record)
        self.path = path
        self._lock = threading.Lock()
        self._codecs = [[CellCodec(slot) for slot in history.slots] for history in self.layout.histories]
        try:
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise failed(str(path), error) from None
        try:
            self._prepare(since)
        except sqlite3.Error as error:
            self._db.close()
            raise failed(str(path), error) from None
        except StoreError:
            self._db.close()
            raise

    def _prepare(self, since: int | None) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for table in _TABLES:
                db.execute(table)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
            db.execute("INSERT INTO fact VALUES ('features', ?)", (self.layout.fingerprint,))
        self._check(since)
        db.execute("COMMIT")

    def _check(self, since: int | None) -> None:
        if self._db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise StoreError(f"`{self.path}` is no history store; name another file")
        version, place = self._db.execute("PRAGMA user_version").fetchone()[0], str(self.path)
        check_features(place, str(version), str(SCHEMA), self._fact("features"), self.layout.fingerprint, "in a new file")
        there = self.since()
        if since is not None and there is None:
            self._db.execute("INSERT INTO fact VALUES ('since', ?)", (since,))
        else:
            check_since(place, since, there)

    def _fact(self, name: str) -> Any:
        found = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def atomic(self, asked: Asked, record: bool, work: Callable[[Turn], Row]) -> Row:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE" if record else "BEGIN")
                try:
                    answer = work(self)
                    self._db.execute("COMMIT" if record else "ROLLBACK")
                    return answer
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
            except sqlite3.Error as error:
                passing = getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
                raise (down if passing else failed)(str(self.path), error) from None
            except (ValueError, TypeError, LookupError, RecursionError) as error:
                # rows are typed before they come here: what does not fit is what was read from the file
                raise StoreError(f"what the store `{self.path}` holds does not fit; rebuild it from history in a new file") from error

    def release(self) -> None:
        with self._lock:
            self._db.close()

    def seen(self, key: Key) -> tuple[bytes, Row] | None:
        found = self._db.execute("SELECT content, answer FROM event WHERE key = ?", (repr(key),)).fetchone()
        if found is None:
            return None
        values = zip(self.layout.types.items(), json.loads(found[1]), strict=True)
        return found[0], {column: from_json(value, type_) for (column, type_), value in values}

    def since(self) -> int | None:
        value: int | None = self._fact("since")
        return value

    def known(self, history: int, key: Key) -> tuple[int, int] | None:
        query = "SELECT oldest, newest FROM lane WHERE history = ? AND key = ?"
        found: tuple[int, int] | None = self._db.execute(query, (history, repr(key))).fetchone()
        return found

    def rows(self, history: int, slot: int, key: Key, after: int, upto: int) -> tuple[list[int], list[Any]]:
        query = (
            "SELECT time, state, value FROM cell WHERE slot = ? AND time > ? AND time <= ?"
            " AND lane = (SELECT id FROM lane WHERE history = ? AND key = ?) ORDER BY time, event"
        )
        decode = self._codecs[history][slot].decode
        rows = self._db.execute(query, (slot, after, upto, history, repr(key))).fetchall()
        return [time for time, _, _ in rows], [decode(state, value) for _, state, value in rows]

    def write(self, event: Event) -> None:
        if self.since() is None:
            self._db.execute("INSERT INTO fact VALUES ('since', ?)", (event.since,))
        answer = json.dumps([to_json(value) for value in event.answer.values()])
        query = "INSERT INTO event (key, content, answer) VALUES (?, ?, ?)"
        number = self._db.execute(query, (repr(event.key), event.content, answer)).lastrowid
        for entry in event.entries:
            self._write_entry(entry, number or 0)

    def _write_entry(self, entry: Entry, number: int) -> None:
        db = self._db
        query = (
            "INSERT INTO lane (history, key, oldest, newest) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET oldest = excluded.oldest, newest = excluded.newest RETURNING id"
        )
        (lane,) = db.execute(query, (entry.history, repr(entry.key), entry.oldest, entry.newest)).fetchone()
        for slot, cell in enumerate(entry.cells):
            if cell is not OUT:
                state, value = self._codecs[entry.history][slot].encode(cell)
                db.execute("INSERT INTO cell VALUES (?, ?, ?, ?, ?, ?)", (lane, slot, entry.time, number, state, value))
            db.execute("DELETE FROM cell WHERE lane = ? AND slot = ? AND time <= ?", (lane, slot, entry.gone[slot]))
