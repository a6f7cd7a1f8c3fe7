"""What the parser makes of rule text: trees, places, limits, and every mistake of a file at once."""

import time
from pathlib import Path

import pytest

from engine.lang import ast
from engine.lang.parse import parse, parse_cell, parse_expression, read_text
from engine.lang.scan import scan
from engine.lang.words import DECLARATIONS, RESERVED, UNITS, load_words
from engine.resources import grammar_text

GOOD = Path(__file__).parent / "good"
HEAD = "ruleset aml/cash version 1.4.0\n"


def number(text):
    return ast.Literal("number", text)


def name(path):
    return ast.Name(path)


def word(text):
    return ast.Word(text)


def read(body, head=HEAD):
    tree, problems = parse(head + body, "x.rules")
    assert tree is not None, problems
    return tree


def one(body, head=HEAD):
    (declaration,) = read(body, head).declarations
    return declaration


def expression(text):
    node, problems = parse_expression(text, "a.yaml", 1, 1)
    assert node is not None, problems
    return node


def codes(text):
    return [problem.code for problem in parse(text, "x.rules")[1]]


# --- trees -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(GOOD.glob("*.rules")), ids=lambda path: path.stem)
def test_good_files_are_read_without_a_word(path):
    tree, problems = parse(path.read_text(encoding="utf-8"), path.name)
    assert tree is not None
    assert problems == []


def test_a_header_holds_its_items_in_any_order():
    tree = read(
        'late up to 2 days ahead up to 30 days revision version language en zone "America/New_York" key file, row '
        "time booked_at arrival by time",
        'record bank/transaction version 1.0.0 "A title" cites "a" owner "B" cites "c"\n',
    )
    assert (tree.kind, tree.name, tree.version, tree.title, tree.owner) == (
        "record",
        word("bank/transaction"),
        word("1.0.0"),
        "A title",
        "B",
    )
    assert tree.cites == (word("a"), word("c"))
    assert tree.key == (word("file"), word("row"))
    assert (tree.zone, tree.time, tree.arrival, tree.arrival_by_time) == (word("America/New_York"), word("booked_at"), None, True)
    assert (tree.late, tree.ahead) == (ast.Literal("duration", "2 days"), ast.Literal("duration", "30 days"))
    assert tree.revision == word("version")
    assert tree.language is None  # English is what a file is in anyway


def test_uses_name_what_a_rule_set_needs():
    tree = read("uses features aml/profile ^1 record bank/transaction ~1.4 uses list geo/high_risk 2026.6.0 uses list a/b on missing alert")
    assert tree.uses == (
        ast.Uses("record", "bank/transaction", "~1.4"),
        ast.Uses("features", "aml/profile", "^1"),
        ast.Uses("list", "geo/high_risk", "2026.6.0"),
        ast.Uses("list", "a/b", None),
    )
    assert tree.on_missing == word("alert")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("amount: money USD not negative", ast.Field(word("amount"), ast.TypeName("money", currency="USD"), not_negative=True)),
        ("a.b: money by currency", ast.Field(word("a.b"), ast.TypeName("money", by="currency"))),
        (
            'd: one of ("in", "out")',
            ast.Field(word("d"), ast.TypeName("text", choices=(ast.Literal("text", "in"), ast.Literal("text", "out")))),
        ),
        ("x: list of text", ast.Field(word("x"), ast.TypeName("list", item=ast.TypeName("text")))),
        (
            'm: text personal optional "Who" from "A B", "C"',
            ast.Field(word("m"), ast.TypeName("text"), optional=True, personal=True, title="Who", sources=("A B", "C")),
        ),
        ("date: date", ast.Field(word("date"), ast.TypeName("date"))),
        ("number: number", ast.Field(word("number"), ast.TypeName("number"))),
        ("list: percent", ast.Field(word("list"), ast.TypeName("percent"))),
    ],
)
def test_fields(text, field):
    assert one(f"field {text}", "record a/b version 1.0.0\n") == field


def test_lists():
    values = (ast.Dated(ast.Tuple((ast.Literal("text", "a"), ast.Literal("text", "b")))),)
    assert one('list x = ("a", "b") cites "c"') == ast.ListDecl(word("x"), values, cites="c")
    assert one('list x from "x.csv" column "iso2"') == ast.ListDecl(word("x"), files=(ast.ListFile("x.csv", ("iso2",)),))
    assert one('values ("a", "b")', "list a/b version 1.0.0\n") == ast.ListDecl(None, values)
    assert one('from "x.csv" column "iso2"', "list a/b version 1.0.0\n") == ast.ListDecl(None, files=(ast.ListFile("x.csv", ("iso2",)),))
    dated = (
        'from "x.csv" column "iso2" valid "from" to "to" effective from 2019-01-15 to 2021-07-06, '
        'from "y.csv" column "name" or "alias" id "entry" effective from 2021-07-07'
    )
    first = ast.ListFile("x.csv", ("iso2",), None, ("from", "to"), ast.Effective("2019-01-15", "2021-07-06"))
    second = ast.ListFile("y.csv", ("name", "alias"), "entry", None, ast.Effective("2021-07-07", None))
    assert one(dated, "list a/b version 1.0.0\n") == ast.ListDecl(None, files=(first, second))


