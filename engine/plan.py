"""Step and Plan: the narrow waist. Whatever decides is a `Step`; a `Plan` is steps in order, and holds no state.

The law of every step: ``many(frame) == [one(row) for row in frame]``, bit for bit. It must not know what a step does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from engine.record import Record
from engine.values import Type, Value

if TYPE_CHECKING:
    from polars import DataFrame

Row = dict[str, Value]
"""Column name -> typed value (see `engine.values`); a step reads the names in `reads` and returns those in `writes`."""

NOW, DAY_OF_EVENT = "now", "@date"
"""Columns of every row besides the record's fields: the event's own time, and its local date as days since 1970-01-01."""

ROW = "@row"
"""The column of a frame that says from which row of the raw frame, counted from 0, a typed row came."""

TICK = "@tick"
"""A flag column of a frame: such rows are moments and no events. They look at history and leave nothing in it."""

POLICY = "@policy"
"""A step's column that says whether a policy, an assumption or `on_missing` changed anything in this row."""


@runtime_checkable
class Step(Protocol):
    """One thing that adds columns. `types` gives the type of every column in `writes`.

    `one` returns only the new columns. `many` returns a frame of the same height and order with only the new columns, in the physical
    layout that `engine.backends.columnar` describes. Neither changes what it was given.
    """

    @property
    def name(self) -> str: ...
    @property
    def reads(self) -> tuple[str, ...]: ...
    @property
    def writes(self) -> tuple[str, ...]: ...
    @property
    def types(self) -> Mapping[str, Type]: ...

    def one(self, row: Row) -> Row: ...

    def many(self, frame: DataFrame) -> DataFrame: ...


class Silenced(NamedTuple):
    """A rule whose hit an exception silences: both by the names a decision shows, and what the exception says of itself."""

    rule: str
    exception: str
    approved: str
    until: str
    because: str


class Held(NamedTuple):
    """The columns of a rule with `once`: its state before that, whether it is held back, and by what."""

    before: str
    held: str
    by: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run needs: what to read, the steps of both readings in order, and how to read off the decision.

    `closed` applies policies, assumptions and `on_missing`; `open` does not, and is run only for rows in which one of the columns
    in `policies` is true. `outputs` are the columns that steps and history show, without the engine's own. `history` holds the bound
    feature sets; their columns are there before the first step. `rules` and `flags` map state and flag columns to the names that a
    decision shows; `points` is the column of what its hits come to. `held` maps the names of rules with `once` to
    the columns that say whether their hits are held back: the first reading finds that out, the second is told. `silenced` says of
    the columns that are true where an exception silences a hit, which and whose.
    """

    name: str
    version: str
    record: Record
    decision: str
    history: tuple[Any, ...]
    closed: tuple[Step, ...]
    open: tuple[Step, ...]
    types: Mapping[str, Type]
    outputs: Mapping[str, Type]
    rules: Mapping[str, str]
    flags: Mapping[str, str]
    points: str
    policies: tuple[str, ...]
    held: Mapping[str, Held] = field(default_factory=dict)
    silenced: Mapping[str, Silenced] = field(default_factory=dict)
