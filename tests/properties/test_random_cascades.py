"""The laws on random cascades: gates, `otherwise`, `with`, every policy, models that must have their inputs, nested cascades, history.

One example is one workspace, written, loaded and asked about a few events of which a part is missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import jsonschema
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import Engine
from engine.errors import SourceError
from engine.ledger.decision import Decision
from engine.models.packing import matrix, package_model
from tests.properties.cascades import FIELDS, MODEL, Maker

EXAMPLES = 30 * int(os.environ.get("FUZZ", "1") or 1)
SCHEMA = jsonschema.Draft202012Validator(json.loads((Path(__file__).parents[2] / "grammar/decision.schema.json").read_text()))
FRAME = {"id": pl.String, "at": pl.String, "a": pl.Int64, "b": pl.Int64, "c": pl.Int64, "f": pl.Boolean, "g": pl.Boolean}
FRAME |= {"t": pl.String, "m": pl.String, "l": pl.List(pl.String)}
Event = dict[str, Any]
seeds = given(st.integers(0, 2**32))
often = settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES == 30)


@cache
def package() -> Path:
    """The folder of a tiny LightGBM model that must have both its inputs."""
    import lightgbm

    random = Random(1)
    rows = [{"x": random.randint(-3, 6), "y": random.randint(-3, 6)} for _ in range(60)]
    sample, folder = pl.DataFrame(rows), Path(mkdtemp(prefix="kaskade-tiny-"))
    data = lightgbm.Dataset(matrix(sample), [int(row["x"] > row["y"]) for row in rows], feature_name=sample.columns)
    booster = lightgbm.train({"objective": "binary", "num_leaves": 4, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1}, data, 5)
    package_model(booster, name=MODEL, version="1.0.0", sample=sample, folder=folder, outputs=["value"])
    return folder / "models"


def made(seed: int, **how: bool) -> Engine | None:
    """The engine of a random workspace; none where it says something that can never be."""
    with TemporaryDirectory() as folder:
        path = Maker(seed, **how).write(Path(folder))
        (Path(folder) / "models").symlink_to(package())
        try:
            return Engine.load(path)
        except SourceError as error:
            wrong = {problem.code for problem in error.diagnostics if problem.severity == "error"}
            assert wrong <= {"never-hits", "exception-never-holds"}, str(error)
            return None


def event(random: Random, number: int, *, lacking: float = 0.4) -> Event:
    drawn = {name: None if random.random() < lacking else random.choice(values) for name, values in FIELDS.items()}
    return {"id": f"{number}", "at": f"2026-01-{1 + number // 4:02d}T00:00:00Z", **drawn}


def gaps(given_event: Event) -> list[str]:
    return [name for name in FIELDS if given_event[name] is None or (name == "l" and None in given_event["l"])]


def filled(random: Random, given_event: Event, names: list[str]) -> Event:
    """The event with these fields known."""
    more = dict(given_event)
    for name in names:
        if name == "l" and more["l"] is not None:
            more["l"] = [item or random.choice(["x", "q"]) for item in more["l"]]
        else:
            more[name] = random.choice(FIELDS[name][:-1])
    return more


def narrows(random: Random, one: Event, ask: Callable[[Event], Decision]) -> None:
    before = ask(one)
    low, high = before.score_range
    for _ in range(3):
        after = ask(filled(random, one, [name for name in gaps(one) if random.random() < 0.6]))
        assert set(after.possible) <= set(before.possible)
        assert low <= after.score_range[0] <= after.score_range[1] <= high
        assert after.outcome == before.outcome or not before.robust


def settles(random: Random, one: Event, ask: Callable[[Event], Decision]) -> None:
    """`settled_by` names fields that are missing, all that can move the answer; with them known nothing is left that a field could cure."""
    decision = ask(one)
    fields, unsettled = decision.settled_by, decision.unsettled
    assert set(fields) <= set(gaps(one))
    assert bool(fields or unsettled) is not decision.robust
    if not decision.robust:
        unmoved = ask(filled(random, one, [name for name in gaps(one) if name not in fields]))
        assert unmoved.possible == decision.possible
        assert ask(filled(random, one, list(fields))).settled_by == ()


@seeds
@often
def test_more_knowledge_only_narrows_and_settled_by_says_which(seed: int) -> None:
    engine, random = made(seed), Random(seed)
    for number in range(8 if engine else 0):
        one = event(random, number)
        narrows(random, one, engine.decide)
        settles(random, one, engine.decide)


@seeds
@often
def test_the_same_with_this_event_in_its_own_history(seed: int) -> None:
    engine, random = made(seed, history=True), Random(seed)
    if engine is None or not engine.plan.history:
        return
    with engine.open_store(history_from=random.choice(["2020-01-01", "2026-01-01", "2026-01-03"])) as store:
        for number in range(14):
            engine.decide(event(random, number, lacking=0.3), store=store)
        for number in range(14, 20):
            one = event(random, number)
            narrows(random, one, lambda given_event: engine.decide(given_event, store=store, record=False))
            settles(random, one, lambda given_event: engine.decide(given_event, store=store, record=False))


@seeds
@often
def test_a_decision_is_whole_and_true_to_itself(seed: int) -> None:
    """Also where rules ask what is missing: an outcome is possible or left open, a robust one is the only one possible, and all of it
    can be written and explained."""
    engine, random = made(seed, curious=True), Random(seed)
    for number in range(8 if engine else 0):
        decision = engine.decide(event(random, number))
        assert decision.outcome in decision.possible or (decision.outcome == "refer" and len(decision.possible) > 1)
        assert bool(decision.settled_by or decision.unsettled) is not decision.robust
        assert [reason.rule for reason in decision.reasons] == list(decision.hits)
        assert bool(decision.missing) or not decision.undecided
        SCHEMA.validate(decision.to_dict())
        assert decision.explain().startswith(f"outcome {decision.outcome}")


@seeds
@often
def test_a_frame_says_what_decisions_say_in_every_column(seed: int) -> None:
    engine, random = made(seed, curious=True, history=True), Random(seed)
    if engine is None:
        return
    events = [event(random, number) for number in range(20)]
    with engine.open_store(history_from="2026-01-03") as store:
        decisions = [engine.decide(one, store=store) for one in events]
    frame = pl.DataFrame(events, schema=FRAME)
    named = engine.decide_batch(frame, detail="names", values=True, history_from="2026-01-03")
    bits = engine.decide_batch(frame, history_from="2026-01-03")
    for decision, row, words in zip(decisions, named.to_dicts(), bits.to_dicts(), strict=True):
        low, high = decision.score_range
        assert (row["key"], row["outcome"], row["possible"], row["robust"]) == (
            decision.key,
            decision.outcome,
            list(decision.possible),
            decision.robust,
        )
        assert (row["score"], row["score_low"], row["score_high"]) == (decision.score, low, high)
        for column, names in (("flags", engine.flag_names), ("hits", engine.rule_ids), ("undecided", engine.rule_ids)):
            set_bits = [name for place, name in enumerate(names) if words[column][place // 64] >> (place % 64) & 1]
            assert row[column] == set_bits == list(getattr(decision, column))
        assert row.get("silenced", []) == [str(one) for one in decision.silenced]
        for name, value in decision.values.items():
            assert shown(row, name) == value


def shown(row: dict[str, Any], name: str) -> Any:
    """A value of a frame as a decision writes it."""
    cause, low, high = row[f"{name}#"], row.get(f"{name}<"), row.get(f"{name}>")
    if cause is None:
        return row[name]
    return {"missing": cause} if low is None and high is None else {"low": low, "high": high, "cause": cause}
