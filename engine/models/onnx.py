"""ONNX Runtime: what scikit-learn's linear models, networks and pipelines compute, without scikit-learn when they decide.

Only 64-bit graphs, and none is taken for the estimator it was made from unless `packing` has proved it. Trees are not converted: they
read 32-bit floats, which a graph of 64-bit floats does not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError
from engine.models.adapter import Fitted, Signature

if TYPE_CHECKING:
    from engine.models.adapter import Matrix

FILE, MAGIC, LIBRARIES = "model.onnx", b"\x08", ("onnxruntime", "numpy")
_ALL = "inputs"


def recognises(estimator: Any) -> bool:
    """Nothing is fitted as a graph: `convert` makes one."""
    return False


def describe(estimator: Any) -> Fitted:
    raise ModelError("a graph says nothing of how it was fitted")


def wrap(estimator: Any, signature: Signature) -> Graph:
    return Graph(estimator, signature)


def save(estimator: Any, path: Path) -> None:
    path.write_bytes(estimator)


def convert(estimator: Any, signature: Signature) -> bytes:
    """The graph of an estimator: of one matrix, or of a column each where it was fitted on a frame and must have its columns' names.

    Raises `ModelError` where there is none.
    """
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    columns = [(i.name, StringTensorType([None, 1]) if i.codes else DoubleTensorType([None, 1])) for i in signature.inputs]
    if any(declared.codes for declared in signature.inputs):
        return _converted(estimator, signature, columns)
    try:
        return _converted(estimator, signature, [(_ALL, DoubleTensorType([None, len(columns)]))])
    except ModelError:
        if not hasattr(estimator, "feature_names_in_"):
            raise
    return _converted(estimator, signature, columns)


def _converted(estimator: Any, signature: Signature, given: list[tuple[str, Any]]) -> bytes:
    from skl2onnx import to_onnx

    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    options = {id(last): {"zipmap": False}} if signature.method == "probability" else None
    try:
        graph: bytes = to_onnx(estimator, initial_types=given, options=options).SerializeToString()
    except Exception as error:
        # a library of conversions fails in as many ways as there are estimators
        raise ModelError(f"it cannot be converted: {' '.join(str(error).split())[:200]}") from error
    return graph


def open(path: Path, signature: Signature, allow: frozenset[str] | None) -> Graph:
    return Graph(path.read_bytes(), signature)


class Graph:
    """A graph ready to score, in one thread a call. `packed` is `one` for a row's floats in bytes."""

    def __init__(self, graph: bytes, signature: Signature) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(f"it is no graph that can be read: {' '.join(str(error).split())[:200]}") from error
        self._signature, self._run = signature, self._session.run
        given, wanted = self._session.get_inputs(), [declared.name for declared in signature.inputs]
        names = [one.name for one in given]
        fits = names == wanted or (names == [_ALL] and given[0].shape[1:] == [len(wanted)])
        if not fits or any(one.type == "tensor(float)" for one in given):
            raise ModelError(f"the graph does not take {len(wanted)} 64-bit floats under the names of the inputs")
        self._whole, self._out = names == [_ALL], [self._session.get_outputs()[-1].name]

    def one(self, values: Sequence[float]) -> Sequence[float]:
        return self.packed(struct.pack(f"{len(values)}d", *values))

    def packed(self, row: bytes) -> Sequence[float]:
        import numpy as np

        scores: list[float] = self.many(np.frombuffer(row).reshape(1, -1))[0].tolist()
        return scores

    def many(self, matrix: Matrix) -> Matrix:
        scores = self._run(self._out, {_ALL: matrix} if self._whole else self._columns(matrix))[0]
        if self._signature.method == "probability" and scores.shape[-1] == 2:
            scores = scores[:, 1]
        result: Matrix = scores.reshape(len(matrix), -1).astype("float64", copy=False)
        return result

    def _columns(self, matrix: Matrix) -> dict[str, Any]:
        import numpy as np

        columns: dict[str, Any] = {}
        for place, declared in enumerate(self._signature.inputs):
            values = matrix[:, place : place + 1]
            if declared.codes:
                values = np.array([*declared.codes, ""], dtype=object)[np.nan_to_num(values, nan=-1.0).astype(np.int64)]
            columns[declared.name] = np.ascontiguousarray(values)
        return columns

    def contributions(self, values: Sequence[float]) -> Sequence[float]:
        return ()
