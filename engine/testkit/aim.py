"""Events changed until a condition is likely to come out as wanted: guesses that the rules themselves then judge.

It follows conditions through defines, rules, flags, what rules set and the outcome, down to the columns an event brings.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final

from engine.backends import reference
from engine.lang import ir
from engine.testkit.material import Material
from engine.values import DAY, MISSING, Value, known

Given = dict[str, Value]
"""What an event brings: a value for every column, missing ones too."""

_DEEPEST: Final = 30
_SAMPLE: Final = 16
_MOST_RULES: Final = 40


class Aim:
    """Steers events of one rule set."""

    def __init__(self, material: Material, random: Random) -> None:
        self.material, self.random = material, random
        rules = material.rules
        self.rules = {ir.hit(rule.id): rule for rule in rules.rules}
        self.flags = {f"flags.{one.name}": one.rules for one in rules.body if isinstance(one, ir.Flag)}
        self.tables = {column.name: one for one in rules.body if isinstance(one, ir.Table) for column in one.outputs}
        self._kept: dict[str, list[tuple[ir.Expr, bool]]] = {}
        self.sets = {one.name: one.values for one in rules.body if isinstance(one, ir.Set)}

    def event(self) -> Given:
        """An event at random; some are empty."""
        self.forget()
        given: Given = dict.fromkeys(self.material.columns, MISSING)
        given[self.material.record.time] = self.material.start
        share = self.random.choice((0.0, 0.5, 1.0))
        for name in given:
            if self.random.random() < share and (name != self.material.record.time or self.random.random() < 0.3):
                given[name] = self.material.value(name, self.random)
        return given

    def forget(self) -> None:
        """What was aimed at before need not be kept."""
        self._kept = {}

    def at(self, expr: ir.Expr, want: bool, given: Given, depth: int = 0) -> None:
        """Change `given` so that the condition may come to `want`; what came out as wanted before is kept so, where that can be."""
        if depth > _DEEPEST:
            return
        match expr:
            case ir.Not(item=item):
                self.at(item, not want, given, depth + 1)
            case ir.And(items=items) | ir.Or(items=items):
                every = want is isinstance(expr, ir.And)
                for item in self._shuffled(items) if every else (self.random.choice(items),):
                    self.at(item, want, given, depth + 1)
            case ir.Read(name=name):
                self._read(name, want, given, depth)
            case ir.IsMissing(item=item):
                self._missing(item, want, given)
            case ir.Const():
                return
            case _ if self.material.made(expr):
                self._made(expr, want, given, depth)
            case _:
                self._atom(expr, want, given)

    def _shuffled(self, items: Iterable[ir.Expr]) -> list[ir.Expr]:
        found = list(items)
        self.random.shuffle(found)
        return found

    # --- names -------------------------------------------------------------------------------------------------------

    def _read(self, name: str, want: bool, given: Given, depth: int) -> None:
        inside = self.material.rules.defines.get(name) or self.material.formulas.get(name)
        if inside is not None:
            self.at(inside, want, given, depth + 1)
        elif name in self.rules:
            self.rule(self.rules[name], want, given, depth)
        elif name in self.flags:
            rules = self.flags[name]
            for rule in (self.random.choice(rules),) if want else rules:
                self.rule(self.rules[ir.hit(rule)], want, given, depth)
        elif name in self.material.columns:
            given[name] = want
        elif name == "robust" and not want:
            given[self.random.choice([one for one in given if one != self.material.record.time] or [name])] = MISSING

    def rule(self, rule: ir.Rule, want: bool, given: Given, depth: int = 0) -> None:
        """A rule that is to be hit, or not."""
        days = [day for day in rule.effective if day is not None]
        if want and days and not reference.in_force(rule.effective, self.material.row(given)):
            given[self.material.record.time] = self._on(self.random.choice(days))
        self.at(ir.condition(rule), want, given, depth + 1)

    def _on(self, day: int) -> Value:
        return day * DAY + DAY // 2 if self.material.columns[self.material.record.time].kind == "datetime" else day

    def _missing(self, item: ir.Expr, want: bool, given: Given) -> None:
        leaves = [name for name in self.material.leaves(item) if name != self.material.record.time]
        if want and leaves:
            given[self.random.choice(leaves)] = MISSING
        for name in leaves if not want else ():
            if not known(given[name]):
                given[name] = self._known(name)

    def _known(self, name: str) -> Value:
        pool = self.material.pools[name]
        return self.random.choice(pool) if pool else MISSING

    # --- what rules make ---------------------------------------------------------------------------------------------

    def _made(self, expr: ir.Expr, want: bool, given: Given, depth: int) -> None:
        """A condition on the outcome, on points, or on what rules set."""
        made = self.material.made(expr)
        decide = self.material.rules.decide
        if "outcome" in made and decide is not None:
            there = [name for name, _ in decide.rows if reference.evaluate(expr, {"outcome": name}) is want] if len(made) == 1 else []
            if there:
                self._outcome(decide, self.random.choice(there), given, depth)
        elif "score" in made:
            share = self.random.choice((0.0, 0.5, 1.0))
            rules = list(self.rules.values())
            for rule in self.random.sample(rules, min(len(rules), _MOST_RULES)):
                self.rule(rule, self.random.random() < share, given, depth + 1)
        elif "possible" in made:
            self._missing(self._unsure(), True, given)
        for name in sorted(made & set(self.tables)):
            self._row(self.tables[name], name, expr if len(made) == 1 else None, want, given, depth)
        for name in sorted(made & set(self.sets)):
            writer, _ = self.random.choice(self.sets[name])
            self.rule(self.rules[ir.hit(writer)], self.random.random() < 0.7, given, depth + 1)
        for name in sorted(made & {*self.rules, *self.flags}):
            self._read(name, self.random.random() < 0.5, given, depth + 1)

    def _row(self, table: ir.Table, name: str, expr: ir.Expr | None, want: bool, given: Given, depth: int) -> None:
        """A row of a table that is to apply: one that writes what is wanted, where that can be told."""
        place = [column.name for column in table.outputs].index(name)
        fitting = [row for row in table.rows if self._writes(row.values[place : place + 1], name, expr) is want]
        row = self.random.choice(fitting or table.rows)
        for cell in self._shuffled(cell for cell in row.cells if cell is not None):
            self.at(cell, True, given, depth + 1)

    def _writes(self, values: tuple[ir.Expr, ...], name: str, expr: ir.Expr | None) -> Value:
        constant = next((value.value for value in values if isinstance(value, ir.Const)), MISSING)
        return MISSING if expr is None or not known(constant) else reference.evaluate(expr, {name: constant})

    def _unsure(self) -> ir.Expr:
        return ir.condition(self.random.choice(list(self.rules.values()))) if self.rules else ir.Const(True)

    def _outcome(self, decide: ir.Decide, outcome: str, given: Given, depth: int) -> None:
        place = self.random.choice([place for place, row in enumerate(decide.rows) if row[0] == outcome])
        for _, condition in decide.rows[:place]:
            if condition is not None:
                self.at(condition, False, given, depth + 1)
        condition = decide.rows[place][1]
        if condition is not None:
            self.at(condition, True, given, depth + 1)

    # --- what events bring -------------------------------------------------------------------------------------------

    def _atom(self, expr: ir.Expr, want: bool, given: Given) -> None:
        """A condition on columns: kept where it holds already, else one column after the other is tried."""
        leaves = list(self.material.leaves(expr))
        if self.material.judge(expr, given) is not want or self.random.random() > 0.8:
            self.random.shuffle(leaves)
            if not any(self._try(expr, name, want, given) for name in leaves):
                for name in leaves:
                    if not known(given[name]):
                        given[name] = self._known(name)
                any(self._try(expr, name, want, given) for name in leaves)
        for name in leaves:
            self._kept.setdefault(name, []).append((expr, want))

    def _try(self, expr: ir.Expr, name: str, want: bool, given: Given) -> bool:
        """Give one column a value under which the condition is as wanted, and if it can be everything else that rests on it too."""
        before, pool = given[name], self.material.pools[name]
        second: list[Value] = []
        tried = [self.random.sample(pool, min(len(pool), _SAMPLE))]
        if len(self.material.leaves(expr)) > 1 and self.random.random() < 0.3:
            tried.append(self.material.edge(expr, name, given))  # where it turns over depends on the other columns
        for values in tried:
            for value in values:
                given[name] = value
                if self.material.judge(expr, given) is want:
                    if all(self.material.judge(one, given) is wish for one, wish in self._kept.get(name, ())):
                        return True
                    second.append(value)
            given[name] = before
        if second:
            given[name] = self.random.choice(second)
        return bool(second)
