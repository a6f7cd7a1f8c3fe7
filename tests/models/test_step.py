"""What a model step does with values that are missing, open, unseen or out of range."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.models.adapter import Input, Output, Signature
from engine.models.encode import encoder
from engine.models.manifest import Manifest
from engine.models.package import Model, assemble
from engine.models.step import ModelStep, Recorded
from engine.testkit import check_step
from engine.values import DATE, DATETIME, DURATION, FLAG, INTEGER, NUMBER, PERCENT, TEXT, Interval, Money, Type, missing

ABSENT, DAMAGED, SKIPPED, UNDECIDED, OVERFLOW = (missing(c) for c in ("absent", "damaged", "skipped", "undecided", "overflow"))


class _Echo:
    """A model whose output is the sum of its inputs, counted 1 where one is missing."""

    def one(self, values: Any) -> list[float]:
        return self.many(np.array([values]))[0].tolist()

    def many(self, matrix: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.nan_to_num(matrix, nan=1.0, posinf=np.inf, neginf=-np.inf).sum(axis=1, keepdims=True)

    def contributions(self, values: Any) -> list[float]:
        return []


def _model(*inputs: Input, width: int = 64, batch: str = "exact") -> Model:
    signature = Signature("prediction", inputs, (Output("value"),))
    place = {"python": "3.11", "machine": "any", "float": width, "libraries": {}}
    return assemble(Manifest("a/b", "1.0.0", "sklearn", "model.skops", signature, batch, "exact", {}, place), _Echo())


def _step(model: Model, **options: Any) -> ModelStep:
    return ModelStep("m", model, {i.name: i.name for i in model.inputs}, **options)


@pytest.mark.parametrize(
    ("type_", "value", "wanted"),
    [
        (NUMBER, 2.5, 2.5),
        (INTEGER, 2**53 + 1, float(2**53)),
        (INTEGER, 2**53 + 3, float(2**53 + 4)),
        (FLAG, True, 1.0),
        (FLAG, False, 0.0),
        (DATE, 8946, 8946.0),
        (DATETIME, 1_772_787_600_000_000, 1_772_787_600_000_000.0),
        (DURATION, -5, -5.0),
        (PERCENT, 90_000_000, 0.9),
        (Type("money", currency="USD"), 1234, 12.34),
        (Type("money", currency="JPY"), 1234, 1234.0),
        (Type("money", currency="BHD"), -1, -0.001),
        (Type("money", currency="USD"), 553_468_892_355_352_739, 5534688923553527.0),
    ],
)
def test_every_type_becomes_the_nearest_float(type_: Type, value: Any, wanted: float) -> None:
    step = _step(_model(Input("x", type_)))
    assert step.one({"x": value}) == {"m.value": wanted}
    check_step(step, [{"x": value}], {"x": type_})


def test_texts_become_the_places_of_their_codes() -> None:
    step = _step(_model(Input("x", TEXT, codes=("cash", "atm"))))
    assert [step.one({"x": text})["m.value"] for text in ("cash", "atm")] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("may_miss", "unseen", "wanted"),
    [(False, "missing", DAMAGED), (True, "missing", 1.0), (False, "error", DAMAGED), (True, "error", DAMAGED)],
)
def test_an_unseen_text_is_missing_or_an_error_as_declared(may_miss: bool, unseen: str, wanted: Any) -> None:
    step = _step(_model(Input("x", TEXT, may_miss, ("cash",), unseen)))
    assert step.one({"x": "gold"})["m.value"] == wanted
    check_step(step, [{"x": "gold"}, {"x": "cash"}, {"x": ABSENT}], {"x": TEXT})


def test_a_missing_input_gives_its_cause_the_first_in_rank() -> None:
    step, types = _step(_model(Input("x", NUMBER), Input("y", NUMBER))), {"x": NUMBER, "y": NUMBER}
    assert step.one({"x": SKIPPED, "y": DAMAGED}) == {"m.value": DAMAGED}
    assert step.one({"x": SKIPPED, "y": 1.0}) == {"m.value": SKIPPED}
    check_step(step, [{"x": SKIPPED, "y": DAMAGED}, {"x": SKIPPED, "y": 1.0}], types)


def test_an_input_that_takes_missing_values_gets_nan() -> None:
    step = _step(_model(Input("x", NUMBER, True), Input("y", NUMBER)))
    assert step.one({"x": DAMAGED, "y": 3.0}) == {"m.value": 4.0}


def test_an_open_interval_is_undecided() -> None:
    open_ = Interval(3, None, "short history")
    types = {"x": Type("integer", interval=True)}
    required, lenient = _step(_model(Input("x", INTEGER))), _step(_model(Input("x", INTEGER, True)))
    assert required.one({"x": open_}) == {"m.value": UNDECIDED}
    assert lenient.one({"x": open_}) == {"m.value": 1.0}
    for step in (required, lenient):
        check_step(step, [{"x": open_}, {"x": 3}, {"x": missing("late")}], types)


def test_on_missing_stands_in_and_says_so() -> None:
    step = _step(_model(Input("x", NUMBER)), on_missing={"value": 0.5})
    assert step.writes == ("m.value", "m.@policy")
    assert step.one({"x": ABSENT}) == {"m.value": 0.5, "m.@policy": True}
    assert step.one({"x": 2.0}) == {"m.value": 2.0, "m.@policy": False}
    check_step(step, [{"x": ABSENT}, {"x": 2.0}], {"x": NUMBER})


def test_on_missing_does_not_touch_the_open_reading() -> None:
    step = _step(_model(Input("x", NUMBER)), on_missing={"value": 0.5}, open_=True)
    assert step.one({"x": ABSENT}) == {"m.value": ABSENT, "m.@policy": False}
    check_step(step, [{"x": ABSENT}, {"x": 2.0}], {"x": NUMBER})


def test_on_missing_stands_in_for_inputs_not_for_overflow() -> None:
    step = _step(_model(Input("x", NUMBER), Input("y", NUMBER)), on_missing={"value": 0.5})
    row = {"x": 1.7e308, "y": 1.7e308}
    assert step.one(row) == {"m.value": OVERFLOW, "m.@policy": False}
    check_step(step, [row], {"x": NUMBER, "y": NUMBER})


@pytest.mark.parametrize(("value", "wanted"), [(3.4028234663852886e38, 3.4028234663852886e38), (3.5e38, OVERFLOW), (-3.5e38, OVERFLOW)])
def test_a_32_bit_model_is_spared_what_it_cannot_hold(value: float, wanted: Any) -> None:
    step = _step(_model(Input("x", NUMBER, True), width=32))
    assert step.one({"x": value}) == {"m.value": wanted}
    check_step(step, [{"x": value}, {"x": ABSENT}], {"x": NUMBER})


def test_another_currency_is_no_amount() -> None:
    step = _step(_model(Input("x", Type("money", currency="USD"))))
    assert step.one({"x": Money(1234, "USD")}) == {"m.value": 12.34}
    assert step.one({"x": Money(1234, "EUR")}) == {"m.value": missing("currency")}


def test_zero_has_no_sign() -> None:
    class Negative(_Echo):
        def many(self, matrix: Any) -> Any:
            return np.full((len(matrix), 1), -0.0)

    step = _step(replace(_model(Input("x", NUMBER)), scorer=Negative()))
    assert repr(step.one({"x": -0.0})["m.value"]) == "0.0"
    check_step(step, [{"x": -0.0}], {"x": NUMBER})


def test_two_inputs_may_read_one_column() -> None:
    model = _model(Input("x", NUMBER), Input("y", NUMBER))
    step = ModelStep("m", model, {"x": "amount", "y": "amount"})
    assert step.reads == ("amount",)
    assert step.one({"amount": 2.0}) == {"m.value": 4.0}


def test_rows_that_depend_on_their_batch_are_scored_one_by_one() -> None:
    class Batched(_Echo):
        def many(self, matrix: Any) -> Any:
            return super().many(matrix) + len(matrix)

    model = replace(_model(Input("x", NUMBER), batch="row by row"), scorer=Batched())
    check_step(_step(model), [{"x": float(n)} for n in range(5)], {"x": NUMBER})
    with pytest.raises(AssertionError, match=r"`one` gives 1\.0, `many` gives 2\.0"):
        check_step(_step(replace(_model(Input("x", NUMBER)), scorer=Batched())), [{"x": 0.0}, {"x": 0.0}], {"x": NUMBER})


def test_recorded_outputs_are_given_again() -> None:
    step = _step(_model(Input("x", NUMBER)), on_missing={"value": 0.5})
    recorded = Recorded(step, {"m.value": 0.25, "m.@policy": False, "other": 1})
    assert recorded.one({"x": 9.0}) == {"m.value": 0.25, "m.@policy": False}
    check_step(recorded, [{"x": 9.0}, {"x": ABSENT}], {"x": NUMBER})


def test_an_encoder_says_what_it_lacks() -> None:
    assert encoder(Input("x", NUMBER), 64)(ABSENT) is ABSENT
    assert np.isnan(encoder(Input("x", NUMBER, True), 64)(ABSENT))
