"""The runner of the tests beside rules: what each kind of case is given, what it sees, and how each expectation fails."""

from __future__ import annotations

import pytest

from engine.cascade.components import Components
from engine.errors import InputError
from engine.testkit.runner import run_tests
from engine.testkit.sources import find

RECORD = """
record bank/payment version 1.0.0
  zone "Europe/Berlin"
  key id
  time at
  field id: text
  field at: datetime
  field account: text
  field amount: money EUR not negative
  field country: text optional
"""

FEATURES = """
features bank/profile version 1.0.0
  record bank/payment ^1
feature spent_7d = sum of amount over 7 days per account
feature count_7d = count over 7 days per account
feature half_7d = spent_7d / 2
"""

RULES = """
ruleset bank/cash version 1.0.0
  record bank/payment ^1
  uses features bank/profile ^1
  on missing refer

input risk: number optional
param limit: money = 100 EUR
define near = 90% * limit
feature today = count over 1 day per account

rule A-01 "Large"
  when amount >= limit
  then score 40, flag large, set level = 3

rule A-02 "Far"
  when country = "IR"
  then score 20
  on missing ignore

rule A-03 "Busy"
  when profile.half_7d > 50 EUR and today >= 2
  then score -10

rule A-04 "Risky"
  when risk > 0.5
  then score 5

decide outcome first match
  stop when score >= 60
  look when score >= 40
  pass otherwise
  otherwise undecided look
"""


@pytest.fixture
def tested(tmp_path):
    """Run the tests in `text`; gives the result and the diagnostics."""

    def run(text):
        for name, content in (("payment", RECORD), ("profile", FEATURES), ("cash", RULES + text)):
            path = tmp_path / "rulesets/bank" / f"{name}.rules"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.lstrip("\n"))
        (found,) = find([path.with_name("cash.rules")])
        components = Components(found.workspace)
        return run_tests(components, found), components

    return run


