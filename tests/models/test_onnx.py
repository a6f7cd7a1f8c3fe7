"""scikit-learn models as graphs for ONNX Runtime: where they are proved, and what is packaged where they are not."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from engine.errors import ModelError
from engine.models import onnx
from engine.models.package import Model, load
from engine.models.packing import package_model
from engine.models.step import ModelStep
from engine.testkit import check_step
from engine.values import MISSING, NUMBER, TEXT

NAMES = [f"x{place}" for place in range(5)]


def _sample() -> tuple[pl.DataFrame, Any]:
    rows = np.random.default_rng(1).normal(size=(200, len(NAMES)))
    return pl.DataFrame(rows, schema=NAMES), (rows[:, 0] + np.arange(200) % 7 > 3).astype(int)


def _pack(estimator: Any, folder: Path, sample: pl.DataFrame, onnx: str = "within 64 ulp", **options: Any) -> Path:
    return package_model(estimator, name="a/b", version="1.0.0", sample=sample, folder=folder, onnx=onnx, **options)


def _logistic(folder: Path) -> tuple[Any, Path]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    sample, labels = _sample()
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(sample.to_numpy(), labels)
    return fitted, _pack(fitted, folder, sample)


def _step(model: Model) -> ModelStep:
    return ModelStep("m", model, {declared.name: declared.name for declared in model.inputs})


def test_a_proved_graph_scores_as_the_estimator_does(tmp_path: Path) -> None:
    fitted, folder = _logistic(tmp_path)
    model, (sample, _) = load(folder), _sample()
    assert (model.manifest.kind, sorted(path.name for path in folder.glob("model.*"))) == ("onnx", ["model.onnx", "model.yaml"])
    assert set(model.manifest.environment["libraries"]) == {"onnxruntime", "numpy"}
    said = model.manifest.training["onnx"]
    assert said.startswith("within ") and said.endswith(" ulp of the estimator at 600 points")
    assert np.allclose(model.many(sample.to_numpy())[:, 0], fitted.predict_proba(sample.to_numpy())[:, 1], rtol=1e-13)
    check_step(_step(model), [*sample.to_dicts()[:20], {**sample.to_dicts()[0], "x1": MISSING}], dict.fromkeys(NAMES, NUMBER))


def test_a_pipeline_over_texts_takes_a_column_each(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    sample, labels = _sample()
    sample = sample.select("x0", "x1").with_columns(channel=pl.Series(["cash", "atm", "wire", "card"] * 50))
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["channel"]), remainder=StandardScaler())
    fitted = make_pipeline(columns, Ridge()).fit(sample, labels)
    model = load(_pack(fitted, tmp_path, sample))
    assert model.manifest.kind == "onnx"
    step, rows = _step(model), sample.to_dicts()[:12]
    wanted = fitted.predict(sample[:12])
    assert np.allclose([step.one(row)["m.value"] for row in rows], wanted, rtol=1e-13)
    check_step(step, rows, {"x0": NUMBER, "x1": NUMBER, "channel": TEXT})


@pytest.mark.parametrize("name", ["forest", "isolation"])
def test_trees_stay_with_the_estimator(name: str, tmp_path: Path) -> None:
    from sklearn.ensemble import IsolationForest, RandomForestClassifier

    sample, labels = _sample()
    fitted = {"forest": RandomForestClassifier(3), "isolation": IsolationForest(n_estimators=3)}[name].fit(sample.to_numpy(), labels)
    model = load(_pack(fitted, tmp_path, sample), allow=frozenset({"sklearn.tree._tree.Tree"}))
    assert model.manifest.kind == "sklearn"
    assert model.manifest.training["onnx"].startswith("not used: trees read 32-bit floats")


def test_a_graph_too_far_from_the_estimator_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = onnx.Graph.packed
    monkeypatch.setattr(onnx.Graph, "packed", lambda self, row: [score * (1 + 2e-10) for score in real(self, row)])
    model = load(_logistic(tmp_path)[1])
    assert model.manifest.kind == "sklearn"
    assert "ulp from the estimator, `within 64 ulp`" in model.manifest.training["onnx"]


def test_a_graph_that_was_changed_is_refused(tmp_path: Path) -> None:
    _, folder = _logistic(tmp_path)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-3])
    with pytest.raises(ModelError, match=r"`model\.onnx` was changed after it was packaged"):
        load(folder)


def test_a_graph_of_other_inputs_is_refused(tmp_path: Path) -> None:
    """The graph of a model of four inputs in the package of one of five."""
    from sklearn.linear_model import LinearRegression

    _, folder = _logistic(tmp_path / "one")
    sample, labels = _sample()
    other = _pack(LinearRegression().fit(sample.select(NAMES[:4]), labels + 5.0), tmp_path / "two", sample.select(NAMES[:4]))
    shutil.copy(other / "model.onnx", folder / "model.onnx")
    text = (folder / "model.yaml").read_text()
    old = next(line for line in text.splitlines() if line.strip().startswith("model.onnx: "))
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "model.yaml").write_text(text.replace(old, f"  model.onnx: {digest}"))
    with pytest.raises(ModelError, match="the graph does not take 5 64-bit floats"):
        load(folder)


@pytest.mark.parametrize("said", ["near", "within 0 ulp", "row by row"])
def test_a_tolerance_that_is_none_is_told(said: str, tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    sample, labels = _sample()
    with pytest.raises(ModelError, match=f"`onnx` is `exact` or `within N ulp`, not `{said}`"):
        _pack(LinearRegression().fit(sample.to_numpy(), labels), tmp_path, sample, onnx=said)
