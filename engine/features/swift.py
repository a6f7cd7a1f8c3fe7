"""The way of most events through a store, as one generated function for a layout: new, in order, with all their keys.

Whatever is not so, the function leaves untouched to `live`, which can do all of it.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any, Final

from engine.features.fused import SPACE, load
from engine.features.log import Assumed, Change, Entered, Event, Told
from engine.features.sliding import Past, Standing
from engine.features.tallies import OUT, SURE, SURE_LACKING
from engine.features.windows import FOREVER
from engine.lang import ir
from engine.plan import DAY_OF_EVENT, NOW
from engine.values import MISSING, Interval, Missing, Money

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.features.log import Key
    from engine.features.looking import Cell
    from engine.features.sliding import Course
    from engine.features.spec import Layout, Slot
    from engine.plan import Row
    from engine.record import Record
    from engine.values import Value

SWEEP: Final = 32
"""After so many changes of a lane is looked which of its rows no later event sees. A power of two."""
PART: Final = 4
"""They are dropped when they are one of so many."""


def content_of(record: Record) -> Callable[[Row], int]:
    """A hash of what an event says, for this process alone; fields that are absent do not count.

    >>> from engine.record import Field, Record
    >>> from engine.values import INTEGER
    >>> content = content_of(Record("r", "1.0.0", "UTC", ("id",), "at", (Field("id", INTEGER),)))
    >>> content({"id": -1}) == content({"id": -2}), content({"id": 1}) == content({"id": True}), content({"id": 7}) == content({"id": 7})
    (False, False, True)
    """
    source = "\n".join(["def content(row):", *_in([*said_lines(record), "return said"])])
    content: Callable[[Row], int] = load(source, f"content of {record.name}", dict(SAYING), "content")
    return content


def said_lines(record: Record) -> list[str]:
    """The lines that read a `row`, of which `field_N` are the fields, and work out the hash of what they say, `said`. Texts are hashed with
    a secret of the process; among numbers -1 and -2 have one hash, so they are hashed as bytes."""
    fields = {place: field.type.kind for place, field in enumerate(record.fields)}
    texts = [f"field_{place}, " for place, kind in fields.items() if kind == "text"]
    others = [f"None if field_{place} is ABSENT else field_{place}, " for place, kind in fields.items() if kind != "text"]
    return [
        *(f"field_{place} = row[{field.name!r}]" for place, field in enumerate(record.fields)),
        f"others = ({''.join(others)})",
        "try:",
        "    others = dumps(others, 2)",  # this version has no references and no interned texts: equal values have equal bytes
        "except ValueError:",
        "    others = dumps(plain(others), 2)",
        f"said = hash(({''.join(texts)}others))",
    ]


def _plain(value: Value) -> Any:
    """A value of the kinds that `marshal` knows, told apart from every other."""
    if isinstance(value, Money):
        return b"money", value.units, value.currency
    if isinstance(value, Missing):
        return b"missing", value.cause
    if isinstance(value, Interval):
        return b"interval", _plain(value.low), _plain(value.high), value.cause
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value


def swift(layout: Layout, courses: Sequence[Course]) -> bool:
    """Whether most events of a layout can go this way: every history has one key and generated code, and nothing is corrected."""
    plain = all(not (history.matched or history.network) for history in layout.histories)
    return plain and layout.record.revision is None and bool(courses) and all(course.fused is not None for course in courses)


SAYING: Final[dict[str, Any]] = {"dumps": marshal.dumps, "ABSENT": MISSING, "plain": _plain}
"""What these lines name."""


class Swift:
    """The generated function, and its text. `observe` gives the answer of an event, none where it is left to others."""

    def __init__(self, layout: Layout, courses: Sequence[Course], around: dict[str, Any]) -> None:
        """`around`: what it works on. `store`, `acquire` and `release` of its lock, `pasts`, and of each history `judges_N` and `asked_N`;
        `finish`, which works out the expressions over others. Where events are kept in this process alone, `events`; else how one is
        appended to the log and what is done if that fails: `content`, `log`, `evict` and `otherwise`."""
        lasting = "events" not in around
        space = {**SPACE, **SAYING, **_LOGGED, "day": layout.day, "Interval": Interval, "Missing": Missing, "Past": Past, **around}
        for index, course in enumerate(courses):
            assert course.fused is not None
            space |= {f"course_{index}": course, f"state_of_{index}": course.fused.state}
            space |= {f"TYPE_{index}_{place}": measure.of for place, measure in enumerate(course.history.measures)}
        self.source = "\n".join((_Lasting if lasting else _Source)(layout, courses).lines())
        self.observe: Callable[[Row, int], Row | None] = load(self.source, f"events of {layout.record.name}", space, "observe")


class _Source:
    """The text of the function for one layout, where events are kept in this process alone."""

    known, left = "key in events or ", "not None and"

    def __init__(self, layout: Layout, courses: Sequence[Course]) -> None:
        self.layout, self.courses = layout, courses
        self.names = [field.name for field in layout.record.fields]
        self.simple = all(_simple(slot) for history in layout.histories for slot in history.slots) and not layout.formulas

    def lines(self) -> list[str]:
        record, histories = self.layout.record, range(len(self.layout.histories))
        lines = [*self._said(), f"if {self._missing((*record.key, record.time))}:", "    return None"]
        lines += [f"time, key = {self._field(record.time)}, {self._key(record.key)}", "acquire()", "try:"]
        inside = [f"if {self.known}not store.is_open:", "    return None"]
        for index in histories:
            inside += self._find(index)
        if not self.simple:
            day = f", {DAY_OF_EVENT!r}: day(row)" if self.layout.dated else ""
            inside.append(f"row = {{**row, {NOW!r}: time{day}}}")
        for index in histories:
            inside += self._tell(index)
        return ["def observe(row, since):", *_in([*lines, *_in([*inside, *self._answer()]), "finally:", "    release()"]), ""]

    def _said(self) -> list[str]:
        return said_lines(self.layout.record)

    def _field(self, name: str) -> str:
        return f"field_{self.names.index(name)}"

    def _key(self, names: Sequence[str]) -> str:
        return f"({', '.join(map(self._field, names))},)"

    def _missing(self, names: Sequence[str]) -> str:
        return " or ".join(f"{self._field(name)}.__class__ is Missing" for name in names)

    def _cell(self, slot: Slot, index: int, place: int) -> list[str]:
        if not _simple(slot) or (isinstance(slot.of, ir.Read) and slot.of.name in (NOW, DAY_OF_EVENT)):
            return [f"state_{place}, value_{place} = judges_{index}[{place}](row)"]
        if slot.of is None:
            return [f"state_{place}, value_{place} = {SURE}, True"]
        assert isinstance(slot.of, ir.Read)
        lacks = f"value_{place}.__class__ is Missing or value_{place}.__class__ is Interval"
        read = [f"state_{place}, value_{place} = {SURE}, {self._field(slot.of.name)}", f"if {lacks}:"]
        return [*read, f"    state_{place}, value_{place} = {SURE_LACKING}, None"]

    def _find(self, index: int) -> list[str]:
        """The past, before anything is done."""
        per = self.layout.histories[index].per
        return [
            f"if {self._missing(per)}:",
            "    return None",
            f"lane_{index} = ({index}, {self._key(per)})",
            f"past_{index} = pasts.get(lane_{index})",
            f"if past_{index} is {self.left} (past_{index}.state is None or time < past_{index}.newest):",
            "    return None",
        ]

    def _tell(self, index: int) -> list[str]:
        history, past, fused = self.layout.histories[index], f"past_{index}", self.courses[index].fused
        assert fused is not None
        said = [f"said_{index}_{place}" for place in range(len(history.measures))]
        lines = [line for place, slot in enumerate(history.slots) for line in self._cell(slot, index, place)]
        cells = f"({', '.join(f'(state_{place}, value_{place})' for place in range(len(history.slots)))},)"
        found = ", ".join(name if place in fused.done else "UNSAID" for place, name in enumerate(said))
        return [
            *lines,
            *self._meet(index, cells),
            f"{past}.newest, {past}.number, state = time, {past}.number + 1, {past}.state",
            f"left = {len(fused.done) < len(said)}",
            *(line.replace("said_", f"said_{index}_").replace("TYPE_", f"TYPE_{index}_") for line in fused.lines),
            "if left:",
            f"    found = [{found}]",
            f"    {past}.fill(found, asked_{index}(row, time, since, key, True, True), {past}.at_end({cells}), {past}.oldest)",
            f"    {', '.join(said)}, = found",
        ]

    def _meet(self, index: int, cells: str) -> list[str]:
        past = f"past_{index}"
        return [
            f"if {past} is None:",
            f"    {past} = pasts[lane_{index}] = Past(course_{index})",
            f"    {past}.state, {past}.oldest = state_of_{index}({past}.lanes), time",
        ]

    def _answer(self) -> list[str]:
        places = {
            measure.column: f"said_{index}_{place}"
            for index, history in enumerate(self.layout.histories)
            for place, measure in enumerate(history.measures)
        }
        if self.layout.formulas:
            values = ", ".join(f"{column!r}: {name}" for column, name in places.items())
            names = ", ".join(f"value_{place}" for place in range(len(self.layout.types)))
            lines = [f"answer = finish(row, {{{values}}})", f"{names}, = answer"]
            places = {column: f"value_{place}" for place, column in enumerate(self.layout.types)}
        else:
            lines = []
        values = ", ".join(places[column] for column in self.layout.types)
        told = ", ".join(f"{column!r}: {places[column]}" for column in self.layout.types)
        return [*lines, *self._keep(values), *self._forget(), f"return {{{told}}}"]

    def _keep(self, values: str) -> list[str]:
        return [f"events[key] = (said, {values},)"]

    def _forget(self) -> list[str]:
        pasts = [f"past_{index}" for index in range(len(self.layout.histories))]
        return [line for past in pasts for line in (f"if not {past}.number & {SWEEP - 1}:", f"    {past}.forget({PART})")]


class _Lasting(_Source):
    """The same where the log keeps events elsewhere: what is believed holds once it has appended the event."""

    known, left = "", "None or"

    def _said(self) -> list[str]:
        return [*(f"field_{place} = row[{name!r}]" for place, name in enumerate(self.names)), "said = content(row)"]

    def _meet(self, index: int, cells: str) -> list[str]:
        past = f"past_{index}"
        return [
            f"del pasts[lane_{index}]",  # those that were asked first come first
            f"pasts[lane_{index}] = {past}",
            f"cells_{index}, before_{index} = {cells}, Standing({past}.oldest, {past}.newest, {past}.number)",
        ]

    def _keep(self, values: str) -> list[str]:
        histories = range(len(self.layout.histories))
        changes = ", ".join(f"lane_{index}: changed(past_{index}, time, key, cells_{index})" for index in histories)
        before = ", ".join(f"lane_{index}: before_{index}.number" for index in histories)
        lanes = ", ".join(f"lane_{index}" for index in histories)
        met = ", ".join(f"(lane_{index}, past_{index}, cells_{index}, before_{index})" for index in histories)
        return [
            "try:",
            f"    found = log.append(Event(key, Told(said, ({values},)), since, {{{changes}}}), Assumed(since, {{{before}}}))",
            "except BaseException:",
            f"    evict(({lanes},))",
            "    raise",
            "if found is not None:",
            f"    return otherwise(row, key, said, found, ({met},))",
        ]


def changed(past: Past, time: int, key: Key, cells: Sequence[Cell]) -> Change:
    """What the log is told of a lane that an event in order has entered; every now and then also what of it no later event sees."""
    kept = any(state != OUT or value is not None for state, value in cells)
    gone = FOREVER if past.number & (SWEEP - 1) else past.unseen()
    return Change(past.standing, Entered(time, key, cells) if kept else None, None, gone)


_LOGGED: Final[dict[str, Any]] = {"changed": changed, "Assumed": Assumed, "Event": Event, "Standing": Standing, "Told": Told}


def _simple(slot: Slot) -> bool:
    """Whether a slot takes a field of every row as it is, or counts them."""
    conditions = (slot.where, slot.part, slot.event)
    return (
        not any(condition is not None for condition in conditions) and not slot.share and (slot.of is None or isinstance(slot.of, ir.Read))
    )


def _in(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]