GOOD = [
    # what is not given is missing; key and time are filled in
    'test "t" given amount = 100 EUR expect A-01 hit, A-02 clear, A-04 undecided, flag large, level = 3',
    # the score after policies, and the range before them
    'test "t" given amount = 100 EUR, risk = 0.1 expect score 40',
    'test "t" given amount = 100 EUR, risk = 0.1, account = "A" expect score 40 to 60, outcome look, possible stop or look',
    'test "t" given amount = 1 EUR, risk = 0.1, account = "A", country = "DE" expect outcome pass, robust, no flag large, level missing',
    # a test has a complete history of its own event alone
    'test "t" given amount = 70 EUR, account = "A" expect profile.spent_7d = 70 EUR, profile.count_7d = 1, today = 1, A-03 clear',
    'test "t" given amount = 70 EUR expect profile.spent_7d missing, today missing, A-03 undecided',
    # a feature may be given, and what is computed from it follows
    'test "t" given amount = 10 EUR, account = "A", profile.spent_7d = 300 EUR expect profile.half_7d = 150 EUR',
    'test "t" given profile.half_7d = 60 EUR, today = 2 expect A-03 hit',
    # a define, settled to minor units
    'test "t" given amount = 1 EUR expect near = 90 EUR',
    'test "t" with limit = 33.35 EUR given amount = 33.35 EUR expect A-01 hit, near = 30.02 EUR',
    # a story's rows see those before them
    """story "s" history complete
  | at               | account | amount | => A-03 | today | profile.spent_7d |
  | 2026-03-01 09:00 | "A"     | 60 EUR | clear   | 1     | 60 EUR           |
  | 2026-03-01 10:00 | "A"     | 60 EUR | hit     | 2     | 120 EUR          |
  | 2026-03-01 11:00 | "B"     | 60 EUR | clear   | 1     | 60 EUR           |
  | 2026-03-02 09:30 | "A"     | 10 EUR | hit     | 2     | 130 EUR          |""",
    # a short one knows lower bounds
    """story "s" history from 2026-03-01
  | at               | account | amount | => profile.spent_7d | A-01  |
  | 2026-03-01 09:00 | "A"     | 60 EUR | missing             | clear |
  | 2026-03-08 08:00 | "A"     | 60 EUR | 120 EUR             | clear |""",
    # examples are independent of one another
    """examples A-01
  | amount     | account | => A-01   | today |
  | 99.99 EUR  | "A"     | clear     | 1     |
  | 100.00 EUR | "A"     | hit       | 1     |
  | missing    | "A"     | undecided | 1     |""",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_holds_is_met(tested, text):
    found, components = tested(text)
    assert not components.failed, components.rendered()
    assert [str(one) for one in found.failures] == [] and found.expectations > 0


BAD = [
    ("given amount = 100 EUR expect A-01 clear", "A-01 clear", "A-01 hit"),
    ("given amount = 100 EUR expect A-04 hit", "A-04 hit", "A-04 undecided"),
    ("given amount = 100 EUR expect no flag large", "no flag large", "flag large"),
    ("expect flag large", "flag large", "flag large undecided"),
    ('given amount = 1 EUR, risk = 0.1, account = "A" expect score 40', "score 40", "score 0"),
    ('given amount = 1 EUR, account = "A" expect score 5', "score 5", "score 0"),
    ('given amount = 1 EUR, risk = 0.1, account = "A" expect score 0 to 10', "score 0 to 10", "score 0 to 20"),
    ('given amount = 1 EUR, risk = 0.1, account = "A" expect outcome stop', "outcome stop", "outcome pass"),
    ('given amount = 100 EUR, risk = 0.1, account = "A" expect possible pass', "possible pass", "possible stop or look"),
    ('given amount = 100 EUR, risk = 0.1, account = "A" expect robust', "robust", "possible stop or look"),
    ("given amount = 100 EUR expect level = 4", "level = 4", "level = 3"),
    ("given amount = 1 EUR expect level = 4", "level = 4", "level missing (no row)"),
    ("given amount = 100 EUR expect level missing", "level missing", "level = 3"),
    ('given account = "A" expect profile.count_7d = 2', "profile.count_7d = 2", "profile.count_7d = 1"),
]


@pytest.mark.parametrize(("text", "expected", "got"), BAD)
def test_what_does_not_hold_is_told(tested, text, expected, got):
    found, components = tested(f'test "it" {text}')
    assert not components.failed, components.rendered()
    (failure,) = found.failures
    assert (failure.title, failure.expected, failure.got) == ("it", expected, got)
    assert failure.span.file.endswith("rulesets/bank/cash.rules") and failure.span.line == RULES.count("\n")
    assert failure.why
    assert failure.to_dict()["line"] == failure.span.line


def test_a_failing_rule_is_explained_alone(tested):
    found, _ = tested('test "it" given amount = 1 EUR expect A-01 hit')
    assert found.failures[0].why == ("A-01 clear: Large", "  because amount >= limit is false (amount = 1.00 EUR)")


def test_a_story_whose_key_comes_again_with_other_content(tested):
    found, _ = tested("""story "s" history complete
  | id  | at               | account | amount | => A-01 |
  | "1" | 2026-03-01 09:00 | "A"     | 60 EUR | clear   |
  | "1" | 2026-03-01 10:00 | "A"     | 61 EUR | clear   |""")
    (failure,) = found.failures
    assert failure.expected == "an event that can be decided" and "other content" in failure.got


def test_a_param_that_breaks_the_rules_is_told(tested):
    try:
        found, components = tested('test "it" with limit = 5 USD given amount = 1 EUR expect A-01 hit')
    except InputError as error:
        assert "does not check" in str(error)
    else:
        assert components.failed and not found.failures


def test_states_no_test_expects(tested):
    found, _ = tested('test "it" given amount = 100 EUR expect A-01 hit, A-02 clear')
    assert found.untested == {
        "A-01": ("clear", "undecided"),
        "A-02": ("hit",),  # its policy settles it, so that it is never undecided
        "A-03": ("hit", "clear", "undecided"),
        "A-04": ("hit", "clear", "undecided"),
    }
