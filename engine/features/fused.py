"""The common windows of one history as generated code: all that is measured of one slot over trailing windows of fixed length, for one key,
in one state, with one cursor a window over lists that they share.

Nothing new is said here: a window that holds a row in doubt, or reaches before history does, is left to `sliding`, and so is what comes out
of order; both see the same lanes. The source of every history can be read with a debugger.
"""

from __future__ import annotations

import itertools
import linecache
import weakref
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from engine.features import aggregate
from engine.features.tallies import OUT, SURE
from engine.values import INT64_MAX, INT64_MIN, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.features.spec import History, Measure, Slot
    from engine.values import Value

UNSAID: Final = object()
"""Stands for the value of a measure that is left to its window."""

_SHIFT: Final = 256
"""A float64 between ``2**-204`` and ``2**767`` is a whole number of ``2**-256``, as zero is: sums of them are small enough to be fast."""
_SUMS: Final = {"sum", "mean", "stddev"}
_FUSED: Final = {"count", "sum", "mean", "stddev", "max", "min", "distinct"}
_serial: Final = itertools.count(1)

_SPACE: Final[dict[str, Any]] = {
    "bisect_right": bisect_right,
    "deviation": aggregate.deviation,
    "mean_of": aggregate.mean,
    "total": aggregate.total,
    "EMPTY": aggregate.EMPTY,
    "OVERFLOW": missing("overflow"),
    "UNSAID": UNSAID,
    "UNIT": 1 << _SHIFT,
    "SCALE": 2.0**_SHIFT,
    "BIG": 2.0 ** (1023 - _SHIFT),
    "INT64_MIN": INT64_MIN,
    "INT64_MAX": INT64_MAX,
}


class Fused:
    """The generated code of one history, and its text."""

    def __init__(self, history: History) -> None:
        slots = [_Slot(place, slot, history) for place, slot in enumerate(history.slots)]
        space: dict[str, Any] = dict(_SPACE)
        space |= {f"TYPE_{place}": measure.of for place, measure in enumerate(history.measures)}
        self.source = (
            "\n".join(_state(slots) + _tell(slots, history) + [line for slot in slots for line in slot.insert() + slot.cut()]) + "\n"
        )
        _load(self.source, f"history per {', '.join(history.per)}", space, self)
        self._state, self.tell = space["State"], space["tell"]
        self._inserts = [space[f"insert_{slot.place}"] for slot in slots]
        self._cuts = [space[f"cut_{slot.place}"] for slot in slots]

    tell: Callable[..., list[Value]]
    """What the measures say to an event at a time that is not before any other, which enters with a key and cells."""

    def state(self, lanes: Sequence[Any]) -> Any:
        """What the windows over these lanes hold when all rows are in them; the next event drops what it does not see."""
        state = self._state()
        for slot, lane in enumerate(lanes):
            state.take(slot, lane)
            for place in range(len(lane.times)):
                self._inserts[slot](state, place, lane.times[place], lane.states[place], lane.values[place], place + 1)
        return state

    def insert(self, state: Any, slot: int, place: int, time: int, one: tuple[int, Any], number: int) -> None:
        """A lane has a new row at a place, before others; the rows of a lane are so many then."""
        self._inserts[slot](state, place, time, *one, number)

    def cut(self, state: Any, slot: int, number: int, gone: int) -> None:
        """A lane has lost its first so many rows, all up to the moment `gone`, which no window holds."""
        self._cuts[slot](state, number, gone)


def any_fused(history: History) -> bool:
    """Whether there is anything to generate."""
    return any(_is_fused(measure, history.slots[measure.slot]) for measure in history.measures)


def _is_fused(measure: Measure, slot: Slot) -> bool:
    """Whether a measure is in the generated code."""
    aggregate_, reach = measure.aggregate, measure.reach
    plain = measure.inner is None and aggregate_.needs is None and not (slot.looks or slot.share or slot.event is not None)
    of_one = measure.of.by is None or aggregate_.function in ("count", "distinct")
    return plain and of_one and reach.length is not None and reach.window.kind == "trailing" and aggregate_.function in _FUSED


