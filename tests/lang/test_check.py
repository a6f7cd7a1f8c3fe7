"""What sound text means: types, folding, order, policies, features, lists and test cases. Mistakes are in `bad/`."""

import datetime as dt
import time

import pytest

from engine.backends import reference
from engine.lang import check, ir
from engine.lang.parse import parse, parse_expression
from engine.values import DAY, FLAG, HOUR, INTEGER, MISSING, NUMBER, PERCENT, TEXT, Interval, Money, Type, missing
from tests.lang.golden import WORKSPACE, environment, problems

HEAD = "ruleset t/one version 1.0.0\n  record bank/transaction ^1\n"
USD = Type("money", currency="USD")


def environment_of(text):
    return environment(parse(text, "x")[0], WORKSPACE / "rulesets")


def ruleset(body, overrides=None, head=HEAD):
    tree, found = parse(head + body, "x")
    assert not found
    made, found = check.check_ruleset(tree, environment_of(head + body), overrides or {})
    assert made is not None, found
    return made


def features(body):
    head = "features t/one version 1.0.0\n  record bank/transaction ^1\n"
    tree, found = parse(head + body, "x")
    assert not found
    made, found = check.check_features(tree, environment_of(head + body))
    assert made is not None, found
    return {feature.name: feature for feature in made.features}


def codes(text):
    return [problem.code for problem in problems(text, "x")]


RECORD = environment_of(HEAD + 'rule A-1 "x" when urgent then score 1').record
COLUMNS = {field.name: field.type for field in RECORD.fields} | {"now": Type("datetime"), "cash.score": Type("integer", interval=True)}


def typed(text, zone="UTC"):
    tree, found = parse_expression(text, "x", 1, 1)
    assert not found
    made, found = check.check_expression(tree, COLUMNS, "x", zone)
    assert made is not None, found
    return made


def micros(text):
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp()) * 1_000_000


ROW = {
    "amount": 970_000, "fee": 150, "original": Money(500, "EUR"), "rate": 0.5, "share": 50_000_000, "items": 7, "urgent": True,
    "channel": "cash", "account": "A1", "direction": "in", "booked_at": micros("2026-03-06T02:00:00"), "booked_on": 20_000,
    "delay": 3 * DAY, "tags": ("a", "b"), "counterparty.country": MISSING, "customer.segment": "retail", "currency": "EUR",
    "cash.score": Interval(40, 100, "undecided"), "now": micros("2026-03-06T02:00:00"),
}  # fmt: skip

