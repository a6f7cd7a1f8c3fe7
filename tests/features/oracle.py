"""What features over history mean, by brute force over the list of events that arrived: no state, no speed, nothing shared with the engine
but what a value is and what an expression says. Live and batch are held against it.
"""

from __future__ import annotations

import calendar
import datetime as dt
import statistics
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from engine import zones
from engine.backends import reference
from engine.backends.holding import Answer, Ask
from engine.features.spec import BoundFeatures
from engine.lang import ir
from engine.plan import DAY_OF_EVENT, NOW, TICK, Row
from engine.record import Record
from engine.values import DAY, Missing, Money, Type, Value, first, integer, interval, known, missing, number, percent, settle, show
from tests.features import oracle_network

FOREVER = -(2**63)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SHORT, UNDECIDED, EMPTY = missing("short history"), missing("undecided history"), missing("empty")


def timed(given: Row, record: Record) -> Row:
    """A row that says what time it is, and which local day."""
    row = {**given, NOW: given[record.time]}
    return row | {DAY_OF_EVENT: (History(record, 0, [], row).local(row[NOW]) - dt.datetime(1970, 1, 1)).days}


def features(stream: Sequence[Row], group: BoundFeatures, record: Record, since: int | None) -> list[Row]:
    """What the features say of every event, in order of arrival. An event that comes again gets the answer it got; a tick looks, and
    leaves nothing. An event whose key is there with other content is refused, unless it has a higher revision: then it is a correction."""
    arrived: list[Row] = []
    newest: dict[Any, tuple[Row, Row]] = {}
    said: list[Row] = []
    for given in stream:
        row = timed(given, record)
        key = tuple(row[name] for name in record.key)
        before, answer = newest.get(key, (None, {}))
        if not row.get(TICK) and before is not None and not (record.revision and row[record.revision] > before[record.revision]):
            said.append(answer if row == before else refusal(record, row, before))
            continue
        begin = since if since is not None else (arrived or [row])[0][NOW]
        answer = {}
        for feature in group.bound:
            if isinstance(feature.value, ir.Aggregate):
                answer[feature.name] = History(record, begin, arrived, row).value(feature.value)
            else:
                answer[feature.name] = reference.evaluate(feature.value, {**row, **answer})
        said.append(answer)
        if not row.get(TICK):
            newest[key] = row, answer
            arrived.append(row)
    return said


def refusal(record: Record, row: Row, before: Row) -> Row:
    """Why an event is refused whose key is there with other content."""
    text = "an event with " + ", ".join(f"`{name}` = {row[name]!r}" for name in record.key) + " was there before with "
    name = record.revision
    if name is None:
        return {"refused": text + "other content"}
    now, then = row[name], before[name]
    lower = f"a higher revision: `{name}` is {now}, it was {then}"
    return {"refused": text + (lower if now < then else f"other content and the same revision: `{name}` is {now}")}


class Seen(NamedTuple):
    """A row of a window: whether it is in it (none: perhaps), its value, none where that is not known, and whether it is in the part."""

    row: Row
    surely: bool
    value: Value
    part: bool = True

    @property
    def time(self) -> int:
        return int(self.row[NOW])


class Window(NamedTuple):
    """The rows by time and arrival; whether rows may be in it that nobody has seen; how many it holds at most, and surely."""

    rows: list[Seen]
    short: bool
    most: int | None = None
    least: int | None = None


