"""Live history: one past for each key, in this process, that every event is told to, and a log that keeps what it leaves.

What a past says stands in `sliding`; where the log keeps things, nothing here knows. An answer is given on what this process believes, and
holds once the log has appended the event because everything stood as was believed; else the pasts are loaded, and it is given anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from engine.errors import InputError, StoreDown, StoreError
from engine.features.judging import Judge
from engine.features.log import CLOSED, Assumed, Change, Entered, Event, Left, Measured, More, Place, Told
from engine.features.looking import Asked
from engine.features.memory import MemoryLog, weighed
from engine.features.missed import LOG, Missed
from engine.features.networked import course
from engine.features.passed import Passing, answer_of, passed_of, text_of
from engine.features.sliding import Past
from engine.features.spec import THIS, Layout, formula_steps
from engine.features.swift import PART, SWEEP, Swift, content_of, swift
from engine.features.tallies import OUT
from engine.features.versions import Version, corrects, needed
from engine.features.windows import FOREVER
from engine.plan import DAY_OF_EVENT, NOW, Row
from engine.values import Value, known, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.backends.holding import Answer
    from engine.features.log import Found, Key, Lane, Log
    from engine.features.looking import Cell
    from engine.features.passed import Question
    from engine.features.sliding import Content, Standing, Withdrawn
    from engine.features.spec import BoundFeatures
    from engine.record import Record

    Met = tuple[Lane, Past, Sequence[Cell], Standing]
    """A past that the generated code told of an event: the lane, the past, what the event is to each slot, and how it stood before."""

MOST_KEYS: Final = 50_000
"""So many pasts of a log stay in this process, those asked last; the others are loaded when they are asked."""
_TRIES: Final = 1000


class _Touched(NamedTuple):
    """A past that one event has met: how it stood before, the event's place in each of its lanes, none where it did not enter, the row that
    entered, and what of an earlier version left."""

    lane: Lane
    past: Past
    before: Standing
    own: Sequence[int | None] | None
    row: Entered
    leaves: Place | None
    withdrawn: Sequence[Withdrawn]
    hidden: Any
    """What the generated code held before a look, which it is not told of."""

    @property
    def changed(self) -> bool:
        return self.own is not None or self.leaves is not None

    def take_back(self) -> None:
        """As if it had not been met."""
        if self.own is not None:
            self.past.take_back(self.own, self.before)
        self.past.put_back(self.withdrawn)
        self.past.standing = self.before
        self.past.state = self.hidden

    def change(self) -> Change:
        """What the log is told."""
        past = self.past
        kept = self.own is not None and any(state != OUT or value is not None for state, value in self.row.cells)
        sweep = past.number % SWEEP == 0
        return Change(past.standing, self.row if kept else None, self.leaves, past.unseen() if sweep else FOREVER)


class _Given(NamedTuple):
    """A row as it is met, which also says what time it is; of an event its key, a hash of its content, its revision, and what is known."""

    row: Row
    key: Key | None = None
    content: Any = None
    revision: Value = None
    known: Told | None = None


class LiveStore:
    """A store as `engine.features.store.Store` describes it. Threads take turns.

    While its log is down, the events it should have remembered wait in this process, and enter history before the next answer.
    """

    def __init__(self, layout: Layout, log: Log) -> None:
        self.layout, self.log = layout, log
        self._histories = [_History(index, layout) for index in range(len(layout.histories))]
        self._places = {column: (history, place) for history in self._histories for place, column in enumerate(history.columns)}
        self._pasts: dict[Lane, Past] = {}
        self._since = log.since()
        self._formulas = formula_steps(layout)
        self._columns = tuple(layout.types)
        self._needed = needed(layout.record)
        self._lock, self.is_open = threading.Lock(), True
        self._missed = Missed()
        self._passing = Passing(layout.record)
        self._content = stable_content(layout.record) if log.lasting else content_of(layout.record)
        self._swift = self._made_swift()

    def close(self, failed: bool = False) -> None:
        """Let go of the store; what it missed while it was down is tried a last time. Safe to call twice. What was built afresh replaces
        what was there, unless its building `failed`."""
        try:
            self._missed.catch_up(self._observe, at_once=True)
        except StoreError as error:
            LOG.error("%d events never entered history, send them again: %s", self._missed.forget(), error)
        with self._lock:
            self.is_open, self._pasts, self._swift = False, {}, None
            self.log.close(failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.close(failed=error is not None)

    def serves(self, groups: Sequence[BoundFeatures]) -> bool:
        """Whether every one of these feature sets is among those the store was opened for."""
        mine = {group.fingerprint for group in self.layout.groups}
        return all(group.fingerprint in mine for group in groups)

    def measured(self) -> Measured:
        """How much history there is."""
        with self._lock:
            self._check_open()
            told = self.log.measured()
            if self.log.lasting:
                return told
            lanes = [lane for past in self._pasts.values() for lane in past.lanes if lane.first]
            oldest = min((lane.times[0] for lane in lanes if lane.times), default=None)
            newest = max((past.newest for past in self._pasts.values()), default=None)
            courses = [history.course for history in self._histories]
            size = told.bytes + sys.getsizeof(self._pasts) + weighed(self._pasts.items(), *courses)
            rows = sum(len(lane.times) for lane in lanes)
            return Measured(len(self._pasts), rows, told.events, size, oldest, newest)

    def observe(self, row: Row, record: bool = True) -> Row:
        """The features of one event, which is then part of history; without `record` nothing is left behind.

        An event that was observed before gets the answer it got then. Raises `InputError` where key or time are missing, or where the key
        was observed with other content; `StoreError` where the rows cannot be read or kept, `StoreDown` where that is so for now.
        """
        swift, since = self._swift, self._since
        try:
            if record and swift is not None and since is not None and self._missed.down is None:
                answer = swift(row, since)
                if answer is not None:
                    return answer
            self._check(row)
            self._missed.catch_up(self._observe)
            return self._observe(row, record)
        except StoreDown as error:
            self._missed.note(row if record else None, error)
            raise

    def look(self, row: Row) -> Row:
        """The features as they stand at the time of a row that is no event: it is in none of its windows, and leaves nothing behind."""
        if not known(row[self.layout.record.time]):
            raise InputError(f"a look needs `{self.layout.record.time}`: it is {row[self.layout.record.time]!r}")
        self._missed.catch_up(self._observe)
        with self._lock:
            self._check_open()
            return self._row(self._answered(_Given(self._now(row)), False))

    def contents(self, column: str, row: Row) -> list[Content]:
        """The rows that stand in the window of a column for a look with this row, by time and arrival; none where the column is an
        expression over others, or the window has no key or no beginning."""
        history, place = self._places.get(column, (None, 0))
        row = self._now(row)
        key = None if history is None else history.looked(row)
        if history is None or not isinstance(key, tuple):
            return []
        lane = (history.index, key)
        with self._lock:
            self._check_open()
            for _ in range(_TRIES):
                past = self._past(lane)
                found = self.log.look(None, Assumed(self._since, {lane: past.number}))
                if found is None:
                    since = row[NOW] if self._since is None else self._since
                    return past.contents(place, history.asked(row, row[NOW], since, None, True, False))
                self._learn(found)
        raise self._contended()

    def hold(self, question: Question, record: bool = True) -> Answer:
        """Whether a hit is held back by one that was let through before; it is remembered if not. The same event gets the same answer.

        Raises `StoreError` where that cannot be read or kept, `StoreDown` where that is so for now: nobody knows then, and nothing waits.
        """
        try:
            self._missed.catch_up(self._observe)
            with self._lock:
                self._check_open()
                return self._held(question, record)
        except StoreDown as error:
            self._missed.note(None, error)
            raise

    def _held(self, question: Question, record: bool) -> Answer:
        names = [question.name] if question.again is None else [question.name, question.again]
        for _ in range(_TRIES):
            before, told = [*self.log.notes(names), None][:2]
            if told is not None:
                return answer_of(told)
            passed = passed_of(before)
            answer, after = self._passing.judged(question, passed, question.time if self._since is None else self._since)
            changes: dict[str, tuple[str | None, str]] = {} if after == passed else {question.name: (before, text_of(after))}
            changes |= {} if question.again is None else {question.again: (None, text_of(answer))}
            if self.layout.record.revision is not None and question.event is not None and after != passed:
                (where,) = self.log.notes([_where(question.event)])
                changes[_where(question.event)] = (where, json.dumps(sorted({question.name, *json.loads(where or "[]")})))
            if not record or not changes or self.log.note(changes):
                return answer
        raise StoreDown("the store is down: too many others let hits of the same key through")

    def _withdraw(self, event: str, revision: Value, time: int) -> None:
        """An event is corrected by this revision, and lies at `time` now: no hit that an earlier one had holds another back. Where a later
        one has come meanwhile, so that the correction is refused, that has let go of the same hits."""
        for _ in range(_TRIES):
            (where,) = self.log.notes([_where(event)])
            names = json.loads(where or "[]")
            before = dict(zip(names, self.log.notes(names) if names else (), strict=True))
            after = {name: text_of(self._passing.withdrawn(passed_of(text), event, revision, time)) for name, text in before.items()}
            changes = {name: (before[name], text) for name, text in after.items() if text != before[name]}
            if not changes or self.log.note(changes):
                return
        raise StoreDown("the store is down: too many others let hits of the same key through")

    def _observe(self, row: Row, record: bool = True) -> Row:
        kept = self.layout.record
        key = tuple(row[name] for name in kept.key)
        given = _Given(self._now(row), key, self._content(row), None if kept.revision is None else row[kept.revision])
        with self._lock:
            self._check_open()
            told = self.log.seen(key)
            again = told is not None and not self._corrects(given, told)
            answer = told.answer if told is not None and again else self._answered(given._replace(known=told), record)
        return self._row(answer)

    def _corrects(self, given: _Given, told: Told) -> bool:
        """Whether it is another version of an event that is known, and no repeat. Raises `InputError` where it is neither."""
        assert given.key is not None
        return corrects(self.layout.record, given.key, Version(told.content, told.revision), Version(given.content, given.revision))

    def _check_open(self) -> None:
        if not self.is_open:
            raise StoreError(CLOSED)

    def _check(self, row: Row) -> None:
        for name in self._needed:
            if not known(row[name]):
                raise InputError(f"an event needs `{name}`: it is {row[name]!r}")

    def _now(self, row: Row) -> Row:
        day = {DAY_OF_EVENT: self.layout.day(row)} if self.layout.dated else {}
        return {**row, NOW: row[self.layout.record.time], **day}

    def _row(self, answer: tuple[Value, ...]) -> Row:
        return dict(zip(self._columns, answer, strict=True))

    def _made_swift(self) -> Callable[[Row, int], Row | None] | None:
        """The way of most events."""
        courses = [history.course for history in self._histories]
        if not swift(self.layout, courses):
            return None
        around: dict[str, Any] = {"store": self, "acquire": self._lock.acquire, "release": self._lock.release}
        around |= {"pasts": self._pasts, "finish": self._answer}
        if isinstance(self.log, MemoryLog):
            around["events"] = self.log.events
        else:
            around |= {"content": self._content, "log": self.log, "evict": self._evict, "otherwise": self._otherwise}
        for history in self._histories:
            around |= {f"judges_{history.index}": history.judges, f"asked_{history.index}": history.asked}
        return Swift(self.layout, courses, around).observe

    # --- one event ---------------------------------------------------------------------------------------------------

    def _otherwise(self, row: Row, key: Key, content: bytes, found: Found, met: Sequence[Met]) -> Row:
        """An event that has met these pasts is not appended, since something stands otherwise."""
        for lane, past, cells, before in reversed(met):
            past.take_back(past.at_end(cells), before)
            if not past.number:
                self._pasts.pop(lane, None)
        return self._row(self._answered(_Given(self._now(row), key, content), True, found))

    def _answered(self, given: _Given, record: bool, found: Found | None = None) -> tuple[Value, ...]:
        """The answer to an event or a look, of which may have been `found` that something stands otherwise."""
        for _ in range(_TRIES):
            if found is not None:
                self._learn(found)
                if found.event is not None and not self._corrects(given, found.event):
                    return found.event.answer
                given = given._replace(known=found.event or given.known)
            since = given.row[NOW] if self._since is None else self._since
            touched: list[_Touched] = []
            if record and given.known is not None and given.key is not None:
                # before the correction is kept: broken off in between it comes again, and no alert is lost
                self._withdraw(self._passing.event(given.key), given.revision, given.row[NOW])
            try:
                answer = self._meet(given, since, record, touched)
                found = self._settle(given, answer, since, touched) if record else self._settle_look(given, touched)
            except BaseException:
                self._evict([one.lane for one in touched])
                raise
            if found is None:
                return answer
        raise self._contended()

    def _contended(self) -> StoreDown:
        return StoreDown("the store is down: too many others write history of the same key")

    def _meet(self, given: _Given, since: int, record: bool, touched: list[_Touched]) -> tuple[Value, ...]:
        """Tell the row to every past it looks at or enters, or from which an earlier version of it leaves."""
        values: Row = {}
        row, key = given.row, given.key
        stands = {} if given.known is None else {place.lane: place for place in given.known.places}
        for history in self._histories:
            looked, entered = history.looked(row), () if key is None else tuple(history.entered(row))
            if looked.__class__ is not tuple:
                values.update((column, looked) for column in history.columns)
            looks = (looked,) if looked.__class__ is tuple else ()
            left = [lane[1] for lane in stands if lane[0] == history.index]
            kept = Entered(row[NOW], key or (), history.cells(row))
            for one in dict.fromkeys((*looks, *entered, *left)):
                lane = (history.index, one)
                asked = history.asked(row, row[NOW], since, key, one in looks, one in entered)
                said = self._tell(lane, asked, kept, stands.get(lane), record, touched)
                if asked.looks:
                    values.update(zip(history.columns, said, strict=True))
        return self._answer(row, values)

    def _tell(self, lane: Lane, asked: Asked, row: Entered, stands: Place | None, record: bool, touched: list[_Touched]) -> list[Value]:
        """Tell the row to one past, from which that of an earlier version leaves where it `stands` there and the row is not late."""
        past = self._past(lane)
        before, withdrawn, leaves = past.standing, [], None
        if stands is not None and not past.late(asked.time):
            leaves, withdrawn = stands, past.withdraw(stands.time, asked.key)
        hidden = None
        if not record:
            hidden, past.state = past.state, None
        told = past.tell(asked.time, asked.key, row.cells, asked.since) if record and asked.enters else None
        if told is None:
            said, own = past.observe(asked, row.cells)
        else:
            (left, said), own = told, past.at_end(row.cells)
            if left and asked.looks:
                past.fill(said, asked, own, before.oldest)
        if own is None and leaves is not None:
            past.number += 1
        touched.append(_Touched(lane, past, before, own, row, leaves, withdrawn, hidden))
        return said

    def _past(self, lane: Lane) -> Past:
        """As this process believes it is: what it does not know is empty."""
        past = self._pasts.pop(lane, None) or Past(self._histories[lane[0]].course)
        self._pasts[lane] = past
        return past

    def _answer(self, row: Row, values: Row) -> tuple[Value, ...]:
        if self._formulas:
            seen = {**row, **values}
            for formula in self._formulas:
                answer = formula.one(seen)
                values.update(answer)
                seen.update(answer)
        return tuple(values[column] for column in self._columns)

    # --- what stands, and what does not --------------------------------------------------------------------------------

    def _settle(self, given: _Given, answer: tuple[Value, ...], since: int, touched: list[_Touched]) -> Found | None:
        """Append the event; where something stands otherwise, nothing has happened, and that is said."""
        assert given.key is not None
        changes = {one.lane: one.change() for one in touched if one.changed}
        told = Told(given.content, answer, given.revision, self._places_of(given, changes))
        found = self.log.append(Event(given.key, told, since, changes), self._assumed(given, touched))
        if found is None:
            self._since = since
            for one in touched:
                if one.past.number % SWEEP == 0:
                    one.past.forget(PART)
        else:
            _take_back(touched)
        self._keep_few(touched)
        return found

    def _places_of(self, given: _Given, changes: Mapping[Lane, Change]) -> tuple[Place, ...]:
        """Where rows of the event stand then: new ones, and those of earlier versions that did not leave."""
        if self.layout.record.revision is None:
            return ()
        before = () if given.known is None else given.known.places
        entered = [Place(lane, one.row.time, one.standing.number) for lane, one in changes.items() if one.row is not None]
        return (*(place for place in before if place.lane not in changes or changes[place.lane].leaves is None), *entered)

    def _settle_look(self, given: _Given, touched: list[_Touched]) -> Found | None:
        found = self.log.look(given.key, self._assumed(given, touched))
        _take_back(touched)
        self._keep_few(touched)
        return found

    def _assumed(self, given: _Given, touched: list[_Touched]) -> Assumed:
        lanes = {one.lane: one.before.number for one in touched}
        return Assumed(self._since, lanes, None if given.known is None else given.known.content)

    def _learn(self, found: Found) -> None:
        self._since = found.since
        if found.anew:
            self._pasts.clear()
        for lane, kept in found.lanes.items():
            if isinstance(kept, More):
                if lane in self._pasts:  # else it is unknown again, and comes whole
                    _follow(self._pasts[lane], kept)
            else:
                past = self._pasts[lane] = Past(self._histories[lane[0]].course)
                past.load(kept.standing, kept.rows)

    def _evict(self, lanes: Sequence[Lane]) -> None:
        """What nobody knows to be right is loaded again."""
        if self.log.lasting:
            for lane in lanes:
                self._pasts.pop(lane, None)

    def _keep_few(self, touched: list[_Touched]) -> None:
        """Let go of pasts that nothing entered, and where there are too many of those that were asked first."""
        for one in touched:
            if not one.past.number:
                self._pasts.pop(one.lane, None)
        while self.log.lasting and len(self._pasts) > max(MOST_KEYS, len(touched)):  # those of one event are needed together
            del self._pasts[next(iter(self._pasts))]


class _History:
    """One history of a layout, as rows come to it."""

    def __init__(self, index: int, layout: Layout) -> None:
        history = layout.histories[index]
        self.index, self.course = index, course(history, layout.late, layout.record.revision is not None, one_by_one=True)
        self.columns = tuple(measure.column for measure in history.measures)
        self.entered = history.keys
        self.looked = history.key
        self.judges = [Judge(slot).cell for slot in history.slots]
        self._by = [None if slot.of is None else slot.of.type.by for slot in history.slots]
        names = {name for slot in history.slots for name in (*slot.fields(this=True), *slot.compared())}
        self._this = sorted(names | {measure.reach.window.field for measure in history.measures if measure.reach.window.field is not None})

    def cells(self, row: Row) -> list[Cell]:
        return [judge(row) for judge in self.judges]

    def asked(self, row: Row, time: int, since: int, key: Key | None, looks: bool, enters: bool) -> Asked:
        currencies = [None if by is None else row[by] for by in self._by]
        this = {f"{THIS}{name}": row[name] for name in self._this}
        return Asked(0, time, currencies, since, this, looks, enters, key)


def _follow(past: Past, more: More) -> None:
    for step in more.steps:
        if isinstance(step, Left):
            past.withdraw(*step)
        else:
            past.take(*step)
    past.standing = more.standing
    past.forget(PART)


def _where(event: str) -> str:
    """The note that says under which names hits of an event were let through."""
    return f"hits {event!a}"


def _take_back(touched: list[_Touched]) -> None:
    for one in reversed(touched):
        one.take_back()


def stable_content(record: Record) -> Callable[[Row], bytes]:
    """A hash of what an event says, as 16 bytes, for good; fields that are absent do not count, so that a record may grow."""
    names = tuple(sorted(field.name for field in record.fields))

    def content(row: Row) -> bytes:
        said = [(name, row[name]) for name in names if row[name] is not _ABSENT]
        return hashlib.blake2b(repr(said).encode(), digest_size=16).digest()

    return content


_ABSENT: Final = missing("absent")