MEANINGS = [
    ("amount >= 90% * 10_000 USD and amount < 10_000 USD", True),
    ("amount * share = 4_850 USD", True),
    ("amount / 3 * 3 = amount", True),
    ("amount / 3 > 3_233.33 USD and amount / 3 < 3_233.34 USD", True),
    ("amount * 1.1 = 10_670 USD", True),
    ("amount / -4 = -2_425 USD", True),
    ("amount / 50% = 19_400 USD", True),
    ("amount / 100 USD = 97", True),
    ("amount * items = 67_900 USD", True),
    ("items * amount = 67_900 USD", True),
    ("share * amount = 4_850 USD", True),
    ("original = 5 EUR", True),
    ("original > 5 USD", missing("currency")),
    ("original * 50% = 2.50 EUR", True),
    ("max(original, 7 EUR) = 7 EUR", True),
    ("-original < 0 EUR", True),
    ("rate = 50%", True),
    ("1 + 10% = 1.1", True),
    ("share > 0.4", True),
    ("items = 7.0", True),
    ("items / 2 = 3.5", True),
    ("items * 2 - 3 + rate = 11.5", True),
    ("share * 3 = 150%", True),
    ("share / share = 1", True),
    ("items between 7 and 7", True),
    ("items within 10% around 7", True),
    ("amount within 300 USD around 10_000 USD", True),
    ("amount within 2% around 10_000 USD", False),
    ("booked_on within 2 days around 2024-10-03", True),
    ("items in (1, 7) and items not in (1, 2)", True),
    ("rate in (1, 0.5)", True),
    ("channel in (\"cash\", \"card\")", True),
    ("\"a\" in tags and \"c\" not in tags", True),
    ("tags contains \"b\"", True),
    ("account starts with \"A\" and channel contains \"as\" and account matches \"^A\\d$\"", True),
    ("length(channel) = 4 and upper(channel) = \"CASH\" and lower(\"ÀB\") = \"àb\"", True),
    ("counterparty.country = \"IR\"", MISSING),
    ("not counterparty.country = \"IR\"", MISSING),
    ("counterparty.country is missing and channel is known", True),
    ("counterparty.country else \"none\" = \"none\"", True),
    ("(counterparty.country else \"IR\") in (\"IR\", \"KP\")", True),
    ("any of tags where (it = \"a\") and all of tags where (length(it) = 1)", True),
    ("number of tags where (it != \"a\") = 1", True),
    ("cash.score >= 40", True),
    ("cash.score + 5 > 100", missing("undecided")),
    ("min(cash.score, 10) = 10", True),
    ("max(cash.score, items, 3) >= 40", True),
    ("cash.score else 3 = 3", True),
    ("abs(-3) = 3 and round(2.345, 2) = 2.35 and round(rate) = 0", True),
    ("booked_at > 2026-03-05 20:59:00", True),
    ("booked_at < 2026-03-05T21:01:00-05:00", True),
    ("booked_at + 2 hours > 2026-03-05 22:59:00", True),
    ("now - booked_at = 0 days", True),
    ("booked_on + 1 month > booked_on + 27 days", True),
    ("1 month < 1 year", True),
    ("delay = 72 hours and delay * 2 = 6 days and delay / 1 day = 3", True),
    ("hour of booked_at = 21 and weekday of booked_at = 4 and date_of(booked_at) = 2026-03-05", True),
    ("days_between(booked_on, booked_on + 3 days) = 3", True),
    ("urgent = true and not (urgent != true)", True),
    ("-9_223_372_036_854_775_808 < items", True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), MEANINGS, ids=[text for text, _ in MEANINGS])
def test_what_an_expression_means(text, wanted):
    got = reference.evaluate(typed(text, "America/New_York"), ROW)
    assert got is wanted or (got == wanted and got.__class__ is wanted.__class__)


TYPES = [
    ("items + 1", INTEGER), ("items + 0.5", NUMBER), ("items / 2", NUMBER), ("share + 1%", PERCENT), ("channel", TEXT), ("urgent", FLAG),
    ("amount + 1 USD", USD), ("cash.score * 2", Type("integer", interval=True)), ("length(channel)", INTEGER),
    ("amount * 12.5%", Type("money", currency="USD", scale=8)), ("original + 1 EUR", Type("money", by="currency")),
    ("cash.score else 3", INTEGER), ("number of tags where (it = \"a\")", Type("integer", interval=True)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), TYPES, ids=[text for text, _ in TYPES])
def test_the_type_of_an_expression(text, wanted):
    assert typed(text).type == wanted


def test_constants_are_computed_at_once():
    assert typed("2 * 3 + 4") == ir.Const(10, type=INTEGER)
    assert typed("90% * 10_000 USD") == ir.Const(900_000, type=USD)
    assert typed('"a" in ("a", "b") and not false') == ir.Const(True, type=FLAG)


def test_expressions_of_a_cascade_read_dotted_columns():
    columns = {'cash.hit("X-1")': FLAG, "cash.flags.big": FLAG}
    tree, _ = parse_expression('cash.hit("X-1") or cash.flags.big', "x", 1, 1)
    made, found = check.check_expression(tree, columns, "x")
    assert not found and ir.reads(made) == set(columns)


def test_one_mistake_is_told_once():
    body = 'define a = amoutn * 2\ndefine b = a + 1 USD\nrule A-1 "x"\n  when b > 3 USD and flag a\n  then set t = b\n'
    assert codes(HEAD + body + 'rule A-2 "x"\n  when t > 3 USD\n  then score 1\n  because "{b} {t}"\n') == ["unknown-name", "unknown-flag"]


