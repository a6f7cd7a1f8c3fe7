"""Decisions of a ledger that would come out otherwise with what history knows today, and deciding them again. It reads the ledger alone:
every event that was decided stands in it.

>>> from engine import Engine
>>> stale(Engine.load("cascades/audit.yaml"), "ledger.db").stale                    # doctest: +SKIP
()
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError, LedgerError
from engine.features.hindsight import Hindsight
from engine.features.store import complete_since, open_store
from engine.ledger.codec import encode_row
from engine.ledger.decision import CORRECTION, LATE_EVENTS, Decision, Revises
from engine.ledger.log import Entry, Ledger, check_cascade
from engine.plan import NOW, Row
from engine.values import MISSING, known, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.api import Engine
    from engine.values import Type, Value


@dataclass(frozen=True, slots=True)
class Change:
    """A feature that would be different."""

    feature: str
    was: Value
    now: Value
    type: Type

    def __str__(self) -> str:
        return f"{self.feature}: {show(self.was, self.type)} -> {show(self.now, self.type)}"


@dataclass(frozen=True, slots=True)
class Cause:
    """An event that changed the history of an earlier decision: its entry, its key, and whether it was late or a correction."""

    seq: int
    key: Any
    why: str

    def __str__(self) -> str:
        return f"{'corrected' if self.why == CORRECTION else 'late'} event {shown_key(self.key)} (entry {self.seq})"


@dataclass(frozen=True, slots=True)
class StaleDecision:
    """A recorded decision whose features would be different today, and which events did it. `row` has them as they would be."""

    entry: Entry
    changes: tuple[Change, ...]
    causes: tuple[Cause, ...]
    row: Row = field(repr=False)
    version: str = ""

    @property
    def why(self) -> str:
        """What a decision taken again says of its reason: that of the first event that did it."""
        return self.causes[0].why if self.causes else LATE_EVENTS

    def to_dict(self) -> dict[str, Any]:
        return {
            "seq": self.entry.seq,
            "id": self.entry.id,
            "key": self.entry.key,
            "changes": [{"feature": one.feature, "was": show(one.was, one.type), "now": show(one.now, one.type)} for one in self.changes],
            "because": [{"seq": one.seq, "key": one.key, "why": one.why} for one in self.causes],
        }


@dataclass(frozen=True, slots=True)
class Found:
    """`count` decisions were looked at, those that hold. `stale` are those that would see another history today; `unexplained` are entries
    whose features do not follow from the ledger: their history came from elsewhere, or began at another time."""

    count: int
    stale: tuple[StaleDecision, ...]
    unexplained: tuple[int, ...]


def stale(engine: Engine, path: str | Path, *, history_from: str | None = None) -> Found:
    """The decisions of a cascade that events which came after them would change. `history_from` is what it was when they were decided.

    Only the last decision on an event is looked at. Raises `LedgerError` for a file that is no ledger, `InputError` for one of
    other cascades.
    """
    if engine.following is not None:
        raise InputError("a ledger is looked through for one version of a cascade at a time: load one of the locks, and not their folder")
    with Ledger.read(Path(path)) as ledger:
        told = _Told(engine, ledger, history_from)
        return told.found()


def decide_again(engine: Engine, found: Found) -> list[Decision]:
    """Decide stale decisions again, with today's history, into the engine's ledger, each marked as the revision of the entry it replaces.

    What another version of the cascade decided is left alone. Raises `InputError` where that is all of it, `LedgerError` for an engine
    without a ledger.
    """
    if engine.ledger is None:
        raise LedgerError("deciding again needs the ledger: load the engine with it")
    loaded = version(engine.versions)
    mine = [one for one in found.stale if one.version == loaded]
    if found.stale and not mine:
        other = found.stale[0]
        raise InputError(f"entry {other.entry.seq} was decided by {other.version}, loaded is {loaded}: load the version that decided it")
    again = []
    for one in mine:
        decision = engine.decide_row(one.row)
        revises = Revises(one.entry.seq, one.entry.id, one.why)
        again.append((one.entry.event, decision.noted(revises=revises), engine.calls(decision)))
    return engine.ledger.append_all(again)


def version(versions: Sequence[tuple[str, str, str, str]]) -> str:
    """The cascade among these components, and a hash over all of them, which tells one from another."""
    name = next((f"{name}@{number}" for kind, name, number, _ in versions if kind == "cascade"), "no cascade")
    return f"{name} ({hashlib.sha256(repr(sorted(map(tuple, versions))).encode()).hexdigest()[:12]})"


def shown_key(key: Any) -> str:
    """A key as people write it."""
    return ", ".join(map(str, key)) if isinstance(key, list | tuple) else str(key)


@dataclass(slots=True)
class _Holds:
    """The decision on an event that holds: of which arrival, at which entry, and how many had arrived then."""

    arrival: int
    seq: int
    after: int
    explained: bool


class _Told:
    """The events of one cascade in a ledger, told in their order."""

    def __init__(self, engine: Engine, ledger: Ledger, history_from: str | None) -> None:
        self.engine, self.ledger = engine, ledger
        self.record = engine.record
        self.types = {column: type_ for group in engine.plan.history for column, type_ in group.types.items()}
        self.hindsight = Hindsight(engine.plan.history, engine.record)
        self.since = complete_since(history_from, engine.record)
        self.seqs: list[int] = []
        self.holds: dict[tuple[Value, ...], _Holds] = {}
        self._settings: dict[str, tuple[tuple[str, str, str, str], ...]] = {}
        self._tell()

    def _tell(self) -> None:
        store = None
        for entry in self.ledger.entries():
            row = self._row(entry)
            if row is None:
                continue
            if store is None:
                self.since = row[NOW] if self.since is None else self.since
                store = open_store("memory:", self.engine.plan.history, self.record, self.since)
            key = tuple(row[name] for name in self.record.key)
            holds = self.holds.get(key)
            if holds is not None and entry.revises is not None and not self._is_newer(row, holds):
                self.holds[key] = _Holds(holds.arrival, entry.seq, len(self.seqs) - 1, explained=True)
            elif holds is None or self._is_newer(row, holds):
                explained = self._same(store.observe(row), entry.base)
                self.seqs.append(entry.seq)
                arrival = self.hindsight.arrive(row)
                self.holds[key] = _Holds(arrival, entry.seq, arrival, explained)
        check_cascade(self._name(self.engine.versions), {self._name(versions) for versions in self._settings.values()})

    def _row(self, entry: Entry) -> Row | None:
        """The typed event of an entry, if this cascade decided it and it was one."""
        if self._cascade(entry.setting) != self._name(self.engine.versions) or entry.is_tick:
            return None
        row = {one.name: entry.base.get(one.name, MISSING) for one in self.record.fields}
        needed = (*self.record.key, self.record.time, *(() if self.record.revision is None else (self.record.revision,)))
        return {**entry.base, **row, NOW: row[self.record.time]} if all(known(row[name]) for name in needed) else None

    def _is_newer(self, row: Row, holds: _Holds) -> bool:
        name = self.record.revision
        return name is not None and bool(row[name] > self.ledger.entry(self.seqs[holds.arrival]).base[name])

    def _versions(self, setting: str) -> tuple[tuple[str, str, str, str], ...]:
        if setting not in self._settings:
            self._settings[setting] = self.ledger.setting(setting).versions
        return self._settings[setting]

    def _cascade(self, setting: str) -> str:
        return self._name(self._versions(setting))

    @staticmethod
    def _name(versions: Sequence[tuple[str, str, str, str]]) -> str:
        return next((name for kind, name, _, _ in versions if kind == "cascade"), "")

    def _same(self, one: Row, other: Row) -> bool:
        return all(column in other and _bits(one[column]) == _bits(other[column]) for column in self.types)

    def _arrived(self, arrival: int) -> Row:
        row = self._row(self.ledger.entry(self.seqs[arrival]))
        assert row is not None
        return row

    def found(self) -> Found:
        if self.since is None:
            return Found(0, (), ())
        holding = {one.arrival: one for one in self.holds.values()}
        changed: dict[int, tuple[Entry, Row]] = {}
        for arrival, answer in self.hindsight.say(self._arrived, self.since):
            entry = self.ledger.entry(holding[arrival].seq)
            if holding[arrival].explained and not self._same(answer, entry.base):
                changed[arrival] = entry, answer
        columns = {arrival: (holding[arrival].after, [one.feature for one in self._changes(*pair)]) for arrival, pair in changed.items()}
        causes = self.hindsight.causes(columns, self._arrived) if columns else {}
        made = [self._stale(*changed[arrival], causes[arrival]) for arrival in changed]
        unexplained = tuple(sorted(one.seq for one in self.holds.values() if not one.explained))
        return Found(len(self.holds), tuple(sorted(made, key=lambda one: one.entry.seq)), unexplained)

    def _changes(self, entry: Entry, answer: Row) -> list[Change]:
        return [
            Change(column, entry.base[column], answer[column], type_)
            for column, type_ in self.types.items()
            if _bits(entry.base[column]) != _bits(answer[column])
        ]

    def _stale(self, entry: Entry, answer: Row, causes: list[int]) -> StaleDecision:
        found = [self.ledger.entry(self.seqs[arrival]) for arrival in causes]
        because = tuple(Cause(one.seq, one.key, LATE_EVENTS if one.revises is None else CORRECTION) for one in found)
        return StaleDecision(
            entry, tuple(self._changes(entry, answer)), because, {**entry.base, **answer}, version(self._versions(entry.setting))
        )


def _bits(value: Value) -> str:
    """What tells 1 from 1.0, and one cause from another."""
    return repr(encode_row({"": value}))
