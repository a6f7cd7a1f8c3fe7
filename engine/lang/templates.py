"""Rules made from templates: every use becomes the declarations it stands for, before anything is typed.

A value that fills a slot becomes a param (or a list) of the made rule, so that reasons can print it and a test can give it another value;
a field stands under its own name. What a made rule brings with it is called `ID.NAME`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.diagnostics import Made, Span
from engine.lang import ast, ir
from engine.lang.arithmetic import describe
from engine.lang.environment import called, list_name
from engine.lang.format_expressions import format_expression
from engine.lang.order import mentioned
from engine.lang.slots import NAMED, Misfit, misfit, same, slot_type, template_set, wanted

if TYPE_CHECKING:
    from engine.lang.environment import Environment
    from engine.lang.problems import Report


class Expanded(NamedTuple):
    """A file without templates; `lost` are the columns of rules that could not be made, which nobody should miss, `read` what they name."""

    tree: ast.File
    lost: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()


class _Filled(NamedTuple):
    """What fills a slot, and the name by which the made rule reads it."""

    slot: ast.Slot
    value: ast.Expr
    name: str


def expanded(tree: ast.File, env: Environment, report: Report) -> Expanded:
    """The file with every use of a template written out; what is wrong with templates and uses is noted."""
    if not any(isinstance(node, ast.RuleTemplate | ast.MadeRule) for node in tree.declarations):
        return Expanded(tree)
    return _Expansion(tree, env, report).run()


class _Expansion:
    """Writes out one file. Rules are made from sound templates only; `unknown` are components of templates that were not found."""

    def __init__(self, tree: ast.File, env: Environment, report: Report) -> None:
        self.tree, self.env, self.report = tree, env, report
        self.templates: dict[str, ast.RuleTemplate] = {}
        self.faulty: set[str] = set()
        self.unknown: set[str] = set()
        self.used: set[str] = set()
        self.ids: dict[str, Span] = {}
        self.lost: set[str] = set()
        self.read: set[str] = set()

    def run(self) -> Expanded:
        own, self.faulty = template_set([node for node in self.tree.declarations if isinstance(node, ast.RuleTemplate)], self.report)
        self.templates.update(own.templates)
        for use in self.tree.uses:
            if use.kind == "templates" and use.path in self.env.templates:
                self.templates |= {f"{called(use)}.{name}": node for name, node in self.env.templates[use.path].templates.items()}
            elif use.kind == "templates":
                self.unknown.add(called(use))
        declared: list[ast.Declaration] = []
        for node in self.tree.declarations:
            if isinstance(node, ast.Rule):
                self.ids.setdefault(node.id.text, node.id.span)
            if isinstance(node, ast.MadeRule):
                declared += self._made(node)
            elif not isinstance(node, ast.RuleTemplate):
                declared.append(node)
        for name, template in own.templates.items():
            if name not in self.used:
                message = f"no rule is made from the template `{name}`"
                self.report.warning("never-used", message, template.name.span, "delete it, or make a rule from it")
        return Expanded(replace(self.tree, declarations=tuple(declared)), frozenset(self.lost), frozenset(self.read))

    # --- uses --------------------------------------------------------------------------------------------------------

    def _made(self, node: ast.MadeRule) -> Iterator[ast.Declaration]:
        name, rule = node.template.text, node.id.text
        self.used.add(name)
        self.read.add(name)
        if rule in self.ids:
            first = ("the first is here", self.ids[rule])
            self.report.error("duplicate-rule", f"there is a second rule `{rule}`", node.id.span, "give it an id of its own", (first,))
            return
        self.ids[rule] = node.id.span
        if name not in self.templates and name.partition(".")[0] not in self.unknown:
            shared = next((one for one in self.templates if one.endswith(f".{name}")), None)
            hint = f"did you mean `{shared}`?" if shared is not None else self.report.suggest(name, self.templates)
            hint = hint or "write it as `template NAME (SLOT: TYPE) rule ...`"
            self.report.error("unknown-template", f"there is no template `{name}`", node.template.span, hint)
        template = self.templates.get(name)
        filled = None if template is None or name in self.faulty else self._filled(node, template)
        if template is None or filled is None:
            self.lost |= _columns(node, template)
            self.read |= mentioned(*(one.value for one in node.values), template)
            return
        yield from _written_out(node, template, filled)

    def _filled(self, node: ast.MadeRule, template: ast.RuleTemplate) -> list[_Filled] | None:
        """What fills each slot, or none with the problems noted."""
        values, sound = self._values(node, template)
        filled: list[_Filled] = []
        for slot in template.slots:
            value = values.get(slot.name.text) or slot.default
            if value is not None:
                filled.append(_Filled(slot, value, self._name(node, slot, value)))
                sound = self._fits(template, slot, value) and sound
                continue
            message = f"`{node.id.text}` does not say what `{slot.name.text}` is, and `{template.name.text}` needs it"
            hint = f"add `{slot.name.text} = ...`: {wanted(slot)}"
            self.report.error("missing-slot", message, node.template.span, hint, (("the slot is declared here", slot.span),))
            sound = False
        return filled if sound else None

    def _values(self, node: ast.MadeRule, template: ast.RuleTemplate) -> tuple[dict[str, ast.Expr], bool]:
        """The values by slot, and whether every one of them has its slot."""
        slots = [slot.name.text for slot in template.slots]
        values: dict[str, ast.Expr] = {}
        sound = True
        for one in node.values:
            name = one.name.text
            if name not in slots:
                hint = self.report.suggest(name, slots) or f"its slots are {', '.join(f'`{slot}`' for slot in slots)}"
                self.report.error("unknown-slot", f"the template `{template.name.text}` has no slot `{name}`", one.name.span, hint)
                sound = False
            elif name in values:
                self.report.error("duplicate-name", f"the slot `{name}` is filled twice", one.name.span, "keep one of them")
                sound = False
            elif one.value is not None:
                values[name] = one.value
        return values, sound

    def _name(self, node: ast.MadeRule, slot: ast.Slot, value: ast.Expr) -> str:
        """Fields and lists stand under their own names, all else under that of the made rule."""
        named = isinstance(value, ast.Name) and slot.type.kind in ("field", "list")
        return value.path if named and isinstance(value, ast.Name) else f"{node.id.text}.{slot.name.text}"

    # --- values ------------------------------------------------------------------------------------------------------

    def _fits(self, template: ast.RuleTemplate, slot: ast.Slot, value: ast.Expr) -> bool:
        """Whether a value fits its slot; if not, that is noted. The type of a param is looked at where all params are typed."""
        if not isinstance(value, ast.Name):
            problem = misfit(slot, value)
        elif slot.type.kind == "field":
            problem = self._misfit_field(slot, value)
        else:
            problem = self._misfit_name(slot, value)
        if problem is None:
            return True
        message = f"the slot `{slot.name.text}` of `{template.name.text}` takes {wanted(slot)}, {problem.what}"
        self.report.error("slot-type", message, problem.span, problem.hint, (("the slot is declared here", slot.span),))
        return False

    def _misfit_field(self, slot: ast.Slot, value: ast.Name) -> Misfit | None:
        name = value.path
        types = {field.name: field.type for field in self.env.record.fields}
        if name not in types:
            return Misfit(f"`{name}` is no field of `{self.env.record.name}`", self.report.suggest(name, types), value.span)
        want = slot_type(slot)
        if want is None or same(types[name], want):
            return None
        near = sorted(field for field, type_ in types.items() if same(type_, want))
        return Misfit(f"`{name}` is {describe(types[name])}", f"for example `{near[0]}`" if near else None, value.span)

    def _misfit_name(self, slot: ast.Slot, value: ast.Name) -> Misfit | None:
        """A list is named where one is taken; anywhere else a param, or a define that comes to a constant."""
        if slot.type.kind == "list":
            there = {node.name.text for node in self.tree.declarations if isinstance(node, ast.ListDecl) and node.name is not None}
            there |= {list_name(use.path) for use in self.tree.uses if use.kind == "list"}
            there |= {field.name for field in self.env.record.fields if field.type.kind == "list"}
            what, hint = "list", "write the name of a list, or its values in parentheses"
        else:
            there = {node.name.text for node in self.tree.declarations if isinstance(node, ast.Param | ast.Define)}
            what, hint = "param", "write the value, or the name of a param"
        name = value.path
        return None if name in there else Misfit(f"`{name}` is no {what} here", self.report.suggest(name, there) or hint, value.span)


def _columns(node: ast.MadeRule, template: ast.RuleTemplate | None) -> set[str]:
    """What readers of a rule that was not made may look for."""
    found = {ir.hit(node.id.text)}
    if template is None:
        return found
    found |= {f"{node.id.text}.{one.name.text}" for one in (*template.slots, *template.body)}
    for effect in template.rule.then:
        if effect.name is not None:
            found.add(f"flags.{effect.name.text}" if effect.kind == "flag" else effect.name.text)
    return found


# --- writing out -----------------------------------------------------------------------------------------------------


def _written_out(node: ast.MadeRule, template: ast.RuleTemplate, filled: list[_Filled]) -> Iterator[ast.Declaration]:
    """The declarations one use stands for: what fills the slots, what the template declares, the rule."""
    rule = node.id.text
    said = ", ".join(f"{one.slot.name.text} = {format_expression(one.value)}" for one in filled)
    made = Made(rule, node.span, f"{node.template.text} with {said}")
    names = {one.slot.name.text: one.name for one in filled} | {one.name.text: f"{rule}.{one.name.text}" for one in template.body}
    shown = {one.slot.name.text: _shown(one.value) for one in filled}
    for one in filled:
        if one.name == f"{rule}.{one.slot.name.text}":
            yield _held(one, template)
    for each in template.body:
        put_in: Any = _put_in(each, names, made)
        yield replace(put_in, name=replace(put_in.name, text=names[each.name.text]), title=_told(each.title, shown))
    body: ast.Rule = _put_in(template.rule, names, made)
    yield replace(
        body,
        id=node.id,
        title=node.title if node.title is not None else _told(body.title, shown) or "",
        cites=tuple(replace(word, text=_told(word.text, shown) or "") for word in body.cites),
        unless=tuple(replace(one, because=_told(one.because, shown) or "") for one in body.unless),
        made=made.filled,
        span=node.span,
    )


def _held(one: _Filled, template: ast.RuleTemplate) -> ast.Param | ast.ListDecl:
    """The declaration of a value that fills a slot."""
    word = ast.Word(one.name, span=one.value.span)
    if one.slot.type.kind == "list":
        items = one.value if isinstance(one.value, ast.Tuple) else ast.Tuple((one.value,), span=one.value.span)
        return ast.ListDecl(word, (ast.Dated(items, span=one.value.span),), span=one.value.span)
    months = isinstance(one.value, ast.Literal) and one.value.text.removesuffix("s").endswith((" month", " year"))
    type_ = None if one.slot.type.kind == "duration" and (months or isinstance(one.value, ast.Name)) else one.slot.type
    what = f"the slot `{one.slot.name.text}` of `{template.name.text}`"
    return ast.Param(word, type_, (ast.Dated(one.value, span=one.value.span),), slot=what, span=one.value.span)


def _shown(value: ast.Expr) -> str:
    """A value as a title shows it."""
    if isinstance(value, ast.Tuple):
        return ", ".join(_shown(item) for item in value.items)
    if not isinstance(value, ast.Literal):
        return format_expression(value)
    return value.text if value.kind == "text" else value.text.replace("_", ",")


def _told(text: str | None, shown: Mapping[str, str]) -> str | None:
    """A text with the values of slots in the place of their names."""
    return None if text is None else NAMED.sub(lambda match: shown.get(match[1], match[0]), text)


def _put_in(node: Any, names: Mapping[str, str], made: Made) -> Any:
    """The same part of the tree under the made rule's names, every place marked as read for it."""
    if isinstance(node, tuple):
        return tuple(_put_in(item, names, made) for item in node)
    if isinstance(node, Span):
        return replace(node, made=made)
    if not isinstance(node, ast.Node):
        return node
    parts = {part.name: _put_in(getattr(node, part.name), names, made) for part in fields(node)}
    if isinstance(node, ast.Name):
        this = "this." if node.path.startswith("this.") else ""
        parts["path"] = this + names.get(node.path.removeprefix("this."), node.path.removeprefix("this."))
    elif isinstance(node, ast.Assume):
        parts["name"] = replace(parts["name"], text=names.get(node.name.text, node.name.text))
    elif isinstance(node, ast.Template):
        parts["names"] = tuple(names.items())
    return replace(node, **parts)
