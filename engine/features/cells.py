"""Keys, rows and answers as the text that a log keeps: JSON, compact and without loss."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from engine.features.log import Entered, Left, Place, Told
from engine.features.tallies import RAW
from engine.values import Interval, Missing, Money, Type, Value, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.features.log import Change, Key
    from engine.features.looking import Cell
    from engine.features.spec import Layout, Slot

LONGEST_NAME: Final = 500

_AS_IT_IS: Final = frozenset({"text", "flag", "integer", "number", "percent", "date", "datetime", "duration", "months"})

Decode = "Callable[[Any], Any]"


def _other(value: Any) -> Any:
    """What JSON has no kind for."""
    if isinstance(value, Missing):
        return {"cause": value.cause}
    if isinstance(value, Interval):
        return {"cause": value.cause, "low": value.low, "high": value.high}
    raise TypeError(f"no value: {value!r}")


_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False, default=_other).encode


class Coding:
    """To and from what a log keeps, for one layout.

    >>> from engine.features.spec import Layout
    >>> from engine.record import Field, Record
    >>> from engine.values import TEXT
    >>> coding = Coding(Layout(Record("r", "1.0.0", "UTC", ("id",), "at", (Field("id", TEXT),)), ()))
    >>> coding.key(("ß",)), coding.event_key(coding.key(("ß",)))
    ('["\\\\u00df"]', ('ß',))
    """

    def __init__(self, layout: Layout) -> None:
        record = layout.record
        self._event_key = [decoding(record.field(name).type) for name in record.key]
        self._answer = [decoding(type_) for type_ in layout.types.values()]
        self._revision = None if record.revision is None else decoding(record.field(record.revision).type)
        self._keys = [[decoding(record.field(name).type) for name in history.per] for history in layout.histories]
        self._slots = [[_cell_decoding(slot) for slot in history.slots] for history in layout.histories]

    def key(self, key: Key) -> str:
        return _encode(key)

    def event_key(self, text: str | bytes) -> Key:
        return _decoded(self._event_key, json.loads(text))

    def answer(self, answer: tuple[Value, ...]) -> str:
        """The values of all columns."""
        return _encode(answer)

    def values(self, text: str | bytes) -> tuple[Value, ...]:
        return _decoded(self._answer, json.loads(text))

    def places(self, told: Told) -> str | None:
        """The revision of an event and where its rows stand; none where it cannot be corrected."""
        if self._revision is None:
            return None
        return _encode([told.revision, [[*place.lane, place.time, place.number] for place in told.places]])

    def told(self, content: bytes, answer: str | bytes, places: str | bytes | None) -> Told:
        """What an event was told, from what was kept of it."""
        if self._revision is None or places is None:
            return Told(content, self.values(answer))
        revision, found = json.loads(places)
        return Told(content, self.values(answer), self._revision(revision), tuple(map(self._place, found)))

    def _place(self, found: list[Any]) -> Place:
        history, key, time, number = found
        return Place((history, _decoded(self._keys[history], key)), time, number)

    def cells(self, cells: Sequence[Cell]) -> str:
        """What a row is to each slot of its history."""
        return _encode(_flat(cells))

    def row(self, history: int, text: str | bytes) -> list[Cell]:
        """The cells again."""
        return self._row(history, json.loads(text))

    def _row(self, history: int, parts: list[Any]) -> list[Cell]:
        return [(state, decode(value)) for decode, state, value in zip(self._slots[history], parts[::2], parts[1::2], strict=True)]

    def change(self, key: Key, change: Change) -> bytes:
        """What the event with this key does to a lane: its newest and oldest time then, the row that enters, and the one that leaves."""
        newest, row, leaves = change.standing.newest, change.row, change.leaves
        said: list[Any] = [newest, newest - change.standing.oldest]
        if row is not None:
            said += key, newest - row.time, _flat(row.cells)
        elif leaves is not None:
            said += key, None, None
        if leaves is not None:
            said.append(newest - leaves.time)
        return _encode(said).encode()

    def changes(self, history: int, texts: Iterable[bytes]) -> list[tuple[int, int, list[Left | Entered]]]:
        """Changes again: for each the oldest and the newest time then, and what left and what entered."""
        return [self._change(history, *parts) for parts in json.loads(b"[%b]" % b",".join(texts))]

    def _change(self, history: int, newest: int, age: int, *row: Any) -> tuple[int, int, list[Left | Entered]]:
        steps: list[Left | Entered] = []
        if row:
            key, back, cells, *left = row
            key = _decoded(self._event_key, key)
            steps += (Left(newest - time, key) for time in left)
            if cells is not None:
                steps.append(Entered(newest - back, key, self._row(history, cells)))
        return newest - age, newest, steps


def _flat(cells: Sequence[Cell]) -> list[Any]:
    return [part for state, value in cells for part in (state, _plain(value) if state == RAW else value)]


def _plain(raw: Any) -> Any:
    value, fields = raw
    return value, list(fields.values())


def _decoded(decode: Iterable[Callable[[Any], Any]], values: list[Any]) -> tuple[Value, ...]:
    return tuple(one(value) for one, value in zip(decode, values, strict=True))


def _cell_decoding(slot: Slot) -> Callable[[Any], Any]:
    value = _lacking(_same if slot.type is None else decoding(slot.type))
    if slot.ends:
        value = _lacking(_between(value))
    if slot.looks:
        fields = {name: decoding(type_) for name, type_ in slot.fields().items()}
        return lambda raw: (value(raw[0]), dict(zip(fields, _decoded(fields.values(), raw[1]), strict=True)))
    if slot.share:
        value = _lacking(_pair(value))
    if slot.event is not None:
        return _lacking(_marked(value))
    return value


def _lacking(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else decode(value)


def _marked(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda marked: (marked[0], decode(marked[1]))


def _between(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What can be a key is in JSON as it is."""
    return lambda hop: (hop[0], hop[1], decode(hop[2]))


def _pair(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda pair: (decode(pair[0]), pair[1])


def decoding(type_: Type) -> Callable[[Any], Value]:
    """From JSON's kinds to a value of this type, known or not."""
    exact = _exact(type_)

    def decode(value: Any) -> Value:
        if value.__class__ is not dict:
            return exact(value)
        if "low" not in value:
            return missing(value["cause"])
        low, high = (None if value[end] is None else exact(value[end]) for end in ("low", "high"))
        return Interval(low, high, value["cause"])

    return decode


def _exact(type_: Type) -> Callable[[Any], Value]:
    if type_.kind in _AS_IT_IS or (type_.kind == "money" and type_.by is None):
        return _same
    if type_.kind == "money":
        return lambda pair: Money(*pair)
    assert type_.item is not None
    item = decoding(type_.item)
    return lambda items: tuple(map(item, items))


def _same(value: Any) -> Any:
    return value


def name(text: str) -> str:
    """A key's text as part of a server's key: short, however long that is."""
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[:LONGEST_NAME]}... {hashlib.sha256(text.encode()).hexdigest()}"
