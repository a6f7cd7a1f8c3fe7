"""Which of the kept rows are in a window, surely or perhaps, as live history sees them. What they add up to stands in `concluding`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.features.judging import OUT, Doubt, Marked
from engine.features.windows import FOREVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.features.judging import Cell
    from engine.features.windows import Bounds


@dataclass(slots=True)
class Picked:
    """The rows of one window by time and then arrival.

    `span` is the time it covers, `since` the first moment of complete history. `own` says that the last row is the event that looks,
    `short` that rows may be in it that nobody has seen; of windows of so many events `most` is how many they hold, `least` how many this
    one surely has.
    """

    times: Sequence[int]
    cells: list[Any]
    span: Bounds
    since: int
    own: bool = False
    short: bool = False
    most: int | None = None
    least: int = 0
    sorted_out: Any = None
    """What `concluding` has found out about the rows, for the next measure that sees them."""


def without(picked: Picked) -> Picked:
    """The same without the rows that do not count."""
    kept = [place for place, cell in enumerate(picked.cells) if cell is not OUT]
    if len(kept) == len(picked.cells):
        return picked
    own = picked.own and bool(kept) and kept[-1] == len(picked.cells) - 1
    return Picked([picked.times[i] for i in kept], [picked.cells[i] for i in kept], picked.span, picked.since, own, picked.short)


def last_events(picked: Picked, length: int) -> Picked:
    """The last so many rows that count. A row may be among them while fewer than so many surely count after it, and surely is while no
    more than that may; one from before history was complete may have been followed by others that nobody saw."""
    times, cells, since = picked.times, picked.cells, picked.since
    surely = [not isinstance(cell, Doubt) or cell.sure for cell in cells]
    number = sum(surely)
    newest = [time for time, sure in zip(times, surely, strict=True) if sure][-length:]
    first_moment = newest[0] if len(newest) == length else FOREVER
    short = first_moment < since
    kept_times, kept = [], []
    sure_after, may_after = number, len(cells)
    for time, cell, sure in zip(times, cells, surely, strict=True):
        sure_after, may_after = sure_after - sure, may_after - 1
        if sure_after < length:
            kept_times.append(time)
            kept.append(cell if may_after < length and time >= since else doubted(cell))
    return Picked(kept_times, kept, picked.span, since, picked.own, short, length, min(number, length))


def since_event(picked: Picked) -> Picked:
    """The rows after the last that is the event the window begins with; the one that looks is never it."""
    since, before = picked.since, len(picked.cells) - picked.own
    marks = [(place, cell.event) for place, cell in enumerate(picked.cells[:before]) if _may_be_event(cell)]
    begin = max((place for place, event in marks if event is True), default=-1)
    sure_from = max((place for place, _ in marks), default=-1) + 1
    short = (picked.times[begin] if begin >= 0 else FOREVER) < since
    times, cells = [], []
    for place in range(begin + 1, len(picked.cells)):
        time, cell = picked.times[place], picked.cells[place]
        cell = cell.cell if isinstance(cell, Marked) else cell
        times.append(time)
        cells.append(cell if place >= sure_from and (not short or time >= since) else doubted(cell))
    return without(Picked(times, cells, picked.span, since, picked.own, short))


def doubted(cell: Cell) -> Cell:
    """A row that counts, if it is in the window at all."""
    if cell is OUT:
        return cell
    return Doubt(False, cell.value if isinstance(cell, Doubt) else cell)


def gone_events(times: Sequence[int], cells: Sequence[Cell], length: int) -> int:
    """Of rows that all later events see: the last moment before the last so many that surely count."""
    sure = [time for time, cell in zip(times, cells, strict=True) if not isinstance(cell, Doubt) or cell.sure]
    return sure[-length] - 1 if len(sure) >= length else FOREVER


def gone_since_event(times: Sequence[int], cells: Sequence[Cell]) -> int:
    """The same of windows that begin with an event: the last moment before the last such event."""
    events = [time for time, cell in zip(times, cells, strict=True) if _may_be_event(cell) and cell.event is True]
    return events[-1] - 1 if events else FOREVER


def _may_be_event(cell: Cell) -> bool:
    return isinstance(cell, Marked) and cell.event is not False
