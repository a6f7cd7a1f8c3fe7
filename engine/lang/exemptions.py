"""Named exceptions: which rules they silence, on whose word, on what grounds, and on which days; and which of them never can.

An exception becomes a define, which the rules it is for read: circles, assumptions and what is missing follow from that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from engine.diagnostics import Diagnostic
from engine.lang import ast, ir, literals
from engine.lang.expressions import Typer
from engine.lang.order import Declared, mentioned
from engine.values import DATE, date_of

if TYPE_CHECKING:
    from engine.lang.program import Program


def collect(program: Program, rules: Mapping[str, ast.Rule]) -> dict[str, ast.Exemption]:
    """The exceptions of a file by the columns their defines write, put into the graph before the rules that read them."""
    found: dict[str, ast.Exemption] = {}
    for node in program.tree.declarations:
        if not isinstance(node, ast.Exemption):
            continue
        name = node.id.text
        taken = found.get(ir.excepted(name)) or rules.get(name)
        if taken is not None:
            what = "rule" if isinstance(taken, ast.Rule) else "exception"
            message = f"`{name}` is already the id of {'a rule' if what == 'rule' else 'an exception'}"
            program.report.error(
                "duplicate-name", message, node.id.span, "give it an id of its own", ((f"the {what} is here", taken.id.span),)
            )
            continue
        found[ir.excepted(name)] = node
        program.nodes[ir.excepted(name)] = Declared(f"exception `{name}`", node.id.span, mentioned(node.when))
        _tie(program, node, rules)
    return found


def _tie(program: Program, node: ast.Exemption, rules: Mapping[str, ast.Rule]) -> None:
    """Let the rules it is for read it."""
    seen: set[str] = set()
    for word in node.rules:
        if word.text in seen:
            program.report.error("duplicate-name", f"exception `{node.id.text}` names `{word.text}` twice", word.span)
        elif word.text not in rules:
            hint = program.report.suggest(word.text, rules) or "name a rule of this file"
            program.report.error("unknown-rule", f"there is no rule `{word.text}` for which this could be an exception", word.span, hint)
        else:
            program.nodes[ir.hit(word.text)].reads.add(ir.excepted(node.id.text))
        seen.add(word.text)


def exemption(node: ast.Exemption, program: Program) -> tuple[ir.Exemption, ir.Define] | None:
    """The typed exception and the define that says whether it holds, or none with the problems noted."""
    _complete(node, program)
    start = literals.date(node.start.text, node.start.span, program.report) if node.start is not None else None
    end = literals.date(node.end.text, node.end.span, program.report) if node.end is not None else None
    if node.end is not None and node.start is not None and start is not None and end is not None and end < start:
        message = f"this ends on {node.end.text}, before it begins on {node.start.text}"
        program.report.error("effective-order", message, node.end.span, "exchange the two dates")
        return None
    when = Typer(program.scope, program.report).condition(node.when, "what stands after `when`") if node.when is not None else None
    if when is None or end is None or node.approved is None or node.because is None:
        return None
    _judge(node, when, program)
    days = [ir.Compare(">=", ir.day_of_event(), ir.Const(start, type=DATE))] if start is not None else []
    days.append(ir.Compare("<=", ir.day_of_event(), ir.Const(end, type=DATE)))
    made = ir.Exemption(
        node.id.text,
        node.title,
        tuple(word.text for word in node.rules),
        (start, end),
        node.approved.text,
        node.because.text,
        tuple(word.text for word in node.cites),
        node.id.span,
    )
    return made, ir.Define(ir.excepted(node.id.text), ir.And((*days, when), span=node.id.span), node.title)


_PARTS = (
    ("when", "does not say when it holds", "add `when` and a condition"),
    ("end", "does not end", "add `until` and its last day, like `until 2027-06-30`; what always holds stands in the rule, after `unless`"),
    ("approved", "does not say who approved it", 'add `approved by "..."`'),
    ("because", "does not say why", 'add `because "..."`'),
)


def _complete(node: ast.Exemption, program: Program) -> None:
    for part, message, hint in _PARTS:
        value = getattr(node, part)
        if value is None or (isinstance(value, ast.Word) and not value.text.strip()):
            span = node.id.span if value is None else value.span
            program.report.error("exception-incomplete", f"exception `{node.id.text}` {message}", span, hint)


def _judge(node: ast.Exemption, when: ir.Expr, program: Program) -> None:
    if program.overrides or node.when is None:
        return
    found = program.defines.verdict(when)
    if found is False:
        message = f"exception `{node.id.text}` can never hold: its condition contradicts itself"
        program.report.error("exception-never-holds", message, node.when.span)
    elif found is True:
        message = f"exception `{node.id.text}` silences its rules on every event"
        program.report.warning("exception-always-holds", message, node.when.span, "is a comparison missing?")


def check_days(program: Program, exemptions: Iterable[ir.Exemption], rules: Mapping[str, ir.Statement]) -> None:
    """Report exceptions that share no day with a rule they are for."""
    for one in exemptions:
        start, end = one.days
        for name in one.rules:
            rule = rules.get(ir.hit(name))
            if not isinstance(rule, ir.Rule):
                continue
            first, last = rule.effective
            if first is not None and end < first:
                message = f"exception `{one.id}` ends on {date_of(end)}, and rule `{name}` is in force from {date_of(first)} only"
            elif last is not None and start is not None and start > last:
                message = f"exception `{one.id}` begins on {date_of(start)}, and rule `{name}` is in force up to {date_of(last)} only"
            else:
                continue
            hint = "take the rule from the exception, or mend the days"
            program.report.error("exception-never-holds", message, one.span, hint, (("the rule is here", rule.span),))


def past(rules: ir.RuleSet, day: date) -> list[Diagnostic]:
    """The exceptions that have ended before a day: they silence nothing any more."""
    return [
        Diagnostic(
            "exception-past",
            f"exception `{one.id}` ended on {date_of(one.days[1])}: on {day}, the day of this check, it silences nothing",
            one.span,
            hint="take it away, or have it approved anew with a later `until`",
            severity="warning",
        )
        for one in rules.exemptions
        if date_of(one.days[1]) < day
    ]