def test_what_depends_on_a_lost_component_is_not_reported_again():
    head = HEAD + "  uses features aml/lost ^1\n  uses list geo/lost ^1\n"
    assert codes(head + 'rule A-1 "x"\n  when lost.n > 3 and channel in geo.lost\n  then score 1\n  because "{lost.n}"\n') == []


# --- rule sets -------------------------------------------------------------------------------------------------------


def test_with_a_lost_component_there_is_no_whole():
    text = HEAD + '  uses features aml/nowhere ^1\nrule A-01 "x" when nowhere.x > 1 then score 1\nrule B-01 "x" when items > 1 then score 1'
    assert check.check_ruleset(parse(text, "x")[0], environment_of(HEAD)) == (None, [])


def test_statements_stand_as_written_where_nothing_ties_them():
    made = ruleset(
        'param p = 1\nrule C-01 "x" when items > p then score 1\nrule B-01 "x" when hit("A-01") then score 1\n'
        'rule D-01 "x" when items > 3 then score 1\nrule A-01 "x" when items > 2 then score 1'
    )
    assert [rule.id for rule in made.rules] == ["C-01", "D-01", "A-01", "B-01"]


def test_statements_come_after_what_they_read():
    made = ruleset(
        'rule A-1 "late"\n  when flag early and tier = "high" and big\n  then score 1\n'
        'rule A-2 "early"\n  when amount > 5 USD\n  then flag early, set tier = "high"\n'
        "define big = amount > 1 USD\n"
    )
    names = [getattr(statement, "id", None) or statement.name for statement in made.body]
    assert names.index("A-2") < names.index("early") < names.index("A-1")
    assert names.index("tier") < names.index("A-1") and names.index("big") < names.index("A-1")
    assert [column.name for column in made.fields] == ["amount"]


def test_a_set_name_knows_its_values():
    body = 'rule A-1 "x"\n  when urgent\n  then set tier = "high"\nrule A-2 "x"\n  when tier = "hihg"\n  then score 1\n'
    assert codes(HEAD + body) == ["not-a-choice"]


def test_sets_of_integer_and_number_are_numbers():
    made = ruleset('rule A-1 "x"\n  when urgent\n  then set n = 1\nrule A-2 "x"\n  when not urgent\n  then set n = 0.5\n')
    column = next(s for s in made.body if isinstance(s, ir.Set))
    assert column.type == NUMBER and [value.value for _, value in column.values] == [1.0, 0.5]
    assert [rule.sets[0][0] for rule in made.rules] == ["n", "n"]


def test_an_outcome_a_rule_gives_joins_the_first_row_of_that_outcome():
    body = 'rule A-1 "x"\n  when urgent\n  then outcome block\n'
    body += "decide outcome first match\n  block when amount > 5 USD\n  block when items > 1\n  approve otherwise\n"
    made = ruleset(body + "  otherwise undecided block\n")
    assert made.decide.undecided == "block"
    assert [ir.reads(row[1]) if row[1] else None for row in made.decide.rows] == [{"amount", 'hit("A-1")'}, {"items"}, None]


def test_decide_and_reasons_may_read_the_score_through_defines():
    body = 'define doubled = score * 2\nrule A-1 "x"\n  when urgent\n  then score 3\n  because "{doubled} of {score}, {limit}"\n'
    made = ruleset(body + "param limit = 10\ndecide outcome first match\n  review when doubled > limit\n  approve otherwise\n")
    assert [s for s in made.body if isinstance(s, ir.Define)][-1].name == "doubled"
    assert [part if isinstance(part, str) else getattr(part, "name", None) for part in made.rules[0].reason] == [
        "doubled",
        " of ",
        "score",
        ", ",
        "limit",
    ]


def test_policies_and_assumptions():
    head = HEAD + "  on missing ignore\n"
    body = 'define big = amount > 1 USD\nrule A-1 "x"\n  when big\n  then score 1\n  on missing amount assume 7 USD\n'
    made = ruleset(body + 'rule A-2 "x"\n  when big\n  then score 2\n  on missing alert\n', head=head)
    assert [rule.policy for rule in made.rules] == ["ignore", "alert"]
    assert made.rules[0].assume == (("amount", ir.Const(700, type=USD)),)


