"""Random syntax trees that an author could have written: whole files of every kind, and expressions."""

from dataclasses import replace

import hypothesis.strategies as st

from engine.lang import ast

NAMES = (
    "amount", "channel", "date", "time", "number", "count_x", "limit", "score", "now", "tier", "key", "list", "table", "zone", "_x", "a1",
)  # fmt: skip
PATHS = (*NAMES, "customer.segment", "a.when", "cash.flags.big", "x.Not", "this.amount", "hour", "VEL-01.n")
OUTCOMES = ("approve", "review", "block", "none_of_them")
RULE_IDS = ("CASH-01", "A-B-C", "X9-2")

names = st.sampled_from(NAMES)
paths = st.sampled_from(PATHS)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"), exclude_characters='"'), max_size=12)
days = st.dates().map(lambda day: day.isoformat())


def words(values):
    return values.map(ast.Word)


def some(strategy, low=0, high=3):
    return st.lists(strategy, min_size=low, max_size=high).map(tuple)


durations = st.sampled_from(["7 days", "1 day", "1.5 hours", "12 months"]).map(lambda text: ast.Literal("duration", text))
literals = st.one_of(
    st.sampled_from(["0", "10_000", "3.50"]).map(lambda text: ast.Literal("number", text)),
    st.sampled_from(["10_000 USD", "9.99 JPY"]).map(lambda text: ast.Literal("money", text)),
    st.sampled_from(["90%", "0.5%"]).map(lambda text: ast.Literal("percent", text)),
    st.sampled_from(["true", "false"]).map(lambda text: ast.Literal("flag", text)),
    durations,
    days.map(lambda text: ast.Literal("date", text)),
    st.just(ast.Literal("datetime", "2026-03-02 09:00")),
    texts.map(lambda text: ast.Literal("text", text)),
)
named = paths.map(ast.Name)
OPERATORS = ("+", "-", "*", "/", "=", "!=", "<", "<=", ">", ">=", "starts with", "contains", "matches")


def _larger(inner):
    choices = some(inner, 1).map(ast.Tuple)
    return st.one_of(
        st.builds(ast.Binary, st.sampled_from(OPERATORS), inner, inner),
        st.builds(ast.Logic, st.sampled_from(["and", "or"]), some(inner, 2, 4)),
        st.builds(ast.Not, inner),
        st.builds(ast.Negate, inner),
        st.builds(ast.Between, inner, inner, inner),
        st.builds(ast.Within, inner, inner, inner),
        st.builds(ast.IsMissing, inner, st.booleans()),
        st.builds(ast.Membership, inner, st.booleans(), choices | named),
        st.builds(ast.Resembles, inner, named, inner),
        st.builds(ast.Else, inner, inner),
        st.builds(ast.Convert, inner, words(st.sampled_from(["EUR", "ALL", "JPY"]))),
        st.builds(ast.Call, paths | st.just("cash.hit"), some(inner, 1)),
        st.builds(ast.Call, st.sampled_from(["hour of", "weekday of"]), st.tuples(inner)),
        st.builds(ast.Quantifier, st.sampled_from(["any", "all", "number"]), named, inner),
        names.map(ast.HasFlag),
    )


expressions = st.recursive(literals | named, _larger, max_leaves=10)

types = st.recursive(
    st.one_of(
        st.sampled_from(["text", "integer", "number", "percent", "flag", "date", "datetime", "duration", "money"]).map(ast.TypeName),
        st.just(ast.TypeName("money", currency="USD")),
        paths.map(lambda path: ast.TypeName("money", by=path)),
        some(texts.map(lambda text: ast.Literal("text", text)), 1).map(lambda choices: ast.TypeName("text", choices=choices)),
    ),
    lambda inner: inner.map(lambda item: ast.TypeName("list", item=item)),
    max_leaves=2,
)
effectives = st.builds(ast.Effective, days, st.none() | days)
titles = st.none() | texts
cites = some(words(texts), high=2)
policies = words(st.sampled_from(["ignore", "alert", "refer"]))

