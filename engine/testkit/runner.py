"""Runs the tests that stand beside rules: each case against its one rule set; and the invariants, by a search for what breaks them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.cascade.components import Components
from engine.diagnostics import Span, errors
from engine.errors import InputError
from engine.lang import ast, ir
from engine.lang.cases import CaseRow, Expected, Invariant, TestCase
from engine.lang.check import Environment, check_invariants, check_ruleset, check_tests
from engine.lang.expectations import filling
from engine.testkit.bench import Bench, Outcome, instead, looked_up
from engine.testkit.search import Search, Searched
from engine.testkit.sources import Found, leading
from engine.testkit.spelled import spelled, test_text
from engine.values import INTEGER, MISSING, Interval, Missing, Type, Value, known, show

STATES = ("hit", "clear", "undecided")
TRIES = 1_000
"""How many events are tried for each invariant, unless somebody says otherwise."""

_MOST_TOLD = 5  # rules that are explained beside an event that breaks an invariant


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met; `why` explains what the engine made of the row."""

    span: Span
    title: str
    expected: str
    got: str
    why: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        place = {"file": self.span.file, "line": self.span.line, "column": self.span.column}
        return {**place, "title": self.title, "expected": self.expected, "got": self.got, "why": list(self.why)}

    def __str__(self) -> str:
        quote = "" if '"' in self.title else '"'
        lines = [f"{self.span}: failed: {quote}{self.title}{quote}", f"    expected {self.expected}", f"    got      {self.got}"]
        return "\n".join([*lines, *(f"    {line}" for line in self.why)])


@dataclass(slots=True)
class Tested:
    """The tests of one rule set: how many cases and expectations there were, what failed, and which states no test expects of a rule."""

    name: str
    file: str
    cases: int = 0
    expectations: int = 0
    failures: list[Failure] = field(default_factory=list)
    searched: list[Searched] = field(default_factory=list)
    seen: dict[str, set[str]] = field(default_factory=dict)
    untested: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        counts = {"ruleset": self.name, "file": self.file, "cases": self.cases, "expectations": self.expectations}
        return {
            **counts,
            "failures": [one.to_dict() for one in self.failures],
            "untested": {k: list(v) for k, v in self.untested.items()},
            "invariants": [one.to_dict() for one in self.searched],
            "seen": {rule: [state for state in STATES if state in states] for rule, states in self.seen.items()},
        }


def run_tests(components: Components, found: Found, tries: int = TRIES) -> Tested | None:
    """Run every `test`, `story` and `examples` of a rule file; none for a file that holds no rule set, or one that does not check.

    For every invariant so many events are tried. Problems of the file are left in the components' diagnostics.
    """
    tree = components.tree(found.path)
    if tree is None or tree.kind != "ruleset":
        return None
    name = found.name or tree.name.text
    rules, env = components.rules(name, None, tree.name.span), components.environment(name)
    if rules is None or env is None:
        return None
    cases, problems = check_tests(tree, rules, env)
    components.diagnostics += problems
    tested = Tested(name, leading(found.workspace.folder) + found.workspace.label(found.path), len(cases))
    benches = _Benches(tree, rules, env)
    for case in cases:
        bench = benches.of(case)
        for row, outcome in bench.run(case):
            tested.expectations += len(row.expect)
            tested.failures += [_placed(one, tested.file) for one in _failures(case, row, outcome)]
    tested.untested = dict(_untested(rules, cases))
    invariants = check_invariants(tree, env) if tries > 0 else ()
    if invariants:
        search = Search(benches.told(), filling(tree, rules, env), invariants, components.texts[found.workspace.label(found.path)])
        tested.searched, tested.seen = search.run(tries), search.seen
        language = "en" if tree.language is None else tree.language.text
        tested.failures += [_placed(_counterexample(one, search, language), tested.file) for one in tested.searched if one.broken]
    return tested


