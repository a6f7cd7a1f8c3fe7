"""Features over history in the text: every aggregate, window and key, what it is in the tree and what it means when typed."""

import json
from dataclasses import replace

import pytest

from engine.features.spec import canonical
from engine.lang import ast, check, ir
from engine.lang.format import format_file
from engine.lang.parse import parse
from engine.values import DAY, DURATION, HOUR, INTEGER, MINUTE, NUMBER, PERCENT, TEXT, Type

RECORD = """record bank/payment version 1.0.0
  zone "Europe/Berlin"
  key id
  time booked_at
  field id: text
  field booked_at: datetime
  field opened_on: date optional
  field seen_at: datetime
  field account: text
  field payer: text
  field payee: text
  field direction: one of ("in", "out")
  field channel: text
  field amount: money USD not negative
  field change: money USD
  field currency: text
  field original: money by currency
  field items: integer not negative
  field rate: number
  field part: percent
  field delay: duration
  field urgent: flag
  field merchant: text optional
"""
DATES = (
    "record bank/day version 1.0.0\n  key id\n  time day\n  field id: text\n  field day: date\n  field at: datetime\n  field due: date\n"
)
HOLIDAYS = "list bank/holidays version 2026.1.0\n  values {}\n"
HEAD = "features t/one version 1.0.0\n  record bank/payment ^1\n"
USD, COUNT = Type("money", currency="USD"), Type("integer", interval=True)
WEEK = ir.Window("trailing", 7 * DAY)


def read(body):
    tree, problems = parse(HEAD + body, "x")
    assert tree is not None, problems
    return tree


def checked(body, record=RECORD, holidays=None, folder=None):
    lists = {}
    if holidays is not None:
        lists["bank/holidays"], problems = check.check_list(parse(holidays, "holidays")[0], folder, folder)
        assert lists["bank/holidays"] is not None, problems
    env = check.Environment(check.check_record(parse(record, "record")[0])[0], {}, lists, folder, folder)
    return check.check_features(read(body), env)


def feature_set(body, **around):
    made, problems = checked(body, **around)
    assert made is not None, problems
    assert not problems
    return made


def feature(body, **around):
    return feature_set(body, **around).features[-1]


def codes(body, **around):
    return [problem.code for problem in checked(body, **around)[1]]


def name(path):
    return ast.Name(path)


def number(text):
    return ast.Literal("number", text)


def duration(text):
    return ast.Literal("duration", text)


# --- trees -----------------------------------------------------------------------------------------------------------

WINDOWS = [
    ("7 days", ast.Window("trailing", duration("7 days"))),
    ("span", ast.Window("trailing", name("span"))),
    ("7 days before this", ast.Window("before", duration("7 days"))),
    ("span before this", ast.Window("before", name("span"))),
    ("30 days ending 30 days ago", ast.Window("lagged", duration("30 days"), duration("30 days"))),
    ("span ending lag ago", ast.Window("lagged", name("span"), name("lag"))),
    ("last 10 events", ast.Window("events", number("10"))),
    ("last 1 event", ast.Window("events", number("1"))),
    ("last many events", ast.Window("events", name("many"))),
    ("last full week", ast.Window("full", period="week")),
    ("last 1 full day", ast.Window("full", number("1"), period="day")),
    ("last 12 full months", ast.Window("full", number("12"), period="month")),
    ("last many full quarters", ast.Window("full", name("many"), period="quarter")),
    *((f"calendar {period}", ast.Window("calendar", period=period)) for period in ("day", "week", "month", "quarter", "year")),
    ("business day closing at 14:00", ast.Window("business", closing=ast.Word("14:00"))),
    ("business day closing at 9:30 except a.b", ast.Window("business", closing=ast.Word("9:30"), holidays=name("a.b"))),
    ("since opened_on", ast.Window("since", field=name("opened_on"))),
    ("since last event where (urgent or x)", ast.Window("since event", event=ast.Logic("or", (name("urgent"), name("x"))))),
]


