"""What a decision that was made straight is asked for later: its key and time, the names behind its bits, and the rows of both readings.

Rows that hold more than bits say come from the ordinary way, `run.event`, for the event as it was read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from engine.features.spec import unavailable
from engine.lang import ir
from engine.ledger.decision import Decision, Explainer, Silenced, Version, briefly, canonical
from engine.plan import DAY_OF_EVENT, NOW, Plan, Row
from engine.record import Border, Field, border
from engine.run.event import decide, key_of
from engine.run.unfolded import Unfolded
from engine.values import EPOCH, MISSING, Value, show

_T = TypeVar("_T")
_MICROSECOND: Final = dt.timedelta(microseconds=1)


@dataclass(slots=True)
class Later:
    """For one engine. `typed` are the fields that were read already; the others stand as they arrived."""

    plan: Plan
    rules: tuple[ir.Rule, ...]
    versions: tuple[Version, ...]
    drafts: tuple[Version, ...]
    explainer: Explainer
    lock: str | None
    typed: frozenset[str] = frozenset()
    unfolded: Unfolded | None = None
    edge: Border = field(init=False)
    names: tuple[str, ...] = field(init=False)
    flags: tuple[tuple[str, ...], ...] = field(init=False)
    quoted: tuple[str, ...] = field(init=False)
    quoted_flags: tuple[tuple[str, ...], ...] = field(init=False)
    places: dict[str, int] = field(init=False)
    key_at: int = field(init=False)
    """Where the key stands, if it is one text."""
    time_at: int = field(init=False)

    def __post_init__(self) -> None:
        self.edge = border(self.plan.record)
        # of each rule, in the order of the bits
        self.names, self.flags = tuple(self.plan.rules.values()), tuple(rule.flags for rule in self.rules)
        self.quoted = tuple(map(canonical, self.names))
        self.quoted_flags = tuple(tuple(map(canonical, some)) for some in self.flags)
        self.places = {one.name: place for place, one in enumerate(self.plan.record.fields)}
        self.time_at, key = self.places[self.plan.record.time], self.plan.record.key
        self.key_at = self.places[key[0]] if len(key) == 1 and self.plan.record.field(key[0]).type.kind == "text" else -1

    def later(self, decision: Decision, name: str) -> Any:
        """The slot `name` of a decision."""
        return _MADE[name](self, decision)

    def brief(self, decision: Decision) -> bytes:
        """What `Decision.brief` says, of what has been asked for yet or not."""
        given, hits, undecided = decision._given, decision._hits, decision._open
        if given.__class__ is dict:
            key, time = self.key(decision), self.time(decision)
        else:
            key, moment = given[self.key_at] if self.key_at >= 0 else self.key(decision), given[self.time_at]
            time = moment.isoformat()[:-6] + "Z" if moment.__class__ is dt.datetime else self.time(decision)
        flags = f"[{','.join(self._sorted(self.quoted_flags, hits))}]" if hits else "[]"
        return briefly(decision, flags, self._listed(hits), self._listed(undecided), key, time)

    def _listed(self, rules: int) -> str:
        return f"[{','.join(self._chosen(self.quoted, rules))}]" if rules else "[]"

    def rows(self, decision: Decision) -> Row:
        """The row of the first reading; that of the second is noted too."""
        base = self.given(decision)
        unfolded = self.unfolded
        closed, opened = decide(self.plan, base) if unfolded is None else unfolded.rows(base, decision._hits, decision._open)
        object.__setattr__(decision, "row", closed)
        object.__setattr__(decision, "open_row", opened)
        return closed

    def opened(self, decision: Decision) -> Row:
        """The row of the second reading."""
        self.rows(decision)
        found: Row = decision.open_row  # type: ignore[assignment]  # it was just made
        return found

    def given(self, decision: Decision) -> Row:
        """The typed row before any step."""
        if decision._given.__class__ is dict:
            row: Row = decision._given
            return row
        row = {}
        for one in self.edge.plain:
            row[one.name] = self.field(decision, one, MISSING if one.type.by is None else row[one.type.by])
        row[NOW] = row[self.plan.record.time]
        row[DAY_OF_EVENT] = self.edge.day(row[NOW])
        return row | unavailable(self.plan.history)

    def field(self, decision: Decision, one: Field, currency: Value = MISSING) -> Value:
        """The typed value of a field."""
        raw = decision._given[self.places[one.name]]
        if one.name == self.plan.record.time:
            return (raw - EPOCH) // _MICROSECOND if raw.__class__ is dt.datetime else raw
        if one.name in self.typed:
            return raw + 0.0 if raw.__class__ is float else raw
        return self.edge.value(one, [] if raw is None else [raw], currency)

    def key(self, decision: Decision) -> Any:
        given, record = decision._given, self.plan.record
        row = given if given.__class__ is dict else {name: given[self.places[name]] for name in record.key}
        return key_of(self.plan, row)

    def time(self, decision: Decision) -> str:
        given = decision._given
        moment = given[NOW] if given.__class__ is dict else given[self.places[self.plan.record.time]]
        if moment.__class__ is dt.datetime:
            return str(moment.isoformat()).replace("+00:00", "Z")
        return show(moment, self.plan.types[NOW])

    def hits_of(self, decision: Decision) -> tuple[str, ...]:
        return tuple(self._chosen(self.names, decision._hits))

    def undecided_of(self, decision: Decision) -> tuple[str, ...]:
        return tuple(self._chosen(self.names, decision._open))

    @staticmethod
    def _chosen(names: tuple[_T, ...], rules: int) -> list[_T]:
        found = []
        while rules:
            last = rules.bit_length() - 1
            found.append(names[last])
            rules ^= 1 << last
        return found[::-1]

    def flags_of(self, rules: int) -> tuple[str, ...]:
        return tuple(self._sorted(self.flags, rules))

    def _sorted(self, flags: tuple[tuple[str, ...], ...], rules: int) -> list[str]:
        found = self._chosen(flags, rules)
        return list(found[0]) if len(found) == 1 and len(found[0]) < 2 else sorted({flag for some in found for flag in some})

    def silenced(self, decision: Decision) -> tuple[Silenced, ...]:
        return tuple(Silenced(*one) for column, one in self.plan.silenced.items() if decision.row[column] is True)


_MADE: Final[dict[str, Callable[[Later, Decision], Any]]] = {
    "row": Later.rows,
    "open_row": Later.opened,
    "key": Later.key,
    "time": Later.time,
    "hits": Later.hits_of,
    "undecided": Later.undecided_of,
    "flags": lambda later, decision: later.flags_of(decision._hits),
    "silenced": Later.silenced,
    "held": lambda later, decision: (),
    "versions": lambda later, decision: later.versions,
    "drafts": lambda later, decision: later.drafts,
    "explainer": lambda later, decision: later.explainer,
    "outputs": lambda later, decision: later.plan.outputs,
    "lock": lambda later, decision: later.lock,
    "tick": lambda later, decision: None,
    "id": lambda later, decision: None,
    "revises": lambda later, decision: None,
}
