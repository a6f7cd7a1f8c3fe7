"""Features over history: what they may read, and all those of a file as one set. It computes nothing; windows are run elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.lang import aggregates, ast, ir, networks
from engine.lang.defines import Inlined
from engine.lang.environment import record_use
from engine.lang.expressions import Typer
from engine.lang.scope import Refusal

if TYPE_CHECKING:
    from engine.lang.program import Program
    from engine.lang.scope import Scope
    from engine.values import Type


class Names:
    """What features may read: in rows of history the record's fields, in formulas also the features before them; defines are put in."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.fields: dict[str, Type] = {f.name: f.type for f in program.env.record.fields}
        self._columns = dict(self.fields)
        self._rows, self._formulas = Inlined(program.defines, self.fields), Inlined(program.defines, self._columns)

    def add_feature(self, feature: ir.Feature) -> None:
        self._columns[feature.name] = feature.type

    def rows(self, *, this: bool = False) -> Scope:
        """The names a row of history can be asked for; with `this`, also the fields of the event that looks, as ``this.FIELD``."""
        refused = _Refusals(self._program, "history holds the record's fields only")
        extra = {f"this.{name}": type_ for name, type_ in self.fields.items()} if this else {}
        return replace(self._program.scope, columns=self.fields, inlined=self._rows, refused=refused, extra=extra)

    def formulas(self) -> Scope:
        """The names a feature that is no aggregate can read."""
        refused = _Refusals(self._program, "a feature reads the record's fields and the features of its own file")
        return replace(self._program.scope, columns=self._columns, inlined=self._formulas, refused=refused)


class _Refusals(dict[str, Refusal]):
    """Refuses every name the file or the components around it do have, saying why."""

    def __init__(self, program: Program, why: str) -> None:
        super().__init__()
        self._program, self._why = program, why

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or self._program.scope.is_silent(name):
            return False
        return name.startswith(("flags.", "hit(")) or name in self._program.names or name in self._program.scope.columns or name == "score"

    def __getitem__(self, name: str) -> Refusal:
        defines = self._program.defines
        if name in defines and defines.too_much(defines[name]):
            return Refusal("too-deep", f"`{name}` stands for too much to be looked up in every row of history", "use simpler defines here")
        return Refusal(
            "not-in-history", f"`{name}` cannot be read here: {self._why}", "make a feature of the rest, and join them in a rule"
        )


def feature(node: ast.Feature, program: Program) -> ir.Feature | None:
    """One typed feature, or none with the problems noted."""
    if isinstance(node.value, ast.Aggregate | ast.Network):
        made = aggregates.aggregate(node.value, program) if isinstance(node.value, ast.Aggregate) else networks.network(node.value, program)
        if made is None:
            return None
        value, type_ = made
        return ir.Feature(node.name.text, type_, value, node.title, span=node.span)
    formula = Typer(program.history.formulas(), program.report).typed(node.value)
    if formula is None:
        return None
    return ir.Feature(node.name.text, replace(formula.type, scale=1), formula, node.title, span=node.span)


def feature_set(program: Program) -> ir.FeatureSet | None:
    """The file's features as one set, in an order in which each comes after those it reads; none where there are none."""
    from_record = program.env.record
    features = tuple(program.features.values())
    read: set[str] = {from_record.time}
    for one in features:
        read |= _aggregate_reads(one.value) if isinstance(one.value, ir.Aggregate) else _expression_reads(one.value)
    fields = tuple(ir.Column(f.name, f.type, f.optional, f.title) for f in from_record.fields if f.name in read)
    return ir.FeatureSet(
        program.tree.name.text, program.tree.version.text, record_use(program.tree, program.env), fields, features, program.tree.title
    )


def _aggregate_reads(value: ir.Aggregate) -> set[str]:
    """The fields an aggregate reads, of rows of history and of this event."""
    read = {*value.per, *value.matched} | ({value.window.field} if value.window.field is not None else set())
    for part in (value.of, value.where, value.among, value.window.event):
        if part is not None:
            read |= {name.removeprefix("this.") for name in _expression_reads(part)}
    return read if value.inner is None else read | _aggregate_reads(value.inner)


def _expression_reads(expr: ir.Expr) -> set[str]:
    return ir.reads(expr) | {node.type.by for node in ir.walk(expr) if node.type.by}
