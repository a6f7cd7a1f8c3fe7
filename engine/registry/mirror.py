"""What was fetched from a server is kept in a folder of this user's, so that it is fetched once and then read like any registry.

The folder is `KASKADE_CACHE`, or where caches are kept; it can be thrown away at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from engine.errors import RegistryError
from engine.registry.carry import Shelf, carry, held, server
from engine.registry.lock import Lock
from engine.registry.places import Address
from engine.registry.published import Published, Registry, parts


def holding(lock: Lock, found: Path | Address) -> Registry:
    """A registry that holds what a lock does: the one in a folder, or what is fetched from a server, by digest, unless it was fetched
    before. Raises `RegistryError`."""
    if not isinstance(found, Address):
        return Registry(found)
    target = Registry(_folder(found))
    lacking = [one for one in held(lock, target) if not target.whole(one)]
    source = server(found)
    for one in lacking:
        manifest = source.manifest_bytes(one)
        target.receive(one, manifest, parts(one, manifest), source)
    return target


def fetched(found: Path | Address, choose: Callable[[Shelf], Sequence[Published]]) -> Registry:
    """A registry to read: the one in a folder, or what is chosen from a server, with its marks as they are there now."""
    if not isinstance(found, Address):
        return Registry(found)
    source, target = server(found), Registry(_folder(found))
    carry(choose(source), source, target, follow=True)
    return target


def _folder(address: Address) -> Path:
    told = os.environ.get("KASKADE_CACHE") or os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(told) if told else Path.home() / ".cache") / "kaskade" / quote(str(address), safe="")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        message = f"there is no folder for what comes from `{address}` ({why})"
        raise RegistryError(f"{message}: say one that you may write in the environment variable KASKADE_CACHE") from None
    return folder
