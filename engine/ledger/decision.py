"""A decision: what came out, what could have, and what was lacking. Plain data; texts are made when asked for.

It must not know how it was computed: reasons and explanations come from the `Explainer` it carries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Any, Final, Protocol

from engine.values import Type, Value, plain

Version = tuple[str, str, str, str]
"""A component that took part: its kind, name, version and hash."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one rule was hit: its id, step, component version, citations, and its text with the values read."""

    rule: str
    step: str
    component: str
    cites: tuple[str, ...]
    severity: str | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "step": self.step,
            "component": self.component,
            "cites": list(self.cites),
            "severity": self.severity,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Revises:
    """The earlier entry of a ledger whose place a decision takes: its `seq` and `id`, and `why`, which is one of the two below."""

    seq: int
    id: str
    why: str

    def __str__(self) -> str:
        return f"revises entry {self.seq} ({self.id}): {self.why}"

    def to_dict(self) -> dict[str, Any]:
        return {"seq": self.seq, "id": self.id, "why": self.why}


CORRECTION: Final = "correction"
"""The event came again with a higher revision, or one in its history did."""
LATE_EVENTS: Final = "late events"
"""Events entered its history that were not there when it was decided."""


@dataclass(frozen=True, slots=True)
class Silenced:
    """A hit that an exception silenced: of which rule, which exception, who approved it, its last day, and its grounds."""

    rule: str
    exception: str
    approved: str
    until: str
    because: str

    def __str__(self) -> str:
        return f"{self.rule} by {self.exception}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "exception": self.exception,
            "approved_by": self.approved,
            "until": self.until,
            "because": self.because,
        }


class Explainer(Protocol):
    """What makes texts from a decision's recorded rows."""

    def reasons(self, decision: Decision) -> tuple[Reason, ...]: ...
    def missing(self, decision: Decision) -> dict[str, str]: ...
    def settled_by(self, decision: Decision) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]: ...
    def explain(self, decision: Decision) -> str: ...


class Maker(Protocol):
    """What gives, when it is asked for, what a decision does not hold yet."""

    def later(self, decision: Decision, name: str) -> Any: ...
    def brief(self, decision: Decision) -> bytes: ...


class Quick:
    """A decision while it is being made: the function that makes it fills the slots it knows, then says that it is a `Decision`. What is
    left is made when it is asked for, by `_maker` from `_hits`, `_open` (bits of rules) and `_given` (what was read of the event)."""

    __slots__ = (
        "_given", "_hits", "_maker", "_open", "drafts", "explainer", "flags", "held", "hits", "id", "key", "lock", "open_row", "outcome",
        "outputs", "possible", "revises", "row", "score", "score_range", "silenced", "tick", "time", "undecided", "versions",
    )  # fmt: skip
    _given: Any
    _hits: int
    _maker: Maker | None
    _open: int
    key: Any
    time: str
    outcome: str
    possible: tuple[str, ...]
    score: int
    score_range: tuple[int, int]
    flags: tuple[str, ...]
    hits: tuple[str, ...]
    undecided: tuple[str, ...]
    versions: tuple[Version, ...]
    row: Mapping[str, Value]
    open_row: Mapping[str, Value]
    outputs: Mapping[str, Type]
    explainer: Explainer
    tick: Mapping[str, Any] | None
    lock: str | None
    id: str | None
    revises: Revises | None
    held: tuple[str, ...]
    silenced: tuple[Silenced, ...]
    drafts: tuple[Version, ...]