def test_overrides_give_params_other_values():
    body = 'param limit: money = 10_000 USD\nrule A-1 "x"\n  when amount > limit\n  then score points\nparam points = 3\n'
    value, _ = parse_expression("5_000 USD", "x", 1, 1)
    made = ruleset(body, {"limit": value})
    assert made.params["limit"].value == 500_000 and made.rules[0].when.right.name == "limit"
    assert made.rules[0].points == 3


def test_overrides_may_bring_a_rule_where_it_cannot_hit():
    value, _ = parse_expression("1 USD", "x", 1, 1)
    body = 'param limit = 10_000 USD\nrule A-1 "x"\n  when amount > 5 USD and amount < limit\n  then score 1\n'
    assert ruleset(body, {"limit": value}).rules[0].id == "A-1"


def test_effective_days():
    made = ruleset('rule A-1 "x"\n  when urgent\n  then score 1\n  effective from 1970-01-02 to 1970-01-03\n')
    assert made.rules[0].effective == (1, 2)


NEVER = [
    "items > 3 and items <= 3", 'channel = "a" and channel = "b"', 'channel = "a" and channel in ("b", "c")', "urgent and not urgent",
    "items > 3 and not items > 2", "(items > 3 or items > 4) and false", "not true", "items = 3 and items != 3", "3 < items and 3 > items",
]  # fmt: skip
SOMETIMES = [
    "items > 3 and items >= 3", "items >= 3 and items <= 3", 'channel != "a" and channel != "b"', "items > 3 or items < 2",
    "items > 3 and rate < 2", "not (items > 3 and items < 2)", 'counterparty.country is missing and channel = "a"',
    "amount > 3 USD and amount * 2 < 3 USD",
]  # fmt: skip


@pytest.mark.parametrize("text", NEVER)
def test_a_condition_that_contradicts_itself(text):
    assert "never-hits" in codes(HEAD + f'rule A-1 "x"\n  when {text}\n  then score 1\n')


@pytest.mark.parametrize("text", SOMETIMES)
def test_a_condition_that_may_hold(text):
    assert codes(HEAD + f'rule A-1 "x"\n  when {text}\n  then score 1\n') == []


def test_a_rule_may_contradict_itself_through_unless():
    assert "never-hits" in codes(HEAD + 'rule A-1 "x"\n  when items > 5\n  unless items > 3 because "no"\n  then score 1\n')


def test_thousands_of_rules_check_in_seconds():
    rule = 'define d{0} = amount > {0} USD\nrule A-{0} "x"\n  when d{0} and flag f{1}\n  then flag f{0}, set t = "x"\n'
    body = "".join(rule.format(n + 1, n) for n in range(2000)) + 'rule B-1 "x"\n  when urgent\n  then flag f0\n'
    tree, _ = parse(HEAD + body, "x")
    started = time.perf_counter()
    made, found = check.check_ruleset(tree, environment_of(HEAD))
    assert made is not None and not found and time.perf_counter() - started < 10


# --- features --------------------------------------------------------------------------------------------------------


def test_features_are_typed_and_know_their_windows():
    made = features(
        "param span = 7 days\n"
        'define incoming = direction = "in"\n'
        "feature n = count over span per account, channel where incoming\n"
        "feature total = sum of amount over 1 month per account\n"
        "feature fees = sum of fee over 7 days per account\n"
        "feature most = max of amount * 12.5% over 36 hours per account\n"
        "feature kinds = count of distinct channel over 7 days per account\n"
        "feature part = total / 2 + most\n"
    )
    assert {name: str(f.type) + (" interval" if f.type.interval else "") for name, f in made.items()} == {
        "n": "integer interval", "total": "money USD interval", "fees": "money EUR", "most": "money USD interval",
        "kinds": "integer interval", "part": "money USD interval",
    }  # fmt: skip
    assert made["n"].value.per == ("account", "channel") and ir.reads(made["n"].value.where) == {"direction"}
    assert made["n"].value.window == ir.Window("trailing", 7 * DAY, "microseconds")
    assert made["total"].value.window == ir.Window("trailing", 1, "months") and made["total"].value.bounded
    assert made["most"].value.window.length == 36 * HOUR and not made["fees"].value.bounded
    assert made["part"].type.scale == 1 and list(made).index("part") > list(made).index("most")


