"""Law 1: reference == single == columnar, on random typed programs over random rows, causes and both readings included."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backends import columnar, reference, single
from engine.lang import ir
from engine.lang.builtins import BUILTINS
from engine.values import FLAG, TEXT, Type
from tests.properties.strategies import FUZZ, ROW_TYPES, TYPES, Maker, Values, program, row

SEEDS = st.integers(0, 2**63)
HEIGHTS = st.sampled_from((0, 1, 2, 3, 5, 40))
"""Empty frames, single rows, few, and enough to be looked through for equal ones."""


def shown(value: object) -> str:
    """Bit for bit: `repr` tells 1 from 1.0 and True, 0.0 from -0.0, a cause from another."""
    return repr(value)


def some_rows(values: Values, height: int) -> list[dict[str, object]]:
    """Rows of which many are equal, if they are many."""
    rows = [row(values) for _ in range(min(height, 6))]
    return [rows[i % 6] | {"flag_a": values.known(FLAG)} for i in range(height)] if height > 6 else rows


def output_types(ruleset: ir.RuleSet) -> dict[str, Type]:
    types = {column.name: column.type for column in (*ruleset.outputs(), *ruleset.asides())}
    return types | {"@policy": FLAG, "possible": Type("list", item=TEXT)}


@settings(max_examples=400 * FUZZ, deadline=None, derandomize=FUZZ == 1)
@given(SEEDS, st.integers(1, 10), HEIGHTS)
def test_rule_sets(seed: int, size: int, height: int) -> None:
    values = Values(Random(seed))
    for _ in range(4):
        ruleset = program(values, size)
        rows = some_rows(values, height)
        frame = columnar.pack(rows, ROW_TYPES)
        for open_ in (False, True):
            wanted = [reference.run(ruleset, one, open_) for one in rows]
            compiled = single.compile_rules(ruleset, open_)
            assert list(map(shown, map(compiled, rows))) == list(map(shown, wanted))
            run = columnar.compile_rules(ruleset, open_)
            for rows_worth_a_circuit in (0, 10_000):
                with patch.object(columnar, "WIRED_FROM", rows_worth_a_circuit):
                    found = run(frame)
                assert list(map(shown, columnar.unpack(found, output_types(ruleset)))) == list(map(shown, wanted))


@settings(max_examples=100 * FUZZ, deadline=None, derandomize=FUZZ == 1)
@given(SEEDS, st.integers(0, 5), HEIGHTS)
def test_expressions(seed: int, depth: int, height: int) -> None:
    values = Values(Random(seed))
    maker = Maker(values, dict(ROW_TYPES))
    rows = some_rows(values, height)
    expressions = {f"{kind}{i}": maker.expr(kind, depth) for kind in TYPES for i in range(3)}
    expressions |= {f"fine{i}": maker.expr(kind, depth, 10**8) for i, kind in enumerate(("money", "bymoney") * 3)}
    for expr in expressions.values():
        compiled = single.compile_expr(expr)
        assert [shown(compiled(one)) for one in rows] == [shown(reference.evaluate(expr, one)) for one in rows]
    found = columnar.compile_exprs(expressions)(columnar.pack(rows, ROW_TYPES))
    types = {name: replace(expr.type, scale=1) for name, expr in expressions.items()}
    wanted = [{name: reference.stored(expr, one) for name, expr in expressions.items()} for one in rows]
    assert list(map(shown, columnar.unpack(found, types))) == list(map(shown, wanted))


def test_every_builtin_and_node_is_made() -> None:
    """The programs the laws are tested on leave nothing out."""
    values = Values(Random(1))
    seen: set[str] = set()
    for _ in range(1500):
        for statement in program(values, 8).body:
            exprs = [statement.value] if isinstance(statement, ir.Define) else []
            exprs += [statement.when] if isinstance(statement, ir.Rule) else []
            for node in (node for expr in exprs for node in ir.walk(expr)):
                seen.add(node.function if isinstance(node, ir.Call) else type(node).__name__)
    nodes = {"Const", "Read", "Compare", "And", "Or", "Not", "IsMissing", "In", "Else", "Quantifier", "Item", "Dated", "Listed"}
    nodes |= {"Resembles", "Match", "Lookup", "Convert"}
    assert {*BUILTINS, *nodes} <= seen
