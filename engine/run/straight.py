"""One event straight to its decision: a cascade of one rule set becomes one function, from the raw event or the typed row to the answer.

What it cannot take it hands to the ordinary way, `run.event`, which says the same of every event; rows and texts are made from that too,
when they are asked for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.backends.fused import SHARED, TAKEN, Fused, fits
from engine.backends.rules import RuleStep
from engine.backends.source import Function, Module
from engine.ledger.decision import Decision, Quick
from engine.plan import DAY_OF_EVENT, NOW, Plan, Row
from engine.reading import SAFE_TIME, instant
from engine.record import Border, Field, border
from engine.run.later import Later
from engine.run.unfolded import Unfolded
from engine.values import EPOCH, INT64_MAX, INT64_MIN, MISSING, Type, Value, datetime_of, missing

Decider = Callable[[Mapping[str, Any]], Decision]

_LARGEST: Final = 1.7976931348623157e308
_UNAVAILABLE: Final = missing("unavailable")
_SPACE: Final[dict[str, Any]] = {
    "Quick": Quick,
    "Decision": Decision,
    "new": object.__new__,
    "datetime": dt.datetime,
    "UTC": dt.UTC,
    "EPOCH": EPOCH,
    "MICROSECOND": dt.timedelta(microseconds=1),
    "UNAVAILABLE": _UNAVAILABLE,
    "instant": instant,
}
_LOCALS: Final = ("moment", "ORDINARY", "MAKER", "GATHERED", "FIRST", "LAST", "LATEST", *_SPACE)


def one_step(plan: Plan) -> RuleStep | None:
    """The only step of a plan, where its rules stand by themselves."""
    step = plan.closed[0] if len(plan.closed) == len(plan.open) == 1 else None
    if not isinstance(step, RuleStep) or any(local != column for local, column in step.sources.items()):
        return None
    return step if fits(step.rules) else None


def of_events(plan: Plan, step: RuleStep, later: Later, ordinary: Decider) -> Decider:
    """The function of an event for a plan of this `one_step`. `ordinary` decides what it cannot take, and refuses what cannot be decided;
    `later` makes what decisions are asked for."""
    module, parts = _begun(step, later)
    module.space["ORDINARY"] = ordinary
    function = _OfEvent(module, plan, parts)
    module.add(function.write(parts.settle()))
    later.typed = function.typed
    straight: Decider = module.load("decide", f"{plan.name} {plan.version}")  # type: ignore[assignment]  # it takes events, not rows
    later.unfolded = Unfolded.of(plan, step, parts, module.space)
    return straight


def of_rows(plan: Plan, step: RuleStep, later: Later) -> Callable[[Row], Decision]:
    """The same of a typed row that holds its history; nobody may change it then."""
    module, parts = _begun(step, later)
    module.add(_OfRow(module, parts).write(parts.settle()))
    decide = module.load("decide", f"{plan.name} {plan.version} of rows")
    later.unfolded = Unfolded.of(plan, step, parts, module.space)
    return decide


def _begun(step: RuleStep, later: Later) -> tuple[Module, Fused]:
    module = Module(*TAKEN, *_LOCALS)
    parts = Fused(module, step.rules)
    module.space |= SHARED | _SPACE | {"MAKER": later, "GATHERED": parts.index.gathered}
    return module, parts


def reader(edge: Border, field: Field) -> Callable[..., Value]:
    """The field's value from what arrived, or from the whole event where it has several names. A second argument is its currency."""
    if field.sources:
        names = (field.name, *field.sources)

        def pick(event: Mapping[str, Any], currency: Value = MISSING) -> Value:
            return edge.value(field, [event[name] for name in names if event.get(name) is not None], currency)

        return pick
    return lambda raw, currency=MISSING: MISSING if raw is None else edge.value(field, [raw], currency)


