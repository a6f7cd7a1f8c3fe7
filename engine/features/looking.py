"""What an event sees through windows that are looked at afresh by every event: those that count events, begin with one, compare rows with
the event that looks, hold one aggregate inside another, or ask for the first or the last row.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.backends import single
from engine.features import aggregate
from engine.features.aggregate import EMPTY
from engine.features.spec import Measure, Slot
from engine.features.tallies import MAYBE, MAYBE_LACKING, OUT, SURE, SURE_LACKING, Asking, settled, summable, tally
from engine.features.windows import FOREVER, Bounds, periods
from engine.values import DAY, Interval, Missing, Value, first, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.lang import ir
    from engine.plan import Row

_UNSURE: Final = {OUT: OUT, SURE: MAYBE, SURE_LACKING: MAYBE_LACKING, MAYBE: MAYBE, MAYBE_LACKING: MAYBE_LACKING}

Cell = tuple[int, Any]
"""What a row is to a slot, and its value: for a share the value and whether it is in the part. Where windows begin with an event, whether
it is one and then the value; in a network the two accounts and the value; where rows wait for one that looks, all that and what the
conditions read."""


class Asked(NamedTuple):
    """One event that asks: its row, its time, for each slot the currency an empty sum has, since when history is complete, what
    conditions and windows read of it, whether it looks under this key, and whether it is kept under it; `key` is its record's key."""

    row: int
    time: int
    currencies: list[Value]
    since: int
    this: Row
    looks: bool = True
    enters: bool = True
    key: Any = None


@dataclass(slots=True)
class Rows:
    """Rows ``low <= place < high`` of four lists, by time and then arrival. `own` says that the last is the event that asks."""

    times: Sequence[int]
    states: Sequence[int]
    values: Sequence[Any]
    keys: Sequence[Any]
    low: int
    high: int
    span: Bounds
    own: bool = False
    short: bool = False
    most: int | None = None
    least: int = 0


class Waiting:
    """Judges rows that waited for an event that looks."""

    def __init__(self, slot: Slot) -> None:
        self._share = slot.share
        self._where, self._part, self._event = (self._compiled(condition) for condition in (slot.where, slot.part, slot.event))
        self._marks = slot.event is not None

    @staticmethod
    def _compiled(condition: ir.Expr | None) -> Any:
        return (lambda _: True) if condition is None else single.compile_expr(condition)

    def judge(self, this: Row) -> Callable[[Row], bool | None]:
        """Whether a row counts to the event, by what its conditions read."""
        return lambda fields: truth(self._where({**fields, **this}))

    def look(self, rows: Rows, this: Row) -> Rows:
        """The rows as the event sees them, without those that do not count."""
        times: list[int] = []
        states: list[int] = []
        values: list[Any] = []
        keys: list[Any] = []
        own = False
        for place in range(rows.low, rows.high):
            value, fields = rows.values[place]
            seen = {**fields, **this}
            state, value = cell(truth(self._where(seen)), value, truth(self._part(seen)) if self._share else True, self._share)
            mark = truth(self._event(seen)) if self._marks else False
            own = rows.own and place == rows.high - 1 and (state != OUT or mark is not False)
            if state != OUT or mark is not False:
                times.append(rows.times[place])
                states.append(state)
                values.append((mark, value) if self._marks else value)
                keys.append(rows.keys[place])
        return replace(rows, times=times, states=states, values=values, keys=keys, low=0, high=len(times), own=own)


def truth(value: Value) -> bool | None:
    """What a condition says; none where it says neither."""
    return None if isinstance(value, Missing) else value


def cell(truth: bool | None, value: Any, part: bool | None = True, share: bool = False) -> Cell:
    """What a row is: from whether it counts, its value (none where not known), and for a share whether it is in the part."""
    if truth is False:
        return OUT, None
    if share:
        value = None if value is None or part is None else (value, part)
    if truth:
        return (SURE_LACKING, None) if value is None else (SURE, value)
    return (MAYBE_LACKING, None) if value is None else (MAYBE, value)


# --- which rows ------------------------------------------------------------------------------------------------------


def last_events(rows: Rows, length: int, since: int) -> Rows:
    """The last so many rows that count, found from the newest on."""
    times: list[int] = []
    states: list[int] = []
    values: list[Any] = []
    keys: list[Any] = []
    sure, begin, place = 0, FOREVER, rows.high - 1
    while place >= rows.low and sure < length:
        time, state = rows.times[place], rows.states[place]
        inside = state <= SURE_LACKING and len(times) < length and time >= since
        times.append(time)
        states.append(state if inside else _UNSURE[state])
        values.append(rows.values[place])
        keys.append(rows.keys[place])
        if state <= SURE_LACKING:
            sure, begin = sure + 1, time
        place -= 1
    short = (begin if sure == length else FOREVER) < since
    return Rows(times[::-1], states[::-1], values[::-1], keys[::-1], 0, len(times), rows.span, rows.own, short, length, sure)


