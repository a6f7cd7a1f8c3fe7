"""The facade: load a cascade, decide one event or many, explain. It wires the layers together and adds no meaning of its own.

Loading is done once; an engine holds no state of any event and may be shared by threads. History lives in a store that is given.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.cascade.calls import model_calls
from engine.cascade.components import Components
from engine.cascade.explain import CascadeExplainer
from engine.cascade.link import Linked, link
from engine.cascade.parse import parse_deployment
from engine.diagnostics import Diagnostic, errors, in_order
from engine.errors import InputError, RegistryError, SourceError
from engine.features.holder import LiveHolder
from engine.features.passed import Passing
from engine.features.single import HistoryStep
from engine.features.store import Store, open_store
from engine.lang.source import read_text
from engine.ledger.decision import Decision
from engine.ledger.log import Ledger, Setting
from engine.plan import DAY_OF_EVENT, NOW
from engine.record import Record, decode_event, read_event
from engine.registry import bundle as bundles
from engine.registry import lock as locks
from engine.registry.published import Registry
from engine.registry.store import Workspace
from engine.run.event import decide, read_off, tick_event
from engine.run.later import Later
from engine.run.moments import tick_row
from engine.run.straight import Decider, of_events, of_rows, one_step
from engine.version import LANGUAGE_VERSION, VERSION

if TYPE_CHECKING:
    from engine.backends.holding import Holder
    from engine.backends.rules import RuleStep
    from engine.plan import Row

DEPLOYMENT: Final = "deployment.yaml"
REGISTRY: Final = "registry"
"""What stands in a workspace besides its components: what this bank allows, and what was published here."""


class Unpacked:
    """A folder that lives as long as this does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


