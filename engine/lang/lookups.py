"""Columns of reference tables under the names a file reads them by: each is a define that looks its key up at the event's time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.lang import ast, ir
from engine.lang.arithmetic import describe
from engine.lang.environment import called
from engine.lang.expressions import Typer
from engine.lang.order import Declared
from engine.reference_table import ReferenceTable

if TYPE_CHECKING:
    from engine.lang.program import Program


@dataclass(frozen=True, slots=True)
class Looked:
    """One column of a table that is used, under the name it is read by."""

    name: str
    use: ast.Uses
    table: ReferenceTable
    column: str


def declared(program: Program) -> Iterator[tuple[str, Looked]]:
    """Every column of every table that is used, put into the graph; those that nobody reads are left out in the end."""
    for use in program.tree.uses:
        table = program.env.tables.get(use.path) if use.kind == "table" else None
        if table is None or not _fits(program, use, table):
            continue
        for column in table.columns:
            name = f"{called(use)}.{column}"
            if name in program.scope.columns:
                owner = f"the record `{program.env.record.name}`"
                program.report.error(
                    "duplicate-name", f"`{name}` is already a name of {owner}", use.span, "call the table otherwise: `as NAME`"
                )
                continue
            program.nodes[name] = Declared(f"`{name}`", use.span, {key.path for key in use.by})
            yield name, Looked(name, use, table, column)


def _fits(program: Program, use: ast.Uses, table: ReferenceTable) -> bool:
    """Whether the use names as many parts of a key as the table has; else its names stay quiet."""
    if len(use.by) == len(table.key):
        return True
    message = f"the table `{table.name}` is looked up by {_listed(table.key)}, and `by` names {_count(len(use.by))}"
    program.report.error("table-key", message, use.span, "name one value for each column of its key, in that order")
    program.scope.silent.update(f"{called(use)}.{column}" for column in table.columns)
    return False


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _count(number: int) -> str:
    return "one value" if number == 1 else f"{number} values"


def define(program: Program, node: Looked, is_late: bool) -> bool:
    """Type one column as a define; false, with the problem noted once for the whole table, where its key does not fit."""
    keys = _keys(program, node, is_late)
    if keys is None:
        return False
    table, time = node.table, program.scope.time
    at = ir.Read("now", type=time) if table.dated else None
    column = table.columns[node.column]
    value = ir.Lookup(table, node.column, keys, at, program.scope.zone, node.name, type=column.type, span=node.use.span)
    program.defines.add(ir.Define(node.name, value, column.title))
    (program.late_columns if is_late else program.scope.columns)[node.name] = column.type
    return True


def _keys(program: Program, node: Looked, is_late: bool) -> tuple[ir.Expr, ...] | None:
    if id(node.use) not in program.keys:
        typer = Typer(program.late if is_late else program.scope, program.report)
        made = [_key(typer, name, node.table, column) for name, column in zip(node.use.by, node.table.key, strict=True)]
        program.keys[id(node.use)] = None if None in made else tuple(key for key in made if key is not None)
    return program.keys[id(node.use)]


def _key(typer: Typer, name: ast.Name, table: ReferenceTable, column: str) -> ir.Expr | None:
    key = typer.typed(name)
    if key is None:
        return None
    wanted = table.columns[column].type
    if key.type.kind == wanted.kind:
        return key
    message = f"`{name.path}` is {describe(key.type)}, and the key `{column}` of `{table.name}` is {describe(wanted)}"
    typer.report.error("table-key", message, name.span)
    return None


def unused(program: Program) -> set[str]:
    """The columns that nobody reads."""
    looked = {name for name, define in program.defines.statements.items() if isinstance(define.value, ir.Lookup)}
    own = {f"{called(use)}." for use in program.tree.uses if use.kind == "table"}
    return {name for name in looked - program.scope.used if name.startswith(tuple(own))}
