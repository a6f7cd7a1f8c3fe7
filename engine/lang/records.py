"""Headers of every kind of file, and the declaration of a record: the shape of one event. It types no expressions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine import zones
from engine.lang import ast, literals
from engine.lang.arithmetic import describe
from engine.lang.scope import RESERVED
from engine.record import AHEAD, Field, Record
from engine.values import DAY

if TYPE_CHECKING:
    from engine.lang.problems import Report

_NUMBERS = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
_VERSION = re.compile(rf"{_NUMBERS}(-[0-9a-z-]+(\.[0-9a-z-]+)*)?")
_RANGE = re.compile(rf"[\^~]?(0|[1-9]\d*)(\.(0|[1-9]\d*)){{0,2}}|{_VERSION.pattern}")
_REVISION = ("integer", "date", "datetime")
_MOST_AHEAD = 36_525 * DAY
_ORDERING = ("integer", "number", "date", "datetime", "text")

_HEADER = {
    "record": ("zone", "key", "time", "arrival", "arrival_by_time", "late", "ahead", "revision"),
    "ruleset": ("uses", "on_missing", "scoring", "floors"),
    "features": ("uses",),
    "list": (),
    "table": ("zone", "key", "rows", "valid", "known"),
    "rates": ("rows", "base", "oldest"),
    "templates": (),
}
_BODY: dict[str, tuple[type, ...]] = {
    "record": (ast.Field,),
    "ruleset": (
        *(ast.Input, ast.Param, ast.ListDecl, ast.Define, ast.Feature, ast.RuleTemplate, ast.MadeRule, ast.Rule, ast.Exemption, ast.Table),
        *(ast.Decide, ast.Never, ast.Trend, ast.Test, ast.Story, ast.Examples),
    ),
    "features": (ast.Param, ast.ListDecl, ast.Define, ast.Feature),
    "list": (ast.ListDecl,),
    "table": (ast.TableColumn,),
    "rates": (),
    "templates": (ast.RuleTemplate,),
}  # fmt: skip
_SPECIAL = {name for names in _HEADER.values() for name in names}
_WORDS = {
    "on_missing": "on missing", "arrival_by_time": "arrival by time", "late": "late up to", "ahead": "ahead up to",
    "uses": "record` or `uses", "rows": "rows from", "known": "known from", "oldest": "no more than", "scoring": "score",
    "floors": "score at least",
}  # fmt: skip
_DECLARED = {
    ast.Field: "field", ast.TableColumn: "column", ast.Input: "input",
    ast.Param: "param", ast.ListDecl: "list", ast.Define: "define", ast.Feature: "feature",
    ast.Never: "never", ast.Trend: "more", ast.RuleTemplate: "template", ast.MadeRule: "rule", ast.Exemption: "exception",
    ast.Rule: "rule", ast.Table: "table", ast.Decide: "decide", ast.Test: "test", ast.Story: "story", ast.Examples: "examples",
}  # fmt: skip


def check_places(tree: ast.File, report: Report) -> None:
    """Version, ranges, and that nothing stands in a kind of file it does not belong to."""
    if not _VERSION.fullmatch(tree.version.text):
        report.error("bad-version", f"`{tree.version.text}` is no version", tree.version.span, "write three numbers, like `1.4.0`")
    for use in tree.uses:
        if use.range is not None and not _RANGE.fullmatch(use.range):
            report.error("bad-range", f"`{use.range}` is no range of versions", use.span, "write `^1`, `^1.4`, `~1.4.2` or `1.4.2`")
        if use.kind == "ruleset" and tree.kind != "ruleset":
            report.error("wrong-place", f"only rule sets read the states of others, not a {tree.kind} file", use.span)
    for name in sorted(_SPECIAL - set(_HEADER[tree.kind])):
        value = getattr(tree, name)
        if value:
            word = _WORDS.get(name, name)
            report.error("wrong-place", f"`{word}` does not belong into a {tree.kind} file", _place(value, tree))
    for declaration in tree.declarations:
        if not isinstance(declaration, _BODY[tree.kind]):
            word = _DECLARED[type(declaration)]
            report.error("wrong-place", f"`{word}` does not belong into a {tree.kind} file", declaration.span)


def _place(value: Any, tree: ast.File) -> Any:
    node = value[0] if isinstance(value, tuple) else value
    return node.span if isinstance(node, ast.Node) else tree.name.span


def record(tree: ast.File, report: Report) -> Record | None:
    """The record a file declares, or none with the problems noted."""
    declared = [node for node in tree.declarations if isinstance(node, ast.Field)]
    by_name = _by_name(declared, report)
    fields = [field for node in by_name.values() if (field := _field(node, by_name, report)) is not None]
    _check_sources(declared, report)
    types = {field.name: field.type for field in fields}
    zone_name, late = zone(tree, report), _late(tree, report)
    ahead, revision = _ahead(tree, by_name, report), _revision(tree, by_name, types, report)
    key = _key(tree, by_name, report)
    time = _time(tree, by_name, types, report)
    arrival = _arrival(tree, by_name, types, report)
    if report.failed or time is None:
        return None
    return Record(tree.name.text, tree.version.text, zone_name, key, time, tuple(fields), late, arrival, tree.title, revision, ahead)


def _by_name(declared: list[ast.Field], report: Report) -> dict[str, ast.Field]:
    names: dict[str, ast.Field] = {}
    for node in declared:
        name = node.name.text
        if name in names:
            report.error(
                "duplicate-name",
                f"there is a second field `{name}`",
                node.name.span,
                related=(("the first is here", names[name].name.span),),
            )
        elif name.partition(".")[0] in RESERVED:
            report.error(
                "reserved-name",
                f"`{name}` has a meaning of its own",
                node.name.span,
                "choose another name; `from` can map the name a feed uses",
            )
        names.setdefault(name, node)
    for name, node in names.items():
        outer = name
        while "." in outer:
            outer = outer.rpartition(".")[0]
            if outer in names:
                message = f"`{outer}` cannot be a value and hold `{name}` at once"
                report.error("duplicate-name", message, node.name.span, related=(("the value is here", names[outer].name.span),))
    return names


def _field(node: ast.Field, by_name: dict[str, ast.Field], report: Report) -> Field | None:
    type_ = literals.type_of(node.type, report)
    if type_ is None:
        return None
    if type_.kind == "money" and type_.by is None and type_.currency is None:
        report.error(
            "money-currency",
            "a field of money needs its currency",
            node.type.span,
            "write `money USD`, or `money by` the field that holds it",
        )
        return None
    if type_.by is not None and not _is_text(type_.by, by_name):
        if type_.by in by_name:
            report.error("money-currency", f"`{type_.by}` is not a text, so it cannot hold a currency", node.type.span)
        else:
            report.error("unknown-name", f"there is no field `{type_.by}`", node.type.span, report.suggest(type_.by, by_name))
    if node.not_negative and type_.kind not in ("integer", "number", "money", "percent", "duration"):
        report.error(
            "not-negative-type",
            f"`{node.name.text}` is {describe(type_)}, which has no sign",
            node.span,
            "`not negative` is for numbers and money",
        )
    return Field(node.name.text, type_, node.optional, node.not_negative, node.personal, node.title, node.sources)


def _is_text(name: str, by_name: dict[str, ast.Field]) -> bool:
    return name in by_name and by_name[name].type.kind == "text"


def _check_sources(declared: list[ast.Field], report: Report) -> None:
    """A name that a feed may use belongs to one field only."""
    owner = {node.name.text: node for node in declared}
    for node in declared:
        for source in node.sources:
            first = owner.setdefault(source, node)
            if first is not node:
                message = f"the name `{source}` is already taken by the field `{first.name.text}`"
                report.error("duplicate-name", message, node.span, related=(("it stands here", first.span),))


def zone(tree: ast.File, report: Report) -> str:
    """The time zone a file names, UTC where it names none."""
    if tree.zone is None:
        return "UTC"
    name = tree.zone.text
    if name not in zones.names():
        hint = report.suggest(name, zones.names()) or "write a place of the IANA database, like `Europe/Berlin`"
        report.error("unknown-zone", f"there is no time zone `{name}`", tree.zone.span, hint)
    return name


def _late(tree: ast.File, report: Report) -> int:
    value = None if tree.late is None else _length(tree.late, "late", report)
    return DAY if value is None else value


def _ahead(tree: ast.File, by_name: dict[str, ast.Field], report: Report) -> int:
    """How far ahead times may lie. None at all would refuse whatever a clock that is a little fast has stamped."""
    value = None if tree.ahead is None else _length(tree.ahead, "too far ahead", report)
    if tree.ahead is None or value is None:
        return AHEAD
    if not value:
        report.error("bad-length", "an event could not lie ahead at all, so a clock that is a little fast would refuse it", tree.ahead.span)
    elif value > _MOST_AHEAD:
        report.error("bad-length", "no time that anybody means lies more than 100 years ahead", tree.ahead.span, "write `366 days`")
    elif value % DAY and tree.time is not None and tree.time.text in by_name and by_name[tree.time.text].type.kind == "date":
        report.error("bad-length", f"`{tree.time.text}` is a date, so this must be a whole number of days", tree.ahead.span)
    return value


def _length(node: ast.Literal, what: str, report: Report) -> int | None:
    """The microseconds of a duration, or none with the problem noted."""
    constant = literals.constant(node, report, "UTC")
    if constant is None:
        return None
    if constant.type.kind == "months":
        report.error("ambiguous-duration", f"a month has no fixed length, so nobody knows what is {what}", node.span, "write days")
        return None
    value: int = constant.value
    return value


def _revision(tree: ast.File, by_name: dict[str, ast.Field], types: dict[str, Any], report: Report) -> str | None:
    if tree.revision is None:
        return None
    name, span = tree.revision.text, tree.revision.span
    if name not in by_name:
        report.error("unknown-name", f"there is no field `{name}`", span, report.suggest(name, by_name))
    elif any(word.text == name for word in tree.key):
        message = f"`{name}` is part of the key, so a correction would be an event of its own"
        report.error("revision-type", message, span, "leave it out of the key: versions of one event have the same key")
    elif name in types and types[name].kind not in _REVISION:
        message = f"`{name}` is {describe(types[name])} and cannot say which version is the newer"
        report.error("revision-type", message, span, "use an integer, a date or a datetime")
    return name


def _key(tree: ast.File, by_name: dict[str, ast.Field], report: Report) -> tuple[str, ...]:
    if not tree.key:
        report.error(
            "record-incomplete",
            f"the record `{tree.name.text}` names no key",
            tree.name.span,
            "add `key FIELD`: what tells one event from another",
        )
    names: list[str] = []
    for word in tree.key:
        if word.text in names:
            report.error("duplicate-name", f"`{word.text}` stands twice in the key", word.span)
        elif word.text not in by_name:
            report.error("unknown-name", f"there is no field `{word.text}`", word.span, report.suggest(word.text, by_name))
        elif by_name[word.text].type.kind == "list":
            report.error("key-type", f"`{word.text}` is a list and cannot tell events apart", word.span)
        names.append(word.text)
    return tuple(names)


def _time(tree: ast.File, by_name: dict[str, ast.Field], types: dict[str, Any], report: Report) -> str | None:
    if tree.time is None:
        report.error(
            "record-incomplete", f"the record `{tree.name.text}` names no time", tree.name.span, "add `time FIELD`: when the event happened"
        )
        return None
    name = tree.time.text
    if name not in by_name:
        report.error("unknown-name", f"there is no field `{name}`", tree.time.span, report.suggest(name, by_name))
    elif name in types and types[name].kind not in ("date", "datetime"):
        report.error("time-type", f"`{name}` is {describe(types[name])}, the time must be a date or a datetime", tree.time.span)
    return name


def _arrival(tree: ast.File, by_name: dict[str, ast.Field], types: dict[str, Any], report: Report) -> str:
    if tree.arrival is None:
        return "time" if tree.arrival_by_time else "stream"
    name = tree.arrival.text
    if tree.arrival_by_time:
        report.error(
            "arrival-type", f"the record has two orders of arrival: by time, and by `{name}`", tree.arrival.span, "keep one of them"
        )
    if name not in by_name:
        report.error("unknown-name", f"there is no field `{name}`", tree.arrival.span, report.suggest(name, by_name))
    elif name in types and types[name].kind not in _ORDERING:
        report.error(
            "arrival-type",
            f"`{name}` is {describe(types[name])} and gives no order of arrival",
            tree.arrival.span,
            "use a number, a date or a datetime",
        )
    return name
