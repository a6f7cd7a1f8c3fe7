"""Every kind of booster its library trains: packaged, read back, scored alone and in batches with the bits of the library's own call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from engine.errors import ModelError
from engine.models.package import load
from engine.models.packing import package_model
from engine.models.step import ModelStep
from engine.testkit import check_step
from engine.values import MISSING, NUMBER, TEXT, missing

ROWS, NAMES = 240, ["a", "b", "c", "d"]


def _data() -> tuple[Any, Any]:
    random = np.random.default_rng(3)
    rows = random.normal(size=(ROWS, len(NAMES)))
    rows[random.random(rows.shape) < 0.05] = np.nan
    return rows, (np.nan_to_num(rows[:, 0] + rows[:, 1]) > 0.2).astype(int)


def _log_loss(scores: Any, data: Any) -> tuple[Any, Any]:
    chance = 1 / (1 + np.exp(-scores))
    return chance - data.get_label(), chance * (1 - chance)


LIGHTGBM: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary"},
    "regression of a count": {"objective": "poisson"},
    "linear trees": {"objective": "regression", "linear_tree": True},
    "dropped trees": {"objective": "binary", "boosting": "dart", "drop_rate": 0.5},
    "random forest": {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
    "ranking": {"objective": "lambdarank"},
    "own objective": {"objective": _log_loss},
    "monotone": {"objective": "binary", "monotone_constraints": [1, 0, 0, -1]},
    "classes": {"objective": "multiclass", "num_class": 3},
    "one against all": {"objective": "multiclassova", "num_class": 3},
    "zero as missing": {"objective": "binary", "zero_as_missing": True},
    "without missing": {"objective": "binary", "use_missing": False},
}


@pytest.mark.parametrize("name", LIGHTGBM)
def test_a_lightgbm_model_gives_the_bits_of_predict(name: str, tmp_path: Path) -> None:
    import lightgbm

    rows, labels = _data()
    options = {"num_leaves": 5, "min_data_in_leaf": 5, "verbose": -1, "seed": 1, "num_threads": 1, **LIGHTGBM[name]}
    wanted = np.arange(ROWS) % 3 if "num_class" in options else labels
    group = [60] * 4 if name == "ranking" else None
    params = {"linear_tree": True} if "linear_tree" in options else {}
    data = lightgbm.Dataset(rows, wanted, feature_name=NAMES, group=group, params={"verbose": -1, "min_data_in_leaf": 5, **params})
    booster = lightgbm.train(options, data, 12)
    _same(booster, rows, np.asarray(booster.predict(rows)).reshape(ROWS, -1), tmp_path)


def _same(estimator: Any, rows: Any, wanted: Any, folder: Path) -> None:
    """Alone, in a frame, with gaps and with values far outside: as the library says."""
    sample = pl.DataFrame(rows, schema=NAMES).with_columns(pl.all().fill_nan(None))
    model = load(package_model(estimator, name="a/b", version="1.0.0", sample=sample, folder=folder))
    assert np.array_equal([model.scorer.one(row) for row in rows.tolist()], wanted)
    assert np.array_equal(model.many(rows), wanted)
    step = ModelStep("m", model, {name: name for name in NAMES})
    typed = [{name: MISSING if value is None else value for name, value in row.items()} for row in sample.to_dicts()[:40]]
    assert [list(step.one(row).values()) for row in typed] == wanted[:40].tolist()
    far = [dict.fromkeys(NAMES, value) for value in (1e30, -1e30, 1e-320, 0.0, missing("damaged"))]
    check_step(step, [*typed, *far], dict.fromkeys(NAMES, NUMBER))


def test_a_lightgbm_model_that_stopped_early_scores_with_its_best_trees(tmp_path: Path) -> None:
    import lightgbm

    rows, labels = _data()
    random = np.random.default_rng(1).integers(0, 2, ROWS)
    options = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 3, "learning_rate": 0.5, "verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(rows[:120], labels[:120], feature_name=NAMES, params={"verbose": -1, "min_data_in_leaf": 3})
    stop = lightgbm.early_stopping(2, verbose=False)
    booster = lightgbm.train(options, data, 40, valid_sets=[data.create_valid(rows[120:], random[120:])], callbacks=[stop])
    assert 0 < booster.best_iteration < 40
    _same(booster, rows, booster.predict(rows).reshape(-1, 1), tmp_path)


def _categories() -> tuple[pd.DataFrame, Any]:
    rows, labels = _data()
    channel = pd.Categorical(["wire", "cash", "atm", None] * (ROWS // 4), categories=["wire", "cash", "atm"])
    return pd.DataFrame({"channel": channel, "a": rows[:, 0]}), labels


def test_categories_of_pandas_keep_their_codes(tmp_path: Path) -> None:
    import lightgbm

    frame, labels = _categories()
    estimator = lightgbm.LGBMClassifier(n_estimators=8, num_leaves=5, min_child_samples=3, cat_smooth=1, verbose=-1, n_jobs=1).fit(
        frame, labels
    )
    model = load(package_model(estimator, name="a/b", version="1.0.0", sample=frame, folder=tmp_path))
    step = ModelStep("m", model, {"channel": "channel", "a": "a"})
    wanted = estimator.predict_proba(frame)[:, 1].tolist()
    rows = [
        {"channel": MISSING if channel is None or channel != channel else channel, "a": MISSING if a != a else a}
        for channel, a in zip(frame["channel"].astype(object).tolist(), frame["a"].tolist(), strict=True)
    ]
    assert [step.one(row)["m.probability"] for row in rows] == wanted
    strange = {"channel": "cheque", "a": 0.5}
    assert step.one(strange) == step.one({**strange, "channel": MISSING}), "a text nobody knows counts as missing"
    check_step(step, [*rows[:20], strange], {"channel": TEXT, "a": NUMBER})


def test_categories_in_another_order_are_refused(tmp_path: Path) -> None:
    import lightgbm

    frame, labels = _categories()
    estimator = lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=3, verbose=-1).fit(frame, labels)
    other = frame.assign(channel=frame["channel"].cat.reorder_categories(["atm", "cash", "wire"]))
    with pytest.raises(ModelError, match="categories are not those, in the order, that the model was fitted with"):
        package_model(estimator, name="a/b", version="1.0.0", sample=other, folder=tmp_path)


XGBOOST: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary:logistic"},
    "classes": {"objective": "multi:softprob", "num_class": 3},
    "dropped trees": {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.5},
    "ranking": {"objective": "rank:pairwise"},
    "monotone": {"objective": "reg:squarederror", "monotone_constraints": "(1,0,0,-1)"},
    "counts": {"objective": "count:poisson"},
}


@pytest.mark.parametrize("name", XGBOOST)
def test_an_xgboost_model_gives_the_bits_of_its_library(name: str, tmp_path: Path) -> None:
    import xgboost

    rows, labels = _data()
    wanted = np.arange(ROWS) % 3 if "num_class" in XGBOOST[name] else labels
    data = xgboost.DMatrix(rows, wanted, feature_names=NAMES, **({"group": [60] * 4} if name == "ranking" else {}))
    booster = xgboost.train({"max_depth": 3, "nthread": 1, "seed": 1, **XGBOOST[name]}, data, 8)
    scores = booster.predict(xgboost.DMatrix(rows, feature_names=NAMES)).reshape(ROWS, -1).astype(float)
    _same(booster, rows, scores, tmp_path)


def test_a_linear_booster_of_xgboost_is_refused(tmp_path: Path) -> None:
    import xgboost

    rows, labels = _data()
    booster = xgboost.train({"booster": "gblinear", "nthread": 1}, xgboost.DMatrix(np.nan_to_num(rows), labels), 2)
    with pytest.raises(ModelError, match="this booster is linear: package a linear model of scikit-learn"):
        package_model(booster, name="a/b", version="1.0.0", sample=pl.DataFrame(np.nan_to_num(rows), schema=NAMES), folder=tmp_path)


def test_a_package_whose_model_takes_other_inputs_is_refused(tmp_path: Path) -> None:
    import hashlib

    import lightgbm

    rows, labels = _data()
    options = {"objective": "binary", "num_leaves": 4, "min_data_in_leaf": 5, "verbose": -1}
    three = lightgbm.train(options, lightgbm.Dataset(rows[:, :3], labels, params={"verbose": -1}), 2)
    four = lightgbm.train(options, lightgbm.Dataset(rows, labels, params={"verbose": -1}), 2)
    folder = package_model(three, name="a/b", version="1.0.0", sample=pl.DataFrame(rows[:, :3], schema=NAMES[:3]), folder=tmp_path)
    old = hashlib.sha256((folder / "model.txt").read_bytes()).hexdigest()
    four.save_model(str(folder / "model.txt"))
    new = hashlib.sha256((folder / "model.txt").read_bytes()).hexdigest()
    (folder / "model.yaml").write_text((folder / "model.yaml").read_text().replace(old, new))
    with pytest.raises(ModelError, match=r"the model takes 4 inputs, `model\.yaml` names 3"):
        load(folder)