class _Slot:
    """The code for one slot: what it keeps, and its windows from the shortest to the longest."""

    def __init__(self, place: int, slot: Slot, history: History) -> None:
        self.place, self.number = place, slot.of is not None and slot.of.type.kind == "number"
        self.measures = [(i, m) for i, m in enumerate(history.measures) if m.slot == place and _is_fused(m, slot)]
        self.lengths: list[int] = sorted({m.reach.length for _, m in self.measures if m.reach.length is not None})
        self.always = slot.where is None and not slot.looks and slot.event is None
        """Whether every row is kept."""
        self.sums = self._lengths_of(_SUMS)
        self.squares = self._lengths_of({"stddev"})
        self.distinct = self._lengths_of({"distinct"})
        self.tops = [name for name in ("max", "min") if any(m.aggregate.function == name for _, m in self.measures)]

    def _lengths_of(self, functions: set[str]) -> set[int]:
        return {
            self.lengths.index(m.reach.length) for _, m in self.measures if m.aggregate.function in functions and m.reach.length is not None
        }

    @property
    def lists(self) -> list[str]:
        """What a state has one of for the slot: the lane's lists, and its own."""
        own = [f"{top}_{part}" for top in self.tops for part in ("times", "values")] + (["last"] if self.distinct else [])
        return [f"{name}_{self.place}" for name in (*_LANE, *own)]

    @property
    def counters(self) -> list[str]:
        """Its running numbers."""
        found = [f"base_{self.place}"]
        for window in range(len(self.lengths)):
            found += self.held(window)
        return found

    def held(self, window: int) -> list[str]:
        """The running numbers of one window: the place of its first row, how many rows in it are left to others, sums, and how many
        distinct values it holds."""
        wanted = {"sum": self.sums, "squares": self.squares, "distinct": self.distinct}
        names = ["low", "doubt", *(name for name, windows in wanted.items() if window in windows)]
        return [f"{name}_{self.place}_{window}" for name in names]

    def sure(self, state: str, value: str) -> str:
        """The condition that a row is one these windows can take, which also gives its `units` where they are summed up."""
        if not self.number or not self.sums:
            return f"{state} == {SURE}"
        return f"{state} == {SURE} and -BIG < {value} < BIG and (units := int({value} * SCALE)) == {value} * SCALE"

    def units(self, value: str) -> str:
        return "units" if self.number else value

    # --- an event in order ---

    def tell(self) -> list[str]:
        place = self.place
        keeps = [] if self.always else [f"if value_{place} is not None or state_{place} != {OUT}:"]
        lines = [f"{name} = state.{name}" for name in self.lists]
        row = ("time", f"state_{place}", f"value_{place}", "key")
        inside = [f"{name}_{place}.append({what})" for name, what in zip(_LANE, row, strict=True)]
        if self.lengths:
            lines += [f"{name} = state.{name}" for name in self.counters]
            inside += self._added()
        lines += keeps + (_in(inside) if keeps else inside)
        if self.lengths:
            lines.append(f"number = len(times_{place})")
            for window in range(len(self.lengths)):
                lines += self._expire(window)
            lines += [f"state.{name} = {name}" for name in self.counters[1:]]
        return lines

    def _added(self) -> list[str]:
        place, value = self.place, f"value_{self.place}"
        lines = [f"if {self.sure(f'state_{place}', value)}:"]
        known = []
        for window in sorted(self.sums):
            known.append(f"sum_{place}_{window} += {self.units(value)}")
        if self.squares:
            known.append(f"square = {self.units(value)} * {self.units(value)}")
            known += [f"squares_{place}_{window} += square" for window in sorted(self.squares)]
        if self.distinct:
            known += [f"at = last_{place}.get({value}, -1)", f"last_{place}[{value}] = base_{place} + len(times_{place}) - 1"]
            for window in sorted(self.distinct):
                known += [f"if at < base_{place} + low_{place}_{window}:", f"    distinct_{place}_{window} += 1"]
        for top in self.tops:
            times, values = f"{top}_times_{place}", f"{top}_values_{place}"
            known += [f"while {values} and {values}[-1] {_BEATEN[top]} {value}:", f"    del {values}[-1], {times}[-1]"]
            known += [f"{values}.append({value})", f"{times}.append(time)"]
        doubts = [f"doubt_{place}_{window} += 1" for window in range(len(self.lengths))]
        return [*lines, *_in(known or ["pass"]), "else:", *_in(doubts)]

    def _expire(self, window: int) -> list[str]:
        place, low = self.place, f"low_{self.place}_{window}"
        after = f"after_{place}_{window}"
        lines = [f"{after} = time - {self.lengths[window]}", f"while {low} < number and times_{place}[{low}] <= {after}:"]
        gone: list[str] = []
        if window in self.sums:
            gone.append(f"sum_{place}_{window} -= {self.units('value')}")
        if window in self.squares:
            gone.append(f"squares_{place}_{window} -= {self.units('value')} * {self.units('value')}")
        if window in self.distinct:
            gone += [f"if last_{place}[value] == base_{place} + {low}:", f"    distinct_{place}_{window} -= 1"]
            if window == max(self.distinct):
                gone.append(f"    del last_{place}[value]")
        inside = [f"value = values_{place}[{low}]", f"if {self.sure(f'states_{place}[{low}]', 'value')}:"]
        inside += [*_in(gone or ["pass"]), "else:", f"    doubt_{place}_{window} -= 1", f"{low} += 1"]
        return lines + _in(inside)

    # --- what they say ---

    def said(self) -> list[str]:
        lines: list[str] = []
        for window in range(len(self.lengths)):
            held = f"{self.place}_{window}"
            lines += [f"if doubt_{held} or after_{held} + 1 < since:"]
            mine = [(i, m) for i, m in self.measures if m.reach.length == self.lengths[window]]
            lines += [f"    {' = '.join(f'said_{i}' for i, _ in mine)} = UNSAID", "else:"]
            inside = [f"rows = len(times_{self.place}) - low_{held}"]
            for i, measure in mine:
                inside += self._value(i, measure, held)
            lines += _in(inside)
        return lines

    def _value(self, i: int, measure: Measure, held: str) -> list[str]:
        function, type_ = measure.aggregate.function, measure.of
        if function == "count":
            return [f"said_{i} = rows"]
        if function == "distinct":
            return [f"said_{i} = distinct_{held}"]
        if function == "sum":
            return self._sum(i, measure, held)
        if function in self.tops:
            at = f"{function}_values_{self.place}[bisect_right({function}_times_{self.place}, after_{held})]"
            return [f"said_{i} = {at if self.always else f'{at} if rows else EMPTY'}"]
        if function == "stddev":
            spread = f"rows * squares_{held} - sum_{held} * sum_{held}"
            unit = " * UNIT * UNIT" if self.number else ""
            return [f"said_{i} = deviation({spread}, rows * (rows - 1){unit}, TYPE_{i}) if rows > 1 else EMPTY"]
        if type_.kind in ("integer", "number"):
            mean = f"sum_{held} / (rows * UNIT)" if self.number else f"sum_{held} / rows"
            return [f"said_{i} = {mean if self.always else f'{mean} if rows else EMPTY'}"]
        mean = f"mean_of(sum_{held}, rows, TYPE_{i})"
        return [f"said_{i} = {mean if self.always else f'{mean} if rows else EMPTY'}"]

    def _sum(self, i: int, measure: Measure, held: str) -> list[str]:
        type_ = measure.of
        if self.number:
            return [f"said_{i} = sum_{held} / UNIT"]
        if type_.scale != 1 or type_.kind == "percent":
            return [f"said_{i} = total(sum_{held}, TYPE_{i})"]
        return [f"said_{i} = sum_{held} if INT64_MIN <= sum_{held} <= INT64_MAX else OVERFLOW"]

    # --- out of order, and what is gone ---

    def insert(self) -> list[str]:
        """A row comes before others: the windows are as they were at the last event in order, which they show in `state.time`."""
        place = self.place
        if not self.lengths:
            return [f"def insert_{place}(state, place, time, state_, value, number):", "    pass", "", ""]
        lines = [f"base, values = state.base_{place}, state.values_{place}", f"sure = {self.sure('state_', 'value')}"]
        if self.distinct:
            lines += [f"last = state.last_{place}", "at = last.get(value, -1) if sure else -1", "at += at >= base + place"]
        for window in range(len(self.lengths)):
            lines += self._insert(window)
        if self.distinct:
            lines += self._shift()
        if self.tops:
            lines.append("if sure:")
            for top in self.tops:
                lines += _in(self._insert_top(top))
        return [f"def insert_{place}(state, place, time, state_, value, number):", *_in(lines), "", ""]

    def _shift(self) -> list[str]:
        """The rows after the new one have moved, and so have the values of which they are the last."""
        longest = self.lengths[max(self.distinct)]
        return [
            "for later in range(number - 1, place, -1):",
            f"    if state.states_{self.place}[later] == {SURE} and last.get(values[later]) == base + later - 1:",
            "        last[values[later]] = base + later",
            f"if sure and at < base + place and time > state.time - {longest}:",
            "    last[value] = base + place",
        ]

    def _insert(self, window: int) -> list[str]:
        held = f"{self.place}_{window}"
        lines = [f"if time <= state.time - {self.lengths[window]}:", f"    state.low_{held} += 1", "elif sure:"]
        known = [f"state.sum_{held} += {self.units('value')}"] if window in self.sums else []
        if window in self.squares:
            known.append(f"state.squares_{held} += {self.units('value')} * {self.units('value')}")
        if window in self.distinct:
            known.append(f"state.distinct_{held} += at < base + state.low_{held}")
        return [*lines, *_in(known or ["pass"]), "else:", f"    state.doubt_{held} += 1"]

    def _insert_top(self, top: str) -> list[str]:
        times, values, beaten = f"state.{top}_times_{self.place}", f"state.{top}_values_{self.place}", _BEATEN[top]
        return [
            f"at = bisect_right({times}, time)",
            f"if at == len({values}) or not value {beaten} {values}[at]:",
            f"    {times}.insert(at, time)",
            f"    {values}.insert(at, value)",
            f"    while at and {values}[at - 1] {beaten} value:",
            "        at -= 1",
            f"        del {values}[at], {times}[at]",
        ]

    def cut(self) -> list[str]:
        place = self.place
        lines = [f"state.base_{place} += number"] if self.lengths else ["pass"]
        lines += [f"state.low_{place}_{window} -= number" for window in range(len(self.lengths))]
        for top in self.tops:
            times, values = f"state.{top}_times_{place}", f"state.{top}_values_{place}"
            lines += [f"at = bisect_right({times}, gone)", f"del {times}[:at], {values}[:at]"]
        return [f"def cut_{place}(state, number, gone):", *_in(lines), "", ""]


