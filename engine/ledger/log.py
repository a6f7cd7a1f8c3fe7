"""The ledger: every decision with all it came from, one after another in a SQLite file, chained so that a change shows.

It keeps what it is handed and knows neither cascades nor how decisions are made; a replay needs nothing but this file.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from engine.errors import InputError, LedgerError
from engine.ledger.codec import decode_row, encode_row, event_text
from engine.ledger.decision import CORRECTION, Decision, Revises, Version, canonical
from engine.values import Value

APPLICATION: Final = 0x4B41534B
"""Marks the file as a ledger (``KASK``), where SQLite keeps such marks."""
SCHEMA_VERSION: Final = 1
START: Final = "0" * 64
"""What the first entry is chained to."""

_SCHEMA: Final = """
CREATE TABLE blob (hash TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE setting (hash TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, setting TEXT NOT NULL REFERENCES setting (hash),
  event TEXT NOT NULL, base TEXT NOT NULL, calls TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL,
  key TEXT GENERATED ALWAYS AS (json_extract(body, '$.key')), time TEXT GENERATED ALWAYS AS (json_extract(body, '$.time')),
  outcome TEXT GENERATED ALWAYS AS (json_extract(body, '$.outcome'))
);
CREATE INDEX entry_key ON entry (key);
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
"""

_ENTRIES: Final = "SELECT seq, id, setting, event, base, calls, body, hash FROM entry"
_LAST_OF_KEY: Final = """
SELECT entry.seq, entry.id, json_extract(entry.base, ?) FROM entry JOIN setting ON setting.hash = entry.setting
WHERE entry.key = ? AND json_extract(setting.data, '$.cascade') IN (SELECT value FROM json_each(?)) ORDER BY entry.seq DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """What decides: the cascade's file, the components' (kind, name, version, hash), and the bytes of every file read to make them.

    Files are named relative to the workspace. `columns` are those of a row before the first step; `engine` and `language` are versions,
    `lock` is the seal of the lock that all this was loaded by, `drafts` are those of the components that were not published.
    """

    cascade: str
    versions: tuple[Version, ...]
    files: Mapping[str, bytes] = field(repr=False)
    columns: tuple[str, ...]
    engine: str
    language: str
    lock: str | None = None
    drafts: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a model: ``NAME@VERSION``, what went in and what came out, typed."""

    model: str
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]

    def to_dict(self) -> dict[str, Any]:
        return {"model": self.model, "inputs": encode_row(self.inputs), "outputs": encode_row(self.outputs)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One recorded decision. `setting` names its `Setting`, `base` is the typed row it was decided from, `body` the decision's JSON."""

    seq: int
    id: str
    setting: str
    event: str
    base: dict[str, Value]
    calls: tuple[Call, ...]
    body: str

    @property
    def key(self) -> Any:
        """The key of the event as the decision shows it; none where the body was altered."""
        return self._said().get("key")

    @property
    def revises(self) -> Revises | None:
        """The entry whose place this one takes."""
        said = self._said().get("revises") if '"revises"' in self.body else None
        try:
            return None if said is None else Revises(**said)
        except TypeError:
            return None

    @property
    def is_tick(self) -> bool:
        """Whether a key was looked at without an event."""
        return '"tick"' in self.body and self._said().get("tick") is not None

    def _said(self) -> dict[str, Any]:
        try:
            said = json.loads(self.body)
        except ValueError:
            said = None
        return said if isinstance(said, dict) else {}


def check_cascade(name: str, decided: set[str]) -> None:
    """Raises `InputError` where a ledger holds decisions, and none of this cascade: another was meant, of either."""
    if decided and name not in decided:
        there = ", ".join(f"`{one}`" for one in sorted(decided))
        raise InputError(f"no decision in the ledger is of cascade `{name}`; there are those of {there}")


class Ledger:
    """A ledger file, open to append or to read. Threads may share one, processes each open their own.

    >>> import tempfile
    >>> setting = Setting("cascades/a.yaml", (), {"cascades/a.yaml": b"cascade: x/a"}, ("id",), "0.1.0", "0.1")
    >>> with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "l.db", setting) as ledger:
    ...     ledger.verify()
    0
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, settings: Sequence[Setting] = (), revision: str | None = None) -> None:
        self.path, self._db, self._lock, self._revision = path, connection, threading.Lock(), revision
        self._cascades = canonical(sorted({setting.cascade for setting in settings}))
        self._settings = {setting.lock: (self._keep(setting), setting.columns) for setting in settings}

    @classmethod
    def open(cls, path: Path, settings: Setting | Sequence[Setting], revision: str | None = None) -> Ledger:
        """Open a ledger to append decisions made under one setting, or under several, each by a lock of its own; a file that is not there
        is made.

        `revision` is the column by which events are corrected: a decision on a higher one than the last that this cascade's file decided
        under the key is marked as its revision.
        Raises `LedgerError` for a file that is no ledger, or one of a later schema.
        """
        if path.is_dir() or not path.parent.is_dir():
            reason = "it is a folder" if path.is_dir() else f"there is no folder `{path.parent}`"
            raise LedgerError(f"the ledger `{path}` cannot be made: {reason}")
        with _told(path), _closing_on_error(_connect(f"{path.absolute().as_uri()}?mode=rwc")) as connection:
            fresh = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if fresh and not _pragma(connection, "application_id"):
                _create(connection)
            _check_kind(path, connection)
            return cls(path, connection, [settings] if isinstance(settings, Setting) else settings, revision)

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Open a ledger that is there, to read it. Raises `LedgerError`."""
        if not path.is_file():
            raise LedgerError(f"`{path}` is a folder, and no ledger" if path.is_dir() else f"there is no ledger `{path}`")
        with _told(path), _closing_on_error(_readable(path)) as connection:
            _check_kind(path, connection)
            return cls(path, connection)

    # --- writing ------------------------------------------------------------------------------------------------------

    def append(self, event: Mapping[str, Any] | str | bytes, decision: Decision, calls: Iterable[Call] = ()) -> Decision:
        """Record a decision; gives it back with its `id`. It is on disk when this returns."""
        (kept,) = self.append_all([(event, decision, tuple(calls))])
        return kept

    def append_all(self, decisions: Iterable[tuple[Mapping[str, Any] | str | bytes, Decision, tuple[Call, ...]]]) -> list[Decision]:
        """Record many decisions, all or none."""
        if not self._settings:
            raise LedgerError(f"`{self.path}` was opened to be read")
        kept, rows, bodies = [], [], []
        for event, decision, calls in decisions:
            kept.append(decision.noted(id=new_id()))
            setting, columns = self._settings[decision.lock]
            base = canonical(encode_row({name: decision.row[name] for name in columns}))
            rows.append((kept[-1].id, setting, event_text(event), base, canonical([c.to_dict() for c in calls])))
            bodies.append({name: value for name, value in decision.to_dict().items() if name != "id"})
        with self._lock, _told(self.path), _transaction(self._db):
            seq, head = self._db.execute("SELECT seq, hash FROM head").fetchone() or (None, None)
            if not (isinstance(seq, int) and isinstance(head, str)):
                raise LedgerError(f"the end of `{self.path}` was altered, so that nothing can be added: begin a new ledger")
            for place, (decision, row, body) in enumerate(zip(kept, rows, bodies, strict=True)):
                corrected = self._corrected(decision)
                if corrected is not None:
                    kept[place], body["revises"] = decision.noted(revises=corrected), corrected.to_dict()
                seq, whole = seq + 1, (*row, canonical(body))
                head = entry_hash(head, seq, whole)
                self._db.execute(
                    "INSERT INTO entry (seq, id, setting, event, base, calls, body, hash) VALUES (?,?,?,?,?,?,?,?)", (seq, *whole, head)
                )
            self._db.execute("UPDATE head SET seq = ?, hash = ?", (seq, head))
        return kept

    def _corrected(self, decision: Decision) -> Revises | None:
        """The last decision under this key, where it was made on a lower revision of the event."""
        if self._revision is None or decision.revises is not None:
            return None
        key = canonical(list(decision.key)) if isinstance(decision.key, tuple) else decision.key
        found = self._db.execute(_LAST_OF_KEY, (f'$."{self._revision}"', key, self._cascades)).fetchone()
        if found is None:
            return None
        seq, id_, revision = found
        return Revises(seq, id_, CORRECTION) if isinstance(revision, int) and revision < decision.row[self._revision] else None

    def _keep(self, setting: Setting) -> str:
        """Keep a setting and its files, once each; gives its hash."""
        files = {label: _digest(data) for label, data in setting.files.items()}
        facts: dict[str, Any] = {
            "cascade": setting.cascade,
            "columns": setting.columns,
            "engine": setting.engine,
            "language": setting.language,
        }
        # what an older engine did not know of is left out where it says nothing, so that its settings keep their names
        facts |= {} if setting.lock is None else {"lock": setting.lock}
        facts |= {"drafts": setting.drafts} if setting.drafts else {}
        text = canonical({**facts, "versions": setting.versions, "files": files})
        with _transaction(self._db):
            for label, data in setting.files.items():
                self._db.execute("INSERT OR IGNORE INTO blob VALUES (?, ?)", (files[label], data))
            self._db.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", (_digest(text.encode()), text))
        return _digest(text.encode())

    # --- reading ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        with self._lock, _told(self.path):
            return int(self._db.execute("SELECT count(*) FROM entry").fetchone()[0])

    def entries(self) -> Iterator[Entry]:
        """Every entry in order. Raises `LedgerError` where one cannot be read."""
        yield from map(self._entry, self._rows())

    def entry(self, seq: int) -> Entry:
        """The entry at this place. Raises `LedgerError` where there is none that can be read."""
        with self._lock, _told(self.path):
            found = self._db.execute(f"{_ENTRIES} WHERE seq = ?", (seq,)).fetchone()
        if found is None:
            raise LedgerError(f"there is no entry {seq} in `{self.path}`")
        return self._entry(found)

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        seq, id_, setting, event, base, calls, body, _ = row
        try:
            parts = [Call(c["model"], decode_row(c["inputs"]), decode_row(c["outputs"])) for c in json.loads(calls)]
            return Entry(seq, id_, setting, event, decode_row(json.loads(base)), tuple(parts), body)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise LedgerError(f"entry {seq} of `{self.path}` cannot be read") from None

    def id_of(self, seq: int) -> str | None:
        """The id of the entry at this place, if there is one."""
        with self._lock, _told(self.path):
            found = self._db.execute("SELECT id FROM entry WHERE seq = ?", (seq,)).fetchone()
        return None if found is None else found[0]

    def setting(self, hash_: str) -> Setting:
        """The setting of this hash with its files. Raises `LedgerError` where it or a file of it is gone or altered."""
        with self._lock, _told(self.path):
            found = self._db.execute("SELECT data FROM setting WHERE hash = ?", (hash_,)).fetchone()
            if found is None or not isinstance(found[0], str) or _digest(found[0].encode()) != hash_:
                raise LedgerError(f"the setting {hash_[:12]} of `{self.path}` is gone or was altered")
            data = json.loads(found[0])
            files = {label: self._blob(label, blob) for label, blob in data["files"].items()}
        versions, drafts = _versions(data["versions"]), _versions(data.get("drafts", ()))
        return Setting(data["cascade"], versions, files, tuple(data["columns"]), data["engine"], data["language"], data.get("lock"), drafts)

    def _blob(self, label: str, hash_: str) -> bytes:
        found = self._db.execute("SELECT data FROM blob WHERE hash = ?", (hash_,)).fetchone()
        if found is None or not isinstance(found[0], bytes) or _digest(found[0]) != hash_:
            raise LedgerError(f"the file `{label}` kept in `{self.path}` is gone or was altered")
        return bytes(found[0])

    def problems(self) -> list[str]:
        """Every place at which the chain does not hold, in order; nothing when it does."""
        found, last, head = [], 0, START
        settings: set[str] = set()
        for seq, *row, hash_ in self._rows():
            if seq != last + 1:
                found.append(f"{_gone(last + 1, seq - 1)} `{self.path}`")
            elif entry_hash(head, seq, tuple(row)) != hash_:
                found.append(f"entry {seq} of `{self.path}` was altered, or what stands before it")
            settings.add(row[1])
            last, head = seq, hash_
        with self._lock, _told(self.path):
            end = self._db.execute("SELECT seq, hash FROM head").fetchone()
        if end is None or tuple(end) != (last, head):
            found.append(
                f"the end of `{self.path}` was altered: {last} entries are there, {'none' if end is None else end[0]} were recorded"
            )
        for setting in sorted(settings):
            try:
                self.setting(setting)
            except LedgerError as error:
                found.append(str(error))
        return found

    def verify(self) -> int:
        """How many entries there are, when the whole chain holds. Raises `LedgerError` naming the first place where it does not."""
        found = self.problems()
        if found:
            raise LedgerError(found[0])
        return len(self)

    def _rows(self, size: int = 500) -> Iterator[tuple[Any, ...]]:
        """All entries; read by portions, so that writers need not wait for a reader."""
        last = -(2**63)
        while True:
            with self._lock, _told(self.path):
                rows = self._db.execute(f"{_ENTRIES} WHERE seq > ? ORDER BY seq LIMIT ?", (last, size)).fetchall()
            yield from rows
            if len(rows) < size:
                return
            last = rows[-1][0]

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _versions(said: Iterable[Iterable[str]]) -> tuple[Version, ...]:
    return tuple((kind, name, version, digest) for kind, name, version, digest in said)


def entry_hash(previous: str, seq: int, row: tuple[Any, ...]) -> str:
    """The hash of an entry over the one before it; `row` is (id, setting, event, base, calls, body)."""
    return _digest(previous.encode() + canonical([seq, *row]).encode())


def new_id() -> str:
    """A UUID of version 7: sorted by the millisecond it was made in.

    >>> len(new_id()), new_id()[14]
    (36, '7')
    """
    number = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _gone(first: int, last: int) -> str:
    return f"entry {first} is gone from" if first == last else f"entries {first} to {last} are gone from"


# --- SQLite ----------------------------------------------------------------------------------------------------------


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)


def _readable(path: Path) -> sqlite3.Connection:
    """A connection that only reads, also where the folder cannot be written and SQLite cannot place its side files."""
    uri = path.absolute().as_uri()
    connection = _connect(f"{uri}?mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        return _connect(f"{uri}?immutable=1")
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    with _transaction(connection):
        if _pragma(connection, "application_id") == APPLICATION:
            return  # another process was faster
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT INTO head VALUES (1, 0, ?)", (START,))
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _check_kind(path: Path, connection: sqlite3.Connection) -> None:
    if _pragma(connection, "application_id") != APPLICATION:
        raise LedgerError(f"`{path}` is not a ledger")
    version = _pragma(connection, "user_version")
    if version != SCHEMA_VERSION:
        raise LedgerError(f"the ledger `{path}` has the layout {version}, this engine reads {SCHEMA_VERSION}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def _closing_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """SQLite's own trouble as a `LedgerError`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = "is not a ledger" if "not a database" in str(error) else f"cannot be used: {str(error).lower().rstrip('.')}"
        raise LedgerError(f"`{path}` {text}") from None
