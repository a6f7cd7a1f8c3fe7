"""XGBoost: JSON models, scored in place. The library works with 32-bit floats, inputs and outputs alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError
from engine.models.adapter import Fitted, Output, Signature, outputs_of, takes

if TYPE_CHECKING:
    from engine.models.adapter import Matrix

FILE, MAGIC, LIBRARIES = "model.json", b"{", ("xgboost", "numpy")


def recognises(estimator: Any) -> bool:
    return any(cls.__module__.partition(".")[0] == "xgboost" for cls in type(estimator).__mro__)


def _booster(estimator: Any) -> Any:
    return estimator.get_booster() if hasattr(estimator, "get_booster") else estimator


def describe(estimator: Any) -> Fitted:
    booster = _booster(estimator)
    learner = json.loads(booster.save_config())["learner"]
    if learner["gradient_booster"]["name"] == "gblinear":
        raise ModelError(
            "XGBoost scores single rows by its trees alone, and this booster is linear: package a linear model of scikit-learn"
        )
    count = max(int(learner["learner_model_param"]["num_class"]), int(learner["learner_model_param"]["num_target"]))
    probable = learner["objective"]["name"] in ("binary:logistic", "reg:logistic", "multi:softprob")
    several = tuple(Output(f"value_{i}") for i in range(count)) if count > 1 else (Output("value"),)
    classes = list(getattr(estimator, "classes_", range(count))) if count > 1 else []
    outputs = outputs_of("probability", classes) if probable else several
    names = None if booster.feature_names is None else tuple(booster.feature_names)
    return Fitted("probability" if probable else "prediction", outputs, booster.num_features(), names, 32)


def wrap(estimator: Any, signature: Signature) -> Booster:
    return Booster(_booster(estimator))


def save(estimator: Any, path: Path) -> None:
    _booster(estimator).save_model(path)


def open(path: Path, signature: Signature, allow: frozenset[str] | None) -> Booster:
    import xgboost

    booster = xgboost.Booster()
    try:
        booster.load_model(path)
    except xgboost.core.XGBoostError as error:
        raise ModelError(f"`{path.name}` is no XGBoost model: {str(error).splitlines()[0]}") from error
    takes("model", booster.num_features(), signature)
    return Booster(booster)


class Booster:
    """An XGBoost model; trees after the best one, where training stopped early, do not count."""

    def __init__(self, booster: Any) -> None:
        best = booster.attributes().get("best_iteration")
        self._booster, self._trees = booster, (0, 0 if best is None else int(best) + 1)

    def one(self, values: Sequence[float]) -> Sequence[float]:
        import numpy as np

        scores: list[float] = self.many(np.array([values], dtype=np.float64))[0].tolist()
        return scores

    def many(self, matrix: Matrix) -> Matrix:
        scores: Matrix = self._booster.inplace_predict(matrix, iteration_range=self._trees).reshape(len(matrix), -1).astype("float64")
        return scores

    def contributions(self, values: Sequence[float]) -> Sequence[float]:
        return ()