def test_windows_of_a_record_of_dates_count_days():
    text = "record t/day version 1.0.0\n  key id\n  time at\n  field id: text\n  field at: date\n"
    record, _ = check.check_record(parse(text, "x")[0])
    tree, _ = parse("features t/one version 1.0.0\n  record t/day ^1\nfeature n = count over 2 weeks per id\n", "x")
    made, _ = check.check_features(tree, check.Environment(record))
    assert made.features[0].value.window == ir.Window("trailing", 14, "days")


@pytest.mark.parametrize(
    ("where", "open_"),
    [
        ('counterparty.country = "IR"', True),
        ('counterparty.country = "IR" and counterparty.country is known', False),
        ('counterparty.country = "IR" or counterparty.country is missing', False),
        ('(counterparty.country else "?") = "IR"', False),
        ('channel = "cash"', False),
        ('not (counterparty.country in ("IR", "KP"))', True),
    ],
)
def test_a_where_that_may_stay_open_is_pointed_out(where, open_):
    text = f"features t/one version 1.0.0\n  record bank/transaction ^1\nfeature n = count over 7 days per account where {where}\n"
    assert codes(text) == (["where-undecided"] if open_ else [])


def test_a_rule_sets_own_features():
    made = ruleset('feature n = count over 7 days per account\nrule A-1 "x"\n  when n > 3\n  then score 1\n')
    assert [f.name for f in made.features.features] == ["n"] and [c.name for c in made.features.fields] == ["booked_at", "account"]
    assert made.fields == ()


# --- records and lists -----------------------------------------------------------------------------------------------


def test_a_record():
    text = (
        'record t/card version 1.2.3 "Cards"\n  zone "Europe/London"\n  key file, row\n  time day\n  late up to 2 days\n  arrival by time\n'
    )
    text += "  field file: text\n  field row: integer\n  field day: date\n"
    text += '  field paid: money GBP optional personal "Sum" from "AMOUNT", "Net"\n'
    record, found = check.check_record(parse(text, "x")[0])
    assert not found
    assert (record.key, record.time, record.late, record.arrival, record.zone) == (("file", "row"), "day", 2 * DAY, "time", "Europe/London")
    paid = record.field("paid")
    assert (paid.optional, paid.personal, paid.title, paid.sources, paid.type) == (
        True,
        True,
        "Sum",
        ("AMOUNT", "Net"),
        Type("money", currency="GBP"),
    )


CLAUSES = "record t/card version 1.2.3\n  key id\n  time at\n{}  field id: text\n  field at: datetime\n  field part: {}\n"


@pytest.mark.parametrize("kind", ["integer", "date", "datetime"])
def test_a_record_may_say_which_version_is_newer_and_how_far_ahead_a_time_may_lie(kind):
    plain, _ = check.check_record(parse(CLAUSES.format("", kind), "x")[0])
    assert (plain.revision, plain.ahead) == (None, 366 * DAY)
    record, found = check.check_record(parse(CLAUSES.format("  revision part\n  ahead up to 30 days\n", kind), "x")[0])
    assert (not found, record.revision, record.ahead) == (True, "part", 30 * DAY)


def lists(tmp_path, content, source='from "x.csv" column "iso2"'):
    (tmp_path / "x.csv").write_bytes(content)
    return check.check_list(parse(f"list geo/risk version 1.0.0\n  {source}\n", "x")[0], tmp_path, tmp_path)


def test_a_list_from_a_table(tmp_path):
    made, found = lists(tmp_path, b'\xef\xbb\xbfname,"iso2"\r\n"Iran",IR\r\n\r\nNone,\r\nKorea,KP\r\nKorea,KP\r\n')
    assert not found
    assert (made.name, made.version, made.type, made.values) == ("geo.risk", "1.0.0", TEXT, {"IR", "KP"})


