"""Templates by themselves: what their slots take, and what is wrong with one before any rule is made from it. It makes no rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.diagnostics import Span
from engine.lang import ast, literals
from engine.lang.arithmetic import describe
from engine.lang.environment import TemplateSet
from engine.lang.expressions import Typer
from engine.lang.problems import Report
from engine.lang.scope import RESERVED, Scope

if TYPE_CHECKING:
    from engine.values import Type

NAMED: Final = re.compile(r"\{([^{}]*)\}")
"""A name in a text."""


class Misfit(NamedTuple):
    """What is wrong with a value, what to do, and where in it."""

    what: str
    hint: str | None
    span: Span


def template_set(nodes: Iterable[ast.RuleTemplate], report: Report) -> tuple[TemplateSet, set[str]]:
    """Templates by name, and the names of those that are faulty; their problems are noted."""
    found: dict[str, ast.RuleTemplate] = {}
    faulty: set[str] = set()
    for node in nodes:
        name = node.name.text
        if name in found:
            first = ("the first is here", found[name].name.span)
            report.error("duplicate-name", f"there is a second template `{name}`", node.name.span, related=(first,))
            continue
        before = report.errors
        check_template(node, report)
        found[name] = node
        if report.errors > before:
            faulty.add(name)
    return TemplateSet(found), faulty


def check_template(node: ast.RuleTemplate, report: Report) -> None:
    """Note what can be said of a template before any rule is made from it."""
    slots = {slot.name.text: slot for slot in reversed(node.slots)}
    _check_names(node, report)
    for slot in node.slots:
        _check_slot(slot, report)
    read = {name for text, _ in texts(node) for name in NAMED.findall(text)}
    read |= {name for one in (*node.body, node.rule) for name in _read(one)}
    for slot in node.slots:
        if slot.name.text not in read:
            message = f"the slot `{slot.name.text}` of `{node.name.text}` is never used"
            report.warning("never-used", message, slot.name.span, "delete it, or use it")
    _check_texts(node, slots, report)
    for one in (*node.body, node.rule):
        _check_fields(one, slots, report)
    if not node.rule.then:
        message = f"the rule of `{node.name.text}` does nothing when it hits"
        report.error("rule-without-then", message, node.rule.span, "add `then score`, `then flag`, `then set` or `then outcome`")
    if node.rule.when is None:
        message = f"the rule of `{node.name.text}` does not say when it hits"
        report.error("rule-without-when", message, node.rule.span, "add `when` and a condition")


def _check_names(node: ast.RuleTemplate, report: Report) -> None:
    seen: dict[str, Span] = {}
    for word in (*(slot.name for slot in node.slots), *(one.name for one in node.body)):
        if word.text in RESERVED:
            report.error("reserved-name", f"`{word.text}` has a meaning of its own", word.span, "choose another name")
        elif word.text in seen:
            first = ("it is declared here", seen[word.text])
            report.error("duplicate-name", f"`{word.text}` already has a meaning in `{node.name.text}`", word.span, related=(first,))
        seen.setdefault(word.text, word.span)


def _check_slot(slot: ast.Slot, report: Report) -> None:
    if literals.type_of(_held(slot), report) is None or slot.default is None or isinstance(slot.default, ast.Name):
        return
    problem = misfit(slot, slot.default)
    if problem is not None:
        report.error("slot-type", f"the slot `{slot.name.text}` takes {wanted(slot)}, {problem.what}", problem.span, problem.hint)


def _check_texts(node: ast.RuleTemplate, slots: Mapping[str, ast.Slot], report: Report) -> None:
    """Titles and citations can name slots only: they say the same of every event."""
    for text, span in texts(node):
        for name in NAMED.findall(text):
            if name not in slots:
                hint = report.suggest(name, slots) or "titles and citations can name slots, reasons also values"
                report.error("reason-unknown-name", f"`{name}` is no slot of `{node.name.text}`", span, hint)


def _check_fields(node: ast.Node, slots: Mapping[str, ast.Slot], report: Report) -> None:
    """Where only a field can stand, only a slot for a field can."""
    for name, span in _only_fields(node):
        slot = slots.get(name)
        if slot is not None and slot.type.kind != "field":
            message = f"a field stands here, and the slot `{name}` takes {wanted(slot)}"
            hint = f"declare it as `{name}: field of {slot.type.kind}`"
            report.error("slot-type", message, span, hint, (("it is declared here", slot.span),))


# --- what stands in a template ---------------------------------------------------------------------------------------


def texts(node: ast.RuleTemplate) -> Iterator[tuple[str, Span]]:
    """The texts of a template that are the same for every event."""
    yield node.rule.title, node.rule.span
    yield from ((word.text, word.span) for word in node.rule.cites)
    yield from ((unless.because, unless.span) for unless in node.rule.unless)
    yield from ((one.title, one.span) for one in node.body if one.title is not None)


def _nodes(node: Any) -> Iterator[Any]:
    """A node and all below it."""
    if isinstance(node, tuple):
        for item in node:
            yield from _nodes(item)
    elif isinstance(node, ast.Node):
        yield node
        for part in fields(node):
            if part.name not in ("span", "places"):
                yield from _nodes(getattr(node, part.name))


def _read(node: ast.Node) -> Iterator[str]:
    """The names that a declaration reads."""
    for one in _nodes(node):
        match one:
            case ast.Name(path=path):
                yield path.removeprefix("this.")
            case ast.Assume(name=word):
                yield word.text
            case ast.Template(text=text):
                yield from (name.strip() for name in NAMED.findall(text))


def _only_fields(node: ast.Node) -> Iterator[tuple[str, Span]]:
    """The names that can be those of fields only, with their places."""
    for one in _nodes(node):
        match one:
            case ast.Aggregate(per=per, matched=matched):
                yield from ((name.path, name.span) for name in (*per, *matched))
            case ast.Network(ends=ends):
                yield from ((name.path, name.span) for name in ends)
            case ast.Once(per=per):
                yield from ((name.path, name.span) for name in per)
            case ast.Window(field=ast.Name() as field):
                yield field.path, field.span
            case ast.Assume(name=word):
                yield word.text, word.span


# --- slots and values ------------------------------------------------------------------------------------------------


def _held(slot: ast.Slot) -> ast.TypeName:
    """The type of a slot's value, or of the field it takes."""
    return slot.type.item or slot.type if slot.type.kind == "field" else slot.type


