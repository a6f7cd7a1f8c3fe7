"""What `package_model` makes of estimators and samples, and what it refuses."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import yaml

from engine.errors import ModelError
from engine.models.package import load
from engine.models.packing import matrix, package_model
from engine.models.sample import read_sample
from engine.models.step import ModelStep
from engine.values import MISSING

INPUTS = {"amount": "money EUR"}
TREES = frozenset({"sklearn.tree._tree.Tree"})


def _linear(rows: int = 60) -> tuple[Any, pl.DataFrame]:
    from sklearn.linear_model import LinearRegression

    frame = pl.DataFrame({"x": [float(n) for n in range(rows)], "y": [float(n * n % 7) for n in range(rows)]})
    return LinearRegression().fit(frame.to_numpy(), frame["x"] + 2 * frame["y"]), frame


def _pack(estimator: Any, frame: Any, folder: Path, **options: Any) -> Path:
    return package_model(estimator, name="a/b", version="1.0.0", sample=frame, folder=folder, **options)


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_package_holds_what_it_says(gbm_folder: Path) -> None:
    assert gbm_folder.parts[-4:] == ("models", "credit", "gbm", "1.0.0")
    data = yaml.safe_load((gbm_folder / "model.yaml").read_text())
    assert sorted(p.name for p in gbm_folder.iterdir()) == sorted(["model.yaml", *data["files"]])
    assert set(data["environment"]["libraries"]) == {"lightgbm", "numpy"}
    assert data["environment"]["float"] == 64
    assert not list(gbm_folder.parent.glob(".new-*"))


def test_golden_rows_hold_the_ends_and_the_missing_values(gbm_folder: Path, german: pl.DataFrame) -> None:
    golden = pl.read_parquet(gbm_folder / "golden.parquet")
    assert golden["amount"].min() == 25_025
    assert golden["amount"].max() == 1_842_425
    assert golden["months"].to_list().count(72) >= 1
    assert golden["savings"].null_count() >= 1
    assert golden["rate"].null_count() >= 1
    assert 32 <= golden.height <= 60


def test_a_missing_value_that_the_sample_never_shows_is_in_the_golden_rows(booster: Any, german: pl.DataFrame, tmp_path: Path) -> None:
    frame = german.drop_nulls()
    folder = _pack(booster, frame, tmp_path, inputs=INPUTS, missing=["rate", "savings", "due"])
    golden = pl.read_parquet(folder / "golden.parquet")
    assert golden["due"].null_count() == golden["rate"].null_count() == 1
    assert [i.name for i in load(folder).inputs if i.missing] == ["savings", "rate", "due"]


def test_the_reference_says_how_values_are_distributed(gbm_folder: Path) -> None:
    reference = json.loads((gbm_folder / "reference.json").read_text())
    assert reference["rows"] == 1000
    assert reference["inputs"]["savings"] == {"missing": 183, "counts": {"A61": 603, "A62": 103, "A63": 63, "A64": 48}}
    assert reference["inputs"]["telephone"]["counts"] == {"false": 596, "true": 404}
    assert reference["inputs"]["amount"]["quantiles"][0] == 250.25
    assert reference["inputs"]["amount"]["quantiles"][-1] == 18424.25
    assert 0 < reference["outputs"]["probability"]["quantiles"][5] < 1


def test_the_same_again_gives_the_same_bytes(booster: Any, german: pl.DataFrame, gbm_folder: Path, tmp_path: Path) -> None:
    again = package_model(booster, name="credit/gbm", version="1.0.0", sample=german, folder=tmp_path, inputs=INPUTS)
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in gbm_folder.iterdir()}


def test_facts_of_the_training_are_kept(tmp_path: Path) -> None:
    estimator, frame = _linear()
    facts = {"rows": 60, "by": "tests", "auc": 0.5, "until": "2026-01-01"}
    assert load(_pack(estimator, frame, tmp_path, trained=facts)).manifest.training == facts


def test_a_package_in_the_way_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    estimator, frame = _linear()
    folder = _pack(estimator, frame, tmp_path)
    (folder / "left.txt").write_text("over")
    assert sorted(p.name for p in _pack(estimator, frame, tmp_path).iterdir()) == [
        "golden.parquet",
        "model.skops",
        "model.yaml",
        "reference.json",
    ]
    (folder / "model.yaml").unlink()
    with pytest.raises(ModelError, match="is there and is no model package"):
        _pack(estimator, frame, tmp_path)
    assert (folder / "model.skops").exists()


# --- outputs ----------------------------------------------------------------------------------------------------------


def test_a_classifier_of_several_classes_gives_a_probability_each(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    _, frame = _linear()
    labels = ["Low", "mid-way", "high"] * 20
    model = load(_pack(LogisticRegression().fit(frame.to_numpy(), labels), frame, tmp_path))
    assert [o.name for o in model.outputs] == ["probability_low", "probability_high", "probability_mid_way"]
    row = ModelStep("m", model, {"x": "x", "y": "y"}).one({"x": 3.0, "y": 2.0})
    assert sum(row.values()) == pytest.approx(1)


def test_a_lightgbm_classifier_of_several_classes_gives_a_probability_each(tmp_path: Path) -> None:
    import lightgbm

    _, frame = _linear()
    rows = frame.to_numpy()
    estimator = lightgbm.LGBMClassifier(n_estimators=3, min_child_samples=2, verbose=-1).fit(rows, ["a", "b", "c"] * 20)
    model = load(_pack(estimator, frame, tmp_path))
    assert [o.name for o in model.outputs] == ["probability_a", "probability_b", "probability_c"]
    assert list(model.scorer.one(rows[4].tolist())) == estimator.booster_.predict(rows[4:5])[0].tolist()


def test_a_lightgbm_regressor_gives_a_value(tmp_path: Path) -> None:
    import lightgbm

    _, frame = _linear()
    estimator = lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=2, verbose=-1).fit(frame.to_numpy(), frame["x"])
    assert [(o.name, o.range) for o in load(_pack(estimator, frame, tmp_path)).outputs] == [("value", None)]


def test_an_xgboost_model_that_stopped_early_scores_with_its_best_trees(tmp_path: Path) -> None:
    import xgboost

    _, frame = _linear()
    rows, labels = frame.to_numpy(), np.array([0, 1] * 30)
    estimator = xgboost.XGBClassifier(n_estimators=30, early_stopping_rounds=2, n_jobs=1)
    estimator.fit(rows[:40], labels[:40], eval_set=[(rows[40:], labels[40:])], verbose=False)
    assert estimator.best_iteration < estimator.get_booster().num_boosted_rounds() - 1
    model = load(_pack(estimator, frame, tmp_path))
    assert model.scorer.many(rows)[:, 0].tolist() == estimator.predict_proba(rows)[:, 1].astype(float).tolist()


def test_an_anomaly_score_is_higher_for_the_stranger(forest: Any) -> None:
    step = ModelStep("odd", forest, {i.name: i.name for i in forest.inputs})
    usual, strange = {"months": 24, "amount": 250_000, "due": 9400}, {"months": 72, "amount": 1_800_000, "due": 11_000}
    assert 0 < step.one(usual)["odd.score"] < step.one(strange)["odd.score"] < 1


def test_outputs_may_be_named_and_given_a_range(tmp_path: Path) -> None:
    estimator, frame = _linear()
    assert load(_pack(estimator, frame, tmp_path, outputs=["points"])).outputs[0].name == "points"
    assert load(_pack(estimator, frame, tmp_path, outputs={"points": (0, 100)})).outputs[0].range == (0.0, 100.0)
    with pytest.raises(ModelError, match=r"a row of the sample scores points [\d.]+, outside its range 0 to 10"):
        _pack(estimator, frame, tmp_path, outputs={"points": (0, 10)})
    with pytest.raises(ModelError, match="`outputs` names 2, the model gives 1"):
        _pack(estimator, frame, tmp_path, outputs=["a", "b"])


# --- batches and widths -----------------------------------------------------------------------------------------------


class _Batchy:
    """Scores that hang on the rows beside them, as some matrix products do."""

    def __init__(self, by: float) -> None:
        self.by = by

    def one(self, values: Any) -> Any:
        return self.many(np.array([values]))[0].tolist()

    def many(self, rows: Any) -> Any:
        scores = 1 + rows.sum(axis=1, keepdims=True) % 1
        return scores * (1 + self.by) if len(rows) > 100 else scores

    def contributions(self, values: Any) -> Any:
        return []


@pytest.fixture
def batchy(monkeypatch: pytest.MonkeyPatch) -> Any:
    from engine.models import sklearn

    def install(by: float) -> None:
        monkeypatch.setattr(sklearn, "wrap", lambda estimator, signature: _Batchy(by))

    return install


def test_rows_that_hang_on_their_batch_run_row_by_row(batchy: Any, tmp_path: Path) -> None:
    estimator, frame = _linear()
    batchy(0)
    assert load(_pack(estimator, frame, tmp_path)).manifest.batch == "exact"
    batchy(2**-52)
    model = load(_pack(estimator, frame, tmp_path))
    assert model.manifest.batch == "row by row"
    assert model.many(np.ones((300, 2))).tolist() == [[1.0]] * 300


def test_a_declared_batch_tolerance_is_held_to_the_sample(batchy: Any, tmp_path: Path) -> None:
    estimator, frame = _linear()
    batchy(2**-51)
    model = load(_pack(estimator, frame, tmp_path, batch="within 2 ulp"))
    assert (model.manifest.batch, model.ulps) == ("within 2 ulp", 2)
    for declared in ("exact", "within 1 ulp"):
        with pytest.raises(ModelError, match=f"lie up to 2 ulp from the same rows scored alone, `{declared}` was declared"):
            _pack(estimator, frame, tmp_path, batch=declared)


def _big_cents() -> pl.DataFrame:
    # two whole numbers that 32-bit floats take for one
    return pl.DataFrame({"amount": [16_777_216 + n % 2 for n in range(40)], "y": [n % 2 for n in range(40)]})


@pytest.mark.parametrize("kind", ["sklearn", "xgboost", "pipeline"])
def test_values_that_32_bit_floats_cannot_tell_apart_are_refused(kind: str, tmp_path: Path) -> None:
    import xgboost
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = _big_cents()
    rows, labels = frame.select("amount").to_numpy().astype(float), frame["y"].to_numpy()
    forest = RandomForestClassifier(3, random_state=1)
    estimator = {"sklearn": forest, "xgboost": xgboost.XGBClassifier(n_estimators=2), "pipeline": make_pipeline(StandardScaler(), forest)}[
        kind
    ]
    estimator.fit(rows, labels)
    with pytest.raises(ModelError, match=r"`amount` holds 16777216 and 16777217, which the model cannot tell apart: .* 32-bit floats"):
        _pack(estimator, frame.select("amount"), tmp_path)
    assert load(_pack(estimator, frame.select("amount"), tmp_path, narrow=True), allow=TREES).width == 32


def test_money_is_looked_at_in_major_units(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeRegressor

    frame = pl.DataFrame({"amount": [1_677_721.61, 1_677_721.62, 5.0]})
    estimator = DecisionTreeRegressor().fit(frame.to_numpy(), [1.0, 2.0, 3.0])
    with pytest.raises(ModelError, match=r"`amount` holds 1,677,721.61 USD and 1,677,721.62 USD, which"):
        _pack(estimator, frame, tmp_path, inputs={"amount": "money USD"})


@pytest.mark.parametrize(("largest", "refused"), [(16_777_215, False), (16_777_216, True), (16_777_217, True), (90_000_001, True)])
def test_a_model_of_32_bit_floats_must_tell_the_largest_value_from_the_next(largest: int, refused: bool, tmp_path: Path) -> None:
    """The sample alone shows no two values that fall together; the model would meet them."""
    from sklearn.tree import DecisionTreeRegressor

    frame = pl.DataFrame({"amount": [1, 500, largest]})
    estimator = DecisionTreeRegressor().fit(frame.to_numpy().astype(float), [1.0, 2.0, 3.0])
    if not refused:
        assert load(_pack(estimator, frame, tmp_path), allow=TREES).width == 32
        return
    with pytest.raises(ModelError, match=r"`amount` reaches as far as \d+ and \d+, which the model cannot tell apart"):
        _pack(estimator, frame, tmp_path)


def test_a_64_bit_model_may_hold_them(tmp_path: Path) -> None:
    import lightgbm

    frame = _big_cents()
    # whole numbers LightGBM itself would turn into 32-bit floats
    rows = frame.select("amount").to_numpy().astype(float)
    estimator = lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=2, verbose=-1).fit(rows, frame["y"])
    model = load(_pack(estimator, frame.select("amount"), tmp_path))
    assert model.scorer.one([16_777_216.0]) != model.scorer.one([16_777_217.0])


# --- samples ----------------------------------------------------------------------------------------------------------


def test_pandas_and_polars_samples_say_the_same() -> None:
    zone = dt.timezone(dt.timedelta(hours=1))
    polars = pl.DataFrame(
        {
            "n": [1, 2],
            "x": [0.5, None],
            "t": ["b", None],
            "c": pl.Series(["z", "a"], dtype=pl.Enum(["z", "a"])),
            "f": [True, False],
            "d": [dt.date(1970, 1, 2), dt.date(1969, 12, 31)],
            "at": [dt.datetime(1970, 1, 1, 1, tzinfo=zone), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)],
            "long": [dt.timedelta(seconds=1), dt.timedelta(0)],
            "m": [12.34, -0.01],
            "p": [0.9, 0.125],
        }
    )
    pandas = pd.DataFrame(
        {
            "n": [1, 2],
            "x": [0.5, float("nan")],
            "t": pd.Series(["b", None], dtype="str"),
            "c": pd.Categorical(["z", "a"], categories=["z", "a"]),
            "f": [True, False],
            "d": pd.to_datetime(["1970-01-02", "1969-12-31"]),
            "at": pd.to_datetime(["1970-01-01T00:00Z", "1970-01-01T00:00Z"]),
            "long": pd.to_timedelta([1, 0], unit="s"),
            "m": [12.34, -0.01],
            "p": [0.9, 0.125],
        }
    )
    declared = {"m": "money USD", "p": "percent", "d": "date"}
    one, two = read_sample(polars, declared, None, "error"), read_sample(pandas, declared, None, "error")
    assert one == two
    assert [str(i.type) for i in one.inputs] == [
        *("integer", "number", "text", "text", "flag", "date", "datetime", "duration", "money USD", "percent")
    ]
    assert [i.codes for i in one.inputs if i.codes] == [("b",), ("z", "a")]
    assert one.rows[0] == (1, 0.5, "b", "z", True, 1, 0, 1_000_000, 1234, 90_000_000)
    assert one.rows[1] == (2, MISSING, MISSING, "a", False, -1, 0, 0, -1, 12_500_000)


@pytest.mark.parametrize(
    ("values", "said", "message"),
    [
        ([0.125], "money USD", r"the sample holds `0.125`, which is no money USD \(amounts are in major units"),
        ([Decimal("0.125")], "money USD", "which is no money USD"),
        ([Decimal("0.1")], None, "its type does not show in the sample; give it in `inputs`, like `money USD`"),
        ([None], None, "its type does not show in the sample"),
        ([1.5], "integer", "the sample holds `1.5`, which is no integer"),
        ([2], "flag", "the sample holds `2`, which is no flag"),
        (["a"], "number", "the sample holds `a`, which is no number"),
        ([float("inf")], "number", "the sample holds `inf`, which is no number"),
        ([1e300], "integer", "which is no integer"),
        ([dt.datetime(2020, 1, 1, 12)], "date", "which is no date"),
        ([1], "decimal", "there is no type `decimal`"),
        (["a", "b"], ["a"], "the sample holds `b`, which is not among its codes"),
    ],
)
def test_a_column_that_cannot_be_read_is_refused(values: list[Any], said: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_sample(pl.DataFrame({"x": values}), {} if said is None else {"x": said}, None, "missing")


@pytest.mark.parametrize("what", ["inputs", "missing"])
def test_a_column_that_is_not_there_is_refused(what: str, tmp_path: Path) -> None:
    estimator, frame = _linear()
    with pytest.raises(ModelError, match=f"`{what}` names `z`, which is no column of the sample"):
        _pack(estimator, frame, tmp_path, **{what: {"z": "number"}})


def test_exact_decimals_are_amounts() -> None:
    sample = read_sample(pl.DataFrame({"x": [Decimal("12.34"), Decimal("90071992547409.93")]}), {"x": "money USD"}, None, "missing")
    assert sample.rows == ((1234,), (9_007_199_254_740_993,))


# --- estimators and samples that do not fit ---------------------------------------------------------------------------


def test_columns_come_in_the_order_of_the_fit(pipeline: Any, german: pl.DataFrame, bad: list[int], tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    frame = german.select("months", "amount")
    estimator = LogisticRegression(max_iter=1000).fit(frame, bad)
    model = load(_pack(estimator, frame.select("amount", "months"), tmp_path))
    assert [i.name for i in model.inputs] == ["months", "amount"]
    assert model.scorer.one([6.0, 1169.25])[0] == estimator.predict_proba(pl.DataFrame({"months": [6.0], "amount": [1169.25]}))[0, 1]


def test_a_sample_of_other_columns_is_refused(tmp_path: Path) -> None:
    estimator, frame = _linear()
    with pytest.raises(ModelError, match="the sample has 1 columns, the model takes 2"):
        _pack(estimator, frame.select("x"), tmp_path)
    with pytest.raises(ModelError, match="the sample has no rows"):
        _pack(estimator, frame.clear(), tmp_path, inputs={"x": "number", "y": "number"})
    estimator.fit(frame, frame["x"])
    with pytest.raises(ModelError, match="the sample's column `z` is none the model was fitted with"):
        _pack(estimator, frame.rename({"x": "z"}), tmp_path)


def test_categories_in_another_order_are_refused(german: pl.DataFrame, bad: list[int], tmp_path: Path) -> None:
    import lightgbm

    frame = pd.DataFrame({"months": german["months"].to_numpy(), "housing": pd.Categorical(german["housing"].to_list())})
    estimator = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(frame, bad)
    model = load(_pack(estimator, frame, tmp_path))
    assert model.inputs[1].codes == ("free", "own", "rent")
    assert ModelStep("m", model, {"months": "months", "housing": "housing"}).one({"months": 48, "housing": "rent"}) == {
        "m.probability": float(estimator.predict_proba(_one(frame, 48, "rent"))[0, 1])
    }
    with pytest.raises(ModelError, match="categories are not those, in the order"):
        _pack(estimator, frame, tmp_path, inputs={"housing": ["own", "rent", "free"]})


def _one(frame: pd.DataFrame, months: int, housing: str) -> pd.DataFrame:
    return pd.DataFrame({"months": [months], "housing": pd.Categorical([housing], categories=frame["housing"].cat.categories)})


def test_an_estimator_that_does_not_take_what_is_missing_is_refused(tmp_path: Path) -> None:
    estimator, frame = _linear()
    with pytest.raises(ModelError, match="gives no finite score; does the model take missing values"):
        _pack(estimator, frame, tmp_path, missing=["x"])


def test_an_estimator_that_is_not_fitted_is_refused(tmp_path: Path) -> None:
    from lightgbm import LGBMClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from xgboost import XGBRegressor

    for estimator in (LogisticRegression(), make_pipeline(LogisticRegression()), LGBMClassifier(), XGBRegressor()):
        with pytest.raises(ModelError, match="the estimator is not fitted"):
            _pack(estimator, _linear()[1], tmp_path)


def test_a_sample_without_named_columns_is_refused(tmp_path: Path) -> None:
    model, frame = _linear()
    with pytest.raises(ModelError, match="a sample is a polars or pandas frame"):
        _pack(model, frame.to_numpy(), tmp_path)


def test_a_refusal_leaves_no_folder_behind(tmp_path: Path) -> None:
    model, frame = _linear()
    with pytest.raises(ModelError, match="range"):
        _pack(model, frame, tmp_path, outputs={"points": (0, 1)})
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    _, frame = _linear()
    with pytest.raises(ModelError, match="cannot be packaged: it is no model of lightgbm, xgboost, sklearn"):
        _pack(object(), frame, tmp_path)
    with pytest.raises(ModelError, match="a classifier with probabilities, a regressor or an outlier detector"):
        _pack(StandardScaler().fit(frame.to_numpy()), frame, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Fraud"}, "`model` must be a name with a folder"),
        ({"name": "../fraud"}, "`model` must be a name with a folder"),
        ({"version": "1"}, "`version` must be three numbers"),
        ({"golden": "nearly"}, "`golden` must be `exact` or `within N ulp`"),
        ({"batch": "nearly"}, "`batch` must be `exact`, `row by row` or `within N ulp`"),
    ],
)
def test_a_name_or_tolerance_that_is_none_is_refused_before_anything_is_written(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    estimator, frame = _linear()
    with pytest.raises(ModelError, match=message):
        package_model(estimator, **({"name": "a/b", "version": "1.0.0", "sample": frame, "folder": tmp_path} | options))
    assert not list(tmp_path.iterdir())


def test_a_conversion_that_changes_the_scores_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from engine.models import sklearn

    estimator, frame = _linear()
    monkeypatch.setattr(sklearn, "save", _save_another)
    with pytest.raises(ModelError, match=r"the saved model scores .* where the estimator scores"):
        _pack(estimator, frame, tmp_path)
    assert not (tmp_path / "models/a/b/1.0.0").exists()


def _save_another(estimator: Any, path: Path) -> None:
    from sklearn.linear_model import LinearRegression
    from skops import io

    io.dump(LinearRegression().fit([[0.0, 0.0], [1.0, 5.0]], [3.0, 4.0]), path)


def test_the_matrix_is_what_the_step_hands_to_the_model(gbm: Any, german: pl.DataFrame) -> None:
    rows = matrix(german, inputs=INPUTS)
    assert rows.shape == (1000, 8)
    assert rows[0, 1] == 0.0 == rows[2, 1]
    assert np.isnan(rows[0, 2])
    assert rows[0, 4] == 1169.25
    assert rows[0, 7] == (dt.date(1994, 6, 30) - dt.date(1970, 1, 1)).days
