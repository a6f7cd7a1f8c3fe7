"""Time zones from the pinned database (the `tzdata` package), never the machine's own, so that every machine reads alike.

It knows nothing of records: it turns local time into UTC and back, nothing else.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from engine.values import DAY

_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """Every IANA name of the pinned database.

    >>> "Europe/Berlin" in names(), "Europe/Berlim" in names()
    (True, False)
    """
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The zone of this IANA name. Raises `KeyError` for a name that is not in the database."""
    if name not in names():
        raise KeyError(name)
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local(microseconds: int, name: str) -> dt.datetime | None:
    """The local time of a UTC moment; none where it leaves the calendar's years 1 to 9999.

    >>> local(0, "America/New_York").isoformat()
    '1969-12-31T19:00:00-05:00'
    """
    try:
        return (_EPOCH + dt.timedelta(microseconds=microseconds)).astimezone(zone(name))
    except OverflowError:
        return None


def local_day(microseconds: int, name: str) -> int | None:
    """The local calendar day of a UTC moment, as days since 1970-01-01.

    >>> local_day(0, "America/New_York")
    -1
    """
    moment = local(microseconds, name)
    return None if moment is None else moment.toordinal() - _EPOCH_DAY


def steady(day: int, name: str) -> int | None:
    """How many microseconds the clock is ahead of UTC all through this UTC day, counted from 1970-01-01; none where that changes, or
    leaves the calendar.

    >>> steady(0, "America/New_York") == -5 * 3_600_000_000
    True
    """
    ends = [local(moment * DAY, name) for moment in (day, day + 1)]
    first, second = (None if end is None else end.utcoffset() for end in ends)
    return None if first is None or first != second else first // _MICROSECOND


def utc(naive: dt.datetime, name: str) -> int | None:
    """UTC microseconds of a local time without offset: the earlier where it occurs twice, none where it never occurs.

    >>> utc(dt.datetime(2024, 3, 31, 2, 30), "Europe/Berlin") is None
    True
    """
    moment = naive.replace(tzinfo=zone(name), fold=0)
    try:
        back = moment.astimezone(dt.UTC).astimezone(zone(name))
        micros = (moment.astimezone(dt.UTC) - _EPOCH) // _MICROSECOND
    except OverflowError:
        return None
    return micros if back.replace(tzinfo=None) == naive.replace(fold=0) else None
