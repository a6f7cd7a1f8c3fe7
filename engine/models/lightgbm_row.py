"""LightGBM's own fast call for one row, which its Python package does not offer: through ctypes, by every thread for itself."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from engine.errors import ModelError

CALL: Final = "LGBM_BoosterPredictForMatSingleRowFast"
_NORMAL, _FLOAT64, _ALL_TREES = 0, 1, -1  # C_API_PREDICT_NORMAL, C_API_DTYPE_FLOAT64
_SMALL: Final = 300
"""How many trees a model has at most that is scored without letting other threads go on meanwhile."""


def fast_call(lib: Any, booster: Any) -> Callable[[bytes], Sequence[float]] | None:
    """The single-row fast call of a loaded library as a function of a row's floats in bytes, where this release has it."""
    if not hasattr(lib, CALL + "Init"):
        return None
    # letting other threads go on meanwhile costs more than a small model takes
    predict = getattr(ctypes.PyDLL(lib._name, handle=lib._handle) if booster.num_trees() <= _SMALL else lib, CALL)
    threads, several = _Threads(lib, booster), booster.num_model_per_iteration() > 1

    def packed(row: bytes) -> Sequence[float]:
        handle, length, out = threads.call
        if predict(handle, row, length, out):
            threads.row.fail()
        return out[:] if several else (out[0],)

    return packed


class FastRow:
    """A handle for `LGBM_BoosterPredictForMatSingleRowFast` and where it writes to; `call` is what the call takes besides the row."""

    def __init__(self, lib: Any, booster: Any) -> None:
        self._lib, self._booster = lib, booster  # the booster must outlive the handle
        width, count = booster.num_feature(), booster.num_model_per_iteration()
        self._handle, self._length, out = ctypes.c_void_p(), ctypes.c_int64(), (ctypes.c_double * count)()
        self.call = self._handle, ctypes.byref(self._length), out
        kinds = ctypes.c_int(_NORMAL), ctypes.c_int(0), ctypes.c_int(_ALL_TREES), ctypes.c_int(_FLOAT64)
        init = getattr(lib, CALL + "Init")
        if init(booster._handle, *kinds, ctypes.c_int32(width), ctypes.c_char_p(b""), ctypes.byref(self._handle)):
            self.fail()

    def fail(self) -> NoReturn:
        """Say what the library says of the call before."""
        text = ctypes.cast(self._lib.LGBM_GetLastError(), ctypes.c_char_p).value or b""
        raise ModelError(f"LightGBM: {text.decode(errors='replace')}")

    def __del__(self) -> None:
        if self._handle:
            self._lib.LGBM_FastConfigFree(self._handle)


class _Threads(threading.local):
    """A `FastRow` for every thread, made when it first asks, so that no two share where scores are written."""

    def __init__(self, lib: Any, booster: Any) -> None:
        self.row = FastRow(lib, booster)
        self.call = self.row.call
