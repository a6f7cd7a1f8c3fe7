"""What a batch carries of a network from frame to frame, and what its measures say to every event. It knows no frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.features.looking import Asked, Cell, Waiting
from engine.features.network import Asker, Graph, Hop, followed, stands
from engine.features.spec import THIS
from engine.features.tallies import OUT, RAW, SURE_LACKING
from engine.values import Missing, Value, missing

if TYPE_CHECKING:
    from engine.features.spec import History, Measure


class NetworkPast:
    """The oldest and the newest time of a network, and for each slot its graph. As `sliding.Past`, for one key that all accounts share."""

    __slots__ = ("graphs", "newest", "number", "oldest")

    def __init__(self, slots: int) -> None:
        self.oldest: int | None = None
        self.newest: int | None = None
        self.number = 0
        self.graphs = [Graph() for _ in range(slots)]

    def walk(
        self, history: History, waiting: list[Waiting | None], events: list[Asked], cells: list[list[Cell]], late: int
    ) -> list[list[Value]]:
        """For every event, in order of arrival, the values of all measures."""
        tardy: list[Value] = [missing("late")] * len(history.measures)
        found: list[list[Value]] = []
        for asked in events:
            if self.newest is not None and asked.time < self.newest - late:
                found.append(tardy)
                continue
            own = [slot[asked.row] for slot in cells]
            ends = (asked.this[f"{THIS}{history.per[0]}"], asked.this[f"{THIS}{history.per[1]}"])
            found.append([self._value(measure, waiting[measure.slot], asked, own[measure.slot], ends) for measure in history.measures])
            if asked.enters:
                self._enter(asked.time, own, ends)
        return found

    def _value(self, measure: Measure, waiting: Waiting | None, asked: Asked, own: Cell, ends: tuple[Value, Value]) -> Value:
        kind, length, unit = measure.aggregate.needs or ("", 0, "")
        if kind == "history" and (self.oldest is None or self.oldest > measure.reach.clock.back(asked.time, length, unit)):
            return missing("short history")
        field, network = measure.reach.window.field, measure.aggregate.network
        bounds = measure.reach.bounds(asked.time, None if field is None else asked.this[f"{THIS}{field}"])
        if isinstance(bounds, Missing):
            return bounds
        assert network is not None
        judge = None if waiting is None else waiting.judge(asked.this)
        counts, amount = _hop(own)
        covers = bounds[0] < bounds[1]
        truth = (counts if judge is None else judge(counts)) if asked.enters and covers else False
        asker = Asker(*ends, *bounds, covers and bounds[0] + 1 < asked.since, truth, stands(amount, network.within, judge))
        return followed(measure.aggregate.function, self.graphs[measure.slot], asker, network)

    def _enter(self, time: int, own: list[Cell], ends: tuple[Value, Value]) -> None:
        """Keep the event."""
        for graph, cell in zip(self.graphs, own, strict=True):
            if cell[0] != OUT:
                graph.add(Hop(time, self.number, *ends, *_hop(cell)))
        self.number += 1
        self.oldest = time if self.oldest is None else min(self.oldest, time)
        self.newest = time if self.newest is None else max(self.newest, time)

    def forget(self, late: int, history: History) -> None:
        """Drop what no later window can see."""
        if self.newest is not None:
            for graph, reaches in zip(self.graphs, history.reaches, strict=True):
                graph.forget(min(reach.seen_before(self.newest - late) for reach in reaches))


def _hop(cell: Cell) -> tuple[Any, Value]:
    """Whether a row counts, or what waits to be judged, and its amount."""
    state, value = cell
    if state == RAW:
        return value[1], value[0]
    return (False if state == OUT else True if state <= SURE_LACKING else None), value