_LANE: Final = ("times", "states", "values", "keys")
_BEATEN: Final = {"max": "<=", "min": ">="}


def _in(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _state(slots: list[_Slot]) -> list[str]:
    names = ["time", *(name for slot in slots for name in (*slot.lists, *slot.counters))]
    lines = [f"__slots__ = {tuple(names)!r}", "", "def __init__(self):", "    self.time = -(2 ** 63)"]
    taken = []
    for slot in slots:
        lines += [f"    self.{name} = {'{}' if name.startswith('last') else '[]'}" for name in slot.lists[len(_LANE) :]]
        lines += [f"    self.{name} = 0" for name in slot.counters]
        lane = ", ".join(f"self.{name}_{slot.place}" for name in _LANE)
        taken += [f"    if slot == {slot.place}:", f"        {lane} = lane.times, lane.states, lane.values, lane.keys"]
    return ["class State:", *_in([*lines, "", "def take(self, slot, lane):", *taken]), "", ""]


def _tell(slots: list[_Slot], history: History) -> list[str]:
    cells = ", ".join(f"(state_{slot.place}, value_{slot.place})" for slot in slots)
    lines = [f"{cells}, = cells", "state.time = time"]
    for slot in slots:
        lines += slot.tell()
    for slot in slots:
        lines += slot.said()
    done = {i for slot in slots for i, _ in slot.measures}
    said = ", ".join(f"said_{i}" if i in done else "UNSAID" for i in range(len(history.measures)))
    return ["def tell(state, time, key, cells, since):", *_in([*lines, f"return [{said}]"]), "", ""]


def _load(source: str, title: str, space: dict[str, Any], owner: Any) -> None:
    name = f"<{title} #{next(_serial)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    weakref.finalize(owner, linecache.cache.pop, name, None)
    exec(compile(source, name, "exec"), space)
