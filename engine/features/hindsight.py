"""What features say of past events with what history knows today: late events at their own time, corrected ones as they are now.

Events are told in their order of arrival, which settles what stands in which key's history. Then they go through a store once more, in the
order of time, each under those keys alone under which it stands. It must not know where events are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.features.judging import Judge
from engine.features.spec import BoundFeatures, Layout, formula_steps
from engine.features.store import open_store
from engine.features.tallies import OUT
from engine.lang import ir
from engine.plan import DAY_OF_EVENT, NOW
from engine.record import Field
from engine.values import INTEGER, MISSING, Missing, Value, known, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.features.spec import Measure
    from engine.plan import Row
    from engine.record import Record

LATE: Final = missing("late")
_EVENT, _TURN = "@event", "@turn"

Lane = tuple[int, tuple[Value, ...]]
"""One key's part of one history."""


class _Arrived(NamedTuple):
    """One version of an event: when it happened, the arrival of the event's first version, and the version before it, if there is one."""

    time: int
    first: int
    before: int | None


class _Feed(NamedTuple):
    """One event told to the store: at its time, in the place of an arrival; which `turn` of it this is; and whether it is asked."""

    time: int
    place: int
    number: int
    turn: int
    asked: bool


class Hindsight:
    """The events of one stream, and where they stand in the end.

    >>> from engine.record import Record
    >>> from engine.values import DAY, Type
    >>> week = ir.Aggregate("count", None, ir.Window("trailing", 7, "days"), ("shop",), None)
    >>> fields = Field("id", INTEGER), Field("day", Type("date")), Field("shop", INTEGER)
    >>> record = Record("r", "1.0.0", "UTC", ("id",), "day", fields, late=2 * DAY)
    >>> wanted = ir.FeatureSet("f", "1.0.0", ir.Use("record", "r", None, "r"), (), (ir.Feature("n", INTEGER, week),))
    >>> hindsight = Hindsight([BoundFeatures(wanted, "", {}, record)], record)
    >>> rows = [{"id": 1, "day": 20, "shop": 5, "now": 20}, {"id": 2, "day": 19, "shop": 5, "now": 19}]
    >>> [hindsight.arrive(row) for row in rows]
    [0, 1]
    >>> dict(hindsight.say(rows.__getitem__, since=0))
    {1: {'n': 1}, 0: {'n': 2}}
    """

    def __init__(self, groups: Sequence[BoundFeatures], record: Record) -> None:
        self.layout, self.record = Layout(record, tuple(groups)), record
        self._arrived: list[_Arrived] = []
        self._newest: dict[tuple[Value, ...], int] = {}
        self._time: dict[Lane, int] = {}
        self._never: dict[int, set[Lane]] = {}
        self._left: dict[int, set[Lane]] = {}
        self._stands: dict[int, set[Lane]] = {}
        self._blind: dict[int, set[int]] = {}

    # --- what arrives ------------------------------------------------------------------------------------------------

    def arrive(self, row: Row) -> int:
        """The next event, or the next version of one; gives the number of its arrival, from 0. A repeat is no arrival."""
        number, time = len(self._arrived), row[self.record.time]
        key = tuple(row[name] for name in self.record.key)
        before = self._newest.get(key)
        self._arrived.append(_Arrived(time, number if before is None else self._arrived[before].first, before))
        self._newest[key] = number
        for index, history in enumerate(self.layout.histories):
            looked = history.key(row)
            if not isinstance(looked, Missing) and self._late((index, looked), time):
                self._blind.setdefault(number, set()).add(index)
            self._enter(number, index, list(history.keys(row)))
        return number

    def _late(self, lane: Lane, time: int) -> bool:
        return lane in self._time and time < self._time[lane] - self.layout.late

    def _enter(self, number: int, index: int, keys: list[tuple[Value, ...]]) -> None:
        """An arrival enters a history under these keys, and its earlier versions leave, except where it is late."""
        time, _, before = self._arrived[number]
        while before is not None:
            gone = {lane for lane in self._stands[before] if lane[0] == index and not self._late(lane, time)}
            self._stands[before] -= gone
            self._left.setdefault(before, set()).update(gone)
            before = self._arrived[before].before
        lanes = [(index, key) for key in keys]
        late = [lane for lane in lanes if self._late(lane, time)]
        if late:
            self._never.setdefault(number, set()).update(late)
        entered = [lane for lane in lanes if lane not in late]
        for lane in entered:
            self._time[lane] = max(time, self._time.get(lane, time))
        if self.record.revision is not None:
            self._stands.setdefault(number, set()).update(entered)

    # --- what is said ------------------------------------------------------------------------------------------------

    def say(self, rows: Callable[[int], Row], since: int) -> Iterator[tuple[int, Row]]:
        """The features of the newest version of every event, as they would be today, by the number of its arrival; `rows` gives the typed
        row of an arrival, which also says what time it is. What was late is late."""
        rows, retold = self._dated(rows), _Retold(self.layout)
        formulas = formula_steps(self.layout)
        with open_store("memory:", retold.groups, retold.record, since) as store:
            for feed in sorted(self._feeds()):
                row, number = rows(feed.number), feed.number
                out = self._never.get(number, set()) | (self._left.get(number, set()) if feed.turn else set())
                answer = store.observe(retold.row(row, number, feed.turn, out))
                if not feed.asked:
                    continue
                for index in self._blind.get(number, ()):
                    answer.update((measure.column, LATE) for measure in self.layout.histories[index].measures)
                seen = {**row, **answer}
                for formula in formulas:
                    seen.update(formula.one(seen))
                yield number, {column: seen[column] for column in self.layout.types}

    def _dated(self, rows: Callable[[int], Row]) -> Callable[[int], Row]:
        """The same rows, with the day they are judged by where something is judged by it."""
        if not self.layout.dated:
            return rows

        def dated(number: int) -> Row:
            row = rows(number)
            return {**row, DAY_OF_EVENT: self.layout.day(row)}

        return dated

    def _feeds(self) -> Iterator[_Feed]:
        """A version is told where the event first arrived, and again where it arrived itself: there the newest is asked. An earlier one
        is told for all keys that it entered once, for how old they are, and then for those under which it stands still."""
        newest = set(self._newest.values())
        for number, (time, first, _) in enumerate(self._arrived):
            asked = number in newest
            yield _Feed(time, first, number, 0, asked and first == number)
            if not asked:
                yield _Feed(time, first, number, 1, False)
            if first != number:
                yield _Feed(time, number, number, 2, asked)

    # --- why ---------------------------------------------------------------------------------------------------------

    def causes(self, asked: Mapping[int, tuple[int, Sequence[str]]], rows: Callable[[int], Row]) -> dict[int, list[int]]:
        """For events by number the arrivals that changed what was said of them: those after the number given with it, that entered or left
        a window of one of the columns."""
        rows = self._dated(rows)
        wanted: dict[Lane, list[tuple[int, Measure]]] = {}
        for number, (_, columns) in asked.items():
            row = rows(number)
            for index, history in enumerate(self.layout.histories):
                looked = history.key(row)
                if not isinstance(looked, Missing):
                    measures = (measure for measure in history.measures if measure.column in columns)
                    wanted.setdefault((index, looked), []).extend((number, measure) for measure in measures)
        looking = {number: rows(number) for number in asked}
        found: dict[int, list[int]] = {number: [] for number in asked}
        for arrival in range(min((after for after, _ in asked.values()), default=-1) + 1, len(self._arrived)):
            versions = [(version, rows(version)) for version in self._versions(arrival)]
            for number, measure, index in self._touched(arrival, wanted, versions):
                if arrival > asked[number][0] and arrival not in found[number]:
                    this = number, looking[number]
                    found[number] += [arrival] * any(self._held(measure, index, this, version) for version in versions)
        return found

    def _versions(self, arrival: int) -> list[int]:
        before = self._arrived[arrival].before
        return [arrival] if before is None else [arrival, *self._versions(before)]

    def _touched(
        self, arrival: int, wanted: Mapping[Lane, list[tuple[int, Measure]]], versions: Sequence[tuple[int, Row]]
    ) -> Iterator[tuple[int, Measure, int]]:
        """Who looks at a lane that an arrival, or an earlier version of it, bears."""
        for index, history in enumerate(self.layout.histories):
            for key in {key for _, row in versions for key in history.keys(row)}:
                if (index, key) not in self._never.get(arrival, ()):
                    yield from ((number, measure, index) for number, measure in wanted.get((index, key), ()))

    def _held(self, measure: Measure, index: int, this: tuple[int, Row], other: tuple[int, Row]) -> bool:
        """Whether the window of one event may hold, or have held, another one."""
        first, row = self._arrived[other[0]].first, other[1]
        field, reach = measure.reach.window.field, measure.reach
        bounds = reach.bounds(this[1][NOW], None if field is None else this[1][field])
        if first == self._arrived[this[0]].first or isinstance(bounds, Missing):
            return False
        if (row[NOW], first) > (this[1][NOW], this[0]):
            return False
        if measure.aggregate.needs is not None and measure.aggregate.needs[0] == "history":
            return True  # an older event makes the key older, wherever the window begins
        if reach.by_time and not bounds[0] < row[NOW] <= bounds[1]:
            return False
        return Judge(self.layout.histories[index].slots[measure.slot]).cell(row)[0] != OUT