def test_a_list_may_hold_other_values_from_a_day_on(tmp_path):
    made, found = lists(tmp_path, b"", 'values ("a", "b") effective from 1970-01-11, ("a") effective from 1970-01-01 to 1970-01-10')
    assert not found and made.is_dated
    assert made.holds == (((0, 9), frozenset({"a"})), ((10, None), frozenset({"a", "b"})))


def test_entries_of_a_table_may_have_dates_of_their_own(tmp_path):
    table = b"iso2,since,until\nIR,1970-01-11,1970-01-20\nKP,,\nIR,1970-02-01,\nIR,1970-02-01,\nSY,, 1970-01-02 \n"
    made, found = lists(tmp_path, table, 'from "x.csv" column "iso2" valid "since" to "until"')
    (days, entries), *others = made.holds
    assert not found and not others and days == (None, None) and made.values == {"IR", "KP", "SY"}
    assert dict(entries) == {"IR": ((10, 19), (31, None)), "KP": ((None, None),), "SY": ((None, 1),)}
    assert [entries.has("IR", day) for day in (9, 10, 19, 20, 30, 31)] == [False, True, True, False, False, True]


def test_a_table_of_one_column_needs_no_name(tmp_path):
    assert lists(tmp_path, b"iso2\nIR\n", 'from "x.csv"')[0].values == {"IR"}
    assert [p.code for p in lists(tmp_path, b"a,b\n1,2\n", 'from "x.csv"')[1]] == ["unknown-column"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"iso2,name\nIR\n\xff\xfe",
        "iso2\nIR\n".encode("utf-16"),
        b'iso2\n"IR\n',
        b"iso2,iso2\n1,2\n",
        b"\0" * 100,
        b"name,iso2\nKorea\n",
    ],
)
def test_a_table_that_cannot_be_read_is_told(tmp_path, content):
    made, found = lists(tmp_path, content)
    assert made is None and [p.code for p in found] in (["list-unreadable"], ["unknown-column"])


def test_a_table_is_read_again_when_it_changes(tmp_path):
    assert lists(tmp_path, b"iso2\nIR\n")[0].values == {"IR"}
    assert lists(tmp_path, b"iso2\nIR\nKP\n")[0].values == {"IR", "KP"}


def test_a_link_that_leads_outside_is_refused(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "x.csv").write_text("iso2\nIR\n")
    (inside / "x.csv").symlink_to(tmp_path / "x.csv")
    tree, _ = parse('list geo/risk version 1.0.0\n  from "x.csv" column "iso2"\n', "x")
    assert [p.code for p in check.check_list(tree, inside, inside)[1]] == ["path-outside"]


def test_a_written_list_holds_one_type():
    tree, _ = parse("list t/limits version 1.0.0 values (1 USD, 2.50 USD)", "x")
    made, _ = check.check_list(tree)
    assert made.type == USD and made.values == {100, 250}


# --- tests -----------------------------------------------------------------------------------------------------------


def cases(body):
    tree, found = parse(HEAD + body, "x")
    assert not found
    env = environment_of(HEAD + body)
    made, found = check.check_ruleset(tree, env)
    assert made is not None, found
    tests, found = check.check_tests(tree, made, env)
    assert not found
    return tests


RULES = (
    'param limit = 10 USD\nfeature n = count over 7 days per account\nrule A-1 "x"\n  when amount > limit and n > 1\n'
    '  then score 3, flag big, set tier = "high"\n  effective from 2020-02-03\n'
    "decide outcome first match\n  review when flag big\n  approve otherwise\n"
)


def test_a_test_is_typed_and_its_key_and_time_filled_in():
    body = 'test "one" with limit = 5 USD\n  given amount = limit, original = 2 EUR, n = 3, channel missing\n'
    body += (
        "  expect A-1 clear, score 3, score 0 to 3, outcome approve, possible review or approve, robust, no flag big, tier missing, n = 3\n"
    )
    (case,) = cases(RULES + body)
    (row,) = case.rows
    assert case.kind == "test" and set(case.params) == {"limit"}
    assert row.given == {
        "amount": 500, "original": Money(200, "EUR"), "currency": "EUR", "n": 3, "channel": MISSING, "id": "1",
        "booked_at": micros("2020-02-03T05:00:00"),
    }  # fmt: skip
    assert [(one.kind, one.name, one.value) for one in row.expect] == [
        ("rule", "A-1", "clear"), ("score", None, 3), ("range", None, (0, 3)), ("outcome", None, "approve"),
        ("possible", None, frozenset({"review", "approve"})), ("robust", None, True), ("flag", "big", False), ("value", "tier", MISSING),
        ("value", "n", 3),
    ]  # fmt: skip


