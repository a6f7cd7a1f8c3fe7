"""The law of every step, checked: ``many(frame) == [one(row) for row in frame]``, and what a step says of itself is true."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.models.adapter import ulps as distance
from engine.plan import Row, Step
from engine.values import Type, Value, known, show

if TYPE_CHECKING:
    from polars import DataFrame

_SHOWN = 5


def check_step(step: Step, rows: list[Row], types: Mapping[str, Type], ulps: int = 0) -> None:
    """Raise `AssertionError` with a readable report unless the step keeps the law on these rows.

    `types` gives the type of every column of `rows`. `ulps` is how far apart two numbers may be, for a model whose package declares it.
    Checked: `one` and `many` give the same, bit for bit; they write just what `writes` and `types` say and read nothing beyond `reads`;
    they leave what they are given as it was; a frame of no rows and of one row behave like any other; the same rows give the same again.

    >>> from engine.values import INTEGER
    >>> class Double:
    ...     name, reads, writes, types = "double", ("n",), ("twice",), {"twice": INTEGER}
    ...     def one(self, row): return {"twice": 2 * row["n"]}
    ...     def many(self, frame): return frame.select(twice=frame["n"] * 2)
    >>> check_step(Double(), [{"n": 1}, {"n": 21}], {"n": INTEGER})
    """
    problems = _said(step, types) or [*_one(step, rows), *_many(step, rows, types, ulps)]
    if problems:
        more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise AssertionError("\n  ".join([f"step `{step.name}` does not keep the law of steps:", *problems[:_SHOWN], *more]))


def _said(step: Step, types: Mapping[str, Type]) -> list[str]:
    """What the step says of itself, held against itself."""
    problems = []
    if set(step.types) != set(step.writes):
        problems.append(f"`types` names {_names(step.types)}, `writes` {_names(step.writes)}")
    unknown = [column for column in step.reads if column not in types]
    if unknown:
        problems.append(f"it reads {_names(unknown)}, of which the rows say no type")
    return problems


def _one(step: Step, rows: Sequence[Row]) -> list[str]:
    problems = []
    for place, row in enumerate(rows):
        before = copy.copy(row)
        wide, again = step.one(row), step.one(dict(row))
        if row != before:
            problems.append(f"row {place}: `one` changes the row it is given")
        if tuple(sorted(wide)) != tuple(sorted(step.writes)):
            problems.append(f"row {place}: `one` writes {_names(wide)}, `writes` says {_names(step.writes)}")
            continue
        problems += _differences(step, place, "`one`", wide, "`one` again", again, 0)
        problems += _beyond_reads(step, place, row, wide)
    return problems


def _beyond_reads(step: Step, place: int, row: Row, wide: Row) -> list[str]:
    try:
        narrow = step.one({column: row[column] for column in step.reads})
    except KeyError as error:
        return [f"row {place}: `one` reads `{error.args[0]}`, which `reads` does not name"]
    return _differences(step, place, "`one`", wide, "`one` with only what it `reads`", narrow, 0)


def _many(step: Step, rows: Sequence[Row], types: Mapping[str, Type], ulps: int) -> list[str]:
    from engine.backends.columnar import pack

    if not all(set(step.one(row)) == set(step.writes) for row in rows):
        return []
    alone = [step.one(row) for row in rows]
    problems = []
    for start, stop, what in ((0, len(rows), "the whole frame"), (0, 0, "a frame of no rows"), (0, 1, "a frame of one row")):
        frame = pack(rows[start:stop], types)
        problems += _frame(step, frame, alone[start:stop], what, ulps)
    return problems


def _frame(step: Step, frame: DataFrame, alone: Sequence[Row], what: str, ulps: int) -> list[str]:
    from engine.backends.columnar import dtypes, unpack

    before = frame.clone()
    try:
        result = step.many(frame)
        narrow = step.many(frame.select(c for c in frame.columns if _column(c, step.reads)))
    except Exception as error:
        return [f"`many` fails on {what}: {type(error).__name__}: {error}"]
    problems = [] if frame.equals(before) else [f"`many` changes {what}"]
    if result.height != len(alone):
        return [*problems, f"`many` gives {result.height} rows for {what}, which has {len(alone)}"]
    wanted = dtypes(step.types)
    if not set(step.writes) <= set(result.columns) <= set(wanted):
        return [*problems, f"`many` writes {_names(result.columns)}, `writes` says {_names(step.writes)}"]
    for column, dtype in result.schema.items():
        if dtype != wanted[column]:
            problems.append(f"`many` writes `{column}` as {dtype}, it must be {wanted[column]}, in {what}")
    together = unpack(result, step.types)
    for place, (one, many, again) in enumerate(zip(alone, together, unpack(narrow, step.types), strict=True)):
        problems += _differences(step, place, "`one`", one, "`many`", many, ulps, f", in {what}")
        problems += _differences(step, place, "`many`", many, "`many` with only what it `reads`", again, 0)
    return problems


def _column(physical: str, reads: Sequence[str]) -> bool:
    """Whether a physical column belongs to one of the columns."""
    return physical in reads or (physical[-1:] in "#<>$" and physical[:-1] in reads)


def _differences(step: Step, place: int, a: str, left: Row, b: str, right: Row, ulps: int, where: str = "") -> list[str]:
    return [
        f"row {place}, `{column}`: {a} gives {_shown(left[column], type_)}, {b} gives {_shown(right[column], type_)}{where}"
        for column, type_ in step.types.items()
        if not _same(left[column], right[column], ulps)
    ]


def _same(a: Value, b: Value, ulps: int) -> bool:
    if a.__class__ is float and b.__class__ is float:
        # also tells the zeros apart
        return repr(a) == repr(b) if ulps == 0 or a - b != a - b else distance(a, b) <= ulps
    return a.__class__ is b.__class__ and bool(a == b)


def _shown(value: Value, type_: Type) -> str:
    """The value with its exact bits where it is a number; whatever a broken step gave is shown as it is."""
    if value.__class__ is float or not known(value):
        return repr(value)
    try:
        return show(value, type_)
    except (TypeError, ValueError, AttributeError, KeyError):
        return repr(value)


def _names(columns: Any) -> str:
    return ", ".join(f"`{column}`" for column in columns) or "nothing"
