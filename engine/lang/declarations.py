"""The declarations that rule sets and feature sets share: params, lists, defines, inputs and features, typed in the order they need.

It knows nothing of rules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lang import ast, fit, history, ir, lists, literals, lookups
from engine.lang.arithmetic import describe
from engine.lang.expressions import Typer
from engine.lang.lists import ListValue
from engine.lang.order import Declared, mentioned

if TYPE_CHECKING:
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
    value = _value(program, node.values, "a param")
    type_ = literals.type_of(node.type, program.report) if node.type is not None else None
    if value is None or (node.type is not None and type_ is None):
        return False
    name = node.name.text
    what = node.slot or f"the param `{name}`"
    constant = Typer(program.scope, program.report).constant(program.overrides.get(name, value), what)
    if constant is None:
        return False
    if type_ is not None:
        constant = Typer(program.scope, program.report).fitted(constant, type_, what)
    if constant is None:
        return False
    program.params[name] = program.scope.constants[name] = replace(constant, name=name)
    return True


def _value(program: Program, values: tuple[ast.Dated, ...], what: str) -> ast.Expr | None:
    if values and values[0].effective is not None:
        program.report.error("not-yet", f"{what} with dates comes with a later release of the language", values[0].effective.span)
        return None
    return values[0].value if values else None


def _list(program: Program, node: ast.ListDecl) -> bool:
    name = node.name.text if node.name is not None else ""
    value = _list_value(program, node)
    if value is None:
        return False
    program.scope.lists[name] = replace(value, name=name)
    return True


def _list_value(program: Program, node: ast.ListDecl) -> ListValue | None:
    """The values of a list declaration, from the text or from its file; none with the problem noted."""
    if node.file is not None:
        return lists.read_column(program.report, node.span, node.file, node.column, program.env.folder, program.env.workspace)
    value = _value(program, node.values, "a list")
    return written_list(value, Typer(program.scope, program.report)) if value is not None else None


def _define(program: Program, node: ast.Define, is_late: bool) -> bool:
    name = node.name.text
    value = Typer(program.late if is_late else program.scope, program.report).typed(node.value)
    if value is None:
        return False
    program.defines.add(ir.Define(name, value, node.title))
    if is_late:
        program.late_columns[name] = value.type
    elif isinstance(value, ir.Const):
        program.scope.constants[name] = replace(value, name=name)
    else:
        program.scope.columns[name] = value.type
    return True


def _feature(program: Program, node: ast.Feature) -> bool:
    feature = history.feature(node, program)
    if feature is None:
        return False
    program.features[feature.name] = feature
    program.scope.columns[feature.name] = feature.type
    program.history.add_feature(feature)
    return True


def written_list(value: ast.Expr, typer: Typer) -> ListValue | None:
    """A list written out in the text: constants of one type."""
    items = value.items if isinstance(value, ast.Tuple) else (value,)
    constants = [typer.constant(item, "a list") for item in items]
    if any(constant is None for constant in constants):
        return None
    first = next(constant for constant in constants if constant is not None)
    type_ = fit.settled(first).type
    values = set()
    for constant in constants:
        made = fit.to_type(constant, type_) if constant is not None else None
        if constant is None or made is None:
            span = constant.span if constant is not None else value.span
            kinds = f"{describe(type_)} and {describe(constant.type)}" if constant is not None else describe(type_)
            typer.report.error("list-type", f"a list holds values of one type, here stand {kinds}", span)
            return None
        space = lists.edge(made.value) if type_.kind == "text" else None
        if space is not None:
            typer.report.warning("edge-space", space, constant.span, "if that is meant, leave it so")
        values.add(made.value)
    return ListValue("", None, replace(type_, choices=None), frozenset(values))
