"""An event whose key is known: a repeat, a correction, or refused, and in which words. It knows neither stores nor frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.errors import InputError
from engine.values import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.record import Record
    from engine.values import Value


class Version(NamedTuple):
    """One version of an event: a hash of what it says, and its revision; none where the record has no revisions."""

    content: bytes | int
    revision: Value = None


def needed(record: Record) -> tuple[str, ...]:
    """The fields without which an event cannot be remembered: its key, its time, and its revision where there are revisions.

    >>> from engine.record import Record
    >>> needed(Record("r", "1.0.0", "UTC", ("id",), "at", (), revision="version"))
    ('id', 'at', 'version')
    """
    return tuple(dict.fromkeys((*record.key, record.time, *(() if record.revision is None else (record.revision,)))))


def corrects(record: Record, key: Sequence[Value], known: Version, given: Version) -> bool:
    """Whether an event corrects the newest version that is `known` under its key; if not, it is a repeat.

    Raises `InputError` for a lower revision, and for other content that has no higher one.

    >>> from engine.record import Field, Record
    >>> from engine.values import INTEGER
    >>> record = Record("r", "1.0.0", "UTC", ("id",), "at", (Field("version", INTEGER),), revision="version")
    >>> corrects(record, ("T1",), Version(b"paid 3", 1), Version(b"paid 4", 2))
    True
    >>> corrects(record, ("T1",), Version(b"paid 4", 2), Version(b"paid 4", 2))
    False
    >>> corrects(record, ("T1",), Version(b"paid 4", 2), Version(b"paid 3", 1))
    Traceback (most recent call last):
    engine.errors.InputError: an event with `id` = 'T1' was there before with a higher revision: `version` is 1, it was 2
    """
    if record.revision is not None and given.revision > known.revision:
        return True
    if given == known:
        return False
    there = "an event with " + ", ".join(f"`{name}` = {value!r}" for name, value in zip(record.key, key, strict=True)) + " was there before"
    if record.revision is None:
        raise InputError(f"{there} with other content")
    type_ = record.field(record.revision).type
    if given.revision < known.revision:
        now, then = show(given.revision, type_), show(known.revision, type_)
        raise InputError(f"{there} with a higher revision: `{record.revision}` is {now}, it was {then}")
    raise InputError(f"{there} with other content and the same revision: `{record.revision}` is {show(given.revision, type_)}")
