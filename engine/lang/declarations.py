"""The declarations that rule sets and feature sets share: params, lists, defines, inputs and features, typed in the order they need.

It knows nothing of rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lang import ast, effective, fit, history, ir, lists, literals, lookups
from engine.lang.arithmetic import describe
from engine.lang.dated import Fixed, is_fixed
from engine.lang.entries import Days
from engine.lang.expressions import Typer, join
from engine.lang.fit import joined
from engine.lang.lists import Held, ListValue
from engine.lang.order import Declared, mentioned
from engine.values import TEXT, Type

if TYPE_CHECKING:
    from pathlib import Path

    from engine.lang.program import Program


def collect(program: Program) -> dict[str, Any]:
    """Declare params, lists, inputs, defines and features, and put them into the graph; gives them by name."""
    found: dict[str, Any] = dict(lookups.declared(program))
    for node in program.tree.declarations:
        match node:
            case ast.Param():
                _node(program, found, node, "slot" if node.slot else "param", [value.value for value in node.values])
            case ast.ListDecl() if node.name is not None:
                _node(program, found, node, "list", [value.value for value in node.values])
            case ast.Define():
                _node(program, found, node, "define", [node.value])
            case ast.Feature():
                _node(program, found, node, "feature", [node.value])
            case ast.Input():
                if program.declare(node.name, "input"):
                    _input(program, node)
    return found


def _node(program: Program, found: dict[str, Any], node: Any, what: str, reads: list[Any]) -> None:
    if program.declare(node.name, what):
        found[node.name.text] = node
        program.nodes[node.name.text] = Declared(f"{what} `{node.name.text}`", node.name.span, mentioned(*reads))


def _input(program: Program, node: ast.Input) -> None:
    type_ = literals.type_of(node.type, program.report)
    if type_ is not None and type_.kind == "money" and not (type_.currency or type_.by):
        message = "an input of money needs its currency"
        program.report.error("money-currency", message, node.type.span, "write `money USD`, or `money by` the field that holds it")
        type_ = None
    if type_ is None:
        program.scope.silent.add(node.name.text)
    else:
        # a cascade may wire in what is only known between two bounds, like a score while rules are undecided
        program.scope.columns[node.name.text] = replace(type_, interval=type_.kind in ("integer", "number", "money", "percent", "duration"))


# --- one declaration at a time, in order -----------------------------------------------------------------------------


def check(program: Program, name: str, node: Any, is_late: bool = False) -> None:
    """Type one declaration; where it is faulty, what reads it stays quiet."""
    match node:
        case ast.Param():
            done = _param(program, node)
        case ast.ListDecl():
            done = _list(program, node)
        case ast.Define():
            done = _define(program, node, is_late)
        case lookups.Looked():
            done = lookups.define(program, node, is_late)
        case _:
            done = _feature(program, node)
    if not done:
        program.scope.silent.add(name)


def _param(program: Program, node: ast.Param) -> bool:
    name = node.name.text
    what = node.slot or f"the param `{name}`"
    type_ = literals.type_of(node.type, program.report) if node.type is not None else None
    value = _param_value(program, node, what)
    if value is None or (node.type is not None and type_ is None):
        return False
    if type_ is not None:
        fitted = Typer(program.scope, program.report).fit_fixed(value, type_, what)
        if fitted is None:
            return False
        value = fitted
    program.params[name] = program.scope.constants[name] = replace(value, name=name)
    return True


def _param_value(program: Program, node: ast.Param, what: str) -> Fixed | None:
    """Its value, or each of its values in its days; what a test says instead holds on all days."""
    typer = Typer(program.scope, program.report)
    if node.name.text in program.overrides:
        return typer.fixed(program.overrides[node.name.text], what)
    if len(node.values) == 1 and node.values[0].effective is None:
        return typer.fixed(node.values[0].value, what)
    found = [typer.constant(value.value, what) for value in node.values]
    days = effective.together(what, [v.effective for v in node.values], [v.span for v in node.values], program.report)
    constants = [one for one in found if one is not None]
    if days is None or len(constants) < len(found):
        return None
    wanted = join([one.type for one in constants])
    if wanted is None:
        kinds = " and ".join(dict.fromkeys(describe(one.type) for one in constants))
        program.report.error("param-type", f"the values of {what} are of one type, here stand {kinds}", node.name.span)
        return None
    made = [typer.fitted(one, wanted.exact(), what) for one in constants]
    return None if None in made else joined(sorted(zip(days, [one for one in made if one], strict=True), key=_start), constants[0])


def _start(one: tuple[Days, ir.Expr]) -> int:
    return one[0][0] or 0


def _list(program: Program, node: ast.ListDecl) -> bool:
    name = node.name.text if node.name is not None else ""
    value = list_value(node, Typer(program.scope, program.report), program.env.folder, program.env.workspace)
    if value is None:
        return False
    program.scope.lists[name] = replace(value, name=name)
    return True


def list_value(node: ast.ListDecl, typer: Typer, folder: Path | None, workspace: Path | None) -> ListValue | None:
    """The values of a list declaration, from the text or from its files; none with the problem noted."""
    parts = node.files or node.values
    what = f"the list `{node.name.text}`" if node.name is not None else "this list"
    read = [lists.read_file(typer.report, file, folder, workspace) for file in node.files]
    written = written_list([value.value for value in node.values], typer) if node.values else None
    days = effective.together(what, [part.effective for part in parts], [part.span for part in parts], typer.report)
    if days is None or None in read or (node.values and written is None):
        return None
    type_, values = written if written is not None else (TEXT, [one[0] for one in read if one is not None])
    ids = frozenset[tuple[str, str]]().union(*(one[1] for one in read if one is not None))
    return ListValue("", None, type_, tuple(sorted(zip(days, values, strict=True), key=lambda one: one[0][0] or 0)), ids)


def _define(program: Program, node: ast.Define, is_late: bool) -> bool:
    name = node.name.text
    value = Typer(program.late if is_late else program.scope, program.report).typed(node.value)
    if value is None:
        return False
    program.defines.add(ir.Define(name, value, node.title))
    if is_late:
        program.late_columns[name] = value.type
    elif is_fixed(value):
        program.scope.constants[name] = replace(value, name=name)
    else:
        program.scope.columns[name] = value.type
    return True


def _feature(program: Program, node: ast.Feature) -> bool:
    made = history.feature(node, program)
    if made is None:
        return False
    program.features.update((one.name, one) for one in made)
    program.scope.columns[made[-1].name] = made[-1].type
    program.history.add_feature(made[-1])
    return True


def written_list(written: Sequence[ast.Expr], typer: Typer) -> tuple[Type, list[Held]] | None:
    """Lists written out in the text: constants of one type, one set of them for each text; none with the problem noted."""
    rows = [value.items if isinstance(value, ast.Tuple) else (value,) for value in written]
    found = [[typer.constant(item, "a list") for item in row] for row in rows]
    constants = [constant for row in found for constant in row if constant is not None]
    if len(constants) < sum(map(len, rows)):
        return None
    type_ = fit.settled(constants[0]).type
    made = {id(constant): _listed(constant, type_, typer) for constant in constants}
    if None in made.values():
        return None
    held: list[Held] = [frozenset(made[id(constant)].value for constant in row) for row in found]  # type: ignore[union-attr]  # none is none
    return replace(type_, choices=None), held


def _listed(constant: ir.Const, type_: Type, typer: Typer) -> ir.Const | None:
    """A value of a list whose first has this type; none with the problem noted."""
    made = fit.to_type(constant, type_)
    if made is None:
        message = f"a list holds values of one type, here stand {describe(type_)} and {describe(constant.type)}"
        typer.report.error("list-type", message, constant.span)
        return None
    space = lists.edge(made.value) if type_.kind == "text" else None
    if space is not None:
        typer.report.warning("edge-space", space, constant.span, "if that is meant, leave it so")
    return made
