"""The definition: what every expression and every rule set means, as a small tree walker anyone can read.

It also answers `explain`. It knows neither frames nor generated code and is in no hurry; the fast backends owe it equality.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from engine.backends import matching, names
from engine.backends.matching import UNDECIDED
from engine.backends.scoring import combined, given
from engine.lang import ir
from engine.lang.builtins import BUILTINS, Builtin
from engine.lang.entries import holds
from engine.values import Interval, Missing, Value, and3, compare, first, interval, known, missing, not3, or3, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from engine.lang.entries import Entries
    from engine.plan import Row

NOT_IN_FORCE: Final = missing("not in force")


# --- expressions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trace:
    """An expression, its value, and the same of its parts: every part is judged, also where the answer stood without it.

    The parts of a quantifier are its list, then its condition once an item; those of a dated value its day, then the item in force.
    """

    expr: ir.Expr
    value: Value
    children: tuple[Trace, ...] = ()


def evaluate(expr: ir.Expr, row: Row, item: Value = None) -> Value:
    """The value of `expr` in `row`; `item` is what `it` stands for inside a quantifier. Scaled money stays scaled.

    >>> from engine.lang.ir import Compare, Const, Read
    >>> evaluate(Compare(">", Read("n"), Const(3)), {"n": 4}), evaluate(Compare(">", Read("n"), Const(3)), {"n": missing("damaged")})
    (True, missing (damaged))
    """
    return trace(expr, row, item).value


def trace(expr: ir.Expr, row: Row, item: Value = None) -> Trace:
    """`evaluate`, with the value of every part."""
    # most nodes have no parts
    if expr.__class__ is ir.Const:
        return Trace(expr, expr.value)
    if expr.__class__ is ir.Read:
        return Trace(expr, row[expr.name])
    if isinstance(expr, ir.Quantifier):
        return _trace_quantifier(expr, row, item)
    if isinstance(expr, ir.Match):
        return _trace_match(expr, row)
    if isinstance(expr, ir.Dated):
        return _trace_dated(expr, row, item)
    children = tuple(trace(child, row, item) for child in ir.children(expr))
    return Trace(expr, _meaning(expr, [child.value for child in children], row, item), children)


def _meaning(expr: ir.Expr, values: Sequence[Value], row: Row, item: Value) -> Value:
    """The value of a node from the `values` of its parts."""
    match expr:
        case ir.Item():
            return item
        case ir.Compare():
            return compare(expr.op, *values)
        case ir.And():
            return and3(values)
        case ir.Or():
            return or3(values)
        case ir.Not():
            return not3(*values)
        case ir.IsMissing():
            return not known(*values)
        case ir.In():
            return member(expr.values, *values)
        case ir.Resembles():
            return names.resembles(expr, values)
        case ir.Listed():
            return listed(expr.entries, *values)
        case ir.Call():
            return call(BUILTINS[expr.function], values)
        case ir.Else():
            return values[0] if known(values[0]) else values[1]
        case ir.Lookup():
            return looked_up(expr, values)
        case ir.Convert():
            return converted(expr, *values)
    raise TypeError(f"no meaning for {expr!r}")


def _trace_quantifier(expr: ir.Quantifier, row: Row, item: Value) -> Trace:
    of = trace(expr.of, row, item)
    if not known(of.value):
        return Trace(expr, first([of.value]), (of,))
    items = tuple(trace(expr.where, row, one) for one in of.value)
    return Trace(expr, QUANTIFIERS[expr.kind]([one.value for one in items]), (of, *items))


def _trace_match(expr: ir.Match, row: Row) -> Trace:
    asked = tuple(trace(part, row) for part in expr.of)
    return Trace(expr, names.match(expr.part, [one for part in asked for one in compared(part)]), asked)


def compared(asked: Trace) -> Iterator[tuple[ir.Resembles, list[Value]]]:
    """Every comparison with a list of names that stands in a trace, and what it compared."""
    if isinstance(asked.expr, ir.Resembles):
        yield asked.expr, [child.value for child in asked.children]
    for child in asked.children:
        yield from compared(child)


def _trace_dated(expr: ir.Dated, row: Row, item: Value) -> Trace:
    day = trace(expr.day, row, item)
    if not known(day.value):
        return Trace(expr, first([day.value]), (day,))
    place = next((place for place, days in enumerate(expr.spans) if holds(days, day.value)), None)
    if place is None:
        return Trace(expr, NOT_IN_FORCE, (day,))
    chosen = trace(expr.items[place], row, item)
    return Trace(expr, chosen.value, (day, chosen))


def listed(entries: Entries, value: Value, day: Value) -> Value:
    """Whether a list whose entries have dates holds the value on a day."""
    return entries.has(value, day) if known(value) and known(day) else first([value, day])


def member(values: frozenset[Value], value: Value) -> Value:
    """Whether a fixed set holds the value."""
    return value in values if known(value) else first([value])


def looked_up(expr: ir.Lookup, values: Sequence[Value]) -> Value:
    """What a reference table says, from the values of the keys, and of the moment where its rows have dates."""
    if not all(map(known, values)):
        return first(values)
    keys, at = (values, None) if expr.at is None else (values[:-1], values[-1])
    key = keys[0] if len(keys) == 1 else tuple(keys)
    kind = "" if expr.at is None else expr.at.type.kind
    return expr.table.values(expr.column)[expr.table.find(key, at, kind, expr.zone)]


def converted(expr: ir.Convert, value: Value, at: Value) -> Value:
    """An amount in another currency; of an interval both ends, and an end that does not fit is no end."""
    if value.__class__ is Missing or at.__class__ is Missing:
        return first(part for part in (value, at) if part.__class__ is Missing)
    money = expr.item.type
    exchange = expr.rates.exchange(money.currency, expr.type.currency or "", money.scale, expr.at.type.kind, expr.zone)
    if value.__class__ is not Interval:
        return exchange(value, at)
    ends = [None if end is None else exchange(end, at) for end in (value.low, value.high)]
    lacks = [end for end in ends if end.__class__ is Missing and end.cause == "currency"]
    low, high = (None if end.__class__ is Missing else end for end in ends)
    return lacks[0] if lacks else interval(low, high, value.cause)


def call(builtin: Builtin, values: Sequence[Value]) -> Value:
    """A builtin applied: strict, and open intervals only where it keeps them."""
    if all(map(known, values)):
        return builtin.one(*values)
    if builtin.interval is None or any(value.__class__ is Missing for value in values):
        return first(values)
    return builtin.interval(*values)


def count3(values: Sequence[Value]) -> Value:
    """How many are true: from those that are, to those that are or may be."""
    sure = sum(value is True for value in values)
    lacks = [value for value in values if not known(value)]
    return interval(sure, sure + len(lacks), first(lacks).cause) if lacks else sure


QUANTIFIERS: Final[dict[str, Callable[[Sequence[Value]], Value]]] = {"any": or3, "all": and3, "number": count3}


# --- the parts of a rule set -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """A rule in one row: its condition as it stands (`raw`, with the cause it lacks), its `state` after policies (true is hit, false is
    clear, missing is undecided), what that is without policies (`opened`), and whether it is in force on the event's day. A rule that is
    not is clear, whatever it lacks. `before` is the state before `once` had its say; `silenced` are the exceptions without which it would
    be hit."""

    raw: Value
    state: Value
    opened: Value
    in_force: bool = True
    before: Value = False
    silenced: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether `once` held back what was a hit, or may have been one."""
        return self.before is not False and self.state is False


