"""What stands behind the features of one key: their values at a moment, and the events in their windows. It leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.arrived import clock
from engine.diagnostics import suggest
from engine.errors import InputError
from engine.features.spec import Layout
from engine.plan import NOW
from engine.record import border
from engine.values import DATETIME, MISSING, Missing, known, plain, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.api import Engine
    from engine.features.sliding import Content
    from engine.features.spec import Measure
    from engine.features.store import Store
    from engine.plan import Row
    from engine.record import Record
    from engine.values import Type, Value

_LIKE: Final = ("2026-03-31", "2026-03-31T14:30:00")
"""How a date and how a datetime are written."""


@dataclass(frozen=True, slots=True)
class Member:
    """An event in a window: its key, time and value (none where rows are only counted), and whether it is surely in."""

    key: tuple[Value, ...]
    time: str
    value: Value
    type: Type | None
    surely: bool

    def __str__(self) -> str:
        value = "" if self.type is None else "  value not known" if self.value is None else f"  {show(self.value, self.type)}"
        return f"{', '.join(map(str, self.key))}  {self.time}{value}{'' if self.surely else '  perhaps'}"

    def to_dict(self) -> dict[str, Any]:
        value = None if self.type is None or self.value is None else plain(self.value, self.type)
        return {"key": list(self.key), "time": self.time, "value": value, "surely": self.surely}


@dataclass(frozen=True, slots=True)
class Looked:
    """A feature at a moment, and the events behind it; of a formula none."""

    feature: str
    value: Value
    type: Type
    window: tuple[Member, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"feature": self.feature, "value": plain(self.value, self.type), "window": [one.to_dict() for one in self.window]}


def look(engine: Engine, store: Store, row: Row, features: Iterable[str] | None = None) -> list[Looked]:
    """The features as they stand for a typed row, which is no event, with the events in their windows; all, or these.

    Those are left out whose key the row lacks.
    """
    layout = Layout(engine.record, engine.plan.history)
    measures = {measure.column: measure for history in layout.histories for measure in history.measures}
    lacking = {measure.column for history in layout.histories if isinstance(history.key(row), Missing) for measure in history.measures}
    answer, found = store.look(row), []
    for column in layout.types if features is None else features:
        if column not in lacking:
            members = () if column not in measures else _members(engine.record, measures[column], store.contents(column, row))
            found.append(Looked(column, answer[column], layout.types[column], members))
    return found


def _members(record: Record, measure: Measure, contents: Sequence[Content]) -> tuple[Member, ...]:
    of = measure.aggregate.of if measure.inner is None else measure.inner.aggregate.of
    type_ = None if of is None else of.type
    time = record.field(record.time).type
    return tuple(Member(tuple(one.key), show(one.time, time), one.value, type_, one.surely) for one in contents)


def row_of(engine: Engine, keys: Mapping[str, str], at: str | None) -> Row:
    """A typed row that has these keys and this time (now), and nothing else. Raises `InputError` naming what does not fit."""
    record, edge = engine.record, border(engine.record)
    histories = Layout(record, engine.plan.history).histories
    allowed = sorted({name for history in histories for name in history.ends or history.per})
    row: Row = {field.name: MISSING for field in record.fields}
    for name, text in keys.items():
        if name not in allowed:
            hint = suggest(name, allowed) or "there are " + ", ".join(f"`{one}`" for one in allowed)
            raise InputError(f"no feature has the key `{name}`; {hint}")
        row[name] = edge.value(record.field(name), [text])
        if not known(row[name]):
            raise InputError(f"`{name}` cannot be read as {record.field(name).type}: `{text}`")
    kind = record.field(record.time)
    row[record.time] = (clock() if kind.type == DATETIME else edge.ahead.day(clock())) if at is None else edge.value(kind, [at])
    if not known(row[record.time]):
        raise InputError(f"`{at}` is no {kind.type}, as the time `{record.time}` is: write it like `{_LIKE[kind.type == DATETIME]}`")
    row[NOW] = row[record.time]
    return {**row, "@date": edge.day(row[NOW])}


def named(engine: Engine, name: str) -> str:
    """The column of a feature, by its whole name or the last part of it. Raises `InputError` where none or several are meant."""
    columns: list[str] = [column for group in engine.plan.history for column in group.types]
    found = [column for column in columns if name == column] or [column for column in columns if column.rpartition(".")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"several features are called `{name}`: " + ", ".join(f"`{one}`" for one in found))
    raise InputError(f"there is no feature `{name}`; " + (suggest(name, columns) or f"there are {len(columns)}"))
