"""Windows that slide over one key's rows: what came in is added, what fell out is taken away, and nothing is summed twice.

Live history and the batch both stand on it. It knows neither frames nor stores.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.features import aggregate
from engine.features.fused import UNSAID
from engine.features.looking import Asked, Cell, Rows, Waiting, asking, last_events, said, since_event
from engine.features.spec import THIS, together
from engine.features.tallies import OUT, SURE, SURE_LACKING, Asking, summable, tally
from engine.features.windows import FOREVER, Reach
from engine.values import Missing, Value, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.features.fused import Fused
    from engine.features.spec import History, Measure

NEVER: Final = 2**63


class Implied:
    """In place of a list that need not be kept, since what stands in it follows."""

    __slots__ = ()

    def __delitem__(self, place: int | slice) -> None: ...

    def insert(self, place: int, thing: Any) -> None: ...


class Counted(Implied):
    """The values of rows that are only counted."""

    __slots__ = ()

    def __getitem__(self, place: int) -> bool:
        return True


class Surely(Implied):
    """The states of rows that are all surely in: whether their `values` are known."""

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = values

    def __getitem__(self, place: int) -> int:
        return SURE if self.values[place] is not None else SURE_LACKING


class Lane:
    """The rows that one slot holds under one key: four lists, by time and then arrival; `keys` says which event each row was.

    Slots that keep the same rows have one list of times and one of keys, which change with the lane that is the `first` of them.
    """

    __slots__ = ("first", "keys", "states", "times", "values")

    def __init__(self, first: Lane | None = None, always: bool = False, counts: bool = False) -> None:
        """`always`: every row is surely in; `counts`: and has no value."""
        self.first = first is None
        self.times: list[int] = [] if first is None else first.times
        self.keys: list[Any] = [] if first is None else first.keys
        self.values: Any = Counted() if always and counts else []
        self.states: Any = Surely(self.values) if always else []

    def insert(self, place: int, time: int, one: Cell, key: Any) -> None:
        state, value = one
        self.states.insert(place, state)
        self.values.insert(place, value)
        if self.first:
            self.times.insert(place, time)
            self.keys.insert(place, key)

    def find(self, time: int, key: Any) -> int | None:
        """The place of the row of this event; none where it has none."""
        place = bisect_right(self.times, time) - 1
        while place >= 0 and self.times[place] == time:
            if self.keys[place] == key:
                return place
            place -= 1
        return None

    def remove(self, place: int) -> None:
        del self.states[place], self.values[place]
        if self.first:
            del self.times[place], self.keys[place]

    def cut(self, number: int) -> None:
        """Drop the first so many rows."""
        del self.states[:number], self.values[:number]
        if self.first:
            del self.times[:number], self.keys[:number]


class Seen(NamedTuple):
    """What one measure's window covers for one event: its span, the places of its rows in the lane, and whether the last of them is the
    event itself; `short` where it begins before history does."""

    span: tuple[int, int]
    low: int
    high: int
    own: bool
    short: bool


class Window:
    """One measure over a lane, looked at afresh by every event."""

    __slots__ = ("lane", "measure", "slot", "waiting")

    def __init__(self, measure: Measure, lane: Lane, waiting: Waiting | None) -> None:
        self.measure, self.slot, self.lane, self.waiting = measure, measure.slot, lane, waiting

    def came(self, place: int, time: int) -> None:
        """The lane has a new row at `place`, before others."""

    def leaves(self, place: int) -> None:
        """The lane is about to lose the row at `place`."""

    def cut(self, number: int) -> None:
        """The lane is about to lose its first so many rows, which no later event sees."""

    def value(self, asked: Asked, own: int | None) -> Value:
        """What the measure says to the event; `own` is its place in the lane, if it has one."""
        seen = self.seen(asked, own)
        return seen if isinstance(seen, Missing) else self.afresh(asked, seen)

    def seen(self, asked: Asked, own: int | None) -> Seen | Missing:
        """Which rows lie in the window's span."""
        window, times = self.measure.reach.window, self.lane.times
        bounds = self.measure.reach.bounds(asked.time, None if window.field is None else asked.this[f"{THIS}{window.field}"])
        if isinstance(bounds, Missing):
            return bounds
        after, upto = bounds
        low = bisect_right(times, after)
        if own is None or upto < asked.time:
            high, included = bisect_right(times, upto), False
        else:
            included = window.kind != "before" and after < upto
            high = own + included
        return Seen(bounds, low, max(low, high), included, self.measure.reach.by_time and after < upto and after + 1 < asked.since)

    def afresh(self, asked: Asked, seen: Seen) -> Value:
        """The value from nothing but the rows that are there."""
        return said(self.measure, self.rows(asked, seen), asked)

    def rows(self, asked: Asked, seen: Seen) -> Rows:
        """The rows of the window, as the event sees them."""
        lane, window = self.lane, self.measure.reach.window
        rows = Rows(lane.times, lane.states, lane.values, lane.keys, seen.low, seen.high, seen.span, seen.own, seen.short)
        if self.waiting is not None:
            rows = self.waiting.look(rows, asked.this)
        if window.kind == "events":
            rows = last_events(rows, window.length, asked.since)
        elif window.kind == "since event":
            rows = since_event(rows, asked.since)
        return rows


