"""One rule: its condition, effects, assumptions and reason, typed; and what can be said against it before any event is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from engine.diagnostics import Span
from engine.lang import ast, effective, ir, judge, scoring
from engine.lang.aggregates import named
from engine.lang.dated import Fixed, is_fixed
from engine.lang.entries import Days
from engine.lang.expressions import Typer
from engine.lang.lists import ListValue
from engine.lang.names import PARTS, matches
from engine.lang.order import mentioned
from engine.lang.scoring import MOST_POINTS
from engine.lang.windows import window

if TYPE_CHECKING:
    from engine.lang.problems import Report
    from engine.lang.program import Program
    from engine.lang.scope import Scope

_BRACE = re.compile(r"\{([^{}]*)\}|[{}]")
_EFFECTS = {"score": "points", "outcome": "an outcome"}


class _Effects(NamedTuple):
    points: int | ir.Dated
    flags: tuple[str, ...]
    outcome: str | None


def rule(node: ast.Rule, program: Program, default_policy: str, exempt: tuple[str, ...] = ()) -> ir.Rule | None:
    """The typed rule without its reason and what it sets (both come once all columns are known), or none with the problems noted."""
    typer = Typer(program.scope, program.report)
    when = _when(node, typer, program)
    unless = [(typer.condition(u.condition, "what stands after `unless`"), u.because) for u in node.unless]
    effects = _effects(node, typer, program)
    days = effective.days(node.effective, program.report) or effective.ALWAYS
    once = None if node.once is None else _once(node.once, days, program)
    if when is None or any(condition is None for condition, _ in unless) or effects is None or (node.once is not None and once is None):
        return None
    made = ir.Rule(
        node.id.text,
        node.title,
        when,
        tuple((condition, because) for condition, because in unless if condition is not None),
        policy=node.on_missing.text if node.on_missing is not None else default_policy,
        cites=tuple(word.text for word in node.cites),
        severity=node.severity,
        effective=days,
        once=once,
        exempt=exempt,
        made=node.made,
        span=node.span,
        points=effects.points,
        flags=effects.flags,
        outcome=effects.outcome,
    )
    _judge(made, node, program)
    _judge_points(made, node, program)
    if node.once is not None:
        _judge_once(made, node, node.once, program)
    return replace(made, assume=_assumptions(made, node, program))


def _when(node: ast.Rule, typer: Typer, program: Program) -> ir.Expr | None:
    if not node.then:
        message = f"rule `{node.id.text}` does nothing when it hits"
        program.report.error("rule-without-then", message, node.id.span, "add `then score`, `then flag`, `then set` or `then outcome`")
    if node.when is None:
        program.report.error(
            "rule-without-when", f"rule `{node.id.text}` does not say when it hits", node.id.span, "add `when` and a condition"
        )
        return None
    return typer.condition(node.when, "what stands after `when`")


def _effects(node: ast.Rule, typer: Typer, program: Program) -> _Effects | None:
    """Points, flags and outcome, what `set` writes is typed with its column."""
    worth: int | ir.Dated | None = 0
    flags: list[str] = []
    outcome: str | None = None
    seen: dict[tuple[str, str | None], ast.Effect] = {}
    for effect in node.then:
        key = (effect.kind, effect.name.text if effect.name is not None and effect.kind != "outcome" else None)
        if key in seen:
            what = _EFFECTS.get(effect.kind, f"`{effect.kind} {key[1]}`")
            program.report.error(
                "duplicate-effect", f"this rule already gives {what}", effect.span, related=(("it does so here", seen[key].span),)
            )
            continue
        seen[key] = effect
        if effect.kind == "score" and effect.value is not None:
            worth = points(effect.value, typer)
        elif effect.kind == "flag":
            flags.append(key[1] or "")
        elif effect.kind == "outcome" and effect.name is not None:
            outcome = effect.name.text
    return None if worth is None else _Effects(worth, tuple(flags), outcome)


def points(value: ast.Expr, typer: Typer) -> int | ir.Dated | None:
    """The points of a hit: the same on all days, or those of a param with dates."""
    found = typer.typed(value)
    if found is None:
        return None
    if not is_fixed(found) or found.type.kind != "integer":
        typer.report.error(
            "bad-score", "points are whole numbers, or params that are", value.span, "write a number like `40`; make rules of the rest"
        )
        return None
    if any(abs(worth) > MOST_POINTS for worth in scoring.each(found)):
        typer.report.error("bad-score", f"a rule gives at most {MOST_POINTS:_} points", value.span, "points are small numbers, like `40`")
        return None
    fixed: int | ir.Dated = found if isinstance(found, ir.Dated) else found.value
    return fixed


def _judge_points(made: ir.Rule, node: ast.Rule, program: Program) -> None:
    """Report points that are not known on every day on which the rule is in force."""
    if not isinstance(made.points, int) and made.points.spans:
        span = next((effect.span for effect in node.then if effect.kind == "score"), node.id.span)
        effective.throughout("what a hit gives", made.points.spans, made.effective, span, program.report)


def _once(node: ast.Once, days: Days, program: Program) -> ir.Once | None:
    per = named(node.per, "the key", program)
    over = program.for_each(program.stretches(sorted(mentioned(node.window))), lambda: window(node.window, program))
    if per is None or not over:
        return None
    if not effective.throughout("the time after `once`", [stretch for stretch, _ in over], days, node.window.span, program.report):
        return None
    types, time = program.history.fields, program.env.record.time
    fields = tuple(ir.Read(name, type=types[name], span=written.span) for name, written in zip(per, node.per, strict=True))
    dated = tuple(over) if over[0][0] != effective.ALWAYS else ()
    return ir.Once(fields, over[0][1], ir.Read("now", type=types[time], span=node.span), dated)


def _judge(made: ir.Rule, node: ast.Rule, program: Program) -> None:
    if program.overrides or node.when is None:
        return  # a test may well set a param to where a rule cannot hit
    found = program.defines.verdict(ir.condition(made))
    if found is False:
        program.report.error("never-hits", f"rule `{made.id}` can never hit: its condition contradicts itself", node.when.span)
    elif found is True:
        program.report.warning("always-hits", f"rule `{made.id}` hits on every event", node.when.span, "is a comparison missing?")


def _judge_once(made: ir.Rule, node: ast.Rule, once: ast.Once, program: Program) -> None:
    if node.then and all(effect.kind == "set" for effect in node.then):
        message = f"rule `{made.id}` only sets values, and `once` takes them away where it holds a hit back"
        hint = "leave out `once`, or let the rule give points or a flag"
        program.report.warning("once-only-sets", message, once.span, hint)
    optional = {field.name for field in program.env.record.fields if field.optional}
    condition, defines = ir.condition(made), program.defines
    if defines.too_much(condition):
        return  # nobody can say what it comes to
    whole = ir.transform(
        condition, lambda node: defines.expanded(node.name) if isinstance(node, ir.Read) and node.name in defines else node
    )
    for name in once.per:
        if name.path in optional and judge.may_hold_without(whole, name.path):
            message = f"where `{name.path}` is missing nobody knows of an earlier hit, and every hit goes through"
            program.report.warning("once-key-missing", message, name.span, f"add `and {name.path} is known` to the condition")


def _assumptions(made: ir.Rule, node: ast.Rule, program: Program) -> tuple[tuple[str, Fixed], ...]:
    if not node.assume:
        return ()
    condition, inside = ir.condition(made), program.defines.get
    if program.defines.too_much(condition):
        program.report.error(
            "too-deep", "too much stands behind this condition to assume values in it", node.span, "use simpler defines here"
        )
        return ()
    read = judge.closure(ir.reads(condition), inside)
    done: dict[str, Fixed] = {}
    for assumed in node.assume:
        name = assumed.name.text
        value = _assumed_value(assumed, name, program)
        if value is None:
            continue
        if name in done:
            program.report.error("assumed-twice", f"this rule already assumes a value for `{name}`", assumed.span)
        elif name not in read:
            program.report.error(
                "assume-unread", f"rule `{made.id}` does not read `{name}`, so it has nothing to assume", assumed.name.span
            )
        elif judge.asks_about(condition, name, inside):
            hint = "say what happens when it is missing in one place only"
            program.report.error(
                "assume-and-ask", f"rule `{made.id}` asks whether `{name}` is missing, and assumes a value for it", assumed.name.span, hint
            )
        else:
            done[name] = value
    return tuple(done.items())


def _assumed_value(node: ast.Assume, name: str, program: Program) -> Fixed | None:
    typer = Typer(program.scope, program.report)
    column = typer.typed(ast.Name(name, span=node.name.span))
    value = typer.fixed(node.value, "an assumed value")
    if column is None or value is None:
        return None
    if not isinstance(column, ir.Read) or name == "now":
        program.report.error("assume-unread", f"`{name}` is never missing, so there is nothing to assume", node.name.span)
        return None
    return typer.fit_fixed(value, column.type, f"`{name}`")


# --- reasons -------------------------------------------------------------------------------------------------------


def with_match(scope: Scope, made: ir.Statement | None, program: Program) -> Scope:
    """The scope with what this rule's comparisons of names found, if it makes any; quiet where the rule is faulty itself."""
    if not isinstance(made, ir.Rule):
        return replace(scope, silent={*scope.silent, *PARTS}, refused={n: r for n, r in scope.refused.items() if n not in PARTS})
    found = matches(made.when, program.defines)
    return replace(scope, inlined={**scope.inlined, **found}) if found else scope


