"""The syntax tree: what an author wrote, as it stands, with its place. No names are resolved and no types known here.

Places (`span`) never take part in equality, so that ``parse(format(tree)) == tree``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.diagnostics import NOWHERE, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    span: Span = field(default=NOWHERE, compare=False, repr=False)


# --- expressions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """`kind` is number, money, percent, duration, date, datetime, text or flag; `text` is as written, a text without quotes.

    Money is ``"10_000 USD"``, a percentage ``"90%"``, a duration ``"7 days"``.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A field, param, define, feature, list, `score`, `now`, `outcome`, or in a quantifier `it`; dotted as written (`this.amount` too)."""

    path: str


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`op`: + - * / = != < <= > >= `starts with` `contains` `matches`."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`op` is `and` or `or`; two or more items, left to right. Parentheses that mattered stand as nested nodes."""

    op: str
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    item: Expr


@dataclass(frozen=True, slots=True)
class Negate(Node):
    item: Expr


@dataclass(frozen=True, slots=True)
class Between(Node):
    item: Expr
    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class Within(Node):
    """`item within tolerance around center`."""

    item: Expr
    tolerance: Expr
    center: Expr


@dataclass(frozen=True, slots=True)
class IsMissing(Node):
    """`item is missing`, or with `known` `item is known`."""

    item: Expr
    known: bool


@dataclass(frozen=True, slots=True)
class Membership(Node):
    """`item in choices`, with `negated` `item not in choices`; choices are a tuple or the name of a list."""

    item: Expr
    negated: bool
    choices: Tuple | Name


@dataclass(frozen=True, slots=True)
class Resembles(Node):
    """`item resembles any in listed by least`."""

    item: Expr
    listed: Name
    least: Expr


