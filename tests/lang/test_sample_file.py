"""The sample file of the language's description is accepted as written, has its look, and its tests pass.

`sample/` is a workspace with our own copy of it, the record of the same page, and the feature set and the list that it uses.
"""

from pathlib import Path

import pytest

from engine import Engine
from engine.cascade.components import Components
from engine.lang.format import format_file
from engine.lang.parse import parse
from engine.testkit.runner import run_tests
from engine.testkit.sources import check, find

SAMPLE = Path(__file__).parent / "sample"
FILE = SAMPLE / "rulesets/aml/cash.rules"


def test_it_is_accepted_as_written():
    assert [str(found) for found in check(SAMPLE)] == []


def test_its_tests_pass():
    (found,) = find([FILE])
    components = Components(found.workspace)
    tested = run_tests(components, found)
    assert tested is not None, components.rendered()
    assert [str(failure) for failure in tested.failures] == []
    # a test of five expectations, a story of three rows with two each, three examples
    assert (tested.cases, tested.expectations) == (3, 14)


def test_formatting_changes_nothing_that_it_says():
    text = FILE.read_text(encoding="utf-8")
    tree, problems = parse(text, FILE.name)
    assert not problems
    formatted = format_file(tree)
    again, problems = parse(formatted, FILE.name)
    assert again == tree and not problems
    assert format_file(again) == formatted


@pytest.mark.parametrize(
    ("country", "amount", "tier"),
    [("IR", "10000.00", "high"), ("IR", "9999.99", "medium"), (None, "9999.99", "unseen"), ("FR", "10000.00", "low")],
)
def test_it_decides_in_a_cascade(tmp_path, country, amount, tier):
    for path in SAMPLE.rglob("*.rules"):
        copy = tmp_path / path.relative_to(SAMPLE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    cascade = tmp_path / "cascades/sample.yaml"
    cascade.parent.mkdir()
    cascade.write_text(
        "cascade: aml/sample\nversion: 1.0.0\nrecord: bank/transaction@^1\nsteps:\n  cash: {rules: aml/cash@^1}\ndecision: cash\n"
    )
    event = {
        "id": "T1",
        "booked_at": "2026-03-06T09:00:00Z",
        "account": "A1",
        "direction": "in",
        "channel": "cash",
        "amount": amount,
        **({"counterparty.country": country} if country else {}),
    }
    engine = Engine.load(cascade)
    with engine.open_store("memory:", history_from="2025-01-01T00:00:00Z") as store:
        decision = engine.decide(event, store=store)
    assert decision.values["cash.tier"] == tier
    assert decision.outcome == ("review" if amount == "10000.00" else "approve")