def test_a_story_keeps_its_order_and_its_history():
    body = 'story "two" with n = 1 history from 2020-01-01\n  | booked_at | amount | => A-1 | score | flag big | tier |\n'
    body += '  | 2020-03-01 09:00 | 9 USD | clear | 0 to 3 | false | missing |\n  | 2020-03-02 09:00 | | hit | 3 | true | "high" |\n'
    (case,) = cases(RULES + body)
    assert (case.kind, case.history) == ("story", 18_262)
    first, second = case.rows
    assert first.given["n"] == 1 and first.given["id"] != second.given["id"] and "amount" not in second.given
    assert [one.value for one in first.expect] == ["clear", (0, 3), False, MISSING]
    assert [one.value for one in second.expect] == ["hit", 3, True, "high"]


def test_examples_are_single_events():
    body = "examples A-1\n  | amount | => A-1 | outcome | possible |\n  | missing | undecided | approve | review or approve |\n"
    (case,) = cases(RULES + body)
    assert (case.kind, case.history, case.rows[0].given["amount"]) == ("examples", None, MISSING)
    assert case.rows[0].expect[2].value == frozenset({"review", "approve"})


def test_a_field_that_holds_several_values_is_given_several():
    body = 'test "one"\n  given tags = ("a", "b")\n  expect A-1 clear\n'
    body += 'examples A-1\n  | tags | => A-1 |\n  | ("a", "b") | clear |\n  | "a" | clear |\n'
    test, examples = cases(RULES + body)
    assert [row.given["tags"] for row in (*test.rows, *examples.rows)] == [("a", "b"), ("a", "b"), ("a",)]
    assert (
        codes(HEAD + RULES + 'test "one"\n  given tags = ("a", 2), amount = (1 USD, 2 USD)\n  expect A-1 clear\n') == ["type-mismatch"] * 2
    )


def test_given_is_checked_like_the_data_it_stands_for():
    body = RULES + 'test "one"\n  given amount = 5 EUR, direction = "up", items = "x"\n  expect A-1 clear\n'
    assert codes(HEAD + body) == ["currency-mismatch", "not-a-choice", "type-mismatch"]


def doubling(count, start='direction = "in"'):
    """Defines that each read the one before twice: the last stands for 2**count conditions."""
    return f"define d0 = {start}\n" + "".join(f"define d{n + 1} = d{n} and d{n}\n" for n in range(count))


def test_defines_that_stand_for_too_much_are_told_and_not_walked():
    head = "features t/one version 1.0.0\n  record bank/transaction ^1\n"
    assert codes(head + doubling(200) + "feature n = count over 7 days per account where d200\n") == ["too-deep"]
    rule = 'rule A-1 "x"\n  when d200 and amount > 3 USD\n  then score 1\n'
    assert codes(HEAD + doubling(200) + rule) == []
    assert codes(HEAD + doubling(200) + rule + "  on missing amount assume 5 USD\n") == ["too-deep"]
    assert codes(HEAD + doubling(200, "items > 5 and items < 3") + rule) == ["never-hits"]


def test_a_define_that_reads_a_feature_is_no_part_of_history():
    head = "features t/one version 1.0.0\n  record bank/transaction ^1\nfeature n = count over 7 days per account\ndefine busy = n > 3\n"
    assert codes(head + "feature m = count over 7 days per account where busy\n") == ["not-in-history"]
    made = features("feature n = count over 7 days per account\ndefine twice = n * 2\ndefine more = twice + 1\nfeature m = more * 2\n")
    assert ir.reads(made["m"].value) == {"n"}
