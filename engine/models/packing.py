"""A fitted estimator and a sample -> a model package, proved on the sample before it is put in place. Packages are read elsewhere."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.errors import ModelError
from engine.models import manifest
from engine.models.adapter import Adapter, Fitted, Input, Output, Scorer, Signature, ulps
from engine.models.converted import converted
from engine.models.encode import divisor, encoder
from engine.models.manifest import Manifest, tolerance
from engine.models.package import GOLDEN, KINDS, MANIFEST, REFERENCE, Model, assemble, environment, open_package, sha256
from engine.models.sample import Declared, Sample, read_sample
from engine.values import MISSING, Missing, Value, show

if TYPE_CHECKING:
    from engine.models.adapter import Matrix

_T = TypeVar("_T")

CHECKED: Final = 300
"""How many rows of the sample are scored one by one and in batches."""
BATCHES: Final = (1, 3, 300)
_GOLDEN_ROWS: Final = 32
_SAME: Final = 1e-9
"""How near, relatively, the saved model must come to the estimator: its own threads may add up in another order."""


def package_model(
    estimator: Any,
    *,
    name: str,
    version: str,
    sample: Any,
    folder: str | Path,
    inputs: Declared | None = None,
    outputs: Sequence[str] | Mapping[str, tuple[float, float]] | None = None,
    missing: Collection[str] | None = None,
    unseen: str = "missing",
    batch: str | None = None,
    golden: str = "exact",
    trained: Mapping[str, Any] | None = None,
    narrow: bool = False,
    onnx: str | None = None,
) -> Path:
    """Write ``folder/models/NAME/VERSION`` from a fitted LightGBM, XGBoost or scikit-learn model, and give its path.

    `sample` is a polars or pandas frame with a column per input, best the training data; it shows the inputs' names, types and
    whether they may be missing. `inputs` says more: ``{"amount": "money USD", "opened": "date"}``, or the codes of a text in their
    order; amounts in the sample are in major units. `missing` names the inputs that may be missing, instead of what the sample shows.
    `outputs` names the model's outputs in their order, with a range each if given as a mapping. `unseen` is ``missing`` (a text
    without a code counts as missing) or ``error`` (the outputs are missing, cause `damaged`, even if the input may be missing).
    `golden` and `batch` are tolerances like ``within 2 ulp``; without `batch` it is found out whether rows depend on their batch.
    `narrow` accepts a model that reads its inputs as 32-bit floats although the sample holds values these cannot tell apart.
    `trained` are facts about the training, kept as they are. `onnx` (``exact`` or ``within N ulp``) packages a scikit-learn model as a
    graph for ONNX Runtime if that is so near the estimator on the sample and one float beside its numbers, else the estimator itself;
    under `onnx` in the facts the package says which, and why.

    Raises `ModelError` where the package would not score as the estimator does, or could not be read back.
    """
    kind, adapter = _adapter(estimator)
    # an estimator with scikit-learn's manners has this attribute once it is fitted; a booster of its own is always
    if hasattr(estimator, "fit") and not hasattr(estimator, "n_features_in_"):
        raise ModelError("the estimator is not fitted")
    fitted = adapter.describe(estimator)
    rows = _in_order(read_sample(sample, inputs or {}, missing, unseen), fitted)
    signature = Signature(fitted.method, rows.inputs, _outputs(fitted, outputs))
    if not narrow:
        _refuse_collisions(rows, fitted.width)
    if onnx is not None:
        kind, adapter, estimator, told = _graph(kind, adapter, estimator, signature, fitted.width, rows, onnx)
        trained = {**(trained or {}), "onnx": told}
    place = environment(adapter, fitted.width)
    described = Manifest(name, version, kind, adapter.FILE, signature, batch or "exact", golden, {}, place, dict(trained or {}))
    target = Path(folder) / "models" / name / version
    # before anything is written: the name, the version and the tolerances are those of a package
    manifest.read(manifest.write(replace(described, files=dict.fromkeys((adapter.FILE, GOLDEN, REFERENCE), "0" * 64))), MANIFEST)
    if target.exists() and not (target / MANIFEST).is_file():
        raise ModelError(f"`{target.name}` of `{name}` is there and is no model package")
    with _parents(target), tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as new:
        work = Path(new) / version
        work.mkdir()
        _write(estimator, adapter, described, rows, work, found=batch is None)
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    return target


@contextmanager
def _parents(target: Path) -> Iterator[None]:
    """The folders above `target` made, and those of them that stay empty taken away again."""
    made = [parent for parent in target.parents if not parent.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for parent in made:
            if not any(parent.iterdir()):
                parent.rmdir()


def matrix(sample: Any, *, inputs: Declared | None = None) -> Matrix:
    """The sample as the package will hand it to the model (n × columns, float64): what to train on, where a library takes no frames.

    >>> import polars as pl
    >>> matrix(pl.DataFrame({"amount": [12.34, 5.0], "channel": ["cash", "atm"]}), inputs={"amount": "money USD"}).tolist()
    [[12.34, 1.0], [5.0, 0.0]]
    """
    import numpy as np

    rows = read_sample(sample, inputs or {}, None, "missing")
    encoders = [encoder(declared, 64) for declared in rows.inputs]
    return np.array([_encoded(encoders, row) for row in rows.rows], dtype=np.float64)


def _adapter(estimator: Any) -> tuple[str, Adapter]:
    for kind, adapter in KINDS.items():
        if adapter.recognises(estimator):
            return kind, adapter
    known = ", ".join(kind for kind in KINDS if kind != "onnx")
    raise ModelError(f"a `{type(estimator).__name__}` cannot be packaged: it is no model of {known}")


def _graph(
    kind: str, adapter: Adapter, estimator: Any, signature: Signature, width: int, rows: Sample, allowed: str
) -> tuple[str, Adapter, Any, str]:
    """Kind, adapter and model to package: a proved graph or the estimator; and what is told of it."""
    if kind != "sklearn":
        raise ModelError(f"only models of sklearn are converted, and this is one of {kind}")
    encoders = [encoder(declared, width) for declared in signature.inputs]
    sample = [values for row in rows.rows if (values := _encoded(encoders, row)) is not None]
    graph, told = converted(estimator, signature, width, _spread(sample, CHECKED), allowed)
    return (kind, adapter, estimator, told) if graph is None else ("onnx", KINDS["onnx"], graph, told)


def _in_order(rows: Sample, fitted: Fitted) -> Sample:
    """The sample with its columns in the order the estimator was fitted with."""
    names = [declared.name for declared in rows.inputs]
    if not rows.rows:
        raise ModelError("the sample has no rows")
    if len(names) != fitted.count:
        raise ModelError(f"the sample has {len(names)} columns, the model takes {fitted.count}")
    order = list(range(len(names)))
    if fitted.features is not None:
        strange = sorted(set(names) - set(fitted.features))
        if strange:
            raise ModelError(f"the sample's column `{strange[0]}` is none the model was fitted with")
        order = [names.index(name) for name in fitted.features]
    ordered = Sample(tuple(rows.inputs[i] for i in order), tuple(tuple(row[i] for i in order) for row in rows.rows))
    codes = tuple(declared.codes for declared in ordered.inputs if declared.codes)
    if fitted.categories is not None and codes != fitted.categories:
        raise ModelError("the sample's categories are not those, in the order, that the model was fitted with")
    return ordered


def _outputs(fitted: Fitted, given: Sequence[str] | Mapping[str, tuple[float, float]] | None) -> tuple[Output, ...]:
    if given is None:
        return fitted.outputs
    if len(given) != len(fitted.outputs):
        raise ModelError(f"`outputs` names {len(given)}, the model gives {len(fitted.outputs)}")
    if isinstance(given, Mapping):
        return tuple(Output(name, (float(low), float(high))) for name, (low, high) in given.items())
    return tuple(Output(name, output.range) for name, output in zip(given, fitted.outputs, strict=True))


def _refuse_collisions(rows: Sample, width: int) -> None:
    """Refuse exact values that a model of 32-bit floats takes for the same: two of the sample, or one and what lies beside it."""
    import numpy as np

    if width == 64:
        return
    for place, declared in enumerate(rows.inputs):
        if declared.type.kind in ("number", "text", "flag"):
            continue
        units, given = divisor(declared.type), {row[place] for row in rows.rows if row[place] is not MISSING}
        # the values that lie farthest from zero have the coarsest neighbours
        there = sorted(given | {value + beside for value in (min(given), max(given)) for beside in (-1, 1)}) if given else []
        narrow = np.array([value / units for value in there], dtype=np.float32)
        same = np.flatnonzero(narrow[1:] == narrow[:-1]).tolist()
        if same:
            one, other = there[same[0] : same[0] + 2]
            said = f"{show(one, declared.type)} and {show(other, declared.type)}"
            holds = f"holds {said}" if {one, other} <= given else f"reaches as far as {said}"
            raise ModelError(
                f"input `{declared.name}` {holds}, which the model cannot tell apart: it reads its inputs as "
                "32-bit floats; give it differences or logarithms, or accept this with `narrow=True`"
            )


def _encoded(encoders: Sequence[Callable[[Value], Any]], row: Sequence[Value]) -> list[float] | None:
    """The row as the model reads it, or none where a value it must have is missing."""
    values = [encode(value) for encode, value in zip(encoders, row, strict=True)]
    return None if any(value.__class__ is Missing for value in values) else values


def _write(estimator: Any, adapter: Adapter, described: Manifest, sample: Sample, work: Path, *, found: bool) -> None:
    """The files of the package, into `work`. `found` says that the batch tolerance is still to be found out."""
    from engine.models import columnar  # loads polars

    artefact, signature = work / adapter.FILE, described.signature
    adapter.save(estimator, artefact)
    model = assemble(described, adapter.open(artefact, signature, None))
    rows = [(row, values) for row in sample.rows if (values := _encoded(model.encoders, row)) is not None]
    if not rows:
        raise ModelError("no row of the sample has every input the model must have")
    checked = [values for _, values in _spread(rows, CHECKED)]
    _same_model(adapter.wrap(estimator, signature), model, checked)
    alone = [_scores(model, values) for values in checked]
    described = replace(described, batch=_batch(model, checked, alone, found=found))
    golden = [(row, _scores(model, values)) for row in _golden(rows, signature.inputs) if (values := _encoded(model.encoders, row))]
    columnar.write_golden(work / GOLDEN, golden, signature.inputs, signature.outputs)
    reference = {"rows": len(sample.rows), **_distributions(sample, signature, alone)}
    (work / REFERENCE).write_text(json.dumps(reference, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    files = {name: sha256(work / name) for name in (adapter.FILE, GOLDEN, REFERENCE)}
    (work / MANIFEST).write_text(manifest.write(replace(described, files=files)), encoding="utf-8")
    open_package(work, None)


def _spread(rows: Sequence[_T], count: int) -> list[_T]:
    """At most `count` of the rows, evenly spread from the first to the last."""
    if len(rows) <= count:
        return list(rows)
    return [rows[place * (len(rows) - 1) // (count - 1)] for place in range(count)]


def _scores(model: Model, values: Sequence[float]) -> list[float]:
    """One row's scores, checked to be finite and within their ranges."""
    scores = list(model.scorer.one(values))
    for output, score in zip(model.outputs, scores, strict=True):
        if not math.isfinite(score):
            raise ModelError("a row of the sample gives no finite score; does the model take missing values where the sample has some")
        if output.range is not None and not output.range[0] <= score <= output.range[1]:
            raise ModelError(
                f"a row of the sample scores {output.name} {score!r}, outside its range {output.range[0]:g} to {output.range[1]:g}"
            )
    return scores


