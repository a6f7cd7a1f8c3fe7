"""History kept in Redis or Valkey, for several processes and machines: one round trip an event, two where another process wrote to its keys
or this one does not know them.

Nobody waits for a lock: an event is appended only where everything stands as it was assumed. What survives a restart of the server is what
its own persistence keeps. Not for clusters: an event touches several keys.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from engine.errors import StoreDown, StoreError
from engine.features.cells import Coding, name
from engine.features.log import CLOSED, Entered, Found, Kept, Log, Measured, check_features, check_since, down, failed
from engine.features.sliding import NOTHING, Standing
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.features.log import Assumed, Change, Event, Key, Lane
    from engine.features.spec import Layout

SCHEMA: Final = 2
SECONDS: Final = 5
"""How long connecting and one answer may take, unless the address says otherwise (`socket_timeout`, `socket_connect_timeout`)."""
_PREFIX: Final = "kaskade:"
_FACTS, _EVENTS, _LANES, _NOTES = (_PREFIX + part for part in ("facts", "events", "lanes", "notes"))
_PASSING: Final = ("OOM", "MISCONF", "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN", "CLUSTERDOWN")
_PLACE: Final = struct.Struct(">QQ")
_TIME: Final = struct.Struct(">Q")

_OPEN: Final = """
redis.call('HSETNX', KEYS[1], 'schema', ARGV[1])
redis.call('HSETNX', KEYS[1], 'features', ARGV[2])
local facts = redis.call('HMGET', KEYS[1], 'schema', 'features')
if facts[1] == ARGV[1] and facts[2] == ARGV[2] and ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], 'since', ARGV[3]) end
return redis.call('HMGET', KEYS[1], 'schema', 'features', 'since')
"""

_ASK: Final = """
local facts = redis.call('HMGET', KEYS[1], 'features', 'since')
local event = ARGV[2] ~= '' and redis.call('HGET', KEYS[2], ARGV[2])
if event and string.sub(event, 1, 16) == ARGV[6] then event = false end
local same, lanes = facts[1] == ARGV[1] and (facts[2] or '') == ARGV[3] and not event, {}
for i = 4, #KEYS do
  local place = 6 + 6 * (i - 4)
  local stands = redis.call('HGET', KEYS[3], ARGV[place + 1]) or ''
  lanes[i - 3] = false
  if (string.match(stands, '%d+$') or '0') ~= ARGV[place + 2] then
    same, lanes[i - 3] = false, {stands, redis.call('ZRANGE', KEYS[i], 0, -1)}
  end
end
if not same then return {facts, event, lanes} end
if ARGV[4] == '' then return 1 end
redis.call('HSETNX', KEYS[1], 'since', ARGV[5])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
for i = 4, #KEYS do
  local place = 6 + 6 * (i - 4)
  if ARGV[place + 3] ~= '' then redis.call('HSET', KEYS[3], ARGV[place + 1], ARGV[place + 3]) end
  if ARGV[place + 4] ~= '' then redis.call('ZADD', KEYS[i], 0, ARGV[place + 4]) end
  if ARGV[place + 5] ~= '' then redis.call('ZREMRANGEBYLEX', KEYS[i], '[' .. ARGV[place + 5], '[' .. ARGV[place + 5] .. '\\255') end
  if ARGV[place + 6] ~= '' then redis.call('ZREMRANGEBYLEX', KEYS[i], '-', ARGV[place + 6]) end
end
return 1
"""
"""Keys: facts, events, lanes, then the rows of every lane. Arguments: the features, the event or nothing, `since` as assumed, what is
kept of the event or nothing, `since` after it, the hash of the version that is known or nothing; for every lane its name, how often it
changed as assumed, how it stands after the event or nothing, the row that is added or nothing, the beginning of the one that leaves or
nothing, the end of the rows that are dropped or nothing. 1 where all stands as assumed."""


_NOTE: Final = """
if redis.call('HGET', KEYS[1], 'features') ~= ARGV[1] then return {redis.call('HGET', KEYS[1], 'features')} end
for i = 2, #ARGV, 3 do
  if (redis.call('HGET', KEYS[2], ARGV[i]) or '') ~= ARGV[i + 1] then return 0 end
