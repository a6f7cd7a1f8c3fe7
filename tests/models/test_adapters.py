"""Every adapter scores as its library does, to the last bit, alone and in batches, from one thread and from many."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from engine.models import lightgbm as adapter
from engine.models import lightgbm_row
from engine.models.adapter import Input, Output, Signature, ulps
from engine.models.package import Model, load
from engine.models.packing import matrix, package_model
from engine.models.step import ModelStep
from engine.testkit import check_step
from engine.values import NUMBER, missing

DATA = Path(__file__).parent / "data"
INPUTS = {"amount": "money EUR"}


def _signature(count: int) -> Signature:
    return Signature("prediction", tuple(Input(f"x{i}", NUMBER, True) for i in range(count)), (Output("value"),))


def _libsvm(name: str, width: int) -> np.ndarray:
    """The rows of a libsvm file; what it leaves out is missing."""
    lines = (DATA / name).read_text().splitlines()
    rows = np.full((len(lines), width), np.nan)
    for row, line in zip(rows, lines, strict=True):
        for pair in line.split()[1:]:
            place, value = pair.split(":")
            row[int(place)] = float(value)
    return rows


def test_toy_vectors_are_given_again_exactly() -> None:
    rows, wanted = _libsvm("toy_categorical.test", 2), np.loadtxt(DATA / "toy_categorical.test.pred")
    scorer = adapter.open(DATA / "toy_categorical_model.txt", _signature(2), None)
    assert [scorer.one(row)[0] for row in rows.tolist()] == wanted.tolist()
    assert scorer.many(rows)[:, 0].tolist() == wanted.tolist()


def test_sparse_vectors_with_missing_values_are_given_again_exactly(tmp_path: Path) -> None:
    text = gzip.decompress((DATA / "sparse_categorical_model.txt.gz").read_bytes()).decode()
    # the vectors are margins: the model without the function that makes them probabilities
    (tmp_path / "model.txt").write_text(text.replace("objective=binary sigmoid:1\n", ""))
    rows, wanted = _libsvm("sparse_categorical.test", 5057), np.loadtxt(DATA / "sparse_categorical.test.margin")
    scorer = adapter.open(tmp_path / "model.txt", _signature(5057), None)
    assert [scorer.one(row)[0] for row in rows.tolist()] == wanted.tolist()
    assert scorer.many(rows)[:, 0].tolist() == wanted.tolist()


def test_the_fast_call_gives_the_bits_of_predict(booster: Any, gbm: Model, german: pl.DataFrame) -> None:
    rows = matrix(german, inputs=INPUTS)
    wanted = booster.predict(rows).tolist()
    assert [gbm.scorer.one(row)[0] for row in rows.tolist()] == wanted
    assert len(set(wanted)) > 500


def test_without_the_fast_call_predict_serves(booster: Any, german: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightgbm_row, "CALL", "LGBM_NotInThisRelease")
    scorer, rows = adapter.Booster(booster), matrix(german, inputs=INPUTS)[:20]
    assert [scorer.one(row)[0] for row in rows.tolist()] == booster.predict(rows).tolist()


@pytest.mark.parametrize("name", ["gbm", "pipeline", "forest", "boosted"])
def test_eight_threads_agree_with_one(name: str, request: pytest.FixtureRequest, german: pl.DataFrame) -> None:
    model: Model = request.getfixturevalue(name)
    rows = matrix(german.select(i.name for i in model.inputs), inputs=INPUTS).tolist()[: 200 if name in ("gbm", "boosted") else 5]
    alone = [tuple(model.scorer.one(row)) for row in rows]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: [tuple(model.scorer.one(row)) for row in rows], range(8)))
    assert all(scores == alone for scores in together)


def test_contributions_add_up_to_the_raw_score(booster: Any, gbm: Model, german: pl.DataFrame) -> None:
    row = matrix(german, inputs=INPUTS)[:1]
    values = {"status": "A11", "housing": "own", "savings": "A61", "months": 6, "amount": 116_925, "rate": 3.0, "telephone": True, "due": 0}
    shares = gbm.contributions(values)
    assert shares is not None
    assert list(shares) == [*german.columns, ""]
    encoded = [encode(values[i.name]) for i, encode in zip(gbm.inputs, gbm.encoders, strict=True)]
    assert sum(shares.values()) == pytest.approx(float(booster.predict([encoded], raw_score=True)[0]))
    assert row.shape == (1, 8)


def test_other_libraries_give_no_contributions(forest: Model) -> None:
    assert forest.contributions({"months": 6, "amount": 100, "due": 0}) is None


def test_a_row_that_leads_out_of_the_finite_numbers_lacks_its_score_and_no_other(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    frame = pl.DataFrame({"x": [float(n) for n in range(20)]})
    estimator = make_pipeline(PolynomialFeatures(2), LinearRegression()).fit(frame, frame["x"])
    model = load(package_model(estimator, name="a/squares", version="1.0.0", sample=frame, folder=tmp_path))
    step, rows = ModelStep("m", model, {"x": "x"}), [{"x": 3.0}, {"x": 1e200}, {"x": 4.0}]
    assert step.one(rows[1]) == {"m.value": missing("overflow")}
    check_step(step, rows, {"x": NUMBER}, model.ulps)


@pytest.mark.parametrize(("a", "b", "apart"), [(1.0, 1.0, 0), (0.0, -0.0, 0), (1.0, 1.0 + 2**-52, 1), (5e-324, -5e-324, 2)])
def test_ulps(a: float, b: float, apart: int) -> None:
    assert ulps(a, b) == ulps(b, a) == apart
