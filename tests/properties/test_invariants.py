"""The search for events that break an invariant: it finds what was planted, reports nothing that is not so, and is the same every time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.cascade.components import Components
from engine.cli.main import main
from engine.testkit import runner
from engine.testkit.sources import find, formatted

RECORD = """record bank/payment version 1.0.0
  zone "Europe/Berlin"
  key id
  time at
  field id: text
  field at: datetime
  field account: text
  field amount: money EUR not negative
  field country: text optional
  field purpose: text optional
  field channel: one of ("cash", "wire", "card") optional
  field birth: date optional
  field rate: number optional
  field items: integer optional
  field share: percent optional
  field delay: duration optional
  field urgent: flag optional
  field tags: list of text optional
  field currency: text optional
  field original: money by currency optional
"""
FEATURES = """features bank/profile version 1.0.0
  record bank/payment ^1
feature spent = sum of amount over 7 days per account
feature count = count over 7 days per account
feature half = spent / 2
"""
RULES = """ruleset bank/cash version 1.0.0
  record bank/payment ^1
  uses features bank/profile ^1

input risk: number optional
param limit: money = 10_000 EUR
param part = 90%
param dated: money = 5 EUR effective from 2020-01-01 to 2026-02-28, 7 EUR effective from 2026-03-01
list far = ("IR", "KP", "MM")
define near = part * limit
define large = amount >= limit
template many (at: integer, of: one of ("cash", "wire", "card"))
  feature n = count over 30 days per account where channel = of
  rule "Many by {of}"
    when n >= at
    then score 30, flag many

rule A-01 "Large cash"
  when large and channel = "cash"
  unless country = "DE" and urgent because "known"
  then score 40, flag large
  on missing country assume "DE"
rule A-02 "Far"
  when country in far and amount >= near
  then score 40, set level = 3
rule A-03 "Busy"
  when profile.half > 500 EUR and profile.count >= 4 and hour of at >= 22
  then score 20, set level = 2
rule A-04 "Young"
  when days_between(birth, 2026-01-01) < 6_570 and birth < 2026-01-01
  then score 15
rule A-05 "Risky"
  when risk > 0.75 or rate * 2 > 3.5
  then score 10
  on missing alert
rule A-06 "Tagged"
  when any of tags where (it starts with "pep") and delay >= 3 days
  then score 50, flag watch
  effective from 2026-02-01
rule A-07 "Share"
  when share between 12.5% and 20% and items / 3 > 2
  then score 5
rule A-08 "Foreign"
  when original >= 500 EUR
  then score 5
rule A-10 "Gambling"
  when purpose matches "\\b(casino|poker)\\b" and amount >= dated
  then score 5
rule M-01 is many with at = 7, of = "cash"
rule M-02 is many with at = 9, of = "card"
rule A-09 "Calm"
  when urgent and not flag many and flag watch
  then score -30

decide outcome
  stop when score >= 80 or flag watch
  look when score >= 40
  pass otherwise
  otherwise undecided look
