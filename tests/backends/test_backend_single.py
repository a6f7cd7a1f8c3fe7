"""Generated functions: text that can be read and stepped through, and programs of any size and with any names."""

import gc
import linecache
import sys
import traceback

import pytest

from engine.backends import reference, single
from engine.lang import ir
from engine.values import FLAG, INTEGER, TEXT, missing
from tests.backends.programs import BIG, CASH, over, rule, ruleset


def test_the_text_is_there_to_read():
    made = ruleset(ir.Define("big", BIG), rule("A-1", ir.And((ir.Read("big"), CASH)), points=40))
    text = single.source(single.compile_rules(made))
    assert "# A-1: rule A-1" in text
    assert "n = row['n']" in text
    assert "big = " in text
    assert "channel == 'cash'" in text
    assert max(map(len, text.splitlines())) < 200


def test_a_debugger_sees_its_lines():
    decide = single.compile_rules(ruleset(rule("A-1", BIG)))
    seen = []

    def trace(frame, event, _):
        if frame.f_code is decide.__code__ and event == "line":
            seen.append(linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip())
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        decide({"n": 3})
    finally:
        sys.settrace(before)
    assert "n = row['n']" in seen
    assert any(line.startswith("hit_A_1 = ") for line in seen)


def test_a_traceback_shows_the_line():
    decide = single.compile_rules(ruleset(rule("A-1", BIG)))
    with pytest.raises(KeyError) as caught:
        decide({})
    assert "n = row['n']" in "".join(traceback.format_exception(caught.value))


def test_the_text_goes_with_the_function():
    decide = single.compile_expr(BIG)
    file = decide.__code__.co_filename
    assert file in linecache.cache
    del decide
    gc.collect()
    assert file not in linecache.cache


def test_ten_thousand_rules_compile():
    conditions = [ir.Compare("=", ir.Read("n", type=INTEGER), ir.Const(i % 7, type=INTEGER)) for i in range(10_000)]
    rules = [rule(f"R-{i}", ir.And((condition, CASH)), points=i % 3 - 1) for i, condition in enumerate(conditions)]
    flag = ir.Flag("some", tuple(f"R-{i}" for i in range(0, 10_000, 1000)))
    made = ruleset(*rules, flag, decide=ir.Decide((("stop", over(1)), ("go", None))))
    decide = single.compile_rules(made)
    for row in ({"n": 3, "channel": "cash"}, {"n": missing("late"), "channel": "cash"}, {"n": 3, "channel": missing("late")}):
        assert repr(decide(row)) == repr(reference.run(made, row))


def test_a_row_is_never_changed():
    rules = [rule(f"R-{i}", BIG, points=1) for i in range(1000)]
    row = {"n": 3}
    single.compile_rules(ruleset(*rules))(row)
    assert row == {"n": 3}


@pytest.mark.parametrize("depth", [1, 7, 60])
def test_deep_expressions(depth):
    expr, row = BIG, {"n": missing("late"), "channel": "cash"}
    for _ in range(depth):
        expr = ir.Not(ir.And((CASH, ir.Or((expr, ir.Not(CASH))))))
    assert single.compile_expr(expr)(row) is reference.evaluate(expr, row) is missing("late")


def test_a_wide_expression():
    wide = ir.And(tuple(ir.Compare("!=", ir.Read("n", type=INTEGER), ir.Const(i, type=INTEGER)) for i in range(3000)))
    judge = single.compile_expr(wide)
    assert (judge({"n": 2999}), judge({"n": 3000}), judge({"n": missing("late")})) == (False, True, missing("late"))


@pytest.mark.parametrize(
    "names",
    [
        ("class", "row", "first"),
        ("t1", "it", "Missing"),
        ("a.b", "a_b", "a b"),
        ("ﬁ", "fi", "f_i"),
        ("UNDECIDED", "low", "kept"),
        ("int", "len", "next"),
        ("where_1", "part_1", "rules"),
        ("1", "", "é"),
    ],
)
def test_any_name_may_be_a_column(names):
    """Python takes `ﬁ` and `fi` for one name, keeps words for itself, and the text uses some of its own."""
    items = ir.Quantifier("any", ir.Const((1, 2), type=TEXT), ir.And(tuple(ir.Read(name) for name in names)))
    body = [ir.Define(f"{name}!", ir.Not(ir.Read(name))) for name in names]
    made = ruleset(*body, rule("A", ir.And(tuple(ir.Not(ir.Read(f"{name}!", type=FLAG)) for name in names))), rule("B", items))
    for values in ((True, True, True), (True, False, True), (False, True, missing("late"))):
        row = dict(zip(names, values, strict=True))
        assert single.compile_rules(made)(row) == reference.run(made, row)


def test_titles_cannot_break_out_of_their_comment():
    made = ruleset(ir.Rule("A", "one\nraise SystemExit\r\nraise SystemExit", BIG), ir.Rule("B", "\u2028raise SystemExit\x0c\0\ud800", BIG))
    decide = ir.Decide((("a\nraise SystemExit", BIG), ('quote " \\', None)))
    made = ruleset(*made.body, decide=decide)
    assert single.compile_rules(made)({"n": 1})["outcome"] == 'quote " \\'
