"""What a decision that was made straight is asked for later: its key and time, the names behind its bits, and the rows of both readings.

The rows come from the ordinary way, `run.event`, for the event as it was read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from engine.features.spec import unavailable
from engine.lang import ir
from engine.lang.axes import bits
from engine.ledger.decision import Decision, Explainer, Silenced, Version
from engine.plan import DAY_OF_EVENT, NOW, Plan, Row
from engine.record import border
from engine.run.event import decide, key_of
from engine.values import EPOCH, MISSING, show

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
    flags: tuple[tuple[str, ...], ...] = field(init=False)
    _names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        # of each rule, in the order of the bits
        self._names, self.flags = tuple(self.plan.rules.values()), tuple(rule.flags for rule in self.rules)

    def later(self, decision: Decision, name: str) -> Any:
        """The slot `name` of a decision."""
        return _MADE[name](self, decision)

    def rows(self, decision: Decision) -> Row:
        """The row of the first reading; that of the second is noted too."""
        closed, opened = decide(self.plan, self.given(decision))
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
            return decision._given
        record, edge = self.plan.record, border(self.plan.record)
        arrived = dict(zip((field.name for field in record.fields), decision._given, strict=True))
        row: Row = {}
        for one in edge.plain:
            raw = arrived[one.name]
            if one.name == record.time:
                row[one.name] = (raw - EPOCH) // _MICROSECOND if raw.__class__ is dt.datetime else raw
            elif one.name in self.typed:
                row[one.name] = raw + 0.0 if raw.__class__ is float else raw
            else:
                row[one.name] = edge.value(one, [] if raw is None else [raw], MISSING if one.type.by is None else row[one.type.by])
        row[NOW] = row[record.time]
        row[DAY_OF_EVENT] = edge.day(row[NOW])
        return row | unavailable(self.plan.history)

    def names(self, rules: int) -> tuple[str, ...]:
        return tuple(self._names[place] for place in bits(rules))

    def flags_of(self, rules: int) -> tuple[str, ...]:
        return tuple(sorted({flag for place in bits(rules) for flag in self.flags[place]}))

    def key(self, decision: Decision) -> Any:
        return key_of(self.plan, self.given(decision))

    def time(self, decision: Decision) -> str:
        return show(self.given(decision)[NOW], self.plan.types[NOW])

    def silenced(self, decision: Decision) -> tuple[Silenced, ...]:
        return tuple(Silenced(*one) for column, one in self.plan.silenced.items() if decision.row[column] is True)


_MADE: Final[dict[str, Callable[[Later, Decision], Any]]] = {
    "row": Later.rows,
    "open_row": Later.opened,
    "key": Later.key,
    "time": Later.time,
    "hits": lambda later, decision: later.names(decision._hits),
    "undecided": lambda later, decision: later.names(decision._open),
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