"""

BROKEN = [
    'never hit("A-01") and hit("A-02")',
    'never hit("A-03")',
    'never hit("A-04") when amount = 0 EUR',
    'never hit("A-06") and hit("A-09")',
    'never hit("A-07")',
    'never hit("A-08") and hit("A-02")',
    'never flag many and not hit("M-01")',
    'never hit("M-01") and M-01.n = 8',
    'never outcome = "pass" when large',
    'never outcome = "look" when country is missing',
    'never "pass" in possible when outcome = "look" and amount > 9_000 EUR',
    "never not robust when country is known and amount < 5 EUR",
    "never score > 150",
    "never level = 2 when amount < 100 EUR",
    'never amount = 9_999.99 EUR and hit("A-02")',
    'never hit("A-05") when risk is missing and rate is missing',
    'never country = "MM" and channel != "cash" and outcome != "pass" and items = 12 and urgent',
    'never hit("A-10") and amount = 5 EUR',
    'never hit("A-10") and amount = 7 EUR and at > 2026-03-01 06:00',
    "more amount never raises score",
    "more amount never raises outcome",
    "less profile.count never lowers score",
    "more birth never raises score when birth > 2000-01-01",
    "more delay never raises score",
    "more share never lowers score",
    "less rate never lowers score",
    'more M-02.n never raises score when not hit("M-01")',
]
"""What is not so in these rules."""

HELD = [
    'never hit("A-02") when amount < 9_000 EUR',
    'never hit("A-01") when channel = "wire"',
    'never outcome = "pass" when score >= 40',
    "never flag watch when at < 2026-01-31 12:00",
    'never M-01.n < 7 and hit("M-01")',
    'never level = 3 when country = "FR"',
    'never hit("A-10") when amount < 7 EUR and at > 2026-03-01 06:00',
    'never outcome = "stop" and not "stop" in possible',
    "more amount never lowers score",
    "more amount never lowers outcome",
    "less risk never raises score",
    "more items never lowers score",
]

IDLE = {
    'never outcome = "pass" when amount > 5 EUR and amount < 3 EUR': ("amount > 5 EUR and amount < 3 EUR",),
    'more amount never lowers score when country = "nowhere" and country in far': ('country = "nowhere" and country in far',),
    'never amount < 0 EUR and hit("A-01")': ("amount < 0 EUR",),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("invariants")
    (folder / "rulesets/bank").mkdir(parents=True)
    (folder / "rulesets/bank/payment.rules").write_text(RECORD)
    (folder / "rulesets/bank/profile.rules").write_text(FEATURES)
    return folder


def searched(folder: Path, text: str, tries: int = 1_000) -> runner.Tested:
    path = folder / "rulesets/bank/cash.rules"
    path.write_text(text)
    (found,) = find([path])
    components = Components(found.workspace)
    made = runner.run_tests(components, found, tries)
    assert made is not None, components.rendered()
    return made


def pasted(one: runner.Tested) -> str:
    """The tests that the failures print, as their author would copy them."""
    return "\n".join(line for failure in one.failures for line in failure.why)


def test_what_is_not_so_is_found_and_is_true_of_the_tests_that_are_printed(workspace: Path) -> None:
    found = searched(workspace, RULES + "\n".join(BROKEN))
    missed = [one.invariant.text for one in found.searched if not one.broken]
    assert missed == []
    again = searched(workspace, RULES + pasted(found))
    assert [str(failure) for failure in again.failures] == []
    assert again.cases == sum(len(one.broken) for one in found.searched)


def test_what_is_so_is_left_alone(workspace: Path) -> None:
    found = searched(workspace, RULES + "\n".join(HELD))
    assert [str(failure) for failure in found.failures] == []
    assert all(one.tested and one.met >= 20 for one in found.searched), [(one.invariant.text, one.met, one.idle) for one in found.searched]
    states = found.seen
    assert {rule for rule, seen in states.items() if "hit" not in seen} == set()


def test_what_could_not_be_tested_is_said(workspace: Path) -> None:
    found = searched(workspace, RULES + "\n".join(IDLE))
    assert {one.invariant.text: one.idle for one in found.searched} == IDLE
    assert not found.failures and not any(one.tested for one in found.searched)


def test_an_event_that_breaks_it_is_as_small_as_it_can_be(workspace: Path) -> None:
    found = searched(workspace, RULES + 'never hit("A-02") and channel is missing\nmore amount never raises score when channel = "cash"')
    first, second = found.failures
    assert first.why[1:4] == (
        "test \"never hit('A-02') and channel is missing\"",
        '  given amount = 9_000 EUR, country = "IR"',
        "  expect outcome look, score 50, A-02 hit, A-05 hit",
    )
    amounts = re.findall(r"amount = ([\d_.]+) EUR", "\n".join(second.why))
    assert [round(float(amount.replace("_", "")), 2) for amount in amounts] in ([9_999.99, 10_000], [8_999.99, 9_000])


def test_the_same_text_is_searched_in_the_same_way(workspace: Path) -> None:
    text = RULES + "\n".join(BROKEN[:6] + HELD[:2])
    first, second = searched(workspace, text, 300), searched(workspace, text, 300)
    assert first.to_dict() == second.to_dict()


def test_invariants_decide_nothing(workspace: Path) -> None:
    def ruleset(text: str) -> object:
        path = workspace / "rulesets/bank/cash.rules"
        path.write_text(text)
        (found,) = find([path])
        components = Components(found.workspace)
        tree = components.tree(path)
        assert tree is not None
        made = components.rules("bank/cash", None, tree.name.span)
        return made, [one.hash for one in components.taking_part() if one.name == "bank/cash"]

    (plain, before), (bound, after) = ruleset(RULES), ruleset(RULES + "\n".join(HELD))
    assert plain == bound
    assert before != after  # but who reads the component reads them


def test_the_command_says_how_far_it_got(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = RULES + "\n".join([HELD[1], BROKEN[0], *list(IDLE)[:1], "more amount never lowers score"])
    (workspace / "rulesets/bank/cash.rules").write_text(text)
    monkeypatch.chdir(workspace)
    assert main(["test", "rulesets/bank/cash.rules", "--tries", "200"]) == 1
    said = capsys.readouterr().out
    assert 'failed: never hit("A-01") and hit("A-02")\n' in said
    assert re.search(r'  held: never hit\("A-01"\) when channel = "wire" \(200 events, \d+ of which it speaks of\)', said)
    assert '  broken: never hit("A-01") and hit("A-02")\n' in said
    assert "not tested: never outcome" in said and "in 200 events `amount > 5 EUR and amount < 3 EUR` never held" in said
    assert re.search(r"  held: more amount never lowers score \(\d+ pairs of events\)", said)
    assert re.search(r"tried [\d,]+ events; of 12 rules were seen \d+ hit, 12 clear, \d+ undecided", said)
    assert "4 invariants: 1 failure" in said
    assert main(["test", "rulesets/bank/cash.rules", "--tries", "0"]) == 0
    assert "held" not in capsys.readouterr().out


def test_what_is_printed_is_in_the_language_of_the_file(workspace: Path) -> None:
    english = RULES + "\n".join(BROKEN[:4])
    danish = formatted(english, "cash.rules", "da")
    assert danish.splitlines()[-1].startswith("aldrig ")
    found = searched(workspace, danish)
    assert "  givet " in pasted(found) and "  forvent udfald" in pasted(found)
    again = searched(workspace, "\n".join([*danish.splitlines()[:-7], pasted(found)]))
    assert again.cases == 4 and not again.failures
