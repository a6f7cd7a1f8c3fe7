"""Expressions as Python source: the text of functions, the constants they name, and one identifier for every column.

What is not inlined here is called in `values` and `reference`.
"""

from __future__ import annotations

import builtins
import itertools
import keyword
import linecache
import re
import weakref
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from engine.backends import reference
from engine.backends.matching import UNDECIDED
from engine.backends.outline import may_open
from engine.lang import ir
from engine.lang.builtins import BUILTINS
from engine.plan import DAY_OF_EVENT
from engine.values import Interval, Missing, and3, compare, first, known, missing, or3, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.lang.entries import Days
    from engine.plan import Row

_SHARED: Final[dict[str, Any]] = {
    "Missing": Missing,
    "Interval": Interval,
    "UNDECIDED": UNDECIDED,
    "NO_ROW": missing("no row"),
    "NOT_IN_FORCE": reference.NOT_IN_FORCE,
    "and3": and3,
    "or3": or3,
    "count3": reference.count3,
    "compare": compare,
    "first": first,
    "known": known,
    "settle": settle,
    "call": reference.call,
    "resolve": reference.resolve,
    "once": reference.once,
}
_LOCALS: Final = (
    "row", "it", "low", "high", "touched", "kept", "done", "state", "raw", "opened", "rules", "expression",
    "sure", "holds", "points", "bare",
)  # fmt: skip
_QUANTIFIERS: Final = {"any": "or3", "all": "and3", "number": "count3"}
_OPERATORS: Final = {"=": "==", "!=": "!="}
_NESTED = 6
"""How deep an expression goes on one line before a part of it gets a line and a name of its own."""
_serial = itertools.count(1)


