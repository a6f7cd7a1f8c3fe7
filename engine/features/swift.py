"""The way of most events through a store in memory, as one generated function for a layout: new, in order, with all their keys.

Whatever is not so, the function leaves untouched to `live`, which can do all of it.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any, Final

from engine.features.fused import SPACE, load
from engine.features.sliding import Past
from engine.features.tallies import SURE, SURE_LACKING
from engine.lang import ir
from engine.plan import DAY_OF_EVENT, NOW
from engine.values import MISSING, Interval, Missing, Money

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.features.sliding import Course
    from engine.features.spec import Layout, Slot
    from engine.plan import Row
    from engine.record import Record
    from engine.values import Value

SWEEP: Final = 32
"""After so many changes of a lane is looked which of its rows no later event sees. A power of two."""
PART: Final = 4
"""They are dropped when they are one of so many."""


def content_of(record: Record) -> Callable[[Row], bytes]:
    """A hash of what an event says, for this process alone; fields that are absent do not count.

    >>> from engine.record import Field, Record
    >>> from engine.values import INTEGER
    >>> content = content_of(Record("r", "1.0.0", "UTC", ("id",), "at", (Field("id", INTEGER),)))
    >>> content({"id": -1}) == content({"id": -2}), content({"id": 1}) == content({"id": True}), content({"id": 7}) == content({"id": 7})
    (False, False, True)
    """
    space: dict[str, Any] = {"dumps": marshal.dumps, "ABSENT": MISSING, "plain": _plain}
    parts = [f"None if (value := row[{field.name!r}]) is ABSENT else value" for field in record.fields]
    values = f"({', '.join(parts)},)"
    source = "\n".join(
        [
            "def content(row):",
            f"    values = {values}",
            "    try:",
            # this version has no references and no interned texts: equal values have equal bytes
            "        return hash(dumps(values, 2)).to_bytes(8, 'big', signed=True)",
            "    except ValueError:",
            "        return hash(dumps(plain(values), 2)).to_bytes(8, 'big', signed=True)",
        ]
    )
    content: Callable[[Row], bytes] = load(source, f"content of {record.name}", space, "content")
    return content


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


class Swift:
    """The generated function, and its text. `observe` gives the answer of an event, none where it is left to others."""

    def __init__(self, layout: Layout, courses: Sequence[Course], around: dict[str, Any]) -> None:
        """`around`: what it works on. `store`, `lock`, `pasts`, `events`, `content`, and of each history `judges_N` and `asked_N`;
        `finish`, which works out the expressions over others."""
        space = {**SPACE, "day": layout.day, "Interval": Interval, "Missing": Missing, "Past": Past, **around}
        for index, course in enumerate(courses):
            assert course.fused is not None
            space |= {f"course_{index}": course, f"state_of_{index}": course.fused.state}
            space |= {f"TYPE_{index}_{place}": measure.of for place, measure in enumerate(course.history.measures)}
        self.source = "\n".join(_Source(layout, courses).lines())
        self.observe: Callable[[Row, int], Row | None] = load(self.source, f"events of {layout.record.name}", space, "observe")


class _Source:
    """The text of the function for one layout."""

    def __init__(self, layout: Layout, courses: Sequence[Course]) -> None:
        self.layout, self.courses = layout, courses
        self.simple = all(_simple(slot) for history in layout.histories for slot in history.slots) and not layout.formulas

    def lines(self) -> list[str]:
        record, histories = self.layout.record, range(len(self.layout.histories))
        key = f"({', '.join(f'row[{name!r}]' for name in record.key)},)"
        lines = [f"time, key = row[{record.time!r}], {key}", f"if Missing in {_classes((*record.key, record.time))}:", "    return None"]
        lines += ["said = content(row)", "with lock:", *_in(["if key in events or not store.is_open:", "    return None"])]
        for index in histories:
            lines += _in(self._find(index))
        if not self.simple:
            day = f", {DAY_OF_EVENT!r}: day(row)" if self.layout.dated else ""
            lines += _in([f"row = {{**row, {NOW!r}: time{day}}}"])
        for index in histories:
            lines += _in(self._tell(index))
        return ["def observe(row, since):", *_in([*lines, *_in(self._answer())]), ""]

    def _find(self, index: int) -> list[str]:
        """The past, before anything is done."""
        per = self.layout.histories[index].per
        key = f"({', '.join(f'row[{name!r}]' for name in per)},)"
        return [
            f"if Missing in {_classes(per)}:",
            "    return None",
            f"lane_{index} = ({index}, {key})",
            f"past_{index} = pasts.get(lane_{index})",
            f"if past_{index} is not None and (past_{index}.state is None or time < past_{index}.newest):",
            "    return None",
        ]

    def _tell(self, index: int) -> list[str]:
        history, past, fused = self.layout.histories[index], f"past_{index}", self.courses[index].fused
        assert fused is not None
        said = [f"said_{index}_{place}" for place in range(len(history.measures))]
        lines = [line for place, slot in enumerate(history.slots) for line in _cell(slot, index, place)]
        lines += [
            f"if {past} is None:",
            f"    {past} = pasts[lane_{index}] = Past(course_{index})",
            f"    {past}.state, {past}.oldest = state_of_{index}({past}.lanes), time",
            f"{past}.newest, {past}.number, state = time, {past}.number + 1, {past}.state",
            f"left = {len(fused.done) < len(said)}",
            *(line.replace("said_", f"said_{index}_").replace("TYPE_", f"TYPE_{index}_") for line in fused.lines),
        ]
        cells = ", ".join(f"(state_{place}, value_{place})" for place in range(len(history.slots)))
        found = ", ".join(name if place in fused.done else "UNSAID" for place, name in enumerate(said))
        lines += [
            "if left:",
            f"    found = [{found}]",
            f"    {past}.fill(found, asked_{index}(row, time, since, key, True, True), {past}.at_end(({cells},)), {past}.oldest)",
            f"    {', '.join(said)}, = found",
            f"if not {past}.number & {SWEEP - 1}:",
            f"    {past}.forget({PART})",
        ]
        return lines

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
            lines = [f"answer = ({', '.join(places[column] for column in self.layout.types)},)"]
        told = ", ".join(f"{column!r}: {places[column]}" for column in self.layout.types)
        return [*lines, "events[key] = (said, answer)", f"return {{{told}}}"]


def _classes(names: Sequence[str]) -> str:
    return f"({', '.join(f'row[{name!r}].__class__' for name in names)},)"


def _simple(slot: Slot) -> bool:
    """Whether a slot takes a field of every row as it is, or counts them."""
    conditions = (slot.where, slot.part, slot.event)
    return (
        not any(condition is not None for condition in conditions) and not slot.share and (slot.of is None or isinstance(slot.of, ir.Read))
    )


def _cell(slot: Slot, index: int, place: int) -> list[str]:
    if not _simple(slot) or (isinstance(slot.of, ir.Read) and slot.of.name in (NOW, DAY_OF_EVENT)):
        return [f"state_{place}, value_{place} = judges_{index}[{place}](row)"]
    if slot.of is None:
        return [f"state_{place}, value_{place} = {SURE}, True"]
    assert isinstance(slot.of, ir.Read)
    lacks = f"value_{place}.__class__ is Missing or value_{place}.__class__ is Interval"
    read = [f"state_{place}, value_{place} = {SURE}, row[{slot.of.name!r}]", f"if {lacks}:"]
    return [*read, f"    state_{place}, value_{place} = {SURE_LACKING}, None"]


def _in(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]
