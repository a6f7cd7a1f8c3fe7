"""What the commands about versions share: where the registry is, and what is named in it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.cli.say import FINE, Stop, as_json, note, out, plural
from engine.loaded import REGISTRY
from engine.registry.carry import Shelf, carry, held, with_needs
from engine.registry.lock import SUFFIX, Lock
from engine.registry.manifest import REFERENCE, valid_range
from engine.registry.places import Address, folder, place
from engine.registry.published import KINDS, Published, Registry
from engine.registry.store import Workspace

HELP: Final = "the registry: a folder (default: `registry` in the workspace)"
ANYWHERE: Final = HELP.replace("a folder", "a folder, or a place on a server like `localhost:5000/bank`")


def arguments(parser: ArgumentParser, told: str = HELP) -> None:
    parser.add_argument("--registry", metavar="PLACE", help=told)


def workspace() -> Workspace:
    """That of the folder in which the command runs."""
    return Workspace.around(Path.cwd() / "any")


def where(args: Namespace, beside: Path | None = None) -> Path | Address:
    """The registry that is meant, by default that of the workspace in which the file `beside` stands; nothing need be there yet."""
    home = workspace() if beside is None else Workspace.around(beside)
    return place(str(args.registry)) if args.registry else home.folder / REGISTRY


def registry(args: Namespace, beside: Path | None = None) -> Registry:
    """The registry in a folder that is meant. Raises `RegistryError` for one on a server."""
    return Registry(folder(where(args, beside)))


def there(args: Namespace) -> Registry:
    """As `registry`, where one that is named must be there. Raises `Stop`."""
    found = registry(args)
    if args.registry and not found.layout.exists:
        raise Stop(f"there is no registry in `{found.place}`: it has no file `oci-layout`")
    return found


def reference(text: str) -> tuple[str, str | None, str | None]:
    """``aml/cash@1.4.0`` as name and version or range, and its kind where that is said: ``cascade:aml/cash``. Raises `Stop`."""
    kind, _, name = text.rpartition(":")
    match = REFERENCE.fullmatch(name)
    if match is None or (kind and kind not in KINDS):
        raise Stop(f"`{text[:80]}` names no component: write `aml/cash`, `aml/cash@1.4.0` or `cascade:aml/cash`")
    if not valid_range(match["range"]):
        raise Stop(f"`{match['range'][:40]}` is no version: write one like `1.4.0`, or a range like `^1.4`")
    return match["name"], match["range"], kind or None


def chosen(names: Sequence[str], source: Shelf) -> list[Published]:
    """The versions that arguments name: the newest that fits, and what a lock holds. Raises `Stop`."""
    found: list[Published] = []
    for text in names:
        if text.endswith(SUFFIX):
            found += held(Lock.read(Path(text)), source)
        elif text.endswith((".yaml", ".yml", ".rules")):
            raise Stop(f"`{text}` is a file of the working tree: write the component's name, like `aml/cash`, or a lock of `engine lock`")
        else:
            found.append(source.newest(*reference(text)))
    return found


def carrying(parser: ArgumentParser, word: str) -> None:
    """The arguments of `push` and `pull`."""
    parser.add_argument("names", metavar="NAME[@VERSION]|LOCK", nargs="*", help="components like `aml/cash@1.4.0`, or files of locks")
    parser.add_argument("--all", action="store_true", help="every version")
    place_help = "a place on a server like `localhost:5000/bank`, or a folder"
    parser.add_argument(f"--{word}", dest="other", metavar="PLACE", required=True, help=place_help)
    parser.add_argument("--insecure", action="store_true", help="speak http also with a server that is not this machine")
    arguments(parser)


def carried(args: Namespace, source: Shelf, target: Shelf, words: str) -> int:
    """Carry what the arguments name, and tell of it; gives the exit code."""
    if args.all == bool(args.names):
        raise Stop(f"name components or locks to {args.command}, or say --all")
    if isinstance(source, Registry) and not source.layout.exists:
        publish_first = "; `engine publish` makes it" if args.command == "push" else ""
        raise Stop(f"there is no registry in `{source.place}`: it has no file `oci-layout`{publish_first}")
    wanted = source.all() if args.all else with_needs(chosen(args.names, source), source, target)
    if not wanted:
        raise Stop(f"there are no components in `{source.place}`: is that the right place?")
    done = carry(wanted, source, target, tell=(lambda _: None) if args.json else (lambda one: out(f"{one.component.kind:<9} {one}")))
    other = (target if args.command == "push" else source).place
    if args.json:
        parts = {"new": done.new, "there": done.there, "yanked": done.marked, "yanked_there": done.marked_there}
        as_json({"place": str(other), **{name: [_told(one) for one in some] for name, some in parts.items()}})
        return FINE
    for one in done.marked:
        out(f"{one} is marked as yanked now: {one.yanked}")
    for one in done.marked_there:
        note(f"{one} is marked in {target.place} alone: {one.yanked}")
    out(f"{plural(len(done.new), 'version')} {words} {other}" + (f", {len(done.there):,} there already" if done.there else ""))
    return FINE


def _told(one: Published) -> dict[str, object]:
    parts: dict[str, object] = {name: getattr(one.component, name) for name in ("kind", "name", "version", "hash")}
    return parts | {"manifest": one.manifest.digest, "yanked": one.yanked}