def state_of(raw: Value) -> Value:
    """Hit, clear or undecided: a rule's state has no other cause."""
    return UNDECIDED if raw.__class__ is Missing else raw


def apply(policy: str, judged: Value) -> Value:
    """The state after `on missing`: ignore makes an undecided rule clear, alert a hit, refer leaves it."""
    if judged.__class__ is not Missing:
        return judged
    return {"ignore": False, "alert": True, "refer": UNDECIDED}[policy]


def in_force(effective: tuple[int | None, int | None], row: Row) -> bool:
    """Whether the event's local day, ``@date``, lies in `effective`, both ends included."""
    return effective == (None, None) or holds(effective, row["@date"])


def judge(rule: ir.Rule, defines: dict[str, ir.Expr], row: Row, open_: bool) -> State:
    """One rule in one row that holds everything it reads."""
    if not in_force(rule.effective, row):
        return State(False, False, False, in_force=False)
    raw = evaluate(ir.condition(rule), row)
    judged = state_of(raw) if open_ else apply(rule.policy, evaluate(ir.assumed(rule, defines), row) if rule.assume else raw)
    silenced = silencing(rule, defines, row, open_) if rule.exempt else ()
    if rule.once is None:
        return State(raw, judged, state_of(raw), silenced=silenced)
    before, state, opened = once(raw, judged, row[ir.held(rule.id)], open_)
    return State(raw, state, opened, before=before, silenced=silenced)


