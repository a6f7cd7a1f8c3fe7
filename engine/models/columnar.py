"""Models over frames: encoding and scoring many rows, frames for estimators that want column names, golden rows on disk.

It owes `encode` and `ModelStep.one` equality. Frames are in the physical layout of `engine.backends.columnar`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from engine.errors import ModelError
from engine.models.adapter import Input, Output
from engine.models.encode import FLOAT32_MAX, divisor
from engine.values import MISSING, NUMBER, Value, missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.models.adapter import Matrix
    from engine.models.manifest import Manifest

    Codes = NDArray[np.uint8]

_EXACT_FLOAT = 2**53
_BLOCK = 4096
_PHYSICAL = {"text": pl.String, "number": pl.Float64, "flag": pl.Boolean}
_OUTPUT = "=> "


def _code(cause: str) -> int:
    """A cause as a `#` column holds it."""
    return 1 + missing(cause).rank


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows as the model reads them (n × inputs), and why a row cannot be scored: 0, or the code of a cause (n)."""

    matrix: Matrix
    lacks: Codes

    def scorable(self) -> Matrix:
        """The rows without a lack."""
        return self.matrix[self.lacks == 0] if self.lacks.any() else self.matrix


def encode(frame: pl.DataFrame, inputs: Sequence[Input], columns: Sequence[str], width: int) -> Encoded:
    """Every row of the frame as floats; `columns` are the inputs' columns in the frame."""
    lacks, given = np.zeros(frame.height, dtype=np.uint8), []
    for declared, column in zip(inputs, columns, strict=True):
        values, causes = _encode_column(frame, declared, column, width)
        given.append(values)
        if causes is not None:
            # the first cause in rank is the smallest code
            lacks = np.where((lacks == 0) | ((causes > 0) & (causes < lacks)), causes, lacks)
    matrix = np.empty((frame.height, len(inputs)))
    # by rows that stay in the processor's cache while every column is written
    for start in range(0, frame.height, _BLOCK):
        part = matrix[start : start + _BLOCK]
        for place, values in enumerate(given):
            part[:, place] = values[start : start + _BLOCK]
    return Encoded(matrix, lacks)


def _encode_column(frame: pl.DataFrame, declared: Input, column: str, width: int) -> tuple[Matrix, Codes | None]:
    """The floats of one input, and the codes of what rows lack; none where none lacks anything."""
    series = frame[column]
    lacks = _causes(frame, column) if series.null_count() else None
    if declared.type.kind == "text":
        return _encode_text(series, declared, np.zeros(frame.height, dtype=np.uint8) if lacks is None else lacks)
    if f"{column}$" in frame.columns:
        foreign = (frame[f"{column}$"] != declared.type.currency).fill_null(True).to_numpy()
        lacks = np.zeros(frame.height, dtype=np.uint8) if lacks is None else lacks
        lacks = np.where((lacks == 0) & foreign, np.uint8(_code("currency")), lacks)
    values = _floats(series, divisor(declared.type))
    if lacks is not None:
        values = np.where(lacks > 0, np.nan, values)
    if declared.missing:
        lacks = None
    if width == 32 and declared.type == NUMBER:
        beyond = np.abs(values) > FLOAT32_MAX
        if beyond.any():
            lacks = np.where(beyond, np.uint8(_code("overflow")), 0 if lacks is None else lacks).astype(np.uint8)
    return values, lacks


def _causes(frame: pl.DataFrame, column: str) -> Codes:
    """Per row 0 or the code of the cause; a null is `absent` where no cause stands beside it, an open interval `undecided`."""
    null = frame[column].is_null().to_numpy()
    causes = frame[f"{column}#"].to_numpy() if f"{column}#" in frame.columns else np.full(len(null), _code(MISSING.cause))
    if f"{column}<" in frame.columns:
        bounded = (frame[f"{column}<"].is_not_null() | frame[f"{column}>"].is_not_null()).to_numpy()
        causes = np.where(bounded, _code("undecided"), causes)
    return np.where(null, causes, 0).astype(np.uint8)


def _encode_text(series: pl.Series, declared: Input, lacks: Codes) -> tuple[Matrix, Codes]:
    codes = pl.Series(declared.codes, dtype=pl.String), pl.Series(range(len(declared.codes)), dtype=pl.Float64)
    values = series.replace_strict(*codes, default=None, return_dtype=pl.Float64).fill_null(np.nan).to_numpy().copy()
    unseen = np.isnan(values) & (lacks == 0)
    if declared.missing:
        lacks = np.zeros_like(lacks)
        unseen &= declared.unseen == "error"
    return values, np.where(unseen, np.uint8(_code("damaged")), lacks)


