"""Reasons and explanations, made when asked for from the rows a decision recorded. The reference backend is the witness."""

from __future__ import annotations

from collections.abc import Iterator

from engine.backends import reference
from engine.cascade.lacks import Level, RuleSetLevel, top
from engine.cascade.link import Linked, View
from engine.cascade.phrase import phrase
from engine.lang import ir
from engine.ledger.decision import Decision, Reason
from engine.values import Missing, date_of, show


class CascadeExplainer:
    """Explains the decisions of one linked cascade."""

    def __init__(self, linked: Linked) -> None:
        self.linked = linked
        self.plan = linked.plan

    def _level(self, decision: Decision, *, open_: bool) -> Level:
        # without a second reading nothing was changed by policies, and the first one is open already
        return top(self.plan, self.linked.builds, decision.open_row if open_ else decision.row, open_=open_)

    def _rule_sets(self, level: Level) -> Iterator[tuple[View, RuleSetLevel]]:
        for view in self.linked.views:
            inner = level
            for nested in view.path:
                build = next(build for build in inner.builds if build.inner is nested)
                inner = inner.inside(build)
            if all(state.__class__ is not Missing or state.cause == "undecided" for state in _states(view, level)):
                yield view, inner.rule_set(view.rule_step)

    def reasons(self, decision: Decision) -> tuple[Reason, ...]:
        """A reason for every rule that was hit."""
        found = []
        for view, level in self._rule_sets(self._level(decision, open_=False)):
            for rule in view.rules.rules:
                column = view.prefix + ir.hit(rule.id)
                if decision.row[column] is True:
                    component = f"{view.rules.name}@{view.rules.version}"
                    name = self.plan.rules[column]
                    found.append((name, Reason(name, view.step, component, cites(rule, view.rules), rule.severity, text(rule, level))))
        return tuple(reason for _, reason in found)

    def missing(self, decision: Decision) -> dict[str, str]:
        """What undecided rules lacked: name -> cause."""
        lacks: dict[str, str] = {}
        for _, level in self._rule_sets(self._level(decision, open_=True)):
            for rule in level.step.rules.rules:
                for lack in level.rule(rule):
                    lacks.setdefault(lack.name, lack.cause)
        return dict(sorted(lacks.items()))

    def settled_by(self, decision: Decision) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """The fields that could still move the answer, and what no field can cure."""
        if decision.robust:
            return (), ()
        level = self._level(decision, open_=True)
        deciding = next(build for build in level.builds if build.name == self.plan.decision)
        lacks = set(level.rule_set(deciding.inner).decision())
        fields = tuple(sorted({lack.name for lack in lacks if lack.curable}))
        return fields, tuple(sorted({(lack.name, lack.cause) for lack in lacks if not lack.curable}))

    def explain(self, decision: Decision) -> str:
        """The whole decision in words."""
        possible = " or ".join(decision.possible)
        lines = [f"outcome {decision.outcome}" + (", robust" if decision.robust else f", possible {possible}")]
        low, high = decision.score_range
        after = decision.score if isinstance(decision.score, tuple) else (decision.score, decision.score)
        lines.append(f"score {_score(decision.score)}" + ("" if after == (low, high) else f", before policies {low} to {high}"))
        if not decision.robust:
            fields, unsettled = self.settled_by(decision)
            lines += [f"settled by {', '.join(fields)}"] if fields else []
            lines += [f"not settled by any input: {name} ({cause})" for name, cause in unsettled]
        opened = {id(view): level for view, level in self._rule_sets(self._level(decision, open_=True))}
        shown = self._rule_sets(self._level(decision, open_=False))
        for view, level in shown:
            lines += ["", f"{view.step}: {view.rules.name}@{view.rules.version}"]
            for rule in view.rules.rules:
                lines += rule_lines(rule, self.plan.rules[view.prefix + ir.hit(rule.id)], view, level, opened.get(id(view), level))
            lines += decide_lines(level)
        return "\n".join(lines)


def _states(view: View, level: Level) -> Iterator[object]:
    """The states of a view's rules in the outermost row: a step that did not run says so there."""
    outermost = level
    for rule in view.rules.rules:
        yield outermost.row[view.prefix + ir.hit(rule.id)]


