"""LightGBM: text models. One row goes through the library's own single-row fast call, many through `Booster.predict`; same bits."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError
from engine.models.adapter import Fitted, Output, Signature, outputs_of

if TYPE_CHECKING:
    from engine.models.adapter import Matrix

FILE, MAGIC, LIBRARIES = "model.txt", b"tree\n", ("lightgbm", "numpy")
_NORMAL, _FLOAT64 = 0, 1  # C_API_PREDICT_NORMAL, C_API_DTYPE_FLOAT64
_FAST = "LGBM_BoosterPredictForMatSingleRowFast"


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
        return Booster(lightgbm.Booster(model_file=str(path)))
    except lightgbm.basic.LightGBMError as error:
        raise ModelError(f"`{path.name}` is no LightGBM model: {error}") from error


class Booster:
    """A LightGBM model. Every thread gets its own fast-call handle, so that no two share a row buffer."""

    def __init__(self, booster: Any) -> None:
        from lightgbm import basic

        self._booster, self._lib, self._local = booster, vars(basic)["_LIB"], threading.local()
        self._is_fast = hasattr(self._lib, _FAST + "Init")

    def one(self, values: Sequence[float]) -> Sequence[float]:
        if not self._is_fast:
            scores: list[float] = self._booster.predict([list(values)]).reshape(-1).tolist()
            return scores
        row = getattr(self._local, "row", None)
        if row is None:
            row = self._local.row = _FastRow(self._lib, self._booster)
        return row.score(values)

    def many(self, matrix: Matrix) -> Matrix:
        scores: Matrix = self._booster.predict(matrix).reshape(len(matrix), -1)
        return scores

    def contributions(self, values: Sequence[float]) -> Sequence[float]:
        shares: list[float] = self._booster.predict([list(values)], pred_contrib=True).reshape(-1).tolist()
        return shares


class _FastRow:
    """One thread's handle for `LGBM_BoosterPredictForMatSingleRowFast` and its buffers."""

    def __init__(self, lib: Any, booster: Any) -> None:
        self._lib, self._booster = lib, booster  # the booster must outlive the handle
        width, count = booster.num_feature(), booster.num_model_per_iteration()
        self._row, self._out, self._length = (ctypes.c_double * width)(), (ctypes.c_double * count)(), ctypes.c_int64()
        self._handle, self._predict = ctypes.c_void_p(), getattr(lib, _FAST)
        start, all_trees = ctypes.c_int(0), ctypes.c_int(-1)
        kinds = ctypes.c_int(_NORMAL), start, all_trees, ctypes.c_int(_FLOAT64)
        init = getattr(lib, _FAST + "Init")
        self._check(init(booster._handle, *kinds, ctypes.c_int32(width), ctypes.c_char_p(b""), ctypes.byref(self._handle)))

    def score(self, values: Sequence[float]) -> Sequence[float]:
        self._row[:] = values
        self._check(self._predict(self._handle, self._row, ctypes.byref(self._length), self._out))
        return list(self._out)

    def _check(self, code: int) -> None:
        if code:
            text = ctypes.cast(self._lib.LGBM_GetLastError(), ctypes.c_char_p).value or b""
            raise ModelError(f"LightGBM: {text.decode(errors='replace')}")

    def __del__(self) -> None:
        if self._handle:
            self._lib.LGBM_FastConfigFree(self._handle)