def since_event(rows: Rows, since: int) -> Rows:
    """The rows after the last event that the window begins with, found from the newest on; the one that asks is never it."""
    found: list[tuple[int, int, Any, Any]] = []
    begin, doubtful = FOREVER, False
    for place in range(rows.high - 1, rows.low - 1, -1):
        time, (mark, value) = rows.times[place], rows.values[place]
        asking = rows.own and place == rows.high - 1
        if mark is True and not asking:
            begin = time
            break
        doubtful = doubtful or (mark is None and not asking)
        state = rows.states[place]
        found.append((time, _UNSURE[state] if doubtful else state, value, rows.keys[place]))
    short = begin < since
    own = rows.own and rows.states[rows.high - 1] != OUT
    kept = [(t, _UNSURE[state] if short and t < since else state, value, key) for t, state, value, key in reversed(found) if state != OUT]
    times, states, values, keys = ([row[part] for row in kept] for part in range(4))
    return Rows(times, states, values, keys, 0, len(kept), rows.span, own, short)


# --- what they say ---------------------------------------------------------------------------------------------------


def said(measure: Measure, rows: Rows, asked: Asked) -> Value:
    """What a measure says of these rows."""
    needs = measure.aggregate.needs
    if needs is not None and needs[0] == "events" and _surely(rows) < needs[1]:
        return missing("short history")
    if measure.inner is not None:
        return _over_periods(measure, measure.inner, rows, asked)
    return _aggregated(measure, rows, asked, aggregate.lack(rows.short))


def _surely(rows: Rows) -> int:
    if rows.most is not None:
        return rows.least
    return sum(rows.states[place] <= SURE_LACKING for place in range(rows.low, rows.high))


def _aggregated(measure: Measure, rows: Rows, asked: Asked, cause: Missing) -> Value:
    if not summable(measure):
        return _first(measure, rows, cause) if measure.aggregate.function == "first" else _last(measure, rows, asked, cause)
    held = tally(measure)
    for place in range(rows.low, rows.high):
        held.add(rows.states[place], rows.values[place])
    return held.read(asking(measure, rows, asked, cause))


def asking(measure: Measure, rows: Rows, asked: Asked, cause: Missing) -> Asking:
    """How a tally of these rows is read."""
    return Asking(asked.currencies[measure.slot], rows.short, cause, rows.most, rows.least)


def _first(measure: Measure, rows: Rows, cause: Missing) -> Value:
    if rows.short:
        return cause
    if rows.low == rows.high:
        return EMPTY
    return settled(rows.values[rows.low], measure.of) if rows.states[rows.low] == SURE else cause


def _last(measure: Measure, rows: Rows, asked: Asked, cause: Missing) -> Value:
    """The last row before the event that asks, or the time since: known only where nobody can have missed a later one."""
    place = rows.high - 1 - rows.own
    if place < rows.low:
        return cause if rows.short else EMPTY
    time, state = rows.times[place], rows.states[place]
    if state > SURE_LACKING or (rows.short and time < asked.since):
        return cause
    if measure.aggregate.function == "time since last":
        return (asked.time - time) * (DAY if measure.reach.clock.dates else 1)
    return settled(rows.values[place], measure.of) if state == SURE else cause


def _over_periods(measure: Measure, inner: Measure, rows: Rows, asked: Asked) -> Value:
    """The outer aggregate over what the inner says of each period."""
    times: list[int] = []
    states: list[int] = []
    values: list[Any] = []
    causes: list[Missing] = []
    for span in periods(measure.reach.clock, inner.reach.window.period, *rows.span, asked.time):
        low, high = (bisect_right(rows.times, end, rows.low, rows.high) for end in span)
        short, own = span[0] + 1 < asked.since, rows.own and high == rows.high
        part = Rows(rows.times, rows.states, rows.values, rows.keys, low, high, span, own, short)
        value = _aggregated(inner, part, asked, aggregate.lack(short))
        if value is EMPTY:
            continue
        times.append(span[0] + 1)
        if value.__class__ in (Missing, Interval):
            causes.append(missing(value.cause))
            states.append(SURE_LACKING if inner.aggregate.function in aggregate.NEVER_EMPTY else MAYBE_LACKING)
            values.append(None)
        else:
            states.append(SURE)
            values.append(value)
    cause = first(causes) if causes else aggregate.lack(False)
    return _aggregated(measure, Rows(times, states, values, times, 0, len(times), rows.span), asked, cause)
