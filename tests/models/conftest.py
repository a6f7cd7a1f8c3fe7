"""A small real data set, and a package of it for every kind of model."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.models.package import Model, load
from engine.models.packing import matrix, package_model

DATA = Path(__file__).parent / "data"
INPUTS = {"amount": "money EUR"}
TREES = frozenset({"sklearn.tree._tree.Tree"})
CATEGORIES = [0, 1, 2]


@pytest.fixture(scope="session")
def german() -> pl.DataFrame:
    """The German credit data with a column of every kind; `savings` is missing where the bank did not know them."""
    rows = [line.split() for line in (DATA / "german.data").read_text().splitlines()]
    housing = {"A151": "rent", "A152": "own", "A153": "free"}
    return pl.DataFrame(
        {
            "status": [row[0] for row in rows],
            "housing": pl.Series([housing[row[14]] for row in rows], dtype=pl.Enum(["own", "rent", "free"])),
            "savings": [None if row[5] == "A65" else row[5] for row in rows],
            "months": [int(row[1]) for row in rows],
            "amount": [float(row[4]) + 0.25 for row in rows],
            "rate": [None if row[7] == "4" else float(row[7]) for row in rows],
            "telephone": [row[18] == "A192" for row in rows],
            "due": [dt.date(1994, 1, 1) + dt.timedelta(days=30 * int(row[1])) for row in rows],
        }
    )


@pytest.fixture(scope="session")
def bad() -> list[int]:
    return [int(line.split()[20] == "2") for line in (DATA / "german.data").read_text().splitlines()]


@pytest.fixture(scope="session")
def booster(german: pl.DataFrame, bad: list[int]) -> Any:
    import lightgbm

    data = lightgbm.Dataset(
        matrix(german, inputs=INPUTS), bad, feature_name=german.columns, categorical_feature=CATEGORIES, params={"verbose": -1}
    )
    return lightgbm.train({"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1}, data, 40)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def gbm_folder(german: pl.DataFrame, booster: Any, workspace: Path) -> Path:
    return package_model(booster, name="credit/gbm", version="1.0.0", sample=german, folder=workspace, inputs=INPUTS)


@pytest.fixture(scope="session")
def gbm(gbm_folder: Path) -> Model:
    return load(gbm_folder)


@pytest.fixture(scope="session")
def pipeline(german: pl.DataFrame, bad: list[int], workspace: Path) -> Model:
    """Logistic regression over one-hot texts and scaled numbers, fitted on a frame."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = german.select("status", "housing", "months", "amount", "telephone")
    columns = make_column_transformer((OneHotEncoder(), ["status", "housing"]), remainder=StandardScaler())
    estimator = make_pipeline(columns, LogisticRegression()).fit(frame, bad)
    return load(package_model(estimator, name="credit/logit", version="1.0.0", sample=frame, folder=workspace, inputs=INPUTS))


@pytest.fixture(scope="session")
def forest_folder(german: pl.DataFrame, workspace: Path) -> Path:
    from sklearn.ensemble import IsolationForest

    frame = german.select("months", "amount", "due")
    estimator = IsolationForest(n_estimators=10, n_jobs=2, random_state=1).fit(matrix(frame, inputs=INPUTS))
    return package_model(estimator, name="credit/odd", version="1.0.0", sample=frame, folder=workspace, inputs=INPUTS)


@pytest.fixture(scope="session")
def forest(forest_folder: Path) -> Model:
    return load(forest_folder, allow=TREES)


@pytest.fixture(scope="session")
def boosted(german: pl.DataFrame, bad: list[int], workspace: Path) -> Model:
    import xgboost

    estimator = xgboost.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1).fit(matrix(german, inputs=INPUTS), bad)
    return load(package_model(estimator, name="credit/xgb", version="1.0.0", sample=german, folder=workspace, inputs=INPUTS))
