"""Law 6, for one rule set: more knowledge only narrows. What asks about missingness is exempt, so the programs leave it out.

Also what the law is for: the outcome of the completed row was among those that were possible before.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends import single
from engine.values import Interval, Value, known
from tests.properties.strategies import FIELDS, FUZZ, HELD, MILD, Values, program, row


def bounds(score: Value) -> tuple[Any, Any]:
    return (score.low, score.high) if isinstance(score, Interval) else (score, score)


def within(value: Value, values: Values, type_: Any) -> Value:
    """A known value that the missing or open one may have stood for."""
    if not isinstance(value, Interval):
        return values.known(type_.exact())
    ends = [end for end in (value.low, value.high) if end is not None]
    return values.random.choice(ends)


def filled(one: dict[str, Value], values: Values, share: float) -> dict[str, Value]:
    """The row with some of what was not known filled in."""
    types = FIELDS | HELD
    gaps = [name for name in types if not known(one[name]) and values.random.random() < share]
    return one | {name: within(one[name], values, types[name]) for name in gaps}


def narrows(before: dict[str, Value], after: dict[str, Value]) -> bool:
    (low, high), (new_low, new_high) = bounds(before["score"]), bounds(after["score"])
    kept = all(before[name] == after[name] for name in before if name.startswith(("hit(", "flags.")) and known(before[name]))
    return kept and set(after["possible"]) <= set(before["possible"]) and low <= new_low <= new_high <= high


@settings(max_examples=400 * FUZZ, deadline=None, derandomize=FUZZ == 1)
@given(st.integers(0, 2**63), st.integers(1, 10))
def test_more_knowledge_only_narrows(seed: int, size: int) -> None:
    values = Values(Random(seed), MILD, lacking=0.4)
    for _ in range(4):
        ruleset = program(values, size, pure=True)
        judge = single.compile_rules(ruleset, open_=True)
        for _ in range(4):
            now = row(values)
            was = judge(now)
            for share in (0.2, 0.5, 1.0):
                now = filled(now, values, share)
                after = judge(now)
                assert narrows(was, after), (was, after)
                was = after


@settings(max_examples=200 * FUZZ, deadline=None, derandomize=FUZZ == 1)
@given(st.integers(0, 2**63), st.integers(1, 10))
def test_the_outcome_of_the_completed_row_was_possible(seed: int, size: int) -> None:
    """Policies and assumptions do not count: the whole row is decided without them and nothing is left open by a missing field."""
    values = Values(Random(seed), MILD, lacking=0.4)
    for _ in range(4):
        ruleset = program(values, size, pure=True)
        judge = single.compile_rules(ruleset, open_=True)
        for _ in range(6):
            gappy = row(values)
            whole = judge(filled(gappy, values, 1.0))
            before = judge(gappy)
            assert set(whole["possible"]) <= set(before["possible"])
            if known(whole.get("outcome")) and whole.get("outcome") is not None:
                assert whole["outcome"] in before["possible"]


@settings(max_examples=200 * FUZZ, deadline=None, derandomize=FUZZ == 1)
@given(st.integers(0, 2**63), st.integers(1, 10))
def test_policies_do_not_move_the_open_reading(seed: int, size: int) -> None:
    """Where nothing was touched both readings are one, and the closed one says so by `@policy`."""
    values = Values(Random(seed))
    ruleset = program(values, size)
    closed, open_ = single.compile_rules(ruleset), single.compile_rules(ruleset, open_=True)
    for _ in range(6):
        one = row(values)
        first, second = ({n: v for n, v in run(one).items() if not n.startswith(("@before(", "@silenced("))} for run in (closed, open_))
        assert second["@policy"] is False
        if first["@policy"] is False:
            assert {**first, "outcome": None} == {**second, "outcome": None}
            assert first.get("outcome") == second.get("outcome") or not known(second["outcome"])
