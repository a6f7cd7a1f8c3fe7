"""A declared record: the shape of one event, and the border at which raw data become typed values.

Trouble in the data never raises here: a value that cannot be read is missing with its cause.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.values import DAY, Type


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
    """The shape of one event. `zone` is an IANA name; `late` is microseconds; `arrival` is ``stream``, ``time``, or a field's name."""

    name: str
    version: str
    zone: str
    key: tuple[str, ...]
    time: str
    fields: tuple[Field, ...]
    late: int = DAY
    arrival: str = "stream"
    title: str | None = None

    def field(self, name: str) -> Field:
        """The field of this name. Raises `KeyError`."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)