class Sliding(Window):
    """One measure whose window moves with time: its tally holds the lane's rows ``first <= place < last``, all after the moment `after`."""

    __slots__ = ("after", "first", "last", "tally")

    def __init__(self, measure: Measure, lane: Lane) -> None:
        super().__init__(measure, lane, None)
        self.tally, self.after = tally(measure), NEVER
        self.first = self.last = 0

    def came(self, place: int, time: int) -> None:
        if place >= self.last:
            return
        self.last += 1
        if time > self.after:
            self.tally.add(self.lane.states[place], self.lane.values[place])
        else:
            self.first += 1

    def leaves(self, place: int) -> None:
        if place >= self.last:
            return
        self.last -= 1
        if place < self.first:
            self.first -= 1
        else:
            self.tally.drop(self.lane.states[place], self.lane.values[place])

    def cut(self, number: int) -> None:
        if self.last <= number:
            self.tally, self.first, self.last = tally(self.measure), 0, 0
            return
        while self.first < number:
            self.tally.drop(self.lane.states[self.first], self.lane.values[self.first])
            self.first += 1
        self.first, self.last = self.first - number, self.last - number

    def value(self, asked: Asked, own: int | None) -> Value:
        seen = self.seen(asked, own)
        if isinstance(seen, Missing):
            return seen
        self._move(seen)
        rows = Rows((), (), (), (), 0, 0, seen.span, seen.own, seen.short)
        return self.tally.read(asking(self.measure, rows, asked, aggregate.lack(seen.short)))

    def _move(self, seen: Seen) -> None:
        """Add and drop rows until the tally holds those that are seen, or begin again where that is less; ends may step back too."""
        lane, held = self.lane, self.tally
        if abs(self.first - seen.low) + abs(self.last - seen.high) > seen.high - seen.low:
            held = self.tally = tally(self.measure)
            self.first = self.last = seen.low
        while self.last < seen.high:
            held.add(lane.states[self.last], lane.values[self.last])
            self.last += 1
        while self.last > seen.high:
            self.last -= 1
            held.drop(lane.states[self.last], lane.values[self.last])
        while self.first < seen.low:
            held.drop(lane.states[self.first], lane.values[self.first])
            self.first += 1
        while self.first > seen.low:
            self.first -= 1
            held.add(lane.states[self.first], lane.values[self.first])
        self.after = seen.span[0]


class Trailing(Sliding):
    """One whose window ends with the event, so that in order of time it holds every row after its start."""

    __slots__ = ("asking",)

    def __init__(self, measure: Measure, lane: Lane) -> None:
        super().__init__(measure, lane)
        self.asking = Asking(None, False, aggregate.UNDECIDED)

    def value(self, asked: Asked, own: int | None) -> Value:
        time, lane, reach, asking = asked.time, self.lane, self.measure.reach, self.asking
        times = lane.times
        if times and time < times[-1]:
            return super().value(asked, own)
        after = time - reach.length if reach.length is not None else reach.start(time)
        if not self.last:
            self.first = self.last = bisect_right(times, after)
        first, last, held = self.first, self.last, self.tally
        number = len(times)
        while last < number:
            held.add(lane.states[last], lane.values[last])
            last += 1
        while first < number and times[first] <= after:
            held.drop(lane.states[first], lane.values[first])
            first += 1
        # a month's start may step back: the 30th of March asks for less of February than the 29th at a later hour
        while first > 0 and times[first - 1] > after:
            first -= 1
            held.add(lane.states[first], lane.values[first])
        self.first, self.last, self.after = first, last, after
        asking.currency = asked.currencies[self.slot]
        asking.short = after + 1 < asked.since
        asking.cause = aggregate.SHORT if asking.short else aggregate.UNDECIDED
        return held.read(asking)


