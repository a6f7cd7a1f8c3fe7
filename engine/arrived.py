"""Whether an event's time lies further ahead of its arrival than can be true. Who else needs the clock takes it from here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import zones
from engine.values import DATETIME, DAY, DURATION, SECOND, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.values import Type, Value


def clock() -> int:
    """Now, in UTC microseconds."""
    return time.time_ns() // 1_000


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far ahead the times of a record's events may lie. Made once per record.

    An event arrived when the record's field of `arrival` says so, where that is a date or a datetime (`field`), else now. Where that field
    or the event's time is a date, local days are compared (`days`), else microseconds; `most` is in this unit.
    """

    time: str
    types: Mapping[str, Type]
    zone: str
    length: int
    field: str | None
    days: bool
    most: int

    @classmethod
    def of(cls, time: str, types: Mapping[str, Type], zone: str, length: int, arrival: str) -> Ahead:
        """That of a record whose fields have these types; `length` is how far ahead its `time` may lie."""
        field = arrival if arrival in types and types[arrival].kind in ("date", "datetime") else None
        days = "date" in (types[time].kind, "" if field is None else types[field].kind)
        return cls(time, types, zone, length, field, days, -(-length // DAY) if days else length)

    @property
    def local(self) -> bool:
        """Whether the field holds moments of which the local day is compared."""
        return self.days and self.field is not None and self.types[self.field].kind == "datetime"

    def now(self) -> int:
        """The clock, in the unit that is compared."""
        return self.day(clock()) if self.days else clock()

    def day(self, moment: int) -> int:
        """The local day of a moment."""
        return zones.local_day(moment, self.zone) or 0

    def problem(self, row: Mapping[str, Value]) -> str | None:
        """Why the event in a typed row, which holds `now` and `@date`, is refused; none where it is not."""
        arrived = None if self.field is None else row[self.field]
        since = self.now() if arrived is None else self.day(arrived) if self.local else arrived
        return self.words(row["now"], arrived) if row["@date" if self.days else "now"] - since > self.most else None

    def words(self, time: Value, arrived: Value) -> str:
        """What is said of an event with this time that is refused; it `arrived` when its field says so, or now."""
        if self.field is None:
            then = f"now, {show(clock() // SECOND * SECOND, DATETIME)}"
        else:
            then = f"`{self.field}`, {show(arrived, self.types[self.field])}"
        text = show(time, self.types[self.time])
        return f"time `{self.time}` is too far ahead: {text} is more than {show(self.length, DURATION)} after {then}"
