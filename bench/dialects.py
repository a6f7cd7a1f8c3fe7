"""The rules of Workload W as every other contender says them. All answer alike: a rule that cannot be judged is clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.workload import HIGH_RISK, All, Any_, Between, Compare, Condition, Listed, Not, Prefix, Ratio, Unknown, Workload

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
    columns = [name for name in _columns() if f"{name} " in text or f"{name}." in text]
    lines = ["def decide(event):", *(f"    {name} = event[{name!r}]" for name in columns), "    score, hits = 0, []"]
    for rule, condition in conditions.items():
        lines += [f"    if {condition}:", f"        score += {rule.points}", f"        hits.append({rule.id!r})"]
    lines += [f"    outcome = 'block' if score >= {work.block} else 'review' if score >= {work.review} else 'approve'"]
    space: dict[str, Any] = {"HIGH_RISK": frozenset(HIGH_RISK)}
    exec("\n".join([*lines, "    return outcome, score, hits"]), space)
    found: Callable[[Mapping[str, Any]], tuple[str, int, list[str]]] = space["decide"]
    return found


def _columns() -> tuple[str, ...]:
    from bench.workload import COLUMNS

    return COLUMNS