def silencing(rule: ir.Rule, defines: dict[str, ir.Expr], row: Row, open_: bool) -> tuple[str, ...]:
    """The exceptions that hold where the rule would be hit without any."""
    without = judge(replace(ir.unexcepted(rule), once=None), defines, row, open_)
    return holding(rule, {} if open_ else defines, row) if without.state is True else ()


def holding(rule: ir.Rule, defines: dict[str, ir.Expr], row: Row) -> tuple[str, ...]:
    """The exceptions for a rule that hold; under its assumptions, as far as they reach through `defines`."""
    reads = {one: ir.assuming(rule, ir.Read(ir.excepted(one)), defines) for one in rule.exempt}
    return tuple(one for one, read in reads.items() if evaluate(read, row) is True)


def once(raw: Value, judged: Value, held: Value, open_: bool) -> tuple[Value, Value, Value]:
    """What `once` makes of a rule's condition and its state after policies: the state before it, the state, and that without policies.

    Where nobody knows whether it is `held` back a hit goes through; without policies it is undecided.

    >>> once(True, True, missing("unavailable"), False)
    (True, True, missing (undecided))
    """
    opened = state_of(and3((raw, not3(held))))
    return (judged if judged is not False else state_of(raw)), (opened if open_ else judged if held is not True else False), opened


def worth(rule: ir.Rule, row: Row) -> int:
    """What a hit of the rule is worth on the event's day."""
    points = rule.points if isinstance(rule.points, int) else evaluate(rule.points, row)
    return points if known(points) else 0


def score(ruleset: ir.RuleSet, row: Row) -> tuple[Value, int]:
    """The score, and what is sure of it, in a row that holds the states of all rules and the points of all tables."""
    points = [given(worth(rule, row), row[ir.hit(rule.id)]) for rule in ruleset.rules]
    points += [row[ir.points(table.name)] for table in ruleset.tables if table.gives_points]
    return combined(ruleset.scoring, points, [when is None or evaluate(when, row) for _, when in ruleset.scoring.floors])


def resolve(written: Iterable[tuple[Value, Value]]) -> Value:
    """What `set` leaves, from the state and the value of every rule that writes the name.

    One writer that was hit: its value, whatever it lacks. Several: the value they agree on, or `ambiguous`. A value that is not known,
    and a rule that is undecided and might write another, leave it open.

    >>> resolve([(True, "high"), (missing("undecided"), "high")]), resolve([(True, "high"), (missing("undecided"), "low")])
    ('high', missing (undecided))
    """
    pairs = list(written)
    hits = [value for state, value in pairs if state is True]
    maybe = [value for state, value in pairs if state.__class__ is Missing]
    if not hits:
        return UNDECIDED if maybe else missing("no row")
    sure = [value for value in hits if known(value)]
    if any(value != sure[0] for value in sure):
        return missing("ambiguous")
    if len(hits) == 1 and not maybe:
        return hits[0]
    agreed = [known(value) and bool(sure) and value == sure[0] for value in maybe]
    lacks = [value for value in hits if not known(value)] + [UNDECIDED for same in agreed if not same]
    return first(lacks) if lacks else sure[0]


def walk(rows: Iterable[tuple[str, Value]]) -> tuple[str, ...]:
    """The outcomes that may still come out, top down, each once: a false row is skipped, one that cannot be judged is kept, the first
    true one ends it.

    >>> walk([("block", missing("undecided")), ("review", False), ("approve", True), ("never", True)])
    ('block', 'approve')
    """
    kept: dict[str, None] = {}
    for outcome, judged in rows:
        if judged is not False:
            kept[outcome] = None
        if judged is True:
            break
    return tuple(kept)


def outcome(possible: tuple[str, ...], undecided: str, open_: bool) -> Value:
    """The one outcome; of several the one named for that, or in the open reading none."""
    if len(possible) == 1:
        return possible[0]
    return UNDECIDED if open_ else undecided


