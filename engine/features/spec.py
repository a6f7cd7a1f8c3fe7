"""A feature set bound to an event's columns, and the layout of the histories its features need.

It says what is remembered, per which key and how far back. It must not know how a store or a frame keeps it.
"""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from engine import zones
from engine.backends.rules import ComputeStep
from engine.lang import ir
from engine.lang.judge import never_negative
from engine.values import DAY, Missing, Type, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.plan import Row
    from engine.record import Record

FOREVER: Final = -(2**63)
"""A window that starts here reaches before everything."""

_NAMES_ONLY: Final = {ir.Const: "name", ir.In: "name"}


@dataclass(frozen=True)
class BoundFeatures:
    """A feature set as it stands in a plan: its columns are named with `prefix` (``profile.``), and `renames` gives, for a field it
    reads, the event's column under another name.

    >>> from engine.record import Record
    >>> week = ir.Window("trailing", 7, "days")
    >>> count = ir.Aggregate("count", None, week, ("account",), None)
    >>> wanted = ir.FeatureSet("f", "1.0.0", ir.Use("record", "r", None, "r"), (), (ir.Feature("n", Type("integer"), count),))
    >>> day = Record("r", "1.0.0", "UTC", ("id",), "day", ())
    >>> bound = BoundFeatures(wanted, "profile.", {"account": "iban"}, day)
    >>> bound.reads, list(bound.types)
    (('iban',), ['profile.n'])
    """

    features: ir.FeatureSet
    prefix: str
    renames: Mapping[str, str]
    record: Record

    @cached_property
    def bound(self) -> tuple[ir.Feature, ...]:
        """The features named by column, reading columns."""
        columns = {feature.name: f"{self.prefix}{feature.name}" for feature in self.features.features}
        names = {**self.renames, **columns}
        return tuple(replace(f, name=columns[f.name], value=self._held(_renamed(f.value, names))) for f in self.features.features)

    def _held(self, value: Any) -> Any:
        """An aggregate under this record: what its own record declares `not negative` may have a sign here."""
        if not isinstance(value, ir.Aggregate) or value.of is None or not value.bounded:
            return value
        return replace(value, bounded=never_negative(value.of, {field.name for field in self.record.fields if field.not_negative}))

    @cached_property
    def types(self) -> Mapping[str, Type]:
        """Every column it writes, in order."""
        return {feature.name: feature.type for feature in self.bound}

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The event's columns it needs."""
        return tuple(sorted(set().union(*(_reads(feature.value) for feature in self.bound)) - set(self.types)))

    @cached_property
    def fingerprint(self) -> str:
        """The hash of what it means: two with the same fingerprint remember the same and say the same."""
        return _digest([[feature.name, canonical(feature.type), canonical(feature.value)] for feature in self.bound])


def _renamed(value: ir.Aggregate | ir.Expr, names: Mapping[str, str]) -> Any:
    if not isinstance(value, ir.Aggregate):
        return ir.transform(value, lambda node: _renamed_node(node, names))
    of = None if value.of is None else _renamed(value.of, names)
    where = None if value.where is None else _renamed(value.where, names)
    return replace(value, of=of, where=where, per=tuple(names.get(name, name) for name in value.per))


def _renamed_node(node: ir.Expr, names: Mapping[str, str]) -> ir.Expr:
    if node.type.by is not None and node.type.by in names:
        node = replace(node, type=replace(node.type, by=names[node.type.by]))
    return replace(node, name=names[node.name]) if isinstance(node, ir.Read) and node.name in names else node


def _reads(value: ir.Aggregate | ir.Expr) -> set[str]:
    if not isinstance(value, ir.Aggregate):
        return ir.reads(value)
    parts = [part for part in (value.of, value.where) if part is not None]
    currency = {value.of.type.by} if value.of is not None and value.of.type.by else set()
    return set(value.per).union(currency, *(ir.reads(part) for part in parts))


# --- fingerprints ----------------------------------------------------------------------------------------------------


def canonical(thing: Any) -> Any:
    """What `thing` means as plain lists, the same on every machine and in every process; places and names of constants left out."""
    if isinstance(thing, Missing):
        return ["missing", thing.cause]
    if is_dataclass(thing):
        skipped = {"span", "title", _NAMES_ONLY.get(type(thing))}
        return [type(thing).__name__, *(canonical(getattr(thing, part.name)) for part in fields(thing) if part.name not in skipped)]
    if isinstance(thing, frozenset):
        return ["set", *sorted((canonical(item) for item in thing), key=json.dumps)]
    if isinstance(thing, tuple | list):
        return [canonical(item) for item in thing]
    return thing


def _digest(meaning: Any) -> str:
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()


# --- windows ---------------------------------------------------------------------------------------------------------


