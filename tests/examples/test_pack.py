"""The bundled pack: its page is true, every rule is tested three ways and names its source, and live it decides as in a batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine import Engine, replay
from engine.cascade.components import Components
from engine.lang import ast, ir
from engine.lang.check import check_tests
from engine.testkit.runner import Bench, run_tests
from engine.testkit.sources import check, find, formatted
from engine.values import Interval, known
from tests.examples.bookings import SINCE, bookings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| ([^|]+) \| (said|part|missing) \| ([^|]*) \| (.*) \|$", PAGE, re.MULTILINE)
PACK = find([ROOT / "rulesets"])
RULE_SETS = [found for found in PACK if found.path.read_text(encoding="utf-8").startswith("ruleset ")]
CASCADE = ROOT / "cascades" / "monitoring.yaml"
KINDS = ("Law: ", "Guidance: ", "Practice: ", "Example")


def rules_of(cell: str) -> list[str]:
    return cell.split(", ") if cell.strip() else []


NAMED = {rule for _, _, _, cell, _ in ROWS for rule in rules_of(cell)}


@pytest.fixture(scope="module")
def components() -> Components:
    return Components(PACK[0].workspace)


# --- the page --------------------------------------------------------------------------------------------------------


def test_all_fifty_are_there_once_in_order_and_counted() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 51))
    said, part, missing = (sum(state == wanted for _, _, state, _, _ in ROWS) for wanted in ("said", "part", "missing"))
    assert f"**Of the fifty {said} are said whole, {part} in part, {missing} are missing.**" in PAGE
    assert said >= 35


def test_what_is_said_has_rules_and_what_is_not_says_what_it_needs() -> None:
    for number, _, state, cell, how in ROWS:
        assert (state == "missing") == (not rules_of(cell)), number
        assert (state == "said") != ("*Needs*" in how), number


def test_the_rules_of_the_page_are_those_of_the_pack(components: Components) -> None:
    """Typologies are over rules, and no scenarios."""
    plain = [components.rules(found.name, None, None) for found in RULE_SETS if found.path.parent.name != "typologies"]
    assert {rule.id for rules in plain if rules is not None for rule in rules.rules} == NAMED < set(Engine.load(CASCADE).rule_ids)


# --- the rules -------------------------------------------------------------------------------------------------------


def test_everything_checks_without_a_remark_and_has_the_usual_look() -> None:
    assert check(ROOT / "rulesets", ROOT / "cascades") == []
    for found in PACK:
        text = found.path.read_text(encoding="utf-8")
        assert formatted(text) == text, found.path.stem


@pytest.mark.parametrize("found", RULE_SETS, ids=lambda found: found.path.stem)
def test_every_rule_is_hit_clear_and_lacking_in_its_own_tests(found: Any, components: Components) -> None:
    tested = run_tests(components, found, tries=100)
    assert tested is not None and [str(failure) for failure in tested.failures] == []
    assert not tested.untested
    if told := settled(components, found):
        assert told <= lacking(components, found)


def settled(components: Components, found: Any) -> set[str]:
    """Rules that are never undecided, since they say what a missing value means."""
    rules = components.rules(found.name, None, None)
    assert rules is not None
    return {rule.id for rule in rules.rules if rule.policy != "refer"}


def lacking(components: Components, found: Any) -> set[str]:
    """Rules that cannot be judged, before their policies, in a row that expects something of them."""
    tree, rules, env = components.tree(found.path), components.rules(found.name, None, None), components.environment(found.name)
    assert tree is not None and rules is not None and env is not None
    bench, seen = Bench(rules, env), set()
    for case in check_tests(tree, rules, env)[0]:
        if case.kind != "story" and not case.params:
            for row, outcome in bench.run(case):
                seen |= {one.name for one in row.expect if one.kind == "rule" and not known(outcome.opened[ir.hit(one.name or "")])}
    return {name for name in seen if name}


def declared(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    for found in PACK:
        tree = Components(found.workspace).tree(found.path)
        assert tree is not None
        yield from ((found.path.stem, node) for node in tree.declarations if isinstance(node, kind))


def test_every_rule_names_its_source_its_weight_and_a_reason_with_values() -> None:
    for stem, rule in declared(ast.Rule):
        text = (stem, rule.id.text)
        assert rule.cites and rule.severity and rule.because, text
        assert "{" in rule.because.text, text


def test_every_figure_says_what_kind_it_is() -> None:
    for stem, param in declared(ast.Param):
        assert param.cites is not None and param.cites.startswith(KINDS), (stem, param.name.text)


# --- deciding --------------------------------------------------------------------------------------------------------

READ_OFF = ("outcome", "possible", "score", "score_low", "score_high", "flags", "hits", "undecided")


def read_off(one: Any) -> tuple[Any, ...]:
    return (one.outcome, list(one.possible), one.score, *one.score_range, list(one.flags), list(one.hits), list(one.undecided))


def test_live_the_pack_decides_as_in_a_batch_and_every_decision_is_given_again(tmp_path: Path) -> None:
    events = bookings()
    ledger = tmp_path / "ledger.db"
    engine = Engine.load(CASCADE, ledger=ledger)
    with engine.open_store("memory:", history_from=SINCE) as store:
        live = [engine.decide(event, store=store) for event in events]
    batch = engine.decide_batch(frame(events), detail="names", history_from=SINCE)
    assert batch.rejects.height == 0
    assert [read_off(one) for one in live] == [tuple(row) for row in batch.select(READ_OFF).iter_rows()]
    assert {one.outcome for one in live} == {"stop", "report", "alert", "watch", "pass"}
    hit = {rule for one in live for rule in one.hits}
    assert len(hit) >= 30 and hit <= set(engine.rule_ids)
    again = replay(ledger)
    assert again.fine and again.count == len(events)


def frame(events: list[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(events, infer_schema_length=None)


def test_an_event_with_nothing_but_what_must_be_there_is_decided_and_says_what_it_lacks() -> None:
    event = {"id": "1", "booked_at": "2026-03-02T09:00:00", "account": "A", "direction": "in", "channel": "wire", "amount": "10.00"}
    engine = Engine.load(CASCADE)
    with engine.open_store("memory:", history_from=SINCE) as store:
        decision = engine.decide(event, store=store)
    assert not decision.robust and "pass" in decision.possible and "counterparty.country" in decision.settled_by
    assert not isinstance(decision.score, Interval) and "GEO-01" in decision.hits
