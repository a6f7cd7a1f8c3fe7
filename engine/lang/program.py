"""What is known of one file while it is checked: its names, and what stands for them so far. It types nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from engine.lang import ast, dated, ir
from engine.lang.dated import Fixed
from engine.lang.defines import Defines, Inlined
from engine.lang.entries import Days
from engine.lang.environment import Environment, base_scope
from engine.lang.names import NO_MATCH, PARTS
from engine.lang.scope import RESERVED, Refusal
from engine.values import SCORE, Type

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.order import Declared
    from engine.lang.problems import Report
    from engine.lang.scope import Scope

T = TypeVar("T")

_OWN_SCORE = Refusal(
    "reads-own-result", "a rule cannot read the `score` of its own rule set", "read it in `decide`, or in a rule set of its own"
)
_OWN_OUTCOME = Refusal("reads-own-result", "`outcome` is what `decide` gives in the end; nothing here can read it")
_NO_MATCH = dict.fromkeys(PARTS, NO_MATCH)


class Program:
    """One file while it is checked. `scope` is what rules may read, `late` what may also read the score."""

    def __init__(self, tree: ast.File, env: Environment, overrides: Mapping[str, ast.Expr], report: Report) -> None:
        self.tree, self.env, self.overrides, self.report = tree, env, overrides, report
        self.refused: dict[str, Refusal] = {"score": _OWN_SCORE, "outcome": _OWN_OUTCOME, **_NO_MATCH}
        self.late_columns: dict[str, Type] = {"score": SCORE}
        self.scope: Scope = replace(base_scope(tree, env, report), refused=self.refused)
        self.late: Scope = replace(self.scope, extra=self.late_columns, refused={"outcome": _OWN_OUTCOME, **_NO_MATCH})
        self.nodes: dict[str, Declared] = {}
        self.defines = Defines()
        self.features: dict[str, ir.Feature] = {}
        self.keys: dict[int, tuple[ir.Expr, ...] | None] = {}
        self.params: dict[str, Fixed] = {}
        self.names: dict[str, tuple[str, Span]] = {}
        self.day: int | None = None
        """The day for which lengths are taken, where a feature or `once` has other ones on other days."""
        self.history = Names(self)

    @property
    def incomplete(self) -> bool:
        """Whether a component it uses was not found or is faulty: what reads it is left out, so that the rest is no whole."""
        return bool(self.scope.silent_prefixes)

    # --- days --------------------------------------------------------------------------------------------------------

    def stretches(self, names: Iterable[str]) -> list[Days]:
        """The stretches of days in which all constants of these names are in force, and each is the same all along."""
        values = [value for name in names if isinstance(value := self.scope.constants.get(name), ir.Dated)]
        found = dated.by_day(lambda *there: ir.Const(tuple(one.value for one in there)), *values)
        return [days for days, _ in found or ()]

    def for_each(self, stretches: Iterable[Days], make: Callable[[], T | None]) -> list[tuple[Days, T]] | None:
        """What `make` gives with the lengths of each stretch of days, each problem noted once; none where it gives none."""
        found: list[tuple[Days, T]] = []
        for days in stretches:
            self.day = None if days == (None, None) else dated.a_day(days)
            made = make()
            self.day = None
            if made is None:
                return None
            found.append((days, made))
        self.report.found[:] = dict.fromkeys(self.report.found)
        return found

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

    def warn_unused(self, kinds: tuple[str, ...]) -> None:
        """Point out what is declared and read by nobody."""
        for name, (what, span) in self.names.items():
            if what in kinds and name not in self.scope.used and name not in self.scope.silent:
                self.report.warning("never-used", f"the {what} `{name}` is never used", span, "delete it, or use it")


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