class Course:
    """What all keys of one history have in common: its slots and measures, what waits for one that looks, how late a row may be, and
    whether rows may be withdrawn; and where events come one by one, the generated code for the common windows."""

    def __init__(self, history: History, late: int, corrected: bool = False, fused: Fused | None = None) -> None:
        self.history, self.late, self.corrected, self.fused = history, late, corrected, fused
        self.waiting = [Waiting(slot) if slot.looks else None for slot in history.slots]
        self.patient = any(measure.aggregate.needs is not None for measure in history.measures)
        self.together = together(history)
        self.tardy: list[Value] = [missing("late")] * len(history.measures)
        self.nowhere: list[int | None] = [None] * len(history.slots)

    def lanes(self) -> list[Lane]:
        """An empty lane for each slot."""
        found: dict[int, Lane] = {}
        for slots, _ in self.together:
            for slot in slots:
                of = self.history.slots[slot]
                # what is generated reads no states of such rows; windows that read all would take longer
                found[slot] = Lane(found.get(slots[0]), self.fused is not None and of.always, of.of is None)
        return [found[slot] for slot in range(len(found))]

    def window(self, measure: Measure, lanes: Sequence[Lane]) -> Window:
        """An empty window over its lane."""
        needs, waiting, lane = measure.aggregate.needs, self.waiting[measure.slot], lanes[measure.slot]
        plain = measure.inner is None and waiting is None and (needs is None or needs[0] == "history")
        if not (plain and measure.reach.by_time and summable(measure)):
            return Window(measure, lane, waiting)
        ends = measure.reach.window.kind in ("trailing", "calendar", "business")
        return (Trailing if ends else Sliding)(measure, lane)


class Standing(NamedTuple):
    """How one key's history stands: the oldest and the newest time that entered it, and how often it changed."""

    oldest: int
    newest: int
    number: int


NOTHING: Final = Standing(NEVER, FOREVER, 0)
"""How a history stands before anything entered it."""


class Content(NamedTuple):
    """A row of a window: the key of its event, its time, its value, none where that is not known, and whether it is surely in."""

    key: Any
    time: int
    value: Value
    surely: bool


class Withdrawn(NamedTuple):
    """A row that left a lane."""

    slot: int
    place: int
    time: int
    one: Cell
    key: Any


