"""History kept in one SQLite file: every event is one transaction, so that it survives a restart and a killed process.

Threads and processes take turns. What was written last may be lost with the power, never half of an event.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from engine.errors import StoreError
from engine.features.cells import Coding
from engine.features.log import Entered, Found, Kept, Log, Measured, check_features, check_since, down, failed, unfit
from engine.features.sliding import NOTHING, Standing
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.features.log import Assumed, Change, Event, Key, Lane, Told
    from engine.features.spec import Layout

APPLICATION, SCHEMA = 0x6B61736B, 3
_TABLES: Final = (
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE event (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, content BLOB NOT NULL, answer TEXT NOT NULL, places TEXT)",
    "CREATE TABLE lane (id INTEGER PRIMARY KEY, history INTEGER, key TEXT, oldest INTEGER NOT NULL, newest INTEGER NOT NULL,"
    " number INTEGER NOT NULL, UNIQUE (history, key))",
    "CREATE TABLE row (lane INTEGER, time INTEGER, number INTEGER, event INTEGER NOT NULL, cells TEXT NOT NULL,"
    " PRIMARY KEY (lane, time, number)) WITHOUT ROWID",
    "CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
_STANDING: Final = "SELECT oldest, newest, number, id FROM lane WHERE history = ? AND key = ?"
_ROWS: Final = (
    "SELECT row.time, event.key, row.cells FROM row LEFT JOIN event ON event.number = row.event"
    " WHERE row.lane = ? ORDER BY row.time, row.number"
)
_TELL: Final = "INSERT INTO event (key, content, answer, places) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_TELL_ANEW: Final = (
    "INSERT INTO event (key, content, answer, places) VALUES (?, ?, ?, ?) ON CONFLICT"
    " DO UPDATE SET content = excluded.content, answer = excluded.answer, places = excluded.places RETURNING number"
)
_MEET: Final = "INSERT INTO lane (history, key, oldest, newest, number) VALUES (?, ?, ?, ?, ?) RETURNING id"
_CHANGE: Final = "UPDATE lane SET oldest = ?, newest = ?, number = ? WHERE id = ? AND number = ?"
_FILES: Final = ("", "-wal", "-shm")
"""What the names of the files of one database end with."""
_PAGE, _WRITTEN_BACK = 2048, 10_000
"""An event changes a few rows in four places: small pages make little of that to write, and are written back to their places seldom."""
_MOST_KNOWN: Final = 100_000
"""Of so many lanes is known what they are called in the file."""
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


class _Trouble:
    """Around whatever asks the file: turns errors of SQLite, and what cannot have been written here, into those of a store."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            return
        if isinstance(error, sqlite3.Error):
            passing = getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
            raise (down if passing else failed)(self._path, error) from None
        if isinstance(error, ValueError | TypeError | LookupError | RecursionError):
            # rows are typed before they come here: what does not fit is what was read from the file
            raise unfit(self._path) from error


class _Transaction:
    """Around what belongs together; what is not committed in it is undone. A store built afresh is one transaction as a whole."""

    def __init__(self, log: SqliteLog, begin: str) -> None:
        self._log, self._begin = log, begin

    def __enter__(self) -> None:
        db = self._log.db
        if not self._log.afresh:
            db.execute(self._begin)
        elif not db.in_transaction:  # nobody else sees it before it is whole
            db.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        db = self._log.db
        if db.in_transaction and not self._log.afresh:
            db.execute("ROLLBACK")