def window_start(window: ir.Window, zone: str, dates: bool) -> Callable[[int], int]:
    """The function from an event's time to the last moment *before* its window: the window is after that, up to and with the event.

    Times are days where the record's time is a date (`dates`), else UTC microseconds. Months go back on the calendar of `zone`, to
    the same time of day; where that day does not exist, to the last of its month.

    >>> from engine.values import date_of
    >>> march = (dt.date(2024, 3, 31) - dt.date(1970, 1, 1)).days
    >>> str(date_of(window_start(ir.Window("trailing", 1, "months"), "UTC", True)(march)))
    '2024-02-29'
    """
    length = window.length
    if window.unit != "months":
        return lambda time: time - length
    if dates:
        return lambda time: _months_before_day(time, length)
    return lambda time: _months_before(time, length, zone)


def _months_before_day(day: int, months: int) -> int:
    try:
        return (_back(dt.date(1970, 1, 1) + dt.timedelta(days=day), months) - dt.date(1970, 1, 1)).days
    except (OverflowError, ValueError):
        return FOREVER


def _months_before(time: int, months: int, zone: str) -> int:
    local = zones.local(time, zone)
    if local is None:
        return FOREVER
    try:
        # a local time that occurs twice is the earlier; one that never occurs counts with the offset before the gap
        start = dt.datetime.combine(_back(local.date(), months), local.time(), tzinfo=zones.zone(zone))
        return (start.astimezone(dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    except (OverflowError, ValueError):
        return FOREVER


def _back(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        raise ValueError
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _reach(window: ir.Window, dates: bool) -> int:
    """At least the longest distance from an event's time to the start of its window; two days more than 31 a month for changes of zone."""
    if window.unit != "months":
        return window.length
    return (31 * window.length + 2) * (1 if dates else DAY)


# --- layout ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slot:
    """What one history keeps of a row: whether `where` holds, and the value of `of`; judged once, when the row is observed."""

    where: ir.Expr | None
    of: ir.Expr | None

    @property
    def type(self) -> Type | None:
        """The type of what is kept; none where rows are only counted."""
        return None if self.of is None else self.of.type


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate: which slot of its history it reads, and after which moment its window begins."""

    column: str
    slot: int
    aggregate: ir.Aggregate
    start: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class History:
    """The rows kept for one combination of key fields. `reaches` says for each slot how far back its longest window goes."""

    per: tuple[str, ...]
    slots: tuple[Slot, ...]
    reaches: tuple[int, ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Layout:
    """All histories that some feature sets need under one record; `late` is in the unit of the record's time."""

    record: Record
    groups: tuple[BoundFeatures, ...]
    histories: tuple[History, ...] = field(init=False)
    formulas: tuple[ir.Feature, ...] = field(init=False)

    def __post_init__(self) -> None:
        # one order whatever the order of steps in a cascade: a store counts histories and slots
        object.__setattr__(self, "groups", tuple(sorted(self.groups, key=lambda group: group.prefix)))
        features = [feature for group in self.groups for feature in group.bound]
        pers = dict.fromkeys(f.value.per for f in features if isinstance(f.value, ir.Aggregate))
        object.__setattr__(self, "histories", tuple(self._history(per, features) for per in pers))
        object.__setattr__(self, "formulas", tuple(f for f in features if not isinstance(f.value, ir.Aggregate)))

    def _history(self, per: tuple[str, ...], features: Iterable[ir.Feature]) -> History:
        slots: dict[Slot, int] = {}
        measures = []
        for feature in features:
            if isinstance(feature.value, ir.Aggregate) and feature.value.per == per:
                slot = slots.setdefault(Slot(feature.value.where, feature.value.of), len(slots))
                start = window_start(feature.value.window, self.record.zone, self.dates)
                measures.append(Measure(feature.name, slot, feature.value, start))
        reaches = (max(_reach(m.aggregate.window, self.dates) for m in measures if m.slot == slot) for slot in slots.values())
        return History(per, tuple(slots), tuple(reaches), tuple(measures))

    @property
    def time(self) -> Type:
        return self.record.field(self.record.time).type

    @property
    def dates(self) -> bool:
        """Whether time counts days and not microseconds."""
        return self.time.kind == "date"

    @cached_property
    def late(self) -> int:
        return self.record.late // DAY if self.dates else self.record.late

    @cached_property
    def types(self) -> dict[str, Type]:
        """Every column the features write, in order."""
        return {column: type_ for group in self.groups for column, type_ in group.types.items()}

    @cached_property
    def fingerprint(self) -> str:
        """What a store made for this layout means; a store with another fingerprint must not be read."""
        record = self.record
        facts = [record.name, record.zone, list(record.key), record.time, canonical(self.time), record.late]
        return _digest([facts, [group.fingerprint for group in self.groups]])


def unavailable(groups: Iterable[BoundFeatures]) -> Row:
    """Every feature as it is where there is no store."""
    return {column: missing("unavailable") for group in groups for column in group.types}


def formula_steps(layout: Layout) -> list[ComputeStep]:
    """The features that are expressions over others, each as a step of its own, in order."""
    steps = []
    for feature in layout.formulas:
        assert not isinstance(feature.value, ir.Aggregate)
        steps.append(ComputeStep(feature.name, {feature.name: feature.value}, {feature.name: feature.type}))
    return steps
