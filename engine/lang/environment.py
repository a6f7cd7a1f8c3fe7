"""What stands around a file: its record, and the feature sets, lists and rule sets it uses, already checked. It finds nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.lang import ast, ir
from engine.lang.lists import ListValue
from engine.lang.scope import Scope
from engine.rates import Rates
from engine.record import Record
from engine.reference_table import ReferenceTable
from engine.values import DATETIME

if TYPE_CHECKING:
    from engine.lang.problems import Report
    from engine.values import Type


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """The templates of one component, by name."""

    templates: Mapping[str, ast.RuleTemplate]


@dataclass(frozen=True, slots=True)
class Environment:
    """The components a file may refer to, by path (`aml/profile`); those that were not found are not in it and reported already.

    `folder` is where the file lies, for lists beside it; nothing outside `workspace` is read.
    """

    record: Record
    features: Mapping[str, ir.FeatureSet] = field(default_factory=dict)
    lists: Mapping[str, ListValue] = field(default_factory=dict)
    folder: Path | None = None
    workspace: Path | None = None
    tables: Mapping[str, ReferenceTable] = field(default_factory=dict)
    rates: Mapping[str, Rates] = field(default_factory=dict)
    rulesets: Mapping[str, ir.RuleSet] = field(default_factory=dict)
    templates: Mapping[str, TemplateSet] = field(default_factory=dict)


NO_RATES = "rates of "
"""Stands among the prefixes of lost components where the rates are lost."""


def alias(path: str) -> str:
    """The name before the dot by which a component's parts are read: the last part of its path.

    >>> alias("aml/profile")
    'profile'
    """
    return path.rpartition("/")[2]


def called(node: ast.Uses) -> str:
    """What a component is called here before the dot."""
    return node.called.text if node.called is not None else alias(node.path)


def use(node: ast.Uses) -> ir.Use:
    return ir.Use(node.kind, node.path, node.range, called(node))


def record_use(tree: ast.File, env: Environment) -> ir.Use:
    """How the file names its record."""
    named = next((node for node in tree.uses if node.kind == "record"), None)
    return use(named) if named is not None else ir.Use("record", env.record.name, None, alias(env.record.name))


def states(path: str, rules: ir.RuleSet) -> dict[str, Type]:
    """What another rule set gives its readers, by the names under which they read it: ``cash.score``, ``cash.hit("CASH-01")``."""
    return {f"{alias(path)}.{column.name}": column.type for column in rules.outputs()}


def list_name(path: str) -> str:
    """A list's full dotted name.

    >>> list_name("geo/high_risk")
    'geo.high_risk'
    """
    return path.replace("/", ".")


def base_scope(tree: ast.File, env: Environment, report: Report) -> Scope:
    """The names that come from outside: fields, `now`, features, lists and rates that are used, and what other rule sets give their
    readers. Columns of tables are declared later, for they need what holds the key."""
    columns = {f.name: f.type for f in env.record.fields}
    if env.record.time in columns:
        columns["now"] = columns[env.record.time]
    lists: dict[str, ListValue] = {}
    lost: list[str] = []
    seen: dict[str, ast.Uses] = {}
    for node in tree.uses:
        name = list_name(node.path) if node.kind == "list" else called(node) + "."
        if node.kind in ("record", "rates") or not _once(name, node, seen, report):
            continue
        if node.kind == "list":
            _use_list(node, name, env, lists, lost)
        elif node.path in env.features:
            columns.update({name + feature.name: feature.type for feature in env.features[node.path].features})
        elif node.path in env.rulesets:
            columns.update(states(node.path, env.rulesets[node.path]))
        elif node.path not in env.tables and node.path not in env.templates:
            lost.append(name)
    rates, time = _rates(tree, env, lost, report), columns.get("now", DATETIME)
    return Scope(zone=env.record.zone, time=time, columns=columns, lists=lists, silent_prefixes=tuple(lost), rates=rates)


def _rates(tree: ast.File, env: Environment, lost: list[str], report: Report) -> Rates | None:
    """The rates that are used, of one component only; where they were not found what reads them stays quiet."""
    found = [node for node in tree.uses if node.kind == "rates"]
    for node in found[1:]:
        message = "amounts are converted by the rates of one component, and here is a second"
        report.error("duplicate-rates", message, node.span, "keep one of them", (("the first is here", found[0].span),))
    if found and found[0].path not in env.rates:
        lost.append(NO_RATES)
    return env.rates.get(found[0].path) if found else None


def _use_list(node: ast.Uses, name: str, env: Environment, lists: dict[str, ListValue], lost: list[str]) -> None:
    if node.path in env.lists:
        lists[name] = env.lists[node.path]
    else:
        lost.append(name)


def _once(name: str, node: ast.Uses, seen: dict[str, ast.Uses], report: Report) -> bool:
    if name not in seen:
        seen[name] = node
        return True
    message = f"`{node.path}` and `{seen[name].path}` would both be called `{name.rstrip('.')}`"
    report.error("duplicate-name", message, node.span, related=(("the first is here", seen[name].span),))
    return False
