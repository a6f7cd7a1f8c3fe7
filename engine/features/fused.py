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
from engine.features.tallies import OUT, SURE, settled
from engine.values import INT64_MAX, INT64_MIN, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.features.spec import History, Measure, Slot, Together
    from engine.values import Value

UNSAID: Final = object()
"""Stands for the value of a measure that is left to its window."""

_SHIFT: Final = 256
"""A float64 between ``2**-204`` and ``2**767`` is a whole number of ``2**-256``, as zero is: sums of them are small enough to be fast."""
_SUMS: Final = {"sum", "mean", "stddev"}
_FUSED: Final = {"count", "sum", "mean", "stddev", "max", "min", "distinct"}
_serial: Final = itertools.count(1)

SPACE: Final[dict[str, Any]] = {
    "bisect_right": bisect_right,
    "deviation": aggregate.deviation,
    "mean_of": aggregate.mean,
    "settled": settled,
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
"""What the lines name, besides `TYPE_N`, the type of what a measure takes."""


class Fused:
    """The generated code of one history, and its text."""

    def __init__(self, history: History, together: Sequence[Together]) -> None:
        slots = [_Slot(place, slot, history) for place, slot in enumerate(history.slots)]
        groups = [_Group([slots[place] for place in some.slots]) for some in together]
        space: dict[str, Any] = dict(SPACE)
        space |= {f"TYPE_{place}": measure.of for place, measure in enumerate(history.measures)}
        self.done = {place for slot in slots for place, _ in slot.measures}
        """The places of the measures it says something of."""
        self.lines = ["state.time = time", *(line for group in groups for line in (*group.tell(), *group.said()))]
        """What is done with an event of which `state_N` and `value_N` are the cells; `said_N` are what the measures say, and `left` tells
        whether one of them is `UNSAID`."""
        others = [*(line for slot in slots for line in _Late(slot).lines()), *(line for group in groups for line in group.cut())]
        self.source = "\n".join([*_state(slots), *self._tell(slots, history), *others])
        self.tell = load(self.source, f"history per {', '.join(history.per)}", space, "tell")
        self._state = space["State"]
        self._inserts = [space[f"insert_{slot.place}"] for slot in slots]
        self._cuts = [space[f"cut_{group.place}"] for group in groups]

    tell: Callable[..., tuple[bool, list[Value]]]
    """What the measures say to an event at a time that is not before any other, which enters with a key and cells; and whether there are
    some whose value is `UNSAID`."""

    def _tell(self, slots: list[_Slot], history: History) -> list[str]:
        cells = ", ".join(f"(state_{slot.place}, value_{slot.place})" for slot in slots)
        said = ", ".join(f"said_{place}" if place in self.done else "UNSAID" for place in range(len(history.measures)))
        lines = [f"{cells}, = cells", f"left = {len(self.done) < len(history.measures)}", *self.lines, f"return left, [{said}]"]
        return ["def tell(state, time, key, cells, since):", *_in(lines), "", ""]

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

    def cut(self, state: Any, group: int, number: int, gone: int) -> None:
        """The lanes of slots that keep the same rows have lost their first so many, all up to the moment `gone`, which no window holds."""
        self._cuts[group](state, number, gone)


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
    """What is kept of one slot, and its windows from the shortest to the longest; its `leader` is the first that keeps the same rows, with
    which it shares their places."""

    def __init__(self, place: int, slot: Slot, history: History) -> None:
        self.place, self.leader = place, place
        self.number = slot.of is not None and slot.of.type.kind == "number"
        self.measures = [(i, m) for i, m in enumerate(history.measures) if m.slot == place and _is_fused(m, slot)]
        self.lengths: list[int] = sorted({m.reach.length for _, m in self.measures if m.reach.length is not None})
        self.always = slot.always
        """Then its value says whether that is known."""
        self.doubtful = not self.always or slot.of is not None
        """Whether there may be rows that are not surely in, or have no value."""
        self.tops = [name for name in ("max", "min") if any(m.aggregate.function == name for _, m in self.measures)]

    def windows(self, *functions: str) -> list[int]:
        """The windows that measures of these functions have, or any measures."""
        wanted = {m.reach.length for _, m in self.measures if not functions or m.aggregate.function in functions}
        return [window for window, length in enumerate(self.lengths) if length in wanted]

    @property
    def sums(self) -> list[int]:
        return self.windows(*_SUMS)

    @property
    def lists(self) -> list[str]:
        """What a state has one of for the slot: the lane's lists, of which those of times and keys are the leader's, and its own."""
        lane = _LANE[:2] * (self.leader == self.place) + self.cells
        own = [f"{top}_{part}" for top in self.tops for part in ("times", "values")] + (["last"] if self.windows("distinct") else [])
        return [f"{name}_{self.place}" for name in (*lane, *own)]

    @property
    def cells(self) -> tuple[str, ...]:
        """Which of the lists of states and values are needed: no states where every row is in, no values where rows are only counted."""
        return ("states",) * (not self.always) + ("values",) * self.doubtful

    @property
    def counters(self) -> list[str]:
        """Its running numbers: of a leader the place of each window's first row; sums, and how many distinct values a window holds."""
        found = [f"low_{self.place}_{window}" for window in range(len(self.lengths))] if self.leader == self.place else []
        wanted = {"sum": self.sums, "squares": self.windows("stddev"), "distinct": self.windows("distinct")}
        return found + [f"{name}_{self.place}_{window}" for name, windows in wanted.items() for window in windows]

    @property
    def heads(self) -> list[str]:
        """Where the values of each window begin that may be the largest or the smallest, or some place before."""
        return [head for top in self.tops for head in self.heads_of(top)]

    def heads_of(self, top: str) -> list[str]:
        return [f"{top}_{self.place}_{window}" for window in self.windows(top)]

    @property
    def doubts(self) -> list[str]:
        """The seldom changed ones: how many rows of a window are left to others."""
        return [f"doubt_{self.place}_{window}" for window in self.windows()] if self.doubtful else []

    def sure(self, state: str, value: str) -> str:
        """The condition that a row is one these windows can take, which also gives its `units` where they are summed up."""
        sure = f"{value} is not None" if self.always else f"{state} == {SURE}"
        if not self.number or not self.sums:
            return sure
        return f"{sure} and -BIG < {value} < BIG and (units := int({value} * SCALE)) == {value} * SCALE"

    def units(self, value: str) -> str:
        return "units" if self.number else value


class _Group:
    """The code for an event in order, over slots that keep the same rows."""

    def __init__(self, slots: list[_Slot]) -> None:
        self.slots, self.place, self.always = slots, slots[0].place, slots[0].always
        self.lengths = sorted({length for slot in slots for length in slot.lengths})
        for slot in slots:
            slot.leader, slot.lengths = self.place, self.lengths

    def tell(self) -> list[str]:
        lines = [f"{name} = state.{name}" for slot in self.slots for name in slot.lists]
        added = [f"{name}_{self.place}.append({what})" for name, what in (("times", "time"), ("keys", "key"))]
        added += [f"{name}_{slot.place}.append({name[:-1]}_{slot.place})" for slot in self.slots for name in slot.cells]
        if self.lengths:
            lines += [f"{name} = state.{name}" for slot in self.slots for name in slot.counters]
            lines += [f"base_{self.place} = state.base_{self.place}", f"number_{self.place} = len(times_{self.place})"]
            added += [f"number_{self.place} += 1", *(line for slot in self.slots for line in self._added(slot))]
        keeps = f"if value_{self.place} is not None or state_{self.place} != {OUT}:"
        lines += added if self.always else [keeps, *_in(added)]
        for window in range(len(self.lengths)):
            lines += self._expire(window)
        return lines + [f"state.{name} = {name}" for slot in self.slots for name in slot.counters if self.lengths]

    def _added(self, slot: _Slot) -> list[str]:
        place, value = slot.place, f"value_{slot.place}"
        known = [f"sum_{place}_{window} += {slot.units(value)}" for window in slot.sums]
        if slot.windows("stddev"):
            known.append(f"square = {slot.units(value)} * {slot.units(value)}")
            known += [f"squares_{place}_{window} += square" for window in slot.windows("stddev")]
        known += self._distinct(slot, value)
        for top in slot.tops:
            known += _topped(slot, top, value)
        return _either(slot.sure(f"state_{place}", value), known, [f"state.{name} += 1" for name in slot.doubts])

    def _distinct(self, slot: _Slot, value: str) -> list[str]:
        """A value is another one to every window that begins after its last place; the longer a window, the earlier it begins."""
        place, windows, lines = slot.place, slot.windows("distinct"), []
        for word, longest in zip(["if", *["elif"] * len(windows)], windows[::-1], strict=False):
            lines.append(f"{word} at < low_{self.place}_{longest}:")
            lines += [f"    distinct_{place}_{window} += 1" for window in windows if window <= longest]
        if lines:
            lines.insert(0, f"at = last_{place}.get({value}, -1) - base_{self.place}")
            lines.append(f"last_{place}[{value}] = base_{self.place} + number_{self.place} - 1")
        return lines

    def _expire(self, window: int) -> list[str]:
        low, after = f"low_{self.place}_{window}", f"after_{self.place}_{window}"
        ends = "" if self.always else f"{low} < number_{self.place} and "  # where every row is kept, that of the event ends it
        inside = [line for slot in self.slots if window in slot.windows() for line in self._expired(slot, window, low)]
        lines = [f"{after} = time - {self.lengths[window]}", f"while {ends}times_{self.place}[{low}] <= {after}:"]
        return [*lines, *_in([*inside, f"{low} += 1"])]

    def _expired(self, slot: _Slot, window: int, low: str) -> list[str]:
        place = slot.place
        gone: list[str] = []
        if window in slot.sums:
            gone.append(f"sum_{place}_{window} -= {slot.units('value')}")
        if window in slot.windows("stddev"):
            gone.append(f"squares_{place}_{window} -= {slot.units('value')} * {slot.units('value')}")
        if window in slot.windows("distinct"):
            gone += [f"if last_{place}[value] == base_{self.place} + {low}:", f"    distinct_{place}_{window} -= 1"]
            if window == slot.windows("distinct")[-1]:
                gone.append(f"    del last_{place}[value]")
        doubt = [f"state.doubt_{place}_{window} -= 1"] if slot.doubtful else []
        lines = _either(slot.sure(f"states_{place}[{low}]", "value"), gone, doubt)
        return [f"value = values_{place}[{low}]", *lines] if slot.doubtful or gone else lines

    # --- what they say ---

    def said(self) -> list[str]:
        """Nearly always nothing is in doubt in any window: a longer one holds all that a shorter one does."""
        if not self.lengths:
            return []
        longest = len(self.lengths) - 1
        short = f"short_{self.place} = after_{self.place}_{longest} + 1 < since"
        doubts = [f"state.{slot.doubts[-1]}" for slot in self.slots if slot.doubts]
        plain = [line for window in range(len(self.lengths)) for line in self._plain(window)]
        careful = [line for slot in self.slots for window in slot.windows() for line in self._said(slot, window)]
        return [short, f"if {' or '.join([f'short_{self.place}', *doubts])}:", *_in(careful), "else:", *_in(plain)]

    def _plain(self, window: int) -> list[str]:
        return self._rows([line for slot in self.slots for line in self._values(slot, window)], window)

    def _said(self, slot: _Slot, window: int) -> list[str]:
        short = f"short_{self.place} and after_{self.place}_{window} + 1 < since"
        left = f"state.doubt_{slot.place}_{window} or {short}" if slot.doubtful else short
        unsaid = [f"said_{i}" for i, _ in self._mine(slot, window)]
        lines = [f"if {left}:", f"    left, {', '.join(unsaid)} = True{', UNSAID' * len(unsaid)}"]
        return [*lines, "else:", *_in(self._rows(self._values(slot, window), window))]

    def _rows(self, lines: list[str], window: int) -> list[str]:
        counted = any("rows" in line for line in lines)
        return [f"rows = number_{self.place} - low_{self.place}_{window}", *lines] if counted else lines

    def _mine(self, slot: _Slot, window: int) -> list[tuple[int, Measure]]:
        return [(i, m) for i, m in slot.measures if m.reach.length == slot.lengths[window]]

    def _values(self, slot: _Slot, window: int) -> list[str]:
        """What the measures of one window say, in which nothing is in doubt."""
        lines = []
        for i, measure in self._mine(slot, window):
            if measure.aggregate.function in slot.tops:
                lines += self._step(slot, measure.aggregate.function, window)
            lines.append(f"said_{i} = {self._value(slot, i, measure, window)}")
        return lines

    def _step(self, slot: _Slot, top: str, window: int) -> list[str]:
        """On to the first value of a window of those that may be the largest."""
        head = f"{top}_{slot.place}_{window}"
        there = "" if slot.always else "rows and "
        return [
            f"{head} = state.{head}",
            f"while {there}{top}_times_{slot.place}[{head}] <= after_{self.place}_{window}:",
            f"    {head} += 1",
            f"state.{head} = {head}",
        ]

    def _value(self, slot: _Slot, i: int, measure: Measure, window: int) -> str:
        function, held = measure.aggregate.function, f"{slot.place}_{window}"
        if function == "count":
            return "rows"
        if function == "distinct":
            return f"distinct_{held}"
        if function == "sum":
            return _sum(slot, i, measure, held)
        value = self._of_some(slot, i, measure, window)
        return value if slot.always and function != "stddev" else f"{value} if rows > {int(function == 'stddev')} else EMPTY"

    def _of_some(self, slot: _Slot, i: int, measure: Measure, window: int) -> str:
        """What says nothing where there are no rows."""
        function, held = measure.aggregate.function, f"{slot.place}_{window}"
        if function in slot.tops:
            top = f"{function}_values_{slot.place}[{function}_{held}]"
            return top if measure.of.scale == 1 else f"settled({top}, TYPE_{i})"
        if function == "stddev":
            unit = " * UNIT * UNIT" if slot.number else ""
            return f"deviation(rows * squares_{held} - sum_{held} * sum_{held}, rows * (rows - 1){unit}, TYPE_{i})"
        if measure.of.kind in ("integer", "number"):
            return f"sum_{held} / (rows * UNIT)" if slot.number else f"sum_{held} / rows"
        if measure.of.scale != 1:
            return f"mean_of(sum_{held}, rows, TYPE_{i})"
        # half-even; the mean of values that fit does too
        return f"(down := sum_{held} // rows) + ((rest := 2 * (sum_{held} - down * rows)) > rows or (rest == rows and down & 1))"

    # --- what is gone ---

    def cut(self) -> list[str]:
        lines = [f"state.base_{self.place} += number"] if self.lengths else []
        lines += [f"state.low_{self.place}_{window} -= number" for window in range(len(self.lengths))]
        for slot in self.slots:
            for top in slot.tops:
                times, values = f"state.{top}_times_{slot.place}", f"state.{top}_values_{slot.place}"
                lines += [f"at = bisect_right({times}, gone)", f"del {times}[:at], {values}[:at]"]
                lines += [f"state.{head} = max(0, state.{head} - at)" for head in slot.heads_of(top)]
        return [f"def cut_{self.place}(state, number, gone):", *_in(lines or ["pass"]), "", ""]


def _topped(slot: _Slot, top: str, value: str) -> list[str]:
    """A value beats those before it that it is larger than: they are never the largest again."""
    times, values, heads = f"{top}_times_{slot.place}", f"{top}_values_{slot.place}", slot.heads_of(top)
    beaten = f"{values}[-1] {_BEATEN[top]} {value}"
    lines = [f"if {values} and {beaten}:", f"    del {values}[-1], {times}[-1]"]
    lines += [f"    while {values} and {beaten}:", f"        del {values}[-1], {times}[-1]", f"    at = len({values})"]
    lines += [line for head in heads for line in (f"    if state.{head} > at:", f"        state.{head} = at")]
    return [*lines, f"{values}.append({value})", f"{times}.append(time)"]


def _sum(slot: _Slot, i: int, measure: Measure, held: str) -> str:
    if slot.number:
        return f"sum_{held} / UNIT"
    if measure.of.scale != 1 or measure.of.kind == "percent":
        return f"total(sum_{held}, TYPE_{i})"
    return f"sum_{held} if INT64_MIN <= sum_{held} <= INT64_MAX else OVERFLOW"


def _either(sure: str, known: list[str], doubts: list[str]) -> list[str]:
    """What is done with a row that the windows take, and with another."""
    if not doubts:
        return known
    if not known:
        return [f"if not ({sure}):", *_in(doubts)]
    return [f"if {sure}:", *_in(known), "else:", *_in(doubts)]


class _Late:
    """The code for one slot where a row comes before others."""

    def __init__(self, slot: _Slot) -> None:
        self.slot, self.place, self.leader = slot, slot.place, slot.leader
        self.longest = slot.lengths[slot.windows("distinct")[-1]] if slot.windows("distinct") else 0

    def lines(self) -> list[str]:
        """The windows are as they were at the last event in order, at `state.time`."""
        place, slot = self.place, self.slot
        lines = [f"base, sure = state.base_{self.leader}, {slot.sure('state_', 'value')}"]
        if self.longest:
            lines.append(f"values, last = state.values_{place}, state.last_{place}")
            lines += ["at = last.get(value, -1) if sure else -1", "at += at >= base + place"]
        for window in range(len(slot.lengths)):
            lines += self._insert(window)
        if self.longest:
            lines += self._shift()
        if slot.tops:
            lines += ["if sure:", *_in([line for top in slot.tops for line in self._insert_top(top)])]
        return [f"def insert_{place}(state, place, time, state_, value, number):", *_in(lines if slot.lengths else ["pass"]), "", ""]

    def _insert(self, window: int) -> list[str]:
        slot, low = self.slot, f"state.low_{self.leader}_{window}"
        held = f"{self.place}_{window}"
        known = [f"state.sum_{held} += {slot.units('value')}"] if window in slot.sums else []
        if window in slot.windows("stddev"):
            known.append(f"state.squares_{held} += {slot.units('value')} * {slot.units('value')}")
        if window in slot.windows("distinct"):
            known.append(f"state.distinct_{held} += at < base + {low}")
        doubt = [f"state.doubt_{held} += 1"] if slot.doubtful and window in slot.windows() else []
        lines = _either("sure", known, doubt)
        before = f"{low} += 1" if self.leader == self.place else "pass"
        return [f"if time <= state.time - {slot.lengths[window]}:", f"    {before}", *(["else:", *_in(lines)] if lines else [])]

    def _shift(self) -> list[str]:
        """The rows after the new one have moved, and so have the values of which they are the last."""
        known = "values[later] is not None" if self.slot.always else f"state.states_{self.place}[later] == {SURE}"
        return [
            "for later in range(number - 1, place, -1):",
            f"    if {known} and last.get(values[later]) == base + later - 1:",
            "        last[values[later]] = base + later",
            f"if sure and at < base + place and time > state.time - {self.longest}:",
            "    last[value] = base + place",
        ]

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
            *(f"    state.{head} = 0" for head in self.slot.heads_of(top)),
        ]


