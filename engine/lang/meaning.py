"""What a typed program means, as text that is the same on every machine: the ground of fingerprints. Wording is left out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, Final

from engine.lang import ir
from engine.lang.entries import Entries
from engine.rates import Rates
from engine.reference_table import ReferenceTable
from engine.screening.names import METHOD, Names
from engine.values import Missing

_LEFT_OUT: Final = {
    ir.Const: {"name"}, ir.In: {"name"}, ir.Dated: {"name"}, ir.Listed: {"name"}, ir.Resembles: {"name", "version"}, ir.Rule: {"exempt"},
    ir.Lookup: {"name"},
}  # fmt: skip


def canonical(thing: Any, own: bool = False) -> Any:
    """What `thing` means as plain lists, the same on every machine and in every process; places and names of constants left out.

    With `own` it is what the text itself says: of what another component holds, entries of a list or rows of a table, only the name.
    """
    if isinstance(thing, Missing):
        return ["missing", thing.cause]
    if isinstance(thing, ReferenceTable | Rates):
        return ["file", thing.name if own else thing.digest]
    if own and isinstance(thing, ir.In | ir.Listed | ir.Resembles | ir.Dated) and "." in (thing.name or ""):
        return _asked(thing)
    if is_dataclass(thing):
        skipped = {"span", "title"} | _LEFT_OUT.get(type(thing), set())
        return [type(thing).__name__, *(canonical(getattr(thing, part.name), own) for part in fields(thing) if part.name not in skipped)]
    if isinstance(thing, frozenset | Entries) and len(thing) > _FEW:
        return ["many", _of_many(thing)]
    if isinstance(thing, frozenset):
        return ["set", *sorted((canonical(item) for item in thing), key=json.dumps)]
    if isinstance(thing, Names):
        return ["names", METHOD, *canonical(thing.entries)]
    if isinstance(thing, Entries):
        return ["entries", *sorted(([canonical(value), canonical(spans)] for value, spans in thing.items()), key=json.dumps)]
    if isinstance(thing, tuple | list):
        return [canonical(item, own) for item in thing]
    return thing


def _asked(thing: ir.In | ir.Listed | ir.Resembles | ir.Dated) -> Any:
    """What is asked of another component's list, however its entries are dated."""
    while isinstance(thing, ir.Dated):
        asked = thing.items[0]
        assert isinstance(asked, ir.In | ir.Listed | ir.Resembles | ir.Dated)
        thing = asked
    how = ["resembles", thing.least] if isinstance(thing, ir.Resembles) else ["in"]
    return [*how, thing.name, canonical(thing.item, own=True)]


_FEW: Final = 1_000


@lru_cache(maxsize=64)
def _of_many(thing: frozenset[Any] | Entries) -> str:
    """A fingerprint in place of a long list, which is made once."""
    texts = {value: value if value.__class__ is str else json.dumps(canonical(value)) for value in thing}
    if isinstance(thing, Entries):
        return digest(sorted((texts[value], spans) for value, spans in thing.items()))
    return digest(sorted(texts.values()))


def digest(meaning: Any) -> str:
    """The SHA-256 of what `canonical` gave."""
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()


def of_rule(rules: ir.RuleSet, rule: ir.Rule, own: bool = False) -> str:
    """When a rule hits, as a fingerprint: its conditions, assumptions and `once`, with everything of its rule set that they read; `own` is
    that of `canonical`.

    Its title, citations, reason, points and flags do not count, nor the exceptions for it, nor what the inputs stand for that other steps
    give.
    """
    statements = {column: statement for statement in rules.body for column in ir.written(statement)}
    waiting, found = [ir.hit(rule.id)], dict[str, Any]()
    while waiting:
        name = waiting.pop()
        if name in statements and name not in found:
            found[name], reads = _bare(statements[name])
            waiting += reads
    return digest([[name, canonical(found[name], own)] for name in sorted(found)])


def _bare(statement: ir.Statement) -> tuple[Any, set[str]]:
    """What a statement says without its wording and what it brings about, and what it reads."""
    match statement:
        case ir.Define():
            return statement, ir.reads(statement.value)
        case ir.Flag():
            return statement, {ir.hit(rule) for rule in statement.rules}
        case ir.Set():
            return statement, {ir.hit(rule) for rule, _ in statement.values}.union(*(ir.reads(value) for _, value in statement.values))
        case ir.Table():
            return replace(statement, cites=()), set[str]().union(*map(ir.reads, statement.expressions()))
    bare = replace(wordless(statement), points=0, flags=(), sets=(), outcome=None)
    return bare, ir.reads(ir.condition(bare))


def wordless(rule: ir.Rule) -> ir.Rule:
    """A rule without the words that people read: its reason and those of its `unless`, citations, severity, how it was made."""
    unless = tuple((condition, "") for condition, _ in rule.unless)
    return replace(rule, unless=unless, reason=(), cites=(), severity=None, made="", exempt=())
