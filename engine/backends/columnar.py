"""Many rows at once: a rule set or some expressions as one function of a frame, equal to `reference` row by row, bit for bit.

How values lie in a frame is said in `columnar_layout`, how expressions are computed in `columnar_exprs`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import polars as pl

from engine.backends import columnar_tables
from engine.backends.circuit import NEVER
from engine.backends.columnar_choice import MOST_ROWS, chosen, kept
from engine.backends.columnar_exprs import NESTED, NO_CODE, Col, Program, code, literal
from engine.backends.columnar_layout import dtype, dtypes, many_from_one, names, one_from_many, pack, unpack
from engine.backends.columnar_wired import Wired, wireable
from engine.backends.outline import outline
from engine.backends.reference import resolve, stored
from engine.lang import ir
from engine.values import DATE, FLAG, INTEGER, SCORE, TEXT, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

    from engine.values import Value

__all__ = ["compile_exprs", "compile_rules", "dtypes", "many_from_one", "names", "one_from_many", "pack", "unpack"]

_POSSIBLE: Final = Type("list", item=TEXT)
ALLOWED: Final = "@allowed"
"""The column of a rule set that decides which says by bits, the first row of `decide` in the lowest, which rows allow their outcome."""
WIRED_FROM: int = 10_000
"""So many rows are worth loading machine code."""


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


class Compiled(Protocol):
    """A rule set as a function of a frame. Of its columns only the `wanted` ones, if these are named; among them may be `ALLOWED`."""

    def __call__(self, frame: pl.DataFrame, wanted: Container[str] | None = None) -> pl.DataFrame: ...


def compile_rules(ruleset: ir.RuleSet, open_: bool = False) -> Compiled:
    """`reference.run` for every row of a frame. The result holds the outputs, ``@policy`` and ``possible``, in the same order of rows.

    Large frames go through one circuit of bits, where the libraries for that are there.
    """
    types = {column.name: column.type for column in (*ruleset.outputs(), *ruleset.asides())} | {"@policy": FLAG, "possible": _POSSIBLE}

    @lru_cache(maxsize=2)
    def made(wired: bool) -> Compiled:
        rules = WiredRules(ruleset, open_) if wired else _Rules(ruleset, open_)
        found = rules.compile()
        allowed = {ALLOWED: (found[ALLOWED], INTEGER)} if ALLOWED in found else {}
        return _function(rules.program, {name: (found[name], type_) for name, type_ in types.items()}, allowed)

    def run(frame: pl.DataFrame, wanted: Container[str] | None = None) -> pl.DataFrame:
        return made(frame.height >= WIRED_FROM and wireable() and WiredRules.takes(ruleset))(frame, wanted)

    return run


def _function(program: Program, columns: Mapping[str, tuple[Col, Type]], asides: Mapping[str, tuple[Col, Type]] | None = None) -> Compiled:
    """The program as a function that gives these columns and nothing else; the `asides` only if they are wanted."""
    parts = {name: _physical(name, program.place(col), type_) for name, (col, type_) in (*columns.items(), *(asides or {}).items())}
    selected = [part for name in columns for part in parts[name]]
    named = {part.meta.output_name(): part for some in parts.values() for part in some}

    def run(frame: pl.DataFrame, wanted: Container[str] | None = None) -> pl.DataFrame:
        chosen = selected if wanted is None else [part for name, part in named.items() if name in wanted]
        return program.run(frame).select(chosen)

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
        self._finish()
        policy = pl.any_horizontal(*self.touched) if self.touched else pl.lit(False)
        return self.program.names | {"@policy": Col(FLAG, policy, level=self.level), "possible": possible}

    def _finish(self) -> None:
        """After the last statement."""

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
        low, high, sure, level = self._given_by_rules()
        for worth in self.given:
            low.append(worth.ends[0])
            high.append(worth.ends[1])
            sure.append(worth.value.fill_null(0))
        level = max((level, *(col.level for col in self.given)))
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

    def _given_by_rules(self) -> tuple[list[pl.Expr], list[pl.Expr], list[pl.Expr], int]:
        """The least and the most that the rules give, and what is sure of it; and at which stage that is known."""
        low, high, sure = [_NOTHING], [_NOTHING], [_NOTHING]
        for points, state in self.points:
            hit, undecided = pl.when(state.value).then(points), state.value.is_null()
            low.append(hit.when(undecided).then(pl.min_horizontal(_NOTHING, points)).otherwise(_NOTHING))
            high.append(hit.when(undecided).then(pl.max_horizontal(_NOTHING, points)).otherwise(_NOTHING))
            sure.append(hit.otherwise(_NOTHING))
        return low, high, sure, max((state.level for _, state in self.points), default=0)

    # --- set ---

    def _set(self, statement: ir.Set) -> Col:
        written = [(self.program.read(ir.hit(rule), FLAG, True), value) for rule, value in statement.values]
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
        """The outcome, and which are possible; `ALLOWED` says by bits which rows of `decide` still allow theirs."""
        decide, names = self.ruleset.decide, self.program.names
        if decide is None:
            return literal((), _POSSIBLE, False)
        several = None if self.open else decide.undecided
        if len(decide.rows) > MOST_ROWS:
            possible = self._many_possible(decide)
            one = possible.value.list.len() == 1
            outcome = pl.when(one).then(possible.value.list.first()).otherwise(pl.lit(several, dtype=pl.String))
        else:
            names[ALLOWED] = self.program.place(self._allowed(decide))
            bits, rows = names[ALLOWED].value, [name for name, _ in decide.rows]
            possible = Col(_POSSIBLE, chosen(bits, lambda mask: kept(rows, mask), pl.List(pl.String)), level=names[ALLOWED].level)
            outcome = chosen(bits, lambda mask: found[0] if len(found := kept(rows, mask)) == 1 else several, pl.String)
        placed = self.program.place(Col(TEXT, outcome, level=possible.level))
        names["outcome"] = replace(placed, cause=pl.when(placed.value.is_null()).then(code("undecided")) if self.open else None)
        return possible

    def _many_possible(self, decide: ir.Decide) -> Col:
        """The possible outcomes of more rows than a whole number has bits."""
        steps = list(self._walked(decide))
        found = pl.concat_list([pl.when(still).then(pl.lit(name)) for name, still, _ in steps]).list.drop_nulls()
        return self.program.place(Col(_POSSIBLE, found.list.unique(maintain_order=True), level=steps[-1][2]))

    def _walked(self, decide: ir.Decide) -> Iterator[tuple[str, pl.Expr, int]]:
        """Top down: a false row is skipped, one that cannot be judged is kept, the first true one ends it. For each its outcome, whether it
        is kept, and the stage at which that is known."""
        ended = literal(False, FLAG, False)
        for name, condition in decide.rows:
            judged = self.program.place(literal(True, FLAG, False) if condition is None else self.program.expr(condition, False))
            level = max(ended.level, judged.level)
            yield name, ~ended.value & judged.value.fill_null(True), level
            ended = replace(ended, value=ended.value | judged.value.fill_null(False), level=level, height=ended.height + 1)
            if ended.height > NESTED:
                ended = self.program.place(ended)

    def _allowed(self, decide: ir.Decide) -> Col:
        """The rows that are kept, by bits."""
        steps = list(self._walked(decide))
        parts = [pl.when(still).then(_whole(1 << number)).otherwise(_NOTHING) for number, (_, still, _) in enumerate(steps)]
        return Col(INTEGER, pl.sum_horizontal(parts), level=steps[-1][2])


class WiredRules(_Rules):
    """A rule set being compiled into circuits of bits, as far as it goes."""

    program: Wired

    def __init__(self, ruleset: ir.RuleSet, open_: bool) -> None:
        super().__init__(ruleset, open_)
        self.program = Wired()
        self.states: list[tuple[str, int]] = []

    @staticmethod
    def takes(ruleset: ir.RuleSet) -> bool:
        """Whether it can: `once`, exceptions and points that depend on the day are left to polars."""
        plain = all(rule.once is None and not rule.exempt and isinstance(rule.points, int) for rule in ruleset.rules)
        few = ruleset.decide is None or len(ruleset.decide.rows) <= MOST_ROWS
        return plain and few and bool(ruleset.rules) and ruleset.scoring.how == "sum"

    def compile(self) -> dict[str, Col]:
        made = super().compile()
        # their causes are seldom asked for, and follow from the values
        return {name: replace(col, height=0) if col.type == FLAG and name in self.program.handed else col for name, col in made.items()}

    def _statement(self, statement: ir.Statement) -> None:
        program = self.program
        match statement:
            case ir.Define() if statement.value.type == FLAG and statement.name not in self.plan.caused:
                program.declare(statement.name, program.truth(statement.value), causes=False)
            case ir.Rule():
                self._judged(statement)
            case ir.Flag():
                truths = [program.truth(ir.Read(ir.hit(rule))) for rule in statement.rules]
                program.declare(f"flags.{statement.name}", program.stretch.circuit.any_of(truths))
            case _:
                super()._statement(statement)

    def _finish(self) -> None:
        self.program.finish()
        self.touched += [col.value for col in self.program.noted]
        self.level = max((self.level, *(col.level for col in self.program.noted)))

    def _judged(self, rule: ir.Rule) -> None:
        """A rule as a truth."""
        program, assumes = self.program, not self.open and bool(rule.assume)
        conditions = [ir.condition(rule), *([ir.assumed(rule, self.plan.defines)] if assumes else ())]
        days = _days(rule)
        for condition in (*conditions, *days):
            program.truth(condition)  # so that none of them ends the circuit that the others are in
        raw, *given = (program.truth(condition) for condition in conditions)
        circuit, judged = program.stretch.circuit, given[0] if given else raw
        if not self.open and rule.policy != "refer":
            judged = circuit.supposed(judged, rule.policy == "alert")
        in_force = [program.truth(day) for day in days]
        state = circuit.all_of([judged, *in_force])
        program.declare(ir.hit(rule.id), state)
        if judged != raw:
            program.note(circuit.differ(state, circuit.all_of([raw, *in_force])))
        if rule.points:
            self.states.append((rule.id, rule.points))  # type: ignore[arg-type]  # points that depend on the day are not taken

    def _given_by_rules(self) -> tuple[list[pl.Expr], list[pl.Expr], list[pl.Expr], int]:
        program, circuit = self.program, self.program.stretch.circuit
        states = [(program.truth(ir.Read(ir.hit(rule))), points) for rule, points in self.states]
        open_ = [(circuit.unknown(state), points) for state, points in states]
        worth = {
            _SURE: [(state.yes, points) for state, points in states],
            _LESS: [(node, points) for node, points in open_ if points < 0],
            _MORE: [(node, points) for node, points in open_ if points > 0],
        }
        program.finish({name: some for name, some in worth.items() if any(node != NEVER for node, _ in some)})
        sure, less, more = (program.names[name].value if name in program.names else _NOTHING for name in worth)
        return [sure, less], [sure, more], [sure], max((program.names[name].level for name in worth if name in program.names), default=0)

    def _allowed(self, decide: ir.Decide) -> Col:
        program = self.program
        conditions = [ir.Const(True, type=FLAG) if when is None else when for _, when in decide.rows]
        for condition in conditions:
            program.truth(condition)
        truths, circuit = [program.truth(condition) for condition in conditions], program.stretch.circuit
        ended, worth = NEVER, []
        for number, truth in enumerate(truths):
            worth.append((circuit.without(circuit.opposite(truth.no), ended), 1 << number))
            ended = circuit.either(ended, truth.yes)
        program.finish({ALLOWED: worth})
        return program.names[ALLOWED]


_SURE, _LESS, _MORE = "@sure", "@less", "@more"


def _days(rule: ir.Rule) -> list[ir.Expr]:
    """The conditions under which a rule is in force."""
    day, (start, end) = ir.Read("@date", type=DATE), rule.effective
    bounds = [(">=", start), ("<=", end)]
    return [ir.Compare(op, day, ir.Const(at, type=DATE)) for op, at in bounds if at is not None]


@cache
def _whole(number: int) -> pl.Expr:
    return pl.lit(number, dtype=pl.Int64)


_NOTHING: Final = _whole(0)