class Decision(Quick):
    """One decision.

    `key` is the record's key (a tuple when it has several fields), `time` the event's ISO time. A `tick` has no key: it is the fields whose
    history was looked at. `score` and `score_range` are those of the deciding step: what the points of its rules that hit come to, after
    policies, and the lowest and highest they can come to before them. `hits` are rules hit after policies, `undecided` those that could not
    be judged before them, `held` those whose hit `once` holds back, `silenced` the hits that exceptions took away.
    `row` holds every column of the first reading, `open_row` of the second (the same when no policy changed anything); `outputs` gives the
    columns of `values` their types. `revises` says which recorded decision this one takes the place of, if it does. `drafts` are those of
    `versions` that stood in a working tree and were not published when they were loaded.
    """

    __slots__ = ()

    def __init__(
        self,
        key: Any,
        time: str,
        outcome: str,
        possible: tuple[str, ...],
        score: int,
        score_range: tuple[int, int],
        flags: tuple[str, ...],
        hits: tuple[str, ...],
        undecided: tuple[str, ...],
        versions: tuple[Version, ...],
        row: Mapping[str, Value],
        open_row: Mapping[str, Value],
        outputs: Mapping[str, Type],
        explainer: Explainer,
        tick: Mapping[str, Any] | None = None,
        lock: str | None = None,
        id: str | None = None,
        revises: Revises | None = None,
        held: tuple[str, ...] = (),
        silenced: tuple[Silenced, ...] = (),
        drafts: tuple[Version, ...] = (),
    ) -> None:
        for name, value in (locals() | {"_maker": None}).items():
            if name != "self":
                object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a decision is what it is: `{name}` cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a decision is what it is: `{name}` cannot be taken away")

    def __getattr__(self, name: str) -> Any:
        # only slots that nobody has filled come here
        if name not in Quick.__slots__ or name == "_maker" or self._maker is None:
            raise AttributeError(f"a decision has no `{name}`")
        value = self._maker.later(self, name)
        object.__setattr__(self, name, value)
        return value

    def noted(self, **parts: Any) -> Decision:
        """The same decision, of which the ledger notes its `id`, or what it `revises`."""
        filled: dict[str, Any] = {name: getattr(self, name) for name in Quick.__slots__ if name[0] != "_"}
        return Decision(**(filled | parts))

    def __repr__(self) -> str:
        return f"Decision(key={self.key!r}, time={self.time!r}, outcome={self.outcome!r}, score={self.score!r}, hits={self.hits!r})"

    @property
    def robust(self) -> bool:
        """Whether no completion of what is missing could change the outcome."""
        return len(self.possible) == 1

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """A reason for every rule that was hit, in the order of `hits`."""
        return self.explainer.reasons(self)

    @property
    def missing(self) -> dict[str, str]:
        """What undecided rules lacked: field or feature -> cause."""
        return self.explainer.missing(self)

    @property
    def settled_by(self) -> tuple[str, ...]:
        """The missing fields that could still move the answer, as one set, sorted; nothing when the decision is robust."""
        return self.explainer.settled_by(self)[0]

    @property
    def unsettled(self) -> tuple[tuple[str, str], ...]:
        """What leaves the answer open and no input can cure: (name, cause), like a division by zero or a short history."""
        return self.explainer.settled_by(self)[1]

    @property
    def values(self) -> dict[str, Any]:
        """Every step's outputs in JSON's types, by ``STEP.NAME``."""
        return {name: plain(self.row[name], type_) for name, type_ in sorted(self.outputs.items())}

    def explain(self) -> str:
        """The whole decision in words: the outcome, every rule hit or not and why, and what was lacking."""
        text = self.explainer.explain(self)
        return text if self.revises is None else f"{self.revises}\n{text}"

    def to_dict(self) -> dict[str, Any]:
        """The decision as `grammar/decision.schema.json` describes it."""
        return {
            "key": list(self.key) if isinstance(self.key, tuple) else self.key,
            **({} if self.tick is None else {"tick": dict(self.tick)}),
            "time": self.time,
            "outcome": self.outcome,
            "possible": list(self.possible),
            "robust": self.robust,
            "score": self.score,
            "score_range": list(self.score_range),
            "flags": list(self.flags),
            "hits": list(self.hits),
            "undecided": list(self.undecided),
            **({"held": list(self.held)} if self.held else {}),
            **({"silenced": [one.to_dict() for one in self.silenced]} if self.silenced else {}),
            "reasons": [reason.to_dict() for reason in self.reasons],
            "missing": self.missing,
            "values": self.values,
            "versions": [self._component(version) for version in self.versions],
            "lock": self.lock,
            "id": self.id,
            **({} if self.revises is None else {"revises": self.revises.to_dict()}),
        }

    def _component(self, version: Version) -> dict[str, Any]:
        said: dict[str, Any] = dict(zip(("kind", "name", "version", "hash"), version, strict=True))
        return said | {"draft": True} if version in self.drafts else said

    def to_json(self) -> str:
        """`to_dict` as canonical JSON: sorted keys, no spaces, UTF-8 text as it is."""
        return canonical(self.to_dict())

    def brief(self) -> bytes:
        """What was decided, without reasons, causes, values and versions, as canonical JSON in UTF-8: the answer for who asked."""
        if self._maker is not None:
            return self._maker.brief(self)
        return briefly(self, canonical(self.flags), canonical(self.hits), canonical(self.undecided), self.key, self.time)

    def body(self) -> str:
        """The part that a replay must give again byte for byte: everything but `id`."""
        return canonical({name: value for name, value in self.to_dict().items() if name != "id"})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decision) and self.body() == other.body()

    def __hash__(self) -> int:
        return hash((self.time, self.outcome, self.hits))


def briefly(decision: Quick, flags: str, hits: str, undecided: str, key: Any, time: str) -> bytes:
    """`Decision.brief` from its parts, of which the first three are JSON already."""
    low, high = decision.score_range
    return (
        f'{{"flags":{flags},"hits":{hits},"key":{_quoted(key) if key.__class__ is str else canonical(key)},'
        f'{_said(decision.outcome, decision.possible)},"score":{decision.score},"score_range":[{low},{high}],"time":"{time}",'
        f'"undecided":{undecided}}}'
    ).encode()


@lru_cache(maxsize=4_096)
def _said(outcome: str, possible: tuple[str, ...]) -> str:
    """There are few outcomes, and few ways in which they stay open."""
    return canonical({"outcome": outcome, "possible": possible, "robust": len(possible) == 1})[1:-1]


def canonical(data: Any) -> str:
    """Canonical JSON of plain data.

    >>> canonical({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return _CANONICAL(data)


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
