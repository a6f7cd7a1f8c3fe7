"""Frames: the physical layout in and out, what polars does otherwise than Python, and frames of any height and origin."""

from dataclasses import replace
from itertools import product
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends import columnar, columnar_exprs, reference
from engine.lang import ir
from engine.lang.entries import Entries
from engine.values import CAUSES, FLAG, INTEGER, NUMBER, SCORE, TEXT, Interval, Money, Type, missing
from tests.backends.programs import BIG, CASH, TYPES, outputs, over, rule, ruleset
from tests.properties.strategies import FIELDS, Values, row

USD = Type("money", currency="USD")
READ = {"n": ir.Read("n", type=INTEGER), "m": ir.Read("m", type=INTEGER), "x": ir.Read("x", type=NUMBER), "y": ir.Read("y", type=NUMBER)}


def call(key, *args, gives=NUMBER):
    return ir.Call(key, args, type=gives)


def computed(expr, frame):
    found = columnar.compile_exprs({"found": expr})(frame)
    return [row["found"] for row in columnar.unpack(found, {"found": replace(expr.type, scale=1)})]


# --- layout ---


@given(st.integers(0, 2**32), st.integers(0, 5))
def test_rows_come_back_as_they_went_in(seed, height):
    rows = [{name: value for name, value in row(Values(Random(seed + i))).items() if name in FIELDS} for i in range(height)]
    frame = columnar.pack(rows, FIELDS)
    assert dict(frame.schema) == columnar.dtypes(FIELDS)
    assert frame.columns == [physical for name, type_ in FIELDS.items() for physical in columnar.names(name, type_)]
    assert repr(columnar.unpack(frame, FIELDS)) == repr(rows)


def test_every_cause_comes_back():
    rows = [{"n": missing(cause)} for cause in CAUSES]
    assert columnar.unpack(columnar.pack(rows, {"n": INTEGER}), {"n": INTEGER}) == rows


def test_an_interval_of_money_keeps_its_currency():
    by = Type("money", by="currency", interval=True)
    rows = [{"m": Interval(None, Money(3, "EUR"), "late")}, {"m": Interval(Money(1, "USD"), None, "late")}, {"m": missing("currency")}]
    assert columnar.unpack(columnar.pack(rows, {"m": by}), {"m": by}) == rows


def test_a_frame_from_outside_may_leave_out_causes_and_bounds():
    seen = replace(INTEGER, interval=True)
    frame = pl.DataFrame({"n": [1, None], "seen": [None, 4]})
    assert columnar.unpack(frame, {"n": INTEGER, "seen": seen}) == [
        {"n": 1, "seen": missing("absent")},
        {"n": missing("absent"), "seen": 4},
    ]
    total = call("integer+integer", READ["n"], ir.Read("seen", type=seen), gives=seen)
    assert computed(total, frame) == [missing("absent"), missing("absent")]
    assert computed(ir.Compare(">", ir.Read("seen", type=seen), ir.Const(3, type=INTEGER)), frame) == [missing("absent"), True]


# --- heights ---


@pytest.mark.parametrize("height", [0, 1, 2, 100])
def test_any_height(height):
    made = ruleset(
        ir.Define("big", BIG),
        rule("A", ir.Read("big"), points=40, policy="ignore"),
        rule("B", CASH, points=-5, effective=(5, 10)),
        ir.Flag("some", ("A", "B")),
        ir.Set("tier", TEXT, (("A", ir.Const("high", type=TEXT)), ("B", ir.Const("low", type=TEXT)))),
        decide=ir.Decide((("stop", over(40)), ("look", ir.Read("flags.some", type=FLAG)), ("go", None))),
    )
    cells = product((1, 5, missing("late")), ("cash", "wire", missing("absent")), (4, 5, 10, 11))
    choices = [dict(zip(TYPES, values, strict=True)) for values in cells]
    rows = [choices[i * 7 % len(choices)] for i in range(height)]
    for open_ in (False, True):
        found = columnar.compile_rules(made, open_)(columnar.pack(rows, TYPES))
        assert dict(found.schema) == columnar.dtypes(outputs(made))
        assert repr(columnar.unpack(found, outputs(made))) == repr([reference.run(made, one, open_) for one in rows])


def test_rules_that_read_nothing():
    made = ruleset(rule("A", ir.Const(True)), rule("B", ir.Const(missing("unavailable"))), decide=ir.Decide((("go", None),)))
    for height in (0, 1, 3):
        frame = pl.DataFrame({"id": ["x"] * height}, schema={"id": pl.String})
        found = columnar.unpack(columnar.compile_rules(made)(frame), outputs(made))
        assert found == [reference.run(made, {})] * height


def test_the_frame_is_not_changed_and_its_own_columns_stay_out():
    frame = columnar.pack([{"n": 4, "channel": "cash", "@date": 0}], TYPES)
    before = frame.clone()
    assert columnar.compile_rules(ruleset(rule("A", BIG)))(frame).columns == [
        "score", "score#", "score<", "score>", 'hit("A")', 'hit("A")#',
        "@points", "@points#", "@policy", "@policy#", "possible", "possible#",
    ]  # fmt: skip
    assert frame.equals(before)


