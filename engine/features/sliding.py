"""Windows that slide over one key's rows: what came in is added, what fell out is taken away, and nothing is summed twice.

The batch's way of the arithmetic that live history does by looking at every row of a window. It knows no frames.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.features import aggregate
from engine.features.looking import Asked, Cell, Rows, Waiting, asking, last_events, said, since_event
from engine.features.spec import THIS
from engine.features.tallies import OUT, SURE_LACKING, Asking, summable, tally
from engine.features.windows import FOREVER, Reach
from engine.values import Missing, Value, missing

if TYPE_CHECKING:
    from engine.features.spec import History, Measure

NEVER: Final = 2**63


class Lane:
    """The rows that one slot holds under one key: three lists, by time and then arrival."""

    __slots__ = ("states", "times", "values")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.states: list[int] = []
        self.values: list[Any] = []

    def insert(self, place: int, time: int, state: int, value: Any) -> None:
        self.times.insert(place, time)
        self.states.insert(place, state)
        self.values.insert(place, value)

    def forget(self, gone: int) -> None:
        """Drop the rows up to and with the moment `gone`."""
        cut = bisect_right(self.times, gone)
        del self.times[:cut], self.states[:cut], self.values[:cut]


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
        """The lane has a new row at `place`."""

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
        lane, window = self.lane, self.measure.reach.window
        rows = Rows(lane.times, lane.states, lane.values, seen.low, seen.high, seen.span, seen.own, seen.short)
        if self.waiting is not None:
            rows = self.waiting.look(rows, asked.this)
        if window.kind == "events":
            rows = last_events(rows, window.length, asked.since)
        elif window.kind == "since event":
            rows = since_event(rows, asked.since)
        return said(self.measure, rows, asked)


class Sliding(Window):
    """One measure whose window moves with time: its tally holds the lane's rows ``first <= place < last``, all after the moment `after`."""

    __slots__ = ("after", "first", "last", "tally")

    def __init__(self, measure: Measure, lane: Lane) -> None:
        super().__init__(measure, lane, None)
        self.tally, self.after = tally(measure), NEVER
        self.first = self.last = len(lane.times)

    def came(self, place: int, time: int) -> None:
        if place >= self.last and time > self.after:
            return
        self.last += 1
        if time > self.after:
            self.tally.add(self.lane.states[place], self.lane.values[place], time)
        else:
            self.first += 1

    def value(self, asked: Asked, own: int | None) -> Value:
        seen = self.seen(asked, own)
        if isinstance(seen, Missing):
            return seen
        if self.lane.times and asked.time < self.lane.times[-1]:
            return self.afresh(asked, seen)
        self._move(seen)
        rows = Rows((), (), (), 0, 0, seen.span, seen.own, seen.short)
        return self.tally.read(asking(self.measure, rows, asked, aggregate.lack(seen.short)))

    def _move(self, seen: Seen) -> None:
        """Add and drop rows until the tally holds those that are seen; ends may step back as starts do."""
        lane, held = self.lane, self.tally
        if seen.low >= self.last or seen.high <= self.first:
            held = self.tally = tally(self.measure)
            self.first = self.last = seen.low
        while self.last < seen.high:
            held.add(lane.states[self.last], lane.values[self.last], lane.times[self.last])
            self.last += 1
        while self.last > seen.high:
            self.last -= 1
            held.drop(lane.states[self.last], lane.values[self.last])
        while self.first < seen.low:
            held.drop(lane.states[self.first], lane.values[self.first])
            self.first += 1
        while self.first > seen.low:
            self.first -= 1
            held.add(lane.states[self.first], lane.values[self.first], lane.times[self.first])
        self.after = seen.span[0]