class Engine:
    """A loaded cascade.

    Make one with `Engine.load`. `diagnostics` holds the warnings of loading; `versions` the components as (kind, name, version, hash).
    """

    def __init__(
        self, linked: Linked, workspace: Workspace, path: Path, diagnostics: Iterable[Diagnostic] = (), ledger: Ledger | None = None
    ) -> None:
        self.linked, self.plan, self.workspace, self.path = linked, linked.plan, workspace, path
        self.lock: str | None = None
        """The seal of the lock it was loaded by; none where it was loaded from a working tree."""
        self._unpacked: Unpacked | None = None
        self.diagnostics = tuple(diagnostics)
        self.versions = tuple((c.kind, c.name, c.version, c.hash) for c in linked.components)
        self.ledger = ledger
        self._explainer = CascadeExplainer(linked)
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

        The workspace is found from the path; `registry` is the folder of an OCI layout, by default ``registry`` in the workspace.
        `ledger` is a SQLite file that keeps every decision. `allow_types` are the types model archives may hold, besides those in the
        workspace's ``deployment.yaml``. Raises `SourceError` with every diagnostic of every file, `LedgerError`, and `RegistryError` for
        what a lock holds that is missing or was altered.

        >>> engine = Engine.load("examples/purchase_cards/cascades/audit.yaml")
        >>> engine.plan.decision
        'verdict'
        """
        path = Path(path)
        if path.suffix == bundles.SUFFIX:
            engine = cls._from_bundle(path, allow_types, trust)
        elif path.suffix == locks.SUFFIX:
            engine = cls._by_lock(locks.Lock.read(path), path, allow_types, registry)
        else:
            engine = cls._from_tree(path, allow_types)
        if ledger is not None:
            made = setting(engine.linked, engine.workspace, engine.path, engine.lock)
            engine.ledger = Ledger.open(Path(ledger), made, engine.record.revision)
        return engine

    @classmethod
    def _from_tree(cls, path: Path, allow_types: Iterable[str], within: Workspace | None = None) -> Engine:
        workspace = within or Workspace.around(path)
        linked, components = load(path, workspace, allow_types)
        if linked is None:
            raise SourceError(components.diagnostics, components.rendered())
        return cls(linked, workspace, path, components.diagnostics)

    @classmethod
    def _from_bundle(cls, path: Path, allow_types: Iterable[str], trust: str | Path | None) -> Engine:
        if trust is None:
            raise RegistryError(f"the bundle `{path}` is opened only where it is said whose signature to trust: `trust=` a public key")
        folder = Path(tempfile.mkdtemp(prefix="kaskade-")).resolve()
        unpacked = Unpacked(folder)
        lock = bundles.unpack(path, bundles.public_key(Path(trust)), unpacked.folder)
        return cls._by_lock(lock, path, allow_types, folder)

    @classmethod
    def _by_lock(cls, lock: locks.Lock, path: Path, allow_types: Iterable[str], registry: str | Path | None) -> Engine:
        """What a lock holds, unpacked beside everything else; the deployment stays that of the workspace in which the lock stands."""
        home = Workspace.around(path)
        locks.check_engine(lock, VERSION, LANGUAGE_VERSION, str(path))
        if lock.draft:
            engine = cls._from_tree(home.folder / lock.path, allow_types)
        else:
            there = Registry(Path(registry) if registry is not None else home.folder / REGISTRY)
            folder = Path(tempfile.mkdtemp(prefix="kaskade-")).resolve()
            unpacked = Unpacked(folder)
            locks.unpack(lock, there, folder)
            if (home.folder / DEPLOYMENT).is_file():
                shutil.copyfile(home.folder / DEPLOYMENT, folder / DEPLOYMENT)
            engine = cls._from_tree(folder / lock.path, allow_types, Workspace(folder))
            engine._unpacked = unpacked
        locks.check_loaded(lock, engine.linked.components, str(path))
        engine.lock = lock.seal
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
        if store is None and event.__class__ is dict:
            decision = self._straight(event)
        else:
            decision = self._decided(decode_event(event) if isinstance(event, str | bytes) else event, store, record)
        if self.ledger is not None and record:
            return self.ledger.append(event, decision, model_calls(self.linked, decision))
        return decision

    def _decided(self, event: Mapping[str, Any], store: Store | None, record: bool) -> Decision:
        if store is None:
            return self._straight(event)
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
        return Later(self.plan, step.rules.rules, self.versions, self._explainer, self.lock)

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
            return self.ledger.append(tick_event(decision), decision, model_calls(self.linked, decision))
        return decision

    def decide_row(self, row: Row, holder: Holder | None = None) -> Decision:
        """Decide a typed row that holds its history columns already; `holder` is what rules with `once` ask, unless the row says it."""
        closed, opened = decide(self.plan, row, holder)
        return read_off(self.plan, closed, opened, self.versions, self._explainer, self.lock)

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

    def explain(self, decision: Decision | Mapping[str, Any] | str | bytes, *, store: Store | None = None) -> str:
        """Why a decision came out as it did, for every rule, hit or not; of an event it is what the decision would be."""
        if not isinstance(decision, Decision):
            decision = self.decide(decision, store=store, record=False)
        return decision.explain()


def load(path: Path, workspace: Workspace, allow_types: Iterable[str] = (), *, models: bool = True) -> tuple[Linked | None, Components]:
    """Link a cascade with the types its workspace's ``deployment.yaml`` allows; without `models` no artefact is opened."""
    allowed, text, problems = deployed(workspace)
    linked, components = link(path.resolve(), workspace, allowed | frozenset(allow_types), models=models)
    components.texts[DEPLOYMENT] = text
    components.diagnostics[:] = in_order([*problems, *components.diagnostics])
    return (None if errors(problems) else linked), components


def deployed(workspace: Workspace) -> tuple[frozenset[str], str, list[Diagnostic]]:
    """The types that a workspace's ``deployment.yaml`` allows in model archives, its text, and what is wrong with it."""
    deployment = workspace.folder / DEPLOYMENT
    if not deployment.is_file():
        return frozenset(), "", []
    text, problems = read_text(deployment, deployment.name)
    if text is None:
        return frozenset(), "", problems
    workspace.note(deployment)
    allowed, problems = parse_deployment(text, deployment.name)
    return allowed, text, problems


def setting(linked: Linked, workspace: Workspace, path: Path, lock: str | None = None) -> Setting:
    """What a ledger keeps of a loaded cascade, so that a replay needs nothing else."""
    plan = linked.plan
    history = [column for group in plan.history for column in group.types]
    told = [column for held in plan.held.values() for column in (held.held, held.by)]
    columns = (*(field.name for field in plan.record.fields), NOW, DAY_OF_EVENT, *history, *told)
    versions = tuple((c.kind, c.name, c.version, c.hash) for c in linked.components)
    files = {workspace.label(file): file.read_bytes() for file in linked.files}
    return Setting(workspace.label(path.resolve()), versions, files, columns, VERSION, LANGUAGE_VERSION, lock)
