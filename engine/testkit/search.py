"""The search for an event that breaks an invariant: steered by the rule set's own conditions, the same every time, judged by the reference.

Compiled rules look for candidates; what they find counts only if the reference backend says the same of it, and is then made as small as
it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from engine.backends import reference, single
from engine.backends.rules import RuleStep, input_types
from engine.lang import ir
from engine.lang.cases import Invariant
from engine.plan import POLICY, Row
from engine.testkit.aim import Aim, Given
from engine.testkit.bench import reading
from engine.testkit.material import STEP, Material
from engine.values import MISSING, Value, compare, known

if TYPE_CHECKING:
    from engine.testkit.bench import Bench, Outcome

_KEPT: Final = 200


@dataclass(slots=True)
class Searched:
    """How far the search for one invariant got: events tried, how often its condition held, the parts of it that never did.

    `broken` holds the events that break it, one or two, each as little as could be given, none where none was found.
    """

    invariant: Invariant
    tries: int = 0
    met: int = 0
    idle: tuple[str, ...] = ()
    broken: tuple[Mapping[str, Value], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        counts = {"tries": self.tries, "met": self.met, "tested": self.tested, "broken": bool(self.broken)}
        return {"invariant": self.invariant.text, **counts, "idle": list(self.idle)}

    @property
    def tested(self) -> bool:
        """Whether anything was found out: every part of what it says held at least once."""
        return bool(self.broken) or (bool(self.met) and not self.idle)


@dataclass(slots=True)
class Search:
    """The searches of one rule set; `fill` makes an event of what is given, as a test does. `seen` are states in which rules were."""

    bench: Bench
    fill: Callable[[Mapping[str, Value]], dict[str, Value]]
    invariants: tuple[Invariant, ...]
    seed: str
    seen: dict[str, set[str]] = field(default_factory=dict)
    alone: Given = field(init=False)
    material: Material = field(init=False)
    _compiled: dict[int, Callable[[Row], Value]] = field(default_factory=dict)
    closed: RuleStep = field(init=False)
    opened: RuleStep = field(init=False)

    def __post_init__(self) -> None:
        rules, record = self.bench.rules, self.bench.record
        self.invariants = tuple(_told(one, reading(self.bench.told)) for one in self.invariants)
        self.alone = self.fill({})
        conditions = [expr for one in self.invariants for expr in (one.claim, one.when, *_moved(one, record)) if expr is not None]
        self.material = Material(rules, record, self.bench.history, self.bench.told, conditions, self.alone[record.time])
        sources = {name: name for name in input_types(rules)}
        self.closed = RuleStep(rules.name, rules, sources, self.bench.time)
        self.opened = RuleStep(rules.name, rules, sources, self.bench.time, open_=True)
        self.seen = {rule.id: set() for rule in rules.rules}

    def run(self, tries: int) -> list[Searched]:
        """Look for events that break the invariants, so many for each."""
        return [self._one(invariant, tries) for invariant in self.invariants]

    def _one(self, invariant: Invariant, tries: int) -> Searched:
        random = Random(f"{self.seed}\n{invariant.text}")
        aim, kept, found = Aim(self.material, random), list[Given](), Searched(invariant)
        held = dict.fromkeys((text for text, _ in invariant.parts), 0)
        needs_open = self._asks_open(invariant)
        while found.tries < tries:
            aim.forget()
            given = dict(random.choice(kept)) if kept and random.random() < 0.3 else aim.event()
            events = _aimed(invariant, given, aim) if invariant.of is None else _pair(invariant, given, aim, self.material)
            rows = [self._decide(event, needs_open) for event in events]
            found.tries += len(events)
            for text, part in invariant.parts:
                held[text] += all(self._judge(part, row) is True for row in rows)
            if not _applies(invariant, rows, self._judge) or (invariant.of is not None and len(rows) < 2):
                continue
            found.met += 1
            kept = [*kept, given][-_KEPT:]
            if _breaks(invariant, rows, self._judge) and self._broken(invariant, events):
                small = _Shrinking(self, invariant).run(events)
                found.broken = small if self._broken(invariant, small) else tuple(events)
                break
        found.idle = () if found.broken else tuple(text for text, count in held.items() if not count)
        return found

    def _asks_open(self, invariant: Invariant) -> bool:
        """Whether the second reading matters."""
        return any({"possible", "robust"} & ir.reads(expr) for expr in (invariant.claim, invariant.when) if expr is not None)

    @property
    def _nothing(self) -> Given:
        return dict.fromkeys(self.material.columns, MISSING) | {self.bench.record.time: self.material.start}

    # --- deciding ----------------------------------------------------------------------------------------------------

    def _decide(self, given: Given, needs_open: bool) -> Row:
        """What compiled rules make of an event, and the states they leave behind."""
        row = self.material.row(given)
        for name, formula in self.material.formulas.items():
            row[name] = reference.stored(formula, row)
        made = self.closed.decided(row)
        result = {local: made[column] for local, column in self.closed.outputs.items() if column in made}
        for rule in self.bench.rules.rules:
            state = result[ir.hit(rule.id)]
            self.seen[rule.id].add("hit" if state is True else "clear" if state is False else "undecided")
        if needs_open and result[POLICY]:
            opened = self.opened.decided(row | dict.fromkeys(self.opened.told, MISSING))
            result["possible"] = tuple(dict.fromkeys((*opened[self.opened.outputs["possible"]], *result["possible"])))
        return _with_robust(row | result)

    def judged(self, given: Mapping[str, Value]) -> Outcome:
        """What the reference makes of an event, as a test would."""
        return self.bench.decided(self.fill(given))

    def may_break(self, invariant: Invariant, events: Iterable[Mapping[str, Value]]) -> bool:
        """Whether compiled rules say that events break it; what an event leaves out is missing, or worked out from it alone."""
        rows: list[Row] = []
        for event in events:
            given = {**self._nothing, **event}
            if not self.material.looked <= event.keys():
                given |= self.bench.looked({**self.material.row(given), **self.alone, **event})
                given |= event
            rows.append(self._decide({name: given[name] for name in self.material.columns}, self._asks_open(invariant)))
        return _applies(invariant, rows, self._judge) and _breaks(invariant, rows, self._judge)

    def _judge(self, expr: ir.Expr, row: Row) -> Value:
        """What a compiled expression comes to; those of invariants live as long as the search."""
        if id(expr) not in self._compiled:
            self._compiled[id(expr)] = single.compile_expr(expr)
        return self._compiled[id(expr)](row)

    def _broken(self, invariant: Invariant, events: Iterable[Mapping[str, Value]]) -> bool:
        """Whether events break the invariant by the reference, which settles it."""
        outcomes = [self.judged(event) for event in events]
        rows = [_seen(outcome) for outcome in outcomes if outcome.refused is None]
        return len(rows) == len(outcomes) and _applies(invariant, rows) and _breaks(invariant, rows)


def _told(invariant: Invariant, change: Callable[[ir.Expr], ir.Expr]) -> Invariant:
    """The invariant over what events are told in place of what tables say."""
    when = None if invariant.when is None else ir.transform(invariant.when, change)
    parts = tuple((text, ir.transform(part, change)) for text, part in invariant.parts)
    return replace(invariant, claim=ir.transform(invariant.claim, change), when=when, parts=parts)


def _moved(invariant: Invariant, record: Any) -> Iterable[ir.Expr]:
    if invariant.of is not None:
        types = {one.name: one.type for one in record.fields}
        yield ir.Read(invariant.of, type=types[invariant.of]) if invariant.of in types else ir.Read(invariant.of)


def _seen(outcome: Outcome) -> Row:
    """Everything an invariant may read of what the reference made of an event."""
    row = outcome.row | outcome.closed
    if "possible" in row:
        row["possible"] = tuple(dict.fromkeys((*outcome.opened["possible"], *outcome.closed["possible"])))
    return _with_robust(row)


def _with_robust(row: Row) -> Row:
    row["robust"] = len(row.get("possible", ())) == 1
    return row


# --- what it means ---------------------------------------------------------------------------------------------------


Judge = Callable[[ir.Expr, Row], Value]
"""What says what an expression comes to: the reference, or compiled expressions, which are faster."""


def _applies(invariant: Invariant, rows: Iterable[Row], judge: Judge = reference.evaluate) -> bool:
    """Whether the invariant says anything of these events."""
    return all(invariant.when is None or judge(invariant.when, row) is True for row in rows)


def _breaks(invariant: Invariant, rows: list[Row], judge: Judge = reference.evaluate) -> bool:
    """Whether they break it beyond doubt: what cannot be judged breaks nothing."""
    if invariant.of is None:
        return judge(invariant.claim, rows[0]) is True
    before, after = (judge(invariant.claim, row) for row in rows)
    if invariant.order:
        if before not in invariant.order or after not in invariant.order:
            return False
        before, after = invariant.order.index(before), invariant.order.index(after)
    return compare("<" if invariant.lowers else ">", after, before) is True


def _aimed(invariant: Invariant, given: Given, aim: Aim) -> list[Given]:
    """The event, mostly steered towards what the invariant speaks of and says never happens."""
    wanted = [expr for expr in (invariant.when, invariant.claim) if expr is not None and aim.random.random() < 0.9]
    aim.random.shuffle(wanted)
    for expr in wanted:
        aim.at(expr, True, given)
    return [given]


def _pair(invariant: Invariant, given: Given, aim: Aim, material: Material) -> list[Given]:
    """Two events that differ in one column, which is more in the second, or less; one where no two values were at hand."""
    name, random = invariant.of or "", aim.random
    resting = [rule for rule in material.rules.rules if name in material.leaves(ir.condition(rule))]
    rules = resting if resting and random.random() < 0.8 else material.rules.rules
    if rules and random.random() < 0.8:
        aim.rule(random.choice(rules), random.random() < 0.7, given)
    if invariant.when is not None:
        aim.at(invariant.when, True, given)
    others = [
        material.value(name, random),
        material.value(name, random),
        *random.sample(material.pools[name], min(2, len(material.pools[name]))),
    ]
    there = sorted({value for value in (given[name], *others) if known(value) and value.__class__ in (int, float)})
    if len(there) < 2:
        return [given]
    # one of the two is mostly the value that the rule was aimed with
    place = there.index(given[name]) if known(given[name]) and random.random() < 0.7 else random.randrange(len(there))
    other = random.choice([at for at in range(len(there)) if at != place])
    low, high = sorted((there[place], there[other]))
    return [given | {name: value} for value in ((low, high) if invariant.more else (high, low))]


# --- making it small -------------------------------------------------------------------------------------------------


class _Shrinking:
    """Takes away from events what they do not need to break an invariant, and makes the rest plain."""

    def __init__(self, search: Search, invariant: Invariant) -> None:
        self.search, self.invariant = search, invariant

    def breaks(self, events: list[Given]) -> bool:
        return self.search.may_break(self.invariant, events)

    def run(self, events: list[Given]) -> tuple[Given, ...]:
        """The smallest events that still break it."""
        # `given` of a test leaves out what is missing; a feature left out is worked out from this event alone
        events = [dict(event) for event in events]
        for _ in range(5):
            before = [dict(event) for event in events]
            for name in sorted(events[0], key=self._order):
                if name != self.invariant.of:
                    events = self._less(events, name)
            events = self._closer(events)
            if events == before:
                break
        return tuple(events)

    def _order(self, name: str) -> tuple[bool, bool, str]:
        """Fields first, then what looks back, which takes longest to leave out, then the time."""
        return name == self.search.bench.record.time, name in self.search.material.looked, name

    def _less(self, events: list[Given], name: str) -> list[Given]:
        """The events without a value for this column, or with a plainer one, as far as that still breaks it."""
        without = [{key: value for key, value in event.items() if key != name} for event in events]
        if name not in self.search.bench.told and self.breaks(without):
            return without  # what stands in a table is said, or a test would look it up
        for plain in self._plainer(name, events[0][name]):
            tried = [event | {name: plain} for event in events]
            if self.breaks(tried):
                return tried
        return self._nearer(events, name)

    def _plainer(self, name: str, value: Value) -> Iterable[Value]:
        """Values that are simpler than this one, the simplest first."""
        if not known(value):
            return
        if name not in (self.search.bench.record.time, *self.search.bench.record.key):
            yield MISSING
        if value.__class__ is int and value and self.search.material.columns[name].kind not in ("date", "datetime"):
            yield 0
            return
        for other in self.search.material.pools[name]:
            if other == value:
                return
            yield other

    def _nearer(self, events: list[Given], name: str) -> list[Given]:
        """The events with the value nearest to nothing that still breaks it; nothing itself does not."""
        value, type_ = events[0][name], self.search.material.columns[name]
        if value.__class__ is not int or type_.kind in ("date", "datetime"):
            return events
        step = STEP[type_.kind]
        near, far = 0, value // step
        while abs(far - near) > 1:
            middle = (near + far) // 2
            tried = [event | {name: middle * step} for event in events]
            if self.breaks(tried):
                events, far = tried, middle
            else:
                near = middle
        return events

    def _closer(self, events: list[Given]) -> list[Given]:
        """The two values of a trend, brought as near to each other as they can be."""
        name = self.invariant.of
        if name is None or len(events) < 2 or events[0][name].__class__ is not int:
            return events
        step = STEP[self.search.material.columns[name].kind]
        first, second = (event[name] // step for event in events)
        while abs(second - first) > 1:
            middle = (first + second) // 2
            upper, lower = (self._moved(events, pair, step) for pair in ((middle, second), (first, middle)))
            if self.breaks(upper):
                events, first = upper, middle
            elif self.breaks(lower):
                events, second = lower, middle
            else:
                break
        return events

    def _moved(self, events: list[Given], pair: tuple[int, int], step: int) -> list[Given]:
        return [event | {self.invariant.of or "": value * step} for event, value in zip(events, pair, strict=True)]