def late(ruleset: ir.RuleSet) -> frozenset[str]:
    """What defines, sets and tables write that read `score`, themselves or through others: they come after all rules."""
    names = {"score"}
    for statement in ruleset.body:
        if isinstance(statement, ir.Define | ir.Set | ir.Table) and any(ir.reads(value) & names for value in values_of(statement)):
            names.update(ir.written(statement))
    return frozenset(names - {"score"})


def values_of(statement: ir.Define | ir.Set | ir.Table) -> tuple[ir.Expr, ...]:
    """The expressions a define, set or table evaluates."""
    match statement:
        case ir.Define():
            return (statement.value,)
        case ir.Set():
            return tuple(value for _, value in statement.values)
        case ir.Table():
            return tuple(statement.expressions())


# --- the rule set ----------------------------------------------------------------------------------------------------


def run(ruleset: ir.RuleSet, row: Row, open_: bool = False) -> Row:
    """The outputs of a rule set for one row, with ``@policy`` and ``possible``. `open_` is the reading without policies and assumptions.

    `row` holds the fields, inputs, features and ``now`` under their local names, ``@date`` where a rule has an `effective`, and for a rule
    with `once` ``@held("ID")``. It gives the rule set's `asides` too.
    """
    work, judged = work_out(ruleset, row, open_)
    possible: tuple[str, ...] = ()
    if ruleset.decide is not None:
        rows = ruleset.decide.rows
        possible = walk((name, True if condition is None else evaluate(condition, work)) for name, condition in rows)
        work["outcome"] = outcome(possible, ruleset.decide.undecided, open_)
    touched = any(state.state is not state.opened for state in judged.values())
    for rule in ruleset.rules:
        work |= {ir.silenced(rule.id, one): one in judged[rule.id].silenced for one in rule.exempt}
        work |= {ir.before(rule.id): judged[rule.id].before} if rule.once is not None else {}
    outputs = {column.name: work[column.name] for column in (*ruleset.outputs(), *ruleset.asides())}
    return outputs | {"@policy": touched, "possible": possible}


def states(ruleset: ir.RuleSet, row: Row, open_: bool = False) -> dict[str, State]:
    """Every rule's `State` by its id, in the order of the body."""
    return work_out(ruleset, row, open_)[1]


def work_out(ruleset: ir.RuleSet, row: Row, open_: bool) -> tuple[Row, dict[str, State]]:
    """The row with everything the statements wrote, and the rules' states."""
    work, judged, defines, behind = dict(row), dict[str, State](), ruleset.defines, late(ruleset)
    for statement in ruleset.body:
        if isinstance(statement, ir.Rule):
            judged[statement.id] = judge(statement, defines, work, open_)
            work[ir.hit(statement.id)] = judged[statement.id].state
        elif behind.isdisjoint(ir.written(statement)):
            write(statement, work)
    work["score"], work[ir.POINTS] = score(ruleset, work)
    for statement in ruleset.body:
        if not isinstance(statement, ir.Rule) and not behind.isdisjoint(ir.written(statement)):
            write(statement, work)
    return work, judged


def write(statement: ir.Define | ir.Flag | ir.Set | ir.Table, work: Row) -> None:
    """Add what a statement writes to a row that holds what it reads."""
    match statement:
        case ir.Define():
            work[statement.name] = evaluate(statement.value, work)
        case ir.Flag():
            work[f"flags.{statement.name}"] = or3(work[ir.hit(rule)] for rule in statement.rules)
        case ir.Set():
            work[statement.name] = resolve((work[ir.hit(rule)], stored(value, work)) for rule, value in statement.values)
        case ir.Table():
            work.update(matching.written(statement, judged_rows(statement, work), lambda value: stored(value, work)))


def judged_rows(table: ir.Table, row: Row) -> list[tuple[ir.TableRow, Value]]:
    """Every row of a table, and whether all its cells hold."""
    return [(each, and3(evaluate(cell, row) for cell in each.cells if cell is not None)) for each in table.rows]


def stored(expr: ir.Expr, row: Row) -> Value:
    """The value of `expr` as it is kept: money at the end of its calculation is settled to whole minor units."""
    value = evaluate(expr, row)
    return settle(value, expr.type.scale) if expr.type.kind == "money" else value
