"""Replay: every decision of a ledger given again from the ledger alone, and compared byte for byte.

Components are those that were recorded, models answer what they answered then; it reads no workspace and opens no model.
The function is `engine.replay`; the module has another name so that the two do not shadow each other.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from engine.cascade.steps import GateStep, NestedStep
from engine.errors import EngineError, LedgerError, ModelError
from engine.ledger.decision import Decision
from engine.ledger.log import Call, Entry, Ledger, Setting
from engine.loaded import Loaded, load
from engine.models.step import ModelStep
from engine.plan import Step
from engine.registry.store import Workspace
from engine.values import Missing

if TYPE_CHECKING:
    from engine.models.adapter import Matrix
    from engine.models.package import Model


_FAILED: Final = ("$", "a decision")
"""Where, and what was recorded, of a decision that cannot be given again at all."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that came out otherwise: the first field that differs (`path`), as `recorded` and as it is `now`, in JSON's types."""

    seq: int
    id: str
    path: str
    recorded: Any
    now: Any

    def __str__(self) -> str:
        if (self.path, self.recorded) == _FAILED:
            return f"entry {self.seq} ({self.id}) cannot be given again: {self.now}"
        return f"entry {self.seq} ({self.id}): {self.path} was {_short(self.recorded)}, is {_short(self.now)}"

    def to_dict(self) -> dict[str, Any]:
        return {"seq": self.seq, "id": self.id, "path": self.path, "recorded": self.recorded, "now": self.now}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found: `count` entries, `same` given again byte for byte, the `differences`, and where the chain was `altered`."""

    count: int
    same: int
    differences: tuple[Difference, ...]
    altered: tuple[str, ...]

    @property
    def fine(self) -> bool:
        """Whether every decision came out the same and the chain holds."""
        return self.same == self.count and not self.altered


def replay(path: str | Path) -> Replayed:
    """Give every decision of a ledger again.

    Raises `LedgerError` for a file that is no ledger. An entry that was altered, or whose components no longer load, is a finding and
    no exception.

    >>> replay("out/ledger.db")                                                      # doctest: +SKIP
    Replayed(count=300, same=300, differences=(), altered=())
    """
    with Ledger.read(Path(path)) as ledger:
        altered = tuple(ledger.problems())
        count, differences = 0, []
        players: dict[str, _Player] = {}
        try:
            for entry in ledger.entries():
                count += 1
                if entry.setting not in players:
                    players[entry.setting] = _Player(ledger, entry.setting)
                found = players[entry.setting].play(entry) or _misplaced(ledger, entry)
                if found is not None:
                    differences.append(found)
        finally:
            for player in players.values():
                player.close()
    return Replayed(count, count - len(differences), tuple(differences), altered)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One entry given again: the `decision` (none where that fails), its `difference` from the record, the event as it arrived."""

    seq: int
    id: str
    event: str
    decision: Decision | None
    difference: Difference | None


def recorded(path: str | Path, name: str) -> tuple[tuple[Recorded, ...], tuple[str, ...]]:
    """The decisions of a ledger whose key or id is `name`, given again so that they can be explained; and where the chain was altered.

    Raises `LedgerError` for a file that is no ledger.
    """
    found: list[Recorded] = []
    with Ledger.read(Path(path)) as ledger:
        altered = tuple(ledger.problems())
        players: dict[str, _Player] = {}
        try:
            for entry in ledger.entries():
                if name not in (entry.id, _key(entry)):
                    continue
                if entry.setting not in players:
                    players[entry.setting] = _Player(ledger, entry.setting)
                found.append(Recorded(entry.seq, entry.id, entry.event, *players[entry.setting].decide(entry)))
        finally:
            for player in players.values():
                player.close()
    return tuple(found), altered


def _key(entry: Entry) -> str | None:
    """The key of a recorded decision as people write it; its parts with `, ` between."""
    try:
        key = json.loads(entry.body)["key"]
    except (ValueError, KeyError, TypeError):
        return None
    return ", ".join(map(str, key)) if isinstance(key, list) else str(key)


