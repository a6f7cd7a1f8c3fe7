"""Every mistake of a text is told at its place, at once, and no text however hostile makes the parser stumble or wait."""

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.diagnostics import errors
from engine.lang import ast
from engine.lang.parse import MAX_DECLARATIONS, MAX_PROBLEMS, parse, parse_cell
from engine.lang.words import RESERVED, load_words

GOOD = Path(__file__).parent / "good"
HEAD = "ruleset aml/cash version 1.4.0\n"


def read(body, head=HEAD):
    tree, problems = parse(head + body, "x.rules")
    assert tree is not None, problems
    return tree


def told(text):
    """Code, line, column and end of everything that is wrong with a text."""
    return [(p.code, p.span.line, p.span.column, p.span.end) for p in parse(text, "x.rules")[1]]


def codes(text):
    return [problem.code for problem in parse(text, "x.rules")[1]]


# --- mistakes --------------------------------------------------------------------------------------------------------


def test_the_tree_is_none_exactly_when_something_is_an_error():
    tree, problems = parse(HEAD + 'param city = "P\u0430ris"', "x.rules")
    assert tree is not None
    assert [(p.code, p.severity) for p in problems] == [("mixed-script", "warning")]
    assert parse(HEAD + "param x == 1", "x.rules")[0] is None


def test_every_declaration_tells_its_own_mistake():
    text = HEAD + "param a 1\nparam b = 2\ndefine c =\nparam d = = 3\nfeature e = count\nparam f == 4\n"
    assert told(text) == [
        ("syntax", 2, 9, 10),
        ("syntax", 4, 11, 12),
        ("syntax", 5, 11, 12),
        ("syntax", 6, 18, 19),
        ("double-equals", 7, 9, 11),
    ]


def test_a_mended_slip_does_not_hide_what_follows():
    assert told(HEAD + "define a = b == 1 && c > 10,000 USD or\n") == [
        ("double-equals", 2, 14, 16),
        ("foreign-operator", 2, 19, 21),
        ("thousands-comma", 2, 26, 32),
        ("syntax", 2, 39, 40),
    ]


def test_capitals_that_are_no_keywords_are_left_alone():
    assert codes(HEAD + 'rule IN-01 "t" when amount > 10 ALL and a.When = "Not AND" then score 1') == []


def test_a_mistake_before_the_first_declaration_does_not_hide_the_rest():
    assert [code for code, *_ in told("param a 1\nparam b 2\n")] == ["no-header", "syntax", "syntax"]


@pytest.mark.parametrize("terminal", RESERVED)
def test_reserved_words_name_nothing(terminal):
    assert codes(f"{HEAD}define {load_words().shown[terminal]} = 1") == ["reserved-name"]


@pytest.mark.parametrize("text", ["", " \n\t\n", "# only a comment"])
def test_empty_texts(text):
    assert codes(text) == ["empty-file"]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80))
def test_no_text_at_all_makes_the_parser_stumble(text):
    tree, problems = parse(text, "x.rules")
    assert (tree is None) == bool(errors(problems))
    assert parse_cell(ast.Cell(text))[1] is not None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_broken_file_makes_the_parser_stumble(data):
    text = (GOOD / "cash.rules").read_text(encoding="utf-8")
    at = data.draw(st.integers(0, len(text)))
    insert = data.draw(st.sampled_from(['"', "(", ")", "|", "==", "when", "\n", "\u0430", "=>", "rule", "{", "'", "#", "\u202e", "9,999"]))
    cut = data.draw(st.integers(0, 20))
    broken = text[:at] + insert + text[at + cut :]
    tree, problems = parse(broken, "x.rules")
    assert (tree is None) == bool(errors(problems))
    lines = broken.split("\n")
    for problem in problems:
        assert 1 <= problem.span.line <= len(lines)
        assert 1 <= problem.span.column <= len(lines[problem.span.line - 1]) + 1
        assert problem.span.end <= len(lines[problem.span.line - 1]) + 2


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("define x = " + "(" * 5000 + "a" + ")" * 5000, "too-deep"),
        ("define x = " + "(" * 5_000_000, "too-deep"),
        ("define x = " + "not " * 5000 + "a", "too-deep"),
        ("define x = " + "- " * 5000 + "a", "too-deep"),
        ("define x = " + "a + " * 5000 + "a", "too-deep"),
        ("define x = " + "a else " * 5000 + "a", "too-deep"),
        ("define x = " + "f(" * 5000 + "a" + ")" * 5000, "too-deep"),
        ("define x = " + "any of a where (" * 5000 + "a" + ")" * 5000, "too-deep"),
        ("param x 1\n" * 9000, "too-many-problems"),
        ("define x = " + "a == " * 9000, "too-many-problems"),
        ("define " + "x" * 5_000_000 + " 3", "syntax"),
        ("rule A-1 " + "| || " * 5000, "too-many-problems"),
        ("param x = " + "0," + "000," * 100_000, "thousands-comma"),
        ('param x = "' + "\u0430a" * 100_000 + '"', "mixed-script"),
    ],
    ids=lambda value: value if len(value) < 30 else value[:24],
)
def test_hostile_texts_are_answered_at_once(text, code):
    started = time.perf_counter()
    found = codes(HEAD + text)
    assert code in found
    assert len(found) <= MAX_PROBLEMS + 2
    assert time.perf_counter() - started < 6


def test_depth_is_judged_per_declaration_and_what_is_just_deep_enough_is_taken():
    deep = "define x = " + "(" * 61 + "a" + ")" * 61
    assert told(f"{HEAD}{deep}\n{deep}\nparam b == 1\n") == [("too-deep", 2, 72, 73), ("too-deep", 3, 72, 73), ("double-equals", 4, 9, 11)]
    assert codes(HEAD + "define x = " + "(" * 59 + "a" + ")" * 59) == []
    assert codes(HEAD + "define x = " + " + ".join("a" * 60)) == []
    assert codes(HEAD + "define x = " + " + ".join("a" * 61)) == ["too-deep"]
    assert codes(HEAD + "define x = " + " or ".join("a" * 5000)) == []


def test_a_file_with_a_hundred_thousand_rules_is_told_without_reading_it():
    text = HEAD + "".join(f'rule R-{i} "t"\n  when amount > {i}\n  then score 1\n' for i in range(100_000))
    started = time.perf_counter()
    assert told(text) == [("too-many-declarations", 2 + 3 * MAX_DECLARATIONS, 1, 6)]
    assert time.perf_counter() - started < 6


def test_a_thousand_rules_are_read_quickly():
    clauses = 'cites "x" severity high when channel in cash_like and amount >= limit or x = "y" then score 40, flag big because "{amount}"'
    text = "\n".join(f'rule R-{i} "t" {clauses}' for i in range(1000))
    read(text)
    started = time.perf_counter()
    assert len(read(text).declarations) == 1000
    assert time.perf_counter() - started < 4


def test_threads_do_not_disturb_one_another():
    texts = [f"{HEAD}param p{i} == {i}\n" + "param q = 1\n" * i + "param r 1" for i in range(20)]
    wanted = [told(text) for text in texts]
    got = [None] * len(texts)

    def work(i):
        got[i] = told(texts[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == wanted
