"""Many rows at once: a rule set or some expressions as one function of a frame, equal to `reference` row by row, bit for bit.

How values lie in a frame is said in `columnar_layout`, how expressions are computed in `columnar_exprs`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.backends import columnar_tables
from engine.backends.columnar_exprs import NESTED, NO_CODE, Col, Program, code, literal
from engine.backends.columnar_layout import dtype, dtypes, many_from_one, names, one_from_many, pack, unpack
from engine.backends.outline import outline
from engine.backends.reference import resolve, stored
from engine.lang import ir
from engine.values import FLAG, INTEGER, SCORE, TEXT, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.values import Value

__all__ = ["compile_exprs", "compile_rules", "dtypes", "many_from_one", "names", "one_from_many", "pack", "unpack"]

_POSSIBLE: Final = Type("list", item=TEXT)


def compile_exprs(expressions: Mapping[str, ir.Expr]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Expressions over a frame as stored columns of these names, with causes; money is settled to whole minor units.

    >>> from engine.lang.ir import Compare, Const, Read
    >>> from engine.values import INTEGER
    >>> big = Compare(">", Read("n", type=INTEGER), Const(3, type=INTEGER))
    >>> compile_exprs({"big": big})(pl.DataFrame({"n": [4, None]})).rows()
    [(True, 0), (None, 1)]
    """
    program = Program()
    columns = {name: (program.stored(expr), replace(expr.type, scale=1)) for name, expr in expressions.items()}
    return _function(program, columns)


def compile_rules(ruleset: ir.RuleSet, open_: bool = False) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """`reference.run` for every row of a frame. The result holds the outputs, ``@policy`` and ``possible``, in the same order of rows."""
    rules = _Rules(ruleset, open_)
    types = {column.name: column.type for column in (*ruleset.outputs(), *ruleset.asides())} | {"@policy": FLAG, "possible": _POSSIBLE}
    made = rules.compile()
    return _function(rules.program, {name: (made[name], type_) for name, type_ in types.items()})


