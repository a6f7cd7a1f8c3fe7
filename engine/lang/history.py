"""Features over history: aggregates and what their rows may read, typed. It computes nothing; windows are run elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.lang import ast, fit, ir, judge
from engine.lang.arithmetic import describe
from engine.lang.defines import Inlined
from engine.lang.environment import record_use
from engine.lang.expressions import Typer
from engine.lang.scope import Refusal
from engine.values import DAY, Type

if TYPE_CHECKING:
    from engine.lang.program import Program
    from engine.lang.scope import Scope

_FUNCTIONS = {"count": "count", "count of distinct": "distinct", "sum": "sum", "max": "max"}
_LONGEST_DAYS = 36_525
_KEYS = ("text", "integer", "date", "datetime", "flag", "percent", "duration")


class Names:
    """What features may read: in rows of history the record's fields, in formulas also the features before them; defines are put in."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.fields: dict[str, Type] = {f.name: f.type for f in program.env.record.fields}
        self._columns = dict(self.fields)
        self._rows, self._formulas = Inlined(program.defines, self.fields), Inlined(program.defines, self._columns)

    def add_feature(self, feature: ir.Feature) -> None:
        self._columns[feature.name] = feature.type

    def rows(self) -> Scope:
        """The names a row of history can be asked for."""
        refused = _Refusals(self._program, "history holds the record's fields only")
        return replace(self._program.scope, columns=self.fields, inlined=self._rows, refused=refused)

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
        return (
            name.startswith(("this.", "flags.", "hit("))
            or name in self._program.names
            or name in self._program.scope.columns
            or name == "score"
        )

    def __getitem__(self, name: str) -> Refusal:
        if name.startswith("this."):
            return Refusal("not-yet", "comparing rows of history with this event comes with a later release of the language")
        defines = self._program.defines
        if name in defines and defines.too_much(defines[name]):
            return Refusal("too-deep", f"`{name}` stands for too much to be looked up in every row of history", "use simpler defines here")
        return Refusal(
            "not-in-history", f"`{name}` cannot be read here: {self._why}", "make a feature of the rest, and join them in a rule"
        )


def feature(node: ast.Feature, program: Program) -> ir.Feature | None:
    """One typed feature, or none with the problems noted."""
    if isinstance(node.value, ast.Aggregate):
        made = _aggregate(node.value, program)
        if made is None:
            return None
        value, type_ = made
        return ir.Feature(node.name.text, type_, value, node.title, span=node.span)
    formula = Typer(program.history.formulas(), program.report).typed(node.value)
    if formula is None:
        return None
    return ir.Feature(node.name.text, replace(formula.type, scale=1), formula, node.title, span=node.span)


def _aggregate(node: ast.Aggregate, program: Program) -> tuple[ir.Aggregate, Type] | None:
    if node.needs is not None:
        program.report.error("not-yet", f"`needs {node.needs}` comes with a later release of the language", node.span)
    typer = Typer(program.history.rows(), program.report)
    of = typer.typed(node.of) if node.of is not None else None
    where = typer.condition(node.where, "the condition of a feature") if node.where is not None else None
    window = _window(node.window, program)
    per = _keys(node, program)
    if window is None or per is None or (node.of is not None and of is None) or (node.where is not None and where is None):
        return None
    if where is not None:
        _warn_undecided(where, node, program)
    function = _FUNCTIONS[node.function]
    declared = {field.name for field in program.env.record.fields if field.not_negative}
    bounded = of is not None and function == "sum" and judge.never_negative(of, declared)
    type_ = _result(function, of, bounded, node, program)
    return None if type_ is None else (ir.Aggregate(function, of, window, per, where, bounded), type_)


