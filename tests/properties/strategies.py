"""Random typed programs and rows for the laws. Everything is drawn from one `Random`, so that a seed gives a case again.

`Maker` makes expressions of a wanted kind from the columns it may read; `program` and `rows` make whole rule sets and rows for them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from engine.backends.outline import may_open
from engine.lang import ir, proof
from engine.lang.builtins import BUILTINS
from engine.lang.entries import Days, Entries
from engine.lang.problems import Report
from engine.rates import Rates
from engine.reference_table import Bounds, ReferenceTable, TableColumn
from engine.screening.names import Entry, Names
from engine.values import (
    CAUSES,
    DATE,
    DATETIME,
    DAY,
    DURATION,
    FLAG,
    INTEGER,
    MONTHS,
    NUMBER,
    PERCENT,
    PERCENT_UNIT,
    SCORE,
    TEXT,
    Interval,
    Money,
    Type,
    Value,
    missing,
)

FUZZ: Final = int(os.environ.get("FUZZ", "1"))
"""How many times more examples than in an ordinary run."""

USD, BY = Type("money", currency="USD"), Type("money", by="currency")
TYPES: Final = {
    "text": TEXT,
    "integer": INTEGER,
    "number": NUMBER,
    "money": USD,
    "bymoney": BY,
    "percent": PERCENT,
    "flag": FLAG,
    "date": DATE,
    "datetime": DATETIME,
    "duration": DURATION,
    "months": MONTHS,
    "list of text": Type("list", item=TEXT),
    "list of integer": Type("list", item=INTEGER),
    "list of number": Type("list", item=NUMBER),
}
_ORDERED: Final = ("integer", "number", "money", "bymoney", "percent", "date", "datetime", "duration")
_SCALES: Final = (1, PERCENT_UNIT, PERCENT_UNIT**2)
_FIRST, _LAST = -719162, 2932896

FIELDS: Final[dict[str, Type]] = {
    **{f"{kind.replace(' ', '_')}_a": type_ for kind, type_ in TYPES.items()},
    **{f"{kind.replace(' ', '_')}.b": type_ for kind, type_ in TYPES.items()},
    "channel": Type("text", choices=("cash", "wire")),
    **{f"profile.{kind}": replace(TYPES[kind], interval=True) for kind in _ORDERED},
}
"""The columns of every row: two of each type, and one interval of each type that has them."""

HELD: Final = {ir.held(f"R-{number}"): FLAG for number in range(32)}
"""What rules with `once` read besides: whether a hit is held back."""

WILD: Final[dict[str, tuple[Any, ...]]] = {
    "text": ("", "a", "A", "abc", "cash", "straße", "İ", "ΑΣ", "ǆ", "a\0b", "é", "e\u0301", "\U0001f600", " a ", "1"),
    "integer": (0, 1, -1, 2, 3, 7, 100, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63 - 2, -(2**63)),
    "number": (0.0, -0.0, 1.0, 0.5, -1.5, 2.675, 0.1, 1e308, -1e308, 5e-324, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 1e19, 1e-300),
    "money": (0, 1, -1, 33, 100, 10**6, 2**63 - 1, -(2**63)),
    "percent": (0, PERCENT_UNIT, 50_000_000, 1, -1, 2**53, -(2**53), 90_000_000, 33_333_333),
    "date": (0, -1, 18_000, 18_031, 16_829, _FIRST, _LAST),
    "datetime": (0, 1, -1, 18_000 * DAY, 18_000 * DAY + 3_600_000_000, _FIRST * DAY, (_LAST + 1) * DAY - 1),
    "duration": (0, 1, DAY, -DAY, 7 * DAY, 2**63 - 1, -(2**63)),
    "months": (0, 1, -1, 12, 1200, 200_000),
    "flag": (True, False),
}
MILD: Final[dict[str, tuple[Any, ...]]] = {
    **dict.fromkeys(("integer", "money", "months"), (0, 1, -1, 2, 3, 4)),
    "text": ("", "a", "A", "cash"),
    "number": (0.0, 1.0, -1.0, 0.5, 2.0, 3.0),
    "percent": (0, PERCENT_UNIT, -PERCENT_UNIT, 50_000_000, 2 * PERCENT_UNIT),
    "date": (0, 1, 2, 10),
    "datetime": (0, DAY, 2 * DAY, DAY + 1),
    "duration": (0, DAY, -DAY, 2 * DAY),
    "flag": (True, False),
}
"""Values that stay far from every limit: near it, arithmetic on known values can be missing again."""


def kind_of(type_: Type) -> str:
    if type_.kind == "money" and type_.currency is None:
        return "bymoney"
    return f"list of {type_.item}" if type_.kind == "list" else type_.kind


@dataclass
class Values:
    """Random values of a type, missing ones and intervals among them."""

    random: Random
    pool: dict[str, tuple[Any, ...]] = field(default_factory=lambda: WILD)
    lacking: float = 0.25

    def cause(self) -> str:
        return self.random.choice(CAUSES)

    def known(self, type_: Type) -> Value:
        kind = kind_of(type_)
        if type_.item is not None:
            return tuple(self.known(type_.item) for _ in range(self.random.randrange(4)))
        if kind == "bymoney":
            return Money(self.random.choice(self.pool["money"]), self.random.choice(("USD", "USD", "EUR")))
        if kind == "text" and type_.choices:
            return self.random.choice(type_.choices)
        return self.random.choice(self.pool[kind])

    def any(self, type_: Type) -> Value:
        draw = self.random.random()
        if draw < self.lacking:
            return missing(self.cause())
        if type_.interval and draw < self.lacking + 0.3:
            return self.interval(type_)
        return self.known(type_)

    def interval(self, type_: Type) -> Value:
        """Two bounds, or one and an open end; money in one currency."""
        low, high = sorted(self.known(replace(type_, by=None, currency="USD") if type_.kind == "money" else type_) for _ in range(2))
        if low == high:
            high = None
        ends = [low, high]
        if high is not None and self.random.random() < 0.5:
            ends[self.random.randrange(2)] = None
        if kind_of(type_) == "bymoney":
            currency = self.random.choice(("USD", "USD", "EUR"))
            ends = [None if end is None else Money(end, currency) for end in ends]
        return Interval(ends[0], ends[1], self.cause())


@dataclass
class Maker:
    """Makes expressions. `reads` are the columns they may read; `pure` leaves out what asks about missingness."""

    values: Values
    reads: dict[str, Type]
    pure: bool = False
    items: list[Type] = field(default_factory=list)

    @property
    def random(self) -> Random:
        return self.values.random

    def expr(self, kind: str, depth: int, scale: int = 1) -> ir.Expr:
        """An expression of this kind (as in `TYPES`), at most so deep; money counts `1/scale` minor units."""
        made = self._deep(kind, depth, scale) if depth > 0 and self.random.random() < 0.8 else self._leaf(kind, scale)
        return replace(made, type=replace(made.type, interval=may_open(made)))

    def _leaf(self, kind: str, scale: int) -> ir.Expr:
        if scale != 1:
            return self._call("rescale:bymoney" if kind == "bymoney" else "rescale:money", 0, scale)
        names = [name for name, type_ in self.reads.items() if kind_of(type_) == kind]
        if self.items and kind_of(self.items[-1]) == kind and self.random.random() < 0.7:
            return ir.Item(type=self.items[-1])
        if names and self.random.random() < 0.75:
            name = self.random.choice(names)
            return ir.Read(name, type=self.reads[name])
        return self.const(TYPES[kind])

    def const(self, type_: Type) -> ir.Const:
        if self.random.random() < 0.03:
            return ir.Const(missing(self.values.cause()), type=type_)
        return ir.Const(self.values.known(type_), type=type_)

    def _deep(self, kind: str, depth: int, scale: int) -> ir.Expr:
        if not self.pure and self.random.random() < 0.15:
            item, fallback = self.expr(kind, depth - 1, scale), self.expr(kind, depth - 1, scale)
            return ir.Else(item, fallback, type=item.type)
        if TYPES[kind].item is None and scale == 1 and self.random.random() < 0.06:
            return self._lookup(kind, depth)
        if kind == "money" and scale == 1 and self.random.random() < 0.2:
            return self._convert(depth)
        if kind in ("text", "percent") and not self.items and self.random.random() < 0.1:
            return self._match(kind, depth)
        if self.random.random() < 0.1:
            return self._dated(kind, depth, scale)
        if kind == "flag" and self.random.random() < 0.85:
            return self._flag(depth)
        if kind == "integer" and self.random.random() < 0.2:
            return self._quantifier("number", depth)
        keys = [key for key in calls(kind) if scale == 1 or key not in _FINE]
        if kind in ("money", "bymoney"):
            keys = [key for key in calls(kind) if _fits(key, scale)]
        return self._call(self.random.choice(keys), depth - 1, scale) if keys else self._leaf(kind, scale)

    def _flag(self, depth: int) -> ir.Expr:
        makers = [self._compare] * 3 + [self._logic] * 2 + [self._not, self._in, self._listed, self._resembles, self._any_or_all]
        if not self.pure:
            makers.append(self._is_missing)
        return self.random.choice(makers)(depth)

    def _compare(self, depth: int) -> ir.Expr:
        kind = other = self.random.choice(list(TYPES))
        if kind in ("integer", "number"):
            other = self.random.choice(("integer", "number"))
        ops = ("=", "!=", "<", "<=", ">", ">=") if kind in (*_ORDERED, "text") else ("=", "!=")
        scale = self.random.choice(_SCALES) if kind in ("money", "bymoney") else 1
        return ir.Compare(self.random.choice(ops), self.expr(kind, depth - 1, scale), self.expr(other, depth - 1, scale))

    def _logic(self, depth: int) -> ir.Expr:
        node = self.random.choice((ir.And, ir.Or))
        return node(tuple(self.expr("flag", depth - 1) for _ in range(self.random.choice((1, 2, 2, 3)))))

    def _not(self, depth: int) -> ir.Expr:
        return ir.Not(self.expr("flag", depth - 1))

    def _is_missing(self, depth: int) -> ir.Expr:
        return ir.IsMissing(self.expr(self.random.choice(list(TYPES)), depth - 1))

    def _in(self, depth: int) -> ir.Expr:
        kind = self.random.choice([kind for kind in TYPES if TYPES[kind].item is None])
        chosen = frozenset(self.values.known(TYPES[kind]) for _ in range(self.random.randrange(4)))
        return ir.In(self.expr(kind, depth - 1), chosen)

    def _resembles(self, depth: int) -> ir.Expr:
        names = Names(
            Entry(self.values.known(TEXT), self.random.choice(("", "7", "8")), self.spans()) for _ in range(self.random.randrange(5))
        )
        day = self.day() if self.random.random() < 0.3 else None
        least = self.random.choice((1, 50, 66, 85, 100)) * 1_000_000
        return ir.Resembles(self.expr("text", depth - 1), names, least, day, self.random.choice(("watched", None)))

    def _match(self, kind: str, depth: int) -> ir.Expr:
        part = "score" if kind == "percent" else self.random.choice(("name", "id", "list", "text"))
        return ir.Match(part, tuple(self._resembles(depth) for _ in range(self.random.choice((1, 1, 2)))), type=TYPES[kind])

    def _listed(self, depth: int) -> ir.Expr:
        kind = self.random.choice([kind for kind in TYPES if TYPES[kind].item is None])
        entries = {self.values.known(TYPES[kind]): self.spans() for _ in range(self.random.randrange(5))}
        return ir.Listed(self.expr(kind, depth - 1), self.day(), Entries(entries))

    def _dated(self, kind: str, depth: int, scale: int) -> ir.Expr:
        spans = self.spans()
        items = tuple(self.expr(kind, depth - 1, scale) for _ in spans)
        return ir.Dated(self.day(), spans, items, type=replace(TYPES[kind], scale=scale))

    def day(self) -> ir.Expr:
        """Nearly always the event's own."""
        return ir.day_of_event() if self.random.random() < 0.8 else ir.Read(self.random.choice(("date_a", "date.b")), type=DATE)

    def spans(self) -> tuple[Days, ...]:
        """Some spans with the days of `row` about their ends: open or not, overlapping or with holes."""
        days = (None, 0, 5, 10, 11, 18_000)
        return tuple((self.random.choice(days), self.random.choice(days)) for _ in range(self.random.randrange(4)))

    def _any_or_all(self, depth: int) -> ir.Expr:
        return self._quantifier(self.random.choice(("any", "all")), depth)

    def _quantifier(self, kind: str, depth: int) -> ir.Expr:
        of = self.expr(self.random.choice([kind for kind in TYPES if TYPES[kind].item is not None]), depth - 1)
        self.items.append(of.type.item or TEXT)
        where = self.expr("flag", depth - 1)
        self.items.pop()
        return ir.Quantifier(kind, of, where, type=SCORE if kind == "number" else FLAG)

    def _lookup(self, kind: str, depth: int) -> ir.Expr:
        table = a_table(self.values, TYPES[kind])
        keys = tuple(self.expr(kind_of(table.columns[name].type), depth - 1) for name in table.key)
        at = ir.Read("now", type=DATETIME) if table.dated else None
        return ir.Lookup(table, "said", keys, at, "Asia/Kathmandu", type=TYPES[kind])

    def _convert(self, depth: int) -> ir.Expr:
        kind, scale = self.random.choice(("money", "bymoney")), self.random.choice(_SCALES)
        item = self.expr(kind, depth - 1, scale)
        if kind == "money":
            item = replace(item, type=replace(item.type, currency=self.random.choice(("EUR", "JPY", "KWD", "CHF"))))
        return ir.Convert(item, a_rates(self.values), ir.Read("now", type=DATETIME), "America/New_York", type=USD)

    def _call(self, key: str, depth: int, scale: int) -> ir.Expr:
        builtin = BUILTINS[key]
        args = self._args(key, builtin.takes, depth, scale)
        type_ = TYPES[builtin.gives]
        return ir.Call(key, tuple(args), type=replace(type_, scale=scale) if builtin.gives in ("money", "bymoney") else type_)

    def _args(self, key: str, takes: tuple[str, ...], depth: int, scale: int) -> list[ir.Expr]:
        if key.startswith("rescale:"):
            return [self.expr(takes[0], depth), ir.Const(scale, type=INTEGER)]
        if key == "member":
            item = self.random.choice([type_.item for type_ in TYPES.values() if type_.item is not None])
            return [self.expr(kind_of(item), depth), self.expr(f"list of {item}", depth)]
        if key == "money->bymoney":
            return [self.expr("money", depth, scale), ir.Const("USD", type=TEXT)]
        if key in _FINE:
            return [self.expr(takes[0], depth, scale // PERCENT_UNIT), self.expr(takes[1], depth)]
        if key in ("money/money", "bymoney/bymoney"):
            scale = self.random.choice(_SCALES)
        return [self._arg(kind, depth, scale) for kind in takes]

    def _arg(self, kind: str, depth: int, scale: int) -> ir.Expr:
        if kind == "zone":
            return ir.Const(self.random.choice(("America/New_York", "UTC", "Asia/Kathmandu")), type=TEXT)
        if kind == "pattern":
            return ir.Const(self.random.choice(("a", "^a$", r"\d+", "(?i)CASH|ß", "")), type=TEXT)
        return self.expr(kind, depth, scale if kind in ("money", "bymoney") else 1)


def a_table(values: Values, type_: Type) -> ReferenceTable:
    """A small table of one column `said`, under one key or two, whose rows may have dates."""
    random, known = values.random, values.known
    keyed = random.choice((("text",), ("integer",), ("date",), ("flag", "text")))
    while True:
        rows = range(random.randrange(7))
        parts = [[known(TYPES[kind]) for _ in rows] for kind in keyed]
        said = TableColumn("said", type_, [missing("absent") if random.random() < 0.2 else known(type_) for _ in rows])
        columns = {f"k{place}": TableColumn(f"k{place}", TYPES[kind], parts[place]) for place, kind in enumerate(keyed)} | {"said": said}
        keys = parts[0] if len(parts) == 1 else list(zip(*parts, strict=True))
        days = [sorted((random.choice((None, 0, 5, 10)), random.choice((10, 18_000, None))), key=lambda day: day or 0) for _ in rows]
        valid = random.choice((None, Bounds("date", [day for day, _ in days], [day for _, day in days])))
        known_from = random.choice((None, Bounds("datetime", [random.choice((0, 5 * DAY, 6 * DAY + 1)) for _ in rows])))
        made = ReferenceTable("law/table", "1.0.0", tuple(f"k{place}" for place in range(len(keyed))), keys, columns, valid, known_from)
        if not list(made.clashes()):
            return made


def a_rates(values: Values) -> Rates:
    """A few rates on a few days, some of them too old for the days of `row`."""
    some: dict[str, tuple[list[int], list[int]]] = {}
    for currency in ("USD", "JPY", "KWD"):
        days = sorted(values.random.sample((0, 3, 9, 10, 17_995, 18_000), values.random.randrange(5)))
        some[currency] = days, [values.random.choice((1, 3, 10_800, 123_456_789, 10**18)) for _ in days]
    return Rates("law/rates", "1.0.0", "EUR", values.random.choice((0, 4)), 7, some)


_FINE: Final = ("money*percent", "bymoney*percent")


def _fits(key: str, scale: int) -> bool:
    if key in _FINE or key.startswith("rescale:"):
        return scale != 1
    return True


def calls(kind: str) -> list[str]:
    """The builtins that give this kind."""
    return [key for key, builtin in BUILTINS.items() if builtin.gives == kind]


# --- whole rule sets -------------------------------------------------------------------------------------------------


ONCE: Final = ir.Once((ir.Read("text_a", type=TEXT),), ir.Window("trailing", 7 * DAY), ir.Read("now", type=DATETIME))


def program(values: Values, size: int, *, pure: bool = False) -> ir.RuleSet:
    """A rule set of about `size` statements, expressions at most `size` deep (and never more than four)."""
    return _Writer(values, min(4, size), pure).ruleset(size)


class _Writer:
    def __init__(self, values: Values, depth: int, pure: bool) -> None:
        self.maker, self.depth, self.pure = Maker(values, dict(FIELDS), pure), depth, pure
        self.random, self.body, self.rules = values.random, list[ir.Statement](), list[str]()
        self.exempt = list[str]()

    def ruleset(self, size: int) -> ir.RuleSet:
        for number in range(size):
            self.random.choice((self.define, self.rule, self.rule, self.rule, self.flag, self.set, self.table))(number)
        scoring = self.scoring()
        self.maker.reads["score"] = SCORE
        for number in range(size, size + self.random.randrange(3)):
            self.random.choice((self.define, self.set, self.table))(number)
        return ir.RuleSet(
            "law/random", "1.0.0", None, None, (), ir.Use("record", "law/record", None, "record"), (),
            tuple(ir.Column(name, type_) for name, type_ in FIELDS.items()), (), None, tuple(self.body), self.decide(),
            scoring=scoring,
        )  # fmt: skip

    def define(self, number: int) -> None:
        value = self.maker.expr(self.random.choice(list(TYPES)), self.depth)
        self.body.append(ir.Define(f"define_{number}", value))
        self.maker.reads[f"define_{number}"] = value.type

    def rule(self, number: int) -> None:
        flag, values = self.maker.expr, self.maker.values
        readable = [name for name in self.maker.reads if name != "score" and not name.startswith(("hit(", "flags."))]
        assume = {name: ir.Const(values.known(self.maker.reads[name]), type=self.maker.reads[name].exact()) for name in self.some(readable)}
        day = self.random.choice((None, 0, 10, 18_000))
        rule = ir.Rule(
            f"R-{number}",
            f"rule {number}",
            flag("flag", self.depth),
            unless=tuple((flag("flag", self.depth - 1), "because") for _ in range(self.random.choice((0, 0, 1, 2)))),
            policy=self.random.choice(("refer", "refer", "ignore", "alert")),
            assume=tuple(assume.items()),
            points=self.points(),
            effective=self.random.choice(((None, None), (None, None), (day, None), (None, day), (0, 18_000))),
            once=self.random.choice((None, None, None, ONCE)),
            exempt=self.exceptions(),
        )
        self.body.append(rule)
        self.rules.append(rule.id)
        self.maker.reads[ir.hit(rule.id)] = FLAG

    def exceptions(self) -> tuple[str, ...]:
        """The exceptions for a rule: none, some that are for others too, or a new one."""
        if self.random.random() < 0.7:
            return ()
        if self.random.random() < 0.7:
            id_ = f"E-{len(self.exempt)}"
            days = [
                ir.Compare(op, ir.Read("@date", type=DATE), ir.Const(self.random.choice((5, 10, 18_000)), type=DATE)) for op in (">=", "<=")
            ]
            when = self.maker.expr("flag", self.depth)
            self.body.append(ir.Define(ir.excepted(id_), ir.And((*self.random.sample(days, self.random.choice((1, 2))), when))))
            self.exempt.append(id_)
        return tuple(self.random.sample(self.exempt, min(len(self.exempt), self.random.choice((1, 1, 2)))))

    def points(self) -> int | ir.Dated:
        points = [self.random.choice((0, 10, 40, -5, -30)) for _ in range(3)]
        if self.random.random() < 0.9:
            return points[0]
        spans = tuple((self.random.choice((None, 0, 5, 10)), self.random.choice((None, 10, 18_000))) for _ in points)
        return ir.Dated(ir.day_of_event(), spans, tuple(ir.Const(one, type=INTEGER) for one in points), type=INTEGER)

    def scoring(self) -> ir.Scoring:
        """Often a plain sum; else the most of one, floors with and without a condition, an end above them."""
        if self.random.random() < 0.4:
            return ir.Scoring()
        least = [self.random.choice((-10, 0, 20, 60)) for _ in range(self.random.randrange(3))]
        drawn = [(points, self.random.choice((None, self.state(), self.maker.expr("flag", self.depth)))) for points in least]
        most = self.random.choice((None, None, 0, 30, 60))
        floors = tuple((least, when) for least, when in drawn if most is None or least <= most)
        return ir.Scoring(self.random.choice(("sum", "max")), most, floors)

    def some(self, names: list[str]) -> list[str]:
        return self.random.sample(names, self.random.choice((0, 0, 1, 2)))

    def writers(self) -> list[str]:
        return self.random.sample(self.rules, self.random.randint(1, min(3, len(self.rules))))

    def flag(self, number: int) -> None:
        if not self.rules:
            return
        self.body.append(ir.Flag(f"flag_{number}", tuple(self.writers())))
        self.maker.reads[f"flags.flag_{number}"] = FLAG

    def set(self, number: int) -> None:
        if not self.rules:
            return
        kind = self.random.choice(list(TYPES))
        scales = _SCALES if kind in ("money", "bymoney") else (1,)
        depth = self.random.choice((0, 0, self.depth - 1))
        written = tuple((rule, self.maker.expr(kind, depth, self.random.choice(scales))) for rule in self.writers())
        type_ = replace(TYPES[kind], interval=any(may_open(value) for _, value in written))
        self.body.append(ir.Set(f"set_{number}", type_, written))
        self.maker.reads[f"set_{number}"] = type_

    def table(self, number: int) -> None:
        inputs = [(f"column {i}", self.subject()) for i in range(self.random.randint(1, 3))]
        match = self.random.choice(("unique", "first", "all"))
        points = "score" not in self.maker.reads and self.random.random() < 0.5
        outputs, kinds = [], [kind for kind in TYPES if match != "all" or (TYPES[kind].item is None and kind != "bymoney")]
        for i in range(self.random.randrange(0 if points else 1, 3)):
            outputs.append((f"table_{number}_{i}", self.random.choice(kinds)))
        asks = [not self.pure and self.random.random() < 0.4 for _ in inputs]
        rows = [self.table_row(i, inputs, asks, outputs, points) for i in range(1, self.random.randint(1, 6))]
        last = self.table_row(9, [], [], outputs, points) if self.random.random() < 0.5 else None
        columns = [
            ir.Column(name, self.written_type(i, kind, [*rows, *([last] if last else [])], match), True)
            for i, (name, kind) in enumerate(outputs)
        ]
        made = ir.Table(f"t{number}", match, tuple(inputs), tuple(columns), tuple(rows), last, gives_points=points)
        self.body.append(proof.prove(made, Report()))
        self.maker.reads |= {column.name: column.type for column in columns}

    def written_type(self, place: int, kind: str, rows: list[ir.TableRow], match: str) -> Type:
        if match == "all":
            return Type("list", item=TYPES[kind])
        return replace(TYPES[kind], interval=any(may_open(row.values[place]) for row in rows))

    def subject(self) -> ir.Expr:
        kind = self.random.choice([kind for kind in TYPES if TYPES[kind].item is None])
        return self.maker.expr(kind, self.random.choice((0, 0, 0, 1)))

    def table_row(
        self, number: int, inputs: list[tuple[str, ir.Expr]], asks: list[bool], outputs: list[tuple[str, str]], points: bool
    ) -> ir.TableRow:
        cells = tuple(self.cell(subject, asked) for (_, subject), asked in zip(inputs, asks, strict=True))
        values = tuple(self.maker.expr(kind, self.random.choice((0, 0, 1))) for _, kind in outputs)
        if self.random.random() < 0.1:
            values = tuple(ir.Const(missing("no row"), type=TYPES[kind]) for _, kind in outputs)
        return ir.TableRow(number, cells, values, self.random.choice((0, 10, 40, -5)) if points else 0)

    def cell(self, subject: ir.Expr, asks: bool) -> ir.Expr | None:
        if self.random.random() < 0.25:
            return None
        if asks and self.random.random() < 0.3:
            return ir.IsMissing(subject)
        said = self.asked(subject)
        return ir.And((ir.Not(ir.IsMissing(subject)), said)) if asks else said

    def asked(self, subject: ir.Expr) -> ir.Expr:
        """What a cell says of a value: a comparison, an interval, some values, all others; now and then something else altogether."""
        if self.random.random() < 0.05:
            return self.maker.expr("flag", 1)
        kind, scale = kind_of(subject.type), subject.type.scale
        values = self.maker.values
        const = TYPES["number"] if kind == "integer" and self.random.random() < 0.2 else replace(TYPES[kind], scale=scale)
        ordered = kind in (*_ORDERED, "text")
        draw = self.random.random()
        if draw < 0.4:
            op = self.random.choice(("=", "!=", "<", "<=", ">", ">=") if ordered else ("=", "!="))
            return ir.Compare(op, subject, ir.Const(values.known(const), type=const))
        if draw < 0.6 and ordered:
            low, high = (ir.Const(values.known(const), type=const) for _ in range(2))
            return ir.And(
                (ir.Compare(self.random.choice((">", ">=")), subject, low), ir.Compare(self.random.choice(("<", "<=")), subject, high))
            )
        if draw < 0.7 and kind == "money" and scale == 1:
            fine = ir.Call(
                "rescale:money", (subject, ir.Const(3, type=INTEGER)), type=replace(USD, scale=3, interval=subject.type.interval)
            )
            return ir.Compare(self.random.choice((">", "<=", "=")), fine, ir.Const(values.known(USD), type=replace(USD, scale=3)))
        chosen = ir.In(subject, frozenset(values.known(TYPES[kind]) for _ in range(self.random.randrange(4))))
        return chosen if self.random.random() < 0.7 else ir.Not(chosen)

    def decide(self) -> ir.Decide | None:
        if self.random.random() < 0.1:
            return None
        outcomes = ("block", "review", "approve", "wait")
        rows = [(self.random.choice(outcomes), self.condition()) for _ in range(self.random.randrange(4))]
        return ir.Decide((*rows, (self.random.choice(outcomes), None)), self.random.choice(("refer", "review")))

    def condition(self) -> ir.Expr:
        if self.random.random() < 0.5:
            bound = ir.Const(self.random.choice((-30, 0, 10, 40, 50)), type=INTEGER)
            return ir.Compare(self.random.choice((">=", "<", "=")), ir.Read("score", type=SCORE), bound)
        state = self.state()
        return state if state is not None and self.random.random() < 0.6 else self.maker.expr("flag", self.depth)

    def state(self) -> ir.Expr | None:
        """That some rule is hit or flag raised, or is not."""
        states = [name for name, type_ in self.maker.reads.items() if type_ == FLAG and name.startswith(("hit(", "flags."))]
        read = ir.Read(self.random.choice(states), type=FLAG) if states else None
        return None if read is None else self.random.choice((read, ir.Not(read)))


def row(values: Values) -> dict[str, Value]:
    """A row with every column of `FIELDS` and `HELD`, the event's time and its day."""
    day = values.random.choice((0, 5, 10, 11, 18_000, 18_001))
    return {name: values.any(type_) for name, type_ in (FIELDS | HELD).items()} | {"now": day * DAY, "@date": day}


ROW_TYPES: Final[dict[str, Type]] = {**FIELDS, **HELD, "now": DATETIME, "@date": DATE}