class SqliteLog(Log):
    """A log in the file at `path`, made when it is not there. Raises `StoreError` for a file made for other features."""

    def __init__(self, path: Path, layout: Layout, since: int | None, afresh: bool = False) -> None:
        self.path, self._layout, self._coding, self.afresh = path, layout, Coding(layout), afresh
        self._file = path.with_name(f"{path.name}.new") if afresh else path
        self.db: Any = None
        self._ids: dict[Lane, int] = {}
        self._trouble = _Trouble(path)
        self._writing, self._reading = _Transaction(self, "BEGIN IMMEDIATE"), _Transaction(self, "BEGIN")
        try:
            if afresh:
                for there in (path, self._file):
                    _refuse_other(there)
                _remove(self._file)
            self.db = sqlite3.connect(self._file, timeout=30, isolation_level=None, check_same_thread=False)
            self._prepare(since)
        except (sqlite3.Error, OSError) as error:
            self.close(failed=True)
            raise self._failed(error) from None
        except StoreError:
            self.close(failed=True)
            raise

    def _failed(self, error: Exception) -> StoreError:
        return failed(str(self.path), error)

    def _prepare(self, since: int | None) -> None:
        db = self.db
        db.execute(f"PRAGMA page_size = {_PAGE}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {_WRITTEN_BACK}")
        db.execute("BEGIN IMMEDIATE")
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for table in _TABLES:
                db.execute(table)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
            db.execute("INSERT INTO fact VALUES ('features', ?)", (self._layout.fingerprint,))
        self._check(since)
        db.execute("COMMIT")

    def _check(self, since: int | None) -> None:
        if self.db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise StoreError(f"`{self.path}` is no history store; name another file")
        version, place = self.db.execute("PRAGMA user_version").fetchone()[0], str(self.path)
        check_features(place, str(version), str(SCHEMA), self._fact("features"), self._layout.fingerprint)
        there = self._fact("since")
        if since is not None and there is None:
            self.db.execute("INSERT INTO fact VALUES ('since', ?)", (since,))
        else:
            check_since(place, since, there)

    def _fact(self, name: str) -> Any:
        found = self.db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def since(self) -> int | None:
        with self._trouble:
            since: int | None = self._fact("since")
            return since

    def append(self, event: Event, assumed: Assumed) -> Found | None:
        with self._trouble:
            with self._writing:
                found = self._unlike(event, assumed)
                if found is None and self._write(event, assumed):
                    return None
            found = found or self.look(event.key, assumed)
            if found is None:
                raise unfit(str(self.path))
            return found

    def look(self, key: Key | None, assumed: Assumed) -> Found | None:
        with self._trouble, self._reading:
            return self._otherwise(key, assumed)

    def notes(self, names: Sequence[str]) -> list[str | None]:
        with self._trouble, self._reading:
            return [self._note(name) for name in names]

    def note(self, changes: Mapping[str, tuple[str | None, str]]) -> bool:
        with self._trouble, self._writing:
            same = all(self._note(name) == before for name, (before, _) in changes.items())
            if same:
                self.db.executemany("INSERT OR REPLACE INTO note VALUES (?, ?)", [(name, after) for name, (_, after) in changes.items()])
                self.db.execute("COMMIT")
            return same

    def _note(self, name: str) -> str | None:
        found = self.db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def measured(self) -> Measured:
        with self._trouble, self._reading:
            keys, rows, events = (self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("lane", "row", "event"))
            (pages,), (size,) = (self.db.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
            span = self.db.execute("SELECT (SELECT min(time) FROM row), (SELECT max(newest) FROM lane)").fetchone()
            return Measured(keys, rows, events, pages * size, *span)

    def close(self, failed: bool = False) -> None:
        db, self.db = self.db, None
        if db is None:
            return
        if not self.afresh:
            db.close()
            return
        try:
            if db.in_transaction:
                db.execute("COMMIT")
            db.close()
            if not failed:
                _replace(self._file, self.path)
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from None
        finally:
            _remove(self._file)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _unlike(self, event: Event, assumed: Assumed) -> Found | None:
        """What stands otherwise, as far as it must be asked for: an event that is corrected, lanes that were never met, and those that only
        look. All else is noticed when it is written."""
        written = all(lane in self._ids and lane in event.changes for lane in assumed.lanes)
        if written and assumed.since is not None and assumed.content is None:
            return None
        return self._otherwise(None if assumed.content is None else event.key, assumed)

    def _otherwise(self, key: Key | None, assumed: Assumed) -> Found | None:
        """What stands otherwise than it was assumed."""
        since = self._fact("since") if assumed.since is None else assumed.since  # where it is known it stays
        event = None if key is None else self._told(key)
        if event is not None and event.content == assumed.content:
            event = None
        lanes = {}
        for lane, number in assumed.lanes.items():
            found = self.db.execute(_STANDING, (lane[0], self._coding.key(lane[1]))).fetchone()
            if (0 if found is None else found[2]) != number:
                lanes[lane] = self._kept(lane, found)
            if found is not None:
                self._know(lane, found[3])
        return Found(event, since, lanes) if event is not None or lanes or since != assumed.since else None

    def _know(self, lane: Lane, id_: int) -> None:
        if len(self._ids) >= _MOST_KNOWN:
            self._ids.clear()
        self._ids[lane] = id_

    def _told(self, key: Key) -> Told | None:
        found = self.db.execute("SELECT content, answer, places FROM event WHERE key = ?", (self._coding.key(key),)).fetchone()
        return None if found is None else self._coding.told(*found)

    def _kept(self, lane: Lane, found: tuple[int, int, int, int] | None) -> Kept:
        if found is None:
            return Kept(NOTHING, ())
        rows, coding = self.db.execute(_ROWS, found[3:]).fetchall(), self._coding
        if not all(number.__class__ is int for number in (*found, *(time for time, _, _ in rows))):
            raise TypeError("times and numbers are whole numbers")  # SQLite keeps any text where it was told to expect a number
        return Kept(Standing(*found[:3]), [Entered(time, coding.event_key(key), coding.row(lane[0], cells)) for time, key, cells in rows])

    # --- writing -----------------------------------------------------------------------------------------------------

    def _tell(self, event: Event, assumed: Assumed) -> int | None:
        """Keep what an event was told, and give its number; none where it is known and that was not assumed."""
        told, coding = event.told, self._coding
        kept = (coding.key(event.key), told.content, coding.answer(told.answer), coding.places(told))
        if assumed.content is not None:
            (number,) = self.db.execute(_TELL_ANEW, kept).fetchone()
            return int(number)
        done = self.db.execute(_TELL, kept)
        if not done.rowcount:
            return None
        if assumed.since is None:
            self.db.execute("INSERT INTO fact VALUES ('since', ?)", (event.since,))
        return int(done.lastrowid)

    def _write(self, event: Event, assumed: Assumed) -> bool:
        """Keep an event; false where it is known, or a lane stands otherwise, and none of it must be kept."""
        number = self._tell(event, assumed)
        if number is None:
            return False
        new: dict[Lane, int] = {}
        for lane, change in event.changes.items():
            id_ = self._ids.get(lane)
            if id_ is None:
                (id_,) = self.db.execute(_MEET, (lane[0], self._coding.key(lane[1]), *change.standing)).fetchone()
                new[lane] = id_
            elif not self.db.execute(_CHANGE, (*change.standing, id_, assumed.lanes[lane])).rowcount:
                return False
            self._change(id_, change, number)
        if not self.afresh:
            self.db.execute("COMMIT")
        for lane, id_ in new.items():
            self._know(lane, id_)
        return True

    def _change(self, lane: int, change: Change, event: int) -> None:
        """Keep which row of an event enters a lane, and which ones leave it."""
        db, row = self.db, change.row
        if row is not None:
            kept = (lane, row.time, change.standing.number, event, self._coding.cells(row.cells))
            db.execute("INSERT INTO row VALUES (?, ?, ?, ?, ?)", kept)
        if change.leaves is not None:
            db.execute("DELETE FROM row WHERE lane = ? AND time = ? AND number = ?", (lane, *change.leaves[1:]))
        if change.gone > FOREVER:
            db.execute("DELETE FROM row WHERE lane = ? AND time <= ?", (lane, change.gone))


def _refuse_other(file: Path) -> None:
    """Raises `StoreError` for a file that is no history store: whoever builds a store must not lose a ledger, or a feed, by its name."""
    if not file.exists() or not file.stat().st_size:
        return
    with closing(sqlite3.connect(file)) as db:
        if _is_other(db):
            raise StoreError(f"`{file}` is no history store; name another file")


def _is_other(db: sqlite3.Connection) -> bool:
    try:
        made = db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
        (application,) = db.execute("PRAGMA application_id").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB:
            return True
        raise
    return made and application != APPLICATION


def _remove(file: Path) -> None:
    for end in _FILES:
        file.with_name(file.name + end).unlink(missing_ok=True)


def _replace(new: Path, old: Path) -> None:
    """Put a whole file, whose log has been written back, in the place of another, with whatever belongs to that."""
    for end in _FILES[1:]:
        old.with_name(old.name + end).unlink(missing_ok=True)
    new.replace(old)