@pytest.mark.parametrize(("text", "window"), WINDOWS, ids=[text for text, _ in WINDOWS])
def test_windows_are_read_and_written(text, window):
    written = f"feature f = count over {text} per account"
    tree = read(written)
    assert tree.declarations[0].value == ast.Aggregate("count", None, window, (name("account"),))
    assert format_file(tree).splitlines()[-1] == written


ENDS, TEN = (name("payer"), name("payee")), ast.Window("trailing", duration("10 days"))
MEASURES = [
    ("count", ("count", None)),
    ("time since last", ("time since last", None)),
    *(
        (f"{word} of a + b", (word, ast.Binary("+", name("a"), name("b"))))
        for word in ("sum", "mean", "min", "max", "stddev", "first", "last")
    ),
    ("count of distinct a", ("count of distinct", name("a"))),
    ("most repeated a", ("most repeated", name("a"))),
    ("mean of time", ("mean", name("time"))),
    ("last of last", ("last", name("last"))),
]


@pytest.mark.parametrize(("text", "measure"), MEASURES, ids=[text for text, _ in MEASURES])
def test_measures_are_read_and_written(text, measure):
    written = f"feature f = {text} over 7 days per account"
    tree = read(written)
    window = ast.Window("trailing", duration("7 days"))
    assert tree.declarations[0].value == ast.Aggregate(*measure, window, (name("account"),))
    assert format_file(tree).splitlines()[-1] == written


def test_a_share_has_its_part_and_what_it_is_a_part_of():
    value = read("feature f = share of a where b and c among d or e over 7 days per x where g").declarations[0].value
    assert (value.function, value.of, value.where) == ("share", name("a"), name("g"))
    assert value.part == ast.Logic("and", (name("b"), name("c")))
    assert value.among == ast.Logic("or", (name("d"), name("e")))


def test_keys_may_be_matched_in_other_fields():
    value = read("feature f = count over 7 days per payer, matched as payer or payee where x needs 2 events").declarations[0].value
    assert (value.per, value.matched) == ((name("payer"),), (name("payer"), name("payee")))
    assert (value.where, value.needs) == (name("x"), ast.Needs("events", number("2")))


def test_words_of_windows_and_aggregates_stay_good_names():
    names = ("time", "first", "last", "since", "event", "events", "full", "before", "this_one", "share", "most", "mean", "matched", "ago")
    for word in names:
        assert read(f"feature f = {word} * 2").declarations[0].value == ast.Binary("*", name(word), number("2"))
        value = read(f"feature {word} = sum of ({word} + 1) over since {word} per {word}, {word}").declarations[0].value
        assert (value.of.left, value.window.field, value.per) == (name(word), name(word), (name(word), name(word)))


def test_long_aggregates_are_broken_where_their_parts_begin():
    text = (
        "feature cash_share\n"
        '  = share of amount where channel = "cash" and amount > 10_000 USD among direction = "in"\n'
        "    over since last event where (channel = this.channel) per account, payer where urgent\n"
        "    needs 12 months of history\n"
    )
    tree = read(text)
    assert format_file(tree).endswith("\n\n" + text.replace(" where urgent\n", "\n    where urgent\n"))


NETWORKS = [
    ("count of cycles from payer to payee of up to 4 hops over 10 days", ast.Network("cycles", ENDS, TEN, number("4"))),
    ("count of cycles from payer to payee of up to most hops over 10 days", ast.Network("cycles", ENDS, TEN, name("most"))),
    (
        "count of cycles from payer to payee of up to 4 hops over 10 days with amount within 10%",
        ast.Network("cycles", ENDS, TEN, number("4"), name("amount"), ast.Literal("percent", "10%")),
    ),
    ("count of middlemen from payer to payee over 10 days", ast.Network("middlemen", ENDS, TEN)),
    (
        "count of middlemen from payer to payee over 10 days where x needs 2 months of history looking at no more than 500 events",
        ast.Network("middlemen", ENDS, TEN, where=name("x"), needs=ast.Needs("history", duration("2 months")), effort=number("500")),
    ),
]


