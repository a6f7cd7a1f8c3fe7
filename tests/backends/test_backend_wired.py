"""Circuits over frames: texts of all kinds, frames cut out of others, thresholds at their edges, workspaces as without circuits."""

import math
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine import Engine
from engine.backends import columnar, columnar_bits, reference
from engine.lang import ir
from engine.values import FLAG, INTEGER, NUMBER, SCORE, TEXT, Type, missing
from tests.backends.programs import outputs, rule, ruleset

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ABSENT = missing("absent")
N, X, T = ir.Read("n", type=INTEGER), ir.Read("x", type=NUMBER), ir.Read("t", type=TEXT)
TYPES = {"n": INTEGER, "x": NUMBER, "t": TEXT}


def text(value):
    return ir.Const(value, type=TEXT)


def wired(made, rows, frame=None):
    """What a circuit gives for each row."""
    with patch.object(columnar, "WIRED_FROM", 0):
        found = columnar.compile_rules(made)(columnar.pack(rows, TYPES) if frame is None else frame)
    return columnar.unpack(found, outputs(made))


def given(n=ABSENT, x=ABSENT, t=ABSENT):
    return {"n": n, "x": x, "t": t}


STARTS = rule("S", ir.Call("starts_with", (T, text("AB")), type=FLAG), points=5)
LISTED = rule("L", ir.In(T, frozenset({"AB1", "a text of more than twelve letters"})), points=7)


@pytest.mark.parametrize("most", [2, 50_000], ids=["too many to code", "coded"])
@pytest.mark.parametrize("tail", ["", " and more letters than fit"])
def test_texts_of_any_length_and_number(most, tail, monkeypatch):
    monkeypatch.setattr(columnar_bits, "MOST", most)
    rows = [given(t=f"{('AB', 'CD', 'é')[at % 3]}{at % 7}{tail}") for at in range(1_000)] + [given(), given(t="")]
    made = ruleset(STARTS, LISTED)
    assert wired(made, rows) == [reference.run(made, row) for row in rows]


def test_a_frame_cut_out_of_another():
    rows = [given(n=at if at % 5 else missing("damaged"), t=f"AB{at}" if at % 3 else missing("late")) for at in range(500)]
    made = ruleset(STARTS, LISTED, rule("N", ir.Compare(">", N, ir.Const(250, type=INTEGER)), points=-3), rule("K", ir.IsMissing(N)))
    for begin, length in ((0, 500), (3, 61), (64, 64), (77, 130), (499, 1), (500, 0)):
        found = wired(made, rows, columnar.pack(rows, TYPES).slice(begin, length))
        assert found == [reference.run(made, row) for row in rows[begin : begin + length]]


@pytest.mark.parametrize("op", ["=", "!=", "<", "<=", ">", ">="])
def test_thresholds_at_their_edges(op):
    whole = [0, -1, 3, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]
    broken = [0.0, -0.5, 3.0, 2.5, float(2**53), 5e-324, -5e-324, 1.7e308, -1.7e308]
    broken += [math.nextafter(value, way) for value in (2.5, 3.0) for way in (-math.inf, math.inf)]
    rules = [rule(f"N{at}", ir.Compare(op, N, ir.Const(value, type=INTEGER))) for at, value in enumerate(whole)]
    rules += [rule(f"M{at}", ir.Compare(op, N, ir.Const(value, type=NUMBER))) for at, value in enumerate(broken)]
    rules += [rule(f"X{at}", ir.Compare(op, X, ir.Const(value, type=NUMBER))) for at, value in enumerate(broken)]
    rules += [rule(f"Y{at}", ir.Compare(op, X, ir.Const(value, type=INTEGER))) for at, value in enumerate(whole)]
    rows = [given(n=value) for value in whole] + [given(x=value) for value in broken] + [given()]
    made = ruleset(*rules)
    assert wired(made, rows) == [reference.run(made, row) for row in rows]


def test_more_facts_than_a_word_has_bits():
    rules = [rule(f"R{at}", ir.Compare(">", N, ir.Const(at, type=INTEGER)), points=at % 9 - 4) for at in range(200)]
    rows = [given(n=at) for at in range(0, 210, 3)] + [given()]
    made = ruleset(
        *rules, decide=ir.Decide((("stop", ir.Compare(">", ir.Read("score", type=SCORE), ir.Const(10, type=INTEGER))), ("go", None)))
    )
    assert wired(made, rows) == [reference.run(made, row) for row in rows]


def test_what_other_statements_read_ends_one_circuit_and_begins_another():
    made = ruleset(
        STARTS,
        rule("N", ir.Compare(">", N, ir.Const(3, type=INTEGER)), points=2),
        ir.Set("tier", TEXT, (("S", text("high")), ("N", text("low")))),
        rule("T", ir.Compare("=", ir.Read("tier", type=TEXT), text("high")), points=4),
        rule("B", ir.And((ir.Read(ir.hit("N")), ir.Not(ir.Read(ir.hit("T")))))),
    )
    rows = [given(n=n, t=t) for n in (1, 5, missing("late")) for t in ("AB", "CD", ABSENT)]
    assert wired(made, rows) == [reference.run(made, row) for row in rows]


def test_what_was_computed_is_compared_as_it_stands():
    usd = Type("money", currency="USD")
    amount, total, more = ir.Read("amount", type=usd), ir.Read("total", type=usd), ir.Read("more", type=INTEGER)
    made = ruleset(
        ir.Define("total", ir.Call("money+money", (amount, amount), type=usd)),
        ir.Define("more", ir.Call("integer+integer", (N, N), type=INTEGER)),
        rule("T", ir.Compare(">", total, ir.Const(5, type=usd)), points=2),
        rule("M", ir.IsMissing(total)),
        rule("N", ir.Compare(">", more, ir.Const(5, type=INTEGER)), points=3),
    )
    numbers = (1, 3, 2**62, -9, 2**63 - 1, missing("late"))
    rows = [{"amount": amount, "n": n} for amount in numbers for n in numbers]
    frame = columnar.pack(rows, {"amount": usd, "n": INTEGER})
    assert wired(made, rows, frame) == [reference.run(made, row) for row in rows]


@pytest.mark.parametrize("detail", ["bits", "names"])
def test_a_whole_workspace_decides_as_without(detail):
    engine = Engine.load(EXAMPLES / "purchase_cards" / "cascades" / "audit.yaml")
    frame = pl.read_csv(EXAMPLES / "purchase_cards" / "2014-04.csv.gz", infer_schema=False)
    found = []
    for worth_it in (0, 10**9):
        with patch.object(columnar, "WIRED_FROM", worth_it):
            found.append(pl.DataFrame(engine.decide_batch(frame, detail=detail, values=True)))
    assert_frame_equal(*found)