def comment(text: str) -> str:
    """Text of an author that cannot leave its line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


class Module:
    """The text of some functions, the constants they name, and one identifier for every column."""

    def __init__(self, *taken: str) -> None:
        """`taken` are names that no column and no constant may have."""
        self.lines: list[str] = []
        self.space: dict[str, Any] = dict(_SHARED)
        self._columns: dict[str, str] = {}
        self._constants: dict[int, str] = {}
        self._taken = {*_SHARED, *_LOCALS, *taken, *dir(builtins), *keyword.kwlist}
        self._again: Counter[str] = Counter()
        self._temps, self._helpers = itertools.count(1), itertools.count(1)

    def add(self, lines: Iterable[str]) -> None:
        self.lines += [*lines, "", ""]

    def identifier(self, column: str) -> str:
        """A readable local name for a column, used for no other."""
        if column not in self._columns:
            self._columns[column] = self._free(re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_"))
        return self._columns[column]

    def _free(self, wish: str) -> str:
        base = wish if wish[:1].isalpha() and not re.fullmatch(r"t\d+|(where|part)_\d+", wish) else f"x_{wish}"
        name = base
        while name in self._taken:
            # a program names thousands of numbers
            self._again[base] += 1
            name = f"{base}_{self._again[base] + 1}"
        self._taken.add(name)
        return name

    def temporary(self) -> str:
        return f"t{next(self._temps)}"

    def helper(self) -> str:
        return f"where_{next(self._helpers)}"

    def constant(self, value: Any, wish: str) -> str:
        """A global name that holds `value`."""
        if id(value) not in self._constants:
            name = self._constants[id(value)] = self._free(re.sub(r"[^A-Za-z0-9_]+", "_", wish).upper().strip("_"))
            self.space[name] = value
        return self._constants[id(value)]

    def load(self, name: str, title: str) -> Callable[[Row], Any]:
        """Compile the text, show it to debuggers and tracebacks as long as the function lives, and give the function."""
        text = "\n".join(self.lines).rstrip() + "\n"
        file = f"<{title} #{next(_serial)}>"
        exec(compile(text, file, "exec"), self.space)
        function: Callable[[Row], Any] = self.space[name]
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        weakref.finalize(function, linecache.cache.pop, file, None)
        return function


class Function:
    """One function being written: its lines, and the columns it must fetch first."""

    def __init__(self, module: Module, name: str, causes: bool = True) -> None:
        self.module, self.name, self.causes = module, name, causes
        self.lines: list[str] = []
        self.indent = 1
        self.fetched: dict[str, str] = {}
        self.made: set[str] = set()

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def source(self, parameters: Sequence[str]) -> list[str]:
        fetch = [f"    {local} = row[{column!r}]" for column, local in self.fetched.items()] if "row" in parameters else []
        return [f"def {self.name}({', '.join(parameters)}):", *fetch, *self.lines]

    def read(self, column: str) -> str:
        local = self.module.identifier(column)
        if column not in self.made:
            self.fetched[column] = local
        return local

    # --- expressions: each gives its Python text and how deep it is nested ---

    def expr(self, expr: ir.Expr) -> tuple[str, int]:
        text, height = self._node(expr)
        if height < _NESTED:
            return text, height
        name = self.module.temporary()
        self.line(f"{name} = {text}")
        return name, 0

    def _node(self, expr: ir.Expr) -> tuple[str, int]:
        match expr:
            case ir.Const():
                return self._const(expr), 0
            case ir.Read():
                return self.read(expr.name), 0
            case ir.Item():
                return "it", 0
            case ir.Compare():
                return self._compare(expr)
            case ir.And():
                return self._logic(expr.items, "False", "True")
            case ir.Or():
                return self._logic(expr.items, "True", "False")
            case ir.Not():
                return self._strict([expr.item], lambda a: f"not {a}")
            case ir.IsMissing():
                return self._is_missing(expr)
            case ir.In():
                return self._in(expr)
            case ir.Resembles():
                return self._resembles(expr)
            case ir.Match():
                return self._match(expr)
            case ir.Call():
                return self._call(expr)
            case ir.Else():
                return self._else(expr)
            case ir.Quantifier():
                return self._quantifier(expr)
            case ir.Lookup():
                return self._lookup(expr)
            case ir.Convert():
                return self._convert(expr)
            case ir.Dated():
                return self._dated(expr)
            case ir.Listed():
                return self._listed(expr)
        raise TypeError(f"no source for {expr!r}")

    def _const(self, expr: ir.Const) -> str:
        value = expr.value
        if value.__class__ in (bool, str):
            return repr(value)
        if value.__class__ is int:
            return f"{value}" if value >= 0 else f"({value})"
        return self.module.constant(value, expr.name or expr.type.kind)

    def _use(self, expr: ir.Expr) -> tuple[str, str, int]:
        """Text for the first use, which binds a name; the name for later ones; nesting."""
        text, height = self.expr(expr)
        if isinstance(expr, ir.Const) or text.isidentifier():
            return text, text, height
        name = self.module.temporary()
        return f"({name} := {text})", name, height

    def _strict(self, parts: Sequence[ir.Expr], result: Callable[..., str]) -> tuple[str, int]:
        """`result` of the parts where none is missing, else the missing one whose cause ranks first."""
        uses = [self._use(part) for part in parts]
        height = 1 + max(height for _, _, height in uses)
        checked = [use for part, use in zip(parts, uses, strict=True) if not _sure(part)]
        names = [use[0] if _sure(part) else use[1] for part, use in zip(parts, uses, strict=True)]
        if not checked:
            return f"({result(*names)})", height
        # `&`, not `and`, where the cause matters: all parts must have been looked at
        checks = (" & " if self.causes else " and ").join(f"({use[0]}.__class__ is not Missing)" for use in checked)
        return f"({result(*names)} if {checks} else {self._lack([use[1] for use in checked])})", height

    def _lack(self, names: Sequence[str]) -> str:
        if len(names) == 1:
            return names[0]
        return f"first(({', '.join(names)}))" if self.causes else "UNDECIDED"

    def _compare(self, expr: ir.Compare) -> tuple[str, int]:
        if any(may_open(side) or (side.type.kind == "money" and side.type.currency is None) for side in (expr.left, expr.right)):
            (a, left), (b, right) = self.expr(expr.left), self.expr(expr.right)
            return f"compare({expr.op!r}, {a}, {b})", 1 + max(left, right)
        op = _OPERATORS.get(expr.op, expr.op)
        return self._strict([expr.left, expr.right], lambda a, b: f"{a} {op} {b}")

    def _logic(self, items: Sequence[ir.Expr], ends: str, goes_on: str) -> tuple[str, int]:
        """`and` ends at the first False, `or` at the first True."""
        if not items:
            return goes_on, 0
        uses = [self._use(item) for item in items]
        height = 1 + max(height for _, _, height in uses)
        unsure = [use[1] for item, use in zip(items, uses, strict=True) if not _sure(item)]
        # a line for every item, so that a debugger and a traceback can point at it
        between = "\n" + "    " * (self.indent + 1) + "or "
        tests = between.join(f"{use[0]} is {ends}" for use in uses)
        if not unsure:
            return f"({ends} if {tests} else {goes_on})", height
        rest = " and ".join(f"{name} is {goes_on}" for name in unsure)
        return f"({ends} if {tests} else {goes_on} if {rest} else {self._lack(unsure)})", height

    def _is_missing(self, expr: ir.IsMissing) -> tuple[str, int]:
        text, height = self.expr(expr.item)
        if isinstance(expr.item, ir.Const):
            return str(not known(expr.item.value)), 0
        return (f"(not known({text}))" if may_open(expr.item) else f"(({text}).__class__ is Missing)"), height + 1

    def _in(self, expr: ir.In) -> tuple[str, int]:
        values = self.module.constant(expr.values, expr.name or "values")
        if may_open(expr.item):
            text, name, height = self._use(expr.item)
            return f"({name} in {values} if known({text}) else first(({name},)))", height + 1
        return self._strict([expr.item], lambda a: f"{a} in {values}")

    def _resembles(self, expr: ir.Resembles) -> tuple[str, int]:
        asked = self.module.constant(expr.names.resembles, f"resembles_{expr.name or 'names'}")
        parts = [expr.item] if expr.day is None else [expr.item, expr.day]
        return self._strict(parts, lambda item, *day: f"{asked}({', '.join((item, str(expr.least), *day))})")

    def _match(self, expr: ir.Match) -> tuple[str, int]:
        """Asked for once a hit, if at all: the definition answers."""
        match = self.module.constant(partial(reference.evaluate, expr), "match")
        columns = ", ".join(f"{column!r}: {self.read(column)}" for column in sorted(ir.reads(expr)))
        return f"{match}({{{columns}}})", 1

    def _else(self, expr: ir.Else) -> tuple[str, int]:
        text, name, height = self._use(expr.item)
        fallback, deeper = self.expr(expr.fallback)
        if isinstance(expr.item, ir.Const):
            return (text, height) if known(expr.item.value) else (fallback, deeper)
        test = f"known({text})" if may_open(expr.item) else f"{text}.__class__ is not Missing"
        return f"({name} if {test} else {fallback})", 1 + max(height, deeper)

    def _call(self, expr: ir.Call) -> tuple[str, int]:
        builtin = BUILTINS[expr.function]
        if any(map(may_open, expr.args)):
            table = self.module.constant(builtin, expr.function)
            parts = [self.expr(arg) for arg in expr.args]
            return f"call({table}, ({', '.join(text for text, _ in parts)},))", 1 + max(height for _, height in parts)
        one = self.module.constant(builtin.one, expr.function)
        return self._strict(expr.args, lambda *args: f"{one}({', '.join(args)})")

    def _lookup(self, expr: ir.Lookup) -> tuple[str, int]:
        """The row by the table's own dictionary or bisection, the value by its number; behind the last row stands `no row`."""
        parts = [*expr.keys, *([] if expr.at is None else [expr.at])]
        if any(map(may_open, parts)):
            look = self.module.constant(partial(reference.looked_up, expr), "looked_up")
            texts = [self.expr(part) for part in parts]
            return f"{look}(({', '.join(text for text, _ in texts)},))", 1 + max(height for _, height in texts)
        values = self.module.constant(expr.table.values(expr.column), expr.name or expr.column)

        def found(*given: str) -> str:
            keys = given if expr.at is None else given[:-1]
            key = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
            if expr.at is None:
                return f"{values}[{self.module.constant(expr.table.rows, 'rows')}.get({key}, -1)]"
            find = expr.table.steps(expr.at.type.kind, expr.zone).find
            return f"{values}[{self.module.constant(find, 'find')}({key}, {given[-1]})]"

        return self._strict(parts, found)

    def _convert(self, expr: ir.Convert) -> tuple[str, int]:
        money = expr.item.type
        if may_open(expr.item):
            convert = self.module.constant(partial(reference.converted, expr), "convert")
            (item, deep), (at, deeper) = self.expr(expr.item), self.expr(expr.at)
            return f"{convert}({item}, {at})", 1 + max(deep, deeper)
        exchange = expr.rates.exchange(money.currency, expr.type.currency or "", money.scale, expr.at.type.kind, expr.zone)
        name = self.module.constant(exchange, f"to_{expr.type.currency}")
        return self._strict([expr.item, expr.at], lambda item, at: f"{name}({item}, {at})")

    def _dated(self, expr: ir.Dated) -> tuple[str, int]:
        """A row of tests, one span after the other."""
        day, name, height = self._use(expr.day)
        items = [self.expr(item) for item in expr.items]
        height = 1 + max([height, *(deep for _, deep in items)])
        tests = "".join(f"{text} if {_holds(days, name)} else " for days, (text, _) in zip(expr.spans, items, strict=True))
        if _sure(expr.day):
            return f"({tests}NOT_IN_FORCE)", height
        return f"({self._lack([name])} if {day}.__class__ is Missing else {tests}NOT_IN_FORCE)", height

    def _listed(self, expr: ir.Listed) -> tuple[str, int]:
        has = self.module.constant(expr.entries.has, f"on_{expr.name or 'list'}")
        if may_open(expr.item):
            listed = self.module.constant(partial(reference.listed, expr.entries), f"may_be_on_{expr.name or 'list'}")
            (item, left), (day, right) = self.expr(expr.item), self.expr(expr.day)
            return f"{listed}({item}, {day})", 1 + max(left, right)
        return self._strict([expr.item, expr.day], lambda item, day: f"{has}({item}, {day})")

    def _quantifier(self, expr: ir.Quantifier) -> tuple[str, int]:
        """The condition becomes a small function of the item and of the columns it reads."""
        where = Function(self.module, self.module.helper(), self.causes)
        text, _ = where.expr(expr.where)
        where.line(f"return {text}")
        self.module.add(where.source(["it", *where.fetched.values()]))
        arguments = ", ".join(["it", *(self.read(column) for column in where.fetched)])
        fold = _QUANTIFIERS[expr.kind]
        return self._strict([expr.of], lambda items: f"{fold}([{where.name}({arguments}) for it in {items}])")


def _holds(days: Days, day: str) -> str:
    """The test whether a day lies in a span."""
    start, end = days
    if start is not None and end is not None:
        return f"{start} <= {day} <= {end}"
    return f"{day} >= {start}" if start is not None else f"{day} <= {end}" if end is not None else "True"


def _sure(expr: ir.Expr) -> bool:
    """Whether the value can never be missing."""
    match expr:
        case ir.Const():
            return known(expr.value)
        case ir.IsMissing():
            return True
        case ir.Read():
            return expr.name == DAY_OF_EVENT
        case ir.Not() | ir.And() | ir.Or():
            return all(map(_sure, ir.children(expr)))
    return False
