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
from engine.features.plpgsql import KEPT, NEW, made, replaced, size
from engine.features.server import SCHEMA, SECONDS, ServerLog, T, change_time
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.features.log import Assumed, Event, Key
    from engine.features.spec import Layout

_PLANS: Final = """
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan
"""
# Limits hold where nobody set others.
_LIMITS: Final = """
SELECT set_config(name, %s, false) FROM pg_settings
  WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') AND setting = '0'
"""
_OPENING: Final = "SELECT pg_advisory_xact_lock(hashtextextended('kaskade', 0))"
_BUILDING: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('kaskade new ' || current_schema(), 0))"


_TAKES: Final = "text, bigint, text, bytea, bytea, bigint, text[], bigint[], bigint[], bytea[], bigint[]"
"""What the function that appends takes."""
_OTHERWISE, _EVENT = range(2)


class PostgresLog(ServerLog):
    """A log in one schema of a database, the first of the connection's search path, in tables that begin with ``kaskade_``.

    Raises `StoreError` where the server cannot be reached, or holds history made for other features.
    """

    def __init__(self, url: str, layout: Layout, since: int | None, afresh: bool = False) -> None:
        self._psycopg = psycopg = _library()
        try:
            self._options = _options(psycopg, url)
        except psycopg.Error as error:
            raise failed(url.partition("@")[2] or url, error) from None
        place = "{}:{}/{}".format(*(self._options.get(part, "") for part in ("host", "port", "dbname")))
        super().__init__(place, layout, psycopg.OperationalError, afresh)
        self._of = NEW if afresh else KEPT
        places = ", ".join(f"%s::{kind}" for kind in _TAKES.split(", "))
        self._append = f"SELECT part, place, number, body FROM {self._of}append({places})"
        try:
            self._connect()
            self._prepare(since)
        except psycopg.Error as error:
            self._disconnect()
            raise failed(self.place, error) from None
        except StoreError:
            self._disconnect()
            raise

    def _prepare(self, since: int | None) -> None:
        run = self._connection.execute
        if self._afresh:
            run("BEGIN")
            if not run(_BUILDING).fetchone()[0]:
                raise StoreError(f"the store `{self.place}` is just being built anew by another")
            self._make(since)
            return
        with self._connection.transaction():
            run(_OPENING)
            if run(f"SELECT to_regclass('{KEPT}fact')").fetchone()[0] is None:
                self._make(since)
            there = self._taken()
            if since is not None and there is None:
                self._fact("since", since)
            else:
                check_since(self.place, since, there)

    def _make(self, since: int | None) -> None:
        for statement in made(self._of):
            self._connection.execute(statement, prepare=False)
        self._fact("schema", SCHEMA)
        self._fact("features", self._layout.fingerprint)
        self._made = secrets.token_hex(8)
        self._fact("made", self._made)
        if since is not None:
            self._fact("since", since)

    def _fact(self, name: str, value: str | int) -> None:
        self._connection.execute(f"INSERT INTO {self._of}fact VALUES (%s, %s)", (name, str(value)))

    def _taken(self) -> int | None:
        facts = dict(self._connection.execute(f"SELECT name, value FROM {self._of}fact").fetchall())
        return self._check([facts.get(name) for name in ("schema", "features", "since", "made")])

    def since(self) -> int | None:
        with self._trouble():
            return self._taken()

    def _replace(self) -> None:
        for statement in replaced():
            self._connection.execute(statement, prepare=False)
        self._connection.execute("COMMIT")

    # --- one event -----------------------------------------------------------------------------------------------------

    def _ask(self, key: Key | None, assumed: Assumed, event: Event | None) -> Found | None:
        coding = self._coding
        asked = None if key is None else name(coding.key(key))
        kept, begins = (None, None) if event is None else (self._kept(event), event.since)
        lanes = [f"{lane[0]}:{name(coding.key(lane[1]))}" for lane in assumed.lanes]
        own = self._made, assumed.since, asked, assumed.content, kept, begins
        told = self._run(self._append, (*own, lanes, list(assumed.lanes.values()), *self._changed(event, assumed)))
        return self._found(told, assumed) if told else None

    def _changed(self, event: Event | None, assumed: Assumed) -> tuple[list[Any] | None, ...]:
        """The times and the changes that are added to the lanes, and where it is time for that up to which moments old ones are dropped."""
        if event is None:
            return (None, None, None)
        changes = [event.changes.get(lane) for lane in assumed.lanes]
        times = [None if one is None else change_time(one) for one in changes]
        bodies = [None if one is None else self._coding.change(event.key, one) for one in changes]
        gone = [None if one is None or one.gone == FOREVER else one.gone for one in changes]
        return times, bodies, gone if any(gone) else None

    def _safely(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except BaseException as error:
            # where it was broken off nobody knows what the server is at
            if self._connection.closed or not isinstance(error, self._psycopg.Error):
                self._disconnect()
            raise

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._safely(lambda: self._connection.execute(statement, values, binary=True).fetchall())
        return found

    def _found(self, told: Sequence[tuple[Any, ...]], assumed: Assumed) -> Found:
        event, since = None, assumed.since
        rows: list[list[tuple[int, bytes]]] = [[] for _ in assumed.lanes]
        for part, place, number, body in told:
            if part == _OTHERWISE:
                made, since = self._made, self._taken()
                if made != self._made:
                    return Found(None, since, {}, anew=True)
            elif part == _EVENT:
                event = self._told(body)
            else:
                rows[place - 1].append((number, body))
        changed = {
            lane: self._stood(lane, number, found[0][0] if found else 0, [body for _, body in found])
            for (lane, number), found in zip(assumed.lanes.items(), rows, strict=True)
            if found or number < 0
        }
        return Found(event, since, changed)

    # --- notes ------------------------------------------------------------------------------------------------------------

    def notes(self, names: Sequence[str]) -> list[str | None]:
        statement = f"SELECT name, value FROM {self._of}note WHERE name = ANY(%s)"
        found = dict(self._turn(lambda: self._run(statement, ([name(one) for one in names],))))
        return [found.get(name(one)) for one in names]

    def note(self, changes: Mapping[str, tuple[str | None, str]]) -> bool:
        names, (befores, afters) = [name(one) for one in changes], zip(*changes.values(), strict=True)
        values = self._made, names, list(befores), list(afters)

        def put() -> bool:
            ((done,),) = self._run(f"SELECT {self._of}put_note(%s, %s::text[], %s::text[], %s::text[])", values)
            if done is None:
                self._taken()
                self._anew = True
            return bool(done)

        return self._turn(put)

    # --- the server ------------------------------------------------------------------------------------------------------

    def measured(self) -> Measured:
        def count() -> Measured:
            counts = f"SELECT count(DISTINCT lane), count(*), min(time), max(time) FROM {self._of}change"
            ((keys, rows, oldest, newest),) = self._run(counts, ())
            ((events, taken),) = self._run(f"SELECT count(*), {size(self._of)} FROM {self._of}event", ())
            return Measured(keys, rows, events, taken, oldest, newest)

        return self._turn(count)

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
            if self._afresh:  # whoever builds may take his time between two events
                connection.execute("SET idle_in_transaction_session_timeout = 0", prepare=False)
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
