"""One row for a model, fast: a step's inputs become one written function that packs them as floats and hands them to the scorer.

It only takes what `encode` would turn into a float in every input, in the same way; whatever else a row holds goes the careful way.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from typing import Final

from engine.backends.source import Module
from engine.models.adapter import Input, Scorer
from engine.models.encode import FLOAT32_MAX, divisor, text_codes
from engine.plan import Row
from engine.values import NUMBER, missing, number

_NO_FLOAT: Final = (TypeError, KeyError, struct.error)
"""What a value that is missing, open, foreign money or an unseen text raises where a float is needed."""


def compile_one(
    title: str,
    inputs: Sequence[tuple[Input, str]],
    width: int,
    scorer: Scorer,
    outputs: Sequence[str],
    policy: str | None,
    careful: Callable[[Row], Row],
) -> Callable[[Row], Row]:
    """The function of a row for a step: `inputs` with their columns, `outputs` the columns of the scores; `careful` is asked for rows
    in which an input is not plainly there."""
    module = Module()
    module.space |= {
        "pack": struct.Struct(f"{len(inputs)}d").pack,
        "score": packed(scorer, len(inputs)),
        "careful": careful,
        "NO_FLOAT": _NO_FLOAT,
        "OVERFLOW": missing("overflow"),
        "number": number,
        "OUTPUTS": tuple(outputs),
        "nan": float("nan"),
    }
    values = [_value(module, declared, f"row[{column!r}]", width) for declared, column in inputs]
    if len(values) > 1 and values == [f"row[{column!r}]" for _, column in inputs]:
        # as they stand: fetched and packed without a step of Python's for each
        module.space["fetch"] = operator.itemgetter(*(column for _, column in inputs))
        values = ["*fetch(row)"]
    module.add(
        [
            "def one(row):",
            "    try:",
            "        packed = pack(",
            *(f"            {value}," for value in values),
            "        )",
            "    except NO_FLOAT:",
            "        return careful(row)",
            *_scored(outputs, policy),
        ]
    )
    return module.load("one", f"model {title}")


def packed(scorer: Scorer, count: int) -> Callable[[bytes], Sequence[float]]:
    """The scorer as a function of a row's floats in bytes: its own where it has one."""
    own: Callable[[bytes], Sequence[float]] | None = getattr(scorer, "packed", None)
    unpack = struct.Struct(f"{count}d").unpack
    return own if own is not None else lambda row: scorer.one(unpack(row))


def _value(module: Module, declared: Input, read: str, width: int) -> str:
    """The text of an input's float, which raises, or gives what cannot be packed, where there is none."""
    if declared.type.kind == "text":
        codes = module.constant(text_codes(declared), f"codes_{declared.name}")
        return f"{codes}.get({read}, nan)" if declared.missing and declared.unseen == "missing" else f"{codes}[{read}]"
    units = divisor(declared.type)
    text = f"{read} / {units}" if units > 1 else read
    if width == 32 and declared.type == NUMBER:
        text = f"(x if {-FLOAT32_MAX!r} <= (x := {read}) <= {FLOAT32_MAX!r} else OVERFLOW)"
    if declared.missing:
        text = f"(nan if (x := {read}).__class__ is Missing else {text.replace(read, 'x')})"
    return text


def _scored(outputs: Sequence[str], policy: str | None) -> list[str]:
    """The lines that hand on what the model says, as `values.number` would."""
    told = f", {policy!r}: False" if policy else ""
    if len(outputs) == 1:
        return ["    (x,) = score(packed)", f"    return {{{outputs[0]!r}: x + 0.0 if x - x == 0.0 else OVERFLOW{told}}}"]
    return ["    scores = zip(OUTPUTS, map(number, score(packed)))", f"    return {{**dict(scores){told}}}"]
