"""Reasons and explanations, made when asked for from the rows a decision recorded. The reference backend is the witness."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine.backends import reference
from engine.backends.rules import expressions
from engine.cascade.found import found_lines
from engine.cascade.in_force import in_force
from engine.cascade.lacks import Lack, Level, RuleSetLevel, top
from engine.cascade.link import Linked
from engine.cascade.phrase import phrase, within
from engine.cascade.tongues import show_in
from engine.cascade.why import false_parts, nearest, read_values, table_lines
from engine.cascade.wiring import StepBuild
from engine.lang import ir
from engine.ledger.decision import Decision, Reason, Version
from engine.plan import DAY_OF_EVENT, POLICY, Row
from engine.values import SCORE, Value, date_of, known, show


@dataclass(frozen=True, slots=True)
class Place:
    """A step as it stands in the cascade, in one reading: its whole name, the level it is on, and whether its gate let the row through."""

    name: str
    build: StepBuild
    level: Level

    @property
    def gate(self) -> Value:
        return self.level.gate(self.build)


def places(level: Level, prefix: str = "") -> Iterator[Place]:
    """Every step that gives something, in order; those of a nested cascade in its stead, where the row got into it."""
    for build in level.builds:
        if build.nested is not None and level.gate(build) is True:
            yield from places(level.inside(build), f"{prefix}{build.name}.")
        elif build.inner is not None:
            yield Place(prefix + build.name, build, level)


class CascadeExplainer:
    """Explains the decisions of one linked cascade, some components of which may be `drafts`."""

    def __init__(self, linked: Linked, drafts: Collection[Version] = ()) -> None:
        self.linked = linked
        self._drafts = {version[:3] for version in drafts}
        self.plan = linked.plan
        self._states = [(view, rule, view.prefix + ir.hit(rule.id)) for view in linked.views for rule in view.rules.rules]
        self._versions = {(component.kind, component.name): str(component) for component in linked.components}

    def _level(self, decision: Decision, *, open_: bool) -> Level:
        # without a second reading nothing was changed by policies, and the first one is open already
        return top(self.plan, self.linked.builds, decision.open_row if open_ else decision.row, open_=open_)

    def reasons(self, decision: Decision) -> tuple[Reason, ...]:
        """A reason for every rule that was hit."""
        row, found = decision.row, []
        hits = [(view, rule, column) for view, rule, column in self._states if row[column] is True]
        ran = {place.name: place for place in places(self._level(decision, open_=False)) if place.gate is True} if hits else {}
        for view, rule, column in hits:
            place = ran.get(view.step)
            why = text(rule, place.level.rule_set(place.build.inner)) if place else "what `otherwise` says"
            component = f"{view.rules.name}@{view.rules.version}"
            found.append(Reason(self.plan.rules[column], view.step, component, cites(rule, view.rules), rule.severity, why))
        return tuple(found)

    def missing(self, decision: Decision) -> dict[str, str]:
        """What undecided rules lacked: name -> cause."""
        lacks: dict[str, str] = {}
        for lack in undecided(self._level(decision, open_=True)):
            lacks.setdefault(lack.name, lack.cause)
        return dict(sorted(lacks.items()))

    def settled_by(self, decision: Decision) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """The fields that could still move the answer, and what no field can cure."""
        if decision.robust:
            return (), ()
        levels = [self._level(decision, open_=open_) for open_ in (True, False)]
        deciding = next(build for build in levels[0].builds if build.name == self.plan.decision)
        lacks = {lack for level in levels for lack in level.rule_set(deciding.inner).decision()}
        # each reading has an answer, but not the same: rules ask what is missing, and policies say that nothing is
        lacks = lacks or {*undecided(levels[0]), *unscored(levels[0])}
        fields = tuple(sorted({lack.name for lack in lacks if lack.curable}))
        return fields, tuple(sorted({(lack.name, lack.cause) for lack in lacks if not lack.curable}))

    def explain(self, decision: Decision) -> str:
        """The whole decision in words."""
        low, high = decision.score_range
        lines = [
            f"outcome {decision.outcome}" + (", robust" if decision.robust else f", possible {' or '.join(decision.possible)}"),
            f"score {decision.score}" + ("" if decision.score == low == high else f", before policies {low} to {high}"),
        ]
        fields, unsettled = self.settled_by(decision)
        lines += [f"settled by {', '.join(fields)}"] if fields else []
        lines += [f"not settled by any input: {name} ({cause})" for name, cause in unsettled]
        opened = {place.name: place for place in places(self._level(decision, open_=True))}
        for place in places(self._level(decision, open_=False)):
            lines += ["", *self._place(place, opened.get(place.name, place))]
        return "\n".join(lines)

    def _place(self, place: Place, opened: Place) -> list[str]:
        """One step: what it came to, or why it did not run."""
        build, level = place.build, place.level
        lines = [f"{place.name}: {self._component(build)}", *([] if place.gate is True else gate_lines(place))]
        if opened.gate is not place.gate:
            lines.append(f"  before policies {gate_word(opened)}")
            lines += _lacks(opened.level.shut(build))
        if place.gate is not True:
            return lines
        if build.rules is None:
            return lines + model_lines(place)
        rules, before = level.rule_set(build.inner), opened.level.rule_set(build.inner)
        for rule in build.rules.rules:
            lines += rule_lines(rule, self.plan.rules[f"{place.name}.{ir.hit(rule.id)}"], rules, before)
        for table in build.rules.tables:
            lines += table_lines(table, rules)
        lines += score_lines(rules) + decide_lines(rules)
        return lines + [f"  {line}" for line in found_lines(expressions(build.rules), rules.work)]

    def _component(self, build: StepBuild) -> str:
        if build.rules is not None:
            return self._named("ruleset", build.rules)
        return self._named("cascade", build.nested.plan) if build.nested is not None else self._named("model", build.inner.model)

    def _named(self, kind: str, one: Any) -> str:
        return f"{one.name}@{one.version}" + (" (draft)" if (kind, one.name, one.version) in self._drafts else "")


def undecided(level: Level) -> Iterator[Lack]:
    """What the undecided rules of a level lacked, those behind a gate that could not be judged among them."""
    for build in level.builds:
        if level.gate(build) is False or (build.rules is None and build.nested is None):
            continue
        yield from level.shut(build)
        if build.nested is not None:
            yield from undecided(level.inside(build))
        else:
            rules, ran = level.rule_set(build.inner), level.gate(build) is True
            for rule, column in build.inner.states:
                if not (ran and level.row[column].__class__ is bool):
                    yield from rules.rule(rule)


def unscored(level: Level) -> Iterator[Lack]:
    """What the models of a level lacked."""
    for place in places(level):
        if place.build.model and place.gate is not False:
            yield from place.level.shut(place.build)
            yield from (lack for column in place.build.inner.lacking(place.level.row) for lack in place.level.column(column))


def cites(rule: ir.Rule, rules: ir.RuleSet) -> tuple[str, ...]:
    """The rule's own citations, or else those of its rule set."""
    return rule.cites or rules.cites


