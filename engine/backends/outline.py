"""What the two fast backends both ask of a program before they compile it: where intervals and causes can turn up, and in what order.

It knows neither generated code nor frames.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.backends.reference import late
from engine.lang import ir
from engine.lang.builtins import BUILTINS
from engine.values import Interval


def may_open(expr: ir.Expr) -> bool:
    """Whether the value may be an open interval. Looks at the parts, so that it holds whatever the node's own type says."""
    match expr:
        case ir.Read() | ir.Item():
            return expr.type.interval
        case ir.Const():
            return expr.value.__class__ is Interval
        case ir.Quantifier():
            return expr.kind == "number"
        case ir.Else():
            return may_open(expr.fallback)
        case ir.Convert():
            return may_open(expr.item)
        case ir.Dated():
            return any(map(may_open, expr.items))
        case ir.Call():
            return BUILTINS[expr.function].interval is not None and any(map(may_open, expr.args))
    return False


def caused(ruleset: ir.RuleSet) -> frozenset[str]:
    """The names whose cause can reach an output: those that sets and the outputs of tables read, through defines. Anywhere else only
    *that* a value is missing matters, for rules, flags and decide rows know no other cause than `undecided`."""
    defines = ruleset.defines
    queue = [name for s in ruleset.body if isinstance(s, ir.Set) for _, value in s.values for name in ir.reads(value)]
    queue += [name for table in ruleset.tables for value in table.values() for name in ir.reads(value)]
    found: set[str] = set()
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += ir.reads(defines[name]) if name in defines else ()
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Outline:
    """A rule set in the order in which it runs: `early` statements, then `score`, then `behind`, which read it, then `decide`.

    `caused` are the names whose cause matters, `defines` the values of all defines.
    """

    early: tuple[ir.Statement, ...]
    behind: tuple[ir.Statement, ...]
    caused: frozenset[str]
    defines: dict[str, ir.Expr]


def outline(ruleset: ir.RuleSet) -> Outline:
    """The `Outline` of a rule set."""
    names = late(ruleset)
    early: list[ir.Statement] = []
    behind: list[ir.Statement] = []
    for statement in ruleset.body:
        waits = not names.isdisjoint(ir.written(statement))
        (behind if waits else early).append(statement)
    return Outline(tuple(early), tuple(behind), caused(ruleset), ruleset.defines)
