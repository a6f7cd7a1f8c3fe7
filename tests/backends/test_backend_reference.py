"""The definition: traces that leave nothing out, states before and after policies, and the parts of a rule set."""

import pytest

from engine.backends import reference
from engine.lang import ir
from engine.values import FLAG, INTEGER, SCORE, TEXT, Interval, Money, Type, missing
from tests.backends.programs import BIG, CASH, over, rule, ruleset

UNDECIDED = missing("undecided")


def test_a_trace_judges_every_part():
    traced = reference.trace(ir.And((CASH, BIG)), {"channel": "wire", "n": 4})
    assert traced.value is False
    assert [(part.expr, part.value) for part in traced.children] == [(CASH, False), (BIG, True)]
    assert [part.value for part in traced.children[1].children] == [4, 3]


def test_a_trace_of_a_quantifier_has_its_list_and_a_part_an_item():
    same = ir.Compare("=", ir.Item(type=INTEGER), ir.Read("n", type=INTEGER))
    some = ir.Quantifier("any", ir.Read("items", type=Type("list", item=INTEGER)), same)
    traced = reference.trace(some, {"items": (1, 2), "n": 2})
    assert [part.value for part in traced.children] == [(1, 2), False, True]
    assert traced.children[1].children[0].value == 1


def test_number_of_is_an_interval_where_items_cannot_be_judged():
    same = ir.Compare("=", ir.Item(type=INTEGER), ir.Read("n", type=INTEGER))
    number = ir.Quantifier("number", ir.Read("items", type=Type("list", item=INTEGER)), same, type=SCORE)
    assert reference.evaluate(number, {"items": (1, 2), "n": missing("late")}) == Interval(0, 2, "late")
    assert reference.evaluate(number, {"items": (), "n": missing("late")}) == 0


def test_states_keep_the_cause_before_policies():
    made = ruleset(rule("A", BIG, policy="alert"), rule("B", CASH, effective=(10, None)), rule("C", CASH))
    row = {"n": missing("damaged"), "channel": missing("late"), "@date": 9}
    states = reference.states(made, row)
    assert states["A"] == reference.State(missing("damaged"), True, reference.UNDECIDED)
    assert states["B"] == reference.State(False, False, False, in_force=False)
    assert states["C"] == reference.State(missing("late"), UNDECIDED, UNDECIDED)
    assert reference.states(made, row, open_=True)["A"].state is UNDECIDED


def test_an_assumption_that_settles_a_rule_is_a_policy():
    assume = (("channel", ir.Const("cash", type=TEXT)),)
    made = ruleset(rule("A", CASH, assume=assume, points=5))
    absent, wire = {"n": 1, "channel": missing("absent"), "@date": 0}, {"n": 1, "channel": "wire", "@date": 0}
    assert reference.run(made, absent) == {"score": 5, 'hit("A")': True, "@points": 5, "@policy": True, "possible": ()}
    assert reference.run(made, wire) == {"score": 0, 'hit("A")': False, "@points": 0, "@policy": False, "possible": ()}
    assert reference.run(made, absent, open_=True)["score"] == Interval(0, 5, "undecided")


def test_what_reads_the_score_comes_after_all_rules():
    size = ir.Define("much", over(5))
    decide = ir.Decide((("stop", ir.Read("much", type=FLAG)), ("go", None)))
    made = ruleset(size, rule("A", BIG, points=5), decide=decide)
    assert reference.late(made) == {"much"}
    assert reference.run(made, {"n": 3, "channel": "x", "@date": 0})["outcome"] == "stop"
    assert reference.run(made, {"n": 2, "channel": "x", "@date": 0})["outcome"] == "go"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ([], missing("no row")),
        ([(False, 1), (False, 2)], missing("no row")),
        ([(UNDECIDED, 1)], UNDECIDED),
        ([(True, 1), (False, 2)], 1),
        ([(True, 1), (True, 1)], 1),
        ([(True, 1), (True, 2)], missing("ambiguous")),
        ([(True, 1), (UNDECIDED, 1)], 1),
        ([(True, 1), (UNDECIDED, 2)], UNDECIDED),
        ([(True, 1), (UNDECIDED, missing("late"))], UNDECIDED),
        ([(True, missing("late"))], missing("late")),
        ([(True, missing("late")), (True, 1)], missing("late")),
        ([(True, missing("overflow")), (UNDECIDED, 1)], UNDECIDED),
        ([(True, 1), (True, 2), (True, missing("absent")), (UNDECIDED, 1)], missing("ambiguous")),
        ([(True, Money(1, "USD")), (True, Money(1, "EUR"))], missing("ambiguous")),
        ([(True, Interval(1, 2, "late"))], Interval(1, 2, "late")),
        ([(True, Interval(1, 2, "late")), (True, Interval(1, 2, "late"))], UNDECIDED),
    ],
)
def test_resolve(written, left):
    assert reference.resolve(written) == left


def test_walk_keeps_what_may_still_come_each_once():
    assert reference.walk([("a", UNDECIDED), ("b", UNDECIDED), ("a", UNDECIDED), ("c", None is None)]) == ("a", "b", "c")
    assert reference.walk([("a", False), ("b", True), ("c", True)]) == ("b",)


def test_the_outcome_left_open():
    assert reference.outcome(("a",), "refer", open_=True) == "a"
    assert reference.outcome(("a", "b"), "refer", open_=False) == "refer"
    assert reference.outcome(("a", "b"), "refer", open_=True) is UNDECIDED


def test_an_unknown_node_is_an_error():
    with pytest.raises(TypeError, match="no meaning"):
        reference.evaluate(ir.Expr(), {})