def test_params_keep_type_dates_and_citation():
    assert one('param near: percent = 90% effective from 2020-01-01 to 2024-12-31 cites "x"') == ast.Param(
        word("near"),
        ast.TypeName("percent"),
        (ast.Dated(ast.Literal("percent", "90%"), ast.Effective("2020-01-01", "2024-12-31")),),
        "x",
    )


@pytest.mark.parametrize(
    ("text", "function", "of"),
    [
        ("count", "count", None),
        ("sum of amount * 2", "sum", ast.Binary("*", name("amount"), number("2"))),
        ("max of amount", "max", name("amount")),
        ("count of distinct merchant", "count of distinct", name("merchant")),
    ],
)
def test_aggregates(text, function, of):
    feature = one(f"feature f = {text} over 7 days per account, card where amount > 3 needs 12 events")
    window = ast.Window("trailing", ast.Literal("duration", "7 days"))
    where = ast.Binary(">", name("amount"), number("3"))
    assert feature.value == ast.Aggregate(function, of, window, (name("account"), name("card")), where, ast.Needs("events", number("12")))


def test_a_window_may_be_as_long_as_a_param_says_and_a_feature_may_be_a_plain_expression():
    assert one("feature f = count over span per account").value.window.length == name("span")
    assert one("feature f = max(a, b)").value == ast.Call("max", (name("a"), name("b")))


def test_a_rule_has_every_clause():
    rule = one(
        'rule CASH-01 "T" then score -40, flag big, set tier = "high", outcome review cites "a" cites "b" severity critical '
        'when x unless y because "p" unless z because "q" because "r {x}" on missing refer on missing a.b assume "u" '
        "on missing c assume 3 effective from 2020-01-01"
    )
    assert rule == ast.Rule(
        word("CASH-01"),
        "T",
        (word("a"), word("b")),
        "critical",
        name("x"),
        (ast.Unless(name("y"), "p"), ast.Unless(name("z"), "q")),
        (
            ast.Effect("score", value=ast.Negate(number("40"))),
            ast.Effect("flag", word("big")),
            ast.Effect("set", word("tier"), ast.Literal("text", "high")),
            ast.Effect("outcome", word("review")),
        ),
        ast.Template("r {x}"),
        word("refer"),
        (ast.Assume(word("a.b"), ast.Literal("text", "u")), ast.Assume(word("c"), number("3"))),
        ast.Effective("2020-01-01", None),
    )


def test_decide():
    assert one("decide outcome first match block when a > 3 approve otherwise otherwise undecided hold") == ast.Decide(
        (ast.DecideRow(word("block"), ast.Binary(">", name("a"), number("3"))), ast.DecideRow(word("approve"), None)), word("hold")
    )


def test_a_test_takes_every_expectation():
    test = one(
        'test "T" with limit = 5_000 USD given a = 1, b missing given c = "x" '
        "expect CASH-01 hit, score 40, score 0 to 100, outcome review, possible a or b, robust, flag x, no flag y, z = 3, w missing"
    )
    assert test.params == (ast.Binding(word("limit"), ast.Literal("money", "5_000 USD")),)
    assert test.given == (
        ast.Binding(word("a"), number("1")),
        ast.Binding(word("b"), None),
        ast.Binding(word("c"), ast.Literal("text", "x")),
    )
    assert test.expect == (
        ast.Expectation("rule", word("CASH-01"), "hit"),
        ast.Expectation("score", low=number("40")),
        ast.Expectation("score", low=number("0"), high=number("100")),
        ast.Expectation("outcome", word("review")),
        ast.Expectation("possible", names=(word("a"), word("b"))),
        ast.Expectation("robust"),
        ast.Expectation("flag", word("x")),
        ast.Expectation("no flag", word("y")),
        ast.Expectation("value", word("z"), low=number("3")),
        ast.Expectation("missing", word("w")),
    )


