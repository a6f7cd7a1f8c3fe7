"""History kept in PostgreSQL, for several processes and machines: every event is one transaction of two round trips, and one where it only
looks. Whoever has an event of the same key waits; what was said is kept as safely as the server keeps a commit.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from engine.errors import StoreError
from engine.features.asking import Asked
from engine.features.fetched import Coding, Fetched, Standing, name
from engine.features.judging import OUT
from engine.features.live import LiveStore, Turn, check_features, check_since, down, failed
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.features.live import Event
    from engine.features.spec import BoundFeatures
    from engine.plan import Row
    from engine.record import Record

SCHEMA: Final = 1
SECONDS: Final = 5
"""How long connecting may take, waiting for a lock or an answer, and holding a lock, unless address or server say otherwise."""

_TABLES: Final = """
CREATE TABLE kaskade_fact (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE kaskade_event (key text PRIMARY KEY, content bytea NOT NULL, answer text NOT NULL);
CREATE TABLE kaskade_lane (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, history integer NOT NULL, key text NOT NULL,
  oldest bigint NOT NULL, newest bigint NOT NULL, number bigint NOT NULL, UNIQUE (history, key));
CREATE TABLE kaskade_cell (lane bigint, slot integer, time bigint, number bigint, cell bytea NOT NULL,
  PRIMARY KEY (lane, slot, time, number))
"""

# Limits hold where nobody set others. Tables grow from nothing between two looks of the planner at them: the indexes are always right.
_SESSION: Final = """
SELECT set_config(name, %s, false) FROM pg_settings
  WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') AND setting = '0';
"""
_PLANS: Final = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan"

_LOCK: Final = "SELECT pg_advisory_xact_lock(place) FROM unnest(%s::bigint[]) AS place"
# All that an event asks, in one statement: rows of one shape, told apart by `part`; cells come by time and arrival.
_READ: Final = """
WITH asked AS (
  SELECT lane.*, place
    FROM unnest(%s::integer[], %s::text[]) WITH ORDINALITY AS asked (history, key, place) JOIN kaskade_lane AS lane USING (history, key)
)
SELECT 0 AS part, value::bigint AS place, 0 AS time, 0 AS newest, 0 AS number, NULL::bytea AS cell, NULL AS answer
  FROM kaskade_fact WHERE name = 'since'
UNION ALL SELECT 1, 0, 0, 0, 0, content, answer FROM kaskade_event WHERE key = %s
UNION ALL SELECT 2, place, oldest, newest, number, NULL, NULL FROM asked
UNION ALL
SELECT 3, spans.place, cell.time, 0, cell.number, cell.cell, NULL
  FROM unnest(%s::bigint[], %s::integer[], %s::bigint[], %s::bigint[]) WITH ORDINALITY AS spans (lane, slot, after, upto, place)
  JOIN asked ON asked.place = spans.lane
  JOIN kaskade_cell AS cell ON cell.lane = asked.id AND cell.slot = spans.slot AND cell.time > after AND cell.time <= upto
ORDER BY part, place, time, number"""
_SINCE, _EVENT, _LANE, _CELL = range(4)

_KEEP_SINCE: Final = "INSERT INTO kaskade_fact VALUES ('since', %s)"
_WRITE: Final = """
WITH event AS (INSERT INTO kaskade_event VALUES (%s, %s, %s)),
lanes AS (
  INSERT INTO kaskade_lane (history, key, oldest, newest, number)
    SELECT *, 1 FROM unnest(%s::integer[], %s::text[], %s::bigint[], %s::bigint[])
    ON CONFLICT (history, key) DO UPDATE SET oldest = excluded.oldest, newest = excluded.newest, number = kaskade_lane.number + 1
    RETURNING id, history, key, number
),
kept AS (
  INSERT INTO kaskade_cell
    SELECT id, slot, time, number, cell
    FROM unnest(%s::integer[], %s::text[], %s::integer[], %s::bigint[], %s::bytea[]) AS kept (history, key, slot, time, cell)
    JOIN lanes USING (history, key)
)
DELETE FROM kaskade_cell AS cell
  USING unnest(%s::integer[], %s::text[], %s::integer[], %s::bigint[]) AS gone (history, key, slot, upto) JOIN lanes USING (history, key)
  WHERE cell.lane = lanes.id AND cell.slot = gone.slot AND cell.time <= gone.upto"""
_NONE: Final[tuple[list[Any], ...]] = ([], [], [], [], [])


class PostgresStore(LiveStore):
    """A store in one schema of a database, the first of the connection's search path, in tables that begin with ``kaskade_``.

    Raises `StoreError` where the server cannot be reached, or holds history made for other features.
    """

    def __init__(self, url: str, groups: Sequence[BoundFeatures], record: Record, since: int | None) -> None:
        super().__init__(groups, record)
        self._psycopg = _library()
        self._coding = Coding(self.layout)
        self._lock = threading.Lock()
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
                facts = ("schema", str(SCHEMA), "features", self.layout.fingerprint)
                self._connection.execute("INSERT INTO kaskade_fact VALUES (%s, %s), (%s, %s)", facts)
            self._check(since)

    def _check(self, since: int | None) -> None:
        facts = dict(self._connection.execute("SELECT name, value FROM kaskade_fact").fetchall())
        where = "in another schema or database"
        check_features(self.place, facts.get("schema"), str(SCHEMA), facts.get("features"), self.layout.fingerprint, where)
        there = facts.get("since")
        if since is not None and there is None:
            self._connection.execute(_KEEP_SINCE, (str(since),))
        else:
            check_since(self.place, since, None if there is None else int(there))

    def atomic(self, asked: Asked, record: bool, work: Callable[[Turn], Row]) -> Row:
        with self._lock, self._trouble():
            if self._closed:
                raise StoreError("the store is closed")
            if self._connection is None:
                self._connection = self._connect()
                self._check(None)
            try:
                turn = self._fetch(asked, record)
                answer = work(turn)
                if record:
                    self._finish(turn)
                return answer
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

    def release(self) -> None:
        with self._lock:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- reading -----------------------------------------------------------------------------------------------------

    def _fetch(self, asked: Asked, record: bool) -> Fetched:
        if not record:
            return self._read(asked, ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"], [], "COMMIT")
        lanes = (_place(f"{history}:{name(key)}") for history, key in asked.lanes)
        places = sorted({_place(f"event:{name(asked.key)}"), *lanes})  # all in one order, so that no two wait for each other
        # each statement sees what was there when it began: what is read was written before the lock was had
        turn = self._read(asked, ["BEGIN ISOLATION LEVEL READ COMMITTED"], places)
        if turn.since() is None:  # the first event of all settles it for everyone
            turn = self._read(asked, [], [_place("since")])
        return turn

    def _read(self, asked: Asked, before: list[str], locks: list[int], *after: str) -> Fetched:
        run, spans, lanes = self._connection.execute, asked.spans, asked.lanes
        places = {lane: place for place, lane in enumerate(lanes, 1)}
        _, slots, _, afters, uptos = map(list, zip(*spans, strict=True)) if spans else _NONE
        histories, names = [history for history, _ in lanes], [name(key) for _, key in lanes]
        asks = (histories, names, name(asked.key), [places[span.history, span.key] for span in spans], slots, afters, uptos)
        with self._connection.pipeline():
            for command in before:
                run(command)
            if locks:
                run(_LOCK, (locks,))
            found = run(_READ, asks, binary=True)
            for command in after:
                run(command)
        return self._fetched(asked, found.fetchall())

    def _fetched(self, asked: Asked, found: list[tuple[Any, ...]]) -> Fetched:
        since, event, standings = None, None, {}
        rows: dict[Any, tuple[list[int], list[bytes]]] = {span[:3]: ([], []) for span in asked.spans}
        columns = list(rows.values())
        for part, place, time, newest, number, cell, answer in found:
            if part == _CELL:
                times, cells = columns[place - 1]
                times.append(time)
                cells.append(cell)
            elif part == _LANE:
                standings[asked.lanes[place - 1]] = Standing(time, newest, number)
            elif part == _EVENT:
                event = cell, answer
            else:
                since = place
        return Fetched(self._coding, event, since, standings, rows)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _finish(self, turn: Fetched) -> None:
        with self._connection.pipeline():
            if turn.written is not None:
                self._write(turn.written, turn.since() is None)
            self._connection.execute("COMMIT")

    def _write(self, event: Event, first: bool) -> None:
        if first:
            self._connection.execute(_KEEP_SINCE, (str(event.since),))
        lanes, kept, gone = [], [], []
        for entry in event.entries:
            lane = entry.history, name(entry.key)
            lanes.append((*lane, entry.oldest, entry.newest))
            for slot, cell in enumerate(entry.cells):
                if cell is not OUT and entry.time > entry.gone[slot]:
                    kept.append((*lane, slot, entry.time, self._coding.cell(entry.history, slot, cell)))
                if entry.gone[slot] > FOREVER:
                    gone.append((*lane, slot, entry.gone[slot]))
        own = name(event.key), event.content, self._coding.answer(event.answer)
        self._connection.execute(_WRITE, (*own, *_columns(lanes, 4), *_columns(kept, 5), *_columns(gone, 4)))


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