@dataclass(frozen=True, slots=True)
class Tuple(Node):
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Else(Node):
    """`item else fallback`."""

    item: Expr
    fallback: Expr


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(args)`; `hour of x` and `weekday of x` are calls of `hour of`, `weekday of`. `hit("ID")` and `cash.hit("ID")` too."""

    name: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Quantifier(Node):
    """`any|all|number of LIST where (condition)`; in the condition `it` is the item."""

    kind: str
    of: Name
    where: Expr


@dataclass(frozen=True, slots=True)
class Convert(Node):
    """`item in CUR`."""

    item: Expr
    currency: Word


@dataclass(frozen=True, slots=True)
class HasFlag(Node):
    """`flag NAME`."""

    name: str


Expr = (
    Literal
    | Name
    | Binary
    | Logic
    | Not
    | Negate
    | Between
    | Within
    | IsMissing
    | Membership
    | Resembles
    | Tuple
    | Else
    | Call
    | Quantifier
    | Convert
    | HasFlag
)


# --- small parts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word(Node):
    """A name, id or text that is declared or referred to, with its place."""

    text: str


@dataclass(frozen=True, slots=True)
class TypeName(Node):
    """`kind` as in `values.Type`; `choices` for `one of (...)`, `item` for `list of`."""

    kind: str
    currency: str | None = None
    by: str | None = None
    choices: tuple[Literal, ...] = ()
    item: TypeName | None = None


@dataclass(frozen=True, slots=True)
class Effective(Node):
    """`effective from DATE to DATE`, ISO dates as written; `to` includes its day."""

    start: str
    end: str | None


@dataclass(frozen=True, slots=True)
class Uses(Node):
    """`record PATH RANGE` or `uses KIND PATH RANGE`; `range` like ``^1``, ``~1.4.2``, ``1.0.0``, or none. A table is used `by` the names
    that hold its key, and may be `called` otherwise."""

    kind: str
    path: str
    range: str | None
    by: tuple[Name, ...] = ()
    called: Word | None = None


@dataclass(frozen=True, slots=True)
class Scoring(Node):
    """`score [sum|max] [at most N]`: how points come together; `how` is none where it is not said."""

    how: str | None = None
    most: Expr | None = None


@dataclass(frozen=True, slots=True)
class Floor(Node):
    """`score at least N [when COND]`."""

    least: Expr
    when: Expr | None = None


@dataclass(frozen=True, slots=True)
class Binding(Node):
    """`name = value`, `name = value to high`, or `name missing` where value is none; `name clear` of the states of a whole rule set.

    The name may be a state of another rule set: ``cash.hit("CASH-01")``.
    """

    name: Word
    value: Expr | None
    high: Expr | None = None
    clear: bool = False


@dataclass(frozen=True, slots=True)
class Cell(Node):
    """One cell of a story, of examples or of a table: its text without the padding; parsed by whoever knows the column.

    In a file in another `language` than English `text` is the English of what is `written`.
    """

    text: str
    written: str = field(default="", compare=False)
    language: str = field(default="en", compare=False)


@dataclass(frozen=True, slots=True)
class Row(Node):
    """`inputs` stand before the `=>`, `outputs` after it."""

    inputs: tuple[Cell, ...]
    outputs: tuple[Cell, ...]


# --- declarations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field(Node):
    """`field NAME: TYPE [not negative] [optional] [personal] ["title"] [from "HEADER", ...]`."""

    name: Word
    type: TypeName
    not_negative: bool = False
    optional: bool = False
    personal: bool = False
    title: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableColumn(Node):
    """`column NAME: TYPE [optional] ["title"] [from "HEADER", ...]`, of a reference table."""

    name: Word
    type: TypeName
    optional: bool = False
    title: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Input(Node):
    name: Word
    type: TypeName
    optional: bool = False
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Dated(Node):
    """One value of a param or list, with the dates it is in force."""

    value: Expr
    effective: Effective | None = None


@dataclass(frozen=True, slots=True)
class Param(Node):
    name: Word
    type: TypeName | None
    values: tuple[Dated, ...]
    cites: str | None = None
    slot: str = field(default="", compare=False)
    """The slot of a template that it fills, in words."""


@dataclass(frozen=True, slots=True)
class ListFile(Node):
    """`from "file" [column "c" or "d"] [id "i"] [valid "from" to "to"]`: the values of a list, or of one of its versions; `id` names the
    column that says who bears a name, `valid` those of each entry's own dates."""

    file: str
    columns: tuple[str, ...] = ()
    id: str | None = None
    valid: tuple[str, str] | None = None
    effective: Effective | None = None


@dataclass(frozen=True, slots=True)
class ListDecl(Node):
    """`list NAME = (...)` or `list NAME from "file" ...`; in a list file: `values (...)` or `from "file" ...`, with no name."""

    name: Word | None
    values: tuple[Dated, ...] = ()
    files: tuple[ListFile, ...] = ()
    cites: str | None = None


@dataclass(frozen=True, slots=True)
class Define(Node):
    name: Word
    title: str | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Window(Node):
    """`kind` and what it takes, as in `ir.Window`; a length is ``7 days``, a number of events or periods, or the name of a param.

    trailing (length) · before (length) · lagged (length, lag) · events (length) · full (length or none, period) · calendar (period) ·
    business (closing like ``14:00``, holidays) · since (field) · since event (event)
    """

    kind: str
    length: Expr | None = None
    lag: Expr | None = None
    period: str | None = None
    closing: Word | None = None
    holidays: Name | None = None
    field: Name | None = None
    event: Expr | None = None


@dataclass(frozen=True, slots=True)
class Needs(Node):
    """`needs 12 months of history` or `needs 12 events`: `kind` is history or events, `amount` a duration or a number."""

    kind: str
    amount: Literal


@dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """`AGGREGATE [of EXPR] over WINDOW per KEY [, matched as FIELD or FIELD] [where COND] [needs ...]`.

    `function` is count, sum, mean, min, max, stddev, first, last, count of distinct, most repeated, time since last or share; `of` may be
    another aggregate. A share has `part`, what stands after its own `where`, and `among`.
    """

    function: str
    of: Expr | Aggregate | None
    window: Window
    per: tuple[Name, ...]
    where: Expr | None = None
    needs: Needs | None = None
    matched: tuple[Name, ...] = ()
    part: Expr | None = None
    among: Expr | None = None


@dataclass(frozen=True, slots=True)
class Network(Node):
    """`count of cycles from FIELD to FIELD of up to 4 hops over WINDOW [with AMOUNT within 10%] [where COND] [needs ...] [looking at no
    more than 10_000 events]`, or `count of middlemen`, which has neither hops nor amounts.

    `function` is cycles or middlemen, `ends` the two fields, `effort` how many events are looked at.
    """

    function: str
    ends: tuple[Name, Name]
    window: Window
    hops: Expr | None = None
    amount: Expr | None = None
    within: Expr | None = None
    where: Expr | None = None
    needs: Needs | None = None
    effort: Expr | None = None


@dataclass(frozen=True, slots=True)
class Feature(Node):
    name: Word
    title: str | None
    value: Aggregate | Network | Expr


@dataclass(frozen=True, slots=True)
class Effect(Node):
    """`kind` score (value), flag (name), set (name, value) or outcome (name)."""

    kind: str
    name: Word | None = None
    value: Expr | None = None


@dataclass(frozen=True, slots=True)
class Unless(Node):
    condition: Expr
    because: str


@dataclass(frozen=True, slots=True)
class Template(Node):
    """The text of a reason as written; names stand in braces. `names` says what a name stands for that a rule template gives it."""

    text: str
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Assume(Node):
    name: Word
    value: Expr


@dataclass(frozen=True, slots=True)
class Once(Node):
    """`once per KEY, KEY per WINDOW`; the window is trailing (length) or calendar (period)."""

    per: tuple[Name, ...]
    window: Window


@dataclass(frozen=True, slots=True)
class Rule(Node):
    id: Word
    title: str
    cites: tuple[Word, ...] = ()
    severity: str | None = None
    when: Expr | None = None
    unless: tuple[Unless, ...] = ()
    then: tuple[Effect, ...] = ()
    because: Template | None = None
    on_missing: Word | None = None
    assume: tuple[Assume, ...] = ()
    effective: Effective | None = None
    once: Once | None = None
    places: tuple[tuple[str, Span], ...] = field(default=(), compare=False, repr=False)
    """Where clauses stand whose value carries no place of its own."""
    made: str = field(default="", compare=False)
    """The use of a template that it was made from, in words."""


@dataclass(frozen=True, slots=True)
class Slot(Node):
    """`NAME: TYPE [= DEFAULT]`, or `NAME: field of TYPE`, whose type is of kind ``field``; a default may be a tuple of values."""

    name: Word
    type: TypeName
    default: Expr | None = None


@dataclass(frozen=True, slots=True)
class RuleTemplate(Node):
    """`template NAME ["title"] (SLOT, SLOT) [DEFINE|FEATURE ...] rule "title" CLAUSE ...`: what several rules have in common.

    The rule has no id of its own.
    """

    name: Word
    title: str | None
    slots: tuple[Slot, ...]
    body: tuple[Define | Feature, ...]
    rule: Rule


@dataclass(frozen=True, slots=True)
class MadeRule(Node):
    """`rule ID ["title"] is TEMPLATE [with SLOT = VALUE, ...]`; a value may be a tuple."""

    id: Word
    title: str | None
    template: Word
    values: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class Exemption(Node):
    """`exception ID "title" for RULE, RULE when COND from DATE until DATE approved by "..." because "..."`; days as written."""

    id: Word
    title: str
    rules: tuple[Word, ...]
    when: Expr | None = None
    start: Word | None = None
    end: Word | None = None
    approved: Word | None = None
    because: Word | None = None
    cites: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class DecideRow(Node):
    outcome: Word
    when: Expr | None


@dataclass(frozen=True, slots=True)
class Decide(Node):
    """`decide outcome first match`; a row without condition is `otherwise`; `undecided` names the outcome left open."""

    rows: tuple[DecideRow, ...]
    undecided: Word | None = None


@dataclass(frozen=True, slots=True)
class Never(Node):
    """`never CONDITION [when CONDITION] [cites "..."] [because "..."]`: what no event may bring about."""

    claim: Expr
    when: Expr | None = None
    cites: tuple[Word, ...] = ()
    because: Word | None = None


@dataclass(frozen=True, slots=True)
class Trend(Node):
    """`more|less NAME never lowers|raises score|outcome|NAME [when CONDITION] ...`: which way an answer may move, all else being equal."""

    more: bool
    of: Word
    lowers: bool
    what: Word
    when: Expr | None = None
    cites: tuple[Word, ...] = ()
    because: Word | None = None


@dataclass(frozen=True, slots=True)
class Expectation(Node):
    """`kind`: rule (name, word = hit|clear|undecided) · silenced (name, names = (exception,)?) · score (low[, high])
    · outcome (name) · possible (names) · robust · flag (name) · no flag (name) · value (name, low) · missing (name)."""

    kind: str
    name: Word | None = None
    word: str | None = None
    names: tuple[Word, ...] = ()
    low: Expr | None = None
    high: Expr | None = None


@dataclass(frozen=True, slots=True)
class Test(Node):
    title: Word
    params: tuple[Binding, ...] = ()
    given: tuple[Binding, ...] = ()
    expect: tuple[Expectation, ...] = ()


@dataclass(frozen=True, slots=True)
class Story(Node):
    """`history` is ``complete``, an ISO date, or none; `header` names the columns, the outputs after `=>`."""

    title: Word
    params: tuple[Binding, ...]
    history: str | None
    header: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Sheet(Node):
    """`from "FILE" [sheet "NAME"] [separated by ";"]`: where the rows of a table stand, if not in the text."""

    file: str
    sheet: str | None = None
    separator: str | None = None


@dataclass(frozen=True, slots=True)
class Table(Node):
    """`table NAME ["title"] unique|first|all match [cites "..."]`, and its rows or the file they stand in.

    The inputs of `header` are expressions, its outputs names; the inputs of a row are conditions, which `parse.parse_condition` reads.
    """

    name: Word
    title: str | None
    match: str
    cites: tuple[Word, ...] = ()
    header: Row | None = None
    rows: tuple[Row, ...] = ()
    source: Sheet | None = None


@dataclass(frozen=True, slots=True)
class Examples(Node):
    rule: Word
    header: Row
    rows: tuple[Row, ...]


Declaration = (
    Field
    | TableColumn
    | Input
    | Param
    | ListDecl
    | Define
    | Feature
    | Rule
    | RuleTemplate
    | MadeRule
    | Exemption
    | Table
    | Decide
    | Never
    | Trend
    | Test
    | Story
    | Examples
)


@dataclass(frozen=True, slots=True)
class Comment(Node):
    """A comment with its `#`; `own_line` when nothing stands before it on its line."""

    text: str
    own_line: bool


@dataclass(frozen=True, slots=True)
class File(Node):
    """One file of any of the six kinds. Header items that do not belong to the kind are kept and refused by the checker."""

    kind: str
    name: Word
    version: Word
    title: str | None = None
    owner: str | None = None
    cites: tuple[Word, ...] = ()
    uses: tuple[Uses, ...] = ()
    on_missing: Word | None = None
    zone: Word | None = None
    key: tuple[Word, ...] = ()
    time: Word | None = None
    arrival: Word | None = None
    arrival_by_time: bool = False
    late: Literal | None = None
    ahead: Literal | None = None
    revision: Word | None = None
    language: Word | None = field(default=None, compare=False)
    """Of the keywords; none is English. The tree is the same in every language."""
    scoring: Scoring | None = None
    floors: tuple[Floor, ...] = ()
    rows: Word | None = None
    valid: tuple[Word, ...] = ()
    known: Word | None = None
    base: Word | None = None
    oldest: Literal | None = None
    declarations: tuple[Declaration, ...] = ()
    comments: tuple[Comment, ...] = field(default=(), compare=False)
    places: tuple[tuple[str, Span], ...] = field(default=(), compare=False, repr=False)
    """Where items of the header stand whose value carries no place of its own."""