end
for i = 2, #ARGV, 3 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2]) end
return 1
"""
"""Keys: facts, notes. Arguments: the features; for every note its name, its text as assumed or nothing, its text from now on."""


class RedisLog(Log):
    """A log in one database of a server, under keys that begin with ``kaskade:``.

    Raises `StoreError` where the server cannot be reached, drops keys by itself, or holds history made for other features.
    """

    def __init__(self, url: str, layout: Layout, since: int | None) -> None:
        redis = _library(url)
        self._layout, self._coding = layout, Coding(layout)
        self._redis = redis
        try:
            pool = redis.ConnectionPool.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=_once(redis))
        except (ValueError, TypeError) as error:
            raise failed(url.partition("@")[2] or url, error) from None
        self.place = _place(pool.connection_kwargs)
        pool.connection_kwargs["decode_responses"] = False
        self._client: Any = redis.Redis.from_pool(pool)
        self._open, self._ask, self._note = (self._client.register_script(text) for text in (_OPEN, _ASK, _NOTE))
        try:
            self._prepare(since)
        except (redis.RedisError, TypeError) as error:
            self._client.close()
            raise failed(self.place, error) from None
        except StoreError:
            self._client.close()
            raise

    def _prepare(self, since: int | None) -> None:
        policy = self._client.info("memory").get("maxmemory_policy", "noeviction")
        if str(policy).startswith("allkeys"):
            raise StoreError(f"the store `{self.place}` drops keys when it is full (maxmemory-policy {policy}); set noeviction")
        facts = self._open([_FACTS], [SCHEMA, self._layout.fingerprint, "" if since is None else since])
        schema, features, there = (None if fact is None else fact.decode() for fact in facts)
        check_features(self.place, schema, str(SCHEMA), features, self._layout.fingerprint, "in another database")
        check_since(self.place, since, None if there is None else int(there))

    def since(self) -> int | None:
        try:
            since = self._client.hget(_FACTS, "since")
        except self._redis.RedisError as error:
            raise self._trouble(error) from None
        return None if since is None else int(since)

    def append(self, event: Event, assumed: Assumed) -> Found | None:
        told = event.told
        kept = told.content + "\n".join((self._coding.answer(told.answer), self._coding.places(told) or "")).encode()
        return self._said(event.key, assumed, kept, event)

    def look(self, key: Key | None, assumed: Assumed) -> Found | None:
        return self._said(key, assumed, b"", None)

    def _said(self, key: Key | None, assumed: Assumed, kept: bytes, event: Event | None) -> Found | None:
        if self._client is None:
            raise StoreError(CLOSED)
        keys = [_FACTS, _EVENTS, _LANES]
        lanes: list[Any] = []
        for lane, number in assumed.lanes.items():
            text = f"{lane[0]}:{name(self._coding.key(lane[1]))}"
            keys.append(f"{_PREFIX}rows:{text}")
            lanes += text, number, *self._changed(None if event is None else event.changes.get(lane))
        since = "" if assumed.since is None else assumed.since
        asked, begin = "" if key is None else name(self._coding.key(key)), "" if event is None else event.since
        try:
            found = self._ask(keys, [self._layout.fingerprint, asked, since, kept, begin, assumed.content or "", *lanes])
        except self._redis.RedisError as error:
            raise self._trouble(error) from None
        return None if found == 1 else self._found(found, assumed)

    def _changed(self, change: Change | None) -> tuple[str | bytes, ...]:
        if change is None:
            return "", "", "", ""
        row, standing = b"", change.standing
        if change.row is not None:
            texts = self._coding.key(change.row.key), self._coding.cells(change.row.cells)
            row = _PLACE.pack(change.row.time - FOREVER, standing.number) + "\n".join(texts).encode()
        leaves = b"" if change.leaves is None else _PLACE.pack(change.leaves.time - FOREVER, change.leaves.number)
        return "{} {} {}".format(*standing), row, leaves, _until(change.gone)

    def _found(self, found: Any, assumed: Assumed) -> Found:
        facts, event, lanes = found
        self._check_there(facts[0])
        told = None if event is None else self._coding.told(event[:16], *event[16:].split(b"\n"))
        changed = {lane: self._kept(lane, *kept) for lane, kept in zip(assumed.lanes, lanes, strict=True) if kept is not None}
        return Found(told, None if facts[1] is None else int(facts[1]), changed)

    def _kept(self, lane: Lane, stands: bytes, rows: list[bytes]) -> Kept:
        return Kept(Standing(*map(int, stands.split())) if stands else NOTHING, [self._entered(lane, row) for row in rows])

    def _entered(self, lane: Lane, row: bytes) -> Entered:
        key, _, cells = row[16:].partition(b"\n")
        return Entered(_TIME.unpack_from(row)[0] + FOREVER, self._coding.event_key(key), self._coding.row(lane[0], cells))

    def notes(self, names: Sequence[str]) -> list[str | None]:
        if self._client is None:
            raise StoreError(CLOSED)
        try:
            found = self._client.hmget(_NOTES, [name(one) for one in names])
        except self._redis.RedisError as error:
            raise self._trouble(error) from None
        return [None if text is None else text.decode() for text in found]

    def note(self, changes: Mapping[str, tuple[str | None, str]]) -> bool:
        if self._client is None:
            raise StoreError(CLOSED)
        texts = [text for one, (before, after) in changes.items() for text in (name(one), before or "", after)]
        try:
            done = self._note([_FACTS, _NOTES], [self._layout.fingerprint, *texts])
        except self._redis.RedisError as error:
            raise self._trouble(error) from None
        if isinstance(done, list):
            self._check_there(done[0] if done else None)
        return bool(done == 1)

    def measured(self) -> Measured:
        try:
            keys, events = self._client.hlen(_LANES), self._client.hlen(_EVENTS)
            lanes = list(self._client.scan_iter(f"{_PREFIX}rows:*"))
            rows = sum(self._client.zcard(lane) for lane in lanes)
            size = sum(self._client.memory_usage(key) or 0 for key in (_FACTS, _EVENTS, _LANES, *lanes))
        except self._redis.RedisError as error:
            raise self._trouble(error) from None
        return Measured(keys, rows, events, size)

    def _trouble(self, error: Exception) -> StoreError:
        redis = self._redis
        # the library cuts the code off some messages, and has classes for those
        passing = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.OutOfMemoryError)
        there = isinstance(error, passing) or str(error).startswith(_PASSING)
        return (down if there else failed)(self.place, error)

    def close(self, failed: bool = False) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _check_there(self, features: bytes | None) -> None:
        if features is None:
            raise StoreDown(f"the store `{self.place}` is down: it has lost its history; open it again, and rebuild it from history")
        if features.decode() != self._layout.fingerprint:
            raise StoreError(f"the store `{self.place}` was made for other features; rebuild it from history in another database")


def _library(url: str) -> Any:
    try:
        # a server's client is loaded where such a store is opened
        import redis
    except ImportError as error:
        raise StoreError("a store in Redis needs a library that is not here: install `kaskade[redis]`") from error
    return redis


def _once(redis: Any) -> Any:
    """Try again once, at once: a connection may be dead though the server lives. Doing either script again does no harm."""
    return redis.retry.Retry(redis.backoff.NoBackoff(), 1)


def _place(options: dict[str, Any]) -> str:
    """The server and database, without user and password."""
    where = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return f"{where}/{options.get('db', 0)}"


# Rows of one lane are members of a sorted set, all with score 0, and so in the order of their bytes: first the time, from the earliest
# there is, then which change of the lane they were. A score could not hold all 64 bits of a time.


def _until(time: int) -> bytes:
    """The end of what is not after `time`; nothing is where that is `FOREVER`."""
    return b"" if time == FOREVER else b"(" + _TIME.pack(time + 1 - FOREVER)
