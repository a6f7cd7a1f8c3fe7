"""A scikit-learn model as a graph for ONNX Runtime, where that is proved on a sample; where it is not, why."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from engine.errors import ModelError
from engine.models import onnx, sklearn
from engine.models.adapter import Signature, ulps
from engine.models.manifest import tolerance

if TYPE_CHECKING:
    from engine.models.adapter import Matrix

_TOLERANCE: Final = re.compile(r"exact|within [1-9]\d{0,8} ulp")


def converted(estimator: Any, signature: Signature, width: int, rows: Sequence[Sequence[float]], allowed: str) -> tuple[bytes | None, str]:
    """The graph and what proved it; or none, and what speaks against it. `rows` are encoded rows of the sample, `allowed` a tolerance.

    Raises `ModelError` for a tolerance that is none, and where the libraries are not there.
    """
    if not _TOLERANCE.fullmatch(allowed):
        raise ModelError(f"`onnx` is `exact` or `within N ulp`, not `{allowed}`")
    if width == 32:
        return None, "not used: trees read 32-bit floats, which a graph of 64-bit floats does not"
    try:
        graph = onnx.convert(estimator, signature)
        apart, points = _apart(sklearn.wrap(estimator, signature), onnx.Graph(graph, signature), _beside(rows, signature))
    except ImportError as error:
        raise ModelError(f"a conversion needs a library that is not here: install `kaskade[onnx]` ({error.name})") from error
    except ModelError as error:
        return None, f"not used: {error}"
    if apart is None:
        return None, "not used: one of the two leaves the finite numbers"
    if apart > (tolerance(allowed) or 0):
        return None, f"not used: it lies {apart:,} ulp from the estimator, `{allowed}`"
    return graph, f"within {apart} ulp of the estimator at {points:,} points"


def _beside(rows: Sequence[Sequence[float]], signature: Signature) -> Matrix:
    """The rows, and each with all its numbers one float below and above."""
    import numpy as np

    given = np.array(rows, dtype=np.float64)
    numbers = [declared.type.kind == "number" for declared in signature.inputs]
    return np.vstack([given, *(np.where(numbers, np.nextafter(given, end), given) for end in (-math.inf, math.inf))])


def _apart(estimator: sklearn.Estimator, graph: onnx.Graph, points: Matrix) -> tuple[int | None, int]:
    """How many floats the two are apart at most, row by row; none where one of them is not finite. And at how many points."""
    worst = 0
    for point in points:
        pairs = list(zip(estimator.packed(point.tobytes()), graph.packed(point.tobytes()), strict=True))
        if not all(math.isfinite(score) for pair in pairs for score in pair):
            return None, len(points)
        worst = max([worst, *(ulps(one, other) for one, other in pairs)])
    return worst, len(points)