@pytest.mark.parametrize(("text", "network"), NETWORKS, ids=[text for text, _ in NETWORKS])
def test_networks_are_read_and_written(text, network):
    tree = read(f"feature f = {text}")
    assert tree.declarations[0].value == network
    assert "".join(format_file(tree).splitlines(keepends=True)[2:]).split() == f"feature f = {text}".split()


def test_a_long_network_is_broken_where_its_parts_begin():
    text = (
        "feature circles\n"
        "  = count of cycles from payer to payee of up to 4 hops\n"
        "    over 10 days with amount within 10%\n"
        '    where channel = "wire"\n'
        "    needs 3 months of history\n"
        "    looking at no more than 5_000 events\n"
    )
    assert format_file(read(text)).endswith("\n\n" + text)


def test_words_of_networks_stay_good_names():
    for word in ("hops", "cycles", "middlemen", "looking", "up", "more"):
        assert read(f"feature f = {word} * 2").declarations[0].value == ast.Binary("*", name(word), number("2"))
        text = "feature X = count of cycles from X to X of up to X hops over X with X within X".replace("X", word)
        one = name(word)
        assert read(text).declarations[0].value == ast.Network("cycles", (one, one), ast.Window("trailing", one), one, one, one)


# --- the page's own examples -----------------------------------------------------------------------------------------

PAGE = [
    "feature monthly = mean of (sum of amount over calendar month per account) over last 12 full months per account"
    " needs 12 months of history",
    'feature cash_share = share of amount where channel = "cash" among direction = "in" over last full week per account',
    'feature out_after_in = sum of amount over since last event where (direction = "in") per account where direction = "out"',
    "feature f = count over 7 days before this per account",
    "feature f = count over 30 days ending 30 days ago per account",
    "feature f = mean of amount over last 10 events per account needs 12 months of history",
    "feature f = mean of amount over 30 days per account needs 12 events",
    "list holidays = (2026-01-01, 2026-12-25) feature f = count over business day closing at 14:00 except holidays per account",
    "feature f = count over since opened_on per account",
    "feature f = count over 7 days per payer, matched as payer or payee",
    "feature f = count over 7 days per account where amount = this.amount",
    "feature f = time since last over 90 days per account",
    "feature f = most repeated channel over 7 days per account",
    "feature f = stddev of amount over 7 days per account",
    "param span = 7 days feature f = count over span per account",
]


@pytest.mark.parametrize("text", PAGE)
def test_the_examples_of_the_page_mean_something(text):
    assert feature(text).name


# --- windows, typed --------------------------------------------------------------------------------------------------

PARAMS = "param span = 7 days\nparam lag = 2 months\nparam many = 3\n"
TYPED_WINDOWS = [
    ("36 hours", ir.Window("trailing", 36 * HOUR)),
    ("1 year", ir.Window("trailing", 12, "months")),
    ("100 years", ir.Window("trailing", 1200, "months")),
    ("7 days before this", ir.Window("before", 7 * DAY)),
    ("span ending lag ago", ir.Window("lagged", 7 * DAY, "microseconds", 2, "months")),
    ("lag ending span ago", ir.Window("lagged", 2, "months", 7 * DAY, "microseconds")),
    ("last many events", ir.Window("events", 3, "events")),
    ("last full week", ir.Window("full", 1, period="week")),
    ("last many full years", ir.Window("full", 3, period="year")),
    ("calendar quarter", ir.Window("calendar", period="quarter")),
    ("business day closing at 14:30", ir.Window("business", closing=14 * HOUR + 30 * MINUTE)),
    ("business day closing at 24:00", ir.Window("business", closing=DAY)),
    ("since opened_on", ir.Window("since", field="opened_on")),
    ("since seen_at", ir.Window("since", field="seen_at")),
]


