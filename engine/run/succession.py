"""Plans that follow one another, each in force from a day on until the next is. They share one record and one history, so that every
event is read once and remembered once, whichever plan decides it. It knows no lock and no file: whoever made a plan is told by name.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.errors import RegistryError
from engine.plan import DAY_OF_EVENT, Plan
from engine.values import Type, date_of

if TYPE_CHECKING:
    from engine.features.spec import BoundFeatures
    from engine.plan import Row
    from engine.record import Field, Record


@dataclass(frozen=True, slots=True)
class Term:
    """One plan and the first day on which it is in force, its `seal`, and by which name a person knows it.

    `columns` gives for its history columns those of the shared history; `foreign` are shared columns that are none of its own.
    """

    since: int
    plan: Plan
    seal: str
    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()

    @property
    def renamed(self) -> dict[str, str]:
        """Those of the columns that are called otherwise in the shared history."""
        return {own: shared for own, shared in self.columns.items() if own != shared}

    def own(self, row: Row) -> Row:
        """A row of the shared columns as this plan reads it."""
        if not self.foreign:
            return row
        kept = {name: value for name, value in row.items() if name not in self.foreign}
        return kept | {own: row[shared] for own, shared in self.renamed.items()}


class Succession:
    """The terms by day. `plan` is the newest with the record and the history that all of them share: what events are read by, what a store
    is opened for; it decides nothing. Raises `RegistryError` where their records cannot be one."""

    def __init__(self, terms: Sequence[Term]) -> None:
        terms = sorted(terms, key=lambda term: term.since)
        newest = terms[-1].plan
        history = shared_history([term.plan for term in terms])
        self.plan = replace(newest, record=shared_record(terms), history=tuple(history.values()))
        types = self.types
        self.terms = tuple(_with_columns(term, history, frozenset(types)) for term in terms)
        self._days = [term.since for term in terms]

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Those that decide, the oldest first."""
        return tuple(term.plan for term in self.terms)

    @property
    def types(self) -> dict[str, Type]:
        """The columns of a row that are shared by some: the fields of the record, and history."""
        fields = {field.name: field.type for field in self.plan.record.fields}
        return fields | {name: type_ for group in self.plan.history for name, type_ in group.types.items()}

    @property
    def first(self) -> int:
        """The first day on which anything is in force."""
        return self._days[0]

    def refusal(self, day: int) -> str:
        """Why what happened on a day before the first is not decided."""
        return f"no lock is in force yet, the first, `{self.terms[0].name}`, holds from {date_of(self.first)}: it is of {date_of(day)}"

    def at(self, day: int) -> int:
        """Which of the terms holds on a day; below 0 before the first."""
        return bisect_right(self._days, day) - 1

    def of(self, row: Row) -> Term:
        """The term in which a row is decided, which must not be an early one."""
        return self.terms[self.at(row[DAY_OF_EVENT])]


def rule_ids(plans: Iterable[Plan]) -> tuple[str, ...]:
    """The ids of all rules, in the order of the bits of decisions."""
    return tuple(dict.fromkeys(name for plan in plans for name in plan.rules.values()))


def flag_names(plans: Iterable[Plan]) -> tuple[str, ...]:
    """The names of all flags, in the order of the bits."""
    return tuple(sorted({name for plan in plans for name in plan.flags.values()}))


def silenced_names(plans: Iterable[Plan]) -> tuple[str, ...]:
    """Which exception may silence which rule, as ``RULE by EXCEPTION``, in the order of the bits."""
    return tuple(dict.fromkeys(f"{one.rule} by {one.exception}" for plan in plans for one in plan.silenced.values()))


def day_of(date: dt.date) -> int:
    """A date as days since 1970-01-01."""
    return (date - dt.date(1970, 1, 1)).days


# --- what is shared ----------------------------------------------------------------------------------------------------


_SAME = {
    "name": "its name",
    "key": "the key",
    "time": "the time",
    "zone": "the zone",
    "arrival": "the order of arrival",
    "late": "how late an event may come",
    "ahead": "how far ahead a time may lie",
    "revision": "the revision",
}


def shared_record(terms: Sequence[Term]) -> Record:
    """The newest record, with the fields that only others have. Raises `RegistryError` where an event would be read otherwise."""
    newest = terms[-1].plan.record
    fields = {field.name: field for field in newest.fields}
    for term in reversed(terms[:-1]):
        record = term.plan.record
        apart = [word for part, word in _SAME.items() if getattr(record, part) != getattr(newest, part)]
        apart += [f"the field `{one.name}`" for one in record.fields if _read(one) != _read(fields.setdefault(one.name, one))]
        if apart:
            raise RegistryError(
                f"`{term.name}` and `{terms[-1].name}` read events otherwise: of the record `{record.name}` {record.version} and "
                f"`{newest.name}` {newest.version} {', '.join(apart)} differ; load one of them by itself, or keep them in two folders"
            )
    return replace(newest, fields=tuple(fields.values()))


def _read(field: Field) -> Any:
    """What of a field says how it is read."""
    return field.type, field.not_negative, sorted(field.sources)


def shared_history(plans: Sequence[Plan]) -> dict[str, BoundFeatures]:
    """Every feature set that some plan has, by its fingerprint, once. Where several have one name, all of them bear their version too: what
    one is called must not hang on which is newest, because a store would no longer be the same."""
    found: dict[str, BoundFeatures] = {}
    for plan in plans:
        for group in plan.history:
            found[group.fingerprint] = group
    prefixes = [group.prefix for group in found.values()]
    return {print_: group if prefixes.count(group.prefix) == 1 else _named(group, print_) for print_, group in found.items()}


def _named(group: BoundFeatures, fingerprint: str) -> BoundFeatures:
    return replace(group, prefix=f"{group.prefix[:-1]}@{group.features.version}-{fingerprint[:8]}.")


def _with_columns(term: Term, history: Mapping[str, BoundFeatures], shared: frozenset[str]) -> Term:
    columns = {own: other for group in term.plan.history for own, other in zip(group.types, history[group.fingerprint].types, strict=True)}
    mine = {field.name for field in term.plan.record.fields} | {own for own, other in columns.items() if own == other}
    return replace(term, columns=columns, foreign=shared - mine)