class _Decides(Function):
    """A function that is being written, which ends in a decision."""

    def __init__(self, module: Module, parts: Fused) -> None:
        super().__init__(module, "decide", causes=False)
        self.parts, self.senses = parts, parts.at_hand()

    def start(self) -> None:
        self.line(f"may, lost = {self.module.constant(self.parts.index.start, 'rules')}, 0")

    def conclude(self, settled: str, given: str) -> None:
        """The states of the rules, the score and the outcome."""
        self.line("hits, undecided = may, 0")
        self.line("if lost:")
        self.line("    undecided = may & lost")
        self.line("    hits = may ^ undecided")
        if self.parts.index.ways:
            self.line(f"if may >= {self.module.constant(1 << len(self.parts.index.rules), 'first_way')}:")
            self.line("    hits, undecided = GATHERED(hits, undecided)")
        outcome, score = self.parts.outcome(), self.module.identifier("score")
        call = f"outcome, possible, {score}, score_range, hits = {settled}"
        if outcome is None:
            self.line(call)
        else:
            self.line("if undecided:")
            self.line(f"    {call}")
            self.line("else:")
            points = self.parts.points("hits")
            self.line(f"    {score} = {self.parts.bounded(f'({points} if hits else 0)')}")
            self.line(f"    outcome = {outcome}")
            self.line(f"    possible, score_range = (outcome,), ({score}, {score})")
        self.line("decision = new(Quick)")
        self.line(f"decision.outcome, decision.possible, decision.score = outcome, possible, {score}")
        self.line("decision.score_range, decision._hits, decision._open = score_range, hits, undecided")
        self.line(f"decision._given = {given}")
        self.line("decision._maker = MAKER")
        self.line("decision.__class__ = Decision")
        self.line("return decision")


class _OfRow(_Decides):
    """The function of a typed row."""

    def write(self, settled: str) -> list[str]:
        self.start()
        for name, sense in self.senses.items():
            self.line(f"# {name}: {self.parts.about(sense)}")
            self.parts.sense(self, sense, self.read(name))
        self.parts.computed(self)
        for name in self.parts.read_by_decide:
            self.read(name)
        self.conclude(settled, "row")
        return self.source(["row"])