def test_rows_of_stories_and_examples():
    story = one('story "S" with p = 1 history from 2026-01-01\n | a | => A-1 | x |\n | "p|q # r" |  | hit | # c\n')
    assert (story.title, story.history) == (word("S"), "2026-01-01")
    assert story.header == ast.Row((ast.Cell("a"),), (ast.Cell("A-1"), ast.Cell("x")))
    assert story.rows == (ast.Row((ast.Cell('"p|q # r"'),), (ast.Cell(""), ast.Cell("hit"))),)
    assert one('story "S" history complete\n | => A-1 |').history == "complete"
    examples = one("examples A-1\n|a|=> A-1|\n| 1 | => hit |")
    assert (examples.rule, examples.rows[0].outputs) == (word("A-1"), (ast.Cell("hit"),))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a and b and c or d", ast.Logic("or", (ast.Logic("and", (name("a"), name("b"), name("c"))), name("d")))),
        ("(a and b) and c", ast.Logic("and", (ast.Logic("and", (name("a"), name("b"))), name("c")))),
        ("not a = 1", ast.Not(ast.Binary("=", name("a"), number("1")))),
        ("a - b - c", ast.Binary("-", ast.Binary("-", name("a"), name("b")), name("c"))),
        ("a else 0 * 2", ast.Binary("*", ast.Else(name("a"), number("0")), number("2"))),
        ("a else b else -1", ast.Else(name("a"), ast.Else(name("b"), ast.Negate(number("1"))))),
        ("-a * b", ast.Binary("*", ast.Negate(name("a")), name("b"))),
        ("a between 1 and 2 and b", ast.Logic("and", (ast.Between(name("a"), number("1"), number("2")), name("b")))),
        ("a within 10% around b", ast.Within(name("a"), ast.Literal("percent", "10%"), name("b"))),
        ("a is known", ast.IsMissing(name("a"), True)),
        ("a not in (1, 2)", ast.Membership(name("a"), True, ast.Tuple((number("1"), number("2"))))),
        ("a in geo.high_risk", ast.Membership(name("a"), False, name("geo.high_risk"))),
        ("a resembles any in geo.names by 85%", ast.Resembles(name("a"), name("geo.names"), ast.Literal("percent", "85%"))),
        ('a starts with "x"', ast.Binary("starts with", name("a"), ast.Literal("text", "x"))),
        ('a matches "\\d+"', ast.Binary("matches", name("a"), ast.Literal("text", "\\d+"))),
        ("flag big", ast.HasFlag("big")),
        ('cash.hit("A-1")', ast.Call("cash.hit", (ast.Literal("text", "A-1"),))),
        ("hour of booked_at", ast.Call("hour of", (name("booked_at"),))),
        ("weekday  of # monday is 1\n now", ast.Call("weekday of", (name("now"),))),
        ("number of x.y where (it > 3)", ast.Quantifier("number", name("x.y"), ast.Binary(">", name("it"), number("3")))),
        ("number > 3", ast.Binary(">", name("number"), number("3"))),
        ("any = all", ast.Binary("=", name("any"), name("all"))),
        ("whenever", name("whenever")),
        ("a.when", name("a.when")),
        ("a.Not", name("a.Not")),
        ("2026-01-31", ast.Literal("date", "2026-01-31")),
        ("2026-01-31 09:00", ast.Literal("datetime", "2026-01-31 09:00")),
        ("2026-01-31T09:00:00.5+02:00", ast.Literal("datetime", "2026-01-31T09:00:00.5+02:00")),
        ("1 month", ast.Literal("duration", "1 month")),
        ("10 ALL", ast.Literal("money", "10 ALL")),
        ("10USD", ast.Literal("money", "10 USD")),
        ("true", ast.Literal("flag", "true")),
    ],
)
def test_expressions(text, node):
    assert expression(text) == node


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("missing", name("missing")),
        ("hit", name("hit")),
        ("9_500 USD", ast.Literal("money", "9_500 USD")),
        ('"cash"', ast.Literal("text", "cash")),
        ("-3", ast.Negate(number("3"))),
        ("review or block", ast.Logic("or", (name("review"), name("block")))),
    ],
)
def test_cells(text, node):
    assert parse_cell(ast.Cell(text)) == (node, [])


def test_a_mistake_in_a_cell_is_told_at_its_place_in_the_file():
    story = one('story "S"\n  | amount | => A-1 |\n  | 9,500 USD | hit hit |')
    ((bad,), (worse,)) = story.rows[0].inputs, story.rows[0].outputs
    (problem,) = parse_cell(bad)[1]
    assert (problem.code, problem.span.line, problem.span.column, problem.span.end) == ("thousands-comma", 4, 5, 10)
    (problem,) = parse_cell(worse)[1]
    assert (problem.code, problem.span.line, problem.span.column, problem.span.end) == ("syntax", 4, 21, 24)
    assert [p.code for p in parse_cell(ast.Cell(""))[1]] == ["syntax"]


# --- places ----------------------------------------------------------------------------------------------------------


