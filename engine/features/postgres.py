"""History kept in PostgreSQL, for several processes and machines: every event is one transaction of two round trips, and one where it only
looks; two more where another process wrote to its keys or this one does not know them. Whoever has an event of the same key waits; what was
said is kept as safely as the server keeps a commit.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from engine.errors import StoreError
from engine.features.cells import Coding, name
from engine.features.log import CLOSED, Entered, Found, Kept, Log, Measured, check_features, check_since, down, failed
from engine.features.sliding import NOTHING, Standing
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.features.log import Assumed, Event, Key, Lane
    from engine.features.spec import Layout

SCHEMA: Final = 2
SECONDS: Final = 5
"""How long connecting may take, waiting for a lock or an answer, and holding a lock, unless address or server say otherwise."""

_TABLES: Final = """
CREATE TABLE kaskade_fact (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE kaskade_event (key text PRIMARY KEY, content bytea NOT NULL, answer text NOT NULL, places text);
CREATE TABLE kaskade_lane (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, history integer NOT NULL, key text NOT NULL,
  oldest bigint NOT NULL, newest bigint NOT NULL, number bigint NOT NULL, UNIQUE (history, key));
CREATE TABLE kaskade_row (lane bigint, time bigint, number bigint, key text NOT NULL, cells text NOT NULL,
  PRIMARY KEY (lane, time, number));
CREATE TABLE kaskade_note (name text PRIMARY KEY, value text NOT NULL)
"""

# Limits hold where nobody set others. Tables grow from nothing between two looks of the planner at them: the indexes are always right.
_SESSION: Final = """
SELECT set_config(name, %s, false) FROM pg_settings
  WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') AND setting = '0';
"""
_PLANS: Final = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan"

_LOCK: Final = "SELECT pg_advisory_xact_lock(place) FROM unnest(%s::bigint[]) AS place"
# How everything stands, in one statement: rows of one shape, told apart by `part`.
_READ: Final = """
SELECT 0 AS part, value::bigint AS place, 0 AS oldest, 0 AS newest, 0 AS number, NULL::bytea AS content, NULL AS answer, NULL AS places
  FROM kaskade_fact WHERE name = 'since'
UNION ALL SELECT 1, 0, 0, 0, 0, content, answer, places FROM kaskade_event WHERE key = %s
UNION ALL SELECT 2, place, oldest, newest, number, NULL, NULL, NULL
  FROM unnest(%s::integer[], %s::text[]) WITH ORDINALITY AS asked (history, key, place) JOIN kaskade_lane USING (history, key)"""
_ROWS: Final = """
SELECT history, lane.key, row.time, row.key, row.cells
  FROM unnest(%s::integer[], %s::text[]) AS asked (history, key) JOIN kaskade_lane AS lane USING (history, key)
  JOIN kaskade_row AS row ON row.lane = lane.id
ORDER BY row.time, row.number"""

_KEEP_SINCE: Final = "INSERT INTO kaskade_fact VALUES ('since', %s)"
_WRITE: Final = """
WITH event AS (
  INSERT INTO kaskade_event VALUES (%s, %s, %s, %s)
    ON CONFLICT (key) DO UPDATE SET content = excluded.content, answer = excluded.answer, places = excluded.places
),
lanes AS (
  INSERT INTO kaskade_lane (history, key, oldest, newest, number)
    SELECT * FROM unnest(%s::integer[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
    ON CONFLICT (history, key) DO UPDATE SET oldest = excluded.oldest, newest = excluded.newest, number = excluded.number
    RETURNING id, history, key, number
),
kept AS (
  INSERT INTO kaskade_row
    SELECT id, time, number, kept.event, cells
    FROM unnest(%s::integer[], %s::text[], %s::bigint[], %s::text[], %s::text[]) AS kept (history, key, time, event, cells)
    JOIN lanes USING (history, key)
),
withdrawn AS (
  DELETE FROM kaskade_row AS row
    USING unnest(%s::integer[], %s::text[], %s::bigint[], %s::bigint[]) AS leaves (history, key, time, number)
    JOIN lanes USING (history, key)
    WHERE row.lane = lanes.id AND row.time = leaves.time AND row.number = leaves.number
)
DELETE FROM kaskade_row AS row
  USING unnest(%s::integer[], %s::text[], %s::bigint[]) AS gone (history, key, upto) JOIN lanes USING (history, key)
  WHERE row.lane = lanes.id AND row.time <= gone.upto"""


_NOTES: Final = "SELECT name, value FROM kaskade_note WHERE name = ANY(%s)"
# How many were put in the place of what was assumed to stand there; nothing stands there is nothing to conflict with.
_NOTE: Final = """
WITH asked AS (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS asked (name, before, after)),
done AS (
  INSERT INTO kaskade_note AS there SELECT name, after FROM asked ORDER BY name
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
    WHERE there.value = (SELECT before FROM asked WHERE asked.name = there.name)
    RETURNING name
)
SELECT count(*) FROM done"""


class PostgresLog(Log):
    """A log in one schema of a database, the first of the connection's search path, in tables that begin with ``kaskade_``.

    Raises `StoreError` where the server cannot be reached, or holds history made for other features.
    """

    def __init__(self, url: str, layout: Layout, since: int | None) -> None:
        self._psycopg = _library()
        self._layout, self._coding = layout, Coding(layout)
        self._closed = False
        self._connection: Any = None
        try:
            self._options = _options(self._psycopg, url)
            self.place = "{}:{}/{}".format(*(self._options.get(part, "") for part in ("host", "port", "dbname")))
        except self._psycopg.Error as error:
            raise failed(url.partition("@")[2] or url, error) from None
        try:
            self._connection = self._connect()
            self._prepare(since)
        except self._psycopg.Error as error:
            self._let_go()
            raise failed(self.place, error) from None
        except StoreError:
            self._let_go()
            raise

    def _connect(self) -> Any:
        connection = self._psycopg.connect(**self._options, autocommit=True, prepare_threshold=0)
        connection.execute(_SESSION, (f"{SECONDS}s",), prepare=False)
        connection.execute(_PLANS, prepare=False)
        return connection

    def _prepare(self, since: int | None) -> None:
        with self._connection.transaction():
            self._connection.execute(_LOCK, ([_place("open")],))
            if self._connection.execute("SELECT to_regclass('kaskade_fact')").fetchone()[0] is None:
                self._connection.execute(_TABLES, prepare=False)
                facts = ("schema", str(SCHEMA), "features", self._layout.fingerprint)
                self._connection.execute("INSERT INTO kaskade_fact VALUES (%s, %s), (%s, %s)", facts)
            self._check(since)

    def _check(self, since: int | None) -> None:
        facts = dict(self._connection.execute("SELECT name, value FROM kaskade_fact").fetchall())
        where = "in another schema or database"
        check_features(self.place, facts.get("schema"), str(SCHEMA), facts.get("features"), self._layout.fingerprint, where)
        there = facts.get("since")
        if since is not None and there is None:
            self._connection.execute(_KEEP_SINCE, (str(since),))
        else:
            check_since(self.place, since, None if there is None else int(there))

    def since(self) -> int | None:
        with self._trouble():
            found = self._connection.execute("SELECT value FROM kaskade_fact WHERE name = 'since'").fetchone()
            return None if found is None else int(found[0])

    def append(self, event: Event, assumed: Assumed) -> Found | None:
        with self._turn():
            found = self._locked(event.key, assumed)
            if found is None:
                self._finish(event, assumed)
            return found

    def look(self, key: Key | None, assumed: Assumed) -> Found | None:
        with self._turn():
            return self._otherwise(key, assumed, ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"], [])

    def notes(self, names: Sequence[str]) -> list[str | None]:
        with self._turn():
            found = dict(self._connection.execute(_NOTES, ([name(one) for one in names],)).fetchall())
            return [found.get(name(one)) for one in names]

    def note(self, changes: Mapping[str, tuple[str | None, str]]) -> bool:
        rows = [(name(one), before, after) for one, (before, after) in changes.items()]
        with self._turn():
            self._connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            done: bool = self._connection.execute(_NOTE, _columns(rows, 3)).fetchone()[0] == len(rows)
            self._connection.execute("COMMIT" if done else "ROLLBACK")
            return done

    def measured(self) -> Measured:
        tables = "kaskade_lane", "kaskade_row", "kaskade_event"
        with self._turn():
            keys, rows, events = (self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)
            size = "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name"
            return Measured(keys, rows, events, int(self._connection.execute(size, (list(tables),)).fetchone()[0]))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._trouble():
            if self._closed:
                raise StoreError(CLOSED)
            if self._connection is None:
                self._connection = self._connect()
                self._check(None)
            try:
                yield
            finally:
                self._undo()

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        psycopg = self._psycopg
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as error:
            raise down(self.place, error) from None
        except psycopg.Error as error:
            raise failed(self.place, error) from None

    def _undo(self) -> None:
        """Leave no transaction open; a connection that cannot even do that is given up."""
        connection = self._connection
        try:
            if not connection.closed:
                connection.rollback()  # says nothing to the server where no transaction is open
        except self._psycopg.Error:
            connection.close()
        if connection.closed:
            self._connection = None

    def close(self, failed: bool = False) -> None:
        self._closed = True
        self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- reading -----------------------------------------------------------------------------------------------------

    def _locked(self, key: Key, assumed: Assumed) -> Found | None:
        named = (_place(f"{history}:{self._name(of)}") for history, of in assumed.lanes)
        # all in one order, so that no two wait for each other; the first event of all settles `since` for everyone
        places = sorted({_place(f"event:{self._name(key)}"), *named, *([_place("since")] if assumed.since is None else [])})
        # each statement sees what was there when it began: what is read was written before the lock was had
        return self._otherwise(key, assumed, ["BEGIN ISOLATION LEVEL READ COMMITTED"], places)

    def _name(self, key: Key) -> str:
        return name(self._coding.key(key))

    def _otherwise(self, key: Key | None, assumed: Assumed, before: list[str], locks: list[int]) -> Found | None:
        """What stands otherwise than it was assumed."""
        run, lanes = self._connection.execute, list(assumed.lanes)
        with self._connection.pipeline():
            for command in before:
                run(command)
            if locks:
                run(_LOCK, (locks,))
            asks = None if key is None else self._name(key), [lane[0] for lane in lanes], [self._name(lane[1]) for lane in lanes]
            found = run(_READ, asks, binary=True)
        since, told, standings = None, None, dict.fromkeys(lanes, NOTHING)
        for part, place, oldest, newest, number, content, answer, places in found.fetchall():
            if part == 0:
                since = place
            elif part == 1:
                told = None if content == assumed.content else self._coding.told(content, answer, places)
            else:
                standings[lanes[place - 1]] = Standing(oldest, newest, number)
        changed = {lane: standing for lane, standing in standings.items() if standing.number != assumed.lanes[lane]}
        same = told is None and since == assumed.since and not changed
        return None if same else Found(told, since, self._loaded(changed))

    def _loaded(self, standings: dict[Lane, Standing]) -> dict[Lane, Kept]:
        names = {(lane[0], self._name(lane[1])): lane for lane in standings}
        rows: dict[Lane, list[Entered]] = {lane: [] for lane in standings}
        columns = [history for history, _ in names], [text for _, text in names]
        for history, text, time, key, cells in self._connection.execute(_ROWS, columns).fetchall() if names else ():
            rows[names[history, text]].append(Entered(time, self._coding.event_key(key), self._coding.row(history, cells)))
        return {lane: Kept(standing, rows[lane]) for lane, standing in standings.items()}

    # --- writing -----------------------------------------------------------------------------------------------------

    def _finish(self, event: Event, assumed: Assumed) -> None:
        with self._connection.pipeline():
            if assumed.since is None:
                self._connection.execute(_KEEP_SINCE, (str(event.since),))
            self._write(event)
            self._connection.execute("COMMIT")

    def _write(self, event: Event) -> None:
        lanes, kept, left, gone = [], [], [], []
        for (history, key), change in event.changes.items():
            lane = history, self._name(key)
            lanes.append((*lane, *change.standing))
            if change.row is not None:
                kept.append((*lane, change.row.time, self._coding.key(change.row.key), self._coding.cells(change.row.cells)))
            if change.leaves is not None:
                left.append((*lane, *change.leaves[1:]))
            if change.gone > FOREVER:
                gone.append((*lane, change.gone))
        told = event.told
        own = self._name(event.key), told.content, self._coding.answer(told.answer), self._coding.places(told)
        self._connection.execute(_WRITE, (*own, *_columns(lanes, 5), *_columns(kept, 5), *_columns(left, 4), *_columns(gone, 3)))


def _columns(rows: list[tuple[Any, ...]], number: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * number


def _library() -> Any:
    try:
        # a server's client is loaded where such a store is opened
        import psycopg
    except ImportError as error:
        raise StoreError("a store in PostgreSQL needs a library that is not here: install `kaskade[postgres]`") from error
    return psycopg


def _options(psycopg: Any, url: str) -> dict[str, Any]:
    limits = {"connect_timeout": SECONDS, "tcp_user_timeout": SECONDS * 1000, "application_name": "kaskade"}
    given: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(url)
    return limits | given


def _place(text: str) -> int:
    """Where the lock of something lies; two that share a place only wait for each other."""
    return int.from_bytes(hashlib.blake2b(b"kaskade " + text.encode(), digest_size=8).digest(), "big", signed=True)
