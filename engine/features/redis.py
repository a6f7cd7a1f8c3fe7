"""History kept in Redis or Valkey, for several processes and machines: two round trips an event, one where it only looks or is a repeat.

Nobody waits for a lock: an event is written only if what it read still stands, else it is read again. What survives a restart of the
server is what its own persistence keeps. Not for clusters: an event touches several keys.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from engine.errors import StoreDown, StoreError
from engine.features.asking import LAST, Asked, Span
from engine.features.fetched import Coding, Fetched, Standing, name
from engine.features.judging import OUT
from engine.features.live import LiveStore, Turn, check_features, check_since, down, failed
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.features.live import Entry, Event
    from engine.features.spec import BoundFeatures
    from engine.plan import Row
    from engine.record import Record

SCHEMA: Final = 1
SECONDS: Final = 5
"""How long connecting and one answer may take, unless the address says otherwise (`socket_timeout`, `socket_connect_timeout`)."""
_PREFIX: Final = "kaskade:"
_FACTS, _EVENTS, _LANES = (_PREFIX + part for part in ("facts", "events", "lanes"))
_PASSING: Final = ("OOM", "MISCONF", "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN", "CLUSTERDOWN")
_TRIES: Final = 1000
_PLACE: Final = struct.Struct(">QQ")
_TIME: Final = struct.Struct(">Q")

_OPEN: Final = """
redis.call('HSETNX', KEYS[1], 'schema', ARGV[1])
redis.call('HSETNX', KEYS[1], 'features', ARGV[2])
local facts = redis.call('HMGET', KEYS[1], 'schema', 'features')
if facts[1] == ARGV[1] and facts[2] == ARGV[2] and ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], 'since', ARGV[3]) end
return redis.call('HMGET', KEYS[1], 'schema', 'features', 'since')
"""

_FETCH: Final = """
local facts = redis.call('HMGET', KEYS[1], 'features', 'since')
local event = redis.call('HGET', KEYS[2], ARGV[1])
local lanes, rows, number = {}, {}, tonumber(ARGV[2])
if not event then
  for i = 1, number do lanes[i] = redis.call('HGET', KEYS[3], ARGV[2 + i]) end
  for i = 4, #KEYS do
    local place = 2 + number + 2 * (i - 4)
    rows[i - 3] = redis.call('ZRANGEBYLEX', KEYS[i], ARGV[place + 1], ARGV[place + 2])
  end
end
return {facts, event, lanes, rows}
"""
"""Keys: facts, events, lanes, then one of cells for every span. Arguments: the event, the number of lanes and these, the ends of spans."""

_WRITE: Final = """
local facts = redis.call('HMGET', KEYS[1], 'features', 'since')
if facts[1] ~= ARGV[1] or (facts[2] or '') ~= ARGV[4] or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return 0 end
local last = 6 + 3 * tonumber(ARGV[6])
for i = 7, last, 3 do
  if (redis.call('HGET', KEYS[3], ARGV[i]) or '') ~= ARGV[i + 1] then return 0 end
end
redis.call('HSETNX', KEYS[1], 'since', ARGV[5])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
for i = 7, last, 3 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 2]) end
for i = 4, #KEYS do
  local place = last + 2 * (i - 4)
  if ARGV[place + 1] ~= '' then redis.call('ZADD', KEYS[i], 0, ARGV[place + 1]) end
  if ARGV[place + 2] ~= '' then redis.call('ZREMRANGEBYLEX', KEYS[i], '-', ARGV[place + 2]) end
