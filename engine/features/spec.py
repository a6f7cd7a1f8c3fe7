"""A feature set bound to an event's columns, and the layout of the histories its features need.

It says what is remembered, per which key and how far back. It must not know how a store or a frame keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.backends.rules import ComputeStep
from engine.features.windows import FOREVER, Clock, Reach
from engine.lang import ir
from engine.lang.judge import counts_up, never_negative
from engine.lang.meaning import canonical, digest
from engine.plan import DAY_OF_EVENT, NOW
from engine.values import DATE, DAY, DURATION, INTEGER, NUMBER, Missing, Type, Value, first, known, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine.plan import Row
    from engine.record import Record

__all__ = ["FOREVER", "BoundFeatures", "History", "Layout", "Measure", "Slot", "formula_steps", "unavailable"]

THIS: Final = "this."
"""What stands before a field of the event that looks, where a condition compares rows of history with it."""


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
        if not isinstance(value, ir.Aggregate):
            return value
        declared = {field.name for field in self.record.fields if field.not_negative}
        inner = self._held(value.inner)
        signless = counts_up(inner, declared) if inner is not None else value.of is not None and never_negative(value.of, declared)
        return replace(value, inner=inner, bounded=value.bounded and signless)

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
        return digest([[feature.name, canonical(feature.type), canonical(feature.value)] for feature in self.bound])


def changed(value: ir.Aggregate | ir.Expr | None, change: Callable[[ir.Expr], ir.Expr]) -> Any:
    """The value of a feature with `change` applied to every node of its expressions."""
    if value is None:
        return None
    if not isinstance(value, ir.Aggregate):
        return ir.transform(value, change)
    parts = {name: changed(getattr(value, name), change) for name in ("of", "where", "among", "inner")}
    return replace(value, window=replace(value.window, event=changed(value.window.event, change)), **parts)


def _renamed(value: ir.Aggregate | ir.Expr, names: Mapping[str, str]) -> Any:
    return _rekeyed(changed(value, lambda node: _renamed_node(node, names)), names)


def _rekeyed(value: ir.Aggregate | ir.Expr | None, names: Mapping[str, str]) -> Any:
    """The fields that an aggregate names, under their other names."""
    if not isinstance(value, ir.Aggregate):
        return value
    window = value.window
    return replace(
        value,
        inner=_rekeyed(value.inner, names),
        per=tuple(names.get(name, name) for name in value.per),
        matched=tuple(names.get(name, name) for name in value.matched),
        window=replace(window, field=window.field and names.get(window.field, window.field)),
    )


def _renamed_node(node: ir.Expr, names: Mapping[str, str]) -> ir.Expr:
    if node.type.by is not None and node.type.by in names:
        node = replace(node, type=replace(node.type, by=names[node.type.by]))
    if not isinstance(node, ir.Read):
        return node
    this = THIS if node.name.startswith(THIS) else ""
    name = node.name.removeprefix(this)
    return replace(node, name=f"{this}{names[name]}") if name in names else node


def _reads(value: ir.Aggregate | ir.Expr) -> set[str]:
    if not isinstance(value, ir.Aggregate):
        return ir.reads(value)
    found = {*value.per, *value.matched} | ({value.window.field} if value.window.field else set())
    for part in (value.of, value.where, value.among, value.window.event):
        if part is not None:
            found |= {name.removeprefix(THIS) for name in ir.reads(part)}
    if value.of is not None and value.of.type.by:
        found.add(value.of.type.by)
    return found if value.inner is None else found | _reads(value.inner)


def asked(aggregate: ir.Aggregate) -> tuple[str, ...]:
    """The fields of the event that looks without which it cannot see: its key, the time its window begins at, what rows are compared with.

    >>> since = ir.Window("since", field="opened")
    >>> asked(ir.Aggregate("count", None, since, ("account",), ir.Compare("=", ir.Read("payee"), ir.Read("this.payee"))))
    ('account', 'opened', 'payee')
    """
    conditions = (aggregate.where, aggregate.among, aggregate.window.event)
    names = sorted(name for condition in conditions if condition is not None for name in ir.reads(condition))
    compared = [name.removeprefix(THIS) for name in names if name.startswith(THIS)]
    field = () if aggregate.window.field is None else (aggregate.window.field,)
    inner = () if aggregate.inner is None else asked(aggregate.inner)
    return tuple(dict.fromkeys((*aggregate.per, *field, *compared, *inner)))


# --- layout ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slot:
    """What one history keeps of a row: whether `where` holds, the value of `of`, for a share whether the row is in the `part`, for windows
    that begin with an event whether it is that `event`, and in a network the accounts in its `ends`. Judged once, when the row is
    observed; only what asks for the event that looks waits for it (`looks`): then the slot keeps the fields that the conditions read."""

    where: ir.Expr | None
    of: ir.Expr | None
    part: ir.Expr | None = None
    event: ir.Expr | None = None
    share: bool = False
    ends: tuple[str, ...] = ()

    @property
    def type(self) -> Type | None:
        """The type of what is kept; none where rows are only counted."""
        return None if self.of is None else self.of.type

    @property
    def looks(self) -> bool:
        return any(name.startswith(THIS) for condition in self._conditions() for name in ir.reads(condition))

    @property
    def always(self) -> bool:
        """Whether every row is kept, and surely in."""
        return self.where is None and self.event is None and not self.looks

    def fields(self, this: bool = False) -> dict[str, Type]:
        """What the conditions read, with types: of the row, or of the event that looks (`this`), there without the word."""
        reads = [node for condition in self._conditions() for node in ir.walk(condition) if isinstance(node, ir.Read)]
        wanted = sorted((node for node in reads if node.name.startswith(THIS) == this), key=lambda node: node.name)
        return {node.name.removeprefix(THIS): node.type for node in wanted}

    def compared(self) -> frozenset[str]:
        """What a network reads of the event that looks, beside what conditions do: its accounts and its amount."""
        amount = frozenset[str]() if self.of is None else ir.reads(self.of)
        return frozenset(self.ends) | amount if self.ends else frozenset()

    def _conditions(self) -> list[ir.Expr]:
        return [condition for condition in (self.where, self.part, self.event) if condition is not None]


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate: which slot of its history it reads, how far its window reaches, and the type of the values it aggregates. Measures of
    one `sight` see the same rows.

    With `inner`, these are what `inner` says of each period.
    """

    column: str
    slot: int
    aggregate: ir.Aggregate
    reach: Reach
    of: Type
    inner: Measure | None = None
    sight: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """The rows kept for one combination of key fields. An event looks under its values of `per`; a row is kept under that key too, or,
    with `matched`, under every value it bears in one of those columns. `reaches` gives for each slot those of its windows.

    A network is one history of all accounts, kept under the key ``()``: of what has both `ends` of a hop. It cannot be parted by account.
    """

    per: tuple[str, ...]
    matched: tuple[str, ...]
    slots: tuple[Slot, ...]
    reaches: tuple[tuple[Reach, ...], ...]
    measures: tuple[Measure, ...]
    ends: tuple[str, ...] = ()

    @property
    def network(self) -> bool:
        return bool(self.ends)

    def key(self, row: Row) -> tuple[Value, ...] | Missing:
        """The key an event looks under, or the missing value that stands in its place."""
        key = tuple(row[name] for name in self.ends or self.per)
        if not all(map(known, key)):
            return first(key)
        return () if self.ends else key

    def keys(self, row: Row) -> Iterator[tuple[Value, ...]]:
        """The keys under which a row is kept, each once."""
        if self.matched:
            yield from dict.fromkeys((row[name],) for name in self.matched if known(row[name]))
        elif not isinstance(key := self.key(row), Missing):
            yield key


