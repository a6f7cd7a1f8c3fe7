"""History kept in Redis or Valkey, for several processes and machines: one round trip an event, two where another process wrote to its keys
or this one does not know them.

Nobody waits for a lock: an event is appended only where everything stands as it was assumed. What survives a restart of the server is what
its own persistence keeps. Not for clusters: an event touches several keys.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import struct
from typing import TYPE_CHECKING, Any, Final

from engine.errors import StoreError
from engine.features.cells import name
from engine.features.log import Found, Measured, check_since, down, failed, unfit
from engine.features.server import SCHEMA, SECONDS, ServerLog, change_time
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.features.log import Assumed, Event, Key, Lane
    from engine.features.spec import Layout

_PREFIX: Final = "kaskade:"
_PASSING: Final = ("OOM", "MISCONF", "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN", "CLUSTERDOWN")
_HEAD: Final = struct.Struct(">QQ")
_NUMBER, _TIME = struct.Struct(">q"), struct.Struct(">Q")
_OPEN: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'features', ARGV[2], 'made', ARGV[4])
end
local facts = redis.call('HMGET', KEYS[1], 'schema', 'features')
if facts[1] == ARGV[1] and facts[2] == ARGV[2] and ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], 'since', ARGV[3]) end
return redis.call('HMGET', KEYS[1], 'schema', 'features', 'since', 'made')
"""

_ASK: Final = """
local facts = redis.call('HMGET', KEYS[1], 'made', 'since')
local event = ARGV[2] ~= '' and redis.call('HGET', KEYS[2], ARGV[2])
if event and string.sub(event, 1, 16) == ARGV[6] then event = false end
local same, lanes = facts[1] == ARGV[1] and (facts[2] or '') == ARGV[3] and not event, {}
for i = 3, #KEYS do
  local last, assumed = redis.call('LINDEX', KEYS[i], -1), ARGV[3 * i - 2]
  local stands = last and string.sub(last, 1, 8) or '\\0\\0\\0\\0\\0\\0\\0\\0'
  lanes[i - 2] = false
  if stands ~= assumed then
    local more, from = struct.unpack('>I8', stands) - struct.unpack('>I8', assumed), 0
    if more > 0 and more <= redis.call('LLEN', KEYS[i]) then from = -more end
    same, lanes[i - 2] = false, redis.call('LRANGE', KEYS[i], from, -1)
  end
end
if not same then return {facts, event, lanes} end
if ARGV[4] == '' then return 1 end
redis.call('HSETNX', KEYS[1], 'since', ARGV[5])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
for i = 3, #KEYS do
  if ARGV[3 * i - 1] ~= '' then redis.call('RPUSH', KEYS[i], ARGV[3 * i - 1]) end
end
for i = 3, #KEYS do
  if ARGV[3 * i] ~= '' then
    local upper, lower = struct.unpack('>I4I4', ARGV[3 * i])
    local most, cut, dead = redis.call('LLEN', KEYS[i]) - 1, 0, true
    while dead and cut < most do
      for _, row in ipairs(redis.call('LRANGE', KEYS[i], cut, cut + 63)) do
        local high, low = struct.unpack('>I4I4', row, 9)
        dead = high < upper or (high == upper and low <= lower)
        if not dead then break end
        cut = cut + 1
      end
    end
    if cut > 0 then redis.call('LTRIM', KEYS[i], math.min(cut, most), -1) end
  end
end
return 1
"""
"""Keys: facts, events, then every lane, a list of its changes. Arguments: which history, the event or nothing, `since` as assumed, what is
kept of the event or nothing, `since` after it, the hash of the version that is known or nothing; for every lane the number of its last
change as assumed, the one that is added or nothing, the moment up to which changes at its head are dropped or nothing. 1 where all stands
as assumed."""


_NOTE: Final = """
if redis.call('HGET', KEYS[1], 'made') ~= ARGV[1] then return -1 end
for i = 2, #ARGV, 3 do
  if (redis.call('HGET', KEYS[2], ARGV[i]) or '') ~= ARGV[i + 1] then return 0 end
end
for i = 2, #ARGV, 3 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2]) end
return 1
"""
"""Keys: facts, notes. Arguments: which history; for every note its name, its text as assumed or nothing, its text from now on."""

