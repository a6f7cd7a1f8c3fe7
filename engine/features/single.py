"""History features as one step of a run: bound to a store for single events, to a window state for frames, or to neither."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from engine.errors import StoreDown, StoreError
from engine.features.missed import LOG
from engine.features.spec import BoundFeatures, unavailable
from engine.plan import TICK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polars import DataFrame

    from engine.features.columnar import WindowState
    from engine.features.store import Store
    from engine.plan import Row
    from engine.record import Record
    from engine.values import Type


@dataclass(frozen=True)
class HistoryStep:
    """All features of a plan, computed before its other steps. Unbound it says `unavailable`; it holds no state of its own.

    One step takes all feature sets, so that reading and remembering an event is one atomic step of the store.
    """

    groups: Sequence[BoundFeatures]
    record: Record
    name: str = "history"
    store: Store | None = None
    remember: bool = True
    state: WindowState | None = None

    @cached_property
    def types(self) -> Mapping[str, Type]:
        return {column: type_ for group in self.groups for column, type_ in group.types.items()}

    @cached_property
    def writes(self) -> tuple[str, ...]:
        return tuple(self.types)

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """What decides whether an event is the same one is the whole record."""
        return tuple(field.name for field in self.record.fields)

    def bind(self, store: Store | None, record: bool = True) -> HistoryStep:
        """The same step over live history; without `record` it looks and leaves no trace. Raises `StoreError` for another's store."""
        if store is not None and not store.serves(self.groups):
            raise StoreError("the store was opened for other features; open it with the engine that decides")
        return replace(self, store=store, remember=record)

    def over(self, state: WindowState) -> HistoryStep:
        """The same step over the frames of one batch, given in order."""
        return replace(self, state=state)

    def one(self, row: Row) -> Row:
        """The features of one event, or of a tick; while the store is down all are `unavailable`, which is logged.

        Raises `InputError` and any other `StoreError` as `Store.observe` does.
        """
        if self.store is None:
            return unavailable(self.groups)
        try:
            answer = self.store.look(row) if row.get(TICK) else self.store.observe(row, self.remember)
        except StoreDown as error:
            LOG.warning("a decision goes on without history: %s", error)
            return unavailable(self.groups)
        # a store that serves these feature sets says at least their columns
        return answer if len(answer) == len(self.types) else {column: answer[column] for column in self.types}

    def many(self, frame: DataFrame) -> DataFrame:
        """The features of a frame whose rows are in arrival order. Raises `InputError` where a key comes again with other content."""
        # loads polars: only batch runs come here
        from engine.features import columnar

        if self.state is None:
            return columnar.constant(unavailable(self.groups), self.types, frame.height)
        return columnar.many(frame, self.state).select(columnar.columns(self.types))
