"""The facade: load a cascade, decide one event or many, explain. It wires the layers together and adds no meaning of its own.

Loading is done once; an engine holds no state of any event and may be shared by threads. History lives in a store that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.backends.single import source
from engine.errors import InputError
from engine.features.holder import LiveHolder
from engine.features.passed import Passing
from engine.features.single import HistoryStep
from engine.features.store import Store, open_store
from engine.ledger.decision import Decision
from engine.ledger.log import Ledger
from engine.loaded import Loaded, of_bundle, of_lock, of_tree
from engine.record import Record, decode_event, read_event
from engine.registry import bundle as bundles
from engine.registry import lock as locks
from engine.registry.places import folder, place
from engine.run.event import tick_event
from engine.run.later import Later
from engine.run.moments import tick_row
from engine.run.straight import Decider, of_events, of_rows, one_step

if TYPE_CHECKING:
    from engine.backends.holding import Holder
    from engine.backends.rules import RuleStep
    from engine.plan import Row


class Engine:
    """A loaded cascade.

    Make one with `Engine.load`. `diagnostics` holds the warnings of loading; `versions` the components as (kind, name, version, hash), and
    `drafts` those of them that stand in a working tree and are not published.
    """

    def __init__(self, loaded: Loaded, ledger: Ledger | None = None) -> None:
        self.loaded = loaded
        self.linked, self.plan, self.workspace, self.path = loaded.linked, loaded.plan, loaded.workspace, loaded.path
        self.lock: str | None = loaded.seal
        """The seal of the lock it was loaded by; none where it was loaded from a working tree."""
        self.diagnostics = loaded.diagnostics
        self.versions, self.drafts = loaded.versions, loaded.drafts
        self.ledger = ledger
        self._history = HistoryStep(self.plan.history, self.record)
        self._passing = Passing(self.record)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        ledger: str | Path | None = None,
        allow_types: Iterable[str] = (),
        registry: str | Path | None = None,
        trust: str | Path | None = None,
    ) -> Engine:
        """Load the cascade at `path`, from its working tree; or by a lock, ``screening.lock``, exactly what that holds from a registry; or
        from a bundle, ``screening.bundle``, once it is verified by the public key in the file `trust`.

        The workspace is found from the path; `registry` is the folder of an OCI layout, by default ``registry`` in the workspace,
        or a place on a server, ``registry.bank.example/rules``, from which what the lock holds is fetched once.
        `ledger` is a SQLite file that keeps every decision. `allow_types` are the types model archives may hold, besides those in the
        workspace's ``deployment.yaml``. Raises `SourceError` with every diagnostic of every file, `LedgerError`, and `RegistryError` for
        what a lock holds that is missing or was altered.

        >>> engine = Engine.load("examples/purchase_cards/cascades/audit.yaml")
        >>> engine.plan.decision
        'verdict'
        """
        path, there = Path(path), None if registry is None else place(registry)
        if path.suffix == bundles.SUFFIX:
            loaded = of_bundle(path, allow_types, None if trust is None else Path(trust))
        elif path.suffix == locks.SUFFIX:
            loaded = of_lock(locks.Lock.read(path), path, allow_types, there)
        else:
            loaded = of_tree(path, allow_types, None if there is None else folder(there))
        engine = cls(loaded)
        if ledger is not None:
            engine.ledger = Ledger.open(Path(ledger), loaded.setting(), engine.record.revision)
        return engine

    @property
    def record(self) -> Record:
        """The record the cascade decides on."""
        return self.plan.record

    def open_store(self, url: str = "memory:", *, history_from: str | None = None, afresh: bool = False) -> Store:
        """Live history for `decide`: ``memory:``, ``sqlite:PATH``, ``redis://...`` or ``postgresql://...``; a context manager.

        `history_from` is the ISO time from which the history is complete, by default the first event's. With `afresh` it is built anew,
        and takes the place of what is there when it is closed without an error. Raises `StoreError`.
        """
        return open_store(url, self.plan.history, self.record, history_from=history_from, afresh=afresh)

    def remember(self, row: Row, store: Store) -> None:
        """Let a typed event of the past enter history, as `decide` would have. Where rules say `once` it is decided too, so that the store
        knows which hits were let through. Raises as `Store.observe` does."""
        row = {**row, **store.observe(row)}
        if self.plan.held:
            self.decide_row(row, LiveHolder(store, self._passing, row, True))

    def decide(self, event: Mapping[str, Any] | str | bytes, *, store: Store | None = None, record: bool = True) -> Decision:
        """Decide one event, a mapping or the text of a JSON object.

        With a `store` the event's history is read and, unless `record` is false, the event is added to it; without one all history is
        missing, cause `unavailable`, as it is while the store is down. With a ledger the decision is kept, unless `record` is false. Raises
        `InputError` for an event without key or time, or whose key has come before with other content.
        """
        given = event if event.__class__ is dict else decode_event(event) if isinstance(event, str | bytes) else event
        decision = self._straight(given) if store is None else self._lived(given, store, record)
        if self.ledger is not None and record:
            return self.ledger.append(event, decision, self.loaded.calls(decision))
        return decision

    def _lived(self, event: Mapping[str, Any], store: Store, record: bool) -> Decision:
        """Decides an event with its history."""
        row = read_event(self.record, event)
        row.update(self._history.bind(store, record).one(row))
        holder = self._holder(store, row, record)
        return self._straight_row(row) if holder is None else self.decide_row(row, holder)

    @cached_property
    def _straight(self) -> Decider:
        """Decides an event without history."""
        step = one_step(self.plan)
        return self._ordinary if step is None else of_events(self.plan, step, self._later(step), self._ordinary)

    @cached_property
    def _straight_row(self) -> Callable[[Row], Decision]:
        """Decides a typed row that holds its history."""
        step = one_step(self.plan)
        return self.decide_row if step is None else of_rows(self.plan, step, self._later(step))

    def _later(self, step: RuleStep) -> Later:
        loaded = self.loaded
        return Later(self.plan, step.rules.rules, loaded.versions, loaded.drafts, loaded.explainer, loaded.seal)

    def _ordinary(self, event: Mapping[str, Any]) -> Decision:
        """Decides any event without history."""
        row = read_event(self.record, event)
        row.update(self._history.one(row))
        return self.decide_row(row)

    def tick(self, keys: Mapping[str, Any], at: Any, *, store: Store | None = None, record: bool = True) -> Decision:
        """Decide about a key at a moment, without an event: no event may be what is to be noticed.

        `keys` are the fields of the key of some feature, `at` the time, as an event would give it. What had happened before is seen, and
        nothing is remembered, but for hits that `once` lets through; with a ledger the decision is kept, unless `record` is false. It has
        no `key`, and says in `tick` what it looked at. Raises `InputError` for fields that are no feature's key, or cannot be read.
        """
        row = tick_row(self.plan, keys, at)
        row.update(self._history.bind(store, False).one(row))
        decision = self.decide_row(row, self._holder(store, row, record))
        if self.ledger is not None and record:
            return self.ledger.append(tick_event(decision), decision, self.loaded.calls(decision))
        return decision

    def decide_row(self, row: Row, holder: Holder | None = None) -> Decision:
        """Decide a typed row that holds its history columns already; `holder` is what rules with `once` ask, unless the row says it."""
        return self.loaded.decide_row(row, holder)

    def _holder(self, store: Store | None, row: Row, record: bool) -> Holder | None:
        """What rules with `once` ask."""
        return None if store is None or not self.plan.held else LiveHolder(store, self._passing, row, record)

    def decide_batch(self, frame: Any, *, detail: str = "bits", values: bool = False, history_from: str | None = None) -> Any:
        """Decide every row of a polars, pandas or Arrow frame; gives the same kind back, rows in their order.

        History is computed inside the frame, in the record's order of arrival. Columns are those of a decision (`key`, `time`, `outcome`,
        `possible`, `robust`, `score`, `score_low`, `score_high`, `flags`, `hits`, `undecided`). With ``detail="names"`` the last three are
        lists of names, else bits in the order of `flag_names` and `rule_ids`, 64 to a word. Where rules say
        `once`, `held` is one more, and where there are exceptions `silenced`, in the order of `silenced_names`. With `values` every step's
        outputs are added as ``STEP.NAME``, why one is missing as ``STEP.NAME#``, bounds of what may be an interval as ``STEP.NAME<`` and
        ``STEP.NAME>``.

        Rows that cannot be decided (no key, no time, a key seen with other content) stand in ``.rejects`` of the result, with their
        number in the frame (``row``, from 0), the `reason`, and what had arrived (`raw`, JSON). pandas loses attributes in copies, so
        that they stand in ``.attrs["rejects"]`` too; an Arrow table has them as JSON in ``schema.metadata[b"rejects"]``.
        """
        if detail not in ("bits", "names"):
            raise InputError(f'detail is "bits" or "names", not `{detail}`')
        # loads polars: only batch runs come here
        from engine.run import batch

        return batch.decide_frame(self.plan, frame, detail=detail, values=values, history_from=history_from)

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """The ids of all rules, in the order of the bits."""
        return tuple(dict.fromkeys(self.plan.rules.values()))

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The names of all flags, in the order of the bits."""
        return tuple(sorted(set(self.plan.flags.values())))

    @property
    def silenced_names(self) -> tuple[str, ...]:
        """Which exception may silence which rule, as ``RULE by EXCEPTION``, in the order of the bits."""
        return tuple(dict.fromkeys(f"{one.rule} by {one.exception}" for one in self.plan.silenced.values()))

    def code(self) -> str:
        """The Python that decides an event: one function, or where a cascade has several steps one for each rule set."""
        if one_step(self.plan) is not None:
            return source(self._straight)
        return "\n".join(f"# step {view.step}\n\n{view.rule_step.code}" for view in self.linked.views)

    def explain(self, decision: Decision | Mapping[str, Any] | str | bytes, *, store: Store | None = None) -> str:
        """Why a decision came out as it did, for every rule, hit or not; of an event it is what the decision would be."""
        if not isinstance(decision, Decision):
            decision = self.decide(decision, store=store, record=False)
        return decision.explain()
