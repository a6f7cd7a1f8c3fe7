"""A cascade as it was loaded: from a working tree, or by a lock from a registry or a bundle; and what it decides under.

Loading is done once; it holds no state of any event and may be shared by threads.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.cascade.calls import model_calls
from engine.cascade.components import Components
from engine.cascade.explain import CascadeExplainer
from engine.cascade.link import Linked, link
from engine.cascade.parse import parse_deployment
from engine.diagnostics import NOWHERE, Diagnostic, errors, in_order
from engine.errors import RegistryError, SourceError
from engine.lang.source import read_text
from engine.ledger.decision import Decision, Version
from engine.ledger.log import Call, Setting
from engine.models.package import library_version
from engine.plan import DAY_OF_EVENT, NOW, Plan
from engine.registry import bundle as bundles
from engine.registry import lock as locks
from engine.registry.manifest import METHOD_KIND, Component
from engine.registry.mirror import holding
from engine.registry.places import Address, folder
from engine.registry.published import Registry
from engine.registry.store import Workspace
from engine.run.event import decide, read_off
from engine.run.succession import Succession, Term, day_of
from engine.screening.names import LIBRARIES
from engine.version import LANGUAGE_VERSION, VERSION

if TYPE_CHECKING:
    from engine.backends.holding import Holder
    from engine.plan import Row

DEPLOYMENT: Final = "deployment.yaml"
REGISTRY: Final = "registry"
"""What stands in a workspace besides its components: what this bank allows, and what was published here."""


@dataclass(frozen=True)
class Loaded:
    """A linked cascade, where it was loaded from, and what its decisions say of that.

    `seal` is that of the lock it was loaded by, none where that was a working tree, `since` the first day of that lock, if it has one, and
    `place` its file. `drafts` are the components that are not published. `unpacked` is the folder of its files, where that goes when nobody
    needs it.
    """

    linked: Linked
    workspace: Workspace
    path: Path
    diagnostics: tuple[Diagnostic, ...] = ()
    seal: str | None = None
    since: date | None = None
    place: str = ""
    drafts: tuple[Version, ...] = ()
    unpacked: Unpacked | None = field(default=None, repr=False)

    @property
    def plan(self) -> Plan:
        return self.linked.plan

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """The components as (kind, name, version, hash)."""
        return tuple(map(_version, self.linked.components))

    @cached_property
    def explainer(self) -> CascadeExplainer:
        return CascadeExplainer(self.linked, frozenset(self.drafts))

    def decide_row(self, row: Row, holder: Holder | None = None) -> Decision:
        """Decide a typed row that holds its history columns already; `holder` is what rules with `once` ask, unless the row says it."""
        return self.read_off(*decide(self.plan, row, holder))

    def read_off(self, row: Row, open_row: Row) -> Decision:
        """The decision that the rows of both readings hold."""
        return read_off(self.plan, row, open_row, self.versions, self.explainer, self.seal, self.drafts)

    def calls(self, decision: Decision) -> tuple[Call, ...]:
        """What a decision asked of models, for the ledger."""
        return model_calls(self.linked, decision)

    def setting(self) -> Setting:
        """What a ledger keeps of it, so that a replay needs nothing else."""
        plan, label = self.plan, self.workspace.label
        history = [column for group in plan.history for column in group.types]
        told = [column for held in plan.held.values() for column in (held.held, held.by)]
        columns = (*(field.name for field in plan.record.fields), NOW, DAY_OF_EVENT, *history, *told)
        files = {label(file): file.read_bytes() for file in self.linked.files}
        return Setting(label(self.path.resolve()), self.versions, files, columns, VERSION, LANGUAGE_VERSION, self.seal, self.drafts)


class Unpacked:
    """A folder that lives as long as this does."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kaskade-")).resolve()
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


def _version(component: Component) -> Version:
    return component.kind, component.name, component.version, component.hash


# --- ways of loading ---------------------------------------------------------------------------------------------------


def of_tree(path: Path, allow_types: Iterable[str], registry: Path | None = None, within: Workspace | None = None) -> Loaded:
    """The cascade at `path` as its working tree is; what `registry` does not hold in these very bytes is a draft."""
    workspace = within or Workspace.around(path)
    linked, components = load(path, workspace, allow_types)
    if linked is None:
        raise SourceError(components.diagnostics, components.rendered())
    drafts, problems = unpublished(linked.components, registry or workspace.folder / REGISTRY)
    return Loaded(linked, workspace, path, (*components.diagnostics, *problems), drafts=drafts)


def of_bundle(path: Path, allow_types: Iterable[str], trust: Path | None) -> Loaded:
    """What a bundle holds, once the trusted key has signed it."""
    if trust is None:
        raise RegistryError(f"the bundle `{path}` is opened only where it is said whose signature to trust: `trust=` a public key")
    unpacked = Unpacked()
    return of_lock(bundles.unpack(path, bundles.public_key(trust), unpacked.folder), path, allow_types, unpacked.folder)


