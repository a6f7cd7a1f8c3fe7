"""Gates and nested cascades over frames: which rows go where, and back in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from engine.backends.columnar import pack
from engine.backends.columnar_steps import renamed
from engine.plan import ROW, Row, Step
from engine.values import Type


def gated(frame: pl.DataFrame, gate: str, inner: Step, shut: Row, unjudged: Row) -> pl.DataFrame:
    """The inner step's columns for the rows that pass, `shut` where the gate is false, `unjudged` where it is missing."""
    passes = frame[gate]
    if passes.null_count() == 0 and passes.all():
        return inner.many(frame)
    parts, places = [inner.many(frame.filter(passes))], [passes.arg_true()]
    for rows, values in (((~passes).arg_true(), shut), (passes.is_null().arg_true(), unjudged)):
        if rows.len():
            filling = pack([values], inner.types)
            parts.append(filling.select(pl.all().gather(pl.repeat(0, rows.len(), dtype=pl.UInt32, eager=True))))
            places.append(rows)
    return pl.concat(parts, how="diagonal")[pl.concat(places).arg_sort()]


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
