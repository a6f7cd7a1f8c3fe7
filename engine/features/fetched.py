"""One event's view of rows that a server keeps, fetched beforehand, and the bytes that rows are kept as. It knows no server."""

from __future__ import annotations

import hashlib
import json
import struct
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.features.cells import CellCodec, from_json, to_json
from engine.features.live import Event, Key, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.features.asking import Lane
    from engine.features.spec import Layout
    from engine.plan import Row

LONGEST_NAME: Final = 500
_FLOAT: Final = struct.Struct(">d")


class Standing(NamedTuple):
    """How one lane stands: the oldest and the newest time that entered it, and how many events did."""

    oldest: int
    newest: int
    number: int


class Coding:
    """To and from what a server holds for one layout."""

    def __init__(self, layout: Layout) -> None:
        self._types = layout.types
        self._codecs = [[CellCodec(slot) for slot in history.slots] for history in layout.histories]

    def cell(self, history: int, slot: int, cell: Any) -> bytes:
        """A cell, which is not ``OUT``, as bytes."""
        return packed(*self._codecs[history][slot].encode(cell))

    def cells(self, history: int, slot: int, kept: Sequence[bytes]) -> list[Any]:
        decode = self._codecs[history][slot].decode
        return [decode(*unpacked(raw)) for raw in kept]

    def answer(self, values: Row) -> str:
        return json.dumps([to_json(value) for value in values.values()])

    def row(self, answer: str | bytes) -> Row:
        values = zip(self._types.items(), json.loads(answer), strict=True)
        return {column: from_json(value, type_) for (column, type_), value in values}


Rows = tuple["Sequence[int]", "Sequence[bytes]"]
"""Times and packed cells, by time and arrival."""


class Fetched(Turn):
    """What was fetched for one event. `write` only notes what is to be kept: `written`."""

    def __init__(
        self,
        coding: Coding,
        event: tuple[bytes, str | bytes] | None,
        since: int | None,
        standings: Mapping[Lane, Standing],
        rows: Mapping[tuple[int, int, Key], Rows],
    ) -> None:
        self._coding, self._event, self._since, self.standings, self._raw = coding, event, since, standings, rows
        self._rows: dict[tuple[int, int, Key], tuple[Sequence[int], list[Any]]] = {}
        self.written: Event | None = None

    def seen(self, key: Key) -> tuple[bytes, Row] | None:
        return None if self._event is None else (self._event[0], self._coding.row(self._event[1]))

    def since(self) -> int | None:
        return self._since

    def known(self, history: int, key: Key) -> tuple[int, int] | None:
        standing = self.standings.get((history, key))
        return None if standing is None else (standing.oldest, standing.newest)

    def rows(self, history: int, slot: int, key: Key, after: int, upto: int) -> tuple[list[int], list[Any]]:
        place = history, slot, key
        if place not in self._rows:
            times, kept = self._raw.get(place, ((), ()))
            self._rows[place] = times, self._coding.cells(history, slot, kept)
        times, cells = self._rows[place]
        part = slice(bisect_right(times, after), bisect_right(times, upto))
        return list(times[part]), cells[part]

    def write(self, event: Event) -> None:
        self.written = event


def name(key: Key) -> str:
    """A key as a server's key: plain ASCII, and short whatever the key is.

    >>> name(("ß", 1))
    "('\\\\xdf', 1)"
    """
    text = ascii(key)
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[:LONGEST_NAME]}... {hashlib.sha256(text.encode()).hexdigest()}"


def packed(state: int, value: Any) -> bytes:
    """A cell's state and value as bytes, without loss.

    >>> packed(0, 12), unpacked(packed(1, None)), unpacked(packed(0, 0.1))
    (b'\\x00i12', (1, None), (0, 0.1))
    """
    return bytes((state,)) + _body(value)


def _body(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, float):
        return b"f" + _FLOAT.pack(value)
    if isinstance(value, int):
        return b"i%d" % value
    return b"s" + value.encode() if isinstance(value, str) else b"b" + value


def unpacked(raw: bytes) -> tuple[int, Any]:
    """The state and value again."""
    tag, body = raw[1:2], raw[2:]
    if tag == b"i":
        return raw[0], int(body)
    if tag == b"f":
        return raw[0], _FLOAT.unpack(body)[0]
    if tag == b"s":
        return raw[0], body.decode()
    return raw[0], body if tag == b"b" else None