fields = st.builds(ast.Field, words(paths), types, st.booleans(), st.booleans(), st.booleans(), titles, some(texts))
inputs = st.builds(ast.Input, words(names), types, st.booleans(), titles)
params = st.builds(
    ast.Param, words(names), st.none() | types, some(st.builds(ast.Dated, expressions, st.none() | effectives), 1, 3), titles
)
tuples = some(st.builds(ast.Dated, some(expressions, 1, 20).map(ast.Tuple), st.none() | effectives), 1, 3)
list_files = some(st.builds(ast.ListFile, texts, some(texts), titles, st.none() | st.tuples(texts, texts), st.none() | effectives), 1, 3)
lists = st.one_of(
    st.builds(ast.ListDecl, words(names), tuples, cites=titles),
    st.builds(ast.ListDecl, words(names), files=list_files, cites=titles),
)
listings = st.one_of(st.builds(ast.ListDecl, st.none(), tuples), st.builds(ast.ListDecl, st.none(), files=list_files))
defines = st.builds(ast.Define, words(names), titles, expressions)

lengths = durations | names.map(ast.Name)
numbers = st.sampled_from(["1", "10", "1_000"]).map(lambda text: ast.Literal("number", text)) | names.map(ast.Name)
periods = st.sampled_from(["day", "week", "month", "quarter", "year"])
windows = st.one_of(
    st.builds(ast.Window, st.sampled_from(["trailing", "before"]), lengths),
    st.builds(ast.Window, st.just("lagged"), lengths, lengths),
    st.builds(ast.Window, st.just("events"), numbers),
    st.builds(ast.Window, st.just("full"), st.none() | numbers, period=periods),
    st.builds(ast.Window, st.just("calendar"), period=periods),
    st.builds(ast.Window, st.just("business"), closing=words(st.sampled_from(["9:00", "14:00"])), holidays=st.none() | named),
    st.builds(ast.Window, st.just("since"), field=named),
    st.builds(ast.Window, st.just("since event"), event=expressions),
)
keys = st.one_of(st.tuples(some(named, 1), st.just(())), st.tuples(some(named, 1), some(named, 1)))
needs = st.one_of(
    st.none(),
    st.builds(ast.Needs, st.just("history"), durations),
    st.builds(ast.Needs, st.just("events"), st.sampled_from(["1", "12"]).map(lambda text: ast.Literal("number", text))),
)
FUNCTIONS = ("sum", "mean", "min", "max", "stddev", "first", "last", "count of distinct", "most repeated")


def _aggregates(measures):
    """Aggregates of measures, each a function, what it takes, what is part and what it is a part of."""
    return st.builds(
        lambda measure, window, key, where, needs: ast.Aggregate(*measure[:2], window, key[0], where, needs, key[1], *measure[2:]),
        measures,
        windows,
        keys,
        st.none() | expressions,
        needs,
    )


def _measures(of):
    return st.tuples(st.sampled_from(FUNCTIONS), of, st.none(), st.none())


measures = st.one_of(
    st.sampled_from([("count", None, None, None), ("time since last", None, None, None)]),
    _measures(expressions),
    st.tuples(st.just("share"), expressions, expressions, expressions),
)
aggregates = _aggregates(measures | _measures(_aggregates(measures)))
networks = st.builds(
    lambda cycles, ends, window, where, needs, effort: ast.Network(
        "cycles" if cycles else "middlemen", ends, window, *(cycles or (None, None, None)), where, needs, effort
    ),
    st.none() | st.tuples(numbers, st.none(), st.none()) | st.tuples(numbers, expressions, expressions),
    st.tuples(named, named),
    windows,
    st.none() | expressions,
    needs,
    st.none() | numbers,
)
features = st.builds(ast.Feature, words(names), titles, aggregates | networks | expressions)