class _OfEvent(_Decides):
    """The function of an event. Every field is in a local of its name: typed where it is asked for, else as it arrived."""

    def __init__(self, module: Module, plan: Plan, parts: Fused) -> None:
        super().__init__(module, parts)
        self.plan, self.edge, self.record = plan, border(plan.record), plan.record
        fields = {field.name: field for field in plan.record.fields}
        needed = {*parts.asked, *self.edge.required} & {*fields}
        needed |= {name for name, field in fields.items() if field.sources or field.type.kind == "list"}
        needed |= {by for name in needed if (by := fields[name].type.by) is not None}
        self.typed = frozenset(needed - {plan.record.time})

    def write(self, settled: str) -> list[str]:
        self.line("if event.__class__ is not dict:")
        self.line("    return ORDINARY(event)")
        if self.edge.nested:
            self.line(f"event = {self.module.constant(self.edge.flatten, 'flatten')}(event)")
        self.line("get = event.get")
        self.start()
        self._moment()
        for field in self.edge.plain:
            if field.name != self.record.time:
                self._field(field)
        self._rest_of_the_row()
        self.parts.computed(self)
        names = ["moment" if field.name == self.record.time else self.module.identifier(field.name) for field in self.record.fields]
        self.conclude(settled, f"({', '.join(names)},)")
        return self.source(["event"])

    # --- what arrived -------------------------------------------------------------------------------------------------

    def _moment(self) -> None:
        """The event's time: `moment` as it arrived or typed, `now` typed where rules ask."""
        time, now = self.record.field(self.record.time), self.module.identifier(NOW)
        read = self.module.constant(reader(self.edge, time), f"read_{time.name}")
        ahead = self.edge.ahead
        self.asks_now = bool({time.name, NOW, DAY_OF_EVENT} & self.parts.asked) or ahead.days or ahead.field is not None
        if time.type.kind == "datetime" and not time.sources and not ahead.days and ahead.field is None:
            last = min(SAFE_TIME[1], ahead.now() + ahead.most)
            self.module.space |= {"FIRST": datetime_of(SAFE_TIME[0]), "LAST": datetime_of(last), "LATEST": last}
            self.line(f"moment = get({time.name!r})")
            self.line("if moment.__class__ is str:")
            self.line("    moment = instant(moment)")
            self.line("if moment.__class__ is datetime and moment.tzinfo is UTC and FIRST <= moment <= LAST:")
            self.line(f"    {f'{now} = (moment - EPOCH) // MICROSECOND' if self.asks_now else 'pass'}")
            self.line("else:")
            self.line(f"    moment = {now} = {read}(moment)")
            # what lies behind the bound of today may be right tomorrow: the ordinary way asks the clock
            self.line("    if moment.__class__ is Missing or moment > LATEST:")
            self.line("        return ORDINARY(event)")
        else:
            self.line(f"moment = {now} = {read}({'event' if time.sources else f'get({time.name!r})'})")
            self.line("if moment.__class__ is Missing:")
            self.line("    return ORDINARY(event)")
        if self.asks_now:
            self.line(f"{self.module.identifier(time.name)} = {now}")
            self.made |= {time.name, NOW}

    def _field(self, field: Field) -> None:
        """One field, and what it leaves of the rules."""
        name, sense = self.module.identifier(field.name), self.senses.get(field.name)
        self.made.add(field.name)
        if sense is not None:
            self.line(f"# {field.name}: {self.parts.about(sense)}")
        if field.name not in self.typed:
            self.line(f"{name} = get({field.name!r})")
            return
        read = self.module.constant(reader(self.edge, field), f"read_{field.name}")
        test = self._as_held(field, name)
        by = "" if field.type.by is None else f", {self.module.identifier(field.type.by)}"
        if test is None:
            self.line(f"{name} = {read}({'event' if field.sources else f'get({field.name!r})'}{by})")
        else:
            self.line(f"{name} = get({field.name!r})")
            if sense is not None and sense.column.plain and field.name not in self.edge.required:
                self._asked(field, name, test)
                return
            self.line(f"if not ({test}):")
            self.line(f"    {name} = {read}({name}{by})")
        if field.name in self.edge.required:
            self.line(f"if {name}.__class__ is Missing:")
            self.line("    return ORDINARY(event)")
        if sense is not None:
            self.parts.sense(self, sense, name)

    def _asked(self, field: Field, name: str, test: str) -> None:
        """A field that most often arrives as it is held."""
        sense, read = self.senses[field.name], reader(self.edge, field)

        def told(raw: Any) -> tuple[Value, int, int]:
            value = read(raw)
            return value, *sense.told(value)

        self.line(f"if {test}:")
        self.line(f"    may &= {self.parts.left(sense, name)}")
        self.line("else:")
        self.line(f"    {name}, here, away = {self.module.constant(told, f'read_{field.name}')}({name})")
        self.line("    may &= here")
        self.line("    lost |= away")

    def _as_held(self, field: Field, name: str) -> str | None:
        """The test whether a raw value is the typed one."""
        type_: Type = field.type
        if field.sources:
            return None
        match type_.kind:
            case "text" if type_.choices is not None:
                return f"{name}.__class__ is str and {name} in {self.module.constant(frozenset(type_.choices), f'{field.name}_choices')}"
            case "text":
                return f"{name}.__class__ is str and {name}.isascii()"
            case "integer":
                return f"{name}.__class__ is int and {0 if field.not_negative else INT64_MIN} <= {name} <= {INT64_MAX}"
            case "number":
                return f"{name}.__class__ is float and {0 if field.not_negative else -_LARGEST} <= {name} <= {_LARGEST}"
            case "flag":
                return f"{name}.__class__ is bool"
        return None

    def _rest_of_the_row(self) -> None:
        """The event's day, whether it lies too far ahead, and what is known of history without a store: nothing."""
        ahead, now, day = self.edge.ahead, self.module.identifier(NOW), self.module.identifier(DAY_OF_EVENT)
        if ahead.days or DAY_OF_EVENT in self.parts.asked:
            self.line(f"{day} = {self.module.constant(self.edge.day, 'day_of')}({now})")
            self.made.add(DAY_OF_EVENT)
        if ahead.days or ahead.field is not None:
            arrived = "" if ahead.field is None else f", {ahead.field!r}: {self.module.identifier(ahead.field)}"
            row = f"{{'now': {now}{f', {DAY_OF_EVENT!r}: {day}' if ahead.days else ''}{arrived}}}"
            self.line(f"if {self.module.constant(ahead.problem, 'too_far_ahead')}({row}) is not None:")
            self.line("    return ORDINARY(event)")
        for column in sorted(self.parts.asked - self.made):
            self.line(f"{self.module.identifier(column)} = UNAVAILABLE")
            self.made.add(column)
        for column in (NOW, DAY_OF_EVENT, self.record.time, *(name for group in self.plan.history for name in group.types)):
            if column in self.senses:
                self.parts.sense(self, self.senses[column], self.module.identifier(column))