@pytest.mark.parametrize(("text", "window"), TYPED_WINDOWS, ids=[text for text, _ in TYPED_WINDOWS])
def test_what_a_window_comes_to(text, window):
    used = "".join(line + "\n" for line in PARAMS.splitlines() if line.split()[1] in text.split())
    made = feature(f"{used}feature f = count over {text} per account").value
    assert made == ir.Aggregate("count", None, window, ("account",), None)


def test_a_window_since_an_event_has_a_condition_on_rows():
    incoming = 'define incoming = direction = "in"\n'
    made = feature(incoming + "feature f = count over since last event where (incoming and channel = this.channel) per account")
    window = made.value.window
    assert window.kind == "since event" and ir.reads(window.event) == {"direction", "channel", "this.channel"}


DATE_WINDOWS = [
    ("2 weeks", ir.Window("trailing", 14, "days")),
    ("48 hours before this", ir.Window("before", 2, "days")),
    ("1 week ending 1 month ago", ir.Window("lagged", 7, "days", 1, "months")),
    ("1 week ending 3 days ago", ir.Window("lagged", 7, "days", 3, "days")),
    ("calendar month", ir.Window("calendar", period="month")),
    ("last 2 full weeks", ir.Window("full", 2, period="week")),
    ("since due", ir.Window("since", field="due")),
    ("last 5 events", ir.Window("events", 5, "events")),
]


@pytest.mark.parametrize(("text", "window"), DATE_WINDOWS, ids=[text for text, _ in DATE_WINDOWS])
def test_windows_of_a_record_of_dates_count_dates(text, window):
    made = feature(f"feature f = count over {text} per id needs 2 weeks of history", record=DATES).value
    assert (made.window, made.needs) == (window, ("history", 14, "days"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("36 hours", "bad-window"),
        ("7 days ending 1 hour ago", "bad-window"),
        ("business day closing at 14:00", "window-time"),
        ("since at", "window-time"),
        ("7 days per id needs 1 hour of history", "bad-needs"),
    ],
)
def test_a_record_of_dates_has_no_time_of_day(text, code):
    rest = "" if " per " in text else " per id"
    assert codes(f"feature f = count over {text}{rest}", record=DATES) == [code]


def test_holidays_come_from_any_list_of_dates(tmp_path):
    text = "uses list bank/holidays ^2026\nfeature f = count over business day closing at 14:00 except bank.holidays per account"
    days = frozenset({20_454, 20_812})
    assert feature(text, holidays=HOLIDAYS.format("(2026-01-01, 2026-12-25)")).value.window.holidays == days
    assert feature(text, holidays=HOLIDAYS.format('("2026-01-01", "2026-12-25")')).value.window.holidays == days
    (tmp_path / "days.csv").write_text("day\n2026-01-01\n2026-12-25\n")
    made = feature(text, holidays='list bank/holidays version 2026.1.0\n  from "days.csv" column "day"\n', folder=tmp_path)
    assert made.value.window.holidays == days
    local = 'list closed from "days.csv"\nfeature f = count over business day closing at 14:00 except closed per account'
    assert feature(local, folder=tmp_path).value.window.holidays == days


# --- networks, typed -------------------------------------------------------------------------------------------------


def test_what_a_network_comes_to():
    text = "param far = 12.5%\nfeature f = count of cycles from account to merchant of up to 3 hops over span with amount * 2 within far"
    made = feature(f"param span = 7 days\n{text} where urgent needs 1 month of history looking at no more than 500 events")
    network, week = ir.Network(effort=500, hops=3, within=12_500_000), ir.Window("trailing", 7 * DAY)
    assert made.value.of.type.kind == "money" and made.type == COUNT
    assert replace(made.value, of=None, where=None) == ir.Aggregate(
        "cycles", None, week, ("account", "merchant"), None, needs=("history", 1, "months"), network=network
    )


