"""A declared record: the shape of one event, and the border at which raw data become typed values.

Trouble in the data never raises here: a value that cannot be read is missing with its cause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from engine import zones
from engine.arrived import Ahead
from engine.errors import InputError
from engine.reading import BEYOND, CLASH, flat_json, parse_json, read_value, shown
from engine.values import DAY, MISSING, Missing, Type, Value, missing

AHEAD = 366 * DAY
"""How far ahead of its arrival the time of an event may lie where the record does not say: a year, as for a payment planned."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `sources` are the names a feed may use for it, besides its own."""

    name: str
    type: Type
    optional: bool = False
    not_negative: bool = False
    personal: bool = False
    title: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """The shape of one event. `zone` is an IANA name; `late` and `ahead` are microseconds; `arrival` is ``stream``, ``time``, or a field.

    `revision` names the field that says which of two events with one key is the newer: a higher one corrects what came before. None says
    that events are never corrected. `ahead` is how far after its arrival the time of an event may lie; what lies further cannot be true.
    """

    name: str
    version: str
    zone: str
    key: tuple[str, ...]
    time: str
    fields: tuple[Field, ...]
    late: int = DAY
    arrival: str = "stream"
    title: str | None = None
    revision: str | None = None
    ahead: int = AHEAD

    def field(self, name: str) -> Field:
        """The field of this name. Raises `KeyError`."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


class Border:
    """Where raw events of one record become typed rows. Made once per record; safe to share between threads.

    `required` are the fields without which an event cannot be ordered: key, time, revision, and the field that gives the order of arrival.
    `plain` are the fields in the order in which they are read: a ``money by FIELD`` comes after its currency.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        types = {field.name: field.type for field in record.fields}
        arrival = (record.arrival,) if record.arrival in types else ()
        revision = () if record.revision is None else (record.revision,)
        self.required = tuple(dict.fromkeys((*record.key, record.time, *revision, *arrival)))
        self.plain = tuple(sorted(record.fields, key=lambda field: field.type.by is not None))
        self.known = frozenset(name for field in record.fields for name in (field.name, *field.sources))
        self.nested = frozenset(name[:dot] for name in self.known for dot in _dots(name))
        self.ahead = Ahead.of(record.time, types, record.zone, record.ahead, record.arrival)

    def read(self, event: Mapping[str, Any]) -> dict[str, Value]:
        """One event, nested or dotted, as a typed row: every field, `now`, and `@date`, the local day of the event.

        Raises `InputError` where key or time cannot be read, or the time lies too far ahead.
        """
        if event.__class__ is not dict and not isinstance(event, Mapping):
            raise InputError("an event is a mapping of field names to values, or the text of a JSON object")
        arrived = self.flatten(event)
        row: dict[str, Value] = {}
        raws: dict[str, list[Any]] = {}
        for field in self.plain:
            names = (field.name, *field.sources) if field.sources else (field.name,)
            found = [arrived[name] for name in names if name in arrived and arrived[name] is not None]
            row[field.name] = self.value(field, found, MISSING if field.type.by is None else row[field.type.by])
            raws[field.name] = found
        for name in self.required:
            if row[name].__class__ is Missing:
                raise InputError(self.problem(name, row[name].cause, raws[name]))
        row["now"] = row[self.record.time]
        row["@date"] = self.day(row["now"])
        far = self.ahead.problem(row)
        if far is not None:
            raise InputError(far)
        return row

    def flatten(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Raw values by dotted name. Only nestings that the record knows are opened."""
        flat: dict[str, Any] = {}
        self._flatten("", event, flat)
        return flat

    def _flatten(self, prefix: str, event: Mapping[str, Any], flat: dict[str, Any]) -> None:
        for key, raw in event.items():
            name = f"{prefix}{key}" if prefix else key
            if raw.__class__ is not str and name in self.nested and isinstance(raw, Mapping):
                self._flatten(name + ".", raw, flat)
            elif flat.get(name) is None:
                flat[name] = raw
            elif raw is not None:
                flat[name] = CLASH

    def value(self, field: Field, raws: Sequence[Any], currency: Value = MISSING) -> Value:
        """The field's value from what arrived under its names: where two of them differ it is damaged."""
        if not raws:
            return MISSING
        values = [read_value(field.type, raw, zone=self.record.zone, not_negative=field.not_negative, currency=currency) for raw in raws]
        return values[0] if all(value == values[0] for value in values[1:]) else missing("damaged")

    def day(self, now: Value) -> int:
        """The local calendar day, since 1970-01-01, of a value of the time field."""
        if self.record.field(self.record.time).type.kind == "date":
            return int(now)
        return zones.local_day(now, self.record.zone) or 0

    def problem(self, name: str, cause: str, raws: Sequence[Any]) -> str:
        """Why an event cannot be decided whose field `name` is missing for this cause."""
        record = self.record
        roles = ("key", name in record.key), ("time", name == record.time), ("revision", name == record.revision)
        role = next((role for role, holds in roles if holds), "order of arrival")
        if cause == "absent":
            return f"{role} `{name}` is missing"
        if any(raw is CLASH for raw in raws):
            return f"{role} `{name}` came both nested and dotted"
        text = " and ".join(f"`{shown(raw)}`" for raw in raws)
        if cause == "overflow":
            return f"{role} `{name}` is out of range" + ("" if BEYOND in raws else f": {text}")
        type_ = record.field(name).type
        return f"{role} `{name}` cannot be read as {type_}{_FORMS.get(type_.kind, '')}: {text}"


_FORMS: Final = {"date": " (like `2026-03-31`)", "datetime": " (like `2026-03-31T14:30:00`)"}
"""How a value of a type is written, for who wrote it otherwise."""


def _dots(name: str) -> list[int]:
    return [at for at, letter in enumerate(name) if letter == "."]


@lru_cache(maxsize=64)
def border(record: Record) -> Border:
    """The record's `Border`, made once."""
    return Border(record)


def read_event(record: Record, event: Mapping[str, Any]) -> dict[str, Value]:
    """One raw event as a typed row, see `Border.read`. Raises `InputError` for one that cannot be ordered.

    >>> time, amount = Field("at", Type("datetime")), Field("amount", Type("money", currency="USD"))
    >>> record = Record("bank/payment", "1.0.0", "America/New_York", ("at",), "at", (time, amount))
    >>> read_event(record, {"at": "1970-01-01T00:00:01Z", "amount": "1.50"})
    {'at': 1000000, 'amount': 150, 'now': 1000000, '@date': -1}
    """
    return border(record).read(event)


MAX_EVENT: Final = 16_000_000
"""How large the JSON of one event may be; far beyond what any payment says."""


def decode_event(data: bytes | str) -> dict[str, Any]:
    """One event from JSON. Raises `InputError` for what is no JSON object, is too large, holds a key twice or is nested too deep.

    >>> decode_event('{"id": "T1", "amount": 9700.0}')
    {'id': 'T1', 'amount': 9700.0}
    """
    if len(data) > MAX_EVENT:
        raise InputError(f"the event is larger than {MAX_EVENT // 1_000_000} MB: an event is one JSON object")
    flat = flat_json(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    if flat is not None:
        return flat
    try:
        event = parse_json(data if isinstance(data, str) else data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"the event is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}") from None
    except ValueError as error:
        raise InputError(f"the event cannot be read: {error}") from None
    if not isinstance(event, dict):
        raise InputError("the event is no JSON object")
    return event
