"""LightGBM: text models. One row goes through the library's own single-row fast call, many through `Booster.predict`; same bits."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError
from engine.models.adapter import Fitted, Output, Signature, outputs_of, takes
from engine.models.lightgbm_row import fast_call

if TYPE_CHECKING:
    from engine.models.adapter import Matrix

FILE, MAGIC, LIBRARIES = "model.txt", b"tree\n", ("lightgbm", "numpy")


def recognises(estimator: Any) -> bool:
    return any(cls.__module__.partition(".")[0] == "lightgbm" for cls in type(estimator).__mro__)


def _booster(estimator: Any) -> Any:
    return estimator.booster_ if hasattr(estimator, "booster_") else estimator


def describe(estimator: Any) -> Fitted:
    booster = _booster(estimator)
    header = booster.model_to_string(num_iteration=1).partition("\nTree=")[0].splitlines()
    objective = next((line.partition("=")[2].split()[0] for line in header if line.startswith("objective=")), "custom")
    probable = objective in ("binary", "cross_entropy", "multiclass", "multiclassova")
    count = booster.num_model_per_iteration()
    classes = list(getattr(estimator, "classes_", range(count))) if count > 1 else []
    several = tuple(Output(f"value_{i}") for i in range(count)) if count > 1 else (Output("value"),)
    names = tuple(booster.feature_name())
    named = names != tuple(f"Column_{i}" for i in range(len(names)))
    texts = tuple(tuple(str(c) for c in column) for column in booster.pandas_categorical or ())
    outputs = outputs_of("probability", classes) if probable else several
    return Fitted("probability" if probable else "prediction", outputs, len(names), names if named else None, 64, texts or None)


def wrap(estimator: Any, signature: Signature) -> Booster:
    return Booster(_booster(estimator))


def save(estimator: Any, path: Path) -> None:
    _booster(estimator).save_model(str(path))


def open(path: Path, signature: Signature, allow: frozenset[str] | None) -> Booster:
    import lightgbm

    try:
        booster = lightgbm.Booster(model_file=str(path))
    except lightgbm.basic.LightGBMError as error:
        raise ModelError(f"`{path.name}` is no LightGBM model: {error}") from error
    takes("model", booster.num_feature(), signature)
    return Booster(booster)


class Booster:
    """A LightGBM model. `packed` is `one` for a row's floats in bytes."""

    def __init__(self, booster: Any) -> None:
        from lightgbm import basic

        self._booster, self._pack = booster, struct.Struct(f"{booster.num_feature()}d").pack
        self.packed = fast_call(vars(basic)["_LIB"], booster) or self._slowly

    def one(self, values: Sequence[float]) -> Sequence[float]:
        return self.packed(self._pack(*values))

    def _slowly(self, row: bytes) -> Sequence[float]:
        scores: list[float] = self._booster.predict([memoryview(row).cast("d").tolist()]).reshape(-1).tolist()
        return scores

    def many(self, matrix: Matrix) -> Matrix:
        scores: Matrix = self._booster.predict(matrix).reshape(len(matrix), -1)
        return scores

    def contributions(self, values: Sequence[float]) -> Sequence[float]:
        shares: list[float] = self._booster.predict([list(values)], pred_contrib=True).reshape(-1).tolist()
        return shares