def test_a_network_looks_at_ten_thousand_events_where_nothing_is_said():
    assert feature("feature f = count of middlemen from account to merchant over 7 days").value.network == ir.Network(effort=10_000)


def test_what_a_network_means_is_in_its_fingerprint():
    text = "feature f = count of cycles from account to merchant of up to {} hops over 7 days with amount within {}"
    marks = {canonical_text(feature(text.format(*parts)).value) for parts in [("3", "10%"), ("4", "10%"), ("3", "11%")]}
    more = feature(text.format("3", "10%") + " looking at no more than 9_999 events").value
    assert len(marks | {canonical_text(more)}) == 4
    assert canonical_text(feature("param p = 10%\n" + text.format("3", "p")).value) in marks


def canonical_text(value):
    return json.dumps(canonical(value))


# --- aggregates, typed -----------------------------------------------------------------------------------------------

RESULTS = [
    ("count", COUNT), ("count of distinct merchant", COUNT), ("count of distinct urgent", COUNT), ("most repeated channel", INTEGER),
    ("time since last", DURATION),
    ("sum of amount", Type("money", currency="USD", interval=True)), ("sum of change", USD), ("sum of items", COUNT),
    ("sum of rate", NUMBER),
    ("sum of original", Type("money", by="currency")), ("sum of amount * 12.5%", Type("money", currency="USD", interval=True)),
    ("mean of amount", USD), ("mean of items", NUMBER), ("mean of rate", NUMBER), ("mean of part", PERCENT), ("mean of delay", DURATION),
    ("mean of original", Type("money", by="currency")), ("mean of amount * 12.5%", USD),
    ("stddev of amount", USD), ("stddev of items", NUMBER), ("stddev of rate", NUMBER), ("stddev of part", PERCENT),
    ("min of amount", Type("money", currency="USD", interval=True)), ("max of items", COUNT),
    ("min of booked_at", Type("datetime", interval=True)),
    ("max of direction", Type("text", choices=("in", "out"), interval=True)),
    ("first of direction", Type("text", choices=("in", "out"))), ("last of channel", TEXT), ("last of urgent", Type("flag")),
    ("first of amount / 3", USD), ("last of items", INTEGER),
    ('share of amount where urgent among direction = "in"', NUMBER), ("share of 1 where urgent among true", NUMBER),
    ("share of original where urgent among true", NUMBER),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), RESULTS, ids=[text for text, _ in RESULTS])
def test_the_type_of_an_aggregate(text, wanted):
    assert feature(f"feature f = {text} over 7 days per account").type == wanted


def test_functions_have_their_names_and_their_conditions():
    made = feature("feature f = count of distinct channel over 7 days per account, payer where amount > this.amount needs 3 events").value
    assert (made.function, made.per, made.window, made.needs) == ("distinct", ("account", "payer"), WEEK, ("events", 3, ""))
    assert ir.reads(made.where) == {"amount", "this.amount"} and made.matched == () and made.among is None
    assert feature("feature f = sum of items over 7 days per account").value.bounded
    assert not feature("feature f = mean of items over 7 days per account").value.bounded
    assert feature("feature f = count over 7 days per account needs 1 year of history").value.needs == ("history", 12, "months")


def test_a_share_is_of_what_stands_among_and_behind_its_key():
    made = feature('feature f = share of amount where urgent among direction = "in" over 7 days per account where items > this.items').value
    assert (made.function, ir.reads(made.where), ir.reads(made.among)) == ("share", {"urgent"}, {"direction", "items", "this.items"})
    assert isinstance(made.among, ir.And) and len(made.among.items) == 2


def test_a_key_may_stand_in_several_fields():
    made = feature("feature f = count over 7 days per payer, matched as payer or payee").value
    assert (made.per, made.matched) == (("payer",), ("payer", "payee"))
    assert feature("feature f = count over 7 days per payer, matched as payee").value.matched == ("payee",)


