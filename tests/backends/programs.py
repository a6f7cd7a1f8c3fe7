"""Small hand-made programs for the tests of the backends."""

from __future__ import annotations

from typing import Any

from engine.lang import ir
from engine.values import FLAG, INTEGER, SCORE, TEXT, Type

BIG = ir.Compare(">=", ir.Read("n", type=INTEGER), ir.Const(3, type=INTEGER))
CASH = ir.Compare("=", ir.Read("channel", type=TEXT), ir.Const("cash", type=TEXT))
TYPES: dict[str, Type] = {"n": INTEGER, "channel": TEXT, "@date": INTEGER}


def rule(id_: str, when: ir.Expr, **more: Any) -> ir.Rule:
    return ir.Rule(id_, f"rule {id_}", when, **more)


def ruleset(*body: ir.Statement, decide: ir.Decide | None = None) -> ir.RuleSet:
    columns = tuple(ir.Column(name, type_) for name, type_ in TYPES.items())
    return ir.RuleSet("t/made", "1.0.0", None, None, (), ir.Use("record", "t/event", None, "event"), (), columns, (), None, body, decide)


def over(points: int) -> ir.Expr:
    return ir.Compare(">=", ir.Read("score", type=SCORE), ir.Const(points, type=INTEGER))


def outputs(made: ir.RuleSet) -> dict[str, Type]:
    types = {column.name: column.type for column in (*made.outputs(), *made.asides())}
    return types | {"@policy": FLAG, "possible": Type("list", item=TEXT)}
