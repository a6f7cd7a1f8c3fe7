"""The rules of Workload W as every other contender says them. All answer alike: a rule that cannot be judged is clear."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from bench.workload import COLUMNS, HIGH_RISK, All, Any_, Between, Compare, Condition, Listed, Not, Prefix, Ratio, Unknown, Workload

# --- negation at the leaves ------------------------------------------------------------------------------------------

_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def leaves(node: Condition) -> Condition:
    """The condition with every `Not` pushed down to a comparison, or standing before a leaf that has no opposite."""
    if not isinstance(node, Not):
        parts = node.items if isinstance(node, All | Any_) else ()
        return type(node)(tuple(map(leaves, parts))) if isinstance(node, All | Any_) else node
    match node.item:
        case Compare(column, op, value):
            return Compare(column, _OPPOSITE[op], value)
        case All(items):
            return Any_(tuple(leaves(Not(item)) for item in items))
        case Any_(items):
            return All(tuple(leaves(Not(item)) for item in items))
        case Not(item):
            return leaves(item)
    return node


# --- plain Python, as somebody would write it by hand ----------------------------------------------------------------


def python(node: Condition, *, guarded: bool) -> str:
    """A condition of local names; `guarded` looks first whether a value is there."""
    match node:
        case All() | Any_():
            word = " and " if isinstance(node, All) else " or "
            return word.join(f"({text})" if isinstance(item, All | Any_) else text for item, text in _parts(node, guarded))
        case Not(Listed(column)):
            return _there(column, f"{column} not in HIGH_RISK", guarded)
        case Not(item):
            raise TypeError(f"no opposite of {item}")
        case Compare(column, op, bool() as value):
            return f"{column} is {value if op == '=' else not value}"
        case Compare(column, "=", str() as value):
            return f"{column} == {value!r}"
        case Compare(column, op, value):
            return _there(column, f"{column} {op if op[0] in '<>' else '!='} {value!r}", guarded)
        case Between(column, low, high):
            return _there(column, f"{low} <= {column} <= {high}", guarded)
        case Listed(column):
            return f"{column} in HIGH_RISK"
        case Prefix(column, text):
            return _there(column, f"{column}.startswith({text!r})", guarded)
        case Ratio(top, bottom, value):
            return _there(top, _there(bottom, f"{bottom} != 0 and {top} / {bottom} > {value}", guarded), guarded)
        case Unknown(column):
            return f"{column} is None"


def _parts(node: All | Any_, guarded: bool) -> list[tuple[Condition, str]]:
    return [(item, python(item, guarded=guarded)) for item in node.items]


def _there(column: str, text: str, guarded: bool) -> str:
    return f"{column} is not None and {text}" if guarded else text


def by_hand(work: Workload, *, guarded: bool = True) -> Callable[[Mapping[str, Any]], tuple[str, int, list[str]]]:
    """One plain function of an event: outcome, score, ids of the rules hit. Without `guarded` nothing may be missing."""
    conditions = {rule: python(leaves(rule.when), guarded=guarded) for rule in work.rules}
    text = " ".join(conditions.values())
    columns = [name for name in COLUMNS if f"{name} " in text or f"{name}." in text]
    lines = ["def decide(event):", *(f"    {name} = event[{name!r}]" for name in columns), "    score, hits = 0, []"]
    for rule, condition in conditions.items():
        lines += [f"    if {condition}:", f"        score += {rule.points}", f"        hits.append({rule.id!r})"]
    lines += [f"    outcome = 'block' if score >= {work.block} else 'review' if score >= {work.review} else 'approve'"]
    space: dict[str, Any] = {"HIGH_RISK": frozenset(HIGH_RISK)}
    exec("\n".join([*lines, "    return outcome, score, hits"]), space)
    found: Callable[[Mapping[str, Any]], tuple[str, int, list[str]]] = space["decide"]
    return found


# --- ZEN and rule-engine -----------------------------------------------------------------------------------------------


def expression(node: Condition, *, zen: bool) -> str:
    """A condition as ZEN writes it, or as rule-engine does; both need to be told that a value must be there."""
    match node:
        case All(items) | Any_(items):
            word = " and " if isinstance(node, All) else " or "
            return word.join(f"({expression(item, zen=zen)})" for item in items)
        case Not(Listed(column)):
            return f"{column} != null and not ({expression(node.item, zen=zen)})"
        case Compare(column, op, bool() as value):
            return f"{column} == {str(value if op == '=' else not value).lower()}"
        case Compare(column, "=", str() as value):
            return f'{column} == "{value}"'
        case Compare(column, op, str() as value):
            return f'{column} != null and {column} != "{value}"'
        case Compare(column, op, value):
            return f"{column} != null and {column} {'==' if op == '=' else op} {value}"
        case Between(column, low, high):
            return f"{column} != null and {column} >= {low} and {column} <= {high}"
        case Listed(column):
            return f"{column} in [" + ", ".join(f'"{one}"' for one in HIGH_RISK) + "]"
        case Prefix(column, text):
            return f"{column} != null and " + (f'startsWith({column}, "{text}")' if zen else f'{column} =~ "^{text}.*"')
        case Ratio(top, bottom, value):
            return f"{top} != null and {bottom} != null and {bottom} != 0 and {top} / {bottom} > {value}"
        case Unknown(column):
            return f"{column} == null"
    raise TypeError(f"no words for {node}")


def zen_list(work: Workload) -> str:
    """All rules in one ZEN expression, a list: the points of those that are hit, else nothing."""
    return "[" + ", ".join(f"({expression(leaves(rule.when), zen=True)}) ? {rule.points} : 0" for rule in work.rules) + "]"


def zen_table(work: Workload) -> dict[str, Any]:
    """All rules as a ZEN decision table that collects every row that applies."""
    place = {"position": {"x": 0, "y": 0}}
    rows = [{"_id": rule.id, "when": expression(leaves(rule.when), zen=True), "hit": f'"{rule.id}"'} for rule in work.rules]
    table = {"hitPolicy": "collect", "inputs": [{"id": "when", "name": "when"}], "outputs": [{"id": "hit", "name": "hit", "field": "hit"}]}
    nodes = [
        {"id": "in", "type": "inputNode", "name": "in", **place},
        {"id": "table", "type": "decisionTableNode", "name": "table", "content": {**table, "rules": rows}, **place},
        {"id": "out", "type": "outputNode", "name": "out", **place},
    ]
    edges = [{"id": f"{a}-{b}", "sourceId": a, "targetId": b, "type": "edge"} for a, b in (("in", "table"), ("table", "out"))]
    return {"nodes": nodes, "edges": edges}


# --- SQL and polars ----------------------------------------------------------------------------------------------------


def sql(node: Condition) -> str:
    """A condition in SQL, whose NULL leaves it open as ours does."""
    match node:
        case All(items) | Any_(items):
            return (" AND " if isinstance(node, All) else " OR ").join(f"({sql(item)})" for item in items)
        case Not(item):
            return f"NOT ({sql(item)})"
        case Compare(column, op, bool() as value):
            return column if value is (op == "=") else f"NOT {column}"
        case Compare(column, op, str() as value):
            return f"{column} {'=' if op == '=' else '<>'} '{value}'"
        case Compare(column, op, value):
            return f"{column} {op} {value}"
        case Between(column, low, high):
            return f"{column} BETWEEN {low} AND {high}"
        case Listed(column):
            return f"{column} IN (" + ", ".join(f"'{one}'" for one in HIGH_RISK) + ")"
        case Prefix(column, text):
            return f"starts_with({column}, '{text}')"
        case Ratio(top, bottom, value):
            return f"{bottom} <> 0 AND {top} / {bottom} > {value}"
        case Unknown(column):
            return f"{column} IS NULL"


def sql_query(work: Workload, table: str) -> str:
    """One query: outcome, score, and the hits as bits, 64 rules to a word, in the order of the rows."""
    flags = ", ".join(f"coalesce({sql(rule.when)}, false) AS r{n}" for n, rule in enumerate(work.rules))
    score = " + ".join(f"CASE WHEN r{n} THEN {rule.points} ELSE 0 END" for n, rule in enumerate(work.rules))
    words = [
        " | ".join(
            f"CASE WHEN r{n} THEN {1 << n % 64}::UBIGINT ELSE 0::UBIGINT END" for n in range(first, min(first + 64, len(work.rules)))
        )
        for first in range(0, len(work.rules), 64)
    ]
    hits = ", ".join(f"{word} AS hits_{n}" for n, word in enumerate(words))
    outcome = f"CASE WHEN score >= {work.block} THEN 'block' WHEN score >= {work.review} THEN 'review' ELSE 'approve' END AS outcome"
    inner = f"SELECT row, {flags} FROM {table}"
    scored = f"SELECT row, {score} AS score, {hits} FROM ({inner})"
    return f"SELECT {outcome}, score, {', '.join(f'hits_{n}' for n in range(len(words)))} FROM ({scored}) ORDER BY row"


def polars_conditions(work: Workload, ask: Callable[[Condition], Any]) -> list[Any]:
    """Every rule as a polars expression without nulls; `ask` says how a condition without parts is asked."""

    def made(node: Condition) -> Any:
        match node:
            case All(items) | Any_(items):
                found = made(items[0])
                for item in items[1:]:
                    found = found & made(item) if isinstance(node, All) else found | made(item)
                return found
            case Not(item):
                return ~made(item)
        return ask(node)

    return [made(rule.when).fill_null(False) for rule in work.rules]


def polars_leaf(node: Condition) -> Any:
    """A condition without parts over plain columns."""
    import polars as pl

    match node:
        case Compare(column, op, value):
            left = pl.col(column)
            return {"=": left == value, "!=": left != value}[op] if op in ("=", "!=") else _ORDER[op](left, value)
        case Between(column, low, high):
            return pl.col(column).is_between(low, high)
        case Listed(column):
            return pl.col(column).is_in(list(HIGH_RISK))
        case Prefix(column, text):
            return pl.col(column).str.starts_with(text)
        case Ratio(top, bottom, value):
            return (pl.col(bottom) != 0) & (pl.col(top) / pl.col(bottom) > value)
        case Unknown(column):
            return pl.col(column).is_null()
    raise TypeError(f"not a leaf: {node}")


_ORDER: dict[str, Callable[[Any, Any], Any]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