effects = st.one_of(
    st.builds(ast.Effect, st.just("score"), value=expressions),
    st.builds(ast.Effect, st.just("flag"), words(names)),
    st.builds(ast.Effect, st.just("set"), words(names), expressions),
    st.builds(ast.Effect, st.just("outcome"), words(st.sampled_from(OUTCOMES))),
)
rules = st.builds(
    ast.Rule,
    words(st.sampled_from(RULE_IDS)),
    texts,
    cites,
    st.sampled_from([None, "low", "medium", "high", "critical"]),
    st.none() | expressions,
    some(st.builds(ast.Unless, expressions, texts), high=2),
    some(effects),
    st.none() | texts.map(ast.Template),
    st.none() | policies,
    some(st.builds(ast.Assume, words(paths), expressions), high=2),
    st.none() | effectives,
)
abouts = st.tuples(st.none() | expressions, cites, st.none() | words(texts))
nevers = st.builds(lambda claim, about: ast.Never(claim, *about), expressions, abouts)
trends = st.builds(
    lambda more, of, lowers, what, about: ast.Trend(more, of, lowers, what, *about),
    st.booleans(),
    words(paths),
    st.booleans(),
    words(paths | st.just("outcome")),
    abouts,
)
exemptions = st.builds(
    ast.Exemption,
    words(st.sampled_from(RULE_IDS)),
    texts,
    some(words(st.sampled_from(RULE_IDS)), 1),
    st.none() | expressions,
    st.none() | words(days),
    st.none() | words(days),
    st.none() | words(texts),
    st.none() | words(texts),
    cites,
)
values = expressions | some(expressions, 2, 3).map(ast.Tuple)
slots = st.builds(ast.Slot, words(names), types | types.map(lambda type_: ast.TypeName("field", item=type_)), st.none() | values)
templates = st.builds(
    lambda name, title, slots, body, rule: ast.RuleTemplate(name, title, slots, body, replace(rule, id=ast.Word(""))),
    words(names),
    titles,
    some(slots, 1),
    some(defines | features, high=2),
    rules,
)
made = st.builds(
    ast.MadeRule, words(st.sampled_from(RULE_IDS)), titles, words(paths), some(st.builds(ast.Binding, words(paths), values), high=3)
)
decisions = st.builds(
    ast.Decide,
    some(st.builds(ast.DecideRow, words(st.sampled_from(OUTCOMES)), st.none() | expressions), 1),
    st.none() | words(st.sampled_from(OUTCOMES)),
)

readable = words(st.sampled_from([path for path in PATHS if path != "score"]))
states = words(st.sampled_from(['cash.hit("CASH-01")', 'a.hit("A-B-C")']))
bindings = st.one_of(
    st.builds(ast.Binding, readable | states, st.none() | values),
    st.builds(ast.Binding, readable | states, expressions, expressions),
    st.builds(ast.Binding, readable, st.none(), clear=st.just(True)),
)
overrides = some(bindings, high=2)
expectations = st.one_of(
    st.builds(ast.Expectation, st.just("rule"), words(st.sampled_from(RULE_IDS)), st.sampled_from(["hit", "clear", "undecided"])),
    st.builds(ast.Expectation, st.just("silenced"), words(st.sampled_from(RULE_IDS)), names=some(words(st.sampled_from(RULE_IDS)), high=1)),
    st.builds(ast.Expectation, st.just("score"), low=expressions, high=st.none() | expressions),
    st.builds(ast.Expectation, st.just("outcome"), words(st.sampled_from(OUTCOMES))),
    st.builds(ast.Expectation, st.just("possible"), names=some(words(st.sampled_from(OUTCOMES)), 1)),
    st.just(ast.Expectation("robust")),
    st.builds(ast.Expectation, st.sampled_from(["flag", "no flag"]), words(names)),
    st.builds(ast.Expectation, st.just("value"), readable, low=expressions),
    st.builds(ast.Expectation, st.just("missing"), readable),
)
tests = st.builds(ast.Test, words(texts), overrides, some(bindings, high=6), some(expectations, 1, 6))