def _counterexample(found: Searched, search: Search, language: str) -> Failure:
    """The events that break an invariant, as tests that can be pasted into the file, and what becomes of them."""
    lines: list[str] = []
    for number, given in enumerate(found.broken):
        outcome = search.judged(given)
        title = found.invariant.text + ("" if len(found.broken) == 1 else (" (before)", " (after)")[number])
        test = test_text(title, given, search.material.columns, _came_out(outcome, found.invariant), language)
        lines += ["", *test.splitlines()]
        touched = [one.name.text for one in _came_out(outcome, found.invariant) if one.kind == "rule" and one.name is not None]
        lines += [f"  # {line}" for rule in touched[:_MOST_TOLD] for line in outcome.why(rule)]
        lines += [f"  # {line.strip()}" for line in outcome.why("")]
    what = "this event does" if len(found.broken) == 1 else "these two do"
    got = f"{what}, made as small as it can be (the test says what comes out now)"
    return Failure(found.invariant.span, found.invariant.text, "no event that breaks it", got, tuple(lines))


def _came_out(outcome: Outcome, invariant: Invariant) -> Iterator[ast.Expectation]:
    """What an event came to, as a test says it; rules that nobody knows of only where the invariant names them."""
    named = ir.reads(invariant.claim) | (ir.reads(invariant.when) if invariant.when is not None else set())
    rules = outcome.bench.rules
    if rules.decide is not None:
        yield ast.Expectation("outcome", ast.Word(outcome.closed["outcome"]))
    if any(rule.points for rule in rules.rules) and known(outcome.closed[ir.POINTS]):
        yield ast.Expectation("score", low=spelled(outcome.closed[ir.POINTS], INTEGER))
    for rule in sorted(rules.rules, key=lambda rule: rule.span):
        state = outcome.closed[ir.hit(rule.id)]
        if state is True or (state is not False and ir.hit(rule.id) in named):
            yield ast.Expectation("rule", ast.Word(rule.id), "hit" if state is True else "undecided")


def _placed(one: Failure, file: str) -> Failure:
    return Failure(Span(file, one.span.line, one.span.column, one.span.end), one.title, one.expected, one.got, one.why)


class _Benches:
    """The rule set as written, and with the params a case gives it, and with what it says in place of a table."""

    def __init__(self, tree: ast.File, rules: ir.RuleSet, env: Environment) -> None:
        self.tree, self.env = tree, env
        self.plain = Bench(rules, env)

    def of(self, case: TestCase) -> Bench:
        bench = self.plain if not case.params else Bench(self._with(case.params), self.env)
        given = {name for row in case.rows for name in row.given}
        return bench if given.isdisjoint(looked_up(bench.rules, self.env)) else self._told(bench.rules, given)

    def told(self) -> Bench:
        """The rule set as written, told whatever it would look up in tables."""
        return self._told(self.plain.rules, looked_up(self.plain.rules, self.env))

    def _told(self, rules: ir.RuleSet, names: Container[str]) -> Bench:
        told = {name: type_ for name, type_ in looked_up(rules, self.env).items() if name in names}
        return Bench(*instead(rules, self.env, told), told) if told else Bench(rules, self.env)

    def _with(self, params: Mapping[str, ast.Expr]) -> ir.RuleSet:
        rules, problems = check_ruleset(self.tree, self.env, params)
        if rules is None:
            raise InputError(f"with the params of its tests `{self.tree.name.text}` does not check: {errors(problems)[0].message}")
        return rules


# --- comparing -------------------------------------------------------------------------------------------------------


def _failures(case: TestCase, row: CaseRow, outcome: Outcome) -> Iterator[Failure]:
    if outcome.refused is not None:
        yield Failure(row.span, case.title, "an event that can be decided", outcome.refused)
        return
    for expected in row.expect:
        met, wanted, got = _compare(expected, outcome)
        if not met:
            span = expected.span if expected.span.line else row.span
            yield Failure(span, case.title, wanted, got, outcome.why(expected.name if expected.kind in ("rule", "silenced") else None))