def test_a_long_list_is_looked_up_as_it_means():
    """Too long for polars: the list is asked in Python, with missing values, days and entries of several periods."""
    long = [f"A{number}" for number in range(columnar_exprs.MANY + 1)]
    entries = Entries({value: ((0, 4), (8, None)) if number % 2 else ((None, 4),) for number, value in enumerate(long)})
    channel, day = ir.Read("channel", type=TEXT), ir.day_of_event()
    asked = {
        "in": ir.In(channel, frozenset(long)),
        "listed": ir.Listed(channel, day, entries),
        "of another day": ir.Listed(channel, ir.Read("n", type=INTEGER), entries),
        "not in": ir.Not(ir.In(ir.Else(channel, ir.Const("A1", type=TEXT), type=TEXT), frozenset(long))),
    }
    values = ["A1", "A2", "B", missing("late")]
    rows = [{"n": n, "channel": value, "@date": today} for value in values for today in (0, 4, 5, 8) for n in (4, 6, missing("damaged"))]
    found = columnar.unpack(columnar.compile_exprs(asked)(columnar.pack(rows, TYPES)), dict.fromkeys(asked, FLAG))
    assert repr(found) == repr([{name: reference.evaluate(expr, row) for name, expr in asked.items()} for row in rows])
    hits = ruleset(*(rule(f"R-{place}", expr) for place, expr in enumerate(asked.values())))
    assert repr(columnar.unpack(columnar.compile_rules(hits)(columnar.pack(rows, TYPES)), outputs(hits))) == repr(
        [reference.run(hits, row) for row in rows]
    )


# --- what polars does otherwise ---


def test_dividing_by_a_constant_is_exact():
    """Polars multiplies by the reciprocal of a literal."""
    values = [0.1 * i for i in range(1, 400)]
    constant = ir.Const(3.7, type=NUMBER)
    frame = pl.DataFrame({"x": values}).with_columns(pl.lit(3.7).alias("y"))
    assert computed(call("number/number", READ["x"], constant), frame) == [value / 3.7 for value in values]
    assert computed(call("number/number", READ["x"], READ["y"]), frame) == [value / 3.7 for value in values]


def test_integers_divide_as_integers():
    a, b = 2**63 - 1, 2**53 + 1
    frame = pl.DataFrame({"n": [a, 6, 1, None], "m": [b, 4, 0, 0]})
    assert computed(call("integer/integer", READ["n"], READ["m"]), frame) == [a / b, 1.5, missing("division by zero"), missing("absent")]


def test_an_integer_is_never_rounded_to_be_compared():
    frame = pl.DataFrame({"n": [2**53 + 1, 2**63 - 1, -(2**63), 3, None], "x": [2.0**53, 2.0**63, -(2.0**63), 1e308, 0.5]})
    for op in ("=", "!=", "<", "<=", ">", ">="):
        for left, right in (("n", "x"), ("x", "n")):
            expr = ir.Compare(op, READ[left], READ[right])
            rows = columnar.unpack(frame, {"n": INTEGER, "x": NUMBER})
            assert computed(expr, frame) == [reference.evaluate(expr, one) for one in rows]


def test_a_missing_integer_compares_as_missing_with_any_number():
    frame = pl.DataFrame({"n": [None, 1], "x": [0.5, None]}, schema={"n": pl.Int64, "x": pl.Float64})
    for op in ("=", "!=", "<", ">="):
        assert computed(ir.Compare(op, READ["n"], READ["x"]), frame) == [missing("absent")] * 2


def test_a_constant_may_stand_on_the_left_of_what_is_nowhere_known():
    """Polars loses the height of such a comparison."""
    percent = Type("percent")
    share = call("percent+percent", ir.Read("p", type=percent), ir.Read("p", type=percent), gives=percent)
    frame = pl.DataFrame({"p": [None, None]}, schema={"p": pl.Int64})
    for op in ("<", "<=", "=", "!=", ">", ">="):
        assert computed(ir.Compare(op, ir.Const(-1, type=percent), share), frame) == [missing("absent")] * 2
        assert computed(ir.Compare(op, ir.Const(3, type=percent), share), pl.DataFrame({"p": [1, 2]})) == [
            reference.evaluate(ir.Compare(op, ir.Const(3), ir.Const(2 * p)), {}) for p in (1, 2)
        ]


def test_no_negative_zero_comes_out_of_arithmetic():
    frame = pl.DataFrame({"x": [-0.0, 0.0, -1.0], "y": [0.0, -1.0, 0.0]})
    for key in ("number+number", "number-number", "number*number", "min:number"):
        expr = call(key, READ["x"], READ["y"])
        rows = columnar.unpack(frame, {"x": NUMBER, "y": NUMBER})
        assert list(map(repr, computed(expr, frame))) == [repr(reference.evaluate(expr, one)) for one in rows]