cells = st.sampled_from(["9_500 USD", "missing", "hit", "", "x + 1", "review or block", '"a | b # c"']).map(ast.Cell) | texts.map(
    lambda text: ast.Cell(f'"{text}"')
)


@st.composite
def grids(draw):
    """A header and rows of one width, at least one cell of it expected."""
    before, after = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    row = st.builds(
        ast.Row,
        st.lists(cells, min_size=before, max_size=before).map(tuple),
        st.lists(cells, min_size=after, max_size=after).map(tuple),
    )
    return draw(row), draw(some(row))


stories = st.builds(
    lambda title, params, history, grid: ast.Story(title, params, history, *grid),
    words(texts),
    overrides,
    st.sampled_from([None, "complete", "2026-01-01"]),
    grids(),
)
examples = st.builds(lambda rule, grid: ast.Examples(rule, *grid), words(st.sampled_from(RULE_IDS)), grids())

sheets = st.builds(ast.Sheet, texts, st.none() | texts, st.none() | texts)
tables = st.one_of(
    st.builds(
        lambda name, title, match, cites, grid: ast.Table(name, title, match, cites, *grid),
        words(names),
        titles,
        st.sampled_from(["unique", "first", "all"]),
        cites,
        grids(),
    ).filter(lambda table: table.rows),
    st.builds(ast.Table, words(names), titles, st.sampled_from(["unique", "first", "all"]), cites, source=sheets),
)

declarations = st.one_of(
    fields,
    inputs,
    params,
    lists,
    defines,
    features,
    rules,
    templates,
    made,
    exemptions,
    tables,
    decisions,
    nevers,
    trends,
    tests,
    stories,
    examples,
)

COMPONENTS = ("aml/cash", "bank/transaction", "a/b/c")
RANGES = (None, "^1", "~1.4.2", "1.0.0")
columns = st.builds(ast.TableColumn, words(names), types, st.booleans(), titles, some(texts))
uses = st.builds(
    ast.Uses, st.sampled_from(["features", "list", "rates", "templates"]), st.sampled_from(COMPONENTS), st.sampled_from(RANGES)
) | st.builds(
    ast.Uses,
    st.just("table"),
    st.sampled_from(COMPONENTS),
    st.sampled_from(RANGES),
    some(paths.map(ast.Name), 1),
    st.none() | words(names),
)
records = st.builds(ast.Uses, st.just("record"), st.sampled_from(COMPONENTS), st.sampled_from(RANGES))

files = st.builds(
    ast.File,
    st.sampled_from(["ruleset", "record", "features", "list", "table", "rates", "templates"]),
    words(st.sampled_from(COMPONENTS)),
    words(st.just("1.4.0")),
    titles,
    titles,
    cites,
    st.builds(lambda record, rest: (*record, *rest), some(records, high=1), some(uses)),
    st.none() | policies,
    st.none() | words(texts),
    some(words(paths)),
    st.none() | words(paths),
    st.none() | words(paths),
    st.booleans(),
    st.none() | durations,
    st.none() | durations,
    st.none() | words(paths),
    st.none(),
    st.none() | st.builds(ast.Scoring, st.sampled_from(["sum", "max"]), st.none() | expressions) | st.builds(ast.Scoring, most=expressions),
    some(st.builds(ast.Floor, expressions, st.none() | expressions), high=2),
    st.none() | words(texts),
    st.just(()) | st.tuples(words(texts), words(texts)),
    st.none() | words(texts),
    st.none() | words(st.sampled_from(["EUR", "ALL"])),
    st.none() | durations,
    some(declarations, high=5) | some(columns, 1, 3) | st.tuples(listings),
)
"""Whole files; what makes no sense in a file of that kind is there too, for the formatter must not care."""
