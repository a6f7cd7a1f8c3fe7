"""The facade: load a cascade, decide one event or many, explain. It wires the layers together and adds no meaning of its own.

Loading is done once; an engine holds no state of any event and may be shared by threads. History lives in a store that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.backends.single import source
from engine.errors import InputError
from engine.features.holder import LiveHolder
from engine.features.passed import Passing
from engine.features.single import HistoryStep
from engine.features.store import Store, open_store
from engine.ledger.decision import Decision
from engine.ledger.log import Call, Ledger
from engine.loaded import Loaded, following, of_bundle, of_folder, of_lock, of_tree
from engine.plan import DAY_OF_EVENT
from engine.record import Record, decode_event, read_event
from engine.registry import bundle as bundles
from engine.registry import lock as locks
from engine.registry.places import folder, place
from engine.run.event import tick_event
from engine.run.later import Later
from engine.run.moments import tick_row
from engine.run.straight import Decider, of_events, of_rows, one_step
from engine.run.succession import flag_names, rule_ids, silenced_names

if TYPE_CHECKING:
    from engine.backends.holding import Holder
    from engine.backends.rules import RuleStep
    from engine.cascade.link import Linked
    from engine.plan import Plan, Row
    from engine.run.succession import Succession


IN_FORCE: Final = "in force"
NEWEST: Final = "newest"


class Engine:
    """A loaded cascade, or several versions of it that follow one another.

    Make one with `Engine.load`. `diagnostics` holds the warnings of loading; `versions` the components as (kind, name, version, hash), and
    `drafts` those of them that stand in a working tree and are not published; `lock` is the seal of the lock it was loaded by, none where
    that was a working tree. Where there are several these are those of the newest, and `following` says which is in force when.
    """

    def __init__(self, *loaded: Loaded, following: Succession | None = None, ledger: Ledger | None = None) -> None:
        self.loaded = newest = loaded[-1]
        self.following = following
        self._loaded = {one.seal: one for one in loaded}
        self._one = newest if following is None else None
        self.linked, self.workspace, self.path = newest.linked, newest.workspace, newest.path
        self.plan = newest.plan if self.following is None else self.following.plan
        self.lock: str | None = newest.seal
        self.diagnostics = tuple(problem for one in loaded for problem in one.diagnostics)
        self.versions, self.drafts = newest.versions, newest.drafts
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
        versions: str = IN_FORCE,
    ) -> Engine:
        """Load the cascade at `path`, from its working tree; or by a lock, ``screening.lock``, exactly what that holds from a registry; or
        from a bundle, ``screening.bundle``, once it is verified by the public key in the file `trust`.

        A folder of locks of one cascade, each with the day from which it holds, decides every event by the one in force on its day, which
        is the local one of the record's zone; or, with ``versions="newest"``, by the newest alone.

        The workspace is found from the path; `registry` is the folder of an OCI layout, by default ``registry`` in the workspace,
        or a place on a server, ``registry.bank.example/rules``, from which what the lock holds is fetched once.
        `ledger` is a SQLite file that keeps every decision. `allow_types` are the types model archives may hold, besides those in the
        workspace's ``deployment.yaml``. Raises `SourceError` with every diagnostic of every file, `LedgerError`, and `RegistryError` for
        what a lock holds that is missing or was altered.

        >>> engine = Engine.load("examples/purchase_cards/cascades/audit.yaml")
        >>> engine.plan.decision
        'verdict'
        """
        if versions not in (IN_FORCE, NEWEST):
            raise InputError(f'versions are "{IN_FORCE}" or "{NEWEST}", not `{versions}`')
        path, there = Path(path), None if registry is None else place(registry)
        if path.is_dir():
            loaded = of_folder(path, allow_types, there, newest=versions == NEWEST)
        elif path.suffix == bundles.SUFFIX:
            loaded = [of_bundle(path, allow_types, None if trust is None else Path(trust))]
        elif path.suffix == locks.SUFFIX:
            loaded = [of_lock(locks.Lock.read(path), path, allow_types, there)]
        else:
            loaded = [of_tree(path, allow_types, None if there is None else folder(there))]
        engine = cls(*loaded, following=following(loaded) if path.is_dir() and versions == IN_FORCE else None)
        if ledger is not None:
            engine.ledger = Ledger.open(Path(ledger), [one.setting() for one in loaded], engine.record.revision)
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
        """Let a typed event of the past enter history, as `decide` would have; also one of a day on which no lock was in force yet. Where
        rules say `once` it is decided too, so that the store knows which hits were let through. Raises as `Store.observe` does."""
        row = {**row, **store.observe(row)}
        if self._holds_back(row):
            self.decide_row(row, LiveHolder(store, self._passing, row, True))

    def decide(self, event: Mapping[str, Any] | str | bytes, *, store: Store | None = None, record: bool = True) -> Decision:
        """Decide one event, a mapping or the text of a JSON object.

        With a `store` the event's history is read and, unless `record` is false, the event is added to it; without one all history is
        missing, cause `unavailable`, as it is while the store is down. With a ledger the decision is kept, unless `record` is false. Raises
        `InputError` for an event without key or time, of a day on which no lock is in force yet, or whose key has come before with other
        content.
        """
        given = event if event.__class__ is dict else decode_event(event) if isinstance(event, str | bytes) else event
        decision = self._straight(given) if store is None else self._lived(given, store, record)
        if self.ledger is not None and record:
            return self.ledger.append(event, decision, self.calls(decision))
        return decision

    def _lived(self, event: Mapping[str, Any], store: Store, record: bool) -> Decision:
        """Decides an event with its history."""
        row = self._read(event)
        row.update(self._history.bind(store, record).one(row))
        holder = self._holder(store, row, record)
        return self._straight_row(row) if holder is None else self.decide_row(row, holder)

    @cached_property
    def _straight(self) -> Decider:
        """Decides an event without history."""
        step = self._one_step
        return self._ordinary if step is None else of_events(self.plan, step, self._later(step), self._ordinary)

    @cached_property
    def _straight_row(self) -> Callable[[Row], Decision]:
        """Decides a typed row that holds its history."""
        step = self._one_step
        return self.decide_row if step is None else of_rows(self.plan, step, self._later(step))

    @property
    def _one_step(self) -> RuleStep | None:
        """The only step of the only plan, where both are alone."""
        return None if self._one is None else one_step(self.plan)

    def _later(self, step: RuleStep) -> Later:
        loaded = self.loaded
        return Later(self.plan, step.rules.rules, loaded.versions, loaded.drafts, loaded.explainer, loaded.seal)

    def _ordinary(self, event: Mapping[str, Any]) -> Decision:
        """Decides any event without history."""
        row = self._read(event)
        row.update(self._history.one(row))
        return self.decide_row(row)

    def _read(self, event: Mapping[str, Any]) -> Row:
        """An event as a typed row, which something decides."""
        row = read_event(self.record, event)
        if self._one is None:
            self._check_day(row)
        return row

    def tick(self, keys: Mapping[str, Any], at: Any, *, store: Store | None = None, record: bool = True) -> Decision:
        """Decide about a key at a moment, without an event: no event may be what is to be noticed.

        `keys` are the fields of the key of some feature, `at` the time, as an event would give it. What had happened before is seen, and
        nothing is remembered, but for hits that `once` lets through; with a ledger the decision is kept, unless `record` is false. It has
        no `key`, and says in `tick` what it looked at. Raises `InputError` for fields that are no feature's key, or cannot be read.
        """
        row = tick_row(self.plan, keys, at)
        if self._one is None:
            self._check_day(row)
        row.update(self._history.bind(store, False).one(row))
        decision = self.decide_row(row, self._holder(store, row, record))
        if self.ledger is not None and record:
            return self.ledger.append(tick_event(decision), decision, self.calls(decision))
        return decision

    def decide_row(self, row: Row, holder: Holder | None = None) -> Decision:
        """Decide a typed row that holds its history columns already; `holder` is what rules with `once` ask, unless the row says it."""
        if self._one is not None:
            return self._one.decide_row(row, holder)
        return self._in_force(row).decide_row(self._following.of(row).own(row), holder)

    def read_off(self, row: Row, open_row: Row) -> Decision:
        """The decision that the rows of both readings hold, as the cascade in force on their day made them."""
        return self._in_force(row).read_off(row, open_row)

    def calls(self, decision: Decision) -> tuple[Call, ...]:
        """What a decision asked of models, for the ledger."""
        return self._loaded[decision.lock].calls(decision)

    def _in_force(self, row: Row) -> Loaded:
        return self._one or self._loaded[self._following.of(row).seal]

    @property
    def _following(self) -> Succession:
        assert self.following is not None
        return self.following

    def _check_day(self, row: Row) -> None:
        """Raises `InputError` for an event of a day on which nothing is in force yet."""
        if row[DAY_OF_EVENT] < self._following.first:
            raise InputError(self._following.refusal(row[DAY_OF_EVENT]))

    def _holds_back(self, row: Row) -> bool:
        """Whether a rule of the cascade in force says `once`."""
        if self.following is not None and row[DAY_OF_EVENT] < self.following.first:
            return False
        return bool(self._in_force(row).plan.held)

    def _holder(self, store: Store | None, row: Row, record: bool) -> Holder | None:
        """What rules with `once` ask."""
        return None if store is None or not self._holds_back(row) else LiveHolder(store, self._passing, row, record)

    def decide_batch(self, frame: Any, *, detail: str = "bits", values: bool = False, history_from: str | None = None) -> Any:
        """Decide every row of a polars, pandas or Arrow frame; gives the same kind back, rows in their order.

        History is computed inside the frame, in the record's order of arrival. Columns are those of a decision (`key`, `time`, `outcome`,
        `possible`, `robust`, `score`, `score_low`, `score_high`, `flags`, `hits`, `undecided`). With ``detail="names"`` the last three are
        lists of names, else bits in the order of `flag_names` and `rule_ids`, 64 to a word. Where rules say
        `once`, `held` is one more, and where there are exceptions `silenced`, in the order of `silenced_names`. With `values` every step's
        outputs are added as ``STEP.NAME``, why one is missing as ``STEP.NAME#``, bounds of what may be an interval as ``STEP.NAME<`` and
        ``STEP.NAME>``. Where several versions follow one another, `lock` is the seal of the one that decided.

        Rows that cannot be decided (no key, no time, a key seen with other content) stand in ``.rejects`` of the result, with their
        number in the frame (``row``, from 0), the `reason`, and what had arrived (`raw`, JSON). pandas loses attributes in copies, so
        that they stand in ``.attrs["rejects"]`` too; an Arrow table has them as JSON in ``schema.metadata[b"rejects"]``.
        """
        if detail not in ("bits", "names"):
            raise InputError(f'detail is "bits" or "names", not `{detail}`')
        # loads polars: only batch runs come here
        from engine.run import batch, in_force

        run = in_force.run_of(self.plan, self.following, detail=detail, values=values, history_from=history_from, whole=False)
        return batch.decide_frame(run, frame)

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """The ids of all rules, in the order of the bits."""
        return rule_ids(self._plans)

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The names of all flags, in the order of the bits."""
        return flag_names(self._plans)

    @property
    def silenced_names(self) -> tuple[str, ...]:
        """Which exception may silence which rule, as ``RULE by EXCEPTION``, in the order of the bits."""
        return silenced_names(self._plans)

    @property
    def locks(self) -> dict[str, str]:
        """The file of each lock that follows another or is followed, by its seal, the oldest first; nothing where there are no several."""
        return {} if self.following is None else {term.seal: term.name for term in self.following.terms}

    @property
    def in_turn(self) -> tuple[Linked, ...]:
        """What decides, the oldest first."""
        return tuple(one.linked for one in self._loaded.values())

    @property
    def _plans(self) -> tuple[Plan, ...]:
        return (self.plan,) if self.following is None else self.following.plans

    def code(self) -> str:
        """The Python that decides an event: one function, or where a cascade has several steps one for each rule set."""
        if self._one_step is not None:
            return source(self._straight)
        return "\n".join(f"# step {view.step}\n\n{view.rule_step.code}" for view in self.linked.views)

    def explain(self, decision: Decision | Mapping[str, Any] | str | bytes, *, store: Store | None = None) -> str:
        """Why a decision came out as it did, for every rule, hit or not; of an event it is what the decision would be."""
        if not isinstance(decision, Decision):
            decision = self.decide(decision, store=store, record=False)
        return decision.explain()
