"""Typed events of a ledger, for a live store that is built anew for the features as they stand now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.ledger.log import check_cascade
from engine.plan import NOW
from engine.record import border
from engine.values import MISSING, known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import Engine
    from engine.ledger.log import Entry, Ledger
    from engine.plan import Row
    from engine.record import Record

_Versions = tuple[tuple[str, str, str, str], ...]


def events(engine: Engine, ledger: Ledger) -> Iterator[tuple[Entry, Row | None]]:
    """Every entry that a cascade of this name decided, with its typed event; none where that can no longer be ordered.

    An event that was recorded under the record as it stands is taken as it was read then; else it is read again from what had arrived.
    Raises `InputError` at the end of a ledger that has decisions of other cascades alone.
    """
    settings: dict[str, _Versions] = {}
    name, record = _named(engine.versions, "cascade"), _named(engine.versions, "record", engine.record.name, whole=True)
    whole = engine.record == engine.linked.plan.record  # where several cascades follow one another, it has the fields of all
    for entry in ledger.entries():
        versions = settings.setdefault(entry.setting, ()) or ledger.setting(entry.setting).versions
        settings[entry.setting] = versions
        if _named(versions, "cascade") != name or entry.is_tick:
            continue
        same = whole and _named(versions, "record", engine.record.name, whole=True) == record
        yield entry, _kept(engine.record, entry) if same else _read(engine.record, entry.event)
    check_cascade(name, {_named(versions, "cascade") for versions in settings.values()})


def _named(versions: _Versions, kind: str, name: str | None = None, *, whole: bool = False) -> Any:
    """The name, or all that is said, of the first component of a kind."""
    return next((one if whole else one[1] for one in versions if one[0] == kind and name in (None, one[1])), None)


def _kept(record: Record, entry: Entry) -> Row | None:
    return _whole(record, {field.name: entry.base.get(field.name, MISSING) for field in record.fields})


def _read(record: Record, event: str) -> Row | None:
    """The event read from its text, whenever it happened: it has been decided."""
    edge, row = border(record), dict[str, Any]()
    arrived = edge.flatten(_untagged(json.loads(event)))
    for field in edge.plain:
        found = [arrived[name] for name in (field.name, *field.sources) if arrived.get(name) is not None]
        row[field.name] = edge.value(field, found, MISSING if field.type.by is None else row[field.type.by])
    return _whole(record, row)


def _whole(record: Record, row: Row) -> Row | None:
    edge = border(record)
    if not all(known(row[name]) for name in edge.required):
        return None
    return {**row, NOW: row[record.time], "@date": edge.day(row[record.time])}


def _untagged(data: Any) -> Any:
    """What the ledger tagged with its kind because JSON lacks it, as the text that reads the same.

    >>> _untagged({"amount": {"@decimal": "9.70"}})
    {'amount': '9.70'}
    """
    if isinstance(data, list):
        return [_untagged(item) for item in data]
    if not isinstance(data, dict):
        return data
    if len(data) == 1 and next(iter(data)).startswith("@"):
        return next(iter(data.values()))
    return {name: _untagged(value) for name, value in data.items()}