def test_this_event_may_be_asked_inside_a_quantifier_and_by_defines_outside():
    record = RECORD + "  field tags: list of text\n"
    made = feature("feature f = count over 7 days per account where any of tags where (it = this.channel)", record=record)
    assert ir.reads(made.value.where) == {"tags", "this.channel"}


def test_the_features_say_which_fields_they_read():
    made = feature_set(
        "feature a = count over since opened_on per payer, matched as payee where channel = this.merchant and this.merchant is known\n"
        "feature b = sum of original over since last event where (urgent) per account\n"
        'feature c = mean of (share of amount where items = 1 among direction = "in" over calendar day per id)\n'
        "  over last 2 full days per id\n"
    )
    assert {column.name for column in made.fields} == {
        "booked_at", "opened_on", "payer", "payee", "channel", "merchant", "original", "currency", "urgent", "account", "amount", "items",
        "direction", "id",
    }  # fmt: skip


# --- one inside another ----------------------------------------------------------------------------------------------

NESTED = [
    ("mean of (sum of amount over calendar month per account)", "last 12 full months", USD, False),
    ("sum of (sum of amount over calendar month per account)", "last 12 full months", Type("money", currency="USD", interval=True), True),
    ("sum of (sum of change over calendar month per account)", "last 12 full months", USD, False),
    ("sum of (count over calendar day per account)", "last full quarter", COUNT, True),
    ("sum of (mean of items over calendar day per account)", "last full week", Type("number", interval=True), True),
    ("sum of (mean of change over calendar day per account)", "last full week", USD, False),
    ("mean of (count over calendar day per account)", "last 30 full days", NUMBER, False),
    ("mean of (count over calendar day per account)", "30 days", NUMBER, False),
    ("mean of (count over calendar month per account)", "31 days ending 1 day ago", NUMBER, False),
    ("mean of (count over calendar quarter per account)", "3 months before this", NUMBER, False),
    ("mean of (count over calendar week per account)", "since opened_on", NUMBER, False),
    ("max of (count over calendar quarter per account where urgent)", "calendar year", COUNT, False),
    ("stddev of (most repeated channel over calendar week per account)", "last 8 full weeks", NUMBER, False),
    ("count of distinct (last of channel over calendar day per account)", "calendar month", COUNT, False),
    ("most repeated (first of channel over calendar day per account)", "calendar month", INTEGER, False),
    ("last of (first of direction over calendar year per account)", "last 2 full years", Type("text", choices=("in", "out")), False),
    (
        "min of (share of amount where urgent among true over calendar day per account)",
        "last full month",
        Type("number", interval=True),
        False,
    ),
]


@pytest.mark.parametrize(("text", "window", "type_", "bounded"), NESTED, ids=[text for text, *_ in NESTED])
def test_an_aggregate_of_periods(text, window, type_, bounded):
    made = feature(f"feature f = {text} over {window} per account")
    assert (made.type, made.value.bounded, made.value.of, made.value.where) == (type_, bounded, None, None)
    assert made.value.inner.window.kind == "calendar" and made.value.inner.per == ("account",)


def test_the_page_s_nested_aggregate_as_a_whole():
    inner = ir.Aggregate("sum", ir.Read("amount", type=USD), ir.Window("calendar", period="month"), ("account",), None, bounded=True)
    year = ir.Window("full", 12, period="month")
    needs = ("history", 12, "months")
    assert feature(PAGE[0]).value == ir.Aggregate("mean", None, year, ("account",), None, inner=inner, needs=needs)


def test_matched_fields_are_those_of_both():
    text = "feature f = mean of (count over calendar day per payer, matched as payer or payee) over last 7 full days per payer"
    for value in (feature(text).value, feature(text + ", matched as payee or payer").value):
        assert set(value.matched) == {"payer", "payee"} and value.matched == value.inner.matched