def _same_model(estimator: Scorer, model: Model, rows: list[list[float]]) -> None:
    """Refuse a saved model that scores unlike the estimator it was saved from."""
    import numpy as np

    wanted, got = estimator.many(np.array(rows)), model.scorer.many(np.array(rows))
    if got.shape[1] != len(model.outputs):
        raise ModelError(f"the model gives {got.shape[1]} outputs, {len(model.outputs)} were expected")
    if not np.allclose(got, wanted, rtol=_SAME, atol=_SAME, equal_nan=True):
        place = int(np.flatnonzero(~np.isclose(got, wanted, rtol=_SAME, atol=_SAME, equal_nan=True).all(axis=1))[0])
        raise ModelError(f"the saved model scores {got[place].tolist()} where the estimator scores {wanted[place].tolist()}")


def _batch(model: Model, rows: list[list[float]], alone: list[list[float]], *, found: bool) -> str:
    """How rows may run together. Refuses a declared tolerance that the sample breaks."""
    declared = model.manifest.batch
    allowed = tolerance(declared)
    if allowed is None:
        return declared
    worst = _worst(model, rows, alone)
    if worst <= allowed:
        return declared
    if found:
        return "row by row"
    raise ModelError(f"rows scored in batches lie up to {worst:,} ulp from the same rows scored alone, `{declared}` was declared")