def slot_type(slot: ast.Slot) -> Type | None:
    """The type of a slot's value, or of the field it takes; none where that is faulty."""
    return literals.type_of(_held(slot), Report())


def wanted(slot: ast.Slot) -> str:
    """What a slot takes, in words."""
    type_ = slot_type(slot)
    said = slot.type.kind if type_ is None else str(type_) if type_.choices is not None else describe(type_)
    return f"a field of {said.removeprefix('a ').removeprefix('an ')}" if slot.type.kind == "field" else said


def misfit(slot: ast.Slot, value: ast.Expr) -> Misfit | None:
    """What is wrong with a value that is no name; none where it fits."""
    type_ = slot_type(slot)
    if slot.type.kind == "field" or type_ is None:
        return Misfit("this is a value", "write the name of a field", value.span)
    if type_.kind != "list" or type_.item is None:
        return Misfit("these are several values", "write one", value.span) if isinstance(value, ast.Tuple) else _misfit(type_, value)
    items = value.items if isinstance(value, ast.Tuple) else (value,)
    return next((found for item in items if (found := _misfit(type_.item, item)) is not None), None)


def _misfit(type_: Type, value: ast.Expr) -> Misfit | None:
    report = Report()
    typer = Typer(Scope(), report)
    constant = typer.constant(value, "what fills a slot")
    if constant is not None and not (type_.kind == "duration" and constant.type.kind == "months"):
        typer.fitted(constant, type_, "it")
    if not report.found:
        return None
    first = report.found[0]
    if constant is None:
        return Misfit(f"and {first.message}", first.hint, first.span)
    what = f"not `{constant.value}`" if first.code == "not-a-choice" else f"this is {describe(constant.type)}"
    return Misfit(what, first.hint, value.span)


def same(have: Type, want: Type) -> bool:
    """Whether a field of one type can stand for one of another; money of any currency, and any text, where the slot says no more."""
    if have.kind != want.kind or have.item != want.item:
        return False
    if want.choices is not None and have.choices != want.choices:
        return False
    return have.kind != "money" or (want.currency is None and want.by is None) or (have.currency, have.by) == (want.currency, want.by)
