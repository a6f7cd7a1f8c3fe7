"""Gates and nested cascades over frames: which rows go where, and back in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from engine.backends.columnar import pack
from engine.backends.columnar_steps import renamed
from engine.plan import ROW, Row, Step
from engine.values import Type

_PLACE = "@place"


def gated(frame: pl.DataFrame, gate: str, inner: Step, shut: Row, unjudged: Row) -> pl.DataFrame:
    """The inner step's columns for the rows that pass, `shut` where the gate is false, `unjudged` where it is missing."""
    placed = frame.with_row_index(_PLACE)
    passing = placed.filter(pl.col(gate))
    parts = [inner.many(passing.drop(_PLACE)).with_columns(passing[_PLACE])]
    for rows, values in ((placed.filter(~pl.col(gate)), shut), (placed.filter(pl.col(gate).is_null()), unjudged)):
        filling = pack([values], inner.types).select(pl.all().gather(pl.repeat(0, rows.height, dtype=pl.UInt32, eager=True)))
        parts.append(filling.with_columns(rows[_PLACE]))
    return pl.concat(parts, how="diagonal").sort(_PLACE).drop(_PLACE)


def nested(
    frame: pl.DataFrame,
    steps: Sequence[Step],
    sources: Mapping[str, str],
    types: Mapping[str, Type],
    outputs: Mapping[str, str],
    output_types: Mapping[str, Type],
) -> pl.DataFrame:
    """Run the inner steps over the renamed frame and give back their columns under the outer names."""
    inner = renamed(frame, sources, types)
    inner = inner.with_columns(frame[ROW]) if ROW in frame.columns else inner
    for step in steps:
        inner = inner.hstack(step.many(inner))
    return renamed(inner, outputs, output_types)