_LANE: Final = ("times", "keys", "states", "values")
_BEATEN: Final = {"max": "<=", "min": ">="}


def _in(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _state(slots: list[_Slot]) -> list[str]:
    names = [name for slot in slots for name in (*slot.lists, f"base_{slot.place}", *slot.counters, *slot.heads, *slot.doubts)]
    lines = [f"__slots__ = {('time', *names)!r}", "", "def __init__(self):", "    self.time = -(2 ** 63)"]
    taken = []
    for slot in slots:
        lane = [name for name in slot.lists if name.rpartition("_")[0] in _LANE]
        own = [name for name in slot.lists if name not in lane]
        lines += [f"    self.{name} = {'{}' if name.startswith('last') else '[]'}" for name in own]
        lines += [f"    self.{name} = 0" for name in (f"base_{slot.place}", *slot.counters, *slot.heads, *slot.doubts)]
        taken += [f"    if slot == {slot.place}:"] * bool(lane) + [f"        self.{name} = lane.{name.rpartition('_')[0]}" for name in lane]
    return ["class State:", *_in([*lines, "", "def take(self, slot, lane):", *taken]), "", ""]


def load(source: str, title: str, space: dict[str, Any], name: str) -> Any:
    """Run a text that defines a function of this name in a space, and give the function; a debugger finds the text while it lives."""
    file = f"<{title} #{next(_serial)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), space)
    weakref.finalize(space[name], linecache.cache.pop, file, None)
    return space[name]