def value_type(aggregate: ir.Aggregate) -> Type:
    """The type of what an aggregate says.

    >>> amount = ir.Read("amount", type=Type("money", currency="USD"))
    >>> str(value_type(ir.Aggregate("mean", amount, ir.Window("trailing", 7), ("account",), None)))
    'money USD'
    """
    of = of_type(aggregate)
    if aggregate.function in ("count", "distinct", "most repeated", "cycles", "middlemen"):
        return INTEGER
    if aggregate.function == "time since last":
        return DURATION
    if aggregate.function == "share" or (aggregate.function in ("mean", "stddev") and of.kind == "integer"):
        return NUMBER
    return replace(of, scale=1, interval=False)


def of_type(aggregate: ir.Aggregate) -> Type:
    """The type of the values an aggregate takes; rows that are only counted count as integers."""
    if aggregate.inner is not None:
        return value_type(aggregate.inner)
    return INTEGER if aggregate.of is None else aggregate.of.type


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
        kinds = dict.fromkeys(_kind(f.value) for f in features if isinstance(f.value, ir.Aggregate))
        object.__setattr__(self, "histories", tuple(self._history(kind, features) for kind in kinds))
        object.__setattr__(self, "formulas", tuple(f for f in features if not isinstance(f.value, ir.Aggregate)))

    def _history(self, kind: _Kind, features: Iterable[ir.Feature]) -> History:
        slots: dict[Slot, int] = {}
        sights: dict[tuple[int, Reach], int] = {}
        measures = []
        for feature in features:
            if isinstance(feature.value, ir.Aggregate) and _kind(feature.value) == kind:
                slot = slots.setdefault(_slot(feature.value), len(slots))
                measure = self._measure(feature.name, slot, feature.value)
                measures.append(replace(measure, sight=sights.setdefault((slot, measure.reach), len(sights))))
        reaches = (tuple(dict.fromkeys(m.reach for m in measures if m.slot == slot)) for slot in slots.values())
        return History(kind[0], kind[1], tuple(slots), tuple(reaches), tuple(measures), kind[2])

    def _measure(self, column: str, slot: int, aggregate: ir.Aggregate) -> Measure:
        window = aggregate.window
        reach = Reach(window, self.clock, "" if window.field is None else self.record.field(window.field).type.kind)
        inner = None if aggregate.inner is None else self._measure(column, slot, aggregate.inner)
        return Measure(column, slot, aggregate, reach, of_type(aggregate), inner)

    @cached_property
    def clock(self) -> Clock:
        return Clock(self.record.zone, self.dates)

    @property
    def time(self) -> Type:
        return self.record.field(self.record.time).type

    @property
    def dates(self) -> bool:
        """Whether time counts days and not microseconds."""
        return self.time.kind == "date"

    @cached_property
    def dated(self) -> bool:
        """Whether something is judged by the local day of a row."""
        return any(DAY_OF_EVENT in group.reads for group in self.groups)

    def day(self, row: Row) -> int:
        """The local day of a row: as it says, or by its time."""
        day = row.get(DAY_OF_EVENT)
        return day if day is not None else self.clock.day(row[self.record.time]) or 0

    def column(self, name: str) -> Type:
        """The type of what a condition or value may read of a row."""
        own = {NOW: self.time, DAY_OF_EVENT: DATE}
        return own[name] if name in own else self.record.field(name).type

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
        facts = [record.name, record.zone, list(record.key), record.time, canonical(self.time), record.late, record.revision]
        return digest([facts, [group.fingerprint for group in self.groups]])