def _compare(expected: Expected, outcome: Outcome) -> tuple[bool, str, str]:
    """Whether an expectation is met; what it wants and what there was, in words."""
    name, value, closed = expected.name, expected.value, outcome.closed
    if expected.kind == "rule":
        state = closed[ir.hit(name or "")]
        got = "hit" if state is True else "clear" if state is False else "undecided"
        return got == value, f"{name} {value}", f"{name} {got}"
    if expected.kind == "silenced":
        return _silenced(name or "", value, outcome)
    if expected.kind == "flag":
        return _same(closed[f"flags.{name}"], value), _flag(name, value), _flag(name, closed[f"flags.{name}"])
    if expected.kind == "range":
        bounds = _bounds(outcome.opened["score"])
        return bounds == value, f"score {value[0]} to {value[1]}", f"score {bounds[0]} to {bounds[1]}"
    if expected.kind == "score":
        return closed[ir.POINTS] == value, f"score {value}", f"score {closed[ir.POINTS]}"
    if expected.kind in ("possible", "robust"):
        return _possible(expected, outcome)
    if expected.kind == "value":
        there, type_ = outcome.value(name or ""), expected.type or INTEGER
        return _same(there, value), f"{name} {_shown(value, type_)}", f"{name} {_shown(there, type_)}"
    return closed["outcome"] == value, f"outcome {value}", f"outcome {closed['outcome']}"


def _silenced(rule: str, by: Value, outcome: Outcome) -> tuple[bool, str, str]:
    """Whether an exception silenced a hit of the rule; `by` is its id, or true for any."""
    exempt = next(one.exempt for one in outcome.bench.rules.rules if one.id == rule)
    found = [one for one in exempt if outcome.closed[ir.silenced(rule, one)] is True]
    state = outcome.closed[ir.hit(rule)]
    word = "hit" if state is True else "clear" if state is False else "undecided"
    got = f"silenced by {' and '.join(found)}" if found else word
    wanted = f"{rule} silenced" if by is True else f"{rule} silenced by {by}"
    return bool(found) if by is True else by in found, wanted, f"{rule} {got}"


def _possible(expected: Expected, outcome: Outcome) -> tuple[bool, str, str]:
    found = tuple(dict.fromkeys((*outcome.opened["possible"], *outcome.closed["possible"])))
    got = f"possible {' or '.join(found)}"
    if expected.kind == "robust":
        return (len(found) == 1) is expected.value, "robust" if expected.value else "not robust", got
    return frozenset(found) == expected.value, f"possible {' or '.join(sorted(expected.value))}", got


def _same(there: Value, wanted: Value) -> bool:
    if wanted.__class__ is Missing:
        return not known(there)
    return known(there) and bool(there == wanted)


def _bounds(score: Value) -> tuple[Any, Any]:
    return (score.low, score.high) if score.__class__ is Interval else (score, score)


def _shown(value: Value, type_: Type) -> str:
    return "missing" if value is MISSING else show(value, type_) if value.__class__ is Missing else f"= {show(value, type_)}"


def _flag(name: str | None, value: Value) -> str:
    return f"flag {name}" if value is True else f"no flag {name}" if value is False else f"flag {name} undecided"


def _untested(rules: ir.RuleSet, cases: Iterable[TestCase]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The states that no test expects of a rule; one whose policy settles it is never undecided. Of an exception, that it silences."""
    cases = list(cases)
    seen = {(one.name, one.value) for case in cases for row in case.rows for one in row.expect if one.kind == "rule"}
    for rule in sorted(rules.rules, key=lambda rule: rule.span):
        wanted = STATES if rule.policy == "refer" else STATES[:2]
        lacking = tuple(state for state in wanted if (rule.id, state) not in seen)
        if lacking:
            yield rule.id, lacking
    silencing = {one.value for case in cases for row in case.rows for one in row.expect if one.kind == "silenced"}
    for exemption in rules.exemptions:
        if exemption.id not in silencing:
            yield exemption.id, ("silenced",)
