"""One row, fast: a rule set becomes one Python function, written as source that a debugger can step through.

It writes no semantics of its own: what is not inlined here is called in `values` and `reference`. It knows no frames.
"""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any

from engine.backends.outline import Outline, outline
from engine.backends.source import Function, Module, comment
from engine.backends.tables import Lookup
from engine.lang import ir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.plan import Row
    from engine.values import Value

_PART = 400
"""How many statements one Python function takes; a larger rule set becomes several functions that are called in turn."""


def compile_rules(ruleset: ir.RuleSet, open_: bool = False) -> Callable[[Row], Row]:
    """`reference.run` for this rule set as one function of a row. `open_` is the reading without policies and assumptions."""
    module = Module()
    plan = outline(ruleset)
    chunks = [plan.early[i : i + _PART] for i in range(0, len(plan.early), _PART)] or [()]
    for place, chunk in enumerate(chunks):
        alone, last = len(chunks) == 1, place == len(chunks) - 1
        function = _Rules(module, "rules" if alone else f"part_{place + 1}", plan, ruleset.scoring, open_)
        function.start(place == 0)
        for statement in chunk:
            function.statement(statement)
        if last:
            function.finish(ruleset)
        else:
            function.hand_on()
        module.add(function.source(["row"]))
    if len(chunks) > 1:
        module.add(_caller(len(chunks)))
    return module.load("rules", f"{ruleset.name} {ruleset.version}{' open' if open_ else ''}")


def compile_expr(expr: ir.Expr) -> Callable[[Row], Value]:
    """`reference.evaluate` for this expression as a function of a row.

    >>> from engine.lang.ir import Compare, Const, Read
    >>> compile_expr(Compare(">", Read("n"), Const(3)))({"n": 4})
    True
    """
    module = Module()
    function = Function(module, "expression")
    text, _ = function.expr(expr)
    function.line(f"return {text}")
    module.add(function.source(["row"]))
    return module.load("expression", "expression")


def source(compiled: Callable[[Row], Any]) -> str:
    """The Python text of a function that this module compiled."""
    return "".join(linecache.getlines(compiled.__code__.co_filename))


def _caller(parts: int) -> list[str]:
    calls = [f"    part_{place}(row)" for place in range(1, parts)]
    return ["def rules(row):", "    row = dict(row)", *calls, f"    return part_{parts}(row)"]