_Kind = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _kind(aggregate: ir.Aggregate) -> _Kind:
    """What makes one history: its key, where a row may bear it, and in a network the ends of a hop."""
    return (aggregate.per, aggregate.matched, ()) if aggregate.network is None else ((), (), aggregate.per)


def _slot(aggregate: ir.Aggregate) -> Slot:
    rows = aggregate if aggregate.inner is None else aggregate.inner
    if rows.function == "share":
        return Slot(rows.among, rows.of, rows.where, rows.window.event, share=True)
    return Slot(rows.where, rows.of, None, rows.window.event, ends=() if rows.network is None else rows.per)


def part_of(history: History, measures: Sequence[Measure]) -> History:
    """The same history for some of its measures alone."""
    slots = list(dict.fromkeys(measure.slot for measure in measures))
    moved = tuple(_over(measure, slots.index(measure.slot)) for measure in measures)
    reaches = tuple(tuple(dict.fromkeys(m.reach for m in moved if m.slot == slot)) for slot in range(len(slots)))
    return replace(history, slots=tuple(history.slots[slot] for slot in slots), reaches=reaches, measures=moved)


def _over(measure: Measure, slot: int) -> Measure:
    return replace(measure, slot=slot, inner=None if measure.inner is None else _over(measure.inner, slot))


class Together(NamedTuple):
    """Slots of a history that keep the same rows, and how long the longest of their windows is, where all are always as long."""

    slots: tuple[int, ...]
    length: int | None


def together(history: History) -> list[Together]:
    """The slots of a history, each with those that keep the same rows: those that one condition lets in."""
    found: dict[Any, list[int]] = {}
    for place, slot in enumerate(history.slots):
        alone = slot.looks or slot.event is not None or bool(slot.ends)
        found.setdefault(place if alone else slot.where, []).append(place)
    lengths = [[reach.length for slot in slots for reach in history.reaches[slot]] for slots in found.values()]
    fixed = [[length for length in some if length is not None] for some in lengths]
    return [
        Together(tuple(slots), max(known) if len(known) == len(some) else None)
        for slots, some, known in zip(found.values(), lengths, fixed, strict=True)
    ]


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
