"""From the syntax tree to the typed program, with every problem of a file at once: the entry to the meaning of the language.

Each function gives what it made, or none when a problem stops it, and all problems found. It reads no files but lists, tables and rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.diagnostics import Diagnostic, in_order
from engine.lang import ast, declarations, ir, rate_files, records, reference_tables
from engine.lang.cases import Invariant, TestCase
from engine.lang.environment import Environment, TemplateSet, list_name
from engine.lang.expectations import cases
from engine.lang.expressions import Typer
from engine.lang.history import feature_set
from engine.lang.lists import ListValue
from engine.lang.order import ordered
from engine.lang.problems import Report
from engine.lang.program import Program
from engine.lang.ruleset import RuleSetCheck
from engine.lang.scope import Scope
from engine.lang.slots import template_set
from engine.lang.templates import expanded
from engine.lang.translate import speaking
from engine.lang.words import load_words
from engine.record import Record

if TYPE_CHECKING:
    from engine.rates import Rates
    from engine.reference_table import ReferenceTable
    from engine.values import Type

__all__ = [
    "Environment",
    "Invariant",
    "ListValue",
    "TestCase",
    "check_expression",
    "check_features",
    "check_invariants",
    "check_list",
    "check_rates",
    "check_record",
    "check_ruleset",
    "check_table",
    "check_templates",
    "check_tests",
]

_NONE: Mapping[str, ast.Expr] = MappingProxyType({})


def check_record(tree: ast.File) -> tuple[Record | None, list[Diagnostic]]:
    """The record a `record` file declares."""
    report = Report()
    records.check_places(tree, report)
    record = records.record(tree, report)
    return (None if report.failed else record), _told(tree, report)


def check_list(tree: ast.File, folder: Path | None = None, workspace: Path | None = None) -> tuple[ListValue | None, list[Diagnostic]]:
    """The values of a `list` file: written out, or from a CSV column. The file's path is relative to `folder` and stays in `workspace`."""
    report = Report()
    records.check_places(tree, report)
    declared = [node for node in tree.declarations if isinstance(node, ast.ListDecl)]
    if len(declared) != 1:
        message = "a list file holds one list" if declared else "this list has no values"
        report.error("list-body", message, tree.name.span, 'write `values (...)`, or `from "file.csv" column "name"`')
        return None, _told(tree, report)
    value = declarations.list_value(declared[0], Typer(Scope(), report), folder, workspace)
    if value is None or report.failed:
        return None, _told(tree, report)
    return replace(value, name=list_name(tree.name.text), version=tree.version.text), _told(tree, report)


def check_table(
    tree: ast.File, folder: Path | None = None, workspace: Path | None = None
) -> tuple[ReferenceTable | None, list[Diagnostic]]:
    """The reference table of a `table` file, loaded from the file it names, whose path is relative to `folder` and stays in `workspace`."""
    report = Report()
    records.check_places(tree, report)
    found = reference_tables.table(tree, report, folder, workspace)
    return (None if report.failed else found), _told(tree, report)


def check_rates(tree: ast.File, folder: Path | None = None, workspace: Path | None = None) -> tuple[Rates | None, list[Diagnostic]]:
    """The exchange rates of a `rates` file, as `check_table`."""
    report = Report()
    records.check_places(tree, report)
    found = rate_files.rates(tree, report, folder, workspace)
    return (None if report.failed else found), _told(tree, report)


def check_features(tree: ast.File, env: Environment) -> tuple[ir.FeatureSet | None, list[Diagnostic]]:
    """The features of a `features` file."""
    report = Report()
    records.check_places(tree, report)
    program = Program(tree, env, _NONE, report)
    declared = declarations.collect(program)
    order, broken = ordered(program.nodes, report)
    program.scope.silent.update(broken)
    for name in order:
        declarations.check(program, name, declared[name])
    program.warn_unused(("param", "list", "define"))
    return (None if report.failed or program.incomplete else feature_set(program)), _told(tree, report)


def check_ruleset(
    tree: ast.File, env: Environment, overrides: Mapping[str, ast.Expr] = _NONE
) -> tuple[ir.RuleSet | None, list[Diagnostic]]:
    """The rule set of a `ruleset` file; `overrides` give params other values, as a test may."""
    report = Report()
    program, check = _begun(tree, env, overrides, report)
    checked = check.run()
    return (None if report.failed or program.incomplete else checked), _told(tree, report)


def check_templates(tree: ast.File) -> tuple[TemplateSet | None, list[Diagnostic]]:
    """The templates of a `templates` file. What their conditions mean is told where rules are made from them."""
    report = Report()
    records.check_places(tree, report)
    found, _ = template_set([node for node in tree.declarations if isinstance(node, ast.RuleTemplate)], report)
    return (None if report.failed else found), _told(tree, report)


def _begun(tree: ast.File, env: Environment, overrides: Mapping[str, ast.Expr], report: Report) -> tuple[Program, RuleSetCheck]:
    """A rule set about to be checked, the rules made from templates written out."""
    records.check_places(tree, report)
    made = expanded(tree, env, report)
    program = Program(made.tree, env, overrides, report)
    program.scope.silent.update(made.lost)
    program.scope.used.update(made.read)
    return program, RuleSetCheck(program)


def check_invariants(tree: ast.File, env: Environment) -> tuple[Invariant, ...]:
    """What a rule set that checks says must hold of every event."""
    if not any(isinstance(node, ast.Never | ast.Trend) for node in tree.declarations):
        return ()
    check = _begun(tree, env, _NONE, Report())[1]
    check.run()
    return check.invariants


def _told(tree: ast.File, report: Report) -> list[Diagnostic]:
    """What was found, with the keywords it quotes in the words of the file."""
    words = load_words("en" if tree.language is None else tree.language.text)
    return in_order(speaking(report.found, words, sure=False))


def check_expression(expr: ast.Expr, columns: Mapping[str, Type], file: str, zone: str = "UTC") -> tuple[ir.Expr | None, list[Diagnostic]]:
    """An expression over any dotted columns, as `when` and `with` of a cascade are; `zone` is the record's.

    `file` names the place of problems whose expression has none of its own.
    """
    report = Report()
    typed = Typer(Scope(zone=zone, columns=dict(columns)), report).typed(expr)
    found = [replace(one, span=replace(one.span, file=one.span.file or file)) for one in report.found]
    return (None if report.failed else typed), in_order(found)


def check_tests(tree: ast.File, ruleset: ir.RuleSet, env: Environment) -> tuple[tuple[TestCase, ...], list[Diagnostic]]:
    """The typed cases of every `test`, `story` and `examples` of a rule set; faulty ones are left out and reported."""
    report = Report()
    found = cases(tree, ruleset, env, report)
    return found, _told(tree, report)