def text(rule: ir.Rule, level: RuleSetLevel) -> str:
    """The rule's reason with the values it read; its title when it gives none."""
    if not rule.reason:
        return rule.title
    language = level.step.rules.language
    return "".join(
        part if isinstance(part, str) else show_in(language, reference.evaluate(part, level.work), part.type) for part in rule.reason
    )


# --- steps that did not run, and models ------------------------------------------------------------------------------


def gate_word(place: Place) -> str:
    """What the gate before a step did with the row, and on what grounds."""
    gate = place.build.gate
    assert gate is not None  # without a gate every row gets through
    known_as = {True: ("let through", "true"), False: ("skipped", "false")}
    did, word = known_as[place.gate] if known(place.gate) else ("not judged", "not known")
    return f"{did}: {phrase(gate)} is {word}" + read_values(reference.trace(gate, place.level.row))


def gate_lines(place: Place) -> list[str]:
    """Why a step did not run, and what it gives instead."""
    build, level = place.build, place.level
    lines = [f"  {gate_word(place)}", *_lacks(level.shut(build))]
    given = [
        f"{name.removeprefix(f'{build.name}.')} = {show(level.row[name], type_)}"
        for name, type_ in build.inner.types.items()
        if "@" not in name and name in level.plan.outputs and known(level.row[name])
    ]
    word = "otherwise" if place.gate is False else "on_missing"
    return lines + ([f"    {word} {', '.join(given)}"] if given else [])


def model_lines(place: Place) -> list[str]:
    """What a model said, or what it lacked."""
    build, level = place.build, place.level
    step = build.inner
    instead = "; on_missing says so" if level.row.get(f"{build.name}.{POLICY}") is True else ""
    lines = [f"  {name.removeprefix(f'{build.name}.')} = {show(level.row[name], step.types[name])}" for name in step.outputs]
    lacking = step.lacking(level.row)
    # a text without a code is there, and still nothing can be scored
    read = zip(step.model.inputs, step.columns, strict=True)
    strange = [(declared.name, level.row[name]) for declared, name in read if name in lacking and known(level.row[name])]
    lines += [f"    the model knows no {name} = {value}" for name, value in strange]
    lacks = [lack for name in lacking for lack in level.column(name)]
    return lines + [line + instead for line in _lacks(lacks)]


def _lacks(lacks: Iterable[Lack]) -> list[str]:
    found = sorted(set(lacks), key=lambda lack: lack.name)
    return ["    lacks " + ", ".join(f"{lack.name} ({lack.cause})" for lack in found)] if found else []


# --- rules -----------------------------------------------------------------------------------------------------------


def _effects(rule: ir.Rule, row: Row) -> str:
    points = 0 if rule.points == 0 else reference.worth(rule, row)
    effects = [f"score {points:+d}"] if points else []
    effects += [f"flag {name}" for name in rule.flags] + [f"set {name}" for name, _ in rule.sets]
    return ", ".join(effects)