class Past:
    """One key's history: how it stands, a lane for each slot, and windows that slide over them, made when they are first asked."""

    __slots__ = ("_windows", "course", "lanes", "newest", "number", "oldest", "state")

    def __init__(self, course: Course) -> None:
        self.course = course
        self.oldest, self.newest, self.number = NOTHING
        self.state: Any = None
        """What the generated code holds; none where it is to be made again from the rows."""
        self.lanes = course.lanes()
        self._windows: list[Window] = []

    def walk(self, events: list[Asked], cells: list[list[Cell]], stands: dict[Any, int] | None = None) -> list[list[Value]]:
        """For every event of a frame, in order of arrival, the values of all measures, none where it does not look; `cells` gives for each
        slot what a row is to it. What no later event sees is dropped in the end, and so are the windows: a key at rest is small.

        Where events are corrected, `stands` says at what time the row of an event stands here: it leaves when another version comes that is
        not late.
        """
        observe = self.observe if stands is None else self._instead(stands)
        found = [observe(asked, [column[asked.row] for column in cells])[0] for asked in events]
        self._windows = []
        self.forget()
        return found

    def _instead(self, stands: dict[Any, int]) -> Callable[[Asked, Sequence[Cell]], tuple[list[Value], list[int | None] | None]]:
        """`observe`, before which the version before leaves."""

        def observe(asked: Asked, cells: Sequence[Cell]) -> tuple[list[Value], list[int | None] | None]:
            if asked.key in stands and not self.late(asked.time):
                self.withdraw(stands.pop(asked.key), asked.key)
            said, own = self.observe(asked, cells)
            if own is not None:
                stands[asked.key] = asked.time
            return said, own

        return observe

    def observe(self, asked: Asked, cells: Sequence[Cell]) -> tuple[list[Value], list[int | None] | None]:
        """What the measures say to an event, nothing where it does not look, and the place in each lane of one that is part of this history
        from now on: one that enters and is not late."""
        if self.late(asked.time):
            return self.course.tardy, None
        oldest = self.oldest
        own = self.enter(asked, cells) if asked.enters else None
        return self.say(asked, own or self.course.nowhere, oldest) if asked.looks else [], own

    @property
    def standing(self) -> Standing:
        return Standing(self.oldest, self.newest, self.number)

    @standing.setter
    def standing(self, standing: Standing) -> None:
        self.oldest, self.newest, self.number = standing

    def tell(self, time: int, key: Any, cells: Sequence[Cell], since: int) -> tuple[bool, list[Value]] | None:
        """The same by the generated code, and whether it leaves something `UNSAID`; none, and nothing is done, where the event is out of
        order."""
        if time < self.newest or self.course.fused is None:
            return None
        if self.state is None:
            self.state = self.course.fused.state(self.lanes)
        if not self.number:
            self.oldest = time
        self.newest = time
        self.number += 1
        return self.course.fused.tell(self.state, time, key, cells, since)

    def fill(self, said: list[Value], asked: Asked, own: Sequence[int | None], oldest: int) -> None:
        """Say what the generated code did not."""
        windows = self._made()
        for place, value in enumerate(said):
            if value is UNSAID:
                said[place] = self._value(windows[place], asked, own, oldest)

    def at_end(self, cells: Sequence[Cell]) -> list[int | None]:
        """The places of the row that came last, which is these cells."""
        kept = (value is not None or state != OUT for state, value in cells)
        return [len(lane.times) - 1 if there else None for lane, there in zip(self.lanes, kept, strict=True)]

    def load(self, standing: Standing, rows: Iterable[tuple[int, Any, Sequence[Cell]]]) -> None:
        """Take over what was kept of it: its rows, by time and arrival."""
        self.standing = standing
        for time, key, cells in rows:
            self.take(time, key, cells)
        self.forget()

    def take(self, time: int, key: Any, cells: Sequence[Cell]) -> list[int | None]:
        """A row that entered, with no word on how history stands then; its place in each lane, if it has one."""
        own: list[int | None] = [None] * len(cells)
        for slots, _ in self.course.together:
            state, value = cells[slots[0]]
            if state != OUT or value is not None:
                times = self.lanes[slots[0]].times
                place = bisect_right(times, time) if times and time < times[-1] else len(times)
                for slot in slots:
                    self._enter(slot, place, time, cells[slot], key)
                    own[slot] = place
        return own

    def late(self, time: int) -> bool:
        """Whether an event comes too late for this history."""
        return self.number > 0 and time < self.newest - self.course.late

    def enter(self, asked: Asked, cells: Sequence[Cell]) -> list[int | None]:
        """Keep an event that is not late; its place in each lane, if it has one."""
        time = asked.time
        self.oldest, self.newest, self.number = min(self.oldest, time), max(self.newest, time), self.number + 1
        return self.take(time, asked.key, cells)

    def _enter(self, slot: int, place: int, time: int, one: Cell, key: Any) -> None:
        lane = self.lanes[slot]
        lane.insert(place, time, one, key)
        if place + 1 < len(lane.times):
            for window in self._over(slot):
                window.came(place, time)
        if self.state is not None and self.course.fused is not None:
            self.course.fused.insert(self.state, slot, place, time, one, len(lane.times))

    def _over(self, slot: int) -> list[Window]:
        return [window for window in self._windows if window.slot == slot]

    def say(self, asked: Asked, own: Sequence[int | None], oldest: int) -> list[Value]:
        """The values of all measures to an event that has these places; `oldest` is the time of the first row before it."""
        windows = self._made()
        if self.course.patient:
            return [self._value(window, asked, own, oldest) for window in windows]
        return [window.value(asked, own[window.slot]) for window in windows]

    def _made(self) -> list[Window]:
        if not self._windows:
            self._windows = [self.course.window(measure, self.lanes) for measure in self.course.history.measures]
        return self._windows

    def _value(self, window: Window, asked: Asked, own: Sequence[int | None], oldest: int) -> Value:
        measure = window.measure
        kind, length, unit = measure.aggregate.needs or ("", 0, "")
        if kind == "history" and oldest > measure.reach.clock.back(asked.time, length, unit):
            return missing("short history")
        return window.value(asked, own[window.slot])

    def contents(self, place: int, asked: Asked) -> list[Content]:
        """The rows in the window of the measure at `place`, as a look sees them."""
        measure = self.course.history.measures[place]
        window = self.course.window(measure, self.lanes)
        seen = None if self.late(asked.time) else window.seen(asked, None)
        if seen is None or isinstance(seen, Missing):
            return []
        rows, share = window.rows(asked, seen), self.course.history.slots[measure.slot].share
        found = []
        for at in range(rows.low, rows.high):
            value = rows.values[at][0] if share and rows.values[at] is not None else rows.values[at]
            found.append(Content(rows.keys[at], rows.times[at], value, rows.states[at] <= SURE_LACKING))
        return found

    # --- taking back -------------------------------------------------------------------------------------------------

    def take_back(self, own: Sequence[int | None], standing: Standing) -> None:
        """Undo the last `enter`, before which history had this standing."""
        self.standing = standing
        for slot, place in enumerate(own):
            if place is not None:
                self._remove(slot, place)

    def withdraw(self, time: int, key: Any) -> list[Withdrawn]:
        """The row of an event leaves; how history stands is not touched."""
        found = []
        for slots, _ in self.course.together:
            place = self.lanes[slots[0]].find(time, key)
            if place is None:
                continue
            for slot in slots:
                lane = self.lanes[slot]
                found.append(Withdrawn(slot, place, time, (lane.states[place], lane.values[place]), key))
                self._remove(slot, place)
        return found

    def put_back(self, withdrawn: Sequence[Withdrawn]) -> None:
        """Undo the last `withdraw`."""
        for slot, place, time, one, key in withdrawn:
            self.state = None
            self.lanes[slot].insert(place, time, one, key)
            for window in self._over(slot):
                window.came(place, time)

    def _remove(self, slot: int, place: int) -> None:
        self.state = None
        for window in self._over(slot):
            window.leaves(place)
        self.lanes[slot].remove(place)

    # --- forgetting --------------------------------------------------------------------------------------------------

    def gone(self, slot: int) -> int:
        """The last moment of a slot that no later event sees."""
        if self.newest == FOREVER:
            return FOREVER
        history, seen = self.course.history, self.newest - self.course.late
        by_rows = not history.slots[slot].looks and not self.course.corrected  # what counts now may be withdrawn, and bring older rows back
        return min(_gone(self.lanes[slot], reach, by_rows, seen) for reach in history.reaches[slot])

    def unseen(self) -> int:
        """The last moment of all slots that no later event sees."""
        return min((self.gone(slot) for slot in range(len(self.lanes))), default=FOREVER)

    def forget(self, part: int | None = None) -> None:
        """Drop what no later event sees; with `part`, only from a lane where that is one row of so many."""
        if self.state is not None and self.state.time < self.newest:
            self.state = None
        seen = self.newest - self.course.late
        for place, (slots, length) in enumerate(self.course.together):
            gone = min(map(self.gone, slots)) if length is None else seen - length
            times = self.lanes[slots[0]].times
            number = bisect_right(times, gone)
            if number and (part is None or number * part >= len(times)):
                for slot in slots:
                    self._cut(slot, number)
                if self.state is not None and self.course.fused is not None:
                    self.course.fused.cut(self.state, place, number, gone)

    def _cut(self, slot: int, number: int) -> None:
        for window in self._over(slot):
            window.cut(number)
        self.lanes[slot].cut(number)


def _gone(lane: Lane, reach: Reach, by_rows: bool, seen: int) -> int:
    """The last moment that no event at or after `seen` sees through this window, of which rows may tell that (`by_rows`)."""
    if reach.by_time:
        return reach.seen_before(seen)
    if not by_rows:
        return FOREVER
    sure, kind, length = 0, reach.window.kind, reach.window.length
    for place in range(bisect_right(lane.times, seen) - 1, -1, -1):
        if kind == "since event":
            if lane.values[place][0] is True:
                return lane.times[place] - 1
        elif lane.states[place] <= SURE_LACKING:
            sure += 1
            if sure == length:
                return lane.times[place] - 1
    return FOREVER