def _worst(model: Model, rows: list[list[float]], alone: list[list[float]]) -> int:
    """How many ulps rows in batches are at most from the same rows alone."""
    import numpy as np

    times = -(-max(BATCHES) // len(rows))
    table, wanted, worst = np.array(rows * times), np.array(alone * times), 0
    for size in BATCHES:
        got = np.vstack([model.scorer.many(table[start : start + size]) for start in range(0, len(table), size)])
        for a, b in zip(got[got != wanted].tolist(), wanted[got != wanted].tolist(), strict=True):
            worst = max(worst, ulps(a, b))
    return worst


def _golden(rows: Sequence[tuple[tuple[Value, ...], Any]], inputs: Sequence[Input]) -> list[tuple[Value, ...]]:
    """Rows to prove the model by: the ends of every input, a missing value where one is allowed, and an even spread."""
    given = [row for row, _ in rows]
    chosen: dict[tuple[Value, ...], None] = {}
    for place, declared in enumerate(inputs):
        there = [row for row in given if row[place] is not MISSING]
        if there:
            chosen |= dict.fromkeys((min(there, key=lambda row: row[place]), max(there, key=lambda row: row[place])))
        if declared.missing:
            lacking = next((row for row in given if row[place] is MISSING), None)
            chosen[lacking or (*given[0][:place], MISSING, *given[0][place + 1 :])] = None
    chosen |= dict.fromkeys(_spread(given, _GOLDEN_ROWS))
    return list(chosen)


def _distributions(sample: Sample, signature: Signature, alone: list[list[float]]) -> dict[str, Any]:
    """How inputs and outputs are distributed, for those who watch the running model."""
    inputs = {declared.name: _distribution([row[i] for row in sample.rows], declared) for i, declared in enumerate(signature.inputs)}
    outputs = {
        output.name: {"rows": len(alone), **_quantiles([scores[i] for scores in alone])} for i, output in enumerate(signature.outputs)
    }
    return {"inputs": inputs, "outputs": outputs}


def _distribution(values: list[Value], declared: Input) -> dict[str, Any]:
    there = [value for value in values if value is not MISSING]
    lost = {"missing": len(values) - len(there)}
    if declared.type.kind in ("text", "flag"):
        return lost | {"counts": dict(sorted(Counter(str(value).lower() if value in (True, False) else value for value in there).items()))}
    units = divisor(declared.type)
    return lost | _quantiles([value / units for value in there])


def _quantiles(values: list[float]) -> dict[str, Any]:
    """Eleven quantiles from the least to the greatest value."""
    return {"quantiles": _spread(sorted(values), 11)} if values else {}