def reason(node: ast.Rule, scope: Scope, program: Program) -> tuple[str | ir.Expr, ...]:
    """The reason as texts and expressions in turn; problems are noted."""
    if node.because is None:
        return ()
    parts: list[str | ir.Expr] = []
    names = dict(node.because.names)
    for text, at in _pieces(node.because.text):
        span = _inside(node.because.span, at, len(text))
        if text in ("{", "}"):
            program.report.error("reason-braces", f"the brace `{text}` has no partner", span, "names stand in braces, like `{amount}`")
        elif text.startswith("{"):
            name = text[1:-1].strip()
            found = _named(names.get(name, name), span, scope, program.report)
            if found is not None:
                parts.append(found)
        else:
            parts.append(text)
    return tuple(parts)


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    done = 0
    for match in _BRACE.finditer(text):
        if match.start() > done:
            yield text[done : match.start()], done
        yield match.group(), match.start()
        done = match.end()
    if done < len(text):
        yield text[done:], done


def _inside(span: Span, at: int, length: int) -> Span:
    """A place inside a text: its quote comes first."""
    start = span.column + 1 + at
    return replace(span, column=start, end=start + length)


def _named(name: str, span: Span, scope: Scope, report: Report) -> ir.Expr | None:
    found = scope.lookup(name, span)
    if isinstance(found, ir.Expr):
        return found
    if isinstance(found, ListValue):
        report.error("reason-unknown-name", f"`{name}` is a list and cannot be printed", span)
    elif name in PARTS:
        scope.explain(name, span, report)
    elif not scope.is_silent(name):
        hint = report.suggest(name, scope.names())
        report.error("reason-unknown-name", f"the reason names `{name}`, which is nothing here", span, hint)
    return None
