"""A rule set over large frames: all its conditions in one circuit of bits, equal to what `columnar` gives by polars alone.

What is no condition (amounts, tables, what `set` writes) is computed as there, between one circuit and the next.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.backends.circuit import ALWAYS, NEVER, Circuit, Leaf, Truth
from engine.backends.columnar_exprs import Col, Program, code, fixed
from engine.backends.columnar_native import MIRRORED
from engine.backends.facts import Facts, strict, subject
from engine.backends.outline import may_open
from engine.backends.reference import evaluate
from engine.lang import ir
from engine.values import FLAG, INTEGER, Type, known

if TYPE_CHECKING:
    from engine.backends.columnar_bits import Total, Truths


POLICY: Final = "@policy"


@cache
def wireable() -> bool:
    """Whether the libraries are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("numba", "pyarrow"))


@dataclass(slots=True)
class _Stretch:
    """A circuit under construction, the facts it asks of columns, by their physical name, and the stage that can compute it."""

    circuit: Circuit = field(default_factory=Circuit)
    facts: dict[str, Facts] = field(default_factory=dict)
    level: int = 0


class Wired(Program):
    """A program whose flags are truths of a circuit until something else asks for them, and columns from then on."""

    def __init__(self) -> None:
        super().__init__()
        self.truths: dict[str, Truth] = {}
        self.causes: dict[str, bool] = {}
        self.terms: dict[ir.Expr, ir.Read] = {}
        self.handed: set[str] = set()
        self.noted: list[Col] = []
        self.made: dict[ir.Expr, Col] = {}
        self.stretch = _Stretch()

    # --- truths ---

    def declare(self, name: str, truth: Truth, causes: bool = True) -> None:
        """Call a truth by this name; `causes` whether anybody may ask why it is not known."""
        self.truths[name] = truth
        self.causes[name] = causes

    def truth(self, expr: ir.Expr) -> Truth:
        """A condition as a truth of the circuit. What is none is computed first, for it may end the circuit at hand."""
        for part in _conditions(expr):
            self._prepare(part)
        return self._truth(expr)

    def _prepare(self, part: ir.Expr) -> None:
        if isinstance(part, ir.Read) or fixed(part) or self._subject(part) is not None or _bounds(part) is not None:
            return
        term = _term(part)
        if term is None:
            self.made.setdefault(part, self.place(self.expr(part, False)))
        elif term not in self.terms:
            self.terms[term] = ir.Read(self.fresh(), type=term.type)
            self.names[self.terms[term].name] = self.place(self.expr(term, False))

    def _subject(self, expr: ir.Expr) -> ir.Read | None:
        read = subject(expr)
        if read is None or read.name in self.truths:
            return None
        # money that was computed has 128 bits
        return None if read.type.kind == "money" and read.name in self.names else read

    def _truth(self, expr: ir.Expr) -> Truth:
        circuit = self.stretch.circuit
        match expr:
            case ir.And():
                return circuit.all_of([self._truth(item) for item in expr.items])
            case ir.Or():
                return circuit.any_of([self._truth(item) for item in expr.items])
            case ir.Not():
                yes, no = self._truth(expr.item)
                return Truth(no, yes)
            case ir.Read():
                return self.truths[expr.name] if expr.name in self.truths else self._flag(super().read(expr.name, FLAG, False))
        if fixed(expr):
            value = evaluate(expr, {})
            return Truth(ALWAYS if value is True else NEVER, ALWAYS if value is False else NEVER)
        if (read := self._subject(expr)) is not None:
            return self._fact(expr, read, "")
        if (bounded := _bounds(expr)) is not None:
            return self._bounded(*bounded)
        term = _term(expr)
        if term is None:
            return self._flag(self.made[expr])
        return self._fact(ir.transform(expr, lambda node: self.terms[term] if node == term else node), self.terms[term], "")

    def _flag(self, col: Col) -> Truth:
        """A column of flags."""
        col = self.place(col)
        self._after(col)
        name = col.value.meta.output_name()
        return Truth(self.stretch.circuit.leaf(Leaf("true", name)), self.stretch.circuit.leaf(Leaf("false", name)))

    def _fact(self, expr: ir.Expr, read: ir.Read, end: str) -> Truth:
        """What one column says; of one with intervals, at this end."""
        col = self.place(super().read(read.name, read.type, False))
        self._after(col)
        name = col.value.meta.output_name() + end
        facts = self.stretch.facts.setdefault(name, Facts(read.name, replace(read.type, interval=False)))
        circuit, number = self.stretch.circuit, facts.number(expr)
        yes = circuit.leaf(Leaf("fact", name, number))
        if isinstance(expr, ir.IsMissing):
            return Truth(yes, circuit.opposite(yes))
        if strict(expr):
            return Truth(yes, circuit.without(circuit.leaf(Leaf("known", name)), yes))
        return Truth(yes, circuit.leaf(Leaf("denied", name, number)))

    def _bounded(self, expr: ir.Compare, read: ir.Read) -> Truth:
        """A comparison of what may be an interval with a constant: sure by one of its ends."""
        low, high = (self._compared(expr, expr.op, read, end) for end in "<>")
        if expr.op in (">", ">="):
            return Truth(low.yes, high.no)
        if expr.op in ("<", "<="):
            return Truth(high.yes, low.no)
        circuit = self.stretch.circuit
        apart = circuit.either(self._compared(expr, ">", read, "<").yes, self._compared(expr, "<", read, ">").yes)
        same = circuit.both(self._compared(expr, "=", read, "<").yes, self._compared(expr, "=", read, ">").yes)
        return Truth(same, apart) if expr.op == "=" else Truth(apart, same)

    def _compared(self, expr: ir.Compare, op: str, read: ir.Read, end: str) -> Truth:
        plain = replace(read, type=replace(read.type, interval=False))
        return self._fact(replace(expr, op=op, left=plain), read, end)

    def _after(self, col: Col) -> None:
        self.stretch.level = max(self.stretch.level, col.level)

    def note(self, node: int) -> None:
        """Remember that in the rows of this node a policy changed something."""
        circuit = self.stretch.circuit
        noted = circuit.either(node, self.truths[POLICY].yes if POLICY in self.truths else NEVER)
        self.declare(POLICY, Truth(noted, circuit.opposite(noted)), causes=False)

    # --- columns ---

    def read(self, name: str, type_: Type, causes: bool) -> Col:
        """A column by its name. Asking for a truth ends the circuit: from then on it is a column."""
        if name in self.truths:
            self.finish()
        return super().read(name, type_, causes)

    def finish(self, numbers: Mapping[str, Sequence[tuple[int, int]]] | None = None) -> None:
        """Let the circuit be computed, and begin another. All truths become columns of flags, and of `numbers` each a column of what its
        nodes are worth together."""
        made, numbers, level = _Outputs(self), numbers or {}, self.stretch.level
        for name, truth in self.truths.items():
            self.names[name] = made.truth(truth, level + 1, self.causes[name])
        for name, worth in numbers.items():
            self.names[name] = made.total(worth, level + 1)
        if POLICY in self.truths:
            self.noted.append(self.names.pop(POLICY))
        self.handed |= set(self.truths)
        self.truths = {}
        if made.columns:
            self.stage(level).calls.append(made.job())
        self.stretch = _Stretch()