end
return 1
"""
"""Keys as before. Arguments: the features, the event and what is kept of it, `since` before and after, the number of lanes, of each its
name, how it stood and stands, of each key of cells what is added and the end of what is dropped. 0 where something changed meanwhile."""


class RedisStore(LiveStore):
    """A store in one database of a server, under keys that begin with ``kaskade:``.

    Raises `StoreError` where the server cannot be reached, drops keys by itself, or holds history made for other features.
    """

    def __init__(self, url: str, groups: Sequence[BoundFeatures], record: Record, since: int | None) -> None:
        super().__init__(groups, record)
        redis = _library(url)
        self._coding = Coding(self.layout)
        self._redis = redis
        try:
            pool = redis.ConnectionPool.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=_once(redis))
        except (ValueError, TypeError) as error:
            raise failed(url.partition("@")[2] or url, error) from None
        self.place = _place(pool.connection_kwargs)
        pool.connection_kwargs["decode_responses"] = False
        self._client: Any = redis.Redis.from_pool(pool)
        self._open, self._fetch, self._write = (self._client.register_script(text) for text in (_OPEN, _FETCH, _WRITE))
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
        facts = self._open([_FACTS], [SCHEMA, self.layout.fingerprint, "" if since is None else since])
        schema, features, there = (None if fact is None else fact.decode() for fact in facts)
        check_features(self.place, schema, str(SCHEMA), features, self.layout.fingerprint, "in another database")
        check_since(self.place, since, None if there is None else int(there))

    def atomic(self, asked: Asked, record: bool, work: Callable[[Turn], Row]) -> Row:
        if self._client is None:
            raise StoreError("the store is closed")
        try:
            for _ in range(_TRIES):
                turn = self._read(asked)
                answer = work(turn)
                if turn.written is None or self._keep(turn, turn.written):
                    return answer
        except self._redis.RedisError as error:
            raise self._trouble(error) from None
        raise StoreDown(f"the store `{self.place}` is down: too many others write history of the same key")

    def _trouble(self, error: Exception) -> StoreError:
        redis = self._redis
        # the library cuts the code off some messages, and has classes for those
        passing = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.OutOfMemoryError)
        there = isinstance(error, passing) or str(error).startswith(_PASSING)
        return (down if there else failed)(self.place, error)

    def release(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _read(self, asked: Asked) -> Fetched:
        keys = [_FACTS, _EVENTS, _LANES, *(_cells(span.history, span.slot, name(span.key)) for span in asked.spans)]
        lanes = [_lane(history, name(key)) for history, key in asked.lanes]
        ends = [end for span in asked.spans for end in _ends(span)]
        facts, event, standings, rows = self._fetch(keys, [name(asked.key), len(lanes), *lanes, *ends])
        self._check_there(facts[0])
        return Fetched(
            self._coding,
            None if event is None else (event[:16], event[16:]),
            None if facts[1] is None else int(facts[1]),
            {lane: _standing(found) for lane, found in zip(asked.lanes, standings, strict=False) if found is not None},
            {span[:3]: _parted(found) for span, found in zip(asked.spans, rows, strict=False)},
        )

    def _check_there(self, features: bytes | None) -> None:
        if features is None:
            raise StoreDown(f"the store `{self.place}` is down: it has lost its history; open it again, and rebuild it from history")
        if features.decode() != self.layout.fingerprint:
            raise StoreError(f"the store `{self.place}` was made for other features; rebuild it from history in another database")

    def _keep(self, turn: Fetched, event: Event) -> bool:
        keys: list[str] = [_FACTS, _EVENTS, _LANES]
        lanes: list[str] = []
        cells: list[bytes] = []
        for entry in event.entries:
            before = turn.standings.get((entry.history, entry.key))
            number = 1 if before is None else before.number + 1
            text = name(entry.key)
            lanes += _lane(entry.history, text), _stands(before), _stands(Standing(entry.oldest, entry.newest, number))
            for slot, cell in enumerate(entry.cells):
                added, dropped = self._added(entry, slot, cell, number), _until(entry.gone[slot])
                if added or dropped:
                    keys.append(_cells(entry.history, slot, text))
                    cells += added, dropped
        since = turn.since()
        kept = event.content + self._coding.answer(event.answer).encode()
        facts = [self.layout.fingerprint, name(event.key), kept, "" if since is None else since, event.since]
        return bool(self._write(keys, [*facts, len(event.entries), *lanes, *cells]))

    def _added(self, entry: Entry, slot: int, cell: Any, number: int) -> bytes:
        if cell is OUT:
            return b""
        return _PLACE.pack(entry.time - FOREVER, number) + self._coding.cell(entry.history, slot, cell)


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


def _lane(history: int, key: str) -> str:
    return f"{history}:{key}"


def _cells(history: int, slot: int, key: str) -> str:
    return f"{_PREFIX}cells:{history}:{slot}:{key}"


def _stands(standing: Standing | None) -> str:
    return "" if standing is None else "{} {} {}".format(*standing)


def _standing(text: bytes) -> Standing:
    return Standing(*map(int, text.split()))


# Cells of one slot and key are members of a sorted set, all with score 0, and so in the order of their bytes: first the time, from the
# earliest there is, then the number of the event in its lane. A score could not hold all 64 bits of a time.


def _ends(span: Span) -> tuple[bytes, bytes]:
    return b"[" + _TIME.pack(span.after + 1 - FOREVER), _until(span.upto) if span.upto < LAST else b"+"


def _until(time: int) -> bytes:
    """The end of what is not after `time`; nothing is where that is `FOREVER`."""
    return b"" if time == FOREVER else b"(" + _TIME.pack(time + 1 - FOREVER)


def _parted(members: list[bytes]) -> tuple[list[int], list[bytes]]:
    return [_TIME.unpack_from(member)[0] + FOREVER for member in members], [member[16:] for member in members]
