"""What a decision says, sentence by sentence: gates, models, what is open and what would settle it, reasons and explanations."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.api import Engine
from engine.cascade.steps import GateStep
from engine.cli.new import TEMPLATES
from engine.models.packing import matrix, package_model
from engine.plan import Plan, Step
from engine.testkit import check_step
from tests.cascade.models import scored

RECORD = """record t/event version 1.0.0
  key id
  time at
  field id: text
  field at: datetime
  field who: text
  field a: integer
  field b: integer
  field c: integer
  field f: flag
  field l: list of text
  field paid: money USD not negative
"""
HEAD = "version: 1.0.0\nrecord: t/event\n"
POINTS = """input p: integer
decide outcome first match
  block when p >= 60
  review when p >= 30
  approve otherwise
"""
TWO = """rule A-1 "a" when a > 0 then score 40, flag big
rule A-2 "b" when b > 0 then score 30
"""
numbers = count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decisions")


@pytest.fixture
def small(folder: Path) -> Any:
    """Make an engine of rule sets by name and the steps of cascades; the one called `main` decides by its step `v`."""

    def make(rules: dict[str, str], **cascades: str) -> Engine:
        workspace = folder / str(next(numbers))
        files = {"rulesets/t/event.rules": RECORD}
        for name, body in rules.items():
            whole = body if body.startswith(("features ", "record ")) else f"ruleset t/{name} version 1.0.0\n  record t/event\n{body}"
            files[f"rulesets/t/{name}.rules"] = whole
        for name, steps in cascades.items():
            files[f"cascades/{name}.yaml"] = f"cascade: t/{name}\n{HEAD}steps:\n{steps}\ndecision: v\n"
        for name, text in files.items():
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (workspace / name).write_text(text)
        return Engine.load(workspace / "cascades" / "main.yaml")

    return make


def event(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"id": f"E{number}", "at": "2026-01-05T00:00:00Z", **fields}


@cache
def bank() -> Engine:
    """The cascade with two models."""
    return Engine.load(scored())


def payment(**fields: Any) -> dict[str, Any]:
    known = {"id": "T1", "booked_at": "2026-03-01T12:00:00Z", "account": "A", "direction": "in", "channel": "card", "amount": "9500"}
    return {**known, "counterparty.country": "DE", "customer.segment": "retail", **fields}


def decided(**fields: Any) -> Any:
    """A payment with an empty past, decided."""
    with bank().open_store(history_from="2020-01-01") as store:
        return bank().decide(payment(**fields), store=store)


# --- missing flows through cascades ----------------------------------------------------------------------------------


def test_a_row_the_gate_shuts_out_never_reaches_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    (second,) = [view.step for view in bank().linked.models if view.step.name == "second"]
    monkeypatch.setattr(second, "one", lambda row: asked.append(row) or {"second.score": 0.5})
    assert decided(amount="30").values["second.score"] == 0.0
    assert asked == []
    assert decided().values["second.score"] == 0.5
    assert len(asked) == 1


def test_a_shut_gate_gives_what_otherwise_says_and_the_rest_is_skipped(small: Any) -> None:
    engine = small(
        {"two": TWO, "points": POINTS},
        main="  s: {rules: t/two, when: f, otherwise: {score: 35}}\n  v: {rules: t/points, with: {p: s.score}}",
    )
    decision = engine.decide(event(f=False, a=1))
    assert (decision.outcome, decision.robust) == ("review", True)
    assert decision.values["s.score"] == 35
    assert decision.values["s.flags.big"] == {"missing": "skipped"}
    assert decision.undecided == () and decision.hits == ()


def test_otherwise_never_covers_a_gate_that_cannot_be_judged(small: Any) -> None:
    engine = small(
        {"two": TWO, "points": POINTS},
        main="  s: {rules: t/two, when: f, otherwise: {score: 0}}\n  v: {rules: t/points, with: {p: s.score}}",
    )
    decision = engine.decide(event(a=1, b=1))
    assert decision.values["s.score"] == {"missing": "undecided"}
    assert decision.possible == ("block", "review", "approve")
    assert decision.undecided == ("A-1", "A-2")
    assert decision.missing == {"f": "absent"}


def test_a_model_whose_required_input_is_missing_hands_on_its_cause() -> None:
    assert decided(amount="12,5").open_row["risk.probability"].cause == "damaged"
    assert decided(amount=None).open_row["risk.probability"].cause == "absent"


def test_on_missing_stands_in_for_a_model_in_the_first_reading_only() -> None:
    decision = decided(amount=None)
    assert decision.values["risk.probability"] == 0.9
    assert decision.hits == ("JUDGE-02",) and decision.outcome == "review"
    assert decision.open_row["risk.probability"] != 0.9
    assert decision.possible == ("review", "approve")
    assert decision.settled_by == ("amount",)


def test_on_missing_stands_in_where_the_gate_before_the_model_cannot_be_judged() -> None:
    decision = bank().decide(payment(channel="cash", amount="10000"))  # without history the points are 40 to 100
    assert decision.values["risk.probability"] == 0.9
    assert decision.open_row["risk.probability"].cause == "undecided"
    assert not decision.robust


def test_an_open_interval_is_missing_for_a_model() -> None:
    decision = bank().decide(payment(channel="cash"))  # the score is 0 to 60, and below 100 all the same
    assert decision.open_row["cash.score"].high == 60
    assert decision.open_row["risk.probability"].cause == "undecided"


def test_a_model_that_takes_missing_is_asked_without_the_value() -> None:
    decision = decided(direction=None)
    assert 0 < decision.values["risk.probability"] < 1
    assert "direction" not in decision.settled_by


def test_points_stay_an_interval_through_with_and_settle_what_they_can(small: Any) -> None:
    engine = small({"two": TWO, "points": POINTS}, main="  s: {rules: t/two}\n  v: {rules: t/points, with: {p: 2 * s.score - 20}}")
    assert engine.decide(event(a=1)).possible == ("block",)
    assert engine.decide(event(b=1)).possible == ("block", "review")


def test_the_law_of_steps_holds_for_gated_models_in_both_readings() -> None:
    plan = bank().plan
    rows = [dict(bank().decide(payment(**fields)).row) for fields in PAYMENTS]
    gates = [step for step in (*plan.closed, *plan.open) if isinstance(step, GateStep)]
    assert {step.name for step in gates} == {"geo", "risk", "second"}
    for step in gates:
        check_step(step, [{column: row[column] for column in step.reads} for row in rows], kinds(plan, step))


PAYMENTS = [
    {},
    {"amount": None},
    {"amount": "12,5"},
    {"amount": "30"},
    {"direction": None},
    {"channel": None},
    {"channel": "cash", "amount": "12000"},
    {"channel": "cash"},
]


def kinds(plan: Plan, step: Step) -> dict[str, Any]:
    return {column: plan.types[column] for column in step.reads}


# --- the table of a decision -----------------------------------------------------------------------------------------


def test_score_is_the_points_that_hit_and_the_range_what_they_may_come_to(small: Any) -> None:
    decides = "decide outcome first match\n  review when score >= 40\n  approve otherwise\n"
    engine = small({"v": TWO + 'rule A-3 "c" when c > 0 then score -15 on missing alert\n' + decides}, main="  v: {rules: t/v}")
    decision = engine.decide(event(a=1))
    assert (decision.score, decision.score_range) == (25, (25, 70))
    assert decision.to_dict()["score"] == 25
    assert engine.decide_batch(pl.DataFrame([event(a=1)])).select("score", "score_low", "score_high").rows() == [(25, 25, 70)]


def test_points_that_do_not_merely_add_up_are_explained_and_settled_by_what_can_still_move_them(small: Any) -> None:
    head = "  score max at most 50\n  score at least 45 when flag big and c > 0\n"
    rules = head + TWO + 'rule A-3 "c" when c > 0 then score 70 on missing ignore\n'
    decides = "decide outcome first match\n  block when score >= 50\n  review when score >= 45\n  approve otherwise\n"
    engine = small({"v": rules + decides}, main="  v: {rules: t/v}")
    decision = engine.decide(event(a=1))
    assert (decision.score, decision.score_range, decision.possible) == (40, (40, 50), ("block", "review", "approve"))
    assert decision.settled_by == ("c",)  # 30 points of A-2 cannot lift 40
    assert "score 40 to 45: the most of one rule 40, at least 45 if flag big and c > 0, at most 50" in decision.explain()
    known = engine.decide(event(a=1, b=1, c=1))
    assert (known.score, known.score_range, known.outcome) == (50, (50, 50), "block")
    assert "score 50: the most of one rule 70, at least 45 as flag big and c > 0, at most 50" in known.explain()
    frame = engine.decide_batch(pl.DataFrame([event(a=1), event(a=1, b=1, c=1) | {"id": "other"}]))
    assert frame.select("score", "score_low", "score_high").rows() == [(40, 40, 50), (50, 50, 50)]


def test_a_rule_with_alert_is_both_hit_and_undecided(small: Any) -> None:
    engine = small(
        {"s": 'rule A-1 "a" when a > 0 then score 40 on missing alert\n', "points": POINTS},
        main="  s: {rules: t/s}\n  v: {rules: t/points, with: {p: s.score}}",
    )
    decision = engine.decide(event())
    assert decision.hits == decision.undecided == ("A-1",)
    assert (decision.outcome, decision.possible) == ("review", ("review", "approve"))


def test_two_steps_with_one_rule_id_put_their_names_before_it(small: Any) -> None:
    engine = small(
        {"two": TWO, "points": POINTS},
        main="  one: {rules: t/two}\n  other: {rules: t/two, with: {a: c}}\n  v: {rules: t/points, with: {p: one.score + other.score}}",
    )
    decision = engine.decide(event(a=1, b=0, c=None))
    assert decision.hits == ("one.A-1",) and decision.undecided == ("other.A-1",)
    assert [reason.rule for reason in decision.reasons] == ["one.A-1"]
    assert decision.missing == {"c": "absent"}


def test_a_nested_cascade_puts_its_steps_before_its_ids(small: Any) -> None:
    engine = small(
        {"two": TWO, "points": POINTS},
        inner="  s: {rules: t/two}\n  v: {rules: t/points, with: {p: s.score}}",
        main="  one: {cascade: t/inner}\n  s: {rules: t/two, when: f}\n  v: {rules: t/points, with: {p: one.s.score}}",
    )
    assert engine.decide(event(a=1, b=1, f=False)).hits == ("one.s.A-1", "one.s.A-2")


def test_a_reason_says_at_least_where_history_is_short(small: Any) -> None:
    engine = small(
        {"s": 'feature n = count over 7 days per who\nrule A-1 "a" when n >= 2 then score 60 because "{n} payments"\n', "points": POINTS},
        main="  s: {rules: t/s}\n  v: {rules: t/points, with: {p: s.score}}",
    )
    with engine.open_store() as store:
        first, second = (engine.decide(event(number, who="W"), store=store) for number in (1, 2))
    assert first.unsettled == (("s.n", "short history"),) and first.settled_by == ()
    assert [reason.text for reason in second.reasons] == ["at least 2 payments"]
    assert second.robust


def test_what_a_step_may_still_decide_is_no_output_of_it(small: Any) -> None:
    """Whoever could read it would learn more from knowing less."""
    engine = small(
        {"two": TWO, "points": POINTS},
        inner="  s: {rules: t/two}\n  v: {rules: t/points, with: {p: s.score}}",
        main="  one: {cascade: t/inner}\n  v: {rules: t/points, with: {p: one.s.score}}",
    )
    assert not any("possible" in name for name in engine.decide(event()).values)
    assert not any("possible" in name for name in engine.plan.outputs)


def test_no_outcome_is_robust_that_only_a_policy_gives(small: Any) -> None:
    judge = "input x: flag optional\ndecide outcome first match\n  block when x else false\n  approve otherwise\n"
    engine = small(
        {"s": 'rule A-1 "a" when a > 0 then flag seen on missing alert\n', "judge": judge},
        main="  s: {rules: t/s}\n  v: {rules: t/judge, with: {x: s.flags.seen}}",
    )
    decision = engine.decide(event())
    assert decision.outcome == "block"
    assert set(decision.possible) == {"block", "approve"} and not decision.robust
    assert decision.settled_by == ("a",)
    assert engine.decide_batch(pl.DataFrame([event()])).select("possible", "robust").rows() == [(list(decision.possible), False)]


# --- settled by ------------------------------------------------------------------------------------------------------


def test_settled_by_names_what_the_gate_and_what_stands_behind_it_lack(small: Any) -> None:
    engine = small({"two": TWO, "points": POINTS}, main="  s: {rules: t/two, when: f}\n  v: {rules: t/points, with: {p: s.score}}")
    assert engine.decide(event(b=1)).settled_by == ("a", "f")
    assert engine.decide(event(a=1, b=0)).settled_by == ("f",)


def test_settled_by_looks_into_a_nested_cascade_that_may_not_have_run(small: Any) -> None:
    engine = small(
        {"two": TWO, "points": POINTS},
        inner="  s: {rules: t/two, when: c > 0}\n  v: {rules: t/points, with: {p: s.score}}",
        main="  one: {cascade: t/inner, when: f, with: {a: b}}\n  v: {rules: t/points, with: {p: one.s.score}}",
    )
    assert engine.decide(event()).settled_by == ("b", "c", "f")
    assert engine.decide(event(f=True, c=1)).settled_by == ("b",)


def test_what_a_shut_gate_left_open_no_input_can_settle(small: Any) -> None:
    engine = small({"two": TWO, "points": POINTS}, main="  s: {rules: t/two, when: f}\n  v: {rules: t/points, with: {p: s.score}}")
    decision = engine.decide(event(f=False))
    assert decision.settled_by == ()
    assert decision.unsettled == (("s.score", "skipped"),)


def test_what_no_rule_has_set_no_input_can_settle(small: Any) -> None:
    judge = 'input tier: text\ndecide outcome first match\n  block when tier = "high"\n  approve otherwise\n'
    engine = small(
        {"s": 'rule A-1 "a" when a > 0 then set tier = "high"\n', "judge": judge},
        main="  s: {rules: t/s}\n  v: {rules: t/judge, with: {tier: s.tier}}",
    )
    assert engine.decide(event(a=0)).unsettled == (("s.tier", "no row"),)
    assert engine.decide(event()).settled_by == ("a",)


def test_a_division_by_zero_no_input_can_settle(small: Any) -> None:
    engine = small({"v": "decide outcome first match\n  block when a / b > 1\n  approve otherwise\n"}, main="  v: {rules: t/v}")
    assert engine.decide(event(a=1, b=0)).unsettled == (("a / b", "division by zero"),)
    assert engine.decide(event(a=1)).settled_by == ("b",)


def test_an_optional_input_that_is_not_wired_no_input_can_settle(small: Any) -> None:
    engine = small(
        {"v": "input x: flag optional\ndecide outcome first match\n  block when x\n  approve otherwise\n"}, main="  v: {rules: t/v}"
    )
    assert engine.decide(event()).unsettled == (("v.x", "absent"),)


def test_a_list_with_an_item_that_is_not_known_is_named_itself(small: Any) -> None:
    judge = 'decide outcome first match\n  block when any of l where (it = "x")\n  approve otherwise\n'
    engine = small({"v": judge}, main="  v: {rules: t/v}")
    assert engine.decide(event(l=["y", None])).settled_by == ("l",)
    assert engine.decide(event(l=["x", None])).robust


def test_a_row_that_gives_what_comes_out_without_it_moves_nothing(small: Any) -> None:
    judge = "decide outcome first match\n  block when a > 0\n  approve when b > 0\n  approve otherwise\n"
    engine = small({"v": judge}, main="  v: {rules: t/v}")
    assert engine.decide(event()).settled_by == ("a",)
    assert engine.decide(event(a=0)).robust


def test_what_this_event_does_not_say_of_its_own_history_settles_it(small: Any) -> None:
    feature = "feature n = sum of paid over 7 days per who where f\n"
    engine = small({"v": feature + "decide outcome first match\n  block when n > 5 USD\n  approve otherwise\n"}, main="  v: {rules: t/v}")
    with engine.open_store(history_from="2020-01-01") as store:
        ask = lambda **fields: engine.decide(event(**fields), store=store, record=False)  # noqa: E731
        assert ask(who="W").settled_by == ("f", "paid")
        assert ask(who="W", f=True).settled_by == ("paid",)
        assert ask(who="W", f=False).robust
        assert ask(f=True, paid="9").settled_by == ("who",)
        assert ask(who="W", f=True, paid="9").possible == ("block",)


# --- explain ---------------------------------------------------------------------------------------------------------


def test_a_step_that_was_shut_says_so_and_shows_no_states(small: Any) -> None:
    engine = small(
        {"two": TWO, "points": POINTS},
        main="  s: {rules: t/two, when: b > 0, otherwise: {score: 0}}\n  v: {rules: t/points, with: {p: s.score}}",
    )
    assert block(engine.decide(event(a=1, b=0)).explain(), "s") == ["  skipped: b > 0 is false (b = 0)", "    otherwise score = 0"]


def test_a_step_whose_gate_could_not_be_judged_says_so_and_shows_no_states(small: Any) -> None:
    engine = small({"two": TWO, "points": POINTS}, main="  s: {rules: t/two, when: b > 0}\n  v: {rules: t/points, with: {p: s.score}}")
    lines = block(engine.decide(event(a=1)).explain(), "s")
    assert lines == ["  not judged: b > 0 is not known (b = missing (absent))", "    lacks b (absent)"]


def test_a_step_that_a_policy_let_run_says_what_stood_before(small: Any) -> None:
    engine = small(
        {"one": 'rule B-1 "b" when b > 0 then score 10 on missing alert\n', "two": TWO, "points": POINTS},
        main="  o: {rules: t/one}\n  s: {rules: t/two, when: o.score > 0}\n  v: {rules: t/points, with: {p: s.score}}",
    )
    lines = block(engine.decide(event(a=1)).explain(), "s")
    assert lines[:2] == ["  before policies not judged: o.score > 0 is not known (o.score = 0 to 10)", "    lacks b (absent)"]
    assert lines[2] == "  A-1 hit: a"


def test_a_model_says_what_it_said_or_what_it_lacked() -> None:
    known, lacking = decided(), decided(amount=None)
    assert block(known.explain(), "risk") == [f"  probability = {known.values['risk.probability']}"]
    assert block(lacking.explain(), "risk") == ["  probability = 0.9", "    lacks amount (absent); on_missing says so"]


def test_a_text_the_model_has_no_code_for_is_named(tmp_path: Path) -> None:
    import lightgbm

    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    sample = pl.DataFrame({"amount": [float(n) for n in range(40)], "delivery": ["home", "locker"] * 20})
    data = lightgbm.Dataset(matrix(sample, inputs={"amount": "money GBP"}), [0, 1] * 20)
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 1}, data, 2)
    package_model(booster, name="shop/m", version="1.0.0", sample=sample, folder=tmp_path, inputs={"amount": "money GBP"})
    cascade = tmp_path / "cascades/screening.yaml"
    cascade.write_text(cascade.read_text().replace("steps:", "steps:\n  m: {model: shop/m@1.0.0, with: {delivery: lower(delivery)}}"))
    decision = Engine.load(cascade).decide({"id": "1", "paid_at": "2026-03-06T10:00:00", "amount": 5, "delivery": "download"})
    assert block(decision.explain(), "m") == ["  probability = missing (damaged)", "    the model knows no delivery = download"]


def test_a_hit_that_otherwise_gives_is_no_hit_of_the_rule_and_says_so(small: Any) -> None:
    engine = small(
        {"two": TWO, "points": POINTS},
        main="  s: {rules: t/two, when: f, otherwise: {'hit(\"A-1\")': true}}\n  v: {rules: t/points, with: {p: a}}",
    )
    assert [reason.text for reason in engine.decide(event(f=False, a=0)).reasons] == ["what `otherwise` says"]


def block(explanation: str, step: str) -> list[str]:
    """The lines of one step."""
    (found,) = [part for part in explanation.split("\n\n") if part.startswith(f"{step}: ")]
    return found.split("\n")[1:]


# --- what a step remembers -------------------------------------------------------------------------------------------


def test_a_features_step_reads_by_its_own_names_wherever_it_stands(small: Any) -> None:
    features = "features t/past version 1.0.0\n  record t/event\nfeature n = sum of a over 7 days per who\n"
    reads = 'uses features t/past ^1\nrule A-1 "a" when past.n + a > 5 then score 60\n'
    for order in (
        "  s: {rules: t/s, with: {a: b}}\n  past: {features: t/past}",
        "  past: {features: t/past}\n  s: {rules: t/s, with: {a: b}}",
    ):
        engine = small({"past": features, "s": reads, "points": POINTS}, main=f"{order}\n  v: {{rules: t/points, with: {{p: s.score}}}}")
        with engine.open_store(history_from="2020-01-01") as store:
            assert engine.decide(event(who="W", a=4, b=2), store=store).values["past.n"] == 4


def test_a_rule_set_remembers_under_the_names_it_was_given(small: Any) -> None:
    rules = 'feature n = sum of a over 7 days per who\nrule A-1 "a" when n > 5 then score 60\n'
    engine = small({"s": rules, "points": POINTS}, main="  s: {rules: t/s, with: {a: b}}\n  v: {rules: t/points, with: {p: s.score}}")
    with engine.open_store(history_from="2020-01-01") as store:
        assert engine.decide(event(who="W", a=1, b=9), store=store).values["s.n"] == 9


def test_a_part_of_a_sum_is_no_lower_bound_where_values_may_be_negative(small: Any) -> None:
    other = RECORD.replace("t/event", "t/refund").replace("paid: money USD not negative", "paid: money USD")
    engine = small(
        {"refund": other, "past": "features t/past version 1.0.0\n  record t/event\nfeature n = sum of paid over 7 days per who\n"}
        | {"v": "input n: money USD\ndecide outcome first match\n  block when n > 5 USD\n  approve otherwise\n"},
        main="  past: {features: t/past}\n  v: {rules: t/v, with: {n: past.n}}\n#",
    )
    path = engine.workspace.folder / "cascades" / "main.yaml"
    path.write_text(path.read_text().replace("record: t/event", "record: t/refund"))
    for loaded, possible in ((engine, ("block",)), (Engine.load(path), ("block", "approve"))):
        with loaded.open_store() as store:
            assert loaded.decide(event(who="W", paid="9"), store=store).possible == possible


# --- one engine, many ways -------------------------------------------------------------------------------------------


def test_threads_share_an_engine() -> None:
    engine = bank()
    events = [payment(id=f"T{number}", **PAYMENTS[number % len(PAYMENTS)]) for number in range(160)]
    alone = [engine.decide(one).to_json() for one in events]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: engine.decide(one).to_json(), events))
        frames = list(pool.map(lambda _: engine.decide_batch(pl.DataFrame(events), detail="names"), range(4)))
    assert together == alone
    assert all(frame.equals(frames[0]) for frame in frames)


def test_one_event_sent_twice_is_one_event_and_a_look_leaves_no_trace(small: Any) -> None:
    engine = small(
        {"v": "feature n = count over 7 days per who\ndecide outcome first match\n  block when n > 1\n  approve otherwise\n"},
        main="  v: {rules: t/v}",
    )
    with engine.open_store(history_from="2020-01-01") as store:
        looks = [engine.decide(event(7, who="W"), store=store, record=False) for _ in range(2)]
        first = engine.decide(event(1, who="W"), store=store)
        assert looks[0] == looks[1] and looks[0].values["v.n"] == first.values["v.n"] == 1
        assert engine.decide(event(2, who="W"), store=store).outcome == "block"
        assert engine.decide(event(1, who="W"), store=store) == first


def frames() -> Iterator[Any]:
    rows = [event(1, a=1, b=None), {**event(2), "id": None}, event(3, a=1, b=2), event(3, a=1, b=3)]
    frame = pl.DataFrame(rows)
    yield from (frame, frame.lazy(), frame.to_pandas(), frame.to_arrow())


@pytest.mark.parametrize("place", range(4), ids=["polars", "lazy", "pandas", "arrow"])
def test_every_kind_of_frame_comes_back_with_its_rejects(small: Any, place: int) -> None:
    engine = small({"two": TWO, "points": POINTS}, main="  s: {rules: t/two}\n  v: {rules: t/points, with: {p: s.score}}")
    frame = list(frames())[place]
    result = engine.decide_batch(frame, detail="names", values=True)
    assert type(result).__name__ == ["Decisions", "Decisions", "DataFrame", "Table"][place]
    assert len(result) == 2
    assert list(columns(result, "outcome")) == ["refer", "block"]
    assert [list(hits) for hits in columns(result, "hits")] == [["A-1"], ["A-1", "A-2"]]
    assert list(columns(result, "s.score#")) in (["undecided", None], ["undecided", pytest.approx(float("nan"), nan_ok=True)])
    assert [(reject["row"], reject["reason"]) for reject in rejects(result)] == [
        (1, "key `id` is missing"),
        (3, "an event with `id` = 'E3' was there before with other content"),
    ]


def columns(result: Any, name: str) -> Any:
    return result[name].to_pylist() if hasattr(result, "schema") and hasattr(result, "to_pydict") else result[name].to_list()


def rejects(result: Any) -> list[dict[str, Any]]:
    import json

    if hasattr(result, "attrs"):
        assert result.rejects["row"].tolist() == [reject["row"] for reject in result.attrs["rejects"]]
        return list(result.attrs["rejects"])
    return result.rejects.to_dicts() if hasattr(result, "rejects") else json.loads(result.schema.metadata[b"rejects"])


def test_bits_fill_as_many_words_as_there_are_rules(small: Any) -> None:
    many = "".join(f'rule R-{number} "r" when a > {number} then score 1, flag f{number}\n' for number in range(70))
    engine = small({"v": many + "decide outcome first match\n  block when score > 60\n  approve otherwise\n"}, main="  v: {rules: t/v}")
    frame = pl.DataFrame([event(1, a=66), event(2, a=None)])
    words, names = engine.decide_batch(frame), engine.decide_batch(frame, detail="names")
    for row, named in zip(words.to_dicts(), names.to_dicts(), strict=True):
        for column, order in (("hits", engine.rule_ids), ("undecided", engine.rule_ids), ("flags", engine.flag_names)):
            assert len(row[column]) == 2
            assert [name for place, name in enumerate(order) if row[column][place // 64] >> (place % 64) & 1] == named[column]
    assert names["score"].to_list() == [66, 0]