def _conditions(expr: ir.Expr) -> Iterator[ir.Expr]:
    """The conditions that and, or and not put together."""
    match expr:
        case ir.And() | ir.Or():
            for item in expr.items:
                yield from _conditions(item)
        case ir.Not():
            yield from _conditions(expr.item)
        case _:
            yield expr


def _bounds(expr: ir.Expr) -> tuple[ir.Compare, ir.Read] | None:
    """A comparison of a column of intervals with a constant, which stands on the right, and the column."""
    if not isinstance(expr, ir.Compare):
        return None
    if not isinstance(expr.right, ir.Const):
        expr = replace(expr, op=MIRRORED.get(expr.op, expr.op), left=expr.right, right=expr.left)
    read, limit = expr.left, expr.right
    if isinstance(read, ir.Read) and isinstance(limit, ir.Const) and read.type.interval and known(limit.value):
        return (expr, read) if (read.type.kind, limit.type.kind) == ("integer", "integer") else None
    return None


def _term(expr: ir.Expr) -> ir.Expr | None:
    """What a comparison computes and compares with a constant; none where that is no plain number."""
    if not isinstance(expr, ir.Compare) or isinstance(expr.left, ir.Const) == isinstance(expr.right, ir.Const):
        return None
    term, limit = (expr.left, expr.right) if isinstance(expr.right, ir.Const) else (expr.right, expr.left)
    plain = term.type.kind in ("integer", "number") and not may_open(term) and not isinstance(term, ir.Read)
    return term if plain and isinstance(limit, ir.Const) and known(limit.value) else None


class _Outputs:
    """What a circuit hands out."""

    def __init__(self, program: Wired) -> None:
        from engine.backends import columnar_bits  # loads numba

        self.program, self.stretch, self.bits = program, program.stretch, columnar_bits
        self.nodes: dict[int, int] = {}
        self.truths: list[Truths] = []
        self.totals: list[Total] = []

    @property
    def columns(self) -> bool:
        return bool(self.truths or self.totals)

    def _place(self, node: int) -> int:
        return self.nodes.setdefault(node, len(self.nodes))

    def truth(self, truth: Truth, level: int, causes: bool) -> Col:
        circuit = self.stretch.circuit
        if {*truth} <= {NEVER, ALWAYS}:
            value = pl.lit(True if truth.yes == ALWAYS else False if truth.no == ALWAYS else None, dtype=pl.Boolean)
        else:
            name, known = self.program.fresh(), circuit.either(*truth)
            yes = None if truth.yes == NEVER else self._place(truth.yes)
            self.truths.append(self.bits.Truths(name, yes, None if known == ALWAYS else self._place(known)))
            value = pl.col(name)
        cause = pl.when(value.is_null()).then(code("undecided")) if causes else None
        return Col(FLAG, value, cause, level=level)

    def total(self, worth: Sequence[tuple[int, int]], level: int) -> Col:
        name = self.program.fresh()
        base = sum(points for node, points in worth if node == ALWAYS)
        bits = [(self._place(node), points) for node, points in worth if node not in (NEVER, ALWAYS)]
        self.totals.append(self.bits.Total(name, bits, base))
        return Col(INTEGER, pl.col(name), level=level, height=0)

    def job(self) -> Any:
        made = self.stretch.circuit.code(list(self.nodes))
        texts = {name: _judge(facts) for name, facts in self.stretch.facts.items() if not facts.numeric}
        return self.bits.Job(made, len(self.nodes), self.stretch.facts, texts, self.truths, self.totals)


def _judge(facts: Facts) -> Callable[[pl.DataFrame], list[pl.Series]]:
    """What the facts of a column of text say of each row of a frame."""
    program = Program()
    cols = [program.place(program.expr(expr, False)) for expr in facts.asked]
    names = [col.value.alias(str(at)) for at, col in enumerate(cols)]

    def judge(frame: pl.DataFrame) -> list[pl.Series]:
        return program.run(frame).select(names).get_columns()

    return judge