def test_features_over_history_may_be_joined_by_formulas():
    made = feature_set(
        "feature now_ = sum of amount over 7 days per account\n"
        "feature before_ = mean of (sum of amount over calendar week per account) over last 8 full weeks per account\n"
        "feature jump = now_ / before_\n"
    ).features
    assert [one.name for one in made][-1] == "jump" and made[-1].type == Type("number", interval=True)


# --- what analysts look for ------------------------------------------------------------------------------------------

SCENARIOS = {
    "money in and most of it out again": (
        'feature came = sum of amount over 3 days per account where direction = "in"\n'
        'feature went = sum of amount over 3 days per account where direction = "out"\n',
        "came >= 10_000 USD and went >= 80% * came",
    ),
    "dormant, then active": (
        "feature quiet = time since last over 2 years per account\nfeature turned_over = sum of amount over 7 days per account\n",
        "quiet > 180 days and turned_over > 5_000 USD",
    ),
    "many senders": ("feature senders = count of distinct payer over calendar day per payee\n", "senders > 10"),
    "the first payment to somebody": (
        "feature before_ = count over 1 year before this per payer where payee = this.payee\n",
        "before_ = 0",
    ),
    "the same amount again and again": (
        "feature most = most repeated amount over 30 days per payer, matched as payer or payee\n",
        "most >= 5",
    ),
    "far above the usual": (
        "feature usual = mean of amount over 90 days ending 1 day ago per account needs 20 events\n"
        "feature spread = stddev of amount over 90 days ending 1 day ago per account needs 20 events\n",
        "amount > usual + 3 * spread",
    ),
    "above the own peak": (
        "feature peak = max of (sum of amount over calendar month per account) over last 12 full months per account\n"
        "feature month = sum of amount over calendar month per account\n",
        "month > 2 * peak",
    ),
    "mostly cash": (
        'feature cash = share of amount where channel = "cash" among direction = "in" over last full week per account\n',
        "cash >= 30%",
    ),
    "cash of a business day": (
        "list closed = (2026-01-01, 2026-12-25)\n"
        'feature cash = sum of amount over business day closing at 14:00 except closed per account where channel = "cash"\n',
        "cash > 10_000 USD",
    ),
    "refused, then taken": (
        "feature tries = count over since last event where (not urgent) per account where channel = this.channel\n",
        "tries >= 3 and urgent",
    ),
}


@pytest.mark.parametrize("features, condition", SCENARIOS.values(), ids=SCENARIOS)
def test_what_analysts_look_for_can_be_said(features, condition):
    text = f'ruleset t/two version 1.0.0\n  record bank/payment ^1\n{features}rule A-1 "x"\n  when {condition}\n  then score 1\n'
    tree, problems = parse(text, "x")
    assert not problems
    made, problems = check.check_ruleset(tree, check.Environment(check.check_record(parse(RECORD, "record")[0])[0]))
    assert made is not None and not problems, problems


# --- mistakes that need this record ----------------------------------------------------------------------------------


def test_a_condition_no_override_could_save_is_told_and_a_param_of_a_test_is_not():
    body = "param least = 5\nfeature f = count over 7 days per account where items > least and items < 3\n"
    assert codes(body) == ["where-never"]
    text = "ruleset t/two version 1.0.0\n  record bank/payment ^1\n" + body + 'rule A-1 "x"\n  when f > 1\n  then score 1\n'
    tree, problems = parse(text.replace("= 5", "= 1"), "x")
    assert not problems
    env = check.Environment(check.check_record(parse(RECORD, "record")[0])[0])
    assert check.check_ruleset(tree, env, {"least": number("5")})[0] is not None


def test_deeply_nested_aggregates_are_answered():
    deep = "feature f = " + "sum of (" * 50 + "count" + " over calendar day per account)" * 50 + " over last 2 full days per account"
    assert set(codes(deep)) == {"nested-aggregate"}
    assert [problem.code for problem in parse(HEAD + deep.replace("sum of (" * 50, "sum of (" * 500), "x")[1]] == ["too-deep"]
