"""Rules made from templates are the rules one would have written out, and say where they come from."""

import datetime as dt
import random
from dataclasses import replace

import polars as pl

from engine import Engine
from engine.cascade.components import Components
from engine.lang import check, ir
from engine.lang.parse import parse
from engine.testkit.runner import run_tests
from engine.testkit.sources import find

RECORD = """record bank/transaction version 1.0.0
  key id
  time booked_at
  field id: text
  field booked_at: datetime
  field account: text
  field branch: text
  field channel: text optional
  field amount: money USD not negative optional
"""
HEAD = """ruleset aml/cash version 1.0.0
  record bank/transaction ^1
"""
CASCADE = """cascade: aml/c
version: 1.0.0
record: bank/transaction@^1
steps:
  cash: {rules: aml/cash@^1}
decision: cash
"""
TEMPLATE = """
param few = 2
list papers = ("paper", "cheque")
template many "Many payments" (kinds: list of text, limit: integer = few, days: duration = 7 days, who: field of text = account,
    least: money USD = 10 USD, law: text = "Policy 4", means: field of text = channel)
  feature n "Payments by {kinds}" = count over days per who where channel in kinds and amount >= least
  define big = amount > least * 3
  rule "{limit} payments by {kinds} in {days}"
    cites "{law}"
    when n >= limit and big
    unless means = "gift" because "gifts are not meant by {law}"
    then score 20, flag many
    because "{n} of {least} by {who}"
    on missing means assume "nothing"
"""
USES = """
rule CARD-01 is many with kinds = "card"
rule CASH-01 "Cash at a branch" is many with kinds = ("cash", "atm"), limit = 1, days = 1 month, who = branch, least = 20 USD
rule PAPER-01 is many with kinds = papers, law = "Policy 5"
"""
BY_HAND = """
param few = 2
list papers = ("paper", "cheque")
feature n1 = count over 7 days per account where channel in ("card") and amount >= 10 USD
feature n2 = count over 1 month per branch where channel in ("cash", "atm") and amount >= 20 USD
feature n3 = count over 7 days per account where channel in papers and amount >= 10 USD
define b1 = amount > 10 USD * 3
define b2 = amount > 20 USD * 3
define b3 = amount > 10 USD * 3
"""
RULE = """
rule {id} "{title}" cites "{law}"
  when n{number} >= {limit} and b{number}
  unless channel = "gift" because "gifts are not meant by {law}"
  then score 20, flag many
  because "{{n{number}}} of {least} USD by {{{who}}}"
  on missing channel assume "nothing"
"""
WRITTEN = BY_HAND + "".join(
    RULE.format(id=id, title=title, law=law, number=number, limit=limit, least=least, who=who)
    for number, (id, title, law, limit, least, who) in enumerate(
        [
            ("CARD-01", "few payments by card in 7 days", "Policy 4", 2, "10.00", "account"),
            ("CASH-01", "Cash at a branch", "Policy 4", 1, "20.00", "branch"),
            ("PAPER-01", "few payments by papers in 7 days", "Policy 5", 2, "10.00", "account"),
        ],
        1,
    )
)


def ruleset(text):
    record, problems = check.check_record(parse(RECORD, "record")[0])
    made, problems = check.check_ruleset(parse(HEAD + text, "cash.rules")[0], check.Environment(record))
    assert made is not None, problems
    return made


