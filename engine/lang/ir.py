"""The typed program: names resolved, types known, overloads chosen. It knows neither the syntax tree nor how it is run.

Expressions are pure functions of a row. Every `Read` names a column of the row a rule set sees (its *local* names):

====================  ===============================================================================
``amount``            a field of the record, an input, a define, or a feature of the rule set itself
``profile.cash_in``   a feature of a feature set that is used
``flags.big``         whether some rule that raises the flag was hit
``hit("CASH-01")``    a rule's state, after policies
``tier``              what `set tier = ...` wrote
``score`` ``outcome`` points (an interval while rules are undecided) and the result of `decide`
``now``               the event's own time
====================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

from engine.diagnostics import NOWHERE, Span
from engine.lang.entries import Days, Entries, holds
from engine.rates import Rates
from engine.reference_table import ReferenceTable
from engine.screening.names import Names
from engine.values import DATE, FLAG, INTEGER, Type, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Expr:
    type: Type = FLAG
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Const(Expr):
    """A value fixed in the text; `name` when it came from a param."""

    value: Value
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Read(Expr):
    name: str


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """`values.compare` of two operands of one physical type, or integer with number. `op`: = != < <= > >=."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class And(Expr):
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or(Expr):
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Not(Expr):
    item: Expr


@dataclass(frozen=True, slots=True)
class IsMissing(Expr):
    """True where the item is missing or an open interval; never missing itself. `is known` is its negation."""

    item: Expr


@dataclass(frozen=True, slots=True)
class In(Expr):
    """Membership in a fixed set; missing when the item is missing. `name` is the list's, if it has one."""

    item: Expr
    values: frozenset[Value]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Resembles(Expr):
    """Whether an entry of a list resembles the item by `least`, a percentage; missing where the item cannot be compared. With `day` only
    the entries that are in force on it. `name` and `version` are the list's."""

    item: Expr
    names: Names
    least: int
    day: Expr | None = None
    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Match(Expr):
    """What is alike most among the entries found by every `Resembles` in `of`: `part` is its ``name``, ``id``, ``score`` or ``list``, or
    all of them as a ``text``. Missing, cause `no row`, where nothing is found, and as long as one of them cannot be judged."""

    part: str
    of: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A builtin by its key in `lang.builtins.BUILTINS`, arithmetic among them. Strict: missing in, missing out, the first cause
    in rank; an open interval in is missing with cause `undecided` unless the builtin keeps intervals."""

    function: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Else(Expr):
    """`item` where it is known (and no open interval), else `fallback`."""

    item: Expr
    fallback: Expr


@dataclass(frozen=True, slots=True)
class Quantifier(Expr):
    """`any`, `all` (type flag) or `number` (type integer, maybe an interval) of the list's items for which `where` holds.

    `any` and `all` are or3 and and3 over the items. `number` is the interval from the true ones to the true and missing ones.
    A missing list gives missing.
    """

    kind: str
    of: Expr
    where: Expr


@dataclass(frozen=True, slots=True)
class Item(Expr):
    """The list item a quantifier is looking at."""


@dataclass(frozen=True, slots=True)
class Dated(Expr):
    """The item whose span holds the `day`, both ends included; missing, cause `not in force`, on a day in no span. Of several spans the
    first; an open end is none. `day` is what `day_of_event` reads, no interval. `name` when it came from a param or list."""

    day: Expr
    spans: tuple[Days, ...]
    items: tuple[Expr, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Listed(Expr):
    """Membership in a list whose entries have dates of their own: whether one of the item's spans holds the `day`."""

    item: Expr
    day: Expr
    entries: Entries
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Lookup(Expr):
    """What `column` of a reference table says in the row that holds under `keys` at the moment `at`: `no row` where none does. `at` is none
    where rows have no dates; days are those of `zone`. `name` is how the text calls it."""

    table: ReferenceTable
    column: str
    keys: tuple[Expr, ...]
    at: Expr | None = None
    zone: str = "UTC"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Convert(Expr):
    """`item in CUR`: money in the currency of this node's type by the rates in force at the moment `at`, in whole minor units, rounded
    once, half-even. Missing with cause `currency` where a rate is not in force. Keeps intervals."""

    item: Expr
    rates: Rates
    at: Expr
    zone: str = "UTC"


