"""History kept in PostgreSQL, for several processes and machines: one round trip an event, which is one transaction, and two where another
process wrote to its keys or this one does not know them. Whoever has an event of the same key waits; what was said is kept as safely as the
server keeps a commit.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from engine.errors import StoreError
from engine.features.cells import name
from engine.features.log import Found, Measured, check_since, down, failed, unfit
from engine.features.server import SCHEMA, SECONDS, ServerLog, change_time
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.features.log import Assumed, Event, Key
    from engine.features.spec import Layout

_TABLES: Final = """
CREATE TABLE kaskade_fact (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE kaskade_event (key text PRIMARY KEY, kept bytea NOT NULL);
CREATE TABLE kaskade_change (lane text, number bigint, time bigint NOT NULL, change bytea NOT NULL, PRIMARY KEY (lane, number));
CREATE TABLE kaskade_note (name text PRIMARY KEY, value text NOT NULL);
"""
# Locks are had in one order by all, so that no two wait for each other, and each statement sees what was there when it began: what is found
# was written before the lock was had. Tables grow from nothing between two looks of the planner at them: the indexes are always right.
_APPEND: Final = """
CREATE FUNCTION kaskade_append(own text, assumed bigint, event text, version bytea, keeps bytea, begins bigint,
  lanes text[], numbers bigint[], times bigint[], changes bytea[], gones bigint[])
RETURNS TABLE (part integer, place bigint, number bigint, body bytea) LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
  IF keeps IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(locks.place) FROM (
      SELECT hashtextextended(own || named, 0) AS place FROM unnest(lanes || ('event ' || event)) AS named ORDER BY 1) AS locks;
  END IF;
  RETURN QUERY
    SELECT 0, 0::bigint, 0::bigint, NULL::bytea
      WHERE (SELECT value FROM kaskade_fact WHERE name = 'made') IS DISTINCT FROM own
        OR (SELECT value FROM kaskade_fact WHERE name = 'since') IS DISTINCT FROM assumed::text
    UNION ALL SELECT 1, 0, 0, kept FROM kaskade_event WHERE key = event AND substr(kept, 1, 16) IS DISTINCT FROM version
    UNION ALL SELECT 2, asked.place, found.number, found.change
      FROM unnest(lanes, numbers) WITH ORDINALITY AS asked (lane, number, place), LATERAL (
        SELECT number, change FROM kaskade_change WHERE lane = asked.lane AND number > asked.number ORDER BY number OFFSET 0) AS found;
  IF FOUND OR keeps IS NULL THEN RETURN; END IF;
  IF assumed IS NULL THEN
    INSERT INTO kaskade_fact VALUES ('since', begins) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN QUERY SELECT 0, 0::bigint, 0::bigint, NULL::bytea; RETURN; END IF;
  END IF;
  INSERT INTO kaskade_event VALUES (event, keeps) ON CONFLICT (key) DO UPDATE SET kept = excluded.kept;
  INSERT INTO kaskade_change SELECT lane, number + 1, time, change
    FROM unnest(lanes, numbers, times, changes) AS added (lane, number, time, change) WHERE change IS NOT NULL;
  IF gones IS NOT NULL THEN
    DELETE FROM kaskade_change AS old USING unnest(lanes, numbers, gones) AS swept (lane, number, gone)
      WHERE swept.gone IS NOT NULL AND old.lane = swept.lane AND old.number <= swept.number AND old.number < coalesce((
        SELECT first.number FROM kaskade_change AS first WHERE first.lane = swept.lane AND first.time > swept.gone ORDER BY 1 LIMIT 1),
        swept.number + 1);
  END IF;
END $$"""

_NOTE: Final = """
CREATE FUNCTION kaskade_write(names text[], befores text[], afters text[]) RETURNS boolean LANGUAGE plpgsql
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(locks.place) FROM (
    SELECT hashtextextended('note ' || named, 0) AS place FROM unnest(names) AS named ORDER BY 1) AS locks;
  IF EXISTS (
    SELECT FROM unnest(names, befores) AS asked (name, before) LEFT JOIN kaskade_note AS there USING (name)
      WHERE there.value IS DISTINCT FROM asked.before) THEN RETURN false; END IF;
  INSERT INTO kaskade_note SELECT * FROM unnest(names, afters) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
  RETURN true;
END $$"""

_PLANS: Final = """
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan
"""
# Limits hold where nobody set others.
_LIMITS: Final = """
SELECT set_config(name, %s, false) FROM pg_settings
  WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') AND setting = '0'
"""
_OPENING: Final = "SELECT pg_advisory_xact_lock(hashtextextended('kaskade', 0))"
_FACT: Final = "INSERT INTO kaskade_fact VALUES (%s, %s)"
_FACTS: Final = "SELECT name, value FROM kaskade_fact"
_NOTES: Final = "SELECT name, value FROM kaskade_note WHERE name = ANY(%s::text[])"
_WRITE: Final = "SELECT kaskade_write(%s::text[], %s::text[], %s::text[])"


class PostgresLog(ServerLog):
    """A log in one schema of a database, the first of the connection's search path, in tables that begin with ``kaskade_``.

    Raises `StoreError` where the server cannot be reached, or holds history made for other features.
    """

    def __init__(self, url: str, layout: Layout, since: int | None) -> None:
        self._psycopg = psycopg = _library()
        try:
            self._options = _options(psycopg, url)
        except psycopg.Error as error:
            raise failed(url.partition("@")[2] or url, error) from None
        super().__init__(
            "{}:{}/{}".format(*(self._options.get(part, "") for part in ("host", "port", "dbname"))), layout, psycopg.OperationalError
        )
        self._calls: dict[int, str] = {}
        try:
            self._connect()
            self._prepare(since)
        except psycopg.Error as error:
            self.close()
            raise failed(self.place, error) from None
        except StoreError:
            self.close()
            raise

    def _prepare(self, since: int | None) -> None:
        run = self._connection.execute
        with self._connection.transaction():
            run(_OPENING)
            if run("SELECT to_regclass('kaskade_fact')").fetchone()[0] is None:
                run(_TABLES, prepare=False)
                run(_APPEND, prepare=False)
                run(_NOTE, prepare=False)
                for fact in (("schema", str(SCHEMA)), ("features", self._layout.fingerprint), ("made", secrets.token_hex(8))):
                    run(_FACT, fact)
            there = self._taken()
            if since is not None and there is None:
                run(_FACT, ("since", str(since)))
            else:
                check_since(self.place, since, there)

    def _taken(self) -> int | None:
        facts = dict(self._connection.execute(_FACTS).fetchall())
        return self._check([facts.get(name) for name in ("schema", "features", "since", "made")])

    def since(self) -> int | None:
        with self._trouble():
            return self._taken()

    # --- one event -----------------------------------------------------------------------------------------------------

    def _ask(self, key: Key | None, assumed: Assumed, event: Event | None) -> Found | None:
        coding, whole = self._coding, self._psycopg.types.numeric.Int8
        since = None if assumed.since is None else whole(assumed.since)
        asked = None if key is None else name(coding.key(key))
        kept, begins = (None, None) if event is None else (self._kept(event), whole(event.since))
        lanes = [f"{lane[0]}:{name(coding.key(lane[1]))}" for lane in assumed.lanes]
        numbers, changed = map(whole, assumed.lanes.values()), self._changed(event, assumed)
        told = self._run(self._call(len(lanes)), (self._made, since, asked, assumed.content, kept, begins, *lanes, *numbers, *changed))
        return self._found(told, assumed) if told else None

    def _changed(self, event: Event | None, assumed: Assumed) -> list[Any]:
        """The times and the changes that are added to the lanes, and where it is time for that up to which moments old ones are dropped."""
        if event is None:
            return [None] * (2 * len(assumed.lanes) + 1)
        coding, whole = self._coding, self._psycopg.types.numeric.Int8
        changes = [event.changes.get(lane) for lane in assumed.lanes]
        times = (None if one is None else whole(change_time(one)) for one in changes)
        bodies = (None if one is None else coding.change(event.key, one) for one in changes)
        gone = [None if one is None or one.gone == FOREVER else one.gone for one in changes]
        return [*times, *bodies, gone if any(one is not None for one in gone) else None]

    def _call(self, lanes: int) -> str:
        """The call for so many lanes; it is prepared once for each number."""
        if lanes not in self._calls:
            texts, numbers, bodies = (f"ARRAY[{', '.join([kind] * lanes)}]" for kind in ("%s", "%s", "%b"))
            arrays = f"{texts}::text[], {numbers}::bigint[], {numbers}::bigint[], {bodies}::bytea[], %s::bigint[]"
            self._calls[lanes] = f"SELECT * FROM kaskade_append(%s::text, %s::bigint, %s::text, %b::bytea, %b::bytea, %s::bigint, {arrays})"
        return self._calls[lanes]

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            found: list[tuple[Any, ...]] = self._connection.execute(statement, values, binary=True).fetchall()
            return found
        except BaseException as error:
            # where it was broken off nobody knows what the server is at
            if self._connection.closed or not isinstance(error, self._psycopg.Error):
                self._disconnect()
            raise

    def _found(self, told: list[tuple[Any, ...]], assumed: Assumed) -> Found:
        event, since = None, assumed.since
        rows: dict[int, list[tuple[int, bytes]]] = {place: [] for place in range(1, len(assumed.lanes) + 1)}
        for part, place, number, body in told:
            if part == 0:
                made, since = self._made, self._taken()
                if made != self._made:
                    return Found(None, since, {}, anew=True)
            elif part == 1:
                event = self._told(body)
            else:
                rows[place].append((number, body))
        changed = {
            lane: self._stood(lane, number, found[0][0] if found else 0, [body for _, body in found])
            for (lane, number), found in zip(assumed.lanes.items(), rows.values(), strict=True)
            if found or number < 0
        }
        return Found(event, since, changed)

    def _noted(self, names: list[str]) -> list[str | None]:
        found = dict(self._run(_NOTES, (names,)))
        return [found.get(one) for one in names]

    def _note(self, changes: list[tuple[str, str | None, str]]) -> bool:
        ((done,),) = self._run(_WRITE, tuple(map(list, zip(*changes, strict=True))))
        return bool(done)

    # --- the server ------------------------------------------------------------------------------------------------------

    def measured(self) -> Measured:
        run = self._connection.execute
        with self._trouble():
            keys, rows = run("SELECT count(DISTINCT lane), count(*) FROM kaskade_change").fetchone()
            (events,) = run("SELECT count(*) FROM kaskade_event").fetchone()
            size = "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(ARRAY['kaskade_change', 'kaskade_event']) AS name"
            return Measured(keys, rows, events, int(run(size).fetchone()[0]))

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        psycopg = self._psycopg
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as error:
            raise down(self.place, error) from None
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
            raise self._lost() from None
        except psycopg.Error as error:
            raise failed(self.place, error) from None
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            # rows are typed before they come here: what does not fit is what was read from the server
            raise unfit(self.place) from error

    def _connect(self) -> None:
        connection = self._psycopg.connect(**self._options, autocommit=True, prepare_threshold=0)
        try:
            connection.execute(_PLANS, prepare=False)
            connection.execute(_LIMITS, (f"{SECONDS}s",), prepare=False)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


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
