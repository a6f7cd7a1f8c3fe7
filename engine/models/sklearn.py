"""scikit-learn: estimators and pipelines in skops archives, of which only types the deployment allows are ever loaded.

An estimator that was fitted on a frame gets a frame with the same column names, any other a matrix.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError
from engine.models.adapter import Fitted, Output, Signature, outputs_of, takes
from engine.models.trees import walk

if TYPE_CHECKING:
    from engine.models.adapter import Matrix

FILE, MAGIC, LIBRARIES = "model.skops", b"PK\x03\x04", ("scikit-learn", "skops", "numpy", "scipy")
_SINGLE = ("sklearn.tree.", "sklearn.ensemble._forest", "sklearn.ensemble._iforest", "sklearn.ensemble._gb", "xgboost.")
"""Modules whose models read their inputs as 32-bit floats."""


def recognises(estimator: Any) -> bool:
    return hasattr(estimator, "get_params") and hasattr(estimator, "fit")


def describe(estimator: Any) -> Fitted:
    from sklearn.base import is_classifier, is_outlier_detector, is_regressor

    outputs: tuple[Output, ...]
    if is_outlier_detector(estimator):
        method, outputs = "anomaly", (Output("score"),)
    elif is_classifier(estimator) and hasattr(estimator, "predict_proba"):
        method, outputs = "probability", outputs_of("probability", estimator.classes_)
    elif is_regressor(estimator):
        method, outputs = "prediction", (Output("value"),)
    else:
        raise ModelError("a scikit-learn model must be a classifier with probabilities, a regressor or an outlier detector")
    named = getattr(estimator, "feature_names_in_", None)
    features = None if named is None else tuple(str(name) for name in named)
    return Fitted(method, outputs, int(estimator.n_features_in_), features, _width(estimator))


def _width(estimator: Any) -> int:
    parts = [estimator, *estimator.get_params(deep=True).values(), *getattr(estimator, "estimators_", ())]
    return 32 if any(type(part).__module__.startswith(_SINGLE) for part in parts) else 64


def wrap(estimator: Any, signature: Signature) -> Estimator:
    return Estimator(estimator, signature)


def save(estimator: Any, path: Path) -> None:
    from skops import io

    io.dump(estimator, path)


def open(path: Path, signature: Signature, allow: frozenset[str] | None) -> Estimator:
    from skops import io

    needed = io.get_untrusted_types(file=path)
    refused = [] if allow is None else sorted(set(needed) - allow)
    if refused:
        names = ", ".join(f"`{name}`" for name in refused)
        raise ModelError(
            f"the archive holds types not allowed here: {names}; if you trust them, put them under `allow` in `deployment.yaml`"
        )
    estimator = io.load(path, trusted=sorted(needed))
    takes("estimator", estimator.n_features_in_, signature)
    # threads add up trees in any order, which changes the last bits
    jobs = [name for name in estimator.get_params(deep=True) if name.rpartition("__")[2] == "n_jobs"]
    return wrap(estimator.set_params(**dict.fromkeys(jobs, 1)), signature)


class Estimator:
    """A scikit-learn model. `packed` is `one` for a row's floats in bytes.

    Where a row leads the library out of the finite numbers it refuses to go on; such a row's scores are NaN.
    """

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self._estimator, self._signature, self._named = estimator, signature, hasattr(estimator, "feature_names_in_")
        self.packed = walk(estimator, self.many) or self._alone

    def one(self, values: Sequence[float]) -> Sequence[float]:
        return self.packed(struct.pack(f"{len(values)}d", *values))

    def _alone(self, row: bytes) -> Sequence[float]:
        import numpy as np

        scores: list[float] = self.many(np.frombuffer(row).reshape(1, -1))[0].tolist()
        return scores

    def many(self, matrix: Matrix) -> Matrix:
        import numpy as np

        try:
            with np.errstate(all="ignore"):
                return self._scores(matrix)
        except ValueError as error:
            if "infinity" not in str(error) and "NaN" not in str(error):
                raise
        if len(matrix) == 1:
            return np.full((1, len(self._signature.outputs)), np.nan)
        return np.vstack([self.many(matrix[i : i + 1]) for i in range(len(matrix))])

    def _scores(self, matrix: Matrix) -> Matrix:
        from engine.models import columnar  # loads polars

        table = columnar.named(matrix, self._signature.inputs) if self._named else matrix
        if self._signature.method == "anomaly":
            # as in the paper that named it: 0 to 1, and the higher the stranger
            scores = -self._estimator.score_samples(table)
        elif self._signature.method == "probability":
            scores = self._estimator.predict_proba(table)
            scores = scores[:, 1] if scores.shape[1] == 2 else scores
        else:
            scores = self._estimator.predict(table)
        result: Matrix = scores.reshape(len(matrix), -1)
        return result

    def contributions(self, values: Sequence[float]) -> Sequence[float]:
        return ()
