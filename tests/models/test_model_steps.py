"""Law 2 for models of every kind: a frame gives what its rows give one by one, whatever stands or fails to stand in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.models.package import Model
from engine.models.step import ModelStep
from engine.testkit import check_step
from engine.values import CAUSES, DATE, FLAG, INTEGER, NUMBER, TEXT, Interval, Money, Type, missing

EUR = Type("money", currency="EUR")
TYPES = {
    "status": TEXT,
    "housing": TEXT,
    "savings": TEXT,
    "months": Type("integer", interval=True),
    "amount": EUR,
    "rate": NUMBER,
    "telephone": FLAG,
    "due": DATE,
}
WHOLE = st.one_of(st.integers(-100, 100_000), st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53 + 1, -(2**53) - 1, 16_777_217]))
INTERVALS = st.builds(Interval, st.integers(0, 5), st.one_of(st.none(), st.integers(6, 9)), st.sampled_from(["undecided", "short history"]))
MISSING = st.sampled_from([missing(cause) for cause in CAUSES])
ROW = st.fixed_dictionaries(
    {
        "status": st.one_of(st.sampled_from(["A11", "A12", "A13", "A14", "A99", ""]), MISSING),
        "housing": st.one_of(st.sampled_from(["own", "rent", "free", "Own"]), MISSING),
        "savings": st.one_of(st.sampled_from(["A61", "A62", "A65"]), MISSING),
        "months": st.one_of(WHOLE, INTERVALS, MISSING),
        "amount": st.one_of(WHOLE, MISSING),
        "rate": st.one_of(st.floats(allow_nan=False, allow_infinity=False), MISSING),
        "telephone": st.one_of(st.booleans(), MISSING),
        "due": st.one_of(st.integers(-800_000, 2_000_000), MISSING),
    }
)
SEARCH = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _step(model: Model, **options: Any) -> ModelStep:
    return ModelStep("risk", model, {declared.name: declared.name for declared in model.inputs}, **options)


@SEARCH
@given(rows=st.lists(ROW, max_size=12), policy=st.booleans(), open_=st.booleans())
def test_lightgbm(gbm: Model, rows: list[dict[str, Any]], policy: bool, open_: bool) -> None:
    check_step(_step(gbm, on_missing={"probability": 0.5} if policy else None, open_=open_), rows, TYPES)


@SEARCH
@given(rows=st.lists(ROW, max_size=12))
def test_xgboost(boosted: Model, rows: list[dict[str, Any]]) -> None:
    check_step(_step(boosted), rows, TYPES, boosted.ulps)


@settings(SEARCH, max_examples=8)
@given(rows=st.lists(ROW, max_size=6))
def test_sklearn_pipeline_on_frames(pipeline: Model, rows: list[dict[str, Any]]) -> None:
    check_step(_step(pipeline), rows, TYPES, pipeline.ulps)


@settings(SEARCH, max_examples=8)
@given(rows=st.lists(ROW, max_size=6))
def test_sklearn_forest_on_a_matrix(forest: Model, rows: list[dict[str, Any]]) -> None:
    check_step(_step(forest), rows, TYPES, forest.ulps)


@SEARCH
@given(units=st.lists(st.one_of(WHOLE, MISSING), min_size=1, max_size=6), currency=st.sampled_from(["EUR", "USD"]))
def test_money_whose_currency_comes_with_the_data(gbm: Model, units: list[Any], currency: str) -> None:
    row = {"status": "A11", "housing": "own", "savings": "A61", "months": 6, "rate": 1.0, "telephone": True, "due": 0}
    rows = [row | {"amount": Money(n, currency) if isinstance(n, int) else n} for n in units]
    check_step(_step(gbm), rows, TYPES | {"amount": Type("money", by="currency")})


def test_rows_in_the_sample_are_scored_and_not_missing(gbm: Model) -> None:
    row = {"status": "A11", "housing": "own", "savings": "A61", "months": 6, "amount": 116_925, "rate": 3.0, "telephone": True, "due": 8946}
    step = _step(gbm)
    check_step(step, [row, row | {"months": 48}], TYPES)
    assert 0 < step.one(row)["risk.probability"] < 1
    assert step.one(row) != step.one(row | {"months": 48})


@pytest.mark.parametrize("type_", [INTEGER, NUMBER])
def test_an_integer_may_be_wired_to_a_number(gbm: Model, type_: Type) -> None:
    row = {"status": "A11", "housing": "own", "savings": "A61", "months": 6, "amount": 116_925, "telephone": True, "due": 8946}
    value = 3 if type_ is INTEGER else 3.0
    check_step(_step(gbm), [row | {"rate": value}], TYPES | {"rate": type_})
    assert _step(gbm).one(row | {"rate": value}) == _step(gbm).one(row | {"rate": 3})