def test_places_count_from_where_the_expression_begins():
    node, _ = parse_expression("a + b\n  > c", "a.yaml", 7, 12)
    assert (node.span.line, node.span.column, node.span.end) == (7, 12, 17)
    assert (node.right.span.line, node.right.span.column, node.right.span.end) == (8, 5, 6)


def test_a_place_never_reaches_over_the_end_of_its_line():
    rule = one('rule A-1 "t"\n  when a # note\n    and b\n  then score 1')
    assert (rule.when.span.line, rule.when.span.column, rule.when.span.end) == (3, 8, 9)


def test_two_trees_are_equal_wherever_they_stand():
    body = 'rule A-1 "t" when a and b then score 1'
    assert read(body) == read("\n\n  # x\n" + body.replace(" and", "\n\tand"))


def test_comments_are_kept_with_their_places():
    tree = read("# one \nparam x = 1 # two # still two\n")
    assert [(c.text, c.own_line, c.span.line) for c in tree.comments] == [("# one", True, 2), ("# two # still two", False, 3)]


# --- forms of text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("  ", "\t"),
        lambda text: text.replace("  ", "\u00a0"),
        lambda text: text.rstrip("\n"),
    ],
    ids=["mark", "crlf", "cr", "tabs", "hard spaces", "no last line feed"],
)
def test_forms_of_text_make_no_difference(change):
    text = (GOOD / "cash.rules").read_text(encoding="utf-8")
    tree, problems = parse(change(text), "x.rules")
    assert (tree, problems) == (parse(text, "x.rules")[0], [])


def test_newlines_have_no_meaning_outside_rows():
    text = 'param a = 1 param b = 2 rule A-1 "t" when a > b then score 1 decide outcome x otherwise'
    assert read(text) == read(text.replace(" ", "\n"))


def test_read_text_takes_utf8_only(tmp_path):
    path = tmp_path / "a.rules"
    path.write_bytes("\ufefftext é".encode())
    assert read_text(path) == ("text é", [])
    path.write_bytes(b"")
    assert [p.code for p in read_text(path)[1]] == ["empty-file"]
    path.write_bytes(b"\0" * 100)
    text, problems = read_text(path)
    assert text is not None
    assert problems == []
    assert codes(text) == ["control-character"]


@pytest.mark.parametrize(
    ("data", "encoding", "line", "column"),
    [
        ("ruleset".encode("utf-16"), "UTF-16", 1, 1),
        ("ruleset".encode("utf-16-le"), "UTF-16", 1, 1),
        ("ruleset".encode("utf-16-be"), "UTF-16", 1, 1),
        ("ruleset".encode("utf-32"), "UTF-32", 1, 1),
        ('a\nб "Москва"'.encode("cp1251"), "Windows-1251", 2, 1),
        ('a "café"'.encode("cp1252"), "Windows-1252", 1, 7),
    ],
)
def test_other_encodings_are_named_with_their_place(tmp_path, data, encoding, line, column):
    path = tmp_path / "a.rules"
    path.write_bytes(data)
    text, (problem,) = read_text(path, "a.rules")
    assert text is None
    assert (problem.code, problem.span.line, problem.span.column) == ("not-utf8", line, column)
    assert encoding in problem.message


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "a.rules"
    with path.open("wb") as stream:
        stream.truncate(200 * 2**20)
    started = time.perf_counter()
    assert [p.code for p in read_text(path)[1]] == ["file-too-large"]
    assert time.perf_counter() - started < 2


# --- grammar and keywords --------------------------------------------------------------------------------------------


def test_the_grammar_stays_small_and_holds_no_words():
    grammar = grammar_text("rules.lark")
    lines = [line for line in grammar.splitlines() if line.strip() and not line.startswith("//")]
    assert len(lines) <= 200
    assert not any(word in line for line in lines for word in ('"when"', '"rule"', '"and"'))


def test_every_keyword_has_a_terminal_in_the_grammar_and_is_written_in_small_letters():
    grammar = grammar_text("rules.lark")
    words = load_words()
    assert [terminal for terminal in words.shown if f" {terminal}" not in grammar.replace("(", " ")] == []
    assert set(DECLARATIONS) | set(RESERVED) | set(UNITS) <= set(words.shown)
    assert all(word == word.lower() for word in words.every)


def test_scanning_loses_nothing():
    text = (GOOD / "cash.rules").read_text(encoding="utf-8")
    scanned = scan(text, load_words(), "x")
    left = text
    for token in [*scanned.tokens]:
        assert text[token.start_pos : token.end_pos] == token.value
    for token in sorted(scanned.tokens, key=lambda t: -t.start_pos):
        left = left[: token.start_pos] + left[token.end_pos :]
    assert "".join(left.split()) == "".join("".join(comment.text.split()) for comment in scanned.comments)