def test_zeros_of_both_signs_are_told_apart_among_many(monkeypatch):
    monkeypatch.setattr(columnar_exprs, "FEW", 0)
    seen = []
    monkeypatch.setitem(columnar_exprs.BUILTINS, "round", replace(columnar_exprs.BUILTINS["round"], one=lambda x, _: seen.append(x) or x))
    frame = pl.DataFrame({"x": [0.0, -0.0, 1.5, 1.5, -0.0, None]})
    expr = call("round", READ["x"], ir.Const(0, type=INTEGER))
    assert list(map(repr, computed(expr, frame))) == ["0.0", "-0.0", "1.5", "1.5", "-0.0", "missing (absent)"]
    assert len(seen) == 3


@pytest.mark.parametrize("key", ["lower", "upper"])
def test_letters_change_case_as_in_python(key):
    words = ["İ", "ΑΣ", "ǆ", "ß", "ŉ", "ﬁ", "Σ", "aΣb"] + [chr(i) for i in range(0xA0, 0x600)]
    found = computed(call(key, ir.Read("t", type=TEXT), gives=TEXT), pl.DataFrame({"t": words}))
    assert found == [getattr(word, key)() for word in words]


@pytest.mark.parametrize("part", ["", "a", "\0", "."])
def test_text_is_searched_as_it_stands(part):
    words = ["", "abc", "a\0b", "A", "é", "e\u0301", None]
    for key, python in (("contains", str.__contains__), ("starts_with", str.startswith)):
        expr = call(key, ir.Read("t", type=TEXT), ir.Const(part, type=TEXT), gives=FLAG)
        assert computed(expr, pl.DataFrame({"t": words})) == [missing("absent") if w is None else python(w, part) for w in words]


def test_sums_past_64_bits_are_missing():
    top = 2**63 - 1
    frame = pl.DataFrame({"n": [top, top, -top - 1, 1], "m": [1, 0, -1, 1]})
    expr = call("integer+integer", READ["n"], READ["m"], gives=INTEGER)
    assert computed(expr, frame) == [missing("overflow"), top, missing("overflow"), 2]


def test_money_that_no_longer_fits_is_settled_as_missing():
    amount = ir.Read("n", type=USD)
    double = call("money+money", amount, amount, gives=USD)
    assert computed(double, pl.DataFrame({"n": [2**62, 2**62 - 1]})) == [missing("overflow"), 2**63 - 2]


def test_money_beyond_what_types_prove_is_checked():
    """Three percentages one after the other may leave 128 bits: then the checked Python function does it."""
    amount, share = ir.Read("n", type=USD), ir.Read("p", type=Type("percent"))
    expr = amount
    for power in (1, 2, 3):
        expr = call("money*percent", expr, share, gives=replace(USD, scale=10 ** (8 * power)))
    frame = pl.DataFrame({"n": [100, 2**62], "p": [50_000_000, 2**53]})
    assert computed(expr, frame) == [12, missing("overflow")]


def test_membership_of_nothing_and_of_literals():
    assert computed(ir.In(READ["n"], frozenset()), pl.DataFrame({"n": [1, None]})) == [False, missing("absent")]
    assert computed(ir.In(ir.IsMissing(READ["n"]), frozenset({True})), pl.DataFrame({"n": [1, None]})) == [False, True]


def test_all_null_columns_of_any_type():
    frame = columnar.pack([{name: missing("late") for name in FIELDS}] * 3, FIELDS)
    for name, type_ in FIELDS.items():
        known = ir.Not(ir.IsMissing(ir.Read(name, type=type_)))
        assert computed(known, frame) == [False] * 3
        assert computed(ir.Read(name, type=type_), frame) == [missing("late")] * 3


def test_the_score_is_an_interval_of_what_is_undecided():
    made = ruleset(rule("A", BIG, points=40), rule("B", CASH, points=-5), rule("C", ir.Not(BIG), points=0))
    frame = columnar.pack([{"n": missing("late"), "channel": missing("late"), "@date": 0}], TYPES)
    found = columnar.compile_rules(made)(frame)
    assert columnar.unpack(found, {"score": SCORE}) == [{"score": Interval(-5, 40, "undecided")}]


# --- steps that give only one of the two ---


class Doubling:
    name, reads, writes = "double", ("n",), ("twice",)
    types = {"twice": INTEGER}  # noqa: RUF012

    def one(self, row):
        return {"twice": reference.call(columnar_exprs.BUILTINS["integer*integer"], [row["n"], 2])}

    def many(self, frame):
        return columnar.compile_exprs({"twice": call("integer*integer", READ["n"], ir.Const(2, type=INTEGER), gives=INTEGER)})(frame)


def test_each_way_is_derived_from_the_other():
    rows = [{"n": 3}, {"n": missing("damaged")}, {"n": 2**62}]
    frame = columnar.pack(rows, {"n": INTEGER})
    derived = columnar.many_from_one(Doubling(), frame, {"n": INTEGER})
    assert derived.equals(Doubling().many(frame))
    assert [columnar.one_from_many(Doubling(), one, {"n": INTEGER}) for one in rows] == [Doubling().one(one) for one in rows]
