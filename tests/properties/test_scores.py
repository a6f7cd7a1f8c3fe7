"""Scores are exact bounds: as low and as high as any way in which what is undecided may turn out, tried one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends import columnar, reference, single
from engine.lang import ir
from engine.values import FLAG, Interval, Value, missing
from tests.backends.programs import outputs, rule, ruleset
from tests.properties.strategies import FUZZ

UNDECIDED = missing("absent")


def program(random: Random) -> tuple[ir.RuleSet, list[str]]:
    """Rules and floors, each of which reads a flag of its own; and the names of these."""
    worth = [random.choice((0, 5, 10, 40, -7, -30)) for _ in range(random.randrange(1, 5))]
    body = [rule(f"R-{place}", ir.Read(f"r{place}", type=FLAG), points=points) for place, points in enumerate(worth)]
    most = random.choice((None, 0, 12, 45))
    least = [points for points in random.choices((-20, 0, 3, 12), k=random.randrange(3)) if most is None or points <= most]
    floors = tuple((points, ir.Read(f"f{place}", type=FLAG)) for place, points in enumerate(least))
    names = [f"r{place}" for place in range(len(worth))] + [f"f{place}" for place in range(len(least))]
    return replace(ruleset(*body), scoring=ir.Scoring(random.choice(("sum", "max")), most, floors)), names


def told(made: ir.RuleSet, row: dict[str, Any]) -> int:
    """The score of a row in which everything is known, said once more."""
    hits = [one.points for place, one in enumerate(made.rules) if row[f"r{place}"]]
    score = sum(hits) if made.scoring.how == "sum" else max([0, *hits])
    score = max([score, *(least for place, (least, _) in enumerate(made.scoring.floors) if row[f"f{place}"])])
    return score if made.scoring.most is None else min(score, made.scoring.most)


def bounds(score: Value) -> tuple[int, int]:
    return (score.low, score.high) if isinstance(score, Interval) else (score, score)


@settings(max_examples=150 * FUZZ, deadline=None, derandomize=FUZZ == 1)
@given(st.integers(0, 2**63))
def test_the_range_is_what_trying_everything_gives(seed: int) -> None:
    random = Random(seed)
    made, names = program(random)
    rows = [{name: random.choice((True, False, UNDECIDED, UNDECIDED)) for name in names} for _ in range(4)]
    single_, frame = single.compile_rules(made), columnar.pack(rows, dict.fromkeys(names, FLAG))
    many = columnar.unpack(columnar.compile_rules(made)(frame), outputs(made))
    for row, wide in zip(rows, many, strict=True):
        unknown = [name for name in names if row[name] is UNDECIDED]
        scores = [told(made, row | dict(zip(unknown, turn, strict=True))) for turn in product((True, False), repeat=len(unknown))]
        sure = told(made, row | dict.fromkeys(unknown, False))
        for found in (reference.run(made, row), single_(row), wide):
            assert (*bounds(found["score"]), found["@points"]) == (min(scores), max(scores), sure)