class History:
    """What one event (`this`) sees of those that `arrived` before it."""

    def __init__(self, record: Record, since: int, arrived: Sequence[Row], this: Row) -> None:
        self.record, self.since, self.arrived, self.this, self.now = record, since, arrived, this, this[NOW]
        self.dates = record.field(record.time).type.kind == "date"
        self.late = record.late // DAY if self.dates else record.late

    # --- the rows of a key ---

    def value(self, a: ir.Aggregate) -> Value:
        if a.network is not None:
            return oracle_network.said(self, a)
        key = tuple(self.this[name] for name in a.per)
        if not all(map(known, key)):
            return first(key)
        rows, ever = self.of_key(a, key)
        if ever and self.now < max(ever) - self.late:
            return missing("late")
        if a.needs is not None and a.needs[0] == "history" and not any(time <= self.back(self.now, *a.needs[1:]) for time in ever):
            return SHORT
        given = None if a.window.field is None else self.this[a.window.field]
        if isinstance(given, Missing):
            return given
        rows = [row for row in rows if self.this.get(TICK) or not self.same(row, self.this)]
        rows = sorted((row for row in [*rows, self.this] if row[NOW] <= self.now), key=lambda row: row[NOW])
        rows = [row for row in rows if row is not self.this or (self.bears(a, row, key) and not row.get(TICK))]
        return self.nested(a, rows) if a.inner is not None else self.plain(a, rows)

    def of_key(self, a: ir.Aggregate, key: tuple[Value, ...]) -> tuple[list[Row], list[int]]:
        """The rows under a key, and the times of all that ever entered there. What came too late for this key did not touch it: it neither
        entered, nor took away the version that it corrects."""
        kept: list[Row] = []
        ever: list[int] = []
        for row in self.arrived:
            if ever and row[NOW] < max(ever) - self.late:
                continue
            kept = [other for other in kept if not self.same(other, row)]
            if self.bears(a, row, key):
                kept.append(row)
                ever.append(row[NOW])
        return kept, ever

    def same(self, row: Row, other: Row) -> bool:
        """Whether the two are versions of one event."""
        return all(row[name] == other[name] for name in self.record.key)

    def bears(self, a: ir.Aggregate, row: Row, key: tuple[Value, ...]) -> bool:
        if a.matched:
            return any(known(row[name]) and row[name] == key[0] for name in a.matched)
        return tuple(row[name] for name in a.per) == key

    def plain(self, a: ir.Aggregate, rows: list[Row]) -> Value:
        window = self.window(a, rows)
        if not enough(a, window):
            return SHORT
        return self.say(a, window, SHORT if window.short else UNDECIDED)

    def nested(self, a: ir.Aggregate, rows: list[Row]) -> Value:
        """The aggregate over the values of the inner one, one a period; those periods count whose part that has come is in the window."""
        inner = a.inner
        assert inner is not None
        rows = [row for row in rows if self.in_time(a.window, row)]
        everything = Window([seen for row in rows if (seen := self.judge(inner, row)) is not None], short=False)
        if not enough(a, everything):
            return SHORT
        found, causes = [], []
        for begin, end in self.periods(a.window, inner.window.period):
            inside = [seen for seen in everything.rows if begin <= seen.time < end]
            short = begin < self.since
            value = self.say(inner, Window(inside, short), SHORT if short else UNDECIDED)
            if value is EMPTY:
                continue
            if not known(value):
                causes.append(missing(value.cause))
            surely = known(value) or inner.function in ("sum", "count", "distinct")
            found.append(Seen({NOW: begin}, surely, value if known(value) else None))
        outer = ir.Aggregate(a.function, ir.Read("", type=type_of(inner)), a.window, a.per, None, a.bounded)
        return self.say(outer, Window(found, short=False), first(causes) if causes else UNDECIDED)

    # --- windows ---

    def window(self, a: ir.Aggregate, rows: list[Row]) -> Window:
        if a.window.kind == "since event":
            return self.since_event(a, rows)
        seen = [one for row in rows if self.in_time(a.window, row) and (one := self.judge(a, row)) is not None]
        if a.window.kind == "events":
            return self.last_events(seen, a.window.length)
        begin, end = self.span(a.window)
        return Window(seen, begin < end and begin < self.since)

    def judge(self, a: ir.Aggregate, row: Row) -> Seen | None:
        """None where the row does not count."""
        counts, part = (a.among, a.where) if a.function == "share" else (a.where, None)
        seen = {**row, **{f"this.{name}": value for name, value in self.this.items()}}
        truth = True if counts is None else reference.evaluate(counts, seen)
        if truth is False:
            return None
        value = 1 if a.of is None else reference.evaluate(a.of, row)
        if a.of is not None and a.of.type.kind == "money" and a.of.type.scale == 1:
            value = settle(value, 1)  # whole units end in 64 bits; finer ones are settled once they are summed up
        is_part = True if part is None else reference.evaluate(part, seen)
        lacks = not known(value) or not known(is_part)
        return Seen(row, truth is True, None if lacks else value, is_part is True)

    def last_events(self, seen: list[Seen], length: int) -> Window:
        certain = [one for one in seen if one.surely]
        short = (certain[-length].time if len(certain) >= length else FOREVER) < self.since
        rows = []
        for place, one in enumerate(seen):
            after = seen[place + 1 :]
            if sum(other.surely for other in after) < length:
                surely = one.surely and len(after) < length and one.time >= self.since
                rows.append(one._replace(surely=surely))
        return Window(rows, short, length, min(length, len(certain)))

    def since_event(self, a: ir.Aggregate, rows: list[Row]) -> Window:
        assert a.window.event is not None
        marks = [False if row is self.this else self.holds(a.window.event, row) for row in rows]
        begin = max((place for place, mark in enumerate(marks) if mark is True), default=-1)
        doubtful = max((place for place, mark in enumerate(marks) if mark is not False), default=-1)
        short = (rows[begin][NOW] if begin >= 0 else FOREVER) < self.since
        found = []
        for place, row in enumerate(rows):
            one = self.judge(a, row)
            if place > begin and one is not None:
                surely = one.surely and place > doubtful and not (short and one.time < self.since)
                found.append(one._replace(surely=surely))
        return Window(found, short)

    def holds(self, condition: ir.Expr, row: Row) -> Value:
        return reference.evaluate(condition, {**row, **{f"this.{name}": value for name, value in self.this.items()}})

    def in_time(self, window: ir.Window, row: Row) -> bool:
        if window.kind in ("events", "since event"):
            return True
        if window.kind == "before" and row is self.this:
            return False
        if window.kind == "calendar":
            return self.period(row[NOW], window.period) == self.period(self.now, window.period)
        if window.kind == "full":
            return 1 <= self.period(self.now, window.period) - self.period(row[NOW], window.period) <= window.length
        if window.kind == "business":
            return self.business_day(window, row[NOW]) == self.business_day(window, self.now)
        begin, end = self.span(window)
        return bool(begin <= row[NOW] < end)

    def span(self, window: ir.Window) -> tuple[int, int]:
        """The first moment of the window, and the first after it."""
        now = self.now
        match window.kind:
            case "trailing" | "before":
                return self.back(now, window.length, window.unit) + 1, now + 1
            case "lagged" if window.unit == window.lag_unit:
                return self.back(now, window.lag + window.length, window.unit) + 1, self.back(now, window.lag, window.unit) + 1
            case "lagged":
                end = self.back(now, window.lag, window.lag_unit)
                return self.back(end, window.length, window.unit) + 1, end + 1
            case "calendar":
                return self.begin(self.period(now, window.period), window.period), now + 1
            case "full":
                this = self.period(now, window.period)
                return self.begin(this - window.length, window.period), self.begin(this, window.period)
            case "business":
                return self.closing(window, self.business_day(window, now)), now + 1
        given = self.this[window.field or ""]
        of_day = self.record.field(window.field or "").type.kind == "date" and not self.dates
        return self.moment(dt.datetime.combine(date_of(given), dt.time())) if of_day else given, now + 1

    # --- the calendar ---

    def local(self, time: int) -> dt.datetime:
        if self.dates:
            return dt.datetime.combine(date_of(time), dt.time())
        return (EPOCH + dt.timedelta(microseconds=time)).astimezone(zones.zone(self.record.zone)).replace(tzinfo=None)

    def moment(self, local: dt.datetime) -> int:
        if self.dates:
            return local.toordinal() - EPOCH.toordinal()
        return (local.replace(tzinfo=zones.zone(self.record.zone)).astimezone(dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)

    def back(self, time: int, length: int, unit: str) -> int:
        if unit != "months":
            return time - length
        local = self.local(time).replace(fold=0)
        year, month = divmod(local.year * 12 + local.month - 1 - length, 12)
        try:
            last = calendar.monthrange(year, month + 1)[1]
            return self.moment(local.replace(year=year, month=month + 1, day=min(local.day, last)))
        except (ValueError, OverflowError):
            return FOREVER

    def period(self, time: int, period: str) -> int:
        """The number of the period a moment lies in."""
        day = self.local(time).date()
        months = day.year * 12 + day.month - 1
        return {"day": day.toordinal(), "week": (day.toordinal() - 1) // 7, "month": months, "quarter": months // 3, "year": day.year}[
            period
        ]

    def begin(self, number_: int, period: str) -> int:
        """The first moment of the period with this number."""
        if period in ("day", "week"):
            day = dt.date.fromordinal(number_ if period == "day" else number_ * 7 + 1)
        else:
            months = number_ * {"month": 1, "quarter": 3, "year": 12}[period]
            day = dt.date(months // 12, months % 12 + 1, 1)
        return self.moment(dt.datetime.combine(day, dt.time()))

    def periods(self, window: ir.Window, period: str) -> list[tuple[int, int]]:
        begin, end = self.span(window)
        found = []
        current = self.period(self.now, period)
        for number_ in range(self.period(begin, period), current + 1):
            first_, next_ = self.begin(number_, period), self.begin(number_ + 1, period)
            if first_ >= begin and min(next_, self.now + 1) <= end:
                found.append((first_, next_))
        return found

    def business_day(self, window: ir.Window, time: int) -> dt.date:
        """The business day a moment belongs to."""
        day = self.local(time).date()
        if time >= self.moment(dt.datetime.combine(day, dt.time()) + dt.timedelta(microseconds=window.closing)):
            day += dt.timedelta(days=1)
        while not is_business(window, day):
            day += dt.timedelta(days=1)
        return day

    def closing(self, window: ir.Window, day: dt.date) -> int:
        """When the business day before this one closed."""
        day -= dt.timedelta(days=1)
        while not is_business(window, day):
            day -= dt.timedelta(days=1)
        return self.moment(dt.datetime.combine(day, dt.time()) + dt.timedelta(microseconds=window.closing))

    # --- what the rows say ---

    def say(self, a: ir.Aggregate, window: Window, cause: Missing) -> Value:
        of = a.of.type if a.of is not None else Type("integer")
        rows, short = window.rows, window.short
        sure = [one.value for one in rows if one.surely and one.value is not None]
        possible = sure + [one.value for one in rows if not one.surely and one.value is not None]
        unsure, lacking = any(not one.surely for one in rows), any(one.value is None for one in rows)
        open_ = lacking or short
        if a.function in ("first", "last", "time since last"):
            return self.one_row(a, window, of, cause)
        if a.function in ("count", "distinct"):
            low, high = len(set(sure)), len(set(possible)) + sum(one.value is None for one in rows)
            if a.function == "count":
                low, high = sum(one.surely for one in rows) if window.least is None else window.least, len(rows)
            return interval(low, min((n for n in (None if short else high, window.most) if n is not None), default=None), cause.cause)
        if a.function == "sum" and (a.bounded or not (unsure or open_)):
            empty = self.this[of.by] if of.by else None
            return bounds(total(sure, of, empty), total(possible, of, empty), unsure, open_, cause)
        if a.function == "max":
            return cause if not sure and (unsure or open_) else bounds(best(max, sure, of), best(max, possible, of), unsure, open_, cause)
        if a.function == "min":
            return (
                cause if not sure and (unsure or open_) else bounds(best(min, sure, of), best(min, possible, of), unsure, open_, cause, -1)
            )
        if unsure or open_:
            return cause
        if a.function == "most repeated":
            return max(map(sure.count, sure), default=EMPTY)
        if a.function == "share":
            return share(rows, of)
        return moment_of(a.function, sure, of)

    def one_row(self, a: ir.Aggregate, window: Window, of: Type, cause: Missing) -> Value:
        rows = window.rows
        if a.function == "first":
            if window.short or (rows and (not rows[0].surely or rows[0].value is None)):
                return cause
            return settled(rows[0].value, of) if rows else EMPTY
        rows = [one for one in rows if one.row is not self.this]
        if not rows:
            return cause if window.short else EMPTY
        newest = rows[-1]
        if not newest.surely or (window.short and newest.time < self.since):
            return cause
        if a.function == "time since last":
            return (self.now - newest.time) * (DAY if self.dates else 1)
        return cause if newest.value is None else settled(newest.value, of)


def enough(a: ir.Aggregate, window: Window) -> bool:
    if a.needs is None or a.needs[0] != "events":
        return True
    return (sum(one.surely for one in window.rows) if window.least is None else window.least) >= a.needs[1]


def is_business(window: ir.Window, day: dt.date) -> bool:
    return day.isoweekday() < 6 and day.toordinal() - EPOCH.toordinal() not in window.holidays


def date_of(day: int) -> dt.date:
    return dt.date.fromordinal(day + EPOCH.toordinal())


def type_of(inner: ir.Aggregate) -> Type:
    """The type of what an inner aggregate says."""
    of = inner.of.type if inner.of is not None else Type("integer")
    if inner.function in ("count", "distinct", "most repeated"):
        return Type("integer")
    if inner.function == "time since last":
        return Type("duration")
    if inner.function == "share" or (inner.function in ("mean", "stddev") and of.kind == "integer"):
        return Type("number")
    return Type(of.kind, of.currency, of.by)


def units(value: Value) -> Fraction:
    return Fraction(value.units if isinstance(value, Money) else value)


def currency(values: Sequence[Value]) -> Any:
    codes = {value.currency for value in values if isinstance(value, Money)}
    return missing("currency") if len(codes) > 1 else next(iter(codes), None)


def whole(exact: Fraction, of: Type, code: str | None) -> Value:
    """An exact value of this type, rounded once."""
    if of.kind == "number":
        try:
            return number(float(exact))
        except OverflowError:
            return missing("overflow")
    rounded = round(exact / of.scale)  # half-even
    if code is not None:
        return settle(Money(rounded, code), 1)
    return percent(rounded) if of.kind == "percent" else integer(rounded)


def total(values: Sequence[Value], of: Type, empty: Value) -> Value:
    code = currency(values)
    if isinstance(code, Missing):
        return code
    if of.by and not values:
        if isinstance(empty, Missing):
            return empty
        if empty == "XQQ":
            return missing("damaged")
        code = empty
    return whole(sum(map(units, values), Fraction(0)), of, code)


def settled(value: Value, of: Type) -> Value:
    return value if of.scale == 1 else settle(value, of.scale)


def best(pick: Any, values: Sequence[Value], of: Type) -> Value:
    if not values:
        return EMPTY
    code = currency(values)
    return code if isinstance(code, Missing) else settled(pick(values), of)


def bounds(sure: Value, possible: Value, unsure: bool, open_: bool, cause: Missing, sign: int = 1) -> Value:
    """Between what the sure rows say and what all possible ones do; with sign -1 the first is the upper bound."""
    if not (unsure or open_):
        return sure
    if isinstance(sure, Money) or isinstance(possible, Money):
        one = isinstance(sure, Money) and isinstance(possible, Money) and sure.currency == possible.currency
        if open_ or not one:
            return cause
    near = None if isinstance(sure, Missing) else sure
    far = None if open_ or isinstance(possible, Missing) else possible
    return interval(near, far, cause.cause) if sign > 0 else interval(far, near, cause.cause)


def moment_of(function: str, values: Sequence[Value], of: Type) -> Value:
    """The mean or the sample's standard deviation."""
    least = 1 if function == "mean" else 2
    code = currency(values)
    if len(values) < least:
        return EMPTY
    if isinstance(code, Missing):
        return code
    exact = [units(value) for value in values]
    if function == "mean":
        return whole(statistics.mean(exact), Type("number") if of.kind == "integer" else of, code)
    if of.kind in ("integer", "number"):
        try:
            return number(statistics.stdev(exact))
        except OverflowError:
            return missing("overflow")
    variance = statistics.variance(exact) / of.scale**2
    down = 0
    while (down + 1) ** 2 <= variance:  # doubling steps, so that it ends soon
        step = 1
        while (down + 2 * step) ** 2 <= variance:
            step *= 2
        down += step
    middle = (Fraction(2 * down + 1) / 2) ** 2
    root = down + 1 if variance > middle or (variance == middle and down % 2) else down
    return whole(Fraction(root), Type(of.kind, of.currency, of.by), code)


def share(rows: Sequence[Seen], of: Type) -> Value:
    code = currency([one.value for one in rows])
    if isinstance(code, Missing):
        return code
    if not rows:
        return EMPTY
    whole_ = sum((units(one.value) for one in rows), Fraction(0))
    part = sum((units(one.value) for one in rows if one.part), Fraction(0))
    return missing("division by zero") if whole_ == 0 else whole(part / whole_, Type("number"), None)


# --- hits of rules with `once` -------------------------------------------------------------------------------------------


class LetThrough(NamedTuple):
    """A hit that was let through: of which rule (`place`), under which key, of which event."""

    place: str
    key: tuple[Value, ...]
    row: Row


class Alerts:
    """Every hit of a stream that was let through, in order of arrival: what a hit under `once` is held against. `this` event asks."""

    def __init__(self, record: Record, since: int) -> None:
        self.record, self.since = record, since
        self.passed: list[LetThrough] = []
        self.withdrawn: list[LetThrough] = []
        self.this: Row = {}

    def comes_late(self, place: str, key: tuple[Value, ...], now: int) -> bool:
        ever = [one.row[NOW] for one in (*self.passed, *self.withdrawn) if (one.place, one.key) == (place, key)]
        late = self.record.late // DAY if self.record.field(self.record.time).type.kind == "date" else self.record.late
        return bool(ever) and now < max(ever) - late

    def correct(self, row: Row) -> None:
        """A correction has come: what hits of the event were let through hold nothing back, but where it comes too late."""
        key = [row[name] for name in self.record.key]
        for one in [one for one in self.passed if [one.row[name] for name in self.record.key] == key]:
            if not self.comes_late(one.place, one.key, row[NOW]):
                self.withdrawn.append(one)
        self.passed = [one for one in self.passed if not any(one is other for other in self.withdrawn)]

    def ask(self, ask: Ask) -> Answer:
        if not all(map(known, ask.key)):
            return Answer(first(ask.key))
        history = History(self.record, self.since, (), self.this)
        if self.comes_late(ask.place, ask.key, history.now):
            return Answer(missing("late"))
        own = [self.this[name] for name in self.record.key]
        mine = [one.row for one in self.passed if (one.place, one.key) == (ask.place, ask.key)]
        mine = [row for row in mine if [row[name] for name in self.record.key] != own]
        holding = [row for row in mine if row[NOW] <= history.now and history.in_time(ask.once.window, row)]
        if holding:
            last = max(row[NOW] for row in holding)
            return Answer(True, self.called([row for row in holding if row[NOW] == last][-1]))
        if ask.hit:
            self.passed.append(LetThrough(ask.place, ask.key, self.this))
        return Answer(SHORT if history.span(ask.once.window)[0] < self.since else False)

    def called(self, row: Row) -> str:
        key = ", ".join(str(row[name]) for name in self.record.key)
        return f"event {key}, {show(row[NOW], self.record.field(self.record.time).type)}"