class _Rules(Function):
    """A function that runs statements of a rule set; states are in locals, points in `low`, `high`, and `sure`, that with everything
    undecided left out."""

    def __init__(self, module: Module, name: str, plan: Outline, scoring: ir.Scoring, open_: bool) -> None:
        super().__init__(module, name, causes=False)
        self.plan, self.caused, self.defines, self.scoring, self.open = plan, plan.caused, plan.defines, scoring, open_

    def start(self, is_first: bool) -> None:
        self.line("low = high = sure = 0" if is_first else 'low, high, sure = row["@low"], row["@high"], row["@sure"]')
        self.line("touched = False" if is_first else 'touched = row["@touched"]')

    def hand_on(self) -> None:
        """Leave everything for the parts that follow."""
        for column in sorted(self.made):
            self.line(f"row[{column!r}] = {self.module.identifier(column)}")
        self.line('row["@low"], row["@high"], row["@sure"], row["@touched"] = low, high, sure, touched')

    def statement(self, statement: ir.Statement) -> None:
        match statement:
            case ir.Define():
                self._assign(statement.name, self._caring(statement.value, statement.name in self.caused))
            case ir.Rule():
                self._rule(statement)
            case ir.Flag():
                self._assign(f"flags.{statement.name}", self._flag([self.read(ir.hit(rule)) for rule in statement.rules]))
            case ir.Set():
                self._assign(statement.name, self._set(statement))
            case ir.Table():
                self._table(statement)

    def _assign(self, column: str, text: str) -> None:
        self.line(f"{self.module.identifier(column)} = {text}")
        self.made.add(column)

    def _caring(self, expr: ir.Expr, causes: bool) -> str:
        self.causes = causes
        text, _ = self.expr(expr)
        self.causes = False
        return text

    def _rule(self, rule: ir.Rule) -> None:
        self.line(f"# {comment(f'{rule.id}: {rule.title}')}")
        state = self.module.identifier(ir.hit(rule.id))
        if rule.effective == (None, None):
            self._judge(rule, state)
        else:
            day, (start, end) = self.read("@date"), rule.effective
            bounds = [f"{day} >= {start}"] * (start is not None) + [f"{day} <= {end}"] * (end is not None)
            self.line(f"{state} = False")
            for aside in [ir.before(rule.id)] * (rule.once is not None) + [ir.silenced(rule.id, one) for one in rule.exempt]:
                self._assign(aside, "False")
            self.line(f"if {' and '.join(bounds)}:")
            self.indent += 1
            self._judge(rule, state)
            self.indent -= 1
        self.made.add(ir.hit(rule.id))
        if rule.points:
            self._points(state, rule.points if isinstance(rule.points, int) else self._worth(rule.points))

    def _judge(self, rule: ir.Rule, state: str) -> None:
        if rule.exempt:
            self._silencing(rule)
        if rule.once is not None:
            self._judge_once(rule, state)
            return
        text, _ = self.expr(ir.condition(rule))
        after = {"ignore": "False", "alert": "True", "refer": "UNDECIDED"}["refer" if self.open else rule.policy]
        if self.open or not rule.assume:
            self.line(f"{state} = {text}")
            self.line(f"if {state}.__class__ is Missing:")
            self.line(f"    {state} = {after}")
            if after != "UNDECIDED":
                self.line("    touched = True")
            return
        self.line(f"raw = {text}")
        judged, _ = self.expr(ir.assumed(rule, self.defines))
        self.line(f"{state} = {judged}")
        self.line(f"if {state}.__class__ is Missing:")
        self.line(f"    {state} = {after}")
        self.line(f"if {state} is not (UNDECIDED if raw.__class__ is Missing else raw):")
        self.line("    touched = True")

    def _silencing(self, rule: ir.Rule) -> None:
        """Whether exceptions silence what would be a hit without them."""
        bare, alert = ir.unexcepted(rule), not self.open and rule.policy == "alert"
        text, _ = self.expr(ir.condition(bare) if self.open else ir.assumed(bare, self.defines))
        self.line(f"bare = {text}")
        self.line("bare = bare is True" + (" or bare.__class__ is Missing" if alert else ""))
        for one in rule.exempt:
            read = ir.Read(ir.excepted(one))
            holds, _ = self.expr(read if self.open else ir.assuming(rule, read, self.defines))
            self._assign(ir.silenced(rule.id, one), f"bare and {holds} is True")

    def _judge_once(self, rule: ir.Rule, state: str) -> None:
        after = {"ignore": "False", "alert": "True", "refer": "UNDECIDED"}["refer" if self.open else rule.policy]
        text, _ = self.expr(ir.condition(rule))
        self.line(f"raw = {text}")
        judged = self.expr(ir.assumed(rule, self.defines))[0] if rule.assume and not self.open else "raw"
        self.line(f"{state} = {judged}")
        self.line(f"if {state}.__class__ is Missing:")
        self.line(f"    {state} = {after}")
        before, held = self.module.identifier(ir.before(rule.id)), self.read(ir.held(rule.id))
        self.line(f"{before}, {state}, opened = once(raw, {state}, {held}, {self.open})")
        self.made.add(ir.before(rule.id))
        self.line(f"touched = touched or {state} is not opened")

    def _worth(self, points: ir.Dated) -> str:
        text, _ = self.expr(points)
        self.line(f"points = {text}")
        self.line("points = 0 if points.__class__ is Missing else points")
        return "points"

    def _points(self, state: str, points: int | str) -> None:
        """What a rule gives; points that differ from day to day stand in a local, which says their name."""
        self.line(f"if {state} is True:")
        for end in ("low", "high", "sure"):
            self._add(end, points)
        self.line(f"elif {state} is not False:")
        if isinstance(points, str):
            self._add("low", f"min(0, {points})")
            self._add("high", f"max(0, {points})")
        else:
            self._add("high" if points > 0 else "low", points)

    def _add(self, end: str, points: int | str) -> None:
        self.line(f"    {end} += {points}" if self.scoring.how == "sum" else f"    {end} = max({end}, {points})")

    def _flag(self, states: Sequence[str]) -> str:
        hit = " or ".join(f"{state} is True" for state in states)
        clear = " and ".join(f"{state} is False" for state in states)
        return f"True if {hit} else False if {clear} else UNDECIDED" if states else "False"

    def _set(self, statement: ir.Set) -> str:
        written = [(self.read(ir.hit(rule)), self._stored(value)) for rule, value in statement.values]
        if len(written) == 1:
            state, value = written[0]
            return f"{value} if {state} is True else NO_ROW if {state} is False else UNDECIDED"
        return f"resolve(({', '.join(f'({state}, {value})' for state, value in written)}))"

    def _table(self, table: ir.Table) -> None:
        """The table is looked up with what it reads; its points are added."""
        names = sorted(set().union(*map(ir.reads, table.expressions())))
        given = ", ".join(f"{name!r}: {self.read(name)}" for name in names)
        lookup = self.module.constant(Lookup(table, compile_expr), f"table {table.name}")
        written = ir.written(table)
        self.line(f"{''.join(f'{self.module.identifier(name)}, ' for name in written)}= {lookup}({{{given}}})")
        self.made.update(written)
        if table.gives_points:
            worth = self.module.identifier(written[-1])
            self.line(f"if {worth}.__class__ is int:")
            for end in ("low", "high", "sure"):
                self._add(end, worth)
            self.line("else:")
            self._add("low", f"{worth}.low")
            self._add("high", f"{worth}.high")

    def _stored(self, expr: ir.Expr) -> str:
        text = self._caring(expr, True)
        return f"settle({text}, {expr.type.scale})" if expr.type.kind == "money" else text

    def finish(self, ruleset: ir.RuleSet) -> None:
        """The score, what reads it, the decision, and the outputs."""
        self._bounds()
        self._assign("score", 'low if low == high else Interval(low, high, "undecided")')
        self._assign(ir.POINTS, "sure")
        for statement in self.plan.behind:
            self.statement(statement)
        self.line("kept = {}")
        if ruleset.decide is not None:
            self._decide(ruleset.decide)
        names = [column.name for column in (*ruleset.outputs(), *ruleset.asides())]
        outputs = [f"{name!r}: {self.read(name)}," for name in names]
        self.line("return {")
        for output in (*outputs, "'@policy': touched,", "'possible': tuple(kept),"):
            self.line(f"    {output}")
        self.line("}")

    def _bounds(self) -> None:
        """What the score is at least, and at most."""
        for least, when in self.scoring.floors:
            self.line(f"holds = {'True' if when is None else self.expr(when)[0]}")
            self.line("if holds is not False:")
            self.line(f"    high = max(high, {least})")
            self.line("if holds is True:")
            self.line(f"    low, sure = max(low, {least}), max(sure, {least})")
        if self.scoring.most is not None:
            self.line(f"low, high, sure = min(low, {self.scoring.most}), min(high, {self.scoring.most}), min(sure, {self.scoring.most})")

    def _decide(self, decide: ir.Decide) -> None:
        self.line("done = False")
        for name, condition in decide.rows:
            self.line(f"if not done:  # {comment(name)}")
            self.indent += 1
            text = "True" if condition is None else self.expr(condition)[0]
            self.line(f"state = {text}")
            self.line("if state is not False:")
            self.line(f"    kept[{name!r}] = None")
            self.line("done = state is True")
            self.indent -= 1
        several = "UNDECIDED" if self.open else repr(decide.undecided)
        self._assign("outcome", f"next(iter(kept)) if len(kept) == 1 else {several}")