def workspace(folder, rules, tests=""):
    for name, text in {
        "rulesets/bank/transaction.rules": RECORD,
        "rulesets/aml/cash.rules": HEAD + rules + "decide outcome\n  review when flag many\n  approve otherwise\n" + tests,
        "cascades/c.yaml": CASCADE,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "cascades/c.yaml"


def events(number):
    draw, start = random.Random(4), dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    for i in range(number):
        event = {
            "id": f"T{i}",
            "booked_at": (start + dt.timedelta(hours=11 * i)).isoformat(),
            "account": draw.choice("AB"),
            "branch": draw.choice("XY"),
            "channel": draw.choice(["card", "cash", "atm", "paper", None]),
            "amount": draw.choice(["9.99", "10.00", "20.00", "30.01", "61.00", None]),
        }
        yield {name: value for name, value in event.items() if value is not None}


def bare(rule):
    return replace(rule, made="", reason=(), when=ir.Const(True), assume=())


def test_a_made_rule_says_what_the_written_one_says():
    made, written = ruleset(TEMPLATE + USES), ruleset(WRITTEN)
    assert [bare(rule) for rule in made.rules] == [bare(rule) for rule in written.rules]
    assert made.rules[0].made == (
        'many with kinds = "card", limit = few, days = 7 days, who = account, least = 10 USD, law = "Policy 4", means = channel'
    )
    assert [one.value for one in made.features.features] == [
        replace(one.value, where=there.value.where) for one, there in zip(written.features.features, made.features.features, strict=True)
    ]
    assert [one.name for one in made.features.features] == ["CARD-01.n", "CASH-01.n", "PAPER-01.n"]
    assert made.features.features[0].title == "Payments by card"


def test_it_decides_as_the_written_one_live_and_in_batch(tmp_path):
    feed = list(events(60))
    decided = []
    for name, text in (("made", TEMPLATE + USES), ("written", WRITTEN)):
        engine = Engine.load(workspace(tmp_path / name, text))
        with engine.open_store(f"sqlite:{tmp_path / name}.db") as store:
            live = [engine.decide(event, store=store) for event in feed]
        batch = engine.decide_batch(pl.DataFrame(feed), detail="names")
        assert batch["hits"].to_list() == [list(one.hits) for one in live]
        decided.append([(one.outcome, one.possible, one.score_range, one.hits, [r.text for r in one.reasons], one.missing) for one in live])
    same = [tuple(map(str, one)) for one in decided[1]]
    for number, one in enumerate(("CARD-01", "CASH-01", "PAPER-01"), 1):
        decided[0] = [tuple(str(part).replace(f"{one}.n", f"n{number}") for part in row) for row in decided[0]]
    assert decided[0] == same
    assert len({row[3] for row in decided[0]}) >= 4


def test_a_decision_says_what_a_rule_was_made_from(tmp_path):
    engine = Engine.load(workspace(tmp_path, TEMPLATE + USES))
    event = {"id": "T1", "booked_at": "2026-03-01T00:00:00Z", "account": "A", "branch": "X", "channel": "atm", "amount": "80.00"}
    with engine.open_store("memory:", history_from="2025-01-01T00:00:00Z") as store:
        decision = engine.decide(event, store=store)
    told = decision.explain()
    assert "cash.CASH-01" not in told and "CASH-01 hit: Cash at a branch [Policy 4]" in told
    assert 'made from many with kinds = ("cash", "atm"), limit = 1, days = 1 month, who = branch, least = 20 USD, law' in told
    assert "1 of 20.00 USD by X (score +20, flag many)" in told
    assert "because CARD-01.n >= CARD-01.limit is false (CARD-01.n = 0)" in told
    assert [reason.text for reason in decision.reasons] == ["1 of 20.00 USD by X"]


TESTS = """
test "its slots can be set like params" with CARD-01.limit = 5, CARD-01.least = 1 USD
  given CARD-01.n = 4, amount = 10 USD, channel = "card"
  expect CARD-01 clear, CARD-01.big = true, CASH-01 clear
story "two in a week" history complete
  | booked_at        | account | branch | channel | amount | => CARD-01 | CARD-01.n |
  | 2026-03-02 09:00 | "A"     | "X"    | "card"  | 40 USD | clear      | 1         |
  | 2026-03-03 09:00 | "A"     | "X"    | "card"  | 40 USD | hit        | 2         |
examples CASH-01
  | CASH-01.n | amount | => CASH-01 |
  | 1         | 60 USD | clear      |
  | missing   | 61 USD | undecided  |
"""


def test_its_tests_stand_beside_it(tmp_path):
    workspace(tmp_path, TEMPLATE + USES, TESTS)
    (found,) = [one for one in find([tmp_path]) if one.name == "aml/cash"]
    tested = run_tests(Components(found.workspace), found)
    assert [str(failure) for failure in tested.failures] == []
    assert (tested.cases, tested.expectations) == (3, 9)


def test_a_template_that_nobody_uses_changes_nothing():
    plain = ruleset(WRITTEN)
    assert ruleset(WRITTEN + TEMPLATE.replace("param few = 2", "").replace('list papers = ("paper", "cheque")', "")) == plain


def test_templates_may_be_shared_by_several_files(tmp_path):
    body = TEMPLATE.replace("param few = 2\n", "").replace('list papers = ("paper", "cheque")\n', "").replace("= few", "= 2")
    shared = USES.replace(" is many", " is patterns.many").replace("papers", '("paper", "cheque")')
    for name, uses in (("own", body + USES.replace("papers", '("paper", "cheque")')), ("shared", shared)):
        workspace(tmp_path / name, uses, TESTS)
    patterns, cash = (tmp_path / "shared/rulesets/aml" / f"{name}.rules" for name in ("patterns", "cash"))
    patterns.write_text("templates aml/patterns version 1.2.0\n" + body)
    cash.write_text(cash.read_text().replace(HEAD, HEAD + "  uses templates aml/patterns ^1\n"))
    engines = [Engine.load(tmp_path / name / "cascades/c.yaml") for name in ("own", "shared")]
    for event in events(30):
        own, other = (engine.decide(event) for engine in engines)
        assert (own.hits, own.possible, own.missing, own.score_range) == (other.hits, other.possible, other.missing, other.score_range)
    assert ("templates", "aml/patterns", "1.2.0") in {version[:3] for version in other.versions}
    assert "made from patterns.many with kinds" in other.explain()
    (found,) = find([cash])
    tested = run_tests(Components(found.workspace), found)
    assert (tested.cases, tested.failures) == (3, [])