def rule_lines(rule: ir.Rule, name: str, level: RuleSetLevel, opened: RuleSetLevel) -> list[str]:
    """One rule under the name a decision gives it: its state, why, and what it lacked before policies."""
    state, raw = level.states[rule.id], opened.states[rule.id]
    word = "hit" if state.state is True else "clear" if state.state is False else "undecided"
    cited = cites(rule, level.step.rules)
    lines = [f"  {name} {word}: {rule.title}" + (f" [{'; '.join(cited)}]" if cited else "")]
    lines += [f"    made from {rule.made}"] if rule.made else []
    if not state.in_force:
        start, end = (None if day is None else date_of(day).isoformat() for day in rule.effective)
        return [*lines, f"    not in force: effective {f'from {start}' if start else ''}{f' to {end}' if end else ''}".replace("  ", " ")]
    exempt = exempt_lines(rule, level, state)
    if state.silenced:
        return [*lines, *exempt]
    lines += exempt
    if state.held and rule.once is not None:
        word = "held back" if state.before is True else "would be held back"
        return [*lines, f"    {word}: it hit {within(rule.once.on(level.work[DAY_OF_EVENT]).window)} ({level.work[ir.held_by(rule.id)]})"]
    if state.state is True:
        lines.append(f"    {text(rule, level)}" + (f" ({effects})" if (effects := _effects(rule, level.work)) else ""))
    elif state.state is False:
        lines += [f"    {reason}" for reason in _why_not(rule, level)]
    values = [ir.condition(ir.unexcepted(rule)), *(value for _, value in rule.assume)]
    dated = in_force([*values, *(part for part in rule.reason if isinstance(part, ir.Expr))], level.work, level.step.rules.defines)
    lines += [f"    in force: {', '.join(dated)}"] if dated else []
    return lines + [line + _policy(rule, state, raw, level) for line in _lacks(opened.rule(rule))]


def exempt_lines(rule: ir.Rule, level: RuleSetLevel, state: reference.State) -> list[str]:
    """The exceptions that hold for a rule: those that silenced it, or would have."""
    rules, row, held = level.step.rules, level.work, state.silenced
    if rule.exempt and not held and reference.evaluate(ir.assumed(ir.unexcepted(rule), rules.defines), row) is not False:
        held = reference.holding(rule, rules.defines, row)
    word = "silenced" if state.silenced else "would be silenced"
    return [
        f"    {word} by {one.id} ({one.title}), approved by {one.approved}, until {date_of(one.days[1])}: {one.because}"
        for one in rules.exemptions
        if one.id in held
    ]


def _policy(rule: ir.Rule, state: reference.State, raw: reference.State, level: RuleSetLevel) -> str:
    if state.state is raw.state:
        return ""
    if raw.before is True:
        return "; so the hit goes through"
    if rule.assume:
        return "; assumed " + ", ".join(
            f"{name} = {show(reference.evaluate(value, level.work), value.type)}" for name, value in rule.assume
        )
    return "; a policy before it answered" if rule.policy == "refer" else f"; on missing {rule.policy}"


def _why_not(rule: ir.Rule, level: RuleSetLevel) -> list[str]:
    """The parts of the condition that made the rule clear, with what they read."""
    for unless, because in rule.unless:
        if reference.evaluate(unless, level.work) is True:
            return [f"exempt because {because}"]
    trace = reference.trace(ir.assumed(ir.unexcepted(rule), level.step.rules.defines) if rule.assume else rule.when, level.work)
    return [f"because {phrase(part.expr)} is false" + read_values(part) + nearest(part) for part in false_parts(trace)][:4]


def score_lines(level: RuleSetLevel) -> list[str]:
    """What the points come to, where they are not merely added up."""
    scoring, rules = level.step.rules.scoring, level.step.rules
    if scoring == ir.Scoring():
        return []
    plain, _ = reference.score(replace(rules, scoring=ir.Scoring(scoring.how)), level.work)
    how = "the most of one rule" if scoring.how == "max" else "all points"
    words = [f"  score {show(level.work['score'], SCORE)}: {how} {show(plain, SCORE)}"]
    for least, when in scoring.floors:
        value = True if when is None else reference.evaluate(when, level.work)
        if value is not False:
            why = "" if when is None else f" {'as' if value is True else 'if'} {phrase(when)}"
            words.append(f"at least {least}{why}")
    return [", ".join([*words, *([] if scoring.most is None else [f"at most {scoring.most}"])])]


def decide_lines(level: RuleSetLevel) -> list[str]:
    """The rows of `decide`, down to the first that is true, and what they read."""
    decide = level.step.rules.decide
    if decide is None:
        return []
    lines = []
    for name, when in decide.rows:
        value = True if when is None else reference.evaluate(when, level.work)
        word = "true" if value is True else "false" if value is False else "cannot be judged"
        lines.append(
            f"  decide {name}: {'otherwise' if when is None else phrase(when)}: {word}"
            + ("" if when is None else read_values(reference.trace(when, level.work)))
        )
        if value is True:
            break
    return lines