class Trailing(Sliding):
    """One whose window ends with the event, so that in order of time it holds every row after its start."""

    __slots__ = ("asking",)

    def __init__(self, measure: Measure, lane: Lane) -> None:
        super().__init__(measure, lane)
        self.asking = Asking(NEVER, NEVER, None, False, aggregate.UNDECIDED)

    def value(self, asked: Asked, own: int | None) -> Value:
        time, lane, reach, asking = asked.time, self.lane, self.measure.reach, self.asking
        times = lane.times
        if times and time < times[-1]:
            return super().value(asked, own)
        after = time - reach.length if reach.length is not None else reach.start(time)
        first, last, held = self.first, self.last, self.tally
        number = len(times)
        while last < number:
            held.add(lane.states[last], lane.values[last], times[last])
            last += 1
        while first < number and times[first] <= after:
            held.drop(lane.states[first], lane.values[first])
            first += 1
        # a month's start may step back: the 30th of March asks for less of February than the 29th at a later hour
        while first > 0 and times[first - 1] > after:
            first -= 1
            held.add(lane.states[first], lane.values[first], times[first])
        self.first, self.last, self.after = first, last, after
        asking.after, asking.upto, asking.currency = after, time, asked.currencies[self.slot]
        asking.short = after + 1 < asked.since
        asking.cause = aggregate.SHORT if asking.short else aggregate.UNDECIDED
        return held.read(asking)


class Past:
    """What one key's history carries from frame to frame: the oldest and the newest time, and a lane for each slot."""

    __slots__ = ("lanes", "newest", "oldest")

    def __init__(self, slots: int) -> None:
        self.oldest: int | None = None
        self.newest: int | None = None
        self.lanes = [Lane() for _ in range(slots)]

    def walk(
        self, history: History, waiting: list[Waiting | None], events: list[Asked], cells: list[list[Cell]], late: int
    ) -> list[list[Value]]:
        """For every event, in order of arrival, the values of all measures, none where it does not look; `cells` gives for each slot what
        a row is to it."""
        windows = [self._window(measure, waiting[measure.slot]) for measure in history.measures]
        by_slot = [[window for window in windows if window.slot == slot] for slot in range(len(self.lanes))]
        patient = any(measure.aggregate.needs is not None for measure in history.measures)
        tardy: list[Value] = [missing("late")] * len(windows)
        nowhere: list[int | None] = [None] * len(self.lanes)
        found: list[list[Value]] = []
        for asked in events:
            time, oldest = asked.time, self.oldest
            if self.newest is not None and time < self.newest - late:
                found.append(tardy)
                continue
            own = self._enter(asked, by_slot, cells) if asked.enters else nowhere
            if not asked.looks:
                found.append([])
            elif patient:
                found.append([self._value(window, asked, own, oldest) for window in windows])
            else:
                found.append([window.value(asked, own[window.slot]) for window in windows])
        return found

    def _window(self, measure: Measure, waiting: Waiting | None) -> Window:
        needs = measure.aggregate.needs
        plain = measure.inner is None and waiting is None and (needs is None or needs[0] == "history")
        slides = plain and measure.reach.by_time and summable(measure)
        if not slides:
            return Window(measure, self.lanes[measure.slot], waiting)
        ends = measure.reach.window.kind in ("trailing", "calendar", "business")
        return (Trailing if ends else Sliding)(measure, self.lanes[measure.slot])

    def _enter(self, asked: Asked, by_slot: list[list[Window]], cells: list[list[Cell]]) -> list[int | None]:
        """Keep the event; its place in each lane, if it has one."""
        time, places = asked.time, []
        in_order = self.newest is None or time >= self.newest
        for slot, lane in enumerate(self.lanes):
            state, value = cells[slot][asked.row]
            place = None
            if value is not None or state != OUT:
                place = len(lane.times) if in_order else bisect_right(lane.times, time)
                lane.insert(place, time, state, value)
                for window in by_slot[slot]:
                    window.came(place, time)
            places.append(place)
        self.oldest = time if self.oldest is None else min(self.oldest, time)
        self.newest = time if self.newest is None else max(self.newest, time)
        return places

    def _value(self, window: Window, asked: Asked, own: list[int | None], oldest: int | None) -> Value:
        measure = window.measure
        kind, length, unit = measure.aggregate.needs or ("", 0, "")
        if kind == "history" and (oldest is None or oldest > measure.reach.clock.back(asked.time, length, unit)):
            return missing("short history")
        return window.value(asked, own[window.slot])

    def forget(self, late: int, history: History) -> None:
        """Drop what no later window can see."""
        if self.newest is None:
            return
        seen = self.newest - late
        for lane, slot, reaches in zip(self.lanes, history.slots, history.reaches, strict=True):
            lane.forget(min(_gone(lane, reach, slot.looks, seen) for reach in reaches))


def _gone(lane: Lane, reach: Reach, looks: bool, seen: int) -> int:
    """The last moment that no event at or after `seen` sees through this window."""
    if reach.by_time:
        return reach.seen_before(seen)
    if looks:
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