class _Player:
    """One setting of a ledger, its files laid out in a folder of their own and loaded once."""

    def __init__(self, ledger: Ledger, setting: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kaskade-replay-")
        self.loaded: Loaded | None = None
        self.failure = ""
        self.recalls: dict[str, Recall] = {}
        try:
            self.loaded = self._load(ledger.setting(setting), Path(self._folder.name).resolve())
        except EngineError as error:
            self.failure = str(error)

    def _load(self, setting: Setting, folder: Path) -> Loaded:
        lay_out(setting, folder)
        workspace = Workspace(folder)
        linked, components = load(folder / setting.cascade, workspace, models=False)
        if linked is None:
            raise LedgerError("its components no longer load: " + components.rendered().splitlines()[0])
        for step in model_steps((*linked.plan.closed, *linked.plan.open)):
            name = f"{step.model.name}@{step.model.version}"
            step.model = replace(step.model, scorer=self.recalls.setdefault(name, Recall(step.model)))
        return Loaded(linked, workspace, folder / setting.cascade, seal=setting.lock, drafts=setting.drafts)

    def play(self, entry: Entry) -> Difference | None:
        """Decide an entry again; its difference, if it has one."""
        return self.decide(entry)[1]

    def decide(self, entry: Entry) -> tuple[Decision | None, Difference | None]:
        """The decision of an entry given again, if it can be, and its difference from what was recorded, if it has one."""
        if self.loaded is None:
            return None, Difference(entry.seq, entry.id, *_FAILED, self.failure)
        for name, recall in self.recalls.items():
            recall.learn(call for call in entry.calls if call.model == name)
        try:
            decision = self.loaded.decide_row(entry.base).noted(id=entry.id, revises=entry.revises)
            body = decision.body()
        except (EngineError, KeyError) as error:
            return None, Difference(entry.seq, entry.id, *_FAILED, str(error))
        return decision, None if body == entry.body else _difference(entry, body)

    def close(self) -> None:
        self._folder.cleanup()


@dataclass(slots=True)
class Recall:
    """Answers for a model with what it answered when the decision was recorded, bit for bit."""

    model: Model
    answers: dict[bytes, tuple[float, ...]] = field(default_factory=dict)

    def learn(self, calls: Iterable[Call]) -> None:
        """Know these calls and no others."""
        self.answers = {}
        for call in calls:
            pairs = zip(self.model.encoders, self.model.inputs, strict=True)
            values = [encode(call.inputs[declared.name]) for encode, declared in pairs]
            self.answers[_bits(values)] = tuple(_score(call.outputs[output.name]) for output in self.model.outputs)

    def one(self, values: Sequence[float]) -> Sequence[float]:
        answer = self.answers.get(_bits(values))
        if answer is None:
            raise ModelError(f"the record holds no answer of `{self.model.name}` to what it is asked now")
        return answer

    def many(self, matrix: Matrix) -> Matrix:
        raise ModelError("a replay decides one event after another")

    def contributions(self, values: Sequence[float]) -> Sequence[float]:
        return ()


def _bits(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def _score(value: Any) -> float:
    # an output that was not finite was recorded as missing, and is to come out so again
    return float("inf") if value.__class__ is Missing else float(value)


def model_steps(steps: Iterable[Step]) -> Iterator[ModelStep]:
    """The model steps among `steps`, behind gates and in nested cascades too."""
    for step in steps:
        if isinstance(step, GateStep):
            yield from model_steps([step.inner])
        elif isinstance(step, NestedStep):
            yield from model_steps((*step.plan.closed, *step.plan.open))
        elif isinstance(step, ModelStep):
            yield step


def lay_out(setting: Setting, folder: Path) -> None:
    """Write a setting's files under `folder`. Raises `LedgerError` for a file that would stand outside of it."""
    for label, data in setting.files.items():
        place = PurePosixPath(label)
        if place.is_absolute() or not (folder / place).resolve().is_relative_to(folder):
            raise LedgerError(f"the recorded file `{label}` leads out of its workspace")
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _difference(entry: Entry, body: str) -> Difference:
    try:
        recorded = json.loads(entry.body)
    except ValueError:
        recorded = entry.body
    path, before, now = first_difference(recorded, json.loads(body))
    return Difference(entry.seq, entry.id, path, before, now)


def _misplaced(ledger: Ledger, entry: Entry) -> Difference | None:
    """What is wrong with the entry whose place this one says it takes."""
    revises = entry.revises
    if revises is None or (revises.seq < entry.seq and ledger.id_of(revises.seq) == revises.id):
        return None
    return Difference(entry.seq, entry.id, "revises", revises.to_dict(), "no earlier entry")


def first_difference(recorded: Any, now: Any, path: str = "") -> tuple[str, Any, Any]:
    """Where two JSON values first differ, and what stands there.

    >>> first_difference({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1, 3]}})
    ('b.c.1', 2, 3)
    """
    if isinstance(recorded, dict) and isinstance(now, dict):
        pairs = [(name, recorded.get(name, "nothing"), now.get(name, "nothing")) for name in sorted({*recorded, *now})]
    elif isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        pairs = [(str(place), *both) for place, both in enumerate(zip(recorded, now, strict=True))]
    else:
        return path or "$", recorded, now
    for name, before, after in pairs:
        if before != after or type(before) is not type(after):
            return first_difference(before, after, f"{path}.{name}" if path else name)
    return path or "$", "the same in other bytes", "the same in other bytes"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:199] + "…"
