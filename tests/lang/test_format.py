"""Law 3: formatting never changes what a file says, and formatting twice changes nothing more; and the look itself."""

import os
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from engine.lang import ast
from engine.lang.format import format_file
from engine.lang.format_expressions import format_expression
from engine.lang.parse import parse, parse_expression
from tests.lang import strategies

EXAMPLES = 50 * int(os.environ.get("FUZZ", "1") or 1)
GOOD = sorted((Path(__file__).parent / "good").glob("*.rules"))


def read(text):
    tree, problems = parse(text, "x.rules")
    assert tree is not None, problems
    return tree


@settings(max_examples=EXAMPLES, deadline=None)
@given(strategies.files)
def test_reading_what_was_formatted_gives_the_same_tree(tree):
    text = format_file(tree)
    again = read(text)
    assert again == tree
    assert format_file(again) == text


@settings(max_examples=EXAMPLES, deadline=None)
@given(strategies.expressions)
def test_an_expression_survives_with_its_parentheses(node):
    text = format_expression(node)
    again, problems = parse_expression(text, "x.yaml", 1, 1)
    assert again == node, problems


@settings(max_examples=EXAMPLES, deadline=None)
@given(strategies.files, st.data())
def test_comments_anywhere_are_kept_and_stay_put_the_second_time(tree, data):
    lines = []
    for number, line in enumerate(format_file(tree).splitlines()):
        if data.draw(st.booleans()):
            lines.append(f"  # above {number}")
        if data.draw(st.sampled_from([False, False, True])):
            lines.append("")
        lines.append(f"{line} # beside {number}" if data.draw(st.booleans()) and line else line)
    text = "\n".join([*lines, "# the end"])
    commented = read(text)
    assert commented == tree
    once = format_file(commented)
    again = read(once)
    assert again == tree
    assert sorted(c.text for c in again.comments) == sorted(c.text for c in commented.comments)
    assert format_file(again) == once


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_files_have_the_look_already(path):
    text = path.read_text(encoding="utf-8")
    assert format_file(read(text)) == text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("((a))", "a"),
        ("(a and b) and c", "(a and b) and c"),
        ("(a and b) or c", "a and b or c"),
        ("a and (b or c)", "a and (b or c)"),
        ("not (a = b)", "not a = b"),
        ("not (a and b)", "not (a and b)"),
        ("(a + b) + c", "a + b + c"),
        ("a + (b + c)", "a + (b + c)"),
        ("a - (b * c)", "a - b * c"),
        ("(a else 0) * 2", "a else 0 * 2"),
        ("a else (b * 2)", "a else (b * 2)"),
        ("a else -1", "a else -1"),
        ("-(a else 1)", "-a else 1"),
        ("(-a) else 1", "(-a) else 1"),
        ("- -a", "--a"),
        ("(a = b) = c", "(a = b) = c"),
        ("x in (1,2)", "x in (1, 2)"),
        ("hour   of (now)", "hour of now"),
    ],
)
def test_parentheses_stand_only_where_they_are_needed(written, shown):
    node, problems = parse_expression(written, "x.yaml", 1, 1)
    assert node is not None, problems
    assert format_expression(node) == shown


def test_a_long_condition_is_broken_before_its_operators():
    long = " and ".join(f"some_quite_long_name_{i} > {i}" for i in range(3))
    tree = read(f'ruleset a/b version 1.0.0 rule A-1 "t" when {long} or ({long}) and not flag x then score 1')
    assert format_file(tree).splitlines()[3:] == [
        "  when some_quite_long_name_0 > 0 and some_quite_long_name_1 > 1 and some_quite_long_name_2 > 2",
        "    or (some_quite_long_name_0 > 0 and some_quite_long_name_1 > 1 and some_quite_long_name_2 > 2)",
        "      and not flag x",
        "  then score 1",
    ]


def test_no_line_of_lists_and_tests_grows_past_the_width():
    entries = ", ".join(f'"entry {i}"' for i in range(40))
    bindings = ", ".join(f"name_{i} = {i}" for i in range(40))
    text = format_file(read(f'ruleset a/b version 1.0.0 list x = ({entries}) test "t" with {bindings} given {bindings} expect {bindings}'))
    assert max(map(len, text.splitlines())) <= 100


def test_rows_are_aligned_and_the_arrow_stands_in_the_first():
    tree = read('ruleset a/b version 1.0.0\nexamples A-1\n| a|bb | => A-1|\n|"long" | missing |=>hit |\n')
    assert format_file(tree).splitlines()[3:] == [
        "  | a      | bb      | => A-1 |",
        '  | "long" | missing | hit    |',
    ]


def test_a_comment_keeps_its_place_beside_clauses_that_carry_no_place():
    text = (
        "ruleset a/b version 1.0.0\n"
        '  # who to ask\n  owner "X"  # moved in March\n'
        "\n# the first rule\n\n# of two\n"
        'rule A-1 "t"\n  # agreed with the unit\n  severity high  # was low\n  when x  # why\n'
    )
    assert format_file(read(text)) == text


def test_the_formatter_knows_every_kind_of_node():
    from engine.lang import format as declarations
    from engine.lang import format_expressions as expressions

    assert set(expressions._EXPRESSIONS) == set(ast.Expr.__args__)
    assert set(declarations._DECLARATIONS) == set(ast.Declaration.__args__)