def _floats(series: pl.Series, units: int) -> Matrix:
    """The nearest float64 to value / units, NaN for null; whole numbers past 2**53 go the exact way, one by one. May be read only."""
    if series.dtype.is_integer() and units > 1:
        beyond = series.filter((series > _EXACT_FLOAT) | (series < -_EXACT_FLOAT))
        if len(beyond):
            return np.array([np.nan if value is None else value / units for value in series], dtype=np.float64)
    values: Matrix = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values / units if units > 1 else values


def scored(encoded: Encoded, scores: Matrix, columns: Sequence[str], fallback: Sequence[float | None]) -> pl.DataFrame:
    """The output columns. `scores` belong to the rows without a lack; `fallback` stands in where a row has one, where it is given."""
    lacking, frame = encoded.lacks > 0, {}
    for place, (column, instead) in enumerate(zip(columns, fallback, strict=True)):
        values = np.full(len(lacking), np.nan if instead is None else instead)
        # as `values.number` does: zero has no sign
        values[~lacking] = scores[:, place] + 0.0
        causes = np.where(lacking & (instead is None), encoded.lacks, 0).astype(np.uint8)
        causes[~lacking & ~np.isfinite(values)] = _code("overflow")
        frame[column] = pl.Series(values).zip_with(pl.Series(causes == 0), pl.Series([None], dtype=pl.Float64))
        frame[f"{column}#"] = pl.Series(causes, dtype=pl.UInt8)
    return pl.DataFrame(frame)


def flagged(column: str, flags: NDArray[np.bool_]) -> pl.DataFrame:
    """A flag column that is never missing."""
    return pl.DataFrame({column: pl.Series(flags, dtype=pl.Boolean), f"{column}#": pl.Series(np.zeros(len(flags)), dtype=pl.UInt8)})


def named(matrix: Matrix, inputs: Sequence[Input]) -> pl.DataFrame:
    """Encoded rows as a frame with the inputs' names: texts as categories, everything else as floats."""
    return pl.DataFrame([_named_column(matrix[:, place], declared) for place, declared in enumerate(inputs)])


def _named_column(values: Matrix, declared: Input) -> pl.Series:
    series = pl.Series(declared.name, values)
    if not declared.codes:
        return series
    texts = pl.Series(declared.codes, dtype=pl.Enum(declared.codes))
    return texts.gather(series.fill_nan(None).cast(pl.UInt32)).alias(declared.name)


def write_golden(
    path: Path, rows: Sequence[tuple[Sequence[Value], Sequence[float]]], inputs: Sequence[Input], outputs: Sequence[Output]
) -> None:
    """Rows of input values with the outputs they gave. Missing values are null; each column has its type's physical form."""
    data = [
        pl.Series(
            declared.name, [None if row[i] is MISSING else row[i] for row, _ in rows], dtype=_PHYSICAL.get(declared.type.kind, pl.Int64)
        )
        for i, declared in enumerate(inputs)
    ]
    data += [pl.Series(_OUTPUT + output.name, [scores[i] for _, scores in rows], dtype=pl.Float64) for i, output in enumerate(outputs)]
    pl.DataFrame(data).write_parquet(path)


def read_golden(path: Path, manifest: Manifest) -> list[tuple[list[Value], list[float]]]:
    """What `write_golden` wrote. Raises `ModelError` where columns are not those of the manifest."""
    inputs, outputs = manifest.signature.inputs, manifest.signature.outputs
    schema: dict[str, pl.DataType | type[pl.DataType]] = {i.name: _PHYSICAL.get(i.type.kind, pl.Int64) for i in inputs}
    schema |= {_OUTPUT + output.name: pl.Float64 for output in outputs}
    try:
        frame = pl.read_parquet(path, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ModelError(f"`{path.name}` of `{manifest}` cannot be read: {str(error).splitlines()[0]}") from error
    if dict(frame.schema) != schema or frame.height == 0:
        raise ModelError(f"`{path.name}` of `{manifest}` does not hold rows of its inputs and outputs")
    if frame.select(pl.col(_OUTPUT + output.name).is_null().any() for output in outputs).row(0) != (False,) * len(outputs):
        raise ModelError(f"`{path.name}` of `{manifest}` lacks outputs")
    rows = frame.select(list(schema)).rows()
    return [([MISSING if v is None else v for v in row[: len(inputs)]], list(row[len(inputs) :])) for row in rows]
