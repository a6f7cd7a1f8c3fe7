"""Step and Plan: the narrow waist. Whatever decides is a `Step`; a `Plan` is steps in order, and holds no state.

The law of every step: ``many(frame) == [one(row) for row in frame]``, bit for bit. It must not know what a step does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from engine.values import Type, Value

if TYPE_CHECKING:
    from polars import DataFrame

Row = dict[str, Value]
"""Column name -> typed value (see `engine.values`); a step reads the names in `reads` and returns those in `writes`."""


@runtime_checkable
class Step(Protocol):
    """One thing that adds columns. `types` gives the type of every column in `writes`.

    `one` returns only the new columns. `many` returns a frame of the same height and order with only the new columns, in the physical
    layout that `engine.backends.columnar` describes. Neither changes what it was given.
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    types: Mapping[str, Type]

    def one(self, row: Row) -> Row: ...

    def many(self, frame: DataFrame) -> DataFrame: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """The steps of one reading, in order: with policies applied, or open (without policies, assumptions and `on_missing`)."""

    steps: tuple[Step, ...]
    types: Mapping[str, Type]