# --- statements ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """A named, typed value that goes in or comes out."""

    name: str
    type: Type
    optional: bool = False
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Define:
    name: str
    value: Expr
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Once:
    """`once per KEY per WINDOW`: a hit is held back where `window`, trailing or calendar, holds one that was let through before it, under
    the same values of `per`, which are fields of the record. `now` reads the time at which the window ends. With `dated` it has another
    window in each stretch of days; `window` is the one that counts, as soon as the day is known."""

    per: tuple[Read, ...]
    window: Window
    now: Read
    dated: tuple[tuple[Days, Window], ...] = ()

    def on(self, day: int) -> Once:
        """The same on one day."""
        found = next((window for days, window in self.dated if holds(days, day)), self.window)
        return self if found is self.window else replace(self, window=found)

    @property
    def windows(self) -> tuple[Window, ...]:
        """All windows it has, on whatever day."""
        return (self.window, *(window for _, window in self.dated))


@dataclass(frozen=True, slots=True)
class Rule:
    """Hit when ``when and not any(unless)`` is true on a day in `effective`; on other days clear. `exempt` are the ids of the exceptions
    for it: they stand in the body as defines (`excepted` below), and a rule for which one holds is clear.

    `assume` gives, for this rule alone and only where policies are applied, a value to a column while it is missing;
    it reaches through defines (`assumed` below does it). `reason` holds texts and expressions in turn. With `once` a hit may be held
    back: then the rule is clear, and ``@held("ID")`` is true. `made` is the use of a template that it comes from, as written.
    """

    id: str
    title: str
    when: Expr
    unless: tuple[tuple[Expr, str], ...] = ()
    policy: str = "refer"
    assume: tuple[tuple[str, Const | Dated], ...] = ()
    points: int | Dated = 0
    flags: tuple[str, ...] = ()
    sets: tuple[tuple[str, Expr], ...] = ()
    outcome: str | None = None
    reason: tuple[str | Expr, ...] = ()
    cites: tuple[str, ...] = ()
    severity: str | None = None
    effective: tuple[int | None, int | None] = (None, None)
    once: Once | None = None
    exempt: tuple[str, ...] = ()
    made: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Exemption:
    """A named exception: who approved that these `rules` stay clear where its condition holds, and why. `days` are the first, if it has
    one, and the last on which it holds; they are part of the condition."""

    id: str
    title: str
    rules: tuple[str, ...]
    days: tuple[int | None, int]
    approved: str
    because: str
    cites: tuple[str, ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Flag:
    """`flags.NAME`: true if a rule is hit, else missing (`undecided`) if one is undecided, else false."""

    name: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """The value written by the rules that were hit: `no row` when none is, `ambiguous` when two differ, `undecided` while a rule
    that would write another value (or the only one) is undecided. Values of money are settled to whole minor units."""

    name: str
    type: Type
    values: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table: it applies where every cell holds; none is `any`. `values` are what it writes, one for each output of the table.

    `number` is how people count it; the row of `otherwise` has no cells. A value that is missing, cause `no row`, says nothing.
    """

    number: int
    cells: tuple[Expr | None, ...]
    values: tuple[Expr, ...] = ()
    points: int = 0
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A decision table. `match` is unique, first or all; `otherwise` applies where no row does.

    `inputs` are the columns as they are called, and what they stand for; a cell asks about its column, and in one that has a cell for
    `missing` every cell has an answer. `proved` says that no two rows can apply at once, `complete` that one always does. Where several
    rows may still apply each output is what they agree on, or missing, cause `undecided`; in a table of all matches it is the list of
    what the rows write. With `gives_points` the table adds to the score.
    """

    name: str
    match: str
    inputs: tuple[tuple[str, Expr], ...]
    outputs: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    otherwise: TableRow | None = None
    proved: bool = False
    complete: bool = False
    gives_points: bool = False
    title: str | None = None
    cites: tuple[str, ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    @property
    def every_row(self) -> tuple[TableRow, ...]:
        """The rows, and the one of `otherwise`."""
        return self.rows if self.otherwise is None else (*self.rows, self.otherwise)

    def values(self) -> Iterable[Expr]:
        """What its rows write, each once: rows of a long table say the same over and over."""
        return {id(value): value for row in self.every_row for value in row.values}.values()

    def expressions(self) -> Iterator[Expr]:
        """Everything it evaluates, each once."""
        yield from (subject for _, subject in self.inputs)
        yield from {id(cell): cell for row in self.rows for cell in row.cells if cell is not None}.values()
        yield from self.values()


Statement = Define | Rule | Flag | Set | Table


@dataclass(frozen=True, slots=True)
class Decide:
    """Rows top down: a false one is skipped, one that cannot be judged is kept, the first true one ends it. The last has no condition.

    `undecided` is the outcome when several stay possible.
    """

    rows: tuple[tuple[str, Expr | None], ...]
    undecided: str = "refer"


@dataclass(frozen=True, slots=True)
class Scoring:
    """How points come together. `how` is sum, or max: the most that one of them gives, and nothing where that is less than nothing. Then
    the score is at least what each of `floors` says, everywhere or where its condition holds, and at most `most`."""

    how: str = "sum"
    most: int | None = None
    floors: tuple[tuple[int, Expr | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Use:
    """A component this one depends on. `alias` is the name before the dot."""

    kind: str
    path: str
    range: str | None
    alias: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """`body` is in an order in which every statement comes after those it reads."""

    name: str
    version: str
    title: str | None
    owner: str | None
    cites: tuple[str, ...]
    record: Use
    uses: tuple[Use, ...]
    fields: tuple[Column, ...]
    inputs: tuple[Column, ...]
    features: FeatureSet | None
    body: tuple[Statement, ...]
    decide: Decide | None
    params: Mapping[str, Const | Dated] = field(default_factory=dict)
    exemptions: tuple[Exemption, ...] = ()
    scoring: Scoring = field(default_factory=Scoring)
    language: str = "en"
    """In which reasons print values."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(s for s in self.body if isinstance(s, Rule))

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(s for s in self.body if isinstance(s, Table))

    @property
    def defines(self) -> dict[str, Expr]:
        return {s.name: s.value for s in self.body if isinstance(s, Define)}

    def outputs(self) -> tuple[Column, ...]:
        """What the rule set gives its readers."""
        columns = [Column("score", Type("integer", interval=True))]
        for statement in self.body:
            if isinstance(statement, Rule):
                columns.append(Column(hit(statement.id), FLAG, optional=True))
            elif isinstance(statement, Flag):
                columns.append(Column(f"flags.{statement.name}", FLAG, optional=True))
            elif isinstance(statement, Set):
                columns.append(Column(statement.name, statement.type, optional=True))
            elif isinstance(statement, Table):
                columns.extend(statement.outputs)
        if self.decide is not None:
            columns.append(Column("outcome", Type("text"), optional=True))
        return tuple(columns)

    def asides(self) -> tuple[Column, ...]:
        """What the engine itself learns from it, beside the outputs: of rules with `once` the state before it, of rules for which there
        are exceptions whether they silence a hit, and what the hits come to."""
        names = [before(rule.id) for rule in self.rules if rule.once is not None]
        names += [silenced(rule.id, exemption) for rule in self.rules for exemption in rule.exempt]
        return (*(Column(name, FLAG) for name in names), Column(POINTS, INTEGER))


# --- history ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """Which of the rows that had arrived a feature sees. `length` counts in `unit`: microseconds, days, months, or events.

    ===========  =====================================================================================================
    trailing     after ``now - length`` up to and with now, this event included
    before       the same without this event; what arrived earlier at the same instant counts
    lagged       trailing, but it ends `lag` (in `lag_unit`) before now
    events       the last `length` rows, by time and then arrival, for which `where` holds; this event is one of them
    calendar     the whole `period` (day, week, month, quarter, year) this event falls in, as far as it has arrived
    full         the last `length` whole periods before that one
    business     the business day this event falls in: it closes at `closing` (microseconds after local midnight), what comes
                 later, on a weekend or on a day in `holidays` falls in the next
    since        from the time in `field` of this event up to and with now
    since event  after the last row before this event for which `event` holds, up to and with now
    ===========  =====================================================================================================
    """

    kind: str
    length: int = 0
    unit: str = "microseconds"
    lag: int = 0
    lag_unit: str = "microseconds"
    period: str = ""
    closing: int = 0
    holidays: frozenset[int] = frozenset()
    field: str | None = None
    event: Expr | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """How rows are followed from one to the next: over so many `hops` with this event's, as long as `of` lies `within` so much of this
    event's (in hundred-millionths, none where it does not matter), and looking at no more than `effort` rows."""

    effort: int
    hops: int = 2
    within: int | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`function`: count, sum, mean, min, max, stddev, distinct, first, last, time since last, share, most repeated, cycles, middlemen.

    `of`, `where`, `among` and `per` read the record's fields (defines inlined); a `Read` named ``this.FIELD`` in a condition is the field
    of the event that looks, all others are those of the row looked at. `share` is the sum of `of` where `where` and `among` hold, by the
    sum where `among` holds. With `inner`, the aggregate is over the values of `inner` in each period of its calendar window that lies in
    `window`. `matched` are the columns in which a row may bear the value of this event's one key; by default the key itself. `needs` is
    (``history``, length, unit) or (``events``, number, ""). `bounded` says that `of` is declared never negative, so that a partial sum is
    a lower bound. Cycles and middlemen have a `network`; their `per` are the two ends of a hop, `of` its amount.
    """

    function: str
    of: Expr | None
    window: Window
    per: tuple[str, ...]
    where: Expr | None
    bounded: bool = False
    among: Expr | None = None
    inner: Aggregate | None = None
    matched: tuple[str, ...] = ()
    needs: tuple[str, int, str] | None = None
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """An aggregate over history, or an expression over the features before it and the record."""

    name: str
    type: Type
    value: Aggregate | Expr
    title: str | None = None
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FeatureSet:
    name: str
    version: str
    record: Use
    fields: tuple[Column, ...]
    features: tuple[Feature, ...]
    title: str | None = None


POINTS = "@points"
"""The column of what the rules that are hit come to: the score, where those that are undecided count as clear."""

# --- walking ---------------------------------------------------------------------------------------------------------


def day_of_event() -> Read:
    """The event's local day; in a row of history that row's own."""
    return Read("@date", type=DATE)


def hit(rule: str) -> str:
    """The column that holds a rule's state."""
    return f'hit("{rule}")'


def points(table: str) -> str:
    """The column that holds the points a table adds, maybe an interval."""
    return f'@points("{table}")'


def written(statement: Statement) -> tuple[str, ...]:
    """The columns a statement writes; the points of a table come last."""
    match statement:
        case Rule():
            return (hit(statement.id),)
        case Flag():
            return (f"flags.{statement.name}",)
        case Table():
            return (*(column.name for column in statement.outputs), *((points(statement.name),) if statement.gives_points else ()))
        case _:
            return (statement.name,)


def before(rule: str) -> str:
    """The column that holds the state of a rule with `once` before that had its say: hit, clear, or missing where it may be a hit."""
    return f'@before("{rule}")'


def held(rule: str) -> str:
    """The column that says whether `once` holds a hit of the rule back; missing where nobody knows, or nobody had to ask."""
    return f'@held("{rule}")'


def held_by(rule: str) -> str:
    """The column that names the event whose hit holds this one back, and its time."""
    return f'@held by("{rule}")'


def excepted(exemption: str) -> str:
    """The define that says whether an exception holds."""
    return f'@exception("{exemption}")'


def silenced(rule: str, exemption: str) -> str:
    """The column that says whether a rule would be hit, were there no exceptions for it, and this one holds."""
    return f'@silenced("{rule}", "{exemption}")'


@cache
def _parts(kind: type[Any]) -> tuple[str, ...]:
    return tuple(part.name for part in fields(kind) if part.name not in ("type", "span"))


def children(expr: Expr) -> Iterator[Expr]:
    for name in _parts(type(expr)):  # type: ignore[arg-type]  # a class is hashed as itself
        value = getattr(expr, name)
        if isinstance(value, Expr):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, Expr))


def walk(expr: Expr) -> Iterator[Expr]:
    yield expr
    for child in children(expr):
        yield from walk(child)


def reads(expr: Expr) -> set[str]:
    """The names an expression reads."""
    return {node.name for node in walk(expr) if isinstance(node, Read)}


def transform(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with `change` applied to every node, leaves first."""
    parts: dict[str, Any] = {}
    for part in fields(expr):
        value = getattr(expr, part.name)
        if isinstance(value, Expr):
            parts[part.name] = transform(value, change)
        elif isinstance(value, tuple) and any(isinstance(item, Expr) for item in value):
            parts[part.name] = tuple(transform(item, change) if isinstance(item, Expr) else item for item in value)
    return change(replace(expr, **parts) if parts else expr)


def condition(rule: Rule) -> Expr:
    """``when and not unless ...`` and no exception as one expression, without `effective` and assumptions."""
    against = [unless for unless, _ in rule.unless] + [Read(excepted(exemption)) for exemption in rule.exempt]
    return And((rule.when, *map(Not, against))) if against else rule.when


def unexcepted(rule: Rule) -> Rule:
    """The rule as if there were no exceptions for it."""
    return replace(rule, exempt=())


def assumed(rule: Rule, defines: Mapping[str, Expr]) -> Expr:
    """The condition under the rule's assumptions."""
    return assuming(rule, condition(rule), defines)


def assuming(rule: Rule, expr: Expr, defines: Mapping[str, Expr]) -> Expr:
    """An expression under the rule's assumptions, which reach through the defines that read an assumed column."""
    if not rule.assume:
        return expr
    values = dict(rule.assume)

    def touched(name: str) -> bool:
        return name in values or (name in defines and any(touched(n) for n in reads(defines[name])))

    def change(node: Expr) -> Expr:
        if not isinstance(node, Read) or not touched(node.name):
            return node
        if node.name in values:
            return Else(node, values[node.name], type=node.type, span=node.span)
        return transform(defines[node.name], change)

    return transform(expr, change)