class _Retold:
    """Features and rows for a store in which every event enters under chosen keys alone: beside each field that is a key stands a copy of
    it for each history, which is missing where the event must not enter."""

    def __init__(self, layout: Layout) -> None:
        self._histories = layout.histories
        types = {field.name: field.type for field in layout.record.fields}
        copies: dict[str, str] = {}
        for index, history in enumerate(layout.histories):
            copies |= {_copy(index, "per", name): name for name in history.ends or history.per}
            copies |= {_copy(index, "in", name): name for name in history.matched}
        self._copies = copies
        fields = (*layout.record.fields, *(Field(copy, types[name]) for copy, name in copies.items()))
        turn = (Field(_EVENT, INTEGER), Field(_TURN, INTEGER))
        revision = None if layout.record.revision is None else _TURN
        self.record = replace(layout.record, key=(_EVENT,), fields=(*fields, *turn), revision=revision)
        places = {measure.column: index for index, history in enumerate(layout.histories) for measure in history.measures}
        self.groups = [self._group(group, places) for group in layout.groups]

    def _group(self, group: BoundFeatures, places: Mapping[str, int]) -> BoundFeatures:
        features = []
        for feature in group.bound:
            if isinstance(feature.value, ir.Aggregate):
                features.append(replace(feature, value=_rekeyed(feature.value, places[feature.name])))
        return BoundFeatures(replace(group.features, features=tuple(features)), "", {}, self.record)

    def row(self, row: Row, number: int, turn: int, out: set[Lane]) -> Row:
        """An event as it is told in one turn: it enters under no key of `out`."""
        told = {**row, **{copy: row[name] for copy, name in self._copies.items()}, _EVENT: number, _TURN: turn}
        for index, key in out:
            history = self._histories[index]
            if history.matched:
                told.update((_copy(index, "in", name), MISSING) for name in history.matched if known(row[name]) and (row[name],) == key)
            else:
                told[_copy(index, "per", (history.ends or history.per)[0])] = MISSING
        return told


def _copy(index: int, role: str, name: str) -> str:
    return f"@{index}.{role}:{name}"


def _rekeyed(aggregate: ir.Aggregate, index: int) -> ir.Aggregate:
    per = tuple(_copy(index, "per", name) for name in aggregate.per)
    matched = tuple(_copy(index, "in", name) for name in aggregate.matched)
    inner = None if aggregate.inner is None else _rekeyed(aggregate.inner, index)
    return replace(aggregate, per=per, matched=matched, inner=inner)
