"""What a model library has to give to be usable: the `Adapter` protocol, and the signature a package declares.

An adapter sees rows of float64 only; what a text, a date or an amount becomes is `encode`'s affair.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import ModelError
from engine.values import NUMBER, Type

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Input:
    """One input. `codes` are the texts a text input knows, in the order of their numbers; `unseen` is ``missing`` or ``error``."""

    name: str
    type: Type
    missing: bool = False
    codes: tuple[str, ...] = ()
    unseen: str = "missing"


@dataclass(frozen=True, slots=True)
class Output:
    """One output, a number, and the range it keeps to where that is known."""

    name: str
    range: tuple[float, float] | None = None
    type: Type = NUMBER


@dataclass(frozen=True, slots=True)
class Fitted:
    """What an adapter sees in a fitted estimator.

    `features` says how the estimator calls its inputs (or none, where it only counts them), `width` the
    bits of the floats it works with, `categories` the texts of its category inputs in their order, where it remembers them.
    """

    method: str
    outputs: tuple[Output, ...]
    count: int
    features: tuple[str, ...] | None
    width: int = 64
    categories: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes in and what comes out; `method` says what the outputs are: ``probability``, ``prediction`` or ``anomaly``."""

    method: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]


class Scorer(Protocol):
    """A model ready to score. `one` takes one value per input, NaN where it is missing; `many` a row each (n × inputs -> n × outputs).

    Both may be called by several threads at once. `contributions` gives one share per input and the base last, or nothing where the
    library has none; with several outputs the shares of the first come first.
    """

    def one(self, values: Sequence[float]) -> Sequence[float]: ...

    def many(self, matrix: Matrix) -> Matrix: ...

    def contributions(self, values: Sequence[float]) -> Sequence[float]: ...


class Adapter(Protocol):
    """One library. `FILE` is the artefact's name, `MAGIC` how its bytes begin, `LIBRARIES` the distributions whose versions count."""

    @property
    def FILE(self) -> str: ...
    @property
    def MAGIC(self) -> bytes: ...
    @property
    def LIBRARIES(self) -> tuple[str, ...]: ...

    def recognises(self, estimator: Any) -> bool:
        """Whether the object is one of this library's; does not import it."""

    def describe(self, estimator: Any) -> Fitted: ...

    def wrap(self, estimator: Any, signature: Signature) -> Scorer:
        """The estimator itself as a scorer, for many rows."""

    def save(self, estimator: Any, path: Path) -> None: ...

    def open(self, path: Path, signature: Signature, allow: frozenset[str] | None) -> Scorer:
        """Read an artefact. `allow` names the types the deployment trusts; none means that this process wrote the file a moment ago."""


def ulps(a: float, b: float) -> int:
    """How many floats apart two finite floats are: 0 when equal (and for the two zeros).

    >>> ulps(1.0, 1.0), ulps(1.0, 1.0000000000000002), ulps(0.0, -5e-324)
    (0, 1, 1)
    """
    return abs(_ordered(a) - _ordered(b))


def _ordered(x: float) -> int:
    bits: int = struct.unpack("<q", struct.pack("<d", x))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def takes(what: str, count: int, signature: Signature) -> None:
    """Raise `ModelError` for an artefact that takes another number of inputs than its package says."""
    if count != len(signature.inputs):
        raise ModelError(f"the {what} takes {count} inputs, `model.yaml` names {len(signature.inputs)}")


def outputs_of(method: str, classes: Sequence[Any]) -> tuple[Output, ...]:
    """The outputs of a classifier: one probability for two classes (of the second), one each for more."""
    if len(classes) <= 2:
        return (Output(method, (0.0, 1.0)),)
    return tuple(Output(f"{method}_{plain_name(name)}", (0.0, 1.0)) for name in classes)


def plain_name(value: Any) -> str:
    """A class label as part of an output's name: small letters, digits and underscores."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in str(value).lower())