def _function(program: Program, columns: Mapping[str, tuple[Col, Type]]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The program as a function that gives these columns and nothing else."""
    parts = {name: _physical(name, program.place(col), type_) for name, (col, type_) in columns.items()}
    selected = [part for some in parts.values() for part in some]

    def run(frame: pl.DataFrame) -> pl.DataFrame:
        return program.run(frame).select(selected)

    return run


def _physical(name: str, col: Col, type_: Type) -> list[pl.Expr]:
    """The stored columns of a placed one, under their own names and with their own types."""
    none = pl.when(col.value.is_null()).then(NO_CODE).otherwise(NO_CODE)
    low, high = col.ends
    made = {
        name: col.value.cast(dtype(type_)),
        f"{name}#": none if col.cause is None else col.cause.fill_null(0),
        f"{name}<": low.cast(dtype(type_)),
        f"{name}>": high.cast(dtype(type_)),
        f"{name}$": pl.when(low.is_not_null() | high.is_not_null()).then(col.currency) if col.currency is not None else None,
    }
    return [part.alias(physical) for physical in names(name, type_) if (part := made[physical]) is not None]


class _Rules:
    """A rule set being compiled: statements in order, each leaving columns under its names."""

    def __init__(self, ruleset: ir.RuleSet, open_: bool) -> None:
        self.program, self.ruleset, self.open, self.plan = Program(), ruleset, open_, outline(ruleset)
        self.touched: list[pl.Expr] = []
        self.points: list[tuple[pl.Expr, Col]] = []
        self.given: list[Col] = []
        self.level = 0

    def compile(self) -> dict[str, Col]:
        for statement in self.plan.early:
            self._statement(statement)
        self._score()
        for statement in self.plan.behind:
            self._statement(statement)
        possible = self._decide()
        policy = pl.any_horizontal(*self.touched) if self.touched else pl.lit(False)
        return self.program.names | {"@policy": Col(FLAG, policy, level=self.level), "possible": possible}

    def _statement(self, statement: ir.Statement) -> None:
        place, known_names = self.program.place, self.program.names
        match statement:
            case ir.Define():
                known_names[statement.name] = place(self.program.expr(statement.value, statement.name in self.plan.caused))
            case ir.Rule():
                known_names[ir.hit(statement.id)] = self._rule(statement)
            case ir.Flag():
                known_names[f"flags.{statement.name}"] = place(self._flag(statement))
            case ir.Set():
                known_names[statement.name] = place(self._set(statement))
            case ir.Table():
                made = columnar_tables.columns(self.program, statement)
                known_names.update(made)
                self.given += [made[ir.points(statement.name)]] if statement.gives_points else []

    # --- rules ---

    def _rule(self, rule: ir.Rule) -> Col:
        if rule.exempt:
            self._silencing(rule)
        raw = self.program.place(self.program.expr(ir.condition(rule), False))
        judged = raw
        if not self.open and rule.assume:
            judged = self.program.place(self.program.expr(ir.assumed(rule, self.plan.defines), False))
        state = judged.value
        if not self.open and rule.policy != "refer":
            state = state.fill_null(rule.policy == "alert")
        level, in_force = max(raw.level, judged.level), self._in_force(rule)
        opened = raw.value
        if rule.once is not None:
            before = in_force(pl.when(state.ne_missing(False)).then(state).otherwise(raw.value))
            self.program.names[ir.before(rule.id)] = self.program.place(self._state(before, level))
            held = self.program.read(ir.held(rule.id), FLAG, False).value
            opened = raw.value & ~held
            state = opened if self.open else pl.when(held).then(pl.lit(False)).otherwise(state)
        placed = self.program.place(self._state(in_force(state), level))
        if not self.open and (rule.assume or rule.policy != "refer" or rule.once is not None):
            self.touched.append(in_force(state.ne_missing(opened)))
            self.level = max(self.level, level)
        if rule.points:
            self.points.append((self._worth(rule.points), placed))
        return placed

    def _worth(self, points: int | ir.Dated) -> pl.Expr:
        """What a hit is worth: the same in every row, or on its day."""
        return _whole(points) if isinstance(points, int) else self.program.place(self.program.expr(points, False)).value.fill_null(0)

    def _silencing(self, rule: ir.Rule) -> None:
        """Whether exceptions silence what would be a hit without them."""
        bare, alert, defines = ir.unexcepted(rule), not self.open and rule.policy == "alert", self.plan.defines
        judged = self.program.place(self.program.expr(ir.condition(bare) if self.open else ir.assumed(bare, defines), False))
        hit, in_force = judged.value.fill_null(alert), self._in_force(rule)
        for one in rule.exempt:
            read = ir.Read(ir.excepted(one))
            holds = self.program.expr(read if self.open else ir.assuming(rule, read, defines), False)
            flag = Col(FLAG, in_force(hit & holds.value.fill_null(False)), level=max(judged.level, holds.level), height=holds.height + 1)
            self.program.names[ir.silenced(rule.id, one)] = self.program.place(flag)

    def _in_force(self, rule: ir.Rule) -> Callable[[pl.Expr], pl.Expr]:
        """What gives an expression, or false on days on which the rule is not in force."""
        if rule.effective == (None, None):
            return lambda value: value
        day, (start, end) = self.program.read("@date", INTEGER, False).value, rule.effective
        bounds = [*([] if start is None else [day >= start]), *([] if end is None else [day <= end])]
        return lambda value: pl.when(pl.all_horizontal(bounds)).then(value).otherwise(pl.lit(False))

    def _state(self, state: pl.Expr, level: int) -> Col:
        """A state: what is null is undecided, and has no other cause."""
        return Col(FLAG, state, pl.when(state.is_null()).then(code("undecided")), level=level)

    def _flag(self, flag: ir.Flag) -> Col:
        states = [self.program.names[ir.hit(rule)] for rule in flag.rules]
        if not states:
            return literal(False, FLAG, False)
        return self._state(pl.any_horizontal(*(state.value for state in states)), max(state.level for state in states))

    def _score(self) -> None:
        """The score, and what is sure of it; while a rule is undecided it gives its points or nothing."""
        scoring, place = self.ruleset.scoring, self.program.place
        together = pl.sum_horizontal if scoring.how == "sum" else pl.max_horizontal
        low, high, sure = [_NOTHING], [_NOTHING], [_NOTHING]
        for points, state in self.points:
            hit, undecided = pl.when(state.value).then(points), state.value.is_null()
            low.append(hit.when(undecided).then(pl.min_horizontal(_NOTHING, points)).otherwise(_NOTHING))
            high.append(hit.when(undecided).then(pl.max_horizontal(_NOTHING, points)).otherwise(_NOTHING))
            sure.append(hit.otherwise(_NOTHING))
        for worth in self.given:
            low.append(worth.ends[0])
            high.append(worth.ends[1])
            sure.append(worth.value.fill_null(0))
        level = max((col.level for col in (*self.given, *(state for _, state in self.points))), default=0)
        ends = [together(*part) for part in (low, high, sure)]
        for least, when in scoring.floors:
            holds = literal(True, FLAG, False) if when is None else place(self.program.expr(when, False))
            sure_, may = holds.value.fill_null(False), holds.value.fill_null(True)
            level = max(level, holds.level)
            tests = (sure_, may, sure_)
            ends = [pl.when(test).then(pl.max_horizontal(end, _whole(least))).otherwise(end) for test, end in zip(tests, ends, strict=True)]
        if scoring.most is not None:
            ends = [pl.min_horizontal(end, _whole(scoring.most)) for end in ends]
        both = place(Col(SCORE, ends[0], low=ends[0], high=ends[1], level=level, height=1))
        open_ = both.ends[0] != both.ends[1]
        score = replace(both, value=pl.when(~open_).then(both.ends[0]), cause=pl.when(open_).then(code("undecided")), height=1)
        self.program.names["score"] = place(score)
        self.program.names[ir.POINTS] = place(Col(INTEGER, ends[2], level=level, height=1))

    # --- set ---

    def _set(self, statement: ir.Set) -> Col:
        written = [(self.program.names[ir.hit(rule)], value) for rule, value in statement.values]
        if len(written) == 1:
            return self._only(written[0][0], self.program.place(self.program.stored(written[0][1])))
        states, values = [state for state, _ in written], [value for _, value in written]
        fixed = [stored(value, {}) if isinstance(value, ir.Const) else None for value in values]
        open_places = [place for place, value in enumerate(values) if not isinstance(value, ir.Const)]

        def agreed(*given: Value) -> Value:
            found = fixed.copy()
            for place, value in zip(open_places, given[len(states) :], strict=True):
                found[place] = value
            return resolve(zip(given, found, strict=False))

        args = [self.program.stored(values[place]) for place in open_places]
        return self.program.python(agreed, [*states, *args], statement.type, any(arg.low is not None for arg in args), True)

    def _only(self, state: Col, value: Col) -> Col:
        """What a single writer leaves."""
        hit = state.value
        cause = pl.when(hit).then(value.cause if value.cause is not None else pl.lit(None, dtype=pl.UInt8))
        low, high = (None, None) if value.low is None else (pl.when(hit).then(value.low), pl.when(hit).then(value.high))
        return replace(
            value,
            value=pl.when(hit).then(value.value),
            cause=cause.when(hit.is_null()).then(code("undecided")).otherwise(code("no row")),
            low=low,
            high=high,
            level=max(state.level, value.level),
            height=2,
        )

    # --- decide ---

    def _decide(self) -> Col:
        decide = self.ruleset.decide
        if decide is None:
            return literal((), _POSSIBLE, False)
        kept: list[pl.Expr] = []
        ended = literal(False, FLAG, False)
        for name, condition in decide.rows:
            judged = self.program.place(literal(True, FLAG, False) if condition is None else self.program.expr(condition, False))
            may, is_true = judged.value.fill_null(True), judged.value.fill_null(False)
            level = max(ended.level, judged.level)
            kept.append(pl.when(~ended.value & may).then(pl.lit(name)))
            ended = replace(ended, value=ended.value | is_true, level=level, height=ended.height + 1)
            if ended.height > NESTED:
                ended = self.program.place(ended)
        level = ended.level
        names_kept = pl.concat_list(*kept).list.drop_nulls().list.unique(maintain_order=True)
        possible = self.program.place(Col(_POSSIBLE, names_kept, level=level))
        one = possible.value.list.len() == 1
        several = pl.lit(None, dtype=pl.String) if self.open else pl.lit(decide.undecided)
        outcome = pl.when(one).then(possible.value.list.first()).otherwise(several)
        cause = pl.when(~one).then(code("undecided")) if self.open else None
        self.program.names["outcome"] = Col(TEXT, outcome, cause, level=possible.level)
        return possible


@cache
def _whole(number: int) -> pl.Expr:
    return pl.lit(number, dtype=pl.Int64)


_NOTHING: Final = _whole(0)