def _result(function: str, of: ir.Expr | None, bounded: bool, node: ast.Aggregate, program: Program) -> Type | None:
    if of is None or function in ("count", "distinct"):
        if of is not None and of.type.kind == "list":
            program.report.error("aggregate-type", f"values of {describe(of.type)} cannot be counted", of.span)
            return None
        return Type("integer", interval=True)
    fitting = ("integer", "number", "money", "percent", "duration") if function == "sum" else fit.ORDERED
    if of.type.kind not in fitting:
        what = "added up" if function == "sum" else "put in order"
        program.report.error(
            "aggregate-type", f"values of {describe(of.type)} cannot be {what}", of.span if node.of is None else node.of.span
        )
        return None
    return replace(of.type, scale=1, interval=bounded or function == "max")


def _window(node: ast.Window, program: Program) -> ir.Window | None:
    length = Typer(program.scope, program.report).constant(node.length, "the length of a window")
    if length is None:
        return None
    if length.type.kind not in ("duration", "months"):
        hint = "write its unit, like `7 days`"
        program.report.error("bad-window", f"the length of a window is a duration, this is {describe(length.type)}", node.length.span, hint)
        return None
    value, months = length.value, length.type.kind == "months"
    if value <= 0 or value > (1200 if months else _LONGEST_DAYS * DAY):
        limit = "longer than nothing" if value <= 0 else "at most 100 years long"
        program.report.error("bad-window", f"a window is {limit}", node.length.span)
        return None
    if months:
        return ir.Window(node.kind, value, "months")
    if program.history.fields.get(program.env.record.time, Type("datetime")).kind != "date":
        return ir.Window(node.kind, value, "microseconds")
    if value % DAY:
        program.report.error("bad-window", "the record's time is a date, so windows are whole days long", node.length.span)
        return None
    return ir.Window(node.kind, value // DAY, "days")


def _keys(node: ast.Aggregate, program: Program) -> tuple[str, ...] | None:
    names: list[str] = []
    scope = program.history.rows()
    for key in node.per:
        type_ = program.history.fields.get(key.path)
        if type_ is None:
            if key.path in scope.refused:
                scope.explain(key.path, key.span, program.report)
            else:
                hint = program.report.suggest(key.path, program.history.fields)
                program.report.error("unknown-name", f"there is no field `{key.path}`", key.span, hint)
        elif type_.kind not in _KEYS and type_.currency is None:  # money of one currency is a whole number, and as good a key
            program.report.error(
                "key-type",
                f"`{key.path}` is {describe(type_)}; history is kept per text, integer, date, flag or money of one currency",
                key.span,
            )
        elif key.path in names:
            program.report.error("duplicate-name", f"`{key.path}` stands twice in the key", key.span)
        else:
            names.append(key.path)
    return tuple(names) if len(names) == len(node.per) else None


def _warn_undecided(where: ir.Expr, node: ast.Aggregate, program: Program) -> None:
    """Point out fields that may stay away and would leave the condition open."""
    optional = {field.name for field in program.env.record.fields if field.optional}
    for name in sorted(ir.reads(where) & optional):
        if judge.lacking(where, name):
            span = node.where.span if node.where is not None else node.span
            hint = f"add `and {name} is known`, or `or {name} is missing`"
            program.report.warning("where-undecided", f"where `{name}` is missing nobody knows whether a row counts", span, hint)


def feature_set(program: Program) -> ir.FeatureSet | None:
    """The file's features as one set, in an order in which each comes after those it reads; none where there are none."""
    from_record = program.env.record
    features = tuple(program.features.values())
    read: set[str] = {from_record.time}
    for one in features:
        value = one.value
        if isinstance(value, ir.Aggregate):
            read.update(value.per)
            parts = [part for part in (value.of, value.where) if part is not None]
        else:
            parts = [value]
        for part in parts:
            read |= ir.reads(part) | {node.type.by for node in ir.walk(part) if node.type.by}
    fields = tuple(ir.Column(f.name, f.type, f.optional, f.title) for f in from_record.fields if f.name in read)
    return ir.FeatureSet(
        program.tree.name.text, program.tree.version.text, record_use(program.tree, program.env), fields, features, program.tree.title
    )
