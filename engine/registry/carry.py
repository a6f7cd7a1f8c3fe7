"""Versions carried from one registry to another, on disk or on a server: the same bytes under the same digests, each whole or not at all.

What is carried is chosen first; a version that is another in the two places is refused before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import RegistryError
from engine.registry.lock import Lock
from engine.registry.manifest import fits
from engine.registry.oci import MANIFEST_TYPE, Descriptor
from engine.registry.places import Address
from engine.registry.published import KINDS, Config, Need, Published, Registry, check_same, parts, ref

if TYPE_CHECKING:
    from engine.registry.server import Server


class Shelf(Protocol):
    """What a registry on disk and one on a server have in common."""

    @property
    def place(self) -> object: ...
    def all(self) -> list[Published]: ...
    def versions(self, name: str, kind: str | None = None) -> list[Published]: ...
    def newest(self, name: str, wanted: str | None = None, kind: str | None = None) -> Published: ...
    def has(self, kind: str, name: str, wanted: str | None) -> bool: ...
    def known(self, wanted: Sequence[Published]) -> dict[str, Published]: ...
    def config(self, one: Published) -> Config: ...
    def manifest_bytes(self, one: Published) -> bytes: ...
    def pieces(self, one: Published, part: Descriptor) -> Iterator[bytes]: ...
    def receive(self, one: Published, manifest: bytes, parts: Sequence[Descriptor], source: Any) -> None: ...
    def keep(self, taken: Sequence[Published]) -> None: ...
    def mark(self, one: Published, why: str | None) -> None: ...


def opened(where: Path | Address) -> Registry | Server:
    """The registry in a folder or on a server. Nothing is read or asked yet."""
    return server(where) if isinstance(where, Address) else Registry(where)


def server(address: Address) -> Server:
    """The registry on a server; loads what speaks with servers."""
    try:
        from engine.registry.server import Server
    except ModuleNotFoundError as error:
        raise RegistryError(
            f"`{address}` is on a server, and for that `{(error.name or '').partition('.')[0]}` is needed: pip install 'kaskade[oci]'"
        ) from None
    return Server(address)


# --- what is chosen ----------------------------------------------------------------------------------------------------


def held(lock: Lock, source: Shelf) -> list[Published]:
    """The versions that a lock holds, by their digests. Raises `RegistryError` for a lock with drafts."""
    drafts = [str(one.component) for one in lock.components if one.manifest is None]
    if drafts:
        raise RegistryError(f"the lock of `{lock.name}` holds drafts, which are in no registry: `{drafts[0]}`; publish them, and lock anew")
    wanted = [Published(one.component, Descriptor(MANIFEST_TYPE, one.manifest or "", one.size)) for one in lock.components]
    marks = {one.manifest.digest: one.yanked for one in source.known(wanted).values()}
    return [replace(one, yanked=marks.get(one.manifest.digest)) for one in wanted]


def with_needs(chosen: Sequence[Published], source: Shelf, target: Shelf) -> list[Published]:
    """These versions and, before each, what it needs and the target has no version of that fits: the newest that does."""
    found: dict[str, Published] = {}

    def visit(one: Published) -> None:
        if ref(one.component) in found:
            return
        found[ref(one.component)] = one
        for need in source.config(one).needs:
            taken = any(_meets(other, need) for other in (*found.values(), *chosen))
            if not taken and not target.has(need.kind, need.name, need.range):
                visit(_needed(need, one, source))
        found[ref(one.component)] = found.pop(ref(one.component))  # after what it needs

    for one in chosen:
        visit(one)
    return list(found.values())


def _meets(one: Published, need: Need) -> bool:
    component = one.component
    return (component.kind, component.name) == (need.kind, need.name) and fits(component.version, need.range)


def _needed(need: Need, by: Published, source: Shelf) -> Published:
    try:
        return source.newest(need.name, need.range, need.kind)
    except RegistryError as error:
        raise RegistryError(f"`{by}` needs `{need}`: {error}") from None


def reachable(kind: str, name: str, source: Shelf) -> list[Published]:
    """Every version of a component, and of all that any of them may need."""
    found: list[Published] = []
    open_, seen = [(kind, name)], {(kind, name)}
    while open_:
        kind, name = open_.pop()
        for one in source.versions(name, kind):
            found.append(one)
            asked = {(need.kind, need.name) for need in source.config(one).needs}
            open_ += sorted(asked - seen)
            seen |= asked
    return found


# --- and carried -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Carried:
    """What was carried: versions that are new, those that were there, those that are marked as yanked now, and those marked there alone."""

    new: tuple[Published, ...]
    there: tuple[Published, ...]
    marked: tuple[Published, ...]
    marked_there: tuple[Published, ...]


def _rank(one: Published) -> int:
    """What others need goes first, so that whoever looks meanwhile finds it."""
    return KINDS.index(one.component.kind) if one.component.kind in KINDS else len(KINDS)


def carry(
    wanted: Sequence[Published], source: Shelf, target: Shelf, *, follow: bool = False, tell: Callable[[Published], None] = lambda _: None
) -> Carried:
    """Carry versions, and the marks of those that are yanked; `tell` hears of each that arrived. What was damaged on disk
    is mended.

    A mark is never taken away, unless the target is to `follow` the source in everything. Raises `RegistryError` for a version that is
    another in the two places, nothing sent; and for whatever is missing, altered or cannot be written.
    """
    known = target.known(wanted)
    for one in wanted:
        if (there := known.get(ref(one.component))) is not None:
            check_same(there, str(target.place), one, str(source.place))
    new = sorted((one for one in wanted if ref(one.component) not in known), key=_rank)
    damaged = [one for one in wanted if ref(one.component) in known and isinstance(target, Registry) and not target.whole(one)]
    for one in [*new, *damaged]:
        manifest = source.manifest_bytes(one)
        target.receive(one, manifest, parts(one, manifest), source)
        tell(one)
    target.keep(new)
    marked, others = [], []
    for one in wanted:
        now = known.get(ref(one.component), one if isinstance(target, Registry) else None)
        if one.yanked is not None and (now is None or now.yanked is None):
            target.mark(one, one.yanked)
            marked.append(one)
        elif one.yanked is None and now is not None and now.yanked is not None:
            others.append(now)
            if follow:
                target.mark(one, None)
    return Carried(tuple(new), tuple(one for one in wanted if ref(one.component) in known), tuple(marked), tuple(others))