def of_lock(lock: locks.Lock, path: Path, allow_types: Iterable[str], registry: Path | Address | None) -> Loaded:
    """What a lock holds, unpacked beside everything else; the deployment stays that of the workspace in which the lock stands."""
    home = Workspace.around(path)
    locks.check_engine(lock, VERSION, LANGUAGE_VERSION, str(path))
    there, unpacked = registry or home.folder / REGISTRY, None
    if lock.draft:
        loaded = of_tree(home.folder / lock.path, allow_types, folder(there))
    else:
        unpacked = Unpacked()
        locks.unpack(lock, holding(lock, there), unpacked.folder)
        if (home.folder / DEPLOYMENT).is_file():
            shutil.copyfile(home.folder / DEPLOYMENT, unpacked.folder / DEPLOYMENT)
        # what a lock took from a registry is no draft, wherever that is
        loaded = of_tree(unpacked.folder / lock.path, allow_types, within=Workspace(unpacked.folder))
    locks.check_loaded(lock, loaded.linked.components, str(path))
    notes = tuple(_of_other_libraries(lock, path))
    drafts = tuple(_version(one.component) for one in lock.components if one.draft)
    diagnostics = (*loaded.diagnostics, *notes)
    return Loaded(loaded.linked, loaded.workspace, loaded.path, diagnostics, lock.seal, lock.since, str(path), drafts, unpacked)


def of_folder(place: Path, allow_types: Iterable[str], registry: Path | Address | None, *, newest: bool) -> list[Loaded]:
    """What the locks in a folder hold, by the days from which they do; with `newest` the last one alone.

    Raises `RegistryError` for locks that do not follow one another, naming the files.
    """
    there = sorted(path for path in place.iterdir() if path.suffix == locks.SUFFIX)
    if not there:
        way = f"`engine lock CASCADE --from DAY --output {place / 'DAY.lock'}`"
        raise RegistryError(f"the folder `{place}` holds no lock: write one with {way}")
    days: dict[date, Path] = {}
    found = {path: locks.Lock.read(path) for path in there}
    for path, lock in found.items():
        if lock.name != found[there[0]].name:
            first = f"`{there[0]}` is a lock of `{found[there[0]].name}`"
            raise RegistryError(f"{first}, `{path}` of `{lock.name}`: put those of each cascade into a folder of their own")
        if lock.since is None:
            way = f"make it anew with `engine lock {lock.path} --from DAY --output {path}`, or load it by itself"
            raise RegistryError(f"the lock `{path}` does not say from when it holds: {way}")
        if lock.since in days:
            raise RegistryError(f"`{days[lock.since]}` and `{path}` both hold from {lock.since}: one of them must go, or begin another day")
        days[lock.since] = path
    wanted = [path for _, path in sorted(days.items())]
    return [of_lock(found[path], path, allow_types, registry) for path in (wanted[-1:] if newest else wanted)]


def following(loaded: Iterable[Loaded]) -> Succession:
    """How those of a folder follow one another. Raises `RegistryError` where they cannot."""
    return Succession([Term(day_of(one.since), one.plan, one.seal, one.place) for one in loaded if one.since and one.seal])


def unpublished(components: Iterable[Component], registry: Path) -> tuple[tuple[Version, ...], list[Diagnostic]]:
    """The components that a registry does not hold in these very bytes. It is a mark and no promise: where the registry cannot be read
    all of them count as drafts, which is said, and nothing fails."""
    problems, there = list[Diagnostic](), set[Component]()
    if registry.exists():
        try:
            there = {one.component for one in Registry(registry).all()}
        except (RegistryError, OSError) as error:
            message = f"the registry cannot be read, so that every component counts as a draft: {error}".rstrip(".").replace("\n", " ")
            problems = [Diagnostic("registry-unread", message, NOWHERE, severity="warning")]
    drafts = (one for one in components if one.kind != METHOD_KIND and one not in there)
    return tuple(map(_version, drafts)), problems


def _of_other_libraries(lock: locks.Lock, path: Path) -> Iterable[Diagnostic]:
    """What is to be known where libraries of other versions are installed than a lock was made with.

    Of models the golden rows have come out as they should, else nothing would have been loaded: that is worth a word and no refusal.
    How names are written has no golden rows. Raises `RegistryError` where that may be another.
    """
    for name, locked in lock.libraries.items():
        here = library_version(name)
        if here == locked:
            continue
        if name in LIBRARIES:
            raise RegistryError(
                f"the lock `{path}` was made with {name} {locked}, installed is {here}: names may be written otherwise, and nothing would "
                f"show it; install {name}=={locked}, or make the lock anew with `engine lock`"
            )
        message = f"`{lock.name}` was locked with {name} {locked}, installed is {here}"
        hint = f"the golden rows of its models come out the same; `pip install {name}=={locked}` gives what was locked"
        yield Diagnostic("library-version", message, NOWHERE, hint=hint, severity="warning")


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
