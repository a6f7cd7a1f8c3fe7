"""Forests of scikit-learn walked as arrays: the estimator's own bits, or the estimator itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.models import sklearn as adapter
from engine.models import trees
from engine.models.adapter import Input, Output, Signature
from engine.values import NUMBER

WIDTH = 6


def _data() -> tuple[Any, Any]:
    random = np.random.default_rng(1)
    rows = random.normal(size=(400, WIDTH)).round(2)
    rows[random.random(rows.shape) < 0.03] = np.nan
    return rows, (np.nan_to_num(rows[:, 0] * rows[:, 1]) > 0.3).astype(int)


def _estimators() -> dict[str, Any]:
    from sklearn import ensemble, tree

    return {
        "forest": ensemble.RandomForestClassifier(12, random_state=1),
        "regressor": ensemble.RandomForestRegressor(12, random_state=1, n_jobs=2),
        "extra": ensemble.ExtraTreesClassifier(12, random_state=1),
        "extra regressor": ensemble.ExtraTreesRegressor(12, random_state=1),
        "tree": tree.DecisionTreeClassifier(random_state=1),
        "tree regressor": tree.DecisionTreeRegressor(criterion="poisson", random_state=1),
        "isolation": ensemble.IsolationForest(n_estimators=12, random_state=1),
        "isolation of some": ensemble.IsolationForest(n_estimators=12, max_features=0.5, random_state=1),
    }


def _scorer(estimator: Any, outputs: int = 1) -> adapter.Estimator:
    method = "anomaly" if not hasattr(estimator, "predict_proba") and hasattr(estimator, "score_samples") else "prediction"
    method = "probability" if hasattr(estimator, "predict_proba") else method
    inputs = tuple(Input(f"x{place}", NUMBER, True) for place in range(WIDTH))
    return adapter.Estimator(estimator, Signature(method, inputs, tuple(Output(f"y{place}") for place in range(outputs))))


@pytest.mark.parametrize("name", _estimators())
@pytest.mark.parametrize("gaps", [True, False])
def test_a_row_alone_gets_the_bits_of_the_estimator(name: str, gaps: bool) -> None:
    rows, labels = _data()
    estimator = _estimators()[name].fit(rows if gaps else np.nan_to_num(rows), labels).set_params(**_one_job(_estimators()[name]))
    scorer = _scorer(estimator)
    assert scorer.packed.__name__ == "packed", "walked"
    points = np.vstack([rows, trees.thresholds_of(estimator, 1_500)])
    assert np.array_equal([scorer.packed(point.tobytes()) for point in points], scorer.many(points), equal_nan=True)
    assert len(np.unique(scorer.many(rows))) >= 2


def _one_job(estimator: Any) -> dict[str, int]:
    return {"n_jobs": 1} if "n_jobs" in estimator.get_params() else {}


def test_several_classes_have_a_score_each() -> None:
    from sklearn.ensemble import RandomForestClassifier

    rows, _ = _data()
    scorer = _scorer(RandomForestClassifier(10, random_state=1).fit(rows, np.arange(400) % 3), 3)
    assert scorer.packed.__name__ == "packed"
    assert np.array_equal([scorer.one(row.tolist()) for row in rows], scorer.many(rows))


def test_points_lie_at_and_beside_every_threshold() -> None:
    from sklearn.tree import DecisionTreeRegressor

    rows, labels = _data()
    estimator = DecisionTreeRegressor(max_depth=3, random_state=1).fit(np.nan_to_num(rows), labels)
    points, tree = trees.thresholds_of(estimator, 2_000), estimator.tree_
    for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
        near = np.float32(threshold)
        beside = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
        assert feature < 0 or all((points[:, feature] == value).any() for value in beside)


def test_a_walk_that_differs_in_one_bit_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would be with a release of the library that adds its trees up otherwise."""
    rows, labels = _data()
    estimator = _estimators()["forest"].fit(rows, labels)
    real = trees._added
    monkeypatch.setattr(trees, "_added", lambda table, leaves: np.nextafter(real(table, leaves), 1.0))
    assert _scorer(estimator).packed.__name__ == "_alone"


def test_what_keeps_its_trees_otherwise_is_asked_itself() -> None:
    from sklearn.ensemble import GradientBoostingClassifier, IsolationForest, RandomForestRegressor

    rows, labels = _data()
    rows = np.nan_to_num(rows)
    several = RandomForestRegressor(3).fit(rows, np.stack([labels, 1 - labels], axis=1))
    lone = IsolationForest(n_estimators=3, max_samples=1, random_state=1).fit(rows)
    strange = _estimators()["isolation"].fit(rows)
    del strange._decision_path_lengths
    for estimator in (several, lone, strange, GradientBoostingClassifier(n_estimators=3).fit(rows, labels)):
        assert trees.walk(estimator, _scorer(lone).many) is None
