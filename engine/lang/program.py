"""The declarations that rule sets and feature sets share: params, lists, defines and features, typed in the order they need.

`Program` holds what is known of one file while it is checked. It knows nothing of rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lang import ast, fit, history, ir, lists, literals
from engine.lang.arithmetic import describe
from engine.lang.defines import Defines
from engine.lang.environment import Environment, base_scope
from engine.lang.expressions import Typer
from engine.lang.lists import ListValue
from engine.lang.order import Declared, mentioned
from engine.lang.scope import RESERVED, Refusal
from engine.values import SCORE, Type

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report
    from engine.lang.scope import Scope

_OWN_SCORE = Refusal(
    "reads-own-result", "a rule cannot read the `score` of its own rule set", "read it in `decide`, or in a rule set of its own"
)
_OWN_OUTCOME = Refusal("reads-own-result", "`outcome` is what `decide` gives in the end; nothing here can read it")


class Program:
    """One file while it is checked. `scope` is what rules may read, `late` what may also read the score."""

    def __init__(self, tree: ast.File, env: Environment, overrides: Mapping[str, ast.Expr], report: Report) -> None:
        self.tree, self.env, self.overrides, self.report = tree, env, overrides, report
        self.refused: dict[str, Refusal] = {"score": _OWN_SCORE, "outcome": _OWN_OUTCOME}
        self.late_columns: dict[str, Type] = {"score": SCORE}
        self.scope: Scope = replace(base_scope(tree, env, report), refused=self.refused)
        self.late: Scope = replace(self.scope, extra=self.late_columns, refused={"outcome": _OWN_OUTCOME})
        self.nodes: dict[str, Declared] = {}
        self.defines = Defines()
        self.features: dict[str, ir.Feature] = {}
        self.params: dict[str, ir.Const] = {}
        self.names: dict[str, tuple[str, Span]] = {}
        self.history = history.Names(self)

    @property
    def incomplete(self) -> bool:
        """Whether a component it uses was not found or is faulty: what reads it is left out, so that the rest is no whole."""
        return bool(self.scope.silent_prefixes)

    # --- names -------------------------------------------------------------------------------------------------------

    def declare(self, word: ast.Word, what: str) -> bool:
        """Note a name of the file's own; false, with the problem noted, where it is taken or means something already."""
        name = word.text
        if name.partition(".")[0] in RESERVED:
            self.report.error("reserved-name", f"`{name}` has a meaning of its own", word.span, "choose another name")
            return False
        if name in self.names:
            first, span = self.names[name]
            self.report.error(
                "duplicate-name", f"`{name}` is already the name of a {first}", word.span, related=(("it is declared here", span),)
            )
            return False
        if name in self.scope.columns or name in self.scope.lists:
            owner = f"record `{self.env.record.name}`" if "." not in name else "components used here"
            self.report.error("duplicate-name", f"`{name}` is already a name of the {owner}", word.span, "choose another name")
            return False
        self.names[name] = (what, word.span)
        return True

    def collect(self) -> dict[str, Any]:
        """Declare params, lists, inputs, defines and features, and put them into the graph; gives them by name."""
        found: dict[str, Any] = {}
        for node in self.tree.declarations:
            match node:
                case ast.Param():
                    self._node(found, node, "param", [value.value for value in node.values])
                case ast.ListDecl() if node.name is not None:
                    self._node(found, node, "list", [value.value for value in node.values])
                case ast.Define():
                    self._node(found, node, "define", [node.value])
                case ast.Feature():
                    self._node(found, node, "feature", [node.value])
                case ast.Input():
                    if self.declare(node.name, "input"):
                        self._input(node)
        return found

    def _node(self, found: dict[str, Any], node: Any, what: str, reads: list[Any]) -> None:
        if self.declare(node.name, what):
            found[node.name.text] = node
            self.nodes[node.name.text] = Declared(f"{what} `{node.name.text}`", node.name.span, mentioned(*reads))

    def _input(self, node: ast.Input) -> None:
        type_ = literals.type_of(node.type, self.report)
        if type_ is not None and type_.kind == "money" and not (type_.currency or type_.by):
            message = "an input of money needs its currency"
            self.report.error("money-currency", message, node.type.span, "write `money USD`, or `money by` the field that holds it")
            type_ = None
        if type_ is None:
            self.scope.silent.add(node.name.text)
        else:
            # a cascade may wire in what is only known between two bounds, like a score while rules are undecided
            self.scope.columns[node.name.text] = replace(
                type_, interval=type_.kind in ("integer", "number", "money", "percent", "duration")
            )

    # --- one declaration at a time, in order -------------------------------------------------------------------------

    def check(self, name: str, node: Any, is_late: bool = False) -> None:
        """Type one declaration; where it is faulty, what reads it stays quiet."""
        match node:
            case ast.Param():
                done = self._param(node)
            case ast.ListDecl():
                done = self._list(node)
            case ast.Define():
                done = self._define(node, is_late)
            case _:
                done = self._feature(node)
        if not done:
            self.scope.silent.add(name)

    def _param(self, node: ast.Param) -> bool:
        value = self._value(node.values, "a param")
        type_ = literals.type_of(node.type, self.report) if node.type is not None else None
        if value is None or (node.type is not None and type_ is None):
            return False
        name = node.name.text
        constant = Typer(self.scope, self.report).constant(self.overrides.get(name, value), f"the param `{name}`")
        if constant is None:
            return False
        if type_ is not None:
            constant = Typer(self.scope, self.report).fitted(constant, type_, f"the param `{name}`")
        if constant is None:
            return False
        self.params[name] = self.scope.constants[name] = replace(constant, name=name)
        return True

    def _value(self, values: tuple[ast.Dated, ...], what: str) -> ast.Expr | None:
        if values and values[0].effective is not None:
            self.report.error("not-yet", f"{what} with dates comes with a later release of the language", values[0].effective.span)
            return None
        return values[0].value if values else None

    def _list(self, node: ast.ListDecl) -> bool:
        name = node.name.text if node.name is not None else ""
        value = list_value(node, self, self.env.folder, self.env.workspace)
        if value is None:
            return False
        self.scope.lists[name] = replace(value, name=name)
        return True

    def _define(self, node: ast.Define, is_late: bool) -> bool:
        name = node.name.text
        value = Typer(self.late if is_late else self.scope, self.report).typed(node.value)
        if value is None:
            return False
        self.defines.add(ir.Define(name, value, node.title))
        if is_late:
            self.late_columns[name] = value.type
        elif isinstance(value, ir.Const):
            self.scope.constants[name] = replace(value, name=name)
        else:
            self.scope.columns[name] = value.type
        return True

    def _feature(self, node: ast.Feature) -> bool:
        feature = history.feature(node, self)
        if feature is None:
            return False
        self.features[feature.name] = feature
        self.scope.columns[feature.name] = feature.type
        self.history.add_feature(feature)
        return True

    def warn_unused(self, kinds: tuple[str, ...]) -> None:
        """Point out what is declared and read by nobody."""
        for name, (what, span) in self.names.items():
            if what in kinds and name not in self.scope.used and name not in self.scope.silent:
                self.report.warning("never-used", f"the {what} `{name}` is never used", span, "delete it, or use it")


def list_value(node: ast.ListDecl, program: Program, folder: Any, workspace: Any) -> ListValue | None:
    """The values of a list declaration, from the text or from its file; none with the problem noted."""
    if node.file is not None:
        return lists.read_column(program.report, node.span, node.file, node.column, folder, workspace)
    value = program._value(node.values, "a list")
    return written_list(value, Typer(program.scope, program.report)) if value is not None else None


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
        values.add(made.value)
    return ListValue("", None, replace(type_, choices=None), frozenset(values))