def _score(score: int | tuple[int | None, int | None]) -> str:
    return f"{score[0]} to {score[1]}" if isinstance(score, tuple) else str(score)


def cites(rule: ir.Rule, rules: ir.RuleSet) -> tuple[str, ...]:
    """The rule's own citations, or else those of its rule set."""
    return rule.cites or rules.cites


def text(rule: ir.Rule, level: RuleSetLevel) -> str:
    """The rule's reason with the values it read; its title when it gives none."""
    if not rule.reason:
        return rule.title
    return "".join(part if isinstance(part, str) else show(reference.evaluate(part, level.work), part.type) for part in rule.reason)


def _effects(rule: ir.Rule) -> str:
    effects = [f"score {rule.points:+d}"] if rule.points else []
    effects += [f"flag {name}" for name in rule.flags] + [f"set {name}" for name, _ in rule.sets]
    return ", ".join(effects)


def rule_lines(rule: ir.Rule, name: str, view: View, level: RuleSetLevel, opened: RuleSetLevel) -> list[str]:
    state, raw = level.states[rule.id], opened.states[rule.id]
    word = "hit" if state.state is True else "clear" if state.state is False else "undecided"
    lines = [f"  {name} {word}: {rule.title}" + (f" [{'; '.join(cites(rule, view.rules))}]" if cites(rule, view.rules) else "")]
    if not state.in_force:
        start, end = (None if day is None else date_of(day).isoformat() for day in rule.effective)
        return [*lines, f"    not in force: effective {f'from {start}' if start else ''}{f' to {end}' if end else ''}".replace("  ", " ")]
    if state.state is True:
        lines.append(f"    {text(rule, level)}" + (f" ({_effects(rule)})" if _effects(rule) else ""))
    elif state.state is False:
        lines += [f"    because {reason}" for reason in _why_not(rule, level)]
    lacks = sorted(set(opened.rule(rule)), key=lambda lack: lack.name)
    if lacks:
        lines.append("    lacks " + ", ".join(f"{lack.name} ({lack.cause})" for lack in lacks) + _policy(rule, state, raw))
    return lines


def _policy(rule: ir.Rule, state: reference.State, raw: reference.State) -> str:
    if state.state is raw.state:
        return ""
    if rule.assume:
        return "; assumed " + ", ".join(f"{name} = {show(value.value, value.type)}" for name, value in rule.assume)
    return f"; on missing {rule.policy}"


def _why_not(rule: ir.Rule, level: RuleSetLevel) -> list[str]:
    """The parts of the condition that made the rule clear, with what they read."""
    for unless, because in rule.unless:
        if reference.evaluate(unless, level.work) is True:
            return [f"exempt: {because}"]
    trace = reference.trace(ir.assumed(rule, level.step.rules.defines) if rule.assume else rule.when, level.work)
    return [f"{phrase(part.expr)} is false" + _read_values(part) for part in _false_parts(trace)][:4]


def _false_parts(trace: reference.Trace) -> Iterator[reference.Trace]:
    """The smallest parts whose being false made the whole false."""
    if isinstance(trace.expr, ir.And):
        for child in trace.children:
            if child.value is False:
                yield from _false_parts(child)
                return
    elif isinstance(trace.expr, ir.Or):
        for child in trace.children:
            yield from _false_parts(child)
    elif trace.value is False:
        yield trace


def _read_values(trace: reference.Trace) -> str:
    seen: dict[str, str] = {}

    def collect(part: reference.Trace) -> None:
        if isinstance(part.expr, ir.Read) and part.expr.type.kind != "flag":
            seen[part.expr.name] = show(part.value, part.expr.type)
        for child in part.children:
            collect(child)

    collect(trace)
    return f" ({', '.join(f'{name} = {value}' for name, value in seen.items())})" if seen else ""


def decide_lines(level: RuleSetLevel) -> list[str]:
    decide = level.step.rules.decide
    if decide is None:
        return []
    lines = []
    for name, when in decide.rows:
        value = True if when is None else reference.evaluate(when, level.work)
        word = "true" if value is True else "false" if value is False else "cannot be judged"
        lines.append(
            f"  decide {name}: {'otherwise' if when is None else phrase(when)}: {word}"
            + ("" if when is None else _read_values(reference.trace(when, level.work)))
        )
        if value is True:
            break
    return lines
