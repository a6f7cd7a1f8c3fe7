"""Moments at which keys are looked at without an event: when they are, of which keys, and what a row is that stands for one.

It knows the calendar and the keys of features, and nothing of frames.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine import zones
from engine.diagnostics import suggest
from engine.errors import InputError
from engine.features.spec import Layout
from engine.features.windows import FOREVER, Clock, first_day, shifted
from engine.plan import DAY_OF_EVENT, NOW, TICK, Plan, Row
from engine.record import border
from engine.values import MISSING, Missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

PERIODS: Final = ("hour", "day", "week", "month")
_HOUR: Final = 3_600_000_000


def next_tick(clock: Clock, period: str, time: int) -> int | None:
    """The first moment after `time` at which an hour, a local day, a week (Monday) or a month begins; none after the calendar's years.

    An hour begins where the local clock shows a full hour; a day without midnight begins with its first moment.

    >>> next_tick(Clock("UTC", True), "month", 45), next_tick(Clock("Europe/Berlin", False), "day", 0)
    (59, 82800000000)
    """
    if period == "hour":
        return _next_hour(clock, time)
    day = clock.day(time)
    first = FOREVER if day is None else first_day(day, period)
    found = FOREVER
    while first > FOREVER and found <= time:
        first = shifted(first, period, -1)
        found = FOREVER if first == FOREVER else clock.begin(first)
        if found == FOREVER:
            return None
    return found if found > time else None


def _next_hour(clock: Clock, time: int) -> int | None:
    while True:
        local = zones.local(time, clock.zone)
        if local is None:
            return None
        time += _HOUR - ((local.minute * 60 + local.second) * 1_000_000 + local.microsecond)
        local = zones.local(time, clock.zone)
        if local is None or (local.minute, local.second, local.microsecond) == (0, 0, 0):
            return None if local is None else time


@dataclass(frozen=True, slots=True)
class Every:
    """What was asked for: a tick at the beginning of every `period` for each value of the fields `per`, up to the moment `until`, or as
    long as events come."""

    period: str
    per: tuple[str, ...]
    until: int | None = None

    @classmethod
    def of(cls, plan: Plan, period: str, per: Sequence[str], until: str | None = None) -> Every:
        """Raises `InputError` for fields that are no key of a feature, for hours of a record that counts days, and for what is no day."""
        layout = Layout(plan.record, tuple(plan.history))
        if period == "hour" and layout.dates:
            raise InputError(f"`{plan.record.time}` of `{plan.record.name}` counts days: a tick is a day, week or month")
        return cls(period, key_fields(plan, per), None if until is None else _last(layout.clock, until))


def key_fields(plan: Plan, given: Sequence[str]) -> tuple[str, ...]:
    """These fields in the order of the features that have them as their key. Raises `InputError` where there are none."""
    fields = [field.name for field in plan.record.fields]
    for name in given:
        if name not in fields:
            near = suggest(name, fields)
            raise InputError(f"`{plan.record.name}` has no field `{name}`" + (f"; {near}" if near else ""))
    keys = list(dict.fromkeys(history.per for history in Layout(plan.record, tuple(plan.history)).histories if not history.network))
    found = next((per for per in keys if sorted(per) == sorted(given)), None)
    if found is None:
        there = " or ".join("`" + ", ".join(per) + "`" for per in keys)
        named = f"they are per {there}" if keys else "no feature of the cascade has a key"
        raise InputError(f"no feature is per `{', '.join(given)}`; {named}")
    return found


def _last(clock: Clock, until: str) -> int:
    try:
        day = dt.date.fromisoformat(until)
    except ValueError:
        raise InputError(f"`{until}` is no day until which ticks go on; write it as `2026-01-31`") from None
    return clock.begin((day - dt.date(1970, 1, 1)).days)


def tick_row(plan: Plan, keys: Mapping[str, Any], at: Any) -> Row:
    """A tick as a typed row: its time and its keys, everything else absent. Raises `InputError` for what cannot be read, or is no key."""
    record, edge = plan.record, border(plan.record)
    key_fields(plan, tuple(keys))
    row: Row = {**dict.fromkeys((field.name for field in record.fields), MISSING), TICK: True}
    for name, raw in {**keys, record.time: at}.items():
        row[name] = edge.value(record.field(name), [raw])
        if isinstance(row[name], Missing):
            raise InputError(edge.problem(name, row[name].cause, [raw]).replace("order of arrival", "key"))
    row[NOW] = row[record.time]
    row[DAY_OF_EVENT] = edge.day(row[NOW])
    return row