_SPAN: Final = """
local oldest, newest
for _, change in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local high, low = struct.unpack('>I4I4', change, 9)
  if not oldest or high < oldest[1] or high == oldest[1] and low < oldest[2] then oldest = {high, low, string.sub(change, 9, 16)} end
  if not newest or high > newest[1] or high == newest[1] and low > newest[2] then newest = {high, low, string.sub(change, 9, 16)} end
end
return oldest and {oldest[3], newest[3]} or {}
"""
"""Key: a lane. The times of its oldest and its newest change, in halves, since Lua's numbers do not hold 64 bits."""


class RedisLog(ServerLog):
    """A log in one database of a server, under keys that begin with ``kaskade:``.

    Raises `StoreError` where the server cannot be reached, drops keys by itself, or holds history made for other features.
    """

    def __init__(self, url: str, layout: Layout, since: int | None, afresh: bool = False) -> None:
        self._redis = redis = _library()
        try:
            self._pool = redis.ConnectionPool.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
        except (ValueError, TypeError) as error:
            raise failed(url.partition("@")[2] or url, error) from None
        super().__init__(_place(self._pool.connection_kwargs), layout, redis.ConnectionError, afresh)
        self._pool.connection_kwargs["decode_responses"] = False
        self._client: Any = redis.Redis.from_pool(self._pool)
        try:
            self._prepare(since)
        except (redis.RedisError, TypeError) as error:
            self.close(failed=True)
            raise failed(self.place, error) from None
        except StoreError:
            self.close(failed=True)
            raise

    def _prepare(self, since: int | None) -> None:
        policy = self._client.info("memory").get("maxmemory_policy", "noeviction")
        if str(policy).startswith("allkeys"):
            raise StoreError(f"the store `{self.place}` drops keys when it is full (maxmemory-policy {policy}); set noeviction")
        made = secrets.token_hex(4)
        self._facts = f"{_PREFIX}{made}:facts" if self._afresh else f"{_PREFIX}facts"
        opened = SCHEMA, self._layout.fingerprint, "" if since is None else since, made
        check_since(self.place, since, self._taken(self._client.eval(_OPEN, 1, self._facts, *opened)))
        self._scripts = {script: self._client.script_load(script) for script in (_ASK, _NOTE)}
        self._connect()

    def _taken(self, facts: list[bytes | None]) -> int | None:
        since = self._check([None if fact is None else fact.decode() for fact in facts])
        self._events, self._notes, self._rows = (f"{_PREFIX}{self._made}:{what}" for what in ("events", "notes", "rows:"))
        return since

    def since(self) -> int | None:
        with self._trouble():
            since = self._client.hget(self._facts, "since")
            return None if since is None else int(since)

    # --- one event -----------------------------------------------------------------------------------------------------

    def _ask(self, key: Key | None, assumed: Assumed, event: Event | None) -> Found | None:
        coding = self._coding
        keys = [self._facts, self._events]
        lanes: list[bytes] = []
        for lane, number in assumed.lanes.items():
            keys.append(f"{self._rows}{lane[0]}:{name(coding.key(lane[1]))}")
            lanes += _NUMBER.pack(number), *self._changed(event, lane)
        since = "" if assumed.since is None else assumed.since
        asked = "" if key is None else name(coding.key(key))
        kept, begins = ("", "") if event is None else (self._kept(event), event.since)
        said = self._run(_ASK, len(keys), *keys, self._made, asked, since, kept, begins, assumed.content or b"", *lanes)
        return None if said == 1 else self._found(said, assumed)

    def _changed(self, event: Event | None, lane: Lane) -> tuple[bytes, bytes]:
        """The change that is added, and the moment up to which those at the lane's head are dropped."""
        change = None if event is None else event.changes.get(lane)
        if event is None or change is None:
            return b"", b""
        head = _HEAD.pack(change.standing.number, change_time(change) - FOREVER)
        return head + self._coding.change(event.key, change), b"" if change.gone == FOREVER else _TIME.pack(change.gone - FOREVER)

    def _run(self, script: str, *asked: Any) -> Any:
        try:
            return self._exchange("EVALSHA", self._scripts[script], *asked)
        except self._redis.exceptions.NoScriptError:  # the server was started again
            return self._exchange("EVAL", script, *asked)

    def _exchange(self, *command: Any) -> Any:
        """One round trip. The library's way for any command takes longer than the server for these."""
        connection = self._connection
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
            return connection.read_response()
        except BaseException as error:
            if not isinstance(error, self._redis.ResponseError):
                self._disconnect()
            raise

    def _found(self, said: Any, assumed: Assumed) -> Found:
        facts, event, lanes = said
        if facts[0] != self._made.encode():
            return Found(None, self._another(), {}, anew=True)
        changed = {
            lane: self._stood(lane, number, _HEAD.unpack_from(rows[0])[0] if rows else 0, [row[_HEAD.size :] for row in rows])
            for (lane, number), rows in zip(assumed.lanes.items(), lanes, strict=True)
            if rows is not None
        }
        return Found(None if event is None else self._told(event), None if facts[1] is None else int(facts[1]), changed)

    def _another(self) -> int | None:
        """Another history is there: this one was lost, or built anew."""
        return self._taken(self._exchange("HMGET", self._facts, "schema", "features", "since", "made"))

    # --- notes ------------------------------------------------------------------------------------------------------------

    def notes(self, names: Sequence[str]) -> list[str | None]:
        found = self._turn(lambda: self._exchange("HMGET", self._notes, *map(name, names)))
        return [None if text is None else text.decode() for text in found]

    def note(self, changes: Mapping[str, tuple[str | None, str]]) -> bool:
        texts = [text for one, (before, after) in changes.items() for text in (name(one), before or "", after)]

        def put() -> bool:
            done = self._run(_NOTE, 2, self._facts, self._notes, self._made, *texts)
            if done < 0:
                self._another()
                self._anew = True
            return bool(done > 0)

        return self._turn(put)

    # --- built afresh ------------------------------------------------------------------------------------------------------

    def _replace(self) -> None:
        self._client.rename(self._facts, f"{_PREFIX}facts")
        self._remove(others=True)

    def _remove(self, others: bool) -> None:
        """Take away every key of this history, or of all others."""
        own = f"{_PREFIX}{self._made}:".encode()
        there = self._client.scan_iter(f"{_PREFIX}*" if others else f"{_PREFIX}{self._made}:*", count=1000)
        gone = (key for key in there if not others or not (key.startswith(own) or key == f"{_PREFIX}facts".encode()))
        while some := list(itertools.islice(gone, 1000)):
            self._client.unlink(*some)

    # --- the server ------------------------------------------------------------------------------------------------------

    def measured(self) -> Measured:
        with self._trouble():
            events, lanes = self._client.hlen(self._events), list(self._client.scan_iter(f"{self._rows}*", count=1000))
            keys = [self._facts, *([self._events] if events else []), *lanes]
            rows, taken = (sum(one or 0 for one in self._many(what, given)) for what, given in (("LLEN", lanes), ("MEMORY USAGE", keys)))
            times = [_TIME.unpack(time)[0] + FOREVER for pair in self._many("EVAL", lanes, _SPAN, 1) for time in pair]
            return Measured(len(lanes), rows, events, taken, min(times, default=None), max(times, default=None))

    def _many(self, command: str, keys: list[Any], *before: Any) -> list[Any]:
        with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.execute_command(command, *before, key)
            found: list[Any] = pipe.execute()
            return found

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        redis = self._redis
        try:
            yield
        except redis.RedisError as error:
            # the library cuts the code off some messages, and has classes for those
            passing = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.OutOfMemoryError)
            there = isinstance(error, passing) or str(error).startswith(_PASSING)
            raise (down if there else failed)(self.place, error) from None
        except (ValueError, TypeError, LookupError, RecursionError, struct.error) as error:
            # rows are typed before they come here: what does not fit is what was read from the server
            raise unfit(self.place) from error

    def _connect(self) -> None:
        connection = self._pool.make_connection()
        connection.connect()
        self._connection = connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def close(self, failed: bool = False) -> None:
        try:
            super().close(failed)
            if self._afresh and failed and self._made:
                with contextlib.suppress(self._redis.RedisError):
                    self._remove(others=False)
        finally:
            self._client.close()


def _library() -> Any:
    try:
        # a server's client is loaded where such a store is opened
        import redis
    except ImportError as error:
        raise StoreError("a store in Redis needs a library that is not here: install `kaskade[redis]`") from error
    return redis


def _place(options: dict[str, Any]) -> str:
    """The server and database, without user and password."""
    where = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return f"{where}/{options.get('db', 0)}"
